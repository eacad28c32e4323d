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
from itertools import groupby, pairwise
from operator import itemgetter

from labkit import corpus
from labkit.testing import probes
from labkit.testing.checks import check_refused
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
    return "".join(generator.choices(awkward, k=pieces))


def random_words(generator: random.Random, how_many: int) -> dict[tuple[int, ...], int]:
    """Words over three symbols, so that pairs overlap and counts tie, with how often each occurs."""
    words = (tuple(generator.choices([5, 6, 7], k=generator.randrange(1, 9))) for _ in range(how_many))
    return {word: generator.randrange(1, 20) for word in words}


def check_merges(got, expected: list[Pair], hint: str):
    """Assert that two lists of merges are equal; `hint` names the likely mistake."""
    got = [tuple(pair) for pair in got]
    first = next((i for i, (g, e) in enumerate(zip(got, expected, strict=False)) if g != e), None)
    assert first is None, f"merge {first} is another one than the library's: {hint}"
    assert len(got) == len(expected), f"{len(got)} merges, the library has {len(expected)}: {hint}"


# %% [markdown]
# ## Chunks
#
# Merging may never cross from one word into the next: otherwise "dog.", "dog!" and "dog?" would each grow tokens of
# their own. GPT-2 cuts text first, with a regular expression. It keeps a word together with the space before it.
#
# <details><summary>Hint</summary>
#
# The module `regex` understands `\p{L}` where Python's `re` does not. Alternatives are tried from left to right,
# so write them in the order of the list. "Not followed by something that is not white space" is a negative lookahead:
# `(?!\S)`.
# </details>

# %% exercise="pre-tokenize" difficulty=2 importance=3 minutes=15 replaces="tokenizers transformers"
from solutions.tokenizer import pre_tokenize


# %% test="pre-tokenize" points=2
def check_chunks(text: str, hint: str):
    got = list(pre_tokenize(text))
    assert "".join(got) == text, (
        f"{text!r}: the chunks {got} do not make up the text: is something dropped, or a group returned?"
    )
    assert got == library_chunks(text), f"{text!r} becomes {got}: {hint}"


def test_pre_tokenize_visible():
    check_chunks("two words", "a word keeps the space before it")
    check_chunks("don't they'll I've", "contractions such as 't and 'll are chunks of their own")
    check_chunks("year 2024, v1.5", "letters, numbers and other signs are separate chunks")
    check_chunks("a   b\n\n  c", "white space leaves its last character to what follows")
    check_chunks("ends in spaces   ", "white space at the end of the text is one chunk")
    check_chunks("", "an empty text has no chunks")


# %% test="pre-tokenize-unicode" of="pre-tokenize" points=2
def test_pre_tokenize_scripts_hidden():
    check_chunks(
        "naïve Straße Ελλάδα 東京", "letters are not only a to z: which class holds the letters of all scripts?"
    )
    check_chunks("7² xⅧ 1½ ٣4", "numbers are not only 0 to 9: which class holds all of them?")
    check_chunks("snake_case __init__", "an underscore is neither a letter nor a number")
    check_chunks("DON'T I'LL", "only lower-case contractions count")
    check_chunks("'sunday 'tis", "a contraction is cut off wherever it stands, also before letters")
    check_chunks("a\u00a0b\u2003 c\t\td", "white space is more than the space; only a plain space joins a word")


def test_pre_tokenize_random_hidden():
    text = random_text(random.Random(fresh_seed()), 3000)
    assert list(pre_tokenize(text)) == library_chunks(text), (
        "a made-up text is cut otherwise than by the library: compare the order of your alternatives with the list"
    )


def test_pre_tokenize_bytes_hidden():
    said = check_refused("bytes are not text", pre_tokenize, b"bytes", error=TypeError)
    assert "str" in said, "the error for bytes should say that a str is wanted"


# %% [markdown]
# A chunk becomes the tuple of its bytes' ids, and equal chunks are counted rather than kept: in 2 MB of documentation
# fewer than one chunk in twenty is a new one. We call the distinct chunks words from here on.

# %% given="words"
from solutions.tokenizer import count_words

# %% [markdown]
# ## Learning merges, the plain way
#
# Four small functions and a loop. First: what are the neighbours, and how often do they meet?

# %% exercise="count-pairs" difficulty=1 importance=4 minutes=10
from solutions.tokenizer import count_pairs


