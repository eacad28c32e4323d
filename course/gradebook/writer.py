"""The one writer: puts finished judgements into the gradebook, through nbgrader's own pipeline, one after another.

nbgrader connects to its database anew in every step and commits after every cell. The writer keeps one connection and
makes one transaction of a submission, so that it is in the gradebook whole or not at all, and quickly. Each submission
is first laid into a folder of its own, made from what was judged: whatever the student's folder holds, or lacks,
nbgrader finds one clean notebook. The result moves to course/autograded/ when the gradebook has it.
"""

import contextlib
import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.exporters import NotebookExporter
from nbconvert.writers import FilesWriter
from nbformat import NotebookNode
from nbgrader import api as tables
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.apps.api import NbGraderAPI
from nbgrader.converters import Autograde
from nbgrader.coursedir import CourseDirectory
from nbgrader.utils import is_grade, is_solution, parse_utc, temp_attrs
from sqlalchemy import create_engine, event, select
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from course.gradebook.preprocessors import CannotGrade, Grading, note
from course.gradebook.store import Store, read_plain
from course.judging.assignment import Assignment

NOTHING = logging.getLogger("course.gradebook.writer")
"""nbgrader tells every step; the command's own lines say what a person needs."""
NOTHING.addHandler(logging.NullHandler())
NOTHING.propagate = False

BUSY_SECONDS = 30
"""How long the writer waits for somebody else's lock on an SQLite gradebook: formgrader's, while it saves a comment."""


@dataclass(frozen=True)
class Written:
    """What the gradebook says of a submission: manual scores and late penalties included."""

    score: float
    max_score: float


# ------------------------------------------------------------------------------------------------------ the gradebook


class _Together(Session):
    """A session in which nbgrader's commits only become visible to itself, until `commit_all`."""

    def commit(self) -> None:
        self.flush()
        self.expire_all()

    def commit_all(self) -> None:
        super().commit()


def connect(url: str) -> Engine:
    """An engine for a gradebook; SQLite's keeps a log beside the file, so that readers and the writer never wait."""
    if not url.startswith("sqlite"):
        return create_engine(url, pool_pre_ping=True)
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        # A power cut may undo the last submissions; the next run sees that and writes them again.
        connection.execute("PRAGMA synchronous=NORMAL")

    return engine


@contextlib.contextmanager
def one_connection(url: str, course: str) -> Iterator[_Together]:
    """Every `Gradebook` that this process makes meanwhile uses one connection and one session, which is yielded."""
    Gradebook(url, course).close()  # makes the tables and the course's row where they are missing
    engine = connect(url)
    sessions = scoped_session(sessionmaker(class_=_Together, autoflush=True, bind=engine))
    original = Gradebook.__init__, Gradebook.close

    def init(self: Gradebook, db_url: str, course_id: str = course, authenticator: Any = None) -> None:
        if db_url != url:
            original[0](self, db_url, course_id, authenticator)
            return
        self.engine, self.db, self.course_id, self.authenticator = engine, sessions, course, authenticator

    def close(self: Gradebook) -> None:
        if self.db is not sessions:
            original[1](self)

    Gradebook.__init__, Gradebook.close = init, close
    try:
        yield sessions()
    finally:
        Gradebook.__init__, Gradebook.close = original
        sessions.remove()
        engine.dispose()


def held_scores(session: Session, assignment: str) -> dict[str, dict[str, float | None]]:
    """The automatic scores that the gradebook holds, by student and test cell."""
    rows = session.execute(
        select(tables.SubmittedAssignment.student_id, tables.BaseCell.name, tables.Grade.auto_score)
        .select_from(tables.Grade)
        .join(tables.BaseCell, tables.Grade.cell_id == tables.BaseCell.id)
        .join(tables.SubmittedNotebook, tables.Grade.notebook_id == tables.SubmittedNotebook.id)
        .join(tables.SubmittedAssignment, tables.SubmittedNotebook.assignment_id == tables.SubmittedAssignment.id)
        .join(tables.Assignment, tables.SubmittedAssignment.assignment_id == tables.Assignment.id)
        .where(tables.Assignment.name == assignment)
    )
    held: dict[str, dict[str, float | None]] = {}
    for student, cell, score in rows:
        held.setdefault(student, {})[cell] = score
    return held


# -------------------------------------------------------------------------------------- the assignment in the gradebook


def cells_by_kind(source: NotebookNode) -> dict[str, dict[str, NotebookNode]]:
    """An assignment's cells as the gradebook sorts them: those with points, those to fill in, all that it keeps."""
    marked = {c.metadata.nbgrader.grade_id: c for c in source.cells if "grade_id" in c.metadata.get("nbgrader", {})}
    return {
        "grade": {name: cell for name, cell in marked.items() if is_grade(cell)},
        "solution": {name: cell for name, cell in marked.items() if is_solution(cell)},
        "source": marked,
    }


