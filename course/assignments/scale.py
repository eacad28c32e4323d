# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {name: python3, display_name: Python 3, language: python}
#   course: {title: "Scale", points: 40, seconds: 180}
# ---

# %% [markdown]
# How many parameters has a GPT, how much work is one token, what fills the memory, and what is it all good for? You
# will write the arithmetic that answers this from a model's sizes alone, without building it: for a model of ten
# thousand parameters that you train here, and for GPT-3. Then you fit a law to the losses of five models and find with
# it a number that nobody told the models: the entropy of the language they learned.
#
# Sizes come as a `GPTConfig`: `vocab_size`, `context`, `d_model`, `n_head`, `n_layer`. A FLOP is one multiplication or
# one addition of floating-point numbers; a product of matrices (a, b) and (b, c) has 2abc of them.

# %% given="setup"
import math

import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from labkit.testing.checks import check_number, check_refused
from labkit.testing.answers import fresh_seed
from labkit.testing.oracles import library_cache_bytes, library_gpt2
from labkit.predictions import compare_prediction
from solutions.gpt import GPT, GPTConfig, next_token_loss
from solutions.scale import GPT3_TABLE, TableRow, table_config


# %% given="helpers"
def some_config(seed, n_head=3):
    """Odd sizes, so that no two of them can be mistaken for each other."""
    return GPTConfig(
        vocab_size=30 + seed % 17,
        context=9 + seed % 5,
        d_model=n_head * (3 + seed % 4),
        n_head=n_head,
        n_layer=2 + seed % 3,
    )


def described(config):
    """The sizes of a config in a line, for messages."""
    return (
        f"vocabulary {config.vocab_size}, context {config.context}, width {config.d_model}, "
        f"{config.n_head} heads, {config.n_layer} layers"
    )


# %% [markdown]
# ## How large
#
# This is table 2.1 of the GPT-3 paper. Before you count: two rows cannot be right as printed, because the heads do not
# fill the width. Which?

# %% run
if __name__ == "__main__":
    predicted_odd_rows = None  # your guess: the two names, in a list
    for row in GPT3_TABLE:
        print(
            f"{row.name:13} {row.n_params / 1e6:9,.0f} million, {row.n_layer} layers, width {row.d_model:5}, ", end=""
        )
        print(f"{row.n_head:2} heads of {row.d_head}")

# %% [markdown]
# <details><summary>Hint: a linear layer</summary>
#
# From width a to width b it has a times b weights and b biases. Attention has four of width d to d, three of them
# packed into `qkv`; the MLP goes from d to 4d and back.
#
# </details>

# %% exercise="count-params" difficulty=2 importance=5 minutes=15 replaces="torch.nn.Embedding torch.nn.Linear transformers"
from solutions.scale import count_params


# %% test="count-params" points=2
def counted(config):
    """Parameters of our GPT by part, counted on a model without memory."""
    with torch.device("meta"):
        model = GPT(config)
    found = {"token_embedding": 0, "position_embedding": 0, "attention": 0, "mlp": 0, "norm": 0}
    for name, parameter in model.named_parameters():
        part = "norm" if "norm" in name else next(part for part in found if part in name)
        found[part] += parameter.numel()
    return found


def test_count_params_of_a_small_model():
    config = GPTConfig(vocab_size=37, context=11, d_model=12, n_head=3, n_layer=2)
    got, want = count_params(config), counted(config)
    assert set(got) == set(want), f"the keys should be {sorted(want)}, not {sorted(got)}"
    check_number(
        got["token_embedding"],
        want["token_embedding"],
        "a vector of the width for each token; no unembedding of its own",
    )
    check_number(
        got["position_embedding"], want["position_embedding"], "a vector of the width for each position of the context"
    )
    check_number(
        got["attention"], want["attention"], "attention: queries, keys, values and the projection, each with its bias"
    )
    check_number(got["mlp"], want["mlp"], "the MLP: up to four times the width and down again, each with its bias")
    check_number(got["norm"], want["norm"], "two norms a block and one at the end, each with weight and bias")


def test_count_params_of_gpt3():
    for row in GPT3_TABLE:
        total = sum(count_params(table_config(row)).values())
        # The paper rounds, and calls 356 million 350.
        check_number(total, row.n_params, f"{row.name} comes out far from the paper's number", 0.02)


# %% test="count-params-any" of="count-params" points=1
def test_count_params_any_sizes_hidden():
    seed = fresh_seed()
    for n_head in (1, 3, 5):
        config = some_config(seed + n_head, n_head)
        got, want = count_params(config), counted(config)
        for part in want:
            hint = f"wrong for {part} at other sizes: if the tests you see pass, does a size stand in your code as a number?"
            check_number(got.get(part), want[part], hint)


# %% [markdown]
# ### The same size in another shape
#
# To compare a deep model with a wide one fairly, both need the same number of parameters. So: given the depth, how
# wide?
#
# <details><summary>Hint</summary>
#
# The count is a quadratic function of the width; `math.isqrt` takes roots of whole numbers without rounding. Or try
# widths: `count_params` tells you when one is too much; for a billion parameters a bisection needs few trials.
#
# </details>

# %% exercise="width-of-size" difficulty=3 importance=2 minutes=20 replaces="torch.nn.Embedding torch.nn.Linear transformers"
from solutions.scale import width_of_size


# %% test="width-of-size" points=2
def size_at(width, n_layer, n_head, vocab_size, context):
    """Parameters at a width."""
    return sum(counted(GPTConfig(vocab_size, context, width, n_head, n_layer)).values())


def check_width(n_params, *shape):
    """Assert that the width is a multiple of the heads, fits, and that the next one would not."""
    width = width_of_size(n_params, *shape)
    assert isinstance(width, int), f"the width should be a whole number (int), but it is {type(width).__name__}"
    assert width > 0 and width % shape[1] == 0, f"the width must be a multiple of the {shape[1]} heads, not {width}"
    size = size_at(width, *shape)
    assert size <= n_params, (
        f"width {width} makes {size:,} parameters, more than the {n_params:,} that are allowed: "
        "round down, and count every part of the model"
    )
    larger = size_at(width + shape[1], *shape)
    assert larger > n_params, (
        f"width {width} is not the largest multiple of the heads that keeps within the number of parameters: "
        f"with {width + shape[1]} they would be {larger:,}, which is still allowed"
    )


def test_width_of_size_fits():
    for n_layer in (1, 2, 4, 8):
        check_width(100_000, n_layer, 4, 256, 32)


def test_width_of_size_takes_what_fits_exactly():
    for width, shape in ((28, (2, 4, 256, 32)), (4, (2, 4, 256, 32)), (12288, (96, 96, 50257, 2048))):
        got = width_of_size(size_at(width, *shape), *shape)
        check_number(got, width, "a size that fits exactly should be used, not refused or undercut")


