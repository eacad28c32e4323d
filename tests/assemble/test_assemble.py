"""Assembly: what the notebook holds, and what is refused with the place and the remedy."""

import ast
import re
from pathlib import Path

import nbformat
import pytest
import torch

from course import ROOT
from course.assemble.__main__ import main
from course.assemble.assembler import Assembler, assemble
from course.assemble.docstrings import for_coders, prose
from course.assemble.errors import AssemblyError
from course.assemble.release import check_released, release, secret_lines
from course.assemble.source import assignments
from course.banks.play import play
from course.notebook import test_cells
from labkit.notebook import facts, is_exercise, name_of
from tests.support.toy import ROOT as TOY

ASSIGNMENT = (TOY / "course/assignments/toy.py").read_text()
SOLUTIONS = (TOY / "solutions/toy.py").read_text()


def lay_out(root: Path, assignment: str = ASSIGNMENT, solutions: str = SOLUTIONS) -> Path:
    for path, text in (("course/assignments/toy.py", assignment), ("solutions/toy.py", solutions)):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


@pytest.fixture(scope="module")
def notebook():
    return Assembler("toy", TOY).build()


@pytest.fixture(scope="module")
def students(notebook, tmp_path_factory):
    return release("toy", notebook, tmp_path_factory.mktemp("release") / "toy.ipynb")


def source(notebook, identity: str) -> str:
    return next(c.source for c in notebook.cells if c.id == identity)


# ------------------------------------------------------------------------------------------------------- what it makes


def test_an_exercise_is_its_definition_with_marks_round_the_body(notebook):
    assert source(notebook, "exercise-centre") == (
        "# A public remark: the definition is the one of Ba et al. 2016.\n"
        'def centre(x: Float[Tensor, "... d"]) -> Float[Tensor, "... d"]:\n'
        '    """Subtract from each row its mean."""\n'
        "    ### BEGIN SOLUTION\n"
        "    # SECRET: a comment inside the body is part of the answer.\n"
        "    return x - x.mean(-1, keepdim=True)\n"
        "    # SECRET too: this one ends it.\n"
        "    ### END SOLUTION"
    )


def test_given_methods_are_shown_and_the_others_are_not(students):
    norm = source(students, "exercise-norm")
    assert "self.weight = nn.Parameter(torch.ones(config.width))" in norm
    assert norm.count("raise NotImplementedError()") == 1
    assert "centred" not in norm


def test_students_see_signatures_docstrings_and_given_code_but_no_answer(students):
    text = "\n".join(c.source for c in students.cells)
    assert "SECRET" not in text
    assert "_hidden" not in text
    assert "Subtract from each row its mean." in text
    assert "TINY = 1e-12" in text
    assert "from solutions" not in text


def test_imports_that_students_need_come_by_themselves(notebook):
    assert source(notebook, "given-course-imports").splitlines() == [
        "from collections.abc import Iterator",
        "from dataclasses import dataclass",
        "from jaxtyping import Float",
        "from torch import Tensor, nn",
    ]


def test_imports_that_only_an_answer_needs_stand_in_it(notebook, students):
    assert source(notebook, "exercise-bits") == (
        "def bits(p: list[float]) -> float:\n"
        '    """Entropy of a distribution in bits."""\n'
        "    ### BEGIN SOLUTION\n"
        "    import math\n"
        "    return -sum(x * math.log2(x) for x in p if x > 0)\n"
        "    ### END SOLUTION"
    )
    assert "import math" not in "\n".join(cell.source for cell in students.cells)


def test_imports_of_given_methods_and_of_earlier_cells_are_not_repeated(tmp_path):
    method = "    def size(self):\n        return math.prod(self.weight.shape)\n\n    def forward"
    given = ASSIGNMENT.replace('given_methods="__init__"', 'given_methods="__init__ size"')
    notebook = Assembler("toy", lay_out(tmp_path, given, SOLUTIONS.replace("    def forward", method))).build()
    assert "import math" in source(notebook, "given-course-imports")
    assert "import math" not in source(notebook, "exercise-bits"), "it comes with the method that is given"


def test_every_test_is_called_in_a_block_that_says_what_is_judged(notebook, students):
    assert source(notebook, "test-norm").endswith(
        'with answers("norm"):\n'
        "    test_norm_matches_torch()\n"
        "    ### BEGIN HIDDEN TESTS\n"
        "    test_norm_gradients_hidden()\n"
        "    ### END HIDDEN TESTS"
    )
    assert source(students, "test-norm").endswith("):\n    test_norm_matches_torch()")
    assert source(students, "test-centre-axes") == "# Hidden tests of centre run here when the assignment is graded."


