# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {name: python3, display_name: Python 3, language: python}
#   course: {title: "GPT, part by part", points: 40, seconds: 120}
# ---

# %% [markdown]
# You will write a GPT-2: layer norm, attention, many heads, the MLP, the block, and the model that stacks them. At
# the end your code holds the same numbers as `transformers`' GPT-2, to four decimals, and you train a small one on
# Python's own documentation and read what it writes.
#
# Shapes are written in the signatures: `Float[Tensor, "batch position d_model"]` is a tensor with three axes of those
# names, and `...` stands for any number of axes.

# %% given="setup"
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

from labkit import checkpoint, corpus
from labkit.testing import probes
from labkit.testing.checks import check_tensor, numbers, token_ids
from labkit.fit import adamw, fit, token_batches
from labkit.testing.answers import fresh_seed
from labkit.predictions import compare_prediction
from solutions.gpt import GPT2_NAMES, GPTConfig


# %% given="helpers"
def randomise(module, seed, scale=0.5):
    """Give every parameter of a module random values (biases too) and return them by name; buffers stay as they are."""
    parameters = module.named_parameters()
    state = {name: numbers(seed + i, *p.shape, scale=scale) for i, (name, p) in enumerate(parameters)}
    module.load_state_dict(state, strict=False)
    return state


# %% [markdown]
# ## Layer norm
#
# Every sublayer of the model reads its input through a layer norm. Without it the numbers in the residual stream, to
# which each block adds, would grow from layer to layer, and training would need far smaller steps.
#
# <details><summary>Hint</summary>
#
# `x.mean(dim=-1, keepdim=True)` keeps the last axis with length 1, so that it can be subtracted from `x`.
#
# </details>

# %% exercise="layer-norm" difficulty=2 importance=4 minutes=15 given_methods="__init__" replaces="torch.nn.functional.layer_norm torch.nn.LayerNorm torch.layer_norm torch.native_layer_norm torch.nn.functional.group_norm torch.nn.GroupNorm torch.group_norm torch.native_group_norm torch.nn.functional.instance_norm torch.instance_norm torch.nn.InstanceNorm1d torch.nn.functional.batch_norm torch.batch_norm torch.native_batch_norm"
from solutions.gpt import LayerNorm


# %% test="layer-norm" points=1
def test_layer_norm_centres_and_scales():
    # Width 3, so that dividing by n or by n - 1 makes a large difference.
    x = 7 + numbers(0, 2, 5, 3, scale=4.0)
    got = LayerNorm(3, eps=1e-9)(x)
    hint = "every position's vector should get mean 0: is the mean taken over the last axis?"
    check_tensor(got.mean(-1), torch.zeros(2, 5), hint)
    spread = (got**2).mean(-1)
    check_tensor(
        spread,
        torch.ones(2, 5),
        "the mean square of every vector should be 1: divide by n and not by n - 1",
        tolerance=1e-4,
    )


# %% test="layer-norm-weight" of="layer-norm" points=1
def test_layer_norm_weight_and_bias():
    layer, x = LayerNorm(6), numbers(1, 4, 5, 6)
    state = randomise(layer, 2)
    want = F.layer_norm(x, (6,), state["weight"], state["bias"])
    check_tensor(layer(x), want, "weight should multiply the normalised vector and bias be added after that")


# %% test="layer-norm-eps" of="layer-norm" points=1
def test_layer_norm_eps():
    x = numbers(3, 2, 4, 5)
    hint = "eps = 0.5 should be added to the variance, under the square root"
    check_tensor(LayerNorm(5, eps=0.5)(x), F.layer_norm(x, (5,), eps=0.5), hint)
    check_tensor(LayerNorm(5, eps=0.5)(torch.ones(1, 5)), torch.zeros(1, 5), "a constant vector should become 0")


# %% test="layer-norm-any" of="layer-norm" points=1
def test_layer_norm_any_axes_hidden():
    seed = fresh_seed()
    width = 3 + seed % 6
    for shape in ((width,), (3, width), (2, 3, 4, width)):
        layer, x = LayerNorm(width, eps=0.1), numbers(seed, *shape, scale=3.0)
        state = randomise(layer, seed + 1)
        want = F.layer_norm(x, (width,), state["weight"], state["bias"], 0.1)
        hint = f"an input with {len(shape)} axes comes out wrong: if the tests you see pass, count axes from the last"
        check_tensor(layer(x), want, hint, tolerance=1e-4)


def test_layer_norm_keeps_its_input_hidden():
    x = numbers(fresh_seed(), 3, 4)
    _, (after,) = probes.after_call(LayerNorm(4), x.clone())
    check_tensor(after, x, "forward changed its input in place; the residual stream would be lost")


def test_layer_norm_gradients_hidden():
    layer, x = LayerNorm(4), numbers(fresh_seed(), 3, 4)
    found = probes.gradients(layer, x)
    want = probes.gradients(lambda x: F.layer_norm(x, (4,)), x)["input.0"]
    check_tensor(
        found["input.0"],
        want,
        "the gradient is wrong: mean and variance depend on x too, do not detach them",
        tolerance=1e-4,
    )


