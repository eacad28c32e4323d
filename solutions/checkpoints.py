"""The recipes behind the shipped checkpoints.

    python -m solutions.checkpoints            # rebuild all of them
    python -m solutions.checkpoints NAME ...   # rebuild some

A rebuilt checkpoint replaces the shipped one; the command says whether it came out the same. It can only do so on the
same version of Python, whose documentation is the training text, and on a like machine.
"""

import math
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from labkit import checkpoint, corpus
from labkit.fit import adamw, cross_entropy, fit, token_batches
from solutions.gpt import GPT, GPTConfig
from solutions.tokenizer import Tokenizer, train_bpe

LOSS_TOLERANCE = 0.02  # nats; what another machine's rounding may change after thousands of steps


@dataclass(frozen=True)
class Trained:
    """What a recipe makes: everything `labkit.checkpoint.save` keeps."""

    tensors: dict[str, Tensor]
    config: dict[str, Any]
    merges: list[tuple[int, int]]
    record: dict[str, Any]
    trained_on: str


def documentation_small(steps: int = 6000) -> Trained:
    """A GPT of 0.27 million parameters that has read Python's documentation, about 15 minutes on one core."""
    seed, batch_size, learning_rate = 0, 16, 4e-3
    text, heldout = corpus.text("train"), corpus.text("heldout")
    tokenizer = Tokenizer(train_bpe(text, 1024))
    tokens, heldout_tokens = (torch.tensor(tokenizer.encode(part)) for part in (text, heldout))

    config = GPTConfig(vocab_size=1024, context=128, d_model=64, n_head=4, n_layer=4)
    torch.manual_seed(seed)
    model = GPT(config)
    fit(
        model,
        token_batches(tokens, batch_size=batch_size, context=config.context, seed=seed),
        steps=steps,
        optimizer=adamw(model, learning_rate),
        schedule=warmup_cosine(steps, warmup=200),
    )
    record = {
        "seed": seed,
        "steps": steps,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "train_tokens": len(tokens),
        "heldout_tokens": len(heldout_tokens),
        "train_loss": round(mean_loss(model, tokens[: len(heldout_tokens)]), 4),
        "heldout_loss": round(mean_loss(model, heldout_tokens), 4),
        "heldout_bits_per_byte": round(
            mean_loss(model, heldout_tokens) * len(heldout_tokens) / math.log(2) / len(heldout.encode()), 4
        ),
    }
    return Trained(model.state_dict(), asdict(config), tokenizer.merges, record, text)


RECIPES: dict[str, Callable[[], Trained]] = {"documentation-small": documentation_small}


def warmup_cosine(steps: int, warmup: int) -> Callable[[int], float]:
    """Factor on the learning rate: up in a line over `warmup` steps, then down to 0 along half a cosine."""

    def factor(step: int) -> float:
        return min((step + 1) / warmup, 0.5 * (1 + math.cos(math.pi * step / steps)))

    return factor


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


def differences(name: str, new: Trained) -> list[str]:
    """In what the shipped checkpoint of this name differs from a rebuilt one, a sentence each."""
    old = checkpoint.load(name)
    found = []
    if old.config != new.config:
        found.append(f"the sizes were {old.config} and are now {new.config}")
    if old.merges != new.merges:
        found.append("the tokenizer's merges differ")
    if old.marks != {checkpoint.mark(paragraph) for paragraph in new.trained_on.split("\n\n")}:
        found.append(f"the training text differs (it was that of Python {old.record['python']})")
    for loss in ("train_loss", "heldout_loss"):
        if abs(old.record[loss] - new.record[loss]) > LOSS_TOLERANCE:
            found.append(f"{loss} was {old.record[loss]} and is now {new.record[loss]}")
    return found


def main(names: list[str]) -> int:
    """Rebuild the checkpoints; exit status 1 if one differs from the shipped one, 2 for an unknown name."""
    unknown = [name for name in names if name not in RECIPES]
    if unknown:
        print(f"No recipe for {', '.join(unknown)}: there are {', '.join(RECIPES)}.", file=sys.stderr)
        return 2
    torch.set_num_threads(1)  # the order of additions, and so the rounding, depends on it
    status = 0
    for name in names or RECIPES:
        print(f"{name}: training", flush=True)
        new = RECIPES[name]()
        try:
            found = differences(name, new)
            exact = not found and all(
                torch.equal(tensor, new.tensors[key].half().float())
                for key, tensor in checkpoint.load(name).tensors.items()
            )
            same = "bit for bit" if exact else f"losses within {LOSS_TOLERANCE} nats"
            print(f"{name}: reproduced, {same}" if not found else f"{name}: NOT reproduced: {'; '.join(found)}")
            status |= bool(found)
        except checkpoint.CheckpointError as error:
            print(f"{name}: nothing to compare with ({error})")
        path = checkpoint.save(
            checkpoint.SHIPPED / f"{name}.safetensors",
            new.tensors,
            new.config,
            merges=new.merges,
            record=new.record,
            trained_on=new.trained_on,
            dtype=torch.float16,
        )
        print(f"{name}: {path.stat().st_size / 1000:.0f} KB, {new.record}")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