def test_width_of_size_refuses_too_little():
    shape = (2, 4, 256, 32)
    check_refused("1,000 parameters are too few for any width with 256 tokens", width_of_size, 1000, *shape)
    too_few = size_at(4, *shape) - 1
    check_refused("one parameter fewer than the narrowest model needs, of width 4", width_of_size, too_few, *shape)


# %% test="width-of-size-any" of="width-of-size" points=1
def test_width_of_size_at_the_edge_hidden():
    seed = fresh_seed()
    n_layer, n_head, vocab_size, context = 1 + seed % 6, 2 + seed % 4, 1000 + seed % 90, 8 + seed % 60
    for width in (7 * n_head, 1000 * n_head, n_head):
        exactly = size_at(width, n_layer, n_head, vocab_size, context)
        got = width_of_size(exactly, n_layer, n_head, vocab_size, context)
        check_number(got, width, "a size that fits exactly should be used, not refused or undercut")
    too_few = size_at(n_head, n_layer, n_head, vocab_size, context) - 1
    hint = "one parameter fewer than the narrowest model needs"
    check_refused(hint, width_of_size, too_few, n_layer, n_head, vocab_size, context)


def test_width_of_size_of_a_large_model_hidden():
    n_params, shape = 175_000_000_000 + fresh_seed() % 1000, (96, 96, 50257, 2048)
    width = width_of_size(n_params, *shape)
    assert width % 96 == 0 and size_at(width, *shape) <= n_params < size_at(width + 96, *shape), (
        f"width {width} is not the largest for {n_params:,} parameters: "
        "if the tests you see pass, is every part counted, and is no digit lost in a root?"
    )


# %% [markdown]
# ## How much work
#
# Nearly all work of a model is in products of matrices. One rule counts them: 2abc for (a, b) times (b, c). PyTorch
# can count while a model runs; you count without running it.
#
# A prediction first; leave it at `None` if you have no guess. How many FLOPs, in units of $10^{12}$, does GPT-3 with
# its 175 billion parameters spend on one token?

# %% run
if __name__ == "__main__":
    predicted_teraflop = None  # your guess

# %% exercise="flops-per-token" difficulty=3 importance=5 minutes=20 replaces="torch.utils.flop_counter.FlopCounterMode torch.nn.Embedding torch.nn.Linear"
from solutions.scale import flops_per_token


# %% test="flops-per-token" points=2
def measured_flops(config, n, batch_size=2, backward=False):
    """FLOPs that PyTorch counts while our GPT reads `batch_size` texts of `n` tokens, and learns from them."""
    model, ids = GPT(config), torch.zeros(batch_size, n, dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        loss = next_token_loss(model(ids), ids)
        if backward:
            loss.backward()
    return counter.get_total_flops()


def test_flops_per_token_as_torch_counts():
    config = GPTConfig(vocab_size=37, context=11, d_model=12, n_head=3, n_layer=2)
    got = flops_per_token(config, 11)
    half = 2 * got * 11 * 2 == measured_flops(config, 11)
    assert not half, "this is half of what torch counts: a multiplication and an addition are two FLOPs"
    hint = "not what torch counts for a token: six matrices a block, the unembedding, and both products of attention"
    check_number(got * 11 * 2, measured_flops(config, 11), hint)


def test_flops_per_token_grows_with_the_text():
    config = GPTConfig(vocab_size=37, context=11, d_model=12, n_head=3, n_layer=2)
    more = flops_per_token(config, 11) - flops_per_token(config, 4)
    hint = "with 7 tokens more in view, only attention's two products grow, by 4 FLOPs a number of the width and token"
    check_number(more, 7 * 4 * 12 * 2, hint)


def test_flops_per_token_refuses_what_does_not_fit():
    config = GPTConfig(vocab_size=37, context=11, d_model=12, n_head=3, n_layer=2)
    one, full = flops_per_token(config, 1), flops_per_token(config, 11)
    check_number(2 * one, measured_flops(config, 1), "a text may be as short as one token: not what torch counts")
    check_number(22 * full, measured_flops(config, 11), "a text may be as long as the context: not what torch counts")
    for n in (12, 0):
        check_refused(f"{n} tokens cannot be read at once in a context of 11", flops_per_token, config, n)


# %% test="flops-per-token-any" of="flops-per-token" points=1
def test_flops_per_token_any_sizes_hidden():
    seed = fresh_seed()
    for n_head in (1, 3):
        config = some_config(seed + n_head, n_head)
        for n in (1, config.context - 2, config.context):
            got = flops_per_token(config, n)
            hint = (
                f"wrong for {n} tokens with {n_head} heads: "
                "if the tests you see pass, does a size stand in your code as a number?"
            )
            check_number(got * n * 2, measured_flops(config, n), hint)


def test_flops_per_token_refuses_a_long_text_hidden():
    config = some_config(fresh_seed())
    for n in (config.context + 1, 0, -1):
        check_refused(f"{n} tokens cannot be read at once in a context of {config.context}", flops_per_token, config, n)


# %% [markdown]
# Learning costs more than reading. For each product in the forward pass the backward pass computes two.

# %% exercise="training-flops" difficulty=2 importance=4 minutes=5 replaces="torch.utils.flop_counter.FlopCounterMode"
from solutions.scale import training_flops


# %% test="training-flops" points=1
def test_training_flops_as_torch_counts():
    config = GPTConfig(vocab_size=37, context=11, d_model=12, n_head=3, n_layer=2)
    want = measured_flops(config, 11, backward=True)
    got = training_flops(config, 22)
    check_number(got, want, "forward and backward together, for every token, are not what torch counts")


# %% test="training-flops-any" of="training-flops" points=1
def test_training_flops_any_sizes_hidden():
    config = some_config(fresh_seed())
    for batch_size in (1, 3):
        want = measured_flops(config, config.context, batch_size, backward=True)
        hint = "wrong at other sizes: windows are full, so every token is counted with the whole context"
        check_number(training_flops(config, batch_size * config.context), want, hint)


# %% [markdown]
# ## What fills the memory
#
# To train, weights are the smaller part. Each has a gradient and two running means in the optimizer, and the forward
# pass must keep what the backward pass will ask for. PyTorch can be asked what it keeps; you predict it. The list in
# the task is complete.
#
# <details><summary>Hint</summary>
#
# Count the numbers kept for one token in one block, in units of the width where possible. Only the attention pattern
# does not come in such units: for one token, each head keeps a row of it, one number for each position of the context.
#
# </details>

# %% exercise="training-memory" difficulty=4 importance=3 minutes=30
from solutions.scale import training_memory


# %% test="training-memory" points=1
def test_training_memory_of_the_weights():
    config = GPTConfig(vocab_size=37, context=11, d_model=12, n_head=3, n_layer=2)
    got, size = training_memory(config, 4), 4 * sum(counted(config).values())
    parts = ["activations", "gradients", "optimizer", "weights"]
    assert sorted(got) == parts, f"the keys should be {parts}, not {sorted(got)}"
    check_number(got["weights"], size, "a float32 number has four bytes")
    check_number(got["gradients"], size, "each weight has one gradient of the same kind")
    check_number(got["optimizer"], 2 * size, "AdamW keeps two running means for each weight")


# %% test="training-memory-activations" of="training-memory" points=2
def plain_loss(state, config, ids):
    """The loss of our GPT from PyTorch's own operations: each norm, softmax, gelu and cross-entropy is one."""
    batch_size, n = ids.shape

    def norm(x, name):
        return F.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], config.eps)

    def linear(x, name):
        return F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    x = state["token_embedding.weight"][ids] + state["position_embedding.weight"][:n]
    mask = torch.full((n, n), -math.inf).triu(1)
    for block in (f"blocks.{layer}" for layer in range(config.n_layer)):
        rows = linear(norm(x, f"{block}.attention_norm"), f"{block}.attention.qkv")
        q, k, v = rows.view(batch_size, n, 3, config.n_head, -1).permute(2, 0, 3, 1, 4).unbind(0)
        pattern = ((q / math.sqrt(q.shape[-1])) @ k.mT + mask).softmax(-1)
        x = x + linear((pattern @ v).transpose(1, 2).flatten(2), f"{block}.attention.projection")
        inner = F.gelu(linear(norm(x, f"{block}.mlp_norm"), f"{block}.mlp.up"), approximate="tanh")
        x = x + linear(inner, f"{block}.mlp.down")
    logits = norm(x, "final_norm") @ state["token_embedding.weight"].T
    return F.cross_entropy(logits.flatten(0, 1), ids.flatten())


