"""formgrader's autograde button, on a copy of the course with the toy assignment."""

import asyncio
from pathlib import Path

import pytest
from filelock import FileLock
from tornado.httputil import HTTPServerRequest
from tornado.web import Application

from course import grading
from course.gradebook.store import Store
from course.pages.formgrader import AutogradeButton, Formgrader, autograde
from tests.support.sandboxed import needs_sandbox
from tests.support.toy_course import SUBMISSIONS, copy_code, make_course, submit


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("course")
    make_course(root)
    copy_code(root)
    return root


def test_the_button_asks_our_handler() -> None:
    application = Application(base_url="/user/teacher/")
    Formgrader().init_handlers(application)
    request = HTTPServerRequest("POST", "/user/teacher/formgrader/api/submission/toy/ann/autograde")
    found = application.find_handler(request)
    assert found.handler_class is AutogradeButton
    assert found.path_args == [b"toy", b"ann"]


def test_a_submission_without_a_notebook_is_recorded(root: Path) -> None:
    needs_sandbox()
    folder = root / "course" / "submitted" / "ann" / "toy"
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("I have lost it")
    outcome = asyncio.run(autograde(root, "toy", "ann"))
    assert outcome["success"], outcome
    assert "0 of 5" in outcome["log"]
    with grading.open_course(root).gradebook as gradebook:
        assert gradebook.find_submission("toy", "ann").score == 0
    record = Store(root).record("toy", "ann")
    assert record is not None
    assert "Your submission has no notebook" in record.remarks[0]


def test_what_goes_wrong_is_told(root: Path) -> None:
    needs_sandbox()
    submit(root, "bob", SUBMISSIONS["half"])
    outcome = asyncio.run(autograde(root, "toy", "--scheduler"))
    assert not outcome["success"]
    assert outcome["error"].startswith("--scheduler has not submitted 'toy'")
    run = Store(root).run
    with FileLock(run / "grading.lock"):
        (run / "grading.holder").write_text("ann, process 12")
        outcome = asyncio.run(autograde(root, "toy", "bob"))
    assert not outcome["success"]
    assert "(ann, process 12): wait" in outcome["error"]
