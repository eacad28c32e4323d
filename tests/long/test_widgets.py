"""The controls in a real browser: the numbers are Python's, and they work in a static page and in JupyterLab."""

import base64
import json
import math
import os
import random
import re
import secrets
import socket
import subprocess
import sys
import time
import zlib
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict, astuple
from pathlib import Path

import nbformat
import pytest
import regex
import torch
from anywidget import AnyWidget
from playwright.sync_api import Error, expect

from labkit import checkpoint, corpus
from labkit.widgets.almanac_search import AlmanacSearch
from labkit.widgets.attention_heads import AttentionHeads
from labkit.widgets.model_control import ModelControl
from labkit.widgets.model_sizes import ModelSizes
from labkit.widgets.next_token import NextToken
from labkit.widgets.optimizer_path import OptimizerPath
from labkit.widgets.page import SHARED, script
from labkit.widgets.surprise import Surprise
from labkit.widgets.token_steps import TokenSteps
from labkit.worlds.almanac import Almanac
from solutions.generation import probabilities, write
from solutions.gpt import GPT, GPTConfig, attention_patterns, from_checkpoint
from solutions.language_model import guess_ranks, surprise, token_rows
from solutions.scale import (
    BESIROGLU,
    HOFFMANN,
    chinchilla_optimal,
    count_params,
    flops_per_token,
    kv_cache_bytes,
    parametric_loss,
    training_flops,
    training_memory,
)
from solutions.tokenizer import Tokenizer, decode, encode, pre_tokenize, train_bpe
from solutions.training import adamw_update, warmup_cosine
from tests.long.browser import chromium
from tests.support.controls import CONTROLS

pytestmark = pytest.mark.long

AXE = Path(__file__).parents[2] / "book" / "_vendor" / "test" / "axe.min.js"
TEXT = "The naïve method returns None; 日本語 and 12345 do not."
THEMES = {  # of the book, as far as a control reads them
    "light": {"background": "#fffdfa", "text-base": "#23262c", "text-muted": "#565b66", "border": "#e3ddd1"},
    "dark": {"background": "#15181d", "text-base": "#dedbd4", "text-muted": "#a3a7af", "border": "#363d48"},
}
PAGE = """<!doctype html>
<html lang="en" data-theme="{theme}" data-content_root="./" style="{style}; background: var(--pst-color-background)">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>A control</title>
<link rel="icon" href="data:,"><style>{css}</style></head>
<body><main><h1 style="color: var(--pst-color-text-base)">A control</h1><div id="control"></div></main>
<script type="module">
import widget from "./widget.js";
const state = {state};
const heard = {{}};
const model = {{
  get: (name) => state[name],
  set(name, value) {{ state[name] = value; for (const f of heard[`change:${{name}}`] ?? []) f(); }},
  save_changes() {{}},
  on: (name, f) => (heard[name] ??= []).push(f),
  off() {{}},
}};
widget.render({{ model, el: document.querySelector("#control"), signal: new AbortController().signal }});
</script></body></html>"""


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def merges():
    return train_bpe(corpus.text("train", max_bytes=300_000), 1024)


@pytest.fixture(scope="module")
def random_model(merges, tmp_path_factory):
    """A checkpoint with attention far from uniform: weights eight times GPT-2's initial ones."""
    config = GPTConfig(vocab_size=1024, context=128, d_model=64, n_head=4, n_layer=4)
    torch.manual_seed(0)
    model = GPT(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8) if parameter.ndim == 2 else parameter.add_(0.1 * torch.randn_like(parameter))
    path = tmp_path_factory.mktemp("checkpoint") / "random.safetensors"
    return checkpoint.save(path, model.state_dict(), asdict(config), merges=merges, record={}, dtype=torch.float16)


@contextmanager
def site(browser, widget, *, theme="light", width=760, model_file=None):
    """A page of a made-up site with one control, the way the built book shows it. No request leaves this process.

    Yields the page and the addresses it asked for; fails if the page logs an error.
    """
    own = set(widget.trait_names(sync=True)) - set(AnyWidget.class_trait_names()) - {"_esm", "_css", "_anywidget_id"}
    state = {name: getattr(widget, name) for name in own}
    style = "; ".join(f"--pst-color-{name}: {colour}" for name, colour in THEMES[theme].items())
    html = PAGE.format(theme=theme, style=style, css=widget._css, state=json.dumps(state))
    asked, errors = [], []

    def answer(route):
        path = route.request.url.removeprefix("http://book.test/")
        asked.append(path)
        if path == "":
            route.fulfill(body=html, content_type="text/html")
        elif path == "widget.js":
            route.fulfill(body=str(widget._esm), content_type="text/javascript")
        elif model_file and path == f"_static/{model_file.name}" and model_file.is_file():
            route.fulfill(body=model_file.read_bytes())
        else:
            route.fulfill(status=404)

    page = browser.new_page(viewport={"width": width, "height": 900})
    try:
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
        page.route("**/*", answer)
        page.goto("http://book.test/")
        page.locator(".lk").wait_for()
        yield page, asked
        assert [error for error in errors if "404" not in error] == []
    finally:
        page.close()


def captions(page):
    """The small line below each token of the row."""
    return page.locator(".lk-strip .lk-caption").all_text_contents()


def without_export(control):
    """A control's script as a plain one, whose functions a test can call."""
    return str(control._esm).replace("export default { render };", "")


