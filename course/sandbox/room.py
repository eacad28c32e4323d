"""What an assignment's kernels may see and use, read from its source notebook."""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

from course import CourseError
from course.notebook import kind_of, test_cells
from labkit.notebook import facts, syntax_tree

# The first Adam() of a process imports torch._dynamo, which takes most of a second.
ALWAYS_LOADED = ("torch", "torch._dynamo")
PLOTTING = "matplotlib.pyplot"


class RoomError(CourseError):
    """An assignment that cannot be graded in a sandbox: one sentence with the cell and the remedy."""


@dataclass(frozen=True)
class Room:
    """What an assignment's kernels may see and use. Sizes are in bytes and count for a whole submission."""

    name: str
    modules: tuple[str, ...] = ()
    """Modules of solutions/ that may be imported, closed over their own imports."""
    denied: tuple[str, ...] = ()
    """Top-level packages that cannot be imported: those that the exercises re-implement."""
    preload: tuple[str, ...] = ALWAYS_LOADED
    """Modules, and names in them, that the warm process imports; a large package loads a name's module only then."""
    data: Path | None = None
    """A folder whose files, notebooks aside, lie in the working folder."""
    memory: int = 4 * 2**30
    disk: int = 128 * 2**20
    processes: int = 48
    """Processes and threads."""
    seconds: float = 60.0
    """Processor seconds."""


def room_of(source: NotebookNode, root: Path, name: str = "") -> Room:
    """The room of an assignment, from its source notebook; `root` is the project's folder and `name` the assignment's.

    Given cells say which modules of solutions/ and which packages are needed. Packages that an exercise replaces are
    denied unless a given cell imports them at its top level.

    Raises:
        RoomError: a given cell needs a module that holds the answer to one of the assignment's own exercises.
    """
    trees = {kind: list(_cells(source, kind)) for kind in ("given", "exercise", "test")}
    needed = sorted(
        {module for _, tree in trees["given"] for module in _imported(ast.walk(tree)) if _is_solution(module)}
    )
    modules = _closed(needed, root / "solutions")
    asked = {node.name for _, tree in trees["exercise"] for node in tree.body if isinstance(node, _DEFINITIONS)}
    for module, tree in modules.items():
        if answers := sorted(asked & {n.name for n in tree.body if isinstance(n, _DEFINITIONS)}):
            raise RoomError(
                f"A given cell of {name or 'the assignment'} needs solutions.{module}, which holds the answer to "
                f"{', '.join(answers)}: give the students what the cell needs in another module."
            )
    given = list(dict.fromkeys(m for _, tree in trees["given"] for m in _imported(tree.body) if not _is_solution(m)))
    at_hand = {module.split(".")[0] for module in given}
    replaced = {call.split(".")[0] for cell in test_cells(source) for calls in cell.replaces.values() for call in calls}
    denied = sorted(replaced - at_hand - {"torch"})
    used = [name for _, tree in trees["given"] for name in _used(tree, at_hand)]
    shown = [PLOTTING] if any("matplotlib" in cell.source for cell in source.cells) else []
    settings = facts(source)
    folder = root / "course" / "source" / name
    return Room(
        name=name or settings.get("title", ""),
        modules=tuple(sorted(modules)),
        denied=tuple(denied),
        preload=tuple(dict.fromkeys([*ALWAYS_LOADED, *given, *used, *shown])),
        data=folder if name and data_files(folder) else None,
        seconds=float(settings.get("seconds", Room.seconds)),
    )


def data_files(folder: Path) -> list[Path]:
    """What lies beside an assignment's source notebook and goes to the students with it."""
    if not folder.is_dir():
        return []
    return [p for p in sorted(folder.iterdir()) if not p.name.startswith(".") and p.suffix != ".ipynb"]


_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _cells(source: NotebookNode, kind: str) -> Iterator[tuple[str, ast.Module]]:
    for cell in source.cells:
        if cell.cell_type == "code" and kind_of(cell) == kind:
            yield cell.id, syntax_tree(cell.source)


def _imported(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Modules that import statements among the nodes name; `from a import b` may name a.b, if that is one."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            if node.module in ("solutions", "labkit"):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _used(tree: ast.Module, packages: set[str]) -> Iterator[str]:
    """Dotted names of the packages that a cell uses, at any depth."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in packages:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in packages:
            yield ast.unparse(node)


def _is_solution(module: str) -> bool:
    return module.split(".")[0] == "solutions"


def _closed(needed: Iterable[str], folder: Path) -> dict[str, ast.Module]:
    """Modules of solutions/ with all that they import from there, as trees by their names."""
    found: dict[str, ast.Module] = {}
    todo = [module.split(".")[1] for module in needed if "." in module]
    while todo:
        module = todo.pop()
        path = folder / f"{module}.py"
        if module in found or not path.is_file():
            continue
        found[module] = syntax_tree(path.read_text(encoding="utf-8"))
        inner = [m for m in _imported(ast.walk(found[module])) if _is_solution(m)]
        # Beside `solutions.x` there is the relative form.
        inner += [
            f"solutions.{n.module or alias.name}"
            for n in ast.walk(found[module])
            if isinstance(n, ast.ImportFrom) and n.level == 1
            for alias in n.names
        ]
        todo += [m.split(".")[1] for m in inner if "." in m]
    return found
