"""Grades for other systems: nbgrader's CSV, and the files that Canvas and Moodle import.

    python -m course.grading export                                           # a CSV of everything
    python -m course.grading export --format canvas --roster from-canvas.csv  # Canvas's own export, filled in
    python -m course.grading export --format moodle --assignment gpt

The classes are nbgrader exporters as well; from the folder course/:

    PYTHONPATH=.. nbgrader export --exporter=course.gradebook.exports.MoodleExport --assignment "['gpt']" --to
    moodle.csv

A score is the gradebook's: what the tests gave, with a person's changes, less the penalty for a late submission and
never below 0. A student without a graded submission gets no score here, not 0: whoever imports the file decides.
"""

import argparse
import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import nbformat
from nbgrader.api import Assignment, Gradebook, MissingEntry, Student, SubmittedAssignment
from nbgrader.apps.api import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from nbgrader.plugins import ExportPlugin
from traitlets import Unicode

from course.gradebook import term
from course.gradebook.preprocessors import CannotGrade
from labkit.files import write_whole
from labkit.notebook import facts

FORMATS = ("csv", "canvas", "moodle")
BYTE_ORDER_MARK = "\ufeff"
SEPARATORS = ",;\t"
CANVAS_IDENTITY = "SIS Login ID"
CANVAS_IDENTITIES = {"ID", "SIS User ID", CANVAS_IDENTITY, "Integration ID", "Root Account"}
"""What Canvas knows students by: it finds nobody when one of these is changed."""
CANVAS_POINTS = "Points Possible"
# Canvas adds a made-up student under this name to every course in which an instructor used the student's view.
CANVAS_TEST_STUDENTS = {"test student", "student, test"}
MOODLE_IDENTITIES = {"username": "id", "idnumber": "lms_user_id", "email": "email"}
"""What Moodle may know a student by, and the field of nbgrader's student that holds it."""


def number(value: float) -> str:
    """A number without needless zeros, at most two places: 31, 31.5, 31.33."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


class CannotExport(CannotGrade):
    """One sentence for the person who asked for the file: what is wrong with it and what to do."""


@dataclass(frozen=True)
class Score:
    """What a student gets for an assignment."""

    points: float
    max_points: float
    penalty: float
    raw: float  # before the penalty
    timestamp: datetime | None  # when the submission came, in UTC
    lost: tuple[str, ...]  # tests that did not give all their points, as "layer-norm-eps (0 of 1)"
    waiting: bool  # a person has yet to grade a part of it

    @classmethod
    def of(cls, submission: SubmittedAssignment) -> "Score":
        penalty = submission.late_submission_penalty or 0.0
        lost = tuple(
            f"{grade.name.removeprefix('test-')} ({number(grade.score)} of {number(grade.max_score)})"
            for notebook in submission.notebooks
            for grade in notebook.grades
            if grade.score < grade.max_score
        )
        points = max(0.0, submission.score - penalty)
        waiting = bool(submission.needs_manual_grade)
        return cls(points, submission.max_score, penalty, submission.score, submission.timestamp, lost, waiting)

    def sentence(self) -> str:
        """The score as a student reads it."""
        text = f"{number(self.points)} of {number(self.max_points)} points."
        if self.penalty:
            text += f" {number(self.penalty)} were taken off for a late submission."
        if self.lost:
            text += f" Tests that lost points: {', '.join(self.lost)}."
        return text


def harmless(text: str) -> str:
    """The text so that no spreadsheet takes it for a formula; numbers stay as they are."""
    if text.lstrip()[:1] not in {"=", "+", "-", "@"} and text[:1] not in {"\t", "\r"}:
        return text
    return text if re.fullmatch(r"\s*[-+]?\d+([.,]\d+)?\s*", text) else f"'{text}"


def names(people: Iterable[str]) -> str:
    """At most ten names, in alphabetical order, and how many more there are."""
    people = sorted(people)
    return ", ".join(people[:10]) + (f" and {len(people) - 10} more" if len(people) > 10 else "")


def count(people: Iterable[str], one: str, many: str) -> str:
    """`1 student is` or `3 students are`: the count with the words that go with it."""
    n = len(list(people))
    return f"{n} {one if n == 1 else many}"


class LearningSystemExport(ExportPlugin):
    """What the exporters for other systems share: which assignments, and each student's score."""

    remarks: list[str]
    """After `export`: sentences for the instructor, such as who could not be matched."""

    def assignments(self, gradebook: Gradebook) -> list[Assignment]:
        """The assignments that were asked for, or all.

        Raises:
            CannotExport: one of them is not in the gradebook.
        """
        known = {assignment.name: assignment for assignment in gradebook.assignments}
        wanted = [str(name) for name in self.assignment] or sorted(known)
        if missing := [name for name in wanted if name not in known]:
            has = f"it has {', '.join(sorted(known))}" if known else "it is empty"
            raise CannotExport(f"The gradebook knows no assignment {', '.join(missing)}: {has}.")
        return [known[name] for name in wanted]

    def students(self, gradebook: Gradebook) -> list[Student]:
        wanted = {str(name) for name in self.student}
        return [student for student in gradebook.students if not wanted or student.id in wanted]

    def scores(self, gradebook: Gradebook, assignment: Assignment) -> dict[str, Score]:
        """`{student: score}` of those whose submission is graded."""
        found = {}
        for student in self.students(gradebook):
            try:
                submission = gradebook.find_submission(assignment.name, student.id)
            except MissingEntry:
                continue
            if _is_graded(submission):
                found[student.id] = Score.of(submission)
        if waiting := [name for name, score in found.items() if score.waiting]:
            self.remark(
                f"{assignment.name}: {count(waiting, 'submission waits', 'submissions wait')} for a person to grade a "
                f"part, and the points so far are written: {names(waiting)}."
            )
        return found

    def remark(self, sentence: str) -> None:
        self.remarks.append(sentence)
        self.log.warning(sentence)

    def title(self, assignment: str) -> str:
        """The assignment's title for people, where its notebook is at hand; else its name."""
        course = CourseDirectory(parent=self.parent, config=self.config)
        path = Path(course.format_path(course.source_directory, ".", assignment), f"{assignment}.ipynb")
        if not path.is_file():
            return assignment
        return str(facts(nbformat.read(path, as_version=4)).get("title", assignment))