def fifty_texts():
    """Fifty texts of every kind that a reader may type, the same each time."""
    draw = random.Random(0)
    prose = corpus.text("heldout")
    assigned = [c for c in map(chr, range(0x110000)) if not regex.match(r"[\p{Cn}\p{Cs}\p{Co}]", c)]
    kinds = [
        lambda: "".join(draw.choices(assigned, k=draw.randrange(1, 40))),
        lambda: "".join(
            draw.choices(" \t\n\r\x0b\x0c\x1c\x1f\x85\xa0\u200b\u2028\u3000\ufeffaé1.", k=draw.randrange(1, 60))
        ),
        lambda: "".join(draw.choices("🙂👩‍👩‍👧🏽🇫🇷❤️☕ ok", k=draw.randrange(1, 30))),
        lambda: "".join(
            draw.choices(["it's", "I'LL", "we'd", " 'tis", "'re", "ne’er", "--", "x_1", "３٣", " ", "\n"], k=20)
        ),
        lambda: corpus.source_code(2000)[(start := draw.randrange(1500)) : start + draw.randrange(1, 400)],
        lambda: prose[(start := draw.randrange(len(prose))) : start + draw.randrange(1, 300)],
    ]
    whole = [
        "",
        " ",
        "\n",
        "a",
        "a" * 700,
        " " * 300,
        prose[:5000],
        "\ud800 alone \udfff",
        "日本語" * 50,
        "\x00\x7f\ufffd",
    ]
    return whole + [kinds[i % len(kinds)]() for i in range(40)]


@pytest.mark.parametrize("name", ["random", "documentation-small"])
def test_fifty_texts_have_the_ids_and_the_attention_of_python(browser, random_model, name):
    path = random_model if name == "random" else checkpoint.find(name)
    model = from_checkpoint(path)
    tokenizer = Tokenizer(checkpoint.load(path).merges)
    page = browser.new_page()
    page.add_script_tag(content=script(SHARED / "tokenizer.js", SHARED / "gpt.js"))
    page.evaluate(
        """base64 => {
            window.gpt = makeGPT(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)).buffer);
            window.tokenizer = makeTokenizer(gpt.merges);
            // Playwright sends an array number by number, and base64 at once.
            window.packed = (numbers) => {
                const bytes = new Uint8Array(numbers.buffer);
                let text = "";
                for (const byte of bytes) text += String.fromCharCode(byte);
                return btoa(text);
            };
        }""",
        base64.b64encode(path.read_bytes()).decode(),
    )
    texts = fifty_texts()
    assert len(texts) == 50
    worst = 0.0
    for text in texts:
        # As JSON, since half a surrogate pair cannot be sent as it is.
        ids = page.evaluate("text => tokenizer.encode(JSON.parse(text))", json.dumps(text))
        assert ids == tokenizer.encode(re.sub("[\ud800-\udfff]", "\ufffd", text)), f"other ids for {text!r}"
        if not (ids := ids[-128:]):
            continue
        got = page.evaluate(
            """ids => {
                const { attention, logits } = gpt.forward(ids);
                return [...attention.flat(), logits].map(packed);
            }""",
            ids,
        )
        *heads, logits = (torch.frombuffer(bytearray(base64.b64decode(part)), dtype=torch.float32) for part in got)
        expected = attention_patterns(model, torch.tensor(ids))
        worst = max(worst, float((torch.stack(heads).view_as(expected) - expected).abs().max()))
        with torch.no_grad():
            expected = model(torch.tensor([ids]))[0]
        assert torch.allclose(logits.view_as(expected), expected, atol=1e-3), f"other logits for {text!r}"
    page.close()
    assert worst < 1e-3, f"attention is off by up to {worst}"


def test_every_character_is_cut_like_python_does(browser):
    """Letters, numbers, white space and the rest, over all of Unicode, but for what only one side's tables know."""
    kind = {(3, 1): "L", (1, 2, 1): "N", (1, 3): "o"}
    codes = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    expected = "".join(
        kind.get(tuple(map(len, pre_tokenize(f"a{chr(code)}{chr(code)}."))), "s") for code in codes if code != ord("'")
    )
    page = browser.new_page()
    page.add_script_tag(content=script(SHARED / "tokenizer.js"))
    different = page.evaluate(
        """expected => {
            const kinds = { "3,1": "L", "1,2,1": "N", "1,3": "o" };
            const found = [];
            let at = 0;
            for (let code = 0; code < 0x110000; code++) {
                if ((code >= 0xD800 && code < 0xE000) || code === 39) continue;
                const c = String.fromCodePoint(code);
                const lengths = preTokenize(`a${c}${c}.`).map((chunk) => [...chunk].length);
                if ((kinds[lengths] ?? "s") !== expected[at++] && !/\\p{Cn}/u.test(c)) found.push(code);
            }
            return found;
        }""",
        expected,
    )
    page.close()
    surprising = [code for code in different if not regex.match(r"\p{Cn}", chr(code))]
    assert not surprising, [f"U+{code:04X}" for code in surprising]


def test_token_steps_from_bytes_to_tokens(browser, merges):
    with site(browser, TokenSteps(merges, TEXT)) as (page, asked):
        tokens = list(map(str, encode(TEXT, merges)))
        assert captions(page) == tokens
        page.get_by_label("Type any text").fill("the returned values")
        tokens = list(map(str, encode("the returned values", merges)))
        assert captions(page) == tokens

        slider = page.get_by_role("slider")
        slider.focus()
        page.keyboard.press("Home")
        assert captions(page) == list(map(str, encode("the returned values", [])))
        count = int(slider.get_attribute("max"))
        for step in range(count):
            expect(page.locator(".lk-rule")).to_contain_text(f"{step} of {count} merges done")
            pairs = page.locator(".lk-left").count()
            before = len(captions(page))
            page.keyboard.press("ArrowRight")
            assert len(captions(page)) == before - pairs < before, "each step joins the pairs that it announced"
            assert page.locator(".lk-new").count() == pairs, "and marks what they became"
        assert captions(page) == tokens
        expect(page.locator(".lk-rule")).to_contain_text("these are the tokens")

        page.get_by_role("button", name="One merge back").press("Enter")
        page.get_by_role("button", name="One merge on").press("Enter")
        assert captions(page) == tokens
        expect(page.get_by_role("button", name="One merge on")).to_be_focused()

        page.get_by_role("button", name="Play").click()
        expect(page.get_by_role("button", name="Pause")).to_be_visible()
        expect(page.get_by_role("button", name="Play")).to_be_visible(timeout=15_000)
        assert captions(page) == tokens
        assert asked == ["", "widget.js"]


