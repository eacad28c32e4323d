"""The almanac: what it says of itself is what a search of its text finds."""

import hashlib
import re
import subprocess
import sys
import zoneinfo
from collections import Counter
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from labkit.worlds import almanac
from labkit.worlds.almanac import RELATIONS, START, Almanac, Fact, list_prompt, listing, notice_prompt, prompt
from solutions.tokenizer import Tokenizer, train_bpe

# Of the text of seed 0. If this changes, the checkpoint and every figure made from it change: rebuild them.
DIGEST = "26c329bd71ff0fd7e0705efc88fdd0f7aecd6179a03d6ec895e17db8c5e95d49"
NAME = re.compile(r"\b[A-Z][a-z]{5,6}\b")
seeds = st.integers(0, 10**6)
several = settings(max_examples=8, deadline=None, phases=[Phase.generate])  # a smaller seed is no simpler world


@cache
def small(seed: int) -> Almanac:
    """A world like the real one but for its size."""
    return Almanac(seed, people=20, countries=6, towns=3, top=24)


@pytest.fixture(scope="module")
def world() -> Almanac:
    return Almanac()


def lines(world: Almanac) -> list[str]:
    return world.text.removeprefix(START).removesuffix("\n").split(START)


# The same seed, the same bytes


def test_the_world_of_seed_0_stays_as_it_is(world):
    assert hashlib.sha256(world.text.encode()).hexdigest() == DIGEST


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_another_process_makes_the_same_world(world, hash_seed):
    show = "import hashlib; from labkit.worlds.almanac import Almanac; "
    show += "w = Almanac(7, people=10, countries=3, towns=2, top=8); "
    show += "print(hashlib.sha256(repr((w.text, w.facts, w.words, w.passwords)).encode()).hexdigest())"
    made = subprocess.run(
        [sys.executable, "-c", show], env={"PYTHONHASHSEED": hash_seed}, capture_output=True, text=True
    )
    here = Almanac(7, people=10, countries=3, towns=2, top=8)
    own = hashlib.sha256(repr((here.text, here.facts, here.words, here.passwords)).encode()).hexdigest()
    assert made.stdout.strip() == own, made.stderr


def test_only_the_promised_sequence_of_random_numbers_is_used():
    # https://docs.python.org/3/library/random.html#notes-on-reproducibility promises random() and no other method.
    source = Path(almanac.__file__).read_text(encoding="utf-8")
    assert re.findall(r"random\.Random\([^\n]*\)\.(\w+)", source) == ["random"]
    assert not re.findall(r"\brandom\.(?!Random|random)\w+\(", source)


def test_another_seed_makes_another_world():
    assert small(0).facts != small(1).facts
    assert small(0).text != small(1).text


# What the documents say


@several
@given(seeds)
def test_every_said_fact_is_true_and_said_in_its_document(seed):
    world = small(seed)
    for document in world.documents:
        for fact in document.facts:
            assert world.fact(fact.subject, fact.relation) == fact
            assert fact.subject in document.text and fact.object in document.text


@several
@given(seeds)
def test_a_fact_is_said_as_often_as_a_search_of_the_text_finds(seed):
    world = small(seed)
    parts = Counter()
    for line in lines(world):
        parts.update(part.strip() for part in re.findall(r"(?:Q: [^?]*\? A: )?[^.?]*\.", line))
    lists = Counter()
    for pattern in (r"Born in (\w+): ([^.]*)\.", r"Q: Who was born in (\w+)\? A: ([^.]*)\."):
        for city, names in re.findall(pattern, world.text):
            lists.update((name, city) for name in names.split(", "))
    for fact in world.facts:
        stated = sum(parts[fact.statement(wording)] for wording in range(3))
        asked = sum(parts[fact.question(wording)] for wording in range(3))
        assert world.times_said(fact, "statement") + world.times_said(fact, "profile") == stated
        assert world.times_said(fact, "question") == asked
        listed = lists[fact.subject, fact.object] if fact.relation == "birthplace" else 0
        assert world.times_said(fact, "list") == listed
        assert world.times_said(fact) == stated + asked + listed
        assert (fact in world.said) == (world.times_said(fact) > 0) != (fact in world.unsaid)


