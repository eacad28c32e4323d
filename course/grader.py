"""Judge submissions fast: warm processes, a judge forked for each submission, several side by side.

`Grader` holds two warm processes: the sandbox, which forks students' kernels, and the trusted one (`course.warm`),
which forks judges. `judge_many` sends submissions through them in lanes on this machine, or over the workers of a Dask
scheduler (`course.cluster`). What takes a warm process down costs a fresh start and another try, never the batch.
"""

import ast
import base64
import contextlib
import functools
import hashlib
import itertools
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Protocol, TypeVar

import nbformat
from nbformat import NotebookNode

from course.judge import Judged, failed
from course.receive import Received
from course.reference import references
from course.sandbox import Room, RoomError, Sandbox, SandboxError, room_of
from course.sandbox.room import data_files
from course.warm import receive, send

ROOT = Path(__file__).resolve().parents[1]
DEFAULT_SECONDS = 60
"""The time limit of a notebook whose header names none."""
LANES_PER_CORE = 1.5
"""Starting a kernel is partly waiting, so one lane a core leaves it idle; with two or three a core, submissions that
compute for seconds push each other out of its cache (bench/grading.md)."""
ATTEMPTS = 3
"""How often a submission is tried when a process that judges it is killed."""
ATTEMPTS_IN_TIME = 2
"""How often it is tried when it does not end."""
MARGIN = 60.0
"""Seconds a judge may take beyond twice the submission's limit: by then it has ended itself, unless it is broken."""
ALWAYS_NEEDED = ("torch", "torch._dynamo", "nbformat", "jupyter_client", "labkit.judge")
JUDGING = ("conversation", "judge", "reference", "testcell", "warm", "wording")
"""Modules of this package that have a part in a mark."""
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}

Key = TypeVar("Key", bound=Hashable)
Work = tuple[Key, Received, int]


class GraderError(Exception):
    """Grading cannot go on at all: one sentence for the instructor."""


class _Lost(Exception):
    """A judge gave no answer; says why."""


class _TooLong(_Lost):
    """A judge did not end in its time."""


# ------------------------------------------------------------------------------------------------------ the assignment


@dataclass(frozen=True)
class Assignment:
    """All that judging needs, so that it can travel to another machine.

    It carries the assignment, not the course's own code: labkit, solutions and course have to be installed there at the
    same release. `check_code` refuses a machine where they differ.
    """

    name: str
    source: str
    """The instructor's notebook, as JSON."""
    reference: dict[str, str]
    """For each function that a later exercise builds on, the Python source that defines it."""
    room: Room
    seconds: float
    """The time limit of one submission, on a core of its own."""
    version: str
    """SHA-256, in hex, of the notebook and the reference."""
    data: dict[str, bytes]
    """The assignment's data files, by name."""
    code: str
    """SHA-256, in hex, of the course's code that judges it."""

    @classmethod
    def load(cls, root: Path, name: str) -> "Assignment":
        """Read the assembled assignment `name` of the course at `root`.

        Raises:
            GraderError: it is not assembled, or cannot be read.
        """
        path = root / "course" / "source" / name / f"{name}.ipynb"
        try:
            source = nbformat.read(path, as_version=4)
        except FileNotFoundError:
            raise GraderError(
                f"There is no assembled assignment {name!r}: run `make exercises` first, or correct the name."
            ) from None
        except (OSError, ValueError) as error:
            raise GraderError(f"{path} cannot be read ({error}): run `make exercises` again.") from None
        text = nbformat.writes(source)
        parts = references(source, root)
        try:
            room = room_of(source, root, name)
        except RoomError as error:
            raise GraderError(str(error)) from None
        version = hashlib.sha256(text.encode())
        for part in sorted(parts.items()):
            version.update("\0".join(("", *part)).encode())
        return cls(
            name=name,
            source=text,
            reference=parts,
            room=room,
            seconds=float(source.metadata.get("course", {}).get("seconds", DEFAULT_SECONDS)),
            version=version.hexdigest(),
            data=_files_in(room.data),
            code=code_fingerprint(room.modules),
        )

    @functools.cached_property
    def notebook(self) -> NotebookNode:
        """The instructor's notebook."""
        return nbformat.reads(self.source, as_version=4)

    def check_code(self) -> None:
        """Raise GraderError unless this machine judges with the code that the assignment was loaded with."""
        if code_fingerprint(self.room.modules) != self.code:
            raise GraderError(
                f"The course on {socket.gethostname()} ({ROOT}) is another than the one that sent the assignment "
                f"{self.name!r}: install the same release of the course and the same torch on every machine."
            )


