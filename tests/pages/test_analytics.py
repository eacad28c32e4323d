"""The instructor's page: what it counts, what it says of small and odd classes, and which mistakes it recognises."""

import argparse
import copy
import datetime
import inspect
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_notebook
from nbgrader.apps.api import NbGraderAPI

from course import ROOT
from course.banks.bank import bank
from course.grading import feedback, open_course
from course.judging import wire
from course.judging.reference import references
from course.judging.verdict import Failure, Verdict, verdict_of
from course.pages import analytics
from course.pages.analytics import (
    CannotAnalyse,
    ClassResults,
    Histogram,
    Submission,
    analytics_command,
    kinds,
    losses,
    mistakes_made,
    page,
    read_class,
    with_example,
)
from course.pages.digests import digests
from course.pages.mistakes import Mistake, NoBank, known_mistakes, record_of, which
from course.pages.mistakes import tests_of as exercises_of
from course.pages.record import Words, outcomes
from labkit.notebook import INTEGRATION, REPORT
from tests.support import outside
from tests.support.made_up_class import BLANK, hand_in, judged, make_class, make_course, source_of

NOW = datetime.datetime(2026, 11, 21, 9, 5)
NAME = "tokenizer"


@pytest.fixture(scope="session")
def known() -> list[Mistake]:
    """The record of the tokenizer's bank."""
    return known_mistakes(ROOT, NAME, source_of(NAME))


