"""Build the notebook that nbgrader reads, and the one that students get, from an assignment's source.

`course/assignments/<name>.py` is a jupytext percent script and an ordinary pytest module. Its exercise and given cells
import from `solutions/<name>.py`; here each such import is replaced by the text of the definition. The result,
`course/source/<name>/<name>.ipynb`, holds the solutions between nbgrader's marks; nbgrader's own release step, called
by `--release`, takes them out and the students' notebook goes to `exercises/<name>/<name>.ipynb`.

Tests that nobody outside may see lie in `course/private/<name>.py`, which git ignores: test cells in the same format,
with names that end in `_hidden`. They are put after the other tests of their exercise in `course/source/`, their points
on top of the header's, and never into `exercises/`.

Positions come from `ast` and `tokenize` and text is copied line by line, so that what a student sees is what the
author wrote. Nothing here imports `solutions` or `labkit`: an assignment is read, never run.
"""

import argparse
import ast
import builtins
import functools
import io
import json
import re
import symtable
import sys
import tempfile
import tokenize
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import jupytext
import nbformat
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
LONGEST_BODY = 15
MARKS = ("BEGIN SOLUTION", "END SOLUTION", "BEGIN HIDDEN TESTS", "END HIDDEN TESTS", "BEGIN MARK SCHEME")
# What a notebook's kernel offers beside the builtins.
ALWAYS_THERE = frozenset(dir(builtins)) | {"__name__", "display", "get_ipython"}
INTEGRATION = "integration"

# The marks each kind of cell takes: name -> type; the required ones first.
CELL_MARKS: dict[str, tuple[dict[str, type], dict[str, type]]] = {
    "given": ({}, {}),
    "exercise": (
        {"difficulty": int, "importance": int, "minutes": int},
        {"given_methods": str, "replaces": str},
    ),
    "test": ({"points": int}, {"of": str}),
    "run": ({}, {"tags": list}),
}
KIND_OF_VALUE = {int: "a whole number", str: "a text", list: "a list of texts"}
# jupytext notes the blank lines between cells here.
IGNORED_MARKS = {"title", "lines_to_next_cell"}

SETUP = """\
# Installs the course where it is missing (Colab, Binder, your own machine); where it is there, this cell does nothing.
import importlib.util

if importlib.util.find_spec("labkit") is None:
    import subprocess
    import sys

    print("Installing the course and PyTorch: about 0.4 GB to download, 1.3 GB on disk.")
    if sys.platform == "linux" and importlib.util.find_spec("torch") is None:
        print("On Linux pip may choose PyTorch's CUDA build, which is several GB. To get the smaller CPU build,")
        print("stop this cell and follow 'PyTorch without CUDA' in the README: {repository}")
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "{archive}"], check=True)
    importlib.invalidate_caches()
"""


class AssemblyError(Exception):
    """The assignment cannot be assembled: one sentence with the file, the place and the remedy."""


# --------------------------------------------------------------------------------------------------- reading Python


def bound_names(node: ast.AST) -> set[str]:
    """Names that a top-level statement binds in its own scope."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name.split(".")[0] for alias in node.names}
    if isinstance(node, ast.Name):
        return {node.id} if isinstance(node.ctx, ast.Store) else set()
    if isinstance(node, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        return {n.target.id for n in ast.walk(node) if isinstance(n, ast.NamedExpr)}
    names = {node.name} if isinstance(node, ast.ExceptHandler) and node.name else set()
    return names.union(*(bound_names(child) for child in ast.iter_child_nodes(node)))


def free_names(source: str) -> set[str]:
    """Global names that `source` reads at any depth and does not bind itself."""
    top = symtable.symtable(source, "<cell>", "exec")
    here = {s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace()}
    read = {s.get_name() for s in top.get_symbols() if s.is_referenced()}
    tables = list(top.get_children())
    while tables:
        table = tables.pop()
        tables += table.get_children()
        for symbol in table.get_symbols():
            if symbol.is_global():
                (read if symbol.is_referenced() else here).add(symbol.get_name())
    return read - here


def last_line(node: ast.stmt | ast.expr) -> int:
    return node.end_lineno or node.lineno


def first_line(node: ast.stmt) -> int:
    """First line of a definition, its decorators included."""
    return min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])


def import_statement(node: ast.Import | ast.ImportFrom, name: str) -> str:
    """The import that binds `name`, on its own."""
    alias = next(a for a in node.names if (a.asname or a.name.split(".")[0]) == name)
    alone = ast.Import([alias]) if isinstance(node, ast.Import) else ast.ImportFrom(node.module, [alias], node.level)
    return ast.unparse(alone)


def methods(node: ast.stmt) -> list[ast.FunctionDef]:
    """The functions whose bodies a student may write: the definition itself or a class's methods."""
    if isinstance(node, ast.FunctionDef):
        return [node]
    if isinstance(node, ast.ClassDef):
        return [n for n in node.body if isinstance(n, ast.FunctionDef)]
    return []


