"""Plausible wrong answers to the training assignment, each with the message that it must draw."""

import copy
import io
import math

import torch
import torch.nn.functional as F

import solutions.training
from course.banks.bank import wrong

# ---------------------------------------------------------------------------------------------------------- epochs


@wrong("epochs", mistake="leaves the size out", says="divided by the size")
def epochs(weights, sizes, total):
    return [weight / sum(weights) * total / sum(sizes) for weight in weights]


@wrong("epochs", mistake="turns the fraction round", says="divided by the size")
def epochs(weights, sizes, total):
    return [
        size / (weight / sum(weights) * total) if weight else 0.0 for weight, size in zip(weights, sizes, strict=True)
    ]


@wrong("epochs", mistake="takes the weights as they are", says="divide by their sum")
def epochs(weights, sizes, total):
    return [weight * total / size for weight, size in zip(weights, sizes, strict=True)]


@wrong("epochs", mistake="reads every data set in proportion to its size", says="divided by the size")
def epochs(weights, sizes, total):
    return [total / sum(sizes) for _ in sizes]


# ---------------------------------------------------------------------------------------------------------- source


@wrong("source", mistake="draws windows with replacement", says="not every window comes once")
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


@wrong("source", mistake="leaves out an epoch's last window", says="not every window comes once")
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


@wrong("source", mistake="begins a new epoch when it is restored", says="the order and the place in it are lost")
class Source(solutions.training.Source):
    def state_dict(self):
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state):
        self.generator.set_state(state["generator"])
        self.order, self.position = torch.empty(0, dtype=torch.long), 0


@wrong("source", mistake="gives out a list that it goes on using up", says="the order and the place in it are lost")
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


# --------------------------------------------------------------------------------------------------------- mixture


@wrong("mixture", mistake="mixes by size", says="do not come by their weights")
class Mixture(solutions.training.Mixture):
    def batch(self, batch_size):
        sizes = torch.tensor([float(len(source.windows)) for source in self.sources])
        chosen = torch.multinomial(sizes, batch_size, replacement=True, generator=self.generator)
        windows = torch.stack([self.sources[i].next_window() for i in chosen.tolist()])
        return windows[:, :-1], windows[:, 1:]


@wrong("mixture", mistake="draws one text for the whole batch", says="each row draws its own")
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


@wrong("mixture", mistake="saves only its own generator", says="every source and the mixture's generator")
class Mixture(solutions.training.Mixture):
    def state_dict(self):
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state):
        self.generator.set_state(state["generator"])


@wrong("mixture", mistake="saves only its sources", says="every source and the mixture's generator")
class Mixture(solutions.training.Mixture):
    def state_dict(self):
        return {"sources": [source.state_dict() for source in self.sources]}

    def load_state_dict(self, state):
        for source, its_state in zip(self.sources, state["sources"], strict=True):
            source.load_state_dict(its_state)


# -------------------------------------------------------------------------------------------------- update-moments


@wrong("update-moments", mistake="swaps old and new", says="a quarter of the gradient")
def update_moments(gradient, moments, betas):
    zero = torch.zeros_like(gradient)
    return {
        "step": moments.get("step", 0) + 1,
        "mean": (1 - betas[0]) * moments.get("mean", zero) + betas[0] * gradient,
        "square": (1 - betas[1]) * moments.get("square", zero) + betas[1] * gradient**2,
    }


@wrong("update-moments", mistake="squares the mean of the gradients", says="half of the gradient's square")
def update_moments(gradient, moments, betas):
    new = solutions.training.update_moments(gradient, moments, betas)
    new["square"] = betas[1] * moments.get("square", torch.zeros_like(gradient)) + (1 - betas[1]) * new["mean"] ** 2
    return new


@wrong("update-moments", mistake="uses one beta for both", says="half of the gradient's square")
def update_moments(gradient, moments, betas):
    return solutions.training.update_moments(gradient, moments, (betas[0], betas[0]))


@wrong("update-moments", mistake="does not count", says="after one gradient the step is 1")
def update_moments(gradient, moments, betas):
    return solutions.training.update_moments(gradient, moments, betas) | {"step": moments.get("step", 0)}


@wrong("update-moments", mistake="starts the averages at the first gradient", says="a quarter of the gradient")
def update_moments(gradient, moments, betas):
    if not moments:
        return {"step": 1, "mean": gradient.clone(), "square": gradient**2}
    return solutions.training.update_moments(gradient, moments, betas)


