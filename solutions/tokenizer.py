r"""Byte-level byte-pair encoding, as GPT-2 uses it.

A text is cut into chunks (about words), each chunk into bytes, and the pair of neighbours that occurs most often
becomes a new symbol, again and again (Sennrich, Haddow and Birch 2016, "Neural Machine Translation of Rare Words with
Subword Units", section 3.2; Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.2).

Ids 0 to 255 are the bytes, in GPT-2's order; id 256 + i is the product of `merges[i]`, a pair of smaller ids. So the
list of merges is the whole vocabulary. Merges and ids equal those of the `tokenizers` library (`ByteLevel`, `BPE`),
for all characters that were in Unicode when both libraries' tables were made.
"""

import functools
import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain, pairwise

import regex

Pair = tuple[int, int]


def byte_characters() -> list[str]:
    """GPT-2's character for each byte: the one it has in Latin-1, or the next from U+0100 on if that is invisible."""
    visible = {*range(33, 127), *range(161, 173), *range(174, 256)}
    stand_ins = iter(range(256, 512))
    return [chr(byte if byte in visible else next(stand_ins)) for byte in range(256)]


# Bytes' ids follow the code points of their visible characters: "!" is 0, a line's end ("Ċ") 198, a space ("Ġ") 220.
BYTE_TO_ID = bytes(map(sorted(byte_characters()).index, byte_characters()))
ID_TO_BYTE = bytes(map(BYTE_TO_ID.index, range(256)))


def byte_ids(chunk: str) -> list[int]:
    """The id of each byte of a chunk's UTF-8.

    >>> byte_ids(" é")
    [220, 127, 102]
    """
    return list(chunk.encode().translate(BYTE_TO_ID))


def pre_tokenize(text: str) -> list[str]:
    r"""Cut a text into the chunks that merges never cross; joined again they are the text.

    At each place take the first of these that fits, and as much of it as fits:

    1. one of the contractions `'s`, `'d`, `'m`, `'t`, `'ll`, `'ve`, `'re` (lower case, straight apostrophe);
    2. letters (`\p{L}`), with the space before them if there is one;
    3. numbers (`\p{N}`), with the space before them if there is one;
    4. other characters that are not white space, with the space before them if there is one;
    5. white space, without its last character if something else follows (so that a word gets its space); a single
       character of white space with something else behind it is then left to rule 6;
    6. white space.

    Source: the pattern in GPT-2's released encoder (Radford et al. 2019).

    >>> pre_tokenize("It's  3 cats!")
    ['It', "'s", ' ', ' 3', ' cats', '!']

    Raises:
        TypeError: `text` is not a str.
    """
    if not isinstance(text, str):
        raise TypeError(f"text must be a str, not {type(text).__name__}; decode bytes first")
    contractions = r"'(?:[sdmt]|ll|ve|re)"
    runs = r" ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+"
    spaces = r"\s+(?!\S)|\s+"
    return regex.findall(f"{contractions}|{runs}|{spaces}", text)


def count_words(text: str) -> dict[tuple[int, ...], int]:
    """How often each distinct chunk of a text occurs; a chunk is written as the tuple of its bytes' ids.

    >>> count_words("ha ha ha")
    {(71, 64): 1, (220, 71, 64): 2}
    """
    return {tuple(byte_ids(chunk)): count for chunk, count in Counter(pre_tokenize(text)).items()}


def merge_pair(word: Sequence[int], pair: Pair, new_id: int) -> list[int]:
    """A copy of a word in which each occurrence of a pair, taken from left to right, is one symbol `new_id`.

    A symbol goes into one merge only: of three equal symbols the first two merge. `new_id` is not in the word.

    >>> merge_pair([1, 1, 1, 2], (1, 1), 256)
    [256, 1, 2]
    """
    first, second = pair
    merged: list[int] = []
    for symbol in word:
        if symbol == second and merged and merged[-1] == first:
            merged[-1] = new_id
        else:
            merged.append(symbol)
    return merged


def count_pairs(words: dict[tuple[int, ...], int]) -> dict[Pair, int]:
    """How often each pair of neighbours occurs in words that occur as often as their value says.

    Every place counts, so three equal symbols in a row hold their pair twice. Pairs that do not occur are left out, and
    `words` stays as it is.

    >>> count_pairs({(7, 7, 7, 8): 10, (7, 8): 1})
    {(7, 7): 20, (7, 8): 11}
    """
    counts: dict[Pair, int] = {}
    for word, frequency in words.items():
        for pair in pairwise(word):
            counts[pair] = counts.get(pair, 0) + frequency
    return counts