# %% test="count-pairs" points=2
def test_count_pairs_visible():
    assert dict(count_pairs({(1, 2, 3): 1})) == {(1, 2): 1, (2, 3): 1}, (
        "a word of three symbols has two pairs of neighbours"
    )
    assert dict(count_pairs({(1, 2): 5, (9, 1, 2): 2})) == {(1, 2): 7, (9, 1): 2}, (
        "a word that occurs 5 times counts 5 times"
    )
    assert dict(count_pairs({(7, 7, 7, 7): 1})) == {(7, 7): 3}, (
        "four equal symbols in a row hold the pair at three places, overlapping ones included"
    )


def test_count_pairs_edges_hidden():
    assert dict(count_pairs({(4,): 3, (5,): 2})) == {}, (
        "a word of one symbol has no pair, and words are not neighbours of each other"
    )
    assert dict(count_pairs({})) == {}, "no words, no pairs"


# %% test="count-pairs-random" of="count-pairs" points=1
def test_count_pairs_random_hidden():
    # Two words of one symbol side by side: a pair across words would show.
    words = {(8,): 2, (9,): 3} | random_words(random.Random(fresh_seed()), 60)
    expected = Counter(pair for word, n in words.items() for _ in range(n) for pair in pairwise(word))
    got, (after,) = probes.after_call(count_pairs, dict(words))
    assert dict(got) == dict(expected), (
        "counts of made-up words are off: does every place count as often as its word, and nothing across words?"
    )
    assert after == words, "the words were changed by counting them"


# %% [markdown]
# Which pair goes first if two occur equally often? Any rule would do, but all of us must have the same one, or no two
# vocabularies would be equal.

# %% exercise="best-pair" difficulty=1 importance=2 minutes=5
from solutions.tokenizer import best_pair


# %% test="best-pair" points=1
def test_best_pair_visible():
    assert tuple(best_pair({(9, 9): 2, (1, 2): 7, (0, 0): 6})) == (1, 2), "the highest count wins, wherever it stands"
    assert tuple(best_pair({(8, 1): 3, (4, 9): 3})) == (4, 9), "equal counts: the pair with the smaller first id wins"


# %% test="best-pair-ties" of="best-pair" points=1
def test_best_pair_ties_hidden():
    assert tuple(best_pair({(4, 9): 3, (4, 2): 3, (5, 0): 3})) == (4, 2), (
        "equal counts and first ids: the second id decides"
    )
    assert tuple(best_pair({(4, 2): 3, (9, 9): 3, (4, 9): 3})) == (4, 2), (
        "the order in which pairs were counted must not matter"
    )
    assert tuple(best_pair({(3, 300): 1, (20, 1): 1})) == (3, 300), (
        "ids are compared as numbers, one after the other: not as text, not by their sum"
    )


def test_best_pair_of_nothing_hidden():
    check_refused("there is no best pair among none", best_pair, {})


# %% exercise="merge-pair" difficulty=2 importance=4 minutes=10
from solutions.tokenizer import merge_pair


# %% test="merge-pair" points=2
def test_merge_pair_visible():
    assert list(merge_pair([1, 2, 3, 1, 2], (1, 2), 256)) == [256, 3, 256], "every occurrence merges, also at the end"
    assert list(merge_pair([3, 2, 1], (1, 2), 256)) == [3, 2, 1], (
        "a word without the pair, or with it reversed, stays as it is"
    )
    assert list(merge_pair([1, 1, 1, 2], (1, 1), 256)) == [256, 1, 2], (
        "of three equal symbols the first two merge: a symbol serves once, from the left"
    )


def test_merge_pair_edges_hidden():
    assert list(merge_pair([], (1, 2), 256)) == [], "an empty word stays empty"
    assert list(merge_pair([1, 1, 1, 1], (1, 1), 256)) == [256, 256], (
        "four equal symbols are two merges: does your loop skip both symbols of a merge?"
    )
    assert list(merge_pair([1], (1, 1), 256)) == [1], "a single symbol has no neighbour: mind the end of the word"


