"""What stands between a test and the code it judges.

A test cell of an assembled notebook ends in `with answers("layer-norm"):` and calls its test functions inside.
While that block runs, the student's functions and classes refuse the library calls that the exercise asks them to
write, and the earlier exercises that this one builds on come from the reference, so that a mistake costs its points
once. Outside the student's code nothing is refused: a test may call the very function it compares with.

The same block serves when the student's code sits in another process: then the exercise names are proxies, and the
student's side is asked to do what this block does here (`labkit.testing.link`).
"""

import contextlib
import hashlib
import os
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from labkit.notebook import INTEGRATION
from labkit.testing import checks
from labkit.testing.link import Remote, RemoteSession
from labkit.testing.refusals import LABKIT, ReplacedCall, is_library_file
from labkit.testing.session import Session

SEED_VARIABLE = "COURSE_GRADING_SEED"
# Used where nobody grades: in the student's own notebook and in the project's tests.
PRACTICE_SEED = "practice"

_cells: list[str] = []


def fresh_seed() -> int:
    """Seed for a hidden test's inputs: new for each submission and test cell, and the same when it is graded again.

    It comes from the grading secret in the environment and the test cell that is running; where nobody grades it is
    a constant of the cell.
    """
    secret = os.environ.get(SEED_VARIABLE, PRACTICE_SEED)
    cell = _cells[-1] if _cells else ""
    return int.from_bytes(hashlib.sha256(f"{secret}:{cell}".encode()).digest()[:4], "big")


@contextlib.contextmanager
def graded_with(seed: object) -> Iterator[None]:
    """Judge one notebook in a block: hidden tests draw from `seed`."""
    before = os.environ.get(SEED_VARIABLE)
    os.environ[SEED_VARIABLE] = str(seed)
    try:
        yield
    finally:
        if before is None:
            del os.environ[SEED_VARIABLE]
        else:
            os.environ[SEED_VARIABLE] = before


class Answers:
    """What the tests of one notebook refuse and lend. A `with` block over a call of it judges one exercise.

    `reference` is the module with the reference's answers. `replaces` maps each exercise to the names that it defines
    and the library calls that these may not make, `lends` each test cell to names of earlier exercises that come from
    the reference while its tests run.
    """

    def __init__(
        self,
        reference: str,
        *,
        replaces: Mapping[str, Mapping[str, Sequence[str]]] = MappingProxyType({}),
        lends: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ):
        self.reference, self.replaces, self.lends = reference, replaces, lends
        self.failed: dict[str, set[str]] = {}  # exercise -> its test cells that fail

    def __call__(self, exercise: str, *, cell: str | None = None) -> "_Judging":
        """Judge an exercise's answers; `cell` is the name of the test cell, the exercise's when not given."""
        cell = cell or exercise
        of = [exercise] if exercise != INTEGRATION else list(self.replaces)
        replaces = {name: list(calls) for e in of for name, calls in self.replaces.get(e, {}).items()}
        lends = dict.fromkeys(self.lends.get(cell, ()), self.reference)
        namespace = sys._getframe(1).f_globals
        link = next((v._link for v in list(namespace.values()) if type(v) is Remote), None)
        session = link.session(replaces, lends) if link else Session(namespace, replaces, lends)
        return _Judging(exercise, cell, session, self.failed)


class _Judging:
    """One `with answers(...)` block."""

    def __init__(self, exercise: str, cell: str, session: Session | RemoteSession, failed: dict[str, set[str]]):
        self.exercise, self.cell, self.session, self.failed = exercise, cell, session, failed

    def __enter__(self) -> None:
        self.session.begin()
        _cells.append(self.cell)

    def __exit__(self, kind, error, trace) -> None:
        _cells.pop()
        try:
            self.session.end()
        except BaseException:
            # The student's side may be gone; then what the test failed with says why.
            if error is None:
                raise
        failures = self.failed.setdefault(self.exercise, set())
        if error is None:
            failures.discard(self.cell)
            return
        failures.add(self.cell)
        error.__traceback__ = _shortened(trace, isinstance(error, ReplacedCall))
        first = [e for e, cells in self.failed.items() if cells and e != self.exercise]
        if first and (self.session.not_lent or self.exercise == INTEGRATION):
            error.add_note(f"This test also uses your answer to {first[0]}, whose own test fails: fix that first.")


def _shortened(trace: types.TracebackType | None, to_the_end: bool) -> types.TracebackType | None:
    """A traceback with the steps of the notebook and of what its tests call to assert something.

    What libraries do between them, or after them, says nothing new.
    """
    steps = []
    while trace is not None:
        steps.append(trace)
        trace = trace.tb_next
    files = [step.tb_frame.f_code.co_filename for step in steps]
    last = max((n for n, file in enumerate(files) if not is_library_file(file)), default=-1)
    kept = [
        step
        for n, (step, file) in enumerate(zip(steps, files, strict=True))
        if not is_library_file(file)
        or file == checks.__file__
        or (n > last and not to_the_end and not file.startswith(LABKIT))
    ]
    shortened = None
    for step in reversed(kept):
        shortened = types.TracebackType(shortened, step.tb_frame, step.tb_lasti, step.tb_lineno)
    return shortened
