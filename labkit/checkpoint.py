"""Trained models on disk: tensors, sizes, tokenizer and the record of the training, in one safetensors file."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize
from torch import Tensor

from labkit import corpus
from labkit.files import write_whole

SHIPPED = Path(__file__).parent / "checkpoints"
# Three bytes a paragraph: 15,000 of them take 45 KB, and an unseen one is taken for seen once in a thousand times.
MARK_BYTES = 3
MARKS = "record.paragraphs"  # the tensor, beside those of the model, that holds the marks


@dataclass(frozen=True)
class Checkpoint:
    """One trained model.

    tensors: the state dict, in float32.
    config: the sizes, as keyword arguments of the model's config.
    merges: the tokenizer's merges in order, or None.
    record: how it came about (seed, steps, final losses), as JSON data.
    marks: a short hash of every paragraph that was trained on.
    data: SHA-256 of the whole text that was trained on, or None if the file names no text.
    """

    tensors: dict[str, Tensor]
    config: dict[str, Any]
    merges: list[tuple[int, int]] | None = None
    record: dict[str, Any] = field(default_factory=dict)
    marks: frozenset[bytes] = frozenset()
    data: str | None = None

    def heldout(self, max_bytes: int | None = None, *, file: str | Path | None = None) -> str:
        """Held-out text for a fair evaluation of this model; `max_bytes` and `file` as in `labkit.corpus.text`.

        Python's documentation moves between versions: what is held out here may have been trained on elsewhere. Where
        the training text of this Python, or of your file, is not what the model was trained on, paragraphs that it was
        trained on are left out, and a line says so, once a text. The whole training text is read to find that out.

        Raises:
            ValueError: as `labkit.corpus.text`.
            CheckpointError: nothing is left.
        """
        text = corpus.text("heldout", max_bytes, file=file)
        here = digest(corpus.text("train", file=file))
        if here == self.data:
            return text
        fair = self.unseen(text)
        if text and not fair:
            raise CheckpointError("the model was trained on all of this held-out text: run `make checkpoints`")
        if (here, self.data) not in _noted:
            _noted.add((here, self.data))
            n_all, n_fair = (part.count("\n\n") + 1 for part in (text, fair))
            # On stdout: what a chapter writes to stderr is taken for an error and ends the build of the book.
            print(
                f"Note: this model was trained on another text than {file or 'the documentation of this Python'} (it "
                f"was made on Python {self.record.get('python', 'unknown')}). Of {n_all:,} held-out paragraphs, "
                f"{n_all - n_fair:,} that it was trained on are left out; figures differ from those in its record."
            )
        return fair

    def unseen(self, text: str) -> str:
        """The paragraphs of `text` that were not trained on; about one new one in a thousand is taken for seen."""
        return "\n\n".join(p for p in text.split("\n\n") if not {mark(p)} & self.marks)


# Which training text of ours a note has set against which of a checkpoint: one note for each.
_noted: set[tuple[str, str | None]] = set()


class CheckpointError(RuntimeError):
    """A checkpoint is missing, or is not one; the message says what to run."""


def save(
    path: str | Path,
    tensors: dict[str, Tensor],
    config: dict[str, Any],
    *,
    merges: list[tuple[int, int]] | None = None,
    record: dict[str, Any],
    trained_on: str = "",
    dtype: torch.dtype | None = None,
) -> Path:
    """Write one checkpoint file; `dtype` (say torch.float16) is what floating-point tensors are stored in.

    Of the text that it was trained on only hashes are kept: one of all of it, and a short one a paragraph.

    The same arguments give the same bytes. An interrupted write leaves an earlier file as it was.
    """
    path = Path(path)
    kept = {}
    for name, tensor in tensors.items():
        stored = tensor.detach().to(device="cpu", dtype=dtype if tensor.is_floating_point() else None)
        # safetensors refuses tensors that share memory
        kept[name] = stored.clone(memory_format=torch.contiguous_format)
    marks = sorted({mark(paragraph) for paragraph in trained_on.split("\n\n")}) if trained_on else []
    kept[MARKS] = torch.tensor(list(b"".join(marks)), dtype=torch.uint8).view(-1, MARK_BYTES)
    # One entry: safetensors keeps several in no fixed order.
    about = {"config": config, "merges": merges, "record": record, "data": digest(trained_on) if trained_on else None}
    metadata = {"checkpoint": json.dumps(about)}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, serialize(kept, metadata))  # not save_file, whose files nobody else may read
    return path


def load(name_or_path: str | Path) -> Checkpoint:
    """Read a checkpoint: a shipped one by its name ("documentation-small"), any other by its path.

    Raises CheckpointError if there is no such file or it is not a whole checkpoint.
    """
    path = find(name_or_path)
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()["checkpoint"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        merges = about["merges"] and [(first, second) for first, second in about["merges"]]
        config, record, data = about["config"], about["record"], about["data"]
        marks = frozenset(map(bytes, tensors.pop(MARKS).tolist()))
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged or is no checkpoint ({error}): run `make checkpoints`") from error
    widened = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    return Checkpoint(widened, config, merges, record, marks, data)


def digest(text: str) -> str:
    """SHA-256 of a text's UTF-8, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def mark(paragraph: str) -> bytes:
    """A short hash of one paragraph's words; spacing does not matter."""
    return hashlib.sha256(" ".join(paragraph.split()).encode()).digest()[:MARK_BYTES]


def find(name_or_path: str | Path) -> Path:
    """Where a checkpoint lies; raises CheckpointError, naming the shipped ones, if it lies nowhere."""
    path = Path(name_or_path)
    if path.suffix != ".safetensors":
        path = SHIPPED / f"{name_or_path}.safetensors"
    if not path.is_file():
        shipped = ", ".join(sorted(file.stem for file in SHIPPED.glob("*.safetensors"))) or "none"
        raise CheckpointError(f"no checkpoint {str(name_or_path)!r} (there are: {shipped}): run `make checkpoints`")
    return path