def is_entered(gradebook: Gradebook, assignment: Assignment) -> bool:
    """Whether the gradebook holds this version of the assignment: its cells, their sources and points."""
    try:
        notebook = gradebook.find_notebook(assignment.name, assignment.name)
    except MissingEntry:
        return False
    cells = cells_by_kind(assignment.notebook)
    sources = {cell.name: cell.source for cell in notebook.source_cells}
    points = {cell.name: cell.max_score for cell in notebook.grade_cells}
    return (
        set(sources) == set(cells["source"])
        and points == {name: float(cell.metadata.nbgrader.points) for name, cell in cells["grade"].items()}
        and all(sources[name] == cell.source for name, cell in cells["source"].items() if name not in cells["solution"])
    )


def enter(api: NbGraderAPI, assignment: Assignment) -> None:
    """Enter the present version of the assignment into the gradebook; what is submitted and scored stays.

    nbgrader does this in its release step, which refuses to add or remove cells once somebody has submitted: that is
    done here before.

    Raises:
        CannotGrade: nbgrader could not release the assignment.
    """
    with api.gradebook as gradebook:
        try:
            notebook = gradebook.find_notebook(assignment.name, assignment.name)
        except MissingEntry:
            notebook = None
        if notebook is not None and notebook.submissions:
            _fit_cells(gradebook, notebook, assignment)
    # nbgrader writes the students' version as well; exercises/ is made by `make exercises`, so this one is not kept.
    with temp_attrs(api.coursedir, release_directory="course/run/release"):
        outcome = api.generate_assignment(assignment.name)
    if not outcome["success"]:
        errors = [line for line in (outcome.get("log") or outcome.get("error") or "").splitlines() if "Error" in line]
        why = errors[-1].strip() if errors else "nbgrader gave no reason"
        raise CannotGrade(f"{assignment.name} could not be entered into the gradebook: {why}.")


def _fit_cells(gradebook: Gradebook, notebook: tables.Notebook, assignment: Assignment) -> None:
    """Add the cells that are new to a submitted notebook's rows, and remove those that are gone."""
    name, session = assignment.name, gradebook.db
    cells = cells_by_kind(assignment.notebook)
    for row in [*notebook.grade_cells, *notebook.solution_cells]:
        kind = "grade" if isinstance(row, tables.GradeCell) else "solution"
        if row.name not in cells[kind]:
            for dependant in [*row.grades, *row.comments]:
                session.delete(dependant)
            session.delete(row)
    for row in notebook.source_cells:
        if row.name not in cells["source"]:
            session.delete(row)
    for cell in set(cells["grade"]) - {row.name for row in notebook.grade_cells}:
        points = float(cells["grade"][cell].metadata.nbgrader.points)
        row = gradebook.update_or_create_grade_cell(cell, name, name, max_score=points, cell_type="code")
        session.add_all(tables.Grade(cell=row, notebook=submission) for submission in notebook.submissions)
    for cell in set(cells["solution"]) - {row.name for row in notebook.solution_cells}:
        row = gradebook.update_or_create_solution_cell(cell, name, name)
        session.add_all(tables.Comment(cell=row, notebook=submission) for submission in notebook.submissions)
    for cell in set(cells["source"]) - {row.name for row in notebook.source_cells}:
        gradebook.update_or_create_source_cell(cell, name, name, cell_type="code")
    session.commit()


# --------------------------------------------------------------------------------------------------------- the writer


class _Pipeline(Autograde):
    """nbgrader's Autograde for one submission after another, each with its judgement."""

    grading: Grading

    def init_single_notebook_resources(self, notebook_filename: str) -> dict[str, Any]:
        resources: dict[str, Any] = super().init_single_notebook_resources(notebook_filename)
        resources["course"] = self.grading
        return resources

    def convert(self, notebook: Path, grading: Grading) -> None:
        """All that `start` does for one submission, except that nothing is caught."""
        assignment, student = self.coursedir.assignment_id, grading.student
        self.grading, self.notebooks = grading, [str(notebook)]
        self.coursedir.student_id = student
        self.init_destination(assignment, student)
        self.run_pre_convert_hook()
        self.init_assignment(assignment, student)
        for path in self.notebooks:
            self.convert_single_notebook(path)
        self.set_permissions(assignment, student)
        self.run_post_convert_hook()


