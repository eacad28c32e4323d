"""What a student wrote or printed, made fit to be shown in a browser.

Both pages that show a submission use this: the feedback (course/pages/feedback.py) and formgrader's view of it. Code
and output are escaped, Markdown becomes a short list of tags without any address but a link's, and of what a cell
displayed only text and PNG images are left. Nothing here raises for anything that a notebook can hold.
"""

import base64
import binascii
import html
import os
import re
from collections.abc import Mapping
from typing import Any, Literal

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup
from mdit_py_plugins.dollarmath import dollarmath_plugin
from nbconvert.exporters.exporter import ResourcesDict
from nbconvert.filters import strip_ansi
from nbconvert.preprocessors import Preprocessor
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from course.sandbox import WITHOUT_SANDBOX
from labkit.notebook import REPORT, facts

LONGEST_TEXT = 20_000
"""Characters of one cell, or of what one cell printed, that are shown."""
LARGEST_IMAGE = 2 * 2**20
"""Bytes of a PNG file."""
MOST_OUTPUTS = 50
"""Outputs of one cell that are shown."""
MOST_MARKS = 2_000
"""Characters of one Markdown cell that may open or close something; a parser's time grows with each times its text."""
MOST_TABLE_CELLS = 20_000
"""Cells that the tables of one Markdown cell could have: every row is filled up to the longest."""

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# What HTML cannot hold, and what would change the direction of the text round it.
UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
NAME = re.compile(r"[\w.-]{1,100}", re.ASCII)

# fmt: off
TAGS = frozenset([
    "a", "abbr", "b", "blockquote", "br", "code", "dd", "del", "details", "dl", "dt", "em", "h1", "h2", "h3", "h4",
    "h5", "h6", "hr", "i", "kbd", "li", "ol", "p", "pre", "q", "s", "strong", "sub", "summary", "sup", "table", "tbody",
    "td", "th", "thead", "tr", "ul", "var",
])
# fmt: on


def plain(text: object, longest: int = LONGEST_TEXT) -> str:
    """`text` as a terminal would have left it: no escape sequences, the end of each overwritten line, cut if long."""
    whole = text if isinstance(text, str) else "".join(map(str, text)) if isinstance(text, list) else str(text)
    cut = strip_ansi(whole[: 4 * longest]).replace("\r\n", "\n")
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in cut.split("\n")]
    clean = UNPRINTABLE.sub("", "\n".join(lines))
    if len(clean) <= longest and len(whole) <= 4 * longest:
        return clean
    return f"{clean[:longest]}\n... the rest is left out: {len(whole):,} characters in all"


def python(source: object) -> Markup:
    """Python code as HTML with pygments' short class names."""
    text: str = highlight(plain(source), PythonLexer(stripnl=False), HtmlFormatter(nowrap=True))
    return Markup(text)  # pygments escapes what it colours


def _safe_link(tag: str, name: str, value: str) -> str | None:
    """Links lead to other sites only: an address here could be a file that the student handed in."""
    return value if re.match(r"(https?://|mailto:)[\x21-\x7e]+$", value) else None


_CLEANER = nh3.Cleaner(
    tags=set(TAGS),
    clean_content_tags=set(),  # what stood in a script is shown as text
    attributes={"a": {"href"}},
    attribute_filter=_safe_link,
    url_schemes={"http", "https", "mailto"},
    link_rel=None,
)


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": True, "maxNesting": 20}).enable("table")
    parser.disable("reference")  # its time grows with the square of their number
    parser.use(dollarmath_plugin, allow_labels=False)
    # TeX stays as readable text, and a picture is its description: neither needs another server.
    parser.add_render_rule("math_inline", lambda self, tokens, i, options, env: _code(tokens[i].content, "code"))
    parser.add_render_rule("math_block", lambda self, tokens, i, options, env: _code(tokens[i].content, "pre"))
    parser.add_render_rule("image", lambda self, tokens, i, options, env: html.escape(f"[{tokens[i].content}]"))
    return parser


def _code(text: str, tag: str) -> str:
    return f"<{tag}>{html.escape(text.strip())}</{tag}>"


_PARSER = _parser()


def prose(source: object) -> Markup:
    """Markdown as HTML with harmless tags only; where that cannot be made in a short time, its text as it stands."""
    text = plain(source)
    try:
        if _is_readable(text):
            return Markup(_CLEANER.clean(_PARSER.render(text)))
    except Exception:  # the parser recurses, and no notebook may stop the page
        pass
    return Markup("<pre>{}</pre>").format(text)


