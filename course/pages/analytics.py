"""A page about one assignment for its instructor: how the class did, what cost points, which mistakes were made.

    python -m course.grading analytics gpt --to gpt.html

It reads the gradebook and what the judge left in the autograded notebooks, and writes one file that asks no server for
anything and needs no script. The page names students: it is the instructor's.
"""

import argparse
import datetime
import re
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader.api import MissingEntry
from nbgrader.apps.api import NbGraderAPI

from course.gradebook import term
from course.gradebook.exports import number
from course.gradebook.preprocessors import CannotGrade
from course.judging.messages import GAP
from course.judging.released import blank_answers, blank_exercises
from course.judging.verdict import Failure, Verdict, verdict_of
from course.pages.mistakes import Mistake, NoBank, known_mistakes, stale_part, tests_of, which
from course.pages.reaches import Reach, reaches
from course.pages.render import render
from course.pages.sanitize import plain
from labkit.files import write_whole
from labkit.notebook import INTEGRATION, REPORT, facts, is_test

MAX_BARS = 14
FEWEST_WORDS = 4
"""A test's message with fewer, besides gaps for values, says too little by itself."""
LONGEST_SENTENCE = 300
"""Characters of a student's or a test's words that are shown."""


class CannotAnalyse(CannotGrade):
    """One sentence for the person who asked for the page: what is missing and what to do."""


@dataclass(frozen=True)
class Submission:
    """A graded submission. `score` is the gradebook's, `verdicts` are the judge's."""

    student: str
    score: float
    late: bool
    verdicts: Mapping[str, Verdict]
    untouched: frozenset[str]  # exercises left as they were handed out
    remarks: Sequence[str]
    seconds: float | None
    reaches: Sequence[Reach] = ()  # what a person may want to read

    @property
    def failures(self) -> dict[str, Failure]:
        return {v.cell: v.failure for v in self.verdicts.values() if v.failed}


@dataclass(frozen=True)
class ClassResults:
    """All that the page is made of."""

    name: str
    title: str
    max_score: float
    tests: Mapping[str, str]  # {test cell: exercise}
    enrolled: int
    submitted: frozenset[str]
    graded: Sequence[Submission]
    private: frozenset[str] = frozenset()  # those of the tests that an instructor added

    @property
    def released(self) -> dict[str, str]:
        """The tests that the banks were played with."""
        return {test: exercise for test, exercise in self.tests.items() if test not in self.private}

    @property
    def ungraded(self) -> list[str]:
        return sorted(self.submitted - {s.student for s in self.graded})


def read_class(api: NbGraderAPI, name: str) -> ClassResults:
    """What the gradebook and the autograded notebooks say of an assignment.

    Raises:
        CannotAnalyse: there is no such assignment.
    """
    source = source_of(api, name)
    # A name that is not UTF-8 text cannot stand on a page.
    submitted = frozenset(student.encode(errors="replace").decode() for student in api.get_submitted_students(name))
    blank = blank_answers(source)
    graded = []
    with api.gradebook as gradebook:
        enrolled = len(gradebook.students)
        try:
            max_score = float(gradebook.find_assignment(name).max_score)
        except MissingEntry:
            raise CannotAnalyse(
                f"The gradebook does not know {name!r} yet: run `python -m course.grading publish` first."
            ) from None
        for entry in gradebook.assignment_submissions(name):
            student = entry.student.id
            if (notebook := graded_notebook(api, name, student)) is None:
                continue
            score = max(0.0, entry.score - (entry.late_submission_penalty or 0.0))
            # Without a due date or a time of hand-in nbgrader's own sums fail.
            late = bool(entry.timestamp and entry.assignment.duedate) and entry.total_seconds_late > 0
            graded.append(_submission(student, score, late, notebook, blank, source))
    return ClassResults(
        name=name,
        title=str(facts(source).get("title", name)),
        max_score=max_score,
        tests=tests_of(source),
        enrolled=enrolled,
        submitted=submitted | {s.student for s in graded},
        graded=sorted(graded, key=lambda s: s.student),
        private=frozenset(tests_of(source)) - frozenset(tests_of(source, private=False)),
    )


