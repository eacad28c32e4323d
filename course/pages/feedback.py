"""The page a student gets back: points, what failed and why, what to fix first, and their notebook.

nbgrader's GenerateFeedback (its command, formgrader's button, `python -m course.grading feedback`) writes this page,
because course/nbgrader_config.py names `Grades` and `FeedbackExporter`. It is made of the autograded notebook, whose
test cells carry the judge's verdicts, and of the gradebook, whose scores and comments always win. One file holds
everything; it runs no script and asks no server for anything. Of a hidden test it tells what the verdict's message
says; its source, its inputs and what it raised stay with the instructor. Of a private test it tells only that it fails.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import nbformat
from markupsafe import Markup
from nbconvert.exporters import Exporter
from nbconvert.exporters.exporter import ResourcesDict
from nbformat import NotebookNode
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import ClearHiddenTests, GetGrades

from course.gradebook.audit import local_length
from course.gradebook.exports import number
from course.gradebook.term import read as read_term
from course.judging.released import blank_answers, blank_exercises
from course.judging.verdict import verdict_of
from course.notebook import kind_of
from course.pages.mistakes import NoBank, known_mistakes, tests_of, which
from course.pages.render import render
from course.pages.sanitize import plain, prose, python, shown
from labkit.notebook import INTEGRATION, REPORT, facts, is_exercise, marks_of, name_of

LONGEST_MESSAGE = 4_000
PRIVATE_TITLE = "a test that your instructor added"
PRIVATE_MESSAGE = "It fails. Your instructor keeps this test private: ask what it looks at, if you see no reason."
"""For a private test: even its author's words were written for nobody's eyes, and may hold what it compares with."""
NO_RESPONSE = "No response."
"""nbgrader's own comment on a cell that was left as it came."""


@dataclass(frozen=True)
class Check:
    """What became of one test cell, or of one answer that a person marks."""

    title: str
    earned: float
    points: float
    message: str
    hidden: bool = False
    by_hand: bool = False
    private: bool = False
    waiting: bool = False  # for a person to mark it

    @property
    def passed(self) -> bool:
        return self.earned >= self.points and not self.waiting


@dataclass(frozen=True)
class Likely:
    """Known mistakes that fail as a submission does."""

    labels: list[str]
    exact: bool
    """Whether there is one, and it meets the same values too, where these are always the same."""

    @property
    def lead(self) -> str:
        if self.exact:
            return "Likely mistake"
        return "Known mistakes that fail like this" if self.labels[1:] else "A known mistake that fails like this"

    @property
    def words(self) -> str:
        return "; or: ".join(self.labels)


@dataclass
class Exercise:
    """An exercise and what became of it."""

    name: str
    anchor: str | None = None  # of the student's cell further down
    blank: bool = False
    comments: list[Markup] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    used_by: int = 0  # later exercises that need this one
    likely: Likely | None = None

    @property
    def title(self) -> str:
        return "All together" if self.name == INTEGRATION else self.name

    @property
    def earned(self) -> float:
        return sum(check.earned for check in self.checks)

    @property
    def points(self) -> float:
        return sum(check.points for check in self.checks)

    @property
    def state(self) -> str:
        """One of "passed", "blank", "waiting", "partly" and "failed"."""
        if all(check.passed for check in self.checks):
            return "passed"
        if self.blank and not self.earned:
            return "blank"
        if all(check.passed or check.waiting for check in self.checks):
            return "waiting"
        return "partly" if self.earned else "failed"


@dataclass(frozen=True)
class Block:
    """One piece of the notebook as the page shows it."""

    kind: str  # code, prose, given (folded) or test
    anchor: str = ""
    title: str = ""
    html: Markup = field(default_factory=Markup)
    outputs: tuple[tuple[str, str], ...] = ()
    exercise: Exercise | None = None
    blocks: tuple["Block", ...] = ()  # of a fold


