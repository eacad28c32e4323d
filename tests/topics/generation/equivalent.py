"""Changes of the reference answers on generation that leave them the same function."""

import functools

import torch

from course.banks.equivalent import listing
from solutions import gpt

same, uses = listing(__name__)

CPU = "the course computes on the processor, where tensors and generators are without being told"
LAST = "the axis named is the last one here"


def some_logits(draw, shape):
    """Logits with ties and, now and then, tokens that are cut already."""
    logits = torch.randint(-3, 4, shape).double()
    return logits.masked_fill(torch.rand(shape) < 0.1, -torch.inf) if draw.random() < 0.3 else logits


@functools.cache
def model_of(seed):
    """A small GPT with random weights."""
    with torch.random.fork_rng(devices=[]):  # building draws numbers too, and only the first call builds
        model = gpt.GPT(gpt.GPTConfig(vocab_size=7, context=6, d_model=4, n_head=2, n_layer=1)).double()
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, generator=generator)
    return model


def some_prompt(draw, longest=9):
    return torch.randint(7, (draw.randrange(1, 4), draw.randrange(1, longest)))


@uses("top-p")
def top_p(of, draw):
    return of.top_p(torch.randn(draw.randrange(1, 4), draw.randrange(1, 9)), draw.choice([0.0, 0.1, 0.5, 0.9, 1.0]))


same(
    "top-p",
    "ascending, tokens = logits.softmax(dim=-1).sort(dim=-1) -> ascending, tokens = logits.softmax(dim=-1).sort()",
    why="`sort` takes the last axis when none is named",
)


@uses("greedy")
def greedy(of, draw):
    return of.greedy(model_of(draw.randrange(20)), some_prompt(draw), draw.randrange(5), draw.choice([None, 0, 3]))


same(
    "greedy",
    "ended = torch.zeros(len(ids), dtype=torch.bool, device=ids.device) -> "
    "ended = torch.zeros(len(ids), dtype=torch.bool)",
    why=CPU,
)
same(
    "greedy",
    "chosen = model(ids[:, -model.config.context :])[:, -1].argmax(dim=-1) -> "
    "chosen = model(ids[:, -model.config.context :])[:, -1].argmax(dim=1)",
    why=LAST,
)


@uses("sample")
def sample(of, draw):
    return of.sample(
        model_of(draw.randrange(20)), some_prompt(draw), draw.randrange(5), 1.5, draw.choice([None, 3]), 0.9, 5
    )


same(
    "sample",
    "generator = torch.Generator(ids.device).manual_seed(seed) -> generator = torch.Generator().manual_seed(seed)",
    why=CPU,
)


@uses("penalize-repeats")
def penalize_repeats(of, draw):
    rows, size = draw.randrange(1, 4), draw.randrange(1, 9)
    ids = torch.randint(size, (rows, draw.randrange(1, 6)))
    return of.penalize_repeats(some_logits(draw, (rows, size)), ids, draw.choice([0.5, 1.0, 3.0]))


same(
    "penalize-repeats",
    "seen = logits.gather(-1, ids) -> seen = logits.gather(1, ids)",
    "return logits.scatter(-1, ids, torch.where(seen > 0, seen / penalty, seen * penalty)) -> "
    "return logits.scatter(1, ids, torch.where(seen > 0, seen / penalty, seen * penalty))",
    why=LAST,
)
same(
    "penalize-repeats",
    "return logits.scatter(-1, ids, torch.where(seen > 0, seen / penalty, seen * penalty)) -> "
    "return logits.scatter(-1, ids, torch.where(seen >= 0, seen / penalty, seen * penalty))",
    why="a logit of 0 is 0 after dividing as after multiplying",
)


@uses("beam-search")
def beam_search(of, draw):
    prompt, eos = some_prompt(draw)[0], draw.choice([None, 0, 3])
    return of.beam_search(model_of(draw.randrange(20)), prompt, draw.randrange(1, 5), draw.randrange(0, 5), eos, 1.0)


