"""bench/effects.md is what the records make, and a bench puts its figures there."""

import json
import shutil

import pytest

from bench import benches, effects


def test_the_page_is_what_the_records_make():
    assert effects.PAGE.read_text(encoding="utf-8") == effects.page(), "it is stale: run `python -m bench.effects`"


def test_every_record_is_that_of_a_bench_and_its_effects_clear_their_bars():
    found = benches()
    for path in effects.RECORDS.glob("*.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        assert path.stem in found and record["command"].startswith(f"python -m bench.{path.stem}")
        for row in record["rows"]:
            mean = float(row["mean"])
            if row["side"]:
                (bar,) = row["bars"]
                assert (mean > bar) == (row["side"] == "above"), row["effect"]
                assert float(row["deviations from the bar"]) >= 4, row["effect"]
            elif row["bars"]:
                least, most = row["bars"]
                assert least < mean < most, row["effect"]


@pytest.mark.parametrize("name", sorted(path.stem for path in effects.RECORDS.glob("*.json")))
def test_a_record_is_of_todays_code(name):
    record = json.loads((effects.RECORDS / f"{name}.json").read_text(encoding="utf-8"))
    assert record.get("digest") == effects.digest(name), (
        f"what bench/records/{name}.json was measured on has changed: run `{record['command']}` and commit the record"
    )


@pytest.mark.parametrize("text", ["from solutions.small import f\nf()\n", "from solutions import small\nsmall.f()\n"])
def test_a_digest_sees_the_functions_that_are_measured_and_no_others(tmp_path, monkeypatch, text):
    bench, reference = tmp_path / "bench" / "small.py", tmp_path / "solutions" / "small.py"
    for path in (bench, reference):
        path.parent.mkdir()
    bench.write_text(text)
    code = "def f():\n    return 1\n\n\ndef g():\n    return 2\n"
    monkeypatch.setattr(effects, "ROOT", tmp_path)
    found = []
    told = code.replace("return 1", '"""Words."""\n    return 1')
    for now in (
        code,
        code.replace("return 2", "return 3"),
        f"# more\n{code}",
        told,
        code.replace("return 1", "return 3"),
    ):
        reference.write_text(now)
        found.append(effects.digest("small"))
    assert found[0] == found[1] == found[2] == found[3] != found[4]


@pytest.fixture
def copy(tmp_path, monkeypatch):
    shutil.copytree(effects.RECORDS, tmp_path / "records")
    monkeypatch.setattr(effects, "RECORDS", tmp_path / "records")
    monkeypatch.setattr(effects, "PAGE", tmp_path / "effects.md")
    return tmp_path


def test_a_bench_notes_its_figures(copy):
    effects.note("gpt", {"the reference": [0.9] * 10 + [1.0] * 10})
    record = json.loads((copy / "records" / "gpt.json").read_text())
    assert record["digest"] == effects.digest("gpt") != effects.digest("scale")
    row = record["rows"][0]
    figures = [row[name] for name in ("mean", "standard deviation", "least", "most", "deviations from the bar")]
    assert figures == ["0.950", "0.051", "0.900", "1.000", "4.9"]
    assert "| the reference | above 0.7 | 0.950 | 0.051 |" in (copy / "effects.md").read_text()


def test_a_row_that_nobody_asked_for_is_refused(copy):
    with pytest.raises(ValueError, match=r"'loss' was measured over 20 seeds, and gpt.json has rows .* the reference"):
        effects.note("gpt", {"loss": [1.0] * 20})
    with pytest.raises(ValueError, match="measured over 3 seeds"):
        effects.note("gpt", {"the reference": [1.0, 0.9, 0.8]})
