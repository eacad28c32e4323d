"""What `make up` refuses, in a sentence, and what it does not do twice."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from course import ROOT, up
from course.up import Refusal


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in the place of the repository."""
    monkeypatch.setattr(up, "ROOT", tmp_path)
    monkeypatch.setattr(up, "RUN", tmp_path / "course" / "run")
    monkeypatch.setattr(up, "BOOK", tmp_path / "_build" / "html")
    (tmp_path / "course" / "run").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def steps(here: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commands that a start runs; each leaves what the real one would."""
    ran: list[str] = []

    def run_step(what: str, module: str, *arguments: str, **options: object) -> None:
        ran.append(module)
        made = {
            "book.build": ["_build/html/index.html"],
            "course.assemble": ["course/source/a/a.ipynb", "exercises/a/a.ipynb"],
            "course.grading": ["course/gradebook.db", "course/run/exchange/llm/outbound/a/a.ipynb"],
        }
        for name in made[module]:
            (here / name).parent.mkdir(parents=True, exist_ok=True)
            (here / name).touch()

    monkeypatch.setattr(up, "run_step", run_step)
    for name in ("book/index.md", "_config.yml", "solutions/a.py", "labkit/fit.py", "course/assignments/a.py"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text("first")
    for name in ("assemble/__init__.py", "nbgrader_config.py"):
        (here / "course" / name).parent.mkdir(exist_ok=True)
        (here / "course" / name).write_text("first")
    return ran


HUB = "http://127.0.0.1:8000"


def start(hub: str = HUB) -> None:
    """What a start does before it serves."""
    up.prepare_course()
    if state := up.book_to_build(hub):
        up.BookBuild(state, 8080, hub).run()


def test_a_second_start_builds_nothing(steps: list[str]) -> None:
    start()
    assert steps == ["course.assemble", "course.grading", "book.build"]
    steps.clear()
    start()
    assert steps == []


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ("book/index.md", ["book.build"]),
        ("course/assignments/a.py", ["course.assemble", "course.grading"]),
        ("solutions/a.py", ["course.assemble", "course.grading", "book.build"]),
    ],
)
def test_a_change_is_noticed(here: Path, steps: list[str], changed: str, expected: list[str]) -> None:
    start()
    steps.clear()
    (here / changed).write_text("another length")
    start()
    assert steps == expected


def test_a_hub_elsewhere_builds_the_book_again(steps: list[str]) -> None:
    """The exercise cards lead to it."""
    start()
    steps.clear()
    start("http://127.0.0.1:8001")
    assert steps == ["book.build"]


@pytest.mark.parametrize("lost", ["course/gradebook.db", "course/run/exchange", "_build/html/index.html"])
def test_what_is_lost_is_made_again(here: Path, steps: list[str], lost: str) -> None:
    start()
    steps.clear()
    (here / lost).rename(here / "elsewhere")
    start()
    assert steps
    assert (here / lost).exists()


def test_a_failed_step_shows_the_end_of_its_log(here: Path) -> None:
    (here / "breaks.py").write_text("print('step one')\nraise SystemExit('what went wrong')")
    with pytest.raises(Refusal, match=r"(?s)Trying failed.*what went wrong"):
        up.run_step("Trying", "breaks")


def test_a_taken_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Refusal, match=rf"Port {port}, meant for the book, .* `make up BOOK_PORT=<port>`"):
            up.check_port(port, "book", "BOOK_PORT")
    up.check_port(up.free_port(), "book", "BOOK_PORT")


def test_an_impossible_port_is_named() -> None:
    with pytest.raises(Refusal, match="Port 70000"):
        up.check_port(70000, "hub", "PORT")


def test_a_missing_module_is_named() -> None:
    with pytest.raises(Refusal, match="lacks no_such_module: run `make setup`"):
        up.check_modules(["sys", "no_such_module"])


def test_one_port_for_both_is_refused(here: Path) -> None:
    port = up.free_port()
    with pytest.raises(Refusal, match="cannot share"):
        up.serve(port, port)


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in the repository's root."""
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_an_old_python_is_named() -> None:
    done = run("import sys, runpy; sys.version_info = (3, 9, 1, 'final', 0); runpy.run_module('course.up')")
    assert done.returncode == 1
    assert done.stderr.startswith("This course needs Python 3.11 or newer")
    assert done.stderr.count("\n") == 1


def test_the_sentence_is_all_that_is_printed() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "course.up", "--port", port]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"Port {port}, meant for the hub, cannot be used")
    assert done.stderr.count("\n") == 1


