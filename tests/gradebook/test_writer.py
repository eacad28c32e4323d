"""From judgements to the gradebook: what is new, what stays, what happens when something breaks. Nothing is run here:
a stand-in judges."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from filelock import FileLock
from nbgrader.api import Gradebook
from nbgrader.apps.api import NbGraderAPI
from sqlalchemy.exc import OperationalError

from course import ROOT, grading
from course.gradebook import autograde
from course.gradebook.autograde import Result, Run
from course.gradebook.preprocessors import CannotGrade, Grading, graft
from course.gradebook.store import ASKED, CHANGED, NEW, Store
from course.gradebook.writer import Writer, is_entered
from labkit.notebook import REPORT, VERDICT
from tests.support.toy_course import (
    RIGHT,
    SUBMISSIONS,
    StandIn,
    load,
    make_course,
    marked,
    source,
    submit,
    toy,
    write_source,
)

PATIENCE = 300  # seconds that a command may take on a busy machine


class Course:
    """The toy course at `root`, graded by a stand-in."""

    def __init__(self, root: Path):
        self.root, self.api, self.stand_in = root, grading.open_course(root), StandIn(root)
        self.store = Store(root)

    def run(self, student: str | None = None) -> Run:
        students = [student] if student else self.api.get_submitted_students("toy")
        return Run(self.api, load(self.root), students, again=student is not None)

    def grade(self, student: str | None = None) -> dict[str, Result]:
        return {result.student: result for result in self.run(student).results()}

    def scores(self, student: str) -> dict[str, tuple[float | None, float | None]]:
        """Automatic and manual score by test cell, as the gradebook has them."""
        with self.api.gradebook as gradebook:
            grades = gradebook.find_submission_notebook("toy", "toy", student).grades
            return {grade.name: (grade.auto_score, grade.manual_score) for grade in grades}

    def why(self) -> list[tuple[str, str, float | None, float | None, str]]:
        """The audit trail of automatic scores, without times and names."""
        return [(c.student, c.cell, c.old, c.new, c.why) for c in self.store.changes() if c.cell.startswith("test-")]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("template")
    make_course(root)
    return root


@pytest.fixture
def course(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Course:
    root = tmp_path / "new"
    shutil.copytree(template, root)
    course = Course(root)
    monkeypatch.setattr(autograde, "judge_many", course.stand_in)
    return course


def command(root: Path, *arguments: str) -> subprocess.Popen[str]:
    """The grading command in a process of its own, on that course, with the stand-in."""
    line = [sys.executable, "-m", "tests.support.toy_course", str(root), *arguments]
    return subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@contextlib.contextmanager
def interrupts_ignored() -> Iterator[None]:
    """As in a script that starts the tests in the background: what is started here inherits it."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def until(happened: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


# ------------------------------------------------------------------------------------------------------- what is graded


def test_points_come_into_the_gradebook(course: Course) -> None:
    for student, notebook in SUBMISSIONS.items():
        submit(course.root, student, notebook)
    results = course.grade()
    assert {s: (r.score, r.max_score, r.remark) for s, r in results.items()} == {
        "solved": (5, 5, None),
        "half": (2, 5, None),
        "blank": (0, 5, None),
    }
    assert course.scores("half") == {"test-double": (0, None), "test-count": (2, None)}
    graded = nbformat.read(course.root / "course/autograded/half/toy/toy.ipynb", as_version=4)
    cells = {cell.id: cell for cell in graded.cells}
    assert cells["test-double"].outputs[0].evalue == "double is wrong"
    assert cells["test-double"].metadata[VERDICT].earned == 0
    assert cells["test-count"].outputs == []
    assert cells["exercise-double"].outputs[0].name == "stderr"  # kept, and it costs nothing
    assert graded.metadata[REPORT].remarks == []
    assert not (course.store.run / "staged").exists()


