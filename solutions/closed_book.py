"""Asking a trained model what it knows by heart, and counting the right answers.

Closed book: the prompt holds the question and nothing that says the answer (Roberts, Raffel and Shazeer 2020, "How Much
Knowledge Can You Pack Into the Parameters of a Language Model?").
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from labkit.worlds.almanac import Fact, prompt
from solutions.tokenizer import Tokenizer

NextToken = Callable[[Tensor], Tensor]  # ids (batch, position) -> logits (batch, position, vocabulary), such as a GPT


@dataclass(frozen=True)
class Answer:
    """What a model says up to its first full stop, and the probability that it gives to saying just that."""

    text: str
    confidence: float


@torch.no_grad()
def answers(
    model: NextToken, tokenizer: Tokenizer, prompts: Sequence[str], *, longest: int = 16, batch_size: int = 256
) -> list[Answer]:
    """The likeliest continuation of each prompt, token by token, up to a full stop or `longest` tokens.

    The confidence is the product of the probabilities of the tokens, that of the full stop included. Random choices
    play no part.
    """
    stop = tokenizer.encode(".")[-1]
    by_length: dict[int, list[tuple[int, list[int]]]] = defaultdict(list)
    for number, text in enumerate(prompts):
        ids = tokenizer.encode(text)
        by_length[len(ids)].append((number, ids))
    found: dict[int, Answer] = {}
    for length, numbered in by_length.items():  # prompts of one length go together, so nothing needs padding
        for start in range(0, len(numbered), batch_size):
            numbers, rows = zip(*numbered[start : start + batch_size], strict=True)
            texts, confidence, done = (
                torch.tensor(rows),
                torch.ones(len(rows)),
                torch.zeros(len(rows), dtype=torch.bool),
            )
            for _ in range(longest):
                probability, chosen = model(texts)[:, -1].softmax(dim=-1).max(dim=-1)
                confidence = torch.where(done, confidence, confidence * probability)
                done |= chosen == stop
                texts = torch.cat([texts, chosen[:, None]], dim=1)
                if done.all():
                    break
            for number, row, p in zip(numbers, texts[:, length:].tolist(), confidence.tolist(), strict=True):
                said = row[: row.index(stop)] if stop in row else row
                found[number] = Answer(tokenizer.decode(said).strip(), p)
    return [found[number] for number in range(len(prompts))]


def closed_book_accuracy(
    model: NextToken, tokenizer: Tokenizer, facts: Sequence[Fact], wordings: Sequence[int] = (0, 1, 2)
) -> float:
    """The share of questions about `facts` that a model answers rightly, each fact asked in each of the wordings.

    Raises ValueError if there is nothing to ask.
    """
    asked = [(fact, prompt(fact.subject, fact.relation, wording)) for fact in facts for wording in wordings]
    if not asked:
        raise ValueError("there is nothing to ask: pass at least one fact and one wording")
    given = answers(model, tokenizer, [question for _, question in asked])
    return sum(answer.text == fact.object for (fact, _), answer in zip(asked, given, strict=True)) / len(asked)
