"""The built book, for every test that looks at it: built once, from the cache where nothing has changed."""

import functools
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"
BUILD = ROOT / "_build"


@functools.cache
def built() -> Path:
    """Build the book into _build/html, as `make book` does, and return that folder."""
    done = subprocess.run(
        [sys.executable, "-m", "book.build"], cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=600
    )
    if done.returncode:
        pytest.fail(f"make book failed:\n{done.stdout[-6000:]}{done.stderr[-2000:]}", pytrace=False)
    return BUILD / "html"


def contents() -> list[str]:
    """The names of the book's pages, in the order of its table of contents."""
    toc = yaml.safe_load((BOOK / "_toc.yml").read_text(encoding="utf-8"))
    return [toc["root"], *(chapter["file"] for part in toc["parts"] for chapter in part["chapters"])]


def chapters() -> list[str]:
    """The names of the pages that carry code, in order: Jupyter Book writes their executed notebooks to _build."""
    return [name for name in contents() if "{code-cell}" in (BOOK / f"{name}.md").read_text(encoding="utf-8")]


def topics() -> list[str]:
    """The names of the assignments."""
    return sorted(path.stem for path in (ROOT / "course" / "assignments").glob("*.py"))
