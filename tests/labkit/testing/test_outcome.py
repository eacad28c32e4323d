"""What a student reads under a test cell, in a real kernel: a line where it passes, a few where it fails."""

import re
from collections.abc import Callable

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbgrader.utils import determine_grade

from course.notebook import answers_line, graded_cell
from labkit.testing.answers import Answers, note

PREPARED = """
from labkit.testing import checks
from labkit.testing.answers import Answers, note
import torch

answers = Answers(
    "reference.parts",
    replaces={"half": {"half": ["torch.div"]}, "twice": {"twice": []}, "both": {"both": []}, "Layer": {"Layer": []}},
    lends={"both": ["lent"]},
    points={"half": 1, "half-more": 3, "twice": 2, "both": 2},
    seen_in_part=["half-more"],
)
"""
REFERENCE = "def lent(function, x):\n    return function(x)  # SECRET\n"
HELPER = "def shape_of(x):\n    return x.shape"


def test_cell(of: str, body: str, name: str = "", points: int = 1) -> NotebookNode:
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    name = name or of
    test = f"def test_{of}():\n{lines}\n\n\n{answers_line(of, name)}\n    test_{of}()"
    return graded_cell("test", name, test, points)


test_cell.__test__ = False  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[NotebookNode]]:
    """Run cells in a kernel: `(answer, test cell)` one after the other, each after the given cells."""
    folder = tmp_path_factory.mktemp("student")
    (folder / "reference").mkdir()
    (folder / "reference" / "parts.py").write_text(REFERENCE)

    def run(*cells: str | NotebookNode, prepared: bool = True) -> list[NotebookNode]:
        given = [PREPARED, HELPER] if prepared else []
        notebook = nbformat.v4.new_notebook()
        for cell in [*given, *cells]:
            notebook.cells.append(nbformat.v4.new_code_cell(cell) if isinstance(cell, str) else cell)
        resources = {"metadata": {"path": str(folder)}}
        NotebookClient(notebook, kernel_name="python3", allow_errors=True, timeout=120, resources=resources).execute()
        return notebook.cells[len(given) :]

    return run


def drawn(cell: NotebookNode) -> str:
    (output,) = [output for output in cell.outputs if output.output_type == "error"]
    return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(output.traceback))


def printed(cell: NotebookNode) -> str:
    (output,) = cell.outputs
    return output.name + ": " + output.text


def test_a_passing_cell_prints_one_line_with_what_its_tests_noted(ran):
    _, plain, noted, more, unknown = ran(
        "def half(x):\n    return x * 0.5",
        test_cell("half", "assert half(4) == 2, 'half'"),
        test_cell("half", "note('0.3 s saved')\nnote('5 calls')", points=1),
        test_cell("half", "assert half(4) == 2, 'half'", name="half-more", points=3),
        test_cell("half", "assert half(4) == 2, 'half'", name="unknown"),
    )
    assert printed(plain) == "stdout: half: 1 of 1 points\n"
    assert printed(noted) == "stdout: half: 1 of 1 points; 0.3 s saved; 5 calls\n"
    assert printed(more) == "stdout: half-more: 3 of 3 points, if the hidden tests agree when it is graded\n"
    assert printed(unknown) == "stdout: unknown: passed\n"
    assert determine_grade(more) == (3, 3), "plain nbgrader gives the points still"


