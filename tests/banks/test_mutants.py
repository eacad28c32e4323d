"""What small changes of the reference answers no test notices: the records, and that they still hold."""

import functools

import pytest
import torch

from course.assemble.source import assignments
from course.banks.equivalent import USES, equivalents
from course.banks.mutants import (
    CAUGHT_BY_HIDDEN,
    CAUGHT_BY_VISIBLE,
    SURVIVED,
    Key,
    MutantPlayer,
    read,
    unexplained,
)
from course.banks.mutate import mutants
from tests.support import proofs

RECORDED = [name for name in assignments() if read(name)]
EXPLAINED = [name for name in RECORDED if equivalents(name).reasons]
SECONDS = 60


@functools.cache
def player(name: str) -> MutantPlayer:
    torch.set_num_threads(1)
    return MutantPlayer(name)


def recorded_fate(name: str, key: Key) -> str:
    record = read(name)
    assert record
    if key in record.survive_all_tests:
        return SURVIVED
    return CAUGHT_BY_HIDDEN if key in record.survive_visible_tests else CAUGHT_BY_VISIBLE


def changes(body: str) -> set[str]:
    """What stands in the place of a body that is `    return <body>`, in each of its mutants."""
    source = f'def f(a, b):\n    """Text."""\n    ### BEGIN SOLUTION\n    {body}\n    ### END SOLUTION'
    found = mutants("f", source)
    assert all(m.source.startswith('def f(a, b):\n    """Text."""\n') for m in found)
    return {m.source.splitlines()[3].strip() for m in found}


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        ("return a + b", {"return a - b", "pass"}),
        ("return 'é', a @ b", {"return 'é', a * b", "pass"}),
        ("return a < 1", {"return a <= 1", "return a >= 1", "return a < 2", "return a < 0", "pass"}),
        ("return a is not b", {"return a is b", "pass"}),
        ("return a and b", {"return a or b", "return b", "return a", "pass"}),
        ("return not a", {"return a", "pass"}),
        ("return True", {"return False", "pass"}),
        ("return g(a, b)", {"return g(a)", "return g(b)", "return g(b, a)", "pass"}),
        ("return g(a, key=b)", {"return g(a)", "return g(key=b)", "pass"}),
        ("return min(a, b)", {"return max(a, b)", "return min(a)", "return min(b)", "pass"}),
        (
            "return max(a, b, key=g)",
            {
                "return min(a, b, key=g)",
                "return max(a, b)",
                "return max(a, key=g)",
                "return max(b, key=g)",
                "return max(b, a, key=g)",
                "pass",
            },
        ),
        ("return a[b:]", {"return a[:]", "return a[(b) + 1:]", "pass"}),
        (
            "return a if b else 0.5",
            {"return 0.5 if b else a", "return a if b else 1.0", "return a if b else 0.0", "pass"},
        ),
        ("raise ValueError(f'{a + 1} is not {min(a, b)}')", set()),
    ],
)
def test_a_body_is_changed_in_one_place_at_a_time(body: str, changed: set[str]):
    assert changes(body) == changed


@pytest.mark.parametrize("name", assignments())
def test_names_tell_mutants_apart(name: str):
    keys = [(m.exercise, m.name) for m in player(name).mutants]
    assert len(set(keys)) == len(keys) and len(keys) > 200


@pytest.mark.parametrize("name", RECORDED)
def test_a_record_belongs_to_what_it_was_made_from(name: str):
    record = read(name)
    assert record and record.digest == player(name).digest(), f"run `make mutants TOPIC={name}` again"
    assert record.mutants == len(player(name).mutants)


@pytest.mark.parametrize("name", RECORDED)
def test_what_a_hidden_test_catches_a_visible_one_catches(name: str):
    record = read(name)
    assert record and record.survive_visible_tests == []


@pytest.mark.parametrize("name", RECORDED)
def test_every_survivor_is_explained(name: str):
    record = read(name)
    assert record and unexplained(name, record) == []
    listed = set(equivalents(name).reasons)
    assert listed <= set(record.survive_all_tests), "some test catches these, so they are not the same function"


@pytest.mark.parametrize(
    ("name", "key"),
    [pytest.param(name, key, id=f"{name}-{key}") for name in RECORDED for key in equivalents(name).reasons],
)
def test_equivalent_mutants_do_the_same_to_random_inputs(name: str, key: Key):
    assert player(name).difference(key, 20) is None


@pytest.mark.proof
@pytest.mark.parametrize("name", EXPLAINED)
def test_equivalent_mutants_do_the_same_a_thousand_times(name: str):
    with proofs.equivalent(name).proving() as record:
        for key in equivalents(name).reasons:
            assert player(name).difference(key, USES) is None, key
        record["uses"] = USES


@pytest.mark.long
@pytest.mark.parametrize("name", EXPLAINED)
def test_one_equivalent_of_the_record_does_the_same_a_thousand_times(name: str):
    reasons = {f"{exercise}: {change}": (exercise, change) for exercise, change in equivalents(name).reasons}
    assert player(name).difference(reasons[proofs.one_of(list(reasons))], USES) is None


@pytest.mark.parametrize("name", RECORDED)
def test_a_sample_of_mutants_ends_as_recorded(name: str):
    """Another sample whenever something changes: the digest chooses."""
    chosen = player(name).mutants[int(player(name).digest(), 16) % len(player(name).mutants)]
    assert player(name).fate(chosen, seconds=SECONDS) == recorded_fate(name, (chosen.exercise, chosen.name))


def test_a_mutant_that_never_ends_is_stopped():
    mutant = next(m for m in player("tokenizer").mutants if m.exercise == "merge-pair")
    endless = mutant.source.replace("### BEGIN SOLUTION", "while True: pass")
    assert player("tokenizer").fate(type(mutant)("merge-pair", "endless", endless), seconds=1) == CAUGHT_BY_VISIBLE


@pytest.mark.long
@pytest.mark.parametrize("name", RECORDED)
def test_an_equivalent_that_differs_is_found_out(name: str):
    """Every use is sharp enough to see some mutant of its exercise that tests catch."""
    record = read(name)
    assert record
    for exercise in {exercise for exercise, _ in equivalents(name).reasons}:
        caught = [
            (m.exercise, m.name)
            for m in player(name).mutants
            if m.exercise == exercise and (m.exercise, m.name) not in record.survive_all_tests
        ]
        assert any(player(name).difference(key) for key in caught[:5]), f"the use of {exercise} sees nothing"
