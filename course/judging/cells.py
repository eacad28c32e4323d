"""What the text of a student's cell says, read without running it."""

import ast
import re
from collections.abc import Iterator

from labkit.testing.absent import Absent

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
# Cell magics that run what stands below them in the notebook's own namespace.
_TRANSPARENT = ("%%time", "%%capture")
# Python's words, and those of the notice that covers a library in the sandbox.
_ABSENT = re.compile(r"No module named '([\w.]+)'|([\w.]+) is not there while this assignment is graded")
_MAX_WORDS = 300
# Of a line at the margin, what it defines or assigns.
_MEANT = re.compile(r"^(?:async +)?(?:def|class) +(\w+)|^(\w+) *(?::[^=\n]*)?=(?!=)", re.MULTILINE)


def parsed(text: str) -> ast.Module | None:
    """The syntax tree of a cell, its positions those in the text; None where it is no Python that can be read.

    IPython's line magics and shell commands count as empty lines.
    """
    try:
        return ast.parse(_python(text))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _python(text: str) -> str:
    """A cell without IPython's line magics and shell commands; empty where a magic takes it for something else."""
    lines = text.split("\n")
    first = next((line for line in lines if line.strip()), "")
    if first.startswith("%%") and first.split()[0] not in _TRANSPARENT:
        return ""
    return "\n".join("" if line.startswith(("%", "!")) else line for line in lines)


def defined(text: str) -> set[str]:
    """Names that running a cell binds, imports included; empty where its text cannot be read."""
    tree = parsed(text)
    return set() if tree is None else bound(tree) | set(_imported(tree))


def meant(text: str) -> set[str]:
    """As `defined`, but where the text cannot be read, names that its lines would define if it could."""
    if parsed(text) is not None:
        return defined(text)
    return {name for found in _MEANT.finditer(_python(text)) for name in found.groups() if name}


def without_actions(text: str) -> str:
    """What a cell imports, defines and assigns, and nothing else that it does; all lines keep their numbers."""
    tree = parsed(text)
    if tree is None or "\r" in text:
        return ""
    lines = _python(text).encode().split(b"\n")
    for node in reversed(tree.body):
        if any(isinstance(inner, ast.Expr) for inner in _run(node)):
            _replace(lines, node, "(" + "\n" * ((node.end_lineno or 0) - node.lineno) + ")")
    return b"\n".join(lines).decode()


def bound(tree: ast.Module) -> set[str]:
    """Names that running a cell binds by definitions and assignments."""
    found = {node.name for node in _run(tree) if isinstance(node, _DEFINITIONS)}
    return found | {n.id for n in _run(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in _run(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name.split(".")[0] for alias in node.names)


def _run(node: ast.AST, but: tuple[type[ast.AST], ...] = ()) -> Iterator[ast.AST]:
    """The nodes of a tree that its cell runs at once: none inside of a function, a class or what `but` names."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (*_DEFINITIONS, *but)):
            waiting += ast.iter_child_nodes(node)


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
    nodes = [
        node
        for node in _run(tree, but=(ast.Try, ast.TryStar))
        if isinstance(node, ast.stmt) and _names_from(node, library)
    ]
    # From the end, as a replacement moves what follows it.
    for node in sorted(nodes, key=lambda n: (n.lineno, n.col_offset), reverse=True):
        _replace(lines, node, _stand_in(node, library, message[:_MAX_WORDS], (node.end_lineno or 0) - node.lineno))
    return b"\n".join(lines).decode() if nodes else None


def _replace(lines: list[bytes], node: ast.stmt, new: str) -> None:
    """Put other statements, of as many lines, in the place of one."""
    first, last = node.lineno - 1, (node.end_lineno or 0) - 1
    head, tail = lines[first][: node.col_offset], lines[last][node.end_col_offset :]
    lines[first : last + 1] = (head + new.encode() + tail).split(b"\n")


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
