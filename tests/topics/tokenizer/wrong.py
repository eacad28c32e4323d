"""Answers to the tokenizer's exercises as students get them wrong."""

import heapq
import re
from itertools import pairwise

import regex

from course.banks.bank import wrong
from labkit.testing.oracles import library_merges, library_tokenizer
from solutions import tokenizer as reference

REFUSED = "this exercise asks you to write what that call does"


def best_pair(counts):
    return min(counts, key=lambda pair: (-counts[pair], pair))


# ------------------------------------------------------------------------------------------------- pre-tokenize


@wrong("pre-tokenize", mistake="splits at white space and loses it", says="without its white space: a word keeps")
def pre_tokenize(text):
    return text.split()


@wrong(
    "pre-tokenize",
    mistake="a capturing group, so findall returns the group",
    says="returns only what the group matched",
)
def pre_tokenize(text):
    return regex.findall(r"'([sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", text)


@wrong("pre-tokenize", mistake="no contractions", says="contractions such as")
def pre_tokenize(text):
    return regex.findall(r" ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", text)


@wrong("pre-tokenize", mistake="white space keeps its last character", says="does not leave its last character")
def pre_tokenize(text):
    return regex.findall(r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+", text)


@wrong("pre-tokenize", mistake="letters are a to z only", says="letters are not only a to z")
def pre_tokenize(text):
    if not isinstance(text, str):
        raise TypeError("text must be a str")
    return re.findall(r"'(?:[sdmt]|ll|ve|re)| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+", text)


@wrong("pre-tokenize", mistake="numbers are decimal digits only", says="numbers are more than digits")
def pre_tokenize(text):
    return regex.findall(r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{Nd}+| ?[^\s\p{L}\p{Nd}]+|\s+(?!\S)|\s+", text)


@wrong("pre-tokenize", mistake="contractions in capitals too", says="only lower-case contractions")
def pre_tokenize(text):
    return regex.findall(r"'(?i:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", text)


@wrong(
    "pre-tokenize", mistake="any white space may stand before a word", says="the line break went into the word's chunk"
)
def pre_tokenize(text):
    return regex.findall(r"'(?:[sdmt]|ll|ve|re)|\s?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", text)


@wrong("pre-tokenize", mistake="accepts bytes by decoding them", says="bytes are not text")
def pre_tokenize(text):
    return reference.pre_tokenize(text.decode() if isinstance(text, bytes) else text)


@wrong("pre-tokenize", mistake="asks the library", says=REFUSED)
def pre_tokenize(text):
    from tokenizers.pre_tokenizers import ByteLevel

    return [text[a:b] for _, (a, b) in ByteLevel(add_prefix_space=False).pre_tokenize_str(text)]


@wrong(
    "pre-tokenize", mistake="forgets the contraction 'd", says="each of the seven contractions", never=["not cut off"]
)
def pre_tokenize(text):
    return regex.findall(r"'(?:[smt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", text)


@wrong("pre-tokenize", mistake="several groups, so findall returns tuples", says="each chunk should be a str")
def pre_tokenize(text):
    return regex.findall(r"('[sdmt]|'ll|'ve|'re)|( ?\p{L}+)|( ?\p{N}+)|( ?[^\s\p{L}\p{N}]+)|(\s+(?!\S)|\s+)", text)


@wrong("pre-tokenize", mistake="numbers of three digits at most", says="a number of four digits is cut up")
def pre_tokenize(text):
    return regex.findall(r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}{1,3}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", text)


@wrong("pre-tokenize", mistake="a special token in the pattern", says="a special token means nothing here")
def pre_tokenize(text):
    special = r"<\|endoftext\|>"
    return regex.findall(special + r"|'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", text)


@wrong("pre-tokenize", mistake="accents count as letters", says="an accent that is a character of its own")
def pre_tokenize(text):
    return regex.findall(r"'(?:[sdmt]|ll|ve|re)| ?[\p{L}\p{M}]+| ?\p{N}+| ?[^\s\p{L}\p{M}\p{N}]+|\s+(?!\S)|\s+", text)


@wrong(
    "pre-tokenize",
    mistake="no alternative for white space before something",
    says="without its white space: a line break",
)
def pre_tokenize(text):
    return regex.findall(r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)", text)


# --------------------------------------------------------------------------------------------------- merge-pair


@wrong("merge-pair", mistake="one merge a word", says="only the first occurrence merged")
def merge_pair(word, pair, new_id):
    for place in range(len(word) - 1):
        if (word[place], word[place + 1]) == pair:
            return [*word[:place], new_id, *word[place + 2 :]]
    return list(word)


@wrong("merge-pair", mistake="a symbol serves in two merges", says="one symbol went into two merges")
def merge_pair(word, pair, new_id):
    merged = []
    for place, symbol in enumerate(word):
        if tuple(word[place : place + 2]) == pair:
            merged.append(new_id)
        elif place == 0 or (word[place - 1], symbol) != pair:
            merged.append(symbol)
    return merged


@wrong("merge-pair", mistake="from right to left", says="the last two merged")
def merge_pair(word, pair, new_id):
    return reference.merge_pair(word[::-1], pair[::-1], new_id)[::-1]


@wrong("merge-pair", mistake="in either order", says="the reversed pair merged, too")
def merge_pair(word, pair, new_id):
    return reference.merge_pair(reference.merge_pair(word, pair, new_id), pair[::-1], new_id)


@wrong(
    "merge-pair",
    mistake="loses the last symbol",
    says="the symbols after the pair are lost",
    never=["the reversed pair merged"],
)
def merge_pair(word, pair, new_id):
    merged, place = [], 0
    while place < len(word) - 1:
        matches = (word[place], word[place + 1]) == pair
        merged.append(new_id if matches else word[place])
        place += 2 if matches else 1
    return merged


@wrong("merge-pair", mistake="changes the word it was given", says="the word itself was changed")
def merge_pair(word, pair, new_id):
    word[:] = reference.merge_pair(word, pair, new_id)
    return word


@wrong("merge-pair", mistake="replaces in the word's text", says="symbols are numbers")
def merge_pair(word, pair, new_id):
    text = " ".join(map(str, word)).replace(f"{pair[0]} {pair[1]}", str(new_id))
    return [int(symbol) for symbol in text.split()]


@wrong("merge-pair", mistake="keeps the pair's second symbol", says="but its second is still there")
def merge_pair(word, pair, new_id):
    return [new_id if tuple(word[i : i + 2]) == pair else symbol for i, symbol in enumerate(word)]


@wrong("merge-pair", mistake="changes the word and returns nothing", says="should be a list, but it is None")
def merge_pair(word, pair, new_id):
    if isinstance(word, list):
        word[:] = reference.merge_pair(word, pair, new_id)


@wrong("merge-pair", mistake="a loop of fixed length over a word that shrinks", says="IndexError")
def merge_pair(word, pair, new_id):
    merged = list(word)
    for place in range(len(merged) - 1):
        if (merged[place], merged[place + 1]) == pair:
            merged[place : place + 2] = [new_id]
    return merged


# ------------------------------------------------------------------------------------------ train-by-recounting


@wrong("train-by-recounting", mistake="each word counts once", says="each word counts once, however often")
def count_pairs(words):
    counts = {}
    for word in words:
        for pair in pairwise(word):
            counts[pair] = counts.get(pair, 0) + 1
    return counts


@wrong(
    "train-by-recounting", mistake="overlapping places count once", says="of places that overlap only some are counted"
)
def count_pairs(words):
    counts = {}
    for word, frequency in words.items():
        place = 0
        while place + 1 < len(word):
            pair = word[place], word[place + 1]
            counts[pair] = counts.get(pair, 0) + frequency
            place += 2 if pair[0] == pair[1] else 1
    return counts


@wrong(
    "train-by-recounting",
    mistake="a word that repeats a pair counts it once",
    says="at three places counts for it only once",
)
def count_pairs(words):
    counts = {}
    for word, frequency in words.items():
        for pair in set(pairwise(word)):
            counts[pair] = counts.get(pair, 0) + frequency
    return counts


@wrong("train-by-recounting", mistake="pairs across words", says="words are not neighbours of each other")
def count_pairs(words):
    counts = reference.count_pairs(words)
    for left, right in pairwise(words):
        if len(left) == len(right) == 1:
            counts[left[-1], right[0]] = words[left]
    return counts


@wrong("train-by-recounting", mistake="a pair and its reverse are one", says="its reverse are two different pairs")
def count_pairs(words):
    counts = {}
    for word, frequency in words.items():
        for pair in pairwise(word):
            key = min(pair), max(pair)
            counts[key] = counts.get(key, 0) + frequency
    return counts


@wrong("train-by-recounting", mistake="the last word's count replaces the others", says="the count of the last word")
def count_pairs(words):
    return {pair: frequency * list(pairwise(w)).count(pair) for w, frequency in words.items() for pair in pairwise(w)}


@wrong("train-by-recounting", mistake="a list of pairs with their counts", says="should be a dict from pairs to counts")
def count_pairs(words):
    return list(reference.count_pairs(words).items())


@wrong("train-by-recounting", mistake="all words in a row", says="5 times counts 5 times")
def count_pairs(words):
    row = [symbol for word, frequency in words.items() for _ in range(frequency) for symbol in word]
    counts = {}
    for pair in pairwise(row):
        counts[pair] = counts.get(pair, 0) + 1
    return counts


@wrong("train-by-recounting", mistake="counts only once", says="count again in the merged words")
def train_by_recounting(words, vocab_size):
    if vocab_size < 256:
        raise ValueError("too small")
    counts = reference.count_pairs(words)
    return sorted(counts, key=lambda pair: (-counts[pair], pair))[: vocab_size - 256]


@wrong(
    "train-by-recounting",
    mistake="new ids from 257 on",
    says="makes id 256, but yours makes 257",
    never=["count again in the merged words"],
)
def train_by_recounting(words, vocab_size):
    merges = []
    while 256 + len(merges) < vocab_size and (counts := reference.count_pairs(words)):
        merges.append(best_pair(counts))
        words = {tuple(reference.merge_pair(w, merges[-1], 256 + len(merges))): n for w, n in words.items()}
    return merges


@wrong("train-by-recounting", mistake="goes on when no pair is left", says="your code raises an error there")
def train_by_recounting(words, vocab_size):
    merges = []
    while 256 + len(merges) < vocab_size:
        merges.append(best_pair(reference.count_pairs(words)))
        words = {tuple(reference.merge_pair(w, merges[-1], 255 + len(merges))): n for w, n in words.items()}
    return merges


@wrong("train-by-recounting", mistake="stops at pairs that occur once", says="pairs that occur only once were left out")
def train_by_recounting(words, vocab_size):
    merges = []
    while 256 + len(merges) < vocab_size and max((counts := reference.count_pairs(words)).values(), default=0) > 1:
        merges.append(best_pair(counts))
        words = {tuple(reference.merge_pair(w, merges[-1], 255 + len(merges))): n for w, n in words.items()}
    return merges


@wrong("train-by-recounting", mistake="accepts any size", says="fewer than 256 ids")
def train_by_recounting(words, vocab_size):
    return reference.train_by_recounting(words, max(256, vocab_size))


@wrong("train-by-recounting", mistake="asks the library", says=REFUSED)
def train_by_recounting(words, vocab_size):
    text = " ".join(reference.decode(word, []) for word, n in words.items() for _ in range(n))
    return library_merges(text, vocab_size)


@wrong(
    "train-by-recounting",
    mistake="merges with their counts",
    says="a merge should be a pair of ids",
    never=["count again in the merged words"],
)
def train_by_recounting(words, vocab_size):
    merges = []
    while 256 + len(merges) < vocab_size and (counts := reference.count_pairs(words)):
        best = best_pair(counts)
        words = {tuple(reference.merge_pair(w, best, 256 + len(merges))): n for w, n in words.items()}
        merges.append((best, counts[best]))
    return merges


@wrong("train-by-recounting", mistake="a dict from merges to their ids", says="should be a list of merges")
def train_by_recounting(words, vocab_size):
    return {pair: 256 + i for i, pair in enumerate(reference.train_by_recounting(words, vocab_size))}


@wrong("train-by-recounting", mistake="vocab_size is the number of merges", says="leaves room for one merge")
def train_by_recounting(words, vocab_size):
    return reference.train_by_recounting(words, 256 + vocab_size)


@wrong("train-by-recounting", mistake="counts again in the same words", says="the same pair is merged twice")
def train_by_recounting(words, vocab_size):
    if vocab_size < 256:
        raise ValueError("too small")
    return [best_pair(reference.count_pairs(words)) for _ in range(256, vocab_size)]


def learning_by(best_pair):
    """The plain loop with another choice of the pair that merges."""

    def train_by_recounting(words, vocab_size):
        if vocab_size < 256:
            raise ValueError("too small")
        merges = []
        while 256 + len(merges) < vocab_size and (counts := reference.count_pairs(words)):
            merges.append(best_pair(counts))
            words = {tuple(reference.merge_pair(w, merges[-1], 255 + len(merges))): n for w, n in words.items()}
        return merges

    return train_by_recounting


@wrong("train-by-recounting", mistake="ties go to the pair counted first", says="the pair that was counted first wins")
def train_by_recounting(words, vocab_size):
    return learning_by(lambda counts: max(counts, key=counts.get))(words, vocab_size)


@wrong("train-by-recounting", mistake="ties go to the larger pair", says="the largest pair wins")
def train_by_recounting(words, vocab_size):
    return learning_by(lambda counts: max(counts, key=lambda pair: (counts[pair], pair)))(words, vocab_size)


@wrong("train-by-recounting", mistake="the rarest pair", says="the pair with the lowest count")
def train_by_recounting(words, vocab_size):
    return learning_by(lambda counts: min(counts, key=lambda pair: (counts[pair], pair)))(words, vocab_size)


@wrong("train-by-recounting", mistake="ties by the first id alone", says="the smaller second id wins")
def train_by_recounting(words, vocab_size):
    return learning_by(lambda counts: min(counts, key=lambda pair: (-counts[pair], pair[0])))(words, vocab_size)


@wrong("train-by-recounting", mistake="ids compared as text", says="compared as numbers, not as text")
def train_by_recounting(words, vocab_size):
    def best_pair(counts):
        return min(counts, key=lambda pair: (-counts[pair], f"{pair[0]} {pair[1]}"))

    return learning_by(best_pair)(words, vocab_size)


@wrong(
    "train-by-recounting", mistake="ties by the second id", says="the smaller second id wins; the first id comes first"
)
def train_by_recounting(words, vocab_size):
    return learning_by(lambda counts: min(counts, key=lambda pair: (-counts[pair], pair[::-1])))(words, vocab_size)


@wrong("train-by-recounting", mistake="ties by the sum of the ids", says="the smaller sum of ids wins")
def train_by_recounting(words, vocab_size):
    return learning_by(lambda counts: min(counts, key=lambda pair: (-counts[pair], sum(pair), pair)))(words, vocab_size)


@wrong("train-by-recounting", mistake="lists as keys of a dict", says="a list cannot be a key of a dict")
def train_by_recounting(words, vocab_size):
    merges = []
    for new_id in range(256, vocab_size):
        merges.append(best_pair(reference.count_pairs(words)))
        words = {reference.merge_pair(word, merges[-1], new_id): n for word, n in words.items()}
    return merges


@wrong(
    "train-by-recounting", mistake="one merge too few", says="leaves room for one merge", never=["wins, wherever it"]
)
def train_by_recounting(words, vocab_size):
    return reference.train_by_recounting(words, max(vocab_size - 1, 256) if vocab_size > 255 else vocab_size)


# -------------------------------------------------------------------------------------------------- index-pairs


@wrong("index-pairs", mistake="the words instead of their positions", says="the position of a word is a number")
def index_pairs(words):
    where = {}
    for word in words:
        for pair in pairwise(word):
            where.setdefault(pair, set()).add(tuple(word))
    return where


@wrong("index-pairs", mistake="a position once for each occurrence", says="is named twice")
def index_pairs(words):
    where = {}
    for position, word in enumerate(words):
        for pair in pairwise(word):
            where.setdefault(pair, []).append(position)
    return where


@wrong("index-pairs", mistake="positions of the pair within its word", says="these are positions within a word")
def index_pairs(words):
    where = {}
    for word in words:
        for position, pair in enumerate(pairwise(word)):
            where.setdefault(pair, set()).add(position)
    return where


@wrong("index-pairs", mistake="forgets a word's last pair", says="the last pair of each word is missing")
def index_pairs(words):
    return reference.index_pairs([word[:-1] for word in words])


@wrong("index-pairs", mistake="counts words instead of naming them", says="a set with the positions of words, but")
def index_pairs(words):
    return {pair: len(positions) for pair, positions in reference.index_pairs(words).items()}


@wrong("index-pairs", mistake="only the last word of each pair", says="a pair has only the last word")
def index_pairs(words):
    return {pair: {position} for position, word in enumerate(words) for pair in pairwise(word)}


@wrong(
    "index-pairs",
    mistake="looks up a word's position, which equal words share",
    says="equal words have a position each",
)
def index_pairs(words):
    where = {}
    for word in words:
        for pair in pairwise(word):
            where.setdefault(pair, set()).add(words.index(word))
    return where


# --------------------------------------------------------------------------------------------- merge-everywhere


@wrong("merge-everywhere", mistake="each word's gain counts once", says="the gain counts each word once")
def merge_everywhere(pair, new_id, words, frequencies, where):
    return reference.merge_everywhere(pair, new_id, words, [1] * len(words), where)


@wrong("merge-everywhere", mistake="does not put merged words back", says="the list `words` is as it was")
def merge_everywhere(pair, new_id, words, frequencies, where):
    return reference.merge_everywhere(pair, new_id, list(words), frequencies, where)


@wrong(
    "merge-everywhere",
    mistake="the index does not learn the new pairs",
    says="no pair with the new symbol entered the index",
)
def merge_everywhere(pair, new_id, words, frequencies, where):
    gained = reference.merge_everywhere(pair, new_id, words, frequencies, {pair: where.pop(pair)})
    return gained


@wrong("merge-everywhere", mistake="the merged pair stays in the index", says="so it leaves the index")
def merge_everywhere(pair, new_id, words, frequencies, where):
    old = set(where[pair])
    gained = reference.merge_everywhere(pair, new_id, words, frequencies, where)
    where[pair] = old
    return gained


@wrong("merge-everywhere", mistake="looks at every word", says="a word that the index does not name was changed")
def merge_everywhere(pair, new_id, words, frequencies, where):
    where[pair] = set(range(len(words)))
    return reference.merge_everywhere(pair, new_id, words, frequencies, where)


@wrong("merge-everywhere", mistake="each pair counts once a word", says="at several places counts for it only once")
def merge_everywhere(pair, new_id, words, frequencies, where):
    gained = {}
    for position in where.pop(pair):
        words[position] = reference.merge_pair(words[position], pair, new_id)
        for neighbours in {p for p in pairwise(words[position]) if new_id in p}:
            gained[neighbours] = gained.get(neighbours, 0) + frequencies[position]
            where.setdefault(neighbours, set()).add(position)
    return gained


@wrong("merge-everywhere", mistake="gives up on a long index", says="does it name words that never held")
def merge_everywhere(pair, new_id, words, frequencies, where):
    gained = reference.merge_everywhere(pair, new_id, words, frequencies, where)
    if len(words) > 100:
        every = set(range(len(words)))  # one set for all, which crosses to another process once
        where.update({key: every for key in where})
    return gained


@wrong("merge-everywhere", mistake="gains all pairs of a changed word", says="only those with the new symbol belong")
def merge_everywhere(pair, new_id, words, frequencies, where):
    named = list(where[pair])
    reference.merge_everywhere(pair, new_id, words, frequencies, where)
    gained = {}
    for position in named:
        for neighbours in pairwise(words[position]):
            gained[neighbours] = gained.get(neighbours, 0) + frequencies[position]
    return gained


@wrong("merge-everywhere", mistake="forgets to return the gain", says="a dict with what the merge gains")
def merge_everywhere(pair, new_id, words, frequencies, where):
    reference.merge_everywhere(pair, new_id, words, frequencies, where)


@wrong("merge-everywhere", mistake="a new pair names only its last word", says="should name all words that hold it")
def merge_everywhere(pair, new_id, words, frequencies, where):
    gained = reference.merge_everywhere(pair, new_id, words, frequencies, where)
    where.update({new: {max(where[new])} for new in gained})
    return gained


@wrong(
    "merge-everywhere",
    mistake="takes changed words out of the entries of other pairs",
    says="the entries of other pairs should stay",
)
def merge_everywhere(pair, new_id, words, frequencies, where):
    named = list(where[pair])
    gained = reference.merge_everywhere(pair, new_id, words, frequencies, where)
    for key in list(where):
        where[key] = {i for i in where[key] if i not in named or key in pairwise(words[i])}
    return gained


@wrong("merge-everywhere", mistake="merges in every word and keeps what the index names", says="look at no others")
def merge_everywhere(pair, new_id, words, frequencies, where):
    merged = [reference.merge_pair(word, pair, new_id) for word in words]
    for position in where[pair]:
        words[position] = merged[position]
    gained = {}
    for position in where.pop(pair):
        for neighbours in pairwise(words[position]):
            if new_id in neighbours:
                gained[neighbours] = gained.get(neighbours, 0) + frequencies[position]
                where.setdefault(neighbours, set()).add(position)
    return gained


# ------------------------------------------------------------------------------------------------ update-counts


@wrong("update-counts", mistake="adds the gain and takes nothing off", says="no count fell")
def update_counts(counts, pair, new_id, gained):
    counts.update(gained)
    del counts[pair]


@wrong("update-counts", mistake="keeps the merged pair", says="the merged pair should leave `counts`")
def update_counts(counts, pair, new_id, gained):
    reference.update_counts(counts, pair, new_id, gained)
    counts[pair] = 0


@wrong(
    "update-counts",
    mistake="the ends of the pair the wrong way round",
    says="stand where 2 and 3 stood",
)
def update_counts(counts, pair, new_id, gained):
    for (left, right), count in gained.items():
        before = (pair[0] if left == new_id else left, pair[1] if right == new_id else right)
        counts[before] = counts.get(before, 0) - count
        counts[left, right] = count
    counts.pop(pair, None)


@wrong("update-counts", mistake="forgets that both ends may be new", says="two new symbols stand where 2 and 1 stood")
def update_counts(counts, pair, new_id, gained):
    for (left, right), count in gained.items():
        before = (pair[1], right) if left == new_id else (left, pair[0])
        counts[before] = counts.get(before, 0) - count
        counts[left, right] = count
    counts.pop(pair, None)


@wrong("update-counts", mistake="removes pairs that shrink", says="take off only what was lost")
def update_counts(counts, pair, new_id, gained):
    for (left, right), count in gained.items():
        counts.pop((pair[1] if left == new_id else left, pair[0] if right == new_id else right), None)
        counts[left, right] = count
    counts.pop(pair, None)


@wrong("update-counts", mistake="returns new counts", says="`counts` is as it was before the call")
def update_counts(counts, pair, new_id, gained):
    counts = dict(counts)
    reference.update_counts(counts, pair, new_id, gained)
    return counts


@wrong("update-counts", mistake="forgets to add the gain", says="did not enter `counts`")
def update_counts(counts, pair, new_id, gained):
    reference.update_counts(counts, pair, new_id, gained)
    for new in gained:
        del counts[new]


@wrong("update-counts", mistake="forgets the pairs that end in the new symbol", says="no count fell")
def update_counts(counts, pair, new_id, gained):
    for (left, right), count in gained.items():
        if left == new_id:
            counts[pair[1], right] -= count
        counts[left, right] = count
    del counts[pair]


@wrong("update-counts", mistake="takes off the wrong half's pair", says="(1, 3) in `counts` and no word held it")
def update_counts(counts, pair, new_id, gained):
    for (left, right), count in gained.items():
        counts[pair[0] if left == new_id else left, pair[1] if right == new_id else right] -= count
        counts[left, right] = count
    del counts[pair]


@wrong(
    "update-counts",
    mistake="an if for each end of the pair",
    says="(2, 256) in `counts` and no word held it: two new symbols stand where 2 and 1 stood",
)
def update_counts(counts, pair, new_id, gained):
    for (left, right), count in gained.items():
        if left == new_id:
            counts[pair[1], right] -= count
        if right == new_id:
            counts[left, pair[0]] -= count
        counts[left, right] = count
    del counts[pair]


@wrong("update-counts", mistake="takes the merged pair out first", says="(4, 4) in `counts` after it took it out")
def update_counts(counts, pair, new_id, gained):
    del counts[pair]
    for (left, right), count in gained.items():
        counts[pair[1] if left == new_id else left, pair[0] if right == new_id else right] -= count
        counts[left, right] = count


# ----------------------------------------------------------------------------------------------------- pop-best


@wrong("pop-best", mistake="trusts the heap", says="its entry is out of date")
def pop_best(heap, counts):
    return heapq.heappop(heap)[1] if heap else None


@wrong("pop-best", mistake="drops entries that are out of date", says="goes back with its true count")
def pop_best(heap, counts):
    while heap:
        stated, pair = heapq.heappop(heap)
        if counts.get(pair, 0) == -stated:
            return pair
    return None


@wrong("pop-best", mistake="leaves the entry on the heap", says="an entry whose count is true leaves the heap")
def pop_best(heap, counts):
    pair = reference.pop_best(heap, counts)
    if pair is not None:
        heapq.heappush(heap, (-counts[pair], pair))
    return pair


@wrong("pop-best", mistake="pairs that count nothing come back", says="leaves the heap for good")
def pop_best(heap, counts):
    while heap:
        stated, pair = heapq.heappop(heap)
        if counts.get(pair, 0) == -stated:
            return pair
        heapq.heappush(heap, (-counts.get(pair, 0), pair))
    return None


@wrong(
    "pop-best",
    mistake="forgets that a pair may have left the counts",
    says="a pair that is no longer in `counts`",
)
def pop_best(heap, counts):
    while heap:
        stated, pair = heapq.heappop(heap)
        if counts[pair] == -stated:
            return pair
        if counts[pair]:
            heapq.heappush(heap, (-counts[pair], pair))
    return None


@wrong("pop-best", mistake="appends the entry that goes back", says="is the heap still one when an entry goes back")
def pop_best(heap, counts):
    while heap:
        stated, pair = heapq.heappop(heap)
        count = counts.get(pair, 0)
        if count == -stated:
            return pair
        if count:
            heap.append((-count, pair))
    return None


@wrong("pop-best", mistake="returns the whole entry", says="should be a pair of ids or None", never=["out of date"])
def pop_best(heap, counts):
    pair = reference.pop_best(heap, counts)
    return None if pair is None else (-counts[pair], pair)


@wrong(
    "pop-best",
    mistake="pops from an empty heap",
    says="an empty heap has no best pair: return None",
    never=["no longer in `counts`"],
)
def pop_best(heap, counts):
    while True:
        stated, pair = heapq.heappop(heap)
        count = counts.get(pair, 0)
        if count == -stated:
            return pair
        if count:
            heapq.heappush(heap, (-count, pair))


@wrong("pop-best", mistake="looks at one entry only before it trusts the heap", says="leaves the heap for good")
def pop_best(heap, counts):
    if not heap:
        return None
    stated, pair = heapq.heappop(heap)
    if counts.get(pair, 0) != -stated:
        heapq.heappush(heap, (-counts.get(pair, 0), pair))
        stated, pair = heapq.heappop(heap)
    return pair


# ---------------------------------------------------------------------------------------------------- train-bpe


def _train(text, vocab_size, *, push=True, update=True, first_id=256, least=1, heapify=sorted):
    counted = reference.count_words(text)
    words, frequencies = [list(word) for word in counted], list(counted.values())
    where, counts = reference.index_pairs(words), reference.count_pairs(counted)
    heap = heapify((-count, pair) for pair, count in counts.items())
    merges = []
    while 256 + len(merges) < vocab_size and (pair := reference.pop_best(heap, counts)):
        if counts[pair] < least:
            break
        new_id = first_id + len(merges)
        gained = reference.merge_everywhere(pair, new_id, words, frequencies, where)
        if update:
            reference.update_counts(counts, pair, new_id, gained)
        else:
            counts.update(gained)
        for neighbours, count in gained.items():
            if push:
                heapq.heappush(heap, (-count, neighbours))
        merges.append(pair)
    return merges


@wrong("train-bpe", mistake="gained pairs never reach the heap", says="passes over a pair that the first one gained")
def train_bpe(text, vocab_size):
    return _train(text, vocab_size, push=False)


@wrong("train-bpe", mistake="counts never fall", says="its count should fall")
def train_bpe(text, vocab_size):
    try:
        return _train(text, vocab_size, update=False)
    except KeyError:
        return []


@wrong(
    "train-bpe",
    mistake="new ids from 257 on",
    says="makes id 256, but yours makes 257",
    never=["its count should fall", "passes over a pair"],
)
def train_bpe(text, vocab_size):
    return _train(text, vocab_size, first_id=257)


@wrong("train-bpe", mistake="stops at pairs that occur once", says="pairs that occur only once were left out")
def train_bpe(text, vocab_size):
    if vocab_size < 256:
        raise ValueError("too small")
    return _train(text, vocab_size, least=2)


@wrong("train-bpe", mistake="merges come out last first", says="and their ids with them")
def train_bpe(text, vocab_size):
    merges = _train(text, vocab_size)
    renumbered = {256 + i: 255 + len(merges) - i for i in range(len(merges))}
    return [(renumbered.get(a, a), renumbered.get(b, b)) for a, b in merges[::-1]]


@wrong("train-bpe", mistake="accepts any size", says="fewer than 256 ids")
def train_bpe(text, vocab_size):
    return _train(text, vocab_size)


@wrong("train-bpe", mistake="asks the library", says=REFUSED)
def train_bpe(text, vocab_size):
    return library_merges(text, vocab_size)


@wrong(
    "train-bpe",
    mistake="the heap is no heap at the start",
    says="are the entries a heap from the start",
    never=["its count should fall", "passes over a pair"],
)
def train_bpe(text, vocab_size):
    return _train(text, vocab_size, heapify=list)


@wrong(
    "train-bpe",
    mistake="calls the plain loop",
    says="it is the plain loop that you call",
    never=["its count should fall"],
)
def train_bpe(text, vocab_size):
    return reference.train_by_recounting(reference.count_words(text), vocab_size)


@wrong("train-bpe", mistake="merges in all words at each merge", says="only at the words that the index names")
def train_bpe(text, vocab_size):
    if vocab_size < 256:
        raise ValueError("too small")
    words, merges = reference.count_words(text), []
    for new_id in range(256, vocab_size):
        counts = reference.count_pairs(words)
        if not counts:
            break
        merges.append(best_pair(counts))
        words = {tuple(reference.merge_pair(word, merges[-1], new_id)): n for word, n in words.items()}
    return merges


@wrong("train-bpe", mistake="one merge too few", says="you return no merge although")
def train_bpe(text, vocab_size):
    return _train(text, vocab_size - 1)


@wrong("train-bpe", mistake="pushes counts that are not negative", says="passes over a pair that the first one gained")
def train_bpe(text, vocab_size):
    if vocab_size < 256:
        raise ValueError("too small")
    counted = reference.count_words(text)
    words, frequencies = [list(word) for word in counted], list(counted.values())
    where, counts = reference.index_pairs(words), reference.count_pairs(counted)
    heap = sorted((-count, pair) for pair, count in counts.items())
    merges = []
    while len(merges) < vocab_size - 256:
        pair = reference.pop_best(heap, counts)
        if pair is None:
            break
        gained = reference.merge_everywhere(pair, 256 + len(merges), words, frequencies, where)
        reference.update_counts(counts, pair, 256 + len(merges), gained)
        for neighbours, count in gained.items():
            heapq.heappush(heap, (count, neighbours))
        merges.append(pair)
    return merges


def _step_by_step(text, vocab_size, *, sign=-1, count=reference.count_words, shift=0, recount=False, reindex=False):
    """The trainer as most write it, with one step done otherwise."""
    if vocab_size < 256:
        raise ValueError("too small")
    counted = reference.count_words(text)
    words, frequencies = count(text)
    where, counts = reference.index_pairs(words), reference.count_pairs(counted)
    heap = [(sign * n, pair) for pair, n in counts.items()]
    heapq.heapify(heap)
    merges = []
    for new_id in range(256, vocab_size):
        pair = reference.pop_best(heap, counts)
        if pair is None:
            break
        merges.append(pair)
        gained = reference.merge_everywhere(pair, new_id + shift, words, frequencies, where)
        if recount:
            counts = reference.count_pairs(dict(zip(map(tuple, words), frequencies, strict=True)))
        else:
            reference.update_counts(counts, pair, new_id, gained)
        if reindex:
            where = reference.index_pairs(words)
        for neighbours, n in gained.items():
            heapq.heappush(heap, (sign * n, neighbours))
    return merges


def _words_and_frequencies(text):
    counted = reference.count_words(text)
    return [list(word) for word in counted], list(counted.values())


@wrong(
    "train-bpe",
    mistake="no count on the heap is negative",
    says="the pair that occurs least often",
    never=["are the entries a heap from the start"],
)
def train_bpe(text, vocab_size):
    return _step_by_step(text, vocab_size, count=_words_and_frequencies, sign=1)


@wrong(
    "train-bpe",
    mistake="what a merge gains counts each word once",
    says="each word counts once for what a merge gains",
    never=["passes over a pair", "its count should fall"],
)
def train_bpe(text, vocab_size):
    def count(text):
        words, _ = _words_and_frequencies(text)
        return words, [1] * len(words)

    return _step_by_step(text, vocab_size, count=count)


@wrong("train-bpe", mistake="counts all pairs after each merge", says="you count all pairs")
def train_bpe(text, vocab_size):
    return _step_by_step(text, vocab_size, count=_words_and_frequencies, recount=True)


@wrong("train-bpe", mistake="makes the index again after each merge", says="you make the index")
def train_bpe(text, vocab_size):
    return _step_by_step(text, vocab_size, count=_words_and_frequencies, reindex=True)


@wrong("train-bpe", mistake="equal chunks are words of their own", says="keep equal chunks as one word")
def train_bpe(text, vocab_size):
    def count(text):
        words = [reference.byte_ids(chunk) for chunk in reference.pre_tokenize(text)]
        return words, [1] * len(words)

    return _step_by_step(text, vocab_size, count=count)


@wrong("train-bpe", mistake="another new id for the counts than for the words", says="the same new id")
def train_bpe(text, vocab_size):
    return _step_by_step(text, vocab_size, count=_words_and_frequencies, shift=1)


@wrong("train-bpe", mistake="goes on when no pair is left", says="your code raises an error there")
def train_bpe(text, vocab_size):
    if vocab_size < 256:
        raise ValueError("too small")
    merges = _step_by_step(text, vocab_size, count=_words_and_frequencies)
    if len(merges) < vocab_size - 256:
        reference.merge_everywhere(None, 256 + len(merges), [], [], {})
    return merges


# --------------------------------------------------------------------------------------------------- vocabulary


@wrong("vocabulary", mistake="id 0 is byte 0", says="id 0 is not byte 0")
def vocabulary(merges, special=()):
    tokens = [bytes([byte]) for byte in range(256)]
    for first, second in merges:
        tokens.append(tokens[first] + tokens[second])
    return tokens + [token.encode() for token in special]


@wrong("vocabulary", mistake="joins in the wrong order", says="joined the wrong way round")
def vocabulary(merges, special=()):
    return reference.vocabulary([pair[::-1] for pair in merges], special)


@wrong("vocabulary", mistake="special tokens come first", says="special tokens come last, but yours come first")
def vocabulary(merges, special=()):
    return [token.encode() for token in special] + reference.vocabulary(merges)


@wrong("vocabulary", mistake="no special tokens", says="the special tokens are missing")
def vocabulary(merges, special=()):
    return reference.vocabulary(merges)


@wrong("vocabulary", mistake="negative ids count from the end", says="no id is negative")
def vocabulary(merges, special=()):
    tokens = [bytes([byte]) for byte in reference.ID_TO_BYTE]
    for first, second in merges:
        if max(first, second) >= len(tokens):
            raise ValueError("unknown id")
        tokens.append(tokens[first] + tokens[second])
    return tokens + [token.encode() for token in special]


@wrong("vocabulary", mistake="ints for bytes", says="each entry should be bytes", never=["id 0 is not byte 0"])
def vocabulary(merges, special=()):
    return [token[0] if len(token) == 1 else token for token in reference.vocabulary(merges, special)]


@wrong(
    "vocabulary",
    mistake="text for bytes",
    says="each entry should be bytes, but one is the str",
    never=["id 0 is not"],
)
def vocabulary(merges, special=()):
    return [token.decode(errors="replace") for token in reference.vocabulary(merges, special)]


@wrong("vocabulary", mistake="special tokens before the merges", says="special tokens come before the merges")
def vocabulary(merges, special=()):
    tokens = reference.vocabulary(merges)
    return tokens[:256] + [token.encode() for token in special] + tokens[256:]


@wrong("vocabulary", mistake="a merge may use its own id", says="may not use the id that it makes itself")
def vocabulary(merges, special=()):
    for made, pair in enumerate(merges, 256):
        if max(pair) > made or min(pair) < 0:
            raise ValueError("unknown id")
    return reference.vocabulary([(a % (256 + i), b % (256 + i)) for i, (a, b) in enumerate(merges)], special)


# ------------------------------------------------------------------------------------------------------- decode


@wrong("decode", mistake="decodes token by token", says="put all bytes together")
def decode(ids, merges, special=()):
    tokens = reference.vocabulary(merges, special)
    return "".join(tokens[i].decode(errors="replace") for i in ids)


@wrong("decode", mistake="ids of bytes are the bytes", says="not for themselves")
def decode(ids, merges, special=()):
    tokens = [bytes([i]) for i in range(256)] + reference.vocabulary(merges, special)[256:]
    return b"".join(tokens[i] for i in ids).decode(errors="replace")


@wrong("decode", mistake="drops what is not valid UTF-8", says="are lost; they become U+FFFD")
def decode(ids, merges, special=()):
    tokens = reference.vocabulary(merges, special)
    return b"".join(tokens[i] for i in ids).decode(errors="ignore")


@wrong("decode", mistake="negative ids count from the end", says="a negative id")
def decode(ids, merges, special=()):
    tokens = reference.vocabulary(merges, special)
    for i in ids:
        if i >= len(tokens):
            raise ValueError(f"id {i} is unknown")
    return b"".join(tokens[i] for i in ids).decode(errors="replace")


@wrong("decode", mistake="asks the library", says=REFUSED)
def decode(ids, merges, special=()):
    return library_tokenizer(merges, special).decode(ids, skip_special_tokens=False)


@wrong("decode", mistake="stops at bytes that are not valid UTF-8", says="bytes that are not valid UTF-8 become U+FFFD")
def decode(ids, merges, special=()):
    tokens, ids = reference.vocabulary(merges, special), list(ids)
    if not all(0 <= i < len(tokens) for i in ids):
        raise ValueError("unknown id")
    return b"".join(tokens[i] for i in ids).decode()


@wrong("decode", mistake="returns bytes", says="the result should be a str")
def decode(ids, merges, special=()):
    return reference.decode(ids, merges, special).encode()


@wrong("decode", mistake="goes through an iterator twice", says="ids may come from an iterator")
def decode(ids, merges, special=()):
    tokens = reference.vocabulary(merges, special)
    if any(not 0 <= i < len(tokens) for i in ids):
        raise ValueError("unknown id")
    return b"".join(tokens[i] for i in ids).decode(errors="replace")


@wrong("decode", mistake="an IndexError for an unknown id", says="your code raised another")
def decode(ids, merges, special=()):
    tokens = reference.vocabulary(merges, special)
    ids = [i if i >= 0 else len(tokens) for i in ids]
    return b"".join(tokens[i] for i in ids).decode(errors="replace")


# ------------------------------------------------------------------------------------------------- encode-chunk


@wrong(
    "encode-chunk", mistake="merges from the left, first pair found", says="the pair furthest to the left merged first"
)
def encode_chunk(chunk, new_ids):
    ids = reference.byte_ids(chunk)
    while pair := next((p for p in pairwise(ids) if p in new_ids), None):
        ids = reference.merge_pair(ids, pair, new_ids[pair])
    return ids


@wrong("encode-chunk", mistake="one pass only", says="pairs of the new symbols did not merge")
def encode_chunk(chunk, new_ids):
    ids = reference.byte_ids(chunk)
    pairs = [p for p in pairwise(ids) if p in new_ids]
    best = min(pairs, key=new_ids.get, default=None)
    return reference.merge_pair(ids, best, new_ids[best]) if best else ids


@wrong("encode-chunk", mistake="latest learned pair first", says="the pair that was learned last merged first")
def encode_chunk(chunk, new_ids):
    ids = reference.byte_ids(chunk)
    while pairs := [p for p in pairwise(ids) if p in new_ids]:
        best = max(pairs, key=new_ids.get)
        ids = reference.merge_pair(ids, best, new_ids[best])
    return ids


@wrong("encode-chunk", mistake="ids of characters instead of bytes", says="these are code points")
def encode_chunk(chunk, new_ids):
    return list(map(ord, chunk))


@wrong("encode-chunk", mistake="longest token first", says="the longest token was taken")
def encode_chunk(chunk, new_ids):
    tokens = reference.vocabulary(list(new_ids)) if sorted(new_ids.values()) == list(new_ids.values()) else []
    by_text = {token: i for i, token in enumerate(tokens)}
    rest, ids = chunk.encode(), []
    if len(new_ids) < 3:
        return reference.encode_chunk(chunk, new_ids)
    while rest:
        size = next(n for n in range(len(rest), 0, -1) if rest[:n] in by_text)
        ids.append(by_text[rest[:size]])
        rest = rest[size:]
    return ids


@wrong("encode-chunk", mistake="asks the library", says=REFUSED)
def encode_chunk(chunk, new_ids):
    return library_tokenizer(sorted(new_ids, key=new_ids.get)).encode(chunk).ids


@wrong("encode-chunk", mistake="stops at the first pair that is not known", says="does not stop one further right")
def encode_chunk(chunk, new_ids):
    ids = reference.byte_ids(chunk)
    while len(ids) > 1 and tuple(ids[:2]) in new_ids:
        ids = reference.encode_chunk(chunk, new_ids)
        break
    return ids


@wrong(
    "encode-chunk",
    mistake="the pair most frequent in the chunk first",
    says="the pair that occurs most often in the chunk merged first",
)
def encode_chunk(chunk, new_ids):
    ids = reference.byte_ids(chunk)
    while known := [pair for pair in pairwise(ids) if pair in new_ids]:
        best = max(known, key=known.count)
        ids = reference.merge_pair(ids, best, new_ids[best])
    return ids


@wrong("encode-chunk", mistake="the smallest pair first", says="the pair with the smallest ids merged first")
def encode_chunk(chunk, new_ids):
    ids = reference.byte_ids(chunk)
    while known := [pair for pair in pairwise(ids) if pair in new_ids]:
        ids = reference.merge_pair(ids, min(known), new_ids[min(known)])
    return ids


@wrong("encode-chunk", mistake="the largest pair first", says="the pair with the largest ids merged first")
def encode_chunk(chunk, new_ids):
    ids = reference.byte_ids(chunk)
    while known := [pair for pair in pairwise(ids) if pair in new_ids]:
        ids = reference.merge_pair(ids, max(known), new_ids[max(known)])
    return ids


@wrong("encode-chunk", mistake="bytes for their ids", says="these are the bytes themselves")
def encode_chunk(chunk, new_ids):
    return list(chunk.encode())


@wrong("encode-chunk", mistake="looks for a pair in a single id", says="when a single id is left there is no pair")
def encode_chunk(chunk, new_ids):
    ids = reference.byte_ids(chunk)
    while True:
        best = min(pairwise(ids), key=lambda pair: new_ids.get(pair, float("inf")))
        if best not in new_ids:
            return ids
        ids = reference.merge_pair(ids, best, new_ids[best])


# ------------------------------------------------------------------------------------------------------- encode


@wrong("encode", mistake="merges across chunks", says="crossed from one chunk into the next")
def encode(text, merges):
    if not isinstance(text, str):
        raise TypeError("text must be a str")
    return reference.encode_chunk(text, {pair: 256 + rank for rank, pair in enumerate(merges)})


@wrong("encode", mistake="numbers merges from 0", says="but yours makes i", never=["crossed from one chunk"])
def encode(text, merges):
    new_ids = {pair: rank for rank, pair in enumerate(merges)}
    return [i for chunk in reference.pre_tokenize(text) for i in reference.encode_chunk(chunk, new_ids)]


@wrong(
    "encode",
    mistake="each distinct chunk once",
    says="each distinct chunk came only once",
    never=["makes id 256", "crossed from one chunk"],
)
def encode(text, merges):
    new_ids = {pair: 256 + rank for rank, pair in enumerate(merges)}
    return [i for chunk in dict.fromkeys(reference.pre_tokenize(text)) for i in reference.encode_chunk(chunk, new_ids)]


@wrong("encode", mistake="bytes are decoded quietly", says="bytes are not text")
def encode(text, merges):
    return reference.encode(text.decode() if isinstance(text, bytes) else text, merges)


@wrong("encode", mistake="asks the library", says=REFUSED)
def encode(text, merges):
    return library_tokenizer(merges).encode(text).ids


@wrong(
    "encode",
    mistake="a list of lists, one a chunk",
    says="join the chunks' lists",
    never=["crossed from one chunk", "makes id 256"],
)
def encode(text, merges):
    new_ids = {pair: 256 + rank for rank, pair in enumerate(merges)}
    return [reference.encode_chunk(chunk, new_ids) for chunk in reference.pre_tokenize(text)]


@wrong("encode", mistake="works out each chunk again", says="keep the ids of a chunk for when it comes again")
def encode(text, merges):
    new_ids = {pair: 256 + rank for rank, pair in enumerate(merges)}
    return [i for chunk in reference.pre_tokenize(text) for i in reference.encode_chunk(chunk, new_ids)]


# ------------------------------------------------------------------------------------------ encode-with-special


@wrong("encode-with-special", mistake="spells special tokens out", says="was encoded as text")
def encode_with_special(text, merges, special):
    return reference.encode(text, merges)


@wrong("encode-with-special", mistake="their signs act as a pattern", says="signs such as | stand for themselves")
def encode_with_special(text, merges, special):
    ids_of = {token: 256 + len(merges) + place for place, token in enumerate(special)}
    parts = regex.split("(" + "|".join(special) + ")", text) if special else [text]
    ids = []
    for part in parts:
        ids += [ids_of[part]] if part in ids_of else reference.encode(part or "", merges)
    return ids


@wrong("encode-with-special", mistake="the first in the list wins, not the longest", says="the longer one counts")
def encode_with_special(text, merges, special):
    ids_of = {token: 256 + len(merges) + place for place, token in enumerate(special)}
    parts = regex.split("(" + "|".join(map(regex.escape, special)) + ")", text) if special else [text]
    return [i for part in parts for i in ([ids_of[part]] if part in ids_of else reference.encode(part, merges))]


@wrong(
    "encode-with-special",
    mistake="special tokens get ids in order of length",
    says="has the id of its place in this list",
)
def encode_with_special(text, merges, special):
    order = sorted(special, key=len)
    place = {256 + len(merges) + i: 256 + len(merges) + order.index(token) for i, token in enumerate(special)}
    return [place.get(i, i) for i in reference.encode_with_special(text, merges, special)]


@wrong("encode-with-special", mistake="accepts a token twice", says="a special token twice")
def encode_with_special(text, merges, special):
    return reference.encode_with_special(text, merges, [token for token in dict.fromkeys(special) if token])


@wrong("encode-with-special", mistake="asks the library", says=REFUSED)
def encode_with_special(text, merges, special):
    return library_tokenizer(merges, special).encode(text).ids


@wrong(
    "encode-with-special", mistake="the longest token wins wherever it begins", says="the one that begins first counts"
)
def encode_with_special(text, merges, special):
    if len(set(special)) != len(special) or not all(special):
        raise ValueError("distinct and not empty, please")
    parts = [text]
    for token in sorted(special, key=len, reverse=True):
        new_id, split = 256 + len(merges) + list(special).index(token), []
        for part in parts:
            pieces = part.split(token) if isinstance(part, str) else [part]
            for piece in pieces:
                split += [piece, new_id]
            split.pop()
        parts = split
    return [i for part in parts for i in ([part] if isinstance(part, int) else reference.encode(part, merges))]


@wrong(
    "encode-with-special", mistake="an empty list splits the text at each character", says="it is the same as encode"
)
def encode_with_special(text, merges, special):
    if "" in special or len(set(special)) < len(special):
        raise ValueError("distinct and not empty, please")
    ids_of = {token: 256 + len(merges) + place for place, token in enumerate(special)}
    pattern = "|".join(map(regex.escape, sorted(special, key=len, reverse=True)))
    ids, start = [], 0
    for match in regex.finditer(pattern, text):
        ids += reference.encode(text[start : match.start()], merges)
        ids += [ids_of[match.group()]] if match.group() else []
        start = match.end()
    return ids + reference.encode(text[start:], merges)


@wrong("encode-with-special", mistake="accepts an empty special token", says="an empty special token")
def encode_with_special(text, merges, special):
    if len(set(special)) < len(special):
        raise ValueError("distinct, please")
    return reference.encode_with_special(text, merges, [token for token in special if token])


@wrong(
    "encode-with-special",
    mistake="only the first occurrence of each special token",
    says="a special token may come first or last",
)
def encode_with_special(text, merges, special):
    if "" in special or len(set(special)) < len(special):
        raise ValueError("distinct and not empty, please")
    for place, token in enumerate(special):
        before, found, behind = text.partition(token)
        if found:
            left, right = (reference.encode(part, merges) for part in (before, behind))
            return [*left, 256 + len(merges) + place, *right]
    return reference.encode(text, merges)


@wrong(
    "encode-with-special", mistake="forgets the ids of merges", says="the first special token has id 256 + len(merges)"
)
def encode_with_special(text, merges, special):
    first = 256 + len(merges)
    return [i if i < first else i - len(merges) for i in reference.encode_with_special(text, merges, special)]


@wrong(
    "encode-with-special",
    mistake="ids in the order of a sorted list, the longest first",
    says="has the id of its place in this list",
)
def encode_with_special(text, merges, special):
    return reference.encode_with_special(text, merges, sorted(special, key=len, reverse=True))