def text_of(html: str) -> str:
    """A page's text as one line, without style and tags."""
    body = re.sub(r"<style>.*?</style>", " ", html, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


class Balanced(HTMLParser):
    """Collects a page's tags, and fails where one is closed that is not open."""

    VOID = frozenset({"meta", "br", "rect", "line"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


# ------------------------------------------------------------------------------------------------ known mistakes


def test_every_answer_of_a_bank_is_recognised(known: list[Mistake]) -> None:
    tests = exercises_of(source_of(NAME))
    alone = 0
    for made in known:
        for outcome in made.outcomes:
            found = which(outcome, made.exercise, tests, known)
            assert made.label in found, f"{made.exercise}: {made.label} was taken for {found}"
        alone += which(made.outcomes[0], made.exercise, tests, known) == [made.label]
    assert alone > 0.8 * len(known), "most mistakes should be told apart from all others"


def test_an_answer_is_recognised_under_a_seed_that_the_bank_was_not_played_with(known: list[Mistake]) -> None:
    tests = exercises_of(source_of(NAME))
    for answer in {answer.exercise: answer for answer in bank("wrong", NAME)}.values():
        (outcome,) = outcomes(source_of(NAME), answer, seeds=["2026"])
        found = which(outcome, answer.exercise, tests, known)
        assert answer.label in found, f"{answer.exercise}: {answer.label} was taken for {found}"


def submission_of(notebook: NotebookNode, student: str = "ann") -> Submission:
    verdicts = map(verdict_of, notebook.cells)
    return Submission(student, 1.0, False, {v.cell: v for v in verdicts if v}, frozenset(), [], None)


TESTS = {"test-a": "a", "test-a-any": "a", "test-b": "b", "test-integration": INTEGRATION}


def fails(**said: str) -> dict[str, Failure]:
    """`{test: failure}`; the part before a bar is the pattern, all of it the detail."""
    return {
        f"test-{test.replace('_', '-')}": Failure(None, False, text, text, text.split("|")[0])
        for test, text in said.items()
    }


def mistake(label: str, *outcomes: dict[str, Failure], exercise: str = "a") -> Mistake:
    return Mistake(exercise, label, outcomes)


def test_a_mistake_is_known_by_the_tests_it_fails_and_why() -> None:
    known = [mistake("one", fails(a="no mask")), mistake("two", fails(a="no mask", a_any="shape"))]
    assert which(fails(a="no mask"), "a", TESTS, known) == ["one"]
    assert which(fails(a="no mask", a_any="shape"), "a", TESTS, known) == ["two"]
    assert which(fails(a_any="shape"), "a", TESTS, known) == []
    assert which(fails(a="another reason"), "a", TESTS, known) == []
    assert which(fails(b="no mask"), "b", TESTS, known) == []


def test_a_hidden_test_may_fail_for_another_reason_under_another_seed() -> None:
    known = [mistake("one", fails(a_any="shape"), fails(a_any="values"))]
    assert which(fails(a_any="values"), "a", TESTS, known) == ["one"]


def test_hidden_tests_may_come_out_each_by_itself() -> None:
    known = [mistake("one", fails(a="no mask", a_any="shape"), fails(a="no mask"), fails(a="bad", a_any="shape"))]
    assert which(fails(a="bad"), "a", TESTS, known) == ["one"]
    assert which(fails(a_any="shape"), "a", TESTS, known) == []  # the first test never passed


def test_values_tell_mistakes_apart_only_where_the_seed_does_not_matter() -> None:
    known = [mistake("one", fails(a="off|by 1")), mistake("two", fails(a="off|by 2"))]
    assert which(fails(a="off|by 2"), "a", TESTS, known) == ["two"]
    assert which(fails(a="off|by 3"), "a", TESTS, known) == ["one", "two"]
    drawn = [mistake("one", fails(a="off|by 1"), fails(a="off|by 4")), known[1]]
    assert which(fails(a="off|by 2"), "a", TESTS, drawn) == ["one", "two"]


def test_the_integration_test_tells_apart_where_nothing_else_is_wrong() -> None:
    known = [mistake("one", fails(a="off", integration="logits")), mistake("two", fails(a="off"))]
    assert which(fails(a="off"), "a", TESTS, known) == ["two"]
    assert which(fails(a="off", integration="logits"), "a", TESTS, known) == ["one"]
    assert which(fails(a="off", integration="logits", b="bad"), "a", TESTS, known) == ["one", "two"]


def test_the_hint_at_another_exercise_is_no_part_of_how_a_test_fails() -> None:
    error = AssertionError("off by 1")
    error.add_note("This test also uses your answer to b, whose own test fails: fix that first.")
    failure = Words(source_of(NAME)).of({"test-count-pairs": error})["test-count-pairs"]
    assert "your answer to b" in failure.message
    assert "your answer to b" not in failure.detail + failure.pattern


def test_a_private_test_has_no_part_in_which_mistake_it_is() -> None:
    known = [mistake("one", fails(a="no mask"))]
    assert which(fails(a="no mask", private="more"), "a", TESTS, known) == ["one"]
    assert which(fails(private="more"), "a", TESTS, known) == []


def test_there_may_be_no_bank(tmp_path: Path) -> None:
    with pytest.raises(NoBank, match=r"no bank of known mistakes for gpt \(tests/topics/gpt/wrong\.py\)"):
        known_mistakes(tmp_path, "gpt", source_of(NAME))


# ------------------------------------------------------------------------------------------------------- counts


def verdict(cell: str, points: float, earned: float, said: str = "wrong") -> Verdict:
    lost = earned < points
    return Verdict(cell, TESTS[cell], points, earned, detail=said if lost else "", pattern=said if lost else "")


def submission(
    student: str,
    *earned: float,
    said: str = "wrong",
    untouched: Sequence[str] = (),
    remarks: Sequence[str] = (),
    late: bool = False,
    seconds: float | None = 2.0,
) -> Submission:
    """A submission with so many points in the tests of TESTS, of 2, 1, 1 and 4."""
    verdicts = {
        test: verdict(test, most, points, said) for test, most, points in zip(TESTS, (2, 1, 1, 4), earned, strict=True)
    }
    return Submission(student, sum(earned), late, verdicts, frozenset(untouched), remarks, seconds)


def results(*graded: Submission, waiting: Sequence[str] = (), enrolled: int = 0) -> ClassResults:
    submitted = frozenset({s.student for s in graded} | set(waiting))
    return ClassResults("toy", "A toy", 8, TESTS, max(enrolled, len(submitted)), submitted, graded)


def test_what_cost_points_hardest_first() -> None:
    klass = results(
        submission("ann", 2, 1, 1, 4),
        submission("bob", 0, 1, 1, 0, said="no mask"),
        submission("cyd", 0, 0, 1, 0, untouched=["a"]),
        submission("dan", 2, 1, 1, 0, said="together"),
    )
    by_test = losses(klass, by_test=True)
    assert [(t.name, t.lost, t.possible, t.share) for t in by_test] == [
        ("integration", 4, 8, 50),
        ("a", 2, 6, pytest.approx(100 / 3)),
        ("a-any", 0, 3, 0),
    ]
    integration, a, a_any = by_test
    assert (a.students, a.untouched, dict(a.sentences)) == (["bob"], ["cyd"], {"no mask": ["bob"]})
    assert (integration.follows, dict(integration.sentences)) == (["bob", "cyd"], {"together": ["dan"]})
    assert a_any.untouched == ["cyd"]
    exercises = losses(klass, by_test=False)
    assert [(e.name, e.points, e.lost, e.students) for e in exercises] == [
        ("integration", 4, 4, ["dan"]),
        ("a", 3, 2, ["bob"]),
    ]


def test_a_hard_exercise_that_few_tried_comes_before_one_that_many_left_blank() -> None:
    klass = results(
        submission("ann", 0, 0, 1, 4),
        *(submission(f"s{n}", 2, 1, 0, 0, untouched=["b"]) for n in range(5)),
    )
    assert [loss.name for loss in losses(klass, by_test=False)] == ["a", "b", "integration"]


def test_who_made_which_mistake() -> None:
    klass = results(
        submission("ann", 0, 1, 1, 0, said="no mask"),
        submission("bob", 0, 1, 1, 0, said="no mask"),
        submission("cyd", 0, 1, 1, 4, said="odd"),
        submission("dan", 0, 0, 1, 0, untouched=["a"]),
        submission("eve", 2, 1, 1, 0, said="together"),
    )
    a, integration = mistakes_made(klass, [mistake("forgets the mask", fails(a="no mask"))])
    assert (a.exercise, integration.exercise) == ("a", INTEGRATION)
    assert [(m.labels, m.students) for m in a.known] == [(("forgets the mask",), ["ann", "bob"])]
    assert [(m.labels, m.students) for m in a.unknown] == [(("odd",), ["cyd"])]
    assert a.untouched == ["dan"]
    assert [(m.labels, m.students) for m in integration.unknown] == [(("together",), ["eve"])]


def test_words_that_are_mostly_gaps_get_an_example() -> None:
    assert with_example("… becomes …: …", "'a' becomes 'b'") == "… becomes …: … For example: 'a' becomes 'b'"
    assert with_example("weight … should multiply the vector", "weight 3") == "weight … should multiply the vector"
    assert with_example("wrong", "wrong: 3") == "wrong"
    verdict = Verdict("test-a", "a", 2, 0, detail="'x' becomes 'y'", pattern="… becomes …")
    klass = results(Submission("ann", 0, False, {"test-a": verdict}, frozenset(), [], None))
    assert losses(klass, by_test=True)[0].properties == [("… becomes … For example: 'x' becomes 'y'", ["ann"])]


def test_remarks_are_counted_by_kind() -> None:
    klass = results(
        submission("ann", 2, 1, 1, 4, remarks=["Cell 3 did not end within 30 seconds.", "No file `a.csv`."]),
        submission("bob", 2, 1, 1, 4, remarks=["Cell 12 did not end within 30 seconds."]),
    )
    assert kinds(klass) == [("Cell … did not end within … seconds.", ["ann", "bob"]), ("No file ….", ["ann"])]


@pytest.mark.parametrize(
    ("scores", "most", "counts"),
    [
        ([0, 1, 1, 4], 4, [1, 2, 0, 1]),  # the highest score belongs to the last bar
        ([40, 39.5, 36, 35.9, 0], 40, [1] + [0] * 7 + [1, 3]),
        ([105], 100, [0] * 10 + [1]),  # extra credit
        ([0.25, 0.75], 1, [2]),
    ],
)
def test_the_histogram_counts_each_score_once(scores: list[float], most: float, counts: list[int]) -> None:
    drawn = Histogram.of(scores, most)
    assert [bar.count for bar in drawn.bars] == counts
    tallest = max(drawn.bars, key=lambda bar: bar.count)
    assert tallest.y == drawn.top and tallest.y + tallest.height == drawn.bottom
    assert all(drawn.left <= bar.x and bar.x + bar.width <= drawn.right for bar in drawn.bars)


# ------------------------------------------------------------------------------------------------------ the page


@pytest.mark.parametrize(
    ("klass", "sentences", "absent"),
    [
        (results(enrolled=3), ["Nobody has submitted this assignment yet"], ["Scores", "Every submission"]),
        (results(waiting=["ann"]), ["1 submission waited to be graded", "make autograde ASSIGNMENT=toy"], ["Scores"]),
        (
            results(submission("ann", 2, 1, 0, 0)),
            ["One submission is graded. It has 3 of 8 points.", "too few for a distribution", "b lost", "1 student"],
            ["median of", "Half of"],
        ),
        (
            results(submission("ann", 2, 1, 1, 4), submission("bob", 2, 1, 1, 4)),
            ["All 2 submissions have all 8 points. No test cost anybody a point.", "8 and 8 of 8 points"],
            ["Mistakes", "hardest"],
        ),
        (
            results(*(submission(f"s{n}", 2, 1, 1, 4) for n in range(30))),
            ["All 30 submissions have all 8 points.", "30 of 30 have all 8 points; the lowest score is 8"],
            ["Mistakes", "hardest"],
        ),
        (
            results(*(submission(f"s{n}", 0, 0, 0, 0, untouched=["a", "b"]) for n in range(3))),
            ["left blank 3", "3 students left the exercise blank", "left it blank"],
            ["no known mistake:"],
        ),
        (
            results(Submission("ann", 3, False, {}, frozenset(), [], None)),
            ["Whose notebook has no verdicts", "One submission is graded. It has 3 of 8 points."],
            ["Mistakes", "seconds to grade"],
        ),
    ],
    ids=["nobody", "waiting", "one", "two perfect", "all perfect", "all blank", "no verdicts"],
)
def test_small_and_odd_classes_read_well(klass: ClassResults, sentences: list[str], absent: list[str]) -> None:
    html = page(klass, [], None, NOW)
    Balanced(html)
    text = text_of(html)
    for sentence in sentences:
        assert sentence.replace("b lost", "hardest test is b") in text
    for word in absent:
        assert word not in text
    assert not re.search(r"\b(None|nan|Undefined)\b", text)


def test_the_page_asks_for_nothing_and_runs_nothing() -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>\x1b[31m\u202e"
    klass = results(
        *(submission(f"{evil}{n}", 0, 1, 1, 0, said=evil, remarks=[evil], late=True) for n in range(4)),
        waiting=[evil],
    )
    html = page(klass, [], "No <b>bank</b>.", NOW)
    tags = Balanced(html).seen
    assert not {tag for tag, _ in tags} & {"script", "img", "link", "iframe", "a", "object", "form"}
    assert not [a for _, attrs in tags for a in attrs if a.startswith("on") or a in {"src", "href", "style"}]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html and "No &lt;b&gt;bank&lt;/b&gt;." in html
    assert "\x1b" not in html and "\u202e" not in html
    assert "url(" not in html and "@import" not in html
    (policy,) = [attrs["content"] for tag, attrs in tags if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None and policy.startswith("default-src 'none'; style-src 'sha256-")


def test_the_figure_says_in_words_what_it_shows() -> None:
    klass = results(submission("ann", 2, 1, 1, 4), submission("bob", 0, 1, 1, 0), submission("cyd", 0, 1, 1, 0))
    text = text_of(page(klass, [], None, NOW))
    assert "Bar chart of 3 scores: 2 with 2 to less than 3, 1 with 7 to 8; the median is 2." in text
    assert "score (points)" in text and "1 of 3 have all 8 points; the lowest score is 2." in text


def test_without_a_bank_the_page_says_so() -> None:
    klass = results(submission("ann", 0, 1, 1, 0, said="no mask"))
    text = text_of(page(klass, [], "The repository has no bank.", NOW))
    assert "The repository has no bank. Failing submissions are therefore grouped by what the tests say." in text
    assert "no known mistake: no mask" in text


def test_where_part_of_the_record_is_stale_page_and_command_say_so(
    klass: NbGraderAPI, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "class"
    shutil.copytree(klass.coursedir.root, root)
    path = root / "tests" / "topics" / NAME / "wrong.py"
    path.parent.mkdir(parents=True)
    shutil.copy(ROOT / "tests" / "topics" / NAME / "wrong.py", path)
    mistakes = [Mistake(*key, (), digest) for key, digest in digests(root, NAME, source_of(NAME)).items()]
    written = tmp_path / "page.html"
    for stale, sentences in (
        (2, [f"2 of the {len(mistakes)} known mistakes are left out", "make mistakes ASSIGNMENT=tokenizer"]),
        (0, []),
    ):
        entries = [replace(m, digest="another") for m in mistakes[:stale]] + mistakes[stale:]
        record_of(root, NAME).write_bytes(wire.encode(entries))
        run(open_course(root), NAME, "--to", str(written))
        for text in (text_of(written.read_text()), capsys.readouterr().out):
            assert all(sentence in text for sentence in sentences)
            assert ("left out, as the record" in text) == bool(sentences)
        assert "A submission is counted under a known mistake if" in text_of(written.read_text())


# ------------------------------------------------------------------------------------- from a gradebook on the disk


@pytest.fixture(scope="module")
def klass(tmp_path_factory: pytest.TempPathFactory) -> NbGraderAPI:
    """Five students: one perfect and late, two with a bank's mistake, one blank, one not graded."""
    api = make_course(tmp_path_factory.mktemp("class"), NAME, ["ann", "bob", "cyd", "dan", "eve", "fay"])
    exercises = dict.fromkeys(exercises_of(source_of(NAME)).values())
    hand_in(api, NAME, "ann", judged(NAME, {}), days_late=1)
    for student, seed in (("bob", "11"), ("cyd", "12")):
        notebook = judged(NAME, {"train-by-recounting": "each word counts once"}, seed=seed)
        notebook.metadata[REPORT]["remarks"] = ["The file torch.py was left out."]
        hand_in(api, NAME, student, notebook)
    hand_in(api, NAME, "dan", judged(NAME, dict.fromkeys([e for e in exercises if e != INTEGRATION], BLANK)))
    hand_in(api, NAME, "eve", None)
    return api


def test_the_results_are_what_gradebook_and_notebooks_say(klass: NbGraderAPI) -> None:
    read = read_class(klass, NAME)
    most = read.max_score
    assert (read.title, read.enrolled, len(read.submitted), read.ungraded) == (
        source_of(NAME).metadata.course.title,
        6,
        5,
        ["eve"],
    )
    ann, bob, _, dan = read.graded
    assert (ann.student, ann.score, ann.late, ann.failures, ann.untouched) == ("ann", most, True, {}, frozenset())
    assert not bob.late and bob.score < most and "test-count-pairs" in bob.failures
    assert dan.score == 0 and dan.untouched == set(read.tests.values()) - {INTEGRATION}
    assert bob.remarks == ["The file torch.py was left out."] and bob.seconds == 1.0


def test_the_scores_are_after_penalties_and_by_hand(klass: NbGraderAPI) -> None:
    with klass.gradebook as gradebook:
        gradebook.find_submission_notebook(NAME, NAME, "ann").late_submission_penalty = 1.5
        grade = gradebook.find_grade("test-count-pairs", NAME, NAME, "bob")
        before, grade.manual_score = grade.score, 1
        gradebook.db.commit()
    try:
        ann, bob, *_ = read_class(klass, NAME).graded
        assert ann.score == read_class(klass, NAME).max_score - 1.5
        lost = sum(v.points - v.earned for v in bob.verdicts.values())
        assert bob.score == read_class(klass, NAME).max_score - lost + 1 - before
    finally:
        with klass.gradebook as gradebook:
            gradebook.find_submission_notebook(NAME, NAME, "ann").late_submission_penalty = 0
            gradebook.find_grade("test-count-pairs", NAME, NAME, "bob").manual_score = None
            gradebook.db.commit()


def test_the_command_writes_the_page(
    klass: NbGraderAPI,
    known: list[Mistake],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(analytics, "read_mistakes", lambda api, name: (known, None))
    run(klass, NAME, "--to", str(tmp_path / "page.html"))
    text = text_of((tmp_path / "page.html").read_text())
    assert "submitted 5 of 6 not graded 1 left blank 1 late 1" in text
    assert "2 students each word counts once bob, cyd" in text
    assert "The file torch.py was left out. bob, cyd" in text
    commonest = "The commonest known mistake, in train-by-recounting: each word counts once (2 students)."
    assert commonest in capsys.readouterr().out


def run(api: NbGraderAPI, *typed: str) -> None:
    """What `python -m course.grading analytics` does with these words, on that course."""
    parser = argparse.ArgumentParser()
    analytics.add_commands(parser.add_subparsers())
    arguments = parser.parse_args(["analytics", *typed])
    assert arguments.run is analytics_command
    arguments.run(api, arguments)


def test_the_command_goes_on_without_a_bank(
    klass: NbGraderAPI, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(klass, NAME, "--to", str(tmp_path / "page.html"))  # the course lies where there are no tests
    assert "The repository has no bank of known mistakes for tokenizer" in capsys.readouterr().out
    assert "grouped by what the tests say" in (tmp_path / "page.html").read_text()


def test_feedback_names_the_mistake_too(klass: NbGraderAPI, known: list[Mistake], tmp_path: Path) -> None:
    root = tmp_path / "class"
    shutil.copytree(klass.coursedir.root, root)
    bank = root / "tests" / "topics" / NAME / "wrong.py"
    bank.parent.mkdir(parents=True)
    shutil.copy(ROOT / "tests" / "topics" / NAME / "wrong.py", bank)
    now = [
        replace(mistake, digest=digest)
        for mistake, digest in zip(known, digests(root, NAME, source_of(NAME)).values(), strict=True)
    ]
    record_of(root, NAME).write_bytes(wire.encode(now))  # there are no solutions here
    feedback(open_course(root), NAME)
    pages = {s: (root / "course" / "feedback" / s / NAME / f"{NAME}.html").read_text() for s in ("ann", "bob")}
    assert "Likely mistake: each word counts once." in text_of(pages["bob"])
    assert "Likely mistake" not in pages["ann"]


def test_the_command_refuses_an_unknown_assignment(klass: NbGraderAPI, tmp_path: Path) -> None:
    with pytest.raises(CannotAnalyse, match="no assignment 'tpy'; this course has tokenizer"):
        run(klass, "tpy", "--to", str(tmp_path / "page.html"))
    assert not list(tmp_path.iterdir())


def test_a_damaged_graded_notebook_is_no_reason_to_stop(klass: NbGraderAPI, tmp_path: Path) -> None:
    root = Path(klass.coursedir.root) / "course" / "autograded"
    path = root / "bob" / NAME / f"{NAME}.ipynb"
    kept = path.read_text()
    try:
        for text in ("", "[]", "{", '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'):
            path.write_text(text)
            Balanced(page(read_class(klass, NAME), [], None, NOW))
    finally:
        path.write_text(kept)


def test_a_class_of_sixty(tmp_path: Path, known: list[Mistake]) -> None:
    read = read_class(make_class(tmp_path, NAME, 60), NAME)
    html = page(read, known, None, NOW)
    Balanced(html)
    made = mistakes_made(read, known)
    assert sum(len(m.known) for m in made) > 10
    # those whose tests say what no bank's answer makes them say, and nobody else but who has integration alone wrong
    assert {m.labels[0] for e in made for m in e.unknown} == {
        "a result that no bank has seen: is the <b>unit</b> right?"
    }
    assert "&lt;b&gt;unit&lt;/b&gt;" in html
    assert len(html) < 200_000


MADE = {
    "pre-tokenize": "no contractions",
    "merge-pair": "one merge a word",
    "index-pairs": "a position once for each occurrence",
    "vocabulary": "id 0 is byte 0",
}


def handed_in(made: dict[str, str]) -> NotebookNode:
    """The assignment with some of the bank's answers in the student's cells, as text."""
    chosen = {a.exercise: a for a in bank("wrong", NAME) if made.get(a.exercise) == a.label}
    assert len(chosen) == len(made)
    clean = new_notebook()
    for cell in copy.deepcopy(source_of(NAME).cells):
        if answer := chosen.get(cell.id.removeprefix("exercise-")):
            _, _, definition = inspect.getsource(answer.answer).partition("\ndef ")
            cell.source = f"import regex\nfrom itertools import pairwise\n\n\ndef {definition}"
        if not cell.id.startswith("run-"):  # they show something, and take most of the time
            clean.cells.append(cell)
    return clean


def test_mistakes_are_recognised_in_what_the_judge_writes_down(known: list[Mistake]) -> None:
    """Four at once, through the student's kernel: what the judge says of each is what it says of the bank's answer."""
    source = source_of(NAME)
    lent = references(source, ROOT)
    result = outside.judged(source, handed_in(MADE), seed=2026, seconds=300, reference=lent)
    failures = submission_of(result.notebook).failures
    tests = exercises_of(source)
    found = {exercise: which(failures, exercise, tests, known) for exercise in dict.fromkeys(tests.values())}
    assert {exercise: labels for exercise, labels in found.items() if labels} == {e: [m] for e, m in MADE.items()}
    assert {tests[test] for test in failures} == {*MADE, INTEGRATION}