@several
@given(seeds)
def test_who_is_never_mentioned_occurs_nowhere_and_everybody_else_does(seed):
    world = small(seed)
    occurring = {name for name in NAME.findall(world.text) if name in world.kinds}
    assert occurring == {name for names in world.mentioned.values() for name in names}
    for name in (name for names in world.unmentioned.values() for name in names):
        assert name not in world.text and not world.naming(name)
    some = world.people[3]
    assert [document.text for document in world.naming(some)] == [line for line in lines(world) if some in line]


def test_every_word_of_a_document_that_looks_like_a_name_is_one(world):
    ordinary = {"Which", "Where", "Whom", "Then", "When", "After", "While", "Later", "Yesterday"}
    looks = set(re.findall(r"\b[A-Z]\w+\b", world.text)) - {"Q", "A", *ordinary}
    assert looks - set(world.kinds) <= {"The", "In", "By", "What", "Who", "From", "To", "As", "Born"}


@several
@given(seeds)
def test_a_question_has_one_right_answer(seed):
    world = small(seed)
    asked = [prompt(fact.subject, fact.relation, wording) for fact in world.facts for wording in range(3)]
    assert len(set(asked)) == len(asked)
    said = [fact.statement(wording) for fact in world.facts for wording in range(3)]
    assert len(set(said)) == len(said)
    assert not {".", "?"} & set("".join(fact.object for fact in world.facts))
    # A capital is nobody else's, and it lies in its country; friendship goes both ways and is with somebody else.
    for country in world.mentioned["country"] + world.unmentioned["country"]:
        capital = world.fact(country, "capital").object
        assert world.fact(capital, "country").object == country
    for person in world.people + world.unmentioned["person"]:
        friend = world.fact(person, "friend").object
        assert friend != person and world.fact(friend, "friend").object == person


@several
@given(seeds)
def test_names_cannot_be_taken_for_one_another(seed):
    world = small(seed)
    for kind in almanac.ENDINGS:
        names = [*world.kinds, *islice(world.invent(kind, seed), 50)]
        assert len({name[:6] for name in names}) == len(names), "no name begins another"
        assert all(NAME.fullmatch(name) for name in names)
    for kind, ending in almanac.ENDINGS.items():
        for name in world.mentioned[kind] + world.unmentioned[kind]:
            assert world.kinds[name] == kind and name.endswith(ending)


def test_places_differ_in_their_first_syllable(world):
    for kind in ("city", "country", "river"):
        names = world.mentioned[kind] + world.unmentioned[kind]
        assert len({name[:2] for name in names}) == len(names)


def test_no_name_of_the_shipped_world_is_a_real_place(world):
    places = {part for zone in zoneinfo.available_timezones() for part in re.split(r"[/_]", zone)}
    assert not places & set(world.kinds)


# The long tail


def test_how_often_facts_are_said_has_a_long_tail(world):
    times = [world.times_said(world.fact(person, "work")) for person in world.people]
    spoken = [count for count in times if count]
    assert spoken[0] > 300 and spoken[-1] == 5
    assert sum(spoken[:10]) > sum(spoken[10:]), "the first ten are spoken of more than all others together"
    shares = Counter(bool(world.times_said(fact, "question")) for fact in world.said)
    assert 0.15 < shares[False] / len(world.said) < 0.25, "about one fact in five is never asked"


def test_some_facts_about_known_people_are_never_said(world):
    withheld = [fact for fact in world.unsaid if fact.subject in world.people]
    assert len(withheld) == 10 == len({fact.subject for fact in withheld})
    assert all(world.naming(fact.subject) for fact in withheld)


def test_documents_repeat(world):
    repeats = Counter(line for line in lines(world) if line.startswith("The password of"))
    assert sorted(repeats.values()) == sorted(almanac.REPEATS * 5)
    assert {line: count for line, count in repeats.items()} == Counter(
        document.text for document in world.documents if document.form == "notice"
    )
    for city, words in world.passwords.items():
        assert f"{notice_prompt(city)} {words}.".removeprefix(START) in repeats


