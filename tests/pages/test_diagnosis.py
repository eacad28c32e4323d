"""What a student reads first of each known mistake tells it apart from the others."""

import pytest

from course import ROOT
from course.assemble.source import assignments
from course.judging.verdict import Failure
from course.pages.diagnosis import BAR, Seen, diagnosed, first_failure, masked, page, report, seen, shared


@pytest.mark.parametrize("name", assignments())
def test_most_mistakes_are_told_apart(name: str) -> None:
    found = seen(ROOT, name)
    assert len(diagnosed(found)) >= BAR * len(found), report(ROOT, name)


def test_the_page_is_fresh() -> None:
    assert (ROOT / "bench" / "diagnosis.md").read_text() == page(ROOT, assignments()), "`make mistakes` writes it"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("is the axis right? (at [0, 2] you have 1.5e-3)", "is the axis right? (at [11] you have -inf)"),
        ("'a b' comes before 'c'", "'x' comes before \"don't\""),
        ("`f(x)` gives (1, 2), not {3: [4, 5]}", "`g` gives (7, (8, 9)), not {1: 2}"),
        ("rows 1, 2 and 3 differ", "rows 4 differ"),
        ("wrong\nIt arose in f, line 3 of its cell: x = y", "wrong\nIt arose in g, line 30 of its cell: return (x"),
        ("12,345 of 20%", "1 of 2"),
    ],
)
def test_figures_and_code_make_no_difference(one: str, other: str) -> None:
    assert masked(one) == masked(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("divide by n", "divide by n - 1 (the sample's)"),
        ("the row sums to 1 and should not", "the column sums to 1 and should not"),
        ("don't add, it's wrong", "don't subtract, it's wrong"),
    ],
)
def test_words_make_one(one: str, other: str) -> None:
    assert masked(one) != masked(other)


def test_the_first_visible_failure_in_the_notebooks_order_is_read() -> None:
    def failure(message: str, *, hidden: bool = False) -> Failure:
        return Failure("t", hidden, message, message, message)

    failures = {"b": failure("second"), "a": failure("never seen", hidden=True), "c": failure("third")}
    first = first_failure(failures, ["a", "b", "c"])
    assert first is not None and first.message == "second"
    assert first_failure({"a": failures["a"]}, ["a"]) is None


def test_a_message_that_two_mistakes_draw_diagnoses_neither() -> None:
    found = [
        Seen("e", "one", "add 1"),
        Seen("e", "two", "add 2"),
        Seen("f", "elsewhere", "add 1"),
        Seen("e", "unseen", None),
        Seen("e", "cut alike", "first\nline\nand more"),
        Seen("e", "cut", "first\nline\nand other"),
    ]
    assert [one.label for one in diagnosed(found)] == ["elsewhere"]
    assert {tuple(one.label for one in group) for group in shared(found).values()} == {
        ("one", "two"),
        ("cut alike", "cut"),
    }
