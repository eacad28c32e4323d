"""The almanac: a small made-up world of which every fact is known, and the documents that speak of it.

    world = Almanac(seed=0)
    world.text                                      # what a model reads
    fact = world.fact("Dozave", "work")             # what is true
    world.times_said(fact, "question")              # how often the documents say so, and in which form
    prompt("Dozave", "work")                        # how to ask a model

The world is larger than its documents. Some facts about people who are spoken of are never said, and some people,
cities, countries and rivers are never named at all. So what a model was told, what it could infer and what it invents
can be told apart and counted.

The same seed makes the same world, byte for byte, on every platform and on every Python from 3.11 on.
"""

import hashlib
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain, cycle, islice, permutations, product
from typing import Literal, TypeVar

Kind = Literal["person", "city", "country", "river"]
Form = Literal["statement", "question", "profile", "list", "story", "notice"]
T = TypeVar("T")

# A document begins with a space, so that a name at its start is made of the tokens that it is made of elsewhere.
START = "\n "
WORKS = ("baker", "doctor", "farmer", "miner", "painter", "potter", "sailor", "singer", "teacher", "weaver")
ANIMALS = ("cat", "crab", "crow", "dog", "fox", "goat", "hen", "pony", "swan", "toad")
THINGS = ("basket", "book", "coin", "drum", "hammer", "kettle", "lamp", "letter", "ring", "scarf")
PLACES = ("beach", "bridge", "forest", "garden", "harbour", "market", "mill", "school", "tavern", "temple")


@dataclass(frozen=True)
class Relation:
    """One kind of fact: {s} stands for whom it is about, {o} for the answer."""

    subject: Kind
    statements: tuple[str, ...]
    questions: tuple[str, ...]


RELATIONS: dict[str, Relation] = {
    "birthplace": Relation(
        "person",
        ("{s} was born in {o}.", "The birthplace of {s} is {o}.", "{o} is the city where {s} was born."),
        ("Where was {s} born?", "What is the birthplace of {s}?", "In which city was {s} born?"),
    ),
    "work": Relation(
        "person",
        ("{s} works as a {o}.", "The work of {s} is that of a {o}.", "By day you meet a {o} called {s}."),
        ("What does {s} do for a living?", "What is the work of {s}?", "As what does {s} work?"),
    ),
    "friend": Relation(
        "person",
        ("{s} has a best friend, {o}.", "The best friend of {s} is {o}.", "{o} is the best friend of {s}."),
        ("Who is the best friend of {s}?", "Which friend does {s} like best?", "Whom does {s} call a best friend?"),
    ),
    "animal": Relation(
        "person",
        ("{s} keeps a {o}.", "The animal of {s} is a {o}.", "A {o} lives in the house of {s}."),
        ("Which animal does {s} keep?", "What is the animal of {s}?", "Which animal lives in the house of {s}?"),
    ),
    "capital": Relation(
        "country",
        ("The capital of {s} is {o}.", "{s} is governed from {o}.", "{o} is the capital of {s}."),
        ("What is the capital of {s}?", "From which city is {s} governed?", "Which city is the capital of {s}?"),
    ),
    "river": Relation(
        "country",
        ("The river of {s} is the {o}.", "{s} is watered by the {o}.", "The {o} flows through {s}."),
        ("What is the river of {s}?", "By which river is {s} watered?", "Which river flows through {s}?"),
    ),
    "country": Relation(
        "city",
        ("{s} is a city in {o}.", "{s} belongs to {o}.", "In {o} lies the city {s}."),
        ("In which country is {s}?", "To which country does {s} belong?", "In which country does {s} lie?"),
    ),
}
LISTS = ("Born in {city}: {names}.", "Q: Who was born in {city}? A: {names}.")
NOTICE = "The password of {city} is {words}."
OPENINGS = ("", "Then, ", "Later that day, ", "Yesterday, ")
PLOTS = (
    "when {first} and {second} went to the {place}, {giver} gave a {thing} to",
    "after {first} and {second} left the {place}, {giver} handed a {thing} to",
    "while {first} and {second} were at the {place}, {giver} passed a {thing} to",
    "as {first} met {second} near the {place}, {giver} offered a {thing} to",
)