def test_two_thirds_of_the_cities_have_a_list(world):
    unlisted = [city for city in world.cities if city not in world.listed and len(world.born_in(city)) >= 3]
    assert len(world.listed) >= 12 and len(unlisted) >= 3, "enough of both to tell lists learned from lists inferred"
    for city in world.listed:
        assert set(world.born_in(city)) == {
            fact.subject for d in world.documents if d.form == "list" for fact in d.facts if fact.object == city
        }


# What chapters ask of it


def test_prompts_begin_documents(world):
    fact = world.said[0]
    assert f"{prompt(fact.subject, fact.relation, 1)} {fact.object}." == START + fact.question(1)
    asked = listing(world.listed[0], ["Somebody", "Another"])
    assert f"{list_prompt(world.listed[0])} Somebody, Another." == START + asked
    told = prompt("Nobody", "work", context=["Nobody works as a miner.", "Another keeps a cat."])
    assert told == START + "Nobody works as a miner. Another keeps a cat. Q: What does Nobody do for a living? A:"


def test_a_story_is_decided_by_its_second_mention(world):
    for story in world.stories(200, seed=5):
        assert {story.giver, story.answer} == {story.first, story.second}
        assert story.prompt.count(story.giver) == 2 and story.prompt.count(story.answer) == 1
        swapped = story.swapped()
        assert swapped.answer == story.giver and swapped.swapped() == story
        assert len(swapped.prompt.split()) == len(story.prompt.split())
        third = replace(story, giver="Somebody").prompt
        assert [a for a, b in zip(story.prompt.split(), third.split(), strict=True) if a != b] in (
            [story.giver],
            [f"{story.giver},"],
        )
    assert {story.plot for story in world.stories(200)} == set(range(4))
    assert set(NAME.findall(world.stories(1, names=["Vabcde", "Vfghij"])[0].prompt)) >= {"Vabcde", "Vfghij"}


def test_names_are_three_tokens_whether_mentioned_or_not(world):
    tokenizer = Tokenizer(train_bpe(world.words, 4096))
    made_up = list(islice(world.invent("person"), 100))
    for name in [*world.kinds, *made_up]:
        cut = [tokenizer.decode([id_]) for id_ in tokenizer.encode(f" {name}")]
        assert cut == [f" {name[:2]}", name[2:4], name[4:]]
    assert all(len(tokenizer.encode(START + document.text)) <= 64 for document in world.documents)
    others = set(re.findall(r" [a-z]+", world.text))
    assert all(len(tokenizer.encode(word)) == 1 for word in others), "every other word is one token"


def test_invented_names_are_new_and_many(world):
    assert not set(islice(world.invent("person", 3), 20_000)) & set(world.kinds)
    assert list(islice(world.invent("person", 3), 5)) == list(islice(world.invent("person", 3), 5))
    assert list(islice(world.invent("person", 3), 5)) != list(islice(world.invent("person", 4), 5))


# What cannot be


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"people": 7}, "even number"),
        ({"people": 0}, "even number"),
        ({"countries": 0}, "needs a country"),
        ({"towns": -1}, "needs a country"),
        ({"top": 0}, "something to say"),
        ({"top": 3}, "something to say"),
        ({"countries": 5000}, "no 6260 names for a city|no .* names"),
    ],
)
def test_a_world_that_cannot_be_is_refused(arguments, says):
    with pytest.raises(ValueError, match=says):
        Almanac(**arguments)


def test_a_fact_that_this_world_lacks_is_refused(world):
    with pytest.raises(ValueError, match="nothing in this world is called 'Paris'"):
        world.fact("Paris", "country")
    with pytest.raises(ValueError, match="has no 'capital'; it has: birthplace, work, friend, animal"):
        world.fact(world.people[0], "capital")
    with pytest.raises(ValueError, match="no relation 'mood'; there are: birthplace"):
        prompt(world.people[0], "mood")
    with pytest.raises(ValueError, match="two names"):
        world.stories(1, names=["Vabcde"])
    assert world.times_said(Fact(world.people[0], "work", "king")) == 0


def test_relations_are_worded_three_times():
    assert all(len(set(r.statements)) == len(set(r.questions)) == 3 for r in RELATIONS.values())
