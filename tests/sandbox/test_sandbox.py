"""The sandbox keeps its promises: each test runs hostile or unlucky code in a real one."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import nbformat
import psutil
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from course import ROOT
from course import sandbox as sandbox_module
from course.assemble.assembler import Assembler
from course.assemble.source import assignments
from course.notebook import graded_cell, test_cells
from course.sandbox import Room, RoomError, Sandbox, SandboxError, connect, room_of, why_not
from tests.support.sandboxed import needs_sandbox

MEGABYTE = 2**20
PATIENCE = 120  # seconds; a condition that comes true ends the wait, also on a busy machine


class Kernel:
    """A kernel of a sandbox with a client; `run` gives what a cell printed."""

    def __init__(self, sandbox: Sandbox, files: Mapping[str, bytes] = {}):
        self.sandbox = sandbox
        self.manager: KernelManager = sandbox.kernel(files)
        self.manager.start_kernel()
        self.client: BlockingKernelClient = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE)

    def run(self, code: str, timeout: float = PATIENCE) -> str:
        """What the code printed; an exception in it ends the text with its name and message."""
        said: list[str] = []

        def hook(message: dict) -> None:
            content = message["content"]
            if message["msg_type"] == "stream":
                said.append(content["text"])
            elif message["msg_type"] == "error":
                said.append(f"{content['ename']}: {content['evalue']}")

        self.client.execute_interactive(textwrap.dedent(code), output_hook=hook, timeout=timeout)
        return "".join(said).strip()

    def send(self, code: str) -> None:
        # A kernel that stops on errors drops what it is asked right after one.
        self.client.execute(textwrap.dedent(code), stop_on_error=False)

    def ended(self) -> str | None:
        return self.manager.provisioner.ended()

    def wait_for_end(self) -> str | None:
        until(lambda: not self.manager.is_alive())
        return self.ended()

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


def until(condition: Callable[[], object]) -> None:
    """Wait for a condition; it must come true."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


@contextlib.contextmanager
def kernel_of(sandbox: Sandbox, files: Mapping[str, bytes] = {}) -> Iterator[Kernel]:
    kernel = Kernel(sandbox, files)
    try:
        yield kernel
    finally:
        kernel.close()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    (folder / "words.txt").write_text("given data")
    (folder / "x.ipynb").write_text("the source notebook")
    return folder


@pytest.fixture(scope="module")
def sandbox(data: Path) -> Iterator[Sandbox]:
    needs_sandbox()
    os.environ["A_SECRET"] = "of the instructor's"
    room = Room(
        "test",
        modules=("gpt",),
        denied=("tokenizers", "transformers"),
        data=data,
        memory=1024 * MEGABYTE,
        disk=16 * MEGABYTE,
        processes=48,
        seconds=30,
    )
    try:
        with Sandbox(room) as running:
            yield running
    finally:
        del os.environ["A_SECRET"]


@pytest.fixture
def kernel(sandbox: Sandbox) -> Iterator[Kernel]:
    with kernel_of(sandbox) as one:
        yield one


def processes_of(sandbox: Sandbox) -> list[psutil.Process]:
    """All processes of a sandbox's kernels, monitors included."""
    return [p for p in descendants(sandbox) if not is_warm(p)]


def descendants(sandbox: Sandbox) -> list[psutil.Process]:
    return psutil.Process(sandbox.process.pid).children(recursive=True)


def is_warm(process: psutil.Process) -> bool:
    """Whether it is bubblewrap's own first process or the zygote, which stay."""
    with contextlib.suppress(psutil.NoSuchProcess):
        depth = 0
        parent = process.parent()
        while parent is not None and parent.pid != os.getpid():
            depth += 1
            parent = parent.parent()
        return depth <= 2
    return True


def nothing_is_left(sandbox: Sandbox) -> bool:
    return not processes_of(sandbox) and not list((sandbox.folder / "kernels").iterdir())


# ---------------------------------------------------------------------------------------------------- what is not there