# %% [markdown]
# ## What looks at what
#
# Attention is the only place where positions exchange information. Each position sends out a query and a key; how
# well query $i$ matches key $j$ decides how much $i$ takes from $j$.
#
# <details><summary>Hint: what should be masked</summary>
#
# The scores, before the softmax: what has score $-\infty$ gets weight $e^{-\infty} = 0$, and the rest still sums to
# 1.
#
# </details>
#
# <details><summary>Hint: an axis less</summary>
#
# `k.mT` swaps the last two axes of `k`, whatever comes before them; `q @ k.mT` then multiplies matrix by matrix.
#
# </details>

# %% exercise="attention-pattern" difficulty=3 importance=5 minutes=25 replaces="torch.nn.functional.scaled_dot_product_attention torch.nn.functional.multi_head_attention_forward torch.nn.MultiheadAttention torch._scaled_dot_product_attention_math torch._scaled_dot_product_flash_attention_for_cpu torch._native_multi_head_attention"
from solutions.gpt import attention_pattern


# %% test="attention-pattern" points=2
def test_attention_pattern_is_causal():
    q, k = numbers(10, 2, 3, 5, 4, scale=2.0), numbers(11, 2, 3, 5, 4, scale=2.0)
    pattern = attention_pattern(q, k)
    assert pattern.shape == (2, 3, 5, 5), f"shape (2, 3, 5, 5), a row for each query, is wanted: {pattern.shape}"
    assert not pattern.isnan().any(), "the pattern holds nan: position 0 must be allowed to see itself"
    late = pattern.triu(1).abs().max().item()
    assert late == 0, f"a query gives weight {late:.2g} to a key that comes after it: mask those scores"
    hint = "each query's weights should sum to 1: mask before the softmax, and take it over the keys"
    check_tensor(pattern.sum(-1), torch.ones(2, 3, 5), hint)
    assert pattern[..., 4, 4].min() > 0, "the last query gives itself no weight: a position sees itself too"


def test_attention_pattern_matches_torch():
    q, k = numbers(12, 2, 5, 3), numbers(13, 2, 5, 3)
    # Values that are the identity matrix give the pattern itself back.
    want = F.scaled_dot_product_attention(q, k, torch.eye(5).expand(2, 5, 5), is_causal=True)
    check_tensor(
        attention_pattern(q, k), want, "not torch's pattern: divide the scores by the square root of the width"
    )


# %% test="attention-pattern-any" of="attention-pattern" points=2
def test_attention_pattern_any_axes_hidden():
    seed = fresh_seed()
    n = 4 + seed % 5
    width = n + 1 + seed % 7  # another than n, so that the scores' scale shows
    for before in ((), (3,), (2, 3), (2, 1, 3)):
        q, k = numbers(seed, *before, n, width), numbers(seed + 1, *before, n, width)
        want = F.scaled_dot_product_attention(q, k, torch.eye(n).expand(*before, n, n), is_causal=True)
        hint = (
            f"wrong with {len(before)} axes before position and width: "
            "if the tests you see pass, count axes from the last"
        )
        check_tensor(attention_pattern(q, k), want, hint)


def test_attention_pattern_large_scores_hidden():
    q, k = numbers(fresh_seed(), 4, 3, scale=60.0), numbers(fresh_seed() + 1, 4, 3, scale=60.0)
    # Later keys may score thousands above the one key that the first query may see.
    k[3] = k[0] + 10_000 * q[0] / q[0].square().sum()
    want = F.scaled_dot_product_attention(q, k, torch.eye(4), is_causal=True)
    hint = "large scores come out wrong: exp of a large number is infinite, and no finite mask is low enough"
    # Scores in the thousands are exact to 3 decimals, so two that are nearly equal leave their weights as inexact.
    check_tensor(attention_pattern(q, k), want, hint, tolerance=1e-2)


def test_attention_pattern_gradients_hidden():
    q, k = numbers(fresh_seed(), 5, 3), numbers(fresh_seed() + 1, 5, 3)
    found = probes.gradients(attention_pattern, q, k)
    want = probes.gradients(lambda q, k: F.scaled_dot_product_attention(q, k, torch.eye(5), is_causal=True), q, k)
    check_tensor(
        found["input.0"],
        want["input.0"],
        "no right gradient reaches the queries: is a part of the pattern detached or made anew?",
    )
    check_tensor(
        found["input.1"],
        want["input.1"],
        "no right gradient reaches the keys: is a part of the pattern detached or made anew?",
    )


# %% [markdown]
# ## Many heads
#
# One pattern can look at one kind of thing. So the width is cut into `n_head` slices, and each slice has its own
# pattern. What the heads bring is set side by side again and passes one more matrix, the output projection: it
# decides where in the residual stream each head writes. It is easily forgotten, as the shapes fit without it.
#
# <details><summary>Hint</summary>
#
# `einops.rearrange(x, "batch position (head width) -> batch head position width", head=n_head)` cuts the width; the
# same pattern read from right to left puts it together. The axis of queries, keys and values can be cut out in the
# same line.
#
# </details>

# %% exercise="multi-head-attention" difficulty=4 importance=5 minutes=35 given_methods="__init__" replaces="torch.nn.functional.scaled_dot_product_attention torch.nn.functional.multi_head_attention_forward torch.nn.MultiheadAttention torch._scaled_dot_product_attention_math torch._scaled_dot_product_flash_attention_for_cpu torch._native_multi_head_attention"
from solutions.gpt import MultiHeadAttention


