"""What this book adds to Sphinx: exercise cards, links to topics, launch buttons, small images, few scripts."""

import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from docutils import nodes
from PIL import Image
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.util.docutils import ReferenceRole, SphinxDirective

ROOT = Path(__file__).resolve().parents[2]
ICONS = {
    "Read the notebook": "fas fa-book-open",
    "JupyterHub": "fas fa-users",
    "Binder": "fas fa-flask",
    "Colab": "fas fa-cloud",
}
NOBODY = "your-organisation/"
"""The owner of the repository in _config.yml until somebody publishes the course."""
# What screen readers would be told wrongly: docutils calls the bibliography a list, though its entries hold links
# beside list items; MyST-NB's folds are named differently from the words they show.
MENDED = {
    'role="list" class="citation-list"': 'class="citation-list"',
    'summary aria-label="Toggle hidden content"': "summary",
}
CONTROL = re.compile(r'<script type="application/vnd\.jupyter\.widget-view\+json">.*?</script>', re.DOTALL)
WITHOUT_SCRIPTS = (
    '<noscript><p class="control-failed">Here stands a control that computes in the page. It needs JavaScript, '
    "which is switched off; the text around it says what it shows.</p></noscript>"
)


def launch_links(name: str, repository: str, branch: str, hub: str) -> dict[str, str]:
    """Return where the student's notebook of assignment `name` can be opened: label -> address.

    Args:
        name: the assignment's name.
        repository: the address of the repository on GitHub, without a slash at its end; as long as it is the one that
            this project comes with, nothing is there to be opened.
        branch: the branch the notebooks are read from.
        hub: the address of the class's JupyterHub; empty where there is none.
    """
    owner_and_name = repository.removeprefix("https://github.com/")
    path = f"exercises/{name}/{name}.ipynb"
    published = not owner_and_name.startswith(NOBODY)
    links = {"Read the notebook": f"{repository}/blob/{branch}/{path}"} if published else {}
    if hub:
        # The student's course page fetches the assignment, if need be, and opens it (course/deploy/student).
        links["JupyterHub"] = f"{hub.rstrip('/')}/hub/user-redirect/course/open/{quote(name)}"
    if not published:
        return links
    links["Binder"] = f"https://mybinder.org/v2/gh/{owner_and_name}/{branch}?{urlencode({'labpath': path})}"
    links["Colab"] = f"https://colab.research.google.com/github/{owner_and_name}/blob/{branch}/{path}"
    return links


def links_of(app: Sphinx, name: str) -> dict[str, str]:
    """Return the launch links of assignment `name` under this book's settings."""
    options = app.config.html_theme_options
    return launch_links(
        name,
        options["repository_url"].rstrip("/"),
        options["repository_branch"],
        os.environ.get("COURSE_HUB", app.config.course_hub),
    )


class ExerciseCard(SphinxDirective):
    """`{exercise-card} name`: the assignment's title, minutes and points, and where to open it.

    All of it is read from the student's notebook, exercises/<name>/<name>.ipynb. Where the environment variable
    SOLUTIONS is set, the reference code follows.
    """

    required_arguments = 1
    has_content = False

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        notebook = ROOT / "exercises" / name / f"{name}.ipynb"
        self.env.note_dependency(str(notebook))
        try:
            course = json.loads(notebook.read_text(encoding="utf-8"))["metadata"]["course"]
            title, points, minutes = course["title"], course["points"], course["minutes"]
            exercises = course["exercises"]
        except FileNotFoundError:
            raise self.error(f"{notebook.relative_to(ROOT)} does not exist; run: make exercises") from None
        except (KeyError, ValueError) as error:
            raise self.error(
                f"{notebook.relative_to(ROOT)} lacks {error} in its metadata; run: make exercises"
            ) from None
        self.env.metadata[self.env.docname].setdefault("exercise-cards", "")
        cards = self.env.metadata[self.env.docname]["exercise-cards"].split()
        self.env.metadata[self.env.docname]["exercise-cards"] = " ".join([*cards, name])

        card = nodes.container(classes=["exercise-card"])
        heading = nodes.paragraph("", "", nodes.strong("", title), classes=["exercise-card-title"])
        count = len(exercises) if isinstance(exercises, list | dict) else int(exercises)
        facts = f"{count} exercises · {points} points · about {minutes} minutes"
        places = nodes.bullet_list(classes=["exercise-card-places"])
        for label, address in links_of(self.env.app, name).items():
            link = nodes.reference("", label, refuri=address, internal=False)
            places += nodes.list_item("", nodes.paragraph("", "", link))
        laptop = nodes.paragraph(classes=["exercise-card-laptop"])
        laptop += [nodes.Text("On your laptop: open "), nodes.literal("", f"exercises/{name}/{name}.ipynb")]
        laptop += [nodes.Text(", then run "), nodes.literal("", f"make check ASSIGNMENT={name}"), nodes.Text(".")]
        card += [heading, nodes.paragraph("", facts, classes=["exercise-card-facts"])]
        card += [places, laptop] if places.children else [laptop]
        if not os.environ.get("SOLUTIONS"):
            return [card]
        solution = ROOT / "solutions" / f"{name}.py"
        self.env.note_dependency(str(solution))
        code = solution.read_text(encoding="utf-8")
        return [card, nodes.rubric("", "The reference code"), nodes.literal_block(code, code, language="python")]


