"""Other right answers to the language_model assignment, which must keep all points."""

import bisect
import math
import random
from collections import Counter, defaultdict
from fractions import Fraction

import numpy as np
import torch
import torch.nn.functional as F

import solutions.language_model
from course.banks.bank import right
from solutions.language_model import HALF, QUARTER, TOTAL, WHOLE

# -------------------------------------------------------------------------------------------------- count-followers


@right("count-followers", differs="walks once through the text, with default dictionaries")
def count_followers(text, n):
    if n < 1:
        raise ValueError("n must be at least 1")
    followers = defaultdict(Counter)
    for i, byte in enumerate(text):
        for start in range(max(0, i - n + 1), i + 1):
            followers[text[start:i]][byte] += 1
    return dict(followers)


@right("count-followers", differs="sorts all windows and counts equal neighbours")
def count_followers(text, n):
    if not n >= 1:
        raise ValueError(f"n is {n}")
    grams = sorted(text[i:j] for i in range(len(text)) for j in range(i + 1, min(i + n, len(text)) + 1))
    followers = {}
    for gram in grams:
        counts = followers.setdefault(gram[:-1], {})
        counts[gram[-1]] = 1 + counts.get(gram[-1], 0)
    return followers


# ----------------------------------------------------------------------------------------------------- sample-chain


@right("sample-chain", differs="inverts the cumulative counts")
def sample_chain(followers, n, length, seed):
    if len(followers) == 0:
        raise ValueError("there is nothing to draw from")
    generator, text = random.Random(f"chain {seed}"), bytearray()
    while len(text) < length:
        size = min(n - 1, len(text))
        while bytes(text[len(text) - size :]) not in followers:
            size -= 1
        known = sorted(followers[bytes(text[len(text) - size :])].items())
        place = generator.randrange(sum(count for _, count in known))
        for byte, count in known:
            place -= count
            if place < 0:
                text.append(byte)
                break
    return bytes(text)


@right("sample-chain", differs="draws with torch")
def sample_chain(followers, n, length, seed):
    if not followers:
        raise ValueError("nothing was counted")
    generator, text = torch.Generator().manual_seed(seed), b""
    for _ in range(length):
        ends = [text[len(text) - size :] for size in range(min(n - 1, len(text)), -1, -1)]
        known = next(followers[end] for end in ends if followers.get(end))
        weights = torch.tensor(list(known.values()), dtype=torch.float64)
        text += bytes([list(known)[torch.multinomial(weights, 1, generator=generator).item()]])
    return text


@right("sample-chain", differs="seeds Python's own generator, and looks for the context from the longest down")
def sample_chain(followers, n, length, seed):
    if not followers:
        raise ValueError("there is nothing to draw from")
    random.seed(seed)
    text = b""
    for _ in range(length):
        context = next(text[i:] for i in range(max(0, len(text) - n + 1), len(text) + 1) if text[i:] in followers)
        text += random.choices(*zip(*((bytes([b]), count) for b, count in followers[context].items()), strict=True))[0]
    return text


# ------------------------------------------------------------------------------------------------------ witten-bell


@right("witten-bell", differs="from the longest context down, what is left over going to the next")
class NGram(solutions.language_model.NGram):
    def probabilities(self, context):
        found, left = [0.0] * 256, 1.0
        for size in range(min(self.n - 1, len(context)), -1, -1):
            known = self.followers.get(context[len(context) - size :], {})
            if not known:
                continue
            whole = sum(known.values()) + len(known)
            for byte, count in known.items():
                found[byte] += left * count / whole
            left *= len(known) / whole
        return torch.tensor([p + left / 256 for p in found], dtype=torch.float64)


@right("witten-bell", differs="calls itself for the shorter context")
class NGram(solutions.language_model.NGram):
    def probabilities(self, context):
        context = context[max(0, len(context) - self.n + 1) :]
        p = self.probabilities(context[1:]) if context else torch.full((256,), 1 / 256, dtype=torch.float64)
        known = self.followers.get(context)
        if not known:
            return p
        p = p * len(known)
        for byte, count in known.items():
            p[byte] += count
        return p / (len(known) + sum(known.values()))


@right("witten-bell", differs="counts in float32 and gives float64")
class NGram(solutions.language_model.NGram):
    def probabilities(self, context):
        p = torch.ones(256) / 256
        for size in range(min(self.n - 1, len(context)) + 1):
            if known := self.followers.get(context[len(context) - size :]):
                counts = torch.zeros(256)
                for byte, count in known.items():
                    counts[byte] = count
                p = (counts + len(known) * p) / (counts.sum() + len(known))
        return p.double()


