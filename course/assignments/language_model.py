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
# as the model was surprised by it; at the end it meets gzip, bz2 and xz.
#
# Here the symbols of a text are its bytes, unless it says otherwise: `b"ab"` is a text of two symbols, 97 and 98.

# %% given="setup"
import math
import random
import re
from fractions import Fraction
from functools import partial
from itertools import accumulate, pairwise

import torch
import torch.nn.functional as F

from labkit import corpus
from labkit.testing import checks, probes
from labkit.testing.checks import check_refused, token_ids
from labkit.testing.answers import fresh_seed
from labkit.predictions import compare_prediction
from solutions.language_model import HALF, QUARTER, TOTAL, WHOLE, Followers, Model, Recent


# %% given="helpers"
check_tensor = partial(checks.check_tensor, tolerance=1e-9)


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
    for off in (0.2, -0.4, 1.5e-4, -1.5e-4):
        yield f"its sum is {1 + off:.6g}", (1 + off) * p
    yield "an entry is negative", torch.cat([p, torch.tensor([0.1, -0.1], dtype=p.dtype)])
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
# `text[i - length : i]` is the context of byte i, and `text[i]` is the byte as a number. A slice of bytes can be the key
# of a dictionary.
#
# </details>

# %% exercise="count-followers" difficulty=2 importance=4 minutes=15
from solutions.language_model import count_followers


# %% test="count-followers" points=2
def test_count_followers_visible():
    found = count_followers(b"abab", 2)
    assert isinstance(found, dict), f"the result should be a dictionary, not {type(found).__name__}"
    assert found.get(b"") == {97: 2, 98: 2}, "the empty context stands before every byte, also before the first"
    assert found.get(b"a") == {98: 2}, "b follows a at two places of abab"
    hint = "n = 2 means contexts of 0 and of 1 byte, and only those that something follows"
    assert found == {b"": {97: 2, 98: 2}, b"a": {98: 2}, b"b": {97: 1}}, hint
    assert count_followers(b"ab", 2) == {b"": {97: 1, 98: 1}, b"a": {98: 1}}, hint
    longer = {length: count_followers(b"aaaa", 3).get(b"a" * length) for length in range(3)}
    assert longer == {0: {97: 4}, 1: {97: 3}, 2: {97: 2}}, (
        "n = 3 on aaaa: contexts of 0, 1 and 2 bytes, and places that overlap all count"
    )


def test_count_followers_of_little():
    hint = "n = 1 means the empty context alone: how often each byte occurs"
    assert count_followers(b"aba", 1) == {b"": {97: 2, 98: 1}}, hint
    hint = "a text shorter than n has fewer contexts, and an empty text has none"
    assert count_followers(b"ab", 5) == {b"": {97: 1, 98: 1}, b"a": {98: 1}}, hint
    assert count_followers(b"", 3) == {}, hint
    for n in (0, -1):
        check_refused("n counts the byte itself, so it is at least 1", count_followers, b"ab", n)


# %% test="count-followers-any" of="count-followers" points=2
def test_count_followers_any_text_hidden():
    text = made_up(fresh_seed(), 90, b"ab\n\xff")
    contexts = {text[i:j] for i in range(len(text)) for j in range(i, min(i + 4, len(text)))}
    want = {c: {b: occurrences(text, c + bytes([b])) for b in set(text)} for c in contexts}
    want = {c: {b: count for b, count in found.items() if count} for c, found in want.items()}
    assert count_followers(text, 4) == {c: found for c, found in want.items() if found}, (
        "made-up bytes: every place of every context counts, and nothing that does not occur is in the result"
    )


def test_count_followers_of_little_hidden():
    hint = "a text shorter than n has fewer contexts, and an empty text has none: no error"
    try:
        short, empty = count_followers(b"ab", 5), count_followers(b"", 3)
    except Exception as error:
        raise AssertionError(hint) from error
    assert (short, empty) == ({b"": {97: 1, 98: 1}, b"a": {98: 1}}, {}), hint
    for n in (0, -1):
        check_refused("n counts the byte itself, so it is at least 1", count_followers, b"ab", n)


# %% [markdown]
# ## Writing like Shannon
#
# In 1948 Claude Shannon let such counts write. He opened a book at random, noted a letter, read on elsewhere until he met
# that letter, noted what came after it, and so on. You have the counts, so you can draw.

# %% exercise="sample-chain" difficulty=2 importance=3 minutes=15
from solutions.language_model import sample_chain

# %% test="sample-chain" points=2
CYCLE = {b"": {97: 1}, b"a": {98: 5}, b"b": {99: 2}, b"c": {97: 4}}


def test_sample_chain_follows_the_counts():
    text = sample_chain(CYCLE, 2, 7, 0)
    assert isinstance(text, bytes) and len(text) == 7, "the result should be as many bytes as were asked for"
    assert text == b"abcabca", f"{text}: a starts, b alone follows a, c alone follows b, a alone follows c"
    known = {b"": {97: 1, 98: 1, 99: 1}}
    texts = [sample_chain(known, 1, 30, seed) for seed in (1, 1, 2)]
    assert texts[0] == texts[1], "the same seed gave two different texts: draw from a generator with this seed"
    assert texts[0] != texts[2], "two seeds gave the same text"
    assert len(set(texts[0])) == 3, "of three equally likely bytes the same is drawn again and again"


def check_shares(seed):
    """Assert that bytes are drawn as often as they followed."""
    known = {b"": {97: 1, 98: 1}, b"a": {97: 9, 98: 1}, b"b": {97: 3, 98: 2}}
    text = sample_chain(known, 2, 6000, seed)
    for context, byte, share in ((b"a", b"a", 0.9), (b"b", b"a", 0.6)):
        found = occurrences(text, context + byte) / max(1, occurrences(text[:-1], context))
        # A right answer is further off than 0.07 for fewer than one submission in a million.
        assert abs(found - share) < 0.07, (
            f"bytes are not drawn as often as they followed the byte before: after {context} came {byte} in "
            f"{found:.0%} of the cases, and it followed in {share:.0%}"
        )


