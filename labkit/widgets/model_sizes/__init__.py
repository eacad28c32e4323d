"""What a GPT of any sizes costs."""

from collections.abc import Mapping, Sequence

import traitlets
from anywidget import AnyWidget

from labkit.widgets.page import page_part


class ModelSizes(AnyWidget):
    """Set the sizes of a GPT, and see its parameters, its work, its memory, and the best use of its budget.

    sizes: `n_layer`, `d_model`, `n_head`, `vocab_size`, `context` and `n_tokens` (to train on), whole numbers; what
        the reader sets is kept there.
    laws: scaling laws by name, each as (floor, size factor, size exponent, data factor, data exponent).
    presets: other sizes by name, a button each.

    Raises ValueError if a size is missing or not positive, or if the heads cannot share the width.
    """

    NAMES = ("n_layer", "d_model", "n_head", "vocab_size", "context", "n_tokens")

    _esm, _css = page_part(__file__)
    sizes = traitlets.Dict().tag(sync=True)
    laws = traitlets.Dict().tag(sync=True)
    presets = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        sizes: Mapping[str, int],
        laws: Mapping[str, Sequence[float]],
        presets: Mapping[str, Mapping[str, int]] | None = None,
    ):
        presets = presets or {}
        for each in (sizes, *presets.values()):
            if set(each) != set(self.NAMES) or min(each.values()) < 1:
                raise ValueError(f"each of {', '.join(self.NAMES)} is needed, and at least 1: {dict(each)}")
            if each["d_model"] % each["n_head"]:
                raise ValueError(f"{each['n_head']} heads cannot share a width of {each['d_model']}: use a multiple")
        super().__init__(
            sizes=dict(sizes),
            laws={name: list(law) for name, law in laws.items()},
            presets={name: dict(each) for name, each in presets.items()},
        )

    def __repr__(self) -> str:
        return f"ModelSizes({self.sizes})"
