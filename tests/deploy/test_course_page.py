"""What the student's course page knows and does, through a real exchange on the disk."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import pytest
from traitlets.config import PyFileConfigLoader

from course import ROOT, grading
from course.deploy.student.course_page.assignments import Standing, Student, StudentError
from course.watch import Watch, status_file
from tests.support.toy_course import SUBMISSIONS, StandIn, load, make_course

SETTINGS = ROOT / "course" / "deploy" / "student"


@dataclass
class Class:
    """A course that has released the toy assignment, and one of its students."""

    root: Path
    student: Student

    @property
    def exchange(self) -> Path:
        return self.root / "course" / "run" / "exchange" / "llm"

    @property
    def toy(self) -> Standing:
        """How it stands with the student's toy assignment."""
        (standing,) = self.student.standings()
        return standing

    def write(self, which: str) -> None:
        """Save an answer in the student's copy."""
        self.student.notebook("toy").write_text(nbformat.writes(SUBMISSIONS[which]))

    def due(self, when: str) -> None:
        """Write a due date into the term's file and let the instructor's next command announce it."""
        (self.root / "course" / "term.toml").write_text(
            f'timezone = "Europe/Amsterdam"\n[toy]\ndue = {when}\nlose_per_day = "10%"\n'
        )
        grading.update(grading.open_course(self.root))

    def grade(self) -> None:
        """Collect, grade and release what was submitted."""
        api = grading.open_course(self.root)
        grading.collect(api, "toy")
        list(grading.autograde(api, "toy").results())
        grading.feedback(api, "toy")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course that has released the toy assignment; `course` copies it."""
    root = tmp_path_factory.mktemp("template")
    api = make_course(root)
    (root / "book").mkdir()
    (root / "book" / "toy.md").write_text("# Toys\n")
    (root / "_config.yml").write_text("title: A course\n")
    grading.publish(api, ["ann"])
    grading.update(api)
    return root


@pytest.fixture
def course(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Class:
    root, home = tmp_path / "course", tmp_path / "home"
    shutil.copytree(template, root)
    home.mkdir()
    monkeypatch.setattr(grading, "Assignment", SimpleNamespace(load=load))
    monkeypatch.setattr("course.gradebook.autograde.judge_many", StandIn(root))
    with monkeypatch.context() as environment:
        environment.setenv("JUPYTERHUB_USER", "ann")
        environment.setenv("COURSE_EXCHANGE", str(root / "course" / "run" / "exchange"))
        settings = PyFileConfigLoader("nbgrader_config.py", path=str(SETTINGS)).load_config()
    settings.Exchange.cache = str(tmp_path / "cache")
    return Class(root, Student(home, "https://book.example", settings))


def test_where_a_submission_stands_with_a_grader_that_watches_is_told(course: Class) -> None:
    course.student.fetch("toy")
    course.write("half")
    course.student.submit("toy")
    (course.root / "course" / "term.toml").write_text("[toy]\nmarks_an_hour = 1\n")
    watching, now = Watch(grading.open_course(course.root)), datetime.now(UTC)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watching, "_grade", lambda name, batch: [])
        watching.round(now)
    assert course.toy.notes == ["It is being graded now. The mark comes here."]
    assert [r.score for r in watching.round(now)] == [2]
    assert (course.toy.state, course.toy.notes) == ("graded", [])
    course.write("solved")
    course.student.submit("toy")
    assert watching.round(now) == []
    kept, earlier = course.toy.notes
    assert kept.startswith("You have had all marks of this hour. This one is kept and graded on ")
    assert earlier == "The mark is that of an earlier submission."


@pytest.mark.parametrize(
    ("status", "says"),
    [
        ({"state": "waiting", "place": 3}, "number 3 of those that wait"),
        ({"state": "later", "time": ""}, "graded when your instructor grades"),
        ({"state": "failed"}, "It is kept, and your instructor's next command tries again"),
        ({"state": "graded", "score": None}, "comes here when your instructor releases it"),
    ],
)
def test_each_status_is_a_sentence(course: Class, status: dict[str, Any], says: str) -> None:
    course.student.fetch("toy")
    course.student.submit("toy")
    (secret,) = course.exchange.glob("inbound/*/submission_secret.txt")
    told = status_file(course.exchange.parent, "llm", secret.read_text())
    told.parent.mkdir(exist_ok=True)
    told.write_text(json.dumps(status))
    (note,) = course.toy.notes
    assert says in note


def test_from_released_to_graded(course: Class) -> None:
    toy = course.toy
    assert (toy.title, toy.points, toy.state, toy.next) == ("Toy", 5, "not fetched", "open")
    assert toy.chapter == {"title": "Toys", "address": "https://book.example/toy.html"}
    assert course.student.course().title == "A course"
    assert toy.due is None and toy.mark is None and toy.submitted is None

    assert course.student.fetch("toy") == course.student.notebook("toy")
    assert (course.toy.state, course.toy.next) == ("fetched", "open")
    course.write("half")
    assert (course.toy.state, course.toy.next) == ("fetched", "submit")

    said = course.student.submit("toy")
    assert said.startswith("Submitted: Toy, as you saved it on ")
    assert (course.toy.state, course.toy.next) == ("submitted", "open")
    assert course.toy.notes == ["Submitted. The mark comes here when it is released."]

    course.grade()
    toy = course.toy
    assert (toy.state, toy.next) == ("graded", "feedback")
    assert toy.mark is not None and (toy.mark.earned, toy.mark.points, toy.mark.seen) == (2, 5, False)
    page = course.student.feedback("toy")
    assert page.is_relative_to(course.student.home / "toy" / "feedback")
    assert "double is wrong" in page.read_text()
    assert course.toy.mark is not None and course.toy.mark.seen

    # After the feedback the student goes on; the mark stays until the next one comes.
    course.write("solved")
    assert (course.toy.state, course.toy.next) == ("graded", "submit")
    course.student.submit("toy")
    assert (course.toy.state, course.toy.next) == ("submitted", "feedback")
    assert "The mark is that of an earlier submission." in course.toy.notes
    course.grade()
    assert course.toy.mark is not None and (course.toy.mark.earned, course.toy.mark.is_of_last) == (5, True)


def test_running_a_notebook_is_no_change(course: Class) -> None:
    notebook = nbformat.read(course.student.fetch("toy"), as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.execution_count, cell.outputs = 1, [nbformat.v4.new_output("stream", text="ran")]
    nbformat.write(notebook, course.student.notebook("toy"))
    assert course.toy.next == "open"


def test_fetching_again_writes_nothing_over(course: Class) -> None:
    course.student.fetch("toy")
    course.write("half")
    mine = course.student.notebook("toy").read_text()
    course.student.fetch("toy")
    assert course.student.notebook("toy").read_text() == mine
    course.student.notebook("toy").unlink()
    assert course.toy.state == "not fetched"
    assert course.student.fetch("toy").is_file()


def without_exchange(course: Class) -> None:
    shutil.rmtree(course.exchange)


def renamed(course: Class) -> None:
    course.student.fetch("toy").rename(course.student.home / "toy" / "mine.ipynb")


def too_large(course: Class) -> None:
    course.student.fetch("toy")
    with (course.student.home / "toy" / "film.mp4").open("wb") as file:
        file.truncate(200 * 10**6)


def fetched(course: Class) -> None:
    course.student.fetch("toy")


def submitted(course: Class) -> None:
    course.student.fetch("toy")
    course.student.submit("toy")


def nothing(course: Class) -> None:
    pass


@pytest.mark.parametrize(
    ("before", "action", "name", "says"),
    [
        (without_exchange, "fetch", "toy", "exchange folder cannot be reached.*files are as they were.*Tell your inst"),
        (without_exchange, "submit", "toy", "exchange folder cannot be reached"),
        (nothing, "fetch", "gone", "no assignment “gone” for you.*Choose one of those listed"),
        (nothing, "submit", "toy", "Nothing was submitted: you have not fetched “Toy” yet. Press “Fetch and open”"),
        (renamed, "submit", "toy", r"no toy\.ipynb in your folder toy, only mine\.ipynb.*give it back the name"),
        (too_large, "submit", "toy", "Nothing was submitted: “Toy” could not be copied.*too big.*as they were"),
        (nothing, "feedback", "toy", "you have not submitted it yet"),
        (submitted, "feedback", "toy", "has not released it. Your submission of .* is safe"),
    ],
)
def test_what_goes_wrong_is_a_sentence_and_loses_nothing(
    course: Class, before: Callable[[Class], None], action: str, name: str, says: str
) -> None:
    before(course)
    files = {path: path.read_bytes() for path in course.student.home.rglob("*.ipynb")}
    inbound = sorted(os.listdir(course.exchange / "inbound")) if course.exchange.is_dir() else []
    with pytest.raises(StudentError, match=f"(?s){says}"):
        getattr(course.student, action)(name)
    assert {path: path.read_bytes() for path in course.student.home.rglob("*.ipynb")} == files
    assert (sorted(os.listdir(course.exchange / "inbound")) if course.exchange.is_dir() else []) == inbound


def test_a_due_date_and_what_is_late(course: Class) -> None:
    course.due("2100-12-01T23:59:00")
    toy = course.toy
    assert toy.due is not None and not toy.is_past_due
    assert (toy.due.at, toy.due.text) == ("2100-12-01T22:59:00+00:00", "Wed 1 December 2100, 23:59 CET")

    course.due("2026-03-01")
    assert course.toy.is_past_due
    (note,) = course.toy.notes
    assert "You can still submit it (10% lost for each day begun; the last submission counts)." in note
    course.student.fetch("toy")
    assert "It was due on Sun 1 March 2026, 23:59 CET, so it counts as late" in course.student.submit("toy")


def test_the_books_order_and_what_is_not_released(course: Class) -> None:
    """The syllabus gives the order; only what is in the exchange is listed."""
    released = course.exchange / "outbound"
    for name in ("alpha", "zeta"):
        shutil.copytree(released / "toy", released / name)
    path = course.exchange / "syllabus.json"
    syllabus = json.loads(path.read_text())
    (toy,) = syllabus["assignments"]
    syllabus["assignments"] = [toy | {"name": name} for name in ("zeta", "withdrawn", "toy")]
    path.write_text(json.dumps(syllabus))
    assert [standing.name for standing in course.student.standings()] == ["zeta", "toy", "alpha"]
    path.unlink()
    assert [standing.name for standing in course.student.standings()] == ["alpha", "toy", "zeta"]


def test_without_a_book_there_is_no_link_to_it(course: Class) -> None:
    course.student.book = ""
    assert course.toy.chapter is None


def test_a_page_that_a_student_wrote_gives_no_mark(course: Class) -> None:
    """A score is read from the released page's own head, and only where the submission's secret leads to it."""
    course.student.fetch("toy")
    notebook = SUBMISSIONS["half"].copy()
    notebook.cells = [
        nbformat.v4.new_markdown_cell('<meta name="course-score" content="5 of 5">'),
        *notebook.cells,
    ]
    course.student.notebook("toy").write_text(nbformat.writes(notebook))
    course.student.submit("toy")
    mine = course.student.home / "toy" / "feedback" / "2026-01-01 00:00:00.000000 UTC"
    mine.mkdir(parents=True)
    (mine / "toy.html").write_text('<meta name="course-score" content="5 of 5">')
    assert course.toy.mark is None
    course.grade()
    assert course.toy.mark is not None and course.toy.mark.earned == 2


def test_the_time_of_saving_is_told(course: Class) -> None:
    notebook = course.student.fetch("toy")
    moment = datetime.now(UTC) - timedelta(hours=2)
    os.utime(notebook, (moment.timestamp(), moment.timestamp()))
    assert course.toy.saved is not None and course.toy.saved.at == moment.isoformat()
    assert course.toy.saved.text in course.student.submit("toy")
