"""A term: due dates, late penalties, extensions, and which of several submissions counts.

The instructor writes them in `course/term.toml`, which is optional. A table for each assignment, `[every]` for what
holds where an assignment's own table is silent:

    timezone = "Europe/Amsterdam"      # of the dates below and of times that are shown; UTC when it is left out

    [every]
    grace_minutes = 15                 # a submission this much late is not late
    lose_per_day = "10%"               # of the score, for each day begun; or points: lose_per_day = 2
    keep_at_least = "50%"              # of the score, or points: what a late submission keeps
    submissions = "last"               # the last submission counts; or "best": the one with the most points
    marks_an_hour = 4                  # of a student's submissions that `make autograde WATCH=1` grades in an hour
    feedback_at_once = true            # whether it also releases the feedback

    [gpt]
    due = 2026-12-01T23:59:00          # or a day, 2026-12-01: until it ends
    submissions = "best"

The due dates go into nbgrader's gradebook when the course is published and whenever something is graded; one that is
set in formgrader stays where this file names none. Days late are counted from the end of the grace period, and each
ends at the due time of the next day in the course's time zone, whatever the clocks do in between; an extension's too.

The penalty is taken off the whole score, manual scores included. nbgrader computes it when it grades and leaves it
alone afterwards; here it is computed again as well when an extension is granted, and, from the manual scores of that
moment, before feedback is written and grades are exported.

Where the best submission counts, all that a student handed in and that was graded are kept. Before one is chosen they
are all judged by the present version of the assignment; compared are the tests' points less the late penalty, each
submission with its own time. Manual scores belong to the test and stay whichever counts. formgrader's own button grades
the last submission; the next autograde command chooses again. A student with an extension is chosen for anew as well.

    python -m course.grading extend gpt alice --days 2     # before or after she hands in; --days 0 takes it back
    python -m course.grading audit gpt --student alice     # what changed, when, and why
"""

import argparse
import math
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

from nbgrader.api import Assignment, Gradebook, MissingEntry, Student, SubmittedAssignment, SubmittedNotebook
from nbgrader.apps.api import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from nbgrader.plugins import LateSubmissionPlugin
from sqlalchemy import false, or_

from course.gradebook import audit as trail
from course.gradebook import syllabus
from course.gradebook.preprocessors import CannotGrade
from course.gradebook.store import Store

EVERY = "every"
FILE = "course/term.toml"


class TermError(CannotGrade):
    """One sentence for the person who typed the command: what is wrong and what to do."""


@dataclass(frozen=True)
class Amount:
    """Points, or a share of the score."""

    value: float
    is_share: bool

    def of(self, score: float) -> float:
        return self.value * score if self.is_share else self.value

    def __str__(self) -> str:
        return f"{100 * self.value:g}%" if self.is_share else f"{self.value:g} points"


NOTHING = Amount(0, False)


@dataclass(frozen=True)
class Rules:
    """What holds for one assignment."""

    due: datetime | None = None  # with its time zone
    grace: timedelta = timedelta()
    lose_per_day: Amount = NOTHING
    keep_at_least: Amount = NOTHING
    submissions: str = "last"
    marks_an_hour: int = field(default=4, compare=False)  # these three are no part of the late rules
    feedback_at_once: bool = field(default=True, compare=False)
    zone: tzinfo = field(default=UTC, compare=False)  # the course's

    def days_late(self, handed_in: datetime | None, due: datetime | None) -> int:
        """Days of lateness begun: each ends at the due time of the next local day. Both times are in UTC."""
        if handed_in is None or due is None or handed_in - self.grace <= due:
            return 0
        local = due.astimezone(self.zone)
        over = handed_in - self.grace
        days = max(1, (over.astimezone(self.zone).date() - local.date()).days)
        return days if over <= (local + timedelta(days=days)).astimezone(UTC) else days + 1

    def penalty(self, score: float, days_late: int) -> float:
        """Points to take off a score, of a submission that came so many days after its due date."""
        lost = days_late * self.lose_per_day.of(score)
        return max(0.0, min(lost, score - self.keep_at_least.of(score)))

    def sentence(self) -> str:
        """The rules as the audit trail names them; the due date, which the gradebook holds, is not among them."""
        late = "no late penalty"
        if self.lose_per_day.value:
            late = f"{self.lose_per_day} lost for each day begun"
            late += f" after {self.grace.total_seconds() / 60:g} minutes" if self.grace else ""
            late += f", {self.keep_at_least} kept" if self.keep_at_least.value else ""
        return f"{late}; the {self.submissions} submission counts"


