"""A chapter is its own files and a line in the contents: a toy one, put into a copy, is found everywhere."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from course import ROOT
from tests.support.toy import ROOT as TOY

# What an author adds: nothing that is there already is edited but the contents.
CHAPTER = """# Toys

After {topic}`gpt`, before {topic}`robots`.

```{exercise-card} toy
```
"""
BANK = """from course.banks.bank import {kind}


@{kind}("bits", {label}="a made-up answer"{says})
def bits(p):
    return 0.0
"""
RECIPES = "RECIPES = {'toy': 'a recipe'}\n"
BENCH = "def main(arguments=None):\n    print('measured')\n"
# What the repository then finds, in its own words.
FOUND = """
import json, sys
from bench import benches
from course.assemble.source import assignments
from course.banks.bank import bank
from solutions.checkpoints.rebuild import RECIPES
from tests.support import site

print(json.dumps({
    "assignments": assignments(),
    "topics": site.topics(),
    "pages": site.contents(),
    "banks": [(kind, answer.exercise) for kind in ("wrong", "right") for answer in bank(kind, "toy")],
    "benches": list(benches()),
    "recipes": list(RECIPES),
}))
"""
SITE = """
import sys
from sphinx.application import Sphinx

settings = {
    "extensions": ["myst_parser", "sphinx_external_toc", "book._ext.course_site"],
    "external_toc_path": "_toc.yml",
    "html_theme_options": {"repository_url": "https://github.com/a/b", "repository_branch": "main"},
    "html_theme": "basic",
    "exclude_patterns": ["_*/**"],
}
app = Sphinx("pages", None, "html", "trees", "html", settings, status=None)
app.build()
sys.exit(app.statuscode)
"""


def run(root: Path, *command: str) -> str:
    """What a command of Python's says in the copy of the repository."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository without what is generated, with a chapter more."""
    root = tmp_path_factory.mktemp("course")
    generated = ("__pycache__", "source", "submitted", "autograded", "feedback", "run", "private", "_vendor")
    for name in ("course", "labkit", "solutions", "bench", "book", "tests", "exercises"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns(*generated, "gradebook.db*"))
    shutil.copy(ROOT / "pyproject.toml", root)
    for file in ("course/assignments/toy.py", "solutions/toy.py"):
        shutil.copy(TOY / file, root / file)
    (root / "book" / "toy.md").write_text(CHAPTER)
    toc = root / "book" / "_toc.yml"
    toc.write_text(toc.read_text().replace("      - file: gpt\n", "      - file: gpt\n      - file: toy\n"))
    (root / "tests" / "topics" / "toy").mkdir()
    (root / "tests" / "topics" / "toy" / "__init__.py").touch()
    for kind, label, says in (("wrong", "mistake", ', says="one bit"'), ("right", "differs", "")):
        text = BANK.format(kind=kind, label=label, says=says)
        (root / "tests" / "topics" / "toy" / f"{kind}.py").write_text(text)
    (root / "solutions" / "checkpoints" / "toy.py").write_text(RECIPES)
    (root / "bench" / "toy.py").write_text(BENCH)
    run(root, "-m", "course.assemble", "--release", "toy")
    return root


def test_it_is_assembled_and_released(copy: Path):
    assert (copy / "course" / "source" / "toy" / "toy.ipynb").is_file()
    released = (copy / "exercises" / "toy" / "toy.ipynb").read_text(encoding="utf-8")
    assert "SECRET" not in released and "The chapter [Toys](https://" in released


def test_everything_that_looks_for_topics_finds_it(copy: Path):
    found = json.loads(run(copy, "-c", FOUND))
    for kind in ("assignments", "topics", "pages", "benches", "recipes"):
        assert "toy" in found[kind], kind
    assert found["banks"] == [["wrong", "bits"], ["right", "bits"]]
    assert found["pages"].index("toy") == found["pages"].index("gpt") + 1
    assert run(copy, "-m", "bench", "toy") == "measured\n"


def test_the_tests_of_every_topic_take_it_in(copy: Path):
    files = ("tests/banks/test_banks.py", "tests/assemble/test_exercises.py", "course/assignments/toy.py")
    listed = run(copy, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "-k", "toy", *files)
    for name in (
        "test_a_wrong_answer_loses_points_where_the_mistake_is[toy",
        "test_another_persons_right_answers_keep_all_points[toy",
        "test_the_blank_notebook_earns_nothing[toy",
        "test_the_students_notebook_is_fresh[toy]",
        "course/assignments/toy.py::test_centre_rows",
    ):
        assert name in listed


def test_its_page_has_its_card_and_its_links(copy: Path):
    pages = copy / "pages"
    pages.mkdir()
    shutil.copy(copy / "book" / "toy.md", pages)
    (pages / "index.md").write_text("# Start\n\nThe first page names {topic}`toy`.\n")
    (pages / "gpt.md").write_text("# The GPT\n")
    (pages / "_toc.yml").write_text("format: jb-book\nroot: index\nchapters:\n- file: gpt\n- file: toy\n")
    run(copy, "-c", SITE)
    page = (copy / "html" / "toy.html").read_text(encoding="utf-8")
    assert "4 exercises · 12 points · about 30 minutes" in page
    assert ">The GPT<" in page and "<em>Robots</em>" in page
    assert 'href="toy.html"' in (copy / "html" / "index.html").read_text(encoding="utf-8")
