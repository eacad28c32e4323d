"""What the last cell made of a library's settings reaches no test, and is as it was when the tests have run."""

import contextlib
import random
import types
import warnings

import numpy as np
import pytest
import torch

from labkit.testing.answers import Answers
from labkit.testing.link import Link, Remote
from labkit.testing.student import Student

# What a cell does, what a function of the student's then gives outside a test, and what inside one.
CELLS = {
    "no gradients": ("torch.set_grad_enabled(False)", "torch.is_grad_enabled()", False, True),
    "inference": ("mode = torch.inference_mode()\nmode.__enter__()", "torch.is_inference_mode_enabled()", True, False),
    "other numbers": ("torch.set_default_dtype(torch.float64)", "torch.ones(1).dtype.itemsize", 8, 4),
    "other device": ("torch.set_default_device('meta')", "torch.ones(1).device.type", "meta", "cpu"),
    "autocast": ("torch.autocast('cpu').__enter__()", "torch.is_autocast_enabled('cpu')", True, False),
    "deterministic": (
        "torch.use_deterministic_algorithms(True)", "torch.are_deterministic_algorithms_enabled()", True, False,
    ),
    "anomalies": ("torch.autograd.set_detect_anomaly(True)", "torch.is_anomaly_enabled()", True, False),
    "rough products": (
        "torch.set_float32_matmul_precision('medium')", "torch.get_float32_matmul_precision()", "medium", "highest",
    ),
    "numpy raises": ("np.seterr(divide='raise')", "np.geterr()['divide']", "raise", "warn"),
    "warnings raise": ("warnings.simplefilter('error')", "warnings.filters[0][0]", "error", "default"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def as_before():
    """The settings of this process, which cells of these tests change."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.autocast("cpu", enabled=False))
        stack.enter_context(warnings.catch_warnings())
        stack.enter_context(np.errstate())
        yield
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
        torch.use_deterministic_algorithms(False)
        torch.autograd.set_detect_anomaly(False)
        torch.set_float32_matmul_precision("highest")


def notebook(*cells: str) -> dict:
    namespace = types.ModuleType("__main__").__dict__
    namespace.update(torch=torch, np=np, warnings=warnings, random=random, Answers=Answers)
    for cell in cells:
        exec(cell, namespace)
    return namespace


def in_a_test(namespace: dict, far: bool) -> object:
    """What the student's `f` gives in a test, in one process or behind the link."""
    here = namespace
    if far:
        here = notebook()
        here["f"] = Remote(Link(Student(namespace).handle, here), "f")
    exec("with Answers('reference')('f'):\n    got = f()", here)
    return here["got"]


@pytest.mark.parametrize("far", [False, True], ids=["here", "far"])
@pytest.mark.parametrize("cell", CELLS)
def test_what_a_cell_set_reaches_no_test_and_comes_back(cell, far):
    change, asked, outside, inside = CELLS[cell]
    namespace = notebook(f"def f():\n    return {asked}", change)
    assert namespace["f"]() == outside
    assert in_a_test(namespace, far) == inside
    assert namespace["f"]() == outside


@pytest.mark.parametrize("draw", ["torch.rand(1).item()", "np.random.rand()", "random.random()"])
def test_a_test_meets_the_same_random_numbers_each_time_and_takes_none_of_the_notebooks(draw):
    module = draw.split(".")[0]
    seeds = {"torch": "torch.manual_seed(7)", "np": "np.random.seed(7)", "random": "random.seed(7)"}
    namespace = notebook(f"def f():\n    return {draw}", seeds[module])
    first = in_a_test(namespace, far=False)
    after = namespace["f"]()
    exec(seeds[module], namespace)
    assert namespace["f"]() == after != first
    assert in_a_test(namespace, far=False) == first