def test_no_network(kernel: Kernel) -> None:
    said = kernel.run("""
        import socket
        for address in ("127.0.0.1", "1.1.1.1", "::1"):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            try:
                socket.socket(family).connect((address, 80))
            except OSError as error:
                print(error.strerror)
        print([name for _, name in socket.if_nameindex()])
    """)
    assert said.splitlines()[:3] == [
        "Network is unreachable",
        "Network is unreachable",
        "Cannot assign requested address",
    ]
    assert said.splitlines()[3] == "['lo']"


def test_abstract_sockets_of_the_host_are_out_of_reach(kernel: Kernel) -> None:
    import socket

    name = f"\0course-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(name)
        listener.listen()
        said = kernel.run(f"import socket; socket.socket(socket.AF_UNIX).connect({name!r})")
    assert said.startswith("ConnectionRefusedError")


def test_nothing_but_the_tmpfs_can_be_written(kernel: Kernel) -> None:
    said = kernel.run("""
        import os
        writable = set()
        for folder, folders, files in os.walk("/"):
            folders[:] = [f for f in folders if os.path.join(folder, f) not in ("/proc", "/sys")]
            try:
                with open(os.path.join(folder, "left-behind"), "w"):
                    writable.add(folder)
                os.unlink(os.path.join(folder, "left-behind"))
            except OSError:
                pass
            for file in files:
                path = os.path.join(folder, file)
                if os.path.isfile(path) and os.access(path, os.W_OK):
                    writable.add(path)
        print(sorted(w for w in writable if not w.startswith(("/tmp", "/run/student"))))
    """)
    assert said == "['/dev/shm']"


def test_devices_and_kernel_settings_cannot_be_written(kernel: Kernel) -> None:
    said = kernel.run("""
        import os
        print(sorted(os.listdir("/dev")))
        found = []
        for folder, folders, files in os.walk("/proc/sys"):
            for file in files:
                path = os.path.join(folder, file)
                try:
                    with open(path, "wb", buffering=0) as setting:
                        setting.write(b"1")
                        found.append(path)
                except OSError:
                    pass
        print(found)
    """)
    devices, settings = said.splitlines()
    assert "tty" in devices and "vd" not in devices and "sd" not in devices and "mem" not in devices
    assert settings == "[]"


def test_a_full_tmpfs_is_the_submissions_own_trouble(sandbox: Sandbox, kernel: Kernel) -> None:
    said = kernel.run("""
        written = 0
        for folder in ("/run/student", "/run/student/submission", "/dev/shm"):
            try:
                with open(f"{folder}/big", "wb") as file:
                    while True:
                        written += file.write(bytes(2**20))
            except OSError as error:
                print(error.strerror)
        print(written // 2**20 <= 16)
    """)
    assert said.splitlines()[-1] == "True"
    assert set(said.splitlines()[:-1]) <= {"No space left on device", "File too large"}
    on_host = sum(f.lstat().st_size for f in (sandbox.folder / "kernels").rglob("*"))
    assert on_host < MEGABYTE
    assert kernel.run("print('goes on')") == "goes on"


def test_the_number_of_files_is_limited(kernel: Kernel) -> None:
    said = kernel.run("""
        for n in range(100_000):
            open(f"/run/student/{n}", "w").close()
    """)
    assert "No space left on device" in said


def test_the_runtime_folder_cannot_be_filled(kernel: Kernel) -> None:
    said = kernel.run("open('/run/kernel/left', 'w')")
    assert "Read-only file system" in said
    assert "Read-only file system" in kernel.run("import os; os.unlink('/run/kernel/k-1')")


def test_the_courses_files_are_not_there(sandbox: Sandbox, kernel: Kernel) -> None:
    said = kernel.run(f"""
        import os, sys
        from pathlib import Path
        # Where the course lies below a home, its folders down to Python's own are there, and nothing beside them.
        places = [Path(p) for p in map(os.path.abspath, (sys.prefix, sys.base_prefix, *sys.path))]
        way = {{p for place in places for end in (place, place.resolve()) for p in (end, *end.parents)}}
        folders = [*map(Path, ({str(ROOT)!r}, {str(sandbox.folder)!r}, "/home", "/root", "/srv", "/var"))]
        folders += list(Path(sys.prefix).parents)[:-1]
        print([str(p) for folder in folders if folder.exists() for p in folder.iterdir() if p not in way])
        print(os.path.exists("/etc/passwd"))
        print(sorted(os.path.relpath(os.path.join(folder, name), "/course") for folder, _, names in os.walk("/course")
                     for name in names if not folder.startswith("/course/labkit")))
    """)
    others, passwords, course = said.splitlines()
    assert others == "[]"
    assert passwords == "False"
    ours = ["course/sandbox/kernel.py", "course/sandbox/zygote.py", "data/words.txt"]
    assert course == str([*ours, "solutions/__init__.py", "solutions/gpt.py"])


