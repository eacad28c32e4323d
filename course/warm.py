"""The warm trusted process: it imports once what judging needs and then forks one judge per submission.

`course.grader` starts it as `python -P -m course.warm` with a unix socket as standard input. The first message on that
socket says what to prepare; every later byte brings one end of a socket pair, and for each a child is forked, which
reads its request from there, judges and answers there. Nothing lies in the file system that another user could open,
and when the socket ends, because the grader closed it or was killed, this process ends with all its children.

A process that has run threads must not fork, so this one proves that it has a single thread before it serves.
"""

import base64
import contextlib
import ctypes
import gc
import importlib
import json
import os
import random
import resource
import shutil
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

HEAD = 8
PARENT_DEATH_SIGNAL = 1  # of prctl(2)
STANDARD_INPUT = 0


def send(connection: socket.socket, message: dict[str, Any]) -> None:
    """Write one message: the length of its JSON text (8 bytes, little-endian), then the text."""
    text = json.dumps(message, separators=(",", ":")).encode()
    connection.sendall(len(text).to_bytes(HEAD, "little") + text)


def receive(connection: socket.socket) -> dict[str, Any] | None:
    """Read one message; None where the other side has gone."""
    head = _exactly(connection, HEAD)
    text = None if head is None else _exactly(connection, int.from_bytes(head, "little"))
    return None if text is None else json.loads(text)


def _exactly(connection: socket.socket, size: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < size:
        try:
            part = connection.recv(min(size - len(parts), 2**20))
        except ConnectionError:
            return None
        if not part:
            return None
        parts += part
    return bytes(parts)


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
    order = receive(control)
    if order is None:
        return
    try:
        import_modules(order["modules"])
        module, _, name = order["judge"].partition(":")
        judge = getattr(importlib.import_module(module), name)
        job = Job(order, judge)
        if threads() > 1:
            raise RuntimeError(f"importing {module} starts threads, so no judge can be forked after it")
    except Exception as error:
        traceback.print_exc()
        send(control, {"refused": f"{type(error).__name__}: {error}"})
        return
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel collects judges that have ended
    gc.collect()
    gc.freeze()
    send(control, {"ready": True})
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
        connection = socket.socket(fileno=descriptors[0])
        if os.fork() == 0:
            control.close()
            try:
                job.run(connection, here)
            except BaseException:
                traceback.print_exc()
                with contextlib.suppress(OSError):
                    send(connection, {"error": traceback.format_exc(limit=-3)})
            os._exit(0)
        connection.close()


class Job:
    """What the judges of one assignment have in common, read before the first is forked."""

    def __init__(self, order: dict[str, Any], judge: Callable[..., Any]):
        import nbformat

        self.judge = judge
        self.source = nbformat.reads(order["source"], as_version=4)
        self.reference: dict[str, str] = order["reference"]
        self.memory: int = order["memory"]
        self.data: str | None = order["data"]

    def run(self, connection: socket.socket, parent: int) -> None:
        """Judge the one submission whose request comes over `connection`, in a forked child."""
        self._limit(parent)
        send(connection, {"pid": os.getpid()})
        request = receive(connection)
        if request is None:
            return
        import nbformat
        import numpy
        import torch

        seed: int = request["seed"]
        random.seed(seed)
        numpy.random.seed(seed % 2**32)
        torch.manual_seed(seed % 2**63)
        limit = int(request["deadline"]) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        files = {name: base64.b64decode(data) for name, data in request["files"].items()}

        def kernel() -> Any:
            from course import sandbox

            return sandbox.connect(Path(request["sandbox"]), files)

        judged = self.judge(
            nbformat.from_dict(request["notebook"]),
            self.source,
            kernel,
            seed=seed,
            seconds=request["seconds"],
            crowding=request["crowding"],
            reference=self.reference,
        )
        send(connection, {"judged": judged.to_json()})

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
