"""The judge's talk with a student's kernel: cells and requests go there, outputs and replies come back.

Whatever comes back is the student's: it is bounded in size, number and time before anything looks at it, and only text,
checked PNG images, what was printed and errors are kept of it. Printing to stderr leaves no trace.
"""

import base64
import binascii
import contextlib
import socket
import time
from collections.abc import Callable
from typing import Any, NoReturn

import nbformat.v4
import zmq
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager
from nbformat import NotebookNode

from labkit.testing import codec
from labkit.testing.codec import without_surrogates

SERVE = "course_serve"
HEAD = 8
TOO_LARGE = "too large to be read"

START_SECONDS = 60.0
# What a kernel that has replied may take until its outputs are heard on a new channel.
HEARD_SECONDS = 5.0
# What an interrupted kernel has to come back.
GRACE_SECONDS = 1.0
# How often a silent kernel is asked whether it is alive.
BEAT_SECONDS = 0.2

MAX_REPLY = codec.MAX_BYTES + 2**20
# Beyond this a channel ends; what is beyond MAX_CONTENT is not read.
MAX_OUTPUT_MESSAGE = 64 * 2**20
MAX_CONTENT = 4 * 2**20
MAX_FRAMES = 32

# Kept of what a cell, and a whole notebook, puts out: characters and number of outputs.
CELL_OUTPUT, NOTEBOOK_OUTPUT = 2**20, 8 * 2**20
CELL_OUTPUTS = 100
MAX_LINE = 4000
CUT = "\n[the rest of this output is left out]\n"

_PNG = b"\x89PNG\r\n\x1a\n"


class Stopped(BaseException):
    """The student's side did not do what it was asked: too slow, or gone. No test can catch it as an exception.

    `reason` is a clause that follows the name of what ran, such as "did not end within 5 seconds".
    """

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


class Ended(Stopped):
    """Python ended by itself, and not over a limit: what ran did it, or something that an earlier cell had started."""


class _Client(BlockingKernelClient):
    """A client whose sockets refuse messages that are too large."""

    def _create_connected_socket(self, channel: str, identity: bytes | None = None) -> Any:
        is_output = channel == "iopub"
        # The context's options are those of the sockets that it makes next.
        self.context.setsockopt(zmq.MAXMSGSIZE, MAX_OUTPUT_MESSAGE if is_output else MAX_REPLY)
        # What waits here takes our memory; the kernel's own queues are longer.
        self.context.setsockopt(zmq.RCVHWM, 4 if is_output else 1)
        socket = super()._create_connected_socket(channel, identity)
        socket.linger = 0
        return socket


