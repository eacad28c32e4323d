"""A corrected release: the student's answers, predictions and own cells are in it, and what was lost is told."""

import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from nbgrader.utils import compute_checksum

from course import ROOT
from labkit import renew as renewing
from labkit.notebook import NotebookError, checksum
from labkit.renew import main, renew

BLANK = "# YOUR CODE HERE\n    raise NotImplementedError()"
GUESSES = "seen = None  # your guess: a number\nheard = None  # your guess\nprint(seen, heard)"


def marked(identity: str, source: str, **marks: object) -> NotebookNode:
    kind = identity.split("-")[0]
    cell = new_code_cell(source, id=identity)
    cell.metadata["nbgrader"] = {
        "cell_type": "code",
        "grade": kind == "test",
        "grade_id": identity,
        "locked": kind != "exercise",
        "schema_version": 3,
        "solution": kind == "exercise",
        "task": False,
        **marks,
    }
    cell.metadata["nbgrader"]["checksum"] = compute_checksum(cell)
    return cell


def cells() -> list[NotebookNode]:
    return [
        marked("given-setup", "import math"),
        new_markdown_cell("Double it.", id="prose-setup-1"),
        marked("exercise-double", f'def double(x):\n    """Twice x."""\n    {BLANK}'),
        marked("test-double", "assert double(2) == 5, 'twice two'", points=2),
        marked("exercise-half", f'def half(x):\n    """Half of x."""\n    {BLANK}'),
        marked("test-half", "assert half(4) == 2, 'half of four'", points=1),
        new_code_cell(GUESSES, id="run-half-1"),
    ]


def notebook(parts: list[NotebookNode]) -> NotebookNode:
    made = new_notebook(cells=parts, metadata={"course": {"title": "Toy", "points": 3, "seconds": 9, "exercises": 2}})
    made.nbformat_minor = 5
    return nbformat.from_dict(made)


def find(made: NotebookNode, identity: str) -> NotebookNode:
    return next(c for c in made.cells if c.id == identity)


@pytest.fixture
def old() -> NotebookNode:
    """A student's notebook of the first release: one answer, two predictions, two cells of their own."""
    parts = cells()
    parts[2].source = "def double(x):\n    return x + x"
    parts[6].source = GUESSES.replace("seen = None", "seen = 12").replace(
        "heard = None  # your guess", "heard = 'a lot'"
    )
    parts.insert(3, new_code_cell("double(21)", id="mine"))
    parts.append(new_markdown_cell("What I learned.", id="notes"))
    return notebook(parts)


@pytest.fixture
def corrected() -> NotebookNode:
    parts = cells()
    parts[1].source = "Double a number."
    parts[3] = marked("test-double", "assert double(2) == 4, 'twice two'", points=2)
    parts.insert(4, marked("test-double-again", "assert double(3) == 6, 'twice three'", points=1))
    parts[-1].source = GUESSES.replace("print(seen", "print('seen', seen")
    return notebook(parts)


