"""Changes of the tokenizer's reference answers that leave them the same function."""

from course.banks.equivalent import listing

same, uses = listing(__name__)


def drawn_text(draw) -> str:
    return "".join(
        draw.choices(["a", "aa", "ab", " the", " ", "\n", "'s", "7", "é", "東京", "!", "🙂"], k=draw.randrange(12))
    )


@uses("pre-tokenize")
def pre_tokenize(of, draw):
    text = drawn_text(draw)
    return of.pre_tokenize(text if draw.random() < 0.8 else text.encode())


same(
    "pre-tokenize",
    "if not isinstance(text, str): "
    'raise TypeError(f"text must be a str, not {type(text).__name__}; decode bytes first") -> pass',
    why="`regex` itself raises a TypeError for what is not a str; only the words differ",
)


@uses("pop-best")
def pop_best(of, draw):
    pairs = list({(draw.randrange(9), draw.randrange(9)) for _ in range(draw.randrange(9))})
    counts = {pair: draw.randrange(4) for pair in pairs if draw.random() < 0.8}
    heap = sorted((-max(1, counts.get(pair, 0)) - draw.randrange(3), pair) for pair in pairs)
    return of.pop_best(heap, counts), heap, counts


same("pop-best", "return None -> pass", why="a function that ends without return gives None")


@uses("encode-chunk")
def encode_chunk(of, draw):
    new_ids = {}
    for _ in range(draw.randrange(8)):
        pair = (draw.choice([71, 64, 220, *new_ids.values()]), draw.choice([71, 64, 220, *new_ids.values()]))
        new_ids.setdefault(pair, 256 + len(new_ids))
    return of.encode_chunk("".join(draw.choices("ha !", k=draw.randrange(12))), new_ids)


same(
    "encode-chunk",
    "unknown = 256 + len(new_ids) -> unknown = 257 + len(new_ids)",
    why="the rank of an unknown pair need only lie above that of all known ones",
)


@uses("encode-with-special")
def encode_with_special(of, draw):
    special = list({"".join(draw.choices("<a>", k=draw.randrange(1, 4))) for _ in range(draw.randrange(5))})
    merges = [(71, 64), (64, 64), (256, 257)]
    return of.encode_with_special("".join(draw.choices("<a>h ", k=draw.randrange(15))), merges, sorted(special))


same(
    "encode-with-special",
    "longest_first = sorted(special, key=len, reverse=True) -> longest_first = sorted(special, reverse=True)",
    why="tokens that begin at one place begin alike, and of these the longer one also comes last in the alphabet",
)
