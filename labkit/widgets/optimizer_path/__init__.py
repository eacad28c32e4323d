"""The walk of an optimizer down a valley."""

from collections.abc import Sequence

import traitlets
from anywidget import AnyWidget

from labkit.widgets.page import page_part


class OptimizerPath(AnyWidget):
    """An optimizer walks down a valley of two dimensions, by settings that the reader types or slides.

    The valley is a quadratic with its lowest point at (1.4, 0.9), flat one way (curvature 1) and steep across it
    (curvature 30); `angle` turns it, in degrees. The walk has 60 steps whose learning rate follows `warmup_cosine` of
    `solutions.training`. AdamW has betas 0.9 and 0.95; momentum is 0.9; all three decay weights apart from the
    gradient.

    Raises ValueError for an optimizer that it does not know.
    """

    _esm, _css = page_part(__file__)
    OPTIMIZERS = ("adamw", "momentum", "sgd")
    optimizer = traitlets.Unicode().tag(sync=True)
    learning_rate = traitlets.Float().tag(sync=True)
    warmup = traitlets.Int().tag(sync=True)
    weight_decay = traitlets.Float().tag(sync=True)
    angle = traitlets.Float().tag(sync=True)
    start = traitlets.List(traitlets.Float(), minlen=2, maxlen=2).tag(sync=True)
    fixed = traitlets.Dict(help="what the reader cannot change").tag(sync=True)

    def __init__(
        self,
        optimizer: str = "adamw",
        learning_rate: float = 0.2,
        *,
        warmup: int = 0,
        weight_decay: float = 0.0,
        angle: float = 0.0,
        start: Sequence[float] = (-2.2, -1.6),
    ):
        if optimizer not in self.OPTIMIZERS:
            raise ValueError(f"there is no optimizer {optimizer!r} here: take one of {', '.join(self.OPTIMIZERS)}")
        valley = {"minimum": [1.4, 0.9], "curvatures": [1.0, 30.0]}
        super().__init__(
            optimizer=optimizer,
            learning_rate=learning_rate,
            warmup=warmup,
            weight_decay=weight_decay,
            angle=angle,
            start=list(map(float, start)),
            fixed={"steps": 60, "betas": [0.9, 0.95], "eps": 1e-8, "valley": valley},
        )

    def __repr__(self) -> str:
        return f"OptimizerPath({self.optimizer!r}, learning_rate={self.learning_rate:g})"