class Solutions:
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

    def exercise_text(self, name: str, given_methods: list[str]) -> str:
        """A definition with nbgrader's solution marks round each body that is to be written."""
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
        to_write = [m for m in methods(node) if isinstance(node, ast.FunctionDef) or m.name not in given_methods]
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
            out[end - first + 1 : end - first + 1] = [pad + "### END SOLUTION"]
            out[begin - first : begin - first] = [pad + "### BEGIN SOLUTION"]
        return "\n".join(out)


# ---------------------------------------------------------------------------------------------------- the assignment


@dataclass
class Cell:
    """A cell of the assignment as its author wrote it."""

    kind: str  # prose, given, exercise, test or run
    name: str  # its id, "" for prose and run
    marks: dict
    source: str
    line: int  # of its mark in the file
    text_line: int  # of its first line of text
    path: Path  # the file it stands in
    private: bool = False  # whether it comes from course/private

    @property
    def title(self) -> str:
        return f'cell {self.kind}="{self.name}"' if self.name else f"{self.kind} cell"


@dataclass
class Exercise:
    """What the assembler knows of an exercise once it has read the whole file."""

    name: str
    cell: Cell
    defines: list[str]
    replaces: list[str]
    points: int = 0
    tests: list[str] = field(default_factory=list)
    visible: int = 0
    hidden: int = 0


