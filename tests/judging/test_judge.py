"""Judging from outside: honest work earns what it earns in one process, and nothing the student's kernel does helps."""

import ast
import builtins
import functools
import inspect
import json
import textwrap
import time
from pathlib import Path

import nbformat
import pytest
import torch
from nbformat import NotebookNode

from course import ROOT
from course import notebook as testcell
from course.assemble.assembler import Assembler
from course.assemble.source import assignments
from course.banks.bank import Answer, bank
from course.banks.play import blanked, play
from course.judging import wire
from course.judging.judge import judge
from course.judging.messages import failure_of
from course.judging.reference import references
from course.judging.verdict import Judged, failed
from course.reach import definitions
from labkit.notebook import REPORT, facts, is_test, name_of
from labkit.testing import codec
from labkit.testing.link import Link, NoData, Remote, UnreadableAnswer
from labkit.testing.student import Student
from tests.support.outside import (
    SETUP,
    PlainKernel,
    earned,
    exercise,
    given,
    graded,
    handed_in,
    judged,
    notebook,
    verdicts,
)

DOUBLE = exercise("double", "def double(x):\n    return 2 * x")
DOUBLE_TEST = graded(
    "double",
    """
def test_double():
    check(double(torch.ones(2, 3)), torch.full((2, 3), 2.0), "every number should be doubled")
""",
)
TOY = notebook(SETUP, DOUBLE, DOUBLE_TEST)


def texts(result: Judged) -> str:
    """Everything that the student may see: outputs of cells that are no tests, messages, remarks."""
    shown = [cell.get("outputs", []) for cell in result.notebook.cells if "course" not in cell.metadata]
    return json.dumps([shown, [v.message for v in result.verdicts], result.remarks])


# ------------------------------------------------------------------------------------------------------ honest work


@functools.cache
def assembled(name: str) -> NotebookNode:
    return Assembler(name).build()


def without_runs(source: NotebookNode) -> NotebookNode:
    """A notebook without the cells that only show something, which take most of its time."""
    clean = handed_in(source)
    clean.cells = [cell for cell in clean.cells if not cell.id.startswith("run-")]
    return clean


@pytest.mark.parametrize("name", assignments())
def test_a_solved_notebook_earns_everything_and_a_blank_one_nothing(name: str):
    source = assembled(name)
    lent = references(source, ROOT)
    solved = judged(source, without_runs(source), seconds=300, reference=lent)
    assert [v for v in solved.verdicts if v.earned != v.points] == []
    assert sum(v.points for v in solved.verdicts) == sum(c.points for c in testcell.test_cells(source)) > 0
    assert solved.remarks == []
    blank = without_runs(source)
    for cell in blank.cells:
        if cell.id.startswith("exercise-"):
            cell.source = blanked(cell.source)
    assert sum(v.earned for v in judged(source, blank, seconds=300, reference=lent).verdicts) == 0


def as_source(answer: Answer) -> str | None:
    """The text of a bank's answer where it stands on its own."""
    function = answer.answer
    if not inspect.isfunction(function) or function.__closure__ or function.__name__ != answer.name:
        return None
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    tree.body[0].decorator_list = []
    known = {n.id for cell in assembled("tokenizer").cells if cell.cell_type == "code"
             for n in ast.walk(ast.parse(cell.source)) if isinstance(n, ast.Name)}  # fmt: skip
    used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    globals_used = {name for name in used if name in function.__globals__ and not hasattr(builtins, name)}
    return ast.unparse(tree) if globals_used <= known else None


def test_wrong_answers_lose_what_they_lose_in_one_process():
    source = assembled("tokenizer")
    chosen: dict[str, Answer] = {}
    for answer in bank("wrong", "tokenizer"):
        if answer.exercise not in chosen and as_source(answer):
            chosen[answer.exercise] = answer
    assert len(chosen) >= 5
    clean = without_runs(source)
    for cell in clean.cells:
        if answer := chosen.get(cell.id.removeprefix("exercise-")):
            # As `play` does: the answer is bound after the exercise's cell.
            cell.source += "\n\n" + (as_source(answer) or "")
    direct = play(source, {a.name: a.answer for a in chosen.values()})
    outside = judged(source, clean, seconds=300, reference=references(source, ROOT))
    assert {n for n, v in verdicts(outside).items() if not v.earned} == {n for n, error in direct.items() if error}