@wrong("update-moments", mistake="changes the old moments in place", says="were changed in place")
def update_moments(gradient, moments, betas):
    new = moments or {"step": 0, "mean": torch.zeros_like(gradient), "square": torch.zeros_like(gradient)}
    new["step"] += 1
    new["mean"].mul_(betas[0]).add_((1 - betas[0]) * gradient)
    new["square"].mul_(betas[1]).add_((1 - betas[1]) * gradient**2)
    return dict(new)


# ---------------------------------------------------------------------------------------------------- adamw-update


def moments_after(gradient, moments, betas):
    return solutions.training.update_moments(gradient, moments, betas)


def corrected(moments, betas, step=None):
    step = moments["step"] if step is None else step
    return moments["mean"] / (1 - betas[0] ** step), moments["square"] / (1 - betas[1] ** step)


@wrong("adamw-update", mistake="does not correct the averages", says="correct both averages")
def adamw_update(parameter, gradient, moments, learning_rate, betas, eps, weight_decay):
    moments = moments_after(gradient, moments, betas)
    kept = (1 - learning_rate * weight_decay) * parameter
    return kept - learning_rate * moments["mean"] / (moments["square"].sqrt() + eps), moments


@wrong("adamw-update", mistake="corrects the mean only", says="correct both averages")
def adamw_update(parameter, gradient, moments, learning_rate, betas, eps, weight_decay):
    moments = moments_after(gradient, moments, betas)
    mean, _ = corrected(moments, betas)
    kept = (1 - learning_rate * weight_decay) * parameter
    return kept - learning_rate * mean / (moments["square"].sqrt() + eps), moments


@wrong("adamw-update", mistake="corrects with the step before", says="check the corrections' exponent")
def adamw_update(parameter, gradient, moments, learning_rate, betas, eps, weight_decay):
    before = max(moments.get("step", 0), 1)
    moments = moments_after(gradient, moments, betas)
    mean, square = corrected(moments, betas, before)
    kept = (1 - learning_rate * weight_decay) * parameter
    return kept - learning_rate * mean / (square.sqrt() + eps), moments


@wrong("adamw-update", mistake="adds eps under the root", says="eps is added after the root")
def adamw_update(parameter, gradient, moments, learning_rate, betas, eps, weight_decay):
    moments = moments_after(gradient, moments, betas)
    mean, square = corrected(moments, betas)
    kept = (1 - learning_rate * weight_decay) * parameter
    return kept - learning_rate * mean / (square + eps).sqrt(), moments


@wrong("adamw-update", mistake="adds eps before the correction", says="eps is added after the root")
def adamw_update(parameter, gradient, moments, learning_rate, betas, eps, weight_decay):
    moments = moments_after(gradient, moments, betas)
    mean, _ = corrected(moments, betas)
    root = (moments["square"].sqrt() + eps) / math.sqrt(1 - betas[1] ** moments["step"])
    return (1 - learning_rate * weight_decay) * parameter - learning_rate * mean / root, moments


@wrong("adamw-update", mistake="adds the decay to the gradient, as Adam does", says="leaves 0.95 of a parameter")
def adamw_update(parameter, gradient, moments, learning_rate, betas, eps, weight_decay):
    moments = moments_after(gradient + weight_decay * parameter, moments, betas)
    mean, square = corrected(moments, betas)
    return parameter - learning_rate * mean / (square.sqrt() + eps), moments


@wrong("adamw-update", mistake="decays without the learning rate", says="leaves 0.95 of a parameter")
def adamw_update(parameter, gradient, moments, learning_rate, betas, eps, weight_decay):
    moments = moments_after(gradient, moments, betas)
    mean, square = corrected(moments, betas)
    return (1 - weight_decay) * parameter - learning_rate * mean / (square.sqrt() + eps), moments


@wrong("adamw-update", mistake="decays after the step", says="where decay acts")
def adamw_update(parameter, gradient, moments, learning_rate, betas, eps, weight_decay):
    moments = moments_after(gradient, moments, betas)
    mean, square = corrected(moments, betas)
    stepped = parameter - learning_rate * mean / (square.sqrt() + eps)
    return (1 - learning_rate * weight_decay) * stepped, moments


@wrong("adamw-update", mistake="changes the parameter in place", says="the parameter was changed in place")
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


# ------------------------------------------------------------------------------------------------------- optimizer