def test_no_file_there_names_the_gradebook_or_a_submission(kernel: Kernel) -> None:
    said = kernel.run("""
        import os
        for folder, _, names in os.walk("/"):
            if not folder.startswith(("/proc", "/usr")):
                for name in names:
                    if name in ("gradebook.db", "nbgrader_config.py", "secret", "tokenizer.ipynb", "tokenizer.py"):
                        print(os.path.join(folder, name))
    """)
    assert [line for line in said.splitlines() if "site-packages" not in line and "/lib/python3" not in line] == []


def test_other_kernels_cannot_be_seen(sandbox: Sandbox, kernel: Kernel) -> None:
    with kernel_of(sandbox, {"mine.txt": b"my answer"}) as other:
        assert other.run("print(open('mine.txt').read())") == "my answer"
        said = kernel.run("""
            import os
            print(len([p for p in os.listdir("/proc") if p.isdigit()]))
            print(os.listdir("/run/kernels"), os.listdir("/run/student/submission"), os.listdir("/dev/pts"))
            print(sorted(os.listdir("/run/kernel")))
        """)
    assert said.splitlines() == [
        "2",
        "[] ['words.txt'] ['ptmx']",
        "['k-0', 'k-1', 'k-2', 'k-3', 'k-4', 'k-5']",
    ]


def test_no_secret_is_in_the_environment(kernel: Kernel) -> None:
    said = kernel.run("""
        import os
        texts = ["\\n".join(f"{k}={v}" for k, v in os.environ.items())]
        for process in os.listdir("/proc"):
            for name in ("environ", "cmdline"):
                try:
                    texts.append(open(f"/proc/{process}/{name}").read())
                except OSError:
                    pass
        print("A_SECRET" in str(texts), "COURSE" in str(texts), os.environ["OMP_NUM_THREADS"], os.environ["HOME"])
    """)
    assert said == "False False 1 /run/student/home"


def test_data_lies_in_the_working_folder_but_no_notebook(kernel: Kernel) -> None:
    assert kernel.run("import os; print(os.listdir(), open('words.txt').read())") == "['words.txt'] given data"
    assert "Read-only" in kernel.run("open('words.txt', 'w')")


# ------------------------------------------------------------------------------------------------------------- packages


def test_denied_packages_cannot_be_imported(kernel: Kernel) -> None:
    said = kernel.run("import tokenizers")
    assert said.startswith("ModuleNotFoundError: tokenizers is not there while this assignment is graded")
    assert kernel.run("import transformers").startswith("ModuleNotFoundError")
    assert kernel.run("import transformers.models.gpt2").startswith("ModuleNotFoundError")
    said = kernel.run("""
        import glob, sys
        print([f for p in sys.path for f in glob.glob(p + "/tokenizers*/**/*.so", recursive=True)])
        import importlib.metadata
        print(importlib.metadata.version("tokenizers"))
    """)
    assert said.splitlines()[0] == "[]"
    assert "PackageNotFoundError" in said or said.splitlines()[1] == "None"


def test_allowed_modules_can_be_imported_and_others_cannot(kernel: Kernel) -> None:
    assert kernel.run("import torch, numpy, labkit.corpus, solutions.gpt; print(solutions.gpt.__file__)") == (
        "/course/solutions/gpt.py"
    )
    assert kernel.run("import solutions.tokenizer").startswith("ModuleNotFoundError")
    assert kernel.run("import course.grading").startswith("ModuleNotFoundError")


# ---------------------------------------------------------------------------------------------------- nothing survives


