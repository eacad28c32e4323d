"""Other right answers to the training assignment, which must keep all points."""

import copy
import math

import torch
import torch.nn.functional as F

import solutions.training
from course.banks.bank import right

# ---------------------------------------------------------------------------------------------------------- epochs


@right("epochs", differs="tensors, and the tokens read first")
def epochs(weights, sizes, total):
    read = total * torch.tensor(weights).double() / torch.tensor(weights).double().sum()
    return (read / torch.tensor(sizes).double()).tolist()


@right("epochs", differs="a loop")
def epochs(weights, sizes, total):
    found, whole = [], math.fsum(weights)
    for i in range(len(sizes)):
        found.append(total * weights[i] / (whole * sizes[i]))
    return found


# ---------------------------------------------------------------------------------------------------------- source


@right("source", differs="draws the next epoch's order as soon as one ends")
class Source(solutions.training.Source):
    def next_window(self):
        if len(self.order) == 0:
            self.order = torch.randperm(len(self.windows), generator=self.generator)
        window = self.windows[self.order[self.position]]
        self.position += 1
        if self.position == len(self.order):
            self.order, self.position = torch.randperm(len(self.windows), generator=self.generator), 0
        return window


@right("source", differs="uses up a list, of which the state holds a copy")
class Source(solutions.training.Source):
    def next_window(self):
        if len(self.order) == 0:
            self.order = torch.randperm(len(self.windows), generator=self.generator).tolist()
        return self.windows[self.order.pop()]

    def state_dict(self):
        return {"left": [int(i) for i in self.order], "generator": self.generator.get_state()}

    def load_state_dict(self, state):
        self.order = list(state["left"])
        self.generator.set_state(state["generator"])


@right("source", differs="remembers the generator's state before the epoch and draws its order again")
class Source(solutions.training.Source):
    def next_window(self):
        if self.position == len(self.order):
            self.before = self.generator.get_state()
            self.order, self.position = torch.randperm(len(self.windows), generator=self.generator), 0
        self.position += 1
        return self.windows[self.order[self.position - 1]]

    def state_dict(self):
        has_begun = len(self.order) > 0
        return {"before": self.before if has_begun else self.generator.get_state(), "read": self.position}

    def load_state_dict(self, state):
        self.generator.set_state(state["before"])
        self.order, self.position = torch.empty(0), 0
        for _ in range(state["read"]):
            self.next_window()


# --------------------------------------------------------------------------------------------------------- mixture


@right("mixture", differs="inverts the cumulative weights, row by row")
class Mixture(solutions.training.Mixture):
    def batch(self, batch_size):
        rows = []
        for _ in range(batch_size):
            drawn = torch.rand((), generator=self.generator, dtype=torch.float64) * self.weights.sum()
            i = int(torch.searchsorted(self.weights.cumsum(0), drawn, right=True))
            rows.append(self.sources[min(i, len(self.sources) - 1)].next_window())
        return torch.stack([row[:-1] for row in rows]), torch.stack([row[1:] for row in rows])


@right("mixture", differs="keeps its state as a tuple, and normalises the weights")
class Mixture(solutions.training.Mixture):
    def batch(self, batch_size):
        shares = self.weights / self.weights.sum()
        chosen = torch.multinomial(shares, batch_size, True, generator=self.generator)
        windows = torch.cat([self.sources[i].next_window()[None] for i in chosen])
        return windows[:, :-1].clone(), windows[:, 1:].clone()

    def state_dict(self):
        return (self.generator.get_state(), *[source.state_dict() for source in self.sources])

    def load_state_dict(self, state):
        self.generator.set_state(state[0])
        for i, source in enumerate(self.sources):
            source.load_state_dict(state[1 + i])


# ------------------------------------------------------------------------------------- adamw-update: the averages


@right("adamw-update", differs="lerp")
def update_moments(gradient, moments, betas):
    old = moments or {"step": 0, "mean": torch.zeros_like(gradient), "square": torch.zeros_like(gradient)}
    return {
        "step": old["step"] + 1,
        "mean": torch.lerp(old["mean"], gradient, 1 - betas[0]),
        "square": torch.lerp(old["square"], gradient * gradient, 1 - betas[1]),
    }


@right("adamw-update", differs="moves the averages a part of the way")
def update_moments(gradient, moments, betas):
    if not moments:
        return {"step": 1, "mean": (1 - betas[0]) * gradient, "square": (1 - betas[1]) * gradient.square()}
    new = copy.deepcopy(moments)
    new["step"] += 1
    new["mean"] += (1 - betas[0]) * (gradient - new["mean"])
    new["square"] += (1 - betas[1]) * (gradient.square() - new["square"])
    return new