def test_token_steps_with_nothing_and_with_much(browser, merges):
    with site(browser, TokenSteps(merges, "")) as (page, _):
        expect(page.locator(".lk-strip")).to_contain_text("Type something")
        expect(page.locator(".lk-summary")).to_have_text("0 tokens0 characters0 bytes")
        assert page.get_by_role("slider").is_disabled()
        page.get_by_label("Type any text").fill("word, " * 1000)
        expect(page.locator(".lk-rule")).to_contain_text("(the first 400 are drawn)")
        expect(page.locator(".lk-summary")).to_contain_text("6,000 characters")


def test_token_steps_keeps_its_height_while_it_steps(browser, merges):
    with site(browser, TokenSteps(merges, TEXT * 3), width=360) as (page, _):
        page.get_by_role("slider").focus()
        page.keyboard.press("Home")
        heights = set()
        for _ in range(int(page.get_by_role("slider").get_attribute("max"))):
            page.keyboard.press("ArrowRight")
            heights.add(page.locator(".lk").evaluate("node => node.offsetHeight"))
        assert len(heights) == 1


def test_attention_heads_shows_the_weights_of_python(browser, random_model, merges):
    model = from_checkpoint(random_model)
    with site(browser, AttentionHeads(random_model, "the"), model_file=random_model) as (page, asked):
        page.locator(".lk-token").first.wait_for()
        page.get_by_label("Type any text").fill(TEXT)
        ids = encode(TEXT, merges)
        expect(page.locator(".lk-token")).to_have_count(len(ids))
        page.get_by_role("radio", name="Layer 0, head 0").focus()
        for key in ["ArrowDown", "ArrowDown", "ArrowRight"]:
            page.keyboard.press(key)
        expect(page.get_by_role("radio", name="Layer 2, head 1")).to_be_focused()
        expect(page.get_by_role("radio", name="Layer 2, head 1")).to_be_checked()
        page.get_by_role("option").last.focus()
        page.keyboard.press("ArrowLeft")

        query = len(ids) - 2
        pattern = attention_patterns(model, torch.tensor(ids))[2, 1, query]
        shown = captions(page)
        assert shown[-1] == "", "what comes later has no weight"
        assert [float(weight) for weight in shown[:-1]] == pytest.approx(pattern[: query + 1].tolist(), abs=1e-3)
        with torch.no_grad():
            likeliest = model(torch.tensor([ids]))[0, query].softmax(-1).max()
        first = page.locator(".lk-lists section").nth(1).locator(".lk-number").first
        assert float(first.text_content()) == pytest.approx(float(likeliest), abs=1e-3)

        page.locator(".lk-token").nth(3).hover()
        assert captions(page)[4:] == [""] * (len(ids) - 4), "the token under the mouse is the query"
        page.mouse.move(0, 0)
        assert captions(page) == shown, "the chosen token is the query again"
        assert asked == ["", "widget.js", "_static/random.safetensors"]


def test_attention_heads_reads_the_last_tokens_of_a_long_text(browser, random_model, merges):
    text = "It returns a new list. " * 60
    with site(browser, AttentionHeads(random_model, text), model_file=random_model) as (page, _):
        count = len(encode(text, merges))
        expect(page.get_by_role("status")).to_have_text(
            f"The text has {count} tokens. The model reads 128 at a time: these are the last 128."
        )
        expect(page.locator(".lk-token")).to_have_count(128)
        page.get_by_label("Type any text").fill("")
        expect(page.locator(".lk-strip")).to_contain_text("Type something")


def test_attention_heads_says_that_the_model_did_not_come(browser, random_model):
    missing = random_model.with_name("elsewhere.safetensors")
    widget = AttentionHeads(random_model)
    with site(browser, widget, model_file=missing) as (page, _):
        expect(page.get_by_role("status")).to_contain_text(
            "The model could not be loaded: the site answered 404 for random.safetensors."
        )
        page.unroute_all()
        page.route("**/*", lambda route: route.fulfill(body=random_model.read_bytes()))
        page.get_by_role("button", name="Try again").click()
        page.locator(".lk-token").first.wait_for()


GPT3 = {"n_layer": 96, "d_model": 12288, "n_head": 96, "vocab_size": 50257, "context": 2048, "n_tokens": 300 * 10**9}
TINY = {"n_layer": 2, "d_model": 12, "n_head": 3, "vocab_size": 37, "context": 11, "n_tokens": 1000}
LAWS = {"corrected": BESIROGLU, "as printed": HOFFMANN}


def model_sizes(sizes):
    return ModelSizes(sizes, {name: astuple(law) for name, law in LAWS.items()}, {"GPT-3": GPT3})


