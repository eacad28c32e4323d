"""The settings of whole libraries as they are when Python starts, whatever a notebook's cells have made of them."""

import contextlib
import random
import warnings
from collections.abc import Iterator

import numpy as np
import torch

SEED = 0


@contextlib.contextmanager
def default_settings() -> Iterator[None]:
    """Run a block under the defaults of torch, numpy, `random` and `warnings`; afterwards all is as it was before.

    Hidden tests run after the last cell, so that what it set, such as `torch.set_grad_enabled(False)`, would reach them
    and no visible test. In the block gradients are recorded, numbers are float32 and on the CPU, nothing is cast by
    itself, no warning is an error, and the generators of random numbers begin at a fixed seed.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))  # which turns gradients on too
        stack.enter_context(torch.autocast("cpu", enabled=False))
        stack.enter_context(torch.autograd.set_detect_anomaly(False))
        stack.enter_context(np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"))
        stack.enter_context(warnings.catch_warnings())
        if any(action == "error" for action, *_ in warnings.filters):
            warnings.simplefilter("default")
        _set_torch(stack)
        _seed(stack)
        yield


def _set_torch(stack: contextlib.ExitStack) -> None:
    """The settings that are no context managers; those that are slow to set only where they were changed."""
    stack.callback(torch.set_default_dtype, torch.get_default_dtype())
    torch.set_default_dtype(torch.float32)
    if (device := torch.get_default_device()).type != "cpu":
        stack.callback(torch.set_default_device, device)
        torch.set_default_device(None)
    if torch.are_deterministic_algorithms_enabled():
        warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
        stack.callback(torch.use_deterministic_algorithms, True, warn_only=warn_only)
        torch.use_deterministic_algorithms(False)
    if (precision := torch.get_float32_matmul_precision()) != "highest":
        stack.callback(torch.set_float32_matmul_precision, precision)
        torch.set_float32_matmul_precision("highest")


def _seed(stack: contextlib.ExitStack) -> None:
    stack.callback(torch.set_rng_state, torch.get_rng_state())
    torch.manual_seed(SEED)
    stack.callback(random.setstate, random.getstate())
    random.seed(SEED)
    stack.callback(np.random.set_state, np.random.get_state())
    np.random.seed(SEED)