class Conversation:
    """One student's kernel, from its start to its end. `alive` says whether it can still be asked."""

    def __init__(self, kernel: Callable[[], KernelManager], crowding: float = 1.0):
        """Start a kernel. Raises RuntimeError where it does not come up.

        All limits of time are those of a kernel on a core of its own. One that shares its core may take `crowding`
        times as long by the clock, unless it has used the processor for all of the limit.
        """
        self.crowding = crowding
        self.used = 0.0
        """Processor seconds that the kernel used; known when it has ended, and only where somebody counts them."""
        self.alive = False
        self.serving = False  # whether the kernel waits for requests, and for nothing else
        self.requests = socket.socket(socket.AF_UNIX)
        self.manager = kernel()
        self.client: _Client | None = None
        try:
            self.manager.start_kernel()
            connection = self.manager.get_connection_info(session=True)
            self.client = _Client(**connection, parent=self.manager, context=zmq.Context())
            self.client.start_channels(shell=True, iopub=True, stdin=False, hb=False, control=False)
            self.shell, self.iopub = self.client.shell_channel.socket, self.client.iopub_channel.socket
            if not self._is_ready_within(START_SECONDS):
                raise RuntimeError("the kernel did not start")
            self.requests.connect(f"{connection['ip']}-0")
        except BaseException:
            self.close()
            raise
        self.alive = True

    def close(self) -> None:
        """End the kernel and all that belongs to it."""
        self.alive = False
        self.requests.close()
        if count := self._count():
            self.used = count()
        if self.client is not None:
            self.client.stop_channels()
            self.client.context.destroy(linger=0)
            self.client = None
        self.manager.shutdown_kernel(now=True)

    # -- what the judge asks

    def request(self, request: bytes, seconds: float) -> bytes:
        """The reply to a request. Raises Stopped when none comes within the limit or the kernel ends."""
        if not self.serving:
            self._send(SERVE, {})
            self.serving = True
        limit = self._limit(seconds)
        try:
            # One in the kernel that reads nothing, because something of the student's runs there, must not hold us up.
            self.requests.settimeout(limit.left())
            self.requests.sendall(len(request).to_bytes(HEAD, "little") + request)
            reply = self._reply(limit)
        except TimeoutError:
            reply = None
        except OSError:
            self._gone()
        if reply is not None:
            return reply
        reason = f"did not end within {seconds_of(seconds)}"
        with contextlib.suppress(Exception):
            self.manager.interrupt_kernel()
            if self._reply(_Limit(GRACE_SECONDS)) is not None:
                raise Stopped(reason)
        self.close()
        raise Stopped(reason)

    def _limit(self, seconds: float) -> "_Limit":
        return _Limit(seconds, self.crowding, self._count())

    def _count(self) -> Callable[[], float] | None:
        """What counts the kernel's processor seconds, if anything does."""
        return getattr(self.manager.provisioner, "used", None)

    def _reply(self, limit: "_Limit") -> bytes | None:
        """What comes on the socket of requests within a limit; None when it is not whole by then."""
        parts, size = bytearray(), None
        while not limit.over():
            ready = dict(self.request_poller.poll(int(1000 * min(limit.left(), BEAT_SECONDS)) + 1))
            if self.iopub in ready:
                self.iopub.recv_multipart()  # what is printed in a test could show hidden inputs
            if self.requests.fileno() not in ready:
                if not ready and not self.manager.is_alive():
                    self._gone()
                continue
            part = self.requests.recv(2**20)
            if not part:
                self._gone()
            parts += part
            if size is None and len(parts) >= HEAD:
                size = int.from_bytes(parts[:HEAD], "little")
            if size is not None and (size > MAX_REPLY or len(parts) > HEAD + size):
                self.close()
                raise Stopped("gave an answer that is too large or no answer at all")
            if size is not None and len(parts) == HEAD + size:
                return bytes(parts[HEAD:])
        return None

    def _gone(self) -> NoReturn:
        end = time.monotonic() + GRACE_SECONDS
        while self.manager.is_alive() and time.monotonic() < end:
            time.sleep(0.01)  # its socket may close before it is known why
        ending = _ending(self.manager)
        self.close()
        raise ending

    def execute(self, code: str, seconds: float, outputs: "Outputs") -> None:
        """Run a cell and collect what it puts out. Raises Stopped when it does not end in time or ends the kernel."""
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        if self.serving:
            with contextlib.suppress(OSError):  # a kernel that is gone shows below
                self.requests.sendall(bytes(HEAD))
            self.serving = False
        asked = self._send("execute_request", content)
        self._wait(asked, seconds, outputs)

    # -- messages

    def _send(self, kind: str, content: dict) -> str:
        assert self.client is not None
        message = self.client.session.msg(kind, content)
        self.client.session.send(self.shell, message)
        return message["header"]["msg_id"]

    def _is_ready_within(self, seconds: float) -> bool:
        """Wait until the kernel answers and its outputs arrive: what is printed before that would be lost."""
        self.poller = zmq.Poller()
        self.poller.register(self.shell, zmq.POLLIN)
        self.poller.register(self.iopub, zmq.POLLIN)
        self.request_poller = zmq.Poller()
        self.request_poller.register(self.requests, zmq.POLLIN)
        self.request_poller.register(self.iopub, zmq.POLLIN)
        end = time.monotonic() + seconds
        answered = heard = False
        asked = set()
        while not (answered and heard):
            if time.monotonic() > end or not self.manager.is_alive():
                return False
            asked.add(self._send("kernel_info_request", {}))
            for channel, message in self._messages(BEAT_SECONDS):
                answered |= channel is self.shell
                heard |= channel is self.iopub and _parent(message) in asked
        return True

    def _messages(self, seconds: float) -> list[tuple[Any, dict]]:
        """What arrives within some seconds, the first of each socket; messages that are none are dropped."""
        found = []
        for channel, _ in self.poller.poll(int(max(seconds, 0) * 1000)):
            message = self._receive(channel)
            if message is not None:
                found.append((channel, message))
        return found

    def _receive(self, channel: Any) -> dict | None:
        assert self.client is not None
        frames = [channel.recv()]
        whole = True
        while channel.getsockopt(zmq.RCVMORE):
            frame = channel.recv()
            if len(frames) < MAX_FRAMES:
                frames.append(frame)
            else:
                whole = False
        try:
            _, parts = self.client.session.feed_identities(frames)
            # Signature, header, parent, metadata and content: all but the buffers is JSON.
            if not whole or sum(map(len, parts[:4])) > MAX_CONTENT:
                return None
            readable = len(parts[4]) <= MAX_CONTENT
            message = self.client.session.deserialize(parts, content=readable)
            if not readable:
                message |= {"msg_type": TOO_LARGE, "content": {}}
            return message if isinstance(message["content"], dict) else None
        except Exception:  # whatever a kernel that is the student's may send
            return None

    def _wait(self, asked: str, seconds: float, outputs: "Outputs") -> None:
        """Wait for the reply to what was asked; outputs of it are collected and others dropped."""
        limit = self._limit(seconds)
        while not limit.over():
            if self._step(asked, min(limit.left(), BEAT_SECONDS), outputs):
                return
        reason = f"did not end within {seconds_of(seconds)}"
        try:
            self.manager.interrupt_kernel()
            grace = _Limit(GRACE_SECONDS)
            while not grace.over():
                if self._step(asked, min(grace.left(), BEAT_SECONDS), outputs):
                    raise Stopped(reason)
        except Exception:
            pass  # a kernel that cannot be interrupted is ended
        self.close()
        raise Stopped(reason)

    def _step(self, asked: str, seconds: float, outputs: "Outputs") -> bool:
        """Take in what arrives within some seconds; whether the reply was among it."""
        messages = self._messages(seconds)
        replied = False
        for channel, message in messages:
            if _parent(message) != asked:
                continue
            if channel is self.shell and message.get("msg_type") == "execute_reply":
                replied = True
            elif channel is self.iopub:
                outputs.add(message)
        if replied:
            self._finish_outputs(asked, outputs)
        if not messages and not self.manager.is_alive():
            self._gone()
        return replied

    def _finish_outputs(self, asked: str, outputs: "Outputs") -> None:
        """What a cell put out before it ended may come after its reply; its last word is that the kernel is idle."""
        end = time.monotonic() + GRACE_SECONDS
        while not outputs.ended and (now := time.monotonic()) < end:
            for channel, message in self._messages(end - now):
                if channel is self.iopub and _parent(message) == asked:
                    outputs.add(message)
        if not outputs.ended:  # the channel ended over a message that was too large, or the kernel plays tricks
            assert self.client is not None
            outputs.cut()
            self.iopub.close()
            self.iopub = self.client.connect_iopub()
            if not self._is_ready_within(HEARD_SECONDS):
                if not self.manager.is_alive():
                    self._gone()
                self.close()
                raise Stopped("left Python in a state in which its outputs can no longer be read")


