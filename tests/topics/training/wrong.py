"""Plausible wrong answers to the training assignment, each with the message that it must draw."""

import copy
import io
import math

import torch
import torch.nn.functional as F

import solutions.training
from course.banks.bank import wrong

# ---------------------------------------------------------------------------------------------------------- epochs


@wrong("epochs", mistake="leaves the size out", says="divided by all tokens there are")
def epochs(weights, sizes, total):
    return [weight / sum(weights) * total / sum(sizes) for weight in weights]


@wrong("epochs", mistake="turns the fraction round", says="upside down")
def epochs(weights, sizes, total):
    return [
        size / (weight / sum(weights) * total) if weight else 0.0 for weight, size in zip(weights, sizes, strict=True)
    ]


@wrong("epochs", mistake="takes the weights as they are", says="meant in proportion")
def epochs(weights, sizes, total):
    return [weight * total / size for weight, size in zip(weights, sizes, strict=True)]


@wrong("epochs", mistake="reads every data set in proportion to its size", says="read equally often")
def epochs(weights, sizes, total):
    return [total / sum(sizes) for _ in sizes]


@wrong("epochs", mistake="leaves the weights out", says="each data set gets all 20 tokens")
def epochs(weights, sizes, total):
    return [total / size for size in sizes]


@wrong("epochs", mistake="returns a tensor", says="should return a list of numbers")
def epochs(weights, sizes, total):
    shares = torch.tensor(weights, dtype=torch.float64)
    return shares / shares.sum() * total / torch.tensor(sizes, dtype=torch.float64)


@wrong("epochs", mistake="counts whole epochs only", says="of 40, is a quarter")
def epochs(weights, sizes, total):
    return [weight / sum(weights) * total // size for weight, size in zip(weights, sizes, strict=True)]


@wrong("epochs", mistake="takes weights that add up to less than 1 as they are", says="add up to less than 1")
def epochs(weights, sizes, total):
    whole = max(sum(weights), 1.0)
    return [weight / whole * total / size for weight, size in zip(weights, sizes, strict=True)]


# ---------------------------------------------------------------------------------------------------------- source


@wrong("source", mistake="draws windows with replacement", says="some windows come twice")
class Source(solutions.training.Source):
    def next_window(self):
        return self.windows[torch.randint(len(self.windows), (1,), generator=self.generator).item()]


@wrong("source", mistake="reads the text in its order", says="in the order of the text")
class Source(solutions.training.Source):
    def next_window(self):
        self.position += 1
        return self.windows[(self.position - 1) % len(self.windows)]


@wrong("source", mistake="draws one order for all epochs", says="draw anew for each")
class Source(solutions.training.Source):
    def next_window(self):
        if len(self.order) == 0:
            self.order = torch.randperm(len(self.windows), generator=self.generator)
        self.position += 1
        return self.windows[self.order[(self.position - 1) % len(self.order)]]


@wrong("source", mistake="leaves out an epoch's last window", says="read the order to its end")
class Source(solutions.training.Source):
    def next_window(self):
        if self.position >= len(self.order) - 1:
            self.order = torch.randperm(len(self.windows), generator=self.generator)
            self.position = 0
        self.position += 1
        return self.windows[self.order[self.position - 1]]


@wrong("source", mistake="draws from torch's global random state", says="the source's own generator")
class Source(solutions.training.Source):
    def next_window(self):
        if self.position == len(self.order):
            self.order, self.position = torch.randperm(len(self.windows)), 0
        self.position += 1
        return self.windows[self.order[self.position - 1]]


@wrong("source", mistake="forgets the generator's state", says="the generator's state belongs")
class Source(solutions.training.Source):
    def state_dict(self):
        return {"order": self.order, "position": self.position}

    def load_state_dict(self, state):
        self.order, self.position = state["order"], state["position"]


@wrong("source", mistake="begins a new epoch when it is restored", says="a new epoch begins")
class Source(solutions.training.Source):
    def state_dict(self):
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state):
        self.generator.set_state(state["generator"])
        self.order, self.position = torch.empty(0, dtype=torch.long), 0


@wrong(
    "source",
    mistake="gives out a list that it goes on using up",
    says="should hold copies",
    never=("the place in it is lost",),
)
class Source(solutions.training.Source):
    def next_window(self):
        if len(self.order) == 0:
            self.order = torch.randperm(len(self.windows), generator=self.generator).tolist()
        return self.windows[self.order.pop()]

    def state_dict(self):
        return {"order": self.order, "generator": self.generator.get_state()}

    def load_state_dict(self, state):
        self.order = list(state["order"])
        self.generator.set_state(state["generator"])


@wrong("source", mistake="does nothing when a state is loaded", says="load_state_dict changed nothing")
class Source(solutions.training.Source):
    def load_state_dict(self, state):
        pass


@wrong("source", mistake="keeps the order but not the place in it", says="the present epoch begins again")
class Source(solutions.training.Source):
    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.position = 0


@wrong("source", mistake="begins windows anywhere", says="windows begin at tokens 0, 4, 8")
class Source(solutions.training.Source):
    def next_window(self):
        tokens = torch.cat([self.windows[0], self.windows[1:, 1:].flatten()])
        length = self.windows.shape[1]
        start = torch.randint(len(tokens) - length + 1, (1,), generator=self.generator).item()
        return tokens[start : start + length]


@wrong("source", mistake="puts the generator itself into its state", says="should hold plain data")
class Source(solutions.training.Source):
    def state_dict(self):
        return super().state_dict() | {"generator": self.generator}


@wrong("source", mistake="seeds the generator again when a state is loaded", says="the generator's state belongs")
class Source(solutions.training.Source):
    def state_dict(self):
        return {"order": self.order, "position": self.position, "seed": self.generator.initial_seed()}

    def load_state_dict(self, state):
        self.order, self.position = state["order"], state["position"]
        self.generator.manual_seed(state["seed"])


# --------------------------------------------------------------------------------------------------------- mixture


@wrong("mixture", mistake="mixes by size", says="the longer a text")
class Mixture(solutions.training.Mixture):
    def batch(self, batch_size):
        sizes = torch.tensor([float(len(source.windows)) for source in self.sources])
        chosen = torch.multinomial(sizes, batch_size, replacement=True, generator=self.generator)
        windows = torch.stack([self.sources[i].next_window() for i in chosen.tolist()])
        return windows[:, :-1], windows[:, 1:]


@wrong("mixture", mistake="draws one text for the whole batch", says="each row should choose its own")
class Mixture(solutions.training.Mixture):
    def batch(self, batch_size):
        source = self.sources[torch.multinomial(self.weights, 1, generator=self.generator).item()]
        windows = torch.stack([source.next_window() for _ in range(batch_size)])
        return windows[:, :-1], windows[:, 1:]