BOOK_THAT_IS_LONG_IN_BUILDING = """
import pathlib, time
pathlib.Path("draft").write_text("")
pathlib.Path("draft").rename("begun")
time.sleep(600)
"""


@pytest.fixture
def book_build(here: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], up.BookBuild]:
    """Starts a build of the book that runs this code."""

    def begin(code: str) -> up.BookBuild:
        (here / "book").mkdir()
        (here / "book" / "build.py").write_text(code)
        build = up.BookBuild("a state", 8080, HUB)
        build.start()
        return build

    return begin


def test_a_stop_ends_the_build_of_the_book(
    here: Path, book_build: Callable[[str], up.BookBuild], capsys: pytest.CaptureFixture[str]
) -> None:
    build = book_build(BOOK_THAT_IS_LONG_IN_BUILDING)
    wait_until(lambda: (here / "begun").exists())
    build.stop()
    build.join(30)
    assert not build.is_alive() and build.group is not None and not runs(build.group)
    assert "failed" not in capsys.readouterr().out
    assert up.changed("book", "a state"), "the next start builds it"


def test_a_stop_before_the_build_began_ends_it_too(
    here: Path, book_build: Callable[[str], up.BookBuild], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(up.BookBuild, "start", lambda self: None)
    build = book_build(BOOK_THAT_IS_LONG_IN_BUILDING)
    build.stop()
    build.run()
    assert build.group is not None and not runs(build.group)


@pytest.mark.parametrize(
    ("code", "says", "built"),
    [
        (f"import os; assert os.environ['COURSE_HUB'] == '{HUB}'", "The book is built: http://127.0.0.1:8080/", True),
        ("raise SystemExit('gpt.md:3: WARNING')", "gpt.md:3: WARNING\n\nThe hub goes on without the book.", False),
    ],
    ids=["built", "failed"],
)
def test_the_build_of_the_book_says_how_it_ended(
    here: Path,
    book_build: Callable[[str], up.BookBuild],
    capsys: pytest.CaptureFixture[str],
    code: str,
    says: str,
    built: bool,
) -> None:
    build = book_build(code)
    build.join(60)
    assert says in capsys.readouterr().out
    assert up.changed("book", "a state") != built


def test_a_page_waits_for_the_book(here: Path) -> None:
    port = up.free_port()
    server = up.serve_book(port)
    try:
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/gpt.html", timeout=30)
        assert caught.value.code == 503 and "being built" in caught.value.read().decode()
        up.BOOK.mkdir(parents=True)
        (up.BOOK / "index.html").write_text("the book")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as page:
            assert page.read() == b"the book"
    finally:
        server.shutdown()
        server.server_close()


def test_passwords_are_kept_and_private(here: Path) -> None:
    first = up.password("student_password", 8)
    assert len(first) == 8
    assert up.password("student_password", 8) == first
    assert stat.S_IMODE((up.RUN / "student_password").stat().st_mode) == 0o600


def test_a_signal_during_a_step_stops_the_step_too(here: Path, tmp_path: Path) -> None:
    """SIGTERM reaches course.up alone; the step runs on in a session of its own, with a child, unless it is ended."""
    for name in ("__init__.py", "up.py"):
        (tmp_path / "course" / name).write_text((ROOT / "course" / name).read_text())
    (tmp_path / "course" / "assemble.py").write_text(
        "import os, pathlib, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "pathlib.Path('draft').write_text(f'{os.getpid()} {child.pid}')\n"
        "pathlib.Path('draft').rename('started')\n"
        "time.sleep(600)\n"
    )
    ports = ["--port", str(up.free_port()), "--book-port", str(up.free_port())]
    for name in ("nbgrader_config.py", "assignments"):
        (tmp_path / "course" / name).touch()
    (tmp_path / "solutions").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "course.up", *ports], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    wait_until(lambda: (tmp_path / "started").exists())
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert printed.endswith("Stopped.\n")
    for number in (tmp_path / "started").read_text().split():
        wait_until(lambda number=number: not runs(int(number)))


def runs(number: int) -> bool:
    """Whether a process of this number does anything still; one that nobody has waited for does not."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{number}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Return when the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
