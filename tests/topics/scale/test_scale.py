"""The reference arithmetic of scale against other people's counts, fits and searches."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import curve_fit, minimize_scalar
from torch.utils.flop_counter import FlopCounterMode

from labkit.testing.oracles import library_cache_bytes, library_gpt2
from solutions import scale
from solutions.gpt import GPT, GPTConfig, next_token_loss
from solutions.scale import (
    BESIROGLU,
    GPT3_TABLE,
    HOFFMANN,
    MEASURED_LADDER,
    arithmetic_intensity,
    chinchilla_optimal,
    count_params,
    decoding_rate,
    effective_tokens,
    fit_power_law,
    flops_per_token,
    fused,
    kv_cache_bytes,
    large_weight,
    last_level_cache,
    markov_entropy,
    markov_rows,
    markov_source,
    measure_machine,
    parametric_loss,
    ridge_rows,
    roofline,
    source_loss,
    table_config,
    train_for_flops,
    train_on_source,
    training_flops,
    training_memory,
    width_of_size,
)

sizes = st.builds(
    lambda vocab_size, context, n_head, width, n_layer: GPTConfig(vocab_size, context, n_head * width, n_head, n_layer),
    st.integers(2, 90),
    st.integers(1, 20),
    st.integers(1, 4),
    st.integers(1, 6),
    st.integers(1, 4),
)


@settings(max_examples=25, deadline=None)
@given(sizes)
def test_parameters_are_those_of_the_module_and_of_transformers(config):
    total = sum(count_params(config).values())
    with torch.device("meta"):
        assert total == sum(p.numel() for p in GPT(config).parameters())
    assert total == library_gpt2(config).num_parameters()


def test_the_paper_s_table_comes_out():
    digits = {"GPT-3 Small": 3, "GPT-3 Large": 3, "GPT-3 XL": 2, "GPT-3 2.7B": 2, "GPT-3 6.7B": 2, "GPT-3 13B": 3}
    for row in GPT3_TABLE:
        total = sum(count_params(table_config(row)).values())
        if row.name in digits:
            assert float(f"{total:.{digits[row.name]}g}") == row.n_params, row.name
    # What the paper prints of these two is rounder still.
    assert sum(count_params(table_config(GPT3_TABLE[1])).values()) == 355_871_744
    assert sum(count_params(table_config(GPT3_TABLE[-1])).values()) == 174_604_259_328


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 10**12), st.integers(1, 200), st.integers(1, 64), st.integers(2, 10**5), st.integers(1, 10**4))
def test_the_width_is_the_largest_that_fits(n_params, n_layer, n_head, vocab_size, context):
    def total(width: int) -> int:
        return sum(count_params(GPTConfig(vocab_size, context, width, n_head, n_layer)).values())

    if total(n_head) > n_params:
        with pytest.raises(ValueError, match="too few"):
            width_of_size(n_params, n_layer, n_head, vocab_size, context)
    else:
        width = width_of_size(n_params, n_layer, n_head, vocab_size, context)
        assert total(width) <= n_params < total(width + n_head)


@settings(max_examples=15, deadline=None)
@given(sizes, st.integers(1, 3), st.data())
def test_flops_are_those_that_torch_counts(config, batch_size, data):
    n = data.draw(st.integers(1, config.context))
    ids = torch.zeros(batch_size, n, dtype=torch.long)
    for model in (GPT(config), library_gpt2(config, attn_implementation="eager")):
        with FlopCounterMode(display=False) as counter:
            model(ids)
        assert counter.get_total_flops() == batch_size * n * flops_per_token(config, n)
    full = torch.zeros(batch_size, config.context, dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        GPT(config)(full).sum().backward()
    assert counter.get_total_flops() == training_flops(config, batch_size * config.context)


@pytest.mark.parametrize("n", [0, 9, -1])
def test_a_text_that_does_not_fit_is_refused(n):
    config = GPTConfig(11, 8, 6, 2, 1)
    with pytest.raises(ValueError, match="between 1 and the context of 8"):
        flops_per_token(config, n)
    if n:
        with pytest.raises(ValueError, match="between 0 and the context of 8"):
            kv_cache_bytes(config, n)


def test_the_cache_is_that_of_transformers():
    config = GPTConfig(31, 12, 12, 3, 2)
    want = library_cache_bytes(library_gpt2(config), 7, batch_size=5)
    assert kv_cache_bytes(config, 7, batch_size=5, bytes_per_number=4) == want


def test_the_optimizer_keeps_what_is_said():
    config = GPTConfig(31, 12, 12, 3, 2)
    model = GPT(config)
    optimizer = torch.optim.AdamW(model.parameters())
    next_token_loss(model(torch.zeros(2, 12, dtype=torch.long)), torch.zeros(2, 12, dtype=torch.long)).backward()
    optimizer.step()
    memory = training_memory(config, 2)
    kept = [value for state in optimizer.state.values() for value in state.values() if value.ndim]
    assert sum(value.nbytes for value in kept) == memory["optimizer"]
    assert sum(p.grad.nbytes for p in model.parameters()) == memory["gradients"]


def test_intensity_and_roof():
    a, b = torch.zeros(5, 7), torch.zeros(7, 11)
    assert arithmetic_intensity(5, 7, 11) == 2 * 5 * 7 * 11 / (a.nbytes + b.nbytes + (a @ b).nbytes)
    assert arithmetic_intensity(600, 600, 600) == pytest.approx(600 / 6)
    got = roofline(torch.tensor([1.0, 10.0, 1000.0]), peak=50.0, bandwidth=2.0)
    assert got.tolist() == [2.0, 20.0, 50.0]


def test_a_batch_shares_the_weights():
    config = table_config(GPT3_TABLE[-1])
    one, many = (decoding_rate(config, 1, batch, peak=1e15, bandwidth=1e12) for batch in (1, 64))
    assert 60 < many / one <= 64
    assert decoding_rate(config, 1, 10**6, 1e15, 1e12) == pytest.approx(1e15 / flops_per_token(config, 1))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.floats(0.1, 1e3), st.sampled_from([1, 2, 4, 8]))
def test_the_ridge_is_where_both_limits_meet(k, n, ridge, size):
    rows = ridge_rows(k, n, ridge * 1e9, 1e9, size)
    if rows == math.inf:
        assert arithmetic_intensity(10**15, k, n, size) <= ridge * (1 + 1e-9)
    else:
        flops, moved = 2 * rows * k * n, size * (rows * k + k * n + rows * n)
        assert flops / moved == pytest.approx(ridge, rel=1e-6)


def test_a_machine_computes_and_moves():
    machine = measure_machine(size=256, weight=[torch.ones(256, 256)])
    assert machine.peak > 1e8 and machine.bandwidth > 1e7


def test_a_large_weight_is_larger_than_the_caches(monkeypatch):
    for cache, megabytes in ((0, 64), (2**20, 64), (40 * 2**20, 160), (2**30, 768)):
        monkeypatch.setattr(scale, "last_level_cache", lambda cache=cache: cache)
        monkeypatch.setattr(torch, "ones", lambda *shape: torch.empty(shape, device="meta"))
        assert sum(block.nbytes for block in large_weight(1024, 4096)) == megabytes * 2**20
    monkeypatch.undo()
    assert last_level_cache() >= 0


@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-9), (torch.float32, 1e-5)])
def test_the_fused_model_is_the_same_model(dtype, tolerance):
    config = GPTConfig(31, 12, 12, 3, 2, eps=0.1)
    torch.manual_seed(0)
    clear = GPT(config).to(dtype)
    quick = GPT(config).to(dtype)
    quick.load_state_dict(clear.state_dict())
    assert fused(quick) is quick
    ids = torch.randint(31, (3, 11))
    for model in (clear, quick):
        next_token_loss(model(ids), ids).backward()
    assert (clear(ids) - quick(ids)).abs().max() <= tolerance
    for (name, p), q in zip(clear.named_parameters(), quick.parameters(), strict=True):
        assert (p.grad - q.grad).abs().max() <= tolerance, name


@pytest.mark.parametrize("n", [2, 7, 40])
def test_the_entropy_is_that_of_a_long_text(n):
    probabilities = torch.rand(n, n, generator=torch.Generator().manual_seed(n), dtype=torch.float64) ** 3
    probabilities = probabilities / probabilities.sum(1, keepdim=True)
    rows = markov_rows(probabilities, 4000, 20, seed=n)
    surprise = -probabilities[rows[:, :-1], rows[:, 1:]].log()
    error = surprise.std().item() / math.sqrt(surprise.numel())
    assert markov_entropy(probabilities) == pytest.approx(surprise.mean().item(), abs=5 * error)


def test_rows_that_do_not_sum_to_one_are_refused():
    with pytest.raises(ValueError, match="must sum to 1"):
        markov_entropy(torch.ones(3, 3))


@settings(max_examples=50, deadline=None)
@given(st.floats(0.1, 5), st.floats(1, 100), st.floats(0.1, 0.9), st.integers(4, 9))
def test_a_planted_law_is_found(floor, factor, exponent, n):
    counts = [1e3 * 3.0**i for i in range(n)]
    losses = [floor + factor * size**-exponent for size in counts]
    got = fit_power_law(counts, losses)
    assert got == pytest.approx((floor, factor, exponent), rel=1e-2, abs=1e-3)


def test_scipy_fits_the_measured_ladder_alike():
    counts, losses = map(list, zip(*MEASURED_LADDER, strict=True))
    entropy = markov_entropy(markov_source())
    floor, factor, exponent = fit_power_law(counts, losses)
    assert floor == pytest.approx(entropy, rel=0.03) and 0.26 < exponent < 0.33

    def log_excess(n, floor, factor, exponent):
        return [math.log(floor + factor * size**-exponent) for size in n]

    theirs, _ = curve_fit(log_excess, counts, [math.log(loss) for loss in losses], [floor, factor, exponent])
    assert theirs[0] == pytest.approx(floor, rel=0.03) and theirs[2] == pytest.approx(exponent, abs=0.06)


@pytest.mark.parametrize(
    "counts, losses",
    [([1, 2, 3], [3, 2, 1]), ([1, 1, 2, 3], [4, 3, 2, 1]), ([-1, 1, 2, 3], [4, 3, 2, 1]), ([1, 2, 3, 4], [3, 2, 1])],
)
def test_too_little_to_fit_is_refused(counts, losses):
    with pytest.raises(ValueError, match="four sizes or more"):
        fit_power_law(counts, losses)


@pytest.mark.parametrize("law", [HOFFMANN, BESIROGLU])
@pytest.mark.parametrize("flops", [1e18, 5.76e23, 1e27])
def test_the_optimum_is_what_a_search_finds(law, flops):
    n_params, n_tokens = chinchilla_optimal(flops, law)
    assert 6 * n_params * n_tokens == pytest.approx(flops)
    found = minimize_scalar(
        lambda x: parametric_loss(math.exp(x), flops / 6 / math.exp(x), law),
        bracket=(10, 25),
        options={"xtol": 1e-10},
    )
    assert math.exp(found.x) == pytest.approx(n_params, rel=1e-3)


def test_budgets_and_sizes_must_be_positive():
    with pytest.raises(ValueError, match="budget must be positive"):
        chinchilla_optimal(-1, HOFFMANN)
    with pytest.raises(ValueError, match="must be positive"):
        parametric_loss(10, 0, HOFFMANN)
    with pytest.raises(ValueError, match="pass positive numbers"):
        effective_tokens(10, 0)
    with pytest.raises(ValueError, match="every size of a GPT must be at least 1"):
        GPTConfig(10, 4, 0, 1, 1)
    with pytest.raises(ValueError, match="every size of a GPT must be at least 1"):
        GPTConfig(10, 4, 8, 0, 1)


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 80), st.floats(1, 1e12), st.floats(1, 30))
def test_repetition_adds_up_to_its_integral(epochs, unique, worth):
    repeated, _ = quad(lambda r: math.exp(-r / worth), 0, max(epochs - 1, 0))
    want = unique * (min(epochs, 1) + repeated)
    assert effective_tokens(epochs * unique, unique, worth) == pytest.approx(want, rel=1e-6, abs=1e-6)


def test_a_source_is_a_chain_and_its_texts_follow_it():
    source = markov_source(n_symbols=6, seed=3)
    assert (source.sum(1) - 1).abs().max() < 1e-12
    rows = markov_rows(source, 20_000, 3, seed=1)
    assert torch.equal(rows, markov_rows(source, 20_000, 3, seed=1))
    pairs = torch.zeros(6, 6)
    pairs.index_put_((rows[:, 1], rows[:, 2]), torch.ones(len(rows)), accumulate=True)
    assert (pairs / pairs.sum(1, keepdim=True) - source).abs().max() < 0.05
    first, last = (torch.bincount(rows[:, i], minlength=6) / len(rows) for i in (0, 2))
    assert (first - last).abs().max() < 0.02, "texts begin as they go on"


def test_training_brings_the_loss_down_but_not_below_the_entropy():
    source = markov_source(n_symbols=16)
    config = GPTConfig(vocab_size=16, context=8, d_model=16, n_head=1, n_layer=1)
    loss = train_on_source(config, source, steps=80)
    assert markov_entropy(source) < loss < source_loss(GPT(config), source, markov_rows(source, 64, 8, seed=5)) - 0.1


def test_a_budget_is_spent():
    source = markov_source(n_symbols=16)
    config = GPTConfig(vocab_size=16, context=8, d_model=16, n_head=1, n_layer=1)
    a_step = training_flops(config, 16 * 8)
    n_tokens, loss = train_for_flops(config, source, 10.4 * a_step)
    assert n_tokens == 10 * 16 * 8
    assert loss == train_on_source(config, source, steps=10)
