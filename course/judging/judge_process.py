"""The warm trusted process: it imports once what judging needs and then forks one judge per submission.

`course.judging.grader` starts it as `python -P -m course.judging.judge_process` with a unix socket as standard input.
The first message on that socket says what to prepare; every later byte brings one end of a socket pair, and for each a
child is forked, which reads its request from there, judges and answers there. Nothing lies in the file system that
another user could open, and when the socket ends, because the grader closed it or was killed, this process ends with
all its children.

A process that has run threads must not fork, so this one proves that it has a single thread before it serves.
"""

import contextlib
import ctypes
import gc
import importlib
import os
import random
import resource
import shutil
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import nbformat
from nbformat import NotebookNode

from course.judging import wire
from course.judging.verdict import Judged, Listener, Verdict

PARENT_DEATH_SIGNAL = 1  # of prctl(2)
STANDARD_INPUT = 0
MAX_MESSAGE = 2**30
"""Bytes of one message."""
GRACE = 2
"""Processor seconds that a judge has to stop a test by itself, before a library that cannot be stopped ends it."""

T = TypeVar("T")


@dataclass(frozen=True)
class Order:
    """What the process is to prepare: modules to import, and all that its judges have in common."""

    modules: list[str]
    judge: str
    """The function that judges, as "module:name"."""
    source: str
    """The assembled notebook, as JSON."""
    reference: dict[str, str]
    memory: int
    """Bytes that a judge may take beyond what the process has."""
    data: str | None
    """The folder of the assignment's data files."""


@dataclass(frozen=True)
class Request:
    """One submission to judge."""

    notebook: NotebookNode
    files: dict[str, bytes]
    seed: int
    seconds: float
    crowding: float
    deadline: float
    """Processor seconds after which a judge that is broken ends."""
    sandbox: str
    """The socket of the sandbox that forks students' kernels."""
    settled: list[Verdict]
    """Those of an earlier judge, which was lost after it had told them."""


@dataclass(frozen=True)
class Answer:
    """What comes back: one of these. Before the judgement come the tests that begin, and their verdicts."""

    ready: bool = False
    refused: str = ""
    """Why the process cannot serve."""
    pid: int = 0
    """Of the child that will judge."""
    testing: str = ""
    """The id of the test that begins."""
    verdict: Verdict | None = None
    error: str = ""
    judged: Judged | None = None


def send(connection: Connection, message: Any) -> None:
    """Write one message, its length before it."""
    # `Connection.send` would pickle, and what is unpickled can run code.
    connection.send_bytes(wire.encode(message))


def receive(connection: Connection, cls: type[T]) -> T | None:
    """Read one message; None where the other side has gone."""
    try:
        return wire.decode(connection.recv_bytes(MAX_MESSAGE), cls)
    except (EOFError, OSError):
        return None


def threads() -> int:
    """How many threads this process has; 1 where the system does not say."""
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.is_dir() else 1


def import_modules(names: list[str]) -> None:
    """Import every module that is installed.

    Raises RuntimeError, which names the module, when one of them starts a thread.
    """
    for name in names:
        with contextlib.suppress(ImportError):  # the cell that needs it will say so
            importlib.import_module(name)
        if threads() > 1:
            raise RuntimeError(f"importing {name} starts threads, so no judge can be forked after it")


def main() -> None:
    control = socket.socket(fileno=os.dup(STANDARD_INPUT))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, STANDARD_INPUT)
    os.close(nothing)
    orders = Connection(os.dup(control.fileno()))
    order = receive(orders, Order)
    if order is None:
        return
    try:
        import_modules(order.modules)
        module, _, name = order.judge.partition(":")
        judge = getattr(importlib.import_module(module), name)
        job = Job(order, judge)
        if threads() > 1:
            raise RuntimeError(f"importing {module} starts threads, so no judge can be forked after it")
    except Exception as error:
        traceback.print_exc()
        send(orders, Answer(refused=f"{type(error).__name__}: {error}"))
        return
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel collects judges that have ended
    gc.collect()
    gc.freeze()
    send(orders, Answer(ready=True))
    orders.close()
    serve(control, job)


def serve(control: socket.socket, job: "Job") -> NoReturn:
    """Fork a judge for every socket that comes; at the end of the control socket end the whole process group.

    The folder of data files goes before: where the grader was killed, nobody else removes it.
    """
    here = os.getpid()
    while True:
        byte, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not byte:
            if job.data is not None:
                shutil.rmtree(job.data, ignore_errors=True)
            os.killpg(os.getpgrp(), signal.SIGKILL)
        if not descriptors:
            continue
        connection = Connection(descriptors[0])
        if os.fork() == 0:
            control.close()
            try:
                job.run(connection, here)
            except BaseException:
                traceback.print_exc()
                with contextlib.suppress(OSError):
                    send(connection, Answer(error=traceback.format_exc(limit=-3)))
            os._exit(0)
        connection.close()


class _Teller(Listener):
    """Tells the grader how judging gets on, and has the system end a judge whose test cannot be stopped."""

    def __init__(self, connection: Connection, limit: int):
        self.connection, self.limit = connection, limit
        self._limit(limit)

    def begins(self, test: str, seconds: float) -> None:
        self._limit(min(self.limit, int(time.process_time() + seconds) + GRACE))
        send(self.connection, Answer(testing=test))

    def ended(self, verdict: Verdict) -> None:
        send(self.connection, Answer(verdict=verdict))
        self._limit(self.limit)

    def _limit(self, seconds: int) -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, self.limit))


class Job:
    """What the judges of one assignment have in common, read before the first is forked."""

    def __init__(self, order: Order, judge: Callable[..., Judged]):
        self.judge = judge
        self.source = nbformat.reads(order.source, as_version=4)
        self.reference, self.memory, self.data = order.reference, order.memory, order.data

    def run(self, connection: Connection, parent: int) -> None:
        """Judge the one submission whose request comes over `connection`, in a forked child."""
        self._limit(parent)
        send(connection, Answer(pid=os.getpid()))
        request = receive(connection, Request)
        if request is None:
            return
        import numpy
        import torch

        random.seed(request.seed)
        numpy.random.seed(request.seed % 2**32)
        torch.manual_seed(request.seed % 2**63)

        def kernel() -> Any:
            from course import sandbox

            return sandbox.connect(Path(request.sandbox), request.files)

        judged = self.judge(
            request.notebook,
            self.source,
            kernel,
            seed=request.seed,
            seconds=request.seconds,
            crowding=request.crowding,
            reference=self.reference,
            settled=request.settled,
            listener=_Teller(connection, int(request.deadline) + 1),
        )
        send(connection, Answer(judged=judged))

    def _limit(self, parent: int) -> None:
        """End with the warm process, and take no more memory than a submission may."""
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            most = pages * resource.getpagesize() + self.memory
            resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
