"""An assignment's version moves with everything that a mark depends on, so that everyone is judged again."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from course import ROOT
from course.assemble.assembler import assemble
from course.judging import assignment
from course.judging.assignment import Assignment
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
