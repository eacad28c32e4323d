"""The reference's ways to write against `transformers`' generate and its logits processors."""

import math

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.generation import logits_process as theirs

from labkit.testing.oracles import library_beams, library_gpt2, library_probabilities, library_text
from solutions.generation import (
    KVCache,
    apply_temperature,
    beam_search,
    distinct_n,
    forbid_repeats,
    greedy,
    penalize_repeats,
    probabilities,
    read_on,
    rep_n,
    sample,
    top_k,
    top_p,
    write,
)
from solutions.gpt import GPT, GPTConfig, load_gpt2

CONFIG = GPTConfig(vocab_size=50, context=40, d_model=24, n_head=3, n_layer=2, eps=1e-3)


def pair(config: GPTConfig = CONFIG, seed: int = 0) -> tuple[transformers.GPT2LMHeadModel, GPT]:
    """A GPT-2 of transformers with large random weights, and ours with the same, both in float64."""
    hf = library_gpt2(config, seed).double()
    model = GPT(config).double()
    model.load_state_dict(load_gpt2(hf.state_dict()))
    return hf, model.eval()


def prompts(batch: int, n: int, seed: int = 1, vocab_size: int = CONFIG.vocab_size) -> torch.Tensor:
    return torch.randint(vocab_size, (batch, n), generator=torch.Generator().manual_seed(seed))


def continued(hf: transformers.GPT2LMHeadModel, ids: torch.Tensor, n_tokens: int, **how) -> torch.Tensor:
    return library_text(hf, ids, n_tokens, do_sample=False, **how)


def endings(model: GPT, ids: torch.Tensor) -> list[int]:
    """Tokens that greedy search writes somewhere on the way: good ones to end on."""
    return sorted(set(greedy(model, ids, 20)[:, ids.shape[1] + 3 :].flatten().tolist()))[:6]


# ------------------------------------------------------------------------------------------------ greedy and beams


def test_greedy_equals_transformers():
    hf, model = pair()
    ids = prompts(5, 7)
    assert torch.equal(greedy(model, ids, 30), continued(hf, ids, 30))


def test_greedy_ends_as_transformers_does():
    hf, model = pair()
    ids = prompts(5, 7)
    for eos in endings(model, ids):
        want = continued(hf, ids, 30, eos_token_id=eos, pad_token_id=eos)
        assert torch.equal(greedy(model, ids, 30, eos), want), eos


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("width", [2, 4, 7])
@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 2.5, -1.0])
def test_beam_search_equals_transformers(seed, width, length_penalty):
    hf, model = pair(seed=seed)
    ids = prompts(1, 5, seed)
    for eos in (None, *endings(model, ids)):
        want, scores = library_beams(hf, ids, 14, width, eos, length_penalty)
        text, score = beam_search(model, ids[0], 14, width, eos, length_penalty)
        assert text.tolist() == want[0], eos
        assert score == pytest.approx(scores[0], abs=1e-4)


def test_one_beam_is_greedy():
    _, model = pair()
    ids = prompts(1, 5)
    assert torch.equal(beam_search(model, ids[0], 14, width=1)[0], greedy(model, ids, 14)[0])


def test_beams_as_many_as_there_are_texts_find_the_likeliest_text():
    _, model = pair(GPTConfig(vocab_size=5, context=8, d_model=6, n_head=2, n_layer=1))
    ids = torch.tensor([3, 1])
    every = torch.cartesian_prod(*[torch.arange(5)] * 3)
    texts = torch.cat([ids.expand(len(every), 2), every], dim=1)
    log_p = model(texts).log_softmax(-1)[:, 1:-1].gather(-1, every[..., None]).sum((1, 2))
    text, score = beam_search(model, ids, 3, width=25, length_penalty=0.0)
    assert torch.equal(text, texts[log_p.argmax()])
    assert score == pytest.approx(log_p.max().item())


def test_no_tokens_asked_for():
    _, model = pair()
    ids = prompts(2, 5)
    for got in (greedy(model, ids, 0), sample(model, ids, 0), write(model, ids, 0)):
        assert torch.equal(got, ids)
    text, score = beam_search(model, ids[0], 0, 3)
    assert torch.equal(text, ids[0]) and score == 0


def test_a_long_prompt_is_read_from_its_end():
    _, model = pair(GPTConfig(vocab_size=20, context=6, d_model=8, n_head=2, n_layer=1))
    ids = prompts(3, 11, vocab_size=20)
    for how in (greedy, sample):
        long, short = how(model, ids, 9), how(model, ids[:, -6:], 9)
        assert torch.equal(long[:, :11], ids)
        assert torch.equal(long[:, 11:], short[:, 6:])
    long, short = (beam_search(model, row, 9, 3)[0] for row in (ids[0], ids[0, -6:]))
    assert torch.equal(long[11:], short[6:])


# --------------------------------------------------------------------------------------------------------- filters


