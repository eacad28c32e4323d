"""The reference n-gram models, measures and arithmetic coder against other people's code and against exact numbers."""

import bz2
import lzma
import math
import zlib
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.metrics import log_loss

from labkit import corpus
from labkit.testing.oracles import deflate, lzma2, rivals
from solutions.gpt import GPT, GPTConfig
from solutions.language_model import (
    HALF,
    QUARTER,
    TOTAL,
    WHOLE,
    ByteModel,
    Decoder,
    Encoder,
    GPTModel,
    LearningModel,
    NGram,
    Recent,
    bits_per_byte,
    compress,
    count_followers,
    cross_entropy,
    decompress,
    guess_bounds,
    guess_ranks,
    narrow,
    perplexity,
    primed,
    quantise,
    sample_chain,
    surprise,
    token_rows,
    zoom,
)

few_letters = st.binary(max_size=60) | st.lists(st.sampled_from(b"ab\n"), max_size=60).map(bytes)


@pytest.fixture(scope="module")
def gpt() -> GPTModel:
    return GPTModel("documentation-small")


# Markov chains


@settings(max_examples=60, deadline=None)
@given(few_letters.filter(len), st.integers(1, 5))
def test_counts_equal_those_of_scikit_learn(text, n):
    vectorizer = CountVectorizer(analyzer="char", ngram_range=(1, n), lowercase=False)
    # In Latin-1 a byte is a character. A vectorizer without white-space rules needs characters of its own for those.
    shifted = "".join(chr(byte + 0x4E00) for byte in text)
    table = vectorizer.fit_transform([shifted]).toarray()[0]
    grams = {
        bytes(ord(c) - 0x4E00 for c in gram): count
        for gram, count in zip(vectorizer.get_feature_names_out(), table, strict=True)
    }
    followers = count_followers(text, n)
    assert {c + bytes([b]): count for c, found in followers.items() for b, count in found.items()} == grams


def exact(text: bytes, context: bytes, byte: int) -> Fraction:
    """The interpolated probability in exact fractions, by the definition."""
    shorter = exact(text, context[1:], byte) if context else Fraction(1, 256)
    places = [i for i in range(len(text)) if i >= len(context) and text[i - len(context) : i] == context]
    if not places:
        return shorter
    different = len({text[i] for i in places})
    return Fraction(sum(text[i] == byte for i in places) + different * shorter, len(places) + different)


@settings(max_examples=60, deadline=None)
@given(few_letters, st.integers(1, 4), st.lists(st.sampled_from(b"ab\nz"), max_size=5).map(bytes))
def test_probabilities_equal_exact_fractions_and_add_up_to_one(text, n, context):
    p = NGram(text, n).probabilities(context)
    assert p.sum().item() == pytest.approx(1, abs=1e-12)
    assert p.min() > 0
    context = context[max(0, len(context) - n + 1) :]
    for byte in {*text[:5], 0, 255}:
        assert p[byte].item() == pytest.approx(float(exact(text, context, byte)), rel=1e-12)


def test_rows_are_what_is_expected_at_each_byte():
    model, text = NGram(b"abracadabra" * 3, 3), b"barbara"
    want = torch.stack([model.probabilities(text[:i]) for i in range(len(text))])
    assert torch.equal(model.rows(text), want)
    assert model.rows(b"").shape == (0, 256)


def test_a_chain_writes_what_it_counted():
    text = corpus.text("train", 20_000).encode()
    followers = count_followers(text, 3)
    written = sample_chain(followers, 3, 20_000, seed=3)
    assert written == sample_chain(followers, 3, 20_000, seed=3) != sample_chain(followers, 3, 20_000, seed=4)
    assert {written[i : i + 3] for i in range(len(written) - 2)} <= {text[i : i + 3] for i in range(len(text) - 2)}
    after_th = [written[i + 2] for i in range(len(written) - 2) if written[i : i + 2] == b"th"]
    known = followers[b"th"]
    shares = np.array(list(known.values())) / sum(known.values())
    often = shares * len(after_th) >= 5
    observed = np.array([after_th.count(byte) for byte in known])
    # What is rare is counted together.
    observed = np.append(observed[often], observed[~often].sum())
    expected = np.append(shares[often], shares[~often].sum()) * len(after_th)
    there = expected > 0
    assert stats.chisquare(observed[there], expected[there]).pvalue > 1e-4