def test_sample_chain_draws_by_the_counts():
    check_shares(3)


def test_sample_chain_hands_over_to_shorter_contexts():
    hint = "where the last n - 1 bytes have no followers, the longest end of them that has some decides"
    try:
        text = sample_chain(CYCLE, 4, 8, 0)
    except KeyError as error:
        raise AssertionError(hint) from error
    assert text == b"abcabcab", f"{text}: {hint}"
    starts = {b"": {97: 1}, b"a": {98: 1}, b"b": {100: 1}, b"ab": {99: 1}, b"c": {97: 1}, b"d": {97: 1}}
    for n, want in ((2, b"abda"), (3, b"abca"), (4, b"abca"), (9, b"abca")):
        text = sample_chain(starts, n, 4, 0)
        assert text == want, f"{text} for n = {n}: c alone follows ab, and d follows b where only one byte counts"


def test_sample_chain_of_nothing():
    assert sample_chain(CYCLE, 2, 0, 0) == b"", "no bytes were asked for"
    check_refused("there is nothing to draw from", sample_chain, {}, 2, 5, 0)


# %% test="sample-chain-frequencies" of="sample-chain" points=1
def test_sample_chain_frequencies_hidden():
    check_shares(fresh_seed())


def test_sample_chain_hands_over_to_shorter_contexts_hidden():
    hint = "where the last n - 1 bytes have no followers, the longest end of them that has some decides"
    try:
        text = sample_chain(CYCLE, 4, 8, fresh_seed())
    except KeyError as error:
        raise AssertionError(hint) from error
    assert text == b"abcabcab", hint
    both = CYCLE | {b"bc": {100: 1}, b"d": {97: 1}}
    assert sample_chain(both, 3, 6, fresh_seed()) == b"abcdab", (
        "the longest context that has followers decides, not a shorter one"
    )
    assert sample_chain(CYCLE, 2, 0, fresh_seed()) == b"", "no bytes were asked for"
    check_refused("there is nothing to draw from", sample_chain, {}, 2, 5, 0)


# %% [markdown]
# ## An opinion about everything
#
# Counts alone hold most texts impossible: any pair that did not occur gets probability 0. Every good n-gram model is
# therefore a mixture of long contexts and short ones. Witten and Bell's rule is among the simplest. It asks how often the
# context was followed by something *new*: a context with many different followers may well meet another one, so it hands
# more over to the shorter context.
#
# <details><summary>Hint</summary>
#
# Begin with the uniform distribution, and let the contexts correct it, from the empty one to the longest.
#
# </details>

# %% exercise="witten-bell" difficulty=3 importance=4 minutes=25 given_methods="__init__ rows"
from solutions.language_model import NGram


# %% test="witten-bell" points=3
def exact(text, n, context):
    """The rule in exact fractions, from the longest context down: what each leaves over, the next one shares out."""
    found, left = [Fraction(0)] * 256, Fraction(1)
    context = context[max(0, len(context) - n + 1) :]
    for start in range(len(context) + 1):
        counts = {b: occurrences(text, context[start:] + bytes([b])) for b in set(text)}
        seen, different = sum(counts.values()), sum(count > 0 for count in counts.values())
        if seen:
            for byte, count in counts.items():
                found[byte] += left * Fraction(count, seen + different)
            left *= Fraction(different, seen + different)
    return torch.tensor([float(p + left / 256) for p in found], dtype=torch.float64)


def test_witten_bell_by_hand():
    p = NGram(b"aab", 1).probabilities(b"")
    assert isinstance(p, torch.Tensor) and p.shape == (256,), "a probability for each of the 256 bytes is wanted"
    hint = "aab has 3 bytes, 2 different: a gets (2 + 2/256) / 5, and a byte that never occurred (0 + 2/256) / 5"
    check_tensor(p[[97, 98, 99]], torch.tensor([2 + 2 / 256, 1 + 2 / 256, 2 / 256], dtype=torch.float64) / 5, hint)
    check_tensor(p.double().sum(), torch.tensor(1.0, dtype=torch.float64), "the probabilities do not add up to 1")
    p = NGram(b"aab", 2).probabilities(b"a")
    want = (1 + 2 * (2 + 2 / 256) / 5) / 4
    assert abs(p[97].item() - want) < 1e-9, (
        f"after a came a and b: a gets (1 + 2 x its chance without context) / 4 = {want:.4f}"
    )
    assert p.dtype == torch.float64, f"the probabilities should be in float64, not {p.dtype}"


def test_witten_bell_takes_the_end_of_the_context():
    text = b"abcabdaab"
    hint = "not the rule in exact fractions: is it the end of the context that counts, each length once?"
    for n in (2, 3, 4):
        model = NGram(text, n)
        for context in (b"b", b"ab", b"cab", b"abcab"):
            check_tensor(model.probabilities(context), exact(text, n, context), f"{hint} (n = {n}, after {context})")


def check_empty(n, context):
    """Assert that after an empty text every byte is equally likely."""
    try:
        found = NGram(b"", n).probabilities(context)
    except Exception as error:
        raise AssertionError("after an empty text every byte is equally likely: no error") from error
    uniform = torch.full((256,), 1 / 256, dtype=torch.float64)
    check_tensor(found, uniform, "after an empty text every byte is equally likely")
    assert found.dtype == torch.float64, "the probabilities should be in float64 after an empty text too"


def test_witten_bell_knows_nothing():
    for n in (1, 3):
        check_empty(n, b"abc")
    model = NGram(b"aabab", 3)
    hint = "a context that never occurred says nothing: the shorter one decides alone"
    check_tensor(model.probabilities(b"za"), model.probabilities(b"a"), hint)
    check_tensor(model.probabilities(b"zz"), exact(b"aabab", 3, b""), hint)


