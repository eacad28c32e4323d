"""Which tokens a trained model may write next."""

from pathlib import Path

from labkit.widgets.model_control import ModelControl
from labkit.widgets.page import page_part


class NextToken(ModelControl):
    """Type any text, see which tokens a trained GPT may write next under temperature, top-k and top-p, and draw them.

    Arguments and errors are those of `AttentionHeads`.
    """

    _esm, _css = page_part(__file__)

    def __init__(self, checkpoint: str | Path, text: str = "If the argument is"):
        super().__init__(checkpoint, text)