def read_mistakes(api: NbGraderAPI, name: str) -> tuple[list[Mistake], str | None]:
    """The known mistakes of an assignment, and a sentence on those that are left out, where there are any.

    Raises:
        NoBank: there are none to compare with.
    """
    root = Path(api.coursedir.root)
    path = Path(api.coursedir.format_path(api.coursedir.source_directory, ".", name), f"{name}.ipynb")
    source = nbformat.read(path, as_version=4)
    return known_mistakes(root, name, source), stale_part(root, name, source)


def source_of(api: NbGraderAPI, name: str) -> NotebookNode:
    """The instructor's notebook of an assignment.

    Raises:
        CannotAnalyse: there is no such assignment.
    """
    course = api.coursedir
    path = Path(course.format_path(course.source_directory, ".", name), f"{name}.ipynb")
    if not path.is_file():
        known = ", ".join(sorted(api.get_source_assignments())) or "none yet: run `make exercises`"
        raise CannotAnalyse(f"There is no assignment {name!r}; this course has {known}.")
    return nbformat.read(path, as_version=4)


def graded_notebook(api: NbGraderAPI, name: str, student: str) -> NotebookNode | None:
    """A student's graded notebook, or None where the submission is not graded."""
    folder = Path(api.coursedir.format_path(api.coursedir.autograded_directory, student, name))
    try:
        return nbformat.read(folder / f"{name}.ipynb", as_version=4)
    except Exception:  # the file is absent or no notebook
        return None


def _submission(
    student: str, score: float, late: bool, notebook: NotebookNode, blank: Mapping[str, str], source: NotebookNode
) -> Submission:
    found = map(verdict_of, filter(is_test, notebook.cells))
    report = facts(notebook, REPORT)
    seconds = report.get("seconds")
    remarks = [str(remark) for remark in report.get("remarks", ())]
    if report.get("failure"):
        remarks.append(str(report["failure"]))
    return Submission(
        student=student,
        score=score,
        late=late,
        verdicts={verdict.cell: verdict for verdict in found if verdict is not None},
        untouched=frozenset(cell.removeprefix("exercise-") for cell in blank_exercises(notebook, blank)),
        remarks=list(dict.fromkeys(remarks)),
        seconds=float(seconds) if isinstance(seconds, int | float) else None,
        reaches=reaches(notebook, source),
    )


@dataclass(frozen=True)
class Bar:
    """A bar of the histogram, in the units of its drawing."""

    x: float
    y: float
    width: float
    height: float
    count: int
    scores: str


