"""A book of one page: a mistake in it fails the build and is named; the settings of a build reach it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from tests.support import site


@pytest.fixture
def small_book(tmp_path: Path) -> Path:
    """A copy of the book with one page, so that a mistake can be put into it."""
    site.built()  # so that book/_vendor is there to copy
    shutil.copy(site.ROOT / "_config.yml", tmp_path)
    shutil.copytree(site.BOOK, tmp_path / "book", ignore=shutil.ignore_patterns("*.md", "__pycache__"))
    (tmp_path / "labkit" / "checkpoints").mkdir(parents=True)
    (tmp_path / "book" / "_toc.yml").write_text("format: jb-book\nroot: index\n")
    return tmp_path


MISTAKES = """# A page

See [another](nowhere.md) {cite:p}`nobody1900nothing`.

```{exercise-card} nothing
```
"""
FAILING_CELL = """---
kernelspec: {name: python3, display_name: Python 3}
jupytext: {text_representation: {extension: .md, format_name: myst}}
---
# A page

```{code-cell}
raise ValueError("the answer is not 42")
```
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (MISTAKES, ["nowhere.md", "nobody1900nothing", "exercises/nothing/nothing.ipynb does not exist; run: make"]),
        (FAILING_CELL, ["ValueError: the answer is not 42"]),
    ],
    ids=["broken references", "failing cell"],
)
def test_a_mistake_in_a_page_fails_the_build_and_is_named(small_book: Path, text: str, said: list[str]):
    (small_book / "book" / "index.md").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "book.build"], cwd=small_book, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    summary = done.stdout.split("The build failed. It said:")[-1]
    unsaid = [words for words in said if words not in summary]
    assert unsaid == [], f"the last lines do not name the mistake:\n{summary}"


def test_the_settings_of_a_build(small_book: Path, monkeypatch: pytest.MonkeyPatch):
    """COURSE_HUB adds the hub's button, SOLUTIONS the reference code; an unpublished repository has no button."""
    shutil.copytree(site.ROOT / "exercises" / "gpt", small_book / "exercises" / "gpt")
    shutil.copytree(site.ROOT / "solutions", small_book / "solutions")
    (small_book / "book" / "index.md").write_text("# A page\n\n```{exercise-card} gpt\n```\n")
    monkeypatch.setenv("COURSE_HUB", "https://hub.example")
    monkeypatch.setenv("SOLUTIONS", "1")
    done = subprocess.run([sys.executable, "-m", "book.build"], cwd=small_book, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
    text = BeautifulSoup((small_book / "_build/html/index.html").read_text(encoding="utf-8"), "html.parser")
    opens = "https://hub.example/hub/user-redirect/course/open/gpt"
    assert [(a.get_text(), a["href"]) for a in text.select(".exercise-card a")] == [("JupyterHub", opens)]
    assert [link["href"] for link in text.select(".bd-header-article a[href^=http]")] == [opens]
    shown = text.get_text()
    assert "class MultiHeadAttention(nn.Module):" in shown
    chapter = BeautifulSoup((site.built() / "gpt.html").read_text(encoding="utf-8"), "html.parser")
    assert "class MultiHeadAttention(nn.Module):" not in chapter.get_text()
