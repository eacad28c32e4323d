"""What the text of a student's cell says, read without running it."""

import ast
import re
from collections.abc import Iterator

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
# Cell magics that run what stands below them in the notebook's own namespace.
_TRANSPARENT = ("%%time", "%%capture")


def parsed(text: str) -> ast.Module | None:
    """The syntax tree of a cell, its positions those in the text; None where it is no Python that can be read.

    IPython's line magics and shell commands count as empty lines.
    """
    lines = text.split("\n")
    first = next((line for line in lines if line.strip()), "")
    if first.startswith("%%") and first.split()[0] not in _TRANSPARENT:
        return None
    plain = ["" if line.startswith(("%", "!")) else line for line in lines]
    try:
        return ast.parse("\n".join(plain))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def defined(text: str) -> set[str]:
    """Names that running a cell binds, imports included; empty where its text cannot be read."""
    tree = parsed(text)
    return set() if tree is None else bound(tree) | set(_imported(tree))


def bound(tree: ast.Module) -> set[str]:
    """Names that running a cell binds by definitions and assignments."""
    found = {node.name for node in _run(tree) if isinstance(node, _DEFINITIONS)}
    return found | {n.id for n in _run(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in _run(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name.split(".")[0] for alias in node.names)


def _run(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a tree that its cell runs at once: none inside a function or a class."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, _DEFINITIONS):
            waiting += ast.iter_child_nodes(node)
