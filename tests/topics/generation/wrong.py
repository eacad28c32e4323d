"""Plausible wrong answers to the generation assignment, each with the message that it must draw."""

import itertools
import math

import torch
import torch.nn.functional as F

import solutions.generation
from course.banks.bank import wrong
from solutions.generation import require_prompt

INF = math.inf


def probabilities_of(*args, **kwargs):
    return solutions.generation.probabilities(*args, **kwargs)


# ---------------------------------------------------------------------------------------------- apply_temperature


@wrong(
    "probabilities", mistake="multiplies by the temperature", says="it works the wrong way round: a temperature below 1"
)
def apply_temperature(logits, temperature):
    if temperature <= 0:
        raise ValueError("the temperature must be above 0")
    return logits * temperature


@wrong("probabilities", mistake="returns probabilities", says="return logits, not probabilities")
def apply_temperature(logits, temperature):
    return solutions.generation.apply_temperature(logits, temperature).softmax(-1)


@wrong("probabilities", mistake="lets temperature 0 make infinities", says="temperature 0 leaves no distribution")
def apply_temperature(logits, temperature):
    return logits / temperature


@wrong("probabilities", mistake="works in place", says="changed in place")
def apply_temperature(logits, temperature):
    solutions.generation.apply_temperature(logits, temperature)
    return logits.div_(temperature)


@wrong("probabilities", mistake="calls the oracle for the temperature", says="asks you to write what that call does")
def apply_temperature(logits, temperature):
    from transformers.generation import TemperatureLogitsWarper

    return TemperatureLogitsWarper(float(temperature))(None, logits)


@wrong("probabilities", mistake="leaves the logits as they are", says="makes no difference")
def apply_temperature(logits, temperature):
    if temperature <= 0:
        raise ValueError("the temperature must be above 0")
    return logits


@wrong("probabilities", mistake="refuses 0 and takes what is below", says="a temperature below 0")
def apply_temperature(logits, temperature):
    if temperature == 0:
        raise ValueError("the temperature must not be 0")
    return logits / temperature


@wrong("probabilities", mistake="divides the probabilities", says="made to sum to 1")
def apply_temperature(logits, temperature):
    if temperature <= 0:
        raise ValueError("the temperature must be above 0")
    return logits.softmax(-1) / temperature


@wrong("probabilities", mistake="raises probabilities to the power and does not normalise", says="made to sum to 1")
def apply_temperature(logits, temperature):
    if temperature <= 0:
        raise ValueError("the temperature must be above 0")
    return logits.softmax(-1) ** (1 / temperature)


# ----------------------------------------------------------------------------------------------------------- top-k


@wrong("top-k", mistake="sets cut logits to 0", says="the tokens that are cut get the logit 0, which still")
def top_k(logits, k):
    right = solutions.generation.top_k(logits, k)
    return right.masked_fill(right == -INF, 0)


@wrong(
    "top-k",
    mistake="keeps the k largest of the whole batch",
    says="these are the 2 largest logits of both rows together:",
)
def top_k(logits, k):
    if k < 1:
        raise ValueError("k must be at least 1")
    smallest = logits.flatten().topk(min(k, logits.numel())).values[-1]
    return logits.masked_fill(logits < smallest, -INF)


@wrong("top-k", mistake="cuts the k-th too", says="one token too few is kept: the k-th largest stays too")
def top_k(logits, k):
    if k < 1:
        raise ValueError("k must be at least 1")
    if k > logits.shape[-1]:
        return logits
    return logits.masked_fill(logits <= logits.topk(k).values[..., -1:], -INF)


@wrong("top-k", mistake="crashes where k is larger than the vocabulary", says="a k larger than the vocabulary should")
def top_k(logits, k):
    if k < 1:
        raise ValueError("k must be at least 1")
    return logits.masked_fill(logits < logits.topk(k).values[..., -1:], -INF)


@wrong("top-k", mistake="calls the oracle", says="asks you to write what that call does")
def top_k(logits, k):
    from transformers.generation import TopKLogitsWarper

    return TopKLogitsWarper(k)(None, logits)


@wrong("top-k", mistake="keeps one too many", says="one token too many is kept")
def top_k(logits, k):
    if k < 1:
        raise ValueError("k must be at least 1")
    return solutions.generation.top_k(logits, k + 1)


@wrong("top-k", mistake="keeps the smallest", says="the smallest logits are kept")
def top_k(logits, k):
    if k < 1:
        raise ValueError("k must be at least 1")
    k = min(k, logits.shape[-1])
    return logits.masked_fill(logits > logits.kthvalue(k, -1, keepdim=True).values, -INF)


@wrong("top-k", mistake="returns the k logits alone", says="every token should keep its place")
def top_k(logits, k):
    if k < 1:
        raise ValueError("k must be at least 1")
    return logits.topk(min(k, logits.shape[-1])).values


@wrong("top-k", mistake="takes k = 0", says="k = 0 leaves no token")
def top_k(logits, k):
    if k == 0:
        return torch.full_like(logits, -INF)
    return solutions.generation.top_k(logits, k)


@wrong("top-k", mistake="works in place", says="changed in place")
def top_k(logits, k):
    cut = solutions.generation.top_k(logits, k) == -INF
    logits[cut] = -INF
    return logits


@wrong("top-k", mistake="takes it that there are two axes", says="axes, k =", never=("changed in place",))
def top_k(logits, k):
    if k < 1:
        raise ValueError("k must be at least 1")
    k = min(k, logits.shape[1]) if logits.ndim > 1 else min(k, len(logits))
    smallest = logits.topk(k).values[:, -1, None] if logits.ndim > 1 else logits.topk(k).values.min()
    return logits.masked_fill(logits < smallest, -INF)


@wrong("top-k", mistake="returns the logits in sorted order", says="each row keeps its own 2 largest logits")
def top_k(logits, k):
    if k < 1:
        raise ValueError("k must be at least 1")
    values = logits.sort(-1, descending=True).values.clone()
    values[..., k:] = -INF
    return values


# ----------------------------------------------------------------------------------------------------------- top-p


def refuse_p(p):
    if not 0 < p <= 1:
        raise ValueError("p must be above 0 and at most 1")


@wrong("top-p", mistake="cuts the token that reaches p", says="the token with which the sum reaches p is kept")
def top_p(logits, p):
    refuse_p(p)
    values, order = logits.softmax(-1).sort(-1, descending=True)
    goes = values.cumsum(-1) > p + 1e-12
    goes[..., 0] = False
    return logits.masked_fill(goes.scatter(-1, order, goes), -INF)


@wrong("top-p", mistake="keeps the unlikeliest tokens", says="the likeliest token is cut: begin with the likeliest")
def top_p(logits, p):
    refuse_p(p)
    values, order = logits.softmax(-1).sort(-1)
    goes = values.cumsum(-1) - values >= p
    return logits.masked_fill(goes.scatter(-1, order, goes), -INF)


@wrong("top-p", mistake="leaves the mask in sorted order", says="token 0 stays in place of the likeliest: the mask is")
def top_p(logits, p):
    refuse_p(p)
    values = logits.softmax(-1).sort(-1, descending=True).values
    return logits.masked_fill(values.cumsum(-1) - values >= p, -INF)


@wrong(
    "top-p",
    mistake="cuts all rows by the first one's order",
    says="both rows keep the tokens that the first should: cut",
)
def top_p(logits, p):
    refuse_p(p)
    if p == 1 or logits.ndim == 1:
        return solutions.generation.top_p(logits, p)
    first = solutions.generation.top_p(logits.flatten(0, -2)[0], p)
    return logits.masked_fill(first == -INF, -INF)


@wrong("top-p", mistake="takes any p", says="p = 0.0 is no share")
def top_p(logits, p):
    values, order = logits.softmax(-1).sort(-1)
    goes = values.cumsum(-1) <= 1 - p
    goes[..., -1] = False
    return logits.masked_fill(goes.scatter(-1, order, goes), -INF)


@wrong("top-p", mistake="calls the oracle", says="asks you to write what that call does")
def top_p(logits, p):
    from transformers.generation import TopPLogitsWarper

    return TopPLogitsWarper(p)(None, logits)


@wrong("top-p", mistake="keeps one too many where p is reached exactly", says="reach p = 0.5 exactly")
def top_p(logits, p):
    refuse_p(p)
    values, order = logits.softmax(-1).sort(-1, descending=True)
    goes = values.cumsum(-1) - values > p
    return logits.masked_fill(goes.scatter(-1, order, goes), -INF)


@wrong("top-p", mistake="loses unlikely tokens at p = 1", says="p = 1 should keep every token")
def top_p(logits, p):
    refuse_p(p)
    values, order = logits.softmax(-1).sort(-1, descending=True)
    goes = values.cumsum(-1) - values >= p
    goes[..., 0] = False
    return logits.masked_fill(goes.scatter(-1, order, goes), -INF)


@wrong("top-p", mistake="keeps no token where the likeliest reaches p", says="no token is left")
def top_p(logits, p):
    refuse_p(p)
    values, order = logits.softmax(-1).sort(-1, descending=True)
    goes = values.cumsum(-1) > p
    return logits.masked_fill(goes.scatter(-1, order, goes), -INF)


@wrong(
    "top-p", mistake="adds up logits from the likeliest down", says="add up probabilities, the softmax of the logits"
)
def top_p(logits, p):
    refuse_p(p)
    values, order = logits.sort(-1, descending=True)
    goes = values.cumsum(-1) - values >= p
    goes[..., 0] = False
    return logits.masked_fill(goes.scatter(-1, order, goes), -INF)


