"""What an attack is: a submission, what it tries, and what has to become of it."""

import copy
import json
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbgrader.preprocessors import ClearHiddenTests, ClearSolutions

from course.assemble.assembler import Assembler
from tests.attacks import POINTS, ROOT

SOLVED = {
    "softmax": """
def softmax(x):
    e = (x - x.max(-1, keepdim=True).values).exp()
    return e / e.sum(-1, keepdim=True)
""",
    "distance": """
def distance(a, b):
    if not a or not b:
        return len(a) + len(b)
    old = list(range(len(b) + 1))
    for i, left in enumerate(a):
        new = [i + 1]
        for j, right in enumerate(b):
            new.append(min(old[j + 1] + 1, new[j] + 1, old[j] + (left != right)))
        old = new
    return old[-1]
""",
    "scale": """
class Scale(torch.nn.Module):
    def __init__(self, width, eps=1e-5):
        super().__init__()
        self.eps = eps
        self.weight = torch.nn.Parameter(torch.ones(width))

    def forward(self, x):
        return x / ((x * x).mean(-1, keepdim=True) + self.eps).sqrt() * self.weight
""",
    "attend": "def attend(q, k, v):\n    return softmax(q @ k.T) @ v",
}
"""Answers in an honest student's hand."""
WRONG = {
    "softmax": "def softmax(x):\n    return x.clone()",
    "distance": "def distance(a, b):\n    return 0",
    "scale": SOLVED["scale"].replace("x / ((x * x).mean(-1, keepdim=True) + self.eps).sqrt() * self.weight", "x * 1"),
    "attend": "def attend(q, k, v):\n    return v.sum(0).expand(len(q), -1) * 0",
}
"""Answers that run and earn nothing: what points there are, an attack got."""


@dataclass(frozen=True)
class Attack:
    """A submission and what has to become of it."""

    name: str
    tries: str
    hand_in: Callable[[Path], None]
    """Puts it into a folder."""
    earns: Mapping[str, int]
    """Points by exercise; what is not named earns none."""
    says: tuple[str, ...] = ()
    """Each of these stands in a sentence that the student may read."""
    never: tuple[str, ...] = ()
    """None of these stands in what the student may read or in the outputs that are kept."""
    unguarded: str = ""
    """Why it gets what it did not earn, where that is known and not prevented."""
    gets: Mapping[str, int] | None = None
    """The points that it gets then."""


def full(*exercises: str) -> dict[str, int]:
    """All points of the named exercises."""
    return {name: POINTS[name] for name in exercises}


@cache
def source() -> NotebookNode:
    """The instructor's notebook."""
    return Assembler("attacked", ROOT).build()


@cache
def _released() -> str:
    notebook = copy.deepcopy(source())
    for step in (ClearSolutions, ClearHiddenTests):
        notebook, _ = step().preprocess(notebook, {})
    return str(nbformat.writes(notebook))


def released() -> dict[str, Any]:
    """The students' notebook, as JSON; a fresh copy."""
    return dict(json.loads(_released()))


def cell_of(notebook: dict[str, Any], identity: str) -> dict[str, Any]:
    return next(c for c in notebook["cells"] if c.get("id") == identity)


def own(text: str, kind: str = "code", **more: Any) -> dict[str, Any]:
    """A cell that the student added."""
    code = {"outputs": [], "execution_count": None} if kind == "code" else {}
    return {"cell_type": kind, "source": textwrap.dedent(text).strip(), "metadata": {}, **code, **more}


def filled(
    answers: Mapping[str, str], *, first: str = "", last: str = "", after: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The students' notebook with answers, an own cell before all others, after an exercise, or at the end."""
    notebook = released()
    for name, text in answers.items():
        cell_of(notebook, f"exercise-{name}")["source"] = textwrap.dedent(text).strip()
    for name, text in (after or {}).items():
        cells = notebook["cells"]
        cells.insert(cells.index(cell_of(notebook, f"exercise-{name}")) + 1, own(text))
    if first:
        where = next(i for i, c in enumerate(notebook["cells"]) if c["id"] == "given-numbers") + 1
        notebook["cells"].insert(where, own(first))
    if last:
        notebook["cells"].append(own(last))
    return notebook


def saves(notebook: dict[str, Any] | str | bytes, files: Mapping[str, str] | None = None) -> Callable[[Path], None]:
    """A submission of a notebook and other files."""

    def hand_in(folder: Path) -> None:
        for name, text in (files or {}).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        content = json.dumps(notebook) if isinstance(notebook, dict) else notebook
        (folder / "attacked.ipynb").write_bytes(content.encode() if isinstance(content, str) else content)

    return hand_in


def forges(name: str, tries: str, first: str, *, answers: Mapping[str, str] | None = None, **expected: Any) -> Attack:
    """Wrong answers and a cell before them that should make them count; earns nothing unless said."""
    expected.setdefault("earns", {})
    return Attack(name, tries, saves(filled({**WRONG, **(answers or {})}, first=first)), **expected)


def disturbs(
    name: str,
    tries: str,
    *,
    first: str = "",
    last: str = "",
    after: Mapping[str, str] | None = None,
    answers: Mapping[str, str] | None = None,
    files: Mapping[str, str] | None = None,
    **expected: Any,
) -> Attack:
    """Good answers, but for those given, and a cell that does harm; keeps all points unless said."""
    expected.setdefault("earns", POINTS)
    notebook = filled({**SOLVED, **(answers or {})}, first=first, last=last, after=after)
    return Attack(name, tries, saves(notebook, files), **expected)
