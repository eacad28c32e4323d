# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {name: python3, display_name: Python 3, language: python}
#   course: {title: "Byte-pair encoding", points: 51, seconds: 60}
# ---

# %% [markdown]
# A language model reads numbers. This notebook builds the part that turns text into those numbers and back: the
# byte-level byte-pair encoding of GPT-2. When you are done, your tokenizer learns the same vocabulary as the
# `tokenizers` library, written in Rust, and gives the same ids for every text.
#
# The way there: cut text into chunks, learn merges the plain way, learn them again without doing the same work over and
# over, then encode and decode.

# %% given="setup"
import random
from collections import Counter
from operator import mul

from labkit import corpus
from labkit.blanks import unless_blank
from labkit.testing import probes
from labkit.testing.checks import called, check_equal, check_refused
from labkit.testing.answers import fresh_seed
from labkit.predictions import compare_prediction
from solutions.tokenizer import BYTE_TO_ID, ID_TO_BYTE, Pair, byte_characters, byte_ids

# %% [markdown]
# GPT-2's ids 0 to 255 are the 256 bytes. Their order comes from a table that gives every byte a visible character
# (`byte_characters`); the ids follow the code points of those characters. `byte_ids` above applies it. You will meet
# the characters Ġ (a space) and Ċ (the end of a line) wherever people print GPT-2's tokens.
#
# The functions whose names begin with `library` call the `tokenizers` library. Your results are compared with theirs; your
# own answers may not call the library, which would leave nothing to learn.

# %% given="library"
from labkit.testing.oracles import library_chunks, library_merges, library_tokenizer


def random_text(generator: random.Random, pieces: int) -> str:
    """Made-up text with everything in it that is easy to get wrong."""
    awkward = ["a", "aa", "ab", "ba", "the", " the", " ", "  ", "\n", "\t", "'s", "'ll", "'", "’s", "7", "42", "²"]
    awkward += ["é", "e\u0301", "ß", "東京", "Ⅷ", "🙂", "!", "...", "_x", "\u00a0", "\u200b", "A", "'S", "\r\n"]
    awkward += ["'d", "'m", "'t", "'ve", "'re", "٣", "2024", "<|endoftext|>"]
    return "".join(generator.choices(awkward, k=pieces))


def random_words(generator: random.Random, how_many: int) -> dict[tuple[int, ...], int]:
    """Words over three symbols, so that pairs overlap and counts tie, with how often each occurs."""
    words = (tuple(generator.choices([5, 6, 7], k=generator.randrange(1, 9))) for _ in range(how_many))
    return {word: generator.randrange(1, 20) for word in words}


def as_texts(words) -> tuple[list[str], set[str]]:
    """Words as text, a character a symbol, and the pairs in them."""
    texts = ["".join(map(chr, word)) for word in words]
    return texts, {text[i : i + 2] for text in texts for i in range(len(text) - 1)}


def indexed(words) -> dict[Pair, set[int]]:
    texts, pairs = as_texts(words)
    return {tuple(map(ord, pair)): {i for i, text in enumerate(texts) if pair in text} for pair in pairs}


def recount(words, frequencies) -> dict[Pair, int]:
    texts, pairs = as_texts(words)
    places = {pair: [sum(text.startswith(pair, i) for i in range(len(text))) for text in texts] for pair in pairs}
    return {tuple(map(ord, pair)): sum(map(mul, places[pair], frequencies)) for pair in pairs}


def check_list(got, want: list, hint: str, *, mistakes=None):
    """Assert that an answer is a list, or a tuple, of just what is wanted; `hint` says what to look at."""
    assert isinstance(got, list | tuple), f"the result should be a list, but it is {called(got)}"
    if list(got) != want:
        check_equal(list(got), want, hint, mistakes=mistakes or {})


def check_counts(got, want: dict[Pair, int], hint: str, *, mistakes=None):
    """Assert that an answer is a dict with just these pairs and counts."""
    assert isinstance(got, dict), f"the result should be a dict from pairs to counts, but it is {called(got)}"
    if dict(got) != want:
        check_equal(dict(got), want, hint, mistakes=mistakes or {})


def is_pair(value) -> bool:
    return isinstance(value, tuple | list) and len(value) == 2 and not any(isinstance(i, tuple | list) for i in value)


def check_merges(got, want: list[Pair], hint: str, *, mistakes=None):
    """Assert that two lists of merges are equal."""
    assert isinstance(got, list | tuple), f"the result should be a list of merges, but it is {called(got)}"
    other = [merge for merge in got if not is_pair(merge)]
    assert not other, f"a merge should be a pair of ids, but one is {other[0]!r}"
    got = [tuple(pair) for pair in got]
    if got != want:
        # As texts, so that a message shows whole pairs.
        known = {words: list(map(str, merges)) for words, merges in (mistakes or {}).items()}
        check_equal(list(map(str, got)), list(map(str, want)), hint, mistakes=known)


# %% [markdown]
# ## Chunks
#
# Merging may never cross from one word into the next: otherwise "dog.", "dog!" and "dog?" would each grow tokens of
# their own. GPT-2 cuts text first, with a regular expression. It keeps a word together with the space before it.
#
# <details><summary>Hint</summary>
#
# The module `regex` understands `\p{L}` where Python's `re` does not. Alternatives are tried from left to right,
# so write them in the order of the list.
# </details>
#
# <details><summary>Another hint: rule 5</summary>
#
# `(?!X)` is a negative lookahead: it matches nothing itself, and fails where X comes next. A run that may not be followed
# by a certain kind of character gives its last one back, and fits without it.
# </details>

# %% exercise="pre-tokenize" difficulty=3 importance=3 minutes=25 replaces="tokenizers transformers"
from solutions.tokenizer import pre_tokenize


# %% test="pre-tokenize" points=2
def check_chunks(text: str, hint: str, *, mistakes=None):
    """Compare the chunks of a text with the library's."""
    got = pre_tokenize(text)
    assert isinstance(got, list | tuple), f"the result should be a list of chunks, but it is {called(got)}"
    other = [chunk for chunk in got if not isinstance(chunk, str)]
    assert not other, f"each chunk should be a str, but one is {called(other[0])}"
    joined = "".join(got)
    assert joined == text or "" not in got, (
        f"{text!r} becomes {got}, which holds empty chunks and loses text: where a pattern has a group, `findall` "
        "returns only what the group matched"
    )
    assert joined == text or joined != "".join(text.split()), f"{text!r} becomes {got}, without its white space: {hint}"
    assert joined == text, f"{text!r} becomes {got}, which joined is another text: {hint}"
    check_list(got, library_chunks(text), f"{text!r} becomes {got}: {hint}", mistakes=mistakes)


def test_pre_tokenize_visible():
    check_chunks(
        "two words",
        "a word keeps the space before it",
        mistakes={
            "the space stands at the end of a chunk; it belongs to the word after it": ["two ", "words"],
            "the space is a chunk of its own; it belongs to the word after it": ["two", " ", "words"],
        },
    )
    check_chunks(
        "don't they'll",
        "contractions such as 't and 'll are chunks of their own",
        mistakes={"contractions are not cut off their words": ["don't", " they'll"]},
    )
    check_chunks("it's I'd I'm don't we'll I've you're", "each of the seven contractions is a chunk of its own")
    check_chunks(
        "year 2024, v1.5",
        "letters, numbers and other characters are separate chunks",
        mistakes={
            "letters and numbers run together": ["year", " 2024", ",", " v1", ".", "5"],
            "a number of four digits is cut up": ["year", " 202", "4", ",", " v", "1", ".", "5"],
            "a number, too, keeps the space before it": ["year", " ", "2024", ",", " v", "1", ".", "5"],
        },
    )
    check_chunks("yes !? no", "other characters, too, keep the space before them")
    check_chunks(
        "a   b\n\n  c",
        "white space leaves its last character to what follows",
        mistakes={"white space does not leave its last character to what follows": ["a", "   ", "b", "\n\n  ", "c"]},
    )
    check_chunks(
        "one\ntwo",
        "a line break is a chunk of its own, a single one too",
        mistakes={"the line break went into the word's chunk; only a plain space does": ["one", "\ntwo"]},
    )
    check_chunks("ends in spaces   ", "white space at the end of the text is one chunk")
    check_chunks("", "an empty text has no chunks")
    check_refused("bytes are not text", pre_tokenize, b"bytes", error=TypeError)


# %% test="pre-tokenize-unicode" of="pre-tokenize" points=2
def test_pre_tokenize_all_scripts():
    check_chunks("naïve Ελλάδα 東京", "letters are not only a to z: which class holds the letters of all scripts?")
    check_chunks("e\u0301t", "an accent that is a character of its own is not a letter")
    check_chunks("٣4", "numbers are not only 0 to 9: which class holds all of them?")
    check_chunks("7² Ⅷ 1½", "numbers are more than digits: ², Ⅷ and ½ are numbers, too")
    check_chunks("snake_case __init__", "an underscore is neither a letter nor a number")
    check_chunks("DON'T I'LL", "only lower-case contractions count")
    check_chunks("don’t", "the apostrophe of a contraction is the straight one")
    check_chunks("'sunday", "a contraction is cut off wherever it stands, also before letters")
    check_chunks("it 's", "a contraction takes no space before it")
    check_chunks("a\u00a0b\u2003 c\t\td", "white space is more than the space; only a plain space joins what follows")
    check_chunks("<|endoftext|>", "a special token means nothing here: it is cut as any other text")


