"""Markov chains, surprise, and an arithmetic coder that turns any prediction into a compressed file.

A language model gives each next symbol a probability; what it gave probability p costs -log2 p bits. The first half of
this module measures that (n-gram models over bytes, cross-entropy, perplexity, bits per byte, Shannon's guessing game),
the second half spends it: an arithmetic coder (Witten, Neal and Cleary 1987, "Arithmetic Coding for Data Compression")
whose files are as long as the model's surprise, to within a few bits.

A model that drives the coder has a method `frequencies(history)`: whole numbers, one for each symbol, for what may
come after `history`. Sender and receiver call it with the same histories in the same order, so that both get the same
numbers even where they were computed in floating point.
"""

import math
import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

from labkit.checkpoint import load as load_checkpoint
from solutions.generation import KVCache, read_on
from solutions.gpt import GPT, from_checkpoint
from solutions.tokenizer import Tokenizer

# The coder's interval has ends of 32 bits.
WHOLE = 1 << 32
HALF = WHOLE // 2
QUARTER = WHOLE // 4
# What the frequencies of all symbols add up to: small beside a quarter of the interval, large beside a vocabulary.
TOTAL = 1 << 24

Followers = dict[bytes, dict[int, int]]


# ------------------------------------------------------------------------------------------------------ Markov chains


