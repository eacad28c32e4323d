"""The grading commands on a small course in a temporary folder: real nbgrader, the real judge, the real sandbox."""

import contextlib
import csv
import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nbformat
import pytest
from filelock import FileLock
from nbgrader.apps.api import NbGraderAPI
from nbgrader.auth import Authenticator
from nbgrader.coursedir import CourseDirectory
from nbgrader.exchange import ExchangeFactory
from nbgrader.utils import notebook_hash
from traitlets.config import Config, PyFileConfigLoader

from course import ROOT, grading
from course.gradebook import preprocessors as steps
from course.gradebook.autograde import Result
from course.gradebook.collect import CollectOwned, unchanged_since
from course.gradebook.preprocessors import CannotGrade, is_isolated
from course.gradebook.store import Store
from course.gradebook.writer import time_of
from course.grading import Refusal
from course.judging.assignment import Assignment
from course.judging.submission import Received
from course.judging.verdict import Judged
from course.sandbox import WITHOUT_SANDBOX
from labkit.notebook import VERDICT
from tests.support.sandboxed import needs_sandbox
from tests.support.toy_course import SUBMISSIONS, StandIn, judged, submit, toy

HALF = toy("import warnings; warnings.warn('mind'); return x + 1")
DIES = toy("import os; os._exit(1)")


