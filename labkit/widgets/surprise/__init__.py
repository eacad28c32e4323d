"""How many bits each token of a text costs a trained model."""

from pathlib import Path

from labkit.widgets.model_control import ModelControl
from labkit.widgets.page import page_part


class Surprise(ModelControl):
    """Type any text and see how many bits each of its tokens costs a trained GPT, and what it expected instead.

    Arguments and errors are those of `AttentionHeads`.
    """

    _esm, _css = page_part(__file__)

    def __init__(self, checkpoint: str | Path, text: str = "The value of the argument is a banana."):
        super().__init__(checkpoint, text)