def test_a_file_is_not_there_for_the_next(sandbox: Sandbox) -> None:
    with kernel_of(sandbox) as first:
        said = first.run("""
            import os, tempfile
            for folder in ("/run/student", tempfile.gettempdir(), "/dev/shm", os.path.expanduser("~"), "."):
                open(f"{folder}/left", "w").close()
            os.makedirs(os.path.expanduser("~/.ipython/profile_default/startup"), exist_ok=True)
            with open(os.path.expanduser("~/.ipython/profile_default/startup/0.py"), "w") as file:
                file.write("print('started by another')")
        """)
        assert said == ""
    with kernel_of(sandbox) as second:
        found = second.run(
            "import glob, os; print(glob.glob('/run/student/**/left', recursive=True) + glob.glob('/dev/shm/*'))"
        )
        assert found == "[]"


def test_a_background_process_ends_with_its_kernel(sandbox: Sandbox) -> None:
    with kernel_of(sandbox) as kernel:
        kernel.run("""
            import subprocess
            subprocess.Popen(["setsid", "sleep", "98765"], start_new_session=True)
        """)
        until(lambda: any("98765" in (p.info["cmdline"] or []) for p in all_processes()))
    until(lambda: nothing_is_left(sandbox))
    assert not any("98765" in (p.info["cmdline"] or []) for p in all_processes())


def test_the_connection_closing_ends_everything(sandbox: Sandbox) -> None:
    kernel = Kernel(sandbox)
    kernel.client.stop_channels()
    kernel.manager.provisioner.connection.close()
    until(lambda: nothing_is_left(sandbox))


def test_many_kernels_leave_nothing(sandbox: Sandbox) -> None:
    for n in range(30):
        with kernel_of(sandbox) as kernel:
            assert kernel.run(f"print({n})") == str(n)
        until(lambda: nothing_is_left(sandbox))
    descriptors = psutil.Process().num_fds()
    for _ in range(3):
        with kernel_of(sandbox):
            pass
    assert psutil.Process().num_fds() <= descriptors + 3


# -------------------------------------------------------------------------------------------------------------- limits


def test_a_fork_bomb_is_bounded(sandbox: Sandbox, kernel: Kernel) -> None:
    said = kernel.run("""
        import os, signal, warnings
        warnings.simplefilter("ignore")  # from 3.12 on Python warns of forks where there are threads
        children = []
        try:
            for _ in range(10_000):
                child = os.fork()
                if child == 0:
                    signal.pause()
                children.append(child)
        except OSError as error:
            print(len(children) < 48, error.strerror)
    """)
    assert said == "True Resource temporarily unavailable"
    with kernel_of(sandbox) as other:
        assert other.run("print('here')") == "here"


def test_many_processes_with_much_memory_end_with_the_reason(sandbox: Sandbox, kernel: Kernel) -> None:
    kernel.send("""
        import os, signal
        for _ in range(6):
            if os.fork() == 0:
                much = bytearray(b"x" * (300 * 2**20))
                signal.pause()
    """)
    assert kernel.wait_for_end() == "memory"
    until(lambda: not processes_of(sandbox))


def test_any_number_of_threads_may_be_set(kernel: Kernel) -> None:
    """Also more than there may be processes; matrices, sums and convolutions start theirs in different ways."""
    said = kernel.run("""
        import os, torch
        torch.set_num_threads(500)
        many = torch.ones(1200, 1200)
        print((many @ many).sum().item() == 1200.0**3, (many + many).sum().item() == 2 * 1200.0**2)
        print(torch.nn.functional.conv2d(torch.ones(8, 8, 64, 64), torch.ones(8, 8, 3, 3)).max().item())
        torch.linalg.svdvals(many[:300, :300])
        print(len(os.listdir("/proc/self/task")) < 48)
    """)
    assert said.splitlines() == ["True True", "72.0", "True"]


def test_programs_of_their_own_with_much_memory_end_with_the_reason(kernel: Kernel) -> None:
    """Each takes less than what kernels share with the warm process, of which these have nothing."""
    kernel.send("""
        import subprocess, sys
        program = "import signal; much = b'x' * (150 * 2**20); signal.pause()"
        started = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(9)]
    """)
    assert kernel.wait_for_end() == "memory"


