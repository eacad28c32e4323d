# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {name: python3, display_name: Python 3, language: python}
#   course: {title: "GPT, part by part", points: 38, seconds: 120}
# ---

# %% [markdown]
# You will write a GPT-2: layer norm, attention, many heads, the block, and the model that stacks them. At the end your
# code computes the same numbers as `transformers`' GPT-2, to four decimals. On the way you see what a trained model's
# heads look at, take your model apart to see what it cannot do without, and train one that writes Python.
#
# Shapes are written in the signatures: `Float[Tensor, "batch position d_model"]` is a tensor with three axes of those
# names, and `...` stands for any number of axes.

# %% given="setup"
import copy
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

from labkit import checkpoint, corpus
from labkit.blanks import unless_blank
from labkit.testing import probes
from labkit.testing.checks import check_refused, check_tensor, numbers, token_ids
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


def on_axes(function, *inputs):
    """What a function gives; where it raises, the message adds how many axes its inputs have."""
    try:
        return function(*inputs)
    except (IndexError, RuntimeError, ValueError) as error:
        if not isinstance(error, NotImplementedError):
            n = inputs[0].ndim
            error.add_note(
                f"The input has {n} ax{'i' if n == 1 else 'e'}s here: count axes from the last, as -1 and -2."
            )
        raise


# %% [markdown]
# ## Layer norm
#
# Every block adds to the residual stream, whose numbers grow from layer to layer. Without a layer norm each sublayer's
# input would grow with them; so every sublayer of the model reads its input through one.
#
# <details><summary>Hint</summary>
#
# `x.mean(dim=-1, keepdim=True)` keeps the last axis with length 1, so that it can be subtracted from `x`.
#
# </details>

# %% exercise="layer-norm" difficulty=2 importance=4 minutes=20 given_methods="__init__" replaces="torch.nn.functional.layer_norm torch.nn.LayerNorm torch.layer_norm torch.native_layer_norm torch.nn.functional.group_norm torch.nn.GroupNorm torch.group_norm torch.native_group_norm torch.nn.functional.instance_norm torch.instance_norm torch.nn.InstanceNorm1d torch.nn.functional.batch_norm torch.batch_norm torch.native_batch_norm"
from solutions.gpt import LayerNorm


# %% test="layer-norm" points=1
def test_layer_norm_of_one_vector():
    # The mean of these is 4 and each lies 3 from it, so the variance is 9.
    x, one = torch.tensor([[1.0, 1, 7, 7]]), torch.tensor([[-1.0, -1, 1, 1]])
    check_tensor(
        LayerNorm(4)(x.clone()),
        one,
        "the vector (1, 1, 7, 7) should become (-1, -1, 1, 1)",
        tolerance=1e-3,
        mistakes={
            "everything becomes 0: mean and variance should run over the last axis": 0 * one,
            "the mean is subtracted, but nothing is divided by the square root of the variance": 3 * one,
            "this divides by the variance and not by its square root": one / 3,
            "the variance here is divided by n - 1: divide by n": one * 0.75**0.5,
            "the squared deviations are summed here: the variance is their mean": one / 2,
            "the vector is divided by its root mean square: subtract the mean first": x / 5,
            "the variance is right, but the mean is not subtracted from the vector": x / 3,
        },
    )


def check_each_position(seed):
    layer, x = LayerNorm(4), numbers(seed, 2, 3, 4)
    hint = "a vector comes out differently when it is alone: mean and variance should run over its own numbers only"
    # As many vectors as each has numbers: what is computed of vector i then fits column i too.
    square = x.view(6, 4)[:4]
    variance, mean = torch.var_mean(square, -1, correction=0)
    centred, eps = square - mean, 1e-5
    check_tensor(
        layer(square.clone()),
        torch.cat([layer(row.clone()) for row in square.split(1)]),
        hint,
        mistakes={
            "vector i's mean and variance are used for column i: keep the axis, with keepdim=True": centred
            / (variance + eps).sqrt(),
            "vector i's mean is subtracted from column i, which its variance then divides: keep the axis, with "
            "keepdim=True": centred / ((centred**2).mean(-1) + eps).sqrt(),
            "vector i's mean is subtracted from column i: keep the axis, with keepdim=True": centred
            / ((centred**2).mean(-1, keepdim=True) + eps).sqrt(),
            "vector i's variance is used for column i: keep the axis, with keepdim=True": (square - mean[:, None])
            / (variance + eps).sqrt(),
        },
    )
    alone = torch.stack([layer(row.clone()) for row in x.view(6, 1, 1, 4)])
    check_tensor(on_axes(layer, x.clone()), alone.view(2, 3, 4), hint)


def test_layer_norm_of_each_position():
    check_each_position(0)


def test_layer_norm_of_each_position_hidden():
    check_each_position(fresh_seed())


# %% test="layer-norm-weight" of="layer-norm" points=1
def check_weight_and_bias(seed):
    layer, x = LayerNorm(6), numbers(seed, 4, 5, 6, scale=10.0)  # so large that the usual eps makes no difference
    state = randomise(layer, seed + 1)
    weight, bias = state["weight"], state["bias"]
    check_tensor(
        layer(x.clone()),
        F.layer_norm(x, (6,), weight, bias),
        "with a random weight and bias this is not torch's layer norm",
        mistakes={
            "neither weight nor bias is used": F.layer_norm(x, (6,)),
            "the bias is not used": F.layer_norm(x, (6,), weight),
            "the weight is not used": F.layer_norm(x, (6,), bias=bias),
            "the bias should not be multiplied by the weight: add it last": F.layer_norm(
                x, (6,), weight, weight * bias
            ),
            "weight and bias are added before they multiply the vector: only the weight multiplies": F.layer_norm(
                x, (6,), weight + bias
            ),
        },
    )


def test_layer_norm_weight_and_bias():
    check_weight_and_bias(1)


def test_layer_norm_weight_and_bias_hidden():
    check_weight_and_bias(fresh_seed())


# %% test="layer-norm-eps" of="layer-norm" points=1
def test_layer_norm_with_a_large_eps():
    # The variance is 9 as above, and eps = 16 makes it 25.
    x, one = torch.tensor([[1.0, 1, 7, 7]]), torch.tensor([[-1.0, -1, 1, 1]])
    check_tensor(
        LayerNorm(4, eps=16.0)(x.clone()),
        0.6 * one,
        "with eps = 16 the vector (1, 1, 7, 7) should become 0.6 * (-1, -1, 1, 1)",
        mistakes={
            "the eps that the layer was made with makes no difference": one,
            "eps is added after the square root: add it to the variance": one * 3 / 19,
            "eps is the least that the variance may be here: add it to the variance": one * 0.75,
        },
    )


def check_eps(seed, eps):
    x = numbers(seed, 2, 4, 5)
    check_tensor(
        LayerNorm(5, eps)(x.clone()), F.layer_norm(x, (5,), eps=eps), "with a large eps not torch's layer norm"
    )
    flat = LayerNorm(5, eps)(torch.full((1, 5), 3.0))
    check_tensor(flat, torch.zeros(1, 5), "a vector of five equal numbers should become 0")


def test_layer_norm_eps():
    check_eps(3, eps=0.5)


def test_layer_norm_eps_hidden():
    check_eps(fresh_seed(), eps=0.1 + fresh_seed() % 10)


# %% test="layer-norm-any" of="layer-norm" points=1
def check_norm_of_any_axes(seed, width):
    hint = "with a random weight and bias and an eps of 0.1 this is not torch's layer norm"
    for shape in ((3, width), (width,), (2, 3, 4, width)):
        layer, x = LayerNorm(width, eps=0.1), numbers(seed, *shape, scale=3.0)
        state = randomise(layer, seed + 1)
        want = F.layer_norm(x, (width,), state["weight"], state["bias"], 0.1)
        check_tensor(on_axes(layer, x.clone()), want, hint, tolerance=1e-4)
        hint = (
            "right for an input with 2 axes, wrong for one with 1 or 4: the last one counts, whatever comes before it"
        )


def check_norm_keeps_its_input(seed):
    x = numbers(seed, 3, 4)
    _, (after,) = probes.after_call(LayerNorm(4), x)
    check_tensor(after, x, "forward changed its input in place: the residual stream would be lost")


def check_norm_gradients(seed):
    layer, x = LayerNorm(4), numbers(seed, 3, 4)
    want = probes.gradients(lambda x: F.layer_norm(x, (4,)), x)["input.0"]
    hint = "the result is right, but not its gradient: mean and variance depend on x too, so do not detach them"
    check_tensor(probes.gradients(layer, x)["input.0"], want, hint, tolerance=1e-4)


def test_layer_norm_any_axes():
    check_norm_of_any_axes(4, width=5)


def test_layer_norm_keeps_its_input():
    check_norm_keeps_its_input(5)


def test_layer_norm_gradients():
    check_norm_gradients(6)


def test_layer_norm_any_axes_hidden():
    check_norm_of_any_axes(fresh_seed(), width=3 + fresh_seed() % 6)


def test_layer_norm_keeps_its_input_hidden():
    check_norm_keeps_its_input(fresh_seed())


def test_layer_norm_gradients_hidden():
    check_norm_gradients(fresh_seed())


# %% [markdown]
# ## What looks at what
#
# Attention is the only place where positions exchange information. Each position sends out a query and a key; how
# well query $i$ matches key $j$ decides how much $i$ takes from $j$.
#
# <details><summary>Hint: all scores at once</summary>
#
# `k.mT` swaps the last two axes of `k`, whatever comes before them; `q @ k.mT` then multiplies matrix by matrix.
#
# </details>
#
# <details><summary>Hint: before the softmax or after it?</summary>
#
# Weights that are set to 0 after the softmax leave a row that does not sum to 1. So change the scores: which score does
# the softmax turn into a weight of exactly 0, whatever the other scores are?
#
# </details>
#
# <details><summary>Another hint: which score?</summary>
#
# $-\infty$, as $e^{-\infty} = 0$: `-math.inf` in Python.
#
# </details>

