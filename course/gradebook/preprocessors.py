"""The steps of nbgrader's Autograde that are ours: its settings name them, so that every way to grade takes them.

`nbgrader autograde` and `python -m course.grading autograde`, which formgrader's button runs, go through nbgrader's own
pipeline. In place of its execution, which would run a student's code beside the tests, `TakeJudgement` takes what a
judge found out elsewhere (`course.judging.grader`), and `NoteGrades` notes at the end what the gradebook now holds.
"""

import contextlib
import copy
import getpass
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
from filelock import FileLock, Timeout
from nbconvert.exporters.exporter import ResourcesDict
from nbformat import NotebookNode
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import determine_grade, is_grade

from course import CourseError
from course.gradebook.store import (
    ASKED,
    CHANGED,
    NEW,
    Change,
    Damaged,
    Finished,
    Record,
    Store,
    grading_seed,
    secret,
    stamp_of,
)
from course.judging.assignment import Assignment
from course.judging.grader import Grader
from course.judging.submission import Received, receive
from course.judging.verdict import Judged, failed
from course.sandbox import WITHOUT_SANDBOX, why_not
from labkit.notebook import REPORT, VERDICT, facts


class CannotGrade(CourseError):
    """Grading is not possible for a reason that is not the student's: one sentence for the instructor."""


@dataclass
class Grading:
    """One submission on its way into the gradebook."""

    student: str
    digest: str
    version: str
    stamp: str
    finished: Finished
    timestamp: bytes | None = None  # what nbgrader's timestamp.txt says
    isolated: bool = True
    asked: bool = False  # somebody asked for this student by name
    counts: str | None = None  # see `Record`
    noted_by_writer: bool = False
    # Without the writer it holds the grading lock until it is noted, or until nothing refers to it any more.
    held: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    scores: dict[str, float | None] = field(default_factory=dict)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Grading":
        """Itself: nbconvert hands copies of its resources on, and the scores have to come back."""
        return self

    def why(self, before: Record | None) -> str:
        """Why the gradebook's scores may change, in the audit trail's words."""
        if before is None or before.digest != self.digest:
            return NEW
        return CHANGED if before.version != self.version and not self.asked else ASKED


def is_isolated(without_sandbox: bool = False) -> bool:
    """Whether students' code will run in the sandbox.

    Raises:
        CannotGrade: the sandbox cannot run here and nobody said by name that grading may go on without.
    """
    if without_sandbox or os.environ.get(WITHOUT_SANDBOX) == "1":
        return False
    if (reason := why_not()) is not None:
        raise CannotGrade(
            f"{reason} Students' code is not run without the sandbox. To grade without it all the same, "
            "on a machine that holds nothing of value, use --without-sandbox."
        )
    return True


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


def broken(finished: Finished) -> str | None:
    """Why a judgement is none: the grader broke down, and the submission is to be judged again."""
    report = facts(finished.judged.notebook, REPORT)
    failure = report.get("failure")
    return str(failure) if failure else None


def finished_of(assignment: Assignment, received: Received, grader: Grader, seed: int) -> Finished:
    """The judgement of one submission; one that cannot be read is not run and earns nothing."""
    judged = unread(assignment, received) if not received.readable else grader.judge(received, seed)
    return Finished(judged, received.remarks, received.files)


def unread(assignment: Assignment, received: Received) -> Judged:
    """The judgement of a submission without a readable notebook: no points, and the reason in every test cell."""
    reason = received.remarks[0] if received.remarks else "Your submission holds no notebook that can be read."
    return failed(received.notebook, assignment.notebook, reason, by_grader=False)


class TakeJudgement(NbGraderPreprocessor):
    """Puts a submission's judgement into the notebook that nbgrader grades; judges it now where none is kept.

    Only outputs are taken, and only into cells with the source that was judged. What stands in a test cell is made from
    its verdict, so that nbgrader's own reading of the outputs gives the verdict's points.
    """

    def preprocess(self, nb: NotebookNode, resources: ResourcesDict) -> tuple[NotebookNode, ResourcesDict]:
        if "course" not in resources:
            resources["course"] = self._judged_now(resources["nbgrader"])
        graft(nb, resources["course"].finished)
        return nb, resources

    def _judged_now(self, names: dict[str, str]) -> Grading:
        course = CourseDirectory(config=self.config)
        root, name, student = Path(course.root), names["assignment"], names["student"]
        folder = Path(course.format_path(course.submitted_directory, student, name))
        assignment = Assignment.load(root, name)
        received = receive(folder, assignment.notebook, name, assignment.data)
        store = Store(root)
        isolated = is_isolated()
        held = contextlib.ExitStack()
        held.enter_context(alone(store.run))
        try:
            finished = store.get(name, student, received.digest, assignment.version)
        except Damaged as damage:
            self.log.warning("%s", damage)
            finished = None
        if finished is None:
            store.archive(name, student, received.digest, folder)
            seed = grading_seed(received.digest, secret(store.run))
            with Grader(assignment, isolated=isolated) as grader:
                finished = finished_of(assignment, received, grader, seed)
            if (reason := broken(finished)) is not None:
                raise CannotGrade(reason)
            store.put(name, student, received.digest, assignment.version, finished)
        return Grading(
            student,
            received.digest,
            assignment.version,
            stamp_of(folder),
            finished,
            isolated=isolated,
            asked=True,
            held=held,
        )


