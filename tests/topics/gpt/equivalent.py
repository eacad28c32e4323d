"""Changes of GPT's reference answers that leave them the same function."""

import functools

import torch

from course.banks.equivalent import listing
from solutions import gpt

same, uses = listing(__name__)

CPU = "the course computes on the processor, where tensors and generators are without being told"
ROWS = "the logits are of one position, so their last axis is axis 1"


@uses("attention-pattern")
def attention_pattern(of, draw):
    dtype = draw.choice([torch.float32, torch.float64])
    q, k = torch.randn(2, *[draw.randrange(1, 4) for _ in range(draw.randrange(2, 5))], dtype=dtype)
    return of.attention_pattern(q, k)


same(
    "attention-pattern",
    "mask = torch.full((n, n), -math.inf, dtype=q.dtype, device=q.device).triu(diagonal=1) -> "
    "mask = torch.full((n, n), -math.inf, dtype=q.dtype).triu(diagonal=1)",
    why=CPU,
)
same(
    "attention-pattern",
    "mask = torch.full((n, n), -math.inf, dtype=q.dtype, device=q.device).triu(diagonal=1) -> "
    "mask = torch.full((n, n), -math.inf, device=q.device).triu(diagonal=1)",
    why="adding a float32 mask leaves float32 and float64 scores what they are; 0 and infinity are exact in both",
)


@functools.cache
def model_of(seed):
    """A small GPT with random weights."""
    model = gpt.GPT(gpt.GPTConfig(vocab_size=7, context=3, d_model=4, n_head=2, n_layer=1))
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, generator=generator)
    return model


@uses("generate")
def generate(of, draw):
    prompt = torch.randint(7, (draw.randrange(1, 4), draw.randrange(1, 6)))
    return of.generate(
        model_of(draw.randrange(20)), prompt, draw.randrange(4), draw.choice([0.0, 0.5, 2.0]), draw.randrange(99)
    )


same(
    "generate",
    "generator = torch.Generator(ids.device).manual_seed(seed) -> generator = torch.Generator().manual_seed(seed)",
    why=CPU,
)
same(
    "generate",
    "chosen = logits.argmax(dim=-1, keepdim=True) -> chosen = logits.argmax(dim=1, keepdim=True)",
    "chosen = torch.multinomial((logits / temperature).softmax(dim=-1), 1, generator=generator) -> "
    "chosen = torch.multinomial((logits / temperature).softmax(dim=1), 1, generator=generator)",
    why=ROWS,
)