# %% test="multi-head-attention-heads" of="multi-head-attention" points=1
def test_heads_are_slices_of_the_width():
    layer, x = MultiHeadAttention(12, n_head=3), numbers(20, 2, 5, 12)
    state = randomise(layer, 21)
    got = layer.heads(x)
    assert got.shape == (3, 2, 3, 5, 4), f"3 parts, 2 texts, 3 heads, 5 positions, width 4: not {tuple(got.shape)}"
    rows = F.linear(x, state["qkv.weight"], state["qkv.bias"])
    for part, name in enumerate(("queries", "keys", "values")):
        for head in range(3):
            start = 12 * part + 4 * head
            want = rows[..., start : start + 4]
            hint = f"{name} of head {head} should be columns {start} to {start + 3} of qkv's output"
            check_tensor(got[part][:, head], want, hint)


# %% test="multi-head-attention" points=2
def torch_attention(state, d_model, n_head, x):
    """PyTorch's own multi-head attention with the same weights."""
    layer = nn.MultiheadAttention(d_model, n_head, batch_first=True)
    names = {"in_proj_": "qkv.", "out_proj.": "projection."}
    layer.load_state_dict({n + end: state[ours + end] for n, ours in names.items() for end in ("weight", "bias")})
    mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
    return layer(x, x, x, attn_mask=mask, need_weights=False)[0].detach()


def test_attention_is_projected():
    layer, x = MultiHeadAttention(6, n_head=2), numbers(22, 3, 5, 6)
    state = randomise(layer, 23)
    silent = {"projection.weight": torch.zeros(6, 6), "projection.bias": torch.ones(6)}
    layer.load_state_dict(state | silent, strict=False)
    hint = "the output projection is missing: it comes after the heads are joined"
    check_tensor(layer(x).detach(), torch.ones(3, 5, 6), hint)


def test_attention_matches_torch():
    layer, x = MultiHeadAttention(12, n_head=3), numbers(24, 2, 5, 12)
    state = randomise(layer, 25)
    hint = "the heads' results are not put side by side in order, or are not mixed by their own patterns"
    check_tensor(layer(x).detach(), torch_attention(state, 12, 3, x), hint, tolerance=1e-4)


# %% test="multi-head-attention-any" of="multi-head-attention" points=1
def test_attention_any_sizes_hidden():
    seed = fresh_seed()
    for n_head in (1, 2, 5):
        d_model = n_head * (2 + seed % 3)
        layer, x = MultiHeadAttention(d_model, n_head), numbers(seed, 3, 4 + seed % 4, d_model)
        state = randomise(layer, seed + 1)
        want = torch_attention(state, d_model, n_head, x)
        hint = (
            f"wrong with {n_head} heads of width {d_model // n_head}: "
            "if the tests you see pass, does a size stand in your code as a number?"
        )
        check_tensor(layer(x).detach(), want, hint, tolerance=1e-4)


def test_attention_sees_no_future_hidden():
    layer, x = MultiHeadAttention(8, n_head=2), numbers(fresh_seed(), 1, 6, 8)
    randomise(layer, fresh_seed())
    changed = x.clone()
    changed[:, 4:] += 1
    hint = "a position's output depends on later positions: is every head's pattern causal?"
    check_tensor(layer(x)[:, :4], layer(changed)[:, :4], hint)


# %% [markdown]
# ## The MLP
#
# Between the MLP's two matrices stands a non-linear function; without it the two would be one matrix. GPT-2 uses the
# tanh form of gelu, which differs from the exact one in the fourth decimal: enough to fail a comparison of logits.

# %% exercise="gelu" difficulty=1 importance=2 minutes=5 replaces="torch.nn.functional.gelu torch.nn.GELU torch._C._nn.gelu_"
from solutions.gpt import gelu


# %% test="gelu" points=1
def test_gelu_tanh_form():
    x = torch.linspace(-4, 4, 81, dtype=torch.float64)
    got, exact = gelu(x), F.gelu(x)
    is_exact = isinstance(got, torch.Tensor) and got.shape == x.shape and (got - exact).abs().max() < 1e-6
    assert not is_exact, "this is the exact gelu (with erf); GPT-2 uses the tanh form of the docstring"
    hint = "not the formula: check each constant, and that x cubed is inside the tanh"
    check_tensor(got, F.gelu(x, approximate="tanh"), hint, tolerance=1e-9)


# %% test="gelu-far" of="gelu" points=1
def test_gelu_far_from_zero_hidden():
    far = torch.tensor([[-200.0, -30.0, -9.0, 0.0, 9.0, 30.0, 200.0]])
    x = torch.cat([numbers(fresh_seed(), 3, 7, scale=3.0), far])
    check_tensor(
        gelu(x),
        F.gelu(x, approximate="tanh"),
        "not the tanh form at all numbers: far from 0 gelu should be x or 0 and stay finite",
    )
    found = probes.gradients(gelu, x)["input.0"]
    want = probes.gradients(lambda x: F.gelu(x, approximate="tanh"), x)["input.0"]
    check_tensor(
        found, want, "the gradient is wrong or nan far from 0: exp of a large number is infinite", tolerance=1e-4
    )


# %% exercise="mlp" difficulty=1 importance=3 minutes=5 given_methods="__init__"
from solutions.gpt import MLP


# %% test="mlp" points=1
def torch_mlp(state, x):
    """The same MLP from PyTorch's functions."""
    inner = F.gelu(F.linear(x, state["up.weight"], state["up.bias"]), approximate="tanh")
    return F.linear(inner, state["down.weight"], state["down.bias"])


