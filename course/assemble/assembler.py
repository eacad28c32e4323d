"""Build the notebook that nbgrader reads from an assignment's source and its solutions."""

import ast
import functools
import sys
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course import ROOT
from course.assemble.cells import functions_of, hints_apart, names_in_sight, run_text, test_text
from course.assemble.chapter import Chapter, repository
from course.assemble.definitions import Definitions
from course.assemble.docstrings import prose
from course.assemble.errors import AssemblyError, shown
from course.assemble.inline import Inliner
from course.assemble.names import Names
from course.assemble.opening import how_to_work_cell, title_cell
from course.assemble.source import Cell, read
from course.assemble.syntax import free_names
from course.notebook import answers_cell, graded_cell, is_hidden
from labkit.files import write_whole
from labkit.notebook import COURSE, INTEGRATION

SETUP = """\
# Installs the course where it is missing: on Colab, on Binder, on a machine of your own.
# Where it is there, this cell does nothing.
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

    @property
    def refused(self) -> dict[str, list[str]]:
        """For each name that it defines, the calls that it may not make; empty where it may make any."""
        return {name: self.replaces for name in self.defines} if self.replaces else {}


class Assembler:
    """Turns one assignment into a notebook; `build()` returns it or raises `AssemblyError`.

    With `private`, the tests of `course/private/<name>.py` are in it, where there is that file.
    """

    def __init__(self, name: str, root: Path = ROOT, *, private: bool = False):
        self.name, self.root, self.private = name, root, private
        self.module = f"solutions.{name}"
        self.exercises: dict[str, Exercise] = {}
        self.owner: dict[str, str] = {}  # name that an exercise defines -> exercise
        self.names = Names(self.owner)
        self.in_sight: set[str] = set()  # names that what students see leads to
        self.lends: dict[str, list[str]] = {}  # test cell -> names of earlier exercises
        self.visible: dict[str, int] = {}  # test cell of which students see tests -> its points
        self.seen_in_part: list[str] = []  # those of which they do not see all
        self.hints: list[str] = []  # those read since the last exercise
        self.chapter = Chapter.of(name, root)

    @functools.cached_property
    def definitions(self) -> Definitions:
        return Definitions(self.root / "solutions" / f"{self.name}.py")

    def build(self) -> NotebookNode:
        """The notebook with solutions and hidden tests between nbgrader's marks."""
        header, cells = read(self.name, self.root, private=self.private)
        self.survey(header, cells)
        self.in_sight = names_in_sight(cells)
        out: list[NotebookNode] = []
        after, count = "start", 0
        for cell in cells:
            if cell.name:
                after, count = cell.name, 0
            else:
                count += 1
            out += self.written(cell, f"{cell.kind}-{after}-{count}")
        self.check_tests()
        if self.hints:
            cells[-1].refuse(
                "a hint stands before the exercise that it helps with, and after the last one there is none"
            )
        introduction, rest = (out[:1], out[1:]) if cells[0].kind == "prose" else ([], out)
        notebook = nbformat.v4.new_notebook(cells=self.opening(header["title"], cells, introduction) + rest)
        notebook.nbformat_minor = 5
        notebook.metadata = nbformat.from_dict(
            {
                COURSE: {
                    **header,
                    "minutes": sum(e.cell.options["minutes"] for e in self.exercises.values()),
                    "exercises": len(self.exercises),
                    "reference": self.module,
                },
                "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
                "language_info": {"name": "python"},
            }
        )
        nbformat.validate(notebook)
        return notebook

    def survey(self, header: dict, cells: list[Cell]) -> None:
        """Read the options of all cells before any is written: ids, points, which test belongs to which exercise."""
        seen: set[tuple[str, str]] = set()
        total = private = 0
        for cell in cells:
            if cell.name:
                if (cell.kind, cell.name) in seen:
                    cell.refuse("this id is taken by an earlier cell; give each cell its own")
                seen.add((cell.kind, cell.name))
            if cell.kind == "exercise":
                defines = [
                    a.name for n in ast.parse(cell.source).body if isinstance(n, ast.ImportFrom) for a in n.names
                ]
                exercise = Exercise(cell.name, cell, defines, cell.options.get("replaces", "").split())
                if cell.name == INTEGRATION:
                    cell.refuse(f"`{INTEGRATION}` is the name of the integration test; rename the exercise")
                self.exercises[cell.name] = exercise
                self.owner.update({name: cell.name for name in defines})
            if cell.kind == "test":
                total += cell.options["points"]
                private += cell.options["points"] if cell.private else 0
                if cell.of == INTEGRATION and any(n == INTEGRATION and k == "done" for k, n in seen):
                    cell.refuse("there is an integration test already; an assignment has one")
                if cell.of == INTEGRATION:
                    seen.add(("done", INTEGRATION))
                elif cell.of not in self.exercises:
                    cell.refuse(f"no exercise `{cell.of}` comes before it; name one with of=, or `{INTEGRATION}`")
                else:
                    self.exercises[cell.of].points += cell.options["points"]
                    self.exercises[cell.of].tests.append(cell.name)
        for exercise in self.exercises.values():
            for call in exercise.replaces:
                if "." in call and not call.startswith("torch."):
                    exercise.cell.refuse(
                        f"replaces names `{call}`; name a call of torch by its path, or a whole package"
                    )
            if not exercise.tests:
                exercise.cell.refuse(f'it has no test; add a cell test="{exercise.name}" points=...')
        path = self.root / "course" / "assignments" / f"{self.name}.py"
        if not self.exercises:
            raise AssemblyError(f'{shown(path)}: it has no exercise; mark a cell with exercise="...".')
        if total - private != header["points"]:
            raise AssemblyError(
                f"{shown(path)}:1: the header says {header['points']} points and the tests add up to "
                f"{total - private}; correct one of them."
            )
        header["points"] = total

    def check_tests(self) -> None:
        """Refuse an exercise that lacks a visible or a hidden test."""
        for exercise in self.exercises.values():
            for kind in ("visible", "hidden"):
                if not getattr(exercise, kind):
                    exercise.cell.refuse(
                        f'it has no {kind} test; add a test="..." of="{exercise.name}" with a function that '
                        + ("ends in _hidden" if kind == "hidden" else "does not end in _hidden"),
                    )

    # -- cells

    def written(self, cell: Cell, identity: str) -> list[NotebookNode]:
        """What stands in the notebook for a cell; `identity` is the id of one that has none of its own."""
        if cell.kind == "prose":
            text, hints = hints_apart(cell.source)
            self.hints += hints
            return [nbformat.v4.new_markdown_cell(text, id=identity)] if text else []
        if cell.kind == "run":
            source = run_text(cell)
        elif cell.kind == "test":
            functions = functions_of(cell, self.names.have)
            source = test_text(cell, functions, self.in_sight)
            self.names.have.add("answers")
        else:
            source = Inliner(self.module, self.definitions, self.names).inline(cell)
        self.names.check(cell, source)
        self.names.note(cell, source)
        if cell.kind == "run":
            return [nbformat.v4.new_code_cell(source, id=identity, metadata=dict(cell.options))]
        if cell.kind == "given":
            return [graded_cell(cell.kind, cell.name, source)]
        if cell.kind == "exercise":
            return self.exercise_cells(self.exercises[cell.name], source)
        about = self.about_test(cell, functions)
        return [graded_cell(cell.kind, cell.name, source, cell.options["points"], about, folded=about["visible"])]

    def exercise_cells(self, exercise: Exercise, source: str) -> list[NotebookNode]:
        """An exercise's cell, after its task: what it takes and is worth, what it asks, the hints read before it."""
        options = exercise.cell.options
        uses = {self.owner[n] for name in exercise.defines for n in self.names.reads[name] if n in self.owner}
        in_order = sorted(uses - {exercise.name}, key=list(self.exercises).index)
        parts = [
            f"difficulty {options['difficulty']} of 5",
            f"importance {options['importance']} of 5",
            f"about {options['minutes']} minutes",
            f"{exercise.points} point{'s' if exercise.points != 1 else ''}",
            *(["uses " + ", ".join(in_order)] if in_order else []),
        ]
        in_their_order = sorted(exercise.defines, key=lambda name: self.definitions.binds[name].lineno)
        docstrings = {name: self.definitions.docstring(name) for name in in_their_order}
        task = [f"**Exercise: {exercise.name}** ({'; '.join(parts)})"]
        for name, docstring in docstrings.items():
            if docstring:
                task.append((f"`{name}`: " if len(docstrings) > 1 else "") + prose(docstring))
        if section := self.chapter and self.chapter.section(exercise.name):
            task.append(f"In the chapter: {section}.")
        task += self.hints  # below the task, which they presuppose
        self.hints = []
        return [
            nbformat.v4.new_markdown_cell("\n\n".join(task), id=f"task-{exercise.name}"),
            graded_cell("exercise", exercise.name, source, about={"defines": exercise.defines, "uses": in_order}),
        ]

    def about_test(self, cell: Cell, functions: list[ast.FunctionDef]) -> dict:
        """The facts of a test cell: what it refuses, and which earlier answers come from the reference."""
        hidden = [f for f in functions if is_hidden(f.name)]
        if cell.of == INTEGRATION:
            replaces = {name: calls for e in self.exercises.values() for name, calls in e.refused.items()}
            lends: list[str] = []
        else:
            exercise = self.exercises[cell.of]
            exercise.hidden += len(hidden)
            exercise.visible += len(functions) - len(hidden)
            replaces = exercise.refused
            needed = self.names.reach(free_names(cell.source) | set(exercise.defines))
            lends = sorted(name for name in needed if self.owner.get(name, cell.of) != cell.of)
        self.lends[cell.name] = lends
        if len(hidden) < len(functions):
            self.visible[cell.name] = cell.options["points"]
            self.seen_in_part += [cell.name] if hidden else []
        about = {
            "exercise": cell.of,
            "replaces": replaces,
            "lends": lends,
            "visible": len(hidden) < len(functions),
            "hidden": bool(hidden),
        }
        return about | ({"private": True} if cell.private else {})  # a student's notebook cannot have that one

    def opening(self, title: str, cells: list[Cell], introduction: list[NotebookNode]) -> list[NotebookNode]:
        """The cells that come before the author's, but for the author's introduction, which follows the title.

        They tell how one works, install, say what tests refuse and lend, and import.
        """
        tests = [cell for cell in cells if cell.kind == "test"]
        replaces = {e.name: dict.fromkeys(e.defines, e.replaces) for e in self.exercises.values()}
        answers = answers_cell(self.module, replaces, self.lends, self.visible, self.seen_in_part)
        setup = SETUP.format(repository=repository(), archive=f"{repository()}/archive/refs/heads/main.zip").rstrip()
        of_all = title_cell(
            title,
            exercises=len(self.exercises),
            points=sum(cell.options["points"] for cell in tests if not cell.private),
            minutes=sum(e.cell.options["minutes"] for e in self.exercises.values()),
            chapter=self.chapter,
        )
        return [
            of_all,
            *introduction,
            how_to_work_cell(self.name, has_integration=any(cell.of == INTEGRATION for cell in tests)),
            graded_cell("given", "course-setup", setup, folded=True),
            graded_cell("given", "course-answers", answers, folded=True),
            *self.imports(),
        ]

    def imports(self) -> list[NotebookNode]:
        """The cell with the imports that come by themselves, if there are any."""
        modules: dict[str, list[str]] = {}
        for statement in sorted(self.names.imports.values()):
            module, _, name = statement.partition(" import ")
            modules.setdefault(module, []).append(name)
        lines = [f"{module} import {', '.join(names)}" if all(names) else module for module, names in modules.items()]
        if not lines:
            return []
        return [graded_cell("given", "course-imports", "\n".join(sorted(lines, key=import_order)))]


def import_order(statement: str) -> tuple[bool, bool, bool, str]:
    """isort's order: the standard library, others, then ours; `import x` before `from x import y`."""
    package = statement.split()[1].split(".")[0]
    return (
        package in ("labkit", "solutions"),
        package not in sys.stdlib_module_names,
        statement.startswith("from"),
        statement,
    )


def write(notebook: NotebookNode, path: Path) -> None:
    """Write a notebook so that the same notebook always gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = nbformat.writes(notebook).rstrip("\n")  # a line of source a line of the file, for readable changes
    write_whole(path, (text + "\n").encode())


def assemble(name: str, root: Path = ROOT, to: Path | None = None) -> NotebookNode:
    """Build an assignment's notebook, private tests included, and write it to `course/source/` (or to `to`)."""
    notebook = Assembler(name, root, private=True).build()
    write(notebook, to or root / "course" / "source" / name / f"{name}.ipynb")
    return notebook
