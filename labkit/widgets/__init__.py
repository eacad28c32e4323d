"""Controls that compute in the page: in the static book without a kernel, and in JupyterLab with one.

A control is an anywidget. Its JavaScript is made of the files beside this one, joined in order: the libraries
`tokenizer.js` and `gpt.js`, the drawing parts `parts.js`, `checkpoint.js`, which loads a trained model, and last the
control's own file, which exports `render`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from labkit.checkpoint import find, load
from labkit.worlds.almanac import RELATIONS, Almanac

HERE = Path(__file__).parent
STYLE = (HERE / "widgets.css").read_text(encoding="utf-8")


def joined(*names: str) -> str:
    """One JavaScript module made of the named files beside this one, in order."""
    return "\n".join((HERE / name).read_text(encoding="utf-8") for name in names)


class TokenSteps(anywidget.AnyWidget):
    """Type any text and step through the merges that build its tokens.

    merges: a byte-level BPE vocabulary as `solutions.tokenizer` writes it: pairs of ids in order, where the ids
        below 256 are the alphabet and merge k makes id 256 + k.
    text: what the field holds at first; afterwards what the reader typed.

    Raises ValueError if a merge joins an id that does not exist by then.
    """

    _esm = joined("tokenizer.js", "parts.js", "token_steps.js")
    _css = STYLE
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


class _ModelControl(anywidget.AnyWidget):
    """A control over a trained GPT, whose weights are no part of the control's state.

    The built book serves the shipped checkpoints under `_static/`, where the page fetches them; in a live notebook the
    page asks the kernel, with the message `{"kind": "load"}`.
    """

    _css = STYLE
    checkpoint = traitlets.Unicode(help="the file's name without its ending").tag(sync=True)
    config = traitlets.Dict(help="the model's sizes, from which the page draws its frame").tag(sync=True)
    file_bytes = traitlets.Int().tag(sync=True)
    text = traitlets.Unicode().tag(sync=True)

    def __init__(self, checkpoint: str | Path, text: str):
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

    def _answer(self, _widget: anywidget.AnyWidget, message: Any, _buffers: list[memoryview]) -> None:
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


class AttentionHeads(_ModelControl):
    """Type any text and see what every head of a trained GPT attends to, and which token the model expects next.

    checkpoint: the name of a shipped checkpoint, or the path of one, as `labkit.checkpoint.load` takes it. Its
        tensors bear the names of `solutions.gpt.GPT`, and it carries its tokenizer's merges.
    text: what the field holds at first; afterwards what the reader typed.

    Raises CheckpointError if there is no such checkpoint, ValueError if its tokenizer is missing or
    of another size than the model.
    """

    _esm = joined("tokenizer.js", "gpt.js", "parts.js", "checkpoint.js", "attention_heads.js")

    def __init__(self, checkpoint: str | Path, text: str = "The model reads this text one token at a time."):
        super().__init__(checkpoint, text)


class Surprise(_ModelControl):
    """Type any text and see how many bits each of its tokens costs a trained GPT, and what it expected instead.

    Arguments and errors are those of `AttentionHeads`.
    """

    _esm = joined("tokenizer.js", "gpt.js", "parts.js", "checkpoint.js", "surprise.js")

    def __init__(self, checkpoint: str | Path, text: str = "The value of the argument is a banana."):
        super().__init__(checkpoint, text)


class NextToken(_ModelControl):
    """Type any text, see which tokens a trained GPT may write next under temperature, top-k and top-p, and draw them.

    Arguments and errors are those of `AttentionHeads`.
    """

    _esm = joined("tokenizer.js", "gpt.js", "parts.js", "checkpoint.js", "chances.js", "next_token.js")

    def __init__(self, checkpoint: str | Path, text: str = "If the argument is"):
        super().__init__(checkpoint, text)


class ModelSizes(anywidget.AnyWidget):
    """Set the sizes of a GPT, and see its parameters, its work, its memory, and the best use of its budget.

    sizes: `n_layer`, `d_model`, `n_head`, `vocab_size`, `context` and `n_tokens` (to train on), whole numbers; what
        the reader sets is kept there.
    laws: scaling laws by name, each as (floor, size factor, size exponent, data factor, data exponent).
    presets: other sizes by name, a button each.

    Raises ValueError if a size is missing or not positive, or if the heads cannot share the width.
    """

    NAMES = ("n_layer", "d_model", "n_head", "vocab_size", "context", "n_tokens")

    _esm = joined("parts.js", "model_sizes.js")
    _css = STYLE
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


class AlmanacSearch(anywidget.AnyWidget):
    """Type a name, or any words, and see what a made-up world's documents say of it, where, and how often.

    world: the almanac to look things up in.
    text: what the field holds at first; afterwards what the reader typed.
    """

    _esm = joined("parts.js", "almanac_search.js")
    _css = STYLE
    world = traitlets.Dict(help="names, facts and how often each is worded how, other documents").tag(sync=True)
    text = traitlets.Unicode().tag(sync=True)

    def __init__(self, world: Almanac, text: str = ""):
        repeats = Counter((document.form, document.text) for document in world.documents)
        facts: list[list[Any]] = []
        for fact in world.facts:
            facts.append([fact.subject, fact.relation, fact.object])
            if world.times_said(fact):
                stated = [repeats.pop(("statement", fact.statement(wording)), 0) for wording in range(3)]
                asked = [repeats.pop(("question", fact.question(wording)), 0) for wording in range(3)]
                facts[-1] += [stated, asked, world.times_said(fact, "profile"), world.times_said(fact, "list")]
        packed = {
            "names": {kind: [names, world.unmentioned[kind]] for kind, names in world.mentioned.items()},
            "relations": {
                name: {"statements": relation.statements, "questions": relation.questions}
                for name, relation in RELATIONS.items()
            },
            "facts": facts,
            "others": [[form, document, times] for (form, document), times in repeats.items()],
        }
        super().__init__(world=packed, text=text)
        self._seed = world.seed

    def __repr__(self) -> str:
        return f"AlmanacSearch(seed {self._seed}, text={self.text!r})"


class OptimizerPath(anywidget.AnyWidget):
    """An optimizer walks down a valley of two dimensions, by settings that the reader types or slides.

    The valley is a quadratic with its lowest point at (1.4, 0.9), flat one way (curvature 1) and steep across it
    (curvature 30); `angle` turns it, in degrees. The walk has 60 steps whose learning rate follows `warmup_cosine` of
    `solutions.training`. AdamW has betas 0.9 and 0.95; momentum is 0.9; all three decay weights apart from the
    gradient.

    Raises ValueError for an optimizer that it does not know.
    """

    _esm = joined("parts.js", "optimizer_path.js")
    _css = STYLE
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