@wrong(
    "top-p", mistake="adds up logits from the unlikeliest up", says="add up probabilities, the softmax of the logits"
)
def top_p(logits, p):
    refuse_p(p)
    values, order = logits.sort(-1)
    goes = values.cumsum(-1) <= 1 - p
    goes[..., -1] = False
    return logits.masked_fill(goes.scatter(-1, order, goes), -INF)


@wrong("top-p", mistake="refuses p = 1", says="p = 1 should keep every token, however unlikely it is (your code raised")
def top_p(logits, p):
    if not 0 < p < 1:
        raise ValueError("p must be a share of the probability")
    return solutions.generation.top_p(logits, p)


@wrong(
    "top-p", mistake="keeps no token at a tiny p", says="however small p is, a likeliest token reaches it and stays; w"
)
def top_p(logits, p):
    refuse_p(p)
    values, order = logits.softmax(-1).sort(-1)
    goes = values.cumsum(-1) <= 1 - p
    return logits.masked_fill(goes.scatter(-1, order, goes), -INF)


@wrong("top-p", mistake="fails at p = 1", says="index 0 is out of bounds for dimension 0", never=("p = 1 should keep",))
def top_p(logits, p):
    refuse_p(p)
    rows = logits.reshape(-1, logits.shape[-1])
    values, order = rows.softmax(-1).sort(-1, descending=True)
    last = torch.tensor([(row >= p).nonzero()[0, 0].item() for row in values.cumsum(-1)])
    goes = torch.arange(rows.shape[-1]) > last[:, None]
    return rows.masked_fill(goes.scatter(-1, order, goes), -INF).view(logits.shape)


@wrong("top-p", mistake="sets cut logits to 0", says="no token is cut")
def top_p(logits, p):
    right = solutions.generation.top_p(logits, p)
    return right.masked_fill(right == -INF, 0)


@wrong("top-p", mistake="returns log-probabilities", says="should be what they were")
def top_p(logits, p):
    return solutions.generation.top_p(logits, p).log_softmax(-1)


@wrong("top-p", mistake="works in place", says="changed in place")
def top_p(logits, p):
    cut = solutions.generation.top_p(logits, p) == -INF
    logits[cut] = -INF
    return logits


@wrong(
    "top-p",
    mistake="sorts and sums over the whole batch",
    says="p is reached by both rows together: cut each by itself",
    never=("that the first should",),
)
def top_p(logits, p):
    return solutions.generation.top_p(logits.flatten(), p).view(logits.shape)


@wrong("top-p", mistake="cuts every token below 1 - p", says="the token with which the sum reaches p is kept too")
def top_p(logits, p):
    refuse_p(p)
    q = logits.softmax(-1)
    goes = q < 1 - p
    return logits.masked_fill(goes & (q < q.amax(-1, keepdim=True)), -INF)


# -------------------------------------------------------------------------------------------------- probabilities


@wrong(
    "probabilities", mistake="cuts before the temperature", says="top-p comes before the temperature, and should come"
)
def probabilities(logits, temperature=1.0, k=None, p=1.0):
    logits = logits if k is None else solutions.generation.top_k(logits, k)
    return (solutions.generation.top_p(logits, p) / temperature).softmax(-1)


@wrong("probabilities", mistake="cuts by p before k", says="top-p comes before top-k, and should cut what top-k has")
def probabilities(logits, temperature=1.0, k=None, p=1.0):
    logits = solutions.generation.top_p(logits / temperature, p)
    return (logits if k is None else solutions.generation.top_k(logits, k)).softmax(-1)


@wrong(
    "probabilities",
    mistake="sets probabilities to 0 and leaves the others as they were",
    says="the probabilities of each row should sum to 1: what is",
)
def probabilities(logits, temperature=1.0, k=None, p=1.0):
    logits = logits / temperature
    kept = logits if k is None else solutions.generation.top_k(logits, k)
    return logits.softmax(-1) * (solutions.generation.top_p(kept, p) > -INF)


@wrong("probabilities", mistake="calls the oracle", says="asks you to write what that call does")
def probabilities(logits, temperature=1.0, k=None, p=1.0):
    from transformers.generation import TemperatureLogitsWarper

    return TemperatureLogitsWarper(float(temperature))(None, logits).softmax(-1)


@wrong("probabilities", mistake="returns the filtered logits", says="the softmax is missing")
def probabilities(logits, temperature=1.0, k=None, p=1.0):
    logits = solutions.generation.apply_temperature(logits, temperature)
    logits = logits if k is None else solutions.generation.top_k(logits, k)
    return solutions.generation.top_p(logits, p)


@wrong("probabilities", mistake="ignores the temperature", says="the temperature makes no difference")
def probabilities(logits, temperature=1.0, k=None, p=1.0):
    return probabilities_of(logits, 1.0 if temperature > 0 else temperature, k, p)


@wrong("probabilities", mistake="ignores k", says="k makes no difference")
def probabilities(logits, temperature=1.0, k=None, p=1.0):
    return probabilities_of(logits, temperature, None, p)


@wrong("probabilities", mistake="ignores p", says="p makes no difference")
def probabilities(logits, temperature=1.0, k=None, p=1.0):
    return probabilities_of(logits, temperature, k)


@wrong("probabilities", mistake="takes k = 0 for no k", says="k = 0 leaves no token")
def probabilities(logits, temperature=1.0, k=None, p=1.0):
    return probabilities_of(logits, temperature, k or None, p)


@wrong("probabilities", mistake="writes the softmax out, and overflows", says="too large for `exp`")
def probabilities(logits, temperature=1.0, k=None, p=1.0):
    logits = solutions.generation.apply_temperature(logits, temperature)
    logits = logits if k is None else solutions.generation.top_k(logits, k)
    weights = solutions.generation.top_p(logits, p).exp()
    return weights / weights.sum(-1, keepdim=True)


@wrong("probabilities", mistake="divides the logits in place", says="changed in place")
def probabilities(logits, temperature=1.0, k=None, p=1.0):
    wanted = probabilities_of(logits, temperature, k, p)
    logits /= temperature
    return wanted


@wrong("probabilities", mistake="takes the softmax over the batch", says="another axis than the vocabulary")
def probabilities(logits, temperature=1.0, k=None, p=1.0):
    logits = solutions.generation.apply_temperature(logits, temperature)
    logits = logits if k is None else solutions.generation.top_k(logits, k)
    return solutions.generation.top_p(logits, p).softmax(0)


@wrong("probabilities", mistake="takes the softmax of probabilities", says="with nothing asked for")
def probabilities(logits, temperature=1.0, k=None, p=1.0):
    return probabilities_of(logits, temperature, k, p).softmax(-1)


# ---------------------------------------------------------------------------------------------------------- greedy


@torch.no_grad()
def greedily(model, ids, n_tokens, choose, eos=None, any_or_all=torch.all):
    """Greedy writing with a part of it exchanged: `choose(text)` gives the next tokens."""
    require_prompt(ids)
    ended = torch.zeros(len(ids), dtype=torch.bool)
    for _ in range(n_tokens):
        chosen = choose(ids)
        if eos is not None:
            chosen = chosen.masked_fill(ended, eos)
            ended = chosen == eos
        ids = torch.cat([ids, chosen[:, None]], dim=1)
        if eos is not None and any_or_all(ended):
            break
    return ids


def likeliest(model, ids):
    return model(ids[:, -model.config.context :])[:, -1].argmax(-1)


@wrong(
    "greedy",
    mistake="shows the model only the last token",
    says="the model read only the last token: it should read all",
)
def greedy(model, ids, n_tokens, eos=None):
    return greedily(model, ids, n_tokens, lambda text: likeliest(model, text[:, -1:]), eos)


@wrong("greedy", mistake="ignores eos", says="eos changes nothing: these are the texts without it")
def greedy(model, ids, n_tokens, eos=None):
    return greedily(model, ids, n_tokens, lambda text: likeliest(model, text))


@wrong(
    "greedy", mistake="stops everything when one text ends", says="all texts stop as soon as one has written eos: the"
)
def greedy(model, ids, n_tokens, eos=None):
    return greedily(model, ids, n_tokens, lambda text: likeliest(model, text), eos, torch.any)


@wrong(
    "greedy", mistake="lets a text that has ended write on", says="a text that has written eos goes on: it should be"
)
@torch.no_grad()
def greedy(model, ids, n_tokens, eos=None):
    require_prompt(ids)
    ended = torch.zeros(len(ids), dtype=torch.bool)
    for _ in range(n_tokens):
        chosen = likeliest(model, ids)
        ids = torch.cat([ids, chosen[:, None]], dim=1)
        ended |= chosen == (-1 if eos is None else eos)
        if ended.all():
            break
    return ids


@wrong(
    "greedy",
    mistake="takes an eos in the prompt for an end",
    says="a text whose prompt holds eos counts as ended: only an",
)
def greedy(model, ids, n_tokens, eos=None):
    out = solutions.generation.greedy(model, ids, n_tokens, eos)
    if eos is not None:
        over = (ids == eos).any(1)
        out[over, ids.shape[1] :] = eos
        if over.any() and out.shape[1] == ids.shape[1] + 1:
            out = torch.cat([out, torch.full((len(ids), 1), eos)], dim=1)
    return out


@wrong("greedy", mistake="gives the model more than its context", says="only the last `context` tokens")
def greedy(model, ids, n_tokens, eos=None):
    return greedily(model, ids, n_tokens, lambda text: model(text)[:, -1].argmax(-1), eos)


@wrong("greedy", mistake="does not look at an empty prompt", says="a prompt without tokens")
@torch.no_grad()
def greedy(model, ids, n_tokens, eos=None):
    if ids.shape[1] == 0:
        return ids
    return solutions.generation.greedy(model, ids, n_tokens, eos)


@wrong("greedy", mistake="calls the oracle", says="asks you to write what that call does")
def greedy(model, ids, n_tokens, eos=None):
    import transformers

    return transformers.GPT2LMHeadModel(transformers.GPT2Config()).generate(ids, max_new_tokens=n_tokens)


