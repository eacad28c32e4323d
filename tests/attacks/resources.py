"""Submissions that take all there is: time, memory, processes, disk, output; what else they answer still counts."""

from tests.attacks.attack import Attack, disturbs, full

REST = full("softmax", "scale", "attend")


def in_distance(name: str, tries: str, body: str, **expected) -> Attack:
    """The harm is done by one answer."""
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return disturbs(
        name, tries, answers={"distance": f"import os, sys, time\ndef distance(a, b):\n{lines}"}, earns=REST, **expected
    )


ATTACKS = [
    in_distance("endless-loop", "loops for ever", "while True:\n    pass", says=("did not end",)),
    in_distance("sleeps", "sleeps for ever", "time.sleep(1e9)", says=("did not end",)),
    in_distance(
        "swallows-interrupts",
        "loops for ever and swallows every interrupt",
        """
while True:
    try:
        while True:
            time.sleep(0.01)
    except BaseException:
        pass
""",
        says=("did not end",),
    ),
    in_distance(
        "ignores-signals",
        "ignores the signals that end a process and stops itself",
        "import signal\nfor s in (signal.SIGINT, signal.SIGTERM):\n    signal.signal(s, signal.SIG_IGN)\n"
        "os.kill(os.getpid(), signal.SIGSTOP)",
    ),
    disturbs(
        "endless-cell",
        "loops for ever in a cell of its own, before everything",
        first="while True:\n    pass",
        says=("did not end",),
    ),
    in_distance(
        "memory", "takes memory until there is none", "all = []\nwhile True:\n    all.append(bytearray(2**26))"
    ),
    in_distance(
        "forks",
        "forks for ever",
        "while True:\n    try:\n        os.fork()\n    except OSError:\n        time.sleep(0.1)",
    ),
    in_distance(
        "threads",
        "starts threads for ever",
        "import threading\nwhile True:\n    threading.Thread(target=time.sleep, args=(1e6,)).start()",
    ),
    disturbs(
        "torch-threads",
        "has torch use five hundred threads for large matrices",
        first="torch.set_num_threads(500)\nmany = torch.ones(1000, 1000)\nprint((many @ many + many).sum())",
    ),
    disturbs(
        "disk",
        "fills every folder that it can write to",
        first="""
        import os
        for folder in (".", "/tmp", "/run/student", "/dev/shm", "/var/tmp", os.path.expanduser("~")):
            try:
                with open(os.path.join(folder, "full"), "wb") as file:
                    for _ in range(1000):
                        file.write(bytes(2**20))
            except OSError:
                pass
        """,
    ),
    disturbs(
        "flood", "prints a hundred lines of a megabyte each", first="for n in range(100):\n    print(str(n) * 2**20)"
    ),
    in_distance("endless-output", "prints for ever", "while True:\n    print('x' * 1000)"),
    disturbs(
        "many-outputs",
        "displays two thousand values, and one of 50 MB",
        first="for n in range(2000):\n    display(n)\ndisplay({'text/plain': 'x' * 50_000_000}, raw=True)",
    ),
    in_distance(
        "stack", "recurses until the stack is full", "sys.setrecursionlimit(10**9)\nreturn distance([*a, 'x'], b) + 1"
    ),
    in_distance("crash", "reads memory at address 0", "import ctypes\nreturn ctypes.string_at(0)", says=("ended",)),
    in_distance(
        "closes-its-sockets",
        "closes all file descriptors of the process",
        "os.closerange(3, 10_000)\nreturn 2",
    ),
    disturbs(
        "exits",
        "leaves Python in a cell of its own, in two ways",
        first="import os\nget_ipython().kernel.do_shutdown(False)\nos._exit(1)",
    ),
    disturbs(
        "many-cells",
        "has five hundred cells, one of which holds a very long line",
        last="0 " + "+ 1" * 20_000,
    ),
]
