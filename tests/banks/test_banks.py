"""Every answer of every bank: what its exercise's tests say of it, and that nothing else is lost.

What they say of wrong answers is read from the record (tests/topics/<name>/mistakes.json), which
tests/pages/test_record.py holds to what it was made from. That all answers lose the same directly
too, as `check` plays them, and under other seeds is a proof (tests/support/proofs.py), made when the bank, the
notebook or what they reach has changed; the long tests play the answers to one exercise under one of the seeds again.
"""

import functools
import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from nbformat import NotebookNode

from course import ROOT
from course.assemble.assembler import Assembler
from course.assemble.source import assignments
from course.banks.bank import Answer, AnswerText, bank, bank_texts
from course.banks.play import play, points
from course.judging.messages import GAP
from course.judging.verdict import Failure
from course.pages.mistakes import Mistake, read_record
from labkit.notebook import defined
from labkit.testing.answers import graded_with
from tests.support import proofs

INTEGRATION = "integration"
SEEDS = ("0", "6", "7")  # what hidden tests draw their inputs from, beside the record's (course/pages/record.py)
# How a failure reads for which the test's author has no words.
NO_HINT = ("a test fails:", "Error in your code", "exception in your code", "the test cannot use")


@functools.cache
def assembled(name: str) -> NotebookNode:
    return Assembler(name).build()


@functools.cache
def cells_of(name: str) -> dict[str, list[str]]:
    """`{exercise: ids of the tests that judge it}`."""
    assembler = Assembler(name)
    assembler.build()
    return {e.name: e.tests for e in assembler.exercises.values()}


def cells_after(name: str, exercise: str) -> list[str]:
    """Ids of the tests below an exercise's cell; those above it have run before an answer is put in."""
    cells = [c.id for c in assembled(name).cells]
    below = cells[cells.index(f"exercise-{exercise}") :]
    return [c.removeprefix("test-") for c in below if c.startswith("test-")]


def case(name: str, answer: Answer):
    return pytest.param(name, answer, id=f"{name}-{answer.exercise}-{answer.label.replace(' ', '_')}")


def answers(kind: str) -> list:
    return [case(name, answer) for name in assignments() for answer in bank(kind, name)]


def failures(name: str, through_codec: bool = False, **kwargs) -> dict[str, Exception]:
    """The tests that fail, with what they say."""
    grades = play(assembled(name), through_codec=through_codec, **kwargs)
    assert set(grades) == set(kwargs.get("only", points(assembled(name))))
    return {test: error for test, error in grades.items() if error is not None}


@functools.cache
def record_of(name: str) -> dict[tuple[str, str], Mistake]:
    """What the tests said of each wrong answer, played through the codec under several seeds, as data."""
    return {(mistake.exercise, mistake.label): mistake for mistake in read_record(ROOT, name)}


def unclear(failures: Iterable[Failure]) -> list[str]:
    """What students read of hidden tests that failed, where it is mostly gaps or no hint at the mistake."""
    return [failure.pattern for failure in failures if failure.hidden and not clear(failure)]


def clear(failure: Failure) -> bool:
    """Whether it tells the mistake in words of the test's author."""
    return hints(failure.pattern) and not any(phrase in failure.pattern for phrase in NO_HINT)


def hints(text: str) -> bool:
    """Whether a text has enough words beside its gaps."""
    return len(re.findall(r"[^\W\d_]{2,}", text)) >= max(4, 3 * text.count(GAP))


@pytest.mark.parametrize("name", assignments())
def test_the_solution_keeps_all_points(name: str):
    """Directly, as `check` plays it; tests/judging/test_judge.py has it judged through the codec."""
    assert failures(name) == {}


@pytest.mark.parametrize("through_codec", [False, True], ids=["direct", "codec"])
@pytest.mark.parametrize("name", assignments())
def test_the_blank_notebook_earns_nothing(name: str, through_codec: bool):
    lost = failures(name, through_codec, blank=True)
    assert set(points(assembled(name))) - set(lost) == set()