# %% exercise="attention-pattern" difficulty=3 importance=5 minutes=30 replaces="torch.nn.functional.scaled_dot_product_attention torch.nn.functional.multi_head_attention_forward torch.nn.MultiheadAttention torch._scaled_dot_product_attention_math torch._scaled_dot_product_flash_attention_for_cpu torch._native_multi_head_attention"
from solutions.gpt import attention_pattern


# %% test="attention-pattern" points=2
def shares(*rows):
    """Rows of numbers, each divided by its sum, as one text with one head."""
    weights = torch.tensor([[rows]], dtype=torch.float32)
    return weights / weights.sum(-1, keepdim=True)


def test_attention_pattern_of_three_tokens():
    # The width is 4, so the scores are divided by 2, and are then the logarithms of these numbers.
    q = F.pad(2 * torch.tensor([[[[1.0, 5, 2], [1, 3, 4], [1, 2, 5]]]]).log(), (0, 1))
    k = torch.eye(3, 4)[None, None]
    kept = torch.tensor([[[[1.0, 0, 0], [1, 3, 0], [1, 2, 5]]]])

    def powers(p):
        return shares([1, 0, 0], [1, 3**p, 0], [1, 2**p, 5**p])

    check_tensor(
        on_axes(attention_pattern, q.clone(), k.clone()),
        shares([1, 0, 0], [1, 3, 0], [1, 2, 5]),
        "these scores should make weights of 1 : 3 in the second row and of 1 : 2 : 5 in the third",
        mistakes={
            "queries see the keys that come after them: no score is masked": shares([1, 5, 2], [1, 3, 4], [1, 2, 5]),
            "the mask is the wrong way round: it hides the past": shares([1, 5, 2], [0, 3, 4], [0, 0, 5]),
            "the mask hides every position from itself too": shares([0, 0, 0], [1, 0, 0], [1, 2, 0]),
            "the mask is the wrong way round, and hides every position from itself too": shares(
                [0, 5, 2], [0, 0, 4], [0, 0, 0]
            ),
            "a score that happens to be 0 is masked: tell by the positions what to mask, not by the scores": shares(
                [0, 0, 0], [0, 3, 0], [0, 2, 5]
            ),
            "the softmax runs over an axis of length 1: it should run over the keys, the last axis": kept / kept,
            "no score is masked, and none is divided by the square root of the width": shares(
                [1, 25, 4], [1, 9, 16], [1, 4, 25]
            ),
            "a masked score of 0 has a weight too: it should be minus infinity": shares(
                [1, 1, 1], [1, 3, 1], [1, 2, 5]
            ),
            "every weight is nan: 0 times infinity is nan, so make the mask without multiplying": math.nan * kept,
            "later keys lose their weight only after the softmax, so that rows do not sum to 1": kept / 8,
            "these are masked scores: the softmax is missing": kept.log(),
            "each column sums to 1, not each row: the softmax should run over the keys": shares(
                [1, 1, 1], [0, 3, 2], [0, 0, 5]
            ).mT,
            "queries and keys are swapped: row i belongs to query i": shares([1, 0, 0], [5, 3, 0], [2, 4, 5]),
            "the scores are not divided by the square root of the width": powers(2),
            "the scores are divided by the width itself: divide by its square root": powers(1 / 2),
            "the scores are multiplied by the square root of the width: divide by it": powers(4),
            "the scores are divided by the square root of the number of positions: use the width": powers(2 / 3**0.5),
        },
    )


def check_pattern_like_torchs(seed, n, width):
    q, k = numbers(seed, 2, n, width), numbers(seed + 1, 2, n, width)
    # Values that are the identity matrix give the pattern itself back.
    values = torch.eye(n).expand(2, n, n)
    check_tensor(
        on_axes(attention_pattern, q.clone(), k.clone()),
        F.scaled_dot_product_attention(q, k, values, is_causal=True),
        f"for {n} positions of width {width} this is not torch's pattern",
        mistakes={
            "the scores are divided by 2 at every width": F.scaled_dot_product_attention(
                q, k, values, is_causal=True, scale=1 / 2
            ),
        },
    )


def test_attention_pattern_matches_torch():
    check_pattern_like_torchs(12, n=5, width=3)


def test_attention_pattern_matches_torch_hidden():
    check_pattern_like_torchs(fresh_seed(), n=4 + fresh_seed() % 5, width=10 + fresh_seed() % 7)


# %% test="attention-pattern-any" of="attention-pattern" points=2
def check_pattern_of_any_axes(seed, n, width):
    hint = "with 2 axes before position and width this is not torch's pattern"
    for before in ((2, 3), (), (3,), (2, 1, 3)):
        q, k = numbers(seed, *before, n, width), numbers(seed + 1, *before, n, width)
        want = F.scaled_dot_product_attention(q, k, torch.eye(n).expand(*before, n, n), is_causal=True)
        check_tensor(on_axes(attention_pattern, q.clone(), k.clone()), want, hint)
        hint = (
            "right with 2 axes before position and width, wrong with another number: only the last two matter, so "
            "count from the last"
        )


def check_large_scores(score):
    # Both queries have these scores with the first key and the second, which only the second query may see.
    nan, second = math.nan, torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    check_tensor(
        attention_pattern(torch.ones(2, 1), torch.tensor([[1.0], [score]])),
        torch.eye(2),
        "with a large score the pattern should be the identity here",
        mistakes={
            "a large score outweighs the mask: what is masked should be minus infinity": second,
            "a large score makes nan, as exp of it is infinite: torch's softmax takes care of that": torch.tensor(
                [[1.0, 0.0], [0.0, nan]]
            ),
            "exp of a large score is infinite, and infinity times 0 is nan: torch's softmax takes care of the first, "
            "and a masked score of minus infinity of the second": torch.tensor([[nan, nan], [0.0, nan]]),
            "a later key has all the weight before it is masked, and 0 is divided by 0: mask the scores, before the "
            "softmax": torch.tensor([[nan, nan], [0.0, 1.0]]),
        },
    )
    check_tensor(
        attention_pattern(torch.ones(2, 1), torch.tensor([[-score], [1.0]])),
        torch.eye(2),
        "with a score far below 0 the pattern should be the identity here",
        mistakes={
            "a masked score is larger than one that may be seen and is far below 0: it should be minus infinity": second,
            "a later key has all the weight before it is masked, and 0 is divided by 0: mask the scores, before the "
            "softmax": torch.tensor([[nan, nan], [0.0, 1.0]]),
        },
    )


def check_pattern_gradients(seed):
    q, k = numbers(seed, 5, 3), numbers(seed + 1, 5, 3)
    found = probes.gradients(attention_pattern, q, k)
    want = probes.gradients(lambda q, k: F.scaled_dot_product_attention(q, k, torch.eye(5), is_causal=True), q, k)
    hint = "the pattern is right, but not its gradient for the queries"
    none = "no gradient reaches the queries: what is computed from them is detached or copied"
    check_tensor(found["input.0"], want["input.0"], hint, mistakes={none: torch.zeros(5, 3)})
    hint = "the pattern is right, but not its gradient for the keys"
    none = "no gradient reaches the keys: what is computed from them is detached or copied"
    check_tensor(found["input.1"], want["input.1"], hint, mistakes={none: torch.zeros(5, 3)})


def test_attention_pattern_any_axes():
    check_pattern_of_any_axes(14, n=4, width=6)


def test_attention_pattern_large_scores():
    check_large_scores(50_000.0)


def test_attention_pattern_gradients():
    check_pattern_gradients(15)


def test_attention_pattern_any_axes_hidden():
    check_pattern_of_any_axes(fresh_seed(), n=5 + fresh_seed() % 4, width=2 + fresh_seed() % 3)


def test_attention_pattern_large_scores_hidden():
    check_large_scores(20_000.0 + fresh_seed() % 30_000)


def test_attention_pattern_gradients_hidden():
    check_pattern_gradients(fresh_seed())


# %% [markdown]
# ## Many heads
#
# One pattern can look at one kind of thing. So the width is cut into `n_head` slices, and each slice has its own
# pattern. What the heads bring is set side by side again and passes one more matrix, the output projection: it
# decides where in the residual stream each head writes. It is easily forgotten, as the shapes fit without it.
#
# <details><summary>Hint: cutting and joining</summary>
#
# After `from einops import rearrange`, `rearrange(x, "batch position (head width) -> batch head position width",
# head=n_head)` cuts the width; the same pattern read from right to left puts it together. The axis of queries, keys and
# values can be cut out in the same line. Without einops: `view` cuts the last axis, `permute` or `transpose` moves
# axes, and `flatten` joins neighbours.
#
# </details>

# %% exercise="multi-head-attention" difficulty=4 importance=5 minutes=40 given_methods="__init__" replaces="torch.nn.functional.scaled_dot_product_attention torch.nn.functional.multi_head_attention_forward torch.nn.MultiheadAttention torch._scaled_dot_product_attention_math torch._scaled_dot_product_flash_attention_for_cpu torch._native_multi_head_attention"
from solutions.gpt import MultiHeadAttention