def values(page):
    """Every number that the control shows, by section and part, in full precision."""
    sections = page.locator(".lk-lists section").all()
    found = {}
    for section in sections:
        title = section.locator(".lk-title").evaluate("node => node.firstChild.textContent")
        for part in section.locator("[data-part]").all():
            numbers = [float(each.get_attribute("value")) for each in part.locator("data").all()]
            found[title, part.get_attribute("data-part")] = numbers
    return found


def expected(sizes):
    """The same by solutions.scale."""
    config = GPTConfig(**{name: value for name, value in sizes.items() if name != "n_tokens"})
    parts, memory, tokens = count_params(config), training_memory(config, 1), sizes["n_tokens"]
    found = {("Parameters", part): [size] for part, size in parts.items()}
    found |= {("Memory to train on one text", part): [size] for part, size in memory.items()}
    found["Work", "flops"] = [flops_per_token(config, config.context)]
    found["Work", "training"] = [training_flops(config, tokens)]
    found["Work", "cache"] = [kv_cache_bytes(config, config.context)]
    n_params = sum(parts.values())
    for name, law in LAWS.items():
        best = chinchilla_optimal(6 * n_params * tokens, law)
        title = f"Best for 6ND FLOPs, {name}"
        found[title, "best-params"], found[title, "best-tokens"] = [best[0]], [best[1]]
        found[title, "loss"] = [parametric_loss(n_params, tokens, law), parametric_loss(*best, law)]
    return found


def same(page, sizes):
    shown, wanted = values(page), expected(sizes)
    assert set(shown) == set(wanted)
    for key, numbers in wanted.items():
        assert shown[key] == pytest.approx(numbers, rel=1e-9), key


def test_model_sizes_shows_the_numbers_of_python(browser):
    with site(browser, model_sizes(TINY)) as (page, asked):
        same(page, TINY)
        page.get_by_role("button", name="GPT-3").click()
        same(page, GPT3)
        expect(page.get_by_role("status")).to_have_text("175 billion parameters, 1.72 training tokens for each.")
        page.get_by_label("Width", exact=True).fill("6,144")
        same(page, GPT3 | {"d_model": 6144})
        page.get_by_label("Layers, slider").focus()
        page.keyboard.press("Home")
        same(page, GPT3 | {"d_model": 6144, "n_layer": 1})
        page.keyboard.press("ArrowRight")
        same(page, GPT3 | {"d_model": 6144, "n_layer": 2})
        expect(page.get_by_label("Layers", exact=True)).to_have_value("2")
        page.get_by_label("Training tokens", exact=True).fill("1000000")
        same(page, GPT3 | {"d_model": 6144, "n_layer": 2, "n_tokens": 10**6})
        assert asked == ["", "widget.js"]


def test_model_sizes_says_what_cannot_be(browser):
    with site(browser, model_sizes(TINY)) as (page, _):
        page.get_by_label("Heads", exact=True).fill("5")
        expect(page.get_by_role("status")).to_have_text("5 heads cannot share a width of 12: choose a multiple of 5.")
        for nonsense in ("", "0", "-3", "2.5", "many"):
            page.get_by_label("Heads", exact=True).fill(nonsense)
            expect(page.get_by_role("status")).to_have_text("Heads must be a whole number of at least 1.")
        page.get_by_label("Heads", exact=True).fill("4")
        same(page, TINY | {"n_head": 4})


@pytest.mark.parametrize("width", [360, 1100])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_model_sizes_is_accessible_and_fits(browser, theme, width):
    with site(browser, model_sizes(GPT3), theme=theme, width=width) as (page, _):
        page.locator(".lk-lists section").first.wait_for()
        check_accessible(page)


SETTINGS = [(1.0, 1024, 1.0), (0.3, 1024, 1.0), (2.5, 40, 1.0), (1.0, 1024, 0.9), (1.7, 200, 0.35), (0.1, 1, 0.05)]


def test_the_next_tokens_probabilities_are_pythons(browser, random_model):
    page = browser.new_page()
    page.add_script_tag(content=script(SHARED / "probabilities.js"))
    model, generator = from_checkpoint(random_model), torch.Generator().manual_seed(0)
    for n in (1, 17, 128):
        with torch.no_grad():
            logits = model(torch.randint(1024, (1, n), generator=generator))[0, -1]
        for temperature, k, p in SETTINGS:
            got = page.evaluate(
                "([logits, settings]) => { const found = nextProbabilities(Float32Array.from(logits), settings);"
                " return { ...found, probabilities: [...found.probabilities], before: [...found.before] }; }",
                [logits.tolist(), {"temperature": temperature, "k": k, "p": p}],
            )
            want = probabilities(logits.double(), temperature, k, p)
            assert torch.tensor(got["probabilities"]).sub(want).abs().max() < 1e-6, (n, temperature, k, p)
            assert torch.tensor(got["before"]).sub(logits.double().softmax(-1)).abs().max() < 1e-6
            assert got["kept"] == (want > 0).sum().item()
            assert got["order"][0] == logits.argmax().item()
    page.close()


def test_tokens_are_drawn_by_their_probabilities(browser):
    page = browser.new_page()
    page.add_script_tag(content=script(SHARED / "probabilities.js"))
    logits = [0.0, 1.5, -1.0, 1.0, 0.5]
    counts = page.evaluate(
        """logits => {
            const found = nextProbabilities(Float32Array.from(logits), { temperature: 2, k: 4, p: 0.99 });
            const counts = logits.map(() => 0);
            for (let i = 0; i < 20000; i++) counts[drawToken(found, (i + 0.5) / 20000)]++;
            return [...counts, drawToken(found, 0), drawToken(found, 1 - 1e-16)];
        }""",
        logits,
    )
    page.close()
    want = probabilities(torch.tensor(logits).double(), 2.0, 4, 0.99)
    assert torch.tensor(counts[:5]) / 20000 == pytest.approx(want, abs=2e-4)
    assert counts[5:] == [1, 0], "the likeliest first, the unlikeliest that is kept last"


