"""Plausible wrong answers to the generation assignment, each with the message that it must draw."""

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


@wrong("temperature", mistake="multiplies by the temperature", says="p ** (1 / temperature)")
def apply_temperature(logits, temperature):
    if temperature <= 0:
        raise ValueError("the temperature must be above 0")
    return logits * temperature


@wrong("temperature", mistake="returns probabilities", says="return logits, not probabilities")
def apply_temperature(logits, temperature):
    return solutions.generation.apply_temperature(logits, temperature).softmax(-1)


@wrong("temperature", mistake="lets temperature 0 make infinities", says="temperature 0 leaves no distribution")
def apply_temperature(logits, temperature):
    return logits / temperature


@wrong("temperature", mistake="works in place", says="changed in place")
def apply_temperature(logits, temperature):
    solutions.generation.apply_temperature(logits, temperature)
    return logits.div_(temperature)


@wrong("temperature", mistake="calls the oracle", says="asks you to write what that call does")
def apply_temperature(logits, temperature):
    from transformers.generation import TemperatureLogitsWarper

    return TemperatureLogitsWarper(float(temperature))(None, logits)


# ----------------------------------------------------------------------------------------------------------- top-k


@wrong("top-k", mistake="sets cut logits to 0", says="the others become -inf")
def top_k(logits, k):
    right = solutions.generation.top_k(logits, k)
    return right.masked_fill(right == -INF, 0)


@wrong("top-k", mistake="keeps the k largest of the whole batch", says="each row keeps its own 2 largest")
def top_k(logits, k):
    if k < 1:
        raise ValueError("k must be at least 1")
    smallest = logits.flatten().topk(min(k, logits.numel())).values[-1]
    return logits.masked_fill(logits < smallest, -INF)


@wrong("top-k", mistake="cuts the k-th too", says="each row keeps its own 2 largest")
def top_k(logits, k):
    if k < 1:
        raise ValueError("k must be at least 1")
    if k > logits.shape[-1]:
        return logits
    return logits.masked_fill(logits <= logits.topk(k).values[..., -1:], -INF)


@wrong("top-k", mistake="crashes where k is larger than the vocabulary", says="selected index k out of range")
def top_k(logits, k):
    if k < 1:
        raise ValueError("k must be at least 1")
    return logits.masked_fill(logits < logits.topk(k).values[..., -1:], -INF)


@wrong("top-k", mistake="calls the oracle", says="asks you to write what that call does")
def top_k(logits, k):
    from transformers.generation import TopKLogitsWarper

    return TopKLogitsWarper(k)(None, logits)


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


@wrong("top-p", mistake="keeps the unlikeliest tokens", says="keeps tokens 1 and 3")
def top_p(logits, p):
    refuse_p(p)
    values, order = logits.softmax(-1).sort(-1)
    goes = values.cumsum(-1) - values >= p
    return logits.masked_fill(goes.scatter(-1, order, goes), -INF)


@wrong("top-p", mistake="leaves the mask in sorted order", says="keeps tokens 1 and 3")
def top_p(logits, p):
    refuse_p(p)
    values = logits.softmax(-1).sort(-1, descending=True).values
    return logits.masked_fill(values.cumsum(-1) - values >= p, -INF)


@wrong("top-p", mistake="cuts all rows by the first one's order", says="each row is sorted and cut by itself")
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


# -------------------------------------------------------------------------------------------------- probabilities


@wrong("probabilities", mistake="cuts before the temperature", says="the temperature comes first")
def probabilities(logits, temperature=1.0, k=None, p=1.0):
    logits = logits if k is None else solutions.generation.top_k(logits, k)
    return (solutions.generation.top_p(logits, p) / temperature).softmax(-1)


@wrong("probabilities", mistake="cuts by p before k", says="not transformers' distribution")
def probabilities(logits, temperature=1.0, k=None, p=1.0):
    logits = solutions.generation.top_p(logits / temperature, p)
    return (logits if k is None else solutions.generation.top_k(logits, k)).softmax(-1)


