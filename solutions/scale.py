"""How large, how much work, how much memory, how good: the arithmetic of language models.

Sizes are those of `solutions.gpt.GPTConfig`. Counts are exact for `solutions.gpt.GPT`, and so for GPT-2 and GPT-3,
which have the same parts. A FLOP is one multiplication or one addition of floating-point numbers.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from labkit.fit import adamw, fit, token_batches
from solutions.gpt import GPT, MLP, GPTConfig, LayerNorm, MultiHeadAttention, next_token_loss


@dataclass(frozen=True)
class TableRow:
    """A row of table 2.1 of Brown et al. (2020): what the paper prints, consistent or not."""

    name: str
    n_params: float
    n_layer: int
    d_model: int
    n_head: int
    d_head: int


GPT3_TABLE = [
    TableRow("GPT-3 Small", 125e6, 12, 768, 12, 64),
    TableRow("GPT-3 Medium", 350e6, 24, 1024, 16, 64),
    TableRow("GPT-3 Large", 760e6, 24, 1536, 16, 96),
    TableRow("GPT-3 XL", 1.3e9, 24, 2048, 24, 128),
    TableRow("GPT-3 2.7B", 2.7e9, 32, 2560, 32, 80),
    TableRow("GPT-3 6.7B", 6.7e9, 32, 4096, 32, 128),
    TableRow("GPT-3 13B", 13.0e9, 40, 5140, 40, 128),
    TableRow("GPT-3 175B", 175.0e9, 96, 12288, 96, 128),
]


def table_config(row: TableRow) -> GPTConfig:
    """The sizes of a row: GPT-2's vocabulary, a context of 2,048, and one head where the printed number cannot be."""
    n_head = row.n_head if row.d_model % row.n_head == 0 else 1
    return GPTConfig(50257, 2048, row.d_model, n_head, row.n_layer)


# --------------------------------------------------------------------------------------------------- what a model costs


def count_params(config: GPTConfig) -> dict[str, int]:
    """How many parameters each part of a GPT has, biases included.

    Keys: "token_embedding", "position_embedding", "attention", "mlp" (these two over all blocks), and "norm": the two
    layer norms of every block and the final one, each with a weight and a bias. The unembedding is tied, so it has
    none of its own. The values add up to the whole model.

    Source: Radford et al. (2019), section 2.3; the layers are those of `solutions.gpt`.
    """
    d = config.d_model
    return {
        "token_embedding": config.vocab_size * d,
        "position_embedding": config.context * d,
        # Queries, keys, values and projection; a bias for each.
        "attention": config.n_layer * (4 * d * d + 4 * d),
        "mlp": config.n_layer * (8 * d * d + 5 * d),
        "norm": (2 * config.n_layer + 1) * 2 * d,
    }


def width_of_size(n_params: int, n_layer: int, n_head: int, vocab_size: int, context: int) -> int:
    """The largest `d_model`, a multiple of `n_head`, with which a GPT has at most `n_params` parameters in all.

    It is used to compare deep and narrow models with shallow and wide ones of the same size. Exact for all models of
    up to 10^12 parameters. Raises ValueError if even the narrowest model, `d_model` = `n_head`, has more parameters.
    """
    # The count is quadratic * d^2 + linear * d.
    quadratic, linear = 12 * n_layer, vocab_size + context + 13 * n_layer + 2
    widest = (math.isqrt(linear**2 + 4 * quadratic * n_params) - linear) // (2 * quadratic)
    if widest < n_head:
        raise ValueError(f"{n_params} parameters are too few for {n_layer} layers and {vocab_size} tokens: allow more")
    return widest // n_head * n_head


def flops_per_token(config: GPTConfig, n: int) -> int:
    """FLOPs of a forward pass over `n` tokens, divided by `n`: all matrix products, and nothing else.

    A product of matrices (a, b) and (b, c) costs 2abc. Counted are the four matrices of attention and the two of the
    MLP, the unembedding at every position, and in attention each query with all `n` keys and each row of weights with
    all `n` values, masked or not, as the code computes them. Layer norms, softmax, gelu and additions are left out:
    they are few.

    Raises ValueError if `n` is less than 1 or more than `config.context`.

    Source: Kaplan et al. (2020), "Scaling Laws for Neural Language Models", section 2.1, with the unembedding added.
    """
    if not 1 <= n <= config.context:
        raise ValueError(f"n must lie between 1 and the context of {config.context}, and it is {n}")
    d = config.d_model
    attention = 2 * (4 * d * d) + 2 * 2 * n * d
    mlp = 2 * (8 * d * d)
    return config.n_layer * (attention + mlp) + 2 * config.vocab_size * d


