"""Training, taken apart: what is read in which order, how weights change, and how a run survives an interruption.

The optimizer takes the steps of `torch.optim.AdamW`, the clipping is that of `torch.nn.utils.clip_grad_norm_`, and
both, with the schedule and the mixture, fit into `labkit.fit` as well as into the trainer below.
"""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from labkit.fit import decay_groups
from solutions.gpt import GPT, GPTConfig

# Brown et al. (2020), "Language Models are Few-Shot Learners", table 2.2, for 300 billion tokens of training:
# billions of tokens in the data set, weight in the mixture, epochs. The weights add up to 1.01, as printed.
GPT3_TOKENS = 300.0
GPT3_MIXTURE = {
    "Common Crawl": (410.0, 0.60, 0.44),
    "WebText2": (19.0, 0.22, 2.9),
    "Books1": (12.0, 0.08, 1.9),
    "Books2": (55.0, 0.08, 0.43),
    "Wikipedia": (3.0, 0.03, 3.4),
}

# Touvron et al. (2023), "LLaMA: Open and Efficient Foundation Language Models", table 1, for 1,400 billion tokens of
# training: gigabytes on disk, weight in the mixture, epochs. The sizes in tokens are not printed; below are those that
# Weber et al. (2024), "RedPajama: an Open Dataset for Training Large Language Models", counted when they rebuilt the
# same data sets by the paper's recipe, in billions.
LLAMA_TOKENS = 1400.0
LLAMA_MIXTURE = {
    "Common Crawl": (3300.0, 0.67, 1.10),
    "C4": (783.0, 0.15, 1.06),
    "GitHub": (328.0, 0.045, 0.64),
    "Wikipedia": (83.0, 0.045, 2.45),
    "Books": (85.0, 0.045, 2.23),
    "arXiv": (92.0, 0.025, 1.06),
    "Stack Exchange": (78.0, 0.02, 1.03),
}
REDPAJAMA_TOKENS = {
    "Common Crawl": 878.0,
    "C4": 175.0,
    "GitHub": 59.0,
    "Wikipedia": 24.0,
    "Books": 26.0,
    "arXiv": 28.0,
    "Stack Exchange": 20.0,
}


# ----------------------------------------------------------------------------------------------------------- the data


def epochs(weights: list[float], sizes: list[float], total: float) -> list[float]:
    """How often each data set of a mixture is read.

    `weights` are the data sets' shares of the training examples; if they do not add up to 1, they are meant in
    proportion. `sizes` are their tokens and `total` is the tokens of the whole training, all three in the same unit.
    A data set that is read less than once has a number below 1.

    Source: Brown et al. (2020), "Language Models are Few-Shot Learners", table 2.2.
    """
    return [weight / sum(weights) * total / size for weight, size in zip(weights, sizes, strict=True)]


class Source:
    """One text, read window by window: each window once an epoch, in an order that is drawn anew for every epoch.

    The text is cut into windows of `context + 1` tokens, and each window begins with the last token of the one before.
    So every token but the first is predicted once an epoch. What is left at the end and fills no window is not read.
    """

    def __init__(self, tokens: Int[Tensor, " n"], context: int, seed: int):
        if len(tokens) <= context:
            raise ValueError(f"{len(tokens)} tokens fill no window of {context + 1}: pass a longer text")
        self.windows = tokens.unfold(0, context + 1, context)
        self.generator = torch.Generator().manual_seed(seed)
        self.order = torch.empty(0, dtype=torch.long)  # of the windows in this epoch; none has begun
        self.position = 0  # how many of them have been read

    def next_window(self) -> Int[Tensor, " context+1"]:
        """The next window of this epoch; after the last one, a new epoch begins in a new order.

        An order comes from `torch.randperm` with the source's own generator.
        """
        if self.position == len(self.order):
            self.order = torch.randperm(len(self.windows), generator=self.generator)
            self.position = 0
        self.position += 1
        return self.windows[self.order[self.position - 1]]

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs to go on from here: plain data that later reading does not change."""
        return {"order": self.order, "position": self.position, "generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken, also if that was in a source of the same text in another process."""
        self.order, self.position = state["order"], state["position"]
        self.generator.set_state(state["generator"])


