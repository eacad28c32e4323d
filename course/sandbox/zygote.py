"""The warm process that students' kernels are forked from. It runs inside bubblewrap; `course.sandbox` starts it.

It imports what kernels need once, with one thread, and then forks for every connection to its socket:

    zygote -> monitor -> first process of new namespaces (init) -> the student's kernel

The monitor stays outside the new namespaces: it reads the request, passes signals on, watches memory and time, tells
the connection why the kernel ended, and ends everything of the kernel when the connection closes. The init mounts the
kernel's own file systems and reaps. The kernel holds no privilege and cannot gain any.

Connection: the client sends a length (8 bytes, little-endian) and that many bytes of JSON, `{"key": ..., "files":
{name: base64}}`, then one byte for each signal. It gets lines of JSON: `{"ready": folder}` or `{"failed": text}`, for
each signal 0 `{"used": processor seconds so far}`, and at the end `{"ended": reason or null, "code": exit status,
"used": processor seconds}`.

Without isolation there is no init and there are no namespaces: the monitor's child is the kernel.
"""

import base64
import contextlib
import ctypes
import errno
import fcntl
import gc
import itertools
import json
import math
import os
import pkgutil
import platform
import random
import resource
import select
import shutil
import signal
import socket
import struct
import sys
import tempfile
import traceback
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

import psutil

# From linux/sched.h, linux/mount.h, linux/prctl.h and linux/capability.h.
NEW_NAMESPACES = 0x10000000 | 0x00020000 | 0x20000000 | 0x40000000 | 0x08000000 | 0x04000000 | 0x02000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = (
    1,
    2,
    4,
    8,
    32,
    4096,
    16384,
    1 << 18,
)
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP = 1, 4, 24
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 36, 38, 47, 4
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
CAPABILITY_VERSION_3 = 0x20080522
LAST_CAPABILITY = 63

# System calls that take memory which no limit counts (memfd_create, memfd_secret, shmget, semget, msgget), or that a
# student's code has no use for and that were the door to too many kernel bugs (bpf, perf_event_open, userfaultfd,
# io_uring_setup, io_uring_enter, io_uring_register, add_key, request_key, keyctl): the architecture's number, theirs.
FORBIDDEN = {
    "x86_64": (0xC000003E, (319, 447, 29, 64, 68, 321, 298, 323, 425, 426, 427, 248, 249, 250)),
    "aarch64": (0xC00000B7, (279, 447, 194, 190, 186, 280, 241, 282, 425, 426, 427, 217, 218, 219)),
}
# Anonymous memory that is shared stays when nobody has it in sight any more, and no process is charged for it: the
# number of mmap, and the two flags that ask for it together.
MMAP = {"x86_64": 9, "aarch64": 222}
SHARED_ANONYMOUS = 0x01 | 0x20

LINUX = sys.platform == "linux"
INTERVAL = 0.25
"""Seconds between looks at what a submission uses."""

OWN_RUNTIME = "/run/kernel"
# All that a kernel may write to. Not /tmp: the course may be installed below it.
WORK = "/run/student"
SUBMISSION = f"{WORK}/submission"
FILES_ON_TMPFS = 16384  # each costs kernel memory that the size limit does not count
CONNECTION_FILE = "connection.json"
# What a kernel imports while it starts.
KERNEL_PARTS = (
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.logger",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
    "IPython.utils.wildcard",
    "faulthandler",
    "ipykernel.debugger",
    "tornado.gen",
    "tornado.platform.asyncio",
    "tornado.queues",
)
PORTS = {"shell_port": 1, "iopub_port": 2, "stdin_port": 3, "hb_port": 4, "control_port": 5}

libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Settings:
    """What the starter tells, as JSON in the first argument. Sizes are in bytes."""

    listener: int  # the file descriptor of the listening socket
    folder: str  # where each kernel gets a folder for its sockets
    isolated: bool
    user: int | None  # become this user and group first
    preload: tuple[str, ...]
    denied: tuple[str, ...]
    data: dict[str, str]  # name in the working folder -> where it lies
    memory: int
    disk: int
    processes: int
    seconds: float


# --------------------------------------------------------------------------------------------------- the kernel's calls


