"""Grade all that is new of one assignment: judged side by side, written by one writer, shown as it goes.

What was judged is kept at once (`course.gradebook.store`), and what the gradebook holds is compared with what was
submitted. So a run that was interrupted, or killed, is continued by the next one, which judges nothing that is kept
and writes whatever the gradebook lacks.
"""

import contextlib
import dataclasses
import errno
import glob
import itertools
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from nbgrader.apps.api import NbGraderAPI
from sqlalchemy.exc import SQLAlchemyError

from course import CourseError
from course.gradebook.preprocessors import CannotGrade, Grading, alone, broken, seconds_of, unread
from course.gradebook.store import (
    MAX_TIMESTAMP,
    Damaged,
    Finished,
    Record,
    Store,
    grading_seed,
    read_plain,
    secret,
    stamp_of,
)
from course.gradebook.term import Attempt, choose, deadline, update
from course.gradebook.term import read as read_term
from course.gradebook.writer import Writer, enter, is_entered, time_of
from course.judging.assignment import Assignment
from course.judging.lanes import judge_many
from course.judging.submission import Received, receive

OF_THE_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
"""Errors that every other submission would meet too, such as a full disk."""


@dataclass(frozen=True)
class Result:
    """What became of one submission: points, or the reason why it is not graded. `remark` is for the student too."""

    student: str
    score: float | None
    max_score: float | None
    seconds: float
    remark: str | None = None

    @property
    def problem(self) -> str | None:
        """Why the submission is not graded; None when it is."""
        return self.remark if self.score is None else None


@dataclass
class _Student:
    """A student with something new: the submissions of which one counts, in the order in which they came in."""

    name: str
    stamp: str
    timestamp: bytes | None
    digests: list[str]
    unjudged: set[str] = field(default_factory=set)
    failure: str | None = None


@dataclass(frozen=True)
class _Job:
    """One submission to judge."""

    student: _Student
    received: Received


