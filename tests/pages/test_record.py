"""The records of known mistakes: up to date, played again only where something changed, and true."""

import copy
import datetime
from pathlib import Path

import pytest
from nbformat import NotebookNode

from course import ROOT
from course.assemble.source import assignments
from course.banks.bank import bank
from course.notebook import graded_cell
from course.pages import digests as module
from course.pages import record as recording
from course.pages.digests import digests
from course.pages.mistakes import Mistake, NoBank, known_mistakes, read_record, record_of
from course.pages.record import outcomes, record
from tests.support.made_up_class import source_of

NAME = "tokenizer"
BANK = """from course.banks.bank import wrong


@wrong("merge-pair", mistake="the word as it was", says="becomes one symbol")
def merge_pair(word, pair, new_id):
    return list(word)


@wrong("index-pairs", mistake="nothing", says="positions")
def index_pairs(words):
    return {}
"""
FIRST, NOTHING = ("merge-pair", "the word as it was"), ("index-pairs", "nothing")


@pytest.mark.parametrize("name", assignments())
def test_the_record_is_current(name: str) -> None:
    kept = {(m.exercise, m.label): m.digest for m in read_record(ROOT, name)}
    now = digests(ROOT, name, source_of(name))
    stale = [key for key in now.keys() | kept.keys() if now.get(key) != kept.get(key)]
    assert not stale, f"`make mistakes ASSIGNMENT={name}` brings the record up to date: {sorted(stale)[:3]} and so on"
    assert list(now) == [(answer.exercise, answer.label) for answer in bank("wrong", name)]


