"""Honest work that does more than was asked: imports, helper modules, compiled answers, cells that take long."""

import re
import time
import types
from importlib.util import find_spec

import pytest

from course.judging.cells import meant, with_stand_ins, without_actions
from labkit.notebook import defined
from labkit.testing.absent import Absent
from tests.support.outside import SETUP, earned, exercise, graded, handed_in, judged, notebook, verdicts

DOUBLE = exercise("double", "def double(x):\n    return 2 * x")
DOUBLE_TEST = graded("double", "def test_double():\n    assert double(2) == 4, 'doubled'")
HIDDEN_TEST = graded("double-any", "def test_double_any_hidden():\n    assert double(3) == 6, 'doubled'", of="double")
SOURCE = notebook(SETUP, DOUBLE, DOUBLE_TEST, HIDDEN_TEST)
ANSWER = "def double(x):\n    return 2 * x\n"


def result_of(answer: str, after_setup: list[str] | None = None, **more):
    clean = handed_in(SOURCE, {"exercise-double": answer}, {"given-setup": after_setup or []})
    return judged(SOURCE, clean, **more)


# ---------------------------------------------------------------------------------------------------- absent libraries

IMPORTS = """%%time
import absent_one as pd, math
import absent_one.io
from absent_two.models import (
    Tokenizer,
    Model as M,  # ä
); found = math.pi
from absent_three import *
try:
    import absent_one as real
except ImportError:
    real = None
from importlib.util import find_spec
assert find_spec("absent_one") is None and real is None
"""


def test_an_import_that_an_answer_does_not_need_costs_nothing():
    assert find_spec("absent_one") is None
    result = result_of(IMPORTS + ANSWER)
    assert earned(result) == {"double": 1, "double-any": 1}
    assert result.remarks == []
    shown = next(c for c in result.notebook.cells if c.id == "exercise-double")
    assert shown.source == (IMPORTS + ANSWER).strip()
    assert [o for o in shown.outputs if o.output_type == "error"] == []


def test_a_later_cell_still_sees_the_library_as_absent():
    own = ["import absent_one", "try:\n    import absent_one as there\nexcept ImportError:\n    there = None"]
    assert earned(result_of("def double(x):\n    return 2 * x if there is None else x", own))["double"] == 1


def test_the_first_use_raises_what_the_import_raised():
    result = result_of("import absent_one as pd\ndef double(x):\n    return pd.double(x)")
    assert verdicts(result)["double"].message.splitlines()[0] == (
        "ModuleNotFoundError in your code: No module named 'absent_one'"
    )
    stand_in = Absent("gone")
    uses = [lambda x: x.name, lambda x: x(), lambda x: x[0], lambda x: list(x), bool, lambda x: isinstance(1, x)]
    for use in [*uses, lambda x: types.new_class("A", (x,)), lambda x: x | None]:
        with pytest.raises(ModuleNotFoundError, match="gone"):
            use(stand_in)
    assert not hasattr(stand_in, "__wrapped__")


def test_only_what_the_message_names_is_replaced():
    code = "import labkit.files, labkit.nothing\nif True: import labkit.nothing.more"
    replaced = with_stand_ins(code, "No module named 'labkit.nothing'")
    assert replaced is not None
    assert replaced.startswith("import labkit.files; labkit = (")
    assert replaced.count("\n") == 1
    assert with_stand_ins("def f():\n    import gone", "No module named 'gone'") is None
    assert with_stand_ins("import gone", "my own words") is None
    assert with_stand_ins("import gone +", "No module named 'gone'") is None
    notice = "gone is not there while this assignment is graded: its exercises ask you to write what it does"
    assert notice in str(with_stand_ins("import gone", notice))


def test_names_that_a_cell_defines():
    code = "!pip install x\nimport a.b, c as d\nfrom e import f\nif a:\n    g = 1\n"
    code += "class H:\n    i = 2\n\ndef j():\n    k = 3"
    assert defined(code) == {"a", "d", "f", "g", "H", "j"}
    assert defined("%%time\nl = 1") == {"l"}
    assert defined("%%writefile m.py\nl = 1") == defined("l = ") == set()


# ------------------------------------------------------------------------------------------- cells that end in an error


@pytest.mark.parametrize(
    ("answer", "ending"),
    [
        ("import math\nx = math.nothing\n" + ANSWER, r"AttributeError: .+nothing'\. Line 2 of that cell: x = math"),
        ("y = 1\ndef double(x)\n    return 2", r"SyntaxError: expected ':' .*Line 2 of that cell: def double\(x\)"),
        ("import absent_one\nabsent_one.go()\n" + ANSWER, r"ModuleNotFoundError: .+ Line 2 of that cell: absent_one\."),
    ],
)
def test_the_error_of_a_cell_is_quoted_by_the_tests_of_what_it_should_define(answer: str, ending: str):
    told = verdicts(result_of(answer))
    for name in ("double", "double-any"):
        assert told[name].earned == 0
        words = "double is not defined, because its cell did not run to its end: " + ending
        assert re.match(words, told[name].message), told[name].message


def test_the_error_of_a_cell_of_the_students_own_is_quoted_where_a_visible_test_misses_its_name():
    told = verdicts(result_of("def double(x):\n    return helper(x)", ["1 / 0\ndef helper(x):\n    return 2 * x"]))
    assert told["double"].message.startswith("helper is not defined, because its cell did not run to its end: ZeroDiv")
    # Which name is missed could be chosen by a hidden input.
    assert told["double-any"].message.startswith("NameError in your code")