def test_pre_tokenize_random_hidden():
    generator = random.Random(fresh_seed())
    for _ in range(60):
        check_chunks(
            random_text(generator, 50), "compare the order of your alternatives, and their classes, with the list"
        )


# %% [markdown]
# A chunk becomes the tuple of its bytes' ids, and equal chunks are counted rather than kept: in 2 MB of documentation
# fewer than one chunk in twenty is a new one. We call the distinct chunks words from here on.

# %% given="words"
from solutions.tokenizer import count_words

# %% [markdown]
# ## Learning merges, the plain way
#
# One merge in one word first.

# %% exercise="merge-pair" difficulty=2 importance=4 minutes=15
from solutions.tokenizer import merge_pair


# %% test="merge-pair" points=2
def check_merged(word: list[int] | tuple[int, ...], pair: Pair, want: list[int], hint: str, *, mistakes=None):
    got, (after, *_) = probes.after_call(merge_pair, word, pair, 256)
    check_list(got, want, hint, mistakes=mistakes)
    assert after == word, "the word itself was changed: return a new list"


def test_merge_pair_visible():
    check_merged(
        [3, 1, 2, 4],
        (1, 2),
        [3, 256, 4],
        "the pair becomes one symbol, the new one",
        mistakes={
            "the pair's first symbol became the new one, but its second is still there": [3, 256, 2, 4],
            "the symbols after the pair are lost": [3, 256],
        },
    )
    check_merged(
        [1, 2, 3, 1, 2],
        (1, 2),
        [256, 3, 256],
        "each occurrence merges, also at the end",
        mistakes={"only the first occurrence merged": [256, 3, 1, 2]},
    )
    check_merged(
        [3, 2, 1],
        (1, 2),
        [3, 2, 1],
        "a word without the pair stays as it is",
        mistakes={
            "the last symbol of a word without the pair is lost": [3, 2],
            "the reversed pair merged, too; it is another pair": [3, 256],
        },
    )
    check_merged(
        [1, 1, 1, 2],
        (1, 1),
        [256, 1, 2],
        "of three equal symbols the first two merge",
        mistakes={
            "one symbol went into two merges": [256, 256, 2],
            "of three equal symbols the last two merged; merge from left to right": [1, 256, 2],
        },
    )
    check_merged(
        [1, 1, 1, 1], (1, 1), [256, 256], "four equal symbols are two merges: does your loop skip both symbols?"
    )
    check_merged([11, 2, 1, 20], (1, 2), [11, 2, 1, 20], "symbols are numbers, not text: 11 and 1 are different")


# %% test="merge-pair-random" of="merge-pair" points=1
def test_merge_pair_short_words():
    check_merged([], (1, 2), [], "an empty word stays empty")
    check_merged([1], (1, 1), [1], "a single symbol has no neighbour: mind the end of the word")
    check_merged((1, 2, 3), (1, 2), [256, 3], "a word may be a tuple, too")


def test_merge_pair_random_hidden():
    generator = random.Random(fresh_seed())
    a, b, c = generator.sample([5, 6, 7], k=3)
    # What tells mistakes apart comes in each text: two places, a run, the pair reversed, the last symbol on its own.
    cases = [((a, b, c, a, b), (a, b)), ((c, a, a, a), (a, a)), ((a,) * 5, (a, a)), ((b, a, c), (a, b))]
    cases += [(word, tuple(generator.choices([5, 6, 7], k=2))) for word in random_words(generator, 60)]
    for word, pair in cases:
        text = "".join(map(chr, word)).replace(chr(pair[0]) + chr(pair[1]), chr(256))
        hint = "each place of the pair merges, from the left, a symbol serves once, and nothing else changes"
        check_merged(list(word), pair, list(map(ord, text)), hint)


# %% [markdown]
# Now learn. Count how often each pair of neighbours occurs, merge the pair that occurs most often wherever it stands,
# and start again with the merged words. Which pair goes first if two occur equally often? Any rule would do, but all of
# us must have the same one, or no two vocabularies would be equal.
#
# <details><summary>Hint</summary>
#
# A word that occurs 5 times holds each of its pairs 5 times: no word need be walked through twice. The keys by which
# `min` and `max` compare may be tuples.
# </details>
#
# <details><summary>Another hint</summary>
#
# A merge makes new words; the counts of how often they occur stay.
# </details>

# %% exercise="train-by-recounting" difficulty=3 importance=5 minutes=35 replaces="tokenizers transformers"
from solutions.tokenizer import count_pairs, train_by_recounting


# %% test="count-pairs" of="train-by-recounting" points=2
def test_count_pairs_visible():
    check_counts(
        count_pairs({(1, 2, 3): 1}),
        {(1, 2): 1, (2, 3): 1},
        "a word of three symbols has two pairs of neighbours",
        mistakes={"the last pair of a word is missing": {(1, 2): 1}},
    )
    check_counts(
        count_pairs({(1, 2): 5, (1, 2, 9): 2}),
        {(1, 2): 7, (2, 9): 2},
        "a word that occurs 5 times counts 5 times",
        mistakes={
            "each word counts once, however often it occurs": {(1, 2): 2, (2, 9): 1},
            "a pair has the count of the last word that holds it; add up all words": {(1, 2): 2, (2, 9): 2},
        },
    )
    check_counts(
        count_pairs({(7, 7, 7, 7): 1}),
        {(7, 7): 3},
        "four equal symbols in a row hold the pair at three places",
        mistakes={
            "of places that overlap only some are counted": {(7, 7): 2},
            "a word that holds a pair at three places counts for it only once": {(7, 7): 1},
        },
    )
    check_counts(
        count_pairs({(2, 1): 3, (1, 2): 4}), {(2, 1): 3, (1, 2): 4}, "a pair and its reverse are two different pairs"
    )
    check_counts(
        count_pairs({(4,): 3, (5,): 2}),
        {},
        "a word of one symbol has no pair, and words are not neighbours of each other",
    )
    check_counts(count_pairs({}), {}, "no words, no pairs")


# %% test="count-pairs-random" of="train-by-recounting" points=1
def check_counting(words: dict[tuple[int, ...], int], want: dict[Pair, int]):
    got, (after,) = probes.after_call(count_pairs, words)
    check_counts(got, want, "each place of a pair counts as often as its word occurs")
    assert after == words, "the words were changed by counting them"


def test_count_pairs_leaves_words_alone():
    check_counting({(1, 2, 1, 2): 2, (8,): 2, (2, 3): 5}, {(1, 2): 4, (2, 1): 2, (2, 3): 5})


def test_count_pairs_random_hidden():
    # Two words of one symbol side by side: a pair across words would show.
    words = {(8,): 2, (9,): 3} | random_words(random.Random(fresh_seed()), 60)
    check_counting(words, recount(list(words), list(words.values())))


# %% test="best-pair" of="train-by-recounting" points=2
def check_first(words: dict[Pair, int], want: Pair, hint: str, *, mistakes=None):
    """Learn one merge from words of two symbols, each of which counts just as it says."""
    known = {made: [pair] for made, pair in (mistakes or {}).items()}
    try:
        got = train_by_recounting(words, 257)
    except TypeError as error:
        assert "unhashable" not in str(error), (
            "a list cannot be a key of a dict: `merge_pair` returns a list, and the words are tuples"
        )
        raise
    assert not isinstance(got, list | tuple) or len(got) == 1, (
        f"`vocab_size` counts the 256 bytes and the merges: 257 leaves room for one merge, and you return {len(got)}"
    )
    check_merges(got, [want], f"of {words}: {hint}", mistakes=known)


def test_train_by_recounting_takes_the_best_pair():
    check_first(
        {(3, 3): 2, (1, 2): 7, (9, 9): 6, (0, 0): 5},
        (1, 2),
        "the highest count wins, wherever it stands",
        mistakes={
            "that is the pair with the lowest count": (3, 3),
            "that is the pair with the largest ids; the counts decide": (9, 9),
        },
    )
    check_first(
        {(6, 4): 3, (8, 2): 3, (4, 9): 3, (5, 1): 3, (7, 0): 3, (5, 5): 3},
        (4, 9),
        "among equal counts, the pair with the smaller first id wins",
        mistakes={
            "among equal counts, the pair that was counted first wins; it should be the smallest pair": (6, 4),
            "among equal counts, the pair that was counted last wins; it should be the smallest pair": (5, 5),
            "among equal counts, the largest pair wins; it should be the smallest": (8, 2),
            "among equal counts, the smaller second id wins; the first id comes first": (7, 0),
            "among equal counts, the smaller sum of ids wins; they are compared one after the other": (5, 1),
        },
    )
    check_first(
        {(4, 5): 3, (4, 9): 3, (4, 2): 3}, (4, 2), "among equal counts and first ids, the smaller second id wins"
    )
    check_first({(20, 400): 2, (3, 500): 2}, (3, 500), "ids are compared as numbers, not as text")