class _Limit:
    """Some seconds from now: by the clock and by the processor, as `Conversation.__init__` says.

    `used` tells the processor seconds so far. Asking it is slow, so what ends soon is not measured.
    """

    def __init__(self, seconds: float, crowding: float = 1.0, used: Callable[[], float] | None = None):
        self.seconds, self.begun = seconds, time.monotonic()
        self.end = self.begun + seconds * crowding
        self.used = used if crowding > 1 else None
        self.used_before: float | None = None
        self.next_look = self.begun + BEAT_SECONDS

    def left(self) -> float:
        """Seconds by the clock."""
        return max(self.end - time.monotonic(), 0.001)

    def over(self) -> bool:
        now = time.monotonic()
        if now >= self.end:
            return True
        if self.used is None or now < self.next_look:
            return False
        used = self.used()
        if self.used_before is None:
            self.used_before, self.next_look = used, self.begun + self.seconds
            return False
        self.next_look = now + BEAT_SECONDS
        return used - self.used_before >= self.seconds


def seconds_of(seconds: float) -> str:
    """A time in words."""
    whole = max(round(seconds), 1)
    return f"{whole} second{'s' * (whole > 1)}"


def _parent(message: dict) -> Any:
    parent = message.get("parent_header")
    return parent.get("msg_id") if isinstance(parent, dict) else None