class Mixture:
    """Batches from several texts, mixed by weight.

    Every row of a batch chooses its text by itself, with a probability in proportion to the text's weight and whatever
    the text's length, and takes the next window of it.
    """

    def __init__(self, texts: list[Int[Tensor, " n"]], weights: list[float], context: int, seed: int):
        if len(texts) != len(weights) or min(weights, default=-1) < 0 or not sum(weights) > 0:
            raise ValueError(f"{len(texts)} texts need as many weights, none below 0 and not all 0: not {weights}")
        self.sources = [Source(text, context, seed + 1 + i) for i, text in enumerate(texts)]
        self.weights = torch.tensor(weights, dtype=torch.float64)
        self.generator = torch.Generator().manual_seed(seed)

    def batch(self, batch_size: int) -> tuple[Int[Tensor, "batch context"], Int[Tensor, "batch context"]]:
        """Inputs and targets: the windows without their last token, and without their first.

        The texts are chosen with the mixture's own generator.
        """
        chosen = torch.multinomial(self.weights, batch_size, replacement=True, generator=self.generator)
        windows = torch.stack([self.sources[i].next_window() for i in chosen.tolist()])
        return windows[:, :-1], windows[:, 1:]

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs to go on from here: plain data that later reading does not change."""
        return {"sources": [source.state_dict() for source in self.sources], "generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken, also if that was in a mixture of the same texts in another process."""
        for source, its_state in zip(self.sources, state["sources"], strict=True):
            source.load_state_dict(its_state)
        self.generator.set_state(state["generator"])