def test_mlp_matches_torch():
    layer, x = MLP(3), numbers(30, 2, 5, 3)
    state = randomise(layer, 31)
    hint = "an MLP goes up, through gelu once, and down; adding to the residual stream is left to the block"
    check_tensor(layer(x).detach(), torch_mlp(state, x), hint)


# %% test="mlp-any" of="mlp" points=1
def test_mlp_any_axes_hidden():
    seed = fresh_seed()
    for shape in ((4,), (2, 3, 5, 4)):
        layer, x = MLP(4), numbers(seed, *shape)
        state = randomise(layer, seed + 1)
        hint = f"wrong for an input with {len(shape)} axes: up, gelu once, down, on the last axis, whatever comes before it"
        check_tensor(layer(x).detach(), torch_mlp(state, x), hint, tolerance=1e-4)


# %% [markdown]
# ## The block
#
# The residual stream is the model's working memory: a vector per position that every sublayer reads and adds to, and
# that nothing ever overwrites. It is wide so that many results can lie in it side by side.

# %% exercise="block" difficulty=2 importance=5 minutes=10 given_methods="__init__" replaces="torch.nn.TransformerEncoderLayer torch.nn.TransformerDecoderLayer torch._transformer_encoder_layer_fwd"
from solutions.gpt import Block


# %% test="block" points=2
def torch_block(state, config, x):
    """PyTorch's own pre-norm layer with the same weights."""
    layer = nn.TransformerEncoderLayer(
        config.d_model,
        config.n_head,
        4 * config.d_model,
        dropout=0.0,
        activation=lambda x: F.gelu(x, approximate="tanh"),
        layer_norm_eps=config.eps,
        batch_first=True,
        norm_first=True,
    )
    names = {
        "self_attn.in_proj_": "attention.qkv.",
        "self_attn.out_proj.": "attention.projection.",
        "linear1.": "mlp.up.",
        "linear2.": "mlp.down.",
        "norm1.": "attention_norm.",
        "norm2.": "mlp_norm.",
    }
    layer.load_state_dict({n + end: state[ours + end] for n, ours in names.items() for end in ("weight", "bias")})
    mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
    return layer(x, src_mask=mask).detach()


def test_block_adds_to_the_residual_stream():
    block, x = Block(GPTConfig(vocab_size=7, context=9, d_model=6, n_head=2, n_layer=1)), numbers(40, 3, 5, 6)
    state = randomise(block, 41)
    silent = {name: 0 * value for name, value in state.items() if "projection" in name or "down" in name}
    block.load_state_dict(state | silent, strict=False)
    hint = "when both sublayers write nothing, x should come out unchanged: add to it, do not replace it"
    check_tensor(block(x.clone()).detach(), x, hint)


def test_block_matches_torch():
    config = GPTConfig(vocab_size=7, context=9, d_model=6, n_head=2, n_layer=1, eps=0.1)
    block, x = Block(config), numbers(42, 3, 5, 6)
    state = randomise(block, 43)
    hint = "not torch's layer: each sublayer reads a normalised copy, and the MLP reads what attention has written"
    check_tensor(block(x.clone()).detach(), torch_block(state, config, x), hint, tolerance=1e-4)


# %% test="block-any" of="block" points=1
def test_block_any_sizes_hidden():
    seed = fresh_seed()
    config = GPTConfig(vocab_size=7, context=9, d_model=3 * (1 + seed % 4), n_head=3, n_layer=2, eps=0.5)
    block, x = Block(config), numbers(seed, 2, 4, config.d_model)
    state = randomise(block, seed + 1)
    result, (after,) = probes.after_call(block, x.clone())
    check_tensor(after, x, "the input was changed in place: `x += ...` changes the caller's tensor")
    hint = (
        f"wrong at width {config.d_model} with 3 heads and a large eps: "
        "if the tests you see pass, does every part get its sizes and eps from the config?"
    )
    check_tensor(result.detach(), torch_block(state, config, x), hint, tolerance=1e-4)


# %% [markdown]
# ## Somebody else's weights
#
# The best check of your model is an implementation by other people, with the same weights in it. `transformers` calls
# the parts of GPT-2 by other names than we do, and stores some matrices the other way round. This function
# translates; with it your model can hold the weights of any GPT-2.


# %% given="gpt2"
from labkit.testing.oracles import library_gpt2

# %% exercise="load-gpt2" difficulty=3 importance=2 minutes=20 replaces="transformers"
from solutions.gpt import load_gpt2

# %% test="load-gpt2" points=2
SMALL = GPTConfig(vocab_size=11, context=8, d_model=6, n_head=2, n_layer=3)


def test_load_gpt2_names():
    theirs = library_gpt2(SMALL, 50).state_dict()
    got = load_gpt2(dict(theirs))
    parts = ["attention_norm", "attention.qkv", "attention.projection", "mlp_norm", "mlp.up", "mlp.down"]
    modules = ["final_norm", *(f"blocks.{layer}.{part}" for layer in range(3) for part in parts)]
    names = {f"{module}.{end}" for module in modules for end in ("weight", "bias")}
    names |= {"token_embedding.weight", "position_embedding.weight"}
    assert not names - set(got), f"these of our weights are missing: {sorted(names - set(got))[:3]}"
    assert not set(got) - names, f"our GPT has no place for these: {sorted(set(got) - names)[:3]}"
    turned = load_gpt2(dict(reversed(theirs.items())))
    assert set(turned) == names, (
        "with the same weights in another order some are missing: leave out the head's matrix and go on with the rest"
    )


