"""Grade what comes in, as it comes in, and let students see their marks soon after submitting.

    make autograde WATCH=1                 # every assignment, until it is interrupted
    python -m course.watch gpt             # one

It takes the steps of `course.grading`: collect, grade, write feedback, release. What it adds is a limit, so that tests
are not a thing to try answers on: of each student it grades so many submissions an hour as term.toml says
(`marks_an_hour`), and the others later, or when the instructor grades. Feedback is released where term.toml does not
say `feedback_at_once = false` and nothing waits for a person.

What became of each submission lies in course/run/watch.json, so that one that starts again goes on from there. The
student's page reads the same from a file in the exchange whose name only they can tell (`status_file`).
"""

import argparse
import glob
import importlib.util
import json
import signal
import sys
import time
import warnings
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

if __name__ == "__main__" and importlib.util.find_spec("nbgrader") is None:
    sys.exit(f"{sys.executable} lacks the course's packages: use the Python of its environment, .venv/bin/python.")

from filelock import FileLock, Timeout
from nbgrader.apps.api import NbGraderAPI
from nbgrader.utils import notebook_hash, temp_attrs
from sqlalchemy.exc import SAWarning

from course import CourseError
from course.gradebook.autograde import Result, submitted
from course.gradebook.collect import made_by
from course.gradebook.preprocessors import is_isolated
from course.gradebook.store import Store, read_plain, stamp_of
from course.gradebook.term import read as read_term
from course.gradebook.term import update
from course.grading import Refusal, autograde, check_assignment, collect, feedback, open_course
from labkit.files import write_whole

EVERY_SECONDS = 2.0
BATCH = 8
"""Submissions that are graded together: those that come in meanwhile wait for the next batch."""
HOUR = timedelta(hours=1)
SECRET = "submission_secret.txt"  # nbgrader writes it last
MAX_SECRET = 1000

WAITING, GRADING, LATER, GRADED, REPLACED, FAILED = "waiting", "grading", "later", "graded", "replaced", "failed"


@dataclass(frozen=True)
class Status:
    """What became of a submission, as its student may read it."""

    state: str
    """One of the words above."""
    time: str
    """When it came to that, in ISO 8601 with the zone; of a LATER one when it will be graded at the latest, "" where
    only the instructor's next command grades it."""
    place: int = 0
    """In the queue, from 1."""
    score: float | None = None
    """Only where feedback is released."""
    max_score: float | None = None


@dataclass(frozen=True)
class Submission:
    """A submission that lies in the exchange."""

    folder: str
    student: str
    assignment: str
    came: datetime
    secret: str


def status_file(exchange: Path, course: str, secret: str) -> Path:
    """Where the status of the submission with this secret is told: beside released feedback, named as that is.

    Nobody can list that folder, and the secret lies with the student's own copy of the submission.
    """
    return exchange / course / "feedback" / f"{notebook_hash(secret=secret, notebook_id='status')}.json"


