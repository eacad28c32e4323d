"""What is proved only when its inputs change: each record is of today's inputs, and a digest sees what matters."""

from pathlib import Path

import pytest

from tests.support import proofs
from tests.support.proofs import Proof


def recorded() -> list[tuple[str, str]]:
    """`(name, kind)` of the proofs that have a record; each run of the long tests proves the others."""
    return [(name, kind) for name, kind in proofs.all_of_them() if (proofs.KEPT / name / f"{kind}.json").is_file()]


@pytest.mark.parametrize(("name", "kind"), recorded())
def test_a_record_is_of_todays_inputs(name: str, kind: str) -> None:
    proof: Proof = getattr(proofs, kind)(name)
    assert proof.is_fresh(), (
        f"what {proof.path.relative_to(proofs.ROOT)} was made from has changed: run `make prove`, "
        "which proves what is stale, and commit the new record"
    )


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small house: a module that imports another inside a function, and a checkpoint."""
    files = {
        "solutions/outer.py": '"""Docs."""\n\ndef f():\n    from solutions.inner import g\n    return g("small")\n',
        "solutions/inner.py": "def g(name):\n    return 1  # one\n",
        "solutions/other.py": "x = 1\n",
        "labkit/checkpoints/small.safetensors": "weights",
        "labkit/checkpoints/large.safetensors": "weights",
        "pyproject.toml": "[project]\ndependencies = ['torch==1', 'numpy>=2']\n",
        "requirements.txt": "numpy==2.1\nsphinx==7\ntorch==1\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(proofs, "ROOT", tmp_path)
    monkeypatch.setattr(proofs, "KEPT", tmp_path / "tests" / "proofs")
    return tmp_path


OUTER = Proof("kind", "name", ("from solutions.outer import f\nf()",))


@pytest.mark.parametrize(
    ("file", "old", "new", "changes"),
    [
        ("solutions/inner.py", "return 1", "return 2", True),
        ("solutions/inner.py", "# one", "# the first", False),
        ("solutions/other.py", "1", "2", False),
        ("labkit/checkpoints/small.safetensors", "weights", "others", True),
        ("labkit/checkpoints/large.safetensors", "weights", "others", False),
        ("requirements.txt", "numpy==2.1", "numpy==2.2", True),
        ("requirements.txt", "sphinx==7", "sphinx==8", False),
    ],
)
def test_a_digest_sees_what_a_run_reaches(house: Path, file: str, old: str, new: str, changes: bool) -> None:
    before = OUTER.digest()
    (house / file).write_text((house / file).read_text().replace(old, new))
    assert (OUTER.digest() != before) == changes


def test_a_record_is_written_when_the_proof_holds_and_then_it_is_skipped(house: Path) -> None:
    with pytest.raises(ZeroDivisionError), OUTER.proving():
        raise ZeroDivisionError
    assert not OUTER.is_fresh()
    with OUTER.proving():
        pass
    assert OUTER.is_fresh()
    with pytest.raises(pytest.skip.Exception), OUTER.proving():
        raise AssertionError("proved again")
    (house / "solutions" / "inner.py").write_text("def g(name):\n    return 3\n")
    assert not OUTER.is_fresh()
