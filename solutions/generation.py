"""From next-token scores to text: filters, greedy and beam search, sampling, measures of repetition, a key-value cache.

With the same weights, greedy and beam search give the tokens of `transformers`' `generate`, and the filters the
distributions of its logits processors.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from solutions.gpt import GPT, Block, GPTConfig


def require_prompt(ids: Int[Tensor, "... position"]) -> None:
    """Raise ValueError if there is no token to continue from."""
    if ids.shape[-1] == 0:
        raise ValueError("the prompt has no tokens: begin with at least one")


def apply_temperature(logits: Float[Tensor, "... vocab_size"], temperature: float) -> Float[Tensor, "... vocab_size"]:
    """Logits of a distribution that is sharper (temperature below 1) or flatter (above 1) than that of `logits`.

    The odds of any two tokens, the quotient of their probabilities, are raised to the power 1 / `temperature`: two to
    one become four to one at a temperature of 0.5.

    `logits` is left as it is. Raises ValueError if the temperature is not above 0: at 0 itself the distribution would
    be a single token, and that is what `greedy` is for.

    Source: Ackley, Hinton and Sejnowski (1985), "A Learning Algorithm for Boltzmann Machines".
    """
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}: it must be above 0; for the likeliest token use greedy")
    return logits / temperature


def top_k(logits: Float[Tensor, "... vocab_size"], k: int) -> Float[Tensor, "... vocab_size"]:
    """Keep the k largest logits of each row; the others become minus infinity.

    A k larger than the vocabulary keeps all. Tokens that tie with the last one kept may stay too. `logits` is left
    as it is. Raises ValueError if k is below 1.

    Source: Fan, Lewis and Dauphin (2018), "Hierarchical Neural Story Generation", section 5.4.
    """
    if k < 1:
        raise ValueError(f"k is {k}: keep at least 1 token")
    smallest_kept = logits.topk(min(k, logits.shape[-1])).values[..., -1:]
    return logits.masked_fill(logits < smallest_kept, -math.inf)


def top_p(logits: Float[Tensor, "... vocab_size"], p: float) -> Float[Tensor, "... vocab_size"]:
    """Keep the likeliest tokens of each row until their probabilities sum to at least p; the others become -infinity.

    The token with which the sum reaches p is kept, so one token always is. p = 1 keeps every token that has a
    probability above 0. `logits` is left as it is. Raises ValueError unless 0 < p <= 1.

    Source: Holtzman et al. (2020), "The Curious Case of Neural Text Degeneration", section 3.1.
    """
    if not 0 < p <= 1:
        raise ValueError(f"p is {p}: it must be above 0 and at most 1")
    ascending, tokens = logits.softmax(dim=-1).sort(dim=-1)
    # Seen from the unlikely end: a token goes if it and all unlikelier ones together fit into 1 - p.
    goes = ascending.cumsum(dim=-1) <= 1 - p
    goes[..., -1] = False
    return logits.masked_fill(goes.scatter(-1, tokens, goes), -math.inf)


def probabilities(
    logits: Float[Tensor, "... vocab_size"], temperature: float = 1.0, k: int | None = None, p: float = 1.0
) -> Float[Tensor, "... vocab_size"]:
    """The distribution that the next token is drawn from: each row is nowhere negative and sums to 1.

    First the temperature, then top-k (unless `k` is None), then top-p of what top-k has left (unless `p` is 1).
    `logits` is left as it is. Raises ValueError as these three do.
    """
    logits = apply_temperature(logits, temperature)
    if k is not None:
        logits = top_k(logits, k)
    if p != 1:
        logits = top_p(logits, p)
    return logits.softmax(dim=-1)


@torch.no_grad()
def greedy(
    model: GPT, ids: Int[Tensor, "batch position"], n_tokens: int, eos: int | None = None
) -> Int[Tensor, "batch longer"]:
    """Continue each row of `ids` by the likeliest token, again and again; returns prompt and continuation.

    A row that has written the token `eos` has ended: `eos` is all that is added to it from then on. The work stops
    after `n_tokens` tokens, or as soon as every row has ended; an `eos` in the prompt ends nothing. The model reads at
    most the last `model.config.context` tokens. `ids` is left as it is. Raises ValueError if the prompt is empty.
    """
    require_prompt(ids)
    ended = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
    for _ in range(n_tokens):
        chosen = model(ids[:, -model.config.context :])[:, -1].argmax(dim=-1)
        if eos is not None:
            chosen = chosen.masked_fill(ended, eos)
            ended = chosen == eos
        ids = torch.cat([ids, chosen[:, None]], dim=1)
        if ended.all():
            break
    return ids


@torch.no_grad()
def sample(
    model: GPT,
    ids: Int[Tensor, "batch position"],
    n_tokens: int,
    temperature: float = 1.0,
    k: int | None = None,
    p: float = 1.0,
    seed: int = 0,
) -> Int[Tensor, "batch longer"]:
    """Continue each row of `ids` by `n_tokens` tokens drawn from `probabilities`; returns prompt and continuation.

    Every token of every row is a draw of its own. The same seed, 0 included, gives the same text, and torch's global
    random state is left alone. The model reads at most the last `model.config.context` tokens. `ids` is left as it
    is. Raises ValueError if the prompt is empty, and as `probabilities` does.
    """
    require_prompt(ids)
    generator = torch.Generator(ids.device).manual_seed(seed)
    for _ in range(n_tokens):
        logits = model(ids[:, -model.config.context :])[:, -1]
        chosen = torch.multinomial(probabilities(logits, temperature, k, p), 1, generator=generator)
        ids = torch.cat([ids, chosen], dim=1)
    return ids


def rep_n(ids: Int[Tensor, "batch position"], n: int) -> Float[Tensor, " batch"]:
    """How much each text repeats itself: the share of its n-grams that have already occurred in it.

    An n-gram is n tokens in a row; a text of m tokens has m - n + 1 of them. 0 means that all differ. Raises
    ValueError if n is below 1 or the texts are shorter than n.

    Source: Welleck et al. (2020), "Neural Text Generation with Unlikelihood Training", section 6 (seq-rep-n).
    """
    if not 1 <= n <= ids.shape[1]:
        raise ValueError(f"n is {n}: texts of {ids.shape[1]} tokens have n-grams for n from 1 to {ids.shape[1]}")
    grams = ids.unfold(1, n, 1)
    different = torch.tensor([len(set(map(tuple, text))) for text in grams.tolist()])
    return 1 - different / grams.shape[1]


def distinct_n(ids: Int[Tensor, "batch position"], n: int) -> float:
    """How varied texts are together: the number of different n-grams in all of them, divided by the number of n-grams.

    No n-gram reaches from one text into the next. Raises ValueError if n is below 1 or the texts are shorter than n.

    Source: Li et al. (2016), "A Diversity-Promoting Objective Function for Neural Conversation Models", section 5.1.
    """
    if not 1 <= n <= ids.shape[1]:
        raise ValueError(f"n is {n}: texts of {ids.shape[1]} tokens have n-grams for n from 1 to {ids.shape[1]}")
    grams = ids.unfold(1, n, 1).flatten(0, 1).tolist()
    return len(set(map(tuple, grams))) / len(grams)


def penalize_repeats(
    logits: Float[Tensor, "batch vocab_size"], ids: Int[Tensor, "batch position"], penalty: float
) -> Float[Tensor, "batch vocab_size"]:
    """Make every token that stands in a row of `ids` less likely in that row of `logits`.

    Its logit is divided by `penalty` where it is positive, and multiplied by it where it is negative; once, however
    often the token stands there. A penalty of 1 changes nothing, one below 1 invites repeats. `logits` is left as it
    is. Raises ValueError if the penalty is not above 0.

    Source: Keskar et al. (2019), "CTRL: A Conditional Transformer Language Model for Controllable Generation",
    section 4.1, with the case of negative logits as `transformers` treats it.
    """
    if not penalty > 0:
        raise ValueError(f"penalty is {penalty}: it must be above 0, and 1 changes nothing")
    seen = logits.gather(-1, ids)
    return logits.scatter(-1, ids, torch.where(seen > 0, seen / penalty, seen * penalty))


def forbid_repeats(
    logits: Float[Tensor, "batch vocab_size"], ids: Int[Tensor, "batch position"], n: int
) -> Float[Tensor, "batch vocab_size"]:
    """Give minus infinity to every token that would complete an n-gram which its row of `ids` already holds.

    With n = 3, a text that ends in "of the" may not go on with a word that has followed "of the" in it before.
    `logits` is left as it is. Raises ValueError if n is below 1.

    Source: Paulus, Xiong and Socher (2018), "A Deep Reinforced Model for Abstractive Summarization", section 2.5.
    """
    if n < 1:
        raise ValueError(f"n is {n}: it must be 1 or more")
    logits = logits.clone()
    for row, text in enumerate(ids.tolist()):
        ending = text[len(text) - n + 1 :]
        for start in range(len(text) - n + 1):
            if text[start : start + n - 1] == ending:
                logits[row, text[start + n - 1]] = -math.inf
    return logits


@torch.no_grad()
def beam_search(
    model: GPT,
    ids: Int[Tensor, " position"],
    n_tokens: int,
    width: int,
    eos: int | None = None,
    length_penalty: float = 1.0,
) -> tuple[Int[Tensor, " longer"], float]:
    r"""Look for the likeliest continuation of one text, `width` beams at a time; returns it with its score.

    A beam is a text with its log-probability given the prompt; at first there is one, the prompt. Each of `n_tokens`
    steps continues every beam by every token and takes the 2 * `width` likeliest of these candidates, in order. A
    candidate that ends in `eos` is finished if it is among the first `width`, and given up if not; the first `width` of
    the others are the next beams. In the last step the first `width` candidates are finished, whatever they end in.
    Returned is the finished text with the highest

    $$\mathrm{score} = \frac{\ln p(\text{new tokens} \mid \text{prompt})}
    {(\text{number of new tokens, eos included})^{\mathrm{length\_penalty}}}$$

    whole, prompt and `eos` included; where `n_tokens` is 0, the prompt, with any number for a score. The model reads at
    most the last `model.config.context` tokens. `ids` is left as it is. Raises ValueError if the prompt is empty or the
    width below 1.

    Source: Lowerre (1976), "The Harpy Speech Recognition System"; in these details as `transformers` does it with
    `early_stopping="never"`.
    """
    require_prompt(ids)
    if width < 1:
        raise ValueError(f"width is {width}: keep at least 1 beam")
    beams, totals, finished = ids[None], torch.zeros(1, device=ids.device), []
    for length in range(1, n_tokens + 1):
        logits = model(beams[:, -model.config.context :])[:, -1]
        candidates = (totals[:, None] + logits.log_softmax(dim=-1)).flatten()
        totals, index = candidates.topk(min(2 * width, len(candidates)))
        texts = torch.cat([beams[index // logits.shape[-1]], index[:, None] % logits.shape[-1]], dim=1)
        ends = texts[:, -1] == (-1 if eos is None else eos)
        for i in range(min(width, len(texts))):
            if ends[i] or length == n_tokens:
                finished.append((texts[i], totals[i].item() / length**length_penalty))
        beams, totals = texts[~ends][:width], totals[~ends][:width]
    return max(finished, key=lambda pair: pair[1], default=(ids, 0.0))


class KVCache:
    """The keys and values of every position that a GPT has read so far, layer by layer.

    The memory for a whole context is taken once, so that adding a position need copy only its own key and value.
    `dtype` is that of the model's weights.

    Source: Shazeer (2019), "Fast Transformer Decoding: One Write-Head is All You Need", section 2.4.1.
    """

    def __init__(self, config: GPTConfig, batch: int, dtype: torch.dtype = torch.float32):
        width = config.d_model // config.n_head
        self.memory = torch.zeros(config.n_layer, 2, batch, config.n_head, config.context, width, dtype=dtype)
        self.lengths = [0] * config.n_layer

    def length(self) -> int:
        """How many positions all layers hold."""
        return min(self.lengths)

    def append(
        self, layer: int, keys: Float[Tensor, "batch head new width"], values: Float[Tensor, "batch head new width"]
    ) -> tuple[Float[Tensor, "batch head position width"], Float[Tensor, "batch head position width"]]:
        """Store a layer's keys and values of new positions; returns all keys and values it holds, oldest first.

        How they are kept is up to you: `self.memory` has room for them, and `self.lengths` counts the positions that
        each layer holds. Raises ValueError, and neither stores nor counts them, if they do not fit into the context.
        """
        start, end = self.lengths[layer], self.lengths[layer] + keys.shape[2]
        held, context = self.memory[layer], self.memory.shape[4]
        if end > context:
            raise ValueError(f"{end} positions do not fit in a context of {context}: begin a new text")
        held[0, :, :, start:end] = keys
        held[1, :, :, start:end] = values
        self.lengths[layer] = end
        return held[0, :, :, :end], held[1, :, :, :end]


@torch.no_grad()
def read_on(model: GPT, ids: Int[Tensor, "batch new"], cache: KVCache) -> Float[Tensor, "batch new vocab_size"]:
    """Logits of the tokens `ids`, which follow those that `cache` knows: the model reads only what is new.

    The result equals the last rows of `model(whole text)` to within 1e-5. Queries are computed for the new positions
    alone; keys and values of the earlier ones come out of the cache, where those of the new ones are put. Raises
    ValueError if earlier and new tokens together do not fit into the context.
    """
    start, n = cache.length(), ids.shape[1]
    if start + n > model.config.context:
        raise ValueError(f"{start + n} positions do not fit in a context of {model.config.context}: begin a new text")
    # New position i stands at start + i and sees what stands up to there; a single one sees everything.
    mask = torch.ones(n, start + n, dtype=torch.bool, device=ids.device).tril(start) if n > 1 else None
    x = model.token_embedding(ids) + model.position_embedding.weight[start : start + n]
    for layer, block in enumerate(model.blocks):
        assert isinstance(block, Block)
        q, k, v = block.attention.heads(block.attention_norm(x))
        mixed = F.scaled_dot_product_attention(q, *cache.append(layer, k, v), attn_mask=mask)
        x = x + block.attention.projection(mixed.transpose(1, 2).flatten(2))
        x = x + block.mlp(block.mlp_norm(x))
    return model.final_norm(x) @ model.token_embedding.weight.T


def write(
    model: GPT,
    ids: Int[Tensor, "batch position"],
    n_tokens: int,
    temperature: float = 1.0,
    k: int | None = None,
    p: float = 1.0,
    seed: int | None = None,
) -> Int[Tensor, "batch longer"]:
    """Continue each row of `ids` by `n_tokens` tokens, reading each position only once; returns both together.

    Without a seed (None) every token is the likeliest, as in `greedy`, and `temperature`, `k` and `p` play no part;
    with one, 0 included, it is drawn, as in `sample`. `ids` is left as it is. Raises ValueError if the prompt is
    empty, if prompt and continuation together are longer than the context (a cache cannot slide: each position would
    change), and, with a seed, as `probabilities` does.
    """
    require_prompt(ids)
    batch, n = ids.shape
    if n + n_tokens > model.config.context:
        raise ValueError(f"{n} + {n_tokens} tokens do not fit in a context of {model.config.context}: ask for fewer")
    cache = KVCache(model.config, batch, model.token_embedding.weight.dtype)
    generator = None if seed is None else torch.Generator(ids.device).manual_seed(seed)
    text = torch.cat([ids, ids.new_zeros(batch, n_tokens)], dim=1)
    with torch.inference_mode():
        for end in range(n, n + n_tokens):
            logits = read_on(model, text[:, cache.length() : end], cache)[:, -1]
            if generator is None:
                text[:, end] = logits.argmax(dim=-1)
            else:
                text[:, end] = torch.multinomial(probabilities(logits, temperature, k, p), 1, generator=generator)[:, 0]
    return text