def test_a_judgement_survives_as_text():
    result = judged(TOY)
    assert earned(result) == {"double": 1}
    again = wire.decode(wire.encode(result), Judged)
    assert again == result
    nbformat.validate(again.notebook)


# ------------------------------------------------------------------------------------------------------------ forging

FORGERIES = """
import builtins, sys, torch
torch.testing.assert_close = torch.allclose = torch.equal = lambda *a, **k: True
shell = get_ipython()
shell.input_transformers_post.append(lambda lines: [l for l in lines if "assert" not in l])
shell.run_cell = shell.run_cell_async = lambda *a, **k: None
type(shell.kernel).do_execute = lambda *a, **k: {"status": "ok", "execution_count": 1}
shell.showtraceback = lambda *a, **k: None
shell.display_formatter.formatters["text/plain"].for_type(type(None), lambda *a: print("4"))
builtins.isinstance = lambda *a: True
check = test_double = lambda *a, **k: None
class answers:
    def __init__(self, *a, **k): pass
    def __enter__(self): pass
    def __exit__(self, *a): return True
import labkit.testing.answers, labkit.testing.probes
labkit.testing.answers.answers = answers
"""


def test_overriding_what_judges_gains_nothing():
    source = notebook(SETUP, DOUBLE, DOUBLE_TEST, *HIDDEN_DOUBLE)
    clean = handed_in(source, {"exercise-double": "def double(x):\n    return x"}, {"exercise-double": [FORGERIES]})
    assert set(earned(judged(source, clean, seconds=8)).values()) == {0}


def test_the_judge_uses_the_given_cells_of_the_source():
    source = notebook(SETUP, given("want", "def want(x):\n    return 2 * x"), DOUBLE, graded(
        "double", "def test_double():\n    check(double(torch.ones(2)), want(torch.ones(2)), 'hint')"
    ))  # fmt: skip
    clean = handed_in(source, {"exercise-double": "def double(x):\n    return x\ndef want(x):\n    return x"})
    clean.cells[1].source = "def want(x):\n    return x"
    assert earned(judged(source, clean)) == {"double": 0}


def test_a_dataclass_that_only_the_student_s_side_has_is_passed_on_as_an_object():
    doubler = "from dataclasses import dataclass\n\n\n@dataclass\nclass Doubler:\n    inner: {}\n"
    source = notebook(
        SETUP,
        exercise("pair", doubler.format("float").replace("Doubler", "Pair")),
        given("doubler", doubler.format("Pair")),
        exercise("double", "def double(x):\n    return x.inner.inner * 2"),
        graded("double", "def test_double():\n    assert double(Doubler(Pair(4.0))) == 8.0, 'twice four is eight'"),
    )
    assert earned(judged(source)) == {"double": 1}


# Each is an answer to "double a tensor of ones", or to what the test of `numbers` asks; none may earn a point.
HOSTILE = {
    "always_equal": "class A:\n    def __eq__(self, o): return True\n    def __getattr__(self, n): return A()\n"
    "    __lt__ = __le__ = __bool__ = __contains__ = lambda *a: True\n    def __len__(self): return 3\n"
    "def answer(x): return A()",
    "always_equal_int": "class I(int):\n    def __eq__(self, o): return True\n    __hash__ = int.__hash__\n"
    "def answer(x): return I(0)",
    "tensor_subclass": "class T(torch.Tensor):\n    @classmethod\n"
    "    def __torch_function__(cls, f, types, args=(), kwargs=None): return True\n"
    "def answer(x): return x.as_subclass(T)",
    "nan": "def answer(x): return x * float('nan')",
    "infinite": "def answer(x): return float('inf')",
    "huge_int": "def answer(x): return 10 ** 200_000",
    "deep_list": "def answer(x):\n    y = []\n    for _ in range(100_000): y = [y]\n    return y",
    "inside_itself": "def answer(x):\n    y = []\n    y.append(y)\n    return y",
    "many_items": "def answer(x): return [0] * 3_000_000",
    "raises_when_reduced": "class R:\n    def __reduce__(self): raise SystemExit\n    __getstate__ = __reduce__\n"
    "    def __class__(self): raise SystemExit\n    __class__ = property(__class__)\ndef answer(x): return R()",
    "raises_when_described": "class E(Exception):\n    def __str__(self): raise SystemExit\ndef answer(x): raise E()",
    "exit": "def answer(x): exit()",
    "interrupt": "def answer(x): raise KeyboardInterrupt",
    "assertion": "def answer(x): raise AssertionError('not mine')",
    "not_a_type": "answer = 5",
    "deleted": "def answer(x): return 2 * x\ndel answer",
    "sparse": "def answer(x): return (2 * x).to_sparse()",
    "meta": "def answer(x): return torch.empty(2, 3, device='meta')",
    "none": "def answer(x): return None",
    "a_class": "class answer:\n    def __init__(self, x): pass\n    def abs(self): return self\n    shape = (2, 3)",
}


