"""What a failed test tells the student: of a hidden test the author's own words only.

The words are those of the failing assert, read from the test's source: its constants as they are, and "…" for whatever
was computed, since that could hold the test's inputs. The same mistake gives the same words, so they also tell apart
the mistakes of a class.
"""

import ast
import builtins
import inspect
import itertools
import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from course.judging.conversation import Stopped
from course.judging.verdict import Failure
from course.notebook import TestCell, is_hidden
from labkit.notebook import syntax_tree
from labkit.testing import checks
from labkit.testing.codec import without_surrogates
from labkit.testing.link import NoData, UnreadableAnswer
from labkit.testing.refusals import refusal

GAP = "…"
_CHECKS = {checks.__file__: syntax_tree(inspect.getsource(checks))}  # what test cells call to assert something
MAX_MESSAGE, MAX_DETAIL, MAX_LINE = 2000, 4000, 120
_MAX_STEPS = 8  # from a message to the words it is made of


def failure_of(
    error: BaseException, cell: TestCell, trees: Mapping[str, ast.Module], theirs: Sequence[str] = ()
) -> Failure:
    """The words for what a test cell raised.

    `trees` holds the code of the judge's cells, by file name (that of `labkit.testing.checks` is always at hand);
    `theirs` the
    student's cells, of which one line is told when an exception arose there.
    """
    trees = {**trees, **_CHECKS}
    steps = _steps(error, trees)
    test = next((s.code.co_name for s in steps if s.code.co_name.startswith("test_")), None)
    hidden = is_hidden(test) if test else cell.hidden
    kind, text = type(error).__name__, _text(error)
    if isinstance(error, Stopped):
        full = pattern = text
    elif isinstance(error, AssertionError) and not _is_students(error):
        full = text or "the test fails"
        pattern = _authors_words(steps, trees) or _named_mistake(error, trees) or _in_words(test)
    else:
        pattern = _pattern_of(error, cell)
        full = pattern if text in ("", pattern) else f"{pattern}: {text}"
    notes = [note for note in getattr(error, "__notes__", ()) if type(note) is str]
    # Of a hidden test no line: the student chose which of them raises, perhaps by the input, and so what is told.
    where = _line_of(error, theirs) if not hidden and pattern == _in_their_code(error) else []
    message = "\n".join([_short(pattern if hidden else full, MAX_MESSAGE), *where, *notes])
    detail = full if isinstance(error, Stopped) else f"{kind}: {text}" if text else kind
    message, detail, pattern = map(without_surrogates, (message, detail, pattern))
    return Failure(test, hidden, message, _short(detail, MAX_DETAIL), _short(pattern, MAX_MESSAGE))


def _is_students(error: BaseException) -> bool:
    return getattr(error, "by_student", False)


def _pattern_of(error: BaseException, cell: TestCell) -> str:
    """Words for an error that is no failed assert, without a value that came from the student or the test."""
    refusals = {refusal(name, call) for name, calls in cell.replaces.items() for call in calls}
    if _text(error) in refusals:  # the student's side says so, but it can say nothing else this way
        return _text(error)
    if isinstance(error, NoData):
        return str(error)
    if isinstance(error, UnreadableAnswer):
        return "what your code returned is nothing that the test can read"
    return (
        _in_their_code(error)
        if _is_students(error)
        else f"the test cannot use what your code returned ({_kind(error)})"
    )


def _kind(error: BaseException) -> str:
    return type(error).__name__ if hasattr(builtins, type(error).__name__) else "an exception"


def _in_their_code(error: BaseException) -> str:
    return f"{_kind(error)} in your code"


def _line_of(error: BaseException, theirs: Sequence[str]) -> list[str]:
    """The line of the student's cells where an exception arose, quoted from the cell: what they send are numbers."""
    for place in reversed(getattr(error, "places", ())):
        match place:
            case (str(name), int(line)):
                for source in theirs:
                    if any(f.name == name and f.lineno <= line <= (f.end_lineno or 0) for f in _functions(source)):
                        text = source.splitlines()[line - 1].strip()
                        return [f"It arose in {name}, line {line} of its cell: {_short(text, MAX_LINE)}"]
    return []


def _functions(source: str) -> list[ast.FunctionDef]:
    try:
        return [node for node in ast.walk(syntax_tree(source)) if isinstance(node, ast.FunctionDef)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # a KeyError of a number too long to write, for one
        return ""


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + GAP


def _in_words(test: str | None) -> str:
    """A test's name as words, for a message that is all values."""
    words = (test or "the test").removeprefix("test_").removesuffix("_hidden").replace("_", " ")
    return f"a test fails: {words}"


# ------------------------------------------------------------------------------------------------ words of an assert


@dataclass(frozen=True)
class _Step:
    """A frame of a traceback in one of the judge's cells, and the place in the source where it was."""

    code: types.CodeType
    tree: ast.Module
    place: tuple[int, int, int, int]  # first line, last line, first column, last column
    last: bool  # nothing was called from here

    @property
    def function(self) -> ast.FunctionDef | None:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef) and node.name == self.code.co_name:
                first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
                if first == self.code.co_firstlineno:
                    return node
        return None

    def at(self, kind: type) -> list:
        """The nodes of a kind that the place lies in, smallest first."""
        first, last, left, right = self.place
        around = [
            n
            for n in ast.walk(self.tree)
            if isinstance(n, kind)
            and (n.lineno, n.col_offset) <= (first, left)  # type: ignore[attr-defined]
            and (last, right) <= (n.end_lineno, n.end_col_offset)  # type: ignore[attr-defined]
        ]
        return sorted(around, key=lambda n: (n.end_lineno - n.lineno, n.end_col_offset - n.col_offset))