def count_followers(text: bytes, n: int) -> Followers:
    """How often each byte follows each context of 0 to n - 1 bytes.

    `result[context][byte]` counts the places of the text where `byte` stands right after `context`. Every place counts,
    overlapping ones too; what does not occur is left out. The empty context comes before every byte.

    >>> count_followers(b"aba", 2)
    {b'': {97: 2, 98: 1}, b'a': {98: 1}, b'b': {97: 1}}

    Raises:
        ValueError: `n` is below 1.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, the byte itself; got {n}")
    followers: Followers = {}
    for length in range(n):
        for gram, count in Counter(text[i : i + length + 1] for i in range(len(text) - length)).items():
            followers.setdefault(gram[:-1], {})[gram[-1]] = count
    return followers


def sample_chain(followers: Followers, n: int, length: int, seed: int) -> bytes:
    """Text from a Markov chain: each byte is drawn as often as it followed the n - 1 bytes before it.

    `followers` comes from `count_followers` with the same n or a larger one; no more than n - 1 bytes count. Where the
    last n - 1 bytes have no followers (at the start, or because they stood only at the end of the text), the first
    of them is left out, then the next, until the rest has some. The same seed gives the same text.

    Raises:
        ValueError: `followers` is empty, whatever the length. Check that first: a loop that shortens the context until
            it is found would never end.

    Source: Shannon (1948), "A Mathematical Theory of Communication", section 3.
    """
    if not followers:
        raise ValueError("nothing was counted, so nothing can be drawn: count a text that is not empty")
    generator = random.Random(seed)
    text = b""
    while len(text) < length:
        context = text[max(0, len(text) - n + 1) :]
        while context not in followers:
            context = context[1:]
        known = followers[context]
        text += bytes(generator.choices(list(known), weights=list(known.values())))
    return text


class NGram:
    r"""A Markov chain over bytes that has an opinion about everything: n-gram counts, interpolated by Witten and Bell.

    After a context that occurred $c$ times and had $t$ different followers, a byte that followed it $c_b$ times gets

    $$P(b \mid \text{context}) = \frac{c_b + t \, P(b \mid \text{context without its first byte})}{c + t}$$

    Below the empty context lies the uniform distribution: 1/256 for each byte. A context that never had a follower
    says nothing: it hands over to the shorter one.

    Raises ValueError if `n` is below 1. An empty text is allowed: then every byte is equally likely.

    Source: Witten and Bell (1991), "The Zero-Frequency Problem", method C; interpolated as by Chen and Goodman (1999),
    section 2.5.
    """

    def __init__(self, text: bytes, n: int):
        self.n = n
        self.followers = count_followers(text, n)

    def probabilities(self, context: bytes) -> Float[Tensor, " 256"]:
        """The probability of each byte after `context`, in float64, of which the last n - 1 bytes at most matter.

        A context may be shorter than n - 1, as at the start of a text.
        """
        p = torch.full((256,), 1 / 256, dtype=torch.float64)
        for length in range(min(len(context), self.n - 1) + 1):
            known = self.followers.get(context[len(context) - length :])
            if not known:
                break
            counts = torch.zeros(256, dtype=torch.float64)
            counts[list(known)] = torch.tensor(list(known.values()), dtype=torch.float64)
            p = (counts + len(known) * p) / (counts.sum() + len(known))
        return p

    def rows(self, text: bytes) -> Float[Tensor, "step 256"]:
        """A row for each byte of a text: what the model expects there, given the bytes before it."""
        contexts = [text[max(0, i - self.n + 1) : i] for i in range(len(text))]
        known = {context: self.probabilities(context) for context in dict.fromkeys(contexts)}
        return torch.stack([known[context] for context in contexts]) if contexts else torch.zeros(0, 256)


# ----------------------------------------------------------------------------------------------------------- surprise


def surprise(probabilities: Float[Tensor, "step vocab"], symbols: Int[Tensor, " step"]) -> Float[Tensor, " step"]:
    """The surprise of each symbol in bits, where row i of `probabilities` says what was expected at i.

    A symbol that came on an even chance is worth one bit, one that was certain none. Surprise adds up where
    probabilities multiply: a symbol that was as likely as two others in a row is worth what the two are worth together.
    A symbol that was held impossible has infinite surprise.

    Raises:
        ValueError: a row is no distribution: an entry is negative or not a number, or the sum of the row is more than
            1e-4 away from 1.
    """
    if (probabilities < 0).any() or not ((probabilities.sum(dim=-1) - 1).abs() <= 1e-4).all():
        raise ValueError(
            "each row must be a distribution: no entry below 0, and a sum of 1; softmax makes one of logits"
        )
    return -probabilities.gather(-1, symbols[:, None])[:, 0].log2()


def perplexity(surprises: Float[Tensor, " step"]) -> float:
    """The number of equally likely symbols among which a choice is as surprising as these were on average (in bits).

    Raises:
        ValueError: there are no symbols.
    """
    if len(surprises) == 0:
        raise ValueError("an empty text has no perplexity")
    return 2 ** surprises.mean().item()


def bits_per_byte(surprises: Float[Tensor, " step"], symbols: Sequence[bytes]) -> float:
    """What a text costs in bits for each of its bytes: comparable whatever the symbols are.

    `symbols[i]` is what symbol i spells: a byte for a model of bytes, some bytes for a model of tokens.

    Raises:
        ValueError: there are not as many symbols as surprises, or they spell nothing.
    """
    size = sum(map(len, symbols))
    if len(symbols) != len(surprises) or size == 0:
        raise ValueError(
            f"{len(surprises)} surprises for {len(symbols)} symbols that spell {size} bytes: they must match"
        )
    return surprises.sum().item() / size


def cross_entropy(logits: Float[Tensor, "... vocab"], targets: Int[Tensor, "..."]) -> Float[Tensor, ""]:
    """Mean surprise in nats (natural logarithms) of the symbols that came, where softmax makes probabilities of logits.

    Logits may be large (thousands), as only their differences within a row matter, and so may the surprise. Gradients
    reach the logits.

    Raises:
        ValueError: there are no targets, or their shape is not that of the logits without the last axis.
    """
    if logits.shape[:-1] != targets.shape or targets.numel() == 0:
        raise ValueError(
            f"logits {tuple(logits.shape)} and targets {tuple(targets.shape)}: one target a row, one at least"
        )
    picked = logits.gather(-1, targets[..., None])[..., 0]
    return (logits.logsumexp(dim=-1) - picked).mean()


def guess_ranks(probabilities: Float[Tensor, "step vocab"], symbols: Int[Tensor, " step"]) -> Int[Tensor, " step"]:
    """Shannon's game: how many guesses does it take to hit each symbol, going from the likeliest to the least likely?

    1 means that the first guess was right. Among equally likely symbols the smaller id is guessed first.

    Source: Shannon (1951), "Prediction and Entropy of Printed English", section 3.
    """
    right = probabilities.gather(-1, symbols[:, None])
    smaller = torch.arange(probabilities.shape[-1]) < symbols[:, None]
    return ((probabilities > right) | ((probabilities == right) & smaller)).sum(dim=-1) + 1


def guess_bounds(ranks: Int[Tensor, " step"]) -> tuple[float, float]:
    r"""What the numbers of guesses say about the entropy of a text: a lower and an upper bound, in bits a symbol.

    With $q_i$ the share of symbols that were hit at guess number $i$ (1, 2, ...), the two are

    $$\sum_i i \, (q_i - q_{i+1}) \log_2 i \qquad \text{and} \qquad -\sum_i q_i \log_2 q_i$$

    Numbers of guesses that never occur have $q_i = 0$ and add nothing to the upper bound. The entropy lies between the
    two if the shares are those of a long text and never rise, $q_i \ge q_{i+1}$, as they do not for a guesser who goes
    from the likeliest symbol down. For other ranks both are what the formulas give, and the first may be the larger.

    Raises:
        ValueError: there are no ranks, or one is below 1.

    Source: Shannon (1951), "Prediction and Entropy of Printed English", section 4, equation 17.
    """
    if len(ranks) == 0 or ranks.min() < 1:
        raise ValueError("ranks must be whole numbers from 1 on, and there must be some")
    q = torch.bincount(ranks).double()[1:] / len(ranks)
    guesses = torch.arange(1, len(q) + 1).double()
    following = torch.cat([q[1:], q.new_zeros(1)])
    return (guesses * (q - following) * guesses.log2()).sum().item(), torch.special.entr(q).sum().item() / math.log(2)


# ------------------------------------------------------------------------------------------- the coder's arithmetic


def quantise(probabilities: Float[Tensor, " vocab"], total: int = TOTAL) -> list[int]:
    """Whole frequencies in proportion to probabilities: none is 0, and they add up to `total`.

    A sum within 1e-4 of 1 is rounding: each probability stands for its share of the sum. With n symbols, each
    frequency differs from `total` times that share by at most n.

    Raises:
        ValueError: `probabilities` is no distribution (an entry is negative or not a number, or the sum is more than
            1e-4 away from 1), or has more symbols than `total`.
    """
    p, size = probabilities.double(), len(probabilities)
    if size > total or not (p >= 0).all() or not abs(p.sum().item() - 1) <= 1e-4:
        raise ValueError(
            f"{size} probabilities that add up to {p.sum():.6g} are no distribution over at most {total} symbols"
        )
    frequencies = (p / p.sum() * (total - size)).long() + 1
    # What rounding down has left goes to the likeliest symbol, where it matters least.
    frequencies[p.argmax()] += total - frequencies.sum()
    return frequencies.tolist()


def narrow(low: int, high: int, start: int, end: int, total: int) -> tuple[int, int]:
    """The part of an interval of whole numbers, ends included, that belongs to frequencies `start` to `end` of `total`.

    The numbers from `low` to `high` are shared out among the frequencies 0 to `total`: frequency f begins f / `total`
    of the way through them, rounded down to a whole number. The part goes from where `start` begins to right before
    where `end` begins, so that parts that touch in frequency touch without gap or overlap.

    >>> narrow(0, 99, 1, 3, 4)
    (25, 74)

    Source: Witten, Neal and Cleary (1987), section "Arithmetic coding: integers".
    """
    size = high - low + 1
    return low + size * start // total, low + size * end // total - 1


def zoom(low: int, high: int) -> int | None:
    """What to take off both ends before an interval may be doubled, or None if it must not be.

    Doubled, an interval goes from 2 * (low - offset) to 2 * (high - offset) + 1, and that must lie among the numbers
    from 0 to `WHOLE` - 1. The first of the offsets 0, `HALF` and `QUARTER` that allows it is the answer.

    Raises:
        ValueError: not 0 <= low <= high < `WHOLE`. No right step leads there, and doubling would never end.
    """
    if not 0 <= low <= high < WHOLE:
        raise ValueError(f"{low} to {high} is no interval of numbers from 0 to {WHOLE - 1}: it was narrowed wrongly")
    if high < HALF:
        return 0
    if low >= HALF:
        return HALF
    return QUARTER if low >= QUARTER and high < HALF + QUARTER else None


class Encoder:
    """An arithmetic encoder: `encode` each symbol with the frequencies expected there, then `finish`.

    The interval `low` to `high` (ends included) starts as all numbers below `WHOLE`. A symbol narrows it to its own
    part. Then, as long as `zoom` allows, both ends are doubled after taking off what it says, and 1 is added to the
    upper end. Taking off 0 settles the next bit of the code as 0, taking off HALF as 1: all numbers of the interval
    begin with that bit. Taking off QUARTER settles nothing yet, as the interval lies around the middle; such a step is
    `pending`. The next bit that is settled settles one more bit for each pending step.

    Source: Witten, Neal and Cleary (1987), figure 3.
    """

    def __init__(self):
        self.low, self.high = 0, WHOLE - 1
        self.pending = 0
        self.bits: list[int] = []

    def emit(self, bit: int) -> None:
        """Append a settled bit and, after it, the bits of the pending steps; none is pending then."""
        # Below the middle of the line all numbers begin with 01, above it with 10, and closer to it with 011 or 100.
        self.bits += [bit] + [1 - bit] * self.pending
        self.pending = 0

    def encode(self, frequencies: Sequence[int], symbol: int) -> None:
        """Narrow the interval to the part of `symbol`, settling the bits that can be settled.

        The part of symbol s starts where the frequencies of all symbols below s end.

        Raises:
            ValueError: the symbol has no frequency, or frequency 0: it cannot be coded, and the encoder stays as it is.
        """
        if not 0 <= symbol < len(frequencies) or frequencies[symbol] < 1:
            raise ValueError(f"symbol {symbol} has no frequency here and cannot be coded: give every symbol at least 1")
        start, total = sum(frequencies[:symbol]), sum(frequencies)
        self.low, self.high = narrow(self.low, self.high, start, start + frequencies[symbol], total)
        while (offset := zoom(self.low, self.high)) is not None:
            self.low, self.high = 2 * (self.low - offset), 2 * (self.high - offset) + 1
            if offset == QUARTER:
                self.pending += 1
            else:
                self.emit(offset // HALF)

    def finish(self) -> bytes:
        """The code: all settled bits and two more that name a quarter inside the interval, filled up with zeros.

        The quarter is the second one (bits 01) if the interval reaches below it, else the third one (10). The first of
        the two is a settled bit like any other, so the bits of the pending steps follow it, and then comes the second.
        The first bit of a byte is its highest.
        """
        bit = int(self.low >= QUARTER)
        self.emit(bit)
        self.emit(1 - bit)
        filled = self.bits + [0] * (-len(self.bits) % 8)
        return bytes(int("".join(map(str, filled[i : i + 8])), 2) for i in range(0, len(filled), 8))


class Decoder:
    """The way back: `decode` gives one symbol for the frequencies that the encoder had at that step.

    It keeps the same interval as the encoder, and in `code` the 32 bits of the code that stand where the interval's
    ends stand now. Bits beyond the end of the code are 0.
    """

    def __init__(self, data: bytes):
        self.bits = [byte >> place & 1 for byte in data for place in range(7, -1, -1)]
        self.low, self.high = 0, WHOLE - 1
        self.code = 0
        self.position = 0
        for _ in range(32):
            self.code = 2 * self.code + self.next_bit()

    def next_bit(self) -> int:
        """The next bit of the code, 0 beyond its end."""
        self.position += 1
        return self.bits[self.position - 1] if self.position <= len(self.bits) else 0

    def decode(self, frequencies: Sequence[int]) -> int:
        """The symbol whose part of the interval `code` lies in; interval and code then move on as the encoder's did.

        A symbol of frequency 0 has no part and is never the answer.
        """
        ends = list(accumulate(frequencies))
        total, size = ends[-1], self.high - self.low + 1
        # The largest frequency whose part begins at or below the code: the inverse of `narrow`.
        symbol = bisect_right(ends, ((self.code - self.low + 1) * total - 1) // size)
        self.low, self.high = narrow(self.low, self.high, ends[symbol] - frequencies[symbol], ends[symbol], total)
        while (offset := zoom(self.low, self.high)) is not None:
            self.low, self.high = 2 * (self.low - offset), 2 * (self.high - offset) + 1
            self.code = 2 * (self.code - offset) + self.next_bit()
        return symbol


class Model(Protocol):
    """What can drive the coder."""

    def frequencies(self, history: Sequence[int]) -> list[int]:
        """Whole frequencies, one a symbol and none of them 0, for what comes after `history`."""


def compress(model: Model, symbols: Sequence[int]) -> bytes:
    """The number of symbols (four bytes, the highest first), then their code under the model's predictions.

    The model is asked for its frequencies once for each symbol, in order, with exactly the symbols before it.

    Raises:
        ValueError: a symbol has no frequency.
    """
    encoder = Encoder()
    for i, symbol in enumerate(symbols):
        encoder.encode(model.frequencies(symbols[:i]), symbol)
    return len(symbols).to_bytes(4, "big") + encoder.finish()


def decompress(model: Model, data: bytes) -> list[int]:
    """The symbols that `compress` was given.

    The model must be the same, and one that learns must be as it was before it compressed. It is asked as in
    `compress`: once a symbol, with exactly the symbols before it.

    Raises:
        ValueError: `data` is too short to hold the number of symbols.
    """
    if len(data) < 4:
        raise ValueError(f"{len(data)} bytes are no compressed text: it begins with four bytes that say how long it is")
    decoder = Decoder(data[4:])
    symbols: list[int] = []
    for _ in range(int.from_bytes(data[:4], "big")):
        symbols.append(decoder.decode(model.frequencies(symbols)))
    return symbols


# ----------------------------------------------------------------------------------------------- models for the coder


@dataclass(frozen=True)
class Recent:
    """Expects what it has seen lately: a frequency is 1 more than the symbol's count among the last `window`."""

    vocab_size: int
    window: int

    def frequencies(self, history: Sequence[int]) -> list[int]:
        """Whole frequencies, one a symbol and none of them 0, for what comes after `history`."""
        frequencies = [1] * self.vocab_size
        for symbol in history[max(0, len(history) - self.window) :]:
            frequencies[symbol] += 1
        return frequencies