def test_absurd_answers_earn_nothing_and_stop_nothing():
    cells = [SETUP]
    for name in HOSTILE:
        cells += [
            exercise(name, f"def {name}(x):\n    return 2 * x"),
            graded(name, f"def test_{name}():\n    got = {name}(torch.ones(2, 3))\n"
                 "    if isinstance(got, torch.Tensor):\n        check(got, torch.full((2, 3), 2.0), 'doubled')\n"
                 "    else:\n        assert got == 2.0, 'doubled'"),
        ]  # fmt: skip
    source = notebook(*cells, DOUBLE, DOUBLE_TEST)
    result = judged(source, handed_in(source, {f"exercise-{n}": s.replace("answer", n) for n, s in HOSTILE.items()}))
    assert earned(result) == {name: 0 for name in HOSTILE} | {"double": 1}
    told_ = verdicts(result)
    assert "no data" in told_["always_equal"].message
    assert "deeper" in told_["deep_list"].message
    assert "KeyboardInterrupt" not in told_["exit"].message
    assert result.remarks == []


def test_an_endless_generator_is_stopped_in_time():
    source = notebook(
        SETUP,
        exercise("count", "def count():\n    yield 1"),
        graded("count", "def test_count():\n    assert list(count()) == [1], 'one item'"),
        DOUBLE,
        DOUBLE_TEST,
    )
    clean = handed_in(source, {"exercise-count": "def count():\n    while True:\n        yield 1"})
    result = judged(source, clean, seconds=24)
    assert earned(result) == {"count": 0, "double": 1}


def test_changes_in_place_are_seen_and_stay_on_their_side():
    source = notebook(
        SETUP,
        DOUBLE,
        graded(
            "double",
            "def test_double():\n    x = torch.ones(3)\n    got, (after,) = probes.after_call(double, x)\n"
            "    assert torch.equal(x, torch.ones(3)), 'the judge keeps its own'\n"
            "    assert torch.equal(after, x), 'the input was changed in place'",
        ),
    )
    clean = handed_in(source, {"exercise-double": "def double(x):\n    return x.mul_(2)"})
    verdict = verdicts(judged(source, clean))["double"]
    assert (verdict.earned, verdict.message) == (0, "the input was changed in place")


# ------------------------------------------------------------------------------------------------------ it never stops


def several(**answers: str) -> tuple[NotebookNode, NotebookNode]:
    """A source with an exercise of each name, and these answers to them, followed by an honest one."""
    cells = [SETUP]
    for name in answers:
        cells += [
            exercise(name, f"def {name}(x):\n    return 2 * x"),
            graded(name, f"def test_{name}():\n    assert {name}(1) == 2, 'doubled'"),
        ]
    source = notebook(*cells, DOUBLE, DOUBLE_TEST)
    return source, handed_in(source, {f"exercise-{name}": text for name, text in answers.items()})


def test_loops_and_deaths_cost_only_their_own_points():
    source, clean = several(
        leaves="import os\ndef leaves(x):\n    os._exit(3)",
        turns="def turns(x):\n    while True: pass",
        clings="def clings(x):\n    while True:\n        try:\n            while True: pass\n"
        "        except KeyboardInterrupt: pass",
        crashes="import ctypes\ndef crashes(x):\n    ctypes.string_at(0)",
    )
    result = judged(source, clean, seconds=24)
    assert earned(result) == {"leaves": 0, "turns": 0, "clings": 0, "crashes": 0, "double": 1}
    told_ = verdicts(result)
    assert told_["leaves"].message.startswith("leaves ended Python itself")
    assert told_["turns"].message.startswith("turns did not end within")
    assert "loop" in told_["turns"].message
    assert told_["clings"].pattern