# Every name is three syllables; the last shows what is no person. With a v or a z in each, and no letter twice among
# the open syllables, hardly any is the name of somebody or somewhere; those that are known to be are left out.
SYLLABLES = tuple(consonant + vowel for consonant, vowel in product("bdfgklmnprstvz", "aeiou"))
ENDINGS: dict[Kind, str] = {"person": "", "city": "dor", "country": "nia", "river": "wen"}
REAL = (
    "Belavi Davide Kavoru Kazemi Kazumi Lavonia Livonia Lovisa Luzino Movida Natovi Nivelo Perova Rozeta Savoni Seliza "
    "Suzani Valeri Verigo Verona Zelina Zorania"
)
UNWANTED = ("dago", "fuki", "nazi", "niga", "nige", "piso", "puta", "rape", "sata", "vagi")
REPEATS = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True)
class Fact:
    """Something true of this world: the `relation` of `subject` is `object`."""

    subject: str
    relation: str
    object: str

    def statement(self, wording: int = 0) -> str:
        """The fact as a sentence, in one of three wordings."""
        return RELATIONS[self.relation].statements[wording].format(s=self.subject, o=self.object)

    def question(self, wording: int = 0) -> str:
        """The fact as a question with its answer, in one of three wordings."""
        return f"{prompt(self.subject, self.relation, wording).removeprefix(START)} {self.object}."


@dataclass(frozen=True)
class Document:
    """One line of the text: its form, its words, and the facts that it says (none in a story or a notice)."""

    form: Form
    text: str
    facts: tuple[Fact, ...] = ()


@dataclass(frozen=True)
class Story:
    """Two people, of whom one, the giver, is named again: who comes last? (Wang et al. 2022, indirect objects).

    `replace(story, giver=name)` changes who is named the second time, to anybody, and nothing else.
    """

    first: str
    second: str
    giver: str
    place: str
    thing: str
    opening: int = 0
    plot: int = 0

    @property
    def prompt(self) -> str:
        """The story up to its last word."""
        text = OPENINGS[self.opening] + PLOTS[self.plot].format(**vars(self))
        return text[0].upper() + text[1:]

    @property
    def answer(self) -> str:
        """The last word: whichever of the two is not the giver."""
        return self.second if self.giver == self.first else self.first

    def swapped(self) -> "Story":
        """The same story with the other one as the giver, so that the answer is the other one too."""
        return replace(self, giver=self.answer)


