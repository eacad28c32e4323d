"""`python -m labkit.check`: what a student alone on a laptop is told."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from course import ROOT
from course.assemble.assembler import Assembler
from course.assemble.release import release
from course.notebook import kind_of
from labkit import check
from tests.support.toy import ROOT as TOY


@pytest.fixture(scope="module")
def assembled():
    return Assembler("toy", TOY).build()


@pytest.fixture(scope="module")
def released(assembled, tmp_path_factory):
    return release("toy", assembled, tmp_path_factory.mktemp("release") / "toy.ipynb")


@pytest.fixture
def course(tmp_path, released, monkeypatch):
    """A folder like a student's, with the released notebook in it; `course(cells)` writes answers into it."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "exercises" / "toy" / "toy.ipynb"
    path.parent.mkdir(parents=True)

    def write(answers=None, change=None) -> Path:
        notebook = nbformat.from_dict(released)
        for cell in notebook.cells:
            cell.source = (answers or {}).get(cell.id, cell.source)
        if change:
            change(notebook)
        nbformat.write(notebook, path)
        return path

    return write


def solved(assembled) -> dict[str, str]:
    """All answers, as the assembled notebook has them."""
    return {
        c.id: "\n".join(line for line in c.source.splitlines() if "###" not in line)
        for c in assembled.cells
        if kind_of(c) == "exercise"
    }


def test_a_solved_notebook_passes_and_its_file_stays_as_it_was(course, assembled, capsys):
    path = course(solved(assembled))
    before = path.read_bytes()
    assert check.main(["toy"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines()[1:] == [
        "A toy",
        "  passed  centre        1 of 1 points",
        "  passed  chunks        2 of 2 points",
        "  passed  norm          3 of 3 points",
        "  passed  bits          1 of 1 points",
        "  passed  integration   3 of 3 points",
        "Visible tests: 10 of 10 points.",
        "Hidden tests, worth 2 points more, and hidden checks of these run when it is graded.",
    ]
    assert path.read_bytes() == before


def test_half_a_notebook_is_told_what_fails_and_what_comes_first(course, assembled, capsys):
    answers = solved(assembled)
    del answers["exercise-norm"]
    answers["exercise-chunks"] = answers["exercise-chunks"].replace("yield row", "yield row[:0] + row")
    answers["exercise-centre"] = "def centre(x):\n    return x - x.mean()"
    answers["exercise-bits"] = "def bits(p:"
    course(answers)
    assert check.main([str(Path("exercises/toy/toy.ipynb"))]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[2:7] == [
        "  FAILED  centre        0 of 1 points",
        "          each row should have mean zero: is the mean taken along the last axis? [[-3.0, -1.0], [0.0, 4.0]]",
        "  passed  chunks        2 of 2 points",
        "  blank   norm          0 of 3 points",
        "  FAILED  bits          0 of 1 points",
    ]
    assert lines[7].startswith("          the exercise's own cell fails: SyntaxError: ")
    assert "Visible tests: 2 of 10 points." in lines
    assert lines[-1] == "Fix first: centre."


def test_a_loop_that_never_ends_is_named(course, assembled, capsys):
    def hurry(notebook):
        notebook.metadata.course.seconds = 2

    answers = solved(assembled) | {"exercise-chunks": "while True:\n    pass"}
    course(answers, hurry)
    assert check.main(["toy"]) == 1
    out = capsys.readouterr().out
    assert "(while True:) did not end within 6 seconds: is there a loop that never ends?" in out
    assert "  passed  centre" in out and "  not run norm" in out


def test_a_kernel_that_dies_is_named(course, assembled, capsys):
    course(solved(assembled) | {"exercise-chunks": "import os\nos._exit(3)"})
    assert check.main(["toy"]) == 1
    out = capsys.readouterr().out
    assert "Python stopped in cell" in out and "(import os)" in out
    assert "  not run bits" in out


def test_an_unknown_assignment_names_those_that_exist(course, capsys):
    course()
    assert check.main(["tory"]) == 1
    assert capsys.readouterr() == ("", "There is no assignment 'tory' here. These exist: toy.\n")
    assert check.main([]) == 1
    assert "Name the assignment to check, as in `python -m labkit.check <name>`: toy." in capsys.readouterr().err
    assert check.main(["elsewhere/x.ipynb"]) == 1
    assert "There is no notebook elsewhere/x.ipynb. Give the name of an assignment: toy." in capsys.readouterr().err


def test_it_is_found_from_a_folder_below(course, monkeypatch):
    path = course()
    monkeypatch.chdir(path.parent)
    assert check.find("toy") == path


@pytest.mark.parametrize("text", ["{", "", "[]", '{"cells": 5}', "\x00"])
def test_a_broken_file_is_named_and_left_alone(course, capsys, text):
    path = course()
    path.write_text(text)
    assert check.main(["toy"]) == 1
    err = capsys.readouterr().err
    assert "download the assignment again" in err or "is not an assignment of this course" in err
    assert "Traceback" not in err and path.read_text() == text


def remove(identity):
    def change(notebook):
        notebook.cells = [c for c in notebook.cells if c.id != identity]

    return change


def double(notebook):
    place = next(i for i, c in enumerate(notebook.cells) if c.id == "exercise-bits")
    notebook.cells.insert(place, nbformat.from_dict(notebook.cells[place]))
    notebook.cells[place].id = "copy"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (remove("test-norm"), "has lost test cells worth 3 points"),
        (remove("exercise-norm"), "has lost 1 exercise cell:"),
        (double, "has the cell exercise-bits twice: delete the copy"),
        (lambda notebook: notebook.metadata.pop("course"), "is not an assignment of this course. These exist: toy"),
    ],
)
def test_a_notebook_that_lost_cells_is_told_which(course, capsys, change, says):
    course(change=change)
    assert check.main(["toy"]) == 1
    err = capsys.readouterr().err
    assert says in err and err.count("\n") == 1


def test_it_needs_no_nbgrader():
    """Nor anything else beyond the package's own dependencies."""
    code = "import sys, labkit.check; print(sorted({'nbgrader', 'jupytext', 'course'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
