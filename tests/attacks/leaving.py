"""Good answers beside a cell that leaves something for who comes next, and one that looks for it."""

from tests.attacks.attack import disturbs

TRACE = "left-behind"
"""What every leftover has in its name; nothing with it may be there when the batch is done."""

ATTACKS = [
    disturbs(
        "startup-files",
        "writes files that Python and IPython run when they start",
        first=f"""
        import os, site, sys, sysconfig
        folders = [site.getusersitepackages(), sysconfig.get_path("purelib"), sysconfig.get_path("stdlib"), *sys.path]
        folders += [os.path.expanduser("~/.ipython/profile_default/startup"), "/etc/ipython/startup", "/course"]
        for folder in filter(None, folders):
            for name, text in [("{TRACE}.pth", "import os"), ("usercustomize.py", ""), ("00-{TRACE}.py", "")]:
                try:
                    os.makedirs(folder, exist_ok=True)
                    open(os.path.join(folder, name), "w").write(text)
                except OSError:
                    pass
        """,
    ),
    disturbs(
        "files-everywhere",
        "writes a file into every folder of the system that lets it",
        first=f"""
        import os
        for folder in ("/", "/tmp", "/run/student", "/var/tmp", "/dev", "/dev/shm", "/run", "/home", "/etc",
                       "/course", "/data", "/proc", "/usr/local",
                       os.path.expanduser("~"), os.getcwd(), os.path.dirname(os.getcwd())):
            try:
                open(os.path.join(folder, "{TRACE}"), "w").write("for the next one")
            except OSError:
                pass
        """,
    ),
    disturbs(
        "poisons-libraries",
        "overwrites modules and their compiled caches, and permissions",
        first=f"""
        import os, labkit, torch
        for module in (labkit, torch, os):
            folder = os.path.dirname(module.__file__)
            for path in (module.__file__, os.path.join(folder, "__pycache__", "{TRACE}.pyc")):
                try:
                    os.chmod(folder, 0o777)
                    open(path, "a").write("# {TRACE}")
                except OSError:
                    pass
        """,
    ),
    disturbs(
        "poisons-the-process",
        "changes torch and builtins in memory, for kernels that start from the same process",
        last="""
        import builtins, sys
        builtins.TRACE = "left-behind"
        torch.allclose = lambda *a, **k: True
        torch.left_behind = True
        sys.modules["random"] = None
        """,
    ),
    disturbs(
        "background-process",
        "starts processes in sessions of their own that go on for ever",
        first=f"""
        import os, subprocess, sys
        for _ in range(3):
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1e6)", "{TRACE}"], start_new_session=True)
        if os.fork() == 0:
            os.setsid()
            if os.fork():
                os._exit(0)
            os.execv(sys.executable, [sys.executable, "-c", "while True: pass", "{TRACE}"])
        """,
    ),
    disturbs(
        "background-threads",
        "starts threads that go on and swallow everything",
        first="""
        import threading, time
        def forever():
            while True:
                try:
                    time.sleep(0.01)
                except BaseException:
                    pass
        for _ in range(8):
            threading.Thread(target=forever).start()
        """,
    ),
    disturbs(
        "shared-memory",
        "leaves shared memory, an abstract socket and a message queue",
        first=f"""
        import ctypes, socket
        from multiprocessing import shared_memory
        try:
            shared_memory.SharedMemory("{TRACE}", create=True, size=100)
        except OSError:
            pass
        kept = socket.socket(socket.AF_UNIX)
        kept.bind("\\0{TRACE}")
        ctypes.CDLL(None).shmget(0x1EF7, 4096, 0o1666)
        """,
    ),
    disturbs(
        "finds-what-was-left",
        "looks for what an earlier submission left in files, memory, sockets and processes",
        last=f"""
        import builtins, ctypes, glob, os
        for folder, folders, files in os.walk("/"):
            if not folder.startswith(("/proc", "/sys")):
                for name in (*folders, *files):
                    if "{TRACE}" in name or name == "usercustomize.py":
                        print("FOUND", folder, name)
        if hasattr(builtins, "TRACE") or hasattr(torch, "left_behind"):
            print("FOUND changed memory")
        for path in glob.glob("/proc/[0-9]*/cmdline"):
            try:
                if b"{TRACE}" in open(path, "rb").read():
                    print("FOUND", path)
            except OSError:
                pass
        if "{TRACE}" in open("/proc/net/unix").read():
            print("FOUND a socket")
        if ctypes.CDLL(None).shmget(0x1EF7, 0, 0) != -1:
            print("FOUND shared memory")
        """,
        never=("FOUND",),
    ),
]