def test_next_token_writes_what_python_writes(browser, random_model, merges):
    model, prompt = from_checkpoint(random_model), "the values of a list"
    ids = encode(prompt, merges)
    want = write(model, torch.tensor([ids]), 21)[0].tolist()
    with site(browser, NextToken(random_model, prompt), model_file=random_model) as (page, asked):
        rows, field = page.locator(".lk-candidates li"), page.get_by_label("Type any text")
        rows.first.wait_for()
        with torch.no_grad():
            logits = model(torch.tensor([ids]))[0, -1]
        shown = [float(text) for text in rows.locator(".lk-number").all_text_contents()]
        assert shown == pytest.approx(logits.softmax(-1).topk(12).values.tolist(), abs=1e-3)

        page.get_by_label("Temperature").focus()
        for _ in range(5):
            page.keyboard.press("ArrowRight")
        page.get_by_label("Top-p").focus()
        for _ in range(30):
            page.keyboard.press("ArrowLeft")
        expected = probabilities(logits.double(), 1.5, None, 0.7)
        kept = int((expected > 0).sum())
        expect(page.locator(".lk-detail")).to_contain_text(f"{kept} token")
        shown = [0.0 if text == "cut" else float(text) for text in rows.locator(".lk-number").all_text_contents()]
        assert shown == pytest.approx(expected[logits.topk(12).indices].tolist(), abs=1e-3)

        # One candidate: what is drawn is what greedy writes. A token taken back can be drawn again.
        page.get_by_label("Top-k").focus()
        page.keyboard.press("Home")
        expect(page.locator(".lk-detail")).to_contain_text("1 token of 1,024 can come next")
        page.get_by_role("button", name="Draw a token").press("Enter")
        expect(field).to_have_value(decode(want[: len(ids) + 1], merges))
        expect(page.get_by_role("button", name="Draw a token")).to_be_focused()
        page.get_by_role("button", name="Take back").press("Enter")
        expect(field).to_have_value(prompt)
        page.get_by_role("button", name="Draw a token").click()
        page.get_by_role("button", name="Draw 20").click()
        expect(field).to_have_value(decode(want, merges))
        expect(page.get_by_role("button", name="Draw 20")).to_be_visible()

        field.fill("")
        expect(page.locator(".lk-detail")).to_contain_text("needs at least one token")
        expect(page.get_by_role("button", name="Draw a token")).to_have_attribute("aria-disabled", "true")
        page.get_by_role("button", name="Draw a token").click(force=True)
        expect(field).to_have_value("")
        assert asked == ["", "widget.js", "_static/random.safetensors"]


def test_next_token_reads_the_last_tokens_of_a_long_text(browser, random_model, merges):
    text = "It returns a new list. " * 60
    ids = encode(text, merges)
    with site(browser, NextToken(random_model, text), model_file=random_model) as (page, _):
        expect(page.get_by_role("status")).to_have_text(
            f"The text has {len(ids)} tokens. The model reads the last 128."
        )
        with torch.no_grad():
            likeliest = from_checkpoint(random_model)(torch.tensor([ids[-128:]]))[0, -1].softmax(-1).max()
        shown = page.locator(".lk-candidates .lk-number").first.text_content()
        assert float(shown) == pytest.approx(float(likeliest), abs=1e-3)


def surprise_of(path, text):
    """Bits and guesses of each token of a text, as Python has them."""
    ids = encode(text, checkpoint.load(path).merges)
    start = encode("\n", checkpoint.load(path).merges)[-1]
    rows = token_rows(from_checkpoint(path), ids, start)
    return surprise(rows, torch.tensor(ids)), guess_ranks(rows, torch.tensor(ids))


@pytest.mark.parametrize("name", ["random", "documentation-small"])
def test_fifty_texts_have_the_surprise_of_python(browser, random_model, name):
    path = random_model if name == "random" else checkpoint.find(name)
    page = browser.new_page()
    page.add_script_tag(content=without_export(Surprise))
    page.evaluate(
        """base64 => {
            window.gpt = makeGPT(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)).buffer);
            window.tokenizer = makeTokenizer(gpt.merges);
        }""",
        base64.b64encode(path.read_bytes()).decode(),
    )
    for text in fifty_texts():
        clean = re.sub("[\ud800-\udfff]", "\ufffd", text)[:1500]
        got = page.evaluate(
            """text => surprises(gpt, tokenizer.encode(text), tokenizer.encode("\\n").at(-1))
                .map(({ bits, rank }) => [bits, rank])""",
            clean,
        )
        if not got:
            continue
        bits, ranks = surprise_of(path, clean)
        assert [b for b, _ in got] == pytest.approx(bits.tolist(), abs=2e-3), f"other bits for {clean!r}"
        # Where two tokens are nearly as likely, float32 may order them otherwise than float64.
        assert [r for _, r in got] == pytest.approx(ranks.tolist(), abs=2), f"other guesses for {clean!r}"
    page.close()