@wrong("greedy", mistake="returns the new tokens alone", says="the prompt is missing")
def greedy(model, ids, n_tokens, eos=None):
    return solutions.generation.greedy(model, ids, n_tokens, eos)[:, ids.shape[1] :]


@wrong("greedy", mistake="takes the logits of the first position", says="the logits after the first token")
def greedy(model, ids, n_tokens, eos=None):
    def first(text):
        return model(text[:, -model.config.context :])[:, 0].argmax(-1)

    return greedily(model, ids, n_tokens, first, eos)


@wrong("greedy", mistake="reads the first tokens of a long text", says="the model read the first `context` tokens")
def greedy(model, ids, n_tokens, eos=None):
    return greedily(model, ids, n_tokens, lambda text: model(text[:, : model.config.context])[:, -1].argmax(-1), eos)


@wrong("greedy", mistake="cuts the text that it returns too", says="stays in the result whole")
def greedy(model, ids, n_tokens, eos=None):
    return solutions.generation.greedy(model, ids, n_tokens, eos)[:, -model.config.context :]


@wrong(
    "greedy",
    mistake="cuts the prompt and not what grows from it",
    says="a text may grow beyond the context: each time, give the",
)
def greedy(model, ids, n_tokens, eos=None):
    require_prompt(ids)
    context = model.config.context
    short = greedily(model, ids[:, -context:], n_tokens, lambda text: model(text)[:, -1].argmax(-1), eos)
    return torch.cat([ids[:, :-context], short], dim=1)


@wrong("greedy", mistake="takes any eos in the text for an end", says="whose prompt holds eos counts as ended")
@torch.no_grad()
def greedy(model, ids, n_tokens, eos=None):
    require_prompt(ids)
    for _ in range(n_tokens):
        ended = (ids == (-1 if eos is None else eos)).any(1)
        chosen = likeliest(model, ids)
        if eos is not None:
            chosen = chosen.masked_fill(ended, eos)
        ids = torch.cat([ids, chosen[:, None]], dim=1)
        if ((ids == (-1 if eos is None else eos)).any(1)).all():
            break
    return ids


@wrong("greedy", mistake="takes eos = 0 for no eos", says="token 0 may be eos too")
def greedy(model, ids, n_tokens, eos=None):
    return solutions.generation.greedy(model, ids, n_tokens, eos or None)


@wrong("greedy", mistake="fills ended texts to the last step", says="stop as soon as all have ended")
def greedy(model, ids, n_tokens, eos=None):
    out = solutions.generation.greedy(model, ids, n_tokens, eos)
    return out if eos is None else F.pad(out, (0, ids.shape[1] + n_tokens - out.shape[1]), value=eos)


@wrong(
    "greedy",
    mistake="gives every text the token of the first",
    says="the first new token should be the likeliest after the last 5",
)
def greedy(model, ids, n_tokens, eos=None):
    return greedily(model, ids, n_tokens, lambda text: likeliest(model, text)[:1].expand(len(text)), eos)


# ---------------------------------------------------------------------------------------------------------- sample


@torch.no_grad()
def drawn(model, ids, n_tokens, choose):
    """Sampling with a part of it exchanged: `choose(logits, step)` gives the next tokens, one a row."""
    require_prompt(ids)
    for step in range(n_tokens):
        chosen = choose(model(ids[:, -model.config.context :])[:, -1], step)
        ids = torch.cat([ids, chosen.view(-1, 1)], dim=1)
    return ids


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@wrong(
    "sample", mistake="takes seed 0 for no seed", says="seed 9 makes its text again, and seed 0 does not: 0 is a seed"
)
def sample(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=0):
    generator = seeded(seed) if seed else None

    def choose(logits, step):
        return torch.multinomial(probabilities_of(logits, temperature, k, p), 1, generator=generator)

    return drawn(model, ids, n_tokens, choose)


@wrong(
    "sample", mistake="gives all texts the draw of the first", says="all texts of a batch get the token of the first"
)
def sample(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=0):
    generator = seeded(seed)

    def choose(logits, step):
        q = probabilities_of(logits, temperature, k, p)[:1]
        return torch.multinomial(q, 1, generator=generator).expand(len(logits), 1)

    return drawn(model, ids, n_tokens, choose)


@wrong("sample", mistake="makes the generator anew for each token", says="make the generator once")
def sample(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=0):
    def choose(logits, step):
        return torch.multinomial(probabilities_of(logits, temperature, k, p), 1, generator=seeded(seed))

    return drawn(model, ids, n_tokens, choose)


@wrong("sample", mistake="draws from torch's global random numbers", says="draw from a generator with this seed")
def sample(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=0):
    return drawn(
        model, ids, n_tokens, lambda logits, step: torch.multinomial(probabilities_of(logits, temperature, k, p), 1)
    )


@wrong("sample", mistake="takes the likeliest", says="at temperature 2 these are still the likeliest tokens")
def sample(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=0):
    return drawn(model, ids, n_tokens, lambda logits, step: logits.argmax(-1))


@wrong("sample", mistake="ignores p", says="p = 0.000001")
def sample(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=0):
    return solutions.generation.sample(model, ids, n_tokens, temperature, k, 1.0, seed)


@wrong("sample", mistake="draws one token for the whole batch", says="each draws its own")
def sample(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=0):
    generator = seeded(seed)

    def choose(logits, step):
        q = probabilities_of(logits, temperature, k, p)
        places = torch.rand(1, generator=generator, dtype=q.dtype).expand(len(q), 1).contiguous()
        return torch.searchsorted(q.cumsum(-1), places).clamp(max=q.shape[-1] - 1)

    return drawn(model, ids, n_tokens, choose)


@wrong("sample", mistake="calls the oracle", says="asks you to write what that call does")
def sample(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=0):
    import transformers

    return transformers.GPT2LMHeadModel(transformers.GPT2Config()).generate(ids, do_sample=True)


@wrong("sample", mistake="seeds torch's global generator", says="global random state was changed")
def sample(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=0):
    torch.manual_seed(seed)
    return drawn(
        model, ids, n_tokens, lambda logits, step: torch.multinomial(probabilities_of(logits, temperature, k, p), 1)
    )


@wrong("sample", mistake="seeds torch's global generator for each token", says="global random state was changed")
def sample(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=0):
    def choose(logits, step):
        torch.manual_seed(seed + step)
        return torch.multinomial(probabilities_of(logits, temperature, k, p), 1)

    return drawn(model, ids, n_tokens, choose)


@wrong("sample", mistake="ignores the temperature", says="as if the temperature were 1")
def sample(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=0):
    probabilities_of(torch.zeros(1, 2), temperature)
    return solutions.generation.sample(model, ids, n_tokens, 1.0, k, p, seed)


@wrong("sample", mistake="multiplies by the temperature", says="as if the temperature were its inverse")
def sample(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=0):
    probabilities_of(torch.zeros(1, 2), temperature)
    return solutions.generation.sample(model, ids, n_tokens, 1 / temperature, k, p, seed)


@wrong("sample", mistake="ignores k", says="k = 1 should leave only the likeliest token")
def sample(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=0):
    return solutions.generation.sample(model, ids, n_tokens, temperature, None, p, seed)


@wrong("sample", mistake="draws evenly from what the filters leave", says="too far from their probabilities")
def sample(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=0):
    generator = seeded(seed)

    def choose(logits, step):
        left = (probabilities_of(logits, temperature, k, p) > 0).double()
        return torch.multinomial(left, 1, generator=generator)

    return drawn(model, ids, n_tokens, choose)


@wrong("sample", mistake="ignores the seed", says="four other seeds all gave the same text")
def sample(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=0):
    return solutions.generation.sample(model, ids, n_tokens, temperature, k, p, 0)


@wrong("sample", mistake="gives the model more than its context", says="only the last `context` tokens")
@torch.no_grad()
def sample(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=0):
    require_prompt(ids)
    generator = seeded(seed)
    for _ in range(n_tokens):
        q = probabilities_of(model(ids)[:, -1], temperature, k, p)
        ids = torch.cat([ids, torch.multinomial(q, 1, generator=generator)], dim=1)
    return ids


@wrong("sample", mistake="returns the new tokens alone", says="the prompt is missing")
def sample(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=0):
    return solutions.generation.sample(model, ids, n_tokens, temperature, k, p, seed)[:, ids.shape[1] :]


@wrong("sample", mistake="does not look at an empty prompt", says="a prompt without tokens")
def sample(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=0):
    if ids.shape[1] == 0:
        return ids
    return solutions.generation.sample(model, ids, n_tokens, temperature, k, p, seed)


@wrong(
    "sample", mistake="draws all tokens from the first distribution", says="k = 1 should leave only the likeliest token"
)
@torch.no_grad()
def sample(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=0):
    require_prompt(ids)
    if n_tokens == 0:
        return ids
    q = probabilities_of(model(ids[:, -model.config.context :])[:, -1], temperature, k, p)
    return torch.cat([ids, torch.multinomial(q, n_tokens, replacement=True, generator=seeded(seed))], dim=1)


# ------------------------------------------------------------------------------------------------------ repetition


def refuse_n(ids, n):
    if not 1 <= n <= ids.shape[1]:
        raise ValueError("n must be from 1 to the length of the texts")


def grams_of(ids, n):
    return [[tuple(text[i : i + n]) for i in range(len(text) - n + 1)] for text in ids.tolist()]


@wrong(
    "repetition",
    mistake="counts every n-gram that occurs more than once",
    says="pairs that occur more than once are all counted, the",
)
def rep_n(ids, n):
    refuse_n(ids, n)
    return torch.tensor([sum(grams.count(g) > 1 for g in grams) / len(grams) for grams in grams_of(ids, n)])


