"""Good answers beside a cell that looks for what is not the student's: tests, grades, others, secrets, the network."""

from tests.attacks.attack import Attack, disturbs


def looks(name: str, tries: str, code: str) -> Attack:
    return disturbs(name, tries, first=code, never=("FOUND",))


ATTACKS = [
    looks(
        "hidden-tests-on-disk",
        "looks for notebooks and for text of the tests on the whole disk",
        """
        import os
        for folder, _, files in os.walk("/"):
            for name in files:
                other = name.endswith(".ipynb") and "site-packages" not in folder
                if other or name in ("attacked.py", "attacked.ipynb", "test_attacks.py", "secret"):
                    print("FOUND", folder, name)
        """,
    ),
    looks(
        "gradebook",
        "looks for databases and tries to open what nbgrader keeps",
        """
        import os, sqlite3
        for folder, _, files in os.walk("/"):
            if folder.startswith(("/proc", "/sys", "/usr")) or "site-packages" in folder:
                continue
            for name in files:
                if name.startswith("gradebook") or name.endswith((".db", ".sqlite")):
                    try:
                        print("FOUND", name, sqlite3.connect(os.path.join(folder, name)).execute("select 1").fetchall())
                    except Exception:
                        pass
        """,
    ),
    looks(
        "other-submissions",
        "lists the folders where submissions and their copies lie",
        """
        import glob, os, sys
        from pathlib import Path
        # Where the course lies below a home, its folders down to Python's own are there, and nothing beside them.
        places = [Path(p) for p in map(os.path.abspath, (sys.prefix, sys.base_prefix, *sys.path))]
        way = {str(p) for place in places for end in (place, place.resolve()) for p in (end, *end.parents)}
        for pattern in ("/**/submitted", "/**/autograded", "/tmp/*/*", "/home/*/*", "/root/*"):
            for path in glob.glob(pattern, include_hidden=True):
                if path not in way:
                    print("FOUND", path)
        for folder in list(Path(sys.prefix).parents)[:-1]:
            for path in folder.iterdir():
                if str(path) not in way:
                    print("FOUND", path)
        """,
    ),
    looks(
        "environment",
        "reads the environment of this process and of every other",
        """
        import glob, os
        for path in glob.glob("/proc/*/environ"):
            try:
                text = open(path, "rb").read().decode(errors="replace")
            except OSError:
                continue
            for pair in text.split("\\0"):
                if any(word in pair.upper() for word in ("GRADING", "SECRET", "TOKEN=", "PASSWORD", "API", "CANARY")):
                    print("FOUND", pair)
        for name in os.environ:
            if any(word in name.upper() for word in ("GRADING", "SECRET", "TOKEN=", "PASSWORD", "API", "CANARY")):
                print("FOUND", name)
        """,
    ),
    looks(
        "memory-of-others",
        "opens the memory of its parent and of all other processes",
        """
        import glob, os
        mine = {str(os.getpid()), "self", "thread-self"}
        for path in glob.glob("/proc/[0-9]*/mem"):
            if path.split("/")[2] in mine:
                continue
            try:
                with open(path, "rb") as file:
                    print("FOUND memory of", path)
            except OSError:
                pass
        """,
    ),
    looks(
        "signals",
        "looks for processes that it may send signals to",
        """
        import os
        threads = {int(number) for number in os.listdir("/proc/self/task")}
        for number in range(2, 5000):
            if number not in (os.getppid(), *threads):
                try:
                    os.kill(number, 0)
                    print("FOUND", number)
                except OSError:
                    pass
        """,
    ),
    looks(
        "network",
        "connects to hosts, to this machine's ports and to sockets that have a name",
        """
        import socket
        for address in [("1.1.1.1", 53), ("8.8.8.8", 443), ("127.0.0.1", 22), ("10.0.0.1", 80), ("169.254.1.1", 80)]:
            with socket.socket() as s:
                s.settimeout(0.2)
                if s.connect_ex(address) == 0:
                    print("FOUND", address)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            try:
                s.sendto(b"x", ("1.1.1.1", 53))
                print("FOUND a way out")
            except OSError:
                pass
        print(*("FOUND " + name for _, name in socket.if_nameindex() if name != "lo"))
        for line in open("/proc/net/unix").read().splitlines()[1:]:
            name = line.split()[-1]
            if name.startswith("@"):
                with socket.socket(socket.AF_UNIX) as s:
                    if s.connect_ex("\\0" + name[1:]) == 0:
                        print("FOUND", name)
        """,
    ),
    looks(
        "grading-socket",
        "looks for the sockets by which the grader starts kernels and asks for another kernel",
        """
        import os, socket, stat
        for folder, _, files in os.walk("/"):
            if folder.startswith(("/proc", "/sys")):
                continue
            for name in files:
                path = os.path.join(folder, name)
                try:
                    is_socket = stat.S_ISSOCK(os.lstat(path).st_mode)
                except OSError:
                    continue
                if is_socket and "kernel" not in path and "k.json" not in path and "-ipc" not in path:
                    with socket.socket(socket.AF_UNIX) as s:
                        if s.connect_ex(path) == 0 and not path.rpartition("-")[2].isdigit():
                            print("FOUND", path)
        """,
    ),
    looks(
        "inherited-files",
        "writes to every file descriptor that the process was started with",
        """
        import os
        for number in range(3, 256):
            try:
                path = os.readlink(f"/proc/self/fd/{number}")
            except OSError:
                continue
            known = ("/dev/", "/proc", "/usr", "/memfd", "/tmp", "/run/student")
            if path.startswith("/") and not path.startswith(known):
                print("FOUND", number, path)
        """,
    ),
    looks(
        "privileges",
        "asks for root, mounts, namespaces and other processes' memory",
        """
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        try:
            os.setuid(0)
            writable = not os.access("/etc/passwd", os.W_OK)
            print("FOUND root that may write") if not writable else None
        except OSError:
            pass
        if libc.mount(b"none", b"/usr", b"tmpfs", 0, None) == 0:
            print("FOUND mount")
        if libc.chroot(b"/tmp") == 0:
            print("FOUND chroot")
        if libc.sethostname(b"mine", 4) == 0:
            print("FOUND sethostname")
        """,
    ),
]
