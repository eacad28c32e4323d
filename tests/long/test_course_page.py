"""The student's course page in a browser, on the student's own server without a hub: everybody can use it."""

import os
import secrets
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Page

from book.vendor import vendor
from course import ROOT, grading
from course.up import free_port
from tests.long.browser import DESKTOP, PHONE, chromium, new_page
from tests.long.local_hub import wait_for_notebook
from tests.long.test_site import violations
from tests.support.toy_course import SUBMISSIONS, make_course

pytestmark = pytest.mark.long


@dataclass(frozen=True)
class Server:
    """A student's Jupyter server: where, where its files lie, and the exchange."""

    address: str
    home: Path
    exchange: Path


@contextmanager
def student(root: Path, exchange: Path) -> Iterator[Server]:
    """A Jupyter server as a student of a hub has it."""
    home = root / "home"
    home.mkdir()
    token, port = secrets.token_hex(8), free_port()
    command = [sys.executable, "-m", "jupyter_server", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    command += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={home}", "--no-browser", "--allow-root"]
    variables = {
        **os.environ,
        "COURSE_BOOK": "https://book.example/",
        "COURSE_EXCHANGE": str(exchange),
        "JUPYTERHUB_USER": "ann",
        "JUPYTER_CONFIG_PATH": str(ROOT / "course" / "deploy" / "student"),
        **{f"JUPYTER_{name}_DIR": str(root / "jupyter") for name in ("CONFIG", "DATA", "RUNTIME")},
    }
    log = root / "server.log"
    with log.open("w") as file:
        server = subprocess.Popen(command, cwd=home, env=variables, stdout=file, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{address}/api", timeout=2).close()
                break
            except (urllib.error.URLError, OSError):
                assert server.poll() is None and time.monotonic() < deadline, log.read_text()
        yield Server(f"{address}/?token={token}", home, exchange)
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A student who has submitted one assignment of two; the second is past its due date."""
    vendor()  # axe-core, which `violations` injects
    root = tmp_path_factory.mktemp("page")
    course = root / "course"
    api = make_course(course)
    (course / "course" / "term.toml").write_text('[toy]\ndue = 2026-03-01\nlose_per_day = "10%"\n')
    (course / "book").mkdir()
    (course / "book" / "toy.md").write_text("# Toys\n")
    grading.publish(api, ["ann"])
    grading.update(api)
    exchange = course / "course" / "run" / "exchange"
    outbound = exchange / "llm" / "outbound"
    shutil.copytree(outbound / "toy", outbound / "other")
    (outbound / "other" / "toy.ipynb").rename(outbound / "other" / "other.ipynb")
    with student(root, exchange) as running:
        yield running


class Visit:
    """The course page, opened, with everything that went wrong in the browser."""

    def __init__(self, page: Page, server: Server) -> None:
        self.page = page
        self.troubles: list[str] = []
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("console", lambda said: self.troubles.append(said.text) if said.type == "error" else None)
        page.goto(server.address)
        page.locator("#assignment-toy").wait_for()


@pytest.mark.parametrize(("viewport", "dark"), [(DESKTOP, False), (PHONE, True)], ids=["desktop", "phone"])
def test_everybody_can_use_the_page(server: Server, viewport: dict[str, int], dark: bool) -> None:
    with chromium() as browser, new_page(browser, viewport=viewport, dark=dark) as page:
        visit = Visit(page, server)
        assert page.url.partition("?")[0].endswith("/course"), "it is where a server's own address leads"
        assert violations(page) == []
        width = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert width[0] == width[1], "the page is wider than the screen"
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == ("rgb(21, 24, 29)" if dark else "rgb(255, 253, 250)")
        assert "due Sun 1 March 2026, 23:59 UTC" in page.locator("#assignment-toy .due.past").inner_text()
        assert not page.locator("#assignment-other .due").is_visible()
        assert visit.troubles == []


def test_by_keyboard_from_fetching_to_submitting(server: Server) -> None:
    with chromium() as browser, new_page(browser) as page:
        visit = Visit(page, server)
        page.locator("nav a").last.focus()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Fetch and open: Toy"
        page.keyboard.press("Enter")
        wait_for_notebook(page)
        assert visit.troubles == []
        (server.home / "toy" / "toy.ipynb").write_text(nbformat.writes(SUBMISSIONS["half"]))
        page.goto(server.address)
        button = page.locator("#assignment-toy .submit.next")
        button.wait_for()
        button.focus()
        page.keyboard.press("Enter")
        said = page.locator("#assignment-toy [role=status]", has_text="Submitted: Toy")
        said.wait_for()
        assert "counts as late" in said.inner_text()
        assert page.evaluate("document.activeElement.className") == "submit", "the focus stays where it was"
        assert violations(page) == []
        assert len(list((server.exchange / "llm" / "inbound").iterdir())) == 1


def test_what_goes_wrong_is_told_on_the_page(server: Server) -> None:
    with chromium() as browser, new_page(browser) as page:
        Visit(page, server)
        home = server.address.partition("?")[0]
        page.goto(f"{home}course/open/gone")
        assert "There is no assignment “gone”" in page.get_by_role("alert").inner_text()
        assert page.locator("#assignment-toy").is_visible(), "and the others are there"
        page.goto(f"{home}course/feedback/other")
        assert "you have not submitted it yet" in page.get_by_role("alert").inner_text()
        assert violations(page) == []
        away = server.exchange.rename(server.exchange.with_name("away"))
        try:
            page.goto(f"{home}course")
            page.locator("#error:visible", has_text="exchange folder cannot be reached").wait_for()
        finally:
            away.rename(server.exchange)


def test_a_submission_needs_the_pages_own_token(server: Server) -> None:
    with chromium() as browser, new_page(browser) as page:
        Visit(page, server)
        before = sorted((server.exchange / "llm" / "inbound").iterdir())
        answer = page.request.post(f"{server.address.partition('?')[0]}course/api/submit/toy")
        assert answer.status == 403
        assert sorted((server.exchange / "llm" / "inbound").iterdir()) == before


def test_validate_reads_nothing_outside_the_students_home(server: Server) -> None:
    with chromium() as browser, new_page(browser) as page:
        Visit(page, server)
        home = server.address.partition("?")[0]
        token = page.evaluate("document.documentElement.dataset.xsrf")
        for path in ("../server.log", "/etc/passwd"):
            asked = page.request.post(
                f"{home}assignments/validate", params={"path": path}, headers={"X-XSRFToken": token}
            )
            assert asked.status == 403, path
        asked = page.request.post(
            f"{home}assignments/validate", params={"path": "no.ipynb"}, headers={"X-XSRFToken": token}
        )
        assert "There is no notebook" in asked.json()["value"]["failed"][0]["error"]