class Watch:
    """Grades what comes in, a batch at each `round`. One may exist at a time for a course."""

    def __init__(self, api: NbGraderAPI, assignments: Iterable[str] = (), *, isolated: bool = True):
        self.api, self.isolated = api, isolated
        self.root = Path(api.coursedir.root)
        self.assignments = list(assignments)
        for name in self.assignments:
            check_assignment(api, name)
        self.inbound = Path(api.exchange_root, api.course_id, "inbound")
        self.kept = self.root / "course" / "run" / "watch.json"
        self.statuses = self._read()

    def round(self, now: datetime | None = None) -> list[Result]:
        """Tell all that wait where they stand, and grade the next batch; what became of it, one assignment's at most.

        Raises:
            CourseError: grading cannot go on at the moment; nothing is lost, and the next round tries again.
        """
        now = now or datetime.now(UTC)
        queue = self._queue(now)
        if not queue:
            return []
        name = queue[0].assignment
        batch = [one for one in queue if one.assignment == name][:BATCH]
        for one in batch:
            self._note(one, Status(GRADING, now.isoformat()))
        try:
            return self._grade(name, batch)
        except BaseException:
            for one in batch:  # or they would be taken for graded
                if self.statuses[one.folder].state == GRADING:
                    self._note(one, Status(WAITING, now.isoformat(), place=1))
            raise

    # -- the queue

    def _queue(self, now: datetime, batch: Iterable[Submission] = ()) -> list[Submission]:
        """What is graded next, in the order in which it came; those that wait are told their place, or until when.

        The `batch` that is being graded meanwhile is no part of it.
        """
        being_graded = {one.folder for one in batch}
        newest: dict[tuple[str, str], Submission] = {}
        for one in self._present():
            if one.folder in being_graded:
                continue
            before = newest.get(key := (one.student, one.assignment))
            if before is not None and self._open(before):
                self._note(before, Status(REPLACED, now.isoformat()))
            newest[key] = one
        queue = []
        for one in sorted(newest.values(), key=lambda one: one.came):
            if not self._open(one):
                continue
            free = self._free_at(one, now)
            if free is not None and free <= now:
                queue.append(one)
            elif self._is_held(one):  # the instructor's command was first
                self._note(one, Status(GRADED, now.isoformat()))
            else:
                self._note(one, Status(LATER, free.isoformat() if free else ""))
        for place, one in enumerate(queue, 1):
            self._note(one, Status(WAITING, now.isoformat(), place=place))
        return queue

    def _open(self, one: Submission) -> bool:
        status = self.statuses.get(one.folder)
        return status is None or status.state in (WAITING, LATER, GRADING)

    def _present(self) -> list[Submission]:
        """The submissions in the exchange, complete ones only, the oldest first."""
        known = self.assignments or sorted(self.api.get_source_assignments())
        owned = self.api.config.ExchangeCollect.check_owner
        found = []
        for folder in self.inbound.glob("*+*+*+*") if self.inbound.is_dir() else ():
            student, assignment = folder.name.split("+")[:2]
            secret = read_plain(folder / SECRET, MAX_SECRET)
            if assignment not in known or secret is None or (owned and made_by(folder) != student):
                continue
            with suppress(OSError, UnicodeDecodeError):
                came = datetime.fromtimestamp((folder / SECRET).stat().st_ctime, UTC)  # no student can set it
                found.append(Submission(folder.name, student, assignment, came, secret.decode()))
        return sorted(found, key=lambda one: one.came)

    def _free_at(self, one: Submission, now: datetime) -> datetime | None:
        """When the student's limit lets this be graded; None for never."""
        limit = read_term(self.root).of(one.assignment).marks_an_hour
        times = sorted(
            datetime.fromisoformat(status.time)
            for folder, status in self.statuses.items()
            if (status.state in (GRADED, FAILED) or (status.state == GRADING and folder != one.folder))
            and folder.split("+")[:2] == [one.student, one.assignment]
        )
        recent = [moment for moment in times if moment > now - HOUR]
        if len(recent) < limit:
            return now
        return recent[-limit] + HOUR if limit else None

    def _is_held(self, one: Submission) -> bool:
        """Whether the gradebook holds this very submission."""
        folder = self._collected(one)
        record = Store(self.root).record(one.assignment, one.student)
        return (
            record is not None
            and read_plain(folder / SECRET, MAX_SECRET) == one.secret.encode()
            and record.stamp == stamp_of(folder)
        )

    def _collected(self, one: Submission) -> Path:
        course = self.api.coursedir
        return Path(course.format_path(course.submitted_directory, one.student, one.assignment))

    # -- grading

    def _grade(self, name: str, batch: list[Submission]) -> list[Result]:
        wanted = {one.student: one for one in batch}
        for student in wanted:
            with temp_attrs(self.api.coursedir, student_id=glob.escape(student)):
                for sentence in collect(self.api, name):
                    print(sentence, flush=True)
        there = sorted(wanted.keys() & submitted(self.api, name))
        results = []
        for result in autograde(self.api, name, among=there, isolated=self.isolated).results() if there else ():
            results.append(result)
            self._queue(datetime.now(UTC), batch)  # those that have come meanwhile are told their place now
        update(self.api, [name])
        failed = {result.student for result in results if result.problem} | (wanted.keys() - there)
        for student, one in wanted.items():
            if read_plain(self._collected(one) / SECRET, MAX_SECRET) != one.secret.encode() and student in there:
                self._note(one, Status(REPLACED, datetime.now(UTC).isoformat()))  # a later one came meanwhile
            elif student in failed:
                self._note(one, Status(FAILED, datetime.now(UTC).isoformat()))
            else:
                self._release(name, one)
        return results

    def _release(self, name: str, one: Submission) -> None:
        """Release the feedback, unless the instructor's rules or a part that waits for a person forbid it."""
        with self.api.gradebook as gradebook:
            row = gradebook.find_submission(name, one.student)
            score, most, waits = float(row.score), float(row.max_score), bool(row.needs_manual_grade)
        status = Status(GRADED, datetime.now(UTC).isoformat())
        if not waits and read_term(self.root).of(name).feedback_at_once:
            try:
                if feedback(self.api, name, one.student)[1] == 1:
                    status = replace(status, score=score, max_score=most)
            except Refusal as refusal:
                print(refusal, flush=True)
        self._note(one, status)

    # -- what is kept and told

    def _note(self, one: Submission, status: Status) -> None:
        before = self.statuses.get(one.folder)
        if (
            before is not None
            and (before.state, before.place) == (status.state, status.place)
            and status.state != LATER
        ):
            return
        self.statuses[one.folder] = status
        self.kept.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.kept, json.dumps({f: asdict(s) for f, s in self.statuses.items()}).encode())
        told = status_file(Path(self.api.exchange_root), self.api.course_id, one.secret)
        if not told.parent.is_dir():
            told.parent.mkdir()
            told.parent.chmod(0o711)  # as nbgrader makes it: to be read by name, not listed
        write_whole(told, json.dumps(asdict(status)).encode())
        told.chmod(0o644)

    def _read(self) -> dict[str, Status]:
        try:
            return {folder: Status(**status) for folder, status in json.loads(self.kept.read_bytes()).items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}  # then what the gradebook holds already is told again, and nothing judged twice