# %% test="multi-head-attention-heads" of="multi-head-attention" points=1
def check_heads(n_texts, n, n_head, width):
    layer = MultiHeadAttention(n_head * width, n_head)
    # qkv puts out 1000 * text + 100 * position + column: each number says where it comes from.
    text, position = 1000.0 * torch.arange(n_texts), 100.0 * torch.arange(n)
    x = torch.zeros(n_texts, n, n_head * width)
    x[..., 0] = text[:, None] + position
    first = F.one_hot(torch.tensor(0), n_head * width).float()
    columns = torch.arange(3.0 * n_head * width)
    layer.load_state_dict({"qkv.weight": first.expand(len(columns), -1), "qkv.bias": columns}, strict=False)
    got = layer.heads(x)
    assert not isinstance(got, tuple | list), "queries, keys and values should be one tensor, along its first axis"

    def placed(columns):
        return columns + x[None, :, None, :, :1]

    want = placed(columns.view(3, 1, n_head, 1, width))
    whole = (columns + x[..., :1]).view(n_texts, n, 3, n_head * width)
    check_tensor(
        got,
        want,
        "qkv's output is 1000 * text + 100 * position + column here, and this number stands in the wrong place",
        mistakes={
            "the axes of position and head are swapped: the head comes first": want.transpose(2, 3),
            "the first axis should be queries, keys and values, and the batch the second": want.transpose(0, 1),
            "the width is not cut into heads": whole.movedim(2, 0),
            "keys stand where queries should: qkv's first third are the queries": want[[1, 0, 2]],
            "values stand where keys should: qkv's second third are the keys": want[[0, 2, 1]],
            "columns are dealt out to the heads in turn: a head's columns should stand side by side": placed(
                columns.view(3, width, n_head).mT.reshape(3, 1, n_head, 1, width)
            ),
            "each head has its queries, keys and values side by side: all queries come first, then all keys": placed(
                columns.view(n_head, 3, width).transpose(0, 1).reshape(3, 1, n_head, 1, width)
            ),
            "one view makes all axes, in another order than qkv's output has them: cut the last axis, then move axes": (
                columns + x[..., :1]
            ).view(want.shape),
            "a head holds numbers of other positions: a view alone does not move an axis": whole.movedim(2, 0).reshape(
                want.shape
            ),
        },
    )


def test_heads_are_slices_of_the_width():
    check_heads(n_texts=2, n=5, n_head=3, width=4)


def test_heads_are_slices_of_the_width_hidden():
    check_heads(n_texts=3, n=4, n_head=2 + fresh_seed() % 4, width=2 + fresh_seed() % 3)


# %% test="multi-head-attention" points=2
def torch_attention(state, d_model, n_head, x, causal=True):
    """PyTorch's own multi-head attention with the same weights."""
    layer = nn.MultiheadAttention(d_model, n_head, batch_first=True)
    names = {"in_proj_": "qkv.", "out_proj.": "projection."}
    layer.load_state_dict({n + end: state[ours + end] for n, ours in names.items() for end in ("weight", "bias")})
    mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1]) if causal else None
    return layer(x, x, x, attn_mask=mask, need_weights=False)[0].detach()


def test_attention_matches_torch():
    layer, x = MultiHeadAttention(12, n_head=3), numbers(24, 2, 5, 12)
    state = randomise(layer, 25)
    unprojected = state | {"projection.weight": torch.eye(12), "projection.bias": torch.zeros(12)}
    joined = torch_attention(unprojected, 12, 3, x)
    by_head = joined.view(2, 5, 3, 4)

    def projected(joined):
        return F.linear(joined, state["projection.weight"], state["projection.bias"])

    def with_thirds(*thirds, scale=1.0):
        """Attention with other thirds of qkv as queries, keys and values; the queries multiplied by `scale`."""
        own = {f"qkv.{end}": state[f"qkv.{end}"].chunk(3) for end in ("weight", "bias")}
        changed = {name: torch.cat([scale * own[name][thirds[0]], *(own[name][i] for i in thirds[1:])]) for name in own}
        return torch_attention(state | changed, 12, 3, x)

    want = torch_attention(state, 12, 3, x)
    q, k, v = F.linear(x, state["qkv.weight"], state["qkv.bias"]).view(2, 5, 3, 3, 4).permute(2, 0, 3, 1, 4)
    pattern = F.scaled_dot_product_attention(q, k, torch.eye(5).expand(2, 3, 5, 5), is_causal=True)

    def mixed(pattern):
        return projected((pattern @ v).transpose(1, 2).flatten(2))

    check_tensor(
        layer(x),
        want,
        "not torch's attention with the same weights",
        tolerance=1e-4,
        mistakes={
            "the pattern is transposed: row i says how position i mixes the values": mixed(pattern.mT),
            "the heads share one pattern, the mean of theirs: each should use its own": mixed(
                pattern.mean(1, keepdim=True)
            ),
            "a softmax is taken of the pattern: attention_pattern has taken it already": mixed(pattern.softmax(-1)),
            "x is added to the result: that is left to the block": x + want,
            "the output projection is missing: it comes after the heads are joined": joined,
            "the heads are joined by a view alone, which mixes positions: move their axis back first": projected(
                by_head.transpose(1, 2).reshape(2, 5, 12)
            ),
            "the heads' results alternate: each head's should stay side by side": projected(
                by_head.mT.reshape(2, 5, 12)
            ),
            "the heads are added up: set them side by side": projected(
                by_head.sum(2, keepdim=True).expand(2, 5, 3, 4).flatten(2)
            ),
            "positions see later ones: this attention is not causal": torch_attention(state, 12, 3, x, causal=False),
            "there is one pattern over the whole width: each head should have its own": torch_attention(
                state, 12, 1, x
            ),
            "the scores are scaled by d_model: use the width of a head": with_thirds(0, 1, 2, scale=3**-0.5),
            "the scores are scaled twice: attention_pattern does that already": with_thirds(0, 1, 2, scale=1 / 2),
            "the pattern mixes the keys: it should mix the values": with_thirds(0, 1, 1),
            "the pattern mixes the queries: it should mix the values": with_thirds(0, 1, 0),
            "queries and keys are swapped in the pattern": with_thirds(1, 0, 2),
        },
    )


# %% test="multi-head-attention-any" of="multi-head-attention" points=1
def check_attention_sizes(seed, head_counts, width, n):
    hint = "with 3 heads of width 4 this is not torch's attention with the same weights"
    for n_texts, n, n_head, width in ((2, 5, 3, 4), *((3, n, n_head, width) for n_head in head_counts)):
        layer, x = MultiHeadAttention(n_head * width, n_head), numbers(seed, n_texts, n, n_head * width)
        want = torch_attention(randomise(layer, seed + 1), n_head * width, n_head, x)
        check_tensor(layer(x), want, hint, tolerance=1e-4)
        hint = "right for 3 heads of width 4, wrong for other sizes: every size should come from the layer or from x"


def test_attention_any_sizes():
    check_attention_sizes(26, (1, 4), width=3, n=6)


def test_attention_any_sizes_hidden():
    check_attention_sizes(fresh_seed(), (1, 2, 5), width=2 + fresh_seed() % 3, n=4 + fresh_seed() % 4)


def test_attention_sees_no_future_hidden():
    layer, x = MultiHeadAttention(8, n_head=2), numbers(fresh_seed(), 1, 6, 8)
    randomise(layer, fresh_seed())
    changed = x.clone()
    changed[:, 4:] += 1
    hint = "a position's output depends on later positions: is every head's pattern causal?"
    check_tensor(layer(x)[:, :4], layer(changed)[:, :4], hint)


# %% [markdown]
# ## What your heads look at
#
# What you have written is enough to look into a trained model. The course's GPT `documentation-small` has learned from
# Python's documentation. A cell below puts the weights of its first block into your layer norm and your heads, which then
# read a text of your choice.
#
# First a guess. Before training, a head's weights are small random numbers. How much of its attention does the twentieth
# token of a text then give to the first (between 0 and 1)?

# %% run
if __name__ == "__main__":
    predicted_weight = None  # your guess


# %% given="text"
from labkit.testing.oracles import library_tokenizer


def documentation_tokenizer():
    """The tokenizer of the course's checkpoint: byte-level BPE with 1,024 tokens, run by the `tokenizers` library."""
    return library_tokenizer(checkpoint.load("documentation-small").merges)


# %% run
if __name__ == "__main__":
    import matplotlib.pyplot as plt

    # Your own text goes here, of twenty tokens or more; the first 32 are read.
    my_text = "If the file is not found, an error is raised; if the file is found, the text of the file is returned."

    tokenizer, weights = documentation_tokenizer(), checkpoint.load("documentation-small").tensors
    ids = torch.tensor(tokenizer.encode(my_text).ids[:32])
    stream = weights["token_embedding.weight"][ids] + weights["position_embedding.weight"][: len(ids)]
    norm, attention = LayerNorm(64), MultiHeadAttention(64, n_head=4)

    def patterns():
        """What each head of the first block looks at: head x query x key."""
        with torch.no_grad():
            q, k, _ = attention.heads(norm(stream[None]))
            return attention_pattern(q, k)[0]

    with unless_blank():
        torch.manual_seed(0)
        nn.init.normal_(attention.qkv.weight, std=0.02)
        nn.init.zeros_(attention.qkv.bias)
        untrained = patterns()
        compare_prediction("weight on the first token", predicted_weight, round(untrained[:, 19, 0].mean().item(), 3))

        for name, part in (("attention_norm", norm), ("attention", attention)):
            start = f"blocks.0.{name}."
            part.load_state_dict({n.removeprefix(start): w for n, w in weights.items() if n.startswith(start)})
        trained = patterns()
        shown = {"head 0, untrained": untrained[0], "head 0, trained": trained[0], "head 1, trained": trained[1]}
        names = [tokenizer.decode([i]).replace(" ", "\u2423").replace("\n", "\u21b5") for i in ids.tolist()]
        figure, panels = plt.subplots(1, 3, figsize=(13, 5.2), sharey=True, layout="constrained")
        for axes, (title, pattern) in zip(panels, shown.items(), strict=True):
            image = axes.imshow(pattern, cmap="Blues", vmin=0, vmax=0.5)
            axes.set(title=title, xlabel="what is looked at (key)")
            axes.set_xticks(range(len(ids)), names, rotation=90, fontsize=7)
            axes.set_yticks(range(len(ids)), names, fontsize=7)
        panels[0].set_ylabel("what looks (query)")
        figure.colorbar(image, ax=panels, label="attention weight (0.5 and more: one colour)", shrink=0.8)
        figure.suptitle("Each row shows how one token divides its attention among the tokens up to it")
        plt.show()