@wrong(
    "repetition",
    mistake="divides the different pairs that repeat by the different pairs",
    says="these are the pairs that repeat over the different pairs",
    never=("all counted",),
)
def rep_n(ids, n):
    refuse_n(ids, n)
    return torch.tensor([sum(grams.count(g) > 1 for g in set(grams)) / len(set(grams)) for grams in grams_of(ids, n)])


@wrong("repetition", mistake="counts each pair that repeats once", says="is counted once, however often it comes")
def rep_n(ids, n):
    refuse_n(ids, n)
    return torch.tensor([sum(grams.count(g) > 1 for g in set(grams)) / len(grams) for grams in grams_of(ids, n)])


@wrong(
    "repetition", mistake="divides by the number of tokens", says="this is the number of repeated pairs over that of"
)
def rep_n(ids, n):
    refuse_n(ids, n)
    return torch.tensor([(len(grams) - len(set(grams))) / ids.shape[1] for grams in grams_of(ids, n)])


@wrong(
    "repetition",
    mistake="cuts the text into pieces that do not overlap",
    says="every second pair is left out: pairs overlap, 12 21 12",
)
def rep_n(ids, n):
    refuse_n(ids, n)
    cut = [grams[::n] for grams in grams_of(ids, n)]
    return torch.tensor([1 - len(set(grams)) / len(grams) for grams in cut])


@wrong("repetition", mistake="joins the texts into one", says="the texts are joined into one: no pair reaches from the")
def distinct_n(ids, n):
    refuse_n(ids, n)
    (grams,) = grams_of(ids.flatten()[None], n)
    return len(set(grams)) / len(grams)


@wrong(
    "repetition", mistake="takes the mean over texts", says="this is the mean of the texts' own shares: count in all"
)
def distinct_n(ids, n):
    refuse_n(ids, n)
    return sum(len(set(grams)) / len(grams) for grams in grams_of(ids, n)) / len(ids)


@wrong("repetition", mistake="gives the number of repeats", says="this is the number of repeated pairs: divide")
def rep_n(ids, n):
    refuse_n(ids, n)
    return torch.tensor([float(len(grams) - len(set(grams))) for grams in grams_of(ids, n)])


@wrong(
    "repetition",
    mistake="gives the share of different n-grams",
    says="this is the share of different pairs: rep_n is that of",
)
def rep_n(ids, n):
    refuse_n(ids, n)
    return torch.tensor([len(set(grams)) / len(grams) for grams in grams_of(ids, n)])


@wrong("repetition", mistake="compares neighbours alone", says="with the one before it alone")
def rep_n(ids, n):
    refuse_n(ids, n)
    return torch.tensor([sum(a == b for a, b in itertools.pairwise(grams)) / len(grams) for grams in grams_of(ids, n)])


@wrong("repetition", mistake="remembers other texts", says="pairs of other texts count")
def rep_n(ids, n):
    refuse_n(ids, n)
    seen, shares = set(), []
    for grams in grams_of(ids, n):
        repeated = 0
        for gram in grams:
            repeated += gram in seen
            seen.add(gram)
        shares.append(repeated / len(grams))
    return torch.tensor(shares)


@wrong("repetition", mistake="has a short memory", says="comes back after 200 tokens")
def rep_n(ids, n):
    refuse_n(ids, n)
    return torch.tensor(
        [sum(g in grams[max(0, i - 64) : i] for i, g in enumerate(grams)) / len(grams) for grams in grams_of(ids, n)]
    )


@wrong("repetition", mistake="gives a list", says="the result should be a tensor")
def rep_n(ids, n):
    return solutions.generation.rep_n(ids, n).tolist()


@wrong("repetition", mistake="takes texts shorter than n", says="rep_n: texts of 5 tokens have no 6-grams")
def rep_n(ids, n):
    if n < 1:
        raise ValueError("n must be 1 or more")
    if n > ids.shape[1]:
        return torch.zeros(len(ids))
    return solutions.generation.rep_n(ids, n)


@wrong("repetition", mistake="divides the different ones by the number of tokens", says="over that of tokens")
def distinct_n(ids, n):
    refuse_n(ids, n)
    return len({gram for grams in grams_of(ids, n) for gram in grams}) / ids.numel()


@wrong("repetition", mistake="counts the different ones", says="divide it by that of all pairs")
def distinct_n(ids, n):
    refuse_n(ids, n)
    return float(len({gram for grams in grams_of(ids, n) for gram in grams}))


@wrong("repetition", mistake="gives the share of repeats for the texts together", says="pairs that are repeats")
def distinct_n(ids, n):
    return 1 - solutions.generation.distinct_n(ids, n)


@wrong("repetition", mistake="gives a share for each text", says="the result should be a number")
def distinct_n(ids, n):
    refuse_n(ids, n)
    return torch.tensor([len(set(grams)) / len(grams) for grams in grams_of(ids, n)])


@wrong("repetition", mistake="takes an n of 0", says="distinct_n: with n = 0")
def distinct_n(ids, n):
    return 1.0 if n == 0 else solutions.generation.distinct_n(ids, n)


@wrong("repetition", mistake="takes n-grams for the same in any order", says="12 and 21 are taken for the same pair")
def rep_n(ids, n):
    refuse_n(ids, n)
    return torch.tensor([1 - len({tuple(sorted(g)) for g in grams}) / len(grams) for grams in grams_of(ids, n)])


# ------------------------------------------------------------------------------------------------ penalize-repeats


def refuse_penalty(penalty):
    if penalty <= 0:
        raise ValueError("the penalty must be above 0")


@wrong(
    "penalize-repeats", mistake="divides negative logits too", says="negative logits are divided too, which makes them"
)
def penalize_repeats(logits, ids, penalty):
    refuse_penalty(penalty)
    return logits.scatter(-1, ids, logits.gather(-1, ids) / penalty)


@wrong(
    "penalize-repeats",
    mistake="penalises once for each use",
    says="token 0 was used three times, and is penalised three",
)
def penalize_repeats(logits, ids, penalty):
    refuse_penalty(penalty)
    used = F.one_hot(ids, logits.shape[-1]).sum(1)
    return torch.where(logits > 0, logits / penalty**used, logits * penalty**used)


@wrong(
    "penalize-repeats",
    mistake="penalises a token in every text",
    says="a token that one text has used is penalised in all of",
)
def penalize_repeats(logits, ids, penalty):
    refuse_penalty(penalty)
    logits = logits.clone()
    used = ids.unique()
    logits[:, used] = torch.where(logits[:, used] > 0, logits[:, used] / penalty, logits[:, used] * penalty)
    return logits


@wrong("penalize-repeats", mistake="calls the oracle", says="asks you to write what that call does")
def penalize_repeats(logits, ids, penalty):
    from transformers.generation import RepetitionPenaltyLogitsProcessor

    return RepetitionPenaltyLogitsProcessor(penalty)(ids, logits.clone())


@wrong("penalize-repeats", mistake="multiplies positive logits too", says="positive logits are multiplied too")
def penalize_repeats(logits, ids, penalty):
    refuse_penalty(penalty)
    return logits.scatter(-1, ids, logits.gather(-1, ids) * penalty)


@wrong("penalize-repeats", mistake="divides where it should multiply", says="used tokens become likelier")
def penalize_repeats(logits, ids, penalty):
    refuse_penalty(penalty)
    return solutions.generation.penalize_repeats(logits, ids, 1 / penalty)


@wrong("penalize-repeats", mistake="subtracts the penalty", says="the penalty is subtracted")
def penalize_repeats(logits, ids, penalty):
    refuse_penalty(penalty)
    return logits.scatter(-1, ids, logits.gather(-1, ids) - penalty)


@wrong("penalize-repeats", mistake="penalises all tokens", says="tokens that were not used are penalised too")
def penalize_repeats(logits, ids, penalty):
    refuse_penalty(penalty)
    return torch.where(logits > 0, logits / penalty, logits * penalty)


@wrong("penalize-repeats", mistake="looks at the first text alone", says="penalised for the first text's tokens")
def penalize_repeats(logits, ids, penalty):
    return solutions.generation.penalize_repeats(logits, ids[:1].expand_as(ids), penalty)


@wrong(
    "penalize-repeats",
    mistake="works in place",
    says="changed in place",
    never=("penalised three times", "penalised once"),
)
def penalize_repeats(logits, ids, penalty):
    refuse_penalty(penalty)
    seen = logits.gather(-1, ids)
    return logits.scatter_(-1, ids, torch.where(seen > 0, seen / penalty, seen * penalty))


@wrong("penalize-repeats", mistake="takes any penalty", says="a penalty of 0 cannot divide")
def penalize_repeats(logits, ids, penalty):
    seen = logits.gather(-1, ids)
    return logits.scatter(-1, ids, torch.where(seen > 0, seen / penalty, seen * penalty))


@wrong("penalize-repeats", mistake="refuses a penalty below 1", says="a penalty of 0.5 is allowed")
def penalize_repeats(logits, ids, penalty):
    if penalty < 1:
        raise ValueError("the penalty must be at least 1")
    return solutions.generation.penalize_repeats(logits, ids, penalty)


@wrong("penalize-repeats", mistake="refuses 0 and takes what is below", says="a penalty below 0")
def penalize_repeats(logits, ids, penalty):
    if penalty == 0:
        raise ValueError("the penalty must not be 0")
    seen = logits.gather(-1, ids)
    return logits.scatter(-1, ids, torch.where(seen > 0, seen / penalty, seen * penalty))


@wrong("penalize-repeats", mistake="penalises the last token alone", says="used tokens 0 to 3 at penalty 2")
def penalize_repeats(logits, ids, penalty):
    return solutions.generation.penalize_repeats(logits, ids[:, -1:], penalty)