def test_a_loop_is_stopped_by_what_it_computes_where_cores_are_shared():
    source, clean = several(
        turns="def turns(x):\n    while True: pass",
        waits="import time\ndef waits(x):\n    time.sleep(3)\n    return 2 * x",
    )
    begun = time.monotonic()
    result = judged(source, clean, seconds=8, crowding=30)
    assert time.monotonic() - begun < 45, "by the clock alone the loop might take 60 seconds"
    assert earned(result) == {"turns": 0, "waits": 1, "double": 1}, "waiting for a core is nobody's fault"
    assert verdicts(result)["turns"].message == "turns did not end within 2 seconds: is there a loop that never ends?"


def test_cells_that_do_not_end_or_end_python_are_left_out():
    source = notebook(SETUP, DOUBLE, DOUBLE_TEST)
    clean = handed_in(source, after={"given-setup": ["kept = 1", "while True: pass", "import os; os._exit(0)",
                                                     "print(kept)"]})  # fmt: skip
    result = judged(source, clean, seconds=20)
    assert earned(result) == {"double": 1}
    assert len(result.remarks) == 2
    assert result.remarks[0].startswith("Cell 4 did not end within")
    assert result.remarks[1].startswith("Cell 5 ended Python itself")
    assert [c.outputs[0].text for c in result.notebook.cells if c.source == "print(kept)"] == ["1\n"]


def test_a_kernel_that_never_lives_is_given_up():
    source = notebook(SETUP, DOUBLE, DOUBLE_TEST)
    dying = "import os; os._exit(1)"
    result = judged(source, handed_in(source, after={"given-setup": [dying + f" # {n}" for n in range(9)]}))
    assert earned(result) == {"double": 0}
    assert "stopped each time" in result.remarks[-1]


def test_no_kernel_at_all_is_a_failure_of_ours():
    def none():
        raise RuntimeError("no room")

    result = judge(handed_in(TOY), TOY, none, seed=1, seconds=5, reference={})
    assert earned(result) == {"double": 0}
    assert "no room" in result.notebook.metadata[REPORT]["failure"]
    reason = "Your notebook cannot be read."
    assert [(v.earned, v.message) for v in failed(TOY, TOY, reason).verdicts] == [(0, reason)]


# ------------------------------------------------------------------------------------------------------------- outputs


def test_outputs_are_bounded_and_harmless():
    source = notebook(SETUP, DOUBLE, DOUBLE_TEST)
    cells = [
        "import sys, warnings; print('warned', file=sys.stderr); warnings.warn('odd')",
        "from IPython.display import *\ndisplay(HTML('<script>evil</script>'))\n"
        "display({'text/html': 'evil', 'image/svg+xml': '<svg/>', 'application/javascript': 'evil',"
        " 'image/png': 'ZXZpbA=='}, raw=True)",
        "for _ in range(300): print('x' * 100_000)",
        "from PIL import Image; display(Image.new('RGB', (2, 2)))",
        "raise ValueError('mine')",
        "kernel = get_ipython().kernel\n"
        "for content in (None, [], {}, {'name': 'stdout'}, {'data': 5}, {'data': {'text/plain': 5}}, {'ename': 5}):\n"
        "    for kind in ('stream', 'display_data', 'error', 'status', 'odd'):\n"
        "        kernel.session.send(kernel.iopub_socket, kind, content, parent=kernel.get_parent())\n"
        "print('still here')",
    ]
    result = judged(source, handed_in(source, after={"exercise-double": cells}))
    assert earned(result) == {"double": 1}
    outputs = [c.outputs for c in result.notebook.cells if c.source in cells]
    assert outputs[0] == []
    assert "evil" not in json.dumps([o.get("data", {}) for o in outputs[1]])
    assert "ZXZpbA" not in json.dumps(outputs[1])
    assert len(json.dumps(outputs[2])) < 2**20 + 1000
    assert "left out" in outputs[2][-1].text
    assert outputs[3][0].data["image/png"].startswith("iVBOR")
    assert (outputs[4][0].ename, outputs[4][0].evalue) == ("ValueError", "mine")
    assert "still here" in json.dumps(outputs[5])
    nbformat.validate(result.notebook)