# %% [markdown]
# <details><summary>After the run: what there is to see</summary>
#
# An untrained head looks at all tokens alike, so the twentieth gives each of twenty tokens about a twentieth. With the text
# that was there, trained head 0 looks mostly at the last few tokens. In the picture of head 1 the columns of `file`, `error`
# and `text` are dark: this head looks for nouns, however far back they stand.
#
# </details>

# %% [markdown]
# ## The block
#
# The residual stream is the model's working memory: a vector per position that every sublayer reads and adds to, and
# that nothing ever overwrites. It is wide so that many results can lie in it side by side. A block has two sublayers:
# attention, which moves information between positions, and an MLP, which works on each position alone.
#
# Between the MLP's two matrices stands a non-linear function; without it the two would be one matrix. GPT-2 uses the
# tanh form of gelu, which is given. It differs from the exact one in the fourth decimal: enough to fail a comparison of
# logits.

# %% given="gelu"
from solutions.gpt import gelu

# %% [markdown]
# You write two methods: what the MLP does with a vector, and what a block does with the residual stream.
#
# <details><summary>Hint: what is added to what?</summary>
#
# Follow the picture at the top of the chapter. The line that runs straight up is `x`. Twice something branches off,
# passes a norm and a sublayer, and comes back at a plus sign. The second branch leaves the line after the first has come
# back.
#
# </details>

# %% exercise="block" difficulty=2 importance=5 minutes=20 given_methods="__init__" replaces="torch.nn.TransformerEncoderLayer torch.nn.TransformerDecoderLayer torch._transformer_encoder_layer_fwd"
from solutions.gpt import MLP, Block


# %% test="mlp" of="block" points=1
def tanh_gelu(x):
    """PyTorch's gelu in GPT-2's form."""
    return F.gelu(x, approximate="tanh")


def torch_mlp(state, x, activation=tanh_gelu):
    """The same MLP from PyTorch's functions, or one with another activation."""
    inner = activation(F.linear(x, state["up.weight"], state["up.bias"]))
    return F.linear(inner, state["down.weight"], state["down.bias"])


def test_mlp_matches_torch():
    layer, x = MLP(3), numbers(30, 2, 5, 3)
    state = randomise(layer, 31)
    want, linear = torch_mlp(state, x), torch_mlp(state, x, lambda x: x)
    check_tensor(
        layer(x.clone()),
        want,
        "not what the same matrices give with PyTorch's functions",
        mistakes={
            "there is no activation: without gelu between them two matrices are as good as one": linear,
            "the activation is relu: use gelu": torch_mlp(state, x, F.relu),
            "the activation is the exact gelu: use the given one, the tanh form": torch_mlp(state, x, F.gelu),
            "the activation is silu: use gelu": torch_mlp(state, x, F.silu),
            "gelu is applied once more after the second matrix": tanh_gelu(want),
            "gelu is applied after the second matrix: it belongs between the two": tanh_gelu(linear),
            "gelu is applied to the input: it belongs between the two matrices": torch_mlp(
                state, tanh_gelu(x), lambda x: x
            ),
            "x is added to the result: that is left to the block": x + want,
            "the biases are not used": torch_mlp(state | {"up.bias": torch.zeros(12), "down.bias": torch.zeros(3)}, x),
        },
    )


# %% test="mlp-any" of="block" points=1
def check_mlp_of_any_axes(seed):
    hint = "not what the same matrices give with PyTorch's functions"
    for shape in ((2, 3, 4), (4,), (3, 4), (2, 3, 5, 4)):
        layer, x = MLP(4), numbers(seed, *shape)
        state = randomise(layer, seed + 1)
        check_tensor(on_axes(layer, x.clone()), torch_mlp(state, x), hint, tolerance=1e-4)
        hint = "right for an input with 3 axes, wrong for another number: the last one counts, whatever comes before it"


def test_mlp_any_axes():
    check_mlp_of_any_axes(32)


def test_mlp_any_axes_hidden():
    check_mlp_of_any_axes(fresh_seed())


