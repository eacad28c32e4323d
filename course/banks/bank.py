"""Banks of answers: what students write wrong, and what they write right in another way.

A bank is an ordinary module, `tests/topics/<name>/wrong.py` or `tests/topics/<name>/right.py`, whose definitions are
registered by a decorator. `tests/banks/test_banks.py` plays each answer into the assembled notebook right after its
exercise's cell:

    @wrong("layer-norm", mistake="uses the unbiased variance", says="divide by n")
    class LayerNorm(solutions.gpt.LayerNorm): ...

    @right("layer-norm", differs="one pass over the squares")
    class LayerNorm(solutions.gpt.LayerNorm): ...

An answer takes the place of the name it is defined by. `says` is part of the message that one of the exercise's tests
must give. Several answers may share a name, and one definition may answer with `name=` under another.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """One answer in a bank. `label` says publicly what is wrong, or how it differs."""

    exercise: str
    name: str
    answer: Any
    label: str
    says: str | None = None  # None for right answers

    @property
    def names(self) -> dict[str, Any]:
        """What `course.banks.play.play` takes as answers."""
        return {self.name: self.answer}


_banks: dict[str, list[Answer]] = {}


def wrong(exercise: str, *, mistake: str, says: str, name: str | None = None) -> Callable[[Any], Any]:
    """Register a wrong answer to `exercise`: it must lose points there, with a message that contains `says`."""
    return _register(exercise, name, mistake, says)


def right(exercise: str, *, differs: str, name: str | None = None) -> Callable[[Any], Any]:
    """Register another right answer to `exercise`: it must keep all points."""
    return _register(exercise, name, differs, None)


def _register(exercise: str, name: str | None, label: str, says: str | None) -> Callable[[Any], Any]:
    def register(definition: Any) -> Any:
        bank = _banks.setdefault(definition.__module__, [])
        if any(a.exercise == exercise and a.label == label for a in bank):
            raise ValueError(f"{definition.__module__}: two answers to {exercise} are labelled {label!r}")
        bank.append(Answer(exercise, name or definition.__name__, definition, label, says))
        return definition

    return register


def bank(kind: str, name: str) -> list[Answer]:
    """All answers of `tests/topics/<name>/<kind>.py`, in the order they stand there."""
    module = f"tests.topics.{name}.{kind}"
    importlib.import_module(module)
    return list(_banks.get(module, ()))
