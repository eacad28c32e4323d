"""Every small change of an exercise's reference answer: an operator, a constant, an argument, a statement.

Positions come from ast and only the text at one of them changes, so that a mutant is its source line for line. What is
given to students (signatures, docstrings, given methods) and what an exception says stay as they are.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import singledispatchmethod

from course.banks.play import solution_lines

SWAPS = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "/"),
    ast.Mod: ("%", "//"),
    ast.Pow: ("**", "*"),
    ast.MatMult: ("@", "*"),
    ast.BitAnd: ("&", "|"),
    ast.BitOr: ("|", "&"),
    ast.LShift: ("<<", ">>"),
    ast.RShift: (">>", "<<"),
    ast.And: ("and", "or"),
    ast.Or: ("or", "and"),
}
COMPARISONS = {
    ast.Lt: ("<", "<=", ">="),
    ast.LtE: ("<=", "<", ">"),
    ast.Gt: (">", ">=", "<="),
    ast.GtE: (">=", ">", "<"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
}
NAMES = {"min": "max", "any": "all", "argmin": "argmax"}
NAMES |= {new: old for old, new in NAMES.items()}
# Functions that are the same with their arguments in another order, unless a keyword says how to compare.
UNORDERED = {"min", "max"}


@dataclass(frozen=True)
class Mutant:
    """An exercise's cell with one change. `name` tells it from all others: the changed lines before and after."""

    exercise: str
    name: str
    source: str


def mutants(exercise: str, source: str) -> list[Mutant]:
    """The mutants of an exercise's cell, as it is assembled, in the order of the lines that they change."""
    found: dict[str, str] = {}
    seen: Counter[str] = Counter()
    for changed, name in _Changes(source).all():
        if changed in found or changed == source:
            continue
        seen[name] += 1
        found[changed] = name if seen[name] == 1 else f"{name} (again, {seen[name]})"
    return [Mutant(exercise, name, changed) for changed, name in found.items()]


