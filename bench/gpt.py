"""Training our GPT against training `transformers`' GPT-2: `python -m bench.gpt`.

Both have the same sizes, the same weights to start from, the same dtype, one thread, the same batches, and the same
fused AdamW with gradients set to none. What is a switch is switched for both: fused kernels (attention and gelu; with
us `solutions.scale.fused`, which takes a fused layer norm too, as `transformers` always does), bfloat16, torch.compile.
What is left: our attention, MLP and loss do no bookkeeping for dropout, caches and outputs; our linear layers keep
their weights as (out, in) and theirs as (in, out); both leave the last target out by a mark.

Every measurement is a fresh process, in which the two take turns step by step; its figure is the median step, and
the table's is the median of the processes. Times are processor time, so that other work disturbs them little.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from bench import effects
from labkit.fit import adamw
from labkit.testing import probes
from labkit.testing.oracles import library_gpt2
from solutions.gpt import GPT, GPTConfig, load_gpt2, next_token_loss
from solutions.scale import fused

REPEATS = 5
WARM_UP, STEPS = 3, 15
SIZES = {
    "0.27 million parameters": (GPTConfig(1024, 128, d_model=64, n_head=4, n_layer=4), 16),
    "3.7 million parameters": (GPTConfig(2048, 128, d_model=256, n_head=8, n_layer=4), 4),
}
FUSED = {"attn_implementation": "sdpa", "activation_function": "gelu_pytorch_tanh"}


@dataclass(frozen=True)
class Variant:
    """How both compute; `tolerance` is how far their last losses may lie apart."""

    fused: bool = True
    theirs: dict[str, Any] = field(default_factory=lambda: dict(FUSED))
    dtype: torch.dtype = torch.float32
    compiled: bool = False
    tolerance: float = 1e-4


VARIANTS = {
    "float32, both by fused kernels": Variant(),
    "float32, both step by step": Variant(fused=False, theirs={"attn_implementation": "eager"}),
    "float32, we fused, they as they come": Variant(theirs={}),
    "float32, we fused, they step by step": Variant(theirs={"attn_implementation": "eager"}),
    "bfloat16, both by fused kernels": Variant(dtype=torch.bfloat16, tolerance=0.01),
    "float32, both fused and compiled": Variant(compiled=True),
}


def rival_gpt2(config: GPTConfig, **switches: Any) -> torch.nn.Module:
    """A GPT-2 of `transformers` that drops nothing out."""
    return library_gpt2(config, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, **switches).train()


def measure(variant: Variant, config: GPTConfig, batch_size: int) -> dict[str, tuple[float, float]]:
    """Training tokens per second of processor time, and the last loss, of both."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    theirs, ours = rival_gpt2(config, **variant.theirs), GPT(config)
    ours.load_state_dict(load_gpt2(theirs.state_dict()))
    if variant.fused:
        fused(ours)
    models = {"ours": ours, "transformers": theirs}
    models = {who: model.to(variant.dtype).train() for who, model in models.items()}
    optimizers = {who: adamw(model, fused=True) for who, model in models.items()}
    run: dict[str, Any] = {w: torch.compile(m) if variant.compiled else m for w, m in models.items()}
    seconds: dict[str, list[float]] = {who: [] for who in models}
    last = {}
    generator = torch.Generator().manual_seed(0)
    for _ in range(WARM_UP + STEPS):
        ids = torch.randint(config.vocab_size, (batch_size, config.context), generator=generator)
        for who, optimizer in optimizers.items():
            start = time.process_time()
            if who == "ours":
                loss = next_token_loss(run[who](ids).float(), ids)  # as `transformers` does, whatever the dtype
            else:
                loss = run[who](ids, labels=ids, use_cache=False).loss
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            seconds[who].append(time.process_time() - start)
            last[who] = loss.item()
    tokens = batch_size * config.context
    return {who: (tokens / statistics.median(taken[WARM_UP:]), last[who]) for who, taken in seconds.items()}


def in_fresh_process(variant: str, size: str) -> dict[str, list[float]]:
    command = [sys.executable, "-m", "bench.gpt", "--measure", json.dumps([variant, size])]
    run = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    if run.returncode:
        raise SystemExit(f"measuring {variant} failed:\n{run.stderr}")
    return json.loads(run.stdout.splitlines()[-1])


def compare(repeats: int = REPEATS) -> None:
    """Print the table of ratios."""
    print(f"training tokens per processor second, medians of {repeats}      ours  transformers  ratio")
    for size in SIZES:
        print(size)
        for name, variant in VARIANTS.items():
            runs = [in_fresh_process(name, size) for _ in range(1 if variant.compiled else repeats)]
            ours, theirs = (statistics.median(run[who][0] for run in runs) for who in ("ours", "transformers"))
            ratio = statistics.median(run["ours"][0] / run["transformers"][0] for run in runs)
            apart = abs(runs[0]["ours"][1] - runs[0]["transformers"][1])
            if apart > variant.tolerance:
                raise SystemExit(f"{name}: the last losses are {apart:.2g} apart, so the two do not do the same")
            print(
                f"  {name:<42} {ours:12,.0f} {theirs:13,.0f} {ratio:6.2f}  (last losses {apart:.1g} apart)", flush=True
            )


def replacing(model: GPT) -> GPT:
    """A model without its residual stream: each sublayer's output replaces what it has read."""
    for block in model.blocks:
        block.forward = lambda x, block=block: block.mlp(block.mlp_norm(block.attention(block.attention_norm(x))))
    return model


def spread(seeds: int = effects.SEEDS) -> None:
    """Print the spread of the effect that the assignment's test measures, and of its ablations, over seeds."""
    from course.assignments.gpt import repeats, share_predicted

    torch.set_num_threads(1)
    config = GPTConfig(vocab_size=8, context=16, d_model=32, n_head=2, n_layer=1)

    class WithoutPositions(GPT):
        def embed(self, ids):
            return self.token_embedding(ids)

    kinds: dict[str, Callable[[], GPT]] = {
        "the reference": lambda: GPT(config),
        "without position embeddings": lambda: WithoutPositions(config),
        "one block without the residual stream": lambda: replacing(GPT(config)),
        "two blocks without the residual stream": lambda: replacing(GPT(replace(config, n_layer=2))),
    }
    found: dict[str, list[float]] = {}
    for what, make in kinds.items():
        shares = found.setdefault(what, [])
        for seed in range(seeds):
            model = probes.seeded(seed, make)
            row = repeats(1000 + seed, 4000)
            probes.train(model, row, steps=100, batch_size=16, context=16, learning_rate=1e-2, seed=seed)
            shares.append(share_predicted(model, 2000 + seed))
        mean, deviation = statistics.mean(shares), statistics.stdev(shares)
        print(
            f"share of repeated tokens found, {what}: mean {mean:.3f}, standard deviation {deviation:.3f}, "
            f"least {min(shares):.3f}, most {max(shares):.3f} over {seeds} seeds; the test asks for 0.7",
            flush=True,
        )
    effects.note("gpt", found)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=REPEATS, help=f"processes a figure (default {REPEATS})")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.measure:
        variant, size = json.loads(options.measure)
        print(json.dumps(measure(VARIANTS[variant], *SIZES[size])))
        return
    compare(options.repeats)
    spread()


if __name__ == "__main__":
    main()
