"""Plausible wrong answers to the language_model assignment: each loses points, and draws the message that it names."""

import math
import random
from bisect import bisect_right
from itertools import accumulate

import torch
import torch.nn.functional as F

import solutions.language_model
from course.banks.bank import wrong
from solutions.language_model import HALF, QUARTER, TOTAL, WHOLE

# -------------------------------------------------------------------------------------------------- count-followers


@wrong(
    "count-followers",
    mistake="counts the longest contexts only",
    says="only the longest contexts are counted, and the shorter ones",
)
def count_followers(text, n):
    if n < 1:
        raise ValueError("n must be at least 1")
    whole = solutions.language_model.count_followers(text, n)
    return {context: found for context, found in whole.items() if len(context) == min(n, len(text)) - 1}


@wrong(
    "count-followers",
    mistake="takes n for the length of the context",
    says="contexts of n bytes are counted too, but n counts the byte",
)
def count_followers(text, n):
    if n < 1:
        raise ValueError("n must be at least 1")
    return solutions.language_model.count_followers(text, n + 1)


@wrong("count-followers", mistake="misses places that overlap", says="places that overlap all count")
def count_followers(text, n):
    whole = solutions.language_model.count_followers(text, n)
    return {c: {b: text.count(c + bytes([b])) for b in found} for c, found in whole.items()}


@wrong(
    "count-followers",
    mistake="starts late in the text",
    says="the first n - 1 bytes are never counted: shorter contexts",
    never=["counts once"],
)
def count_followers(text, n):
    if n < 1:
        raise ValueError("n must be at least 1")
    followers = {}
    for i in range(n - 1, len(text)):
        for length in range(n):
            found = followers.setdefault(text[i - length : i], {})
            found[text[i]] = found.get(text[i], 0) + 1
    return followers


@wrong(
    "count-followers",
    mistake="keeps contexts that nothing follows",
    says="nothing follows the b at the end of ab, so b should be left",
)
def count_followers(text, n):
    followers = solutions.language_model.count_followers(text, n)
    return followers | {text[len(text) - k :]: followers.get(text[len(text) - k :], {}) for k in range(n)}


@wrong("count-followers", mistake="takes any n", says="n counts the byte itself")
def count_followers(text, n):
    return solutions.language_model.count_followers(text, n) if n > 0 else {}


@wrong("count-followers", mistake="takes pieces of text for the followers", says="yours are pieces of text")
def count_followers(text, n):
    found = solutions.language_model.count_followers(text, n)
    return {context: {bytes([b]): count for b, count in known.items()} for context, known in found.items()}


@wrong("count-followers", mistake="gives shares", says="whole counts are wanted")
def count_followers(text, n):
    found = solutions.language_model.count_followers(text, n)
    return {c: {b: count / sum(known.values()) for b, count in known.items()} for c, known in found.items()}


@wrong("count-followers", mistake="stops before the last byte", says="the last byte of the text is never counted")
def count_followers(text, n):
    return solutions.language_model.count_followers(text[:-1], n)


@wrong("count-followers", mistake="slices from before the text's first byte", says="a slice with a negative start")
def count_followers(text, n):
    if n < 1:
        raise ValueError("n must be at least 1")
    followers = {}
    for i in range(len(text)):
        for length in range(n):
            found = followers.setdefault(text[i - length : i], {})
            found[text[i]] = found.get(text[i], 0) + 1
    return followers


@wrong("count-followers", mistake="counts what comes before a context", says="those after it are wanted")
def count_followers(text, n):
    if n < 1:
        raise ValueError("n must be at least 1")
    followers = {}
    for i in range(len(text)):
        for end in range(i + 1, min(i + n, len(text)) + 1):
            found = followers.setdefault(text[i + 1 : end], {})
            found[text[i]] = found.get(text[i], 0) + 1
    return followers


@wrong("count-followers", mistake="counts pieces of text", says="this counts whole pieces")
def count_followers(text, n):
    found = solutions.language_model.count_followers(text, n)
    return {c + bytes([b]): count for c, known in found.items() for b, count in known.items()}


@wrong("count-followers", mistake="leaves out the empty context", says="the empty context is missing")
def count_followers(text, n):
    return {c: known for c, known in solutions.language_model.count_followers(text, n).items() if c or len(text) < n}


@wrong("count-followers", mistake="fails on a text shorter than n", says="no error")
def count_followers(text, n):
    if n < 1 or len(text) < n:
        raise ValueError("the text is too short")
    return solutions.language_model.count_followers(text, n)


@wrong(
    "count-followers",
    mistake="notes which bytes follow and not how often",
    says="each byte that follows counts once, and should count as",
    never=["never counted"],
)
def count_followers(text, n):
    found = solutions.language_model.count_followers(text, n)
    return {context: dict.fromkeys(known, 1) for context, known in found.items()}


# ----------------------------------------------------------------------------------------------------- sample-chain


def chain(followers, n, length, choose):
    """A chain in which `choose(known)` draws the next byte."""
    if not followers:
        raise ValueError("nothing was counted")
    text = b""
    while len(text) < length:
        context = text[max(0, len(text) - n + 1) :]
        while context not in followers:
            context = context[1:]
        text += bytes([choose(followers[context])])
    return text


@wrong(
    "sample-chain",
    mistake="always takes the likeliest",
    says="whatever the seed, the same byte comes every time: nothing",
)
def sample_chain(followers, n, length, seed):
    return chain(followers, n, length, lambda known: max(known, key=known.get))


@wrong(
    "sample-chain",
    mistake="draws without the counts",
    says="every follower is drawn equally often, and should be drawn",
    never=["nothing is drawn at random"],
)
def sample_chain(followers, n, length, seed):
    generator = random.Random(seed)
    return chain(followers, n, length, lambda known: generator.choice(sorted(known)))


@wrong("sample-chain", mistake="does not use its seed", says="the same seed gave two different texts")
def sample_chain(followers, n, length, seed):
    generator = random.Random()
    return chain(followers, n, length, lambda known: generator.choices(list(known), known.values())[0])


@wrong(
    "sample-chain",
    mistake="makes the generator anew for each byte",
    says="one byte is repeated through each text: is the generator",
)
def sample_chain(followers, n, length, seed):
    return chain(followers, n, length, lambda known: random.Random(seed).choices(list(known), list(known.values()))[0])


@wrong(
    "sample-chain",
    mistake="looks at the first bytes of the text",
    says="the first n - 1 bytes of the text always decide, and the",
)
def sample_chain(followers, n, length, seed):
    if not followers:
        raise ValueError("nothing was counted")
    generator, text = random.Random(seed), b""
    while len(text) < length:
        context = text[: n - 1]
        while context not in followers:
            context = context[:-1]
        text += bytes(generator.choices(list(followers[context]), list(followers[context].values())))
    return text


@wrong(
    "sample-chain",
    mistake="falls back to single bytes at once",
    says="a context without followers hands over to the empty one at",
)
def sample_chain(followers, n, length, seed):
    if not followers:
        raise ValueError("nothing was counted")
    generator, text = random.Random(seed), b""
    while len(text) < length:
        known = followers.get(text[max(0, len(text) - n + 1) :], followers[b""])
        text += bytes(generator.choices(list(known), list(known.values())))
    return text


@wrong("sample-chain", mistake="counts on the context being known", says="longest suffix of them that has some")
def sample_chain(followers, n, length, seed):
    if not followers:
        raise ValueError("nothing was counted")
    generator, text = random.Random(seed), b""
    while len(text) < length:
        known = followers[text[max(0, len(text) - n + 1) :]]
        text += bytes(generator.choices(list(known), list(known.values())))
    return text


@wrong(
    "sample-chain",
    mistake="does not look at the text",
    says="no earlier byte counts, whatever n is: the last n - 1 bytes",
)
def sample_chain(followers, n, length, seed):
    return solutions.language_model.sample_chain(followers, 1, length, seed)


@wrong(
    "sample-chain",
    mistake="looks back as far as the counts reach",
    says="all earlier bytes count, whatever n is: only the last n - 1",
)
def sample_chain(followers, n, length, seed):
    return solutions.language_model.sample_chain(followers, length + 1, length, seed)


@wrong("sample-chain", mistake="slices from -0 where n is 1", says="you look at all of them")
def sample_chain(followers, n, length, seed):
    return solutions.language_model.sample_chain(followers, n if n > 1 else length + 1, length, seed)


@wrong("sample-chain", mistake="looks n bytes back", says="n bytes before count, one too many: n counts the byte that")
def sample_chain(followers, n, length, seed):
    return solutions.language_model.sample_chain(followers, n + 1, length, seed)


@wrong(
    "sample-chain", mistake="looks n - 2 bytes back", says="n - 2 bytes before count, one too few: n counts the byte"
)
def sample_chain(followers, n, length, seed):
    return solutions.language_model.sample_chain(followers, max(1, n - 1), length, seed)


@wrong("sample-chain", mistake="shortens a context at its end", says="loses its last byte")
def sample_chain(followers, n, length, seed):
    if not followers:
        raise ValueError("nothing was counted")
    generator, text = random.Random(seed), b""
    while len(text) < length:
        context = text[max(0, len(text) - n + 1) :]
        while context not in followers:
            context = context[:-1]
        text += bytes(generator.choices(list(followers[context]), list(followers[context].values())))
    return text


@wrong(
    "sample-chain", mistake="draws from one and the same generator for all seeds", says="all seeds give the same text"
)
def sample_chain(followers, n, length, seed):
    return solutions.language_model.sample_chain(followers, n, length, 0)


