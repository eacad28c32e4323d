"""The command that trains the shipped checkpoints again.

    python -m solutions.checkpoints                      # rebuild all of them
    python -m solutions.checkpoints NAME ...             # rebuild some
    python -m solutions.checkpoints NAME --text FILE     # train one like NAME on your own text, saved beside the file

A rebuilt checkpoint replaces the shipped one; the command says whether it came out the same. It can only do so on the
same version of Python, whose documentation is the training text, and on a like machine.
"""

import argparse
import importlib
import pkgutil
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

import solutions.checkpoints
from labkit import checkpoint
from solutions.checkpoints.recipe import Recipe, Trained

TOLERANCE = 0.02  # what another machine's rounding may change in a final loss (nats) or accuracy


def recipes(folders: Iterable[str] = solutions.checkpoints.__path__) -> dict[str, Recipe]:
    """Every recipe by the name of its checkpoint: those of the tables RECIPES of the modules beside this one.

    Raises ValueError if two modules make a checkpoint of the same name.
    """
    found: dict[str, Recipe] = {}
    for name in sorted(module.name for module in pkgutil.iter_modules(folders)):
        if name in ("__main__", "rebuild"):
            continue
        table = getattr(importlib.import_module(f"{solutions.checkpoints.__name__}.{name}"), "RECIPES", {})
        if twice := sorted(found.keys() & table.keys()):
            raise ValueError(f"{twice[0]} is made by {name} and by another module of recipes: rename one of them")
        found |= table
    return found


RECIPES = recipes()


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
    path = save(file.with_suffix(".safetensors"), recipe, recipe.train(recipe, file))
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
    if chosen.text and (len(chosen.names) != 1 or not RECIPES[chosen.names[0]].reads_text):
        texts = ", ".join(name for name, recipe in RECIPES.items() if recipe.reads_text)
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