@dataclass(frozen=True)
class ByteModel:
    """An n-gram model of bytes that drives the coder."""

    ngram: NGram

    def frequencies(self, history: Sequence[int]) -> list[int]:
        """Whole frequencies, one a byte and none of them 0, for what comes after `history`."""
        return quantise(self.ngram.probabilities(bytes(history[max(0, len(history) - self.ngram.n) :])))


class LearningModel:
    """An n-gram model of bytes that knows nothing at first and learns from what it has coded.

    Asked for histories that grow by a byte at a time it counts each byte once; any other history is read anew.
    """

    def __init__(self, n: int):
        self.ngram = NGram(b"", n)
        self.read = b""

    def frequencies(self, history: Sequence[int]) -> list[int]:
        """Whole frequencies, one a byte and none of them 0, for what comes after `history`."""
        text = bytes(history)
        if not text.startswith(self.read):
            self.ngram, self.read = NGram(b"", self.ngram.n), b""
        for i in range(len(self.read), len(text)):
            for length in range(min(i, self.ngram.n - 1) + 1):
                known = self.ngram.followers.setdefault(text[i - length : i], {})
                known[text[i]] = known.get(text[i], 0) + 1
        self.read = text
        return quantise(self.ngram.probabilities(text[max(0, len(text) - self.ngram.n) :]))