class SpreadsheetExport(LearningSystemExport):
    """All grades as one table, with the columns of nbgrader's own CSV, for a spreadsheet; times are in UTC."""

    def export(self, gradebook: Gradebook) -> None:
        """Write the grades to `to`, or to grades.csv.

        Raises:
            CannotExport: an assignment was asked for that is not in the gradebook.
        """
        self.remarks = []
        columns = ["assignment", "duedate", "timestamp", "student_id", "last_name", "first_name", "email"]
        columns += ["raw_score", "late_submission_penalty", "score", "max_score"]
        out = io.StringIO(newline="")
        table = csv.DictWriter(out, columns, restval="", lineterminator="\n")
        table.writeheader()
        for assignment in self.assignments(gradebook):
            scores = self.scores(gradebook, assignment)
            for student in self.students(gradebook):
                row = {name: getattr(student, name) for name in ("last_name", "first_name", "email")}
                row |= {"assignment": assignment.name, "student_id": student.id}
                row |= {"duedate": assignment.duedate, "max_score": assignment.max_score}
                if score := scores.get(student.id):
                    row |= {"timestamp": score.timestamp, "raw_score": score.raw}
                    row |= {"late_submission_penalty": score.penalty, "score": score.points}
                table.writerow({name: "" if value is None else harmless(str(value)) for name, value in row.items()})
        write_whole(Path(self.to or "grades.csv"), out.getvalue().encode())


class CanvasExport(LearningSystemExport):
    """The gradebook that an instructor exported from Canvas, with our scores in it: Canvas imports that again.

    Every row and column of it stays; only scores of students who have one are written. A column serves an assignment
    if its heading is the assignment's name or title, with or without Canvas's number behind it; where there is none,
    one is added, and Canvas will offer to make the assignment.
    """

    roster = Unicode("", help="the CSV that Canvas exported").tag(config=True)
    by = Unicode(CANVAS_IDENTITY, help="the column that holds the gradebook's student ids").tag(config=True)

    def export(self, gradebook: Gradebook) -> None:
        """Write the filled-in gradebook to `to`, or to canvas.csv.

        Raises:
            CannotExport: there is no roster, or it is not what Canvas exports.
        """
        self.remarks = []
        if not self.roster:
            raise CannotExport(
                "Canvas takes back its own file only: export the gradebook there and name the file with --roster."
            )
        table = _CanvasTable.read(Path(self.roster), self.by)
        ours = {_folded(student.id): student.id for student in self.students(gradebook)}
        if len(ours) < len(self.students(gradebook)):
            raise CannotExport("Two students of the gradebook differ only in capitals: Canvas cannot tell them apart.")
        known = {_folded(login) for login in table.logins.values()}
        if strangers := [login for login in table.logins.values() if _folded(login) not in ours]:
            who = count(strangers, "student of the roster is", "students of the roster are")
            self.remark(f"{who} not in the gradebook; their rows stay as they are: {names(strangers)}.")
        if missing := [student for login, student in ours.items() if login not in known]:
            who = count(missing, "student of the gradebook is", "students of the gradebook are")
            self.remark(f"{who} not in the roster's column {self.by!r} and left out: {names(missing)}.")
        for assignment in self.assignments(gradebook):
            scores = {_folded(student): score for student, score in self.scores(gradebook, assignment).items()}
            if not scores and not self.assignment:
                continue  # nobody has handed it in, and nobody asked for a column of nothing
            column = table.column(assignment.name, self.title(assignment.name))
            self.check_points(table, column, assignment)
            for row, login in table.logins.items():
                if score := scores.get(_folded(login)):
                    table.rows[row][column] = table.number(score.points)
            if without := [login for login in table.logins.values() if _folded(login) in ours.keys() - scores.keys()]:
                who = count(without, "student has", "students have")
                self.remark(f"{assignment.name}: {who} no graded submission; their cells stay: {names(without)}.")
        write_whole(Path(self.to or "canvas.csv"), table.text().encode())

    def check_points(self, table: "_CanvasTable", column: int, assignment: Assignment) -> None:
        """Enter the assignment's points where Canvas has none; say so where it has others."""
        if table.possible is None:
            return
        there = table.rows[table.possible][column]
        if not there.strip():
            table.rows[table.possible][column] = table.number(assignment.max_score)
        elif table.value(there) not in (None, assignment.max_score):
            self.remark(
                f"{assignment.name}: Canvas counts {there.strip()} points and the gradebook "
                f"{number(assignment.max_score)}; scores are written as the gradebook has them."
            )