# %% test="witten-bell-any" of="witten-bell" points=2
def test_witten_bell_in_exact_fractions_hidden():
    seed = fresh_seed()
    text = made_up(seed, 60, b"abc\xff")
    for n in (1, 2, 4):
        model = NGram(text, n)
        for context in (b"", b"a", b"ca", text[:3], text[-3:], b"zab", b"aza", b"abz", text[10:20]):
            hint = "not the rule in exact fractions: is it the end of the context that counts, each length once?"
            check_tensor(model.probabilities(context), exact(text, n, context), hint)


def test_witten_bell_knows_nothing_hidden():
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
# One number says how good a model is: how surprised it was, on average, by what came. Neural networks give logits and
# are measured in nats, the natural logarithm; files are measured in bits.
#
# <details><summary>Hint</summary>
#
# $-\ln \mathrm{softmax}(x)_i = \ln \sum_j e^{x_j} - x_i$. Torch has a function for the first term that does not overflow.
#
# </details>

# %% exercise="cross-entropy" difficulty=2 importance=5 minutes=15 replaces="torch.nn.functional.cross_entropy torch.nn.functional.nll_loss torch.nn.CrossEntropyLoss torch.nn.NLLLoss torch._C._nn.cross_entropy_loss torch._C._nn.nll_loss_nd torch._C._nn.nll_loss2d"
from solutions.language_model import cross_entropy


# %% test="cross-entropy" points=2
def test_cross_entropy_matches_torch():
    even = cross_entropy(torch.zeros(3, 5), torch.tensor([0, 4, 2]))
    assert isinstance(even, torch.Tensor) and even.ndim == 0, "the mean should be a tensor without axes"
    assert abs(even.item() - math.log(5)) < 1e-6, f"5 equally likely symbols: ln 5 = 1.609 nats, not {even.item():.4g}"
    logits, targets = torch.linspace(-3, 4, 28).view(4, 7).sin() * 3, torch.tensor([0, 6, 3, 3])
    check_tensor(
        cross_entropy(logits, targets),
        F.cross_entropy(logits, targets),
        "not the mean of -ln softmax at the targets",
        tolerance=1e-5,
    )
    large = torch.tensor([[3000.0, 2999.0, 0.0]])
    hint = "logits in the thousands: e to the power of 3000 is infinite, so take the largest off first"
    check_tensor(
        cross_entropy(large, torch.tensor([1])), F.cross_entropy(large, torch.tensor([1])), hint, tolerance=1e-4
    )


def check_axes(seed, *shapes):
    """Assert that value and gradients are right for targets of any axes."""
    for shape in shapes:
        logits, targets = 3 * distributions(seed, math.prod(shape), 6).log().view(*shape, 6), token_ids(seed, 6, *shape)
        want = F.cross_entropy(logits.flatten(0, -2), targets.flatten())
        hint = "wrong where targets have several axes: the mean goes over all of them"
        check_tensor(cross_entropy(logits, targets), want, hint)
    found = probes.gradients(cross_entropy, logits, targets)["input.0"]
    want = probes.gradients(lambda x, t: F.cross_entropy(x.flatten(0, -2), t.flatten()), logits, targets)["input.0"]
    check_tensor(found, want, "no right gradient reaches the logits: a model could not learn from this", tolerance=1e-6)


def check_misfits(size):
    """Assert that targets that do not fit the logits are refused."""
    hint = "an empty text, or targets whose shape is not that of the logits without the last axis"
    check_refused(hint, cross_entropy, torch.zeros(0, size), torch.zeros(0, dtype=torch.long))
    check_refused(hint, cross_entropy, torch.zeros(4, size), torch.zeros(3, dtype=torch.long))
    check_refused(hint, cross_entropy, torch.zeros(4, 3, size), torch.zeros(4, dtype=torch.long))


def test_cross_entropy_of_several_axes():
    check_axes(1, (2, 3))


def test_cross_entropy_refuses_what_does_not_fit():
    check_misfits(5)


# %% test="cross-entropy-any" of="cross-entropy" points=1
def test_cross_entropy_any_axes_hidden():
    check_axes(fresh_seed(), (4,), (2, 3), (2, 1, 5))


def test_cross_entropy_refuses_hidden():
    check_misfits(2 + fresh_seed() % 9)


# %% exercise="surprise" difficulty=1 importance=5 minutes=10
from solutions.language_model import surprise


# %% test="surprise" points=1
def test_surprise_in_bits():
    rows = torch.tensor([[0.5, 0.25, 0.25], [0.125, 0.875, 0.0]])
    found = surprise(rows, torch.tensor([1, 0]))
    hint = "probabilities of 1/4 and 1/8 are 2 and 3 bits of surprise, one number a symbol"
    check_tensor(
        found.double() if isinstance(found, torch.Tensor) else found,
        torch.tensor([2.0, 3.0]).double(),
        hint,
        tolerance=1e-6,
    )
    never = surprise(rows, torch.tensor([0, 2]))[1].item()
    assert never == math.inf, f"what was held impossible has infinite surprise, not {never}"


def check_rows_refused(seed):
    """Assert that a row that is no distribution is refused, though the other one is one."""
    for why, row in spoilt(seed):
        rows = torch.stack([distributions(seed, 1, len(row))[0], row])
        check_refused(f"row 1 is no distribution: {why}", surprise, rows, torch.tensor([0, 1]))


def test_surprise_refuses_what_is_no_distribution():
    check_rows_refused(0)
    rounded = torch.tensor([[0.5, 0.5, 0.0], [0.5, 0.50005, 0.0]], dtype=torch.float64)
    found = surprise(rounded, torch.tensor([0, 1]))
    hint = "a sum within 1e-4 of 1 is rounding, and no mistake"
    check_tensor(found, torch.tensor([1.0, 1.0]), hint, tolerance=1e-3)