# %% test="merge-pair-random" of="merge-pair" points=1
def test_merge_pair_random_hidden():
    generator = random.Random(fresh_seed())
    a, b, c = generator.sample([5, 6, 7], k=3)
    # What tells mistakes apart comes in each text: two places, a run, the pair reversed, the last symbol on its own.
    cases = [((a, b, c, a, b), (a, b)), ((c, a, a, a), (a, a)), ((a,) * 5, (a, a)), ((b, a, c), (a, b))]
    cases += [(word, tuple(generator.choices([5, 6, 7], k=2))) for word in random_words(generator, 60)]
    for word, pair in cases:
        text = "".join(map(chr, word)).replace(chr(pair[0]) + chr(pair[1]), chr(300))
        got, (after, *_) = probes.after_call(merge_pair, list(word), pair, 300)
        assert list(got) == list(map(ord, text)), (
            f"merging {pair} in {list(word)} gives {list(got)}: "
            "every place of the pair merges, from the left, a symbol serves once, and nothing else changes"
        )
        assert list(after) == list(word), "the word itself was changed: return a new one"


# %% [markdown]
# Now the loop. It is short, and slow: each merge walks twice through all words.
#
# <details><summary>Hint</summary>
#
# Each round needs three of the functions above. A merge makes new words; the counts of how often they occur stay.
# </details>

# %% exercise="train-by-recounting" difficulty=2 importance=4 minutes=15 replaces="tokenizers transformers"
from solutions.tokenizer import train_by_recounting


# %% test="train-by-recounting" points=2
def library_words(text: str) -> dict[tuple[int, ...], int]:
    return {tuple(byte_ids(chunk)): count for chunk, count in Counter(library_chunks(text)).items()}


def test_train_by_recounting_visible():
    text = "low lower lowest new newer newest wide wider widest" * 3
    hint = "are the pairs counted again after each merge, in the merged words?"
    check_merges(train_by_recounting(library_words(text), 275), library_merges(text, 275), hint)


def test_train_by_recounting_stops_hidden():
    assert list(train_by_recounting(library_words("abab"), 256)) == [], "256 ids are the bytes alone: no merge"
    try:
        got = train_by_recounting(library_words("abab abab"), 1000)
    except ValueError:
        raise AssertionError("there is no pair left to merge before all ids are used: stop then") from None
    check_merges(got, library_merges("abab abab", 1000), "stop when no word has a pair left, and not before")


# %% test="train-by-recounting-random" of="train-by-recounting" points=2
def test_train_by_recounting_random_hidden():
    text = random_text(random.Random(fresh_seed()), 400)
    words = library_words(text)
    got, (after, _) = probes.after_call(train_by_recounting, dict(words), 290)
    hint = "in a made-up text: is all counted again after each merge, and each new symbol the next id, from 256 on?"
    check_merges(got, library_merges(text, 290), hint)
    assert after == words, "the caller's words were changed"


def test_train_by_recounting_refuses_hidden():
    hint = "fewer than 256 ids leave some byte without one"
    check_refused(hint, train_by_recounting, library_words("abab"), 255)


# %% [markdown]
# ## The same merges with less work
#
# A merge changes few words. The plain loop visits all of them all the same, twice a merge. Make a guess before you
# measure: the first 300 merges on 200 KB of documentation, looking only at words that an index names for the
# merged pair. How many times fewer pairs does that look at than counting everything again after each merge?

# %% run
if __name__ == "__main__":
    predicted_saving = None  # your guess: how many times fewer pairs, for example 3

# %% exercise="index-pairs" difficulty=1 importance=3 minutes=10
from solutions.tokenizer import index_pairs


# %% test="index-pairs" points=1
def test_index_pairs_visible():
    got = {pair: set(positions) for pair, positions in dict(index_pairs([[1, 2, 1, 2], [1, 2], [9]])).items()}
    assert got == {(1, 2): {0, 1}, (2, 1): {0}}, (
        f"{got}: for each pair, the positions in the list of the words that hold it"
    )


# %% test="index-pairs-random" of="index-pairs" points=1
def test_index_pairs_random_hidden():
    words = [list(word) for word in random_words(random.Random(fresh_seed()), 60)]
    got = dict(index_pairs(words))
    assert {pair for word in words for pair in pairwise(word)} == set(got), (
        "the index has other pairs than the words: is the last pair of a word in it, and none across words?"
    )
    for pair, positions in got.items():
        expected = {i for i, word in enumerate(words) if pair in set(pairwise(word))}
        assert set(positions) == expected and len(positions) == len(expected), (
            f"words that hold {pair}: each once, by its position in the list"
        )
    assert dict(index_pairs([])) == {}, "no words, no pairs"


# %% [markdown]
# With the index, a merge touches only the words that can hold the pair, and says what came of it.
#
# <details><summary>Hint</summary>
#
# `new_id` was in no word before, so every pair of neighbours in which it occurs is new. Take the positions out of the
# index before you change it.
# </details>

