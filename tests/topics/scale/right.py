"""Other right answers to the scale assignment, which must keep all points."""

import math
from itertools import pairwise

import numpy as np
import torch

import solutions.scale
from course.banks.bank import right


@right("count-params", differs="adds up block by block")
def count_params(config):
    d = config.d_model
    found = {"token_embedding": config.vocab_size * d, "position_embedding": config.context * d}
    found |= {"attention": 0, "mlp": 0, "norm": 2 * d}
    for _ in range(config.n_layer):
        found["attention"] += (d + 1) * 3 * d + (d + 1) * d
        found["mlp"] += (d + 1) * 4 * d + (4 * d + 1) * d
        found["norm"] += 4 * d
    return found


@right("count-params", differs="from a list of shapes")
def count_params(config):
    d, layers = config.d_model, config.n_layer
    shapes = {
        "token_embedding": [(1, config.vocab_size, d)],
        "position_embedding": [(1, config.context, d)],
        "attention": [(layers, d, 3 * d), (layers, 3 * d, 1), (layers, d, d), (layers, d, 1)],
        "mlp": [(layers, d, 4 * d), (layers, 4 * d, 1), (layers, 4 * d, d), (layers, d, 1)],
        "norm": [(4 * layers, d, 1), (2, d, 1)],
    }
    return {part: sum(math.prod(shape) for shape in listed) for part, listed in shapes.items()}


def size_of(d, n_layer, vocab_size, context):
    return 12 * n_layer * d * d + (vocab_size + context + 13 * n_layer + 2) * d


@right("width-of-size", differs="doubles until too wide, then bisects")
def width_of_size(n_params, n_layer, n_head, vocab_size, context):
    def fits(width):
        return size_of(width, n_layer, vocab_size, context) <= n_params

    if not fits(n_head):
        raise ValueError("too few parameters")
    low, high = 1, 2
    while fits(high * n_head):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle * n_head) else (low, middle)
    return low * n_head


@right("width-of-size", differs="one multiple after the other")
def width_of_size(n_params, n_layer, n_head, vocab_size, context):
    width = 0
    while size_of(width + n_head, n_layer, vocab_size, context) <= n_params:
        width += n_head
    if not width:
        raise ValueError("too few parameters")
    return width


@right("width-of-size", differs="takes the root in floating point, which is exact enough up to 10^12 parameters")
def width_of_size(n_params, n_layer, n_head, vocab_size, context):
    quadratic, linear = 12 * n_layer, vocab_size + context + 13 * n_layer + 2
    width = int((math.sqrt(linear**2 + 4 * quadratic * n_params) - linear) / (2 * quadratic)) // n_head * n_head
    if width < n_head:
        raise ValueError("too few parameters")
    return width


@right("flops-per-token", differs="a product of matrices at a time, for the whole text")
def flops_per_token(config, n):
    if n < 1 or n > config.context:
        raise ValueError("a text must fit in the context")
    d, width = config.d_model, config.d_model // config.n_head
    products = [(n, d, 3 * d), (n, d, d), (n, d, 4 * d), (n, 4 * d, d)] * config.n_layer
    products += [(n, width, n), (n, n, width)] * config.n_head * config.n_layer
    products += [(n, d, config.vocab_size)]
    return sum(2 * a * b * c for a, b, c in products) // n


@right("flops-per-token", differs="two for each weight of a matrix, and attention on top; a float")
def flops_per_token(config, n):
    if not 0 < n <= config.context:
        raise ValueError("a text must fit in the context")
    weights = 12 * config.n_layer * config.d_model**2 + config.vocab_size * config.d_model
    return 2.0 * weights + 4 * config.n_layer * config.d_model * n


@right("flops-per-token", differs="forward and two backward, a window at a time")
def training_flops(config, n_tokens):
    window = solutions.scale.flops_per_token(config, config.context) * config.context
    return (window + 2 * window) * n_tokens // config.context


@right("flops-per-token", differs="6 for each weight of a matrix, and attention")
def training_flops(config, n_tokens):
    weights = 12 * config.n_layer * config.d_model**2 + config.vocab_size * config.d_model
    return (6 * weights + 12 * config.n_layer * config.context * config.d_model) * n_tokens


@right("training-memory", differs="adds up tensors of a whole batch")
def training_memory(config, batch_size):
    n_params = sum(solutions.scale.count_params(config).values())
    tokens, d, n = batch_size * config.context, config.d_model, config.context
    block = [tokens * d, 2 * tokens] * 2  # norms
    block += [tokens * d] * 3 + [tokens * 4 * d]  # inputs of qkv, projection, up, down
    block += [tokens * d] * 3 + [batch_size * config.n_head * n * n] + [tokens * 4 * d]  # q, k, v, pattern, gelu
    end = [tokens * d, 2 * tokens, tokens * d, tokens * config.vocab_size]
    kept = config.n_layer * sum(block) + sum(end)
    return {"weights": 4 * n_params, "gradients": 4 * n_params, "optimizer": 8 * n_params, "activations": 4 * kept}


