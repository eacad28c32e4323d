# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {name: python3, display_name: Python 3, language: python}
#   course: {title: "From Markov chains to compression", points: 50, seconds: 120}
# ---

# %% [markdown]
# A language model says how likely each next symbol is. In the first half you build the oldest kind, a Markov chain that
# counts, and the measures by which all kinds are compared: cross-entropy, perplexity, bits per byte. In the second half
# you turn those numbers into files. Your arithmetic coder takes any model's predictions and writes a text in as many bits
# as the model was surprised by it; at the end it meets gzip, bz2, xz and zstd.
#
# Here the symbols of a text are its bytes, unless it says otherwise: `b"ab"` is a text of two symbols, 97 and 98.

# %% given="setup"
import math
import random
import re
from fractions import Fraction
from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F

from labkit import corpus
from labkit.blanks import unless_blank
from labkit.testing import checks, probes
from labkit.testing.checks import called, check_equal, check_refused, token_ids
from labkit.testing.answers import fresh_seed
from labkit.predictions import compare_prediction
from solutions.language_model import HALF, QUARTER, TOTAL, WHOLE, Followers, Model, Recent


# %% given="helpers"
check_tensor = partial(checks.check_tensor, tolerance=1e-5)


def check_figure(found, want, hint, mistakes=checks.NONE):
    """Assert that one number, which may be a tensor without axes, is what is wanted."""
    if isinstance(found, torch.Tensor) and found.ndim == 0:
        found = found.item()
    assert isinstance(found, int | float), f"one number is wanted, but the result is {called(found)}"
    known = {words: torch.tensor(value).double() for words, value in mistakes.items()}
    bar = 1e-5 * max(1, abs(want))  # float32 has seven digits, however large the figure
    check_tensor(torch.tensor(found).double(), torch.tensor(want).double(), hint, tolerance=bar, mistakes=known)


def made_up(seed, length, alphabet=b"ab\n"):
    """A text of random bytes out of a few, the same for the same seed."""
    return bytes(random.Random(seed).choices(alphabet, k=length))


