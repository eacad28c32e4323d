"""Questions that a test may ask of a student's code beyond calling it.

Each takes the student's object, here or behind a proxy, and gives plain data back: gradients, arguments after a call,
results under a seed, how often functions are called, a few steps of training or of an optimizer, a result that later
calls may have changed, what a model or a layer of it reads.
"""

import cProfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from types import CodeType
from typing import Any

import torch
from torch import Tensor, nn

from labkit.fit import fit, token_batches
from labkit.testing.link import probe


@probe
def gradients(function: Callable | nn.Module, *inputs: Any) -> dict[str, Tensor]:
    """Gradients of a weighted sum of `function(*inputs)`.

    Returns `{"input.0": ..., "weight": ...}`: for each floating-point tensor among the inputs, by position, and for
    each parameter of a module, by name, a tensor of its shape. What does not matter to the output gets zeros. The
    weights of the sum are fixed and all different, so that no gradient cancels by symmetry.
    """
    leaves = [x.detach().clone().requires_grad_() if _is_float(x) else x for x in inputs]
    wanted = {f"input.{i}": x for i, x in enumerate(leaves) if _is_float(x)}
    if isinstance(function, nn.Module):
        wanted |= {name: p for name, p in function.named_parameters() if p.requires_grad}
    with torch.enable_grad():
        output = function(*leaves)
        if not isinstance(output, Tensor):
            raise TypeError(f"a tensor is expected and {type(output).__name__} came back")
        if not output.requires_grad:  # nothing that it was given matters to it
            return {k: torch.zeros_like(v) for k, v in wanted.items()}
        weights = torch.linspace(0.5, 1.5, output.numel(), dtype=output.dtype).view(output.shape)
        found = torch.autograd.grad((output * weights).sum(), list(wanted.values()), allow_unused=True)
    return {k: torch.zeros_like(v) if g is None else g for (k, v), g in zip(wanted.items(), found, strict=True)}


@probe
def after_call(
    function: Callable, *args: Any, then: Callable[[], Any] | None = None, times: int = 1, **kwargs: Any
) -> tuple[Any, tuple]:
    """`(result, args)` of a call, the arguments as the call left them: shows in-place changes.

    The call is given copies, so that what the test passes stays as it was, also where no process lies between. With
    `then`, the arguments are as they are after that was called too, `times` times: shows what goes on changing.
    """
    args, kwargs = _copied(args), _copied(kwargs)
    result = function(*args, **kwargs)
    if then is not None:
        for _ in range(times):
            then()
    return result, args


@probe
def tensors_after(function: Callable, tensors: list[Tensor], *args: Any) -> tuple[Any, list[Tensor], list[Tensor]]:
    """`(result, tensors, list)` of a call with a list of tensors and more, both as the call left them.

    Shows what was changed in place, where `after_call` would also show what took a tensor's place in the list. The call
    is given copies, in memory transposed where they have two axes or more, as gradients may be.
    """
    copies = [tensor.detach().mT.contiguous().mT if tensor.ndim > 1 else tensor.detach().clone() for tensor in tensors]
    given = list(copies)
    return function(given, *args), copies, given


@probe
def shapes_read(module: nn.Module, function: Callable, *args: Any) -> list[tuple[int, ...]]:
    """The shapes of what a module is given, call by call, while `function(*args)` runs."""
    shapes: list[tuple[int, ...]] = []
    hook = module.register_forward_pre_hook(lambda _, inputs: shapes.append(tuple(inputs[0].shape)))
    try:
        function(*args)
    finally:
        hook.remove()
    return shapes


@probe
def given_iterator(function: Callable, items: list, *args: Any, **kwargs: Any) -> Any:
    """Result of a call whose first argument gives each of `items` once, as an iterator does."""
    return function(iter(items), *args, **kwargs)


@probe
def calls(function: Callable, *args: Any) -> dict[str, int]:
    """How often a call of `function` calls each function written in Python, by its name."""
    profile = cProfile.Profile(builtins=False)
    profile.runcall(function, *args)
    counts: Counter[str] = Counter()
    for entry in profile.getstats():
        if isinstance(entry.code, CodeType):
            counts[entry.code.co_name] += entry.callcount
    return dict(counts)


@probe
def seeded(seed: int, function: Callable, *args: Any, **kwargs: Any) -> Any:
    """Result of a call made right after `torch.manual_seed(seed)`."""
    torch.manual_seed(seed)
    return function(*args, **kwargs)