@wrong("mixture", mistake="takes the weights for probabilities", says="meant in proportion")
class Mixture(solutions.training.Mixture):
    def batch(self, batch_size):
        drawn = torch.rand(batch_size, generator=self.generator, dtype=torch.float64)
        chosen = torch.searchsorted(self.weights.cumsum(0), drawn).clamp(max=len(self.weights) - 1)
        windows = torch.stack([self.sources[i].next_window() for i in chosen.tolist()])
        return windows[:, :-1], windows[:, 1:]


@wrong("mixture", mistake="draws windows itself, with replacement", says="with next_window")
class Mixture(solutions.training.Mixture):
    def batch(self, batch_size):
        rows = []
        for i in torch.multinomial(self.weights, batch_size, replacement=True, generator=self.generator).tolist():
            windows = self.sources[i].windows
            rows.append(windows[torch.randint(len(windows), (1,), generator=self.generator).item()])
        windows = torch.stack(rows)
        return windows[:, :-1], windows[:, 1:]


@wrong("mixture", mistake="does not shift the targets", says="the token that follows its input")
class Mixture(solutions.training.Mixture):
    def batch(self, batch_size):
        chosen = torch.multinomial(self.weights, batch_size, replacement=True, generator=self.generator)
        windows = torch.stack([self.sources[i].next_window() for i in chosen.tolist()])
        return windows[:, :-1], windows[:, :-1]


@wrong("mixture", mistake="saves only its own generator", says="each source has a state too")
class Mixture(solutions.training.Mixture):
    def state_dict(self):
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state):
        self.generator.set_state(state["generator"])


@wrong("mixture", mistake="saves only its sources", says="the mixture's generator belongs")
class Mixture(solutions.training.Mixture):
    def state_dict(self):
        return {"sources": [source.state_dict() for source in self.sources]}

    def load_state_dict(self, state):
        for source, its_state in zip(self.sources, state["sources"], strict=True):
            source.load_state_dict(its_state)


@wrong("mixture", mistake="chooses all texts equally often", says="all texts are chosen equally often")
class Mixture(solutions.training.Mixture):
    def batch(self, batch_size):
        chosen = torch.randint(len(self.sources), (batch_size,), generator=self.generator)
        windows = torch.stack([self.sources[i].next_window() for i in chosen.tolist()])
        return windows[:, :-1], windows[:, 1:]


@wrong("mixture", mistake="puts the weights through a softmax", says="through a softmax")
class Mixture(solutions.training.Mixture):
    def batch(self, batch_size):
        chosen = torch.multinomial(self.weights.softmax(0), batch_size, True, generator=self.generator)
        windows = torch.stack([self.sources[i].next_window() for i in chosen.tolist()])
        return windows[:, :-1], windows[:, 1:]


@wrong("mixture", mistake="gives each text a fixed number of rows", says="draw for every row by itself")
class Mixture(solutions.training.Mixture):
    def batch(self, batch_size):
        ends = (self.weights.cumsum(0) / self.weights.sum() * batch_size).round().tolist()
        chosen = [next(i for i, end in enumerate(ends) if row < end) for row in range(batch_size)]
        windows = torch.stack([self.sources[i].next_window() for i in chosen])
        return windows[:, :-1], windows[:, 1:]


@wrong("mixture", mistake="returns targets and inputs", says="inputs and targets are swapped")
class Mixture(solutions.training.Mixture):
    def batch(self, batch_size):
        inputs, targets = super().batch(batch_size)
        return targets, inputs


@wrong("mixture", mistake="draws from torch's global random state", says="the mixture's own generator")
class Mixture(solutions.training.Mixture):
    def batch(self, batch_size):
        chosen = torch.multinomial(self.weights, batch_size, replacement=True)
        windows = torch.stack([self.sources[i].next_window() for i in chosen.tolist()])
        return windows[:, :-1], windows[:, 1:]


@wrong("mixture", mistake="multiplies the weights by the texts' lengths", says="should be near the weights")
class Mixture(solutions.training.Mixture):
    def batch(self, batch_size):
        sizes = torch.tensor([float(len(source.windows)) for source in self.sources])
        chosen = torch.multinomial(self.weights * sizes, batch_size, replacement=True, generator=self.generator)
        windows = torch.stack([self.sources[i].next_window() for i in chosen.tolist()])
        return windows[:, :-1], windows[:, 1:]


@wrong("mixture", mistake="draws texts without replacement", says="draw with replacement")
class Mixture(solutions.training.Mixture):
    def batch(self, batch_size):
        chosen = torch.multinomial(self.weights, batch_size, generator=self.generator)
        windows = torch.stack([self.sources[i].next_window() for i in chosen.tolist()])
        return windows[:, :-1], windows[:, 1:]


# ------------------------------------------------------------------------------------- adamw-update: the averages


@wrong("adamw-update", mistake="swaps old and new", says="swapped in the mean")
def update_moments(gradient, moments, betas):
    zero = torch.zeros_like(gradient)
    return {
        "step": moments.get("step", 0) + 1,
        "mean": (1 - betas[0]) * moments.get("mean", zero) + betas[0] * gradient,
        "square": (1 - betas[1]) * moments.get("square", zero) + betas[1] * gradient**2,
    }


@wrong("adamw-update", mistake="squares the mean of the gradients", says="the new mean is squared")
def update_moments(gradient, moments, betas):
    new = solutions.training.update_moments(gradient, moments, betas)
    new["square"] = betas[1] * moments.get("square", torch.zeros_like(gradient)) + (1 - betas[1]) * new["mean"] ** 2
    return new


@wrong("adamw-update", mistake="uses one beta for both", says="the square uses the first beta")
def update_moments(gradient, moments, betas):
    return solutions.training.update_moments(gradient, moments, (betas[0], betas[0]))


@wrong("adamw-update", mistake="does not count", says="counts the gradients")
def update_moments(gradient, moments, betas):
    return solutions.training.update_moments(gradient, moments, betas) | {"step": moments.get("step", 0)}


@wrong("adamw-update", mistake="starts the averages at the first gradient", says="begins them at the first gradient")
def update_moments(gradient, moments, betas):
    if not moments:
        return {"step": 1, "mean": gradient.clone(), "square": gradient**2}
    return solutions.training.update_moments(gradient, moments, betas)


@wrong("adamw-update", mistake="changes the old moments in place", says="the old dict was changed")
def update_moments(gradient, moments, betas):
    new = moments or {"step": 0, "mean": torch.zeros_like(gradient), "square": torch.zeros_like(gradient)}
    new["step"] += 1
    new["mean"].mul_(betas[0]).add_((1 - betas[0]) * gradient)
    new["square"].mul_(betas[1]).add_((1 - betas[1]) * gradient**2)
    return dict(new)