def test_only_what_is_new_is_judged(course: Course) -> None:
    submit(course.root, "ann", SUBMISSIONS["half"])
    submit(course.root, "bob", SUBMISSIONS["solved"])
    assert set(course.grade()) == {"ann", "bob"}
    run = course.run()
    assert list(run.results()) == []
    assert run.unchanged == 2
    submit(course.root, "ann", SUBMISSIONS["solved"])
    assert {s: r.score for s, r in course.grade().items()} == {"ann": 5}
    assert course.stand_in.students == ["ann", "bob", "ann"]
    submit(course.root, "ann", SUBMISSIONS["half"])  # judged before
    assert {s: r.score for s, r in course.grade().items()} == {"ann": 2}
    assert course.stand_in.students == ["ann", "bob", "ann"]
    assert [line for line in course.why() if line[0] == "ann"] == [
        ("ann", "test-double", None, 0, NEW),
        ("ann", "test-count", None, 2, NEW),
        ("ann", "test-double", 0, 3, NEW),
        ("ann", "test-double", 3, 0, NEW),
    ]


def test_somebody_asked_for_is_judged_again(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    submit(course.root, "ann", SUBMISSIONS["half"])
    course.grade()
    monkeypatch.setitem(RIGHT, "double", "return x + 1")  # the judge changed its mind
    assert course.grade("ann")["ann"].score == 5
    assert course.why()[-1] == ("ann", "test-double", 0, 3, ASKED)


def test_the_seed_is_the_submissions_own(course: Course) -> None:
    submit(course.root, "ann", SUBMISSIONS["half"])
    submit(course.root, "bob", SUBMISSIONS["solved"])
    course.grade()
    course.grade("ann")
    seeds = [line.split() for line in (course.root / "judged").read_text().splitlines()]
    assert [student for student, _ in seeds] == ["ann", "bob", "ann"]
    assert seeds[0] == seeds[2]
    assert seeds[0][1] != seeds[1][1]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: (folder / "toy.ipynb").write_text('{"cells": ['), "could not be read"),
        (lambda folder: (folder / "toy.ipynb").unlink(), "no notebook"),
        (lambda folder: (folder / "toy.ipynb").write_bytes(b"\xff\x00\xfe"), "could not be read"),
    ],
)
def test_what_cannot_be_read_earns_nothing_and_is_told(course: Course, spoil: Callable, words: str) -> None:
    submit(course.root, "ann", SUBMISSIONS["solved"])
    spoil(submit(course.root, "bad", SUBMISSIONS["solved"]))
    results = course.grade()
    assert results["ann"].score == 5
    assert results["bad"].score == 0
    record = course.store.record("toy", "bad")
    assert record is not None
    assert record.remarks[0] == results["bad"].remark
    assert words in record.remarks[0]
    assert course.scores("bad") == {"test-double": (0, None), "test-count": (0, None)}
    graded = nbformat.read(course.root / "course/autograded/bad/toy/toy.ipynb", as_version=4)
    assert graded.metadata[REPORT].remarks == record.remarks
    assert course.stand_in.students == ["ann"]
    assert course.grade() == {}


def test_odd_files_beside_the_notebook_stop_nothing(course: Course) -> None:
    folder = submit(course.root, "ann", SUBMISSIONS["solved"], time="whenever I like")
    (folder / "secret.txt").symlink_to(course.store.run / "secret")
    os.mkfifo(folder / "pipe")
    (folder / "notes.txt").write_text("mine")
    assert course.grade()["ann"].score == 5
    kept = sorted(path.name for path in (course.root / "course/autograded/ann/toy").iterdir())
    assert kept == ["notes.txt", "toy.ipynb"]


def in_a_folder(folder: Path) -> None:
    (folder / "toy.ipynb").rename(folder / "handed-in")
    (folder / "toy.ipynb").mkdir()
    (folder / "handed-in").rename(folder / "toy.ipynb" / "toy.ipynb")
    (folder / "toy.ipynb" / "notes.txt").write_text("mine")


def file_for_data(folder: Path) -> None:
    (folder / "data").write_text("a file")


def data_as_given(folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "words.txt").write_text("given")


def data_and_more(folder: Path) -> None:
    data_as_given(folder)
    (folder / "data" / "mine.txt").write_text("mine")


def folder_for_a_file(folder: Path) -> None:
    (folder / "table.csv").mkdir()
    (folder / "table.csv" / "mine.txt").write_text("mine")


def folder_for_nbgraders_file(folder: Path) -> None:
    (folder / "timestamp.txt").mkdir()
    (folder / "timestamp.txt" / "mine.txt").write_text("mine")


