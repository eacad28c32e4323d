"""`make up`: serve the whole course on this machine, the book and a JupyterHub, until Ctrl-C.

Everything listens on loopback only and runs as the user who starts it. What a run leaves behind (accounts, homes, the
exchange, logs) lies in course/run/.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - before the imports below, which an older Python may lack
    sys.exit("This course needs Python 3.11 or newer; {} is {}.{}.".format(sys.executable, *sys.version_info[:2]))

import argparse
import contextlib
import functools
import hashlib
import http
import http.server
import importlib.util
import os
import secrets
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import FrameType

from course import ROOT, CourseError

RUN = ROOT / "course" / "run"
BOOK = ROOT / "_build" / "html"
STUDENTS = ("alice", "bob", "carol")
MODULES = ("jupyter_book", "jupyterhub", "configurable_http_proxy", "jupyterlab", "nbgrader", "jupytext", "torch")
START_SECONDS = 90
STOP_SECONDS = 20


class Refusal(CourseError):
    """One sentence for the person who typed the command: what happened and what to do."""


class Stop(Exception):
    """Somebody asked for the end, by Ctrl-C or a signal."""


def check_modules(names: Iterable[str] = MODULES) -> None:
    """Refuse where a Python module that the course needs is not installed."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise Refusal(
            f"{sys.executable} lacks {', '.join(missing)}: run `make setup`, "
            "or install requirements.txt into the Python that you use."
        )


def check_port(port: int, what: str, choice: str) -> None:
    """Refuse where something else listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            raise Refusal(
                f"Port {port}, meant for the {what}, cannot be used ({error}): "
                f"stop what uses it, or choose another with `make up {choice}=<port>`."
            ) from None


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fingerprint(*paths: Path) -> str:
    """A digest of the names and contents of the files in `paths`; what is built or cached there does not count."""
    digest = hashlib.sha256(sys.version.encode())
    skipped = {"__pycache__", "_build", "_vendor", "node_modules", ".ipynb_checkpoints", ".jupyter_cache"}
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and not skipped & set(file.relative_to(ROOT).parts):
                content = hashlib.sha256(file.read_bytes()).hexdigest()
                digest.update(f"{file.relative_to(ROOT)} {content}\n".encode())
    return digest.hexdigest()


def run_step(
    what: str,
    module: str,
    *arguments: str,
    begun: Callable[[int], None] = lambda group: None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run one of the course's own commands, its output to a log; refuse with the end of the log if it fails.

    `begun` is told the process group of the command; `environment` is added to this process's own.
    """
    print(f"{what} ...", flush=True)
    log = RUN / f"{module}.log"
    with log.open("w") as file:
        step = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env=os.environ | dict(environment or {}),
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        begun(step.pid)
        failed = step.wait()
    except BaseException:
        os.killpg(step.pid, signal.SIGKILL)
        step.wait()
        raise
    if failed:
        raise Refusal(f"{what} failed. The end of {log.relative_to(ROOT)}:\n\n{tail(log)}")


def tail(log: Path, lines: int = 20) -> str:
    """The last lines of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def changed(name: str, state: str) -> bool:
    """Whether step `name` was last finished in another state than this one."""
    stamp = RUN / f"{name}.stamp"
    return not stamp.exists() or stamp.read_text() != state


def finished(name: str, state: str) -> None:
    """Remember that step `name` is done for this state."""
    (RUN / f"{name}.stamp").write_text(state)


def book_to_build(hub: str) -> str | None:
    """The state of what the book is made from, if the book was built from another; None if it is up to date.

    `hub` is the address to which the exercise cards lead.
    """
    state = fingerprint(*(ROOT / name for name in ("book", "_config.yml", "solutions", "labkit", "exercises"))) + hub
    return state if not (BOOK / "index.html").exists() or changed("book", state) else None


class BookBuild(threading.Thread):
    """Builds the book beside the hub, and says when it is there or why it is not."""

    def __init__(self, state: str, port: int, hub: str) -> None:
        super().__init__(daemon=True)
        self.state, self.port, self.hub = state, port, hub
        self.group: int | None = None
        self.stopped = False

    def run(self) -> None:
        try:
            run_step("Building the book", "book.build", begun=self.begun, environment={"COURSE_HUB": self.hub})
        except Refusal as refusal:
            if not self.stopped:
                print(f"{refusal}\n\nThe hub goes on without the book. `make book` builds it again.", flush=True)
        else:
            finished("book", self.state)
            print(f"The book is built: http://127.0.0.1:{self.port}/", flush=True)

    def begun(self, group: int) -> None:
        self.group = group
        if self.stopped:
            self.stop()

    def stop(self) -> None:
        """End the build with all that it started; what is executed by then is kept for the next time."""
        self.stopped = True
        if self.group is not None:
            with contextlib.suppress(ProcessLookupError):  # it is done
                os.killpg(self.group, signal.SIGKILL)


def prepare_course() -> None:
    """Assemble the assignments, fill the gradebook and fill the exchange, where that is not done."""
    names = ("course/assignments", "course/assemble", "course/nbgrader_config.py", "solutions")
    state = fingerprint(*(ROOT / name for name in names))
    made = [ROOT / "course" / "gradebook.db", ROOT / "course" / "source", RUN / "exchange", ROOT / "exercises"]
    if not all(path.exists() for path in made) or changed("course", state):
        run_step("Assembling the assignments", "course.assemble", "--release")
        run_step("Releasing them to the students", "course.grading", "publish", "--students", *STUDENTS)
        finished("course", state)


def password(name: str, length: int) -> str:
    """The password kept in course/run/<name>, made at random on first use and readable by its owner only."""
    path = RUN / name
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(length)[:length])
    return path.read_text()


WAITING = b"""<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="5"><title>The book</title>
<p>The book is being built: a few minutes the first time, seconds later. This page looks again by itself.</p>"""


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files without a line for every request, and a page that waits while there is no book."""

    def do_GET(self) -> None:
        if Path(self.directory, "index.html").exists():
            super().do_GET()
            return
        self.send_response(http.HTTPStatus.SERVICE_UNAVAILABLE)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(WAITING)))
        self.end_headers()
        self.wfile.write(WAITING)

    def log_message(self, format: str, *args: object) -> None:
        pass