@dataclass(frozen=True)
class Term:
    """The rules of every assignment."""

    every: Rules = Rules()
    rules: dict[str, Rules] = field(default_factory=dict)

    def of(self, assignment: str) -> Rules:
        return self.rules.get(assignment, self.every)


# ------------------------------------------------------------------------------------------------------------ the file


def read(root: Path) -> Term:
    """The rules in the course's term.toml, or none where there is no such file.

    Raises:
        TermError: the file is wrong, in one sentence with the line.
    """
    try:
        text = (root / FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return Term()
    except (OSError, UnicodeDecodeError) as error:
        raise TermError(f"{FILE} cannot be read ({error}).") from None
    return _File(text, root).term()


class _File:
    """The text of a term.toml, with the place of what it says."""

    def __init__(self, text: str, root: Path):
        self.text, self.root = text, root

    def term(self) -> Term:
        try:
            content = tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            what, _, place = str(error).partition(" (at ")
            number = re.match(r"line (\d+)", place)
            line = int(number[1]) if number else len(self.text.splitlines())
            raise TermError(f"{FILE}:{line}: {what}; correct it as TOML wants it.") from None
        zone = self.zone(content.pop("timezone", "UTC"))
        tables = {name: self.table(name, table) for name, table in content.items()}
        known = self.assignments()
        for name in tables:
            if name != EVERY and known and name not in known:
                self.refuse(name, None, f"there is no assignment `{name}`; this course has {', '.join(sorted(known))}")
        default = tables.pop(EVERY, {})
        if "due" in default:
            self.refuse(EVERY, "due", "a due date is an assignment's own; write it in that assignment's table")
        every = self.rules(EVERY, default, Rules(zone=zone), zone)
        return Term(every, {name: self.rules(name, table, every, zone) for name, table in tables.items()})

    def refuse(self, table: str | None, key: str | None, what: str) -> NoReturn:
        raise TermError(f"{FILE}:{self.line(table, key)}: {what}.")

    def line(self, table: str | None, key: str | None) -> int:
        """The line of a key, or of its table's head; the first where it is written in another way."""
        here, head = None, 1
        for number, line in enumerate(self.text.splitlines(), 1):
            if found := re.match(r"\s*\[\s*[\"']?([^\"'\]]+?)[\"']?\s*\]", line):
                here = found[1]
                head = number if here == table else head
            if key and here == table and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line):
                return number
            if key is None and here is None and table and re.match(rf"\s*[\"']?{re.escape(table)}[\"']?\s*[.=]", line):
                return number
        return head

    def zone(self, name: Any) -> ZoneInfo:
        try:
            return ZoneInfo(name)
        except (KeyError, ValueError, TypeError, OSError):
            self.refuse(None, "timezone", f'there is no time zone {name!r}; write one such as "Europe/Amsterdam"')

    def assignments(self) -> set[str]:
        folder = self.root / "course"
        return {p.stem for p in (folder / "assignments").glob("*.py") if p.stem != "__init__"} | {
            p.parent.name for p in (folder / "source").glob("*/*.ipynb")
        }

    def table(self, name: str, table: Any) -> dict[str, Any]:
        if not isinstance(table, dict):
            self.refuse(name, None, f"`{name}` belongs into a table, [{EVERY}] or [name of an assignment]")
        return table

    def rules(self, name: str, table: dict[str, Any], every: Rules, zone: ZoneInfo) -> Rules:
        read = {
            "due": lambda value: self.due(name, value, zone),
            "grace_minutes": lambda value: self.grace(name, value),
            "lose_per_day": lambda value: self.amount(name, "lose_per_day", value),
            "keep_at_least": lambda value: self.amount(name, "keep_at_least", value),
            "submissions": lambda value: self.policy(name, value),
            "marks_an_hour": lambda value: self.marks_an_hour(name, value),
            "feedback_at_once": lambda value: self.feedback_at_once(name, value),
        }
        if unknown := sorted(table.keys() - read.keys()):
            self.refuse(name, unknown[0], f"`{unknown[0]}` is none of {', '.join(read)}")
        values: dict[str, Any] = {key: make(table[key]) if key in table else None for key, make in read.items()}
        values["grace"] = values.pop("grace_minutes")
        return replace(every, **{key: value for key, value in values.items() if value is not None})

    def due(self, name: str, value: Any, zone: ZoneInfo) -> datetime:
        if isinstance(value, datetime):
            return value if value.tzinfo else value.replace(tzinfo=zone)
        if isinstance(value, date):
            return datetime.combine(value, time(23, 59, 59), zone)
        self.refuse(name, "due", f"`due` is {value!r}; write a date without quotes, such as 2026-12-01T23:59:00")

    def grace(self, name: str, value: Any) -> timedelta:
        if type(value) not in (int, float) or not 0 <= value < math.inf:
            self.refuse(name, "grace_minutes", f"`grace_minutes` is {value!r}; write a number of minutes")
        return timedelta(minutes=value)

    def amount(self, name: str, key: str, value: Any) -> Amount:
        if type(value) in (int, float) and 0 <= value < math.inf:
            return Amount(value, False)
        share = re.fullmatch(r"(\d+(?:\.\d+)?) ?%", value) if isinstance(value, str) else None
        if share and float(share[1]) <= 100:
            return Amount(float(share[1]) / 100, True)
        self.refuse(name, key, f'`{key}` is {value!r}; write points, such as 2, or a share of the score, such as "10%"')

    def policy(self, name: str, value: Any) -> str:
        if value not in ("last", "best"):
            self.refuse(name, "submissions", f'`submissions` is {value!r}; write "last" or "best"')
        return str(value)

    def marks_an_hour(self, name: str, value: Any) -> int:
        if type(value) is not int or value < 0:
            self.refuse(name, "marks_an_hour", f"`marks_an_hour` is {value!r}; write how many, 0 for none")
        return value

    def feedback_at_once(self, name: str, value: Any) -> bool:
        if type(value) is not bool:
            self.refuse(name, "feedback_at_once", f"`feedback_at_once` is {value!r}; write true or false")
        return value