# %% test="block" points=2
def torch_block(state, config, x, norm_first=True):
    """PyTorch's own layer with the same weights: it normalises what a sublayer reads, or else what it has written."""
    layer = nn.TransformerEncoderLayer(
        config.d_model,
        config.n_head,
        4 * config.d_model,
        dropout=0.0,
        activation=lambda x: F.gelu(x, approximate="tanh"),
        layer_norm_eps=config.eps,
        batch_first=True,
        norm_first=norm_first,
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


def test_block_matches_torch():
    config = GPTConfig(vocab_size=7, context=9, d_model=6, n_head=2, n_layer=1, eps=0.1)
    block, x = Block(config), numbers(42, 3, 5, 6)
    state = randomise(block, 43)

    def own(part):
        return {name.removeprefix(part): value for name, value in state.items() if name.startswith(part)}

    def normed(name, x):
        return F.layer_norm(x, (6,), state[f"{name}.weight"], state[f"{name}.bias"], config.eps)

    # What each sublayer writes, by PyTorch's functions, when it reads x through a norm, or as it is.
    def attention(x, norm="attention_norm"):
        return torch_attention(own("attention."), 6, 2, normed(norm, x) if norm else x)

    def mlp(x, norm="mlp_norm"):
        return torch_mlp(own("mlp."), normed(norm, x) if norm else x)

    middle, bare, other = (x + attention(x, norm) for norm in ("attention_norm", None, "mlp_norm"))
    stream = normed("attention_norm", x)
    stream = normed("mlp_norm", stream + attention(stream, None))
    written = attention(x)
    after_norm = x + normed("attention_norm", attention(x, None))
    check_tensor(
        block(x.clone()),
        torch_block(state, config, x),
        "not torch's layer with the same weights",
        tolerance=1e-4,
        mistakes={
            "this normalises after adding, as the first transformer did: normalise what a sublayer reads": torch_block(
                state, config, x, norm_first=False
            ),
            "the residual stream itself is normalised: normalise only the copy that a sublayer reads": stream
            + mlp(stream, None),
            "nothing is added to the residual stream: each sublayer replaces it": mlp(attention(x)),
            "attention replaces the residual stream: it should add to it": attention(x) + mlp(attention(x)),
            "the MLP replaces the residual stream: it should add to it": mlp(middle),
            "what attention wrote is lost: the MLP should add to that": x + mlp(middle),
            "the MLP reads the stream as it was before attention wrote to it": middle + mlp(x),
            "the MLP comes before attention": x + mlp(x) + attention(x + mlp(x)),
            "there is no attention": x + mlp(x),
            "there is no MLP": middle,
            "the stream is not normalised for either sublayer": bare + mlp(bare, None),
            "the stream is not normalised for attention": bare + mlp(bare),
            "the stream is not normalised for the MLP": middle + mlp(middle, None),
            "attention_norm is used twice: the MLP has a norm of its own": middle + mlp(middle, "attention_norm"),
            "mlp_norm is used twice: attention has a norm of its own": other + mlp(other),
            "the two norms are swapped": other + mlp(other, "attention_norm"),
            "what a sublayer has written is normalised: normalise what it reads": after_norm
            + normed("mlp_norm", mlp(after_norm, None)),
            "what the MLP has written is normalised: normalise what it reads": middle
            + normed("mlp_norm", mlp(middle, None)),
            "the MLP reads what attention wrote and not the whole stream": middle + mlp(written),
            "the MLP reads the copy that was normalised for attention: it should read the stream as it is then, "
            "through a norm of its own": middle + mlp(x, "attention_norm"),
            "the MLP reads the copy that was normalised for attention, and normalises it again": middle
            + mlp(normed("attention_norm", x)),
        },
    )


# %% test="block-any" of="block" points=1
def check_block_sizes(seed, n_head, d_model):
    config = GPTConfig(vocab_size=7, context=9, d_model=d_model, n_head=n_head, n_layer=2, eps=0.5)
    block, x = Block(config), numbers(seed, 2, 4, d_model)
    state = randomise(block, seed + 1)
    result, (after,) = probes.after_call(block, x)
    assert result is not None, "the result should be a tensor, but it is None"
    check_tensor(after, x, "the input was changed in place: `x += ...` changes the caller's tensor")
    hint = f"not torch's layer at width {d_model} with {n_head} heads and an eps of 0.5"
    check_tensor(result, torch_block(state, config, x), hint, tolerance=1e-4)


def test_block_of_other_sizes():
    check_block_sizes(44, n_head=4, d_model=8)


def test_block_of_other_sizes_hidden():
    check_block_sizes(fresh_seed(), n_head=3, d_model=3 * (1 + fresh_seed() % 4))


# %% [markdown]
# ## Somebody else's weights
#
# The best check of your model is an implementation by other people, with the same weights in it. `transformers` calls
# the parts of GPT-2 by other names than we do, and stores some matrices the other way round. This function
# translates; with it your model can hold the weights of any GPT-2. That model is the next exercise: until then the tests
# compare names and tensors, one by one.


# %% given="gpt2"
from labkit.testing.oracles import library_gpt2

# %% exercise="load-gpt2" difficulty=3 importance=2 minutes=30 replaces="transformers"
from solutions.gpt import load_gpt2

# %% test="load-gpt2" points=2
SMALL = GPTConfig(vocab_size=11, context=8, d_model=6, n_head=2, n_layer=3)


def check_names(got, n_layer, given):
    assert isinstance(got, dict), f"the result should be a dict from names to tensors, but it is a {type(got).__name__}"
    parts = ["attention_norm", "attention.qkv", "attention.projection", "mlp_norm", "mlp.up", "mlp.down"]
    modules = ["final_norm", *(f"blocks.{layer}.{part}" for layer in range(n_layer) for part in parts)]
    names = {f"{module}.{end}" for module in modules for end in ("weight", "bias")}
    names |= {"token_embedding.weight", "position_embedding.weight"}
    missing, extra = sorted(names - set(got)), sorted(set(got) - names)
    assert "lm_head.weight" not in extra, f"{given}: lm_head.weight should be left out, as the unembedding is tied"
    masks = [name for name in extra if name.endswith((".attn.bias", ".masked_bias"))]
    assert not masks, f"{given}: the mask buffer {masks[0]} should be left out"
    assert not missing or not extra, f"{given}: our GPT has no {extra[0]}, and {missing[0]} is missing"
    assert not missing, f"{given}: {missing[0]} and {len(missing) - 1} more are missing"
    assert not extra, f"{given}: our GPT has no {extra[0]}"


def test_load_gpt2_names():
    theirs = library_gpt2(SMALL, 50).state_dict()
    check_names(load_gpt2(dict(theirs)), 3, "with the weights in their usual order")
    check_names(load_gpt2(dict(reversed(theirs.items()))), 3, "with the weights in reverse, lm_head.weight first")


def test_load_gpt2_turns_matrices():
    model = library_gpt2(SMALL, 51)
    got = load_gpt2(model.state_dict())
    for name, theirs in {"token_embedding": model.transformer.wte, "position_embedding": model.transformer.wpe}.items():
        weight, hint = theirs.weight.detach(), f"{name} is not of the class Conv1D: keep it as it is"
        check_tensor(got[f"{name}.weight"], weight, hint)
    block = model.transformer.h[1]
    theirs = {
        "attention.qkv": block.attn.c_attn,
        "attention.projection": block.attn.c_proj,
        "mlp.up": block.mlp.c_fc,
        "mlp.down": block.mlp.c_proj,
    }
    for name, layer in theirs.items():
        weight, bias = got[f"blocks.1.{name}.weight"], got[f"blocks.1.{name}.bias"]
        n_in, n_out = layer.weight.shape
        assert weight.shape == (n_out, n_in), (
            f"{name} has shape {tuple(weight.shape)}: Conv1D's matrix is to be transposed"
        )
        x = numbers(52, 4, n_in)
        unturned = F.linear(x, layer.weight.detach().reshape(n_out, n_in), layer.bias.detach())
        words = "this square matrix is not transposed" if n_in == n_out else "the matrix is reshaped and not transposed"
        hint = f"{name} gives other results than transformers' layer"
        check_tensor(F.linear(x, weight, bias), layer(x).detach(), hint, mistakes={words: unturned})


# %% test="load-gpt2-any" of="load-gpt2" points=1
def check_load(seed, n_layer):
    config = GPTConfig(vocab_size=5, context=4, d_model=4, n_head=2, n_layer=n_layer)
    model = library_gpt2(config, seed)
    body = model.transformer.state_dict()  # names without "transformer.", and no head
    masks = {"h.0.attn.bias": torch.ones(1, 1, 4, 4), "h.1.attn.masked_bias": torch.ones(())}
    check_names(load_gpt2(dict(body)), n_layer, "with names that have no prefix")
    check_names(load_gpt2(body | masks), n_layer, "with an old file's names")
    theirs = dict(model.state_dict())
    got, (after,) = probes.after_call(load_gpt2, theirs)
    assert set(after) == set(theirs), "the dictionary that was passed in has lost or gained names: leave it as it was"
    for name, tensor in theirs.items():
        assert after[name].shape == tensor.shape and torch.equal(after[name], tensor), (
            f"the tensor {name} that was passed in was changed in place: leave it as it was, and return another one"
        )
    for layer, block in enumerate(model.transformer.h):
        hint = "a layer has the weights of another one: is its number read whole?"
        check_tensor(got[f"blocks.{layer}.mlp.up.bias"], block.mlp.c_fc.bias.detach(), hint)


def test_load_gpt2_of_any_kind():
    check_load(53, n_layer=11)


def test_load_gpt2_of_any_kind_hidden():
    check_load(fresh_seed(), n_layer=12)


# %% [markdown]
# ## The whole model
#
# Two things go in: which token, and where it stands. Attention's scores come from queries and keys alone, so where a
# token stands must be in its vector. What comes out is a score for every token of the vocabulary, at every position at
# once.

# %% exercise="gpt" difficulty=3 importance=5 minutes=20 given_methods="__init__ initialize" replaces="transformers torch.nn.TransformerEncoder torch.nn.TransformerEncoderLayer"
from solutions.gpt import GPT


# %% test="gpt" points=2
def test_gpt_embeds_tokens_and_positions():
    model = GPT(GPTConfig(vocab_size=11, context=9, d_model=6, n_head=2, n_layer=1))
    state = randomise(model, 60)
    ids = torch.tensor([[3, 3, 3, 7], [1, 3, 0, 10]])
    tokens, places = state["token_embedding.weight"][ids], state["position_embedding.weight"]
    check_tensor(
        model.embed(ids),
        tokens + places[:4],
        "embed should give the embedding of each token plus that of its position",
        mistakes={
            "the same token is the same vector everywhere: the positions are not added": tokens,
            "the tokens are missing: these are the positions alone": places[:4].expand(2, 4, 6),
            "positions are counted from 1: the first is number 0": tokens + places[1:5],
            "positions are counted from the end of the context: the first is number 0": tokens + places[5:],
            "the position embedding is looked up by the token and not by where it stands": tokens
            + places[ids.clamp(max=8)],
            "the token embedding is multiplied by the square root of d_model: GPT-2 does not": 6**0.5 * tokens
            + places[:4],
        },
    )


def library_logits(theirs, ids, layers=None, final_norm=True, then=None):
    """The logits of transformers' GPT-2, or of one that is not quite it.

    It may run other layers, have no final norm, or put `then(final norm, x, block(x))` in the place of what a block makes of x.
    """
    changed = copy.deepcopy(theirs)
    if layers is not None:
        changed.transformer.h = nn.ModuleList(changed.transformer.h[layer] for layer in layers)
    if then is not None:
        norm = changed.transformer.ln_f

        def after(block, inputs, output):
            x, rest = (output[0], output[1:]) if isinstance(output, tuple) else (output, None)
            x = then(norm, inputs[0], x)
            return x if rest is None else (x, *rest)

        for block in changed.transformer.h:
            block.register_forward_hook(after)
    if not final_norm:
        changed.transformer.ln_f = nn.Identity()
    return changed(ids, use_cache=False).logits.detach()


def test_gpt_matches_transformers():
    config = GPTConfig(vocab_size=11, context=9, d_model=6, n_head=3, n_layer=3, eps=0.1)
    theirs, model = library_gpt2(config, 61), GPT(config)
    model.load_state_dict(load_gpt2(theirs.state_dict()), strict=False)
    ids = token_ids(62, 11, 4, 7)
    want = library_logits(theirs, ids)
    check_tensor(
        model(ids),
        want,
        "with the same weights these are not the logits of GPT-2",
        tolerance=1e-4,
        mistakes={
            "these are probabilities: return the logits, without a softmax": want.softmax(-1),
            "these are logarithms of probabilities: return the logits, without a softmax": want.log_softmax(-1),
            "these are the logits of the last position only: every position should have its own": want[:, -1],
            "the final norm is missing": library_logits(theirs, ids, final_norm=False),
            "the blocks run in reverse": library_logits(theirs, ids, [2, 1, 0]),
            "only the last block counts: each should read what the one before it has written": library_logits(
                theirs, ids, [2]
            ),
            "only the first block runs": library_logits(theirs, ids, [0]),
            "the last block does not run": library_logits(theirs, ids, [0, 1]),
            "the first block does not run": library_logits(theirs, ids, [1, 2]),
            "no block runs": library_logits(theirs, ids, []),
            "the final norm comes after every block: it should come once, after the last": library_logits(
                theirs, ids, final_norm=False, then=lambda norm, _, x: norm(x)
            ),
            "the final norm comes after every block, and then once more: only that last time is right": library_logits(
                theirs, ids, then=lambda norm, _, x: norm(x)
            ),
            "what a block returns is added to the stream once more: it is the stream already": library_logits(
                theirs, ids, then=lambda _, before, x: before + x
            ),
        },
    )


# %% test="gpt-any" of="gpt" points=2
def check_gpt_sizes(seed, config):
    theirs, model = library_gpt2(config, seed), GPT(config)
    model.load_state_dict(load_gpt2(theirs.state_dict()), strict=False)
    fewer, context = config.context - 1, config.context
    for n_texts, n in ((2, fewer), (1, 1), (3, context)):
        ids = token_ids(seed + n, config.vocab_size, n_texts, n)
        try:
            got = model(ids)
        except ValueError as error:
            if n < context:
                raise
            raise AssertionError(f"a text of {n} tokens fits in a context of {n}, but is refused: {error}") from None
        check_tensor(
            got,
            theirs(ids).logits.detach(),
            "with the same weights these are not the logits of GPT-2"
            if n == fewer
            else f"right for texts of {fewer} tokens, wrong for texts of {n}: take every size from ids or the config",
            tolerance=2e-4,
            mistakes={"the final norm is missing": library_logits(theirs, ids, final_norm=False)},
        )


def check_long_text(context, n):
    model, ids = GPT(GPTConfig(5, context, d_model=4, n_head=2, n_layer=1)), torch.zeros(1, n, dtype=torch.long)
    for name, function in {"the model": model, "embed": model.embed}.items():
        check_refused(f"{name} is given a text with more tokens than the context has positions", function, ids)


def check_gpt_gradients(seed):
    model = GPT(GPTConfig(vocab_size=7, context=5, d_model=6, n_head=2, n_layer=3))
    randomise(model, seed)
    found = probes.gradients(model, token_ids(seed, 7, 2, 5))
    assert "token_embedding.weight" in set(found), "the model has no token embedding among its parameters"
    for name, gradient in found.items():
        hint = f"the logits are right, but no gradient reaches {name}: it would never learn. Is something detached?"
        assert gradient.abs().max() > 0, hint


def test_gpt_of_other_sizes():
    check_gpt_sizes(63, GPTConfig(vocab_size=17, context=6, d_model=8, n_head=2, n_layer=2, eps=0.01))


def test_gpt_refuses_a_long_text():
    check_long_text(context=4, n=5)


def test_gpt_passes_gradients():
    check_gpt_gradients(64)


def test_gpt_of_other_sizes_hidden():
    seed = fresh_seed()
    d_model, n_layer = 2 * (2 + seed % 5), 2 + seed % 3  # one layer would hide in which order they run
    check_gpt_sizes(seed, GPTConfig(5 + seed % 20, 8 + seed % 3, d_model, n_head=2, n_layer=n_layer, eps=0.01))


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


def test_gpt_refuses_a_long_text_hidden():
    check_long_text(context=5, n=6 + fresh_seed() % 9)


def test_gpt_passes_gradients_hidden():
    check_gpt_gradients(fresh_seed())


# %% [markdown]
# A model that computes the right thing also learns. The test below trains your GPT for a second or two on a row of
# tokens, eight different ones, where each repeats the one three places back nine times out of ten, and is random
# otherwise.


# %% test="gpt-learns" of="gpt" points=2
def repeats(seed, n):
    """A row of n tokens out of 8: each the same as three places before with probability 0.9, random otherwise."""
    row, fresh = token_ids(seed, 8, n), torch.rand(n, generator=torch.Generator().manual_seed(seed + 1)) > 0.9
    for i in range(3, n):
        if not fresh[i]:
            row[i] = row[i - 3]
    return row


def share_predicted(model, seed):
    """How often the model's first choice is the token that should repeat, over fresh rows (0 to 1).

    That token stands three places before the one to come, two before the last that is read. Places where something
    else follows, at random, count as well: the model cannot know them.
    """
    rows = repeats(seed, 32 * 16).view(32, 16)
    return (model(rows)[:, 4:].argmax(-1) == rows[:, 2:-2]).double().mean().item()


def test_gpt_learns_to_look_back():
    model = probes.seeded(0, GPT, GPTConfig(vocab_size=8, context=16, d_model=32, n_head=2, n_layer=1))
    probes.train(model, repeats(1, 4000), steps=100, batch_size=16, context=16, learning_rate=1e-2, seed=2)
    share = share_predicted(model, 3)
    assert share > 0.7, (
        f"after 100 steps it finds the repeated token in {share:.0%} of the places; a right model finds it in nearly all"
    )


# %% [markdown]
# ## What it cannot do without
#
# Now leave something out of your model, train it as the test did, and see how many of the repeated tokens it still
# finds. Pure guessing finds one in eight; the whole model finds nearly all of them. Guess first (between 0 and 1), and
# write down why, below the guesses:
#
# - one block, but no position embeddings;
# - one block without the residual stream: each sublayer's output replaces what it has read;
# - two blocks without the residual stream.

# %% run
if __name__ == "__main__":
    predicted_without_positions = None  # your guess
    predicted_without_stream = None  # your guess
    predicted_two_blocks_without_stream = None  # your guess

# %% [markdown]
# *Why I think so:*

# %% run tags=["nbval-ignore-output"]
if __name__ == "__main__":
    torch.set_num_threads(1)  # a model this small gains little from more, and loses much where others work too

    def small_gpt(seed, n_layer=1, d_model=32):
        """An untrained model of yours, like that of the test."""
        torch.manual_seed(seed)
        return GPT(GPTConfig(vocab_size=8, context=16, d_model=d_model, n_head=2, n_layer=n_layer))

    def without_positions(model):
        """Set the position embeddings of a model to 0, where they stay."""
        nn.init.zeros_(model.position_embedding.weight).requires_grad_(False)
        return model

    def without_stream(model):
        """Take the residual stream out of a model: what a sublayer has read is subtracted from what it writes."""
        for block in model.blocks:
            for norm, sublayer in ((block.attention_norm, block.attention), (block.mlp_norm, block.mlp)):
                read = []
                norm.register_forward_pre_hook(lambda _, inputs, read=read: read.append(inputs[0]))
                sublayer.register_forward_hook(lambda _, inputs, written, read=read: written - read.pop())
        return model

    def share_after(model, seed, steps=100):
        """Train a model on repeated tokens; the share of them that it then finds in fresh rows."""
        batches = token_batches(repeats(1000 + seed, 4000), batch_size=16, context=16, seed=seed)
        fit(model, batches, steps=steps, optimizer=adamw(model, 1e-2), progress=False)
        with torch.no_grad():
            return share_predicted(model, 2000 + seed)

    models = {
        "nothing": small_gpt,
        "positions": lambda seed: without_positions(small_gpt(seed)),
        "residual stream": lambda seed: without_stream(small_gpt(seed)),
        "residual stream of two blocks": lambda seed: without_stream(small_gpt(seed, n_layer=2)),
    }
    guesses = (None, predicted_without_positions, predicted_without_stream, predicted_two_blocks_without_stream)
    with unless_blank():
        shares = {}
        for guess, (left_out, model_of) in zip(guesses, models.items(), strict=True):
            found = shares[left_out] = [share_after(model_of(seed), seed) for seed in range(3)]
            print(f"Left out: {left_out}. Three seeds:", *(f"{share:.2f}" for share in found))
            if left_out != "nothing":
                compare_prediction("  share found, in the mean", guess, round(sum(found) / 3, 2))
        mean = {left_out: sum(found) / 3 for left_out, found in shares.items()}

        figure, axes = plt.subplots(figsize=(7, 2.6), layout="constrained")
        axes.barh(list(mean), mean.values(), color="#9ec1e0")
        for row, found in enumerate(shares.values()):
            axes.plot(found, [row] * 3, "o", color="#1f5f9f")
        axes.axvline(1 / 8, color="grey", linestyle=":", label="guessing")
        axes.set(
            xlabel="share of places where the repeat is predicted (dots: seeds, bar: their mean)",
            ylabel="left out",
            xlim=(0, 1.02),
        )
        axes.invert_yaxis()
        axes.legend()
        plt.show()

# %% [markdown]
# <details><summary>After the run: why so?</summary>
#
# *No positions.* One block then knows which tokens have come, and how often, but not in which order. That is worth
# something here: most rows go round in a circle of three tokens, and the one that was just read seldom comes next.
# A model that picks one of the other two is right about half the time.
#
# *One block, no stream.* All that the task needs passes through attention: its queries and keys read the positions from
# the embeddings, its values carry the token, and the MLP can pass it on.
#
# *Two blocks, no stream.* In an untrained model attention looks at all tokens alike, so what it writes is nearly a mean of
# them all. Without the stream this mean is all that the second block gets: vectors that hardly differ from position to
# position. There is little for it to look at, and little from which the first could learn. With the stream, the embeddings
# themselves still reach the second block.
#
# </details>

# %% [markdown]
# ## The loss
#
# The text is its own answer key: the logits at a position are judged by the token that follows.

# %% exercise="next-token-loss" difficulty=2 importance=4 minutes=15
from solutions.gpt import next_token_loss


# %% test="next-token-loss" points=2
def test_loss_by_hand():
    # Each of four tokens has the probability 1/2 to the power of one of these, at three positions of two texts.
    powers = [[[1.0, 2, 3, 3], [3, 3, 1, 2], [3, 3, 2, 1]], [[2, 1, 3, 3], [1, 3, 2, 3], [2, 1, 3, 3]]]
    ids = torch.tensor([[0, 1, 2], [2, 3, 0]])
    # The tokens that follow have powers 2 and 1 in the first text, 3 and 1 in the second: 1.75 in the mean.
    nats = torch.tensor(math.log(2))
    logits = 5 - nats * torch.tensor(powers)  # 5 more for all tokens makes no difference
    got = next_token_loss(logits.clone(), ids.clone())
    assert not isinstance(got, torch.Tensor) or got.ndim == 0, (
        f"the loss should be the mean, a tensor without axes, but its shape is {tuple(got.shape)}"
    )
    check_tensor(
        got,
        1.75 * nats,
        "the tokens that follow have a probability of 1/2 to the power of 2, 1, 3 and 1, so the loss should be 1.75 ln 2",
        mistakes={
            "logits are judged by the token they have just read: the token after it is the target": 7 / 3 * nats,
            "logits are judged by the token before: the token after it is the target": 2.75 * nats,
            "the last logits are judged by the first token of the text: leave them out": 13 / 6 * nats,
            "the losses are added up: take their mean": 7 * nats,
            "the losses of a text are added up: take the mean over all tokens": 3.5 * nats,
            "the sum is divided by the number of all tokens: the first of each text is not scored": 7 / 6 * nats,
            "this is in bits: nats come from the natural logarithm": torch.tensor(1.75),
            "this is the perplexity: the loss is its logarithm": torch.tensor(2.0**1.75),
            "the sign is wrong: a loss is the negative logarithm of a probability": -1.75 * nats,
            "logits are taken for logarithms of probabilities: log_softmax is missing": 1.75 * nats - 5,
            "a softmax is taken before the loss takes its own": torch.tensor(1.30472),
            "only the last token is scored": nats,
            "only the first text is scored": 1.5 * nats,
            "the last text is cut off, and the first of the ids: shift along the positions, the second axis": 8
            / 3
            * nats,
            "the last logits of a text are judged by the first token of the next: shift before the texts are joined": 1.8
            * nats,
            "reshape does not move the vocabulary's axis: flatten batch and positions, or transpose": F.cross_entropy(
                logits[:, :-1].reshape(2, 4, 2), ids[:, 1:]
            ),
        },
    )


def check_unlikely_token(score):
    sure = next_token_loss(torch.tensor([[[score, 0.0], [0.0, 0.0]]]), torch.tensor([[1, 0]]))
    words = "the loss of a likely token is nan: exp of a large logit is infinite"
    check_tensor(
        sure, torch.zeros(()), "a sure token should have a loss of 0", mistakes={words: torch.tensor(math.nan)}
    )
    # Now the token that follows has a logit that is lower by `score`, and so this loss.
    got = next_token_loss(torch.tensor([[[score, 0.0], [0.0, 0.0]]]), torch.tensor([[0, 1]]))
    check_tensor(
        got,
        torch.tensor(score),
        "a token whose logit is lower by hundreds should have a loss of hundreds",
        mistakes={
            "the loss of an unlikely token is infinite: a softmax rounds to 0, so take no logarithm of it": torch.tensor(
                math.inf
            ),
        },
    )


def test_loss_of_an_unlikely_token():
    check_unlikely_token(200.0)


def test_loss_of_an_unlikely_token_hidden():
    check_unlikely_token(200.0 + fresh_seed() % 500)


# %% test="next-token-loss-any" of="next-token-loss" points=1
def check_loss(seed, n_texts, n, vocab_size):
    logits, ids = numbers(seed, n_texts, n, vocab_size, scale=2.0), token_ids(seed, vocab_size, n_texts, n)
    surprise = torch.distributions.Categorical(logits=logits[:, :-1]).log_prob(ids[:, 1:]).neg()
    hint = "the mean goes over every text and every token but the first, judged by the logits before it, in nats"
    check_tensor(next_token_loss(logits.clone(), ids.clone()), surprise.mean(), hint)


def test_loss_of_random_logits():
    check_loss(65, n_texts=3, n=5, vocab_size=9)


def test_loss_of_random_logits_hidden():
    seed = fresh_seed()
    check_loss(seed, n_texts=2 + seed % 3, n=5 + seed % 4, vocab_size=9 + seed % 8)


# %% [markdown]
# ## Writing
#
# A GPT writes by predicting, choosing, and reading what it has just written. How best to choose has a chapter of its
# own; here the next token is drawn at random from the model's distribution, or is the likeliest.
#
# <details><summary>Hint: what happens for each new token?</summary>
#
# The model reads as much of the end of `ids` as fits, and only its logits at the last position matter. They give each text
# one new token, a column of shape (batch, 1), which `torch.cat` appends to `ids`.
#
# </details>
#
# <details><summary>Hint: drawing with a seed of one's own</summary>
#
# `torch.Generator().manual_seed(seed)` makes a generator that leaves torch's global one alone, and
# `torch.multinomial(probabilities, 1, generator=generator)` draws one token for each row of probabilities with it. Each
# draw changes the generator, so it should be made once.
#
# </details>

# %% exercise="generate" difficulty=3 importance=4 minutes=30 replaces="transformers"
from solutions.gpt import generate


# %% test="generate" points=2
def writer(seed=75, context=8):
    """A GPT-2 of `transformers` with random weights, which says what should come next, and a GPT that holds them."""
    config = GPTConfig(vocab_size=11, context=context, d_model=6, n_head=2, n_layer=1)
    theirs, model = library_gpt2(config, seed), GPT(config)
    with torch.no_grad():  # sure of itself, and not of one token whatever stands before
        theirs.transformer.ln_f.weight.mul_(3)
        theirs.transformer.ln_f.bias.zero_()
    model.load_state_dict(load_gpt2(theirs.state_dict()))
    return theirs, model


def missed(theirs, got, i, start, stop=None, at=-1):
    """By how much the likeliest token's logit is above that of token i, at most over all texts.

    The logits are those at position `at` of the tokens from `start` to before `stop`, or to before i.
    """
    logits = theirs(got[:, start : i if stop is None else stop]).logits[:, at].detach()
    return (logits.amax(-1) - logits.gather(-1, got[:, i, None])[:, 0]).max().item()


def check_likeliest(theirs, got, n, context):
    """Each token from the n-th on should be the likeliest, up to ties, after at most `context` tokens before it."""
    new = range(n, got.shape[1])
    if max(missed(theirs, got, i, max(i - context, 0)) for i in new) < 1e-3:
        return
    newest = max(missed(theirs, got, i, i - 1) for i in new)
    assert newest > 1e-3, "the model reads only the newest token: it should read all that fit into its context"
    first = max(missed(theirs, got, i, max(i - context, 0), at=0) for i in new)
    assert first > 1e-3, "the next token is taken from the logits of the first position: take those of the last"
    start = max(missed(theirs, got, i, 0, min(i, context)) for i in new)
    assert start > 1e-3, "the model reads the first tokens of a long text: it should read the last ones"
    fewer = max(missed(theirs, got, i, max(i - context + 1, 0)) for i in new)
    assert fewer > 1e-3, "the model reads one token less than fits into its context"
    prompt = max(missed(theirs, got, i, 0, n) for i in new)
    assert prompt > 1e-3, "the model reads only the prompt: it should read the tokens it has written too"
    i = next(i for i in new if missed(theirs, got, i, max(i - context, 0)) > 1e-3)
    raise AssertionError(f"at temperature 0, token {i} is not the likeliest one after the {min(i, context)} before it")


def test_generate_continues_the_prompt():
    (_, model), prompt = writer(), token_ids(71, 11, 3, 4)
    got = generate(model, prompt.clone(), n_tokens=6, temperature=0.0)
    assert isinstance(got, torch.Tensor), f"the result should be a tensor of ids, but it is a {type(got).__name__}"
    assert got.shape != (3, 6), "these are the new tokens only: return prompt and continuation"
    assert got.shape == (3, 10), f"4 tokens of prompt and 6 new ones make shape (3, 10), not {tuple(got.shape)}"
    assert torch.equal(got[:, :4], prompt), "the result should begin with the prompt"


def test_generate_takes_the_likeliest():
    # So many texts that reading other tokens than the last ones shows in one of them.
    (theirs, model), prompt = writer(), token_ids(72, 11, 64, 4)
    check_likeliest(theirs, generate(model, prompt.clone(), n_tokens=4, temperature=0.0), n=4, context=8)


# %% test="generate-sampling" of="generate" points=2
def model_that_says(*probabilities):
    """A GPT that gives the tokens these probabilities at temperature 1, whatever it reads."""
    model = GPT(GPTConfig(vocab_size=len(probabilities), context=8, d_model=6, n_head=2, n_layer=1))
    randomise(model, 0, scale=0.0)
    first = F.one_hot(torch.tensor(0), 6).float()
    logits = torch.tensor(probabilities).log()
    model.load_state_dict({"final_norm.bias": first, "token_embedding.weight": logits[:, None] * first}, strict=False)
    return model


def check_draws(seed, n_texts=4000):
    # 1 to 3 at temperature 1, and so 1 to 9 at temperature 1/2.
    model, prompt = model_that_says(0.25, 0.75), torch.zeros(n_texts, 2, dtype=torch.long)
    drawn = generate(model, prompt, 1, temperature=0.5, seed=seed)
    assert drawn.shape == (n_texts, 3), f"one new token should make shape {(n_texts, 3)}, not {tuple(drawn.shape)}"
    drawn = drawn[:, -1]
    assert len(drawn.unique()) > 1, "all texts are given the same token: draw one for each"
    check_tensor(
        drawn.bincount(minlength=2) / n_texts,
        torch.tensor([0.1, 0.9]),
        "logits of ln 1 and ln 3 should draw the tokens 1 to 9 at temperature 1/2; these are their shares in 4,000 texts",
        tolerance=0.04,  # eight standard deviations
        mistakes={
            "the temperature makes no difference: these are the shares at temperature 1": torch.tensor([0.25, 0.75]),
            "the logits are multiplied by the temperature: divide by it": torch.tensor([0.366, 0.634]),
            "the model's logits make no difference: the tokens are drawn as if all were equally likely": torch.tensor(
                [0.5, 0.5]
            ),
        },
    )


def check_draws_anew(seed):
    drawn = generate(model_that_says(*[0.25] * 4), torch.zeros(1, 1, dtype=torch.long), 40, temperature=1.0, seed=seed)
    different = len(set(drawn[0, 1:].tolist()))
    assert different > 1, "of 4 equally likely tokens one is drawn 40 times: make the generator once, before the loop"


def check_seed(seed):
    (_, model), prompt = writer(), token_ids(73, 11, 2, 3)
    first = probes.seeded(1, generate, model, prompt, 5, 1.0, seed)
    again = probes.seeded(2, generate, model, prompt, 5, 1.0, seed)
    assert torch.equal(first, again), "the same seed gives another text: draw from a generator with this seed"
    others = [generate(model, prompt, 5, temperature=1.0, seed=seed + n) for n in range(1, 6)]
    assert not all(torch.equal(first, other) for other in others), "five other seeds all give the same text"
    # What torch draws next, which a model's first weights show, should not depend on the call.
    config = GPTConfig(vocab_size=3, context=2, d_model=4, n_head=2, n_layer=1)
    want = probes.seeded(3, GPT, config).state_dict()["token_embedding.weight"]
    probes.seeded(3, generate, model, prompt, 5, 1.0, seed)
    hint = "torch's global random state is another one after the call: draw from a generator of your own"
    check_tensor(GPT(config).state_dict()["token_embedding.weight"], want, hint)


def test_generate_follows_its_seed():
    check_seed(9)


def test_generate_draws_anew():
    check_draws_anew(10)


def test_generate_draws_by_the_temperature():
    check_draws(11)


def test_generate_follows_its_seed_hidden():
    check_seed(fresh_seed())


def test_generate_draws_anew_hidden():
    check_draws_anew(fresh_seed())


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
def check_long_texts(seed):
    # So many texts that reading other tokens than the last ones shows in one of them.
    (theirs, model), prompt = writer(context=5), token_ids(seed, 11, 64, 9)
    got = generate(model, prompt.clone(), 7, temperature=0.0)
    assert got.shape == (64, 16), (
        "a prompt longer than the context should be whole in the result, before the new tokens"
    )
    check_likeliest(theirs, got, n=9, context=5)
    result, (_, after, _) = probes.after_call(generate, model, prompt, 0)
    assert torch.equal(result, prompt), "no new tokens were asked for: the prompt should come back"
    assert torch.equal(after, prompt), "the prompt was changed in place: return another tensor"


def test_generate_beyond_the_context():
    check_long_texts(74)


def test_generate_beyond_the_context_hidden():
    check_long_texts(fresh_seed())


# %% [markdown]
# ## All together
#
# The last test uses nothing of ours: your parts, together, against `transformers`. Where they differ, it says which part is
# the first that does.


# %% test="integration" of="integration" points=4
def check_parts(theirs, config, ids):
    """Each part alone, on what transformers' GPT-2 has at its place: none is blamed for what another one does."""
    says = "{} is the first of your parts that differs from GPT-2's: see its own tests"
    names, x = ("attention_norm", "attention", "mlp"), numbers(83, 2, 5, config.d_model)
    state = load_gpt2(theirs.state_dict())
    check_names(state, config.n_layer, says.format("load_gpt2"))
    convs = {"attention.qkv": "attn.c_attn", "attention.projection": "attn.c_proj", "mlp.up": "mlp.c_fc"}
    for layer, block in enumerate(theirs.transformer.h):
        for ours, name in (convs | {"mlp.down": "mlp.c_proj"}).items():
            weight = block.get_submodule(name).weight.detach().mT
            check_tensor(state[f"blocks.{layer}.{ours}.weight"], weight, says.format("load_gpt2"))

    def own(start):
        return {name.removeprefix(start): value for name, value in state.items() if name.startswith(start)}

    norm, attention, mlp = (
        LayerNorm(config.d_model, config.eps),
        MultiHeadAttention(config.d_model, config.n_head),
        MLP(config.d_model),
    )
    for part, name in zip((norm, attention, mlp), names, strict=True):
        part.load_state_dict(own(f"blocks.0.{name}."), strict=False)
    normed = theirs.transformer.h[0].ln_1(x).detach()
    check_tensor(norm(x.clone()), normed, says.format("LayerNorm"), tolerance=1e-4)
    pattern = F.scaled_dot_product_attention(x, x, torch.eye(5).expand(2, 5, 5), is_causal=True)
    check_tensor(attention_pattern(x.clone(), x.clone()), pattern, says.format("attention_pattern"), tolerance=1e-4)
    mixed = torch_attention(own("blocks.0.attention."), config.d_model, config.n_head, x)
    check_tensor(attention(x.clone()), mixed, says.format("MultiHeadAttention"), tolerance=1e-4)
    check_tensor(mlp(x.clone()), torch_mlp(own("blocks.0.mlp."), x), says.format("MLP"), tolerance=1e-4)

    model = GPT(config)
    model.load_state_dict(state, strict=False)
    streams = [stream.detach() for stream in theirs(ids, output_hidden_states=True).hidden_states]
    check_tensor(model.embed(ids.clone()), streams[0], says.format("GPT.embed"), tolerance=1e-4)
    for layer in range(config.n_layer - 1):  # of the last block transformers keeps what the final norm made of it
        block = Block(config)
        block.load_state_dict(own(f"blocks.{layer}."), strict=False)
        check_tensor(block(streams[layer].clone()), streams[layer + 1], says.format("Block"), tolerance=1e-4)
    check_tensor(model(ids.clone()), theirs(ids).logits.detach(), says.format("GPT.forward"), tolerance=1e-4)


def test_your_gpt_is_gpt2():
    config = GPTConfig(vocab_size=17, context=12, d_model=12, n_head=2, n_layer=3, eps=1e-3)
    theirs, model, ids = library_gpt2(config, 80), GPT(config), token_ids(81, 17, 4, 10)
    check_parts(theirs, config, ids)
    model.load_state_dict(load_gpt2(theirs.state_dict()), strict=False)
    loss = theirs(ids, labels=ids).loss.detach()
    hint = "your logits are GPT-2's, but next_token_loss makes another loss of them than transformers"
    check_tensor(next_token_loss(model(ids), ids), loss, hint, tolerance=1e-4)


def check_writes_like_gpt2(seed, n_head):
    config = GPTConfig(vocab_size=17, context=14, d_model=12, n_head=n_head, n_layer=2)
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
        "generate: at temperature 0 each new token should be the likeliest of transformers' GPT-2 after all tokens before it"
    )