def _checked(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def _prctl(option: int, *arguments: int) -> None:
    values = [ctypes.c_ulong(a) for a in (*arguments, 0, 0, 0, 0)[:4]]
    _checked(libc.prctl(option, *values), f"prctl {option}")


def _mount(source: str, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    texts = [t if t is None else t.encode() for t in (source, target, kind, options)]
    _checked(libc.mount(*texts[:3], ctypes.c_ulong(flags), texts[3]), f"mount {target}")


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def _drop_privileges() -> None:
    """Lose every capability for good, also for programs that are run from here."""
    for capability in range(LAST_CAPABILITY + 1):
        libc.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0)  # fails for those that do not exist
    _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    header = struct.pack("Ii", CAPABILITY_VERSION_3, 0)
    _checked(libc.capset(header, struct.pack("6I", *[0] * 6)), "capset")


def _forbid_calls() -> None:
    """Make the system calls of FORBIDDEN and shared anonymous memory fail, here and in all that is run from here."""
    machine = FORBIDDEN.get(platform.machine())
    if machine is None:
        return
    architecture, numbers = machine
    load, equal, at_least, both, answer = 0x20, 0x15, 0x35, 0x54, 0x06  # words of the kernel's filter language
    allow, refuse = 0x7FFF0000, 0x00050000 | errno.EPERM
    tests = [(equal, n) for n in numbers] + ([(at_least, 0x40000000)] if machine is FORBIDDEN["x86_64"] else [])
    flags = 16 + 3 * 8  # where the fourth argument of a call lies
    memory = [(equal, 0, 3, MMAP[platform.machine()]), (load, 0, 0, flags), (both, 0, 0, SHARED_ANONYMOUS)]
    memory += [(equal, 1, 0, SHARED_ANONYMOUS)]
    to_refuse = len(tests) + len(memory)
    program = [(load, 0, 0, 4), (equal, 0, to_refuse + 2, architecture), (load, 0, 0, 0)]
    program += [(test, to_refuse - place, 0, value) for place, (test, value) in enumerate(tests)]
    program += [*memory, (answer, 0, 0, allow), (answer, 0, 0, refuse)]
    text = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    head = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(program), ctypes.addressof(text)))
    _prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(head))


def _become(user: int) -> None:
    """From root, inside bubblewrap's mounts, to a user without rights."""
    os.chmod(WORK, 0o1777)
    # bubblewrap covers parts of its /proc when root starts it, and over such a one no new namespace may mount its own.
    _mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    _prctl(PR_SET_DUMPABLE, 1)


# --------------------------------------------------------------------------------------------------- inside a new room


def new_namespaces() -> None:
    """Leave all namespaces for new ones, where this user has number 1000; new processes are in the new pid one."""
    user, group = os.getuid(), os.getgid()
    _checked(libc.unshare(NEW_NAMESPACES), "unshare")
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/gid_map", f"1000 {group} 1")
    _write("/proc/self/uid_map", f"1000 {user} 1")


def furnish(folder: str, disk: int) -> None:
    """Mount what only this kernel sees: its runtime folder, one tmpfs of `disk` bytes, devices and processes."""
    plain = MS_NOSUID | MS_NODEV
    _mount("none", "/", None, MS_REC | MS_PRIVATE)
    _mount(folder, OWN_RUNTIME, None, MS_BIND)
    _mount("tmpfs", str(Path(folder).parent), "tmpfs", plain | MS_RDONLY, "size=4k")
    _mount("tmpfs", WORK, "tmpfs", plain, f"size={disk},nr_inodes={FILES_ON_TMPFS},mode=1777")
    for name in ("submission", "home", "tmp", "shm"):
        os.mkdir(f"{WORK}/{name}")
    _mount(f"{WORK}/shm", "/dev/shm", None, MS_BIND)
    if not os.listdir("/tmp"):  # otherwise TMPDIR alone says where temporary files go
        _mount(f"{WORK}/tmp", "/tmp", None, MS_BIND)
    _mount("/dev/null", "/dev/zero", None, MS_BIND)  # mapped, it would be memory that no limit counts
    _mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666")
    _mount("proc", "/proc", "proc", plain | MS_NOEXEC)
    _write("/proc/sys/user/max_user_namespaces", "0")


def close_runtime_folder() -> None:
    """Nothing more can be written there: it lies on the host's disk."""
    flags = os.statvfs(OWN_RUNTIME).f_flag & (MS_NOSUID | MS_NODEV | MS_NOEXEC)  # these may not be taken away
    _mount("none", OWN_RUNTIME, None, MS_REMOUNT | MS_BIND | MS_RDONLY | flags)


def place_files(folder: str, files: dict[str, str], data: dict[str, str]) -> None:
    """Put the submission's own files and links to the assignment's data into the working folder."""
    os.chdir(folder)
    for name, content in files.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise ValueError(f"{name!r} is no name for a file in the working folder")
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(base64.b64decode(content))
    for name, place in data.items():
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        os.symlink(place, name)