CANDIDATES = "totals, index = candidates.topk(min(2 * width, len(candidates))) -> totals, index = candidates.topk"
TEXTS = "texts = torch.cat([beams[index // logits.shape[-1]], index[:, None] % logits.shape[-1]], dim=1) -> "
same(
    "beam-search",
    "beams, totals, finished = ids[None], torch.zeros(1, device=ids.device), [] -> "
    "beams, totals, finished = ids[None], torch.zeros(1), []",
    why=CPU,
)
same(
    "beam-search",
    "candidates = (totals[:, None] + logits.log_softmax(dim=-1)).flatten() -> "
    "candidates = (totals[:, None] + logits.log_softmax(dim=1)).flatten()",
    TEXTS + "texts = torch.cat([beams[index // logits.shape[1]], index[:, None] % logits.shape[-1]], dim=1)",
    TEXTS + "texts = torch.cat([beams[index // logits.shape[-1]], index[:, None] % logits.shape[1]], dim=1)",
    why=LAST,
)
same(
    "beam-search",
    f"{CANDIDATES}(min(3 * width, len(candidates)))",
    why="at most `width` of the candidates end, so 2 * width hold all that finish and all that go on",
)
same(
    "beam-search",
    "ends = texts[:, -1] == (-1 if eos is None else eos) -> ends = texts[:, -1] == (-2 if eos is None else eos)",
    why="any negative number is no token",
)
same(
    "beam-search",
    "return max(finished, key=lambda pair: pair[1], default=(ids, 0.0)) -> "
    "return max(finished, key=lambda pair: pair[1], default=(ids, 1.0))",
    why="differs only where no token is asked for, and there the formula for the score is 0 / 0",
)


@uses("read-on")
def read_on(of, draw):
    model, ids = model_of(draw.randrange(20)), some_prompt(draw, longest=8)
    cache, cut = of.KVCache(model.config, len(ids), torch.float64), draw.randrange(1, ids.shape[1] + 1)
    first = of.read_on(model, ids[:, :cut], cache)
    return first, of.read_on(model, ids[:, cut:], cache) if cut < ids.shape[1] else None


MASK = "mask = torch.ones(n, start + n, dtype=torch.bool, device=ids.device).tril(start) if n > 1 else None -> mask = "
same(
    "read-on",
    MASK + "torch.ones(n, start + n, dtype=torch.bool, device=ids.device).tril(start) if n >= 1 else None",
    MASK + "torch.ones(n, start + n, dtype=torch.bool, device=ids.device).tril(start) if n > 0 else None",
    why="the mask of a single new position lets it see all, as no mask does; it only costs time",
)
same("read-on", MASK + "torch.ones(n, start + n, dtype=torch.bool).tril(start) if n > 1 else None", why=CPU)
same(
    "read-on",
    "x = x + block.attention.projection(mixed.transpose(1, 2).flatten(2)) -> "
    "x = x + block.attention.projection(mixed.transpose(2, 1).flatten(2))",
    why="two axes change places, whichever is named first",
)


@uses("write")
def write(of, draw):
    seed, k = draw.choice([None, 5]), draw.choice([None, 1, 3])
    return of.write(model_of(draw.randrange(20)), some_prompt(draw, longest=5), draw.randrange(4), 1.5, k, 0.9, seed)


DRAWN = (
    "text[:, end] = torch.multinomial(probabilities(logits, temperature, k, p), 1, generator=generator)[:, 0] -> "
    "text[:, end] = torch.multinomial(probabilities(logits, temperature, k, p), "
)
same(
    "write",
    "generator = None if seed is None else torch.Generator(ids.device).manual_seed(seed) -> "
    "generator = None if seed is None else torch.Generator().manual_seed(seed)",
    why=CPU,
)
same("write", "text[:, end] = logits.argmax(dim=-1) -> text[:, end] = logits.argmax(dim=1)", why=LAST)
same("write", DRAWN + "2, generator=generator)[:, 0]", why="the first of two draws is the one draw")
same("write", DRAWN + "1, generator=generator)[:, (-1)]", why="there is one column, the first and the last")
