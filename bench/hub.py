"""Seconds of a student's way through the hub of `make up`, in a browser: `python -m bench.hub`.

Each round logs in anew with the student's server stopped, fetches and opens the assignment, validates the solved
notebook, and submits it. After the last round it is graded, which is not measured here, and the feedback is opened from
the course page as often. The medians go to bench/hub.md. Nothing else should run beside this.
"""

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import nbformat
from playwright.sync_api import Browser, Page

from tests.long import local_hub
from tests.long.browser import chromium, new_page

RESULT = Path(__file__).parent / "hub.md"
STUDENT = "alice"
STEPS = {
    "log in": "from the log-in button to the assignments on the course page, the server's start included",
    "fetch and open": "from the course page's button to the notebook with its kernel ready",
    "validate": "from the button to the table, of the solved notebook",
    "submit": "from the button to the sentence that says what was submitted",
    "see feedback": "from the course page's button to the score on the feedback page",
}


class Clock:
    """Seconds of each step, round by round."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {step: [] for step in STEPS}

    @contextmanager
    def time(self, step: str) -> Iterator[None]:
        start = time.monotonic()
        yield
        self.seconds[step].append(time.monotonic() - start)
        print(f"{step:16} {self.seconds[step][-1]:6.1f} s", flush=True)


def one_round(page: Page, clock: Clock, hub: str, root: Path, assignment: str) -> None:
    """From logging in to the submission; the student has nothing at the beginning, and no server at the end."""
    home = root / "course" / "run" / "home" / STUDENT
    shutil.rmtree(home / assignment, ignore_errors=True)
    with clock.time("log in"):
        local_hub.log_in(page, hub, STUDENT, local_hub.password(root, STUDENT))
    with clock.time("fetch and open"):
        page.locator(f"#assignment-{assignment} .open").click()
        local_hub.wait_for_notebook(page)
    nbformat.write(solved(root, assignment), home / assignment / f"{assignment}.ipynb")
    page.reload()
    local_hub.wait_for_notebook(page)
    with clock.time("validate"):
        table = local_hub.validate(page)
    wrong = [state for state in table.locator(".state").all_inner_texts() if state != "solved"]
    if wrong:
        raise SystemExit(f"the solved notebook is not solved:\n{table.inner_text()}")
    page.goto(f"{hub}/user/{STUDENT}/course")
    page.locator(".assignment").first.wait_for()
    with clock.time("submit"):
        local_hub.submit(page, assignment)
    page.goto(f"{hub}/hub/home")
    page.click("#stop")
    page.locator("#start", has_text="Start My Server").wait_for()


def solved(root: Path, assignment: str) -> nbformat.NotebookNode:
    """The released notebook with the reference's answers."""
    released = nbformat.read(root / "exercises" / assignment / f"{assignment}.ipynb", as_version=4)
    source = nbformat.read(root / "course" / "source" / assignment / f"{assignment}.ipynb", as_version=4)
    for cell, answer in zip(released.cells, source.cells, strict=True):
        if local_hub.marks(cell).get("solution"):
            cell.source = answer.source
    return released


def see_feedback(browser: Browser, clock: Clock, hub: str, root: Path, assignment: str, rounds: int) -> None:
    """Open the feedback from the course page, as often as there were rounds."""
    for command in ("autograde", "feedback"):
        subprocess.run([sys.executable, "-m", "course.grading", command, assignment], cwd=root, check=True)
    with new_page(browser) as page:
        local_hub.log_in(page, hub, STUDENT, local_hub.password(root, STUDENT))
        for _ in range(rounds):
            page.reload()
            link = page.locator(f"#assignment-{assignment} .feedback")
            link.wait_for()
            with clock.time("see feedback"), page.expect_popup() as popup:
                link.click()
                popup.value.locator(".score").wait_for()
            popup.value.close()


def written(clock: Clock, assignment: str, rounds: int) -> str:
    """The page of results."""
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, load average {os.getloadavg()[2]:.1f}"
    lines = [
        "# What a student waits for on the hub",
        "",
        f"Made by `python -m bench.hub` on {date.today()} ({machine}):",
        f"the hub of `make up` and Chromium on one machine, the assignment {assignment}, {rounds} rounds.",
        "A load average above the number of cores means that other work was waited for: measure on an idle machine.",
        "",
        "| step | median, seconds | least | most | what is measured |",
        "| --- | --- | --- | --- | --- |",
    ]
    for step, what in STEPS.items():
        seconds = clock.seconds[step]
        lines.append(
            f"| {step} | {statistics.median(seconds):.1f} | {min(seconds):.1f} | {max(seconds):.1f} | {what} |"
        )
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--assignment", default="tokenizer")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    clock = Clock()
    with tempfile.TemporaryDirectory(prefix="bench-hub-") as folder:
        root = local_hub.copy_course(Path(folder) / "course", options.assignment)
        with local_hub.up(root) as running, chromium() as browser:
            for _ in range(options.rounds):
                with new_page(browser) as page:
                    one_round(page, clock, running.hub, root, options.assignment)
            see_feedback(browser, clock, running.hub, root, options.assignment, options.rounds)
    RESULT.write_text(written(clock, options.assignment, options.rounds), encoding="utf-8")


if __name__ == "__main__":
    main()
