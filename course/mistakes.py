"""Which known mistake a failing submission makes.

`tests/wrong/<name>.py` holds wrong answers as students write them, each with a public label. Each is played into the
assembled notebook once a version of the assignment; what its exercise's tests then say is its mark. A submission whose
tests say the same made the same mistake. Where several answers leave the same mark, the values that visible tests
report, and the integration test, may tell them apart; else the answer is "one of these".
"""

import ast
import hashlib
import importlib.util
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType

from nbformat import NotebookNode

from labkit.judge import SEED_VARIABLE

INTEGRATION = "integration"
# Hidden tests draw their shapes from the seed, and a mistake may fail another of a test's assertions on other shapes.
SEEDS = ("1", "2", "3")


class NoBank(Exception):
    """One sentence: why there are no known mistakes to compare with."""


@dataclass(frozen=True)
class Failure:
    """A test that an answer fails: what it says in the author's words, and in full where its inputs are fixed."""

    pattern: str
    detail: str | None  # None for a hidden test, whose values differ from submission to submission


Failures = Mapping[str, Failure]
"""`{id of a test cell: how it fails}`."""


@dataclass(frozen=True)
class Mistake:
    """A wrong answer of the bank and the marks it leaves, one for each seed."""

    exercise: str
    label: str
    marks: tuple[dict[str, Failure], ...]

    def leaves(self, failures: Failures, tests: set[str], full: bool = False) -> bool:
        """Whether one of its marks is these failures, as far as `tests` go; with `full`, to the values reported."""

        def of(all_failures: Failures) -> dict[str, tuple[str, str | None]]:
            return {test: (f.pattern, f.detail if full else None) for test, f in all_failures.items() if test in tests}

        return any(of(mark) == of(failures) for mark in self.marks)


def exercise_of(source: str) -> str | None:
    """The exercise that a test cell judges: the first argument of its `answers(...)`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "answers" and node.args:
            return str(ast.literal_eval(node.args[0]))
    return None


def tests_of(source: NotebookNode) -> dict[str, str]:
    """`{id of a test cell: exercise it judges}`, in the notebook's order."""
    found = {}
    for cell in source.cells:
        marks = cell.metadata.get("nbgrader", {})
        if cell.cell_type == "code" and marks.get("grade") and (exercise := exercise_of(cell.source)):
            found[str(marks["grade_id"])] = exercise
    return found


def which(failures: Failures, exercise: str, tests: Mapping[str, str], known: Iterable[Mistake]) -> list[str]:
    """Labels of the mistakes in `exercise` that would fail just so: none, one, or several that look alike.

    `failures` are all of a submission's; `tests` is `tests_of` the assignment.
    """
    own = {test for test, e in tests.items() if e == exercise}
    found = [m for m in known if m.exercise == exercise and m.leaves(failures, own)]
    # What fails in the integration test speaks of this exercise only if nothing else is wrong.
    elsewhere = {tests.get(test) for test in failures} - {exercise, INTEGRATION}
    wider = own if elsewhere else own | {test for test, e in tests.items() if e == INTEGRATION}
    for more, full in ((own, True), (wider, False), (wider, True)):
        if len(found) > 1:
            found = [m for m in found if m.leaves(failures, more, full)] or found
    return [m.label for m in found]


def known_mistakes(root: Path, name: str, source: NotebookNode, cache: Path) -> list[Mistake]:
    """The mistakes of the bank that belongs to an assignment, played or taken from the folder `cache`.

    Raises:
        NoBank: the repository at `root` has none, or it cannot be played.
    """
    path = root / "tests" / "wrong" / f"{name}.py"
    if not path.is_file():
        raise NoBank(f"The repository has no bank of known mistakes for {name} (tests/wrong/{name}.py).")
    reference = root / "solutions"
    parts = [json.dumps(source, sort_keys=True).encode(), path.read_bytes(), Path(__file__).read_bytes()]
    parts += [module.read_bytes() for module in sorted(reference.glob("*.py"))]
    version = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:16]
    kept = cache / f"{name}-{version}.json"
    if (mistakes := _read(kept)) is None:
        mistakes = list(_played(path, name, source))
        cache.mkdir(parents=True, exist_ok=True)
        for old in cache.glob(f"{name}-*.json"):
            old.unlink()
        draft = kept.with_suffix(".draft")
        draft.write_text(json.dumps([asdict(mistake) for mistake in mistakes]))
        draft.replace(kept)
    return mistakes


def _read(kept: Path) -> list[Mistake] | None:
    try:
        return [
            Mistake(
                entry["exercise"],
                entry["label"],
                tuple({test: Failure(**failure) for test, failure in mark.items()} for mark in entry["marks"]),
            )
            for entry in json.loads(kept.read_text())
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not played yet, or the file is damaged: it is played again


def _played(path: Path, name: str, source: NotebookNode) -> Iterator[Mistake]:
    try:
        from tests.bank import bank
        from tests.play import play
    except ImportError as error:
        raise NoBank(f"The bank {path} cannot be played, as the repository's tests are not at hand: {error}.") from None
    _load(path, f"tests.wrong.{name}")
    tests = tests_of(source)
    for answer in bank("wrong", name):
        only = {t.removeprefix("test-") for t, e in tests.items() if e in (answer.exercise, INTEGRATION)}
        marks = []
        for seed in SEEDS:
            with _seed(seed):
                said = play(source, answer.names, only=only, through_codec=True)
            mark = {f"test-{test}": error for test, error in said.items() if error is not None}
            marks.append({test: failure(error) for test, error in mark.items()})
        yield Mistake(answer.exercise, answer.label, tuple(marks))


def failure(error: BaseException) -> Failure:
    """What became of a test that ended in `error`."""
    import re
    import traceback

    tests = [f.name for f in traceback.extract_tb(error.__traceback__) if f.name.startswith("test_")]
    hidden = bool(tests) and tests[-1].endswith("_hidden")
    message = str(error)
    pattern = re.sub(r"\d+(\.\d+)?(e[-+]?\d+)?", "…", message)
    return Failure(pattern, None if hidden else message)


@contextmanager
def _seed(value: str) -> Iterator[None]:
    """The grading seed of the hidden tests, for the duration of a block."""
    before = os.environ.get(SEED_VARIABLE)
    os.environ[SEED_VARIABLE] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[SEED_VARIABLE]
        else:
            os.environ[SEED_VARIABLE] = before


def _load(path: Path, module: str) -> ModuleType:
    """The module in a file, under a name; the loaded one, if there is one of that name."""
    if module not in sys.modules:
        spec = importlib.util.spec_from_file_location(module, path)
        assert spec is not None and spec.loader is not None
        sys.modules[module] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(sys.modules[module])
        except BaseException:
            del sys.modules[module]
            raise
    return sys.modules[module]