# %% test="surprise-any" of="surprise" points=1
def test_surprise_any_rows_hidden():
    rows, symbols = distributions(fresh_seed(), 40, 9), token_ids(fresh_seed(), 9, 40)
    want = -torch.distributions.Categorical(rows).log_prob(symbols) / math.log(2)
    check_tensor(
        surprise(rows, symbols), want, "row i says what was expected of symbol i; bits are logarithms to base 2"
    )


def test_surprise_refuses_what_is_no_distribution_hidden():
    check_rows_refused(fresh_seed())


# %% [markdown]
# Two ways to put it. *Perplexity* is the same number seen otherwise: being surprised by 3 bits is like guessing among 8.
# It depends on what a symbol is: a model of words has another perplexity than a model of letters, on the same text and
# with the same knowledge. *Bits per byte* do not.

# %% exercise="units" difficulty=1 importance=4 minutes=10
from solutions.language_model import bits_per_byte, perplexity


# %% test="units" points=1
def test_units_by_hand():
    found = perplexity(torch.full((4,), 3.0))
    assert abs(found - 8) < 1e-6, f"3 bits of surprise are a choice among 8 equally likely symbols, not {found:.4g}"
    found = perplexity(torch.tensor([1.0, 5.0]))
    assert abs(found - 8) < 1e-6, f"the mean surprise is 3 bits, and 2 to the power of that is 8, not {found:.4g}"
    found = bits_per_byte(torch.tensor([10.0, 2.0]), [b"ab", b"cdef"])
    assert abs(found - 2) < 1e-6, f"12 bits for 6 bytes are 2 bits per byte, not {found:.4g}"
    found = bits_per_byte(torch.tensor([12.0, 2.0]), ["ä".encode(), b""])
    hint = "the text is divided by its bytes, not over its characters"
    assert abs(found - 7) < 1e-6, f"14 bits for the two bytes of ä are 7 bits per byte, not {found:.4g}: {hint}"


def test_units_of_one_byte():
    found = perplexity(torch.tensor([3.0]))
    assert abs(found - 8) < 1e-6, f"a text may be one symbol: 3 bits are a perplexity of 8, not {found:.4g}"
    found = bits_per_byte(torch.tensor([3.0]), [b"a"])
    assert abs(found - 3) < 1e-6, f"a text may be one byte: 3 bits for it are 3 bits per byte, not {found:.4g}"


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


# %% test="units-any" of="units" points=1
def test_units_of_tokens_hidden():
    seed = fresh_seed()
    surprises, tokens = (
        9 * distributions(seed, 1, 7)[0],
        [b" the", "é".encode(), b"\n", "日本".encode(), b"a", b"", b"xy"],
    )
    want = math.fsum(surprises.tolist()) / len(b"".join(tokens))
    hint = "all bits of the text over all bytes of the text: not over its characters, and not token by token"
    assert abs(bits_per_byte(surprises, tokens) - want) < 1e-9, hint
    logits, targets = distributions(seed, 30, 5).log(), token_ids(seed, 5, 30)
    bits = F.cross_entropy(logits, targets, reduction="none") / math.log(2)
    want = F.cross_entropy(logits, targets).exp().item()
    assert abs(perplexity(bits) - want) < 1e-6, (
        "in nats perplexity is e to the power of the cross-entropy: yours differs"
    )


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

# %% exercise="guess-ranks" difficulty=2 importance=2 minutes=15
from solutions.language_model import guess_ranks


# %% test="guess-ranks" points=1
def test_guess_ranks_by_hand():
    rows = torch.tensor([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1], [0.1, 0.6, 0.3]])
    found = [int(rank) for rank in guess_ranks(rows, torch.tensor([2, 2, 0]))]
    assert found[0] == 1, "the likeliest symbol is the first guess, number 1"
    assert found == [1, 3, 3], f"{found}: the least likely of three symbols is hit at guess 3"
    found = [int(rank) for rank in guess_ranks(torch.tensor([[0.25] * 4] * 4), torch.arange(4))]
    assert found == [1, 2, 3, 4], f"{found}: among equally likely symbols the smaller id is guessed first"
    tied = torch.tensor([[0.2, 0.3, 0.2, 0.3, 0.0]] * 4)
    found = [int(rank) for rank in guess_ranks(tied, torch.arange(4))]
    assert found == [3, 1, 4, 2], f"{found}: symbols 1 and 3 are the likeliest and come first, then 0 and 2"


# %% test="guess-ranks-any" of="guess-ranks" points=1
def test_guess_ranks_any_rows_hidden():
    rows, symbols = distributions(fresh_seed(), 30, 12), token_ids(fresh_seed(), 12, 30)
    rows[:, 3] = rows[:, 7]
    symbols[:4] = torch.tensor([7, 3, 7, 3])
    want = [
        1 + sorted(range(12), key=lambda s: (-row[s], s)).index(symbol)
        for row, symbol in zip(rows.tolist(), symbols.tolist(), strict=True)
    ]
    found = [int(rank) for rank in guess_ranks(rows, symbols)]
    assert found == want, (
        "made-up rows: guesses go from the likeliest down, equal ones by id; the right one's number counts"
    )


# %% exercise="guess-bounds" difficulty=3 importance=2 minutes=20
from solutions.language_model import guess_bounds