def training_flops(config: GPTConfig, n_tokens: int) -> int:
    """FLOPs to train on `n_tokens` tokens in full windows of `config.context`, counted as `flops_per_token` does.

    Every token costs what one in a full window does. The number of tokens is not rounded to whole windows.

    Training has a forward and a backward pass. For every product of the forward pass the backward pass is told the
    gradient of the result, and computes the gradient of either factor.

    Source: Kaplan et al. (2020), "Scaling Laws for Neural Language Models", section 2.1.
    """
    return 3 * n_tokens * flops_per_token(config, config.context)


def training_memory(config: GPTConfig, batch_size: int) -> dict[str, int]:
    """Bytes that training needs in float32 with AdamW, for a batch of full windows, by what they are spent on.

    Keys: "weights"; "gradients", one for each weight; "optimizer", two running means for each weight; and
    "activations", what the forward pass keeps for the backward pass when layer norm, softmax, gelu and
    cross-entropy are single operations:

    - a layer norm keeps its input and two numbers a token;
    - each of a block's four linear layers (qkv, projection, up, down) keeps its input;
    - attention keeps queries, keys, values and the whole attention pattern of every head; its softmax shares the
      pattern;
    - gelu keeps its input;
    - the unembedding keeps its input, and the cross-entropy a number for each token of the vocabulary;
    - additions and the embeddings keep no floating-point number.

    Each number counts once. (For a single text or head PyTorch holds a little more, as it keeps views of larger
    tensors.)

    Source: the accounting follows Korthikanti et al. (2022), "Reducing Activation Recomputation in Large
    Transformer Models", section 4, for float32 and without dropout.
    """
    n_params = sum(count_params(config).values())
    d, n = config.d_model, config.context
    norm = d + 2
    attention = 5 * d + config.n_head * n
    mlp = d + 4 * d + 4 * d
    per_token = config.n_layer * (2 * norm + attention + mlp) + norm + d + config.vocab_size
    return {
        "weights": 4 * n_params,
        "gradients": 4 * n_params,
        "optimizer": 8 * n_params,
        "activations": 4 * batch_size * n * per_token,
    }


def kv_cache_bytes(config: GPTConfig, n: int, batch_size: int = 1, bytes_per_number: int = 2) -> int:
    """Bytes of a cache that holds the keys and values of `n` tokens of each of `batch_size` texts.

    A model that writes token by token keeps them, so as to compute each only once. Raises ValueError if `n` is
    negative or more than `config.context`.

    Source: Pope et al. (2022), "Efficiently Scaling Transformer Inference", section 2.1.
    """
    if not 0 <= n <= config.context:
        raise ValueError(f"n must lie between 0 and the context of {config.context}, and it is {n}")
    return 2 * config.n_layer * config.d_model * n * batch_size * bytes_per_number


# ---------------------------------------------------------------------------------------------------- what limits speed


def arithmetic_intensity(m: int, k: int, n: int, bytes_per_number: int = 4) -> float:
    """FLOPs per byte of the product of a (m, k) and a (k, n) matrix.

    The FLOPs are 2mkn; the bytes are those of both factors, read once, and of the result, written once.

    Source: Williams, Waterman and Patterson (2009), "Roofline: An Insightful Visual Performance Model", section 3.
    """
    return 2 * m * k * n / (bytes_per_number * (m * k + k * n + m * n))


def roofline(intensity: Float[Tensor, "..."], peak: float, bandwidth: float) -> Float[Tensor, "..."]:
    """The most FLOPs a second that a machine can reach at each arithmetic intensity (FLOPs per byte).

    `peak` is what it computes in a second when data costs nothing; `bandwidth` is how many bytes a second its memory
    delivers. Computing and moving overlap, so the slower of the two decides.

    Source: Williams, Waterman and Patterson (2009), "Roofline: An Insightful Visual Performance Model", section 3.
    """
    return (intensity * bandwidth).clamp(max=peak)


