"""What an assembled notebook is: its kinds of cells, their ids, nbgrader's marks, and the facts that programs need.

The assembler writes such notebooks with the functions here, and the judge, the pages and the banks read them with
`TestCell`. `labkit.notebook` names the keys of the metadata, which released notebooks have too.
"""

import ast
import json
import linecache
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any

import nbformat
from nbformat import NotebookNode

from labkit.notebook import COURSE, facts, grade_id, is_test, syntax_tree

# ----------------------------------------------------------------------------------------------------------- written


IGNORED_OUTPUT = "nbval-ignore-output"
"""The tag of a cell whose outputs may differ from run to run."""
RUN_ABOVE = "# After a restart, run all cells above first."


def graded_cell(
    kind: str,
    name: str,
    source: str,
    points: int | None = None,
    about: Mapping[str, Any] | None = None,
    *,
    folded: bool = False,
) -> NotebookNode:
    """A code cell with nbgrader's metadata (schema 3) and the course's facts `about` it.

    The source of a `folded` one is hidden in JupyterLab until one unfolds it.
    """
    identity = f"{kind}-{name}"
    marks = {
        "grade": kind == "test",
        "grade_id": identity,
        "locked": kind != "exercise",
        "schema_version": 3,
        "solution": kind == "exercise",
        "task": False,
    }
    if points is not None:
        marks["points"] = points
    metadata: dict[str, Any] = {"nbgrader": marks}
    if about:
        metadata[COURSE] = dict(about)
    if folded:
        metadata["jupyter"] = {"source_hidden": True}
    if kind == "test":
        metadata["tags"] = [IGNORED_OUTPUT]  # its line may tell a time
    return nbformat.v4.new_code_cell(source, id=identity, metadata=metadata)


def answers_line(exercise: str, cell: str) -> str:
    """The line under which a test cell calls its tests; `TestCell.block` finds it again.

    The comment before it is seen where `answers` is not there: nothing of the course runs then.
    """
    return RUN_ABOVE + "\n" + _answers_line(exercise, cell)


def _answers_line(exercise: str, cell: str) -> str:
    return f'with answers("{exercise}"):' if cell == exercise else f'with answers("{exercise}", cell="{cell}"):'


def answers_cell(
    module: str,
    replaces: Mapping[str, Mapping[str, Sequence[str]]],
    lends: Mapping[str, Sequence[str]],
    points: Mapping[str, int] = MappingProxyType({}),
    seen_in_part: Sequence[str] = (),
) -> str:
    """The text of the one given cell that tells a kernel, which sees no metadata, about the tests.

    It says what they refuse and lend, what each cell is worth, and of which cells some tests are hidden.
    """

    def lines(name: str, entries: Mapping[str, Any]) -> list[str]:
        rows = [f"        {json.dumps(key)}: {json.dumps(value)}," for key, value in entries.items() if value]
        return [f"    {name}={{", *rows, "    },"] if rows else []

    return "\n".join(
        [
            "# Prepares the tests.",
            "# What they refuse: library calls that an exercise asks you to write. What they lend: earlier answers,",
            "# in the reference's version, so that a mistake costs its points once.",
            "from labkit.testing.answers import Answers",
            "",
            "answers = Answers(",
            f"    {json.dumps(module)},",
            *lines("replaces", replaces),
            *lines("lends", lends),
            *lines("points", points),
            *([f"    seen_in_part={json.dumps(list(seen_in_part))},"] if seen_in_part else []),
            ")",
        ]
    )


# -------------------------------------------------------------------------------------------------------------- read


def kind_of(cell: NotebookNode) -> str:
    """The kind of a cell: prose, task, run, given, exercise or test, the first word of its id."""
    return str(cell.get("id", "")).partition("-")[0]


def is_hidden(test: str) -> bool:
    """Whether a test function is one that students do not see."""
    return test.endswith("_hidden")


@dataclass(frozen=True)
class TestCell:
    """One test cell of an assembled notebook.

    Such a cell defines helpers and test functions and ends in `with answers(...):`, which calls the tests.
    """

    __test__ = False  # pytest takes it for a test

    id: str
    points: int
    exercise: str
    """The exercise that it tests, or `INTEGRATION`."""
    replaces: Mapping[str, Sequence[str]]
    """For each name that the exercise defines, the library calls that it may not make."""
    lends: Sequence[str]
    """The names of earlier exercises that come from the reference."""
    hidden: bool
    """Whether one of its tests is hidden."""
    private: bool
    """Whether an instructor added it, so that no student has the cell."""
    source: str = field(repr=False)

    @property
    def name(self) -> str:
        return self.id.partition("-")[2]

    @property
    def file(self) -> str:
        """The file name that its code goes by."""
        return f"<{self.id}>"

    @cached_property
    def tree(self) -> ast.Module:
        return syntax_tree(self.source)

    def definitions(self) -> types.CodeType:
        """All of the cell but the block that calls its tests: later tests may use what it defines."""
        return _compiled(self.source, self.file, block=False)

    def block(self) -> types.CodeType:
        """The block that calls its tests."""
        return _compiled(self.source, self.file, block=True)


@lru_cache(maxsize=4096)
def _compiled(source: str, file: str, *, block: bool) -> types.CodeType:
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    body = [node for node in syntax_tree(source).body if isinstance(node, ast.With) == block]
    return compile(ast.Module(body, []), file, "exec")


def test_cells(source: NotebookNode) -> list[TestCell]:
    """The test cells of an assembled notebook, in its order."""
    return [
        TestCell(
            id=grade_id(cell) or "",
            points=int(cell.metadata.nbgrader.points),
            exercise=facts(cell).get("exercise", ""),
            replaces=facts(cell).get("replaces", {}),
            lends=facts(cell).get("lends", []),
            hidden=facts(cell).get("hidden", False),
            private=facts(cell).get("private", False),
            source=cell.source,
        )
        for cell in source.cells
        if is_test(cell)
    ]


test_cells.__test__ = False  # type: ignore[attr-defined]