# %% exercise="merge-everywhere" difficulty=3 importance=4 minutes=25
from solutions.tokenizer import merge_everywhere


# %% test="merge-everywhere" points=2
def indexed(words) -> dict[Pair, set[int]]:
    held = [set(pairwise(word)) for word in words]
    return {pair: {i for i, pairs in enumerate(held) if pair in pairs} for pair in set().union(*held)}


def recount(words, frequencies) -> dict[Pair, int]:
    counts = Counter()
    for word, frequency in zip(words, frequencies, strict=True):
        for pair in pairwise(word):
            counts[pair] += frequency
    return dict(counts)


def merged_text(word, pair, new_id) -> list[int]:
    """A word merged by Python's own `str.replace`."""
    return list(map(ord, "".join(map(chr, word)).replace(chr(pair[0]) + chr(pair[1]), chr(new_id))))


def test_merge_everywhere_visible():
    words = [[1, 2, 3], [1, 2], [3, 1]]
    gained, after = probes.after_call(merge_everywhere, (1, 2), 256, words, [10, 5, 2], indexed(words))
    assert [list(word) for word in after[2]] == [[256, 3], [256], [3, 1]], (
        "the list `words` should hold the merged words"
    )
    assert dict(gained) == {(256, 3): 10}, (
        "what the merge gains: pairs with the new symbol, each word counted as often as it occurs"
    )
    where = {pair: set(positions) for pair, positions in after[4].items()}
    assert (1, 2) not in where, "the merged pair is gone, so it leaves the index"
    assert where.get((256, 3)) == {0}, "pairs with the new symbol enter the index"


def test_merge_everywhere_twice_in_a_word_hidden():
    words = [[1, 2, 1, 2, 1, 2], [3, 1, 2, 1, 2]]
    gained, _ = probes.after_call(merge_everywhere, (1, 2), 256, words, [1, 10], indexed(words))
    assert dict(gained) == {(256, 256): 12, (3, 256): 10}, (
        "several merges in one word: two new symbols may be neighbours, and every place counts"
    )
    words = [[4, 4, 4, 4, 4]]
    gained, _ = probes.after_call(merge_everywhere, (4, 4), 256, words, [3], indexed(words))
    assert dict(gained) == {(256, 256): 3, (256, 4): 3}, "five equal symbols: count the neighbours after merging"


# %% test="merge-everywhere-index" of="merge-everywhere" points=1
def test_merge_everywhere_trusts_the_index_hidden():
    words = [[1, 2], [1, 2], [7, 8, 9]]
    gained, after = probes.after_call(merge_everywhere, (1, 2), 256, words, [1, 1, 5], {(1, 2): {1, 2}, (7, 8): {2}})
    assert list(after[2][0]) == [1, 2], "a word that the index does not name was changed: look at no other words"
    assert dict(gained) == {}, "a word that holds neither the pair nor the new symbol has nothing to gain"
    where = {pair: set(positions) for pair, positions in after[4].items()}
    assert where == {(7, 8): {2}}, "entries of other pairs stay, and a word that lost the pair earlier adds none"


def test_merge_everywhere_random_hidden():
    # One word has the same new pair at two places.
    counted = {(5, 6, 7, 5, 6, 7): 2} | random_words(random.Random(fresh_seed()), 60)
    words = [list(word) for word in counted]
    frequencies = list(counted.values())
    gained, after = probes.after_call(merge_everywhere, (5, 6), 256, words, list(frequencies), indexed(words))
    merged = [merged_text(word, (5, 6), 256) for word in words]
    assert [list(word) for word in after[2]] == merged, (
        "made-up words: the list `words` should hold each word that the index names, merged, and the others as they were"
    )
    assert list(after[3]) == frequencies, "frequencies do not change in a merge"
    assert dict(gained) == {pair: count for pair, count in recount(merged, frequencies).items() if 256 in pair}, (
        "the gain should equal a recount of the pairs with the new symbol: every place counts as often as its word"
    )
    where = {pair: set(positions) for pair, positions in after[4].items()}
    assert all(where.get(pair) == positions for pair, positions in indexed(merged).items() if 256 in pair), (
        "the index should name every word that holds a pair with the new symbol"
    )


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


# %% [markdown]
# The counts need no word at all. Think of `(3, 256)` that came of merging `(1, 2)`: what stood in its place?
#
# <details><summary>Hint</summary>
#
# `3, 1, 2` held `(3, 1)`. If both ends are the new symbol, the place was `1, 2, 1, 2`: the pair between them was `(2,
# 1)`.
# </details>

