"""A term on nbgrader's real gradebook: due dates, penalties, extensions, which submission counts, the audit trail."""

import argparse
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from nbgrader.api import Gradebook
from nbgrader.apps.api import NbGraderAPI
from traitlets.config import PyFileConfigLoader

from course import ROOT
from course.gradebook import audit as trail
from course.gradebook import term
from course.gradebook.store import CHANGED, NEW, Change, Store
from course.gradebook.term import Amount, Attempt, Rules, TermError, choose
from course.gradebook.writer import enter

POINTS = {"test-one": 6, "test-two": 4}
DUE = datetime(2026, 12, 1, 12, tzinfo=UTC)
TOML = """\
[every]
grace_minutes = 15
lose_per_day = "10%"

[toy]
due = 2026-12-01T12:00:00
keep_at_least = "50%"
"""


def graded_cell(name: str, source: str, points: int | None) -> nbformat.NotebookNode:
    marks = {"grade_id": name, "schema_version": 3, "grade": points is not None, "solution": points is None}
    marks |= {"locked": points is not None, "task": False} | ({} if points is None else {"points": points})
    return new_code_cell(source, id=name, metadata={"nbgrader": marks})


def notebook(points: dict[str, int]) -> nbformat.NotebookNode:
    cells = [graded_cell("exercise-one", "one = 1", None)]
    cells += [graded_cell(name, f"assert one == 1, '{name}'", worth) for name, worth in points.items()]
    return new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course with one assignment of ten points, due as TOML says."""
    root = tmp_path_factory.mktemp("template")
    (root / "course").mkdir()
    shutil.copy(ROOT / "course" / "nbgrader_config.py", root / "course")
    (root / "course/term.toml").write_text(TOML)
    publish(open_course(root), POINTS)
    return root


def open_course(root: Path) -> NbGraderAPI:
    """The course with its own settings, but for the execution: grading runs nothing and gives all points."""
    config = PyFileConfigLoader("nbgrader_config.py", path=str(root / "course")).load_config()
    config.CourseDirectory.release_directory = "course/run/release"
    config.Autograde.exporter_class = "nbconvert.exporters.NotebookExporter"
    config.Autograde.autograde_preprocessors = [
        "nbgrader.preprocessors.SaveAutoGrades",
        "nbgrader.preprocessors.AssignLatePenalties",
    ]
    return NbGraderAPI(config=config)


@pytest.fixture
def course(template: Path, tmp_path: Path) -> NbGraderAPI:
    """A fresh copy of it."""
    root = tmp_path / "new"
    shutil.copytree(template, root)
    return open_course(root)


def publish(api: NbGraderAPI, points: dict[str, int]) -> None:
    """What the publish command does with the gradebook."""
    path = Path(api.coursedir.root, "course/source/toy/toy.ipynb")
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook(points), path)
    term.update(api)
    enter(api, SimpleNamespace(name="toy", notebook=notebook(points)))
    term.update(api)


def hand_in(api: NbGraderAPI, student: str, late: timedelta = timedelta()) -> None:
    folder = Path(api.coursedir.root, "course/submitted", student, "toy")
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook(POINTS), folder / "toy.ipynb")
    (folder / "timestamp.txt").write_text(f"{DUE + late:%Y-%m-%d %H:%M:%S} UTC")


def grade(api: NbGraderAPI, student: str) -> None:
    outcome = api.autograde("toy", student, force=True)
    assert outcome["success"], outcome


def penalty(api: NbGraderAPI, student: str) -> float:
    with api.gradebook as gradebook:
        return float(gradebook.find_submission("toy", student).late_submission_penalty)


def by_hand(api: NbGraderAPI, student: str, cell: str, **values: float) -> None:
    """What somebody does in formgrader."""
    with api.gradebook as gradebook:
        found = gradebook.find_grade(cell, "toy", "toy", student)
        for name, value in values.items():
            setattr(found, name, value)
        gradebook.db.commit()


def told(api: NbGraderAPI, student: str | None = None) -> list[str]:
    """The audit trail's sentences."""
    changes = Store(Path(api.coursedir.root)).changes()
    return [trail.sentence(change) for change in changes if student is None or change.student == student]


# ----------------------------------------------------------------------------------------------------------- penalties

HOURS = 3600.0