def bytes_kept(config, batch_size):
    """Bytes of floating-point numbers that PyTorch keeps for the backward pass, beside the weights."""
    state = {name: p.detach().requires_grad_() for name, p in GPT(config).named_parameters()}
    weights = {p.untyped_storage().data_ptr() for p in state.values()}
    kept = {}

    def keep(tensor):
        if tensor.is_floating_point() and tensor.ndim > 0:
            kept[tensor.untyped_storage().data_ptr()] = tensor  # held, so that no address is used twice
        return tensor

    ids = torch.zeros(batch_size, config.context, dtype=torch.long)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = plain_loss(state, config, ids)
    del loss  # only what it took to get back from it was wanted
    return sum(tensor.untyped_storage().nbytes() for place, tensor in kept.items() if place not in weights)


def test_training_memory_as_torch_keeps_it():
    config = GPTConfig(vocab_size=37, context=11, d_model=12, n_head=3, n_layer=2)
    got = training_memory(config, 4)["activations"]
    hint = "not what torch keeps: go through the list, token by token, block by block; the last norm and the logits too"
    check_number(got, bytes_kept(config, 4), hint)


def test_training_memory_of_twice_the_batch():
    config = GPTConfig(vocab_size=37, context=11, d_model=12, n_head=3, n_layer=2)
    one, two = training_memory(config, 3), training_memory(config, 6)
    check_number(two["activations"], 2 * one["activations"], "twice the batch should keep twice the activations")
    check_number(two["gradients"], one["gradients"], "the batch has no part in the gradients: they are summed over it")


# %% test="training-memory-any" of="training-memory" points=1
def test_training_memory_any_sizes_hidden():
    seed = fresh_seed()
    for n_head in (2, 5):
        config = some_config(seed + n_head, n_head)
        batch_size = 5 + 2 * (seed % 2)
        hint = (
            f"wrong at other sizes, with {n_head} heads: "
            "if the tests you see pass, every head has a pattern of its own, and every token its row in it"
        )
        check_number(training_memory(config, batch_size)["activations"], bytes_kept(config, batch_size), hint)


# %% [markdown]
# A model that writes needs no gradients, but it keeps the keys and values of all it has read.

# %% exercise="kv-cache" difficulty=2 importance=4 minutes=10 replaces="transformers"
from solutions.scale import kv_cache_bytes


# %% test="kv-cache" points=1
def test_kv_cache_as_transformers_fills_it():
    config = GPTConfig(vocab_size=37, context=11, d_model=12, n_head=3, n_layer=2)
    want = library_cache_bytes(library_gpt2(config), 7, batch_size=5)
    got = kv_cache_bytes(config, 7, batch_size=5, bytes_per_number=4)
    check_number(
        got,
        want,
        "not what transformers keeps: a key and a value as wide as the model, in every layer, for every token",
    )
    check_number(kv_cache_bytes(config, 7), want / 10, "one text, and two bytes a number, are the defaults")


def test_kv_cache_from_empty_to_full():
    config = GPTConfig(vocab_size=37, context=11, d_model=12, n_head=3, n_layer=2)
    check_number(kv_cache_bytes(config, 0), 0, "an empty cache has no bytes")
    check_number(kv_cache_bytes(config, 11), 11 * kv_cache_bytes(config, 1), "a full cache holds the whole context")
    for n in (12, -1):
        check_refused(f"a cache for {n} tokens in a context of 11", kv_cache_bytes, config, n)


# %% test="kv-cache-any" of="kv-cache" points=1
def test_kv_cache_any_sizes_hidden():
    config = some_config(fresh_seed())
    want = library_cache_bytes(library_gpt2(config), config.context, batch_size=2)
    hint = "wrong at other sizes: the number of heads has no part in it, as they share out the width"
    check_number(kv_cache_bytes(config, config.context, batch_size=2, bytes_per_number=4), want, hint)
    check_number(kv_cache_bytes(config, 0), 0, "an empty cache has no bytes")
    for n in (config.context + 1, -1):
        check_refused(f"a cache for {n} tokens in a context of {config.context}", kv_cache_bytes, config, n)


# %% [markdown]
# ## What limits speed
#
# A processor can do only so many FLOPs a second, and its memory deliver only so many bytes. Which of the two a product
# of matrices runs into depends on its FLOPs per byte.

# %% exercise="arithmetic-intensity" difficulty=1 importance=4 minutes=10
from solutions.scale import arithmetic_intensity


# %% test="arithmetic-intensity" points=1
def measured_intensity(m, k, n, dtype):
    """FLOPs that PyTorch counts for a product, by the bytes of the three matrices."""
    a, b = torch.zeros(m, k, dtype=dtype), torch.zeros(k, n, dtype=dtype)
    with FlopCounterMode(display=False) as counter:
        product = a @ b
    return counter.get_total_flops() / (a.nbytes + b.nbytes + product.nbytes)


