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
# The model is the GPT of the course. All you need of it: `model(ids)` gives logits of shape (batch, position,
# vocabulary), and `model.config.context` is the largest number of positions it can read. Shapes are written in the
# signatures: `Float[Tensor, "... vocab_size"]` is a tensor whose last axis is the vocabulary, and `...` stands for
# any number of axes before it.

# %% given="setup"
import copy
import math
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F

from labkit import checkpoint
from labkit.testing import checks, probes
from labkit.testing.checks import check_equal, check_number, check_refused, token_ids
from labkit.testing.answers import fresh_seed
from labkit.testing.oracles import library_beams, library_distinct, library_gpt2, library_probabilities
from labkit.testing.oracles import library_text, library_tokenizer
from labkit.blanks import unless_blank
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


def accepted(hint, function, *args, errors=ValueError, **kwargs):
    """The result of a call that must not be refused, with any of these errors."""
    try:
        return function(*args, **kwargs)
    except NotImplementedError:  # the exercise is blank
        raise
    except errors as error:
        raise AssertionError(f"{hint} (your code raised {error!r})") from error


def check_kept(function, *args):
    """Assert that a call leaves its arguments as they are."""
    _, after = probes.after_call(function, *args)
    for i, argument in enumerate(args):
        if isinstance(argument, torch.Tensor):
            same = after[i].shape == argument.shape and torch.equal(after[i], argument)
            assert same, f"argument {i} was changed in place: return another tensor"


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
    logits, inf = torch.tensor([[1.0, 4.0, -2.0, 3.0], [-9.0, -1.0, -5.0, -2.0]]).double(), math.inf
    check_tensor(
        top_k(logits.clone(), 2),
        torch.tensor([[-inf, 4, -inf, 3], [-inf, -1, -inf, -2]]).double(),
        "each row keeps its own 2 largest logits as they are; the others become -inf",
        mistakes={
            "the tokens that are cut get the logit 0, which still has a probability: it should be -inf": (
                torch.tensor([[0, 4, 0, 3], [0, -1, 0, -2]])
            ),
            "these are the 2 largest logits of both rows together: each row keeps its own": (
                torch.tensor([[-inf, 4, -inf, 3], [-inf] * 4])
            ),
            "one token too few is kept: the k-th largest stays too": (
                torch.tensor([[-inf, 4, -inf, -inf], [-inf, -1, -inf, -inf]])
            ),
            "one token too many is kept": torch.tensor([[1, 4, -inf, 3], [-inf, -1, -5, -2]]),
            "the smallest logits are kept, and should be cut": torch.tensor(
                [[1, -inf, -2, -inf], [-9, -inf, -5, -inf]]
            ),
            "only the logits that are kept came back: every token should keep its place": (
                torch.tensor([[4, 3], [-1, -2]])
            ),
        },
    )


def check_top_k(logits, k):
    """Assert that top_k cuts as transformers does, whatever axes come before the vocabulary's."""
    from transformers.generation import TopKLogitsWarper

    rows = logits.view(-1, logits.shape[-1])
    hint = f"{logits.ndim} axes, k = {k}: each row keeps its k largest logits as they are, the others become -inf"
    check_tensor(top_k(logits.clone(), k), TopKLogitsWarper(k)(None, rows).view(logits.shape), hint)


def test_top_k_of_any_axes():
    for shape in ((7,), (2, 3, 7)):
        for k in (1, 3, 7):
            check_top_k(numbers(3, *shape), k)


def test_top_k_of_any_size():
    hint = "a k larger than the vocabulary should keep all tokens"
    got = accepted(hint, top_k, numbers(3, 2, 5), 99, errors=(ValueError, RuntimeError, IndexError))
    check_tensor(got, numbers(3, 2, 5), hint)
    check_refused("k = 0 leaves no token", top_k, numbers(3, 2, 5), 0)
    check_refused("a k below 0 would leave no token", top_k, numbers(3, 2, 5), -1)


def test_top_k_leaves_its_logits_alone():
    check_kept(top_k, numbers(3, 3, 5), 2)


# %% test="top-k-any" of="top-k" points=1
def test_top_k_any_axes_hidden():
    seed = fresh_seed()
    vocab_size = 6 + seed % 9
    for shape in ((vocab_size,), (3, vocab_size), (2, 3, vocab_size)):
        for k in (1, 2 + seed % 4, vocab_size):
            check_top_k(numbers(seed, *shape) - 3, k)
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
# Take .5 .25 .15 .1 and p = 0.6. What do the tokens before the second sum to, and those before the third? Which of these
# sums decides whether a token stays?
#
# </details>
#
# <details><summary>Hint: at the ends</summary>
#
# Sums are rounded. Near p = 1 a sum may reach 1 before the unlikeliest tokens have been added, and for a tiny p the
# computer takes 1 - p for 1. Ask of your rule which tokens it leaves at both ends.
#
# </details>

# %% exercise="top-p" difficulty=3 importance=5 minutes=25 replaces="transformers"
from solutions.generation import top_p


# %% test="top-p" points=2
def kept(logits):
    """Which tokens have a logit above -infinity: their ids."""
    assert isinstance(logits, torch.Tensor), f"the result should be a tensor, but it is {checks.called(logits)}"
    return (logits > -math.inf).nonzero()[:, -1].tolist()


def test_top_p_adds_up_probabilities():
    logits = torch.tensor([0.15, 0.5, 0.1, 0.25]).double().log()
    plain, raised = (kept(top_p(logits + more, 0.6)) for more in (0, 10))
    assert plain == raised, (
        f"at p = 0.6 these tokens stay: {plain}; and when all logits are 10 higher, these: {raised}. That changes no "
        "probability: add up probabilities, the softmax of the logits"
    )


def test_top_p_keeps_the_token_that_reaches_p():
    logits = torch.tensor([0.15, 0.5, 0.1, 0.25]).double().log()
    check_equal(
        kept(top_p(logits.clone(), 0.3)),
        [1],
        "of probabilities .15 .5 .1 .25, the likeliest alone reaches p = 0.3: token 1 stays, and no other",
        mistakes={
            "no token is left: the one with which the sum reaches p stays": [],
            "no token is cut: those that are should get the logit -inf": [0, 1, 2, 3],
            "the likeliest token is cut: begin with the likeliest": [0, 2, 3],
            "token 0 stays in place of the likeliest: the mask is still in the sorted order, not the vocabulary's": [0],
        },
    )
    check_equal(
        kept(top_p(logits.clone(), 0.6)),
        [1, 3],
        "of probabilities .15 .5 .1 .25, tokens 1 and 3 together reach p = 0.6, and they stay",
        mistakes={"0.5 alone does not reach p = 0.6: the token with which the sum reaches p is kept too": [1]},
    )
    hint = "the logits of the tokens that stay should be what they were"
    check_tensor(top_p(logits.clone(), 0.6)[[1, 3]], logits[[1, 3]], hint)


def test_top_p_stops_when_p_is_reached():
    # Probabilities of 1/4 and 1/8 and their sums are exact.
    for n in (4, 8):
        got = len(kept(top_p(torch.zeros(n).double(), 0.5)))
        assert got <= n // 2, (
            f"of {n} equally likely tokens {n // 2} reach p = 0.5 exactly, and that is enough; {got} were kept"
        )
        assert got == n // 2, f"of {n} equally likely tokens {got} do not reach p = 0.5; it takes {n // 2}"


def test_top_p_cuts_each_row_by_itself():
    rows, inf = torch.tensor([[0.15, 0.5, 0.1, 0.25], [0.06, 0.04, 0.8, 0.1]]).double().log(), math.inf
    check_tensor(
        top_p(rows.clone(), 0.6),
        rows.masked_fill(torch.tensor([[True, False, True, False], [True, True, False, True]]), -inf),
        "two rows: of .15 .5 .1 .25 tokens 1 and 3 stay at p = 0.6, of .06 .04 .8 .1 token 2 alone",
        mistakes={
            "both rows keep the tokens that the first should: cut each by itself": (
                rows.masked_fill(torch.tensor([True, False, True, False]), -inf)
            ),
            "p is reached by both rows together: cut each by itself": (
                rows.masked_fill(torch.tensor([[True, False, True, True], [True, True, False, True]]), -inf)
            ),
        },
    )
    for shape in ((9,), (4, 9), (2, 3, 9)):
        check_top_p(numbers(4, *shape, scale=2.0), 0.8)


def check_top_p(logits, p):
    """Assert that top_p cuts as transformers does, whatever axes come before the vocabulary's."""
    from transformers.generation import TopPLogitsWarper

    rows = logits.view(-1, logits.shape[-1])
    hint = (
        f"{logits.ndim} axes, p = {p}: each row keeps its likeliest tokens until they reach p, the others become -inf"
    )
    check_tensor(top_p(logits.clone(), p), TopPLogitsWarper(p)(None, rows).view(logits.shape), hint)


def test_top_p_of_any_size():
    for logits in (numbers(4, 30, 50), torch.tensor([0.0, -50.0, -45.0]).double()):
        hint = "p = 1 should keep every token, however unlikely it is"
        check_tensor(accepted(hint, top_p, logits.clone(), 1.0), logits, hint)
    for row in (numbers(4, 50), torch.zeros(4).double()):
        hint = "however small p is, a likeliest token reaches it and stays"
        got = kept(accepted(hint, top_p, row.clone(), 1e-20))
        assert len(got) == 1, f"{hint}; with p = 1e-20 only these stay: {got}"
    for p in (0.0, -0.5, 1.5):
        check_refused(f"p = {p} is no share of the probability", top_p, numbers(4, 5), p)


def test_top_p_leaves_its_logits_alone():
    check_kept(top_p, numbers(5, 3, 5), 0.5)


# %% test="top-p-any" of="top-p" points=1
def test_top_p_any_axes_hidden():
    seed = fresh_seed()
    vocab_size = 30 + seed % 9
    for shape in ((vocab_size,), (4, vocab_size), (2, 3, vocab_size)):
        for p in (0.05, 0.5, 0.9):
            check_top_p(numbers(seed, *shape, scale=2.0), p)
    check_kept(top_p, numbers(seed, 3, 5), 0.5)


# %% [markdown]
# ## One distribution
#
# A third knob bends the whole distribution and cuts nothing: the temperature. It raises the odds of any two tokens to a
# power. You need to find out what that does to their logits. Then put the three together in the order that everybody
# uses: first the temperature, then top-k, then top-p. What is cut leaves its share to the others.
#
# <details><summary>Hint: odds and logits</summary>
#
# The softmax makes probabilities in proportion to $e^{\mathrm{logit}}$. So the odds of two tokens depend on the
# difference of their logits alone. How?
#
# </details>
#
# <details><summary>Hint: which way round</summary>
#
# Two tokens whose logits are 1 apart have odds of $e$ to one. At a temperature of 0.5 they should have $e^2$ to one: how
# far apart are their logits then?
#
# </details>

# %% exercise="probabilities" difficulty=2 importance=4 minutes=15 replaces="transformers"
from solutions.generation import apply_temperature, probabilities


