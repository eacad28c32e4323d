"""The sandbox that students' kernels run in: one warm process an assignment, a fresh kernel a submission.

`Sandbox` starts `course/sandbox/zygote.py` inside bubblewrap. What is in there: the interpreter and its packages but
for the denied ones, labkit, the solutions modules that the assignment may use, its data; all of it read-only. There is
no network and no other file of the course or the machine. Each kernel is a fork of that process in namespaces of its
own, with limits, and everything of it ends when its connection closes.

    with Sandbox(room_of(source, root)) as sandbox:
        kernel = sandbox.kernel()
        kernel.start_kernel()
        NotebookClient(notebook, km=kernel).execute()
"""

import asyncio
import base64
import contextlib
import functools
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import uuid
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import KernelManager
from jupyter_client.provisioning import KernelProvisionerBase
from traitlets import Dict, Unicode

from course import ROOT, CourseError
from course.sandbox.room import Room, RoomError, data_files, room_of
from course.sandbox.zygote import PORTS, WORK

__all__ = ["Room", "RoomError", "Sandbox", "SandboxError", "SandboxProvisioner", "connect", "room_of", "why_not"]

LONGEST_SOCKET_PATH = 107
KILL_SECONDS = 10.0
START_SECONDS = 120.0
"""How long a kernel may take to start: a busy machine, and the warm process's own imports before the first."""

MOST_THREADS = 4
"""Threads that one torch operation may use."""

NOBODY = 65534
INSIDE = Path("/course")
KERNELS = "/run/kernels"
SYSTEM = (
    *(f"/{name}" for name in ("bin", "lib", "lib32", "lib64", "sbin")),
    *(f"/usr/{name}" for name in ("bin", "lib", "lib32", "lib64", "local/lib")),
    *(f"/usr/share/{name}" for name in ("fonts", "locale", "zoneinfo")),
    *(f"/etc/{name}" for name in ("alternatives", "fonts", "ld.so.cache", "localtime")),
)
OF_A_PREFIX = ("bin", "lib", "lib32", "lib64", "pyvenv.cfg")
# Where the course itself is an installed package, that copy is not for students.
WITHOUT_SANDBOX = "COURSE_WITHOUT_SANDBOX"
"""The environment variable that is "1" where grading goes on without the sandbox."""
OWN_PACKAGES = ("course", "labkit", "solutions")


class SandboxError(CourseError):
    """The sandbox does not work or has ended: one sentence with the remedy."""


# ------------------------------------------------------------------------------------------------- what is in the room


def _environment(work: str, path: str) -> dict[str, str]:
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": f"{work}/home",
        "TMPDIR": f"{work}/tmp",
        "USER": "student",
        "LOGNAME": "student",
        "LANG": "C.UTF-8",
        "TERM": "xterm",
        "PYTHONPATH": path,
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        # More threads than processes are allowed would end Python, whatever torch.set_num_threads was told: OpenMP and
        # the kernel's torch read this.
        "OMP_THREAD_LIMIT": str(MOST_THREADS),
        "TOKENIZERS_PARALLELISM": "false",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }


def _package_folders() -> list[Path]:
    """Where installed packages lie, also those of another environment that this one looks into."""
    return list(dict.fromkeys(Path(p) for p in sys.path if p.endswith(("site-packages", "dist-packages"))))


def _interpreter() -> list[Path]:
    """The parts of this Python's installation, of the one that its virtual environment comes from, and all packages."""
    prefixes = dict.fromkeys(
        Path(p) for prefix in (sys.prefix, sys.base_prefix) for p in (prefix, os.path.realpath(prefix))
    )
    parts = [prefix / part for prefix in prefixes for part in OF_A_PREFIX]
    return [*parts, *(p for p in _package_folders() if not any(p.is_relative_to(part) for part in parts))]