def _steps(error: BaseException, trees: Mapping[str, ast.Module]) -> list[_Step]:
    steps = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_filename in trees:
            places = next(itertools.islice(code.co_positions(), trace.tb_lasti // 2, None))
            line, end, left, right = places
            if line is not None:
                place = (line, end or line, left or 0, right or 0)
                steps.append(_Step(code, trees[code.co_filename], place, trace.tb_next is None))
        trace = trace.tb_next
    return steps


def _authors_words(steps: list[_Step], trees: Mapping[str, ast.Module]) -> str:
    """The message of the assert that failed, as its author wrote it; empty where there are no words."""
    if not steps:
        return ""
    step, message = steps[-1], None
    raised = step.at(ast.Raise)
    asserts = step.at(ast.Assert)
    if step.last and raised and isinstance(raised[0].exc, ast.Call) and raised[0].exc.args:
        message = raised[0].exc.args[0]
    elif step.last and asserts:
        message = asserts[0].msg
    elif not step.last:  # a library's assertion, with words of ours if it takes any
        for call in step.at(ast.Call)[:1]:
            message = next((k.value for k in call.keywords if k.arg == "msg"), None)
    words = _Words(steps, trees).of(message, len(steps) - 1, 0) if message is not None else ""
    return words if re.search(r"[^\W\d_]{2}", words) else ""


def _named_mistake(error: AssertionError, trees: Mapping[str, ast.Module]) -> str:
    """The words of the mistake that a check recognised; empty unless the author wrote them just so."""
    words = error.words if isinstance(error, checks.Wrong) else ""
    constants = (n.value for tree in trees.values() for n in ast.walk(tree) if isinstance(n, ast.Constant))
    return words if words in constants else ""


class _Words:
    """Finds the constants that a message is made of, from the frame of the assert outwards."""

    def __init__(self, steps: list[_Step], trees: Mapping[str, ast.Module]):
        self.steps, self.trees = steps, trees

    def of(self, node: ast.expr | None, frame: int, depth: int) -> str:
        """The words of an expression that stands in the function of a frame."""
        if depth > _MAX_STEPS:
            return GAP
        match node:
            case ast.Constant(value=str(text)):
                return text
            case ast.JoinedStr(values=values):
                return "".join(self.of(v, frame, depth + 1) for v in values)
            case ast.FormattedValue(value=ast.Name() as name, conversion=-1, format_spec=None):
                return self.of(name, frame, depth + 1)
            case ast.FormattedValue(value=ast.Attribute(value=ast.Name() as name, attr="__name__")):
                return self.of(name, frame, depth + 1)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self.of(left, frame, depth + 1) + self.of(right, frame, depth + 1)
            case ast.Name():
                return self.of_name(node, frame, depth)
        return GAP

    def of_name(self, name: ast.Name, frame: int, depth: int) -> str:
        function = self.steps[frame].function
        if function is not None:
            assigned = [
                n
                for n in ast.walk(function)
                if isinstance(n, ast.Assign)
                and n.lineno < name.lineno
                and any(isinstance(t, ast.Name) and t.id == name.id for t in n.targets)
            ]
            if assigned:
                return self.of(max(assigned, key=lambda n: n.lineno).value, frame, depth + 1)
            if any(isinstance(n, ast.Name) and n.id == name.id and _is_bound(n) for n in ast.walk(function)):
                return GAP
            if name.id in [a.arg for a in _parameters(function)]:
                return self.of_argument(function, name.id, frame, depth)
        for tree in self.trees.values():
            for statement in tree.body:
                match statement:
                    case ast.Assign(targets=[ast.Name(id=name.id)], value=ast.Constant(value=str(text))):
                        return text
        return name.id if isinstance(getattr(builtins, name.id, None), type) else GAP

    def of_argument(self, function: ast.FunctionDef, parameter: str, frame: int, depth: int) -> str:
        """What the caller passed, or the default."""
        calls = self.steps[frame - 1].at(ast.Call)[:1] if frame else []
        if not calls or not (isinstance(calls[0].func, ast.Name) and calls[0].func.id == function.name):
            return GAP
        call, spec = calls[0], function.args
        for keyword in call.keywords:
            if keyword.arg == parameter:
                return self.of(keyword.value, frame - 1, depth + 1)
        positional = [a.arg for a in (*spec.posonlyargs, *spec.args)]
        plain = list(itertools.takewhile(lambda argument: not isinstance(argument, ast.Starred), call.args))
        index = positional.index(parameter) if parameter in positional else len(plain)
        if index < len(plain):
            return self.of(plain[index], frame - 1, depth + 1)
        if len(plain) < len(call.args) or any(k.arg is None for k in call.keywords):
            return GAP
        if parameter in positional:
            default = index - len(positional) + len(spec.defaults)
            return self.of(spec.defaults[default], frame, depth + 1) if default >= 0 else GAP
        defaults = {a.arg: d for a, d in zip(spec.kwonlyargs, spec.kw_defaults, strict=True)}
        return self.of(defaults.get(parameter), frame, depth + 1)


def _parameters(function: ast.FunctionDef) -> list[ast.arg]:
    spec = function.args
    return [*spec.posonlyargs, *spec.args, *spec.kwonlyargs]


def _is_bound(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Store)
