"""What a student can do with an assignment, by nbgrader's own exchange, and how it stands with each."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from nbgrader.apps import NbGrader
from nbgrader.auth import Authenticator
from nbgrader.coursedir import CourseDirectory
from nbgrader.exchange import ExchangeError, ExchangeFactory
from nbgrader.utils import notebook_hash
from traitlets.config import Config

SCORE = re.compile(r'<meta name="course-score" content="([\d.]+) of ([\d.]+)">')
"""What a feedback page says of itself before anything of the student's (course/pages/templates/feedback.html.j2)."""
HEAD = 4096
"""Characters of a feedback page in which that stands."""
STAMP = "%Y-%m-%d %H:%M:%S.%f %Z"
"""How nbgrader writes the time of a submission."""


class StudentError(Exception):
    """What a student asked for cannot be done: a sentence that says what happened and what to do."""


@dataclass(frozen=True)
class Moment:
    """A time, for a program and for a person."""

    at: str
    text: str


@dataclass(frozen=True)
class Mark:
    """A score that was released, and where its feedback can be read."""

    earned: float
    points: float
    feedback: str
    seen: bool
    is_of_last: bool


@dataclass
class Standing:
    """How it stands with one assignment; what `GET course/api/assignments` lists."""

    name: str
    title: str
    points: int | None
    minutes: int | None
    chapter: dict[str, str] | None  # its title and address
    due: Moment | None
    is_past_due: bool
    state: str  # "not fetched", "fetched", "submitted" or "graded"
    next: str  # "open", "submit" or "feedback": what the student will most likely want to do
    saved: Moment | None  # the student's notebook
    submitted: Moment | None  # the last time
    mark: Mark | None  # the last one that was released
    notes: list[str] = field(default_factory=list)  # sentences; a grader that watches adds the place in the queue


@dataclass(frozen=True)
class Course:
    """The course as this student may know it."""

    title: str
    zone: ZoneInfo
    entries: list[dict[str, Any]]

    def entry(self, name: str) -> dict[str, Any]:
        """What the syllabus says of an assignment."""
        return next((entry for entry in self.entries if entry["name"] == name), {})