def _mounts(room: Room, folder: Path) -> list[str]:
    """Arguments of bwrap for what can be seen; `folder` is the sandbox's own on the host."""
    links: dict[Path, str] = {}
    binds: dict[Path, Path] = {}  # by where it is seen
    for path in dict.fromkeys([*map(Path, SYSTEM), *_interpreter()]):
        if path.is_symlink() and path.is_dir():  # /lib -> usr/lib, lib64 -> lib
            links[path] = os.readlink(path)
        elif path.exists():
            binds[path] = path
    ours = ["labkit", "solutions/__init__.py", "course/sandbox/zygote.py", "course/sandbox/kernel.py"]
    ours += [f"solutions/{module}.py" for module in room.modules]
    binds |= {INSIDE / name: ROOT / name for name in ours}
    binds |= {INSIDE / "data" / file.name: file.resolve() for file in _data(room)}
    arguments: list[str] = []
    # When root starts it, bubblewrap makes the folders that it needs for root alone, unless they are asked for.
    for folder_above in dict.fromkeys(p for seen in (*links, *binds) for p in reversed(seen.parents)):
        arguments += ["--dir", str(folder_above)]
    for seen, target in links.items():
        arguments += ["--symlink", target, str(seen)]
    for seen, path in binds.items():
        arguments += ["--ro-bind", str(path), str(seen)]
    for hidden, notice in _hidden(room, folder):
        arguments += ["--ro-bind", str(notice), str(hidden)]
    arguments += ["--proc", "/proc", "--dev", "/dev", "--dir", "/tmp", "--tmpfs", WORK, "--dir", "/run/kernel"]
    arguments += ["--bind", str(folder / "kernels"), KERNELS, "--remount-ro", "/dev", "--remount-ro", "/"]
    return arguments


def _hidden(room: Room, folder: Path) -> Iterator[tuple[Path, Path]]:
    """What of the installed packages is covered, and by what: a package or module that says why it is not there."""
    empty = folder / "empty"
    empty.mkdir()
    for name in dict.fromkeys((*room.denied, *OWN_PACKAGES)):
        notice = folder / "notices" / name
        notice.mkdir(parents=True)
        reason = f"{name} is not there while this assignment is graded: its exercises ask you to write what it does"
        (notice / "__init__.py").write_text(f"raise ModuleNotFoundError({reason!r}, name={name!r})\n")
        for packages in _package_folders():
            for found in packages.glob(f"{name}*"):
                if found.name == name:
                    yield found, notice
                elif found.name.startswith(f"{name}-") and found.is_dir():
                    yield found, empty
                elif found.name.split(".")[0] == name and found.suffix in (".py", ".so") and found.is_file():
                    yield found, notice / "__init__.py"


def _bwrap(room: Room, folder: Path) -> list[str]:
    """The command that runs something in the room."""
    names = ["pid", "net", "ipc", "uts", "cgroup-try"]
    if os.geteuid() != 0:
        names.append("user")
    command = [
        shutil.which("bwrap") or "bwrap",
        "--die-with-parent",
        "--new-session",
        *(f"--unshare-{name}" for name in names),
    ]
    return [*command, *_mounts(room, folder), "--chdir", "/", "--"]


def _settings(room: Room, folder: Path, isolated: bool, listener: int) -> str:
    """What the zygote is told (`zygote.Settings`)."""
    data = {f.name: str(INSIDE / "data" / f.name) if isolated else str(f.resolve()) for f in _data(room)}
    return json.dumps(
        {
            "listener": listener,
            "folder": KERNELS if isolated else str(folder / "kernels"),
            "isolated": isolated,
            "user": NOBODY if isolated and os.geteuid() == 0 else None,
            "preload": room.preload,
            "denied": room.denied,
            "data": data,
            "memory": room.memory,
            "disk": room.disk,
            "processes": room.processes,
            "seconds": room.seconds,
        }
    )


def _data(room: Room) -> list[Path]:
    return data_files(room.data) if room.data else []


def _command(room: Room, folder: Path, what: str, *, isolated: bool, listener: int) -> tuple[list[str], dict[str, str]]:
    """The zygote's command and environment; `what` is "serve" or "try"."""
    python = [sys.executable, "-P", "-m", "course.sandbox.zygote", what, _settings(room, folder, isolated, listener)]
    if isolated:
        return [*_bwrap(room, folder), *python], _environment(WORK, str(INSIDE))
    return python, _environment(str(folder / "work"), str(ROOT))