@wrong("adamw-update", mistake="returns a tuple", says="it returned a tuple")
def update_moments(gradient, moments, betas):
    return tuple(solutions.training.update_moments(gradient, moments, betas).values())


@wrong("adamw-update", mistake="averages the gradient in place of its square", says="square it first")
def update_moments(gradient, moments, betas):
    new = solutions.training.update_moments(gradient, moments, betas)
    return new | {"square": betas[1] * moments.get("square", 0 * gradient) + (1 - betas[1]) * gradient}


@wrong("adamw-update", mistake="adds the whole gradient", says="the whole gradient is added to the mean")
def update_moments(gradient, moments, betas):
    new = solutions.training.update_moments(gradient, moments, betas)
    return new | {"mean": betas[0] * moments.get("mean", 0 * gradient) + gradient}


@wrong(
    "adamw-update",
    mistake="changes the old tensors in place, in a new dict",
    says="the tensors of the old moments were changed in place",
    never=("the old dict was changed",),
)
def update_moments(gradient, moments, betas):
    if not moments:
        return solutions.training.update_moments(gradient, {}, betas)
    moments["mean"].lerp_(gradient, 1 - betas[0])
    moments["square"].lerp_(gradient**2, 1 - betas[1])
    return moments | {"step": moments["step"] + 1}


# ----------------------------------------------------------------------------------------- adamw-update: the step


def moments_after(gradient, moments, betas):
    return solutions.training.update_moments(gradient, moments, betas)


def corrected(moments, betas, step=None):
    step = moments["step"] if step is None else step
    return moments["mean"] / (1 - betas[0] ** step), moments["square"] / (1 - betas[1] ** step)


@wrong("adamw-update", mistake="does not correct the averages", says="neither average is corrected")
def adamw_update(parameter, gradient, moments, learning_rate, betas, eps, weight_decay):
    moments = moments_after(gradient, moments, betas)
    kept = (1 - learning_rate * weight_decay) * parameter
    return kept - learning_rate * moments["mean"] / (moments["square"].sqrt() + eps), moments


@wrong("adamw-update", mistake="corrects the mean only", says="only the mean is corrected")
def adamw_update(parameter, gradient, moments, learning_rate, betas, eps, weight_decay):
    moments = moments_after(gradient, moments, betas)
    mean, _ = corrected(moments, betas)
    kept = (1 - learning_rate * weight_decay) * parameter
    return kept - learning_rate * mean / (moments["square"].sqrt() + eps), moments


@wrong(
    "adamw-update",
    mistake="corrects with the step before",
    says="one gradient too few",
    never=("corrected:", "inside the root"),
)
def adamw_update(parameter, gradient, moments, learning_rate, betas, eps, weight_decay):
    before = max(moments.get("step", 0), 1)
    moments = moments_after(gradient, moments, betas)
    mean, square = corrected(moments, betas, before)
    kept = (1 - learning_rate * weight_decay) * parameter
    return kept - learning_rate * mean / (square.sqrt() + eps), moments


@wrong(
    "adamw-update",
    mistake="adds eps under the root",
    says="inside the root",
    never=("corrections", "before the correction"),
)
def adamw_update(parameter, gradient, moments, learning_rate, betas, eps, weight_decay):
    moments = moments_after(gradient, moments, betas)
    mean, square = corrected(moments, betas)
    kept = (1 - learning_rate * weight_decay) * parameter
    return kept - learning_rate * mean / (square + eps).sqrt(), moments


@wrong(
    "adamw-update",
    mistake="adds eps before the correction",
    says="before the correction",
    never=("inside the root", "corrections count"),
)
def adamw_update(parameter, gradient, moments, learning_rate, betas, eps, weight_decay):
    moments = moments_after(gradient, moments, betas)
    mean, _ = corrected(moments, betas)
    root = (moments["square"].sqrt() + eps) / math.sqrt(1 - betas[1] ** moments["step"])
    return (1 - learning_rate * weight_decay) * parameter - learning_rate * mean / root, moments


@wrong("adamw-update", mistake="adds the decay to the gradient, as Adam does", says="went through the averages")
def adamw_update(parameter, gradient, moments, learning_rate, betas, eps, weight_decay):
    moments = moments_after(gradient + weight_decay * parameter, moments, betas)
    mean, square = corrected(moments, betas)
    return parameter - learning_rate * mean / (square.sqrt() + eps), moments


@wrong("adamw-update", mistake="decays without the learning rate", says="forgets the learning rate")
def adamw_update(parameter, gradient, moments, learning_rate, betas, eps, weight_decay):
    moments = moments_after(gradient, moments, betas)
    mean, square = corrected(moments, betas)
    return (1 - weight_decay) * parameter - learning_rate * mean / (square.sqrt() + eps), moments


@wrong(
    "adamw-update",
    mistake="decays after the step",
    says="the step comes first",
    never=("corrections", "went through the averages"),
)
def adamw_update(parameter, gradient, moments, learning_rate, betas, eps, weight_decay):
    moments = moments_after(gradient, moments, betas)
    mean, square = corrected(moments, betas)
    stepped = parameter - learning_rate * mean / (square.sqrt() + eps)
    return (1 - learning_rate * weight_decay) * stepped, moments


@wrong("adamw-update", mistake="changes the parameter in place", says="the old parameter was changed in place")
def adamw_update(parameter, gradient, moments, learning_rate, betas, eps, weight_decay):
    moments = moments_after(gradient, moments, betas)
    mean, square = corrected(moments, betas)
    parameter.mul_(1 - learning_rate * weight_decay).sub_(learning_rate * mean / (square.sqrt() + eps))
    return parameter.clone(), moments


@wrong("adamw-update", mistake="calls the oracle", says="asks you to write what that call does")
def adamw_update(parameter, gradient, moments, learning_rate, betas, eps, weight_decay):
    leaf = torch.nn.Parameter(parameter.clone())
    optimizer = torch.optim.AdamW([leaf], learning_rate, betas, eps, weight_decay)
    leaf.grad = gradient
    optimizer.step()
    return leaf.detach(), solutions.training.update_moments(gradient, moments, betas)


@wrong("adamw-update", mistake="corrects the square only", says="only the square is corrected")
def adamw_update(parameter, gradient, moments, learning_rate, betas, eps, weight_decay):
    moments = moments_after(gradient, moments, betas)
    _, square = corrected(moments, betas)
    kept = (1 - learning_rate * weight_decay) * parameter
    return kept - learning_rate * moments["mean"] / (square.sqrt() + eps), moments


