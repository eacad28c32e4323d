"""The class server of course/deploy with real system users: it serves them, and keeps one from another's work.

It takes the steps of course/deploy/README.md in a temporary folder, needs root for that, and removes its users again.
"""

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
import requests

from course.up import free_port
from tests.long import local_hub
from tests.long.local_hub import first_exercise, marks
from tests.support.users import in_the_name_of, needs_root, run_as, shared_python, users

pytestmark = [
    pytest.mark.long,
    pytest.mark.alone,  # its hub listens where the shipped settings say
    needs_root,
]

DEPLOY = local_hub.ROOT / "course" / "deploy"
ASSIGNMENT = "tokenizer"
PASSWORD = "a password that only this test uses"
TEACHER, ANN, BOB = USERS = ("llm-test-teacher", "llm-test-ann", "llm-test-bob")
GROUPS = {"llm-instructors": [TEACHER], "llm-students": [ANN, BOB]}

# The shipped settings with nothing changed but who is let in: PAM would need real passwords.
SETTINGS = """\
load_subconfig({shipped!r})
c = get_config()
c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = {password!r}
c.Authenticator.allowed_users = set({users!r})
"""


@dataclass(frozen=True)
class Server:
    """A class server that is up."""

    base: Path
    python: Path
    hub: str

    @property
    def course(self) -> Path:
        """The instructor's copy of the course."""
        return self.base / "home" / TEACHER / "llm-course"

    @property
    def inbound(self) -> Path:
        """Where submissions arrive."""
        return self.base / "server" / "exchange" / "llm" / "inbound"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Steps 1 to 6 of the README, in a temporary folder that other users can enter."""
    base = Path(tempfile.mkdtemp(prefix="llm-class-"))
    base.chmod(0o755)
    try:
        (base / "home").mkdir()
        with users(base / "home", GROUPS):
            python = shared_python(base / "venv")
            subprocess.run(["sh", str(DEPLOY / "prepare.sh"), TEACHER, str(base / "server")], check=True)
            course = local_hub.copy_course(base / "home" / TEACHER / "llm-course", ASSIGNMENT)
            subprocess.run(["chown", "-R", f"{TEACHER}:", str(course)], check=True)
            limit(course, 0)  # the hub watches, and grades nothing until a test says so
            for command in (["course.assemble", "--release"], ["course.grading", "publish"]):
                exchange = str(base / "server" / "exchange")
                done = run_as(TEACHER, [str(python), "-m", *command], course, COURSE_EXCHANGE=exchange)
                assert done.returncode == 0, done.stderr
            with hub(base, python) as address:
                yield Server(base, python, address)
    finally:
        shutil.rmtree(base)


@contextlib.contextmanager
def hub(base: Path, python: Path) -> Iterator[str]:
    """The hub with the shipped settings; yields its address."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    settings = base / "test_settings.py"
    shipped = str(DEPLOY / "jupyterhub_config.py")
    settings.write_text(SETTINGS.format(shipped=shipped, password=PASSWORD, users=USERS))
    log = (base / "hub.log").open("w+")
    process = subprocess.Popen(
        [
            *(str(python), "-m", "jupyterhub", "--config", str(settings)),
            f"--JupyterHub.bind_url={address}",
            f"--JupyterHub.hub_port={free_port()}",
            f"--ConfigurableHTTPProxy.api_url=http://127.0.0.1:{free_port()}",
        ],
        cwd=base / "server" / "hub",
        env={"PATH": "/usr/bin:/bin", "COURSE_SERVER": str(base / "server"), "COURSE_WATCH": TEACHER},
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        wait_until(lambda: process.poll() is not None or answers(f"{address}/hub/health"))
        assert process.poll() is None, Path(log.name).read_text()
        yield address
    finally:
        process.terminate()
        process.wait(60)
        log.close()


def limit(course: Path, marks_an_hour: int) -> None:
    """Let a grader that watches give each student so many marks an hour."""
    (course / "course" / "term.toml").write_text(f"[{ASSIGNMENT}]\nmarks_an_hour = {marks_an_hour}\n")


def answers(address: str) -> bool:
    """Whether something at the address answers with success."""
    with contextlib.suppress(requests.ConnectionError):
        return requests.get(address, timeout=5).ok
    return False


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Return when the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


class Person:
    """Somebody logged in at the hub, with a server of their own."""

    def __init__(self, server: Server, name: str, password: str = PASSWORD) -> None:
        self.session = requests.Session()
        self.hub = server.hub
        self.home = f"{server.hub}/user/{name}"
        self.session.get(f"{server.hub}/hub/login")
        form = {"username": name, "password": password, "_xsrf": self.cookie("/hub/")}
        answer = self.session.post(f"{server.hub}/hub/login?next=/hub/home", data=form)
        assert answer.ok, answer.text
        self.session.get(f"{server.hub}/hub/spawn/{name}")
        wait_until(self.is_there)

    def is_there(self) -> bool:
        """Whether the user's server answers with its own page, logged in."""
        answer = self.session.get(f"{self.home}/lab")
        return answer.ok and answer.url.startswith(self.home)

    def cookie(self, path: str) -> str:
        """The value that a form sent to this part of the hub must carry."""
        return next(
            cookie.value or "" for cookie in self.session.cookies if (cookie.name, cookie.path) == ("_xsrf", path)
        )

    def post(self, path: str, **data: str) -> dict[str, object]:
        """Call the user's own server, as its pages do; the answer must report success."""
        token = self.cookie(self.home.removeprefix(self.hub) + "/")
        answer = self.session.post(f"{self.home}/{path}", data=data, headers={"X-XSRFToken": token})
        assert answer.ok, answer.text
        result: dict[str, object] = answer.json()
        assert result.get("success", True), f"{result.get('log')}\n{result.get('error')}"
        return result

    def standing(self) -> dict[str, object]:
        """How it stands with the assignment, as the course page is told."""
        (standing,) = self.session.get(f"{self.home}/course/api/assignments").json()["assignments"]
        return dict(standing)


def solved_first_exercise(course: Path) -> tuple[str, float]:
    """A notebook with its first exercise solved, as text, and the points it earns."""
    path = course / "exercises" / ASSIGNMENT / f"{ASSIGNMENT}.ipynb"
    _, solution, tests = first_exercise(course, ASSIGNMENT)
    notebook = nbformat.read(path, as_version=4)
    next(cell for cell in notebook.cells if marks(cell).get("solution")).source = solution
    return nbformat.writes(notebook), sum(float(str(marks(cell)["points"])) for cell in tests)


def test_a_class_of_system_users(server: Server) -> None:
    """A student submits, another tries to read and to forge, the instructor collects and grades."""
    ann = Person(server, ANN)
    assert ann.session.get(f"{server.hub}/user/{ANN}/").url == f"{ann.home}/course"
    assert ann.standing()["state"] == "not fetched"
    opened = ann.session.get(f"{ann.home}/course/open/{ASSIGNMENT}")
    assert opened.url == f"{ann.home}/lab/tree/{ASSIGNMENT}/{ASSIGNMENT}.ipynb"
    notebook, earned = solved_first_exercise(server.course)
    mine = server.base / "home" / ANN / ASSIGNMENT / f"{ASSIGNMENT}.ipynb"
    assert mine.owner() == ANN
    mine.write_text(notebook)
    assert ann.session.post(f"{ann.home}/course/api/submit/{ASSIGNMENT}").status_code == 403, "without the page's token"
    assert "Submitted: " in str(ann.post(f"course/api/submit/{ASSIGNMENT}")["message"])
    (submission,) = server.inbound.iterdir()
    assert submission.owner() == ANN

    # What the system refuses another student, each checked against root's view, in which it exists.
    secrets = [
        server.inbound,
        server.base / "home" / ANN,
        server.course / "course" / "gradebook.db",
        server.course / "course" / "source" / ASSIGNMENT / f"{ASSIGNMENT}.ipynb",
        server.course / "course" / "assignments" / f"{ASSIGNMENT}.py",
        server.base / "server" / "hub" / "hub.sqlite",
    ]
    for path in secrets:
        assert path.exists()
        reading = run_as(BOB, ["ls" if path.is_dir() else "cat", str(path)], Path("/"))
        assert reading.returncode != 0, path
        assert "Permission denied" in reading.stderr
    moving = run_as(BOB, ["mv", str(submission), str(submission.with_name("gone"))], Path("/"))
    assert moving.returncode != 0
    assert submission.exists()

    # Nor does the hub let him through.
    bob = Person(server, BOB)
    assert bob.session.get(f"{server.hub}/user/{ANN}/api/contents").status_code in (403, 404)
    assert bob.session.get(f"{bob.home}/formgrader").status_code == 404

    # A later submission in Ann's name, which the inbound folder has to take, is left out when the instructor collects.
    forged = server.inbound / f"{ANN}+{ASSIGNMENT}+2099-01-01 00:00:00.000000 UTC+forged"
    forging = run_as(BOB, ["cp", "-r", str(server.inbound.parent / "outbound" / ASSIGNMENT), str(forged)], Path("/"))
    assert forging.returncode == 0, forging.stderr
    teacher = Person(server, TEACHER)
    teacher.post(f"formgrader/api/assignment/{ASSIGNMENT}/collect")
    collected = server.course / "course" / "submitted" / ANN / ASSIGNMENT / f"{ASSIGNMENT}.ipynb"
    assert collected.read_text() == notebook
    teacher.post(f"formgrader/api/submission/{ASSIGNMENT}/{ANN}/autograde")
    graded = teacher.session.get(f"{teacher.home}/formgrader/api/submission/{ASSIGNMENT}/{ANN}").json()
    assert graded["score"] == earned
    assert 0 < earned < graded["max_score"]

    # Feedback reaches the one it is for, and the other cannot list what there is.
    teacher.post(f"formgrader/api/assignment/{ASSIGNMENT}/generate_feedback")
    teacher.post(f"formgrader/api/assignment/{ASSIGNMENT}/release_feedback")
    mark = ann.standing()["mark"]
    assert isinstance(mark, dict) and (mark["earned"], mark["points"]) == (earned, graded["max_score"])
    shown = ann.session.get(f"{ann.home}/{mark['feedback']}")
    assert f"<strong>{earned:g}</strong> of {graded['max_score']:g} points" in shown.text
    assert "sandbox" in shown.headers["Content-Security-Policy"]
    assert bob.standing()["mark"] is None
    (page,) = mine.parent.glob("feedback/*/*.html")
    assert f"<strong>{earned:g}</strong> of {graded['max_score']:g} points" in page.read_text()
    listing = run_as(BOB, ["ls", str(server.inbound.parent / "feedback")], Path("/"))
    assert "Permission denied" in listing.stderr


def test_the_hub_marks_what_comes_in_the_name_of_the_instructor(server: Server) -> None:
    bob = Person(server, BOB)
    bob.session.get(f"{bob.home}/course/open/{ASSIGNMENT}")
    notebook, earned = solved_first_exercise(server.course)
    mine = server.base / "home" / BOB / ASSIGNMENT / f"{ASSIGNMENT}.ipynb"
    mine.write_text(notebook)
    bob.post(f"course/api/submit/{ASSIGNMENT}")
    wait_until(lambda: bob.standing()["notes"] == ["It is kept and graded when your instructor grades."])
    limit(server.course, 1)
    wait_until(lambda: bob.standing()["mark"] is not None)
    mark = bob.standing()["mark"]
    assert isinstance(mark, dict) and mark["earned"] == earned
    assert (server.course / "course" / "gradebook.db").owner() == TEACHER


def test_the_demo_runs_as_an_ordinary_user(server: Server) -> None:
    """`make up` asks for no root: a student starts the whole course in a folder of their own and uses it."""
    mine = local_hub.copy_course(server.base / "home" / BOB / "demo", ASSIGNMENT)
    subprocess.run(["chown", "-R", f"{BOB}:", str(mine)], check=True)
    with local_hub.up(mine, str(server.python), **in_the_name_of(BOB)) as running:
        password = local_hub.password(mine, "alice")
        Person(Server(mine, server.python, running.hub), "alice", password).post(
            "assignments/fetch", course_id="llm", assignment_id=ASSIGNMENT
        )
        fetched = mine / "course" / "run" / "home" / "alice" / ASSIGNMENT / f"{ASSIGNMENT}.ipynb"
        assert fetched.owner() == BOB