# %% test="temperature" of="probabilities" points=1
def check_temperature(logits, temperature):
    """Assert that the result is logits, and that their softmax is the wanted one."""
    got = apply_temperature(logits.clone(), temperature)
    assert isinstance(got, torch.Tensor) and got.shape == logits.shape, "the result should be logits of the same shape"
    is_probability = (got.sum(-1) - 1).abs().max() < 1e-6
    assert not is_probability, "each row of the result sums to 1: return logits, not probabilities"
    check_tensor(
        got.softmax(-1),
        library_probabilities(logits, temperature),
        f"temperature {temperature}: the softmax of the result should be p ** (1 / temperature), made to sum to 1",
        mistakes={
            "it works the wrong way round: a temperature below 1 should make the distribution sharper, one above 1 flatter": (
                library_probabilities(logits, 1 / temperature)
            ),
            "the temperature makes no difference to the result": logits.softmax(-1),
        },
    )


def test_temperature_raises_probabilities_to_a_power():
    for temperature in (0.5, 3.0):
        check_temperature(numbers(1, 3, 7, scale=2.0), temperature)
    for shape in ((5,), (2, 3, 5)):
        check_temperature(numbers(2, *shape), 0.7)


def test_temperature_must_be_above_0():
    check_refused("temperature 0 leaves no distribution", apply_temperature, numbers(2, 4), 0.0)
    check_refused("a temperature below 0 would prefer the worst", apply_temperature, numbers(2, 4), -1.0)


def test_temperature_leaves_its_logits_alone():
    check_kept(apply_temperature, numbers(3, 3, 5), 2.0)


# %% test="temperature-any" of="probabilities" points=1
def test_temperature_any_axes_hidden():
    seed = fresh_seed()
    temperature = 0.3 + seed % 7 / 10
    for shape in ((5,), (2, 3, 5)):
        check_temperature(numbers(seed, *shape, scale=3.0), temperature)
    check_kept(apply_temperature, numbers(seed, 3, 5), temperature)
    check_refused("a temperature below 0 would prefer the worst", apply_temperature, numbers(seed, 4), -temperature)


# %% test="probabilities" points=1
def test_probabilities_make_a_distribution():
    logits = numbers(5, 4, 12, scale=2.0)
    check_tensor(
        probabilities(logits.clone()),
        logits.softmax(-1),
        "with nothing asked for, the probabilities are the softmax of the logits",
        mistakes={
            "these are logits: the softmax is missing": logits,
            "these are the logarithms of the probabilities": logits.log_softmax(-1),
            "the softmax is taken over another axis than the vocabulary's": logits.softmax(0),
        },
    )
    got = probabilities(logits.clone(), temperature=1.5, k=6, p=0.8)
    hint = "the probabilities of each row should sum to 1: what is cut leaves its share to the others"
    check_tensor(got.sum(-1), torch.ones(4).double(), hint)


def test_probabilities_of_one_way_alone():
    for temperature, k, p in ((2.5, None, 1.0), (1.0, 3, 1.0), (1.0, None, 0.7)):
        check_probabilities(numbers(6, 5, 12, scale=2.0), temperature, k, p)


def check_probabilities(logits, temperature, k, p):
    """Assert that the distribution is that of transformers."""

    def theirs(temperature=temperature, k=k, p=p):
        return library_probabilities(logits, temperature, k, p)

    check_tensor(
        probabilities(logits.clone(), temperature, k, p),
        theirs(),
        f"temperature {temperature}, k {k}, p {p}: not the distribution that transformers draws from; take first the "
        "temperature, then top-k, then top-p of what top-k has left",
        mistakes={
            "the temperature makes no difference": lambda: theirs(temperature=1.0),
            "the value of k makes no difference": lambda: theirs(k=None),
            "the value of p makes no difference": lambda: theirs(p=1.0),
        },
    )


def test_probabilities_keep_the_order():
    # Of probabilities .6, .3, .1, temperature 2 makes .47, .33, .19: the likeliest does not reach p = 0.55 any more.
    logits, powers = torch.tensor([0.6, 0.3, 0.1]).double().log(), torch.tensor([0.6, 0.3, 0.1]).double() ** 0.5
    check_tensor(
        probabilities(logits, temperature=2.0, p=0.55),
        torch.tensor([powers[0], powers[1], 0.0]).double() / powers[:2].sum(),
        "of .6 .3 .1, made .47 .33 .19 by temperature 2, the first two stay at p = 0.55",
        mistakes={"top-p comes before the temperature, and should come after it": torch.tensor([1.0, 0, 0])},
    )
    # Of .4 .3 .2 .1, top-k leaves .57 and .43, and of these the first alone reaches p = 0.5.
    check_tensor(
        probabilities(torch.tensor([0.4, 0.3, 0.2, 0.1]).double().log(), k=2, p=0.5),
        torch.tensor([1.0, 0, 0, 0]),
        "of .4 .3 .2 .1, k = 2 leaves .57 and .43, and of these p = 0.5 leaves the first",
        mistakes={"top-p comes before top-k, and should cut what top-k has left": torch.tensor([4 / 7, 3 / 7, 0, 0])},
    )


def test_probabilities_of_any_logits():
    for shape in ((9,), (2, 3, 9)):
        got = probabilities(numbers(7, *shape), 0.7, 3, 0.9)
        assert isinstance(got, torch.Tensor) and got.shape == shape, "the result should have the shape of the logits"
    huge = torch.tensor([[1001.0, 1000.0, 0.0]]).double()
    check_tensor(probabilities(huge), huge.softmax(-1), "logits of 1,000 are too large for `exp`, not for the softmax")
    check_refused("temperature 0 leaves no distribution", probabilities, numbers(7, 9), temperature=0.0)
    check_refused("k = 0 leaves no token, and does not mean that none is cut", probabilities, numbers(7, 9), k=0)
    for p in (0.0, 2.0):
        check_refused(f"p = {p} is no share of the probability", probabilities, numbers(7, 9), p=p)
    check_kept(probabilities, numbers(7, 2, 9), 2.0, 3, 0.8)


# %% test="probabilities-any" of="probabilities" points=1
def test_probabilities_equal_those_of_transformers_hidden():
    logits = numbers(fresh_seed(), 200, 20, scale=2.0)
    for temperature, k, p in ((0.7, None, 0.9), (1.8, 5, 1.0), (1.3, 6, 0.8), (2.0, 100, 0.7)):
        check_probabilities(logits, temperature, k, p)


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


def library_likeliest(theirs, text):
    """The likeliest next token of each text, as transformers' model says."""
    return theirs(text).logits[:, -1].argmax(-1, keepdim=True)


def test_greedy_writes_like_transformers():
    theirs, prompt = random_gpt2(SMALL, 10), token_ids(11, 23, 4, 6)
    model, want = loaded(theirs, SMALL), library_text(theirs, prompt, 12, do_sample=False)
    check_tensor(
        greedy(model, prompt, 1),
        want[:, :7],
        "one token: the prompt should come back, and after it the likeliest token",
        mistakes={
            "the prompt is missing: prompt and continuation should come back together": want[:, 6:7],
            "the model read only the last token: it should read all of the prompt": lambda: torch.cat(
                [prompt, library_likeliest(theirs, prompt[:, -1:])], dim=1
            ),
            "the logits after the first token were taken: those after the last one tell what comes next": lambda: (
                torch.cat([prompt, library_likeliest(theirs, prompt[:, :1])], dim=1)
            ),
        },
    )
    check_tensor(
        greedy(model, prompt, 12),
        want,
        "each new token should be the likeliest after all tokens before it",
        mistakes={"the prompt is missing: prompt and continuation should come back together": want[:, 6:]},
    )


NARROW = GPTConfig(vocab_size=11, context=5, d_model=6, n_head=2, n_layer=1)


def check_long_prompts(way, seed, **how):
    """Assert that a way to write the likeliest reads the last tokens of prompts that are longer than the context."""
    theirs, prompt = random_gpt2(NARROW, seed), token_ids(seed + 1, 11, 40, 9)
    model = loaded(theirs, NARROW)
    hint = "a prompt longer than the context is no mistake: give the model only the last `context` tokens"
    accepted(hint, lambda: way(model, prompt, 1, **how))
    hint = "a text may grow beyond the context: each time, give the model only its last `context` tokens"
    got = accepted(hint, lambda: way(model, prompt, 7, **how))
    assert isinstance(got, torch.Tensor) and got.shape == (40, 16), (
        "a prompt longer than the context stays in the result whole: 9 tokens and 7 new ones make (40, 16)"
    )
    check_tensor(
        got[:, 9:10],
        library_likeliest(theirs, prompt[:, -5:]),
        "with a context of 5, the first new token should be the likeliest after the last 5 of the prompt's 9",
        mistakes={
            "the model read the first `context` tokens: it should read the last": library_likeliest(
                theirs, prompt[:, :5]
            ),
            "the model read one token too few: a context of 5 has room for the last 5": library_likeliest(
                theirs, prompt[:, -4:]
            ),
        },
    )
    for i in range(10, 16):
        hint = "with a context of 5, each new token should be the likeliest after the 5 before it, new ones among them"
        check_tensor(got[:, i : i + 1], library_likeliest(theirs, got[:, i - 5 : i]), hint)


def check_prompts(way, seed):
    """Assert what a way to write does with an empty prompt, when no tokens are asked for, and to its prompt."""
    model, prompt = loaded(random_gpt2(NARROW, seed), NARROW), token_ids(seed, 11, 2, 3)
    check_refused("a prompt without tokens leaves nothing to continue", way, model, prompt[:, :0], 2)
    check_tensor(way(model, prompt, 0), prompt, "no new tokens were asked for: the prompt should come back")
    check_kept(way, model, prompt, 2)


def test_greedy_reads_the_last_tokens():
    check_long_prompts(greedy, 14)


def test_greedy_of_any_prompt():
    check_prompts(greedy, 15)


# %% test="greedy-eos" of="greedy" points=1
def test_greedy_waits_for_the_others():
    # The text that ends first, by writing 19, holds a 19 in its prompt.
    theirs, eos, prompt = random_gpt2(SMALL, 67), 19, token_ids(13, 23, 30, 4)[:2]
    prompt[1, 1] = eos
    free = library_text(theirs, prompt, 12, do_sample=False)
    want = library_text(theirs, prompt, 12, do_sample=False, eos_token_id=eos, pad_token_id=eos)
    first = 5 + (free[:, 4:] == eos).any(0).long().argmax()
    prompt_ends = want.clone()
    prompt_ends[1, 4:] = eos
    check_tensor(
        greedy(loaded(theirs, SMALL), prompt, 12, eos=eos),
        want,
        "a text that has written eos is filled with eos until all have ended",
        mistakes={
            "eos changes nothing: these are the texts without it": free,
            "a text that has written eos goes on: it should be filled with eos": free[:, : want.shape[1]],
            "all texts stop as soon as one has written eos: the others should go on": want[:, :first],
            "the texts are right and then filled with eos to the end: stop as soon as all have ended": (
                F.pad(want, (0, 16 - want.shape[1]), value=eos)
            ),
            "a text whose prompt holds eos counts as ended: only an eos that was written ends a text": prompt_ends,
        },
    )


def test_greedy_ends():
    # A model that writes the same token whatever it has read.
    for eos, logits in ((3, [0.0, 1.0, 0.5, 2.0]), (0, [2.0, 1.0, 0.5, 0.0])):
        got = greedy(model_of(torch.tensor(logits).double()), torch.tensor([[3, 0], [1, 2]]), 5, eos=eos)
        want = torch.tensor([[3, 0, eos], [1, 2, eos]])
        check_tensor(
            got,
            want,
            f"both texts write eos, token {eos}, at once and the work should stop there",
            mistakes={
                "token 0 may be eos too: only None means that there is none": torch.tensor(
                    [[3] + [0] * 6, [1, 2] + [0] * 5]
                )
            },
        )


