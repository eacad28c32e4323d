"""Changes of the reference answers on training that leave them the same function."""

import copy
import math

import torch

from course.banks.equivalent import listing
from solutions.gpt import GPTConfig
from solutions.training import TrainerConfig

same, uses = listing(__name__)

AS_LONG = "the two are equally long whenever the call makes sense, so nothing is left to be strict about"


@uses("epochs")
def epochs(of, draw):
    n = draw.randrange(1, 6)
    weights, sizes = ([draw.uniform(0.1, 9) for _ in range(n)] for _ in range(2))
    return of.epochs(weights, sizes, draw.uniform(1, 99))


EPOCHS = "return [weight / sum(weights) * total / size for weight, size in zip(weights, sizes, strict=True)] -> "
same(
    "epochs",
    EPOCHS + "return [weight / sum(weights) * total / size for weight, size in zip(weights, sizes)]",
    EPOCHS + "return [weight / sum(weights) * total / size for weight, size in zip(weights, sizes, strict=False)]",
    why=AS_LONG,
)


@uses("source")
def source(of, draw):
    """What is promised: each window once an epoch, and the same ones after a restore. Which comes first is random."""
    n, seed = draw.randrange(1, 9), draw.randrange(99)
    tokens = torch.arange(2 * n + 1 + draw.randrange(2))
    first, second, read = of.Source(tokens, 2, seed), of.Source(tokens, 2, seed + 1), draw.randrange(3 * n)
    for _ in range(read):
        first.next_window()
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    goes_on = all(torch.equal(first.next_window(), second.next_window()) for _ in range(-read % n + n))
    return goes_on, sorted(first.next_window()[0].item() for _ in range(n))


same(
    "source",
    "return self.windows[self.order[self.position - 1]] -> return self.windows[self.order[self.position - 2]]",
    why="the last window of the drawn order comes first, then the others: that is as random, and each comes once",
)


@uses("mixture")
def mixture(of, draw):
    texts = [torch.arange(draw.randrange(5, 30)) for _ in range(draw.randrange(1, 4))]
    made = [of.Mixture(texts, [1.0] * len(texts), 4, draw.randrange(99)) for _ in range(2)]
    made[0].batch(draw.randrange(1, 9))
    made[1].load_state_dict(made[0].state_dict())
    return [mixture.batch(7) for mixture in made]


RESTORED = 'for source, its_state in zip(self.sources, state["sources"], strict=True): -> for source, its_state in zip('
same(
    "mixture",
    RESTORED + 'self.sources, state["sources"]):',
    RESTORED + 'self.sources, state["sources"], strict=False):',
    why=AS_LONG,
)


@uses("clip-gradients")
def clip_gradients(of, draw):
    gradients = [torch.randn(draw.randrange(1, 4), 2, dtype=torch.float64) for _ in range(draw.randrange(1, 4))]
    norm = math.sqrt(sum((gradient**2).sum().item() for gradient in gradients))
    bound = draw.choice([norm + 1e-6, draw.uniform(0.1, 9)])
    return of.clip_gradients(gradients, bound), gradients


same("clip-gradients", "if factor < 1: -> if factor <= 1:", why="a factor of 1 changes nothing")


@uses("trainer")
def trainer(of, draw):
    model = GPTConfig(vocab_size=7, context=4, d_model=4, n_head=2, n_layer=1)
    run = TrainerConfig(model, (1.0,), steps=9, batch_size=3, learning_rate=0.01, seed=draw.randrange(99))
    trainer = of.Trainer(run, [torch.arange(30) % 7])
    rows = draw.randrange(1, 6)
    inputs, targets = torch.randint(7, (2, rows, 4))
    return trainer.accumulate(inputs, targets, draw.randrange(1, rows + 1)), trainer.gradients()


PIECES = (
    "for some, wanted in zip(inputs.chunk(pieces), targets.chunk(pieces), strict=True): -> for some, wanted in zip("
)
same(
    "trainer",
    PIECES + "inputs.chunk(pieces), targets.chunk(pieces)):",
    PIECES + "inputs.chunk(pieces), targets.chunk(pieces), strict=False):",
    why=AS_LONG,
)
