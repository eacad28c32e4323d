"""A topic for the tests of the mould: each exercise is of a shape that a real one may have."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

# Below this a variance counts as zero.
TINY = 1e-12


@dataclass(frozen=True)
class ToyConfig:
    """Sizes of a toy layer."""

    width: int
    eps: float = 1e-5  # added to the variance


def half(n: int) -> int:
    """A helper that is given."""
    return n // 2


# A public remark: the definition is the one of Ba et al. 2016.
def centre(x: Float[Tensor, "... d"]) -> Float[Tensor, "... d"]:
    """Subtract from each row its mean."""
    # SECRET: a comment inside the body is part of the answer.
    return x - x.mean(-1, keepdim=True)
    # SECRET too: this one ends it.


def chunks(row: list[int], size: int) -> Iterator[list[int]]:
    r"""Cut a row into pieces of `size`, one after the other, $\lceil n / s \rceil$ of them."""
    start = 0
    while start < len(row):
        yield row[start : start + size]
        start += size


class Norm(nn.Module):
    """Layer normalisation with a weight and a bias.

    `forward` maps (..., width) to the same shape.
    """

    def __init__(self, config: ToyConfig):
        super().__init__()
        self.config = config
        self.weight = nn.Parameter(torch.ones(config.width))
        self.bias = nn.Parameter(torch.zeros(config.width))

    def forward(self, x: Float[Tensor, "... d"]) -> Float[Tensor, "... d"]:
        """Centre, scale to variance one, then apply weight and bias."""
        centred = centre(x)
        scale = (centred.square().mean(-1, keepdim=True) + self.config.eps + TINY).sqrt()
        return centred / scale * self.weight + self.bias


def bits(p: list[float]) -> float:
    """Entropy of a distribution in bits."""
    return -sum(x * math.log2(x) for x in p if x > 0)
