# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {name: python3, display_name: Python 3, language: python}
#   course: {title: "Attacked", points: 14, seconds: 8}
# ---

# %% [markdown]
# # Attacked
# What tests/attacks/ hands in are answers to this.

# %% given="setup"
import torch
import torch.nn.functional as F
from labkit.testing import probes
from labkit.testing.answers import fresh_seed


# %% given="numbers"
def numbers(*shape, seed=0):
    """Numbers from a normal distribution, the same for the same seed."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# %% exercise="softmax" difficulty=1 importance=3 minutes=5 replaces="torch.softmax torch.nn.functional.softmax torch.nn.Softmax"
from solutions.attacked import softmax


# %% test="softmax" points=1
def test_softmax_two():
    got = softmax(torch.tensor([0.0, 0.0]))
    assert torch.allclose(got, torch.tensor([0.5, 0.5])), "two equal numbers share evenly: do the results sum to 1?"


# %% test="softmax-any" of="softmax" points=2
def test_softmax_any_hidden():
    x = 3 * numbers(2, 3, 5, seed=fresh_seed())
    assert torch.allclose(softmax(x), F.softmax(x, -1), atol=1e-6), (
        "the ratios are wrong: is the sum over the last axis?"
    )


def test_softmax_leaves_its_input_hidden():
    x = numbers(3, 4, seed=fresh_seed())
    _, (after,) = probes.after_call(softmax, x)
    assert torch.equal(x, after), "the input was changed in place"


# %% exercise="distance" difficulty=2 importance=3 minutes=15 replaces="rapidfuzz"
from solutions.attacked import distance


# %% test="distance" points=1
def test_distance_cat():
    got = distance(["the", "cat", "sat"], ["the", "dog", "sat", "down"])
    assert got == 2, f"one word to replace and one to insert make 2; yours gives {got}"


# %% test="distance-any" of="distance" points=2
def test_distance_any_hidden():
    from rapidfuzz.distance import Levenshtein

    generator = torch.Generator().manual_seed(fresh_seed())
    for length in (0, 1, 7, 12):
        a, b = ([str(n) for n in torch.randint(4, (k,), generator=generator).tolist()] for k in (length, 9))
        assert distance(a, b) == Levenshtein.distance(a, b), "is each of the three changes counted as 1?"


# %% exercise="scale" difficulty=2 importance=3 minutes=10 given_methods="__init__" replaces="torch.nn.functional.rms_norm torch.nn.RMSNorm"
from solutions.attacked import Scale


# %% test="scale" points=1
def test_scale_three_four():
    got = Scale(2, eps=0.0)(torch.tensor([[3.0, 4.0]]))
    assert torch.allclose(got, torch.tensor([[3.0, 4.0]]) / 12.5**0.5), "is the mean taken of the squares?"


# %% test="scale-any" of="scale" points=2
def test_scale_any_hidden():
    x, weight = numbers(2, 3, 5, seed=fresh_seed()), numbers(5, seed=fresh_seed() + 1)
    layer = Scale(5, eps=0.3)
    layer.load_state_dict({"weight": weight})
    expected = F.rms_norm(x, (5,), weight, 0.3)
    assert torch.allclose(layer(x), expected, atol=1e-5), "is eps added to the mean square?"


def test_scale_gradients_hidden():
    x = numbers(2, 5, seed=fresh_seed())
    found = probes.gradients(Scale(5), x)["input.0"]
    mine = x.clone().requires_grad_()
    (F.rms_norm(mine, (5,), eps=1e-5) * torch.linspace(0.5, 1.5, 10).view(2, 5)).sum().backward()
    assert torch.allclose(found, mine.grad, atol=1e-4), "the gradient differs: was something detached?"


# %% exercise="attend" difficulty=2 importance=4 minutes=10 replaces="torch.nn.functional.scaled_dot_product_attention"
from solutions.attacked import attend


# %% test="attend" points=1
def test_attend_one_key():
    got = attend(torch.ones(3, 2), torch.ones(1, 2), torch.tensor([[1.0, 2.0, 3.0]]))
    assert torch.allclose(got, torch.tensor([[1.0, 2.0, 3.0]]).expand(3, 3)), "one key gets all the weight"


# %% test="attend-any" of="attend" points=2
def test_attend_any_hidden():
    seed = fresh_seed()
    q, k, v = numbers(4, 3, seed=seed), numbers(5, 3, seed=seed + 1), numbers(5, 2, seed=seed + 2)
    assert torch.allclose(attend(q, k, v), F.softmax(q @ k.T, -1) @ v, atol=1e-5), "is the softmax over the keys?"


# %% test="integration" of="integration" points=2
def test_all_together():
    x = numbers(4, 3, seed=9)
    scaled = F.rms_norm(x, (3,), eps=1e-5)
    expected = F.softmax(scaled @ scaled.T, -1) @ x
    y = Scale(3)(x)
    got = attend(y, y, x)
    assert torch.allclose(got, expected, atol=1e-4), "the parts together give other numbers than each alone"
    assert torch.allclose(softmax(x), F.softmax(x, -1), atol=1e-6), "softmax is one of the parts"
    assert distance(list("kitten"), list("sitting")) == 3, "kitten becomes sitting in three steps"
