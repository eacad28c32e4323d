"""A hostile submission in a real browser: the student's feedback page and the instructor's formgrader."""

import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from nbconvert.exporters import HTMLExporter
from playwright.sync_api import Page

from course import ROOT
from tests.long.browser import DESKTOP, PHONE, chromium, new_page, serve
from tests.support.graded import Course, autograded, hostile
from tests.support.toy_course import copy_code

pytestmark = pytest.mark.long

EVIL = "<h1>Mine</h1><script>console.log(/ran/); fetch('/api/contents')</script>"


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Course:
    """A course with one honest and one hostile submission, the hostile one with a page of its own beside it."""
    course = Course(tmp_path_factory.mktemp("course"))
    course.grade("ann", autograded())
    course.grade(
        "mallory",
        hostile(),
        first_name="<script>console.log(/ran/)</script>",
        last_name="<img src=x onerror=console.log(/ran/)>",
    )
    (course.root / "course" / "autograded" / "mallory" / "doubling" / "evil.html").write_text(EVIL)
    copy_code(course.root)  # what the settings name
    return course


class Watched:
    """What a page asked for and whether anything of the student's ran in it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.asked: list[str] = []
        self.printed: list[str] = []
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("console", lambda message: self.printed.append(message.text))
        page.on("pageerror", lambda error: self.printed.append(str(error)))

    def check(self, home: str) -> None:
        """Everything was asked of `home`, nothing ran, and the page's policy had nothing to stop."""
        self.page.wait_for_load_state("networkidle")
        assert [url for url in self.asked if not url.startswith((home, "data:image/png"))] == []
        assert "/ran/" not in self.printed
        assert [line for line in self.printed if "Content Security Policy" in line] == []


@contextmanager
def instructor(root: Path, **environment: str) -> Iterator[tuple[str, str]]:
    """A Jupyter server with formgrader as the instructor of a hub has it; yields its address and its token."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(8)
    settings = [root / "course", ROOT / "course" / "deploy" / "instructor"]
    command = [sys.executable, "-m", "jupyter_server", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    command += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={root}", "--no-browser", "--allow-root"]
    variables = {
        **os.environ,
        "JUPYTER_CONFIG_PATH": os.pathsep.join(map(str, settings)),
        "JUPYTER_CONFIG_DIR": str(root / "home"),
        "JUPYTER_RUNTIME_DIR": str(root / "home"),
        **environment,
    }
    log = root / "server.log"
    with log.open("w") as file:
        server = subprocess.Popen(command, cwd=root, env=variables, stdout=file, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{address}/api", timeout=2).close()
                break
            except (urllib.error.URLError, OSError):
                assert server.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
        yield address, token
    finally:
        server.terminate()
        server.wait(20)


def submission_id(course: Course, student: str) -> str:
    with course.api.gradebook as gradebook:
        return str(gradebook.find_submission_notebook("doubling", "doubling", student).id)


def test_the_hostile_notebook_is_hostile(tmp_path: Path) -> None:
    """Shown by nbconvert as it comes, it runs and calls: what the tests below say is missing can be there."""
    nb = hostile()
    nb.cells = [cell for cell in nb.cells if cell.id != "mine-2"]  # on this one nbconvert itself stops
    page_source, _ = HTMLExporter(template_name="classic").from_notebook_node(nb)
    (tmp_path / "page.html").write_text(page_source)
    with chromium() as browser, new_page(browser) as page, serve(tmp_path) as address:
        watched = Watched(page)
        with page.expect_console_message(lambda message: message.text == "/ran/"):
            page.goto(f"{address}/page.html", wait_until="commit")
        assert [url for url in watched.asked if "evil.invalid" in url]


@pytest.mark.parametrize("student", ["ann", "mallory"])
@pytest.mark.parametrize(("viewport", "dark"), [(DESKTOP, False), (PHONE, True)], ids=["desktop", "phone"])
def test_the_feedback_page(course: Course, student: str, viewport: dict[str, int], dark: bool) -> None:
    course.feedback(student)
    folder = course.root / "course" / "feedback" / student / "doubling"
    with chromium() as browser, new_page(browser, viewport=viewport, dark=dark) as page, serve(folder) as address:
        watched = Watched(page)
        page.goto(f"{address}/doubling.html")
        for fold in page.locator("details").all():
            fold.evaluate("fold => fold.open = true")
        watched.check(address)
        assert [url for url in watched.asked if not url.startswith("data:")] in (
            [f"{address}/doubling.html"],
            [f"{address}/doubling.html", f"{address}/favicon.ico"],
        )
        width = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert width[0] == width[1], "the page is wider than the screen"
        page.click("li.exercise a")
        assert page.locator(":target .code").is_visible()
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == ("rgb(21, 24, 29)" if dark else "rgb(255, 253, 250)")  # the style was let in


def test_formgrader(course: Course) -> None:
    with chromium() as browser, new_page(browser) as page, instructor(course.root) as (address, token):
        page.set_extra_http_headers({"Authorization": f"token {token}"})
        watched = Watched(page)
        page.goto(f"{address}/formgrader/gradebook/doubling/doubling")
        page.locator("#main-table td.name").first.wait_for()
        assert "Graded without the sandbox" not in page.inner_text("body")
        watched.check(address)

        page.goto(f"{address}/formgrader/submissions/{submission_id(course, 'mallory')}/")
        page.locator(".name-hidden.glyphicon").click()
        assert "<script>console.log" in page.locator("a.name-shown").inner_text()
        watched.check(address)
        box = page.locator("input.score").first  # the page's own scripts work
        box.wait_for()
        page.wait_for_function("document.querySelector('input.score').placeholder !== ''")

        page.goto(f"{address}/formgrader/manage_students")
        page.locator("#main-table td", has_text="mallory").first.wait_for()
        watched.check(address)

        page.goto(f"{address}/formgrader/submissions/{submission_id(course, 'mallory')}/evil.html")
        assert page.inner_text("h1") == "Mine"
        assert "/ran/" not in watched.printed
        assert [url for url in watched.asked if "/api/contents" in url] == []


def test_the_banner(course: Course) -> None:
    with (
        chromium() as browser,
        new_page(browser) as page,
        instructor(course.root, COURSE_WITHOUT_SANDBOX="1") as (address, token),
    ):
        page.set_extra_http_headers({"Authorization": f"token {token}"})
        for path in ("manage_assignments", "gradebook", f"submissions/{submission_id(course, 'ann')}/"):
            page.goto(f"{address}/formgrader/{path}")
            assert page.locator("#without-sandbox").is_visible(), path
