"""Writing with our cache against `transformers`' generate: `python -m bench.generation`.

Same weights, same prompt, greedy, float32, one thread, 504 new tokens, both with their caches and with fused kernels;
the texts are compared. The middle size is that of the chapter's model, with a context that is long enough. Every
measurement is a fresh process; a figure is the median of 7, the two taken in turn. Times are processor time, so that
other work disturbs them little. The last lines give the spread of the effect that the assignment's test measures.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any

import torch

from bench import effects
from bench.gpt import FUSED, rival_gpt2
from labkit import checkpoint, corpus
from solutions.generation import beam_search, distinct_n, greedy, rep_n, write
from solutions.gpt import GPT, GPTConfig, from_checkpoint, load_gpt2
from solutions.scale import fused
from solutions.tokenizer import Tokenizer

REPEATS = 7
PROMPT, TOKENS = 8, 504
SIZES = {
    "0.3 million parameters": GPTConfig(1024, 512, d_model=64, n_head=4, n_layer=4),
    "1.0 million parameters": GPTConfig(1024, 512, d_model=128, n_head=4, n_layer=4),
    "3.8 million parameters": GPTConfig(2048, 512, d_model=256, n_head=8, n_layer=4),
}
WHO = ("ours", "transformers", "ours without a cache")


def tokens_per_second(who: str, config: GPTConfig) -> tuple[float, list[int]]:
    """New tokens per second of processor time, and the text."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    theirs: Any = rival_gpt2(config, **FUSED).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            if parameter.ndim == 2:  # so large that the text does not fall into one token, and ties are far
                parameter.copy_(0.3 * torch.randn(parameter.shape))
    model = fused(GPT(config).eval())
    model.load_state_dict(load_gpt2(theirs.state_dict()))
    ids = torch.randint(config.vocab_size, (1, PROMPT))
    how = {"do_sample": False, "eos_token_id": None, "pad_token_id": 0, "use_cache": True}

    def text(n_tokens: int) -> torch.Tensor:
        if who == "transformers":
            return theirs.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=n_tokens, **how)
        return write(model, ids, n_tokens) if who == "ours" else greedy(model, ids, n_tokens)

    text(20)  # the first call of everything is slow
    start = time.process_time()
    written = text(TOKENS)
    return TOKENS / (time.process_time() - start), written[0].tolist()


def in_fresh_process(who: str, size: str) -> tuple[float, list[int]]:
    command = [sys.executable, "-m", "bench.generation", "--measure", json.dumps([who, size])]
    run = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    if run.returncode:
        raise SystemExit(f"measuring {who} failed:\n{run.stderr}")
    speed, text = json.loads(run.stdout)
    return speed, text


def compare(repeats: int = REPEATS) -> None:
    """Print the table of ratios."""
    print(f"new tokens per processor second, medians of {repeats}; same text: yes or where it first differs")
    print(f"{'':<24} {'ours':>8} {'transformers':>13} {'ratio':>6} {'no cache':>9} {'cache saves':>12}  same text")
    for size in SIZES:
        runs: dict[str, list[tuple[float, list[int]]]] = {who: [] for who in WHO}
        for i in range(repeats):
            for who, taken in runs.items():
                if i == 0 or who != WHO[2]:  # one run without a cache is long enough
                    taken.append(in_fresh_process(who, size))
        ours, theirs, bare = (statistics.median(speed for speed, _ in taken) for taken in runs.values())
        pairs = list(zip(runs["ours"][0][1], runs["transformers"][0][1], strict=True))
        differs = next((i for i, (a, b) in enumerate(pairs) if a != b), None)
        same = "yes" if differs is None else f"until token {differs}"
        print(
            f"{size:<24} {ours:8,.0f} {theirs:13,.0f} {ours / theirs:6.2f} {bare:9,.0f} {ours / bare:11.1f}x  {same}",
            flush=True,
        )


def heldout_rows(name: str, width: int) -> tuple[GPT, torch.Tensor]:
    """A checkpoint's model, and text that it was not trained on as rows of `width` tokens."""
    shipped = checkpoint.load(name)
    ids = Tokenizer(shipped.merges or []).encode(shipped.unseen(corpus.text("heldout")))
    return from_checkpoint(name), torch.tensor(ids[: len(ids) // width * width]).view(-1, width)


def described(what: str, values: list[float], bar: float) -> str:
    mean, deviation = statistics.mean(values), statistics.stdev(values)
    return (
        f"{what}: mean {mean:.4f}, standard deviation {deviation:.4f}, least {min(values):.4f}, "
        f"most {max(values):.4f}, {abs(mean - bar) / deviation:.1f} deviations from the bar of {bar}"
    )


def spread(seeds: int = 20) -> None:
    """Print the spread of what the assignment's integration test judges, over prompts and seeds."""
    torch.set_num_threads(1)
    model, rows = heldout_rows("documentation-small", 128)
    found: dict[str, list[float]] = {"greedy": [], "top-p 0.9": [], "people": [], "contrast": []}
    for seed in range(seeds):
        chosen = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:16]]
        likeliest = write(model, chosen[:, :4], 80)[:, 4:]
        drawn = write(model, chosen[:, :4], 80, p=0.9, seed=seed)[:, 4:]
        texts = {"greedy": likeliest, "top-p 0.9": drawn, "people": chosen[:, 4:84]}
        for name, ids in texts.items():
            found[name].append(rep_n(ids, 4).mean().item())
        found["contrast"].append(distinct_n(drawn, 2) / distinct_n(likeliest, 2))
    print(f"over {seeds} sets of 16 held-out prompts, 80 tokens each:")
    print(described("repeated 4-grams, greedy", found["greedy"], 0.25))
    print(described("repeated 4-grams, top-p 0.9", found["top-p 0.9"], 0.03))
    print(f"repeated 4-grams, people: mean {statistics.mean(found['people']):.4f}")
    print(described("distinct pairs, top-p over greedy", found["contrast"], 1.3))
    names = {"greedy": "repeated 4-grams, greedy", "top-p 0.9": "repeated 4-grams, top-p 0.9"}
    names |= {"contrast": "distinct pairs, top-p over greedy"}
    effects.note("generation", {row: found[name] for name, row in names.items()})
    widths(model, rows, seeds)


def widths(model: GPT, rows: torch.Tensor, seeds: int) -> None:
    """Print how score and repetition grow with the number of beams."""
    for width in (1, 4, 16):
        scores, repeats = [], []
        for row in rows[: 24 * seeds : 24]:
            text, score = beam_search(model, row[:24], 60, width)
            scores.append(score)
            repeats.append(rep_n(text[None, 24:], 4).item())
        print(
            f"{width:2} beams: log-probability a token {statistics.mean(scores):.3f}, "
            f"repeated 4-grams {statistics.mean(repeats):.3f}, over {len(scores)} prompts"
        )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=REPEATS, help=f"processes a figure (default {REPEATS})")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.measure:
        who, size = json.loads(options.measure)
        print(json.dumps(tokens_per_second(who, SIZES[size])))
        return
    compare(options.repeats)
    spread()


if __name__ == "__main__":
    main()