class Grades(GetGrades):
    """nbgrader's step that copies scores and comments from the gradebook, with more of what the page tells."""

    def preprocess(self, nb: NotebookNode, resources: ResourcesDict) -> tuple[NotebookNode, ResourcesDict]:
        """Add the student's name, the hand-in and the instructor's notebook to `resources["nbgrader"]`."""
        nb, resources = super().preprocess(nb, resources)
        names = resources["nbgrader"]
        course = CourseDirectory(config=self.config)
        names["zone"] = read_term(Path(course.root)).every.zone
        with self.gradebook:
            submission = self.gradebook.find_submission(names["assignment"], names["student"])
            student = submission.student
            names["name"] = " ".join(filter(None, (student.first_name, student.last_name))) or student.id
            names["handed_in"] = submission.timestamp
            if submission.assignment.duedate is not None:  # without one nbgrader's own sums fail
                names["due"], granted = submission.duedate, submission.extension
                names["extension"] = granted and local_length(submission.assignment.duedate, granted, names["zone"])
                names["late"] = submission.total_seconds_late if submission.timestamp else 0
        folder = Path(course.format_path(course.source_directory, ".", names["assignment"]))
        path = folder / f"{names['notebook']}.ipynb"
        names["source"] = nbformat.read(path, as_version=4) if path.is_file() else None
        if names["source"] is not None:
            names["likely"] = likely_mistakes(nb, names["source"], Path(course.root), names["assignment"])
        return nb, resources

    def _get_score(self, cell: NotebookNode, resources: ResourcesDict) -> None:
        super()._get_score(cell, resources)
        names = (self.notebook_id, self.assignment_id, self.student_id)
        grade = self.gradebook.find_grade(cell.metadata["nbgrader"]["grade_id"], *names)
        cell.metadata.nbgrader["by_hand"] = grade.manual_score is not None or bool(grade.extra_credit)
        cell.metadata.nbgrader["waiting"] = bool(grade.needs_manual_grade)


class FeedbackExporter(Exporter):
    """Writes the feedback page."""

    output_mimetype = "text/html"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.file_extension = ".html"

    # nbconvert's own exporters override it so too: what comes out is text, not a notebook.
    def from_notebook_node(  # type: ignore[override]
        self, nb: NotebookNode, resources: dict[str, Any] | None = None, **kwargs: Any
    ) -> tuple[str, dict[str, Any]]:
        """The page and the resources, after the preprocessors that GenerateFeedback registered."""
        nb, resources = super().from_notebook_node(nb, resources, **kwargs)
        return page(nb, resources["nbgrader"]), resources


def page(nb: NotebookNode, names: Mapping[str, Any]) -> str:
    """The feedback as one HTML file.

    `nb` is the autograded notebook with scores and comments in its cells; `names` is what `Grades` wrote: assignment,
    student, name, score (the penalty taken off), max_score, late_penalty, handed_in, due, extension, late (seconds),
    source, the instructor's notebook or None, and likely, `Likely` mistakes by exercise.
    """
    source = names.get("source")
    exercises = read_exercises(nb, source)
    for exercise in exercises:
        exercise.likely = names.get("likely", {}).get(exercise.name)
    remarks = facts(nb, REPORT).get("remarks")
    sentences = [plain(remark, LONGEST_MESSAGE) for remark in remarks] if isinstance(remarks, list) else []
    failure = why_ungraded(nb, exercises, sentences)
    title = facts(source if source is not None else nb).get("title")
    values = dict(
        title=plain(title or names["assignment"], 200),
        student=plain(names["name"], 200),
        handed_in=when(names.get("handed_in"), names.get("zone", UTC)),
        due=when(names.get("due"), names.get("zone", UTC)),
        score=names["score"],
        most=names["max_score"],
        failure=failure,
        remarks=[remark for remark in sentences if remark != failure],
        lateness=lateness(names),
        summary="" if failure else summary(exercises),
        first=None if failure else first_to_fix(exercises),
        exercises=exercises,
        blocks=read_notebook(nb, source, exercises),
    )
    return render("feedback", values)


# ------------------------------------------------------------------------------------------------------ the exercises


def is_answer(cell: NotebookNode) -> bool:
    """Whether students write this cell."""
    return bool(marks_of(cell).get("solution") or marks_of(cell).get("task"))


def is_graded(cell: NotebookNode) -> bool:
    """Whether the cell gives points."""
    return bool(marks_of(cell).get("grade") or marks_of(cell).get("task"))


def words(name: str) -> str:
    """The name of a test function or cell as words: the property it tests."""
    return re.sub(r"[_\W]+", " ", re.sub(r"^test_|_(hidden|visible)$", "", name)).strip()


def read_exercises(nb: NotebookNode, source: NotebookNode | None) -> list[Exercise]:
    """The exercises in the notebook's order, each with its checks."""
    blank = blank_exercises(nb, blank_answers(source)) if source is not None else set()
    found: dict[str, Exercise] = {}
    current = ""
    for place, cell in enumerate(nb.cells):
        marks = marks_of(cell)
        if is_answer(cell):
            current = name_of(cell)
            exercise = found.setdefault(current, Exercise(current))
            exercise.anchor = exercise.anchor or f"cell-{place}"
            exercise.blank = marks["grade_id"] in blank
            comment = marks.get("comment")
            if isinstance(comment, str) and comment.strip() and comment != NO_RESPONSE:
                exercise.comments.append(prose(comment))
        if is_graded(cell):
            name = plain(facts(cell).get("exercise") or current or name_of(cell), 100)
            exercise = found.setdefault(name, Exercise(name))
            exercise.checks.append(check_of(cell))
    users = dependents(nb if source is None else source)
    exercises = [exercise for exercise in found.values() if exercise.checks]
    for exercise in exercises:
        exercise.used_by = len(users.get(exercise.name, set()) & found.keys())
    return exercises


