"""Seconds of a student's way through the hub of `make up`, in a browser: `python -m bench.hub`.

Each round logs in anew with the student's server stopped, fetches and opens the assignment, validates the solved
notebook, submits it, and waits for the mark, as `make autograde WATCH=1` grades what comes in. After the last round the
feedback is opened from the course page as often, and then a class hands the notebook in within a minute. The medians go
to bench/hub.md. Nothing else should run beside this.
"""

import argparse
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import nbformat
from playwright.sync_api import Browser, Page

from course.watch import status_file
from tests.long import local_hub
from tests.long.browser import chromium, new_page

RESULT = Path(__file__).parent / "hub.md"
COURSE, STUDENT = "llm", "alice"
STEPS = {
    "log in": "from the log-in button to the assignments on the course page, the server's start included",
    "fetch and open": "from the course page's button to the notebook with its kernel ready",
    "validate": "from the button to the table, of the solved notebook",
    "submit": "from the button to the sentence that says what was submitted",
    "mark": "from the same button to the mark on the course page, with nobody else waiting",
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
    with clock.time("mark"):
        with clock.time("submit"):
            local_hub.submit(page, assignment)
        page.locator(f"#assignment-{assignment} .state[data-state=graded]").wait_for()
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


@contextmanager
def watching(root: Path, assignment: str, rounds: int) -> Iterator[None]:
    """Grade what comes in meanwhile, at least as often as one student hands in here."""
    with (root / "course" / "term.toml").open("a") as term:
        term.write(f"\n[{assignment}]\nmarks_an_hour = {rounds + 1}\n")
    command = [sys.executable, "-m", "course.watch", assignment]
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def class_hands_in(root: Path, assignment: str, students: int) -> tuple[float, int]:
    """Seconds until a class that hands in within a minute has its last mark, and how many were told their place.

    Each hands in a copy of what the exchange has already, under a name and at a time of its own.
    """
    exchange = root / "course" / "run" / "exchange"
    inbound = exchange / COURSE / "inbound"
    (folder, *_) = inbound.glob(f"{STUDENT}+{assignment}+*")
    secrets, placed, start = [], set(), time.monotonic()

    def look() -> list[str]:
        """The states of those who have handed in."""
        states = []
        for secret in secrets:
            path = status_file(exchange, COURSE, secret)
            status = json.loads(path.read_text()) if path.exists() else {"state": "", "place": 0}
            states.append(status["state"])
            if status["place"]:
                placed.add(secret)
        return states

    for number in range(students):
        moment = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f} UTC"
        to = inbound / f"student-{number:02}+{assignment}+{moment}+AAAA"
        shutil.copytree(folder, to, ignore=shutil.ignore_patterns("submission_secret.txt"))
        (to / "timestamp.txt").write_text(moment)
        secrets.append(f"secret of student {number}")
        (to / "submission_secret.txt").write_text(secrets[-1])
        last = time.monotonic()
        while time.monotonic() < start + (number + 1) * 60 / students:
            look()
            time.sleep(0.2)
    while set(look()) != {"graded"}:
        time.sleep(0.2)
    return time.monotonic() - last, len(placed)


def see_feedback(browser: Browser, clock: Clock, hub: str, root: Path, assignment: str, rounds: int) -> None:
    """Open the feedback from the course page, as often as there were rounds."""
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


def written(clock: Clock, assignment: str, rounds: int, of_class: str) -> str:
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
    return "\n".join([*lines, "", of_class]) + "\n"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--assignment", default="gpt")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--students", type=int, default=30)
    options = parser.parse_args(arguments)
    clock = Clock()
    with tempfile.TemporaryDirectory(prefix="bench-hub-") as folder:
        root = local_hub.copy_course(Path(folder) / "course", options.assignment)
        with local_hub.up(root) as running, chromium() as browser, watching(root, options.assignment, options.rounds):
            for _ in range(options.rounds):
                with new_page(browser) as page:
                    one_round(page, clock, running.hub, root, options.assignment)
            see_feedback(browser, clock, running.hub, root, options.assignment, options.rounds)
            seconds, placed = class_hands_in(root, options.assignment, options.students)
            of_class = (
                f"{options.students} students handed in within a minute: the last had a mark {seconds:.0f} s after "
                f"handing in, and {placed} were told their place in the queue before they had one."
            )
            print(of_class, flush=True)
    RESULT.write_text(written(clock, options.assignment, options.rounds, of_class), encoding="utf-8")


if __name__ == "__main__":
    main()
