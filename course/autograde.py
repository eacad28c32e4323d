"""Grade all that is new of one assignment: judged side by side, written by one writer, shown as it goes.

What was judged is kept at once (`course.store`), and what the gradebook holds is compared with what was submitted. So a
run that was interrupted, or killed, is continued by the next one, which judges nothing that is kept and writes whatever
the gradebook lacks.
"""

import contextlib
import itertools
import os
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from nbgrader.apps.api import NbGraderAPI
from sqlalchemy.exc import SQLAlchemyError

from course.grader import Assignment, judge_many
from course.receive import Received, receive
from course.steps import CannotGrade, Grading, broken, seconds_of, unread, whoami
from course.store import Damaged, Finished, Record, Store, grading_seed, secret, stamp_of
from course.writer import Writer, enter, is_entered


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


@contextlib.contextmanager
def alone(run: Path) -> Iterator[None]:
    """Hold the course's grading lock.

    Raises:
        CannotGrade: another command holds it; the sentence says who.
    """
    run.mkdir(parents=True, exist_ok=True)
    holder = run / "grading.holder"
    try:
        with FileLock(run / "grading.lock", timeout=0):
            holder.write_text(f"{whoami()}, process {os.getpid()}")
            yield
    except Timeout:
        with contextlib.suppress(OSError):
            raise CannotGrade(
                f"Another grading command is writing to this gradebook ({holder.read_text()}): "
                "wait until it has ended, or interrupt it; what it has done is kept."
            ) from None
        raise CannotGrade("Another grading command is writing to this gradebook: wait until it has ended.") from None


@dataclass(frozen=True)
class _Job:
    """One submission that is new, or asked for."""

    student: str
    received: Received
    stamp: str


@dataclass(frozen=True)
class _Kept:
    """One submission whose judgement is kept and is to be written."""

    student: str
    digest: str
    stamp: str


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
        self.total, self.unchanged = len(self.students), 0
        self.told: list[str] = []  # sentences for the instructor, about kept files

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

    def _judged(self, writer: Writer, found: Iterable[_Job | _Kept]) -> Iterator[Result]:
        """Judge what is not judged yet, and write everything as it comes."""
        judging: dict[str, _Job] = {}
        kept: deque[_Kept] = deque()

        def work() -> Iterator[tuple[str, Received, int]]:
            for item in found:
                if isinstance(item, _Job):
                    judging[item.student] = item
                    yield item.student, item.received, grading_seed(item.received.digest, self.secret)
                else:
                    kept.append(item)

        results = judge_many(self.assignment, work(), scheduler=self.scheduler, isolated=self.isolated)
        with contextlib.closing(results):
            for student, judged in results:
                job = judging.pop(student)
                finished = Finished(judged, job.received.remarks, job.received.files)
                if (reason := broken(finished)) is not None:
                    yield Result(student, None, None, seconds_of(finished), reason)
                else:
                    yield self._write(writer, self._keep(job, finished), finished)
                while kept:
                    yield self._write(writer, kept.popleft())
        while kept:
            yield self._write(writer, kept.popleft())

    def _found(self, writer: Writer) -> Iterator[_Job | _Kept]:
        """What is new, read as it is needed: submissions to judge, and those whose judgement is only to be written."""
        held, records = writer.held_scores(), self.store.records(self.assignment.name)
        for student in self.students:
            folder = self._folder(student)
            stamp = stamp_of(folder)
            graded = writer.graded_notebook(student)
            if not self.again and self._is_held(records.get(student), stamp, held.get(student), graded):
                self.unchanged += 1
                continue
            job = _Job(student, receive(folder, self.assignment.notebook, self.assignment.name), stamp)
            self.store.archive(self.assignment.name, student, job.received.digest, folder)
            if not job.received.readable:
                yield self._keep(job, Finished(unread(self.assignment, job.received), job.received.remarks))
            elif not self.again and self._is_kept(job):
                yield _Kept(student, job.received.digest, stamp)
            else:
                yield job

    def _is_held(self, record: Record | None, stamp: str, held: dict[str, float | None] | None, notebook: Path) -> bool:
        """Whether the gradebook holds what a student handed in, graded by this version of the assignment."""
        return (
            record is not None
            and (record.stamp, record.version) == (stamp, self.assignment.version)
            and record.scores == held
            and notebook.is_file()
        )

    def _is_kept(self, job: _Job) -> bool:
        try:
            kept = self.store.get(self.assignment.name, job.student, job.received.digest, self.assignment.version)
        except Damaged as damage:
            self.told.append(str(damage))
            return False
        return kept is not None

    def _keep(self, job: _Job, finished: Finished) -> _Kept:
        self.store.put(self.assignment.name, job.student, job.received.digest, self.assignment.version, finished)
        return _Kept(job.student, job.received.digest, job.stamp)

    def _write(self, writer: Writer, kept: _Kept, finished: Finished | None = None) -> Result:
        """Write one kept judgement; `finished` saves reading it again."""
        name, version = self.assignment.name, self.assignment.version
        finished = finished or self.store.get(name, kept.student, kept.digest, version)
        if finished is None:
            raise FileNotFoundError(f"the kept result of {kept.student} was removed while grading")
        grading = Grading(kept.student, kept.digest, version, kept.stamp, finished, self.isolated, asked=self.again)
        seconds = seconds_of(finished)
        try:
            written = writer.write(grading)
        except (SQLAlchemyError, OSError):
            raise
        except Exception as error:  # this one stops no other: its judgement is kept, and the next run writes it
            return Result(kept.student, None, None, seconds, f"{type(error).__name__}: {error}")
        return Result(kept.student, written.score, written.max_score, seconds, next(iter(finished.all_remarks), None))

    def _folder(self, student: str) -> Path:
        course = self.api.coursedir
        return Path(course.format_path(course.submitted_directory, student, self.assignment.name))


@contextlib.contextmanager
def gradebook_for(api: NbGraderAPI, assignment: Assignment) -> Iterator[None]:
    """Nobody else writes meanwhile, and the gradebook holds the present version of the assignment."""
    with alone(Path(api.coursedir.root) / "course" / "run"):
        with api.gradebook as gradebook:
            entered = is_entered(gradebook, assignment)
        if not entered:
            enter(api, assignment)
        yield
