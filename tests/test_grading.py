"""The grading step and its commands, on a small course in a temporary folder: real nbgrader, real kernels."""

import csv
import json
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from nbgrader.apps.api import NbGraderAPI
from nbgrader.auth import Authenticator
from nbgrader.coursedir import CourseDirectory
from nbgrader.exchange import ExchangeFactory
from traitlets.config import Config, PyFileConfigLoader

from course import grading
from course.grading import CollectOwned, Refusal, Result

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 240  # the toy notebook's time limit: out of reach on a busy machine


def cell(grade_id: str, source: str, points: int = 0) -> nbformat.NotebookNode:
    """An exercise cell, or a test cell where there are points."""
    marks = {
        "grade_id": grade_id,
        "schema_version": 3,
        "grade": points > 0,
        "solution": points == 0,
        "locked": points > 0,
    }
    if points:
        marks["points"] = points
    return new_code_cell(source, id=grade_id, metadata={"nbgrader": marks | {"task": False}})


def toy(double: str, count: str) -> nbformat.NotebookNode:
    """An assignment of two exercises; the arguments are the bodies of the two functions."""
    return new_notebook(
        cells=[
            cell("double", f"def double(x):\n    {double}"),
            cell("test-double", "assert double(2) == 4, 'double(2) should be 4'", 3),
            cell("count", f"def count(words):\n    {count}"),
            cell("test-count", "assert count(['a', 'b']) == 2, 'two words'", 2),
            cell("seed", "import os\nprint('seed', os.environ['COURSE_GRADING_SEED'])", 1),
        ],
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "course": {"title": "Toy", "points": 6, "seconds": SECONDS},
        },
    )