# %% test="greedy-long" of="greedy" points=1
def test_greedy_ends_as_in_transformers_hidden():
    seed = fresh_seed()
    # Many models write one token again and again, as if filling: in one of three it shows that an ended text goes on.
    for i in range(20):
        theirs, prompt = random_gpt2(SMALL, seed + i), token_ids(seed + i, 23, 5, 4)
        eos = library_text(theirs, prompt, 12, do_sample=False)[i % 5, 6 + i % 6].item()
        prompt[(i + 1) % 5, 1] = eos
        want = library_text(theirs, prompt, 12, do_sample=False, eos_token_id=eos, pad_token_id=eos)
        hint = "a text that has written eos is filled with eos until all have ended"
        check_tensor(greedy(loaded(theirs, SMALL), prompt, 12, eos=eos), want, hint)
    for eos in (0, 1 + seed % 8):
        logits = F.one_hot(torch.tensor(eos), 9).double()
        want = torch.tensor([[1, 2, eos], [3, 4, eos]])
        hint = "both texts write eos at once, and the work should stop there"
        check_tensor(greedy(model_of(logits), want[:, :2], 5, eos=eos), want, hint)


def test_greedy_of_any_prompt_hidden():
    for i in range(4):  # a small model may write the same whatever it has read
        check_long_prompts(greedy, fresh_seed() + i)
    check_prompts(greedy, fresh_seed())


# %% [markdown]
# ## Drawing
#
# Sampling draws each token from your `probabilities`. `torch.multinomial` draws; a `torch.Generator` with the caller's
# seed makes the draw repeatable and leaves torch's own random numbers alone.

# %% exercise="sample" difficulty=2 importance=5 minutes=15 replaces="transformers"
from solutions.generation import sample


# %% test="sample" points=2
def test_sample_with_one_candidate_is_greedy():
    theirs, prompt = random_gpt2(SMALL, 22), token_ids(23, 23, 3, 5)
    model, want = loaded(theirs, SMALL), library_text(theirs, prompt, 10, do_sample=False)
    got = sample(model, prompt, 10, 1.0, k=1, seed=3)
    check_tensor(
        got,
        want,
        "k = 1 should leave only the likeliest token, given all tokens before it",
        mistakes={
            "the prompt is missing: prompt and continuation should come back together": want[:, 5:],
            "all texts of a batch get the token of the first: each draws its own": torch.cat(
                [prompt, want[:1, 5:].expand(3, 10)], dim=1
            ),
        },
    )
    hint = "p = 0.000001 should leave only the likeliest token, given all tokens before it"
    check_tensor(sample(model, prompt, 10, 1.0, p=1e-6, seed=3), want, hint)


def check_seed(way, model, prompt):
    """Assert that the seed makes the text, and torch's own random numbers have no part in it."""
    first = probes.seeded(1, way, model, prompt, 12, 2.0, None, 1.0, 9)
    again = probes.seeded(2, way, model, prompt, 12, 2.0, None, 1.0, 9)
    check_tensor(again, first, "the same seed gave another text: draw from a generator with this seed")
    zero, again = (probes.seeded(state, way, model, prompt, 12, 2.0, None, 1.0, 0) for state in (1, 2))
    check_tensor(again, zero, "seed 9 makes its text again, and seed 0 does not: 0 is a seed like any other")
    assert not torch.equal(first, way(model, prompt, 12, k=1)), "at temperature 2 these are still the likeliest tokens"
    others = [way(model, prompt, 12, 2.0, seed=seed) for seed in range(4)]
    assert not all(torch.equal(first, other) for other in others), "four other seeds all gave the same text"
    untouched = torch.rand(4, generator=torch.Generator().manual_seed(7))
    left = probes.drawn_after(7, way, model, prompt, 2, 2.0, None, 1.0, 9)
    assert torch.equal(left, untouched), "torch's global random state was changed: seed a generator of your own"


def check_draws_anew(way, seed):
    """Assert that each token of each text is a draw of its own."""
    drawn = way(model_of(torch.zeros(12).double(), context=14), torch.zeros(40, 1, dtype=torch.long), 12, seed=seed)[
        :, 1:
    ]
    in_rows = min(len(set(row)) for row in drawn.tolist())
    assert in_rows > 3, "equally likely tokens come again and again within a text: make the generator once"
    in_columns = min(len(set(column)) for column in drawn.T.tolist())
    assert in_columns > 3, "all texts of a batch get the same token: each draws its own"


def check_drawn(way, seed, temperature, k, p):
    """Assert that a way to write draws tokens with the probabilities of transformers."""
    order = torch.randperm(12, generator=torch.Generator().manual_seed(seed))
    logits = torch.linspace(0, 4, 12, dtype=torch.float64)[order]
    model, prompt = model_of(logits, context=9), torch.zeros(500, 1, dtype=torch.long)
    hint = "1 token and 8 new ones fill a context of 9, and should fit"
    drawn = accepted(hint, way, model, prompt, 8, temperature, k, p, seed=seed)
    assert isinstance(drawn, torch.Tensor) and drawn.shape == (500, 9), "1 token and 8 new ones make (500, 9)"

    def wanted(temperature=temperature, k=k, p=p):
        return library_probabilities(logits[None], temperature, k, p)[0]

    what = f"with temperature {temperature}, k {k}, p {p}"
    check_tensor(
        drawn[:, 1:].flatten().bincount(minlength=12) / 4000,
        wanted(),
        f"{what} the shares of 4,000 drawn tokens are too far from their probabilities",
        tolerance=0.04,  # five standard deviations of the share that varies most
        mistakes={
            "tokens are drawn as if the temperature were 1": lambda: wanted(temperature=1.0),
            "tokens are drawn as if the temperature were its inverse": lambda: wanted(temperature=1 / temperature),
            "tokens are drawn as if k were None": lambda: wanted(k=None),
            "tokens are drawn as if p were 1": lambda: wanted(p=1.0),
        },
    )
    assert not (wanted()[drawn[:, 1:]] == 0).any(), f"{what} a token was drawn that is to be cut"


WAYS_TO_DRAW = ((1.0, None, 1.0), (0.5, None, 1.0), (3.0, None, 1.0), (3.0, 4, 1.0), (2.0, None, 0.6))


def test_sample_follows_its_seed():
    check_seed(sample, loaded(random_gpt2(SMALL, 20), SMALL), token_ids(21, 23, 2, 3))


def test_sample_draws_each_token_anew():
    check_draws_anew(sample, 24)


def test_sample_draws_from_the_probabilities():
    for temperature, k, p in WAYS_TO_DRAW:
        check_drawn(sample, 25, temperature, k, p)


def test_sample_reads_the_last_tokens():
    check_long_prompts(sample, 26, k=1)


def test_sample_of_any_prompt():
    check_prompts(sample, 27)
    model, prompt = model_of(torch.zeros(4).double()), torch.zeros(1, 1, dtype=torch.long)
    check_refused("temperature 0 leaves no distribution", sample, model, prompt, 2, 0.0)


# %% test="sample-any" of="sample" points=2
def test_sample_draws_each_token_anew_hidden():
    check_seed(sample, loaded(random_gpt2(SMALL, fresh_seed()), SMALL), token_ids(fresh_seed(), 23, 2, 3))
    check_draws_anew(sample, fresh_seed())


def test_sample_draws_from_the_probabilities_hidden():
    for temperature, k, p in WAYS_TO_DRAW:
        check_drawn(sample, fresh_seed(), temperature, k, p)


def test_sample_of_any_prompt_hidden():
    for i in range(4):
        check_long_prompts(sample, fresh_seed() + i, k=1)
    check_prompts(sample, fresh_seed())


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
    ids = torch.tensor([[1, 2, 1, 2, 3], [3, 3, 3, 3, 3], [1, 2, 3, 4, 5]])
    # Pairs of the first text: 12 21 12 23, of which the third stood there before.
    check_tensor(
        rep_n(ids, 2),
        torch.tensor([0.25, 0.75, 0.0]).double(),
        "of the pairs 12 21 12 23 a quarter stood there before; of 33 33 33 33 three quarters; of 12 23 34 45 none",
        mistakes={
            "pairs that occur more than once are all counted, the first time too: that repeats nothing yet": (
                torch.tensor([0.5, 1.0, 0.0])
            ),
            "these are the pairs that repeat over the different pairs, each counted once: count every time that a pair "
            "comes again, and divide by the number of all pairs": torch.tensor([1 / 3, 1.0, 0.0]),
            "a pair that comes again is counted once, however often it comes: count each time": (
                torch.tensor([0.25, 0.25, 0.0])
            ),
            "this is the number of repeated pairs over that of tokens: divide by the number of pairs": (
                torch.tensor([0.2, 0.6, 0.0])
            ),
            "this is the number of repeated pairs: divide by the number of pairs": torch.tensor([1.0, 3.0, 0.0]),
            "every second pair is left out: pairs overlap, 12 21 12 23": torch.tensor([0.5, 0.5, 0.0]),
            "this is the share of different pairs: rep_n is that of repeats": torch.tensor([0.75, 0.25, 1.0]),
            "each pair is compared with the one before it alone: compare it with all before": (
                torch.tensor([0.0, 0.75, 0.0])
            ),
            "pairs of other texts count: each text is looked at alone": torch.tensor([0.25, 0.75, 0.5]),
            "12 and 21 are taken for the same pair: the order of tokens counts": torch.tensor([0.5, 0.75, 0.0]),
        },
    )
    check_tensor(rep_n(ids, 5), torch.zeros(3).double(), "a text of 5 tokens has one 5-gram, and that repeats nothing")
    check_tensor(rep_n(ids, 1), torch.tensor([0.4, 0.8, 0.0]), "of 1 2 1 2 3 two tokens stood there before; n is 1")


def test_rep_n_remembers_everything():
    text = torch.tensor([[*range(200), 0, 1]])
    check_tensor(rep_n(text, 2), torch.tensor([1 / 201]), "a pair that comes back after 200 tokens is a repeat too")


def number(value):
    """A number that may come in a tensor."""
    return value.item() if isinstance(value, torch.Tensor) and value.numel() == 1 else value


def test_distinct_n_of_known_texts():
    ids = torch.tensor([[1, 2, 1, 2, 1, 3], [3, 3, 3, 3, 3, 3], [1, 2, 3, 4, 5, 6]])
    check_number(
        number(distinct_n(ids, 2)),
        8 / 15,
        "the texts have 15 pairs and these different ones: 12 21 13 33 23 34 45 56",
        relative=1e-6,
        mistakes={
            "the texts are joined into one: no pair reaches from the end of one into the next": 9 / 17,
            "this is the mean of the texts' own shares: count in all texts together": 9 / 15,
            "every second pair is left out: pairs overlap, 12 21 12 21": 5 / 9,
            "this is a number of pairs: divide it by that of all pairs": 8.0,
            "this is the number of different pairs over that of tokens: divide by the number of pairs": 8 / 18,
            "this is the share of pairs that are repeats: distinct_n is that of different ones": 7 / 15,
        },
    )
    hint = "three texts of 6 tokens have one 6-gram each, all different"
    check_number(number(distinct_n(ids, 6)), 1.0, hint, relative=1e-6)
    check_number(number(distinct_n(ids, 1)), 6 / 18, "6 of 18 tokens are different; n is 1", relative=1e-6)


