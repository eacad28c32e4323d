"""The recipes behind the shipped checkpoints.

    python -m solutions.checkpoints                      # rebuild all of them
    python -m solutions.checkpoints NAME ...             # rebuild some
    python -m solutions.checkpoints NAME --text FILE     # train one like NAME on your own text, saved beside the file

A rebuilt checkpoint replaces the shipped one; the command says whether it came out the same. It can only do so on the
same version of Python, whose documentation is the training text, and on a like machine.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from labkit import checkpoint, corpus
from labkit.fit import adamw, cross_entropy, fit, token_batches
from labkit.worlds.almanac import RELATIONS, START, Almanac, Fact, prompt
from solutions.closed_book import answers, closed_book_accuracy
from solutions.gpt import GPT, GPTConfig
from solutions.tokenizer import Tokenizer, train_bpe
from solutions.training import warmup_cosine

TOLERANCE = 0.02  # what another machine's rounding may change in a final loss (nats) or accuracy


@dataclass(frozen=True)
class Recipe:
    """How a checkpoint is made: sizes and settings as data, so that a stale file is found without any training.

    config: the model's sizes.
    settings: seed, steps, batch_size and learning_rate, and whatever else `train` is told; saved in the record.
    train: makes the model from this recipe.
    """

    config: GPTConfig
    settings: dict[str, Any]
    train: Callable[["Recipe"], "Trained"]


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


def read_almanac(recipe: Recipe) -> Trained:
    """A GPT that has read the almanac's documents, in a new order each time round."""
    settings = recipe.settings
    world = Almanac(settings["seed"])
    tokenizer = Tokenizer(train_bpe(world.words, recipe.config.vocab_size))
    documents = [torch.tensor(tokenizer.encode(START + document.text)) for document in world.documents]
    batches = shuffled_batches(
        documents, batch_size=settings["batch_size"], context=recipe.config.context, seed=settings["seed"]
    )
    model, losses = train_gpt(recipe, batches)
    measured = {"train_loss": sum(losses[-100:]) / 100} | closed_book(model.eval(), tokenizer, world)
    facts = {"train_tokens": sum(map(len, documents))}
    return Trained(model, tokenizer.merges, facts, measured, "\n\n".join(d.text for d in world.documents))