def serve_book(port: int) -> http.server.ThreadingHTTPServer:
    """Serve the built book on loopback, in threads of this process."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), functools.partial(QuietHandler, directory=str(BOOK)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def start_hub(port: int, book_port: int) -> subprocess.Popen[bytes]:
    """Start the hub in a process group of its own and wait until it answers."""
    from course.sandbox import WITHOUT_SANDBOX, why_not  # imports what `check_modules` looks for

    log = RUN / "hub.log"
    environment = os.environ | {
        "COURSE_PORT": str(port),
        "COURSE_BOOK_PORT": str(book_port),
        "COURSE_HUB_PORT": str(free_port()),
        "COURSE_PROXY_PORT": str(free_port()),
        "COURSE_STUDENT_PASSWORD": password("student_password", 8),
        "COURSE_INSTRUCTOR_PASSWORD": password("instructor_password", 32),
    }
    if (reason := why_not()) is not None:
        print(f"{reason} Here, for trying, submissions are graded without it, with your own rights.", flush=True)
        environment[WITHOUT_SANDBOX] = "1"
    with log.open("w") as file:
        hub = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "--config", str(ROOT / "course" / "deploy" / "hub.py")],
            cwd=RUN,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_for_hub(hub, port, log)
    except BaseException:
        stop(hub)
        raise
    return hub


def wait_for_hub(hub: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Return when the hub answers through its proxy; refuse when it ends or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if hub.poll() is not None:
            raise Refusal(f"The hub did not start. The end of {log.relative_to(ROOT)}:\n\n{tail(log)}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/hub/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    end = f"The end of {log.relative_to(ROOT)}:\n\n{tail(log)}"
    raise Refusal(f"The hub did not answer within {START_SECONDS} seconds. {end}")


def stop(hub: subprocess.Popen[bytes]) -> None:
    """Stop the hub and everything it started: its proxy, the users' servers, their kernels."""
    import psutil

    try:
        family = psutil.Process(hub.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    hub.terminate()  # the hub stops its proxy and the servers, the servers stop their kernels
    try:
        hub.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        hub.kill()
        hub.wait()
    # psutil compares start times, so that a recycled process id is never hit.
    _, left = psutil.wait_procs(family, timeout=2)
    for process in left:
        process.kill()
    psutil.wait_procs(left, timeout=5)


def announce(port: int, book_port: int, *, building: bool = False) -> None:
    """Print where everything is and who can log in."""
    soon = " (being built: a few minutes the first time, seconds later)" if building else ""
    print(
        f"""
The book   http://127.0.0.1:{book_port}/{soon}
The hub    http://127.0.0.1:{port}/
           students    {", ".join(STUDENTS)}; password {password("student_password", 8)}
           instructor  instructor; password {password("instructor_password", 32)}

This set-up is for trying the course on one machine. Everybody on the hub runs as the same operating-system
user, so it does not protect students from each other; course/deploy/ holds a server for a class.

Ctrl-C stops everything.""",
        flush=True,
    )


def interrupt(number: int, frame: FrameType | None) -> None:
    """Turn the first signal into Stop; while things are being stopped, further ones change nothing."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Stop


def serve(port: int, book_port: int) -> None:
    """Prepare what is missing, serve the hub and the book, which is built meanwhile, and return when asked to stop.

    Raises:
        Refusal: something is missing or taken; the sentence says what to do.
    """
    check_modules()
    check_port(port, "hub", "PORT")
    check_port(book_port, "book", "BOOK_PORT")
    if port == book_port:
        raise Refusal(f"The hub and the book cannot share port {port}: choose another with `make up BOOK_PORT=<port>`.")
    RUN.mkdir(parents=True, exist_ok=True)
    prepare_course()
    print("Starting the hub ...", flush=True)
    book = serve_book(book_port)
    hub = build = None
    try:
        hub = start_hub(port, book_port)
        address = f"http://127.0.0.1:{port}"
        if state := book_to_build(address):
            build = BookBuild(state, book_port, address)
        announce(port, book_port, building=build is not None)
        if build is not None:
            build.start()
        hub.wait()
        raise Refusal(f"The hub ended by itself. The end of course/run/hub.log:\n\n{tail(RUN / 'hub.log')}")
    finally:
        if build is not None:
            build.stop()
        if hub is not None:
            print("\nStopping ...", flush=True)
            stop(hub)
        book.shutdown()
        book.server_close()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make up", description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="where the hub listens (%(default)s)")
    parser.add_argument("--book-port", type=int, default=8080, help="where the book is served (%(default)s)")
    arguments = parser.parse_args()
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    try:
        serve(arguments.port, arguments.book_port)
    except Stop:
        print("Stopped.", flush=True)
    except Refusal as refusal:
        sys.exit(str(refusal))


if __name__ == "__main__":
    main()
