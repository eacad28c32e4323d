"""Banks of answers: what students write wrong, and what they write right in another way.

A bank is an ordinary module, `tests/topics/<name>/wrong.py` or `tests/topics/<name>/right.py`, whose definitions are
registered by a decorator. `tests/banks/test_banks.py` plays each answer into the assembled notebook right after its
exercise's cell:

    @wrong("layer-norm", mistake="uses the unbiased variance", says="divide by n")
    class LayerNorm(solutions.gpt.LayerNorm): ...

    @right("layer-norm", differs="one pass over the squares")
    class LayerNorm(solutions.gpt.LayerNorm): ...

An answer takes the place of the name it is defined by. `says` is part of the message that one of the exercise's tests
must give, and none of their messages may hold one of the hints in `never`. Every wrong answer fails a visible test, but
for one that is `fitted` to the visible inputs: it holds a visible test's own input or expected value. Several answers
may share a name, and one definition may answer with `name=` under another.
"""

import ast
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course.reach import reached_among, statements


@dataclass(frozen=True)
class Answer:
    """One answer in a bank. `label` says publicly what is wrong, or how it differs."""

    exercise: str
    name: str
    answer: Any
    label: str
    says: str | None = None  # None for right answers
    never: tuple[str, ...] = ()
    """Hints at mistakes that were not made: no message of a test may hold one."""
    fitted: bool = False
    """Whether it is fitted to the visible inputs, so that only hidden tests see it."""

    @property
    def names(self) -> dict[str, Any]:
        """What `course.banks.play.play` takes as answers."""
        return {self.name: self.answer}


_banks: dict[str, list[Answer]] = {}


def wrong(
    exercise: str,
    *,
    mistake: str,
    says: str,
    name: str | None = None,
    never: Sequence[str] = (),
    fitted: bool = False,
) -> Callable[[Any], Any]:
    """Register a wrong answer to `exercise`: it must lose points there, with a message that contains `says`."""
    return _register(exercise, name, mistake, says=says, never=tuple(never), fitted=fitted)


def right(exercise: str, *, differs: str, name: str | None = None) -> Callable[[Any], Any]:
    """Register another right answer to `exercise`: it must keep all points."""
    return _register(exercise, name, differs)


def _register(exercise: str, name: str | None, label: str, **more: Any) -> Callable[[Any], Any]:
    def register(definition: Any) -> Any:
        bank = _banks.setdefault(definition.__module__, [])
        if any(a.exercise == exercise and a.label == label for a in bank):
            raise ValueError(f"{definition.__module__}: two answers to {exercise} are labelled {label!r}")
        bank.append(Answer(exercise, name or definition.__name__, definition, label, **more))
        return definition

    return register


def bank(kind: str, name: str) -> list[Answer]:
    """All answers of `tests/topics/<name>/<kind>.py`, in the order they stand there."""
    module = f"tests.topics.{name}.{kind}"
    importlib.import_module(module)
    return list(_banks.get(module, ()))


@dataclass(frozen=True)
class AnswerText:
    """One answer in a bank as text."""

    exercise: str
    label: str
    code: str
    """Its definition, and a line that binds the name it answers under where it is defined by another."""
    support: tuple[str, ...]
    """The other statements of the bank's module on which it builds."""


def bank_texts(path: Path) -> list[AnswerText]:
    """The answers of a bank's module, `wrong.py` or `right.py`, in the order they stand there; nothing of it is run."""
    helpers: list[tuple[ast.stmt, str]] = []
    answers: list[tuple[str, str, str]] = []
    for node, text in statements(path.read_text(encoding="utf-8")):
        decorators = node.decorator_list if isinstance(node, ast.FunctionDef | ast.ClassDef) else []
        registering = [d for d in decorators if isinstance(d, ast.Call) and ast.unparse(d.func) == path.stem]
        if not registering:
            helpers.append((node, text))
            continue
        assert isinstance(node, ast.FunctionDef | ast.ClassDef) and node.end_lineno
        others = [f"@{ast.unparse(decorator)}" for decorator in decorators if decorator not in registering]
        definition = [*others, *text.splitlines()[node.lineno - node.end_lineno - 1 :]]
        for call in reversed(registering):  # as Python applies them
            given = {k.arg: ast.literal_eval(k.value) for k in call.keywords if k.arg in ("mistake", "differs", "name")}
            name = given.pop("name", node.name)
            binding = [] if name == node.name else [f"{name} = {node.name}"]
            (label,) = given.values()
            answers.append((ast.literal_eval(call.args[0]), label, "\n".join([*definition, *binding])))
    return [AnswerText(*answer, tuple(reached_among(helpers, answer[-1]))) for answer in answers]
