"""The effects that the chapter on training shows and tests judge, over 20 seeds: `python -m bench.training`.

The task of the runs below is that of the chapter on the GPT: nine times out of ten each token repeats the one three
places back. A model that has learned it predicts nearly all repeated tokens; chance is one in eight.
"""

import argparse
import statistics
from functools import partial

import torch

from bench import effects
from labkit import corpus
from labkit.fit import cross_entropy, decay_groups, fit, token_batches
from solutions.gpt import GPT, GPTConfig
from solutions.training import AdamW, Trainer, TrainerConfig, warmup_cosine

STEPS = 100


def repeats(seed: int, n: int) -> torch.Tensor:
    """A row of n tokens out of 8: each is the one three places before with probability 0.9, random otherwise."""
    generator = torch.Generator().manual_seed(seed)
    row, is_fresh = torch.randint(8, (n,), generator=generator), torch.rand(n, generator=generator) > 0.9
    for i in range(3, n):
        row[i] = row[i] if is_fresh[i] else row[i - 3]
    return row


def run(
    seed: int, *, learning_rate: float, warmup: int, weight_decay: float = 0.1, stop: int = STEPS
) -> tuple[float, float]:
    """Train a small GPT; the share of repeated tokens it predicts in fresh rows, and the highest loss on the way.

    `stop` ends a run of 100 steps early.
    """
    torch.manual_seed(seed)
    model = GPT(GPTConfig(vocab_size=8, context=16, d_model=32, n_head=2, n_layer=2))
    losses = fit(
        model,
        token_batches(repeats(1000 + seed, 4000), batch_size=16, context=16, seed=seed),
        steps=stop,
        optimizer=AdamW(decay_groups(model, weight_decay), lr=learning_rate),
        schedule=partial(warmup_cosine, steps=STEPS, warmup=warmup),
        progress=False,
    )
    rows = repeats(2000 + seed, 4096).view(-1, 16)
    with torch.no_grad():
        share = (model(rows)[:, 4:].argmax(-1) == rows[:, 2:-2]).double().mean().item()
    return share, max(losses)


def highest_loss(seeds: range, *, warmup: int) -> float:
    """The highest loss of the first 20 steps at a rate of 0.1, in the mean over some seeds: one alone jumps about."""
    return statistics.mean(run(seed, learning_rate=0.1, warmup=warmup, stop=20)[1] for seed in seeds)


def mixture_effects(seed: int) -> dict[str, float]:
    """What the assignment's tests measure, and the same where the effect is missing."""
    from course.assignments.training import language_run, share_predicted, trained

    def lead(weights: tuple[float, float], seed: int) -> float:
        trainer = trained(language_run(weights=weights, seed=seed), seed)
        return share_predicted(trainer, seed + 4, 1) - share_predicted(trainer, seed + 6, 2)

    seed *= 10
    rate = language_run().learning_rate
    return {
        "share predicted at a sound rate": share_predicted(trained(language_run(seed=seed), seed), seed + 4, 1),
        "share predicted at a hundredfold": share_predicted(
            trained(language_run(seed=seed, learning_rate=100 * rate), seed), seed + 4, 1
        ),
        "difference that the mixture makes": lead((0.95, 0.05), seed) - lead((0.05, 0.95), seed),
        "difference between equal mixtures": lead((0.5, 0.5), seed) - lead((0.5, 0.5), seed + 5),
    }


def loop_effects(seed: int) -> dict[str, float]:
    """What `tests/topics/training/test_training.py` and the chapter measure."""
    sound, _ = run(seed, learning_rate=0.01, warmup=20)
    warm, _ = run(seed, learning_rate=0.1, warmup=50)
    cold, _ = run(seed, learning_rate=0.1, warmup=0)
    four = range(4 * seed, 4 * seed + 4)
    too_high, _ = run(seed, learning_rate=1.0, warmup=50)
    decayed, _ = run(seed, learning_rate=0.01, warmup=20, weight_decay=30.0)
    return {
        "share at rate 0.01": sound,
        "share at rate 0.1 with warm-up": warm,
        "share at rate 0.1 without": cold,
        "highest loss at rate 0.1 with warm-up, mean of four runs": highest_loss(four, warmup=50),
        "highest loss at rate 0.1 without, mean of four runs": highest_loss(four, warmup=0),
        "share at rate 1": too_high,
        "share with a weight decay of 30": decayed,
    }


def resume_effects(seed: int) -> dict[str, float]:
    """What the notebook shows of a run resumed from its weights alone, against one resumed from a snapshot."""
    context, at = 64, 100
    texts, unread = (
        [torch.tensor(list(kind.encode())) for kind in (corpus.text(split, size), corpus.source_code(size, split))]
        for split, size in (("train", 300_000), ("heldout", 20_000))
    )
    config = TrainerConfig(
        GPTConfig(vocab_size=256, context=context, d_model=48, n_head=4, n_layer=2),
        weights=(0.75, 0.25),
        steps=200,
        batch_size=16,
        learning_rate=3e-3,
        warmup=20,
        dropout=0.05,
        seed=seed,
    )

    def loss_on_unread(trainer: Trainer) -> float:
        found = 0.0
        for text, weight in zip(unread, config.weights, strict=True):
            rows = text[: len(text) // (context + 1) * (context + 1)].view(-1, context + 1)
            found += weight * cross_entropy(trainer.logits(rows[:, :-1]), rows[:, 1:]).item()
        return found

    whole, careless = Trainer(config, texts), Trainer(config, texts)
    for _ in range(at):
        whole.step()
    careless.model.load_state_dict(whole.weights())
    for trainer in (whole, careless):
        for _ in range(config.steps - at):
            trainer.step()
    return {
        "first 20 steps after a restart from weights alone, over a snapshot, nats": (
            statistics.mean(careless.losses[:20]) - statistics.mean(whole.losses[at : at + 20])
        ),
        "unread text after it, over a snapshot, nats": loss_on_unread(careless) - loss_on_unread(whole),
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20, help="how many seeds (default 20)")
    seeds = range(parser.parse_args(arguments).seeds)
    torch.set_num_threads(1)
    found: dict[str, list[float]] = {}
    for measured in (mixture_effects, loop_effects, resume_effects):
        rows = [measured(seed) for seed in seeds]
        for name in rows[0]:
            values = found[name] = [row[name] for row in rows]
            print(
                f"{name}: mean {statistics.mean(values):.3f}, standard deviation {statistics.stdev(values):.3f}, "
                f"least {min(values):.3f}, most {max(values):.3f} over {len(seeds)} seeds",
                flush=True,
            )
    if len(seeds) == effects.SEEDS:
        effects.note("training", found)


if __name__ == "__main__":
    main()