def test_your_gpt_writes_like_gpt2():
    check_writes_like_gpt2(82, n_head=2)


def test_your_gpt_writes_like_gpt2_hidden():
    check_writes_like_gpt2(fresh_seed(), n_head=4)


# %% [markdown]
# ## Train it
#
# The chapter's model read documentation. Yours reads the source code of Python's library, with the same sizes and as many
# steps; the tokenizer is that of the course's checkpoint, and the code comes with your Python. Two guesses first; leave
# them at `None` if you have none. An untrained model has a loss of ln 1,024, or 6.93 nats a token.
#
# - What is the loss of the trained model on code that it has not read?
# - Then the same code once more, but with the tokens of each window of 64 in random order. What is its loss on that?

# %% run
if __name__ == "__main__":
    predicted_loss = None  # your guess
    predicted_loss_shuffled = None  # your guess

# %% run tags=["nbval-ignore-output"]
if __name__ == "__main__":
    tokenizer = documentation_tokenizer()
    train_ids = torch.tensor(tokenizer.encode(corpus.source_code(300_000)).ids)
    heldout_ids = torch.tensor(tokenizer.encode(corpus.source_code(30_000, "heldout")).ids)
    rows = heldout_ids[: len(heldout_ids) // 64 * 64].view(-1, 64)
    print(f"{len(train_ids):,} tokens to learn from, {rows.numel():,} held out")

    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=1024, context=64, d_model=64, n_head=4, n_layer=2))

    def loss_on(rows):
        with torch.no_grad():
            return next_token_loss(model(rows), rows).item()

    def write(prompt, n_tokens=60, **settings):
        """What the model writes after a prompt, with the prompt."""
        ids = torch.tensor([tokenizer.encode(prompt).ids])
        return tokenizer.decode(generate(model, ids, n_tokens, **settings)[0].tolist())

    with unless_blank():
        print(f"Before training the loss is {loss_on(rows):.2f}, and the model writes:\n{write('def ', seed=1)}")
        assert abs(loss_on(rows) - math.log(1024)) < 0.2, "an untrained model should know nothing"

