"""Which known mistake a failing submission makes.

`tests/topics/<name>/wrong.py` holds wrong answers as students write them, each with a public label. Each was played
into the assembled notebook (`course.pages.record`); how its exercise's tests then failed is its outcome, which
`tests/topics/<name>/mistakes.json` holds. A submission whose tests say the same made the same mistake. Where several
answers have the same outcome, the values that visible tests report, and the integration test, may tell them apart; else
the answer is "one of these".
"""

import functools
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course import CourseError
from course.judging import wire
from course.judging.verdict import Failure
from course.notebook import test_cells
from course.pages.digests import digests
from labkit.notebook import INTEGRATION


class NoBank(CourseError):
    """One sentence: why there are no known mistakes to compare with."""


Failures = Mapping[str, Failure]
"""`{id of a test cell: how it fails}`."""


@dataclass(frozen=True)
class Mistake:
    """A wrong answer of the bank and its outcomes: one where no seed matters, else one for each way to fail."""

    exercise: str
    label: str
    outcomes: tuple[dict[str, Failure], ...]
    digest: str = ""
    """Of what the outcomes were made from."""

    def fails_as(self, failures: Failures, tests: set[str]) -> bool:
        """Whether it fails the same of these tests, for the same reasons."""
        return any(_patterns(outcome, tests) == _patterns(failures, tests) for outcome in self.outcomes)

    def may_fail_as(self, failures: Failures, tests: set[str]) -> bool:
        """Whether each of these tests, taken by itself, did the same under some seed."""
        known = [_patterns(outcome, tests) for outcome in self.outcomes]
        now = _patterns(failures, tests)
        return bool(now) and all(any(outcome.get(test) == now.get(test) for outcome in known) for test in tests)

    def steady(self, test: str) -> bool:
        """Whether a test says the same of it whatever the seed."""
        return len({_detail(outcome, test) for outcome in self.outcomes}) == 1

    def reports(self, failures: Failures, tests: set[str]) -> bool:
        """Whether these tests, which must be steady, meet the same values."""
        return all(_detail(self.outcomes[0], test) == _detail(failures, test) for test in tests)


def _patterns(failures: Failures, tests: set[str]) -> dict[str, str]:
    return {test: failure.pattern for test, failure in failures.items() if test in tests}


def _detail(failures: Failures, test: str) -> str | None:
    """What a test reports, its numbers to three digits: the last ones differ from one make of processor to another."""
    if test not in failures:
        return None
    return re.sub(r"\d+\.\d+(?:e[+-]?\d+)?", lambda number: f"{float(number[0]):.3g}", failures[test].detail)


def tests_of(source: NotebookNode, *, private: bool = True) -> dict[str, str]:
    """`{id of a test cell: exercise it judges}`, in the notebook's order; without `private` those that are released."""
    return {test.id: test.exercise for test in test_cells(source) if private or not test.private}


def which(failures: Failures, exercise: str, tests: Mapping[str, str], known: Iterable[Mistake]) -> list[str]:
    """Labels of the mistakes in `exercise` that would fail just so: none, one, or several that look alike.

    `failures` are all of a submission's; `tests` are those that are released (`tests_of`): of others no bank knows.
    """
    failures = {test: failure for test, failure in failures.items() if test in tests}
    if not any(tests[test] == exercise for test in failures):
        return []
    own = {test for test, e in tests.items() if e == exercise}
    ours = [m for m in known if m.exercise == exercise]
    found = [m for m in ours if m.fails_as(failures, own)] or [m for m in ours if m.may_fail_as(failures, own)]
    # What fails in the integration test speaks of this exercise only if nothing else is wrong.
    elsewhere = {tests[test] for test in failures} - {exercise, INTEGRATION}
    wider = own if elsewhere else own | {test for test, e in tests.items() if e == INTEGRATION}
    found = [m for m in found if m.fails_as(failures, wider)] or found
    for more in (own, wider):
        steady = {test for test in more if all(m.steady(test) for m in found)}
        found = [m for m in found if m.reports(failures, steady)] or found
    return [m.label for m in found]


def bank_of(root: Path, name: str) -> Path:
    """The bank of wrong answers of an assignment, in the repository at `root`.

    Raises:
        NoBank: there is none.
    """
    path = root / "tests" / "topics" / name / "wrong.py"
    if not path.is_file():
        raise NoBank(f"The repository has no bank of known mistakes for {name} (tests/topics/{name}/wrong.py).")
    return path


def record_of(root: Path, name: str) -> Path:
    """The file that holds what the tests say of each answer of the bank."""
    return root / "tests" / "topics" / name / "mistakes.json"


def read_record(root: Path, name: str) -> list[Mistake]:
    """The mistakes in an assignment's record, up to date or not; none where there is no record that can be read."""
    try:
        return wire.decode(record_of(root, name).read_bytes(), list[Mistake])
    except (OSError, ValueError):
        return []


def known_mistakes(root: Path, name: str, source: NotebookNode) -> list[Mistake]:
    """The mistakes whose outcomes were made from what is there now. Nothing is played, so this takes no time.

    `root` is the repository, `source` the assembled notebook, with private tests or without.

    Raises:
        NoBank: there is no bank, or nothing that its record holds is up to date.
    """
    now = _digests_now(root, name, source)
    current = [m for m in read_record(root, name) if now.get((m.exercise, m.label)) == m.digest]
    if not current:
        raise NoBank(
            f"The record of known mistakes (tests/topics/{name}/mistakes.json) is of another version of {name}: "
            f"`make mistakes ASSIGNMENT={name}` brings it up to date."
        )
    return current


def stale_part(root: Path, name: str, source: NotebookNode) -> str | None:
    """One sentence on the known mistakes that nothing is compared with, as their entries are of another version.

    None where the whole record is up to date. Arguments and errors are those of `known_mistakes`.
    """
    known, bank = known_mistakes(root, name, source), _digests_now(root, name, source)
    if len(known) == len(bank):
        return None
    return (
        f"{len(bank) - len(known)} of the {len(bank)} known mistakes are left out, as the record "
        f"(tests/topics/{name}/mistakes.json) is of another version of them: `make mistakes ASSIGNMENT={name}` brings "
        "it up to date."
    )


def _digests_now(root: Path, name: str, source: NotebookNode) -> dict[tuple[str, str], str]:
    return _digests(root, name, json.dumps(source, sort_keys=True), bank_of(root, name).read_bytes())


@functools.lru_cache(maxsize=8)  # the same for all students of a class
def _digests(root: Path, name: str, source: str, bank: bytes) -> dict[tuple[str, str], str]:
    return digests(root, name, nbformat.from_dict(json.loads(source)))
