# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {name: python3, display_name: Python 3, language: python}
#   course: {title: "A small assignment", points: 8, seconds: 60}
# ---

# %% [markdown]
# # A small assignment
# Softmax, layer norm, attention and a model that learns which token follows which.

# %% given="setup"
import torch
import torch.nn.functional as F
from torch import nn
from labkit.testing import probes
from labkit.testing.answers import fresh_seed


def numbers(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def check(got, want, hint, tolerance=1e-5):
    assert isinstance(got, torch.Tensor), f"a tensor is expected, not {type(got).__name__}"
    assert got.shape == want.shape, f"the shape is {tuple(got.shape)} and should be {tuple(want.shape)}"
    assert (got - want).abs().max().item() <= tolerance, hint


# %% exercise="softmax" difficulty=1 importance=3 minutes=5 replaces="torch.softmax torch.nn.functional.softmax"
from solutions.small import softmax


# %% test="softmax" points=1
def test_softmax_visible():
    x = numbers(0, 4, 7)
    check(softmax(x), F.softmax(x, -1), "rows should sum to 1: is the sum taken over the last axis?")


# %% test="softmax-stable" of="softmax" points=1
def test_softmax_large_hidden():
    x = 1000 + numbers(fresh_seed(), 3, 5)
    check(softmax(x), F.softmax(x, -1), "large numbers overflow: subtract the largest first", 1e-4)


# %% exercise="layer-norm" difficulty=2 importance=3 minutes=10 given_methods="__init__" replaces="torch.nn.functional.layer_norm torch.nn.LayerNorm"
from solutions.small import LayerNorm


# %% test="layer-norm" points=1
def test_layer_norm_visible():
    layer, x = LayerNorm(6, eps=0.1), numbers(1, 4, 5, 6)
    state = {"weight": numbers(2, 6), "bias": numbers(3, 6)}
    layer.load_state_dict(state)
    want = F.layer_norm(x, (6,), state["weight"], state["bias"], 0.1)
    check(layer(x), want, "divide by n, add eps under the root, then apply weight and bias")


# %% test="layer-norm-gradients" of="layer-norm" points=2
def test_layer_norm_gradients_hidden():
    x = numbers(fresh_seed(), 3, 4)
    # With an eps this large, leaving it out fails whatever is drawn: grades must not hang on the seed.
    found = probes.gradients(LayerNorm(4, 0.1), x)
    want = probes.gradients(nn.LayerNorm(4, 0.1), x)
    for name in ("input.0", "weight", "bias"):
        check(found[name], want[name], f"the gradient of {name} differs: is the mean detached?", 1e-4)


# %% exercise="attention" difficulty=2 importance=4 minutes=15 replaces="torch.nn.functional.scaled_dot_product_attention"
from solutions.small import attention


# %% test="attention" points=1
def test_attention_visible():
    q, k, v = numbers(4, 2, 9, 16), numbers(5, 2, 9, 16), numbers(6, 2, 9, 16)
    want = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    check(attention(q, k, v), want, "mask what comes later and divide by the square root of d", 1e-4)


def test_attention_hidden():
    q, k, v = (numbers(fresh_seed() + i, 1, 5, 3) for i in range(3))
    want = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    check(attention(q, k, v), want, "mask what comes later and divide by the square root of d", 1e-4)


# %% exercise="bigram" difficulty=2 importance=4 minutes=10 given_methods="__init__"
from solutions.small import Bigram


# %% test="bigram" points=2
def test_bigram_learns():
    tokens = torch.arange(2_000) % 7
    model = Bigram(7, 16)
    probes.train(model, tokens, steps=60, batch_size=16, context=8, learning_rate=0.05, seed=1)
    guesses = model(torch.arange(7)[None]).argmax(-1)
    assert guesses.flatten().tolist() == [1, 2, 3, 4, 5, 6, 0], "each token's follower should be learned"


def test_bigram_shape_hidden():
    got = Bigram(5, 3)(torch.zeros(2, 4, dtype=torch.long))
    assert got.shape == (2, 4, 5), "logits of every token at every position are wanted"
