"""What tests of many exercises do: compare tensors and numbers, want an error, make inputs by seed.

A failed check says first what the student may have done: the hint that the test passes.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor


def check_tensor(got: Any, want: Tensor, hint: str, *, tolerance: float = 1e-5) -> None:
    """Assert that `got` is a tensor with the shape and the values of `want`.

    tolerance: the largest difference allowed. Infinities are equal to themselves alone, and nan to nothing.
    """
    assert isinstance(got, Tensor), f"the result should be a tensor, but it is {type(got).__name__}"
    assert got.shape == want.shape, f"the shape is {tuple(got.shape)} and should be {tuple(want.shape)}; {hint}"
    got, want = got.detach().double(), want.double()
    assert not got.isnan().any(), f"the result holds nan; {hint}"
    different = got != want
    worst = (got - want)[different].abs().max().item() if different.any() else 0.0
    assert worst <= tolerance, f"{hint} (the largest difference is {worst:.2g})"


def check_number(got: Any, want: float, hint: str, relative: float = 1e-9) -> None:
    """Assert that `got` is a finite number, no further from `want` than the share `relative` of it."""
    is_number = isinstance(got, int | float) and not isinstance(got, bool)
    assert is_number, f"the result should be a number, but it is {type(got).__name__}"
    assert math.isfinite(got), f"the result is {got}, which is no finite number; {hint}"
    assert abs(got - want) <= relative * max(abs(want), 1e-300), f"{hint} (you have {got:,.6g}, it is {want:,.6g})"


def check_refused(hint: str, function: Callable, *args: Any, error: type[Exception] = ValueError, **kwargs: Any) -> str:
    """Assert that a call raises `error`, and return what the error says; `hint` tells what is wrong with the call."""
    wanted = f"{hint}: that should raise a {error.__name__} that says so"
    try:
        function(*args, **kwargs)
    except error as raised:
        return str(raised)
    except Exception as raised:
        raise AssertionError(f"{wanted}, and your code raised another: {type(raised).__name__}") from None
    raise AssertionError(f"{wanted}, and your code raised nothing")


def numbers(seed: int, *shape: int, scale: float = 1.0, dtype: torch.dtype = torch.float32) -> Float[Tensor, "..."]:
    """Normal random numbers of a shape, the same for the same seed."""
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def token_ids(seed: int, vocab_size: int, *shape: int) -> Int[Tensor, "..."]:
    """Random token ids below `vocab_size` of a shape, the same for the same seed."""
    return torch.randint(vocab_size, shape, generator=torch.Generator().manual_seed(seed))