@right("adamw-update", differs="keeps the averages in float32")
def update_moments(gradient, moments, betas):
    old = moments or {"step": 0, "mean": torch.zeros_like(gradient), "square": torch.zeros_like(gradient)}
    gradient = gradient.float()
    return {
        "step": old["step"] + 1,
        "mean": betas[0] * old["mean"].float() + (1 - betas[0]) * gradient,
        "square": betas[1] * old["square"].float() + (1 - betas[1]) * gradient.square(),
    }


# ----------------------------------------------------------------------------------------- adamw-update: the step


@right("adamw-update", differs="puts the corrections into the step's size, as torch does")
def adamw_update(parameter, gradient, moments, learning_rate, betas, eps, weight_decay):
    moments = solutions.training.update_moments(gradient, moments, betas)
    step = moments["step"]
    size = learning_rate / (1 - betas[0] ** step)
    root = moments["square"].sqrt() / math.sqrt(1 - betas[1] ** step) + eps
    return parameter * (1 - learning_rate * weight_decay) - size * moments["mean"] / root, moments


@right("adamw-update", differs="in place on a copy, the decay subtracted with the step")
def adamw_update(parameter, gradient, moments, learning_rate, betas, eps, weight_decay):
    moments = solutions.training.update_moments(gradient, moments, betas)
    step = moments["step"]
    direction = moments["mean"] / (1 - betas[0] ** step)
    direction = direction / ((moments["square"] / (1 - betas[1] ** step)) ** 0.5 + eps)
    new = parameter.detach().clone()
    new -= learning_rate * (direction + weight_decay * new)
    return new, moments


@right("adamw-update", differs="averages in float32")
def adamw_update(parameter, gradient, moments, learning_rate, betas, eps, weight_decay):
    moments = solutions.training.update_moments(gradient.float(), moments, betas)
    step = moments["step"]
    mean, square = moments["mean"] / (1 - betas[0] ** step), moments["square"] / (1 - betas[1] ** step)
    return (1 - learning_rate * weight_decay) * parameter - learning_rate * mean / (square.sqrt() + eps), moments


# ------------------------------------------------------------------------------------------------------- optimizer


def updated(parameter, gradient, moments, group):
    settings = (group["lr"], group["betas"], group["eps"], group["weight_decay"])
    return solutions.training.adamw_update(parameter, gradient, moments, *settings)


@right("optimizer", differs="adds the difference, and updates the state's own dict")
class AdamW(solutions.training.AdamW):
    def step(self, closure=None):
        with torch.no_grad():
            for group in self.param_groups:
                for parameter in filter(lambda p: p.grad is not None, group["params"]):
                    new, moments = updated(parameter, parameter.grad, dict(self.state[parameter]), group)
                    parameter += new - parameter
                    self.state[parameter].update(moments)


@right("optimizer", differs="writes through data")
class AdamW(solutions.training.AdamW):
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                found = updated(parameter.data, parameter.grad.data, self.state[parameter], group)
                parameter.data.copy_(found[0])
                self.state[parameter] = found[1]


@right("optimizer", differs="gives each parameter new data")
class AdamW(solutions.training.AdamW):
    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.data, self.state[parameter] = updated(
                        parameter, parameter.grad, self.state[parameter], group
                    )


# --------------------------------------------------------------------------------------------------- warmup-cosine


@right("warmup-cosine", differs="the square of a cosine of half the angle")
def warmup_cosine(step, steps, warmup, floor=0.0):
    done = min(step, steps) / steps
    falling = floor + (1 - floor) * math.cos(math.pi * done / 2) ** 2
    return min(1.0 if warmup == 0 else (step + 1) / warmup, falling)


@right("warmup-cosine", differs="cases, the end first")
def warmup_cosine(step, steps, warmup, floor=0.0):
    if step >= steps:
        return floor
    falling = (1 + floor) / 2 + (1 - floor) / 2 * math.cos(math.pi * step / steps)
    if step < warmup and (step + 1) / warmup < falling:
        return (step + 1) / warmup
    return falling


# -------------------------------------------------------------------------------------------------- clip-gradients