def _ending(manager: KernelManager) -> Stopped:
    """Why a kernel ended by itself."""
    ended = getattr(manager.provisioner, "ended", None)
    reason = ended() if callable(ended) else None
    match reason:
        case "memory":
            return Stopped("used more memory than a submission may")
        case "time":
            return Stopped("used more computing time than a submission may")
        case str():
            return Ended(f"ended Python itself ({reason})")
    return Ended("ended Python itself")


class Outputs:
    """What a cell put out, bounded, and nothing of it that a browser would run."""

    def __init__(self, room: int):
        self.room = min(room, CELL_OUTPUT)  # characters that may still be kept
        self.taken = 0
        self.cells: list[NotebookNode] = []
        self.ended = False
        self._cut = self._clear = False

    def add(self, message: dict) -> None:
        """Take in a message of the kernel; what is none that we know is dropped."""
        content = message["content"]
        match message.get("msg_type"), content:
            case "status", {"execution_state": "idle"}:
                self.ended = True
            case "stream", {"name": "stdout", "text": str(text)}:
                last = self.cells[-1] if self.cells and not self._clear else None
                text = self._take(text, joins=bool(last and last.output_type == "stream"))
                if last and last.output_type == "stream":
                    last.text += text
                elif text:
                    self._put(nbformat.v4.new_output("stream", name="stdout", text=text))
            case "display_data" | "execute_result" as kind, {"data": dict(data)}:
                shown = self._shown(data)
                if shown:
                    count = {"execution_count": None} if kind == "execute_result" else {}
                    self._put(nbformat.v4.new_output(kind, data=shown, **count))
            case "error", {"ename": str(name), "evalue": str(value), "traceback": list(lines)}:
                # The last word of a cell, also of one that said too much before.
                name, value, *lines = (
                    without_surrogates(line)[:MAX_LINE] for line in (name, value, *lines[-30:]) if type(line) is str
                )
                self._put(nbformat.v4.new_output("error", ename=name[:200], evalue=value, traceback=lines))
            case str(kind), _ if kind == TOO_LARGE:
                self.cut()
            case "clear_output", {"wait": bool(wait)}:
                self._clear = True
                if not wait:
                    self.cells.clear()
                    self._clear = False

    def _shown(self, data: dict) -> dict[str, str]:
        shown = {}
        image = data.get("image/png")
        if type(image) is str and len(image) <= self.room and _is_png(image):
            shown["image/png"] = self._take(image)
        text = data.get("text/plain")
        if type(text) is str and (text := self._take(text)):
            shown["text/plain"] = text
        return shown

    def _put(self, output: NotebookNode) -> None:
        if self._clear:
            self.cells.clear()
            self._clear = False
        self.cells.append(output)

    def _take(self, text: str, joins: bool = False) -> str:
        """As much of a text as may still be kept; the first that does not fit says so."""
        if self._cut:
            return ""
        text = without_surrogates(text)
        if len(text) <= self.room and (joins or len(self.cells) < CELL_OUTPUTS):
            self.room -= len(text)
            self.taken += len(text)
            return text
        text = text[: self.room] + CUT
        self._cut = True
        self.taken += self.room
        self.room = 0
        return text

    def cut(self) -> None:
        """Keep no more, and say so."""
        if not self._cut:
            self._cut = True
            self._put(nbformat.v4.new_output("stream", name="stdout", text=CUT))


def _is_png(text: str) -> bool:
    try:
        return base64.b64decode(text).startswith(_PNG)
    except (binascii.Error, ValueError):
        return False
