# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {name: python3, display_name: Python 3, language: python}
#   course: {title: "Scale", points: 40, seconds: 180}
# ---

# %% [markdown]
# How many parameters does a GPT have, how much work is one token, what fills the memory, and what is it all good for? You
# will write the arithmetic that answers this from a model's sizes alone, without building it: for a model of ten
# thousand parameters that you train here, and for GPT-3. Then you fit a law to the losses of five models and find with
# it a number that nobody told the models: the entropy of the language they learned.
#
# Sizes come as a `GPTConfig`: `vocab_size`, `context`, `d_model`, `n_head`, `n_layer`. A FLOP is one multiplication or
# one addition of floating-point numbers; a product of matrices (a, b) and (b, c) has 2abc of them.

# %% given="setup"
import math
from collections import Counter
from dataclasses import replace
from itertools import cycle

import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from labkit.blanks import unless_blank
from labkit.testing.answers import fresh_seed
from labkit.testing.checks import called, check_equal, check_number, check_refused, check_tensor, numbers
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


SMALL = GPTConfig(vocab_size=37, context=11, d_model=12, n_head=3, n_layer=2)
OTHER = GPTConfig(vocab_size=29, context=7, d_model=20, n_head=5, n_layer=3)


def counted(config, among=""):
    """Parameters of our GPT by part, on a model without memory: all of them, or those with `among` in their names."""
    with torch.device("meta"):
        model = GPT(config)
    found = {"token_embedding": 0, "position_embedding": 0, "attention": 0, "mlp": 0, "norm": 0}
    for name, parameter in model.named_parameters():
        part = "norm" if "norm" in name else next(part for part in found if part in name)
        found[part] += parameter.numel() * (among in name)
    return found