def test_memory_that_processes_share_counts_once(kernel: Kernel) -> None:
    said = kernel.run("""
        import os, signal, warnings
        warnings.simplefilter("ignore")  # from 3.12 on Python warns of forks where there are threads
        much = b"x" * (400 * 2**20)
        ready, tell = os.pipe()
        for _ in range(4):
            if os.fork() == 0:
                sum(much[::4096])
                os.write(tell, b"!")
                signal.pause()
        print(sum(len(os.read(ready, 1)) for _ in range(4)))
    """)
    assert said == "4"
    for _ in range(2):  # after each question the limits are looked at
        kernel.manager.provisioner.used()
    assert kernel.ended() is None


def test_one_process_with_too_much_memory_gets_an_error(kernel: Kernel) -> None:
    assert kernel.run("much = bytearray(8 * 2**30)").startswith("MemoryError")
    assert kernel.run("print('goes on')") == "goes on"


def test_too_much_processor_time_ends_with_the_reason(data: Path) -> None:
    needs_sandbox()
    with Sandbox(Room("short", preload=(), seconds=2)) as short, kernel_of(short) as kernel:
        kernel.send("while True: pass")
        assert kernel.wait_for_end() == "time"


def test_the_processor_time_is_counted(kernel: Kernel) -> None:
    before = kernel.manager.provisioner.used()
    kernel.run("import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass")
    assert kernel.manager.provisioner.used() - before >= 0.25
    kernel.send("import os\nos._exit(3)")
    kernel.wait_for_end()
    assert kernel.manager.provisioner.used() >= before, "the last word is kept"


def test_the_processor_time_of_children_that_nobody_waits_for_is_counted(kernel: Kernel) -> None:
    before = kernel.manager.provisioner.used()
    kernel.run("""
        import os, signal, time, warnings
        warnings.simplefilter("ignore")
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        for _ in range(3):
            if os.fork() == 0:
                while time.process_time() < 1: pass
                os._exit(0)
            try:
                os.wait()
            except ChildProcessError:
                print("gone")
    """)
    assert kernel.manager.provisioner.used() - before >= 1.75, "the most of three seconds, and not of the longest alone"


def test_an_interrupt_ends_a_cell(kernel: Kernel) -> None:
    kernel.send("print('begun', flush=True)\nwhile True: pass")
    begun(kernel)
    kernel.manager.interrupt_kernel()
    reply = kernel.client.get_shell_msg(timeout=PATIENCE)
    assert reply["content"]["ename"] == "KeyboardInterrupt"
    assert kernel.run("print('goes on')") == "goes on"


def begun(kernel: Kernel) -> None:
    """Wait until the running cell has printed."""
    while kernel.client.get_iopub_msg(timeout=PATIENCE)["msg_type"] != "stream":
        pass


def test_a_loop_that_swallows_interrupts_is_killed(sandbox: Sandbox) -> None:
    with kernel_of(sandbox) as kernel:
        kernel.send("""
            import signal
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            print('begun', flush=True)
            while True:
                try:
                    while True: pass
                except BaseException:
                    pass
        """)
        begun(kernel)
        kernel.manager.interrupt_kernel()
        start = time.monotonic()
    assert time.monotonic() - start < 30
    assert kernel.ended() is None  # it did not end by itself
    until(lambda: nothing_is_left(sandbox))


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os; os._exit(3)", "exit 3"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "signal 9"),
        ("import ctypes; ctypes.string_at(0)", "signal 11"),
        ("exit()", "exit 0"),
    ],
)
def test_why_a_kernel_ended(kernel: Kernel, code: str, reason: str) -> None:
    assert kernel.ended() is None
    kernel.send(code)
    assert kernel.wait_for_end() == reason


def test_no_privilege_can_be_gained(kernel: Kernel) -> None:
    said = kernel.run("""
        import os, re, subprocess
        status = open("/proc/self/status").read()
        print(re.findall(r"(?:CapEff|CapPrm|CapBnd|NoNewPrivs|Seccomp):\\t(\\w+)", status))
        print(os.getuid(), os.geteuid())
        print(subprocess.run(["unshare", "--user", "true"], capture_output=True).returncode)
    """)
    capabilities, user, unshared = said.splitlines()
    assert capabilities == str(["0" * 16] * 3 + ["1", "2"])
    assert user == "1000 1000"
    assert unshared != "0"