def batches(mixture: Mixture, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches of a mixture, as `labkit.fit` takes them."""
    while True:
        yield mixture.batch(batch_size)


# ------------------------------------------------------------------------------------------------------ the optimizer


def update_moments(
    gradient: Float[Tensor, "..."], moments: dict[str, Any], betas: tuple[float, float]
) -> dict[str, Any]:
    """The running averages of a gradient and of its square, one step later.

    Each average keeps the fraction beta of its old value and takes the rest, 1 - beta, from the new gradient or its
    square: the mean with the first of the betas, the square with the second.

    `moments` holds "step", the number of gradients seen, "mean" and "square"; an empty dict stands for none seen, with
    both averages 0. Returns a new dict with all three and leaves the old one as it was.

    Source: Kingma and Ba (2015), "Adam: A Method for Stochastic Optimization", algorithm 1.
    """
    zero = torch.zeros_like(gradient)
    return {
        "step": moments.get("step", 0) + 1,
        "mean": betas[0] * moments.get("mean", zero) + (1 - betas[0]) * gradient,
        "square": betas[1] * moments.get("square", zero) + (1 - betas[1]) * gradient**2,
    }


def adamw_update(
    parameter: Float[Tensor, "..."],
    gradient: Float[Tensor, "..."],
    moments: dict[str, Any],
    learning_rate: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
) -> tuple[Float[Tensor, "..."], dict[str, Any]]:
    """One step of AdamW: the new values of a parameter, and its moments after `gradient`.

    The averages began at 0, so they are too small by some factor, most of all after few gradients. That factor depends
    only on beta and on how many gradients were seen. For the step, but not in the moments that are returned, it is
    divided out: where the gradient is always the same, the corrected mean is that gradient, from the first step on.

    The step is the learning rate times the corrected mean, divided by the root of the corrected square plus eps. Decay
    shrinks the old parameter by the fraction learning rate times weight decay, and never touches the gradient or its
    averages. Returns new tensors and changes none in place.

    Source: Loshchilov and Hutter (2019), "Decoupled Weight Decay Regularization", algorithm 2, with the learning rate
    on the decay as well, as `torch.optim.AdamW` has it.
    """
    moments = update_moments(gradient, moments, betas)
    mean = moments["mean"] / (1 - betas[0] ** moments["step"])
    square = moments["square"] / (1 - betas[1] ** moments["step"])
    kept = (1 - learning_rate * weight_decay) * parameter
    return kept - learning_rate * mean / (square.sqrt() + eps), moments


class AdamW(torch.optim.Optimizer):
    """AdamW for the parameters of a model, in the form that every PyTorch training loop takes.

    `param_groups` is a list of dicts, each with its "params" and the settings that hold for them: "lr", "betas",
    "eps", "weight_decay". `state[parameter]` is a dict, empty at first, that belongs to one parameter. `state_dict`
    and `load_state_dict` save and restore what is kept there, and the groups' settings; attributes of your own they do
    not know.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-8,
        weight_decay: float = 0.1,
    ):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Change every parameter that has a gradient by one step of AdamW with its group's settings.

        The parameters are the model's own tensors and stay in their places: only their values change.
        A parameter whose `grad` is None stays as it is, and so do its moments. `closure` is not used.
        """
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                settings = (group["lr"], group["betas"], group["eps"], group["weight_decay"])
                new, moments = adamw_update(parameter, parameter.grad, self.state[parameter], *settings)
                parameter.copy_(new)
                self.state[parameter] = moments


def warmup_cosine(step: int, steps: int, warmup: int, floor: float = 0.0) -> float:
    """Factor on the learning rate at a step, counted from 0: up in a line, then down along half a cosine.

    Of two curves the lower one counts. The line rises by 1 / warmup a step, beginning with that, and is left out when
    `warmup` is 0. The other has the shape of a cosine from its top to its bottom: it falls from 1 at step 0 to `floor`
    at step `steps`, and stays there.

    Source: Loshchilov and Hutter (2017), "SGDR", equation 5, with a warm-up as in Brown et al. (2020), appendix B.
    """
    cosine = (1 + math.cos(math.pi * min(step, steps) / steps)) / 2
    falling = floor + (1 - floor) * cosine
    return min((step + 1) / warmup, falling) if warmup else falling


@torch.no_grad()
def clip_gradients(gradients: list[Float[Tensor, "..."]], bound: float) -> float:
    """Shrink gradients in place, all by one factor, so that their norm taken together is at most `bound`.

    The norm is the root of the sum of all squares in all tensors, whatever their shapes and however they lie in memory.
    Gradients whose norm is below the bound stay as they are. The factor is bound / (norm + 1e-6), as in PyTorch.
    Returns the norm before.

    Source: Pascanu, Mikolov and Bengio (2013), "On the difficulty of training recurrent neural networks", section 3.2.
    """
    norm = math.sqrt(sum((gradient**2).sum().item() for gradient in gradients))
    factor = bound / (norm + 1e-6)
    if factor < 1:
        for gradient in gradients:
            gradient.mul_(factor)
    return norm


# ------------------------------------------------------------------------------------------------------------ the run


@dataclass(frozen=True)
class TrainerConfig:
    """All that decides how a training run goes, but for its texts.

    weights: of the texts in the mixture.
    steps: the length of the whole run, by which the learning rate falls; `warmup` of them rise first.
    learning_rate: the optimizer's, where the factor of the schedule is 1.
    weight_decay: the optimizer's, on matrices; biases and the weights of norms do not decay.
    clip: the bound on the norm of all gradients together.
    pieces: into how many pieces a batch is cut to save memory.
    dropout: share of the embedding's numbers that are dropped during training.
    """

    model: GPTConfig
    weights: tuple[float, ...]
    steps: int
    batch_size: int
    learning_rate: float
    warmup: int = 0
    weight_decay: float = 0.1
    clip: float = 1.0
    pieces: int = 1
    dropout: float = 0.0
    seed: int = 0


class DropoutGPT(GPT):
    """A GPT that, in training, sets a random share of its embeddings' numbers to 0, as GPT-2 did with a tenth."""

    def __init__(self, config: GPTConfig, dropout: float):
        super().__init__(config)
        self.dropout = dropout

    def embed(self, ids: Int[Tensor, "batch position"]) -> Float[Tensor, "batch position d_model"]:
        return F.dropout(super().embed(ids), self.dropout, self.training)