# ------------------------------------------------------------------------------------------------------- hidden tests

SECRET = "def secret():\n    return float(70_000_000 + fresh_seed() % 1_000_000)"
HIDDEN_DOUBLE = [
    given("secret", SECRET),
    graded(
        "double-any",
        """
def test_double_any_hidden():
    x = torch.tensor([secret()])
    check(double(x), 2 * x, f"a large number {x} should be doubled too")
""",
        of="double",
    ),
]
STASH = (
    "seen = []\n"
    "def double(x):\n"
    "    seen.append(x)\n"
    "    print('INPUT', x.tolist())\n"
    "    if x.numel() == 1: raise ValueError(f'INPUT {x.tolist()}')\n"
    "    return 2 * x"
)


def test_hidden_inputs_are_not_shown():
    source = notebook(SETUP, DOUBLE, DOUBLE_TEST, *HIDDEN_DOUBLE)
    clean = handed_in(source, {"exercise-double": STASH}, {"test-double-any": ["print('INPUT', len(seen), seen[1:])"]})
    result = judged(source, clean)
    assert earned(result) == {"double": 1, "double-any": 0}
    verdict = verdicts(result)["double-any"]
    assert (verdict.hidden, verdict.test) == (True, "test_double_any_hidden")
    assert verdict.pattern == "ValueError in your code"
    assert verdict.message == "ValueError in your code", "not even a line: the input could have selected it"
    assert "INPUT [7" in verdict.detail
    assert "INPUT 1 []" in texts(result)
    assert "INPUT [7" not in texts(result)


def test_of_a_visible_test_the_line_is_quoted():
    source = notebook(SETUP, DOUBLE, DOUBLE_TEST)
    clean = handed_in(source, {"exercise-double": "def double(x):\n    raise ValueError('no')"})
    (verdict,) = judged(source, clean).verdicts
    assert verdict.message.splitlines()[1:] == ["It arose in double, line 2 of its cell: raise ValueError('no')"]


def test_hidden_inputs_are_the_same_for_the_same_seed_only():
    source = notebook(SETUP, DOUBLE, *HIDDEN_DOUBLE)
    clean = handed_in(source, {"exercise-double": STASH})
    first, again, other = (verdicts(judged(source, clean, seed=seed))["double-any"].detail for seed in (1, 1, 2))
    assert first == again != other


# --------------------------------------------------------------------------------------------------------------- parts

HALF = exercise("half", "def half(x):\n    return x / 2")
QUARTER = exercise("quarter", "def quarter(x):\n    return half(half(x))")
PARTS = notebook(
    SETUP,
    HALF,
    graded("half", "def test_half():\n    assert half(4) == 2, 'halved'"),
    QUARTER,
    graded("quarter", "def test_quarter():\n    assert quarter(8) == 2, 'a quarter'", lends=["half"]),
    graded("half-any", "def test_half_any_hidden():\n    assert half(6) == 3, 'halved'", of="half"),
    graded("integration", "def test_integration():\n    assert quarter(8) == 2, 'together'"),
)
LENT = {"half": "import math\nTWO = 2\ndef half(x):\n    return x / TWO"}


def test_lent_parts_replace_the_students_for_one_test():
    clean = handed_in(PARTS, {"exercise-half": "def half(x):\n    return x"})
    result = judged(PARTS, clean, reference=LENT)
    assert earned(result) == {"half": 0, "half-any": 0, "quarter": 1, "integration": 0}
    assert "half" in verdicts(result)["integration"].message


def test_keeping_a_lent_part_does_not_help():
    half = "def half(x):\n    return kept[0](x) if kept else x\nkept = []"
    quarter = "def quarter(x):\n    kept.append(half)\n    return half(half(x))"
    clean = handed_in(PARTS, {"exercise-half": half, "exercise-quarter": quarter})
    assert earned(judged(PARTS, clean, reference=LENT)) == {"half": 0, "half-any": 0, "quarter": 1, "integration": 0}