def test_the_first_process_of_its_namespace_is_out_of_reach(kernel: Kernel) -> None:
    said = kernel.run("""
        import ctypes, os, signal
        print(ctypes.CDLL(None).ptrace(16, 1, 0, 0))
        for name in ("mem", "environ"):
            try:
                open(f"/proc/1/{name}", "rb").read(1)
            except OSError as error:
                print(error.strerror)
        os.kill(1, signal.SIGKILL)
        print("goes on")
    """)
    assert said.splitlines() == ["-1", "Permission denied", "Permission denied", "goes on"]


def test_memory_that_no_limit_counts_is_refused(kernel: Kernel) -> None:
    said = kernel.run("""
        import ctypes, mmap, os
        libc = ctypes.CDLL(None, use_errno=True)
        zero = os.open("/dev/zero", os.O_RDWR)
        for call in (
            lambda: os.memfd_create("x"),
            lambda: libc.shmget(0, 2**20, 0o1600),
            lambda: mmap.mmap(-1, 2**20),
            lambda: mmap.mmap(zero, 2**20),
            lambda: len(mmap.mmap(-1, 2**20, flags=mmap.MAP_PRIVATE)),
        ):
            try:
                print(call())
            except OSError as error:
                print(error.strerror)
    """)
    refused = "Operation not permitted"
    assert said.splitlines() == [refused, "-1", refused, "No such device", str(2**20)]


# --------------------------------------------------------------------------------------------------- as Jupyter sees it


def test_nbclient_works_through_it(sandbox: Sandbox) -> None:
    notebook = new_notebook(
        cells=[
            new_code_cell("import random, numpy\nprint(6 * 7)"),
            new_code_cell("1 / 0", metadata={"tags": ["raises-exception"]}),
            new_code_cell("import matplotlib.pyplot as plt\nplt.plot([1, 2]);"),
        ]
    )
    manager = sandbox.kernel()
    try:
        NotebookClient(notebook, km=manager, timeout=PATIENCE).execute()
    finally:
        manager.shutdown_kernel(now=True)  # nbclient leaves a manager that it was given as it is
    assert notebook.cells[0].outputs[0].text == "42\n"
    assert notebook.cells[1].outputs[0].ename == "ZeroDivisionError"
    assert "image/png" in notebook.cells[2].outputs[0].data
    until(lambda: nothing_is_left(sandbox))


def test_shell_commands_work(kernel: Kernel) -> None:
    assert kernel.run("!echo from the shell") == "from the shell"


def test_kernels_have_random_numbers_of_their_own(sandbox: Sandbox) -> None:
    seen = set()
    for _ in range(2):
        with kernel_of(sandbox) as kernel:
            seen.add(kernel.run("import random, numpy, os; print(random.random(), numpy.random.rand())"))
    assert len(seen) == 2


def test_a_kernel_restarts_fresh(kernel: Kernel) -> None:
    kernel.run("x = 1")
    kernel.client.stop_channels()
    kernel.manager.restart_kernel(now=True)
    kernel.client = kernel.manager.client()
    kernel.client.start_channels()
    kernel.client.wait_for_ready(timeout=PATIENCE)
    assert kernel.run("x").startswith("NameError")


def test_any_process_can_ask_by_the_socket(sandbox: Sandbox) -> None:
    sandbox.wait()
    manager = connect(sandbox.socket, {"folder/a.txt": b"a"})
    manager.start_kernel()
    try:
        client = manager.client()
        client.start_channels()
        client.wait_for_ready(timeout=PATIENCE)
        reply = client.execute("assert open('folder/a.txt').read() == 'a'", reply=True, timeout=PATIENCE)
        assert reply["content"]["status"] == "ok"
        client.stop_channels()
    finally:
        manager.shutdown_kernel(now=True)


def test_a_file_name_that_leaves_the_folder_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(SandboxError, match="is no name for a file"):
        sandbox.kernel({"../x": b""}).start_kernel()
    until(lambda: nothing_is_left(sandbox))


# ------------------------------------------------------------------------------------------------- when it is ended