# %% exercise="update-counts" difficulty=3 importance=4 minutes=20
from solutions.tokenizer import update_counts


# %% test="update-counts" points=2
def check_update(words, frequencies, pair, hint):
    merged = [merged_text(word, pair, 256) for word in words]
    expected = recount(merged, frequencies)
    gained = {p: count for p, count in expected.items() if 256 in p}
    _, (got, *_) = probes.after_call(update_counts, recount(words, frequencies), pair, 256, gained)
    assert pair not in dict(got), "the merged pair should leave the counts"
    assert min(dict(got).values(), default=0) >= 0, f"a count fell below 0: {hint}"
    assert {p: count for p, count in dict(got).items() if count} == expected, (
        f"counts differ from counting all over: {hint}"
    )


def test_update_counts_visible():
    check_update([[1, 2, 3]], [10], (1, 2), "on its right the new symbol stands where the pair's second half was")
    check_update([[3, 1, 2]], [10], (1, 2), "on its left the new symbol stands where the pair's first half was")
    check_update(
        [[1, 2, 3], [2, 3], [3, 1]], [1, 2, 4], (1, 2), "a pair may go on occurring elsewhere: subtract, do not remove"
    )


def test_update_counts_between_new_symbols_hidden():
    check_update([[1, 2, 1, 2]], [3], (1, 2), "between two new symbols stood the second half, then the first half")
    check_update(
        [[4, 4, 4, 4, 4], [4, 4]],
        [2, 1],
        (4, 4),
        "a run of equal symbols: pairs that overlap the merged ones vanish too",
    )


# %% test="update-counts-random" of="update-counts" points=1
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

# %% exercise="pop-best" difficulty=3 importance=3 minutes=20
from solutions.tokenizer import pop_best


# %% test="pop-best" points=1
def test_pop_best_visible():
    got, (heap, _) = probes.after_call(pop_best, [(-9, (3, 4)), (-7, (1, 2))], {(3, 4): 9, (1, 2): 7})
    assert tuple(got) == (3, 4) and len(heap) == 1, (
        "when the top entry's count is true, take it off the heap and return its pair"
    )
    got, (heap, _) = probes.after_call(pop_best, [(-9, (3, 4)), (-7, (1, 2))], {(3, 4): 2, (1, 2): 7})
    assert tuple(got) == (1, 2), "the top entry is out of date: its pair counts 2 by now"
    assert sorted(map(tuple, heap)) == [(-2, (3, 4))], (
        f"{heap}: an entry that is out of date goes back with its true count"
    )


# %% test="pop-best-stale" of="pop-best" points=2
def test_pop_best_forgets_hidden():
    try:
        got, (heap, _) = probes.after_call(pop_best, [(-9, (3, 4)), (-8, (5, 5)), (-7, (1, 2))], {(3, 4): 0, (1, 2): 7})
    except KeyError:
        raise AssertionError("a pair on the heap may have left the counts: it then counts 0") from None
    assert tuple(got) == (1, 2) and list(heap) == [], (
        "a pair that counts 0, or is in no counts any more, never comes back"
    )
    got, _ = probes.after_call(pop_best, [], {})
    assert got is None, "an empty heap has no best pair: return None"
    got, _ = probes.after_call(pop_best, [(-3, (1, 1))], {(1, 1): 0})
    assert got is None, "a heap of dead entries has no best pair: return None"


def test_pop_best_order_hidden():
    generator = random.Random(fresh_seed())
    pairs = [(generator.randrange(30), generator.randrange(30)) for _ in range(80)]
    counts = {pair: generator.randrange(6) for pair in pairs}
    heap = sorted((-count - generator.randrange(4), pair) for pair, count in counts.items())
    expected = sorted((-count, pair) for pair, count in counts.items() if count)
    drawn = []
    for _ in expected:
        before = dict(counts)
        pair, (heap, counts) = probes.after_call(pop_best, heap, counts)
        assert dict(counts) == before, "the counts were changed"
        assert pair, "None although there are pairs left: an entry that is out of date goes back with its true count"
        assert tuple(pair) in counts, "a pair came back that is in no counts any more"
        drawn.append((-counts[pair], tuple(pair)))
        counts = {p: count for p, count in counts.items() if p != tuple(pair)}
    assert drawn == expected, (
        "pairs should come highest count first, smaller pair first among equals, though entries are out of date"
    )