def test_a_test_sees_names_as_they_were_where_it_stands():
    clean = handed_in(PARTS, after={"test-integration": ["def quarter(x):\n    return 0", "del half"]})
    assert set(earned(judged(PARTS, clean, reference=LENT)).values()) == {1}


def test_a_given_cell_that_needs_an_exercise_runs_at_the_students():
    source = notebook(
        SETUP,
        given("twice", "def twice(x):\n    return double(double(x))"),
        DOUBLE,
        given("made", "four = [twice(1)]\nclass Doubler:\n    def make(self, x, by=double):\n        return by(x)"),
        graded("double", "def test_double():\n    assert twice(1) == 4, 'four'\n    assert list(four) == [4], 'made'\n"
               "    assert Doubler().make(3) == 6, 'six'"),
    )  # fmt: skip
    assert earned(judged(source)) == {"double": 1}
    wrong = handed_in(source, {"exercise-double": "def double(x):\n    return x"})
    assert earned(judged(source, wrong)) == {"double": 0}


def test_slices_hold_what_a_definition_reaches_and_no_more(tmp_path: Path):
    topic = tmp_path / "topic.py"
    topic.write_text(
        "import math\nimport os\nA, B = 1, 2\n\ndef helper(x):\n    return math.sqrt(x) + A\n\n"
        "@staticmethod\ndef wanted(x):\n    return helper(x)\n\ndef answer(x):\n    return wanted(x)\n"
    )
    (text,) = definitions(topic, ["wanted", "missing"]).values()
    assert "os" not in text
    assert "answer" not in text
    space: dict = {}
    exec(text, space)
    assert space["wanted"](4) == 3.0
    assert text.count("@staticmethod") == 1


# --------------------------------------------------------------------------------------------------------------- words


def said(source: str, hidden: bool = True, error: type = AssertionError) -> str:
    """What a student is told when a test of this source fails."""
    name = "test_it_hidden" if hidden else "test_it"
    cell = testcell.test_cells(notebook(graded("it", source.replace("TEST", name))))[0]
    space: dict = {"answers": lambda *a, **k: __import__("contextlib").nullcontext(), "torch": torch}
    exec(cell.definitions(), space)
    with pytest.raises(error) as caught:
        exec(cell.block(), space)
    return failure_of(caught.value, cell, {cell.file: cell.tree}).message


def test_of_a_hidden_test_only_the_authors_words_are_told():
    helper = "def check(got, want, hint, *, more='then more'):\n    assert got == want, f'{hint} (is {got}); {more}'\n"
    assert said("def TEST():\n    x = 41\n    assert x == 42, f'not {x} but more'") == "not … but more"
    assert said("def TEST():\n    assert 41 == 42, 'one ' + 'two ' + str(41)") == "one two …"
    assert said(helper + "def TEST():\n    check(41, 42, 'count well')") == "count well (is …); then more"
    assert said(helper + "def TEST():\n    check(41, 42, hint=f'{41} odd', more='go')") == "… odd (is …); go"
    assert said(helper + "def TEST():\n    hint = 'try it'\n    check(4, 2, hint)") == "try it (is …); then more"
    way = "def way(hint, got, *rest, **how):\n    assert got == 2, f'{hint} (is {got})'\n"
    assert said(way + "def TEST():\n    way('try it', 4, *[1], **{'k': 1})") == "try it (is …)"
    assert said(way + "def TEST():\n    way(*['try it', 4])") == "… (is …)"
    assert said("def TEST():\n    for hint in ['a b', 'c d']:\n        assert 0, f'{hint}: no'") == "…: no"
    ours = "from labkit.testing.checks import check_refused, check_tensor\n\n\ndef TEST():\n    "
    shapes = "check_tensor(torch.ones(2), torch.ones(3), 'count well')"
    assert said(ours + shapes) == "the result has another shape; count well"
    named = "check_tensor(torch.ones(2), torch.zeros(2), 'count well', mistakes={{{}: lambda: torch.ones(2)}})"
    assert said(ours + named.format("'it adds one'")) == "it adds one"
    assert said(ours + named.format("f'it adds {40 + 2}'")) == "a test fails: it"
    assert said(ours + "check_tensor(torch.ones(2), torch.zeros(2), f'not {40 + 2}')") == "not …"
    refused = "7 is odd: that should raise a {} that says so, and your code raised {}"
    assert said(ours + "check_refused('7 is odd', int, '7')") == refused.format("ValueError", "nothing")
    other = "check_refused('7 is odd', int, 'seven', error=TypeError)"
    assert said(ours + other) == refused.format("TypeError", "another: …")
    assert said("def TEST():\n    assert 41 == 42, repr(41)") == "a test fails: it"
    assert said("def TEST():\n    assert 41 == 42") == "a test fails: it"
    assert said("def TEST():\n    raise AssertionError('never get ' + 'here')") == "never get here"
    library = "torch.testing.assert_close(torch.ones(1), torch.zeros(1){})"
    assert said(f"def TEST():\n    {library.format('')}") == "a test fails: it"
    assert said("def TEST():\n    " + library.format(", msg='all zeros wanted'")) == "all zeros wanted"
    unusable = said("def TEST():\n    [41].missing", error=AttributeError)
    assert unusable == "the test cannot use what your code returned (AttributeError)"


