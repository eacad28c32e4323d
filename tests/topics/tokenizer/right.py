"""Answers to the tokenizer's exercises that are right in other ways than the reference."""

import heapq
import operator
from collections import Counter, defaultdict
from functools import cache, reduce
from itertools import pairwise

import regex

from course.banks.bank import right
from solutions import tokenizer as reference


@right("pre-tokenize", differs="a compiled verbose pattern, matched one by one")
def pre_tokenize(text):
    if not isinstance(text, str):
        raise TypeError("a str is needed")
    pattern = regex.compile(
        r"""'s|'t|'re|'ve|'m|'ll|'d|[ ]?\p{L}+|[ ]?\p{N}+|[ ]?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+""", regex.VERBOSE
    )
    return [match.group() for match in pattern.finditer(text)]


@right("pre-tokenize", differs="general categories instead of properties, possessive runs")
def pre_tokenize(text):
    if type(text) is not str:
        raise TypeError("this wants a str")
    letters = r" ?(?:\p{Lu}|\p{Ll}|\p{Lt}|\p{Lm}|\p{Lo})++"
    numbers = r" ?(?:\p{Nd}|\p{Nl}|\p{No})++"
    return regex.findall(
        rf"'(?:s|d|m|t|ll|ve|re)|{letters}|{numbers}| ?[^\s\p{{L}}\p{{N}}]+|\s+(?=\s|$(?!\n))|\s+", text
    )


@right("pre-tokenize", differs="refuses what is not a str without words")
def pre_tokenize(text):
    if not hasattr(text, "isalpha") or isinstance(text, bytes):
        raise TypeError
    return reference.pre_tokenize(text)


@right("train-by-recounting", differs="a Counter of all places")
def count_pairs(words):
    counts = Counter()
    for word, frequency in words.items():
        counts.update({pair: frequency * n for pair, n in Counter(pairwise(word)).items()})
    return counts


@right("train-by-recounting", differs="by position, into a defaultdict")
def count_pairs(words):
    counts = defaultdict(int)
    for word in words:
        for place in range(1, len(word)):
            counts[word[place - 1], word[place]] += words[word]
    return counts


@right("merge-pair", differs="two steps at a time by index")
def merge_pair(word, pair, new_id):
    merged, place = [], 0
    while place < len(word):
        if tuple(word[place : place + 2]) == tuple(pair):
            merged.append(new_id)
            place += 2
        else:
            merged.append(word[place])
            place += 1
    return merged


@right("merge-pair", differs="Python's own str.replace, result a tuple")
def merge_pair(word, pair, new_id):
    return tuple(map(ord, "".join(map(chr, word)).replace(chr(pair[0]) + chr(pair[1]), chr(new_id))))


@right(
    "train-by-recounting",
    differs="one count for each chunk, in lists; the highest count first, then the smallest pair",
)
def train_by_recounting(words, vocab_size):
    if vocab_size < 256:
        raise ValueError("256 bytes need 256 ids")
    words = [list(word) for word, n in words.items() for _ in range(n)]
    merges = []
    for new_id in range(256, vocab_size):
        counts = Counter(pair for word in words for pair in pairwise(word))
        if not counts:
            break
        highest = max(counts.values())
        merges.append(min(pair for pair, count in counts.items() if count == highest))
        words = [reference.merge_pair(word, merges[-1], new_id) for word in words]
    return merges


@right("train-by-recounting", differs="recursion, one merge a call, all pairs sorted")
def train_by_recounting(words, vocab_size):
    if vocab_size < 256:
        raise ValueError("256 bytes need 256 ids")

    def go(words, new_id):
        counts = reference.count_pairs(words)
        if new_id == vocab_size or not counts:
            return []
        best = sorted(counts.items(), key=lambda item: (-item[1], *item[0]))[0][0]
        return [best, *go({tuple(reference.merge_pair(w, best, new_id)): n for w, n in words.items()}, new_id + 1)]

    return go(words, 256)


@right("index-pairs", differs="a defaultdict")
def index_pairs(words):
    where = defaultdict(set)
    for position in range(len(words)):
        for left, right_ in pairwise(words[position]):
            where[left, right_].add(position)
    return where


@right("index-pairs", differs="sorted triples, lists without repeats")
def index_pairs(words):
    found = sorted({(pair, position) for position, word in enumerate(words) for pair in pairwise(word)})
    where = {}
    for pair, position in found:
        where[pair] = [*where.get(pair, []), position]
    return where


@right("merge-everywhere", differs="merges first, counts afterwards")
def merge_everywhere(pair, new_id, words, frequencies, where):
    touched = sorted(where.pop(pair))
    for position in touched:
        words[position] = reference.merge_pair(words[position], pair, new_id)
    gained = Counter()
    for position in touched:
        for place, symbol in enumerate(words[position]):
            for neighbours in {(place - 1, place), (place, place + 1)} if symbol == new_id else ():
                if neighbours[0] < 0 or neighbours[1] == len(words[position]):
                    continue
                left, right_ = words[position][neighbours[0]], words[position][neighbours[1]]
                # Between two new symbols the place is met twice.
                if not (left == right_ == new_id and neighbours[1] == place):
                    gained[left, right_] += frequencies[position]
                where.setdefault((left, right_), set()).add(position)
    return gained


