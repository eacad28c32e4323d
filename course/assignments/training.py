# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {name: python3, display_name: Python 3, language: python}
#   course: {title: "Training, taken apart", points: 42, seconds: 120}
# ---

# %% [markdown]
# The other notebooks train their models with `labkit.fit`. Here you write what it is made of: which text is read when,
# AdamW, the schedule of the learning rate, gradient clipping, the training step, and a run that survives an
# interruption. At the end you train a GPT with your own parts, stop it in the middle, and go on as if nothing had
# happened.

# %% given="setup"
import math
from functools import partial

import torch
import torch.nn as nn
import torch.nn.functional as F

from labkit import corpus
from labkit.testing import checks, probes
from labkit.testing.checks import token_ids
from labkit.fit import decay_groups
from labkit.testing.answers import fresh_seed
from labkit.testing.oracles import library_mixture
from labkit.predictions import compare_prediction
from solutions.gpt import GPTConfig
from solutions.training import GPT3_MIXTURE, GPT3_TOKENS


# %% given="helpers"
check_tensor = partial(checks.check_tensor, tolerance=1e-12)
numbers = partial(checks.numbers, dtype=torch.float64)
# %% [markdown]
# ## How often is a text read?
#
# The table of GPT-3's training data gives each data set a weight: the share of the training examples that come from
# it. The weights have little to do with the sizes. Wikipedia is a 166th of all tokens and gets 3 percent of the
# examples, so it is read again and again, while most of Books2 is never seen.
#
# Guess before you compute: how many times did GPT-3 read its Wikipedia in 300 billion tokens of training?

# %% run
if __name__ == "__main__":
    predicted_wikipedia = None  # your guess

# %% exercise="epochs" difficulty=1 importance=3 minutes=5
from solutions.training import epochs


# %% test="epochs" points=1
def test_epochs_of_known_mixtures():
    got = epochs([0.5, 0.5], [10.0, 40.0], 20.0)
    assert len(got) == 2, "there should be one number for each data set"
    hint = "half of 20 tokens, from a data set of 10, is 1 epoch: weight times total, divided by the size"
    assert abs(got[0] - 1) < 1e-9 and abs(got[1] - 0.25) < 1e-9, hint
    tripled = epochs([3.0, 9.0], [10.0, 40.0], 20.0)
    assert abs(tripled[0] - 0.5) < 1e-9, "weights 3 and 9 mean a quarter and three quarters: divide by their sum"


# %% test="epochs-gpt3" of="epochs" points=1
def test_epochs_of_gpt3_hidden():
    sizes, weights, printed = zip(*GPT3_MIXTURE.values(), strict=True)
    got = epochs(list(weights), list(sizes), GPT3_TOKENS)
    # WebText2's printed epochs do not follow from its printed weight: the chapter comes back to it.
    for i in (0, 2, 3, 4):
        hint = "the epochs of GPT-3's table do not come out: divide the tokens read by the tokens there are"
        lowest = (weights[i] - 0.005) * GPT3_TOKENS / (sizes[i] + 0.5) / 1.02
        highest = (weights[i] + 0.005) * GPT3_TOKENS / (sizes[i] - 0.5)
        assert lowest <= got[i] <= highest and lowest <= printed[i] <= highest, hint
    seed = fresh_seed()
    weights, sizes = [1.0 + seed % 7, 2.0, 0.0], [3.0, 5.0 + seed % 11, 2.0]
    total = sum(e * s for e, s in zip(epochs(weights, sizes, 70.0), sizes, strict=True))
    assert abs(total - 70) < 1e-6, "all epochs times all sizes should add up to the total: divide by the weights' sum"


# %% run
if __name__ == "__main__":
    sizes, weights, _ = zip(*GPT3_MIXTURE.values(), strict=True)
    found = epochs(list(weights), list(sizes), GPT3_TOKENS)
    compare_prediction("Wikipedia in GPT-3's training", predicted_wikipedia, found[-1], unit="epochs")

# %% [markdown]
# ## One text, window by window
#
# A model reads windows of `context` tokens, and each window is an example. To read a text "once" means: every window
# once, in random order, before any window comes again. Drawing windows with replacement would miss a third of them in
# every epoch. The order is random, but it is *known* randomness: from a generator whose state can be saved.
#
# <details><summary>Hint: what belongs to the state?</summary>
#
# After `load_state_dict`, the source must read the rest of the present epoch, in the order that was drawn for it, and must
# draw the same order for the next one. The first needs the order and the place in it, the second the generator:
# `generator.get_state()` and `generator.set_state(...)`.
#
# </details>

# %% exercise="source" difficulty=3 importance=4 minutes=25 given_methods="__init__"
from solutions.training import Source


# %% test="source" points=2
def starts(source, n):
    """Where the next n windows of a source begin, in a text of the numbers 0, 1, 2, ..."""
    windows = [source.next_window() for _ in range(n)]
    for window in windows:
        whole = isinstance(window, torch.Tensor) and window.shape == (5,)
        assert whole and torch.equal(window, window[0] + torch.arange(5)), "a window should be 5 neighbouring tokens"
    return [int(window[0]) for window in windows]


def test_source_reads_each_window_once_an_epoch():
    source = Source(torch.arange(43), context=4, seed=0)
    for epoch in ("first", "second", "third"):
        found = sorted(starts(source, 10))
        hint = f"in the {epoch} epoch not every window comes once: draw an order of all, and read it to its end"
        assert found == list(range(0, 40, 4)), hint


def test_source_draws_an_order_for_each_epoch():
    source = Source(torch.arange(43), context=4, seed=0)
    orders = [starts(source, 10) for _ in range(3)]
    assert sorted(orders[0]) != orders[0], "the windows come in the order of the text: draw a random one"
    assert orders[0] != orders[1] and orders[1] != orders[2], "every epoch has the same order: draw anew for each"
    again = Source(torch.arange(43), context=4, seed=0)
    assert starts(again, 10) == orders[0], "the same seed should give the same order: use the source's own generator"


