# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {name: python3, display_name: Python 3, language: python}
#   course: {title: "Writing: from scores to text", points: 40, seconds: 120}
# ---

# %% [markdown]
# A language model gives every token a score. Somebody has to choose one. You will write the usual ways to choose:
# the likeliest token, the likeliest text, or a draw from a distribution that has been sharpened or cut. You will
# measure why the likeliest is a poor choice. At the end you write the cache that makes all of it fast.
#
# With the same weights, your greedy and beam search give the tokens of `transformers`' `generate`, and your filters
# the distributions of its logits processors.
#
# The model is the GPT of the course. Of it you need: `model(ids)` gives logits of shape (batch, position,
# vocabulary), and `model.config.context` is the largest number of positions it can read. Shapes are written in the
# signatures: `Float[Tensor, "... vocab_size"]` is a tensor whose last axis is the vocabulary, and `...` stands for
# any number of axes before it.

# %% given="setup"
import math
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F

from labkit import checkpoint
from labkit.testing import checks, probes
from labkit.testing.checks import check_refused, token_ids
from labkit.testing.answers import fresh_seed
from labkit.testing.oracles import library_beams, library_distinct, library_gpt2, library_probabilities
from labkit.testing.oracles import library_text, library_tokenizer
from labkit.predictions import compare_prediction
from solutions.generation import require_prompt
from solutions.gpt import GPT, GPTConfig, load_gpt2


# %% given="model"
@dataclass(eq=False, repr=False)
class LoadedGPT(GPT):
    """The GPT that tests hand to your functions: made of its sizes and weights, and otherwise like any GPT."""

    config: GPTConfig
    weights: dict

    def __post_init__(self):
        super().__init__(self.config)
        self.to(self.weights["token_embedding.weight"].dtype).load_state_dict(self.weights)
        self.eval().requires_grad_(False)

    def initialize(self):
        """The weights are given: there is nothing to draw."""


# %% given="helpers"
check_tensor = partial(checks.check_tensor, tolerance=1e-6)
numbers = partial(checks.numbers, dtype=torch.float64)


def random_gpt2(config, seed):
    """A GPT-2 of `transformers` with random weights in float64, in which places count as much as tokens."""
    model = library_gpt2(config).double()
    with torch.no_grad():
        for i, parameter in enumerate(model.parameters()):
            parameter.copy_(numbers(seed + i, *parameter.shape, scale=0.3))
        model.transformer.wpe.weight.mul_(2)
        model.transformer.ln_f.bias.zero_()
    return model


def loaded(theirs, config):
    """The same weights in a GPT of the course."""
    return LoadedGPT(config, load_gpt2(theirs.state_dict()))


def model_of(logits, context=8):
    """A GPT that gives these logits to whatever it has read."""
    config = GPTConfig(len(logits), context, d_model=2, n_head=1, n_layer=1)
    weights = {name: torch.zeros_like(tensor).double() for name, tensor in GPT(config).state_dict().items()}
    weights["token_embedding.weight"][:, 0] = logits
    weights["final_norm.bias"][0] = 1
    return LoadedGPT(config, weights)


def within_context(function, *args, **kwargs):
    """The result of a call whose prompt is longer than the context."""
    try:
        return function(*args, **kwargs)
    except ValueError as error:
        hint = "a prompt longer than the context is no mistake: give the model only the last `context` tokens"
        raise AssertionError(hint) from error


def check_kept(function, *args):
    """Assert that a call leaves its arguments as they are."""
    _, after = probes.after_call(function, *args)
    for i, argument in enumerate(args):
        if isinstance(argument, torch.Tensor):
            same = after[i].shape == argument.shape and torch.equal(after[i], argument)
            assert same, f"argument {i} was changed in place: return another tensor"


# %% [markdown]
# ## Sharper or flatter
#
# The softmax turns logits into probabilities. Dividing the logits first changes how much the best stand out.
#
# <details><summary>Hint: which way round</summary>
#
# Two tokens whose logits are 1 apart have probabilities in the ratio $e^1$. Divided by a temperature of 0.5, the
# logits are 2 apart.
#
# </details>

# %% exercise="temperature" difficulty=1 importance=4 minutes=5 replaces="transformers"
from solutions.generation import apply_temperature


# %% test="temperature" points=1
def test_temper_raises_probabilities_to_a_power():
    logits = numbers(1, 3, 7, scale=2.0)
    for temperature in (0.5, 3.0):
        powers = logits.softmax(-1) ** (1 / temperature)
        want = powers / powers.sum(-1, keepdim=True)
        hint = (
            f"temperature {temperature}: the softmax of the result should be p ** (1 / temperature), made to sum to 1"
        )
        got = apply_temperature(logits, temperature)
        assert isinstance(got, torch.Tensor) and got.shape == (3, 7), "the result should be logits of the same shape"
        is_probability = (got.sum(-1) - 1).abs().max() < 1e-6
        assert not is_probability, "each row of the result sums to 1: return logits, not probabilities"
        check_tensor(got.softmax(-1), want, hint)


def test_temper_refuses_zero():
    check_refused("temperature 0 leaves no distribution", apply_temperature, numbers(2, 4), 0.0)


# %% test="temperature-any" of="temperature" points=1
def test_temper_any_axes_hidden():
    seed = fresh_seed()
    temperature = 0.3 + seed % 7 / 10
    for shape in ((5,), (2, 3, 5)):
        logits = numbers(seed, *shape, scale=3.0)
        want = (logits / temperature).softmax(-1)
        check_tensor(
            apply_temperature(logits, temperature).softmax(-1), want, f"wrong for logits with {len(shape)} axes"
        )
    check_kept(apply_temperature, numbers(seed, 3, 5), temperature)
    check_refused("a temperature below 0 would prefer the worst", apply_temperature, numbers(seed, 4), -temperature)


# %% [markdown]
# ## Cutting off the tail
#
# A model gives each of thousands of tokens some probability. Each unlikely one is hardly ever drawn, but together they are
# drawn often, and after one absurd token the rest of the text follows it. So the tail is cut before drawing: by rank
# (top-k) or by mass (top-p). Cut tokens get the logit $-\infty$, whose softmax is exactly 0.

# %% exercise="top-k" difficulty=2 importance=4 minutes=10 replaces="transformers"
from solutions.generation import top_k


# %% test="top-k" points=1
def test_top_k_keeps_the_largest():
    logits = torch.tensor([[1.0, 4.0, -2.0, 3.0], [-9.0, -1.0, -5.0, -2.0]])
    inf = math.inf
    hint = "each row keeps its own 2 largest logits as they are; the others become -inf"
    check_tensor(top_k(logits, 2), torch.tensor([[-inf, 4, -inf, 3], [-inf, -1, -inf, -2]]).double(), hint)


def test_top_k_of_any_size():
    logits = numbers(3, 2, 5)
    check_tensor(top_k(logits, 99), logits, "a k larger than the vocabulary should keep all tokens")
    check_refused("k = 0 leaves no token", top_k, logits, 0)