class Writer:
    """Writes gradings into the gradebook and course/autograded/; a context manager. One may exist at a time."""

    def __init__(self, api: NbGraderAPI, assignment: Assignment):
        self.api, self.assignment = api, assignment
        self.root = Path(api.coursedir.root)
        self.store = Store(self.root)
        self.staged = self.store.run / "staged"
        self._open = contextlib.ExitStack()

    def __enter__(self) -> "Writer":
        self.clear()
        with self._open as stack:
            stack.callback(self.clear)
            self.session = stack.enter_context(one_connection(self.api.coursedir.db_url, self.api.course_id))
            course = CourseDirectory(config=self.api.config)
            course.assignment_id = self.assignment.name
            self.autograded = course.autograded_directory
            course.submitted_directory = str((self.staged / "submitted").relative_to(self.root))
            course.autograded_directory = str((self.staged / "autograded").relative_to(self.root))
            self.pipeline = _Pipeline(
                coursedir=course, config=self.api.config, exporter_class=NotebookExporter, log=NOTHING, force=True
            )
            self.pipeline.writer = FilesWriter(parent=self.pipeline, config=self.pipeline.config)
            self.pipeline.exporter = NotebookExporter(parent=self.pipeline, config=self.pipeline.config)
            self._open = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def clear(self) -> None:
        """Remove what an earlier writer left that was stopped."""
        shutil.rmtree(self.staged, ignore_errors=True)

    def held_scores(self) -> dict[str, dict[str, float | None]]:
        """The automatic scores that the gradebook holds, by student and test cell."""
        return held_scores(self.session, self.assignment.name)

    def graded_notebook(self, student: str) -> Path:
        """Where the student's graded notebook lies."""
        return self._folder(self.autograded, student) / f"{self.assignment.name}.ipynb"

    def write(self, grading: Grading) -> Written:
        """Put one submission into the gradebook, then its graded notebook into place, then the record on the disk.

        Whoever is stopped in between finds the gradebook with all of the submission or nothing of it, and on the next
        run the same submission is written again.

        Raises:
            CannotGrade: the gradebook holds another version of the assignment.
            SQLAlchemyError: the gradebook cannot be used.
            OSError: a file cannot be written.
        """
        name, student = self.assignment.name, grading.student
        submitted = self._folder(self.pipeline.coursedir.submitted_directory, student)
        autograded = self._folder(self.pipeline.coursedir.autograded_directory, student)
        grading.noted_by_writer = True
        try:
            self.pipeline.convert(self._stage(grading, submitted), grading)
            self.session.flush()
            row = self.submission(student)
            written = Written(float(row.score), float(row.max_score))
            self.session.commit_all()
        except BaseException:
            self.session.rollback()
            raise
        finally:
            shutil.rmtree(submitted.parent, ignore_errors=True)
        self._move(autograded, self._folder(self.autograded, student))
        note(self.store, name, grading)
        return written

    def times(self, student: str) -> tuple[datetime | None, timedelta | None]:
        """The due date, in UTC without a zone, and the time that was granted to the student beyond it."""
        with self.api.gradebook as gradebook:
            due: datetime | None = gradebook.find_assignment(self.assignment.name).duedate
            try:
                extension: timedelta | None = gradebook.find_submission(self.assignment.name, student).extension
            except MissingEntry:
                extension = None
            return due, extension

    def submission(self, student: str) -> tables.SubmittedAssignment:
        """The gradebook's row of the student's submission."""
        with self.api.gradebook as gradebook:
            return gradebook.find_submission(self.assignment.name, student)

    def _folder(self, step: str, student: str) -> Path:
        return Path(self.api.coursedir.format_path(step, student, self.assignment.name))

    def _stage(self, grading: Grading, folder: Path) -> Path:
        """Lay out the submission as nbgrader expects it; returns the notebook's path."""
        folder.mkdir(parents=True)
        notebook = folder / f"{self.assignment.name}.ipynb"
        # What lies where a file of the assignment's or of nbgrader's belongs would stop the pipeline.
        taken = {notebook.name, "timestamp.txt", "submission_secret.txt", *map(_first, self.assignment.data)}
        for name, data in grading.finished.files.items():
            if _first(name) in taken:
                continue
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        if grading.timestamp is not None and time_of(grading.timestamp) is not None:
            (folder / "timestamp.txt").write_bytes(grading.timestamp)
        original = self._folder(self.api.coursedir.submitted_directory, grading.student)
        address = read_plain(original / "submission_secret.txt", 1000)  # where nbgrader returns feedback to
        if address is not None:
            (folder / "submission_secret.txt").write_bytes(address)
        # Its outputs are cleared, and its metadata made the assignment's, by nbgrader's first step.
        nbformat.write(grading.finished.judged.notebook, notebook)
        return notebook

    def _move(self, new: Path, to: Path) -> None:
        to.parent.mkdir(parents=True, exist_ok=True)
        if to.exists():
            old = self.staged / "old"
            shutil.rmtree(old, ignore_errors=True)
            shutil.move(to, old)
        shutil.move(new, to)


def _first(name: str) -> str:
    """The first part of a relative name: what it needs of the folder that it lies in."""
    return name.split("/")[0]


def time_of(timestamp: bytes) -> datetime | None:
    """The moment, in UTC without a zone, that a timestamp.txt says; None where a student wrote something else."""
    try:
        moment: datetime | None = parse_utc(timestamp.decode().strip())
    except (ValueError, OverflowError, TypeError, AttributeError):
        return None
    return moment