def test_arithmetic_intensity_as_measured():
    got = arithmetic_intensity(5, 7, 11)
    check_number(
        got, measured_intensity(5, 7, 11, torch.float32), "2mkn FLOPs by the bytes of all three matrices, 4 a number"
    )
    check_number(arithmetic_intensity(5, 7, 11, 8), got / 2, "numbers of twice the bytes should halve the intensity")


# %% test="arithmetic-intensity-any" of="arithmetic-intensity" points=1
def test_arithmetic_intensity_any_sizes_hidden():
    seed = fresh_seed()
    m, k, n = 1 + seed % 7, 20 + seed % 9, 40 + seed % 13
    for sizes in ((m, k, n), (n, m, k), (k, n, m)):
        want = measured_intensity(*sizes, torch.bfloat16)
        check_number(
            arithmetic_intensity(*sizes, bytes_per_number=2), want, f"wrong for sizes {sizes} at 2 bytes a number"
        )


# %% exercise="roofline" difficulty=1 importance=4 minutes=10
from solutions.scale import roofline


# %% test="roofline" points=1
def test_roofline_has_a_slope_and_a_roof():
    got = roofline(torch.tensor([0.5, 2.0, 10.0, 400.0]), peak=100.0, bandwidth=10.0)
    assert isinstance(got, torch.Tensor) and got.shape == (4,), "a tensor of the shape of the intensities is wanted"
    slope = "below the ridge (here 10 FLOPs a byte) memory decides: intensity times bandwidth"
    assert torch.allclose(got[:2], torch.tensor([5.0, 20.0])), f"{slope}; you have {got[:2].tolist()}"
    roof = "from the ridge on the processor decides, however high the intensity"
    assert torch.allclose(got[2:], torch.tensor([100.0, 100.0])), f"{roof}; you have {got[2:].tolist()}"


# %% test="roofline-any" of="roofline" points=1
def test_roofline_any_machine_hidden():
    seed = fresh_seed()
    peak, bandwidth = 1e12 * (1 + seed % 9), 1e9 * (10 + seed % 90)
    intensity = torch.logspace(-2, 6, 24, dtype=torch.float64).view(2, 3, 4)
    got = roofline(intensity, peak, bandwidth)
    want = torch.tensor([min(peak, bandwidth * i) for i in intensity.flatten().tolist()], dtype=torch.float64)
    assert isinstance(got, torch.Tensor) and got.shape == (2, 3, 4), "intensities of any shape should keep their shape"
    worst = (got.flatten() / want - 1).abs().max().item()
    assert worst < 1e-6, (
        f"on another machine the line is off by a factor of {1 + worst:.3g}: peak and bandwidth both count"
    )


# %% [markdown]
# When a model writes, each step multiplies a single row by every weight: 2 FLOPs for each weight that is read. Writing
# for many readers at once reads the weights once for all of them. That is why inference is cheaper in bulk.

# %% exercise="decoding-rate" difficulty=3 importance=3 minutes=20
from solutions.scale import decoding_rate


# %% test="decoding-rate" points=1
def test_decoding_is_limited_by_reading():
    config = GPTConfig(vocab_size=37, context=11, d_model=12, n_head=3, n_layer=2)
    weights = 2 * sum(counted(config).values())
    got = decoding_rate(config, 1, 1, peak=1e18, bandwidth=1e6)
    cache = 2 * 2 * 12 * 2
    check_number(
        got, 1e6 / (weights + cache), "with an endless peak, a step takes as long as reading all weights and the cache"
    )
    many = decoding_rate(config, 1, 50, peak=1e18, bandwidth=1e6)
    hint = "50 texts at once read the weights only once, and each its own cache; all their tokens count"
    check_number(many, 50 * 1e6 / (weights + 50 * cache), hint)
    hint = "with numbers of twice the bytes reading takes twice as long: is the size of a number used?"
    check_number(decoding_rate(config, 1, 50, peak=1e18, bandwidth=1e6, bytes_per_number=4), many / 2, hint)


def test_decoding_is_limited_by_computing():
    config = GPTConfig(vocab_size=37, context=64, d_model=12, n_head=3, n_layer=2)
    work = measured_flops(config, 5, batch_size=1) / 5
    hint = "with endless bandwidth, each token costs its FLOPs, whatever the batch"
    check_number(decoding_rate(config, 5, 7, peak=1e6, bandwidth=1e18), 1e6 / work, hint)


def test_decoding_takes_as_long_as_the_slower_of_both():
    config = GPTConfig(vocab_size=37, context=11, d_model=12, n_head=3, n_layer=2)
    reading = 2 * sum(counted(config).values()) + 3 * 2 * 2 * 12 * 5 * 2
    computing = 3 * measured_flops(config, 5, batch_size=1) / 5
    hint = "reading and computing overlap, so the slower of the two decides, not their sum"
    for slower in (0.8, 1.25):
        # Reading takes a second, and computing `slower` seconds.
        got = decoding_rate(config, 5, 3, peak=computing / slower, bandwidth=reading)
        check_number(got, 3 / max(1, slower), hint)


# %% test="decoding-rate-any" of="decoding-rate" points=1
def test_decoding_rate_any_machine_hidden():
    seed = fresh_seed()
    config = some_config(seed)
    n, batch_size, size = config.context, 2 + seed % 30, 4
    read = size * sum(counted(config).values()) + 2 * config.n_layer * config.d_model * n * batch_size * size
    work = measured_flops(config, n, batch_size)
    work = work / n  # one token of each text
    for balance in (0.2, 0.9, 1.1, 5):
        peak, bandwidth = 1e9, balance * 1e9 * read / work
        want = batch_size / max(work / peak, read / bandwidth)
        hint = "reading and computing overlap, so the slower of the two decides, not their sum; is the size of a number used?"
        check_number(decoding_rate(config, n, batch_size, peak, bandwidth, bytes_per_number=size), want, hint)


# %% [markdown]
# ### Your machine
#
# The next cell measures what one thread of this machine can do, and where the products of a small GPT lie under its
# roof: while it learns (2,048 rows at once) and while it writes (one row).

# %% given="machine"
from solutions.scale import Machine, best_seconds, measure_machine

