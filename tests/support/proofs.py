"""What is too dear for every run is proved when its inputs change: a record is committed with their digest.

`make prove` runs the tests marked `proof` whose record is stale or missing and writes the new one to
tests/proofs/<name>/. A fast test fails while a record is stale. The long tests prove what has no record, and play one
entry of each record again, another one each time.
"""

import datetime
import functools
import hashlib
import json
import platform
import random
import re
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from nbformat import NotebookNode

from book.execute import page_notebook
from course import ROOT
from course.assemble.assembler import Assembler
from course.notebook import test_cells
from course.reach import PACKAGES, Reach, bare, reached
from labkit.files import write_whole
from tests.support import site

KEPT = ROOT / "tests" / "proofs"
JUDGING = "import course.judging.grader, course.judging.judge_process"


@dataclass(frozen=True)
class Proof:
    """Something that holds for one topic or page, as long as `code` and what it uses stay the same."""

    kind: str
    name: str
    code: tuple[str, ...]
    whole: tuple[str, ...] = ()
    """Imports of modules that belong to it whole, with all that these import."""

    @property
    def path(self) -> Path:
        return KEPT / self.name / f"{self.kind}.json"

    def digest(self) -> str:
        """A digest of the code, the definitions of the house that it reaches, their checkpoints, and the pins.

        Comments are not in it.
        """
        definitions = Reach(ROOT, PACKAGES).of(self.code)
        return digest_of([*map(bare, self.code), *definitions, *reached(self.whole).values(), *pins()])

    def record(self) -> dict[str, Any]:
        """What was written when it was proved last; empty if it never was."""
        return json.loads(self.path.read_text(encoding="utf-8")) if self.path.is_file() else {}

    def is_of_this_python(self) -> bool:
        """Whether the record was made where the text that models learn from, Python's documentation, is the same."""
        return self.record().get("python") == platform.python_version()

    def is_fresh(self) -> bool:
        return self.record().get("digest") == self.digest()

    @contextmanager
    def proving(self) -> Iterator[dict[str, Any]]:
        """Skip what is proved already; write the record when the block ends well, with what the block put into it."""
        if self.is_fresh():
            pytest.skip("proved, and nothing that it depends on has changed")
        found: dict[str, Any] = {}
        yield found
        self.path.parent.mkdir(parents=True, exist_ok=True)
        by = {"proved": datetime.date.today().isoformat(), "python": platform.python_version()}
        record = {"digest": self.digest(), **by, **found}
        write_whole(self.path, (json.dumps(record, indent=1) + "\n").encode())


def digest_of(parts: list[str]) -> str:
    """A digest of pieces of code, and of the checkpoints that they name."""
    words = {word for part in parts for word in re.findall(r"""["']([\w-]+)["']""", part)}
    weights = [hashlib.sha256(path.read_bytes()).hexdigest() for path in checkpoints() if path.stem in words]
    return hashlib.sha256("\0".join([*parts, *weights]).encode()).hexdigest()


def pins() -> list[str]:
    """The pinned versions of what a notebook needs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {re.match(r"[\w-]+", line)[0] for line in project["dependencies"]}  # type: ignore[index]
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.partition("==")[0] in needed]


def checkpoints() -> list[Path]:
    return sorted((ROOT / "labkit" / "checkpoints").glob("*.safetensors"))


def code_of(notebook: NotebookNode) -> tuple[str, ...]:
    """The code cells that parse as Python; a magic changes no output."""
    cells = (cell.source for cell in notebook.cells if cell.cell_type == "code")
    return tuple(re.sub(r"(?m)^[%!].*$", "", source) for source in cells)


def chapter(name: str) -> Proof:
    """A page of the book says the same with another number of threads."""
    return Proof("chapter", name, code_of(page_notebook(name)))


@functools.cache
def _assembled(name: str) -> NotebookNode:
    return Assembler(name).build()


def _assignment(kind: str, name: str, *more: str, whole: tuple[str, ...] = ()) -> Proof:
    notebook = _assembled(name)
    lent = sorted({name for test in test_cells(notebook) for name in test.lends})
    lends = [f"from solutions.{name} import {', '.join(lent)}"] if lent else []
    return Proof(kind, name, (*code_of(notebook), *lends, *more), whole)


def solved(name: str) -> Proof:
    """A solved assignment says the same with another number of threads."""
    return _assignment("solved", name)


def _banks(name: str) -> list[str]:
    """The text of a topic's banks, and how answers are played."""
    paths = [ROOT / "tests" / "topics" / name / f"{kind}.py" for kind in ("wrong", "right")]
    return [*(path.read_text(encoding="utf-8") for path in paths), "from course.banks.play import play"]


def seeds(name: str) -> Proof:
    """Every answer of the banks earns the same under every seed, directly and through the codec."""
    return _assignment("seeds", name, *_banks(name))


def variants(name: str) -> Proof:
    """Every variant of a submission earns what plain nbgrader gives it."""
    return _assignment("variants", name, *_banks(name), whole=(JUDGING,))


def once(name: str) -> Proof:
    """No wrong answer of the banks costs points in the tests of another exercise."""
    return _assignment("once", name, *_banks(name))


def equivalent(name: str) -> Proof:
    """What is listed as the same function as the reference is, for a thousand random uses of each."""
    listed = (ROOT / "tests" / "topics" / name / "equivalent.py").read_text(encoding="utf-8")
    return Proof("equivalent", name, (*code_of(_assembled(name)), listed))


def all_of_them() -> list[tuple[str, str]]:
    """`(name, kind)` of every proof."""
    kinds = ("solved", "seeds", "variants", "once", "equivalent")
    of_topics = [(name, kind) for name in site.topics() for kind in kinds]
    return [*((name, "chapter") for name in site.chapters()), *of_topics]


def one_of(entries: Sequence[str]) -> str:
    """One entry of a record, another one each time: its name is printed, so that a failure can be played again."""
    chosen = random.SystemRandom().choice(entries)
    print("played again:", chosen)
    return chosen