def measured_flops(config, n, batch_size=2, backward=False):
    """FLOPs that PyTorch counts while our GPT reads `batch_size` texts of `n` tokens, and learns from them."""
    model, ids = GPT(config), torch.zeros(batch_size, n, dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        loss = next_token_loss(model(ids), ids)
        if backward:
            loss.backward()
    return counter.get_total_flops()


def token_flops(config, n):
    """The same for one text, divided by its tokens."""
    return measured_flops(config, n, batch_size=1) / n


def entropy_by_multiplying(probabilities):
    """The entropy of a chain whose matrix is multiplied so often that every row holds the stationary shares."""
    lazy = (probabilities + torch.eye(len(probabilities))) / 2  # settles, and spends its time in the same states
    shares = torch.linalg.matrix_power(lazy.double(), 100_000)[0]
    return (shares[:, None] * torch.special.entr(probabilities)).sum().item()


def accepted(hint, function, *args):
    """What a call with allowed arguments returns; `hint` says why they are allowed, should the function refuse them."""
    try:
        return function(*args)
    except ValueError as raised:
        raise AssertionError(f"your code refuses an input that is allowed: {hint} ({raised})") from None


def check_parts(got, parts):
    """Assert that `got` is a dict with a number for each of these parts."""
    assert isinstance(got, dict), f"the result should be a dict of the parts, but it is {called(got)}"
    check_equal(set(got), set(parts), "the keys should be those that the task names")


# %% [markdown]
# ## How large
#
# These are the eight models of the GPT-3 paper, as its table 2.1 prints them.

# %% run
if __name__ == "__main__":
    for row in GPT3_TABLE:
        sizes = f"{row.n_layer} layers, width {row.d_model:6,}, {row.n_head} heads"
        print(f"{row.name:13} {row.n_params / 1e6:9,.0f} million parameters, {sizes}")

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
def check_counts(config):
    """Assert that each part is counted as it is in the model."""
    got, want = count_params(config), counted(config)
    weights, blocks, block = (counted(config, among) for among in ("weight", "blocks", "blocks.0."))
    check_parts(got, want)
    check_number(
        got["token_embedding"],
        want["token_embedding"],
        "the token embedding is a vector of the width for each token",
        mistakes={
            "the unembedding is tied: it is the token embedding used again, with no weights of its own": (
                2 * want["token_embedding"]
            )
        },
    )
    hint = "the position embedding is a vector of the width for each position of the context"
    check_number(got["position_embedding"], want["position_embedding"], hint)
    check_number(
        got["attention"],
        want["attention"],
        "attention has queries, keys, values and the projection, each a matrix and a bias, in every block",
        mistakes={
            "the biases of attention are missing: each of its linear layers has one": weights["attention"],
            "this is the attention of one block: add up all blocks": block["attention"],
            "attention's queries, keys and values are counted, but not its projection": counted(config, "qkv")[
                "attention"
            ],
            "attention's heads share the width: more heads do not add parameters": (config.n_head * want["attention"]),
        },
    )
    check_number(
        got["mlp"],
        want["mlp"],
        "the MLP goes up to four times the width and down again, each a matrix and a bias, in every block",
        mistakes={
            "the biases of the MLP are missing: both of its linear layers have one": weights["mlp"],
            "this is the MLP of one block: add up all blocks": block["mlp"],
            "the MLP also goes down again: this is only the way up": counted(config, "up")["mlp"],
        },
    )
    check_number(
        got["norm"],
        want["norm"],
        "there are two norms in each block and one at the end, each with weight and bias",
        mistakes={
            "the norm at the end is missing": blocks["norm"],
            "each norm has a bias as well as a weight": weights["norm"],
            "a block has two norms, and one is counted": want["norm"] - blocks["norm"] // 2,
        },
    )


def test_count_params_of_a_small_model():
    check_counts(SMALL)


def test_count_params_at_other_sizes():
    got, want = count_params(OTHER), counted(OTHER)
    for part in want:
        hint = "right at the sizes before, wrong at others: does a size stand in your code as a number?"
        check_number(got.get(part), want[part], f"{part}: {hint}")


def test_count_params_of_gpt3():
    for row in GPT3_TABLE:
        total = sum(count_params(table_config(row)).values())
        # The paper rounds, and calls 356 million 350.
        check_number(total, row.n_params, f"{row.name} comes out far from the paper's number", 0.02)


# %% test="count-params-any" of="count-params" points=1
def test_count_params_any_sizes_hidden():
    seed = fresh_seed()
    for n_head in (1, 3, 5):
        check_counts(some_config(seed + n_head, n_head))


# %% [markdown]
# ### The same size in another shape
#
# To compare a deep model with a wide one fairly, both need the same number of parameters. So: given the depth, how
# wide?
#
# A guess first, here and in the sections below; leave it at `None` if you have none. GPT-3's largest model has 96
# layers and is 12,288 wide. With 12 layers and as many parameters, how wide would it be?

# %% run
if __name__ == "__main__":
    predicted_width = None  # your guess

# %% [markdown]
# <details><summary>Hint</summary>
#
# The count is a quadratic function of the width; `math.isqrt` takes roots of whole numbers without rounding. Or try
# widths: `count_params` tells you when one is too much; for a billion parameters a bisection needs few trials.
#
# </details>

# %% exercise="width-of-size" difficulty=3 importance=2 minutes=20 replaces="torch.nn.Embedding torch.nn.Linear transformers"
from solutions.scale import width_of_size


# %% test="width-of-size" points=2
def size_at(width, n_layer, n_head, vocab_size, context, among=""):
    """Parameters at a width."""
    return sum(counted(GPTConfig(vocab_size, context, width, n_head, n_layer), among).values())


FORGOTTEN = {
    "all embeddings": ["embedding"],
    "the token embedding": ["token_embedding"],
    "biases and norms": ["bias", "norm.weight"],
    "the position embedding": ["position_embedding"],
}


def why_too_wide(width, n_params, *shape):
    """What explains a width that is too large, with figures."""
    below, above = width - shape[1], width + shape[1]
    figures = f"width {width} makes {size_at(width, *shape):,} parameters, not {n_params:,} or fewer"
    for part, names in FORGOTTEN.items():
        here, there = (
            size_at(w, *shape) - sum(size_at(w, *shape, among=name) for name in names) for w in (width, above)
        )
        if here <= n_params < there:
            return f"{figures}; it would be right without {part}, but every part counts"
    if below == 0 or size_at(below, *shape) <= n_params:
        return f"{figures}; the next multiple of the heads below would fit, so round down"
    return f"{figures}; every part of the model counts"


def why_too_narrow(width, n_params, *shape):
    """What explains a width that is too small, with figures."""
    above = width + shape[1]
    size = size_at(above, *shape)
    figures = f"width {above} makes {size:,} parameters, and {n_params:,} are allowed"
    if size + size_at(above, *shape, among="token_embedding") > n_params:
        return f"{figures}; is the token embedding counted twice? The unembedding is tied to it"
    return figures


def check_width(n_params, *shape):
    """Assert that the width is a multiple of the heads, fits, and that the next one would not."""
    width, n_head = width_of_size(n_params, *shape), shape[1]
    assert isinstance(width, int), f"the width should be a whole number (int), but it is {called(width)}"
    assert width > 0 and width % n_head == 0, f"the width must be a multiple of the {n_head} heads, not {width}"
    size, larger = size_at(width, *shape), size_at(width + n_head, *shape)
    assert size <= n_params, f"the width makes a larger model than is allowed: {why_too_wide(width, n_params, *shape)}"
    assert larger > n_params, f"the next larger width would fit as well: {why_too_narrow(width, n_params, *shape)}"


def check_width_at_the_edge(width, *shape, hint="a width whose size is exactly the number allowed fits"):
    """Assert that a size that fits exactly is used, and that with one parameter fewer the width is the next below."""
    n_params, n_head = size_at(width, *shape), shape[1]
    check_number(accepted(hint, width_of_size, n_params, *shape), width, f"{hint}, and should be used")
    if width > n_head:
        too_wide = "a width that needs one parameter more than is allowed does not fit"
        check_number(width_of_size(n_params - 1, *shape), width - n_head, too_wide)


def check_widths_at_the_edge(widths, *shape):
    """The same for many widths: a root in floating point gets most of them right."""
    for width in widths:
        hint = (
            "a width whose size is exactly the number allowed fits. Yours is right for other sizes: if you take a root, "
            "floating point can lose its last digit before you round down (`math.isqrt` does not)"
        )
        check_width_at_the_edge(width, *shape, hint=hint)


def test_width_of_size_fits():
    # From one to the next another mistake gives another width.
    for n_params, n_layer in ((98_400, 1), (99_000, 1), (100_000, 1), (100_000, 2), (100_000, 4), (100_000, 8)):
        check_width(n_params, n_layer, 4, 256, 32)
    check_width(300_000, 3, 7, 101, 50)


def test_width_of_size_takes_what_fits_exactly():
    check_width_at_the_edge(28, 2, 4, 256, 32)
    check_width_at_the_edge(4, 2, 4, 256, 32)


def test_width_of_size_of_large_models():
    for n_params, n_layer in ((174_604_259_328, 12), (10**12, 12)):
        check_width(n_params, n_layer, 96, 50257, 2048)
    check_width_at_the_edge(12288, 96, 96, 50257, 2048)


def test_width_of_size_is_exact():
    check_widths_at_the_edge(range(28, 180, 4), 2, 4, 256, 32)


def test_width_of_size_refuses_too_little():
    shape = (2, 4, 256, 32)
    check_refused("1,000 parameters are too few for any width with 256 tokens", width_of_size, 1000, *shape)
    too_few = size_at(4, *shape) - 1
    check_refused("one parameter fewer than the narrowest model needs, of width 4", width_of_size, too_few, *shape)


# %% test="width-of-size-any" of="width-of-size" points=1
def test_width_of_size_at_the_edge_hidden():
    seed = fresh_seed()
    n_head = 2 + seed % 4
    shape = (1 + seed % 6, n_head, 1000 + seed % 90, 8 + seed % 60)
    for width in (7 * n_head, 1000 * n_head, n_head):
        check_width_at_the_edge(width, *shape)
    check_widths_at_the_edge(range(28, 180, 4), 2, 4, 256, 32)
    check_widths_at_the_edge([(20 + seed % 50 + i) * n_head for i in range(20)], *shape)
    hint = "one parameter fewer than the narrowest model needs"
    check_refused(hint, width_of_size, size_at(n_head, *shape) - 1, *shape)


def test_width_of_size_of_a_large_model_hidden():
    check_width(175_000_000_000 + fresh_seed() % 1000, 96, 96, 50257, 2048)


# %% run
if __name__ == "__main__":
    gpt3 = table_config(GPT3_TABLE[-1])
    with unless_blank():
        gpt3_size = sum(count_params(gpt3).values())
        for n_layer in (6, 12, 48, 96, 192):
            width = width_of_size(gpt3_size, n_layer, 1, gpt3.vocab_size, gpt3.context)
            print(f"{gpt3_size / 1e9:.1f} billion parameters in {n_layer:3} layers: {width:6,} wide")
        wide = width_of_size(gpt3_size, 12, 1, gpt3.vocab_size, gpt3.context)
        compare_prediction("width with 12 layers", predicted_width, wide)

# %% [markdown]
# ## How much work
#
# Nearly all work of a model is in products of matrices. One rule counts them: 2abc for (a, b) times (b, c). PyTorch
# can count while a model runs; you count without running it, first for reading and then for learning.
#
# A guess first. Most of a token's work in GPT-3 is the same wherever the token stands. Only attention's own products
# grow with the text: each query meets every key. Suppose that GPT-3 could read a text of any length. In a text of how
# many tokens would attention's own products cost as much as all the rest together?

# %% run
if __name__ == "__main__":
    predicted_length = None  # your guess, in tokens

# %% [markdown]
# <details><summary>Hint: what one token takes part in</summary>
#
# Follow one token through a block and write down every product, with its sizes: the four matrices of attention, its
# query with n keys, its n weights with n values, up to four times the width, and down. Then the unembedding. A head has
# only its share of the width, but there are `n_head` of them.
#
# </details>
#
# <details><summary>Hint: the backward pass</summary>
#
# Take one product, y = xW with x of shape (a, b) and W of shape (b, c). From the gradient of y come those of x and of W.
# By what products, and what do they cost?
#
# </details>

# %% exercise="flops-per-token" difficulty=3 importance=5 minutes=30 replaces="torch.utils.flop_counter.FlopCounterMode torch.nn.Embedding torch.nn.Linear"
from solutions.scale import flops_per_token, training_flops


# %% test="flops-per-token" points=2
def check_flops(config, n):
    """Assert that a token costs what torch counts."""
    want = token_flops(config, n)
    unembedding = token_flops(replace(config, vocab_size=2 * config.vocab_size), n) - want
    in_attention = n * (token_flops(config, config.context) - token_flops(config, 1)) / (config.context - 1)
    check_number(
        flops_per_token(config, n),
        want,
        "not what torch counts for a token: six matrices a block, attention's own two products, and the unembedding",
        mistakes={
            "this is half of what torch counts: a multiplication and an addition are two FLOPs": want / 2,
            "this is the work for the whole text: divide it by the number of tokens": want * n,
            "this is the work of one block: add up all blocks": token_flops(replace(config, n_layer=1), n),
            "this is 2 FLOPs for each parameter, but embeddings are looked up, and attention's own two products have no "
            "parameters": 2 * sum(counted(config).values()),
            "attention's own two products are missing: queries with keys, and weights with values": want - in_attention,
            "half the work of attention's own products is missing: both count, and masked pairs too": (
                want - in_attention / 2
            ),
            "attention's own products are counted too often: the heads share the width": (
                want + (config.n_head - 1) * in_attention
            ),
            "the unembedding is missing: it is a product of matrices as well": want - unembedding,
            "the unembedding is counted for one token of the text: every position has its logits": (
                want - unembedding + unembedding / n
            ),
        },
    )


def test_flops_per_token_as_torch_counts():
    accepted("11 tokens fit in a context of 11", flops_per_token, SMALL, 11)
    check_flops(SMALL, 11)


def test_flops_per_token_of_a_short_text():
    check_number(
        flops_per_token(SMALL, 4),
        token_flops(SMALL, 4),
        "right for a full context, wrong for 4 tokens: attention's own products grow with the text, and nothing else",
        mistakes={"a query meets the keys of the text, here 4, and not the whole context": token_flops(SMALL, 11)},
    )


def test_flops_per_token_at_other_sizes():
    hint = "right at the sizes before, wrong at others: does a size stand in your code as a number?"
    check_number(flops_per_token(OTHER, 7), token_flops(OTHER, 7), hint)


def test_flops_per_token_refuses_what_does_not_fit():
    hint = "a text may be as short as one token"
    check_number(accepted(hint, flops_per_token, SMALL, 1), token_flops(SMALL, 1), hint)
    check_refused("12 tokens do not fit in a context of 11", flops_per_token, SMALL, 12)
    check_refused("a text without tokens cannot be read", flops_per_token, SMALL, 0)


# %% test="flops-per-token-any" of="flops-per-token" points=1
def test_flops_per_token_any_sizes_hidden():
    seed = fresh_seed()
    for n_head in (1, 3):
        config = some_config(seed + n_head, n_head)
        for n in (config.context, config.context - 2, 1):
            check_flops(config, n)


def test_flops_per_token_refuses_a_long_text_hidden():
    config = some_config(fresh_seed())
    for n in (config.context + 1, 0, -1):
        check_refused(f"{n} tokens cannot be read at once in a context of {config.context}", flops_per_token, config, n)


# %% test="training-flops" of="flops-per-token" points=1
def check_training_flops(config, batch_size):
    """Assert that learning from a batch of full windows costs what torch counts."""
    n_tokens = batch_size * config.context
    want = measured_flops(config, config.context, batch_size, backward=True)
    check_number(
        training_flops(config, n_tokens),
        want,
        "forward and backward together, for every token with a full context, are not what torch counts",
        mistakes={
            "this is three times your `flops_per_token` for each token, as it should be: that function is wrong, and its own "
            "tests say how": lambda: 3 * n_tokens * flops_per_token(config, config.context),
            "this is the forward pass alone: the backward pass computes products too": want / 3,
            "this is twice the forward pass: the backward pass alone takes as much, as every product has two factors": (
                want * 2 / 3
            ),
            "this is 6 FLOPs for each parameter and token, which is only near what torch counts": (
                6 * n_tokens * sum(counted(config).values())
            ),
            "this is the work for one token: it should be for all that are trained on": want / n_tokens,
            "each token is counted as a text of its own, but in a full window it meets the whole context": (
                3 * n_tokens * token_flops(config, 1)
            ),
        },
    )


def test_training_flops_as_torch_counts():
    check_training_flops(SMALL, 2)


def test_training_flops_of_part_of_a_window():
    window = measured_flops(SMALL, 11, 1, backward=True)
    check_number(
        training_flops(SMALL, 15),
        window * 15 / 11,
        "15 tokens in windows of 11 cost 15/11 of a window: the number of tokens need not fill the last one",
        mistakes={
            "windows are rounded down to whole ones, but 4 tokens more than a window cost something": window,
            "windows are rounded up to whole ones, but a part of a window costs its part": 2 * window,
        },
    )


def test_training_flops_at_other_sizes():
    want = measured_flops(OTHER, 7, 5, backward=True)
    hint = "right at the sizes before, wrong at others: does a size stand in your code as a number?"
    check_number(training_flops(OTHER, 35), want, hint)


# %% test="training-flops-any" of="flops-per-token" points=1
def test_training_flops_any_sizes_hidden():
    seed = fresh_seed()
    for batch_size in (1, 2, 3):
        check_training_flops(some_config(seed + batch_size), batch_size)
    config = some_config(seed)
    window = measured_flops(config, config.context, 1, backward=True)
    check_number(training_flops(config, 1), window / config.context, "a single token costs its part of a window")


# %% run
if __name__ == "__main__":
    with unless_blank():
        gpt3 = table_config(GPT3_TABLE[-1])
        one, two = (flops_per_token(gpt3, n) for n in (1, 2))
        length = one / (two - one)  # the work grows by the same amount with each token in view
        compare_prediction(
            "length at which attention's own products are half", predicted_length, round(length), unit="tokens"
        )
        print(f"That is {length / gpt3.d_model:.1f} times the width. At 2,048 they are {2048 / (2048 + length):.0%}.")
        one_day = training_flops(gpt3, 300_000_000_000) / (24 * 3600)
        print(f"Training on 300 billion tokens in a single day would take {one_day / 1e18:.1f} exaFLOP a second.")

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

# %% exercise="training-memory" difficulty=4 importance=3 minutes=35
from solutions.scale import training_memory


# %% test="training-memory" points=1
MEMORY_PARTS = ("activations", "gradients", "optimizer", "weights")


def test_training_memory_of_the_weights():
    got, n_params = training_memory(SMALL, 5), sum(counted(SMALL).values())
    check_parts(got, MEMORY_PARTS)
    check_number(
        got["weights"],
        4 * n_params,
        "the weights are all parameters, in float32",
        mistakes={"these are numbers, not bytes: a float32 number has four bytes": n_params},
    )
    check_number(
        got["gradients"],
        4 * n_params,
        "each weight has one gradient of the same kind",
        mistakes={"the gradients of all texts are summed, so there is one for each weight": 5 * 4 * n_params},
    )
    check_number(
        got["optimizer"],
        8 * n_params,
        "AdamW keeps two running means for each weight",
        mistakes={
            "the optimizer is counted as if it kept nothing, like plain SGD: AdamW keeps two running means": 0,
            "one running mean is counted for each weight, and AdamW keeps two": 4 * n_params,
        },
    )


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
    """Bytes of floating-point numbers that PyTorch keeps for the backward pass, beside the weights.

    A `Counter` of bytes by how many numbers for each token a tensor has.
    """
    state = {name: p.detach().requires_grad_() for name, p in GPT(config).named_parameters()}
    weights = {p.untyped_storage().data_ptr() for p in state.values()}
    kept = {}

    def keep(tensor):
        if tensor.is_floating_point() and tensor.ndim > 0 and tensor.untyped_storage().data_ptr() not in weights:
            kept[tensor.data_ptr()] = tensor  # held, so that no address is used twice
        return tensor

    ids = torch.zeros(batch_size, config.context, dtype=torch.long)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = plain_loss(state, config, ids)
    del loss  # only what it took to get back from it was wanted
    found = Counter()
    for tensor in kept.values():
        found[tensor.numel() // ids.numel()] += tensor.nbytes
    return found


def test_training_memory_of_twice_the_batch():
    one, two = training_memory(SMALL, 3), training_memory(SMALL, 6)
    check_number(two["activations"], 2 * one["activations"], "twice the batch should keep twice the activations")
    check_number(two["gradients"], one["gradients"], "the batch has no part in the gradients: they are summed over it")


def test_training_memory_as_torch_keeps_it():
    got, kept = training_memory(SMALL, 5)["activations"], bytes_kept(SMALL, 5)
    want, number = kept.total(), 4 * 55  # one float32 number for each token of 5 texts of 11
    pattern, wide, logits, pairs = kept[3 * 11], kept[48], kept[37], kept[1]
    off = (got - want) / number
    check_number(
        got,
        want,
        f"{abs(off):.6g} numbers a token are {'missing' if off < 0 else 'too many'}, at width 12, 3 heads, context 11, "
        "2 blocks and a vocabulary of 37",
        mistakes={
            "these are numbers, not bytes: a float32 number has four bytes": want / 4,
            "this is kept for one token of each text: a window has as many tokens as the context": want / 11,
            "this is kept with one block: every block keeps its own": bytes_kept(replace(SMALL, n_layer=1), 5).total(),
            "the attention pattern is missing: softmax keeps it": want - pattern,
            "one attention pattern is counted for all heads: every head has its own": want - pattern * 2 / 3,
            "half of the attention pattern is missing: masked places are kept like any other": want - pattern / 2,
            "the attention pattern is counted twice: the softmax shares it": want + pattern,
            "the logits are missing: the cross-entropy keeps a number for each token of the vocabulary": want - logits,
            "the logits are counted twice": want + logits,
            "four widths a token are missing in each block: gelu keeps its input, and so does the layer after it": (
                want - wide / 2
            ),
            "the two numbers a token that each norm keeps beside its input are missing": want - pairs,
            "three widths a token are missing in each block, as many as queries, keys and values": want - 72 * number,
            "one width a token is missing in each block: look at the inputs of norms and linear layers, and at queries, keys "
            "and values": want - 24 * number,
            "one norm is missing: the last one, after the blocks, keeps its input and two numbers as well": (
                want - 14 * number
            ),
            "one width a token is missing in the whole model: the unembedding keeps its input, and so does the last norm": want
            - 12 * number,
        },
    )


def test_training_memory_at_other_sizes():
    hint = "right at the sizes before, wrong at others: does a size stand in your code as a number?"
    for config, batch_size in ((OTHER, 3), (OTHER, 1), (replace(OTHER, n_head=1), 2)):
        check_number(training_memory(config, batch_size)["activations"], bytes_kept(config, batch_size).total(), hint)


# %% test="training-memory-any" of="training-memory" points=1
def test_training_memory_any_sizes_hidden():
    seed = fresh_seed()
    for n_head in (1, 2, 5):
        config, batch_size = some_config(seed + n_head, n_head), 1 + (seed + n_head) % 6
        got = training_memory(config, batch_size)
        check_parts(got, MEMORY_PARTS)
        hint = "not what torch keeps at other sizes"
        check_number(got["activations"], bytes_kept(config, batch_size).total(), hint)


# %% run
if __name__ == "__main__":
    with unless_blank():
        for batch_size in (1, 64):
            memory = training_memory(GPTConfig(1024, 128, d_model=64, n_head=4, n_layer=4), batch_size)
            shares = ", ".join(f"{part} {size / sum(memory.values()):.0%}" for part, size in memory.items())
            print(f"the small GPT of the course, {batch_size:2} texts at a time: {shares}")

# %% [markdown]
# ## What limits speed
#
# A processor can do only so many FLOPs a second, and its memory deliver only so many bytes. Which of the two a product
# of matrices runs into depends on its FLOPs per byte, its *arithmetic intensity*. The roofline says how fast it can be
# at best. Both are given.

# %% given="roofline"
from solutions.scale import arithmetic_intensity, roofline

# %% [markdown]
# The point where the roof's slope meets its flat part is called the ridge. When a model reads m tokens at once, each of
# its weights, a (k, n) matrix, is multiplied by m rows. How many rows does it take to reach the ridge?
#
# <details><summary>Hint: where to begin</summary>
#
# Write down how many seconds the computing takes, and how many the moving, and set them equal. Both grow with m.
#
# </details>
#
# <details><summary>Hint: why it may be never</summary>
#
# However many rows there are, they have to be read, and the results to be written. What does the arithmetic intensity
# come near when m is very large?
#
# </details>

# %% exercise="ridge" difficulty=3 importance=4 minutes=25
from solutions.scale import ridge_rows


# %% test="ridge" points=3
def measured_intensity(m, k, n, dtype):
    """FLOPs that PyTorch counts for a product, by the bytes of the three matrices."""
    a, b = torch.zeros(m, k, dtype=dtype), torch.zeros(k, n, dtype=dtype)
    with FlopCounterMode(display=False) as counter:
        product = a @ b
    return counter.get_total_flops() / (a.nbytes + b.nbytes + product.nbytes)


def check_ridge(m, k, n, dtype, hint):
    """Assert that m rows are found on a machine made for them: one whose ridge is their measured intensity."""
    bandwidth, size = 2e9, torch.zeros((), dtype=dtype).nbytes
    got = ridge_rows(k, n, bandwidth * measured_intensity(m, k, n, dtype), bandwidth, size)
    check_number(got, m, hint, 1e-6)


def test_ridge_of_a_small_product():
    # 5 rows: 2 * 5 * 12 * 20 = 2,400 FLOPs; 60 + 240 + 100 numbers of 4 bytes are 1,600 bytes.
    check_number(
        ridge_rows(12, 20, peak=3e9, bandwidth=2e9),
        5.0,
        "with 5 rows, 2,400 FLOPs at 3 billion a second take as long as 1,600 bytes at 2 billion a second",
        1e-6,
        mistakes={
            "a multiplication and an addition are two FLOPs, and here they count as one": 30.0,
            "numbers are counted, not bytes: by default a number has four": 360 / 432,
            "the bytes of the result are missing: it has to be written": 1440 / 408,
            "the bytes of the m rows are missing: they have to be read": 4.0,
            "only the weight's bytes are counted: the m rows are read and the result is written": 3.0,
            "the weight's bytes are missing: it has to be read": 0.0,
            "peak and bandwidth are swapped: the ridge is at peak / bandwidth FLOPs a byte": 640 / (480 - 256 / 3),
        },
    )


def test_ridge_that_is_no_whole_number():
    # 2 * 5.5 * 12 * 20 FLOPs, and 5.5 * 12 + 240 + 5.5 * 20 numbers.
    got = ridge_rows(12, 20, peak=2640.0, bandwidth=4 * 416.0)
    rounded = "the number of rows is rounded, and it need not be whole"
    check_number(got, 5.5, "5.5 rows is where both take as long", 1e-6, mistakes={rounded: 5.0, f"{rounded}: 5.5": 6.0})


def test_ridge_of_less_than_a_row():
    # 2 * 0.5 * 12 * 20 FLOPs, and 0.5 * 12 + 240 + 0.5 * 20 numbers.
    got = ridge_rows(12, 20, peak=240.0, bandwidth=4 * 256.0)
    mistakes = {"half a row is made one: the result may be less than 1": 1.0}
    check_number(got, 0.5, "half a row is where both take as long", 1e-6, mistakes=mistakes)


def test_ridge_of_numbers_of_other_sizes():
    sized = ridge_rows(12, 20, peak=3e9, bandwidth=2e9, bytes_per_number=2)
    hint = "numbers of half the bytes reach the ridge with fewer rows"
    check_number(sized, 720 / 384, hint, 1e-6, mistakes={"the bytes of a number are fixed in your code": 5.0})
    for m, k, n, dtype in ((1, 30, 7, torch.float32), (64, 9, 30, torch.bfloat16), (3, 40, 40, torch.float64)):
        check_ridge(m, k, n, dtype, "right for one product, wrong for another: which matrix has which sizes?")


def test_ridge_that_is_reached_late():
    hint = "a ridge just below what ever more rows come near is reached, though only by 10,000 rows"
    check_ridge(10_000, 16, 16, torch.float32, hint)


def test_ridge_that_is_never_reached():
    # However many rows there are, each has 512 FLOPs and 128 bytes: the intensity comes near 4, and never gets there.
    for peak in (20.0, 1e9, 16.0):
        got = ridge_rows(16, 16, peak=peak, bandwidth=4.0)
        assert got == math.inf, (
            f"a ridge at {peak / 4:,} FLOPs a byte: a (16, 16) weight has 512 FLOPs and 128 bytes for each row, so no number of "
            f"rows gets as far as 4 FLOPs a byte; the result should be infinite (math.inf), but it is {called(got)}"
        )


# %% test="ridge-any" of="ridge" points=1
def test_ridge_of_any_product_hidden():
    seed = fresh_seed()
    m, k, n = 1 + seed % 70, 20 + seed % 9, 40 + seed % 13
    for dtype in (torch.float32, torch.bfloat16):
        for rows in (m, 1):
            check_ridge(rows, k, n, dtype, "wrong for another product, in numbers of another size")
    few = ridge_rows(k, n, 0.1 * measured_intensity(1, k, n, torch.float32), 1.0)
    assert 0 < few < 0.1, f"a tenth of the intensity of one row takes less than a tenth of a row, not {called(few)}"
    most = k * n / (2 * (k + n))  # FLOPs a byte, in float32
    assert ridge_rows(k, n, 1.5 * most, 1.0) == math.inf, (
        "no number of rows gets beyond this ridge: the result is infinite"
    )


# %% [markdown]
# ### Your machine
#
# Now measure. The next cells find out what one thread of this machine can do, and then time products of rows with a
# weight that does not fit into the processor's caches: it comes in blocks, and each product takes the next one.
#
# A guess first. 64 rows are 64 times the work of a single one. How many times as long do they take?

# %% given="machine"
from solutions.scale import Machine, best_seconds, large_weight, last_level_cache, measure_machine

# %% run
if __name__ == "__main__":
    predicted_times = None  # your guess

# %% run tags=["nbval-ignore-output"]
if __name__ == "__main__":
    import matplotlib.pyplot as plt

    torch.set_num_threads(1)
    with unless_blank():
        ridge_rows(1024, 4096, 1.0, 1.0)  # your function has a say before anything is measured
        weight = large_weight(1024, 4096)
        machine = measure_machine(weight=weight)
        weight_size, cache = sum(block.nbytes for block in weight), last_level_cache() or math.nan
        print(f"weight: {weight_size / 2**20:,.0f} MB, {weight_size / cache:.1f} times the largest cache")
        print(f"{machine.peak / 1e9:.0f} billion FLOPs a second, {machine.bandwidth / 1e9:.0f} billion bytes a second")
        ridge = ridge_rows(1024, 4096, machine.peak, machine.bandwidth)
        print(f"your function predicts that from {ridge:.0f} rows on the processor is the limit")

# %% run tags=["nbval-ignore-output"]
if __name__ == "__main__":
    with unless_blank():
        ridge_rows(1024, 4096, 1.0, 1.0)
        rows, spent, blocks = [2**i for i in range(10)], [], cycle(weight)
        for m in rows:
            a, product = torch.randn(m, 1024), torch.empty(m, 4096)
            spent.append(best_seconds(lambda a=a, out=product: torch.mm(a, next(blocks), out=out), 10))
        del weight, blocks
        compare_prediction("seconds of 64 rows, over those of one", predicted_times, round(spent[6] / spent[0], 1))
        work = [2 * m * 1024 * 4096 for m in rows]
        fine = torch.logspace(0, math.log10(512), 200).tolist()
        intensity = torch.tensor([arithmetic_intensity(m, 1024, 4096) for m in fine])
        roof = roofline(intensity, machine.peak, machine.bandwidth)
        plt.figure(figsize=(6, 3))
        plt.loglog(fine, roof / 1e9, color="black", label="roofline")
        plt.loglog(
            rows, [flops / seconds / 1e9 for flops, seconds in zip(work, spent, strict=True)], "o", label="measured"
        )
        plt.axvline(ridge, color="grey", linestyle=":", label="ridge, as predicted")
        plt.xticks(rows, [str(m) for m in rows])
        plt.minorticks_off()
        plt.xlabel("rows that share the weight")
        plt.ylabel("billion FLOPs a second")
        plt.title("One weight from memory, for more and more rows: measured, and the roof", fontsize=10)
        plt.legend()
        plt.show()

# %% [markdown]
# A dot below the roof is no wonder, as the roof is only the most that can be reached: a library's kernel for 8 rows is seldom
# as good as that for 512. A dot above it means that the roof was measured too low there: the bandwidth is what adding up
# the weight's numbers reached, and other ways to read may be faster, most of all if a cache still holds a part of the weight.
#
# ### Writing for many
#
# When a model writes, each step multiplies a single row by every weight, and you have seen how little of the machine a
# single row uses. So one writes many texts at once. For each text the model keeps a key-value cache: the keys and values
# of all tokens in view, so that they are computed only once. What do the texts share, and what does each need for itself?
#
# <details><summary>Hint: what is shared</summary>
#
# Write down what a step reads and computes for one text, and then for two. What has doubled?
#
# </details>

# %% exercise="decoding-rate" difficulty=3 importance=3 minutes=30 replaces="transformers"
from solutions.scale import decoding_rate, kv_cache_bytes


# %% test="kv-cache" of="decoding-rate" points=1
def test_kv_cache_as_transformers_fills_it():
    config = replace(SMALL, n_layer=5)
    want = library_cache_bytes(library_gpt2(config), 7, batch_size=6)  # of float32 numbers
    check_number(
        kv_cache_bytes(config, 7, batch_size=6, bytes_per_number=1),
        want / 4,
        "not as many numbers as transformers keeps: a key and a value of the width, in every layer, for every token",
        mistakes={
            "this is half: both keys and values are kept": want / 8,
            "queries are counted too, but a query is not used again": want * 3 / 8,
            "this is the cache of one layer: every layer keeps its own": want / 4 / 5,
            "the heads share the width: do not count it for each of them": want / 4 * 3,
            "this is what one head keeps: all heads together have the whole width": want / 4 / 3,
            "this is a cache filled to the whole context: only n tokens are in it": want / 4 * 11 / 7,
            "this is for one text: each text of the batch has its own cache": want / 4 / 6,
            "the bytes of a number are fixed in your code: they are an argument, here 1": want / 2,
        },
    )
    hint = "with four bytes a number the cache takes four times as many as with one"
    check_number(kv_cache_bytes(config, 7, batch_size=6, bytes_per_number=4), want, hint)
    check_number(kv_cache_bytes(config, 7), want / 12, "the defaults are one text, and two bytes a number")


def check_empty_cache(config):
    """Assert that a cache without tokens has no bytes, and is no error."""
    hint = "a cache without tokens is no error: it has 0 bytes"
    check_number(accepted(hint, kv_cache_bytes, config, 0), 0, hint)


def test_kv_cache_from_empty_to_full():
    check_empty_cache(SMALL)
    hint = "a full cache holds the whole context"
    check_number(accepted(hint, kv_cache_bytes, SMALL, 11), 11 * kv_cache_bytes(SMALL, 1), hint)
    check_refused("a cache for 12 tokens in a context of 11", kv_cache_bytes, SMALL, 12)
    check_refused("a cache for less than no tokens", kv_cache_bytes, SMALL, -1)


def test_kv_cache_at_other_sizes():
    want = library_cache_bytes(library_gpt2(OTHER), 4, batch_size=2)
    hint = "right at the sizes before, wrong at others: does a size stand in your code as a number?"
    check_number(kv_cache_bytes(OTHER, 4, batch_size=2, bytes_per_number=4), want, hint)


# %% test="kv-cache-any" of="decoding-rate" points=1
def test_kv_cache_any_sizes_hidden():
    config = some_config(fresh_seed())
    want = library_cache_bytes(library_gpt2(config), config.context, batch_size=2)
    hint = "not what transformers keeps at other sizes"
    check_number(kv_cache_bytes(config, config.context, batch_size=2, bytes_per_number=4), want, hint)
    check_empty_cache(config)
    for n in (config.context + 1, -1):
        check_refused(f"a cache for {n} tokens in a context of {config.context}", kv_cache_bytes, config, n)


# %% test="decoding-rate" points=1
def test_decoding_is_limited_by_reading():
    weights = 2 * sum(counted(SMALL).values())
    cache = library_cache_bytes(library_gpt2(SMALL), 5) / 2  # two bytes a number
    alone = 1e6 / (weights + cache)
    endless = {"peak": 1e18, "bandwidth": 1e6}
    check_number(
        decoding_rate(SMALL, 5, 1, **endless),
        alone,
        "with an endless peak, a step takes as long as reading all weights and the cache",
        mistakes={
            "the cache is missing: every step reads the keys and values of all that is in view": 1e6 / weights,
            "the weights are missing: every step reads all of them": 1e6 / cache,
            "a token too many is in the cache: the n tokens in view are all that is read": 1e6
            / (weights + cache / 5 * 6),
            "a token is missing in the cache: all n tokens in view are read, the newest too": 1e6
            / (weights + cache / 5 * 4),
            "these are seconds a token: tokens a second are wanted": 1 / alone,
            "numbers are counted, not bytes: they have two bytes by default": 2 * alone,
            "the faster of the two decides here, and it should be the slower": 1e18 / token_flops(SMALL, 5),
        },
    )
    many = 50e6 / (weights + 50 * cache)
    check_number(
        decoding_rate(SMALL, 5, 50, **endless),
        many,
        "50 texts at once read the weights only once, and each its own cache",
        mistakes={
            "these are the tokens of one text: those of all texts count": many / 50,
            "the weights are read anew for each text: one reading serves all of them": alone,
            "one cache is read for all texts: each has its own": 50 * alone,
        },
    )
    hint = "with numbers of twice the bytes reading takes twice as long: is the size of a number used?"
    check_number(decoding_rate(SMALL, 5, 50, **endless, bytes_per_number=4), many / 2, hint)


def test_decoding_is_limited_by_computing():
    config = replace(SMALL, context=64)
    want = 1e6 / token_flops(config, 5)
    check_number(
        decoding_rate(config, 5, 7, peak=1e6, bandwidth=1e18),
        want,
        "with endless bandwidth, each token costs its FLOPs, whatever the batch",
        mistakes={
            "the work of one text is counted: a step computes a token of each text": 7 * want,
            "the work is that of a full context: only n tokens are in view": 1e6 / token_flops(config, 64),
            "only the time to read counts here: computing can be slower": (
                7e18 / (2 * sum(counted(config).values()) + 7 * library_cache_bytes(library_gpt2(config), 5) / 2)
            ),
        },
    )


def check_balance(config, n, batch_size, slower):
    """Assert the rate on a machine on which reading takes a second, and computing `slower` seconds."""
    cache = library_cache_bytes(library_gpt2(config), n, batch_size)
    reading, computing = 4 * sum(counted(config).values()) + cache, batch_size * token_flops(config, n)
    check_number(
        decoding_rate(config, n, batch_size, peak=computing / slower, bandwidth=reading, bytes_per_number=4),
        batch_size / max(1, slower),
        "where reading and computing take about as long, the slower of the two decides",
        mistakes={
            "reading and computing overlap, so the slower of the two decides, not their sum": batch_size / (1 + slower)
        },
    )


def test_decoding_takes_as_long_as_the_slower_of_both():
    for slower in (0.8, 1.25):
        check_balance(SMALL, 5, 3, slower)


def test_decoding_rate_at_other_sizes():
    reading = sum(counted(OTHER).values()) + 4 * library_cache_bytes(library_gpt2(OTHER), 6) / 4  # one byte a number
    hint = "right at the sizes before, wrong at others: does a size stand in your code as a number?"
    check_number(decoding_rate(OTHER, 6, 4, 1e18, 1e6, bytes_per_number=1), 4e6 / reading, hint)
    check_number(decoding_rate(OTHER, 6, 4, 1e6, 1e18, bytes_per_number=1), 1e6 / token_flops(OTHER, 6), hint)


# %% test="decoding-rate-any" of="decoding-rate" points=1
def test_decoding_rate_any_machine_hidden():
    seed = fresh_seed()
    config = some_config(seed)
    for slower in (0.2, 0.9, 1.1, 5):
        check_balance(config, config.context, 2 + seed % 30, slower)


# %% run
if __name__ == "__main__":
    with unless_blank():
        import matplotlib.pyplot as plt

        gpt3 = table_config(GPT3_TABLE[-1])
        batches = [2**i for i in range(11)]
        plt.figure(figsize=(6, 3))
        for n in (128, 2048):
            rates = [decoding_rate(gpt3, n, batch, peak=1e15, bandwidth=3e12) for batch in batches]
            plt.loglog(batches, rates, "o-", markersize=3, label=f"{n:,} tokens in view")
        plt.xticks([1, 10, 100, 1000], ["1", "10", "100", "1,000"])
        plt.xlabel("texts written at once")
        plt.ylabel("tokens a second, at most")
        plt.title("GPT-3 at 10¹⁵ FLOPs and 3 × 10¹² bytes a second: long texts gain less", fontsize=10)
        plt.legend()
        plt.show()

# %% [markdown]
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
def check_entropy(probabilities, want, hint, mistakes=()):
    """Assert an entropy to within the relative error that the task allows."""
    got = markov_entropy(probabilities.clone())
    if isinstance(got, float) and 1e-4 < abs(got / want - 1) < 1e-3:
        hint = (
            "close, but not to within a relative error of 1e-4: the shares of time are not exact enough. An average over a "
            "long run comes near them only slowly; linear equations give them at once"
        )
    check_number(got, want, hint, 1e-4, mistakes=dict(mistakes))


def test_markov_entropy_of_a_die():
    check_entropy(
        torch.full((3, 3), 1 / 3, dtype=torch.float64),
        math.log(3),
        "a fair die of three sides has ln 3 = 1.0986 nats",
        {
            "this is in bits, and should be in nats: use the natural logarithm": math.log2(3),
            "the entropy is negative: probabilities below 1 have negative logarithms": -math.log(3),
            "the rows' entropies are added up, and each should count by the share of time in its state": 3
            * math.log(3),
            "this is the entropy of two symbols, a state and the next: the rate is that of the next alone": 2
            * math.log(3),
        },
    )


def test_markov_entropy_of_a_lazy_chain():
    # State 0 is left with chance 0.1, state 1 with chance 0.4: four fifths of the time go to state 0.
    lazy = torch.tensor([[0.9, 0.1], [0.4, 0.6]], dtype=torch.float64)
    often, seldom = torch.special.entr(lazy).sum(1).tolist()
    of_shares = torch.special.entr(torch.tensor([0.8, 0.2], dtype=torch.float64)).sum().item()
    want = 0.8 * often + 0.2 * seldom
    check_entropy(
        lazy,
        want,
        "each row's entropy counts by the share of time that the chain spends in its state, here 0.8 and 0.2",
        {
            "both states count alike here, but the chain spends 0.8 of its time in the first": (often + seldom) / 2,
            "this is the entropy of the shares of time, 0.8 and 0.2: a step depends on the state that it begins in": of_shares,
            "this is the entropy of two symbols, a state and the next: the rate is that of the next alone": of_shares
            + want,
            "the shares of time are taken as 0.65 and 0.35, but these are only the shares one step after equal ones": (
                0.65 * often + 0.35 * seldom
            ),
            "the shares of time are swapped: the chain spends 0.8 of its time in the first state": (
                0.2 * often + 0.8 * seldom
            ),
        },
    )


def test_markov_entropy_without_chance():
    turning = markov_entropy(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    assert not math.isnan(turning), "the result is nan for a chain without chance: it has entropy 0, as 0 ln 0 is 0"
    assert abs(turning) < 1e-4, f"a chain without chance has entropy 0, not {turning}"


def check_chain(probabilities, hint):
    check_entropy(probabilities, entropy_by_multiplying(probabilities), hint)


def test_markov_entropy_of_several_states():
    states = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.5, 0.3, 0.2]], dtype=torch.float64)
    check_chain(states, "wrong for a chain of three states: how much time goes to each?")
    slow = torch.tensor([[0.99, 0.01, 0], [0.02, 0.97, 0.01], [0, 0.01, 0.99]], dtype=torch.float64)
    check_chain(slow, "wrong for a chain that seldom changes its state: it takes long to settle")
    turns = torch.tensor([[0, 0, 0.5, 0.5], [0, 0, 0.9, 0.1], [0.2, 0.8, 0, 0], [0.6, 0.4, 0, 0]], dtype=torch.float64)
    check_chain(turns, "wrong for a chain that alternates between two halves: it never settles")