@wrong("sample-chain", mistake="gives a list of numbers", says="the result should be bytes")
def sample_chain(followers, n, length, seed):
    return list(solutions.language_model.sample_chain(followers, n, length, seed))


@wrong("sample-chain", mistake="waits for all n - 1 bytes and takes the last one until then", says="both of them count")
def sample_chain(followers, n, length, seed):
    rng = random.Random(seed)
    text = b""
    while len(text) < length:
        start = len(text) - n + 1
        context = text[start:] if start >= 0 else text[-1:]
        context = context if n > 1 else b""
        while context not in followers:
            if not context:
                raise ValueError("nothing is known")
            context = context[1:]
        counts = followers[context]
        text += bytes(rng.choices(list(counts), weights=list(counts.values())))
    return text


@wrong("sample-chain", mistake="draws one byte more than asked for", says="bytes were asked for")
def sample_chain(followers, n, length, seed):
    return solutions.language_model.sample_chain(followers, n, length + 1, seed)


@wrong("sample-chain", mistake="looks for a context of no followers for ever", says="check that before anything else")
def sample_chain(followers, n, length, seed):
    generator, text = random.Random(seed), b""
    while len(text) < length:
        context = text[max(0, len(text) - n + 1) :]
        while context not in followers:
            context = context[1:]
        text += bytes(generator.choices(list(followers[context]), list(followers[context].values())))
    return text


@wrong("sample-chain", mistake="gives an empty text where nothing is known", says="there is nothing to draw from")
def sample_chain(followers, n, length, seed):
    return solutions.language_model.sample_chain(followers, n, length, seed) if followers else b""


@wrong(
    "sample-chain",
    mistake="begins with a context picked at random",
    says="a comes first; for n = 1 no earlier byte counts",
)
def sample_chain(followers, n, length, seed):
    if not followers:
        raise ValueError("nothing was counted")
    generator = random.Random(seed)
    text = generator.choice(sorted(context for context in followers if len(context) < n))
    while len(text) < length:
        context = text[max(0, len(text) - n + 1) :]
        while context not in followers:
            context = context[1:]
        text += bytes(generator.choices(list(followers[context]), list(followers[context].values())))
    return text[:length]


# ------------------------------------------------------------------------------------------------------ witten-bell


def interpolated(model, context, share):
    """The rule with another share: `share(counts, different, p)` is the distribution at one length."""
    p = torch.full((256,), 1 / 256, dtype=torch.float64)
    for length in range(min(len(context), model.n - 1) + 1):
        known = model.followers.get(context[len(context) - length :], {})
        if known:
            counts = torch.zeros(256, dtype=torch.float64)
            counts[list(known)] = torch.tensor(list(known.values()), dtype=torch.float64)
            p = share(counts, len(known), p)
    return p


@wrong("witten-bell", mistake="has no uniform distribution at the bottom", says="a byte that never occurred")
class NGram(solutions.language_model.NGram):
    def probabilities(self, context):
        p = None
        for length in range(min(len(context), self.n - 1) + 1):
            if known := self.followers.get(context[len(context) - length :], {}):
                counts = torch.zeros(256, dtype=torch.float64)
                counts[list(known)] = torch.tensor(list(known.values()), dtype=torch.float64)
                total = counts.sum()
                p = counts / total if p is None else (counts + len(known) * p) / (total + len(known))
        return torch.full((256,), 1 / 256, dtype=torch.float64) if p is None else p


@wrong(
    "witten-bell",
    mistake="adds one in place of the different followers",
    says="t is the number of different followers, 2 for aab, and you",
)
class NGram(solutions.language_model.NGram):
    def probabilities(self, context):
        return interpolated(self, context, lambda counts, different, p: (counts + p) / (counts.sum() + 1))


@wrong(
    "witten-bell",
    mistake="does not divide by the followers",
    says="you divide by c alone, and should divide by c + t: these",
)
class NGram(solutions.language_model.NGram):
    def probabilities(self, context):
        return interpolated(self, context, lambda counts, different, p: (counts + different * p) / counts.sum())


@wrong(
    "witten-bell",
    mistake="uses the longest known context only",
    says="the context hands on to the uniform distribution, and",
)
class NGram(solutions.language_model.NGram):
    def probabilities(self, context):
        uniform = torch.full((256,), 1 / 256, dtype=torch.float64)
        return interpolated(
            self, context, lambda counts, different, p: (counts + different * uniform) / (counts.sum() + different)
        )


@wrong(
    "witten-bell",
    mistake="reads the first bytes of the context",
    says="n = 2 after cab: the last byte, b, should decide, and you",
)
class NGram(solutions.language_model.NGram):
    def probabilities(self, context):
        p = torch.full((256,), 1 / 256, dtype=torch.float64)
        for length in range(min(len(context), self.n - 1) + 1):
            known = self.followers.get(context[:length], {})
            if known:
                counts = torch.zeros(256, dtype=torch.float64)
                counts[list(known)] = torch.tensor(list(known.values()), dtype=torch.float64)
                p = (counts + len(known) * p) / (counts.sum() + len(known))
        return p


@wrong(
    "witten-bell",
    mistake="forgets all at an unknown context",
    says="a context that never had a follower hands over to the",
)
class NGram(solutions.language_model.NGram):
    def probabilities(self, context):
        ends = [context[len(context) - length :] for length in range(min(len(context), self.n - 1) + 1)]
        if any(end not in self.followers for end in ends):
            return torch.full((256,), 1 / 256, dtype=torch.float64)
        return solutions.language_model.NGram.probabilities(self, context)


@wrong("witten-bell", mistake="fails on an empty text", says="after an empty text every byte is equally likely")
class NGram(solutions.language_model.NGram):
    def probabilities(self, context):
        if not self.followers[b""]:
            return None
        return solutions.language_model.NGram.probabilities(self, context)


@wrong("witten-bell", mistake="computes in float32", says="should be in float64")
class NGram(solutions.language_model.NGram):
    def probabilities(self, context):
        return solutions.language_model.NGram.probabilities(self, context).float()


@wrong("witten-bell", mistake="adds 1 to each count", says="this adds 1 to every count")
class NGram(solutions.language_model.NGram):
    def probabilities(self, context):
        return interpolated(self, context, lambda counts, different, p: (counts + 1) / (counts.sum() + 256))


@wrong(
    "witten-bell",
    mistake="takes how often the context occurred for the different followers",
    says="t is the number of different followers, 2 for aab, and you",
)
class NGram(solutions.language_model.NGram):
    def probabilities(self, context):
        return interpolated(self, context, lambda counts, different, p: (counts + counts.sum() * p) / counts.sum() / 2)


@wrong(
    "witten-bell",
    mistake="spreads the uniform distribution over what occurred",
    says="and yours over those that occurred",
)
class NGram(solutions.language_model.NGram):
    def probabilities(self, context):
        p = torch.zeros(256, dtype=torch.float64)
        p[list(self.followers.get(b"", range(256)))] = 1 / len(self.followers.get(b"", range(256)))
        for length in range(min(len(context), self.n - 1) + 1):
            if known := self.followers.get(context[len(context) - length :], {}):
                counts = torch.zeros(256, dtype=torch.float64)
                counts[list(known)] = torch.tensor(list(known.values()), dtype=torch.float64)
                p = (counts + len(known) * p) / (counts.sum() + len(known))
        return p


@wrong("witten-bell", mistake="goes from the longest context to the shortest", says="in the wrong order")
class NGram(solutions.language_model.NGram):
    def probabilities(self, context):
        p = torch.full((256,), 1 / 256, dtype=torch.float64)
        for length in reversed(range(min(len(context), self.n - 1) + 1)):
            if known := self.followers.get(context[len(context) - length :], {}):
                counts = torch.zeros(256, dtype=torch.float64)
                counts[list(known)] = torch.tensor(list(known.values()), dtype=torch.float64)
                p = (counts + len(known) * p) / (counts.sum() + len(known))
        return p


@wrong("witten-bell", mistake="does not look at the context", says="the context does not count")
class NGram(solutions.language_model.NGram):
    def probabilities(self, context):
        return solutions.language_model.NGram.probabilities(self, b"")


@wrong(
    "witten-bell",
    mistake="leaves the last byte of the context out",
    says="the one before it",
    never=["you take the first"],
)
class NGram(solutions.language_model.NGram):
    def probabilities(self, context):
        return solutions.language_model.NGram.probabilities(self, context[:-1] or context)


@wrong("witten-bell", mistake="shortens a context at its end", says="and you leave out the last one")
class NGram(solutions.language_model.NGram):
    def probabilities(self, context):
        context, p = context[max(0, len(context) - self.n + 1) :], torch.full((256,), 1 / 256, dtype=torch.float64)
        for length in range(len(context) + 1):
            if known := self.followers.get(context[:length]):
                counts = torch.zeros(256, dtype=torch.float64)
                counts[list(known)] = torch.tensor(list(known.values()), dtype=torch.float64)
                p = (counts + len(known) * p) / (counts.sum() + len(known))
        return p


@wrong("witten-bell", mistake="counts on every context being known", says="hands over to the shorter one: no error")
class NGram(solutions.language_model.NGram):
    def probabilities(self, context):
        for length in range(min(len(context), self.n - 1) + 1):
            self.followers[context[len(context) - length :]]
        return solutions.language_model.NGram.probabilities(self, context)


@wrong("witten-bell", mistake="hands over to the empty context at once", says="not to the empty one at once")
class NGram(solutions.language_model.NGram):
    def probabilities(self, context):
        end = context[max(0, len(context) - self.n + 1) :]
        return solutions.language_model.NGram.probabilities(self, end if end in self.followers else b"")


