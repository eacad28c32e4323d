"""An assignment's notebook as it was released: the keys of its metadata, and what they say of a cell.

The assembler writes these facts (`course.notebook`), and all that reads an assignment, on a student's machine or where
it is graded, reads them here. No reader looks into the text of a cell for them.
"""

import ast
import hashlib
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
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

MAX_NOTEBOOK = 16 * 2**20
"""Bytes of a notebook file without its outputs; grading reads no larger one."""
MAX_CELL = 200_000
"""Characters of one cell; grading leaves a longer one out."""
MAX_TEXT = 2_000_000
"""Characters of all cells together; grading leaves out what is beyond."""

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
TRANSPARENT_MAGICS = ("%%time", "%%capture")
"""Cell magics that run what stands below them in the notebook's own namespace."""


class NotebookError(Exception):
    """A notebook cannot be used as asked: one sentence that says what happened and what to do."""


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


def is_given(cell: NotebookNode) -> bool:
    """Whether this cell is the course's own and gives no points."""
    return cell.cell_type == "code" and bool(marks_of(cell)) and not is_exercise(cell) and not is_test(cell)


def is_test(cell: NotebookNode) -> bool:
    """Whether this cell gives points for what stands in others."""
    return cell.cell_type == "code" and bool(marks_of(cell).get("grade")) and not marks_of(cell).get("solution")


def name_of(cell: NotebookNode) -> str:
    """The name of a marked cell without its kind: `layer-norm`."""
    return (grade_id(cell) or "").partition("-")[2]


def key_of(cell: NotebookNode) -> str:
    """What tells a cell of the course from the others: nbgrader's id, or the cell's own."""
    return grade_id(cell) or str(cell.get("id", ""))


def checksum(cell: NotebookNode) -> str:
    """What nbgrader's release step writes into the metadata of a cell that has no points."""
    marks = marks_of(cell)
    kinds = (str(bool(marks.get(mark))) for mark in ("grade", "solution", "locked"))
    text = "".join([cell.source, cell.cell_type, *kinds, marks["grade_id"]])
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def is_untouched(cell: NotebookNode) -> bool:
    """Whether an exercise's cell is empty, or as it was released by the checksum that came with it."""
    return not cell.source.strip() or (bool(marks_of(cell)) and checksum(cell) == marks_of(cell).get("checksum"))


def is_blank(cell: NotebookNode) -> bool:
    """Whether an exercise's cell is untouched, comments and empty lines apart that were put in at one place.

    It knows the released text by its checksum only; grading, which has the text, passes over comments at any place.
    """
    lines = cell.source.split("\n")
    for first in range(len(lines)):
        for last in range(first, len(lines)):
            if lines[last].strip() and not lines[last].lstrip().startswith("#"):
                break
            rest = "\n".join([*lines[:first], *lines[last + 1 :]])
            if is_untouched(NotebookNode(cell, source=rest)):
                return True
    return is_untouched(cell)


def answer_cells(cells: Iterable[NotebookNode], exercises: Collection[str]) -> dict[str, NotebookNode]:
    """For each of `exercises`, by id, the one of a student's `cells` that counts when it is graded.

    Of several copies, such as the halves of a cell that was split, it is the first that was changed.
    """
    chosen: dict[str, NotebookNode] = {}
    for cell in cells:
        key = key_of(cell)
        if key in exercises and (key not in chosen or (is_untouched(chosen[key]) and not is_untouched(cell))):
            chosen[key] = cell
    return chosen


def first_lines(message: str) -> list[str]:
    """What is shown of a message: its first two lines, cut where they are very long."""
    lines = [line.strip() for line in message.splitlines() if line.strip()][:2]
    return [line if len(line) <= 300 else line[:297] + "..." for line in lines]


# ---------------------------------------------------------------------------------------- what a student's cell defines

_PARSING = threading.Lock()


def syntax_tree(text: str) -> ast.Module:
    """The syntax tree of Python code. Grading parses in several threads, and this lets one parse at a time.

    Python 3.11 before its fifth release counts depth in one place for all threads and can end two that parse at once
    with a SystemError (CPython issue 106905).
    """
    with _PARSING:
        return ast.parse(text)


def parsed(text: str) -> ast.Module | None:
    """The syntax tree of a cell, its positions those in the text; None where it is no Python that can be read.

    IPython's line magics and shell commands count as empty lines.
    """
    try:
        return syntax_tree(python_of(text))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def python_of(text: str) -> str:
    """A cell without IPython's line magics and shell commands; empty where a magic takes it for something else."""
    lines = text.split("\n")
    first = next((line for line in lines if line.strip()), "")
    if first.startswith("%%") and first.split()[0] not in TRANSPARENT_MAGICS:
        return ""
    return "\n".join("" if line.startswith(("%", "!")) else line for line in lines)


def defined(text: str) -> set[str]:
    """Names that running a cell binds, imports included; empty where its text cannot be read."""
    tree = parsed(text)
    return set() if tree is None else bound(tree) | set(_imported(tree))


def bound(tree: ast.Module) -> set[str]:
    """Names that running a cell binds by definitions and assignments."""
    found = {node.name for node in top_level_nodes(tree) if isinstance(node, DEFINITIONS)}
    return found | {n.id for n in top_level_nodes(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in top_level_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name.split(".")[0] for alias in node.names)


def top_level_nodes(node: ast.AST, but: tuple[type[ast.AST], ...] = ()) -> Iterator[ast.AST]:
    """The nodes of a tree that its cell runs at once: none inside a function, a class or what `but` names."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (*DEFINITIONS, *but)):
            waiting += ast.iter_child_nodes(node)
