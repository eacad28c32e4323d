"""The controls as Python sees them: their JavaScript is whole, their state small, their messages answered."""

import json
import re
import subprocess
import sys
from collections import Counter
from dataclasses import asdict

import pytest
import tinycss2
import torch

from course import ROOT
from labkit import checkpoint
from labkit.widgets.almanac_search import AlmanacSearch
from labkit.widgets.attention_heads import AttentionHeads
from labkit.widgets.model_control import ModelControl
from labkit.widgets.model_sizes import ModelSizes
from labkit.widgets.optimizer_path import OptimizerPath
from labkit.widgets.page import SHARED, scripts
from labkit.widgets.token_steps import TokenSteps
from labkit.worlds.almanac import Almanac
from solutions.gpt import GPT, GPTConfig
from solutions.tokenizer import train_bpe
from tests.support.controls import CONTROLS

MERGES = train_bpe("the cat sat on the mat, and then the cat ate the bat. " * 20, 270)
TOP_LEVEL = re.compile(
    r"^(?:async )?(?:function\*?|const|let|var|class) +(?:(\w+)|\{([^}]*)\}|\[([^\]]*)\])", re.MULTILINE
)


@pytest.fixture
def model_file(tmp_path):
    config = GPTConfig(vocab_size=270, context=16, d_model=8, n_head=2, n_layer=2)
    return checkpoint.save(
        tmp_path / "tiny.safetensors", GPT(config).state_dict(), asdict(config), merges=MERGES, record={}
    )


def state(widget):
    """What a page stores for this control, but for the code and the style."""
    return {key: value for key, value in widget.get_state().items() if key in widget.trait_names(sync=True)}


def declared(source):
    """Every name that a module declares at its top level, as often as it does."""
    names = []
    for single, *patterns in TOP_LEVEL.findall(source):
        names += [single] if single else [name.strip() for pattern in patterns for name in pattern.split(",") if name]
    return names


@pytest.mark.parametrize("widget", CONTROLS)
def test_joined_module_declares_each_name_once_and_exports_once(widget):
    source = str(widget._esm)
    twice = [name for name, count in Counter(declared(source)).items() if count > 1]
    assert not twice, f"{widget.__name__} joins files that declare the same names: {twice}"
    assert re.findall(r"^export .*", source, re.MULTILINE) == ["export default { render };"]
    assert "import " not in re.sub(r"//.*", "", source), "a joined module cannot import: there is no bundler"


def test_declared_sees_a_name_that_two_files_share():
    one = (SHARED / "tokenizer.js").read_text().replace("export ", "")
    assert "makeTokenizer" in declared(one)
    assert Counter(declared(one + one))["makeTokenizer"] == 2


def test_a_script_brings_what_it_imports_before_itself_and_once():
    names = [path.name for path in scripts(SHARED / "next_token" / "next_token.js")]
    assert sorted(names) == sorted(set(names)) and names[-1] == "next_token.js"
    assert names.index("tokenizer.js") < names.index("checkpoint.js"), "checkpoint.js imports it"
    assert "model_sizes.js" not in names


def test_a_control_has_its_own_style_after_the_shared_one():
    style = str(TokenSteps._css)
    assert style.index(".lk {") < style.index(".lk-play") and ".lk-attention" not in style


