"""Other right answers to the generation assignment: they differ in algorithm or in their use of random numbers."""

import math
from collections import Counter

import torch
import torch.nn.functional as F

import solutions.generation
from course.banks.bank import right
from solutions.generation import require_prompt

INF = math.inf


def probabilities_of(*args, **kwargs):
    return solutions.generation.probabilities(*args, **kwargs)


# ---------------------------------------------------------------------------------------------- apply_temperature


@right("probabilities", differs="log-probabilities, multiplied by the inverse")
def apply_temperature(logits, temperature):
    if temperature <= 0:
        raise ValueError(f"a temperature of {temperature} makes no distribution")
    return logits.log_softmax(-1) * (1 / temperature)


@right("probabilities", differs="subtracts the largest logit first")
def apply_temperature(logits, temperature):
    if temperature <= 0:
        raise ValueError("use a temperature above 0")
    return (logits - logits.amax(-1, keepdim=True)) / temperature


# ----------------------------------------------------------------------------------------------------------- top-k


@right("top-k", differs="scatters the kept logits into a row of -infinity")
def top_k(logits, k):
    if k <= 0:
        raise ValueError("k must be positive")
    values, order = logits.topk(min(k, logits.shape[-1]))
    return torch.full_like(logits, -INF).scatter(-1, order, values)


@right("top-k", differs="ranks by sorting twice")
def top_k(logits, k):
    if k <= 0:
        raise ValueError("k must be positive")
    rank = logits.argsort(-1, descending=True).argsort(-1)
    return torch.where(rank < k, logits, -INF)


# ----------------------------------------------------------------------------------------------------------- top-p


@right("top-p", differs="from the likeliest down, by the sum before each token")
def top_p(logits, p):
    if p <= 0 or p > 1:
        raise ValueError("p must be a share of the probability")
    if p == 1:
        return logits.clone()
    values, order = logits.softmax(-1).sort(-1, descending=True)
    goes = values.cumsum(-1) - values >= p
    return logits.masked_fill(torch.zeros_like(goes).scatter(-1, order, goes), -INF)


@right("top-p", differs="finds the smallest probability that is kept, row by row")
def top_p(logits, p):
    if not 0 < p <= 1:
        raise ValueError("p must be a share of the probability")
    out = logits.clone().reshape(-1, logits.shape[-1])
    for row in out:
        total, q = 0.0, row.softmax(-1)
        for token in q.argsort(descending=True).tolist():
            if total >= p and p < 1:
                row[token] = -INF
            total += q[token].item()
    return out.view(logits.shape)


@right("top-p", differs="works out the probabilities in float32")
def top_p(logits, p):
    if not 0 < p <= 1:
        raise ValueError("p must be a share of the probability")
    if p == 1:
        return logits.clone()
    values, order = logits.float().softmax(-1).sort(-1, descending=True)
    goes = values.cumsum(-1) - values >= p
    return logits.masked_fill(goes.scatter(-1, order, goes), -INF)


# -------------------------------------------------------------------------------------------------- probabilities


@right("probabilities", differs="cuts probabilities and divides by what is left")
def probabilities(logits, temperature=1.0, k=None, p=1.0):
    logits = solutions.generation.apply_temperature(logits, temperature)
    kept = logits if k is None else solutions.generation.top_k(logits, k)
    weights = logits.softmax(-1) * (solutions.generation.top_p(kept, p) > -INF)
    return weights / weights.sum(-1, keepdim=True)


@right("probabilities", differs="k of the whole vocabulary for no k, and always top-p")
def probabilities(logits, temperature=1.0, k=None, p=1.0):
    logits = solutions.generation.apply_temperature(logits, temperature)
    logits = solutions.generation.top_k(logits, logits.shape[-1] if k is None else k)
    return torch.exp(solutions.generation.top_p(logits, p).log_softmax(-1))


# ---------------------------------------------------------------------------------------------------------- greedy


@right("greedy", differs="writes into a tensor of the final size and cuts it where all have ended")
def greedy(model, ids, n_tokens, eos=None):
    require_prompt(ids)
    n, context = ids.shape[1], model.config.context
    text = F.pad(ids, (0, n_tokens), value=0 if eos is None else eos)
    going = torch.arange(len(ids))
    for end in range(n, n + n_tokens):
        chosen = model(text[going, max(0, end - context) : end])[:, -1].argmax(-1)
        text[going, end] = chosen
        going = going if eos is None else going[chosen != eos]
        if len(going) == 0:
            return text[:, : end + 1]
    return text