@right("training-memory", differs="16 widths a block")
def training_memory(config, batch_size):
    size = 4 * sum(solutions.scale.count_params(config).values())
    blocks = config.n_layer * (16 * config.d_model + config.n_head * config.context + 4)
    kept = 4 * (blocks + 2 * config.d_model + 2 + config.vocab_size) * batch_size * config.context
    return dict(activations=kept, weights=size, gradients=size, optimizer=2 * size)


@right("decoding-rate", differs="head by head")
def kv_cache_bytes(config, n, batch_size=1, bytes_per_number=2):
    if n < 0 or n > config.context:
        raise ValueError("the cache holds one context")
    a_head = n * (config.d_model // config.n_head) * bytes_per_number
    return batch_size * config.n_layer * config.n_head * (a_head + a_head)


@right("decoding-rate", differs="asks a tensor for its bytes")
def kv_cache_bytes(config, n, batch_size=1, bytes_per_number=2):
    if n not in range(config.context + 1):
        raise ValueError("the cache holds one context")
    shape = (2, config.n_layer, batch_size, n, config.d_model, bytes_per_number)
    return torch.empty(shape, dtype=torch.uint8, device="meta").nbytes


@right("ridge", differs="solves for the reciprocal of the rows")
def ridge_rows(k, n, peak, bandwidth, bytes_per_number=4):
    inverse = 2 * bandwidth / (bytes_per_number * peak) - 1 / k - 1 / n
    return 1 / inverse if inverse > 0 else float("inf")


@right("ridge", differs="halves the gap between too few rows and too many")
def ridge_rows(k, n, peak, bandwidth, bytes_per_number=4):
    def computes_longer(m):
        return 2 * m * k * n / peak > bytes_per_number * (m * k + k * n + m * n) / bandwidth

    if not computes_longer(1e18):
        return math.inf
    low, high = 0.0, 1e18
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (low, middle) if computes_longer(middle) else (middle, high)
    return high


@right("decoding-rate", differs="the lesser of two rates")
def decoding_rate(config, n, batch_size, peak, bandwidth, bytes_per_number=2):
    numbers = sum(solutions.scale.count_params(config).values()) + 2 * config.n_layer * config.d_model * n * batch_size
    by_reading = batch_size * bandwidth / (bytes_per_number * numbers)
    return min(by_reading, peak / solutions.scale.flops_per_token(config, n))


@right("decoding-rate", differs="through the roofline of a step")
def decoding_rate(config, n, batch_size, peak, bandwidth, bytes_per_number=2):
    read = bytes_per_number * sum(solutions.scale.count_params(config).values())
    read += batch_size * solutions.scale.kv_cache_bytes(config, n, 1, bytes_per_number)
    work = batch_size * solutions.scale.flops_per_token(config, n)
    reached = solutions.scale.roofline(torch.tensor(work / read, dtype=torch.float64), peak, bandwidth)
    return batch_size * reached.item() / work


def checked(transitions):
    p = transitions.to(torch.float64)
    if not torch.allclose(p.sum(1), torch.ones(len(p), dtype=p.dtype), atol=1e-4):
        raise ValueError("rows must sum to 1")
    return p


@right("markov-entropy", differs="multiplies a lazy chain, which settles")
def markov_entropy(transitions):
    p = checked(transitions)
    shares = torch.linalg.matrix_power((p + torch.eye(len(p), dtype=p.dtype)) / 2, 1 << 20)[0]
    logs = torch.where(p > 0, p, torch.ones_like(p)).log()
    return -float((shares[:, None] * p * logs).sum())


@right("markov-entropy", differs="the eigenvector with eigenvalue 1")
def markov_entropy(transitions):
    p = checked(transitions)
    values, vectors = torch.linalg.eig(p.T)
    shares = vectors[:, (values - 1).abs().argmin()].real
    return torch.special.entr(p).sum(1).dot(shares / shares.sum()).item()


def enough(sizes, losses):
    if len(sizes) != len(losses) or len(set(sizes)) < 4 or min(*sizes, *losses) <= 0:
        raise ValueError("four sizes at least")


def fitted(sizes, losses, floor):
    """R^2, factor and exponent of the line at a floor, without tensors."""
    x, y = [math.log(n) for n in sizes], [math.log(loss - floor) for loss in losses]
    x_mean, y_mean = sum(x) / len(x), sum(y) / len(y)
    covariance = sum((a - x_mean) * (b - y_mean) for a, b in zip(x, y, strict=True))
    x_spread, y_spread = sum((a - x_mean) ** 2 for a in x), sum((b - y_mean) ** 2 for b in y)
    slope = covariance / x_spread
    return covariance**2 / (x_spread * y_spread), math.exp(y_mean - slope * x_mean), -slope


@right("fit-power-law", differs="golden section on the floor, without tensors")
def fit_power_law(sizes, losses):
    enough(sizes, losses)
    low, high, golden = 0.0, min(losses) * (1 - 1e-9), (5**0.5 - 1) / 2
    for _ in range(80):
        a, b = high - golden * (high - low), low + golden * (high - low)
        if fitted(sizes, losses, a)[0] > fitted(sizes, losses, b)[0]:
            high = b
        else:
            low = a
    floor = (low + high) / 2
    return [floor, *fitted(sizes, losses, floor)[1:]]


@right("fit-power-law", differs="a grid near the least loss, finer and finer, a floor at a time")
def fit_power_law(sizes, losses):
    enough(sizes, losses)
    low, high = 0.0, min(losses)
    for _ in range(9):
        grid = [low + (high - low) * i / 31 for i in range(32)]
        tries = [floor for floor in grid if floor < min(losses)]
        best = max(range(len(tries)), key=lambda i: fitted(sizes, losses, tries[i])[0])
        low, high = grid[max(best - 1, 0)], grid[min(best + 1, 31)]
    return tries[best], *fitted(sizes, losses, tries[best])[1:]


@right("chinchilla", differs="solves for the tokens first")
def chinchilla_optimal(flops, law):
    if flops <= 0:
        raise ValueError("a budget must be positive")
    a, b = law.size_exponent, law.data_exponent
    log_d = (math.log(b * law.data_factor / (a * law.size_factor)) + a * math.log(flops / 6)) / (a + b)
    return [flops / 6 / math.exp(log_d), math.exp(log_d)]


@right("chinchilla", differs="bisects where the slope changes its sign")
def chinchilla_optimal(flops, law):
    if flops <= 0:
        raise ValueError("a budget must be positive")
    low, high = 0.0, math.log(flops)
    for _ in range(200):
        x = (low + high) / 2
        falling = law.size_exponent * law.size_factor * math.exp(-law.size_exponent * x)
        rising = law.data_exponent * law.data_factor * (flops / 6 / math.exp(x)) ** -law.data_exponent
        low, high = (x, high) if falling > rising else (low, x)
    return math.exp(x), flops / 6 / math.exp(x)


@right("effective-tokens", differs="tells two cases apart, and uses expm1")
def effective_tokens(n_tokens, unique_tokens, worth=15.39):
    if unique_tokens <= 0 or n_tokens < 0:
        raise ValueError("positive numbers")
    if n_tokens <= unique_tokens:
        return n_tokens
    return unique_tokens * (1 - worth * math.expm1((1 - n_tokens / unique_tokens) / worth))


@right("effective-tokens", differs="adds the epochs up, each by its closed form")
def effective_tokens(n_tokens, unique_tokens, worth=15.39):
    if unique_tokens <= 0 or n_tokens < 0:
        raise ValueError("positive numbers")
    repeated = max(n_tokens / unique_tokens - 1, 0.0)
    marks = [*range(min(math.ceil(repeated), 10_000)), min(repeated, 10_000)]
    parts = [math.exp(-a / worth) - math.exp(-b / worth) for a, b in pairwise(marks)]
    return min(n_tokens, unique_tokens) + unique_tokens * worth * sum(parts)


@right("markov-entropy", differs="solves in float32, which is close enough")
def markov_entropy(transitions):
    p = checked(transitions).float()
    system = torch.cat([p.T - torch.eye(len(p)), torch.ones(1, len(p))])
    shares = torch.linalg.lstsq(system, torch.eye(len(p) + 1)[-1:].T).solution.flatten()
    return (shares * torch.special.entr(p).sum(1)).sum().item()


@right("fit-power-law", differs="numpy's polynomial of degree one, and numpy's numbers")
def fit_power_law(sizes, losses):
    enough(sizes, losses)
    x, y = np.log(np.array(sizes, dtype=float)), np.array(losses, dtype=float)
    low, high = 0.0, y.min()
    for _ in range(7):
        floors = np.linspace(low, high, 52)[1:-1]
        best = max(floors, key=lambda floor: np.corrcoef(x, np.log(y - floor))[0, 1] ** 2)
        step = (high - low) / 51
        low, high = max(best - step, 0.0), min(best + step, y.min())
    slope, height = np.polyfit(x, np.log(y - best), 1)
    return best, np.exp(height), -slope


@right("count-params", differs="in floating point")
def count_params(config):
    return {part: float(size) for part, size in solutions.scale.count_params(config).items()}
