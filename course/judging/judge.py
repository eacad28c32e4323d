"""Judging from outside: a student's cells run in a kernel of their own, the tests run here, and only data crosses.

No line of a student's code runs in this process. Its test cells and given cells are the instructor's; the names that
exercises define are proxies (`labkit.testing.link`), behind which every call goes to the student's kernel as bytes.
What the student overrides there, assertions or the kernel itself, changes what their answers return and nothing else.

Order of the tests. A test whose functions are all visible runs where it stands. Hidden tests and the integration test
run when all cells have run, so that no later cell can show what they asked. Tests that lend the reference's version of
earlier exercises come last, so that no test is left that a kept copy of it could help. Tests that run later than they
stand see the names bound as they were there.
"""

import ast
import contextlib
import functools
import linecache
import os
import re
import signal
import threading
import time
import types
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, NoReturn

from jupyter_client.manager import KernelManager
from nbformat import NotebookNode

from course.judging.assignment import JUDGE_TIMES
from course.judging.cells import meant, with_stand_ins, without_actions
from course.judging.conversation import NOTEBOOK_OUTPUT, Conversation, Ended, Outputs, Stopped, seconds_of
from course.judging.messages import GAP, MAX_LINE, failure_of
from course.judging.verdict import (
    ENDED_ITS_JUDGE,
    Failure,
    Judged,
    Listener,
    Verdict,
    judged_notebook,
    not_judged,
)
from course.notebook import TestCell, test_cells
from labkit.notebook import INTEGRATION, bound, grade_id, is_exercise, is_test, name_of, syntax_tree
from labkit.testing.answers import graded_with
from labkit.testing.codec import without_surrogates
from labkit.testing.link import Link, Remote

MAX_RESTARTS = 6
# How often Python may end in something that an own cell before it may have caused, until such cells only define.
MAX_ENDS = 2
# How many absent libraries one cell may import.
MAX_ABSENT = 10
# A test may use this share of the whole time, and once one of its exercise was too slow, that share.
_TEST_SHARE, _SLOW_SHARE = 1 / 4, 1 / 50
# What the judge's own part in a test may use of the processor, as shares of the time for one submission: at first, and
# once a test of its exercise used more.
_BUSY_SHARE, _BUSY_AGAIN_SHARE = 1 / 8, 1 / 20
_BUSY = signal.SIGPROF
# Beyond the submission's time: for the judge's own work on what a student returned.
_OWN_SECONDS = 10.0

_LOOP = "is there a loop that never ends?"
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_UNDEFINED = re.compile(r"name '(\w+)' is not defined")
# The second is a cell that could not even be cut into words.
_LINE = re.compile(r"(?:Cell In ?\[\d+\], line |File <(?:tokenize|string)>:)(\d+)")


def judge(
    clean: NotebookNode,
    source: NotebookNode,
    kernel: Callable[[], KernelManager],
    *,
    seed: int,
    seconds: float,
    reference: Mapping[str, str],
    crowding: float = 1.0,
    settled: Sequence[Verdict] = (),
    listener: Listener = Listener(),  # noqa: B008 - it holds nothing
) -> Judged:
    """Run a clean notebook and the tests of its source on it. Raises for nothing that a student can do.

    `kernel` gives a kernel that has not started, anew when one must be replaced. `seed` fixes what hidden tests draw.
    `seconds` is the time that answers may take in all on a core of its own, and as much again is for the student's own
    cells; `crowding` says how many share this one. `reference` gives the source of the earlier exercises' names that
    tests lend (`course.judging.reference`). `settled` are verdicts of a judge that was lost, whose tests are not run
    again, and `listener` is told of each other.
    """
    begun = time.process_time()
    run = _Run(clean, source, kernel, seconds, reference, crowding, settled, listener)
    with graded_with(seed), _silence():
        try:
            with _alarm(JUDGE_TIMES * crowding * seconds + _OWN_SECONDS, _out_of_time):
                run.run()
        except _OutOfTime:
            # What answers return can keep the tests busy, so this is a result like any other.
            run.give_up(f"The tests could not be finished within {JUDGE_TIMES * seconds:.0f} seconds.")
        except Exception as error:  # an error of the judge: it must not cost the rest of a class
            what = without_surrogates(f"{type(error).__name__}: {error}")
            reason = f"The judging of this notebook failed ({what}). Tell your instructor."
            run.failure = run.failure or reason
            run.give_up(reason)
        finally:
            run.close()
    return judged_notebook(
        clean,
        [run.verdicts[cell] for cell in run.tests],
        run.outputs,
        run.remarks,
        seconds=time.process_time() - begun + run.kernel_seconds,
        failure=run.failure,
    )