def test_n_must_fit_the_texts():
    ids = token_ids(28, 9, 3, 5)
    for n, hint in ((0, "with n = 0 there are no n-grams"), (6, "texts of 5 tokens have no 6-grams")):
        check_refused(f"rep_n: {hint}", rep_n, ids, n)
        check_refused(f"distinct_n: {hint}", distinct_n, ids, n)


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
        hint = f"{n}-grams: not the number of different ones in all texts over that of all"
        grams = [tuple(text[i : i + n]) for text in ids.tolist() for i in range(9 - n)]
        check_number(number(distinct_n(ids, n)), len(set(grams)) / len(grams), hint, relative=1e-6)
    check_refused("9-grams of texts of 8 tokens", distinct_n, ids, 9)


# %% [markdown]
# ## Repeats, forbidden
#
# Two common remedies act on the logits. One makes every token that has been used less likely; the other forbids completing
# an n-gram a second time. Both are blunt: they know nothing of meaning, and a text has good reasons to say "the" twice.

# %% exercise="penalize-repeats" difficulty=2 importance=2 minutes=15 replaces="transformers"
from solutions.generation import penalize_repeats


# %% test="penalize-repeats" points=1
def test_penalty_lowers_what_was_used():
    logits, used = torch.tensor([[2.0, -2.0, 0.5, -0.5, 1.0, -1.0]]).double(), torch.tensor([[0, 1, 2, 3]])
    check_tensor(
        penalize_repeats(logits.clone(), used, 2.0),
        torch.tensor([[1.0, -4.0, 0.25, -1.0, 1.0, -1.0]]),
        "used tokens 0 to 3 at penalty 2: a positive logit is halved, a negative one doubled, the others stay",
        mistakes={
            "negative logits are divided too, which makes them likelier": (
                torch.tensor([[1.0, -1.0, 0.25, -0.25, 1.0, -1.0]])
            ),
            "positive logits are multiplied too, which makes them likelier": (
                torch.tensor([[4.0, -4.0, 1.0, -1.0, 1.0, -1.0]])
            ),
            "used tokens become likelier: a penalty above 1 should make them less likely": (
                torch.tensor([[4.0, -1.0, 1.0, -0.25, 1.0, -1.0]])
            ),
            "the penalty is subtracted: it should divide or multiply": torch.tensor([[0.0, -4, -1.5, -2.5, 1, -1]]),
            "tokens that were not used are penalised too": torch.tensor([[1.0, -4.0, 0.25, -1.0, 0.5, -2.0]]),
        },
    )


def test_penalty_comes_once():
    logits = torch.tensor([[2.0, -2.0, 1.0, -1.0]]).double()
    check_tensor(
        penalize_repeats(logits.clone(), torch.tensor([[0, 1, 0, 0]]), 2.0),
        torch.tensor([[1.0, -4.0, 1.0, -1.0]]),
        "token 0 was used three times and token 1 once: both are penalised once",
        mistakes={
            "token 0 was used three times, and is penalised three times": torch.tensor([[0.25, -4.0, 1.0, -1.0]])
        },
    )


def test_penalty_of_a_batch():
    logits = torch.tensor([[2.0, 2.0, 2.0], [2.0, 2.0, 2.0]]).double()
    check_tensor(
        penalize_repeats(logits.clone(), torch.tensor([[0, 0], [1, 1]]), 2.0),
        torch.tensor([[1.0, 2.0, 2.0], [2.0, 1.0, 2.0]]),
        "the first text has used token 0, the second token 1",
        mistakes={
            "a token that one text has used is penalised in all of them: each row has its own text": (
                torch.tensor([[1.0, 1.0, 2.0], [1.0, 1.0, 2.0]])
            ),
            "every row is penalised for the first text's tokens": torch.tensor([[1.0, 2.0, 2.0], [1.0, 2.0, 2.0]]),
        },
    )
    for penalty in (0.5, 1.0, 1.7):
        check_penalty(29, penalty)


def check_penalty(seed, penalty):
    """Assert that the result is what transformers makes of a penalty."""
    from transformers.generation import RepetitionPenaltyLogitsProcessor

    logits, ids = numbers(seed, 6, 13, scale=2.0), token_ids(seed, 13, 6, 8)
    want = RepetitionPenaltyLogitsProcessor(penalty)(ids, logits.clone())
    hint = f"not what transformers makes of penalty {penalty}: each row is penalised for its own tokens, once"
    allowed = f"a penalty of {penalty} is allowed: only 0 and what is below should be refused"
    check_tensor(accepted(allowed, penalize_repeats, logits.clone(), ids, penalty), want, hint)


def test_penalty_leaves_its_logits_alone():
    check_kept(penalize_repeats, numbers(30, 2, 5), token_ids(31, 5, 2, 3), 2.0)


def test_penalty_must_be_above_0():
    check_refused("a penalty of 0 cannot divide", penalize_repeats, numbers(30, 2, 5), token_ids(31, 5, 2, 3), 0.0)
    check_refused("a penalty below 0 changes signs", penalize_repeats, numbers(30, 2, 5), token_ids(31, 5, 2, 3), -1.0)


# %% test="penalize-repeats-any" of="penalize-repeats" points=1
def test_penalty_equals_that_of_transformers_hidden():
    seed = fresh_seed()
    for penalty in (0.5, 1.7):
        check_penalty(seed, penalty)
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
    check_equal(
        forbidden([4, 5, 1, 3, 5, 2, 4, 5], 3),
        [1],
        "4 5 was followed by 1 before: forbid 1, so that 4 5 1 does not come again",
        mistakes={
            "nothing is forbidden, though 4 5 was followed by 1 before: compare the last two tokens, as n is 3": [],
            "what followed 5 is forbidden: with n = 3 only what followed 4 5": [1, 2],
            "every token of the text is forbidden: with n = 3 only what followed 4 5": [1, 2, 3, 4, 5],
        },
    )
    check_equal(
        forbidden([4, 5, 1, 4, 5, 2, 4, 5], 3),
        [1, 2],
        "4 5 was followed by 1, and later by 2: forbid both",
        mistakes={
            "4 5 was followed by 1, and later by 2: only the first is forbidden": [1],
            "4 5 was followed by 1, and later by 2: only the last is forbidden": [2],
        },
    )
    check_equal(forbidden([4, 5, 1, 5, 4], 3), [], "nothing has followed 5 4 before: forbid nothing")
    check_equal(forbidden([4, 4, 4], 3), [4], "4 4 was followed by 4, at the very end of the text: forbid 4")


def test_no_token_comes_twice():
    check_equal(forbidden([4, 5, 1, 4], 1), [1, 4, 5], "n = 1 forbids every token that stands in the text: 1, 4 and 5")
    for n, what in ((3, "trigram"), (2, "pair")):
        hint = f"a text of one token holds no {what}: forbid nothing"
        check_equal(accepted(hint, forbidden, [4], n), [], hint)


def test_forbidden_in_a_batch():
    logits, inf = torch.tensor([[1.0, -2.0, 3.0], [4.0, -5.0, 6.0]]).double(), math.inf
    check_tensor(
        forbid_repeats(logits.clone(), torch.tensor([[0, 1, 0], [1, 2, 1]]), 2),
        torch.tensor([[1, -inf, 3], [4, -5, -inf]]),
        "in the first text 0 was followed by 1, in the second 1 by 2; all other logits stay as they are",
        mistakes={
            "what one text forbids is forbidden in all: each row has its own text": (
                torch.tensor([[1, -inf, -inf], [4, -inf, -inf]])
            ),
            "what the first text forbids is forbidden in both rows": torch.tensor([[1, -inf, 3], [4, -inf, 6]]),
            "n-grams of one text are forbidden in the other: each row has its own text": (
                torch.tensor([[1, -inf, 3], [-inf, -5, -inf]])
            ),
        },
    )
    for n in (1, 2, 3, 4):
        check_forbidden(32, n)


def check_forbidden(seed, n):
    """Assert that transformers forbids the same tokens."""
    from transformers.generation import NoRepeatNGramLogitsProcessor

    logits, ids = numbers(seed, 12, 3), token_ids(seed, 3, 12, 9 + seed % 5)
    want = NoRepeatNGramLogitsProcessor(n)(ids, logits.clone())
    hint = f"not the tokens that transformers forbids for n = {n}: each row by its own text, all else as it was"
    check_tensor(forbid_repeats(logits.clone(), ids, n), want, hint)


def test_forbidding_leaves_its_logits_alone():
    check_kept(forbid_repeats, numbers(33, 2, 3), token_ids(33, 3, 2, 8), 2)


def test_n_must_be_1_or_more():
    for n in (0, -1):
        check_refused(
            f"n = {n}: there are no such n-grams", forbid_repeats, numbers(34, 2, 3), token_ids(34, 3, 2, 8), n
        )


# %% test="forbid-repeats-any" of="forbid-repeats" points=1
def test_forbidden_tokens_equal_those_of_transformers_hidden():
    seed = fresh_seed()
    for n in (1, 2, 3, 4):
        check_forbidden(seed, n)
    logits, ids = numbers(seed, 2, 3), token_ids(seed, 3, 2, 8)
    check_kept(forbid_repeats, logits, ids, 2)
    check_refused("with n = 0 there is no n-gram to forbid", forbid_repeats, logits, ids, 0)


# %% [markdown]
# ## The likeliest text
#
# The likeliest first token need not begin the likeliest text. Beam search keeps several beginnings alive and compares them
# by the probability of all their tokens together: the sum of log-probabilities.
#
# A text that has ended cannot grow, and each further token makes the others less probable. So finished texts are put aside
# and compared by their mean log-probability a token (`length_penalty` 1), or with another power of the length.
#
# Before you write it, follow it by hand. The next cells draw everything that a very small model can write: it knows the
# tokens `a`, `b` and the full stop, which ends a text, and looks at nothing but the last token.


# %% given="tree"
@dataclass(eq=False, repr=False)
class Tree:
    """A model of three tokens, `a`, `b` and a full stop (0, 1 and 2): `rows[i][j]` is the probability of j after i."""

    rows: list

    config = GPTConfig(vocab_size=3, context=8, d_model=2, n_head=1, n_layer=1)

    def __call__(self, ids):
        """Logits of what comes next at each position: the logarithms of its probabilities."""
        return torch.tensor(self.rows, dtype=torch.float64).log()[ids]


SMALL_TREE = Tree([[0.45, 0.35, 0.2], [0.1, 0.05, 0.85], [0.5, 0.4, 0.1]])
STOP = 2  # the full stop; a text of the tree begins after one

