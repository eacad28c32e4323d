"""A real hub in a real browser: from logging in to reading the feedback, as `make up` serves it."""

import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import psutil
import pytest
from playwright.sync_api import Page

from tests.long import local_hub
from tests.long.browser import chromium, new_page
from tests.long.local_hub import Running, first_exercise, formgrader, log_in, marks, open_from_menu, press

pytestmark = pytest.mark.long

ASSIGNMENT = "tokenizer"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the course that this module's tests may write to."""
    return local_hub.copy_course(tmp_path_factory.mktemp("hub") / "course", ASSIGNMENT)


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
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
    page.locator(".jp-Notebook-ExecutionIndicator[data-status='idle']").wait_for()
    find_cell(page, definition)
    cell = page.locator(".jp-CodeCell", has_text=definition).first
    cell.locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(solution)
    page.keyboard.press("Control+s")
    page.locator(".jp-mod-current[role=tab]:not(.jp-mod-dirty)", has_text=ASSIGNMENT).wait_for()


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
            open_from_menu(page, "Assignment List")
            listed = page.locator("#nbgrader-assignment-list")
            row = listed.locator("#released_assignments_list .list_item", has_text=ASSIGNMENT)
            row.get_by_role("button", name="Fetch").click()
            fetched = listed.locator("#fetched_assignments_list > .list_item", has_text=ASSIGNMENT)
            fetched.locator(".assignment-notebooks-link").click()
            fetched.locator(".nested_list_item a").click()
            solve(page, definition, solution)

            open_from_menu(page, "Assignment List")
            fetched.get_by_role("button", name="Validate").click()
            verdict = page.locator(".jp-Dialog", has_text="Validation")
            verdict.wait_for()
            told = verdict.inner_text()
            assert "NotImplementedError" in told  # the other exercises
            for cell in tests:
                assert cell.source.splitlines()[-1] not in told, "a test of the solved exercise fails"
            verdict.get_by_role("button", name="Ok").click()
            fetched.get_by_role("button", name="Submit").click()
            submitted = listed.locator("#submitted_assignments_list > .list_item", has_text=ASSIGNMENT)
            submitted.wait_for()

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
            open_from_menu(page, "Assignment List")
            submitted = page.locator("#submitted_assignments_list > .list_item", has_text=ASSIGNMENT)
            submitted.get_by_role("button", name="Fetch Feedback").click()
            submitted.locator("a", has_text="view feedback").wait_for()
            (feedback,) = (root / "course" / "run" / "home" / "alice").glob(f"{ASSIGNMENT}/feedback/*/*.html")
            home = feedback.relative_to(root / "course" / "run" / "home" / "alice")
            page.goto(f"{running.hub}/user/alice/files/{home}")
            shown = " ".join(page.locator("body").inner_text().split())
            assert f"{earned:g} of {most:g} points" in shown

        with new_page(browser) as page:
            log_in(page, running.hub, "bob", local_hub.password(root, "bob"))
            page.click(".lm-MenuBar-itemLabel:text-is('Nbgrader')")
            page.locator(".lm-Menu-itemLabel:text-is('Assignment List')").wait_for()
            assert page.locator(".lm-Menu-itemLabel:text-is('Formgrader')").count() == 0


def test_stopping_leaves_nothing_and_starting_again_is_fast(running: Running, root: Path) -> None:
    """Runs last: it stops the module's course."""
    children = local_hub.family(running.process)
    assert len(children) >= 2  # the hub and its proxy at least; servers and kernels where the test above ran
    running.process.send_signal(2)
    assert running.process.wait(60) == 0
    assert not [child for child in children if psutil.pid_exists(child.pid) and child.is_running()]
    start = time.monotonic()
    with local_hub.up(root) as again:
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