# %% run tags=["nbval-ignore-output"]
if __name__ == "__main__":
    from labkit.live import LossCurve

    with unless_blank():
        loss_on(rows[:1])
        batches = token_batches(train_ids, batch_size=16, context=64, seed=0)
        watch = LossCurve(300)  # draws the losses while the model trains
        losses = fit(model, batches, steps=300, optimizer=adamw(model, 4e-3), progress=False, watch=watch)

        generator = torch.Generator().manual_seed(0)
        shuffled = torch.stack([row[torch.randperm(64, generator=generator)] for row in rows])
        loss_after, loss_shuffled = loss_on(rows), loss_on(shuffled)
        print(f"The mean of the last 20 losses of the training is {sum(losses[-20:]) / 20:.2f}.")
        compare_prediction("loss on new code", predicted_loss, round(loss_after, 2), unit="nats")
        compare_prediction("loss on shuffled code", predicted_loss_shuffled, round(loss_shuffled, 2), unit="nats")

# %% [markdown]
# <details><summary>After the run: two surprises</summary>
#
# On shuffled code the trained model does worse than before its training, when it held all tokens for equally likely: it
# is sure of what comes next, and wrong. The tokens are the same and as frequent as before; only their order is lost.
#
# The curve ends below the loss on new code. It shows the loss on files that the model learns from, and which it has read
# more than twice on average; other files have other names and habits.
#
# </details>

