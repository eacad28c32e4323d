"""The feedback page and formgrader's view of a submission: what they tell, and what may not be in them."""

import base64
import hashlib
import html
import importlib
import re
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from bs4 import BeautifulSoup, Tag
from jinja2 import Environment
from nbconvert.exporters import HTMLExporter
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_output
from nbgrader.server_extensions.formgrader import handlers

from course import grading
from course.deploy.student.course_page.assignments import HEAD, SCORE
from course.judging import wire
from course.judging.released import blank_answers, blank_exercises
from course.judging.verdict import verdict_of
from course.pages import above, feedback, mistakes
from course.pages.digests import digests
from course.pages.formgrader import WithBanner
from course.pages.mistakes import Mistake
from course.pages.sanitize import LONGEST_TEXT, plain, png, prose, shown
from labkit.notebook import REPORT, VERDICT
from tests.support import outside
from tests.support.graded import PNG, SECRETS, Course, autograded, failing, hostile, source, test_cell

NOTHING_RUNS = {"script", "iframe", "object", "embed", "svg", "style", "base", "form", "link", "img", "meta", "button"}


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Course:
    return Course(tmp_path_factory.mktemp("course"))


def names(nb: NotebookNode, **more: Any) -> dict[str, Any]:
    """What `Grades` tells the page, where the verdicts are all there is."""
    graded = [cell for cell in nb.cells if VERDICT in cell.metadata]
    for cell in graded:
        cell.metadata.nbgrader["score"] = cell.metadata[VERDICT]["earned"]
    given = {
        "assignment": "doubling",
        "name": "Ann Lee",
        "score": sum(cell.metadata[VERDICT]["earned"] for cell in graded),
        "max_score": sum(cell.metadata[VERDICT]["points"] for cell in graded),
        "source": source(),
    }
    return given | more


def read(nb: NotebookNode, **more: Any) -> BeautifulSoup:
    return BeautifulSoup(feedback.page(nb, names(nb, **more)), "html.parser")


def told(soup: BeautifulSoup | Tag) -> str:
    """A page's text with single spaces."""
    return " ".join(soup.get_text(" ").split()).replace(" ,", ",").replace(" .", ".")


def line_of(soup: BeautifulSoup, name: str) -> Tag:
    """The entry of an exercise."""
    (entry,) = (li for li in soup.select("li.exercise") if li.select_one(".name").get_text() == name)  # type: ignore[union-attr]
    return entry


# ----------------------------------------------------------------------------------------------------- what it tells


def test_all_solved() -> None:
    soup = read(autograded())
    text = told(soup)
    assert "11 of 11 points" in text
    assert "Everything passes." in text
    assert "first:" not in text
    assert [li["class"] for li in soup.select("li.exercise")] == [["exercise", "passed"]] * 4


def test_a_failing_exercise_is_told_with_property_message_and_way_to_the_code() -> None:
    nb = autograded()
    failing(nb, "quad", "did you double once only?", "test_quad_of_two")
    failing(nb, "eight-any", "what about a negative number?", "test_eight_of_negatives_hidden", hidden=True)
    soup = read(nb)
    assert "8 of 11 points" in told(soup)
    assert "1 of 3 exercises passes all tests and 2 lost points." in told(soup)
    assert "Fix first: quad, which 1 later exercise builds on." in told(soup)
    quad, eight = line_of(soup, "quad"), line_of(soup, "eight")
    assert quad["class"] == ["exercise", "partly"]
    assert "quad of two 0 of 2 did you double once only?" in told(quad)
    assert "hidden test" not in told(quad)
    assert "eight of negatives hidden test 0 of 1 what about a negative number?" in told(eight)
    for entry in (quad, eight):
        link = entry.select_one("a")
        assert link is not None
        cell = soup.find(id=str(link["href"]).removeprefix("#"))
        assert f"def {entry.select_one('.name').get_text()}(x)" in cell.get_text()  # type: ignore[union-attr]


