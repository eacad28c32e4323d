"""The harness round a test: which calls are refused, when, and what stays as it was."""

import functools
import subprocess
import sys
import types

import pytest
import tokenizers
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import nn
from torch.nn.functional import layer_norm

from labkit.testing.answers import SEED_VARIABLE, Answers, fresh_seed
from labkit.testing.link import Link, Remote, StudentError
from labkit.testing.refusals import ReplacedCall
from labkit.testing.student import Student

X = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
LAYER_NORM = ["torch.nn.functional.layer_norm", "torch.nn.LayerNorm"]


def notebook(source: str = "", **names) -> dict:
    """A namespace like a notebook's, with `answers` called from inside it."""
    namespace = types.ModuleType("__main__").__dict__
    namespace.update(torch=torch, F=F, nn=nn, X=X, answers=Answers("reference"), **names)
    exec(source, namespace)
    return namespace


def judged(
    namespace: dict,
    test: str,
    replaces: dict | None = None,
    lends: tuple = (),
    reference: str = "reference",
    cell: str = "",
):
    """Run `test` in a block as the assembler writes it."""
    answers = Answers(reference, replaces={"exercise": replaces or {}}, lends={"exercise": lends})
    answers.failed = namespace["answers"].failed
    namespace["answers"] = answers
    body = "\n".join("    " + line for line in test.splitlines())
    exec(f"with answers('exercise', cell={cell or 'exercise'!r}):\n{body}", namespace)


# -------------------------------------------------------------------------------------------------- calls of torch


