"""Changes of the reference answers on scale that leave them the same function."""

import torch

from course.banks.equivalent import listing
from solutions import scale
from solutions.gpt import GPTConfig

same, uses = listing(__name__)


@uses("decoding-rate")
def decoding_rate(of, draw):
    n_head = draw.randrange(1, 4)
    sizes = {"vocab_size": draw.randrange(1, 99), "context": draw.randrange(1, 40), "n_layer": draw.randrange(1, 5)}
    config = GPTConfig(d_model=n_head * draw.randrange(1, 9), n_head=n_head, **sizes)
    peak, bandwidth = 10 ** draw.uniform(6, 15), 10 ** draw.uniform(6, 12)
    n, batch_size = draw.randrange(1, config.context + 1), draw.randrange(1, 99)
    return of.decoding_rate(config, n, batch_size, peak, bandwidth, draw.choice([1, 2, 4, 8]))


same(
    "decoding-rate",
    "read = weights + kv_cache_bytes(config, n, batch_size, bytes_per_number) -> "
    "read = weights + kv_cache_bytes(config, n, bytes_per_number, batch_size)",
    why="texts and bytes a number are factors of one product, and neither is checked",
)


@uses("markov-entropy")
def markov_entropy(of, draw):
    states = draw.randrange(1, 7)
    p = torch.rand(states, states, dtype=draw.choice([torch.float32, torch.float64])) + 1e-3
    return of.markov_entropy(p / p.sum(dim=1, keepdim=True) * (1 + draw.choice([0, 9e-5, -9e-5, 1.1e-4, -1.1e-4])))


same(
    "markov-entropy",
    "if (p.sum(dim=1) - 1).abs().max() > 1e-4: -> if (p.sum(dim=1) - 1).abs().max() >= 1e-4:",
    why="the difference is never 1e-4 itself: no two float64 numbers near 1 lie exactly that far apart",
)
same(
    "markov-entropy",
    "system = p.T - torch.eye(len(p), dtype=p.dtype) -> system = p.T - torch.eye(len(p))",
    why="0 and 1 are exact in every floating-point type, and float64 minus another is float64",
)


@uses("fit-power-law")
def fit_power_law(of, draw):
    """Whether the fit is as close to the reference's as the docstring asks."""
    noise, sizes = draw.choice([0.0, 0.01]), [1000.0]
    for _ in range(draw.randrange(4, 7)):
        sizes.append(sizes[-1] * draw.uniform(2.5, 8))
    floor, factor, exponent = draw.uniform(0.1, 4), draw.uniform(5, 60), draw.uniform(0.2, 0.6)
    losses = [floor + factor * n**-exponent * draw.uniform(1 - noise, 1 + noise) for n in sizes]
    wanted, found = scale.fit_power_law(sizes, losses), of.fit_power_law(sizes, losses)
    as_close = (1e-6 * min(losses), 1e-3 * wanted[1], 1e-3 * wanted[2])
    return [abs(a - b) <= within for a, b, within in zip(found, wanted, as_close, strict=True)]


GRID = "floors = torch.linspace(low, high, 103, dtype=torch.float64) -> floors = torch.linspace("
FOUND = "return floors[best + 1].item(), factor.item(), -slopes[best].item() -> return floors["
same(
    "fit-power-law",
    "for _ in range(6): -> for _ in range(7):",
    "for _ in range(6): -> for _ in range(5):",
    GRID + "low, high, 104, dtype=torch.float64)",
    GRID + "low, high, 102, dtype=torch.float64)",
    FOUND + "best - 1].item(), factor.item(), -slopes[best].item()",
    FOUND + "best + 2].item(), factor.item(), -slopes[best].item()",
    FOUND + "best + 0].item(), factor.item(), -slopes[best].item()",
    why="the floor is wanted to within 1e-6 of the least loss, and even the fifth grid spans only 2e-7 of it",
)
same(
    "fit-power-law",
    GRID + "high, low, 103, dtype=torch.float64)",
    why="the same floors from the other end: the best one and its two neighbours are the same three",
)
