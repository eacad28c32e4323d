"""Run an assembled notebook without a kernel, with other answers put in."""

import ast
import linecache
import types
import warnings
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from nbformat import NotebookNode


def kind_of(cell: NotebookNode) -> str:
    """The kind of a notebook's cell: the first word of its id."""
    return cell.id.split("-")[0]


@lru_cache(maxsize=4096)
def _compiled(source: str, file: str) -> types.CodeType:
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    return compile(source, file, "exec")


def play(
    notebook: NotebookNode,
    answers: Mapping[str, Any] | None = None,
    *,
    blank: bool = False,
    through_codec: bool = False,
) -> dict[str, Exception | None]:
    """What each test cell says: `{test id: None or the exception}`.

    Each of `answers` is bound right after the exercise cell that defines its name. With `blank`, every exercise
    raises NotImplementedError, as in a notebook nobody has touched. Run cells are for display and are left out.
    """
    namespace: dict[str, Any] = types.ModuleType("__main__").__dict__
    grades: dict[str, Exception | None] = {}
    for cell in notebook.cells:
        kind = kind_of(cell)
        if cell.cell_type != "code" or kind == "run":
            continue
        source = blanked(cell.source) if blank and kind == "exercise" else cell.source
        code = _compiled(source, f"<{cell.id}>")
        if kind != "test":
            exec(code, namespace)
            if kind == "exercise":
                for node in ast.parse(cell.source).body:
                    if getattr(node, "name", None) in (answers or {}):
                        namespace[node.name] = answers[node.name]
            continue
        name = cell.id.removeprefix("test-")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                exec(code, namespace)
        except Exception as error:
            grades[name] = error
        else:
            grades[name] = None
    return grades


def blanked(source: str) -> str:
    """An exercise cell with what stands between the solution marks replaced, as nbgrader does it."""
    out: list[str] = []
    inside = False
    for line in source.splitlines():
        if "BEGIN SOLUTION" in line:
            inside = True
            pad = line[: len(line) - len(line.lstrip())]
            out += [pad + "# YOUR CODE HERE", pad + "raise NotImplementedError()"]
        elif "END SOLUTION" in line:
            inside = False
        elif not inside:
            out.append(line)
    return "\n".join(out)


def points(notebook: NotebookNode) -> dict[str, int]:
    """`{test id: points}`."""
    marks = (c.metadata.nbgrader for c in notebook.cells if kind_of(c) == "test")
    return {m.grade_id.removeprefix("test-"): m.points for m in marks}