@right("merge-everywhere", differs="changes the words' own lists, deletes the entry last")
def merge_everywhere(pair, new_id, words, frequencies, where):
    gained = defaultdict(int)
    for position in sorted(where[pair]):
        words[position][:] = reference.merge_pair(words[position], pair, new_id)
        for neighbours, times in Counter(pairwise(words[position])).items():
            if new_id in neighbours:
                gained[neighbours] += times * frequencies[position]
                where[neighbours] = where.get(neighbours, set()) | {position}
    del where[pair]
    return gained


@right("update-counts", differs="three cases spelled out, dead pairs removed")
def update_counts(counts, pair, new_id, gained):
    first, second = pair
    for neighbours, count in gained.items():
        if neighbours == (new_id, new_id):
            before = (second, first)
        elif neighbours[0] == new_id:
            before = (second, neighbours[1])
        else:
            before = (neighbours[0], first)
        counts[neighbours] = count
        counts[before] -= count
        if counts[before] == 0:
            del counts[before]
    counts.pop(pair, None)


@right("update-counts", differs="losses gathered first")
def update_counts(counts, pair, new_id, gained):
    lost = Counter()
    for (left, right_), count in gained.items():
        lost[{new_id: pair[1]}.get(left, left), {new_id: pair[0]}.get(right_, right_)] += count
    for before, count in lost.items():
        counts[before] = counts[before] - count
    counts |= gained
    del counts[pair]


@right("pop-best", differs="looks before it takes, replaces in place")
def pop_best(heap, counts):
    while heap:
        stated, pair = heap[0]
        count = counts.get(pair, 0)
        if count == 0:
            heapq.heappop(heap)
        elif count == -stated:
            return heapq.heappop(heap)[1]
        else:
            heapq.heapreplace(heap, (-count, pair))
    return None


@right("pop-best", differs="brings every entry up to date and sorts")
def pop_best(heap, counts):
    heap[:] = sorted({(-counts[pair], pair) for _, pair in heap if counts.get(pair, 0)})
    return heap.pop(0)[1] if heap else None


@right("train-bpe", differs="an entry on the heap for each change of a count, those out of date skipped")
def train_bpe(text, vocab_size):
    if vocab_size < 256:
        raise ValueError("256 bytes need 256 ids")
    counted = reference.count_words(text)
    words, frequencies = [list(word) for word in counted], list(counted.values())
    where, counts, merges = reference.index_pairs(words), dict(reference.count_pairs(counted)), []
    heap = [(-count, pair) for pair, count in counts.items()]
    heapq.heapify(heap)
    while heap and len(merges) < vocab_size - 256:
        stated, pair = heapq.heappop(heap)
        if stated == 0 or counts.get(pair) != -stated:
            continue
        before, new_id = dict(counts), 256 + len(merges)
        gained = reference.merge_everywhere(pair, new_id, words, frequencies, where)
        reference.update_counts(counts, pair, new_id, gained)
        for changed, count in counts.items():
            if before.get(changed) != count:
                heapq.heappush(heap, (-count, changed))
        merges.append(pair)
    return merges


@right("train-bpe", differs="all counts go onto the heap after each merge")
def train_bpe(text, vocab_size):
    if vocab_size < 256:
        raise ValueError("256 bytes need 256 ids")
    counted = reference.count_words(text)
    words, frequencies = [list(word) for word in counted], list(counted.values())
    where, counts, heap, merges = reference.index_pairs(words), reference.count_pairs(counted), [], []
    for new_id in range(256, vocab_size):
        for pair, count in counts.items():
            heapq.heappush(heap, (-count, pair))
        pair = reference.pop_best(heap, counts)
        if pair is None:
            break
        merges.append(pair)
        gained = reference.merge_everywhere(pair, new_id, words, frequencies, where)
        reference.update_counts(counts, pair, new_id, gained)
    return merges


@right("train-bpe", differs="an index but no heap")
def train_bpe(text, vocab_size):
    if vocab_size < 256:
        raise ValueError("256 bytes need 256 ids")
    counted = reference.count_words(text)
    words, frequencies = [list(word) for word in counted], list(counted.values())
    where, counts, merges = reference.index_pairs(words), reference.count_pairs(counted), []
    for new_id in range(256, vocab_size):
        counts = {pair: count for pair, count in counts.items() if count}
        if not counts:
            break
        highest = max(counts.values())
        merges.append(min(pair for pair, count in counts.items() if count == highest))
        gained = reference.merge_everywhere(merges[-1], new_id, words, frequencies, where)
        reference.update_counts(counts, merges[-1], new_id, gained)
    return merges