def limit(settings: Settings) -> None:
    """Limits of each process; the monitor watches their sum."""
    soft_cpu = math.ceil(settings.seconds) + 1
    limits = {
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_CPU: (soft_cpu, soft_cpu + 2),
        resource.RLIMIT_FSIZE: (settings.disk, settings.disk),
        resource.RLIMIT_NOFILE: (256, 256),
    }
    if LINUX:
        # What is mapped already, most of it libraries, does not count.
        space = psutil.Process().memory_info().vms + settings.memory
        limits[resource.RLIMIT_AS] = (space, space)
        _write("/proc/self/oom_score_adj", "1000")
    if settings.isolated and _counts_by_namespace():
        limits[resource.RLIMIT_NPROC] = (settings.processes, settings.processes)
    for kind, (soft, hard) in limits.items():
        most = resource.getrlimit(kind)[1]
        if most != resource.RLIM_INFINITY:
            soft, hard = min(soft, most), min(hard, most)
        resource.setrlimit(kind, (soft, hard))


def _counts_by_namespace() -> bool:
    """Whether the limit of processes counts those of this user namespace (Linux 5.14) or all that the user has."""
    return tuple(int(part) for part in platform.release().split("-")[0].split(".")[:2]) >= (5, 14)


# --------------------------------------------------------------------------------------------------- the processes


def _discard_standard_streams() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)


