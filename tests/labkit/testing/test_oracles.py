"""The wrappers of other people's software: what they give, and that importing them needs none of it."""

import subprocess
import sys

import torch

from labkit.testing.oracles import (
    library_chunks,
    library_distinct,
    library_gpt2,
    library_merges,
    library_mixture,
    library_probabilities,
    library_tokenizer,
)
from solutions.gpt import GPTConfig
from solutions.tokenizer import byte_characters
from solutions.training import Mixture


def test_importing_them_needs_no_library():
    code = "import sys, labkit.testing.oracles; print({'tokenizers', 'transformers', 'zstandard'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_ids_are_those_of_gpt2():
    """The bytes come first, in the order of their visible characters; each merge is an id more."""
    merges = library_merges("ha ha", 257)
    library = library_tokenizer(merges, ["<|end|>"])
    names = {i: token for token, i in library.get_vocab().items()}
    assert [names[i] for i in range(256)] == sorted(byte_characters())
    assert (names[256], names[257]) == ("ha", "<|end|>")
    assert library.encode("ha<|end|>!").ids == [256, 257, 0]
    assert library_chunks("don't stop") == ["don", "'t", " stop"]


def test_a_gpt2_has_the_sizes_and_takes_settings():
    model = library_gpt2(GPTConfig(11, 8, 6, 2, 3, eps=0.5), seed=1, eos_token_id=7)
    assert (model.config.n_positions, model.config.layer_norm_epsilon, model.config.eos_token_id) == (8, 0.5, 7)
    assert not model.training and model.transformer.ln_f.bias.abs().min() > 0, "biases are drawn too"


def test_filters_come_in_the_usual_order():
    logits = torch.tensor([[0.5, 0.25, 0.15, 0.1]]).log()
    assert library_probabilities(logits, k=3, p=0.6)[0].tolist() == [
        torch.tensor(x).item() for x in (2 / 3, 1 / 3, 0, 0)
    ]
    assert torch.allclose(library_probabilities(logits, 0.5)[0, 0], torch.tensor(0.25 / 0.345))


def test_a_mixture_of_torchs_samplers_is_that_of_the_course():
    texts = [torch.arange(50), 1000 + torch.arange(90)]
    ours, theirs = Mixture(texts, [0.3, 0.7], 6, seed=5), library_mixture(texts, [0.3, 0.7], 6, seed=5)
    for batch_size in (1, 5, 40, 7):
        for mine, its in zip(ours.batch(batch_size), theirs(batch_size), strict=True):
            assert torch.equal(mine, its)


def test_distinct_ngrams_of_a_text_or_of_many():
    ids = torch.tensor([[1, 2, 1, 2, 1], [3, 3, 3, 3, 3]])
    assert [library_distinct(text, 2) for text in ids] == [2 / 4, 1 / 4]
    assert library_distinct(ids, 2) == 3 / 8 and library_distinct(ids, 5) == 1
