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


def render(
    name: str, values: Mapping[str, Any], filters: Mapping[str, Callable[..., Any]] = {}, style: str = ""
) -> str:
    """The page of `templates/<name>.html.j2` with the style of `templates/<name>.css`, or of another page's.

    The template finds the style as `style` and, for its Content-Security-Policy, the style's digest as `style_hash`.
    """
    css = (TEMPLATES / f"{style or name}.css").read_text(encoding="utf-8")
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, **filters}
    return environment.get_template(f"{name}.html.j2").render(
        style=Markup(css),  # our own file
        style_hash=base64.b64encode(hashlib.sha256(css.encode()).digest()).decode(),
        **values,
    )