@pytest.mark.parametrize(
    ("late", "lost"),
    [
        (0, 0),
        (15 * 60, 0),
        (15 * 60 + 1, 1),
        (24 * HOURS + 15 * 60, 1),
        (24 * HOURS + 15 * 60 + 1, 2),
        (9000 * HOURS, 5),
    ],
)
def test_each_day_begun_costs_until_the_floor(late: float, lost: float):
    rules = Rules(grace=timedelta(minutes=15), lose_per_day=Amount(0.1, True), keep_at_least=Amount(0.5, True))
    days = rules.days_late(DUE + timedelta(seconds=late), DUE)
    assert rules.penalty(10, days) == pytest.approx(lost)


@pytest.mark.parametrize(
    ("handed_in", "days"),
    [
        ("2026-10-24T20:00:00+02:00", 0),
        ("2026-10-24T20:00:01+02:00", 1),
        ("2026-10-25T19:30:00+01:00", 1),  # 24 and a half hours later: the clocks went back in between
        ("2026-10-25T20:00:00+01:00", 1),
        ("2026-10-25T20:00:01+01:00", 2),
        ("2026-10-26T00:10:00+01:00", 2),
        ("2026-10-27T20:00:01+01:00", 4),
    ],
)
def test_a_day_of_lateness_ends_at_the_due_time_of_the_next_local_day(handed_in: str, days: int):
    due = datetime(2026, 10, 24, 18, tzinfo=UTC)  # Saturday, 20:00 in Berlin
    rules = Rules(zone=ZoneInfo("Europe/Berlin"))
    assert rules.days_late(datetime.fromisoformat(handed_in).astimezone(UTC), due) == days


def test_in_spring_a_day_of_lateness_has_23_hours():
    due = datetime(2027, 3, 27, 19, tzinfo=UTC)  # Saturday, 20:00 in Berlin
    rules = Rules(zone=ZoneInfo("Europe/Berlin"), grace=timedelta(minutes=5))
    assert [rules.days_late(due + timedelta(hours=23, minutes=m), due) for m in (5, 6)] == [1, 2]


def test_points_may_be_lost_and_kept_instead_of_shares():
    rules = Rules(lose_per_day=Amount(3, False), keep_at_least=Amount(4, False))
    assert rules.penalty(10, 1) == 3
    assert rules.penalty(10, 2) == 6
    assert rules.penalty(10, 3) == 6, "four points are kept"
    assert rules.penalty(3, 1) == 0, "who has fewer than what is kept loses nothing"
    assert Rules(lose_per_day=Amount(3, False)).penalty(2, 1) == 2, "no score falls below 0"
    assert Rules().penalty(10, 5) == 0


def test_nbgrader_grades_by_the_rules(course: NbGraderAPI):
    for student, late in (("early", -1), ("graceful", 0.2), ("late", 1), ("later", 30), ("latest", 24 * 30)):
        hand_in(course, student, timedelta(hours=late))
        grade(course, student)
    assert [penalty(course, s) for s in ("early", "graceful", "late", "later", "latest")] == [0, 0, 1, 2, 5]


def test_due_dates_are_in_the_gradebook(course: NbGraderAPI):
    with course.gradebook as gradebook:
        assert gradebook.find_assignment("toy").duedate == datetime(2026, 12, 1, 12)


def test_a_due_date_of_formgraders_stays_where_the_file_names_none(course: NbGraderAPI):
    Path(course.coursedir.root, "course/term.toml").write_text("")
    with course.gradebook as gradebook:
        gradebook.find_assignment("toy").duedate = datetime(2027, 1, 1)
        gradebook.db.commit()
    term.update(course)
    with course.gradebook as gradebook:
        assert gradebook.find_assignment("toy").duedate == datetime(2027, 1, 1)
    assert "due date changed from 2026-12-01 12:00 UTC to 2027-01-01 00:00 UTC" in told(course)


def test_a_later_due_date_lifts_the_penalty(course: NbGraderAPI):
    hand_in(course, "alice", timedelta(days=2))
    grade(course, "alice")
    assert penalty(course, "alice") == 2
    path = Path(course.coursedir.root, "course/term.toml")
    path.write_text(TOML.replace("2026-12-01", "2026-12-09"))
    term.update(course)
    assert penalty(course, "alice") == 0


def test_the_penalty_is_taken_off_the_whole_score_and_follows_manual_scores(course: NbGraderAPI):
    hand_in(course, "alice", timedelta(hours=1))
    grade(course, "alice")
    by_hand(course, "alice", "test-one", manual_score=1)
    assert penalty(course, "alice") == 1, "nbgrader leaves it alone"
    term.update(course)
    assert penalty(course, "alice") == pytest.approx(0.5)
    grade(course, "alice")
    assert penalty(course, "alice") == pytest.approx(0.5), "grading again takes the manual score too"


