"""Options, hooks and fixtures of all tests: one topic's tests alone, the longest first, a small course to grade."""

import shutil
from pathlib import Path

import pytest
from nbgrader.apps.api import NbGraderAPI

from course import ROOT, grading
from tests.support import costs
from tests.support.toy_course import StandIn, make_course, put_in


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--topic", choices=sorted(costs.TOPICS), help="run only the tests of this topic")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(costs.Costs(), "costs")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if topic := config.getoption("topic"):
        other = [item for item in items if not costs.about(item.nodeid, topic)]
        config.hook.pytest_deselected(items=other)
        items[:] = [item for item in items if costs.about(item.nodeid, topic)]
    if hasattr(config, "workerinput"):  # workers collect, and the controller deals in the order they found
        costs.longest_first(items)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> costs.ByGroup | None:
    return costs.ByGroup(config, log) if config.getoption("dist") == "loadgroup" else None


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course with the real settings and the toy assignment released; `new_course` copies it."""
    root = tmp_path_factory.mktemp("template")
    make_course(root)
    for name in ("labkit", "solutions"):
        (root / name).symlink_to(ROOT / name)
    return root


@pytest.fixture
def new_course(template: Path, tmp_path: Path) -> tuple[NbGraderAPI, Path]:
    """A fresh copy of the course, and where it lies."""
    root = tmp_path / "new"
    shutil.copytree(template, root, symlinks=True)
    return grading.open_course(root), root


@pytest.fixture
def stand_in(new_course: tuple[NbGraderAPI, Path], monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """The commands work on that copy, and nothing is run."""
    for name in ("open_course", "is_isolated", "Assignment"):
        monkeypatch.setattr(grading, name, getattr(grading, name))  # so that they are put back
    monkeypatch.setattr("course.gradebook.autograde.judge_many", None)
    put_in(new_course[1], stand_in := StandIn(new_course[1]))
    return stand_in