@wrong("witten-bell", mistake="gives a list", says="the result should be a tensor")
class NGram(solutions.language_model.NGram):
    def probabilities(self, context):
        return solutions.language_model.NGram.probabilities(self, context).tolist()


@wrong(
    "witten-bell",
    mistake="takes the different bytes of the whole text for the different followers",
    says="the last byte, b, decides, and then the empty context",
)
class NGram(solutions.language_model.NGram):
    def probabilities(self, context):
        different = len(self.followers.get(b"", {}))
        return interpolated(self, context, lambda counts, _, p: (counts + different * p) / (counts.sum() + different))


# ---------------------------------------------------------------------------------------------------- cross-entropy


def checked(logits, targets):
    if logits.shape[:-1] != targets.shape or targets.numel() == 0:
        raise ValueError("one target a row")


@wrong(
    "cross-entropy",
    mistake="overflows",
    says="e to the power of 3000 is infinite in floating point: take",
    never=["is rounded to 0"],
)
def cross_entropy(logits, targets):
    checked(logits, targets)
    p = logits.exp() / logits.exp().sum(-1, keepdim=True)
    return -p.gather(-1, targets[..., None]).log().mean()


@wrong("cross-entropy", mistake="measures in bits", says="this is in bits, and nats are wanted: the natural logarithm")
def cross_entropy(logits, targets):
    return solutions.language_model.cross_entropy(logits, targets) / math.log(2)


@wrong("cross-entropy", mistake="sums", says="this is the sum over the targets, and their mean is wanted")
def cross_entropy(logits, targets):
    return solutions.language_model.cross_entropy(logits, targets) * targets.numel()


@wrong(
    "cross-entropy",
    mistake="takes logits for log-probabilities",
    says="the logits are taken for logarithms of probabilities: they",
)
def cross_entropy(logits, targets):
    checked(logits, targets)
    return -logits.gather(-1, targets[..., None]).mean()


@wrong("cross-entropy", mistake="works on two axes only", says="wrong where targets have several axes")
def cross_entropy(logits, targets):
    checked(logits, targets)
    first = logits.flatten(1, -2) if logits.ndim > 2 else logits
    last = targets.flatten(1) if targets.ndim > 1 else targets
    if first.ndim > 2:
        first, last = first[0], last[0]
    return solutions.language_model.cross_entropy(first, last)


@wrong(
    "cross-entropy",
    mistake="takes the logarithm out of the graph",
    says="gradients reach the targets' logits only, and should reach",
)
def cross_entropy(logits, targets):
    checked(logits, targets)
    return (logits.logsumexp(-1).detach() - logits.gather(-1, targets[..., None])[..., 0]).mean()


@wrong("cross-entropy", mistake="gives nan for an empty text", says="an empty text")
def cross_entropy(logits, targets):
    return (logits.logsumexp(-1) - logits.gather(-1, targets[..., None])[..., 0]).mean()


@wrong(
    "cross-entropy",
    mistake="takes the logarithm of a softmax",
    says="is rounded to 0",
    never=["e to the power of 3000 is infinite"],
)
def cross_entropy(logits, targets):
    checked(logits, targets)
    return -logits.softmax(-1).gather(-1, targets[..., None]).log().mean()


@wrong("cross-entropy", mistake="adds a little to the probabilities", says="was something added to a tiny probability")
def cross_entropy(logits, targets):
    checked(logits, targets)
    return -(logits.softmax(-1).gather(-1, targets[..., None]) + 1e-9).log().mean()


@wrong("cross-entropy", mistake="gives one number for each target", says="you have one for each")
def cross_entropy(logits, targets):
    checked(logits, targets)
    return logits.logsumexp(-1) - logits.gather(-1, targets[..., None])[..., 0]


@wrong("cross-entropy", mistake="forgets the sign", says="the sign is wrong")
def cross_entropy(logits, targets):
    return -solutions.language_model.cross_entropy(logits, targets)


@wrong("cross-entropy", mistake="takes the softmax over the steps", says="softmax goes over the steps")
def cross_entropy(logits, targets):
    checked(logits, targets)
    return -logits.log_softmax(0).gather(-1, targets[..., None]).mean()


@wrong("cross-entropy", mistake="sums the exponentials over the steps", says="softmax goes over the steps")
def cross_entropy(logits, targets):
    checked(logits, targets)
    return (logits.logsumexp(0) - logits.gather(-1, targets[..., None])[..., 0]).mean()


@wrong("cross-entropy", mistake="takes the largest logit of all off each row", says="take off each row's own")
def cross_entropy(logits, targets):
    checked(logits, targets)
    logits = logits - logits.max()
    return (logits.exp().sum(-1).log() - logits.gather(-1, targets[..., None])[..., 0]).mean()


@wrong("cross-entropy", mistake="averages over the vocabulary", says="only the targets count")
def cross_entropy(logits, targets):
    checked(logits, targets)
    return -logits.log_softmax(-1).mean()


@wrong("cross-entropy", mistake="takes the logarithm of the mean probability", says="its logarithm is taken after")
def cross_entropy(logits, targets):
    checked(logits, targets)
    return -logits.softmax(-1).gather(-1, targets[..., None]).mean().log()


@wrong("cross-entropy", mistake="gives the perplexity", says="this is the perplexity")
def cross_entropy(logits, targets):
    return solutions.language_model.cross_entropy(logits, targets).exp()


@wrong("cross-entropy", mistake="gives a plain number", says="the result should be a tensor")
def cross_entropy(logits, targets):
    return solutions.language_model.cross_entropy(logits, targets).item()


@wrong("cross-entropy", mistake="detaches its logits", says="no gradient reaches the logits")
def cross_entropy(logits, targets):
    return solutions.language_model.cross_entropy(logits.detach(), targets)


@wrong("cross-entropy", mistake="fails on several axes", says="your code fails on several")
def cross_entropy(logits, targets):
    checked(logits, targets)
    return (logits.logsumexp(1) - logits[torch.arange(len(targets)), targets]).mean()


@wrong(
    "cross-entropy",
    mistake="compares only how many targets there are",
    says="targets of shape 3 by 2 do not fit 2 by 3 rows of logits",
)
def cross_entropy(logits, targets):
    if targets.numel() == 0 or targets.numel() != logits[..., 0].numel():
        raise ValueError("one target a row")
    return solutions.language_model.cross_entropy(logits.flatten(0, -2), targets.flatten())


@wrong("cross-entropy", mistake="compares only the length of the first axis", says="do not fit")
def cross_entropy(logits, targets):
    if targets.numel() == 0 or len(targets) != len(logits):
        raise ValueError("one target a row")
    rows = logits.flatten(0, -2)[: targets.numel()]
    return solutions.language_model.cross_entropy(rows, targets.flatten()[: len(rows)])


@wrong("cross-entropy", mistake="divides by the length of the first axis", says="wrong where targets have several axes")
def cross_entropy(logits, targets):
    return solutions.language_model.cross_entropy(logits, targets) * targets.numel() / len(targets)


@wrong("cross-entropy", mistake="asks the oracle", says="asks you to write what that call does")
def cross_entropy(logits, targets):
    return F.cross_entropy(logits, targets)


# --------------------------------------------------------------------------------------------------------- surprise


@wrong("surprise", mistake="measures in nats", says="this is in nats, and bits are wanted: the logarithm to base")
def surprise(probabilities, symbols):
    return solutions.language_model.surprise(probabilities, symbols) * math.log(2)


@wrong("surprise", mistake="takes the mean", says="one number a symbol")
def surprise(probabilities, symbols):
    return solutions.language_model.surprise(probabilities, symbols).mean()


@wrong("surprise", mistake="adds a little to avoid the logarithm of 0", says="has infinite surprise")
def surprise(probabilities, symbols):
    solutions.language_model.surprise(probabilities, symbols)
    return -(probabilities.gather(-1, symbols[:, None])[:, 0] + 1e-9).log2()


@wrong(
    "surprise",
    mistake="takes the entropy of each row",
    says="this is the entropy of each row, and only the symbol that",
)
def surprise(probabilities, symbols):
    solutions.language_model.surprise(probabilities, symbols)
    return torch.special.entr(probabilities).sum(-1) / math.log(2)


@wrong("surprise", mistake="takes anything for a distribution", says="is no distribution")
def surprise(probabilities, symbols):
    return -probabilities[torch.arange(len(symbols)), symbols].log2()


@wrong(
    "surprise",
    mistake="checks the sum of all rows together",
    says="each row should be a distribution, and these two have sums",
)
def surprise(probabilities, symbols):
    if abs(probabilities.sum().item() - len(symbols)) > 1e-4:
        raise ValueError("no distribution")
    return -probabilities[torch.arange(len(symbols)), symbols].log2()


@wrong("surprise", mistake="forgets the sign", says="the sign is wrong")
def surprise(probabilities, symbols):
    return -solutions.language_model.surprise(probabilities, symbols)


@wrong("surprise", mistake="swaps rows and symbols", says="rows and symbols are swapped")
def surprise(probabilities, symbols):
    solutions.language_model.surprise(probabilities, symbols)
    return -probabilities[symbols, torch.arange(len(symbols))].log2()


@wrong("surprise", mistake="takes the probabilities for logits", says="a softmax is taken of them")
def surprise(probabilities, symbols):
    solutions.language_model.surprise(probabilities, symbols)
    return -probabilities.log_softmax(-1).gather(-1, symbols[:, None])[:, 0] / math.log(2)


