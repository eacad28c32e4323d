"""The merges of a tokenizer, one step at a time."""

from collections.abc import Sequence

import traitlets
from anywidget import AnyWidget

from labkit.widgets.page import page_part


class TokenSteps(AnyWidget):
    """Type any text and step through the merges that build its tokens.

    merges: a byte-level BPE vocabulary as `solutions.tokenizer` writes it: pairs of ids in order, where the ids
        below 256 are the alphabet and merge k makes id 256 + k.
    text: what the field holds at first; afterwards what the reader typed.

    Raises ValueError if a merge joins an id that does not exist by then.
    """

    _esm, _css = page_part(__file__)
    merges = traitlets.List(traitlets.Int(), help="left, right, left, right, ...").tag(sync=True)
    text = traitlets.Unicode().tag(sync=True)

    def __init__(self, merges: Sequence[tuple[int, int]], text: str = "A tokenizer splits untokenized text."):
        flat = []
        for rank, (left, right) in enumerate(merges):
            if not (0 <= left < 256 + rank and 0 <= right < 256 + rank):
                raise ValueError(
                    f"merge {rank} joins {left} and {right}, but only ids below {256 + rank} exist by then"
                )
            flat += [int(left), int(right)]
        super().__init__(merges=flat, text=text)

    def __repr__(self) -> str:
        return f"TokenSteps({len(self.merges) // 2} merges, text={self.text!r})"
