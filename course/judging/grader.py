"""Judge submissions fast: warm processes, and a judge forked for each submission.

`Grader` holds two warm processes: the sandbox, which forks students' kernels, and the trusted one
(`course.judging.judge_process`), which forks judges. What takes a warm process down costs a fresh start and another
try, never the batch (`course.judging.lanes`).
"""

import contextlib
import functools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Protocol, TypeVar

from course import ROOT
from course.judging.assignment import JUDGE_TIMES, KERNEL_TIMES, Assignment, GraderError, modules_of
from course.judging.judge_process import Answer, Order, Request, receive, send
from course.judging.submission import Received
from course.judging.verdict import ENDED_ITS_JUDGE, Judged, Verdict, failed, unjudged
from course.notebook import test_cells
from course.sandbox import Sandbox, SandboxError

ATTEMPTS = 3
"""How often a submission is tried when a process that judges it is killed."""
ATTEMPTS_IN_TIME = 2
"""How often it is tried when it does not end."""
LOSSES = 2
"""How often a judge has to be lost in one test until that is put down to what the test was given."""
MARGIN = 60.0
"""Seconds a judge may take beyond its share of the limit: by then it has ended itself, unless it is broken."""
ALWAYS_NEEDED = ("torch", "torch._dynamo", "nbformat", "jupyter_client", "labkit.testing.answers")
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}

Key = TypeVar("Key", bound=Hashable)
Work = tuple[Key, Received, int]


class _Lost(Exception):
    """A judge gave no answer; says why."""


class _Ended(Exception):
    """A warm process was ended while it started; says what is known."""


class _TooLong(_Lost):
    """A judge did not end in its time."""


class RunningSandbox(Protocol):
    """What a grader needs of a sandbox."""

    socket: Path
    process: subprocess.Popen[bytes]

    def wait(self) -> None: ...

    def close(self) -> None: ...


class Grader:
    """Judges submissions to one assignment, as many at a time as threads call it; a context manager.

    Its processes start when it is entered, in the background; `judge` waits for them. `crowding` says how many judges
    share a core, which stretches every time limit. `judge` is the function that judges, as "module:name", and `sandbox`
    makes the sandbox: tests put their own in.
    """

    def __init__(
        self,
        assignment: Assignment,
        *,
        isolated: bool = True,
        crowding: float = 1.0,
        judge: str = "course.judging.judge:judge",
        sandbox: Callable[..., RunningSandbox] = Sandbox,
    ):
        self.assignment, self.isolated = assignment, isolated
        self.crowding = max(1.0, crowding)
        self._judge, self._sandbox = judge, sandbox
        self._lock = threading.Lock()
        self._closed = False
        self._pair: Future[_Pair] | None = None
        self._opening: _Pair | None = None
        # Linux ends a child with the thread that started it, not with the process (PR_SET_PDEATHSIG), so one thread
        # that lives as long as the grader starts them all.
        self._keeper = ThreadPoolExecutor(1, thread_name_prefix="grader")

    def __enter__(self) -> "Grader":
        self.assignment.check_code()
        with self._lock:
            self._begin()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End every process; a `judge` that is under way in another thread raises GraderError."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            pair = self._pair
            if self._opening is not None:
                self._opening.kill()
        if pair is not None and not pair.cancel():
            with contextlib.suppress(Exception):  # it never started
                pair.result().close()
        self._keeper.shutdown()

    def judge(self, received: Received, seed: int) -> Judged:
        """The submission's judgement; blocks until it is there.

        When a process is killed under it, it is tried again. A test in which judges are lost gives no points, and the
        others are judged without it; a submission whose judge is lost every time outside of tests gets a judgement with
        no points and the reason.

        Raises:
            GraderError: the warm processes cannot be started, or the grader was closed.
        """
        lost: list[_Lost] = []
        progress = _Progress(self.assignment)
        while len(lost) < ATTEMPTS and sum(isinstance(e, _TooLong) for e in lost) < ATTEMPTS_IN_TIME:
            pair = self._running()
            try:
                judged = pair.ask(received, seed, self.crowding, progress)
            except _Lost as error:
                # What ends the warm process ends its judges, whatever they were doing.
                if not (pair.alive() and progress.blame_the_test()):
                    lost.append(error)
            else:
                if pair.sandbox.process.poll() is None:
                    return judged
                lost.append(_Lost("its sandbox was ended"))
        reason = f"It could not be judged: {lost[-1]} ({len(lost)} attempts). Tell your instructor."
        return failed(received.notebook, self.assignment.notebook, reason)

    def _running(self) -> "_Pair":
        """The warm processes; new ones where one of the two has ended."""
        with self._lock:
            if self._closed:
                raise GraderError("Grading was stopped.")
            started = self._pair
            if started is None or (started.done() and not started.exception() and not started.result().alive()):
                started = self._begin()
        return started.result()

    def _begin(self) -> "Future[_Pair]":
        old, self._pair = self._pair, self._keeper.submit(self._start)
        if old is not None:
            self._keeper.submit(old.result().close)
        return self._pair

    def _start(self) -> "_Pair":
        for _ in range(ATTEMPTS):
            with self._lock:
                if self._closed:
                    raise GraderError("Grading was stopped.")
                self._opening = pair = _Pair(self.assignment, self._judge)
            try:
                pair.open(self._sandbox, self.isolated)
            except _Ended as error:  # by a full memory, say: the next may live
                pair.close()
                ended = error
            except BaseException:
                pair.close()
                raise
            else:
                return pair
        raise GraderError(f"{ended} ({ATTEMPTS} attempts)")


