"""Run the visible tests of an assignment on your own machine: `python -m labkit.check tokenizer`.

Takes the nearest copy: `tokenizer/tokenizer.ipynb` or `tokenizer.ipynb` here, or `exercises/` here, above, or of the
course. Runs it in a kernel of its own, from top to bottom, and says for each exercise whether its visible tests pass,
with the message of the first that fails. The notebook's file is only read. Needs Jupyter and this package, no nbgrader.
"""

import argparse
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from tqdm import tqdm

from labkit import copies
from labkit.copies import existing, in_exercises, nearby
from labkit.notebook import (
    COURSE,
    INTEGRATION,
    MAX_CELL,
    MAX_NOTEBOOK,
    MAX_TEXT,
    NotebookError,
    answer_cells,
    defined,
    facts,
    first_lines,
    grade_id,
    is_blank,
    is_exercise,
    is_given,
    is_test,
    is_untouched,
    key_of,
    name_of,
)
from labkit.terminal import print_everything

# Laptops differ: a cell may take this many times what the whole notebook takes where it was written.
PATIENCE = 3
GIVEN_SECONDS = 600
"""What the course's own cells may take at least: they import torch, and install it where it is missing."""
# What is said where only the integration test fails.
ALONE = "Each exercise passes its own tests, but all together they do not: the message of integration says where."
# What an exercise says that still raises the NotImplementedError it came with.
BLANK = "not written yet"


@dataclass
class Exercise:
    """What the visible tests say of one exercise, or of the integration test."""

    name: str
    points: int = 0
    earned: int = 0
    failures: list[str] = field(default_factory=list)
    reached: bool = True

    @property
    def state(self) -> str:
        """One of "passed", "failed", "blank" and "not run"."""
        if self.earned == self.points and self.reached:
            return "passed"
        if not self.reached and not self.failures:
            return "not run"
        return "blank" if set(self.failures) == {BLANK} else "failed"


def find(name: str) -> Path:
    """The notebook that an assignment's name or a path means; raises NotebookError for a name that is unknown."""
    if name.endswith(".ipynb"):
        return Path(name)
    for path in (*nearby(name), *in_exercises(name)):
        if path.is_file():
            return path
    raise NotebookError(f"There is no assignment {name!r} here. These exist: {existing()}.")


def read(path: Path) -> NotebookNode:
    """The notebook at `path`, its cells as grading takes them; raises NotebookError if it is none or has lost tests.

    JupyterLab leaves several cells of one id where a cell is split or copied. Of an exercise's all run but blank ones,
    which would take the answer away, as the only one would where the answer stands in a cell of the student's own; of
    another cell the copies are emptied.
    """
    notebook = copies.read(path)
    again = f"`python -m labkit.renew {shlex.quote(str(path))}` puts the course's cells back and keeps your answers"
    course = notebook.metadata.get(COURSE)
    if not course:
        raise NotebookError(f"{path} is not an assignment of this course. These exist: {existing()}.")
    exercises = {key_of(cell) for cell in notebook.cells if is_exercise(cell)}
    answers = answer_cells(notebook.cells, exercises)
    given: dict[str, NotebookNode] = {}
    for cell in notebook.cells:
        if (key := grade_id(cell)) is None:
            continue
        if key in answers:
            if cell is not answers[key] and is_untouched(cell):
                cell.source = ""
        elif given.setdefault(key, cell) is not cell:
            if cell.source.strip() != given[key].source.strip():
                raise NotebookError(f"{path} has the cell {key} twice, and not the same: {again}.")
            cell.source = ""
            del cell.metadata["nbgrader"]
    for stub in _answered_elsewhere(notebook.cells, answers.values()):
        stub.source = ""
    points = sum(c.metadata.nbgrader.points for c in notebook.cells if is_test(c))
    if points < course.points:
        raise NotebookError(f"{path} has lost test cells worth {course.points - points} points: {again}.")
    return notebook


def _answered_elsewhere(cells: list[NotebookNode], answers: Iterable[NotebookNode]) -> Iterator[NotebookNode]:
    """Blank cells of exercises that other cells of the student's answer before their first test."""
    for stub in filter(is_blank, answers):
        tests = (n for n, cell in enumerate(cells) if is_test(cell) and facts(cell).get("exercise") == name_of(stub))
        theirs = [c for c in cells[: next(tests, 0)] if grade_id(c) is None or (is_exercise(c) and not is_blank(c))]
        names = set().union(*(defined(cell.source) for cell in theirs if cell.cell_type == "code"))
        if names.issuperset(wanted := facts(stub).get("defines", ())) and wanted:
            yield stub