def test_train_by_recounting_takes_the_best_pair_hidden():
    generator = random.Random(fresh_seed())
    for _ in range(30):
        pairs = [(generator.randrange(2, 12), generator.randrange(400)) for _ in range(20)]
        words = {pair: generator.randrange(1, 4) for pair in pairs}
        ((*_, first, second), *_) = sorted((-count, *pair) for pair, count in words.items())
        hint = "the highest count wins, then the smaller first id, then the smaller second id"
        check_first(words, (first, second), hint)


# %% test="train-by-recounting" points=2
def library_words(text: str) -> dict[tuple[int, ...], int]:
    return {tuple(byte_ids(chunk)): count for chunk, count in Counter(library_chunks(text)).items()}


def test_train_by_recounting_visible():
    words = {(1, 2, 3, 4): 3, (1, 2, 3): 2, (5, 6): 2}
    check_merges(
        train_by_recounting(words, 258),
        [(1, 2), (256, 3)],
        "count all pairs, merge the best pair everywhere, start again",
        mistakes={
            "the second merge takes a pair that the first one removed: count again in the merged words": [
                (1, 2),
                (2, 3),
            ],
            "the same pair is merged twice: do the merged words take the place of the old ones?": [(1, 2), (1, 2)],
            "the first merge makes id 256, but yours makes 257": [(1, 2), (257, 3)],
            "the first merge makes id 256, but yours makes 255, which is a byte": [(1, 2), (255, 3)],
            "there is one merge too few: `vocab_size` counts the 256 bytes and the merges": [(1, 2)],
            "there is one merge too many: `vocab_size` counts the 256 bytes and the merges": [
                (1, 2),
                (256, 3),
                (257, 4),
            ],
            "`vocab_size` is ignored: it counts the 256 bytes and the merges": [(1, 2), (256, 3), (257, 4), (5, 6)],
        },
    )
    check_merges(
        train_by_recounting(words, 259),
        [(1, 2), (256, 3), (257, 4)],
        "merge number i makes id 256 + i",
        mistakes={"every merge makes the same id": [(1, 2), (256, 3), (256, 4)]},
    )
    text = "low lower lowest new newer newest wide wider widest" * 3
    check_merges(
        train_by_recounting(library_words(text), 275), library_merges(text, 275), "the `tokenizers` library learns this"
    )


# %% test="train-by-recounting-random" of="train-by-recounting" points=2
def check_until_the_end(train, given, want: list[Pair], hint: str, *, mistakes=None):
    """Ask for more merges than there are pairs."""
    train(given, 256 + len(want))  # an error here has another cause
    try:
        got = train(given, 1000)
    except (ValueError, IndexError, KeyError, TypeError):
        raise AssertionError("when no word has a pair left, stop: your code raises an error there") from None
    check_merges(got, want, hint, mistakes=mistakes)


def test_train_by_recounting_ends():
    check_until_the_end(
        train_by_recounting,
        {(5, 6, 7): 1},
        [(5, 6), (256, 7)],
        "stop when no word has a pair left, and not before",
        mistakes={"pairs that occur only once were left out; they merge, too": []},
    )
    assert list(train_by_recounting({(5, 6, 7): 2}, 256)) == [], "256 ids are the bytes alone: no merge"
    hint = "fewer than 256 ids leave some byte without one"
    check_refused(hint, train_by_recounting, {(5, 6, 7): 2}, 255)
    words = {(1, 2, 3, 4): 3, (1, 2, 3): 2, (5, 6): 2}
    _, (after, _) = probes.after_call(train_by_recounting, words, 258)
    assert after == words, "the caller's words were changed"


def test_train_by_recounting_random_hidden():
    generator = random.Random(fresh_seed())
    text = random_text(generator, 400)
    words = library_words(text)
    got, (after, _) = probes.after_call(train_by_recounting, dict(words), 290)
    hint = "in a made-up text: is all counted again after each merge, and each new symbol the next id, from 256 on?"
    check_merges(got, library_merges(text, 290), hint)
    assert after == words, "the caller's words were changed"
    # Ties that each wrong rule decides otherwise: by first id alone, by second id or sum, by the ids as text.
    low, high = generator.randrange(10, 90), generator.randrange(200, 300)
    for first, want in (((low, high), (low, low)), ((high, 5), (low, high)), ((low, 5), (9, high))):
        check_first({first: 2, want: 2}, want, "among equal counts, the smallest pair wins, first id first")
    few = random_text(generator, 6)
    hint = "stop when no word has a pair left, and not before"
    check_until_the_end(train_by_recounting, library_words(few), library_merges(few, 1000), hint)


# %% [markdown]
# How long does your loop take? Below it learns 100 merges from 100 KB of documentation. GPT-2's vocabulary has 50,000
# merges, and they were learned from far more text.

# %% run tags=["nbval-ignore-output"]
if __name__ == "__main__":
    import time

    with unless_blank():
        started = time.process_time()
        train_by_recounting(count_words(corpus.text("train", 100_000)), 356)
        print(f"100 merges by recounting: {time.process_time() - started:.2f} seconds")

# %% [markdown]
# ## The same merges with less work
#
# A merge changes few words, yet the plain loop visits all of them, twice for each merge. You will now write a trainer
# that visits only the words that hold the pair; an index tells it which ones they are.
#
# Predict: 400 merges on the same 100 KB. How many times faster than the plain loop will the trainer with the index be?

# %% run
if __name__ == "__main__":
    predicted_speedup = None  # your guess: how many times faster, for example 3

# %% exercise="index-pairs" difficulty=1 importance=3 minutes=10
from solutions.tokenizer import index_pairs


# %% test="index-pairs" points=1
def check_index(words: list[list[int]], want: dict[Pair, set[int]], hint: str, *, mistakes=None):
    got = index_pairs(words)
    assert isinstance(got, dict), f"the result should be a dict from pairs to positions, but it is {called(got)}"
    for pair, positions in got.items():
        assert isinstance(positions, set | list | tuple), (
            f"{pair} should have a set with the positions of words, but it has {called(positions)}"
        )
        other = [position for position in positions if not isinstance(position, int)]
        assert not other, f"the position of a word is a number, but {pair} has {called(other[0])}"
        assert len(positions) == len(set(positions)), (
            f"{pair} has {list(positions)}: a word that holds the pair twice is named twice"
        )
    check_equal({pair: set(positions) for pair, positions in got.items()}, want, hint, mistakes=mistakes or {})


def test_index_pairs_visible():
    check_index(
        [[9], [1, 2, 1, 2], [1, 2, 3]],
        {(1, 2): {1, 2}, (2, 1): {1}, (2, 3): {2}},
        "for each pair, the positions in the list of the words that hold it",
        mistakes={
            "the last pair of each word is missing": {(1, 2): {1, 2}, (2, 1): {1}},
            "these are positions within a word; the index names words by their position in the list": {
                (1, 2): {0, 2},
                (2, 1): {1},
                (2, 3): {1},
            },
            "a pair has only the last word that holds it": {(1, 2): {2}, (2, 1): {1}, (2, 3): {2}},
            "a pair has only the first word that holds it": {(1, 2): {1}, (2, 1): {1}, (2, 3): {2}},
            "positions count from 0": {(1, 2): {2, 3}, (2, 1): {2}, (2, 3): {3}},
        },
    )
    check_index([], {}, "no words, no pairs")


# %% test="index-pairs-random" of="index-pairs" points=1
def test_index_pairs_of_short_words():
    check_index([[4], [5], []], {}, "a word of one symbol has no pair, and words are not neighbours of each other")
    check_index([[1, 2], [1, 2]], {(1, 2): {0, 1}}, "equal words have a position each")
    words = [[4, 4, 4], [4, 4], [4], [5, 4]]
    check_index(
        words,
        {(4, 4): {0, 1}, (5, 4): {3}},
        "each word that holds a pair is named once, and so is one of equal symbols",
    )


def test_index_pairs_random_hidden():
    words = [list(word) for word in random_words(random.Random(fresh_seed()), 60)]
    words += words[:5]
    check_index(
        words, indexed(words), "for each pair of neighbours, the positions of all words that hold it, and of no others"
    )


# %% [markdown]
# With the index, a merge touches only the words that can hold the pair, and says what came of it.
#
# <details><summary>Hint</summary>
#
# `new_id` was in no word before, so every pair of neighbours in which it occurs is new. Take the positions out of the
# index before you change it.
# </details>

# %% exercise="merge-everywhere" difficulty=4 importance=4 minutes=35
from solutions.tokenizer import merge_everywhere


# %% test="merge-everywhere" points=2
def merged_text(word, pair, new_id) -> list[int]:
    """A word merged by Python's own `str.replace`."""
    return list(map(ord, "".join(map(chr, word)).replace(chr(pair[0]) + chr(pair[1]), chr(new_id))))


