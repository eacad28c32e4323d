"""The students' notebooks are fresh, and neither they nor the book show what an exercise asks for."""

import functools
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from course import ROOT
from course.assemble.assembler import Assembler
from course.assemble.definitions import Definitions
from course.assemble.release import is_telling, release
from course.assemble.source import MARKS, assignments
from course.assemble.syntax import methods
from labkit.notebook import is_exercise

EXERCISES = ROOT / "exercises"


@functools.cache
def assembler(name: str) -> tuple[Assembler, NotebookNode]:
    made = Assembler(name)
    return made, made.build()


@functools.cache
def bodies(name: str) -> set[str]:
    """Lines of a topic's reference that students write, without the spaces; those that say something on their own."""
    made, _ = assembler(name)
    solutions = Definitions(ROOT / "solutions" / f"{name}.py")
    lines: set[str] = set()
    for exercise in made.exercises.values():
        given = exercise.cell.options.get("given_methods", "").split()
        for definition in exercise.defines:
            for function in methods(solutions.binds[definition]):
                if function.name not in given:
                    lines.update(normal(line) for line in solutions.body_lines(function) if is_telling(line))
    return lines


def normal(line: str) -> str:
    return "".join(line.split())


def texts() -> dict[Path, str]:
    """What is published: the text of each student's notebook and of each page of the book."""
    found = {p: p.read_text(encoding="utf-8") for p in sorted((ROOT / "book").glob("*.md"))}
    for path in sorted(EXERCISES.glob("*/*.ipynb")):
        found[path] = "\n".join(c.source for c in nbformat.read(path, as_version=4).cells)
    return found


@pytest.mark.parametrize("name", assignments())
def test_the_students_notebook_is_fresh(name: str, tmp_path: Path):
    """`make exercises` writes them again."""
    _, notebook = assembler(name)
    release(name, notebook, tmp_path / "fresh.ipynb")
    committed = EXERCISES / name / f"{name}.ipynb"
    assert committed.is_file(), f"there is no {committed.relative_to(ROOT)}: run `make exercises`"
    assert committed.read_bytes() == (tmp_path / "fresh.ipynb").read_bytes(), "it is stale: run `make exercises`"


def test_there_is_nothing_else_in_exercises():
    found = {
        str(p.relative_to(EXERCISES))
        for p in EXERCISES.rglob("*")
        if p.is_file() and ".ipynb_checkpoints" not in p.parts
    }
    assert found == {f"{name}/{name}.ipynb" for name in assignments()}


def test_no_mark_is_left_in_what_is_published():
    for path, text in texts().items():
        assert not [mark for mark in MARKS if mark in text], path


@pytest.mark.parametrize("name", assignments())
def test_no_body_of_a_reference_function_is_published(name: str):
    secret = bodies(name)
    assert len(secret) > 20, "there is something to look for"
    for path, text in texts().items():
        shown = {normal(line) for line in text.splitlines()} & secret
        assert not shown, f"{path.relative_to(ROOT)} shows part of an answer"


@pytest.mark.parametrize("name", assignments())
def test_the_students_notebook_carries_no_output_and_what_the_card_shows(name: str):
    notebook = nbformat.read(EXERCISES / name / f"{name}.ipynb", as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None
    made, _ = assembler(name)
    course = notebook.metadata.course
    assert set(course) == {"title", "points", "minutes", "seconds", "exercises", "reference"}
    assert course.points == sum(
        c.metadata.nbgrader.get("points", 0) for c in notebook.cells if "nbgrader" in c.metadata
    )
    assert course.exercises == len(made.exercises)


@pytest.mark.parametrize("name", assignments())
def test_students_get_hints_a_prediction_and_visible_tests(name: str):
    text = "\n".join(c.source for c in nbformat.read(EXERCISES / name / f"{name}.ipynb", as_version=4).cells)
    made, notebook = assembler(name)
    assert "<details>" in text and text.count("<details>") == text.count("</details>")
    assert "compare_prediction(" in text and "# your guess" in text
    lines = [line for c in notebook.cells if c.cell_type == "markdown" for line in c.source.splitlines()]
    assert [line for line in lines if line.startswith("# ")] == [lines[0]], "the title is the assembler's"
    for exercise in made.exercises.values():
        assert exercise.visible and exercise.hidden
        assert f"**Exercise: {exercise.name}**" in text


@pytest.mark.parametrize("name", assignments())
def test_anchors_in_a_chapter_name_exercises_of_its_assignment(name: str):
    """Else an exercise that was renamed would lose its link without anyone noticing."""
    made, _ = assembler(name)
    assert made.chapter is not None
    anchors = {anchor.removeprefix(f"{name}-") for anchor in made.chapter.anchors if anchor.startswith(f"{name}-")}
    unknown = sorted(anchors - made.exercises.keys())
    assert not unknown, f"book/{name}.md has anchors ({name}-...)= for exercises that there are not: {unknown}"


@pytest.mark.parametrize("name", assignments())
def test_no_formula_of_a_task_is_left_as_raw_text(name: str):
    for cell in nbformat.read(EXERCISES / name / f"{name}.ipynb", as_version=4).cells:
        assert not (is_exercise(cell) and "$$" in cell.source), cell.id