def ridge_rows(k: int, n: int, peak: float, bandwidth: float, bytes_per_number: int = 4) -> float:
    """How many rows m a product of an (m, k) and a (k, n) matrix needs before the processor, not the memory, limits it.

    At this m, which need not be whole and may be less than 1, moving the three matrices takes exactly as long as
    computing: with fewer rows moving takes longer, with more rows computing does. `math.inf` if moving takes longer
    however many rows there are.

    `peak` and `bandwidth` are those of `roofline`, FLOPs and bytes a second.

    Source: Williams, Waterman and Patterson (2009), "Roofline: An Insightful Visual Performance Model", section 3.
    """
    ridge = peak / bandwidth
    # 2mkn FLOPs over the bytes of all three matrices are to be the ridge; what has an m stands on the left.
    room = 2 * k * n - ridge * bytes_per_number * (k + n)
    return ridge * bytes_per_number * k * n / room if room > 0 else math.inf


def decoding_rate(
    config: GPTConfig, n: int, batch_size: int, peak: float, bandwidth: float, bytes_per_number: int = 2
) -> float:
    """The most tokens a second, over all texts together, that a machine can write with a KV cache.

    Every step writes one token of each of `batch_size` texts, each with `n` tokens in view: these are all whose keys
    and values it reads from the cache, the newest included. It reads what it needs from memory, parameters (all of
    them) and caches, and no byte twice; it computes what `flops_per_token` counts. As in `roofline` both overlap, and
    the slower of reading (`bandwidth`, bytes a second) and computing (`peak`, FLOPs a second) decides.

    Source: Pope et al. (2022), "Efficiently Scaling Transformer Inference", section 2.1.
    """
    weights = bytes_per_number * sum(count_params(config).values())
    read = weights + kv_cache_bytes(config, n, batch_size, bytes_per_number)
    computed = batch_size * flops_per_token(config, n)
    return batch_size / max(read / bandwidth, computed / peak)


@dataclass(frozen=True)
class Machine:
    """What one thread of a machine reaches: `peak` in FLOPs a second, `bandwidth` in bytes a second."""

    peak: float
    bandwidth: float


def best_seconds(work, repeats: int = 5) -> float:
    """The shortest of several timings of `work()`, which is the one that other programs disturbed least."""
    taken = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    # The first run also pays for what later ones find ready.
    return min(taken[1:])