# ---------------------------------------------------------------------------------------------------------- extensions


def test_an_extension_after_grading_lifts_the_penalty_at_once(course: NbGraderAPI):
    hand_in(course, "alice", timedelta(days=1, hours=1))
    grade(course, "alice")
    assert penalty(course, "alice") == 2
    said = term.extend(course, "toy", "alice", timedelta(days=1))
    assert said == "alice may hand in toy until 2026-12-02 12:00 UTC. What is handed in loses 1 points."
    assert penalty(course, "alice") == 1
    term.extend(course, "toy", "alice", timedelta(days=2))
    assert penalty(course, "alice") == 0
    said = term.extend(course, "toy", "alice", timedelta())
    assert said == "alice has no extension of toy any more. What is handed in loses 2 points."
    assert penalty(course, "alice") == 2


def test_an_extension_before_handing_in_holds(course: NbGraderAPI):
    with course.gradebook as gradebook:
        gradebook.add_student("alice")
    said = term.extend(course, "toy", "alice", timedelta(days=2))
    assert said == "alice may hand in toy until 2026-12-03 12:00 UTC."
    assert "alice" not in course.get_autograded_students("toy")
    with course.gradebook as gradebook:
        assert not gradebook.find_submission("toy", "alice").needs_manual_grade, "nothing waits for a person"
    hand_in(course, "alice", timedelta(days=1, hours=23))
    hand_in(course, "bob", timedelta(days=1, hours=23))
    for student in ("alice", "bob"):
        grade(course, student)
    assert (penalty(course, "alice"), penalty(course, "bob")) == (0, 2)


def test_extensions_and_penalties_are_in_the_audit_trail(course: NbGraderAPI):
    hand_in(course, "alice", timedelta(hours=1))
    grade(course, "alice")
    term.update(course)
    term.extend(course, "toy", "alice", timedelta(days=1.5))
    term.extend(course, "toy", "alice", timedelta())
    assert told(course, "alice") == [
        "late penalty: 1",
        "extension: 1.5 days",
        "late penalty: 1, taken back",
        "extension: 1.5 days, taken back",
        "late penalty: 1",
    ]
    assert told(course, "") == [
        "due date: 2026-12-01 12:00 UTC",
        "rules: 10% lost for each day begun after 15 minutes, 50% kept; the last submission counts",
    ]


BERLIN = """\
timezone = "Europe/Berlin"
[toy]
due = 2026-10-24T20:00:00
lose_per_day = 1
"""


@pytest.fixture
def in_berlin(course: NbGraderAPI) -> NbGraderAPI:
    """The course, with the toy due on the evening before the clocks go back."""
    Path(course.coursedir.root, "course/term.toml").write_text(BERLIN)
    term.update(course)
    return course


def hand_in_at(api: NbGraderAPI, student: str, local: str) -> None:
    hand_in(api, student, datetime.fromisoformat(local).astimezone(UTC) - DUE)
    grade(api, student)


def test_nbgrader_counts_local_days_too(in_berlin: NbGraderAPI):
    hand_in_at(in_berlin, "alice", "2026-10-25T19:30:00+01:00")
    hand_in_at(in_berlin, "bob", "2026-10-25T20:30:00+01:00")
    assert (penalty(in_berlin, "alice"), penalty(in_berlin, "bob")) == (1, 2)
    term.update(in_berlin)
    assert (penalty(in_berlin, "alice"), penalty(in_berlin, "bob")) == (1, 2)


def test_an_extension_ends_at_the_due_time_of_a_local_day(in_berlin: NbGraderAPI):
    hand_in_at(in_berlin, "alice", "2026-10-25T19:30:00+01:00")
    said = term.extend(in_berlin, "toy", "alice", timedelta(days=1))
    assert said == "alice may hand in toy until 2026-10-25 20:00 CET. What is handed in loses no points."
    assert penalty(in_berlin, "alice") == 0
    with in_berlin.gradebook as gradebook:
        assert gradebook.find_submission("toy", "alice").duedate == datetime(2026, 10, 25, 19)
    assert "extension: 1 day" in told(in_berlin, "alice")
    said = term.extend(in_berlin, "toy", "alice", timedelta(hours=6))
    assert "until 2026-10-25 02:00 CEST" in said
    assert "extension changed from 1 day to 6 hours" in told(in_berlin, "alice")


