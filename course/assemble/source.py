"""An assignment as its author wrote it: `course/assignments/<name>.py` in cells, each with its options checked."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import jupytext
from nbformat import NotebookNode

from course import ROOT
from course.assemble.errors import AssemblyError, shown
from labkit.notebook import INTEGRATION

MARKS = ("BEGIN SOLUTION", "END SOLUTION", "BEGIN HIDDEN TESTS", "END HIDDEN TESTS", "BEGIN MARK SCHEME")
"""nbgrader's marks, which the assembler writes and no source may hold."""

# The options each kind of cell takes: name -> type; the required ones first.
CELL_OPTIONS: dict[str, tuple[dict[str, type], dict[str, type]]] = {
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
IGNORED_OPTIONS = {"title", "lines_to_next_cell"}


@dataclass
class Cell:
    """A cell of the assignment as its author wrote it."""

    kind: str  # prose, given, exercise, test or run
    name: str  # its id, "" for prose and run
    options: dict
    source: str
    line: int  # of its marker in the file
    text_line: int  # of its first line of text
    path: Path  # the file it stands in
    private: bool = False  # whether it comes from course/private

    @property
    def title(self) -> str:
        return f'cell {self.kind}="{self.name}"' if self.name else f"{self.kind} cell"

    @property
    def of(self) -> str:
        """The exercise that a test cell tests, or `INTEGRATION`."""
        return self.options.get("of", self.name)

    def refuse(self, what: str, line: int | None = None) -> NoReturn:
        """Raise AssemblyError with the place; `line` counts from 1 in the cell's text."""
        place = self.line if line is None else self.text_line + line - 1
        raise AssemblyError(f"{shown(self.path)}:{place}: {self.title}: {what}.")


def assignments(root: Path = ROOT) -> list[str]:
    """Names of all assignments that have a source, sorted."""
    return sorted(p.stem for p in (root / "course" / "assignments").glob("*.py") if p.stem != "__init__")


def read(name: str, root: Path, *, private: bool = False) -> tuple[dict, list[Cell]]:
    """An assignment's header and its cells; with `private`, those of `course/private/<name>.py`, if any, among them."""
    path = root / "course" / "assignments" / f"{name}.py"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise AssemblyError(
            f"{shown(path)}: there is no such assignment; these exist: {', '.join(assignments(root))}."
        ) from None
    notebook, cells = parse(text, path)
    header = notebook.metadata.get("course")
    wanted = {"title": str, "points": int, "seconds": int}
    if not isinstance(header, dict) or {k: type(v) for k, v in header.items()} != wanted:
        raise AssemblyError(
            f"{shown(path)}:1: the header needs, under `jupyter:`, "
            f'`course: {{title: "...", points: 10, seconds: 60}}` and nothing else there.'
        )
    private_path = root / "course" / "private" / f"{name}.py"
    return dict(header), with_private(cells, private_path) if private and private_path.exists() else cells


def parse(text: str, path: Path) -> tuple[NotebookNode, list[Cell]]:
    """A file in percent format as jupytext reads it, and its cells with their options checked."""
    for number, line in enumerate(text.splitlines(), 1):
        if mark := next((m for m in MARKS if m in line), None):
            raise AssemblyError(
                f"{shown(path)}:{number}: `{mark}` is written by the assembler; take it out of the source."
            )
    notebook = jupytext.reads(text, fmt="py:percent")
    places = [n for n, line in enumerate(text.splitlines(), 1) if re.match(r"# %%( |$)", line)]
    if len(places) != len(notebook.cells):
        raise AssemblyError(
            f"{shown(path)}: {len(notebook.cells)} cells but {len(places)} `# %%` markers; "
            "every cell, also the first, begins with a marker."
        )
    lines = text.splitlines()
    return notebook, [read_cell(raw, place, lines, path) for raw, place in zip(notebook.cells, places, strict=True)]


def with_private(cells: list[Cell], path: Path) -> list[Cell]:
    """The assignment's cells with each private test after the last test of what it is `of`."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AssemblyError(f"{shown(path)}: it cannot be read ({error}).") from None
    _, extra = parse(text, path)
    merged = list(cells)
    for cell in extra:
        if cell.kind != "test":
            cell.refuse('a private file holds test cells only; write test="..." of="..." points=1')
        if "of" not in cell.options:
            cell.refuse("the option `of` is missing; name the exercise that it tests")
        cell.private = True
        of = cell.options["of"]
        places = [n for n, c in enumerate(merged) if c.kind == "test" and c.of == of]
        if not places or of == INTEGRATION:
            names = [c.name for c in cells if c.kind == "exercise"]
            cell.refuse(f"there is no exercise `{of}` to test; of= is one of {', '.join(names)}")
        merged.insert(places[-1] + 1, cell)
    return merged


def read_cell(raw: NotebookNode, line: int, lines: list[str], path: Path) -> Cell:
    options = {k: v for k, v in raw.metadata.items() if k not in IGNORED_OPTIONS}
    title = raw.metadata.get("title")
    text_line = line + 1
    while text_line < len(lines) and not lines[text_line - 1].strip():
        text_line += 1
    if raw.cell_type == "markdown":
        cell = Cell("prose", "", options, raw.source, line, text_line, path)
        if options or title:
            cell.refuse("a prose cell takes no options")
        return cell
    kinds = [k for k in CELL_OPTIONS if k in options]
    if title == "run" and not kinds:
        kinds = ["run"]
    elif title:
        kinds = []
    if raw.cell_type != "code" or len(kinds) != 1:
        cell = Cell("code", "", options, raw.source, line, text_line, path)
        cell.refuse('mark it as one of given="...", exercise="...", test="..." or run')
    kind = kinds[0]
    name = options.pop(kind, "")
    cell = Cell(kind, name, options, raw.source, line, text_line, path)
    required, optional = CELL_OPTIONS[kind]
    for option, value in options.items():
        expected = required.get(option) or optional.get(option)
        if expected is None:
            cell.refuse(f"unknown option `{option}`; it takes {', '.join([*required, *optional]) or 'none'}")
        if type(value) is not expected:
            cell.refuse(f"`{option}` is {value!r}; write {KIND_OF_VALUE[expected]}")
    for option in required:
        if option not in options:
            cell.refuse(f"the option `{option}` is missing")
    for option in ("difficulty", "importance"):
        if option in options and not 1 <= options[option] <= 5:
            cell.refuse(f"`{option}` is {options[option]}; it goes from 1 to 5")
    if kind == "test" and options["points"] < 1:
        cell.refuse("a test is worth at least one point")
    if kind != "run" and not (isinstance(name, str) and re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)):
        cell.refuse(f"the id {name!r} has to be lower-case words joined by hyphens")
    if kind != "run" and len(name) > 40:
        cell.refuse("the id is longer than 40 characters; shorten it")
    try:
        tree = ast.parse(cell.source)
    except SyntaxError as error:
        cell.refuse(f"{error.msg}; it has to be valid Python", error.lineno)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            cell.refuse("`from __future__` would be lost in a notebook; write the code without it", node.lineno)
        if isinstance(node, ast.ImportFrom) and any(a.name == "*" for a in node.names):
            cell.refuse("`import *` hides what is used; name what you import", node.lineno)
    return cell
