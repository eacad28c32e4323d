"""A training run that one can watch and stop: its loss curve, drawn while it runs, and its snapshots on disk."""

import os
import time
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import torch

POINTS = 300  # of the line; a longer run is drawn by the means of neighbouring steps
GREY, BLUE = "#808080", "#3f7fbf"  # legible on a light page and on a dark one


class LossCurve:
    """Draws the losses of a run into one output of a notebook, and draws it again as they come in.

    steps: the length of the whole run, which is the width of the picture.
    seconds: at least so much time passes between two drawings, however short the steps are; one takes about 0.1 s.

    Call it with the losses so far after every step: `fit(..., watch=LossCurve(300))`. It takes one output, whose size
    does not grow, in JupyterLab, in a notebook run by a program, and in a page; outside a notebook it does nothing.
    """

    def __init__(self, steps: int, *, seconds: float = 1.0):
        self.steps, self.seconds = steps, seconds
        self.handle: Any = None
        self.drawn_at = -float("inf")

    def __call__(self, losses: Sequence[float]) -> None:
        if losses and (time.monotonic() - self.drawn_at >= self.seconds or len(losses) == self.steps):
            self.draw(losses)
            self.drawn_at = time.monotonic()

    def draw(self, losses: Sequence[float]) -> None:
        """Show the losses so far at once."""
        try:
            from IPython import get_ipython
            from IPython.display import display
        except ImportError:
            return
        if not hasattr(get_ipython(), "kernel"):  # plain Python, or IPython in a terminal
            return
        text = f"step {len(losses):,} of {self.steps:,}: loss {losses[-1]:.3f}"
        picture = {"image/svg+xml": loss_svg(losses, self.steps), "text/plain": text}
        if self.handle is None:
            self.handle = display(picture, raw=True, display_id=True)
        else:
            self.handle.update(picture, raw=True)


def loss_svg(losses: Sequence[float], steps: int) -> str:
    """The loss curve as an SVG picture, with axes that are labelled and a line of at most 300 points.

    Losses that are not finite leave a gap. Raises ValueError if there is no loss to draw.
    """
    from matplotlib import style
    from matplotlib.figure import Figure  # without pyplot, whose figures a notebook shows a second time

    if not losses:
        raise ValueError("there is no loss to draw yet: train for a step first")
    size = -(-len(losses) // POINTS)
    groups = [losses[i : i + size] for i in range(0, len(losses), size)]
    places = [i * size + (len(group) + 1) / 2 for i, group in enumerate(groups)]
    parts = "axes.edgecolor axes.labelcolor xtick.color ytick.color xtick.labelcolor ytick.labelcolor grid.color"
    colors = dict.fromkeys(parts.split(), GREY)
    text = {"font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "loss"}
    with style.context(["labkit.figures", colors | text | {"grid.alpha": 0.3}]):
        figure = Figure(figsize=(6, 2.2))
        axes = figure.subplots()
        axes.plot(places, [sum(group) / len(group) for group in groups], color=BLUE)
        axes.set(xlabel="training step", ylabel="loss (nats a token)", xlim=(0, max(steps, len(losses))))
        title = f"Loss curve: {len(losses):,} of {steps:,} steps, the last loss {losses[-1]:.2f}"
        picture = StringIO()
        figure.savefig(picture, format="svg", transparent=True, metadata={"Title": title, "Date": None})
    return picture.getvalue()


class SavedStates:
    """A row of snapshots of which the last is kept on disk: `append` one, read it as `saved[-1]`, ask `if saved`.

    path: the file. It is there whole or not at all: a new snapshot is written beside it and then takes its place, so
        that an interruption while writing leaves the one before.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)

    def append(self, state: dict[str, Any]) -> None:
        """Keep a snapshot of plain data and tensors in place of the last one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_name(self.path.name + ".part")
        with part.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.path)

    def __len__(self) -> int:
        return int(self.path.is_file())

    def __getitem__(self, index: int) -> dict[str, Any]:
        """The last snapshot; only `saved[-1]` is there to be read.

        Raises:
            IndexError: another one is asked for, or there is none.
            ValueError: the file is no snapshot, or a damaged one.
        """
        if index != -1 or not self:
            raise IndexError(
                f"only the last snapshot is kept, and {'it is saved[-1]' if self else 'there is none yet'}"
            )
        try:
            return torch.load(self.path, weights_only=True)
        except Exception as error:
            raise ValueError(f"{self.path} is no snapshot or a damaged one: delete it to start from step 0") from error