# ---------------------------------------------------------------------------------------------------- cross-entropy


@right("cross-entropy", differs="log_softmax and one-hot vectors")
def cross_entropy(logits, targets):
    if targets.numel() == 0 or targets.shape != logits.shape[:-1]:
        raise ValueError("targets do not fit")
    chosen = F.one_hot(targets, logits.shape[-1])
    return -(logits.log_softmax(-1) * chosen).sum() / targets.numel()


@right("cross-entropy", differs="takes the largest logit off by hand")
def cross_entropy(logits, targets):
    if targets.numel() == 0 or targets.shape != logits.shape[:-1]:
        raise ValueError("targets do not fit")
    rows, ids = logits.reshape(-1, logits.shape[-1]), targets.reshape(-1)
    rows = rows - rows.max(-1, keepdim=True).values.detach()
    return (rows.exp().sum(-1).log() - rows[torch.arange(len(ids)), ids]).mean()


@right("cross-entropy", differs="computes in float32, whatever the logits are")
def cross_entropy(logits, targets):
    if targets.numel() == 0 or targets.shape != logits.shape[:-1]:
        raise ValueError("targets do not fit")
    return -logits.float().log_softmax(-1).gather(-1, targets.unsqueeze(-1)).mean()


# --------------------------------------------------------------------------------------------------------- surprise


@right("surprise", differs="natural logarithms, divided")
def surprise(probabilities, symbols):
    bad = (probabilities.sum(-1) - 1).abs() > 1e-4
    if bad.any() or probabilities.isnan().any() or probabilities.min() < 0:
        raise ValueError("no distribution")
    return probabilities[torch.arange(len(symbols)), symbols].log() / -math.log(2)


@right("surprise", differs="row by row, in Python's floats")
def surprise(probabilities, symbols):
    bits = []
    for row, symbol in zip(probabilities.tolist(), symbols.tolist(), strict=True):
        if not all(p >= 0 for p in row) or not abs(math.fsum(row) - 1) < 1e-4:
            raise ValueError("no distribution")
        bits.append(-math.log2(row[symbol]) if row[symbol] else math.inf)
    return torch.tensor(bits, dtype=torch.float64)


@right("surprise", differs="in float32")
def surprise(probabilities, symbols):
    p = probabilities.float()
    if not (p.min() >= 0 and ((p.sum(-1) - 1).abs() < 1e-4).all()):
        raise ValueError("no distribution")
    return torch.stack([-torch.log2(row[symbol]) for row, symbol in zip(p, symbols, strict=True)])


# ------------------------------------------------------------------------------------------------------------ units


@right("surprise", differs="through nats, and joins the symbols")
def perplexity(surprises):
    if surprises.numel() < 1:
        raise ValueError("no symbols")
    return math.exp(surprises.double().mean().item() * math.log(2))


@right("surprise", differs="joins what the symbols spell")
def bits_per_byte(surprises, symbols):
    text = b"".join(symbols)
    if len(symbols) != surprises.numel() or not text:
        raise ValueError("they do not match")
    return math.fsum(surprises.tolist()) / len(text)


@right("surprise", differs="gives a tensor of one number")
def perplexity(surprises):
    if not len(surprises):
        raise ValueError("no symbols")
    return surprises.float().mean().exp2()


# ------------------------------------------------------------------------------------------------------ guess-ranks


@right("guess-ranks", differs="sorts, and looks the symbol up")
def guess_ranks(probabilities, symbols):
    order = probabilities.argsort(dim=-1, descending=True, stable=True)
    return (order == symbols[:, None]).int().argmax(-1) + 1


@right("guess-ranks", differs="the order of the order, in numpy")
def guess_ranks(probabilities, symbols):
    order = np.argsort(-probabilities.numpy(), axis=-1, kind="stable")
    return torch.tensor(np.argsort(order, axis=-1) + 1)[torch.arange(len(symbols)), symbols]


# ----------------------------------------------------------------------------------------------------- guess-bounds


@right("guess-bounds", differs="exact shares from a Counter")
def guess_bounds(ranks):
    counts = Counter(ranks.tolist())
    if not counts or min(counts) < 1:
        raise ValueError("no ranks")
    q = {i: Fraction(counts[i], len(ranks)) for i in range(1, max(counts) + 2)}
    lower = sum(i * float(q[i] - q[i + 1]) * math.log2(i) for i in range(1, max(counts) + 1))
    return lower, -sum(float(share) * math.log2(share) for share in q.values() if share)