def test_load_gpt2_turns_matrices():
    model = library_gpt2(SMALL, 51)
    got = load_gpt2(model.state_dict())
    for name, theirs in {"token_embedding": model.transformer.wte, "position_embedding": model.transformer.wpe}.items():
        check_tensor(got[f"{name}.weight"], theirs.weight.detach(), f"{name} is no Conv1D: keep it as it is")
    block, x = model.transformer.h[1], numbers(52, 4, 6)
    theirs = {"attention.qkv": block.attn.c_attn, "attention.projection": block.attn.c_proj, "mlp.up": block.mlp.c_fc}
    for name, layer in theirs.items():
        weight, bias = got[f"blocks.1.{name}.weight"], got[f"blocks.1.{name}.bias"]
        assert weight.shape == (len(bias), 6), f"{name} has shape {tuple(weight.shape)}: it is to be transposed"
        hint = f"{name} gives other results than Conv1D: a square matrix is to be transposed too"
        check_tensor(F.linear(x, weight, bias), layer(x).detach(), hint)


# %% test="load-gpt2-any" of="load-gpt2" points=1
def test_load_gpt2_many_layers_hidden():
    seed = fresh_seed()
    config = GPTConfig(vocab_size=5, context=4, d_model=4, n_head=2, n_layer=12)
    model = library_gpt2(config, seed)
    # Without the language-model head the names have no "transformer." before them; old files hold mask buffers.
    buffers = {"h.0.attn.bias": torch.ones(1, 1, 4, 4), "h.3.attn.masked_bias": torch.ones(())}
    body = model.transformer.state_dict() | buffers
    for theirs in (model.state_dict(), body):
        names = set(theirs)
        result, (after,) = probes.after_call(load_gpt2, theirs)
        assert set(after) == names, "the dictionary that was passed in has lost or gained names"
        extra = [name for name in result if name.endswith(("attn.bias", "masked_bias", "lm_head.weight"))]
        assert not extra, f"our GPT has no place for {extra[0]}: leave out the head's matrix and the mask buffers"
        assert "blocks.11.mlp.down.weight" in set(result), (
            "the weights of layer 11 are missing; with and without the prefix they should be found"
        )
        hint = "the last layer's mlp.down is wrong: is it transposed, and taken from its own layer?"
        check_tensor(result["blocks.11.mlp.down.weight"], model.transformer.h[11].mlp.c_proj.weight.detach().T, hint)


# %% [markdown]
# ## The whole model
#
# Two things go in: which token, and where it stands. Attention by itself cannot tell positions apart: to it a text is
# a bag of tokens, but for the mask. What comes out is a score for every token of the vocabulary, at every position at
# once.

# %% exercise="gpt" difficulty=3 importance=5 minutes=20 given_methods="__init__ initialize" replaces="transformers torch.nn.TransformerEncoder torch.nn.TransformerEncoderLayer"
from solutions.gpt import GPT


# %% test="gpt" points=2
def test_gpt_embeds_tokens_and_positions():
    config = GPTConfig(vocab_size=11, context=9, d_model=6, n_head=2, n_layer=1)
    model = GPT(config)
    state = randomise(model, 60)
    ids = torch.tensor([[3, 3, 3, 7], [1, 3, 0, 10]])
    got = model.embed(ids).detach()
    want = state["token_embedding.weight"][ids] + state["position_embedding.weight"][:4]
    assert got.shape == want.shape, f"embed should give a vector per position, shape (2, 4, 6), not {tuple(got.shape)}"
    assert (got[0, 0] - got[0, 1]).abs().max() > 1e-3, "the same token is the same vector in two places: add positions"
    check_tensor(got, want, "embed is the token's embedding plus that of its position; the first position is number 0")


def test_gpt_matches_transformers():
    config = GPTConfig(vocab_size=11, context=9, d_model=6, n_head=3, n_layer=2, eps=0.1)
    theirs, model = library_gpt2(config, 61), GPT(config)
    model.load_state_dict(load_gpt2(theirs.state_dict()), strict=False)
    ids = token_ids(62, 11, 4, 7)
    hint = "not GPT-2's logits: all blocks in order, the final norm, then the token embeddings as unembedding"
    check_tensor(model(ids).detach(), theirs(ids).logits.detach(), hint, tolerance=1e-4)


# %% test="gpt-any" of="gpt" points=2
def test_gpt_any_sizes_hidden():
    seed = fresh_seed()
    d_model, n_layer = 2 * (2 + seed % 5), 2 + seed % 3  # one layer would hide in which order they run
    config = GPTConfig(5 + seed % 20, 8 + seed % 3, d_model, n_head=2, n_layer=n_layer, eps=0.01)
    theirs, model = library_gpt2(config, seed), GPT(config)
    model.load_state_dict(load_gpt2(theirs.state_dict()), strict=False)
    for batch, n in ((3, config.context), (1, 1), (2, 5)):
        ids = token_ids(seed + n, config.vocab_size, batch, n)
        hint = (
            f"wrong for {batch} texts of {n} tokens in a context of {config.context}: if the tests you see pass, "
            "does a size stand in your code as a number?"
        )
        check_tensor(model(ids).detach(), theirs(ids).logits.detach(), hint, tolerance=2e-4)