# %% test="top-k-any" of="top-k" points=1
def test_top_k_any_axes_hidden():
    from transformers.generation import TopKLogitsWarper

    seed = fresh_seed()
    vocab_size = 6 + seed % 9
    for shape in ((vocab_size,), (3, vocab_size), (2, 3, vocab_size)):
        logits = numbers(seed, *shape) - 3
        for k in (1, 2 + seed % 4, vocab_size):
            want = TopKLogitsWarper(k)(None, logits.view(-1, vocab_size)).view(shape)
            hint = f"each row keeps its k largest logits as they are, the others become -inf: not so with k = {k}"
            check_tensor(top_k(logits, k), want, hint)
    check_kept(top_k, numbers(seed, 3, 5), 2)
    check_refused("a k below 0 would leave no token", top_k, numbers(seed, 4), -1)


# %% [markdown]
# Top-k cuts at the same rank everywhere. After "the capital of France is" one token is enough; after "I would like to"
# forty may be too few. Top-p lets the model's own confidence decide how many stay.
#
# <details><summary>Hint: from the sorted order back to the vocabulary</summary>
#
# `values, order = x.sort()` says where each sorted value came from; `mask.scatter(-1, order, mask)` puts a mask that
# belongs to the sorted values back into the places they came from.
#
# </details>
#
# <details><summary>Hint: which one is the last to stay</summary>
#
# A token goes if the likelier ones alone already reach p. The same seen from the other end: if it and all unlikelier ones
# together fit into 1 - p.
#
# </details>

# %% exercise="top-p" difficulty=3 importance=5 minutes=25 replaces="transformers"
from solutions.generation import top_p


# %% test="top-p" points=2
def kept(logits):
    """Which tokens have a logit above -infinity: their ids."""
    assert isinstance(logits, torch.Tensor), f"the result should be a tensor, but it is {type(logits).__name__}"
    return (logits > -math.inf).nonzero()[:, -1].tolist()


def test_top_p_keeps_the_token_that_reaches_p():
    logits = torch.tensor([0.15, 0.5, 0.1, 0.25]).double().log()
    got = kept(top_p(logits, 0.6))
    assert got != [1], "0.5 alone does not reach p = 0.6: the token with which the sum reaches p is kept too"
    assert got == [1, 3], f"of probabilities .15 .5 .1 .25, p = 0.6 keeps tokens 1 and 3, and not {got}"
    got = kept(top_p(logits, 0.3))
    assert got == [1], f"p = 0.3 is reached by the likeliest token, number 1, alone; kept were {got}"
    check_tensor(top_p(logits, 0.6)[[1, 3]], logits[[1, 3]], "the logits of what is kept should stay as they are")


def test_top_p_of_any_size():
    logits = numbers(4, 3, 50)
    check_tensor(top_p(logits, 1.0), logits, "p = 1 should keep every token")
    for p in (0.0, 1.5):
        check_refused(f"p = {p} is no share of the probability", top_p, logits, p)
    for row in (logits[0], torch.zeros(4).double()):
        got = kept(top_p(row, 1e-20))
        assert len(got) == 1, f"however small p is, a likeliest token reaches it and stays; with p = 1e-20 stay {got}"


def test_top_p_stops_when_p_is_reached():
    # Probabilities of 1/4 and 1/8 and their sums are exact.
    for n in (4, 8):
        got = kept(top_p(torch.zeros(n).double(), 0.5))
        assert len(got) == n // 2, (
            f"of {n} equally likely tokens {n // 2} reach p = 0.5 exactly, which is enough; kept were {len(got)}"
        )


# %% test="top-p-any" of="top-p" points=1
def test_top_p_any_axes_hidden():
    from transformers.generation import TopPLogitsWarper

    seed = fresh_seed()
    vocab_size = 30 + seed % 9
    for shape in ((vocab_size,), (4, vocab_size), (2, 3, vocab_size)):
        logits = numbers(seed, *shape, scale=2.0)
        for p in (0.05, 0.5, 0.9):
            want = TopPLogitsWarper(p)(None, logits.view(-1, vocab_size)).view(shape)
            hint = f"not the tokens that p = {p} keeps, with {len(shape)} axes: each row is sorted and cut by itself"
            check_tensor(top_p(logits, p), want, hint)
    check_kept(top_p, numbers(seed, 3, 5), 0.5)


# %% [markdown]
# ## One distribution
#
# The three together, in the order that everybody uses. What is cut leaves its share to the others.

# %% exercise="probabilities" difficulty=1 importance=3 minutes=5 replaces="transformers"
from solutions.generation import probabilities


# %% test="probabilities" points=1
def test_probabilities_make_a_distribution():
    logits = numbers(5, 4, 12, scale=2.0)
    check_tensor(
        probabilities(logits),
        logits.softmax(-1),
        "with nothing asked for, the probabilities are the softmax of the logits",
    )
    got = probabilities(logits, temperature=1.5, k=6, p=0.8)
    hint = "the probabilities of each row should sum to 1: take the softmax after cutting"
    check_tensor(got.sum(-1), torch.ones(4).double(), hint)
    for p in (0.0, 2.0):
        check_refused(f"p = {p} is no share of the probability", probabilities, logits, p=p)


def test_probabilities_of_a_warm_model():
    # Of probabilities .6, .3, .1, temperature 2 makes .47, .33, .19.
    logits = torch.tensor([0.6, 0.3, 0.1]).double().log()
    got = probabilities(logits, temperature=2.0, p=0.55)
    assert isinstance(got, torch.Tensor) and got.shape == (3,), "one chance for each of 3 tokens is wanted"
    assert got[1] > 0, "the temperature comes first: at temperature 2 the likeliest of .6 .3 .1 does not reach p = 0.55"


# %% test="probabilities-any" of="probabilities" points=1
def test_probabilities_equal_those_of_transformers_hidden():
    logits = numbers(fresh_seed(), 200, 20, scale=2.0)
    for temperature, k, p in ((0.7, None, 0.9), (1.8, 5, 1.0), (1.3, 6, 0.8), (2.0, 100, 0.7)):
        hint = (
            "not transformers' distribution: first the temperature, then the k likeliest, then p of what these have left, "
            f"and the softmax at the end (temperature {temperature}, k {k}, p {p})"
        )
        check_tensor(probabilities(logits, temperature, k, p), library_probabilities(logits, temperature, k, p), hint)


# %% [markdown]
# ## The likeliest token
#
# Greedy writing takes the likeliest token, appends it, and asks again. A batch brings one difficulty: texts end at
# different places, by writing the end-of-text token `eos`, and the others have to wait.
#
# <details><summary>Hint: texts that have ended</summary>
#
# Keep a tensor of bools, one for each text. `chosen.masked_fill(ended, eos)` overrules the model for those that have
# ended.
#
# </details>

# %% exercise="greedy" difficulty=2 importance=4 minutes=20 replaces="transformers"
from solutions.generation import greedy

