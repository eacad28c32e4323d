"""An assignment's version moves with everything that a mark depends on, so that everyone is judged again."""

import ast
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from course import ROOT
from course.assemble.assembler import assemble
from course.judging import assignment
from course.judging.assignment import Assignment, modules_of
from labkit import notebook
from tests.support.toy import ROOT as TOY


def rewrite(file: str, old: str, new: str) -> Callable[[Path], object]:
    return lambda root: (root / file).write_text((root / file).read_text().replace(old, new))


@pytest.mark.parametrize(
    "change",
    [
        rewrite("course/source/toy/toy.ipynb", "shorter", "smaller"),
        rewrite("course/source/toy/words.txt", "given", "other"),
        rewrite("labkit/testing/checks.py", "assert ", "assert True or "),
        rewrite("solutions/toy.py", "x - x.mean", "x + 0 - x.mean"),
        lambda root: (root / "course/source/toy/more.txt").touch(),
    ],
    ids=["notebook", "data", "checks", "reference", "new-data"],
)
def test_the_version_moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object]) -> None:
    shutil.copytree(TOY / "solutions", tmp_path / "solutions")
    shutil.copytree(ROOT / "labkit" / "testing", tmp_path / "labkit" / "testing")
    assemble("toy", TOY, to=tmp_path / "course" / "source" / "toy" / "toy.ipynb")
    (tmp_path / "course" / "source" / "toy" / "words.txt").write_text("given")
    monkeypatch.setattr(assignment, "ROOT", tmp_path)
    before = Assignment.load(tmp_path, "toy").version
    assert Assignment.load(tmp_path, "toy").version == before
    change(tmp_path)
    assert Assignment.load(tmp_path, "toy").version != before


def test_one_thread_parses_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.11.2, which Debian 12 has, can end two threads that parse at once with a SystemError."""
    shutil.copytree(TOY / "solutions", tmp_path / "solutions")
    assemble("toy", TOY, to=tmp_path / "course" / "source" / "toy" / "toy.ipynb")
    held, parse = [], ast.parse
    monkeypatch.setattr(ast, "parse", lambda *code: (held.append(notebook._PARSING.locked()), parse(*code))[1])
    assert modules_of(Assignment.load(tmp_path, "toy").notebook)
    assert held and all(held)


def test_what_grades_in_threads_parses_by_the_one_function() -> None:
    rooms = [ROOT / "course" / "notebook.py", ROOT / "course" / "reach.py", *(ROOT / "course" / "judging").glob("*.py")]
    rooms += (ROOT / "course" / "sandbox").glob("*.py")
    for path in rooms:
        assert "ast.parse(" not in path.read_text(encoding="utf-8"), f"{path.name} parses beside syntax_tree"