@pytest.mark.parametrize(
    ("cell", "ending"),
    [
        ("def helper(x):\n    return (2 * x", r"SyntaxError: .*Line 2 of that cell: return \(2"),
        ("n = 1\ndef helper(x):\n        y = 2\n    return y", r"IndentationError: .*Line 4 of that cell: return y"),
        ('text = """\ndef helper(x):\n    return 2', r"SyntaxError: .*Line 1 of that cell: text = "),
        ("import math\nhelper = math.nothing", r"AttributeError: .*Line 2 of that cell: helper = math"),
    ],
)
def test_what_is_wrong_with_a_cell_of_the_students_own_is_quoted(cell: str, ending: str):
    told = verdicts(result_of("def double(x):\n    return helper(x)", [cell]))["double"].message
    assert re.match("helper is not defined, because its cell did not run to its end: " + ending, told), told


def test_an_answer_that_was_retyped_with_a_mistake_is_quoted_where_the_exercise_is_blank():
    told = verdicts(result_of("def double(x):\n    raise NotImplementedError()", ["def double(x):\n    return 2 x"]))
    for name in ("double", "double-any"):
        assert told[name].message.startswith(
            "a cell of yours that defines double did not run to its end: SyntaxError: invalid syntax"
        )
        assert told[name].message.endswith("Line 2 of that cell: return 2 x")


def test_names_that_a_cell_would_define():
    code = "class A\nb: int = 1\nc == 2\n  d = 3\nasync def e():\nf(g=1)\nh = ("
    assert meant(code) == {"A", "b", "e", "h"}
    assert meant("x = 1") == {"x"}
    assert meant("%%bash\nx=1 (") == set()


# ------------------------------------------------------------------------------------------------------ helper modules


def test_a_helper_module_that_was_handed_in_or_written_is_imported():
    written = ["%%writefile written_helper.py\ndef twice(x):\n    return 2 * x"]
    files = {"handed_in_helper.py": b"from written_helper import twice\n"}
    assert earned(result_of("from handed_in_helper import twice as double", written, files=files))["double"] == 1


# ----------------------------------------------------------------------------------------------------- compiled answers


@pytest.mark.parametrize("decorator", ["@torch.compile", "@torch.compile(fullgraph=True, mode='max-autotune')"])
def test_a_compiled_answer_runs_uncompiled(decorator: str):
    assert earned(result_of(f"{decorator}\n{ANSWER}")) == {"double": 1, "double-any": 1}


# ------------------------------------------------------------------------------------------------ cells that take long


def test_own_cells_do_not_eat_the_time_of_the_tests():
    slow = "import time\ntime.sleep(2.4)\ndef slow(x):\n    return 2 * x"
    endless = [f"# {n}\nwhile True: pass" for n in range(5)]
    begun = time.monotonic()
    result = result_of(
        "import time\ndef double(x):\n    time.sleep(1.2)\n    return 2 * x", [slow, *endless], seconds=6.0
    )
    assert earned(result) == {"double": 1, "double-any": 1}
    assert any("the cells of your own took 6 seconds together" in r for r in result.remarks), result.remarks
    assert time.monotonic() - begun < 60


# ------------------------------------------------------------------------------------- cells that end Python later on

SIX = notebook(
    SETUP,
    *(
        cell
        for name in "abcdef"
        for cell in (
            exercise(name, f"def {name}(x):\n    return 2 * x"),
            graded(name, f"def test_{name}():\n    assert {name}(2) == 4, 'doubled'"),
        )
    ),
)
ENDS_AT_THE_SECOND_CALL = """
import os, threading
TWO, calls, begun = 2, [], []
def end():
    while len(calls) < 2: pass
    os._exit(1)
thread = threading.Thread(target=end); begun.append(thread.start())
"""


def test_a_cell_that_ends_python_after_some_tests_costs_no_more_than_two():
    answer = "def {}(x):\n    calls.append(x)\n    while begun and len(calls) > 1: pass\n    return TWO * x"
    answers = {f"exercise-{name}": answer.format(name) for name in "abcdef"}
    result = judged(SIX, handed_in(SIX, answers, {"given-setup": [ENDS_AT_THE_SECOND_CALL]}))
    assert earned(result) == {"a": 1, "b": 0, "c": 1, "d": 0, "e": 1, "f": 1}
    (remark,) = result.remarks
    assert remark.startswith("Python ended 2 times, perhaps by what a cell of your own had started")


def test_an_exercise_in_whose_cell_another_one_ends_python_is_run_again():
    ends = "import os, threading\nbusy, begun = threading.Event(), []\ndef end():\n    busy.wait()\n    os._exit(1)\n"
    ends += "threading.Thread(target=end).start(); begun.append(1)"
    assert earned(result_of("busy.set()\nwhile begun: pass\n" + ANSWER, [ends])) == {"double": 1, "double-any": 1}


def test_what_is_left_of_a_cell_without_its_actions():
    code = '%%time\nx = 1; print(x); y = 2\nfor n in range(3):\n    go(n)\nz = [\n    3]\n"""\n"""; w = "ä"\n!ls'
    left = without_actions(code)
    assert left.count("\n") == code.count("\n")
    names: dict = {}
    exec(left, {"print": None, "go": None}, names)
    assert names == {"x": 1, "y": 2, "z": [3], "w": "ä"}
    assert without_actions("x = (") == without_actions("%%bash\nls") == ""