# %% test="greedy" points=1
SMALL = GPTConfig(vocab_size=23, context=24, d_model=12, n_head=3, n_layer=2)


def check_text(got, want, hint):
    """Assert that token ids are the wanted ones, and say where they first differ."""
    assert isinstance(got, torch.Tensor), f"the result should be a tensor, but it is {type(got).__name__}"
    assert got.shape == want.shape, f"the shape is {tuple(got.shape)} and should be {tuple(want.shape)}; {hint}"
    different = (got != want).nonzero().tolist()
    assert not different, (
        f"{hint} (first at {different[0]}: {got[tuple(different[0])]}, not {want[tuple(different[0])]})"
    )


def test_greedy_writes_like_transformers():
    theirs, prompt = random_gpt2(SMALL, 10), token_ids(11, 23, 4, 6)
    got = greedy(loaded(theirs, SMALL), prompt, 12)
    assert isinstance(got, torch.Tensor) and got.shape == (4, 18), "6 tokens of prompt and 12 new ones make (4, 18)"
    check_text(got[:, :6], prompt, "the result should begin with the prompt")
    hint = "each new token should be the likeliest after all tokens before it"
    check_text(got, library_text(theirs, prompt, 12, do_sample=False), hint)


def check_likeliest(theirs, got, start):
    """Assert that the tokens from `start` on are the likeliest that a model with a context of 5 can tell."""
    for i in range(start, got.shape[1]):
        want = theirs(got[:, i - 5 : i]).logits[:, -1].argmax(-1)
        hint = f"with a context of 5, token {i} should be the likeliest after the 5 tokens before it"
        check_text(got[:, i], want, hint)


def test_greedy_reads_the_last_tokens():
    config = GPTConfig(vocab_size=11, context=5, d_model=6, n_head=2, n_layer=1)
    theirs, prompt = random_gpt2(config, 14), token_ids(15, 11, 40, 7)
    got = within_context(greedy, loaded(theirs, config), prompt, 3)
    assert got.shape == (40, 10), "7 tokens of prompt and 3 new ones make (40, 10)"
    check_likeliest(theirs, got, 7)


# %% test="greedy-eos" of="greedy" points=1
def test_greedy_ends():
    # The model writes 3 whatever it has read; the first prompt holds a 3 already.
    model = model_of(torch.tensor([0.0, 1.0, 0.5, 2.0]).double())
    got = greedy(model, torch.tensor([[3, 0], [1, 2]]), 5, eos=3)
    hint = "both texts write eos at once and the work should stop there; an eos in the prompt ends nothing"
    check_text(got, torch.tensor([[3, 0, 3], [1, 2, 3]]), hint)


def test_greedy_waits_for_the_others():
    theirs, prompt = random_gpt2(SMALL, 12), token_ids(13, 23, 5, 4)
    written = library_text(theirs, prompt, 12, do_sample=False)
    for eos in sorted(set(written[:, 5:9].flatten().tolist()))[:4]:
        want = library_text(theirs, prompt, 12, do_sample=False, eos_token_id=eos, pad_token_id=eos)
        hint = "a text that has written eos is filled with eos until all have ended"
        check_text(greedy(loaded(theirs, SMALL), prompt, 12, eos=eos), want, hint)


# %% test="greedy-long" of="greedy" points=1
def test_greedy_beyond_the_context_hidden():
    config = GPTConfig(vocab_size=11, context=5, d_model=6, n_head=2, n_layer=1)
    theirs, prompt = random_gpt2(config, fresh_seed()), token_ids(fresh_seed(), 11, 40, 9)
    model = loaded(theirs, config)
    got = within_context(greedy, model, prompt, 7)
    assert got.shape == (40, 16), "a prompt longer than the context stays in the result whole"
    check_likeliest(theirs, got, 9)
    check_refused("a prompt without tokens leaves nothing to continue", greedy, model, prompt[:, :0], 3)
    assert torch.equal(greedy(model, prompt, 0), prompt), "no new tokens were asked for: the prompt should come back"
    check_kept(greedy, model, prompt, 2)


# %% [markdown]
# ## Drawing
#
# Sampling draws each token from your `probabilities`. `torch.multinomial` draws; a `torch.Generator` with the caller's
# seed makes the draw repeatable and leaves torch's own random numbers alone.

# %% exercise="sample" difficulty=2 importance=5 minutes=15 replaces="transformers"
from solutions.generation import sample


# %% test="sample" points=2
def test_sample_follows_its_seed():
    model, prompt = loaded(random_gpt2(SMALL, 20), SMALL), token_ids(21, 23, 2, 3)
    first = probes.seeded(1, sample, model, prompt, 8, 2.0, None, 1.0, 9)
    assert isinstance(first, torch.Tensor) and first.shape == (2, 11), "3 tokens of prompt and 8 new ones make (2, 11)"
    check_text(first[:, :3], prompt, "the result should begin with the prompt")
    again = probes.seeded(2, sample, model, prompt, 8, 2.0, None, 1.0, 9)
    check_text(again, first, "the same seed gave another text: draw from a generator with this seed")
    others = [sample(model, prompt, 8, 2.0, seed=seed) for seed in range(4)]
    assert not all(torch.equal(first, other) for other in others), "four other seeds all gave the same text"


def test_sample_with_one_candidate_is_greedy():
    theirs, prompt = random_gpt2(SMALL, 22), token_ids(23, 23, 3, 5)
    want = library_text(theirs, prompt, 10, do_sample=False)
    model = loaded(theirs, SMALL)
    hint = "should leave only the likeliest token, given all tokens before it"
    check_text(sample(model, prompt, 10, 1.0, k=1, seed=3), want, f"k = 1 {hint}")
    check_text(sample(model, prompt, 10, 1.0, p=1e-6, seed=3), want, f"p = 0.000001 {hint}")


# %% test="sample-any" of="sample" points=2
def distance(drawn, wanted):
    """Half the sum of the differences between the shares of drawn tokens and their wanted probabilities."""
    shares = drawn.flatten().bincount(minlength=len(wanted)) / drawn.numel()
    return (shares - wanted).abs().sum().item() / 2


def test_sample_draws_each_token_anew_hidden():
    model = model_of(torch.zeros(12).double())
    drawn = sample(model, torch.zeros(40, 1, dtype=torch.long), 12, seed=fresh_seed())[:, 1:]
    in_rows = min(len(set(row)) for row in drawn.tolist())
    assert in_rows > 3, "equally likely tokens come again and again within a text: make the generator once"
    in_columns = min(len(set(column)) for column in drawn.T.tolist())
    assert in_columns > 3, "all texts of a batch get the same token: each draws its own"


