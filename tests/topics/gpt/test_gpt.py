"""The reference GPT against other people's code."""

import math

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from course.assemble.assembler import Assembler
from course.assignments.gpt import randomise
from course.banks.play import play
from labkit import checkpoint
from labkit.checkpoint import CheckpointError
from labkit.testing.oracles import library_gpt2
from solutions.gpt import (
    GPT,
    GPTConfig,
    LayerNorm,
    MultiHeadAttention,
    attention_pattern,
    attention_patterns,
    from_checkpoint,
    gelu,
    generate,
    load_gpt2,
    next_token_loss,
)

sizes = st.builds(
    lambda vocab_size, context, n_head, width, n_layer, eps: GPTConfig(
        vocab_size, context, n_head * width, n_head, n_layer, eps
    ),
    st.integers(2, 40),
    st.integers(1, 12),
    st.integers(1, 4),
    st.integers(1, 5),
    st.integers(1, 3),
    st.sampled_from([1e-5, 1e-3, 0.5]),
)


def theirs(config: GPTConfig, dtype=torch.float64) -> transformers.GPT2LMHeadModel:
    """GPT-2 of transformers with every parameter random, biases and norms too."""
    return library_gpt2(config, seed=0).to(dtype)


def ours(hf: transformers.GPT2LMHeadModel, config: GPTConfig) -> GPT:
    model = GPT(config).to(hf.dtype)
    model.load_state_dict(load_gpt2(hf.state_dict()))
    return model.eval()


def token_ids(config: GPTConfig, batch: int, n: int) -> torch.Tensor:
    return torch.randint(config.vocab_size, (batch, n), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
def test_logits_equal_those_of_transformers(dtype, tolerance):
    config = GPTConfig(vocab_size=97, context=32, d_model=24, n_head=3, n_layer=4, eps=1e-3)
    hf = theirs(config, dtype)
    ids = token_ids(config, 5, 32)
    assert (ours(hf, config)(ids) - hf(ids).logits).abs().max() <= tolerance


@settings(max_examples=15, deadline=None)
@given(sizes, st.integers(1, 3), st.data())
def test_logits_and_loss_equal_at_any_size(config, batch, data):
    n = data.draw(st.integers(1, config.context))
    hf, ids = theirs(config), token_ids(config, batch, n)
    model = ours(hf, config)
    assert (model(ids) - hf(ids).logits).abs().max() <= 1e-9
    if n > 1:
        # transformers computes its loss in float32 whatever the model is in.
        assert next_token_loss(model(ids), ids).item() == pytest.approx(hf(ids, labels=ids).loss.item(), rel=1e-5)


def test_gradients_equal_those_of_transformers():
    config = GPTConfig(vocab_size=31, context=9, d_model=12, n_head=2, n_layer=2)
    hf, ids = theirs(config), token_ids(config, 3, 8)
    model = ours(hf, config)
    next_token_loss(hf(ids).logits, ids).backward()
    next_token_loss(model(ids), ids).backward()
    expected = load_gpt2({name: p.grad for name, p in hf.named_parameters()})
    for name, parameter in model.named_parameters():
        assert (parameter.grad - expected[name]).abs().max() < 1e-9, name


def test_a_saved_gpt2_loads(tmp_path):
    config = GPTConfig(vocab_size=31, context=9, d_model=12, n_head=2, n_layer=2)
    theirs(config, torch.float32).save_pretrained(tmp_path)
    hf = transformers.GPT2LMHeadModel.from_pretrained(tmp_path, local_files_only=True)
    ids = token_ids(config, 3, 9)
    assert (ours(hf, config)(ids) - hf(ids).logits).abs().max() <= 1e-4


def test_greedy_text_equals_that_of_transformers():
    config = GPTConfig(vocab_size=31, context=24, d_model=12, n_head=2, n_layer=2)
    hf, prompt = theirs(config), token_ids(config, 4, 5)
    expected = hf.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=19, do_sample=False)
    assert torch.equal(generate(ours(hf, config), prompt, 19, temperature=0.0), expected)