# answer -> what is drawn of `test`, with "In[]" for the cell's number
FAILURES = {
    "a message": ("def half(x):\n    return x", "half of 4 is 2, not 4\nSee test_half, line 2 of this cell."),
    "a check": (
        "def half(x):\n    return torch.ones(1)",
        "half: is it halved? (at [0] you have 1, it should be 0.5)\nSee test_half, line 2 of this cell.",
    ),
    "their exception": (
        "def helper(x):\n    y = x\n    return y / 0\n\ndef half(x):\n    return helper(x)",
        "ZeroDivisionError: division by zero\n"
        "  Cell In[], line 6, in half:  return helper(x)\n  Cell In[], line 3, in helper:  return y / 0",
    ),
    "in a library": (
        "def half(x):\n    return [*map(int, 'x')]",
        "ValueError: invalid literal for int() with base 10: 'x'\n"
        "  Cell In[], line 2, in half:  return [*map(int, 'x')]",
    ),
    "a replaced call": (
        "def half(x):\n    return torch.div(torch.tensor(x), 2)",
        "half calls torch.div; this exercise asks you to write what that call does.\n"
        "  Cell In[], line 2, in half:  return torch.div(torch.tensor(x), 2)",
    ),
    "blank": (
        "def half(x):\n    # YOUR CODE HERE\n    raise NotImplementedError()",
        "Not written yet: half.\n  Cell In[], line 3, in half:  raise NotImplementedError()",
    ),
    "another type": (
        "def half(x):\n    return None",
        "The test cannot use what your code returned "
        "(AttributeError: 'NoneType' object has no attribute 'shape').\nSee test_half, line 2 of this cell.",
    ),
    "a name of theirs": (
        "def half(x):\n    return halved",
        "NameError: name 'halved' is not defined\n  Cell In[], line 2, in half:  return halved\n"
        "If an earlier cell defines halved, run the cells above first, all of them after a restart (JupyterLab: Run > "
        "Run All Above Selected Cell).",
    ),
    "a deep recursion": (
        "def half(x):\n    return half(x)",
        "RecursionError: maximum recursion depth exceeded\n"
        + 2 * "  Cell In[], line 2, in half:  return half(x)\n"
        + "  ... more calls ...\n"
        + "\n".join(3 * ["  Cell In[], line 2, in half:  return half(x)"]),
    ),
    "a method": (
        "class Half:\n    def of(self, x):\n        raise NotImplementedError()\n\n"
        "def half(x):\n    return Half().of(x)",
        "Not written yet: Half.of.\n  Cell In[], line 6, in half:  return Half().of(x)\n"
        "  Cell In[], line 3, in Half.of:  raise NotImplementedError()",
    ),
    "an exception that keeps its attributes": (
        "class Fixed(Exception):\n    def __setattr__(self, *_): raise TypeError\n\ndef half(x):\n    raise Fixed",
        "Fixed\n  Cell In[], line 5, in half:  raise Fixed",
    ),
}
TESTS = {
    "a check": "checks.check_tensor(half(torch.ones(1)), torch.ones(1) / 2, 'half: is it halved?')",
    "another type": "assert shape_of(half(4)) == (), 'a number'",
}


@pytest.fixture(scope="module")
def failures(ran) -> dict[str, NotebookNode]:
    cells = []
    for label, (answer, _) in FAILURES.items():
        test = TESTS.get(label, "got = half(4); assert got == 2, f'half of 4 is 2, not {got}'")
        cells += [answer, test_cell("half", test)]
    return dict(zip(FAILURES, ran(*cells)[1::2], strict=True))


@pytest.mark.parametrize("label", FAILURES)
def test_a_failing_cell_shows_a_sentence_and_the_students_own_lines(failures, label):
    text = re.sub(r"In\[\d+\]", "In[]", drawn(failures[label]))
    text = re.sub(r"\d{3} more calls", "more calls", text)
    assert text == "half: 0 of 1 points\n\n" + FAILURES[label][1]


def test_a_failing_cell_still_ends_in_the_exception_with_its_full_message(failures):
    names = {label: cell.outputs[-1].ename for label, cell in failures.items()}
    assert (names["a message"], names["their exception"], names["blank"]) == (
        "AssertionError",
        "ZeroDivisionError",
        "NotImplementedError",
    )
    assert failures["a message"].outputs[-1].evalue == "half of 4 is 2, not 4"
    assert {determine_grade(cell) for cell in failures.values()} == {(0, 1)}


def test_a_lent_part_is_called_and_not_shown(ran):
    _, called, _, misused, _, parsing = ran(
        "def both(x):\n    return lent(broken, x)\n\ndef broken(x):\n    return x[3]",
        test_cell("both", "assert both([1]) == 2, 'both'"),
        "def both(x):\n    return lent(3, x)",
        test_cell("both", "assert both([1]) == 2, 'both'"),
        "def both(x):\n    return lent(eval, '1 +')",  # IPython draws this one by itself
        test_cell("both", "assert both([1]) == 2, 'both'"),
    )
    assert "line 2, in both:  return lent(broken, x)\n" in drawn(called) and "return x[3]" in drawn(called)
    assert drawn(misused).endswith("line 2, in both:  return lent(3, x)")
    assert "lent(eval, '1 +')" in drawn(parsing)
    for cell in (called, misused, parsing):
        assert "SECRET" not in drawn(cell) and "labkit" not in drawn(cell)


def test_after_a_restart_it_says_to_run_the_cells_above(ran):
    test = test_cell("twice", "assert twice(2) == 4, 'twice'")
    (missing,) = ran(test)
    assert drawn(missing).startswith(
        "twice: 0 of 2 points\n\nNameError: name 'twice' is not defined: run the cells above"
    )
    (restarted,) = ran(test, prepared=False)
    assert "After a restart, run all cells above first." in drawn(
        restarted
    ) and "name 'answers' is not defined" in drawn(restarted)


def test_outside_a_notebook_nothing_is_printed_and_notes_do_nothing(capsys):
    note("nobody reads this")
    namespace: dict = {"note": note, "answers": Answers("reference.parts")}
    exec("with answers('half'):\n    note('nobody reads this')", namespace)
    assert capsys.readouterr() == ("", "")
    with pytest.raises(ValueError, match="mine") as failed:
        exec("with answers('half'):\n    raise ValueError('mine')", namespace)
    assert not hasattr(failed.value, "_render_traceback_")