# %% test="source-state" of="source" points=2
def test_source_goes_on_where_it_was_hidden():
    seed = fresh_seed()
    n = 9 + seed % 7
    tokens = torch.arange(4 * n + 1 + seed % 4)
    for read in (0, 3, n, n + 2):
        source, twin = Source(tokens, 4, seed), Source(tokens, 4, seed)
        starts(source, read), starts(twin, read)
        state = probes.kept(source.state_dict, then=source.next_window, times=n + 1)
        other = Source(tokens, 4, seed + 1)
        starts(other, 5)
        other.load_state_dict(state)
        left = -read % n if read else 0
        hint = "after restore, the rest of the epoch comes in another order: the order and the place in it are lost"
        assert starts(other, left) == starts(twin, left), hint
        hint = "after restore, later epochs come in another order: the generator's state belongs to the state"
        assert starts(other, 2 * n) == starts(twin, 2 * n), hint


# %% [markdown]
# ## Several texts, by weight
#
# A mixture gives each text its own source. Each row of a batch draws its text by itself, so that a batch holds all of
# them; `torch.multinomial` draws from weights that need not add up to 1.

# %% exercise="mixture" difficulty=3 importance=5 minutes=20 given_methods="__init__"
from solutions.training import Mixture


# %% test="mixture" points=2
def texts_apart(*lengths):
    """Texts of these lengths that can be told apart: text i holds the numbers from 1000 i on."""
    return [1000 * i + torch.arange(length) for i, length in enumerate(lengths)]