def test_gpt_sees_no_future_hidden():
    config = GPTConfig(vocab_size=13, context=8, d_model=6, n_head=2, n_layer=2)
    model, ids = GPT(config), token_ids(fresh_seed(), 13, 1, 8)
    randomise(model, fresh_seed())
    logits = model(ids)
    for position in range(1, 8):
        changed = ids.clone()
        changed[0, position] = (ids[0, position] + 1) % 13
        hint = f"changing token {position} changes logits before it: no position may see a later one"
        check_tensor(model(changed)[:, :position], logits[:, :position], hint, tolerance=1e-4)


def test_gpt_passes_gradients_hidden():
    model = GPT(GPTConfig(vocab_size=7, context=5, d_model=6, n_head=2, n_layer=3))
    randomise(model, fresh_seed())
    found = probes.gradients(model, token_ids(fresh_seed(), 7, 2, 5))
    assert "token_embedding.weight" in set(found), "the model has no token embedding among its parameters"
    for name, gradient in found.items():
        hint = f"gradients do not reach {name}: it would never learn; is something detached, or a block passed by?"
        assert gradient.abs().max() > 0, hint


def test_gpt_refuses_a_long_text_hidden():
    model = GPT(GPTConfig(vocab_size=5, context=4, d_model=4, n_head=2, n_layer=1))
    message = ""
    try:
        model(torch.zeros(1, 5, dtype=torch.long))
    except ValueError as error:
        message = str(error)
    except Exception as error:
        message = f"not a ValueError but a {type(error).__name__}"
    assert message and not message.startswith("not a ValueError"), (
        f"5 tokens in a context of 4 should raise a ValueError that says so ({message or 'nothing was raised'})"
    )


# %% [markdown]
# A model that computes the right thing also learns. The test below trains your GPT for a second or two on a row of
# tokens where each repeats the one three places back, nine times out of ten, and is random else. To get that right a
# model has to know where each token stands.


# %% test="gpt-learns" of="gpt" points=2
def repeats(seed, n):
    """A row of n tokens out of 8: each the same as three places before with probability 0.9, random otherwise."""
    row, fresh = token_ids(seed, 8, n), torch.rand(n, generator=torch.Generator().manual_seed(seed + 1)) > 0.9
    for i in range(3, n):
        if not fresh[i]:
            row[i] = row[i - 3]
    return row


def share_predicted(model, seed):
    """How often the model's first choice is the token two places back, over fresh rows (0 to 1)."""
    rows = repeats(seed, 32 * 16).view(32, 16)
    return (model(rows)[:, 4:].argmax(-1) == rows[:, 2:-2]).double().mean().item()


def test_gpt_learns_to_look_back():
    model = probes.seeded(0, GPT, GPTConfig(vocab_size=8, context=16, d_model=32, n_head=2, n_layer=1))
    probes.train(model, repeats(1, 4000), steps=100, batch_size=16, context=16, learning_rate=1e-2, seed=2)
    share = share_predicted(model, 3)
    assert share > 0.7, f"after 100 steps it finds the repeated token in {share:.0%} of places; ours does in 90%"


# %% [markdown]
# ## The loss
#
# The text is its own answer key: the logits at a position are judged by the token that follows.

# %% exercise="next-token-loss" difficulty=2 importance=4 minutes=10
from solutions.gpt import next_token_loss


# %% test="next-token-loss" points=2
def test_loss_of_known_answers():
    ids = torch.tensor([[2, 0, 1, 3], [1, 1, 4, 0]])
    sure = 100.0 * F.one_hot(ids.roll(-1, dims=1), 5).float()
    loss = next_token_loss(sure, ids)
    assert isinstance(loss, torch.Tensor) and loss.ndim == 0, "the loss should be a tensor with no axes"
    assert loss.item() < 1e-6, f"logits sure of each next token lose {loss.item():.3g}, not 0: is one shifted?"
    even = next_token_loss(torch.zeros(2, 4, 5), ids).item()
    assert abs(even - math.log(5)) < 1e-6, f"5 equally likely tokens make a loss of ln 5 = 1.609 nats, not {even:.4g}"


# %% test="next-token-loss-any" of="next-token-loss" points=1
def test_loss_of_any_logits_hidden():
    seed = fresh_seed()
    batch, n, vocab_size = 2 + seed % 3, 5 + seed % 4, 9 + seed % 8
    logits, ids = numbers(seed, batch, n, vocab_size, scale=2.0), token_ids(seed, vocab_size, batch, n)
    surprise = torch.distributions.Categorical(logits=logits[:, :-1]).log_prob(ids[:, 1:]).neg()
    hint = "the mean goes over every text and every token but the first, judged by the logits before it, in nats"
    check_tensor(next_token_loss(logits, ids), surprise.mean(), hint)


# %% [markdown]
# ## Writing
#
# A GPT writes by predicting, choosing, and reading what it has just written. How best to choose has a chapter of its
# own; here the next token is drawn at random from the model's distribution, or is the likeliest.

# %% exercise="generate" difficulty=3 importance=4 minutes=20 replaces="transformers"
from solutions.gpt import generate


