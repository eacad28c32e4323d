"""Training our GPT against training `transformers`' GPT-2: `python -m bench.gpt`.

Both have the same sizes, the same weights to start from, float32, one thread, the same batches and the same optimizer;
`transformers` computes attention step by step ("eager"), as ours does. Every measurement is a fresh process; a figure
is the median of 7, the two taken in turn. Times are processor time, so that other work disturbs them little.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

import torch

from labkit import probes
from labkit.fit import adamw
from solutions.gpt import GPT, GPTConfig, load_gpt2, next_token_loss

REPEATS = 7
WARM_UP, STEPS = 3, 15
SIZES = {
    "0.27 million parameters (the chapter's model)": (GPTConfig(1024, 128, d_model=64, n_head=4, n_layer=4), 16),
    "3.7 million parameters": (GPTConfig(2048, 128, d_model=256, n_head=8, n_layer=4), 4),
}


def transformers_gpt2(config: GPTConfig) -> torch.nn.Module:
    """A GPT-2 of `transformers` that drops nothing out and computes attention step by step."""
    import transformers

    transformers.logging.set_verbosity_error()
    return transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=config.vocab_size,
            n_positions=config.context,
            n_embd=config.d_model,
            n_head=config.n_head,
            n_layer=config.n_layer,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=0,
            eos_token_id=0,
            attn_implementation="eager",
        )
    )


def tokens_per_second(who: str, config: GPTConfig, batch_size: int) -> tuple[float, float]:
    """Training tokens per second of processor time, and the last loss."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = transformers_gpt2(config)
    if who == "ours":
        theirs, model = model, GPT(config)
        model.load_state_dict(load_gpt2(theirs.state_dict()))
    model.train()
    optimizer = adamw(model)
    generator = torch.Generator().manual_seed(0)
    for step in range(WARM_UP + STEPS):
        if step == WARM_UP:
            start = time.process_time()
        ids = torch.randint(config.vocab_size, (batch_size, config.context), generator=generator)
        loss = next_token_loss(model(ids), ids) if who == "ours" else model(ids, labels=ids, use_cache=False).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return STEPS * batch_size * config.context / (time.process_time() - start), loss.item()


def in_fresh_process(who: str, size: str) -> tuple[float, float]:
    command = [sys.executable, "-m", "bench.gpt", "--measure", json.dumps([who, size])]
    run = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    if run.returncode:
        raise SystemExit(f"measuring {who} failed:\n{run.stderr}")
    speed, loss = json.loads(run.stdout)
    return speed, loss


def compare(repeats: int = REPEATS) -> None:
    """Print the table of ratios."""
    print(f"training tokens per processor second, medians of {repeats}   ours  transformers  ratio")
    for size in SIZES:
        runs: dict[str, list[tuple[float, float]]] = {"ours": [], "transformers": []}
        for _ in range(repeats):
            for who, taken in runs.items():
                taken.append(in_fresh_process(who, size))
        ours, theirs = (statistics.median(speed for speed, _ in taken) for taken in runs.values())
        apart = abs(runs["ours"][0][1] - runs["transformers"][0][1])
        print(
            f"{size:<50} {ours:9,.0f} {theirs:13,.0f} {ours / theirs:6.2f}  (last losses {apart:.1g} apart)", flush=True
        )


def spread(seeds: int = 20) -> None:
    """Print the spread of the effect that the assignment's test measures, over different seeds."""
    from course.assignments.gpt import repeats, share_predicted

    torch.set_num_threads(1)
    config = GPTConfig(vocab_size=8, context=16, d_model=32, n_head=2, n_layer=1)

    class WithoutPositions(GPT):
        def embed(self, ids):
            return self.token_embedding(ids)

    for what, model_class in (("the GPT", GPT), ("a GPT without positions", WithoutPositions)):
        shares = []
        for seed in range(seeds):
            model = probes.seeded(seed, model_class, config)
            row = repeats(1000 + seed, 4000)
            probes.train(model, row, steps=100, batch_size=16, context=16, learning_rate=1e-2, seed=seed)
            shares.append(share_predicted(model, 2000 + seed))
        mean, deviation = statistics.mean(shares), statistics.stdev(shares)
        print(
            f"share of repeated tokens that {what} finds: mean {mean:.3f}, standard deviation {deviation:.3f}, "
            f"least {min(shares):.3f}, most {max(shares):.3f} over {seeds} seeds; the test asks for 0.7"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=REPEATS, help=f"processes a figure (default {REPEATS})")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        who, size = json.loads(arguments.measure)
        print(json.dumps(tokens_per_second(who, *SIZES[size])))
        return
    compare(arguments.repeats)
    spread()


if __name__ == "__main__":
    main()