def test_what_tests_refuse_and_lend_stands_in_the_metadata_and_for_kernels_in_one_cell(notebook, students):
    calls = ["torch.nn.functional.layer_norm", "torch.nn.LayerNorm"]
    norm, integration = (c for c in test_cells(notebook) if c.name in ("norm", "integration"))
    assert (norm.exercise, norm.replaces, norm.lends, norm.hidden) == ("norm", {"Norm": calls}, ["centre"], True)
    assert (integration.replaces, integration.lends, integration.hidden) == ({"Norm": calls}, [], False)
    told = source(students, "given-course-answers")
    assert told == source(notebook, "given-course-answers")
    namespace = {}
    exec(told, namespace)
    answers = namespace["answers"]
    assert answers.reference == "solutions.toy"
    others = {"centre": {"centre": []}, "chunks": {"chunks": []}, "bits": {"bits": []}}
    assert answers.replaces == {"norm": {"Norm": calls}} | others
    assert answers.lends["norm"] == ["centre"]
    assert answers.points == {"centre": 1, "chunks": 2, "norm": 3, "bits": 1, "integration": 3}
    assert answers.seen_in_part == ["chunks", "norm", "bits"]
    exercises = {name_of(cell): facts(cell) for cell in students.cells if is_exercise(cell)}
    assert exercises["norm"] == {"defines": ["Norm"], "uses": ["centre"]}
    assert notebook.metadata.course.reference == "solutions.toy"


def test_no_cell_that_is_graded_ends_in_an_expression(notebook, students):
    for cells in (notebook.cells, students.cells):
        for cell in cells:
            if cell.id.startswith("test-"):
                body = ast.parse(cell.source).body
                assert not body or not isinstance(body[-1], ast.Expr)


def test_the_task_before_an_exercise_comes_from_its_docstring(notebook):
    assert source(notebook, "task-norm") == (
        "**Exercise: norm** (difficulty 2 of 5; importance 4 of 5; about 15 minutes; 3 points; uses centre)\n\n"
        "Layer normalisation with a weight and a bias.\n\n`forward` maps (..., width) to the same shape."
    )
    assert source(notebook, "task-centre").endswith("about 5 minutes; 3 points)\n\nSubtract from each row its mean.")
    assert source(notebook, "exercise-norm").splitlines()[:4] == [
        "class Norm(nn.Module):",
        '    """Layer normalisation with a weight and a bias."""',
        "",
        "    def __init__(self, config: ToyConfig):",
    ]


def test_a_docstring_is_shown_in_two_parts_the_summary_in_both():
    docstring = [
        '    r"""How many',
        "    there are.",
        "",
        r"    $$n = \sqrt{2}$$",
        "",
        "    >>> count()",
        "    2",
        "",
        "    1. a list",
        "",
        "    Raises:",
        "        ValueError: none.",
        "",
        "    Source: a paper.",
        '    """',
    ]
    text = "\n".join(docstring).strip()[4:-3]
    assert prose(text) == "How many\nthere are.\n\n$$n = \\sqrt{2}$$\n\n1. a list\n\nSource: a paper."
    assert for_coders(docstring) == [
        '    """How many',
        "    there are.",
        "",
        "    >>> count()",
        "    2",
        "",
        "    Raises:",
        "        ValueError: none.",
        '    """',
    ]
    assert for_coders(['    r"""One line, $\\pi$."""']) == ['    r"""One line, $\\pi$."""']
    assert for_coders(['    """One', "", "    More.", "", "    And more", '    and an end."""']) == ['    """One"""']


def test_each_of_several_definitions_is_named_in_the_task(tmp_path):
    text = ASSIGNMENT.replace("from solutions.toy import bits", "from solutions.toy import share, bits")
    more = SOLUTIONS + '\n\ndef share(p: float) -> float:\n    """One of one."""\n    return p / 1.0 * 1.0\n'
    notebook = Assembler("toy", lay_out(tmp_path, text, more)).build()
    assert source(notebook, "task-bits").endswith(
        "\n\n`bits`: Entropy of a distribution in bits.\n\n`share`: One of one."
    )