@pytest.mark.parametrize(
    ("assignment", "student", "days", "says"),
    [
        ("tpy", "alice", 1, "The gradebook has no assignment 'tpy'; it has toy"),
        ("toy", "alcie", 1, "The gradebook has no student 'alcie'"),
        ("toy", "alice", -1, "An extension cannot be negative"),
        ("toy", "alice", 10**6, "more than ten years"),
    ],
)
def test_extensions_that_are_refused(course: NbGraderAPI, assignment: str, student: str, days: int, says: str):
    with course.gradebook as gradebook:
        gradebook.add_student("alice")
    with pytest.raises(TermError, match=says):
        term.extend(course, assignment, student, timedelta(days=days))
    with course.gradebook as gradebook:
        assert not gradebook.find_assignment("toy").submissions


def test_an_extension_needs_a_due_date(course: NbGraderAPI):
    """nbgrader would fail on every submission of a student with the one and not the other."""
    Path(course.coursedir.root, "course/term.toml").write_text("")
    with course.gradebook as gradebook:
        gradebook.add_student("alice")
        gradebook.find_assignment("toy").duedate = None
        gradebook.db.commit()
    with pytest.raises(TermError, match="toy has no due date, so there is nothing to extend"):
        term.extend(course, "toy", "alice", timedelta(days=1))
    with course.gradebook as gradebook:
        gradebook.add_submission("toy", "alice", extension=timedelta(days=1))
    with pytest.raises(TermError, match="toy has no due date, but alice has an extension"):
        term.update(course)
    assert term.extend(course, "toy", "alice", timedelta()) == "alice has no extension of toy any more."
    term.update(course)


# ------------------------------------------------------------------------------------------------------------ the file


def rules_of(root: Path, text: str) -> term.Term:
    (root / "course/assignments").mkdir(parents=True)
    for name in ("gpt", "tokenizer"):
        (root / "course/assignments" / f"{name}.py").touch()
    (root / "course/term.toml").write_text(text)
    return term.read(root)


def test_the_example_of_the_docstring_is_read(tmp_path: Path):
    text = (term.__doc__ or "").split("is silent:\n\n")[1].split("\nThe due dates go")[0]
    read = rules_of(tmp_path, "\n".join(line.removeprefix("    ") for line in text.splitlines()))
    assert read.of("gpt").due == datetime(2026, 12, 1, 22, 59, tzinfo=UTC), "23:59 in Amsterdam in winter"
    assert read.of("gpt").submissions == "best"
    assert read.of("gpt").grace == read.of("tokenizer").grace == timedelta(minutes=15)
    assert read.of("tokenizer") == Rules(None, timedelta(minutes=15), Amount(0.1, True), Amount(0.5, True), "last")


def test_a_day_lasts_until_it_ends_and_no_file_is_no_rule(tmp_path: Path):
    assert term.read(tmp_path) == term.Term()
    assert rules_of(tmp_path, "[gpt]\ndue = 2026-12-01").of("gpt").due == datetime(2026, 12, 1, 23, 59, 59, tzinfo=UTC)


def test_what_is_graded_at_once_is_the_instructors_choice(tmp_path: Path):
    assert (Rules().marks_an_hour, Rules().feedback_at_once) == (4, True)
    rules = rules_of(tmp_path, "[every]\nmarks_an_hour = 1\n[gpt]\nfeedback_at_once = false").of("gpt")
    assert (rules.marks_an_hour, rules.feedback_at_once) == (1, False)


