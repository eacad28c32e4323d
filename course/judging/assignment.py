"""An assignment as judging needs it: read once, and sent to every machine that judges."""

import ast
import functools
import hashlib
import inspect
import itertools
import socket
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course import ROOT, CourseError
from course.judging.reference import references
from course.notebook import kind_of
from course.sandbox import Room, RoomError, room_of
from course.sandbox.room import data_files
from labkit.notebook import facts, syntax_tree
from labkit.testing import oracles

DEFAULT_SECONDS = 60
"""The time limit of a notebook whose header names none."""


KERNEL_TIMES, JUDGE_TIMES = 2, 3
"""How many times that limit a kernel may take, for answers and for the student's own cells, and with it its judge."""


class GraderError(CourseError):
    """Grading cannot go on at all: one sentence for the instructor."""


@dataclass(frozen=True)
class Assignment:
    """All that judging needs, so that it can travel to another machine.

    It carries the assignment, not the course's own code: labkit, solutions and course have to be installed there at the
    same release. `check_code` refuses a machine where they differ.
    """

    name: str
    source: str
    """The instructor's notebook, as JSON."""
    reference: dict[str, str]
    """For each function that a later exercise builds on, the Python source that defines it."""
    room: Room
    seconds: float
    """The time limit of the answers of one submission, and of its other cells, on a core of its own."""
    version: str
    """SHA-256, in hex, of what marks depend on: the notebook, the reference, the shared checks and the data files."""
    data: dict[str, bytes]
    """The assignment's data files, by name."""
    code: str
    """SHA-256, in hex, of the course's code that judges it."""

    @classmethod
    def load(cls, root: Path, name: str) -> "Assignment":
        """Read the assembled assignment `name` of the course at `root`.

        Raises:
            GraderError: it is not assembled, or cannot be read.
        """
        path = root / "course" / "source" / name / f"{name}.ipynb"
        try:
            source = nbformat.read(path, as_version=4)
        except FileNotFoundError:
            raise GraderError(
                f"There is no assembled assignment {name!r}: run `make exercises` first, or correct the name."
            ) from None
        except (OSError, ValueError) as error:
            raise GraderError(f"{path} cannot be read ({error}): run `make exercises` again.") from None
        text = nbformat.writes(source)
        parts = references(source, root)
        try:
            room = room_of(source, root, name)
        except RoomError as error:
            raise GraderError(str(error)) from None
        data = _files_in(room.data)
        version = hashlib.sha256(text.encode())
        for part in sorted(parts.items()):
            version.update("\0".join(("", *part)).encode())
        for name_of_file, content in sorted((_shared_checks() | data).items()):
            version.update(f"\0{name_of_file}\0{len(content)}\0".encode() + content)
        return cls(
            name=name,
            source=text,
            reference=parts,
            room=room,
            seconds=float(facts(source).get("seconds", DEFAULT_SECONDS)),
            version=version.hexdigest(),
            data=data,
            code=code_fingerprint(room.modules),
        )

    @functools.cached_property
    def notebook(self) -> NotebookNode:
        """The instructor's notebook."""
        return nbformat.reads(self.source, as_version=4)

    def check_code(self) -> None:
        """Raise GraderError unless this machine judges with the code that the assignment was loaded with."""
        if code_fingerprint(self.room.modules) != self.code:
            raise GraderError(
                f"The course on {socket.gethostname()} ({ROOT}) is another than the one that sent the assignment "
                f"{self.name!r}: install the same release of the course and the same torch on every machine."
            )


def _files_in(folder: Path | None) -> dict[str, bytes]:
    if folder is None:
        return {}
    found = itertools.chain.from_iterable(sorted(p.rglob("*")) if p.is_dir() else [p] for p in data_files(folder))
    return {str(p.relative_to(folder)): p.read_bytes() for p in found if p.is_file()}


def _shared_checks() -> dict[str, bytes]:
    """The code that stands between every test and the answers."""
    folder = ROOT / "labkit" / "testing"
    return {p.relative_to(ROOT).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*.py"))}


def code_fingerprint(modules: Iterable[str]) -> str:
    """SHA-256, in hex, of all code that has a part in a mark, where it is installed here."""
    own = [ROOT / "course" / "notebook.py", *(ROOT / "solutions" / f"{name}.py" for name in modules)]
    for folder in ("course/judging", "course/sandbox", "labkit"):
        own += (ROOT / folder).rglob("*.py")
    digest = hashlib.sha256(f"python {sys.version_info[:2]} torch {metadata.version('torch')}".encode())
    for path in sorted(own):
        digest.update(f"\0{path.relative_to(ROOT).as_posix()}\0".encode())
        digest.update(path.read_bytes() if path.is_file() else b"absent")
    return digest.hexdigest()


def modules_of(source: NotebookNode) -> list[str]:
    """Modules that the judge will import: those of the given and test cells, inside functions and oracles too.

    The course's reference solutions are left out.
    """
    names: dict[str, None] = {}
    for cell in source.cells:
        if cell.cell_type == "code" and kind_of(cell) in ("given", "test"):
            names |= dict.fromkeys(_imported(cell.source))
    return [name for name in names if name.split(".")[0] != "solutions"]


def _imported(source: str) -> Iterator[str]:
    """Modules that code imports, at any depth, and those that the oracles it names will import when they are called."""
    for node in ast.walk(syntax_tree(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            if node.module == oracles.__name__:
                for alias in node.names:
                    yield from _imported(inspect.getsource(getattr(oracles, alias.name)))