def test_more_memory_predicts_better_until_contexts_get_rare():
    text, unseen = corpus.text("train", 30_000).encode(), corpus.text("heldout", 2_000).encode()
    symbols = torch.tensor(list(unseen))
    costs = [surprise(NGram(text, n).rows(unseen), symbols).mean().item() for n in range(1, 10)]
    assert costs[0] > costs[1] > costs[2]
    assert min(costs) < costs[-1], "sparse contexts should cost something in the end"


@pytest.mark.parametrize("n", [0, -3])
def test_an_impossible_order_is_refused(n):
    with pytest.raises(ValueError, match="n must be at least 1"):
        count_followers(b"text", n)
    with pytest.raises(ValueError, match="n must be at least 1"):
        NGram(b"text", n)


def test_an_empty_text():
    assert count_followers(b"", 3) == {}
    assert torch.equal(NGram(b"", 3).probabilities(b"ab"), torch.full((256,), 1 / 256, dtype=torch.float64))
    with pytest.raises(ValueError, match="nothing was counted"):
        sample_chain({}, 3, 5, seed=0)
    with pytest.raises(ValueError, match="empty text"):
        perplexity(torch.zeros(0))
    with pytest.raises(ValueError, match="spell 0 bytes"):
        bits_per_byte(torch.zeros(0), [])
    with pytest.raises(ValueError, match="one at least"):
        cross_entropy(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long))
    with pytest.raises(ValueError, match="there must be some"):
        guess_bounds(torch.zeros(0, dtype=torch.long))


# Surprise


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 3), max_size=3), st.integers(2, 9), st.sampled_from([1.0, 2000.0]))
def test_cross_entropy_equals_torchs(shape, vocab, scale):
    logits = (scale * torch.randn(*shape, vocab, dtype=torch.float64)).requires_grad_()
    targets = torch.randint(vocab, tuple(shape))
    ours, theirs = cross_entropy(logits, targets), F.cross_entropy(logits.view(-1, vocab), targets.view(-1))
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-9)
    (gradient,), (expected,) = (torch.autograd.grad(value, logits) for value in (ours, theirs))
    torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-12)


def test_surprise_equals_that_of_scikit_learn():
    rows, symbols = torch.rand(50, 6, dtype=torch.float64).softmax(-1), torch.randint(6, (50,))
    nats = log_loss(symbols.numpy(), rows.numpy(), labels=range(6))
    bits = surprise(rows, symbols)
    assert bits.mean().item() == pytest.approx(nats / math.log(2))
    assert perplexity(bits) == pytest.approx(math.exp(nats))
    assert bits_per_byte(bits, [b"ab"] * 50) == pytest.approx(nats / math.log(2) / 2)


def test_what_was_held_impossible_is_infinitely_surprising():
    assert surprise(torch.tensor([[1.0, 0.0]]), torch.tensor([1])).item() == math.inf


@pytest.mark.parametrize("row", [[0.5, 0.6], [1.5, -0.5], [math.nan, 1.0], [0.0, 0.0]])
def test_what_is_no_distribution_is_refused(row):
    with pytest.raises(ValueError, match="must be a distribution"):
        surprise(torch.tensor([row]), torch.tensor([0]))
    with pytest.raises(ValueError, match="are no distribution"):
        quantise(torch.tensor(row))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(0, 3), min_size=4, max_size=4), min_size=1, max_size=8), st.data())