@wrong(
    "probabilities",
    mistake="sets probabilities to 0 and leaves the others as they were",
    says="take the softmax after cutting",
)
def probabilities(logits, temperature=1.0, k=None, p=1.0):
    logits = logits / temperature
    kept = logits if k is None else solutions.generation.top_k(logits, k)
    return logits.softmax(-1) * (solutions.generation.top_p(kept, p) > -INF)


@wrong("probabilities", mistake="calls the oracle", says="asks you to write what that call does")
def probabilities(logits, temperature=1.0, k=None, p=1.0):
    from transformers.generation import TemperatureLogitsWarper

    return TemperatureLogitsWarper(float(temperature))(None, logits).softmax(-1)


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


@wrong("greedy", mistake="shows the model only the last token", says="after all tokens before it")
def greedy(model, ids, n_tokens, eos=None):
    return greedily(model, ids, n_tokens, lambda text: likeliest(model, text[:, -1:]), eos)


@wrong("greedy", mistake="ignores eos", says="the work should stop there")
def greedy(model, ids, n_tokens, eos=None):
    return greedily(model, ids, n_tokens, lambda text: likeliest(model, text))


@wrong("greedy", mistake="stops everything when one text ends", says="filled with eos until all have ended")
def greedy(model, ids, n_tokens, eos=None):
    return greedily(model, ids, n_tokens, lambda text: likeliest(model, text), eos, torch.any)


@wrong("greedy", mistake="lets a text that has ended write on", says="filled with eos until all have ended")
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


@wrong("greedy", mistake="takes an eos in the prompt for an end", says="an eos in the prompt ends nothing")
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


@wrong("sample", mistake="takes the likeliest", says="four other seeds all gave the same text")
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


# ------------------------------------------------------------------------------------------------------ repetition


def refuse_n(ids, n):
    if not 1 <= n <= ids.shape[1]:
        raise ValueError("n must be from 1 to the length of the texts")


def grams_of(ids, n):
    return [[tuple(text[i : i + n]) for i in range(len(text) - n + 1)] for text in ids.tolist()]


@wrong("repetition", mistake="counts every n-gram that occurs more than once", says="half stood there before")
def rep_n(ids, n):
    refuse_n(ids, n)
    return torch.tensor([sum(grams.count(g) > 1 for g in grams) / len(grams) for grams in grams_of(ids, n)])


@wrong("repetition", mistake="divides by the number of tokens", says="half stood there before")
def rep_n(ids, n):
    refuse_n(ids, n)
    return torch.tensor([(len(grams) - len(set(grams))) / ids.shape[1] for grams in grams_of(ids, n)])


@wrong("repetition", mistake="cuts the text into pieces that do not overlap", says="half stood there before")
def rep_n(ids, n):
    refuse_n(ids, n)
    cut = [grams[::n] for grams in grams_of(ids, n)]
    return torch.tensor([1 - len(set(grams)) / len(grams) for grams in cut])


@wrong("repetition", mistake="joins the texts into one", says="from the end of one text into the next")
def distinct_n(ids, n):
    refuse_n(ids, n)
    (grams,) = grams_of(ids.flatten()[None], n)
    return len(set(grams)) / len(grams)


@wrong("repetition", mistake="takes the mean over texts", says="the texts have 12 pairs")
def distinct_n(ids, n):
    refuse_n(ids, n)
    return sum(len(set(grams)) / len(grams) for grams in grams_of(ids, n)) / len(ids)


# ------------------------------------------------------------------------------------------------ penalize-repeats


def refuse_penalty(penalty):
    if penalty <= 0:
        raise ValueError("the penalty must be above 0")


@wrong("penalize-repeats", mistake="divides negative logits too", says="a negative one doubled")
def penalize_repeats(logits, ids, penalty):
    refuse_penalty(penalty)
    return logits.scatter(-1, ids, logits.gather(-1, ids) / penalty)


@wrong("penalize-repeats", mistake="penalises once for each use", says="penalised once")
def penalize_repeats(logits, ids, penalty):
    refuse_penalty(penalty)
    used = F.one_hot(ids, logits.shape[-1]).sum(1)
    return torch.where(logits > 0, logits / penalty**used, logits * penalty**used)