class Student:
    """One student's assignments, in the folder where their server works.

    Args:
        home: that folder; nbgrader puts an assignment into a folder of its own name in it.
        book: the address of the book, or nothing where there is none.
        settings: nbgrader's, when not those that Jupyter finds.
    """

    def __init__(self, home: Path, book: str = "", settings: Config | None = None):
        self.home = home
        self.book = book.rstrip("/")
        if settings is None:
            nbgrader = NbGrader()
            nbgrader.load_config_file()
            settings = nbgrader.config
        self.settings = Config(settings)
        self.settings.Exchange.assignment_dir = str(home)

    # ------------------------------------------------------------------------------------------------ what is listed

    def course(self) -> Course:
        """What the instructor's course says in the exchange; as little as possible where it says nothing yet."""
        try:
            said = json.loads((self._exchange() / "syllabus.json").read_text(encoding="utf-8"))
            return Course(said["title"], ZoneInfo(said["zone"]), said["assignments"])
        except FileNotFoundError:
            return Course("", ZoneInfo("UTC"), [])

    def standings(self) -> list[Standing]:
        """Every released assignment, in the book's order.

        Raises:
            StudentError: the exchange cannot be used.
        """
        course = self.course()
        released = {each["assignment_id"]: each for each in self._list()}
        handed_in = {each["assignment_id"]: each["submissions"] for each in self._list(cached=True)}
        order = [entry["name"] for entry in course.entries if entry["name"] in released]
        names = [*order, *sorted(released.keys() - set(order))]
        return [self._standing(name, course, handed_in.get(name, [])) for name in names]

    def standing(self, name: str) -> Standing:
        """How it stands with one assignment; raises StudentError where there is none of that name."""
        for standing in self.standings():
            if standing.name == name:
                return standing
        raise StudentError(
            f"There is no assignment “{name}” for you to work on: it was never released, or it was taken back. "
            "Choose one of those listed here."
        )

    def _standing(self, name: str, course: Course, submissions: list[dict[str, Any]]) -> Standing:
        entry = course.entry(name)
        released = self._exchange() / "outbound" / name / f"{name}.ipynb"
        mine = self.notebook(name)
        facts = _read(released).get("metadata", {}).get("course", {})
        last = submissions[-1] if submissions else None
        mark = self._mark(name, submissions)
        due = datetime.fromisoformat(entry["due"]) if entry.get("due") else None
        changed = mine.is_file() and _sources(mine) != _sources(Path(last["path"], mine.name) if last else released)
        if not mine.is_file():
            state, then = "not fetched", "open"
        else:
            state, then = "fetched", "submit" if changed else "open"
        if last is not None:
            state = "graded" if mark is not None and mark.is_of_last else "submitted"
        if mark is not None and (not mark.seen or not changed):
            then = "feedback"
        chapter = {"title": entry["chapter"], "address": f"{self.book}/{name}.html"} if entry.get("chapter") else None
        standing = Standing(
            name=name,
            title=facts.get("title", name),
            points=facts.get("points"),
            minutes=facts.get("minutes"),
            chapter=chapter if self.book else None,
            due=_moment(due, course.zone) if due else None,
            is_past_due=due is not None and datetime.now(UTC) > due,
            state=state,
            next=then,
            saved=_moment(datetime.fromtimestamp(mine.stat().st_mtime, UTC), course.zone) if mine.is_file() else None,
            submitted=_moment(_time_of(last), course.zone) if last else None,
            mark=mark,
        )
        told = self._told(Path(last["path"])) if last else {}
        standing.notes += _watched(told, course.zone)
        standing.notes += self._notes(standing, changed, entry.get("rules", ""))
        return standing

    @staticmethod
    def _notes(standing: Standing, changed: bool, rules: str) -> Iterator[str]:
        if standing.state == "submitted" and not standing.notes:
            yield "Submitted. The mark comes here when it is released."
        if standing.submitted and changed:
            yield "You have changed your notebook since you submitted it."
        if standing.mark and not standing.mark.is_of_last:
            yield "The mark is that of an earlier submission."
        if standing.is_past_due and not standing.submitted:
            yield f"The due date has passed. You can still submit it ({rules})."

    def notebook(self, name: str) -> Path:
        """Where the student's copy of an assignment lies, if it was fetched."""
        return self.home / name / f"{name}.ipynb"

    def _mark(self, name: str, submissions: list[dict[str, Any]]) -> Mark | None:
        """The mark of the last submission whose feedback was released."""
        for submission in reversed(submissions):
            page = self._released_feedback(name, Path(submission["path"]))
            if page is None:
                continue
            with page.open(encoding="utf-8", errors="replace") as file:
                found = SCORE.search(file.read(HEAD))
            if found:
                seen = submission["has_local_feedback"] and not submission["feedback_updated"]
                address = f"course/feedback/{quote(name)}"
                return Mark(float(found[1]), float(found[2]), address, seen, submission is submissions[-1])
        return None

    def _told(self, submission: Path) -> dict[str, Any]:
        """What a grader that watches says of a submission (course/watch.py); empty where none does."""
        try:
            secret = (submission / "submission_secret.txt").read_text()
        except FileNotFoundError:
            return {}
        return _read(self._exchange() / "feedback" / f"{notebook_hash(secret=secret, notebook_id='status')}.json")

    def _released_feedback(self, name: str, submission: Path) -> Path | None:
        """A submission's feedback in the exchange, which only whoever knows the submission's secret can find."""
        try:
            secret = (submission / "submission_secret.txt").read_text()
        except FileNotFoundError:
            return None
        page = self._exchange() / "feedback" / f"{notebook_hash(secret=secret, notebook_id=name)}.html"
        return page if page.is_file() else None

    # -------------------------------------------------------------------------------------------- what a student does

    def fetch(self, name: str) -> Path:
        """Put the assignment into the student's home; what is there already stays as it is. Returns the notebook.

        Raises:
            StudentError: there is no such assignment, or it cannot be copied.
        """
        self.standing(name)
        self._do("FetchAssignment", name, f"“{name}” could not be fetched", replace_missing_files=True)
        return self.notebook(name)

    def submit(self, name: str) -> str:
        """Submit the assignment as it was last saved; says what was submitted, and whether it was late.

        Raises:
            StudentError: it was not fetched, or cannot be copied; nothing is submitted then.
        """
        standing = self.standing(name)
        if standing.saved is None:
            folder = self.home / name
            others = sorted(path.name for path in folder.glob("*.ipynb")) if folder.is_dir() else []
            if others:
                raise StudentError(
                    f"Nothing was submitted: there is no {name}.ipynb in your folder {name}, only {', '.join(others)}. "
                    f"If you renamed it, give it back the name {name}.ipynb; “Fetch and open” brings a fresh copy."
                )
            raise StudentError(
                f"Nothing was submitted: you have not fetched “{standing.title}” yet. Press “Fetch and open”, write "
                "your answers, save, and come back."
            )
        self._do("Submit", name, f"Nothing was submitted: “{standing.title}” could not be copied")
        said = f"Submitted: {standing.title}, as you saved it on {standing.saved.text}."
        if standing.is_past_due and standing.due:
            said += f" It was due on {standing.due.text}, so it counts as late, unless you have an extension."
        return said

    def feedback(self, name: str) -> Path:
        """Bring the newest released feedback into the student's home; returns the page.

        Raises:
            StudentError: nothing was submitted, or no feedback is released yet.
        """
        standing = self.standing(name)
        if standing.submitted is None:
            raise StudentError(f"There is no feedback on “{standing.title}”: you have not submitted it yet.")
        if standing.mark is None:
            raise StudentError(
                f"There is no feedback on “{standing.title}” yet: your instructor has not released it. Your submission "
                f"of {standing.submitted.text} is safe."
            )
        self._do("FetchFeedback", name, f"The feedback on “{standing.title}” could not be fetched")
        (submissions,) = (each["submissions"] for each in self._list(cached=True) if each["assignment_id"] == name)
        newest = next(each for each in reversed(submissions) if each["has_local_feedback"])
        return Path(newest["local_feedback_path"], f"{name}.html")

    # ------------------------------------------------------------------------------------------- nbgrader's exchange

    def _exchange(self) -> Path:
        return Path(self.settings.Exchange.root, self.settings.CourseDirectory.course_id)

    def _list(self, **options: Any) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = self._do("List", "", "The assignments cannot be listed", **options)
        return listed

    def _do(self, step: str, name: str, failed: str, **options: Any) -> Any:
        """Take one of nbgrader's steps; its errors come as a sentence for the student."""
        if not (self._exchange() / "outbound").is_dir():
            raise StudentError(
                "The course's exchange folder cannot be reached, so nothing can be fetched or submitted now. Your own "
                "files are as they were. Tell your instructor, and try again later."
            )
        config = Config(self.settings)
        config.CourseDirectory.assignment_id = name
        coursedir, authenticator = CourseDirectory(config=config), Authenticator(config=config)
        factory = ExchangeFactory(config=config)
        try:
            return getattr(factory, step)(
                coursedir=coursedir, authenticator=authenticator, config=config, **options
            ).start()
        except (ExchangeError, OSError, RuntimeError) as error:  # RuntimeError: the folder is too large
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise StudentError(
                f"{failed} ({reason}). Your own files are as they were. Try again; if it happens again, tell your "
                "instructor."
            ) from error