@wrong("adamw-update", mistake="forgets the root", says="the root is missing")
def adamw_update(parameter, gradient, moments, learning_rate, betas, eps, weight_decay):
    moments = moments_after(gradient, moments, betas)
    mean, square = corrected(moments, betas)
    return (1 - learning_rate * weight_decay) * parameter - learning_rate * mean / (square + eps), moments


@wrong("adamw-update", mistake="corrects with one step more", says="one gradient too many")
def adamw_update(parameter, gradient, moments, learning_rate, betas, eps, weight_decay):
    moments = moments_after(gradient, moments, betas)
    mean, square = corrected(moments, betas, moments["step"] + 1)
    return (1 - learning_rate * weight_decay) * parameter - learning_rate * mean / (square.sqrt() + eps), moments


@wrong("adamw-update", mistake="corrects always as after one gradient", says="still those of the first")
def adamw_update(parameter, gradient, moments, learning_rate, betas, eps, weight_decay):
    moments = moments_after(gradient, moments, betas)
    mean, square = corrected(moments, betas, 1)
    return (1 - learning_rate * weight_decay) * parameter - learning_rate * mean / (square.sqrt() + eps), moments


@wrong("adamw-update", mistake="returns the parameter alone", says="should return two things")
def adamw_update(parameter, gradient, moments, learning_rate, betas, eps, weight_decay):
    return solutions.training.adamw_update(parameter, gradient, moments, learning_rate, betas, eps, weight_decay)[0]


@wrong("adamw-update", mistake="returns the corrected averages as moments", says="hold the corrected mean")
def adamw_update(parameter, gradient, moments, learning_rate, betas, eps, weight_decay):
    moments = moments_after(gradient, moments, betas)
    mean, square = corrected(moments, betas)
    new = (1 - learning_rate * weight_decay) * parameter - learning_rate * mean / (square.sqrt() + eps)
    return new, moments | {"mean": mean, "square": square}


@wrong("adamw-update", mistake="swaps the betas in the corrections", says="as long as the learning rate, 0.1")
def adamw_update(parameter, gradient, moments, learning_rate, betas, eps, weight_decay):
    moments = moments_after(gradient, moments, betas)
    mean, square = corrected(moments, betas[::-1])
    return (1 - learning_rate * weight_decay) * parameter - learning_rate * mean / (square.sqrt() + eps), moments


# ------------------------------------------------------------------------------------------------------- optimizer


def updated(parameter, gradient, moments, group):
    settings = (group["lr"], group["betas"], group["eps"], group["weight_decay"])
    return solutions.training.adamw_update(parameter, gradient, moments, *settings)


@wrong("optimizer", mistake="puts a new tensor in the parameter's place", says="what it was before")
class AdamW(solutions.training.AdamW):
    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter, self.state[parameter] = updated(parameter, parameter.grad, self.state[parameter], group)


@wrong("optimizer", mistake="has one state for all parameters", says="moments of its own")
class AdamW(solutions.training.AdamW):
    @torch.no_grad()
    def step(self, closure=None):
        first = self.param_groups[0]["params"][0]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                moments = self.state[first]
                if moments and moments["mean"].shape != parameter.shape:
                    moments = {"step": moments["step"]} | {
                        name: moments[name].mean().expand(parameter.shape) for name in ("mean", "square")
                    }
                new, self.state[first] = updated(parameter, parameter.grad, moments, group)
                parameter.copy_(new)


@wrong("optimizer", mistake="uses the defaults for every group", says="every group got the same settings")
class AdamW(solutions.training.AdamW):
    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    new, moments = updated(parameter, parameter.grad, self.state[parameter], self.defaults)
                    parameter.copy_(new)
                    self.state[parameter] = moments


@wrong("optimizer", mistake="changes the first group only", says="only the parameters of the first group moved")
class AdamW(solutions.training.AdamW):
    @torch.no_grad()
    def step(self, closure=None):
        group = self.param_groups[0]
        for parameter in group["params"]:
            if parameter.grad is not None:
                new, moments = updated(parameter, parameter.grad, self.state[parameter], group)
                parameter.copy_(new)
                self.state[parameter] = moments


@wrong("optimizer", mistake="takes a missing gradient for 0", says="taken for one of 0")
class AdamW(solutions.training.AdamW):
    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                new, moments = updated(parameter, gradient, self.state[parameter], group)
                parameter.copy_(new)
                self.state[parameter] = moments


@wrong(
    "optimizer",
    mistake="keeps the moments in a dict of its own",
    says="keep them in self.state",
    never=("moments of its own",),
)
class AdamW(solutions.training.AdamW):
    @torch.no_grad()
    def step(self, closure=None):
        self.moments = getattr(self, "moments", {})
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    before = self.moments.get(parameter, {})
                    new, self.moments[parameter] = updated(parameter, parameter.grad, before, group)
                    parameter.copy_(new)


@wrong("optimizer", mistake="stops at the first parameter without a gradient", says="go on to the next")
class AdamW(solutions.training.AdamW):
    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    break
                new, self.state[parameter] = updated(parameter, parameter.grad, self.state[parameter], group)
                parameter.copy_(new)


@wrong("optimizer", mistake="calls the oracle", says="asks you to write what that call does")
class AdamW(solutions.training.AdamW):
    @torch.no_grad()
    def step(self, closure=None):
        torch.optim.AdamW(self.param_groups).step()


@wrong("optimizer", mistake="begins each step with empty moments", says="begins with empty moments: keep what")
class AdamW(solutions.training.AdamW):
    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.copy_(updated(parameter, parameter.grad, {}, group)[0])


@wrong("optimizer", mistake="uses the first group's settings for all", says="the settings of the first")
class AdamW(solutions.training.AdamW):
    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    before = self.state[parameter]
                    new, self.state[parameter] = updated(parameter, parameter.grad, before, self.param_groups[0])
                    parameter.copy_(new)


@wrong("optimizer", mistake="counts the steps of all parameters together", says="moments of its own")
class AdamW(solutions.training.AdamW):
    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                before = dict(self.state[parameter])
                self.count = getattr(self, "count", 0) + 1
                if before:
                    before["step"] = self.count - 1
                new, self.state[parameter] = updated(parameter, parameter.grad, before, group)
                parameter.copy_(new)


# --------------------------------------------------------------------------------------------------- warmup-cosine


@wrong("warmup-cosine", mistake="counts the warm-up from 0", says="has a rate of 0")
def warmup_cosine(step, steps, warmup, floor=0.0):
    falling = floor + (1 - floor) * (1 + math.cos(math.pi * min(step / steps, 1))) / 2
    return min(step / warmup, falling) if warmup else falling