def test_of_a_visible_test_everything_is_told():
    assert said("def TEST():\n    x = 41\n    assert x == 42, f'not {x} but more'", hidden=False) == "not 41 but more"
    ours = "from labkit.testing.checks import check_equal\n\n\ndef TEST():\n    "
    named = "check_equal([1, 3], [1, 2], 'count well', mistakes={'it adds one': lambda: [1, 3]})"
    assert said(ours + named, hidden=False) == "it adds one (at [1] you have 3, it should be 2)"


# -------------------------------------------------------------------------------------------------------------- proxies


def proxy(source: str) -> Remote:
    namespace: dict = {}
    exec(source, namespace)
    link = Link(Student(namespace).handle, {})
    return Remote(link, "it")


@pytest.mark.parametrize(
    "use",
    [
        *("bool(it)", "not it", "it == it", "it != 1", "1 == it", "1 in [it]", "it in [1]", "1 in it", "it < 1"),
        *("len(it)", "int(it)", "float(it)", "complex(it)", "[1][it]", "1 >= it"),
        *("it[0]", "f'{it:.2f}'", "{1: 2} == {1: it}"),
        *("[1] == [it]", "max(it, 1)", "sorted([it, it])", "torch.ones(1) == it", "torch.tensor(it)", "it + 1", "-it"),
    ],
)  # fmt: skip
def test_an_object_of_the_students_satisfies_nothing(use: str):
    with pytest.raises(TypeError):
        eval(use, {"it": proxy("class A:\n    __eq__ = lambda *a: True\nit = A()"), "torch": torch})


def test_an_object_of_the_students_has_a_name_an_identity_and_a_sentence():
    it = proxy("it = object()")
    assert f"{it}" == repr(it) == "<the student's it>"
    assert {it: 1}[it] == 1
    with pytest.raises(NoData, match="return numbers, texts, lists, tensors"):
        bool(it)


def test_an_object_with_a_name_for_a_handle_is_no_answer():
    """The name would stand in a sentence on what did not end, and could tell a hidden test's input."""
    forged = codec.encode(("result", object()), handle=lambda value: "input_7")
    with pytest.raises(UnreadableAnswer, match="a name in place of a number"):
        Remote(Link(lambda request: forged, {}), "it")()


def test_what_is_held_for_a_test_is_let_go_after_it():
    student = Student({"make": object})
    link = Link(student.handle, {})
    session = link.session({}, {})
    session.begin()
    made = Remote(link, "make")()
    assert len(student.held) == 1
    session.end()
    assert student.held == {}
    session.begin()
    assert Remote(link, "make")()._handle != made._handle
    with pytest.raises(LookupError, match="earlier test"):
        made()


def test_the_kernel_serves_as_an_ordinary_process_too():
    result = judge(handed_in(TOY), TOY, PlainKernel, seed=1, seconds=60, reference={})
    assert earned(result) == {"double": 1}


def test_why_python_ended_is_told():
    """Its sockets close before anybody knows why it ended, so this is asked more than once."""
    ends = handed_in(TOY, {"exercise-double": "def double(x):\n    import os\n    os._exit(3)"})
    for _ in range(5):
        assert verdicts(judged(TOY, ends))["double"].message == "double ended Python itself (exit 3)."