def run(notebook: NotebookNode, folder: Path) -> tuple[set[int], str | None]:
    """Execute the notebook in place: the cells that ran to an end, and what stopped others, as a sentence.

    A cell that takes too long is interrupted, and the others run, but for tests that would take as long again: those of
    the same exercise and the integration test. A terminal shows which cell runs.
    """
    ended: set[int] = set()
    stopped: list[str] = []
    seconds = PATIENCE * notebook.metadata.course.seconds
    shown = "{desc}: {n_fmt} of {total_fmt} cells done, {elapsed}"
    bar = tqdm(total=len(notebook.cells), bar_format=shown, leave=False, disable=None)
    kept = [cell.source for cell in notebook.cells]

    def begins(cell: NotebookNode, cell_index: int) -> None:
        bar.set_description(grade_id(cell) or f"cell {cell_index + 1}", refresh=False)
        bar.update(cell_index - bar.n)
        bar.refresh()

    def ends(cell: NotebookNode, cell_index: int, execute_reply: dict) -> None:
        if execute_reply["content"].get("ename") != CellTimeoutError.__name__:
            ended.add(cell_index)
            return
        endless = f"{_called(cell, cell_index)} did not end within {seconds} seconds: is there a loop that never ends?"
        stopped.append(endless)
        cell.outputs.append(nbformat.v4.new_output("error", ename="AssertionError", evalue=endless, traceback=[]))
        if len(stopped) == 2 or not (is_test(cell) or is_exercise(cell)):
            raise CellTimeoutError(endless)  # what follows would most likely wait for the same
        exercise = facts(cell).get("exercise", name_of(cell))
        for later in notebook.cells[cell_index + 1 :]:
            if is_test(later) and facts(later).get("exercise") in (exercise, INTEGRATION):
                later.source = ""

    client = NotebookClient(
        notebook,
        timeout_func=lambda cell: max(seconds, GIVEN_SECONDS) if is_given(cell) else seconds,
        interrupt_on_timeout=True,
        error_on_timeout={"ename": CellTimeoutError.__name__, "evalue": "", "traceback": []},
        allow_errors=True,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        on_cell_start=begins,
        on_cell_executed=ends,
    )
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    try:
        # A kernel's own remarks on the machine's network say nothing about the answers.
        with bar:
            client.execute(stderr=subprocess.DEVNULL)
    except CellTimeoutError:
        pass
    except DeadKernelError:
        place = _stopped_at(notebook, ended)
        stopped.append(f"Python stopped in {place}: does it call exit(), or need more memory than there is?")
    for cell, source in zip(notebook.cells, kept, strict=True):
        cell.source = source
    return ended, "\n".join(stopped) or None


def _stopped_at(notebook: NotebookNode, ended: set[int]) -> str:
    """The first cell that did not finish."""
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "code" and cell.source.strip() and index not in ended:
            return _called(cell, index)
    return "the last cell"


def _called(cell: NotebookNode, index: int) -> str:
    """A cell by its place, and its name or first line."""
    return f"cell {index + 1} ({grade_id(cell) if is_test(cell) else cell.source.strip().splitlines()[0][:60]})"


def report(notebook: NotebookNode, ended: set[int]) -> list[Exercise]:
    """What each exercise's visible tests say, in the order of the notebook, after `run`."""
    have_cells = {INTEGRATION, *(name_of(cell) for cell in notebook.cells if is_exercise(cell))}
    found: dict[str, Exercise] = {}
    broken: dict[str, str] = {}
    for index, cell in enumerate(notebook.cells):
        if is_exercise(cell):
            name = name_of(cell)
            found.setdefault(name, Exercise(name))
            if error := _error(cell):
                broken[name] = f"the exercise's own cell fails: {error}"
        elif is_test(cell) and facts(cell).get("visible"):
            name = facts(cell)["exercise"]
            exercise = found.setdefault(name, Exercise(name))
            points = cell.metadata.nbgrader.points
            exercise.points += points
            error = _error(cell) or (broken.get(name) if index not in ended else None)
            exercise.reached &= index in ended or error is not None
            if index not in ended and error is None:
                continue
            if error is None:
                exercise.earned += points
            else:
                if name not in have_cells:
                    error += "\nThe exercise's cell is missing: write the answer into a cell above these tests."
                exercise.failures.append(broken.get(name, error))
    return list(found.values())