def check_everywhere(words, frequencies, pair, where, hint: str):
    """Merge a pair, and compare the words, the gain and the index with what counting all over gives."""
    gained, after = probes.after_call(merge_everywhere, pair, 256, words, frequencies, where)
    assert isinstance(gained, dict), (
        f"the result should be a dict with what the merge gains, but it is {called(gained)}"
    )
    everywhere = [merged_text(word, pair, 256) for word in words]
    merged = [new if i in where[pair] else word for i, (word, new) in enumerate(zip(words, everywhere, strict=True))]
    got = [list(word) for word in after[2]]
    assert got != words or got == merged, "the list `words` is as it was: put each merged word back into it"
    check_list(
        got,
        merged,
        "the list `words` should hold the merged words, in the places where they were",
        mistakes={"a word that the index does not name was changed: look at no other words": everywhere},
    )
    new = {pair: count for pair, count in recount(merged, frequencies).items() if 256 in pair}
    check_counts(
        dict(gained),
        new,
        hint,
        mistakes={
            "the gain counts each word once, however often it occurs": {
                pair: count for pair, count in recount(merged, [1] * len(words)).items() if 256 in pair
            },
            "the gain holds all pairs of the merged words; only those with the new symbol belong in it": recount(
                *zip(*[(merged[i], frequencies[i]) for i in sorted(where[pair])], strict=True)
            ),
            "a word that holds a new pair at several places counts for it only once": {
                pair: sum(frequencies[i] for i in held) for pair, held in indexed(merged).items() if 256 in pair
            },
        },
    )
    assert list(after[3]) == list(frequencies), "frequencies do not change in a merge, but yours did"
    index = {key: set(positions) for key, positions in after[4].items()}
    assert pair not in index, "the merged pair is gone, so it leaves the index"
    entered = {key: positions for key, positions in index.items() if 256 in key}
    assert entered or not new, "no pair with the new symbol entered the index"
    wanted = {key: positions for key, positions in indexed(merged).items() if 256 in key}
    check_equal(entered, wanted, "in the index, a pair with the new symbol should name all words that hold it")
    stay = {key: set(positions) for key, positions in where.items() if key != pair}
    others = {key: positions for key, positions in index.items() if key not in entered}
    check_equal(others, stay, "in the index, the entries of other pairs should stay as they were")


def test_merge_everywhere_visible():
    words = [[1, 2, 3, 4], [1, 2], [3, 1]]
    hint = "how often each pair with the new symbol occurs, in all words that have it"
    check_everywhere(words, [10, 5, 2], (1, 2), indexed(words), hint)
    words = [[1, 2, 1, 2, 1, 2], [3, 1, 2, 1, 2, 4]]
    hint = "several merges in one word: two new symbols may be neighbours, and each place counts"
    check_everywhere(words, [1, 10], (1, 2), indexed(words), hint)
    words = [[4, 4, 4, 4, 4]]
    check_everywhere(words, [3], (4, 4), indexed(words), "five equal symbols: count the neighbours after merging")


# %% test="merge-everywhere-index" of="merge-everywhere" points=1
def test_merge_everywhere_trusts_the_index():
    hint = "a word that lost the pair earlier has nothing to gain"
    check_everywhere([[1, 2, 3], [1, 2, 3], [7, 8, 9]], [1, 1, 5], (1, 2), {(1, 2): {1, 2}, (7, 8): {2}}, hint)


def test_merge_everywhere_random_hidden():
    # One word has the same new pair at two places.
    counted = {(5, 6, 7, 5, 6, 7): 2} | random_words(random.Random(fresh_seed()), 60)
    words = [list(word) for word in counted]
    frequencies = list(counted.values())
    hint = "what is gained should equal a recount of the pairs with the new symbol, each place as often as its word"
    check_everywhere(words, frequencies, (5, 6), indexed(words), hint)
    stale = indexed(words) | {(5, 6): set(range(0, len(words), 2))}
    check_everywhere(words, frequencies, (5, 6), stale, hint)


# %% test="fewer-visits" of="merge-everywhere" points=1
def test_merging_by_index_looks_at_far_fewer_pairs():
    text = corpus.text("train", 4_000)
    counted = library_words(text)
    words = [list(word) for word in counted]
    frequencies = list(counted.values())
    where, plain, indexed_visits = indexed(words), 0, 0
    for rank, pair in enumerate(library_merges(text, 276)):
        plain += sum(len(word) - 1 for word in words)
        indexed_visits += sum(len(words[position]) - 1 for position in where[pair])
        _, (_, _, words, _, where) = probes.after_call(merge_everywhere, pair, 256 + rank, words, frequencies, where)
    assert plain > 4 * indexed_visits, (
        f"the index sends you to {indexed_visits:,} pairs where counting all over takes {plain:,}: "
        "does it name words that never held the pair?"
    )
    words, (pair, *_) = [list(word) for word in counted], library_merges(text, 257)
    named = len(indexed(words)[pair])
    made = probes.calls(merge_everywhere, pair, 256, [*map(list, words)], list(frequencies), indexed(words))
    assert made.get("merge_pair", 0) <= 2 * named, (
        f"your code merges in {made['merge_pair']:,} words, and the index names {named:,}: look at no others"
    )
    check_everywhere(
        words, frequencies, pair, indexed(words), "the gain in documentation, as counting all over gives it"
    )


# %% [markdown]
# The counts need no word at all. Think of `(3, 256)` that came from merging `(1, 2)`: what stood in its place?
#
# <details><summary>Hint</summary>
#
# `3, 1, 2` held `(3, 1)`. If both ends are the new symbol, the place was `1, 2, 1, 2`: the pair between them was `(2,
# 1)`.
# </details>

# %% exercise="update-counts" difficulty=4 importance=4 minutes=35
from solutions.tokenizer import update_counts


# %% test="update-counts" points=2
def check_update(words, frequencies, pair, hint: str):
    """Bring counts up to date after a merge, and compare with counting all over."""
    before, after = recount(words, frequencies), recount([merged_text(word, pair, 256) for word in words], frequencies)
    gained = {key: count for key, count in after.items() if 256 in key}
    try:
        _, (got, *_) = probes.after_call(update_counts, before, pair, 256, gained)
    except KeyError as error:
        key = str(error.args[0]) if error.args else "a pair"
        held = key in map(str, before)
        raise AssertionError(
            f"your code looks for {key} in `counts` {'after it took it out' if held else 'and no word held it'}: {hint}"
        ) from None
    got = dict(got)
    assert got != before, "`counts` is as it was before the call: change it in place"
    assert pair not in got, "the merged pair should leave `counts`, and yours keeps it"
    lost = {key: count for key, count in got.items() if count < 0}
    assert not lost, f"the counts fall below 0 for {lost}: {hint}"
    pairs = sorted({*before, *after, *got} - {pair})  # one that counts 0 may stay or go

    def filled(counts) -> dict[Pair, int]:
        return {key: counts.get(key, 0) for key in pairs}

    check_counts(
        filled(got),
        filled(after),
        hint,
        mistakes={
            "no count fell: the merge took pairs away, too": filled(before | gained),
            "the pairs with the new symbol did not enter `counts`": filled(
                {k: n for k, n in after.items() if 256 not in k}
            ),
        },
    )


def test_update_counts_visible():
    check_update([[1, 2, 3]], [10], (1, 2), "the new symbol and 3 stand where 2 and 3 stood")
    check_update([[3, 1, 2]], [10], (1, 2), "3 and the new symbol stand where 3 and 1 stood")
    words = [[1, 2, 3], [2, 3], [3, 1]]
    check_update(words, [1, 2, 4], (1, 2), "a pair may go on occurring elsewhere: take off only what was lost")


# %% test="update-counts-random" of="update-counts" points=1
def test_update_counts_between_new_symbols():
    check_update([[1, 2, 1, 2]], [3], (1, 2), "two new symbols stand where 2 and 1 stood")
    words = [[4, 4, 4, 4, 4], [4, 4]]
    check_update(words, [2, 1], (4, 4), "in a run of equal symbols, the merged pair itself stood between two merges")


def test_update_counts_random_hidden():
    generator = random.Random(fresh_seed())
    for pair in [(5, 6), (6, 6), (7, 5)]:
        counted = random_words(generator, 60)
        words = [list(word) for word in counted]
        frequencies = list(counted.values())
        check_update(words, frequencies, pair, "made-up words: take off what stood where each gained pair stands now")


# %% [markdown]
# Last part: which pair is best now, without looking at all of them? A heap finds the largest entry quickly, but cannot
# change an entry when a count falls. The way out is to be lazy: leave it, and check when it comes out on top.
#
# <details><summary>Hint</summary>
#
# `heapq` keeps the smallest entry in front, which is why counts are negative; equal counts then order by pair, as the
# rule wants. Read `heapq.heappop` and `heapq.heappush`.
# </details>

# %% exercise="pop-best" difficulty=3 importance=3 minutes=25
from solutions.tokenizer import pop_best