# --------------------------------------------------------------------------------------------------------- submissions


@dataclass(frozen=True)
class Attempt:
    """One of a student's submissions of an assignment, judged."""

    digest: str
    version: str  # of the assignment that judged it
    score: float
    timestamp: datetime | None  # None: it came as a file, with no time on it
    penalty: float = 0.0


def choose(attempts: Sequence[Attempt], policy: str) -> Attempt:
    """The submission that counts: the last, or the best after its penalty, of equal ones the later.

    `attempts` stand in the order in which they came in.

    Raises:
        ValueError: there is none, or they were judged by different versions of the assignment.
    """
    if not attempts:
        raise ValueError("There is no submission to choose from.")
    if len({attempt.version for attempt in attempts}) > 1:
        raise ValueError("The submissions were judged by different versions of the assignment: judge them again first.")
    if policy == "last":
        return attempts[-1]
    return max(reversed(attempts), key=lambda attempt: attempt.score - attempt.penalty)


# ------------------------------------------------------------------------------------------------------- the gradebook


def deadline(due: datetime | None, extension: timedelta | None) -> datetime | None:
    """When a student's submission is due, in UTC, from the gradebook's due date (in UTC, without saying so)."""
    return due.replace(tzinfo=UTC) + (extension or timedelta()) if due is not None else None


class LatePenalty(LateSubmissionPlugin):
    """nbgrader's late penalty by the rules in term.toml."""

    def late_submission_penalty(self, student_id: str, score: float, total_seconds_late: float) -> float | None:
        """Points to take off `score`, or None for none; nbgrader asks for submissions after the due date only."""
        step = self.parent
        rules = read(Path(CourseDirectory(parent=self).root)).of(step.assignment_id)
        submission = step.gradebook.find_submission(step.assignment_id, student_id)
        return rules.penalty(score, _days_late(submission, rules, submission.timestamp)) or None


