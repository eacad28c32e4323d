"""Changes of the language model's reference answers that leave them the same function."""

import torch

from course.banks.equivalent import listing
from solutions import language_model

same, uses = listing(__name__)

LAST = "the axis named is the last one here"
SINGLE = "`gather` with one index a row leaves an axis of a single entry, its first and its last"
NEAR_1 = "the difference is never 1e-4 itself: no two floating-point numbers near 1 lie exactly that far apart"


def drawn_text(draw, longest=20) -> bytes:
    return bytes(draw.choices(b"ab\n\xff", k=draw.randrange(longest)))


def drawn_rows(draw, steps: int, size: int) -> torch.Tensor:
    """Rows of probabilities, with ties and zeros now and then, that add up to 1 more or less closely."""
    rows = torch.randint(0, 4, (steps, size)).double() + draw.choice([0, 0.01])
    rows = rows / rows.sum(dim=-1, keepdim=True) * (1 + draw.choice([0, 0, 9e-5, -9e-5, 1.1e-4, -1.1e-4]))
    return rows.to(draw.choice([torch.float32, torch.float64]))


@uses("witten-bell")
def witten_bell(of, draw):
    model = of.NGram(drawn_text(draw), draw.randrange(1, 6))
    return model.probabilities(drawn_text(draw, 8))


LENGTHS = "for length in range(min(len(context), self.n - 1) + 1): -> for length in range(min("
same(
    "witten-bell",
    LENGTHS + "len(context), self.n + 1) + 1):",
    LENGTHS + "len(context), self.n - 0) + 1):",
    why="contexts of n bytes and more were not counted, so the loop ends at them",
)
same(
    "witten-bell",
    "break -> continue",
    why="where a context never had a follower, a longer one that ends with it had none either",
)


@uses("cross-entropy")
def cross_entropy(of, draw):
    shape = [draw.choice([0, 1, 2, 3, 3, 3]) for _ in range(draw.randrange(1, 4))]
    return of.cross_entropy(torch.randn(*shape, 5), torch.randint(5, draw.choice([shape, shape, [2]])))


PICKED = "picked = logits.gather(-1, targets[..., None])"
same("cross-entropy", f"{PICKED}[..., 0] -> {PICKED}[..., (-1)]", why=SINGLE)


@uses("surprise")
def surprise(of, draw):
    steps, size = draw.randrange(1, 4), draw.randrange(1, 7)
    return of.surprise(drawn_rows(draw, steps, size), torch.randint(size, (steps,)))


DISTRIBUTION = "if (probabilities < 0).any() or not ((probabilities.sum(dim=-1) - 1).abs() <= 1e-4).all(): -> "
BITS = "return -probabilities.gather(-1, symbols[:, None])[:, 0].log2() -> return -probabilities.gather"
same(
    "surprise",
    DISTRIBUTION + "if (probabilities < 0).any() or not ((probabilities.sum(dim=-1) - 1).abs() < 1e-4).all():",
    why=NEAR_1,
)
same(
    "surprise",
    DISTRIBUTION + "if (probabilities < 0).any() or not ((probabilities.sum(dim=1) - 1).abs() <= 1e-4).all():",
    BITS + "(1, symbols[:, None])[:, 0].log2()",
    why=LAST,
)
same("surprise", BITS + "(-1, symbols[:, None])[:, (-1)].log2()", why=SINGLE)


@uses("guess-ranks")
def guess_ranks(of, draw):
    steps, size = draw.randrange(1, 5), draw.randrange(1, 7)
    return of.guess_ranks(drawn_rows(draw, steps, size), torch.randint(size, (steps,)))


RANKS = "return ((probabilities > right) | ((probabilities == right) & smaller)).sum"
same(
    "guess-ranks",
    "right = probabilities.gather(-1, symbols[:, None]) -> right = probabilities.gather(1, symbols[:, None])",
    "smaller = torch.arange(probabilities.shape[-1]) < symbols[:, None] -> "
    "smaller = torch.arange(probabilities.shape[1]) < symbols[:, None]",
    f"{RANKS}(dim=-1) + 1 -> {RANKS}(dim=1) + 1",
    why=LAST,
)


@uses("quantise")
def quantise(of, draw):
    """Whether frequencies keep the docstring's promises, which leave open who gets what rounding down has left."""
    p, total = drawn_rows(draw, 1, draw.randrange(1, 9))[0], draw.choice([4, 8, 100, language_model.TOTAL])
    found = of.quantise(p, total)
    off = (torch.tensor(found) - total * p.double() / p.double().sum()).abs().max().item()
    return len(found), sum(found), min(found) >= 1, off <= len(found)


same(
    "quantise",
    "if size > total or not (p >= 0).all() or not abs(p.sum().item() - 1) <= 1e-4: -> "
    "if size > total or not (p >= 0).all() or not abs(p.sum().item() - 1) < 1e-4:",
    why=NEAR_1,
)
same(
    "quantise",
    "frequencies[p.argmax()] += total - frequencies.sum() -> frequencies[p.argmin()] += total - frequencies.sum()",
    why="what rounding down has left is less than the number of symbols, so it may go to any one of them",
)


@uses("compress")
def compress(of, draw):
    size = draw.randrange(1, 300)
    model, text = language_model.Recent(size, draw.randrange(9)), draw.choices(range(size), k=draw.randrange(9))
    data = of.compress(model, text)
    return data, of.decompress(model, data[: draw.choice([3, None])])


BIG = "'big' is what Python takes when no byte order is named, since 3.11, the oldest that the course runs on"
same(
    "compress",
    'return len(symbols).to_bytes(4, "big") + encoder.finish() -> return len(symbols).to_bytes(4) + encoder.finish()',
    'for _ in range(int.from_bytes(data[:4], "big")): -> for _ in range(int.from_bytes(data[:4])):',
    why=BIG,
)
