"""The rooms of the house and the arrows between them, drawn from the imports of every module."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from course import ROOT

PACKAGES = ("labkit", "solutions", "book", "course", "tests", "bench")
# What each package may import of the others. A test may look at anything.
MAY_IMPORT = {"labkit": set(), "solutions": {"labkit"}, "book": {"labkit", "solutions"}, "course": {"labkit"}}
# labkit.check: the student's Validate button shows what it reports.
COURSE_MAY_IMPORT = ("labkit.testing", "labkit.notebook", "labkit.files", "labkit.check")
# Each room of the course may import those before it, and itself.
ROOMS = ("reach", "notebook", "assemble", "banks", "sandbox", "judging", "gradebook", "pages", "deploy")
COMMANDS = ("course.grading", "course.up", "course.watch", "course.nbgrader_config")


def modules(package: str) -> Iterator[Path]:
    for path in sorted((ROOT / package).rglob("*.py")):
        if not {"assignments", "source", "private", "run", "_vendor"} & set(path.relative_to(ROOT / package).parts):
            yield path


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, known: set[str]) -> set[str]:
    """The modules of the house that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inner & known or {node.module}
            if not inner <= known:
                found.add(node.module)
    return found & known


@pytest.fixture(scope="module")
def arrows() -> dict[str, set[str]]:
    files = {name_of(path): path for package in PACKAGES for path in modules(package)}
    return {name: imports(path, set(files)) - {name} for name, path in files.items()}


def test_there_is_no_circle(arrows: dict[str, set[str]]) -> None:
    assert len(arrows) > 100 and sum(map(len, arrows.values())) > 300
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        raise AssertionError(f"these modules import each other in a circle: {' <- '.join(error.args[1])}") from None


def test_arrows_between_packages_run_one_way(arrows: dict[str, set[str]]) -> None:
    for name, needed in arrows.items():
        package = name.split(".")[0]
        for other in needed:
            if package in MAY_IMPORT and other.split(".")[0] != package:
                assert other.split(".")[0] in MAY_IMPORT[package], f"{name} imports {other}"
            if package == "course" and other.startswith("labkit"):
                assert other.startswith(COURSE_MAY_IMPORT), f"{name} imports {other}"


def room(name: str) -> int | None:
    """The place of a module of the course in ROOMS; commands come after all of them."""
    if name in COMMANDS:
        return len(ROOMS)
    parts = name.split(".")
    return ROOMS.index(parts[1]) if len(parts) > 1 else None


def test_arrows_in_the_course_run_one_way(arrows: dict[str, set[str]]) -> None:
    for name, needed in arrows.items():
        for other in needed:
            if name.startswith("course.") and other.startswith("course."):
                here, there = room(name), room(other)
                assert there <= here, f"{name} imports {other}, which is a room further up"