# ------------------------------------------------------------------------------------------------- the warm process


class Sandbox:
    """A warm process inside bubblewrap that forks a kernel for each submission.

    It starts at once and is ready some seconds later; `wait` says when, and kernels that are asked for earlier wait by
    themselves. `isolated=False` is the same without bubblewrap and namespaces: a student's code can then do all that
    the user who grades can do.

    Raises:
        SandboxError: bubblewrap is missing.
    """

    def __init__(self, room: Room, *, isolated: bool = True):
        if isolated and shutil.which("bwrap") is None:
            raise SandboxError(_WITHOUT_BWRAP)
        self.room, self.isolated = room, isolated
        self.folder = _new_folder()
        self.socket = self.folder / "socket"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # Under its name it is there only when it listens.
            listener.bind(f"{self.socket}_")
            listener.listen(512)
            os.rename(f"{self.socket}_", self.socket)
            command, environment = _command(room, self.folder, "serve", isolated=isolated, listener=listener.fileno())
            self.process = _start(command, environment, self.folder / "log", listener.fileno())
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        finally:
            listener.close()
        self._reply = b""
        self._lock = threading.Lock()
        self._end = weakref.finalize(self, _end, self.process, self.folder, os.getpid())

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def wait(self) -> None:
        """Wait until kernels can be started. Raises SandboxError if the warm process ended instead."""
        assert self.process.stdout is not None
        with self._lock:
            if not self._reply:
                self._reply = self.process.stdout.readline()
        if not self._reply:
            raise SandboxError(f"{_what_happened(self.folder)} {why_not() or ''}".strip())

    def kernel(self, files: Mapping[str, bytes] = {}) -> KernelManager:
        """A manager whose `start_kernel()` gives a fresh kernel with `files` in its working folder."""
        self.wait()
        return connect(self.socket, files)

    def close(self) -> None:
        """End the warm process and every kernel, and remove their folders."""
        self._end()


def _new_folder() -> Path:
    """A folder of our own with a path that leaves room for a socket's; those that dead sandboxes left are removed."""
    longest = LONGEST_SOCKET_PATH - len("/course-xxxxxxxx/kernels/xxxxxxxx/k-5")
    parent = next(p for p in (tempfile.gettempdir(), "/tmp") if len(os.fsencode(p)) <= longest or p == "/tmp")
    for old in Path(parent).glob("course-????????/socket"):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as trial:
            if old.parent.lstat().st_uid != os.geteuid() or old.parent.is_symlink():
                continue
            trial.settimeout(1)
            try:
                trial.connect(str(old))
            except ConnectionRefusedError:
                shutil.rmtree(old.parent, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix="course-", dir=parent))
    kernels = folder / "kernels"
    kernels.mkdir(mode=0o700)
    (folder / "work").mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(kernels, NOBODY, NOBODY)
    return folder


def _start(command: list[str], environment: dict[str, str], log: Path, listener: int) -> subprocess.Popen[bytes]:
    """Start the command so that it dies with this process.

    The kernel ties that to the thread that starts it, so that is one which lives as long as the command.
    """
    started: list[subprocess.Popen[bytes] | BaseException] = []
    known = threading.Event()

    def run() -> None:
        try:
            with open(log, "wb") as errors:
                process = subprocess.Popen(
                    command,
                    env=environment,
                    cwd="/",
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    pass_fds=[listener],
                    start_new_session=True,
                )
        except BaseException as error:
            started.append(error)
            known.set()
            return
        started.append(process)
        known.set()
        process.wait()

    threading.Thread(target=run, name="sandbox", daemon=True).start()
    known.wait()
    if isinstance(started[0], BaseException):
        raise started[0]
    return started[0]


