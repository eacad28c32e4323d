"""The ladder of models over 20 seeds: `python -m bench.scale`.

Five GPTs of two layers, 4 to 64 wide, learn a made-up language of known entropy (`solutions.scale.train_on_source`).
For each seed the law is fitted with the floor free, as students do, and with the true entropy as the floor; and both
once more without the largest model, whose loss the second must then foretell. The first seed's losses are
`solutions.scale.MEASURED_LADDER`, on which the assignment judges a student's fit. With `--languages` each seed learns a
language of its own; the second of these is the notebook's. Then come four shapes of one size. Last, with five seeds,
three budgets are spent on models of several sizes: where is each one's best?
"""

import argparse
import math
import statistics

import torch

from bench import effects
from labkit import corpus
from solutions.gpt import GPTConfig
from solutions.scale import (
    count_params,
    fit_power_law,
    markov_entropy,
    markov_source,
    train_for_flops,
    train_on_bytes,
    train_on_source,
    width_of_size,
)

SEEDS = effects.SEEDS
STEPS = 800
WIDTHS = (4, 8, 16, 32, 64)
# Widths to spend each budget of FLOPs on.
BUDGETS = {2.5e9: (4, 8, 12, 16, 24), 1e10: (8, 12, 16, 24, 32), 4e10: (8, 16, 24, 32, 48)}


def sized(width: int) -> tuple[GPTConfig, int]:
    """A model of the ladder, and its parameters."""
    config = GPTConfig(256, 32, width, max(1, width // 16), 2)
    return config, sum(count_params(config).values())


def ladder(seed: int, steps: int, language: int) -> list[tuple[int, float]]:
    """Parameters and final loss of each model."""
    points = []
    for width in WIDTHS:
        config, size = sized(width)
        points.append((size, train_on_source(config, markov_source(seed=language), steps, seed)))
    return points


def lowest(sizes: list[int], losses: list[float]) -> float:
    """The size at the bottom of a valley: of the parabola in log size through the lowest point and its neighbours."""
    i = min(max(losses.index(min(losses)), 1), len(losses) - 2)
    x, y = torch.tensor(sizes[i - 1 : i + 2]).double().log(), torch.tensor(losses[i - 1 : i + 2]).double()
    _, slope, bend = torch.linalg.solve(torch.stack([torch.ones(3).double(), x, x**2], dim=1), y).tolist()
    return math.exp(-slope / (2 * bend))


def valleys(seeds: int) -> None:
    """Print where each budget has its best size."""
    for seed in range(seeds):
        for budget, widths in BUDGETS.items():
            models = [sized(width) for width in widths]
            losses = [train_for_flops(config, markov_source(), budget, seed)[1] for config, _ in models]
            shown = ", ".join(f"{loss:.4f}" for loss in losses)
            best = lowest([size for _, size in models], losses)
            print(f"seed {seed:2}, {budget:.1e} FLOPs: {shown}; best size {best:,.0f}", flush=True)


def line(sizes: list[int], excess: list[float]) -> tuple[float, float]:
    """Slope and R^2 of log excess loss against log size."""
    points = torch.tensor([[math.log(n), math.log(e)] for n, e in zip(sizes, excess, strict=True)], dtype=torch.float64)
    (variance, covariance), (_, of_excess) = torch.cov(points.T).tolist()
    return covariance / variance, covariance**2 / (variance * of_excess)


def judged(sizes: list[int], losses: list[float], entropy: float) -> dict[str, float]:
    """What the chapter says of one ladder, as numbers."""
    excess = [loss - entropy for loss in losses]
    floor, _, exponent = fit_power_law(sizes, losses)
    slope, straight = line(sizes, excess)
    # The line through all but the last, at the last: both lines pass through the means of their points.
    shorter, _ = line(sizes[:-1], excess[:-1])
    mean_size, mean_excess = (statistics.fmean(map(math.log, part[:-1])) for part in (sizes, excess))
    foretold = math.exp(mean_excess + shorter * (math.log(sizes[-1]) - mean_size))
    return {
        "floor / entropy": floor / entropy,
        "exponent": exponent,
        "exponent, floor known": -slope,
        "R2, floor known": straight,
        "floor of four / entropy": fit_power_law(sizes[:-1], losses[:-1])[0] / entropy,
        "fifth's excess, foretold": foretold / excess[-1],
    }


def shapes(seeds: int) -> dict[str, list[float]]:
    """How much worse deep, narrow models of the chapter's last figure come out than the one of a single layer."""
    text, unseen = corpus.text("train", 300_000), corpus.text("heldout", 30_000)
    losses = {}
    for n_layer in (1, 2, 4, 8):
        width = width_of_size(40_000, n_layer, n_head=2, vocab_size=128, context=32)
        config = GPTConfig(128, 32, width, n_head=2, n_layer=n_layer)
        losses[n_layer] = [train_on_bytes(config, text, unseen, seed=seed) for seed in range(seeds)]
    return {
        f"{n_layer} layers over 1, nats": [deep - wide for deep, wide in zip(losses[n_layer], losses[1], strict=True)]
        for n_layer in (2, 4, 8)
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"how many (default {SEEDS})")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"of training (default {STEPS})")
    parser.add_argument("--languages", action="store_true", help="each seed learns a language of its own")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    found: dict[str, list[float]] = {}
    for seed in range(options.seeds):
        language = seed if options.languages else 0
        entropy = markov_entropy(markov_source(seed=language))
        sizes, losses = map(list, zip(*ladder(seed, options.steps, language), strict=True))
        print(
            f"seed {seed:2}, entropy {entropy:.4f}: "
            + ", ".join(f"{n} {loss:.4f}" for n, loss in zip(sizes, losses, strict=True)),
            flush=True,
        )
        for name, value in judged(sizes, losses, entropy).items():
            found.setdefault(name, []).append(value)
    found |= shapes(options.seeds)
    for name, values in found.items():
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        print(
            f"{name:25} mean {statistics.mean(values):.4f}, standard deviation {spread:.4f}, "
            f"least {min(values):.4f}, most {max(values):.4f}"
        )
    if (options.seeds, options.steps, options.languages) == (SEEDS, STEPS, False):
        effects.note("scale", found)
    valleys(min(options.seeds, 5))


if __name__ == "__main__":
    main()