def why_ungraded(nb: NotebookNode, exercises: list[Exercise], remarks: list[str]) -> str:
    """Why nothing of a submission was judged: one reason that every test gives and a remark too; "" where it was."""
    failure = facts(nb, REPORT).get("failure")
    if failure:
        return plain(failure, LONGEST_MESSAGE)
    reasons = {check.message for exercise in exercises for check in exercise.checks if not check.private}
    return reasons.pop() if len(reasons) == 1 and reasons <= set(remarks) else ""


def likely_mistakes(nb: NotebookNode, source: NotebookNode, root: Path, name: str) -> dict[str, Likely]:
    """For each exercise the known mistakes that fail as this submission does, as the class's page names them too.

    None where the bank's record was not made from this version of the assignment: feedback never waits for a play.
    """
    tests = tests_of(source, private=False)
    try:
        known = known_mistakes(root, name, source)
    except NoBank:
        return {}
    failures = {}
    for cell in nb.cells:
        verdict = verdict_of(cell)
        if is_graded(cell) and verdict is not None and verdict.failed and verdict.pattern:
            failures[verdict.cell] = verdict.failure
    found = {}
    for exercise in {tests[test] for test in failures if test in tests} - {INTEGRATION}:
        labels = which(failures, exercise, tests, known)
        own = {test for test, of in tests.items() if of == exercise}
        fits = [mistake for mistake in known if mistake.exercise == exercise and mistake.label in labels]
        steady = {test for test in own if all(mistake.steady(test) for mistake in fits)}
        if fits:
            found[exercise] = Likely(labels, len(fits) == 1 and fits[0].reports(failures, steady))
    return found


def check_of(cell: NotebookNode) -> Check:
    """What became of a cell that gives points; the gradebook's score wins over the verdict's."""
    marks, verdict = marks_of(cell), verdict_of(cell)
    earned, points = float(marks.get("score") or 0), float(marks.get("points") or 0)
    waiting = bool(marks.get("waiting"))
    test = verdict.test if verdict is not None else None
    private = bool(facts(cell).get("private"))
    message = plain(verdict.message, LONGEST_MESSAGE) if verdict is not None else ""
    by_person = is_answer(cell) or waiting
    if earned >= points or by_person:
        message = ""
    elif private:
        message = PRIVATE_MESSAGE
    elif not message:
        message = "This test failed; the grader kept no reason."
    return Check(
        title="marked by your instructor" if by_person else PRIVATE_TITLE if private else words(test or name_of(cell)),
        earned=earned,
        points=points,
        message=message,
        hidden=verdict is not None and verdict.hidden,
        by_hand=bool(marks.get("by_hand")),
        private=private,
        waiting=waiting,
    )


def dependents(nb: NotebookNode) -> dict[str, set[str]]:
    """For each exercise the later ones that need it, directly or through others."""
    users: dict[str, set[str]] = {}
    uses: dict[str, set[str]] = {}
    for cell in nb.cells:
        if is_exercise(cell):
            name, direct = name_of(cell), set(facts(cell).get("uses", ()))
            # A notebook's order is the order of need: what these need is known already.
            uses[name] = direct.union(*(uses.get(needed, set()) for needed in direct)) - {name}
            for needed in uses[name]:
                users.setdefault(needed, set()).add(name)
    return users


def first_to_fix(exercises: list[Exercise]) -> Exercise | None:
    """The earliest exercise that lost points and that others need; where none is needed, the earliest."""
    lost = [e for e in exercises if e.state in ("failed", "partly", "blank")]
    alone = [e for e in lost if e.name != INTEGRATION]
    return next((e for e in alone if e.used_by), next(iter(alone or lost), None))


# ----------------------------------------------------------------------------------------------------------- the words


def many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def summary(exercises: list[Exercise]) -> str:
    """How many exercises are done, how many lost points, how many are blank."""
    named = [e for e in exercises if e.name != INTEGRATION]
    states = [e.state for e in named]
    passed, blank, waiting = (states.count(state) for state in ("passed", "blank", "waiting"))
    lost = len(states) - passed - blank - waiting
    if passed == len(states):
        whole = all(e.state == "passed" for e in exercises)
        return "Everything passes." if whole else "Each exercise passes on its own; all together they do not."
    clauses = [f"{passed} of {many(len(states), 'exercise')} {'passes' if passed == 1 else 'pass'} all tests"]
    if lost:
        clauses.append(f"{lost} lost points")
    if blank:
        clauses.append(f"{blank} {'is' if blank == 1 else 'are'} blank")
    if waiting:
        clauses.append(f"{waiting} {'waits' if waiting == 1 else 'wait'} for your instructor")
    return f"{clauses[0]}." if len(clauses) == 1 else f"{', '.join(clauses[:-1])} and {clauses[-1]}."


