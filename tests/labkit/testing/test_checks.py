"""The checks that tests of exercises are made of: what they let pass, what they refuse, and what they say then."""

import math
import re

import pytest
import torch

from labkit.testing.checks import Wrong, check_equal, check_number, check_refused, check_tensor, numbers, token_ids

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
        ([1.0], torch.ones(1), "should be a tensor, but it is a list of 1"),
        (
            torch.ones(3, 2),
            torch.ones(2, 3),
            rf"another shape; {re.escape(HINT)} \(its shape is \(3, 2\) and should be \(2, 3\)\)",
        ),
        (torch.tensor([1 + 1e-4]), torch.ones(1), r"other axis\? \(at \[0\] you have 1.0001, it should be 1\)"),
        (torch.tensor([NAN, 1.0]), torch.ones(2), "holds nan; is it"),
        (torch.tensor([NAN, 1.0]), torch.tensor([NAN, 1.0]), "holds nan"),
        (torch.tensor([INF]), torch.tensor([-INF]), "have inf, it should be -inf"),
        (torch.tensor([1.0]), torch.tensor([-INF]), "have 1, it should be -inf"),
        (torch.tensor([[1, 2], [3, 5]]), torch.tensor([[1, 2], [4, 4]]), r"at \[1, 0\] .* 3, .* 4; 2 of 4 differ"),
        (torch.tensor(2.0), torch.tensor(1.0), r"axis\? \(you have 2, it should be 1\)$"),
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
        (1e12 + 1e6, r"is it the other axis\? \(you have 1,000,001,000,000, it should be 1,000,000,000,000\)"),
        (1e-12, "you have 1e-12, it should be 0"),
        (True, "should be a number, but it is True"),
        (torch.tensor(1.0), "but it is a tensor of shape"),
        (NAN, "no finite number; is it the other"),
    ):
        want = 1e12 if isinstance(got, float) and got > 1 else 0.0
        with pytest.raises(AssertionError, match=says):
            check_number(got, want, HINT)


def test_the_mistake_that_gives_just_this_is_named():
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    known = {"it is transposed": lambda: x.T, "every part is doubled": 2 * x, "it divides by 0": x / 0}
    for got, says in ((x.mT, "it is transposed"), (x * 2, "every part is doubled"), (x / 0, "it divides by 0")):
        with pytest.raises(Wrong, match=rf"^{says} \(at ") as raised:
            check_tensor(got, x, HINT, mistakes=known)
        assert raised.value.words == says
    with pytest.raises(Wrong, match=f"^{re.escape(HINT)}"):
        check_tensor(x + 1, x, HINT, mistakes=known)
    with pytest.raises(Wrong, match=r"^it forgets the root \(you have 9, it should be 3\)"):
        check_number(9, 3.0, HINT, mistakes={"it adds": 6, "it forgets the root": lambda: 9})
    with pytest.raises(Wrong, match=r"^it is not sorted \(at \[0\] you have 2"):
        check_equal([2, 1], [1, 2], HINT, mistakes={"it is not sorted": lambda: [2, 1]})


def test_a_mistake_is_computed_only_where_something_is_wrong():
    def never():
        raise RuntimeError

    check_tensor(torch.ones(1), torch.ones(1), HINT, mistakes={"x": never})
    check_number(1, 1.0, HINT, mistakes={"x": never})
    check_equal("a", "a", HINT, mistakes={"x": never})


@pytest.mark.parametrize(
    ("got", "want", "says"),
    [
        ((1, 2), [1, 2], "you have a tuple of 2, it should be a list of 2"),
        ([(0, 1)], [b"ab"], r"at \[0\] you have a tuple of 2, it should be the bytes b'ab'"),
        ([1, 2, 3], [1, 2], "you have 3 items, it should be 2, 3 is too many"),
        ([1], [1, 2], "you have 1 item, it should be 2, it lacks 2"),
        ({"a": [1, 5]}, {"a": [1, 2]}, r"at \['a'\]\[1\] you have 5, it should be 2"),
        ({"a": 1}, {"b": 1}, "the key 'b' is missing"),
        ({1, 3}, {1, 2}, "2 is missing"),
        ({1, 2}, {1}, "2 is one too many"),
        (True, 1, "you have True, it should be the int 1"),
        (None, "x", "you have None, it should be the str 'x'"),
        ("long " * 30, "short", r"you have 'long .*\.\.\., it should be 'short'"),
        (torch.ones(1), [1.0], r"you have a tensor of shape \(1,\), it should be a list of 1"),
    ],
)
def test_data_differ_at_a_place(got, want, says):
    with pytest.raises(Wrong, match=says):
        check_equal(got, want, HINT)
    check_equal(want, want, HINT)


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
