"""Answers that call the very library they are to write, by every road to it."""

from tests.attacks import POINTS
from tests.attacks.attack import SOLVED, Attack, disturbs, filled, full, saves

REST = full("distance", "scale", "attend")
LISTS = full("softmax", "scale", "attend")
SWITCHED_OFF = "torch's own functions lie in the student's process, where a guard can be switched off"


def softmaxes(name: str, tries: str, answer: str, first: str = "", **expected) -> Attack:
    expected = {"earns": REST, "says": ("softmax calls torch",)} | expected
    return disturbs(name, tries, first=first, answers={"softmax": answer}, **expected)


def distances(name: str, tries: str, answer: str, first: str = "", **expected) -> Attack:
    expected = {"earns": LISTS} | expected
    return disturbs(name, tries, first=first, answers={"distance": answer}, **expected)


ATTACKS = [
    softmaxes("calls-torch", "calls torch.softmax", "def softmax(x):\n    return torch.softmax(x, -1)"),
    softmaxes(
        "calls-an-alias",
        "calls the tensor's method, kept as a default before the guard stands",
        "def softmax(x, call=torch.Tensor.softmax):\n    return call(x, -1)",
    ),
    softmaxes("is-the-module", "is a torch module that does it", "softmax = torch.nn.Softmax(-1)"),
    softmaxes(
        "through-a-closure",
        "calls torch's function through a partial in a closure in a list",
        "softmax = [functools.partial(lambda call, x: call(x, dim=-1), torch.nn.functional.softmax)][0]",
        "import functools",
    ),
    softmaxes(
        "in-a-thread",
        "calls torch.softmax in another thread, where the guard does not stand",
        """
        def softmax(x):
            with concurrent.futures.ThreadPoolExecutor() as pool:
                return pool.submit(torch.softmax, x, -1).result()
        """,
        "import concurrent.futures",
        says=(),
        unguarded=SWITCHED_OFF,
        gets=POINTS,
    ),
    softmaxes(
        "without-torch-function",
        "switches off the dispatch that the guard listens to",
        "def softmax(x):\n    with torch._C.DisableTorchFunction():\n        return torch.softmax(x, -1)",
        says=(),
        unguarded=SWITCHED_OFF,
        gets=POINTS,
    ),
    softmaxes(
        "below-torch-function",
        "calls the operator below torch's Python functions",
        "def softmax(x):\n    return torch.ops.aten._softmax(x, -1, False)",
        says=(),
        unguarded=SWITCHED_OFF,
        gets=POINTS,
    ),
    softmaxes(
        "guard-switched-off",
        "makes labkit.testing.refusals do nothing",
        "def softmax(x):\n    return torch.softmax(x, -1)",
        """
        import labkit.testing.refusals
        labkit.testing.refusals.Guard.__enter__ = labkit.testing.refusals.Guard.__exit__ = lambda self, *error: None
        """,
        says=(),
        unguarded=SWITCHED_OFF,
        gets=POINTS,
    ),
    softmaxes(
        "session-switched-off",
        "makes labkit.testing.session do nothing",
        "def softmax(x):\n    return torch.softmax(x, -1)",
        "from labkit.testing import session\nsession.Session.begin = session.Session.end = lambda self: None",
        says=(),
        unguarded=SWITCHED_OFF,
        gets=POINTS,
    ),
    distances(
        "imports-the-library",
        "imports the library in its cell",
        "from rapidfuzz.distance.Levenshtein import distance",
    ),
    distances(
        "imports-in-the-body",
        "imports the library in the function, by importlib",
        "def distance(a, b):\n    return importlib.import_module('rapidfuzz.distance').Levenshtein.distance(a, b)",
        "import importlib",
        says=("rapidfuzz",),
    ),
    distances(
        "caches-the-module",
        "keeps the library from sys.modules before any test",
        "def distance(a, b):\n    return cached['rapidfuzz.distance'].Levenshtein.distance(a, b)",
        "import sys\ntry:\n    import rapidfuzz.distance\nexcept Exception:\n    pass\ncached = dict(sys.modules)",
    ),
    distances(
        "library-in-a-child",
        "asks a fresh Python that has the library",
        """
        def distance(a, b):
            code = "import sys, json; from rapidfuzz.distance import Levenshtein as L; a, b = json.loads(sys.argv[1])"
            command = [sys.executable, "-I", "-c", code + "; print(L.distance(a, b))", json.dumps([a, b])]
            done = subprocess.run(command, capture_output=True, text=True)
            return int(done.stdout)
        """,
        "import json, subprocess, sys",
    ),
    distances(
        "library-on-disk",
        "looks for the library's files on the whole disk and loads them from there",
        "def distance(a, b):\n    return found.Levenshtein.distance(a, b)",
        """
        import importlib, os, sys
        places = [os.path.dirname(p) for p, d, f in os.walk("/") if os.path.basename(p) == "rapidfuzz" and f]
        sys.path[:0] = places
        sys.meta_path[:] = [m for m in sys.meta_path if getattr(m, "__module__", m.__name__).startswith("_frozen")]
        importlib.invalidate_caches()
        for name in [n for n in sys.modules if n.startswith("rapidfuzz")]:
            del sys.modules[name]
        found = importlib.import_module("rapidfuzz.distance")
        """,
    ),
    distances(
        "library-by-its-binary",
        "loads the library's compiled part by ctypes and by the import system's own loader",
        "def distance(a, b):\n    return binary.levenshtein_distance(a, b)",
        """
        import ctypes, glob, importlib.machinery, importlib.util, sys
        patterns = [p + "/**/metrics_cpp*.so" for p in {*sys.path, sys.prefix, "/usr", "/opt", "/home", "/root"} if p]
        files = [f for p in patterns for f in glob.glob(p, recursive=True)]
        ctypes.CDLL(files[0])
        loader = importlib.machinery.ExtensionFileLoader("metrics_cpp", files[0])
        binary = importlib.util.module_from_spec(importlib.util.spec_from_loader("metrics_cpp", loader))
        loader.exec_module(binary)
        """,
    ),
    Attack(
        "brings-the-library",
        "hands in a folder with the library's name",
        saves(
            filled(SOLVED | {"distance": "from rapidfuzz import distance"}),
            {"rapidfuzz/__init__.py": "def distance(a, b):\n    return 2\n"},
        ),
        LISTS,
        says=("Your file rapidfuzz/__init__.py has the name of a library, rapidfuzz,",),
    ),
    disturbs(
        "is-the-library-class",
        "makes the class a function that returns torch's module",
        answers={"scale": "def Scale(width, eps=1e-5):\n    return torch.nn.RMSNorm(width, eps=eps)"},
        earns=full("softmax", "distance", "attend"),
        says=("Scale calls torch.nn.RMSNorm",),
    ),
    disturbs(
        "inherits-the-library-class",
        "makes the class a subclass of torch's",
        answers={"scale": "class Scale(torch.nn.RMSNorm):\n    pass"},
        earns=full("softmax", "distance", "attend"),
        says=("torch.nn.RMSNorm",),
    ),
    softmaxes(
        "imports-the-solution",
        "imports the reference from the course's own package",
        "from solutions.attacked import softmax",
        says=(),
    ),
    softmaxes(
        "finds-the-solution",
        "looks for the reference's file on the whole disk",
        "exec(compile(text, 'found', 'exec'), globals())",
        """
        import os
        paths = [os.path.join(p, n) for p, d, f in os.walk("/") for n in f if n in ("attacked.py", "attacked.ipynb")]
        text = open(paths[0]).read()
        """,
        says=(),
        never=("FOUND",),
    ),
]
