"""GPTs that have read Python's documentation, or a reader's own file."""

import math
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from labkit import corpus
from labkit.fit import cross_entropy, token_batches
from solutions.checkpoints.recipe import Recipe, Trained, train_gpt
from solutions.gpt import GPT, GPTConfig
from solutions.tokenizer import Tokenizer, train_bpe


def read_text(recipe: Recipe, file: str | Path | None = None) -> Trained:
    """A GPT that has read Python's documentation, or a reader's own file."""
    text, heldout = corpus.text("train", file=file), corpus.text("heldout", file=file)
    # A short text may run out of pairs to merge.
    merges = train_bpe(text, recipe.config.vocab_size)
    recipe = replace(recipe, config=replace(recipe.config, vocab_size=256 + len(merges)))
    tokenizer = Tokenizer(merges)
    tokens, heldout_tokens = (torch.tensor(tokenizer.encode(part)) for part in (text, heldout))
    context, settings = recipe.config.context, recipe.settings
    if len(heldout_tokens) <= context:  # said before the training, not after it
        raise ValueError(
            f"the held-out text is {len(heldout_tokens)} tokens, and a context is {context}: give a longer text"
        )

    batches = token_batches(tokens, batch_size=settings["batch_size"], context=context, seed=settings["seed"])
    model, _ = train_gpt(recipe, batches)
    sample = tokens[: len(heldout_tokens)]
    train_loss, heldout_loss = mean_loss(model, sample), mean_loss(model, heldout_tokens)
    facts = {"train_tokens": len(tokens), "heldout_tokens": len(heldout_tokens)}
    measured = {
        "train_loss": train_loss,
        "train_bits_per_byte": bits_per_byte(train_loss, len(sample), tokenizer.decode(sample.tolist())),
        "heldout_loss": heldout_loss,
        "heldout_bits_per_byte": bits_per_byte(heldout_loss, len(heldout_tokens), heldout),
    }
    return Trained(model, merges, facts, measured, text)


@torch.no_grad()
def mean_loss(model: GPT, tokens: Tensor) -> float:
    """Mean loss a token, in nats, over windows of the whole context that overlap by half.

    Every token but those of the first half-window is scored with at least half a context before it.
    """
    context, half = model.config.context, model.config.context // 2
    windows = tokens.unfold(0, context + 1, half)
    losses = [
        cross_entropy(model(batch[:, :-1])[:, half:], batch[:, 1 + half :]) * len(batch) for batch in windows.split(64)
    ]
    return float(sum(losses) / len(windows))


def bits_per_byte(loss: float, n_tokens: int, text: str) -> float:
    """A mean loss in nats a token as bits a byte of the text that these tokens are: comparable between tokenizers."""
    return loss * n_tokens / math.log(2) / len(text.encode())


# Minutes are those of one core.
RECIPES = {
    # 0.27 million parameters, 10 minutes
    "documentation-small": Recipe(
        GPTConfig(vocab_size=1024, context=128, d_model=64, n_head=4, n_layer=4),
        {"seed": 0, "steps": 6000, "batch_size": 16, "learning_rate": 4e-3},
        read_text,
        reads_text=True,
    ),
    # 0.94 million parameters, 16 minutes
    "documentation": Recipe(
        GPTConfig(vocab_size=1024, context=128, d_model=128, n_head=4, n_layer=4),
        {"seed": 0, "steps": 4500, "batch_size": 16, "learning_rate": 3e-3},
        read_text,
        reads_text=True,
    ),
}
