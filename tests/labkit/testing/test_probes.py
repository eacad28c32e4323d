"""Probes answer alike whether the student's objects are here or behind the link."""

import collections
import types

import pytest
import torch
from torch import nn

from labkit.predictions import compare_prediction
from labkit.testing import probes
from labkit.testing.link import Link, Remote
from labkit.testing.student import Student


class Scale(nn.Module):
    """Multiplies by a weight; `unused` takes no part in the result."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))
        self.unused = nn.Parameter(torch.zeros(2))

    def forward(self, x):
        return x * self.weight


class Bigram(nn.Module):
    """Logits of the next token given this one."""

    def __init__(self, vocabulary: int = 5):
        super().__init__()
        self.table = nn.Embedding(vocabulary, vocabulary)

    def forward(self, ids):
        return self.table(ids)


def once(i):
    return i


def many_calls(times):
    return sum(once(i) for i in range(times))


def in_place(x, rows, table=None):
    x += 1
    rows.append([9])
    rows[0].append(7)
    return x


def draw(n, *, scale=1):
    return torch.rand(n) * scale


def detached(x):
    return x.detach() * 2


def no_tensor(x):
    return [1]


class Downhill(torch.optim.Optimizer):
    """Gradient descent that remembers the last gradient as well."""

    def __init__(self, params, lr=1.0):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    last = self.state[parameter].get("last", 0)
                    parameter -= group["lr"] * (parameter.grad + last)
                    self.state[parameter]["last"] = parameter.grad.clone()


class Counter:
    """Gives out its own row of numbers, which grows."""

    def __init__(self):
        self.row = [0]

    def count(self):
        self.row.append(len(self.row))

    def numbers(self):
        return self.row

    def follow(self, row):
        self.row = row


class Passing(nn.Module):
    """Gives back what it reads, through a layer."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Identity()

    def forward(self, x):
        return self.layer(x).flatten()


def doubles(tensors, first):
    """Doubles the first tensors in place, and puts new ones in the place of the others."""
    for i, tensor in enumerate(tensors):
        tensors[i] = tensor.mul_(2) if i < first else tensor * 2
    return [tensor.is_contiguous() for tensor in tensors]


def reads_again(model, x):
    """Reads a row, and then all of it again with what came out below."""
    first = model(x)
    return torch.cat([first, model(torch.cat([x, first[None]]))])


def twice(items):
    return [list(items), list(items)]


NAMES = {
    f.__name__: f
    for f in (
        *(Scale, Bigram, in_place, draw, twice, detached, no_tensor, Downhill, Counter, Passing, reads_again),
        *(many_calls, doubles),
    )
}


@pytest.fixture(params=["here", "behind the link"])
def theirs(request):
    """The student's names, directly or as proxies."""
    if request.param == "here":
        return types.SimpleNamespace(**NAMES)
    link = Link(Student(dict(NAMES)).handle, {})
    return types.SimpleNamespace(**{name: Remote(link, name) for name in NAMES})


def test_gradients_of_a_module_by_name_and_input(theirs):
    x = torch.tensor([[1.0, -2.0, 4.0]])
    found = probes.gradients(theirs.Scale(), x)
    weights = torch.tensor([0.5, 1.0, 1.5])
    assert list(found) == ["input.0", "weight", "unused"]
    assert torch.allclose(found["input.0"], weights * torch.tensor([1.0, 2.0, 3.0]))
    assert torch.allclose(found["weight"], weights * x[0])
    assert torch.equal(found["unused"], torch.zeros(2))
    assert not any(g.requires_grad for g in found.values())


def test_gradients_are_fresh_each_time_and_leave_no_trace(theirs):
    layer, x = theirs.Scale(), torch.ones(2, 3)
    first, again = probes.gradients(layer, x), probes.gradients(layer, x)
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert x.grad is None and not x.requires_grad


def test_gradients_of_what_is_cut_off_are_zero(theirs):
    found = probes.gradients(theirs.detached, torch.ones(3))
    assert torch.equal(found["input.0"], torch.zeros(3))


