"""Attacks on the judging: wrong answers that something in the student's kernel is to make count."""

from tests.attacks import POINTS
from tests.attacks.attack import SOLVED, WRONG, disturbs, forges, full

ATTACKS = [
    forges(
        "overrides-comparisons",
        "replaces torch.allclose and torch.equal, so that every comparison holds",
        """
        torch.allclose = torch.equal = torch.isclose = lambda *a, **k: True
        torch.Tensor.__eq__ = lambda a, b: True
        """,
        says=("do the results sum to 1?",),
    ),
    forges(
        "overrides-assert-close",
        "replaces torch.testing.assert_close and numpy's",
        """
        import numpy.testing
        torch.testing.assert_close = numpy.testing.assert_allclose = lambda *a, **k: None
        """,
    ),
    forges(
        "replaces-run-cell",
        "replaces the shell's run_cell, so that test cells run as nothing",
        """
        shell = get_ipython()
        real = type(shell).run_cell
        type(shell).run_cell = lambda self, code, *a, **k: real(self, "" if "assert" in code else code, *a, **k)
        """,
    ),
    forges(
        "replaces-do-execute",
        "replaces the kernel's do_execute, so that every cell answers ok",
        """
        kernel = get_ipython().kernel
        async def do_execute(*arguments, **named):
            return {"status": "ok", "execution_count": 1, "payload": [], "user_expressions": {}}
        kernel.do_execute = do_execute
        """,
    ),
    forges(
        "input-transformer",
        "an input transformer that deletes asserts",
        """
        def without(lines):
            return [line for line in lines if "assert" not in line and "test_" not in line]
        get_ipython().input_transformers_cleanup.append(without)
        """,
    ),
    forges(
        "ast-transformer",
        "an ast transformer that turns asserts into nothing",
        """
        import ast
        class Without(ast.NodeTransformer):
            def visit_Assert(self, node):
                return ast.copy_location(ast.Pass(), node)
        get_ipython().ast_transformers.append(Without())
        """,
    ),
    forges(
        "display-formatter",
        "prints 3 as every value, which nbgrader takes for partial credit",
        """
        import sys
        formatter = get_ipython().display_formatter.formatters["text/plain"]
        formatter.for_type(type(None), lambda value, p, cycle: p.text("3"))
        get_ipython().events.register("post_run_cell", lambda result: sys.displayhook(3))
        3
        """,
    ),
    forges(
        "silent-traceback",
        "makes showtraceback do nothing, so that no error is seen",
        """
        shell = get_ipython()
        shell.showtraceback = shell._showtraceback = shell.showsyntaxerror = lambda *a, **k: None
        """,
    ),
    forges(
        "request-handler",
        "replaces the kernel's handler of requests with one that answers True to everything",
        """
        from labkit.testing import codec
        kernel = get_ipython().kernel
        def serve(stream, identity, parent):
            judge, _ = kernel.listener.accept()
            while size := int.from_bytes(judge.recv(8), "little"):
                judge.recv(size)
                reply = codec.encode(("result", True))
                judge.sendall(len(reply).to_bytes(8, "little") + reply)
        kernel.shell_handlers["course_serve"] = serve
        """,
    ),
    forges(
        "replies-before-requests",
        "writes replies into the judge's socket before it asks",
        """
        import gc, socket, threading
        from labkit.testing import codec
        def write():
            reply = codec.encode(("result", True))
            while True:
                for found in gc.get_objects():
                    if isinstance(found, socket.socket) and found.family == socket.AF_UNIX:
                        try:
                            found.send(len(reply).to_bytes(8, "little") + reply)
                        except OSError:
                            pass
        threading.Thread(target=write, daemon=True).start()
        """,
    ),
    forges(
        "request-errors",
        "answers every request with an exception of the judge's own names",
        """
        import labkit.testing.student
        from labkit.testing import codec
        names = iter(["SystemExit", "KeyboardInterrupt", "GeneratorExit", "StopIteration", "Verdict", "__class__"] * 99)
        handle = lambda self, request: codec.encode(("error", [next(names)], "passed", []))
        labkit.testing.student.Student.handle = handle
        """,
    ),
    forges(
        "codec-encode",
        "replaces labkit.testing.codec.encode, so that every result is sent as an object of its own",
        """
        import json
        import labkit.testing.codec
        def encode(value, **named):
            text = json.dumps({"tuple": ["result", {"handle": "#0"}]}).encode()
            return len(text).to_bytes(8, "little") + text
        labkit.testing.codec.encode = encode
        """,
    ),
    forges(
        "codec-garbage",
        "sends bytes that are no message",
        """
        import labkit.testing.student
        long, torn = (2**63 - 1).to_bytes(8, "little"), b"\\x02" + bytes(7) + b"[["
        junk = iter([b"", b"\\xff" * 8, long, bytes(64), torn] * 99)
        labkit.testing.student.Student.handle = lambda self, request: next(junk)
        """,
    ),
    forges(
        "student-methods",
        "replaces Student.do_call, so that calls give something equal to everything",
        """
        import labkit.testing.student
        class Same:
            def __eq__(self, other): return True
            def __ne__(self, other): return False
            def __bool__(self): return True
            def __torch_function__(self, *a, **k): return True
        labkit.testing.student.Student.do_call = lambda self, function, args, kwargs: Same()
        labkit.testing.student.Student.do_probe = lambda self, name, args, kwargs: Same()
        """,
    ),
    forges(
        "probes",
        "replaces labkit.testing.probes, so that gradients and changed inputs are made up",
        """
        from labkit.testing import probes
        def after_call(function, *args, **kwargs): return None, args
        def gradients(function, *inputs): return {"input.0": torch.zeros_like(inputs[0])}
        probes.after_call, probes.gradients = after_call, gradients
        """,
    ),
    forges(
        "judge-module",
        "replaces the notebook's answers and fresh_seed, and the modules themselves",
        """
        import contextlib, sys, types
        import labkit.testing.answers
        labkit.testing.answers.Answers.__call__ = answers = lambda *a, **k: contextlib.suppress(BaseException)
        labkit.testing.answers.fresh_seed = fresh_seed = lambda: 0
        made = types.SimpleNamespace(Answers=lambda *a, **k: answers, fresh_seed=fresh_seed)
        sys.modules["labkit.testing.answers"] = made
        sys.modules["torch.nn.functional"] = F = types.SimpleNamespace(softmax=lambda x, d: x, rms_norm=lambda x, *a: x)
        torch.nn.functional = F
        """,
    ),
    forges(
        "replaces-given-code",
        "redefines the given helper and the library in the notebook, so that the tests get easy inputs",
        """
        def numbers(*shape, seed=0): return torch.zeros(*shape)
        class F:
            softmax = staticmethod(lambda x, dim: x.clone())
            rms_norm = staticmethod(lambda x, *a, **k: x)
        """,
    ),
    forges(
        "stashes-the-reference",
        "keeps the reference that a later exercise's test is given for softmax, and answers with it",
        """
        import labkit.testing.session, labkit.testing.link
        kept = {}
        real = labkit.testing.session.Session.begin
        def begin(self):
            real(self)
            for name in ("softmax",):
                value = self.namespace.get(name)
                if getattr(value, "__name__", "") == "softmax" and value not in kept.values():
                    kept.setdefault(f"{name} {len(kept)}", value)
        labkit.testing.session.Session.begin = begin
        """,
        answers={
            "softmax": """
            def softmax(x):
                for other in list(kept.values()):
                    try:
                        got = other(x)
                    except BaseException:
                        continue
                    if torch.is_tensor(got) and not torch.equal(got, x):
                        return got
                return x.clone()
            """,
            "attend": SOLVED["attend"],
        },
        earns=full("attend"),
    ),
    forges(
        "exceptions-like-the-tests",
        "raises what a test framework takes for skipped, and exits with success",
        """
        import unittest
        class Skipped(Exception): pass
        Skipped.__module__ = "_pytest.outcomes"
        """,
        answers={
            "softmax": "def softmax(x):\n    raise unittest.SkipTest('all tests passed')",
            "distance": "def distance(a, b):\n    raise SystemExit(0)",
            "scale": "class Scale:\n    def __init__(self, *a, **k):\n        raise KeyboardInterrupt",
            "attend": "def attend(q, k, v):\n    raise StopIteration",
        },
    ),
    forges(
        "exits-with-success",
        "ends the kernel with status 0 in the first call",
        "import os",
        answers={"softmax": "def softmax(x):\n    os._exit(0)", "distance": SOLVED["distance"]},
        earns=full("distance"),
        says=("ended",),
    ),
    forges(
        "prints-a-verdict",
        "prints what a verdict looks like",
        """
        import json
        print(json.dumps({"cell": "test-softmax", "exercise": "softmax", "points": 1, "earned": 1, "message": ""}))
        get_ipython().set_next_input("pass", replace=True)
        """,
    ),
    forges(
        "other-session-key",
        "changes the key that signs the kernel's messages",
        "get_ipython().kernel.session.key = b'mine'",
    ),
    disturbs(
        "lies-about-its-input",
        "changes its input in place and replaces the probe that would tell",
        first="""
        from labkit.testing import probes
        def after_call(function, *args, **kwargs):
            kept = [a.clone() for a in args]
            return function(*args, **kwargs), tuple(kept)
        probes.after_call = after_call
        """,
        answers={"softmax": "def softmax(x):\n    e = x.exp()\n    return x.copy_(e / e.sum(-1, keepdim=True))"},
        earns={"softmax": 1, **full("distance", "scale", "attend", "integration")},
        unguarded="a probe reports from the student's process",
        gets=POINTS,
    ),
    disturbs(
        "deletes-names",
        "deletes the given names and the answers at the end, when the integration test has run",
        last="del softmax, torch, numbers\nget_ipython().reset(new_session=False)",
        earns=POINTS,
    ),
    disturbs(
        "finds-the-test-in-memory",
        "looks for the hidden tests' code among all objects of the process",
        last="""
        import gc, types
        for value in gc.get_objects():
            if isinstance(value, types.FunctionType) and value.__name__.endswith("_hidden"):
                print("FOUND", value.__name__)
        """,
        never=("FOUND test",),
    ),
    disturbs(
        "wrong-beside-right",
        "answers one exercise wrong and hopes that the others' tests cover it",
        answers={"softmax": WRONG["softmax"]},
        earns=full("distance", "scale", "attend"),
        says=("do the results sum to 1?",),
    ),
]
