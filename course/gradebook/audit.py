"""The audit trail: what people changed in the gradebook, and all of it to read.

course/run/audit.jsonl holds a line for each automatic score that became another (course/gradebook/preprocessors.py
writes those). What people change, they change in formgrader, in term.toml or with the extend command; `notice` finds
it by comparing the gradebook with what the trail says it held, so that it stands there from the next grading, feedback
or export on.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from nbgrader.api import (
    Assignment,
    BaseCell,
    Comment,
    Grade,
    Gradebook,
    SubmittedAssignment,
    SubmittedNotebook,
)
from sqlalchemy import or_

from course.gradebook.store import NEW, Change, Store

DUE, RULES, EXTENSION, PENALTY = "due date", "rules", "extension", "late penalty"
COUNTS = "submission that counts"
MANUAL, EXTRA, COMMENT = "manual score of ", "extra credit of ", "comment on "
NOTICED = "noticed"
"""Why, of a line that compares the gradebook with the trail: nobody said why."""

_STAMP = re.compile(r"\b(\d{4}-\d\d-\d\d \d\d:\d\d) UTC\b")

Key = tuple[str, str, str]
"""Assignment, student ("" where it holds for all) and what it is: one of the names above."""


def notice(
    gradebook: Gradebook,
    store: Store,
    assignments: Sequence[str],
    *,
    rules: Mapping[str, str] | None = None,
    why: str = NOTICED,
    zone: tzinfo = UTC,
) -> list[Change]:
    """Add to the audit trail what differs from it in the gradebook and in `rules`, a sentence by assignment.

    Without `rules`, those that the trail knows stand. Extensions are told in days of the course's zone.
    """
    known = {key: value for key, value in _known(store.changes()).items() if key[0] in assignments}
    now = _held(gradebook, assignments, zone) | _counting(store, assignments)
    if rules is None:
        now |= {key: value for key, value in known.items() if key[2] == RULES}
    else:
        now |= {(name, "", RULES): sentence for name, sentence in rules.items()}
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    changes = [
        Change(moment, "", student, assignment, what, known.get(key), now.get(key), why)
        for key in sorted(known.keys() | now.keys())
        for assignment, student, what in [key]
        if known.get(key) != now.get(key)
    ]
    store.append(changes)
    return changes


def _is_ours(what: str) -> bool:
    return what in (DUE, RULES, EXTENSION, PENALTY, COUNTS) or what.startswith((MANUAL, EXTRA, COMMENT))


def _known(changes: Iterable[Change]) -> dict[Key, Any]:
    """What the trail says of all that people decide, as of its last line."""
    known: dict[Key, Any] = {}
    for change in changes:
        if _is_ours(change.cell):
            known[change.assignment, change.student, change.cell] = change.new
    return {key: value for key, value in known.items() if value is not None}


def _held(gradebook: Gradebook, assignments: Sequence[str], zone: tzinfo) -> dict[Key, Any]:
    """The same of the gradebook as it is, but for the rules."""
    held: dict[Key, Any] = {}
    rows = gradebook.db.query(Assignment.name, Assignment.duedate).filter(Assignment.name.in_(assignments))
    dues = {name: due for name, due in rows if due is not None}
    held |= {(name, "", DUE): f"{due:%Y-%m-%d %H:%M} UTC" for name, due in dues.items()}
    for name, student, extension in _of(gradebook, assignments, SubmittedAssignment.extension):
        held[name, student, EXTENSION] = _length(local_length(dues.get(name), extension, zone))
    for name, student, penalty in _of(gradebook, assignments, SubmittedNotebook.late_submission_penalty):
        if penalty:
            held[name, student, PENALTY] = penalty
    grades = _of(gradebook, assignments, Grade.manual_score, Grade.extra_credit, cells_of=Grade)
    for name, student, manual, extra, cell in grades:
        for what, value in ((MANUAL, manual), (EXTRA, extra)):
            if value is not None and not (what == EXTRA and value == 0):
                held[name, student, what + cell] = value
    for name, student, comment, cell in _of(gradebook, assignments, Comment.manual_comment, cells_of=Comment):
        if comment:
            held[name, student, COMMENT + cell] = comment
    return held


def _counting(store: Store, assignments: Sequence[str]) -> dict[Key, Any]:
    """When the submission was handed in that counts, where the best does."""
    return {
        (name, student, COUNTS): f"that of {record.counts[:16].replace('T', ' ')} UTC" if record.counts else "untimed"
        for name in assignments
        for student, record in store.records(name).items()
        if record.counts is not None
    }


def _of(gradebook: Gradebook, assignments: Sequence[str], *columns: Any, cells_of: Any = None) -> Iterator[Any]:
    """Assignment, student and `columns` (and the cell's name) of all submissions that have any of the columns."""
    names = (Assignment.name, SubmittedAssignment.student_id, *columns)
    query = gradebook.db.query(*names, *([BaseCell.name] if cells_of else [])).select_from(SubmittedAssignment)
    query = query.join(Assignment, Assignment.id == SubmittedAssignment.assignment_id)
    query = query.join(SubmittedNotebook, SubmittedNotebook.assignment_id == SubmittedAssignment.id)
    if cells_of:
        query = query.join(cells_of, cells_of.notebook_id == SubmittedNotebook.id)
        query = query.join(BaseCell, BaseCell.id == cells_of.cell_id)
    found: Iterator[Any] = iter(
        query.filter(Assignment.name.in_(assignments), or_(*(column.isnot(None) for column in columns)))
    )
    return found


def local_length(due: datetime | None, extension: timedelta, zone: tzinfo) -> timedelta:
    """An extension as it was granted: a day of it may have 23 or 25 hours where the clocks change."""
    if due is None:
        return extension
    start = due.replace(tzinfo=UTC)
    end = (start + extension).astimezone(zone).replace(tzinfo=None)
    length = end - start.astimezone(zone).replace(tzinfo=None)
    return length if length % timedelta(days=1) == timedelta() else extension


def _length(extension: timedelta) -> str:
    """A length of time in days and hours: 2 days, 1.5 days, 6 hours."""
    hours = extension.total_seconds() / 3600
    count, unit = (hours / 24, "day") if hours >= 24 else (hours, "hour")
    return f"{count:.4g} {unit}{'' if count == 1 else 's'}"


def sentence(change: Change) -> str:
    """What a change says."""
    old, new = (str(value) if isinstance(value, str) else f"{value:g}" for value in (change.old or 0, change.new or 0))
    if change.old is None:
        return f"{change.cell}: {new}"
    if change.new is None:
        return f"{change.cell}: {old}, taken back" if _is_ours(change.cell) else f"{change.cell}: {old}, taken out"
    return f"{change.cell} changed from {old} to {new}"


def without_first_grades(changes: Iterable[Change]) -> Iterator[Change]:
    """The changes: what a test gave when a student's submission was graded first is none."""
    return (c for c in changes if c.old is not None or c.why != NEW or _is_ours(c.cell))


def table(
    changes: Iterable[Change], assignment: str | None = None, student: str | None = None, zone: tzinfo = UTC
) -> str:
    """The audit trail as a person reads it, a line a change, with times in a zone.

    What holds for all students stands under each.
    """
    rows = [
        (
            f"{datetime.fromisoformat(c.time).astimezone(zone):%Y-%m-%d %H:%M}",
            c.assignment,
            c.student or "(all)",
            _STAMP.sub(lambda stamp: _local(stamp[1], zone), sentence(c).replace("\n", " ")),
            _why(c),
        )
        for c in changes
        if assignment in (None, c.assignment) and (student is None or c.student in ("", student))
    ]
    if not rows:
        return "The audit trail has no such line: nothing was changed."
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row[:4], widths, strict=True)) + f"  {row[4]}"
        for row in rows
    )


def _local(moment: str, zone: tzinfo) -> str:
    return f"{datetime.fromisoformat(moment).replace(tzinfo=UTC).astimezone(zone):%Y-%m-%d %H:%M %Z}"


def _why(change: Change) -> str:
    return f"{change.why}, {change.who}" if change.who else change.why
