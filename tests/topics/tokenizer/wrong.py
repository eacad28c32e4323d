"""Answers to the tokenizer's exercises as students get them wrong."""

import heapq
import re
from itertools import pairwise

import regex

from course.banks.bank import wrong
from labkit.testing.oracles import library_merges, library_tokenizer
from solutions import tokenizer as reference

REFUSED = "this exercise asks you to write what that call does"


# ------------------------------------------------------------------------------------------------- pre-tokenize


@wrong("pre-tokenize", mistake="splits at white space and loses it", says="do not make up the text")
def pre_tokenize(text):
    return text.split()


@wrong("pre-tokenize", mistake="a capturing group, so findall returns the group", says="a group returned")
def pre_tokenize(text):
    return regex.findall(r"'([sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", text)


@wrong("pre-tokenize", mistake="no contractions", says="contractions such as")
def pre_tokenize(text):
    return regex.findall(r" ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", text)


@wrong("pre-tokenize", mistake="white space keeps its last character", says="leaves its last character")
def pre_tokenize(text):
    return regex.findall(r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+", text)


@wrong("pre-tokenize", mistake="letters are a to z only", says="letters are not only a to z")
def pre_tokenize(text):
    if not isinstance(text, str):
        raise TypeError("text must be a str")
    return re.findall(r"'(?:[sdmt]|ll|ve|re)| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+", text)


@wrong("pre-tokenize", mistake="numbers are decimal digits only", says="numbers are not only 0 to 9")
def pre_tokenize(text):
    return regex.findall(r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{Nd}+| ?[^\s\p{L}\p{Nd}]+|\s+(?!\S)|\s+", text)


@wrong("pre-tokenize", mistake="contractions in capitals too", says="only lower-case contractions")
def pre_tokenize(text):
    return regex.findall(r"'(?i:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", text)


@wrong("pre-tokenize", mistake="any white space may stand before a word", says="only a plain space joins a word")
def pre_tokenize(text):
    return regex.findall(r"'(?:[sdmt]|ll|ve|re)|\s?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", text)


@wrong("pre-tokenize", mistake="accepts bytes by decoding them", says="bytes are not text")
def pre_tokenize(text):
    return reference.pre_tokenize(text.decode() if isinstance(text, bytes) else text)


@wrong("pre-tokenize", mistake="asks the library", says=REFUSED)
def pre_tokenize(text):
    from tokenizers.pre_tokenizers import ByteLevel

    return [text[a:b] for _, (a, b) in ByteLevel(add_prefix_space=False).pre_tokenize_str(text)]


# -------------------------------------------------------------------------------------------------- count-pairs


@wrong("count-pairs", mistake="each word counts once", says="a word that occurs 5 times counts 5 times")
def count_pairs(words):
    counts = {}
    for word in words:
        for pair in pairwise(word):
            counts[pair] = counts.get(pair, 0) + 1
    return counts


@wrong("count-pairs", mistake="overlapping places count once", says="overlapping ones included")
def count_pairs(words):
    counts = {}
    for word, frequency in words.items():
        place = 0
        while place + 1 < len(word):
            pair = word[place], word[place + 1]
            counts[pair] = counts.get(pair, 0) + frequency
            place += 2 if pair[0] == pair[1] else 1
    return counts


@wrong("count-pairs", mistake="a word that repeats a pair counts it once", says="overlapping ones included")
def count_pairs(words):
    counts = {}
    for word, frequency in words.items():
        for pair in set(pairwise(word)):
            counts[pair] = counts.get(pair, 0) + frequency
    return counts


@wrong("count-pairs", mistake="pairs across words", says="words are not neighbours of each other")
def count_pairs(words):
    counts = reference.count_pairs(words)
    for left, right in pairwise(words):
        if len(left) == len(right) == 1:
            counts[left[-1], right[0]] = words[left]
    return counts


# ---------------------------------------------------------------------------------------------------- best-pair


@wrong("best-pair", mistake="ties go to the pair counted first", says="the smaller first id wins")
def best_pair(counts):
    return max(counts, key=counts.get)


@wrong("best-pair", mistake="ties go to the larger pair", says="the smaller first id wins")
def best_pair(counts):
    return max(counts, key=lambda pair: (counts[pair], pair))


@wrong("best-pair", mistake="the rarest pair", says="the highest count wins")
def best_pair(counts):
    return min(counts, key=lambda pair: (counts[pair], pair))


@wrong("best-pair", mistake="ties by the first id alone", says="the second id decides")
def best_pair(counts):
    return min(counts, key=lambda pair: (-counts[pair], pair[0]))


@wrong("best-pair", mistake="ids compared as text", says="compared as numbers")
def best_pair(counts):
    return min(counts, key=lambda pair: (-counts[pair], f"{pair[0]} {pair[1]}"))


@wrong("best-pair", mistake="None where there is no pair", says="there is no best pair among none")
def best_pair(counts):
    return reference.best_pair(counts) if counts else None


# --------------------------------------------------------------------------------------------------- merge-pair


@wrong("merge-pair", mistake="one merge a word", says="every occurrence merges")
def merge_pair(word, pair, new_id):
    for place in range(len(word) - 1):
        if (word[place], word[place + 1]) == pair:
            return [*word[:place], new_id, *word[place + 2 :]]
    return list(word)


@wrong("merge-pair", mistake="a symbol serves in two merges", says="a symbol serves once")
def merge_pair(word, pair, new_id):
    merged = []
    for place, symbol in enumerate(word):
        if tuple(word[place : place + 2]) == pair:
            merged.append(new_id)
        elif place == 0 or (word[place - 1], symbol) != pair:
            merged.append(symbol)
    return merged


@wrong("merge-pair", mistake="from right to left", says="of three equal symbols the first two merge")
def merge_pair(word, pair, new_id):
    return reference.merge_pair(word[::-1], pair[::-1], new_id)[::-1]


@wrong("merge-pair", mistake="in either order", says="or with it reversed")
def merge_pair(word, pair, new_id):
    return reference.merge_pair(reference.merge_pair(word, pair, new_id), pair[::-1], new_id)


@wrong("merge-pair", mistake="loses the last symbol", says="a word without the pair")
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


# ------------------------------------------------------------------------------------------ train-by-recounting


@wrong("train-by-recounting", mistake="counts only once", says="counted again after each merge")
def train_by_recounting(words, vocab_size):
    if vocab_size < 256:
        raise ValueError("too small")
    counts = reference.count_pairs(words)
    return sorted(counts, key=lambda pair: (-counts[pair], pair))[: vocab_size - 256]


@wrong("train-by-recounting", mistake="new ids from 257 on", says="is another one than the library's")
def train_by_recounting(words, vocab_size):
    merges = []
    while 256 + len(merges) < vocab_size and (counts := reference.count_pairs(words)):
        merges.append(reference.best_pair(counts))
        words = {tuple(reference.merge_pair(w, merges[-1], 256 + len(merges))): n for w, n in words.items()}
    return merges


@wrong("train-by-recounting", mistake="goes on when no pair is left", says="there is no pair left to merge")
def train_by_recounting(words, vocab_size):
    merges = []
    while 256 + len(merges) < vocab_size:
        merges.append(reference.best_pair(reference.count_pairs(words)))
        words = {tuple(reference.merge_pair(w, merges[-1], 255 + len(merges))): n for w, n in words.items()}
    return merges


@wrong("train-by-recounting", mistake="stops at pairs that occur once", says="stop when no word has a pair left")
def train_by_recounting(words, vocab_size):
    merges = []
    while 256 + len(merges) < vocab_size and max((counts := reference.count_pairs(words)).values(), default=0) > 1:
        merges.append(reference.best_pair(counts))
        words = {tuple(reference.merge_pair(w, merges[-1], 255 + len(merges))): n for w, n in words.items()}
    return merges


@wrong("train-by-recounting", mistake="accepts any size", says="fewer than 256 ids")
def train_by_recounting(words, vocab_size):
    return reference.train_by_recounting(words, max(256, vocab_size))


@wrong("train-by-recounting", mistake="asks the library", says=REFUSED)
def train_by_recounting(words, vocab_size):
    text = " ".join(reference.decode(word, []) for word, n in words.items() for _ in range(n))
    return library_merges(text, vocab_size)


# -------------------------------------------------------------------------------------------------- index-pairs


@wrong("index-pairs", mistake="the words instead of their positions", says="the positions in the list")
def index_pairs(words):
    where = {}
    for word in words:
        for pair in pairwise(word):
            where.setdefault(pair, set()).add(tuple(word))
    return where


@wrong("index-pairs", mistake="a position once for each occurrence", says="each once, by its position")
def index_pairs(words):
    where = {}
    for position, word in enumerate(words):
        for pair in pairwise(word):
            where.setdefault(pair, []).append(position)
    return where


@wrong("index-pairs", mistake="positions of the pair within its word", says="the positions in the list")
def index_pairs(words):
    where = {}
    for word in words:
        for position, pair in enumerate(pairwise(word)):
            where.setdefault(pair, set()).add(position)
    return where


@wrong("index-pairs", mistake="forgets a word's last pair", says="the positions in the list")
def index_pairs(words):
    return reference.index_pairs([word[:-1] for word in words])


# --------------------------------------------------------------------------------------------- merge-everywhere


@wrong("merge-everywhere", mistake="each word's gain counts once", says="each word counted as often as it occurs")
def merge_everywhere(pair, new_id, words, frequencies, where):
    return reference.merge_everywhere(pair, new_id, words, [1] * len(words), where)


@wrong("merge-everywhere", mistake="does not put merged words back", says="should hold the merged words")
def merge_everywhere(pair, new_id, words, frequencies, where):
    return reference.merge_everywhere(pair, new_id, list(words), frequencies, where)


@wrong("merge-everywhere", mistake="the index does not learn the new pairs", says="enter the index")
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


@wrong("merge-everywhere", mistake="each pair counts once a word", says="every place counts")
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


# ------------------------------------------------------------------------------------------------ update-counts


@wrong("update-counts", mistake="adds the gain and takes nothing off", says="counts differ from counting all over")
def update_counts(counts, pair, new_id, gained):
    counts.update(gained)
    del counts[pair]


@wrong("update-counts", mistake="keeps the merged pair", says="the merged pair should leave the counts")
def update_counts(counts, pair, new_id, gained):
    reference.update_counts(counts, pair, new_id, gained)
    counts[pair] = 0


@wrong("update-counts", mistake="the ends of the pair the wrong way round", says="where the pair's second half was")
def update_counts(counts, pair, new_id, gained):
    for (left, right), count in gained.items():
        before = (pair[0] if left == new_id else left, pair[1] if right == new_id else right)
        counts[before] = counts.get(before, 0) - count
        counts[left, right] = count
    counts.pop(pair, None)


@wrong("update-counts", mistake="forgets that both ends may be new", says="between two new symbols")
def update_counts(counts, pair, new_id, gained):
    for (left, right), count in gained.items():
        before = (pair[1], right) if left == new_id else (left, pair[0])
        counts[before] = counts.get(before, 0) - count
        counts[left, right] = count
    counts.pop(pair, None)


@wrong("update-counts", mistake="removes pairs that shrink", says="subtract, do not remove")
def update_counts(counts, pair, new_id, gained):
    for (left, right), count in gained.items():
        counts.pop((pair[1] if left == new_id else left, pair[0] if right == new_id else right), None)
        counts[left, right] = count
    counts.pop(pair, None)


# ----------------------------------------------------------------------------------------------------- pop-best


@wrong("pop-best", mistake="trusts the heap", says="the top entry is out of date")
def pop_best(heap, counts):
    return heapq.heappop(heap)[1] if heap else None


@wrong("pop-best", mistake="drops entries that are out of date", says="goes back with its true count")
def pop_best(heap, counts):
    while heap:
        stated, pair = heapq.heappop(heap)
        if counts.get(pair, 0) == -stated:
            return pair
    return None


@wrong("pop-best", mistake="leaves the entry on the heap", says="take it off the heap")
def pop_best(heap, counts):
    pair = reference.pop_best(heap, counts)
    if pair is not None:
        heapq.heappush(heap, (-counts[pair], pair))
    return pair


@wrong("pop-best", mistake="pairs that count nothing come back", says="never comes back")
def pop_best(heap, counts):
    while heap:
        stated, pair = heapq.heappop(heap)
        if counts.get(pair, 0) == -stated:
            return pair
        heapq.heappush(heap, (-counts.get(pair, 0), pair))
    return None


@wrong("pop-best", mistake="forgets that a pair may have left the counts", says="may have left the counts")
def pop_best(heap, counts):
    while heap:
        stated, pair = heapq.heappop(heap)
        if counts[pair] == -stated:
            return pair
        if counts[pair]:
            heapq.heappush(heap, (-counts[pair], pair))
    return None


# ---------------------------------------------------------------------------------------------------- train-bpe


def _train(text, vocab_size, *, push=True, update=True, first_id=256, least=1):
    counted = reference.count_words(text)
    words, frequencies = [list(word) for word in counted], list(counted.values())
    where, counts = reference.index_pairs(words), reference.count_pairs(counted)
    heap = sorted((-count, pair) for pair, count in counts.items())
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


@wrong("train-bpe", mistake="gained pairs never reach the heap", says="is another one than the library's")
def train_bpe(text, vocab_size):
    return _train(text, vocab_size, push=False)


@wrong("train-bpe", mistake="counts never fall", says="counts and heap all brought up to date")
def train_bpe(text, vocab_size):
    try:
        return _train(text, vocab_size, update=False)
    except KeyError:
        return []


@wrong("train-bpe", mistake="new ids from 257 on", says="is another one than the library's")
def train_bpe(text, vocab_size):
    return _train(text, vocab_size, first_id=257)


@wrong("train-bpe", mistake="stops at pairs that occur once", says="stop when no word has a pair left")
def train_bpe(text, vocab_size):
    if vocab_size < 256:
        raise ValueError("too small")
    return _train(text, vocab_size, least=2)


@wrong("train-bpe", mistake="merges come out last first", says="the order they were learned")
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


# --------------------------------------------------------------------------------------------------- vocabulary


@wrong("vocabulary", mistake="id 0 is byte 0", says="id 0 is not byte 0")
def vocabulary(merges, special=()):
    tokens = [bytes([byte]) for byte in range(256)]
    for first, second in merges:
        tokens.append(tokens[first] + tokens[second])
    return tokens + [token.encode() for token in special]


@wrong("vocabulary", mistake="joins in the wrong order", says="the entries of its two ids, in their order")
def vocabulary(merges, special=()):
    return reference.vocabulary([pair[::-1] for pair in merges], special)


@wrong("vocabulary", mistake="special tokens come first", says="256 bytes and one entry a merge")
def vocabulary(merges, special=()):
    return [token.encode() for token in special] + reference.vocabulary(merges)[: 256 + len(merges) // 2]


@wrong("vocabulary", mistake="no special tokens", says="special tokens come last")
def vocabulary(merges, special=()):
    return reference.vocabulary(merges)


@wrong("vocabulary", mistake="negative ids count from the end", says="may only use ids that exist before it")
def vocabulary(merges, special=()):
    tokens = [bytes([byte]) for byte in reference.ID_TO_BYTE]
    for first, second in merges:
        if max(first, second) >= len(tokens):
            raise ValueError("unknown id")
        tokens.append(tokens[first] + tokens[second])
    return tokens + [token.encode() for token in special]


# ------------------------------------------------------------------------------------------------------- decode


@wrong("decode", mistake="decodes token by token", says="put all bytes together")
def decode(ids, merges, special=()):
    tokens = reference.vocabulary(merges, special)
    return "".join(tokens[i].decode(errors="replace") for i in ids)


@wrong("decode", mistake="ids of bytes are the bytes", says="not for themselves")
def decode(ids, merges, special=()):
    tokens = [bytes([i]) for i in range(256)] + reference.vocabulary(merges, special)[256:]
    return b"".join(tokens[i] for i in ids).decode(errors="replace")


@wrong("decode", mistake="drops what is not valid UTF-8", says="become U+FFFD")
def decode(ids, merges, special=()):
    tokens = reference.vocabulary(merges, special)
    return b"".join(tokens[i] for i in ids).decode(errors="ignore")


@wrong("decode", mistake="negative ids count from the end", says="outside the vocabulary")
def decode(ids, merges, special=()):
    tokens = reference.vocabulary(merges, special)
    for i in ids:
        if i >= len(tokens):
            raise ValueError(f"id {i} is unknown")
    return b"".join(tokens[i] for i in ids).decode(errors="replace")


@wrong("decode", mistake="asks the library", says=REFUSED)
def decode(ids, merges, special=()):
    return library_tokenizer(merges, special).decode(ids, skip_special_tokens=False)


# ------------------------------------------------------------------------------------------------- encode-chunk


@wrong("encode-chunk", mistake="merges from the left, first pair found", says="learned first goes first")
def encode_chunk(chunk, new_ids):
    ids = reference.byte_ids(chunk)
    while pair := next((p for p in pairwise(ids) if p in new_ids), None):
        ids = reference.merge_pair(ids, pair, new_ids[pair])
    return ids


@wrong("encode-chunk", mistake="one pass only", says="pairs of new symbols too")
def encode_chunk(chunk, new_ids):
    ids = reference.byte_ids(chunk)
    pairs = [p for p in pairwise(ids) if p in new_ids]
    best = min(pairs, key=new_ids.get, default=None)
    return reference.merge_pair(ids, best, new_ids[best]) if best else ids


@wrong("encode-chunk", mistake="latest learned pair first", says="learned first goes first")
def encode_chunk(chunk, new_ids):
    ids = reference.byte_ids(chunk)
    while pairs := [p for p in pairwise(ids) if p in new_ids]:
        best = max(pairs, key=new_ids.get)
        ids = reference.merge_pair(ids, best, new_ids[best])
    return ids


@wrong("encode-chunk", mistake="ids of characters instead of bytes", says="a chunk is its bytes")
def encode_chunk(chunk, new_ids):
    return list(map(ord, chunk))


@wrong("encode-chunk", mistake="longest token first", says="the earliest learned pair")
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


# ------------------------------------------------------------------------------------------------------- encode


@wrong("encode", mistake="merges across chunks", says="merge within chunks only")
def encode(text, merges):
    if not isinstance(text, str):
        raise TypeError("text must be a str")
    return reference.encode_chunk(text, {pair: 256 + rank for rank, pair in enumerate(merges)})


@wrong("encode", mistake="numbers merges from 0", says="number merges from 256 on")
def encode(text, merges):
    new_ids = {pair: rank for rank, pair in enumerate(merges)}
    return [i for chunk in reference.pre_tokenize(text) for i in reference.encode_chunk(chunk, new_ids)]


@wrong("encode", mistake="each distinct chunk once", says="number merges from 256 on")
def encode(text, merges):
    new_ids = {pair: 256 + rank for rank, pair in enumerate(merges)}
    return [i for chunk in dict.fromkeys(reference.pre_tokenize(text)) for i in reference.encode_chunk(chunk, new_ids)]


@wrong("encode", mistake="bytes are decoded quietly", says="bytes are not text")
def encode(text, merges):
    return reference.encode(text.decode() if isinstance(text, bytes) else text, merges)


@wrong("encode", mistake="asks the library", says=REFUSED)
def encode(text, merges):
    return library_tokenizer(merges).encode(text).ids


# ------------------------------------------------------------------------------------------ encode-with-special


@wrong("encode-with-special", mistake="spells special tokens out", says="id comes right after the merges'")
def encode_with_special(text, merges, special):
    return reference.encode(text, merges)


@wrong("encode-with-special", mistake="their signs act as a pattern", says="comes right after the merges'")
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


@wrong("encode-with-special", mistake="special tokens get ids in order of length", says="special tokens at both ends")
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
