"""Marks soon after submitting: what comes into the exchange is graded as it comes, within each student's limit."""

import json
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import nbformat
import pytest
from filelock import FileLock
from nbgrader.apps.api import NbGraderAPI
from nbgrader.utils import notebook_hash

from course import grading, watch
from course.gradebook.preprocessors import CannotGrade
from course.watch import FAILED, GRADED, GRADING, LATER, REPLACED, WAITING, Status, Watch, status_file
from tests.support.toy_course import SUBMISSIONS, StandIn

Course = tuple[NbGraderAPI, Path]


@pytest.fixture
def course(new_course: Course, stand_in: StandIn) -> Course:
    assert grading.publish(new_course[0]) == ["toy"]
    return new_course


def hand_in(root: Path, student: str, notebook: Any = SUBMISSIONS["half"], time: int = 0) -> str:
    """A submission as nbgrader puts it into the exchange, in the minute `time`; its secret."""
    moment, secret = f"2026-11-20 10:{time:02}:00.000000 UTC", f"secret of {student} at {time}"
    folder = root / "course" / "run" / "exchange" / "llm" / "inbound" / f"{student}+toy+{moment}+AAAA"
    folder.mkdir(parents=True)
    (folder / "toy.ipynb").write_text(nbformat.writes(notebook))
    (folder / "timestamp.txt").write_text(moment)
    (folder / "submission_secret.txt").write_text(secret)
    return secret


def told(root: Path, secret: str) -> Status:
    """What a student reads of the submission with this secret."""
    return Status(**json.loads(status_file(root / "course" / "run" / "exchange", "llm", secret).read_text()))


def when_judged(stand_in: StandIn, **steps: Callable[[], Any]) -> None:
    """Take a step when the student of its name is judged."""

    class Students(list):
        def append(self, student: str) -> None:
            super().append(student)
            steps.get(student, lambda: None)()

    stand_in.students = Students()


def page(root: Path, secret: str) -> Path:
    """Where the released feedback is."""
    folder = root / "course" / "run" / "exchange" / "llm" / "feedback"
    return folder / f"{notebook_hash(secret=secret, notebook_id='toy')}.html"


def test_what_comes_in_is_graded_and_its_feedback_released(course: Course) -> None:
    api, root = course
    watching = Watch(api)
    assert watching.round() == []
    ann = hand_in(root, "ann")
    assert [(r.student, r.score) for r in watching.round()] == [("ann", 2)]
    status = told(root, ann)
    assert (status.state, status.score, status.max_score) == (GRADED, 2, 5)
    assert "double is wrong" in page(root, ann).read_text()
    assert watching.round() == []
    again = hand_in(root, "ann", SUBMISSIONS["solved"], time=1)
    assert [r.score for r in watching.round()] == [5]
    assert (told(root, again).score, told(root, ann).score) == (5, 2)


def test_a_submission_that_is_still_being_written_waits(course: Course) -> None:
    api, root = course
    hand_in(root, "ann")
    (secret,) = root.glob("course/run/exchange/llm/inbound/*/submission_secret.txt")
    text = secret.read_text()
    secret.unlink()
    assert Watch(api).round() == []
    secret.write_text(text)
    assert len(Watch(api).round()) == 1