@probe
def drawn_after(seed: int, function: Callable, *args: Any, **kwargs: Any) -> Tensor:
    """Four numbers that torch draws after a call made right after `torch.manual_seed(seed)`.

    They are those of a generator with that seed, unless the call has drawn from torch's global one or seeded it.
    """
    torch.manual_seed(seed)
    function(*args, **kwargs)
    return torch.rand(4)


@probe
def train(
    module: nn.Module,
    tokens: Tensor,
    *,
    steps: int,
    batch_size: int,
    context: int,
    learning_rate: float,
    seed: int,
) -> None:
    """Train a module in place to predict the next token, with AdamW at a constant learning rate.

    `tokens` is one long row of ids; each batch takes `batch_size` windows of `context` tokens from it at random.
    `module` maps ids (batch, position) to logits (batch, position, vocabulary).
    """
    batches = token_batches(tokens, batch_size=batch_size, context=context, seed=seed)
    optimizer = torch.optim.AdamW(module.parameters(), lr=learning_rate)
    fit(module, batches, steps=steps, optimizer=optimizer, progress=False)


@probe
def optimize(
    make: Callable[..., torch.optim.Optimizer],
    parameters: list[Tensor],
    gradients: list[list[Tensor | None]],
    *,
    groups: list[dict[str, Any]] | None = None,
    reload_after: int | None = None,
    **settings: Any,
) -> list[Tensor]:
    """The parameters after an optimizer has made a step for each row of `gradients`, which holds one a parameter.

    groups: the parameter groups, with indices for "params"; one group with all parameters when None.
    reload_after: after so many steps the optimizer is replaced by a new one that loads its state dict.
    settings: keyword arguments of `make`, the optimizer's class.
    """
    leaves = [nn.Parameter(parameter.detach().clone()) for parameter in parameters]
    rows = [{"params": range(len(leaves))}] if groups is None else groups

    def made() -> torch.optim.Optimizer:
        return make([row | {"params": [leaves[i] for i in row["params"]]} for row in rows], **settings)

    optimizer = made()
    for number, row in enumerate(gradients):
        if number == reload_after:
            state = optimizer.state_dict()
            optimizer = made()
            optimizer.load_state_dict(state)
        for leaf, gradient in zip(leaves, row, strict=True):
            leaf.grad = None if gradient is None else gradient.detach().clone()
        optimizer.step()
    return [leaf.detach() for leaf in leaves]


@probe
def kept(function: Callable, *args: Any, then: Callable[[], Any], times: int = 1) -> Any:
    """What `function(*args)` returned, as it is after `then()` was called `times` times.

    Shows a result that is tied to what goes on changing.
    """
    result = function(*args)
    for _ in range(times):
        then()
    return result


class _Asked(BaseException):
    """A layer's question to the test; no `except Exception` of the code between keeps it."""


@probe
def until_asked(
    function: Callable, model: nn.Module, layer: str, answers: list[tuple[Tensor, Tensor]], *args: Any
) -> tuple[bool, Any]:
    """Call `function(model, *args)` while the test says what a layer of the model puts out.

    `answers` are inputs of the layer and what it makes of them, in the order in which it reads them. Returns
    `(True, input)` where the layer reads what is not the next of these: the test adds that pair and calls again.
    Returns `(False, result)` when the call ends. So a test that keeps a layer's weights to itself sees all it reads.
    """
    following = iter(answers)

    def answer(_: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        (x,), pair = inputs, next(following, None)
        if pair is None or pair[0].shape != x.shape or not torch.allclose(pair[0], x):
            raise _Asked(x.detach().clone())
        return pair[1]

    hook = model.get_submodule(layer).register_forward_hook(answer)
    try:
        return False, function(model, *args)
    except _Asked as asked:
        return True, asked.args[0]
    finally:
        hook.remove()


def _is_float(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def _copied(value: Any) -> Any:
    """A copy of data; the student's own objects, which are no data, stay what they are."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if type(value) in (list, tuple, set):
        # Ids and texts cannot be changed in place.
        return type(value)(value) if set(map(type, value)) <= {int, str} else type(value)(map(_copied, value))
    if type(value) in (dict, OrderedDict, Counter):  # a model's state is an OrderedDict
        copied = value.copy()
        for key, item in value.items():
            copied[key] = _copied(item)
        return copied
    return value
