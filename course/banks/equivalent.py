"""Mutants that are the same function: which, why, and random inputs that say so too.

`tests/topics/<name>/equivalent.py` lists them, and draws inputs for their exercises:

    @uses("merge-pair")
    def merge_pair(of, draw):
        word = draw.choices([5, 6, 7], k=draw.randrange(9))
        return of.merge_pair(word, (5, 6), 256)

    same("merge-pair", "if a < b: -> if a <= b:", why="equal symbols are handled before")

A use calls the exercise's definitions, which are attributes of `of`, with inputs from `draw`, a `random.Random`
(torch's global seed is set alike), and returns data. The reference and the mutant must give equal data, or raise the
same error.
"""

import importlib
import importlib.util
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import torch
from nbformat import NotebookNode

from labkit.notebook import facts

USES = 1000


@dataclass
class Equivalents:
    """What one topic lists."""

    reasons: dict[tuple[str, str], str] = field(default_factory=dict)  # (exercise, name of the mutant) -> why
    uses: dict[str, Callable[[Any, random.Random], Any]] = field(default_factory=dict)  # of an exercise


_topics: dict[str, Equivalents] = {}


def equivalents(topic: str) -> Equivalents:
    """What `tests/topics/<topic>/equivalent.py` lists; nothing where there is no such file."""
    module = f"tests.topics.{topic}.equivalent"
    if importlib.util.find_spec(module):
        importlib.import_module(module)
    return _topics.setdefault(topic, Equivalents())


def listing(module: str) -> tuple[Callable[..., None], Callable[[str], Callable]]:
    """`same` and `uses` for the module of a topic's list, `__name__`."""
    topic = _topics.setdefault(module.split(".")[-2], Equivalents())

    def same(exercise: str, *names: str, why: str) -> None:
        """List mutants of an exercise by their names, with the reason that they share."""
        for name in names:
            if (exercise, name) in topic.reasons:
                raise ValueError(f"{module} lists a mutant of {exercise} twice: {name}")
            topic.reasons[exercise, name] = why

    def uses(exercise: str) -> Callable:
        """Register the function below as the use of an exercise."""

        def register(use: Callable) -> Callable:
            topic.uses[exercise] = use
            return use

        return register

    return same, uses


def difference(notebook: NotebookNode, use: Callable, reference: str, mutant: str, times: int = USES) -> str | None:
    """Where the definitions of two cells differ in `times` random uses; None where they do not."""
    ours, theirs = (_definitions(notebook, source) for source in (reference, mutant))
    for seed in range(times):
        want, got = _outcome(use, ours, seed), _outcome(use, theirs, seed)
        if not equal(want, got):
            return f"use {seed}: the reference gives {want!r}, the mutant {got!r}"
    return None


def _definitions(notebook: NotebookNode, source: str) -> SimpleNamespace:
    """A cell's definitions, among those of the reference's module."""
    module = importlib.import_module(facts(notebook)["reference"])
    namespace = dict(vars(module))
    exec(compile(source, "<mutant>", "exec"), namespace)
    return SimpleNamespace(**namespace)


def _outcome(use: Callable, of: SimpleNamespace, seed: int) -> Any:
    torch.manual_seed(seed)
    try:
        return use(of, random.Random(seed))
    except Exception as error:
        return type(error)


def equal(a: Any, b: Any) -> bool:
    """Whether two pieces of data are equal, numbers in floating point but for rounding."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, float | torch.Tensor):
        try:
            torch.testing.assert_close(a, b, equal_nan=True)
        except AssertionError:
            return False
        return True
    return a == b