def shown(path: Path) -> str:
    """A path as an author would type it."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


class Assembler:
    """Turns one assignment into a notebook; `build()` returns it or raises `AssemblyError`.

    With `private`, the tests of `course/private/<name>.py` are in it, where there is that file.
    """

    def __init__(self, name: str, root: Path | None = None, *, private: bool = False):
        self.name = name
        self.root = root or ROOT
        self.path = self.root / "course" / "assignments" / f"{name}.py"
        self.private_path = self.root / "course" / "private" / f"{name}.py"
        self.private = private and self.private_path.exists()
        self.own_module = f"solutions.{name}"
        self.exercises: dict[str, Exercise] = {}
        self.owner: dict[str, str] = {}  # name that an exercise defines -> exercise
        self.have: set[str] = set()  # names bound by given, exercise and test cells so far
        self.shown_only: set[str] = set()  # names that only run cells bind
        self.reads: dict[str, set[str]] = {}  # name bound in the notebook -> names its binding reads
        self.imports: dict[str, str] = {}  # name -> the import statement that a definition needs
        self.own_imports: dict[str, str] = {}  # name -> the import statement in a given cell
        self.taken: set[str] = set()

    @functools.cached_property
    def solutions(self) -> Solutions:
        return Solutions(self.root / "solutions" / f"{self.name}.py")

    # -- errors

    def refuse(self, cell: Cell | None, what: str, line: int | None = None) -> NoReturn:
        """Raise with the place; `line` counts from 1 in the cell's text."""
        where = shown(self.path if cell is None else cell.path)
        if cell is not None:
            where += f":{cell.line if line is None else cell.text_line + line - 1}: {cell.title}"
        raise AssemblyError(f"{where}: {what}.")

    # -- reading

    def read(self) -> tuple[dict, list[Cell]]:
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise AssemblyError(
                f"{shown(self.path)}: there is no such assignment; these exist: {', '.join(assignments(self.root))}."
            ) from None
        notebook, cells = self.parse(text, self.path)
        header = notebook.metadata.get("course")
        wanted = {"title": str, "points": int, "seconds": int}
        if not isinstance(header, dict) or {k: type(v) for k, v in header.items()} != wanted:
            raise AssemblyError(
                f"{shown(self.path)}:1: the header needs, under `jupyter:`, "
                f'`course: {{title: "...", points: 10, seconds: 60}}` and nothing else there.'
            )
        return dict(header), self.with_private(cells) if self.private else cells

    def parse(self, text: str, path: Path) -> tuple[NotebookNode, list[Cell]]:
        """A file in percent format as jupytext reads it, and its cells with their marks checked."""
        for number, line in enumerate(text.splitlines(), 1):
            if mark := next((m for m in MARKS if m in line), None):
                raise AssemblyError(
                    f"{shown(path)}:{number}: `{mark}` is written by the assembler; take it out of the source."
                )
        notebook = jupytext.reads(text, fmt="py:percent")
        places = [n for n, line in enumerate(text.splitlines(), 1) if re.match(r"# %%( |$)", line)]
        if len(places) != len(notebook.cells):
            raise AssemblyError(
                f"{shown(path)}: {len(notebook.cells)} cells but {len(places)} `# %%` marks; "
                "every cell, also the first, begins with a mark."
            )
        lines = text.splitlines()
        return notebook, [self.cell(raw, place, lines, path) for raw, place in zip(notebook.cells, places, strict=True)]

    def with_private(self, cells: list[Cell]) -> list[Cell]:
        """The assignment's cells with each private test after the last test of what it is `of`."""
        try:
            text = self.private_path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise AssemblyError(f"{shown(self.private_path)}: it cannot be read ({error}).") from None
        _, extra = self.parse(text, self.private_path)
        merged = list(cells)
        for cell in extra:
            if cell.kind != "test":
                self.refuse(cell, 'a private file holds test cells only; write test="..." of="..." points=1')
            if "of" not in cell.marks:
                self.refuse(cell, "the mark `of` is missing; name the exercise that it tests")
            cell.private = True
            of = cell.marks["of"]
            places = [n for n, c in enumerate(merged) if c.kind == "test" and c.marks.get("of", c.name) == of]
            if not places or of == INTEGRATION:
                names = [c.name for c in cells if c.kind == "exercise"]
                self.refuse(cell, f"there is no exercise `{of}` to test; of= is one of {', '.join(names)}")
            merged.insert(places[-1] + 1, cell)
        return merged

    def cell(self, raw: NotebookNode, line: int, lines: list[str], path: Path) -> Cell:
        marks = {k: v for k, v in raw.metadata.items() if k not in IGNORED_MARKS}
        title = raw.metadata.get("title")
        text_line = line + 1
        while text_line < len(lines) and not lines[text_line - 1].strip():
            text_line += 1
        if raw.cell_type == "markdown":
            cell = Cell("prose", "", marks, raw.source, line, text_line, path)
            if marks or title:
                self.refuse(cell, "a prose cell takes no marks")
            return cell
        kinds = [k for k in CELL_MARKS if k in marks]
        if title == "run" and not kinds:
            kinds = ["run"]
        elif title:
            kinds = []
        if raw.cell_type != "code" or len(kinds) != 1:
            cell = Cell("code", "", marks, raw.source, line, text_line, path)
            self.refuse(cell, 'mark it as one of given="...", exercise="...", test="..." or run')
        kind = kinds[0]
        name = marks.pop(kind, "")
        cell = Cell(kind, name, marks, raw.source, line, text_line, path)
        required, optional = CELL_MARKS[kind]
        for mark, value in marks.items():
            expected = required.get(mark) or optional.get(mark)
            if expected is None:
                self.refuse(cell, f"unknown mark `{mark}`; it takes {', '.join([*required, *optional]) or 'none'}")
            if type(value) is not expected:
                self.refuse(cell, f"`{mark}` is {value!r}; write {KIND_OF_VALUE[expected]}")
        for mark in required:
            if mark not in marks:
                self.refuse(cell, f"the mark `{mark}` is missing")
        for mark in ("difficulty", "importance"):
            if mark in marks and not 1 <= marks[mark] <= 5:
                self.refuse(cell, f"`{mark}` is {marks[mark]}; it goes from 1 to 5")
        if kind == "test" and marks["points"] < 1:
            self.refuse(cell, "a test is worth at least one point")
        if kind != "run" and not (isinstance(name, str) and re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)):
            self.refuse(cell, f"the id {name!r} has to be lower-case words joined by hyphens")
        if kind != "run" and len(name) > 40:
            self.refuse(cell, "the id is longer than 40 characters; shorten it")
        try:
            tree = ast.parse(cell.source)
        except SyntaxError as error:
            self.refuse(cell, f"{error.msg}; it has to be valid Python", error.lineno)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == "__future__":
                self.refuse(
                    cell, "`from __future__` would be lost in a notebook; write the code without it", node.lineno
                )
            if isinstance(node, ast.ImportFrom) and any(a.name == "*" for a in node.names):
                self.refuse(cell, "`import *` hides what is used; name what you import", node.lineno)
        return cell

    # -- names

    def check_names(self, cell: Cell, source: str) -> None:
        """Refuse a name that neither this cell nor an earlier one binds."""
        there = self.have | ALWAYS_THERE | set(self.imports)
        for name in sorted(free_names(source) - there):
            reads = (n for n in ast.walk(ast.parse(cell.source)) if isinstance(n, ast.Name) and n.id == name)
            line = next((n.lineno for n in reads), None)
            if name not in self.shown_only:
                self.refuse(cell, f"no earlier cell defines `{name}`; define or import it in a given cell above", line)
            elif cell.kind != "run":
                self.refuse(cell, f"`{name}` is defined only in a run cell; move it to a given cell", line)

    def note_names(self, cell: Cell, source: str) -> None:
        for node in ast.parse(source).body:
            names = bound_names(node)
            if cell.kind == "run":
                self.shown_only |= names
                continue
            text = ast.get_source_segment(source, node) or ""
            for name in names:
                if cell.kind != "exercise" and name in self.owner:
                    self.refuse(
                        cell, f"`{name}` is what exercise {self.owner[name]} asks for; use another name", node.lineno
                    )
                if isinstance(node, ast.Import | ast.ImportFrom):
                    statement = import_statement(node, name)
                    if self.imports.get(name, statement) != statement:
                        self.refuse(cell, f"`{name}` means `{self.imports[name]}` in the solutions; rename it here")
                    self.own_imports[name] = statement
                self.have.add(name)
                self.reads[name] = free_names(text) - {name}

    def reach(self, names: set[str]) -> set[str]:
        """Every name that `names` lead to through the notebook's own definitions."""
        seen, todo = set(), list(names)
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo += self.reads.get(name, ())
        return seen

    # -- cells

    def inline(self, cell: Cell) -> str:
        """The cell with each import from this topic's solutions replaced by the definitions."""
        lines, tree = cell.source.splitlines(), ast.parse(cell.source)
        for node in tree.body:
            if isinstance(node, ast.Import) and any(a.name.split(".")[0] == "solutions" for a in node.names):
                self.refuse(cell, "write `from solutions.<topic> import <name>`", node.lineno)
        ours = [n for n in tree.body if isinstance(n, ast.ImportFrom) and n.module == self.own_module]
        if cell.kind == "exercise":
            other = next((n for n in tree.body if n not in ours), None)
            if other is not None or not ours:
                line = other.lineno if other is not None else None
                what = (
                    f"an exercise cell holds only `from {self.own_module} import <name>`; the rest goes in a given cell"
                )
                self.refuse(cell, what, line)
        if not ours:
            return cell.source
        solutions = self.solutions
        for node in ours:
            for alias in node.names:
                bound = solutions.binds.get(alias.name)
                if alias.asname:
                    self.refuse(cell, f"import `{alias.name}` under its own name", node.lineno)
                if bound is None or isinstance(bound, ast.Import | ast.ImportFrom):
                    self.refuse(
                        cell, f"{shown(solutions.path)} does not define `{alias.name}`; correct the name", node.lineno
                    )
                if alias.name in self.have:
                    self.refuse(cell, f"`{alias.name}` is already in an earlier cell; import it once", node.lineno)
                self.have.add(alias.name)
        for node in reversed(ours):
            # In the module's own order, so that a definition follows what it needs at once.
            names = sorted((a.name for a in node.names), key=lambda name: solutions.binds[name].lineno)
            texts: dict[int, str] = {}
            for name in names:
                self.bring_imports(cell, name, node.lineno)
                given = cell.marks.get("given_methods", "").split()
                text = solutions.exercise_text(name, given) if cell.kind == "exercise" else solutions.text_of(name)
                if mark := next((m for m in MARKS if m in solutions.text_of(name)), None):
                    solutions.refuse(solutions.binds[name], f"`{mark}` is written by the assembler; take it out")
                texts[solutions.binds[name].lineno] = text
            definitions = ast.FunctionDef | ast.ClassDef
            gap = "\n\n\n" if any(isinstance(solutions.binds[n], definitions) for n in names) else "\n"
            space = [""] * (len(gap) - 1)
            before, after = lines[: node.lineno - 1], lines[last_line(node) :]
            before += space if before and before[-1].strip() else []
            after = (space if after and after[0].strip() else []) + after
            lines = [*before, gap.join(texts.values()), *after]
        return "\n".join(lines).strip("\n")

    def bring_imports(self, cell: Cell, name: str, line: int) -> None:
        """Note the imports that a definition needs; refuse if it needs anything else that is not in the notebook."""
        solutions = self.solutions
        for needed in sorted(free_names(solutions.text_of(name)) - {name}):
            bound = solutions.binds.get(needed)
            if isinstance(bound, ast.Import | ast.ImportFrom):
                statement = import_statement(bound, needed)
                already = self.own_imports.get(needed)
                if already is None and needed in self.have:
                    already = "something else"
                if already not in (None, statement):
                    self.refuse(
                        cell, f"`{name}` needs `{statement}`, but here `{needed}` is {already}; rename it", line
                    )
                if already is None:
                    self.imports[needed] = statement
            elif needed not in self.have and needed not in ALWAYS_THERE:
                where = f" ({shown(solutions.path)}:{bound.lineno})" if bound is not None else ""
                self.refuse(
                    cell, f"`{name}` needs `{needed}`{where}; import it in an earlier given or exercise cell", line
                )

    def run_text(self, cell: Cell) -> str:
        body = ast.parse(cell.source).body
        guard = body[0] if len(body) == 1 else None
        if not isinstance(guard, ast.If) or guard.orelse or ast.unparse(guard.test) != "__name__ == '__main__'":
            self.refuse(cell, 'a run cell is one `if __name__ == "__main__":` block')
        # Lines inside a string of several lines belong to the string: they keep their indentation.
        kept: set[int] = set()
        for node in ast.walk(guard):
            if isinstance(node, ast.Constant | ast.JoinedStr) and last_line(node) > node.lineno:
                kept |= set(range(node.lineno + 1, last_line(node) + 1))
        numbered = list(enumerate(cell.source.splitlines(), 1))[guard.lineno :]
        return "\n".join(line if n in kept else line.removeprefix("    ") for n, line in numbered).strip("\n")

    def test_functions(self, cell: Cell) -> list[ast.FunctionDef]:
        found = []
        for node in ast.parse(cell.source).body:
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "solutions":
                self.refuse(cell, "a test takes nothing from solutions; import it in a given cell", node.lineno)
            plain = ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign
            if not isinstance(node, plain):
                what = "ends in an expression" if isinstance(node, ast.Expr) else "runs code"
                self.refuse(
                    cell, f"the test cell {what}; keep only definitions, their calls are added for you", node.lineno
                )
            if not (isinstance(node, ast.FunctionDef) and node.name.startswith("test_")):
                continue
            arguments = node.args
            if any(
                [
                    arguments.posonlyargs,
                    arguments.args,
                    arguments.kwonlyargs,
                    arguments.vararg,
                    arguments.kwarg,
                    node.decorator_list,
                ]
            ):
                self.refuse(
                    cell,
                    f"`{node.name}` takes an argument, a fixture or a decorator; the notebook calls it with none",
                    node.lineno,
                )
            found.append(node)
        for inner in ast.walk(ast.parse(cell.source)):
            if isinstance(inner, ast.Assert) and inner.msg is None:
                self.refuse(cell, "an assert has no message; name the likely mistake", inner.lineno)
        if not found:
            self.refuse(cell, "it holds no `def test_...():`")
        for node in found:
            if cell.private and not node.name.endswith("_hidden"):
                self.refuse(cell, f"`{node.name}` is private; end its name in _hidden", node.lineno)
            if node.name in self.have:
                self.refuse(cell, f"another cell has a `{node.name}` already; rename it", node.lineno)
        return found

    def test_text(self, cell: Cell, of: str) -> str:
        """The test cell: its functions, then their calls; what is hidden stands between nbgrader's marks."""
        functions = {first_line(f): f for f in self.test_functions(cell)}
        hidden = [f.name for f in functions.values() if f.name.endswith("_hidden")]
        visible = [f.name for f in functions.values() if not f.name.endswith("_hidden")]
        lines, out, last = cell.source.splitlines(), [], 0
        for node in ast.parse(cell.source).body:
            block = lines[last : last_line(node)]
            last = last_line(node)
            if getattr(node, "name", None) in hidden:
                # With the blank lines before it, so that none pile up where it is taken out.
                block = ["### BEGIN HIDDEN TESTS", *block, "### END HIDDEN TESTS"]
            out += block
        opening = self.answers_line(cell, of)
        if visible:
            calls = [f"    {name}()" for name in visible]
            if hidden:
                calls += [
                    "    ### BEGIN HIDDEN TESTS",
                    *(f"    {name}()" for name in hidden),
                    "    ### END HIDDEN TESTS",
                ]
            out += ["", "", *opening, *calls]
        else:
            out = [
                f"# Hidden tests of {of} run here when the assignment is graded.",
                *out,
                "### BEGIN HIDDEN TESTS",
                "",
                "",
                *opening,
                *(f"    {name}()" for name in hidden),
                "### END HIDDEN TESTS",
            ]
        if of != INTEGRATION:
            self.exercises[of].visible += len(visible)
            self.exercises[of].hidden += len(hidden)
        return "\n".join(out + lines[last:]).strip("\n")

    def answers_line(self, cell: Cell, of: str) -> list[str]:
        """`with answers(...):` with the calls that are refused and the parts that come from the reference."""
        mine = [self.exercises[of]] if of != INTEGRATION else list(self.exercises.values())
        replaces = {name: e.replaces for e in mine for name in e.defines if e.replaces}
        parts = {}
        if of != INTEGRATION:
            needed = self.reach(free_names(cell.source) | set(self.exercises[of].defines))
            parts = {n: self.own_module for n in sorted(needed) if self.owner.get(n, of) != of}
        arguments = [json.dumps(of), f"cell={json.dumps(cell.name)}"]
        if replaces:
            arguments.append(f"replaces={json.dumps(replaces)}")
        if parts:
            arguments.append(f"parts={json.dumps(parts)}")
        whole = f"with answers({', '.join(arguments)}):"
        if len(whole) <= 110:
            return [whole]
        return ["with answers(", *(f"    {a}," for a in arguments), "):"]

    def task_line(self, exercise: Exercise) -> str:
        """Difficulty, importance, minutes, points and the earlier exercises it uses: one line of prose."""
        marks = exercise.cell.marks
        uses = sorted(
            {self.owner[n] for name in exercise.defines for n in self.reads[name] if n in self.owner} - {exercise.name},
            key=list(self.exercises).index,
        )
        parts = [
            f"difficulty {marks['difficulty']} of 5",
            f"importance {marks['importance']} of 5",
            f"about {marks['minutes']} minutes",
            f"{exercise.points} point{'s' if exercise.points != 1 else ''}",
        ]
        if uses:
            parts.append("uses " + ", ".join(uses))
        return f"**Exercise: {exercise.name}** ({'; '.join(parts)})"

    # -- the notebook

    def build(self) -> NotebookNode:
        """The notebook with solutions and hidden tests between nbgrader's marks."""
        header, cells = self.read()
        self.survey(header, cells)
        out: list[NotebookNode] = []
        after, count = "start", 0
        for cell in cells:
            source = cell.source
            if cell.kind in ("prose", "run"):
                count += 1
                identity = f"{cell.kind}-{after}-{count}"
                if cell.kind == "run":
                    source = self.run_text(cell)
                    self.check_names(cell, source)
                    self.note_names(cell, source)
                make = nbformat.v4.new_markdown_cell if cell.kind == "prose" else nbformat.v4.new_code_cell
                out.append(make(source, id=identity, metadata=dict(cell.marks)))
                continue
            after, count = cell.name, 0
            if cell.kind in ("given", "exercise"):
                source = self.inline(cell)
            else:
                source = self.test_text(cell, cell.marks.get("of", cell.name))
                self.have.add("answers")
            self.check_names(cell, source)
            self.note_names(cell, source)
            if cell.kind == "exercise":
                line = self.task_line(self.exercises[cell.name])
                out.append(nbformat.v4.new_markdown_cell(line, id=f"task-{cell.name}"))
            out.append(graded_cell(cell.kind, cell.name, source, cell.marks.get("points")))
            if cell.private:
                out[-1].metadata["course"] = {"private": True}  # a student's notebook cannot have it
        for exercise in self.exercises.values():
            for kind in ("visible", "hidden"):
                if not getattr(exercise, kind):
                    self.refuse(
                        exercise.cell,
                        f'it has no {kind} test; add a test="..." of="{exercise.name}" with a function that '
                        + ("ends in _hidden" if kind == "hidden" else "does not end in _hidden"),
                    )
        statements = sorted({*self.imports.values(), "from labkit.judge import answers"}, key=import_order)
        out[0:0] = [
            graded_cell("given", "course-setup", self.setup_text()),
            graded_cell("given", "course-imports", "\n".join(statements)),
        ]
        notebook = nbformat.v4.new_notebook(cells=out)
        notebook.nbformat_minor = 5
        notebook.metadata = nbformat.from_dict(
            {
                "course": {
                    **header,
                    "minutes": sum(e.cell.marks["minutes"] for e in self.exercises.values()),
                    "exercises": len(self.exercises),
                },
                "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
                "language_info": {"name": "python"},
            }
        )
        nbformat.validate(notebook)
        return notebook

    def survey(self, header: dict, cells: list[Cell]) -> None:
        """Read the marks of all cells before any is written: ids, points, which test belongs to which exercise."""
        seen: set[tuple[str, str]] = set()
        total = private = 0
        for cell in cells:
            if cell.name:
                if (cell.kind, cell.name) in seen:
                    self.refuse(cell, "this id is taken by an earlier cell; give each cell its own")
                seen.add((cell.kind, cell.name))
            if cell.kind == "exercise":
                defines = [
                    a.name for n in ast.parse(cell.source).body if isinstance(n, ast.ImportFrom) for a in n.names
                ]
                exercise = Exercise(cell.name, cell, defines, cell.marks.get("replaces", "").split())
                if cell.name == INTEGRATION:
                    self.refuse(cell, f"`{INTEGRATION}` is the name of the integration test; rename the exercise")
                self.exercises[cell.name] = exercise
                self.owner.update({name: cell.name for name in defines})
            if cell.kind == "test":
                of = cell.marks.get("of", cell.name)
                total += cell.marks["points"]
                private += cell.marks["points"] if cell.private else 0
                if of == INTEGRATION and any(n == INTEGRATION and k == "done" for k, n in seen):
                    self.refuse(cell, "there is an integration test already; an assignment has one")
                if of == INTEGRATION:
                    seen.add(("done", INTEGRATION))
                elif of not in self.exercises:
                    self.refuse(cell, f"no exercise `{of}` comes before it; name one with of=, or `{INTEGRATION}`")
                else:
                    self.exercises[of].points += cell.marks["points"]
                    self.exercises[of].tests.append(cell.name)
        for exercise in self.exercises.values():
            for call in exercise.replaces:
                if "." in call and not call.startswith("torch."):
                    self.refuse(
                        exercise.cell, f"replaces names `{call}`; name a call of torch by its path, or a whole package"
                    )
            if not exercise.tests:
                self.refuse(exercise.cell, f'it has no test; add a cell test="{exercise.name}" points=...')
        if not self.exercises:
            raise AssemblyError(f'{shown(self.path)}: it has no exercise; mark a cell with exercise="...".')
        if total - private != header["points"]:
            raise AssemblyError(
                f"{shown(self.path)}:1: the header says {header['points']} points and the tests add up to "
                f"{total - private}; correct one of them."
            )
        header["points"] = total

    def setup_text(self) -> str:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        repository = project["urls"]["Repository"].rstrip("/")
        return SETUP.format(repository=repository, archive=f"{repository}/archive/refs/heads/main.zip").rstrip()


