"""The text that every assignment opens with: its title, what it asks, and how one works with it."""

import nbformat
from nbformat import NotebookNode

from course.assemble.chapter import Chapter

HOW_TO_WORK = """\
Work from top to bottom. Each exercise comes with a test cell that says what is wrong; it is folded, and you may \
unfold and read it. More tests, which you do not see, run when the assignment is graded, for the points that an \
exercise has beyond those of its cells here. In a later exercise the tests use our version of the earlier parts, so a \
mistake costs its points once and you may skip an exercise{integration}.

Minutes are for a first meeting with a topic. Unfold a *Hint* below a task when you are stuck. If a cell never ends, a \
loop of yours does not: interrupt the kernel with the square above the notebook. `python -m labkit.check {name}` in a \
terminal runs the whole notebook and reports every test that you can see.

Run the next cells first, and again after a restart. The first two install what is missing and prepare the tests."""
INTEGRATION = "; only the last test, *integration*, runs your own parts together"


def title_cell(title: str, *, exercises: int, points: int, minutes: int, chapter: Chapter | None) -> NotebookNode:
    """The assignment's title, what it asks in numbers, and a link to its chapter, where the book has one."""
    facts = f"{exercises} exercise{'s' if exercises != 1 else ''}, {points} points, about {minutes} minutes."
    if chapter:
        facts += f" The chapter {chapter.link} explains the ideas; here you write the code."
    return nbformat.v4.new_markdown_cell(f"# {title}\n\n{facts}", id="prose-course-title")


def how_to_work_cell(name: str, *, has_integration: bool) -> NotebookNode:
    """How one works, and what the tests do: the same in every assignment."""
    text = HOW_TO_WORK.format(name=name, integration=INTEGRATION if has_integration else "")
    return nbformat.v4.new_markdown_cell(text, id="prose-course-work")
