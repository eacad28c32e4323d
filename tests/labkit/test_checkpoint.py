"""Checkpoint files: what is saved comes back, and what is no checkpoint is refused in a sentence."""

from dataclasses import asdict, replace

import pytest
import torch
from safetensors.torch import save_file

import solutions.checkpoints
from labkit import checkpoint, corpus
from labkit.checkpoint import CheckpointError
from solutions.checkpoints import rebuild as recipes
from solutions.checkpoints import recipe as training
from solutions.checkpoints.documentation import read_text
from solutions.gpt import GPT, GPTConfig, from_checkpoint

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
    assert loaded.data == checkpoint.digest(TEXT)


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
def documentation(monkeypatch):
    """What stands for the documentation of this Python: a training text and a held-out one."""
    texts = {"train": TEXT, "heldout": "new\n\none paragraph\n\nalso new"}
    monkeypatch.setattr(corpus, "text", lambda split, max_bytes=None, *, file=None: texts[split][:max_bytes])
    monkeypatch.setattr(checkpoint, "_noted", set())
    return texts


def test_the_same_training_text_evaluates_on_all_of_the_held_out_one(saved, documentation, capsys):
    # "one paragraph" was trained on by its mark, but who has the same text has split it the same way.
    assert checkpoint.load(saved[0]).heldout() == documentation["heldout"]
    assert checkpoint.load(saved[0]).heldout(3) == "new"
    assert capsys.readouterr().out == ""


def test_another_training_text_is_noted_once_and_what_was_trained_on_is_left_out(saved, documentation, capsys):
    documentation["train"] = "this Python says more"
    assert checkpoint.load(saved[0]).heldout() == "new\n\nalso new"
    said = capsys.readouterr()
    assert said.out.startswith("Note: this model was trained on another text than the documentation of this Python")
    assert "Of 3 held-out paragraphs, 1 that it was trained on are left out" in said.out
    assert said.err == ""  # it would end the build of a chapter
    checkpoint.load(saved[0]).heldout()
    assert capsys.readouterr().out == ""


def test_nothing_left_to_evaluate_on_is_an_error(saved, documentation):
    documentation |= {"train": "other", "heldout": "another one"}
    with pytest.raises(CheckpointError, match="trained on all of this held-out text: run `make checkpoints`"):
        checkpoint.load(saved[0]).heldout()
    assert checkpoint.load(saved[0]).heldout(0) == ""


def test_a_file_of_ones_own_is_evaluated_on_too(saved, tmp_path, capsys):
    file = tmp_path / "mine.txt"
    file.write_text("\n\n".join(f"paragraph number {i} of this file" for i in range(1000)))
    assert checkpoint.load(saved[0]).heldout(file=file) == corpus.text("heldout", file=file)
    assert f"another text than {file}" in capsys.readouterr().out
    own = checkpoint.save(tmp_path / "own.safetensors", {}, {}, record={}, trained_on=corpus.text("train", file=file))
    assert checkpoint.load(own).heldout(50, file=file) == corpus.text("heldout", 50, file=file)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_a_shipped_checkpoint_is_what_its_recipe_makes(name):
    """A recipe that was changed without a new training is found here."""
    recipe, shipped = recipes.RECIPES[name], checkpoint.load(name)
    assert shipped.config == asdict(recipe.config), "run `make checkpoints`"
    assert recipe.settings.items() <= shipped.record.items(), "run `make checkpoints`"
    assert shipped.merges is None or len(shipped.merges) == recipe.config.vocab_size - 256
    assert shipped.data is not None and shipped.marks
    from_checkpoint(name)


def test_recipes_are_found_in_any_module_beside_the_others(tmp_path, monkeypatch):
    (tmp_path / "toy_recipes.py").write_text("RECIPES = {'toy': 'a recipe'}\n")
    (tmp_path / "toy_shared.py").write_text("STEPS = 3\n")
    monkeypatch.setattr(solutions.checkpoints, "__path__", [str(tmp_path)])
    assert recipes.recipes([str(tmp_path)]) == {"toy": "a recipe"}
    (tmp_path / "toy_twice.py").write_text("RECIPES = {'toy': 'another'}\n")
    with pytest.raises(ValueError, match="toy is made by toy_twice and by another module of recipes: rename one"):
        recipes.recipes([str(tmp_path)])


def test_the_shipped_files_are_those_of_the_recipes_and_small():
    files = list(checkpoint.SHIPPED.glob("*"))
    assert {file.stem for file in files} == set(recipes.RECIPES)
    assert max(file.stat().st_size for file in files) < 5e6
    assert sum(file.stat().st_size for file in files) < 20e6


def test_the_larger_documentation_model_predicts_better_than_counts():
    # An interpolated trigram over the same tokens needs 2.19 bits a byte of held-out text.
    large, small = (checkpoint.load(name).record for name in ("documentation", "documentation-small"))
    assert large["heldout_bits_per_byte"] < small["heldout_bits_per_byte"] < 2.1
    assert large["heldout_bits_per_byte"] < 1.95


TINY = GPTConfig(vocab_size=300, context=8, d_model=8, n_head=2, n_layer=1)
SETTINGS = {"seed": 3, "steps": 2, "batch_size": 2, "learning_rate": 1e-3}

MEASURED = {"heldout_loss": 3.00004, "odd": 1.0, "known": {"often": {"asked": 0.9}}}