# %% [markdown]
# What does it write now? One text says little about a model, so here are three that differ only in their seed, and the one
# that takes the likeliest token each time. The last one may end in repeating a single token: where a token is the
# likeliest to follow itself, nothing leads out again. Change the prompt and the temperature.

# %% run tags=["nbval-ignore-output"]
if __name__ == "__main__":
    prompt, temperature = "def ", 0.8

    with unless_blank():
        for seed in range(3):
            print(f"--- temperature {temperature}, seed {seed}\n{write(prompt, temperature=temperature, seed=seed)}\n")
        print(f"--- temperature 0\n{write(prompt, temperature=0.0)}")
        assert sum(losses[-20:]) / 20 < loss_after < 5.2, "training should lower the loss, most on what it reads"
        assert loss_shuffled > math.log(1024) > loss_after + 1.5, "the order of the tokens should matter"

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

# %% [markdown]
# ## Explore
#
# Nobody grades this part. Take one of these questions, or one of your own, say what you expect, and try it on several
# seeds.
#
# - **How narrow may it be?** `small_gpt(seed, d_model=...)` makes models for the repeated tokens. At which width does the
#   task fail, though the number of tokens stays the same? The residual stream must carry which token stands where, and
#   what attention has found.
# - **Can two blocks learn without the residual stream after all?** Try more steps, other learning rates, and first weights
#   that are several times as large.
# - **How much of its 64 tokens does your code writer use?** `next_token_loss` gives one mean. Compute the mean loss for
#   each place in the window, and draw it. Single places jump by chance: after the first few, take the mean of eight
#   neighbours.

# %% run tags=["nbval-ignore-output"]
if __name__ == "__main__":
    with unless_blank():
        for d_model in (32, 8):
            found = [share_after(small_gpt(seed, d_model=d_model), seed) for seed in range(2)]
            print(f"width {d_model}:", *(f"{share:.2f}" for share in found))

# %% [markdown]
# *What I expected, what I tried, and what came out:*