def when(moment: datetime | None, zone: tzinfo = UTC) -> str:
    """A time of the gradebook, which keeps UTC without saying so, in the course's zone."""
    local = moment.replace(tzinfo=UTC).astimezone(zone) if moment is not None else None
    return f"{local.day} {local:%B %Y, %H:%M %Z}" if local is not None else ""


def lasting(length: timedelta) -> str:
    """A length of time in its two largest units."""
    minutes = max(1, round(length.total_seconds() / 60))
    units = [(minutes // 1440, "day"), (minutes // 60 % 24, "hour"), (minutes % 60, "minute")]
    return " and ".join([many(count, unit) for count, unit in units if count][:2])


def lateness(names: Mapping[str, Any]) -> list[str]:
    """What was late, what was granted and what it cost, in sentences."""
    sentences = []
    late, penalty, extension = names.get("late") or 0, names.get("late_penalty") or 0, names.get("extension")
    if extension:
        due = when(names.get("due"), names.get("zone", UTC))
        sentences.append(f"You had an extension of {lasting(extension)}: yours was due on {due}.")
    if late > 0:
        sentences.append(f"Handed in {lasting(timedelta(seconds=late))} after the deadline.")
    if penalty > 0:
        before = names["score"] + penalty
        taken = f"{number(penalty)} point{'' if penalty == 1 else 's'}"
        sentences.append(
            f"For the delay {taken} {'is' if penalty == 1 else 'are'} taken off the {number(before)} you earned."
        )
    elif late > 0:
        sentences.append("Nothing is taken off for that.")
    return sentences


# -------------------------------------------------------------------------------------------------------- the notebook


def read_notebook(nb: NotebookNode, source: NotebookNode | None, exercises: list[Exercise]) -> list[Block]:
    """The notebook's cells: the student's in full, what was given folded, tests as they were released."""
    by_anchor = {exercise.anchor: exercise for exercise in exercises}
    ours = {cell.get("id"): cell.source for cell in source.cells} if source is not None else {}
    blocks: list[Block] = []
    folded: list[Block] = []
    for place, cell in enumerate(nb.cells):
        anchor, marks = f"cell-{place}", marks_of(cell)
        if is_answer(cell):
            block = answer(cell, anchor, by_anchor.get(anchor))
        elif is_graded(cell):
            block = released_test(cell, anchor)
        elif marks.get("locked"):
            block = Block("given", anchor, name_of(cell), python(without_hidden(cell) or ""), tuple(shown(cell)))
        elif cell.cell_type == "code":
            block = Block("code", anchor, "", python(cell.source), tuple(shown(cell)))
        else:
            block = Block("prose", anchor, "", prose(cell.source))
            if kind_of(cell) == "task":
                continue  # the exercise's own heading says the same
        if block.kind in ("given", "test") or (block.kind == "prose" and ours.get(cell.get("id")) == cell.source):
            folded.append(block)
            continue
        blocks += fold(folded)
        folded = []
        blocks.append(block)
    return blocks + fold(folded)


def answer(cell: NotebookNode, anchor: str, exercise: Exercise | None) -> Block:
    """A cell that the student wrote."""
    if cell.cell_type == "code":
        return Block("code", anchor, name_of(cell), python(cell.source), tuple(shown(cell)), exercise)
    return Block("prose", anchor, name_of(cell), prose(cell.source), (), exercise)


def without_hidden(cell: NotebookNode) -> str | None:
    """The part of an instructor's cell that students were given; None where that is nothing but comments."""
    visible = NotebookNode(cell, source=str(cell.source))
    try:
        removed = ClearHiddenTests()._remove_hidden_test_region(visible)
    except RuntimeError:
        return None
    if facts(cell).get("private"):
        return None
    lines = [line for line in visible.source.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return str(visible.source).strip("\n") if lines or not removed else None


def released_test(cell: NotebookNode, anchor: str) -> Block:
    """A test cell as it was released: hidden tests taken out, and none of what it raised."""
    visible = without_hidden(cell)
    html = python(visible) if visible is not None else Markup("")
    return Block("test", anchor, PRIVATE_TITLE if facts(cell).get("private") else words(name_of(cell)), html)


def fold(blocks: list[Block]) -> list[Block]:
    """What stands between two cells of the student's, as one fold."""
    if not blocks:
        return []
    names = {"prose": "text", "given": "given code", "test": "tests"}
    kinds = [name for kind, name in names.items() if any(block.kind == kind for block in blocks)]
    title = kinds[0] if len(kinds) == 1 else f"{', '.join(kinds[:-1])} and {kinds[-1]}"
    return [Block("fold", blocks[0].anchor, title[0].upper() + title[1:], blocks=tuple(blocks))]
