"""What the controls over a trained model share."""

from pathlib import Path
from typing import Any

import traitlets
from anywidget import AnyWidget


class ModelControl(AnyWidget):
    """A control over a trained GPT, whose weights are no part of the control's state.

    The built book serves the shipped checkpoints under `_static/`, where the page fetches them; in a live notebook the
    page asks the kernel, with the message `{"kind": "load"}`.
    """

    checkpoint = traitlets.Unicode(help="the file's name without its ending").tag(sync=True)
    config = traitlets.Dict(help="the model's sizes, from which the page draws its frame").tag(sync=True)
    file_bytes = traitlets.Int().tag(sync=True)
    text = traitlets.Unicode().tag(sync=True)

    def __init__(self, checkpoint: str | Path, text: str):
        from labkit.checkpoint import find, load  # here, as it loads torch

        loaded = load(checkpoint)
        if loaded.merges is None:
            raise ValueError(f"{checkpoint} holds no tokenizer: save it with its merges, or the page cannot read text")
        if (known := loaded.config["vocab_size"]) != 256 + len(loaded.merges):
            raise ValueError(f"{checkpoint}: the model knows {known} tokens, its tokenizer {256 + len(loaded.merges)}")
        self._path = find(checkpoint)
        super().__init__(
            checkpoint=self._path.stem, config=loaded.config, file_bytes=self._path.stat().st_size, text=text
        )
        self.on_msg(self._answer)

    def _answer(self, _widget: AnyWidget, message: Any, _buffers: list[memoryview]) -> None:
        if message != {"kind": "load"}:
            return
        try:
            weights = self._path.read_bytes()
        except OSError as error:
            self.send({"kind": "failed", "reason": f"{self._path.name} cannot be read ({error.strerror})"})
        else:
            self.send({"kind": "checkpoint"}, buffers=[weights])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.checkpoint!r}, text={self.text!r})"