# %% test="generate" points=2
def writer(seed=70, context=8):
    """A GPT-2 of `transformers` with random weights, which says what should come next, and a GPT that holds them."""
    config = GPTConfig(vocab_size=11, context=context, d_model=6, n_head=2, n_layer=1)
    theirs, model = library_gpt2(config, seed), GPT(config)
    with torch.no_grad():  # sure of itself, and not of one token whatever stands before
        theirs.transformer.ln_f.weight.mul_(3)
        theirs.transformer.ln_f.bias.zero_()
    model.load_state_dict(load_gpt2(theirs.state_dict()))
    return theirs, model


def missed(theirs, got, i, context=8):
    """By how much the likeliest token's logit is above that of token i, at most over all texts."""
    logits = theirs(got[:, max(i - context, 0) : i]).logits[:, -1].detach()
    return (logits.amax(-1) - logits.gather(-1, got[:, i, None])[:, 0]).max().item()


def test_generate_continues_the_prompt():
    prompt = token_ids(71, 11, 3, 4)
    got = generate(writer()[1], prompt, n_tokens=6, temperature=0.0)
    assert got.shape == (3, 10), f"4 tokens of prompt and 6 new ones make shape (3, 10), not {tuple(got.shape)}"
    assert torch.equal(got[:, :4], prompt), "the result should begin with the prompt"


def test_generate_takes_the_likeliest():
    # So many texts that reading other tokens than the last ones shows in one of them.
    (theirs, model), prompt = writer(), token_ids(72, 11, 64, 4)
    got = generate(model, prompt, n_tokens=7, temperature=0.0)
    for i in range(4, 11):
        assert missed(theirs, got, i) < 1e-3, (
            f"at temperature 0, token {i} should be the likeliest one after the {min(i, 8)} tokens before it, "
            "with a context of 8"
        )


# %% test="generate-sampling" of="generate" points=2
def test_generate_follows_its_seed():
    model, prompt = writer()[1], token_ids(73, 11, 2, 3)
    first = probes.seeded(1, generate, model, prompt, 5, 1.0, 9)
    again = probes.seeded(2, generate, model, prompt, 5, 1.0, 9)
    assert torch.equal(first, again), "the same seed gave another text: draw from a generator with this seed"
    others = [generate(model, prompt, 5, temperature=1.0, seed=seed) for seed in range(5)]
    assert not all(torch.equal(first, other) for other in others), "five other seeds all gave the same text"


def test_generate_draws_anew_hidden():
    model = GPT(GPTConfig(vocab_size=11, context=8, d_model=6, n_head=2, n_layer=1))
    randomise(model, 0, scale=0.0)
    drawn = generate(model, torch.zeros(1, 1, dtype=torch.long), 40, temperature=1.0, seed=fresh_seed())
    different = len(set(drawn[0, 1:].tolist()))
    assert different > 3, f"of 11 equally likely tokens {different} are drawn again and again: make the generator once"


def test_generate_draws_by_the_temperature_hidden():
    (theirs, model), prompt = writer(seed=fresh_seed()), token_ids(fresh_seed(), 11, 1, 4)
    for temperature in (0.2, 2.5):
        drawn = generate(model, prompt.expand(4000, 4), 1, temperature=temperature, seed=fresh_seed())[:, -1]
        probabilities = (theirs(prompt).logits[0, -1].detach() / temperature).softmax(-1)
        distance = (drawn.bincount(minlength=11) / 4000 - probabilities).abs().sum().item() / 2
        # A right answer stays below 0.06 but for three submissions in a million; at 0.2, 1 for the temperature makes
        # a distance of more than 0.1.
        assert distance < 0.06, f"at temperature {temperature} tokens are not drawn from softmax(logits / temperature)"


# %% test="generate-long" of="generate" points=1
def test_generate_beyond_the_context_hidden():
    # So many texts that reading other tokens than the last ones shows in one of them.
    (theirs, model), prompt = writer(context=5), token_ids(fresh_seed(), 11, 64, 9)
    got = generate(model, prompt, 7, temperature=0.0)
    assert got.shape == (64, 16), "a prompt longer than the context stays in the result whole"
    worst = max(missed(theirs, got, i, context=5) for i in range(9, 16))
    assert worst < 1e-3, "only the last `context` tokens should be read, at positions 0 and up"
    result, (_, after, _) = probes.after_call(generate, model, prompt, 0)
    assert torch.equal(result, prompt), "no new tokens were asked for: the prompt should come back"
    assert torch.equal(after, prompt), "the prompt was changed in place: return another tensor"


# %% [markdown]
# ## All together
#
# The last test uses nothing of ours: your parts, together, against `transformers`.


# %% test="integration" of="integration" points=4
def test_your_gpt_is_gpt2():
    config = GPTConfig(vocab_size=17, context=12, d_model=12, n_head=3, n_layer=3, eps=1e-3)
    theirs, model = library_gpt2(config, 80), GPT(config)
    model.load_state_dict(load_gpt2(theirs.state_dict()), strict=False)
    ids = token_ids(81, 17, 4, 10)
    check_tensor(
        model(ids).detach(),
        theirs(ids).logits.detach(),
        "your parts together do not give GPT-2's logits",
        tolerance=1e-4,
    )
    loss = theirs(ids, labels=ids).loss.detach()
    check_tensor(
        next_token_loss(model(ids), ids).detach(),
        loss,
        "your loss is not the one transformers computes",
        tolerance=1e-4,
    )


