# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {name: python3, display_name: Python 3, language: python}
#   course: {title: "A toy", points: 12, seconds: 10}
# ---

# %% [markdown]
# # A toy
# Rows $x$ are centred.

# %% given="setup"
import torch
import torch.nn.functional as F
from labkit.testing import probes
from labkit.testing.answers import fresh_seed
from solutions.toy import TINY, ToyConfig, half

# %% exercise="centre" difficulty=1 importance=3 minutes=5
from solutions.toy import centre


# %% test="centre" points=1
def test_centre_rows():
    got = centre(torch.tensor([[1.0, 3.0], [4.0, 8.0]]))
    assert got.tolist() == [[-1, 1], [-2, 2]], (
        f"each row should have mean zero: is the mean taken along the last axis? {got.tolist()}"
    )


# %% test="centre-axes" of="centre" points=2
def test_centre_axes_hidden():
    generator = torch.Generator().manual_seed(fresh_seed())
    x = torch.randn(2, 3, 5, generator=generator)
    assert torch.allclose(centre(x).mean(-1), torch.zeros(2, 3), atol=1e-6), (
        "rows of a batch: is the mean taken along the last axis?"
    )


def test_centre_leaves_its_input_hidden():
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
    _, (after,) = probes.after_call(centre, x)
    assert torch.equal(x, after), "the input was changed in place"


# %% [markdown]
# Now pieces.
#
# <details><summary>Hint</summary>
#
# A slice may reach beyond the end.
# </details>

# %% exercise="chunks" difficulty=1 importance=1 minutes=5
from solutions.toy import chunks


# %% test="chunks" points=2
def test_chunks_visible():
    assert list(chunks([1, 2, 3, 4, 5], half(4))) == [[1, 2], [3, 4], [5]], "the last piece may be shorter"


def test_chunks_hidden():
    assert [len(c) for c in chunks(list(range(7)), 3)] == [3, 3, 1], "the last piece may be shorter"


# %% exercise="norm" difficulty=2 importance=4 minutes=15 given_methods="__init__" replaces="torch.nn.functional.layer_norm torch.nn.LayerNorm"
from solutions.toy import Norm


# %% test="norm" points=3
def example():
    return torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(3))


def test_norm_matches_torch():
    config = ToyConfig(8, eps=0.1)
    layer = Norm(config)
    generator = torch.Generator().manual_seed(4)
    weight, bias = torch.randn(8, generator=generator), torch.randn(8, generator=generator)
    layer.load_state_dict({"weight": weight, "bias": bias})
    expected = F.layer_norm(example(), (8,), weight, bias, 0.1)
    assert torch.allclose(layer(example()), expected, atol=1e-5), (
        "is eps added to the variance, and the variance divided by n?"
    )


def test_norm_gradients_hidden():
    layer = Norm(ToyConfig(8))
    found = probes.gradients(layer, example())
    x = example().requires_grad_()
    weights = torch.linspace(0.5, 1.5, x.numel()).view(x.shape)
    (F.layer_norm(x, (8,), eps=1e-5) * weights).sum().backward()
    assert torch.allclose(found["input.0"], x.grad, atol=1e-4), "the gradient differs: is the mean detached?"
    assert set(found) == {"input.0", "weight", "bias"}, "weight and bias both take part"


# %% exercise="bits" difficulty=1 importance=2 minutes=5
from solutions.toy import bits


# %% test="bits" points=1
def test_bits_visible():
    assert bits([0.5, 0.5]) == 1, "two equal probabilities hold one bit"


def test_bits_hidden():
    assert bits([1.0, 0.0]) == 0, "0 log 0 counts as 0"


# %% test="integration" of="integration" points=3
def test_all_together():
    rows = torch.tensor([list(map(float, c)) for c in chunks(list(range(6)), 3)])
    out = Norm(ToyConfig(3))(rows)
    assert torch.allclose(out.mean(-1), torch.zeros(2), atol=1e-5), "normalised rows have mean zero"


# %% run
if __name__ == "__main__":
    guess = None  # your guess

    text = """two
    lines"""

# %% run
if __name__ == "__main__":
    print(guess, text, TINY)