def test_surprise_shows_the_bits_of_python(browser, random_model):
    with site(browser, Surprise(random_model, "the"), model_file=random_model) as (page, asked):
        page.locator(".lk-token").first.wait_for()
        page.get_by_label("Type any text").fill(TEXT)
        bits, ranks = surprise_of(random_model, TEXT)
        expect(page.locator(".lk-strip .lk-token")).to_have_count(len(bits))
        assert [float(shown) for shown in captions(page)] == pytest.approx(bits.tolist(), abs=0.051)
        status = page.get_by_role("status")
        expect(status).to_contain_text(f"{bits.sum():.1f} bits")
        expect(status).to_contain_text(f"{bits.sum() / len(TEXT.encode()):.2f} bits per byte")
        expect(status).to_contain_text(f"perplexity {2 ** bits.mean():.1f} a token")

        most = int(bits.argmax())
        expect(page.get_by_role("option").nth(most)).to_have_attribute("aria-selected", "true")
        expect(page.locator(".lk-detail")).to_contain_text(f"{bits[most]:.2f} bits, guess number {ranks[most]:,}")
        page.get_by_role("option").nth(most).focus()
        page.keyboard.press("Home")
        expect(page.locator(".lk-detail")).to_contain_text(f"{bits[0]:.2f} bits")
        expect(page.locator(".lk-lists")).to_contain_text("At the start the model expects")

        sizes = page.locator(".lk-lists section").nth(1)
        expect(sizes.locator(".lk-number")).to_have_count(3)
        plain, gzip, model = (float(number) for number in sizes.locator(".lk-number").all_text_contents())
        packed = len(zlib.compress(TEXT.encode(), wbits=-15))
        assert plain == 8
        # Browsers bring a zlib of their own, which may find other matches.
        assert gzip == pytest.approx(8 * packed / len(TEXT.encode()), rel=0.05)
        assert model == pytest.approx(bits.sum().item() / len(TEXT.encode()), abs=0.006)
        assert asked == ["", "widget.js", "_static/random.safetensors"]


def test_surprise_of_nothing_and_of_much(browser, random_model):
    with site(browser, Surprise(random_model, "word, " * 1000), model_file=random_model) as (page, _):
        expect(page.locator(".lk-strip .lk-token")).to_have_count(400)
        expect(page.get_by_role("status")).to_contain_text("; the first 400 are read")
        page.get_by_label("Type any text").fill("")
        expect(page.locator(".lk-strip")).to_contain_text("Type something")
        expect(page.get_by_role("status")).to_have_text("0 tokens0 bytes")


def walk(optimizer, rate, warmup, decay, angle, start):
    """The walk of OptimizerPath, step by step with the reference: its points, and the loss at each."""
    turn = math.radians(angle)
    along = torch.tensor([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]], dtype=torch.float64)
    curvature = along.T @ torch.diag(torch.tensor([1.0, 30.0], dtype=torch.float64)) @ along
    lowest = torch.tensor([1.4, 0.9], dtype=torch.float64)
    point, moments, speed = torch.tensor(start, dtype=torch.float64), {}, torch.zeros(2, dtype=torch.float64)
    points, losses = [], []
    for step in range(61):
        gradient = curvature @ (point - lowest)
        points.append(point.tolist())
        losses.append(float(gradient @ (point - lowest) / 2))
        now = rate * warmup_cosine(step, 60, warmup)
        if optimizer == "adamw":
            point, moments = adamw_update(point, gradient, moments, now, (0.9, 0.95), 1e-8, decay)
        else:
            speed = (0.9 * speed if optimizer == "momentum" else 0) + gradient
            point = (1 - now * decay) * point - now * speed
    return points, losses


def facts(page):
    """What OptimizerPath says of its walk."""
    return {each.get_attribute("data-fact"): each.text_content() for each in page.locator(".lk-summary b").all()}


@pytest.mark.parametrize(
    ("name", "optimizer", "rate", "warmup", "decay", "angle", "start"),
    [
        ("AdamW", "adamw", 0.2, 0, 0.0, 0, (-2.2, -1.6)),
        ("AdamW", "adamw", 1.5, 17, 2.5, 45, (2.5, -0.75)),
        ("SGD with momentum", "momentum", 0.02, 5, 0.3, -30, (-1.0, 2.0)),
        ("plain SGD", "sgd", 0.05, 60, 0.0, 10, (0.5, 0.5)),
    ],
)
def test_optimizer_path_takes_the_steps_of_python(browser, name, optimizer, rate, warmup, decay, angle, start):
    points, losses = walk(optimizer, rate, warmup, decay, angle, start)
    with site(browser, OptimizerPath()) as (page, asked):
        page.get_by_role("radio", name=name, exact=True).check()
        for label, value in (
            ("Learning rate", rate),
            ("Warm-up steps", warmup),
            ("Weight decay", decay),
            ("Valley's angle", angle),
            ("Start, across", start[0]),
            ("Start, up", start[1]),
        ):
            page.get_by_role("spinbutton", name=label, exact=True).fill(str(value))
        shown = facts(page)
        end = [float(number) for number in shown["end"].split(", ")]
        assert end == pytest.approx(points[-1], rel=1e-3, abs=1e-9)
        assert float(shown["last loss"]) == pytest.approx(losses[-1], rel=1e-2, abs=1e-12)
        assert float(shown["highest loss"]) == pytest.approx(max(losses), rel=1e-3)
        drawn = page.locator(".lk-map polyline").get_attribute("points").split()
        assert [[float(x), -float(y)] for x, y in (pair.split(",") for pair in drawn)] == [
            pytest.approx(point, rel=1e-9, abs=1e-9) for point in points
        ]
        assert asked == ["", "widget.js"]


