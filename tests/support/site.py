"""The built book, for every test that looks at it: built once, from the cache where nothing has changed."""

import contextlib
import functools
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from filelock import FileLock
from jupyter_cache import get_cache
from nbformat import NotebookNode

from book.build import forget_what_other_code_made
from book.execute import BOOK, chapters, contents, execute, page_notebook
from course import ROOT
from course.assemble.source import assignments

__all__ = ["BOOK", "BUILD", "ROOT", "built", "chapters", "contents", "executed", "topics"]

BUILD = ROOT / "_build"


@functools.cache
def built() -> Path:
    """Build the book into _build/html, as `make book` does, and return that folder; once for all workers of a run."""
    this_run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    stamp = BUILD / "built-for-tests"
    BUILD.mkdir(exist_ok=True)
    with FileLock(BUILD / "tests.lock"):
        if not stamp.exists() or stamp.read_text() != this_run:
            with contextlib.ExitStack() as pages:  # what another worker executes is waited for, not executed twice
                for name in chapters():
                    pages.enter_context(page_lock(name))
                build()
            stamp.write_text(this_run)
    return BUILD / "html"


def build() -> None:
    """Build as `make book` does; fail with the end of its output."""
    done = subprocess.run(
        [sys.executable, "-m", "book.build"], cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=3600
    )
    if done.returncode:
        pytest.fail(f"make book failed:\n{done.stdout[-6000:]}{done.stderr[-2000:]}", pytrace=False)


def page_lock(name: str) -> FileLock:
    """Held while a page is executed."""
    (BUILD / "executed").mkdir(parents=True, exist_ok=True)
    return FileLock(BUILD / "executed" / f"{name}.lock")


def executed(name: str) -> Path:
    """A copy of a page's notebook as it was executed; jupyter_execute lacks the numbers of its sentences.

    The build of the book finds here what a test of one page has executed, and the other way round.
    """
    folder = BUILD / ".jupyter_cache"
    BUILD.mkdir(exist_ok=True)
    with FileLock(BUILD / "tests.lock"):
        forget_what_other_code_made(BUILD)
    copy = BUILD / "executed" / f"{name}.ipynb"
    with page_lock(name):
        if (outputs := cached(folder, name)) is None:
            execute(folder, [name])
            outputs = cached(folder, name)
    if outputs is None:
        pytest.fail(f"a cell of book/{name}.md failed: `make book` shows it", pytrace=False)
    nbformat.write(outputs, copy)
    return copy


def cached(folder: Path, name: str) -> NotebookNode | None:
    """What the cache holds of a page; None if its present code was not executed."""
    cache = get_cache(folder)
    try:
        return cache.get_cache_bundle(cache.match_cache_notebook(page_notebook(name)).pk).nb
    except KeyError:
        return None


def topics() -> list[str]:
    """The names of the assignments."""
    return assignments(ROOT)