# %% [markdown]
# Put together: set up words, index, counts and heap once; then merge, update, push what was gained.

# %% exercise="train-bpe" difficulty=3 importance=5 minutes=25 replaces="tokenizers transformers"
from solutions.tokenizer import train_bpe


# %% test="train-bpe" points=3
def test_train_bpe_visible():
    text = "low lower lowest new newer newest wide wider widest" * 3
    hint = "are index, counts and heap all brought up to date after each merge?"
    check_merges(train_bpe(text, 275), library_merges(text, 275), hint)
    assert list(train_bpe("abab", 256)) == [], "256 ids are the bytes alone: that is allowed, and leaves no merge"


def test_train_bpe_documentation_hidden():
    text = corpus.text("train", 20_000)
    hint = "in documentation: do the pairs that a merge gains reach the heap?"
    check_merges(train_bpe(text, 400), library_merges(text, 400), hint)


def test_train_bpe_stops_hidden():
    assert list(train_bpe("", 300)) == [], "an empty text has nothing to merge"
    got = train_bpe("abab abab", 1000)
    check_merges(got, library_merges("abab abab", 1000), "stop when no word has a pair left, and not before")


# %% test="train-bpe-random" of="train-bpe" points=1
def test_train_bpe_random_hidden():
    text = random_text(random.Random(fresh_seed()), 3000)
    hint = "in a made-up text with runs and ties: do counts fall too, and does the smaller pair go first among equals?"
    check_merges(train_bpe(text, 330), library_merges(text, 330), hint)


def test_train_bpe_refuses_hidden():
    check_refused("fewer than 256 ids leave some byte without one", train_bpe, "abab", 255)


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


# %% given="visits"
def count_visits(text: str, vocab_size: int) -> tuple[int, int]:
    """Pairs looked at while learning from a text: by counting all over after each merge, and by the index."""
    counted = count_words(text)
    words = [list(word) for word in counted]
    frequencies = list(counted.values())
    where, plain, by_index = index_pairs(words), 0, 0
    for rank, pair in enumerate(train_bpe(text, vocab_size)):
        plain += sum(len(word) - 1 for word in words)
        by_index += sum(len(words[position]) - 1 for position in where[pair])
        merge_everywhere(pair, 256 + rank, words, frequencies, where)
    return plain, by_index


# %% run
if __name__ == "__main__":
    plain, by_index = count_visits(corpus.text("train", 200_000), 556)
    print(f"{plain:,} pairs by counting all over, {by_index:,} by the index")
    compare_prediction("saving", predicted_saving, plain / by_index, unit="times fewer pairs")

# %% [markdown]
# ## From ids to text
#
# What does an id stand for? A byte, or the two things it was merged from, or a special token.

# %% exercise="vocabulary" difficulty=1 importance=3 minutes=10
from solutions.tokenizer import vocabulary


# %% test="vocabulary" points=1
def library_vocabulary(merges) -> list[bytes]:
    byte_of = {character: byte for byte, character in enumerate(byte_characters())}
    ids = library_tokenizer(merges).get_vocab()
    return [bytes(byte_of[c] for c in token) for token in sorted(ids, key=ids.get)]


def test_vocabulary_visible():
    merges = library_merges("ha ha ha! 東京 東京", 264)
    got = list(vocabulary(merges))
    assert len(got) == 264, "256 bytes and one entry a merge"
    assert got[0] == b"!", "id 0 is not byte 0: the ids of bytes follow `ID_TO_BYTE`"
    assert got == library_vocabulary(merges), (
        "entries are bytes; a merge joins the entries of its two ids, in their order"
    )
    assert list(vocabulary([(0, 1), (1, 0)]))[256:] == [b'!"', b'"!'], "0 is an id like any other, in either half"
    for bad in ([(-1, 2)], [(2, -1)]):
        check_refused("a merge uses a negative id, which nothing has", vocabulary, bad)


# %% test="vocabulary-special" of="vocabulary" points=1
def test_vocabulary_special_hidden():
    merges = library_merges("ha ha ha", 257)
    assert list(vocabulary(merges, ["<|end|>", "→"]))[257:] == [b"<|end|>", "→".encode()], (
        "special tokens come last, in their order, as UTF-8"
    )


def test_vocabulary_refuses_hidden():
    hint = "a merge may only use ids that exist before it, and none is negative"
    for merges in ([(3, 256)], [(1, 2), (257, 1)], [(-1, 2)]):
        check_refused(hint, vocabulary, merges)