class Trainer:
    """A training run: the model, its optimizer, the texts it reads and the losses so far."""

    def __init__(self, config: TrainerConfig, texts: list[Int[Tensor, " n"]]):
        torch.manual_seed(config.seed)
        self.config = config
        self.losses: list[float] = []
        self.model = DropoutGPT(config.model, config.dropout)
        self.optimizer = AdamW(decay_groups(self.model, config.weight_decay), lr=config.learning_rate)
        self.mixture = Mixture(texts, list(config.weights), config.model.context, config.seed)

    def weights(self) -> dict[str, Tensor]:
        """A copy of the model's weights, by name."""
        return {name: tensor.clone() for name, tensor in self.model.state_dict().items()}

    def gradients(self) -> dict[str, Tensor]:
        """A copy of the gradients of all weights, by name."""
        return {name: p.grad.clone() for name, p in self.model.named_parameters() if p.grad is not None}

    @torch.no_grad()
    def logits(self, ids: Int[Tensor, "batch position"]) -> Float[Tensor, "batch position vocab_size"]:
        """What the model predicts, without dropout."""
        self.model.eval()
        answer = self.model(ids)
        self.model.train()
        return answer

    def accumulate(
        self, inputs: Int[Tensor, "batch position"], targets: Int[Tensor, "batch position"], pieces: int
    ) -> float:
        """Leave the gradient of the batch's mean loss in the weights' `grad`, and return that loss in nats a token.

        What stood in `grad` is forgotten. The model, in training mode, sees the batch in `pieces` parts, cut by
        `Tensor.chunk`, one after the other, and the gradients add up. The parts need not be equal, yet the result is
        that of the whole batch.
        """
        self.optimizer.zero_grad()
        total = 0.0
        for some, wanted in zip(inputs.chunk(pieces), targets.chunk(pieces), strict=True):
            loss = F.cross_entropy(self.model(some).flatten(0, 1), wanted.flatten())
            loss = loss * len(some) / len(inputs)
            loss.backward()
            total += loss.item()
        return total

    def step(self) -> float:
        """Take one training step; append its loss to `losses` and return it.

        A batch from the mixture, its gradients by `accumulate`, these clipped all together to `config.clip`, and a step
        of the optimizer. The gradients are the `p.grad` of the model's parameters. The learning rate is that of the
        config times `warmup_cosine`, in every group of the optimizer; the first step has number 0.
        """
        config, number = self.config, len(self.losses)
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate * warmup_cosine(number, config.steps, config.warmup)
        loss = self.accumulate(*self.mixture.batch(config.batch_size), config.pieces)
        clip_gradients([p.grad for p in self.model.parameters() if p.grad is not None], config.clip)
        self.optimizer.step()
        self.losses.append(loss)
        return loss


def snapshot(trainer: Trainer) -> dict[str, Any]:
    """All the losses so far and everything else that decides how a run goes on.

    It is plain data: numbers, lists, dicts and tensors. Later steps change nothing in it.
    """
    return copy.deepcopy(
        {
            "model": trainer.model.state_dict(),
            "optimizer": trainer.optimizer.state_dict(),
            "mixture": trainer.mixture.state_dict(),
            "losses": trainer.losses,
            "random": torch.get_rng_state(),
        }
    )


def restore(trainer: Trainer, state: dict[str, Any]) -> None:
    """Bring a trainer to where a snapshot was taken, so that it goes on with the very same steps.

    The trainer has the same config and texts, and may be fresh, ahead or behind; afterwards it has the snapshot's
    losses, and none of its own. The snapshot stays as it was, also when the trainer goes on.
    """
    state = copy.deepcopy(state)
    trainer.model.load_state_dict(state["model"])
    trainer.optimizer.load_state_dict(state["optimizer"])
    trainer.mixture.load_state_dict(state["mixture"])
    trainer.losses = state["losses"]
    torch.set_rng_state(state["random"])


def train_until(trainer: Trainer, saved: list[dict[str, Any]], until: int, every: int) -> list[float]:
    """Train until the run has `until` steps, and return all losses.

    `saved` holds snapshots, oldest first. If there is one, training goes on from the last. After every `every` steps
    of the run (steps 3, 6, 9, ... if that is 3), a new snapshot is appended, and at no other time: what an
    interruption costs is the steps since.
    """
    if saved:
        restore(trainer, saved[-1])
    while len(trainer.losses) < until:
        trainer.step()
        if len(trainer.losses) % every == 0:
            saved.append(snapshot(trainer))
    return trainer.losses