def test_the_earliest_that_others_need_comes_first() -> None:
    nb = autograded(blank=("eight",))
    failing(nb, "double-any", "no", "test_double")
    names(nb)
    exercises = feedback.read_exercises(nb, source())
    assert [(e.name, e.used_by) for e in exercises] == [("double", 2), ("quad", 1), ("eight", 0), ("integration", 0)]
    first = feedback.first_to_fix(exercises)
    assert first is not None
    assert first.name == "double"
    alone = feedback.first_to_fix([e for e in exercises if e.name == "eight"])
    assert alone is not None
    assert alone.name == "eight"


def test_only_all_together_fails() -> None:
    nb = autograded()
    failing(nb, "integration", "eight(1) should be 8", "test_all")
    text = told(read(nb))
    assert "Each exercise passes on its own; all together they do not." in text
    assert "Fix first: All together." in text


def test_blank_is_told_as_blank() -> None:
    nb = autograded(blank=("double", "quad", "eight"))
    soup = read(nb)
    assert "0 of 3 exercises pass all tests and 3 are blank." in told(soup)
    assert "Write first: double, which 2 later exercises build on." in told(soup)
    assert "You have not written this one yet; 2 later exercises build on it." in told(line_of(soup, "double"))


@pytest.mark.parametrize(
    ("answer", "blank"),
    [
        ('def double(x):\n    """Twice and again."""\n    # YOUR CODE HERE\n    raise NotImplementedError()', True),
        ('def double(x):\n    """Twice and again."""\n\n    # hm\n    raise NotImplementedError()  ', True),
        ('def double(x):\n    """Twice and again."""\n    return 0', False),
        ("def double(x:\n", False),
        ("", False),
    ],
)
def test_what_counts_as_blank(answer: str, blank: bool) -> None:
    nb = autograded()
    next(cell for cell in nb.cells if cell.id == "exercise-double").source = answer
    assert ("exercise-double" in blank_exercises(nb, blank_answers(source()))) is blank


@pytest.mark.parametrize("failure", [True, False])
def test_a_file_that_could_not_be_read(failure: bool) -> None:
    nb = autograded(blank=("double", "quad", "eight"))
    reason = "Your notebook could not be read: line 3 ends too early. Open it in Jupyter and submit it again."
    nb.metadata[REPORT] = {"remarks": [reason], "seconds": 0, "failure": reason if failure else None}
    for cell in nb.cells:
        if cell.id.startswith("test-"):
            failing(nb, cell.id.removeprefix("test-"), reason)
    text = told(read(nb))
    assert "0 of 11 points" in text
    assert "This submission could not be graded." in text
    assert text.count(reason) == 1
    assert "first:" not in text
    assert "You have not written" not in text


def test_the_course_page_finds_the_score_at_the_beginning() -> None:
    """Before anything that a student wrote, their name included."""
    nb = autograded()
    page = feedback.page(nb, names(nb, score=8.5))
    found = SCORE.search(page[:HEAD])
    assert found is not None and (found[1], found[2]) == ("8.5", "11")
    assert page.index("<title>") > found.end()


def test_times_are_the_courses() -> None:
    assert feedback.when(datetime(2026, 10, 25, 18, 30), ZoneInfo("Europe/Berlin")) == "25 October 2026, 19:30 CET"


def test_lateness() -> None:
    nb = autograded()
    text = told(
        read(
            nb,
            score=9,
            late_penalty=2,
            late=7320,
            extension=timedelta(days=2),
            due=datetime(2026, 11, 20, 8),
            handed_in=datetime(2026, 11, 20, 10, 2),
        )
    )
    assert "9 of 11 points" in text
    assert "You had an extension of 2 days: yours was due on 20 November 2026, 08:00 UTC." in text
    assert "handed in 20 November 2026, 10:02 UTC, due 20 November 2026, 08:00 UTC" in text
    assert "Handed in 2 hours and 2 minutes after the deadline." in text
    assert "For the delay 2 points are taken off the 11 you earned." in text
    assert "Nothing is taken off for that." in told(read(nb, late=30))