# %% [markdown]
# Decoding is looking up, with one trap: 京 is three bytes, and a token may hold only some of them.

# %% exercise="decode" difficulty=2 importance=4 minutes=10 replaces="tokenizers transformers"
from solutions.tokenizer import decode


# %% test="decode" points=1
def test_decode_visible():
    assert decode([], []) == "", "no ids, no text"
    assert decode([71, 64, 71, 64], []) == "haha", "ids of bytes stand for `ID_TO_BYTE`, not for themselves"
    assert decode(byte_ids("東京"), []) == "東京", (
        "a character may be spread over several ids: put all bytes together before you decode them"
    )
    assert probes.given_iterator(decode, [71, 64], []) == "ha", (
        "ids may come from an iterator, which gives each of them once: go through it once, or make a list of it first"
    )
    check_refused("a negative id is not in the vocabulary", decode, [-1], [])


# %% test="decode-any-ids" of="decode" points=2
def test_decode_any_ids_hidden():
    generator = random.Random(fresh_seed())
    merges = library_merges(random_text(generator, 500), 300)
    library = library_tokenizer(merges, ["<|end|>"])
    for _ in range(50):
        ids = [generator.randrange(301) for _ in range(8)]
        expected = library.decode(ids, skip_special_tokens=False)
        assert decode(ids, merges, ["<|end|>"]) == expected, (
            f"{ids}: bytes that are not valid UTF-8 become U+FFFD, and nothing else is lost"
        )


def test_decode_refuses_hidden():
    hint = "an id outside the vocabulary, a negative one too, is an error"
    for ids in ([0, 256], [-1]):
        said = check_refused(hint, decode, ids, [])
        assert str(ids[-1]) in said, "the error for an id outside the vocabulary should name the id"


# %% [markdown]
# ## From text to ids
#
# Encoding replays training on one chunk at a time. The rule is not "longest token first" and not "from the left": of
# the known pairs in the chunk, the one that was learned first merges first.
#
# Predict: a vocabulary of 1,024 ids, learned from 200 KB of English documentation. How many bytes does a token hold on
# average, on documentation that it never saw? And how many tokens does it need for `東京タワー`, five characters of
# Japanese?

# %% run
if __name__ == "__main__":
    predicted_bytes_per_token = None  # your guess: 1 would mean that merging helps nothing
    predicted_japanese_tokens = None  # your guess

# %% exercise="encode-chunk" difficulty=3 importance=4 minutes=20 replaces="tokenizers transformers"
from solutions.tokenizer import encode_chunk


# %% test="encode-chunk" points=1
def test_encode_chunk_visible():
    h, a = byte_ids("ha")
    assert list(encode_chunk("ha", {})) == [h, a], "without merges a chunk is its bytes"
    assert list(encode_chunk("haha", {(h, a): 256, (256, 256): 257})) == [257], (
        "merge until no known pair is left, pairs of new symbols too"
    )
    assert list(encode_chunk("hah", {(a, h): 256, (h, a): 257})) == [h, 256], (
        "the pair that was learned first goes first, though another one stands further left"
    )
    assert list(encode_chunk("!ha", {(h, a): 256})) == [0, 256], (
        "a pair that is not known does not merge, and does not stop one further right that is known"
    )


# %% test="encode-chunk-random" of="encode-chunk" points=2
def test_encode_chunk_random_hidden():
    generator = random.Random(fresh_seed())
    merges = library_merges(random_text(generator, 3000), 400)
    library, new_ids = library_tokenizer(merges), {pair: 256 + rank for rank, pair in enumerate(merges)}
    for chunk in ["a" * 9, "ab" * 7, *sorted(set(library_chunks(random_text(generator, 300))))]:
        got = list(encode_chunk(chunk, new_ids))
        assert got == library.encode(chunk).ids, (
            f"{chunk!r} becomes {got}: from the ids of its bytes, is it always the earliest learned pair of those present?"
        )
    assert list(encode_chunk("", new_ids)) == [], "an empty chunk has no ids"


# %% exercise="encode" difficulty=1 importance=5 minutes=10 replaces="tokenizers transformers"
from solutions.tokenizer import encode


# %% test="encode" points=2
def test_encode_visible():
    text = "It's a test: don't panic, don't!\n        Naïve café, 東京 🙂\n        if True:\n            pass\n"
    merges = library_merges(text * 3, 290)
    assert list(encode(text, merges)) == library_tokenizer(merges).encode(text).ids, (
        "ids differ from the library's: merge within chunks only, and number merges from 256 on"
    )
    assert list(encode("", merges)) == [], "an empty text has no ids"