def train_by_recounting(words: dict[tuple[int, ...], int], vocab_size: int) -> list[Pair]:
    """Learn merges the plain way: count all pairs, merge the best pair everywhere, start again.

    The best pair is the one with the highest count; among equals the smallest, compared by its first id, then by its
    second. `words` is the result of `count_words` and stays as it is. Merge number i makes id 256 + i. There are
    `vocab_size` - 256 merges, or fewer where the words run out of pairs.

    >>> train_by_recounting({(1, 2, 3): 2, (4, 1, 2): 1}, 258)
    [(1, 2), (256, 3)]

    Raises:
        ValueError: `vocab_size` is below 256.
    """
    if vocab_size < 256:
        raise ValueError(f"vocab_size must be at least 256, one id a byte; got {vocab_size}")
    merges: list[Pair] = []
    while 256 + len(merges) < vocab_size and (counts := count_pairs(words)):
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        # Distinct words stay distinct: what they merge into spells them.
        words = {tuple(merge_pair(word, best, 256 + len(merges))): frequency for word, frequency in words.items()}
        merges.append(best)
    return merges


def index_pairs(words: Sequence[Sequence[int]]) -> dict[Pair, set[int]]:
    """The positions in the list `words` of the words that hold each pair of neighbours.

    >>> index_pairs([[1, 2, 1, 2], [1, 2], [9]])
    {(1, 2): {0, 1}, (2, 1): {0}}
    """
    where: dict[Pair, set[int]] = {}
    for position, word in enumerate(words):
        for pair in pairwise(word):
            where.setdefault(pair, set()).add(position)
    return where


def merge_everywhere(
    pair: Pair, new_id: int, words: list[list[int]], frequencies: list[int], where: dict[Pair, set[int]]
) -> dict[Pair, int]:
    """Merge a pair in the words that the index `where` lists for it, and look at no others.

    Changes two of its arguments: the words that held the pair are replaced in the list `words`; the pair is removed
    from `where`, and each pair with the new symbol is added. Other entries stay: they may still name a word that lost
    their pair.

    Returns:
        How often each pair with the new symbol now occurs; `frequencies[i]` says how often `words[i]` counts.

    >>> words, where = [[1, 2, 3], [1, 2]], {(1, 2): {0, 1}, (2, 3): {0}}
    >>> merge_everywhere((1, 2), 256, words, [10, 5], where)
    {(256, 3): 10}
    >>> words, where
    ([[256, 3], [256]], {(2, 3): {0}, (256, 3): {0}})
    """
    gained: dict[Pair, int] = {}
    for position in where.pop(pair):
        words[position] = merged = merge_pair(words[position], pair, new_id)
        if new_id in merged:
            for neighbours in pairwise(merged):
                if new_id in neighbours:
                    gained[neighbours] = gained.get(neighbours, 0) + frequencies[position]
                    where.setdefault(neighbours, set()).add(position)
    return gained


def update_counts(counts: dict[Pair, int], pair: Pair, new_id: int, gained: dict[Pair, int]) -> None:
    """Bring the counts of all pairs up to date after a merge, in place and without looking at any word.

    `gained` holds the counts of the pairs with the new symbol, from `merge_everywhere`. Each of them took the place of
    an older pair, whose count falls by as much: below, (256, 3) occurs 10 times, and there (2, 3) occurred before, as
    256 is made of 1 and 2. The merged pair itself leaves `counts`; a count that falls to 0 may stay or go.

    >>> counts = {(1, 2): 15, (2, 3): 10}
    >>> update_counts(counts, (1, 2), 256, {(256, 3): 10})
    >>> counts
    {(2, 3): 0, (256, 3): 10}
    """
    first, second = pair
    for (left, right), count in gained.items():
        before = (second if left == new_id else left, first if right == new_id else right)
        counts[before] -= count
        counts[left, right] = count
    del counts[pair]


def pop_best(heap: list[tuple[int, Pair]], counts: dict[Pair, int]) -> Pair | None:
    """Take the best pair (the highest count; among equals the smallest pair) off a heap of entries, some out of date.

    An entry is (minus a count, pair), kept by `heapq`. Its count may be higher than the one in `counts` by now, never
    lower, and the pair may have left `counts`, which counts as 0. An entry found to be out of date goes back with the
    true count; if that is 0, it is dropped. The heap is changed in place, `counts` is not. None says that no pair is
    left.

    >>> heap = [(-9, (3, 4)), (-7, (1, 2))]
    >>> pop_best(heap, {(3, 4): 2, (1, 2): 7}), heap
    ((1, 2), [(-2, (3, 4))])
    """
    while heap:
        stated, pair = heapq.heappop(heap)
        count = counts.get(pair, 0)
        if count == 0:
            continue
        if count == -stated:
            return pair
        heapq.heappush(heap, (-count, pair))
    return None


def train_bpe(text: str, vocab_size: int) -> list[Pair]:
    """Learn the merges of `train_by_recounting(count_words(text), vocab_size)`, counting only what a merge changes.

    Words (equal chunks are one word), their index, the counts and a heap of them are set up once and kept up to date
    from merge to merge.

    Raises:
        TypeError: `text` is not a str.
        ValueError: `vocab_size` is below 256.
    """
    if vocab_size < 256:
        raise ValueError(f"vocab_size must be at least 256, one id a byte; got {vocab_size}")
    counted = count_words(text)
    words, frequencies = [list(word) for word in counted], list(counted.values())
    where, counts = index_pairs(words), count_pairs(counted)
    heap = sorted((-count, pair) for pair, count in counts.items())
    merges: list[Pair] = []
    while 256 + len(merges) < vocab_size and (pair := pop_best(heap, counts)):
        new_id = 256 + len(merges)
        gained = merge_everywhere(pair, new_id, words, frequencies, where)
        update_counts(counts, pair, new_id, gained)
        for neighbours, count in gained.items():
            heapq.heappush(heap, (-count, neighbours))
        merges.append(pair)
    return merges