@right("greedy", differs="one text at a time, padded at the end")
def greedy(model, ids, n_tokens, eos=None):
    require_prompt(ids)
    texts = []
    for text in ids.tolist():
        n = len(text)
        while len(text) < n + n_tokens and not (len(text) > n and text[-1] == eos):
            logits = model(torch.tensor([text[-model.config.context :]]))
            text.append(int(logits[0, -1].argmax()))
        texts.append(text)
    longest = max(map(len, texts))
    return torch.tensor([text + [eos] * (longest - len(text)) for text in texts])


# ---------------------------------------------------------------------------------------------------------- sample


@right("sample", differs="the Gumbel trick in place of multinomial")
def sample(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=0):
    require_prompt(ids)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(n_tokens):
        q = probabilities_of(model(ids[:, -model.config.context :])[:, -1].detach(), temperature, k, p)
        noise = torch.empty_like(q).exponential_(generator=generator)
        ids = torch.cat([ids, (q / noise).argmax(-1, keepdim=True)], dim=1)
    return ids


@right("sample", differs="inverts the cumulative distribution, all draws made beforehand")
def sample(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=0):
    require_prompt(ids)
    generator = torch.Generator().manual_seed(seed)
    uniform = torch.rand(n_tokens, len(ids), 1, generator=generator, dtype=torch.float64)
    with torch.inference_mode():
        for places in uniform:
            q = probabilities_of(model(ids[:, -model.config.context :])[:, -1].double(), temperature, k, p)
            total = q.cumsum(-1)
            # Scaled to the sum, so that rounding never points beyond the last token that has a chance.
            chosen = torch.searchsorted(total, places * total[:, -1:], right=True)
            ids = torch.cat([ids, chosen.clamp(max=q.shape[-1] - 1)], dim=1)
    return ids.clone()


# ------------------------------------------------------------------------------------------------------ repetition


@right("repetition", differs="remembers what it has seen, n-gram by n-gram")
def rep_n(ids, n):
    if n < 1 or n > ids.shape[1]:
        raise ValueError("there are no such n-grams")
    shares = []
    for text in ids.tolist():
        seen, repeated = set(), 0
        for end in range(n, len(text) + 1):
            gram = tuple(text[end - n : end])
            repeated += gram in seen
            seen.add(gram)
        shares.append(repeated / (len(text) - n + 1))
    return torch.tensor(shares)


@right("repetition", differs="compares all pairs of n-grams at once")
def rep_n(ids, n):
    if n < 1 or n > ids.shape[1]:
        raise ValueError("there are no such n-grams")
    grams = ids.unfold(1, n, 1)
    equal = (grams[:, :, None] == grams[:, None]).all(-1)
    return equal.tril(-1).any(-1).double().mean(-1)


@right("repetition", differs="counts with Counter")
def distinct_n(ids, n):
    if n < 1 or n > ids.shape[1]:
        raise ValueError("there are no such n-grams")
    counts = Counter(tuple(text[i : i + n]) for text in ids.tolist() for i in range(len(text) - n + 1))
    return len(counts) / counts.total()


@right("repetition", differs="torch.unique, and a tensor as the result")
def distinct_n(ids, n):
    if n < 1 or n > ids.shape[1]:
        raise ValueError("there are no such n-grams")
    grams = ids.unfold(1, n, 1).reshape(-1, n)
    return torch.tensor(len(grams.unique(dim=0)) / len(grams))


# ------------------------------------------------------------------------------------------------ penalize-repeats


@right("penalize-repeats", differs="a mask of used tokens over the whole vocabulary")
def penalize_repeats(logits, ids, penalty):
    if penalty <= 0:
        raise ValueError("the penalty must be above 0")
    used = F.one_hot(ids, logits.shape[-1]).any(1)
    return (
        torch.where(used, torch.minimum(logits / penalty, logits * penalty), logits)
        if penalty >= 1
        else torch.where(used, torch.maximum(logits / penalty, logits * penalty), logits)
    )


@right("penalize-repeats", differs="row by row, token by token")
def penalize_repeats(logits, ids, penalty):
    if penalty <= 0:
        raise ValueError("the penalty must be above 0")
    logits = logits.clone()
    for row, text in zip(logits, ids.tolist(), strict=True):
        for token in set(text):
            row[token] = row[token] / penalty if row[token] > 0 else row[token] * penalty
    return logits


# -------------------------------------------------------------------------------------------------- forbid-repeats


@right("forbid-repeats", differs="a dictionary from each beginning to what followed it")
def forbid_repeats(logits, ids, n):
    if n <= 0:
        raise ValueError("n must be positive")
    logits = logits.clone()
    for row, text in zip(logits, ids.tolist(), strict=True):
        followers = {}
        for i in range(len(text) - n + 1):
            followers.setdefault(tuple(text[i : i + n - 1]), []).append(text[i + n - 1])
        ending = tuple(text[len(text) - n + 1 :]) if len(text) >= n - 1 else None
        row[followers.get(ending, [])] = -INF
    return logits