# %% test="encode-random" of="encode" points=1
def test_encode_random_hidden():
    generator = random.Random(fresh_seed())
    merges = library_merges(random_text(generator, 3000), 400)
    text = random_text(generator, 1500)
    assert list(encode(text, merges)) == library_tokenizer(merges).encode(text).ids, (
        "ids of a made-up text differ from the library's: merge within chunks, number merges from 256 on, and give a "
        "chunk that came before the same ids, in its place"
    )


def test_encode_bytes_hidden():
    check_refused("bytes are not text", encode, b"bytes", [], error=TypeError)


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

# %% exercise="encode-with-special" difficulty=2 importance=3 minutes=15 replaces="tokenizers transformers"
from solutions.tokenizer import encode_with_special


# %% test="encode-with-special" points=1
def check_special(text: str, merges: list[Pair], special: list[str], hint: str):
    got = list(encode_with_special(text, merges, special))
    assert got == library_tokenizer(merges, special).encode(text).ids, f"{text!r} becomes {got}: {hint}"


def test_encode_with_special_visible():
    merges, text = library_merges("the end the end the end", 262), "the end<|end|>the end"
    got = list(encode_with_special(text, merges, ["<|end|>"]))
    assert 256 + len(merges) in got, "the special token's id comes right after the merges'"
    check_special(text, merges, ["<|end|>"], "one id for the special token, the text around it encoded as usual")


# %% test="encode-with-special-random" of="encode-with-special" points=2
def test_encode_with_special_hidden():
    generator = random.Random(fresh_seed())
    merges, special = library_merges(random_text(generator, 2000), 350), ["<|a|>", "<|a|>!", "[x]+", "→"]
    hint = "special tokens at both ends: each has one id, after the merges', in the order of the list"
    check_special("<|a|>the<|a|>", merges, special, hint)
    check_special("<|a|>!", merges, special, "two special tokens begin here: the longer one counts")
    check_special("[x]+ [x] xx", merges, special, "signs such as [ and + stand for themselves in a special token")
    check_special("caf→é", merges, special, "a special token may stand inside a word")
    check_special("", merges, special, "an empty text has no ids")
    for _ in range(20):
        text = "".join(generator.choice([random_text(generator, 5), *special]) for _ in range(12))
        check_special(text, merges, special, "made-up text around special tokens is encoded as by encode, part by part")
    check_special("the", merges, [], "no special tokens: the same as encode")


def test_encode_with_special_refuses_hidden():
    for special in (["<|a|>", "<|a|>"], [""]):
        hint = "a special token twice, or an empty one, is an error"
        check_refused(hint, encode_with_special, "text", [], special)


# %% [markdown]
# ## All together


# %% test="integration" of="integration" points=4
def test_integration():
    learned_from = corpus.text("train", 20_000)
    merges = [tuple(pair) for pair in train_bpe(learned_from, 400)]
    hint = "your parts together learn other merges than the library"
    check_merges(merges, library_merges(learned_from, 400), hint)
    text, special = corpus.text("heldout", 5_000) + "東京 🙂<|end|>", ["<|end|>"]
    ids = list(encode_with_special(text, merges, special))
    assert ids == library_tokenizer(merges, special).encode(text).ids, (
        "your parts together encode otherwise than the library"
    )
    assert decode(ids, merges, special) == text, "decoding what you encoded should give the text back"


# %% run
if __name__ == "__main__":
    merges = train_bpe(corpus.text("train", 200_000), 1024)
    held_out = corpus.text("heldout", 50_000)
    rate = len(held_out.encode()) / len(encode(held_out, merges))
    compare_prediction("documentation", predicted_bytes_per_token, rate, unit="bytes a token")
    compare_prediction("東京タワー", predicted_japanese_tokens, len(encode("東京タワー", merges)), unit="tokens")

# %% [markdown]
# Look at your vocabulary. Which tokens are words, which are endings, which come from the form of this documentation
# rather than from English?

# %% run
if __name__ == "__main__":
    tokens = [token.decode(errors="replace") for token in vocabulary(merges)]
    print("learned first:", tokens[256:286])
    print("learned last: ", tokens[-30:])
    print([tokens[i] for i in encode("How many letters r are in strawberry?", merges)])