def _end(process: subprocess.Popen[bytes], folder: Path, owner: int) -> None:
    if os.getpid() != owner:  # a fork of the process that started it
        return
    if process.stdin is not None:
        process.stdin.close()  # ends the warm process, also one that bubblewrap is about to start
    # bubblewrap ends with it. Killed while it starts it would leave its own first process behind, waiting for ever.
    try:
        process.wait(KILL_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        # The warm process and its monitors hold the other end, so this ends when they are gone.
        while select.select([process.stdout], [], [], KILL_SECONDS)[0] and os.read(process.stdout.fileno(), 4096):
            pass
        process.stdout.close()
    shutil.rmtree(folder, ignore_errors=True)


def _what_happened(folder: Path) -> str:
    # Tries nothing: a judge that asks is ended soon, and a trial would leave its folder behind.
    try:
        lines = (folder / "log").read_text(errors="replace").strip().splitlines()
    except OSError:
        return "The sandbox is gone: it was closed, or its warm process was killed."
    return f"The sandbox's warm process ended: {lines[-1] if lines else 'it was killed'}."


# ------------------------------------------------------------------------------------------------- its kernels


class _OneSpec(KernelSpecManager):
    """Knows the kernel of a sandbox and no other; nothing needs to be installed."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return KernelSpec(argv=[], display_name="Python 3", language="python", interrupt_mode="signal")


def connect(socket: Path, files: Mapping[str, bytes] = {}) -> KernelManager:
    """As `Sandbox.kernel`, from any process: `socket` is the sandbox's."""
    manager = KernelManager(kernel_spec_manager=_OneSpec(), transport="ipc", kernel_id=uuid.uuid4().hex)
    manager.provisioner = SandboxProvisioner(
        kernel_id=manager.kernel_id,
        kernel_spec=manager.kernel_spec,
        parent=manager,
        address=str(socket),
        files=dict(files),
    )
    return manager


class SandboxProvisioner(KernelProvisionerBase):
    """A kernel in a running sandbox, for jupyter_client and all that builds on it."""

    address: Any = Unicode(help="The sandbox's socket.", config=True)
    files: Any = Dict(help="Files in the working folder: bytes by name.")

    connection: socket.socket | None = None
    _received = b""
    _reason: str | None = None
    _code: int | None = None
    _used = 0.0
    _runtime: Path | None = None

    def ended(self) -> str | None:
        """Why the kernel ended by itself; None while it runs and when it was told to end.

        "memory", "time", "processes": it reached that limit. "exit 3", "signal 9": its process ended so. "lost": its
        warm process or its monitor is gone, for no fault of the kernel's.
        """
        self._take()
        return self._reason

    def used(self) -> float:
        """Processor seconds that the kernel and all that it started have used so far."""
        if self.connection is not None and not self._take():
            with contextlib.suppress(OSError):
                self.connection.send(b"\0")
            # Its last word, that it has ended, says what it used too.
            if select.select([self.connection], [], [], KILL_SECONDS)[0]:
                self._take()
        return self._used

    @property
    def has_process(self) -> bool:
        return self.connection is not None

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        return await super().pre_launch(cmd=[], **kwargs)

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        self._received, self._reason, self._code, self._used = b"", None, None, 0.0
        manager: Any = self.parent
        key: bytes = manager.session.key
        request = {
            "key": key.decode(),
            "files": {name: base64.b64encode(content).decode() for name, content in self.files.items()},
        }
        connection, answer = await asyncio.to_thread(self._ask, json.dumps(request).encode())
        if "ready" not in answer:
            connection.close()
            raise SandboxError(f"The kernel could not start: {answer.get('failed', 'its warm process ended')}")
        self.connection = connection
        folder = Path(self.address).parent
        self._runtime = folder / "kernels" / Path(answer["ready"]).name
        manager.connection_file = str(folder / f"{self._runtime.name}.json")
        info: Any = {"transport": "ipc", "ip": f"{self._runtime}/k", "key": key, "signature_scheme": "hmac-sha256"}
        self.connection_info = info | PORTS
        return self.connection_info

    def _ask(self, request: bytes) -> tuple[socket.socket, dict[str, Any]]:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(START_SECONDS)
        try:
            connection.connect(self.address)
            connection.sendall(len(request).to_bytes(8, "little") + request)
            line = b""
            while not line.endswith(b"\n"):
                piece = connection.recv(65536)
                if not piece:
                    raise ConnectionResetError
                line += piece
        except OSError as error:
            connection.close()
            why = "it took too long" if isinstance(error, TimeoutError) else _what_happened(Path(self.address).parent)
            raise SandboxError(f"No kernel could be started. {why}") from None
        connection.setblocking(False)
        return connection, json.loads(line.splitlines()[0])  # after a failure the end may be told already

    def _take(self) -> bool:
        """Read what the monitor has said so far; whether the kernel has ended."""
        while self._code is None and self.connection is not None:
            try:
                piece = self.connection.recv(65536)
            except BlockingIOError:
                break
            except OSError:
                piece = b""
            self._took(piece)
        return self._code is not None

    def _took(self, piece: bytes) -> None:
        *lines, self._received = (self._received + piece).split(b"\n")
        for message in map(json.loads, lines):
            self._used = message.get("used", self._used)
            if "ended" in message:
                self._reason, self._code = message["ended"], message["code"]
        if self._code is None and not piece:
            self._reason, self._code = "lost", -9

    async def poll(self) -> int | None:
        return self._code if self.connection is None or self._take() else None

    async def wait(self) -> int | None:
        loop = asyncio.get_running_loop()
        while self.connection is not None and not self._take():
            try:
                self._took(await loop.sock_recv(self.connection, 65536))
            except OSError:
                self._took(b"")
        if self.connection is not None:
            self.connection.close()
            self.connection = None
        return self._code

    async def send_signal(self, signum: int) -> None:
        if self.connection is not None and not self._take():
            with contextlib.suppress(OSError):
                self.connection.send(bytes([signum]))

    async def kill(self, restart: bool = False) -> None:
        """End the kernel and all that it started, at once; when this returns nothing of it is left."""
        await self.send_signal(9)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.wait(), KILL_SECONDS)

    async def terminate(self, restart: bool = False) -> None:
        await self.kill(restart)

    async def cleanup(self, restart: bool = False) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None
        if self._runtime is not None:  # left only where the monitor was killed
            shutil.rmtree(self._runtime, ignore_errors=True)