class MoodleExport(LearningSystemExport):
    """One assignment as Moodle's grade import takes it: who, the grade, and the feedback as text.

    Only students with a graded submission have a row: Moodle takes an empty grade for the order to remove one.
    """

    by = Unicode("username", help=f"what Moodle knows a student by: {', '.join(MOODLE_IDENTITIES)}").tag(config=True)

    def export(self, gradebook: Gradebook) -> None:
        """Write the grades to `to`, or to moodle.csv.

        Raises:
            CannotExport: not exactly one assignment, or an unknown `by`.
        """
        self.remarks = []
        if self.by not in MOODLE_IDENTITIES:
            raise CannotExport(f"Moodle knows no student by {self.by!r}: use {', '.join(MOODLE_IDENTITIES)}.")
        assignments = self.assignments(gradebook)
        if len(assignments) != 1:
            known = names(assignment.name for assignment in assignments) or "none yet"
            raise CannotExport(
                f"Moodle's file holds one assignment (an empty grade in it would erase Moodle's): name it with "
                f"--assignment; the gradebook has {known}."
            )
        (assignment,) = assignments
        rows = [[self.by, f"{assignment.name} (points of {number(assignment.max_score)})", "feedback"]]
        scores = self.scores(gradebook, assignment)
        students = [student for student in self.students(gradebook) if student.id in scores]
        unknown, odd = [], []
        for student in sorted(students, key=lambda s: s.id):
            identity = getattr(student, MOODLE_IDENTITIES[self.by]) or ""
            if not identity:
                unknown.append(student.id)
            elif harmless(identity) != identity:
                odd.append(student.id)
            else:
                score = scores[student.id]
                rows.append([identity, number(score.points), harmless(score.sentence())])
        if unknown:
            who = count(unknown, "graded student has", "graded students have")
            self.remark(f"{who} no {self.by} in the gradebook and no row: {names(unknown)}.")
        if odd:
            who = count(odd, "graded student's", "graded students'")
            self.remark(f"{who} {self.by} would start a formula in a spreadsheet; no row was written: {names(odd)}.")
        out = io.StringIO(newline="")
        csv.writer(out, lineterminator="\n").writerows(rows)
        write_whole(Path(self.to or "moodle.csv"), out.getvalue().encode())