def import_order(statement: str) -> tuple[bool, bool, bool, str]:
    """isort's order: the standard library, others, then ours; `import x` before `from x import y`."""
    package = statement.split()[1].split(".")[0]
    return (
        package in ("labkit", "solutions"),
        package not in sys.stdlib_module_names,
        statement.startswith("from"),
        statement,
    )


def graded_cell(kind: str, name: str, source: str, points: int | None = None) -> NotebookNode:
    """A code cell with nbgrader's metadata (schema 3)."""
    identity = f"{kind}-{name}"
    marks = {
        "grade": kind == "test",
        "grade_id": identity,
        "locked": kind != "exercise",
        "schema_version": 3,
        "solution": kind == "exercise",
        "task": False,
    }
    if points is not None:
        marks["points"] = points
    return nbformat.v4.new_code_cell(source, id=identity, metadata={"nbgrader": marks})


# ------------------------------------------------------------------------------------------------------- the commands


def assignments(root: Path | None = None) -> list[str]:
    """Names of all assignments that have a source, sorted."""
    return sorted(p.stem for p in ((root or ROOT) / "course" / "assignments").glob("*.py") if p.stem != "__init__")


def write(notebook: NotebookNode, path: Path) -> None:
    """Write a notebook so that the same notebook always gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = nbformat.writes(notebook).rstrip("\n")  # a line of source a line of the file, for readable changes
    path.write_text(text + "\n", encoding="utf-8", newline="\n")


def assemble(name: str, root: Path | None = None, to: Path | None = None) -> NotebookNode:
    """Build an assignment's notebook, private tests included, and write it to `course/source/` (or to `to`)."""
    root = root or ROOT
    notebook = Assembler(name, root, private=True).build()
    write(notebook, to or root / "course" / "source" / name / f"{name}.ipynb")
    return notebook