def random_logits(seed: int, batch: int, vocab_size: int, scale: float = 3.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(batch, vocab_size, generator=generator, dtype=torch.float64)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 4),
    st.integers(1, 40),
    st.sampled_from([0.05, 0.5, 1.0, 3.0]),
    st.none() | st.integers(1, 60),
    st.sampled_from([0.01, 0.3, 0.5, 0.9, 0.999, 1.0]),
)
def test_probabilities_equal_those_of_transformers(seed, batch, vocab_size, temperature, k, p):
    logits = random_logits(seed, batch, vocab_size)
    kept = logits.clone()
    want = library_probabilities(logits, temperature, k, p)
    assert (probabilities(logits, temperature, k, p) - want).abs().max() < 1e-9
    assert torch.equal(logits, kept)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 12), st.sampled_from([0.5, 1.0, 1.3, 4.0]))
def test_penalized_logits_equal_those_of_transformers(seed, batch, n, penalty):
    logits, ids = random_logits(seed, batch, 9), prompts(batch, n, seed, vocab_size=9)
    want = theirs.RepetitionPenaltyLogitsProcessor(penalty)(ids, logits.clone())
    assert torch.equal(penalize_repeats(logits, ids, penalty), want)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 25), st.integers(1, 5))
def test_forbidden_tokens_equal_those_of_transformers(seed, batch, length, n):
    logits, ids = random_logits(seed, batch, 4), prompts(batch, length, seed, vocab_size=4)
    want = theirs.NoRepeatNGramLogitsProcessor(n)(ids, logits.clone())
    assert torch.equal(forbid_repeats(logits, ids, n), want)


def test_filters_take_any_axes_before_the_last():
    logits = random_logits(3, 24, 11)
    for function in (lambda x: apply_temperature(x, 0.7), lambda x: top_k(x, 3), lambda x: top_p(x, 0.6)):
        want = function(logits)
        assert torch.equal(function(logits.view(2, 3, 4, 11)).view(24, 11), want)
        assert torch.equal(function(logits[5]), want[5])


def test_p_of_one_keeps_all_and_a_tiny_p_one():
    logits = random_logits(4, 50, 3000).float()
    assert torch.equal(top_p(logits, 1.0), logits)
    kept = top_p(logits, 1e-9) > -math.inf
    assert torch.equal(kept.sum(-1), torch.ones(50, dtype=torch.long))
    assert torch.equal(kept.float().argmax(-1), logits.argmax(-1))


# -------------------------------------------------------------------------------------------------------- sampling


@pytest.mark.parametrize("function", [sample, write])
@pytest.mark.parametrize(("temperature", "k", "p"), [(1.0, None, 1.0), (2.0, 6, 1.0), (0.6, None, 0.8), (1.5, 8, 0.9)])
def test_samples_follow_the_filtered_distribution(function, temperature, k, p):
    _, model = pair(GPTConfig(vocab_size=12, context=10, d_model=8, n_head=2, n_layer=1), seed=3)
    ids = prompts(1, 4, vocab_size=12)
    n = 20_000
    drawn = function(model, ids.expand(n, 4), 2, temperature=temperature, k=k, p=p, seed=5)
    first = probabilities(model(ids)[0, -1], temperature, k, p)
    expected = n * first
    counts = drawn[:, 4].bincount(minlength=12)
    assert not counts[first == 0].any()
    possible = first > 0
    assert ((counts - expected)[possible] ** 2 / expected[possible]).sum() < 40  # at most 11 degrees of freedom
    # The second token is drawn from what follows the first.
    token = int(counts.argmax())
    then = drawn[drawn[:, 4] == token]
    second = len(then) * probabilities(model(then[:1, :5])[0, -1], temperature, k, p)
    counts, possible = then[:, 5].bincount(minlength=12), second > 0
    assert not counts[~possible].any()
    assert ((counts - second)[possible] ** 2 / second[possible]).sum() < 40


@pytest.mark.parametrize("function", [sample, write])
def test_sampling_leaves_torchs_random_state_alone(function):
    _, model = pair()
    before = torch.get_rng_state()
    first = function(model, prompts(2, 3), 9, seed=4)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, function(model, prompts(2, 3), 9, seed=4))
    assert not torch.equal(first, function(model, prompts(2, 3), 9, seed=5))


# -------------------------------------------------------------------------------------------------------- measures


def test_measures_of_known_texts():
    ids = torch.tensor([[1, 2, 1, 2, 1], [3, 3, 3, 3, 3], [1, 2, 3, 4, 5]])
    assert rep_n(ids, 2).tolist() == pytest.approx([0.5, 0.75, 0.0])
    assert rep_n(ids, 5).tolist() == [0, 0, 0]
    assert distinct_n(ids, 2) == pytest.approx(6 / 12)  # 12 21 33 23 34 45
    assert distinct_n(ids, 1) == pytest.approx(5 / 15)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 3), min_size=9, max_size=9), min_size=1, max_size=4), st.integers(1, 9))