def last_level_cache() -> int:
    """Bytes of the processor's largest cache; 0 where the system does not say."""
    sizes = [path.read_text().strip() for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")]
    return max((int(size[:-1]) * {"K": 2**10, "M": 2**20}[size[-1]] for size in sizes), default=0)


def large_weight(rows: int, columns: int) -> list[Float[Tensor, "rows columns"]]:
    """A weight in blocks, together too large for the processor's caches.

    Four times the largest cache, but at least 64 MB and, to leave room for other programs, at most 768 MB. If every
    product takes the next block, each comes from memory.
    """
    wanted = min(max(4 * last_level_cache(), 64 * 2**20), 768 * 2**20)
    return [torch.ones(rows, columns) for _ in range(-(-wanted // (4 * rows * columns)))]


def measure_machine(size: int = 512, weight: Sequence[Float[Tensor, "rows columns"]] | None = None) -> Machine:
    """Time a product of two float32 matrices of `size` rows and columns, and the reading of a large weight.

    The product takes only milliseconds, so that other programs leave some of its runs alone. The blocks of `weight`,
    which are added up one after the other, should not fit into the processor's caches.
    """
    a, b, product = torch.randn(size, size), torch.randn(size, size), torch.empty(size, size)
    seconds = best_seconds(lambda: torch.mm(a, b, out=product), 20)
    blocks = large_weight(1024, 4096) if weight is None else weight
    following = cycle(blocks)
    reading = best_seconds(lambda: next(following).sum(), 20)
    return Machine(2 * size**3 / seconds, blocks[0].nbytes / reading)


class FusedLayerNorm(LayerNorm):
    """The same function in one pass over memory."""

    def forward(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
        """As `LayerNorm`."""
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


class FusedAttention(MultiHeadAttention):
    """The same function without ever writing the attention pattern to memory."""

    def forward(self, x: Float[Tensor, "batch position d_model"]) -> Float[Tensor, "batch position d_model"]:
        """As `MultiHeadAttention`."""
        batch, n, d_model = x.shape
        parts = self.qkv(x).view(batch, n, 3, self.n_head, d_model // self.n_head)
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.projection(mixed.transpose(1, 2).flatten(2))


class FusedMLP(MLP):
    """The same function with gelu in one pass over memory."""

    def forward(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
        """As `MLP`."""
        return self.down(F.gelu(self.up(x), approximate="tanh"))


FUSED = {LayerNorm: FusedLayerNorm, MultiHeadAttention: FusedAttention, MLP: FusedMLP}


def fused(model: GPT) -> GPT:
    """The model itself, computing from now on by PyTorch's fused kernels: equal up to rounding, with less traffic.

    Parameters and their names stay, so that its state dict fits any other GPT of the same sizes.

    Source: Dao et al. (2022), "FlashAttention: Fast and Memory-Efficient Exact Attention with IO-Awareness".
    """
    for module in model.modules():
        # A module's class says how it computes; what it holds stays as it is.
        module.__class__ = FUSED.get(type(module), type(module))
    return model


# -------------------------------------------------------------------------------------------------- how good it becomes


def markov_entropy(transitions: Float[Tensor, "state state"]) -> float:
    r"""Entropy rate of a Markov chain, in nats a step: the loss that no model of it can go below.

    `transitions[i, j]` is the chance that state j follows state i, so each row sums to 1. With $\pi$ the share of time
    that the chain spends in each state ($\pi P = \pi$), the entropy rate is $-\sum_i \pi_i \sum_j P_{ij} \ln P_{ij}$,
    where $0 \ln 0 = 0$. From every state every other can be reached. The answer is right to a relative error of 1e-4.

    Raises ValueError if a row does not sum to 1 (to within 1e-4).

    Source: Shannon (1948), "A Mathematical Theory of Communication", section 7.
    """
    p = transitions.double()
    if (p.sum(dim=1) - 1).abs().max() > 1e-4:
        raise ValueError("each row of the transition matrix must sum to 1: divide it by its sum")
    # The equations of the stationary shares depend on each other: the last gives way to "they sum to 1".
    system = p.T - torch.eye(len(p), dtype=p.dtype)
    system[-1] = 1
    shares = torch.linalg.solve(system, torch.eye(len(p), dtype=p.dtype)[-1])
    return (shares @ torch.special.entr(p).sum(dim=1)).item()


def fit_power_law(sizes: Sequence[float], losses: Sequence[float]) -> tuple[float, float, float]:
    r"""Fit losses by a power law with a floor: returns (floor, factor, exponent).

    $$L(N) \approx \mathrm{floor} + \mathrm{factor} \cdot N^{-\mathrm{exponent}}$$

    For a given floor, the logarithm of the excess loss (loss minus floor) is a straight line in the logarithm of the
    size, fitted by least squares. The floor, somewhere between 0 and the least loss, is the one whose line fits best:
    the one with the largest R^2, the share of the variance of the log excess that its line explains. It is found to
    within 1e-6 of the least loss.

    Raises ValueError if there are fewer than four different sizes, not as many losses as sizes, or a number that is
    not positive.
    """
    n, y = torch.tensor(sizes, dtype=torch.float64), torch.tensor(losses, dtype=torch.float64)
    if len(n) != len(y) or len(set(n.tolist())) < 4 or min(*n, *y) <= 0:
        raise ValueError(f"a fit needs a loss for each of four sizes or more, not {len(n)} sizes and {len(y)} losses")
    x_off = n.log() - n.log().mean()
    low, high = 0.0, y.min().item()
    for _ in range(6):
        floors = torch.linspace(low, high, 103, dtype=torch.float64)
        logs = (y - floors[1:-1, None]).log()
        y_off = logs - logs.mean(dim=1, keepdim=True)
        slopes = y_off @ x_off / x_off.square().sum()
        best = int((slopes.square() / y_off.square().sum(dim=1)).argmax())
        low, high = floors[best].item(), floors[best + 2].item()
    factor = (logs[best].mean() - slopes[best] * n.log().mean()).exp()
    return floors[best + 1].item(), factor.item(), -slopes[best].item()


@dataclass(frozen=True)
class ScalingLaw:
    r"""A fitted law for the loss of a language model, in nats a token, by its parameters N and training tokens D.

    $$L(N, D) = E + A N^{-\alpha} + B D^{-\beta}$$

    `floor` is E; `size_factor` and `size_exponent` are A and alpha, `data_factor` and `data_exponent` B and beta.
    """

    floor: float
    size_factor: float
    size_exponent: float
    data_factor: float
    data_exponent: float


# Hoffmann et al. (2022), "Training Compute-Optimal Large Language Models", appendix D.3, as printed.
HOFFMANN = ScalingLaw(1.69, 406.4, 0.34, 410.7, 0.28)
# The same data, read off the paper's figure and fitted again: Besiroglu et al. (2024), "Chinchilla Scaling: A
# replication attempt".
BESIROGLU = ScalingLaw(1.8172, 482.01, 0.3478, 2085.43, 0.3658)


def parametric_loss(n_params: float, n_tokens: float, law: ScalingLaw) -> float:
    """The loss, in nats a token, that a scaling law predicts for a model of `n_params` trained on `n_tokens` tokens.

    Raises ValueError if either is not positive.

    Source: Hoffmann et al. (2022), "Training Compute-Optimal Large Language Models", equation 2.
    """
    if n_params <= 0 or n_tokens <= 0:
        raise ValueError(f"parameters and tokens must be positive: {n_params:g} parameters, {n_tokens:g} tokens")
    by_size = law.size_factor * n_params**-law.size_exponent
    by_data = law.data_factor * n_tokens**-law.data_exponent
    return law.floor + by_size + by_data


def chinchilla_optimal(flops: float, law: ScalingLaw) -> tuple[float, float]:
    """The parameters and training tokens with the lowest loss for a budget: returns (n_params, n_tokens).

    Training costs C = 6ND FLOPs, all of which are spent. The loss is what `parametric_loss` says by this law.

    Raises ValueError if the budget is not positive.

    Source: Hoffmann et al. (2022), "Training Compute-Optimal Large Language Models", equation 4.
    """
    if flops <= 0:
        raise ValueError(f"a budget must be positive, and it is {flops:g} FLOPs")
    both = law.size_exponent + law.data_exponent
    gain = (law.size_exponent * law.size_factor / (law.data_exponent * law.data_factor)) ** (1 / both)
    n_params = gain * (flops / 6) ** (law.data_exponent / both)
    return n_params, flops / (6 * n_params)


def effective_tokens(n_tokens: float, unique_tokens: float, worth: float = 15.39) -> float:
    r"""How many fresh tokens would teach as much as `n_tokens` drawn from a text of only `unique_tokens`.

    Up to one epoch every token is fresh. A token that is read after the text has been repeated r times (r = 0 at the
    end of the first epoch, and fractions count) teaches only $e^{-r / R^*}$ of what a fresh one teaches; R* is
    `worth`. However often the text is repeated, all repetitions together are worth less than R* fresh texts.

    Raises ValueError if `unique_tokens` is not positive or `n_tokens` is negative.

    Source: Muennighoff et al. (2023), "Scaling Data-Constrained Language Models", section 3.1, with their R*.
    """
    if unique_tokens <= 0 or n_tokens < 0:
        raise ValueError(f"{n_tokens:g} tokens of a text of {unique_tokens:g} are none: pass positive numbers")
    repetitions = max(n_tokens / unique_tokens - 1, 0)
    fresh = min(n_tokens, unique_tokens)
    return fresh + unique_tokens * worth * (1 - math.exp(-repetitions / worth))


# ------------------------------------------------------------------------------------------ a ladder with a known floor


def markov_source(n_symbols: int = 256, seed: int = 0) -> Float[Tensor, "symbol symbol"]:
    """Transition probabilities of a made-up language in which only the last symbol matters for the next.

    After each symbol the others are likely by Zipf's law, in an order of its own; some are more frequent everywhere.
    """
    generator = torch.Generator().manual_seed(seed)
    ranks = torch.stack([torch.randperm(n_symbols, generator=generator) for _ in range(n_symbols)])
    probabilities = 1 / (1 + ranks.double()) / (1 + torch.arange(n_symbols).double()) ** 0.7
    return probabilities / probabilities.sum(dim=1, keepdim=True)


def markov_rows(
    transitions: Float[Tensor, "symbol symbol"], n_rows: int, length: int, seed: int
) -> Int[Tensor, "row position"]:
    """Texts of a Markov source, each beginning with a symbol as frequent as in a long text."""
    generator = torch.Generator().manual_seed(seed)
    n_symbols = len(transitions)
    # Row i of the cumulative probabilities lies between i and i + 1, so that one search serves texts in any state.
    cumulative = (transitions.double().cumsum(dim=1) + torch.arange(n_symbols)[:, None]).flatten()
    # Far from the beginning, every row of the matrix power holds the stationary shares.
    symbols = torch.multinomial(torch.linalg.matrix_power(transitions, 64)[0], n_rows, True, generator=generator)
    rows = [symbols]
    for _ in range(length - 1):
        drawn = symbols + torch.rand(n_rows, generator=generator, dtype=torch.float64)
        symbols = (torch.searchsorted(cumulative, drawn) - n_symbols * symbols).clamp(0, n_symbols - 1)
        rows.append(symbols)
    return torch.stack(rows, dim=1)


# Parameters and final losses (nats a token) of GPTs with 2 layers, 4 to 64 wide, after `train_on_source` with seed 0.
MEASURED_LADDER = [(1648, 4.9708), (4064, 4.7642), (11200, 4.5438), (34688, 4.3691), (118528, 4.2576)]
# The fifth of them, 64 wide, when the language and the training have seed 1.
MEASURED_FIFTH = (118528, 4.3362)


# Parameters and final losses of five such GPTs, 8 to 48 wide, after `train_for_flops` with 4e10 FLOPs and seed 0.
MEASURED_VALLEY = [(4064, 4.6921), (11200, 4.5211), (21408, 4.4852), (34688, 4.5232), (70464, 4.6343)]


def source_loss(model: GPT, transitions: Float[Tensor, "symbol symbol"], rows: Int[Tensor, "row position"]) -> float:
    """The model's expected loss on the source, in nats: over the true probabilities, not over one draw."""
    with torch.no_grad():
        wanted = transitions[rows].float()
        return -(wanted * model(rows).log_softmax(dim=-1)).sum(dim=-1).mean().item()


def train_on_source(
    config: GPTConfig, transitions: Float[Tensor, "symbol symbol"], steps: int = 800, seed: int = 0
) -> float:
    """Train a GPT on fresh texts of a Markov source, 16 a step; returns its loss at the end, in nats a token.

    Narrow models learn at a higher rate than wide ones; the rate warms up over 50 steps, or over a quarter of a run
    of fewer than 200, and falls along a cosine.
    """
    rows = markov_rows(transitions, 16 * steps, config.context + 1, seed)
    batches = [(batch[:, :-1], batch[:, 1:]) for batch in rows.split(16)]
    torch.manual_seed(seed)
    model = fused(GPT(config))
    rate = min(1e-2, 4e-3 * (64 / config.d_model) ** 0.5)
    warm_up = min(50, max(1, steps // 4))

    def schedule(step: int) -> float:
        return min(1, (step + 1) / warm_up) * (0.1 + 0.45 * (1 + math.cos(math.pi * step / steps)))

    fit(model, batches, steps=steps, optimizer=adamw(model, rate, fused=True), schedule=schedule, progress=False)
    fresh = markov_rows(transitions, 256, config.context, seed + 1_000_000)
    return source_loss(model, transitions, fresh)


def train_for_flops(
    config: GPTConfig, transitions: Float[Tensor, "symbol symbol"], flops: float, seed: int = 0
) -> tuple[int, float]:
    """Train as `train_on_source` does for as long as a budget lasts; returns the tokens read, and the final loss."""
    a_step = 16 * config.context
    steps = round(flops / training_flops(config, a_step))
    return steps * a_step, train_on_source(config, transitions, steps, seed)


def train_on_bytes(config: GPTConfig, text: str, unseen: str, steps: int = 200, seed: int = 0) -> float:
    """Train a GPT on a text's bytes, 16 windows a step; returns its loss on an unseen text, in nats a byte.

    What is not ASCII is read as a question mark, so that a vocabulary of 128 suffices.
    """
    known, new = (torch.tensor(list(part.encode("ascii", "replace"))) for part in (text, unseen))
    torch.manual_seed(seed)
    model = fused(GPT(config))
    batches = token_batches(known, batch_size=16, context=config.context, seed=seed)
    fit(model, batches, steps=steps, optimizer=adamw(model, 2e-3, fused=True), progress=False)
    rows = new[: len(new) // config.context * config.context].view(-1, config.context)
    with torch.no_grad():
        return next_token_loss(model(rows), rows).item()
