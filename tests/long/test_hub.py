"""A real hub in a real browser: from logging in to reading the feedback, as `make up` serves it."""

import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import psutil
import pytest
from playwright.sync_api import Locator, Page

from tests.long import local_hub
from tests.long.browser import chromium, new_page
from tests.long.local_hub import (
    SECONDS,
    Running,
    first_exercise,
    formgrader,
    log_in,
    marks,
    open_from_menu,
    press,
    submit,
    validate,
    wait_for_notebook,
)

pytestmark = pytest.mark.long

ASSIGNMENT = "tokenizer"
DUE = "Wed 1 December 2100, 23:59 CET"
TERM = """\
timezone = "Europe/Amsterdam"

[tokenizer]
due = 2100-12-01
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the course that this module's tests may write to."""
    root = local_hub.copy_course(tmp_path_factory.mktemp("hub") / "course", ASSIGNMENT)
    (root / "course" / "term.toml").write_text(TERM)
    shutil.copy(local_hub.ROOT / "book" / f"{ASSIGNMENT}.md", root / "book")  # a chapter that the page can link to
    return root


@pytest.fixture(scope="module")
def running(root: Path) -> Iterator[Running]:
    """The course of `root`, up."""
    with local_hub.up(root) as running:
        yield running


def find_cell(page: Page, text: str) -> None:
    """Scroll the notebook until the cell with this text is drawn (JupyterLab draws only what is near the view)."""
    page.locator(".jp-WindowedPanel-outer").hover()
    deadline = time.monotonic() + 60
    while not page.locator(".jp-CodeCell", has_text=text).first.is_visible():
        assert time.monotonic() < deadline, f"no cell holds {text!r}"
        page.mouse.wheel(0, 300)
        page.evaluate("() => new Promise(requestAnimationFrame)")


def solve(page: Page, definition: str, solution: str) -> None:
    """Replace the text of the exercise's cell as a student would, run it and save."""
    wait_for_notebook(page)
    find_cell(page, definition)
    cell = page.locator(".jp-CodeCell", has_text=definition).first
    cell.locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(solution)
    page.keyboard.press("Control+s")
    page.locator(".jp-mod-current[role=tab]:not(.jp-mod-dirty)", has_text=ASSIGNMENT).wait_for()


def card_of(page: Page) -> Locator:
    """What the course page shows of the assignment."""
    return page.locator(f"#assignment-{ASSIGNMENT}")


def test_the_demo_says_what_it_is(running: Running, root: Path) -> None:
    assert "does not protect students from each other" in running.printed
    assert local_hub.password(root, "alice") in running.printed
    assert running.process.stdout is not None
    assert any(f"The book is built: {running.book}/" in line for line in running.process.stdout)
    with urllib.request.urlopen(running.book) as answer:
        assert answer.status == 200
    with urllib.request.urlopen(f"{running.hub}/hub/login") as answer:
        page = answer.read().decode()
    assert "does not protect students from each other" in page
    assert f'href="{running.book}/"' in page