def test_measures_equal_a_count_by_hand(texts, n):
    grams = [[tuple(text[i : i + n]) for i in range(10 - n)] for text in texts]
    repeated = [sum(g in row[:i] for i, g in enumerate(row)) / len(row) for row in grams]
    assert rep_n(torch.tensor(texts), n).tolist() == pytest.approx(repeated, abs=1e-6)
    everything = [gram for row in grams for gram in row]
    assert distinct_n(torch.tensor(texts), n) == pytest.approx(len(set(everything)) / len(everything))


# ----------------------------------------------------------------------------------------------------------- cache


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.integers(1, 3))
def test_reading_in_pieces_gives_the_logits_of_the_whole(pieces, batch):
    hf, model = pair()
    pieces = pieces[: max(i for i in range(1, len(pieces) + 1) if sum(pieces[:i]) <= CONFIG.context or i == 1)]
    ids = prompts(batch, sum(pieces))
    cache = KVCache(CONFIG, batch, torch.float64)
    got = torch.cat([read_on(model, piece, cache) for piece in ids.split(pieces, dim=1)], dim=1)
    assert (got - hf(ids).logits).abs().max() < 1e-9
    assert cache.length() == sum(pieces)


def test_cached_keys_and_values_are_those_of_transformers():
    hf, model = pair()
    ids, cache = prompts(3, 11), KVCache(CONFIG, 3, torch.float64)
    read_on(model, ids[:, :4], cache)
    read_on(model, ids[:, 4:], cache)
    kept = hf(ids, use_cache=True).past_key_values
    for layer in range(CONFIG.n_layer):
        held = cache.memory[layer, :, :, :, :11]
        assert (held[0] - kept.layers[layer].keys).abs().max() < 1e-9
        assert (held[1] - kept.layers[layer].values).abs().max() < 1e-9


def test_writing_with_a_cache_gives_the_same_text():
    hf, model = pair()
    ids = prompts(4, 6)
    assert torch.equal(write(model, ids, 34), continued(hf, ids, 34))
    how = {"temperature": 1.3, "k": 20, "p": 0.95, "seed": 3}
    assert torch.equal(write(model, ids, 34, **how), sample(model, ids, 34, **how))


def test_what_was_written_can_be_trained_on():
    """Tensors made in inference mode may not: the text must be an ordinary tensor."""
    _, model = pair()
    model(write(model, prompts(1, 3), 4)).sum().backward()


# ------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            lambda x: apply_temperature(x, 0.0),
            "temperature is 0.0: it must be above 0; for the likeliest token use greedy",
        ),
        (lambda x: apply_temperature(x, -1.0), "must be above 0"),
        (lambda x: apply_temperature(x, math.nan), "must be above 0"),
        (lambda x: top_k(x, 0), "keep at least 1 token"),
        (lambda x: top_p(x, 0.0), "above 0 and at most 1"),
        (lambda x: top_p(x, 1.01), "above 0 and at most 1"),
        (lambda x: top_p(x, math.nan), "above 0 and at most 1"),
        (lambda x: probabilities(x, p=1.2), "above 0 and at most 1"),
        (lambda x: probabilities(x, p=math.nan), "above 0 and at most 1"),
        (lambda x: probabilities(x, k=0), "keep at least 1 token"),
        (lambda x: penalize_repeats(x, prompts(2, 3), 0.0), "must be above 0"),
        (lambda x: forbid_repeats(x, prompts(2, 3), 0), "must be 1 or more"),
        (lambda x: rep_n(prompts(2, 3), 4), "texts of 3 tokens have n-grams for n from 1 to 3"),
        (lambda x: distinct_n(prompts(2, 3), 0), "texts of 3 tokens have n-grams for n from 1 to 3"),
    ],
)
def test_what_makes_no_sense_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call(random_logits(0, 2, CONFIG.vocab_size))


def test_a_k_larger_than_the_vocabulary_keeps_all():
    logits = random_logits(0, 2, 9)
    assert torch.equal(top_k(logits, 10_000), logits)


def test_prompts_that_cannot_be_continued_are_refused():
    _, model = pair()
    empty = torch.zeros(2, 0, dtype=torch.long)
    for call in (greedy, sample, write):
        with pytest.raises(ValueError, match="the prompt has no tokens: begin with at least one"):
            call(model, empty, 3)
    with pytest.raises(ValueError, match="the prompt has no tokens"):
        beam_search(model, empty[0], 3, 2)
    with pytest.raises(ValueError, match="width is 0: keep at least 1 beam"):
        beam_search(model, prompts(1, 2)[0], 3, 0)
    with pytest.raises(ValueError, match=r"35 \+ 6 tokens do not fit in a context of 40: ask for fewer"):
        write(model, prompts(1, 35), 6)


def test_a_full_cache_stores_nothing_more():
    _, model = pair()
    cache = KVCache(CONFIG, 1, torch.float64)
    read_on(model, prompts(1, 38), cache)
    with pytest.raises(ValueError, match="41 positions do not fit in a context of 40: begin a new text"):
        read_on(model, prompts(1, 3), cache)
    keys = torch.zeros(1, 3, 3, 8, dtype=torch.float64)
    with pytest.raises(ValueError, match="41 positions do not fit"):
        cache.append(0, keys, keys)
    assert cache.length() == 38