class _Changes:
    """All changes of one source."""

    def __init__(self, source: str):
        self.source = source
        self.starts = [0]
        for line in source.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.lines = source.splitlines()
        self.written = solution_lines(source)

    def all(self) -> Iterator[tuple[str, str]]:
        """`(the changed source, name of the change)`, each of them valid Python."""
        for node in self.nodes(ast.parse(self.source)):
            for start, end, new in self.of(node):
                changed = self.source[:start] + new + self.source[end:]
                try:
                    compile(changed, "<mutant>", "exec")
                except SyntaxError:
                    continue
                yield changed, self.name(start, end, new)

    def nodes(self, node: ast.AST) -> Iterator[ast.AST]:
        """What a student writes of a tree; neither annotations nor the words of an exception."""
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if not isinstance(child, ast.AST) or isinstance(child, ast.Raise | ast.Assert | ast.JoinedStr):
                    continue
                if getattr(child, "lineno", 0) in self.written:
                    yield child
                yield from self.nodes(child)

    def at(self, line: int, column: int) -> int:
        """The offset in the source of a position of ast, whose columns count bytes."""
        text = self.lines[line - 1]
        return self.starts[line - 1] + len(text.encode()[:column].decode())

    def span(self, node: ast.AST) -> tuple[int, int]:
        return (
            self.at(node.lineno, node.col_offset),  # type: ignore[attr-defined]
            self.at(node.end_lineno, node.end_col_offset),  # type: ignore[attr-defined]
        )

    def text(self, node: ast.AST) -> str:
        start, end = self.span(node)
        return self.source[start:end]

    def name(self, start: int, end: int, new: str) -> str:
        """The lines that a change touches, before and after, each on one line."""
        first = self.source.rfind("\n", 0, start) + 1
        last = self.source.find("\n", end)
        last = len(self.source) if last < 0 else last
        before = self.source[first:last]
        after = self.source[first:start] + new + self.source[end:last]
        return f"{_in_one_line(before)} -> {_in_one_line(after)}"

    def between(self, left: ast.AST, right: ast.AST, old: str, new: str) -> Iterator[tuple[int, int, str]]:
        """The operator between two operands."""
        start, end = self.span(left)[1], self.span(right)[0]
        pattern = r"\s+".join(map(re.escape, old.split()))
        if match := re.search(pattern, self.source[start:end]):
            yield start + match.start(), start + match.end(), new

    # -- the changes of one node: (start, end, what takes the place of the text between)

    @singledispatchmethod
    def of(self, node: ast.AST) -> Iterator[tuple[int, int, str]]:
        if isinstance(node, ast.stmt):
            yield from self.dropped(node)

    def dropped(self, node: ast.stmt) -> Iterator[tuple[int, int, str]]:
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not (is_text or isinstance(node, ast.Pass | ast.Import | ast.ImportFrom | ast.FunctionDef)):
            yield (*self.span(node), "pass")

    @of.register
    def _(self, node: ast.BinOp):
        yield from self.between(node.left, node.right, *SWAPS[type(node.op)])

    @of.register
    def _(self, node: ast.AugAssign):
        yield from self.dropped(node)
        old, new = SWAPS[type(node.op)]
        yield from self.between(node.target, node.value, old + "=", new + "=")

    @of.register
    def _(self, node: ast.BoolOp):
        for i, (left, right) in enumerate(zip(node.values, node.values[1:], strict=False)):
            yield from self.between(left, right, *SWAPS[type(node.op)])
            yield self.span(left)[0], self.span(right)[0], ""
            if i == len(node.values) - 2:
                yield self.span(left)[1], self.span(right)[1], ""

    @of.register
    def _(self, node: ast.Compare):
        for left, operator, right in zip([node.left, *node.comparators], node.ops, node.comparators, strict=False):
            old, *others = COMPARISONS[type(operator)]
            for new in others:
                yield from self.between(left, right, old, new)

    @of.register
    def _(self, node: ast.UnaryOp):
        yield self.span(node)[0], self.span(node.operand)[0], ""

    @of.register
    def _(self, node: ast.Constant):
        if isinstance(node.value, bool):
            others = [str(not node.value)]
        elif isinstance(node.value, int):
            others = [str(node.value + 1), str(node.value - 1)]
        elif isinstance(node.value, float):
            others = [str(2 * node.value if node.value else 1.0), "0.0"]
        else:
            return
        for other in others:
            yield (*self.span(node), f"({other})" if other.startswith("-") else other)

    @of.register
    def _(self, node: ast.Name):
        if node.id in NAMES:
            yield (*self.span(node), NAMES[node.id])

    @of.register
    def _(self, node: ast.Attribute):
        if node.attr in NAMES:
            end = self.span(node)[1]
            yield end - len(node.attr), end, NAMES[node.attr]

    @of.register
    def _(self, node: ast.Call):
        arguments = sorted([*node.args, *node.keywords], key=self.span)
        for i, argument in enumerate(arguments):
            start, end = self.span(argument)
            if i:
                start = self.span(arguments[i - 1])[1]
            elif len(arguments) > 1:
                end = self.span(arguments[1])[0]
            yield start, end, ""
        if isinstance(node.func, ast.Name) and node.func.id in UNORDERED and not node.keywords:
            return
        for left, right in zip(node.args, node.args[1:], strict=False):
            start, end = self.span(left)[0], self.span(right)[1]
            gap = self.source[self.span(left)[1] : self.span(right)[0]]
            yield start, end, self.text(right) + gap + self.text(left)

    @of.register
    def _(self, node: ast.Slice):
        for bound in (node.lower, node.upper, node.step):
            if bound is not None:
                yield (*self.span(bound), "")
                if not isinstance(bound, ast.Constant):
                    yield (*self.span(bound), f"({self.text(bound)}) + 1")

    @of.register
    def _(self, node: ast.IfExp):
        yield (
            *self.span(node),
            f"{self.text(node.orelse)} if {self.text(node.test)} else {self.text(node.body)}",
        )

    @of.register
    def _(self, node: ast.If):
        yield from self.dropped(node)
        yield (*self.span(node.test), f"not ({self.text(node.test)})")

    @of.register
    def _(self, node: ast.comprehension):
        for condition in node.ifs:
            yield (*self.span(condition), f"not ({self.text(condition)})")
            yield (*self.span(condition), "True")

    @of.register
    def _(self, node: ast.Break):
        yield (*self.span(node), "continue")
        yield from self.dropped(node)

    @of.register
    def _(self, node: ast.Continue):
        yield (*self.span(node), "break")
        yield from self.dropped(node)


def _in_one_line(text: str) -> str:
    return " ".join(text.split())