def test_from_log_in_to_feedback(running: Running, root: Path) -> None:
    text, solution, tests = first_exercise(root, ASSIGNMENT)
    definition = next(line for line in text.splitlines() if line.startswith(("def ", "class ")))
    earned = sum(float(str(marks(cell)["points"])) for cell in tests)
    notebook = nbformat.read(root / "exercises" / ASSIGNMENT / f"{ASSIGNMENT}.ipynb", as_version=4)
    most = sum(float(cell.metadata.nbgrader.points) for cell in notebook.cells if marks(cell).get("grade"))
    assert 0 < earned < most

    with chromium() as browser:
        with new_page(browser) as page:
            log_in(page, running.hub, "alice", local_hub.password(root, "alice"))
            assert page.url == f"{running.hub}/user/alice/course"
            card = page.locator(f"#assignment-{ASSIGNMENT}")
            assert card.locator(".state").inner_text() == "not fetched"
            assert f"{most:g} points" in card.locator(".facts").inner_text()
            assert f"due {DUE}" in card.locator(".facts").inner_text()
            assert card.locator(".chapter").get_attribute("href") == f"{running.book}/{ASSIGNMENT}.html"
            assert not card.locator(".submit").is_visible()
            card.locator(".open").click()
            solve(page, definition, solution)

            table = validate(page)
            assert f"Due {DUE}." in table.inner_text()
            rows = table.locator("tbody tr")
            states = rows.locator(".state").all_inner_texts()
            assert states[0] == "solved" and set(states[1:]) == {"blank"}
            assert len(table.inner_text()) < 3000
            assert "Next to write: " in table.inner_text()
            table.get_by_role("button", name="Ok").click()

            with page.expect_popup() as popup:
                page.get_by_role("button", name="Course page").click()
            page = popup.value
            page.set_default_timeout(SECONDS)
            page.locator(".assignment .submit.next").wait_for()
            assert card_of(page).locator(".state").inner_text() == "fetched"
            submit(page, ASSIGNMENT)
            assert card_of(page).locator(".state").inner_text() == "submitted"

        with new_page(browser) as page:
            log_in(page, running.hub, "instructor", local_hub.password(root, "instructor"))
            open_from_menu(page, "Course List")
            page.locator("#formgrader_list .list_item", has_text="llm").wait_for()
            frame = formgrader(page)
            line = frame.locator("tr", has_text=ASSIGNMENT)
            press(frame, line, "collect", "Successfully collected")
            line.locator("td.num-submissions a", has_text="1").click()
            line = frame.locator("tr", has_text="alice")
            press(frame, line, "autograde", "Successfully autograded")
            line.locator("td.score", has_text=f"{earned:g} / {most:g}").wait_for()
            press(frame, line, "generate-feedback", "Successfully generated feedback")
            press(frame, line, "release-feedback", "Successfully released feedback")

        with new_page(browser) as page:
            log_in(page, running.hub, "alice", local_hub.password(root, "alice"))
            assert card_of(page).locator(".state").inner_text() == "graded"
            assert card_of(page).locator(".mark").inner_text() == f"{earned:g} of {most:g} points"
            with page.expect_popup() as popup:
                card_of(page).locator(".feedback.next").click()
            feedback = popup.value
            feedback.locator(".score").wait_for()
            shown = " ".join(feedback.locator("body").inner_text().split())
            assert f"{earned:g} of {most:g} points" in shown
            assert len(list((root / "course" / "run" / "home" / "alice").glob(f"{ASSIGNMENT}/feedback/*/*.html"))) == 1

        with new_page(browser) as page:
            log_in(page, running.hub, "bob", local_hub.password(root, "bob"))
            page.goto(
                f"{running.hub}/hub/user-redirect/course/open/{ASSIGNMENT}"
            )  # the book's exercise card leads here
            wait_for_notebook(page)
            assert page.url.endswith(f"/user/bob/lab/tree/{ASSIGNMENT}/{ASSIGNMENT}.ipynb")
            menus = page.locator(".lm-MenuBar-itemLabel").all_inner_texts()
            assert "File" in menus and "Nbgrader" not in menus
            assert page.goto(f"{running.hub}/user/bob/formgrader").status == 404


def test_stopping_leaves_nothing_and_starting_again_is_fast(running: Running, root: Path) -> None:
    """Runs last: it stops the module's course."""
    children = local_hub.family(running.process)
    assert len(children) >= 2  # the hub and its proxy at least; servers and kernels where the test above ran
    running.process.send_signal(2)
    assert running.process.wait(60) == 0
    assert not [child for child in children if psutil.pid_exists(child.pid) and child.is_running()]
    start = time.monotonic()
    ports = tuple(int(address.rpartition(":")[2]) for address in (running.hub, running.book))
    with local_hub.up(root, ports=ports) as again:
        assert time.monotonic() - start < 30
        assert "being built" not in again.printed
        assert "Assembling" not in again.printed
        taken = subprocess.run(
            [again.process.args[0], "-m", "course.up", "--port", again.hub.rpartition(":")[2]],  # type: ignore[index]
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
        )
        assert taken.returncode == 1
        assert "make up PORT=" in taken.stderr