def test_each_is_told_its_place_and_a_later_one_replaces_an_earlier(
    course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, root = course
    monkeypatch.setattr(watch, "BATCH", 2)
    secrets = [hand_in(root, student) for student in ("ann", "bob", "cyd", "dan")]
    newer = hand_in(root, "dan", time=1)
    watching = Watch(api)
    assert [r.student for r in watching.round()] == ["ann", "bob"]
    assert [told(root, secret).state for secret in secrets] == [GRADED, GRADED, WAITING, REPLACED]
    assert (told(root, secrets[2]).place, told(root, newer).place) == (1, 2)
    assert [r.student for r in watching.round()] == ["cyd", "dan"]
    assert told(root, newer).state == GRADED


def test_who_comes_while_others_are_graded_is_told_the_place_at_once(course: Course, stand_in: StandIn) -> None:
    api, root = course
    ann, bob = hand_in(root, "ann"), hand_in(root, "bob")
    secrets, seen = [bob], []
    when_judged(
        stand_in,
        ann=lambda: secrets.append(hand_in(root, "cyd", time=1)),
        bob=lambda: seen.extend((told(root, secret).state, told(root, secret).place) for secret in secrets),
    )
    watching = Watch(api)
    assert [r.student for r in watching.round()] == ["ann", "bob"]
    assert seen == [(GRADING, 0), (WAITING, 1)]
    assert told(root, ann).state == GRADED
    assert [r.student for r in watching.round()] == ["cyd"]


def test_beyond_the_limit_it_is_kept_and_graded_later(course: Course) -> None:
    api, root = course
    (root / "course" / "term.toml").write_text("[toy]\nmarks_an_hour = 2\n")
    watching, now = Watch(api), datetime.now(UTC)
    for time in range(2):
        hand_in(root, "ann", time=time)
        assert len(watching.round(now)) == 1
    third, bob = hand_in(root, "ann", SUBMISSIONS["solved"], time=2), hand_in(root, "bob")
    assert [r.student for r in watching.round(now)] == ["bob"]
    assert told(root, bob).state == GRADED
    status = told(root, third)
    assert status.state == LATER
    free = datetime.fromisoformat(status.time)
    assert timedelta(minutes=59) < free - now < timedelta(minutes=61)
    restarted = Watch(api)  # which has not forgotten
    assert restarted.round(now) == []
    assert [r.score for r in restarted.round(free)] == [5]


def test_what_is_being_graded_counts_for_the_limit(course: Course, stand_in: StandIn) -> None:
    api, root = course
    (root / "course" / "term.toml").write_text("[toy]\nmarks_an_hour = 1\n")
    ann = hand_in(root, "ann")
    hand_in(root, "bob", time=1)
    again, seen = [], []
    when_judged(
        stand_in,
        ann=lambda: again.append(hand_in(root, "ann", SUBMISSIONS["solved"], time=2)),
        bob=lambda: seen.append(told(root, again[0]).state),
    )
    assert [r.student for r in Watch(api).round()] == ["ann", "bob"]
    assert seen == [LATER]
    assert (told(root, ann).state, told(root, again[0]).state) == (GRADED, LATER)


def test_the_instructors_command_grades_what_is_beyond_the_limit(course: Course) -> None:
    api, root = course
    (root / "course" / "term.toml").write_text("[toy]\nmarks_an_hour = 0\n")
    ann = hand_in(root, "ann")
    watching = Watch(api)
    assert watching.round() == []
    assert told(root, ann) == Status(LATER, "")
    grading.collect(api, "toy")
    assert [r.score for r in grading.autograde(api, "toy").results()] == [2]
    assert watching.round() == []
    assert (told(root, ann).state, told(root, ann).score) == (GRADED, None)  # the instructor releases it
    assert not page(root, ann).exists()


def test_nothing_is_released_where_the_rules_forbid_it(course: Course) -> None:
    api, root = course
    (root / "course" / "term.toml").write_text("[toy]\nfeedback_at_once = false\n")
    ann = hand_in(root, "ann")
    assert len(Watch(api).round()) == 1
    assert (told(root, ann).state, told(root, ann).score) == (GRADED, None)
    assert not page(root, ann).exists()


def test_nothing_is_released_that_waits_for_a_person(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    api, root = course

    def also_wait(api: NbGraderAPI, names: list[str]) -> None:
        with api.gradebook as gradebook:
            gradebook.find_grade("test-double", "toy", "toy", "bob").needs_manual_grade = True
            gradebook.db.commit()

    monkeypatch.setattr(watch, "update", also_wait)
    bob = hand_in(root, "bob")
    assert len(Watch(api).round()) == 1
    assert (told(root, bob).state, told(root, bob).score) == (GRADED, None)
    assert not page(root, bob).exists()


def test_a_watcher_that_was_killed_grades_nothing_twice(course: Course, stand_in: StandIn) -> None:
    api, root = course
    ann = hand_in(root, "ann")
    assert len(Watch(api).round()) == 1
    # It was killed before it wrote down what became of it.
    kept = root / "course" / "run" / "watch.json"
    statuses = json.loads(kept.read_text())
    (folder,) = statuses
    statuses[folder]["state"] = GRADING
    kept.write_text(json.dumps(statuses))
    page(root, ann).unlink()
    assert Watch(api).round() == []
    assert stand_in.students == ["ann"]
    assert told(root, ann).score == 2
    assert page(root, ann).exists()
    kept.write_text("{")  # and when even that is lost
    assert Watch(api).round() == []
    assert stand_in.students == ["ann"]


def test_while_another_command_grades_it_waits(course: Course) -> None:
    api, root = course
    ann = hand_in(root, "ann")
    watching = Watch(api)
    with (
        FileLock(root / "course" / "run" / "grading.lock"),
        pytest.raises(CannotGrade, match="Another grading command"),
    ):
        watching.round()
    assert told(root, ann).state == WAITING
    assert len(watching.round()) == 1


def test_what_the_judge_could_not_grade_is_said(course: Course) -> None:
    api, root = course
    secret = hand_in(root, "breaks")
    (result,) = Watch(api).round()
    assert result.problem is not None
    assert told(root, secret).state == FAILED
    assert not page(root, secret).exists()


def test_what_another_user_made_in_a_students_name_is_left_out(course: Course) -> None:
    api, root = course
    api.config.ExchangeCollect.check_owner = True
    hand_in(root, "ann")  # made by whoever runs this test
    assert Watch(api).round() == []


def test_the_command_takes_one_sentence_to_refuse(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    _, root = course
    monkeypatch.setattr(watch, "open_course", grading.open_course)
    monkeypatch.setattr(watch, "is_isolated", lambda without_sandbox: True)
    monkeypatch.setattr("sys.argv", ["watch", "tyo"])
    with pytest.raises(SystemExit, match="There is no assignment 'tyo'; this course has toy"):
        watch.main()
    with FileLock(root / "course" / "run" / "watch.lock"), pytest.raises(SystemExit, match="Another watcher grades"):
        watch.main()


@pytest.fixture
def ignored() -> Iterator[None]:
    """The signals that end a program are off, as in what a shell starts in the background."""
    before = {each: signal.signal(each, signal.SIG_IGN) for each in (signal.SIGINT, signal.SIGTERM)}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM])
def test_the_command_goes_on_until_it_is_asked_to_end(
    course: Course, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, ignored: None, asked: signal.Signals
) -> None:
    _, root = course
    monkeypatch.setattr(watch, "open_course", grading.open_course)
    monkeypatch.setattr(watch, "is_isolated", lambda without_sandbox: True)
    monkeypatch.setattr("sys.argv", ["watch"])
    hand_in(root, "ann")
    lock, rests = FileLock(root / "course" / "run" / "grading.lock"), iter(["busy", "busy", "free", "empty"])

    def rest(seconds: float) -> None:
        match next(rests):
            case "free":
                lock.release()
            case "empty":
                signal.raise_signal(asked)

    monkeypatch.setattr("time.sleep", rest)
    lock.acquire()
    with pytest.raises(SystemExit, match="Stopped watching; what was graded is saved"):
        watch.main()
    _, trouble, result = capsys.readouterr().out.splitlines()
    assert trouble.startswith("Another grading command is writing")  # said once, though it was so three times
    assert result.endswith("ann  2 of 5")


def test_nobody_can_list_what_students_read(course: Course) -> None:
    api, root = course
    ann = hand_in(root, "ann")
    Watch(api).round()
    file = status_file(root / "course" / "run" / "exchange", "llm", ann)
    assert file.parent.stat().st_mode & 0o077 == 0o011
    assert file.stat().st_mode & 0o777 == 0o644