@right("forbid-repeats", differs="compares all places with the ending at once")
def forbid_repeats(logits, ids, n):
    if n <= 0:
        raise ValueError("n must be positive")
    if ids.shape[1] < n:
        return logits.clone()
    grams = ids.unfold(1, n, 1)
    same = (grams[..., :-1] == ids[:, None, ids.shape[1] - n + 1 :]).all(-1)
    banned = torch.zeros(logits.shape, dtype=torch.long).scatter_add(1, grams[..., -1], same.long()) > 0
    return torch.where(banned, -INF, logits)


# ----------------------------------------------------------------------------------------------------- beam-search


@right("beam-search", differs="lists of texts, sorted")
@torch.no_grad()
def beam_search(model, ids, n_tokens, width, eos=None, length_penalty=1.0):
    require_prompt(ids)
    if width < 1:
        raise ValueError("at least one beam is needed")
    beams, finished = [(0.0, ids.tolist())], []
    for length in range(1, n_tokens + 1):
        logits = model(torch.tensor([text[-model.config.context :] for _, text in beams]))[:, -1]
        candidates = [
            (total + gain, [*text, token])
            for (total, text), row in zip(beams, logits.log_softmax(-1).tolist(), strict=True)
            for token, gain in enumerate(row)
        ]
        candidates.sort(key=lambda pair: -pair[0])
        over = [pair for pair in candidates[:width] if pair[1][-1] == eos or length == n_tokens]
        finished += [(total / length**length_penalty, text) for total, text in over]
        beams = [pair for pair in candidates[: 2 * width] if pair[1][-1] != eos][:width]
    score, text = max(finished, default=(0.0, ids.tolist()))
    return torch.tensor(text), score