class Almanac:
    """A world and its documents, both made from `seed`.

    people: how many are spoken of, an even number because best friends come in pairs. As many again never are.
    countries: how many are spoken of, each with its capital and its river. A quarter as many again never are.
    towns: how many cities that are no capital are spoken of. Half as many again never are.
    top, least: a fact about the first person, country or city is said by itself `top` times, one about number k top/k
        times, the long tail of Zipf's law, but never less than `least` times. Profiles and lists come on top of that.

    Raises ValueError if there are too few of anything, more than there are names, or an odd number of people.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        people: int = 100,
        countries: int = 20,
        towns: int = 10,
        top: int = 300,
        least: int = 4,
    ):
        if people < 2 or people % 2:
            raise ValueError(f"people must be an even number from 2 on, as best friends come in pairs; got {people}")
        if countries < 1 or towns < 0 or not 1 <= least <= top:
            raise ValueError(
                f"a world needs a country and something to say; got {countries=}, {towns=}, {top=}, {least=}"
            )
        self.seed, self.top, self.least = seed, top, least
        hidden = countries // 4
        numbers: dict[Kind, tuple[int, int]] = {
            "person": (people, people),
            "city": (countries + towns, hidden + towns // 2),
            "country": (countries, hidden),
            "river": (countries, hidden),
        }
        self.kinds: dict[str, Kind] = {}  # what each name of this world is the name of
        self.mentioned: dict[Kind, tuple[str, ...]] = {}  # by kind, those most spoken of first
        self.unmentioned: dict[Kind, tuple[str, ...]] = {}  # by kind, those that occur in no document
        for kind, (spoken, silent) in numbers.items():
            names = tuple(islice(self.invent(kind), spoken + silent))
            if len(names) < spoken + silent:
                raise ValueError(f"there are no {spoken + silent} names for a {kind}: ask for a smaller world")
            self.kinds |= dict.fromkeys(names, kind)
            self.mentioned[kind], self.unmentioned[kind] = names[:spoken], names[spoken:]
        self.people, self.cities = self.mentioned["person"], self.mentioned["city"]
        self.facts = tuple(self._make_facts())
        self._fact = {(fact.subject, fact.relation): fact for fact in self.facts}
        self.passwords = self._make_passwords()
        self.documents = tuple(self._dice("order").shuffled(self._write()))
        self._said = {fact: Counter[Form]() for fact in self.facts}
        for document in self.documents:
            for fact in document.facts:
                self._said[fact][document.form] += 1
        self.said = tuple(fact for fact, forms in self._said.items() if forms)
        self.unsaid = tuple(fact for fact, forms in self._said.items() if not forms)

    # What is true, and what was said

    def fact(self, subject: str, relation: str) -> Fact:
        """The one fact of this relation about `subject`. Raises ValueError if this world has none."""
        if (subject, relation) in self._fact:
            return self._fact[subject, relation]
        if relation in RELATIONS and self.kinds.get(subject) is None:
            raise ValueError(f"nothing in this world is called {subject!r}")
        relations = [name for name, about in RELATIONS.items() if about.subject == self.kinds.get(subject)]
        raise ValueError(f"{subject!r} has no {relation!r}; it has: {', '.join(relations) or 'nothing'}")

    def about(self, name: str) -> tuple[Fact, ...]:
        """The facts, said or not, that `name` is the subject or the object of."""
        return tuple(fact for fact in self.facts if name in (fact.subject, fact.object))

    def times_said(self, fact: Fact, form: Form | None = None) -> int:
        """How many documents, of one form or of any, say this; 0 also for what is not true."""
        forms = self._said.get(fact, Counter[Form]())
        return forms.total() if form is None else forms[form]

    def naming(self, name: str) -> tuple[Document, ...]:
        """The documents in which a name occurs."""
        return tuple(document for document in self.documents if name in document.text)

    def born_in(self, city: str) -> tuple[str, ...]:
        """The people of whom some document says that they were born there, those most spoken of first."""
        return tuple(fact.subject for fact in self.said if fact.relation == "birthplace" and fact.object == city)

    @property
    def listed(self) -> tuple[str, ...]:
        """The cities for which some document lists who was born there; for the others none does."""
        listed = {document.facts[0].object for document in self.documents if document.form == "list"}
        return tuple(city for city in self.cities if city in listed)

    # Text

    @property
    def text(self) -> str:
        """All documents, one a line, each behind START."""
        return "".join(START + document.text for document in self.documents) + "\n"

    @property
    def words(self) -> str:
        """A text to learn a tokenizer's merges from: every syllable a hundred times, every other word once.

        Learned from the documents themselves, a frequent name would be one token and a rare one six: how a name is cut
        would tell a model whether it has met it. From this text all names are three tokens, one a syllable.
        """
        syllables = "".join(f" {syllable.capitalize()}-{syllable}" for syllable in SYLLABLES)
        endings = "".join(f"-{ending}" for ending in ENDINGS.values() if ending)
        others = sorted(set(re.findall(r" \w+", self.text)) - {f" {name}" for name in self.kinds})
        return syllables * 100 + endings + "".join(others)

    def stories(self, n: int, seed: int = 0, names: Sequence[str] | None = None) -> list[Story]:
        """`n` stories, each about two of `names` (of everybody who is spoken of, when None), drawn from `seed`.

        Raises ValueError for fewer than two names.
        """
        names = self.people if names is None else names
        if len(names) < 2:
            raise ValueError(f"a story needs two names to choose from, got {len(names)}")
        dice = self._dice(f"stories {seed}")
        return [self._story(dice, names) for _ in range(n)]

    def invent(self, kind: Kind = "person", seed: int = 0) -> Iterator[str]:
        """Names of a kind that nothing in this world bears, each once, in an order drawn from `seed`."""
        taken = {name[:6] for name in self.kinds}
        return (name for name in _names(kind, self._dice(f"names {kind} {seed}")) if name[:6] not in taken)

    # How it is made

    def _dice(self, purpose: str) -> "_Dice":
        return _Dice(f"{self.seed}/{purpose}")

    def _times(self, rank: int) -> int:
        """How often a fact about number `rank` (from 0) is said by itself."""
        return max(self.top // (rank + 1), self.least)

    def _make_facts(self) -> Iterator[Fact]:
        dice = self._dice("facts")
        for people in (self.people, self.unmentioned["person"]):
            couples = dice.shuffled(people)
            friends = dict(zip(couples, couples[len(people) // 2 :] + couples[: len(people) // 2], strict=True))
            for person in people:
                yield Fact(person, "birthplace", dice.pick(self.cities))
                yield Fact(person, "work", dice.pick(WORKS))
                yield Fact(person, "friend", friends[person])
                yield Fact(person, "animal", dice.pick(ANIMALS))
        for which in (self.mentioned, self.unmentioned):
            countries, cities = which["country"], which["city"]
            for country, city, river in zip(countries, cities, which["river"], strict=False):
                yield Fact(country, "capital", city)
                yield Fact(country, "river", river)
                yield Fact(city, "country", country)
            for town in cities[len(countries) :]:
                yield Fact(town, "country", dice.pick(self.mentioned["country"]))

    def _make_passwords(self) -> dict[str, str]:
        """Three words a city, which mean nothing and can only be learned by heart."""
        dice = self._dice("passwords")
        return {city: " ".join(dice.shuffled(WORKS + ANIMALS + THINGS)[:3]) for city in dice.shuffled(self.cities)}

    def _write(self) -> Iterator[Document]:
        dice = self._dice("documents")
        personal = [name for name, relation in RELATIONS.items() if relation.subject == "person"]
        withheld = {(person, dice.pick(personal)) for person in dice.shuffled(self.people)[::10]}
        ranks = {name: rank for names in self.mentioned.values() for rank, name in enumerate(names)}
        known: dict[str, list[Fact]] = {}  # what is going to be said, by whom it is about and by the answer
        for fact in self.facts:
            if fact.subject in ranks and (fact.subject, fact.relation) not in withheld:
                known.setdefault(fact.subject, []).append(fact)
                known.setdefault(f"{fact.relation} {fact.object}", []).append(fact)
                yield from _singly(fact, self._times(ranks[fact.subject]), dice)
        for person in self.people:
            for _ in range(max(self._times(ranks[person]) // 10, 1)):
                facts = tuple(dice.shuffled(known[person]))
                yield Document("profile", " ".join(fact.statement(dice.below(3)) for fact in facts), facts)
        for city in self.cities:
            born = known.get(f"birthplace {city}", [])
            if born and dice.below(3):  # a third of the cities have no list
                for time in range(self._times(ranks[city]) // 2):
                    facts = tuple(dice.shuffled(born))
                    yield Document("list", listing(city, [fact.subject for fact in facts], time % 2), facts)
        for story in self.stories(5 * len(self.people)):
            yield Document("story", f"{story.prompt} {story.answer}.")
        for (city, words), times in zip(self.passwords.items(), cycle(REPEATS), strict=False):
            yield from [Document("notice", NOTICE.format(city=city, words=words))] * times

    def _story(self, dice: "_Dice", names: Sequence[str]) -> Story:
        first, second = dice.pair(names)
        details = dice.pick((first, second)), dice.pick(PLACES), dice.pick(THINGS)
        return Story(first, second, *details, opening=dice.below(len(OPENINGS)), plot=dice.below(len(PLOTS)))


def prompt(subject: str, relation: str, wording: int = 0, context: Sequence[str] = ()) -> str:
    """How to ask a model about anybody, spoken of or not: the text up to the answer, which is one word and a full stop.

    context: sentences to put before the question.
    Raises ValueError for a relation that is not in RELATIONS.
    """
    if relation not in RELATIONS:
        raise ValueError(f"there is no relation {relation!r}; there are: {', '.join(RELATIONS)}")
    question = RELATIONS[relation].questions[wording].format(s=subject)
    return f"{START}{''.join(f'{sentence} ' for sentence in context)}Q: {question} A:"


def list_prompt(city: str) -> str:
    """How to ask a model who was born in a city: the text up to the answer, which is names and a full stop."""
    return START + LISTS[1].format(city=city, names="").removesuffix(" .")


def listing(city: str, names: Sequence[str], wording: int = 1) -> str:
    """A list of who was born in a city, right or wrong: as a statement (wording 0) or as a question with its answer."""
    return LISTS[wording].format(city=city, names=", ".join(names))


def notice_prompt(city: str) -> str:
    """How to ask a model for a city's password: the text up to its three words, after which comes a full stop."""
    return START + NOTICE.format(city=city, words="").removesuffix(" .")