class _CanvasTable:
    """The rows of a Canvas gradebook, and which of them are students'."""

    def __init__(self, rows: list[list[str]], by: str, separator: str, byte_order_mark: str):
        self.separator, self.byte_order_mark = separator, byte_order_mark
        self.heading = rows[0]
        width = len(self.heading)
        # The headings are the instructor's own, and Canvas goes by them; all else may be a student's.
        is_identity = [heading in CANVAS_IDENTITIES | {by} for heading in self.heading]
        self.rows = [self.heading]
        for row in rows[1:]:
            cells = [text if keep else harmless(text) for text, keep in zip(row, is_identity, strict=False)]
            self.rows.append([*cells, *row[width:], *[""] * (width - len(row))])
        name = self.heading.index("Student")
        identity = self.heading.index(by)
        students = [row[name].strip() for row in self.rows]
        self.possible = next((n for n, student in enumerate(students) if student == CANVAS_POINTS), None)
        self.logins = {
            n: rows[n][identity].strip()
            for n, student in enumerate(students)
            if n > 0
            and n != self.possible
            and len(rows[n]) > identity
            and rows[n][identity].strip()
            and student.lower() not in CANVAS_TEST_STUDENTS
        }

    @classmethod
    def read(cls, path: Path, by: str) -> "_CanvasTable":
        """The file's table.

        Raises:
            CannotExport: it is not text, or lacks the columns that Canvas writes.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise CannotExport(
                f"{path} is not UTF-8 text: take the file as Canvas exported it, not as a spreadsheet saved it."
            ) from None
        body = text.removeprefix(BYTE_ORDER_MARK)
        separator = max(SEPARATORS, key=body.partition("\n")[0].count)
        rows = [row for row in csv.reader(io.StringIO(body, newline=""), delimiter=separator) if row]
        heading = rows[0] if rows else []
        for column in ("Student", by):
            if column not in heading:
                raise CannotExport(
                    f"{path} has no column {column!r}, so it is not a gradebook from Canvas (or --by names a wrong "
                    f"column); it has {', '.join(heading[:6]) or 'nothing'}."
                )
        return cls(rows, by, separator, text[: len(text) - len(body)])

    def column(self, name: str, title: str) -> int:
        """The assignment's column, added at the end where there is none.

        Raises:
            CannotExport: several columns could be meant.
        """
        wanted = {_folded(name), _folded(title)}
        bare = [_folded(re.sub(r"\s*\(\d+\)$", "", heading)) for heading in self.heading]
        found = [n for n, heading in enumerate(bare) if heading in wanted]
        if len(found) > 1:
            columns = ", ".join(repr(self.heading[n]) for n in found)
            raise CannotExport(f"The roster has several columns for {name}: {columns}. Take out all but one.")
        if not found:
            for row in self.rows:
                row.append("")
            self.heading[-1] = name
            return len(self.heading) - 1
        return found[0]

    def number(self, value: float) -> str:
        """A number as this file writes it: with a comma for the point where semicolons separate cells."""
        return number(value).replace(".", "," if self.separator == ";" and self.comma else ".")

    @property
    def comma(self) -> bool:
        """Whether the points row shows that numbers have a decimal comma."""
        return self.possible is not None and any(re.fullmatch(r"\s*\d+,\d+\s*", c) for c in self.rows[self.possible])

    @staticmethod
    def value(text: str) -> float | None:
        """The number that a cell holds, if it holds one."""
        try:
            return float(text.strip().replace(",", "."))
        except ValueError:
            return None

    def text(self) -> str:
        out = io.StringIO(newline="")
        csv.writer(out, delimiter=self.separator, lineterminator="\n").writerows(self.rows)
        return self.byte_order_mark + out.getvalue()


def _is_graded(submission: SubmittedAssignment) -> bool:
    """Whether there is a score in it: an extension makes an entry too, for what is yet to come."""
    grades = [grade for notebook in submission.notebooks for grade in notebook.grades]
    return any(grade.auto_score is not None or grade.manual_score is not None for grade in grades)


def _folded(name: str) -> str:
    return name.strip().casefold()


def export_command(api: NbGraderAPI, arguments: argparse.Namespace) -> None:
    """Write the file and print what the instructor should know about it."""
    kind = {"csv": SpreadsheetExport, "canvas": CanvasExport, "moodle": MoodleExport}[arguments.format]
    settings = {"to": str(arguments.to), "assignment": arguments.assignment}
    if arguments.by and arguments.format != "csv":
        settings["by"] = arguments.by
    if arguments.format == "canvas" and arguments.roster:
        settings["roster"] = str(arguments.roster)
    exporter = kind(config=api.config, **settings)
    term.update(api, arguments.assignment or None)  # penalties follow from manual scores, which may be new
    with api.gradebook as gradebook:
        exporter.export(gradebook)
    for sentence in exporter.remarks:
        print(sentence)
    print(f"{'All grades are' if not arguments.assignment else 'The grades are'} in {arguments.to}.")


def add_commands(subparsers: argparse._SubParsersAction) -> None:
    """Add `export` to the grading command."""
    command = subparsers.add_parser("export", help="write grades as CSV, for a spreadsheet, Canvas or Moodle")
    command.add_argument("--format", choices=FORMATS, default="csv")
    command.add_argument("--to", type=Path, default=Path("grades.csv"), help="the file to write (%(default)s)")
    command.add_argument("--assignment", nargs="*", default=[], help="only these assignments (all)")
    command.add_argument("--roster", type=Path, help="canvas: the gradebook that Canvas exported as CSV")
    command.add_argument(
        "--by",
        help=f"canvas: the roster's column that holds our student names ({CANVAS_IDENTITY}); "
        f"moodle: {', '.join(MOODLE_IDENTITIES)} (username)",
    )
    command.set_defaults(run=export_command)