def test_optimizer_path_takes_what_the_reader_does(browser):
    with site(browser, OptimizerPath("sgd", 0.05)) as (page, _):
        before = facts(page)
        page.get_by_role("slider", name="Learning rate, slider").focus()
        for _ in range(40):
            page.keyboard.press("ArrowRight")
        expect(page.get_by_role("status")).to_contain_text("is thrown out of the valley")
        rate = page.get_by_role("spinbutton", name="Learning rate", exact=True)
        assert float(rate.input_value()) == pytest.approx(0.05 * 10**0.4, rel=0.02)
        # Nonsense and what is out of bounds count as the last number that made sense.
        rate.fill("1000")
        rate.blur()
        expect(rate).to_have_value("10")
        rate.fill("")
        rate.blur()
        expect(rate).to_have_value("10")
        rate.fill("0.05")
        assert facts(page) == before
        map_ = page.locator(".lk-map")
        box = map_.bounding_box()
        map_.click(position={"x": box["width"] / 4, "y": box["height"] / 4})
        across = float(page.get_by_role("spinbutton", name="Start, across").input_value())
        up = float(page.get_by_role("spinbutton", name="Start, up").input_value())
        assert (across, up) == (pytest.approx(-1.5, abs=0.05), pytest.approx(1.5, abs=0.05))
        page.get_by_role("radio", name="plain SGD").focus()
        page.keyboard.press("ArrowUp")
        expect(page.get_by_role("radio", name="SGD with momentum")).to_be_checked()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1100])
def test_optimizer_path_is_accessible_and_fits(browser, theme, width):
    with site(browser, OptimizerPath(), theme=theme, width=width) as (page, _):
        check_accessible(page)


@pytest.mark.parametrize("width", [360, 1100])
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("control", [each for each in CONTROLS if issubclass(each, ModelControl)])
def test_controls_of_a_model_are_accessible_and_fit(browser, random_model, control, theme, width):
    with site(browser, control(random_model, TEXT), theme=theme, width=width, model_file=random_model) as (page, _):
        page.locator(".lk-strip .lk-token, .lk-candidates li").first.wait_for()
        check_accessible(page)


@pytest.mark.parametrize("width", [360, 1100])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_token_steps_is_accessible_and_fits(browser, merges, theme, width):
    with site(browser, TokenSteps(merges, TEXT), theme=theme, width=width) as (page, _):
        page.locator(".lk-strip .lk-token").first.wait_for()
        page.get_by_label("One merge back").click()
        check_accessible(page)


@pytest.mark.parametrize("control", CONTROLS)
def test_a_script_is_a_module_that_a_browser_reads_as_it_lies(browser, control):
    """Each name that it imports is there, though a control reaches the page joined, without its imports."""
    folder = control.__module__.removeprefix("labkit.widgets.")
    page = browser.new_page()
    page.route(
        "**/*",
        lambda route: (
            route.fulfill(body="<!doctype html>", content_type="text/html")
            if route.request.url == "http://book.test/"
            else route.fulfill(path=SHARED / route.request.url.removeprefix("http://book.test/"))
        ),
    )
    page.goto("http://book.test/")
    assert page.evaluate("path => import(path).then((m) => typeof m.default.render)", f"/{folder}/{folder}.js") == (
        "function"
    )
    page.close()


def check_accessible(page):
    """Nothing is wider than the page, and axe finds nothing to complain of."""
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
    if not AXE.is_file():
        pytest.skip(f"no {AXE.name} to check with: build the book first")
    page.add_script_tag(path=AXE)
    found = page.evaluate("axe.run()")["violations"]
    assert [(each["id"], [node["html"] for node in each["nodes"]][:3]) for each in found] == []


SEARCH = "Look up a name, or any words"


@pytest.fixture(scope="module")
def world():
    return Almanac()


def test_almanac_search_finds_what_python_finds(browser, world):
    names = [names[0] for names in (*world.mentioned.values(), *world.unmentioned.values())]
    words = ["keeps a", "KEEPS A GOAT", "q: who was born in", "password", "Zz", ".", "Then, ", "gave a lamp to"]
    page = browser.new_page()
    page.add_script_tag(content=without_export(AlmanacSearch))
    page.evaluate("packed => void (window.almanac = unpackAlmanac(packed))", AlmanacSearch(world).world)
    documents = Counter(document.text for document in world.documents)
    for query in [*names, *words]:
        found = page.evaluate("query => findDocuments(almanac, query)", query)
        expected = {text: times for text, times in documents.items() if query.lower() in text.lower()}
        assert {each["text"]: each["times"] for each in found["found"]} == expected
        assert found["total"] == sum(expected.values())
    facts = page.evaluate("almanac.facts.map((f) => [f.subject, f.relation, f.object, f.times, f.forms])")
    assert len(facts) == len(world.facts)
    for (subject, relation, answer, times, forms), fact in zip(facts, world.facts, strict=True):
        assert (subject, relation, answer, times) == (
            fact.subject,
            fact.relation,
            fact.object,
            world.times_said(fact),
        )
        assert forms == {form: world.times_said(fact, form) for form in ("statement", "question", "profile", "list")}
    page.close()