def test_helpers_in_a_hidden_tests_cell_stand_before_the_remark_if_later_cells_need_them(tmp_path):
    helpers = (
        "def secret():\n    return helper()\n\n\ndef helper():\n    return 2 * inner()\n\n\n"
        "def inner():\n    return 1\n\n\ndef test_centre_axes_hidden"
    )
    text = ASSIGNMENT.replace("def test_centre_axes_hidden", helpers).replace("half(4)", "helper()")
    made = Assembler("toy", lay_out(tmp_path, text)).build()
    shown = release("toy", made, tmp_path / "toy.ipynb")
    assert source(shown, "test-centre-axes") == (
        "def helper():\n    return 2 * inner()\n\n\ndef inner():\n    return 1\n\n\n"
        "# Hidden tests of centre run here when the assignment is graded."
    )
    assert set(play(made).values()) == {None}


def test_machinery_and_tests_are_folded_and_the_line_of_a_test_may_differ_from_run_to_run(students):
    folded = [c for c in students.cells if c.metadata.get("jupyter", {}).get("source_hidden")]
    machinery, tests = folded[:2], folded[2:]
    assert [c.id for c in machinery] == ["given-course-setup", "given-course-answers"]
    visible = [c for c in students.cells if c.id.startswith("test-") and c.metadata["course"]["visible"]]
    assert tests == visible
    lines = {c.source.splitlines()[0] for c in tests}  # all that one sees of a folded cell
    assert lines == {f"# Test {c.id[5:]}: run this cell; unfold it to read what it checks." for c in tests}
    tagged = [c.id for c in students.cells if "nbval-ignore-output" in c.metadata.get("tags", ())]
    assert tagged == [c.id for c in students.cells if c.id.startswith("test-")]


def test_run_cells_lose_their_guard_and_keep_their_strings(notebook):
    assert source(notebook, "run-integration-1") == 'guess = None  # your guess\n\ntext = """two\n    lines"""'
    assert "nbgrader" not in next(c for c in notebook.cells if c.id == "run-integration-1").metadata


def test_marks_for_nbgrader(notebook):
    marks = {c.id: c.metadata.get("nbgrader") for c in notebook.cells}
    assert marks["test-norm"] == {
        "grade": True,
        "grade_id": "test-norm",
        "locked": True,
        "points": 3,
        "schema_version": 3,
        "solution": False,
        "task": False,
    }
    assert marks["exercise-norm"]["solution"] and not marks["exercise-norm"]["locked"]
    assert marks["given-setup"]["locked"] and not marks["given-setup"]["grade"]
    assert notebook.metadata.course == {
        "title": "A toy",
        "points": 12,
        "seconds": 10,
        "minutes": 30,
        "exercises": 4,
        "reference": "solutions.toy",
    }


def test_assembling_and_releasing_twice_gives_the_same_bytes(notebook, tmp_path):
    for n in (1, 2):
        release("toy", assemble("toy", TOY, to=tmp_path / f"source{n}"), tmp_path / f"release{n}")
    assert (tmp_path / "source1").read_bytes() == (tmp_path / "source2").read_bytes()
    assert (tmp_path / "release1").read_bytes() == (tmp_path / "release2").read_bytes()


def test_a_hint_stands_below_the_task_it_helps_with(notebook):
    hint = "<details><summary>Hint</summary>\n\nA slice may reach beyond the end.\n</details>"
    assert source(notebook, "task-chunks").endswith(f"\n\n{hint}")
    assert [c.source for c in notebook.cells if "Now pieces" in c.source] == ["Now pieces."]


def test_a_hint_after_the_last_exercise_is_refused(tmp_path):
    hint = "# %% [markdown]\n# <details><summary>Hint: late</summary>\n#\n# Words.\n# </details>\n"
    lay_out(tmp_path, f"{ASSIGNMENT}\n{hint}")
    with pytest.raises(AssemblyError, match="a hint stands before the exercise that it helps with"):
        Assembler("toy", tmp_path).build()


def test_every_notebook_opens_alike(notebook):
    opening = [(c.id, c.source) for c in notebook.cells[:6]]
    assert opening[0] == ("prose-course-title", "# A toy\n\n4 exercises, 12 points, about 30 minutes.")
    assert opening[1][0] == "prose-start-1", "the author's introduction"
    assert opening[2][0] == "prose-course-work" and "`python -m labkit.check toy`" in opening[2][1]
    assert "only the last test, *integration*," in opening[2][1]
    machinery = ["given-course-setup", "given-course-answers", "given-course-imports"]
    assert [identity for identity, _ in opening[3:]] == machinery