@settings(max_examples=25, deadline=None)
@given(sizes)
def test_no_position_sees_the_future(config):
    model, ids = GPT(config).double(), token_ids(config, 1, config.context)
    logits = model(ids)
    for position in range(1, config.context):
        changed = ids.clone()
        changed[0, position:] = (ids[0, position:] + 1) % config.vocab_size
        assert (model(changed)[:, :position] - logits[:, :position]).abs().max() < 1e-12


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 4), max_size=3), st.integers(1, 9), st.sampled_from([1e-5, 0.5]))
def test_layer_norm_equals_torchs(before, width, eps):
    x, weight, bias = (torch.randn(*shape, dtype=torch.float64) for shape in ((*before, width), (width,), (width,)))
    layer = LayerNorm(width, eps).double()
    layer.load_state_dict({"weight": weight, "bias": bias})
    torch.testing.assert_close(layer(x), F.layer_norm(x, (width,), weight, bias, eps), rtol=1e-9, atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 3), max_size=3), st.integers(1, 7), st.integers(1, 5), st.sampled_from([1.0, 60.0]))
def test_attention_pattern_equals_torchs(before, n, width, scale):
    q, k, v = (scale * torch.randn(*before, n, width, dtype=torch.float64) for _ in range(3))
    expected = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    torch.testing.assert_close(attention_pattern(q, k) @ v, expected, rtol=1e-9, atol=1e-9)


def test_attention_equals_torchs():
    x = torch.randn(2, 5, 12, dtype=torch.float64)
    layer = MultiHeadAttention(12, 3).double()
    other = nn.MultiheadAttention(12, 3, batch_first=True).double()
    parts = {"in_proj_": layer.qkv, "out_proj.": layer.projection}
    other.load_state_dict({name + end: getattr(m, end) for name, m in parts.items() for end in ("weight", "bias")})
    mask = nn.Transformer.generate_square_subsequent_mask(5, dtype=torch.float64)
    torch.testing.assert_close(layer(x), other(x, x, x, attn_mask=mask)[0], rtol=0, atol=1e-9)


def test_gelu_equals_torchs():
    x = torch.linspace(-50, 50, 2001, dtype=torch.float64)
    torch.testing.assert_close(gelu(x), F.gelu(x, approximate="tanh"), rtol=0, atol=1e-12)


def test_patterns_equal_those_of_transformers():
    config = GPTConfig(vocab_size=31, context=9, d_model=12, n_head=3, n_layer=2)
    hf, ids = theirs(config), token_ids(config, 1, 7)
    hf.set_attn_implementation("eager")
    expected = torch.cat(hf(ids, output_attentions=True).attentions)
    torch.testing.assert_close(attention_patterns(ours(hf, config), ids[0]), expected, rtol=0, atol=1e-9)


def test_weights_start_as_gpt2s_do():
    model = GPT(GPTConfig(vocab_size=500, context=64, d_model=128, n_head=4, n_layer=8))
    for name, parameter in model.named_parameters():
        if "norm" in name:
            assert parameter.unique().item() == (1 if name.endswith("weight") else 0)
        elif name.endswith("bias"):
            assert not parameter.any()
        else:
            writes = name.endswith(("projection.weight", "down.weight"))
            assert parameter.std().item() == pytest.approx(0.02 / (4 if writes else 1), rel=0.05), name


def test_sampling_follows_the_distribution():
    config = GPTConfig(vocab_size=12, context=6, d_model=8, n_head=2, n_layer=1)
    model = ours(theirs(config), config)
    prompt = token_ids(config, 1, 4)
    for temperature in (0.5, 1.0, 3.0):
        drawn = generate(model, prompt.expand(20000, 4), 1, temperature=temperature, seed=5)[:, -1]
        expected = 20000 * (model(prompt)[0, -1] / temperature).softmax(-1)
        assert ((drawn.bincount(minlength=12) - expected) ** 2 / expected).sum() < 40  # 11 degrees of freedom