@wrong("penalize-repeats", mistake="penalises a token in every text", says="each row is penalised for its own tokens")
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


# -------------------------------------------------------------------------------------------------- forbid-repeats


def forbidding(logits, ids, n, followers):
    """A copy of logits with -infinity for what `followers(text)` lists."""
    if n < 1:
        raise ValueError("n must be 1 or more")
    logits = logits.clone()
    for row, text in zip(logits, ids.tolist(), strict=True):
        row[followers(text)] = -INF
    return logits


@wrong("forbid-repeats", mistake="is off by one: forbids after n tokens", says="forbid 1, so that 4 5 1")
def forbid_repeats(logits, ids, n):
    return solutions.generation.forbid_repeats(logits, ids, n + 1)


@wrong("forbid-repeats", mistake="forbids only what followed the first time", says="forbid both")
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


@wrong("forbid-repeats", mistake="forbids by all texts of the batch", says="each row by its own text")
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
        for i in range(min(width, len(texts))):
            if ends[i] or length == n_tokens:
                finished.append((texts[i], totals[i].item() / power))
        if stops_at_first and ends[:width].any():
            break
        keep = torch.ones_like(ends) if goes_on else ~ends
        texts, totals = texts[keep][:width], totals[keep][:width]
        if len(texts) == 0:
            break
    return max(finished, key=lambda pair: pair[1], default=(ids, 0.0))


@wrong("beam-search", mistake="adds logits, not log-probabilities", says="3 beams, 8 tokens")
def beam_search(model, ids, n_tokens, width, eos=None, length_penalty=1.0):
    return beams(model, ids, n_tokens, width, eos, length_penalty, score=lambda logits: logits)


@wrong("beam-search", mistake="compares by the last token alone", says="transformers finds")
def beam_search(model, ids, n_tokens, width, eos=None, length_penalty=1.0):
    return beams(model, ids, n_tokens, width, eos, length_penalty, add=False)


@wrong("beam-search", mistake="gives the sum as the score", says="over their number to the power length_penalty")
def beam_search(model, ids, n_tokens, width, eos=None, length_penalty=1.0):
    text, score = solutions.generation.beam_search(model, ids, n_tokens, width, eos, length_penalty)
    return text, score * (len(text) - len(ids)) ** length_penalty


@wrong("beam-search", mistake="takes only `width` candidates, so that beams die", says="ending in")
def beam_search(model, ids, n_tokens, width, eos=None, length_penalty=1.0):
    return beams(model, ids, n_tokens, width, eos, length_penalty, wide=1)


@wrong("beam-search", mistake="lets texts go on after their end", says="ending in")
def beam_search(model, ids, n_tokens, width, eos=None, length_penalty=1.0):
    return beams(model, ids, n_tokens, width, eos, length_penalty, goes_on=True)


@wrong("beam-search", mistake="stops at the first text that ends", says="ending in")
def beam_search(model, ids, n_tokens, width, eos=None, length_penalty=1.0):
    return beams(model, ids, n_tokens, width, eos, length_penalty, stops_at_first=True)


@wrong("beam-search", mistake="does not count eos in the length", says="ending in")
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


# -------------------------------------------------------------------------------------------------------- kv-cache


@wrong("kv-cache", mistake="overwrites from the start", says="make 5, the oldest first")
class KVCache(solutions.generation.KVCache):
    def append(self, layer, keys, values):
        n = keys.shape[2]
        self.memory[layer, 0, :, :, :n], self.memory[layer, 1, :, :, :n] = keys, values
        self.lengths[layer] += n
        if self.lengths[layer] > self.memory.shape[4]:
            self.lengths[layer] -= n
            raise ValueError("full")
        return self.memory[layer, 0, :, :, : self.lengths[layer]], self.memory[layer, 1, :, :, : self.lengths[layer]]


