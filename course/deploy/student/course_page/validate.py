"""nbgrader's Validate button shows what `python -m labkit.check` shows: a table, and what to do next."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader

from labkit import check
from labkit.notebook import NotebookError, facts

TEMPLATES = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True)
WORDS = {"passed": "solved", "failed": "failing", "blank": "blank", "not run": "not run"}
"""What the table says for `labkit.check`'s states."""
ALL_PASS = "Every test that you can see passes: submit it on the course page."


def table(path: Path, due: str = "") -> str:
    """Run the notebook's visible tests and return the result as HTML.

    A notebook that cannot be run gives the sentence that says why. Takes as long as the notebook does.
    """
    try:
        notebook = check.read(path)
        ended, stopped = check.run(notebook, path.parent)
    except NotebookError as error:
        return TEMPLATES.get_template("validate.html").render(refusal=str(error))
    exercises = check.report(notebook, ended)
    points, visible = facts(notebook)["points"], sum(exercise.points for exercise in exercises)
    return TEMPLATES.get_template("validate.html").render(
        title=facts(notebook)["title"],
        due=due,
        exercises=exercises,
        words=WORDS,
        earned=sum(exercise.earned for exercise in exercises),
        visible=visible,
        hidden=points - visible,
        next=check.what_next(exercises) or ("" if stopped else ALL_PASS),
        warnings=[*([stopped] if stopped else []), *check.too_large(notebook)],
    )