# %% run tags=["nbval-ignore-output"]
if __name__ == "__main__":
    import matplotlib.pyplot as plt

    torch.set_num_threads(1)
    machine = measure_machine()
    print(f"{machine.peak / 1e9:.0f} billion FLOPs a second, {machine.bandwidth / 1e9:.0f} billion bytes a second")
    lines = torch.logspace(-1, 3, 60)
    plt.figure(figsize=(6, 3))
    plt.loglog(lines, roofline(lines, machine.peak, machine.bandwidth) / 1e9, color="black")
    for rows, label in ((1, "writing: 1 row"), (2048, "learning: 2,048 rows")):
        for k, n in ((256, 768), (256, 256), (256, 1024), (1024, 256)):
            a, b, product = torch.randn(rows, k), torch.randn(k, n), torch.empty(rows, n)
            seconds = best_seconds(lambda a=a, b=b, out=product: torch.mm(a, b, out=out), 20)
            x, y = arithmetic_intensity(rows, k, n), 2 * rows * k * n / seconds / 1e9
            plt.loglog(x, y, "o" if rows == 1 else "s", color="C0" if rows == 1 else "C1", label=label)
            label = None
    plt.xlabel("FLOPs per byte")
    plt.ylabel("billion FLOPs a second")
    plt.legend()
    plt.show()

# %% [markdown]
# A point above the sloped line is no mistake of yours: small matrices stay in the processor's caches, which are faster
# than the memory.
#
# ## How good
#
# What does a larger model buy? To measure it cleanly, we make up a language whose entropy we know: a Markov chain, in
# which only the last symbol matters for the next. No model can have a lower loss than the chain's entropy rate.
#
# <details><summary>Hint: the stationary shares</summary>
#
# They are the row vector that the matrix leaves as it is. Start from any shares that sum to 1 and multiply often, or
# solve the linear equations; a chain that alternates strictly between two halves never settles by multiplying alone.
#
# </details>

# %% exercise="markov-entropy" difficulty=3 importance=3 minutes=20
from solutions.scale import markov_entropy


# %% test="markov-entropy" points=1
def test_markov_entropy_of_known_chains():
    coin = torch.tensor([[0.5, 0.5], [0.5, 0.5]])
    bits = "in nats a fair coin has ln 2 = 0.693; in bits it would be 1"
    check_number(markov_entropy(coin), math.log(2), bits, 1e-6)
    # State 0 is left with chance 0.1, state 1 with chance 0.4: four fifths of the time go to state 0.
    lazy = torch.tensor([[0.9, 0.1], [0.4, 0.6]], dtype=torch.float64)
    rows = torch.special.entr(lazy).sum(1).tolist()
    hint = "each row's entropy counts by the share of time that the chain spends in its state"
    check_number(markov_entropy(lazy), 0.8 * rows[0] + 0.2 * rows[1], hint, 1e-6)
    turns = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    turning = markov_entropy(turns)
    assert isinstance(turning, float) and abs(turning) < 1e-9, (
        f"a chain without chance has entropy 0, as 0 ln 0 is 0, not {turning}"
    )


def entropy_by_multiplying(probabilities):
    """The entropy of a chain whose matrix is multiplied so often that every row holds the stationary shares."""
    lazy = (probabilities + torch.eye(len(probabilities))) / 2  # settles, and spends its time in the same states
    shares = torch.linalg.matrix_power(lazy.double(), 100_000)[0]
    return (shares[:, None] * torch.special.entr(probabilities)).sum().item()


def check_chain(probabilities, hint):
    check_number(markov_entropy(probabilities), entropy_by_multiplying(probabilities), hint, 1e-6)


def test_markov_entropy_of_several_states():
    states = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.5, 0.3, 0.2]], dtype=torch.float64)
    check_chain(states, "wrong for a chain of three states: how much time goes to each?")
    turns = torch.tensor([[0, 0, 0.5, 0.5], [0, 0, 0.9, 0.1], [0.2, 0.8, 0, 0], [0.6, 0.4, 0, 0]], dtype=torch.float64)
    check_chain(turns, "wrong for a chain that alternates between two halves: it never settles")


def test_markov_entropy_refuses_rows_that_do_not_sum_to_1():
    lazy = torch.tensor([[0.9, 0.1], [0.4, 0.6]], dtype=torch.float64)
    rounded, off = lazy.clone(), lazy.clone()
    rounded[1, 0] += 5e-5
    assert isinstance(markov_entropy(rounded), float), "a sum within 1e-4 of 1 is rounding, and no mistake"
    for change in (0.5, 1.5e-4, -1.5e-4):
        off[1, 0] = lazy[1, 0] + change
        check_refused(f"row 1 sums to {off[1].sum():.5g}", markov_entropy, off)


# %% test="markov-entropy-any" of="markov-entropy" points=1
def test_markov_entropy_of_any_chain_hidden():
    seed = fresh_seed()
    n = 5 + seed % 6
    probabilities = torch.rand(n, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) ** 4 + 1e-3
    probabilities = probabilities / probabilities.sum(1, keepdim=True)
    check_chain(probabilities, "wrong for a chain of several states: how much time goes to each?")