@wrong("warmup-cosine", mistake="falls in a line", says="the way down is a line")
def warmup_cosine(step, steps, warmup, floor=0.0):
    falling = floor + (1 - floor) * (1 - min(step / steps, 1))
    return min((step + 1) / warmup, falling) if warmup else falling


@wrong("warmup-cosine", mistake="goes through a whole wave", says="a whole wave")
def warmup_cosine(step, steps, warmup, floor=0.0):
    falling = floor + (1 - floor) * (1 + math.cos(2 * math.pi * min(step / steps, 1))) / 2
    return min((step + 1) / warmup, falling) if warmup else falling


@wrong("warmup-cosine", mistake="cuts off at the floor", says="only cuts off the end")
def warmup_cosine(step, steps, warmup, floor=0.0):
    falling = max(floor, (1 + math.cos(math.pi * min(step / steps, 1))) / 2)
    return min((step + 1) / warmup, falling) if warmup else falling


@wrong("warmup-cosine", mistake="rises again after the end", says="rises again")
def warmup_cosine(step, steps, warmup, floor=0.0):
    falling = floor + (1 - floor) * (1 + math.cos(math.pi * step / steps)) / 2
    return min((step + 1) / warmup, falling) if warmup else falling


@wrong("warmup-cosine", mistake="begins the cosine where the warm-up ends", says="begins where the warm-up ends")
def warmup_cosine(step, steps, warmup, floor=0.0):
    if step < warmup:
        return (step + 1) / warmup
    done = min((step - warmup) / (steps - warmup), 1)
    return floor + (1 - floor) * (1 + math.cos(math.pi * done)) / 2


@wrong("warmup-cosine", mistake="multiplies the line by the cosine", says="multiplied by the cosine")
def warmup_cosine(step, steps, warmup, floor=0.0):
    falling = floor + (1 - floor) * (1 + math.cos(math.pi * min(step / steps, 1))) / 2
    return min((step + 1) / warmup, 1) * falling if warmup else falling


@wrong("warmup-cosine", mistake="divides by a warm-up of 0", says="ZeroDivisionError")
def warmup_cosine(step, steps, warmup, floor=0.0):
    falling = floor + (1 - floor) * (1 + math.cos(math.pi * min(step / steps, 1))) / 2
    return min((step + 1) / warmup, falling)


@wrong("warmup-cosine", mistake="ends at 0 whatever the floor", says="falls to 0")
def warmup_cosine(step, steps, warmup, floor=0.0):
    return solutions.training.warmup_cosine(step, steps, warmup, floor) if step < steps else 0.0


@wrong("warmup-cosine", mistake="reaches the floor one step early", says="half way through all steps")
def warmup_cosine(step, steps, warmup, floor=0.0):
    falling = floor + (1 - floor) * (1 + math.cos(math.pi * min(step / (steps - 1), 1))) / 2
    return min((step + 1) / warmup, falling) if warmup else falling


@wrong("warmup-cosine", mistake="follows the line through the whole warm-up", says="to the end of the warm-up")
def warmup_cosine(step, steps, warmup, floor=0.0):
    if step < warmup:
        return (step + 1) / warmup
    return floor + (1 - floor) * (1 + math.cos(math.pi * min(step / steps, 1))) / 2


@wrong("warmup-cosine", mistake="lets the floor lift the warm-up", says="does not lift the warm-up")
def warmup_cosine(step, steps, warmup, floor=0.0):
    return max(floor, solutions.training.warmup_cosine(step, steps, warmup, floor))


# -------------------------------------------------------------------------------------------------- clip-gradients


@wrong("clip-gradients", mistake="clips each tensor by itself", says="by its own norm")
def clip_gradients(gradients, bound):
    norms = [gradient.norm().item() for gradient in gradients]
    for gradient, norm in zip(gradients, norms, strict=True):
        gradient.mul_(min(1.0, bound / (norm + 1e-6)))
    return math.hypot(*norms)


@wrong("clip-gradients", mistake="clips each number", says="cut off at the bound")
def clip_gradients(gradients, bound):
    norm = math.hypot(*(gradient.norm().item() for gradient in gradients))
    for gradient in gradients:
        gradient.clamp_(-bound, bound)
    return norm


@wrong("clip-gradients", mistake="adds the norms", says="the norms of the tensors are added")
def clip_gradients(gradients, bound):
    norm = sum(gradient.norm().item() for gradient in gradients)
    factor = min(1.0, bound / (norm + 1e-6))
    for gradient in gradients:
        gradient.mul_(factor)
    return norm


@wrong("clip-gradients", mistake="makes small gradients longer", says="made longer")
def clip_gradients(gradients, bound):
    norm = math.hypot(*(gradient.norm().item() for gradient in gradients))
    for gradient in gradients:
        gradient.mul_(bound / (norm + 1e-6))
    return norm


@wrong(
    "clip-gradients",
    mistake="makes new tensors",
    says="the tensors are what they were",
    never=("each tensor is clipped", "cut off at the bound"),
)
def clip_gradients(gradients, bound):
    norm = math.hypot(*(gradient.norm().item() for gradient in gradients))
    factor = min(1.0, bound / (norm + 1e-6))
    gradients = [gradient * factor for gradient in gradients]
    return norm


@wrong("clip-gradients", mistake="returns the norm after", says="the norm after clipping")
def clip_gradients(gradients, bound):
    norm = math.hypot(*(gradient.norm().item() for gradient in gradients))
    factor = min(1.0, bound / (norm + 1e-6))
    for gradient in gradients:
        gradient.mul_(factor)
    return norm * factor


@wrong("clip-gradients", mistake="divides by a norm of 0", says="should stay 0")
def clip_gradients(gradients, bound):
    norm = torch.stack([gradient.norm().double() for gradient in gradients]).norm()
    factor = 1 / torch.maximum(norm / bound * (1 + 1e-6 / norm), (norm > 0).double())
    for gradient in gradients:
        gradient.mul_(factor)
    return norm.item()


@wrong("clip-gradients", mistake="calls the oracle", says="asks you to write what that call does")
def clip_gradients(gradients, bound):
    norm = torch.nn.utils.get_total_norm(gradients)
    for gradient in gradients:
        gradient.mul_(min(1.0, bound / (norm + 1e-6)))
    return norm.item()


@wrong("clip-gradients", mistake="replaces the list's entries", says="took the places of the old ones")
def clip_gradients(gradients, bound):
    norm = math.hypot(*(gradient.norm().item() for gradient in gradients))
    factor = min(1.0, bound / (norm + 1e-6))
    for i, gradient in enumerate(gradients):
        gradients[i] = gradient * factor
    return norm