def released(name: str, notebook: NotebookNode) -> NotebookNode:
    """The students' notebook that nbgrader's release step makes of an assembled one.

    It runs in a folder of its own with a gradebook of its own, so that looking changes nothing.
    """
    # These take two seconds to import, and assembling does not need them.
    from nbgrader.apps.api import NbGraderAPI
    from traitlets.config import PyFileConfigLoader

    config = PyFileConfigLoader("nbgrader_config.py", path=str(ROOT / "course")).load_config()
    with tempfile.TemporaryDirectory() as folder:
        here = config.CourseDirectory
        here.root, here.source_directory, here.release_directory = folder, "source", "release"
        here.db_url = f"sqlite:///{Path(folder).as_posix()}/gradebook.db"
        write(notebook, Path(folder) / "source" / name / f"{name}.ipynb")
        result = NbGraderAPI(config=config).generate_assignment(name)
        path = Path(folder) / "release" / name / f"{name}.ipynb"
        if not result["success"] or not path.is_file():
            reason = (result["error"] or result["log"] or "").strip().splitlines()
            raise AssemblyError(f"{name}: nbgrader could not release it: {reason[-1] if reason else 'no reason given'}")
        return nbformat.read(path, as_version=4)


def is_telling(line: str) -> bool:
    """Whether a stripped line says something on its own; `return x` and the head of a loop may stand anywhere."""
    return len(line) >= 32 and not line.endswith(":")