@pytest.mark.parametrize(("name", "answer"), answers("wrong"))
def test_a_wrong_answer_loses_points_where_the_mistake_is(name: str, answer: Answer):
    """By the record, which tests/pages/test_record.py holds to what it was made from."""
    tests = {f"test-{test}" for test in cells_of(name)[answer.exercise]}
    for failed in record_of(name)[answer.exercise, answer.label].outcomes:
        own = [failure for test, failure in failed.items() if test in tests]
        assert own, "it loses no points in its own exercise"
        messages = [failure.detail for failure in own]
        assert any(answer.says in m for m in messages), f"nothing says {answer.says!r}:\n" + "\n".join(messages)
        if not any(clear(failure) for failure in own if not failure.hidden):
            assert unclear(failed.values()) == [], "students read this of a hidden test and know no more than before"
        for failure in failed.values():
            accused = [hint for hint in answer.never if hint in failure.detail]
            assert not accused, f"a mistake that was not made is named: {failure.detail}"


@pytest.mark.parametrize(("name", "answer"), answers("wrong"))
def test_what_is_asked_is_shown(name: str, answer: Answer):
    """Every wrong answer fails a visible test, or it is fitted to the visible inputs and fails a hidden one always."""
    tests = {f"test-{test}" for test in cells_of(name)[answer.exercise]}
    for failed in record_of(name)[answer.exercise, answer.label].outcomes:
        own = [failure for test, failure in failed.items() if test in tests]
        assert all(failure.hidden for failure in own) == answer.fitted, "; ".join(failure.detail for failure in own)


@pytest.mark.parametrize("name", assignments())
def test_at_most_one_answer_an_exercise_is_fitted(name: str):
    fitted = [answer.exercise for answer in bank("wrong", name) if answer.fitted]
    assert len(fitted) == len(set(fitted))


@pytest.mark.parametrize("name", assignments())
def test_another_persons_right_answers_keep_all_points(name: str):
    """The first to each exercise, all together, through the codec as when they are graded.

    Of each answer by itself it is a proof, and tests/test_proofs.py holds that to what it was made from.
    """
    theirs = {n: answer for a in reversed(bank("right", name)) for n, answer in a.names.items()}
    assert failures(name, through_codec=True, answers=theirs) == {}


@pytest.mark.parametrize("name", assignments())
def test_right_answers_lose_nothing_and_wrong_ones_do(name: str):
    """By the record, whose digest does not cover what it says: a merge could mix two of them."""
    lost = proofs.seeds(name).record().get("lost")
    if lost is None:
        pytest.skip("no record: tests/test_proofs.py says so")
    assert {called: bool(tests) for called, tests in lost.items()} == {
        called: answer.says is not None for called, answer in every_answer(name)
    }


def costs_elsewhere(name: str, answer: Answer) -> dict[str, Exception]:
    """The later tests of other exercises that fail with an answer."""
    own = {*cells_of(name)[answer.exercise], INTEGRATION}
    later = [test for test in cells_after(name, answer.exercise) if test not in own]
    return failures(name, answers=answer.names, only=later)


@pytest.mark.proof
@pytest.mark.parametrize("name", assignments())
def test_every_mistake_costs_once(name: str):
    with proofs.once(name).proving() as record:
        again = {f"{a.exercise}: {a.label}": costs_elsewhere(name, a) for a in bank("wrong", name)}
        assert {called: tests for called, tests in again.items() if tests} == {}
        record["mistakes"] = len(again)


@pytest.mark.long
@pytest.mark.parametrize("name", assignments())
def test_one_mistake_of_the_record_costs_once(name: str):
    wrong = {f"{a.exercise}: {a.label}": a for a in bank("wrong", name)}
    assert costs_elsewhere(name, wrong[proofs.one_of(list(wrong))]) == {}, "the mistake costs again"


def lost(name: str, answer: Answer, seed: str, through_codec: bool = False) -> set[str]:
    """The tests that an answer fails under a seed; a wrong one draws its message."""
    tests = [*cells_of(name)[answer.exercise], INTEGRATION]
    with graded_with(seed):
        failed = failures(name, through_codec, answers=answer.names, only=tests)
    told = [f"{type(error).__name__}: {error}" for error in failed.values()]
    assert answer.says is None or any(answer.says in text for text in told), f"nothing says {answer.says!r}: {told}"
    return set(failed)


def every_answer(name: str) -> list[tuple[str, Answer]]:
    """All answers to a topic's exercises, with what the record calls each."""
    return [(f"{a.exercise}: {a.label}", a) for a in (*bank("wrong", name), *bank("right", name))]


