"""Plausible wrong answers to the scale assignment, each with the message that it must draw."""

import math
from dataclasses import replace

import torch
from torch.utils.flop_counter import FlopCounterMode

import solutions.scale
from course.banks.bank import wrong
from solutions.gpt import GPT, GPTConfig

# ---------------------------------------------------------------------------------------------------- count-params


def parts_of(config, **changed):
    return solutions.scale.count_params(config) | changed


@wrong(
    "count-params",
    mistake="counts 4d^2 and 8d^2 without biases, as the notes do",
    says="the biases of attention are missing",
)
def count_params(config):
    square = config.n_layer * config.d_model**2
    return parts_of(config, attention=4 * square, mlp=8 * square)


@wrong("count-params", mistake="forgets the final norm", says="the norm at the end is missing")
def count_params(config):
    return parts_of(config, norm=2 * config.n_layer * 2 * config.d_model)


@wrong("count-params", mistake="gives the unembedding weights of its own", says="the unembedding is tied")
def count_params(config):
    return parts_of(config, token_embedding=2 * config.vocab_size * config.d_model)


@wrong("count-params", mistake="gives every head the whole width", says="heads share the width")
def count_params(config):
    return parts_of(config, attention=solutions.scale.count_params(config)["attention"] * config.n_head)


@wrong("count-params", mistake="counts one block", says="this is the attention of one block")
def count_params(config):
    parts = solutions.scale.count_params(config)
    return parts | {"attention": parts["attention"] // config.n_layer, "mlp": parts["mlp"] // config.n_layer}


@wrong("count-params", mistake="writes 2 for the number of layers", says="does a size stand in your code as a number")
def count_params(config):
    two = GPTConfig(config.vocab_size, config.context, config.d_model, config.n_head, 2)
    return solutions.scale.count_params(config if config.d_model > 100 else two)


@wrong("count-params", mistake="builds the model and counts", says="asks you to write what that call does")
def count_params(config):
    with torch.device("meta"):
        return {"token_embedding": sum(p.numel() for p in GPT(config).parameters())}


@wrong("count-params", mistake="adds everything up", says="should be a dict of the parts")
def count_params(config):
    return sum(solutions.scale.count_params(config).values())


@wrong("count-params", mistake="forgets the projection", says="but not its projection")
def count_params(config):
    return parts_of(config, attention=config.n_layer * 3 * config.d_model * (config.d_model + 1))


@wrong("count-params", mistake="gives the norms no bias", says="a bias as well as a weight")
def count_params(config):
    return parts_of(config, norm=(2 * config.n_layer + 1) * config.d_model)


@wrong("count-params", mistake="counts one norm a block", says="a block has two norms")
def count_params(config):
    return parts_of(config, norm=(config.n_layer + 1) * 2 * config.d_model)


@wrong("count-params", mistake="leaves the norms out of the dict", says="'norm' is missing")
def count_params(config):
    return {part: size for part, size in solutions.scale.count_params(config).items() if part != "norm"}


@wrong(
    "count-params", mistake="gives queries, keys and values no bias", says="each a matrix and a bias, in every block"
)
def count_params(config):
    d = config.d_model
    return parts_of(config, attention=config.n_layer * (4 * d * d + d))


# --------------------------------------------------------------------------------------------------- width-of-size


def widest(n_params, n_layer, n_head, vocab_size, context):
    """The reference before it is made a multiple of the heads."""
    return solutions.scale.width_of_size(n_params, n_layer, 1, vocab_size, context)


@wrong("width-of-size", mistake="ignores the heads", says="must be a multiple of the")
def width_of_size(n_params, n_layer, n_head, vocab_size, context):
    if widest(n_params, n_layer, 1, vocab_size, context) < n_head:
        raise ValueError("too few")
    return widest(n_params, n_layer, 1, vocab_size, context)


@wrong(
    "width-of-size",
    mistake="rounds to the nearest multiple, up too",
    says="so round down",
    never=("without all embeddings", "biases"),
)
def width_of_size(n_params, n_layer, n_head, vocab_size, context):
    solutions.scale.width_of_size(n_params, n_layer, n_head, vocab_size, context)
    return -(-widest(n_params, n_layer, 1, vocab_size, context) // n_head) * n_head


@wrong(
    "width-of-size",
    mistake="uses N = 12 L d^2 and forgets the embeddings",
    says="without all embeddings",
    never=("round down", "biases"),
)
def width_of_size(n_params, n_layer, n_head, vocab_size, context):
    solutions.scale.width_of_size(n_params, n_layer, n_head, vocab_size, context)
    return int((n_params / (12 * n_layer)) ** 0.5) // n_head * n_head


@wrong("width-of-size", mistake="wants strictly fewer parameters", says="exactly the number allowed fits")
def width_of_size(n_params, n_layer, n_head, vocab_size, context):
    return solutions.scale.width_of_size(n_params - 1, n_layer, n_head, vocab_size, context)


@wrong("width-of-size", mistake="returns 0 where nothing fits", says="should raise a ValueError")
def width_of_size(n_params, n_layer, n_head, vocab_size, context):
    return widest(n_params, n_layer, 1, vocab_size, context) // n_head * n_head


@wrong("width-of-size", mistake="builds models until one is too large", says="asks you to write what that call does")
def width_of_size(n_params, n_layer, n_head, vocab_size, context):
    with torch.device("meta"):
        width = n_head
        while (
            sum(p.numel() for p in GPT(GPTConfig(vocab_size, context, width, n_head, n_layer)).parameters()) < n_params
        ):
            width += n_head
    return width - n_head


@wrong(
    "width-of-size",
    mistake="divides before it takes a root in floating point",
    says="floating point can lose its last digit",
    never=("every part", "round down,"),
)
def width_of_size(n_params, n_layer, n_head, vocab_size, context):
    quadratic, linear = 12 * n_layer, vocab_size + context + 13 * n_layer + 2
    half = linear / (2 * quadratic)
    width = int(math.sqrt(half**2 + n_params / quadratic) - half) // n_head * n_head
    if width < n_head:
        raise ValueError("too few")
    return width


@wrong("width-of-size", mistake="searches no further than 10,000", says="the next larger width would fit as well")
def width_of_size(n_params, n_layer, n_head, vocab_size, context):
    width = solutions.scale.width_of_size(n_params, n_layer, n_head, vocab_size, context)
    return min(width, 10_000 // n_head * n_head)


@wrong("width-of-size", mistake="refuses what fits exactly", says="your code refuses an input that is allowed")
def width_of_size(n_params, n_layer, n_head, vocab_size, context):
    width = solutions.scale.width_of_size(n_params, n_layer, n_head, vocab_size, context)
    if sum(solutions.scale.count_params(GPTConfig(vocab_size, context, width, n_head, n_layer)).values()) == n_params:
        raise ValueError("too few")
    return width


@wrong("width-of-size", mistake="gives the unembedding weights of its own", says="tied to it", never=("round down",))
def width_of_size(n_params, n_layer, n_head, vocab_size, context):
    return solutions.scale.width_of_size(n_params, n_layer, n_head, 2 * vocab_size, context)


@wrong(
    "width-of-size",
    mistake="forgets biases and norms",
    says="without biases and norms",
    never=("round down", "embeddings"),
)
def width_of_size(n_params, n_layer, n_head, vocab_size, context):
    solutions.scale.width_of_size(n_params, n_layer, n_head, vocab_size, context)
    linear = vocab_size + context
    width = (math.isqrt(linear**2 + 48 * n_layer * n_params) - linear) // (24 * n_layer) // n_head * n_head
    return max(width, n_head)


@wrong("width-of-size", mistake="returns a float", says="a whole number (int)")
def width_of_size(n_params, n_layer, n_head, vocab_size, context):
    return float(solutions.scale.width_of_size(n_params, n_layer, n_head, vocab_size, context))


@wrong(
    "width-of-size",
    mistake="forgets the position embedding",
    says="without the position embedding",
    never=("round down",),
)
def width_of_size(n_params, n_layer, n_head, vocab_size, context):
    solutions.scale.width_of_size(n_params, n_layer, n_head, vocab_size, context)
    return solutions.scale.width_of_size(n_params, n_layer, n_head, vocab_size, 0)


# ------------------------------------------------------------------------------------------------- flops-per-token


def checked(config, n):
    solutions.scale.flops_per_token(config, n)


@wrong("flops-per-token", mistake="counts a multiplication and an addition as one", says="are two FLOPs")
def flops_per_token(config, n):
    return solutions.scale.flops_per_token(config, n) // 2


@wrong(
    "flops-per-token", mistake="takes 2 for each parameter, embeddings too", says="this is 2 FLOPs for each parameter"
)
def flops_per_token(config, n):
    checked(config, n)
    return 2 * sum(solutions.scale.count_params(config).values())


@wrong(
    "flops-per-token", mistake="leaves attention's own products out", says="attention's own two products are missing"
)
def flops_per_token(config, n):
    return solutions.scale.flops_per_token(config, n) - 4 * config.n_layer * config.d_model * n


@wrong("flops-per-token", mistake="halves attention for the mask", says="and masked pairs too")
def flops_per_token(config, n):
    return solutions.scale.flops_per_token(config, n) - 2 * config.n_layer * config.d_model * n


@wrong("flops-per-token", mistake="forgets the unembedding", says="the unembedding is missing")
def flops_per_token(config, n):
    return solutions.scale.flops_per_token(config, n) - 2 * config.vocab_size * config.d_model


@wrong("flops-per-token", mistake="always takes the whole context", says="and not the whole context")
def flops_per_token(config, n):
    checked(config, n)
    return solutions.scale.flops_per_token(config, config.context)


@wrong(
    "flops-per-token", mistake="gives every head the whole width", says="counted too often: the heads share the width"
)
def flops_per_token(config, n):
    more = 4 * config.n_layer * config.d_model * n * (config.n_head - 1)
    return solutions.scale.flops_per_token(config, n) + more


@wrong("flops-per-token", mistake="counts a text longer than the context", says="should raise a ValueError")
def flops_per_token(config, n):
    per_token = 4 * config.n_layer * config.d_model
    return solutions.scale.flops_per_token(config, 1) + per_token * (n - 1)


@wrong("flops-per-token", mistake="lets torch count", says="asks you to write what that call does")
def flops_per_token(config, n):
    with FlopCounterMode(display=False) as counter:
        GPT(config)(torch.zeros(1, n, dtype=torch.long))
    return counter.get_total_flops() // n


@wrong("flops-per-token", mistake="counts the whole text", says="divide it by the number of tokens")
def flops_per_token(config, n):
    return n * solutions.scale.flops_per_token(config, n)


@wrong("flops-per-token", mistake="takes logits of the last position only", says="for one token of the text")
def flops_per_token(config, n):
    unembedding = 2 * config.vocab_size * config.d_model
    return solutions.scale.flops_per_token(config, n) - unembedding + unembedding / n


@wrong("flops-per-token", mistake="counts one block", says="this is the work of one block")
def flops_per_token(config, n):
    unembedding = 2 * config.vocab_size * config.d_model
    return (solutions.scale.flops_per_token(config, n) - unembedding) // config.n_layer + unembedding


@wrong("flops-per-token", mistake="writes 2 for the number of layers", says="does a size stand in your code")
def flops_per_token(config, n):
    checked(config, n)
    two = GPTConfig(config.vocab_size, config.context, config.d_model, config.n_head, 2)
    return solutions.scale.flops_per_token(two, n)


@wrong("flops-per-token", mistake="forgets attention's projection", says="not what torch counts for a token")
def flops_per_token(config, n):
    return solutions.scale.flops_per_token(config, n) - 2 * config.n_layer * config.d_model**2


@wrong("flops-per-token", mistake="counts the forward pass alone", says="this is the forward pass alone")
def training_flops(config, n_tokens):
    return n_tokens * solutions.scale.flops_per_token(config, config.context)


@wrong(
    "flops-per-token",
    mistake="takes the backward pass to cost as much as the forward one",
    says="this is twice the forward pass",
)
def training_flops(config, n_tokens):
    return 2 * n_tokens * solutions.scale.flops_per_token(config, config.context)


@wrong("flops-per-token", mistake="uses 6ND", says="this is 6 FLOPs for each parameter and token")
def training_flops(config, n_tokens):
    return 6 * n_tokens * sum(solutions.scale.count_params(config).values())


@wrong("flops-per-token", mistake="takes a text of one token", says="as a text of its own")
def training_flops(config, n_tokens):
    return 3 * n_tokens * solutions.scale.flops_per_token(config, 1)


@wrong("flops-per-token", mistake="lets torch count a step of training", says="asks you to write what that call does")
def training_flops(config, n_tokens):
    with FlopCounterMode(display=False) as counter:
        GPT(config)(torch.zeros(n_tokens // config.context, config.context, dtype=torch.long)).sum().backward()
    return counter.get_total_flops()


@wrong("flops-per-token", mistake="counts a single token", says="this is the work for one token")
def training_flops(config, n_tokens):
    return 3 * solutions.scale.flops_per_token(config, config.context)


@wrong("flops-per-token", mistake="trains on whole windows, rounded down", says="windows are rounded down")
def training_flops(config, n_tokens):
    windows = n_tokens // config.context
    return 3 * windows * config.context * solutions.scale.flops_per_token(config, config.context)


@wrong("flops-per-token", mistake="trains on whole windows, rounded up", says="windows are rounded up")
def training_flops(config, n_tokens):
    windows = math.ceil(n_tokens / config.context)
    return 3 * windows * config.context * solutions.scale.flops_per_token(config, config.context)


@wrong("flops-per-token", mistake="refuses a full context", says="11 tokens fit in a context of 11")
def flops_per_token(config, n):
    if n >= config.context:
        raise ValueError("too long")
    return solutions.scale.flops_per_token(config, n)


# ------------------------------------------------------------------------------------------------- training-memory


def memory_with(config, batch_size, per_token_more):
    """The reference with some more numbers kept a token."""
    parts = solutions.scale.training_memory(config, batch_size)
    return parts | {"activations": parts["activations"] + 4 * batch_size * config.context * per_token_more}


@wrong("training-memory", mistake="counts numbers, not bytes", says="has four bytes")
def training_memory(config, batch_size):
    return {name: size // 4 for name, size in solutions.scale.training_memory(config, batch_size).items()}


@wrong("training-memory", mistake="takes plain SGD for the optimizer", says="two running means")
def training_memory(config, batch_size):
    return solutions.scale.training_memory(config, batch_size) | {"optimizer": 0}


@wrong("training-memory", mistake="counts a gradient for each text", says="the gradients of all texts are summed")
def training_memory(config, batch_size):
    parts = solutions.scale.training_memory(config, batch_size)
    return parts | {"gradients": parts["gradients"] * batch_size}


@wrong(
    "training-memory", mistake="has one pattern for all heads", says="every head has its own", never=("logits", "norm")
)
def training_memory(config, batch_size):
    return memory_with(config, batch_size, -config.n_layer * config.context * (config.n_head - 1))


@wrong(
    "training-memory",
    mistake="counts only half of the pattern, as it is masked",
    says="half of the attention pattern is missing",
)
def training_memory(config, batch_size):
    return memory_with(config, batch_size, -config.n_layer * config.context * config.n_head // 2)


@wrong("training-memory", mistake="forgets the logits", says="the logits are missing", never=("pattern", "norm"))
def training_memory(config, batch_size):
    return memory_with(config, batch_size, -config.vocab_size)


@wrong(
    "training-memory",
    mistake="keeps gelu's output but not its input",
    says="gelu keeps its input",
    never=("logits", "pattern"),
)
def training_memory(config, batch_size):
    return memory_with(config, batch_size, -4 * config.d_model * config.n_layer)


@wrong(
    "training-memory", mistake="ignores the batch", says="twice the batch should keep twice", never=("numbers a token",)
)
def training_memory(config, batch_size):
    return solutions.scale.training_memory(config, 4)


@wrong("training-memory", mistake="adds everything up", says="should be a dict of the parts")
def training_memory(config, batch_size):
    return sum(solutions.scale.training_memory(config, batch_size).values())


@wrong("training-memory", mistake="takes SGD with momentum", says="one running mean is counted")
def training_memory(config, batch_size):
    parts = solutions.scale.training_memory(config, batch_size)
    return parts | {"optimizer": parts["weights"]}


@wrong("training-memory", mistake="keeps the pattern before and after softmax", says="the softmax shares it")
def training_memory(config, batch_size):
    return memory_with(config, batch_size, config.n_layer * config.n_head * config.context)


@wrong("training-memory", mistake="forgets the mean and spread of the norms", says="the two numbers a token")
def training_memory(config, batch_size):
    return memory_with(config, batch_size, -2 * (2 * config.n_layer + 1))


@wrong("training-memory", mistake="forgets queries, keys and values", says="as many as queries, keys and values")
def training_memory(config, batch_size):
    return memory_with(config, batch_size, -3 * config.n_layer * config.d_model)


@wrong("training-memory", mistake="forgets the final norm", says="one norm is missing: the last one")
def training_memory(config, batch_size):
    return memory_with(config, batch_size, -config.d_model - 2)


@wrong("training-memory", mistake="takes 4 for what projection keeps", says="numbers a token are too many")
def training_memory(config, batch_size):
    return memory_with(config, batch_size, 3 * config.n_layer * config.d_model)


@wrong("training-memory", mistake="writes 3 for the number of heads", says="does a size stand in your code")
def training_memory(config, batch_size):
    three = GPTConfig(
        config.vocab_size, config.context, config.d_model, 3 if config.d_model % 3 == 0 else 1, config.n_layer
    )
    parts = solutions.scale.training_memory(three, batch_size)
    return parts


@wrong(
    "training-memory",
    mistake="takes qkv's input for the norm's, which is kept already",
    says="one width a token is missing in each block",
)
def training_memory(config, batch_size):
    return memory_with(config, batch_size, -config.n_layer * config.d_model)


# ----------------------------------------------------------------------------------------------------------- ridge


def rows_at(flops, moved_a_row, moved_once, ridge):
    """Rows at which `flops` a row are `ridge` times the bytes: some for each row, some once."""
    room = flops - ridge * moved_a_row
    return ridge * moved_once / room if room > 0 else math.inf


@wrong("ridge", mistake="counts a multiplication and an addition as one", says="are two FLOPs")
def ridge_rows(k, n, peak, bandwidth, bytes_per_number=4):
    b = bytes_per_number
    return rows_at(k * n, b * (k + n), b * k * n, peak / bandwidth)


@wrong("ridge", mistake="forgets to write the result", says="the bytes of the result are missing")
def ridge_rows(k, n, peak, bandwidth, bytes_per_number=4):
    b = bytes_per_number
    return rows_at(2 * k * n, b * k, b * k * n, peak / bandwidth)


@wrong("ridge", mistake="forgets to read the rows", says="the bytes of the m rows are missing")
def ridge_rows(k, n, peak, bandwidth, bytes_per_number=4):
    b = bytes_per_number
    return rows_at(2 * k * n, b * n, b * k * n, peak / bandwidth)


@wrong("ridge", mistake="counts only the weight's bytes", says="only the weight's bytes are counted")
def ridge_rows(k, n, peak, bandwidth, bytes_per_number=4):
    return peak / bandwidth * bytes_per_number / 2


@wrong("ridge", mistake="counts numbers, not bytes", says="numbers are counted, not bytes")
def ridge_rows(k, n, peak, bandwidth, bytes_per_number=4):
    return solutions.scale.ridge_rows(k, n, peak, bandwidth, 1)


@wrong("ridge", mistake="always takes 4 bytes a number", says="the bytes of a number are fixed")
def ridge_rows(k, n, peak, bandwidth, bytes_per_number=4):
    return solutions.scale.ridge_rows(k, n, peak, bandwidth)


@wrong("ridge", mistake="rounds down to whole rows", says="need not be whole", never=("5.5 rows is",))
def ridge_rows(k, n, peak, bandwidth, bytes_per_number=4):
    rows = solutions.scale.ridge_rows(k, n, peak, bandwidth, bytes_per_number)
    return float(int(rows + 1e-6)) if rows < math.inf else rows


@wrong("ridge", mistake="counts the result's bytes alone", says="the weight's bytes are missing")
def ridge_rows(k, n, peak, bandwidth, bytes_per_number=4):
    return rows_at(2 * k * n, bytes_per_number * n, 0, peak / bandwidth)


@wrong("ridge", mistake="swaps peak and bandwidth", says="peak and bandwidth are swapped")
def ridge_rows(k, n, peak, bandwidth, bytes_per_number=4):
    return solutions.scale.ridge_rows(k, n, bandwidth, peak, bytes_per_number)


@wrong("ridge", mistake="adds the two sizes of the weight up", says="take as long as 1,600 bytes", never=("missing",))
def ridge_rows(k, n, peak, bandwidth, bytes_per_number=4):
    b = bytes_per_number
    return rows_at(2 * k * n, b * (k + n), b * (k + n), peak / bandwidth)


@wrong("ridge", mistake="gives a negative number where there is none", says="the result should be infinite")
def ridge_rows(k, n, peak, bandwidth, bytes_per_number=4):
    moved = peak / bandwidth * bytes_per_number
    return moved * k * n / (2 * k * n - moved * (k + n))


@wrong("ridge", mistake="wants one row at least", says="the result may be less than 1")
def ridge_rows(k, n, peak, bandwidth, bytes_per_number=4):
    return max(1.0, solutions.scale.ridge_rows(k, n, peak, bandwidth, bytes_per_number))


@wrong("ridge", mistake="divides by zero where the ridge is only approached", says="ZeroDivisionError")
def ridge_rows(k, n, peak, bandwidth, bytes_per_number=4):
    moved = peak / bandwidth * bytes_per_number
    rows = moved * k * n / (2 * k * n - moved * (k + n))
    return rows if rows > 0 else math.inf


# --------------------------------------------------------------------------------------------------- decoding-rate


@wrong("decoding-rate", mistake="keeps keys but no values", says="both keys and values are kept")
def kv_cache_bytes(config, n, batch_size=1, bytes_per_number=2):
    return solutions.scale.kv_cache_bytes(config, n, batch_size, bytes_per_number) // 2


@wrong("decoding-rate", mistake="counts one layer", says="this is the cache of one layer")
def kv_cache_bytes(config, n, batch_size=1, bytes_per_number=2):
    return solutions.scale.kv_cache_bytes(config, n, batch_size, bytes_per_number) // config.n_layer


@wrong("decoding-rate", mistake="keeps the queries too", says="queries are counted too")
def kv_cache_bytes(config, n, batch_size=1, bytes_per_number=2):
    return solutions.scale.kv_cache_bytes(config, n, batch_size, bytes_per_number) // 2 * 3


@wrong("decoding-rate", mistake="takes the width for each head", says="do not count it for each of them")
def kv_cache_bytes(config, n, batch_size=1, bytes_per_number=2):
    return solutions.scale.kv_cache_bytes(config, n, batch_size, bytes_per_number) * config.n_head


@wrong("decoding-rate", mistake="reserves the whole context", says="only n tokens are in it")
def kv_cache_bytes(config, n, batch_size=1, bytes_per_number=2):
    return solutions.scale.kv_cache_bytes(config, config.context, batch_size, bytes_per_number)


@wrong("decoding-rate", mistake="takes more tokens than the context holds", says="should raise a ValueError")
def kv_cache_bytes(config, n, batch_size=1, bytes_per_number=2):
    return 2 * config.n_layer * config.d_model * n * batch_size * bytes_per_number


@wrong("decoding-rate", mistake="asks the oracle", says="asks you to write what that call does")
def kv_cache_bytes(config, n, batch_size=1, bytes_per_number=2):
    import transformers

    transformers.GPT2Config(n_embd=config.d_model)
    return solutions.scale.kv_cache_bytes(config, n, batch_size, bytes_per_number)


@wrong("decoding-rate", mistake="takes the width of one head", says="this is what one head keeps")
def kv_cache_bytes(config, n, batch_size=1, bytes_per_number=2):
    return solutions.scale.kv_cache_bytes(config, n, batch_size, bytes_per_number) // config.n_head


@wrong("decoding-rate", mistake="forgets the batch", says="each text of the batch has its own cache")
def kv_cache_bytes(config, n, batch_size=1, bytes_per_number=2):
    return solutions.scale.kv_cache_bytes(config, n, 1, bytes_per_number)


@wrong(
    "decoding-rate", mistake="caches numbers of 2 bytes always", says="fixed in your code", never=("half", "both keys")
)
def kv_cache_bytes(config, n, batch_size=1, bytes_per_number=2):
    return solutions.scale.kv_cache_bytes(config, n, batch_size)


@wrong("decoding-rate", mistake="refuses an empty cache", says="a cache without tokens is no error")
def kv_cache_bytes(config, n, batch_size=1, bytes_per_number=2):
    if n < 1:
        raise ValueError("an empty cache")
    return solutions.scale.kv_cache_bytes(config, n, batch_size, bytes_per_number)


@wrong(
    "decoding-rate",
    mistake="counts the token that is being written, too",
    says="not as many numbers as transformers keeps",
)
def kv_cache_bytes(config, n, batch_size=1, bytes_per_number=2):
    solutions.scale.kv_cache_bytes(config, n, batch_size, bytes_per_number)
    return 2 * config.n_layer * config.d_model * (n + 1) * batch_size * bytes_per_number


def costs(config, n, batch_size, bytes_per_number):
    """Bytes of the weights, bytes of the cache, FLOPs of a step."""
    weights = bytes_per_number * sum(solutions.scale.count_params(config).values())
    cache = solutions.scale.kv_cache_bytes(config, n, batch_size, bytes_per_number)
    return weights, cache, batch_size * solutions.scale.flops_per_token(config, n)


@wrong("decoding-rate", mistake="forgets the cache", says="the cache is missing")
def decoding_rate(config, n, batch_size, peak, bandwidth, bytes_per_number=2):
    weights, _, work = costs(config, n, batch_size, bytes_per_number)
    return batch_size / max(weights / bandwidth, work / peak)


@wrong("decoding-rate", mistake="reads the weights for each text anew", says="one reading serves all of them")
def decoding_rate(config, n, batch_size, peak, bandwidth, bytes_per_number=2):
    weights, cache, work = costs(config, n, batch_size, bytes_per_number)
    return batch_size / max((batch_size * weights + cache) / bandwidth, work / peak)


@wrong("decoding-rate", mistake="counts the tokens of one text", says="these are the tokens of one text")
def decoding_rate(config, n, batch_size, peak, bandwidth, bytes_per_number=2):
    return solutions.scale.decoding_rate(config, n, batch_size, peak, bandwidth, bytes_per_number) / batch_size


@wrong("decoding-rate", mistake="adds reading and computing up", says="not their sum", never=("size of a number",))
def decoding_rate(config, n, batch_size, peak, bandwidth, bytes_per_number=2):
    weights, cache, work = costs(config, n, batch_size, bytes_per_number)
    return batch_size / ((weights + cache) / bandwidth + work / peak)


@wrong("decoding-rate", mistake="computes one text only", says="the work of one text is counted")
def decoding_rate(config, n, batch_size, peak, bandwidth, bytes_per_number=2):
    weights, cache, work = costs(config, n, batch_size, bytes_per_number)
    return batch_size / max((weights + cache) / bandwidth, work / batch_size / peak)


@wrong(
    "decoding-rate",
    mistake="always takes 2 bytes a number",
    says="is the size of a number used",
    never=("not their sum",),
)
def decoding_rate(config, n, batch_size, peak, bandwidth, bytes_per_number=2):
    return solutions.scale.decoding_rate(config, n, batch_size, peak, bandwidth)


@wrong("decoding-rate", mistake="takes the faster of the two", says="the faster of the two decides here")
def decoding_rate(config, n, batch_size, peak, bandwidth, bytes_per_number=2):
    weights, cache, work = costs(config, n, batch_size, bytes_per_number)
    return batch_size / min((weights + cache) / bandwidth, work / peak)


@wrong("decoding-rate", mistake="reads the cache alone", says="the weights are missing")
def decoding_rate(config, n, batch_size, peak, bandwidth, bytes_per_number=2):
    _, cache, work = costs(config, n, batch_size, bytes_per_number)
    return batch_size / max(cache / bandwidth, work / peak)


@wrong("decoding-rate", mistake="gives seconds a token", says="tokens a second are wanted")
def decoding_rate(config, n, batch_size, peak, bandwidth, bytes_per_number=2):
    return 1 / solutions.scale.decoding_rate(config, n, batch_size, peak, bandwidth, bytes_per_number)


@wrong("decoding-rate", mistake="takes the work of a full context", says="only n tokens are in view")
def decoding_rate(config, n, batch_size, peak, bandwidth, bytes_per_number=2):
    weights, cache, _ = costs(config, n, batch_size, bytes_per_number)
    _, _, work = costs(config, config.context, batch_size, bytes_per_number)
    return batch_size / max((weights + cache) / bandwidth, work / peak)


@wrong("decoding-rate", mistake="never computes", says="computing can be slower", never=("not their sum",))
def decoding_rate(config, n, batch_size, peak, bandwidth, bytes_per_number=2):
    weights, cache, _ = costs(config, n, batch_size, bytes_per_number)
    return batch_size * bandwidth / (weights + cache)


@wrong("decoding-rate", mistake="reads one cache for all texts", says="one cache is read for all texts")
def decoding_rate(config, n, batch_size, peak, bandwidth, bytes_per_number=2):
    weights, cache, work = costs(config, n, batch_size, bytes_per_number)
    return batch_size / max((weights + cache / batch_size) / bandwidth, work / peak)


@wrong("decoding-rate", mistake="reads a cache without the newest token", says="a token is missing in the cache")
def decoding_rate(config, n, batch_size, peak, bandwidth, bytes_per_number=2):
    weights, cache, work = costs(config, n, batch_size, bytes_per_number)
    return batch_size / max((weights + cache * (n - 1) / n) / bandwidth, work / peak)


@wrong("decoding-rate", mistake="reads a token more than is in view", says="a token too many is in the cache")
def decoding_rate(config, n, batch_size, peak, bandwidth, bytes_per_number=2):
    weights, cache, work = costs(config, n, batch_size, bytes_per_number)
    return batch_size / max((weights + cache * (n + 1) / n) / bandwidth, work / peak)


@wrong("decoding-rate", mistake="takes 2 FLOPs for each parameter", says="each token costs its FLOPs")
def decoding_rate(config, n, batch_size, peak, bandwidth, bytes_per_number=2):
    weights, cache, _ = costs(config, n, batch_size, bytes_per_number)
    work = 2 * batch_size * sum(solutions.scale.count_params(config).values())
    return batch_size / max((weights + cache) / bandwidth, work / peak)


# -------------------------------------------------------------------------------------------------- markov-entropy


def valid(transitions):
    p = transitions.double()
    if (p.sum(1) - 1).abs().max() > 1e-4:
        raise ValueError("rows must sum to 1")
    return p


@wrong("markov-entropy", mistake="answers in bits", says="should be in nats")
def markov_entropy(transitions):
    return solutions.scale.markov_entropy(transitions) / math.log(2)


@wrong("markov-entropy", mistake="weighs all states alike", says="both states count alike here")
def markov_entropy(transitions):
    return torch.special.entr(valid(transitions)).sum(1).mean().item()


@wrong(
    "markov-entropy",
    mistake="takes the entropy of the stationary shares",
    says="this is the entropy of the shares of time",
)
def markov_entropy(transitions):
    shares = torch.linalg.matrix_power((valid(transitions) + torch.eye(len(transitions))) / 2, 1000)[0]
    return torch.special.entr(shares).sum().item()


@wrong("markov-entropy", mistake="takes the log of 0", says="0 ln 0 is 0")
def markov_entropy(transitions):
    p = valid(transitions)
    shares = torch.linalg.matrix_power((p + torch.eye(len(p))) / 2, 1000)[0]
    return -(shares[:, None] * p * p.log()).sum().item()


@wrong("markov-entropy", mistake="multiplies until it settles, which it need not", says="it never settles")
def markov_entropy(transitions):
    p = valid(transitions)
    return (torch.linalg.matrix_power(p, 1000)[0] @ torch.special.entr(p).sum(1)).item()


@wrong(
    "markov-entropy",
    mistake="takes the stationary column",
    says="the shares one step after equal ones",
    never=("count alike", "swapped"),
)
def markov_entropy(transitions):
    return (valid(transitions).mean(0) @ torch.special.entr(valid(transitions)).sum(1)).item()


@wrong("markov-entropy", mistake="returns a tensor", says="should be a number, but it is a tensor")
def markov_entropy(transitions):
    return torch.tensor(solutions.scale.markov_entropy(transitions))


@wrong("markov-entropy", mistake="adds the rows' entropies up", says="the rows' entropies are added up")
def markov_entropy(transitions):
    return torch.special.entr(valid(transitions)).sum().item()


@wrong("markov-entropy", mistake="takes the entropy of two symbols", says="this is the entropy of two symbols")
def markov_entropy(transitions):
    shares = torch.linalg.matrix_power((valid(transitions) + torch.eye(len(transitions))) / 2, 1000)[0]
    return torch.special.entr(shares[:, None] * valid(transitions)).sum().item()


@wrong("markov-entropy", mistake="multiplies fifty times", says="seldom changes its state", never=("it never settles",))
def markov_entropy(transitions):
    p = valid(transitions)
    return (torch.linalg.matrix_power((p + torch.eye(len(p))) / 2, 50)[0] @ torch.special.entr(p).sum(1)).item()


@wrong(
    "markov-entropy",
    mistake="averages a run of a thousand steps",
    says="average over a long run comes near them only slowly",
    never=("0.8 and 0.2", "it never settles"),
)
def markov_entropy(transitions):
    p = valid(transitions)
    shares, seen = torch.full((len(p),), 1 / len(p), dtype=p.dtype), torch.zeros(len(p), dtype=p.dtype)
    for _ in range(1000):
        seen, shares = seen + shares, shares @ p
    return (seen / 1000 @ torch.special.entr(p).sum(1)).item()


@wrong("markov-entropy", mistake="takes any rows", says="a row that sums to 1.5")
def markov_entropy(transitions):
    p = transitions / transitions.sum(1, keepdim=True)
    return solutions.scale.markov_entropy(p)


@wrong("markov-entropy", mistake="checks that the rows sum to 1 on average", says="though to 1 on average")
def markov_entropy(transitions):
    if abs(transitions.sum().item() / len(transitions) - 1) > 2e-5 + 2e-5:
        raise ValueError("rows must sum to 1")
    return solutions.scale.markov_entropy(transitions / transitions.sum(1, keepdim=True))


@wrong(
    "markov-entropy", mistake="does not divide the eigenvector by its sum", says="a fair die of three sides has ln 3"
)
def markov_entropy(transitions):
    p = valid(transitions)
    values, vectors = torch.linalg.eig(p.T)
    shares = vectors[:, (values - 1).abs().argmin()].real.abs()
    return (shares @ torch.special.entr(p).sum(1)).item()


# -------------------------------------------------------------------------------------------------- fit-power-law


def line_of(sizes, losses, floor):
    """Factor and exponent of the line at a floor."""
    n, y = torch.tensor(sizes, dtype=torch.float64).log(), torch.tensor(losses, dtype=torch.float64)
    logs = (y - floor).log()
    slope = (((n - n.mean()) * (logs - logs.mean())).sum() / (n - n.mean()).square().sum()).item()
    return math.exp(logs.mean().item() - slope * n.mean().item()), -slope


@wrong(
    "fit-power-law", mistake="has no floor", says="the floor is 0, as if", never=("the exponent should be positive",)
)
def fit_power_law(sizes, losses):
    solutions.scale.fit_power_law(sizes, losses)
    return 0.0, *line_of(sizes, losses, 0.0)


@wrong("fit-power-law", mistake="takes the least loss for the floor", says="lies too near the least loss")
def fit_power_law(sizes, losses):
    solutions.scale.fit_power_law(sizes, losses)
    floor = 0.999 * min(losses)
    return floor, *line_of(sizes, losses, floor)


@wrong("fit-power-law", mistake="gives the slope, which is negative", says="the exponent should be positive")
def fit_power_law(sizes, losses):
    floor, factor, exponent = solutions.scale.fit_power_law(sizes, losses)
    return floor, factor, -exponent


@wrong("fit-power-law", mistake="gives the logarithm of the factor", says="this is the logarithm of the factor")
def fit_power_law(sizes, losses):
    floor, factor, exponent = solutions.scale.fit_power_law(sizes, losses)
    return floor, math.log(factor), exponent


@wrong("fit-power-law", mistake="tries only floors of one decimal", says="search more finely", never=("the exponent",))
def fit_power_law(sizes, losses):
    solutions.scale.fit_power_law(sizes, losses)
    tries = []
    for tenths in range(1, math.ceil(10 * min(losses)), 2):
        floor = tenths / 10 + 0.05
        if floor < min(losses):
            factor, exponent = line_of(sizes, losses, floor)
            off = sum(math.log((y - floor) / factor * n**exponent) ** 2 for n, y in zip(sizes, losses, strict=True))
            tries.append((off / exponent**2, floor, factor, exponent))
    return min(tries)[1:]


@wrong("fit-power-law", mistake="fits through three points too", says="should raise a ValueError")
def fit_power_law(sizes, losses):
    more = zip([*sizes, 1e30], [*losses, min(losses) * 0.999], strict=False)
    n, y = zip(*more, strict=True)
    return solutions.scale.fit_power_law(sizes, losses) if len(set(sizes)) > 3 else solutions.scale.fit_power_law(n, y)


@wrong(
    "fit-power-law",
    mistake="makes the differences of the log excess least, not the straightness",
    says="the floor is negative",
)
def fit_power_law(sizes, losses):
    solutions.scale.fit_power_law(sizes, losses)
    tries = []
    for i in range(1, 1000):
        floor = min(losses) * (i / 1000 - 1)  # a floor far below makes every excess, and so every difference, alike
        factor, exponent = line_of(sizes, losses, floor)
        off = sum(math.log((y - floor) / factor * n**exponent) ** 2 for n, y in zip(sizes, losses, strict=True))
        tries.append((off, floor, factor, exponent))
    return min(tries)[1:]


@wrong("fit-power-law", mistake="lets scipy fit", says="asks you to write what that call does")
def fit_power_law(sizes, losses):
    from scipy.optimize import curve_fit

    found, _ = curve_fit(lambda n, e, a, b: e + a * n**-b, sizes, losses, [1.0, 10.0, 0.3])
    return tuple(found.tolist())


@wrong("fit-power-law", mistake="gives the exponent before the factor", says="in another order")
def fit_power_law(sizes, losses):
    floor, factor, exponent = solutions.scale.fit_power_law(sizes, losses)
    return exponent, factor, floor


@wrong("fit-power-law", mistake="gives the exponent alone", says="three numbers are wanted, floor, factor and exponent")
def fit_power_law(sizes, losses):
    return solutions.scale.fit_power_law(sizes, losses)[2]


@wrong("fit-power-law", mistake="fits the losses, not their logarithms", says="another floor makes the line straighter")
def fit_power_law(sizes, losses):
    start = solutions.scale.fit_power_law(sizes, losses)
    y = torch.tensor(losses, dtype=torch.float64)
    best = None
    for i in range(-400, 401):
        exponent = start[2] * (1 + i / 2000)
        powers = torch.tensor([n**-exponent for n in sizes], dtype=torch.float64)
        design = torch.stack([torch.ones_like(powers), powers], dim=1)
        found = torch.linalg.lstsq(design, y, driver="gelsd").solution
        off = (design @ found - y).square().sum().item()
        if best is None or off < best[0]:
            best = off, found[0].item(), found[1].item(), exponent
    return best[1:] if best[0] > 1e-12 else start


@wrong(
    "fit-power-law",
    mistake="takes negative numbers",
    says="a negative size, to which no law can be fitted",
    never=("three sizes",),
)
def fit_power_law(sizes, losses):
    if len(sizes) != len(losses) or len(set(sizes)) < 4:
        raise ValueError("four sizes at least")
    try:
        return solutions.scale.fit_power_law(sizes, losses)
    except ValueError:
        return math.nan, math.nan, math.nan


@wrong(
    "fit-power-law", mistake="fits with logarithms to base 10 and takes exp of the height", says="but not the factor"
)
def fit_power_law(sizes, losses):
    floor, factor, exponent = solutions.scale.fit_power_law(sizes, losses)
    return floor, math.exp(math.log10(factor)), exponent


def straightest(sizes, losses, floors):
    """The floor among these whose line is straightest."""
    x = torch.tensor(sizes, dtype=torch.float64).log()
    logs = (torch.tensor(losses, dtype=torch.float64) - floors[:, None]).log()
    off = logs - logs.mean(1, keepdim=True)
    explained = (off @ (x - x.mean())).square() / off.square().sum(1)
    return floors[explained.nan_to_num(-1).argmax()].item()


def zoomed(sizes, losses, low, high):
    """The straightest floor between these two, tried more and more finely."""
    for _ in range(7):
        floors = torch.linspace(low, high, 103, dtype=torch.float64)[1:-1]
        best, step = straightest(sizes, losses, floors), (high - low) / 102
        low, high = max(low, best - step), min(high, best + step)
    return best


@wrong(
    "fit-power-law",
    mistake="searches only above half the least loss",
    says="anywhere between 0 and the least loss",
    never=("too near",),
)
def fit_power_law(sizes, losses):
    solutions.scale.fit_power_law(sizes, losses)
    floor = zoomed(sizes, losses, min(losses) / 2, min(losses))
    return floor, *line_of(sizes, losses, floor)


@wrong(
    "fit-power-law",
    mistake="searches only up to 0.99 of the least loss",
    says="does your search try floors as near to it",
    never=("search more finely",),
)
def fit_power_law(sizes, losses):
    solutions.scale.fit_power_law(sizes, losses)
    floor = zoomed(sizes, losses, 0.0, 0.99 * min(losses))
    return floor, *line_of(sizes, losses, floor)


@wrong("fit-power-law", mistake="takes the last loss for the least", says="neither the first nor the last size")
def fit_power_law(sizes, losses):
    solutions.scale.fit_power_law(sizes, losses)
    floor = zoomed(sizes, losses, 0.0, losses[-1])
    floor = floor if losses[-1] == min(losses) else 0.9 * losses[-1]
    return floor, *(line_of(sizes, losses, floor) if floor < min(losses) else (1.0, 1.0))


@wrong(
    "fit-power-law",
    mistake="makes the squared errors of the line least",
    says="the line's squared errors are least, and R^2 is not largest",
)
def fit_power_law(sizes, losses):
    exact = solutions.scale.fit_power_law(sizes, losses)
    tries = [(off_line(sizes, losses, exact[0]), exact[0])]
    if tries[0][0] > 1e-9:
        tries += [(off_line(sizes, losses, floor), floor) for floor in (min(losses) * i / 2000 for i in range(2000))]
    floor = min(tries)[1]
    return floor, *line_of(sizes, losses, floor)


def off_line(sizes, losses, floor):
    """The squared errors of the line at a floor."""
    factor, exponent = line_of(sizes, losses, floor)
    return sum(math.log((y - floor) / factor * n**exponent) ** 2 for n, y in zip(sizes, losses, strict=True))


# ------------------------------------------------------------------------------------------------------ chinchilla


def spend(n_params, flops):
    if flops <= 0:
        raise ValueError("a budget must be positive")
    return n_params, flops / (6 * n_params)


@wrong(
    "chinchilla",
    mistake="takes 20 tokens for each parameter",
    says="these are 20 tokens for each parameter",
    never=("swapped", "6 FLOPs"),
)
def chinchilla_optimal(flops, law):
    return spend((max(flops, 0) / 120) ** 0.5 or 1.0, flops)


@wrong(
    "chinchilla",
    mistake="makes both parts of the loss alike, not their slopes",
    says="not where their sum is least",
    never=("swapped", "20 tokens"),
)
def chinchilla_optimal(flops, law):
    both = law.size_exponent + law.data_exponent
    gain = (law.size_factor / law.data_factor) ** (1 / both)
    return spend(gain * (max(flops, 1) / 6) ** (law.data_exponent / both), flops)


@wrong(
    "chinchilla",
    mistake="swaps the exponents of size and data",
    says="parameters and tokens are swapped",
    never=("20 tokens", "are equal here"),
)
def chinchilla_optimal(flops, law):
    n_params, n_tokens = solutions.scale.chinchilla_optimal(flops, law)
    return n_tokens, n_params


@wrong("chinchilla", mistake="spends C = ND", says="but each pair of them costs 6 FLOPs")
def chinchilla_optimal(flops, law):
    return solutions.scale.chinchilla_optimal(6 * flops, law)


@wrong("chinchilla", mistake="spends 2ND, as for inference", says="2ND is the forward pass alone")
def chinchilla_optimal(flops, law):
    return solutions.scale.chinchilla_optimal(3 * flops, law)


@wrong("chinchilla", mistake="lets scipy search", says="asks you to write what that call does")
def chinchilla_optimal(flops, law):
    from scipy.optimize import minimize_scalar

    loss = solutions.scale.parametric_loss
    best = minimize_scalar(lambda x: loss(math.exp(x), flops / 6 / math.exp(x), law), bounds=(0, 60))
    return spend(math.exp(best.x), flops)


@wrong("chinchilla", mistake="gives the parameters alone", says="two numbers are wanted, parameters and tokens")
def chinchilla_optimal(flops, law):
    return solutions.scale.chinchilla_optimal(flops, law)[0]


@wrong("chinchilla", mistake="always takes Hoffmann's law", says="every number should come from `law`")
def chinchilla_optimal(flops, law):
    return solutions.scale.chinchilla_optimal(flops, solutions.scale.HOFFMANN)


@wrong("chinchilla", mistake="lets both grow as the root of the budget", says="right for one budget")
def chinchilla_optimal(flops, law):
    n_params, _ = solutions.scale.chinchilla_optimal(5.76e23, law)
    return spend(n_params * (max(flops, 0) / 5.76e23) ** 0.5 or 1.0, flops)


@wrong("chinchilla", mistake="takes any budget", says="a budget of 0 FLOPs")
def chinchilla_optimal(flops, law):
    return solutions.scale.chinchilla_optimal(flops, law) if flops > 0 else (0.0, 0.0)


@wrong(
    "chinchilla", mistake="inverts the ratio of the two slopes", says="another size has a lower loss for the same FLOPs"
)
def chinchilla_optimal(flops, law):
    both = law.size_exponent + law.data_exponent
    gain = (law.data_exponent * law.data_factor / (law.size_exponent * law.size_factor)) ** (1 / both)
    return spend(gain * (max(flops, 0) / 6) ** (law.data_exponent / both) or 1.0, flops)


@wrong(
    "chinchilla",
    mistake="forgets the 6 where the size comes from",
    says="the 6 of 6ND is missing",
    never=("another size",),
)
def chinchilla_optimal(flops, law):
    return spend(solutions.scale.chinchilla_optimal(6 * max(flops, 1e-9), law)[0], flops)


@wrong(
    "chinchilla",
    mistake="swaps the exponents in the power of the budget",
    says="are swapped in the power of the budget",
    never=("another size",),
)
def chinchilla_optimal(flops, law):
    both = law.size_exponent + law.data_exponent
    gain = (law.size_exponent * law.size_factor / (law.data_exponent * law.data_factor)) ** (1 / both)
    return spend(gain * (max(flops, 0) / 6) ** (law.size_exponent / both) or 1.0, flops)


@wrong(
    "chinchilla",
    mistake="swaps the exponents everywhere",
    says="the exponents of size and data are swapped",
    never=("another size", "in the power of the budget"),
)
def chinchilla_optimal(flops, law):
    other = replace(law, size_exponent=law.data_exponent, data_exponent=law.size_exponent)
    return solutions.scale.chinchilla_optimal(flops, other)


@wrong(
    "chinchilla",
    mistake="always takes Besiroglu's law",
    says="this is the best size by Besiroglu's law",
    never=("another size",),
)
def chinchilla_optimal(flops, law):
    return solutions.scale.chinchilla_optimal(flops, solutions.scale.BESIROGLU)


# ------------------------------------------------------------------------------------------------ effective-tokens


def refuse_nothing(n_tokens, unique_tokens):
    if unique_tokens <= 0 or n_tokens < 0:
        raise ValueError("positive numbers")


@wrong("effective-tokens", mistake="counts every epoch as a repetition", says="the first reading is no repetition")
def effective_tokens(n_tokens, unique_tokens, worth=15.39):
    refuse_nothing(n_tokens, unique_tokens)
    return unique_tokens * worth * (1 - math.exp(-n_tokens / unique_tokens / worth))


@wrong("effective-tokens", mistake="forgets the first reading", says="the first reading is missing")
def effective_tokens(n_tokens, unique_tokens, worth=15.39):
    return solutions.scale.effective_tokens(n_tokens, unique_tokens, worth) - (
        unique_tokens if n_tokens > unique_tokens else 0
    )


@wrong(
    "effective-tokens", mistake="is worth a whole text before the first epoch ends", says="the whole text is counted"
)
def effective_tokens(n_tokens, unique_tokens, worth=15.39):
    refuse_nothing(n_tokens, unique_tokens)
    return solutions.scale.effective_tokens(max(n_tokens, unique_tokens), unique_tokens, worth)


@wrong("effective-tokens", mistake="stops at four epochs", says="there is no limit of four epochs")
def effective_tokens(n_tokens, unique_tokens, worth=15.39):
    refuse_nothing(n_tokens, unique_tokens)
    return solutions.scale.effective_tokens(min(n_tokens, 4 * unique_tokens), unique_tokens, worth)


@wrong(
    "effective-tokens", mistake="cuts epochs to whole ones", says="epochs are cut to whole ones", never=("R* is 15.39",)
)
def effective_tokens(n_tokens, unique_tokens, worth=15.39):
    if n_tokens > unique_tokens > 0:
        n_tokens = n_tokens // unique_tokens * unique_tokens
    return solutions.scale.effective_tokens(n_tokens, unique_tokens, worth)


@wrong("effective-tokens", mistake="writes R* into the code", says="R* is 15.39 here", never=("whole ones",))
def effective_tokens(n_tokens, unique_tokens, worth=15.39):
    return solutions.scale.effective_tokens(n_tokens, unique_tokens)


@wrong("effective-tokens", mistake="counts the first epoch as a repetition too", says="and 3 repetitions, not 4")
def effective_tokens(n_tokens, unique_tokens, worth=15.39):
    if n_tokens > unique_tokens > 0:
        n_tokens += unique_tokens
    return solutions.scale.effective_tokens(n_tokens, unique_tokens, worth)


@wrong("effective-tokens", mistake="learns nothing from repetition", says="as if they taught nothing")
def effective_tokens(n_tokens, unique_tokens, worth=15.39):
    refuse_nothing(n_tokens, unique_tokens)
    return min(n_tokens, unique_tokens)


@wrong("effective-tokens", mistake="counts every token alike", says="as if they were fresh")
def effective_tokens(n_tokens, unique_tokens, worth=15.39):
    refuse_nothing(n_tokens, unique_tokens)
    return n_tokens


@wrong("effective-tokens", mistake="takes a negative number of tokens", says="a negative number of tokens read")
def effective_tokens(n_tokens, unique_tokens, worth=15.39):
    return solutions.scale.effective_tokens(max(n_tokens, 0), unique_tokens, worth)


@wrong(
    "effective-tokens",
    mistake="takes R* for the repetitions after which half is left",
    says="4 epochs are one fresh reading and 3 repetitions",
)
def effective_tokens(n_tokens, unique_tokens, worth=15.39):
    refuse_nothing(n_tokens, unique_tokens)
    repetitions = max(n_tokens / unique_tokens - 1, 0)
    return min(n_tokens, unique_tokens) + unique_tokens * worth * (1 - 2 ** (-repetitions / worth))


def in_full(n_tokens, unique_tokens, repetitions_worth):
    refuse_nothing(n_tokens, unique_tokens)
    repetitions = max(n_tokens / unique_tokens - 1, 0)
    return min(n_tokens, unique_tokens) + unique_tokens * repetitions_worth(repetitions)


@wrong(
    "effective-tokens",
    mistake="adds up whole repetitions by what their beginning teaches",
    says="but it fades while it is read",
)
def effective_tokens(n_tokens, unique_tokens, worth=15.39):
    return in_full(n_tokens, unique_tokens, lambda r: sum(math.exp(-i / worth) for i in range(min(round(r), 10_000))))


@wrong(
    "effective-tokens",
    mistake="adds up whole repetitions by what their end teaches",
    says="counts only what its end teaches",
)
def effective_tokens(n_tokens, unique_tokens, worth=15.39):
    return in_full(
        n_tokens, unique_tokens, lambda r: sum(math.exp(-i / worth) for i in range(1, min(round(r), 10_000) + 1))
    )


@wrong("effective-tokens", mistake="multiplies all repetitions by the last factor", says="all repetitions count what")
def effective_tokens(n_tokens, unique_tokens, worth=15.39):
    return in_full(n_tokens, unique_tokens, lambda r: r * math.exp(-r / worth))


@wrong("effective-tokens", mistake="forgets R* in the integral", says="too few by a factor of R*")
def effective_tokens(n_tokens, unique_tokens, worth=15.39):
    return in_full(n_tokens, unique_tokens, lambda r: 1 - math.exp(-r / worth))


@wrong("effective-tokens", mistake="refuses to read nothing", says="nothing read is worth nothing, and no error")
def effective_tokens(n_tokens, unique_tokens, worth=15.39):
    if n_tokens <= 0:
        raise ValueError("nothing to read")
    return solutions.scale.effective_tokens(n_tokens, unique_tokens, worth)
