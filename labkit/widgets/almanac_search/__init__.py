"""What a made-up world's documents say of a name."""

from collections import Counter
from typing import TYPE_CHECKING, Any

import traitlets
from anywidget import AnyWidget

from labkit.widgets.page import page_part

if TYPE_CHECKING:
    from labkit.worlds.almanac import Almanac


class AlmanacSearch(AnyWidget):
    """Type a name, or any words, and see what a made-up world's documents say of it, where, and how often.

    world: the almanac to look things up in.
    text: what the field holds at first; afterwards what the reader typed.
    """

    _esm, _css = page_part(__file__)
    world = traitlets.Dict(help="names, facts and how often each is worded how, other documents").tag(sync=True)
    text = traitlets.Unicode().tag(sync=True)

    def __init__(self, world: "Almanac", text: str = ""):
        from labkit.worlds.almanac import RELATIONS  # here, as a page that only shows other controls needs no world

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