class GPTModel:
    """A trained GPT that drives the coder; its symbols are token ids.

    Before the text it reads the end of a line. When its context is full it starts again with the last half of it. It
    keeps the keys and values of what it has read, so that a history that grows by a token costs one position; any other
    history is read anew, a token at a time as well, so that the numbers are the same to the last bit.

    `checkpoint` is what `labkit.checkpoint.load` takes. Raises CheckpointError if there is none, or if it is no GPT.
    """

    def __init__(self, checkpoint: str):
        self.model: GPT = from_checkpoint(checkpoint)
        self.tokenizer = Tokenizer(load_checkpoint(checkpoint).merges or [])
        self.start = self.tokenizer.encode("\n")[-1]
        self.restart()

    def restart(self) -> None:
        """Forget what was read, but for the end of a line."""
        self.read: list[int] = []
        self.logits = self._window([self.start])

    def probabilities(self, history: Sequence[int]) -> Float[Tensor, " vocab"]:
        """The probability of each token after `history`, in float64."""
        ids = list(history)
        if ids[: len(self.read)] != self.read:
            self.restart()
        for token in ids[len(self.read) :]:
            self.read.append(token)
            if self.cache.length() == self.model.config.context:
                self.logits = self._window([self.start, *self.read][-(self.model.config.context // 2) :])
            else:
                self.logits = self._extend([token])
        return self.logits.double().softmax(dim=-1)

    def frequencies(self, history: Sequence[int]) -> list[int]:
        """Whole frequencies, one a token and none of them 0, for what comes after `history`."""
        return quantise(self.probabilities(history))

    def _window(self, ids: list[int]) -> Float[Tensor, " vocab"]:
        """Forget all keys and values and read `ids` as a text of their own."""
        self.cache = KVCache(self.model.config, batch=1)
        return self._extend(ids)

    def _extend(self, ids: list[int]) -> Float[Tensor, " vocab"]:
        """The logits after `ids`, which follow what is remembered."""
        return read_on(self.model, torch.tensor([ids]), self.cache)[0, -1]


@torch.no_grad()
def token_rows(model: GPT, ids: Sequence[int], start: int) -> Float[Tensor, "step vocab"]:
    """A row of probabilities for each token of a text, given those before it, a whole window at a time.

    Reads what `GPTModel` reads, the token `start` and then windows whose last half begins the next one, in far fewer
    calls; the numbers agree to rounding, which is enough to measure with and too little to decode with.
    """
    context = model.config.context
    text = torch.tensor([start, *ids])[: len(ids)]
    rows, first, done = [], 0, 0
    while done < len(text):
        end = min(first + context, len(text))
        rows.append(model(text[None, first:end])[0, done - first :].double().softmax(dim=-1))
        first, done = end + 1 - context // 2, end
    return torch.cat(rows) if rows else torch.zeros(0, model.config.vocab_size)


# ------------------------------------------------------------------------------------------------------------- rivals


def primed(compressor: Callable[[bytes], bytes], texts: Sequence[bytes], before: bytes) -> list[int]:
    """The bytes that each text would add to a compressed file that holds `before` already: both sides know it."""
    alone = len(compressor(before))
    return [len(compressor(before + text)) - alone for text in texts]