def update(api: NbGraderAPI, names: Iterable[str] | None = None, why: str = trail.NOTICED) -> None:
    """Bring the gradebook's due dates and late penalties up to date, and note what was changed by hand.

    Of all assignments that the gradebook knows, or of those named. To be called before and after grading, and before
    grades leave the course.

    Raises:
        TermError: term.toml is wrong, or a due date is missing that an extension needs.
    """
    root = Path(api.coursedir.root)
    term = read(root)
    with api.gradebook as gradebook:
        rows = [row for row in gradebook.assignments if names is None or row.name in set(names)]
        for row in rows:
            due = term.of(row.name).due
            if due is not None:
                row.duedate = due.astimezone(UTC).replace(tzinfo=None)
            elif row.duedate is None and (extended := _extended(gradebook, row)):
                raise TermError(
                    f"{row.name} has no due date, but {extended} has an extension: write a due date into {FILE} or "
                    f"take the extension back with `python -m course.grading extend {row.name} {extended} --days 0`."
                )
        gradebook.db.commit()
        for row in rows:
            settle(gradebook, row, term.of(row.name), Store(root))
        rules = {row.name: term.of(row.name).sentence() for row in rows if term.of(row.name) != Rules()}
        zone = term.every.zone
        trail.notice(gradebook, Store(root), [row.name for row in rows], rules=rules, why=why, zone=zone)
        known = {row.name: (deadline(row.duedate, None), term.of(row.name).sentence()) for row in gradebook.assignments}
    syllabus.write(Path(api.exchange_root, api.course_id), root, zone, known)


def _extended(gradebook: Gradebook, row: Assignment) -> str | None:
    """One of the students who have an extension."""
    found = gradebook.db.query(SubmittedAssignment.student_id).filter(
        SubmittedAssignment.assignment_id == row.id, SubmittedAssignment.extension.isnot(None)
    )
    return next((student for (student,) in found), None)


def settle(gradebook: Gradebook, row: Assignment, rules: Rules, store: Store) -> None:
    """Compute the late penalties of an assignment's submissions from their scores as they now are."""
    late = SubmittedAssignment.timestamp > row.duedate if row.duedate is not None else false()
    found = (
        gradebook.db.query(SubmittedNotebook)
        .join(SubmittedAssignment, SubmittedAssignment.id == SubmittedNotebook.assignment_id)
        .filter(SubmittedAssignment.assignment_id == row.id)
        .filter(or_(late, SubmittedNotebook.late_submission_penalty.isnot(None)))
    )
    for notebook in found:
        submission = notebook.assignment
        moment = submission.timestamp
        record = store.record(row.name, submission.student_id) if rules.submissions == "best" else None
        if record is not None and record.counts is not None:
            moment = datetime.fromisoformat(record.counts) if record.counts else None
        notebook.late_submission_penalty = rules.penalty(notebook.score, _days_late(submission, rules, moment)) or None
    gradebook.db.commit()


def _days_late(submission: SubmittedAssignment, rules: Rules, moment: datetime | None) -> int:
    """Of a submission that was handed in at a moment in UTC, which may or may not say so."""
    handed_in = moment.replace(tzinfo=UTC) if moment is not None else None
    return rules.days_late(handed_in, deadline(submission.assignment.duedate, submission.extension))