def test_importing_the_controls_loads_neither_torch_nor_a_world():
    """In a process of its own, as here everything is loaded already."""
    code = (
        "import sys\nfrom tests.support.controls import CONTROLS\n"
        "print(len(CONTROLS), [name for name in sys.modules if name.startswith(('torch', 'labkit.worlds'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == f"{len(CONTROLS)} []"


FILES = sorted(path for kind in ("js", "css") for path in SHARED.rglob(f"*.{kind}"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_address_outside_the_site(path):
    assert not re.search(r"(https?:)?//[a-z0-9-]+\.[a-z]", path.read_text(encoding="utf-8"))


def unreadable(rules):
    """Rules of a style sheet that a browser would drop, or that stand inside another rule by mistake."""
    for rule in rules:
        if rule.type == "qualified-rule":
            inside = tinycss2.parse_blocks_contents(rule.content, skip_comments=True, skip_whitespace=True)
            yield from (part.serialize() for part in inside if part.type != "declaration")
        elif rule.type == "at-rule" and rule.content:
            yield from unreadable(tinycss2.parse_rule_list(rule.content, skip_comments=True, skip_whitespace=True))
        else:
            yield rule.serialize()


@pytest.mark.parametrize("path", [path for path in FILES if path.suffix == ".css"], ids=lambda path: path.name)
def test_the_styles_are_rules_that_a_browser_reads(path):
    source = path.read_text(encoding="utf-8")
    assert list(unreadable(tinycss2.parse_stylesheet(source, skip_comments=True, skip_whitespace=True))) == []
    broken = source.replace("}\n", "\n", 1)  # a brace is lost
    assert list(unreadable(tinycss2.parse_stylesheet(broken, skip_comments=True, skip_whitespace=True)))


def test_token_steps_state():
    widget = TokenSteps(MERGES, text="a cat")
    assert widget.merges == [id_ for pair in MERGES for id_ in pair]
    assert repr(widget) == "TokenSteps(14 merges, text='a cat')"
    assert widget._repr_mimebundle_()[0]["text/plain"] == repr(widget), "no object's address may reach a page"


def test_token_steps_refuses_a_merge_of_ids_that_are_not_there_yet():
    with pytest.raises(ValueError, match="merge 1 joins 258 and 65, but only ids below 257 exist by then"):
        TokenSteps([(64, 65), (258, 65)])


@pytest.mark.parametrize("control", [each for each in CONTROLS if issubclass(each, ModelControl)])
def test_a_model_control_keeps_the_weights_out_of_the_page(model_file, control):
    widget = control(model_file, text="a cat")
    assert repr(widget) == f"{control.__name__}('tiny', text='a cat')"
    assert widget.checkpoint == "tiny"
    assert widget.config["n_layer"] == 2
    kept = state(widget)
    assert not any(isinstance(value, bytes | memoryview) for value in kept.values())
    assert sum(len(repr(value)) for value in kept.values()) < 60_000, "code, style and state of one control"


def test_kernel_sends_the_file_when_asked(model_file, monkeypatch):
    widget = AttentionHeads(model_file)
    sent = []
    monkeypatch.setattr(widget, "send", lambda content, buffers=None: sent.append((content, buffers)))
    widget._handle_custom_msg({"kind": "other"}, [])
    assert sent == []
    widget._handle_custom_msg({"kind": "load"}, [])
    assert sent == [({"kind": "checkpoint"}, [model_file.read_bytes()])]


def test_kernel_says_why_it_cannot_send(model_file, monkeypatch):
    widget = AttentionHeads(model_file)
    model_file.unlink()
    sent = []
    monkeypatch.setattr(widget, "send", lambda content, buffers=None: sent.append(content))
    widget._handle_custom_msg({"kind": "load"}, [])
    assert sent == [{"kind": "failed", "reason": "tiny.safetensors cannot be read (No such file or directory)"}]


def test_attention_heads_says_what_is_missing(tmp_path):
    with pytest.raises(checkpoint.CheckpointError, match="make checkpoints"):
        AttentionHeads("no-such-model")
    bare = checkpoint.save(tmp_path / "bare.safetensors", {"a": torch.zeros(1)}, {}, record={})
    with pytest.raises(ValueError, match="holds no tokenizer"):
        AttentionHeads(bare)
    odd = checkpoint.save(
        tmp_path / "odd.safetensors", {"a": torch.zeros(1)}, {"vocab_size": 300}, merges=MERGES, record={}
    )
    with pytest.raises(ValueError, match="model knows 300 tokens, its tokenizer 270"):
        AttentionHeads(odd)


def test_model_sizes_refuses_what_is_no_model():
    sizes = {"n_layer": 2, "d_model": 8, "n_head": 2, "vocab_size": 10, "context": 4, "n_tokens": 100}
    widget = ModelSizes(sizes, {"a law": (1.0, 2.0, 0.3, 4.0, 0.5)}, {"tiny": sizes})
    assert state(widget)["laws"] == {"a law": [1.0, 2.0, 0.3, 4.0, 0.5]}
    assert repr(widget) == f"ModelSizes({sizes})"
    with pytest.raises(ValueError, match="3 heads cannot share a width of 8"):
        ModelSizes(sizes | {"n_head": 3}, {})
    with pytest.raises(ValueError, match="n_tokens is needed, and at least 1"):
        ModelSizes({"n_layer": 2}, {})
    with pytest.raises(ValueError, match="at least 1"):
        ModelSizes(sizes, {}, {"none": sizes | {"context": 0}})


def test_almanac_search_state():
    world = Almanac(1, people=10, countries=3, towns=2, top=8)
    widget = AlmanacSearch(world, text=world.people[0])
    assert repr(widget) == f"AlmanacSearch(seed 1, text={world.people[0]!r})"
    packed = widget.world
    assert sum(sum(fact[3]) + sum(fact[4]) for fact in packed["facts"] if len(fact) > 3) + sum(
        times for _, _, times in packed["others"]
    ) == len(world.documents)


def test_almanac_search_of_the_whole_world_fits_into_a_page():
    assert sum(len(json.dumps(value)) for value in state(AlmanacSearch(Almanac())).values()) < 200_000


def test_optimizer_path_state():
    widget = OptimizerPath("sgd", 0.05, start=(1, 2))
    assert widget.start == [1.0, 2.0]
    assert repr(widget) == "OptimizerPath('sgd', learning_rate=0.05)"
    assert widget._repr_mimebundle_()[0]["text/plain"] == repr(widget)
    with pytest.raises(ValueError, match="no optimizer 'adam' here: take one of adamw, momentum, sgd"):
        OptimizerPath("adam")