class _Progress:
    """What is known of one submission while it is judged, however many judges that takes."""

    def __init__(self, assignment: Assignment):
        self.tests = {test.id: test for test in test_cells(assignment.notebook)}
        self.settled: dict[str, Verdict] = {}
        self.losses: Counter[str] = Counter()
        self.begin()

    def begin(self) -> None:
        """A judge begins. What the one before it told stands only where its loss was put down to a test."""
        self.announced: dict[str, Verdict] = {}
        self.testing = ""  # the test that runs

    def take(self, answer: Answer) -> None:
        """Take in what a judge tells before its judgement."""
        self.testing = answer.testing
        if answer.verdict is not None:
            self.announced[answer.verdict.cell] = answer.verdict

    def blame_the_test(self) -> bool:
        """Count the loss of a judge against the test that it was running; whether it was running one.

        The first loss may be the machine's doing. After one test was found to end its judges, none is tried twice.
        """
        test = self.tests.get(self.testing)
        if test is None:
            return False
        self.settled |= self.announced
        self.losses[test.id] += 1
        if self.losses[test.id] >= LOSSES or any(v.pattern == ENDED_ITS_JUDGE for v in self.settled.values()):
            self.settled[test.id] = unjudged(test)
        return True


class _Pair:
    """A sandbox and the warm process beside it: they start together, and neither is used when the other has ended."""

    sandbox: RunningSandbox

    def __init__(self, assignment: Assignment, judge: str):
        self.lock = threading.Lock()
        self.assignment = assignment
        self.folder = _lay_out(assignment.data) if assignment.data else None
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the pair
        self.control, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "course.judging.judge_process"],
                stdin=theirs.fileno(),
                stdout=self.log,
                stderr=self.log,
                cwd=self.folder or "/",
                # Not the caller's sys.path: its first entry is whatever folder a script lies in.
                env={
                    **os.environ,
                    **ONE_THREAD,
                    "PYTHONHASHSEED": "0",  # a test that goes through a set meets the same order when graded again
                    "PYTHONPATH": os.pathsep.join([str(ROOT), *_python_path()]),
                },
                start_new_session=True,  # a Ctrl-C is for the command alone, which then ends this
            )
        modules = [*ALWAYS_NEEDED, *modules_of(assignment.notebook)]
        self.orders = Connection(os.dup(self.control.fileno()))
        order = Order(
            modules,
            judge,
            assignment.source,
            assignment.reference,
            assignment.room.memory,
            str(self.folder) if self.folder else None,
        )
        with contextlib.suppress(OSError):  # it has ended already; open() says so
            send(self.orders, order)

    def open(self, sandbox: Callable[..., RunningSandbox], isolated: bool) -> None:
        """Start the sandbox while the warm process imports, and wait for both.

        Raises:
            _Ended: one of them was killed.
            GraderError: one of them cannot start.
        """
        room = self.assignment.room
        room = replace(room, data=self.folder or room.data, seconds=KERNEL_TIMES * room.seconds)
        try:
            self.sandbox = sandbox(room, isolated=isolated)
            answer = receive(self.orders, Answer)
            if answer is None or not answer.ready:
                reason = f"The judge's process did not start: {(answer and answer.refused) or self._log()}."
                raise (_Ended if self.process.wait() < 0 else GraderError)(reason)
            try:
                self.sandbox.wait()
            except SandboxError as error:
                raise (_Ended if _was_killed(self.sandbox.process) else GraderError)(str(error)) from None
        except SandboxError as error:
            raise GraderError(str(error)) from None

    def _log(self) -> str:
        self.log.seek(0)
        return self.log.read().decode(errors="replace").strip()[-500:] or "it was ended"

    def alive(self) -> bool:
        return self.process.poll() is None and self.sandbox.process.poll() is None

    def ask(self, received: Received, seed: int, crowding: float, progress: _Progress) -> Judged:
        """Have a child of the warm process judge a submission; `_Lost` when it does not answer.

        What it tells on the way is taken into `progress`, whose settled verdicts it does not judge again.
        """
        progress.begin()
        deadline = JUDGE_TIMES * self.assignment.seconds * crowding + MARGIN
        ours, theirs = Pipe()
        with ours:
            try:
                with theirs, self.lock:
                    socket.send_fds(self.control, [b"+"], [theirs.fileno()])
                hello = receive(ours, Answer) if ours.poll(MARGIN) else None
                if hello is None:
                    raise _Lost("its judge was ended")
                request = Request(
                    received.notebook,
                    received.files,
                    seed,
                    self.assignment.seconds,
                    crowding,
                    deadline,
                    str(self.sandbox.socket),
                    list(progress.settled.values()),
                )
                with _process(hello.pid) as end:
                    send(ours, request)
                    over = time.monotonic() + deadline
                    while True:
                        if not ours.poll(max(over - time.monotonic(), 0.0)):
                            end()
                            raise _TooLong(f"its judge did not end within {deadline:.0f} seconds")
                        answer = receive(ours, Answer)
                        if answer is None or answer.judged is not None or answer.error:
                            break
                        progress.take(answer)
            except OSError:
                raise _Lost("its judge was ended") from None
        if answer is None:
            raise _Lost("its judge was ended")
        if answer.judged is None:
            raise _Lost(f"its judge failed with {answer.error.strip().splitlines()[-1]}")
        return answer.judged

    def kill(self) -> None:
        """End the warm process and every judge."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def close(self) -> None:
        self.kill()
        self.process.wait()
        self.orders.close()
        self.control.close()
        if hasattr(self, "sandbox"):
            self.sandbox.close()
        self.log.close()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def _was_killed(process: subprocess.Popen[bytes]) -> bool:
    """Whether a signal ended it, or its child where it passes that on as a shell does."""
    return not 0 <= process.wait() <= 128


def _python_path() -> list[str]:
    """What PYTHONPATH names, for a process that starts in another folder."""
    return [os.path.abspath(path) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


def _lay_out(data: Mapping[str, bytes]) -> Path:
    """A new folder with the assignment's data files, which the sandbox's user may read."""
    root = Path(tempfile.mkdtemp(prefix="course-data-"))
    for name, content in data.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o444)
    for folder in (root, *(p for p in root.rglob("*") if p.is_dir())):
        folder.chmod(0o755)
    return root


@contextlib.contextmanager
def _process(pid: int) -> Iterator[Callable[[], None]]:
    """Gives a function that kills the process, and where the system can tell, no later one with the same number."""
    if not hasattr(os, "pidfd_open"):
        yield functools.partial(os.kill, pid, signal.SIGKILL)
        return
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        raise _Lost("its judge was ended") from None
    try:
        yield functools.partial(_kill, handle)
    finally:
        os.close(handle)


def _kill(handle: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(handle, signal.SIGKILL)


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