SOLVED = ("return x * 2", "return len(words)")
SUBMISSIONS = {
    "solved": toy(*SOLVED),
    "other": toy("return x + x", "return len(words)"),
    "half": toy("return x + 1", "return len(words)"),
    "warns": toy("import torch; torch.tensor(torch.ones(1)); return x * 2", "return len(words)"),
    "exits": toy("import os; os._exit(1)", "return len(words)"),
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course with the real settings and the toy assignment released; `new_course` copies it."""
    root = tmp_path_factory.mktemp("template")
    source = root / "course" / "source" / "toy"
    source.mkdir(parents=True)
    for name in ("__init__.py", "nbgrader_config.py", "grading.py"):
        shutil.copy(ROOT / "course" / name, root / "course" / name)
    marked = toy(*(f"### BEGIN SOLUTION\n    {body}\n    ### END SOLUTION" for body in SOLVED))
    nbformat.write(marked, source / "toy.ipynb")
    exchange = root / "course" / "run" / "exchange"
    exchange.mkdir(parents=True)
    exchange.chmod(0o777)
    outcome = grading.open_course(root).generate_assignment("toy")
    assert outcome["success"], outcome
    return root


@pytest.fixture
def new_course(template: Path, tmp_path: Path) -> tuple[NbGraderAPI, Path]:
    """A fresh copy of the course, and where it lies."""
    root = tmp_path / "new"
    shutil.copytree(template, root)
    return grading.open_course(root), root


def submit_file(root: Path, student: str, text: str) -> None:
    """Put a submission where collect would."""
    folder = root / "course" / "submitted" / student / "toy"
    folder.mkdir(parents=True)
    (folder / "toy.ipynb").write_text(text)


@pytest.fixture(scope="module")
def graded(template: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[NbGraderAPI, Path, dict[str, Result]]:
    """The course with every submission graded once, in one batch with a damaged one."""
    root = tmp_path_factory.mktemp("graded") / "course"
    shutil.copytree(template, root)
    api = grading.open_course(root)
    for student, notebook in SUBMISSIONS.items():
        submit_file(root, student, nbformat.writes(notebook))
    submit_file(root, "damaged", '{"cells": [')
    return api, root, {result.student: result for result in grading.autograde(api, "toy")}


def seed_of(root: Path, student: str) -> str:
    """The grading seed that the submission's last cell printed."""
    notebook = nbformat.read(root / "course" / "autograded" / student / "toy" / "toy.ipynb", as_version=4)
    return str(notebook.cells[-1].outputs[0].text)


def test_release_keeps_the_solution_back(graded: tuple[NbGraderAPI, Path, dict[str, Result]]) -> None:
    _, root, _ = graded
    text = (root / "exercises" / "toy" / "toy.ipynb").read_text()
    assert "def double(x)" in text
    assert "x * 2" not in text


def test_points(graded: tuple[NbGraderAPI, Path, dict[str, Result]]) -> None:
    _, _, results = graded
    assert (results["solved"].score, results["solved"].max_score) == (6, 6)
    assert results["half"].score == 3


def test_a_failed_submission_stops_no_other(graded: tuple[NbGraderAPI, Path, dict[str, Result]]) -> None:
    _, _, results = graded
    assert set(results) == {*SUBMISSIONS, "damaged"}
    assert "not a readable file" in (results["damaged"].problem or "")
    assert "ended before its time" in (results["exits"].problem or "")
    assert [name for name, result in results.items() if result.problem] == ["damaged", "exits"]


def test_a_warning_costs_nothing(graded: tuple[NbGraderAPI, Path, dict[str, Result]]) -> None:
    api, root, results = graded
    assert results["warns"].score == 6
    # the control: without that one part of the step, the same submission loses the test's points
    config = grading.settings(root)
    config.Autograde.autograde_preprocessors.remove("course.grading.DropStderr")
    bare = NbGraderAPI(config=config)
    assert [r.score for r in grading.autograde(bare, "toy", "warns")] == [3]
    assert [r.score for r in grading.autograde(api, "toy", "warns")] == [6]


def test_an_endless_loop_costs_its_own_points_only(new_course: tuple[NbGraderAPI, Path]) -> None:
    api, root = new_course
    source = root / "course" / "source" / "toy" / "toy.ipynb"
    notebook = nbformat.read(source, as_version=4)
    notebook.metadata.course.seconds = 12
    nbformat.write(notebook, source)
    submit_file(root, "loops", nbformat.writes(toy("while True: pass", "return len(words)")))
    (result,) = grading.autograde(api, "toy")
    assert result.score == 3
    # nbgrader knows limits for a cell only, and its own is 30 seconds; half of what is left is at most 6 here
    graded = nbformat.read(root / "course" / "autograded" / "loops" / "toy" / "toy.ipynb", as_version=4)
    assert graded.cells[1].outputs[-1].ename == "CellTimeoutError"
    assert result.seconds < 30


def test_the_seed_is_the_submissions_own(graded: tuple[NbGraderAPI, Path, dict[str, Result]]) -> None:
    api, root, _ = graded
    seeds = {name: seed_of(root, name) for name in ("solved", "other", "half")}
    assert len(set(seeds.values())) == 3
    list(grading.autograde(api, "toy", "half"))
    assert seed_of(root, "half") == seeds["half"]
    assert stat.S_IMODE((root / "course" / "run" / "secret").stat().st_mode) == 0o600


def test_the_seed_needs_the_secret(tmp_path: Path) -> None:
    submission = tmp_path / "a.ipynb"
    submission.write_text("the same")
    one, two = (grading.secret(tmp_path / name) for name in "ab")
    assert grading.secret(tmp_path / "a") == one
    assert grading.grading_seed(submission, one) == grading.grading_seed(submission, one)
    assert grading.grading_seed(submission, one) != grading.grading_seed(submission, two)


def test_feedback_and_export(graded: tuple[NbGraderAPI, Path, dict[str, Result]], tmp_path: Path) -> None:
    api, root, _ = graded
    written, released = grading.feedback(api, "toy")
    assert (written, released) == (4, 0)  # these came as files: there is nobody to release them to
    page = (root / "course" / "feedback" / "half" / "toy" / "toy.html").read_text()
    assert "double(2) should be 4" in page
    assert "3.0 / 6.0" in " ".join(page.split())
    grading.export(api, tmp_path / "grades.csv")
    rows = {row["student_id"]: row for row in csv.DictReader((tmp_path / "grades.csv").open())}
    assert (rows["half"]["score"], rows["half"]["max_score"]) == ("3.0", "6.0")


def test_only_new_submissions_are_graded(
    graded: tuple[NbGraderAPI, Path, dict[str, Result]], capsys: pytest.CaptureFixture[str]
) -> None:
    api, root, _ = graded
    submit_file(root, "late", nbformat.writes(SUBMISSIONS["solved"]))
    assert {r.student for r in grading.autograde(api, "toy")} == {"late", "damaged", "exits"}


def test_nbgraders_own_command_takes_the_same_step(new_course: tuple[NbGraderAPI, Path]) -> None:
    api, root = new_course
    submit_file(root, "warns", nbformat.writes(SUBMISSIONS["warns"]))
    command = [sys.executable, "-m", "nbgrader", "autograde", "toy"]
    done = subprocess.run(command, cwd=root / "course", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with api.gradebook as gradebook:
        assert gradebook.find_submission("toy", "warns").score == 6
    assert seed_of(root, "warns").startswith("seed ")


def test_an_interrupt_stops_the_batch_and_the_next_run_goes_on(new_course: tuple[NbGraderAPI, Path]) -> None:
    api, root = new_course
    started = root / "started"
    waits = toy(f"open({str(started)!r}, 'w').close()\n    while True: pass", "return len(words)")
    submit_file(root, "ann", nbformat.writes(waits))
    submit_file(root, "zoe", nbformat.writes(SUBMISSIONS["half"]))
    command = [sys.executable, "-m", "course.grading", "autograde", "toy"]
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not started.exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert told.splitlines()[-1].startswith("Interrupted; what was graded before is saved")
    assert api.get_autograded_students("toy") == set()
    submit = root / "course" / "submitted" / "ann" / "toy" / "toy.ipynb"
    submit.write_text(nbformat.writes(SUBMISSIONS["solved"]))
    assert [(r.student, r.score) for r in grading.autograde(api, "toy")] == [("ann", 6), ("zoe", 3)]


def test_the_command_prints_a_table_and_fails(new_course: tuple[NbGraderAPI, Path]) -> None:
    _, root = new_course
    submit_file(root, "ann", nbformat.writes(SUBMISSIONS["half"]))
    submit_file(root, "zoe", "nothing")
    command = [sys.executable, "-m", "course.grading", "autograde", "toy"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "3 of 6" in done.stdout
    assert "not a readable file" in done.stdout
    assert done.stderr == "Could not grade zoe: the table says why. The others' grades are saved.\n"


def as_student(action: str, config: Config, student: str) -> None:
    """What the assignment list does for a student: `action` names a class of nbgrader's exchange."""
    config = Config(config)
    config.CourseDirectory.assignment_id = "toy"
    act = getattr(ExchangeFactory(config=config), action)
    act(coursedir=CourseDirectory(config=config), authenticator=Authenticator(config=config), config=config).start()


def test_through_the_exchange(
    new_course: tuple[NbGraderAPI, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, root = new_course
    assert grading.publish(api, ["ann"]) == ["toy"]
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    monkeypatch.setenv("JUPYTERHUB_USER", "ann")
    monkeypatch.setenv("COURSE_EXCHANGE", str(root / "course" / "run" / "exchange"))
    settings = ROOT / "course" / "deploy" / "student"
    student = PyFileConfigLoader("nbgrader_config.py", path=str(settings)).load_config()
    student.Exchange.cache = str(home / "cache")
    as_student("FetchAssignment", student, "ann")
    (home / "toy" / "toy.ipynb").write_text(nbformat.writes(SUBMISSIONS["half"]))
    as_student("Submit", student, "ann")
    grading.collect(api, "toy")
    assert [(r.student, r.score) for r in grading.autograde(api, "toy")] == [("ann", 3)]
    assert grading.feedback(api, "toy") == (1, 1)
    as_student("FetchFeedback", student, "ann")
    (page,) = home.glob("toy/feedback/*/toy.html")
    assert "3.0 / 6.0" in " ".join(page.read_text().split())


@pytest.fixture
def inbound(new_course: tuple[NbGraderAPI, Path]) -> Callable[[str], Path]:
    """Makes a submission lie in the exchange's inbound folder, in the name of the given student."""
    folder = new_course[1] / "course" / "run" / "exchange" / "llm" / "inbound"

    def make(student: str) -> Path:
        submission = folder / f"{student}+toy+2026-11-20 10:00:00.000000 UTC+AAAAAAAAAAAA"
        submission.mkdir(parents=True)
        (submission / "toy.ipynb").write_text(nbformat.writes(SUBMISSIONS["solved"]))
        (submission / "timestamp.txt").write_text("2026-11-20 10:00:00.000000 UTC")
        return submission

    return make


def test_collect_copies_no_link(inbound: Callable[[str], Path], new_course: tuple[NbGraderAPI, Path]) -> None:
    api, root = new_course
    submission = inbound("ann")
    (submission / "toy.ipynb").unlink()
    (submission / "toy.ipynb").symlink_to(root / "course" / "source" / "toy" / "toy.ipynb")
    grading.collect(api, "toy")
    copied = root / "course" / "submitted" / "ann" / "toy"
    assert [path.name for path in copied.iterdir()] == ["timestamp.txt"]


def test_collect_leaves_out_what_another_user_made(
    inbound: Callable[[str], Path], new_course: tuple[NbGraderAPI, Path]
) -> None:
    _, root = new_course
    me = pwd.getpwuid(os.getuid()).pw_name
    mine = inbound(me)
    inbound("somebody-else")
    (mine.parent / f"{me}+toy+no time at all").mkdir()
    config = grading.settings(root)
    config.ExchangeCollect.check_owner = True
    grading.collect(NbGraderAPI(config=config), "toy")
    assert [path.name for path in (root / "course" / "submitted").iterdir()] == [me]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["autograde", "tpy"], "There is no assignment 'tpy'; this course has toy."),
        (["autograde", "toy"], "Nobody has submitted 'toy'"),
        (["feedback", "toy"], "No submission of 'toy' is graded yet"),
        (["export", "--to", "no/such/folder.csv"], "A file cannot be used"),
    ],
)
def test_refusals(
    new_course: tuple[NbGraderAPI, Path], arguments: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, _ = new_course
    monkeypatch.setattr(grading, "open_course", lambda: api)
    monkeypatch.setattr(sys, "argv", ["grading", *arguments])
    with pytest.raises(SystemExit, match=sentence):
        grading.main()


def test_a_damaged_gradebook_is_named(new_course: tuple[NbGraderAPI, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    api, root = new_course
    (root / "course" / "gradebook.db").write_text("not a database, but long enough to be taken for one" * 100)
    monkeypatch.setattr(grading, "open_course", lambda: api)
    monkeypatch.setattr(sys, "argv", ["grading", "autograde", "toy"])
    with pytest.raises(SystemExit, match=r"gradebook\.db cannot be used"):
        grading.main()


def test_no_assignment_is_assembled(new_course: tuple[NbGraderAPI, Path]) -> None:
    api, root = new_course
    shutil.rmtree(root / "course" / "source")
    with pytest.raises(Refusal, match="make exercises"):
        grading.publish(api)


def test_unused_names_are_gone() -> None:
    """The settings name classes by text: each must exist."""
    config = grading.settings()
    for name in [*config.Autograde.autograde_preprocessors, config.ExchangeFactory.collect]:
        module, _, attribute = name.rpartition(".")
        assert hasattr(__import__(module, fromlist=[attribute]), attribute), name
    assert config.ExchangeFactory.collect.endswith(CollectOwned.__name__)
    json.dumps(config)  # plain data only: formgrader shows the settings as JSON