# %% test="pop-best" points=1
class Counted(dict):
    """Counts that can be looked up so often, and no more: a loop without an end stops there."""

    left = 10_000

    def look(self):
        self.left -= 1
        assert self.left > 0, (
            "your loop does not end: an entry goes back, comes out on top, and goes back again. Its count is true by then, "
            "so compare with care: an entry holds minus the count"
        )

    def __getitem__(self, pair):
        self.look()
        return super().__getitem__(pair)

    def __contains__(self, pair):
        self.look()
        return super().__contains__(pair)

    def get(self, pair, default=None):
        self.look()
        return super().get(pair, default)


def check_popped(heap, counts, want: Pair | None, left: list, hint: str, *, mistakes=None):
    """Pop once, and compare the pair with `want` and what stays on the heap with `left`."""
    try:
        got, (after, counts_after) = probes.after_call(pop_best, heap, Counted(counts))
    except (KeyError, IndexError) as error:
        raise AssertionError(f"your code raises {type(error).__name__}: {hint}") from None
    assert got is None or is_pair(got), f"the result should be a pair of ids or None, but it is {got!r}"
    known = {words: str(pair) for words, pair in (mistakes or {}).items()}
    check_equal(str(got if got is None else tuple(got)), str(want), hint, mistakes=known)
    rest = [str((count, tuple(pair))) for count, pair in sorted(after)]
    check_equal(rest, list(map(str, left)), f"the pair is right, but the heap afterwards is not; {hint}")
    assert counts_after == counts, "`counts` was changed: only the heap changes"


def test_pop_best_visible():
    counts = {(3, 4): 9, (1, 2): 7}
    check_popped(
        [(-9, (3, 4)), (-7, (1, 2))], counts, (3, 4), [(-7, (1, 2))], "an entry whose count is true leaves the heap"
    )
    check_popped(
        [(-9, (3, 4)), (-7, (1, 2))],
        {(3, 4): 2, (1, 2): 7},
        (1, 2),
        [(-2, (3, 4))],
        "an entry that is out of date goes back with its true count",
        mistakes={"(3, 4) is on top, but counts only 2 by now: its entry is out of date": (3, 4)},
    )


# %% test="pop-best-stale" of="pop-best" points=2
def drawn(heap, counts) -> list[Pair]:
    """All pairs that come off a heap, each leaving the counts when it comes."""
    pairs = []
    for _ in range(len(heap) + 1):
        pair, (heap, _) = probes.after_call(pop_best, heap, Counted(counts))
        if pair is None:
            return pairs
        pairs.append(tuple(pair))
        counts = {key: count for key, count in counts.items() if key != pairs[-1]}
    raise AssertionError("more pairs come off the heap than there are: do pairs without a count come back?")


def test_pop_best_forgets():
    check_popped([], {}, None, [], "an empty heap has no best pair: return None")
    heap = [(-9, (3, 4)), (-7, (1, 2))]
    mistakes = {"(3, 4) counts 0 and came back all the same": (3, 4)}
    check_popped(
        heap, {(3, 4): 0, (1, 2): 7}, (1, 2), [], "a pair that counts 0 leaves the heap for good", mistakes=mistakes
    )
    check_popped(
        heap, {(1, 2): 7}, (1, 2), [], "a pair that is no longer in `counts` counts 0, so its entry goes for good"
    )
    check_popped([(-3, (1, 1))], {(1, 1): 0}, None, [], "when every pair counts 0, none is left: return None")
    # (0, 0) counts 8 by now, as (5, 5) does, and is the smaller pair.
    heap, counts = [(-9, (0, 0)), (-8, (5, 5)), (-7, (1, 2))], {(0, 0): 8, (5, 5): 8, (1, 2): 1}
    hint = (
        "the highest count comes first, among equals the smaller pair: is the heap still one when an entry goes back?"
    )
    check_list(drawn(heap, counts), [(0, 0), (5, 5), (1, 2)], hint)


def test_pop_best_order_hidden():
    generator = random.Random(fresh_seed())
    pairs = [(generator.randrange(30), generator.randrange(30)) for _ in range(80)]
    counts = {pair: generator.randrange(6) for pair in pairs}
    heap = sorted((-max(1, count + generator.randrange(4)), pair) for pair, count in counts.items())
    counts = {pair: count for pair, count in counts.items() if count or generator.random() < 0.5}
    expected = [pair for _, pair in sorted((-count, pair) for pair, count in counts.items() if count)]
    hint = "pairs should come highest count first, smaller pair first among equals, though entries are out of date"
    try:
        got = drawn(heap, counts)
    except KeyError:
        raise AssertionError("a pair on the heap may have left the counts: it then counts 0") from None
    check_list(got, expected, hint)


# %% [markdown]
# Put together: set up words, index, counts and heap once; then merge, update, push what was gained.

# %% exercise="train-bpe" difficulty=3 importance=5 minutes=30 replaces="tokenizers transformers"
from solutions.tokenizer import train_bpe


# %% test="train-bpe" points=3
def learned(text: str, vocab_size: int) -> list[Pair]:
    """What `train_bpe` learns; a pair that it looks for in vain is named."""
    try:
        return train_bpe(text, vocab_size)
    except KeyError as error:
        raise AssertionError(
            f"your code looks for {error.args[0]} in vain: do `merge_everywhere` and `update_counts` get the same pair and "
            "the same new id, the next one from 256 on?"
        ) from None


def test_train_bpe_visible():
    a, b, c, d, e, x, y = byte_ids("abcdexy")
    # (a, b) 11 times, (b, c) 6 times in three words, (e, a) 5 times in one, (x, y) and (c, d) twice, (c, e) once
    text = "\n".join(["xy", "xy", "abcd", "abcd", "abc", "abc", "abc", "abce", *["eab"] * 5])
    check_merges(
        learned(text, 257),
        [(a, b)],
        "the first merge takes the pair that occurs most often",
        mistakes={
            "the first merge takes the pair that comes first in the text: are the entries a heap from the start?": [
                (x, y)
            ],
            "the first merge takes the pair that occurs least often: an entry of the heap holds minus the count": [
                (c, e)
            ],
            "you return no merge although one was asked for: `vocab_size` counts the 256 bytes and the merges": [],
            "there is one merge too many: `vocab_size` counts the 256 bytes and the merges": [(a, b), (256, c)],
        },
    )
    check_merges(
        learned(text, 258),
        [(a, b), (256, c)],
        "the second merge takes the pair that occurs most often after the first",
        mistakes={
            "the second merge passes over a pair that the first one gained: look at what goes onto the heap": [
                (a, b),
                (c, d),
            ],
            "the second merge takes a pair that the first one removed: its count should fall": [(a, b), (b, c)],
            "each word counts once for what a merge gains, however often it occurs": [(a, b), (e, a)],
            "the first merge makes id 256, but yours makes 257": [(a, b), (257, c)],
            "the first merge makes id 256, but yours makes 255, which is a byte": [(a, b), (255, c)],
            "the merges come last first; the order is the one in which they are learned": [(256, c), (a, b)],
            "the merges come last first, and their ids with them": [(257, c), (a, b)],
        },
    )
    text = "low lower lowest new newer newest wide wider widest" * 3
    hint = "are index, counts and heap all brought up to date after each merge?"
    check_merges(learned(text, 275), library_merges(text, 275), hint)


def test_train_bpe_documentation_hidden():
    text = corpus.text("train", 20_000)
    hint = "in documentation: do the pairs that a merge gains reach the heap?"
    check_merges(train_bpe(text, 400), library_merges(text, 400), hint)


# %% test="train-bpe-random" of="train-bpe" points=1
def test_train_bpe_ends():
    p, q, r = byte_ids("pqr")
    check_until_the_end(
        train_bpe,
        "pqr",
        [(p, q), (256, r)],
        "stop when no word has a pair left, and not before",
        mistakes={"pairs that occur only once were left out; they merge, too": []},
    )
    check_until_the_end(train_bpe, "", [], "an empty text has nothing to merge")
    assert list(train_bpe("abab", 256)) == [], "256 ids are the bytes alone: that is allowed, and leaves no merge"
    check_refused("fewer than 256 ids leave some byte without one", train_bpe, "abab", 255)
    check_refused("bytes are not text", train_bpe, b"abab", 300, error=TypeError)
    text = "aaaa aaa baab\n" * 3 + "abba bab"
    hint = "with runs of a symbol and ties: do counts fall, too, and does the smaller pair go first among equals?"
    check_merges(train_bpe(text, 262), library_merges(text, 262), hint)


