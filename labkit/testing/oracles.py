"""Other people's software that tests compare with, wrapped so that a test says in a line what it wants of it.

Each library is imported by the function that calls it: a notebook whose own kernel may not have the library can still
import the wrapper, and only a call is refused there.
"""

import bz2
import contextlib
import json
import lzma
import sys
import zlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

Pair = tuple[int, int]


class GPTSizes(Protocol):
    """What `library_gpt2` reads of a GPT's config."""

    vocab_size: int
    context: int
    d_model: int
    n_head: int
    n_layer: int
    eps: float


# ---------------------------------------------------------------------------------------------------------- tokenizers


def library_chunks(text: str) -> list[str]:
    """The chunks into which the `tokenizers` library cuts a text, as GPT-2 does."""
    from tokenizers import pre_tokenizers

    cut = pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(text)
    return [text[start:end] for _, (start, end) in cut]


def library_merges(text: str, vocab_size: int) -> list[Pair]:
    """The merges that the `tokenizers` library learns from a text; ids 0 to 255 are the bytes in GPT-2's order."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    library = Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, initial_alphabet=alphabet, show_progress=False)
    library.train_from_iterator([text], trainer)
    model = json.loads(library.to_str())["model"]
    return [(model["vocab"][first], model["vocab"][second]) for first, second in model["merges"]]


def library_tokenizer(merges: Sequence[Pair], special: Sequence[str] = ()) -> Any:
    """A byte-level BPE tokenizer of the `tokenizers` library with these merges and special tokens."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    spelled = sorted(pre_tokenizers.ByteLevel.alphabet())
    joined: list[tuple[str, str]] = []
    for left, right in merges:
        joined.append((spelled[left], spelled[right]))
        spelled.append("".join(joined[-1]))
    library = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(spelled)}, merges=joined))
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    library.add_special_tokens([AddedToken(token, normalized=False) for token in special])
    return library


# -------------------------------------------------------------------------------------------------------- transformers


def library_gpt2(config: GPTSizes, seed: int | None = None, **settings: Any) -> Any:
    """A GPT-2 of `transformers` with the sizes of our config, in evaluation mode.

    seed: draws all weights and biases anew, large ones, so that every part matters; None leaves the library's start.
    settings: further ones of `transformers.GPT2Config`.
    """
    import transformers

    transformers.logging.set_verbosity_error()
    sizes = {
        "vocab_size": config.vocab_size,
        "n_positions": config.context,
        "n_embd": config.d_model,
        "n_head": config.n_head,
        "n_layer": config.n_layer,
        "layer_norm_epsilon": config.eps,
        "bos_token_id": 0,
        "eos_token_id": None,
        "pad_token_id": 0,
    }
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(**(sizes | settings)))
    if seed is not None:
        generator = torch.Generator().manual_seed(seed)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3, generator=generator)
    return model.eval()


@torch.no_grad()
def library_cache_bytes(model: Any, n: int, batch_size: int = 1) -> int:
    """Bytes of the key-value cache that a GPT-2 of `transformers` fills while it reads texts of n tokens."""
    cache = model(torch.zeros(batch_size, n, dtype=torch.long), use_cache=True).past_key_values
    return sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)


def library_text(model: Any, ids: Tensor, n_tokens: int, **settings: Any) -> Any:
    """What `transformers`' `generate` writes after the prompts, prompts included; `settings` are its own."""
    return model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=n_tokens, **settings)


def library_probabilities(
    logits: Float[Tensor, "row vocab"], temperature: float = 1.0, k: int | None = None, p: float = 1.0
) -> Float[Tensor, "row vocab"]:
    """The distribution that `transformers` draws from, after its filters of temperature, top-k and top-p."""
    from transformers.generation import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    warpers: list[Any] = [TemperatureLogitsWarper(temperature)]
    warpers += [TopKLogitsWarper(k)] if k is not None else []
    warpers += [TopPLogitsWarper(p)] if p < 1 else []
    for warper in warpers:
        logits = warper(None, logits)
    return logits.softmax(-1)


def library_beams(
    model: Any, prompts: Tensor, n_tokens: int, width: int, eos: int | None, length_penalty: float
) -> tuple[list[list[int]], list[float]]:
    """What `transformers`' beam search finds after each prompt: the text up to its eos, and its score."""
    out = library_text(
        model,
        prompts,
        n_tokens,
        do_sample=False,
        num_beams=width,
        early_stopping="never",
        length_penalty=length_penalty,
        eos_token_id=eos,
        return_dict_in_generate=True,
        output_scores=True,
    )
    texts, start = out.sequences.tolist(), prompts.shape[1]
    if eos is not None:
        texts = [row[: row.index(eos, start) + 1] if eos in row[start:] else row for row in texts]
    return texts, out.sequences_scores.tolist()


# --------------------------------------------------------------------------------------------------------------- torch


def library_mixture(
    texts: Sequence[Tensor], weights: Sequence[float], context: int, seed: int
) -> Callable[[int], tuple[Tensor, Tensor]]:
    """Batches of windows from several texts as torch's own samplers draw them: a function of the batch's size.

    A batch is inputs and targets, (batch, context) both. Text i is shuffled with the seed `seed` + 1 + i, epoch after
    epoch, and the texts of a batch's rows are drawn by `weights` with the seed `seed`.
    """
    from torch.utils.data import RandomSampler, WeightedRandomSampler

    windows = [text.unfold(0, context + 1, context) for text in texts]
    orders = [
        iter(RandomSampler(range(len(rows)), num_samples=sys.maxsize, generator=_generator(seed + 1 + i)))
        for i, rows in enumerate(windows)
    ]
    drawn = _generator(seed)

    def batch(batch_size: int) -> tuple[Tensor, Tensor]:
        rows = WeightedRandomSampler(weights, batch_size, generator=drawn)
        chosen = torch.stack([windows[i][next(orders[i])] for i in rows])
        return chosen[:, :-1], chosen[:, 1:]

    return batch


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def library_distinct(ids: Tensor, n: int) -> float:
    """The share of different ones among all n-grams of one text, or of all rows together, as `torch.unique` counts."""
    grams = ids.unfold(-1, n, 1).flatten(0, -2)
    return len(grams.unique(dim=0)) / len(grams)


# --------------------------------------------------------------------------------------------------------- compressors


def deflate(data: bytes) -> bytes:
    """What gzip does, without its header: deflate at its highest level."""
    return zlib.compress(data, 9, wbits=-15)


def lzma2(data: bytes) -> bytes:
    """What xz does, without its header: LZMA2 at its highest level."""
    return lzma.compress(data, lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "preset": 9}])


def rivals(streaming: bool = False) -> dict[str, Callable[[bytes], bytes]]:
    """Compressors of other people by name, each at its highest ordinary level; zstd if `zstandard` is installed.

    streaming: only those that write as they read, so that one can tell what a text adds to a file (`primed`). That is
    all but bz2: it packs blocks of 900 KB, and a further byte changes the tables and the length of its whole block.
    """
    found: dict[str, Callable[[bytes], bytes]] = {"gzip": deflate, "bz2": bz2.compress, "xz": lzma2}
    with contextlib.suppress(ImportError):
        import zstandard

        found["zstd"] = zstandard.ZstdCompressor(level=19, write_content_size=False).compress
    if streaming:
        del found["bz2"]
    return found
