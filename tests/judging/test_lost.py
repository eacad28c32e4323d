"""An answer that ends its judge costs its own points: the rest is graded, and a judge lost by chance costs nothing."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course.judging.assignment import Assignment, code_fingerprint
from course.judging.grader import Grader
from course.judging.submission import Received
from course.judging.verdict import ENDED_ITS_JUDGE
from course.sandbox import Room
from labkit.notebook import REPORT
from tests.support.outside import SETUP, earned, exercise, graded, handed_in, judged, notebook, verdicts

SECONDS = 12.0


@contextlib.contextmanager
def grader(source: NotebookNode) -> Iterator[Grader]:
    """The real judge, in processes of its own, which hostile answers can end."""
    assignment = Assignment(
        name="lost",
        source=nbformat.writes(source),
        reference={},
        room=Room("lost", preload=("torch",), memory=2**30, seconds=SECONDS),
        seconds=SECONDS,
        version="1",
        data={},
        code=code_fingerprint(()),
    )
    with Grader(assignment, isolated=False) as running:
        yield running


def received(source: NotebookNode, answers: dict[str, str]) -> Received:
    clean = handed_in(source, {f"exercise-{name}": text for name, text in answers.items()})
    return Received(clean, {}, [], "0" * 64, True)


def double(name: str) -> list[NotebookNode]:
    return [
        exercise(name, f"def {name}(x):\n    return 2 * x"),
        graded(name, f"def test_{name}():\n    assert {name}(2) == 4, 'doubled'"),
        graded(f"{name}-any", f"def test_{name}_any_hidden():\n    assert {name}(3) == 6, 'doubled'", of=name),
    ]


LEARN = [
    exercise("learn", "def learn():\n    return [(3, 4)]"),
    *(
        graded(
            name,
            f"def test_{function}():\n    from labkit.testing.oracles import library_tokenizer\n"
            "    merges = [tuple(pair) for pair in learn()]\n"
            "    assert library_tokenizer(merges).encode('abc').ids, 'some ids'",
            of="learn",
        )
        for name, function in (("learn", "learn"), ("learn-again", "learn_again"), ("learn-any", "learn_any_hidden"))
    ),
]
PAIRS = [
    exercise("pairs", "def pairs():\n    return [(1, 2), (2, 1)]"),
    graded("pairs", "def test_pairs():\n    assert len(set(pairs())) > 1, 'more than one'"),
    graded("pairs-some", "def test_pairs_some():\n    assert len(pairs()) > 1, 'more than one'", of="pairs"),
]
# Each token is two of the one before: they fit into the judge's memory, but not with the library's copies.
DOUBLINGS = "def learn():\n    return [(3, 3), *((256 + n, 256 + n) for n in range(26))]"
# Whole numbers below 2**63 of which four have one hash, so that 65,536 rows of eight have one too.
COLLIDING = (
    "def pairs():\n    import itertools\n"
    "    return list(itertools.product([n * (2**61 - 1) + 5 for n in range(4)], repeat=8))"
)


def test_what_ends_or_holds_up_a_library_costs_its_own_points():
    source = notebook(SETUP, *double("first"), *LEARN, *double("second"), *PAIRS, *double("third"))
    with grader(source) as running:
        result = running.judge(received(source, {"learn": DOUBLINGS, "pairs": COLLIDING}), seed=1)
    kept = {f"{name}{more}": 1 for name in ("first", "second", "third") for more in ("", "-any")}
    lost = dict.fromkeys(("learn", "learn-again", "learn-any", "pairs"), 0)
    assert earned(result) == kept | lost | {"pairs-some": 1}
    assert {verdicts(result)[name].message for name in ("learn", "learn-again", "learn-any")} == {ENDED_ITS_JUDGE}
    assert verdicts(result)["pairs"].message == ENDED_ITS_JUDGE
    assert result.notebook.metadata[REPORT]["failure"] is None, "the submission is graded"
    assert "all others were judged" in " ".join(result.remarks)


def test_a_judge_that_is_lost_once_in_a_test_costs_nothing(tmp_path: Path):
    once = tmp_path / "once"
    dies = (
        "def test_second_any_hidden():\n    import os, pathlib\n"
        f"    once = pathlib.Path({str(once)!r})\n"
        "    if not once.exists():\n        once.touch()\n        os.kill(os.getpid(), 9)\n"
        "    assert second(3) == 6, 'doubled'"
    )
    source = notebook(SETUP, *double("first"), *double("second")[:2], graded("second-any", dies, of="second"))
    with grader(source) as running:
        result = running.judge(received(source, {"first": "def first(x):\n    return x"}), seed=1)
    assert once.exists()
    assert earned(result) == {"first": 0, "first-any": 0, "second": 1, "second-any": 1}
    assert verdicts(result)["first"].message == "doubled", "what the first judge told stands"
    assert result.remarks == []


def test_a_test_that_an_answer_keeps_busy_is_stopped():
    busy = "def {}():\n    many = busy()\n    while many > 1: pass\n    assert many == 1, 'one'"
    source = notebook(
        SETUP,
        exercise("busy", "def busy():\n    return 1"),
        graded("busy", busy.format("test_busy")),
        graded("busy-any", busy.format("test_busy_any_hidden"), of="busy"),
        *double("after"),
    )
    result = judged(source, handed_in(source, {"exercise-busy": "def busy():\n    return 2"}), seconds=SECONDS)
    assert earned(result) == {"busy": 0, "busy-any": 0, "after": 1, "after-any": 1}
    told = "What your code returned kept this test busy for {}: is it very large?"
    assert verdicts(result)["busy"].message == told.format("2 seconds")
    assert verdicts(result)["busy-any"].message == told.format("1 second"), "the next of the exercise gets less"
