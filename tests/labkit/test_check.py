"""`python -m labkit.check`: what a student alone on a laptop is told."""

import os
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


def exercise(name, earned, reached=True):
    return check.Exercise(name, points=2, earned=earned, failures=[] if earned == 2 else ["no"], reached=reached)


def test_the_integration_test_is_never_what_to_fix_first():
    whole = exercise(check.INTEGRATION, 0)
    assert check.what_next([whole, exercise("norm", 2), exercise("bits", 0)]) == "Fix first: bits."
    assert check.what_next([exercise("norm", 2), whole]) == check.ALONE
    assert check.what_next([whole, exercise("norm", 0, reached=False)]) is None


def test_the_line_that_raised_an_exception_is_told(course, assembled, capsys):
    helper = "def mean(x):\n    return x / (1 - 1)\n\n\ndef centre(x):\n    return x - mean(x.tolist()[0][0])"
    course(solved(assembled) | {"exercise-centre": helper})
    assert check.main(["toy"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[2:5] == [
        "  FAILED  centre        0 of 1 points",
        "          ZeroDivisionError: float division by zero",
        "          line 2, in mean:  return x / (1 - 1)",
    ]


def hurry(notebook):
    notebook.metadata.course.seconds = 2


def test_a_loop_that_never_ends_costs_its_exercise_and_integration_alone(course, assembled, capsys):
    endless = "def chunks(items, size):\n    while True:\n        pass"
    course(solved(assembled) | {"exercise-chunks": endless}, hurry)
    assert check.main(["toy"]) == 1
    told = capsys.readouterr()
    assert "(test-chunks) did not end within 6 seconds: is there a loop that never ends?" in told.out
    assert "  passed  centre" in told.out and "  FAILED  chunks" in told.out and "  passed  norm" in told.out
    assert "  not run integration" in told.out and "Fix first: chunks." in told.out
    assert not told.err


def test_a_loop_outside_functions_is_named(course, assembled, capsys):
    course(solved(assembled) | {"exercise-chunks": "while True:\n    pass"}, hurry)
    assert check.main(["toy"]) == 1
    out = capsys.readouterr().out
    assert "(while True:) did not end within 6 seconds: is there a loop that never ends?" in out
    assert "  passed  centre" in out and "  FAILED  chunks" in out and "  passed  norm" in out


def test_where_nothing_ends_the_rest_is_not_waited_for(course, assembled, capsys):
    endless = {f"exercise-{name}": "while True:\n    pass" for name in ("centre", "chunks", "norm")}
    course(solved(assembled) | endless, hurry)
    assert check.main(["toy"]) == 1
    out = capsys.readouterr().out
    assert out.count("did not end within 6 seconds") == 2 and "  not run norm" in out


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


def put(notebook, place, original, source, identity):
    """Insert a copy of a cell before the cell with the id `place`, with its metadata and other text."""
    ids = [cell.id for cell in notebook.cells]
    copy = nbformat.from_dict(notebook.cells[ids.index(original)])
    copy.source, copy["id"] = source, identity
    notebook.cells.insert(ids.index(place), copy)


def source(notebook, identity):
    return next(cell.source for cell in notebook.cells if cell.id == identity)


def two_versions_of_a_test(notebook):
    put(notebook, "test-bits", "test-bits", "pass", "half")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (remove("test-norm"), "has lost test cells worth 3 points"),
        (two_versions_of_a_test, "has the cell test-bits twice, and not the same: `python -m labkit.renew "),
        (lambda notebook: notebook.metadata.pop("course"), "is not an assignment of this course. These exist: toy"),
    ],
)
def test_a_notebook_that_lost_cells_is_told_which(course, capsys, change, says):
    course(change=change)
    assert check.main(["toy"]) == 1
    err = capsys.readouterr().err
    assert says in err and err.count("\n") == 1


def test_what_grading_accepts_is_checked_too(course, assembled, released, capsys):
    """An exercise's cell split in two, blank and identical copies, an answer retyped in a cell of the student's own."""
    answers = solved(assembled)

    def change(notebook):
        put(notebook, "exercise-bits", "exercise-bits", "LEAST = 0", "upper-half")
        put(notebook, "test-chunks", "exercise-chunks", source(released, "exercise-chunks"), "blank-copy")
        put(notebook, "test-bits", "test-bits", source(notebook, "test-bits"), "copy-of-a-test")
        ids = [cell.id for cell in notebook.cells]
        notebook.cells[ids.index("exercise-norm")] = nbformat.v4.new_code_cell(answers["exercise-norm"])

    course(answers | {"exercise-bits": answers["exercise-bits"] + "\n\n\nassert LEAST == 0"}, change)
    assert check.main(["toy"]) == 0
    out = capsys.readouterr().out
    assert "Visible tests: 10 of 10 points." in out and out.count("passed") == 5


@pytest.mark.parametrize("comment", ["", "# my answer is above\n"])
def test_a_blank_stub_does_not_take_an_answer_above_it_away(course, assembled, released, capsys, comment):
    """As when graded: tests/judging/test_elsewhere.py."""
    answers = solved(assembled)
    bits, stub = answers.pop("exercise-bits"), source(released, "exercise-bits")

    def change(notebook):
        ids = [cell.id for cell in notebook.cells]
        notebook.cells.insert(ids.index("exercise-chunks"), nbformat.v4.new_code_cell(bits))

    course(answers | {"exercise-bits": comment + stub}, change)
    assert check.main(["toy"]) == 0
    assert "  passed  bits          1 of 1 points" in capsys.readouterr().out