def test_markov_entropy_refuses_rows_that_do_not_sum_to_1():
    lazy = torch.tensor([[0.9, 0.1], [0.4, 0.6]], dtype=torch.float64)
    off = lazy.clone()
    off[1, 0] += 5e-5
    assert isinstance(markov_entropy(off), float), "a sum within 1e-4 of 1 is rounding, and no mistake"
    off[1, 0] = 0.9
    check_refused("a row that sums to 1.5", markov_entropy, off)
    off[0, 0] = 0.4
    check_refused("rows that sum to 0.5 and 1.5, though to 1 on average", markov_entropy, off)
    for change in (1.5e-4, -1.5e-4):
        off = lazy.clone()
        off[1, 0] += change
        check_refused(f"a row that sums to {off[1].sum():.5g}", markov_entropy, off)


# %% test="markov-entropy-any" of="markov-entropy" points=1
def test_markov_entropy_of_any_chain_hidden():
    seed = fresh_seed()
    n = 5 + seed % 6
    probabilities = torch.rand(n, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) ** 4 + 1e-3
    probabilities = probabilities / probabilities.sum(1, keepdim=True)
    check_chain(probabilities, "wrong for a chain of several states: how much time goes to each?")
    slow = 0.98 * torch.eye(n, dtype=torch.float64) + 0.02 * probabilities
    check_chain(slow, "wrong for a chain that seldom changes its state: it takes long to settle")


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
# Five GPTs, each about three times larger than the one before, have learned the same made-up language. These are the
# losses that we measured (`python -m bench.scale` trains them again). At the end you train such models yourself, on
# another language.