def updated(parameter, gradient, moments, group):
    settings = (group["lr"], group["betas"], group["eps"], group["weight_decay"])
    return solutions.training.adamw_update(parameter, gradient, moments, *settings)


@wrong("optimizer", mistake="puts a new tensor in the parameter's place", says="step changed nothing")
class AdamW(solutions.training.AdamW):
    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter, self.state[parameter] = updated(parameter, parameter.grad, self.state[parameter], group)


@wrong("optimizer", mistake="has one state for all parameters", says="keep its own moments")
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


@wrong("optimizer", mistake="uses the defaults for every group", says="read each setting from the parameter's group")
class AdamW(solutions.training.AdamW):
    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    new, moments = updated(parameter, parameter.grad, self.state[parameter], self.defaults)
                    parameter.copy_(new)
                    self.state[parameter] = moments


@wrong("optimizer", mistake="changes the first group only", says="groups with settings of their own")
class AdamW(solutions.training.AdamW):
    @torch.no_grad()
    def step(self, closure=None):
        group = self.param_groups[0]
        for parameter in group["params"]:
            if parameter.grad is not None:
                new, moments = updated(parameter, parameter.grad, self.state[parameter], group)
                parameter.copy_(new)
                self.state[parameter] = moments


@wrong("optimizer", mistake="takes a missing gradient for 0", says="pass it over")
class AdamW(solutions.training.AdamW):
    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                new, moments = updated(parameter, gradient, self.state[parameter], group)
                parameter.copy_(new)
                self.state[parameter] = moments


@wrong("optimizer", mistake="keeps the moments in a dict of its own", says="keep the moments in self.state")
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


# --------------------------------------------------------------------------------------------------- warmup-cosine


@wrong("warmup-cosine", mistake="counts the warm-up from 0", says="count from step + 1")
def warmup_cosine(step, steps, warmup, floor=0.0):
    falling = floor + (1 - floor) * (1 + math.cos(math.pi * min(step / steps, 1))) / 2
    return min(step / warmup, falling) if warmup else falling


@wrong("warmup-cosine", mistake="falls in a line", says="half a cosine, not a line")
def warmup_cosine(step, steps, warmup, floor=0.0):
    falling = floor + (1 - floor) * (1 - min(step / steps, 1))
    return min((step + 1) / warmup, falling) if warmup else falling


@wrong("warmup-cosine", mistake="goes through a whole wave", says="half way down the cosine")
def warmup_cosine(step, steps, warmup, floor=0.0):
    falling = floor + (1 - floor) * (1 + math.cos(2 * math.pi * min(step / steps, 1))) / 2
    return min((step + 1) / warmup, falling) if warmup else falling


@wrong("warmup-cosine", mistake="cuts off at the floor", says="with a floor")
def warmup_cosine(step, steps, warmup, floor=0.0):
    falling = max(floor, (1 + math.cos(math.pi * min(step / steps, 1))) / 2)
    return min((step + 1) / warmup, falling) if warmup else falling


@wrong("warmup-cosine", mistake="rises again after the end", says="stays at the floor")
def warmup_cosine(step, steps, warmup, floor=0.0):
    falling = floor + (1 - floor) * (1 + math.cos(math.pi * step / steps)) / 2
    return min((step + 1) / warmup, falling) if warmup else falling


# -------------------------------------------------------------------------------------------------- clip-gradients


@wrong("clip-gradients", mistake="clips each tensor by itself", says="by the same factor")
def clip_gradients(gradients, bound):
    norms = [gradient.norm().item() for gradient in gradients]
    for gradient, norm in zip(gradients, norms, strict=True):
        gradient.mul_(min(1.0, bound / (norm + 1e-6)))
    return math.hypot(*norms)


@wrong("clip-gradients", mistake="clips each number", says="by the same factor")
def clip_gradients(gradients, bound):
    norm = math.hypot(*(gradient.norm().item() for gradient in gradients))
    for gradient in gradients:
        gradient.clamp_(-bound, bound)
    return norm


@wrong("clip-gradients", mistake="adds the norms", says="3 and 4 together have norm 5")
def clip_gradients(gradients, bound):
    norm = sum(gradient.norm().item() for gradient in gradients)
    factor = min(1.0, bound / (norm + 1e-6))
    for gradient in gradients:
        gradient.mul_(factor)
    return norm


@wrong("clip-gradients", mistake="makes small gradients longer", says="clipping never makes them longer")
def clip_gradients(gradients, bound):
    norm = math.hypot(*(gradient.norm().item() for gradient in gradients))
    for gradient in gradients:
        gradient.mul_(bound / (norm + 1e-6))
    return norm