def test_a_killed_warm_process_takes_its_kernels_with_it() -> None:
    needs_sandbox()
    with Sandbox(Room("killed", preload=())) as running:
        kernel = Kernel(running)
        everything = descendants(running)
        assert len(everything) >= 5
        zygote = max((p for p in everything if is_warm(p)), key=lambda p: p.memory_info().rss)
        zygote.kill()
        psutil.wait_procs(everything, timeout=PATIENCE)
        assert not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in everything)
        assert kernel.wait_for_end() == "lost"
        kernel.close()
        with pytest.raises(SandboxError, match="was killed"):
            running.kernel().start_kernel()
    assert not running.folder.exists()


def test_a_killed_parent_takes_all_with_it_and_the_next_start_tidies_up() -> None:
    needs_sandbox()
    script = """
        import sys
        from course.sandbox import Room, Sandbox
        sandbox = Sandbox(Room("orphan", preload=()))
        kernel = sandbox.kernel()
        kernel.start_kernel()
        print(sandbox.folder, flush=True)
        sys.stdin.read()
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None and parent.stdin is not None
    folder = Path(parent.stdout.readline().strip())
    everything = psutil.Process(parent.pid).children(recursive=True)
    assert len(everything) >= 6
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdin.close()
    parent.stdout.close()
    _, alive = psutil.wait_procs(everything, timeout=PATIENCE)
    assert not alive
    with Sandbox(Room("next", preload=())):
        until(lambda: not folder.exists())


def test_one_that_is_closed_while_it_starts_leaves_nothing() -> None:
    needs_sandbox()
    for pause in (0, 0.002, 0.01, 0.05, 0.2):
        seconds = 1000 + os.getpid() / 2**22  # tells its processes from others
        running = Sandbox(Room("closed", preload=(), seconds=seconds))
        time.sleep(pause)  # to hit it in different states
        running.close()
        names = (str(running.folder), f'"seconds": {seconds}')
        until(
            lambda names=names: not any(n in " ".join(p.info["cmdline"] or []) for p in all_processes() for n in names)
        )


def all_processes() -> Iterator[psutil.Process]:
    return psutil.process_iter(["cmdline"])


def test_a_thread_that_started_it_may_end() -> None:
    needs_sandbox()
    import threading

    made: list[Sandbox] = []
    thread = threading.Thread(target=lambda: made.append(Sandbox(Room("thread", preload=()))))
    thread.start()
    thread.join()
    with made[0] as running, kernel_of(running) as kernel:
        assert kernel.run("print('here')") == "here"


# ------------------------------------------------------------------------------------------------- without isolation


@pytest.fixture(scope="module")
def open_sandbox() -> Iterator[Sandbox]:
    with Sandbox(Room("open", denied=("tokenizers",), preload=(), processes=30, seconds=20), isolated=False) as running:
        yield running


def test_without_isolation_kernels_start_and_end(open_sandbox: Sandbox) -> None:
    with kernel_of(open_sandbox, {"a.txt": b"hello"}) as kernel:
        assert kernel.run("print(open('a.txt').read())") == "hello"
        assert kernel.run("import tokenizers").startswith("ModuleNotFoundError")
        assert kernel.run("from labkit.testing.oracles import library_tokenizer") == "", "given cells import it"
        assert kernel.run("library_tokenizer([])").startswith("ModuleNotFoundError")
        kernel.run("import subprocess; subprocess.Popen(['sleep', '98764'], start_new_session=True)")
    assert not list((open_sandbox.folder / "kernels").iterdir())
    assert not any("98764" in (p.info["cmdline"] or []) for p in all_processes())
    until(lambda: not descendants(open_sandbox))


def test_without_isolation_limits_and_reasons_hold(open_sandbox: Sandbox) -> None:
    with kernel_of(open_sandbox) as kernel:
        kernel.send("import os; os._exit(4)")
        assert kernel.wait_for_end() == "exit 4"
    with kernel_of(open_sandbox) as kernel:
        kernel.send("""
            import os, signal
            for _ in range(40):
                if os.fork() == 0:
                    signal.pause()
        """)
        assert kernel.wait_for_end() == "processes"
    with kernel_of(open_sandbox) as kernel:
        kernel.send("print('begun', flush=True)\nwhile True: pass")
        begun(kernel)
        kernel.manager.interrupt_kernel()
        assert kernel.client.get_shell_msg(timeout=PATIENCE)["content"]["ename"] == "KeyboardInterrupt"
    until(lambda: not descendants(open_sandbox))


def test_without_isolation_a_killed_warm_process_takes_its_kernels_with_it() -> None:
    with Sandbox(Room("open", preload=()), isolated=False) as running:
        kernel = Kernel(running)
        everything = descendants(running)
        os.kill(running.process.pid, signal.SIGKILL)
        _, alive = psutil.wait_procs(everything, timeout=PATIENCE)
        assert everything and not alive
        assert kernel.wait_for_end() == "lost"
        kernel.close()


# ------------------------------------------------------------------------------------------------- what is said


def test_a_machine_without_bubblewrap_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox_module.shutil, "which", lambda name: None)
    why_not.cache_clear()
    try:
        assert "install the package bubblewrap" in (why_not() or "")
        with pytest.raises(SandboxError, match="install the package bubblewrap"):
            Sandbox(Room("none"))
    finally:
        why_not.cache_clear()


def test_a_bubblewrap_that_may_not_run_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: Creating new namespace failed: Operation not permitted' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    why_not.cache_clear()
    try:
        said = why_not() or ""
    finally:
        why_not.cache_clear()
    assert said.startswith("bubblewrap cannot run here (bwrap: Creating new namespace failed")
    assert said.count(": ") >= 2


# ------------------------------------------------------------------------------------------------- the room


def source_of(*cells: tuple[str, str], seconds: int = 60) -> nbformat.NotebookNode:
    return new_notebook(
        cells=[new_code_cell(text, id=cell_id) for cell_id, text in cells],
        metadata={"course": {"title": "Toy", "seconds": seconds}},
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "solutions"
    folder.mkdir()
    (folder / "one.py").write_text("from solutions import two\nimport math\ndef first(): pass\n")
    (folder / "two.py").write_text("def helper():\n    from solutions.three import x\n")
    (folder / "three.py").write_text("x = 1\n")
    (folder / "unused.py").write_text("def double(): pass\n")
    return tmp_path


def test_modules_are_followed_through_their_imports(root: Path) -> None:
    source = source_of(
        ("given-a", "import solutions.one\nimport einops"),
        ("exercise-double", "def double(x): return 2 * x"),
        seconds=90,
    )
    room = room_of(source, root, "toy")
    assert room.modules == ("one", "three", "two")
    assert (room.name, room.seconds, room.data) == ("toy", 90, None)
    assert "einops" in room.preload and "solutions.one" not in room.preload


def test_a_module_with_the_answers_is_refused(root: Path) -> None:
    source = source_of(("given-a", "import solutions.one"), ("exercise-helper", "def helper(): ..."))
    with pytest.raises(RoomError, match=r"needs solutions\.two, which holds the answer to helper"):
        room_of(source, root, "toy")


def test_replaced_packages_are_denied_unless_given(root: Path) -> None:
    calls = ["tokenizers", "scipy.linalg", "torch.nn.Linear", "peft"]
    source = source_of(
        ("given-a", "import scipy.linalg\ndef oracle():\n    import tokenizers"),
        ("exercise-double", "def double(x): return 2 * x"),
        ("test-double", "with answers('double'): pass"),
    )
    about = {"exercise": "double", "replaces": {"double": calls}}
    source.cells[-1] = graded_cell("test", "double", "with answers('double'): pass", 1, about)
    assert room_of(source, root).denied == ("peft", "tokenizers")


@pytest.mark.parametrize("name", assignments())
def test_the_rooms_of_the_assignments(name: str) -> None:
    source = Assembler(name).build()
    room = room_of(source, ROOT, name)
    assert name not in room.modules
    calls = {call for cell in test_cells(source) for calls in cell.replaces.values() for call in calls}
    assert set(room.denied) == {call.split(".")[0] for call in calls} - {"torch"}, "no given cell needs one of them"


def test_data_files_lie_beside_the_source(root: Path) -> None:
    folder = root / "course" / "source" / "toy"
    folder.mkdir(parents=True)
    (folder / "toy.ipynb").write_text("{}")
    assert room_of(source_of(), root, "toy").data is None
    (folder / "words.txt").write_text("words")
    assert room_of(source_of(), root, "toy").data == folder
