"""A GPT that has read the almanac."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from labkit.worlds.almanac import RELATIONS, START, Almanac, Fact, prompt
from solutions.checkpoints.recipe import Recipe, Trained, train_gpt
from solutions.closed_book import answers, closed_book_accuracy
from solutions.gpt import GPT, GPTConfig
from solutions.tokenizer import Tokenizer, train_bpe


def read_almanac(recipe: Recipe) -> Trained:
    """A GPT that has read the almanac's documents, in a new order each time round."""
    settings = recipe.settings
    world = Almanac(settings["seed"])
    tokenizer = Tokenizer(train_bpe(world.words, recipe.config.vocab_size))
    documents = [torch.tensor(tokenizer.encode(START + document.text)) for document in world.documents]
    batches = shuffled_batches(
        documents, batch_size=settings["batch_size"], context=recipe.config.context, seed=settings["seed"]
    )
    model, losses = train_gpt(recipe, batches)
    measured = {"train_loss": sum(losses[-100:]) / 100} | closed_book(model.eval(), tokenizer, world)
    facts = {"train_tokens": sum(map(len, documents))}
    return Trained(model, tokenizer.merges, facts, measured, "\n\n".join(d.text for d in world.documents))


def shuffled_batches(
    documents: Sequence[Tensor], *, batch_size: int, context: int, seed: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches for next-token training: the documents one behind the other, in a new order each time round."""
    generator = torch.Generator().manual_seed(seed)
    size = batch_size * context
    stream = torch.empty(0, dtype=torch.long)
    while True:
        order = torch.randperm(len(documents), generator=generator)
        stream = torch.cat([stream, *(documents[i] for i in order.tolist())])
        while len(stream) > size:
            yield stream[:size].view(batch_size, context), stream[1 : size + 1].view(batch_size, context)
            stream = stream[size:]


def closed_book(model: GPT, tokenizer: Tokenizer, world: Almanac) -> dict[str, Any]:
    """What the model knows of what it was told, by form and by how often, and how sure it is of what it says.

    Shares of right answers, each fact asked in three wordings: of all facts that are said; of those that are also asked
    and of those that are only stated, by how often they are said. Then the mean confidence of answers about people who
    are spoken of and about people whom no document names, and the share of answers with a confidence above one half.
    """
    bands = {"up to 8": range(9), "9 to 30": range(9, 31), "over 30": range(31, 10**6)}
    forms: dict[str, list[Fact]] = {"asked": [], "only_stated": []}
    for fact in world.said:
        forms["asked" if world.times_said(fact, "question") else "only_stated"].append(fact)
    found: dict[str, Any] = {"said": closed_book_accuracy(model, tokenizer, world.said)}
    for form, facts in forms.items():
        found[form] = closed_book_accuracy(model, tokenizer, facts)
        found[f"{form}_by_times_said"] = {
            name: closed_book_accuracy(model, tokenizer, [fact for fact in facts if world.times_said(fact) in band])
            for name, band in bands.items()
        }
    relations = [name for name, relation in RELATIONS.items() if relation.subject == "person"]
    for name, people in (("mentioned", world.people), ("unmentioned", world.unmentioned["person"])):
        given = answers(model, tokenizer, [prompt(person, relation) for person in people for relation in relations])
        found[f"{name}_confidence"] = sum(answer.confidence for answer in given) / len(given)
        found[f"{name}_confident"] = sum(answer.confidence > 0.5 for answer in given) / len(given)
    return found


# Minutes are those of one core.
RECIPES = {
    # 0.20 million parameters, 5 minutes
    "almanac": Recipe(
        GPTConfig(vocab_size=700, context=64, d_model=64, n_head=4, n_layer=3),
        {"seed": 0, "steps": 3500, "batch_size": 32, "learning_rate": 4e-3, "warmup": 100},
        read_almanac,
    ),
}