def test_the_known_mistake_is_named(tmp_path: Path) -> None:
    nb = autograded()
    failing(nb, "quad-any", "… instead of …", "test_quad_of_negatives_hidden", hidden=True)
    test_cell(nb, "quad-any").metadata[VERDICT]["pattern"] = "… instead of …"
    assert feedback.likely_mistakes(nb, source(), tmp_path, "doubling") == {}
    bank = tmp_path / "tests" / "topics" / "doubling" / "wrong.py"
    bank.parent.mkdir(parents=True)
    verdict = verdict_of(test_cell(nb, "quad-any"))
    assert verdict is not None
    known = {"doubles once": "test-quad-any", "does nothing": "test-quad"}
    answers = [f'@wrong("quad", mistake="{label}", says="")\ndef quad(x):\n    return {label!r}\n' for label in known]
    bank.write_text("\n\n".join(answers))
    now = digests(tmp_path, "doubling", source())
    record = [Mistake("quad", m, ({test: verdict.failure},), now["quad", m]) for m, test in known.items()]
    mistakes.record_of(tmp_path, "doubling").write_bytes(wire.encode(record))
    likely = feedback.likely_mistakes(nb, source(), tmp_path, "doubling")
    assert likely == {"quad": feedback.Likely(["doubles once"], exact=True)}
    assert "Likely mistake: doubles once." in told(line_of(read(nb, likely=likely), "quad"))
    test_cell(nb, "quad-any").metadata[VERDICT]["detail"] = "another value"
    likely = feedback.likely_mistakes(nb, source(), tmp_path, "doubling")
    assert likely == {"quad": feedback.Likely(["doubles once"], exact=False)}
    assert "A known mistake that fails like this: doubles once." in told(line_of(read(nb, likely=likely), "quad"))
    several = {"quad": feedback.Likely(["adds 1", "adds 2"], exact=False)}
    assert "Known mistakes that fail like this: adds 1; or: adds 2." in told(line_of(read(nb, likely=several), "quad"))


def test_a_notebook_that_plain_nbgrader_graded() -> None:
    nb = autograded()
    scores = names(nb)
    for cell in nb.cells:
        cell.metadata.pop(VERDICT, None)
    del nb.metadata[REPORT]
    test_cell(nb, "quad").metadata.nbgrader["score"] = 0
    soup = BeautifulSoup(feedback.page(nb, scores | {"source": None, "score": 9}), "html.parser")
    assert "This test failed; the grader kept no reason." in told(line_of(soup, "quad"))


# -------------------------------------------------------------------------------------------- through nbgrader's step


def test_the_gradebook_wins(course: Course) -> None:
    nb = autograded(blank=("eight",))
    failing(nb, "quad", "did you double once only?", "test_quad_of_two")

    def by_hand(gradebook: Any, submission: Any) -> None:
        quad = gradebook.find_grade("test-quad", "doubling", "doubling", "hand")
        quad.manual_score = 1.5
        comment = gradebook.find_comment("exercise-quad", "doubling", "doubling", "hand")
        comment.manual_comment = "**Close**, see $x^2$. <script>alert(1)</script>"
        gradebook.find_comment("exercise-eight", "doubling", "doubling", "hand").auto_comment = "No response."
        submission.timestamp = datetime(2026, 11, 20, 10)
        submission.extension = timedelta(hours=3)
        submission.notebooks[0].late_submission_penalty = 1

    course.grade("hand", nb, by_hand, first_name="Ann", last_name="O'<b>Lee")
    page = course.feedback("hand")
    soup = BeautifulSoup(page, "html.parser")
    quad = line_of(soup, "quad")
    assert "points set by your instructor 1.5 of 2" in told(quad)
    assert "Your instructor Close, see x^2" in told(quad)
    assert quad.select_one("strong") is not None
    assert "<script" not in page
    assert "No response." not in page
    assert "Ann O'<b>Lee, handed in 20 November 2026, 10:00 UTC" in told(soup)
    assert "6.5 of 11 points" in told(soup)
    assert "For the delay 1 point is taken off the 7.5 you earned." in told(soup)
    assert "extension" not in told(soup)  # from no deadline


def test_an_answer_that_waits_for_a_person(course: Course) -> None:
    def waiting(gradebook: Any, submission: Any) -> None:
        gradebook.find_grade("test-quad", "doubling", "doubling", "wait").needs_manual_grade = True

    nb = autograded()
    test_cell(nb, "quad").metadata[VERDICT]["earned"] = 0
    course.grade("wait", nb, waiting)
    text = told(BeautifulSoup(course.feedback("wait"), "html.parser"))
    assert "2 of 3 exercises pass all tests and 1 waits for your instructor." in text