# %% given="ladder"
from solutions.scale import MEASURED_LADDER, markov_source

# %% [markdown]
# <details><summary>Hint</summary>
#
# If the floor were known, log(loss - floor) against log(size) would be a straight line, whose slope and R² have closed
# forms. Try many floors at once: a column of floors against a row of losses.
#
# </details>
#
# <details><summary>Hint: which floors to try</summary>
#
# The floor can lie anywhere from far below the least loss to just below it, where evenly spaced floors are too few. What
# matters is how far below the least loss a floor lies: space these distances by their logarithm, from the whole least loss
# down to a tiny part of it, and then more finely around the best. Or go on from evenly spaced floors with ever finer
# ones, until the steps are as small as the task asks.
#
# </details>

# %% exercise="fit-power-law" difficulty=4 importance=5 minutes=50 replaces="scipy"
from solutions.scale import fit_power_law


# %% test="fit-power-law" points=2
def planted(floor, factor, exponent, sizes):
    """Losses that follow a law exactly."""
    return [floor + factor * size**-exponent for size in sizes]


def check_fit(sizes, floor, factor, exponent, hint):
    """Assert that what is fitted to losses that follow a law exactly is this law."""
    losses = planted(floor, factor, exponent, sizes)
    got, least = fit_power_law(sizes, losses), min(losses)
    is_three = isinstance(got, tuple | list) and len(got) == 3
    assert is_three, f"three numbers are wanted, floor, factor and exponent, not {called(got)}"
    for number in got:
        assert isinstance(number, int | float), f"three numbers are wanted, and one of yours is {called(number)}"
    laws = zip(sorted(got), sorted((floor, factor, exponent)), strict=True)
    moved = abs(got[0] - floor) > 1e-2 * floor and all(abs(a - b) <= 1e-2 * b for a, b in laws)
    assert not moved, "the three numbers are right, but they should come in another order: floor, factor, exponent"
    figures = f"your floor is {got[0]:.8g}, it should be {floor:.8g}, and the least loss is {least:.8g}"
    assert got[0] >= 0, f"the floor is negative, and it should lie between 0 and the least loss ({figures}); {hint}"
    assert got[0] > 0, f"the floor is 0, as if the losses of ever larger models fell to nothing ({figures}); {hint}"
    assert got[0] < least, f"the floor is not below the least loss ({figures}); {hint}"
    assert got[0] - floor < least - got[0], f"the floor lies too near the least loss ({figures}); {hint}"
    assert least - got[0] < 2 * (least - floor) or abs(got[0] - floor) > 0.05 * floor, (
        f"the floor lies too far below the least loss: does your search try floors as near to it as this one? "
        f"({figures}); {hint}"
    )
    assert abs(got[0] - floor) < 0.05 * floor, f"the floor is not the planted one ({figures}); {hint}"
    near = "the floor is near the planted one, but not to within 1e-6 of the least loss: search more finely, in float64"
    assert abs(got[0] - floor) <= 1e-6 * least, f"{near} ({figures}); {hint}"
    check_number(
        got[2],
        exponent,
        f"the floor is right, but not the exponent; {hint}",
        1e-3,
        mistakes={"the exponent should be positive: the slope of the line is its negative": -exponent},
    )
    check_number(
        got[1],
        factor,
        f"floor and exponent are right, but not the factor; {hint}",
        1e-2,
        mistakes={"this is the logarithm of the factor": math.log(factor)},
    )