def secret_lines(notebook: NotebookNode) -> set[str]:
    """Lines of an assembled notebook that students may not see: of solutions and of hidden tests, stripped.

    Only telling lines count. A line that a hidden test shares with a visible one, or that the assembler wrote, is no
    secret.
    """
    answers: set[str] = set()
    hidden: set[str] = set()
    public: set[str] = set()
    for cell in notebook.cells:
        lines, ours = public, False
        for line in cell.source.splitlines():
            if "### BEGIN " in line or "### END " in line:
                lines = answers if "BEGIN SOLUTION" in line else hidden if "BEGIN HIDDEN" in line else public
            ours = ours or line.startswith("with answers(")
            if not ours and is_telling(line.strip()):
                lines.add(line.strip())
            ours = ours and not line.endswith("):")
    return answers | (hidden - public)


def check_released(name: str, notebook: NotebookNode, secret: set[str]) -> None:
    """Refuse a released notebook in which a mark, or a line that nbgrader should have taken out, is left."""
    for cell in notebook.cells:
        for line in cell.source.splitlines():
            where = f"exercises/{name}/{name}.ipynb: cell {cell.id}"
            if mark := next((m for m in MARKS if m in line), None):
                raise AssemblyError(
                    f"{where}: nbgrader left `{mark}` in it; check that each mark has its partner in "
                    f"course/source/{name}/{name}.ipynb and that course/nbgrader_config.py keeps nbgrader's own marks."
                )
            if line.strip() in secret:
                raise AssemblyError(
                    f"{where}: it shows `{line.strip()}`, which is part of a solution or a hidden test; "
                    f"say it another way in course/assignments/{name}.py."
                )


def release(name: str, notebook: NotebookNode, to: Path | None = None) -> NotebookNode:
    """Write the students' notebook of an assembled one to `exercises/` (or to `to`), checked."""
    public = released(name, notebook)
    check_released(name, public, secret_lines(notebook))
    write(public, to or ROOT / "exercises" / name / f"{name}.ipynb")
    return public


def main(arguments: list[str] | None = None) -> int:
    """Assemble the named assignments, or all; with --release, write the students' notebooks too."""
    parser = argparse.ArgumentParser(prog="python -m course.assemble", description=main.__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help="assignments; all when none is named")
    parser.add_argument("--release", action="store_true", help="write exercises/ as well, through nbgrader")
    options = parser.parse_args(arguments)
    try:
        for name in options.names or assignments():
            notebook = assemble(name)
            if options.release:
                release(name, Assembler(name).build())
            course = notebook.metadata.course
            print(f"{name}: {course.exercises} exercises, {course.points} points")
    except AssemblyError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
