"""The course's models against other people's compressors, and their effects' spread: `python -m bench.language_model`.

Texts are held-out documentation, in slices of 3,000 bytes at even distances. Fresh: both sides start from nothing.
Primed: both sides have the training text, or the model that was trained on it, beforehand. No time is measured.
"""

import argparse
import math
import statistics
from collections.abc import Iterator

import torch

from bench import effects
from labkit import checkpoint, corpus
from labkit.checkpoint import find
from labkit.testing.oracles import rivals
from solutions.language_model import (
    ByteModel,
    GPTModel,
    LearningModel,
    NGram,
    compress,
    decompress,
    primed,
)

SLICE, SLICES = 3_000, 20
CHECKPOINTS = ("documentation-small", "documentation")


def slices(whole: str, count: int = SLICES, size: int = SLICE) -> Iterator[str]:
    """Pieces of a text at even distances, none cut inside a character."""
    data = whole.encode()
    for start in range(0, count * (len(data) // count), len(data) // count):
        yield data[start : start + size].decode(errors="ignore")


def row(name: str, values: list[float], note: str = "") -> None:
    mean, deviation = statistics.mean(values), statistics.stdev(values)
    print(f"{name:<36} {mean:5.2f} +- {deviation:4.2f}  {min(values):5.2f} to {max(values):5.2f}  {note}", flush=True)


def contest() -> None:
    """Bits per byte of coded files, each decoded again."""
    before = corpus.text("train").encode()
    texts = list(slices(checkpoint.load(CHECKPOINTS[-1]).heldout()))
    print(f"bits per byte of {SLICES} texts of {SLICE:,} bytes, mean, deviation, least and most")
    for n in range(1, 6):
        costs = [8 * len(compress(LearningModel(n), text.encode())) / len(text.encode()) for text in texts]
        row(f"fresh: chain of order {n}, learning", costs)
    for name, rival in rivals().items():
        row(f"fresh: {name}", [8 * len(rival(text.encode())) / len(text.encode()) for text in texts])
    for n in range(1, 8):
        model = ByteModel(NGram(before, n))
        costs = []
        for text in texts:
            data = compress(model, text.encode())
            assert bytes(decompress(model, data)) == text.encode()
            costs.append(8 * len(data) / len(text.encode()))
        grams = sum(map(len, model.ngram.followers.values()))
        row(f"primed: chain of order {n}", costs, f"{grams:,} counts, or {len(before):,} bytes of text")
    for trained in CHECKPOINTS:
        gpt, costs = GPTModel(trained), []
        for text in texts:
            ids = gpt.tokenizer.encode(text)
            data = compress(gpt, ids)
            assert decompress(gpt, data) == ids
            costs.append(8 * len(data) / len(text.encode()))
        row(f"primed: {trained}", costs, f"{find(trained).stat().st_size:,} bytes of weights")
    for name, rival in rivals(streaming=True).items():
        data = [text.encode() for text in texts]
        costs = [8 * size / len(text) for size, text in zip(primed(rival, data, before), data, strict=True)]
        row(f"primed: {name}", costs, f"{len(rival(before)):,} bytes of training text, compressed")


def spread(texts: int = 20) -> None:
    """Print the spread of the effects that the assignment's tests measure, over different texts."""
    from course.assignments.language_model import bits_on, pieces

    whole, heldout = corpus.text("train", 600_000).encode(), corpus.text("heldout", 90_000).encode()
    unseen = [pieces(heldout, 200, 140 * number) for number in range(texts)]
    gains: dict[int, list[float]] = {2: [], 3: []}
    for number, text in enumerate(unseen):
        learned_from = pieces(whole, 2_000, 900 * number)
        one, two, three = (bits_on(NGram(learned_from, n), text) for n in (1, 2, 3))
        gains[2].append(one - two)
        gains[3].append(two - three)
    found = {f"bits per byte that order {n} saves over {n - 1}": gains[n] for n in gains}
    for n, bar in ((2, 0.5), (3, 0.4)):
        mean, deviation = statistics.mean(gains[n]), statistics.stdev(gains[n])
        print(
            f"bits per byte that order {n} saves over {n - 1}: mean {mean:.3f}, standard deviation {deviation:.3f}, "
            f"least {min(gains[n]):.3f}; the test asks for {bar}, {(mean - bar) / deviation:.1f} deviations below"
        )
    extra = []
    model = ByteModel(NGram(whole[:30_000], 3))
    for text in (piece[:1_000] for piece in unseen):
        tables = [model.frequencies(text[:i]) for i in range(len(text))]
        ideal = sum(-math.log2(table[byte] / sum(table)) for table, byte in zip(tables, text, strict=True))
        extra.append(8 * len(compress(model, text)) - ideal)
    print(
        f"bits of a file beyond its model's surprise: mean {statistics.mean(extra):.1f}, standard deviation "
        f"{statistics.stdev(extra):.1f}, most {max(extra):.1f}; the test allows 64 and 0.1%"
    )
    effects.note("language_model", found | {"bits of a file beyond its model's surprise": extra})


def main(arguments: list[str] | None = None) -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args(arguments)
    torch.set_num_threads(1)
    contest()
    spread()


if __name__ == "__main__":
    main()
