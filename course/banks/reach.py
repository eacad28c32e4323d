"""Code as text: without what does not decide how it runs, by its statements, and what of our packages it reaches."""

import ast
import functools
import io
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path

from course import ROOT

PACKAGES = ("course", "labkit", "solutions")


@functools.lru_cache(maxsize=4096)
def bare(text: str) -> str:
    """Python code without comments, blank lines and spaces at the ends of lines: the same on every Python."""
    lines = text.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    return "\n".join(line.rstrip() for line in lines if line.strip())


def statements(text: str) -> Iterator[tuple[ast.stmt, str]]:
    """A module's statements, each with its lines, a definition's decorators included."""
    lines = text.splitlines()
    for node in ast.parse(text).body:
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
        yield node, "\n".join(lines[first - 1 : node.end_lineno])


def reached(
    texts: Iterable[str], root: Path = ROOT, packages: Iterable[str] = PACKAGES, without: Iterable[str] = ()
) -> dict[str, str]:
    """`{module: its bare code}` of our packages that some code imports, wherever the import stands, sorted by name.

    What these import in turn is reached too, but not through the modules `without`; `root` is the packages' folder.
    """
    packages = tuple(packages)
    found: dict[str, str] = {}
    waiting = list(texts)
    while waiting:
        for name in sorted(set(_imported(waiting.pop())) - found.keys() - set(without)):
            base = root.joinpath(*name.split("."))
            path = next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()), None)
            if name.split(".")[0] in packages and path is not None:
                found[name] = bare(path.read_text(encoding="utf-8"))
                waiting.append(found[name])
    return dict(sorted(found.items()))


def _imported(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