def _error(cell: NotebookNode) -> str | None:
    """The message of a cell that failed, in at most two lines."""
    for output in cell.get("outputs", ()):
        if output.output_type == "error":
            text = "\n".join(first_lines(output.evalue))
            if output.ename == "NotImplementedError":
                return text or BLANK
            if output.ename in ("AssertionError", "ReplacedCall"):
                return text or "the test failed"
            return "\n".join([f"{output.ename}: {text}", *_place(output.traceback)])
    return None


def _place(drawn: list[str]) -> list[str]:
    """The last line of the student's code in what a notebook shows of an exception (`labkit.testing.outcome`).

    Without the number of its cell, which is another one in the notebook that the student has open.
    """
    places = [found[1] for line in drawn if (found := re.match(r" *Cell In\[\d+\], (line \d+, in .*)", line))]
    return places[-1:]


def lines(notebook: NotebookNode, exercises: list[Exercise], stopped: str | None) -> Iterator[str]:
    """The report as a person reads it."""
    course = notebook.metadata.course
    yield course.title
    width = max(len(e.name) for e in exercises)
    for exercise in exercises:
        state = "FAILED" if exercise.state == "failed" else exercise.state
        yield f"  {state:8}{exercise.name:{width}}  {exercise.earned:2} of {exercise.points} points"
        if exercise.state == "failed":
            yield from (f"          {line}" for line in exercise.failures[0].splitlines())
    earned, points = sum(e.earned for e in exercises), sum(e.points for e in exercises)
    yield f"Visible tests: {earned} of {points} points."
    if hidden := course.points - points:
        yield f"Hidden tests, worth {hidden} points more, and hidden checks of these run when it is graded."
    if stopped:
        yield stopped
    if todo := what_next(exercises):
        yield todo


def what_next(exercises: list[Exercise]) -> str | None:
    """The exercise to turn to, in a sentence; None where every test that ran passes.

    The integration test comes last, wherever it stands: it fails for whatever is wrong in an exercise.
    """
    in_turn = sorted(exercises, key=lambda e: e.name == INTEGRATION)
    first = next((e for e in in_turn if e.earned < e.points and e.reached), None)
    if first is None:
        return None
    if first.name == INTEGRATION:
        return ALONE if all(e.reached for e in exercises) else None  # else how it stopped is said already
    return f"Next to write: {first.name}." if first.state == "blank" else f"Fix first: {first.name}."


def too_large(notebook: NotebookNode) -> Iterator[str]:
    """What grading would not read, as sentences; outputs do not count, they are dropped there too."""
    bare = nbformat.from_dict(notebook)
    for cell in bare.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    if (size := len(nbformat.writes(bare).encode())) > MAX_NOTEBOOK:
        yield (
            f"Grading cannot read this notebook: it has {size / 2**20:.0f} MB without its outputs and may have "
            f"{MAX_NOTEBOOK // 2**20}. Take out pictures that you put into its text."
        )
    room = MAX_TEXT
    for number, cell in enumerate(notebook.cells, 1):
        if len(cell.source) <= min(MAX_CELL, room):
            room -= len(cell.source)
        else:
            yield (
                f"Grading will leave out cell {number}, which has {len(cell.source):,} characters: a cell may have "
                f"{MAX_CELL:,} and all of them together {MAX_TEXT:,}. Keep data in a file beside the notebook."
            )


def main(arguments: list[str] | None = None) -> int:
    """Run the visible tests of an assignment and say what passes."""
    parser = argparse.ArgumentParser(prog="python -m labkit.check", description=main.__doc__)
    parser.add_argument("assignment", nargs="?", help="its name (tokenizer) or the path of its notebook")
    options = parser.parse_args(arguments)
    print_everything()
    try:
        if not options.assignment:
            raise NotebookError(f"Name the assignment to check, as in `python -m labkit.check <name>`: {existing()}.")
        path = find(options.assignment)
        notebook = read(path)
        print(f"Running {path} ...", flush=True)
        ended, stopped = run(notebook, path.parent)
    except NotebookError as error:
        print(error, file=sys.stderr)
        return 1
    exercises = report(notebook, ended)
    left_out = list(too_large(notebook))
    print("\n".join([*lines(notebook, exercises, stopped), *left_out]))
    return int(stopped is not None or bool(left_out) or any(e.earned < e.points for e in exercises))


if __name__ == "__main__":
    sys.exit(main())