class _OutOfTime(BaseException):
    """The judge itself takes too long."""


def _out_of_time() -> None:
    raise _OutOfTime


@contextlib.contextmanager
def _alarm(seconds: float, ring: Callable[[], None], *, by_processor: bool = False) -> Iterator[None]:
    """Call `ring`, which raises, in the main thread after some seconds, by the clock or of this process's own.

    Hostile data can keep a test busy here too.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    timer, number = (signal.ITIMER_PROF, _BUSY) if by_processor else (signal.ITIMER_REAL, signal.SIGALRM)
    before = signal.signal(number, lambda *_: ring())
    signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        signal.setitimer(timer, 0)
        signal.signal(number, before)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Put off the alarm of a test that is too busy: a reply that is left unread would be taken for the next one."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {_BUSY})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {_BUSY})


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Nothing that the tests print or warn of is seen."""
    with (
        open(os.devnull, "w") as quiet,
        contextlib.redirect_stdout(quiet),
        contextlib.redirect_stderr(quiet),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield


class _Run:
    """One notebook under judgement."""

    def __init__(
        self,
        clean: NotebookNode,
        source: NotebookNode,
        kernel: Callable[[], KernelManager],
        seconds: float,
        reference: Mapping[str, str],
        crowding: float,
        settled: Sequence[Verdict],
        listener: Listener,
    ):
        self.clean, self.source, self.kernel = clean, source, kernel
        self.crowding = crowding
        self.seconds, self.end = seconds, self.now() + seconds
        self.own_seconds = seconds  # what cells of the student's own may still take; they move `end`
        self.marked = {name: c for c in source.cells if (name := grade_id(c)) and c.cell_type == "code"}
        self.tests = {cell.id: cell for cell in test_cells(source)}
        self.names: dict[str, Any] = types.ModuleType("__main__").__dict__
        self.link = Link(self.send, self.names, reference)
        self.uses: dict[str, set[str]] = {}  # what the code of a given name reads
        self.theirs: set[str] = set()  # names whose value lies in the student's kernel
        self.trees: dict[str, ast.Module] = {}
        self.snapshots: dict[str, dict[str, Any]] = {}
        self.conversation: Conversation | None = None
        self.kernel_seconds = 0.0
        self.restarts = -1
        self.gone: str | None = None  # why no kernel is started any more
        self.ends = 0  # how often Python ended in something that an own cell may have caused
        # What a new kernel must do again: cells that ran to their end, and where snapshots were taken.
        self.history: list[tuple[str, str, bool]] = []
        self.slow: set[str] = set()
        self.asked_for: dict[str, set[str]] = {}  # exercise -> the names that it defines
        self.broken: list[tuple[set[str], str]] = []  # names that a cell defines, and how it ended instead
        self.test_seconds, self.test_end = 0.0, 0.0  # what the test that runs may take, and until when
        self.outputs: dict[int, list[NotebookNode]] = {}
        self.output_room = NOTEBOOK_OUTPUT
        self.verdicts = {verdict.cell: verdict for verdict in settled}
        self.listener = listener
        self.busy = {v.exercise for v in settled if v.pattern == ENDED_ITS_JUDGE}  # exercises that took too much of it
        self.remarks: list[str] = []
        self.failure: str | None = None
        for cell in self.marked.values():
            if cell.metadata.nbgrader.solution:
                self.bind_exercise(cell)

    # -- the order of things

    def run(self) -> None:
        later: list[TestCell] = []
        number = 0
        if self.busy:
            self.remark(
                "Some tests could not be judged, because what your code returned ended the program that runs them. "
                "They give no points; all others were judged. If your answer is an ordinary one, tell your instructor."
            )
        for index, cell in enumerate(self.clean.cells):
            if cell.cell_type != "code":
                continue
            number += 1
            own = self.marked.get(grade_id(cell) or "")
            if own is None:
                self.execute(index, cell.source, f"Cell {number}", own=True)
            elif not is_test(own):
                if own.metadata.nbgrader.solution:
                    self.execute(index, cell.source, f"Cell {number}")
                else:
                    self.execute(index, own.source, f"Cell {number}")
                    self.run_given(own)
            else:
                later += self.reach(self.tests[grade_id(own) or ""])
        for test in self.tests.values():
            if test.id not in self.verdicts and test not in later:  # a notebook without this cell
                later += self.reach(test)
        for test in sorted(later, key=lambda t: bool(t.lends)):  # otherwise as they stand
            self.judge_test(test, restored=True)

    def reach(self, test: TestCell) -> list[TestCell]:
        """Come to a test cell; the test is given back if its time is later."""
        self.trees[test.file] = test.tree
        with contextlib.suppress(Exception):  # a definition that needs an exercise at once: its tests will say so
            exec(test.definitions(), self.names)
        if not (test.lends or test.hidden or test.exercise == INTEGRATION):
            self.judge_test(test)
            return []
        self.snapshots[test.id] = dict(self.names)
        with contextlib.suppress(Stopped):
            self.start()
            self.allow(_SLOW_SHARE)
            self.link.ask("snapshot", test.id)
            self.history.append(("snapshot", test.id, False))
        return [test]

    # -- cells

    def execute(self, index: int, code: str, name: str, *, own: bool = False) -> None:
        """Run a cell in the student's kernel and keep what it puts out; `own` says that no exercise asked for it.

        A cell that ends because it imports an absent library runs again with a stand-in for that: it may not need it.
        """
        outputs, text = Outputs(self.output_room), code
        try:
            self.start()
        except Stopped:
            return
        try:
            for _ in range(1 + MAX_ABSENT):
                outputs = Outputs(self.output_room)
                self.converse(code, outputs, own)
                error = next((o for o in outputs.cells if o.output_type == "error"), None)
                if error is None or error.ename != "ModuleNotFoundError":
                    break
                again = with_stand_ins(code, error.evalue)
                if again is None:
                    break
                code = again
            self.history.append(("cell", code, own))
            if error is not None:
                self.note_broken(index, text, f"{error.ename}: {_one_line(error.evalue)}", error.traceback)
        except Stopped as stopped:
            if self.gone:
                return
            if isinstance(stopped, Ended) and not own and self.may_be_an_own_cells_doing():
                self.execute(index, code, name)
                return
            self.note_broken(index, text, f"it {stopped.reason}")
            self.remark(f"{name} {stopped.reason}{_question(stopped)}")
        self.outputs[index] = outputs.cells
        self.output_room = max(self.output_room - outputs.taken, 0)

    def converse(self, code: str, outputs: Outputs, own: bool) -> None:
        """Run code on the time that it has: a student's own cells never use up what their answers have."""
        assert self.conversation is not None
        if not own:
            self.conversation.execute(code, self.share(1 / 2), outputs)
            return
        if self.own_seconds <= 0:
            raise Stopped(f"was not run: the cells of your own took {seconds_of(self.seconds)} together, which is all")
        begun = self.now()
        try:
            self.conversation.execute(code, max(self.own_seconds / 2, 1.0), outputs)
        finally:
            self.own_seconds -= self.now() - begun
            self.end += self.now() - begun

    def note_broken(self, index: int, text: str, ending: str, traceback: Sequence[str] = ()) -> None:
        """Remember how a cell ended that defines names, for the tests that miss one of them."""
        if names := meant(text) | self.asked_for.get(name_of(self.clean.cells[index]), set()):
            place = _LINE.search(_COLOUR.sub("", "\n".join(traceback)))
            lines, number = text.split("\n"), int(place[1]) if place else 0
            where = f" Line {number} of that cell: {lines[number - 1].strip()}" if 0 < number <= len(lines) else ""
            self.broken.append((names, f"{ending}.{where}"))

    def bind_exercise(self, own: NotebookNode) -> None:
        for node in syntax_tree(own.source).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                self.bind_theirs(node.name)
                self.asked_for.setdefault(name_of(own), set()).add(node.name)

    def bind_theirs(self, name: str) -> None:
        self.theirs.add(name)
        self.names[name] = Remote(self.link, name)

    def run_given(self, own: NotebookNode) -> None:
        """Run a given cell here too, unless it needs an exercise to run: then its names stay the student's."""
        file = f"<{grade_id(own)}>"
        tree = syntax_tree(own.source)
        self.trees[file] = tree
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                self.uses[node.name] = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        if not self.needs_student(_read_at_once(tree)):
            linecache.cache[file] = (len(own.source), None, own.source.splitlines(True), file)
            try:
                exec(compile(tree, file, "exec"), self.names)
                return
            except Exception as error:
                self.failure = f"The given cell {grade_id(own)} fails where tests run: {type(error).__name__}: {error}"
        for name in bound(tree):
            self.bind_theirs(name)

    def needs_student(self, names: set[str]) -> bool:
        """Whether names lead to an exercise, themselves or by what their code reads."""
        seen: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name in self.theirs:
                return True
            if name not in seen:
                seen.add(name)
                waiting += self.uses.get(name, ())
        return False

    # -- tests

    def judge_test(self, test: TestCell, restored: bool = False) -> None:
        if test.id in self.verdicts:  # an earlier judge's
            return
        if restored:
            self.names.clear()
            self.names.update(self.snapshots[test.id])
        busy = self.seconds * (_BUSY_AGAIN_SHARE if test.exercise in self.busy else _BUSY_SHARE)
        begun = time.process_time()
        try:
            self.start()
            self.allow(_SLOW_SHARE if test.exercise in self.slow else _TEST_SHARE)
            if restored:
                self.link.ask("restore", test.id)
            self.listener.begins(test.id, busy)
            with _alarm(busy, functools.partial(self.too_busy, test, busy), by_processor=True):
                exec(test.block(), self.names)
        except (Exception, Stopped) as error:
            if isinstance(error, Stopped):
                self.slow.add(test.exercise)
            failure = failure_of(error, test, self.trees, self.answers_to(test.exercise))
            if isinstance(error, NameError | NotImplementedError) and (why := self.why_undefined(test, error, failure)):
                failure = replace(failure, message=why)
            verdict = Verdict(test.id, test.exercise, test.points, 0, **asdict(failure))
        else:
            verdict = Verdict(test.id, test.exercise, test.points, test.points)
        self.end += time.process_time() - begun  # what the judge itself computes is not on the student's time
        self.verdicts[test.id] = verdict
        if self.failure is None:  # otherwise it says nothing about the answer
            self.listener.ended(verdict)

    def too_busy(self, test: TestCell, seconds: float) -> NoReturn:
        self.busy.add(test.exercise)
        raise Stopped(f"What your code returned kept this test busy for {seconds_of(seconds)}: is it very large?")

    def why_undefined(self, test: TestCell, error: NameError | NotImplementedError, failure: Failure) -> str:
        """How the cell ended that should have defined what a test misses or found blank; empty where none is known.

        Which name that is may be chosen by a hidden test's input, so there only the exercise's own names count.
        """
        asked = self.asked_for.get(test.exercise, set())
        missed = _UNDEFINED.match(str(error))
        wanted = asked if missed is None else {missed[1]} & asked if failure.hidden else {missed[1]}
        for names, ending in self.broken:
            for name in sorted(wanted & names):
                what = f"{name} is not defined, because its cell" if missed else f"a cell of yours that defines {name}"
                return f"{what} did not run to its end: {ending}"
        return ""

    def answers_to(self, exercise: str) -> list[str]:
        """The cells that the student wrote: that of an exercise first, then those of others, then their own."""
        cells = [cell for cell in self.clean.cells if cell.cell_type == "code"]
        first = f"exercise-{exercise}"
        cells.sort(key=lambda cell: (grade_id(cell) != first, not is_exercise(cell)))
        return [cell.source for cell in cells if grade_id(cell) is None or is_exercise(cell)]

    def send(self, request: bytes) -> bytes:
        """Carry a request to the student's kernel and its reply back."""
        if self.conversation is None or not self.conversation.alive:
            raise Stopped(self.gone or "Python has stopped.")
        what = self.link.asked or "Your code"
        try:
            left = self.test_end - self.now()
            if left <= 0:  # many calls, each of which did end
                raise Stopped(f"did not end within {seconds_of(self.test_seconds)}")
            with _undisturbed():
                return self.conversation.request(request, left)
        except Stopped as stopped:
            if isinstance(stopped, Ended):
                self.may_be_an_own_cells_doing()
            self.test_end = max(self.test_end, self.now() + 1.0)  # to take back what the test changed
            raise Stopped(f"{what} {stopped.reason}{_question(stopped)}") from None

    # -- the kernel

    def now(self) -> float:
        """A clock that goes as slowly as the kernel does where others share its core."""
        return time.monotonic() / self.crowding

    def share(self, part: float) -> float:
        """Seconds that the next thing may take, of what is left."""
        left = self.end - self.now()
        if left <= 0:
            self.stop_for_good(f"Python was stopped: the time for one submission, {self.seconds:.0f} seconds, is over.")
        return max(left * part, 1.0)

    def allow(self, part: float) -> None:
        """Give what comes next a part of the whole time, at most half of what is left and at least a second."""
        self.test_seconds = min(self.share(1 / 2), max(self.seconds * part, 1.0))
        self.test_end = self.now() + self.test_seconds

    def start(self) -> None:
        """Have a kernel that can be asked, as the one before would be now. Raises Stopped if there is to be none."""
        while self.conversation is None or not self.conversation.alive:
            if self.gone is not None:
                raise Stopped(self.gone)
            if self.restarts >= MAX_RESTARTS:
                self.stop_for_good(
                    f"Python was started {MAX_RESTARTS + 1} times and stopped each time; it is not started again."
                )
            self.restarts += 1
            if self.conversation is not None:
                self.kernel_seconds += self.conversation.used
                self.conversation = None
            begun = self.now()
            try:
                self.conversation = Conversation(self.kernel, self.crowding)
            except Exception as error:
                self.failure = f"No kernel could be started: {type(error).__name__}: {error}"
                self.stop_for_good("Python could not be started; this is not your fault. Tell your instructor.")
            self.end += self.now() - begun  # how long a kernel takes to start is not the student's doing
            self.replay()

    def may_be_an_own_cells_doing(self) -> bool:
        """Whether a cell of the student's own, by a timer say, may be why Python ended; if so, it is counted."""
        if self.ends >= MAX_ENDS or not any(own for _, _, own in self.history):
            return False
        self.ends += 1
        if self.ends == MAX_ENDS:
            self.remark(
                f"Python ended {MAX_ENDS} times, perhaps by what a cell of your own had started, such as a timer or a "
                "thread. From then on your own cells only imported, defined and assigned, and did nothing else."
            )
        return True

    def replay(self) -> None:
        assert self.conversation is not None
        for step in list(self.history):
            kind, what, own = step
            try:
                if kind == "cell":
                    if own and self.ends >= MAX_ENDS:
                        what = without_actions(what)
                    self.converse(what, Outputs(0), own)
                else:
                    self.allow(_SLOW_SHARE)
                    self.link.ask("snapshot", what)
            except Stopped as stopped:
                if self.gone:
                    raise
                if isinstance(stopped, Ended) and self.may_be_an_own_cells_doing():
                    return
                self.history.remove(step)  # what does not run a second time is left out
                if not self.conversation.alive:
                    return

    def stop_for_good(self, sentence: str) -> None:
        self.gone = sentence
        self.remark(sentence)
        if self.conversation is not None:
            self.conversation.close()
        raise Stopped(sentence)

    def remark(self, sentence: str) -> None:
        if sentence not in self.remarks:
            self.remarks.append(sentence)

    def give_up(self, reason: str) -> None:
        """Give no points for what has not been judged."""
        self.remark(reason)
        self.verdicts = {verdict.cell: verdict for verdict in not_judged(self.source, reason)} | self.verdicts

    def close(self) -> None:
        if self.conversation is not None:
            with contextlib.suppress(Exception):
                self.conversation.close()
            self.kernel_seconds += self.conversation.used


def _one_line(text: str) -> str:
    """The first line of what a student's code says, short."""
    line = next(iter(text.splitlines()), "").strip()
    return line if len(line) <= MAX_LINE else line[: MAX_LINE - 1] + GAP


def _question(stopped: Stopped) -> str:
    return f": {_LOOP}" if stopped.reason.startswith("did not end") else "."


# -------------------------------------------------------------------------------------------------- what a cell needs


def _read_at_once(tree: ast.Module) -> set[str]:
    """Names that running a cell reads, not counting those that only its functions' bodies read."""
    found: set[str] = set()
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting += [*node.decorator_list, node.args, *filter(None, [node.returns])]
        elif isinstance(node, ast.Lambda):
            waiting.append(node.args)
        else:
            waiting += ast.iter_child_nodes(node)
    return found