@wrong("clip-gradients", mistake="flattens with view", says="RuntimeError")
def clip_gradients(gradients, bound):
    norm = torch.cat([gradient.view(-1) for gradient in gradients]).norm().item()
    for gradient in gradients:
        gradient.mul_(min(1.0, bound / (norm + 1e-6)))
    return norm


@wrong("clip-gradients", mistake="forgets the root", says="the root is missing")
def clip_gradients(gradients, bound):
    norm = sum((gradient**2).sum().item() for gradient in gradients)
    for gradient in gradients:
        gradient.mul_(min(1.0, bound / (norm + 1e-6)))
    return norm


@wrong("clip-gradients", mistake="adds nothing to the norm in the factor", says="bound / (norm + 1e-6)")
def clip_gradients(gradients, bound):
    norm = math.hypot(*(gradient.norm().item() for gradient in gradients))
    if norm > bound:
        for gradient in gradients:
            gradient.mul_(bound / norm)
    return norm


@wrong("clip-gradients", mistake="calls torch's clipping", says="calls torch.nn.utils.clip_grad_norm_")
def clip_gradients(gradients, bound):
    leaves = [torch.nn.Parameter(torch.zeros_like(gradient)) for gradient in gradients]
    for leaf, gradient in zip(leaves, gradients, strict=True):
        leaf.grad = gradient
    return torch.nn.utils.clip_grad_norm_(leaves, bound).item()


@wrong(
    "clip-gradients",
    mistake="takes the larger of the factor and 1",
    says="the tensors are what they were",
    never=("copies",),
)
def clip_gradients(gradients, bound):
    norm = math.hypot(*(gradient.norm().item() for gradient in gradients))
    for gradient in gradients:
        gradient.mul_(max(1.0, bound / (norm + 1e-6)))
    return norm


@wrong("clip-gradients", mistake="takes the spectral norm of matrices", says="spectral norm")
def clip_gradients(gradients, bound):
    norm = math.hypot(*(torch.linalg.norm(gradient, 2).item() for gradient in gradients))
    for gradient in gradients:
        gradient.mul_(min(1.0, bound / (norm + 1e-6)))
    return norm


@wrong("clip-gradients", mistake="returns a tensor", says="use item()")
def clip_gradients(gradients, bound):
    return torch.tensor(solutions.training.clip_gradients(gradients, bound), dtype=torch.float64)


# --------------------------------------------------------------------------------------------------------- trainer


def loss_of(model, inputs, targets):
    return F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())


def schedule(step, steps, warmup):
    return solutions.training.warmup_cosine(step, steps, warmup)


def clip(gradients, bound):
    return solutions.training.clip_gradients(gradients, bound)


@wrong("trainer", mistake="does not divide by the pieces", says="are added up")
class Trainer(solutions.training.Trainer):
    def accumulate(self, inputs, targets, pieces):
        self.optimizer.zero_grad()
        total = 0.0
        for some, wanted in zip(inputs.chunk(pieces), targets.chunk(pieces), strict=True):
            loss = loss_of(self.model, some, wanted)
            loss.backward()
            total += loss.item()
        return total


@wrong("trainer", mistake="takes the mean of the pieces' means", says="the mean of the pieces' means")
class Trainer(solutions.training.Trainer):
    def accumulate(self, inputs, targets, pieces):
        self.optimizer.zero_grad()
        total = 0.0
        for some, wanted in zip(inputs.chunk(pieces), targets.chunk(pieces), strict=True):
            loss = loss_of(self.model, some, wanted) / pieces
            loss.backward()
            total += loss.item()
        return total


@wrong("trainer", mistake="keeps the last batch's gradients", says="should be forgotten first")
class Trainer(solutions.training.Trainer):
    def accumulate(self, inputs, targets, pieces):
        total = 0.0
        for some, wanted in zip(inputs.chunk(pieces), targets.chunk(pieces), strict=True):
            loss = loss_of(self.model, some, wanted) * len(some) / len(inputs)
            loss.backward()
            total += loss.item()
        return total


@wrong(
    "trainer", mistake="forgets between the pieces", says="the last piece alone", never=("forgotten first", "added up")
)
class Trainer(solutions.training.Trainer):
    def accumulate(self, inputs, targets, pieces):
        total = 0.0
        for some, wanted in zip(inputs.chunk(pieces), targets.chunk(pieces), strict=True):
            self.optimizer.zero_grad()
            loss = loss_of(self.model, some, wanted) * len(some) / len(inputs)
            loss.backward()
            total += loss.item()
        return total


@wrong("trainer", mistake="does not go backward", says="have no gradient")
class Trainer(solutions.training.Trainer):
    def accumulate(self, inputs, targets, pieces):
        self.optimizer.zero_grad()
        with torch.no_grad():
            return loss_of(self.model, inputs, targets).item()


@wrong("trainer", mistake="returns a tensor", says="use item()")
class Trainer(solutions.training.Trainer):
    def accumulate(self, inputs, targets, pieces):
        return torch.tensor(super().accumulate(inputs, targets, pieces))


class Stepping(solutions.training.Trainer):
    """The reference's step in parts, of which an answer spoils one."""

    def rate(self):
        return self.config.learning_rate * schedule(len(self.losses), self.config.steps, self.config.warmup)

    def shorten(self):
        clip([p.grad for p in self.model.parameters()], self.config.clip)

    def step(self):
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate()
        loss = self.accumulate(*self.mixture.batch(self.config.batch_size), self.config.pieces)
        self.shorten()
        self.optimizer.step()
        self.losses.append(loss)
        return loss


@wrong("trainer", mistake="has no schedule", says="the schedule's factor is missing")
class Trainer(Stepping):
    def rate(self):
        return self.config.learning_rate


@wrong("trainer", mistake="counts steps from 1", says="one step ahead")
class Trainer(Stepping):
    def rate(self):
        return self.config.learning_rate * schedule(len(self.losses) + 1, self.config.steps, self.config.warmup)


@wrong("trainer", mistake="sets the rate of the first group only", says="only the first group")
class Trainer(solutions.training.Trainer):
    def step(self):
        factor = schedule(len(self.losses), self.config.steps, self.config.warmup)
        self.optimizer.param_groups[0]["lr"] = self.config.learning_rate * factor
        loss = self.accumulate(*self.mixture.batch(self.config.batch_size), self.config.pieces)
        clip([p.grad for p in self.model.parameters()], self.config.clip)
        self.optimizer.step()
        self.losses.append(loss)
        return loss