def test_your_gpt_writes_like_gpt2_hidden():
    seed = fresh_seed()
    config = GPTConfig(vocab_size=17, context=14, d_model=12, n_head=4, n_layer=2)
    theirs, model = library_gpt2(config, seed), GPT(config)
    with torch.no_grad():  # so that what comes next depends on all that stands before, and where
        theirs.transformer.wpe.weight.mul_(5)
        theirs.transformer.ln_f.bias.zero_()
    model.load_state_dict(load_gpt2(theirs.state_dict()), strict=False)
    # So many texts that reading other tokens shows in one of them; and where two tokens are equally likely to 3
    # decimals, either will do.
    prompt = token_ids(seed, 17, 64, 4)
    got = generate(model, prompt, 8, temperature=0.0)
    assert got.shape == (64, 12) and torch.equal(got[:, :4], prompt), "the result should be the prompt and 8 new tokens"
    logits = theirs(got).logits.detach()[:, 3:-1]
    missed = logits.amax(-1) - logits.gather(-1, got[:, 4:, None])[..., 0]
    assert missed.max() < 1e-3, (
        "at temperature 0 each new token should be the likeliest of transformers' GPT-2 after all tokens before it"
    )


# %% [markdown]
# ## Train it
#
# Now a model of yours learns from Python's documentation. The tokenizer's merges come with the course's trained
# checkpoint; the text comes with your Python. Two predictions first; leave them at `None` if you have no guess.
#
# - The untrained model gives all 1,024 tokens about the same chance. What is its loss, in nats a token?
# - After 300 steps, that is 300,000 tokens read, what will the loss on text it has not read be?

# %% run
if __name__ == "__main__":
    predicted_loss_before = None  # your guess
    predicted_loss_after = None  # your guess


# %% given="text"
from labkit.testing.oracles import library_tokenizer


def documentation_tokenizer():
    """The tokenizer of the course's checkpoint: byte-level BPE with 1,024 tokens, run by the `tokenizers` library."""
    return library_tokenizer(checkpoint.load("documentation-small").merges)


# %% run tags=["nbval-ignore-output"]
if __name__ == "__main__":
    tokenizer = documentation_tokenizer()
    train_ids = torch.tensor(tokenizer.encode(corpus.text("train", 300_000)).ids)
    heldout_ids = torch.tensor(tokenizer.encode(corpus.text("heldout", 30_000)).ids)
    print(f"{len(train_ids):,} tokens to learn from, {len(heldout_ids):,} held out")

    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=1024, context=64, d_model=64, n_head=4, n_layer=2))
    prompt = torch.tensor([tokenizer.encode("The value of the").ids])

    def heldout_loss():
        rows = heldout_ids[: len(heldout_ids) // 64 * 64].view(-1, 64)
        with torch.no_grad():
            return next_token_loss(model(rows), rows).item()

    loss_before, text_before = heldout_loss(), tokenizer.decode(generate(model, prompt, 60, seed=1)[0].tolist())
    print(f"before training, loss {loss_before:.2f}:\n{text_before}")
    assert abs(loss_before - math.log(1024)) < 0.2, "an untrained model should know nothing"

# %% run tags=["nbval-ignore-output"]
if __name__ == "__main__":
    torch.set_num_threads(1)  # a model this small gains little from more, and loses much where others work too
    batches = token_batches(train_ids, batch_size=16, context=64, seed=0)
    losses = fit(model, batches, steps=300, optimizer=adamw(model, 4e-3))
    loss_after = heldout_loss()
    text_after = tokenizer.decode(generate(model, prompt, 60, temperature=0.8, seed=1)[0].tolist())
    print(f"after training, loss {loss_after:.2f}:\n{text_after}")
    assert loss_after < 5.0, "training should bring the loss below 5 nats a token"
    compare_prediction("loss before training", predicted_loss_before, loss_before, unit="nats")
    compare_prediction("loss after training", predicted_loss_after, loss_after, unit="nats")

# %% run
if __name__ == "__main__":
    import matplotlib.pyplot as plt

    plt.figure(figsize=(6, 3))
    plt.plot(losses, label="training batches")
    plt.axhline(math.log(1024), color="grey", linestyle=":", label="all tokens equally likely")
    plt.xlabel("step")
    plt.ylabel("loss (nats a token)")
    plt.legend()
    plt.show()

# %% [markdown]
# ## The real one
#
# If `transformers` has GPT-2's weights on this machine already, the next cell puts them into your model and lets it
# write. Nothing is downloaded.

# %% run tags=["nbval-ignore-output"]
if __name__ == "__main__":
    try:
        import transformers

        gpt2 = transformers.GPT2LMHeadModel.from_pretrained("gpt2", local_files_only=True)
        gpt2_tokenizer = transformers.AutoTokenizer.from_pretrained("gpt2", local_files_only=True)
    except (ImportError, OSError, ValueError):
        print("GPT-2's weights are not on this machine. To see your model write with them, let transformers fetch them")
        print('once (0.5 GB): transformers.pipeline("text-generation", "gpt2"). Then run this cell again.')
    else:
        real = GPT(GPTConfig(vocab_size=50257, context=1024, d_model=768, n_head=12, n_layer=12))
        real.load_state_dict(load_gpt2(gpt2.state_dict()))
        start = torch.tensor([gpt2_tokenizer.encode("Attention is the only place where")])
        print(gpt2_tokenizer.decode(generate(real, start, 40, temperature=0.7, seed=0)[0].tolist()))