def vocabulary(merges: Sequence[Pair], special: Sequence[str] = ()) -> list[bytes]:
    """The bytes that each id stands for: the 256 bytes in the order of `ID_TO_BYTE`, merges, then special tokens.

    >>> vocabulary([(71, 64), (220, 256)], special=["<|end|>"])[255:]
    [b'\\xad', b'ha', b' ha', b'<|end|>']

    Raises:
        ValueError: a merge uses an id that does not exist before it.
    """
    tokens = [bytes([byte]) for byte in ID_TO_BYTE]
    for first, second in merges:
        made = len(tokens)
        if not (0 <= first < made and 0 <= second < made):
            raise ValueError(f"the merge that makes id {made} joins {first} and {second}; both must be below {made}")
        tokens.append(tokens[first] + tokens[second])
    return tokens + [token.encode() for token in special]


def decode(ids: Iterable[int], merges: Sequence[Pair], special: Sequence[str] = ()) -> str:
    """The text that ids stand for.

    A token need not be valid UTF-8 by itself, as a character's bytes may be spread over several. Bytes that are not
    valid UTF-8 even when joined become U+FFFD, by Python's rule for `errors="replace"`.

    Raises:
        ValueError: an id is not in the vocabulary.
    """
    tokens = vocabulary(merges, special)
    ids = list(ids)
    unknown = [i for i in ids if not 0 <= i < len(tokens)]
    if unknown:
        raise ValueError(f"id {unknown[0]} is not in the vocabulary, which has ids 0 to {len(tokens) - 1}")
    return b"".join(tokens[i] for i in ids).decode(errors="replace")


def encode_chunk(chunk: str, new_ids: dict[Pair, int]) -> list[int]:
    """The ids of one chunk: merge as training did, the earliest learned pair first, until no known pair is left.

    `new_ids` maps each merged pair to the id that it makes, so an earlier pair has a smaller one.

    >>> encode_chunk("haha", {(71, 64): 256, (64, 71): 257, (256, 256): 258})
    [258]
    """
    ids = byte_ids(chunk)
    unknown = 256 + len(new_ids)
    while len(ids) > 1:
        pair = min(pairwise(ids), key=lambda pair: new_ids.get(pair, unknown))
        if pair not in new_ids:
            break
        ids = merge_pair(ids, pair, new_ids[pair])
    return ids


def encode(text: str, merges: Sequence[Pair]) -> list[int]:
    """The ids of a text. Each distinct chunk is worked out once.

    Raises:
        TypeError: `text` is not a str.
    """
    new_ids = {pair: 256 + rank for rank, pair in enumerate(merges)}
    known: dict[str, list[int]] = {}
    ids: list[int] = []
    for chunk in pre_tokenize(text):
        if chunk not in known:
            known[chunk] = encode_chunk(chunk, new_ids)
        ids += known[chunk]
    return ids


def encode_with_special(text: str, merges: Sequence[Pair], special: Sequence[str]) -> list[int]:
    """The ids of a text in which each special token is one id: 256 + len(merges) for the first in the list, and so on.

    Special tokens are found first, from left to right; where several begin at one place the longest counts. Each piece
    of text between them is encoded as a text of its own.

    Raises:
        TypeError: `text` is not a str.
        ValueError: a special token is empty or occurs twice in the list.
    """
    if "" in special or len(set(special)) < len(special):
        raise ValueError(f"special tokens must be distinct and not empty, got {list(special)}")
    if not special:
        return encode(text, merges)
    ids_of = {token: 256 + len(merges) + position for position, token in enumerate(special)}
    longest_first = sorted(special, key=len, reverse=True)
    parts = regex.split("(" + "|".join(map(regex.escape, longest_first)) + ")", text)
    return list(chain.from_iterable([ids_of[part]] if part in ids_of else encode(part, merges) for part in parts))


class Tokenizer:
    """Merges with a memory of the chunks they have encoded, for many texts: `encode` starts from nothing each time.

    At most 65,536 chunks are remembered.

    Raises:
        ValueError: a merge uses an id that does not exist before it.
    """

    def __init__(self, merges: Sequence[Pair]):
        self.merges = list(merges)
        self.tokens = vocabulary(self.merges)
        new_ids = {pair: 256 + rank for rank, pair in enumerate(self.merges)}
        self._encode_chunk = functools.lru_cache(maxsize=65536)(functools.partial(encode_chunk, new_ids=new_ids))

    def encode(self, text: str) -> list[int]:
        """As `encode`."""
        return list(chain.from_iterable(map(self._encode_chunk, pre_tokenize(text))))

    def decode(self, ids: Iterable[int]) -> str:
        """As `decode`."""
        return decode(ids, self.merges)
