"""The checks that tests of exercises are made of: what they let pass, what they refuse, and what they say then."""

import math
import re

import pytest
import torch

from labkit.testing.checks import check_number, check_refused, check_tensor, numbers, token_ids

HINT = "is it the other axis?"
INF, NAN = math.inf, math.nan


@pytest.mark.parametrize(
    ("got", "want"),
    [
        (torch.ones(2, 3), torch.ones(2, 3)),
        (torch.tensor([1 + 9e-6]), torch.ones(1)),
        (torch.ones(2), torch.ones(2).double()),
        (torch.tensor([INF, -INF, 1.0]), torch.tensor([INF, -INF, 1.0])),
        (torch.tensor([2, 3]), torch.tensor([2.0, 3.0])),
        (torch.ones(2, requires_grad=True), torch.ones(2)),
        (torch.ones(0, 3), torch.ones(0, 3)),
    ],
)
def test_equal_tensors_pass(got, want):
    check_tensor(got, want, HINT)


@pytest.mark.parametrize(
    ("got", "want", "says"),
    [
        ([1.0], torch.ones(1), "should be a tensor, but it is list"),
        (torch.ones(3, 2), torch.ones(2, 3), rf"shape is \(3, 2\) and should be \(2, 3\); {re.escape(HINT)}"),
        (torch.tensor([1 + 1e-4]), torch.ones(1), r"other axis\? \(the largest difference is 0.0001\)"),
        (torch.tensor([NAN, 1.0]), torch.ones(2), "holds nan; is it"),
        (torch.tensor([NAN, 1.0]), torch.tensor([NAN, 1.0]), "holds nan"),
        (torch.tensor([INF]), torch.tensor([-INF]), "largest difference is inf"),
        (torch.tensor([1.0]), torch.tensor([-INF]), "largest difference is inf"),
    ],
)
def test_other_tensors_fail_and_the_hint_is_said(got, want, says):
    with pytest.raises(AssertionError, match=says):
        check_tensor(got, want, HINT)


def test_a_tolerance_takes_the_place_of_the_usual_one():
    check_tensor(torch.tensor([1.01]), torch.ones(1), HINT, tolerance=0.02)
    with pytest.raises(AssertionError):
        check_tensor(torch.tensor([1 + 1e-6]), torch.ones(1), HINT, tolerance=1e-9)


def test_numbers_are_compared_by_shares():
    check_number(1e12 + 1, 1e12, HINT)
    check_number(0, 0.0, HINT)
    for got, says in (
        (1e12 + 1e6, r"is it the other axis\? \(you have 1e\+12, it is 1e\+12\)"),
        (1e-12, "you have 1e-12, it is 0"),
        (True, "should be a number, but it is bool"),
        (torch.tensor(1.0), "but it is Tensor"),
        (NAN, "no finite number; is it the other"),
    ):
        want = 1e12 if isinstance(got, float) and got > 1 else 0.0
        with pytest.raises(AssertionError, match=says):
            check_number(got, want, HINT)


def test_a_refusal_gives_back_what_the_error_says():
    assert check_refused("no number", int, "x").startswith("invalid literal")
    assert "NoneType" in check_refused("no number", int, None, error=TypeError)


def test_what_is_not_refused_fails():
    with pytest.raises(AssertionError, match=r"x is fine: that should raise a TypeError .* raised another: ValueError"):
        check_refused("x is fine", int, "x", error=TypeError)
    with pytest.raises(AssertionError, match=r"7 is odd: that should raise a ValueError .* your code raised nothing"):
        check_refused("7 is odd", int, "7")


def test_a_seed_decides_what_is_drawn_and_torch_s_own_state_stays():
    before = torch.get_rng_state()
    assert torch.equal(numbers(1, 2, 3), numbers(1, 2, 3)) and not torch.equal(numbers(1, 2, 3), numbers(2, 2, 3))
    assert numbers(1, 2, 3, scale=2.0, dtype=torch.float64).dtype == torch.float64
    ids = token_ids(1, 7, 1000)
    assert torch.equal(ids, token_ids(1, 7, 1000)) and sorted(set(ids.tolist())) == list(range(7))
    assert torch.equal(torch.get_rng_state(), before)