@right("guess-bounds", differs="a term for each guess number in numpy")
def guess_bounds(ranks):
    values = ranks.numpy()
    if values.size == 0 or values.min() < 1:
        raise ValueError("no ranks")
    q = np.append(np.bincount(values)[1:] / values.size, 0.0)
    i = np.arange(1, len(q))
    lower = float(np.sum(i * -np.diff(q) * np.log2(i)))
    return lower, float(-np.sum(q[q > 0] * np.log2(q[q > 0])))


@right("guess-bounds", differs="in float32, and gives tensors of one number")
def guess_bounds(ranks):
    if ranks.numel() == 0 or ranks.min() <= 0:
        raise ValueError("no ranks")
    q = torch.bincount(ranks, minlength=2) / len(ranks)
    i = torch.arange(len(q))
    lower = (i * (q - F.pad(q[1:], (0, 1))) * i.clamp(min=1).log2()).sum()
    return lower, -(q * q.clamp(min=1e-30).log2()).sum()


# --------------------------------------------------------------------------------------------------------- quantise


def shares(probabilities, total):
    p = [float(x) for x in probabilities]
    if len(p) > total or not all(x >= 0 for x in p) or abs(math.fsum(p) - 1) > 1e-4:
        raise ValueError("no distribution")
    return [x / math.fsum(p) for x in p]


@right("quantise", differs="largest remainders")
def quantise(probabilities, total=TOTAL):
    p = shares(probabilities, total)
    exact = [x * (total - len(p)) for x in p]
    frequencies = [1 + math.floor(x) for x in exact]
    by_remainder = sorted(range(len(p)), key=lambda s: math.floor(exact[s]) - exact[s])
    for symbol in by_remainder[: total - sum(frequencies)]:
        frequencies[symbol] += 1
    return frequencies


@right("quantise", differs="rounds the running sum")
def quantise(probabilities, total=TOTAL):
    p = shares(probabilities, total)
    ends, whole = [0], 0.0
    for number, x in enumerate(p, 1):
        whole += x
        ends.append(number + round(min(1.0, whole) * (total - len(p))))
    ends[-1] = total
    return [ends[i + 1] - ends[i] for i in range(len(p))]


@right("quantise", differs="lifts to 1, and takes what is too much off the largest, one at a time")
def quantise(probabilities, total=TOTAL):
    p = shares(probabilities, total)
    frequencies = [max(1, math.floor(x * total)) for x in p]
    while (excess := sum(frequencies) - total) > 0:
        off = [f - x * total if f > 1 else -math.inf for f, x in zip(frequencies, p, strict=True)]
        frequencies[off.index(max(off))] -= 1
    frequencies[frequencies.index(max(frequencies))] -= excess
    return frequencies


# ----------------------------------------------------------------------------------------------------------- narrow


@right("interval", differs="exact fractions, rounded down")
def narrow(low, high, start, end, total):
    cut = [low + math.floor(Fraction((high - low + 1) * place, total)) for place in (start, end)]
    return cut[0], cut[1] - 1


@right("interval", differs="divmod")
def narrow(low, high, start, end, total):
    size = high + 1 - low
    upper, _ = divmod(end * size, total)
    lower, _ = divmod(start * size, total)
    return lower + low, low + upper - 1


# ------------------------------------------------------------------------------------------------------------- zoom


@right("interval", differs="tries the three places")
def zoom(low, high):
    if low < 0 or high < low or high >= WHOLE:
        raise ValueError("no interval")
    for offset in (0, HALF, QUARTER):
        if low >= offset and high - offset < HALF:
            return offset
    return None


@right("interval", differs="looks at the highest bits")
def zoom(low, high):
    if low not in range(WHOLE) or high not in range(low, WHOLE):
        raise ValueError("no interval")
    if low >> 31 == high >> 31:
        return (low >> 31) * HALF
    return QUARTER if (low >> 30, high >> 30) == (1, 2) else None


# ---------------------------------------------------------------------------------------------------------- encoder