def test_sample_draws_from_the_probabilities_hidden():
    seed = fresh_seed()
    order = torch.randperm(12, generator=torch.Generator().manual_seed(seed))
    logits = torch.linspace(0, 4, 12, dtype=torch.float64)[order]
    model, prompt = model_of(logits), torch.zeros(500, 1, dtype=torch.long)
    # 4,000 draws from at most 12 tokens come within 0.06 but for three submissions in a million.
    for temperature, k, p in ((0.5, None, 1.0), (3.0, None, 1.0), (3.0, 4, 1.0), (2.0, None, 0.6)):
        want = library_probabilities(logits[None], temperature, k, p)[0]
        drawn = sample(model, prompt, 8, temperature, k, p, seed=seed)[:, 1:]
        what = f"temperature {temperature}, k {k}, p {p}"
        assert not (want[drawn] == 0).any(), f"with {what} a token was drawn that is to be cut"
        assert distance(drawn, want) < 0.06, f"with {what} tokens are not drawn with the probabilities they should have"


def test_sample_beyond_the_context_hidden():
    config = GPTConfig(vocab_size=11, context=5, d_model=6, n_head=2, n_layer=1)
    theirs, prompt = random_gpt2(config, fresh_seed()), token_ids(fresh_seed(), 11, 30, 9)
    model = loaded(theirs, config)
    got = within_context(sample, model, prompt, 7, k=1)
    assert got.shape == (30, 16), "a prompt longer than the context stays in the result whole"
    check_likeliest(theirs, got, 9)
    check_refused("a prompt without tokens leaves nothing to continue", sample, model, prompt[:, :0], 3)
    check_kept(sample, model, prompt, 2)


# %% [markdown]
# ## Does it repeat itself?
#
# Two numbers. `rep_n` looks at each text alone: how much of it has stood there before? `distinct_n` looks at many texts
# together: how much of what they say is different?
#
# <details><summary>Hint</summary>
#
# `ids.unfold(1, n, 1)` lists the n-grams of every row along a new last axis. Tuples can be put in a set, lists cannot.
#
# </details>

# %% exercise="repetition" difficulty=2 importance=3 minutes=20
from solutions.generation import distinct_n, rep_n


# %% test="repetition" points=1
def test_rep_n_of_known_texts():
    ids = torch.tensor([[1, 2, 1, 2, 1], [3, 3, 3, 3, 3], [1, 2, 3, 4, 5]])
    # Pairs of the first text: 12 21 12 21, of which the last two stood there before.
    hint = "of the pairs 12 21 12 21 half stood there before; of 33 33 33 33 three quarters; of 12 23 34 45 none"
    check_tensor(rep_n(ids, 2), torch.tensor([0.5, 0.75, 0.0]).double(), hint)
    check_tensor(rep_n(ids, 5), torch.zeros(3).double(), "a text of 5 tokens has one 5-gram, and that repeats nothing")


def test_distinct_n_of_known_texts():
    ids = torch.tensor([[1, 2, 1, 2, 1], [3, 3, 3, 3, 3], [1, 2, 3, 4, 5]])
    got = float(distinct_n(ids, 2))
    assert abs(got - 8 / 14) > 1e-6, "no pair reaches from the end of one text into the next"
    hint = "the texts have 12 pairs and these different ones: 12 21 33 23 34 45"
    assert abs(got - 6 / 12) < 1e-6, f"distinct_n is {got:.4g} and should be 0.5; {hint}"
    got = float(distinct_n(ids, 5))
    assert abs(got - 1) < 1e-6, f"three texts of 5 tokens have one 5-gram each, all different: 1, and not {got:.4g}"
    check_refused("with n = 0 there are no n-grams", distinct_n, ids, 0)


# %% test="repetition-any" of="repetition" points=2
def test_rep_n_counts_what_came_before_hidden():
    seed = fresh_seed()
    ids = token_ids(seed, 3, 4, 30)
    for n in (1, 2, 4):
        want = []
        for text in ids.tolist():
            grams = [tuple(text[i : i + n]) for i in range(31 - n)]
            want.append(sum(gram in grams[:i] for i, gram in enumerate(grams)) / len(grams))
        hint = f"not the share of {n}-grams that stood earlier in the same text"
        check_tensor(rep_n(ids, n), torch.tensor(want, dtype=torch.float64), hint)
    check_refused("31-grams of texts of 30 tokens", rep_n, ids, 31)
    check_refused("with n = 0 there are no n-grams", rep_n, ids, 0)


def test_distinct_n_counts_all_texts_together_hidden():
    seed = fresh_seed()
    ids = token_ids(seed, 6, 5, 8)
    for n in (1, 2, 3):
        grams = [tuple(text[i : i + n]) for text in ids.tolist() for i in range(9 - n)]
        got, want = float(distinct_n(ids, n)), len(set(grams)) / len(grams)
        assert abs(got - want) < 1e-6, f"{n}-grams: not the number of different ones in all texts over that of all"
    check_refused("9-grams of texts of 8 tokens", distinct_n, ids, 9)


# %% [markdown]
# ## Repeats, forbidden
#
# Two common remedies act on the logits. One makes every token that has been used less likely; the other forbids to complete
# an n-gram a second time. Both are blunt: they know nothing of meaning, and a text has good reasons to say "the" twice.

# %% exercise="penalize-repeats" difficulty=2 importance=2 minutes=15 replaces="transformers"
from solutions.generation import penalize_repeats


# %% test="penalize-repeats" points=1
def test_penalty_lowers_what_was_used():
    logits = torch.tensor([[2.0, -2.0, 1.0, -1.0]]).double()
    want = torch.tensor([[1.0, -4.0, 1.0, -1.0]]).double()
    hint = "used tokens 0 and 1 at penalty 2: a positive logit is halved, a negative one doubled, the others stay"
    check_tensor(penalize_repeats(logits, torch.tensor([[0, 1]]), 2.0), want, hint)
    hint = "a token that was used three times is penalised once"
    check_tensor(penalize_repeats(logits, torch.tensor([[0, 1, 0, 0]]), 2.0), want, hint)


# %% test="penalize-repeats-any" of="penalize-repeats" points=1
def test_penalty_equals_that_of_transformers_hidden():
    from transformers.generation import RepetitionPenaltyLogitsProcessor

    seed = fresh_seed()
    for penalty in (0.5, 1.7):
        logits, ids = numbers(seed, 6, 13, scale=2.0), token_ids(seed, 13, 6, 8)
        want = RepetitionPenaltyLogitsProcessor(penalty)(ids, logits.clone())
        hint = f"not what transformers makes of penalty {penalty}: each row is penalised for its own tokens, once"
        check_tensor(penalize_repeats(logits, ids, penalty), want, hint)
    check_kept(penalize_repeats, numbers(seed, 2, 5), token_ids(seed, 5, 2, 3), 2.0)
    check_refused("a penalty of 0 cannot divide", penalize_repeats, numbers(seed, 2, 5), token_ids(seed, 5, 2, 3), 0.0)


# %% exercise="forbid-repeats" difficulty=3 importance=2 minutes=20 replaces="transformers"
from solutions.generation import forbid_repeats