class Topic(ReferenceRole):
    """`{topic}`name`` or `{topic}`text <name>``: a chapter, linked if the book has it and in italics if not.

    So a page can promise a chapter that is still to be written, and need not be edited when it comes.
    """

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        text = self.title if self.has_explicit_title else self.target.replace("_", " ").capitalize()
        reference = pending_xref(
            self.rawtext,
            nodes.emphasis("", text),
            refdomain="std",
            reftype="doc",
            reftarget=f"/{self.target}",
            refexplicit=self.has_explicit_title,  # otherwise Sphinx takes the chapter's title
            refdoc=self.env.docname,
            is_topic=True,
        )
        return [reference], []


def name_topic(app: Sphinx, env: Any, node: pending_xref, content: nodes.TextElement) -> nodes.TextElement | None:
    """The name alone for a chapter that is not in the contents, without a warning."""
    return content if node.get("is_topic") else None


def finish_page(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Load scripts only where a page needs them, and add the launch buttons of its exercises."""
    # Sphinx gives MathJax to every page above one that has formulas; the home page is above all of them.
    if not app.env.get_domain("math").data["has_equations"].get(pagename):
        context["script_files"][:] = [
            script for script in context["script_files"] if not str(script.filename).endswith(app.config.mathjax_path)
        ]
    body = context.get("body", "")
    for mislabelled, mended in MENDED.items():
        body = body.replace(mislabelled, mended)
    context["body"] = body
    if "application/vnd.jupyter.widget-view+json" in body:
        app.add_js_file("controls.js", loading_method="defer")
        context["body"] = CONTROL.sub(rf"\g<0>{WITHOUT_SCRIPTS}", body)

    names = (app.env.metadata.get(pagename, {}).get("exercise-cards") or "").split()
    buttons = [
        {
            "type": "link",
            "url": address,
            "text": label if len(names) == 1 else f"{label}: {name}",
            "tooltip": f"Exercises of this chapter: {label}",
            "icon": ICONS[label],
        }
        for name in names
        for label, address in links_of(app, name).items()
    ]
    if not buttons or "header_buttons" not in context:
        return
    context["header_buttons"].insert(
        0,
        {
            "type": "group",
            "buttons": buttons,
            "icon": "fas fa-pen-to-square",
            "tooltip": "Open this chapter's exercises",
            "label": "exercise-buttons",
        },
    )


def leave_out_the_repository(app: Sphinx, config: Any) -> None:
    """No button to a repository that nobody has published."""
    if NOBODY in config.html_theme_options.get("repository_url", ""):
        config.html_theme_options["use_repository_button"] = False


def shrink_plots(app: Sphinx, exception: Exception | None) -> None:
    """Store the site's opaque PNG files with 256 colours: a third of the size, and plots look the same."""
    for path in (Path(app.outdir) / "_images").glob("*.png"):
        with Image.open(path) as image:
            if image.mode == "P" or image.convert("RGBA").getextrema()[3][0] < 255:
                continue
            smaller = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        smaller.save(path, optimize=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive, the role and the page hooks."""
    app.add_config_value("course_hub", "", "env", types=[str])
    app.add_directive("exercise-card", ExerciseCard)
    app.add_role("topic", Topic())
    app.connect("config-inited", leave_out_the_repository)
    app.connect("missing-reference", name_topic)
    # After the theme has made its header buttons.
    app.connect("html-page-context", finish_page, priority=900)
    app.connect("build-finished", shrink_plots)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