def test_ranks_equal_those_of_scipy(weights, data):
    rows = (torch.tensor(weights, dtype=torch.float64) + 1) / (torch.tensor(weights).sum(-1, keepdim=True) + 4)
    symbols = torch.tensor(data.draw(st.lists(st.integers(0, 3), min_size=len(weights), max_size=len(weights))))
    want = stats.rankdata(-rows.numpy(), method="ordinal", axis=1)[range(len(symbols)), symbols]
    assert guess_ranks(rows, symbols).tolist() == want.tolist()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=40))
def test_the_upper_bound_is_the_entropy_of_the_ranks(ranks):
    lower, upper = guess_bounds(torch.tensor(ranks))
    assert upper == pytest.approx(stats.entropy(np.bincount(ranks), base=2), abs=1e-12)
    q = np.append(np.bincount(ranks)[1:] / len(ranks), 0)
    # Shannon's sum, each guess number's share cut into layers of equally likely symbols.
    assert lower == pytest.approx(sum(i * (a - b) * math.log2(i) for i, (a, b) in enumerate(pairwise(q), 1)))


def test_the_bounds_hold_the_entropy_of_a_chain():
    """A source whose entropy is known, and a guesser that knows the source."""
    generator = torch.Generator().manual_seed(0)
    matrix = (2 * torch.randn(12, 12, generator=generator, dtype=torch.float64)).softmax(-1)
    row = [0]
    for _ in range(20_000):
        row.append(torch.multinomial(matrix[row[-1]], 1, generator=generator).item())
    stationary = torch.linalg.matrix_power(matrix, 200)[0]
    entropy = (stationary * torch.tensor([stats.entropy(p, base=2) for p in matrix])).sum().item()
    lower, upper = guess_bounds(guess_ranks(matrix[torch.tensor(row[:-1])], torch.tensor(row[1:])))
    assert lower < entropy < upper


# The coder


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=60).filter(lambda p: sum(p) > 1e-6),
    st.sampled_from([64, 1000, TOTAL]),
)
def test_frequencies_keep_their_promises(weights, total):
    p = torch.tensor(weights, dtype=torch.float64)
    p = (p / p.sum()).float()
    frequencies = quantise(p, total)
    assert sum(frequencies) == total
    assert min(frequencies) >= 1
    shares = total * p.double() / p.double().sum()
    assert (torch.tensor(frequencies) - shares).abs().max() <= len(p)


def test_more_symbols_than_the_total_are_refused():
    with pytest.raises(ValueError, match="at most 4 symbols"):
        quantise(torch.full((5,), 0.2), 4)


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, WHOLE - 1), st.integers(QUARTER, HALF), st.lists(st.integers(1, TOTAL - 1), unique=True, max_size=6)
)
def test_parts_tile_their_interval(low, size, cuts):
    cuts = [0, *sorted(cuts), TOTAL]
    parts = [narrow(low, low + size - 1, a, b, TOTAL) for a, b in pairwise(cuts)]
    assert parts[0][0] == low
    assert parts[-1][1] == low + size - 1
    assert all(a[1] + 1 == b[0] for a, b in pairwise(parts))
    assert all(low <= high for low, high in parts), "every symbol has a number of its own"


@settings(max_examples=200, deadline=None)
@given(st.integers(0, WHOLE - 1), st.integers(0, WHOLE - 1))
def test_what_may_be_doubled_stays_inside(one, other):
    low, high = sorted((one, other))
    offset = zoom(low, high)
    if offset is None:
        assert high - low >= QUARTER, "an interval that is not doubled is wide enough for the next symbol"
    else:
        assert 0 <= 2 * (low - offset) <= 2 * (high - offset) + 1 < WHOLE


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 40))
def test_any_bytes_come_back(text, window):
    assert bytes(decompress(Recent(256, window), compress(Recent(256, window), text))) == text