class Run:
    """One assignment's grading: `results` yields what became of each submission that was not in the gradebook yet.

    `total` is how many submissions there are; `unchanged` counts those that the gradebook holds already.
    """

    def __init__(
        self,
        api: NbGraderAPI,
        assignment: Assignment,
        students: Iterable[str],
        *,
        again: bool = False,
        scheduler: str | None = None,
        isolated: bool = True,
    ):
        self.api, self.assignment, self.students = api, assignment, sorted(students)
        self.again, self.scheduler, self.isolated = again, scheduler, isolated
        self.store = Store(Path(api.coursedir.root))
        self.secret = secret(self.store.run)
        self.rules = read_term(self.store.root).of(assignment.name)
        self.best = self.rules.submissions == "best"
        self.total, self.unchanged = len(self.students), 0
        self.notices: list[str] = []  # sentences for the instructor, about kept files

    def results(self) -> Iterator[Result]:
        """Judge and write; ends its processes when the iteration is left.

        Raises:
            CannotGrade, GraderError: grading cannot go on; what was yielded is in the gradebook.
            SQLAlchemyError, OSError: the gradebook or a file cannot be used; likewise.
        """
        with gradebook_for(self.api, self.assignment), Writer(self.api, self.assignment) as writer:
            found = self._found(writer)
            for item in found:
                if isinstance(item, _Job):
                    yield from self._judged(writer, itertools.chain([item], found))
                else:
                    yield self._write(writer, item)

    def _judged(self, writer: Writer, found: Iterable[_Job | _Student]) -> Iterator[Result]:
        """Judge what is not judged yet, and write everything as it comes."""
        judging: dict[tuple[str, str], _Job] = {}
        ready: deque[_Student] = deque()

        def work() -> Iterator[tuple[tuple[str, str], Received, int]]:
            for item in found:
                if isinstance(item, _Job):
                    key = item.student.name, item.received.digest
                    judging[key] = item
                    yield key, item.received, grading_seed(item.received.digest, self.secret)
                else:
                    ready.append(item)

        judging_now = judge_many(self.assignment, work(), scheduler=self.scheduler, isolated=self.isolated)
        with contextlib.closing(judging_now):
            for key, judged in judging_now:
                job = judging.pop(key)
                student = job.student
                finished = Finished(judged, job.received.remarks, job.received.files)
                student.failure = broken(finished) or student.failure
                student.unjudged.discard(job.received.digest)
                if student.failure is None:
                    try:
                        self._keep(student.name, job.received.digest, finished)
                    except OSError as error:
                        student.failure = trouble(error)
                if not student.unjudged:
                    yield self._write(writer, student)
                while ready:
                    yield self._write(writer, ready.popleft())
        while ready:
            yield self._write(writer, ready.popleft())

    def _found(self, writer: Writer) -> Iterator[_Job | _Student]:
        """What is new, read as it is needed: submissions to judge, and students of whom all is judged."""
        held, records = writer.held_scores(), self.store.records(self.assignment.name)
        for name in self.students:
            try:
                new = self._new(name, records.get(name), held.get(name), writer.graded_notebook(name))
            except Exception as error:
                new = [_Student(name, "", None, [], failure=trouble(error))]
            yield from new

    def _new(
        self, name: str, record: Record | None, held: Mapping[str, float | None] | None, notebook: Path
    ) -> "list[_Job] | list[_Student]":
        """What of a student is to be judged, or the student where all is; nothing where the gradebook holds it.

        Raises:
            CannotGrade: what lies there is no student's folder.
        """
        folder = self._folder(name)
        if name != name.encode(errors="replace").decode():
            raise CannotGrade("The folder's name is not UTF-8 text, which a gradebook cannot hold: rename the folder.")
        if not folder.is_dir():
            place = folder.relative_to(self.store.root)
            raise CannotGrade(f"{place} is not a folder: put what was handed in into a folder of that name.")
        stamp = stamp_of(folder)
        if not self.again and self._is_held(record, stamp, held, notebook):
            self.unchanged += 1
            return []
        received = self._received(folder)
        self.store.archive(self.assignment.name, name, received.digest, folder)
        timestamp = read_plain(folder / "timestamp.txt", MAX_TIMESTAMP)
        attempts = [received]
        if self.best:
            earlier = [d for d in self.store.archived(self.assignment.name, name) if d != received.digest]
            attempts = [*self._restored(name, earlier), received]
        student = _Student(name, stamp, timestamp, [attempt.digest for attempt in attempts])
        jobs = [_Job(student, attempt) for attempt in attempts if not self._is_done(name, attempt)]
        student.unjudged = {job.received.digest for job in jobs}
        return jobs or [student]

    def _received(self, folder: Path) -> Received:
        return receive(folder, self.assignment.notebook, self.assignment.name, self.assignment.data)

    def _is_done(self, student: str, received: Received) -> bool:
        """Whether there is a judgement; one that cannot be read has its own at once."""
        if not self.again and self._kept(student, received.digest) is not None:
            return True
        if received.readable:
            return False
        judged = unread(self.assignment, received)
        self._keep(student, received.digest, Finished(judged, received.remarks))
        return True

    def _restored(self, student: str, digests: Iterable[str]) -> Iterator[Received]:
        """A student's earlier submissions, read again; one that was damaged since is left out, with a notice."""
        for digest in digests:
            with tempfile.TemporaryDirectory() as folder:
                try:
                    self.store.restore(self.assignment.name, student, digest, Path(folder))
                except Damaged as damage:
                    self.notices.append(str(damage))
                    continue
                received = self._received(Path(folder))
            yield dataclasses.replace(received, digest=digest)

    def _is_held(
        self, record: Record | None, stamp: str, held: Mapping[str, float | None] | None, notebook: Path
    ) -> bool:
        """Whether the gradebook holds what a student handed in, graded by this version of the assignment."""
        return (
            record is not None
            and (record.stamp, record.version) == (stamp, self.assignment.version)
            and record.scores == held
            and (record.counts is not None) == self.best
            and notebook.is_file()
        )

    def _kept(self, student: str, digest: str) -> Finished | None:
        try:
            return self.store.get(self.assignment.name, student, digest, self.assignment.version)
        except Damaged as damage:
            self.notices.append(str(damage))
            return None

    def _keep(self, student: str, digest: str, finished: Finished) -> None:
        self.store.put(self.assignment.name, student, digest, self.assignment.version, finished)

    def _write(self, writer: Writer, student: _Student) -> Result:
        """Write the submission that counts."""
        if student.failure is not None:
            return Result(student.name, None, None, 0.0, student.failure)
        seconds = 0.0
        try:
            grading = self._counts(writer, student)
            finished = grading.finished
            seconds, remark = seconds_of(finished), next(iter(finished.all_remarks), None)
            written = writer.write(grading)
        except Exception as error:  # its judgement is kept, and the next run writes it
            return Result(student.name, None, None, seconds, trouble(error))
        return Result(student.name, written.score, written.max_score, seconds, remark)

    def _counts(self, writer: Writer, student: _Student) -> Grading:
        """The one of a student's submissions that counts: the last, or by term.toml the best after its penalty."""
        attempts: dict[str, tuple[Attempt, Grading]] = {}
        due, extension = writer.times(student.name)
        for digest in student.digests:
            finished = self._kept(student.name, digest)
            if finished is None:
                raise FileNotFoundError(f"the kept result of {student.name} was removed while grading")
            moment = self._handed_in(student, digest)
            score = float(sum(verdict.earned for verdict in finished.judged.verdicts))
            late = self.rules.days_late(moment, deadline(due, extension))
            attempts[digest] = (
                Attempt(digest, self.assignment.version, score, moment, self.rules.penalty(score, late)),
                Grading(
                    student=student.name,
                    digest=digest,
                    version=self.assignment.version,
                    stamp=student.stamp,
                    finished=finished,
                    # The last one's: nbgrader takes a submission with another time for not graded yet.
                    timestamp=student.timestamp,
                    isolated=self.isolated,
                    asked=self.again,
                    counts=(moment.isoformat() if moment else "") if self.best else None,
                ),
            )
        chosen = choose([attempt for attempt, _ in attempts.values()], self.rules.submissions)
        return attempts[chosen.digest][1]

    def _handed_in(self, student: _Student, digest: str) -> datetime | None:
        """When a submission came, if anybody noted it.

        The same one may have come twice: where the best counts, its first time does, or coming again would cost points.
        """
        noted = [student.timestamp] if digest == student.digests[-1] else []
        if self.best:
            noted.append(self.store.timestamp(self.assignment.name, student.name, digest))
        moments = [time_of(timestamp) for timestamp in noted if timestamp is not None]
        return min((moment.replace(tzinfo=UTC) for moment in moments if moment is not None), default=None)

    def _folder(self, student: str) -> Path:
        course = self.api.coursedir
        return Path(course.format_path(course.submitted_directory, student, self.assignment.name))