def deep(folder: Path) -> None:
    here = os.open(folder, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d" * 10, dir_fd=here)
        below = os.open("d" * 10, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


def with_a_socket(folder: Path) -> None:
    with contextlib.chdir(folder), socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")  # a whole path may be too long for it
    os.mkfifo(folder / "pipe")


@pytest.mark.parametrize(
    ("change", "remark"),
    [
        (in_a_folder, "toy.ipynb is a folder"),
        (file_for_data, "Your file data lies where the assignment's own files are; those were used."),
        (data_as_given, None),
        (data_and_more, "Your file data/mine.txt lies where the assignment's own files are; those were used."),
        (folder_for_a_file, "Your file table.csv/mine.txt lies where the assignment's own files are; those were used."),
        (folder_for_nbgraders_file, None),
        (deep, "folders deeper than 8"),
        (with_a_socket, "Your file pipe is a pipe or a device"),
    ],
)
def test_what_lies_in_the_way_costs_nobody_points(
    course: Course, change: Callable, remark: str | None, request: pytest.FixtureRequest
) -> None:
    # pytest recurses into what it removes, one call a folder: the deep one is too deep for that.
    request.addfinalizer(lambda: subprocess.run(["rm", "-rf", course.root], check=True))
    given = course.root / "course/source/toy"
    (given / "data").mkdir()
    (given / "data" / "words.txt").write_text("given")
    (given / "table.csv").write_text("given")
    change(submit(course.root, "ann", SUBMISSIONS["half"]))
    submit(course.root, "bob", SUBMISSIONS["half"])
    results = course.grade()
    assert {s: (r.score, r.problem) for s, r in results.items()} == {"ann": (2, None), "bob": (2, None)}
    assert (remark or "") in (results["ann"].remark or "")
    assert (remark is None) == (results["ann"].remark is None)
    graded = course.root / "course/autograded/ann/toy"
    assert (graded / "data/words.txt").read_text() == (graded / "table.csv").read_text() == "given"
    assert course.grade() == {}


def test_names_that_are_patterns_are_names(course: Course) -> None:
    for student in ("[a]", "a", "{x}", "a+b", "ann; echo"):
        submit(course.root, student, SUBMISSIONS["half"], time="2026-11-20 10:00:00 UTC")
    assert {s: r.score for s, r in course.grade().items()} == dict.fromkeys(("[a]", "a", "{x}", "a+b", "ann; echo"), 2)
    assert course.grade() == {}


def test_what_is_no_submission_costs_itself(course: Course) -> None:
    for student in ("ann", os.fsdecode(b"caf\xe9"), "zoe"):
        submit(course.root, student, SUBMISSIONS["half"])
    (course.root / "course/submitted/bob").mkdir()
    (course.root / "course/submitted/bob/toy").write_text("a file where a folder should be")
    command_line = command(course.root, "autograde", "toy")
    shown, told = command_line.communicate(timeout=PATIENCE)
    assert command_line.returncode == 1
    assert told.startswith("Not graded: bob, caf")
    assert "course/submitted/bob/toy is not a folder: put what was handed in into a folder of that name." in shown
    assert "The folder's name is not UTF-8 text" in shown
    assert set(course.store.records("toy")) == {"ann", "zoe"}


def test_a_folder_that_cannot_be_written_costs_its_own_record(course: Course) -> None:
    for student in ("ann", "bob"):
        submit(course.root, student, SUBMISSIONS["half"])
    folder = course.store.folder("toy", "ann")
    folder.parent.mkdir(parents=True)
    folder.write_text("a file where the store has a folder")
    results = course.grade()
    assert (results["ann"].problem or "").startswith("NotADirectoryError")
    assert results["bob"].score == 2
    folder.unlink()
    assert {s: r.score for s, r in course.grade().items()} == {"ann": 2}


def test_a_judge_that_breaks_takes_no_points(course: Course) -> None:
    submit(course.root, "ann", SUBMISSIONS["half"])
    submit(course.root, "breaks", SUBMISSIONS["solved"])
    results = course.grade()
    assert results["ann"].score == 2
    assert results["breaks"].problem == "the judge broke"
    with course.api.gradebook as gradebook, pytest.raises(Exception, match="No such submission"):
        gradebook.find_submission("toy", "breaks")
    (course.root / "go").touch()
    assert {s: r.score for s, r in course.grade().items()} == {"breaks": 5}


def test_outputs_come_only_into_the_notebook_that_was_judged(course: Course) -> None:
    submit(course.root, "ann", SUBMISSIONS["half"])
    course.grade()
    record = course.store.record("toy", "ann")
    assert record is not None
    finished = course.store.get("toy", "ann", record.digest, record.version)
    assert finished is not None
    other = nbformat.from_dict(finished.judged.notebook)
    other.cells[1].source += "\n"
    with pytest.raises(CannotGrade, match="another version"):
        graft(other, finished)


# ----------------------------------------------------------------------------------------------- what people have given


def test_manual_scores_and_comments_survive(course: Course) -> None:
    submit(course.root, "ann", SUBMISSIONS["half"])
    course.grade()
    with course.api.gradebook as gradebook:
        grade = gradebook.find_grade("test-double", "toy", "toy", "ann")
        grade.manual_score, grade.extra_credit = 1.5, 0.5
        comment = gradebook.find_comment("exercise-double", "toy", "toy", "ann")
        comment.manual_comment = "Nearly."
        gradebook.db.commit()
    submit(course.root, "ann", SUBMISSIONS["blank"])
    assert course.grade()["ann"].score == 2  # 1.5 by hand and half a point on top
    assert course.scores("ann") == {"test-double": (0, 1.5), "test-count": (0, None)}
    with course.api.gradebook as gradebook:
        assert gradebook.find_comment("exercise-double", "toy", "toy", "ann").manual_comment == "Nearly."
        assert gradebook.find_grade("test-double", "toy", "toy", "ann").needs_manual_grade


def test_a_corrected_test_regrades_everyone(course: Course) -> None:
    for student in ("ann", "bob"):
        submit(course.root, student, SUBMISSIONS["half"])
    course.grade()
    with course.api.gradebook as gradebook:
        gradebook.find_grade("test-double", "toy", "toy", "bob").manual_score = 1
        gradebook.db.commit()
    corrected = source()
    corrected.cells[4].source += "\n# corrected"
    corrected.cells[4].metadata.nbgrader.points = 4
    write_source(course.root, corrected)
    with course.api.gradebook as gradebook:
        assert not is_entered(gradebook, load(course.root))
    results = course.grade()
    assert {s: (r.score, r.max_score) for s, r in results.items()} == {"ann": (4, 7), "bob": (5, 7)}
    assert course.scores("bob") == {"test-double": (0, 1), "test-count": (4, None)}
    assert course.why()[-2:] == [
        ("ann", "test-count", 2, 4, CHANGED),
        ("bob", "test-count", 2, 4, CHANGED),
    ]
    assert course.grade() == {}


def test_a_test_may_be_added_and_taken_out(course: Course) -> None:
    submit(course.root, "ann", SUBMISSIONS["half"])
    course.grade()
    with course.api.gradebook as gradebook:
        gradebook.find_grade("test-double", "toy", "toy", "ann").manual_score = 1
        gradebook.db.commit()
    corrected = source()
    del corrected.cells[4]
    corrected.cells.append(marked("test-double-more", "assert double(3) == 6, 'six'", 2))
    corrected.cells.append(marked("exercise-words", "def words():\n    ### BEGIN SOLUTION\n    ### END SOLUTION"))
    write_source(course.root, corrected)
    assert course.grade()["ann"].max_score == 5
    assert course.scores("ann") == {"test-double": (0, 1), "test-double-more": (0, None)}
    assert course.why()[-2:] == [
        ("ann", "test-count", 2, None, CHANGED),
        ("ann", "test-double-more", None, 0, CHANGED),
    ]


def test_the_same_submission_handed_in_later_is_late(course: Course) -> None:
    submit(course.root, "ann", SUBMISSIONS["half"], time="2026-11-20 10:00:00 UTC")
    course.grade()
    submit(course.root, "ann", SUBMISSIONS["half"], time="2026-11-22 10:00:00 UTC")
    assert set(course.grade()) == {"ann"}
    with course.api.gradebook as gradebook:
        assert gradebook.find_submission("toy", "ann").timestamp.day == 22
    assert course.stand_in.students == ["ann"]


def test_where_the_best_counts_the_same_submission_keeps_its_first_time(course: Course) -> None:
    rules = '[toy]\ndue = 2026-11-20T12:00:00\nlose_per_day = 1\nsubmissions = "best"\n'
    (course.root / "course/term.toml").write_text(rules)
    for handed_in in ("2026-11-20 10:00:00 UTC", "2026-11-22 10:00:00 UTC"):
        submit(course.root, "ann", SUBMISSIONS["half"], time=handed_in)
        assert set(course.grade()) == {"ann"}
        with course.api.gradebook as gradebook:
            assert gradebook.find_submission("toy", "ann").late_submission_penalty == 0
    assert course.grade() == {}


# ------------------------------------------------------------------------------------------------------ what goes wrong


def test_another_gradebook_is_filled_from_the_store(course: Course) -> None:
    submit(course.root, "ann", SUBMISSIONS["half"])
    course.grade()
    (course.root / "course" / "gradebook.db").unlink()
    assert course.grade()["ann"].score == 2
    shutil.rmtree(course.root / "course" / "autograded")
    assert course.grade()["ann"].score == 2
    assert course.stand_in.students == ["ann"]


def test_a_damaged_result_is_made_again(course: Course) -> None:
    submit(course.root, "ann", SUBMISSIONS["half"])
    course.grade()
    (kept,) = course.store.folder("toy", "ann").glob("*/*.json.gz")
    kept.write_bytes(b"damaged")
    shutil.rmtree(course.root / "course" / "autograded")
    run = course.run()
    assert [result.score for result in run.results()] == [2]
    assert "was damaged" in run.notices[0]
    assert course.stand_in.students == ["ann", "ann"]


def test_a_full_disk_loses_nothing(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    for student in ("ann", "bob", "zoe"):
        submit(course.root, student, SUBMISSIONS["half"])
    write = Writer.write

    def full(self: Writer, grading: Grading) -> object:
        if grading.student == "bob":
            raise OSError(28, "No space left on device")
        return write(self, grading)

    monkeypatch.setattr(Writer, "write", full)
    with pytest.raises(OSError, match="No space"):
        course.grade()
    monkeypatch.undo()
    monkeypatch.setattr(autograde, "judge_many", course.stand_in)
    assert {s: r.score for s, r in course.grade().items()} == {"bob": 2, "zoe": 2}
    assert course.stand_in.students == ["ann", "bob", "zoe"]


def test_a_failed_submission_is_not_half_in_the_gradebook(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    submit(course.root, "ann", SUBMISSIONS["half"])
    course.grade()
    submit(course.root, "ann", SUBMISSIONS["solved"])
    submit(course.root, "bob", SUBMISSIONS["solved"])
    find = Gradebook.find_grade

    def fails(self: Gradebook, cell: str, notebook: str, assignment: str, student: str) -> object:
        if (cell, student) == ("test-count", "ann"):
            raise RuntimeError("in the middle")
        return find(self, cell, notebook, assignment, student)

    monkeypatch.setattr(Gradebook, "find_grade", fails)
    results = course.grade()
    assert results["ann"].problem == "RuntimeError: in the middle"
    assert results["bob"].score == 5
    monkeypatch.setattr(Gradebook, "find_grade", find)
    assert course.scores("ann") == {"test-double": (0, None), "test-count": (2, None)}
    graded = nbformat.read(course.root / "course/autograded/ann/toy/toy.ipynb", as_version=4)
    assert "x + 1" in graded.cells[1].source
    assert {s: r.score for s, r in course.grade().items()} == {"ann": 5}


def test_a_gradebook_that_cannot_be_written(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    submit(course.root, "ann", SUBMISSIONS["half"])
    path = course.root / "course" / "gradebook.db"
    course.api.coursedir.db_url = f"sqlite:///file:{path}?mode=ro&uri=true"
    with pytest.raises(OperationalError, match="readonly"):
        course.grade()
    monkeypatch.setattr(grading, "open_course", lambda: course.api)
    monkeypatch.setattr(grading, "is_isolated", lambda _: True)
    monkeypatch.setattr(grading.Assignment, "load", lambda root, name: load(root))
    monkeypatch.setattr(sys, "argv", ["grading", "autograde", "toy"])
    with pytest.raises(SystemExit, match=r"gradebook\.db.* cannot be used: .*readonly.*goes on from there"):
        grading.main()


def test_two_commands_do_not_write_at_once(course: Course) -> None:
    submit(course.root, "ann", SUBMISSIONS["half"])
    (course.store.run / "grading.holder").write_text("ann, process 12")
    with (
        FileLock(course.store.run / "grading.lock"),
        pytest.raises(CannotGrade, match=r"\(ann, process 12\): wait"),
    ):
        course.grade()
    assert course.grade()["ann"].score == 2


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_was_stopped_is_continued(course: Course, how: signal.Signals) -> None:
    for student in ("ann", "bob", "waits", "zoe"):
        submit(course.root, student, SUBMISSIONS["half"])
    with interrupts_ignored():
        process = command(course.root, "autograde", "toy")
    until((course.root / "started").exists, process)
    second = command(course.root, "autograde", "toy")
    _, told = second.communicate(timeout=PATIENCE)
    assert second.returncode == 1
    assert f"process {process.pid}" in told
    process.send_signal(how)
    _, told = process.communicate(timeout=PATIENCE)
    if how == signal.SIGINT:
        assert process.returncode == 1
        assert told.splitlines()[-1].startswith("Interrupted; what was graded before is saved")
    assert set(course.store.records("toy")) == {"ann", "bob"}
    (course.root / "go").touch()
    third = command(course.root, "autograde", "toy")
    shown, told = third.communicate(timeout=PATIENCE)
    assert third.returncode == 0, told
    assert [line.split()[0] for line in shown.splitlines() if " of " in line] == ["waits", "zoe"]
    judged = [line.split()[0] for line in (course.root / "judged").read_text().splitlines()]
    assert judged == ["ann", "bob", "waits", "zoe"]


def test_a_run_killed_between_gradebook_and_record_is_mended(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    submit(course.root, "ann", SUBMISSIONS["half"])

    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("course.gradebook.writer.note", killed)
    with pytest.raises(KeyboardInterrupt):
        course.grade()
    monkeypatch.undo()
    monkeypatch.setattr(autograde, "judge_many", course.stand_in)
    assert course.scores("ann") == {"test-double": (0, None), "test-count": (2, None)}
    assert course.why() == []
    assert course.grade()["ann"].score == 2
    assert len(course.why()) == 2
    assert course.stand_in.students == ["ann"]


# ------------------------------------------------------------------------------------------------------------ Postgres


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """The address of a Postgres server that listens on a socket in a folder of its own."""
    pytest.importorskip("psycopg2")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    tools = found[-1] if found else Path(shutil.which("initdb") or "").parent
    if not (tools / "initdb").exists() or not (tools / "postgres").exists():
        pytest.skip("there is no Postgres server on this machine")
    become = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="pg") as name:  # short: a socket's path may have 107 characters
        folder = Path(name)
        if become:
            os.chown(folder, 65534, 65534)
        data = str(folder / "data")
        initdb = [*become, str(tools / "initdb"), "-D", data, "-U", "course", "-A", "trust", "--no-sync"]
        subprocess.run(initdb, check=True, capture_output=True, cwd=folder)
        options = ["-D", data, "-k", name, "-c", "listen_addresses=", "-c", "fsync=off"]
        log = (folder / "log").open("w")
        with log, contextlib.ExitStack() as stack:
            server = subprocess.Popen([*become, str(tools / "postgres"), *options], stdout=log, stderr=log, cwd=folder)
            stack.callback(server.wait)
            stack.callback(server.send_signal, signal.SIGINT)  # a fast shutdown
            until((folder / ".s.PGSQL.5432").exists, server)
            ready = [str(tools / "pg_isready"), "-h", name]
            until(lambda: subprocess.run(ready, capture_output=True, check=False).returncode == 0, server)
            yield f"postgresql+psycopg2://course@/postgres?host={name}"


def test_the_gradebook_may_be_postgres(
    postgres: str, template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "new"
    shutil.copytree(template, root)
    (root / "course" / "gradebook.db").unlink()
    monkeypatch.setenv("COURSE_DATABASE", postgres)
    course = Course(root)
    monkeypatch.setattr(autograde, "judge_many", course.stand_in)
    assert isinstance(course.api, NbGraderAPI)
    for student, notebook in SUBMISSIONS.items():
        submit(root, student, notebook)
    assert {s: r.score for s, r in course.grade().items()} == {"solved": 5, "half": 2, "blank": 0}
    assert course.grade() == {}
    corrected = toy(*(f"### BEGIN SOLUTION\n    {body}\n    ### END SOLUTION" for body in RIGHT.values()))
    del corrected.cells[4]
    write_source(root, corrected)
    assert {s: r.score for s, r in course.grade().items()} == {"solved": 3, "half": 0, "blank": 0}
    assert not (root / "course" / "gradebook.db").exists()
