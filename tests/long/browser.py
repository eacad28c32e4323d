"""A headless Chromium for the tests, and a server for the built book, both on this machine only."""

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

# Debian's browser, kept from talking to anything but the pages under test.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}


def chromium() -> str:
    """Return the path of the machine's Chromium, or skip the test and say how to get one."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    pytest.skip("there is no Chromium on this machine; on Debian or Ubuntu: sudo apt-get install chromium")


@contextmanager
def browser() -> Iterator[Browser]:
    """Start a Chromium with a profile of its own, and close it at the end."""
    path = chromium()
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, headless=True, args=FLAGS)
        try:
            yield started
        finally:
            started.close()


@contextmanager
def new_page(started: Browser, *, viewport: dict[str, int] = DESKTOP, dark: bool = False) -> Iterator[Page]:
    """Open a page with no cookies and nothing cached, `viewport` pixels large, and close it at the end."""
    context = started.new_context(viewport=viewport, color_scheme="dark" if dark else "light")
    try:
        yield context.new_page()
    finally:
        context.close()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files without a line in the log for each."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve `folder` on a free port of the loopback interface and yield the address."""
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
