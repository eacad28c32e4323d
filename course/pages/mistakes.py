"""Which known mistake a failing submission makes.

`tests/topics/<name>/wrong.py` holds wrong answers as students write them, each with a public label. Each is played
into the assembled notebook once a version of the assignment; what its exercise's tests then say is its mark. A
submission whose tests say the same made the same mistake. Where several answers leave the same mark, the values that
visible tests report, and the integration test, may tell them apart; else the answer is "one of these".
"""

import ast
import hashlib
import importlib.util
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from nbformat import NotebookNode

from course import CourseError
from course.judging import wire
from course.judging.messages import told
from course.judging.verdict import Failure
from course.notebook import test_cells
from labkit.files import write_whole
from labkit.notebook import INTEGRATION
from labkit.testing.answers import graded_with

# Hidden tests draw their shapes from the seed, and a mistake may fail another of a test's assertions on other shapes.
SEEDS = ("1", "2", "3", "4", "5")


class NoBank(CourseError):
    """One sentence: why there are no known mistakes to compare with."""


Failures = Mapping[str, Failure]
"""`{id of a test cell: how it fails}`."""


@dataclass(frozen=True)
class Mistake:
    """A wrong answer of the bank and the marks it leaves, one for each seed."""

    exercise: str
    label: str
    marks: tuple[dict[str, Failure], ...]

    def fails_as(self, failures: Failures, tests: set[str]) -> bool:
        """Whether it fails the same of these tests, for the same reasons."""
        return any(_patterns(mark, tests) == _patterns(failures, tests) for mark in self.marks)

    def may_fail_as(self, failures: Failures, tests: set[str]) -> bool:
        """Whether each of these tests, taken by itself, did the same under some seed."""
        said = [_patterns(mark, tests) for mark in self.marks]
        now = _patterns(failures, tests)
        return bool(now) and all(any(mark.get(test) == now.get(test) for mark in said) for test in tests)

    def steady(self, test: str) -> bool:
        """Whether a test says the same of it whatever the seed."""
        return len({_detail(mark, test) for mark in self.marks}) == 1

    def reports(self, failures: Failures, tests: set[str]) -> bool:
        """Whether these tests, which must be steady, meet the same values."""
        return all(_detail(self.marks[0], test) == _detail(failures, test) for test in tests)


def _patterns(failures: Failures, tests: set[str]) -> dict[str, str]:
    return {test: failure.pattern for test, failure in failures.items() if test in tests}


def _detail(failures: Failures, test: str) -> str | None:
    return failures[test].detail if test in failures else None


def tests_of(source: NotebookNode) -> dict[str, str]:
    """`{id of a test cell: exercise it judges}`, in the notebook's order."""
    return {test.id: test.exercise for test in test_cells(source)}


def which(failures: Failures, exercise: str, tests: Mapping[str, str], known: Iterable[Mistake]) -> list[str]:
    """Labels of the mistakes in `exercise` that would fail just so: none, one, or several that look alike.

    `failures` are all of a submission's; `tests` is `tests_of` the assignment.
    """
    own = {test for test, e in tests.items() if e == exercise}
    ours = [m for m in known if m.exercise == exercise]
    found = [m for m in ours if m.fails_as(failures, own)] or [m for m in ours if m.may_fail_as(failures, own)]
    # What fails in the integration test speaks of this exercise only if nothing else is wrong.
    elsewhere = {tests.get(test) for test in failures} - {exercise, INTEGRATION}
    wider = own if elsewhere else own | {test for test, e in tests.items() if e == INTEGRATION}
    found = [m for m in found if m.fails_as(failures, wider)] or found
    for more in (own, wider):
        steady = {test for test in more if all(m.steady(test) for m in found)}
        found = [m for m in found if m.reports(failures, steady)] or found
    return [m.label for m in found]


def known_mistakes(root: Path, name: str, source: NotebookNode, cache: Path) -> list[Mistake]:
    """The mistakes of the bank that belongs to an assignment, played or taken from the folder `cache`.

    Raises:
        NoBank: the repository at `root` has none, or it cannot be played.
    """
    path = root / "tests" / "topics" / name / "wrong.py"
    if not path.is_file():
        raise NoBank(f"The repository has no bank of known mistakes for {name} (tests/topics/{name}/wrong.py).")
    kept = _kept(root, path, name, source, cache)
    if (mistakes := _read(kept)) is None:
        mistakes = list(_played(path, name, source))
        cache.mkdir(parents=True, exist_ok=True)
        for old in cache.glob(f"{name}-*.json"):
            old.unlink()
        write_whole(kept, wire.encode(mistakes))
    return mistakes


def played_mistakes(root: Path, name: str, source: NotebookNode, cache: Path) -> list[Mistake]:
    """The same where they were played before; else none, at once."""
    path = root / "tests" / "topics" / name / "wrong.py"
    return (_read(_kept(root, path, name, source, cache)) or []) if path.is_file() else []


def _kept(root: Path, path: Path, name: str, source: NotebookNode, cache: Path) -> Path:
    """The file in `cache` for this version of the assignment, its bank and its reference."""
    reference = root / "solutions"
    parts = [json.dumps(source, sort_keys=True).encode(), path.read_bytes(), Path(__file__).read_bytes()]
    parts += [module.read_bytes() for module in sorted(reference.glob("*.py"))]
    version = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:16]
    return cache / f"{name}-{version}.json"


def _read(kept: Path) -> list[Mistake] | None:
    try:
        return wire.decode(kept.read_bytes(), list[Mistake])
    except (OSError, ValueError):
        return None  # not played yet, or the file is damaged: it is played again


def _played(path: Path, name: str, source: NotebookNode) -> Iterator[Mistake]:
    try:
        from course.banks.bank import bank
        from course.banks.play import play
    except ImportError as error:
        raise NoBank(f"The bank {path} cannot be played, as the repository's tests are not at hand: {error}.") from None
    _load(path, f"tests.topics.{name}.wrong")
    tests = tests_of(source)
    words = Words(source).of
    for answer in bank("wrong", name):
        only = {t.removeprefix("test-") for t, e in tests.items() if e in (answer.exercise, INTEGRATION)}
        marks = []
        for seed in SEEDS:
            with graded_with(seed):
                said = play(source, answer.names, only=only, through_codec=True)
            marks.append(words({f"test-{test}": error for test, error in said.items() if error}))
        yield Mistake(answer.exercise, answer.label, tuple(marks))


class Words:
    """Puts the exceptions of a notebook's tests into the words that the judge writes down."""

    def __init__(self, source: NotebookNode):
        self.trees = {f"<{cell.id}>": ast.parse(cell.source) for cell in source.cells if cell.cell_type == "code"}
        self.cells = {test.id: test for test in test_cells(source)}

    def of(self, errors: Mapping[str, Exception]) -> dict[str, Failure]:
        """`{test cell: how it failed}` for `{test cell: what it raised}`."""
        return {test: told(error, self.cells[test], self.trees) for test, error in errors.items()}


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