# %% test="forbid-repeats" points=2
def forbidden(ids, n):
    """Tokens out of 6 that may not follow a text."""
    logits = forbid_repeats(torch.zeros(1, 6).double(), torch.tensor([ids]), n)
    assert isinstance(logits, torch.Tensor) and logits.shape == (1, 6), "the result should have the shape of the logits"
    return (logits[0] == -math.inf).nonzero()[:, 0].tolist()


def test_no_trigram_comes_twice():
    got = forbidden([4, 5, 1, 4, 5], 3)
    assert got == [1], (
        f"4 5 was followed by 1 before: forbid 1, so that 4 5 1 does not come again; forbidden were {got}"
    )
    got = forbidden([4, 5, 1, 4, 5, 2, 4, 5], 3)
    assert got == [1, 2], f"4 5 was followed by 1, and by 2: forbid both; forbidden were {got}"
    got = forbidden([4, 5, 1, 5, 4], 3)
    assert got == [], f"nothing has followed 5 4 before: forbid nothing; forbidden were {got}"


def test_no_token_comes_twice():
    got = forbidden([4, 5, 1, 4], 1)
    assert got == [1, 4, 5], f"n = 1 forbids every token that stands in the text, 1, 4 and 5; forbidden were {got}"
    got = forbidden([4], 3)
    assert got == [], f"a text of one token holds no trigram: forbid nothing; forbidden were {got}"


# %% test="forbid-repeats-any" of="forbid-repeats" points=1
def test_forbidden_tokens_equal_those_of_transformers_hidden():
    from transformers.generation import NoRepeatNGramLogitsProcessor

    seed = fresh_seed()
    for n in (1, 2, 3, 4):
        logits, ids = numbers(seed, 12, 3), token_ids(seed, 3, 12, 9 + seed % 5)
        want = NoRepeatNGramLogitsProcessor(n)(ids, logits.clone())
        hint = f"not the tokens that transformers forbids for n = {n}: each row by its own text, all else as it was"
        check_tensor(forbid_repeats(logits, ids, n), want, hint)
    check_kept(forbid_repeats, numbers(seed, 2, 3), token_ids(seed, 3, 2, 8), 2)
    check_refused(
        "with n = 0 there is no n-gram to forbid", forbid_repeats, numbers(seed, 2, 3), token_ids(seed, 3, 2, 8), 0
    )


# %% [markdown]
# ## The likeliest text
#
# The likeliest first token need not begin the likeliest text. Beam search keeps several beginnings alive and compares them
# by the probability of all their tokens together: the sum of log-probabilities.
#
# A text that has ended cannot grow, and the longer one is, the smaller its probability. So finished texts are put aside
# and compared by their mean log-probability a token (`length_penalty` 1), or with another power of the length.
#
# <details><summary>Hint: all candidates at once</summary>
#
# `(totals[:, None] + logits.log_softmax(-1)).flatten()` scores every token after every beam. Of an index into it, `//` the
# vocabulary size is the beam, and `%` the token.
#
# </details>
#
# <details><summary>Hint: why 2 * width candidates</summary>
#
# Each beam has one continuation that ends. Even if all of those are among the best, `width` others are left to go on with.
#
# </details>

# %% exercise="beam-search" difficulty=5 importance=3 minutes=45 replaces="transformers"
from solutions.generation import beam_search


# %% test="beam-search" points=2
def check_search(theirs, model, prompts, n_tokens, width, eos, length_penalty, hint):
    """Assert that beam_search finds what transformers does for each prompt; `hint` names the likely mistakes."""
    texts, scores = library_beams(theirs, prompts, n_tokens, width, eos, length_penalty)
    ending = "" if eos is None else f", ending in {eos}, length penalty {length_penalty}"
    for prompt, text, score in zip(prompts, texts, scores, strict=True):
        found, own_score = beam_search(model, prompt, n_tokens, width, eos, length_penalty)
        assert isinstance(found, torch.Tensor) and found.ndim == 1, "the text should be a tensor with one axis"
        found, own_score = found.tolist(), float(own_score)
        what = f"{width} beams, {n_tokens} tokens{ending}"
        start = len(prompt)
        assert found == text, f"{what}: found was {found[start:]}, and transformers finds {text[start:]}; {hint}"
        rule = "the sum of the new tokens' log-probabilities, over their number to the power length_penalty"
        assert abs(own_score - score) < 1e-4, f"{what}: the score is {own_score:.4f} and should be {score:.4f}: {rule}"


def test_beams_find_what_transformers_finds():
    theirs, prompts = random_gpt2(SMALL, 30), token_ids(31, 23, 6, 4)
    model = loaded(theirs, SMALL)
    hint = "are whole texts compared, by the sum of the log-probabilities of all their new tokens?"
    check_search(theirs, model, prompts, 8, 3, None, 1.0, hint)
    check_search(theirs, model, prompts, 1, 3, None, 0.0, hint)


def test_enough_beams_find_the_likeliest_text():
    config = GPTConfig(vocab_size=4, context=8, d_model=6, n_head=2, n_layer=1)
    model = loaded(random_gpt2(config, 32), config)
    every = torch.cartesian_prod(*[torch.arange(4)] * 3)
    texts = torch.cat([torch.tensor([[3, 1]]).expand(64, 2), every], dim=1)
    total = model(texts).log_softmax(-1)[:, 1:-1].gather(-1, every[..., None]).sum((1, 2))
    found, score = beam_search(model, torch.tensor([3, 1]), 3, 16, None, 0.0)
    hint = "16 beams are all texts of 2 tokens, so the likeliest of 3 should be found"
    check_text(found, texts[total.argmax()], hint)
    assert abs(float(score) - total.max().item()) < 1e-6, "with length penalty 0 the score is ln p of the new tokens"


# %% test="beam-search-eos" of="beam-search" points=2
def test_beams_that_end():
    theirs, prompts = random_gpt2(SMALL, 40), token_ids(41, 23, 4, 4)
    model = loaded(theirs, SMALL)
    for eos, length_penalty in ((17, 1.0), (12, 0.0), (11, 2.0)):
        hint = "is a text that ends put aside, do the others go on, and does eos count in its length?"
        check_search(theirs, model, prompts, 8, 3, eos, length_penalty, hint)


def test_beams_that_end_anywhere_hidden():
    seed = fresh_seed()
    config = GPTConfig(vocab_size=7, context=16, d_model=8, n_head=2, n_layer=1)
    theirs, prompts = random_gpt2(config, seed), token_ids(seed, 7, 5, 3)
    with torch.no_grad():
        theirs.transformer.wte.weight.mul_(0.5)  # less sure of itself, so that more beams are close
    model = loaded(theirs, config)
    for eos, width, length_penalty in ((1, 2, 1.0), (3, 4, 0.6), (5, 3, 0.0)):
        hint = "is a text that ends put aside, do the others go on, and does eos count in its length?"
        check_search(theirs, model, prompts, 7, width, eos, length_penalty, hint)


