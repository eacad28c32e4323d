"""The cells of an assignment as students got them, and whether an answer is still blank."""

import ast
import copy
from collections.abc import Mapping
from typing import Any

from nbformat import NotebookNode
from nbgrader.preprocessors import ClearHiddenTests, ClearMarkScheme, ClearSolutions

from labkit.notebook import grade_id, marks_of, syntax_tree


def released_cells(source: NotebookNode) -> list[NotebookNode]:
    """The assembled notebook's cells after nbgrader's own release steps."""
    notebook = copy.deepcopy(source)
    resources: dict[str, Any] = {}
    for step in (ClearSolutions, ClearHiddenTests, ClearMarkScheme):
        notebook, resources = step().preprocess(notebook, resources)
    return list(notebook.cells)


def blank_answers(source: NotebookNode) -> dict[str, str]:
    """What students found in each cell that they write, by nbgrader's id."""
    cells = [cell for cell in source.cells if marks_of(cell).get("solution") or marks_of(cell).get("task")]
    return {grade_id(cell) or "": cell.source for cell in released_cells(NotebookNode(source, cells=cells))}


def blank_exercises(notebook: NotebookNode, blank: Mapping[str, str]) -> set[str]:
    """Ids of the cells of a submission that hold what `blank_answers` says, but for comments and spacing."""
    return {
        key
        for cell in notebook.cells
        if (key := grade_id(cell) or "") in blank and is_blank(cell.cell_type, cell.source, blank[key])
    }


def is_blank(cell_type: str, text: str, blank: str) -> bool:
    """Whether a cell holds what it was released with, but for comments and spacing."""
    return _comparable(cell_type, text) == _comparable(cell_type, blank)


def _comparable(cell_type: str, source: str) -> str:
    if cell_type == "code":
        try:
            return ast.dump(syntax_tree(source))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            pass
    return "\n".join(line.rstrip() for line in source.strip().splitlines())
