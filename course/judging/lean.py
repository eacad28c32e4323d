"""A notebook file without what grading never looks at: outputs, attachments, the state of widgets.

They are cut out of the file's bytes before it is parsed, so that only what is kept has to be small, and no size or
shape of what is cut costs memory. In JSON a quote inside of a string is always written \\", so that `"outputs":` is
the key of an object wherever it stands.
"""

import re

MAX_TOKENS = 1_000_000
"""Strings, lists and objects that are looked through in what is cut."""

_CUT = re.compile(rb'"(?:outputs|attachments|widgets)"\s*+:\s*+(?=[\[{])')
# Possessive, so that a long string needs no memory to go back into.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}]', re.DOTALL)


class TooManyTokens(ValueError):
    """What would be cut consists of more than MAX_TOKENS parts."""


def without_outputs(content: bytes) -> bytes:
    """The JSON of a notebook, in UTF-8, with empty lists and objects for what is cut; line numbers stay.

    What does not end, because the file is damaged there, is left as it is.

    Raises:
        TooManyTokens
    """
    parts, done, tokens = [], 0, 0
    while found := _CUT.search(content, done):
        begin, depth = found.end(), 0
        parts.append(content[done:begin])
        done = begin
        for token in _TOKEN.finditer(content, begin):
            tokens += 1
            if tokens > MAX_TOKENS:
                raise TooManyTokens
            depth += (token[0] in b"[{") - (token[0] in b"]}")
            if depth == 0:
                done = token.end()
                lines = b"\n" * content.count(b"\n", begin, done)
                parts.append(content[begin : begin + 1] + lines + content[done - 1 : done])
                break
        else:
            break
    parts.append(content[done:])
    return b"".join(parts)