def test_mixture_makes_batches():
    mixture = Mixture(texts_apart(60, 90), [0.5, 0.5], context=4, seed=0)
    inputs, targets = mixture.batch(12)
    assert inputs.shape == targets.shape == (12, 4), f"12 rows of 4 tokens are wanted, not {tuple(inputs.shape)}"
    assert torch.equal(inputs + 1, targets), "each target should be the token that follows its input"
    assert len(set((inputs[:, 0] // 1000).tolist())) == 2, "all 12 rows are of one text: each row draws its own"


def test_mixture_goes_by_weight():
    mixture = Mixture(texts_apart(800, 50, 200), [0.2, 0.5, 0.3], context=4, seed=1)
    inputs, _ = mixture.batch(2000)
    shares = torch.bincount(inputs[:, 0] // 1000, minlength=3) / 2000
    hint = "the texts do not come by their weights: neither their sizes nor their order should matter"
    assert (shares - torch.tensor([0.2, 0.5, 0.3])).abs().max() < 0.06, hint


def test_mixture_draws_from_its_own_generator():
    made = [Mixture(texts_apart(60, 90), [0.5, 0.5], context=4, seed=2) for _ in range(2)]
    first, second = (probes.seeded(seed, mixture.batch, 12)[0] for seed, mixture in enumerate(made))
    hint = "the same seed should give the same batches: choose the texts with the mixture's own generator"
    assert torch.equal(first, second), hint


# %% test="mixture-any" of="mixture" points=2
def test_mixture_of_any_weights_hidden():
    seed = fresh_seed()
    weights = [4.0, 0.0, 1.0 + seed % 3]
    mixture = Mixture(texts_apart(50, 80, 400), weights, context=4, seed=seed)
    inputs, _ = mixture.batch(2000)
    shares = torch.bincount(inputs[:, 0] // 1000, minlength=3) / 2000
    assert shares[1] == 0, "a text of weight 0 should never be read"
    hint = "weights that do not add up to 1 are meant in proportion"
    assert abs(shares[0] - 4 / sum(weights)) < 0.06, hint
    counts = torch.bincount(inputs[inputs[:, 0] < 1000, 0])[::4]
    hint = "the windows of a text come unequally often: take them from its source with next_window"
    assert len(counts) == 12 and counts.max() - counts.min() <= 1, hint


def test_mixture_goes_on_where_it_was_hidden():
    seed = fresh_seed()
    texts = texts_apart(41, 90)
    made = [Mixture(texts, [0.7, 0.3], 4, seed) for _ in range(2)]
    for mixture in made:
        mixture.batch(17)
    state = made[0].state_dict()
    other = Mixture(texts, [0.7, 0.3], 4, seed + 1)
    other.batch(5)
    other.load_state_dict(state)
    for _ in range(4):
        hint = "after restore, other windows come than without: every source and the mixture's generator have a state"
        assert torch.equal(other.batch(16)[0], made[1].batch(16)[0]), hint


# %% [markdown]
# ## AdamW, first half: averages
#
# The gradient of one batch is noisy, and its size differs from weight to weight by powers of ten. Adam keeps two
# running averages for each weight: of the gradient, which evens out the noise, and of its square, which tells the
# usual size.

# %% exercise="update-moments" difficulty=1 importance=4 minutes=10
from solutions.training import update_moments


# %% test="update-moments" points=1
def test_moments_of_known_gradients():
    first = update_moments(torch.tensor([2.0, -4.0]), {}, (0.75, 0.5))
    assert set(first) == {"step", "mean", "square"}, 'a dict with "step", "mean" and "square" is wanted'
    assert first["step"] == 1, "after one gradient the step is 1"
    check_tensor(
        first["mean"], torch.tensor([0.5, -1.0]), "a quarter of the gradient goes into the mean when beta is 3/4"
    )
    check_tensor(
        first["square"], torch.tensor([2.0, 8.0]), "half of the gradient's square goes into it when beta is 1/2"
    )
    second = update_moments(torch.tensor([0.0, 0.0]), first, (0.75, 0.5))
    hint = "a gradient of 0 should leave beta times each average"
    check_tensor(second["mean"], torch.tensor([0.375, -0.75]), hint)
    check_tensor(second["square"], torch.tensor([1.0, 4.0]), hint)


# %% test="update-moments-any" of="update-moments" points=1
def test_moments_are_those_of_torch_hidden():
    seed = fresh_seed()
    parameter = nn.Parameter(numbers(seed, 3, 1 + seed % 5))
    optimizer, moments = torch.optim.AdamW([parameter], betas=(0.6, 0.3)), {}
    for step in range(4):
        parameter.grad = numbers(seed + step + 1, *parameter.shape, scale=10.0 ** (2 * step - 3))
        optimizer.step()
        moments = update_moments(parameter.grad, moments, (0.6, 0.3))
        theirs = optimizer.state[parameter]
        assert moments["step"] == step + 1, "the step should count the gradients that were seen"
        check_tensor(
            moments["mean"], theirs["exp_avg"], "the mean is not torch's: each average has its own beta", tolerance=1e-9
        )
        check_tensor(
            moments["square"], theirs["exp_avg_sq"], "the square is not torch's: average the squares", tolerance=1e-6
        )


def test_moments_leave_their_arguments_hidden():
    moments = {"step": 2, "mean": numbers(fresh_seed(), 4), "square": numbers(fresh_seed(), 4) ** 2}
    _, (_, after, _) = probes.after_call(update_moments, numbers(fresh_seed() + 1, 4), moments, (0.9, 0.9))
    assert after["step"] == 2, "the old moments were changed in place: return a new dict"
    hint = "the old moments were changed in place: make new tensors"
    check_tensor(after["mean"], moments["mean"], hint)
    check_tensor(after["square"], moments["square"], hint)


# %% [markdown]
# ## AdamW, second half: the step
#
# Dividing the mean by the root of the mean square makes a step of about the learning rate for every weight, however
# large its gradients are. Two details make it AdamW. The averages start at 0 and are corrected for it; the decay acts
# on the weight itself and is no part of the gradient.
#
# <details><summary>Hint: which t?</summary>
#
# The number of gradients *including* the present one: update the moments first, then use their "step".
#
# </details>

# %% exercise="adamw-update" difficulty=3 importance=5 minutes=25 replaces="torch.optim.AdamW torch.optim.Adam torch._fused_adamw_ torch._fused_adam_"
from solutions.training import adamw_update


# %% test="adamw-update" points=2
def torch_steps(parameter, gradients, **settings):
    """The parameter after each step of torch's AdamW."""
    leaf, after = nn.Parameter(parameter.clone()), []
    optimizer = torch.optim.AdamW([leaf], **settings)
    for gradient in gradients:
        leaf.grad = gradient.clone()
        optimizer.step()
        after.append(leaf.detach().clone())
    return after


def test_first_step_of_adamw():
    parameter, gradient = torch.tensor([1.0, 1.0, 1.0]).double(), torch.tensor([1e-3, -5.0, 400.0]).double()
    got, moments = adamw_update(parameter.clone(), gradient, {}, 0.1, (0.9, 0.96), 1e-12, 0.0)
    hint = "the first step is as long as the learning rate, whatever the gradient's size: correct both averages"
    check_tensor(got, torch.tensor([0.9, 1.1, 0.9]).double(), hint, tolerance=1e-6)
    assert moments["step"] == 1, "return the new moments beside the new parameter"
    still = torch.zeros(3).double()
    decayed, _ = adamw_update(parameter.clone(), still, {}, 0.1, (0.9, 0.96), 1e-8, 0.5)
    hint = "with no gradient, a decay of 0.5 at a learning rate of 0.1 leaves 0.95 of a parameter"
    check_tensor(decayed, 0.95 * parameter, hint)


def test_steps_of_adamw_match_torch():
    parameter, gradients = numbers(30, 3, 4), [numbers(31 + i, 3, 4) for i in range(5)]
    settings = {"lr": 0.05, "betas": (0.7, 0.9), "eps": 1e-8, "weight_decay": 0.1}
    ours, moments = parameter, {}
    for step, theirs in enumerate(torch_steps(parameter, gradients, **settings), 1):
        ours, moments = adamw_update(ours, gradients[step - 1], moments, 0.05, (0.7, 0.9), 1e-8, 0.1)
        check_tensor(ours, theirs, f"step {step} is not torch's: check the corrections' exponent and where decay acts")


# %% test="adamw-update-any" of="adamw-update" points=2
def test_adamw_with_awkward_settings_hidden():
    seed = fresh_seed()
    shape = (1 + seed % 3, 2 + seed % 4)
    for betas, eps, decay in (((0.2, 0.95), 0.3, 0.0), ((0.95, 0.2), 1e-3, 2.0), ((0.0, 0.5), 0.5, 0.7)):
        parameter = numbers(seed, *shape)
        gradients = [numbers(seed + 1 + i, *shape, scale=10.0 ** (i % 4 - 2)) for i in range(8)]
        ours, moments = parameter, {}
        wanted = torch_steps(parameter, gradients, lr=0.2, betas=betas, eps=eps, weight_decay=decay)
        for gradient, theirs in zip(gradients, wanted, strict=True):
            ours, moments = adamw_update(ours, gradient, moments, 0.2, betas, eps, decay)
            hint = "not torch's steps with a large eps or decay: eps is added after the root, decay is no gradient"
            check_tensor(ours, theirs, hint)


def test_adamw_leaves_its_arguments_hidden():
    parameter, gradient = numbers(fresh_seed(), 5), numbers(fresh_seed() + 1, 5)
    arguments = (parameter, gradient, {}, 0.1, (0.9, 0.99), 1e-8, 0.5)
    _, after = probes.after_call(adamw_update, *arguments)
    check_tensor(after[0], parameter, "the parameter was changed in place: return a new tensor")
    check_tensor(after[1], gradient, "the gradient was changed in place: decay is no part of it")


# %% [markdown]
# ## An optimizer that PyTorch can use
#
# `torch.optim.Optimizer` brings the bookkeeping: groups of parameters with their settings, `zero_grad`, and a
# `state_dict` that holds whatever you keep in `self.state[parameter]`. What is missing is `step`. A parameter whose
# gradient is None took no part in the loss and stays as it is.

# %% exercise="optimizer" difficulty=3 importance=4 minutes=20 given_methods="__init__" replaces="torch.optim.AdamW torch.optim.Adam torch._fused_adamw_ torch._fused_adam_"
from solutions.training import AdamW


# %% test="optimizer" points=2
def test_optimizer_takes_torchs_steps():
    parameters = [numbers(40, 3, 2), numbers(41, 4)]
    gradients = [[numbers(42 + i, 3, 2), numbers(52 + i, 4)] for i in range(4)]
    settings = {"lr": 0.05, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.3}
    got = probes.optimize(AdamW, parameters, gradients, **settings)
    want = probes.optimize(torch.optim.AdamW, parameters, gradients, **settings)
    assert not torch.equal(got[0], parameters[0]), "step changed nothing: change every parameter in place"
    for ours, theirs in zip(got, want, strict=True):
        check_tensor(ours, theirs, "not torch's parameters after 4 steps: does each parameter keep its own moments?")


def check_passed_over(parameters, gradients):
    """Assert that parameters are torch's after steps in some of which one has no gradient."""
    want = probes.optimize(torch.optim.AdamW, parameters, gradients, lr=0.1, betas=(0.9, 0.95), weight_decay=0.1)
    got = probes.optimize(AdamW, parameters, gradients, lr=0.1)
    for i, (ours, theirs) in enumerate(zip(got, want, strict=True)):
        hint = "has no gradient in some steps: pass it over, decay and moments too"
        if all(row[i] is not None for row in gradients):
            hint = "has a gradient in every step, and another has not: go on to the next after passing that over"
        check_tensor(ours, theirs, f"parameter {i} {hint}")


def test_optimizer_passes_over_what_has_no_gradient():
    parameters = [numbers(43, 3), numbers(44, 2, 2)]
    check_passed_over(parameters, [[None if i == 1 else numbers(45, 3), numbers(46 + i, 2, 2)] for i in range(3)])


# %% test="optimizer-any" of="optimizer" points=2
def mixed_gradients(seed, n):
    """Gradients for three parameters over n steps; the second has none in every other step."""
    rows = []
    for i in range(n):
        rows.append([numbers(seed + 3 * i, 2, 3), numbers(seed + 3 * i + 1, 4), numbers(seed + 3 * i + 2, 1)])
        if i % 2 == 0:
            rows[-1][1] = None
    return rows


def test_optimizer_has_groups_hidden():
    seed = fresh_seed()
    parameters = [numbers(seed, 2, 3), numbers(seed + 1, 4), numbers(seed + 2, 1)]
    groups = [
        {"params": [0], "weight_decay": 0.9, "lr": 0.2},
        {"params": [1, 2], "weight_decay": 0.0, "betas": (0.5, 0.6), "eps": 0.1},
    ]
    rows = [[*row[:1], numbers(seed + 7, 4), *row[2:]] for row in mixed_gradients(seed + 10, 3)]
    got = probes.optimize(AdamW, parameters, rows, groups=groups, lr=0.05)
    want = probes.optimize(torch.optim.AdamW, parameters, rows, groups=groups, lr=0.05)
    settings = probes.optimize(torch.optim.AdamW, parameters, rows, groups=groups, lr=0.05, betas=(0.9, 0.95))
    hint = "groups with settings of their own come out wrong: read each setting from the parameter's group"
    check_tensor(got[0], settings[0], hint)
    check_tensor(got[1], want[1], hint)


def test_optimizer_passes_over_any_parameter_hidden():
    seed = fresh_seed()
    check_passed_over([numbers(seed, 2, 3), numbers(seed + 1, 4), numbers(seed + 2, 1)], mixed_gradients(seed + 10, 5))


def test_optimizer_keeps_its_moments_in_its_state_hidden():
    seed = fresh_seed()
    parameters = [numbers(seed, 2, 3), numbers(seed + 1, 4), numbers(seed + 2, 1)]
    rows = [[g if g is not None else numbers(seed, 4) for g in row] for row in mixed_gradients(seed + 10, 5)]
    want = probes.optimize(torch.optim.AdamW, parameters, rows, lr=0.1, betas=(0.9, 0.95), weight_decay=0.1)
    got = probes.optimize(AdamW, parameters, rows, lr=0.1, reload_after=3)
    hint = "saved with state_dict and loaded into a new optimizer, it goes on wrongly: keep the moments in self.state"
    check_tensor(got[0], want[0], hint)


# %% [markdown]
# ## The schedule
#
# In the first steps the averages know only a few gradients, so the steps start small. At the end small steps settle
# what large ones leave jumping about.

# %% exercise="warmup-cosine" difficulty=2 importance=4 minutes=15
from solutions.training import warmup_cosine


# %% test="warmup-cosine" points=1
def test_schedule_rises_and_falls():
    rising = [warmup_cosine(step, 1000, 4) for step in range(4)]
    hint = "over a warm-up of 4 steps the factor should be 1/4, 2/4, 3/4, 1 (nearly): count from step + 1"
    assert max(abs(a - b) for a, b in zip(rising, (0.25, 0.5, 0.75, 1.0), strict=True)) < 1e-2, hint
    half = warmup_cosine(50, 100, 10)
    assert abs(half - 0.5) < 1e-9, f"half way down the cosine the factor is 1/2, not {half:.4g}"
    quarter = warmup_cosine(25, 100, 10)
    assert abs(quarter - (1 + math.sqrt(0.5)) / 2) < 1e-9, "the way down is half a cosine, not a line or a whole wave"
    half = warmup_cosine(50, 100, 10, 0.2)
    assert abs(half - 0.6) < 1e-9, f"with a floor of 0.2, half way between 1 and the floor is 0.6, not {half:.4g}"


# %% test="warmup-cosine-any" of="warmup-cosine" points=2
def torch_schedule(make, steps):
    """The factors of one of torch's schedulers."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler, factors = make(optimizer), []
    for _ in range(steps):
        factors.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return factors


def test_schedule_matches_torch_hidden():
    seed = fresh_seed()
    steps, warmup, floor = 40 + seed % 20, 5 + seed % 9, 0.1 + (seed % 5) / 10
    schedulers = torch.optim.lr_scheduler
    rising = torch_schedule(lambda o: schedulers.LinearLR(o, 1 / warmup, 1.0, warmup - 1), steps)
    falling = torch_schedule(lambda o: schedulers.CosineAnnealingLR(o, steps, floor), steps)
    for step in range(steps):
        hint = "with a floor, the factor is not the smaller one of torch's LinearLR and CosineAnnealingLR"
        assert abs(warmup_cosine(step, steps, warmup, floor) - min(rising[step], falling[step])) < 1e-9, hint


def test_schedule_at_its_ends_hidden():
    for step in (100, 101, 150, 200):
        assert abs(warmup_cosine(step, 100, 10, 0.2) - 0.2) < 1e-9, "after the last step the factor stays at the floor"
    first = warmup_cosine(0, 100, 0)
    assert abs(first - 1) < 1e-9, "without a warm-up the first factor is 1"


# %% [markdown]
# ## Clipping
#
# Now and then a batch has a gradient many times as large as usual. Clipping shortens it and keeps its direction, for
# which all tensors must shrink by the same factor.

# %% exercise="clip-gradients" difficulty=2 importance=4 minutes=15 replaces="torch._foreach_norm torch._foreach_mul_"
from solutions.training import clip_gradients


# %% test="clip-gradients" points=1
def torch_clipped(gradients, bound):
    """The same gradients clipped by torch, and their norm before."""
    leaves = [nn.Parameter(torch.zeros_like(gradient)) for gradient in gradients]
    for leaf, gradient in zip(leaves, gradients, strict=True):
        leaf.grad = gradient.clone()
    norm = nn.utils.clip_grad_norm_(leaves, bound)
    return [leaf.grad for leaf in leaves], norm.item()


def test_clipping_keeps_the_direction():
    gradients = [torch.tensor([[3.0], [0.0]]).double(), torch.tensor([4.0]).double()]
    norm, (after, _) = probes.after_call(clip_gradients, gradients, 1.0)
    assert norm is not None and abs(norm - 5) < 1e-9, "3 and 4 together have norm 5; return the norm before clipping"
    hint = "all tensors should shrink in place by the same factor, here to 3/5 and 4/5"
    check_tensor(after[0], torch.tensor([[0.6], [0.0]]).double(), hint, tolerance=1e-5)
    check_tensor(after[1], torch.tensor([0.8]).double(), hint, tolerance=1e-5)


def test_clipping_of_tiny_gradients():
    _, (after, _) = probes.after_call(
        clip_gradients, [torch.tensor([3e-6]).double(), torch.tensor([4e-6]).double()], 1e-6
    )
    hint = "a norm of 5e-6 and a bound of 1e-6 make a factor of 1/6, as the factor is bound / (norm + 1e-6)"
    check_tensor(after[0], torch.tensor([0.5e-6]).double(), hint)
    check_tensor(after[1], torch.tensor([4e-6 / 6]).double(), hint)


def test_clipping_leaves_small_gradients():
    # The norm of the second is 5: a bound little above it leaves them alone as one far above does.
    for gradients in (
        [numbers(60, 2, 3, scale=0.01), numbers(61, 4, scale=0.01)],
        [torch.tensor([3.0]).double(), torch.tensor([[4.0]]).double()],
    ):
        _, (after, _) = probes.after_call(clip_gradients, gradients, 6.0)
        for got, want in zip(after, gradients, strict=True):
            hint = "gradients below the bound should stay as they are: clipping never makes them longer"
            check_tensor(got, want, hint)


# %% test="clip-gradients-any" of="clip-gradients" points=2
def test_clipping_matches_torch_hidden():
    seed = fresh_seed()
    for scale, bound in ((1.0, 0.25), (100.0, 7.0), (1e-6, 1e-6), (0.1, 50.0)):
        gradients = [numbers(seed, 3, 1 + seed % 4, scale=scale), numbers(seed + 1, 5, scale=scale)]
        gradients.append(numbers(seed + 2, 1, 2, 2, scale=10 * scale))
        norm, (after, _) = probes.after_call(clip_gradients, gradients, bound)
        want, wanted_norm = torch_clipped(gradients, bound)
        assert abs(norm - wanted_norm) <= 1e-9 * wanted_norm, "the norm is not that of all tensors together, before"
        for ours, theirs in zip(after, want, strict=True):
            hint = "not what torch makes of them: the factor is bound / (norm + 1e-6) if that is below 1"
            check_tensor(ours, theirs, hint, tolerance=1e-12 * scale)


def test_clipping_of_nothing_hidden():
    norm, (after, _) = probes.after_call(clip_gradients, [torch.zeros(3), torch.zeros(2, 2)], 1.0)
    assert norm == 0, "gradients that are all 0 have norm 0"
    assert not any(g.any() or g.isnan().any() for g in after), "gradients that are all 0 should stay 0"


# %% [markdown]
# ## The training step
#
# `Trainer` holds a whole run. Its model is a GPT that drops some of its embeddings at random during training, as
# GPT-2 did; the config says how many. You write two methods.
#
# `accumulate` computes the gradient of a batch, in pieces where memory is short: only one piece's activations exist at
# a time, and PyTorch adds each `backward` to what stands in `grad` already. `step` puts the parts of this notebook in
# their order.
#
# <details><summary>Hint: pieces of unequal size</summary>
#
# The mean over 10 rows is not the mean of the means over 4, 4 and 2 of them: weigh each by its rows.
#
# </details>

# %% given="trainer-parts"
from solutions.training import DropoutGPT, TrainerConfig

# %% exercise="trainer" difficulty=4 importance=5 minutes=35 given_methods="__init__ weights gradients logits"
from solutions.training import Trainer


# %% test="trainer" points=2
def small_run(**changes):
    """The config of a tiny run over two texts."""
    settings = {"weights": (0.3, 0.7), "steps": 20, "batch_size": 5, "learning_rate": 1e-2, "warmup": 3, "seed": 1}
    return TrainerConfig(GPTConfig(vocab_size=11, context=6, d_model=8, n_head=2, n_layer=1), **(settings | changes))


def two_texts(seed):
    """Two short random texts."""
    return [token_ids(seed, 11, 50), token_ids(seed + 1, 11, 90)]


def first_model(config):
    """The model that a run of this config begins with."""
    torch.manual_seed(config.seed)
    return DropoutGPT(config.model, config.dropout)


def gradients_of(config, inputs, targets):
    """Loss and gradients of a batch at the first weights of a run, computed at once."""
    model = first_model(config)
    loss = F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())
    loss.backward()
    return loss.item(), {name: p.grad for name, p in model.named_parameters()}


def test_accumulate_gives_the_gradient_of_the_batch():
    trainer = Trainer(small_run(), two_texts(70))
    inputs, targets = token_ids(71, 11, 5, 6), token_ids(72, 11, 5, 6)
    want_loss, want = gradients_of(small_run(), inputs, targets)
    for pieces in (1, 5, 2):
        loss = trainer.accumulate(inputs, targets, pieces)
        assert isinstance(loss, float), f"the loss should be a float, not {type(loss).__name__}: use item()"
        hint = f"the loss of a batch in {pieces} pieces is {loss:.4f} and should be {want_loss:.4f}, its mean"
        assert abs(loss - want_loss) < 1e-5, hint
        hint = f"with {pieces} pieces the gradient is not the batch's: forget the last one, and weigh pieces by rows"
        found = trainer.gradients()
        missing = sorted(want.keys() - found.keys())
        assert not missing, (
            f"{missing[0]} gets no gradient: accumulate should call `backward` on the loss of each piece"
        )
        for name, gradient in want.items():
            check_tensor(found[name], gradient, hint, tolerance=1e-5)


# %% test="trainer-step" of="trainer" points=3
def plain_run(config, texts, n_steps, mixed=library_mixture):
    """What torch's own parts give in a plain loop: the losses, and the logits of the trained model.

    `mixed` makes the batches: torch's own samplers, if nothing else is said. Nothing here is your answer or ours.
    """
    batch, losses = mixed(texts, list(config.weights), config.model.context, config.seed), []
    with torch.random.fork_rng(devices=[]):  # leaves the random numbers of other runs alone
        model = first_model(config)
        groups = decay_groups(model, config.weight_decay)
        optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.95))
        for step in range(n_steps):
            for group in optimizer.param_groups:
                falling = (1 + math.cos(math.pi * step / config.steps)) / 2
                group["lr"] = config.learning_rate * min((step + 1) / config.warmup, falling)
            inputs, targets = batch(config.batch_size)
            optimizer.zero_grad()
            loss = F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), config.clip)
            optimizer.step()
            losses.append(loss.item())
    return losses, model.eval()(fixed_ids()).detach()


def check_losses(got, want, hint):
    """Assert that the losses of steps are those of a plain loop, but for rounding."""
    assert len(got) == len(want), f"{len(got)} losses in place of {len(want)}; {hint}"
    worst = max(abs(a - b) for a, b in zip(got, want, strict=True))
    assert worst < 2e-3, f"{hint} (the largest difference is {worst:.2g})"


def fixed_ids():
    """The ids by which trained models are compared. Some weights do not matter to any answer, and may differ."""
    return token_ids(99, 11, 6, 6)


def test_first_step_is_that_of_a_plain_loop():
    config = small_run(weight_decay=5.0, clip=0.1)
    losses, logits = plain_run(config, two_texts(73), 1)
    trainer = Trainer(config, two_texts(73))
    loss = trainer.step()
    assert loss is not None and abs(loss - losses[0]) < 1e-5, "step should return the loss of its batch"
    hint = "after one step the model is not that of a plain loop: is the learning rate set for step 0, in every group?"
    check_tensor(trainer.logits(fixed_ids()), logits, hint, tolerance=1e-4)


def test_second_step_has_a_rate_of_its_own():
    config = small_run(weight_decay=5.0, learning_rate=0.05, clip=100.0)
    _, logits = plain_run(config, two_texts(73), 2)
    trainer = Trainer(config, two_texts(73))
    trainer.step(), trainer.step()
    hint = "after two steps the model is not that of a plain loop: the rate follows the number of losses, so note each"
    check_tensor(trainer.logits(fixed_ids()), logits, hint, tolerance=1e-3)


def test_steps_are_those_of_a_plain_loop_hidden():
    seed = fresh_seed()
    config = small_run(weight_decay=5.0, pieces=2, seed=seed % 1000)
    losses, logits = plain_run(config, two_texts(seed), 8)
    trainer = Trainer(config, two_texts(seed))
    got = [trainer.step() for _ in range(8)]
    check_losses(
        got, losses, "after 8 steps the losses are not those of a plain loop: the rate follows the number of losses"
    )
    check_tensor(
        trainer.logits(fixed_ids()), logits, "after 8 steps the model is not that of a plain loop", tolerance=1e-2
    )


def check_clipped(seed):
    """Assert that two steps with a bound far below the gradients' norm are those of a plain loop."""
    # Gradients as short as eps: what is not clipped moves the weights far more.
    config, texts = small_run(clip=1e-8, seed=seed % 1000), two_texts(seed)
    trainer = Trainer(config, texts)
    trainer.step(), trainer.step()
    hint = "gradients should be clipped, by the config's bound, between accumulate and the optimizer's step"
    check_tensor(trainer.logits(fixed_ids()), plain_run(config, texts, 2)[1], hint, tolerance=1e-3)


def test_gradients_are_clipped_before_the_step():
    check_clipped(74)


def test_gradients_of_any_run_are_clipped_hidden():
    check_clipped(fresh_seed())


# %% [markdown]
# With your step, does the learning rate matter as the chapter says? The next test trains twice, on a text in which one
# rule decides nine tokens out of ten: at a sound rate, and at a hundred times that.


# %% test="trainer-learns" of="trainer" points=1
def language(seed, n, rule):
    """A text of n tokens out of 12: a fixed rule says what follows each, and one in ten is random."""
    follows = torch.randperm(12, generator=torch.Generator().manual_seed(rule))
    row, is_fresh = token_ids(seed, 12, n), torch.rand(n, generator=torch.Generator().manual_seed(seed + 1)) > 0.9
    for i in range(1, n):
        if not is_fresh[i]:
            row[i] = follows[row[i - 1]]
    return row


def share_predicted(trainer, seed, rule):
    """How often the model's first choice is the next token, over fresh text of a rule (0 to 1)."""
    rows = language(seed, 60 * 9, rule).view(60, 9)
    return (trainer.logits(rows[:, :-1])[:, 2:].argmax(-1) == rows[:, 3:]).double().mean().item()


def language_run(**changes):
    """The config of a short run over two languages."""
    settings = {"weights": (1.0, 0.0), "steps": 25, "batch_size": 8, "learning_rate": 2e-2, "warmup": 5}
    return TrainerConfig(GPTConfig(vocab_size=12, context=8, d_model=16, n_head=2, n_layer=1), **(settings | changes))


def trained(config, seed):
    """A trainer after all steps of its run."""
    trainer = Trainer(config, [language(seed, 900, rule=1), language(seed + 2, 900, rule=2)])
    for _ in range(config.steps):
        trainer.step()
    return trainer


def test_a_sound_rate_learns_and_a_hundredfold_does_not():
    sound = share_predicted(trained(language_run(), 80), 84, rule=1)
    assert sound > 0.6, f"after 25 steps it predicts {sound:.0%} of the tokens; ours predicts 90%"
    too_high = share_predicted(trained(language_run(learning_rate=2.0), 80), 84, rule=1)
    assert too_high < 0.4, f"at a rate of 2 it still learned ({too_high:.0%}): does the config's rate reach the step?"


# %% [markdown]
# ## What a run is made of
#
# Long runs are interrupted: by Ctrl-C, by a full disk, by the end of a cluster's time slot. A snapshot must hold
# everything that decides how the run goes on. The weights alone are not enough, and what is missing does not crash: the
# run goes on a little worse, and nobody notices.
#
# <details><summary>Hint: what decides the next step?</summary>
#
# Read `Trainer.step` line by line and ask of each value where it comes from: the weights, the optimizer's moments and
# their step counts, the number of losses, the order of the windows, and the random numbers of dropout.
#
# </details>
#
# <details><summary>Hint: it changes after it was taken</summary>
#
# `state_dict()` gives the tensors themselves, which the next step changes in place. `copy.deepcopy` makes copies of all
# that is inside.
#
# </details>

# %% exercise="snapshot" difficulty=4 importance=5 minutes=30
from solutions.training import restore, snapshot


# %% test="snapshot" points=2
def apart(ours, theirs):
    """The largest difference between two trainers' weights."""
    weights = theirs.weights()
    return max((tensor - weights[name]).abs().max().item() for name, tensor in ours.weights().items())


def check_run(trainer, config, texts, n_steps, hint):
    """Assert that a trainer's model is that of a plain loop after so many steps of the run."""
    check_tensor(trainer.logits(fixed_ids()), plain_run(config, texts, n_steps)[1], hint, tolerance=1e-4)


def all_numbers(state):
    """Every number that plain data holds, in one row."""
    if isinstance(state, dict):
        state = list(state.values())
    if isinstance(state, list | tuple):
        return torch.cat([torch.zeros(0).double(), *map(all_numbers, state)])
    is_number = isinstance(state, int | float) or hasattr(state, "__array__")
    return torch.as_tensor(state).double().flatten() if is_number else torch.zeros(0).double()


def test_snapshot_holds_the_weights():
    trainer = Trainer(small_run(), two_texts(90))
    weights = {name: numbers(91, *w.shape).float() for name, w in first_model(small_run()).state_dict().items()}
    trainer.model.load_state_dict(weights)
    held = all_numbers(snapshot(trainer))
    missing = [name for name, weight in weights.items() if not torch.isin(weight.double(), held).all()]
    assert not missing, (
        f"the snapshot does not hold the numbers of the model's {missing[0]}: all weights belong in it, in numbers, "
        "lists, dicts and tensors"
    )


def test_restored_trainer_has_the_weights_and_goes_on():
    config, texts = small_run(), two_texts(90)
    first, second, third = (Trainer(config, texts) for _ in range(3))
    for _ in range(4):
        first.step()
    state = snapshot(first)
    restore(second, state)
    hint = "after restore the weights are not those of the snapshot"
    check_run(second, config, texts, 4, hint)
    assert apart(first, second) == 0, hint
    restore(third, state)
    batch = library_mixture(texts, list(config.weights), 6, config.seed)
    for _ in range(4):
        batch(config.batch_size)
    hint = "after restore it reads other windows: the mixture has a state too"
    assert torch.equal(third.mixture.batch(6)[0], batch(6)[0]), hint
    first.step(), second.step()
    hint = "the first step after restore goes elsewhere: what the optimizer remembers, and the step's number, belong in"
    check_run(second, config, texts, 5, hint)
    assert apart(first, second) == 0, hint


# %% test="snapshot-whole" of="snapshot" points=2
def check_snapshot_stays(seed):
    """Assert that neither later steps nor those after restore change a snapshot."""
    config, texts = small_run(seed=seed % 1000), two_texts(seed)
    trainer, second = (Trainer(config, texts) for _ in range(2))
    for _ in range(3):
        trainer.step()
        second.step()
    state = probes.kept(snapshot, trainer, then=trainer.step, times=4)
    _, (_, after) = probes.after_call(restore, trainer, state, then=trainer.step, times=2)
    hint = "the snapshot is another after the trainer went on from it: what restore puts into the trainer are copies"
    assert torch.equal(all_numbers(after), all_numbers(state)), hint
    restore(trainer, state)
    hint = "later steps changed the snapshot: it holds the trainer's own tensors, not copies"
    check_run(trainer, config, texts, 3, hint)
    assert apart(trainer, second) == 0, hint
    trainer.step(), second.step()
    hint = "the run does not go on from the snapshot: did later steps change part of it?"
    check_run(trainer, config, texts, 4, hint)
    assert apart(trainer, second) == 0, hint


def test_snapshot_stays_what_it_was():
    check_snapshot_stays(92)


def test_snapshot_of_any_run_stays_what_it_was_hidden():
    check_snapshot_stays(fresh_seed())


def check_restored_run(seed):
    """Assert that a run with dropout ends after restore as it would have ended without."""
    config, texts = small_run(dropout=0.2, seed=seed % 1000, steps=9), two_texts(seed)
    whole = Trainer(config, texts)
    for _ in range(9):
        last = whole.step()
    first = Trainer(config, texts)
    for _ in range(4):
        first.step()
    state = snapshot(first)
    second = Trainer(config, texts)
    second.step()
    restore(second, state)
    for _ in range(5):
        found = second.step()
    hint = "with dropout the rest of the run comes out otherwise: torch's random state belongs to the snapshot"
    check_run(second, config, texts, 9, hint)
    assert found == last, hint
    assert apart(whole, second) == 0, hint


def test_restored_run_ends_as_the_whole_one():
    check_restored_run(93)


def test_restored_run_of_any_seed_ends_as_the_whole_one_hidden():
    check_restored_run(fresh_seed())


# %% [markdown]
# ## A run that survives
#
# The loop around it is short. `saved` behaves like a list; in the tests it is one, and in the run below it keeps its
# last snapshot on disk.

# %% exercise="train-until" difficulty=2 importance=4 minutes=15
from solutions.training import train_until


# %% test="train-until" points=1
def test_train_until_saves_now_and_then():
    config, texts = small_run(), two_texts(95)
    trainer = Trainer(config, texts)
    losses, (_, saved, _, _) = probes.after_call(train_until, trainer, [], 7, 3)
    assert losses is not None and len(losses) == 7, "all 7 losses should be returned"
    check_losses(losses, plain_run(config, texts, 7)[0], "the losses are not those of 7 steps of the run")
    assert len(saved) == 2, f"every 3 steps of 7 make 2 snapshots, after steps 3 and 6, not {len(saved)}"
    for number, state in zip((3, 6), saved, strict=True):
        restore(trainer, state)
        check_run(trainer, config, texts, number, f"a snapshot should be taken after step {number} of the run")


# %% test="train-until-resumes" of="train-until" points=1
def check_resumed_run(seed):
    """Assert that a run that was stopped after step 8 goes on from the snapshot after step 6, up to step 12."""
    config, texts = small_run(dropout=0.1, seed=seed % 1000), two_texts(seed)
    whole = Trainer(config, texts)
    wanted = [whole.step() for _ in range(12)]
    second = Trainer(config, texts)  # before the other, whose steps draw from the random numbers of dropout
    _, (_, saved, _, _) = probes.after_call(train_until, Trainer(config, texts), [], 8, 3)
    losses, (_, saved, _, _) = probes.after_call(train_until, second, saved, 12, 3)
    assert len(losses) == 12, "a run that goes on should have all 12 losses: begin from the last snapshot"
    hint = "a run that goes on should have the losses of one that was never interrupted"
    check_losses(losses, plain_run(config, texts, 12)[0], hint)
    assert list(losses) == wanted, hint
    assert len(saved) == 4, "steps 9 and 12 of the run add two snapshots: count the run's steps, not this call's"


def test_train_until_goes_on_from_the_last_snapshot():
    check_resumed_run(96)


def test_train_until_goes_on_in_any_run_hidden():
    check_resumed_run(fresh_seed())


# %% [markdown]
# ## All together
#
# The last test uses nothing of ours. What your parts do together must be what torch's own do with the windows that your
# mixture gives; a run that was interrupted must end exactly as one that was not; and of two languages, mixed nineteen to one
# and one to nineteen, your trainer must become good at what it mostly reads.


# %% test="integration" of="integration" points=4
def test_your_run_survives_an_interruption():
    config, texts = small_run(dropout=0.1), two_texts(97)
    trainer = Trainer(config, texts)
    trainer.step()
    hint = "after a step the run has one loss: does step note it in `losses`, and train_until return them all?"
    assert len(train_until(trainer, [], 0, 4)) == 1, hint
    whole = list(train_until(Trainer(config, texts), [], 10, 4))
    by_torch, _ = plain_run(config, texts, 10, mixed=lambda *how: Mixture(*how).batch)
    check_losses(whole, by_torch, "your parts together do not train as torch's do on the same batches")
    second = Trainer(config, texts)  # before the other, whose steps draw from the random numbers of dropout
    _, (_, saved, _, _) = probes.after_call(train_until, Trainer(config, texts), [], 7, 4)
    assert list(train_until(second, saved, 10, 4)) == whole, "an interrupted run ends otherwise than a whole one"


def test_your_mixture_decides_what_is_learned():
    # One seed for all: with some mistakes a model still learns, or does not, as the seed will have it.
    shares = {}
    for weights in ((0.95, 0.05), (0.05, 0.95)):
        trainer = trained(language_run(weights=weights), 100)
        shares[weights] = share_predicted(trainer, 104, 1) - share_predicted(trainer, 106, 2)
    difference = shares[0.95, 0.05] - shares[0.05, 0.95]
    assert difference > 0.9, "a mixture should decide which language the model predicts better, and hardly does"


# %% [markdown]
# ## Stop it, and go on
#
# Now a GPT reads Python's documentation and Python's source code with your parts, three to one. The cell below draws
# the losses while it trains and is interrupted at step 130, as if you had pressed the stop button. First, a guess: with
# a snapshot every 50 steps, how many steps will be lost?

# %% run
if __name__ == "__main__":
    predicted_lost = None  # your guess

# %% run
if __name__ == "__main__":
    import signal
    import tempfile
    from pathlib import Path

    from labkit.live import LossCurve, SavedStates

    def byte_text(text):
        """A text as token ids: its bytes."""
        return torch.tensor(list(text.encode()))

    class WatchedTrainer(Trainer):
        """A trainer whose losses are drawn while it trains; `stop_after` stands for a hand on Ctrl-C."""

        curve = None
        stop_after = None

        def step(self):
            loss = super().step()
            if self.curve is not None:
                self.curve(self.losses)
            if len(self.losses) == self.stop_after:
                signal.raise_signal(signal.SIGINT)
            return loss


# %% run tags=["nbval-ignore-output"]
if __name__ == "__main__":
    torch.set_num_threads(1)  # a model this small gains little from more, and loses much where others work too
    read = [byte_text(corpus.text("train", 300_000)), byte_text(corpus.source_code(300_000))]
    config = TrainerConfig(
        GPTConfig(vocab_size=256, context=64, d_model=48, n_head=4, n_layer=2),
        weights=(0.75, 0.25),
        steps=200,
        batch_size=16,
        learning_rate=5e-3,
        warmup=20,
        dropout=0.05,
    )
    # A folder of this machine that may vanish; for a run of your own, name a file that stays.
    saved = SavedStates(Path(tempfile.mkdtemp()) / "run.pt")
    trainer = WatchedTrainer(config, read)
    trainer.curve, trainer.stop_after = LossCurve(config.steps), 130
    try:
        train_until(trainer, saved, config.steps, every=50)
    except KeyboardInterrupt:
        print(f"Interrupted after {len(trainer.losses)} steps.")
    reached = len(trainer.losses)

# %% run tags=["nbval-ignore-output"]
if __name__ == "__main__":
    # As after a restart: nothing is left of the trainer but the file.
    trainer = WatchedTrainer(config, read)
    compare_prediction("steps lost", predicted_lost, reached - len(saved[-1]["losses"]) if saved else reached)
    trainer.curve = LossCurve(config.steps)
    losses = train_until(trainer, saved, config.steps, every=50)
    assert len(losses) == config.steps and sum(losses[-20:]) / 20 < 3.3, "the run should end, and have learned"

# %% [markdown]
# ## Your parts in `labkit.fit`
#
# The loop that the other notebooks were handed takes any optimizer, schedule and batches: yours too.

# %% run tags=["nbval-ignore-output"]
if __name__ == "__main__":
    from functools import partial

    from labkit.fit import fit
    from solutions.gpt import GPT

    torch.manual_seed(0)
    model = GPT(config.model)
    mixture = Mixture(read, [0.75, 0.25], context=64, seed=0)
    found = fit(
        model,
        iter(lambda: mixture.batch(16), None),
        steps=60,
        optimizer=AdamW(decay_groups(model, 0.1), lr=5e-3),
        schedule=partial(warmup_cosine, steps=60, warmup=10),
        watch=LossCurve(60),
        progress=False,
    )
    assert sum(found[-10:]) / 10 < 3.6, "it should learn here too"
