"""The training loop."""

import subprocess
import sys
import textwrap

import pytest
import torch
import torch.nn as nn

from labkit.fit import adamw, fit, token_batches


def line_batches(n=40):
    """Batches of points on y = 3x - 1."""
    x = torch.linspace(-1, 1, n)[:, None]
    return [(x, 3 * x - 1)]


def squares(outputs, targets):
    return (outputs - targets).square().mean()


def test_it_trains_any_module_with_any_loss():
    module = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.3)
    losses = fit(module, line_batches(), steps=200, optimizer=optimizer, loss=squares, progress=False)
    assert len(losses) == 200
    assert losses[-1] < 1e-6 < losses[0]
    assert module.weight.item() == pytest.approx(3, abs=1e-2)


def test_it_equals_a_plain_loop():
    def make():
        torch.manual_seed(0)
        module = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 5))
        return module, torch.optim.AdamW(module.parameters(), lr=0.1)

    batches = list(zip(torch.randint(5, (6, 2, 3)), torch.randint(5, (6, 2, 3)), strict=True))
    plain, optimizer = make()
    expected = []
    for step, (inputs, targets) in enumerate(batches):
        optimizer.param_groups[0]["lr"] = 0.1 / (1 + step)
        loss = nn.functional.cross_entropy(plain(inputs).flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(plain.parameters(), 0.5)
        optimizer.step()
        expected.append(loss.item())
    ours, optimizer = make()
    found = fit(
        ours, batches, steps=6, optimizer=optimizer, schedule=lambda step: 1 / (1 + step), clip=0.5, progress=False
    )
    assert found == expected
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), ours.parameters(), strict=True))


def test_the_learning_rate_and_the_mode_are_put_back():
    module = nn.Sequential(nn.Linear(1, 1), nn.Dropout(0.5)).eval()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.25)
    fit(module, line_batches(), steps=3, optimizer=optimizer, schedule=lambda step: 0.0, loss=squares, progress=False)
    assert optimizer.param_groups[0]["lr"] == 0.25
    assert not module.training
    assert all(p.grad is None for p in module.parameters())


@pytest.mark.parametrize("batches", [iter(line_batches() * 3), []])
def test_too_few_batches_are_an_error(batches):
    module = nn.Linear(1, 1)
    with pytest.raises(ValueError, match="batches ran out after"):
        fit(module, batches, steps=5, loss=squares, progress=False)


def test_an_interrupt_keeps_what_was_learned(capsys):
    module = nn.Linear(1, 1)

    def interrupted(outputs, targets):
        interrupted.calls += 1
        if interrupted.calls == 4:
            raise KeyboardInterrupt
        return squares(outputs, targets)

    interrupted.calls = 0
    losses = fit(module, line_batches(), steps=10, loss=interrupted, progress=True)
    assert len(losses) == 3
    assert squares(module(line_batches()[0][0]), line_batches()[0][1]).item() < losses[0]
    captured = capsys.readouterr()
    assert "Stopped after 3 of 10 steps" in captured.out
    assert captured.err == ""


def test_the_bar_is_on_stdout():
    code = """
        import torch
        from labkit.fit import fit
        x = torch.ones(2, 1)
        fit(torch.nn.Linear(1, 1), [(x, x)], steps=3, loss=lambda a, b: (a - b).square().mean())
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert "3/3" in done.stdout
    assert done.stderr == ""


def test_someone_may_watch_the_losses():
    seen = []
    losses = fit(
        nn.Linear(1, 1),
        line_batches(),
        steps=3,
        loss=squares,
        progress=False,
        watch=lambda losses: seen.append(list(losses)),
    )
    assert seen == [losses[:1], losses[:2], losses]


def test_decay_is_for_matrices_only():
    module = nn.Linear(3, 2)
    matrices, vectors = adamw(module, 0.01, weight_decay=0.2).param_groups
    assert matrices["params"][0] is module.weight and matrices["weight_decay"] == 0.2
    assert vectors["params"][0] is module.bias and vectors["weight_decay"] == 0.0


def test_token_batches_are_windows_and_their_shift():
    tokens = torch.arange(50)
    inputs, targets = next(token_batches(tokens, batch_size=400, context=7, seed=0))
    assert inputs.shape == targets.shape == (400, 7)
    assert torch.equal(inputs + 1, targets)
    assert inputs.min() == 0 and targets.max() == 49, "first and last token are both reached"


def test_token_batches_follow_their_seed():
    def first(seed):
        return next(token_batches(torch.arange(50), batch_size=4, context=7, seed=seed))[0]

    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))


def test_too_short_a_text_is_an_error():
    with pytest.raises(ValueError, match="too few for windows of 7"):
        next(token_batches(torch.arange(7), batch_size=4, context=7, seed=0))