def run_kernel(settings: Settings, key: str, runtime: str, files: dict[str, str], work: str, report: int) -> NoReturn:
    """Become the student's kernel: never returns. Writes "r" to `report` when it listens, or why it cannot start."""
    code = 1
    try:
        os.setsid()
        os.dup2(report, 3, inheritable=False)
        os.closerange(4, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        place_files(work, files, settings.data)
        # Beside the working folder, as nothing of it is the student's.
        connection_file = Path(work).parent / CONNECTION_FILE
        connection = {"transport": "ipc", "ip": f"{runtime}/k", "key": key, "signature_scheme": "hmac-sha256", **PORTS}
        connection_file.write_text(json.dumps(connection))
        if settings.isolated:
            _drop_privileges()
            _forbid_calls()
        limit(settings)
        random.seed()
        if "numpy" in sys.modules:
            sys.modules["numpy"].random.seed()
        sys.argv = ["ipykernel"]
        from course.sandbox import kernel

        def ready() -> None:
            os.write(3, b"r")
            os.close(3)

        kernel.start(str(connection_file), ready)
        code = 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:
        with contextlib.suppress(OSError):  # after it was ready nobody listens
            os.write(3, traceback.format_exc()[-4000:].encode())
    os._exit(code)


def run_init(settings: Settings, request: dict[str, Any], folder: str, go: int, status: int) -> NoReturn:
    """Be the first process of the new namespaces: furnish them, start the kernel, reap until it ends."""
    try:
        if os.read(go, 1) != b"g":
            os._exit(1)
        os.close(go)
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        _discard_standard_streams()
        furnish(folder, settings.disk)
        reading, report = os.pipe()
        kernel = os.fork()
        if kernel == 0:
            run_kernel(settings, request["key"], OWN_RUNTIME, request["files"], SUBMISSION, report)
        _prctl(PR_SET_DUMPABLE, 0)  # not for the kernel to look at or to hold up
        os.close(report)
        reply = _read_all(reading, until=b"r")
        os.close(reading)
        close_runtime_folder()
        _tell(status, _report(reply))
        while True:
            pid, result = os.wait()
            if pid == kernel:
                _tell(status, {"code": os.waitstatus_to_exitcode(result)})
                break
    except BaseException:
        _tell(status, {"failed": traceback.format_exc()[-4000:]})
    os._exit(0)


def _report(reply: bytes) -> dict[str, Any]:
    if reply == b"r":
        return {"ready": True}
    return {"failed": reply.decode(errors="replace") or "the kernel did not start"}


def _tell(descriptor: int, message: dict[str, Any]) -> None:
    os.write(descriptor, json.dumps(message).encode() + b"\n")


def _read_all(descriptor: int, until: bytes) -> bytes:
    """What comes until the other side closes, or exactly `until`."""
    reply = b""
    while reply != until and (piece := os.read(descriptor, 65536)):
        reply += piece
    return reply


def _part_of_memory(process: psutil.Process, resident: int) -> int:
    """Bytes that a process has in memory, of what it shares its part; where it hides that, all."""
    try:
        return int(process.memory_full_info().pss)
    except (psutil.Error, AttributeError):  # only Linux says it
        return resident


class Monitor:
    """Serves one connection: starts its kernel, watches it, ends it."""

    def __init__(self, settings: Settings, connection: socket.socket, zygote: int):
        self.settings, self.connection, self.zygote = settings, connection, zygote
        self.folder = tempfile.mkdtemp(prefix="", dir=settings.folder)
        self.child = 0  # the init, or the kernel where nothing is isolated
        self.kernel = 0
        self.seconds = 0.0  # of the processor, when last looked
        self.seconds_of: dict[psutil.Process, float] = {}  # the same of each process that was ever seen

    def serve(self) -> None:
        reason, code = None, 0
        try:
            request = self.request()
            if request is None:
                return
            if LINUX:
                _prctl(PR_SET_CHILD_SUBREAPER, 1)
            self.start(request)
            message = self.next_message()
            if not message.get("ready"):
                self.say({"failed": message.get("failed", "the kernel's first process was killed")})
                return
            self.find_kernel()
            self.say({"ready": self.folder})
            reason, code = self.watch()
        finally:
            self.end()
            self.say({"ended": reason, "code": code, "used": self.seconds})

    def request(self) -> dict[str, Any] | None:
        """What is asked; None if the client only wanted to know whether anybody listens."""
        with self.connection.makefile("rb") as stream:
            size = int.from_bytes(stream.read(8), "little")
            text = stream.read(size)
        return json.loads(text) if text and len(text) == size else None

    def say(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # the client may be gone
            self.connection.sendall(json.dumps(message).encode() + b"\n")

    def start(self, request: dict[str, Any]) -> None:
        reading, writing = os.pipe()
        self.status = os.fdopen(reading, "rb")
        if not self.settings.isolated:
            self.start_without_isolation(request, writing)
            return
        waits, go = os.pipe()
        between = os.fork()
        if between == 0:
            # Only what is forked after the unsharing is in the new pid namespace, hence one process in between.
            try:
                self.leave()
                os.close(go)
                new_namespaces()
                init = os.fork()
                if init == 0:
                    run_init(self.settings, request, self.folder, waits, writing)
                _tell(writing, {"init": init})
            except BaseException:
                _tell(writing, {"failed": traceback.format_exc()[-4000:]})
            os._exit(0)
        os.close(writing)
        os.close(waits)
        os.waitpid(between, 0)
        message = self.next_message()
        self.child = message.get("init", 0)
        if not self.child:
            raise RuntimeError(message.get("failed", "no process could be started"))
        os.write(go, b"g")  # from here on its parent is this process, whose death it must not outlive
        os.close(go)

    def start_without_isolation(self, request: dict[str, Any], writing: int) -> None:
        work = os.path.join(self.folder, "submission")
        os.mkdir(work)
        self.child = os.fork()
        if self.child == 0:
            self.leave()
            _discard_standard_streams()
            run_kernel(self.settings, request["key"], self.folder, request["files"], work, writing)
        os.close(writing)

    def leave(self) -> None:
        """In a child: let go of what is the monitor's."""
        self.connection.close()
        self.status.close()
        os.close(self.zygote)

    def next_message(self) -> dict[str, Any]:
        """The next message of the child, `{}` when there is none."""
        if not self.settings.isolated:
            return _report(_read_all(self.status.fileno(), until=b"r"))
        line = self.status.readline()
        return json.loads(line) if line else {}

    def find_kernel(self) -> None:
        self.kernel = psutil.Process(self.child).children()[0].pid if self.settings.isolated else self.child

    def watch(self) -> tuple[str | None, int]:
        """Wait for the end: `(reason, exit status)`; no reason if the client wanted it."""
        sources: list[Any] = [self.connection, self.zygote]
        if self.settings.isolated:
            sources.append(self.status.fileno())
        while True:
            ready, _, _ = select.select(sources, [], [], INTERVAL)
            if self.zygote in ready:
                return "lost", -signal.SIGKILL
            if self.connection in ready:
                try:
                    wanted = self.connection.recv(64)
                except ConnectionError:
                    wanted = b""
                if not wanted or signal.SIGKILL in wanted or signal.SIGTERM in wanted:
                    return None, -signal.SIGKILL
                for number in wanted:
                    if number == 0:
                        self.say({"used": self.used()[1]})
                        continue
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(self.kernel, number)
            code = self.ended(ready)
            if code is not None:
                return self.reason(code), code
            if exceeded := self.exceeded():
                return exceeded, -signal.SIGKILL

    def ended(self, ready: list[Any]) -> int | None:
        if self.settings.isolated:
            if self.status.fileno() not in ready:
                return None
            code = self.next_message().get("code", -signal.SIGKILL)
            return int(code)
        while True:
            try:
                pid, result = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return -signal.SIGKILL
            if pid == self.child:
                return os.waitstatus_to_exitcode(result)
            if pid == 0:
                return None

    @staticmethod
    def reason(code: int) -> str:
        if code == -signal.SIGXCPU:
            return "time"
        return f"exit {code}" if code >= 0 else f"signal {-code}"

    def used(self) -> tuple[int, float, int]:
        """What all processes of the submission use together: bytes of memory, processor seconds, processes."""
        resident: dict[psutil.Process, int] = {}
        seconds = 0.0
        with contextlib.suppress(psutil.NoSuchProcess):
            top = psutil.Process(self.child if self.settings.isolated else None)
            for process in (top, *top.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess), process.oneshot():
                    times = process.cpu_times()
                    seconds += sum(times[:4])  # with those of its children that it waited for
                    self.seconds_of[process] = times.user + times.system
                    if process is not top:  # which is ours
                        resident[process] = process.memory_info().rss
        # Of children that nobody waits for only what was seen is known; both sums are less than all that was used.
        self.seconds = max(self.seconds, seconds, sum(self.seconds_of.values()))
        memory = sum(resident.values())
        if memory > self.settings.memory:  # what they share, with the zygote too, is counted more than once in it
            memory = sum(itertools.starmap(_part_of_memory, resident.items()))
        return memory, self.seconds, len(resident)

    def exceeded(self) -> str | None:
        """Which limit they exceed."""
        memory, seconds, count = self.used()
        if memory > self.settings.memory:
            return "memory"
        if seconds > self.settings.seconds:
            return "time"
        return "processes" if count > self.settings.processes else None

    def end(self) -> None:
        """Kill what is left and remove the runtime folder."""
        if self.settings.isolated and self.child:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.child, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.child, 0)  # ends when no process of its namespace is left
        while left := psutil.Process().children(recursive=True):
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            with contextlib.suppress(ChildProcessError):
                os.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


# --------------------------------------------------------------------------------------------------- the warm process


def warm(settings: Settings) -> None:
    """Import what kernels need. What cannot be imported is left to the student's own import, which says why."""
    if not settings.isolated:
        for name in settings.denied:
            sys.modules[name] = None  # type: ignore[assignment]
    from course.sandbox import kernel  # noqa: F401

    for name in (*KERNEL_PARTS, *settings.preload):
        with contextlib.suppress(ImportError, AttributeError, ValueError):
            pkgutil.resolve_name(name)
    threads = len(os.listdir("/proc/self/task")) if LINUX else 1
    if threads != 1:
        raise RuntimeError(f"importing {', '.join(settings.preload)} started threads; what has any cannot be forked")
    gc.collect()
    gc.freeze()


def end_with_the_starter() -> None:
    """Be ended by a signal as soon as nobody holds the other end of standard input, whatever this process is doing.

    That the starter's death ends bubblewrap is not enough: one that is killed while it starts leaves this one behind.
    """
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([0], [], [], 0)[0]:
        os._exit(0)


def serve(settings: Settings) -> NoReturn:
    """Fork a monitor for every connection, for ever."""
    listener = socket.socket(fileno=settings.listener)
    alive, held = os.pipe()  # only this process holds the other end, so that monitors see when it is gone
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print("ready", flush=True)
    while True:
        connection, _address = listener.accept()
        if os.fork() == 0:
            code = 1
            try:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                listener.close()
                os.close(held)
                Monitor(settings, connection, alive).serve()
                code = 0
            except BaseException:
                traceback.print_exc()
            os._exit(code)
        connection.close()


def trial(settings: Settings) -> None:
    """Try whether a kernel's room can be made here; where it cannot, say why and exit with 1."""
    folder = tempfile.mkdtemp(dir=settings.folder)
    between = os.fork()
    if between == 0:
        code = 1
        try:
            new_namespaces()
            inner = os.fork()
            if inner == 0:
                furnish(folder, settings.disk)
                close_runtime_folder()
                _drop_privileges()
                _forbid_calls()
                os._exit(0)
            code = os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1])
        except BaseException:
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(between, 0)[1]))


def main() -> None:
    what, text = sys.argv[1:]
    values = json.loads(text)
    settings = Settings(**values | {name: tuple(values[name]) for name in ("preload", "denied")})
    if settings.user is not None:
        _become(settings.user)
    if LINUX and not settings.isolated:
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    for name in ("HOME", "TMPDIR"):
        os.makedirs(os.environ[name], exist_ok=True)
    if what == "try":
        trial(settings)
        return
    end_with_the_starter()
    warm(settings)
    serve(settings)


if __name__ == "__main__":
    main()
