"""What tests of many exercises do: compare answers with what is wanted, want an error, make inputs by seed.

A failed check says what was got and what was wanted at the first place that differs, and before that what the student
may have done: the words of one of the `mistakes` that a test knows, where the answer is just what that mistake gives,
else the test's hint.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

Mistakes = Mapping[str, Any]
"""`{words: what an answer with that mistake gives, or a function without arguments that computes it}`. The first whose
value is the answer's names it, so a test's inputs must tell apart what it lists."""
NONE: Mistakes = MappingProxyType({})


class Wrong(AssertionError):
    """An answer is not what was wanted. `words` are the author's own part of the message."""

    def __init__(self, words: str, figures: str = ""):
        super().__init__(f"{words} ({figures})" if figures else words)
        self.words = words


def check_tensor(got: Any, want: Tensor, hint: str, *, tolerance: float = 1e-5, mistakes: Mistakes = NONE) -> None:
    """Assert that `got` is a tensor with the shape and the values of `want`.

    tolerance: the largest difference allowed. Infinities are equal to themselves alone, and nan to nothing.
    """
    assert isinstance(got, Tensor), f"the result should be a tensor, but it is {called(got)}"
    if got.shape != want.shape:
        figures = f"its shape is {tuple(got.shape)} and should be {tuple(want.shape)}"
        if words := _named(got, mistakes, tolerance):
            raise Wrong(words, figures)
        raise Wrong(f"the result has another shape; {hint}", figures)
    values, wanted = got.detach().double(), want.detach().double()
    off = ~((values == wanted) | ((values - wanted).abs() <= tolerance))
    if not off.any():
        return
    figures = _first_of(values, wanted, off)
    if words := _named(got, mistakes, tolerance):
        raise Wrong(words, figures)
    if values.isnan().any():
        raise Wrong(f"the result holds nan; {hint}", figures)
    raise Wrong(hint, figures)


def _first_of(got: Tensor, want: Tensor, off: Tensor) -> str:
    """Both values at the first place where two tensors differ, and how many do."""
    place = tuple(off.nonzero()[0].tolist())
    left, right = _apart(got[place].item(), want[place].item())
    where = f"at {list(place)} " if place else ""
    count = f"; {int(off.sum())} of {off.numel()} differ" if off.numel() > 1 else ""
    return f"{where}you have {left}, it should be {right}{count}"


def _apart(got: float, want: float) -> tuple[str, str]:
    """Two numbers with as few digits as show that they differ, four at least; whole ones in full."""
    if all(math.isfinite(n) and n == int(n) and abs(n) < 1e15 for n in (got, want)):
        return f"{int(got):,}", f"{int(want):,}"
    for digits in range(4, 17):
        left, right = f"{got:,.{digits}g}", f"{want:,.{digits}g}"
        if left != right:
            break
    return left, right


def _named(got: Any, mistakes: Mistakes, tolerance: float) -> str | None:
    """The words of the first mistake that gives just what was got."""
    for words, value in mistakes.items():
        if _same(got, value() if callable(value) else value, tolerance):
            return words
    return None


def _same(got: Any, value: Any, tolerance: float) -> bool:
    if isinstance(value, Tensor) and isinstance(got, Tensor):
        close = got.shape == value.shape and torch.isclose(
            got.detach().double(), value.detach().double(), rtol=0, atol=tolerance, equal_nan=True
        )
        return bool(close if isinstance(close, bool) else close.all())
    if isinstance(value, float) and isinstance(got, int | float):
        return got == value or abs(got - value) <= tolerance or (math.isnan(got) and math.isnan(value))
    return difference(got, value) is None


def check_number(got: Any, want: float, hint: str, relative: float = 1e-9, *, mistakes: Mistakes = NONE) -> None:
    """Assert that `got` is a finite number, no further from `want` than the share `relative` of it."""
    is_number = isinstance(got, int | float) and not isinstance(got, bool)
    assert is_number, f"the result should be a number, but it is {called(got)}"
    tolerance = relative * max(abs(want), 1e-300)
    if abs(got - want) <= tolerance:
        return
    left, right = _apart(got, want)
    figures = f"you have {left}, it should be {right}"
    if words := _named(float(got), {words: _as_float(value) for words, value in mistakes.items()}, tolerance):
        raise Wrong(words, figures)
    if not math.isfinite(got):
        raise Wrong(f"the result is no finite number; {hint}", figures)
    raise Wrong(hint, figures)


