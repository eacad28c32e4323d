"""Which of a student's cells name what no exercise needs: the places from which a library's call can be disguised.

Tests refuse the library calls that an exercise asks students to write, by their names; the same computation reached
through `torch.ops`, another thread or the tests' own parts is not always seen. Nothing here costs a point: it finds
lines for a person to read.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from nbformat import NotebookNode

from labkit.notebook import marks_of, name_of

WATCHED = {
    "torch.ops": ("torch.ops",),
    "torch._C": ("torch._C",),
    "threads": ("threading", "_thread", "concurrent.futures"),
    "sys.modules": ("sys.modules",),
    "labkit": ("labkit",),
}
"""What a cell may reach for, and the dotted names by which it does."""
LONGEST_LINE = 200


@dataclass(frozen=True)
class Reach:
    """A line of a student's that reaches for something watched."""

    what: str
    exercise: str
    """The exercise whose cell it stands in; "" in a cell of the student's own."""
    line: str


def reaches(notebook: NotebookNode, released: NotebookNode) -> list[Reach]:
    """What a student's cells reach for, each line once; lines that the released notebook has are not the student's."""
    given = {line.strip() for cell in released.cells for line in cell.source.splitlines()}
    cells = [cell for cell in notebook.cells if cell.cell_type == "code" and not marks_of(cell).get("locked")]
    trees = [(cell, tree) for cell in cells if (tree := _parsed(cell.source)) is not None]
    aliases = {bound: name for _, tree in trees for bound, name in _imports(tree)}
    found: dict[Reach, None] = {}
    for cell, tree in trees:
        lines = cell.source.splitlines()
        for node in ast.walk(tree):
            for name in _named(node, aliases):
                line = lines[node.lineno - 1].strip()  # type: ignore[attr-defined]
                if line not in given:
                    found |= dict.fromkeys(Reach(w, name_of(cell), line[:LONGEST_LINE]) for w in _watched(name))
    return list(found)


def _watched(name: str) -> Iterable[str]:
    """Which of WATCHED a dotted name leads to, from wherever it starts (`F.torch.ops` too)."""
    return [what for what, names in WATCHED.items() if any(f".{watched}." in f".{name}." for watched in names)]


def _named(node: ast.AST, aliases: Mapping[str, str]) -> Iterator[str]:
    """The dotted names that a node stands for by itself."""
    match node:
        case ast.Import(names=names):
            yield from (alias.name for alias in names)
        case ast.ImportFrom(module=str(module), names=names, level=0):
            yield from (f"{module}.{alias.name}" for alias in names)
        case ast.Attribute() | ast.Call():
            yield _dotted(node, aliases)
        case ast.Constant(value=str(text)) if all(part.isidentifier() for part in text.split(".")):
            yield text  # as in importlib.import_module("torch._C")


def _dotted(node: ast.AST, aliases: Mapping[str, str]) -> str:
    match node:
        case ast.Name(id=name):
            return aliases.get(name, name)
        case ast.Attribute(value=value, attr=attr):
            return f"{_dotted(value, aliases)}.{attr}"
        case ast.Call(func=ast.Name(id="getattr"), args=[value, ast.Constant(value=str(attr)), *_]):
            return f"{_dotted(value, aliases)}.{attr}"
    return ""


def _imports(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """What a cell's imports bind under another name, and the dotted name behind it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.asname, alias.name) for alias in node.names if alias.asname)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names)


def _parsed(source: str) -> ast.Module | None:
    try:
        return ast.parse("\n".join("" if line.lstrip()[:1] in ("%", "!") else line for line in source.splitlines()))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