@settings(max_examples=30, deadline=None)
@given(few_letters, st.integers(1, 4))
def test_any_bytes_come_back_through_a_model_that_learns(text, n):
    data = compress(LearningModel(n), text)
    assert bytes(decompress(LearningModel(n), data)) == text


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_come_back_through_trigrams(text):
    model = ByteModel(NGram(b"the cat sat on the mat", 3))
    assert bytes(decompress(model, compress(model, text))) == text


class Table:
    """The same frequencies at every step."""

    def __init__(self, *frequencies: int):
        self.table = list(frequencies)

    def frequencies(self, history):
        return self.table


@pytest.mark.parametrize(
    "table", [(1, TOTAL - 2, 1), (TOTAL // 2 - 1, 2, TOTAL // 2 - 1), (1, 1, TOTAL - 2), (TOTAL - 2, 1, 1), (1, 0, 1)]
)
@pytest.mark.parametrize("symbols", [[0] * 50, [2] * 50, [0, 2] * 50, [1] * 500 + [0], [1] * 500 + [2, 0, 1], [1]])
def test_lopsided_tables_and_long_runs_at_the_middle(table, symbols):
    model = Table(*table)
    if 1 in symbols and table[1] == 0:
        with pytest.raises(ValueError, match="cannot be coded"):
            compress(model, symbols)
    else:
        assert decompress(model, compress(model, symbols)) == symbols


def cost(model, symbols) -> float:
    """Bits of the model's own frequencies."""
    return sum(-math.log2((f := model.frequencies(symbols[:i]))[s] / sum(f)) for i, s in enumerate(symbols))


@pytest.mark.parametrize("name", ["recent", "bigrams", "learning", "middle"])
def test_a_file_is_as_long_as_its_models_surprise(name):
    text: list[int] | bytes = corpus.text("heldout", 3_000).encode()
    if name == "middle":
        model, text = Table(TOTAL // 2 - 1, 2, TOTAL // 2 - 1), [0, 1, 2, 1] * 100
    elif name == "bigrams":
        model = ByteModel(NGram(corpus.text("train", 20_000).encode(), 2))
    else:
        model = Recent(256, 300) if name == "recent" else LearningModel(3)
    ideal = cost(model, text)
    bits = 8 * len(compress(model, text))
    assert ideal <= bits <= 1.001 * ideal + 64


def test_quantising_costs_next_to_nothing():
    text = corpus.text("heldout", 2_000).encode()
    model = NGram(corpus.text("train", 50_000).encode(), 4)
    ideal = surprise(model.rows(text), torch.tensor(list(text))).sum().item()
    assert cost(ByteModel(model), text) < 1.001 * ideal


def test_frequencies_of_another_last_bit_may_lose_the_text():
    """Why both sides must make the same calls: one frequency that is off by one in each table is enough."""

    class Off(ByteModel):
        def frequencies(self, history):
            frequencies = super().frequencies(history)
            frequencies[0] += 1
            frequencies[-1] -= frequencies[-1] > 1
            return frequencies

    text, chain = corpus.text("heldout", 3_000).encode(), NGram(corpus.text("train", 20_000).encode(), 3)
    assert bytes(decompress(Off(chain), compress(ByteModel(chain), text))) != text


def test_what_cannot_be_coded_is_refused():
    for frequencies, symbol in (([1, 0], 1), ([1, 1], 2), ([1, 1], -1)):
        with pytest.raises(ValueError, match="cannot be coded"):
            Encoder().encode(frequencies, symbol)
    with pytest.raises(ValueError, match="begins with four bytes"):
        decompress(Recent(256, 5), b"abc")


def test_a_code_is_read_as_if_zeros_followed():
    encoder = Encoder()
    for symbol in (0, 1, 0, 0):
        encoder.encode([3, 5], symbol)
    data = encoder.finish().rstrip(b"\x00")
    decoder = Decoder(data)
    assert [decoder.decode([3, 5]) for _ in range(4)] == [0, 1, 0, 0]


# The GPT as a model for the coder


@pytest.fixture
def small_gpt(gpt, monkeypatch):
    """A GPT of random weights and a context of 8, so that windows come one after the other."""
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=40, context=8, d_model=12, n_head=3, n_layer=2)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(10) if parameter.ndim == 2 else parameter.add_(0.3 * torch.randn_like(parameter))
    monkeypatch.setattr(gpt, "model", model)
    monkeypatch.setattr(gpt, "start", 5)
    gpt.restart()
    return gpt


@pytest.mark.parametrize("length", [0, 1, 6, 7, 8, 11, 12, 13, 40])
def test_a_token_at_a_time_is_the_same_as_whole_windows(small_gpt, length):
    ids = torch.randint(40, (length,), generator=torch.Generator().manual_seed(length)).tolist()
    rows = token_rows(small_gpt.model, ids, start=5)
    assert rows.shape == (length, 40)
    small_gpt.restart()
    for i in range(length):
        torch.testing.assert_close(small_gpt.probabilities(ids[:i]), rows[i], rtol=1e-4, atol=1e-6)


def test_the_first_window_is_an_ordinary_forward_pass(small_gpt):
    ids = [3, 9, 9, 30]
    with torch.no_grad():
        want = small_gpt.model(torch.tensor([[5, *ids[:-1]]]))[0].double().softmax(-1)
    torch.testing.assert_close(token_rows(small_gpt.model, ids, start=5), want)


def test_the_same_history_gives_the_same_frequencies(small_gpt):
    ids = torch.randint(40, (30,), generator=torch.Generator().manual_seed(1)).tolist()
    in_order = [small_gpt.frequencies(ids[:i]) for i in range(31)]
    small_gpt.frequencies([1, 2, 3])
    assert small_gpt.frequencies(ids) == in_order[30], "another history in between changes nothing"
    assert [small_gpt.frequencies(ids[:i]) for i in range(31)] == in_order


def test_tokens_come_back_through_the_gpt(gpt):
    text = corpus.text("heldout", 1_200) + "naïve 日本 \x00 🙂"
    ids = gpt.tokenizer.encode(text)
    data = compress(gpt, ids)
    assert gpt.tokenizer.decode(decompress(gpt, data)) == text
    ideal = surprise(token_rows(gpt.model, ids, gpt.start), torch.tensor(ids)).sum().item()
    assert 8 * len(data) < 1.002 * ideal + 64


# The rivals


def test_the_rivals_lose_nothing():
    text = corpus.text("heldout", 20_000).encode()
    assert zlib.decompress(deflate(text), -15) == text
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9}]
    assert lzma.decompress(lzma2(text), lzma.FORMAT_RAW, filters=filters) == text
    assert bz2.decompress(rivals()["bz2"](text)) == text
    assert zstandard.ZstdDecompressor().decompress(rivals()["zstd"](text), max_output_size=len(text)) == text
    assert rivals(streaming=True).keys() == rivals().keys() - {"bz2"}
    assert all(len(rival(text)) < len(text) / 2 for rival in rivals().values())


def test_a_rival_that_is_primed_needs_less():
    before, text = corpus.text("train", 300_000).encode(), corpus.text("heldout", 3_000).encode()
    for name, rival in rivals(streaming=True).items():
        assert 0 < primed(rival, [text], before)[0] < len(rival(text)), name


def test_a_chain_that_learns_beats_every_fresh_rival():
    """Over several texts; primed, a chain beats gzip, whose window is short, but not what finds far repeats."""
    before, unseen = corpus.text("train", 300_000).encode(), corpus.text("heldout").encode()
    texts = [unseen[start : start + 2_000] for start in range(10_000, 100_000, 18_000)]
    fresh = sum(len(compress(LearningModel(4), text)) for text in texts)
    assert fresh < min(sum(len(rival(text)) for text in texts) for rival in rivals().values())
    chain = ByteModel(NGram(before, 5))
    assert sum(len(compress(chain, text)) for text in texts) < sum(primed(deflate, texts, before))