def main() -> None:
    """Watch until interrupted; what cannot go on now is said once and tried again."""
    parser = argparse.ArgumentParser(prog="python -m course.watch", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("assignments", nargs="*", help="all, where none is named")
    parser.add_argument("--without-sandbox", action="store_true", help="run students' code with your own rights")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", category=SAWarning)
    for asked in (signal.SIGINT, signal.SIGTERM):  # the first is off where a shell starts this in the background
        signal.signal(asked, signal.default_int_handler)
    said = ""
    try:
        api = open_course()
        run = Path(api.coursedir.root) / "course" / "run"
        run.mkdir(parents=True, exist_ok=True)
        with FileLock(run / "watch.lock", timeout=0):
            watch = Watch(api, arguments.assignments, isolated=is_isolated(arguments.without_sandbox))
            print(f"Watching {watch.inbound} ... (Ctrl+C ends this; nothing is lost)", flush=True)
            while True:
                try:
                    for result in watch.round():
                        points = result.problem or f"{result.score:g} of {result.max_score:g}"
                        print(f"{datetime.now():%H:%M:%S}  {result.student}  {points}", flush=True)
                    said = ""
                except CourseError as trouble:
                    if str(trouble) != said:
                        print(said := str(trouble), flush=True)
                time.sleep(EVERY_SECONDS)
    except Timeout:
        sys.exit("Another watcher grades this course already: one is enough.")
    except CourseError as refusal:
        sys.exit(str(refusal))
    except KeyboardInterrupt:
        sys.exit("\nStopped watching; what was graded is saved, and the same command goes on from there.")


if __name__ == "__main__":
    main()
