"""Answers that are no honest values: keyed to known inputs, equal to everything, absurd in size or shape."""

from tests.attacks.attack import disturbs, forges, full

SAME = """
class Same:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __bool__(self): return True
    def __len__(self): return 1
    def __lt__(self, other): return True
    __gt__ = __le__ = __ge__ = __contains__ = __lt__
    def __getattr__(self, name): return self
    def __call__(self, *a, **k): return self
    def __iter__(self): return iter([self])
    def __float__(self): return 0.0
    def __index__(self): return 2
    def __torch_function__(self, *a, **k): return True
"""
BIG = "a value of"

ATTACKS = [
    forges(
        "keyed-to-visible-inputs",
        "knows the visible tests' inputs and their results, and nothing else",
        "",
        answers={
            "softmax": "def softmax(x):\n    return torch.tensor([.5, .5]) if x.shape == (2,) else x.clone()",
            "distance": "def distance(a, b):\n    return 2 if a == ['the', 'cat', 'sat'] else 3 * (a[:1] == ['k'])",
            "attend": "def attend(q, k, v):\n    return v.expand(3, 3) if len(k) == 1 else v",
        },
        earns={"softmax": 1, "distance": 1, "attend": 1},
    ),
    forges(
        "always-equal",
        "answers with an object that equals everything and is true",
        SAME,
        answers={
            "softmax": "def softmax(x):\n    return Same()",
            "distance": "def distance(a, b):\n    return Same()",
            "scale": "Scale = Same()",
            "attend": "attend = Same()",
        },
        says=("an object that is no data",),
    ),
    forges(
        "tensor-subclass",
        "answers with a tensor whose comparisons give True",
        """
        class Agreeing(torch.Tensor):
            @classmethod
            def __torch_function__(cls, func, types, args=(), kwargs=None):
                if func.__name__ in ("allclose", "equal"):
                    return True
                return super().__torch_function__(func, types, args, kwargs or {})
        """,
        answers={"softmax": "def softmax(x):\n    return x.clone().as_subclass(Agreeing)"},
        says=("do the results sum to 1?",),
    ),
    forges(
        "number-subclass",
        "answers with an int that equals every int",
        """
        class Any(int):
            def __eq__(self, other): return True
            def __ne__(self, other): return False
            __hash__ = int.__hash__
        """,
        answers={"distance": "def distance(a, b):\n    return Any(0)"},
        says=("yours gives 0",),
    ),
    disturbs(
        "changes-its-input",
        "writes the result into the argument, so that a comparison with it holds",
        answers={
            "softmax": """
            def softmax(x):
                e = (x - x.max(-1, keepdim=True).values).exp()
                return x.copy_(e / e.sum(-1, keepdim=True))
            """
        },
        earns={"softmax": 1, **full("distance", "scale", "attend", "integration")},
        says=("the input was changed in place",),
    ),
    forges(
        "changes-inputs-of-others",
        "sets every argument to zero, so that expected and given are both zero",
        "",
        answers={
            "softmax": "def softmax(x):\n    return x.zero_()",
            "attend": "def attend(q, k, v):\n    q.zero_(); k.zero_()\n    return v.zero_()[:1].expand(len(q), -1)",
        },
    ),
    forges(
        "not-a-number",
        "answers with NaN and infinity",
        "",
        answers={
            "softmax": "def softmax(x):\n    return x * float('nan')",
            "distance": "def distance(a, b):\n    return float('nan')",
            "attend": "def attend(q, k, v):\n    return v[:1].expand(len(q), -1) * float('inf')",
        },
    ),
    disturbs(
        "gigantic-tensor",
        "answers with a tensor of 8 GB that takes 4 bytes until it is copied",
        answers={"softmax": "def softmax(x):\n    return torch.zeros(1).expand(2**31)"},
        earns=full("distance", "scale", "attend"),
    ),
    disturbs(
        "large-tensor",
        "answers with a tensor of 400 MB",
        answers={"softmax": "def softmax(x):\n    return torch.zeros(100 * 2**20)"},
        earns=full("distance", "scale", "attend"),
    ),
    disturbs(
        "deep-list",
        "answers with a list inside a list, a hundred thousand times, and with one that holds itself",
        answers={
            "distance": """
            def distance(a, b):
                inner = outer = []
                for _ in range(100_000):
                    outer = [outer]
                if len(a) == 3:
                    return outer
                inner.append(inner)
                return inner
            """
        },
        earns=full("softmax", "scale", "attend"),
        says=("nested deeper than",),
    ),
    disturbs(
        "long-list",
        "answers with a list of thirty million items",
        answers={"distance": "def distance(a, b):\n    return [None] * 30_000_000"},
        earns=full("softmax", "scale", "attend"),
        says=("items",),
    ),
    disturbs(
        "endless-generator",
        "answers with generators that never end",
        answers={"distance": "def distance(a, b):\n    while True:\n        yield 2"},
        earns=full("softmax", "scale", "attend"),
        says=("yours gives <generator object>",),
    ),
    disturbs(
        "long-exception",
        "raises an exception with a text of 300 MB",
        answers={"distance": "def distance(a, b):\n    raise ValueError('x' * 300_000_000)"},
        earns=full("softmax", "scale", "attend"),
        says=("ValueError",),
    ),
    disturbs(
        "exception-that-raises",
        "raises an exception that cannot be printed",
        answers={
            "distance": """
            class Odd(Exception):
                def __str__(self): raise self
                __repr__ = __str__
            def distance(a, b):
                raise Odd()
            """
        },
        earns=full("softmax", "scale", "attend"),
    ),
    disturbs(
        "tells-hidden-inputs",
        "raises and prints what the hidden tests pass in, so that the feedback tells it",
        answers={
            "softmax": """
            def softmax(x):
                if x.dim() == 3 or x.shape == (3, 4):
                    print('LE' 'AK', x)
                    raise ValueError('LE' f'AK {x}')  # the line is quoted to the student, what it says is not
                return x.exp() / x.exp().sum(-1, keepdim=True)
            """,
            "distance": """
            def distance(a, b):
                return 2 if len(b) == 4 else 3 if a[:1] == ['k'] else 'LE' f'AK {a} {b}'
            """,
        },
        earns={"softmax": 1, "distance": 1, **full("scale", "attend", "integration")},
        never=("LEAK",),
    ),
]