def train_nothing(recipe):
    torch.manual_seed(recipe.settings["seed"])
    return recipes.Trained(GPT(recipe.config), MERGES, {"train_tokens": 7}, MEASURED, TEXT)


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """One recipe that trains nothing, and a folder of its own for what it makes."""
    monkeypatch.setattr(checkpoint, "SHIPPED", tmp_path)
    monkeypatch.setattr(recipes, "RECIPES", {"tiny": recipes.Recipe(TINY, SETTINGS, train_nothing)})
    threads = torch.get_num_threads()
    yield recipes.RECIPES["tiny"]
    torch.set_num_threads(threads)


def test_a_rebuilt_checkpoint_is_compared_with_the_shipped_one(recipe, capsys):
    assert recipes.main([]) == 0
    assert "nothing to compare with" in capsys.readouterr().out
    before = checkpoint.find("tiny").read_bytes()
    assert recipes.main(["tiny"]) == 0
    assert "tiny: reproduced, bit for bit" in capsys.readouterr().out
    assert checkpoint.find("tiny").read_bytes() == before


def test_rounding_elsewhere_is_told_from_a_difference(recipe, capsys):
    recipes.main([])
    shipped = checkpoint.load("tiny")
    moved = {name: tensor + 1 / 8 for name, tensor in shipped.tensors.items()}
    record = shipped.record | {"heldout_loss": 3.01, "python": "3.9", "known": {"often": {"asked": 0.91}}}
    checkpoint.save(
        checkpoint.find("tiny"), moved, shipped.config, merges=shipped.merges, record=record, trained_on=TEXT
    )
    assert recipes.main([]) == 0
    assert "tiny: reproduced, within 0.02" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"record": {"heldout_loss": 3.1}}, "heldout_loss was 3.1 and is now 3.0"),
        ({"record": {"odd": float("nan")}}, "odd was nan and is now 1.0"),
        ({"record": {"learning_rate": 0.002}}, "learning_rate was 0.002 and is now 0.001"),
        ({"record": {"train_tokens": 8}}, "train_tokens was 8 and is now 7"),
        ({"record": {"known": {"often": {"asked": 0.7}}}}, "known.often.asked was 0.7 and is now 0.9"),
        ({"record": {"gone": 1}}, "gone was 1 and is now None"),
        (
            {"trained_on": "other text", "record": {"python": "3.9"}},
            "the training text differs (it was made on Python 3.9",
        ),
        ({"merges": [(3, 4)]}, "merges differ"),
        ({"config": asdict(replace(TINY, d_model=4))}, "the sizes were"),
    ],
)
def test_a_checkpoint_that_does_not_reproduce_is_named(recipe, capsys, change, says):
    recipes.main([])
    shipped = checkpoint.load("tiny")
    old = {"config": shipped.config, "merges": MERGES, "trained_on": TEXT} | change
    old["record"] = shipped.record | change.get("record", {})
    checkpoint.save(checkpoint.find("tiny"), shipped.tensors, **old)
    assert recipes.main([]) == 1
    out = capsys.readouterr().out
    assert "tiny: NOT reproduced" in out and says in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["tiny", "huge"], "No recipe for huge: there are tiny."),
        (["tiny", "--text", "mine.txt"], "With --text goes exactly one NAME of a model that reads text"),
        (["--text", "mine.txt"], "With --text goes exactly one NAME of a model that reads text"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(recipe, capsys, arguments, says):
    assert recipes.main(arguments) == 2
    assert says in capsys.readouterr().err


@pytest.fixture
def reader(recipe, monkeypatch):
    """The one recipe trains on text, in two steps."""
    monkeypatch.setattr(recipes, "RECIPES", {"tiny": replace(recipe, train=read_text, reads_text=True)})


def test_a_model_of_ones_own_text_is_saved_beside_it(reader, tmp_path, capsys):
    file = tmp_path / "mine.txt"
    file.write_text("\n\n".join(f"paragraph number {i} of this file" for i in range(1000)))
    assert recipes.main(["tiny", "--text", str(file)]) == 0
    own = checkpoint.load(tmp_path / "mine.safetensors")
    assert own.data == checkpoint.digest(corpus.text("train", file=file))
    assert own.record["train_tokens"] > own.record["heldout_tokens"] > 0
    assert own.record["heldout_bits_per_byte"] > 0 and own.record["learning_rate"] == 1e-3
    # The tokenizer ran out of pairs before 300, and the model has no token that never occurs.
    assert own.config["vocab_size"] == 256 + len(own.merges)
    from_checkpoint(tmp_path / "mine.safetensors")


def test_a_text_that_cannot_be_used_says_so_before_training(reader, tmp_path, capsys):
    assert recipes.main(["tiny", "--text", str(tmp_path / "gone.txt")]) == 2
    assert capsys.readouterr().err == f"there is no file {tmp_path / 'gone.txt'}: give the path of a text file\n"


def test_an_interrupted_training_leaves_the_shipped_file(reader, monkeypatch, capsys):
    monkeypatch.setattr(corpus, "text", lambda split, file=None: "some text, " * 50)
    assert recipes.main([]) == 0
    before = checkpoint.find("tiny").read_bytes()
    monkeypatch.setattr(training, "fit", lambda *_, **__: [3.0])  # what it returns when interrupted after one step
    assert recipes.main([]) == 130
    assert "Interrupted" in capsys.readouterr().err
    assert checkpoint.find("tiny").read_bytes() == before