def _as_float(value: Any) -> Any:
    return (lambda: float(value())) if callable(value) else float(value)


def check_equal(got: Any, want: Any, hint: str, *, mistakes: Mistakes = NONE) -> None:
    """Assert that `got` is `want`: numbers, text, bytes, None, and lists, tuples, sets and dicts of these.

    A list is not a tuple, True is not 1, and 1 is not 1.0.
    """
    figures = difference(got, want)
    if figures is None:
        return
    if words := _named(got, mistakes, 0.0):
        raise Wrong(words, figures)
    raise Wrong(hint, figures)


def difference(got: Any, want: Any, place: str = "") -> str | None:
    """Where and how `got` first differs from `want`, in words; None where they are equal."""
    where = f"at {place} " if place else ""
    if type(got) is not type(want):
        return f"{where}you have {called(got)}, it should be {called(want)}"
    if isinstance(want, Tensor):
        return None if torch.equal(got, want) else f"{where}the tensors differ"
    if isinstance(want, Mapping):
        for key in (*(k for k in want if k not in got), *(k for k in got if k not in want)):
            return f"{where}the key {_shown(key)} is {'missing' if key in want else 'one too many'}"
        parts: Iterable[tuple[Any, Any, Any]] = ((key, got[key], value) for key, value in want.items())
    elif isinstance(want, AbstractSet):
        lacks, extra = sorted(want - got, key=repr), sorted(got - want, key=repr)
        if lacks or extra:
            return f"{where}{_shown((lacks or extra)[0])} is {'missing' if lacks else 'one too many'}"
        return None
    elif isinstance(want, Sequence) and not isinstance(want, str | bytes):
        parts = zip(range(len(want)), got, want, strict=False)
    else:
        return None if got == want else f"{where}you have {_shown(got)}, it should be {_shown(want)}"
    for key, left, right in parts:
        if found := difference(left, right, f"{place}[{_shown(key)}]"):
            return found
    if len(got) != len(want):
        rest = (
            f", it lacks {_shown(want[len(got)])}"
            if len(got) < len(want)
            else f", {_shown(got[len(want)])} is too many"
        )
        return f"{where}you have {len(got)} item{'s' * (len(got) != 1)}, it should be {len(want)}{rest}"
    return None


def called(value: Any) -> str:
    """A value as a message names it: what type it is, and of short data the value too."""
    match value:
        case None | bool():
            return repr(value)
        case int() | float() | str() | bytes():
            return f"the {type(value).__name__} {_shown(value)}"
        case list() | tuple() | set() | dict():
            return f"a {type(value).__name__} of {len(value)}"
        case Tensor():
            return f"a tensor of shape {tuple(value.shape)}"
    name = type(value).__name__
    return "an object of yours" if name == "Remote" else f"a {name}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def check_refused(hint: str, function: Callable, *args: Any, error: type[Exception] = ValueError, **kwargs: Any) -> str:
    """Assert that a call raises `error`, and return what the error says; `hint` tells what is wrong with the call."""
    wanted = f"{hint}: that should raise a {error.__name__} that says so"
    try:
        function(*args, **kwargs)
    except error as raised:
        return str(raised)
    except NotImplementedError:  # the exercise is blank
        raise
    except Exception as raised:
        raise AssertionError(f"{wanted}, and your code raised another: {type(raised).__name__}") from None
    raise AssertionError(f"{wanted}, and your code raised nothing")


def numbers(seed: int, *shape: int, scale: float = 1.0, dtype: torch.dtype = torch.float32) -> Float[Tensor, "..."]:
    """Normal random numbers of a shape, the same for the same seed."""
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def token_ids(seed: int, vocab_size: int, *shape: int) -> Int[Tensor, "..."]:
    """Random token ids below `vocab_size` of a shape, the same for the same seed."""
    return torch.randint(vocab_size, shape, generator=torch.Generator().manual_seed(seed))
