"""What the sandbox and the writer promise holds for an ordinary user too, wherever their copy of the course lies.

It makes such a user, needs root for that, and removes it again.
"""

import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from course import ROOT
from tests.support.sandboxed import needs_sandbox
from tests.support.toy_course import copy_code
from tests.support.users import needs_root, run_as, shared_python, users

pytestmark = [pytest.mark.long, needs_root]

# What a sandbox shows depends on the folders above the course; all else is tried in one of them.
SHOWN = ["tests/sandbox", "-k", "there or written or file or folder"]
PROVED = {"/home": ["tests/sandbox", "tests/gradebook/test_writer.py"], "/srv": SHOWN, tempfile.gettempdir(): SHOWN}


@pytest.fixture(params=PROVED)
def copy(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A copy of the course in the user's home, which lies below one of the usual folders."""
    needs_sandbox()
    folder = Path(tempfile.mkdtemp(prefix="llm-test-", dir=request.param))
    folder.chmod(0o755)
    try:
        name = folder.name  # for the tests in other folders may run beside this one
        with users(folder, {f"{name}-all": [name]}):
            root = folder / name / "llm-course"
            copy_code(root)
            for part in ("tests", "bench"):
                shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
            shutil.copy(ROOT / "pyproject.toml", root)
            subprocess.run(["chown", "-R", f"{name}:", str(root)], check=True)
            yield root
    finally:
        shutil.rmtree(folder)


def test_the_sandbox_and_the_writer_serve_an_ordinary_user(copy: Path) -> None:
    python = shared_python(copy / ".venv")
    tests = next(tests for place, tests in PROVED.items() if copy.is_relative_to(place))
    options = ["-q", "-p", "no:cacheprovider", "--basetemp", f"{copy.parent}/t", "-m", "not long"]
    limits = {"COURSE_REQUIRE_SANDBOX": "1", "OMP_NUM_THREADS": "1"}
    done = run_as(copy.parent.name, [str(python), "-m", "pytest", *options, *tests], copy, **limits)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]


def test_a_user_that_a_killed_run_has_left_is_made_anew(tmp_path: Path) -> None:
    name = "llm-test-left"
    subprocess.run(["useradd", name], check=True)
    with users(tmp_path, {"llm-test-learners": [name]}):
        assert pwd.getpwnam(name).pw_dir == str(tmp_path / name)
    with pytest.raises(KeyError):
        pwd.getpwnam(name)