def graft(nb: NotebookNode, finished: Finished) -> None:
    """Put a judgement's outputs and reports into nbgrader's own copy of the same notebook.

    Raises:
        CannotGrade: the two differ, which they do when the gradebook holds another version of the assignment.
    """
    judged = finished.judged.notebook
    verdicts = {verdict.cell: verdict for verdict in finished.judged.verdicts}
    tests = {cell.metadata.nbgrader.grade_id for cell in nb.cells if is_grade(cell)}
    if [c.source for c in nb.cells] != [c.source for c in judged.cells] or tests != set(verdicts):
        raise CannotGrade(
            "The gradebook holds another version of this assignment than course/source: "
            "run `make publish`, then grade again."
        )
    for cell, seen in zip(nb.cells, judged.cells, strict=True):
        if cell.cell_type != "code":
            continue
        cell.execution_count = seen.get("execution_count")
        cell.outputs = copy.deepcopy(seen.outputs)
        if is_grade(cell):
            verdict = verdicts[cell.metadata.nbgrader.grade_id]
            cell.outputs = outputs_of(verdict.earned, cell.metadata.nbgrader.points, verdict.detail, cell.outputs)
        if VERDICT in seen.metadata:
            cell.metadata[VERDICT] = copy.deepcopy(seen.metadata[VERDICT])
    nb.metadata[REPORT] = {**copy.deepcopy(facts(judged, REPORT)), "remarks": finished.all_remarks}


def outputs_of(earned: float, points: float, detail: str, outputs: list[NotebookNode]) -> list[NotebookNode]:
    """A test cell's outputs from which nbgrader reads `earned` points: an error, nothing, or the number itself."""
    if earned >= points:
        return []
    if earned > 0:
        return [nbformat.v4.new_output("execute_result", {"text/plain": str(earned)}, execution_count=1)]
    errors = [output for output in outputs if output.output_type == "error"]
    return errors or [nbformat.v4.new_output("error", ename="NotGraded", evalue=detail, traceback=[detail])]


class NoteGrades(NbGraderPreprocessor):
    """The last step: notes in the store what the gradebook now holds of the submission, and what changed."""

    def preprocess(self, nb: NotebookNode, resources: ResourcesDict) -> tuple[NotebookNode, ResourcesDict]:
        grading: Grading = resources["course"]
        grading.scores = {
            cell.metadata.nbgrader.grade_id: determine_grade(cell)[0] for cell in nb.cells if is_grade(cell)
        }
        if not grading.noted_by_writer:
            note(Store(Path(CourseDirectory(config=self.config).root)), resources["nbgrader"]["assignment"], grading)
            grading.held.close()
        return nb, resources


def note(store: Store, assignment: str, grading: Grading) -> None:
    """Write the audit trail and the record of a submission whose scores are in the gradebook."""
    before = store.record(assignment, grading.student)
    old = before.scores if before is not None else {}
    now = datetime.now(UTC).isoformat(timespec="seconds")
    why, who = grading.why(before), whoami()
    changes = [
        Change(now, who, grading.student, assignment, cell, old.get(cell), grading.scores.get(cell), why)
        for cell in dict.fromkeys([*old, *grading.scores])
        if cell not in old or old[cell] != grading.scores.get(cell)
    ]
    record = Record(
        digest=grading.digest,
        version=grading.version,
        stamp=grading.stamp,
        scores=grading.scores,
        seconds=seconds_of(grading.finished),
        remarks=grading.finished.all_remarks,
        time=now,
        isolated=grading.isolated,
        counts=grading.counts,
    )
    store.note(assignment, grading.student, record, changes)


def seconds_of(finished: Finished) -> float:
    """The processor time that judging took."""
    return float(facts(finished.judged.notebook, REPORT).get("seconds") or 0.0)


def whoami() -> str:
    """Who runs this: the hub's user where there is one, else the operating system's."""
    try:
        return os.environ.get("JUPYTERHUB_USER") or getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
