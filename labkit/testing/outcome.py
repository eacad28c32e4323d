"""What a student reads under a test cell: one line where it passes, a few where it fails.

A cell that fails still ends in its exception, whose message is what other programs read; what is drawn of it in a
notebook is a sentence and, where it arose in the student's own code, the lines of that code. Nothing of the tests'
machinery, of the reference and of libraries is shown.
"""

import builtins
import inspect
import linecache
import sys
import traceback
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from labkit.testing.refusals import ReplacedCall, is_library_file

# Of a deep recursion, the first steps and the last.
FIRST, LAST = 2, 3
RUN_ABOVE = "run the cells above first, all of them after a restart (JupyterLab: Run > Run All Above Selected Cell)."


@dataclass(frozen=True)
class Worth:
    """What a test cell is worth: its points, and whether only some of its tests are visible."""

    points: int | None = None
    seen_in_part: bool = False

    def passed(self, cell: str, notes: Iterable[str] = ()) -> str:
        """The line under a cell whose tests pass; `notes` are what they said about it."""
        line = f"{cell}: passed" if self.points is None else f"{cell}: {self.points} of {self.points} points"
        if self.seen_in_part:
            line += ", if the hidden tests agree when it is graded"
        return "; ".join([line, *notes])

    def failed(self, cell: str) -> str:
        return f"{cell}: failed" if self.points is None else f"{cell}: 0 of {self.points} points"


def notebook_shell(namespace: Mapping[str, Any]) -> Any:
    """The IPython shell whose notebook a namespace is; None where tests run in any other place."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell if shell is not None and shell.user_ns is namespace else None


def is_reference(frame: types.FrameType, module: str) -> bool:
    """Whether a frame runs code of the package of the module with the reference's answers."""
    return str(frame.f_globals.get("__name__")).partition(".")[0] == module.partition(".")[0]


def draw_short(error: BaseException, text: str) -> None:
    """Have IPython draw `text` in place of an exception's traceback."""
    # Not by assignment, which a class of the student's may refuse.
    BaseException.__setattr__(error, "_render_traceback_", text.splitlines)


@dataclass(frozen=True)
class _Step:
    """A step of a traceback in the notebook, or in a module of the student's."""

    frame: types.FrameType
    line: int
    students: bool

    @property
    def file(self) -> str:
        return self.frame.f_code.co_filename

    @property
    def name(self) -> str:
        return self.frame.f_code.co_qualname

    @property
    def code(self) -> str:
        return linecache.getline(self.file, self.line).strip()


class Failure:
    """What a failed test cell says.

    `names` are those that exercises define, `reference` is the module with their reference answers, and `test` the
    file name of the test cell's code. `namespace` is the notebook's, with the student's own answers in it.
    """

    def __init__(
        self,
        error: BaseException,
        trace: types.TracebackType | None,
        namespace: Mapping[str, Any],
        *,
        names: Iterable[str],
        reference: str,
        test: str,
    ):
        self.error, self.namespace, self.test = error, namespace, test
        self.names = set(names)
        self.steps = list(self._steps(trace, reference))

    def _steps(self, trace: types.TracebackType | None, reference: str) -> Iterator[_Step]:
        theirs = {file for name in self.names for file in _files_of(self.namespace.get(name))}
        inside = False
        for frame, line in traceback.walk_tb(trace):
            file = frame.f_code.co_filename
            if is_library_file(file) or is_reference(frame, reference):
                continue
            # What a student's code calls is theirs too, until it comes back to the test's own functions.
            inside = file != self.test and (inside or file in theirs)
            yield _Step(frame, line, inside)

    def text(self) -> str:
        """The lines for the student."""
        notes = map(str, getattr(self.error, "__notes__", ()))
        return "\n".join([*self._message(), *self._theirs(), *self._advice(), *notes])

    @property
    def _arose_in_theirs(self) -> bool:
        return bool(self.steps) and self.steps[-1].students

    def _message(self) -> Iterator[str]:
        error, what = self.error, _described(self.error)
        if isinstance(error, ReplacedCall):
            yield str(error)
        elif self._arose_in_theirs:
            last = self.steps[-1]
            if isinstance(error, NotImplementedError) and not str(error):
                yield f"Not written yet: {last.name}."
            else:
                yield what
        elif isinstance(error, AssertionError):
            yield str(error) or "The test failed."
            yield from self._tested_by()
        elif self._missing:
            yield f"{what}: {RUN_ABOVE}"
        elif isinstance(error, KeyboardInterrupt):
            yield "Interrupted."
        else:
            yield f"The test cannot use what your code returned ({what})."
            yield from self._tested_by()

    @property
    def _missing(self) -> str | None:
        """The name that nothing in the notebook defines, where that is what is wrong."""
        name = self.error.name if isinstance(self.error, NameError) else None
        return None if not name or name in self.namespace or hasattr(builtins, name) else name

    def _advice(self) -> Iterator[str]:
        if self._arose_in_theirs and self._missing:
            yield f"If an earlier cell defines {self._missing}, {RUN_ABOVE}"

    def _tested_by(self) -> Iterator[str]:
        here = [step for step in self.steps if step.file == self.test and step.name != "<module>"]
        if here:
            yield f"See {here[0].name}, line {here[0].line} of this cell."

    def _theirs(self) -> Iterator[str]:
        """The lines of the student's code that an exception passed."""
        if not self._arose_in_theirs:
            return
        steps = [step for step in self.steps if step.students]
        if len(steps) > FIRST + LAST + 1:
            left_out = len(steps) - FIRST - LAST
            yield from (_line(step, self.namespace) for step in steps[:FIRST])
            yield f"  ... {left_out} more calls ..."
            steps = steps[-LAST:]
        yield from (_line(step, self.namespace) for step in steps)


def _line(step: _Step, namespace: Mapping[str, Any]) -> str:
    return f"  {_place(step, namespace)}, line {step.line}, in {step.name}:  {step.code}"


def _place(step: _Step, namespace: Mapping[str, Any]) -> str:
    """What a student calls the file of a step: "In [5]", or its name."""
    shell = notebook_shell(namespace)
    name = shell.compile.format_code_name(step.file) if shell else None
    return " ".join(name) if name else step.file


def _described(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # a student's class may raise here
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _files_of(value: Any) -> Iterator[str]:
    """The files of the code of a function, or of a class's methods."""
    members = vars(value).values() if isinstance(value, type) else [value]
    for member in members:
        function = inspect.unwrap(getattr(member, "__func__", member)) if callable(member) else None
        if isinstance(function, types.FunctionType):
            yield function.__code__.co_filename
