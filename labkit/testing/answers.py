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
from labkit.testing.outcome import Failure, Worth, draw_short, is_reference, notebook_shell
from labkit.testing.refusals import LABKIT, ReplacedCall, is_library_file
from labkit.testing.session import Session

SEED_VARIABLE = "COURSE_GRADING_SEED"
# Used where nobody grades: in the student's own notebook and in the project's tests.
PRACTICE_SEED = "practice"

_running: list["_Judging"] = []


def fresh_seed() -> int:
    """Seed for a hidden test's inputs: new for each submission and test cell, and the same when it is graded again.

    It comes from the grading secret in the environment and the test cell that is running; where nobody grades it is
    a constant of the cell.
    """
    secret = os.environ.get(SEED_VARIABLE, PRACTICE_SEED)
    cell = _running[-1].cell if _running else ""
    return int.from_bytes(hashlib.sha256(f"{secret}:{cell}".encode()).digest()[:4], "big")


def note(text: str) -> None:
    """Say a figure that matters, such as a share or the seconds saved, in the line that a passing test cell prints.

    A test may call this anywhere; no test needs to. Where no student reads the line, it does nothing.
    """
    if _running:
        _running[-1].notes.append(text)


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
    the reference while its tests run. `points` are those of each test cell, and `seen_in_part` the cells of which only
    some tests are visible, for the line that the cell prints.
    """

    def __init__(
        self,
        reference: str,
        *,
        replaces: Mapping[str, Mapping[str, Sequence[str]]] = MappingProxyType({}),
        lends: Mapping[str, Sequence[str]] = MappingProxyType({}),
        points: Mapping[str, int] = MappingProxyType({}),
        seen_in_part: Sequence[str] = (),
    ):
        self.reference, self.replaces, self.lends = reference, replaces, lends
        self.points, self.seen_in_part = points, seen_in_part
        self.failed: dict[str, set[str]] = {}  # exercise -> its test cells that fail
        self.helpers: dict[str, str] = {}  # function of a test cell -> the file name of that cell when it last ran

    def __call__(self, exercise: str, *, cell: str | None = None) -> "_Judging":
        """Judge an exercise's answers; `cell` is the name of the test cell, the exercise's when not given."""
        cell = cell or exercise
        of = [exercise] if exercise != INTEGRATION else list(self.replaces)
        replaces = {name: list(calls) for e in of for name, calls in self.replaces.get(e, {}).items() if calls}
        lends = dict.fromkeys(self.lends.get(cell, ()), self.reference)
        caller = sys._getframe(1)
        namespace, file = caller.f_globals, caller.f_code.co_filename
        self.helpers |= {name: file for name, function in _functions(namespace) if _file(function) == file}
        link = next((v._link for v in list(namespace.values()) if type(v) is Remote), None)
        session = link.session(replaces, lends) if link else Session(namespace, replaces, lends)
        return _Judging(self, exercise, cell, session, namespace, file)


def _functions(namespace: dict) -> list[tuple[str, types.FunctionType]]:
    return [(name, value) for name, value in list(namespace.items()) if type(value) is types.FunctionType]


def _file(function: types.FunctionType) -> str:
    return function.__code__.co_filename


class _Judging:
    """One `with answers(...)` block, in code of the file name `file` that runs in `namespace`."""

    def __init__(
        self,
        answers: Answers,
        exercise: str,
        cell: str,
        session: Session | RemoteSession,
        namespace: dict,
        file: str,
    ):
        self.answers, self.exercise, self.cell, self.session = answers, exercise, cell, session
        self.namespace, self.file = namespace, file
        self.notes: list[str] = []

    def __enter__(self) -> None:
        self.session.begin()
        _running.append(self)

    def __exit__(self, kind, error, trace) -> None:
        _running.pop()
        try:
            self.session.end()
        except BaseException:
            # The student's side may be gone; then what the test failed with says why.
            if error is None:
                raise
        failures = self.answers.failed.setdefault(self.exercise, set())
        if error is None:
            failures.discard(self.cell)
        else:
            failures.add(self.cell)
            first = [e for e, cells in self.answers.failed.items() if cells and e != self.exercise]
            if first and (self.session.not_lent or self.exercise == INTEGRATION):
                error.add_note(f"This test also uses your answer to {first[0]}, whose own test fails: fix that first.")
            for name in self._replaced_helpers():
                error.add_note(
                    f"`{name}` is also a function of the tests, and yours has taken its place: give yours another name "
                    "and run the notebook again."
                )
        in_notebook = notebook_shell(self.namespace) is not None
        if in_notebook:
            self._show(error, trace)
        if error is not None:
            # Not by assignment, which a class of the student's may refuse.
            BaseException.with_traceback(error, self._shortened(trace, isinstance(error, ReplacedCall), in_notebook))

    def _replaced_helpers(self) -> list[str]:
        """Functions of test cells whose names the student's code has bound anew."""
        now = dict(_functions(self.namespace))
        return [name for name, file in self.answers.helpers.items() if name in now and _file(now[name]) != file]

    def _show(self, error: BaseException | None, trace: types.TracebackType | None) -> None:
        """Print the line of a cell that passes, or have a few drawn in place of a traceback."""
        answers, worth = self.answers, Worth(self.answers.points.get(self.cell), self.cell in self.answers.seen_in_part)
        if error is None:
            print(worth.passed(self.cell, self.notes))
            return
        failure = Failure(
            error,
            trace,
            self.namespace,
            names=[name for defined in answers.replaces.values() for name in defined],
            reference=answers.reference,
            test=self.file,
        )
        draw_short(error, f"{worth.failed(self.cell)}\n\n{failure.text()}")

    def _shortened(
        self, trace: types.TracebackType | None, to_the_end: bool, in_notebook: bool
    ) -> types.TracebackType | None:
        """A traceback with the steps of the notebook and of what its tests call to assert something.

        What libraries do between them, or after them, says nothing new. The reference's code is left out, and in a
        student's notebook what tests call.
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
            if not is_reference(step.tb_frame, self.answers.reference)
            and (
                not is_library_file(file)
                or (file == checks.__file__ and not in_notebook)
                or (n > last and not to_the_end and not file.startswith(LABKIT))
            )
        ]
        shortened = None
        for step in reversed(kept):
            shortened = types.TracebackType(shortened, step.tb_frame, step.tb_lasti, step.tb_lineno)
        return shortened