@pytest.mark.long
@pytest.mark.parametrize("name", assignments())
def test_an_entry_of_the_record_played_again_says_the_same(name: str) -> None:
    answers = bank("wrong", name)
    answer = answers[datetime.date.today().toordinal() % len(answers)]  # another one each day
    (kept,) = (m for m in read_record(ROOT, name) if (m.exercise, m.label) == (answer.exercise, answer.label))
    again = Mistake(kept.exercise, kept.label, outcomes(source_of(name), answer))
    tests = {test for outcome in (*kept.outcomes, *again.outcomes) for test in outcome}
    assert all(again.fails_as(outcome, tests) for outcome in kept.outcomes)
    assert all(kept.fails_as(outcome, tests) for outcome in again.outcomes)


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a bank for the assignment `toy_bank`, which is the tokenizer by another name."""
    path = tmp_path / "tests" / "topics" / "toy_bank" / "wrong.py"
    path.parent.mkdir(parents=True)
    path.write_text(BANK)
    monkeypatch.setattr(recording, "_source", lambda root, name: source_of(NAME))
    return tmp_path


def test_only_what_changed_is_played(toy: Path) -> None:
    with pytest.raises(NoBank, match="`make mistakes ASSIGNMENT=toy_bank` brings it up to date"):
        known_mistakes(toy, "toy_bank", source_of(NAME))
    assert record(toy, ["toy_bank"]) == {"toy_bank": 2}
    first = record_of(toy, "toy_bank").read_bytes()
    known = known_mistakes(toy, "toy_bank", source_of(NAME))
    assert [(m.exercise, m.label) for m in known] == [FIRST, NOTHING]
    assert all("test-merge-pair" in outcome for outcome in known[0].outcomes)
    assert record(toy, ["toy_bank"]) == {"toy_bank": 0}
    assert record_of(toy, "toy_bank").read_bytes() == first
    path = toy / "tests" / "topics" / "toy_bank" / "wrong.py"
    path.write_text(BANK.replace("return {}", "return dict()"))
    assert [m.label for m in known_mistakes(toy, "toy_bank", source_of(NAME))] == ["the word as it was"]
    assert record(toy, ["toy_bank"]) == {"toy_bank": 1}
    record_of(toy, "toy_bank").write_text("[ damaged")
    assert read_record(toy, "toy_bank") == []


def changed(cell: str, old: str, new: str) -> NotebookNode:
    source = copy.deepcopy(source_of(NAME))
    (found,) = (c for c in source.cells if c.id == cell)
    assert old in found.source
    found.source = found.source.replace(old, new, 1)
    return source


def moved(toy: Path, source: NotebookNode, before: dict) -> set[tuple[str, str]]:
    now = digests(toy, "toy_bank", source)
    return {key for key in before if now[key] != before[key]}


def test_what_an_answer_is_played_again_for(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = digests(toy, "toy_bank", source_of(NAME))
    assert moved(toy, changed("test-merge-pair", "def test_", "# more\n\n\ndef test_"), before) == set()
    assert moved(toy, changed("test-merge-pair", "def test_", "ONE = 1\n\n\ndef test_"), before) == {FIRST, NOTHING}
    assert moved(toy, changed("test-merge-pair", "_visible():\n", "_visible():\n    pass\n"), before) == {FIRST}
    assert moved(toy, changed("test-decode", "_visible():\n", "_visible():\n    pass\n"), before) == set()
    path = toy / "tests" / "topics" / "toy_bank" / "wrong.py"
    path.write_text(
        BANK.replace('says="positions"', 'says="more"').replace("    return {}", "    # nothing\n    return {}")
    )
    assert moved(toy, source_of(NAME), before) == set()
    path.write_text(BANK.replace("return {}", "return dict()"))
    assert moved(toy, source_of(NAME), before) == {NOTHING}
    path.write_text(BANK)
    for file in ("requirements.txt", "course/judging/messages.py", "labkit/testing/checks.py"):
        elsewhere = toy / file
        elsewhere.parent.mkdir(parents=True, exist_ok=True)
        elsewhere.write_text((ROOT / file).read_text())
    monkeypatch.setattr(module, "ROOT", toy)
    words = digests(toy, "toy_bank", source_of(NAME))
    for file in ("course/judging/messages.py", "labkit/testing/checks.py"):
        text = (toy / file).read_text()
        (toy / file).write_text(text + "\nMORE = 1\n")
        assert moved(toy, source_of(NAME), words) == {FIRST, NOTHING}, file
        (toy / file).write_text(text + "\n# more\n")
        assert moved(toy, source_of(NAME), words) == set(), file


def test_private_tests_change_no_digest(toy: Path) -> None:
    before = digests(toy, "toy_bank", source_of(NAME))
    source = changed("given-course-imports", "import Iterable,", "import Callable, Iterable,")
    (answers,) = (c for c in source.cells if c.id == "given-course-answers")
    answers.source += "\n# lends for merge-pair-mine"
    about = {"exercise": "merge-pair", "lends": ["pre_tokenize"], "hidden": True, "private": True}
    test = 'def test_mine_hidden():\n    assert isinstance(print, Callable), "no"'
    code = test + '\n\n\nwith answers("merge-pair"):\n    pass'
    source.cells.append(graded_cell("test", "merge-pair-mine", code, 1, about))
    assert digests(toy, "toy_bank", source) == before


def test_the_parts_of_the_reference_that_are_reached_count(tmp_path: Path) -> None:
    path = tmp_path / "tests" / "topics" / "toy_bank" / "wrong.py"
    path.parent.mkdir(parents=True)
    path.write_text(
        "import solutions.toy\n\n\n"
        '@wrong("merge-pair", mistake="the word as it was", says="")\n'
        "def merge_pair(word, pair, new_id):\n    return solutions.toy.first(word)\n"
    )
    reference = tmp_path / "solutions" / "toy.py"
    reference.parent.mkdir()
    text = "from solutions.deep import low\n\n\ndef first(x):\n    return low(x)\n\n\ndef other(x):\n    return 1\n"
    reference.write_text(text)
    deep = reference.with_name("deep.py")
    deep.write_text("def low(x):\n    return x[0]\n")
    before = digests(tmp_path, "toy_bank", source_of(NAME))
    reference.write_text(text.replace("return 1", "return 2"))
    assert digests(tmp_path, "toy_bank", source_of(NAME)) == before
    deep.write_text("def low(x):\n    return x[-1]\n")
    assert digests(tmp_path, "toy_bank", source_of(NAME)) != before