def test_nothing_of_a_hidden_test_is_in_the_file(course: Course) -> None:
    nb = autograded()
    for name in ("double-any", "quad-any"):
        failing(nb, name, "what about negatives?", "test_double_of_negatives_hidden", hidden=True)
    test_cell(nb, "eight-any").source = test_cell(nb, "eight-any").source.removesuffix("### END HIDDEN TESTS")
    course.grade("curious", nb)
    page = course.feedback("curious")
    unfolded = html.unescape(re.sub(r"<[^>]*>", "", page))
    for secret in SECRETS:
        assert secret not in page
        assert secret not in unfolded
    assert "def test_double_of_two():" in unfolded  # the visible ones are there
    assert "The tests of this cell are hidden." in unfolded


@pytest.mark.parametrize(
    "fails",
    [
        'assert double(6151) == WANT, "Fermat said FERMAT_4421: " + WORD',
        'assert double(6151) == WANT, f"{WORD}, not {double(6151)}"',
        "assert double(6151) == WANT",
        "double(6151)[WANT]",
        "double(6151) + WORD",
    ],
)
def test_of_a_private_test_nothing_is_in_the_file_but_that_it_fails(fails: str) -> None:
    """Through the judge: its constants, its names and its author's words stay with the instructor."""
    private = outside.graded(
        "euclid-8812",
        f'WANT, WORD = "secret-7350", "euler-7350"\n\n\ndef test_riemann_hidden():\n    {fails}',
        of="double",
        private=True,
    )
    cells = [
        outside.exercise("double", "def double(x):\n    return 0"),
        outside.graded("double", "def test_two():\n    assert double(2) == 0"),
    ]
    source = outside.notebook(*cells, private)
    result = outside.judged(source)
    verdict = outside.verdicts(result)["euclid-8812"]
    assert verdict.failed and verdict.detail
    page = feedback.page(result.notebook, names(result.notebook, source=source))
    entry = told(line_of(BeautifulSoup(page, "html.parser"), "double"))
    assert "a test that your instructor added hidden test 0 of 1 It fails." in entry
    unfolded = html.unescape(re.sub(r"<[^>]*>", "", page))
    for secret in ("6151", "7350", "4421", "Fermat", "riemann", "8812", "WANT"):
        assert secret not in page and secret not in unfolded, secret


# ------------------------------------------------------------------------------------------------- nothing may run


def assert_harmless(soup: BeautifulSoup | Tag) -> None:
    """No element that runs, loads or sends, no handler, and addresses only of this page, of images and of sites."""
    for element in soup.find_all(True):
        for name, value in element.attrs.items():
            assert not name.startswith("on"), element
            assert name not in ("style", "srcdoc", "srcset", "action", "formaction"), element
            if name in ("href", "src", "xlink:href"):
                assert re.match(r"#[\w-]+$|data:image/png;base64,[\w+/=]+$|https://example\.org/$", str(value)), element


def test_a_hostile_notebook_in_the_feedback(course: Course) -> None:
    course.grade("mallory", hostile(), first_name="<script>alert(1)</script>", last_name='" onload="alert(1)')
    page = course.feedback("mallory")
    soup = BeautifulSoup(page, "html.parser")
    assert_harmless(soup)
    assert {e.name for e in soup.find_all(NOTHING_RUNS)} == {"meta", "style", "svg", "img"}
    notebook = soup.select_one(".notebook")
    assert notebook is not None
    assert {e.name for e in notebook.find_all(NOTHING_RUNS)} == {"img"}
    assert "\x1b" not in page
    assert "evil.invalid" in told(notebook)  # shown as text, so that who reads it can see what was tried
    assert "<script>alert(1)</script>" in told(soup.header)  # type: ignore[arg-type]


