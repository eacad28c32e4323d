"""The reference's own parts as source text, cut out of `solutions/<topic>.py`.

A test may lend the student's code earlier exercises in the reference's version (`lends` of a test cell). Where the
student's code runs, the reference cannot be imported; the judge sends what a part needs and no more.
"""

import ast
from collections.abc import Iterable
from pathlib import Path

from nbformat import NotebookNode

from course.notebook import test_cells
from labkit.notebook import facts


def references(source: NotebookNode, root: Path) -> dict[str, str]:
    """`{name: source}` for every part that a test of this source notebook lends; `root` holds `solutions/`."""
    wanted = {name for cell in test_cells(source) for name in cell.lends}
    module = facts(source).get("reference", "")
    return reference(root.joinpath(*module.split(".")).with_suffix(".py"), wanted) if wanted else {}


def reference(topic_file: Path, names: Iterable[str]) -> dict[str, str]:
    """`{name: source}`: each definition with all that it reaches in its module: imports, constants, other definitions.

    Running such a source defines the name. Names that the module does not define are left out.
    """
    text = topic_file.read_text(encoding="utf-8")
    lines = text.splitlines()
    body = ast.parse(text).body
    binders: dict[str, list[ast.stmt]] = {}
    for node in body:
        for name in _bound(node):
            binders.setdefault(name, []).append(node)
    found = {}
    for name in sorted(set(names) & set(binders)):
        needed = _reached(name, binders)
        kept = sorted({n for node in needed for n in range(_first_line(node), (node.end_lineno or 0) + 1)})
        found[name] = "\n".join(lines[n - 1] for n in kept) + "\n"
    return found


def _reached(name: str, binders: dict[str, list[ast.stmt]]) -> set[ast.stmt]:
    found: set[ast.stmt] = set()
    waiting = [name]
    while waiting:
        for node in binders.get(waiting.pop(), ()):
            if node not in found:
                found.add(node)
                waiting += [n.id for n in ast.walk(node) if isinstance(n, ast.Name)]
    return found


def _bound(node: ast.stmt) -> set[str]:
    """Names that a module's statement binds, also inside its branches."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    for inner in ast.walk(node):
        if isinstance(inner, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name.split(".")[0] for alias in inner.names}
        elif isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(inner.name)
    return names


def _first_line(node: ast.stmt) -> int:
    return min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