# ------------------------------------------------------------------------------------- what tests compare with is ours

# Answers that make what tests lend or hand over say what they like: a topic, the exercise, the answer, and what its
# tests earn nevertheless.
PATCHES = {
    "a text that no model wrote": (
        "gpt",
        "generate",
        """
def generate(model, ids, n_tokens, temperature=1.0, seed=0):
    type(model).forward = lambda self, ids: F.one_hot(torch.zeros_like(ids), 11) * 1000.0
    return torch.cat([ids, torch.zeros(len(ids), n_tokens, dtype=torch.long)], dim=1)
""",
        {},
    ),
    "a trainer that does not train": (
        "training",
        "trainer",
        """
class Trainer:
    def __init__(self, config, texts):
        torch.manual_seed(config.seed)
        self.config, self.losses = config, []
        self.shapes = {name: p.shape for name, p in DropoutGPT(config.model, 0.0).named_parameters()}

    def weights(self):
        return {name: torch.zeros(shape) for name, shape in self.shapes.items()}

    gradients = weights

    def logits(self, ids):
        return torch.zeros(*ids.shape, self.config.model.vocab_size)

    def accumulate(self, inputs, targets, pieces):
        return math.log(self.config.model.vocab_size)

    def step(self):
        self.losses.append(self.accumulate(None, None, 1))
        return self.losses[-1]
""",
        {},
    ),
    "a snapshot that saves nothing": (
        "training",
        "snapshot",
        """
def snapshot(trainer):
    kind, mixture = type(trainer), type(trainer.mixture)
    kind.weights = lambda self: {"weight": torch.zeros(1)}
    kind.step = lambda self: 0.0
    mixture.batch = lambda self, batch_size: (torch.zeros(batch_size, 6), torch.zeros(batch_size, 6))
    return {}


def restore(trainer, state):
    snapshot(trainer)
""",
        {},
    ),
    "a run without a step": (
        "training",
        "train-until",
        """
def train_until(trainer, saved, until, every):
    kind = type(trainer)
    kind.weights = lambda self: {"weight": torch.zeros(1)}
    kind.step = lambda self: 0.0
    saved += [snapshot(trainer) for step in range(1 + every * len(saved), until + 1) if step % every == 0]
    return [0.0] * until
""",
        {},
    ),
    "a text without a cache": (
        "generation",
        "write",
        """
def write(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=None):
    require_prompt(ids)
    if ids.shape[1] + n_tokens > model.config.context:
        raise ValueError("ask for fewer tokens")
    generator = torch.Generator().manual_seed(seed or 0)
    for _ in range(n_tokens):
        logits = model(ids)[:, -1]
        if seed is None:
            new = logits.argmax(-1, keepdim=True)
        else:
            new = torch.multinomial(probabilities(logits, temperature, k, p), 1, generator=generator)
        ids = torch.cat([ids, new], dim=1)
    model.positions = ids.numel()
    return ids
""",
        {"write-any": 2, "write-repeats": 1},  # what it writes is right
    ),
}


def with_tests_of(topic: str, exercise: str) -> NotebookNode:
    """A topic's notebook with one exercise's tests; of the other tests it has what they define."""
    whole = assembled(topic)
    source = nbformat.v4.new_notebook(metadata=whole.metadata)
    for cell in whole.cells:
        if is_test(cell) and facts(cell)["exercise"] != exercise:
            cell = given(f"before-{name_of(cell)}", cell.source.partition("\nwith answers(")[0])
        if cell.cell_type == "code" and not cell.id.startswith("run-"):
            source.cells.append(cell)
    return source


@pytest.mark.parametrize("attack", PATCHES)
def test_a_lent_class_that_an_answer_patches_does_not_make_it_right(attack: str):
    topic, exercise, answer, nevertheless = PATCHES[attack]
    source = with_tests_of(topic, exercise)
    lent = references(source, ROOT)
    clean = handed_in(source, {f"exercise-{exercise}": answer})
    result = earned(judged(source, clean, seconds=300, reference=lent))
    assert {test: points for test, points in result.items() if points} == nevertheless
    points = {cell.name: cell.points for cell in testcell.test_cells(source)}
    assert earned(judged(source, seconds=300, reference=lent)) == points