@wrong("surprise", mistake="gives the probabilities", says="their logarithm is missing")
def surprise(probabilities, symbols):
    solutions.language_model.surprise(probabilities, symbols)
    return probabilities.gather(-1, symbols[:, None])[:, 0]


@wrong("surprise", mistake="looks at the sums only", says="an entry is negative", never=["its sum"])
def surprise(probabilities, symbols):
    if not ((probabilities.sum(-1) - 1).abs() <= 1e-4).all():
        raise ValueError("no distribution")
    return -probabilities[torch.arange(len(symbols)), symbols].log2()


@wrong("surprise", mistake="lets nan through", says="an entry is not a number", never=["its sum", "negative"])
def surprise(probabilities, symbols):
    if (probabilities < 0).any() or ((probabilities.sum(-1) - 1).abs() > 1e-4).any():
        raise ValueError("no distribution")
    return -probabilities[torch.arange(len(symbols)), symbols].log2()


@wrong("surprise", mistake="wants sums of exactly 1", says="is rounding, and no mistake")
def surprise(probabilities, symbols):
    if not (probabilities >= 0).all() or not torch.allclose(probabilities.sum(-1), torch.ones(()).to(probabilities)):
        raise ValueError("no distribution")
    return -probabilities[torch.arange(len(symbols)), symbols].log2()


@wrong("surprise", mistake="refuses large sums only", says="its sum is far below 1")
def surprise(probabilities, symbols):
    if not (probabilities >= 0).all() or (probabilities.sum(-1) > 1 + 1e-4).any():
        raise ValueError("no distribution")
    return -probabilities[torch.arange(len(symbols)), symbols].log2()


@wrong("surprise", mistake="takes sums within 1e-3 for rounding", says="further above 1 than 1e-4")
def surprise(probabilities, symbols):
    if not (probabilities >= 0).all() or ((probabilities.sum(-1) - 1).abs() > 1e-3).any():
        raise ValueError("no distribution")
    return -probabilities[torch.arange(len(symbols)), symbols].log2()


@wrong("surprise", mistake="looks at the first row only", says="its sum is far above 1")
def surprise(probabilities, symbols):
    solutions.language_model.surprise(probabilities[:1], symbols[:1])
    return -probabilities[torch.arange(len(symbols)), symbols].log2()


@wrong("surprise", mistake="holds probabilities to a least value", says="has infinite surprise")
def surprise(probabilities, symbols):
    solutions.language_model.surprise(probabilities, symbols)
    return -probabilities.gather(-1, symbols[:, None])[:, 0].clamp(min=1e-12).log2()


# ------------------------------------------------------------------------------------------------------------ units


def refuse_nothing(surprises):
    if len(surprises) == 0:
        raise ValueError("nothing to measure")


@wrong("surprise", mistake="takes e to the power of bits", says="bits go with powers of 2, and this is a power of e")
def perplexity(surprises):
    refuse_nothing(surprises)
    return math.exp(surprises.mean().item())


@wrong(
    "surprise",
    mistake="averages what each symbol is a choice among",
    says="the mean comes first and then the power: this averages what",
)
def perplexity(surprises):
    refuse_nothing(surprises)
    return (2**surprises).mean().item()


@wrong("surprise", mistake="gives nan for an empty text", says="an empty text has no perplexity")
def perplexity(surprises):
    return 2 ** surprises.mean().item()


@wrong("surprise", mistake="divides by the symbols", says="the bits are divided by the number of symbols, 2, and there")
def bits_per_byte(surprises, symbols):
    solutions.language_model.bits_per_byte(surprises, symbols)
    return surprises.mean().item()


@wrong("surprise", mistake="averages token by token", says="each symbol is divided by its own bytes, and then averaged")
def bits_per_byte(surprises, symbols):
    solutions.language_model.bits_per_byte(surprises, symbols)
    return sum(s / max(1, len(t)) for s, t in zip(surprises.tolist(), symbols, strict=True)) / len(symbols)


@wrong("surprise", mistake="counts characters", says="not over its characters")
def bits_per_byte(surprises, symbols):
    solutions.language_model.bits_per_byte(surprises, symbols)
    return surprises.sum().item() / len(b"".join(symbols).decode())


@wrong("surprise", mistake="takes any number of symbols", says="as many symbols as surprises")
def bits_per_byte(surprises, symbols):
    size = sum(map(len, symbols))
    if size == 0:
        raise ValueError("no bytes")
    return surprises.sum().item() / size


@wrong("surprise", mistake="gives the mean surprise for the perplexity", says="this is the mean surprise itself")
def perplexity(surprises):
    refuse_nothing(surprises)
    return surprises.mean().item()


@wrong("surprise", mistake="adds the surprises up", says="the surprises are added")
def perplexity(surprises):
    refuse_nothing(surprises)
    return 2 ** surprises.sum().item()


@wrong("surprise", mistake="gives a perplexity for each symbol", says="one number is wanted")
def perplexity(surprises):
    refuse_nothing(surprises)
    return 2**surprises


@wrong("surprise", mistake="divides the mean surprise by the bytes", says="the mean surprise is divided")
def bits_per_byte(surprises, symbols):
    return solutions.language_model.bits_per_byte(surprises, symbols) / len(symbols)


@wrong("surprise", mistake="divides by no bytes", says="symbols that spell nothing")
def bits_per_byte(surprises, symbols):
    if len(symbols) != len(surprises) or not len(symbols):
        raise ValueError("they do not match")
    return surprises.sum().item() / max(1, sum(map(len, symbols)))


@wrong("surprise", mistake="takes the surprises for nats", says="12 bits for 6 bytes are 2 bits per byte")
def bits_per_byte(surprises, symbols):
    return solutions.language_model.bits_per_byte(surprises, symbols) / math.log(2)


# ------------------------------------------------------------------------------------------------------ guess-ranks


@wrong("guess-ranks", mistake="counts from 0", says="guesses are counted from 1, and you count them from 0")
def guess_ranks(probabilities, symbols):
    return solutions.language_model.guess_ranks(probabilities, symbols) - 1


@wrong(
    "guess-ranks",
    mistake="gives the symbol guessed at that place",
    says="this is 1 more than the symbol guessed at a place, and the",
)
def guess_ranks(probabilities, symbols):
    order = probabilities.sort(dim=-1, descending=True, stable=True).indices
    return order.gather(-1, symbols[:, None])[:, 0] + 1


@wrong(
    "guess-ranks",
    mistake="guesses the unlikely first",
    says="the likeliest symbol is guessed first, and you begin with",
)
def guess_ranks(probabilities, symbols):
    return solutions.language_model.guess_ranks(-probabilities, symbols)


@wrong(
    "guess-ranks",
    mistake="gives equal probabilities the same number",
    says="equally likely symbols all have the same rank: the smaller",
)
def guess_ranks(probabilities, symbols):
    return (probabilities > probabilities.gather(-1, symbols[:, None])).sum(-1) + 1


@wrong(
    "guess-ranks", mistake="guesses all equally likely symbols before the right one", says="the last rank among them"
)
def guess_ranks(probabilities, symbols):
    return (probabilities >= probabilities.gather(-1, symbols[:, None])).sum(-1)


@wrong("guess-ranks", mistake="guesses the larger id first", says="the larger id is guessed first")
def guess_ranks(probabilities, symbols):
    last = probabilities.shape[-1] - 1
    return solutions.language_model.guess_ranks(probabilities.flip(-1), last - symbols)


@wrong(
    "guess-ranks", mistake="ranks from 0 the symbol guessed at that place", says="this is the symbol guessed at a place"
)
def guess_ranks(probabilities, symbols):
    return probabilities.argsort(dim=-1, descending=True, stable=True).gather(-1, symbols[:, None])[:, 0]


@wrong("guess-ranks", mistake="sorts without keeping the order of equals", says="does it keep the order of equals")
def guess_ranks(probabilities, symbols):
    order = probabilities.argsort(dim=-1, descending=True)
    return (order == symbols[:, None]).int().argmax(-1) + 1


@wrong("guess-ranks", mistake="gives the ranks of all symbols", says="one rank a symbol is wanted")
def guess_ranks(probabilities, symbols):
    return probabilities.argsort(dim=-1, descending=True, stable=True).argsort(-1) + 1


@wrong(
    "guess-ranks",
    mistake="adds the symbol itself and its equals with smaller ids",
    says="symbols 1 and 3 are the likeliest",
)
def guess_ranks(probabilities, symbols):
    right = probabilities.gather(-1, symbols[:, None])
    ids = torch.arange(probabilities.shape[-1])
    return (
        ((probabilities > right) | ((probabilities == right) & (ids < symbols[:, None]))).sum(-1)
        + 1
        + ((probabilities < right) & (ids < symbols[:, None])).sum(-1) * (probabilities == right).sum(-1).gt(1)
    )


# ----------------------------------------------------------------------------------------------------- guess-bounds


def shares(ranks):
    if len(ranks) == 0 or ranks.min() < 1:
        raise ValueError("no ranks")
    return (torch.bincount(ranks).double()[1:] / len(ranks)).tolist()


@wrong("guess-bounds", mistake="measures in nats", says="this is in nats, and bits are wanted: the logarithm to base")
def guess_bounds(ranks):
    lower, upper = solutions.language_model.guess_bounds(ranks)
    return lower * math.log(2), upper * math.log(2)


@wrong(
    "guess-bounds",
    mistake="leaves the number of guesses out",
    says="the number of guesses i is left out of the lower bound's",
)
def guess_bounds(ranks):
    q = [*shares(ranks), 0.0]
    lower = sum((q[i - 1] - q[i]) * math.log2(i) for i in range(1, len(q)))
    return lower, solutions.language_model.guess_bounds(ranks)[1]