@wrong("kv-cache", mistake="returns only what is new", says="make 5, the oldest first")
class KVCache(solutions.generation.KVCache):
    def append(self, layer, keys, values):
        super().append(layer, keys, values)
        return keys, values


@wrong("kv-cache", mistake="returns the memory of the whole context", says="it should return just these")
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


@wrong("kv-cache", mistake="counts what it refuses", says="what was refused should not be stored")
class KVCache(solutions.generation.KVCache):
    def append(self, layer, keys, values):
        start = self.lengths[layer]
        self.lengths[layer] = end = start + keys.shape[2]
        if end > self.memory.shape[4]:
            self.lengths[layer] = start + 1
            raise ValueError("full")
        self.memory[layer, 0, :, :, start:end], self.memory[layer, 1, :, :, start:end] = keys, values
        return self.memory[layer, 0, :, :, :end].clone(), self.memory[layer, 1, :, :, :end].clone()


# --------------------------------------------------------------------------------------------------------- read-on


@torch.no_grad()
def reading(model, ids, cache, *, position=None, mask=None, attend=None, norm=True):
    """`read_on` in which one thing may be done differently."""
    start, n = cache.length(), ids.shape[1]
    if start + n > model.config.context:
        raise ValueError("too long")
    mask = torch.ones(n, start + n, dtype=torch.bool).tril(start) if mask is None else mask(n, start)
    first = start if position is None else position
    x = model.token_embedding(ids) + model.position_embedding.weight[first : first + n]
    for layer, block in enumerate(model.blocks):
        q, k, v = block.attention.heads(block.attention_norm(x))
        keys, values = cache.append(layer, k, v)
        if attend == "new":
            keys, values, mask = k, v, torch.ones(n, n, dtype=torch.bool).tril()
        mixed = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask)
        x = x + block.attention.projection(mixed.transpose(1, 2).flatten(2))
        x = x + block.mlp(block.mlp_norm(x))
    return (model.final_norm(x) if norm else x) @ model.token_embedding.weight.T


@wrong("read-on", mistake="counts positions from 0", says="it stands at position 4")
def read_on(model, ids, cache):
    return reading(model, ids, cache, position=0)


@wrong("read-on", mistake="has no mask", says="those of model(ids)")
def read_on(model, ids, cache):
    return reading(model, ids, cache, mask=lambda n, start: torch.ones(n, start + n, dtype=torch.bool))


@wrong("read-on", mistake="lets new tokens see each other", says="of the new ones only those before it")
def read_on(model, ids, cache):
    def mask(n, start):
        mask = torch.ones(n, start + n, dtype=torch.bool)
        return mask if start else mask.tril()

    return reading(model, ids, cache, mask=mask)


@wrong("read-on", mistake="attends to the new positions only", says="sees what the cache holds")
def read_on(model, ids, cache):
    return reading(model, ids, cache, attend="new")


@wrong("read-on", mistake="forgets the final norm", says="those of model(ids)")
def read_on(model, ids, cache):
    return reading(model, ids, cache, norm=False)


@wrong("read-on", mistake="joins the heads in the wrong order", says="those of model(ids)")
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


@wrong("write", mistake="reads the prompt's last token twice", says="should be that of greedy")
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


@wrong("write", mistake="always draws", says="without a seed the text should be that of greedy")
def write(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=None):
    return writing(model, ids, n_tokens, chooser(temperature, k, p, seed or 0))


@wrong("write", mistake="makes the generator anew for each token", says="make the generator once")
def write(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=None):
    return writing(model, ids, n_tokens, lambda logits: chooser(temperature, k, p, seed)(logits))


@wrong("write", mistake="writes as far as the context reaches", says="5 tokens and 20 more in a context of 24")
def write(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=None):
    room = model.config.context - ids.shape[1]
    return writing(model, ids, min(n_tokens, room), chooser(temperature, k, p, seed))


@wrong("write", mistake="calls the oracle", says="asks you to write what that call does")
def write(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=None):
    import transformers

    return transformers.GPT2LMHeadModel(transformers.GPT2Config()).generate(ids, use_cache=True)