@pytest.mark.proof
@pytest.mark.parametrize("name", assignments())
def test_the_same_answer_earns_the_same_under_every_seed_and_either_way(name: str):
    """Wrong answers were played through the codec for the record of mistakes, under seeds of its own."""
    with proofs.seeds(name).proving() as record:
        record["lost"] = {}
        for called, answer in every_answer(name):
            under = {seed: lost(name, answer, seed) for seed in SEEDS}
            if answer.says is None:
                under["codec"] = lost(name, answer, SEEDS[0], True)
            else:
                outcomes = record_of(name)[answer.exercise, answer.label].outcomes
                under |= {f"codec {n}": {test[len("test-") :] for test in failed} for n, failed in enumerate(outcomes)}
            unsteady = set.union(*under.values()) - set.intersection(*under.values())
            by_test = {test: [seed for seed in under if test in under[seed]] for test in sorted(unsteady)}
            assert not unsteady, f"{called}: {by_test}"
            assert bool(under[SEEDS[0]]) == (answer.says is not None), called
            record["lost"][called] = sorted(under[SEEDS[0]])


@pytest.mark.long
@pytest.mark.parametrize("name", assignments())
def test_one_seed_of_the_record_costs_what_it_says(name: str):
    """For the answers to one exercise."""
    proof = proofs.seeds(name)
    recorded = proof.record().get("lost")
    if recorded is None:
        pytest.skip("no record: the proof itself runs among the long tests")
    seed, exercise = proofs.one_of(SEEDS), proofs.one_of(sorted(cells_of(name)))
    again = {c: sorted(lost(name, a, seed)) for c, a in every_answer(name) if a.exercise == exercise}
    recorded = {called: recorded[called] for called in again}
    if not proof.is_of_this_python():  # on another text an effect may show or not: then only whether it loses
        again, recorded = ({called: bool(tests) for called, tests in found.items()} for found in (again, recorded))
    assert again == recorded, f"seed {seed}"


@pytest.mark.parametrize("name", assignments())
def test_every_exercise_has_its_answers(name: str):
    assembler = Assembler(name)
    assembler.build()
    wrong, right = bank("wrong", name), bank("right", name)
    assert {a.exercise for a in (*wrong, *right)} <= set(assembler.exercises), "an answer to no exercise"
    for exercise in assembler.exercises.values():
        mistakes = [a for a in wrong if a.exercise == exercise.name]
        assert len(mistakes) >= 3, f"{exercise.name}: three plausible wrong answers at least"
        assert sum(a.exercise == exercise.name for a in right) >= 2, (
            f"{exercise.name}: two other right answers at least"
        )
        assert {a.name for a in mistakes} <= set(exercise.defines), f"{exercise.name}: an answer by another name"
        if exercise.replaces:
            calls = [a for a in mistakes if "asks you to write what that call does" in a.says]
            assert calls, f"{exercise.name}: one wrong answer calls what the exercise replaces and draws the refusal"


@pytest.mark.parametrize("kind", ["wrong", "right"])
@pytest.mark.parametrize("name", assignments())
def test_a_bank_read_as_text_holds_the_same_answers(name: str, kind: str):
    texts = bank_texts(ROOT / "tests" / "topics" / name / f"{kind}.py")
    assert [(text.exercise, text.label) for text in texts] == [(a.exercise, a.label) for a in bank(kind, name)]
    for text, answer in zip(texts, bank(kind, name), strict=True):
        assert answer.name in defined(text.code)


def test_an_answer_as_text_has_its_decorators_its_name_and_what_it_builds_on(tmp_path: Path):
    path = tmp_path / "wrong.py"
    path.write_text(
        "import math\nimport torch\n\nLIMIT = 3\n\n\ndef unused():\n    return math.pi\n\n\n"
        '@wrong("a", mistake="one", says="x", name="f")\n@wrong("b", mistake="two", says="y")\n'
        "@torch.no_grad()\ndef g(x):\n    return LIMIT  # the most\n"
    )
    support = ("import torch", "LIMIT = 3")
    definition = "@torch.no_grad()\ndef g(x):\n    return LIMIT  # the most"
    assert bank_texts(path) == [
        AnswerText("b", "two", definition, support),
        AnswerText("a", "one", f"{definition}\nf = g", support),
    ]