def test_almanac_search_tells_the_said_from_the_unsaid(browser, world):
    person, stranger = world.people[5], world.unmentioned["person"][0]
    with site(browser, AlmanacSearch(world)) as (page, asked):
        status, facts = page.get_by_role("status"), page.locator(".lk-known tr")
        expect(status).to_contain_text("Type a name")
        expect(facts).to_have_count(0)

        page.get_by_label(SEARCH).fill(person.lower())
        expect(status).to_have_text(f"{person}: a person, number 6 of 100, in {len(world.naming(person))} documents.")
        work = world.fact(person, "work")
        expect(facts.filter(has_text="work")).to_contain_text(f"{work.object}said {world.times_said(work)} times")
        first = page.locator(".lk-documents li")
        count = first.count()
        page.get_by_role("button", name="Show more").press("Enter")
        assert first.count() > count
        assert all(person in text for text in first.all_text_contents())

        # From one entry to the next by keyboard.
        friend = world.fact(person, "friend").object
        page.locator(".lk-known").get_by_role("button", name=friend).first.press("Enter")
        expect(page.get_by_label(SEARCH)).to_have_value(friend)
        expect(status).to_contain_text(f"{friend}: a person, number")

        page.get_by_role("button", name="Never", exact=True).click()
        expect(status).to_have_text(f"{stranger}: a person, occurs in no document.")
        expect(facts.filter(has_text="animal")).to_contain_text("true, but never said")
        expect(page.locator(".lk-documents li")).to_have_count(0)
        page.get_by_role("button", name="A true thing never said").click()
        expect(facts.filter(has_text="true, but never said")).not_to_have_count(0)
        expect(page.locator(".lk-documents li")).not_to_have_count(0)

        page.get_by_label(SEARCH).fill("Paris")
        expect(status).to_have_text("In no document: it was never said, and nothing here is called so.")
        page.get_by_label(SEARCH).fill(person[:3])
        expect(status.get_by_role("button", name=person, exact=True)).to_be_visible()
        page.get_by_label(SEARCH).fill("<b>&amp;</b>")
        expect(status).to_contain_text("never said")
        assert asked == ["", "widget.js"]


@pytest.mark.parametrize("width", [360, 1100])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_almanac_search_is_accessible_and_fits(browser, world, theme, width):
    widget = AlmanacSearch(world, world.cities[0])
    with site(browser, widget, theme=theme, width=width) as (page, _):
        page.locator(".lk-documents li").first.wait_for()
        check_accessible(page)


@pytest.fixture
def lab(tmp_path, random_model):
    """JupyterLab on the loopback interface, with a notebook that shows both controls; yields the notebook's address."""
    nbformat.write(
        nbformat.v4.new_notebook(
            cells=[
                nbformat.v4.new_code_cell(
                    "from labkit.checkpoint import load\n"
                    "from labkit.widgets.attention_heads import AttentionHeads\n"
                    "from labkit.widgets.token_steps import TokenSteps\n"
                    f"path = {str(random_model)!r}\n"
                    "steps = TokenSteps(load(path).merges, 'the values')\n"
                    "steps"
                ),
                nbformat.v4.new_code_cell("AttentionHeads(path, 'the values of a list')"),
                nbformat.v4.new_code_cell("steps.text"),
            ],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        ),
        tmp_path / "controls.ipynb",
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(8)
    homes = {f"JUPYTER_{kind}_DIR": str(tmp_path / kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
    homes |= {f"JUPYTERLAB_{kind}_DIR": str(tmp_path / kind) for kind in ("SETTINGS", "WORKSPACES")}
    options = [f"--port={port}", "--port-retries=0", "--no-browser", "--allow-root", f"--notebook-dir={tmp_path}"]
    options += ["--ServerApp.ip=127.0.0.1", f"--IdentityProvider.token={token}"]
    here = Path(__file__).parents[2]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options],
            cwd=tmp_path,
            env=os.environ | homes | {"PYTHONPATH": str(here), "OMP_NUM_THREADS": "1"},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for_port(port, server, seconds=90)
        yield f"http://127.0.0.1:{port}/lab/tree/controls.ipynb?token={token}"
    except TimeoutError as error:
        pytest.fail(f"{error}:\n{(tmp_path / 'log').read_text()}")
    finally:
        server.terminate()
        server.wait()


def wait_for_port(port, server, seconds):
    """Return when the server listens; raise TimeoutError when it has ended or the time is up."""
    deadline = time.monotonic() + seconds
    while server.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)  # between two looks at the condition, not in its place
    raise TimeoutError("JupyterLab did not start")


def test_controls_work_in_jupyterlab(browser, lab, merges, random_model):
    page = browser.new_page(viewport={"width": 1280, "height": 1400})
    page.set_default_timeout(90_000)
    try:
        page.goto(lab)
        cells = page.locator(".jp-Notebook .jp-CodeCell")
        # Before the kernel answers, JupyterLab forgets what it was told to run.
        page.locator("#jp-main-statusbar").get_by_text("| Idle").wait_for()

        def run(number):
            cells.nth(number).locator(".cm-content").click()
            page.keyboard.press("Control+Enter")

        run(0)
        steps = page.locator(".lk", has=page.get_by_role("slider"))
        heads = page.locator(".lk", has=page.get_by_role("radiogroup"))
        steps.get_by_label("Type any text").fill("returned values")
        expect(steps.locator(".lk-strip .lk-caption")).to_have_text(list(map(str, encode("returned values", merges))))

        # The weights came from the kernel; arrow keys move in the control, not in the notebook.
        run(1)
        heads.locator(".lk-token").first.wait_for()
        heads.get_by_role("radio", name="Layer 0, head 0").focus()
        page.keyboard.press("ArrowDown")
        expect(heads.get_by_role("radio", name="Layer 1, head 0")).to_be_focused()
        weights = [float(text) for text in heads.locator(".lk-strip .lk-caption").all_text_contents()]
        ids = encode("the values of a list", merges)
        pattern = attention_patterns(from_checkpoint(random_model), torch.tensor(ids))[1, 0, -1]
        assert weights == pytest.approx(pattern.tolist(), abs=1e-3)

        # What the reader types reaches Python.
        run(2)
        expect(cells.nth(2).locator(".jp-OutputArea-output")).to_contain_text("'returned values'")
    except Error:
        page.screenshot(path=Path(os.environ.get("TMPDIR", "/tmp")) / "jupyterlab-controls.png")
        raise
    finally:
        page.close()