@right("beam-search", differs="stops when no beam can do better any more")
@torch.no_grad()
def beam_search(model, ids, n_tokens, width, eos=None, length_penalty=1.0):
    require_prompt(ids)
    if width < 1:
        raise ValueError("at least one beam is needed")
    beams, totals, best = ids[None], torch.zeros(1, dtype=torch.float64), (ids, 0.0 if n_tokens == 0 else -INF)
    for length in range(1, n_tokens + 1):
        gains = model(beams[:, -model.config.context :])[:, -1].log_softmax(-1).double()
        totals, order = (totals[:, None] + gains).flatten().sort(descending=True, stable=True)
        totals, order = totals[: 2 * width], order[: 2 * width]
        texts = torch.cat([beams[order // gains.shape[1]], (order % gains.shape[1])[:, None]], dim=1)
        for text, total in zip(texts[:width], totals[:width].tolist(), strict=True):
            if (text[-1].item() == eos or length == n_tokens) and total / length**length_penalty > best[1]:
                best = (text, total / length**length_penalty)
        open_ = [i for i, token in enumerate(texts[:, -1].tolist()) if token != eos][:width]
        beams, totals = texts[open_], totals[open_]
        # A sum only falls; the longest text divides it by the most, or by the least where the penalty is negative.
        longest = n_tokens if length_penalty > 0 else length + 1
        if totals[0].item() / longest**length_penalty <= best[1]:
            break
    return best


@right("beam-search", differs="gives the score as a tensor, in float32")
def beam_search(model, ids, n_tokens, width, eos=None, length_penalty=1.0):
    text, score = solutions.generation.beam_search(model, ids, n_tokens, width, eos, length_penalty)
    return text, torch.tensor(score, dtype=torch.float32)


# -------------------------------------------------------------------------------------------------------- kv-cache


@right("kv-cache", differs="concatenates lists of pieces")
class KVCache(solutions.generation.KVCache):
    def append(self, layer, keys, values):
        if self.lengths[layer] + keys.shape[2] > self.memory.shape[4]:
            raise ValueError("the context is full")
        if not hasattr(self, "pieces"):
            self.pieces = [([], []) for _ in self.lengths]
        self.pieces[layer][0].append(keys.clone())
        self.pieces[layer][1].append(values.clone())
        self.lengths[layer] += keys.shape[2]
        return tuple(torch.cat(pieces, dim=2) for pieces in self.pieces[layer])


@right("kv-cache", differs="stores both in one assignment and returns copies")
class KVCache(solutions.generation.KVCache):
    def append(self, layer, keys, values):
        new, n = torch.stack([keys, values]), self.lengths[layer]
        if n + new.shape[3] > self.memory.shape[4]:
            raise ValueError("the context is full")
        self.memory[layer].narrow(3, n, new.shape[3]).copy_(new)
        self.lengths[layer] += new.shape[3]
        return tuple(self.memory[layer, :, :, :, : self.lengths[layer]].clone().unbind())


# --------------------------------------------------------------------------------------------------------- read-on


@right("read-on", differs="attention written out, with the model's own norms and MLPs")
@torch.no_grad()
def read_on(model, ids, cache):
    start, n = cache.length(), ids.shape[1]
    if start + n > model.config.context:
        raise ValueError("the context is full")
    places = torch.arange(start, start + n)
    x = model.token_embedding(ids) + model.position_embedding(places)
    later = torch.arange(start + n)[None] > places[:, None]
    for layer, block in enumerate(model.blocks):
        q, k, v = block.attention.heads(block.attention_norm(x))
        keys, values = cache.append(layer, k, v)
        scores = (q @ keys.mT / math.sqrt(q.shape[-1])).masked_fill(later, -INF)
        x = x + block.attention.projection((scores.softmax(-1) @ values).transpose(1, 2).reshape(x.shape))
        x = x + block.mlp(block.mlp_norm(x))
    return model.final_norm(x) @ model.token_embedding.weight.T


@right("read-on", differs="one position at a time, which needs no mask")
@torch.no_grad()
def read_on(model, ids, cache):
    if cache.length() + ids.shape[1] > model.config.context:
        raise ValueError("the context is full")
    logits = []
    for token in ids.split(1, dim=1):
        x = model.token_embedding(token) + model.position_embedding.weight[cache.length()]
        for layer, block in enumerate(model.blocks):
            q, k, v = block.attention.heads(block.attention_norm(x))
            mixed = F.scaled_dot_product_attention(q, *cache.append(layer, k, v))
            x = x + block.attention.projection(mixed.transpose(1, 2).flatten(2))
            x = x + block.mlp(block.mlp_norm(x))
        logits.append(model.final_norm(x) @ model.token_embedding.weight.T)
    return torch.cat(logits, dim=1)


@right("read-on", differs="takes the softmax of the scores in float32, as many a library does")
@torch.no_grad()
def read_on(model, ids, cache):
    start, n = cache.length(), ids.shape[1]
    if start + n > model.config.context:
        raise ValueError("the context is full")
    places = torch.arange(start, start + n)
    x = model.token_embedding(ids) + model.position_embedding(places)
    later = torch.arange(start + n)[None] > places[:, None]
    for layer, block in enumerate(model.blocks):
        q, k, v = block.attention.heads(block.attention_norm(x))
        keys, values = cache.append(layer, k, v)
        scores = (q @ keys.mT / math.sqrt(q.shape[-1])).masked_fill(later, -INF)
        shares = scores.softmax(-1, dtype=torch.float32).to(x.dtype)
        x = x + block.attention.projection((shares @ values).transpose(1, 2).reshape(x.shape))
        x = x + block.mlp(block.mlp_norm(x))
    return model.final_norm(x) @ model.token_embedding.weight.T


# ----------------------------------------------------------------------------------------------------------- write


@right("write", differs="reads the prompt first, then loops over new tokens, with the Gumbel trick")
@torch.no_grad()
def write(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=None):
    require_prompt(ids)
    if ids.shape[1] + n_tokens > model.config.context:
        raise ValueError("prompt and continuation do not fit into the context")
    cache = solutions.generation.KVCache(model.config, len(ids), model.token_embedding.weight.dtype)
    generator = torch.Generator().manual_seed(seed or 0)
    new, text = ids, [ids]
    for _ in range(n_tokens):
        logits = solutions.generation.read_on(model, new, cache)[:, -1]
        if seed is not None:
            q = probabilities_of(logits, temperature, k, p)
            logits = q / torch.empty_like(q).exponential_(generator=generator)
        new = logits.argmax(-1, keepdim=True)
        text.append(new)
    return torch.cat(text, dim=1)


@right("write", differs="reads the prompt token by token, and inverts the cumulative distribution")
@torch.no_grad()
def write(model, ids, n_tokens, temperature=1.0, k=None, p=1.0, seed=None):
    require_prompt(ids)
    batch, n = ids.shape
    if n + n_tokens > model.config.context:
        raise ValueError("prompt and continuation do not fit into the context")
    cache = solutions.generation.KVCache(model.config, batch, model.token_embedding.weight.dtype)
    generator = torch.Generator().manual_seed(0 if seed is None else seed)
    for end in range(1, n + n_tokens):
        logits = solutions.generation.read_on(model, ids[:, end - 1 : end], cache)[:, -1]
        if end < n:
            continue
        total = probabilities_of(logits, temperature, k, p).double().cumsum(-1)
        places = torch.rand(batch, 1, generator=generator, dtype=torch.float64) * total[:, -1:]
        drawn = torch.searchsorted(total, places, right=True).clamp(max=logits.shape[-1] - 1)
        ids = torch.cat([ids, logits.argmax(-1, keepdim=True) if seed is None else drawn], dim=1)
    return ids