@wrong("trainer", mistake="multiplies the factor into the last rate", says="multiplied into the first one's rate")
class Trainer(solutions.training.Trainer):
    def step(self):
        for group in self.optimizer.param_groups:
            group["lr"] *= schedule(len(self.losses), self.config.steps, self.config.warmup)
        loss = self.accumulate(*self.mixture.batch(self.config.batch_size), self.config.pieces)
        clip([p.grad for p in self.model.parameters()], self.config.clip)
        self.optimizer.step()
        self.losses.append(loss)
        return loss


@wrong("trainer", mistake="does not clip", says="longer than the config's bound")
class Trainer(Stepping):
    def shorten(self):
        pass


@wrong(
    "trainer",
    mistake="clips after the optimizer has stepped",
    says="only after the optimizer has used them",
    never=("longer than the config's bound",),
)
class Trainer(solutions.training.Trainer):
    def step(self):
        for group in self.optimizer.param_groups:
            factor = schedule(len(self.losses), self.config.steps, self.config.warmup)
            group["lr"] = self.config.learning_rate * factor
        loss = self.accumulate(*self.mixture.batch(self.config.batch_size), self.config.pieces)
        self.optimizer.step()
        clip([p.grad for p in self.model.parameters()], self.config.clip)
        self.losses.append(loss)
        return loss


@wrong(
    "trainer",
    mistake="does not note its losses",
    says="that of the losses so far",
    never=("the schedule's factor is missing",),
)
class Trainer(Stepping):
    def step(self):
        loss = super().step()
        self.losses.pop()
        return loss


@wrong("trainer", mistake="returns nothing", says="it returned nothing")
class Trainer(Stepping):
    def step(self):
        super().step()


@wrong("trainer", mistake="trains in eval mode", says="leave the model in training mode")
class Trainer(solutions.training.Trainer):
    def accumulate(self, inputs, targets, pieces):
        self.model.eval()
        return super().accumulate(inputs, targets, pieces)


@wrong("trainer", mistake="sees the whole batch at once", says="read the whole batch at once")
class Trainer(solutions.training.Trainer):
    def accumulate(self, inputs, targets, pieces):
        return super().accumulate(inputs, targets, 1)


@wrong("trainer", mistake="weighs the loss by rows, but not the gradient", says="it should be the batch's")
class Trainer(solutions.training.Trainer):
    def accumulate(self, inputs, targets, pieces):
        self.optimizer.zero_grad()
        total = 0.0
        for some, wanted in zip(inputs.chunk(pieces), targets.chunk(pieces), strict=True):
            loss = loss_of(self.model, some, wanted)
            loss.backward()
            total += loss.item() * len(some) / len(inputs)
        return total