WRONG: dict[str, tuple[str, int, str]] = {
    "no TOML": ("[gpt]\ndue = = 1\n", 2, "correct it as TOML wants it"),
    "an unfinished table": ("\n[gpt", 2, "correct it as TOML wants it"),
    "an unknown assignment": ("[gpt]\n\n[gtp]\n", 3, "there is no assignment `gtp`; this course has gpt, tokenizer"),
    "an unknown key": ("[every]\n[gpt]\nduedate = 1\n", 3, "`duedate` is none of due, grace_minutes"),
    "a date in quotes": ('[gpt]\ndue = "2026-12-01"\n', 2, "write a date without quotes"),
    "a due date for all": ("[every]\ndue = 2026-12-01\n", 2, "a due date is an assignment's own"),
    "a negative grace": ("[every]\ngrace_minutes = -1\n", 2, "write a number of minutes"),
    "a grace without end": ("[every]\ngrace_minutes = inf\n", 2, "write a number of minutes"),
    "a truth value": ("[every]\nlose_per_day = true\n", 2, "write points, such as 2, or a share"),
    "more than all": ('[every]\nlose_per_day = "101%"\n', 2, "write points, such as 2, or a share"),
    "a word": ('[every]\n\nkeep_at_least = "half"\n', 3, "write points, such as 2, or a share"),
    "a policy": ('[gpt]\nsubmissions = "mean"\n[tokenizer]\nsubmissions = "last"', 2, 'write "last" or "best"'),
    "a limit of a half": ("[every]\nmarks_an_hour = 0.5\n", 2, "write how many, 0 for none"),
    "a limit below none": ("[every]\nmarks_an_hour = -1\n", 2, "write how many, 0 for none"),
    "neither true nor false": ('[every]\nfeedback_at_once = "yes"\n', 2, "write true or false"),
    "a time zone": ('timezone = "Mars/Base"\n', 1, "there is no time zone 'Mars/Base'"),
    "a key outside": ("\ndue = 2026-12-01\n", 2, "`due` belongs into a table"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_gets_one_sentence_with_the_line(case: str, tmp_path: Path):
    text, line, says = WRONG[case]
    with pytest.raises(TermError) as refused:
        rules_of(tmp_path, text)
    message = str(refused.value)
    assert message.startswith(f"course/term.toml:{line}: ") and says in message, message
    assert message.endswith(".") and "\n" not in message


# -------------------------------------------------------------------------------------------------------- resubmission


def attempt(digest: str, score: float, penalty: float = 0, version: str = "v1") -> Attempt:
    return Attempt(digest, version, score, None, penalty)


def test_the_last_submission_counts_or_the_best():
    first, second, third = attempt("a", 8), attempt("b", 9), attempt("c", 5)
    assert choose([first, second, third], "last") is third
    assert choose([first, second, third], "best") is second


def test_the_best_is_the_best_after_its_penalty():
    early, late = attempt("a", 8), attempt("b", 9, penalty=2)
    assert choose([early, late], "best") is early


def test_of_equal_submissions_the_later_counts():
    assert choose([attempt("a", 8), attempt("b", 8)], "best").digest == "b"


def test_submissions_are_compared_only_when_one_version_judged_them():
    with pytest.raises(ValueError, match="judge them again first"):
        choose([attempt("a", 8), attempt("b", 8, version="v2")], "best")
    with pytest.raises(ValueError, match="no submission"):
        choose([], "last")


# ------------------------------------------------------------------------------------------------ what changed by hand


def test_manual_scores_and_comments_are_noticed_once(course: NbGraderAPI):
    hand_in(course, "alice")
    grade(course, "alice")
    term.update(course)
    assert told(course, "alice") == []
    by_hand(course, "alice", "test-one", manual_score=2)
    by_hand(course, "alice", "test-two", extra_credit=1.5)
    with course.gradebook as gradebook:
        gradebook.find_comment("exercise-one", "toy", "toy", "alice").manual_comment = "Neat"
        gradebook.db.commit()
    term.update(course)
    term.update(course)
    by_hand(course, "alice", "test-one", manual_score=3)
    term.update(course)
    by_hand(course, "alice", "test-one", manual_score=None)
    term.update(course)
    assert told(course, "alice") == [
        "comment on exercise-one: Neat",
        "extra credit of test-two: 1.5",
        "manual score of test-one: 2",
        "manual score of test-one changed from 2 to 3",
        "manual score of test-one: 3, taken back",
    ]


def test_a_manual_score_of_zero_is_noticed(course: NbGraderAPI):
    hand_in(course, "alice")
    grade(course, "alice")
    by_hand(course, "alice", "test-one", manual_score=0)
    term.update(course)
    assert told(course, "alice") == ["manual score of test-one: 0"]


def test_the_trail_is_read_by_assignment_and_student():
    changes = [
        Change("2026-12-01T10:00:00+00:00", "ada", "alice", "gpt", "test-x", 2.0, 3.0, "assignment changed"),
        Change("2026-12-01T11:00:00+00:00", "", "", "gpt", trail.DUE, None, "2026-12-24 10:00 UTC", trail.NOTICED),
        Change("2026-12-01T12:00:00+00:00", "", "bob", "toy", trail.MANUAL + "test-y", 1.0, 0.0, trail.NOTICED),
    ]
    assert trail.table(changes).splitlines() == [
        "2026-12-01 10:00  gpt  alice  test-x changed from 2 to 3                  assignment changed, ada",
        "2026-12-01 11:00  gpt  (all)  due date: 2026-12-24 10:00 UTC              noticed",
        "2026-12-01 12:00  toy  bob    manual score of test-y changed from 1 to 0  noticed",
    ]
    assert trail.table(changes, zone=ZoneInfo("Europe/Berlin")).splitlines()[1] == (
        "2026-12-01 12:00  gpt  (all)  due date: 2026-12-24 11:00 CET              noticed"
    )
    assert len(trail.table(changes, "gpt", "bob").splitlines()) == 1, "what holds for all holds for bob"
    assert "bob" in trail.table(changes, "toy", "bob")
    assert trail.table(changes, "toy", "alice").startswith("The audit trail has no such line")


def test_a_first_grade_is_no_change():
    def change(cell: str, old: float | None, why: str) -> Change:
        return Change("2026-12-01T10:00:00+00:00", "ada", "alice", "gpt", cell, old, 3.0, why)

    first, *changes = [
        change("test-x", None, NEW),
        change("test-x", 2.0, NEW),
        change("test-y", None, CHANGED),
        change(trail.MANUAL + "test-x", None, trail.NOTICED),
    ]
    assert list(trail.without_first_grades([first, *changes])) == changes


def test_the_commands_are_there(course: NbGraderAPI, capsys: pytest.CaptureFixture[str]):
    parser = argparse.ArgumentParser()
    term.add_commands(parser.add_subparsers())
    hand_in(course, "alice", timedelta(hours=1))

    def run(*words: str) -> str:
        arguments = parser.parse_args(words)
        arguments.run(course, arguments)
        return capsys.readouterr().out

    assert run("extend", "toy", "alice", "--hours", "6") == "alice may hand in toy until 2026-12-01 18:00 UTC.\n"
    assert "extension: 6 hours" in run("audit", "toy", "--student", "alice")
    assert "alice" not in run("audit", "--student", "bob")
    with pytest.raises(TermError, match="Say for how long"):
        run("extend", "toy", "alice")
    assert "6 hours, taken back" not in run("audit", "--student", "alice")
    with pytest.raises(TermError, match="no length of time"):
        run("extend", "toy", "alice", "--days", "nan")


# ------------------------------------------------------------------------------------------- cells that come and go


@pytest.fixture
def regraded(course: NbGraderAPI) -> Callable[[dict[str, int]], Gradebook]:
    """Publish the toy assignment with other tests, and grade again."""

    def again(points: dict[str, int]) -> None:
        publish(course, points)
        grade(course, "alice")

    hand_in(course, "alice")
    grade(course, "alice")
    by_hand(course, "alice", "test-one", manual_score=5)
    with course.gradebook as gradebook:
        gradebook.find_comment("exercise-one", "toy", "toy", "alice").manual_comment = "Neat"
        gradebook.db.commit()
    return again


def scores(api: NbGraderAPI) -> dict[str, tuple[float | None, float | None]]:
    with api.gradebook as gradebook:
        submission = gradebook.find_submission_notebook("toy", "toy", "alice")
        return {grade.name: (grade.auto_score, grade.manual_score) for grade in submission.grades}


def test_a_test_that_is_added_is_graded_and_what_people_gave_survives(course: NbGraderAPI, regraded):
    publish(course, POINTS | {"test-secret": 3})
    assert scores(course) == {"test-one": (6, 5), "test-two": (4, None), "test-secret": (None, None)}
    with course.gradebook as gradebook:
        assert gradebook.find_assignment("toy").max_score == 13
        assert gradebook.find_comment("exercise-one", "toy", "toy", "alice").comment == "Neat"
        assert gradebook.find_source_cell("test-secret", "toy", "toy").locked


def test_a_test_that_is_taken_out_leaves_its_manual_score_in_the_trail(course: NbGraderAPI, regraded):
    publish(course, {"test-two": 4})
    assert scores(course) == {"test-two": (4, None)}
    assert told(course, "alice") == [
        "comment on exercise-one: Neat",
        "manual score of test-one: 5",
        "manual score of test-one: 5, taken back",
    ]


def test_changed_points_need_nothing_more(course: NbGraderAPI, regraded):
    regraded({"test-one": 6, "test-two": 8})
    assert scores(course)["test-two"] == (8, None)
