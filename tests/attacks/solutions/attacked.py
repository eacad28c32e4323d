"""What the attacked assignment asks for: small, so that a batch of attacks is graded fast."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


def softmax(x: Float[Tensor, "... n"]) -> Float[Tensor, "... n"]:
    """Positive numbers that sum to 1 along the last axis, in the ratio of `exp(x)`."""
    powers = (x - x.amax(-1, keepdim=True)).exp()
    return powers / powers.sum(-1, keepdim=True)


def distance(a: list[str], b: list[str]) -> int:
    """The fewest words to insert, delete or replace that turn `a` into `b` (Levenshtein)."""
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, 1):
        above, row[0] = row[0], i
        for j, right in enumerate(b, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (left != right))
    return row[-1]


class Scale(nn.Module):
    """Divides each vector by the root of its mean square plus `eps`, then multiplies by `weight`."""

    def __init__(self, width: int, eps: float = 1e-5):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Float[Tensor, "... n"]) -> Float[Tensor, "... n"]:
        """The scaled vectors, of the same shape."""
        return x * (x.square().mean(-1, keepdim=True) + self.eps).rsqrt() * self.weight


def attend(
    q: Float[Tensor, "query d"], k: Float[Tensor, "key d"], v: Float[Tensor, "key e"]
) -> Float[Tensor, "query e"]:
    """For each query the mean of `v`, weighted by the softmax of its products with the keys (not scaled)."""
    return softmax(q @ k.T) @ v