def extend(api: NbGraderAPI, assignment: str, student: str, by: timedelta) -> str:
    """Give a student until `by` after the due date, in place of what they had; none takes it back. Says what holds.

    A day lasts until the same time of the next day in the course's zone.

    Raises:
        TermError: there is no such assignment or student, or no due date.
    """
    if by < timedelta():
        raise TermError("An extension cannot be negative; --days 0 takes one back.")
    if by > timedelta(days=3660):
        raise TermError("An extension of more than ten years is a slip of the pen, surely; give fewer days.")
    rules = read(Path(api.coursedir.root)).of(assignment)
    with api.gradebook as gradebook:
        names = [row.name for row in gradebook.assignments]
        if assignment not in names:
            raise TermError(
                f"The gradebook has no assignment {assignment!r}; it has {', '.join(names) or 'none'}. "
                "`python -m course.grading publish` enters new ones."
            )
        row = gradebook.find_assignment(assignment)
        due = rules.due or deadline(row.duedate, None)
        if by and due is None:
            raise TermError(
                f"{assignment} has no due date, so there is nothing to extend: write one into {FILE}, "
                f"as in `[{assignment}]` and below it `due = 2026-12-01T23:59:00`."
            )
        if gradebook.db.get(Student, student) is None:
            if student not in api.get_submitted_students(assignment):
                raise TermError(
                    f"The gradebook has no student {student!r}: check the name, or add them with "
                    f"`python -m course.grading publish --students {student}`."
                )
            gradebook.add_student(student)
        try:
            gradebook.find_submission(assignment, student)
        except MissingEntry:
            _expect(gradebook, assignment, student)
        if by and due is not None:
            days = timedelta(days=by.days)
            by += ((due.astimezone(rules.zone) + days).astimezone(UTC) - due.astimezone(UTC)) - days
        gradebook.grant_extension(assignment, student, minutes=by.total_seconds() / 60)
    _choose_again(Store(Path(api.coursedir.root)), assignment, student)
    update(api, [assignment], why="the extend command")
    with api.gradebook as gradebook:
        return _granted(gradebook.find_submission(assignment, student), by, rules.zone)


def _choose_again(store: Store, assignment: str, student: str) -> None:
    """Let the next autograde command compare the student's submissions anew: another may be the best now."""
    record = store.record(assignment, student)
    if record is not None and record.counts is not None:
        store.note(assignment, student, replace(record, stamp=""), [])


def _expect(gradebook: Gradebook, assignment: str, student: str) -> None:
    """Enter a submission that is yet to come, as nbgrader needs one to hold the extension; nothing in it waits."""
    submission = gradebook.add_submission(assignment, student)
    for notebook in submission.notebooks:
        for grade in notebook.grades:
            grade.needs_manual_grade = False
    gradebook.db.commit()


def _granted(submission: SubmittedAssignment, by: timedelta, zone: tzinfo) -> str:
    who, what = submission.student.id, submission.assignment.name
    text = f"{who} has no extension of {what} any more."
    if by:
        until = submission.duedate.replace(tzinfo=UTC).astimezone(zone)
        text = f"{who} may hand in {what} until {until:%Y-%m-%d %H:%M %Z}."
    if submission.timestamp is not None:
        penalty = submission.late_submission_penalty
        text += f" What is handed in loses {penalty:g} points." if penalty else " What is handed in loses no points."
    return text


# -------------------------------------------------------------------------------------------------------- the commands


def add_commands(subparsers: Any) -> None:
    """Add `extend` and `audit`; each parser's `run` takes nbgrader's interface and the arguments."""
    command = subparsers.add_parser("extend", help="give a student more time")
    command.add_argument("assignment", nargs="?")
    command.add_argument("student", nargs="?")
    command.add_argument("--days", type=float, help="after the due date; 0 takes the extension back")
    command.add_argument("--hours", type=float, help="on top of the days")
    command.set_defaults(run=extend_command)
    command = subparsers.add_parser("audit", help="what changed in the gradebook, when and why")
    command.add_argument("assignment", nargs="?")
    command.add_argument("--student", help="only this student")
    command.add_argument("--all", action="store_true", help="first grades too")
    command.set_defaults(run=audit_command)


def extend_command(api: NbGraderAPI, arguments: argparse.Namespace) -> None:
    if arguments.student is None:
        example = f"make extend ASSIGNMENT={arguments.assignment} STUDENT=alice DAYS=2"
        raise TermError(f"Say who gets more time, as in `{example}`.")
    if arguments.days is None and arguments.hours is None:
        raise TermError("Say for how long, as in --days 2; --days 0 takes an extension back.")
    try:
        by = timedelta(days=arguments.days or 0, hours=arguments.hours or 0)
    except (OverflowError, ValueError):
        raise TermError("That is no length of time: give --days a number of days.") from None
    print(extend(api, arguments.assignment, arguments.student, by))


def audit_command(api: NbGraderAPI, arguments: argparse.Namespace) -> None:
    update(api)
    root = Path(api.coursedir.root)
    changes = Store(root).changes() if arguments.all else trail.without_first_grades(Store(root).changes())
    print(trail.table(changes, arguments.assignment, arguments.student, read(root).every.zone))