@dataclass(frozen=True)
class Histogram:
    """How many submissions have how many points, laid out on a drawing of 480 by 250."""

    bars: list[Bar]
    points: list[tuple[float, str]]  # (x, label)
    counts: list[tuple[float, int]]  # (y, label)
    median: tuple[float, str]
    left: float = 42
    right: float = 470
    top: float = 24
    bottom: float = 200

    @classmethod
    def of(cls, scores: Sequence[float], max_score: float) -> "Histogram":
        """Of at least one score, each from 0 to `max_score` (more, where there is extra credit)."""
        end = max(max_score, *scores)
        step = next(s for k in range(9) for m in (1, 2, 4, 5) if end / (s := m * 10**k) <= MAX_BARS)
        bins = max(1, -int(-end // step))
        counted = [0] * bins
        for score in scores:
            counted[min(int(score // step), bins - 1)] += 1
        tallest = max(counted)
        line = next(s for k in range(9) for m in (1, 2, 5) if tallest / (s := m * 10**k) <= 5)
        width, height = cls.right - cls.left, cls.bottom - cls.top

        def x(score: float) -> float:
            return round(cls.left + width * score / (bins * step), 1)

        def y(n: float) -> float:
            return round(cls.bottom - height * n / tallest, 1)

        bars = [
            Bar(
                x=x(n * step) + 1,
                y=y(count),
                width=round(width / bins - 2, 1),
                height=round(cls.bottom - y(count), 1),
                count=count,
                scores=f"{n * step} to {'' if n == bins - 1 else 'less than '}{number(min((n + 1) * step, end))}",
            )
            for n, count in enumerate(counted)
        ]
        every = 1 if bins <= 8 else 2
        median = statistics.median(scores)
        return cls(
            bars=bars,
            points=[(x(n * step), str(n * step)) for n in range(0, bins + 1, every)],
            counts=[(y(n), n) for n in range(0, tallest + 1, line)],
            median=(x(median), number(median)),
        )


@dataclass
class Loss:
    """How many points an exercise or a test cost the class."""

    name: str
    exercise: str
    points: float = 0  # of one submission
    lost: float = 0  # by those who tried
    possible: float = 0  # for them
    students: list[str] = field(default_factory=list)  # who tried and lost points
    untouched: list[str] = field(default_factory=list)
    follows: list[str] = field(default_factory=list)  # whose integration fails for what failed before
    sentences: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))  # {what a test says: students}
    examples: dict[str, str] = field(default_factory=dict)  # {what a test says: how it said so once}

    @property
    def share(self) -> float:
        """Of the points that those who tried could get, in percent."""
        return 100 * self.lost / self.possible if self.possible else 0.0

    @property
    def properties(self) -> list[tuple[str, list[str]]]:
        """What the test says, the commonest first, and whom it says it of."""
        commonest_first = sorted(self.sentences.items(), key=lambda item: (-len(item[1]), item[0]))
        return [(with_example(text, self.examples[text]), names) for text, names in commonest_first]


def losses(results: ClassResults, by_test: bool) -> list[Loss]:
    """What each test, or each exercise, cost, the hardest for those who tried first; what cost nothing is left out."""
    found: dict[str, Loss] = {}
    for test, exercise in results.tests.items():
        key = test if by_test else exercise
        loss = found.setdefault(key, Loss(key.removeprefix("test-"), exercise))
        points = [s.verdicts[test].points for s in results.graded if test in s.verdicts]
        loss.points += points[0] if points else 0
        for submission in results.graded:
            verdict = submission.verdicts.get(test)
            if verdict is None:
                continue
            if verdict.failed and exercise in submission.untouched:
                group = loss.untouched
            elif verdict.failed and exercise == INTEGRATION and len(submission.failures) > 1:
                group = loss.follows
            else:
                loss.possible += verdict.points
                if not verdict.failed:
                    continue
                loss.lost += verdict.points - verdict.earned
                text = sentence(verdict.pattern, verdict.detail)
                loss.examples.setdefault(text, sentence(verdict.detail, ""))
                group = loss.students
                if submission.student not in loss.sentences[text]:
                    loss.sentences[text].append(submission.student)
            if submission.student not in group:
                group.append(submission.student)
    cost = (loss for loss in found.values() if loss.lost or loss.untouched or loss.follows)
    return sorted(cost, key=lambda loss: (-loss.share, -loss.lost, -len(loss.untouched), loss.name))


def sentence(pattern: str, detail: str) -> str:
    """What a failed test says, in the author's words where there are any."""
    text = plain(pattern or detail, LONGEST_SENTENCE).strip()
    return text or "fails without a word"


def with_example(text: str, example: str) -> str:
    """The words of a test, and an example where they are mostly gaps."""
    if len(re.findall(r"[^\W\d_]{2,}", text)) >= FEWEST_WORDS or GAP not in text:
        return text
    return f"{text} For example: {example}"


@dataclass(frozen=True)
class Made:
    """A mistake that was made, and by whom."""

    labels: tuple[str, ...]
    students: list[str]


@dataclass(frozen=True)
class Mistakes:
    """What went wrong in one exercise."""

    exercise: str
    known: list[Made]
    unknown: list[Made]  # labels are what the tests say
    untouched: list[str]

    @property
    def students(self) -> int:
        return sum(len(made.students) for made in (*self.known, *self.unknown))


def mistakes_made(results: ClassResults, known: Sequence[Mistake]) -> list[Mistakes]:
    """The mistakes of each exercise, the one most often got wrong first; who left it untouched made none."""
    found = []
    for exercise in dict.fromkeys(results.tests.values()):
        matched: dict[tuple[str, ...], list[str]] = defaultdict(list)
        other: dict[tuple[str, ...], list[str]] = defaultdict(list)
        untouched = []
        for submission in results.graded:
            failures = submission.failures
            own = {test: failures[test] for test in failures if results.tests.get(test) == exercise}
            if exercise == INTEGRATION and len(own) < len(failures):
                continue  # it fails for what went wrong before
            if own and exercise in submission.untouched:
                untouched.append(submission.student)
            elif own and (labels := which(failures, exercise, results.released, known)):
                matched[tuple(labels)].append(submission.student)
            elif own:
                sentences = dict.fromkeys(sentence(f.pattern, f.detail) for f in own.values())
                other[tuple(sentences)].append(submission.student)
        if matched or other or untouched:
            found.append(Mistakes(exercise, _made(matched), _made(other), untouched))
    return sorted(found, key=lambda m: (-m.students, -len(m.untouched)))


def _made(students: Mapping[tuple[str, ...], list[str]]) -> list[Made]:
    made = [Made(labels, names) for labels, names in students.items()]
    return sorted(made, key=lambda m: (-len(m.students), m.labels))


def kinds(results: ClassResults) -> list[tuple[str, list[str]]]:
    """`(remark without its particulars, students)`, the commonest first."""
    found: dict[str, list[str]] = defaultdict(list)
    for submission in results.graded:
        for remark in submission.remarks:
            kind = re.sub(r"\d+(?:[.,]\d+)*|`[^`]*`|'[^']*'|\"[^\"]*\"", "…", plain(remark, LONGEST_SENTENCE))
            if submission.student not in found[kind]:
                found[kind].append(submission.student)
    return sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))


def students(n: int) -> str:
    """`1 student`, `2 students`."""
    return f"{n} student{'' if n == 1 else 's'}"


def submissions(n: int) -> str:
    """`1 submission`, `2 submissions`."""
    return f"{n} submission{'' if n == 1 else 's'}"


def lead(results: ClassResults, tests: Sequence[Loss], mistakes: Sequence[Mistakes]) -> list[str]:
    """What the page says, in a few sentences."""
    scores = [s.score for s in results.graded]
    most = f"{number(results.max_score)} points"
    if not scores and not results.submitted:
        return ["Nobody has submitted this assignment yet: there is nothing to analyse."]
    if not scores:
        return [
            f"{submissions(len(results.submitted))} waited to be graded when this page was made: "
            f"run `make autograde ASSIGNMENT={results.name}` first."
        ]
    if len(scores) == 1:
        sentences = [f"One submission is graded. It has {number(scores[0])} of {most}."]
    elif min(scores) >= results.max_score:
        sentences = [f"All {submissions(len(scores))} have all {most}."]
    else:
        half = statistics.median(scores)
        sentences = [
            f"Half of the {len(scores)} graded submissions have {number(half)} of {most} or more; the mean is "
            f"{statistics.mean(scores):.1f}."
        ]
    hard = [loss for loss in tests if loss.lost]
    if hard:
        worst = min(hard, key=lambda loss: loss.exercise == INTEGRATION)
        sentences.append(
            f"The hardest test is {worst.name}: those who tried lost {worst.share:.0f}% of its points "
            f"({students(len(worst.students))})."
        )
    elif tests:
        sentences.append("What was written lost no points; what was left blank did.")
    else:
        sentences.append("No test cost anybody a point.")
    common = [(made, m.exercise) for m in mistakes for made in m.known]
    if common:
        made, exercise = max(common, key=lambda pair: len(pair[0].students))
        sentences.append(
            f"The commonest known mistake, in {exercise}: {' or '.join(made.labels)} ({students(len(made.students))})."
        )
    return sentences


def page(results: ClassResults, known: Sequence[Mistake], missing: str | None, moment: datetime.datetime) -> str:
    """The whole page as HTML. `missing` says why there are no known mistakes, or not all, where that is so."""
    tests, mistakes = losses(results, by_test=True), mistakes_made(results, known)
    scores = [s.score for s in results.graded]
    exercises = list(dict.fromkeys(results.tests.values()))
    seconds = {s.student: s.seconds for s in results.graded if s.seconds is not None}
    labels: dict[str, list[str]] = defaultdict(list)
    for m in mistakes:
        for entry in m.known:
            for student in entry.students:
                labels[student].append(f"{m.exercise}: {' or '.join(entry.labels)}")
        for student in (name for entry in m.unknown for name in entry.students):
            labels[student].append(f"{m.exercise}: no known mistake")
    values = dict(
        results=results,
        moment=moment,
        lead=lead(results, tests, mistakes),
        scores=scores,
        mean=statistics.mean(scores) if scores else None,
        median=statistics.median(scores) if scores else None,
        perfect=sum(score >= results.max_score for score in scores),
        blank=[s.student for s in results.graded if {*exercises} - {INTEGRATION} <= s.untouched],
        late=[s.student for s in results.graded if s.late],
        unjudged=[s.student for s in results.graded if not s.verdicts],
        histogram=Histogram.of(scores, results.max_score) if len(scores) > 2 and results.max_score else None,
        exercises=losses(results, by_test=False),
        tests=tests,
        mistakes=mistakes,
        missing=missing,
        compared=bool(known) or not missing,
        remarks=kinds(results),
        seconds=seconds,
        typical=statistics.median(seconds.values()) if seconds else None,
        slowest=sorted(seconds, key=lambda student: -seconds[student])[:3],
        labels=labels,
        listed=[s for s in results.graded if s.reaches],
    )
    return render("analytics", values, {"plain": plain, "students": students, "submissions": submissions})


def compare(api: NbGraderAPI, results: ClassResults) -> tuple[list[Mistake], str | None]:
    """The known mistakes, and why there are none, or not all, where that is so."""
    if not any(s.failures for s in results.graded):
        return [], None
    try:
        return read_mistakes(api, results.name)
    except NoBank as reason:
        return [], str(reason)


def analytics_command(api: NbGraderAPI, arguments: argparse.Namespace) -> None:
    """Write the page and say where it is."""
    assignment = arguments.assignment
    if assignment in api.get_source_assignments():
        term.update(api, [assignment])  # penalties follow from manual scores, which may be new
    results = read_class(api, assignment)
    known, missing = compare(api, results)
    if missing:
        print(missing)
    path = arguments.to or Path(f"{assignment}-analytics.html")
    write_whole(path, page(results, known, missing, datetime.datetime.now()).encode())
    print(
        f"{' '.join(lead(results, losses(results, by_test=True), mistakes_made(results, known)))}\nThe page is {path}."
    )


def add_commands(subparsers: argparse._SubParsersAction) -> None:
    """Add `analytics` to the grading command."""
    command = subparsers.add_parser("analytics", help="write a page about an assignment, for its instructor")
    command.add_argument("assignment", nargs="?")
    command.add_argument("--to", type=Path, help="the file to write (NAME-analytics.html)")
    command.set_defaults(run=analytics_command)