def test_fit_power_law_finds_what_was_planted():
    check_fit([1e3, 3e3, 1e4, 5e4, 1e5], 2.0, 30.0, 0.3, "the losses follow 2 + 30 N^-0.3 exactly")
    check_fit([1e3, 4e3, 2e4, 1e5], 0.3, 9.0, 0.5, "four sizes are enough, and losses may lie below 1")
    check_fit([2e2, 7e2, 4e3, 1e5, 1e6], 3.0, 500.0, 0.9, "the largest models have nearly reached the floor")
    check_fit([1e3, 2e3, 4e3, 8e3], 3.4, 10.0, 0.17, "sizes may lie near each other: every digit of the losses counts")
    hint = "the floor may lie anywhere between 0 and the least loss, here below a third of it"
    check_fit([1e3, 1e4, 1e5, 1e6, 1e7], 0.5, 30.0, 0.2, hint)


def test_fit_power_law_of_sizes_in_any_order():
    hint = "the losses follow 2 + 30 N^-0.3 exactly, but neither the first nor the last size is the largest"
    check_fit([1e4, 1e5, 3e3, 5e4, 1e3], 2.0, 30.0, 0.3, hint)


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


def unexplained(sizes, losses, floor):
    """The sum of the squares of what a line through log excess loss against log size leaves over."""
    logs = torch.tensor([math.log(loss - floor) for loss in losses], dtype=torch.float64)
    return (1 - straightness(sizes, losses, floor)) * (logs - logs.mean()).square().sum().item()


