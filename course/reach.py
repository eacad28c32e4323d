"""Code as text: without what does not decide how it runs, by its statements, and what of our packages it reaches."""

import ast
import functools
import io
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from course import ROOT
from labkit.notebook import syntax_tree

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


def without_docstrings(text: str) -> str:
    """Python code without the docstrings of its modules, classes and functions: what runs is the same."""
    lines = text.splitlines()
    for node in ast.walk(syntax_tree(text)):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if ast.get_docstring(node, clean=False) is not None:
            first = node.body[0]
            assert first.end_lineno is not None
            lines[first.lineno - 1 : first.end_lineno] = [""] * (first.end_lineno - first.lineno + 1)
    return "\n".join(lines)


def statements(text: str) -> Iterator[tuple[ast.stmt, str]]:
    """A module's statements, each with its lines, a definition's decorators included."""
    lines = text.splitlines()
    for node in syntax_tree(text).body:
        yield node, "\n".join(lines[first_line(node) - 1 : node.end_lineno])


def first_line(node: ast.stmt) -> int:
    """First line of a statement, its decorators included."""
    return min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])


def reached(texts: Iterable[str], root: Path = ROOT) -> dict[str, str]:
    """`{module: its bare code}` of our packages that some code imports, wherever the import stands, sorted by name.

    What these import in turn is reached too; `root` is the packages' folder.
    """
    found: dict[str, str] = {}
    waiting = list(texts)
    while waiting:
        for name in sorted(set(_imported(waiting.pop())) - found.keys()):
            if name.split(".")[0] in PACKAGES and (path := _file_of(root, name)):
                found[name] = bare(path.read_text(encoding="utf-8"))
                waiting.append(found[name])
    return dict(sorted(found.items()))


def _file_of(root: Path, module: str) -> Path | None:
    base = root.joinpath(*module.split("."))
    return next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()), None)


def _imported(text: str) -> Iterator[str]:
    for node in ast.walk(syntax_tree(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def definitions(module: Path, names: Iterable[str]) -> dict[str, str]:
    """`{name: source}`: each definition with all that it reaches in its module: imports, constants, other definitions.

    Running such a source defines the name. Names that the module does not define are left out.
    """
    text = module.read_text(encoding="utf-8")
    lines = text.splitlines()
    binders = _binders(syntax_tree(text).body)
    found = {}
    for name in sorted(set(names) & set(binders)):
        needed = _needed_by(name, binders)
        numbers = sorted({n for node in needed for n in range(first_line(node), (node.end_lineno or 0) + 1)})
        found[name] = "\n".join(lines[n - 1] for n in numbers) + "\n"
    return found


def reached_among(others: Iterable[tuple[ast.stmt, str]], code: str) -> list[str]:
    """Those of a module's statements (as `statements` gives them) that some code reaches, in their order."""
    others = list(others)
    binders = _binders(node for node, _ in others)
    names = {node.id for node in ast.walk(syntax_tree(code)) if isinstance(node, ast.Name)}
    needed = set().union(*(_needed_by(name, binders) for name in names))
    return [text for node, text in others if node in needed]


def _binders(body: Iterable[ast.stmt]) -> dict[str, list[ast.stmt]]:
    """The statements that bind each name."""
    binders: dict[str, list[ast.stmt]] = {}
    for node in body:
        for name in _bound(node):
            binders.setdefault(name, []).append(node)
    return binders


def _needed_by(name: str, binders: dict[str, list[ast.stmt]]) -> set[ast.stmt]:
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


class Reach:
    """Finds what code reaches in our own packages, below `root`: definitions, with what these reach in turn.

    Modules whose names begin with one of `without` are passed over.
    """

    def __init__(self, root: Path, packages: tuple[str, ...], without: str | tuple[str, ...] = ()):
        self.root, self.packages, self.without = root, packages, without
        self.read: dict[tuple[str, str], str] = {}

    def of(self, texts: Iterable[str], named: Iterable[tuple[str, str]] = ()) -> list[str]:
        """The definitions that some code reaches, and those that are named as (module, name), in a fixed order."""
        found: dict[tuple[str, str], str] = {}
        waiting = [*named, *(use for text in texts for use in self.uses(text))]
        while waiting:
            use = waiting.pop()
            if use not in found and not ".".join(use).startswith(self.without):
                found[use] = self.definition(*use)
                waiting += self.uses(found[use])
        return [text for _, text in sorted(found.items())]

    def uses(self, text: str) -> Iterator[tuple[str, str]]:
        """(module, name) for each definition that code uses; of a module that it uses otherwise the whole."""
        for package, name, attributes in _uses(text, self.packages):
            if attributes and _file_of(self.root, f"{package}.{name}"):
                yield from ((f"{package}.{name}", attribute) for attribute in attributes)
            else:
                yield package, name

    def definition(self, module: str, name: str) -> str:
        if (module, name) not in self.read:
            self.read[module, name] = self._definition(module, name)
        return self.read[module, name]

    def _definition(self, module: str, name: str) -> str:
        if whole := _file_of(self.root, f"{module}.{name}"):  # `from solutions import gpt`
            return bare(whole.read_text(encoding="utf-8"))
        path = _file_of(self.root, module)
        return bare(definitions(path, [name]).get(name, "")) if path else ""


@functools.lru_cache(maxsize=4096)
def _uses(text: str, packages: tuple[str, ...]) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """(module, name, attributes) for what code names of our packages; no attributes where it is used without them."""
    tree = syntax_tree(text)
    found: list[tuple[str, str, tuple[str, ...]]] = []
    names = Counter(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
    dotted: dict[str, list[str]] = defaultdict(list)
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr=attribute):
                dotted[name].append(attribute)
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module), names=aliases) if module.split(".")[0] in packages:
                for alias in aliases:
                    bound = alias.asname or alias.name
                    attributes = dotted[bound] if len(dotted[bound]) == names[bound] else []
                    found.append((module, alias.name, tuple(sorted(set(attributes)))))
            case ast.Attribute(value=ast.Attribute(value=ast.Name(id=package), attr=module), attr=name):
                if package in packages:
                    found.append((f"{package}.{module}", name, ()))
    return tuple(found)