def test_the_checksum_is_nbgraders():
    for path in sorted((ROOT / "exercises").glob("*/*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            if "nbgrader" in cell.metadata and not cell.metadata.nbgrader.grade:
                assert checksum(cell) == compute_checksum(cell) == cell.metadata.nbgrader.checksum


def test_answers_predictions_and_own_cells_are_kept_in_the_new_release(old, corrected):
    renewed = renew(old, corrected)
    made = renewed.notebook
    assert find(made, "exercise-double").source == "def double(x):\n    return x + x"
    assert find(made, "exercise-half").source == find(corrected, "exercise-half").source
    assert find(made, "test-double").source == "assert double(2) == 4, 'twice two'"
    assert find(made, "prose-setup-1").source == "Double a number."
    assert find(made, "run-half-1").source == (
        "seen = 12  # your guess: a number\nheard = 'a lot'  # your guess\nprint('seen', seen, heard)"
    )
    ids = [c.id for c in made.cells]
    assert ids[ids.index("exercise-double") + 1] == "mine"
    assert ids[-1] == "notes"
    assert [i for i in ids if i in {c.id for c in corrected.cells}] == [c.id for c in corrected.cells]
    assert made.metadata == corrected.metadata
    nbformat.validate(made)


def test_it_says_what_changed(old, corrected):
    told = renew(old, corrected).remarks
    assert "Corrected: test-double." in told
    assert "New, or put back where you had deleted it: test-double-again." in told
    assert any(t.startswith("The course's text changed in 1 of its cells.") for t in told)
    assert any(t.startswith("The cell run-half-1 differs from yours by more than your predictions") for t in told)
    assert len(told) == 4


def test_what_a_run_cell_was_stays_as_text(old, corrected):
    made = renew(old, corrected).notebook
    ids = [c.id for c in made.cells]
    below = made.cells[ids.index("run-half-1") + 1]
    assert below.cell_type == "markdown" and find(old, "run-half-1").source in below.source


def test_predictions_alone_leave_no_copy(old):
    renewed = renew(old, notebook(cells()))
    assert find(renewed.notebook, "run-half-1").source == (
        "seen = 12  # your guess: a number\nheard = 'a lot'  # your guess\nprint(seen, heard)"
    )
    assert renewed.remarks == []


def test_a_second_renewal_changes_nothing(old, corrected):
    once = renew(old, corrected)
    assert once.changed
    twice = renew(once.notebook, corrected)
    assert not twice.changed
    assert [c.source for c in twice.notebook.cells] == [c.source for c in once.notebook.cells]


def test_a_changed_task_stands_above_the_answer_until_the_answer_is_renewed(old, corrected):
    corrected.cells[2] = marked("exercise-double", f'def double(x):\n    """Twice x, also of a text."""\n    {BLANK}')
    corrected.cells[5] = marked("exercise-half", f'def half(x):\n    """Half of x, rounded down."""\n    {BLANK}')
    renewed = renew(old, corrected)
    ids = [c.id for c in renewed.notebook.cells]
    note = renewed.notebook.cells[ids.index("exercise-double") - 1]
    assert note.cell_type == "markdown" and "Twice x, also of a text." in note.source
    assert find(renewed.notebook, "exercise-double").source == "def double(x):\n    return x + x"
    # what was not begun is simply the new one
    assert find(renewed.notebook, "exercise-half").source == corrected.cells[5].source
    assert any("double was corrected: your answer is kept" in t for t in renewed.remarks)
    assert "The task of half was corrected; you had not begun it." in renewed.remarks


def test_an_exercise_that_is_gone_becomes_an_own_cell(old, corrected):
    corrected.cells = [c for c in corrected.cells if not c.id.endswith(("-double", "-double-again"))]
    renewed = renew(old, corrected)
    kept = next(c for c in renewed.notebook.cells if c.source == "def double(x):\n    return x + x")
    assert "nbgrader" not in kept.metadata
    assert "The exercise double is no longer in the assignment; your answer is kept as a cell of your own." in (
        renewed.remarks
    )
    assert "The cell test-double is no longer in the assignment." in renewed.remarks


def test_an_untouched_exercise_that_is_gone_is_not_kept(old, corrected):
    corrected.cells = [c for c in corrected.cells if not c.id.endswith("-half")]
    renewed = renew(old, corrected)
    assert "The exercise half is no longer in the assignment." in renewed.remarks
    assert "def half" not in "".join(c.source for c in renewed.notebook.cells)


def test_a_prediction_that_is_no_longer_asked_for_is_told(old, corrected):
    corrected.cells[-1].source = "heard = None  # your guess"
    renewed = renew(old, corrected)
    assert "Your prediction `seen = 12` is no longer asked for and was left out." in renewed.remarks
    assert find(renewed.notebook, "run-half-1").source == "heard = 'a lot'  # your guess"


def test_a_prediction_is_found_without_its_remark(old, corrected):
    run = find(old, "run-half-1")
    run.source = run.source.replace("  # your guess: a number", "")
    assert "seen = 12  # your guess: a number" in find(renew(old, corrected).notebook, "run-half-1").source


def test_of_copied_exercises_the_one_that_was_written_counts(old, corrected):
    copy = nbformat.from_dict(find(notebook(cells()), "exercise-double"))
    copy["id"] = "copied"
    old.cells.insert(0, copy)
    second = nbformat.from_dict(find(old, "exercise-double"))
    second.source = "def double(x):\n    return 2 * x"
    second["id"] = "again"
    old.cells.append(second)
    renewed = renew(old, corrected)
    assert find(renewed.notebook, "exercise-double").source == "def double(x):\n    return x + x"
    assert "nbgrader" not in find(renewed.notebook, "again").metadata
    assert "copied" not in [c.id for c in renewed.notebook.cells]


def test_a_deleted_exercise_comes_back_blank(old, corrected):
    old.cells = [c for c in old.cells if c.id != "exercise-double"]
    renewed = renew(old, corrected)
    assert "NotImplementedError" in find(renewed.notebook, "exercise-double").source
    assert any("exercise-double" in t for t in renewed.remarks)
    assert "mine" in [c.id for c in renewed.notebook.cells]


def test_a_given_cell_that_the_student_changed_is_the_courses_again(old, corrected):
    old.cells[0].source += "\nimport os"
    renewed = renew(old, corrected)
    assert find(renewed.notebook, "given-setup").source == "import math"
    assert "You had changed given-setup, which is the course's; its own text is back." in renewed.remarks


def test_a_notebook_without_cell_ids_is_renewed_too(old, corrected):
    """Editors that write format 4.4 drop the ids; marks and texts tell the cells apart."""
    text = nbformat.writes(old)
    plain = nbformat.reads(text, as_version=4)
    for cell in plain.cells:
        del cell["id"]
    corrected.cells[-1].source = GUESSES
    renewed = renew(plain, corrected)
    assert find(renewed.notebook, "exercise-double").source == "def double(x):\n    return x + x"
    assert "seen = 12" in find(renewed.notebook, "run-half-1").source
    assert [c.source for c in renewed.notebook.cells].count("double(21)") == 1
    nbformat.validate(renewed.notebook)


def test_another_assignment_is_refused(old):
    other = notebook([marked("exercise-other", f"def other():\n    {BLANK}")])
    with pytest.raises(NotebookError, match="not of the same assignment"):
        renew(old, other)


# ---------------------------------------------------------------------------------------------------------- the command


@pytest.fixture
def here(old, corrected, tmp_path, monkeypatch) -> Path:
    """A student's folder, as a hub lays it out, in a clone of the course."""
    for path, made in (("exercises/toy/toy.ipynb", corrected), ("home/toy/toy.ipynb", old)):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(nbformat.writes(made))
    monkeypatch.chdir(tmp_path / "home")
    return tmp_path / "home" / "toy" / "toy.ipynb"


def test_the_command_keeps_the_old_file_under_its_date(here, capsys):
    before = here.read_bytes()
    assert main(["toy"]) == 0
    (copy,) = here.parent.glob("toy.2*.ipynb")
    assert copy.read_bytes() == before
    assert "- Corrected: test-double." in capsys.readouterr().out
    assert "twice three" in here.read_text() and "return x + x" in here.read_text()
    assert sorted(p.name for p in here.parent.iterdir()) == sorted([copy.name, "toy.ipynb"])
    assert main([str(here)]) == 0
    assert "is the newest release already; nothing was changed." in capsys.readouterr().out
    assert len(list(here.parent.iterdir())) == 2


def test_windows_line_ends_are_no_changes(here, old, corrected, capsys):
    """Some editors on Windows write them into every cell."""
    expected = renew(old, corrected)
    for cell in old.cells:
        cell.source = cell.source.replace("\n", "\r\n")
    here.write_text(nbformat.writes(old))
    assert main(["toy"]) == 0
    told = [line.removeprefix("- ") for line in capsys.readouterr().out.splitlines()[1:]]
    assert told == expected.remarks
    assert [c.source for c in renewing.read(here).cells] == [c.source for c in expected.notebook.cells]


def test_it_prints_on_a_terminal_that_lacks_the_letters_of_a_path(here, corrected):
    folder = here.parent / "日本"
    folder.mkdir()
    (folder / "toy.ipynb").write_text(nbformat.writes(corrected))
    done = subprocess.run(
        [sys.executable, "-m", "labkit.renew", str(folder / "toy.ipynb")],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": "cp1252:strict", "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert rb"\u65e5\u672c" in done.stdout and b"is the newest release already" in done.stdout


def test_a_copy_is_never_written_over(here, old):
    now = datetime(2026, 11, 21, 9, 30)
    copy = renewing.write(old, here, now)
    assert copy.name == "toy.2026-11-21-093000.ipynb"
    before = here.read_bytes()
    with pytest.raises(FileExistsError):
        renewing.write(notebook(cells()), here, now)
    assert here.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["other"], "There is no exercises/other/other.ipynb here"),
        (["nothing/toy.ipynb"], "There is no notebook nothing/toy.ipynb"),
        (["../exercises/toy/toy.ipynb"], "are the same file"),
        (["toy", "--release", "missing.ipynb"], "There is no notebook missing.ipynb"),
        (["damaged.ipynb", "--release", "../exercises/toy/toy.ipynb"], "damaged.ipynb is not a readable notebook"),
        (["toy", "--release", "plain.ipynb"], "plain.ipynb is not an assignment of this course."),
    ],
)
def test_the_command_refuses_in_a_sentence_and_changes_nothing(here, arguments, sentence, capsys):
    Path("damaged.ipynb").write_text('{"cells": [')
    nbformat.write(new_notebook(), "plain.ipynb")
    before = here.read_bytes()
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1
    assert here.read_bytes() == before


def test_it_needs_no_nbgrader():
    code = "import sys, labkit.renew; print([m for m in ('nbgrader', 'torch', 'course') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
