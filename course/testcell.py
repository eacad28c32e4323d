"""What a test cell of an assembled notebook says: its exercise, its tests, what it refuses and what it lends."""

import ast
import linecache
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from nbformat import NotebookNode


@dataclass(frozen=True)
class TestCell:
    """One test cell of the source notebook.

    Such a cell defines helpers and test functions and ends in `with answers(...):`, which calls the tests. `replaces`
    and `parts` are what that block says, `{}` where it says nothing.
    """

    id: str
    points: int
    source: str = field(repr=False)

    @property
    def file(self) -> str:
        """The file name that its code goes by."""
        return f"<{self.id}>"

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    @cached_property
    def _said(self) -> dict:
        for node in self.tree.body:
            for call in _answers(node):
                said = {k.arg: ast.literal_eval(k.value) for k in call.keywords if k.arg}
                return {"exercise": ast.literal_eval(call.args[0])} | said
        return {}

    @property
    def exercise(self) -> str:
        return self._said.get("exercise", self.id)

    @property
    def replaces(self) -> dict[str, list[str]]:
        return self._said.get("replaces") or {}

    @property
    def parts(self) -> dict[str, str]:
        return self._said.get("parts") or {}

    @property
    def tests(self) -> list[str]:
        return [n.name for n in self.tree.body if isinstance(n, ast.FunctionDef) and n.name.startswith("test_")]

    @property
    def hidden(self) -> bool:
        """Whether one of its tests is hidden."""
        return any(is_hidden(name) for name in self.tests)

    def definitions(self) -> types.CodeType:
        """All of the cell but the block that calls its tests: later tests may use what it defines."""
        return self._compiled([n for n in self.tree.body if not any(_answers(n))])

    def block(self) -> types.CodeType:
        """The block that calls its tests."""
        return self._compiled([n for n in self.tree.body if any(_answers(n))])

    def _compiled(self, body: list[ast.stmt]) -> types.CodeType:
        linecache.cache[self.file] = (len(self.source), None, self.source.splitlines(True), self.file)
        return compile(ast.Module(body, []), self.file, "exec")


def is_hidden(test: str) -> bool:
    """Whether a test function is one that students do not see."""
    return test.endswith("_hidden")


def is_test(cell: NotebookNode) -> bool:
    """Whether a cell of a source notebook is a test: graded, and not written by the student."""
    mark = cell.metadata.get("nbgrader", {})
    return cell.cell_type == "code" and bool(mark.get("grade")) and not mark.get("solution")


def test_cells(source: NotebookNode) -> list[TestCell]:
    """The test cells of a source notebook, in its order."""
    return [
        TestCell(cell.metadata.nbgrader.grade_id, int(cell.metadata.nbgrader.points), cell.source)
        for cell in source.cells
        if is_test(cell)
    ]


def _answers(node: ast.stmt) -> Iterator[ast.Call]:
    for item in node.items if isinstance(node, ast.With) else ():
        call = item.context_expr
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "answers":
            yield call
