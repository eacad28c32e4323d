"""How a checkpoint is made, and what comes of it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from labkit.fit import adamw, fit
from solutions.gpt import GPT, GPTConfig
from solutions.training import warmup_cosine


@dataclass(frozen=True)
class Recipe:
    """How a checkpoint is made: sizes and settings as data, so that a stale file is found without any training.

    config: the model's sizes.
    settings: seed, steps, batch_size and learning_rate, and whatever else `train` is told; saved in the record.
    train: makes the model from this recipe.
    reads_text: whether `train` takes a reader's own file too, as a second argument.
    """

    config: GPTConfig
    settings: dict[str, Any]
    train: Callable[..., "Trained"]
    reads_text: bool = False


@dataclass(frozen=True)
class Trained:
    """What a recipe makes.

    merges: of the tokenizer; a recipe whose tokens are not made by merging says None.
    facts: what a second run repeats exactly, such as the number of training tokens; saved in the record.
    measured: final losses, accuracies and the like, which rounding moves a little; saved in the record. A group of them
        is a dictionary of its own.
    trained_on: the text whose hash, and whose paragraphs' hashes, the file keeps.
    """

    model: GPT
    merges: list[tuple[int, int]] | None
    facts: dict[str, Any]
    measured: dict[str, Any]
    trained_on: str


def train_gpt(recipe: Recipe, batches: Iterable[tuple[Any, Any]]) -> tuple[GPT, list[float]]:
    """A new GPT of the recipe's sizes, trained on `batches` as its settings say, and the loss of each step.

    An interrupt is passed on: half a training makes no checkpoint.
    """
    settings = recipe.settings
    torch.manual_seed(settings["seed"])
    model = GPT(recipe.config)
    optimizer = adamw(model, settings["learning_rate"])
    schedule = partial(warmup_cosine, steps=settings["steps"], warmup=settings.get("warmup", 200))
    losses = fit(model, batches, steps=settings["steps"], optimizer=optimizer, schedule=schedule)
    if len(losses) < settings["steps"]:
        raise KeyboardInterrupt
    return model, losses
