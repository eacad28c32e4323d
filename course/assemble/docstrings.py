"""A docstring is the task: what it explains is shown as prose above the exercise, what a coder looks up stays in code.

Both come from the one docstring of the reference. The summary stands in both places, every other paragraph in one.
"""

import inspect
import re
from itertools import groupby

# A section of Google's style, or an example.
_LOOKED_UP = re.compile(r"(Args|Returns|Yields|Raises):$|>>> ")
_QUOTES = re.compile(r'("""|\'\'\')$')


def _paragraphs(lines: list[str]) -> list[list[str]]:
    return [list(group) for filled, group in groupby(lines, key=lambda line: bool(line.strip())) if filled]


def _is_looked_up(paragraph: list[str]) -> bool:
    return _LOOKED_UP.match(paragraph[0].strip()) is not None


def prose(docstring: str) -> str:
    """What a docstring explains, as markdown: its summary, and all but its sections and examples."""
    summary, *rest = _paragraphs(inspect.cleandoc(docstring).splitlines())
    return "\n\n".join("\n".join(p) for p in [summary, *(p for p in rest if not _is_looked_up(p))])


def for_coders(lines: list[str]) -> list[str]:
    """The lines of a docstring, quotes included, without what `prose` shows: its summary, sections and examples."""
    closing = _QUOTES.search(lines[-1].rstrip())
    if len(lines) == 1 or closing is None:
        return lines
    *body, last = lines
    last = last.rstrip().removesuffix(closing[1])
    summary, *rest = _paragraphs([*body, last])
    kept = [p for p in rest if _is_looked_up(p)]
    if not kept and len(summary) == 1:
        out = [summary[0] + closing[1]]
    else:
        pad = summary[0][: len(summary[0]) - len(summary[0].lstrip())]
        out = [*summary, *(line for p in kept for line in ("", *p)), pad + closing[1]]
    if not any("\\" in line for line in out):
        out[0] = re.sub(r"^(\s*)[rR](?=[\"'])", r"\1", out[0])
    return out