# %% run
if __name__ == "__main__":
    import matplotlib.pyplot as plt

    def draw_tree(depth=3, found=()):
        """Every text of up to `depth` tokens, with its probability; the texts `found`, `{words: tokens}`, in colour."""
        _, axes = plt.subplots(figsize=(8, 5))
        colours = {}
        for i, text in enumerate(dict(found).values()):
            for n in range(1, len(text) + 1):
                colours.setdefault(tuple(text[:n]), []).append(f"C{i}")
        row = 0

        def branch(text, chance):
            """Draw what follows a text; returns the height at which the text itself stands."""
            nonlocal row
            if len(text) == depth or text[-1:] == (STOP,):
                row -= 1
                axes.text(len(text) + 0.12, row, f"{chance:.3f}", va="center", fontsize=8)
                return row
            heights = []
            for token, p in enumerate(SMALL_TREE.rows[text[-1] if text else STOP]):
                heights.append(branch((*text, token), chance * p))
            middle = sum(heights) / 3
            for token, (height, p) in enumerate(zip(heights, SMALL_TREE.rows[text[-1] if text else STOP], strict=True)):
                shades = colours.get((*text, token), ["lightgrey"])
                for i, colour in enumerate(shades):  # texts that begin alike run side by side
                    shift = 0.2 * (i - (len(shades) - 1) / 2)
                    axes.plot([len(text), len(text) + 1], [middle + shift, height + shift], color=colour, zorder=1)
                axes.text(len(text) + 0.55, (middle + height) / 2, f"{p:g}", fontsize=8, ha="center", color="dimgrey")
                style = {"boxstyle": "circle", "facecolor": "white", "edgecolor": shades[0]}
                axes.text(len(text) + 1, height, "ab."[token], ha="center", va="center", bbox=style, fontsize=9)
            return middle

        branch((), 1.0)
        for i, words in enumerate(found):
            axes.plot([], [], color=f"C{i}", label=words)
        axes.set(xticks=range(depth + 1), xlabel="tokens written", yticks=[], xlim=(-0.1, depth + 0.5))
        axes.set_title("All that the small model can write, and how probable each text is", fontsize=10)
        if found:
            axes.legend(loc="upper left", fontsize=8)
        plt.show()

    draw_tree()

# %% [markdown]
# Every line is a token with its probability; at the right stands the probability of the whole text. The task of
# `beam_search`, in the cell after your guesses, says how the search goes. Read it first, and follow it in the picture with
# two beams and three steps; the full stop is `eos`. Which candidates are there after the
# first step, which after the second, and which of them are finished? Then write down what you expect.

# %% run
if __name__ == "__main__":
    predicted_greedy = None  # the text that greedy writes, in three tokens, such as "bb."
    predicted_beams = None  # the text that two beams find with length penalty 1
    predicted_long = None  # and with length penalty 3, which favours long texts

# %% [markdown]
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

# %% exercise="beam-search" difficulty=5 importance=3 minutes=50 replaces="transformers"
from solutions.generation import beam_search


# %% test="beam-search" points=2
def searched(*args):
    """The text and the score that `beam_search` returns."""
    result = beam_search(*args)
    assert isinstance(result, tuple | list) and len(result) == 2, (
        f"the result should be two things, the text and its score, but it is {checks.called(result)}"
    )
    text, score = result
    assert isinstance(text, torch.Tensor) and text.ndim == 1, (
        f"the text should be a tensor with one axis, but it is {checks.called(text)}"
    )
    return text, float(score)


def constant_model(*probabilities):
    """A model that gives the tokens 0, 1, 2 ... these probabilities whatever it has read; its logits are 1 too high."""
    return model_of(torch.tensor(probabilities).double().log() + 1)


def test_score_of_a_text():
    model, prompt, ln = constant_model(0.5, 0.3, 0.2), torch.tensor([1, 2]), math.log(0.5)
    text, score = searched(model, prompt, 3, 2, None, 1.0)
    check_tensor(
        text,
        torch.tensor([1, 2, 0, 0, 0]),
        "three times the likeliest token, 0, should follow the prompt 1 2",
        mistakes={"the prompt is missing: prompt and continuation should come back together": torch.tensor([0, 0, 0])},
    )
    close = partial(check_number, relative=1e-4)
    close(
        score,
        ln,
        "three tokens of probability 0.5, length penalty 1: the score is the mean of ln 0.5, ln 0.5 and ln 0.5",
        mistakes={
            "logits are added up, and log-probabilities should be": ln + 1,
            "the last token alone is scored: add up the log-probabilities of all new tokens": ln / 3,
            "the sum is not divided: length penalty 1 makes the score a mean over the new tokens": 3 * ln,
            "the prompt's tokens are counted too: divide by the number of new ones": 3 * ln / 5,
            "this is a probability: the score is made of logarithms": 0.5,
        },
    )
    close(
        searched(model, prompt, 3, 2, None, 0.0)[1],
        3 * ln,
        "three tokens of probability 0.5, length penalty 0: the score is the sum of ln 0.5, ln 0.5 and ln 0.5",
        mistakes={"this is ln 0.5 and not three times that: length penalty 0 leaves the sum as it is": ln},
    )
    close(
        searched(model, prompt, 3, 2, None, 2.0)[1],
        3 * ln / 9,
        "three tokens of probability 0.5, length penalty 2: the sum, divided by 3 to the power 2",
        mistakes={"the length is multiplied by the length penalty: it should be raised to that power": 3 * ln / 6},
    )


def check_tree(want, hint, n_tokens, eos, length_penalty, *, mistakes=checks.NONE):
    """Assert which text, in letters, two beams find in the tree that is drawn above."""

    def ids(letters):
        return torch.tensor([STOP, *map("ab.".index, letters)])

    found, _ = searched(SMALL_TREE, ids(""), n_tokens, 2, eos, length_penalty)
    check_tensor(found, ids(want), hint, mistakes={words: ids(letters) for words, letters in mistakes.items()})


def test_beams_on_the_tree():
    check_tree(
        "b.",
        "in the tree, two beams and two tokens, no eos: `b.` (.34) is more probable than `aa` (.225)",
        2,
        None,
        0.0,
        mistakes={
            "this is what greedy writes: either one beginning alone is kept, or the beams are copies of one; at first "
            "there is one beam, the prompt, and then there are the two likeliest of all candidates": "aa"
        },
    )


def check_search(theirs, model, prompts, n_tokens, width, eos, length_penalty):
    """Assert that beam_search finds what transformers does for each prompt."""
    texts, scores = library_beams(theirs, prompts, n_tokens, width, eos, length_penalty)
    what = f"{width} beams, {n_tokens} tokens, eos {eos}, length penalty {length_penalty}"
    for prompt, text, score in zip(prompts, texts, scores, strict=True):
        found, own_score = searched(model, prompt, n_tokens, width, eos, length_penalty)
        check_tensor(found, torch.tensor(text), f"{what}: transformers finds another text than this")
        rule = "the sum of the new tokens' log-probabilities, over their number to the power length_penalty"
        check_tensor(
            torch.tensor(own_score), torch.tensor(score), f"{what}: the score should be {rule}", tolerance=1e-4
        )


def test_beams_find_what_transformers_finds():
    theirs, prompts = random_gpt2(SMALL, 30), token_ids(31, 23, 6, 4)
    model = loaded(theirs, SMALL)
    check_search(theirs, model, prompts, 1, 3, None, 0.0)
    check_search(theirs, model, prompts, 8, 3, None, 1.0)


def test_enough_beams_find_the_likeliest_text():
    config = GPTConfig(vocab_size=4, context=8, d_model=6, n_head=2, n_layer=1)
    model = loaded(random_gpt2(config, 32), config)
    every = torch.cartesian_prod(*[torch.arange(4)] * 3)
    texts = torch.cat([torch.tensor([[3, 1]]).expand(64, 2), every], dim=1)
    total = model(texts).log_softmax(-1)[:, 1:-1].gather(-1, every[..., None]).sum((1, 2))
    found, score = searched(model, torch.tensor([3, 1]), 3, 16, None, 0.0)
    hint = "16 beams are all texts of 2 tokens, so the likeliest of 3 should be found"
    check_tensor(found, texts[total.argmax()], hint)
    check_number(score, total.max().item(), "length penalty 0: the score is ln p of the new tokens", relative=1e-4)


# %% test="beam-search-eos" of="beam-search" points=2
def check_new(got, want, hint, *, mistakes=checks.NONE):
    """Assert that a text is the prompt 1 1 and then the wanted new tokens."""
    check_tensor(got[:2], torch.tensor([1, 1]), "the text should begin with the prompt")
    check_equal(got[2:].tolist(), want, hint, mistakes=mistakes)


def check_score_of_three(score):
    """Assert that this is the score of the new tokens 0 0 2, of probabilities .33 .33 .5, at length penalty 3."""
    total = 2 * math.log(0.33) + math.log(0.5)
    check_number(
        score,
        total / 27,
        "the new tokens 0 0 2 have the probabilities .33 .33 .5: at length penalty 3 divide by 3 to the power 3",
        relative=1e-4,
        mistakes={"eos is not counted in the length of the text": total / 8},
    )


def test_score_where_no_text_may_end():
    total = 3 * math.log(0.5)
    check_number(
        searched(constant_model(0.33, 0.17, 0.5), torch.tensor([1, 1]), 3, 2, None, 3.0)[1],
        total / 27,
        "no eos: three tokens of probability 0.5 have the summed log-probability, divided by 3 to the power 3, the "
        "length penalty",
        relative=1e-4,
        mistakes={
            "logits are added up, and log-probabilities should be": (total + 3) / 27,
            "the sum is not divided by the number of new tokens to the power length_penalty": total,
            "this is the mean, which length penalty 1 makes: here the length penalty is 3": total / 3,
        },
    )


def test_a_long_text_may_beat_those_that_ended():
    # Three steps, two beams; eos is 2, the likeliest token. With length penalty 3 a long text scores best.
    text, score = searched(constant_model(0.33, 0.17, 0.5), torch.tensor([1, 1]), 3, 2, 2, 3.0)
    check_new(
        text,
        [0, 0, 2],
        "with length penalty 3, of the texts 2, 0 2, 1 2, 0 0 2 and 0 0 0 that are finished 0 0 2 scores best",
        mistakes={
            "the search stops at the first text that ends: the others should go on, they may score better": [2],
            "0 2 ended, and 0 0 did not go on beside it: it should, and the search should not stop as soon as `width` "
            "texts have ended": [0, 2],
            "a text goes on after its eos, 2": [2, 2, 2],
            "0 0 2 scores better than 0 0 0: it should be among the finished texts, with a length of 3": [0, 0, 0],
            "the eos, 2, is missing at the end of the text": [0, 0],
        },
    )
    check_score_of_three(score)


def test_one_beam_goes_on_beside_a_text_that_ends():
    # The likeliest candidate always ends, the second likeliest goes on.
    text, score = searched(constant_model(0.33, 0.17, 0.5), torch.tensor([1, 1]), 3, 1, 2, 3.0)
    check_new(
        text,
        [0, 0, 2],
        "one beam: the texts 2, 0 2 and 0 0 2 are finished, and with length penalty 3 the last scores best",
        mistakes={"the only beam ended, and nothing is left to go on: take 2 * width candidates": [2]},
    )
    check_score_of_three(score)


