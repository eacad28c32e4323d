"""A copy of the course, started with `python -m course.up` as a person would, for tests that use it in a browser."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import psutil
from nbformat import NotebookNode
from playwright.sync_api import FrameLocator, Locator, Page

from course import ROOT
from course.up import free_port
from tests.support.toy_course import copy_code

SECONDS = 180_000  # milliseconds that a browser waits for something on a busy machine

# Building the real book is another test's work; this one needs something to be built and served.
STAND_IN_BOOK = """\
from pathlib import Path

page = Path("_build/html/index.html")
page.parent.mkdir(parents=True, exist_ok=True)
page.write_text("<h1>The book</h1>")
"""


def copy_course(to: Path, assignment: str) -> Path:
    """Copy what `make up` needs to `to`: one assignment, nothing generated, and a book of one page."""
    copy_code(to)
    for path in (to / "course" / "assignments").glob("*.py"):
        if path.stem != assignment:
            path.unlink()
    for name in ("pyproject.toml", "_config.yml"):
        shutil.copy(ROOT / name, to / name)
    (to / "book").mkdir()
    (to / "book" / "build.py").write_text(STAND_IN_BOOK)
    return to


@dataclass(frozen=True)
class Running:
    """A course that is up: where, as which process, and what it printed."""

    hub: str
    book: str
    process: subprocess.Popen[str]
    printed: str


@contextmanager
def up(
    root: Path, python: str = sys.executable, ports: tuple[int, int] | None = None, **options: Any
) -> Iterator[Running]:
    """Run `python -m course.up` in `root` until it says that everything is there; SIGINT at the end.

    `ports` are the hub's and the book's, when not free ones; `options` go to Popen: in whose name, with which
    environment.
    """
    port, book_port = ports or (free_port(), free_port())
    process = subprocess.Popen(
        [python, "-m", "course.up", "--port", str(port), "--book-port", str(book_port)],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )
    printed: list[str] = []
    assert process.stdout is not None
    try:
        for line in process.stdout:
            printed.append(line)
            if "Ctrl-C" in line:
                break
        else:
            raise AssertionError(f"It ended by itself:\n{''.join(printed)}")
        yield Running(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{book_port}", process, "".join(printed))
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Every process that descends from this one."""
    return psutil.Process(process.pid).children(recursive=True)


def password(root: Path, who: str) -> str:
    """What `make up` printed as the password of the students or of the instructor."""
    return (root / "course" / "run" / f"{'instructor' if who == 'instructor' else 'student'}_password").read_text()


def marks(cell: NotebookNode) -> dict[str, object]:
    """nbgrader's metadata of a cell, or nothing."""
    return dict(cell.metadata.get("nbgrader", {}))


def first_exercise(root: Path, assignment: str) -> tuple[str, str, list[NotebookNode]]:
    """The released text of the first exercise, its solution, and its test cells, from the notebooks on disk."""
    released = nbformat.read(root / "exercises" / assignment / f"{assignment}.ipynb", as_version=4).cells
    solved = nbformat.read(root / "course" / "source" / assignment / f"{assignment}.ipynb", as_version=4).cells
    assert len(released) == len(solved)
    start = next(i for i, cell in enumerate(released) if marks(cell).get("solution"))
    tests = []
    for cell in released[start + 1 :]:
        if marks(cell).get("solution"):
            break
        if marks(cell).get("grade"):
            tests.append(cell)
    lines = [line for line in solved[start].source.splitlines() if not line.strip().startswith("### ")]
    return released[start].source, "\n".join(lines), tests


def log_in(page: Page, hub: str, name: str, secret: str) -> None:
    """Log in at the hub and wait for what is then there: the course page, for the instructor JupyterLab."""
    page.set_default_timeout(SECONDS)
    page.goto(f"{hub}/hub/login")
    page.fill("#username_input", name)
    page.fill("#password_input", secret)
    page.click("#login_submit")
    page.wait_for_selector("#jp-main-dock-panel" if name == "instructor" else ".assignment")


def wait_for_notebook(page: Page) -> None:
    """Return when JupyterLab has opened a notebook and its kernel is ready."""
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
    page.locator(".jp-Notebook-ExecutionIndicator[data-status='idle']").wait_for()


def validate(page: Page) -> Locator:
    """Press the notebook's Validate button; the dialog with the table."""
    page.locator(".validate-button").get_by_role("button", name="Validate").click()
    dialog = page.locator(".jp-Dialog:has(.course-check)")
    dialog.wait_for()
    return dialog


def submit(page: Page, assignment: str) -> Locator:
    """Press Submit on the course page; what it then says."""
    page.locator(f"#assignment-{assignment} .submit").click()
    said = page.locator(f"#assignment-{assignment} .said", has_text="Submitted: ")
    said.wait_for()
    return said


def open_from_menu(page: Page, item: str) -> None:
    """Choose an entry of JupyterLab's Nbgrader menu."""
    page.click(".lm-MenuBar-itemLabel:text-is('Nbgrader')")
    page.click(f".lm-Menu-itemLabel:text-is('{item}')")


def formgrader(page: Page) -> FrameLocator:
    """Open formgrader and return its frame."""
    open_from_menu(page, "Formgrader")
    return page.frame_locator("iframe")


def press(frame: FrameLocator, row: Locator, column: str, says: str) -> None:
    """Press formgrader's button in this column of a row, and close the message that must follow."""
    row.locator(f"td.{column} a").first.click()
    message = frame.locator(".modal.in")
    message.wait_for()
    assert says in (told := message.inner_text()), told
    message.locator("button", has_text="OK").click()
    message.wait_for(state="hidden")