def _is_readable(text: str) -> bool:
    """Whether Markdown's parser is done with a text soon, whatever it says."""
    lines = text.splitlines()
    widest = max((line.count("|") for line in lines), default=0)
    return len(re.findall(r"[\[\]()*_`$<>|!]", text)) <= MOST_MARKS and widest * len(lines) <= MOST_TABLE_CELLS


def png(data: object) -> str | None:
    """The address (`data:image/png;base64,...`) of an output's image; None where it is no PNG or too large."""
    text = "".join(map(str, data)) if isinstance(data, list) else data
    if not isinstance(text, str) or len(text) > 2 * LARGEST_IMAGE:
        return None
    try:
        content = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return None
    if not content.startswith(PNG_SIGNATURE) or len(content) > LARGEST_IMAGE:
        return None
    return "data:image/png;base64," + base64.b64encode(content).decode("ascii")


def shown(cell: Mapping[str, Any]) -> list[tuple[Literal["text", "error", "image"], str]]:
    """A code cell's outputs, in order, as text, error and image (an address); of other kinds nothing is shown."""
    found: list[tuple[Literal["text", "error", "image"], str]] = []
    left = LONGEST_TEXT
    outputs = cell.get("outputs")
    for output in outputs[:MOST_OUTPUTS] if isinstance(outputs, list) else []:
        if not isinstance(output, Mapping):
            continue
        kind, data = output.get("output_type"), output.get("data")
        if kind in ("display_data", "execute_result") and isinstance(data, Mapping):
            image = png(data.get("image/png"))
            if image is not None:
                found.append(("image", image))
                continue
            text = data.get("text/plain", "")
        elif kind == "stream":
            text = output.get("text", "")
        elif kind == "error":
            trace = output.get("traceback")
            lines = [str(line) for line in trace] if isinstance(trace, list) else []
            text = "\n".join(lines) or f"{output.get('ename', '')}: {output.get('evalue', '')}"
        else:
            continue
        text = plain(text, max(left, 0))
        left -= len(text)
        if text.strip():
            found.append(("error" if kind == "error" else "text", text))
    return found


class Harmless(Preprocessor):
    """Leaves in a notebook what formgrader's page may show; the template writes much of the rest without escaping.

    Configured for nbconvert's `HTMLExporter`, which only formgrader uses here. It also hands the page what the grader
    remarked, and whether there was a sandbox.
    """

    def preprocess(self, nb: NotebookNode, resources: ResourcesDict) -> tuple[NotebookNode, ResourcesDict]:
        remarks = facts(nb, REPORT).get("remarks")
        nb.metadata = NotebookNode()
        nb.cells = [self._cell(cell, index) for index, cell in enumerate(nb.cells)]
        for key, value in list(resources.items()):
            if isinstance(value, str):
                resources[key] = html.escape(value)
        resources["remarks"] = [html.escape(plain(r, 2000)) for r in remarks] if isinstance(remarks, list) else []
        resources["without_sandbox"] = os.environ.get(WITHOUT_SANDBOX) == "1"
        return nb, resources

    def _cell(self, cell: NotebookNode, index: int) -> NotebookNode:
        marks = cell.metadata.get("nbgrader")
        whole = isinstance(marks, Mapping) and NAME.fullmatch(str(marks.get("grade_id", ""))) is not None
        metadata = {"nbgrader": marks} if whole else {}
        if cell.cell_type == "markdown":
            cell.pop("attachments", None)
            cell.metadata = NotebookNode(metadata)
        else:
            new = new_code_cell(cell.source, metadata=NotebookNode(metadata))
            count = cell.get("execution_count")
            new.execution_count = count if isinstance(count, int) else None
            new.outputs = [self._output(kind, value) for kind, value in shown(cell)]
            cell = new
        cell.id = f"cell-{index}"
        return cell

    def _output(self, kind: str, value: str) -> NotebookNode:
        if kind == "image":
            data = {"image/png": value.partition(",")[2]}
            return NotebookNode(output_type="display_data", data=NotebookNode(data), metadata=NotebookNode())
        if kind == "error":
            return NotebookNode(output_type="error", ename="", evalue="", traceback=[value])
        return NotebookNode(output_type="stream", name="stdout", text=value)