def _watched(told: dict[str, Any], zone: ZoneInfo) -> Iterator[str]:
    """Where a submission stands with a grader that watches, as a sentence; none once its mark is there."""
    match told.get("state"):
        case "waiting":
            yield f"Submitted: number {told['place']} of those that wait to be graded. The mark comes here."
        case "grading":
            yield "It is being graded now. The mark comes here."
        case "later" if told["time"]:
            free = _moment(datetime.fromisoformat(told["time"]), zone).text
            yield f"You have had all marks of this hour. This one is kept and graded on {free} at the latest."
        case "later":
            yield "It is kept and graded when your instructor grades."
        case "failed":
            yield "It could not be graded yet. It is kept, and your instructor's next command tries again."
        case "graded" if told.get("score") is None:
            yield "It is graded. Your mark comes here when your instructor releases it."


def _read(path: Path) -> dict[str, Any]:
    """A notebook, or a status, as it lies there; empty where none can be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _sources(path: Path) -> list[Any]:
    """What stands in a notebook's cells, without what they printed."""
    cells = _read(path).get("cells", [])
    return ["".join(cell.get("source", "")) for cell in cells]


def _time_of(submission: dict[str, Any]) -> datetime:
    return datetime.strptime(submission["timestamp"], STAMP).replace(tzinfo=UTC)


def _moment(time: datetime, zone: ZoneInfo) -> Moment:
    local = time.astimezone(zone)
    return Moment(time.isoformat(), f"{local:%a} {local.day} {local:%B %Y, %H:%M %Z}")
