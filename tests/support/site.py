"""The built book, for every test that looks at it: built once, from the cache where nothing has changed."""

import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

from course import ROOT
from course.assemble.source import assignments

BOOK = ROOT / "book"
BUILD = ROOT / "_build"


@functools.cache
def built() -> Path:
    """Build the book into _build/html, as `make book` does, and return that folder; once for all workers of a run."""
    this_run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    stamp = BUILD / "built-for-tests"
    BUILD.mkdir(exist_ok=True)
    with FileLock(BUILD / "tests.lock"):
        if not stamp.exists() or stamp.read_text() != this_run:
            build()
            stamp.write_text(this_run)
    return BUILD / "html"


def build() -> None:
    """Build as `make book` does; fail with the end of its output."""
    done = subprocess.run(
        [sys.executable, "-m", "book.build"], cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=600
    )
    if done.returncode:
        pytest.fail(f"make book failed:\n{done.stdout[-6000:]}{done.stderr[-2000:]}", pytrace=False)


def contents() -> list[str]:
    """The names of the book's pages, in the order of its table of contents."""
    toc = yaml.safe_load((BOOK / "_toc.yml").read_text(encoding="utf-8"))
    return [toc["root"], *(chapter["file"] for part in toc["parts"] for chapter in part["chapters"])]


def chapters() -> list[str]:
    """The names of the pages that carry code, in order: Jupyter Book writes their executed notebooks to _build."""
    return [name for name in contents() if "{code-cell}" in (BOOK / f"{name}.md").read_text(encoding="utf-8")]


def topics() -> list[str]:
    """The names of the assignments."""
    return assignments(ROOT)