@right("encoder", differs="keeps the code as text")
class Encoder(solutions.language_model.Encoder):
    def emit(self, bit):
        self.bits.append(bit)
        while self.pending:
            self.bits.append(1 - bit)
            self.pending -= 1

    def encode(self, frequencies, symbol):
        ends = [0]
        for frequency in frequencies:
            ends.append(ends[-1] + frequency)
        if symbol not in range(len(frequencies)) or ends[symbol] == ends[symbol + 1]:
            raise ValueError("this symbol cannot be coded")
        part = ends[symbol], ends[symbol + 1], ends[-1]
        self.low, self.high = solutions.language_model.narrow(self.low, self.high, *part)
        while True:
            match solutions.language_model.zoom(self.low, self.high):
                case None:
                    return
                case solutions.language_model.QUARTER:
                    self.pending += 1
                    taken = QUARTER
                case taken:
                    self.emit(1 if taken else 0)
            self.low, self.high = (self.low - taken) * 2, (self.high - taken) * 2 + 1

    def finish(self):
        self.pending += 1
        self.emit(0 if self.low < QUARTER else 1)
        text = "".join(map(str, self.bits))
        text += "0" * (-len(text) % 8)
        return int(text, 2).to_bytes(len(text) // 8, "big")


@right("encoder", differs="carries into one large number in place of counting open bits")
class Encoder(solutions.language_model.Encoder):
    def emit(self, bit):
        """Nothing is settled before the end."""

    def encode(self, frequencies, symbol):
        if symbol < 0 or symbol >= len(frequencies) or not frequencies[symbol]:
            raise ValueError("this symbol cannot be coded")
        self.place = getattr(self, "place", 0)
        size, total, start = self.high - self.low + 1, sum(frequencies), sum(frequencies[:symbol])
        self.high = self.low + size * (start + frequencies[symbol]) // total - 1
        self.low += size * start // total
        while (offset := solutions.language_model.zoom(self.low, self.high)) is not None:
            self.low, self.high = 2 * (self.low - offset), 2 * (self.high - offset) + 1
            self.place = 2 * (self.place + offset)
            self.bits.append(0)

    def finish(self):
        bits = len(self.bits) + 2
        number = (getattr(self, "place", 0) + (QUARTER if self.low < QUARTER else HALF)) >> 30
        return (number << (-bits % 8)).to_bytes(-(-bits // 8), "big")


# ---------------------------------------------------------------------------------------------------------- decoder


@right("decoder", differs="tries one part after the other")
class Decoder(solutions.language_model.Decoder):
    def decode(self, frequencies):
        start, total, symbol = 0, sum(frequencies), -1
        low, high = 1, 0
        while not low <= self.code <= high:
            symbol += 1
            end = start + frequencies[symbol]
            low, high = solutions.language_model.narrow(self.low, self.high, start, end, total)
            start = end
        self.low, self.high = low, high
        while (offset := solutions.language_model.zoom(self.low, self.high)) is not None:
            self.low, self.high, self.code = (2 * (number - offset) for number in (self.low, self.high, self.code))
            self.high += 1
            self.code += self.next_bit()
        return symbol


@right("decoder", differs="searches the beginnings of the parts")
class Decoder(solutions.language_model.Decoder):
    def decode(self, frequencies):
        total, size = sum(frequencies), self.high - self.low + 1
        known = [s for s, frequency in enumerate(frequencies) if frequency]
        starts = [sum(frequencies[:s]) for s in known]
        begins = [self.low + size * start // total for start in starts]
        place = bisect.bisect_right(begins, self.code) - 1
        end = starts[place] + frequencies[known[place]]
        self.low, self.high = begins[place], self.low + size * end // total - 1
        while not (self.low < HALF <= self.high and (self.low < QUARTER or self.high >= HALF + QUARTER)):
            offset = 0 if self.high < HALF else HALF if self.low >= HALF else QUARTER
            self.low, self.high = 2 * (self.low - offset), 2 * (self.high - offset) + 1
            self.code = (2 * (self.code - offset) + self.next_bit()) % WHOLE
        return known[place]


# --------------------------------------------------------------------------------------------------------- compress


@right("compress", differs="keeps the history itself")
def compress(model, symbols):
    encoder, history = solutions.language_model.Encoder(), []
    for symbol in symbols:
        encoder.encode(model.frequencies(history), symbol)
        history.append(symbol)
    return bytes(len(history) >> shift & 255 for shift in (24, 16, 8, 0)) + encoder.finish()


@right("compress", differs="hands over copies of what it has decoded")
def decompress(model, data):
    if len(data) < 4:
        raise ValueError("too short to be a compressed text")
    count = data[0] << 24 | data[1] << 16 | data[2] << 8 | data[3]
    decoder, found = solutions.language_model.Decoder(data[4:]), ()
    while len(found) < count:
        found = (*found, decoder.decode(model.frequencies(found)))
    return list(found)