def check_line(sizes, losses):
    """Assert that no other floor makes the line straighter, and that factor and exponent are this line's."""
    floor, factor, exponent = fit_power_law(sizes, losses)
    assert 0 <= floor < min(losses), f"the floor must lie between 0 and the least loss, and it is {floor:.4g}"
    floors = [min(losses) * i / 2000 for i in range(2000)]
    tried = {other: straightness(sizes, losses, other) for other in floors}
    straightest = max(tried, key=lambda other: tried[other])
    reached = straightness(sizes, losses, floor)
    figures = f"R^2 is {reached:.5f} at your floor of {floor:.4f}, and {tried[straightest]:.5f} at a floor of {straightest:.4f}"
    closest = min(floors, key=lambda other: unexplained(sizes, losses, other))
    is_straightest = 1 - reached <= 1.05 * (1 - tried[straightest]) + 1e-9
    assert is_straightest or abs(floor - closest) > min(losses) / 1000, (
        f"at your floor the line's squared errors are least, and R^2 is not largest: R^2 compares them with the variance of "
        f"the log excess, which a lower floor makes smaller as well ({figures})"
    )
    assert is_straightest, f"another floor makes the line straighter ({figures})"
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


def test_fit_power_law_takes_the_straightest_line_through_the_ladder():
    sizes, losses = zip(*MEASURED_LADDER, strict=True)
    check_line(list(sizes), list(losses))


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
        check_refused(f"{case}, to which no law can be fitted", fit_power_law, some_sizes, some_losses)


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
    hint = "the largest models have nearly reached the floor"
    check_fit([2e2, 7e2, 4e3, 1e5, 1e6], 2.0 + seed % 3, 500.0 + seed % 50, 0.9, hint)
    hint = "the floor may lie anywhere between 0 and the least loss, here below a third of it"
    check_fit([1e3, 1e4, 1e5, 1e6, 1e7], 0.4 + 0.01 * (seed % 10), 30.0 + seed % 20, 0.2, hint)
    for i in range(3):
        floor, factor, exponent = 0.5 + (seed + i) % 5, 5.0 + (seed + 7 * i) % 90, 0.15 + 0.03 * ((seed + i) % 6)
        sizes = [10 ** (4 + step) * (1 + (seed + step) % 3) for step in range(7)]
        check_fit(sizes, floor, factor, exponent, "sizes may lie millions apart")


def test_fit_power_law_of_noisy_losses_hidden():
    seed = fresh_seed()
    sizes = [1000.0 * 2**step for step in range(8)]
    exact = planted(1.5, 40.0, 0.4, sizes)
    for noise in numbers(seed, 5, 8, scale=0.02, dtype=torch.float64).tolist():
        check_line(sizes, [1.5 + (loss - 1.5) * (1 + off) for loss, off in zip(exact, noise, strict=True)])


def test_fit_power_law_refuses_what_cannot_be_fitted_hidden():
    check_unfit(100.0 + fresh_seed() % 50)


# %% run
if __name__ == "__main__":
    with unless_blank():
        ladder_floor, _, ladder_exponent = fit_power_law(*zip(*MEASURED_LADDER, strict=True))
        print(f"your fit of the five losses: a floor of {ladder_floor:.3f} nats, exponent {ladder_exponent:.2f}")
        print(f"the entropy of their language, by your markov_entropy: {markov_entropy(markov_source()):.3f} nats")

# %% [markdown]
# The models were never told this number, and neither was your fit.
#
# ## How to spend a budget
#
# Hoffmann et al. trained over 400 models and fitted one law for parameters and data together. It has two famous sets
# of constants: the ones they printed, and those that Besiroglu et al. got in 2024 when they read the data off the
# paper's figure and fitted again; the first fit had stopped too early, and its rounding matters.