def test_markov_entropy_of_a_chain_with_two_halves_hidden():
    # From the first three states the chain always goes to the last two, and back.
    seed = fresh_seed()
    probabilities = torch.rand(5, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.01
    probabilities[:3, :3], probabilities[3:, 3:] = 0, 0
    probabilities = probabilities / probabilities.sum(1, keepdim=True)
    check_chain(probabilities, "wrong for a chain that alternates between two halves: it never settles")
    check_refused("these rows do not sum to 1", markov_entropy, 2 * probabilities)
    probabilities[seed % 5, 0] += 1.5e-4
    check_refused("one row does not sum to 1 to within 1e-4", markov_entropy, probabilities)


# %% [markdown]
# ### A law for the loss
#
# Now five GPTs, each about three times larger than the one before, learn the same made-up language. These are the
# losses that we measured (`python -m bench.scale` trains them again); at the end you may train them yourself.

# %% given="ladder"
from solutions.scale import MEASURED_LADDER, markov_source

# %% [markdown]
# <details><summary>Hint</summary>
#
# If the floor were known, log(loss - floor) against log(size) would be a straight line, whose slope and R² have closed
# forms. Try many floors at once: a column of floors against a row of losses. Then try more, near the best.
#
# </details>

# %% exercise="fit-power-law" difficulty=4 importance=5 minutes=35 replaces="scipy"
from solutions.scale import fit_power_law


# %% test="fit-power-law" points=2
def planted(floor, factor, exponent, sizes):
    """Losses that follow a law exactly."""
    return [floor + factor * size**-exponent for size in sizes]


def check_fit(sizes, floor, factor, exponent, hint):
    """Assert that what is fitted to losses that follow a law exactly is this law."""
    losses = planted(floor, factor, exponent, sizes)
    got = fit_power_law(sizes, losses)
    assert isinstance(got, tuple | list) and len(got) == 3, "three numbers are wanted: floor, factor, exponent"
    check_number(got[2], exponent, f"the exponent is not the planted one, which is positive; {hint}", 1e-3)
    check_number(got[0], floor, f"the floor is not the planted one; {hint}", 1e-3)
    check_number(got[1], factor, f"the factor is not the planted one; {hint}", 1e-2)
    closely = f"the floor is not found to within 1e-6 of the least loss: search more finely, in float64; {hint}"
    check_number(got[0], floor, closely, 1e-6 * min(losses) / floor)


def test_fit_power_law_finds_what_was_planted():
    check_fit([1e3, 3e3, 1e4, 5e4, 1e5], 2.0, 30.0, 0.3, "the losses follow 2 + 30 N^-0.3 exactly")
    check_fit([1e3, 4e3, 2e4, 1e5], 0.3, 9.0, 0.5, "four sizes are enough, and losses may lie below 1")
    check_fit([2e2, 7e2, 4e3, 1e5, 1e6], 3.0, 500.0, 0.9, "the largest models have nearly reached the floor")
    check_fit([1e3, 2e3, 4e3, 8e3], 3.4, 10.0, 0.17, "sizes may lie near each other: every digit of the losses counts")


def test_fit_power_law_of_losses_at_their_floor():
    sizes = [10.0**k for k in range(3, 11)]
    losses = planted(2.6, 1000.0, 1.0, sizes)
    floor, _, exponent = fit_power_law(sizes, losses)
    hint = f"the floor is 2.6, and the least loss only 0.0000001 above it: the floor must lie below, not at {floor:.8f}"
    assert 0 <= floor < min(losses), hint
    check_number(floor, 2.6, "the floor is not the planted one where the largest model has all but reached it", 1e-6)
    check_number(exponent, 1.0, "the exponent is far off where the largest model has all but reached the floor", 0.5)


def straightness(sizes, losses, floor):
    """R^2 of a line through log excess loss against log size."""
    points = [[math.log(n), math.log(loss - floor)] for n, loss in zip(sizes, losses, strict=True)]
    return torch.corrcoef(torch.tensor(points, dtype=torch.float64).T)[0, 1].item() ** 2


def check_line(sizes, losses):
    """Assert that no other floor makes the line straighter, and that factor and exponent are this line's."""
    floor, factor, exponent = fit_power_law(sizes, losses)
    assert 0 <= floor < min(losses), f"the floor must lie between 0 and the least loss, and it is {floor:.4g}"
    best = max(straightness(sizes, losses, min(losses) * i / 2000) for i in range(2000))
    reached = straightness(sizes, losses, floor)
    assert 1 - reached <= 1.05 * (1 - best) + 1e-9, "another floor makes the line straighter (a larger R^2)"
    logs = torch.tensor([math.log(loss - floor) for loss in losses], dtype=torch.float64)
    x = torch.tensor([math.log(size) for size in sizes], dtype=torch.float64)
    slope = (((x - x.mean()) * (logs - logs.mean())).sum() / (x - x.mean()).square().sum()).item()
    check_number(-exponent, slope, "the exponent is not the slope of the least-squares line at your own floor", 1e-3)
    height = math.exp(logs.mean().item() - slope * x.mean().item())
    check_number(factor, height, "the factor is not the height of the least-squares line at your own floor", 1e-2)


def test_fit_power_law_takes_the_straightest_line():
    sizes = [1e3, 2e3, 4e3, 8e3, 16e3, 32e3]
    off = [1.03, 0.98, 0.99, 1.02, 0.97, 1.01]
    exact = planted(1.5, 40.0, 0.4, sizes)
    check_line(sizes, [1.5 + (loss - 1.5) * by for loss, by in zip(exact, off, strict=True)])


def check_unfit(size):
    """Assert that what no law can be fitted to is refused."""
    sizes, losses = [size, 2 * size, 4 * size, 8 * size], [3.0, 2.5, 2.2, 2.1]
    cases = {
        "three sizes for three unknowns": (sizes[:3], losses[:3]),
        "four losses, but only three different sizes": ([size, *sizes[:3]], losses),
        "fewer losses than sizes": (sizes, losses[:3]),
        "more losses than sizes": (sizes, [*losses, 2.0]),
        "a negative size": ([-size, *sizes[1:]], losses),
        "a size of 0": ([0.0, *sizes[1:]], losses),
        "a negative loss": (sizes, [*losses[:3], -2.0]),
        "a loss of 0": (sizes, [*losses[:3], 0.0]),
    }
    for case, (some_sizes, some_losses) in cases.items():
        check_refused(f"{case}: no law can be fitted to that", fit_power_law, some_sizes, some_losses)


def test_fit_power_law_refuses_what_cannot_be_fitted():
    check_unfit(1000.0)


def test_fit_power_law_finds_the_entropy():
    sizes, losses = zip(*MEASURED_LADDER, strict=True)
    floor, _, exponent = fit_power_law(list(sizes), list(losses))
    entropy = entropy_by_multiplying(markov_source())
    check_number(floor, entropy, "the floor of five trained models should be near the entropy of their language", 0.03)
    assert 0.26 <= exponent <= 0.33, (
        f"the excess of trained models falls with exponent 0.26 to 0.33, not {exponent:.3f}"
    )


# %% test="fit-power-law-any" of="fit-power-law" points=2
def test_fit_power_law_of_any_law_hidden():
    seed = fresh_seed()
    for i in range(3):
        floor, factor, exponent = 0.5 + (seed + i) % 5, 5.0 + (seed + 7 * i) % 90, 0.15 + 0.03 * ((seed + i) % 6)
        sizes = [10 ** (4 + step) * (1 + (seed + step) % 3) for step in range(7)]
        check_fit(sizes, floor, factor, exponent, "sizes may lie millions apart; search for the floor finely enough")


def test_fit_power_law_of_noisy_losses_hidden():
    seed = fresh_seed()
    sizes = [1000.0 * 2**step for step in range(8)]
    noise = torch.randn(8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).tolist()
    exact = planted(1.5, 40.0, 0.4, sizes)
    check_line(sizes, [1.5 + (loss - 1.5) * (1 + 0.02 * off) for loss, off in zip(exact, noise, strict=True)])


def test_fit_power_law_refuses_what_cannot_be_fitted_hidden():
    check_unfit(100.0 + fresh_seed() % 50)


# %% [markdown]
# ## How to spend a budget
#
# Hoffmann et al. trained over 400 models and fitted one law for parameters and data together. It has two famous sets
# of constants: the ones they printed, and those that Besiroglu et al. got in 2024 when they read the data off the
# paper's figure and fitted again; the first fit had stopped too early, and its rounding matters.

# %% given="laws"
from solutions.scale import BESIROGLU, HOFFMANN, ScalingLaw

# %% exercise="parametric-loss" difficulty=1 importance=3 minutes=5
from solutions.scale import parametric_loss


# %% test="parametric-loss" points=1
def test_parametric_loss_of_chinchilla():
    law = ScalingLaw(1.0, 8.0, 0.5, 27.0, 1 / 3)
    # 8 / 4 and 27 / 3
    check_number(
        parametric_loss(16.0, 27.0, law),
        1 + 2 + 9,
        "each part is its factor times a negative power, and the floor is added",
    )
    # 70 billion parameters, 1.4 trillion tokens
    check_number(parametric_loss(70e9, 1.4e12, HOFFMANN), 1.937, "not the paper's law at Chinchilla's own size", 1e-3)


def test_parametric_loss_refuses_nothing():
    law = ScalingLaw(1.0, 8.0, 0.5, 27.0, 1 / 3)
    check_number(parametric_loss(1.0, 1.0, law), 1 + 8 + 27, "1 to any power is 1: the floor and both factors")
    check_number(parametric_loss(0.25, 0.125, law), 1 + 16 + 54, "any positive number is allowed, below 1 too")
    for n_params, n_tokens in ((0, 100), (100, 0), (-4, 100), (100, -8)):
        check_refused(f"{n_params} parameters, {n_tokens} tokens: no loss", parametric_loss, n_params, n_tokens, law)


# %% test="parametric-loss-any" of="parametric-loss" points=1
def test_parametric_loss_of_any_law_hidden():
    seed = fresh_seed()
    law = ScalingLaw(1.0 + seed % 3, 4.0 + seed % 7, 0.5, 3.0 + seed % 5, 0.25)
    root_n, root_d = 2.0 + seed % 9, 3.0 + seed % 4
    want = law.floor + law.size_factor / root_n + law.data_factor / root_d
    check_number(
        parametric_loss(root_n**2, root_d**4, law), want, "wrong with another law: which numbers come from `law`?"
    )
    check_refused("a model of no parameters has no loss", parametric_loss, 0, 100, law)
    check_refused("a model that has read nothing has no loss", parametric_loss, 100, 0, law)


# %% [markdown]
# A prediction: with Chinchilla's budget, $5.76 \cdot 10^{23}$ FLOPs, how many tokens for each parameter are best by the
# constants that Hoffmann et al. printed, and how many by the corrected ones?

# %% run
if __name__ == "__main__":
    predicted_ratio_printed = None  # your guess
    predicted_ratio_corrected = None  # your guess

# %% exercise="chinchilla" difficulty=4 importance=5 minutes=25 replaces="scipy"
from solutions.scale import chinchilla_optimal


# %% test="chinchilla" points=2
def least_by_trying(flops, law):
    """The best size among 200,001 along the budget, each 0.01 per cent from the next, by brute force."""
    near = math.log(flops / 6) / 2
    n = torch.exp(near + torch.linspace(-10, 10, 200_001, dtype=torch.float64))
    d = flops / 6 / n
    losses = law.floor + law.size_factor * n**-law.size_exponent + law.data_factor * d**-law.data_exponent
    return n[losses.argmin()].item()


def check_optimal(flops, law, hint):
    """Assert that size and tokens are the best along the budget."""
    got = chinchilla_optimal(flops, law)
    assert isinstance(got, tuple | list) and len(got) == 2, "two numbers are wanted: parameters and tokens"
    check_number(
        6 * got[0] * got[1], flops, "parameters and tokens together should cost 6ND FLOPs, the whole budget", 1e-6
    )
    check_number(got[0], least_by_trying(flops, law), hint, 1e-3)


def test_chinchilla_optimal_is_the_minimum():
    for law in (HOFFMANN, BESIROGLU):
        check_optimal(5.76e23, law, "another size has a lower loss for the same FLOPs: is it the minimum of this law?")


def test_chinchilla_optimal_refuses_nothing():
    n_params, n_tokens = chinchilla_optimal(1.0, HOFFMANN)
    check_number(6 * n_params * n_tokens, 1.0, "any positive budget can be spent, even a single FLOP", 1e-6)
    for flops in (0, -6):
        check_refused(f"a budget of {flops} FLOPs buys no model", chinchilla_optimal, flops, HOFFMANN)


# %% test="chinchilla-any" of="chinchilla" points=1
def test_chinchilla_optimal_of_any_law_hidden():
    seed = fresh_seed()
    law = ScalingLaw(1.0, 100.0 + seed % 300, 0.3 + 0.02 * (seed % 5), 2000.0 - seed % 900, 0.4 - 0.02 * (seed % 4))
    for flops in (1e18, 1e21, 1e25):
        check_optimal(flops, law, "another size has a lower loss under another law: which numbers come from `law`?")
    check_refused("a budget of nothing buys no model", chinchilla_optimal, 0, law)


# %% [markdown]
# ### Running out of data
#
# The optimum asks for ever more text. When there is no more, a text can be read again; but what has been read before
# teaches less.

# %% exercise="effective-tokens" difficulty=2 importance=3 minutes=15
from solutions.scale import effective_tokens


# %% test="effective-tokens" points=1
def worth_of_repeats(repetitions, worth, steps=200_000):
    """What the repetitions of a text of length 1 are worth: each bit of reading e^(-r/worth), added up."""
    r = (torch.arange(steps, dtype=torch.float64) + 0.5) * (repetitions / steps)
    return (torch.exp(-r / worth).sum() * repetitions / steps).item()


def test_effective_tokens():
    check_number(effective_tokens(70.0, 100.0), 70.0, "less than one epoch is all fresh")
    check_number(effective_tokens(100.0, 100.0), 100.0, "one epoch is all fresh: the first reading is no repetition")
    want = 100.0 * (1 + worth_of_repeats(3, 15.39))
    check_number(effective_tokens(400.0, 100.0), want, "4 epochs are one fresh reading and 3 repetitions", 1e-6)
    check_number(
        effective_tokens(1e9, 100.0), 100.0 * 16.39, "endless repetition is worth R* more readings and no more", 1e-6
    )
    want = 100.0 * (1 + worth_of_repeats(0.5, 5.0))
    hint = "one reading and half a repetition: fractions of an epoch count, and so does `worth`"
    check_number(effective_tokens(150.0, 100.0, worth=5.0), want, hint, 1e-6)


def test_effective_tokens_refuses_less_than_nothing():
    check_number(effective_tokens(0.0, 100.0), 0.0, "nothing read is worth nothing, and no error")
    check_number(effective_tokens(0.5, 0.5), 0.5, "any positive length is allowed, below 1 too: one epoch")
    for n_tokens, unique_tokens in ((100.0, 0.0), (100.0, -1.0), (-1.0, 100.0)):
        hint = f"{n_tokens:g} tokens of a text of {unique_tokens:g}"
        check_refused(hint, effective_tokens, n_tokens, unique_tokens)


# %% test="effective-tokens-any" of="effective-tokens" points=1
def test_effective_tokens_of_any_text_hidden():
    seed = fresh_seed()
    unique, worth = 1e9 * (1 + seed % 9), 3.0 + seed % 8
    for epochs in (0.3, 1.5, 2.0 + seed % 5, 40.0):
        want = unique * (min(epochs, 1) + worth_of_repeats(max(epochs - 1, 0), worth))
        hint = f"wrong for {epochs} epochs with another worth: fractions of an epoch count, and so does `worth`"
        check_number(effective_tokens(epochs * unique, unique, worth), want, hint, 1e-6)
    check_refused("a text of no tokens cannot be read", effective_tokens, 100.0, 0.0)
    check_refused("less than nothing cannot be read", effective_tokens, -1.0 - seed % 9, unique)


# %% [markdown]
# ## All together
#
# The last test uses nothing of ours: your parts judge GPT-3's training, and your fit must find the floor that your
# own law predicts.


# %% test="integration" of="integration" points=4
def test_your_parts_judge_gpt3():
    config = table_config(GPT3_TABLE[-1])
    parts = count_params(config)
    n_params = sum(parts.values())
    flops = training_flops(config, 300_000_000_000)
    # The paper's table D.1 says 3.14e23, counted as 6ND.
    check_number(flops, 3.14e23, "training GPT-3 on 300 billion tokens should cost about what the paper says", 0.05)
    best_n, best_d = chinchilla_optimal(flops, BESIROGLU)
    assert best_n < n_params / 2, (
        "by Chinchilla's law a model less than half as large would have been best for the work"
    )
    spent, best = parametric_loss(n_params, 3e11, BESIROGLU), parametric_loss(best_n, best_d, BESIROGLU)
    assert best < spent, "your optimum should have a lower loss than GPT-3's own choice"
    check_number(
        effective_tokens(best_d, best_d / 4) / best_d, 0.9314, "four epochs should be worth 93% of fresh text", 1e-3
    )


def test_your_fit_finds_your_law():
    sizes = [1e7, 1e8, 1e9, 1e10, 1e11]
    losses = [parametric_loss(n, 1e12, HOFFMANN) for n in sizes]
    floor, _, exponent = fit_power_law(sizes, losses)
    check_number(exponent, 0.34, "your fit should find the size exponent in losses that your law predicts", 1e-2)
    check_number(floor, 1.69 + 410.7 * 1e12**-0.28, "your fit's floor should hold what too little data costs", 1e-2)


def test_your_shapes_cost_the_same_hidden():
    seed = fresh_seed()
    budget = 60_000 + seed % 5000
    for n_layer in (1, 4):
        width = width_of_size(budget, n_layer, 1, 100, 16)
        config = GPTConfig(100, 16, width, 1, n_layer)
        size = sum(count_params(config).values())
        check_number(
            size, sum(counted(config).values()), "your count should be the one of a model that is really built"
        )
        assert 0.8 * budget < size <= budget, "your width should nearly fill the number of parameters allowed"
        memory = training_memory(config, 2)
        check_number(memory["weights"], 4 * size, "your memory should follow from your count")
        rate = decoding_rate(config, 16, 1, peak=1e30, bandwidth=1e9, bytes_per_number=4)
        reading = 4 * size + kv_cache_bytes(config, 16, 1, 4)
        check_number(rate, 1e9 / reading, "your decoding rate should follow from your count and your cache")
        check_number(
            training_flops(config, 1), 3 * flops_per_token(config, 16), "your training should follow from your FLOPs"
        )
        balance = roofline(torch.tensor([arithmetic_intensity(64, width, width)]), 1e30, 1.0)
        assert 1 < balance.item() < 32, "your roofline should put 64 rows between 1 and 32 FLOPs a byte"


# %% [markdown]
# ## Look at it
#
# Your functions, asked about the largest and the smallest of models.

# %% run
if __name__ == "__main__":
    odd = [row.name for row in GPT3_TABLE if row.n_head * row.d_head != row.d_model]
    compare_prediction("rows whose heads do not fill the width", predicted_odd_rows, odd)
    gpt3 = table_config(GPT3_TABLE[-1])
    compare_prediction("FLOPs a token", predicted_teraflop, round(flops_per_token(gpt3, 1) / 1e12, 2), unit="teraflop")
    for what, law, guess in (
        ("tokens for each parameter, printed constants", HOFFMANN, predicted_ratio_printed),
        ("tokens for each parameter, corrected constants", BESIROGLU, predicted_ratio_corrected),
    ):
        n_params, n_tokens = chinchilla_optimal(5.76e23, law)
        compare_prediction(what, guess, round(n_tokens / n_params))

# %% [markdown]
# ### Climb the ladder yourself
#
# The next cell trains the smallest four of the five models, for some ten seconds, on the made-up language. It fits your
# law to them, and once more with the loss that we measured for the fifth and largest. How near does each floor come to
# the entropy? The line of the figure is the second law; the dots are models.

# %% given="training"
from labkit.fit import adamw, fit
from solutions.gpt import MLP, LayerNorm, MultiHeadAttention
from solutions.scale import (
    FUSED,
    FusedAttention,
    FusedLayerNorm,
    FusedMLP,
    fused,
    markov_rows,
    source_loss,
    train_on_source,
)

# %% run tags=["nbval-ignore-output"]
if __name__ == "__main__":
    source = markov_source()
    entropy = markov_entropy(source)
    points = []
    for width in (4, 8, 16, 32):
        config = GPTConfig(vocab_size=256, context=32, d_model=width, n_head=max(1, width // 16), n_layer=2)
        points.append((sum(count_params(config).values()), train_on_source(config, source)))
        print(f"width {width:2}: {points[-1][0]:7,} parameters, loss {points[-1][1]:.3f}")
    assert points[-1][1] > entropy, "no model can be better than the language allows"
    five = [*points, MEASURED_LADDER[-1]]
    for fitted in (points, five):
        floor, factor, exponent = fit_power_law(*map(list, zip(*fitted, strict=True)))
        print(f"{len(fitted)} models: floor {floor:.2f}, exponent {exponent:.2f}; the entropy is {entropy:.2f}")

# %% run tags=["nbval-ignore-output"]
if __name__ == "__main__":
    sizes = torch.logspace(3, 5, 50)
    plt.figure(figsize=(6, 3))
    plt.loglog(sizes, factor * sizes**-exponent, label=f"{factor:.1f} N^-{exponent:.2f}")
    plt.loglog([n for n, _ in five], [loss - floor for _, loss in five], "o", label="models")
    plt.xlabel("parameters N")
    plt.ylabel("loss above the floor (nats)")
    plt.legend()
    plt.show()
