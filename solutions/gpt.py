"""GPT-2, from layer norm to generated text.

The architecture of Radford et al. (2019), "Language Models are Unsupervised Multitask Learners": a decoder-only
transformer with learned positions, normalisation before each sublayer, and an unembedding tied to the embedding.
With the same weights the logits equal those of `transformers.GPT2LMHeadModel`.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from labkit.checkpoint import CheckpointError
from labkit.checkpoint import load as load_checkpoint

# transformers' names for the parts of GPT-2, and ours.
GPT2_NAMES = {
    "wte": "token_embedding",
    "wpe": "position_embedding",
    "h": "blocks",
    "ln_1": "attention_norm",
    "attn.c_attn": "attention.qkv",
    "attn.c_proj": "attention.projection",
    "ln_2": "mlp_norm",
    "mlp.c_fc": "mlp.up",
    "mlp.c_proj": "mlp.down",
    "ln_f": "final_norm",
}


@dataclass(frozen=True)
class GPTConfig:
    """The sizes of a GPT.

    `context` is the largest number of positions the model can read at once; `eps` is the eps of its layer norms.
    """

    vocab_size: int
    context: int
    d_model: int
    n_head: int
    n_layer: int
    eps: float = 1e-5

    def __post_init__(self):
        sizes = (self.vocab_size, self.context, self.d_model, self.n_head, self.n_layer)
        if min(sizes) < 1:
            raise ValueError(f"every size of a GPT must be at least 1, and these are {sizes}: change the smallest")
        if self.d_model % self.n_head:
            raise ValueError(f"n_head must divide d_model: {self.d_model} is no multiple of {self.n_head}")


class LayerNorm(nn.Module):
    r"""Layer normalisation: give every vector mean 0 and variance 1, then stretch and shift it.

    $$y = \frac{x - \mathrm{mean}(x)}{\sqrt{\mathrm{var}(x) + \epsilon}} \odot \mathrm{weight} + \mathrm{bias}$$

    Mean and variance run over the last axis, each position on its own. The variance is the mean of the squared
    deviations (divided by n, not by n - 1).

    Source: Ba, Kiros and Hinton (2016), "Layer Normalization", section 3.
    """

    def __init__(self, d_model: int, eps: float = 1e-5):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(d_model))
        self.bias = nn.Parameter(torch.zeros(d_model))

    def forward(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
        """Normalise the last axis of `x`, then apply weight and bias; `x` itself is unchanged."""
        centred = x - x.mean(dim=-1, keepdim=True)
        variance = (centred * centred).mean(dim=-1, keepdim=True)
        return centred * torch.rsqrt(variance + self.eps) * self.weight + self.bias


def attention_pattern(
    q: Float[Tensor, "... position width"], k: Float[Tensor, "... position width"]
) -> Float[Tensor, "... position position"]:
    """How much each position looks at every other: row i of the result is how much attention query i pays to each key.

    The score of a query for a key is their dot product, divided by the square root of their width. A softmax turns the
    scores of a query into weights. Query i sees the keys 0 to i, its own included; what comes later gets a weight of
    exactly 0, and each row still sums to 1.

    Source: Vaswani et al. (2017), "Attention Is All You Need", section 3.2.1, with the mask of section 3.2.3.
    """
    n, width = q.shape[-2:]
    # Scaling the queries touches position x width numbers, scaling the scores position x position.
    scores = (q / math.sqrt(width)) @ k.mT
    mask = torch.full((n, n), -math.inf, dtype=q.dtype, device=q.device).triu(diagonal=1)
    return (scores + mask).softmax(dim=-1)


class MultiHeadAttention(nn.Module):
    """Causal self-attention: n_head heads side by side, each in its own slice of the width, then a projection.

    `qkv` computes all queries, keys and values at once: the first third of its output are the queries, then the
    keys, then the values; inside each third, head 0 comes first. A head is d_model / n_head wide.

    Source: Vaswani et al. (2017), "Attention Is All You Need", section 3.2.2.
    """

    def __init__(self, d_model: int, n_head: int):
        super().__init__()
        self.n_head = n_head
        self.qkv = nn.Linear(d_model, 3 * d_model)
        self.projection = nn.Linear(d_model, d_model)

    def heads(self, x: Float[Tensor, "batch position d_model"]) -> Float[Tensor, "3 batch head position width"]:
        """Queries, keys and values of every head as one tensor, in this order along its first axis."""
        return rearrange(
            self.qkv(x), "batch position (part head width) -> part batch head position width", part=3, head=self.n_head
        )

    def forward(self, x: Float[Tensor, "batch position d_model"]) -> Float[Tensor, "batch position d_model"]:
        """Let each head mix the values by its attention pattern; set the heads side by side again; project."""
        q, k, v = self.heads(x)
        mixed = attention_pattern(q, k) @ v
        return self.projection(rearrange(mixed, "batch head position width -> batch position (head width)"))


def gelu(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    r"""The Gaussian error linear unit in the tanh form that GPT-2 uses.

    $$\mathrm{gelu}(x) = \frac{x}{2}\left(1 + \tanh\!\left(\sqrt{2/\pi}\,(x + 0.044715\,x^3)\right)\right)$$

    Source: Hendrycks and Gimpel (2016), "Gaussian Error Linear Units (GELUs)", section 2.
    """
    # (1 + tanh u) / 2 is sigmoid(2u): the same function in fewer passes over memory.
    slope = 2 * math.sqrt(2 / math.pi)
    return x * torch.sigmoid(x * (slope + 0.044715 * slope * (x * x)))


class MLP(nn.Module):
    """The feed-forward part of a block: up to four times the width, gelu, and down again.

    It sees every position on its own: only attention moves information between positions.

    Source: Vaswani et al. (2017), "Attention Is All You Need", section 3.3.
    """

    def __init__(self, d_model: int):
        super().__init__()
        self.up = nn.Linear(d_model, 4 * d_model)
        self.down = nn.Linear(4 * d_model, d_model)

    def forward(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
        """Up, gelu, down."""
        return self.down(gelu(self.up(x)))


class Block(nn.Module):
    """One layer: attention, then the MLP; each reads a normalised copy of the residual stream and adds to it.

    Attention reads through `attention_norm`, the MLP through `mlp_norm`.

    Source: Radford et al. (2019), "Language Models are Unsupervised Multitask Learners", section 2.3.
    """

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.attention_norm = LayerNorm(config.d_model, config.eps)
        self.attention = MultiHeadAttention(config.d_model, config.n_head)
        self.mlp_norm = LayerNorm(config.d_model, config.eps)
        self.mlp = MLP(config.d_model)

    def forward(self, x: Float[Tensor, "batch position d_model"]) -> Float[Tensor, "batch position d_model"]:
        """The residual stream after this layer; `x` itself is unchanged."""
        x = x + self.attention(self.attention_norm(x))
        return x + self.mlp(self.mlp_norm(x))


class GPT(nn.Module):
    """A whole GPT: token ids in, logits of the next token out.

    The residual stream starts as token embedding plus position embedding and passes the blocks and the final norm.
    The logit of a token is the dot product of what comes out with the token's embedding: the unembedding is tied, that
    is, it has no weights of its own.

    Source: Radford et al. (2019), "Language Models are Unsupervised Multitask Learners", section 2.3.
    """

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.config = config
        self.token_embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.position_embedding = nn.Embedding(config.context, config.d_model)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.final_norm = LayerNorm(config.d_model, config.eps)
        self.initialize()

    def initialize(self) -> None:
        """Draw the weights as GPT-2 does: deviation 0.02, smaller where a sublayer writes to the residual stream."""
        for name, parameter in self.named_parameters():
            if name.endswith(("projection.weight", "down.weight")):
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * self.config.n_layer))
            elif parameter.ndim == 2:
                nn.init.normal_(parameter, std=0.02)
            elif name.endswith(("qkv.bias", "projection.bias", "up.bias", "down.bias")):
                nn.init.zeros_(parameter)

    def embed(self, ids: Int[Tensor, "batch position"]) -> Float[Tensor, "batch position d_model"]:
        """The residual stream before the first block: the embedding of each token plus that of its position.

        Raises ValueError if there are more positions than `config.context`.
        """
        n = ids.shape[1]
        if n > self.config.context:
            raise ValueError(f"{n} positions do not fit in a context of {self.config.context}: pass fewer tokens")
        return self.token_embedding(ids) + self.position_embedding.weight[:n]

    def forward(self, ids: Int[Tensor, "batch position"]) -> Float[Tensor, "batch position vocab_size"]:
        """Logits: entry [b, i] scores every token as the one that follows ids[b, :i + 1]."""
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x)
        return self.final_norm(x) @ self.token_embedding.weight.T


def next_token_loss(
    logits: Float[Tensor, "batch position vocab_size"], ids: Int[Tensor, "batch position"]
) -> Float[Tensor, ""]:
    """Mean cross-entropy, in nats, of each token of `ids` given those before it.

    `logits` are the model's answers to the same `ids`. The first token has nothing before it and is not scored;
    the last logits predict a token that is not there and are not used.
    """
    # Leaving out a target (-100 is the mark for it) is cheaper than cutting, and so copying, the logits.
    targets = F.pad(ids[:, 1:], (0, 1), value=-100)
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


@torch.no_grad()
def generate(
    model: GPT, ids: Int[Tensor, "batch position"], n_tokens: int, temperature: float = 1.0, seed: int = 0
) -> Int[Tensor, "batch longer"]:
    """Continue each row of `ids` by `n_tokens` tokens, one at a time; returns prompt and continuation.

    Each new token is drawn from softmax(logits / temperature) at the last position; temperature 0 takes the likeliest.
    The model reads at most its last `model.config.context` tokens. The same seed gives the same text, and torch's
    global random state is left alone, as is `ids` itself.
    """
    generator = torch.Generator(ids.device).manual_seed(seed)
    for _ in range(n_tokens):
        logits = model(ids[:, -model.config.context :])[:, -1]
        if temperature == 0:
            chosen = logits.argmax(dim=-1, keepdim=True)
        else:
            chosen = torch.multinomial((logits / temperature).softmax(dim=-1), 1, generator=generator)
        ids = torch.cat([ids, chosen], dim=1)
    return ids


def load_gpt2(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a `transformers` GPT-2, renamed and turned so that our GPT's `load_state_dict` takes them.

    "transformer.h.3.mlp.c_fc.bias" becomes "blocks.3.mlp.up.bias": `GPT2_NAMES` pairs the names, and the prefix
    "transformer." is there or not. `transformers` keeps the four matrices of a block's attention and MLP as
    (in, out), in its class Conv1D; nn.Linear keeps (out, in). The tied "lm_head.weight", and the mask buffers of old
    files ("h.3.attn.bias", "h.3.attn.masked_bias"), have no place in our GPT and are left out. `state_dict` and
    its tensors stay as they are.
    """
    ours = {}
    for name, tensor in state_dict.items():
        name = name.removeprefix("transformer.")
        if name == "lm_head.weight" or name.endswith((".attn.bias", ".attn.masked_bias")):
            continue
        is_conv1d = tensor.ndim == 2 and (".attn." in name or ".mlp." in name)
        for theirs, own in GPT2_NAMES.items():
            name = re.sub(rf"\b{re.escape(theirs)}\b", own, name)
        ours[name] = tensor.T.contiguous() if is_conv1d else tensor
    return ours


@torch.no_grad()
def attention_patterns(model: GPT, ids: Int[Tensor, " position"]) -> Float[Tensor, "layer head query key"]:
    """What every head of every layer looks at while the model reads one text."""
    x = model.embed(ids[None])
    patterns = []
    for block in model.blocks:
        assert isinstance(block, Block)
        q, k, _ = block.attention.heads(block.attention_norm(x))
        patterns.append(attention_pattern(q, k)[0])
        x = block(x)
    return torch.stack(patterns)


def from_checkpoint(name: str | Path) -> GPT:
    """The trained model that `labkit.checkpoint.load(name)` finds, ready for use (float32, evaluation mode).

    Raises CheckpointError if there is none, or if it does not hold a GPT.
    """
    checkpoint = load_checkpoint(name)
    try:
        model = GPT(GPTConfig(**checkpoint.config))
        model.load_state_dict(checkpoint.tensors)
    except (TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"the weights in {name} do not fit its own sizes, {checkpoint.config}: run `make checkpoints`"
        ) from error
    return model.eval()