def test_the_policy_allows_what_the_page_has_and_no_more() -> None:
    soup = read(autograded())
    policy = soup.select_one('meta[http-equiv="Content-Security-Policy"]')
    styles = soup.select_one("style")
    assert policy is not None
    assert styles is not None
    digest = base64.b64encode(hashlib.sha256(str(styles.string).encode()).digest()).decode()
    assert policy["content"] == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def show_in_formgrader(course: Course, nb: NotebookNode, **resources: str) -> str:
    """A submission as formgrader's handler renders it."""
    given = {"base_url": "", "student": "mallory", "notebook_id": "doubling", "index": 0, "total": 1} | resources
    config = grading.settings(course.root)
    config.HTMLExporter.template_name = "formgrade"  # nbgrader's extension sets these two over the course's settings
    config.HTMLExporter.extra_template_basedirs = [handlers.template_path]
    page, _ = HTMLExporter(config=config).from_notebook_node(nb, resources=given)
    return page


def test_a_hostile_notebook_in_formgrader(course: Course) -> None:
    page = show_in_formgrader(course, hostile(), first_name="<script>alert(1)</script>", last_name='"><img src=x>')
    soup = BeautifulSoup(page, "html.parser")
    container = soup.select_one("#notebook-container")
    assert container is not None
    for ours in container.select(".panel-heading, .panel-footer"):
        ours.decompose()
    assert_harmless(container)
    assert {e.name for e in container.find_all(NOTHING_RUNS)} == {"img"}
    assert all(
        str(s.get("src", "/")).startswith("/formgrader/static/") for s in soup.find_all("script") if s.get("src")
    )
    assert "://" not in "".join(str(s) for s in soup.find_all(("script", "link")))
    assert "/ran/" not in "".join(s.get_text() for s in soup.find_all("script"))
    assert "alert(1)" not in "".join(s.get_text() for s in soup.find_all("script"))
    assert "DETAIL_5518" in page  # the instructor sees why
    assert "def hidden_helper" in told(container)
    assert "What the grader remarked" in page