WAYS = {
    "its public name": "def f(x): return F.layer_norm(x, (4,))",
    "torch's own": "def f(x): return torch.layer_norm(x, (4,))",
    "an operator": "def f(x): return torch.ops.aten.layer_norm(x, [4])",
    "a name bound early": "from torch.nn.functional import layer_norm as g\ndef f(x): return g(x, (4,))",
    "a default": "def f(x, g=F.layer_norm): return g(x, (4,))",
    "a closure": "def make(g):\n    return lambda x: g(x, (4,))\nf = make(F.layer_norm)",
    "an import inside": "def f(x):\n    from torch.nn import functional\n    return functional.layer_norm(x, (4,))",
    "a helper": "def helper(x): return F.layer_norm(x, (4,))\ndef f(x): return helper(x)",
    "a module": "def f(x): return nn.LayerNorm(4)(x)",
    "a module built early": "layer = nn.LayerNorm(4)\ndef f(x): return layer(x)",
    "a subclass of the module": "class Mine(nn.LayerNorm): pass\ndef f(x): return Mine(4)(x)",
    "the module itself": "f = nn.LayerNorm(4)",
    "a lambda": "f = lambda x: F.layer_norm(x, (4,))",
    "a map": "def f(x): return list(map(lambda row: F.layer_norm(row, (4,)), x))",
    "getattr": "def f(x): return getattr(F, 'layer' + '_norm')(x, (4,))",
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_a_replaced_torch_call_is_refused(way):
    namespace = notebook(WAYS[way])
    with pytest.raises(
        ReplacedCall, match=r"^f calls torch\.nn\.\S+; this exercise asks you to write what that call does\.$"
    ):
        judged(namespace, "f(X)", replaces={"f": LAYER_NORM})
    namespace["f"](X)  # outside a test nothing is refused


def test_methods_of_tensors_are_the_same_operation():
    namespace = notebook("def f(x): return x.softmax(-1)\ndef g(x): return x.exp() / x.exp().sum(-1, keepdim=True)")
    with pytest.raises(ReplacedCall, match=r"f calls torch\.softmax"):
        judged(namespace, "f(X)", replaces={"f": ["torch.softmax"]})
    judged(namespace, "g(X)", replaces={"g": ["torch.softmax"]})


def test_a_call_that_is_refused_by_a_part_of_it_is_named_itself():
    namespace = notebook("def f(x):\n    return nn.utils.clip_grad_norm_(x, 1.0)")
    listed = ["torch.nn.utils.clip_grad_norm_", "torch._foreach_norm"]
    with pytest.raises(ReplacedCall, match=r"^f calls torch\.nn\.utils\.clip_grad_norm_;"):
        judged(namespace, "x = nn.Parameter(X)\nx.grad = X\nf([x])", replaces={"f": listed})


def test_the_tests_own_calls_are_not_refused():
    namespace = notebook(
        "def f(x):\n    return (x - x.mean(-1, True)) / (x.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()"
    )
    judged(
        namespace,
        "got = f(X)\n"
        "assert torch.allclose(got, F.layer_norm(X, (4,)), atol=1e-5), 'm'\n"
        "assert torch.allclose(f(X), nn.LayerNorm(4)(X), atol=1e-5), 'm'",
        replaces={"f": LAYER_NORM},
    )


def test_recursion_and_mutual_calls_stay_refused_to_the_end():
    namespace = notebook("def f(x, n=3):\n    if n: f(x, n - 1)\n    return F.layer_norm(x, (4,)) if n == 3 else x\n")
    with pytest.raises(ReplacedCall):
        judged(namespace, "f(X)", replaces={"f": LAYER_NORM})


def test_a_generator_is_refused_wherever_it_runs():
    source = "def f(x):\n    sent = yield 1\n    yield sent\n    yield F.layer_norm(x, (4,))\n    return 5"
    namespace = notebook(source)
    with pytest.raises(ReplacedCall):
        judged(
            namespace,
            "steps = f(X)\n"
            "assert next(steps) == 1, 'm'\n"
            "F.layer_norm(X, (4,))\n"  # the test's own, between two steps
            "assert steps.send('a') == 'a', 'm'\n"
            "next(steps)",
            replaces={"f": LAYER_NORM},
        )


def test_a_generator_keeps_throw_close_and_return():
    source = (
        "seen = []\n"
        "def f():\n"
        "    try:\n        yield 1\n"
        "    except ValueError:\n        seen.append('thrown')\n"
        "    try:\n        yield 2\n"
        "    finally:\n        seen.append('closed')\n"
    )
    namespace = notebook(source)
    test = (
        "steps = f()\nnext(steps)\nassert steps.throw(ValueError()) == 2, 'm'\nsteps.close()\n"
        "assert seen == ['thrown', 'closed'], 'm'\nassert type(steps).__name__ == 'generator', 'm'"
    )
    judged(namespace, test, replaces={"f": LAYER_NORM})


# ----------------------------------------------------------------------------------------------------------- classes


NORM = """
class Base(nn.Module):
    def helper(self, x): return F.layer_norm(x, (4,))
class Norm(Base):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4))
    def forward(self, x): return x * self.weight
    def early(self, x): return self.helper(x)
    @staticmethod
    def static(x): return F.layer_norm(x, (4,))
    @classmethod
    def of_class(cls, x): return F.layer_norm(x, (4,))
    @property
    def width(self): return F.layer_norm(X, (4,))
    def steps(self, x): yield F.layer_norm(x, (4,))
"""


@pytest.mark.parametrize(
    "call",
    ["Norm().early(X)", "Norm.static(X)", "Norm.of_class(X)", "Norm().width", "next(Norm().steps(X))"],
)
def test_every_kind_of_method_is_guarded(call):
    namespace = notebook(NORM)
    with pytest.raises(ReplacedCall, match="Norm calls"):
        judged(namespace, call, replaces={"Norm": LAYER_NORM})
    exec(call, namespace)


def test_a_guarded_class_stays_itself():
    namespace = notebook(NORM)
    cls, before = namespace["Norm"], dict(vars(namespace["Norm"]))
    judged(
        namespace,
        "layer = Norm()\n"
        "assert type(layer) is Norm and isinstance(layer, nn.Module) and issubclass(Norm, Base), 'm'\n"
        "assert list(layer.state_dict()) == ['weight'], 'm'\n"
        "layer.load_state_dict({'weight': torch.zeros(4)})\n"
        "assert layer(X).abs().sum() == 0, 'm'\n"
        "layer(X).sum().backward()\n"
        "assert layer.weight.grad is not None, 'm'",
        replaces={"Norm": LAYER_NORM},
    )
    assert namespace["Norm"] is cls
    assert dict(vars(cls)) == before


CLASSES = {
    "built on the module": "class Norm(nn.LayerNorm): pass",
    "the module under another name": "Norm = nn.LayerNorm",
    "a cousin": "class Norm(nn.GroupNorm):\n    def __init__(self, width): super().__init__(1, 3)",
    "keeps one inside": "class Norm(nn.Module):\n    def __init__(self, w):\n        super().__init__()\n"
    "        self.inner = nn.LayerNorm(w)\n    def forward(self, x): return self.inner(x)",
    "super by name": "class Norm(nn.Module):\n    def __init__(self, w): super(Norm, self).__init__()\n"
    "    def forward(self, x): return F.layer_norm(x, (4,))",
}


@pytest.mark.parametrize("way", CLASSES)
def test_every_way_to_borrow_a_class_is_refused(way):
    namespace = notebook(CLASSES[way])
    with pytest.raises(ReplacedCall, match=r"^Norm calls"):
        judged(namespace, "Norm(4)(X)", replaces={"Norm": [*LAYER_NORM, "torch.nn.functional.group_norm"]})
    assert "refus" not in nn.LayerNorm.forward.__qualname__
    namespace["Norm"](4)(X)


# --------------------------------------------------------------------------------------------------------- libraries


LIBRARY = {
    "an import inside": "def f():\n    import tokenizers\n    return tokenizers.Tokenizer",
    "a name from it": "def f():\n    from tokenizers import Tokenizer",
    "a part of it": "def f():\n    from tokenizers.models import BPE",
    "a part never loaded": "def f():\n    import tokenizers.not_there",
    "importlib": "def f():\n    import importlib\n    importlib.import_module('tokenizers').Tokenizer",
    "sys.modules": "def f():\n    import sys\n    sys.modules['tokenizers'].Tokenizer",
    "a global module": "import tokenizers\ndef f(): return tokenizers.Tokenizer",
    "a name bound early": "from tokenizers import Tokenizer\ndef f(): return Tokenizer(None)",
    "under another name": "import tokenizers as t\ndef f(): return t.Tokenizer",
    "an object": "import tokenizers as t\nready = t.Tokenizer(t.models.BPE())\ndef f(): return ready.encode",
    "a bound method": "import tokenizers as t\nrun = t.Tokenizer(t.models.BPE()).encode\ndef f(): return run(0)",
    "a partial": "import tokenizers as t, functools\nmake = functools.partial(t.Tokenizer)\ndef f(): return make(0)",
    "a container": "import tokenizers\ntools = {'t': tokenizers}\ndef f(): return tools['t'].Tokenizer",
    "a helper": "import tokenizers\ndef helper(): return tokenizers.Tokenizer\ndef f(): return helper()",
    "a helper's default": "import tokenizers\ndef helper(t=tokenizers): return t.Tokenizer\ndef f(): return helper()",
    "a default": "import tokenizers\ndef f(t=tokenizers): return t.Tokenizer",
    "a closure": "import tokenizers\ndef make(t):\n    return lambda: t.Tokenizer\nf = make(tokenizers)",
    "a class built on one": "from tokenizers.decoders import Decoder\nclass f(Decoder): pass",
    "the thing itself": "from tokenizers import Tokenizer as f",
    "an oracle of ours": "from labkit.testing import oracles\ndef f(): return oracles.library_tokenizer([])",
    "an oracle's name": "from labkit.testing.oracles import library_merges\ndef f(): return library_merges('a', 256)",
    "an oracle itself": "from labkit.testing.oracles import library_tokenizer as g\ndef f(g=g): return g([])",
}


@pytest.mark.parametrize("way", LIBRARY)
def test_every_way_to_a_replaced_library_is_refused(way):
    namespace = notebook(LIBRARY[way])
    with pytest.raises(ReplacedCall, match=r"^f calls tokenizers; this exercise asks you to write"):
        judged(namespace, "f()", replaces={"f": ["tokenizers"]})
    assert sys.modules["tokenizers"] is tokenizers


def test_a_method_that_uses_a_library_is_refused():
    namespace = notebook("import tokenizers\nclass T:\n    def encode(self): return tokenizers.Tokenizer")
    with pytest.raises(ReplacedCall, match=r"^T calls tokenizers"):
        judged(namespace, "T().encode()", replaces={"T": ["tokenizers"]})


def test_the_tests_own_use_of_a_library_is_not_refused():
    namespace = notebook(
        "import tokenizers\nfrom tokenizers import Tokenizer\ndef f(): return 1", keep={"t": Tokenizer}
    )
    judged(
        namespace,
        "f()\nimport tokenizers as again\nassert again.Tokenizer is Tokenizer is keep['t'], 'm'\n"
        "from tokenizers.models import BPE\nTokenizer(BPE())\nassert f() == 1, 'm'",
        replaces={"f": ["tokenizers"]},
    )


def test_an_answer_in_another_module_is_guarded_there():
    """Banks are such modules."""
    module = types.ModuleType("elsewhere")
    exec("from tokenizers import Tokenizer\ndef f(): return Tokenizer(None)", module.__dict__)
    namespace = notebook(f=module.f)
    with pytest.raises(ReplacedCall):
        judged(namespace, "f()", replaces={"f": ["tokenizers"]})
    assert module.Tokenizer is Tokenizer


def test_a_library_that_is_not_installed_is_no_trouble():
    namespace = notebook("def f(): return 1")
    judged(namespace, "assert f() == 1, 'm'", replaces={"f": ["no_such_package"]})
    assert "no_such_package" not in sys.modules


def test_other_libraries_may_look_through_loaded_modules_meanwhile():
    namespace = notebook("import inspect\ndef f(): return inspect.getmodule(inspect.currentframe()) or 1")
    judged(namespace, "f()", replaces={"f": ["tokenizers"]})


# ------------------------------------------------------------------------------------------- what stays as it was


def test_exceptions_pass_and_everything_is_put_back():
    namespace = notebook("import tokenizers\ndef f(): raise KeyError('mine')\ndef part(): return 'own'")
    before = dict(namespace)
    with pytest.raises(KeyError, match="mine"):
        judged(
            namespace,
            "f()",
            replaces={"f": [*LAYER_NORM, "tokenizers"]},
            lends=("part",),
            reference="labkit.testing.answers",
        )
    del before["answers"]  # `judged` put its own there
    for name, value in before.items():
        assert namespace[name] is value
    F.layer_norm(X, (4,))


def test_the_refusal_names_the_call_that_was_made():
    calls = ["torch.layer_norm", "torch.nn.functional.layer_norm"]
    for made in calls:
        namespace = notebook(f"def f(x): return {made}(x, (4,))")
        with pytest.raises(ReplacedCall, match=rf"^f calls {made};"):
            judged(namespace, "f(X)", replaces={"f": calls})


def test_a_traceback_shows_the_notebooks_own_steps():
    namespace = notebook(NORM)
    with pytest.raises(ReplacedCall) as refused:
        judged(namespace, "Norm().early(X)", replaces={"Norm": LAYER_NORM})
    # This file's `judged` calls the cell, which calls `early`, which calls `helper`.
    assert [step.name for step in refused.traceback][-3:] == ["<module>", "early", "helper"]
    namespace = notebook("def f(x): return x @ x\nclass M(nn.Module):\n    def forward(self, x): return f(x)")
    with pytest.raises(RuntimeError) as failed:
        judged(namespace, "M()(X)", replaces={"M": LAYER_NORM})
    assert [step.name for step in failed.traceback][-3:] == ["<module>", "forward", "f"]


def test_a_replaced_call_that_torch_lacks_is_named():
    with pytest.raises(ValueError, match=r"torch\.layer_nrom, which this torch does not have"):
        judged(notebook("def f(): pass"), "f()", replaces={"f": ["torch.layer_nrom"]})


def test_a_name_that_is_missing_stays_missing():
    namespace = notebook()
    with pytest.raises(NameError, match="name 'f' is not defined"):
        judged(namespace, "f()", replaces={"f": LAYER_NORM}, lends=("g",), reference="no.such.module")


# ------------------------------------------------------------------------------------------------------------- parts


@pytest.fixture
def reference(monkeypatch):
    module = types.ModuleType("reference")
    module.part = lambda: "reference"
    monkeypatch.setitem(sys.modules, "reference", module)


def test_parts_come_from_the_reference_for_the_duration_of_the_test(reference):
    namespace = notebook("def part(): return 'own'\ndef f(): return part()")
    judged(namespace, "assert f() == part() == 'reference', 'm'", lends=("part",))
    assert namespace["f"]() == "own"


def test_a_part_that_was_never_written_comes_from_the_reference_too(reference):
    namespace = notebook("def f(): return part()")
    judged(namespace, "assert f() == 'reference', 'm'", lends=("part",))
    assert "part" not in namespace


def test_a_part_without_a_reference_stays_and_the_failure_says_what_to_fix_first(reference):
    namespace = notebook("def part(): return 'own'\ndef f(): return part()")
    first = "with answers('earlier', cell='earlier'):\n    assert part() == 'right', 'earlier is wrong'"
    with pytest.raises(AssertionError, match="earlier is wrong"):
        exec(first, namespace)
    with pytest.raises(AssertionError) as failure:
        judged(namespace, "assert f() == 'right', 'm'", lends=("part",), reference="reference.missing")
    assert failure.value.__notes__ == [
        "This test also uses your answer to earlier, whose own test fails: fix that first."
    ]
    namespace["part"] = lambda: "right"
    exec(first, namespace)
    with pytest.raises(AssertionError) as failure:
        judged(namespace, "assert f() == 'other', 'm'", lends=("part",), reference="reference.missing")
    assert not hasattr(failure.value, "__notes__")


def test_the_integration_test_says_what_to_fix_first(reference):
    namespace = notebook("def part(): return 'own'")
    with pytest.raises(AssertionError):
        exec("with answers('earlier'):\n    assert part() == 'right', 'm'", namespace)
    with pytest.raises(AssertionError) as failure:
        exec("with answers('integration'):\n    assert part() == 'right', 'm'", namespace)
    assert "your answer to earlier" in failure.value.__notes__[0]


def test_a_helper_of_the_tests_that_the_students_code_replaces_is_named():
    namespace = notebook("def f(): return 1")
    passing = "def helper(): return 1\nwith answers('f'):\n    assert f() == helper(), 'm'"
    failing = "with answers('f', cell='more'):\n    assert f() == helper(), 'm'"
    exec(compile(passing, "cell 3", "exec"), namespace)
    exec(compile("def helper(): return 2", "cell 4", "exec"), namespace)
    with pytest.raises(AssertionError) as failure:
        exec(compile(failing, "cell 5", "exec"), namespace)
    assert failure.value.__notes__ == [
        "`helper` is also a function of the tests, and yours has taken its place: give yours another name and run the "
        "notebook again."
    ]
    exec(compile(passing, "cell 3, again", "exec"), namespace)
    with pytest.raises(AssertionError) as failure:
        exec(compile(failing.replace("==", "!="), "cell 5", "exec"), namespace)
    assert not hasattr(failure.value, "__notes__")


# ------------------------------------------------------------------------------------------------------------- seeds


def test_a_fresh_seed_is_the_cells_and_the_submissions(monkeypatch):
    monkeypatch.delenv(SEED_VARIABLE, raising=False)
    seeds = {}
    namespace = notebook("def f(): pass", note=seeds.__setitem__, fresh_seed=fresh_seed)
    for secret in (None, "one", "two"):
        if secret:
            monkeypatch.setenv(SEED_VARIABLE, secret)
        for cell in ("a", "b"):
            judged(namespace, f"note(({secret!r}, {cell!r}), fresh_seed())", cell=cell)
            assert seeds[secret, cell] == seeds.setdefault((secret, cell, "again"), seeds[secret, cell])
    drawn = {k: v for k, v in seeds.items() if len(k) == 2}
    assert len(set(drawn.values())) == len(drawn) == 6
    assert all(0 <= v < 2**32 for v in drawn.values())


def test_a_fresh_seed_is_the_same_in_another_process(monkeypatch):
    monkeypatch.setenv(SEED_VARIABLE, "secret")
    code = "from labkit.testing.answers import fresh_seed; print(fresh_seed())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == fresh_seed()


# ---------------------------------------------------------------------------------------------------- the two sides


@pytest.fixture
def sides():
    """A student's namespace and a judge's, joined by a link that carries only bytes."""
    student = notebook(
        NORM
        + "import tokenizers\n"
        + "def double(x): return x * 2\n"
        + "def apply(f, x): return f(x)\n"
        + "def fail(kind): raise {'value': ValueError('mine'),"
        " 'unicode': UnicodeDecodeError('utf-8', b'', 0, 1, 'odd'),"
        " 'own': type('Own', (Exception,), {})('mine'), 'key': KeyError('k'), 'exit': SystemExit(0)}[kind]\n"
        + "def count():\n    yield 1\n    yield torch.ones(2)\n"
        + "def cheat(): return tokenizers.Tokenizer\n"
        + "class Counter:\n"
        + "    def __init__(self, n=0): self.n = n\n"
        + "    def add(self, k): self.n += k; return self\n"
        + "    def total(self): return self.n\n"
    )
    namespace = notebook()

    def send(request: bytes) -> bytes:
        assert type(request) is bytes
        reply = Student.handle(side, request)
        assert type(reply) is bytes
        return reply

    side = Student(student)
    link = Link(send, namespace)
    for name in ("Norm", "double", "apply", "fail", "count", "cheat", "Counter"):
        namespace[name] = Remote(link, name)
    return namespace, side


def test_functions_are_called_on_the_other_side(sides):
    namespace, _ = sides
    assert namespace["double"]([1, "a"]) == [1, "a", 1, "a"]
    assert torch.equal(namespace["double"](x=X), X * 2)


def test_objects_stay_there_and_can_be_passed_back(sides):
    namespace, side = sides
    counter = namespace["Counter"](n=1)
    assert isinstance(counter, Remote)
    assert counter.add(2).add(3).total() == 6
    assert len(side.held) == 1
    assert namespace["apply"](namespace["double"], 4) == 8
    assert namespace["apply"](counter.add, 1).total() == 7
    layer = namespace["Norm"]()
    layer.load_state_dict({"weight": torch.full((4,), 3.0)})
    assert torch.equal(layer(X), X * 3)
    assert sum(p.numel() for p in layer.parameters()) == 4


def test_generators_are_stepped_there(sides):
    namespace, _ = sides
    assert [type(item) for item in namespace["count"]()] == [int, torch.Tensor]


@pytest.mark.parametrize(
    ("kind", "expected", "message"),
    [("value", ValueError, "mine"), ("unicode", ValueError, "odd"), ("own", StudentError, "Own: mine"),
     ("key", KeyError, "k"), ("exit", StudentError, "SystemExit: 0")],
)  # fmt: skip
def test_exceptions_come_over(sides, kind, expected, message):
    namespace, _ = sides
    with pytest.raises(expected, match=message):
        namespace["fail"](kind)


def test_a_missing_name_is_a_name_error(sides):
    namespace, _ = sides
    with pytest.raises(NameError, match="name 'other' is not defined"):
        Remote(namespace["double"]._link, "other")(1)


def test_answers_work_across_the_link(sides, reference):
    namespace, side = sides
    with pytest.raises(ReplacedCall, match=r"^Norm calls"):
        judged(namespace, "Norm().early(X)", replaces={"Norm": LAYER_NORM})
    with pytest.raises(ReplacedCall, match=r"^cheat calls tokenizers"):
        judged(namespace, "cheat()", replaces={"cheat": ["tokenizers"]})
    namespace["part"] = Remote(namespace["double"]._link, "part")
    exec("def part(): return 'own'", side.namespace)
    judged(namespace, "assert part() == 'reference', 'm'", lends=("part",))
    assert namespace["part"]() == "own"
    assert side.sessions == []
    judged(namespace, "F.layer_norm(X, (4,))", replaces={"Norm": LAYER_NORM})


def test_what_a_test_failed_with_outlives_a_student_who_is_gone(sides):
    namespace, _ = sides
    link = namespace["double"]._link

    def gone(request: bytes) -> bytes:
        raise ConnectionError("gone")

    namespace["leave"] = lambda: setattr(link, "send", gone)
    with pytest.raises(AssertionError, match="first"):
        judged(namespace, "leave(); assert False, 'first'")
    with pytest.raises(ConnectionError):
        judged(namespace, "pass")


@pytest.mark.parametrize("reply", [b"", b"junk", b"\x02\0\0\0\0\0\0\0[]", b"\x01\0\0\0\0\0\0\x001"])
def test_a_reply_that_is_none_is_an_error_of_the_students(reply):
    link = Link(lambda request: reply, {})
    with pytest.raises((StudentError, ValueError)):
        Remote(link, "f")()


@pytest.mark.parametrize(
    "request_", [b"", b"junk", b"\x02\0\0\0\0\0\0\0[]", b"\x0f\0\0\0\0\0\0\0" + b'["__init__", 1]']
)
def test_a_request_that_is_none_gets_an_error_for_a_reply(request_):
    reply = Student({}).handle(request_)
    with pytest.raises((StudentError, ValueError, TypeError, AttributeError)):
        Remote(Link(lambda _: reply, {}), "f")()


def test_early_names_of_this_module_are_what_they_were():
    assert layer_norm is F.layer_norm
    assert functools.partial(nn.LayerNorm, 4)()(X).shape == X.shape


def test_a_large_list_of_the_notebooks_is_not_gone_through_before_each_test():
    class Item:
        looked_at = 0

        def __getattribute__(self, name):
            Item.looked_at += 1
            return object.__getattribute__(self, name)

    namespace = notebook("def f(x): return x", rows=[Item()] * 50_000, table=dict.fromkeys(range(50_000), Item()))
    judged(namespace, "assert f(1) == 1, 'm'", replaces={"f": ["tokenizers"]})
    assert Item.looked_at < 20_000


def test_a_dead_weak_reference_in_the_notebook_harms_nothing():
    import weakref

    namespace = notebook("def f(x): return x", gone=weakref.proxy(nn.Linear(1, 1)), rows=[weakref.proxy(set())])
    judged(namespace, "assert f(1) == 1, 'm'", replaces={"f": ["tokenizers"]})