@wrong("clip-gradients", mistake="makes new tensors", says="should shrink in place")
def clip_gradients(gradients, bound):
    norm = math.hypot(*(gradient.norm().item() for gradient in gradients))
    factor = min(1.0, bound / (norm + 1e-6))
    gradients = [gradient * factor for gradient in gradients]
    return norm


@wrong("clip-gradients", mistake="returns the norm after", says="return the norm before clipping")
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


# --------------------------------------------------------------------------------------------------------- trainer


def loss_of(model, inputs, targets):
    return F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())


def schedule(step, steps, warmup):
    return solutions.training.warmup_cosine(step, steps, warmup)


def clip(gradients, bound):
    return solutions.training.clip_gradients(gradients, bound)


@wrong("trainer", mistake="does not divide by the pieces", says="its mean")
class Trainer(solutions.training.Trainer):
    def accumulate(self, inputs, targets, pieces):
        self.optimizer.zero_grad()
        total = 0.0
        for some, wanted in zip(inputs.chunk(pieces), targets.chunk(pieces), strict=True):
            loss = loss_of(self.model, some, wanted)
            loss.backward()
            total += loss.item()
        return total


@wrong("trainer", mistake="takes the mean of the pieces' means", says="its mean")
class Trainer(solutions.training.Trainer):
    def accumulate(self, inputs, targets, pieces):
        self.optimizer.zero_grad()
        total = 0.0
        for some, wanted in zip(inputs.chunk(pieces), targets.chunk(pieces), strict=True):
            loss = loss_of(self.model, some, wanted) / pieces
            loss.backward()
            total += loss.item()
        return total


@wrong("trainer", mistake="keeps the last batch's gradients", says="forget the last one")
class Trainer(solutions.training.Trainer):
    def accumulate(self, inputs, targets, pieces):
        total = 0.0
        for some, wanted in zip(inputs.chunk(pieces), targets.chunk(pieces), strict=True):
            loss = loss_of(self.model, some, wanted) * len(some) / len(inputs)
            loss.backward()
            total += loss.item()
        return total


@wrong("trainer", mistake="forgets between the pieces", says="weigh pieces by rows")
class Trainer(solutions.training.Trainer):
    def accumulate(self, inputs, targets, pieces):
        total = 0.0
        for some, wanted in zip(inputs.chunk(pieces), targets.chunk(pieces), strict=True):
            self.optimizer.zero_grad()
            loss = loss_of(self.model, some, wanted) * len(some) / len(inputs)
            loss.backward()
            total += loss.item()
        return total


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


@wrong("trainer", mistake="has no schedule", says="is the learning rate set for step 0")
class Trainer(Stepping):
    def rate(self):
        return self.config.learning_rate


@wrong("trainer", mistake="counts steps from 1", says="is the learning rate set for step 0")
class Trainer(Stepping):
    def rate(self):
        return self.config.learning_rate * schedule(len(self.losses) + 1, self.config.steps, self.config.warmup)


@wrong("trainer", mistake="sets the rate of the first group only", says="is the learning rate set for step 0")
class Trainer(solutions.training.Trainer):
    def step(self):
        factor = schedule(len(self.losses), self.config.steps, self.config.warmup)
        self.optimizer.param_groups[0]["lr"] = self.config.learning_rate * factor
        loss = self.accumulate(*self.mixture.batch(self.config.batch_size), self.config.pieces)
        clip([p.grad for p in self.model.parameters()], self.config.clip)
        self.optimizer.step()
        self.losses.append(loss)
        return loss


@wrong("trainer", mistake="multiplies the factor into the last rate", says="the rate follows the number of losses")
class Trainer(solutions.training.Trainer):
    def step(self):
        for group in self.optimizer.param_groups:
            group["lr"] *= schedule(len(self.losses), self.config.steps, self.config.warmup)
        loss = self.accumulate(*self.mixture.batch(self.config.batch_size), self.config.pieces)
        clip([p.grad for p in self.model.parameters()], self.config.clip)
        self.optimizer.step()
        self.losses.append(loss)
        return loss


@wrong("trainer", mistake="does not clip", says="should be clipped")
class Trainer(Stepping):
    def shorten(self):
        pass


@wrong("trainer", mistake="clips after the optimizer has stepped", says="should be clipped")
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