def test_gradients_skip_whole_numbers(theirs):
    found = probes.gradients(theirs.Bigram(), torch.tensor([1, 2, 1]))
    assert list(found) == ["table.weight"]
    assert found["table.weight"][[0, 3, 4]].abs().sum() == 0
    assert (found["table.weight"][[1, 2]] != 0).all()


def test_gradients_of_what_gives_no_tensor_say_so(theirs):
    with pytest.raises(TypeError, match="a tensor is expected and list came back"):
        probes.gradients(theirs.no_tensor, torch.ones(2))


def test_after_call_shows_changes_and_spares_the_test_its_own_data(theirs):
    x, rows = torch.zeros(2), [[1], [2]]
    result, (after, rows_after) = probes.after_call(theirs.in_place, x, rows)
    assert torch.equal(result, torch.ones(2)) and torch.equal(after, torch.ones(2))
    assert rows_after == [[1, 7], [2], [9]]
    assert torch.equal(x, torch.zeros(2)) and rows == [[1], [2]]


@pytest.mark.parametrize("kind", [dict, collections.OrderedDict, collections.Counter])
def test_after_call_copies_every_kind_of_dictionary(kind):
    table = kind({"a": 1, "b": 2})
    _, (after,) = probes.after_call(lambda table: table.pop("a"), table)
    assert after == {"b": 2} and type(after) is kind
    assert table == {"a": 1, "b": 2}


def test_after_call_hands_keywords_on(theirs):
    _, (after, _) = probes.after_call(theirs.in_place, torch.zeros(1), [[]], table={"a": [1]})
    assert torch.equal(after, torch.ones(1))


def test_after_call_shows_what_goes_on_changing(theirs):
    counter = theirs.Counter()
    _, (after,) = probes.after_call(counter.follow, [7], then=counter.count, times=2)
    assert after == [7, 1, 2]


def test_tensors_after_shows_the_tensors_and_not_what_took_their_places(theirs):
    given = [torch.ones(2, 3), torch.ones(2)]
    contiguous, after, listed = probes.tensors_after(theirs.doubles, given, 1)
    assert torch.equal(after[0], torch.full((2, 3), 2.0)) and torch.equal(after[1], torch.ones(2))
    assert torch.equal(listed[0], torch.full((2, 3), 2.0)) and torch.equal(listed[1], torch.full((2,), 2.0))
    assert contiguous == [False, True]
    assert torch.equal(given[0], torch.ones(2, 3))


def test_shapes_read_lists_each_call_of_a_module(theirs):
    model = theirs.Passing()
    assert probes.shapes_read(model, theirs.reads_again, model, torch.ones(1, 3)) == [(1, 3), (2, 3)]
    assert probes.shapes_read(model, theirs.draw, 3) == []


def test_given_iterator_gives_each_item_once(theirs):
    assert probes.given_iterator(theirs.twice, [1, 2]) == [[1, 2], []]


def test_calls_counts_what_a_call_calls(theirs):
    counts = probes.calls(theirs.many_calls, 3)
    assert counts["many_calls"] == 1 and counts["once"] == 3


def test_seeded_fixes_the_global_generator(theirs):
    assert torch.equal(probes.seeded(5, theirs.draw, 3, scale=2), probes.seeded(5, theirs.draw, 3, scale=2))
    assert not torch.equal(probes.seeded(5, theirs.draw, 3), probes.seeded(6, theirs.draw, 3))
    drawn = probes.seeded(5, theirs.draw, 3)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(3))


def test_drawn_after_shows_a_call_that_touches_the_global_generator(theirs):
    want = torch.rand(4, generator=torch.Generator().manual_seed(5))
    assert torch.equal(probes.drawn_after(5, theirs.no_tensor, torch.ones(3)), want)
    assert not torch.equal(probes.drawn_after(5, theirs.draw, 3, scale=2), want)


def test_train_teaches_the_next_token_in_place(theirs):
    model = theirs.Bigram()
    tokens = torch.arange(400) % 5
    options = dict(steps=60, batch_size=8, context=10, learning_rate=0.3, seed=1)
    assert probes.train(model, tokens, **options) is None
    assert model(torch.arange(5)).argmax(-1).tolist() == [1, 2, 3, 4, 0]