# -------------------------------------------------------------------------------------------------- forbid-repeats


def forbidding(logits, ids, n, followers):
    """A copy of logits with -infinity for what `followers(text)` lists."""
    if n < 1:
        raise ValueError("n must be 1 or more")
    logits = logits.clone()
    for row, text in zip(logits, ids.tolist(), strict=True):
        row[followers(text)] = -INF
    return logits


@wrong(
    "forbid-repeats",
    mistake="is off by one: forbids after n tokens",
    says="nothing is forbidden, though 4 5 was followed by 1",
)
def forbid_repeats(logits, ids, n):
    return solutions.generation.forbid_repeats(logits, ids, n + 1)


@wrong(
    "forbid-repeats",
    mistake="forbids only what followed the first time",
    says="4 5 was followed by 1, and later by 2: only the first",
)
def forbid_repeats(logits, ids, n):
    def followers(text):
        ending = text[len(text) - n + 1 :]
        found = [text[i + n - 1] for i in range(len(text) - n + 1) if text[i : i + n - 1] == ending]
        return found if n == 1 else found[:1]

    return forbidding(logits, ids, n, followers)


@wrong("forbid-repeats", mistake="takes text[-0:] for an empty ending", says="n = 1 forbids every token")
def forbid_repeats(logits, ids, n):
    def followers(text):
        ending = text[-(n - 1) :]
        return [text[i + n - 1] for i in range(len(text) - n + 1) if text[i : i + n - 1] == ending]

    return forbidding(logits, ids, n, followers)


@wrong(
    "forbid-repeats",
    mistake="forbids by all texts of the batch",
    says="n-grams of one text are forbidden in the other: each",
)
def forbid_repeats(logits, ids, n):
    if n < 1:
        raise ValueError("n must be 1 or more")
    if n == 1:
        logits = logits.clone()
        logits[:, ids.unique()] = -INF
        return logits
    grams = {tuple(g) for text in ids.unfold(1, n, 1).tolist() for g in text} if ids.shape[1] >= n else set()

    logits = logits.clone()
    for row, text in zip(logits, ids.tolist(), strict=True):
        row[[g[-1] for g in grams if list(g[:-1]) == text[len(text) - n + 1 :]]] = -INF
    return logits


@wrong("forbid-repeats", mistake="calls the oracle", says="asks you to write what that call does")
def forbid_repeats(logits, ids, n):
    from transformers.generation import NoRepeatNGramLogitsProcessor

    return NoRepeatNGramLogitsProcessor(n)(ids, logits.clone())


@wrong("forbid-repeats", mistake="forbids after n - 2 tokens", says="what followed 5 is forbidden")
def forbid_repeats(logits, ids, n):
    return solutions.generation.forbid_repeats(logits, ids, max(n - 1, 1) if n > 0 else n)


@wrong("forbid-repeats", mistake="forbids every token of the text", says="every token of the text is forbidden")
def forbid_repeats(logits, ids, n):
    return solutions.generation.forbid_repeats(logits, ids, min(n, 1))


@wrong("forbid-repeats", mistake="forbids only what followed the last time", says="only the last is forbidden")
def forbid_repeats(logits, ids, n):
    def followers(text):
        ending = text[len(text) - n + 1 :]
        found = [text[i + n - 1] for i in range(len(text) - n + 1) if text[i : i + n - 1] == ending]
        return found if n == 1 else found[-1:]

    return forbidding(logits, ids, n, followers)


@wrong("forbid-repeats", mistake="misses the last n-gram of the text", says="at the very end of the text")
def forbid_repeats(logits, ids, n):
    def followers(text):
        ending = text[len(text) - n + 1 :]
        starts = range(len(text) - n + (n == 1))
        return [text[i + n - 1] for i in starts if text[i : i + n - 1] == ending]

    return forbidding(logits, ids, n, followers)


@wrong("forbid-repeats", mistake="forbids what a text forbids in all rows", says="is forbidden in all")
def forbid_repeats(logits, ids, n):
    right = solutions.generation.forbid_repeats(logits, ids, n)
    return logits.masked_fill((right == -INF).any(0), -INF)


@wrong("forbid-repeats", mistake="looks at the first text alone", says="the first text forbids is forbidden in both")
def forbid_repeats(logits, ids, n):
    return solutions.generation.forbid_repeats(logits, ids[:1].expand_as(ids), n)


@wrong("forbid-repeats", mistake="works in place", says="changed in place")
def forbid_repeats(logits, ids, n):
    logits.copy_(solutions.generation.forbid_repeats(logits, ids, n))
    return logits


@wrong("forbid-repeats", mistake="refuses a text shorter than n", says="a text of one token holds no trigram: forbid")
def forbid_repeats(logits, ids, n):
    if ids.shape[1] < n:
        raise ValueError("the text is shorter than n")
    return solutions.generation.forbid_repeats(logits, ids, n)


@wrong("forbid-repeats", mistake="takes an n of 0", says="there are no such n-grams")
def forbid_repeats(logits, ids, n):
    return logits.clone() if n < 1 else solutions.generation.forbid_repeats(logits, ids, n)


@wrong("forbid-repeats", mistake="fails on a text shorter than n", says="maximum size for tensor at dimension 1 i")
def forbid_repeats(logits, ids, n):
    if n < 1:
        raise ValueError("n must be 1 or more")
    grams = ids.unfold(1, n, 1)
    same = (grams[..., :-1] == ids[:, None, ids.shape[1] - n + 1 :]).all(-1)
    logits = logits.clone()
    for row, followers, found in zip(logits, grams[..., -1], same, strict=True):
        row[followers[found]] = -INF
    return logits


# ----------------------------------------------------------------------------------------------------- beam-search