@wrong("trainer", mistake="does not note its losses", says="the rate follows the number of losses")
class Trainer(Stepping):
    def step(self):
        loss = super().step()
        self.losses.pop()
        return loss


@wrong("trainer", mistake="returns nothing", says="step should return the loss")
class Trainer(Stepping):
    def step(self):
        super().step()


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


@wrong("snapshot", mistake="keeps the weights only", says="the mixture has a state too")
def restore(trainer, state):
    put_back(trainer, fresh(trainer) | {"model": state["model"]})


@wrong("snapshot", mistake="forgets the weights", says="are not those of the snapshot")
def restore(trainer, state):
    put_back(trainer, state | {"model": trainer.model.state_dict()})


@wrong("snapshot", mistake="forgets the optimizer", says="what the optimizer remembers")
def restore(trainer, state):
    put_back(trainer, state | {"optimizer": trainer.optimizer.state_dict()})


@wrong("snapshot", mistake="forgets the place in the texts", says="the mixture has a state too")
def restore(trainer, state):
    put_back(trainer, state | {"mixture": trainer.mixture.state_dict()})


@wrong("snapshot", mistake="forgets the losses, and so the step", says="the step's number")
def restore(trainer, state):
    put_back(trainer, state | {"losses": list(trainer.losses)})


@wrong("snapshot", mistake="forgets torch's random state", says="random state belongs to the snapshot")
def restore(trainer, state):
    put_back(trainer, state | {"random": torch.get_rng_state()})


@wrong("snapshot", mistake="gives out the model's own tensors", says="not copies")
def snapshot(trainer):
    return whole(trainer) | {"model": dict(trainer.model.state_dict())}


@wrong("snapshot", mistake="gives out the list of losses itself", says="did later steps change part of it?")
def snapshot(trainer):
    return whole(trainer) | {"losses": trainer.losses}


@wrong("snapshot", mistake="puts the snapshot's own list into the trainer", says="what restore puts into the trainer")
def restore(trainer, state):
    put_back(trainer, state)
    trainer.losses = state["losses"]


@wrong("snapshot", mistake="returns bytes", says="does not hold the numbers")
def snapshot(trainer):
    file = io.BytesIO()
    torch.save(whole(trainer), file)
    return {"saved": file.getvalue()}


# ----------------------------------------------------------------------------------------------------- train-until


def save(trainer):
    return solutions.training.snapshot(trainer)


def load(trainer, state):
    return solutions.training.restore(trainer, state)


@wrong("train-until", mistake="begins from the start", says="that was never interrupted")
def train_until(trainer, saved, until, every):
    while len(trainer.losses) < until:
        trainer.step()
        if len(trainer.losses) % every == 0:
            saved.append(save(trainer))
    return trainer.losses


@wrong("train-until", mistake="goes on from the first snapshot", says="add two snapshots")
def train_until(trainer, saved, until, every):
    if saved:
        load(trainer, saved[0])
    while len(trainer.losses) < until:
        trainer.step()
        if len(trainer.losses) % every == 0:
            saved.append(save(trainer))
    return trainer.losses


@wrong("train-until", mistake="takes `until` more steps", says="all 12 losses")
def train_until(trainer, saved, until, every):
    if saved:
        load(trainer, saved[-1])
    for _ in range(until):
        trainer.step()
        if len(trainer.losses) % every == 0:
            saved.append(save(trainer))
    return trainer.losses


@wrong("train-until", mistake="saves before the step", says="after steps 3 and 6")
def train_until(trainer, saved, until, every):
    if saved:
        load(trainer, saved[-1])
    while len(trainer.losses) < until:
        if len(trainer.losses) % every == 0:
            saved.append(save(trainer))
        trainer.step()
    return trainer.losses


@wrong("train-until", mistake="saves at the end too", says="after steps 3 and 6")
def train_until(trainer, saved, until, every):
    if saved:
        load(trainer, saved[-1])
    while len(trainer.losses) < until:
        trainer.step()
        if len(trainer.losses) % every == 0:
            saved.append(save(trainer))
    saved.append(save(trainer))
    return trainer.losses


@wrong("train-until", mistake="returns only the new losses", says="should have all 12 losses")
def train_until(trainer, saved, until, every):
    if saved:
        load(trainer, saved[-1])
    before = len(trainer.losses)
    while len(trainer.losses) < until:
        trainer.step()
        if len(trainer.losses) % every == 0:
            saved.append(save(trainer))
    return trainer.losses[before:]