def _files_in(folder: Path | None) -> dict[str, bytes]:
    if folder is None:
        return {}
    found = itertools.chain.from_iterable(sorted(p.rglob("*")) if p.is_dir() else [p] for p in data_files(folder))
    return {str(p.relative_to(folder)): p.read_bytes() for p in found if p.is_file()}


def code_fingerprint(modules: Iterable[str]) -> str:
    """SHA-256, in hex, of all code that has a part in a mark, where it is installed here."""
    own = [ROOT / "course" / f"{name}.py" for name in JUDGING]
    own += [ROOT / "solutions" / f"{name}.py" for name in modules]
    own += [*(ROOT / "course" / "sandbox").glob("*.py"), *(ROOT / "labkit").glob("*.py")]
    digest = hashlib.sha256(f"python {sys.version_info[:2]} torch {metadata.version('torch')}".encode())
    for path in sorted(own):
        digest.update(f"\0{path.relative_to(ROOT).as_posix()}\0".encode())
        digest.update(path.read_bytes() if path.is_file() else b"absent")
    return digest.hexdigest()


def modules_of(source: NotebookNode) -> list[str]:
    """Modules that the judge will import: those of the given and test cells, inside functions too.

    The course's reference solutions are left out.
    """
    names: dict[str, None] = {}
    for cell in source.cells:
        if cell.cell_type != "code" or cell.id.split("-")[0] not in ("given", "test"):
            continue
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Import):
                names |= dict.fromkeys(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names |= dict.fromkeys([node.module])
    return [name for name in names if name.split(".")[0] != "solutions"]


# ---------------------------------------------------------------------------------------------------------- the grader


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
        judge: str = "course.judge:judge",
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

        When a process is killed under it, it is tried again, and a submission whose judge is lost every time gets a
        judgement with no points and the reason.

        Raises:
            GraderError: the warm processes cannot be started, or the grader was closed.
        """
        lost: list[_Lost] = []
        while len(lost) < ATTEMPTS and sum(isinstance(e, _TooLong) for e in lost) < ATTEMPTS_IN_TIME:
            pair = self._running()
            try:
                judged = pair.ask(received, seed, self.crowding)
            except _Lost as error:
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
        with self._lock:
            if self._closed:
                raise GraderError("Grading was stopped.")
            self._opening = pair = _Pair(self.assignment, self._judge)
        try:
            pair.open(self._sandbox, self.isolated)
        except BaseException:
            pair.close()
            raise
        return pair


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
                [sys.executable, "-P", "-m", "course.warm"],
                stdin=theirs.fileno(),
                stdout=self.log,
                stderr=self.log,
                cwd=self.folder or "/",
                # Not the caller's sys.path: its first entry is whatever folder a script lies in.
                env={**os.environ, **ONE_THREAD, "PYTHONPATH": os.pathsep.join([str(ROOT), *_python_path()])},
                start_new_session=True,  # a Ctrl-C is for the command alone, which then ends this
            )
        modules = [*ALWAYS_NEEDED, *modules_of(assignment.notebook)]
        order = {
            "modules": modules,
            "judge": judge,
            "source": assignment.source,
            "reference": assignment.reference,
            "memory": assignment.room.memory,
            "data": str(self.folder) if self.folder else None,
        }
        with contextlib.suppress(OSError):  # it has ended already; open() says so
            send(self.control, order)

    def open(self, sandbox: Callable[..., RunningSandbox], isolated: bool) -> None:
        """Start the sandbox while the warm process imports, and wait for both."""
        room = self.assignment.room
        try:
            self.sandbox = sandbox(replace(room, data=self.folder) if self.folder else room, isolated=isolated)
            answer = receive(self.control)
            if answer is None or not answer.get("ready"):
                raise GraderError(f"The judge's process did not start: {(answer or {}).get('refused') or self._log()}.")
            self.sandbox.wait()
        except SandboxError as error:
            raise GraderError(str(error)) from None

    def _log(self) -> str:
        self.log.seek(0)
        return self.log.read().decode(errors="replace").strip()[-500:] or "it was ended"

    def alive(self) -> bool:
        return self.process.poll() is None and self.sandbox.process.poll() is None

    def ask(self, received: Received, seed: int, crowding: float) -> Judged:
        """Have a child of the warm process judge a submission; `_Lost` when it does not answer."""
        deadline = 2 * self.assignment.seconds * crowding + MARGIN
        ours, theirs = socket.socketpair()
        with ours:
            try:
                with theirs, self.lock:
                    socket.send_fds(self.control, [b"+"], [theirs.fileno()])
                ours.settimeout(MARGIN)
                hello = receive(ours)
                if hello is None:
                    raise _Lost("its judge was ended")
                request = {
                    "notebook": received.notebook,
                    "files": {name: base64.b64encode(data).decode("ascii") for name, data in received.files.items()},
                    "seed": seed,
                    "seconds": self.assignment.seconds,
                    "crowding": crowding,
                    "deadline": deadline,
                    "sandbox": str(self.sandbox.socket),
                }
                with _process(hello["pid"]) as end:
                    send(ours, request)
                    ours.settimeout(deadline)
                    try:
                        answer = receive(ours)
                    except TimeoutError:
                        end()
                        raise _TooLong(f"its judge did not end within {deadline:.0f} seconds") from None
            except OSError:
                raise _Lost("its judge was ended") from None
        if answer is None:
            raise _Lost("its judge was ended")
        if "error" in answer:
            raise _Lost(f"its judge failed with {answer['error'].strip().splitlines()[-1]}")
        return Judged.from_json(answer["judged"])

    def kill(self) -> None:
        """End the warm process and every judge."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def close(self) -> None:
        self.kill()
        self.process.wait()
        self.control.close()
        if hasattr(self, "sandbox"):
            self.sandbox.close()
        self.log.close()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


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


# --------------------------------------------------------------------------------------------------- many submissions


def judge_many(
    assignment: Assignment,
    jobs: Iterable[Work[Key]],
    *,
    lanes: int | None = None,
    scheduler: str | None = None,
    isolated: bool = True,
) -> Generator[tuple[Key, Judged], None, None]:
    """Judge submissions, each with its seed, and yield them by their keys as they are done.

    `lanes` submissions are judged at a time on this machine (three for every two cores when not given), or as many as
    the workers of a Dask scheduler have threads when its address is given. `jobs` is read as lanes become free. Ending
    the iteration early, by `close()` or an exception such as KeyboardInterrupt, ends all processes at once.

    Raises:
        GraderError: grading cannot go on at all; what was yielded before stands.
    """
    if scheduler is not None:
        from course.cluster import judge_on_cluster

        yield from judge_on_cluster(
            assignment, jobs, scheduler, functools.partial(Grader, assignment, isolated=isolated)
        )
        return
    lanes = lanes or lanes_here()
    with Grader(assignment, isolated=isolated, crowding=lanes / cores()) as grader:
        yield from in_lanes(grader, jobs, lanes)


def in_lanes(grader: Grader, jobs: Iterable[Work[Key]], lanes: int) -> Iterator[tuple[Key, Judged]]:
    """Judge submissions with a grader that is running, `lanes` at a time."""
    waiting = iter(jobs)
    pool = ThreadPoolExecutor(lanes, thread_name_prefix="lane")
    running: dict[Future[Judged], Key] = {}
    try:
        while True:
            # As many again stand ready, so that no lane waits while the caller uses what it was given.
            for key, received, seed in itertools.islice(waiting, 2 * lanes - len(running)):
                running[pool.submit(grader.judge, received, seed)] = key
            if not running:
                break
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(done), done.result()
    except BaseException:
        grader.close()  # lets the lanes go
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def lanes_here() -> int:
    """How many submissions are judged at a time on this machine."""
    return math.ceil(LANES_PER_CORE * cores())


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