def test_an_unlikely_end_is_given_up():
    # One beam; eos, 2, is always the second likeliest candidate.
    check_new(
        searched(constant_model(0.5, 0.2, 0.3), torch.tensor([1, 1]), 3, 1, 2, 0.0)[0],
        [0, 0, 0],
        "one beam: eos, 2, is never the likeliest candidate, so no text ends before the last step",
        mistakes={"eos is finished though it is not among the first `width` candidates: it should be given up": [2]},
    )
    # Here it is token 0, the likeliest of all.
    check_new(
        searched(constant_model(0.5, 0.3, 0.2), torch.tensor([1, 1]), 3, 2, 0, 0.0)[0],
        [0],
        "eos is token 0, the likeliest: with length penalty 0 the text that ends at once scores best",
        mistakes={"token 0 may be eos too: only None means that there is none": [0, 0, 0]},
    )


def test_beams_that_end_on_the_tree():
    finished = "in the tree, two beams and three tokens finish `b.` (.34), `ab.` (.149) and `aaa` (.101)"
    check_tree("b.", f"{finished}: with length penalty 1 the mean of `b.` is the best", 3, STOP, 1.0)
    check_tree("ab.", f"{finished}: with length penalty 3 `ab.` scores best", 3, STOP, 3.0)


def test_beams_that_end():
    theirs, prompts = random_gpt2(SMALL, 40), token_ids(41, 23, 4, 4)
    model = loaded(theirs, SMALL)
    for eos, length_penalty in ((17, 1.0), (12, 0.0), (11, 2.0)):
        check_search(theirs, model, prompts, 8, 3, eos, length_penalty)


def test_beams_that_end_anywhere_hidden():
    seed = fresh_seed()
    config = GPTConfig(vocab_size=7, context=16, d_model=8, n_head=2, n_layer=1)
    theirs, prompts = random_gpt2(config, seed), token_ids(seed, 7, 5, 3)
    with torch.no_grad():
        theirs.transformer.wte.weight.mul_(0.5)  # less sure of itself, so that more beams are close
    model = loaded(theirs, config)
    for eos, width, length_penalty in ((1, 2, 1.0), (3, 4, 0.6), (5, 3, 0.0)):
        check_search(theirs, model, prompts, 7, width, eos, length_penalty)


# %% test="beam-search-long" of="beam-search" points=1
def check_long_search(seed):
    """Assert that beam_search reads the last tokens of prompts that are longer than the context."""
    theirs, prompts = random_gpt2(NARROW, seed), token_ids(seed + 1, 11, 20, 9)
    model = loaded(theirs, NARROW)
    hint = "a prompt longer than the context is no mistake: give the model only the last `context` tokens"
    texts = [accepted(hint, searched, model, prompt, 1, 2)[0] for prompt in prompts]
    assert {len(text) for text in texts} == {10}, "a prompt longer than the context stays in the result whole"
    check_tensor(
        torch.stack(texts)[:, 9:],
        library_likeliest(theirs, prompts[:, -5:]),
        "with a context of 5, the one new token should be the likeliest after the last 5 of 9",
        mistakes={
            "the model read the first `context` tokens: it should read the last": library_likeliest(
                theirs, prompts[:, :5]
            )
        },
    )
    for prompt in prompts[:5]:
        hint = "a text may grow beyond the context: each time, give the model only its last `context` tokens"
        got, want = (accepted(hint, searched, model, text, 7, 2)[0] for text in (prompt, prompt[-5:]))
        check_tensor(got[9:], want[5:], "only the last `context` tokens should be read, at positions 0 and up")


def test_beams_read_the_last_tokens():
    check_long_search(42)


def test_beams_of_any_prompt():
    model, prompt = constant_model(0.5, 0.3, 0.2), torch.tensor([1, 2])
    hint = "no new tokens were asked for: the prompt should come back"
    check_tensor(accepted(hint, searched, model, prompt, 0, 2)[0], prompt, hint)
    check_refused("a prompt without tokens leaves nothing to continue", beam_search, model, prompt[:0], 3, 2)
    check_refused("no beams can find no text: width 0", beam_search, model, prompt, 3, 0)
    check_refused("a number of beams below 0", beam_search, model, prompt, 3, -1)
    check_kept(beam_search, model, prompt, 2, 2)


def test_beam_search_beyond_the_context_hidden():
    check_long_search(fresh_seed())
    model, prompt = loaded(random_gpt2(NARROW, fresh_seed()), NARROW), token_ids(fresh_seed(), 11, 9)
    check_refused("a prompt without tokens leaves nothing to continue", beam_search, model, prompt[:0], 3, 2)
    check_refused("no beams can find no text", beam_search, model, prompt, 3, 0)
    check_kept(beam_search, model, prompt, 2, 2)


# %% run
if __name__ == "__main__":
    with unless_blank():
        start = torch.tensor([[STOP]])
        found = {"greedy": greedy(SMALL_TREE, start, 3, eos=STOP)[0]}
        found["2 beams"], _ = beam_search(SMALL_TREE, start[0], 3, 2, STOP, 1.0)
        found["2 beams, length penalty 3"], _ = beam_search(SMALL_TREE, start[0], 3, 2, STOP, 3.0)
        found = {words: ids[1:].tolist() for words, ids in found.items()}
        guesses = (predicted_greedy, predicted_beams, predicted_long)
        for (words, tokens), guess in zip(found.items(), guesses, strict=True):
            compare_prediction(words, guess, "".join("ab."[token] for token in tokens))
        draw_tree(found=found)

# %% [markdown]
# ## Never read twice
#
# So far the model reads the whole text for every new token. All of that work has been done before: a position's keys and
# values depend only on what stands before it, which never changes. The key-value cache keeps them.

# %% exercise="kv-cache" difficulty=2 importance=4 minutes=10 given_methods="__init__ length"
from solutions.generation import KVCache


# %% test="kv-cache" points=1
def appended(cache, layer, keys, values):
    """What `append` returns: all keys and all values of a layer."""
    got = cache.append(layer, keys, values)
    assert isinstance(got, tuple | list) and len(got) == 2, (
        f"append should return two tensors, all keys and all values, but it returned {checks.called(got)}"
    )
    return got


def test_cache_returns_what_it_was_given():
    config = GPTConfig(vocab_size=9, context=7, d_model=6, n_head=2, n_layer=3)
    cache, keys, values = KVCache(config, 4, torch.float64), numbers(40, 4, 2, 3, 3), numbers(41, 4, 2, 3, 3)
    got = appended(cache, 1, keys, values)
    check_tensor(
        got[0],
        keys,
        "after 3 positions their keys should come back",
        mistakes={
            "the memory of the whole context comes back: only the positions that are filled should": (
                F.pad(keys, (0, 0, 0, 4))
            ),
            "the first tensor holds the values: it should hold the keys": values,
            "zeros come back: the keys are not stored, or other places are read": torch.zeros_like(keys),
        },
    )
    check_tensor(
        got[1],
        values,
        "after 3 positions their values should come back",
        mistakes={"the second tensor holds the keys: it should hold the values": keys},
    )


def test_cache_returns_old_and_new():
    config = GPTConfig(vocab_size=9, context=7, d_model=6, n_head=2, n_layer=2)
    cache, keys, values = KVCache(config, 4, torch.float64), numbers(40, 4, 2, 5, 3), numbers(41, 4, 2, 5, 3)
    old, new = (0, 1, 2), (3, 4)
    for layer in (0, 1):
        got = appended(cache, layer, keys[:, :, old] + layer, values[:, :, old] + layer)
    check_tensor(
        got[0],
        keys[:, :, old] + 1,
        "layer 0 was given 3 positions, and then layer 1 was: the keys of layer 1 should come back",
        mistakes={
            "layer 1 is treated as if it held the 3 positions that layer 0 was given: each layer has a count of its "
            "own, self.lengths[layer]": F.pad(keys[:, :, old] + 1, (0, 0, 3, 0)),
        },
    )
    length = cache.length()
    assert length == 3, f"both layers were given 3 positions and length() says {length}: keep self.lengths right"
    for layer in (0, 1):
        got = appended(cache, layer, keys[:, :, new] + layer, values[:, :, new] + layer)
        check_tensor(
            got[0],
            keys + layer,
            "keys: 3 positions and then 2 more should come back together, the oldest first",
            mistakes={
                "only the keys of new positions come back: those that were stored before come first": (
                    keys[:, :, new] + layer
                ),
                "the newest positions come first: the oldest should": keys[:, :, new + old] + layer,
                "new keys are written over the first ones: they should follow them": F.pad(
                    keys[:, :, (3, 4, 2)] + layer, (0, 0, 0, 2)
                ),
                "these keys were stored for another layer: each layer has its own": torch.cat(
                    [keys[:, :, old] + 1 - layer, keys[:, :, new] + layer], dim=2
                ),
            },
        )
        hint = "values: 3 positions and then 2 more should come back together, the oldest first"
        check_tensor(got[1], values + layer, hint)


def test_layers_of_a_cache_may_differ_in_length():
    config = GPTConfig(vocab_size=9, context=7, d_model=6, n_head=2, n_layer=3)
    cache, keys, values = KVCache(config, 4, torch.float64), numbers(40, 4, 2, 5, 3), numbers(41, 4, 2, 5, 3)
    appended(cache, 1, keys[:, :, :3], values[:, :, :3])
    check_tensor(
        appended(cache, 1, keys[:, :, 3:], values[:, :, 3:])[0],
        keys,
        "layer 1 was given 3 positions and then 2 more, and other layers none: its 5 should come back",
        mistakes={
            "layer 1 held 3 positions, and the new ones do not follow them: self.lengths[layer] counts what a layer "
            "holds; length(), what all layers hold, is 0 here": keys[:, :, 3:],
        },
    )


# %% test="kv-cache-any" of="kv-cache" points=1
def check_full_cache(seed):
    """Assert that a cache can be filled to its end, position by position, and then refuses more."""
    config = GPTConfig(vocab_size=9, context=6 + seed % 4, d_model=6, n_head=3, n_layer=2)
    n = config.context
    cache, keys, values = KVCache(config, 2, torch.float64), numbers(seed, 2, 3, n, 2), numbers(seed + 1, 2, 3, n, 2)
    for i in range(n - 1):
        for layer in (0, 1):
            hint = "one position at a time: every layer has room for as many as the context, whatever others hold"
            got = accepted(hint, appended, cache, layer, keys[:, :, i : i + 1], values[:, :, i : i + 1])
    check_tensor(got[0], keys[:, :, : n - 1], "one position at a time: the keys of all should come back")
    check_tensor(got[1], values[:, :, : n - 1], "one position at a time: the values of all should come back")
    length = cache.length()
    assert length == n - 1, f"all layers hold {n - 1} positions and length() says {length}: keep self.lengths right"
    for layer in (0, 1):
        check_refused("more positions than the context has", cache.append, layer, keys[:, :, :2], values[:, :, :2])
    assert cache.length() == n - 1, "what was refused should not be counted in self.lengths"
    for layer in (0, 1):
        hint = "the last place of the context is free: one more position should fit"
        got = accepted(hint, appended, cache, layer, keys[:, :, n - 1 :], values[:, :, n - 1 :])
        check_tensor(
            got[0], keys, "what was refused should not be stored: the last place was free, and now holds the last key"
        )
    assert cache.length() == n, f"a context of {n} positions is full and length() says {cache.length()}"


def test_cache_of_a_whole_context():
    check_full_cache(45)


def test_cache_of_a_whole_context_hidden():
    check_full_cache(fresh_seed())