# ------------------------------------------------------------------------------------------------- does it work here?

_WITHOUT_BWRAP = (
    "Submissions run inside bubblewrap, which is not installed here: install the package bubblewrap "
    "(`apt install bubblewrap` or `dnf install bubblewrap`)."
)


@functools.cache
def why_not() -> str | None:
    """None where the sandbox works; else one sentence on what is missing and what to do. It tries the real thing."""
    if sys.platform != "linux":
        return "Submissions run inside bubblewrap, which there is for Linux only: grade on a Linux machine."
    if shutil.which("bwrap") is None:
        return _WITHOUT_BWRAP
    folder = _new_folder()
    try:
        command, environment = _command(Room("trial"), folder, "try", isolated=True, listener=0)
        done = subprocess.run(
            command, env=environment, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
        )
    except subprocess.TimeoutExpired:
        return "A trial run of bubblewrap did not end within a minute: run `bwrap --ro-bind / / true` to see why."
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if done.returncode == 0:
        return None
    lines = done.stderr.strip().splitlines()
    return f"bubblewrap cannot run here ({lines[-1] if lines else 'it was killed'}): {_remedy()}"


def _remedy() -> str:
    def setting(name: str) -> str:
        try:
            return Path("/proc/sys", name).read_text().strip()
        except OSError:
            return ""

    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        return (
            "in a container, start it with --security-opt seccomp=unconfined --security-opt apparmor=unconfined "
            "--security-opt systempaths=unconfined, and with --cap-add SYS_ADMIN where root grades."
        )
    if setting("kernel/apparmor_restrict_unprivileged_userns") == "1":
        return (
            "AppArmor forbids user namespaces, as Ubuntu does from 24.04; allow them with "
            "`sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`, for good in /etc/sysctl.d."
        )
    if setting("kernel/unprivileged_userns_clone") == "0":
        return "user namespaces are switched off; allow them with `sudo sysctl kernel.unprivileged_userns_clone=1`."
    if setting("user/max_user_namespaces") == "0":
        return "user namespaces are switched off; allow them with `sudo sysctl user.max_user_namespaces=10000`."
    return "make sure that this user may create user namespaces and read the course and its Python."
