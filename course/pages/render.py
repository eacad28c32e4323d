"""What the pages that grading writes have in common: one file with its style inside, no script, all text escaped."""

import base64
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from course.gradebook.exports import number

TEMPLATES = Path(__file__).parent / "templates"


def render(name: str, values: Mapping[str, Any], filters: Mapping[str, Callable[..., Any]] = {}) -> str:
    """The page of `templates/<name>.html.j2` with the style of `templates/<name>.css`.

    The template finds the style as `style` and, for its Content-Security-Policy, the style's digest as `style_hash`.
    """
    style = (TEMPLATES / f"{name}.css").read_text(encoding="utf-8")
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, **filters}
    return environment.get_template(f"{name}.html.j2").render(
        style=Markup(style),  # our own file
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        **values,
    )