def check_work(text: str, vocab_size: int):
    """Assert that training does not walk through all words at each merge."""
    made = probes.calls(train_bpe, text, vocab_size)
    assert not made.get("train_by_recounting"), (
        "it is the plain loop that you call: keep index, counts and heap instead"
    )
    visits, plain = made.get("merge_pair", 0), len(library_words(text)) * (vocab_size - 256)
    assert 2 * visits < plain, (
        f"your code merges in {visits:,} words, and the plain loop would in {plain:,}: "
        "a merge should look only at the words that the index names"
    )
    for name, done in (("count_pairs", "count all pairs"), ("index_pairs", "make the index")):
        assert made.get(name, 0) < 2, (
            f"you {done} {made[name]:,} times (`{name}`), and once is enough: `merge_everywhere` and `update_counts` keep "
            "index and counts up to date"
        )
    repeated = probes.calls(train_bpe, "\n".join([text] * 10), vocab_size).get("merge_pair", 0)
    assert repeated < 4 * max(visits, 1), (
        f"your code merges in {visits:,} words, and in {repeated:,} where the same text comes ten times over: keep equal "
        "chunks as one word, with how often it occurs"
    )


def test_train_bpe_looks_at_few_words():
    check_work(corpus.text("train", 3_000), 290)


def test_train_bpe_random_hidden():
    generator = random.Random(fresh_seed())
    text = random_text(generator, 3000)
    hint = "in a made-up text with runs and ties: do counts fall too, and does the smaller pair go first among equals?"
    check_merges(train_bpe(text, 330), library_merges(text, 330), hint)
    few = random_text(generator, 6)
    check_until_the_end(train_bpe, few, library_merges(few, 1000), "stop when no word has a pair left, and not before")
    check_work(text, 330)


# %% test="compression" of="train-bpe" points=1
def test_merges_shorten_text_they_never_saw():
    merges = [tuple(pair) for pair in train_bpe(corpus.text("train", 20_000), 384)]
    assert all(max(pair) < 256 + rank for rank, pair in enumerate(merges)), (
        "a merge uses an id that only a later one makes: are the merges in the order they were learned?"
    )
    held_out = corpus.text("heldout", 10_000)
    rates = [len(held_out.encode()) / len(library_tokenizer(merges[:n]).encode(held_out).ids) for n in (0, 32, 128)]
    assert rates[0] < rates[1] < rates[2], "more merges should mean fewer tokens on held-out text"
    assert rates[2] > 1.3, (
        f"{rates[2]:.2f} bytes a token on held-out text: the merges should come from the most frequent pairs"
    )


# %% [markdown]
# ## What did the index save?
#
# Both of your trainers learn 50, 100, 200 and 400 merges from the same text. The plain loop takes a few seconds.

# %% run tags=["nbval-ignore-output"]
if __name__ == "__main__":
    import matplotlib.pyplot as plt

    with unless_blank():
        learned_from = corpus.text("train", 100_000)
        words, merges_made = count_words(learned_from), [50, 100, 200, 400]
        trainers = {
            "recounting": lambda size: train_by_recounting(words, size),
            "with the index": lambda size: train_bpe(learned_from, size),
        }
        seconds = {name: [] for name in trainers}
        for n in merges_made:
            for name, train in trainers.items():
                started = time.process_time()
                train(256 + n)
                seconds[name].append(time.process_time() - started)
            print(f"{n} merges:", ", ".join(f"{name} {taken[-1]:.2f} s" for name, taken in seconds.items()))
        speedup = seconds["recounting"][-1] / seconds["with the index"][-1]
        compare_prediction("speed", predicted_speedup, round(speedup), unit="times faster")

        plt.figure(figsize=(6, 2.8))
        for name, taken in seconds.items():
            plt.plot(merges_made, taken, marker="o", label=name)
        saved = f"with the index {speedup:.0f} times faster" if speedup >= 2 else "the index saves little here"
        plt.title(f"{merges_made[-1]} merges: {saved}")
        plt.xlabel("merges learned from 100 KB")
        plt.ylabel("seconds")
        plt.legend()
        plt.show()

# %% [markdown]
# <details><summary>What the figure shows</summary>
#
# The plain loop takes about equally long for every merge, so its line is nearly straight. With the index, cutting the text
# and setting up come once, and take a good part of the time; a merge then takes little. So the more merges, the more the
# index saves.
# </details>

# %% [markdown]
# ## From ids to text
#
# What does an id stand for? A byte, or the two things it was merged from, or a special token.

# %% exercise="vocabulary" difficulty=1 importance=3 minutes=10
from solutions.tokenizer import vocabulary


# %% test="vocabulary" points=1
def check_vocabulary(merges: list[Pair], special: list[str], hint: str, *, mistakes=None):
    """Compare with the library's vocabulary."""
    got = vocabulary(merges, special) if special else vocabulary(merges)
    assert isinstance(got, list | tuple), f"the result should be a list, but it is {called(got)}"
    other = [token for token in got if not isinstance(token, bytes)]
    assert not other, f"each entry should be bytes, but one is {called(other[0])}"
    byte_of = {character: byte for byte, character in enumerate(byte_characters())}
    ids = library_tokenizer(merges).get_vocab()
    tokens = [bytes(byte_of[c] for c in token) for token in sorted(ids, key=ids.get)]
    last = [token.encode() for token in special]
    check_list(
        got[:256],
        tokens[:256],
        "the first 256 entries are the bytes, in the order of `ID_TO_BYTE`",
        mistakes={
            "id 0 is not byte 0: the ids of bytes follow `ID_TO_BYTE`": [bytes([i]) for i in range(256)],
            "special tokens come last, but yours come first": [*last, *tokens][:256],
        },
    )
    check_list(got[256:], [*tokens[256:], *last], hint, mistakes=mistakes)


def test_vocabulary_visible():
    h, a, space = byte_ids("ha ")
    check_vocabulary(
        [(h, a), (space, 256)],
        [],
        "each merge adds an entry: those of its two ids, joined",
        mistakes={"the two halves of a merge are joined the wrong way round": [b"ah", b"ah "]},
    )
    check_vocabulary([(0, 1), (1, 0)], [], "0 is an id like any other, in either half")
    check_vocabulary(
        [(h, a)],
        ["→", "<|end|>"],
        "special tokens come last, in the order of the list, as UTF-8",
        mistakes={
            "the special tokens are missing": [b"ha"],
            "the special tokens come before the merges": ["→".encode(), b"<|end|>", b"ha"],
            "the special tokens are in another order than in the list": [b"ha", b"<|end|>", "→".encode()],
        },
    )


# %% test="vocabulary-special" of="vocabulary" points=1
def test_vocabulary_refuses():
    check_refused("a merge may not use an id that only a later merge makes", vocabulary, [(1, 2), (258, 1), (3, 4)])
    for own in ([(3, 256)], [(256, 3)]):
        check_refused("a merge may not use the id that it makes itself", vocabulary, own)
    for negative in ([(-1, 2)], [(2, -1)]):
        check_refused("no id is negative", vocabulary, negative)


def test_vocabulary_random_hidden():
    generator = random.Random(fresh_seed())
    merges = library_merges(random_text(generator, 300), 280)
    special = generator.sample(["<|end|>", "→", "[x]+", "é"], k=3)
    check_vocabulary(merges, special, "the entries of merges, then special tokens in their order, as UTF-8")
    for bad in (256 + len(merges), -generator.randrange(1, 200)):
        for pair in ((bad, 5), (5, bad)):
            check_refused("a merge may only use ids that exist before it", vocabulary, [*merges, pair])


# %% [markdown]
# Decoding is looking up, with one trap: 京 is three bytes, and a token may hold only some of them.

# %% exercise="decode" difficulty=2 importance=4 minutes=15 replaces="tokenizers transformers"
from solutions.tokenizer import decode


# %% test="decode" points=1
def check_decoded(ids, merges, special, want: str, hint: str, *, mistakes=None):
    try:
        got = decode(ids, merges, special)
    except ValueError as error:
        raise AssertionError(f"{list(ids)} are known ids, and your code raises an error ({error}): {hint}") from None
    assert isinstance(got, str), f"the result should be a str, but it is {called(got)}"
    check_equal(got, want, hint, mistakes=mistakes or {})


def test_decode_visible():
    check_decoded([], [], [], "", "no ids, no text")
    check_decoded(
        byte_ids("haha!"),
        [],
        [],
        "haha!",
        "ids of bytes stand for `ID_TO_BYTE`",
        mistakes={"ids of bytes stand for `ID_TO_BYTE`, and not for themselves": "G@G@\0"},
    )
    check_decoded([256, 0], [tuple(byte_ids("ha"))], [], "ha!", "a merge's id stands for all of its bytes")
    check_decoded(
        byte_ids("東京"),
        [],
        [],
        "東京",
        "a character may be spread over several ids: put all bytes together before you decode them",
    )
    check_decoded([0, 256], [], ["<|end|>"], "!<|end|>", "special tokens have the ids after the merges'")


# %% test="decode-any-ids" of="decode" points=2
def test_decode_ids_that_are_no_text():
    check_decoded(
        [0, *byte_ids("東")[:2], 0],
        [],
        [],
        "!\ufffd!",
        "bytes that are not valid UTF-8 become U+FFFD",
        mistakes={
            "bytes that are not valid UTF-8 are lost; they become U+FFFD": "!!",
            "an unfinished character becomes one U+FFFD, and yours one for each byte": "!\ufffd\ufffd!",
        },
    )
    check_refused("an id beyond the vocabulary", decode, [0, 256], [])
    check_refused("an id beyond the special tokens", decode, [257], [], ["<|end|>"])
    check_refused("a negative id", decode, [-1], [])
    assert probes.given_iterator(decode, byte_ids("ha"), []) == "ha", (
        "ids may come from an iterator, which gives each of them once: go through it once, or make a list of it first"
    )