# %% test="guess-bounds" points=1
def test_guess_bounds_by_hand():
    lower, upper = guess_bounds(torch.ones(5, dtype=torch.long))
    assert abs(lower) < 1e-9 and abs(upper) < 1e-9, (
        "a guesser who is always right at once leaves no doubt: 0 and 0 bits"
    )
    lower, upper = guess_bounds(torch.tensor([3, 1, 4, 2]))
    assert abs(upper - 2) < 1e-9, (
        f"four numbers of guesses, equally frequent: the upper bound is 2 bits, not {upper:.4g}"
    )
    assert abs(lower - 2) < 1e-9, (
        f"all shares but the last are equal, so one term is left, 4 x 1/4 x 2 bits, not {lower:.4g}"
    )
    lower, _ = guess_bounds(torch.tensor([1, 1, 1, 2]))
    assert abs(lower - 0.5) < 1e-9, f"shares 3/4 and 1/4: the lower bound is 1/2 bit, not {lower:.4g}"


def check_bounds(ranks):
    """Assert that both bounds are those of the formulas, a term at a time."""
    q = [ranks.count(i) / len(ranks) for i in range(max(ranks) + 2)]
    lower, upper = guess_bounds(torch.tensor(ranks))
    hint = "numbers of guesses that never occur have share 0, and keep their place"
    want = sum(i * (q[i] - q[i + 1]) * math.log2(i) for i in range(1, len(q) - 1))
    assert abs(lower - want) < 1e-9, f"lower bound: {hint} ({lower:.6g} in place of {want:.6g})"
    want = sum(-share * math.log2(share) for share in q if share)
    assert abs(upper - want) < 1e-9, f"upper bound: {hint} ({upper:.6g} in place of {want:.6g})"


def test_guess_bounds_with_gaps():
    check_bounds([1, 1, 1, 1, 2, 5, 5, 9])
    check_bounds([1])


def test_guess_bounds_refuse_what_are_no_ranks():
    check_refused("no guesses, no bounds", guess_bounds, torch.zeros(0, dtype=torch.long))
    check_refused("guesses are counted from 1, and one is 0", guess_bounds, torch.tensor([2, 0, 1]))


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
    check_bounds([1, 1, 1, 1, 2, 3 + seed % 3, 7, 7, 9 + seed % 5])


# %% [markdown]
# ## From probabilities to whole numbers
#
# Now the coder. Sender and receiver must compute the very same thing, to the last bit, so inside the coder there are only
# whole numbers. Probabilities become frequencies that add up to a fixed total; none may be 0, or the symbol could not
# be sent at all.

# %% exercise="quantise" difficulty=3 importance=4 minutes=20
from solutions.language_model import quantise


# %% test="quantise" points=2
def check_frequencies(found, p, total, hint):
    """Assert what is promised of frequencies; `hint` says of what."""
    found = list(found)
    assert all(type(f) is int for f in found), "frequencies should be a list of whole numbers (int)"
    assert len(found) == len(p), "one frequency a symbol is wanted"
    assert min(found) >= 1, f"a frequency is below 1: that symbol could never be sent; {hint}"
    assert sum(found) == total, (
        f"the frequencies do not add up to the total, and sender and receiver rely on it; {hint}"
    )
    worst = max(abs(f - total * q) for f, q in zip(found, (p.double() / p.double().sum()).tolist(), strict=True))
    assert worst <= len(p), f"a frequency is further from its share of the total than there are symbols; {hint}"


def test_quantise_visible():
    for values, total in (([0.5, 0.25, 0.25], 16), ([1.0, 0.0, 0.0], 100), ([0.3, 0.3, 0.4], 10), ([1 / 3] * 3, 100)):
        hint = f"out of {total}, for probabilities {values}"
        check_frequencies(quantise(torch.tensor(values), total), torch.tensor(values), total, hint)


def test_quantise_at_the_limits():
    even = torch.full((4,), 0.25)
    check_frequencies(quantise(even, 4), even, 4, "as many symbols as the total: 1 for each")
    one = torch.tensor([1.0])
    check_frequencies(quantise(one, 7), one, 7, "a single symbol has the whole total")
    rounded = torch.tensor([0.7, 0.2, 0.10005], dtype=torch.float64)
    hint = "a sum within 1e-4 of 1 is rounding: each frequency is in proportion to the share of this sum"
    check_frequencies(quantise(rounded), rounded, TOTAL, hint)


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
    seed = fresh_seed()
    for size, total, sharpness in ((2, 4, 1.0), (7, 64, 5.0), (300, 1 << 12, 0.1), (300, TOTAL, 9.0), (50, 50, 1.0)):
        for p in distributions(seed, 4, size, sharpness):
            hint = "for made-up probabilities, some of them very small, in float32 and float64"
            check_frequencies(quantise(p, total), p, total, hint)
            check_frequencies(quantise(p.float(), total), p.float(), total, hint)


def test_quantise_refuses_hidden():
    check_unquantised(fresh_seed())


# %% [markdown]
# ## One number for a whole text
#
# Imagine all texts in alphabetical order along a line, each taking room in proportion to its probability. A text's place
# on the line tells which text it is, and a likely text has so much room that few digits find it. The coder goes there
# step by step: each symbol narrows the interval to a part of it.

# %% exercise="narrow" difficulty=2 importance=4 minutes=10
from solutions.language_model import narrow


# %% test="narrow" points=1
def test_narrow_by_hand():
    found = tuple(narrow(0, 99, 1, 3, 4))
    assert found == (25, 74), f"{found}: the second and third quarter of 0 to 99 are 25 to 74, both ends included"
    found = tuple(narrow(10, 19, 0, 1, 2))
    assert found == (10, 14), f"{found}: the lower half of the ten numbers 10 to 19 is 10 to 14"
    found = tuple(narrow(10, 19, 1, 2, 2))
    assert found == (15, 19), f"{found}: the upper half of the ten numbers 10 to 19 is 15 to 19"