def test_beams_end_after_the_last_step():
    # The model gives the same probabilities whatever it has read; the longer a text, the better its score.
    model = model_of(torch.tensor([0.0, 1.0, 0.5, 2.0]).double())
    found, _ = beam_search(model, torch.tensor([1, 2]), 3, 2, 3, 3.0)
    assert isinstance(found, torch.Tensor) and found.shape == (5,), (
        "a prompt of 2 tokens and 3 steps make a text of 5 tokens, as a long text scores best here: stop after the last step"
    )


# %% test="beam-search-long" of="beam-search" points=1
def test_beams_read_the_last_tokens():
    config = GPTConfig(vocab_size=11, context=5, d_model=6, n_head=2, n_layer=1)
    theirs, prompts = random_gpt2(config, 42), token_ids(43, 11, 20, 7)
    model, want = loaded(theirs, config), theirs(prompts[:, -5:]).logits[:, -1].argmax(-1)
    for prompt, token in zip(prompts, want.tolist(), strict=True):
        got = within_context(beam_search, model, prompt, 1, 2)[0]
        hint = "with a context of 5, the one new token should be the likeliest after the last 5 of 7"
        check_text(got[7:], torch.tensor([token]), hint)
    text, _ = beam_search(model, prompts[0, :3], 0, 2)
    assert torch.equal(text, prompts[0, :3]), "no new tokens were asked for: the prompt should come back"


def test_beam_search_beyond_the_context_hidden():
    config = GPTConfig(vocab_size=11, context=5, d_model=6, n_head=2, n_layer=1)
    model, prompts = loaded(random_gpt2(config, fresh_seed()), config), token_ids(fresh_seed(), 11, 8, 9)
    for prompt in prompts:
        got, want = (within_context(beam_search, model, text, 7, 2)[0] for text in (prompt, prompt[-5:]))
        assert got.shape == (16,), "a prompt longer than the context stays in the result whole"
        check_text(got[9:], want[5:], "only the last `context` tokens should be read, at positions 0 and up")
    check_refused("a prompt without tokens leaves nothing to continue", beam_search, model, prompts[0, :0], 3, 2)
    check_refused("no beams can find no text", beam_search, model, prompts[0], 3, 0)
    check_kept(beam_search, model, prompts[0], 2, 2)


# %% [markdown]
# ## Never read twice
#
# So far the model reads the whole text for every new token. All of that work has been done before: a position's keys and
# values depend only on what stands before it, which never changes. The key-value cache keeps them.

# %% exercise="kv-cache" difficulty=3 importance=4 minutes=20 given_methods="__init__ length"
from solutions.generation import KVCache


# %% test="kv-cache" points=1
def test_cache_returns_old_and_new():
    config = GPTConfig(vocab_size=9, context=7, d_model=6, n_head=2, n_layer=3)
    cache, keys, values = KVCache(config, 4, torch.float64), numbers(40, 4, 2, 5, 3), numbers(41, 4, 2, 5, 3)
    for layer in (0, 1):
        got = cache.append(layer, keys[:, :, :3] + layer, values[:, :, :3] + layer)
        hint = f"after 3 positions in layer {layer} it should return just these"
        check_tensor(got[0], keys[:, :, :3] + layer, f"keys: {hint}")
        check_tensor(got[1], values[:, :, :3] + layer, f"values: {hint}")
    for layer in (0, 1):
        got = cache.append(layer, keys[:, :, 3:] + layer, values[:, :, 3:] + layer)
        hint = f"3 positions and 2 more in layer {layer} make 5, the oldest first; each layer has its own"
        check_tensor(got[0], keys + layer, f"keys: {hint}")
        check_tensor(got[1], values + layer, f"values: {hint}")


# %% test="kv-cache-any" of="kv-cache" points=1
def test_cache_of_a_whole_context_hidden():
    seed = fresh_seed()
    config = GPTConfig(vocab_size=9, context=6 + seed % 4, d_model=6, n_head=3, n_layer=2)
    n = config.context
    cache, keys, values = KVCache(config, 2, torch.float64), numbers(seed, 2, 3, n, 2), numbers(seed + 1, 2, 3, n, 2)
    for i in range(n - 1):
        for layer in (0, 1):
            got = cache.append(layer, keys[:, :, i : i + 1], values[:, :, i : i + 1])
    check_tensor(got[0], keys[:, :, : n - 1], "one position at a time: the keys of all should come back")
    check_tensor(got[1], values[:, :, : n - 1], "one position at a time: the values of all should come back")
    length = cache.length()
    assert length == n - 1, f"all layers hold {n - 1} positions and length() says {length}: keep self.lengths right"
    for layer in (0, 1):
        check_refused("more positions than the context has", cache.append, layer, keys[:, :, :2], values[:, :, :2])
    assert cache.length() == n - 1, "what was refused should not be stored, and not be counted"
    got = cache.append(0, keys[:, :, n - 1 :], values[:, :, n - 1 :])
    check_tensor(got[0], keys, "what was refused should not be stored")


# %% [markdown]
# Now read with it. Attention is torch's own this time, `F.scaled_dot_product_attention(q, k, v, attn_mask=mask)`: a
# query takes the values whose place in `mask` is True. You wrote it in the assignment on the GPT.
#
# The blocks' parts are at hand: `block.attention_norm` and `block.mlp_norm`, `block.mlp`, `block.attention.heads(x)`,
# which gives queries, keys and values, each (batch, head, position, width), and `block.attention.projection`, which takes
# the heads side by side. After the last block comes `model.final_norm`.
#
# <details><summary>Hint: where the new positions are</summary>
#
# If the cache holds 5 positions, the first new one is number 5. Its position embedding is row 5, and its query sees keys 0
# to 5.
#
# </details>
#
# <details><summary>Hint: the mask</summary>
#
# `torch.ones(rows, columns, dtype=torch.bool).tril(start)` is True up to the diagonal that begins in column `start`.
#
# </details>

# %% exercise="read-on" difficulty=4 importance=4 minutes=35
from solutions.generation import read_on


# %% test="read-on" points=1
def test_read_on_from_the_start():
    theirs, ids = random_gpt2(SMALL, 50), token_ids(51, 23, 3, 7)
    got = read_on(loaded(theirs, SMALL), ids, KVCache(SMALL, 3, torch.float64))
    hint = "with an empty cache the logits should be those of model(ids)"
    check_tensor(got, theirs(ids).logits.detach(), hint, tolerance=1e-9)


def test_read_on_from_the_middle():
    theirs, ids = random_gpt2(SMALL, 52), token_ids(53, 23, 2, 9)
    model, cache, want = loaded(theirs, SMALL), KVCache(SMALL, 2, torch.float64), theirs(ids).logits.detach()
    read_on(model, ids[:, :4], cache)
    hint = "a fifth token after four: it stands at position 4 and sees what the cache holds, and itself"
    check_tensor(read_on(model, ids[:, 4:5], cache), want[:, 4:5], hint, tolerance=1e-9)
    hint = "four tokens after five: each sees the cache, itself, and of the new ones only those before it"
    check_tensor(read_on(model, ids[:, 5:], cache), want[:, 5:], hint, tolerance=1e-9)


