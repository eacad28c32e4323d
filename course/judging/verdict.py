"""What judging gives: how a test failed, a verdict for each test cell, and the judged notebook that holds them."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import nbformat.v4
from nbformat import NotebookNode

from course.judging import wire
from course.notebook import TestCell, test_cells
from labkit.notebook import REPORT, VERDICT, grade_id


@dataclass(frozen=True)
class Failure:
    """How a test cell failed."""

    test: str | None
    """The test function that failed; None when none was reached."""
    hidden: bool
    """Whether that one is hidden."""
    message: str
    """What the student may read: of a hidden test the author's words only."""
    detail: str
    """The whole message, for the instructor."""
    pattern: str
    """The author's words of the assert: the same for the same mistake."""


@dataclass(frozen=True)
class Verdict:
    """What became of one test cell; the last five are those of its `Failure`."""

    cell: str
    """Its id."""
    exercise: str
    points: float
    earned: float
    test: str | None = None
    hidden: bool = False
    message: str = ""
    detail: str = ""
    pattern: str = ""

    @property
    def failed(self) -> bool:
        return self.earned < self.points

    @property
    def failure(self) -> Failure:
        return Failure(self.test, self.hidden, self.message, self.detail, self.pattern)


ENDED_ITS_JUDGE = "what your code returned ended the program that runs this test: is it very large?"
"""The pattern of a test whose judge was lost while it ran."""


def unjudged(test: TestCell) -> Verdict:
    """The verdict of a test whose judge was lost while it ran, for no reason but what the student's code returned."""
    return Verdict(
        test.id, test.exercise, test.points, 0, None, test.hidden, ENDED_ITS_JUDGE, ENDED_ITS_JUDGE, ENDED_ITS_JUDGE
    )


class Listener:
    """Is told how judging gets on, so that what is known outlives the judge; this one does nothing."""

    def begins(self, test: str, seconds: float) -> None:
        """A test begins, by its cell's id; the judge's own part in it should take at most some processor seconds."""

    def ended(self, verdict: Verdict) -> None:
        """What became of it."""


def verdict_of(cell: NotebookNode) -> Verdict | None:
    """The verdict that a judged notebook's cell holds; None where there is none, as in one that nbgrader graded."""
    try:
        return wire.convert(cell.metadata.get(VERDICT), Verdict)
    except ValueError:
        return None


@dataclass(frozen=True)
class Judged:
    """A judged notebook, its verdicts in the order of the test cells, and remarks on how it ran."""

    notebook: NotebookNode
    """The clean notebook with bounded, harmless outputs; each test cell holds its verdict (`verdict_of`)."""
    verdicts: list[Verdict]
    remarks: list[str]
    """Sentences for the student, such as which cell did not end."""


def judged_notebook(
    clean: NotebookNode,
    verdicts: Sequence[Verdict],
    outputs: Mapping[int, list[NotebookNode]],
    remarks: list[str],
    *,
    seconds: float,
    failure: str | None,
) -> Judged:
    """A clean notebook with what came of it.

    `outputs` are those of its cells, by position; `seconds` the processor time that judging took; `failure` says
    why the grader, not the student, broke down.
    """
    notebook = copy.deepcopy(clean)
    by_cell = {verdict.cell: verdict for verdict in verdicts}
    count = 0
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        count += 1
        cell.outputs, cell.execution_count = [], None
        verdict = by_cell.get(grade_id(cell) or "")
        if verdict is not None:
            cell.metadata[VERDICT] = asdict(verdict)
            if verdict.detail:
                name = verdict.test or "test"
                error = nbformat.v4.new_output("error", ename=name, evalue=verdict.detail, traceback=[verdict.detail])
                cell.outputs = [error]
        elif index in outputs:
            cell.outputs, cell.execution_count = outputs[index], count
            for output in cell.outputs:
                if output.output_type == "execute_result":
                    output.execution_count = count
    notebook.metadata[REPORT] = {"remarks": remarks, "seconds": round(seconds, 3), "failure": failure}
    return Judged(notebook, list(verdicts), remarks)


def not_judged(source: NotebookNode, reason: str) -> list[Verdict]:
    """Verdicts that give no points for any test cell of an assignment, and one reason for all."""
    return [
        Verdict(test.id, test.exercise, test.points, 0, None, test.hidden, reason, reason, reason)
        for test in test_cells(source)
    ]


def failed(clean: NotebookNode, source: NotebookNode, reason: str, *, by_grader: bool = True) -> Judged:
    """The judgement of a notebook that was not run: no points, and the reason in every test cell.

    With `by_grader` the grader broke down, so that the submission is to be judged again.
    """
    verdicts = not_judged(source, reason)
    return judged_notebook(clean, verdicts, {}, [reason], seconds=0.0, failure=reason if by_grader else None)
