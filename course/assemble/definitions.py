"""The definitions of a solutions module, cut out as text: whole, or with marks round what a student writes."""

import ast
import io
import tokenize
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

from course.assemble.docstrings import for_coders
from course.assemble.errors import AssemblyError, shown
from course.assemble.syntax import bound_names, first_line, last_line, methods

LONGEST_BODY = 15


class Definitions:
    """One solutions module as text: what each top-level name is bound to, and the lines that bind it."""

    def __init__(self, path: Path):
        self.path = path
        try:
            self.text = path.read_text(encoding="utf-8")
            tree = ast.parse(self.text)
        except FileNotFoundError:
            raise AssemblyError(f"{shown(path)}: there is no such module; write it before its assignment.") from None
        except SyntaxError as error:
            raise AssemblyError(f"{shown(path)}:{error.lineno}: {error.msg}; it has to be valid Python.") from None
        self.lines = self.text.splitlines()
        self.binds: dict[str, ast.stmt] = {}
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and node.module == "__future__":
                self.refuse(node, "`from __future__` would be lost in a notebook; write the code without it")
            for name in sorted(bound_names(node)):
                if name in self.binds and not isinstance(node, ast.Import):
                    self.refuse(node, f"`{name}` is bound twice; give each binding its own name")
                self.binds[name] = node

    def refuse(self, node: ast.stmt, what: str) -> NoReturn:
        raise AssemblyError(f"{shown(self.path)}:{node.lineno}: {what}.")

    def definition(self, name: str) -> ast.stmt:
        return self.binds[name]

    def span(self, node: ast.stmt) -> tuple[int, int]:
        """First and last line of a definition with the comment that touches it (1-based, inclusive)."""
        first = first_line(node)
        while first > 1 and self.lines[first - 2].startswith("#"):
            first -= 1
        return first, self.tail(node)

    def tail(self, node: ast.stmt) -> int:
        """Last line of a definition, comments that end its body included (ast leaves them out)."""
        last = last_line(node)
        if not methods(node):
            return last
        for number in range(last_line(node) + 1, len(self.lines) + 1):
            line = self.lines[number - 1]
            indent = len(line) - len(line.lstrip())
            if line.strip():
                if not (line.lstrip().startswith("#") and indent > node.col_offset):
                    break
                last = number
        return last

    def body_span(self, function: ast.FunctionDef) -> tuple[int, int]:
        """First and last line of what a student writes: all that follows the signature and the docstring."""
        rows = tokenize.generate_tokens(io.StringIO("\n".join(self.lines[function.lineno - 1 :]) + "\n").readline)
        header = function.lineno - 1 + next(row.start[0] for row in rows if row.type == tokenize.NEWLINE)
        body = function.body
        if body[0].lineno <= header:
            self.refuse(function, f"write the body of `{function.name}` on lines of its own")
        if ast.get_docstring(function, clean=False) is not None:
            if len(body) == 1:
                self.refuse(function, f"`{function.name}` has a docstring and no body; write one or give it whole")
            header = last_line(body[0])
            if body[1].lineno <= header:
                self.refuse(body[1], "a statement shares the docstring's line; move it to the next")
        return header + 1, self.tail(function)

    def body_lines(self, function: ast.FunctionDef) -> list[str]:
        """The lines of a body that say something: no blank ones, no comments."""
        first, last = self.body_span(function)
        text = (line.strip() for line in self.lines[first - 1 : last])
        return [line for line in text if line and not line.startswith("#")]

    def text_of(self, name: str) -> str:
        first, last = self.span(self.binds[name])
        return "\n".join(self.lines[first - 1 : last])

    def to_write(self, name: str, given_methods: list[str]) -> list[ast.FunctionDef]:
        """The functions of a definition whose bodies a student writes."""
        node = self.binds[name]
        return [m for m in methods(node) if isinstance(node, ast.FunctionDef) or m.name not in given_methods]

    def shown_text(self, name: str, given_methods: list[str]) -> str:
        """A definition without the bodies that a student writes."""
        first, last = self.span(self.binds[name])
        out = self.lines[first - 1 : last]
        for function in reversed(self.to_write(name, given_methods)):
            begin, end = self.body_span(function)
            out[begin - first : end - first + 1] = [" " * (function.col_offset + 4) + "pass"]
        return "\n".join(out)

    def docstring(self, name: str) -> str:
        """A definition's docstring; empty where it has none."""
        node = self.binds[name]
        return ast.get_docstring(node) or "" if isinstance(node, ast.FunctionDef | ast.ClassDef) else ""

    def exercise_text(
        self, name: str, given_methods: list[str], imports: Mapping[str, str] = MappingProxyType({})
    ) -> str:
        """A definition with nbgrader's solution marks round each body that is to be written.

        `imports` are the statements for names that only bodies read: they stand in the bodies. Of its docstring it
        keeps what a coder needs (`course.assemble.docstrings`).
        """
        node = self.binds[name]
        if not methods(node):
            self.refuse(node, f"`{name}` has no body to write; import it in a given cell")
        if isinstance(node, ast.ClassDef):
            for n in node.body:
                is_text = isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)
                allowed = ast.FunctionDef | ast.Assign | ast.AnnAssign
                if not (is_text or isinstance(n, allowed)):
                    kind = type(n).__name__
                    self.refuse(n, f"this {kind} inside `{name}` would be shown to students; move it into a method")
            missing = sorted(set(given_methods) - {m.name for m in methods(node)})
            if missing:
                self.refuse(node, f"`{name}` has no method `{missing[0]}`; correct given_methods in the assignment")
        elif given_methods:
            self.refuse(node, f"`{name}` is a function; given_methods is for classes")
        to_write = self.to_write(name, given_methods)
        if not to_write:
            self.refuse(node, f"every method of `{name}` is given, so nothing is left to write")
        first, last = self.span(node)
        out = self.lines[first - 1 : last]
        for function in reversed(to_write):
            count = len(self.body_lines(function))
            if count > LONGEST_BODY:
                self.refuse(
                    function,
                    f"the body of `{function.name}` has {count} lines and a student may be asked for {LONGEST_BODY}; "
                    "split it into functions",
                )
            begin, end = self.body_span(function)
            pad = " " * (function.col_offset + 4)
            read = {n.id for n in ast.walk(function) if isinstance(n, ast.Name)}
            own = [pad + imports[name] for name in sorted(read & imports.keys())]
            out[end - first + 1 : end - first + 1] = [pad + "### END SOLUTION"]
            out[begin - first : begin - first] = [pad + "### BEGIN SOLUTION", *own]
        if self.docstring(name):
            assert isinstance(node, ast.FunctionDef | ast.ClassDef)
            begin, end = node.body[0].lineno - first, last_line(node.body[0]) - first + 1
            out[begin:end] = for_coders(out[begin:end])
        return "\n".join(out)