@wrong(
    "guess-bounds", mistake="stops before the last share", says="the last term of the lower bound is missing: after the"
)
def guess_bounds(ranks):
    q = shares(ranks)
    lower = sum(i * (q[i - 1] - q[i]) * math.log2(i) for i in range(1, len(q)))
    return lower, solutions.language_model.guess_bounds(ranks)[1]


@wrong("guess-bounds", mistake="leaves out numbers that never occur", says="keep their place")
def guess_bounds(ranks):
    shares(ranks)
    _, packed = ranks.unique(return_inverse=True)
    return solutions.language_model.guess_bounds(packed + 1)


@wrong("guess-bounds", mistake="gives the upper bound first", says="this is the upper bound: the lower one comes first")
def guess_bounds(ranks):
    lower, upper = solutions.language_model.guess_bounds(ranks)
    return upper, lower


@wrong(
    "guess-bounds",
    mistake="takes the logarithm of a share of 0",
    says="a share of 0 adds nothing to the upper bound, but 0 times",
)
def guess_bounds(ranks):
    q = torch.tensor(shares(ranks))
    return solutions.language_model.guess_bounds(ranks)[0], -(q * q.log2()).sum().item()


@wrong("guess-bounds", mistake="keeps the share of number 0", says="the shares stand one place too late")
def guess_bounds(ranks):
    upper = solutions.language_model.guess_bounds(ranks)[1]
    q = torch.bincount(ranks).double() / len(ranks)
    i = torch.arange(1, len(q) + 1)
    return (i * (q - F.pad(q[1:], (0, 1))) * i.log2()).sum().item(), upper


@wrong("guess-bounds", mistake="begins with guess number 0", says="this is nan: guesses are counted from 1")
def guess_bounds(ranks):
    upper = solutions.language_model.guess_bounds(ranks)[1]
    q = torch.bincount(ranks).double() / len(ranks)
    i = torch.arange(len(q))
    return (i * (q - F.pad(q[1:], (0, 1))) * i.log2()).sum().item(), upper


@wrong("guess-bounds", mistake="takes counts for shares", says="these are counts")
def guess_bounds(ranks):
    lower, upper = solutions.language_model.guess_bounds(ranks)
    return lower * len(ranks), upper


@wrong("guess-bounds", mistake="subtracts a share from the next", says="the sign of the lower bound")
def guess_bounds(ranks):
    lower, upper = solutions.language_model.guess_bounds(ranks)
    return -lower, upper


@wrong("guess-bounds", mistake="gives the upper bound in nats", says="and the upper one in nats")
def guess_bounds(ranks):
    lower, upper = solutions.language_model.guess_bounds(ranks)
    return lower, upper * math.log(2)


@wrong("guess-bounds", mistake="forgets the sign of the entropy", says="an entropy is not below 0")
def guess_bounds(ranks):
    lower, upper = solutions.language_model.guess_bounds(ranks)
    return lower, -upper


@wrong("guess-bounds", mistake="gives the upper bound alone", says="two numbers are wanted")
def guess_bounds(ranks):
    return solutions.language_model.guess_bounds(ranks)[1]


@wrong("guess-bounds", mistake="swaps bounds that cross", says="whatever the upper one is")
def guess_bounds(ranks):
    return tuple(sorted(solutions.language_model.guess_bounds(ranks)))


@wrong("guess-bounds", mistake="takes ranks of 0", says="guesses are counted from 1")
def guess_bounds(ranks):
    if len(ranks) == 0:
        raise ValueError("no ranks")
    return solutions.language_model.guess_bounds(ranks.clamp(min=1))


@wrong("guess-bounds", mistake="gives 0 for no guesses", says="no guesses, no bounds")
def guess_bounds(ranks):
    return solutions.language_model.guess_bounds(ranks) if len(ranks) else (0.0, 0.0)


@wrong(
    "guess-bounds",
    mistake="multiplies by the number of wrong guesses",
    says="the lower bound's terms have a factor i, counted from 1",
    never=["is left out"],
)
def guess_bounds(ranks):
    q = [*shares(ranks), 0.0]
    lower = sum((i - 1) * (q[i - 1] - q[i]) * math.log2(i) for i in range(1, len(q)))
    return lower, solutions.language_model.guess_bounds(ranks)[1]


# --------------------------------------------------------------------------------------------------------- quantise


def normal(probabilities, total):
    """Probabilities as numbers that add up to 1, or ValueError."""
    p = probabilities.double()
    if len(p) > total or not (p >= 0).all() or not abs(p.sum().item() - 1) <= 1e-4:
        raise ValueError("no distribution")
    return (p / p.sum()).tolist()


@wrong("quantise", mistake="rounds", says="that symbol could never be sent")
def quantise(probabilities, total=TOTAL):
    return [round(p * total) for p in normal(probabilities, total)]


@wrong(
    "quantise", mistake="lifts zeros to 1 and leaves it at that", says="the frequencies add up to more than the total"
)
def quantise(probabilities, total=TOTAL):
    return [max(1, round(p * total)) for p in normal(probabilities, total)]


@wrong(
    "quantise",
    mistake="adds 1 to each on top of the total",
    says="each symbol's 1 comes on top of the total, and should come",
)
def quantise(probabilities, total=TOTAL):
    return [int(p * total) + 1 for p in normal(probabilities, total)]


@wrong("quantise", mistake="evens the sum out at the last symbol", says="taken off a symbol that cannot spare it")
def quantise(probabilities, total=TOTAL):
    frequencies = [max(1, math.ceil(p * total)) for p in normal(probabilities, total)]
    frequencies[-1] += total - sum(frequencies)
    return frequencies


@wrong("quantise", mistake="makes them nearly even", says="frequency 0 is 66, and its share of the total is 100.0")
def quantise(probabilities, total=TOTAL):
    p = normal(probabilities, total)
    mixed = torch.tensor([0.5 * x + 0.5 / len(p) for x in p], dtype=torch.float64)
    return solutions.language_model.quantise(mixed, total)


@wrong("quantise", mistake="gives floats", says="whole numbers")
def quantise(probabilities, total=TOTAL):
    return [float(f) for f in solutions.language_model.quantise(probabilities, total)]


@wrong("quantise", mistake="normalises whatever it is given", says="no distribution")
def quantise(probabilities, total=TOTAL):
    if len(probabilities) > total:
        raise ValueError("too many")
    p = probabilities.double().nan_to_num().abs()
    return solutions.language_model.quantise(p / p.sum(), total)


@wrong(
    "quantise", mistake="does not divide by the sum", says="stands for its share of this sum", never=["no distribution"]
)
def quantise(probabilities, total=TOTAL):
    normal(probabilities, total)
    frequencies = (probabilities.double() * (total - len(probabilities))).long() + 1
    frequencies[probabilities.argmax()] += total - frequencies.sum()
    return frequencies.tolist()


@wrong("quantise", mistake="wants a sum of exactly 1", says="and is not refused")
def quantise(probabilities, total=TOTAL):
    if abs(probabilities.sum().item() - 1) > 1e-6:
        raise ValueError("no distribution")
    return solutions.language_model.quantise(probabilities, total)


@wrong("quantise", mistake="gives nobody what rounding down leaves", says="add up to less than the total")
def quantise(probabilities, total=TOTAL):
    p = normal(probabilities, total)
    return [1 + int(x * (total - len(p))) for x in p]


@wrong("quantise", mistake="lifts zeros to 1 and takes it off the likeliest", says="cannot spare it")
def quantise(probabilities, total=TOTAL):
    p = normal(probabilities, total)
    frequencies = [max(1, round(x * total)) for x in p]
    frequencies[p.index(max(p))] += total - sum(frequencies)
    return frequencies


@wrong("quantise", mistake="gives a tensor", says="a list of whole numbers is wanted")
def quantise(probabilities, total=TOTAL):
    return torch.tensor(solutions.language_model.quantise(probabilities, total))


@wrong("quantise", mistake="takes negative probabilities", says="an entry is negative", never=["its sum"])
def quantise(probabilities, total=TOTAL):
    p = probabilities.double()
    if len(p) > total or not abs(p.sum().item() - 1) <= 1e-4:
        raise ValueError("no distribution")
    return solutions.language_model.quantise(p.clamp(min=0) / p.clamp(min=0).sum(), total)


@wrong("quantise", mistake="lets nan through", says="an entry is not a number", never=["its sum", "negative"])
def quantise(probabilities, total=TOTAL):
    p = probabilities.double()
    if len(p) > total or (p < 0).any() or abs(p.sum().item() - 1) > 1e-4:
        raise ValueError("no distribution")
    return solutions.language_model.quantise(p.nan_to_num() / p.nan_to_num().sum(), total)


@wrong("quantise", mistake="refuses as many symbols as the total", says="only more symbols than the total are refused")
def quantise(probabilities, total=TOTAL):
    if len(probabilities) == total:
        raise ValueError("too many symbols")
    return solutions.language_model.quantise(probabilities, total)


@wrong("quantise", mistake="takes more symbols than the total", says="5 symbols cannot each have a frequency")
def quantise(probabilities, total=TOTAL):
    normal(probabilities, max(total, len(probabilities)))
    return solutions.language_model.quantise(probabilities, max(total, len(probabilities)))


# ----------------------------------------------------------------------------------------------------------- narrow


@wrong("interval", mistake="forgets that both ends belong to the interval", says="both ends belong to the interval")
def narrow(low, high, start, end, total):
    size = high - low
    return low + size * start // total, low + size * end // total - 1


