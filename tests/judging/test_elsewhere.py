"""Answers retyped, merged or moved earn what plain nbgrader gives the same file, and are never lost to a blank stub."""

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from course.assemble.assembler import Assembler
from course.judging.reference import references
from course.judging.released import released_cells
from course.judging.submission import ANSWERED_ELSEWHERE, Received, receive
from tests.support.outside import earned, judged
from tests.support.toy import ROOT as TOY

SOURCE = Assembler("toy", TOY).build()
BLANK = nbformat.v4.new_notebook(cells=released_cells(SOURCE), metadata=SOURCE.metadata)
ANSWERS = {c.id: c.source for c in SOURCE.cells if c.id.startswith("exercise-")}

Cells = list[dict[str, Any]]


def index(cells: Cells, identity: str) -> int:
    return next(n for n, cell in enumerate(cells) if cell["id"] == identity)


def take(cells: Cells, identity: str) -> str:
    """Remove a cell; gives its text."""
    return cells.pop(index(cells, identity))["source"]


def put(cells: Cells, text: str, before: str) -> None:
    """Type a cell of the student's own."""
    cell = nbformat.v4.new_code_cell(text, id=f"mine-{len(cells)}")
    cells.insert(index(cells, before), json.loads(json.dumps(cell)))


def retyped(cells: Cells) -> None:
    put(cells, take(cells, "exercise-chunks"), "test-chunks")


def retyped_at_the_top(cells: Cells) -> None:
    put(cells, "%matplotlib inline\n" + take(cells, "exercise-bits"), "prose-start-1")


def merged_into_the_first(cells: Cells) -> None:
    cells[index(cells, "exercise-centre")]["source"] += "\n\n" + take(cells, "exercise-chunks")


def merged_into_the_last(cells: Cells) -> None:
    text = take(cells, "exercise-centre")
    chunks = cells.pop(index(cells, "exercise-chunks"))
    chunks["source"] = text + "\n\n" + chunks["source"]
    cells.insert(index(cells, "test-centre"), chunks)


def in_two_cells(cells: Cells) -> None:
    put(cells, "import math\ndef bits_of(p):\n    return -sum(x * math.log2(x) for x in p if x > 0)", "test-bits")
    take(cells, "exercise-bits")
    put(cells, "bits = bits_of", "test-bits")


def rebound(cells: Cells) -> None:
    put(cells, "def bits(p):\n    return 7", "test-bits")


def after_its_tests(cells: Cells) -> None:
    put(cells, take(cells, "exercise-norm"), "exercise-bits")


def plain(cells: Cells) -> dict[str, int]:
    """What the student's own file earns where it runs in one namespace, with the assignment's tests in place."""
    tests = {c.id: c.source for c in SOURCE.cells if c.id.startswith("test-")}
    namespace: dict[str, Any] = {"__name__": "__main__"}
    points = {}
    with contextlib.redirect_stdout(io.StringIO()):
        for cell in cells:
            if cell["cell_type"] != "code" or cell["id"].startswith("run-"):
                continue
            code = tests.get(cell["id"], cell["source"]).replace("%matplotlib inline", "")
            try:
                exec(compile(code, cell["id"], "exec"), namespace)
            except Exception:
                passed = False
            else:
                passed = True
            if cell["id"] in tests:
                points[cell["id"].removeprefix("test-")] = int(passed)
    return points


def solved() -> Cells:
    cells: Cells = json.loads(nbformat.writes(BLANK))["cells"]
    for cell in cells:
        cell["source"] = ANSWERS.get(cell["id"], "".join(cell["source"]))
    return cells


def received(folder: Path, cells: Cells) -> Received:
    notebook = json.loads(nbformat.writes(BLANK)) | {"cells": cells}
    (folder / "toy.ipynb").write_text(json.dumps(notebook))
    return receive(folder, SOURCE, "toy")


@pytest.mark.parametrize(
    ("edit", "lost"),
    [
        (retyped, set()),
        (retyped_at_the_top, set()),
        (merged_into_the_first, set()),
        (merged_into_the_last, set()),
        (in_two_cells, set()),
        (rebound, {"bits"}),
        (after_its_tests, {"norm"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_answer_that_stands_elsewhere_earns_what_plain_nbgrader_gives(
    tmp_path: Path, edit: Callable[[Cells], None], lost: set[str]
) -> None:
    cells = solved()
    edit(cells)
    got = judged(SOURCE, received(tmp_path, cells).notebook, reference=references(SOURCE, TOY))
    points = {v.cell.removeprefix("test-"): int(v.earned == v.points) for v in got.verdicts}
    assert points == plain(cells)
    assert {name for name, passed in points.items() if not passed and name != "integration"} == lost


def test_a_blank_stub_does_not_take_an_answer_above_it_away(tmp_path: Path) -> None:
    cells = solved()
    put(cells, ANSWERS["exercise-bits"], "exercise-chunks")
    stub = next(c.source for c in BLANK.cells if c.id == "exercise-bits")
    cells[index(cells, "exercise-bits")]["source"] = "# my answer is above\n" + stub
    result = received(tmp_path, cells)
    assert next(c.source for c in result.notebook.cells if c.id == "exercise-bits") == ANSWERED_ELSEWHERE
    assert earned(judged(SOURCE, result.notebook, reference=references(SOURCE, TOY)))["bits"] == 1
    assert [r for r in result.remarks if "exercise-bits stands in another cell" in r]


def test_what_stands_after_its_tests_is_told(tmp_path: Path) -> None:
    cells = solved()
    after_its_tests(cells)
    remarks = received(tmp_path, cells).remarks
    assert [r for r in remarks if r.startswith("Your answer to exercise-norm stands in a cell of your own after its")]


def test_a_written_exercise_is_never_replaced(tmp_path: Path) -> None:
    cells = solved()
    put(cells, "def bits(p):\n    return 7", "exercise-bits")
    result = received(tmp_path, cells)
    assert next(c.source for c in result.notebook.cells if c.id == "exercise-bits") == ANSWERS["exercise-bits"]
    assert result.remarks == []
