"""The student's kernel: an IPython kernel that also answers the judge's requests.

Beside cells it takes one more message on its shell channel, `course_request`: one buffer of `labkit.codec` bytes, which
`labkit.remote.Student` does over the notebook's namespace. `course_reply` brings one buffer back. Nothing is encoded
as text on the way, and the main thread does the work, so that an interrupt ends a call as it ends a cell.

It trusts nothing and is trusted with nothing: what the student does to this process shows only in its replies.
"""

import argparse
import sys
from collections.abc import Callable
from typing import Any

from traitlets.config import Config

from labkit import codec
from labkit.remote import Student

if "ipykernel" not in sys.modules:
    # Nobody debugs here, and looking for a debugger takes a third of the kernel's start.
    sys.modules.setdefault("debugpy", None)  # type: ignore[arg-type]

from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp

REQUEST = "course_request"
REPLY = "course_reply"


class StudentKernel(IPythonKernel):
    """An IPython kernel with one more message: a request to the student's answers."""

    shell: Any
    session: Any

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.student = Student(self.shell.user_ns)
        self.shell_handlers[REQUEST] = self.course_request

    def course_request(self, stream: Any, identity: list[bytes], parent: dict) -> None:
        """Do what the judge asks and reply, whatever happens: a student's exit() or an interrupt ends the call only."""
        try:
            reply = self.student.handle(bytes(parent["buffers"][0]))
        except BaseException as error:
            reply = codec.encode(("error", [type(error).__name__], "the call was interrupted"))
        self.session.send(stream, REPLY, {}, parent, ident=identity, buffers=[reply])

    def _publish_status(self, status: str, channel: str, parent: dict | None = None) -> None:
        """Say nothing of being busy with a request: nobody listens, and it takes a quarter of the request's time."""
        message = parent or self.get_parent(channel)
        if message.get("header", {}).get("msg_type") != REQUEST:
            super()._publish_status(status, channel, parent)


def start(connection_file: str, ready: Callable[[], None] = lambda: None) -> None:
    """Serve as the kernel of a connection file until it is shut down; `ready` is called once its sockets listen."""
    config = Config()
    config.HistoryManager.enabled = False
    config.IPKernelApp.quiet = True
    app = IPKernelApp.instance(config=config, kernel_class=StudentKernel)
    # No arguments but this one: the process's own are not the kernel's.
    app.initialize(["-f", connection_file])
    ready()
    app.start()


def main() -> None:
    parser = argparse.ArgumentParser(description="the kernel that a submission's cells run in")
    parser.add_argument("-f", dest="connection_file", required=True)
    start(parser.parse_args().connection_file)


if __name__ == "__main__":
    main()
