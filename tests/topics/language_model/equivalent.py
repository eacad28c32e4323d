"""Changes of the language model's reference answers that leave them the same function."""

import random

import torch

from course.banks.equivalent import listing
from solutions import language_model

same, uses = listing(__name__)

ORDER = "the least or largest of some numbers does not depend on their order"
LAST = "the axis named is the last one here"
SINGLE = "gather with one index a row leaves an axis of one entry, the first and the last"
BIG = "'big' is what Python takes when no byte order is named, from 3.11 on, the oldest that the course runs on"
NEAR_1 = "the difference is never 1e-4 itself: near 1 a floating-point number is a multiple of 2^-53, and 1e-4 is none"


def drawn_text(draw, longest=20) -> bytes:
    return bytes(draw.choices(b"ab\n\xff", k=draw.randrange(longest)))


def drawn_rows(draw, steps: int, size: int) -> torch.Tensor:
    """Rows of probabilities, with ties and zeros now and then, that add up to 1 more or less closely."""
    rows = torch.randint(0, 4, (steps, size), dtype=torch.float64) + 0.01 * draw.randrange(2)
    rows = rows / rows.sum(dim=-1, keepdim=True).clamp(min=1e-9)
    return (rows * (1 + draw.choice([0, 9e-5, -9e-5, 1.1e-4, -1.1e-4]))).to(draw.choice([torch.float32, torch.float64]))


@uses("sample-chain")
def sample_chain(of, draw):
    n = draw.randrange(1, 6)
    followers = language_model.count_followers(drawn_text(draw), n)
    return of.sample_chain(followers, n, draw.randrange(20), draw.randrange(99))


@uses("witten-bell")
def witten_bell(of, draw):
    model = of.NGram(drawn_text(draw), draw.randrange(1, 6))
    return model.probabilities(drawn_text(draw, 8)), model.rows(drawn_text(draw, 8))


@uses("cross-entropy")
def cross_entropy(of, draw):
    shape = [draw.randrange(0, 4) for _ in range(draw.randrange(1, 4))]
    return of.cross_entropy(torch.randn(*shape, 5), torch.randint(5, shape if draw.random() < 0.9 else [2]))


@uses("surprise")
def surprise(of, draw):
    steps, size = draw.randrange(1, 5), draw.randrange(1, 7)
    return of.surprise(drawn_rows(draw, steps, size), torch.randint(size, (steps,)))


@uses("guess-ranks")
def guess_ranks(of, draw):
    steps, size = draw.randrange(1, 5), draw.randrange(1, 7)
    return of.guess_ranks(drawn_rows(draw, steps, size), torch.randint(size, (steps,)))


@uses("quantise")
def quantise(of, draw):
    """Whether frequencies keep the docstring's promises; what they are beyond that is left open."""
    p, total = drawn_rows(draw, 1, draw.randrange(1, 9))[0], draw.choice([4, 8, 100, language_model.TOTAL])
    found = of.quantise(p, total)
    worst = (torch.tensor(found) - total * p.double() / p.double().sum()).abs().max()
    return len(found), sum(found), min(found) >= 1, bool(worst <= len(found))


@uses("compress")
def compress(of, draw):
    size, symbols = draw.randrange(1, 300), random.Random(draw.random())
    model, text = language_model.Recent(size, draw.randrange(9)), symbols.choices(range(size), k=draw.randrange(9))
    data = of.compress(model, text)
    return data, of.decompress(model, data[: draw.choice([len(data), 3])])
