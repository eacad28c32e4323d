"""What each head of a trained model attends to."""

from pathlib import Path

from labkit.widgets.model_control import ModelControl
from labkit.widgets.page import page_part


class AttentionHeads(ModelControl):
    """Type any text and see what every head of a trained GPT attends to, and which token the model expects next.

    checkpoint: the name of a shipped checkpoint, or the path of one, as `labkit.checkpoint.load` takes it. Its
        tensors bear the names of `solutions.gpt.GPT`, and it carries its tokenizer's merges.
    text: what the field holds at first; afterwards what the reader typed.

    Raises CheckpointError if there is no such checkpoint, ValueError if its tokenizer is missing or
    of another size than the model.
    """

    _esm, _css = page_part(__file__)

    def __init__(self, checkpoint: str | Path, text: str = "The model reads this text one token at a time."):
        super().__init__(checkpoint, text)