def test_the_title_leads_to_the_chapter_and_counts_what_students_see(tmp_path):
    lay_out(tmp_path, ASSIGNMENT.replace(' of="integration"', ' of="bits"'))
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "toy.md").write_text(
        "---\nkernelspec: {}\n---\n# Toys\n\n```{code-cell}\n# no heading\n```\n\n(toy-centre)=\n\n(toy-chunks)=\n"
        "## The mean's place, (2)\n\nWords.\n\n(toy-norm)=\nA norm.\n\n## Not this one\n"
    )
    (tmp_path / "course" / "private").mkdir()
    (tmp_path / "course" / "private" / "toy.py").write_text(
        '# %% test="secret" of="bits" points=5\ndef test_more_hidden():\n    assert bits([1.0]) == 0, "sure"\n'
    )
    made = Assembler("toy", tmp_path, private=True).build()
    assert "4 exercises, 12 points, " in made.cells[0].source
    assert "The chapter [Toys](https://" in made.cells[0].source and "/book/toy.md) explains" in made.cells[0].source
    assert "integration" not in source(made, "prose-course-work")
    for exercise in ("centre", "chunks", "norm"):
        assert re.search(
            r"(?m)In the chapter: \[The mean's place, \(2\)\]\(https://.*/book/toy\.md#the-means-place-2\)\.$",
            source(made, f"task-{exercise}"),
        )
    assert "In the chapter" not in source(made, "task-bits")


def test_both_notebooks_are_valid(notebook, students):
    nbformat.validate(notebook)
    nbformat.validate(students)


def test_the_first_cell_does_nothing_where_the_course_is_installed(notebook, capsys):
    exec(source(notebook, "given-course-setup"), {})
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("platform", "torch", "warns"), [("linux", False, True), ("linux", True, False), ("win32", False, False)]
)
def test_the_first_cell_says_what_it_installs(notebook, capsys, monkeypatch, platform, torch, warns):
    import importlib.util
    import subprocess
    import sys

    ran = []
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if name == "torch" and torch else None)
    monkeypatch.setattr(subprocess, "run", lambda command, **_: ran.append((command, capsys.readouterr().out)))
    monkeypatch.setattr(sys, "platform", platform)
    exec(source(notebook, "given-course-setup"), {})
    ((command, said_before),) = ran
    assert "GB to download" in said_before or "MB to download" in said_before
    assert ("CUDA" in said_before) == warns
    assert command[1:4] == ["-m", "pip", "install"] and command[-1].startswith("https://")


def test_topics_import_from_other_topics(tmp_path):
    """A later topic is handed an earlier one's model as an import: its source is another assignment's answer."""
    given = ASSIGNMENT.replace(
        "from solutions.toy import TINY", "from solutions.gpt import GPTConfig\nfrom solutions.toy import TINY"
    )
    notebook = Assembler("toy", lay_out(tmp_path, given)).build()
    assert "from solutions.gpt import GPTConfig" in source(notebook, "given-setup")


def test_parts_include_what_helpers_lead_to(tmp_path):
    """A helper in a given cell that uses an exercise brings it into every test that calls the helper."""
    helper = '# %% given="helper"\ndef centred(x):\n    return centre(x)\n\n# %% exercise="bits"'
    text = ASSIGNMENT.replace('# %% exercise="bits"', helper).replace(
        "    assert bits([0.5, 0.5]) == 1", "    centred(torch.ones(2))\n    assert bits([0.5, 0.5]) == 1"
    )
    notebook = Assembler("toy", lay_out(tmp_path, text)).build()
    assert next(c for c in test_cells(notebook) if c.name == "bits").lends == ["centre"]


# ------------------------------------------------------------------------------------------------------ what it refuses