def check_tiles(seed, times):
    """Assert that parts that touch in frequency fill an interval, and begin where exact fractions say."""
    generator = random.Random(seed)
    for _ in range(times):
        low = generator.randrange(QUARTER)
        high = low + QUARTER + generator.randrange(QUARTER)
        cuts = [0, *sorted(generator.sample(range(1, TOTAL), 5)), TOTAL]
        parts = [tuple(narrow(low, high, start, end, TOTAL)) for start, end in pairwise(cuts)]
        assert parts[0][0] == low and parts[-1][1] == high, (
            "the first part should begin, and the last end, with the interval"
        )
        hint = "parts that touch in frequency leave a gap or overlap: are both ends rounded down alike, without floats?"
        assert all(a[1] + 1 == b[0] for a, b in pairwise(parts)), hint
        want = [low + math.floor(Fraction(high - low + 1) * Fraction(cut, TOTAL)) for cut in cuts[:-1]]
        assert [part[0] for part in parts] == want, (
            "a part begins at another number than exact fractions give, rounded down"
        )


def test_narrow_rounds_down():
    found = narrow(10, 19, 1, 2, 3)
    assert tuple(found) == (13, 15), f"{found}: the second third of 10 to 19 begins at 10 + 10/3, rounded down to 13"
    assert all(isinstance(end, int) for end in found), f"{found}: both ends should be whole numbers (int)"
    check_tiles(0, times=3)


# %% test="narrow-any" of="narrow" points=1
def test_narrow_tiles_the_interval_hidden():
    check_tiles(fresh_seed(), times=20)


# %% [markdown]
# The interval would soon be smaller than a number. But once it lies in one half of the line, the next bit is known;
# it can be written down, and that half stretched to the whole. One case is nasty: an interval that gets ever smaller
# around the middle and lies in neither half. Then the middle is stretched, and the bit remains open.

# %% exercise="zoom" difficulty=2 importance=3 minutes=10
from solutions.language_model import zoom


# %% test="zoom" points=1
def test_zoom_by_hand():
    assert zoom(5, HALF - 1) == 0, "an interval that lies in the lower half: nothing is taken off"
    assert zoom(HALF, WHOLE - 1) == HALF, "an interval that lies in the upper half: take off HALF"
    assert zoom(QUARTER, HALF + QUARTER - 1) == QUARTER, (
        "in the two middle quarters, reaching into both halves: QUARTER"
    )
    assert zoom(QUARTER, HALF - 1) == 0 and zoom(HALF, HALF + QUARTER - 1) == HALF, (
        "an interval that lies in one half, though in the middle quarters too: the halves come first"
    )
    assert zoom(0, WHOLE - 1) is None, "the whole must not be doubled"
    assert zoom(QUARTER - 1, HALF + 5) is None, "an interval that reaches below the middle quarters must not be doubled"
    assert zoom(HALF - 1, HALF + QUARTER) is None, (
        "an interval that reaches above the middle quarters must not be doubled"
    )
    assert zoom(5, HALF) is None, "HALF is the first number of the upper half, so this interval reaches into both"
    assert zoom(0, 0) == 0 and zoom(WHOLE - 1, WHOLE - 1) == HALF, "a single number is an interval too"


def test_zoom_refuses_what_is_no_interval():
    hint = "an empty interval, or one that leaves the whole, would be doubled for ever"
    for low, high in ((1, 0), (WHOLE - 1, WHOLE), (-1, 5)):
        check_refused(f"{hint}: {low} to {high}", zoom, low, high)


# %% test="zoom-any" of="zoom" points=1
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
    hint = "an empty interval, or one that leaves the whole, would be doubled for ever"
    for low, high in ((HALF, HALF - 1), (1, 0), (HALF, WHOLE), (-1, 5), (WHOLE, WHOLE + 5)):
        check_refused(hint, zoom, low, high)


# %% [markdown]
# Now the encoder. What about the open bits? If the interval lay around the middle and the next bit turns out to be 0, the
# place is just *below* the middle: 0 and then 1. If it turns out to be 1, the place is just above: 1 and then 0. So
# an open bit is always the opposite of the next one that is settled, and it is enough to count them.
#
# Before you start, guess: how many bits will the code of a text have, compared with the sum of its surprises? Take 1,000
# symbols and 2,000 bits of surprise.

# %% run
if __name__ == "__main__":
    predicted_extra_bits = None  # your guess: 0 would be a code of 2,000 bits exactly

# %% exercise="encoder" difficulty=5 importance=5 minutes=40 given_methods="__init__"
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


def test_encoder_settles_bits():
    tree = [2, 1, 1]  # symbol 0 is the lower half, 1 and 2 the quarters above it: codes 0, 10 and 11
    for symbols, want in (([], "01"), ([0], "001"), ([1], "1001"), ([2, 0], "11001"), ([0, 1, 2, 0], "01011001")):
        found = coded([(tree, symbol) for symbol in symbols])
        assert isinstance(found, bytes), f"finish should give bytes, not {type(found).__name__}"
        hint = "halves are worth one bit, quarters two; then 01, then zeros up to a whole byte"
        assert in_bits(found) == want + "0" * (-len(want) % 8), f"symbols {symbols}: {in_bits(found)}, but {hint}"


def test_encoder_keeps_bits_open():
    middle = [1, 2, 1]  # symbol 1 is the two middle quarters
    for symbols, want in (([1], "011"), ([1, 0], "01001"), ([1, 2], "10101"), ([1, 1, 1, 0], "0111001")):
        found = coded([(middle, symbol) for symbol in symbols])
        hint = (
            "a settled bit is followed by its opposite, once for each step that was open; so is the first bit of finish"
        )
        assert in_bits(found) == want + "0" * (-len(want) % 8), f"symbols {symbols}: {in_bits(found)}, but {hint}"


def test_encoder_names_a_quarter_inside():
    for symbol, want in ((0, "0001"), (1, "10")):
        found = coded([([1, 3], symbol)])
        hint = "the last two bits are 01 if the interval reaches below the second quarter, else 10"
        assert in_bits(found) == want + "0" * (-len(want) % 8), f"symbol {symbol} of [1, 3]: {in_bits(found)}; {hint}"