@pytest.mark.parametrize("place", ["test-norm", "prose-start-1"])
def test_what_answers_an_exercise_in_part_or_after_its_tests_leaves_its_stub(course, released, place):
    def change(notebook):
        ids = [cell.id for cell in notebook.cells]
        text = "def bits_of(p): ..." if place == "prose-start-1" else "def chunks(items, size): ..."
        notebook.cells.insert(ids.index(place), nbformat.v4.new_code_cell(text))

    read = check.read(course(change=change))
    assert all(source(read, name) == source(released, name) for name in ("exercise-bits", "exercise-chunks"))


def test_a_lost_exercise_and_a_broken_half_are_named(course, assembled, capsys):
    def change(notebook):
        put(notebook, "exercise-bits", "exercise-bits", "1 / 0", "upper-half")
        remove("exercise-norm")(notebook)

    course(solved(assembled) | {"exercise-bits": "# nothing here"}, change)
    assert check.main(["toy"]) == 1
    lines = capsys.readouterr().out.splitlines()
    lost = next(number for number, line in enumerate(lines) if line.startswith("  FAILED  norm "))
    assert lines[lost + 1 : lost + 3] == [
        "          NameError: name 'Norm' is not defined",
        "          The exercise's cell is missing: write the answer into a cell above these tests.",
    ]
    assert "          the exercise's own cell fails: ZeroDivisionError: division by zero" in lines


# ------------------------------------------------------------------------------------------------- what grading refuses


def test_large_outputs_are_no_concern_and_large_cells_are(released):
    notebook = nbformat.from_dict(released)
    code = next(cell for cell in notebook.cells if cell.cell_type == "code")
    code.outputs = [nbformat.v4.new_output("stream", text="x" * 17 * 2**20)]
    assert list(check.too_large(notebook)) == []
    code.source = "#" * 200_001
    (sentence,) = check.too_large(notebook)
    assert sentence.startswith(
        f"Grading will leave out cell {notebook.cells.index(code) + 1}, which has 200,001 characters: a cell may have "
    )
    code.source = ""
    notebook.cells += [nbformat.v4.new_markdown_cell("." * 190_000) for _ in range(11)]
    (sentence,) = check.too_large(notebook)
    assert f"leave out cell {len(notebook.cells)}, which has 190,000 characters" in sentence
    assert sentence.endswith("all of them together 2,000,000. Keep data in a file beside the notebook.")


def test_pictures_in_the_text_are_a_concern(released):
    notebook = nbformat.from_dict(released)
    notebook.cells.append(nbformat.v4.new_markdown_cell("![](attachment:a.png)"))
    notebook.cells[-1]["attachments"] = {"a.png": {"image/png": "A" * 17 * 2**20}}
    (sentence,) = check.too_large(notebook)
    assert sentence.startswith("Grading cannot read this notebook: it has 17 MB without its outputs and may have 16.")


def test_a_passing_notebook_that_grading_would_cut_does_not_pass(course, assembled, capsys, monkeypatch):
    course(solved(assembled), lambda notebook: notebook.cells.append(nbformat.v4.new_markdown_cell("." * 200_001)))
    monkeypatch.setattr(check, "run", lambda notebook, folder: (set(range(len(notebook.cells))), None))
    assert check.main(["toy"]) == 1
    out = capsys.readouterr().out
    assert "Visible tests: 10 of 10 points." in out
    assert out.splitlines()[-1].startswith("Grading will leave out cell ")


# ----------------------------------------------------------------------------------------------------- which notebook


def test_the_nearest_copy_is_checked(course, tmp_path, monkeypatch):
    clone = course()
    home = tmp_path / "home"
    (home / "toy").mkdir(parents=True)
    monkeypatch.chdir(home)
    assert check.find("toy") == clone
    flat, fetched = home / "toy.ipynb", home / "toy" / "toy.ipynb"
    for nearer in (flat, fetched):
        nearer.write_bytes(clone.read_bytes())
        assert check.find("toy") == nearer
    monkeypatch.chdir(fetched.parent)
    assert check.find("toy") == fetched


def test_the_courses_own_copy_comes_last_and_the_report_says_which(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    own = ROOT / "exercises" / "tokenizer" / "tokenizer.ipynb"
    assert check.find("tokenizer") == own
    mine = tmp_path / "tokenizer" / "tokenizer.ipynb"
    mine.parent.mkdir()
    mine.write_bytes(own.read_bytes())
    monkeypatch.setattr(check, "run", lambda notebook, folder: (set(), None))
    check.main(["tokenizer"])
    assert capsys.readouterr().out.startswith(f"Running {mine} ...\n")


# -------------------------------------------------------------------------------------------------------- any terminal


def test_a_report_prints_on_a_terminal_that_lacks_its_letters(course, assembled):
    course(solved(assembled) | {"exercise-centre": "raise ValueError('中心')"})
    done = subprocess.run(
        [sys.executable, "-m", "labkit.check", "toy"],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": "cp1252:strict", "PYTHONPATH": str(ROOT)},
    )
    assert b"Traceback" not in done.stderr
    assert rb"the exercise's own cell fails: ValueError: \u4e2d\u5fc3" in done.stdout


def test_it_needs_no_nbgrader():
    """Nor anything else beyond the package's own dependencies."""
    code = "import sys, labkit.check; print(sorted({'nbgrader', 'jupytext', 'course'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
