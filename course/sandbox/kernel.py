"""The student's kernel: an IPython kernel that also answers the judge's requests.

Requests come over a socket of their own, which listens beside the kernel's under the number 0: each is eight bytes of
length, little-endian, then `labkit.testing.codec` bytes, and so is each reply. A test asks hundreds of times, and a
message on a Jupyter channel would cost ten times what the answer does. The message `course_serve` on the shell channel
makes the main thread answer until a request of no length comes, so that cells and requests keep their order and an
interrupt ends a call as it ends a cell.

It trusts nothing and is trusted with nothing: what the student does to this process shows only in its replies.
"""

import argparse
import contextlib
import functools
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from traitlets.config import Config

from labkit.testing import codec
from labkit.testing.student import Student

if "ipykernel" not in sys.modules:
    # Nobody debugs here, and looking for a debugger takes a third of the kernel's start.
    sys.modules.setdefault("debugpy", None)  # type: ignore[arg-type]

from ipykernel.iostream import OutStream
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp

SERVE = "course_serve"
HEAD = 8
# Characters that a cell may print: twice what is kept of it.
MAX_PRINTED = 2 * 2**20
# Threads that never rest would make each step of an answer wait ten times as long at Python's own 5 ms.
SWITCH_SECONDS = 5e-4


class BoundedStream(OutStream):
    """What a cell prints, up to a number of characters: threads that print for ever hold nothing up."""

    room = MAX_PRINTED

    def write(self, string: str) -> int | None:  # type: ignore[override]
        if isinstance(string, str) and len(string) > self.room:
            if self.room:
                super().write(string[: self.room])
                self.room = 0
            return len(string)
        written = super().write(string)
        self.room -= len(string)
        return written


class StudentKernel(IPythonKernel):
    """An IPython kernel with one more message: answer the judge's requests."""

    shell: Any
    listener: socket.socket
    judge: socket.socket | None = None

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.student = Student(self.shell.user_ns)
        self.shell_handlers[SERVE] = self.course_serve

    async def do_execute(self, *args: Any, **kwargs: Any) -> Any:
        _let_print(MAX_PRINTED)
        reply = await super().do_execute(*args, **kwargs)
        if self.shell.exit_now:
            # Now, so that it is known which cell did it.
            os._exit(0)
        return reply

    def course_serve(self, stream: Any, identity: list[bytes], parent: dict) -> None:
        """Answer requests until one of no length comes or the judge is gone. What is printed meanwhile is dropped."""
        _let_print(0)
        if self.judge is None:
            self.judge, _ = self.listener.accept()
        with contextlib.suppress(OSError):
            while request := _read(self.judge):
                reply = self.answer(request)
                self.judge.sendall(len(reply).to_bytes(HEAD, "little") + reply)

    def answer(self, request: bytes) -> bytes:
        """The reply to a request, whatever happens: a student's exit() or an interrupt ends the call only."""
        try:
            try:
                signal.signal(signal.SIGINT, signal.default_int_handler)
                return self.student.handle(request)
            finally:
                # Half a message, read or written, would be the end of the talk.
                signal.signal(signal.SIGINT, signal.SIG_IGN)
        except BaseException as error:
            return codec.encode(("error", [type(error).__name__], "the call was interrupted", []))


def _let_print(characters: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, BoundedStream):
            stream.room = characters


def _read(connection: socket.socket) -> bytes:
    """One message; nothing where the other side has gone."""
    size = int.from_bytes(connection.recv(HEAD, socket.MSG_WAITALL), "little")
    return connection.recv(size, socket.MSG_WAITALL) if size else b""


def start(connection_file: str, ready: Callable[[], None] = lambda: None) -> None:
    """Serve as the kernel of a connection file until it is shut down; `ready` is called once its sockets listen."""
    config = Config()
    config.HistoryManager.enabled = False
    config.IPKernelApp.quiet = True
    config.IPKernelApp.outstream_class = f"{BoundedStream.__module__}.{BoundedStream.__name__}"
    app = IPKernelApp.instance(config=config, kernel_class=StudentKernel)
    # No arguments but this one: the process's own are not the kernel's.
    app.initialize(["-f", connection_file])
    _make_as_at_home()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{json.loads(Path(connection_file).read_text())['ip']}-0")
    listener.listen(1)
    app.kernel.listener = listener
    sys.setswitchinterval(SWITCH_SECONDS)
    ready()
    app.start()
    while app.kernel._shutdown_message is None:  # a cell stopped the event loop, which nobody meant to be the end
        app.io_loop.start()


def _make_as_at_home() -> None:
    """What honest work relies on: modules in its folder, torch.compile without a compiler, any number of threads."""
    sys.path.append("")  # behind all else, so that no library is replaced
    if torch := sys.modules.get("torch"):
        torch.compiler.set_stance("force_eager")
        # OpenMP keeps to this limit by itself, but torch has a second pool, which starts as many threads as it is told.
        if most := int(os.environ.get("OMP_THREAD_LIMIT", "0")):
            for name in ("set_num_threads", "set_num_interop_threads"):
                setattr(torch, name, _with_at_most(most, getattr(torch, name)))


def _with_at_most(most: int, function: Callable[[int], None]) -> Callable[[int], None]:
    @functools.wraps(function)
    def limited(number: int) -> None:
        function(min(number, most))

    return limited


def main() -> None:
    parser = argparse.ArgumentParser(description="the kernel that a submission's cells run in")
    parser.add_argument("-f", dest="connection_file", required=True)
    start(parser.parse_args().connection_file)


if __name__ == "__main__":
    main()
