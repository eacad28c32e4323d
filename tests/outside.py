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

from course.judge import Judged, Verdict, judge
from course.sandbox import Room, Sandbox


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


def _cell(kind: str, name: str, source: str, **marks) -> NotebookNode:
    cell = nbformat.v4.new_code_cell(source.strip("\n"), id=f"{kind}-{name}")
    defaults = {"grade": False, "locked": True, "solution": False, "task": False, "schema_version": 3}
    cell.metadata["nbgrader"] = {**defaults, "grade_id": cell.id, **marks}
    return cell


def given(name: str, source: str) -> NotebookNode:
    return _cell("given", name, source)


def exercise(name: str, source: str) -> NotebookNode:
    return _cell("exercise", name, source, solution=True, locked=False)


def graded(name: str, source: str, of: str = "", points: int = 1, **said) -> NotebookNode:
    """A test cell as assembly writes it: `source` defines the tests, the block that calls them is added."""
    tests = [n.name for n in ast.parse(source).body if getattr(n, "name", "").startswith("test_")]
    keywords = "".join(f", {key}={value!r}" for key, value in said.items())
    block = f"\n\nwith answers({(of or name)!r}, cell={name!r}{keywords}):\n" + "".join(f"    {t}()\n" for t in tests)
    return _cell("test", name, source + block, grade=True, points=points)


def own(source: str) -> NotebookNode:
    return nbformat.v4.new_code_cell(source.strip("\n"))


SETUP = given(
    "setup",
    """
import torch
from labkit import probes
from labkit.judge import answers, fresh_seed


def check(got, want, hint, tolerance=1e-5):
    assert isinstance(got, torch.Tensor), f"the result should be a tensor, but it is {type(got).__name__}"
    assert got.shape == want.shape, f"the shape is {tuple(got.shape)} and should be {tuple(want.shape)}; {hint}"
    worst = (got - want).abs().max().item()
    assert worst <= tolerance, f"{hint} (the largest difference is {worst:.2g})"
""",
)


def notebook(*cells: NotebookNode) -> NotebookNode:
    return nbformat.v4.new_notebook(cells=[copy.deepcopy(cell) for cell in cells])


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
) -> Judged:
    return judge(
        clean or handed_in(source),
        source,
        warm().kernel,
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
