"""Which lines of a student's are listed for the instructor, and which are not."""

import datetime

import pytest
from nbformat import NotebookNode

from course.pages.analytics import ClassResults, Submission, page
from course.pages.reaches import Reach, reaches
from tests.support import outside

RELEASED = outside.notebook(
    outside.given("imports", "import sys\nimport torch\nimport torch.nn.functional as F\nfrom labkit import corpus"),
    outside.exercise("double", "def double(x):\n    raise NotImplementedError"),
    outside.own("print(corpus.words()[:3])"),
)


def handed_in(answer: str, own: str = "") -> NotebookNode:
    return outside.handed_in(RELEASED, {"exercise-double": answer}, {"exercise-double": [own] if own else []})


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("return torch.ops.aten.mul(x, 2)", "torch.ops"),
        ("return F.torch.ops.aten.mul(x, 2)", "torch.ops"),
        ('return getattr(torch, "ops").aten.mul(x, 2)', "torch.ops"),
        ("from torch import ops as o", "torch.ops"),
        ("return torch._C._nn.gelu(x)", "torch._C"),
        ("import torch._C as c", "torch._C"),
        ('m = __import__("torch._C")', "torch._C"),
        ("import threading", "threads"),
        ("from concurrent.futures import ThreadPoolExecutor", "threads"),
        ('m = sys.modules["torch"]', "sys.modules"),
        ("from sys import modules", "sys.modules"),
        ("import labkit.testing.refusals", "labkit"),
        ('m = importlib.import_module("labkit")', "labkit"),
    ],
)
def test_what_is_listed(line: str, what: str) -> None:
    assert reaches(handed_in(f"def double(x):\n    {line}"), RELEASED) == [Reach(what, "double", line)]
    assert reaches(handed_in("def double(x):\n    return 2 * x", own=f"def own(x):\n    {line}"), RELEASED) == [
        Reach(what, "", line)
    ]


def test_another_name_for_torch_is_followed() -> None:
    notebook = handed_in("def double(x):\n    return t.ops.aten.mul(x, 2)", own="import torch as t")
    assert reaches(notebook, RELEASED) == [Reach("torch.ops", "double", "return t.ops.aten.mul(x, 2)")]


@pytest.mark.parametrize(
    "answer",
    [
        "def double(x):\n    # torch.ops would be shorter\n    return 2 * x",
        'def double(x):\n    """Without torch.ops, threading or labkit."""\n    return torch.add(x, x)',
        "def double(x):\n    return F.gelu(x) + len(corpus.words()) + len(sys.argv)",
        "def double(x:\n    torch.ops",
        "",
    ],
)
def test_what_is_not(answer: str) -> None:
    assert reaches(handed_in(answer), RELEASED) == []


def test_the_page_lists_them_for_the_instructor() -> None:
    found = (Reach("torch.ops", "double", "return torch.ops.aten.mul(x, 2) # <b>"), Reach("threads", "", "import x"))
    ann = Submission("ann", 1.0, False, {}, frozenset(), [], None, found)
    bob = Submission("bob", 1.0, False, {}, frozenset(), [], None)
    html = page(
        ClassResults("toy", "A toy", 1, {}, 2, frozenset(["ann", "bob"]), [ann, bob]), [], None, datetime.datetime.now()
    )
    assert "Lines worth reading" in html and "It costs nothing to be listed" in html
    assert "return torch.ops.aten.mul(x, 2) # &lt;b&gt;" in html
    assert "in a cell of their own" in html
    alone = ClassResults("toy", "A toy", 1, {}, 1, frozenset(["bob"]), [bob])
    honest = page(alone, [], None, datetime.datetime.now())
    assert "Lines worth reading" not in honest