def test_read_on_refuses_what_does_not_fit():
    config = GPTConfig(vocab_size=7, context=6, d_model=4, n_head=2, n_layer=1)
    model, cache = loaded(random_gpt2(config, 54), config), KVCache(config, 1, torch.float64)
    read_on(model, token_ids(55, 7, 1, 4), cache)
    check_refused("4 tokens and 3 more in a context of 6", read_on, model, token_ids(56, 7, 1, 3), cache)


# %% test="read-on-any" of="read-on" points=2
def test_read_on_in_any_pieces_hidden():
    seed = fresh_seed()
    config = GPTConfig(5 + seed % 9, 12, d_model=4 * (1 + seed % 3), n_head=2, n_layer=2 + seed % 2, eps=0.01)
    theirs, ids = random_gpt2(config, seed), token_ids(seed, config.vocab_size, 3, 12)
    model, want = loaded(theirs, config), theirs(ids).logits.detach()
    for pieces in ([1] * 12, [5, 1, 6], [2, 7, 3]):
        cache, start = KVCache(config, 3, torch.float64), 0
        for n in pieces:
            got = read_on(model, ids[:, start : start + n], cache)
            check_tensor(
                got,
                want[:, start : start + n],
                f"pieces of {pieces} tokens: wrong logits from position {start} on",
                tolerance=1e-9,
            )
            start += n


def test_read_on_stops_at_the_context_hidden():
    config = GPTConfig(vocab_size=7, context=6, d_model=4, n_head=2, n_layer=1)
    model, cache = loaded(random_gpt2(config, fresh_seed()), config), KVCache(config, 1, torch.float64)
    read_on(model, token_ids(1, 7, 1, 5), cache)
    check_refused("5 tokens and 2 more in a context of 6", read_on, model, token_ids(2, 7, 1, 2), cache)


# %% [markdown]
# The last part puts cache and choice together: the prompt is read once, and then each new token alone.

# %% exercise="write" difficulty=3 importance=5 minutes=25 replaces="transformers"
from solutions.generation import write


# %% test="write" points=1
def test_write_is_greedy_without_a_seed():
    theirs, prompt = random_gpt2(SMALL, 60), token_ids(61, 23, 4, 6)
    got = write(loaded(theirs, SMALL), prompt, 18)
    hint = "without a seed the text should be that of greedy, which is also what transformers writes"
    check_text(got, library_text(theirs, prompt, 18, do_sample=False), hint)


def write_watched(model, prompt, n_tokens):
    """The text that your `write` makes, and how many positions of each text a layer of the model has read.

    That layer's weights stay with the test. Whenever the layer is to read something, the test notes it, says what comes
    out, and calls `write` again.
    """
    layer, answers = "blocks.0.mlp.up", []
    own = model.get_submodule(layer)
    without = {f"{layer}.{name}": torch.zeros_like(tensor) for name, tensor in own.state_dict().items()}
    while True:
        asks, found = probes.until_asked(
            write, LoadedGPT(model.config, model.weights | without), layer, answers, prompt, n_tokens
        )
        if not asks:
            return found, sum(x.shape[:-1].numel() for x, _ in answers) / len(prompt)
        answers.append((found, own(found)))


def check_reads_once(seed):
    """Assert that `write` reads 8 tokens of prompt, and then each new token alone."""
    # So wide a layer cannot be worked out from what it makes of as few positions.
    config = GPTConfig(vocab_size=11, context=24, d_model=48, n_head=2, n_layer=1)
    theirs, prompt = random_gpt2(config, seed), token_ids(seed + 1, 11, 2, 8)
    got, read = write_watched(loaded(theirs, config), prompt, 12)
    assert isinstance(got, torch.Tensor) and got.shape == (2, 20), "8 tokens of prompt and 12 new ones make (2, 20)"
    assert read > 0, "the model has read nothing: let its own blocks compute"
    assert read <= 20, (
        f"for a text of 20 tokens {read:.0f} positions were read; without a cache it would be 162: read the prompt "
        "once, then each new token alone"
    )
    hint = "each new token should be the likeliest after all tokens before it"
    check_text(got, library_text(theirs, prompt, 12, do_sample=False), hint)


def test_write_reads_each_position_once():
    check_reads_once(62)


def test_write_reads_each_position_of_any_text_once_hidden():
    check_reads_once(fresh_seed())


# %% test="write-any" of="write" points=2
def test_write_follows_its_seed_hidden():
    model, prompt = model_of(torch.zeros(12).double(), context=40), torch.zeros(3, 2, dtype=torch.long)
    first = probes.seeded(1, write, model, prompt, 20, 1.0, None, 1.0, 5)
    again = probes.seeded(2, write, model, prompt, 20, 1.0, None, 1.0, 5)
    check_text(again, first, "the same seed gave another text: draw from a generator with this seed")
    assert not torch.equal(first, write(model, prompt, 20, seed=6)), "two seeds gave the same text"
    in_rows = min(len(set(row)) for row in first[:, 2:].tolist())
    assert in_rows > 3, "equally likely tokens come again and again within a text: make the generator once"


def test_write_draws_from_the_probabilities_hidden():
    seed = fresh_seed()
    order = torch.randperm(12, generator=torch.Generator().manual_seed(seed))
    logits = torch.linspace(0, 4, 12, dtype=torch.float64)[order]
    model, prompt = model_of(logits, context=9), torch.zeros(500, 1, dtype=torch.long)
    # 4,000 draws from at most 12 tokens come within 0.06 but for three submissions in a million.
    for temperature, k, p in ((0.5, None, 1.0), (3.0, None, 1.0), (3.0, 4, 1.0), (2.0, None, 0.6)):
        want = library_probabilities(logits[None], temperature, k, p)[0]
        drawn = write(model, prompt, 8, temperature, k, p, seed=seed)[:, 1:]
        what = f"temperature {temperature}, k {k}, p {p}"
        assert not (want[drawn] == 0).any(), f"with {what} a token was drawn that is to be cut"
        assert distance(drawn, want) < 0.06, f"with {what} tokens are not drawn with the probabilities they should have"


def test_write_stops_at_the_context_hidden():
    theirs, prompt = random_gpt2(SMALL, fresh_seed()), token_ids(fresh_seed(), 23, 3, 5)
    model = loaded(theirs, SMALL)
    got = write(model, prompt, 19)
    check_text(got, library_text(theirs, prompt, 19, do_sample=False), "5 tokens and 19 more fill a context of 24")
    check_refused("5 tokens and 20 more in a context of 24", write, model, prompt, 20)
    check_refused("a prompt without tokens leaves nothing to continue", write, model, prompt[:, :0], 3)
    assert torch.equal(write(model, prompt, 0), prompt), "no new tokens were asked for: the prompt should come back"
    check_kept(write, model, prompt, 2)


# %% [markdown]
# Now let it write, with the course's model of Python's documentation. Greedy text should fall into repeating itself, and
# what is drawn by top-p should not.