@right("clip-gradients", differs="the norm of the tensors' norms, and copy_")
def clip_gradients(gradients, bound):
    norm = torch.stack([torch.linalg.vector_norm(gradient).double() for gradient in gradients]).norm().item()
    if norm + 1e-6 > bound:
        for gradient in gradients:
            gradient.copy_(gradient * (bound / (norm + 1e-6)))
    return norm


@right("clip-gradients", differs="one long vector, and a factor of at most 1")
def clip_gradients(gradients, bound):
    norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
    factor = (bound / (norm + 1e-6)).clamp(max=1)
    for i in range(len(gradients)):
        gradients[i] *= factor
    return float(norm)


@right("clip-gradients", differs="the norm in float32")
def clip_gradients(gradients, bound):
    norm = torch.cat([gradient.float().reshape(-1) for gradient in gradients]).norm().item()
    for gradient in gradients:
        gradient.mul_(min(1.0, bound / (norm + 1e-6)))
    return norm


# --------------------------------------------------------------------------------------------------------- trainer


@right("trainer", differs="sums over tokens and divides by the batch's")
class Trainer(solutions.training.Trainer):
    def accumulate(self, inputs, targets, pieces):
        for parameter in self.model.parameters():
            parameter.grad = None
        losses = []
        for some, wanted in zip(inputs.chunk(pieces), targets.chunk(pieces), strict=True):
            logits = self.model(some)
            loss = F.cross_entropy(logits.mT, wanted, reduction="sum") / targets.numel()
            loss.backward()
            losses.append(float(loss.detach()))
        return sum(losses)


@right("trainer", differs="grad by autograd, and the rate set last")
class Trainer(solutions.training.Trainer):
    def accumulate(self, inputs, targets, pieces):
        parameters = list(self.model.parameters())
        sums, total = [torch.zeros_like(p) for p in parameters], 0.0
        for some, wanted in zip(inputs.chunk(pieces), targets.chunk(pieces), strict=True):
            loss = F.cross_entropy(self.model(some).flatten(0, 1), wanted.flatten()) * (len(some) / len(inputs))
            for held, gradient in zip(sums, torch.autograd.grad(loss, parameters), strict=True):
                held += gradient
            total += loss.item()
        for parameter, held in zip(parameters, sums, strict=True):
            parameter.grad = held
        return total

    def step(self):
        inputs, targets = self.mixture.batch(self.config.batch_size)
        self.losses.append(self.accumulate(inputs, targets, self.config.pieces))
        solutions.training.clip_gradients([p.grad for p in self.model.parameters()], self.config.clip)
        step = len(self.losses) - 1
        factor = solutions.training.warmup_cosine(step, self.config.steps, self.config.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * factor
        self.optimizer.step()
        return self.losses[-1]


# -------------------------------------------------------------------------------------------------------- snapshot


@right("snapshot", differs="copies each part by itself")
def snapshot(trainer):
    return {
        "losses": list(trainer.losses),
        "random": torch.get_rng_state(),
        "model": {name: tensor.detach().clone() for name, tensor in trainer.model.state_dict().items()},
        "optimizer": copy.deepcopy(trainer.optimizer.state_dict()),
        "mixture": copy.deepcopy(trainer.mixture.state_dict()),
    }


@right("snapshot", differs="writes the weights in place, and copies before it loads")
def restore(trainer, state):
    with torch.no_grad():
        for name, parameter in trainer.model.named_parameters():
            parameter.copy_(state["model"][name])
    trainer.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
    trainer.mixture.load_state_dict(copy.deepcopy(state["mixture"]))
    trainer.losses[:] = state["losses"]
    torch.set_rng_state(state["random"].clone())


# ----------------------------------------------------------------------------------------------------- train-until


def save(trainer):
    return solutions.training.snapshot(trainer)


def load(trainer, state):
    return solutions.training.restore(trainer, state)


@right("train-until", differs="counts in a for loop")
def train_until(trainer, saved, until, every):
    if len(saved) > 0:
        load(trainer, saved[-1])
    for step in range(len(trainer.losses) + 1, until + 1):
        trainer.step()
        if step % every == 0:
            saved.append(save(trainer))
    return list(trainer.losses)


@right("train-until", differs="in stretches between snapshots")
def train_until(trainer, saved, until, every):
    for state in saved[-1:] if isinstance(saved, list) else [saved[-1]]:
        load(trainer, state)
    while (done := len(trainer.losses)) < until:
        stretch = min(until, (done // every + 1) * every) - done
        for _ in range(stretch):
            trainer.step()
        if not len(trainer.losses) % every:
            saved.append(save(trainer))
    return trainer.losses