def trouble(error: Exception) -> str:
    """Why one submission is not graded, in a sentence: it stops no other.

    Raises the error itself when it would meet all the others too: it is of the gradebook, the settings or the machine.
    """
    if isinstance(error, SQLAlchemyError | ImportError) or getattr(error, "errno", None) in OF_THE_MACHINE:
        raise error
    return str(error) if isinstance(error, CourseError) else f"{type(error).__name__}: {error}"


def submitted(api: NbGraderAPI, assignment: str) -> list[str]:
    """The students under whose names something lies in course/submitted/, be it a folder or not."""
    course = api.coursedir
    pattern = course.format_path(course.submitted_directory, "*", assignment)
    return sorted(Path(path).parent.name for path in glob.glob(pattern))


@contextlib.contextmanager
def gradebook_for(api: NbGraderAPI, assignment: Assignment) -> Iterator[None]:
    """Nobody else writes meanwhile, and the gradebook holds the present version of the assignment."""
    with alone(Path(api.coursedir.root) / "course" / "run"):
        with api.gradebook as gradebook:
            entered = is_entered(gradebook, assignment)
        update(api, [assignment.name])  # notes what people gave for cells that may go now
        if not entered:
            enter(api, assignment)
            update(api, [assignment.name])
        yield
        update(api, [assignment.name])