# %% given="documentation"
STARTS = (
    "If the argument is",
    "Return the number of",
    "The module provides a",
    "This method is called when",
    "When an exception is",
    "A class that",
    "The default value of",
    "Changed in version",
    "For example, the",
    "Objects of this type",
    "Note that the",
    "Raises an error if",
    "The following example",
    "Each element of the",
    "Set the value of",
    "By default, this",
)


def documentation_tokenizer():
    """The tokenizer of the course's checkpoint: byte-level BPE with 1,024 tokens, run by the `tokenizers` library."""
    return library_tokenizer(checkpoint.load("documentation-small").merges)


def documentation_model():
    """The course's trained model, and the beginnings of sentences as token ids, all cut to the same length."""
    shipped, tokenizer = checkpoint.load("documentation-small"), documentation_tokenizer()
    starts = [tokenizer.encode(start).ids for start in STARTS]
    shortest = min(map(len, starts))
    weights = {name: tensor.float() for name, tensor in shipped.tensors.items()}
    return LoadedGPT(GPTConfig(**shipped.config), weights), torch.tensor([ids[:shortest] for ids in starts])


# %% test="write-repeats" of="write" points=1
def test_greedy_text_repeats_and_drawn_text_does_not():
    model, starts = documentation_model()
    n = starts.shape[1]
    likeliest = write(model, starts, 80)[:, n:]
    drawn = write(model, starts, 80, p=0.9, seed=1)[:, n:]
    # A 4-gram that is not new to its text stood there before.
    of_likeliest, of_drawn = (
        1 - sum(library_distinct(text, 4) for text in ids) / len(ids) for ids in (likeliest, drawn)
    )
    assert of_likeliest > 0.25, f"{of_likeliest:.0%} of the 4-grams that greedy writes are repeats; ours are above 40%"
    assert of_drawn < 0.03, f"{of_drawn:.1%} of the 4-grams drawn with p = 0.9 are repeats; ours are below 1%"
    varied, dull = library_distinct(drawn, 2), library_distinct(likeliest, 2)
    assert varied > 1.3 * dull, (
        f"drawn texts have {varied:.0%} different pairs, greedy ones {dull:.0%}: that is no contrast"
    )


# %% [markdown]
# ## All together
#
# The last test uses nothing of ours: all your ways to write, on the same model.


# %% test="integration" of="integration" points=2
def check_all_ways(seed, hint):
    """Assert that every way to write gives the greedy text of transformers where it should; `hint` says that."""
    config = GPTConfig(vocab_size=19, context=20, d_model=8, n_head=2, n_layer=2)
    theirs, prompt = random_gpt2(config, seed), token_ids(seed, 19, 3, 5)
    model, want = loaded(theirs, config), library_text(theirs, prompt, 12, do_sample=False)
    check_text(greedy(model, prompt, 12), want, f"your greedy {hint}")
    check_text(write(model, prompt, 12), want, f"your write, without a seed, {hint}")
    check_text(sample(model, prompt, 12, 0.7, k=1, p=0.9, seed=seed), want, f"your sample, with k = 1, {hint}")
    check_text(write(model, prompt, 12, 0.7, k=1, p=0.9, seed=seed), want, f"your write, with k = 1, {hint}")
    for row, text in zip(prompt, want, strict=True):
        check_text(beam_search(model, row, 12, 1)[0], text, f"your beam search, with one beam, {hint}")


def test_your_ways_to_write_agree():
    check_all_ways(110, "should write what transformers' greedy search writes")


def test_your_ways_to_write_agree_on_any_model_hidden():
    check_all_ways(fresh_seed(), "should write what transformers' greedy search writes on any model")


# %% [markdown]
# ## Read it
#
# Two predictions first; leave them at `None` if you have no guess.
#
# - Of the 4-grams in 100 greedy tokens, what share stood there before?
# - Top-p with p = 0.9 keeps some of 1,024 tokens. How many, on average over a text?

# %% run
if __name__ == "__main__":
    predicted_greedy_share = None  # your guess, from 0 to 1
    predicted_candidates = None  # your guess, from 1 to 1,024

# %% run
if __name__ == "__main__":
    torch.set_num_threads(1)  # a model this small gains nothing from more
    model, starts = documentation_model()
    n = starts.shape[1]
    ways = {
        "greedy": {},
        "top-p 0.9": {"p": 0.9, "seed": 1},
        "top-k 40": {"k": 40, "seed": 1},
        "temperature 0.5": {"temperature": 0.5, "seed": 1},
        "all tokens": {"seed": 1},
    }
    written = {name: write(model, starts, 100, **way) for name, way in ways.items()}
    shares = {name: rep_n(ids[:, n:], 4).mean().item() for name, ids in written.items()}
    with torch.no_grad():
        candidates = (probabilities(model(written["top-p 0.9"]), p=0.9) > 0).sum(-1).double().mean().item()
    compare_prediction("share of repeated 4-grams", predicted_greedy_share, shares["greedy"])
    compare_prediction("tokens kept by p = 0.9", predicted_candidates, candidates, unit="tokens")

# %% run tags=["nbval-ignore-output"]
if __name__ == "__main__":
    tokenizer = documentation_tokenizer()
    for name, ids in written.items():
        print(f"--- {name}\n{tokenizer.decode(ids[0].tolist())}\n")

# %% run
if __name__ == "__main__":
    import matplotlib.pyplot as plt

    plt.figure(figsize=(6, 2.5))
    plt.barh(list(shares), list(shares.values()))
    plt.gca().invert_yaxis()
    plt.xlabel("share of 4-grams that stood in the text before")
    plt.show()

# %% [markdown]
# And the two remedies? Here is greedy writing with a penalty, and with repeated trigrams forbidden. Is it better text, or only
# text that repeats itself less?

# %% run tags=["nbval-ignore-output"]
if __name__ == "__main__":

    def with_remedy(remedy, strength, n_tokens=60):
        """Greedy text whose logits pass a remedy first."""
        ids = starts[:1]
        with torch.no_grad():
            for _ in range(n_tokens):
                logits = remedy(model(ids)[:, -1], ids, strength)
                ids = torch.cat([ids, logits.argmax(-1, keepdim=True)], dim=1)
        return tokenizer.decode(ids[0].tolist())

    print("--- penalty 1.3\n" + with_remedy(penalize_repeats, 1.3))
    print("\n--- no trigram twice\n" + with_remedy(forbid_repeats, 3))

# %% [markdown]
# ## What the cache saves
#
# The same text with and without it, in seconds of processor time.

# %% run tags=["nbval-ignore-output"]
if __name__ == "__main__":
    import time

    spent = []
    for way in (greedy, write):
        started = time.process_time()
        text = way(model, starts[:1], 100)
        spent.append(time.process_time() - started)
    print(f"100 tokens: reading everything again {spent[0]:.2f} s, with the cache {spent[1]:.2f} s")
    assert torch.equal(text, greedy(model, starts[:1], 100)), "both should write the same"