def shuffled_batches(
    documents: Sequence[Tensor], *, batch_size: int, context: int, seed: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches for next-token training: the documents one behind the other, in a new order each time round."""
    generator = torch.Generator().manual_seed(seed)
    size = batch_size * context
    stream = torch.empty(0, dtype=torch.long)
    while True:
        order = torch.randperm(len(documents), generator=generator)
        stream = torch.cat([stream, *(documents[i] for i in order.tolist())])
        while len(stream) > size:
            yield stream[:size].view(batch_size, context), stream[1 : size + 1].view(batch_size, context)
            stream = stream[size:]


def closed_book(model: GPT, tokenizer: Tokenizer, world: Almanac) -> dict[str, Any]:
    """What the model knows of what it was told, by form and by how often, and how sure it is of what it says.

    Shares of right answers, each fact asked in three wordings: of all facts that are said; of those that are also asked
    and of those that are only stated, by how often they are said. Then the mean confidence of answers about people who
    are spoken of and about people whom no document names, and the share of answers with a confidence above one half.
    """
    bands = {"up to 8": range(9), "9 to 30": range(9, 31), "over 30": range(31, 10**6)}
    forms: dict[str, list[Fact]] = {"asked": [], "only_stated": []}
    for fact in world.said:
        forms["asked" if world.times_said(fact, "question") else "only_stated"].append(fact)
    found: dict[str, Any] = {"said": closed_book_accuracy(model, tokenizer, world.said)}
    for form, facts in forms.items():
        found[form] = closed_book_accuracy(model, tokenizer, facts)
        found[f"{form}_by_times_said"] = {
            name: closed_book_accuracy(model, tokenizer, [fact for fact in facts if world.times_said(fact) in band])
            for name, band in bands.items()
        }
    relations = [name for name, relation in RELATIONS.items() if relation.subject == "person"]
    for name, people in (("mentioned", world.people), ("unmentioned", world.unmentioned["person"])):
        given = answers(model, tokenizer, [prompt(person, relation) for person in people for relation in relations])
        found[f"{name}_confidence"] = sum(answer.confidence for answer in given) / len(given)
        found[f"{name}_confident"] = sum(answer.confidence > 0.5 for answer in given) / len(given)
    return found


# Minutes are those of one core.
RECIPES: dict[str, Recipe] = {
    # 0.27 million parameters, 10 minutes
    "documentation-small": Recipe(
        GPTConfig(vocab_size=1024, context=128, d_model=64, n_head=4, n_layer=4),
        {"seed": 0, "steps": 6000, "batch_size": 16, "learning_rate": 4e-3},
        read_text,
    ),
    # 0.94 million parameters, 16 minutes
    "documentation": Recipe(
        GPTConfig(vocab_size=1024, context=128, d_model=128, n_head=4, n_layer=4),
        {"seed": 0, "steps": 4500, "batch_size": 16, "learning_rate": 3e-3},
        read_text,
    ),
    # 0.20 million parameters, 5 minutes
    "almanac": Recipe(
        GPTConfig(vocab_size=700, context=64, d_model=64, n_head=4, n_layer=3),
        {"seed": 0, "steps": 3500, "batch_size": 32, "learning_rate": 4e-3, "warmup": 100},
        read_almanac,
    ),
}


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


def save(path: Path, recipe: Recipe, trained: Trained) -> Path:
    """Write what a recipe made to one file, in half precision."""
    return checkpoint.save(
        path,
        trained.model.state_dict(),
        asdict(trained.model.config),
        merges=trained.merges,
        record=recipe.settings
        | {"python": "{}.{}".format(*sys.version_info)}
        | trained.facts
        | rounded(trained.measured),
        trained_on=trained.trained_on,
        dtype=torch.float16,
    )


def rounded(measured: dict[str, Any]) -> dict[str, Any]:
    """The same figures with four decimals, in groups as they were."""
    return {name: rounded(m) if isinstance(m, dict) else round(m, 4) for name, m in measured.items()}


def flat(record: dict[str, Any]) -> dict[str, Any]:
    """A record without groups: an entry of a group is called "group.entry"."""
    found: dict[str, Any] = {}
    for name, value in record.items():
        inner = {f"{name}.{entry}": v for entry, v in flat(value).items()} if isinstance(value, dict) else {name: value}
        found |= inner
    return found


def differences(old: checkpoint.Checkpoint, new: checkpoint.Checkpoint, measured: dict[str, Any]) -> list[str]:
    """In what a rebuilt checkpoint differs from the shipped one, a sentence each.

    Entries of the record that are `measured` may differ by TOLERANCE.
    """
    found = []
    if old.config != new.config:
        found.append(f"the sizes were {old.config} and are now {new.config}")
    if old.merges != new.merges:
        found.append("the tokenizer's merges differ")
    if old.data != new.data:
        found.append(f"the training text differs (it was made on Python {old.record.get('python')})")
    before, after, inexact = flat(old.record), flat(new.record), flat(measured)
    for name in sorted((before.keys() | after.keys()) - {"python"}):
        was, now = before.get(name), after.get(name)
        if name in inexact and isinstance(was, float) and isinstance(now, float) and abs(was - now) <= TOLERANCE:
            continue
        if was != now:
            found.append(f"{name} was {was} and is now {now}")
    return found


def rebuild(name: str) -> bool:
    """Train one checkpoint again, replace the shipped file, and say whether it came out the same."""
    print(f"{name}: training", flush=True)
    recipe, start = RECIPES[name], time.process_time()
    try:
        old = checkpoint.load(name)
    except checkpoint.CheckpointError as error:
        old = None
        print(f"{name}: nothing to compare with ({error})")
    trained = recipe.train(recipe)
    path = save(checkpoint.SHIPPED / f"{name}.safetensors", recipe, trained)
    new, found = checkpoint.load(path), []
    if old is not None:
        found = differences(old, new, trained.measured)
        exact = not found and all(torch.equal(tensor, new.tensors[key]) for key, tensor in old.tensors.items())
        same = "bit for bit" if exact else f"within {TOLERANCE}"
        print(f"{name}: NOT reproduced: {'; '.join(found)}" if found else f"{name}: reproduced, {same}")
    print(f"{name}: {path.stat().st_size / 1000:.0f} KB, {time.process_time() - start:.0f} s, {new.record}")
    return not found


def train_own(name: str, file: Path) -> None:
    """Train a model like the checkpoint `name` on a reader's own text file, and save it beside that file."""
    recipe, start = RECIPES[name], time.process_time()
    path = save(file.with_suffix(".safetensors"), recipe, read_text(recipe, file))
    print(f"{path}: {time.process_time() - start:.0f} s, {checkpoint.load(path).record}")


def main(arguments: list[str]) -> int:
    """Rebuild checkpoints, or train one on a reader's own text.

    Exit status 1 if one differs from the shipped one, 2 for arguments that make no sense, 130 if interrupted.
    """
    parser = argparse.ArgumentParser(prog="python -m solutions.checkpoints", description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="which to rebuild; all when none is named")
    parser.add_argument("--text", type=Path, metavar="FILE", help="train one like NAME on this file instead")
    chosen = parser.parse_args(arguments)
    unknown = [name for name in chosen.names if name not in RECIPES]
    if unknown:
        print(f"No recipe for {', '.join(unknown)}: there are {', '.join(RECIPES)}.", file=sys.stderr)
        return 2
    if chosen.text and (len(chosen.names) != 1 or RECIPES[chosen.names[0]].train is not read_text):
        texts = ", ".join(name for name, recipe in RECIPES.items() if recipe.train is read_text)
        print(f"With --text goes exactly one NAME of a model that reads text: {texts}.", file=sys.stderr)
        return 2
    torch.set_num_threads(1)  # the order of additions, and so the rounding, depends on it
    try:
        if chosen.text:
            train_own(chosen.names[0], chosen.text)
            return 0
        return 0 if all([rebuild(name) for name in chosen.names or RECIPES]) else 1
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Interrupted: the checkpoint in the making was not saved.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