def test_decode_any_ids_hidden():
    generator = random.Random(fresh_seed())
    merges = library_merges(random_text(generator, 500), 300)
    library = library_tokenizer(merges, ["<|end|>"])
    for _ in range(50):
        ids = [generator.randrange(301) for _ in range(8)]
        expected = library.decode(ids, skip_special_tokens=False)
        hint = "bytes that are not valid UTF-8 become U+FFFD, and nothing else is lost"
        check_decoded(ids, merges, ["<|end|>"], expected, hint)
    for bad in (301, -generator.randrange(1, 300)):
        check_refused("an id outside the vocabulary, a negative one too", decode, [0, bad], merges, ["<|end|>"])


# %% [markdown]
# ## From text to ids
#
# Encoding replays training on one chunk at a time. The rule is not "longest token first" and not "from the left": of
# the known pairs in the chunk, the one that was learned first merges first.

# %% exercise="encode-chunk" difficulty=3 importance=4 minutes=25 replaces="tokenizers transformers"
from solutions.tokenizer import encode_chunk


# %% test="encode-chunk" points=1
def cut(pieces: str, new_ids: dict[Pair, int]) -> list[int]:
    """The ids of a chunk that is written with | between its pieces, each of them a letter or a known pair."""
    return [i for piece in pieces.split("|") for i in ([new_ids[*byte_ids(piece)]] if piece[1:] else byte_ids(piece))]


def test_encode_chunk_visible():
    h, a, b, c = byte_ids("habc")
    check_list(
        encode_chunk("hé", {}),
        byte_ids("hé"),
        "without merges a chunk is the ids of its bytes",
        mistakes={
            "these are code points; the ids of a chunk's bytes come from `byte_ids`": [104, 233],
            "these are the bytes themselves; their ids come from `byte_ids`": [104, 195, 169],
        },
    )
    try:
        got = encode_chunk("haha", {(h, a): 256, (256, 256): 257})
    except (ValueError, IndexError) as error:
        raise AssertionError(
            f"your code raises {type(error).__name__} ({error}): when a single id is left there is no pair, and you are done"
        ) from None
    mistakes = {"pairs of the new symbols did not merge": [256, 256]}
    check_list(got, [257], "merge until no known pair is left", mistakes=mistakes)
    new_ids = {tuple(byte_ids(pair)): 256 + i for i, pair in enumerate(["pp", "mi", "is", "ss", "si", "ip"])}
    check_list(
        encode_chunk("mississippi", new_ids),
        cut("mi|ss|is|si|pp|i", new_ids),
        "the pair that was learned first merges first",
        mistakes={
            f"{rule} merged first; the one that was learned first should": cut(pieces, new_ids)
            for rule, pieces in {
                "the pair that was learned last": "m|is|si|ss|ip|p|i",
                "the pair furthest to the left": "mi|ss|i|ss|ip|p|i",
                "the pair furthest to the right": "m|is|si|s|si|pp|i",
                "the pair with the smallest ids": "m|is|s|is|s|ip|p|i",
                "the pair with the largest ids": "mi|ss|i|ss|i|pp|i",
                "the pair that occurs most often in the chunk": "m|is|s|is|si|pp|i",
            }.items()
        },
    )
    check_list(
        encode_chunk("hah", {(h, a): 256, (a, h): 257}),
        [256, h],
        "the pair that was learned first merges first",
        mistakes={"the pair that was learned last merged first": [h, 257]},
    )
    check_list(
        encode_chunk("hah", {(a, h): 256, (h, a): 257}),
        [h, 256],
        "the pair that was learned first merges first",
        mistakes={"the pair furthest to the left merged first; the one learned first should": [257, h]},
    )
    check_list(
        encode_chunk("abc", {(b, c): 256, (a, b): 257, (257, c): 258}),
        [a, 256],
        "the pair that was learned first merges first",
        mistakes={"the longest token was taken; it would be made by another order of merges": [258]},
    )
    check_list(
        encode_chunk("!ha", {(h, a): 256}),
        [0, 256],
        "a pair that is not known does not merge, and does not stop one further right that is known",
    )


# %% test="encode-chunk-random" of="encode-chunk" points=2
def check_chunk_ids(text: str, chunks: list[str]):
    """Compare with the library, which learns its merges from `text`."""
    merges = library_merges(text, 400)
    library, new_ids = library_tokenizer(merges), {pair: 256 + rank for rank, pair in enumerate(merges)}
    for chunk in chunks:
        got = encode_chunk(chunk, new_ids)
        hint = "from the ids of its bytes on, is it always the earliest learned pair of all that are there?"
        check_list(got, library.encode(chunk).ids, f"{chunk!r} becomes {got}: {hint}")


def test_encode_chunk_as_the_library():
    check_chunk_ids("bc bc bc bc ab ab ab", ["abc"])
    check_chunk_ids("a aa aaa abab ab café 東京 🙂" * 3, ["aaaaaaaaa", "ababababab", " café", "東京", "🙂", "ß"])


def test_encode_chunk_random_hidden():
    generator = random.Random(fresh_seed())
    chunks = sorted(set(library_chunks(random_text(generator, 300))))
    check_chunk_ids(random_text(generator, 3000), ["a" * 9, "ab" * 7, *chunks])


# %% exercise="encode" difficulty=1 importance=5 minutes=10 replaces="tokenizers transformers"
from solutions.tokenizer import encode


# %% test="encode" points=2
def check_ids(got, want: list[int], hint: str, *, mistakes=None):
    assert isinstance(got, list | tuple), f"the result should be a list of ids, but it is {called(got)}"
    other = [i for i in got if isinstance(i, list | tuple)]
    assert not other, f"the result should be one list of ids, but it holds {called(other[0])}: join the chunks' lists"
    check_list(got, want, hint, mistakes=mistakes)


def test_encode_visible():
    h, a, space = byte_ids("ha ")
    check_ids(
        encode("ha ha ha", [(h, a), (space, 256)]),
        [256, 257, 257],
        "the ids of all chunks, one after the other",
        mistakes={
            "merge number i makes id 256 + i, but yours makes i": [0, space, 0, space, 0],
            "merge number i makes id 256 + i, but yours makes 257 + i": [257, space, 257, space, 257],
            "each distinct chunk came only once; a text may repeat it": [256, 257],
        },
    )
    check_ids(
        encode("ha ha", [(a, space), (h, a)]),
        [257, space, 257],
        "merge within each chunk",
        mistakes={"a merge crossed from one chunk into the next": [h, 256, 257]},
    )
    check_ids(encode("", [(h, a)]), [], "an empty text has no ids")
    check_refused("bytes are not text", encode, b"bytes", [], error=TypeError)
    text = "It's a test: don't panic, don't!\n        Naïve café, 東京 🙂\n        if True:\n            pass\n"
    merges = library_merges(text * 3, 290)
    check_ids(encode(text, merges), library_tokenizer(merges).encode(text).ids, "the library gives other ids")
    made = probes.calls(encode, "ha" + 99 * " ha", [(h, a)]).get("encode_chunk", 0)
    assert made <= 2, (
        f"your code calls `encode_chunk` {made} times for 100 chunks of which only two differ: keep the ids of a chunk "
        "for when it comes again"
    )


# %% test="encode-random" of="encode" points=1
def test_encode_random_hidden():
    generator = random.Random(fresh_seed())
    merges = library_merges(random_text(generator, 3000), 400)
    text = random_text(generator, 1500)
    hint = (
        "merge within chunks, number merges from 256 on, and give a chunk that came before the same ids, in its place"
    )
    check_ids(encode(text, merges), library_tokenizer(merges).encode(text).ids, hint)


# %% [markdown]
# ## Special tokens
#
# A model needs signs that no text can spell, such as the end of a document. They never merge with their neighbours.
#
# <details><summary>Hint</summary>
#
# `regex.split` keeps what it splits at if the pattern is one group. Special tokens are full of signs that mean
# something in a regular expression: `regex.escape`.
# </details>

# %% exercise="encode-with-special" difficulty=2 importance=3 minutes=20 replaces="tokenizers transformers"
from solutions.tokenizer import encode_with_special


# %% test="encode-with-special" points=1
def check_special(text: str, merges: list[Pair], special: list[str], hint: str, *, mistakes=None):
    got = encode_with_special(text, merges, special)
    want = library_tokenizer(merges, special).encode(text).ids
    check_ids(got, want, f"{text!r} becomes {got}: {hint}", mistakes=mistakes)