def distributions(seed, steps, size, sharpness=2.0):
    """Random probability rows in float64, the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    return (sharpness * torch.randn(steps, size, generator=generator, dtype=torch.float64)).softmax(-1)


def spoilt(seed):
    """Rows that are no distributions, each made from one, and why: `(why, row)`."""
    p = distributions(seed, 1, 5)[0]
    yield "its sum is far above 1", 1.2 * p
    yield "its sum is far below 1", 0.6 * p
    yield "its sum is further above 1 than 1e-4", (1 + 1.5e-4) * p
    yield "its sum is further below 1 than 1e-4", (1 - 1.5e-4) * p
    yield "an entry is negative, though the sum is 1", torch.cat([p, torch.tensor([0.1, -0.1], dtype=p.dtype)])
    yield "an entry is not a number", torch.cat([p, torch.tensor([math.nan], dtype=p.dtype)])


def occurrences(text, piece):
    """How often a piece occurs in a text, overlapping places included, as a regular expression finds it."""
    return len(re.findall(b"(?=" + re.escape(piece) + b")", text, re.DOTALL))


# %% [markdown]
# ## Counting
#
# What follows what? That is all a Markov chain knows. Contexts of every length are counted at once: the long ones know
# more, the short ones have seen more.
#
# <details><summary>Hint</summary>
#
# Go through the places of the text. Which contexts stand before place i, and which are the shortest and the longest?
# Mind the start of the text: a slice that begins at a negative number begins at the other end.
#
# </details>
#
# <details><summary>Another hint</summary>
#
# A slice of bytes is bytes again, and can be the key of a dictionary; a single place, as in `text[i]`, is a number.
#
# </details>

# %% exercise="count-followers" difficulty=2 importance=4 minutes=20
from solutions.language_model import count_followers


# %% test="count-followers" points=2
def counted(text, n):
    """What `count_followers` finds, as plain dictionaries."""
    found = count_followers(text, n)
    assert isinstance(found, dict), f"the result should be a dictionary, but it is {called(found)}"
    return {context: dict(known) if isinstance(known, dict) else known for context, known in found.items()}


def test_count_followers_by_hand():
    longest = {b"aa": {98: 1}, b"ab": {97: 1}, b"ba": {98: 1}}
    want = {b"": {97: 3, 98: 2}, b"a": {97: 1, 98: 2}, b"b": {97: 1}} | longest
    check_equal(
        counted(b"aabab", 3),
        want,
        "n = 3 means contexts of 0, 1 and 2 bytes, and for each of them the bytes that follow it, with their counts",
        mistakes={
            "only the longest contexts are counted, and the shorter ones are wanted too, down to the empty one": longest,
            "the empty context is missing: it stands before every byte, also before the first": {
                context: known for context, known in want.items() if context
            },
            "contexts of n bytes are counted too, but n counts the byte itself: the longest context has n - 1": want
            | {b"aab": {97: 1}, b"aba": {98: 1}},
            "the first n - 1 bytes are never counted: shorter contexts stand before them, if only the empty one": want
            | {b"": {97: 1, 98: 2}, b"a": {98: 2}},
            "the last byte of the text is never counted": {
                b"": {97: 3, 98: 1},
                b"a": {97: 1, 98: 1},
                b"b": {97: 1},
                b"aa": {98: 1},
                b"ab": {97: 1},
            },
            "the empty context is counted too often: a slice with a negative start begins at the text's other end": want
            | {b"": {97: 6, 98: 2}},
            "these are the bytes before each context, and those after it are wanted": {
                b"": {97: 3, 98: 2},
                b"a": {97: 1, 98: 1},
                b"b": {97: 2},
                b"ab": {97: 1, 98: 1},
                b"ba": {97: 1},
            },
            "each byte that follows counts once, and should count as often as it follows": {
                context: dict.fromkeys(known, 1) for context, known in want.items()
            },
            "the followers should be numbers, as `text[i]` gives them, and yours are pieces of text": {
                context: {bytes([byte]): count for byte, count in known.items()} for context, known in want.items()
            },
            "whole counts are wanted, and these are shares": {
                context: {byte: count / sum(known.values()) for byte, count in known.items()}
                for context, known in want.items()
            },
            "this counts whole pieces: a dictionary of the bytes that follow is wanted for each context": {
                context + bytes([byte]): count for context, known in want.items() for byte, count in known.items()
            },
        },
    )
    check_equal(
        counted(b"ab", 2),
        {b"": {97: 1, 98: 1}, b"a": {98: 1}},
        "n = 2 on ab: contexts of 0 and of 1 byte",
        mistakes={
            "nothing follows the b at the end of ab, so b should be left out": {
                b"": {97: 1, 98: 1},
                b"a": {98: 1},
                b"b": {},
            },
        },
    )


def test_count_followers_overlapping():
    check_equal(
        counted(b"aaaa", 3),
        {b"": {97: 4}, b"a": {97: 3}, b"aa": {97: 2}},
        "n = 3 on aaaa: contexts of 0, 1 and 2 bytes, each at every place",
        mistakes={
            "places that overlap all count, and yours do not": {b"": {97: 4}, b"a": {97: 2}, b"aa": {97: 1}},
        },
    )


def check_little():
    """Assert what is found in short texts, and that an n below 1 is refused."""
    hint = "n = 1 means the empty context alone: how often each byte occurs"
    check_equal(counted(b"aba", 1), {b"": {97: 2, 98: 1}}, hint)
    hint = "a text shorter than n has fewer contexts, and an empty text has none: no error"
    try:
        short, empty = counted(b"ab", 5), counted(b"", 3)
    except (IndexError, KeyError, ValueError) as error:
        raise AssertionError(hint) from error
    check_equal(short, {b"": {97: 1, 98: 1}, b"a": {98: 1}}, hint)
    check_equal(empty, {}, "nothing follows anything in an empty text, so the result should be empty")
    for n in (0, -1):
        check_refused("n counts the byte itself, so it is at least 1", count_followers, b"ab", n)


def test_count_followers_of_little():
    check_little()


def check_every_place(seed, length):
    """Assert that all places of a made-up text are counted, as a regular expression finds them."""
    text = made_up(seed, length, b"ab\n\xff")
    contexts = {text[i:j] for i in range(len(text)) for j in range(i, min(i + 4, len(text)))}
    want = {c: {b: occurrences(text, c + bytes([b])) for b in set(text)} for c in contexts}
    want = {c: {b: count for b, count in found.items() if count} for c, found in want.items()}
    hint = "made-up bytes: every place of every context counts, and nothing that does not occur is in the result"
    check_equal(counted(text, 4), {c: found for c, found in want.items() if found}, hint)


def test_count_followers_in_any_bytes():
    check_every_place(0, length=30)


# %% test="count-followers-any" of="count-followers" points=2
def test_count_followers_any_text_hidden():
    check_every_place(fresh_seed(), length=90)


def test_count_followers_of_little_hidden():
    check_little()


# %% [markdown]
# ## Writing like Shannon
#
# In 1948 Claude Shannon let such counts write. He opened a book at random, noted a letter, read on elsewhere until he met
# that letter, noted what came after it, and so on. You have the counts, so you can draw.

# %% exercise="sample-chain" difficulty=2 importance=3 minutes=20
from solutions.language_model import sample_chain

# %% test="sample-chain" points=2
CYCLE = {b"": {97: 1}, b"a": {98: 5}, b"b": {99: 2}, b"c": {97: 4}}
FORK = {b"": {97: 1}, b"a": {98: 1}, b"b": {100: 1}, b"ab": {99: 1}, b"c": {97: 1}, b"d": {97: 1}}


def test_sample_chain_by_hand():
    texts = {n: sample_chain(FORK, n, 3, 0) for n in (1, 2, 3)}
    for text in texts.values():
        assert isinstance(text, bytes), f"the result should be bytes, but it is {called(text)}"
        assert len(text) == 3, f"3 bytes were asked for, and {len(text)} came"
    check_equal(
        texts,
        {1: b"aaa", 2: b"abd", 3: b"abc"},
        "a comes first; for n = 1 no earlier byte counts; for n = 2 b follows a, and d follows b; for n = 3 c follows ab",
        mistakes={
            "no earlier byte counts, whatever n is: the last n - 1 bytes should decide": dict.fromkeys(
                (1, 2, 3), b"aaa"
            ),
            "all earlier bytes count, whatever n is: only the last n - 1 bytes should": dict.fromkeys(
                (1, 2, 3), b"abc"
            ),
            "for n = 1 no earlier byte counts, and you look at all of them: a slice from -0 on is the whole text": {
                1: b"abc",
                2: b"abd",
                3: b"abc",
            },
            "n bytes before count, one too many: n counts the byte that is drawn, too": {
                1: b"abd",
                2: b"abc",
                3: b"abc",
            },
            "n - 2 bytes before count, one too few: n counts the byte that is drawn, and no other": {
                1: b"aaa",
                2: b"aaa",
                3: b"abd",
            },
            "the first n - 1 bytes of the text always decide, and the last n - 1 should": {
                1: b"aaa",
                2: b"abb",
                3: b"abc",
            },
            "for n = 3 two earlier bytes count, and you look at the last one": {1: b"aaa", 2: b"abd", 3: b"abd"},
        },
    )
    hint = "for n = 4 and a text of two bytes as yet, both of them count: c follows ab"
    check_equal(sample_chain(FORK, 4, 3, 0), b"abc", hint)


def test_sample_chain_draws():
    known = {b"": {97: 1, 98: 1, 99: 1}}
    texts = [sample_chain(known, 1, 30, seed) for seed in (1, 1, 2, 3)]
    assert texts[0] == texts[1], "the same seed gave two different texts: draw from a generator with this seed"
    if all(len(set(text)) == 1 for text in texts):
        assert len(set(texts)) > 1, "whatever the seed, the same byte comes every time: nothing is drawn at random"
        raise AssertionError("one byte is repeated through each text: is the generator made anew for each byte?")
    assert len(set(texts[1:])) > 1, "all seeds give the same text: the generator should begin from `seed`"


def check_shares(seed):
    """Assert that bytes are drawn as often as they followed."""
    known = {b"": {97: 1, 98: 1}, b"a": {97: 9, 98: 1}, b"b": {97: 3, 98: 2}}
    text = sample_chain(known, 2, 6000, seed)
    found = [occurrences(text, context + b"a") / max(1, occurrences(text[:-1], context)) for context in (b"a", b"b")]
    # A right answer is further off than 0.07 for fewer than one submission in a million.
    assert max(abs(share - 0.5) for share in found) > 0.07, (
        "every follower is drawn equally often, and should be drawn as often as it was counted"
    )
    for context, share, want in zip((b"a", b"b"), found, (0.9, 0.6), strict=True):
        assert abs(share - want) < 0.07, (
            f"bytes are not drawn as often as they followed the byte before: after {context} came a in {share:.0%} "
            f"of the cases, and it followed in {want:.0%}"
        )


def test_sample_chain_draws_by_the_counts():
    check_shares(3)


def check_hand_over(seed):
    """Assert that shorter contexts decide where longer ones have no followers."""
    hint = "where the last n - 1 bytes have no followers, the longest suffix of them that has some decides"
    try:
        text = sample_chain(CYCLE, 4, 8, seed)
    except KeyError as error:
        raise AssertionError(f"a context was not found: {hint}") from error
    check_equal(
        text,
        b"abcabcab",
        hint,
        mistakes={
            "a context without followers hands over to the empty one at once: try its longer suffixes first": b"abaaaaaa",
            "a context without followers loses its last byte, and should lose its first": b"abbbccca",
        },
    )
    both = CYCLE | {b"bc": {100: 1}, b"d": {97: 1}}
    hint = "the longest context that has followers decides, not a shorter one"
    check_equal(sample_chain(both, 3, 6, seed), b"abcdab", hint)


def check_nothing_drawn(seed):
    """Assert what comes where nothing is asked for, or nothing is known."""
    check_equal(sample_chain(CYCLE, 2, 0, seed), b"", "no bytes were asked for")
    # With a length of 0 a loop that looks for a context of no followers is not reached yet, and does not hang.
    hint = "`followers` is empty, so there is nothing to draw from: check that before anything else"
    check_refused(hint, sample_chain, {}, 2, 0, seed)
    check_refused(hint, sample_chain, {}, 2, 5, seed)


def test_sample_chain_hands_over_to_shorter_contexts():
    check_hand_over(0)


def test_sample_chain_of_nothing():
    check_nothing_drawn(0)


# %% test="sample-chain-frequencies" of="sample-chain" points=1
def test_sample_chain_frequencies_hidden():
    check_shares(fresh_seed())


def test_sample_chain_hands_over_to_shorter_contexts_hidden():
    for i in range(10):  # whatever is drawn, so that no mistake depends on luck
        check_hand_over(fresh_seed() + i)
    check_nothing_drawn(fresh_seed())


# %% [markdown]
# ## An opinion about everything
#
# Counts alone make most texts impossible: any pair that did not occur gets probability 0. Every good n-gram model is
# therefore a mixture of long contexts and short ones. Witten and Bell's rule is among the simplest. It asks how often the
# context was followed by something *new*: a context with many different followers may well meet another one, so it hands
# more over to the shorter context.
#
# <details><summary>Hint</summary>
#
# Begin with the uniform distribution, and let the contexts correct it, from the empty one to the longest.
#
# </details>

# %% exercise="witten-bell" difficulty=3 importance=4 minutes=35 given_methods="__init__ rows"
from solutions.language_model import NGram


# %% test="witten-bell" points=3
def exact(text, n, context, shorter=lambda context, by: context[by:]):
    """The rule in exact fractions, from the longest context down: what each leaves over, the next one shares out."""
    found, left = [Fraction(0)] * 256, Fraction(1)
    context = context[max(0, len(context) - n + 1) :]
    for by in range(len(context) + 1):
        counts = {b: occurrences(text, shorter(context, by) + bytes([b])) for b in set(text)}
        seen, different = sum(counts.values()), sum(count > 0 for count in counts.values())
        if seen:
            for byte, count in counts.items():
                found[byte] += left * Fraction(count, seen + different)
            left *= Fraction(different, seen + different)
    return torch.tensor([float(p + left / 256) for p in found], dtype=torch.float64)


def test_witten_bell_by_hand():
    p = NGram(b"aab", 1).probabilities(b"")
    check_tensor(
        p[[97, 98, 99]] if isinstance(p, torch.Tensor) and p.shape == (256,) else p,
        torch.tensor([2 + 2 / 256, 1 + 2 / 256, 2 / 256]) / 5,
        "aab has 3 bytes, 2 different: a gets (2 + 2/256) / 5, and a byte that never occurred (0 + 2/256) / 5",
        mistakes={
            "a byte that never occurred gets 0: below the empty context lies the uniform distribution": torch.tensor(
                [2, 1, 0]
            )
            / 3,
            "you divide by c alone, and should divide by c + t: these add up to more than 1": torch.tensor(
                [2 + 2 / 256, 1 + 2 / 256, 2 / 256]
            )
            / 3,
            "t is the number of different followers, 2 for aab, and you have 1": torch.tensor(
                [2 + 1 / 256, 1 + 1 / 256, 1 / 256]
            )
            / 4,
            "t is the number of different followers, 2 for aab, and you take 3, the number of all": torch.tensor(
                [2 + 3 / 256, 1 + 3 / 256, 3 / 256]
            )
            / 6,
            "this adds 1 to every count: the rule adds t times the probability without the first byte": torch.tensor(
                [3, 2, 1]
            )
            / 259,
            "the uniform distribution goes over all 256 bytes, and yours over those that occurred": torch.tensor(
                [3, 2, 0]
            )
            / 5,
        },
    )
    assert p.dtype == torch.float64, f"the probabilities should be in float64, not {p.dtype}"
    # Without context, a has (2 + 2/256) / 5.
    without, uniform = (2 + 2 / 256) / 5, 1 / 256
    check_figure(
        NGram(b"aab", 2).probabilities(b"a")[97],
        (1 + 2 * without) / 4,
        "after a came a and b, once each: a gets (1 + 2 times its probability without context) / 4",
        mistakes={
            "the context does not count: this is the probability of a without context": without,
            "the context hands on to the uniform distribution, and should hand on to the shorter context": (
                1 + 2 * uniform
            )
            / 4,
            "the lengths come in the wrong order: the empty context corrects the longer one": (
                2 + 2 * (1 + 2 * uniform) / 4
            )
            / 5,
            "the two lengths are averaged, and the rule weighs the shorter one by t": ((1 + 2 * uniform) / 4 + without)
            / 2,
        },
    )


def check_fractions(model, text, n, context):
    """Assert that the probabilities after a context are those of the rule in exact fractions."""
    hint = "not the rule in exact fractions: the last n - 1 bytes of the context count, and each of their ends once"
    check_tensor(model.probabilities(context), exact(text, n, context), f"{hint} (n = {n}, after {context})")


def test_witten_bell_takes_the_end_of_the_context():
    text = b"abcabdaab"
    check_tensor(
        NGram(text, 2).probabilities(b"cab"),
        exact(text, 2, b"b"),
        "n = 2 after cab: the last byte, b, decides, and then the empty context",
        mistakes={
            "n = 2 after cab: the last byte, b, should decide, and you take the first, c": exact(text, 2, b"c"),
            "n = 2 after cab: the last byte, b, should decide, and you take the one before it, a": exact(text, 2, b"a"),
            "n = 2 after cab: the last byte, b, should decide, and you have what comes without context": exact(
                text, 2, b""
            ),
        },
    )
    check_tensor(
        NGram(text, 3).probabilities(b"ab"),
        exact(text, 3, b"ab"),
        "n = 3 after ab: ab, then b, then the empty context",
        mistakes={
            "n = 3 after ab: the next context is b, without the first byte, and you leave out the last one": lambda: (
                exact(text, 3, b"ab", lambda context, by: context[: len(context) - by])
            ),
        },
    )
    for n in (2, 3, 4):
        model = NGram(text, n)
        for context in (b"b", b"ab", b"cab", b"abcab"):
            check_fractions(model, text, n, context)


def check_unknown(text, context, known):
    """Assert that a context that never occurred hands over to a shorter one."""
    try:
        found = NGram(text, 3).probabilities(context)
    except KeyError as error:
        raise AssertionError("a context that never had a follower hands over to the shorter one: no error") from error
    check_tensor(
        found,
        exact(text, 3, known),
        "a context that never had a follower says nothing: the shorter one decides alone",
        mistakes={
            "a context that never had a follower hands over to the shorter one, not to the uniform one": lambda: (
                torch.full((256,), 1 / 256)
            ),
            "a context that never had a follower hands over to the shorter one, not to the empty one at once": lambda: (
                exact(text, 1, b"")
            ),
        },
    )


def test_witten_bell_hands_over():
    check_unknown(b"aabab", b"za", b"a")
    check_unknown(b"aabab", b"bb", b"b")
    check_unknown(b"aabab", b"zz", b"")


def check_empty(n, context):
    """Assert that after an empty text every byte is equally likely."""
    try:
        found = NGram(b"", n).probabilities(context)
    except Exception as error:
        raise AssertionError("after an empty text every byte is equally likely: no error") from error
    uniform = torch.full((256,), 1 / 256)
    check_tensor(found, uniform, "after an empty text every byte is equally likely")
    assert found.dtype == torch.float64, "the probabilities should be in float64 after an empty text too"


def test_witten_bell_knows_nothing():
    for n in (1, 3):
        check_empty(n, b"abc")


# %% test="witten-bell-any" of="witten-bell" points=2
def test_witten_bell_in_exact_fractions_hidden():
    text = made_up(fresh_seed(), 60, b"abc\xff")
    for n in (1, 2, 4):
        model = NGram(text, n)
        for context in (b"", b"a", b"ca", text[:3], text[-3:], b"zab", b"aza", b"abz", text[10:20]):
            check_fractions(model, text, n, context)


def test_witten_bell_knows_nothing_hidden():
    check_unknown(made_up(fresh_seed(), 30) + b"ab", b"za", b"a")
    check_empty(1 + fresh_seed() % 5, made_up(fresh_seed(), 3))


# %% [markdown]
# Is a longer memory better? The test below lets three of your chains learn from 60 KB of Python's documentation and
# scores them on pieces of documentation that they have not read.


# %% test="longer-memory" of="witten-bell" points=1
def pieces(text, size, first=0):
    """Thirty pieces of `size` bytes from all over a text."""
    step = len(text) // 30
    return b"".join(text[start + first : start + first + size] for start in range(0, 30 * step, step))


def bits_on(model, text):
    """Mean surprise of a model, in bits a byte."""
    rows = model.rows(text)
    return -rows[torch.arange(len(text)), torch.tensor(list(text))].log2().mean().item()


def test_a_longer_memory_predicts_better():
    learned_from = pieces(corpus.text("train", 600_000).encode(), 2_000)
    unseen = pieces(corpus.text("heldout", 90_000).encode(), 200)
    one, two, three = (bits_on(NGram(learned_from, n), unseen) for n in (1, 2, 3))
    hint = "does the context reach the counts?"
    assert one > two + 0.5, f"one byte of memory should save 0.5 bits a byte, from {one:.2f} to {two:.2f}: {hint}"
    assert two > three + 0.4, f"a second byte should save 0.4 bits more, from {two:.2f} to {three:.2f}: {hint}"


# %% [markdown]
# ## Measuring
#
# One number says how good a model is: how surprised it was, on average, by what came. How surprising is a symbol that had
# probability p? Two demands answer that: an even chance is worth one bit, and surprise adds up where probabilities
# multiply. Two more numbers follow from it. *Perplexity* is the number of equally likely symbols among which a choice would
# be as surprising. It depends on what a symbol is: a model of words has another perplexity than a model of letters, on the
# same text and with the same knowledge. *Bits per byte* do not.
#
# <details><summary>Hint: surprise</summary>
#
# A symbol of probability 1/8 has the chance of three even chances in a row, so it is worth 3 bits. Which function makes 3
# of 1/8, 2 of 1/4, and a sum of a product?
#
# </details>
#
# <details><summary>Hint: perplexity</summary>
#
# One of 8 equally likely symbols has probability 1/8, hence a surprise of 3 bits. Now go the other way: from 3 to 8. The
# mean that counts is that of the surprises.
#
# </details>

# %% exercise="surprise" difficulty=2 importance=5 minutes=25
from solutions.language_model import bits_per_byte, perplexity, surprise


# %% test="surprise" points=1
def test_surprise_in_bits():
    rows, symbols = torch.tensor([[0.5, 0.25, 0.25], [0.125, 0.875, 0.0]]), torch.tensor([1, 0])
    want = torch.tensor([2.0, 3.0])
    check_tensor(
        surprise(rows, symbols),
        want,
        "the symbols had probabilities 1/4 and 1/8, so their surprise is 2 and 3 bits",
        mistakes={
            "this is in nats, and bits are wanted: the logarithm to base 2": want * math.log(2),
            "one number a symbol is wanted, and you have their mean": want.mean(),
            "one number a symbol is wanted, and you have their sum": want.sum(),
            "the sign is wrong: what has probability 1/4 has a surprise of 2 bits, above 0": -want,
            "these are the probabilities of the symbols: their logarithm is missing": torch.tensor([0.25, 0.125]),
            "this is the entropy of each row, and only the symbol that came counts": torch.tensor([1.5, 0.543564]),
            "this is what the likeliest symbol costs, and the one that came counts": torch.tensor([1.0, 0.192645]),
            "rows and symbols are swapped: row i says what was expected of symbol i": torch.tensor([3.0, 2.0]),
            "the rows hold probabilities already, and a softmax is taken of them": lambda: (
                F.cross_entropy(rows, symbols, reduction="none") / math.log(2)
            ),
        },
    )


def test_surprise_of_the_impossible():
    rows = torch.tensor([[0.5, 0.25, 0.25], [0.125, 0.875, 0.0]])
    never = float(surprise(rows, torch.tensor([0, 2]))[1])
    assert never == math.inf, f"what was held impossible has infinite surprise, not {never:.4g}: add nothing to it"


def check_rows_refused(seed):
    """Assert that a row that is no distribution is refused, though the other one is one."""
    rows = distributions(seed, 2, 4)
    check_refused("a single row whose sum is 1.2 is no distribution", surprise, 1.2 * rows[:1], torch.tensor([0]))
    hint = "each row should be a distribution, and these two have sums of 1.3 and 0.7"
    check_refused(hint, surprise, rows * torch.tensor([[1.3], [0.7]]), torch.tensor([0, 1]))
    for why, row in spoilt(seed):
        rows = torch.stack([distributions(seed, 1, len(row))[0], row])
        check_refused(
            f"the first row is a distribution, the second is not: {why}", surprise, rows, torch.tensor([0, 1])
        )


def test_surprise_refuses_what_is_no_distribution():
    rounded = torch.tensor([[0.5, 0.5, 0.0], [0.5, 0.50005, 0.0]], dtype=torch.float64)
    hint = "a sum within 1e-4 of 1 is rounding, and no mistake"
    try:
        found = surprise(rounded, torch.tensor([0, 1]))
    except ValueError as error:
        raise AssertionError(hint) from error
    check_tensor(found, torch.tensor([1.0, 1.0]), hint, tolerance=1e-3)
    check_rows_refused(0)


# %% test="surprise-any" of="surprise" points=1
def test_surprise_any_rows_hidden():
    rows, symbols = distributions(fresh_seed(), 40, 9, sharpness=4.0), token_ids(fresh_seed(), 9, 40)
    want = -torch.distributions.Categorical(rows).log_prob(symbols) / math.log(2)
    check_tensor(
        surprise(rows, symbols), want, "row i says what was expected of symbol i; bits are logarithms to base 2"
    )


def test_surprise_refuses_what_is_no_distribution_hidden():
    check_rows_refused(fresh_seed())


# %% test="units" of="surprise" points=1
def test_perplexity_by_hand():
    check_figure(
        perplexity(torch.tensor([1.0, 5.0])),
        8.0,
        "the mean surprise is 3 bits, like choosing among 8 equally likely symbols",
        mistakes={
            "bits go with powers of 2, and this is a power of e": math.exp(3),
            "this is the mean surprise itself: among how many symbols is it like choosing?": 3.0,
            "the surprises are added, and their mean is wanted": 64.0,
            "the mean comes first and then the power: this averages what each symbol was a choice among": 17.0,
            "this gives the inverse, a probability": 1 / 8,
        },
    )
    check_figure(perplexity(torch.tensor([3.0])), 8.0, "a text may be one symbol: 3 bits are a perplexity of 8")


def test_bits_per_byte_by_hand():
    check_figure(
        bits_per_byte(torch.tensor([10.0, 2.0]), [b"ab", b"cdef"]),
        2.0,
        "12 bits for 6 bytes are 2 bits per byte",
        mistakes={
            "the bits are divided by the number of symbols, 2, and there are 6 bytes": 6.0,
            "each symbol is divided by its own bytes, and then averaged: take all bits over all bytes": 2.75,
            "each symbol is divided by its own bytes, and then added: take all bits over all bytes": 5.5,
            "these are all the bits: they are not divided by the bytes": 12.0,
            "these are bytes per bit": 0.5,
            "the mean surprise is divided by the bytes: take all bits": 1.0,
        },
    )
    check_figure(
        bits_per_byte(torch.tensor([12.0, 2.0]), ["ä".encode(), b""]),
        7.0,
        "14 bits for the two bytes of ä are 7 bits per byte",
        mistakes={"the bits are divided by the characters, and ä is one character of two bytes": 14.0},
    )
    check_figure(bits_per_byte(torch.tensor([3.0]), [b"a"]), 3.0, "a text may be one byte")


def check_nothing_measured():
    """Assert that what cannot be measured is refused."""
    nothing = torch.zeros(0)
    check_refused("an empty text has no perplexity", perplexity, nothing)
    check_refused("an empty text has no bytes to divide by", bits_per_byte, nothing, [])
    check_refused("symbols that spell nothing have no bytes to divide by", bits_per_byte, torch.ones(2), [b"", b""])
    hint = "as many symbols as surprises are needed"
    check_refused(hint, bits_per_byte, torch.ones(3), [b"a", b"b"])
    check_refused(hint, bits_per_byte, torch.ones(1), [b"a", b"b"])


def test_units_refuse_what_cannot_be_measured():
    check_nothing_measured()


# %% test="units-any" of="surprise" points=1
def test_units_of_tokens_hidden():
    seed = fresh_seed()
    surprises, tokens = (
        9 * distributions(seed, 1, 7)[0],
        [b" the", "é".encode(), b"\n", "日本".encode(), b"a", b"", b"xy"],
    )
    hint = "all bits of the text over all bytes of the text: not over its characters, and not token by token"
    check_figure(bits_per_byte(surprises, tokens), math.fsum(surprises.tolist()) / len(b"".join(tokens)), hint)
    logits, targets = distributions(seed, 30, 5).log(), token_ids(seed, 5, 30)
    bits = F.cross_entropy(logits, targets, reduction="none") / math.log(2)
    hint = "in nats perplexity is e to the power of the cross-entropy: yours differs"
    check_figure(perplexity(bits), F.cross_entropy(logits, targets).exp().item(), hint)


def test_units_refuse_what_cannot_be_measured_hidden():
    check_nothing_measured()


# %% [markdown]
# Neural networks give logits and are measured in nats, that is by the natural logarithm. It is the same surprise, but the
# exponential of a logit in the thousands is infinite, and so is the logarithm of a probability that was rounded to 0.
#
# <details><summary>Hint</summary>
#
# $-\ln \mathrm{softmax}(x)_i = \ln \sum_j e^{x_j} - x_i$. Torch has a function for the first term that does not overflow.
#
# </details>

# %% exercise="cross-entropy" difficulty=2 importance=5 minutes=20 replaces="torch.nn.functional.cross_entropy torch.nn.functional.nll_loss torch.nn.CrossEntropyLoss torch.nn.NLLLoss torch._C._nn.cross_entropy_loss torch._C._nn.nll_loss_nd torch._C._nn.nll_loss2d"
from solutions.language_model import cross_entropy


# %% test="cross-entropy" points=2
def test_cross_entropy_by_hand():
    # As many rows as symbols, so that a sum over the wrong axis has the right shape too.
    logits = torch.tensor([[1.0, 1.0, 2.0], [1.0, 3.0, 4.0], [3.0, 6.0, 3.0]]).log()
    targets, each = torch.tensor([2, 0, 1]), math.log(2) * torch.tensor([1.0, 3.0, 1.0])
    check_tensor(
        cross_entropy(logits, targets),
        each.mean(),
        "softmax gives the targets 1/2, 1/8 and 1/2, so the mean surprise is (ln 2 + ln 8 + ln 2) / 3",
        mistakes={
            "one number is wanted, the mean over all targets, and you have one for each": each,
            "this is in bits, and nats are wanted: the natural logarithm": torch.tensor(5 / 3),
            "this is the sum over the targets, and their mean is wanted": each.sum(),
            "the sign is wrong: the surprise of what has probability 1/2 is ln 2, above 0": -each.mean(),
            "the logits are taken for logarithms of probabilities: they need a softmax first": torch.tensor(
                -math.log(12) / 3
            ),
            "softmax goes over the steps, and should go over the vocabulary, the last axis": torch.tensor(
                math.log(450 / 12) / 3
            ),
            "the logarithm is missing: this is minus the mean probability": torch.tensor(-0.375),
            "the mean goes over probabilities, and its logarithm is taken after: each needs its own": torch.tensor(
                -math.log(0.375)
            ),
            "the mean goes over the whole vocabulary, and only the targets count": -logits.log_softmax(-1).mean(),
            "this is the perplexity: leave out the last exponential": torch.tensor(2 ** (5 / 3)),
        },
    )


def test_cross_entropy_matches_torch():
    logits, targets = torch.linspace(-3, 4, 28).view(4, 7).sin() * 3, torch.tensor([0, 6, 3, 3])
    hint = "not the mean of -ln softmax at the targets"
    check_tensor(cross_entropy(logits, targets), F.cross_entropy(logits, targets), hint)


def test_cross_entropy_of_large_logits():
    large = torch.tensor([[3000.0, 2999.0, 0.0]])
    check_tensor(
        cross_entropy(large, torch.tensor([1])),
        F.cross_entropy(large, torch.tensor([1])),
        "logits in the thousands: only their differences matter",
        tolerance=1e-3,
        mistakes={
            "e to the power of 3000 is infinite in floating point: take the largest logit off first": torch.tensor(
                math.nan
            ),
        },
    )
    found = cross_entropy(large, torch.tensor([2]))
    hint = "logits 3000, 2999 and 0: the surprise of the last is 3000.3 nats"
    check_tensor(
        found,
        F.cross_entropy(large, torch.tensor([2])),
        f"{hint}; was something added to a tiny probability, or was it held to a least value?"
        if found.ndim == 0 and 0 < found < 300
        else hint,
        tolerance=1e-2,
        mistakes={
            "a probability as small as e to the power of -3000 is rounded to 0: take no logarithm of it": torch.tensor(
                math.inf
            ),
        },
    )
    apart, targets = torch.tensor([[3000.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1])
    check_tensor(
        cross_entropy(apart, targets),
        F.cross_entropy(apart, targets),
        "logits of 3000 in one row, and of 1 at most in the other: only differences within a row matter",
        tolerance=1e-3,
        mistakes={
            "the largest logit of all is taken off every row: take off each row's own": torch.tensor(-math.inf),
        },
    )


def check_axes(seed, *shapes):
    """Assert that value and gradients are right for targets of any axes."""
    for shape in shapes:
        logits, targets = 3 * distributions(seed, math.prod(shape), 6).log().view(*shape, 6), token_ids(seed, 6, *shape)
        try:
            found = cross_entropy(logits, targets)
        except (IndexError, RuntimeError, TypeError, ValueError) as error:
            raise AssertionError("targets may have any number of axes, and your code fails on several") from error
        want = F.cross_entropy(logits.flatten(0, -2), targets.flatten())
        hint = "wrong where targets have several axes: the mean goes over all of them"
        check_tensor(found, want, hint)
    found = probes.gradients(cross_entropy, logits, targets)["input.0"]
    assert not torch.equal(found != 0, F.one_hot(targets, 6) == 1), (
        "gradients reach the targets' logits only, and should reach all the others too: is something detached?"
    )
    want = probes.gradients(lambda x, t: F.cross_entropy(x.flatten(0, -2), t.flatten()), logits, targets)["input.0"]
    check_tensor(
        found,
        want,
        "the gradients of the logits are wrong: a model could not learn from this",
        mistakes={
            "no gradient reaches the logits: is something detached, or turned into a plain number?": torch.zeros_like(
                want
            ),
        },
    )


def check_misfits(size):
    """Assert that targets that do not fit the logits are refused."""
    hint = "an empty text has no mean surprise"
    check_refused(hint, cross_entropy, torch.zeros(0, size), torch.zeros(0, dtype=torch.long))
    hint = "4 rows of logits and 3 targets do not fit"
    check_refused(hint, cross_entropy, torch.zeros(4, size), torch.zeros(3, dtype=torch.long))
    hint = "4 by 3 rows of logits and 4 targets do not fit"
    check_refused(hint, cross_entropy, torch.zeros(4, 3, size), torch.zeros(4, dtype=torch.long))
    hint = "targets of shape 3 by 2 do not fit 2 by 3 rows of logits, though there are as many"
    check_refused(hint, cross_entropy, torch.zeros(2, 3, size), torch.zeros(3, 2, dtype=torch.long))


def test_cross_entropy_of_several_axes():
    check_axes(1, (2, 3))


def test_cross_entropy_refuses_what_does_not_fit():
    check_misfits(5)


# %% test="cross-entropy-any" of="cross-entropy" points=1
def test_cross_entropy_any_axes_hidden():
    check_axes(fresh_seed(), (4,), (2, 3), (2, 1, 5))


def test_cross_entropy_refuses_hidden():
    check_misfits(2 + fresh_seed() % 9)


# %% [markdown]
# ## Shannon's guessing game
#
# How predictable is English? In 1951 Shannon had people guess a text letter by letter, and noted how many guesses
# each letter took. From those numbers alone he worked out between which bounds the entropy must lie, for a reader he
# could not look into. Here the guesser is a model, so that we can look.
#
# <details><summary>Hint: a rank without sorting</summary>
#
# How many symbols are guessed before the right one? Those that are likelier, and those as likely with a smaller id.
#
# </details>

# %% exercise="guess-ranks" difficulty=2 importance=2 minutes=20
from solutions.language_model import guess_ranks


# %% test="guess-ranks" points=1
def ranked(rows, symbols):
    """What `guess_ranks` finds, as a list of ints."""
    found = guess_ranks(rows, symbols)
    if isinstance(found, torch.Tensor):
        assert found.shape == symbols.shape, (
            f"one rank a symbol is wanted: the shape should be {tuple(symbols.shape)}, not {tuple(found.shape)}"
        )
    return [int(rank) for rank in found]


def test_guess_ranks_by_hand():
    rows = torch.tensor([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1], [0.1, 0.6, 0.3]])
    check_equal(
        ranked(rows, torch.tensor([2, 2, 0])),
        [1, 3, 3],
        "the likeliest symbol is hit at guess 1, the least likely of three at guess 3",
        mistakes={
            "guesses are counted from 1, and you count them from 0": [0, 2, 2],
            "the likeliest symbol is guessed first, and you begin with the least likely": [3, 1, 1],
            "this is the symbol guessed at a place, and the place of a symbol is wanted": [0, 2, 1],
            "this is 1 more than the symbol guessed at a place, and the place of a symbol is wanted": [1, 3, 2],
            "these are the places of the symbols in the rows as they stand: the probabilities do not matter": [3, 3, 1],
        },
    )


def test_guess_ranks_with_ties():
    even, tied = torch.tensor([[0.25] * 4] * 4), torch.tensor([[0.2, 0.3, 0.2, 0.3, 0.0]] * 4)
    check_equal(
        ranked(even, torch.arange(4)),
        [1, 2, 3, 4],
        "among equally likely symbols the smaller id is guessed first",
        mistakes={
            "equally likely symbols all have the same rank: the smaller id should be guessed first": [1, 1, 1, 1],
            "equally likely symbols all have the last rank among them: the smaller id should be guessed first": [4] * 4,
            "among equally likely symbols the larger id is guessed first, and the smaller should be": [4, 3, 2, 1],
            "an equally likely symbol with a larger id is guessed later, and does not count": [2, 3, 4, 5],
        },
    )
    check_equal(
        ranked(tied, torch.arange(4)),
        [3, 1, 4, 2],
        "symbols 1 and 3 are the likeliest and come first, then 0 and 2",
    )
    check_equal(
        ranked(torch.full((3, 256), 1 / 256), torch.tensor([0, 100, 255])),
        [1, 101, 256],
        "of 256 equally likely symbols the smaller id is guessed first: do you sort, and does it keep the order of equals?",
    )


# %% test="guess-ranks-any" of="guess-ranks" points=1
def test_guess_ranks_any_rows_hidden():
    rows, symbols = distributions(fresh_seed(), 30, 12), token_ids(fresh_seed(), 12, 30)
    rows[:, 3] = rows[:, 7]
    symbols[:4] = torch.tensor([7, 3, 7, 3])
    want = [
        1 + sorted(range(12), key=lambda s: (-row[s], s)).index(symbol)
        for row, symbol in zip(rows.tolist(), symbols.tolist(), strict=True)
    ]
    check_equal(
        ranked(rows, symbols),
        want,
        "made-up rows: guesses go from the likeliest down, equal ones by id; the right one's number counts",
    )


# %% exercise="guess-bounds" difficulty=3 importance=2 minutes=25
from solutions.language_model import guess_bounds


# %% test="guess-bounds" points=1
def bounds(ranks):
    """Both bounds for a list of ranks."""
    found = guess_bounds(torch.tensor(ranks, dtype=torch.long))
    assert isinstance(found, tuple | list) and len(found) == 2, (
        f"two numbers are wanted, the lower bound and the upper one, but the result is {called(found)}"
    )
    return found


def test_guess_bounds_by_hand():
    lower, upper = bounds([1, 1, 1, 1, 2, 2, 3, 3])
    check_figure(
        lower,
        1.188722,
        "shares 1/2, 1/4 and 1/4: in the lower bound only the term of i = 3 is not 0, 3 x (1/4 - 0) x 1.585 bits",
        mistakes={
            "this is the upper bound: the lower one comes first": 1.5,
            "this is in nats, and bits are wanted: the logarithm to base 2": 1.188722 * math.log(2),
            "the number of guesses i is left out of the lower bound's terms": 0.396241,
            "the lower bound's terms have a factor i, counted from 1, and yours is 1 less": 0.792481,
            "the last term of the lower bound is missing: after the largest rank comes a share of 0": 0.0,
            "the sign of the lower bound is wrong: each share minus the next one": -1.188722,
            "these are counts, and the lower bound wants shares": 9.509775,
            "the shares stand one place too late: those of guess number 1 come first, and `bincount` begins with 0": 2.5,
            "this is nan: guesses are counted from 1, and 0 times the logarithm of 0 is no number": math.nan,
        },
    )
    check_figure(
        upper,
        1.5,
        "shares 1/2, 1/4 and 1/4: the upper bound is 1.5 bits, their entropy",
        mistakes={
            "the lower bound is in bits, and the upper one in nats": 1.5 * math.log(2),
            "the sign of the upper bound is wrong: an entropy is not below 0": -1.5,
            "the shares themselves are missing from the upper bound's terms": 5.0,
        },
    )
    hint = "four numbers of guesses, equally frequent"
    lower, upper = bounds([3, 1, 4, 2])
    check_figure(lower, 2.0, f"{hint}: in the lower bound only the term of i = 4 is not 0, 4 x 1/4 x 2 bits")
    check_figure(upper, 2.0, f"{hint}: the upper bound is 2 bits")


def test_guess_bounds_of_certainty():
    hint = "a guesser who is always right at once leaves no doubt: 0 bits"
    for ranks in ([1], [1] * 5):
        for bound in bounds(ranks):
            check_figure(bound, 0.0, hint)


def test_guess_bounds_with_gaps():
    lower, upper = bounds([1, 1, 1, 1, 2, 5, 5, 9])
    check_figure(
        lower,
        1.718576,
        "numbers of guesses that never occur have share 0, and keep their place",
        mistakes={"numbers of guesses that never occur were left out, so that later ones moved up": 1.344361},
    )
    check_figure(
        upper,
        1.75,
        "shares 1/2, 1/8, 1/4 and 1/8: the upper bound is 1.75 bits",
        mistakes={
            "a share of 0 adds nothing to the upper bound, but 0 times the logarithm of 0 is nan": math.nan,
        },
    )
    lower, upper = bounds([2, 2, 2])
    check_figure(lower, 2.0, "all ranks are 2: the lower bound's formula gives 2 x 1 bit, whatever the upper one is")
    check_figure(upper, 0.0, "all ranks are 2: there is one share, 1, and its entropy is 0")


def check_no_ranks():
    """Assert that what are no ranks is refused."""
    check_refused("no guesses, no bounds", guess_bounds, torch.zeros(0, dtype=torch.long))
    check_refused("guesses are counted from 1, and one is 0", guess_bounds, torch.tensor([2, 0, 1]))


def test_guess_bounds_refuse_what_are_no_ranks():
    check_no_ranks()


# %% test="guess-bounds-any" of="guess-bounds" points=1
def test_guess_bounds_hold_the_truth_hidden():
    p = distributions(fresh_seed() % 1000, 1, 9)[0].sort(descending=True).values
    truth = torch.distributions.Categorical(p).entropy().item() / math.log(2)
    generator = torch.Generator().manual_seed(fresh_seed())
    lower, upper = guess_bounds(torch.multinomial(p, 20_000, replacement=True, generator=generator) + 1)
    # With 20,000 guesses the shares are within a few thousandths of the probabilities.
    assert lower < truth + 0.05 and upper > truth - 0.05, (
        "the entropy of a known source does not lie between the bounds"
    )
    assert upper < truth + 0.05, "for one and the same distribution at every step the upper bound is the entropy itself"


def test_guess_bounds_with_gaps_hidden():
    seed = fresh_seed()
    ranks = [1, 1, 1, 1, 2, 3 + seed % 3, 7, 7, 9 + seed % 5]
    lower, upper = bounds(ranks)
    hint = "numbers of guesses that never occur have share 0, and keep their place: the lower bound differs"
    # The formula's terms gathered by rank.
    check_figure(lower, sum(r * math.log2(r) - (r - 1) * math.log2(max(1, r - 1)) for r in ranks) / len(ranks), hint)
    counts = torch.tensor([ranks.count(rank) for rank in set(ranks)])
    want = torch.distributions.Categorical(counts / len(ranks)).entropy().item() / math.log(2)
    check_figure(upper, want, "the upper bound is the entropy of the shares, in bits: yours differs")
    rank = 2 + seed % 9
    lower, upper = bounds([rank] * 4)
    hint = "all ranks are the same: the lower bound is what its formula gives, whatever the upper one is"
    check_figure(lower, rank * math.log2(rank) - (rank - 1) * math.log2(rank - 1), hint)
    check_figure(upper, 0.0, "all ranks are the same: there is one share, 1, and its entropy is 0")
    check_no_ranks()


# %% [markdown]
# ## From probabilities to whole numbers
#
# Now the coder. Sender and receiver must compute the very same thing, to the last bit, so inside the coder there are only
# whole numbers. Probabilities become frequencies that add up to a fixed total; none may be 0, or the symbol could not
# be sent at all.

# %% exercise="quantise" difficulty=3 importance=4 minutes=35
from solutions.language_model import quantise


# %% test="quantise" points=2
def check_frequencies(found, p, total, hint):
    """Assert what is promised of frequencies; `hint` says of what."""
    assert isinstance(found, list | tuple), f"a list of whole numbers is wanted, but the result is {called(found)}"
    odd = next((f for f in found if type(f) is not int), None)
    assert odd is None, f"whole numbers of type int are wanted, but one is {called(odd)}; {hint}"
    assert len(found) == len(p), (
        f"one frequency a symbol is wanted, {len(p)} in all, and there are {len(found)}; {hint}"
    )
    shown = f"the smallest of {found}" if len(found) < 8 else f"the smallest, {min(found)},"
    assert min(found) >= 0, f"{shown} is below 0: what is too much was taken off a symbol that cannot spare it; {hint}"
    assert min(found) >= 1, f"{shown} is 0: that symbol could never be sent; {hint}"
    excess = sum(found) - total
    assert len(p) == 1 or excess != len(p), (
        f"each symbol's 1 comes on top of the total, and should come out of it: the sum is {sum(found)}; {hint}"
    )
    assert excess <= 0, f"the frequencies add up to more than the total: {sum(found)} and not {total}; {hint}"
    assert excess >= 0, f"the frequencies add up to less than the total: {sum(found)} and not {total}; {hint}"
    share = (total * p.double() / p.double().sum()).tolist()
    worst = max(range(len(p)), key=lambda symbol: abs(found[symbol] - share[symbol]))
    assert abs(found[worst] - share[worst]) <= len(p), (
        f"frequency {worst} is {found[worst]}, and its share of the total is {share[worst]:.1f}: they are further apart "
        f"than there are symbols; {hint}"
    )


def test_quantise_by_hand():
    for values, total in (([0.5, 0.25, 0.25], 16), ([1.0, 0.0, 0.0], 100), ([0.3, 0.3, 0.4], 10), ([1 / 3] * 3, 100)):
        hint = f"out of {total}, for probabilities {values}"
        check_frequencies(quantise(torch.tensor(values), total), torch.tensor(values), total, hint)


def test_quantise_at_the_limits():
    hint = "as many symbols as the total: 1 for each"
    for p in (torch.full((4,), 0.25), torch.tensor([0.97, 0.01, 0.01, 0.01])):
        try:
            found = quantise(p, 4)
        except ValueError as error:
            raise AssertionError(f"{hint}; only more symbols than the total are refused") from error
        check_frequencies(found, p, 4, hint)
    one = torch.tensor([1.0])
    check_frequencies(quantise(one, 7), one, 7, "a single symbol has the whole total")


def test_quantise_of_a_rounded_sum():
    rounded = torch.tensor([0.7, 0.2, 0.10005], dtype=torch.float64)
    hint = "a sum within 1e-4 of 1 is rounding: a probability stands for its share of this sum"
    try:
        found = quantise(rounded)
    except ValueError as error:
        raise AssertionError(f"{hint}, and is not refused") from error
    check_frequencies(found, rounded, TOTAL, hint)


def check_promises(seed):
    """Assert that made-up probabilities, some of them very small, get the frequencies that are promised."""
    for size, total, sharpness in ((2, 4, 1.0), (7, 64, 5.0), (300, 1 << 12, 0.1), (300, TOTAL, 9.0), (50, 50, 1.0)):
        for p in distributions(seed, 4, size, sharpness):
            hint = "for made-up probabilities, some of them very small, in float32 and float64"
            check_frequencies(quantise(p, total), p, total, hint)
            check_frequencies(quantise(p.float(), total), p.float(), total, hint)


def test_quantise_of_many_symbols():
    check_promises(0)


def check_unquantised(seed):
    """Assert that what cannot become frequencies is refused."""
    for why, p in spoilt(seed):
        check_refused(f"this is no distribution: {why}", quantise, p, 100)
    hint = "5 symbols cannot each have a frequency out of a total of 4"
    check_refused(hint, quantise, torch.full((5,), 0.2), 4)


def test_quantise_refuses_what_is_no_distribution():
    check_unquantised(0)


# %% test="quantise-any" of="quantise" points=1
def test_quantise_any_distribution_hidden():
    check_promises(fresh_seed())


def test_quantise_refuses_hidden():
    check_unquantised(fresh_seed())


# %% [markdown]
# What does it cost that no frequency may be 0? With a total of 16,777,216, as the coder has it, next to nothing. Suppose
# that the total were 512, for 256 bytes. How many bits per byte more would your chain of order 3 need?

# %% run
if __name__ == "__main__":
    predicted_coarse = None  # your guess, in bits per byte

# %% run
if __name__ == "__main__":
    with unless_blank():
        text = corpus.text("heldout", 20_000).encode()[12_000:13_000]
        rows = NGram(corpus.text("train", 200_000).encode(), 3).rows(text)
        spent = {}
        for total in (512, 4096, TOTAL):
            shares = [quantise(row, total)[byte] / total for row, byte in zip(rows, text, strict=True)]
            spent[total] = sum(-math.log2(share) for share in shares) / len(text)
            print(f"a total of {total:,}: {spent[total]:.2f} bits per byte")
        extra = round(spent[512] - spent[TOTAL], 2)
        compare_prediction("the extra cost of a total of 512", predicted_coarse, extra, unit="bits per byte")

# %% [markdown]
# <details><summary>Why that much?</summary>
#
# If you give 1 to each of the 256 bytes first, half of the 512 is left to share out by probability, so that at worst a
# probability is halved, which costs one bit. If you share out all 512 first and then raise zeros to 1, the likely bytes
# must give back what that takes. Which of them do, the task leaves open, and one that loses more than half costs more
# than a bit. Your cost depends on the way that you chose.
#
# </details>

# %% [markdown]
# ## One number for a whole text
#
# Imagine all texts in alphabetical order along a line, each taking room in proportion to its probability. A text's place
# on the line tells which text it is, and a likely text has so much room that few digits find it. The coder goes there
# step by step: each symbol narrows the interval to a part of it.
#
# The interval would soon be smaller than a number. But once it lies in one half of the line, the next bit is known;
# it can be written down, and that half stretched to the whole. One case is nasty: an interval that gets ever smaller
# around the middle and lies in neither half. Then the two middle quarters are stretched, and the bit remains open.
#
# Two functions do that, in exact whole numbers: an end that is off by one loses the text.
#
# <details><summary>Hint: narrow</summary>
#
# How many numbers are there from `low` to `high`, if both belong to the interval? Multiply before you divide, in whole
# numbers: `//` rounds down.
#
# </details>
#
# <details><summary>Hint: zoom</summary>
#
# For which `low` is 2 * (low - offset) not below 0? For which `high` is 2 * (high - offset) + 1 at most WHOLE - 1?
#
# </details>

# %% exercise="interval" difficulty=2 importance=4 minutes=25
from solutions.language_model import narrow, zoom


# %% test="narrow" of="interval" points=1
def narrowed(*args):
    """What `narrow` gives, as a tuple."""
    found = narrow(*args)
    assert isinstance(found, tuple | list), f"both ends of the part are wanted, but the result is {called(found)}"
    return tuple(found)


def test_narrow_by_hand():
    check_equal(
        narrowed(0, 99, 1, 3, 4),
        (25, 74),
        "the second and third quarter of 0 to 99 are 25 to 74, both ends included",
        mistakes={
            "both ends belong to the interval: 0 to 99 are 100 numbers, and you count 99": (24, 73),
            "the upper end belongs to the part that is returned: 75 begins the next part": (25, 75),
            "the upper end is measured from the new lower end: measure both from the old one": (25, 99),
            "the part ends one before the next begins, but 0 to 99 are 100 numbers, and you count 99": (24, 74),
            "numbers of type int are wanted: `//` divides whole numbers": (25.0, 74.0),
            "the second number is the upper end of the part, and not its size": (25, 50),
        },
    )
    check_equal(
        narrowed(10, 19, 0, 1, 2),
        (10, 14),
        "the lower half of the ten numbers 10 to 19 is 10 to 14",
        mistakes={"the part should lie in the interval: it begins at `low`, not at 0": (0, 4)},
    )
    check_equal(narrowed(10, 19, 1, 2, 2), (15, 19), "the upper half of the ten numbers 10 to 19 is 15 to 19")


def check_tiles(seed, times):
    """Assert that parts that touch in frequency fill an interval, and begin where exact fractions say."""
    generator = random.Random(seed)
    for _ in range(times):
        low = generator.randrange(QUARTER)
        high = low + QUARTER + generator.randrange(QUARTER)
        cuts = [0, *sorted(generator.sample(range(1, TOTAL), 5)), TOTAL]
        parts = [narrowed(low, high, start, end, TOTAL) for start, end in pairwise(cuts)]
        assert parts[0][0] == low and parts[-1][1] == high, (
            "the first part should begin, and the last end, with the interval"
        )
        hint = "parts that touch in frequency leave a gap or overlap: are both ends rounded down alike, without floats?"
        assert all(a[1] + 1 == b[0] for a, b in pairwise(parts)), hint
        want = [low + math.floor(Fraction(high - low + 1) * Fraction(cut, TOTAL)) for cut in cuts[:-1]]
        hint = "a part begins at another number than exact fractions give, rounded down"
        check_equal([part[0] for part in parts], want, hint)


def test_narrow_rounds_down():
    check_equal(
        narrowed(10, 19, 1, 2, 3),
        (13, 15),
        "the second third of 10 to 19 begins at 10 + 10/3, and the next at 10 + 20/3, both rounded down",
        mistakes={
            "the lower end is rounded up: 10 + 10/3 is rounded down to 13": (14, 15),
            "both ends are rounded up: 10 + 10/3 is rounded down to 13": (14, 16),
            "the ends are rounded to the nearest number, and should be rounded down": (13, 16),
        },
    )
    check_equal(
        narrowed(0, 99, 3, 5, 8),
        (37, 61),
        "the fourth and fifth eighth of 0 to 99: 300/8 and 500/8, rounded down",
        mistakes={"multiply before you divide: 100/8 was rounded down first": (36, 59)},
    )
    check_equal(
        narrowed(0, HALF, TOTAL - 1, TOTAL, TOTAL),
        (HALF - 128, HALF),
        "the last part of a large interval",
        mistakes={"a float cannot hold such a number exactly: keep to whole numbers": (HALF - 127, HALF)},
    )
    check_tiles(0, times=3)


# %% test="narrow-any" of="interval" points=1
def test_narrow_tiles_the_interval_hidden():
    check_tiles(fresh_seed(), times=20)


# %% test="zoom" of="interval" points=1
def check_single_number(number, want):
    hint = "a single number is an interval too"
    try:
        check_equal(zoom(number, number), want, hint)
    except ValueError as error:
        raise AssertionError(hint) from error


def test_zoom_by_hand():
    check_equal(
        zoom(5, HALF - 6),
        0,
        "an interval that lies in the lower half: nothing is taken off",
        mistakes={
            "0 and None are two answers: 0 for the lower half, None for an interval that must not be doubled": None
        },
    )
    check_equal(zoom(HALF + 5, WHOLE - 6), HALF, "an interval that lies in the upper half: take off HALF")
    hint = "an interval in the two middle quarters that reaches into both halves: take off QUARTER"
    check_equal(
        zoom(QUARTER + 5, HALF + QUARTER - 6),
        QUARTER,
        hint,
        mistakes={
            "an interval in the middle may be doubled too: take off QUARTER": None,
        },
    )
    hint = (
        "the first and the last number of a half belong to it: doubled, an interval may begin at 0 and end at WHOLE - 1"
    )
    check_equal(zoom(5, HALF - 1), 0, hint)
    check_equal(zoom(0, 5), 0, hint)
    check_equal(zoom(HALF, WHOLE - 6), HALF, hint)
    check_equal(zoom(HALF + 5, WHOLE - 1), HALF, hint)
    hint = "the first and the last number of the two middle quarters belong to them: take off QUARTER"
    check_equal(zoom(QUARTER, HALF + 5), QUARTER, hint)
    check_equal(zoom(QUARTER + 5, HALF + QUARTER - 1), QUARTER, hint)
    hint = "an interval that lies in one half, though in the middle quarters too: the halves come first"
    check_equal(zoom(QUARTER, HALF - 1), 0, hint)
    check_equal(zoom(HALF, HALF + QUARTER - 1), HALF, hint)
    check_equal(zoom(0, WHOLE - 1), None, "the whole must not be doubled")
    hint = "an interval that reaches below the middle quarters, and into both halves, must not be doubled"
    check_equal(zoom(QUARTER - 1, HALF + 5), None, hint)
    hint = "an interval that reaches above the middle quarters, and into both halves, must not be doubled"
    check_equal(zoom(HALF - 1, HALF + QUARTER), None, hint)
    hint = "HALF is the first number of the upper half, so an interval from 5 to HALF reaches into both"
    check_equal(zoom(5, HALF), None, hint)
    check_single_number(0, 0)
    check_single_number(WHOLE - 1, HALF)


def check_no_interval(low, high):
    """Assert that an empty interval, and what leaves the whole on either side, is refused."""
    check_refused("an empty interval would be doubled for ever", zoom, high, low)
    check_refused("this interval reaches above the largest number, WHOLE - 1", zoom, low, WHOLE)
    check_refused("this interval begins below 0", zoom, -1, high)


def test_zoom_refuses_what_is_no_interval():
    check_no_interval(HALF, WHOLE - 1)
    check_no_interval(0, 1)


# %% test="zoom-any" of="interval" points=1
def test_zoom_everywhere_hidden():
    generator = random.Random(fresh_seed())
    edges = [edge + step for edge in (0, QUARTER, HALF, HALF + QUARTER, WHOLE) for step in (-1, 0, 1)]
    edges = [edge for edge in edges if 0 <= edge < WHOLE] + [generator.randrange(WHOLE) for _ in range(4)]
    for low in edges:
        for high in edges:
            fitting = [offset for offset in (0, HALF, QUARTER) if offset <= low <= high < offset + HALF]
            if low <= high:
                hint = "an interval at the edge of a half or of the middle is taken wrongly: the ends belong to it"
                assert zoom(low, high) == (fitting[0] if fitting else None), hint


def test_zoom_refuses_hidden():
    low = fresh_seed() % HALF
    check_no_interval(low, low + 1)
    check_no_interval(HALF + low, WHOLE - 1)


# %% [markdown]
# Now the encoder. The one thing left to find out is what becomes of a bit that stays open: what is it, once the next bit
# is settled? And what if several are open? Take a pencil, draw the line from 0 to WHOLE, and mark what was stretched.
#
# <details><summary>Hint: one open bit</summary>
#
# The interval lay in the two middle quarters of the line. They were stretched, and then the lower half of what came of
# them: a 0 is settled. Which quarter of the line is that, and with which two bits do all its numbers begin? And if a 1 is
# settled?
#
# </details>
#
# <details><summary>Hint: two open bits</summary>
#
# The middle was stretched twice before the 0 was settled. Which eighth of the line is it now, and with which three bits do
# all its numbers begin?
#
# </details>

# %% exercise="encoder" difficulty=5 importance=5 minutes=60 given_methods="__init__"
from solutions.language_model import Encoder


# %% test="encoder" points=3
def coded(steps):
    """The code of some steps, each (frequencies, symbol), by the encoder."""
    encoder = Encoder()
    for frequencies, symbol in steps:
        encoder.encode(frequencies, symbol)
    return encoder.finish()


def in_bits(data):
    return "".join(f"{byte:08b}" for byte in data)


def check_code(steps, want, hint, mistakes=checks.NONE):
    """Assert that a code has the wanted bits, and zeros behind them up to a whole byte."""
    found = coded(steps)
    assert isinstance(found, bytes), f"finish should give bytes, but the result is {called(found)}"
    check_equal(in_bits(found), want + "0" * (-len(want) % 8), hint, mistakes=mistakes)


def test_encoder_settles_bits():
    tree = [2, 1, 1]  # symbol 0 is the lower half, 1 and 2 the quarters above it: codes 0, 10 and 11
    check_code(
        [],
        "01",
        "no symbols: the code is the two bits 01 of finish, and zeros up to a whole byte",
        mistakes={
            "finish should write two bits more than those that were settled, and it writes none": "",
            "the first bit of a byte is its highest, and you begin with the lowest": "00000010",
            "the zeros that fill up a byte come behind the last bit, and yours come before it": "00000001",
            "two bits end the code, and these are all 32 bits of an end of the interval": "0" * 32,
            "the interval reaches below the second quarter, so the last two bits are 01, and you have 10": "10000000",
        },
    )
    check_code(
        [(tree, 0)],
        "001",
        "symbol 0 of [2, 1, 1] is the lower half, bit 0; then 01",
        mistakes={
            "symbol 0 of [2, 1, 1] is the lower half, and that settles a bit: yours settles none": "01000000",
            "the lower half, from which 0 is taken off, settles a 0, and you have a 1": "10100000",
        },
    )
    check_code(
        [(tree, 1)],
        "1001",
        "symbol 1 of [2, 1, 1] is the third quarter, bits 10; then 01",
        mistakes={
            "a quarter settles two bits, and you settle one: go on as long as zoom allows": "10100000",
        },
    )
    check_code(
        [(tree, symbol) for symbol in (0, 1, 2, 0)],
        "01011001",
        "symbols 0, 1, 2, 0 of [2, 1, 1] are bits 0, 10, 11, 0; then 01",
        mistakes={
            "the upper end shrinks against the lower one: where it is doubled, 1 is added": "01011000",
            "eight bits fill a byte: no zeros are needed": "0101100100000000",
        },
    )


def test_encoder_keeps_bits_open():
    middle = [1, 2, 1]  # symbol 1 is the two middle quarters
    check_code(
        [(middle, symbol) for symbol in (1, 1, 1, 0)],
        "0111001",
        "three steps around the middle leave three bits open; then a 0 is settled, and then a 0; then 01",
        mistakes={
            "three bits are open, and none is written when the next one is settled": "00010000",
            "three bits are open, and one is written: count the steps around the middle": "01001000",
            "open bits are written again at each later bit: after they were written none is open": "0111011101111000",
            "the open bits are the wrong ones: with which bits do the numbers right below the middle begin?": "00000010",
            "the settled bit comes before the open ones, and yours comes after them": "11100010",
        },
    )
    hint = "a step around the middle leaves a bit open, and finish writes it behind the first of its two bits"
    check_code(
        [(middle, 1)],
        "011",
        hint,
        mistakes={
            "an interval around the middle is doubled too: take off QUARTER, and leave a bit open": "10000000",
            "a bit is open at finish: it is written behind the first of the last two bits": "01000000",
        },
    )
    for symbols, want in (([1, 0], "01001"), ([1, 2], "10101"), ([1, 1], "0111")):
        check_code([(middle, symbol) for symbol in symbols], want, f"symbols {symbols} of [1, 2, 1]: {hint}")


def test_encoder_names_a_quarter_inside():
    hint = "the last two bits are 01 if the interval reaches below the second quarter, else 10"
    check_code([([1, 3], 0)], "0001", f"symbol 0 of [1, 3]: {hint}")
    check_code(
        [([1, 3], 1)],
        "10",
        f"symbol 1 of [1, 3]: {hint}",
        mistakes={
            "symbol 1 of [1, 3] begins with the second quarter, so the last two bits are 10, and you have 01": "01000000"
        },
    )
    hint = "around the middle, then [1, 3] above its first quarter: a bit is open when finish writes its two"
    check_code([([1, 2, 1], 1), ([1, 3], 1)], "100", hint)


def check_not_coded(steps):
    """Assert that before each step what cannot be coded is refused, and leaves the encoder as it was."""
    for why, *refused in (
        ("symbol 1 of [3, 0, 4] has frequency 0", [3, 0, 4], 1),
        ("there is no symbol 2 in [1, 1]", [1, 1], 2),
        ("there is no symbol -1", [1, 1], -1),
    ):
        encoder = Encoder()
        hint = f"{why}, so it cannot be coded"
        check_refused(hint, encoder.encode, *refused)
        unspoilt = f"{why}, and after that refusal the encoder should be as before: check the symbol before you narrow"
        try:
            for step in steps:
                encoder.encode(*step)
                check_refused(hint, encoder.encode, *refused)
            found = encoder.finish()
        except ValueError as error:  # from a later step: the interval is empty
            raise AssertionError(unspoilt) from error
        check_equal(in_bits(found), in_bits(coded(steps)), unspoilt)


def test_encoder_refuses_what_cannot_be_coded():
    check_not_coded([([2, 1, 1], 1), ([1, 2, 1], 1)])


# %% test="encoder-exact" of="encoder" points=2
def exact_code(steps):
    """The same code as one exact number, of which nothing is settled before the end: far too slow for a long text."""
    low, high, place, bits = 0, WHOLE - 1, 0, 2
    for frequencies, symbol in steps:
        size, total = high - low + 1, sum(frequencies)
        start = sum(frequencies[:symbol])
        low, high = low + size * start // total, low + size * (start + frequencies[symbol]) // total - 1
        while fitting := [offset for offset in (0, HALF, QUARTER) if offset <= low and high < offset + HALF]:
            low, high, place, bits = (
                2 * (low - fitting[0]),
                2 * (high - fitting[0]) + 1,
                2 * (place + fitting[0]),
                bits + 1,
            )
    number = (place + (QUARTER if low < QUARTER else HALF)) // QUARTER
    return (number << (-bits % 8)).to_bytes((bits + 7) // 8, "big")


def random_steps(seed, size, total, length):
    """Steps whose symbols are drawn by their frequencies, a new table at each."""
    generator = random.Random(seed)
    steps = []
    for _ in range(length):
        cuts = [0, *sorted(generator.sample(range(1, total), size - 1)), total]
        table = [end - start for start, end in pairwise(cuts)]
        steps.append((table, generator.choices(range(size), weights=table)[0]))
    return steps


def check_exact(seed, *sizes):
    """Assert that random tables of some sizes, `(symbols, total, length)`, give the exact code."""
    for size, total, length in sizes:
        steps = random_steps(seed, size, total, length)
        hint = "random tables: the code is not the one that exact arithmetic gives"
        check_equal(in_bits(coded(steps)), in_bits(exact_code(steps)), hint)


def around_the_middle(times, last):
    """Steps in which the interval shrinks around the middle for long."""
    narrow_middle = [TOTAL // 2 - 1, 2, TOTAL // 2 - 1]
    return [(narrow_middle, 1)] * 12 + [([1, 2, 1], 1)] * times + [(narrow_middle, last)]


def check_long_middle(times):
    """Assert that bits that stay open for long are settled in the end."""
    for last in (0, 1, 2):
        steps = around_the_middle(times, last)
        hint = "an interval that shrinks around the middle for long: open bits go wrong"
        check_equal(in_bits(coded(steps)), in_bits(exact_code(steps)), hint)


def test_encoder_gives_the_exact_number():
    check_exact(0, (2, 3, 20), (5, 1000, 20), (40, TOTAL, 20), (3, 7, 1))
    check_long_middle(10)


def test_encoder_gives_the_exact_number_hidden():
    seed = fresh_seed()
    check_exact(seed, (2, 3, 60), (5, 1000, 60), (40, TOTAL, 60))
    for i in range(60):  # short codes, so many that some end at a whole byte and some with either quarter
        check_exact(seed + i, (3, 7, 1 + i % 9))


def test_encoder_at_the_middle_for_long_hidden():
    check_long_middle(30 + fresh_seed() % 20)


def test_encoder_refuses_hidden():
    check_not_coded(random_steps(fresh_seed(), 4, 50, 5))


# %% test="encoder-length" of="encoder" points=1
def test_the_code_is_as_long_as_the_surprise():
    steps = random_steps(5, 12, TOTAL, 400)
    ideal = sum(-math.log2(table[symbol] / sum(table)) for table, symbol in steps)
    bits = 8 * len(coded(steps))
    assert bits <= 1.001 * ideal + 64, (
        f"{bits} bits for a surprise of {ideal:.0f}: what is written twice, or too early?"
    )
    assert bits >= ideal - 1, f"{bits} bits are fewer than the surprise of {ideal:.0f}: something cannot be read back"


# %% [markdown]
# The decoder does the same with one thing more: it sees the code's bits, and asks in whose part they lie.
#
# <details><summary>Hint: a way that needs no formula</summary>
#
# `narrow` gives the part of each symbol. The symbol whose part holds `code` is the answer. That is right, and slow where
# there are many symbols.
#
# </details>
#
# <details><summary>Hint: a faster way</summary>
#
# The part of a symbol begins at `low + size * start // total`, where `start` is what the frequencies of the symbols below
# it add up to. What is the largest whole number `start` for which that is at most `code`? The symbol is the one among
# whose frequencies that number is.
#
# </details>
#
# <details><summary>Hint: the largest start</summary>
#
# The division rounds down, so dividing back is not enough. For whole numbers, `x // total <= y` says the same as
# `x < (y + 1) * total`.
#
# </details>
#
# <details><summary>Hint: after the symbol</summary>
#
# Whatever is taken off `low` and `high` is taken off `code` too.
#
# </details>

# %% exercise="decoder" difficulty=4 importance=5 minutes=40 given_methods="__init__ next_bit"
from solutions.language_model import Decoder


# %% test="decoder" points=2
def check_decoded(data, tables, want, hint, mistakes=checks.NONE, lost=""):
    """Assert that a decoder finds the symbols that a code holds, for given tables of frequencies.

    `lost` is asked where the first symbols are right and the decoder fails at a later one.
    """
    decoder, found = Decoder(data), []
    for table in tables:
        try:
            found.append(decoder.decode(table))
        except (IndexError, StopIteration, TypeError, UnboundLocalError, ValueError, ArithmeticError) as error:
            asked = f": {lost}" if found and found == want[: len(found)] else ""
            failed = f"your decoder fails at symbol {len(found)} with {type(error).__name__}{asked}"
            raise AssertionError(f"{hint}: {failed}") from error
    check_equal(found, want, hint, mistakes=mistakes)


def check_read(steps, hint):
    """Assert that the decoder gets the symbols of some steps back from their exact code."""
    check_decoded(exact_code(steps), [table for table, _ in steps], [symbol for _, symbol in steps], hint)


MOVES = "the code should move as both ends do: what zoom says is taken off `code`, too, before it is doubled"


def test_decoder_moves_on():
    check_decoded(
        bytes([0b10000000]),
        [[1, 1]] * 2,
        [1, 0],
        "with [1, 1] the bits 1 and 0 are symbols 1 and 0",
        mistakes={MOVES: [1, 1], "every symbol comes out one too high": [2, 1]},
        lost="is what zoom says taken off `code`, too, before that is doubled?",
    )


def test_decoder_reads_settled_bits():
    check_decoded(
        bytes([0b01011001]),
        [[2, 1, 1]] * 4,
        [0, 1, 2, 0],
        "bits 0, 10, 11, 0 are symbols 0, 1, 2, 0 of [2, 1, 1]",
        mistakes={
            "every symbol comes out one too high": [1, 2, 3, 1],
            "these are the frequencies that the code falls on: the symbols to whose parts they belong are wanted": [
                1,
                2,
                3,
                0,
            ],
            MOVES: [0, 1, 2, 2],
        },
    )
    bits = [0, 1, 0, 1, 1, 0, 0, 1] * 5
    check_decoded(
        bytes([0b01011001] * 5),
        [[1, 1]] * 40,
        bits,
        "with [1, 1] each bit is a symbol, all 40 of them",
        mistakes={
            "from the 33rd bit on it goes wrong: the interval only shrinks, and should be doubled as zoom says": [
                *bits[:32],
                *[1] * 8,
            ],
            "from the 33rd bit on zeros are read: each time the code is doubled it needs the next bit": [
                *bits[:32],
                *[0] * 8,
            ],
        },
    )
    hint = "each of sixteen equal symbols takes four bits: double as often as zoom allows"
    check_decoded(bytes.fromhex("0123456789abcdef" * 2), [[1] * 16] * 32, [*range(16)] * 2, hint)


def test_decoder_reads_open_bits():
    hint = "three steps around the middle, then the lowest quarter"
    check_decoded(bytes([0b01110010]), [[1, 2, 1]] * 4, [1, 1, 1, 0], hint)
    hint = "forty steps around the middle: the middle is doubled, too"
    check_read([([1, 2, 1], 1)] * 40 + [([1, 2, 1], 2)], hint)


# %% test="decoder-exact" of="decoder" points=2
def check_ends_of_parts(table):
    """Assert that the first and the last number of each symbol's part are read as this symbol."""
    ends = [sum(table[:symbol]) for symbol in range(len(table) + 1)]
    first = [WHOLE * end // ends[-1] for end in ends]
    for symbol in range(len(table)):
        hint = "a code at the very beginning of a part belongs to that part: mind how narrow rounds"
        check_decoded(first[symbol].to_bytes(4, "big"), [table], [symbol], hint)
        hint = "a code at the very end of a part belongs to that part: count both ends, and mind how narrow rounds"
        check_decoded((first[symbol + 1] - 1).to_bytes(4, "big"), [table], [symbol], hint)


def check_gaps(symbols):
    """Assert that symbols of frequency 0 are passed over."""
    check_read([([1, 0, 2, 0, 0, 1, 0], symbol) for symbol in symbols], "symbols of frequency 0 have no part")


def check_long_codes(seed, length):
    """Assert that codes of many random tables are read."""
    for size, total, count in ((2, 3, length), (5, 1000, length), (40, TOTAL, length), (3, 7, 1)):
        check_read(random_steps(seed, size, total, count), "random tables: other symbols come out than went in")


def test_decoder_reads_exact_codes():
    for table in ([1, 2], [1, 1, 1], [1, 1, 1, 1], [TOTAL // 2, TOTAL // 2]):
        check_ends_of_parts(table)
    start, total = TOTAL - 1 - (1 << 16), TOTAL - 1
    hint = "frequencies in the millions: a place in the interval is exact in whole numbers only, not as a float"
    check_decoded((WHOLE * start // total).to_bytes(4, "big"), [[start, total - start]], [1], hint)
    check_gaps([2, 5, 0, 2, 2, 0, 5])
    check_long_codes(0, length=20)
    check_read(around_the_middle(10, 2), "an interval that shrinks around the middle for long")


def test_decoder_reads_exact_codes_hidden():
    check_long_codes(fresh_seed(), length=60)


def test_decoder_at_the_edges_hidden():
    seed = fresh_seed()
    for size, total in ((5, 11), (40, TOTAL)):
        check_ends_of_parts(random_steps(seed, size, total, 1)[0][0])
    check_gaps(random.Random(seed).choices([0, 2, 5], k=7))
    check_read(around_the_middle(30 + seed % 20, 2), "an interval that shrinks around the middle for long")


# %% [markdown]
# ## Any model, any text
#
# What drives the coder is an object with a method `frequencies(history)`. `Recent`, above, is a simple one: it expects
# what it has seen lately. Note what the receiver knows: the model, and the symbols decoded so far. Nothing else.

# %% exercise="compress" difficulty=2 importance=5 minutes=20 replaces="zlib gzip bz2 lzma"
from solutions.language_model import compress, decompress


# %% test="compress" points=2
def exact_file(model, symbols):
    """The file that compressing should give."""
    steps = [(model.frequencies(symbols[:i]), symbol) for i, symbol in enumerate(symbols)]
    return len(symbols).to_bytes(4, "big") + exact_code(steps)


def symbols_of(found):
    """What `decompress` gives, as a list."""
    assert isinstance(found, list | tuple | bytes | bytearray), (
        f"decompress should give a list of symbols, but the result is {called(found)}"
    )
    return list(found)


def test_compress_by_hand():
    model, text = Recent(vocab_size=256, window=3), b"abracadabra"
    data, want = compress(model, text), exact_file(model, text)
    assert isinstance(data, bytes), f"the compressed text should be bytes, but it is {called(data)}"
    check_equal(
        data[:4],
        bytes([0, 0, 0, 11]),
        "the file should begin with the number of symbols, 11, in four bytes, the highest first",
        mistakes={
            "the number of symbols has its highest byte first, and yours its lowest": bytes([11, 0, 0, 0]),
            "the number of symbols is missing: your file begins with the code": want[4:8],
        },
    )
    check_equal(
        data[4:],
        want[4:],
        "after the number should come the code, each symbol under what the model expects after those before it",
        mistakes={
            "the model is shown the symbol that it should predict, and the receiver does not know it yet": lambda: (
                exact_code([(model.frequencies(text[: i + 1]), symbol) for i, symbol in enumerate(text)])
            ),
            "the model is never shown the symbols before: its frequencies are those of the beginning": lambda: (
                exact_code([(model.frequencies(b""), symbol) for symbol in text])
            ),
            "the model is shown the symbols before in reverse order": lambda: exact_code(
                [(model.frequencies(text[:i][::-1]), symbol) for i, symbol in enumerate(text)]
            ),
            "the model is shown the last symbol only, and should be shown all those before": lambda: exact_code(
                [(model.frequencies(text[max(0, i - 1) : i]), symbol) for i, symbol in enumerate(text)]
            ),
            "every symbol has a code of its own: one encoder should take them all": lambda: b"".join(
                exact_code([(model.frequencies(text[:i]), symbol)]) for i, symbol in enumerate(text)
            ),
        },
    )


def test_compress_many_symbols():
    hint = "300 symbols are 1 times 256 and 44: the file begins with the bytes 0, 0, 1, 44"
    try:
        data = compress(Recent(vocab_size=2, window=3), [0] * 300)
    except (ValueError, OverflowError) as error:
        raise AssertionError(f"{hint}, and your code fails") from error
    check_equal(data[:4], bytes([0, 0, 1, 44]), hint)


def test_decompress_reads_the_number():
    model = Recent(vocab_size=1, window=3)  # there is nothing but 0, so only their number matters
    check_equal(
        symbols_of(decompress(model, exact_file(model, [0] * 256))),
        [0] * 256,
        "a file that begins with the bytes 0, 0, 1, 0 holds 256 symbols",
        mistakes={
            "the number of symbols takes four bytes, and you read too few of them": [],
            "the number of symbols has its highest byte first, and you take the first for the lowest": [0] * 65536,
            "the last symbol is missing": [0] * 255,
        },
    )


def test_decompress_by_hand():
    model, text = Recent(vocab_size=256, window=3), b"abracadabra"
    found = symbols_of(decompress(model, exact_file(model, text)))
    hint = "decompress does not give back what exact arithmetic has coded"
    if len(found) == len(text) and found[0] == text[0]:
        hint = (
            "the first symbol comes back, later ones do not: show the model all symbols decoded so far, in their order"
        )
    check_equal(
        found,
        list(text),
        hint,
        mistakes={
            "the last symbol is missing": list(text[:-1]),
            "the symbols come back in the wrong order": list(text[::-1]),
        },
    )


def check_bytes(seed, *texts):
    """Assert that texts are compressed exactly and come back."""
    for text in texts:
        model = Recent(256, 5 + seed % 20)
        hint = "any bytes, an empty text too, should come back as they were"
        try:
            data = compress(model, text)
            found = symbols_of(decompress(model, exact_file(model, text)))
        except (IndexError, ValueError, OverflowError, ZeroDivisionError) as error:
            raise AssertionError(f"{hint}, without an error") from error
        want = exact_file(model, text)
        check_equal(data, want, "a compressed file differs from the exact one: number of symbols, then code")
        check_equal(found, list(text), hint)


def check_symbols(symbols):
    """Assert that a list of numbers below 1,000 comes back."""
    hint = "symbols need not be bytes: 1,000 different ones should work as well"
    model = Recent(vocab_size=1000, window=3)
    try:
        data = compress(model, symbols)
        found = symbols_of(decompress(model, exact_file(model, symbols)))
    except (ValueError, OverflowError) as error:
        raise AssertionError(hint) from error
    check_equal(data, exact_file(model, symbols), hint)
    check_equal(found, symbols, hint)


def test_compress_any_symbols():
    check_bytes(0, b"", b"\x00", b"\xff" * 20)
    check_symbols([999, 0, 256, 256, 7])


def check_refused_files():
    """Assert that files that are too short and symbols that cannot be coded are refused."""
    model = Recent(vocab_size=256, window=8)
    hint = "four bytes of 0 say that no symbols follow: an empty text"
    check_equal(symbols_of(decompress(model, bytes(4))), [], hint)
    for data in (b"", b"\x00\x00\x00"):
        check_refused("fewer than four bytes cannot say how many symbols follow", decompress, model, data)
    check_refused("symbol 3 has no frequency", compress, Recent(vocab_size=3, window=8), [0, 3])


def test_compress_refuses():
    check_refused_files()


# %% test="compress-any" of="compress" points=2
def test_compress_any_bytes_hidden():
    seed = fresh_seed()
    made = [made_up(seed, 60, bytes(range(256))), made_up(seed, 60, b"\x00\xff")]
    check_bytes(seed, b"", b"\x00", b"\xff" * 40, *made)


def test_compress_other_symbols_hidden():
    check_symbols(token_ids(fresh_seed(), 1000, 25).tolist())
    check_refused_files()


# %% test="compress-size" of="compress" points=1
def test_a_file_is_as_long_as_the_surprise():
    model, text = Recent(256, 200), corpus.text("heldout", 300).encode()
    tables = [model.frequencies(text[:i]) for i in range(len(text))]
    ideal = sum(-math.log2(table[byte] / sum(table)) for table, byte in zip(tables, text, strict=True))
    bits = 8 * len(compress(model, text))
    assert bits <= 1.001 * ideal + 64, (
        f"{bits} bits for a surprise of {ideal:.0f} bits: is the model asked at every step?"
    )
    assert bits >= ideal, f"{bits} bits for a surprise of {ideal:.0f} bits: something is missing in the file"


# %% [markdown]
# ## All together
#
# The last test uses your own parts: your chain learns from documentation, its probabilities become frequencies, the
# frequencies drive your coder.

# %% given="byte-model"
from solutions.language_model import ByteModel


# %% test="integration" of="integration" points=4
def test_your_chain_compresses():
    learned_from, text = corpus.text("train", 8_000).encode(), corpus.text("heldout", 200).encode()
    chain = NGram(learned_from, 3)
    data = compress(ByteModel(chain), text)
    assert data[:4] == len(text).to_bytes(4, "big"), "your file does not begin with the number of symbols: see compress"
    steps = [(quantise(chain.probabilities(text[:i])), byte) for i, byte in enumerate(text)]
    assert data[4:] == exact_code(steps), (
        "your file is not the one that exact arithmetic makes of your frequencies: see narrow, zoom, Encoder and compress"
    )
    assert list(decompress(ByteModel(chain), data)) == list(text), (
        "your file is right, but does not give the text back: see Decoder and decompress"
    )
    bits = surprise(chain.rows(text), torch.tensor(list(text))).sum().item()
    size = 8 * len(data)
    assert bits < size < 1.002 * bits + 64, (
        f"{size} bits for a surprise of {bits:.0f}: your file should cost hardly more"
    )
    assert size < 8 * len(compress(ByteModel(NGram(learned_from, 1)), text)), (
        "your trigrams should need less than single bytes"
    )


# %% [markdown]
# ## The contest
#
# Your chain against compressors that are on every machine. Two forms, both fair: *fresh*, where a program starts from
# nothing, and *primed*, where sender and receiver have the same training text beforehand. Your `NGram` has read that
# text, so its rivals may have it too.
#
# As in the chapter, twelve slices come from all over the held-out documentation. There, the chain had order 6 and had
# read the whole training text. Yours reads 500 KB of it, from all over, and plays at orders 1 to 8. All programs know less,
# so all need more bits. Do they finish in the order of the chapter's figure, and which order is best?
#
# Your chain is scored by its surprise, which your coder's files exceed by a few bits. It begins anew with each slice,
# while the rivals pack all slices in one piece, which can only help them. It has read the training text, so it runs among
# the primed; the fresh rivals are printed for comparison. The slices are another passage than that of "From probabilities
# to whole numbers", so the bits of the two are not comparable.
#
# Two guesses first. A chain of order 5 that has read the training text backwards, from its last byte to its first, meets
# the slices backwards as well: how many more (or fewer, a number below 0) bits per byte does it need than forwards? And
# how many does the ordinary chain of order 5 need for the same slices in CAPITALS?

# %% run
if __name__ == "__main__":
    predicted_backwards = None  # your guess: the bits per byte beyond those that it needs forwards
    predicted_capitals = None  # your guess: 8 would be no compression at all

# %% given="contest"
from labkit.testing.oracles import rivals
from solutions.language_model import primed


def slices(text: bytes, how_many: int, size: int) -> list[bytes]:
    """Slices of a text, at equal distances."""
    step = len(text) // how_many
    return [text[start : start + size] for start in range(step // 2, how_many * step, step)]


def mean_bits(chain: NGram, texts: list[bytes]) -> float:
    """Bits per byte over some texts, each of which begins anew."""
    spent = sum(surprise(chain.rows(text), torch.tensor(list(text))).sum().item() for text in texts)
    return spent / sum(map(len, texts))


# %% run
if __name__ == "__main__":
    import matplotlib.pyplot as plt

    with unless_blank():
        before = b"".join(slices(corpus.text("train").encode(), 50, 10_000))
        texts = slices(corpus.text("heldout").encode(), 12, 250)
        chain, by_order = NGram(before, 8), {}
        for n in range(1, 9):
            chain.n = n  # the counts of all shorter contexts are there
            by_order[n] = mean_bits(chain, texts)
            print(f"order {n}: {by_order[n]:.2f} bits per byte")
        in_one = b"".join(texts)
        fresh = {name: 8 * len(rival(in_one)) / len(in_one) for name, rival in rivals().items()}
        ready = {
            name: 8 * primed(rival, [in_one], before)[0] / len(in_one) for name, rival in rivals(streaming=True).items()
        }
        print("fresh: ", ", ".join(f"{name} {bits:.2f}" for name, bits in fresh.items()))
        print("primed:", ", ".join(f"{name} {bits:.2f}" for name, bits in ready.items()))
        finish = ready | {"your chain": min(by_order.values())}
        print("From first to last:", ", ".join(sorted(finish, key=finish.get)))

        plt.figure(figsize=(6, 3))
        plt.plot(list(by_order), list(by_order.values()), marker="o")
        plt.text(1.2, by_order[1], "your chain", color="C0", va="center")
        in_line = sorted(ready, key=ready.get)
        for color, name, va in zip(("C1", "C2", "C3"), in_line, ("top", "bottom", "bottom"), strict=True):
            plt.axhline(ready[name], color=color, linestyle="--", linewidth=1)
            plt.text(0.8, ready[name], f"{name}, primed", color=color, va=va)
        plt.title("Your chain, and rivals that know the same text")
        plt.xlabel("order of the chain")
        plt.ylabel("bits per byte of the slices")
        plt.margins(y=0.15)
        plt.show()

# %% [markdown]
# <details><summary>What the contest shows</summary>
#
# The programs finish in the order of the chapter's figure. Why does the curve turn upward? The longer contexts are, the
# rarer they are. But rarity alone would not hurt, since a chain may always hand over to the shorter context. The rule has
# its share in it: after a context that occurred once it hands over t / (c + t), a half, and bets the other half on the one
# byte that followed. In a text that was not read that bet is often lost. With another weight the curve looks different,
# and so does the contest: see the first suggestion at the end.
#
# </details>
#
# And how did your guesses turn out?

# %% run
if __name__ == "__main__":
    with unless_blank():
        chain.n = 5
        capitals = mean_bits(chain, [text.upper() for text in texts])
        backwards = mean_bits(NGram(before[::-1], 5), [text[::-1] for text in texts])
        more = round(backwards - by_order[5], 3)
        compare_prediction("the extra cost of backwards", predicted_backwards, more, unit="bits per byte")
        compare_prediction("in capitals", predicted_capitals, round(capitals, 2), unit="bits per byte")

# %% [markdown]
# <details><summary>Why so little for one, and so much for the other?</summary>
#
# By the chain rule the probability of a text is a product of conditional probabilities from either end, and both products
# are the same number: a text has the same entropy in both directions. That holds for a memory of four bytes as well: what
# one byte adds to the four beside it is the entropy of five bytes in a row less that of four, and both are the same
# backwards. What is left comes from the rule's estimates, as the contexts on either side are not equally rare.
#
# Capitals, on the other hand, are other bytes. To a table of counts THE has nothing in common with the: most contexts of
# the slices in capitals are unknown, or known from other uses.
#
# </details>
#
# What does each order write?

# %% run tags=["nbval-ignore-output"]
if __name__ == "__main__":
    with unless_blank():
        for n in range(1, 9):
            print(f"order {n}: {sample_chain(chain.followers, n, 120, seed=1).decode(errors='replace')!r}")

# %% [markdown]
# Shannon's game, played by the chain of order 5: how often is its first guess right, and between which bounds does the
# entropy lie? Compare them with the chain's mean surprise.

# %% run
if __name__ == "__main__":
    with unless_blank():
        chain.n = 5
        rows, symbols = torch.cat([chain.rows(text) for text in texts]), torch.tensor(list(in_one))
        ranks, bits = guess_ranks(rows, symbols), surprise(rows, symbols)
        lower, upper = guess_bounds(ranks)
        spelled = [bytes([byte]) for byte in in_one]
        print(f"the first guess is right {(ranks == 1).double().mean():.0%} of the time")
        print(f"by the numbers of guesses between {lower:.2f} and {upper:.2f} bits a byte; surprise {bits.mean():.2f}")
        print(f"perplexity {perplexity(bits):.1f} a byte, {bits_per_byte(bits, spelled):.2f} bits per byte")

# %% [markdown]
# ## Your own text, byte by byte
#
# Put a text of your own in place of the one below. Each letter is shaded by what it cost your chain: white costs nothing,
# full orange 10 bits or more. Then your coder makes a file of it, with the chain of order 5, and reads the file back.

# %% given="shaded"
import html

from IPython.display import HTML, display


def shaded(text: str, chain: NGram) -> HTML:
    """A text whose letters are shaded by their surprise: that of all bytes of a letter."""
    data = text.encode()
    bits = surprise(chain.rows(data), torch.tensor(list(data))).tolist()
    letters, place = [], 0
    for letter in text:
        spent = sum(bits[place : place + len(letter.encode())])
        place += len(letter.encode())
        style = f"background: rgb(255, {255 - 11 * min(spent, 10):.0f}, {255 - 20 * min(spent, 10):.0f}); color: #111"
        shown = html.escape(letter).replace("\n", "⏎\n")
        letters.append(f'<span title="{spent:.1f} bits" style="{style}">{shown}</span>')
    return HTML(f'<pre style="white-space: pre-wrap; line-height: 1.7">{"".join(letters)}</pre>')


# %% run
if __name__ == "__main__":
    my_text = """The method returns a list of strings. Dear reader, write something of your own here.
    for i in range(10): print(i)
"""

    with unless_blank():
        for n in (1, 3, 5):
            chain.n = n
            print(f"order {n}: {mean_bits(chain, [my_text.encode()]):.2f} bits per byte")
            display(shaded(my_text, chain))
        file = compress(ByteModel(chain), my_text.encode())
        print(f"{len(my_text.encode())} bytes became {len(file)}:", file.hex(" "))
        print(bytes(decompress(ByteModel(chain), file)).decode())

# %% [markdown]
# ## An exploration of your own
#
# Nothing here is graded. Choose a question, guess the answer before you measure it, and write down what you found. Three
# suggestions:
#
# - *Another rule.* Witten and Bell hand over t times the shorter context's probability. Hand over a · t instead, with
#   c + a · t below the line; a may be far above 1. Which a is best for held-out text, at order 3 and at order 6, and can
#   you say why? With that a, which order is best, and who wins the contest?
# - *A mixture.* Take the mean of the probabilities of two chains, say of orders 4 and 7, or of a chain that has read the
#   training text and one that has read only the text so far. Does the mixture need fewer bits than the better of the two?
# - *Where the bits go.* Which bytes of the slices cost most: the first letter of a word, the second, later ones, punctuation?
#   How does that change with the order of the chain?

# %% run
if __name__ == "__main__":

    class MyNGram(NGram):
        """A chain with a rule of your own; `mean_bits(MyNGram(before, 5), texts)` scores it."""

        def probabilities(self, context):
            return super().probabilities(context)  # your code

# %% [markdown]
# *What I asked, what I expected, and what came out:*