def test_sampling_leaves_torchs_random_state_alone():
    config = GPTConfig(vocab_size=12, context=6, d_model=8, n_head=2, n_layer=1)
    model = GPT(config)
    before = torch.get_rng_state()
    first = generate(model, token_ids(config, 2, 3), 9, seed=4)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, generate(model, token_ids(config, 2, 3), 9, seed=4))


def test_a_long_prompt_is_read_from_its_end():
    config = GPTConfig(vocab_size=12, context=5, d_model=8, n_head=2, n_layer=1)
    model, prompt = ours(theirs(config), config), token_ids(config, 2, 9)
    long, short = (generate(model, p, 6, temperature=0.0) for p in (prompt, prompt[:, -5:]))
    assert torch.equal(long[:, 9:], short[:, 5:])
    assert torch.equal(long[:, :9], prompt)


def test_a_text_longer_than_the_context_is_refused():
    with pytest.raises(ValueError, match="7 positions do not fit in a context of 6"):
        GPT(GPTConfig(12, 6, 8, 2, 1))(torch.zeros(1, 7, dtype=torch.long))


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match="n_head must divide d_model"):
        GPTConfig(12, 6, 8, 3, 1)


def test_the_loss_of_ignorance_is_the_logarithm_of_the_vocabulary():
    assert next_token_loss(torch.zeros(2, 5, 1024), torch.zeros(2, 5, dtype=torch.long)).item() == pytest.approx(
        math.log(1024)
    )


def test_the_shipped_model_predicts_as_its_record_says():
    shipped = checkpoint.load("documentation-small")
    model = from_checkpoint("documentation-small")
    assert not model.training
    assert len(shipped.merges) + 256 == model.config.vocab_size
    assert shipped.record["heldout_loss"] < 4.0
    assert len(shipped.marks) > 10_000


def test_a_checkpoint_of_other_sizes_is_refused(tmp_path):
    shipped = checkpoint.load("documentation-small")
    path = checkpoint.save(tmp_path / "other.safetensors", shipped.tensors, shipped.config | {"d_model": 32}, record={})
    with pytest.raises(CheckpointError, match=r"do not fit its own sizes.*make checkpoints"):
        from_checkpoint(path)


def test_a_checkpoint_of_another_kind_is_refused(tmp_path):
    path = checkpoint.save(tmp_path / "other.safetensors", {}, {"n_words": 3}, record={})
    with pytest.raises(CheckpointError, match=r"do not fit its own sizes.*make checkpoints"):
        from_checkpoint(path)


LAYER_NORMS = {
    "group_norm": "F.group_norm(x.reshape(-1, x.shape[-1]), 1, self.weight, self.bias, self.eps).view(x.shape)",
    "instance_norm": "F.instance_norm(x.reshape(1, -1, x.shape[-1]), eps=self.eps).view(x.shape)",
    "batch_norm": "F.batch_norm(x.view(1, -1, x.shape[-1]), None, None, training=True, eps=self.eps).view(x.shape)",
}


@pytest.mark.parametrize("call", LAYER_NORMS)
def test_another_norm_of_torch_is_no_layer_norm_of_ones_own(call: str):
    own = f"class Mine(LayerNorm):\n    def forward(self, x):\n        return {LAYER_NORMS[call]}"
    namespace = {"LayerNorm": LayerNorm, "F": F}
    exec(own, namespace)
    errors = play(Assembler("gpt").build(), {"LayerNorm": namespace["Mine"]}, only={"layer-norm"})
    assert f"LayerNorm calls torch.nn.functional.{call}" in str(errors["layer-norm"])


def test_a_buffer_that_a_module_keeps_is_left_as_it_is():
    """As nanoGPT keeps its causal mask, persistent ones too."""

    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(3))
            self.register_buffer("mask", torch.ones(3, 3).tril())

    module = Masked()
    state = randomise(module, 1)
    assert set(state) == {"weight"} and torch.equal(module.weight, state["weight"])
    assert torch.equal(module.mask, torch.ones(3, 3).tril())