def test_encode_with_special_visible():
    h, a = byte_ids("ha")
    merges = [(h, a)]
    check_special(
        "ha→ha",
        merges,
        ["→"],
        "one id for the special token, and the text around it encoded as usual",
        mistakes={
            "the special token was encoded as text": [256, *byte_ids("→"), 256],
            "the first special token has id 256 + len(merges), here 257; 256 is what the first merge makes": [256] * 3,
        },
    )
    check_special("→ha→", merges, ["→"], "a special token may come first or last")
    for special in (["→", "<|end|>"], ["<|end|>", "→"]):
        hint = f"of {special}, each has the id of its place in this list, whether the other occurs or not"
        check_special("ha→h", merges, special, hint)
    check_special("<|end|>ha", merges, ["<|end|>"], "signs such as | stand for themselves in a special token")
    check_special(
        "<e><begin>",
        merges,
        ["<begin>", "<e>"],
        "two special tokens one after the other",
        mistakes={"the ids do not follow the order of the list: 257 is the first's": [257, 258]},
    )
    check_special("", merges, ["→"], "an empty text has no ids")
    check_special("haha", merges, [], "without special tokens it is the same as encode")


# %% test="encode-with-special-random" of="encode-with-special" points=2
def test_encode_with_special_overlaps():
    check_special("<a>!", [], ["<a>", "<a>!"], "two special tokens begin here: the longer one counts")
    check_special(
        "<a>!", [], ["<a>!", "<a>"], "two special tokens begin here: the longer one counts, wherever it is listed"
    )
    check_special("<a>bcd", [], ["<a>", ">bcd"], "two special tokens overlap: the one that begins first counts")
    check_special("caf→é", [], ["→"], "a special token may stand inside a word")
    check_special("[x]+ [x] xx", [], ["[x]+"], "signs such as [ and + stand for themselves in a special token")
    check_refused("a special token twice in the list", encode_with_special, "text", [], ["<a>", "<a>"])
    check_refused("an empty special token", encode_with_special, "text", [], ["<a>", ""])
    for special in ([], ["<a>"]):
        check_refused("bytes are not text", encode_with_special, b"text", [], special, error=TypeError)


def test_encode_with_special_random_hidden():
    generator = random.Random(fresh_seed())
    merges = library_merges(random_text(generator, 2000), 350)
    special = generator.sample(["<|a|>", "<|a|>!", "[x]+", "→", "+→bcd"], k=5)
    for _ in range(20):
        text = "".join(generator.choice([random_text(generator, 5), *special, "[x]+→bcd"]) for _ in range(12))
        hint = "special tokens are found from left to right, each piece of text between them is encoded as a text of its own"
        check_special(text, merges, special, hint)
    hint = "a special token twice, or an empty one, is an error"
    for bad in ([*special, special[0]], [*special, ""]):
        check_refused(hint, encode_with_special, "text", merges, bad)


# %% [markdown]
# ## All together


# %% test="integration" of="integration" points=4
def test_integration():
    learned_from = corpus.text("train", 20_000)
    check_list(pre_tokenize(learned_from), library_chunks(learned_from), "`pre_tokenize` is the first part to disagree")
    merges = [tuple(pair) for pair in train_bpe(learned_from, 400)]
    hint = "your `pre_tokenize` agrees with the library's, and what `train_bpe` learns from its chunks does not"
    check_merges(merges, library_merges(learned_from, 400), hint)
    held_out, special = corpus.text("heldout", 5_000) + "東京 🙂", ["<|end|>"]
    library, new_ids = library_tokenizer(merges, special), {pair: 256 + rank for rank, pair in enumerate(merges)}
    for chunk in dict.fromkeys(library_chunks(held_out)):
        hint = f"your merges are the library's; `encode_chunk` is the first part to disagree, for {chunk!r}"
        check_ids(encode_chunk(chunk, new_ids), library.encode(chunk).ids, hint)
    hint = "each chunk is encoded as the library does; `encode` is the first part to disagree"
    check_ids(encode(held_out, merges), library.encode(held_out).ids, hint)
    text = held_out + "<|end|>"
    ids = encode_with_special(text, merges, special)
    check_ids(ids, library.encode(text).ids, "`encode` is right; `encode_with_special` is the first part to disagree")
    decoded = decode(list(ids), merges, special)
    check_equal(decoded, text, "the ids are right; `decode` does not give the text back")


# %% [markdown]
# ## Your tokenizer at work
#
# A vocabulary of 1,024 ids, learned from 200 KB of documentation. Which tokens are words, which are endings, which come
# from the form of this documentation rather than from English?

# %% run
if __name__ == "__main__":
    with unless_blank():
        merges = train_bpe(corpus.text("train", 200_000), 1024)
        tokens = [token.decode(errors="replace") for token in vocabulary(merges)]
        sentence = "The function returns a new list of the values in the dictionary."
        print("learned first:", tokens[256:286])
        print("learned last: ", tokens[-30:])
        print(f"{len(encode(sentence, merges))} tokens for {len(sentence)} characters:", sentence)

# %% [markdown]
# You can still read a sentence in which letters have changed places, or whose spaces are missing, if more slowly. What
# does the tokenizer make of it? Here is the same sentence twice more. How many tokens do you expect for each?

# %% run
if __name__ == "__main__":
    swapped = "The fnuction rteurns a new lsit of the vlaues in the dcitionary."
    joined = "Thefunctionreturnsanewlistofthevaluesinthedictionary."
    predicted_swapped = None  # your guess, in tokens
    predicted_joined = None  # your guess, in tokens

# %% run
if __name__ == "__main__":
    with unless_blank():
        for what, changed, guess in (
            ("letters swapped", swapped, predicted_swapped),
            ("spaces left out", joined, predicted_joined),
        ):
            compare_prediction(what, guess, len(encode(changed, merges)), unit="tokens")
            print("   ", " | ".join(tokens[i] for i in encode(changed, merges)))

# %% [markdown]
# <details><summary>Why do swapped letters cost more than missing spaces?</summary>
#
# A merge needs its two halves side by side. A swap takes such pairs apart in the middle of a word, and longer tokens are
# built from them: what is left are letters and short pieces. Where the spaces are missing, the token with the space before
# the word no longer fits, but the letters of each word still stand in their order, and most of them merge.
# </details>
#
# And your own text? Put some of it in place of the one below: a message, a recipe, a line of code, another language. Each
# token is a coloured piece, whose id shows when the pointer rests on it. Single bytes are grey. A token that is only part
# of a character is shown by its bytes, as hexadecimal numbers: ‹c3›.

# %% given="coloured"
import html

from IPython.display import HTML, display

COLOURS = ("#bfdbf7", "#ffd9a8", "#c9e8c0", "#e6ccf0", "#f7c6c9")


def coloured(text: str, merges: list[Pair]) -> HTML:
    """A text whose tokens are pieces of different colours, single bytes grey; a part of a character shows its bytes."""
    entries, pieces, merged = vocabulary(merges), [], 0
    for i in encode(text, merges):
        try:
            shown = entries[i].decode().replace("\n", "⏎\n")
        except UnicodeDecodeError:
            shown = f"‹{entries[i].hex(' ')}›"
        colour = "#d0d0d0" if i < 256 else COLOURS[merged % len(COLOURS)]
        merged += i >= 256
        style = f"background: {colour}; color: #111; margin-right: 2px"
        pieces.append(f'<span title="id {i}" style="{style}">{html.escape(shown)}</span>')
    return HTML(f'<pre style="white-space: pre-wrap; line-height: 1.7">{"".join(pieces)}</pre>')


# %% run
if __name__ == "__main__":
    my_text = """Dear reader, replace this text with your own.
    if price > 4.99:
        print("Too dear!")
Straßenbahn, 東京 🙂"""

    with unless_blank():
        for ids in (512, 1024):
            n = len(encode(my_text, merges[: ids - 256]))
            print(f"{ids} ids: {n} tokens, {len(my_text.encode()) / n:.2f} bytes a token")
            display(coloured(my_text, merges[: ids - 256]))

# %% [markdown]
# ## An exploration of your own
#
# Nothing here is graded. Choose a question, guess the answer before you measure it, and write down what you found. Three
# suggestions:
#
# - *Longest token first.* Write a second way to encode a chunk: from the left, always the longest token of the
#   vocabulary that fits. For how many chunks of held-out text does it give other ids than your `encode_chunk`, and which
#   of the two needs fewer tokens?
# - *No borders between words.* Let merges cross from word to word: take the lines of a text for its chunks. With as many
#   ids, how much longer do tokens get on text that was never seen, and what do the longest of them hold?
# - *Digits one by one.* Cut numbers into single digits before merging, as some newer models do. What does it cost in
#   tokens, and in how many different ways are the numbers from 1000 to 9999 cut before and after? Use a larger
#   vocabulary than the one below, say 8,192 ids learned from all of `corpus.text("train")`: the first 768 merges join few
#   digits.

# %% run
if __name__ == "__main__":
    seen, unseen = corpus.text("train", 200_000), corpus.text("heldout", 50_000)
    # Your code; `merges` holds 768 merges that were learned from `seen`.

# %% [markdown]
# *What I asked, what I expected, and what came out:*