# %% [markdown]
# Now read with it. This is what the new positions may see where the cache holds positions 0 to 4 and four tokens come in at
# positions 5 to 8. A row is a query, a column a key; ● comes out of the cache, ○ is new, and what is empty is hidden.
#
# | query at | 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 |
# | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
# | **5** | ● | ● | ● | ● | ● | ○ | | | |
# | **6** | ● | ● | ● | ● | ● | ○ | ○ | | |
# | **7** | ● | ● | ● | ● | ● | ○ | ○ | ○ | |
# | **8** | ● | ● | ● | ● | ● | ○ | ○ | ○ | ○ |
#
# Attention is torch's own this time, `F.scaled_dot_product_attention(q, k, v, attn_mask=mask)`: a
# query takes the values whose place in `mask` is True. You wrote it in the assignment on the GPT.
#
# The model's parts are at hand. Before the blocks: `model.token_embedding(ids)`, and `model.position_embedding.weight`, which
# has a row for each position. Of every `block` in `model.blocks`: `block.attention_norm` and `block.mlp_norm`, `block.mlp`,
# `block.attention.heads(x)`, which gives queries, keys and values, each (batch, head, position, width), and
# `block.attention.projection`, which takes the heads side by side. After the blocks: `model.final_norm`, and then the product
# with the transposed `model.token_embedding.weight`, which gives the logits.
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

# %% exercise="read-on" difficulty=4 importance=4 minutes=40
from solutions.generation import read_on


# %% test="read-on" points=1
def check_logits(got, want, hint, mistakes=checks.NONE):
    # Only the order of the sums differs; that of attention may be in float32.
    check_tensor(got, want, hint, tolerance=1e-5, mistakes=mistakes)


ONE_HEAD = GPTConfig(vocab_size=23, context=24, d_model=12, n_head=1, n_layer=1)
THREE_HEADS = GPTConfig(vocab_size=23, context=24, d_model=12, n_head=3, n_layer=1)


