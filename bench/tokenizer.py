"""Byte-pair encoding against the `tokenizers` library and against counting all over: `python -m bench.tokenizer`.

Every measurement is a fresh process with one thread; a figure is the median of 7, ours and the library's taken in turn.
Times are processor time, so that other work on the machine disturbs them little. Cold means that nothing was encoded
before; warm, the same text a second time.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from bench import effects
from labkit import corpus
from labkit.testing.oracles import library_merges, library_tokenizer
from solutions import tokenizer

TRAINING_BYTES = 2_000_000
SIZES = (1024, 2048, 4096, 8192)
REPEATS = 7
PAIRS = "pairs looked at, recounting against the index (4 kB, 20 merges)"
RATE = "bytes a token on held-out text (128 merges from 20 kB)"
ONE_THREAD = {"RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}


def training_text() -> str:
    """2 MB of documentation and docstrings, filled up with source code."""
    prose = corpus.text("train").encode()[:TRAINING_BYTES]
    return prose.decode(errors="ignore") + corpus.source_code(TRAINING_BYTES - len(prose))


def held_out(kind: str) -> str:
    return corpus.text("heldout") if kind == "prose" else corpus.source_code(1_000_000, "heldout")


def seconds(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def measure_training(who: str, vocab_size: int) -> dict[str, float]:
    text = training_text()
    if who == "ours":
        return {"cold": seconds(lambda: tokenizer.train_bpe(text, vocab_size))}
    library_merges("a", 256)  # so that importing the library is not counted
    return {"cold": seconds(lambda: library_merges(text, vocab_size))}


def measure_encoding(who: str, kind: str, vocab_size: int) -> dict[str, float]:
    text, merges = held_out(kind), tokenizer.train_bpe(training_text(), vocab_size)
    maker = tokenizer.Tokenizer if who == "ours" else library_tokenizer
    encoder = maker(merges)
    return {"cold": seconds(lambda: encoder.encode(text)), "warm": seconds(lambda: encoder.encode(text))}


def measure_recounting(what: str, merges: int) -> dict[str, float]:
    """Seconds a merge of the plain loop, over distinct words or over every chunk, from the first few merges."""
    text = training_text()
    if what == "words":
        words = tokenizer.count_words(text)
        return {"cold": seconds(lambda: tokenizer.train_by_recounting(words, 256 + merges)) / merges}
    chunks = [tokenizer.byte_ids(chunk) for chunk in tokenizer.pre_tokenize(text)]

    def over_every_chunk() -> None:
        learned = chunks
        for new_id in range(256, 256 + merges):
            counts = Counter(pair for chunk in learned for pair in pairwise(chunk))
            best = min(counts, key=lambda pair: (-counts[pair], pair))
            learned = [tokenizer.merge_pair(chunk, best, new_id) for chunk in learned]

    return {"cold": seconds(over_every_chunk) / merges}


MEASURES = {"training": measure_training, "encoding": measure_encoding, "recounting": measure_recounting}


def in_fresh_process(measure: str, *arguments: Any) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.tokenizer", "--measure", json.dumps([measure, *arguments])]
    run = subprocess.run(command, env=os.environ | ONE_THREAD, capture_output=True, text=True)
    if run.returncode:
        raise SystemExit(f"measuring {measure} {arguments} failed:\n{run.stderr}")
    return json.loads(run.stdout)


def medians(measure: str, *arguments: Any, repeats: int) -> tuple[dict[str, float], dict[str, float]]:
    """Median seconds, ours and the library's."""
    runs: dict[str, list[dict[str, float]]] = {"ours": [], "library": []}
    for _ in range(repeats):
        for who, taken in runs.items():
            taken.append(in_fresh_process(measure, who, *arguments))
    ours, library = ({key: statistics.median(r[key] for r in taken) for key in taken[0]} for taken in runs.values())
    return ours, library


def row(what: str, ours: float, other: float, against: str) -> None:
    print(f"{what:<44} {ours:8.3f} {other:10.3f} {ours / other:8.2f}  {against}", flush=True)


def compare(repeats: int = REPEATS) -> None:
    """Print the table of ratios."""
    print(f"processor seconds, medians of {repeats} fresh processes{'':<7} ours      other    ratio")
    ours_at: dict[int, float] = {}
    for size in SIZES:
        ours, library = medians("training", size, repeats=repeats)
        ours_at[size] = ours["cold"]
        row(f"training on 2 MB, {size} ids", ours["cold"], library["cold"], "tokenizers")
    for kind in ("prose", "source"):
        size = len(held_out(kind).encode()) / 1e6
        ours, library = medians("encoding", kind, 4096, repeats=repeats)
        for state in ("cold", "warm"):
            row(f"encoding {size:.2f} MB held-out {kind}, 4096 ids, {state}", ours[state], library[state], "tokenizers")
    for what, merges in (("words", 40), ("chunks", 4)):
        one_merge = statistics.median(in_fresh_process("recounting", what, merges)["cold"] for _ in range(3))
        against = f"recounting over {what}: first {merges} merges, scaled to 768, which overstates (words shrink)"
        row("training on 2 MB, 1024 ids", ours_at[1024], 768 * one_merge, against)


def spread(texts: int = 20) -> None:
    """Print the spread of the effects that the assignment's tests measure, over different texts."""
    saving, rates = [], []
    held = corpus.text("heldout", 10_000)
    whole = corpus.text("train")
    for number in range(texts):
        start = number * (len(whole) // texts)
        saving.append(_saving(whole[start : start + 4_000], 276))
        merges = tokenizer.train_bpe(whole[start : start + 20_000], 384)
        rates.append(len(held.encode()) / len(tokenizer.encode(held, merges)))
    for what, values, bar in ((PAIRS, saving, 4), (RATE, rates, 1.3)):
        mean, deviation = statistics.mean(values), statistics.stdev(values)
        print(
            f"{what}: mean {mean:.2f}, standard deviation {deviation:.2f}, least {min(values):.2f} over {texts} texts; "
            f"the test asks for {bar}, {(mean - bar) / deviation:.1f} deviations below the mean"
        )
    effects.note("tokenizer", {PAIRS: saving, RATE: rates})


def _saving(text: str, vocab_size: int) -> float:
    counted = tokenizer.count_words(text)
    words, frequencies = [list(word) for word in counted], list(counted.values())
    where, plain, by_index = tokenizer.index_pairs(words), 0, 0
    for rank, pair in enumerate(tokenizer.train_bpe(text, vocab_size)):
        plain += sum(len(word) - 1 for word in words)
        by_index += sum(len(words[position]) - 1 for position in where[pair])
        tokenizer.merge_everywhere(pair, 256 + rank, words, frequencies, where)
    return plain / by_index


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=REPEATS, help=f"processes a figure (default {REPEATS})")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.measure:
        name, *rest = json.loads(options.measure)
        print(json.dumps(MEASURES[name](*rest)))
        return
    compare(options.repeats)
    spread()


if __name__ == "__main__":
    main()