@pytest.fixture(scope="module")
def graded(template: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[NbGraderAPI, Path, dict[str, Result]]:
    """The course with every submission graded once, in one batch with a damaged one."""
    needs_sandbox()
    root = tmp_path_factory.mktemp("graded") / "course"
    shutil.copytree(template, root, symlinks=True)
    api = grading.open_course(root)
    for student, notebook in {**SUBMISSIONS, "half": HALF, "dies": DIES}.items():
        submit(root, student, notebook)
    submit(root, "damaged", '{"cells": [')
    return api, root, {result.student: result for result in grading.autograde(api, "toy").results()}


def test_points_and_reasons(graded: tuple[NbGraderAPI, Path, dict[str, Result]]) -> None:
    _, root, results = graded
    assert {student: result.score for student, result in results.items()} == {
        "solved": 5,
        "half": 2,
        "blank": 0,
        "dies": 2,
        "damaged": 0,
    }
    assert "could not be read" in (results["damaged"].remark or "")
    cells = nbformat.read(root / "course" / "autograded" / "dies" / "toy" / "toy.ipynb", as_version=4).cells
    assert next(cell for cell in cells if cell.id == "test-double").metadata[VERDICT].message
    assert {result.problem for result in results.values()} == {None}
    assert results["solved"].seconds > 0


def test_feedback_and_export(
    graded: tuple[NbGraderAPI, Path, dict[str, Result]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, root, _ = graded
    written, released = grading.feedback(api, "toy")
    assert (written, released) == (5, 0)  # these came as files: there is nobody to release them to
    page = (root / "course" / "feedback" / "half" / "toy" / "toy.html").read_text()
    assert "double(2) should be 4" in page
    monkeypatch.setattr(grading, "open_course", lambda: api)
    monkeypatch.setattr(sys, "argv", ["grading", "export", "--to", str(tmp_path / "grades.csv")])
    grading.main()
    rows = {row["student_id"]: row for row in csv.DictReader((tmp_path / "grades.csv").open())}
    assert (rows["half"]["score"], rows["half"]["max_score"]) == ("2.0", "5.0")


def test_nbgraders_own_command_takes_the_same_steps(new_course: tuple[NbGraderAPI, Path]) -> None:
    needs_sandbox()
    api, root = new_course
    submit(root, "ann", HALF)
    submit(root, "bad", "nothing")
    command = [sys.executable, "-m", "nbgrader", "autograde", "toy"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=root / "course", env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    with api.gradebook as gradebook:
        assert gradebook.find_submission("toy", "ann").score == 2
        assert gradebook.find_submission("toy", "bad").score == 0
    record = Store(root).record("toy", "ann")
    assert record is not None
    assert record.scores == {"test-double": 0, "test-count": 2}
    run = grading.autograde(api, "toy")  # finds all of it in the gradebook
    assert list(run.results()) == []
    assert run.unchanged == 2


def test_nbgraders_own_command_waits_for_no_other_and_goes_on_after_a_failure(
    new_course: tuple[NbGraderAPI, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    api, root = new_course
    monkeypatch.setenv(WITHOUT_SANDBOX, "1")
    monkeypatch.setattr(steps, "Grader", Stub)
    for student in ("ann", "bob"):
        submit(root, student, HALF)
    with FileLock(root / "course" / "run" / "grading.lock"):
        outcome = api.autograde("toy", "ann")
    assert not outcome["success"]
    assert "Another grading command is writing" in outcome["log"]
    assert Store(root).records("toy") == {}
    monkeypatch.setattr(steps, "note", lambda *arguments: 1 / 0)
    assert not api.autograde("toy", "ann")["success"]
    monkeypatch.undo()
    monkeypatch.setenv(WITHOUT_SANDBOX, "1")
    monkeypatch.setattr(steps, "Grader", Stub)
    assert api.autograde("toy", "bob")["success"]
    with FileLock(root / "course" / "run" / "grading.lock", timeout=0):
        assert set(Store(root).records("toy")) == {"bob"}


class Stub:
    """Stands for a grader, with the stand-in's judgements."""

    def __init__(self, assignment: Assignment, *, isolated: bool):
        self.assignment = assignment

    def __enter__(self) -> "Stub":
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing runs."""

    def judge(self, received: Received, seed: int) -> Judged:
        return judged(received, self.assignment)


def test_without_the_sandbox_grading_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "why_not", lambda: "bubblewrap is missing: install the package bubblewrap.")
    monkeypatch.delenv(WITHOUT_SANDBOX, raising=False)
    with pytest.raises(CannotGrade, match=r"bubblewrap is missing.*--without-sandbox"):
        is_isolated()
    assert not is_isolated(without_sandbox=True)
    monkeypatch.setenv(WITHOUT_SANDBOX, "1")
    assert not is_isolated()
    monkeypatch.delenv(WITHOUT_SANDBOX)
    monkeypatch.setattr(steps, "why_not", lambda: None)
    assert is_isolated()


def test_without_the_sandbox_by_name(new_course: tuple[NbGraderAPI, Path]) -> None:
    api, root = new_course
    submit(root, "ann", HALF)
    assert [r.score for r in grading.autograde(api, "toy", isolated=False).results()] == [2]
    record = Store(root).record("toy", "ann")
    assert record is not None
    assert not record.isolated


# --------------------------------------------------------------------------------------------------- what is shown


def test_the_command_prints_a_table(
    new_course: tuple[NbGraderAPI, Path],
    stand_in: StandIn,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, root = new_course
    submit(root, "ann", SUBMISSIONS["half"])
    submit(root, "bad", "nothing")
    submit(root, "breaks", SUBMISSIONS["half"])
    monkeypatch.setattr(sys, "argv", ["grading", "autograde", "toy", "--scheduler", "tcp://there:8786"])
    with pytest.raises(SystemExit, match=r"^Not graded: breaks; the table says why"):
        grading.main()
    assert stand_in.options == {"scheduler": "tcp://there:8786", "isolated": True}
    lines = capsys.readouterr().out.splitlines()
    assert sorted(lines[:3]) == ["ann ... graded", "bad ... graded", "breaks ... not graded"]
    student, points, seconds, *_ = lines[4].split()
    assert (student, points, seconds) == ("student", "points", "seconds")
    assert "2 of 5" in lines[5]
    assert "could not be read" in lines[6]
    assert "not graded" in lines[7]
    assert "the judge broke" in lines[7]
    (root / "go").touch()
    grading.main()
    assert "breaks" in capsys.readouterr().out
    grading.main()
    assert "Every submission of toy is graded already" in capsys.readouterr().out


def test_a_terminal_sees_the_progress(new_course: tuple[NbGraderAPI, Path], stand_in: StandIn) -> None:
    _, root = new_course
    for number in range(3):
        submit(root, f"student-{number}", SUBMISSIONS["half"])
    import pty

    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "tests.support.toy_course", str(root), "autograde", "toy"]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 65536):
                shown += part
        except OSError:  # how Linux says that the other side has closed
            pass
        table, _ = process.communicate(timeout=60)
    os.close(ours)
    assert process.returncode == 0, shown
    assert b"3/3" in shown
    assert b"0 failed" in shown
    assert b"a minute" in shown
    assert table.count(b"2 of 5") == 3


def as_student(action: str, config: Config, student: str) -> None:
    """What the assignment list does for a student: `action` names a class of nbgrader's exchange."""
    config = Config(config)
    config.CourseDirectory.assignment_id = "toy"
    act = getattr(ExchangeFactory(config=config), action)
    act(coursedir=CourseDirectory(config=config), authenticator=Authenticator(config=config), config=config).start()


def test_through_the_exchange(
    new_course: tuple[NbGraderAPI, Path], stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    assert [(r.student, r.score) for r in grading.autograde(api, "toy").results()] == [("ann", 2)]
    assert grading.feedback(api, "toy") == (1, 1)
    as_student("FetchFeedback", student, "ann")
    (page,) = home.glob("toy/feedback/*/toy.html")
    assert "double is wrong" in page.read_text()


def test_nothing_is_published_while_a_run_is_under_way(new_course: tuple[NbGraderAPI, Path]) -> None:
    api, root = new_course
    with (
        FileLock(root / "course" / "run" / "grading.lock"),
        pytest.raises(CannotGrade, match="Another grading command is writing"),
    ):
        grading.publish(api)
    assert grading.publish(api) == ["toy"]


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


def test_feedback_goes_on_after_a_page_that_cannot_be_written(
    new_course: tuple[NbGraderAPI, Path], stand_in: StandIn
) -> None:
    api, root = new_course
    for student in ("ann", "zoe"):
        submit(root, student, SUBMISSIONS["half"])
    list(grading.autograde(api, "toy").results())
    broken = root / "course" / "autograded" / "ann" / "toy" / "toy.ipynb"
    broken.chmod(0o644)
    broken.write_text("{")
    with pytest.raises(Refusal) as refused:
        grading.feedback(api, "toy")
    ann, done = str(refused.value).splitlines()
    assert ann.startswith("The feedback for ann could not be written: ")
    assert done == "The other pages are written: 1."
    assert [p.parent.parent.name for p in (root / "course" / "feedback").glob("*/toy/toy.html")] == ["zoe"]


def test_feedback_for_one_whose_name_is_a_pattern(new_course: tuple[NbGraderAPI, Path], stand_in: StandIn) -> None:
    api, root = new_course
    grading.publish(api)
    for student in ("[a]", "a", "*"):
        folder = submit(root, student, SUBMISSIONS["half"], time="2026-11-20 10:00:00 UTC")
        (folder / "submission_secret.txt").write_text(f"secret of {student}")
    list(grading.autograde(api, "toy").results())
    pages, released = root / "course" / "feedback", root / "course" / "run" / "exchange" / "llm" / "feedback"
    assert grading.feedback(api, "toy", "[a]") == (1, 1)
    assert [page.relative_to(pages).as_posix() for page in pages.rglob("*.html")] == ["[a]/toy/toy.html"]
    assert [page.stem for page in released.iterdir()] == [notebook_hash(secret="secret of [a]", notebook_id="toy")]
    assert grading.feedback(api, "toy") == (3, 3)
    assert len(list(pages.rglob("*.html"))) == len(list(released.iterdir())) == 3


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


def test_collecting_goes_on_after_what_cannot_be_collected(
    inbound: Callable[[str], Path], new_course: tuple[NbGraderAPI, Path]
) -> None:
    api, root = new_course
    for student in ("ann", "file", "large", "odd", "there"):
        folder = inbound(student)
        if student == "file":
            shutil.rmtree(folder)
            folder.write_text("no folder")
        if student == "large":
            with (folder / "large.bin").open("wb") as file:
                file.truncate(101 * 10**6)
            submit(root, "large", SUBMISSIONS["half"], time="2026-11-19 10:00:00 UTC")
        if student == "odd":
            os.mkfifo(folder / "pipe")
            with contextlib.chdir(folder), socket.socket(socket.AF_UNIX) as listening:
                listening.bind("socket")  # a whole path may be too long for it
            deep = folder
            for _ in range(150):
                deep = deep / ("d" * 20)
            deep.mkdir(parents=True)
    submitted = root / "course" / "submitted"
    (submitted / "there").mkdir(parents=True)
    (submitted / "there" / "toy").write_text("a file where the copy belongs")
    told = "\n".join(grading.collect(api, "toy"))
    assert "file+toy+2026-11-20 10:00:00.000000 UTC+AAAAAAAAAAAA: it is not a folder." in told
    assert "it is larger than 100 MB." in told
    assert told.count("is a pipe, a socket or a device") == 2
    assert "lies in 20 folders, one in another" in told
    assert "there+toy" in told
    assert (submitted / "ann" / "toy" / "toy.ipynb").is_file()
    assert (submitted / "odd" / "toy" / "toy.ipynb").is_file()
    assert nbformat.read(submitted / "large/toy/toy.ipynb", as_version=4) == SUBMISSIONS["half"], "what was there stays"


def test_where_students_are_users_the_system_says_when_something_was_handed_in(
    inbound: Callable[[str], Path], new_course: tuple[NbGraderAPI, Path]
) -> None:
    _, root = new_course
    submission = inbound(pwd.getpwuid(os.getuid()).pw_name)  # in the name of long ago
    os.utime(submission / "toy.ipynb", (0, 0))
    config = grading.settings(root)
    config.ExchangeCollect.check_owner = True
    api = NbGraderAPI(config=config)
    (told,) = grading.collect(api, "toy")
    assert "was last changed at" in told
    (copy,) = (root / "course" / "submitted").glob("*/toy")
    moment = time_of((copy / "timestamp.txt").read_bytes())
    assert moment == unchanged_since(submission)
    assert datetime.now(UTC).replace(tzinfo=None) - moment < timedelta(hours=1)


def test_the_time_in_the_folders_name_counts_and_not_another_in_it(
    inbound: Callable[[str], Path], new_course: tuple[NbGraderAPI, Path]
) -> None:
    api, root = new_course
    (inbound("ann") / "timestamp.txt").write_text("2026-11-01 10:00:00.000000 UTC")
    grading.collect(api, "toy")
    stamp = root / "course" / "submitted" / "ann" / "toy" / "timestamp.txt"
    assert stamp.read_text() == "2026-11-20 10:00:00.000000 UTC"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["autograde", "tpy"], "There is no assignment 'tpy'; this course has toy."),
        (["autograde", "toy"], "Nobody has submitted 'toy'"),
        (["autograde"], "^Say which assignment, as in `make autograde ASSIGNMENT=toy`; there are toy.$"),
        (["autograde", "--student", "ann"], "^Say which assignment"),
        (["feedback"], "^Say which assignment, as in `make feedback ASSIGNMENT=toy`"),
        (["analytics"], "^Say which assignment, as in `make analytics ASSIGNMENT=toy`"),
        (["audit"], "^Say which assignment, as in `make audit ASSIGNMENT=toy`"),
        (["extend"], "^Say which assignment, as in `make extend ASSIGNMENT=toy`"),
        (["extend", "toy"], "^Say who gets more time, as in `make extend ASSIGNMENT=toy STUDENT=alice DAYS=2`.$"),
        (["feedback", "toy"], "No submission of 'toy' is graded yet"),
        (["export", "--to", "no/such/folder.csv"], "A file cannot be used"),
    ],
)
def test_refusals(
    new_course: tuple[NbGraderAPI, Path],
    stand_in: StandIn,
    arguments: list[str],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["grading", *arguments])
    with pytest.raises(SystemExit, match=sentence):
        grading.main()


def test_a_python_without_the_courses_packages_says_which_one_has_them() -> None:
    command = [sys.executable, "-S", "-m", "course.grading", "autograde"]  # -S: no installed packages
    done = subprocess.run(command, cwd=ROOT, env={}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert "lacks the course's packages: use the Python of its environment" in line


def test_a_source_that_cannot_be_read_is_named(
    new_course: tuple[NbGraderAPI, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    api, root = new_course
    submit(root, "ann", SUBMISSIONS["half"])
    monkeypatch.setattr(grading, "open_course", lambda: api)
    monkeypatch.setattr(grading, "is_isolated", lambda _: True)
    monkeypatch.setattr(sys, "argv", ["grading", "autograde", "toy"])
    path = root / "course" / "source" / "toy" / "toy.ipynb"
    path.write_text("{")
    with pytest.raises(SystemExit, match=r"cannot be read.*run `make exercises` again"):
        grading.main()
    path.unlink()
    with pytest.raises(SystemExit, match="run `make exercises` first"):
        grading.main()


def test_a_damaged_gradebook_is_named(
    new_course: tuple[NbGraderAPI, Path], stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, root = new_course
    (root / "course" / "gradebook.db").write_text("not a database, but long enough to be taken for one" * 100)
    monkeypatch.setattr(sys, "argv", ["grading", "autograde", "toy"])
    with pytest.raises(SystemExit, match=r"gradebook\.db cannot be used"):
        grading.main()


def test_a_part_that_is_missing_is_named(
    new_course: tuple[NbGraderAPI, Path], stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, root = new_course
    submit(root, "ann", SUBMISSIONS["half"])
    api.config.Autograde.autograde_preprocessors = ["course.no_such_part.Step"]
    monkeypatch.setattr(grading, "open_course", lambda: api)
    monkeypatch.setattr(sys, "argv", ["grading", "autograde", "toy"])
    with pytest.raises(SystemExit, match=r"nbgrader_config\.py names.*no_such_part"):
        grading.main()


def test_no_assignment_is_assembled(new_course: tuple[NbGraderAPI, Path]) -> None:
    api, root = new_course
    shutil.rmtree(root / "course" / "source")
    with pytest.raises(Refusal, match="make exercises"):
        grading.publish(api)


def test_unused_names_are_gone() -> None:
    """The settings name classes by text: each must exist."""
    config = grading.settings()
    named = [*config.Autograde.sanitize_preprocessors, *config.Autograde.autograde_preprocessors]
    for name in [*named, config.Autograde.exporter_class, config.ExchangeFactory.collect]:
        module, _, attribute = name.rpartition(".")
        assert hasattr(__import__(module, fromlist=[attribute]), attribute), name
    assert config.ExchangeFactory.collect.endswith(CollectOwned.__name__)
    json.dumps(config)  # plain data only: formgrader shows the settings as JSON