A, S = "assignment", "solutions"
VISIBLE = "def test_centre_rows():"
REFUSALS = {
    "an exercise without a test": (
        A,
        '# %% test="bits" points=1',
        '# %% test="more" of="norm" points=1',
        r"exercise=\"bits\": it has no test",
    ),
    "no visible test": (A, VISIBLE, "def test_centre_rows_hidden():", "no visible test"),
    "no hidden test": (A, "def test_bits_hidden():", "def test_bits_more():", "no hidden test"),
    "a duplicated id": (A, '# %% exercise="chunks"', '# %% exercise="centre"', "id is taken"),
    "a duplicated test id": (A, '# %% test="centre-axes" of="centre"', '# %% test="centre" of="centre"', "id is taken"),
    "points that do not add up": (A, "points: 12", "points: 13", "says 13 points and the tests add up to 12"),
    "an unknown name in a test": (
        A,
        "half(4)",
        "third(4)",
        r"toy.py:\d+: cell test=\"chunks\": no earlier cell defines `third`",
    ),
    "an unknown name in a given cell": (
        A,
        "import torch\nimport torch.nn",
        "import torch\nSIZE = WIDTH\nimport torch.nn",
        "no earlier cell defines `WIDTH`",
    ),
    "an unknown name in a run cell": (
        A,
        "print(guess, text, TINY)",
        "print(guess, texts, TINY)",
        "no earlier cell defines `texts`",
    ),
    "an unknown name in a helper": (
        A,
        "def example():\n    return torch",
        "def example():\n    return numpy",
        "no earlier cell defines `numpy`",
    ),
    "a name of a run cell in a given cell": (
        A,
        '# %% exercise="bits"',
        '# %% run\nif __name__ == "__main__":\n    late = 1\n\n# %% given="late"\nlater = late\n\n# %% exercise="bits"',
        "only in a run cell",
    ),
    "a constant that is not given": (
        A,
        "import TINY, ToyConfig, half",
        "import ToyConfig, half",
        r"`Norm` needs `TINY` \(.*toy.py:\d+\); import it in an earlier",
    ),
    "an exercise's part that comes later": (
        A,
        '# %% exercise="centre"',
        '# %% given="early"\nfrom solutions.toy import Norm\n\n# %% exercise="centre"',
        "`Norm` needs `centre`",
    ),
    "a solution mark in the assignment": (
        A,
        "# Rows $x$",
        "# ### BEGIN SOLUTION\n# Rows $x$",
        r"toy.py:\d+: `BEGIN SOLUTION`",
    ),
    "a hidden mark in the assignment": (A, "# Rows $x$", "# ### END HIDDEN TESTS\n# Rows $x$", "`END HIDDEN TESTS`"),
    "a mark in the solutions": (S, "# SECRET too", "# ### END SOLUTION", "`END SOLUTION`"),
    "an unknown option": (A, 'test="bits" points=1', 'test="bits" points=1 hard=1', "unknown option `hard`"),
    "a missing mark": (A, "difficulty=1 importance=1 minutes=5", "difficulty=1 minutes=5", "`importance` is missing"),
    "a mark of another type": (
        A,
        "difficulty=1 importance=1 minutes=5",
        'difficulty="easy" importance=1 minutes=5',
        "`difficulty` is 'easy'",
    ),
    "a mark out of range": (
        A,
        "difficulty=1 importance=1 minutes=5",
        "difficulty=6 importance=1 minutes=5",
        "from 1 to 5",
    ),
    "a test worth nothing": (A, 'test="bits" points=1', 'test="bits" points=0', "at least one point"),
    "an odd id": (A, 'exercise="bits"', 'exercise="Bits!"', "lower-case words"),
    "a long id": (A, 'exercise="bits"', f'exercise="{"b" * 41}"', "longer than 40"),
    "a cell without a mark": (A, '# %% given="setup"', "# %%", "mark it as one of"),
    "a cell with a title": (A, '# %% given="setup"', '# %% setup given="setup"', "mark it as one of"),
    "a cell of two kinds": (A, '# %% given="setup"', '# %% given="setup" test="x"', "mark it as one of"),
    "an argument of a test": (A, VISIBLE, "def test_centre_rows(tmp_path):", "takes an argument"),
    "a default argument of a test": (A, VISIBLE, "def test_centre_rows(*, n=1):", "takes an argument"),
    "a decorator on a test": (A, VISIBLE, "@torch.no_grad()\ndef test_centre_rows():", "decorator"),
    "an assert without a message": (A, ', "two equal probabilities hold one bit"', "", "no message"),
    "a test cell without a test": (A, "def test_all_together():", "def all_together():", "no `def test_"),
    "a test that takes from solutions": (
        A,
        VISIBLE,
        f"from solutions.toy import bits\n{VISIBLE}",
        "takes nothing from solutions",
    ),
    "a test's name used twice": (A, "def test_bits_visible():", VISIBLE, "another cell has a `test_centre_rows`"),
    "a name that an exercise asks for": (A, VISIBLE, f"chunks = 1\n\n\n{VISIBLE}", "is what exercise chunks asks for"),
    "from __future__ in the assignment": (
        A,
        "import torch\n",
        "from __future__ import annotations\nimport torch\n",
        "`from __future__`",
    ),
    "from __future__ in the solutions": (
        S,
        "import math\n",
        "from __future__ import annotations\nimport math\n",
        "`from __future__`",
    ),
    "import *": (A, "import torch\n", "import torch\nfrom math import *\n", r"import \*"),
    "an import under another name": (A, "import chunks", "import chunks as pieces", "under its own name"),
    "an import of nothing": (A, "import chunks", "import chonks", "does not define `chonks`"),
    "an import twice": (A, "import chunks", "import centre", "already in an earlier cell"),
    "an import of the module": (
        A,
        "import torch\n",
        "import torch\nimport solutions.toy\n",
        "from solutions.<topic> import",
    ),
    "code in an exercise cell": (
        A,
        "from solutions.toy import chunks",
        "from solutions.toy import chunks\nx = 1",
        "holds only",
    ),
    "a library in an exercise cell": (A, "from solutions.toy import chunks", "import math", "holds only"),
    "an unknown exercise": (A, 'of="centre"', 'of="center"', "no exercise `center` comes before"),
    "a replaced call that is neither torch's nor a package": (
        A,
        'replaces="torch.nn.functional.layer_norm',
        'replaces="numpy.linalg.svd',
        "numpy.linalg.svd",
    ),
    "a run cell without its guard": (
        A,
        'if __name__ == "__main__":\n    guess',
        "if True:\n    guess",
        "a run cell is one",
    ),
    "invalid Python": (A, "def example():", "def example(:", r"toy.py:\d+.*valid Python"),
    "a prose cell with options": (
        A,
        "# %% [markdown]\n# Now",
        '# %% [markdown] given="x"\n# Now',
        "prose cell takes no options",
    ),
    "text before the first cell": (
        A,
        "# %% [markdown]\n# # A toy",
        "x = 1\n\n# %% [markdown]\n# # A toy",
        "begins with a mark",
    ),
    "a header without points": (A, 'title: "A toy", points: 12, seconds: 10', 'title: "A toy"', "the header needs"),
    "a header with more": (A, "seconds: 10", "seconds: 10, colour: 1", "the header needs"),
    "no header": (A, ASSIGNMENT[: ASSIGNMENT.index("# %%")], "", "the header needs"),
    "a name bound twice": (S, "TINY = 1e-12", "TINY = 1e-12\nTINY = 2e-12", "`TINY` is bound twice"),
    "a long body": (S, "    start = 0\n", "    start = 0\n" + "    start += 0\n" * 15, "has 19 lines"),
    "a method that does not exist": (A, 'given_methods="__init__"', 'given_methods="setup"', "no method `setup`"),
    "every method given": (
        A,
        'given_methods="__init__"',
        'given_methods="__init__ forward"',
        "nothing is left to write",
    ),
    "given methods of a function": (
        A,
        'exercise="bits" difficulty',
        'exercise="bits" given_methods="x" difficulty',
        "is a function",
    ),
    "a block inside a class": (
        S,
        "    def __init__(self, config",
        "    if TINY:\n        pass\n\n    def __init__(self, config",
        "would be shown",
    ),
    "a docstring alone": (S, SOLUTIONS[SOLUTIONS.index("    return -sum") :], "", "docstring and no body"),
    "a name that the solutions lack": (S, "import math\n", "", "`bits` needs `math`"),
    "a missing solutions module": (S, None, None, "no such module"),
    "another meaning of a name": (A, "import torch\n", "import torch\nfrom math import log as math\n", "rename"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_it_refuses(case, tmp_path):
    where, old, new, says = REFUSALS[case]
    lay_out(tmp_path)
    path = tmp_path / ("course/assignments/toy.py" if where == A else "solutions/toy.py")
    if old is None:
        path.unlink()
    else:
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
    with pytest.raises(AssemblyError) as refused:
        Assembler("toy", tmp_path).build()
    message = str(refused.value)
    assert re.search(says, message), message
    assert "toy.py" in message and message.endswith(".") and "\n" not in message


def test_it_refuses_a_test_cell_that_ends_in_an_expression(tmp_path):
    text = ASSIGNMENT.replace('\n# %% test="centre-axes"', '\ntest_centre_rows()\n\n# %% test="centre-axes"')
    with pytest.raises(AssemblyError, match=r'cell test="centre": the test cell ends in an expression'):
        Assembler("toy", lay_out(tmp_path, text)).build()


def test_it_refuses_an_exercise_that_is_no_definition(tmp_path):
    text = ASSIGNMENT.replace("import TINY, ToyConfig", "import ToyConfig").replace("import chunks", "import TINY")
    with pytest.raises(AssemblyError, match="`TINY` has no body to write; import it in a given cell"):
        Assembler("toy", lay_out(tmp_path, text)).build()


def test_it_refuses_a_second_integration_test(tmp_path):
    again = '# %% test="again" of="integration" points=1\ndef test_again():\n    assert 1, "m"\n\n# %% run\nif'
    with pytest.raises(AssemblyError, match='cell test="again": there is an integration test already'):
        Assembler("toy", lay_out(tmp_path, ASSIGNMENT.replace("# %% run\nif", again, 1))).build()


def test_it_refuses_a_body_on_the_line_of_its_signature(tmp_path):
    body = SOLUTIONS[SOLUTIONS.index("def bits") :]
    with pytest.raises(AssemblyError, match="body of `bits` on lines of its own"):
        Assembler("toy", lay_out(tmp_path, solutions=SOLUTIONS.replace(body, "def bits(p): return 0.0\n"))).build()


def test_it_refuses_an_unknown_assignment_and_names_the_others():
    with pytest.raises(AssemblyError, match="no such assignment; these exist: toy"):
        Assembler("tory", TOY).build()


# --------------------------------------------------------------------------------------------- after nbgrader's release


@pytest.mark.parametrize("mark", ["### BEGIN SOLUTION", "    ### END SOLUTION", "### BEGIN HIDDEN TESTS"])
def test_a_mark_left_in_a_released_notebook_is_refused(students, mark):
    broken = nbformat.from_dict(students)
    broken.cells[5].source += f"\n{mark}"
    with pytest.raises(
        AssemblyError, match=rf"exercises/toy/toy.ipynb: cell {broken.cells[5].id}: .*{mark.strip('# ')}"
    ):
        check_released("toy", broken, set())


def test_a_line_of_a_solution_left_in_a_released_notebook_is_refused(notebook, students):
    secret = secret_lines(notebook)
    assert "return x - x.mean(-1, keepdim=True)" in secret
    assert any("four" in s or "0 log 0" in s for s in secret), "lines of hidden tests count"
    check_released("toy", students, secret)
    broken = nbformat.from_dict(students)
    broken.cells[-1].source += "\nreturn x - x.mean(-1, keepdim=True)"
    with pytest.raises(AssemblyError, match="part of a solution or a hidden test"):
        check_released("toy", broken, secret)


def test_a_release_that_fails_is_an_error_in_words(notebook, tmp_path):
    broken = nbformat.from_dict(notebook)
    twice = next(c for c in broken.cells if c.id == "test-bits")
    twice.metadata.nbgrader.grade_id = "test-norm"
    with pytest.raises(AssemblyError, match="nbgrader could not release it"):
        release("toy", broken, tmp_path / "toy.ipynb")
    assert not (tmp_path / "toy.ipynb").exists()


# ------------------------------------------------------------------------------------------------------------- command


def test_the_command_says_what_it_did_and_fails_in_a_sentence(tmp_path, capsys):
    root = lay_out(tmp_path)
    assert main(["toy"], root) == 0
    assert capsys.readouterr().out == "toy: 4 exercises, 12 points\n"
    assert (tmp_path / "course/source/toy/toy.ipynb").is_file()
    assert main(["other"], root) == 1
    assert "no such assignment; these exist: toy" in capsys.readouterr().err
    assert assignments(tmp_path) == ["toy"]


# ------------------------------------------------------------------------------------------------------- private tests

PRIVATE = """\
# %% test="norm-secret" of="norm" points=2
def test_norm_of_nothing_hidden():
    assert Norm(ToyConfig(2))(torch.zeros(0, 2)).shape == (0, 2), "an EMPTY batch has a norm too"


# %% test="centre-secret" of="centre" points=1
def test_centre_in_double_hidden():
    x = torch.ones(2, 3, dtype=torch.float64)
    assert centre(x).dtype == torch.float64, "the numbers lost PRECISION"
"""


def lay_out_private(root: Path, private: str = PRIVATE) -> Path:
    lay_out(root)
    (root / "course/private").mkdir()
    (root / "course/private/toy.py").write_text(private)
    return root


def test_private_tests_stand_after_the_others_of_their_exercise(tmp_path):
    made = assemble("toy", lay_out_private(tmp_path))
    ids = [c.id for c in made.cells]
    assert ids[ids.index("test-centre-axes") + 1] == "test-centre-secret"
    assert ids[ids.index("test-norm") + 1] == "test-norm-secret"
    text = source(made, "test-norm-secret")
    # All of it, but for what every hidden test cell says, stands between the marks that nbgrader cuts at.
    assert text.splitlines()[1] == "### BEGIN HIDDEN TESTS" and text.endswith("### END HIDDEN TESTS")
    assert "    test_norm_of_nothing_hidden()" in text
    marks = next(c.metadata for c in made.cells if c.id == "test-norm-secret")
    assert marks["nbgrader"]["points"] == 2 and marks["course"]["private"] and marks["course"]["lends"] == ["centre"]
    assert made.metadata.course.points == 12 + 3
    assert "3 points" in source(Assembler("toy", tmp_path).build(), "task-norm")
    assert "5 points" in source(made, "task-norm")


def test_private_tests_judge_the_reference(tmp_path):
    made = assemble("toy", lay_out_private(tmp_path))
    assert play(made)["norm-secret"] is None
    assert "EMPTY" in str(play(made, {"Norm": lambda config: lambda x: torch.ones(1)})["norm-secret"])


def test_private_tests_never_reach_the_students(tmp_path, notebook, students):
    assert main(["toy", "--release"], lay_out_private(tmp_path)) == 0
    assert "norm-secret" in (tmp_path / "course/source/toy/toy.ipynb").read_text()
    released = nbformat.read(tmp_path / "exercises/toy/toy.ipynb", as_version=4)
    assert released == students, "the same as where there are no private tests"


def test_private_files_are_never_committed():
    assert "course/private/" in (ROOT / ".gitignore").read_text().splitlines()


def test_changing_a_private_test_changes_the_source_notebook(tmp_path):
    one = assemble("toy", lay_out_private(tmp_path))
    (tmp_path / "course/private/toy.py").write_text(PRIVATE.replace("2, 3", "3, 2"))
    assert assemble("toy", tmp_path) != one


PRIVATE_REFUSALS = {
    "an exercise that is none": ('of="norm"', 'of="form"', "there is no exercise `form` to test; of= is one of centre"),
    "the integration test": ('of="norm"', 'of="integration"', "there is no exercise `integration` to test"),
    "no exercise": (' of="norm"', "", "the option `of` is missing"),
    "no points": (" points=2", "", "the option `points` is missing"),
    "a name that shows": (
        "test_norm_of_nothing_hidden",
        "test_norm_of_nothing",
        "is private; end its name in _hidden",
    ),
    "an id that is taken": ('test="norm-secret"', 'test="norm"', "this id is taken"),
    "a name that is taken": ("test_norm_of_nothing_hidden", "test_norm_gradients_hidden", "another cell has a"),
    "a given cell": ("# %% test", '# %% given="more"\nx = 1\n\n# %% test', "a private file holds test cells only"),
    "prose": ("# %% test", "# %% [markdown]\n# Notes\n\n# %% test", "a private file holds test cells only"),
    "an assert without a message": (', "the numbers lost PRECISION"', "", "an assert has no message"),
    "an unknown name": ("torch.zeros(0, 2)", "nothing(0, 2)", "no earlier cell defines `nothing`"),
    "no Python": ("def test_norm", "def def test_norm", "it has to be valid Python"),
    "a mark": ("# %% test", "# ### BEGIN SOLUTION\n# %% test", "`BEGIN SOLUTION` is written by the assembler"),
    "text before the first cell": ("# %% test", "import torch\n\n# %% test", "begins with a mark"),
}


@pytest.mark.parametrize("case", PRIVATE_REFUSALS)
def test_it_refuses_a_broken_private_file(case, tmp_path):
    old, new, says = PRIVATE_REFUSALS[case]
    assert old in PRIVATE
    lay_out_private(tmp_path, PRIVATE.replace(old, new, 1))
    with pytest.raises(AssemblyError) as refused:
        assemble("toy", tmp_path)
    message = str(refused.value)
    assert says in message and "course/private/toy.py" in message, message
    assert message.endswith(".") and "\n" not in message
    Assembler("toy", tmp_path).build()  # the students' version does not read it
