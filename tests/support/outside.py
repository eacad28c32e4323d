"""Small source notebooks, and a student's kernel without the sandbox, for tests of judging from outside."""

import ast
import atexit
import copy
import functools
import sys
import tempfile
from collections.abc import Mapping

import nbformat
import nbformat.v4
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager
from nbformat import NotebookNode

from course.judging.judge import judge
from course.judging.verdict import Judged, Verdict
from course.notebook import answers_cell, answers_line, graded_cell, is_hidden
from course.sandbox import Room, Sandbox
from labkit.notebook import facts, is_test, name_of


class PlainKernel(KernelManager):
    """The student's kernel as an ordinary process, which takes seconds to start."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        super().__init__(transport="ipc", ip=f"{self.folder.name}/k", connection_file=f"{self.folder.name}/k.json")

    @property
    def kernel_spec(self) -> KernelSpec:
        command = [sys.executable, "-m", "course.sandbox.kernel", "-f", "{connection_file}"]
        return KernelSpec(argv=command, display_name="student", language="python")


@functools.cache
def warm() -> Sandbox:
    """Forks the kernels of these tests; nothing of them is hostile to the machine, so no isolation is needed."""
    sandbox = Sandbox(Room("tests", (), (), ("torch",), None, seconds=600), isolated=False)
    atexit.register(sandbox.close)
    return sandbox


def given(name: str, source: str) -> NotebookNode:
    return graded_cell("given", name, source.strip("\n"))


def exercise(name: str, source: str) -> NotebookNode:
    return graded_cell("exercise", name, source.strip("\n"))


def graded(name: str, source: str, of: str = "", points: int = 1, **about) -> NotebookNode:
    """A test cell as assembly writes it: `source` defines the tests, the block that calls them is added."""
    tests = [n.name for n in ast.parse(source).body if getattr(n, "name", "").startswith("test_")]
    block = [answers_line(of or name, name), *(f"    {test}()" for test in tests)]
    facts = {"exercise": of or name, "hidden": any(map(is_hidden, tests)), **about}
    return graded_cell("test", name, "\n".join([source.strip("\n"), "", "", *block]), points, facts)


def own(source: str) -> NotebookNode:
    return nbformat.v4.new_code_cell(source.strip("\n"))


SETUP = given(
    "setup",
    """
import torch
from labkit.testing import probes
from labkit.testing.answers import Answers, fresh_seed


def check(got, want, hint, tolerance=1e-5):
    assert isinstance(got, torch.Tensor), f"the result should be a tensor, but it is {type(got).__name__}"
    assert got.shape == want.shape, f"the shape is {tuple(got.shape)} and should be {tuple(want.shape)}; {hint}"
    worst = (got - want).abs().max().item()
    assert worst <= tolerance, f"{hint} (the largest difference is {worst:.2g})"
""",
)


def notebook(*cells: NotebookNode) -> NotebookNode:
    """An assembled notebook, with the cell that tells kernels what tests refuse and lend."""
    replaces: dict[str, dict] = {}
    lends = {}
    for cell in cells:
        if is_test(cell):
            replaces.setdefault(facts(cell)["exercise"], {}).update(facts(cell).get("replaces", {}))
            lends[name_of(cell)] = facts(cell).get("lends", [])
    told = given("course-answers", answers_cell("toy", replaces, lends))
    return nbformat.v4.new_notebook(cells=[told, *map(copy.deepcopy, cells)])


def handed_in(
    source: NotebookNode,
    answers: Mapping[str, str] | None = None,
    after: Mapping[str, list[str]] | None = None,
) -> NotebookNode:
    """The source as a student hands it in: other answers, and own cells after some cells, both by cell id."""
    clean = nbformat.v4.new_notebook()
    for cell in copy.deepcopy(source.cells):
        cell.source = (answers or {}).get(cell.id, cell.source).strip("\n")
        clean.cells += [cell, *map(own, (after or {}).get(cell.id, ()))]
    return clean


def judged(
    source: NotebookNode,
    clean: NotebookNode | None = None,
    *,
    seed: int = 5,
    seconds: float = 60.0,
    reference=None,
    crowding: float = 1.0,
    files: Mapping[str, bytes] = {},
) -> Judged:
    return judge(
        clean or handed_in(source),
        source,
        lambda: warm().kernel(files),
        seed=seed,
        seconds=seconds,
        reference=reference or {},
        crowding=crowding,
    )


def verdicts(result: Judged) -> dict[str, Verdict]:
    """By the tests' names."""
    return {verdict.cell.removeprefix("test-"): verdict for verdict in result.verdicts}


def earned(result: Judged) -> dict[str, int]:
    return {name: verdict.earned for name, verdict in verdicts(result).items()}