# %% given="laws"
from solutions.scale import BESIROGLU, HOFFMANN, ScalingLaw, parametric_loss

# %% [markdown]
# Training a model of N parameters on D tokens costs about 6ND FLOPs. So a budget buys a large model that reads little,
# or a small one that reads much, and the law above says which loss each would have. Find the best: not by trying, but by
# a formula that you work out on paper.
#
# <details><summary>Hint: one unknown</summary>
#
# The whole budget is spent, so D is C / (6N). Put that into the law. What is left depends on N alone.
#
# </details>
#
# <details><summary>Hint: where the bottom of the valley is</summary>
#
# One part of the law falls as N grows, the other rises. Take the derivative by N or, with less to write, by ln N: that of
# $N^{-a}$ by $\ln N$ is $-a N^{-a}$. At the bottom the derivative is zero.
#
# </details>
#
# <details><summary>Hint: to the formula</summary>
#
# You have an equation with a power of N on one side and a power of D on the other. Put C / (6N) for D once more, bring
# all powers of N to one side, and take the root.
#
# </details>

# %% exercise="chinchilla" difficulty=4 importance=5 minutes=40 replaces="scipy"
from solutions.scale import chinchilla_optimal


# %% test="chinchilla" points=3
def least_by_trying(flops, law, of=lambda by_size, by_data: by_size + by_data):
    """The size with the least loss, or the least `of` its two parts, among 200,001 that are 0.01 per cent apart."""
    near = math.log(flops / 6) / 2
    n = torch.exp(near + torch.linspace(-10, 10, 200_001, dtype=torch.float64))
    d = flops / 6 / n
    tried = of(law.size_factor * n**-law.size_exponent, law.data_factor * d**-law.data_exponent)
    return n[tried.argmin()].item()


def check_optimal(flops, law, hint):
    """Assert that size and tokens are the best along the budget."""
    got = chinchilla_optimal(flops, law)
    is_two = isinstance(got, tuple | list) and len(got) == 2
    assert is_two, f"two numbers are wanted, parameters and tokens, not {called(got)}"
    for number in got:
        assert isinstance(number, int | float), f"two numbers are wanted, and one of yours is {called(number)}"
    check_number(
        6 * got[0] * got[1],
        flops,
        "parameters and tokens together should cost 6ND FLOPs, the whole budget",
        1e-6,
        mistakes={
            "parameters times tokens is the whole budget here, but each pair of them costs 6 FLOPs": 6 * flops,
            "training costs 6ND FLOPs: 2ND is the forward pass alone": 3 * flops,
        },
    )
    best = least_by_trying(flops, law)
    a, b = law.size_exponent, law.data_exponent
    swapped = replace(law, size_exponent=b, data_exponent=a)
    weighed = replace(swapped, size_factor=law.size_factor * a / b, data_factor=law.data_factor * b / a)

    def if_best(other_flops, other_law):
        """The best size for another budget or law; the answer itself where it is that size, as the search finds it."""
        size = least_by_trying(other_flops, other_law)
        return got[0] if abs(got[0] / size - 1) < 1e-4 else size

    check_number(
        got[0],
        best,
        hint,
        1e-3,
        mistakes={
            "parameters and tokens are swapped: parameters come first": flops / 6 / best,
            "these are 20 tokens for each parameter, whatever the law says": (flops / 120) ** 0.5,
            "both parts of the loss are equal here, but that is not where their sum is least": (
                least_by_trying(flops, law, of=lambda by_size, by_data: (by_size - by_data).abs())
            ),
            "there are as many parameters as tokens, whatever the law says": (flops / 6) ** 0.5,
            "this would be the best size if training cost ND FLOPs: the 6 of 6ND is missing where the size comes from": (
                lambda: if_best(6 * flops, law)
            ),
            "the exponents of size and data are swapped": lambda: if_best(flops, swapped),
            "the exponents of size and data are swapped in the power of the budget": (lambda: if_best(flops, weighed)),
            "this is the best size by Hoffmann's law, whatever law was passed: every number should come from `law`": (
                lambda: if_best(flops, HOFFMANN)
            ),
            "this is the best size by Besiroglu's law, whatever law was passed: every number should come from `law`": (
                lambda: if_best(flops, BESIROGLU)
            ),
        },
    )


def test_chinchilla_optimal_is_the_minimum():
    hint = "another size has a lower loss for the same FLOPs"
    check_optimal(5.76e23, HOFFMANN, hint)
    hint = (
        "right by Hoffmann's law, but by Besiroglu's another size has a lower loss: every number should come from `law`"
    )
    check_optimal(5.76e23, BESIROGLU, hint)
    for flops in (1e18, 1e27):
        hint = "right for one budget, but for another there is a size with a lower loss"
        check_optimal(flops, BESIROGLU, hint)


def test_chinchilla_optimal_refuses_nothing():
    hint = "any positive budget can be spent, even a single FLOP"
    n_params, n_tokens = accepted(hint, chinchilla_optimal, 1.0, HOFFMANN)
    check_number(6 * n_params * n_tokens, 1.0, hint, 1e-6)
    check_refused("a budget of 0 FLOPs buys no model", chinchilla_optimal, 0, HOFFMANN)
    check_refused("a negative budget buys no model", chinchilla_optimal, -6, HOFFMANN)


# %% test="chinchilla-any" of="chinchilla" points=2
def test_chinchilla_optimal_of_any_law_hidden():
    seed = fresh_seed()
    law = ScalingLaw(1.0, 100.0 + seed % 300, 0.3 + 0.02 * (seed % 5), 2000.0 - seed % 900, 0.4 - 0.02 * (seed % 4))
    for flops in (1e18, 1e21, 1e25):
        check_optimal(flops, law, "another size has a lower loss under another law")
    check_refused("a budget of nothing buys no model", chinchilla_optimal, 0, law)


# %% [markdown]
# A guess: somebody trains a model of 8 billion parameters on 15 trillion tokens, much more text than is best for its
# FLOPs. By the corrected law, how much lower would the loss be with the best size for the same FLOPs? And what share of
# these FLOPs would do for the same loss, spent at its best?

# %% run
if __name__ == "__main__":
    predicted_gain = None  # your guess, in nats a token
    predicted_share = None  # your guess, in percent

# %% run
if __name__ == "__main__":
    with unless_blank():
        budget = 6 * 8e9 * 15e12
        best_n, best_d = chinchilla_optimal(budget, BESIROGLU)
        spent = parametric_loss(8e9, 15e12, BESIROGLU)
        gain = spent - parametric_loss(best_n, best_d, BESIROGLU)
        shares = [i / 1000 for i in range(1, 1001)]
        enough = (s for s in shares if parametric_loss(*chinchilla_optimal(s * budget, BESIROGLU), BESIROGLU) <= spent)
        share = next(enough, math.nan)
        compare_prediction("loss that it would save", predicted_gain, round(gain, 3), unit="nats a token")
        compare_prediction("share of the FLOPs", predicted_share, round(100 * share, 1), unit="percent")
        print(f"The best has {best_n / 1e9:.0f} billion parameters and reads {best_d / 1e12:.1f} trillion tokens.")
        print(f"But the small model costs {best_n / 8e9:.0f} times less for each token that it ever writes.")

# %% [markdown]
# <details><summary>Why train so long, then?</summary>
#
# The law asks what the training costs, and nothing else. Who serves a model to many readers pays for every token it writes,
# and that costs in proportion to its size: a small model that was trained too long can be the cheaper one in all.
#
# </details>

# %% [markdown]
# ### Running out of data
#
# The optimum asks for ever more text. When there is no more, a text can be read again; but what has been read before
# teaches less, and less with each repetition.
#
# <details><summary>Hint: adding up</summary>
#
# The next bit of reading, from r to r + dr repetitions, is dr texts long and worth $e^{-r / R^*}$ of that. Add up all
# bits: what is the integral from 0 to R?
#
# </details>

# %% exercise="effective-tokens" difficulty=3 importance=3 minutes=20
from solutions.scale import effective_tokens


# %% test="effective-tokens" points=1
def worth_of_repeats(repetitions, worth, steps=200_000):
    """What the repetitions of a text of length 1 are worth: each bit of reading e^(-r/worth), added up."""
    r = (torch.arange(steps, dtype=torch.float64) + 0.5) * (repetitions / steps)
    return (torch.exp(-r / worth).sum() * repetitions / steps).item()


def worth_of_epochs(epochs, worth=15.39):
    """What epochs of a text of length 1 are worth: the first in full, and the repetitions."""
    return min(epochs, 1) + worth_of_repeats(max(epochs - 1, 0), worth)


def test_effective_tokens_of_one_epoch():
    check_number(
        accepted("less than one epoch may be read", effective_tokens, 70.0, 100.0),
        70.0,
        "less than one epoch is all fresh",
        mistakes={
            "the first reading is no repetition: less than one epoch is all fresh": 100 * worth_of_repeats(0.7, 15.39),
            "the whole text is counted, but less than one epoch was read": 100.0,
        },
    )
    hint = "one epoch is all fresh: the first reading is no repetition"
    check_number(accepted(hint, effective_tokens, 100.0, 100.0), 100.0, hint)