def test_train_repeats_itself_and_depends_on_its_seed(theirs):
    tokens = torch.randint(5, (200,), generator=torch.Generator().manual_seed(0))
    tables = []
    for seed in (1, 1, 2):
        model = theirs.Bigram()
        model.load_state_dict({"table.weight": torch.zeros(5, 5)})
        probes.train(model, tokens, steps=5, batch_size=4, context=8, learning_rate=0.1, seed=seed)
        tables.append(model.state_dict()["table.weight"])
    assert torch.equal(tables[0], tables[1])
    assert not torch.equal(tables[0], tables[2])


def test_optimize_makes_a_step_for_each_row(theirs):
    parameters = [torch.zeros(2), torch.ones(1)]
    rows = [[torch.ones(2), None], [torch.ones(2), torch.ones(1)], [torch.zeros(2), torch.zeros(1)]]
    for reload_after in (None, 1, 2):
        found = probes.optimize(theirs.Downhill, parameters, rows, lr=0.5, reload_after=reload_after)
        assert found[0].tolist() == [-2.0, -2.0] and found[1].tolist() == [0.0]
    groups = [{"params": [1], "lr": 2.0}, {"params": [0]}]
    found = probes.optimize(theirs.Downhill, parameters, rows, groups=groups, lr=0.5)
    assert found[0].tolist() == [-2.0, -2.0] and found[1].tolist() == [-3.0]
    assert parameters[0].tolist() == [0.0, 0.0]


def test_kept_shows_what_goes_on_changing(theirs):
    counter = theirs.Counter()
    assert probes.kept(counter.numbers, then=counter.count, times=2) == [0, 1, 2]


def test_a_layer_that_asks_shows_what_is_read_with_it(theirs):
    """The test's layer doubles and adds 1."""
    model, x, answers = theirs.Passing(), torch.tensor([[1.0, 2.0]]), []
    while True:
        asks, found = probes.until_asked(theirs.reads_again, model, "layer", answers, x)
        if not asks:
            break
        answers.append((found, 2 * found + 1))
    assert found.tolist() == [3.0, 5.0, 3.0, 5.0, 7.0, 11.0]
    assert [read.tolist() for read, _ in answers] == [[[1.0, 2.0]], [[1.0, 2.0], [3.0, 5.0]]]
    assert torch.equal(model(x), x[0]), "the layer is what it was"


# ------------------------------------------------------------------------------------------------------- predictions


@pytest.mark.parametrize(
    ("predicted", "actual", "unit", "says"),
    [
        (None, 1234, "tokens", "length: 1,234 tokens (you left your prediction blank)"),
        (
            1000,
            1234,
            "tokens",
            "length: you predicted 1,000 tokens, it is 1,234 tokens: 234 more than you thought",
        ),
        (0.5, 0.25, "", "length: you predicted 0.5, it is 0.25: 0.25 less than you thought"),
        (3, 3, "bits", "length: you predicted 3 bits, it is 3 bits: exactly right"),
        ("the", "the", "", "length: you predicted the, it is the: exactly right"),
        ("a", "the", "", "length: you predicted a, it is the"),
        (2, 2.5, "x", "length: you predicted 2 x, it is 2.5 x: 0.5 more than you thought"),
        ("5%", 4, "", "length: you predicted 5%, it is 4 (write a number, without quotes, to have them compared)"),
        (0.05, 0.0499, "", "length: you predicted 0.05, it is 0.0499: right to within 1%"),
        (True, False, "", "length: you predicted True, it is False"),
        (1.0, torch.tensor(3.0), "", "length: you predicted 1, it is 3: 2 more than you thought"),
    ],
)
def test_a_prediction_is_compared_with_what_was_measured(capsys, predicted, actual, unit, says):
    compare_prediction("length", predicted, actual, unit=unit)
    assert capsys.readouterr() == (says + "\n", "")
