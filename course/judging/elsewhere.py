"""Answers that stand in other cells than their exercise's: retyped, merged with another, or moved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nbformat import NotebookNode

from course.judging.released import is_blank
from labkit.notebook import defined, facts, grade_id, is_exercise, is_test


@dataclass(frozen=True)
class Elsewhere:
    """The exercises whose own cell is missing or blank while other cells of the student define all of their names."""

    before: set[str]
    """Before the exercise's first test: a stub would take these answers away."""
    after: set[str]
    """After it only: the test ran without them, as it does in the student's notebook."""


def answers_elsewhere(
    texts: Sequence[str | None],
    known: Sequence[str | None],
    chosen: dict[str, int],
    released: Sequence[NotebookNode],
) -> Elsewhere:
    """Find the answers that stand elsewhere.

    `texts` are the student's cells, None for one that is no code, and `known` the ids of the released cells that they
    are; `chosen` gives the copy that counts of each. A cell that is not chosen is the student's own and runs after the
    chosen one that it follows. An exercise's cell that also answers an earlier exercise, and stands before that one's
    first test, is taken out of `chosen`, so that it runs where the student has it.
    """
    at = {grade_id(cell) or cell.id: n for n, cell in enumerate(released)}
    exercises = {key: cell for cell in released if (key := grade_id(cell)) and is_exercise(cell)}
    tests: dict[str, int] = {}
    for n, cell in enumerate(released):
        if is_test(cell):
            tests.setdefault(f"exercise-{facts(cell).get('exercise')}", n)

    def is_answer(number: int, key: str) -> bool:
        text = texts[number] or ""
        return bool(text.strip()) and not is_blank("code", text, exercises[key].source)

    def names_in(number: int) -> set[str]:
        key = known[number]
        if key in exercises and not is_answer(number, key):
            return set()
        if key is not None and key not in exercises and grade_id(released[at[key]]) and chosen.get(key) == number:
            return set()  # the assignment's own cell, whose text is not the student's
        return defined(texts[number] or "")

    names = {key: set(facts(cell).get("defines", ())) for key, cell in exercises.items() if key in tests}
    waiting = [key for key in names if names[key] and not (key in chosen and is_answer(chosen[key], key))]
    if not waiting:
        return Elsewhere(set(), set())
    defines = [names_in(number) for number in range(len(texts))]
    for key in waiting:  # it grows
        stands = [-1, *_runs_at(known, chosen, at)]  # of each cell, what it follows
        for other, number in list(chosen.items()):
            if other in names and at[other] > tests[key] > stands[number] and names[key] & defines[number]:
                del chosen[other]
                waiting.append(other)
    runs_at = _runs_at(known, chosen, at)
    before, after = set(), set()
    for key in waiting:
        early = set().union(*(d for d, place in zip(defines, runs_at, strict=True) if place < tests[key]))
        if names[key] <= early:
            before.add(key)
        elif names[key] <= early.union(*defines):
            after.add(key)
    return Elsewhere(before, after)


def _runs_at(known: Sequence[str | None], chosen: Mapping[str, int], at: Mapping[str, int]) -> list[int]:
    """For each of the student's cells the place of the released cell that it is, or that it follows."""
    place, places = -1, []
    for number, key in enumerate(known):
        if key is not None and chosen.get(key) == number:
            place = at[key]
        places.append(place)
    return places