@right("vocabulary", differs="each token spelled out by recursion")
def vocabulary(merges, special=()):
    for rank, pair in enumerate(merges):
        if not 0 <= min(pair) <= max(pair) < 256 + rank:
            raise ValueError("unknown id")

    @cache
    def spell(i):
        return bytes([reference.ID_TO_BYTE[i]]) if i < 256 else spell(merges[i - 256][0]) + spell(merges[i - 256][1])

    return [*map(spell, range(256 + len(merges))), *(bytes(token, "utf-8") for token in special)]


@right("vocabulary", differs="the alphabet worked out from its characters")
def vocabulary(merges, special=()):
    characters = reference.byte_characters()
    tokens = [bytes([byte]) for byte in sorted(range(256), key=characters.__getitem__)]
    for pair in merges:
        if any(not 0 <= i < len(tokens) for i in pair):
            raise ValueError("unknown id")
        tokens.append(b"".join(tokens[i] for i in pair))
    tokens.extend(str.encode(token) for token in special)
    return tokens


@right("decode", differs="undoes merges one after the other")
def decode(ids, merges, special=()):
    data, todo = bytearray(), list(ids)[::-1]
    while todo:
        i = todo.pop()
        if not 0 <= i < 256 + len(merges) + len(special):
            raise ValueError(f"{i} is no id")
        if i < 256:
            data.append(reference.ID_TO_BYTE[i])
        elif i < 256 + len(merges):
            todo += merges[i - 256][::-1]
        else:
            data += special[i - 256 - len(merges)].encode()
    return data.decode("utf-8", "replace")


@right("decode", differs="a table by id")
def decode(ids, merges, special=()):
    table = dict(enumerate(reference.vocabulary(merges, special)))
    try:
        return str(reduce(operator.add, (table[i] for i in ids), b""), "utf-8", "replace")
    except KeyError as error:
        raise ValueError(f"unknown id {error.args[0]}") from None


@right("decode", differs="an error that names no id")
def decode(ids, merges, special=()):
    tokens, data = reference.vocabulary(merges, special), b""
    for i in ids:
        if i not in range(len(tokens)):
            raise ValueError
        data += tokens[i]
    return data.decode("utf-8", "replace")


@right("encode-chunk", differs="replays all merges in the order they were learned")
def encode_chunk(chunk, new_ids):
    ids = reference.byte_ids(chunk)
    for pair in sorted(new_ids, key=new_ids.get):
        ids = reference.merge_pair(ids, pair, new_ids[pair])
    return ids


@right("encode-chunk", differs="one place at a time, the leftmost of the earliest")
def encode_chunk(chunk, new_ids):
    ids = reference.byte_ids(chunk)
    while True:
        known = [(new_ids[pair], place) for place, pair in enumerate(pairwise(ids)) if pair in new_ids]
        if not known:
            return ids
        new_id, place = min(known)
        ids[place : place + 2] = [new_id]


@right("encode-chunk", differs="takes no empty chunk, which no text has")
def encode_chunk(chunk, new_ids):
    ids = reference.byte_ids(chunk)
    assert ids
    while known := [new_ids[pair] for pair in pairwise(ids) if pair in new_ids]:
        earliest = min(known)
        ids = reference.merge_pair(ids, next(pair for pair, i in new_ids.items() if i == earliest), earliest)
    return ids


@right("encode", differs="all distinct chunks first")
def encode(text, merges):
    new_ids = {pair: rank for rank, pair in enumerate(merges, 256)}
    chunks = reference.pre_tokenize(text)
    ids_of = {chunk: reference.encode_chunk(chunk, new_ids) for chunk in set(chunks)}
    return [i for chunk in chunks for i in ids_of[chunk]]


@right("encode", differs="remembers each chunk that it has encoded, result a tuple")
def encode(text, merges):
    new_ids = {pair: 256 + rank for rank, pair in enumerate(merges)}
    encode_once = cache(lambda chunk: reference.encode_chunk(chunk, new_ids))
    return tuple(token for chunk in reference.pre_tokenize(text) for token in encode_once(chunk))


@right("encode-with-special", differs="searches for the next special token again and again")
def encode_with_special(text, merges, special):
    if len({*special, ""}) <= len(special):
        raise ValueError("distinct and not empty, please")
    ids = []
    while found := [(text.find(token), -len(token), rank) for rank, token in enumerate(special) if token in text]:
        start, size, rank = min(found)
        ids += [*reference.encode(text[:start], merges), 256 + len(merges) + rank]
        text = text[start - size :]
    return ids + list(reference.encode(text, merges))


@right("encode-with-special", differs="looks at each place in turn, result a tuple")
def encode_with_special(text, merges, special):
    if len(set(special)) != len(special) or not all(special):
        raise ValueError
    ids, start, place = [], 0, 0
    while place < len(text):
        found = max((token for token in special if text.startswith(token, place)), key=len, default="")
        if found:
            ids += [*reference.encode(text[start:place], merges), 256 + len(merges) + list(special).index(found)]
            start = place + len(found)
        place += max(1, len(found))
    return (*ids, *reference.encode(text[start:], merges))
