"""An assignment's notebook as it was released: the keys of its metadata, and what they say of a cell.

The assembler writes these facts (`course.notebook`), and all that reads an assignment, on a student's machine or where
it is graded, reads them here. No reader looks into the text of a cell for them.
"""

from collections.abc import Mapping
from typing import Any

from nbformat import NotebookNode

COURSE = "course"
"""The key of the course's facts: of a notebook its title, points, seconds, minutes, exercises and the module of its
reference; of an exercise's cell what it `defines` and `uses`; of a test cell its `exercise`, what it `replaces` and
`lends`, whether some of its tests are `visible` or `hidden`, and whether it is `private`."""
VERDICT = "course_verdict"
"""The key under which a judged notebook's test cell holds its verdict."""
REPORT = "course_report"
"""The key under which a judged notebook holds what is said of it as a whole."""

INTEGRATION = "integration"
"""What the one test is `of` that runs all of a student's answers together."""


def facts(node: NotebookNode, key: str = COURSE) -> Mapping[str, Any]:
    """What the metadata of a notebook or a cell holds under `key`; empty where it holds nothing that can be read."""
    found = node.get("metadata", {}).get(key)
    return found if isinstance(found, Mapping) else {}


def marks_of(cell: NotebookNode) -> Mapping[str, Any]:
    """nbgrader's metadata of a cell; empty where it has none with an id."""
    marks = facts(cell, "nbgrader")
    return marks if isinstance(marks.get("grade_id"), str) else {}


def grade_id(cell: NotebookNode) -> str | None:
    """nbgrader's id of a cell: its kind and its name, as in `exercise-layer-norm`."""
    return marks_of(cell).get("grade_id")


def is_exercise(cell: NotebookNode) -> bool:
    """Whether students write this cell."""
    return cell.cell_type == "code" and bool(marks_of(cell).get("solution"))


def is_test(cell: NotebookNode) -> bool:
    """Whether this cell gives points for what stands in others."""
    return cell.cell_type == "code" and bool(marks_of(cell).get("grade")) and not marks_of(cell).get("solution")


def name_of(cell: NotebookNode) -> str:
    """The name of a marked cell without its kind: `layer-norm`."""
    return (grade_id(cell) or "").partition("-")[2]
