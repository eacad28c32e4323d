"""What the text of a student's cell says, read without running it."""

import ast
import re

from labkit.notebook import bound, defined, parsed, top_level_nodes
from labkit.testing.absent import Absent

__all__ = ["bound", "defined", "with_stand_ins"]

# Python's words, and those of the notice that covers a library in the sandbox.
_ABSENT = re.compile(r"No module named '([\w.]+)'|([\w.]+) is not there while this assignment is graded")
_MAX_WORDS = 300


def with_stand_ins(text: str, message: str) -> str | None:
    """A cell with stand-ins for what it imports from the library that a ModuleNotFoundError's message names.

    Only imports that the cell runs at once are replaced, and none inside of a `try`; all lines keep their numbers. None
    where there is none to replace.
    """
    found, tree = _ABSENT.match(message), parsed(text)
    if found is None or tree is None or "\r" in text:  # Python counts lines by that too
        return None
    library = found[1] or found[2]
    lines = text.encode().split(b"\n")
    nodes = [node for node in top_level_nodes(tree, but=(ast.Try, ast.TryStar)) if _names_from(node, library)]
    # From the end, as a replacement moves what follows it.
    for node in sorted(nodes, key=lambda n: (n.lineno, n.col_offset), reverse=True):  # type: ignore[attr-defined]
        first, last = node.lineno - 1, node.end_lineno - 1  # type: ignore[attr-defined]
        head, tail = lines[first][: node.col_offset], lines[last][node.end_col_offset :]  # type: ignore[attr-defined]
        new = _stand_in(node, library, message[:_MAX_WORDS], last - first)
        lines[first : last + 1] = (head + new.encode() + tail).split(b"\n")
    return b"\n".join(lines).decode() if nodes else None


def _names_from(node: ast.AST, library: str) -> bool:
    match node:
        case ast.Import(names=names):
            return any(_is_of(alias.name, library) for alias in names)
        case ast.ImportFrom(module=str(module), level=0):
            return _is_of(module, library)
    return False


def _is_of(module: str, library: str) -> bool:
    return f"{module}.".startswith(f"{library}.")


def _stand_in(node: ast.AST, library: str, message: str, lines: int) -> str:
    """Statements that bind what an import binds, over as many more lines as it has."""
    assert isinstance(node, ast.Import | ast.ImportFrom)
    rest = [a for a in node.names if isinstance(node, ast.Import) and not _is_of(a.name, library)]
    names = [a.asname or a.name.split(".")[0] for a in node.names if a not in rest and a.name != "*"]
    home = f'__import__("{Absent.__module__}", fromlist=[""]).{Absent.__name__}'
    made = [f"{name} = ({home}({message!r}))" for name in names] or ["pass"]
    made[-1] = made[-1].removesuffix(")") + "\n" * lines + ")" if names else made[-1]
    return "; ".join([*([ast.unparse(ast.Import(rest))] if rest else []), *made])