@wrong("trainer", mistake="steps with the config's pieces left out", says="into how many pieces")
class Trainer(solutions.training.Trainer):
    def step(self):
        factor = schedule(len(self.losses), self.config.steps, self.config.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * factor
        loss = self.accumulate(*self.mixture.batch(self.config.batch_size), 1)
        clip([p.grad for p in self.model.parameters()], self.config.clip)
        self.optimizer.step()
        self.losses.append(loss)
        return loss


@wrong("trainer", mistake="clips each gradient by itself", says="clip them all together")
class Trainer(Stepping):
    def shorten(self):
        for parameter in self.model.parameters():
            clip([parameter.grad], self.config.clip)


@wrong("trainer", mistake="sets the rate after the step", says="set the rate first")
class Trainer(solutions.training.Trainer):
    def step(self):
        loss = self.accumulate(*self.mixture.batch(self.config.batch_size), self.config.pieces)
        clip([p.grad for p in self.model.parameters()], self.config.clip)
        self.optimizer.step()
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * schedule(len(self.losses), self.config.steps, self.config.warmup)
        self.losses.append(loss)
        return loss


@wrong("trainer", mistake="forgets the gradients before the optimizer steps", says="while the gradients are there")
class Trainer(Stepping):
    def shorten(self):
        super().shorten()
        self.optimizer.zero_grad()


@wrong("trainer", mistake="clips to 1 always", says="clipped to 1", never=("longer than the config's bound",))
class Trainer(Stepping):
    def shorten(self):
        clip([p.grad for p in self.model.parameters()], 1.0)


@wrong("trainer", mistake="leaves the warm-up out", says="the warm-up is missing")
class Trainer(Stepping):
    def rate(self):
        return self.config.learning_rate * schedule(len(self.losses), self.config.steps, 0)


@wrong("trainer", mistake="clips the weights", says="the weights themselves are clipped")
class Trainer(Stepping):
    def shorten(self):
        clip(list(self.model.parameters()), self.config.clip)


@wrong(
    "trainer",
    mistake="clips copies of the gradients",
    says="returns are copies",
    never=("longer than the config's bound",),
)
class Trainer(Stepping):
    def shorten(self):
        clip(list(self.gradients().values()), self.config.clip)


# -------------------------------------------------------------------------------------------------------- snapshot


def whole(trainer):
    return solutions.training.snapshot(trainer)


def put_back(trainer, state):
    return solutions.training.restore(trainer, state)


def fresh(trainer):
    """What a fresh trainer has in place of the parts that a snapshot lacks."""
    return {
        "model": copy.deepcopy(trainer.model.state_dict()),
        "optimizer": trainer.optimizer.state_dict(),
        "mixture": trainer.mixture.state_dict(),
        "losses": list(trainer.losses),
        "random": torch.get_rng_state(),
    }


@wrong("snapshot", mistake="keeps the weights only", says="only the weights were restored")
def restore(trainer, state):
    put_back(trainer, fresh(trainer) | {"model": state["model"]})


@wrong("snapshot", mistake="forgets the weights", says="the weights are what they were")
def restore(trainer, state):
    put_back(trainer, state | {"model": trainer.model.state_dict()})


@wrong("snapshot", mistake="forgets the optimizer", says="averages begin anew", never=("the schedule begins anew",))
def restore(trainer, state):
    put_back(trainer, state | {"optimizer": trainer.optimizer.state_dict()})


@wrong("snapshot", mistake="forgets the place in the texts", says="read from their beginning")
def restore(trainer, state):
    put_back(trainer, state | {"mixture": trainer.mixture.state_dict()})


@wrong("snapshot", mistake="forgets the losses, and so the step", says="the schedule begins anew")
def restore(trainer, state):
    put_back(trainer, state | {"losses": list(trainer.losses)})


@wrong("snapshot", mistake="forgets torch's random state", says="random state belongs in the snapshot")
def restore(trainer, state):
    put_back(trainer, state | {"random": torch.get_rng_state()})


@wrong("snapshot", mistake="gives out the model's own tensors", says="the snapshot")
def snapshot(trainer):
    return whole(trainer) | {"model": dict(trainer.model.state_dict())}


@wrong("snapshot", mistake="gives out the list of losses itself", says="the list of losses in the snapshot grew")
def snapshot(trainer):
    return whole(trainer) | {"losses": trainer.losses}


@wrong("snapshot", mistake="puts the snapshot's own list into the trainer", says="is the snapshot's own")
def restore(trainer, state):
    put_back(trainer, state)
    trainer.losses = state["losses"]


@wrong("snapshot", mistake="returns bytes", says="all of the model's weights belong in a snapshot")
def snapshot(trainer):
    file = io.BytesIO()
    torch.save(whole(trainer), file)
    return {"saved": file.getvalue()}


@wrong("snapshot", mistake="copies the outer dict alone", says="changed the weights in the snapshot")
def snapshot(trainer):
    return copy.copy(
        {
            "model": trainer.model.state_dict(),
            "optimizer": trainer.optimizer.state_dict(),
            "mixture": trainer.mixture.state_dict(),
            "losses": trainer.losses,
            "random": torch.get_rng_state(),
        }
    )


@wrong(
    "snapshot",
    mistake="keeps the number of losses alone",
    says="not their number alone",
    never=("the list of losses in the snapshot grew",),
)
def snapshot(trainer):
    return whole(trainer) | {"losses": [0.0] * len(trainer.losses)}


@wrong("snapshot", mistake="restores zeros in place of the losses", says="are not those of the snapshot")
def restore(trainer, state):
    put_back(trainer, state | {"losses": [0.0] * len(state["losses"])})


@wrong(
    "snapshot",
    mistake="adds the losses to those that were there",
    says="should take their place",
    never=("the list of losses in the snapshot grew",),
)
def restore(trainer, state):
    put_back(trainer, state | {"losses": trainer.losses + state["losses"]})


class Shared(list):
    """A list that no copy is made of, as where neither snapshot nor restore makes one."""

    def __deepcopy__(self, memo):
        return self


@wrong(
    "snapshot",
    mistake="shares its list of losses with every trainer",
    says="put in a copy",
    never=("what else decides it",),
)
def snapshot(trainer):
    trainer.losses = Shared(trainer.losses)
    return whole(trainer)


# ----------------------------------------------------------------------------------------------------- train-until


def save(trainer):
    return solutions.training.snapshot(trainer)


def load(trainer, state):
    return solutions.training.restore(trainer, state)


@wrong("train-until", mistake="begins from the start", says="began again from step 0")
def train_until(trainer, saved, until, every):
    while len(trainer.losses) < until:
        trainer.step()
        if len(trainer.losses) % every == 0:
            saved.append(save(trainer))
    return trainer.losses


@wrong("train-until", mistake="goes on from the first snapshot", says="went on from the first snapshot")
def train_until(trainer, saved, until, every):
    if saved:
        load(trainer, saved[0])
    while len(trainer.losses) < until:
        trainer.step()
        if len(trainer.losses) % every == 0:
            saved.append(save(trainer))
    return trainer.losses


@wrong("train-until", mistake="takes `until` more steps", says="took 13 more steps")
def train_until(trainer, saved, until, every):
    if saved:
        load(trainer, saved[-1])
    for _ in range(until):
        trainer.step()
        if len(trainer.losses) % every == 0:
            saved.append(save(trainer))
    return trainer.losses


@wrong("train-until", mistake="saves before the step", says="before the first step")
def train_until(trainer, saved, until, every):
    if saved:
        load(trainer, saved[-1])
    while len(trainer.losses) < until:
        if len(trainer.losses) % every == 0:
            saved.append(save(trainer))
        trainer.step()
    return trainer.losses


@wrong(
    "train-until",
    mistake="saves at the end too",
    says="after step 7 there is a snapshot too",
    never=("began again", "went on from the first snapshot"),
)
def train_until(trainer, saved, until, every):
    if saved:
        load(trainer, saved[-1])
    while len(trainer.losses) < until:
        trainer.step()
        if len(trainer.losses) % every == 0:
            saved.append(save(trainer))
    saved.append(save(trainer))
    return trainer.losses


@wrong("train-until", mistake="returns only the new losses", says="of this call alone")
def train_until(trainer, saved, until, every):
    if saved:
        load(trainer, saved[-1])
    before = len(trainer.losses)
    while len(trainer.losses) < until:
        trainer.step()
        if len(trainer.losses) % every == 0:
            saved.append(save(trainer))
    return trainer.losses[before:]


@wrong("train-until", mistake="counts the steps of the call", says="the steps of this call are counted")
def train_until(trainer, saved, until, every):
    if saved:
        load(trainer, saved[-1])
    before = len(trainer.losses)
    while len(trainer.losses) < until:
        trainer.step()
        if (len(trainer.losses) - before) % every == 0:
            saved.append(save(trainer))
    return trainer.losses


@wrong("train-until", mistake="saves after every step", says="after the first step already")
def train_until(trainer, saved, until, every):
    if saved:
        load(trainer, saved[-1])
    while len(trainer.losses) < until:
        trainer.step()
        saved.append(save(trainer))
    return trainer.losses


@wrong("train-until", mistake="returns the last loss", says="should return all losses")
def train_until(trainer, saved, until, every):
    return solutions.training.train_until(trainer, saved, until, every)[-1]


@wrong(
    "train-until",
    mistake="saves again what it has just restored",
    says="what had just been restored",
    never=("went on from the first snapshot", "began again"),
)
def train_until(trainer, saved, until, every):
    if saved:
        load(trainer, saved[-1])
        saved.append(save(trainer))
    while len(trainer.losses) < until:
        trainer.step()
        if len(trainer.losses) % every == 0:
            saved.append(save(trainer))
    return trainer.losses


@wrong("train-until", mistake="takes the last snapshot out of the list", says="was taken out of `saved`")
def train_until(trainer, saved, until, every):
    if saved:
        load(trainer, saved.pop())
    while len(trainer.losses) < until:
        trainer.step()
        if len(trainer.losses) % every == 0:
            saved.append(save(trainer))
    return trainer.losses


@wrong("train-until", mistake="appends the trainer itself", says="`saved` should hold snapshots")
def train_until(trainer, saved, until, every):
    if saved:
        load(trainer, saved[-1])
    while len(trainer.losses) < until:
        trainer.step()
        if len(trainer.losses) % every == 0:
            saved.append(trainer)
    return trainer.losses


@wrong("train-until", mistake="keeps the last snapshot alone", says="taken after step 3")
def train_until(trainer, saved, until, every):
    if saved:
        load(trainer, saved[-1])
    while len(trainer.losses) < until:
        trainer.step()
        if len(trainer.losses) % every == 0:
            saved[:] = [save(trainer)]
    return trainer.losses