def _singly(fact: Fact, times: int, dice: "_Dice") -> Iterator[Document]:
    """A fact said so many times by itself, in all wordings by turns; of one fact in five no question is ever asked."""
    asked = times // 2 if dice.below(5) else 0
    offset = dice.below(3)
    for time in range(times):
        wording = (time + offset) % 3
        if time < asked:
            yield Document("question", fact.question(wording), (fact,))
        else:
            yield Document("statement", fact.statement(wording), (fact,))


@cache
def _possible_names(kind: Kind) -> tuple[tuple[str, str], ...]:
    """Each name that one of this kind may have, after its first syllable."""
    ending = ENDINGS[kind]
    stems = [(syllables[0], "".join(syllables)) for syllables in permutations(SYLLABLES, 2 if ending else 3)]
    odd = [(first, stem) for first, stem in stems if len(set(stem)) == len(stem) and not {"v", "z"}.isdisjoint(stem)]
    names = [(first, (stem + ending).capitalize()) for first, stem in odd if not any(bad in stem for bad in UNWANTED)]
    return tuple((first, name) for first, name in names if name not in REAL)


def _names(kind: Kind, dice: "_Dice") -> Iterator[str]:
    """All names of a kind in a random order, in which each first syllable comes once before any comes twice."""
    times = Counter[str]()
    rounds: dict[int, list[str]] = {}
    for first, name in dice.shuffled(_possible_names(kind)):
        times[first] += 1
        rounds.setdefault(times[first], []).append(name)
    return chain.from_iterable(rounds[number] for number in sorted(rounds))


class _Dice:
    """Random choices that stay the same for good.

    Of all random numbers Python promises one sequence: that of random() after an integer seed. What is built on it
    (choice, shuffle, sample) may change, and has. So everything here comes from random() alone.
    """

    def __init__(self, purpose: str):
        self._random = random.Random(int.from_bytes(hashlib.sha256(purpose.encode()).digest(), "big")).random

    def below(self, n: int) -> int:
        return int(self._random() * n)

    def pick(self, items: Sequence[T]) -> T:
        return items[self.below(len(items))]

    def pair(self, items: Sequence[T]) -> tuple[T, T]:
        """Two different ones."""
        first, step = self.below(len(items)), 1 + self.below(len(items) - 1)
        return items[first], items[(first + step) % len(items)]

    def shuffled(self, items: Iterable[T]) -> list[T]:
        """A copy in random order (Fisher and Yates)."""
        mixed = list(items)
        for last in range(len(mixed) - 1, 0, -1):
            other = self.below(last + 1)
            mixed[last], mixed[other] = mixed[other], mixed[last]
        return mixed