def test_encoder_refuses_what_cannot_be_coded():
    hint = "a symbol without a frequency, or with frequency 0, cannot be coded"
    for frequencies, symbol in (([1, 0, 1], 1), ([1, 1], 2), ([1, 1], -1)):
        encoder = Encoder()
        encoder.encode([2, 1, 1], 1)
        check_refused(hint, encoder.encode, frequencies, symbol)
        found = in_bits(encoder.finish())
        hint_after = "after the refusal the encoder should be as before: check the symbol before you narrow"
        assert found == "10010000", f"symbol 1 of [2, 1, 1] is 10, then 01 ends the code, not {found}: {hint_after}"


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
        assert coded(steps) == exact_code(steps), f"{hint}; which step of the description is missing?"


def around_the_middle(times, last):
    """Steps in which the interval shrinks around the middle for long."""
    narrow_middle = [TOTAL // 2 - 1, 2, TOTAL // 2 - 1]
    return [(narrow_middle, 1)] * 12 + [([1, 2, 1], 1)] * times + [(narrow_middle, last)]


def check_long_middle(times):
    """Assert that bits that stay open for long are settled in the end."""
    for last in (0, 1, 2):
        steps = around_the_middle(times, last)
        hint = "an interval that shrinks around the middle for long: open bits go wrong"
        assert coded(steps) == exact_code(steps), hint


def test_encoder_gives_the_exact_number():
    check_exact(0, (2, 3, 20), (5, 1000, 20), (3, 7, 1))
    check_long_middle(10)


def test_encoder_gives_the_exact_number_hidden():
    check_exact(fresh_seed(), (2, 3, 60), (5, 1000, 60), (40, TOTAL, 60), (3, 7, 1))


def test_encoder_at_the_middle_for_long_hidden():
    check_long_middle(30 + fresh_seed() % 20)


def test_encoder_refuses_hidden():
    steps = random_steps(fresh_seed(), 4, 50, 5)
    encoder = Encoder()
    for table, symbol in steps:
        check_refused("a symbol of frequency 0 cannot be coded", encoder.encode, [3, 0, 4], 1)
        check_refused("a symbol without a frequency cannot be coded", encoder.encode, table, 4)
        encoder.encode(table, symbol)
    assert encoder.finish() == exact_code(steps), "a refused symbol leaves something behind in the encoder"


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
# <details><summary>Hint</summary>
#
# Which frequency belongs to `code`? The part of symbol s begins at `low + size * start // total`. The largest `start` for
# which that is at most `code` is `((code - low + 1) * total - 1) // size`. And whatever is taken off `low` and `high`
# is taken off `code` too.
#
# </details>

# %% exercise="decoder" difficulty=4 importance=5 minutes=30 given_methods="__init__ next_bit"
from solutions.language_model import Decoder


# %% test="decoder" points=2
def decoded(data, tables):
    """The symbols that a code holds, for given tables of frequencies."""
    decoder = Decoder(data)
    return [int(decoder.decode(table)) for table in tables]


def test_decoder_reads_settled_bits():
    data = bytes([0b01011001])
    found = decoded(data, [[2, 1, 1]] * 4)
    assert found[:1] == [0], f"{found[0]}: the code begins with 0, in the lower half, which is symbol 0"
    assert found == [0, 1, 2, 0], (
        f"{found}: bits 0, 10, 11, 0 are symbols 0, 1, 2, 0; do interval and code move on together?"
    )


def test_decoder_reads_open_bits():
    found = decoded(bytes([0b01110010]), [[1, 2, 1]] * 4)
    assert found == [1, 1, 1, 0], f"{found}: three steps around the middle, then the lowest quarter: 1, 1, 1, 0"


# %% test="decoder-exact" of="decoder" points=2
def check_read(steps, hint):
    """Assert that the decoder gets the symbols of some steps back from their exact code."""
    try:
        found = decoded(exact_code(steps), [table for table, _ in steps])
    except (IndexError, ZeroDivisionError, ValueError, OverflowError) as error:
        raise AssertionError(f"{hint}: the decoder loses its way and runs into an error") from error
    assert found == [symbol for _, symbol in steps], f"{hint}: other symbols come out than went in"


def check_ends_of_parts(table):
    """Assert that the first and the last number of each symbol's part are read as this symbol."""
    ends = [0, *accumulate(table)]
    first = [WHOLE * end // ends[-1] for end in ends]
    for symbol in range(len(table)):
        hint = "belongs to that part: mind how narrow rounds, and keep to whole numbers"
        found = decoded(first[symbol].to_bytes(4, "big"), [table])
        assert found == [symbol], f"a code at the very beginning of a part {hint}"
        found = decoded((first[symbol + 1] - 1).to_bytes(4, "big"), [table])
        assert found == [symbol], f"a code at the very end of a part {hint}"


def check_gaps(symbols):
    """Assert that symbols of frequency 0 are passed over."""
    check_read([([1, 0, 2, 0, 0, 1, 0], symbol) for symbol in symbols], "symbols of frequency 0 have no part")


def test_decoder_reads_exact_codes():
    for size, total, length in ((2, 3, 20), (5, 1000, 20), (3, 7, 1)):
        check_read(random_steps(0, size, total, length), "random tables")
    for table in ([1, 2], [1, 1, 1], [1, 1, 1, 1], [TOTAL // 2, TOTAL // 2]):
        check_ends_of_parts(table)
    check_gaps([2, 5, 0, 2, 2, 0, 5])
    check_read(around_the_middle(10, 2), "an interval that shrinks around the middle for long")


def test_decoder_reads_exact_codes_hidden():
    seed = fresh_seed()
    for size, total, length in ((2, 3, 60), (5, 1000, 60), (40, TOTAL, 60), (3, 7, 1)):
        check_read(random_steps(seed, size, total, length), "random tables")


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


def test_compress_and_back():
    model, text = Recent(vocab_size=256, window=8), b"abracadabra"
    data = compress(model, text)
    assert isinstance(data, bytes), f"the compressed text should be bytes, not {type(data).__name__}"
    assert data[:4] == bytes([0, 0, 0, 11]), "the file should begin with the number of symbols, the highest byte first"
    hint = "the model should be asked before each symbol with all those before it, and with nothing else"
    assert data == exact_file(model, text), f"after the number should come the code: {hint}"
    found = decompress(model, exact_file(model, text))
    assert list(found) == list(text), "decompress does not give back what exact arithmetic has coded"


def check_bytes(seed, *texts):
    """Assert that texts are compressed exactly and come back."""
    for text in texts:
        model = Recent(256, 5 + seed % 20)
        hint = "any bytes, an empty text too, should come back as they were"
        try:
            data = compress(model, text)
            found = decompress(model, exact_file(model, text))
        except Exception as error:
            raise AssertionError(f"{hint}, without an error") from error
        assert data == exact_file(model, text), (
            "a compressed file differs from the exact one: number of symbols, then code"
        )
        assert list(found) == list(text), hint


def check_symbols(symbols):
    """Assert that a list of numbers below 1,000 comes back."""
    hint = "symbols need not be bytes: 1,000 different ones should work as well"
    model = Recent(vocab_size=1000, window=3)
    try:
        found = decompress(model, compress(model, symbols))
    except Exception as error:
        raise AssertionError(hint) from error
    assert list(found) == symbols, hint


def test_compress_any_symbols():
    check_bytes(0, b"", b"\x00", b"\xff" * 20)
    check_symbols([999, 0, 256, 256, 7])


def test_decompress_reads_the_number_of_symbols():
    model = Recent(vocab_size=256, window=8)
    assert list(decompress(model, bytes(4))) == [], "four bytes of 0 say that no symbols follow: an empty text"
    for data in (b"", b"\x00\x00\x00"):
        check_refused("fewer than four bytes cannot say how many symbols follow", decompress, model, data)


def test_compress_refuses_what_cannot_be_coded():
    check_refused("symbol 3 has no frequency", compress, Recent(vocab_size=3, window=8), [0, 3])


# %% test="compress-any" of="compress" points=2
def test_compress_any_bytes_hidden():
    seed = fresh_seed()
    made = [made_up(seed, 60, bytes(range(256))), made_up(seed, 60, b"\x00\xff")]
    check_bytes(seed, b"", b"\x00", b"\xff" * 40, *made)


def test_compress_other_symbols_hidden():
    check_symbols(token_ids(fresh_seed(), 1000, 25).tolist())


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
    assert data[:4] == len(text).to_bytes(4, "big"), "your file does not begin with the number of symbols"
    assert bytes(decompress(ByteModel(chain), data)) == text, "your parts together do not give the text back"
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
# Two guesses first. How many bits per byte does gzip need for 3 KB of documentation, fresh? And your chain of order 5,
# that is with four bytes of memory?

# %% run
if __name__ == "__main__":
    predicted_gzip = None  # your guess: 8 would be no compression at all
    predicted_chain = None  # your guess

# %% given="contest"
from labkit.testing.oracles import deflate, rivals
from solutions.language_model import primed

# %% run
if __name__ == "__main__":
    before, text = corpus.text("train", 500_000).encode(), corpus.text("heldout", 20_000).encode()[10_000:13_000]
    chains = {n: NGram(before, n) for n in range(1, 7)}
    for n, chain in chains.items():
        data = compress(ByteModel(chain), text)
        assert bytes(decompress(ByteModel(chain), data)) == text
        print(f"order {n}: {8 * len(data) / len(text):.2f} bits per byte")
        if n == 5:
            own = 8 * len(data) / len(text)
    for name, rival in rivals().items():
        print(f"{name:>5}: {8 * len(rival(text)) / len(text):.2f} fresh")
    for name, rival in rivals(streaming=True).items():
        print(f"{name:>5}: {8 * primed(rival, [text], before)[0] / len(text):.2f} primed")
    compare_prediction("gzip, fresh", predicted_gzip, 8 * len(deflate(text)) / len(text), unit="bits per byte")
    compare_prediction("your chain of order 5", predicted_chain, own, unit="bits per byte")
    steps = random_steps(0, 4, TOTAL, 1000)
    ideal = sum(-math.log2(table[symbol] / sum(table)) for table, symbol in steps)
    compare_prediction(
        "the code of 1,000 symbols",
        predicted_extra_bits,
        8 * len(coded(steps)) - ideal,
        unit="bits more than the surprise",
    )

# %% [markdown]
# And what does each order write?

# %% run tags=["nbval-ignore-output"]
if __name__ == "__main__":
    for n, chain in chains.items():
        print(f"order {n}: {sample_chain(chain.followers, n, 120, seed=1).decode(errors='replace')!r}")

# %% [markdown]
# Last, what Shannon's game says about the best of them: how often is the first guess right, and between which bounds does
# the entropy lie? Compare them with the chain's mean surprise.

# %% run
if __name__ == "__main__":
    rows, symbols = chains[5].rows(text), torch.tensor(list(text))
    ranks = guess_ranks(rows, symbols)
    lower, upper = guess_bounds(ranks)
    bits = surprise(rows, symbols)
    print(f"the first guess is right {(ranks == 1).double().mean():.0%} of the time")
    print(f"between {lower:.2f} and {upper:.2f} bits a byte by the numbers of guesses; surprise {bits.mean():.2f}")
    print(
        f"perplexity {perplexity(bits):.1f} a byte, {bits_per_byte(bits, [bytes([b]) for b in text]):.2f} bits per byte"
    )
