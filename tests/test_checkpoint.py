"""Checkpoint files: what is saved comes back, and what is no checkpoint is refused in a sentence."""

import pytest
import torch
from safetensors.torch import save_file

from labkit import checkpoint
from labkit.checkpoint import CheckpointError
from solutions import checkpoints as recipes

CONFIG = {"vocab_size": 3, "context": 4}
MERGES = [(1, 2), (256, 0)]
TEXT = "one  paragraph\n\nanother\none"


@pytest.fixture
def saved(tmp_path):
    tensors = {"weight": torch.randn(5, 4), "steps": torch.tensor([7])}
    path = checkpoint.save(
        tmp_path / "small.safetensors", tensors, CONFIG, merges=MERGES, record={"seed": 3}, trained_on=TEXT
    )
    return path, tensors


def test_what_is_saved_comes_back(saved):
    path, tensors = saved
    loaded = checkpoint.load(path)
    assert set(loaded.tensors) == {"weight", "steps"}
    assert all(torch.equal(loaded.tensors[name], tensor) for name, tensor in tensors.items())
    assert (loaded.config, loaded.merges, loaded.record) == (CONFIG, MERGES, {"seed": 3})


def test_half_precision_is_widened(tmp_path):
    weight = torch.randn(5, 4)
    path = checkpoint.save(tmp_path / "half.safetensors", {"w": weight}, {}, record={}, dtype=torch.float16)
    assert torch.equal(checkpoint.load(path).tensors["w"], weight.half().float())


def test_views_of_one_tensor_can_be_saved(tmp_path):
    weight = torch.randn(3, 3)
    path = checkpoint.save(tmp_path / "views.safetensors", {"a": weight, "b": weight.T}, {}, record={})
    assert torch.equal(checkpoint.load(path).tensors["b"], weight.T)


def test_the_same_arguments_give_the_same_bytes(saved, tmp_path):
    path, tensors = saved
    again = checkpoint.save(
        tmp_path / "again.safetensors", tensors, CONFIG, merges=MERGES, record={"seed": 3}, trained_on=TEXT
    )
    assert again.read_bytes() == path.read_bytes()


def test_paragraphs_that_were_trained_on_are_known(saved):
    loaded = checkpoint.load(saved[0])
    assert loaded.unseen("something new\n\none paragraph\n\nanother one") == "something new"
    assert loaded.unseen("two\n\nthree") == "two\n\nthree"


def test_a_missing_checkpoint_names_the_command():
    with pytest.raises(CheckpointError, match=r"no checkpoint 'no-such'.*make checkpoints"):
        checkpoint.load("no-such")


def test_a_missing_file_names_the_command(tmp_path):
    with pytest.raises(CheckpointError, match="make checkpoints"):
        checkpoint.load(tmp_path / "gone.safetensors")


@pytest.mark.parametrize("kept", [0, 5, 200, -10])
def test_a_truncated_file_is_refused(saved, kept):
    path, _ = saved
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=r"damaged or is no checkpoint.*make checkpoints"):
        checkpoint.load(path)


def test_another_safetensors_file_is_refused(tmp_path):
    save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="is no checkpoint"):
        checkpoint.load(tmp_path / "other.safetensors")


def test_broken_metadata_is_refused(tmp_path):
    save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors", metadata={"checkpoint": "{"})
    with pytest.raises(CheckpointError, match="is no checkpoint"):
        checkpoint.load(tmp_path / "other.safetensors")


def test_a_failed_write_keeps_the_earlier_file(saved):
    path, tensors = saved
    before = path.read_bytes()
    with pytest.raises(TypeError):
        checkpoint.save(path, tensors, {"not JSON": {1, 2}}, record={})
    assert path.read_bytes() == before


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """One recipe that trains nothing, and a folder of its own for what it makes."""
    monkeypatch.setattr(checkpoint, "SHIPPED", tmp_path)
    trained = recipes.Trained(
        {"weight": torch.randn(3, 2).half().float()}, CONFIG, MERGES, {"train_loss": 2.0, "heldout_loss": 3.0}, TEXT
    )
    monkeypatch.setattr(recipes, "RECIPES", {"tiny": lambda: trained})
    threads = torch.get_num_threads()
    yield trained
    torch.set_num_threads(threads)


def test_a_rebuilt_checkpoint_is_compared_with_the_shipped_one(recipe, capsys):
    assert recipes.main([]) == 0
    assert "nothing to compare with" in capsys.readouterr().out
    assert recipes.main(["tiny"]) == 0
    assert "tiny: reproduced, bit for bit" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"record": {"train_loss": 2.0, "heldout_loss": 3.1, "python": "3.11"}}, "heldout_loss was 3.1 and is now 3.0"),
        (
            {"trained_on": "other text", "record": {"train_loss": 2.0, "heldout_loss": 3.0, "python": "3.9"}},
            "Python 3.9",
        ),
        ({"merges": [(3, 4)]}, "merges differ"),
        ({"config": {"vocab_size": 9}}, "the sizes were"),
    ],
)
def test_a_checkpoint_that_does_not_reproduce_is_named(recipe, capsys, change, says):
    old = {"config": CONFIG, "merges": MERGES, "record": recipe.record, "trained_on": TEXT} | change
    config = old.pop("config")
    checkpoint.save(checkpoint.SHIPPED / "tiny.safetensors", recipe.tensors, config, **old)
    assert recipes.main([]) == 1
    out = capsys.readouterr().out
    assert "tiny: NOT reproduced" in out and says in out


def test_an_unknown_recipe_names_the_known_ones(recipe, capsys):
    assert recipes.main(["tiny", "huge"]) == 2
    assert "No recipe for huge: there are tiny." in capsys.readouterr().err