def test_formgrader_says_whose_it_is_what_was_granted_and_the_likely_mistake(
    course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    def granted(gradebook: Any, submission: Any) -> None:
        submission.timestamp = datetime(2026, 11, 20, 10)
        submission.assignment.duedate = datetime(2026, 11, 19, 8)
        submission.extension = timedelta(days=2)

    course.grade("above", autograded(), granted, first_name="Ann", last_name="O'<b>Lee")
    likely = {"quad": feedback.Likely(["doubles <i>once</i>"], exact=True)}
    monkeypatch.setattr(above, "likely_mistakes", lambda nb, source, root, name: likely)
    soup = BeautifulSoup(show_in_formgrader(course, autograded(), student="above"), "html.parser")
    assert [told(line) for line in soup.select(".alert li")][:3] == [
        "Ann O'<b>Lee (above), handed in 20 November 2026, 10:00 UTC",
        "An extension of 2 days was granted: due 21 November 2026, 08:00 UTC",
        "quad: likely mistake: doubles <i>once</i>",
    ]
    with course.api.gradebook as gradebook:
        gradebook.find_assignment("doubling").duedate = None
        gradebook.db.commit()


def test_the_banner_where_there_is_no_sandbox(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COURSE_WITHOUT_SANDBOX", raising=False)
    assert "Graded without the sandbox" not in show_in_formgrader(course, autograded())
    monkeypatch.setenv("COURSE_WITHOUT_SANDBOX", "1")
    assert show_in_formgrader(course, autograded()).count("Graded without the sandbox") == 1
    environment = Environment(loader=WithBanner([handlers.template_path]), autoescape=True)
    pages = [p for p in environment.list_templates() if re.fullmatch(r"(gradebook|manage)_\w+s\.tpl", p)]
    assert len(pages) >= 6
    for name in [*pages, "base_500.tpl"]:
        page = environment.get_template(name).render(base_url="", resources={}, student_id="<img src=x onerror=y>")
        assert page.count("Graded without the sandbox") == 1, name
        assert "<img src=x" not in page


# ------------------------------------------------------------------------------------------------------- the pieces


@pytest.mark.parametrize(
    ("markdown", "shown_as"),
    [
        ("a < b & c", "<p>a &lt; b &amp; c</p>"),
        ("$a_1 < b_2$", "<p><code>a_1 &lt; b_2</code></p>"),
        ("![a dog](http://x.invalid/dog.png)", "<p>[a dog]</p>"),
        ("[site](https://example.org/)", '<p><a href="https://example.org/">site</a></p>'),
        ("[file](mine.html)", "<p><a>file</a></p>"),
        ("<a href='//example.org'>x</a>", "<p><a>x</a></p>"),
        ("<a href=' javascript:alert(1)'>x</a>", "<p><a>x</a></p>"),
        ("<details open><summary>Hint</summary>x</details>", "<details><summary>Hint</summary>x</details>"),
        ("<b class=x style=y id=z>x</b>", "<p><b>x</b></p>"),
    ],
)
def test_prose(markdown: str, shown_as: str) -> None:
    assert prose(markdown).strip() == shown_as


@pytest.mark.parametrize("text", ["<b>" * 5000, ">" * 9000, "[" * 9000, "<table>" * 3000, "*a " * 5000, "\x00\ud800"])
def test_no_text_is_too_odd_for_prose(text: str) -> None:
    prose(text).encode()


def filled(text: str) -> str:
    return (text * LONGEST_TEXT)[:LONGEST_TEXT]


@pytest.mark.parametrize(
    "text",
    [
        *map(
            filled, ["[", "![", "[![", "![[", "[a](", "[[]](", "a**b_", "*[", "`[", "$a ", "<a b='", "<!--", "<b>\n\n"]
        ),
        *map(
            filled, ["[a]: b\n", "[a\n", "[a]: b 'c\n", "> a\n", "- a\n", "- ", "> - 1. ", "|a|b\n|-|-\n", "```\n", "&"]
        ),
        "".join(f"[a{n}]: b\n" for n in range(LONGEST_TEXT // 8)),
        filled("|a" * 100 + "\n" + "|-" * 100 + "\n" + "|\n" * LONGEST_TEXT),
        "".join("`" * n + "a" for n in range(200)),
    ],
    ids=lambda text: repr(text[:12]),
)
def test_prose_is_made_in_a_short_time(text: str) -> None:
    """By a wide margin: the slowest takes less than a second, some took half a minute."""
    begun = time.process_time()
    prose(text)
    assert time.process_time() - begun < 5


def test_a_long_essay_is_still_markdown() -> None:
    paragraph = (
        "The *heads* of [layer two](https://example.org/) read $q_i k_j$, see `softmax` (and its **scale**).\n\n"
    )
    table = "| head | reads |\n| --- | --- |\n" + "| 1 | the token before |\n" * 40
    shown_as = prose(paragraph * 80 + table)
    assert shown_as.count("<em>heads</em>") == 80 and shown_as.count("<tr>") == 41
    assert prose("[" * 3000) == f"<pre>{'[' * 3000}</pre>"


def test_plain() -> None:
    assert plain("10%\r50%\r100%\r\n\x1b[1;31mred\x1b[0m\x07\x00\n") == "100%\nred\n"
    assert plain(["a", "b"]) == "ab"
    assert plain("\u202eabc\ud800") == "abc"
    long = plain("x" * (5 * LONGEST_TEXT))
    assert len(long) < LONGEST_TEXT + 100
    assert f"{5 * LONGEST_TEXT:,} characters in all" in long


def test_png() -> None:
    assert png(PNG) == f"data:image/png;base64,{PNG}"
    assert png([PNG[:9] + "\n", PNG[9:]]) == f"data:image/png;base64,{PNG}"
    for other in (None, 3, "", 'x"><script>', base64.b64encode(b"<svg/>").decode(), "a" * 9_000_000):
        assert png(other) is None


def test_outputs_are_bounded() -> None:
    cell = new_code_cell(outputs=[new_output("stream", name="stdout", text="x" * LONGEST_TEXT)] * 100)
    assert sum(len(text) for _, text in shown(cell)) < 2 * LONGEST_TEXT
    assert shown({"outputs": [3, {}, {"output_type": "display_data", "data": 3}, {"output_type": "error"}]}) == [
        ("error", ": ")
    ]


def test_the_settings_name_what_exists() -> None:
    config = grading.settings()
    paths = [
        *config.GenerateFeedback.preprocessors,
        config.GenerateFeedback.exporter_class,
        *config.HTMLExporter.preprocessors,
        *config.HTMLExporter.filters.values(),
    ]
    for module, _, name in (path.rpartition(".") for path in paths):
        assert hasattr(importlib.import_module(module), name)
    assert Path(config.HTMLExporter.template_file).is_file()
