"""Run an assembled notebook without a kernel, with other answers put in."""

import ast
import copy
import linecache
import re
import types
import warnings
from collections.abc import Container, Mapping
from functools import lru_cache
from typing import Any

from nbformat import NotebookNode

from course.notebook import kind_of, test_cells
from labkit.testing.link import Link, Remote
from labkit.testing.student import Student


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
    only: Container[str] | None = None,
    first_failure: bool = False,
) -> dict[str, Exception | None]:
    """What each test cell says: `{test id: None or the exception}`.

    Each of `answers` is bound right after the exercise cell that defines its name. With `blank`, every exercise
    raises NotImplementedError, as in a notebook nobody has touched. Run cells are for display and are left out.
    `only` names the tests to run, when not all. With `through_codec`, student and tests have a namespace each and
    everything between them crosses as bytes. With `first_failure`, nothing is played after a test that fails.
    """
    namespace: dict[str, Any] = types.ModuleType("__main__").__dict__
    judge = types.ModuleType("__main__").__dict__ if through_codec else namespace
    link = Link(Student(namespace).handle, judge) if through_codec else None
    answers = answers or {}
    tests = {test.id: test for test in test_cells(notebook)}
    grades: dict[str, Exception | None] = {}
    for cell in notebook.cells:
        kind = kind_of(cell)
        if cell.cell_type != "code" or kind == "run":
            continue
        source = blanked(cell.source) if blank and kind == "exercise" else cell.source
        code = _compiled(source, f"<{cell.id}>")
        if kind == "given":
            for space in (namespace, judge) if link else (namespace,):
                exec(code, space)
        elif kind == "exercise":
            exec(code, namespace)
            for name in _defined(cell.source):
                if name in answers:
                    namespace[name] = answers[name]
                if link:
                    judge[name] = Remote(link, name)
        else:
            test = tests[cell.id]
            exec(test.definitions(), judge)  # later tests may use them
            if only is None or test.name in only:
                grades[test.name] = _outcome(test.block(), judge)
                if first_failure and grades[test.name]:
                    break
    return grades


def _outcome(code: types.CodeType, namespace: dict) -> Exception | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(code, namespace)
    except Exception as error:
        return error
    return None


@lru_cache(maxsize=4096)
def _defined(source: str) -> tuple[str, ...]:
    """Names that an exercise's cell defines."""
    return tuple(node.name for node in ast.parse(source).body if hasattr(node, "name"))


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


def solution_lines(source: str) -> set[int]:
    """Numbers of the lines of an exercise's cell that stand between the solution marks, from 1."""
    found: set[int] = set()
    inside = False
    for number, line in enumerate(source.splitlines(), 1):
        inside = "BEGIN SOLUTION" in line or (inside and "END SOLUTION" not in line)
        if inside:
            found.add(number)
    return found


def without_hidden_tests(notebook: NotebookNode) -> NotebookNode:
    """A notebook with the tests that students see, and no others."""
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        if kind_of(cell) == "test":
            cell.source = re.sub(r"(?ms)^ *### BEGIN HIDDEN TESTS$.*?^ *### END HIDDEN TESTS$\n?", "", cell.source)
    return notebook


def points(notebook: NotebookNode) -> dict[str, int]:
    """`{test id: points}`."""
    return {test.name: test.points for test in test_cells(notebook)}