def changed(theirs, **parts):
    """A copy of transformers' model: parts that are "silent" give zeros, and norms that are "off" change nothing."""
    model = copy.deepcopy(theirs)
    for block in model.transformer.h:
        for name, part in (("attention", block.attn.c_proj), ("mlp", block.mlp.c_proj)):
            if parts.get(name) == "silent":
                for parameter in part.parameters():
                    parameter.detach().zero_()
        if parts.get("queries") == "silent":  # all scores are 0
            for parameter in block.attn.c_attn.parameters():
                parameter.detach()[..., : parameter.shape[-1] // 3] = 0
        for name in ("ln_1", "ln_2"):
            if parts.get(name) == "off":
                setattr(block, name, torch.nn.Identity())
    if parts.get("ln_f") == "off":
        model.transformer.ln_f = torch.nn.Identity()
    if parts.get("positions") == "silent":
        model.transformer.wpe.weight.detach().zero_()
    return model


def logits_of(theirs, ids, mask=None, **how):
    """Logits of transformers' model, in which position i sees position j where `mask[i, j]`; as it is without."""
    mask = None if mask is None else mask.expand(len(ids), 1, *mask.shape)
    return theirs(ids, attention_mask=mask, **how).logits.detach()


def test_read_on_keeps_the_residual_stream():
    theirs, ids = changed(random_gpt2(ONE_HEAD, 47), mlp="silent"), token_ids(48, 23, 2, 5)
    theirs.transformer.h[0].attn.c_proj.weight.detach().zero_()  # attention adds the same to each position: its bias
    got = read_on(loaded(theirs, ONE_HEAD), ids, KVCache(ONE_HEAD, 2, torch.float64))
    check_logits(
        got,
        logits_of(theirs, ids),
        "an empty cache and a model whose MLP adds nothing, and whose attention adds the same to each position: the "
        "logits should be those of model(ids)",
        mistakes={
            "these are the vectors after the final norm: logits are their products with the token embeddings": lambda: (
                theirs.transformer(ids).last_hidden_state.detach()
            ),
            "after the MLP nothing is left of what it was given: its result should be added to the residual stream": (
                torch.zeros(2, 5, 23)
            ),
            "the logits are those of the last position alone: each new position has its own": lambda: logits_of(
                theirs, ids
            )[:, -1:],
            "the final norm is missing": lambda: logits_of(changed(theirs, ln_f="off"), ids),
            "the positions' embeddings are missing": lambda: logits_of(changed(theirs, positions="silent"), ids),
            "after attention nothing is left of what it was given: its result should be added to the residual stream": (
                lambda: got[:, :1].expand(2, 5, 23) if got.shape == (2, 5, 23) else torch.zeros(0)
            ),
        },
    )


def test_read_on_from_the_start():
    theirs, ids = random_gpt2(ONE_HEAD, 50), token_ids(51, 23, 3, 7)
    check_logits(
        read_on(loaded(theirs, ONE_HEAD), ids, KVCache(ONE_HEAD, 3, torch.float64)),
        logits_of(theirs, ids),
        "one layer, one head, an empty cache: the logits should be those of model(ids)",
        mistakes={
            "positions see those after them: the mask is missing": lambda: logits_of(
                theirs, ids, torch.ones(7, 7, dtype=torch.bool)
            ),
            "positions see themselves alone": lambda: logits_of(theirs, ids, torch.eye(7, dtype=torch.bool)),
            "positions see the one after them too: the mask lets each see itself and what stands before it": lambda: (
                logits_of(theirs, ids, torch.ones(7, 7, dtype=torch.bool).tril(1))
            ),
            "the norm before attention is missing": lambda: logits_of(changed(theirs, ln_1="off"), ids),
            "the norm before the MLP is missing": lambda: logits_of(changed(theirs, ln_2="off"), ids),
            "the MLP is missing": lambda: logits_of(changed(theirs, mlp="silent"), ids),
        },
    )
    theirs = random_gpt2(THREE_HEADS, 50)
    for model, hint in (
        (
            changed(theirs, queries="silent"),
            "three heads that see all alike: at a position their results belong side by side",
        ),
        (theirs, "three heads whose scores differ: a score is divided by the root of a head's width, d_model / n_head"),
    ):
        got = read_on(loaded(model, THREE_HEADS), ids, KVCache(THREE_HEADS, 3, torch.float64))
        check_logits(got, logits_of(model, ids), f"right with one head, and wrong with {hint}")
    theirs = random_gpt2(SMALL, 50)
    got = read_on(loaded(theirs, SMALL), ids, KVCache(SMALL, 3, torch.float64))
    check_logits(got, logits_of(theirs, ids), "right with one layer, and wrong with two")


def test_read_on_from_the_middle():
    theirs, ids = random_gpt2(SMALL, 52), token_ids(53, 23, 2, 9)
    model, cache, want = loaded(theirs, SMALL), KVCache(SMALL, 2, torch.float64), logits_of(theirs, ids)
    read_on(model, ids[:, :4], cache)
    causal = torch.ones(9, 9, dtype=torch.bool).tril()
    forgetful, at_once, as_at_first = causal.clone(), causal.clone(), causal.clone()
    forgetful[4, :4] = False
    at_once[5:] = True
    as_at_first[5:] = causal[:4]
    check_logits(
        read_on(model, ids[:, 4:5], cache),
        want[:, 4:5],
        "a fifth token after four: it stands at position 4 and sees what the cache holds, and itself",
        mistakes={
            "a fifth token after four is given position 0: count on from what the cache holds": lambda: logits_of(
                theirs, ids[:, :5], position_ids=torch.tensor([[0, 1, 2, 3, 0]])
            )[:, 4:],
            "a fifth token after four sees itself alone: it should see what the cache holds too": lambda: logits_of(
                theirs, ids, forgetful
            )[:, 4:5],
            "a fifth token after four is read as if it were the first": lambda: logits_of(theirs, ids[:, 4:5]),
        },
    )
    check_logits(
        read_on(model, ids[:, 5:], cache),
        want[:, 5:],
        "four tokens after five: each sees the cache, itself, and of the new ones only those before it",
        mistakes={
            "four tokens after five see each other: each should see only those before it, and the cache": (
                lambda: logits_of(theirs, ids, at_once)[:, 5:]
            ),
            "four tokens after five see only the first 1, 2, 3 and 4 positions: the mask should let them see all five too": (
                lambda: logits_of(theirs, ids, as_at_first)[:, 5:]
            ),
        },
    )


def check_pieces(config, seed, *ways):
    """Assert that the logits are those of the whole text, in whatever pieces it is read."""
    theirs, ids = random_gpt2(config, seed), token_ids(seed, config.vocab_size, 3, config.context)
    model, want = loaded(theirs, config), logits_of(theirs, ids)
    for pieces in ways:
        cache, start = KVCache(config, 3, torch.float64), 0
        for n in pieces:
            hint = "the last tokens fill the context, and should fit"
            got = accepted(hint, read_on, model, ids[:, start : start + n], cache)
            hint = f"pieces of {pieces} tokens: wrong logits from position {start} on"
            check_logits(got, want[:, start : start + n], hint)
            start += n


def test_read_on_in_pieces():
    config = GPTConfig(vocab_size=7, context=6, d_model=4, n_head=2, n_layer=2, eps=0.01)
    check_pieces(config, 54, [1, 1, 1, 1, 1, 1], [2, 2, 2], [6])


def check_end_of_context(seed, n):
    """Assert that tokens are refused that do not fit after the first n."""
    model, cache = loaded(random_gpt2(NARROW, seed), NARROW), KVCache(NARROW, 1, torch.float64)
    read_on(model, token_ids(seed, 11, 1, n), cache)
    check_refused(
        f"{n} tokens and {6 - n} more in a context of 5", read_on, model, token_ids(seed, 11, 1, 6 - n), cache
    )


def test_read_on_refuses_what_does_not_fit():
    check_end_of_context(55, 3)


# %% test="read-on-any" of="read-on" points=2
def test_read_on_in_any_pieces_hidden():
    seed = fresh_seed()
    config = GPTConfig(5 + seed % 9, 12, d_model=4 * (1 + seed % 3), n_head=2, n_layer=2 + seed % 2, eps=0.01)
    check_pieces(config, seed, [1] * 12, [5, 1, 6], [2, 7, 3])


def test_read_on_stops_at_the_context_hidden():
    check_end_of_context(fresh_seed(), 4)


# %% [markdown]
# What do your new positions really see? The next cell reads five tokens into a cache and then four more. It changes the nine
# tokens one at a time, reads again, and notes which of the four rows of logits change. Compare with the table above.

# %% run
if __name__ == "__main__":
    with unless_blank():
        config = GPTConfig(vocab_size=23, context=9, d_model=12, n_head=3, n_layer=2)
        tiny, ids = loaded(random_gpt2(config, 70), config), token_ids(71, 23, 1, 9)

        def read_in_two(text):
            """Logits of positions 5 to 8, read after positions 0 to 4."""
            cache = KVCache(config, 1, torch.float64)
            read_on(tiny, text[:, :5], cache)
            return read_on(tiny, text[:, 5:], cache)[0]

        before, sees = read_in_two(ids), torch.zeros(4, 9)
        for key in range(9):
            changed_ids = ids.clone()
            changed_ids[0, key] = (ids[0, key] + 1) % 23
            moved = (read_in_two(changed_ids) - before).abs().amax(dim=1) > 1e-9
            sees[:, key] = moved * (1.0 if key < 5 else 0.5)
        plt.figure(figsize=(6, 2.6))
        plt.imshow(sees, cmap="Blues", vmin=0, vmax=2)
        for row, key in sees.nonzero().tolist():
            plt.text(key, row, str(key), ha="center", va="center")
        plt.axvline(4.5, color="black")
        plt.xticks(range(9))
        plt.yticks(range(4), range(5, 9))
        plt.xlabel("position of a key: from the cache | new")
        plt.ylabel("position of a query")
        plt.title("Which positions your new positions see", fontsize=10)
        plt.show()

# %% [markdown]
# The last part puts cache and choice together: the prompt is read once, and then each new token alone. Make the cache with the
# dtype of the model's weights, `model.token_embedding.weight.dtype`: keys from the cache and new queries must agree in it.

# %% exercise="write" difficulty=3 importance=5 minutes=25 replaces="transformers"
from solutions.generation import write


# %% test="write" points=1
def test_write_is_greedy_without_a_seed():
    theirs, prompt = random_gpt2(SMALL, 60), token_ids(61, 23, 4, 6)
    model, want = loaded(theirs, SMALL), library_text(theirs, prompt, 12, do_sample=False)
    doubled = torch.cat([prompt, prompt[:, -1:]], dim=1)
    check_tensor(
        write(model, prompt, 12),
        want,
        "without a seed the text should be that of greedy, which is also what transformers writes",
        mistakes={
            "the prompt is missing: prompt and continuation should come back together": want[:, 6:],
            "without a seed tokens are drawn: each should be the likeliest": lambda: write(model, prompt, 12, seed=0),
            "the prompt's last token is read twice: the first new token follows from the logits of the prompt": (
                lambda: torch.cat([prompt, library_text(theirs, doubled, 12, do_sample=False)[:, 7:]], dim=1)
            ),
        },
    )
    hint = "6 tokens and 18 more fill a context of 24, and should fit"
    check_tensor(accepted(hint, write, model, prompt, 18), library_text(theirs, prompt, 18, do_sample=False), hint)


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
    check_tensor(got, library_text(theirs, prompt, 12, do_sample=False), hint)


def test_write_reads_each_position_once():
    check_reads_once(62)


def test_write_reads_each_position_of_any_text_once_hidden():
    check_reads_once(fresh_seed())


# %% test="write-any" of="write" points=2
def test_write_follows_its_seed():
    check_seed(write, model_of(torch.zeros(12).double(), context=15), torch.zeros(3, 2, dtype=torch.long))
    model, prompt = model_of(torch.zeros(12).double(), context=15), torch.zeros(3, 2, dtype=torch.long)
    zero, none = write(model, prompt, 12, seed=0), write(model, prompt, 12)
    assert not torch.equal(zero, none), (
        "without a seed and with seed 0 the text is the same: seed 0 is a seed too, and only None means the likeliest"
    )


def test_write_draws_each_token_anew():
    check_draws_anew(write, 63)


def test_write_draws_from_the_probabilities():
    for temperature, k, p in WAYS_TO_DRAW:
        check_drawn(write, 64, temperature, k, p)


def test_write_of_any_prompt():
    check_prompts(write, 65)
    model, prompt = loaded(random_gpt2(NARROW, 66), NARROW), token_ids(66, 11, 3, 2)
    check_refused("2 tokens and 4 more in a context of 5", write, model, prompt, 4)


def test_write_draws_each_token_anew_hidden():
    check_draws_anew(write, fresh_seed())
    check_seed(write, model_of(torch.zeros(12).double(), context=15), torch.zeros(3, 2, dtype=torch.long))


def test_write_draws_from_the_probabilities_hidden():
    for temperature, k, p in WAYS_TO_DRAW:
        check_drawn(write, fresh_seed(), temperature, k, p)


def test_write_stops_at_the_context_hidden():
    theirs, prompt = random_gpt2(SMALL, fresh_seed()), token_ids(fresh_seed(), 23, 3, 5)
    model = loaded(theirs, SMALL)
    hint = "5 tokens and 19 more fill a context of 24, and should fit"
    check_tensor(accepted(hint, write, model, prompt, 19), library_text(theirs, prompt, 19, do_sample=False), hint)
    check_refused("5 tokens and 20 more in a context of 24", write, model, prompt, 20)
    check_prompts(write, fresh_seed())


# %% [markdown]
# Now let it write, with `documentation-small`, the smaller of the course's two models of Python's documentation. (Most figures
# of the chapter use the larger one.) Greedy text should fall into repeating itself, and what is drawn by top-p should not.

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
    check_tensor(greedy(model, prompt, 12), want, f"your greedy {hint}")
    logits = read_on(model, prompt, KVCache(config, 3, torch.float64))
    check_tensor(
        logits, logits_of(theirs, prompt), "your read_on, with your cache, should give the logits of transformers"
    )
    check_tensor(write(model, prompt, 12), want, f"your write, without a seed, {hint}")
    check_tensor(sample(model, prompt, 12, 0.7, k=1, p=0.9, seed=seed), want, f"your sample, with k = 1, {hint}")
    check_tensor(write(model, prompt, 12, 0.7, k=1, p=0.9, seed=seed), want, f"your write, with k = 1, {hint}")
    for row, text in zip(prompt, want, strict=True):
        check_tensor(beam_search(model, row, 12, 1)[0], text, f"your beam search, with one beam, {hint}")


def test_your_ways_to_write_agree():
    check_all_ways(110, "should write what transformers' greedy search writes")


def test_your_ways_to_write_agree_on_any_model_hidden():
    check_all_ways(fresh_seed(), "should write what transformers' greedy search writes on any model")


# %% [markdown]
# ## Read it
#
# Three guesses first; leave them at `None` if you have none. The model continues 16 beginnings of sentences by 100 tokens.
#
# - After how many new tokens does greedy text first repeat a 4-gram, on average?
# - Top-p with p = 0.9 keeps some of 1,024 tokens. Where the next token begins with a letter, so that it mostly goes on with a
#   word, how many on average? And where it begins with anything else: the space before a new word, a digit, a sign, a newline?

# %% run
if __name__ == "__main__":
    predicted_circle = None  # your guess, from 5 to 100
    predicted_letter = None  # your guess, from 1 to 1,024
    predicted_other = None  # your guess, from 1 to 1,024

# %% run
if __name__ == "__main__":
    torch.set_num_threads(1)  # a model this small gains nothing from more
    model, starts = documentation_model()
    tokenizer, n = documentation_tokenizer(), starts.shape[1]
    ways = {
        "greedy": {},
        "top-p 0.9": {"p": 0.9, "seed": 1},
        "top-k 40": {"k": 40, "seed": 2},
        "temperature 0.5": {"temperature": 0.5, "seed": 3},
        "all tokens": {"seed": 4},
    }
    written, shares = {}, {}
    with unless_blank():
        written = {name: write(model, starts, 100, **way) for name, way in ways.items()}
        shares = {name: rep_n(ids[:, n:], 4) for name, ids in written.items()}
        first = [
            next((m for m in range(4, 101) if rep_n(text[None, n : n + m], 4) > 0), 101) for text in written["greedy"]
        ]
        compare_prediction("new tokens until greedy text repeats a 4-gram", predicted_circle, round(sum(first) / 16))
        ids = written["top-p 0.9"]
        with torch.no_grad():
            candidates = (probabilities(model(ids[:, :-1]), p=0.9) > 0).sum(-1).double()
        letter = torch.tensor([tokenizer.decode([i])[:1].isalpha() for i in range(1024)])[ids[:, 1:]]
        for words, guess, where in (
            ("a letter", predicted_letter, letter),
            ("anything else", predicted_other, ~letter),
        ):
            what = f"tokens kept where the next begins with {words}"
            compare_prediction(what, guess, round(candidates[where].mean().item()))

# %% run tags=["nbval-ignore-output"]
if __name__ == "__main__":
    for name, ids in written.items():
        print(f"--- {name}\n{tokenizer.decode(ids[0].tolist())}\n")

# %% run
if __name__ == "__main__":
    if shares:
        plt.figure(figsize=(6, 2.5))
        plt.barh(list(shares), [share.mean().item() for share in shares.values()])
        plt.gca().invert_yaxis()
        plt.xlabel("share of 4-grams that stood in the text before")
        plt.title("How much of your texts is repeated", fontsize=10)
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

    with unless_blank():
        print("--- penalty 1.3\n" + with_remedy(penalize_repeats, 1.3))
    with unless_blank():
        print("\n--- no trigram twice\n" + with_remedy(forbid_repeats, 3))

# %% [markdown]
# ## What the cache saves
#
# The same text with and without it, 100 tokens after three. Without the cache the model reads 3 positions, then 4, then 5, and so
# on. How many times as many positions is that as with the cache? And how many times as long does it take, in seconds of
# processor time?

# %% run
if __name__ == "__main__":
    predicted_reading = None  # your guess: positions read without the cache, over those with it
    predicted_seconds = None  # your guess: seconds without the cache, over those with it

# %% run tags=["nbval-ignore-output"]
if __name__ == "__main__":
    import time

    with unless_blank():
        spent = []
        for way in (greedy, write):
            way(model, starts[:1], 5)  # the first call of everything is slow
            runs = []
            for _ in range(3):
                started = time.process_time()
                text = way(model, starts[:1], 100)
                runs.append(time.process_time() - started)
            spent.append(min(runs))  # what else runs on the computer can only add to it
        assert torch.equal(text, greedy(model, starts[:1], 100)), "both should write the same"
        print(f"100 tokens: reading everything again {spent[0]:.2f} s, with the cache {spent[1]:.2f} s")
        assert n == 3, "the guess above speaks of three tokens"
        without, with_cache = sum(range(n, n + 100)), n + 99
        compare_prediction("positions read, without over with", predicted_reading, round(without / with_cache))
        compare_prediction("seconds, without over with", predicted_seconds, round(spent[0] / spent[1], 1))
        print("The rest of the time goes into calling operations, once for each token either way.")

# %% [markdown]
# ## Explore
#
# Nothing here is graded. Follow one of these, or a question of your own, and write down below what you found.
#
# - *A cut of your own.* Keep the tokens that have at least a tenth of the likeliest one's probability (this is called min-p).
#   How does its text compare with top-p's, at temperature 1 and at 2, in repeats and in what the model finds surprising?
# - *How a circle closes.* Give the model a line of your own with an empty line after it, then the same again and again, up to
#   six times. How probable is each copy, given the ones before it? What about a line of its own greedy text? And the
#   same sentence six times in one line? What keeps the circle going?
# - *As repetitive as people.* People's own text repeats about six percent of its 4-grams. At which
#   temperature, with no cut, does the model repeat as much? Do the texts read alike?

# %% run
if __name__ == "__main__":
    sentence = tokenizer.encode("The function returns a list of names.\n\n").ids
    ids = torch.tensor([tokenizer.encode("Note.\n\n").ids + 3 * sentence])
    with torch.no_grad():
        log_p = model(ids[:, :-1]).log_softmax(-1).gather(-1, ids[:, 1:, None])[0, :, 0]
    for copy_number, part in enumerate(log_p[-3 * len(sentence) :].split(len(sentence)), 1):
        print(f"copy {copy_number}: mean log-probability of a token {part.mean():.2f}")

# %% [markdown]
# **What I found:** write here what you tried, what came out, and what you make of it.