def test_effective_tokens_of_many_epochs():
    check_number(
        effective_tokens(400.0, 100.0),
        100.0 * worth_of_epochs(4),
        "4 epochs are one fresh reading and 3 repetitions, of which each bit counts as much as it teaches",
        1e-6,
        mistakes={
            "each repetition counts in full what its beginning teaches, but it fades while it is read": 100.0
            * (1 + sum(math.exp(-r / 15.39) for r in (0, 1, 2))),
            "each repetition counts only what its end teaches, but it fades while it is read": 100.0
            * (1 + sum(math.exp(-r / 15.39) for r in (1, 2, 3))),
            "all repetitions count what the last bit teaches, but the bits before it teach more": 100.0
            * (1 + 3 * math.exp(-3 / 15.39)),
            "the repetitions are too few by a factor of R*: what is the integral of e^(-r/R*)?": 100.0
            * (1 + worth_of_repeats(3, 15.39) / 15.39),
            "the first reading is missing: it counts in full": 100 * worth_of_repeats(3, 15.39),
            "4 epochs are one fresh reading and 3 repetitions, not 4": 100 * worth_of_epochs(5),
            "repetitions are counted as if they were fresh": 400.0,
            "repetitions are counted as if they taught nothing": 100.0,
        },
    )
    check_number(
        effective_tokens(1e9, 100.0),
        100.0 * 16.39,
        "endless repetition is worth R* more readings and no more",
        1e-6,
        mistakes={"there is no limit of four epochs: the fifth still teaches something": 100 * worth_of_epochs(4)},
    )


def test_effective_tokens_of_part_of_an_epoch():
    check_number(
        effective_tokens(150.0, 100.0, worth=5.0),
        100.0 * worth_of_epochs(1.5, 5.0),
        "not one reading and half a repetition, at R* = 5",
        1e-6,
        mistakes={
            "epochs are cut to whole ones, but half an epoch counts too": 100.0,
            "epochs are rounded up to whole ones": 100 * worth_of_epochs(2, 5.0),
            "R* is 15.39 here, but it is an argument: `worth`": 100 * worth_of_epochs(1.5),
        },
    )


def test_effective_tokens_refuses_less_than_nothing():
    hint = "nothing read is worth nothing, and no error"
    check_number(accepted(hint, effective_tokens, 0.0, 100.0), 0.0, hint)
    hint = "any positive length is allowed, below 1 too: one epoch"
    check_number(accepted(hint, effective_tokens, 0.5, 0.5), 0.5, hint)
    check_refused("a text of no tokens", effective_tokens, 100.0, 0.0)
    check_refused("a text of a negative length", effective_tokens, 100.0, -1.0)
    check_refused("a negative number of tokens read", effective_tokens, -1.0, 100.0)


# %% test="effective-tokens-any" of="effective-tokens" points=1
def test_effective_tokens_of_any_text_hidden():
    seed = fresh_seed()
    unique, worth = 1e9 * (1 + seed % 9), 3.0 + seed % 8
    for epochs in (0.3, 1.5, 2.0 + seed % 5, 40.0):
        want = unique * worth_of_epochs(epochs, worth)
        hint = f"wrong for {epochs} epochs of another text, at another R*"
        check_number(effective_tokens(epochs * unique, unique, worth), want, hint, 1e-6)
    check_refused("a text of no tokens cannot be read", effective_tokens, 100.0, 0.0)
    check_refused("less than nothing cannot be read", effective_tokens, -1.0 - seed % 9, unique)


# %% [markdown]
# ## All together
#
# The last test uses nothing of ours: your parts judge GPT-3's training, and your fit must find the floor in losses
# that a law predicts.


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
        assert isinstance(width, int), "your width should be a whole number (int), as a model's width is"
        config = GPTConfig(100, 16, width, 1, n_layer)
        size = sum(count_params(config).values())
        check_number(
            size, sum(counted(config).values()), "your count should be the one of a model that is really built"
        )
        assert 0.8 * budget < size <= budget, "your width should nearly fill the number of parameters allowed"
        memory = training_memory(config, 2)
        assert isinstance(memory, dict), "your memory should be a dict of the parts"
        check_number(memory["weights"], 4 * size, "your memory should follow from your count")
        rate = decoding_rate(config, 16, 1, peak=1e30, bandwidth=1e9, bytes_per_number=4)
        reading = 4 * size + kv_cache_bytes(config, 16, 1, 4)
        check_number(rate, 1e9 / reading, "your decoding rate should follow from your count and your cache")
        check_number(
            training_flops(config, 1), 3 * flops_per_token(config, 16), "your training should follow from your FLOPs"
        )
        rows = ridge_rows(width, width, peak=4e11, bandwidth=1e11)  # 4 FLOPs a byte
        assert rows > 0, "your ridge should be a number of rows, above 0"
        check_number(1 / rows + 2 / width, 1 / 8, "your ridge should be where a product has 4 FLOPs a byte", 1e-6)


# %% [markdown]
# ## Climb the ladder yourself
#
# The next cell trains four models on another language than the one above, for some ten seconds. A fifth, 64 wide, takes
# nearly as long as the four together. What will its loss be?

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
    source, sizes, losses = markov_source(seed=1), [], []
    with unless_blank():
        entropy = markov_entropy(source)
        print(f"entropy of this language: {entropy:.3f} nats a symbol")
        for width in (4, 8, 16, 32):
            config = GPTConfig(vocab_size=256, context=32, d_model=width, n_head=max(1, width // 16), n_layer=2)
            sizes.append(sum(count_params(config).values()))
            losses.append(train_on_source(config, source, seed=1))
            print(f"width {width:2}: {sizes[-1]:7,} parameters, loss {losses[-1]:.3f}")
        assert losses[-1] > entropy, "no model can be better than the language allows"

# %% run
if __name__ == "__main__":
    predicted_fifth = None  # your guess: the loss with 118,528 parameters

# %% [markdown]
# Two laws make a guess as well. For one, your fit gets the four losses and nothing else. The other is told the floor: your
# `markov_entropy`.

# %% run tags=["nbval-ignore-output"]
if __name__ == "__main__":
    import numpy as np

    laws = {}
    if len(losses) < 4:
        print("The four models are not trained: the cell that trains them says what to write first.")
    else:
        with unless_blank():
            floor, factor, exponent = fit_power_law(sizes, losses)
            slope, height = np.polyfit(np.log(sizes), np.log(np.array(losses) - entropy), 1)
            laws = {
                f"floor fitted, {floor:.2f}": lambda n: floor + factor * n**-exponent,
                f"floor known, {entropy:.2f}": lambda n: entropy + np.exp(height) * n**slope,
            }
            for name, law in laws.items():
                print(f"{name}: the fifth's loss should be {law(118_528):.3f}")

# %% [markdown]
# Now the fifth itself, as it came out where this was written.

# %% given="fifth"
from solutions.scale import MEASURED_FIFTH

# %% run tags=["nbval-ignore-output"]
if __name__ == "__main__":
    import matplotlib.pyplot as plt

    fifth_size, fifth_loss = MEASURED_FIFTH
    if laws:
        compare_prediction("loss of the fifth", predicted_fifth, fifth_loss, unit="nats a symbol")
        line = np.logspace(3, 5.5, 50)
        plt.figure(figsize=(6, 3))
        for (name, law), style in zip(laws.items(), (":", "-"), strict=True):
            plt.loglog(line, law(line) - entropy, style, label=name)
        plt.loglog(sizes, np.array(losses) - entropy, "o", color="black", label="trained here")
        plt.loglog(fifth_size, fifth_loss - entropy, "o", color="black", markerfacecolor="white", label="the fifth")
        plt.xlabel("parameters N")
        plt.ylabel("loss above the entropy (nats)")
        plt.yticks([0.2, 0.5, 1], ["0.2", "0.5", "1"])
        plt.minorticks_off()
        plt.title("Two laws from the same four losses, and the fifth", fontsize=10)
        plt.legend()
        plt.show()

# %% [markdown]
# <details><summary>What the fifth says</summary>
#
# Near the four both laws agree; the further one goes beyond them, the more the floor matters. Four losses hardly tell a
# low floor with a small exponent from a higher floor with a larger one, and a straight line is no proof. A point that was not
# used for the fit can tell: which of the two laws came nearer?
#
# </details>

# %% [markdown]
# ## Explore
#
# Nothing here is graded. Follow one of these, or a question of your own, and write down below what you found.
#
# - *Too little text.* GPT-3's training cost your `training_flops` of 300 billion tokens. Suppose that only 50 billion
#   different tokens exist, so that more has to be read again. Put `effective_tokens` into the law: is the best model now
#   larger or smaller than with endless text, and how many epochs does it read? This is half of the law of Muennighoff et
#   al.: they also discount parameters that are too many for the text, and conclude that more of a budget should go into
#   epochs than into size. Why may the half alone say something else?
# - *Another language.* `markov_source(n_symbols=64)` has a smaller alphabet, and `train_on_source` takes `steps`. Is the
#   exponent a property of the language, of the training, or of the models?
# - *Your machine, a whole model.* Compare `decoding_rate` with the tokens a second that a GPT really writes here, one text
#   at a time and 64 at a time. How near to the roof does it come, and what is in the way?

# %% run
if __name__ == "__main__":
    with unless_blank():
        budget = training_flops(table_config(GPT3_TABLE[-1]), 300_000_000_000)
        for n_params in (3e10, 1e11, 3e11):
            n_tokens = budget / (6 * n_params)
            worth = effective_tokens(n_tokens, 50e9)
            print(
                f"{n_params:.0e} parameters: {n_tokens / 50e9:5.1f} epochs, worth {worth / 1e9:4.0f} billion tokens, "
                f"loss {parametric_loss(n_params, worth, BESIROGLU):.3f}"
            )

# %% [markdown]
# **What I found:** write here what you tried, what came out, and what you make of it.