@torch.no_grad()
def beams(
    model,
    ids,
    n_tokens,
    width,
    eos=None,
    length_penalty=1.0,
    *,
    score=lambda logits: logits.log_softmax(-1),
    add=True,
    wide=2,
    goes_on=False,
    stops_at_first=False,
    stops_at_width=False,
    any_rank=False,
    shorter=0,
):
    """Beam search in which one thing may be done differently."""
    require_prompt(ids)
    if width < 1:
        raise ValueError("at least one beam is needed")
    texts, totals, finished = ids[None], torch.zeros(1), []
    for length in range(1, n_tokens + 1):
        logits = model(texts[:, -model.config.context :])[:, -1]
        before = totals[:, None] if add else torch.zeros(len(texts), 1)
        candidates = (before + score(logits)).flatten()
        totals, index = candidates.topk(min(wide * width, len(candidates)))
        texts = torch.cat([texts[index // logits.shape[-1]], index[:, None] % logits.shape[-1]], dim=1)
        ends = texts[:, -1] == (-1 if eos is None else eos)
        power = max(length - shorter, 1) ** length_penalty
        for i in range(len(texts) if any_rank else min(width, len(texts))):
            if ends[i] or length == n_tokens:
                finished.append((texts[i], totals[i].item() / power))
        if stops_at_width and len(finished) >= width:
            break
        if stops_at_first and ends[:width].any():
            break
        keep = torch.ones_like(ends) if goes_on else ~ends
        texts, totals = texts[keep][:width], totals[keep][:width]
        if len(texts) == 0:
            break
    return max(finished, key=lambda pair: pair[1], default=(ids, 0.0))


@wrong(
    "beam-search",
    mistake="adds logits, not log-probabilities",
    says="logits are added up, and log-probabilities should be",
)
def beam_search(model, ids, n_tokens, width, eos=None, length_penalty=1.0):
    return beams(model, ids, n_tokens, width, eos, length_penalty, score=lambda logits: logits)


@wrong("beam-search", mistake="compares by the last token alone", says="the last token alone is scored: add up the")
def beam_search(model, ids, n_tokens, width, eos=None, length_penalty=1.0):
    return beams(model, ids, n_tokens, width, eos, length_penalty, add=False)


@wrong("beam-search", mistake="gives the sum as the score", says="the sum is not divided: length penalty 1 makes the")
def beam_search(model, ids, n_tokens, width, eos=None, length_penalty=1.0):
    text, score = solutions.generation.beam_search(model, ids, n_tokens, width, eos, length_penalty)
    return text, score * (len(text) - len(ids)) ** length_penalty


@wrong(
    "beam-search",
    mistake="takes only `width` candidates, so that beams die",
    says="the only beam ended, and nothing is left to go on: take",
)
def beam_search(model, ids, n_tokens, width, eos=None, length_penalty=1.0):
    return beams(model, ids, n_tokens, width, eos, length_penalty, wide=1)


@wrong("beam-search", mistake="lets texts go on after their end", says="a text goes on after its eos, 2")
def beam_search(model, ids, n_tokens, width, eos=None, length_penalty=1.0):
    return beams(model, ids, n_tokens, width, eos, length_penalty, goes_on=True)


@wrong(
    "beam-search", mistake="stops at the first text that ends", says="the search stops at the first text that ends: the"
)
def beam_search(model, ids, n_tokens, width, eos=None, length_penalty=1.0):
    return beams(model, ids, n_tokens, width, eos, length_penalty, stops_at_first=True)


@wrong("beam-search", mistake="does not count eos in the length", says="eos is not counted in the length of the text")
def beam_search(model, ids, n_tokens, width, eos=None, length_penalty=1.0):
    shorter = 0 if eos is None else 1
    return beams(model, ids, n_tokens, width, eos, length_penalty, shorter=shorter)


@wrong("beam-search", mistake="has nothing to say to a width of 0", says="no beams")
def beam_search(model, ids, n_tokens, width, eos=None, length_penalty=1.0):
    return beams(model, ids, n_tokens, max(width, 1), eos, length_penalty)


@wrong("beam-search", mistake="calls the oracle", says="asks you to write what that call does")
def beam_search(model, ids, n_tokens, width, eos=None, length_penalty=1.0):
    import transformers

    return transformers.GPT2LMHeadModel(transformers.GPT2Config()).generate(ids[None], num_beams=width)[0], 0.0


@wrong("beam-search", mistake="finishes candidates of any rank", says="it should be given up")
def beam_search(model, ids, n_tokens, width, eos=None, length_penalty=1.0):
    return beams(model, ids, n_tokens, width, eos, length_penalty, any_rank=True)


@wrong("beam-search", mistake="stops as soon as `width` texts have ended", says="as soon as `width` texts have ended")
def beam_search(model, ids, n_tokens, width, eos=None, length_penalty=1.0):
    return beams(model, ids, n_tokens, width, eos, length_penalty, stops_at_width=True)


@wrong("beam-search", mistake="takes eos = 0 for no eos", says="token 0 may be eos too")
def beam_search(model, ids, n_tokens, width, eos=None, length_penalty=1.0):
    return beams(model, ids, n_tokens, width, eos or None, length_penalty)


@wrong("beam-search", mistake="counts the prompt in the length", says="the prompt's tokens are counted too")
def beam_search(model, ids, n_tokens, width, eos=None, length_penalty=1.0):
    return beams(model, ids, n_tokens, width, eos, length_penalty, shorter=-len(ids))


@wrong("beam-search", mistake="ignores the length penalty", says="the sum is not divided")
def beam_search(model, ids, n_tokens, width, eos=None, length_penalty=1.0):
    return beams(model, ids, n_tokens, width, eos, 0.0)


@wrong(
    "beam-search",
    mistake="always takes the mean",
    says="this is ln 0.5 and not three times that: length penalty",
    never=("last token alone",),
)
def beam_search(model, ids, n_tokens, width, eos=None, length_penalty=1.0):
    return beams(model, ids, n_tokens, width, eos, 1.0)


@wrong("beam-search", mistake="gives the text without its eos", says="missing at the end of the text")
def beam_search(model, ids, n_tokens, width, eos=None, length_penalty=1.0):
    text, score = solutions.generation.beam_search(model, ids, n_tokens, width, eos, length_penalty)
    return (text[:-1] if eos is not None and text[-1] == eos else text), score


@wrong("beam-search", mistake="gives the new tokens alone", says="the prompt is missing")
def beam_search(model, ids, n_tokens, width, eos=None, length_penalty=1.0):
    text, score = solutions.generation.beam_search(model, ids, n_tokens, width, eos, length_penalty)
    return text[len(ids) :], score


@wrong("beam-search", mistake="gives the text without a score", says="two things, the text and its score")
def beam_search(model, ids, n_tokens, width, eos=None, length_penalty=1.0):
    return solutions.generation.beam_search(model, ids, n_tokens, width, eos, length_penalty)[0]


@wrong("beam-search", mistake="gives a list of ids", says="the text should be a tensor")
def beam_search(model, ids, n_tokens, width, eos=None, length_penalty=1.0):
    text, score = solutions.generation.beam_search(model, ids, n_tokens, width, eos, length_penalty)
    return text.tolist(), score


@wrong("beam-search", mistake="follows the likeliest token of each beam alone", says="transformers finds another text")
@torch.no_grad()
def beam_search(model, ids, n_tokens, width, eos=None, length_penalty=1.0):
    require_prompt(ids)
    if width < 1:
        raise ValueError("at least one beam is needed")
    first = model(ids[None, -model.config.context :])[:, -1].log_softmax(-1)[0]
    found = []
    for token in first.topk(min(width, len(first))).indices if n_tokens else []:
        text, total, length = torch.cat([ids, token[None]]), first[token].item(), 1
        while length < n_tokens and text[-1] != (-1 if eos is None else eos):
            gains = model(text[None, -model.config.context :])[:, -1].log_softmax(-1)[0]
            text, total, length = torch.cat([text, gains.argmax()[None]]), total + gains.max().item(), length + 1
        found.append((text, total / length**length_penalty))
    return max(found, key=lambda pair: pair[1], default=(ids, 0.0))


@wrong(
    "beam-search", mistake="begins with copies of the prompt", says="or the beams are copies of one; at first there is"
)
@torch.no_grad()
def beam_search(model, ids, n_tokens, width, eos=None, length_penalty=1.0):
    require_prompt(ids)
    if width < 1:
        raise ValueError("at least one beam is needed")
    texts, totals, finished = ids.repeat(width, 1), torch.zeros(width), []
    for length in range(1, n_tokens + 1):
        logits = model(texts[:, -model.config.context :])[:, -1]
        candidates = (totals[:, None] + logits.log_softmax(-1)).flatten()
        totals, index = candidates.topk(min(2 * width, len(candidates)))
        texts = torch.cat([texts[index // logits.shape[-1]], index[:, None] % logits.shape[-1]], dim=1)
        ends = texts[:, -1] == (-1 if eos is None else eos)
        for i in range(min(width, len(texts))):
            if ends[i] or length == n_tokens:
                finished.append((texts[i], totals[i].item() / length**length_penalty))
        texts, totals = texts[~ends][:width], totals[~ends][:width]
        if len(texts) == 0:
            break
    return max(finished, key=lambda pair: pair[1], default=(ids, 0.0))


@wrong("beam-search", mistake="gives the model more than its context", says="only the last `context` tokens")
@torch.no_grad()
def beam_search(model, ids, n_tokens, width, eos=None, length_penalty=1.0):
    if len(ids) + n_tokens - 1 > model.config.context:
        raise ValueError("the text is longer than the context")
    return solutions.generation.beam_search(model, ids, n_tokens, width, eos, length_penalty)


@wrong("beam-search", mistake="has no text when no tokens are asked for", says="no new tokens were asked for")
def beam_search(model, ids, n_tokens, width, eos=None, length_penalty=1.0):
    texts = [solutions.generation.beam_search(model, ids, n_tokens, width, eos, length_penalty)] if n_tokens else []
    return max(texts, key=lambda pair: pair[1])


@wrong("beam-search", mistake="does not look at an empty prompt", says="a prompt without tokens")
def beam_search(model, ids, n_tokens, width, eos=None, length_penalty=1.0):
    if len(ids) == 0:
        return ids, 0.0
    return solutions.generation.beam_search(model, ids, n_tokens, width, eos, length_penalty)


@wrong("beam-search", mistake="divides the sums at every step", says="the score is the mean of ln 0.5")
@torch.no_grad()
def beam_search(model, ids, n_tokens, width, eos=None, length_penalty=1.0):
    require_prompt(ids)
    if width < 1:
        raise ValueError("at least one beam is needed")
    texts, totals, finished = ids[None], torch.zeros(1), []
    for length in range(1, n_tokens + 1):
        gains = model(texts[:, -model.config.context :])[:, -1].log_softmax(-1)
        candidates = (totals[:, None] + gains).flatten() / length**length_penalty
        totals, index = candidates.topk(min(2 * width, len(candidates)))
        texts = torch.cat([texts[index // gains.shape[-1]], index[:, None] % gains.shape[-1]], dim=1)
        ends = texts[:, -1] == (-1 if eos is None else eos)
        for i in range(min(width, len(texts))):
            if ends[i] or length == n_tokens:
                finished.append((texts[i], totals[i].item()))
        texts, totals = texts[~ends][:width], totals[~ends][:width]
    return max(finished, key=lambda pair: pair[1], default=(ids, 0.0))


# -------------------------------------------------------------------------------------------------------- kv-cache


@wrong("kv-cache", mistake="overwrites from the start", says="new keys are written over the first ones: they should")
class KVCache(solutions.generation.KVCache):
    def append(self, layer, keys, values):
        n = keys.shape[2]
        self.memory[layer, 0, :, :, :n], self.memory[layer, 1, :, :, :n] = keys, values
        self.lengths[layer] += n
        if self.lengths[layer] > self.memory.shape[4]:
            self.lengths[layer] -= n
            raise ValueError("full")
        return self.memory[layer, 0, :, :, : self.lengths[layer]], self.memory[layer, 1, :, :, : self.lengths[layer]]


@wrong("kv-cache", mistake="returns only what is new", says="only the keys of new positions come back: those that")
class KVCache(solutions.generation.KVCache):
    def append(self, layer, keys, values):
        super().append(layer, keys, values)
        return keys, values


@wrong(
    "kv-cache",
    mistake="returns the memory of the whole context",
    says="the memory of the whole context comes back: only the",
)
class KVCache(solutions.generation.KVCache):
    def append(self, layer, keys, values):
        super().append(layer, keys, values)
        return self.memory[layer, 0], self.memory[layer, 1]


@wrong("kv-cache", mistake="keeps one memory for all layers", says="each layer has its own")
class KVCache(solutions.generation.KVCache):
    def append(self, layer, keys, values):
        start, end = self.lengths[layer], self.lengths[layer] + keys.shape[2]
        if end > self.memory.shape[4]:
            raise ValueError("full")
        self.memory[0, 0, :, :, start:end], self.memory[0, 1, :, :, start:end] = keys, values
        self.lengths[layer] = end
        return self.memory[0, 0, :, :, :end], self.memory[0, 1, :, :, :end]


@wrong("kv-cache", mistake="lets torch complain of the sizes", says="raised another: RuntimeError")
class KVCache(solutions.generation.KVCache):
    def append(self, layer, keys, values):
        start, end = self.lengths[layer], self.lengths[layer] + keys.shape[2]
        self.memory[layer, 0, :, :, start:end], self.memory[layer, 1, :, :, start:end] = keys, values
        self.lengths[layer] = end
        return self.memory[layer, 0, :, :, :end], self.memory[layer, 1, :, :, :end]


@wrong("kv-cache", mistake="counts what it refuses", says="what was refused should not be counted in self.lengths")
class KVCache(solutions.generation.KVCache):
    def append(self, layer, keys, values):
        start = self.lengths[layer]
        self.lengths[layer] = end = start + keys.shape[2]
        if end > self.memory.shape[4]:
            self.lengths[layer] = start + 1
            raise ValueError("full")
        self.memory[layer, 0, :, :, start:end], self.memory[layer, 1, :, :, start:end] = keys, values
        return self.memory[layer, 0, :, :, :end].clone(), self.memory[layer, 1, :, :, :end].clone()


class Joined(solutions.generation.KVCache):
    """Keys and values joined anew for each position."""

    def join(self, layer, keys, values, newest_first=False):
        if not hasattr(self, "held"):
            self.held = {}
        before = self.held.get(layer)
        if before is not None:
            pairs = [
                (new, old) if newest_first else (old, new) for old, new in zip(before, (keys, values), strict=True)
            ]
            keys, values = (torch.cat(pair, dim=2) for pair in pairs)
        self.held[layer] = keys, values
        return keys, values


@wrong("kv-cache", mistake="joins tensors and counts nothing", says="keep self.lengths right")
class KVCache(Joined):
    def append(self, layer, keys, values):
        return self.join(layer, keys, values)


@wrong("kv-cache", mistake="counts nothing", says="keep self.lengths right", never=("only the keys of new",))
class KVCache(solutions.generation.KVCache):
    def append(self, layer, keys, values):
        start, end = self.lengths[layer], self.lengths[layer] + keys.shape[2]
        if end > self.memory.shape[4]:
            raise ValueError("full")
        self.memory[layer, 0, :, :, start:end], self.memory[layer, 1, :, :, start:end] = keys, values
        return self.memory[layer, 0, :, :, :end], self.memory[layer, 1, :, :, :end]


@wrong(
    "kv-cache",
    mistake="puts new positions after those that all layers hold",
    says="self.lengths[layer] counts what a layer holds",
    never=("only the keys of new",),
)
class KVCache(solutions.generation.KVCache):
    def append(self, layer, keys, values):
        start, end = self.length(), self.length() + keys.shape[2]
        if end > self.memory.shape[4]:
            raise ValueError("full")
        self.memory[layer, 0, :, :, start:end], self.memory[layer, 1, :, :, start:end] = keys, values
        self.lengths[layer] = end
        return self.memory[layer, 0, :, :, :end], self.memory[layer, 1, :, :, :end]


@wrong("kv-cache", mistake="sets the count of all layers", says="each layer has a count of its own")
class KVCache(solutions.generation.KVCache):
    def append(self, layer, keys, values):
        start, end = self.lengths[layer], self.lengths[layer] + keys.shape[2]
        if end > self.memory.shape[4]:
            raise ValueError("full")
        self.memory[layer, 0, :, :, start:end], self.memory[layer, 1, :, :, start:end] = keys, values
        self.lengths = [end] * len(self.lengths)
        return self.memory[layer, 0, :, :, :end], self.memory[layer, 1, :, :, :end]


@wrong("kv-cache", mistake="joins tensors beyond the context", says="more positions than the context has")
class KVCache(Joined):
    def append(self, layer, keys, values):
        self.lengths[layer] += keys.shape[2]
        return self.join(layer, keys, values)


@wrong("kv-cache", mistake="puts the newest first", says="the newest positions come first")
class KVCache(Joined):
    def append(self, layer, keys, values):
        if self.lengths[layer] + keys.shape[2] > self.memory.shape[4]:
            raise ValueError("full")
        self.lengths[layer] += keys.shape[2]
        return self.join(layer, keys, values, newest_first=True)


@wrong("kv-cache", mistake="mixes up keys and values", says="the first tensor holds the values")
class KVCache(solutions.generation.KVCache):
    def append(self, layer, keys, values):
        return super().append(layer, values, keys)


@wrong("kv-cache", mistake="keeps the keys twice", says="the second tensor holds the keys")
class KVCache(solutions.generation.KVCache):
    def append(self, layer, keys, values):
        return super().append(layer, keys, keys)


@wrong("kv-cache", mistake="returns one tensor", says="two tensors, all keys and all values")
class KVCache(solutions.generation.KVCache):
    def append(self, layer, keys, values):
        return torch.stack(super().append(layer, keys, values))


@wrong("kv-cache", mistake="returns nothing", says="two tensors, all keys and all values")
class KVCache(solutions.generation.KVCache):
    def append(self, layer, keys, values):
        super().append(layer, keys, values)


@wrong("kv-cache", mistake="stores what it refuses", says="what was refused should not be")
class KVCache(solutions.generation.KVCache):
    def append(self, layer, keys, values):
        start, room = self.lengths[layer], self.memory.shape[4] - self.lengths[layer]
        fits = min(keys.shape[2], room)
        self.memory[layer, 0, :, :, start : start + fits] = keys[:, :, :fits]
        self.memory[layer, 1, :, :, start : start + fits] = values[:, :, :fits]
        self.lengths[layer] += fits
        if fits < keys.shape[2]:
            raise ValueError("full")
        return self.memory[layer, 0, :, :, : start + fits], self.memory[layer, 1, :, :, : start + fits]


@wrong(
    "kv-cache", mistake="leaves the last place empty", says="the last place of the context is free: one more position"
)
class KVCache(solutions.generation.KVCache):
    def append(self, layer, keys, values):
        if self.lengths[layer] + keys.shape[2] >= self.memory.shape[4]:
            raise ValueError("full")
        return super().append(layer, keys, values)


@wrong("kv-cache", mistake="has one count for all layers", says="each layer has a count of its own")
class KVCache(solutions.generation.KVCache):
    def append(self, layer, keys, values):
        start, end = self.lengths[0], self.lengths[0] + keys.shape[2]
        if end > self.memory.shape[4]:
            raise ValueError("full")
        self.memory[layer, 0, :, :, start:end] = keys
        self.memory[layer, 1, :, :, start:end] = values
        self.lengths = [end] * len(self.lengths)
        return self.memory[layer, 0, :, :, :end], self.memory[layer, 1, :, :, :end]


# --------------------------------------------------------------------------------------------------------- read-on


@torch.no_grad()
def reading(model, ids, cache, *, position=None, mask=None, attend=None, norm=True, scale=None, without=()):
    """`read_on` in which one thing may be done differently."""
    start, n = cache.length(), ids.shape[1]
    if start + n > model.config.context:
        raise ValueError("too long")
    mask = torch.ones(n, start + n, dtype=torch.bool).tril(start) if mask is None else mask(n, start)
    first = start if position is None else position
    x = model.token_embedding(ids)
    if "positions" not in without:
        x = x + model.position_embedding.weight[first : first + n]
    for layer, block in enumerate(model.blocks):
        q, k, v = block.attention.heads(x if "attention norm" in without else block.attention_norm(x))
        keys, values = (k, v) if "cache" in without else cache.append(layer, k, v)
        if attend == "new":
            keys, values, mask = k, v, torch.ones(n, n, dtype=torch.bool).tril()
        mixed = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask, scale=scale)
        mixed = mixed.transpose(1, 2).flatten(2)
        mixed = mixed if "projection" in without else block.attention.projection(mixed)
        x = mixed if "attention's residual" in without else x + mixed
        more = block.mlp(x if "MLP norm" in without else block.mlp_norm(x))
        x = x if "MLP" in without else more if "MLP's residual" in without else x + more
    x = model.final_norm(x) if norm else x
    return x if "unembedding" in without else x @ model.token_embedding.weight.T


@wrong("read-on", mistake="counts positions from 0", says="a fifth token after four is given position 0: count on")
def read_on(model, ids, cache):
    return reading(model, ids, cache, position=0)


@wrong(
    "read-on",
    mistake="has no mask",
    says="positions see those after them: the mask is missing",
    never=(
        "norm",
        "side by side",
        "residual stream",
    ),
)
def read_on(model, ids, cache):
    return reading(model, ids, cache, mask=lambda n, start: torch.ones(n, start + n, dtype=torch.bool))


@wrong(
    "read-on", mistake="lets new tokens see each other", says="four tokens after five see each other: each should see"
)
def read_on(model, ids, cache):
    def mask(n, start):
        mask = torch.ones(n, start + n, dtype=torch.bool)
        return mask if start else mask.tril()

    return reading(model, ids, cache, mask=mask)


@wrong(
    "read-on", mistake="attends to the new positions only", says="a fifth token after four sees itself alone: it should"
)
def read_on(model, ids, cache):
    return reading(model, ids, cache, attend="new")


@wrong(
    "read-on",
    mistake="forgets the final norm",
    says="the final norm is missing",
    never=(
        "mask is missing",
        "side by side",
        "residual stream",
    ),
)
def read_on(model, ids, cache):
    return reading(model, ids, cache, norm=False)


@wrong(
    "read-on",
    mistake="joins the heads in the wrong order",
    says="at a position their results belong side by side",
    never=(
        "mask is missing",
        "norm",
        "root of a head",
    ),
)
@torch.no_grad()
def read_on(model, ids, cache):
    start, n = cache.length(), ids.shape[1]
    if start + n > model.config.context:
        raise ValueError("too long")
    x = model.token_embedding(ids) + model.position_embedding.weight[start : start + n]
    mask = torch.ones(n, start + n, dtype=torch.bool).tril(start)
    for layer, block in enumerate(model.blocks):
        q, k, v = block.attention.heads(block.attention_norm(x))
        mixed = F.scaled_dot_product_attention(q, *cache.append(layer, k, v), attn_mask=mask)
        x = x + block.attention.projection(mixed.reshape(x.shape))
        x = x + block.mlp(block.mlp_norm(x))
    return model.final_norm(x) @ model.token_embedding.weight.T


@wrong(
    "read-on",
    mistake="drops the residual of attention",
    says="after attention nothing is left of what it was given:",
    never=("heads put side by side",),
)
def read_on(model, ids, cache):
    return reading(model, ids, cache, without=("attention's residual",))


@wrong(
    "read-on",
    mistake="drops the residual of the MLP",
    says="after the MLP nothing is left of what it was given: its",
    never=("heads put side by side",),
)
def read_on(model, ids, cache):
    return reading(model, ids, cache, without=("MLP's residual",))


@wrong("read-on", mistake="forgets the norm before attention", says="the norm before attention is missing")
def read_on(model, ids, cache):
    return reading(model, ids, cache, without=("attention norm",))


@wrong("read-on", mistake="forgets the norm before the MLP", says="the norm before the MLP is missing")
def read_on(model, ids, cache):
    return reading(model, ids, cache, without=("MLP norm",))


@wrong("read-on", mistake="forgets the MLP", says="the MLP is missing")
def read_on(model, ids, cache):
    return reading(model, ids, cache, without=("MLP",))


@wrong(
    "read-on",
    mistake="forgets the product with the embeddings",
    says="these are the vectors after the final norm: logi",
)
def read_on(model, ids, cache):
    return reading(model, ids, cache, without=("unembedding",))


@wrong("read-on", mistake="forgets the positions", says="the positions' embeddings are missing")
def read_on(model, ids, cache):
    return reading(model, ids, cache, without=("positions",))


@wrong(
    "read-on",
    mistake="forgets the projection after attention",
    says="an empty cache and a model whose MLP adds nothing, and",
)
def read_on(model, ids, cache):
    return reading(model, ids, cache, without=("projection",))


@wrong(
    "read-on",
    mistake="scales by the model's width",
    says="divided by the root of a head's width",
    never=("side by side",),
)
def read_on(model, ids, cache):
    return reading(model, ids, cache, scale=model.config.d_model**-0.5)


@wrong("read-on", mistake="puts nothing into the cache", says="read as if it were the first")
def read_on(model, ids, cache):
    return reading(model, ids, cache, without=("cache",))


@wrong("read-on", mistake="begins the mask in column 0", says="see only the first 1, 2, 3 and 4 positions")
def read_on(model, ids, cache):
    def mask(n, start):
        return (
            torch.ones(n, start + n, dtype=torch.bool).tril() if n > 1 else torch.ones(1, start + 1, dtype=torch.bool)
        )

    return reading(model, ids, cache, mask=mask)


@wrong("read-on", mistake="lets a position see the next one", says="positions see the one after them too")
def read_on(model, ids, cache):
    return reading(model, ids, cache, mask=lambda n, start: torch.ones(n, start + n, dtype=torch.bool).tril(start + 1))


@wrong("read-on", mistake="gives the logits of the last token alone", says="each new position has its own")
def read_on(model, ids, cache):
    return reading(model, ids, cache)[:, -1:]


@wrong(
    "read-on",
    mistake="leaves the last position of the context empty",
    says="the last tokens fill the context, and should fit",
)
def read_on(model, ids, cache):
    if cache.length() + ids.shape[1] >= model.config.context:
        raise ValueError("too long")
    return reading(model, ids, cache)


@wrong("read-on", mistake="does not look at the context", says="more in a context of 5")
def read_on(model, ids, cache):
    kept = ids[:, : model.config.context - cache.length()]
    return reading(model, kept, cache)


# ----------------------------------------------------------------------------------------------------------- write


def writing(model, ids, n_tokens, choose, *, fresh_cache=False):
    """`write` with another way to choose, or with a new cache for each token."""
    require_prompt(ids)
    if ids.shape[1] + n_tokens > model.config.context:
        raise ValueError("too long")
    dtype = model.token_embedding.weight.dtype
    cache, text = solutions.generation.KVCache(model.config, len(ids), dtype), ids
    for _ in range(n_tokens):
        if fresh_cache:
            cache = solutions.generation.KVCache(model.config, len(ids), dtype)
        logits = solutions.generation.read_on(model, text[:, cache.length() :], cache)[:, -1]
        text = torch.cat([text, choose(logits).view(-1, 1)], dim=1)
    return text


def chooser(temperature, k, p, seed):
    if seed is None:
        return lambda logits: logits.argmax(-1)
    generator = seeded(seed)
    return lambda logits: torch.multinomial(probabilities_of(logits, temperature, k, p), 1, generator=generator)


@wrong("write", mistake="reads everything again for each token", says="read the prompt once")
def write(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=None):
    return writing(model, ids, n_tokens, chooser(temperature, k, p, seed), fresh_cache=True)


@wrong(
    "write", mistake="reads the prompt's last token twice", says="the prompt's last token is read twice: the first new"
)
def write(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=None):
    require_prompt(ids)
    config = model.config
    if ids.shape[1] + n_tokens > config.context:
        raise ValueError("too long")
    cache = solutions.generation.KVCache(config, len(ids), model.token_embedding.weight.dtype)
    solutions.generation.read_on(model, ids, cache)
    text, choose = ids, chooser(temperature, k, p, seed)
    for _ in range(n_tokens):
        if cache.length() == config.context:
            chosen = torch.zeros(len(ids), 1, dtype=torch.long)
        else:
            chosen = choose(solutions.generation.read_on(model, text[:, -1:], cache)[:, -1]).view(-1, 1)
        text = torch.cat([text, chosen], dim=1)
    return text


@wrong("write", mistake="makes the cache in float32", says="same dtype")
def write(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=None):
    require_prompt(ids)
    if ids.shape[1] + n_tokens > model.config.context:
        raise ValueError("too long")
    cache, text, choose = solutions.generation.KVCache(model.config, len(ids)), ids, chooser(temperature, k, p, seed)
    for _ in range(n_tokens):
        logits = solutions.generation.read_on(model, text[:, cache.length() :], cache)[:, -1]
        text = torch.cat([text, choose(logits).view(-1, 1)], dim=1)
    return text


@wrong("write", mistake="always draws", says="without a seed tokens are drawn: each should be the")
def write(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=None):
    return writing(model, ids, n_tokens, chooser(temperature, k, p, seed or 0))


@wrong("write", mistake="makes the generator anew for each token", says="make the generator once")
def write(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=None):
    return writing(model, ids, n_tokens, lambda logits: chooser(temperature, k, p, seed)(logits))


@wrong(
    "write", mistake="writes as far as the context reaches", says="2 tokens and 4 more in a context of 5: that should"
)
def write(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=None):
    room = model.config.context - ids.shape[1]
    return writing(model, ids, min(n_tokens, room), chooser(temperature, k, p, seed))


@wrong("write", mistake="calls the oracle", says="asks you to write what that call does")
def write(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=None):
    import transformers

    return transformers.GPT2LMHeadModel(transformers.GPT2Config()).generate(ids, use_cache=True)


@wrong("write", mistake="takes seed 0 for no seed", says="seed 0 is a seed too")
def write(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=None):
    return writing(model, ids, n_tokens, chooser(temperature, k, p, seed or None))


@wrong("write", mistake="seeds torch's global generator", says="global random state was changed")
def write(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=None):
    if seed is None:
        return writing(model, ids, n_tokens, chooser(temperature, k, p, seed))
    torch.manual_seed(seed)
    return writing(
        model, ids, n_tokens, lambda logits: torch.multinomial(probabilities_of(logits, temperature, k, p), 1)
    )


@wrong("write", mistake="draws from torch's global random numbers", says="draw from a generator with this seed")
def write(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=None):
    if seed is None:
        return writing(model, ids, n_tokens, chooser(temperature, k, p, seed))
    return writing(
        model, ids, n_tokens, lambda logits: torch.multinomial(probabilities_of(logits, temperature, k, p), 1)
    )


@wrong("write", mistake="ignores the temperature", says="as if the temperature were 1")
def write(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=None):
    return writing(model, ids, n_tokens, chooser(1.0, k, p, seed))


@wrong("write", mistake="ignores k", says="as if k were None")
def write(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=None):
    return writing(model, ids, n_tokens, chooser(temperature, None, p, seed))


@wrong("write", mistake="ignores p", says="as if p were 1")
def write(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=None):
    return writing(model, ids, n_tokens, chooser(temperature, k, 1.0, seed))


@wrong("write", mistake="gives all texts the draw of the first", says="all texts of a batch get the same token")
def write(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=None):
    choose = chooser(temperature, k, p, seed)
    if seed is None:
        return writing(model, ids, n_tokens, choose)
    return writing(model, ids, n_tokens, lambda logits: choose(logits[:1]).expand(len(ids), 1))


@wrong("write", mistake="returns the new tokens alone", says="the prompt is missing")
def write(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=None):
    return writing(model, ids, n_tokens, chooser(temperature, k, p, seed))[:, ids.shape[1] :]


@wrong("write", mistake="does not fill the context", says="6 tokens and 18 more fill a context of 24, and should")
def write(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=None):
    if ids.shape[1] + n_tokens >= model.config.context:
        raise ValueError("too long")
    return writing(model, ids, n_tokens, chooser(temperature, k, p, seed))


@wrong("write", mistake="lets the text slide beyond the context", says="more in a context of 5")
def write(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=None):
    if seed is None and ids.shape[1] + n_tokens > model.config.context and ids.shape[1]:
        return solutions.generation.greedy(model, ids, n_tokens)
    return writing(model, ids, n_tokens, chooser(temperature, k, p, seed))


@wrong("write", mistake="does not look at an empty prompt", says="a prompt without tokens")
def write(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=None):
    if ids.shape[1] == 0:
        return ids
    return writing(model, ids, n_tokens, chooser(temperature, k, p, seed))