@wrong("interval", mistake="lets neighbours share a number", says="the upper end belongs to the part that is returned")
def narrow(low, high, start, end, total):
    size = high - low + 1
    return low + size * start // total, low + size * end // total


@wrong(
    "interval",
    mistake="takes the upper end from the new lower one",
    says="the upper end is measured from the new lower end: measure",
)
def narrow(low, high, start, end, total):
    size = high - low + 1
    low = low + size * start // total
    return low, low + size * end // total - 1


@wrong("interval", mistake="divides before it multiplies", says="than exact fractions give")
def narrow(low, high, start, end, total):
    size = high - low + 1
    if size < total:
        return solutions.language_model.narrow(low, high, start, end, total)
    step = size // total
    return low + step * start, high if end == total else low + step * end - 1


@wrong("interval", mistake="rounds the lower end up", says="rounded down to 13")
def narrow(low, high, start, end, total):
    size = high - low + 1
    return low - (-size * start // total), low + size * end // total - 1


@wrong(
    "interval",
    mistake="forgets where the interval begins",
    says="the part should lie in the interval: it begins at `low`",
)
def narrow(low, high, start, end, total):
    size = high - low + 1
    return size * start // total, size * end // total - 1


@wrong("interval", mistake="computes in floats", says="a float cannot hold such a number exactly")
def narrow(low, high, start, end, total):
    size = high - low + 1
    return int(low + size * start / total), int(low + size * end / total) - 1


@wrong("interval", mistake="gives floats", says="numbers of type int are wanted")
def narrow(low, high, start, end, total):
    size = high - low + 1
    return low + size * start / total, low + size * end / total - 1


@wrong("interval", mistake="rounds to the nearest", says="rounded to the nearest number")
def narrow(low, high, start, end, total):
    size = high - low + 1
    return low + round(size * start / total), low + round(size * end / total) - 1


@wrong("interval", mistake="gives the size of the part", says="and not its size")
def narrow(low, high, start, end, total):
    low, high = solutions.language_model.narrow(low, high, start, end, total)
    return low, high - low + 1


@wrong("interval", mistake="gives the lower end alone", says="both ends of the part are wanted")
def narrow(low, high, start, end, total):
    return solutions.language_model.narrow(low, high, start, end, total)[0]


# ------------------------------------------------------------------------------------------------------------- zoom


@wrong("interval", mistake="knows no middle", says="an interval in the middle may be doubled too: take off")
def zoom(low, high):
    offset = solutions.language_model.zoom(low, high)
    return None if offset == QUARTER else offset


@wrong(
    "interval",
    mistake="counts the first number of the upper half to the lower",
    says="is the first number of the upper half",
)
def zoom(low, high):
    if 0 <= low <= high <= HALF:
        return 0
    return solutions.language_model.zoom(low, high)


@wrong("interval", mistake="looks at the middle first", says="the halves come first")
def zoom(low, high):
    if QUARTER <= low <= high < HALF + QUARTER:
        return QUARTER
    return solutions.language_model.zoom(low, high)


@wrong("interval", mistake="takes the middle off when one end is in it", says="must not be doubled")
def zoom(low, high):
    offset = solutions.language_model.zoom(low, high)
    return QUARTER if offset is None and (low >= QUARTER or high < HALF + QUARTER) else offset


@wrong("interval", mistake="doubles an empty interval too", says="would be doubled for ever")
def zoom(low, high):
    if high < HALF:
        return 0
    if low >= HALF:
        return HALF
    return QUARTER if low >= QUARTER and high < HALF + QUARTER else None


@wrong("interval", mistake="gives None for the lower half", says="0 and None are two answers")
def zoom(low, high):
    return solutions.language_model.zoom(low, high) or None


@wrong(
    "interval",
    mistake="does not allow the last number",
    says="doubled, an interval may begin at 0 and end at WHOLE - 1",
)
def zoom(low, high):
    offset = solutions.language_model.zoom(low, high)
    return offset if offset is not None and 2 * (high - offset) + 1 < WHOLE - 1 else None


@wrong(
    "interval",
    mistake="does not allow the first number",
    says="doubled, an interval may begin at 0 and end at WHOLE - 1",
)
def zoom(low, high):
    offset = solutions.language_model.zoom(low, high)
    return offset if offset is not None and 2 * (low - offset) > 0 else None


@wrong("interval", mistake="takes the middle for the halves' lower ends only", says="reaches above the middle quarters")
def zoom(low, high):
    offset = solutions.language_model.zoom(low, high)
    return QUARTER if offset is None and low >= QUARTER else offset


@wrong("interval", mistake="gives the new ends", says="nothing is taken off")
def zoom(low, high):
    offset = solutions.language_model.zoom(low, high)
    return None if offset is None else (2 * (low - offset), 2 * (high - offset) + 1)


@wrong("interval", mistake="takes HALF off the middle", says="take off QUARTER")
def zoom(low, high):
    offset = solutions.language_model.zoom(low, high)
    return HALF if offset == QUARTER else offset


@wrong(
    "interval", mistake="does not look whether an interval leaves the whole", says="reaches above the largest number"
)
def zoom(low, high):
    if low > high or low < 0:
        raise ValueError("an empty interval")
    return solutions.language_model.zoom(low, min(high, 2 * HALF - 1))


@wrong("interval", mistake="refuses a single number", says="a single number is an interval too")
def zoom(low, high):
    if low == high:
        raise ValueError("an empty interval")
    return solutions.language_model.zoom(low, high)


@wrong("interval", mistake="counts the first number above the middle to it", says="reaches above the middle quarters")
def zoom(low, high):
    offset = solutions.language_model.zoom(low, high)
    return QUARTER if offset is None and low >= QUARTER and high <= HALF + QUARTER else offset


# ---------------------------------------------------------------------------------------------------------- encoder


def narrowed(encoder, frequencies, symbol):
    """The first half of encoding a symbol, up to the bits."""
    if not 0 <= symbol < len(frequencies) or frequencies[symbol] < 1:
        raise ValueError("this symbol cannot be coded")
    start, total = sum(frequencies[:symbol]), sum(frequencies)
    size = encoder.high - encoder.low + 1
    high = encoder.low + size * (start + frequencies[symbol]) // total - 1
    encoder.low, encoder.high = encoder.low + size * start // total, high


@wrong(
    "encoder",
    mistake="forgets the open bits",
    says="three bits are open, and none is written when the next one is settled",
    never=["and one is written"],
)
class Encoder(solutions.language_model.Encoder):
    def emit(self, bit):
        self.bits.append(bit)


@wrong(
    "encoder", mistake="never closes the open bits", says="open bits are written again at each later bit: after they"
)
class Encoder(solutions.language_model.Encoder):
    def emit(self, bit):
        self.bits += [bit] + [1 - bit] * self.pending


@wrong(
    "encoder",
    mistake="repeats the settled bit for the open ones",
    says="the open bits are the wrong ones",
)
class Encoder(solutions.language_model.Encoder):
    def emit(self, bit):
        self.bits += [bit] * (1 + self.pending)
        self.pending = 0


@wrong(
    "encoder",
    mistake="writes the open bits before the settled one",
    says="the settled bit comes before the open ones, and yours comes",
)
class Encoder(solutions.language_model.Encoder):
    def emit(self, bit):
        self.bits += [1 - bit] * self.pending + [bit]
        self.pending = 0


@wrong(
    "encoder",
    mistake="settles one bit a symbol at most",
    says="a quarter settles two bits, and you settle one: go on as",
    never=["yours settles none"],
)
class Encoder(solutions.language_model.Encoder):
    def encode(self, frequencies, symbol):
        narrowed(self, frequencies, symbol)
        offset = solutions.language_model.zoom(self.low, self.high)
        if offset is None:
            return
        self.low, self.high = 2 * (self.low - offset), 2 * (self.high - offset) + 1
        if offset == QUARTER:
            self.pending += 1
        else:
            self.emit(offset // HALF)


@wrong(
    "encoder",
    mistake="doubles the upper end without the 1",
    says="not the one that exact arithmetic gives",
    never=["you settle one"],
)
class Encoder(solutions.language_model.Encoder):
    def encode(self, frequencies, symbol):
        narrowed(self, frequencies, symbol)
        while (offset := solutions.language_model.zoom(self.low, self.high)) is not None:
            self.low, self.high = 2 * (self.low - offset), 2 * (self.high - offset)
            if offset == QUARTER:
                self.pending += 1
            else:
                self.emit(offset // HALF)


@wrong(
    "encoder",
    mistake="gives up on an interval around the middle",
    says="an interval around the middle is doubled too: take off",
)
class Encoder(solutions.language_model.Encoder):
    def encode(self, frequencies, symbol):
        narrowed(self, frequencies, symbol)
        while self.high < HALF or self.low >= HALF:
            offset = HALF if self.low >= HALF else 0
            self.emit(offset // HALF)
            self.low, self.high = 2 * (self.low - offset), 2 * (self.high - offset) + 1


@wrong("encoder", mistake="writes no last bits", says="finish should write two bits more than those that were")
class Encoder(solutions.language_model.Encoder):
    def finish(self):
        filled = self.bits + [0] * (-len(self.bits) % 8)
        return bytes(int("".join(map(str, filled[i : i + 8])), 2) for i in range(0, len(filled), 8))


@wrong(
    "encoder",
    mistake="writes all 32 bits of the lower end",
    says="two bits end the code, and these are all 32 bits of an end",
    never=["settles"],
)
class Encoder(solutions.language_model.Encoder):
    def finish(self):
        for place in range(31, -1, -1):
            self.emit(self.low >> place & 1)
        filled = self.bits + [0] * (-len(self.bits) % 8)
        return bytes(int("".join(map(str, filled[i : i + 8])), 2) for i in range(0, len(filled), 8))


@wrong(
    "encoder",
    mistake="puts the first bit lowest",
    says="the first bit of a byte is its highest, and you begin with",
    never=["settles"],
)
class Encoder(solutions.language_model.Encoder):
    def finish(self):
        data = solutions.language_model.Encoder.finish(self)
        return bytes(int(f"{byte:08b}"[::-1], 2) for byte in data)


@wrong("encoder", mistake="encodes the impossible", says="cannot be coded: that should raise a ValueError")
class Encoder(solutions.language_model.Encoder):
    def encode(self, frequencies, symbol):
        if 0 <= symbol < len(frequencies) and frequencies[symbol] > 0:
            solutions.language_model.Encoder.encode(self, frequencies, symbol)


@wrong("encoder", mistake="leaves it to zoom to refuse frequency 0", says="check the symbol before you narrow")
class Encoder(solutions.language_model.Encoder):
    def encode(self, frequencies, symbol):
        if not 0 <= symbol < len(frequencies):
            raise ValueError(f"there is no symbol {symbol}")
        if frequencies[symbol]:
            return solutions.language_model.Encoder.encode(self, frequencies, symbol)
        start = sum(frequencies[:symbol])
        self.low, self.high = solutions.language_model.narrow(self.low, self.high, start, start, sum(frequencies))
        solutions.language_model.zoom(self.low, self.high)


@wrong("encoder", mistake="settles no bits", says="yours settles none")
class Encoder(solutions.language_model.Encoder):
    def encode(self, frequencies, symbol):
        narrowed(self, frequencies, symbol)


@wrong("encoder", mistake="swaps 0 and 1", says="settles a 0, and you have a 1")
class Encoder(solutions.language_model.Encoder):
    def encode(self, frequencies, symbol):
        narrowed(self, frequencies, symbol)
        while (offset := solutions.language_model.zoom(self.low, self.high)) is not None:
            self.low, self.high = 2 * (self.low - offset), 2 * (self.high - offset) + 1
            if offset == QUARTER:
                self.pending += 1
            else:
                self.emit(1 - offset // HALF)


@wrong("encoder", mistake="remembers only whether a bit is open", says="count the steps around the middle")
class Encoder(solutions.language_model.Encoder):
    def emit(self, bit):
        self.bits += [bit] + [1 - bit] * min(1, self.pending)
        self.pending = 0


@wrong("encoder", mistake="ends the code without the open bits", says="a bit is open at finish")
class Encoder(solutions.language_model.Encoder):
    def finish(self):
        self.pending = 0
        return solutions.language_model.Encoder.finish(self)


@wrong("encoder", mistake="ends every code with 01", says="begins with the second quarter")
class Encoder(solutions.language_model.Encoder):
    def finish(self):
        self.low = 0
        return solutions.language_model.Encoder.finish(self)


@wrong("encoder", mistake="ends every code with 10", says="you have 10")
class Encoder(solutions.language_model.Encoder):
    def finish(self):
        self.low = HALF
        return solutions.language_model.Encoder.finish(self)


@wrong("encoder", mistake="fills up a whole byte", says="no zeros are needed")
class Encoder(solutions.language_model.Encoder):
    def finish(self):
        self.emit(bit := int(self.low >= QUARTER))
        self.emit(1 - bit)
        filled = self.bits + [0] * (8 - len(self.bits) % 8)
        return bytes(int("".join(map(str, filled[i : i + 8])), 2) for i in range(0, len(filled), 8))


@wrong("encoder", mistake="fills up in front", says="yours come before it")
class Encoder(solutions.language_model.Encoder):
    def finish(self):
        self.emit(bit := int(self.low >= QUARTER))
        self.emit(1 - bit)
        return int("".join(map(str, self.bits)), 2).to_bytes(-(-len(self.bits) // 8), "big")


@wrong("encoder", mistake="gives the bits as text", says="finish should give bytes")
class Encoder(solutions.language_model.Encoder):
    def finish(self):
        return "".join(f"{byte:08b}" for byte in solutions.language_model.Encoder.finish(self))


@wrong("encoder", mistake="narrows before it refuses", says="check the symbol before you narrow")
class Encoder(solutions.language_model.Encoder):
    def encode(self, frequencies, symbol):
        if 0 <= symbol < len(frequencies) and frequencies[symbol] == 0:
            self.high = self.low + (self.high - self.low) // 2
        solutions.language_model.Encoder.encode(self, frequencies, symbol)


@wrong("encoder", mistake="counts a symbol of -1 from the end", says="there is no symbol -1")
class Encoder(solutions.language_model.Encoder):
    def encode(self, frequencies, symbol):
        solutions.language_model.Encoder.encode(self, frequencies, symbol % len(frequencies) if symbol < 0 else symbol)


@wrong(
    "encoder",
    mistake="takes all frequencies to add up to the same total",
    says="symbol 0 of [2, 1, 1] is the lower half, bit 0; then 01",
)
class Encoder(solutions.language_model.Encoder):
    def encode(self, frequencies, symbol):
        solutions.language_model.Encoder.encode(self, [*frequencies, TOTAL - sum(frequencies)], symbol)


# ---------------------------------------------------------------------------------------------------------- decoder


def decoder_step(decoder, symbol, ends, frequencies, moves_code=True, once=False):
    """Narrow and zoom as the encoder did for this symbol."""
    size, total = decoder.high - decoder.low + 1, ends[-1]
    start = ends[symbol] - frequencies[symbol]
    decoder.low, decoder.high = decoder.low + size * start // total, decoder.low + size * ends[symbol] // total - 1
    while (offset := solutions.language_model.zoom(decoder.low, decoder.high)) is not None:
        decoder.low, decoder.high = 2 * (decoder.low - offset), 2 * (decoder.high - offset) + 1
        decoder.code = 2 * (decoder.code - (offset if moves_code else 0)) + decoder.next_bit()
        if once:
            break


@wrong("decoder", mistake="never stretches the interval", says="from the 33rd bit on it goes wrong: the interval only")
class Decoder(solutions.language_model.Decoder):
    def decode(self, frequencies):
        ends = list(accumulate(frequencies))
        size = self.high - self.low + 1
        symbol = bisect_right(ends, ((self.code - self.low + 1) * ends[-1] - 1) // size)
        start = ends[symbol] - frequencies[symbol]
        self.low, self.high = self.low + size * start // ends[-1], self.low + size * ends[symbol] // ends[-1] - 1
        return symbol


@wrong("decoder", mistake="takes nothing off the code", says="the code should move as both ends do: what zoom says is")
class Decoder(solutions.language_model.Decoder):
    def decode(self, frequencies):
        ends = list(accumulate(frequencies))
        place = ((self.code - self.low + 1) * ends[-1] - 1) // (self.high - self.low + 1)
        symbol = min(bisect_right(ends, place), len(ends) - 1)
        decoder_step(self, symbol, ends, frequencies, moves_code=False)
        return symbol


@wrong(
    "decoder", mistake="looks for a code that left the interval", says="is what zoom says taken off `code`, too, before"
)
class Decoder(solutions.language_model.Decoder):
    def decode(self, frequencies):
        ends = list(accumulate(frequencies))
        place = ((self.code - self.low + 1) * ends[-1] - 1) // (self.high - self.low + 1)
        symbol = bisect_right(ends, place)
        decoder_step(self, symbol, ends, frequencies, moves_code=False)
        return symbol


@wrong("decoder", mistake="never moves the code", says="the code should move as both ends do")
class Decoder(solutions.language_model.Decoder):
    def decode(self, frequencies):
        code = self.code
        symbol = solutions.language_model.Decoder.decode(self, frequencies)
        self.code = code
        return symbol


@wrong("decoder", mistake="counts one number too few in the interval", says="count both ends")
class Decoder(solutions.language_model.Decoder):
    def decode(self, frequencies):
        ends = list(accumulate(frequencies))
        symbol = bisect_right(ends, ((self.code - self.low + 1) * ends[-1] - 1) // (self.high - self.low))
        decoder_step(self, symbol, ends, frequencies)
        return symbol


@wrong(
    "decoder",
    mistake="doubles once a symbol at most",
    says="each of sixteen equal symbols takes four bits: double as",
    never=["only shrinks"],
)
class Decoder(solutions.language_model.Decoder):
    def decode(self, frequencies):
        ends = list(accumulate(frequencies))
        place = ((self.code - self.low + 1) * ends[-1] - 1) // (self.high - self.low + 1)
        symbol = min(bisect_right(ends, place), len(ends) - 1)
        decoder_step(self, symbol, ends, frequencies, once=True)
        return symbol


@wrong("decoder", mistake="finds the frequency by plain proportion", says="at the very beginning of a part")
class Decoder(solutions.language_model.Decoder):
    def decode(self, frequencies):
        ends = list(accumulate(frequencies))
        place = (self.code - self.low) * ends[-1] // (self.high - self.low + 1)
        symbol = min(bisect_right(ends, place), len(ends) - 1)
        decoder_step(self, symbol, ends, frequencies)
        return symbol


@wrong(
    "decoder",
    mistake="takes the frequency at the end of a part for its own",
    says="every symbol comes out one too high",
    never=["do interval and code"],
)
class Decoder(solutions.language_model.Decoder):
    def decode(self, frequencies):
        ends = list(accumulate(frequencies))
        place = ((self.code - self.low + 1) * ends[-1] - 1) // (self.high - self.low + 1)
        symbol = min(bisect_right(ends, place), len(ends) - 1)
        decoder_step(self, symbol, ends, frequencies)
        return symbol + 1


@wrong("decoder", mistake="gives symbols of frequency 0", says="symbols of frequency 0 have no part")
class Decoder(solutions.language_model.Decoder):
    def decode(self, frequencies):
        ends = list(accumulate(frequencies))
        place = ((self.code - self.low + 1) * ends[-1] - 1) // (self.high - self.low + 1)
        starts = [end - f for end, f in zip(ends, frequencies, strict=True)]
        true = next(s for s, end in enumerate(ends) if place < end)
        decoder_step(self, true, ends, frequencies)
        return starts.index(starts[true])


@wrong(
    "decoder",
    mistake="reads no bits after the first 32",
    says="from the 33rd bit on zeros are read: each time the code is",
)
class Decoder(solutions.language_model.Decoder):
    def next_bit(self):
        bit = solutions.language_model.Decoder.next_bit(self)
        return bit if self.position <= 32 else 0


@wrong(
    "decoder",
    mistake="gives the frequency that belongs to the code",
    says="these are the frequencies that the code falls on: the",
)
class Decoder(solutions.language_model.Decoder):
    def decode(self, frequencies):
        total = sum(frequencies)
        place = ((self.code - self.low + 1) * total - 1) // (self.high - self.low + 1)
        solutions.language_model.Decoder.decode(self, frequencies)
        return place


@wrong("decoder", mistake="finds the symbol in floats", says="frequencies in the millions")
class Decoder(solutions.language_model.Decoder):
    def decode(self, frequencies):
        ends = list(accumulate(frequencies))
        place = math.ceil((self.code - self.low + 1) / (self.high - self.low + 1) * ends[-1]) - 1
        symbol = min(bisect_right(ends, place), len(ends) - 1)
        decoder_step(self, symbol, ends, frequencies)
        return symbol


@wrong("decoder", mistake="does not know the middle", says="forty steps around the middle: the middle is doubled, too")
class Decoder(solutions.language_model.Decoder):
    def decode(self, frequencies):
        ends = list(accumulate(frequencies))
        size = self.high - self.low + 1
        symbol = min(bisect_right(ends, ((self.code - self.low + 1) * ends[-1] - 1) // size), len(ends) - 1)
        start = ends[symbol] - frequencies[symbol]
        self.low, self.high = self.low + size * start // ends[-1], self.low + size * ends[symbol] // ends[-1] - 1
        while self.high < HALF or self.low >= HALF:
            offset = HALF if self.low >= HALF else 0
            self.low, self.high = 2 * (self.low - offset), 2 * (self.high - offset) + 1
            self.code = 2 * (self.code - offset) + self.next_bit()
        return symbol


@wrong(
    "decoder",
    mistake="takes the offset off the code after doubling",
    says="the code should move as both ends do: what zoom says is",
)
class Decoder(solutions.language_model.Decoder):
    def decode(self, frequencies):
        ends = list(accumulate(frequencies))
        place = ((self.code - self.low + 1) * ends[-1] - 1) // (self.high - self.low + 1)
        symbol = min(bisect_right(ends, place), len(ends) - 1)
        start = ends[symbol] - frequencies[symbol]
        self.low, self.high = solutions.language_model.narrow(self.low, self.high, start, ends[symbol], ends[-1])
        while (offset := solutions.language_model.zoom(self.low, self.high)) is not None:
            self.low, self.high = 2 * (self.low - offset), 2 * (self.high - offset) + 1
            self.code = 2 * self.code - offset + self.next_bit()
        return symbol


# --------------------------------------------------------------------------------------------------------- compress


@wrong(
    "compress",
    mistake="shows the model the symbol itself",
    says="the model is shown the symbol that it should predict, and",
)
def compress(model, symbols):
    encoder = solutions.language_model.Encoder()
    for i, symbol in enumerate(symbols):
        encoder.encode(model.frequencies(symbols[: i + 1]), symbol)
    return len(symbols).to_bytes(4, "big") + encoder.finish()


@wrong(
    "compress",
    mistake="asks the model once",
    says="the model is never shown the symbols before: its",
    never=["last symbol only"],
)
def compress(model, symbols):
    encoder, frequencies = solutions.language_model.Encoder(), model.frequencies([])
    for symbol in symbols:
        encoder.encode(frequencies, symbol)
    return len(symbols).to_bytes(4, "big") + encoder.finish()


@wrong(
    "compress",
    mistake="writes no number of symbols",
    says="the number of symbols is missing: your file begins with the",
)
def compress(model, symbols):
    return solutions.language_model.compress(model, symbols)[4:]


@wrong(
    "compress", mistake="puts the lowest byte first", says="the number of symbols has its highest byte first, and yours"
)
def compress(model, symbols):
    data = solutions.language_model.compress(model, symbols)
    return data[3::-1] + data[4:]


@wrong(
    "compress",
    mistake="starts a new encoder for each symbol",
    says="every symbol has a code of its own: one encoder should take",
    never=["is shown"],
)
def compress(model, symbols):
    data = len(symbols).to_bytes(4, "big")
    for i, symbol in enumerate(symbols):
        encoder = solutions.language_model.Encoder()
        encoder.encode(model.frequencies(symbols[:i]), symbol)
        data += encoder.finish()
    return data


@wrong(
    "compress", mistake="shows the model the symbols in reverse", says="in reverse order", never=["last symbol only"]
)
def compress(model, symbols):
    encoder = solutions.language_model.Encoder()
    for i, symbol in enumerate(symbols):
        encoder.encode(model.frequencies(symbols[:i][::-1]), symbol)
    return len(symbols).to_bytes(4, "big") + encoder.finish()


@wrong(
    "compress", mistake="shows the model what it decoded in reverse", says="all symbols decoded so far, in their order"
)
def decompress(model, data):
    if len(data) < 4:
        raise ValueError("too short")
    decoder, symbols = solutions.language_model.Decoder(data[4:]), []
    for _ in range(int.from_bytes(data[:4], "big")):
        symbols.append(decoder.decode(model.frequencies(symbols[::-1])))
    return symbols


@wrong("compress", mistake="reads a single byte of the number", says="you read too few of them")
def decompress(model, data):
    if len(data) < 4:
        raise ValueError("too short")
    return solutions.language_model.decompress(model, bytes([0, 0, 0, data[3]]) + data[4:])


@wrong("compress", mistake="reads the lowest byte first", says="and you take the first for the lowest")
def decompress(model, data):
    if len(data) < 4:
        raise ValueError("too short")
    if data[3]:  # over 16 million symbols: the tests of a bank should end
        raise OverflowError("the file is too long")
    return solutions.language_model.decompress(model, data[3::-1] + data[4:])


@wrong("compress", mistake="takes the numbers for bytes", says="symbols need not be bytes")
def compress(model, symbols):
    return solutions.language_model.compress(model, bytes(symbol % 256 for symbol in symbols))


@wrong("compress", mistake="asks the oracle", says="asks you to write what that call does")
def compress(model, symbols):
    import zlib

    return len(symbols).to_bytes(4, "big") + zlib.compress(bytes(symbols))


@wrong("compress", mistake="decodes one symbol too few", says="the last symbol is missing")
def decompress(model, data):
    return solutions.language_model.decompress(model, data)[:-1]


@wrong(
    "compress", mistake="forgets what it has decoded", says="the first symbol comes back, later ones do not: show the"
)
def decompress(model, data):
    if len(data) < 4:
        raise ValueError("too short")
    decoder = solutions.language_model.Decoder(data[4:])
    return [decoder.decode(model.frequencies([])) for _ in range(int.from_bytes(data[:4], "big"))]


@wrong("compress", mistake="reads files that are too short", says="fewer than four bytes")
def decompress(model, data):
    return solutions.language_model.decompress(model, data) if len(data) >= 4 else []


@wrong("compress", mistake="shows the model the last symbol only", says="the last symbol only")
def compress(model, symbols):
    encoder = solutions.language_model.Encoder()
    for i, symbol in enumerate(symbols):
        encoder.encode(model.frequencies(symbols[max(0, i - 1) : i]), symbol)
    return len(symbols).to_bytes(4, "big") + encoder.finish()


@wrong("compress", mistake="counts to 255", says="300 symbols are 1 times 256 and 44")
def compress(model, symbols):
    return bytes([0, 0, 0, len(symbols)]) + solutions.language_model.compress(model, symbols)[4:]


@wrong("compress", mistake="gives a list of numbers", says="the compressed text should be bytes")
def compress(model, symbols):
    return list(solutions.language_model.compress(model, symbols))


@wrong("compress", mistake="skips what cannot be coded", says="symbol 3 has no frequency")
def compress(model, symbols):
    encoder = solutions.language_model.Encoder()
    for i, symbol in enumerate(symbols):
        if symbol < len(frequencies := model.frequencies([s for s in symbols[:i] if s < model.vocab_size])):
            encoder.encode(frequencies, symbol)
    return len(symbols).to_bytes(4, "big") + encoder.finish()


@wrong(
    "compress",
    mistake="gives a file for nothing no code",
    says="a compressed file differs from the exact one: number of",
)
def compress(model, symbols):
    return solutions.language_model.compress(model, symbols) if len(symbols) else bytes(4)


@wrong("compress", mistake="puts each symbol it decodes in front", says="the wrong order")
def decompress(model, data):
    return solutions.language_model.decompress(model, data)[::-1]


@wrong("compress", mistake="decodes into a string", says="decompress should give a list")
def decompress(model, data):
    return "".join(map(chr, solutions.language_model.decompress(model, data)))
