"""The role that names a chapter, in a book of three pages."""

import pytest
from bs4 import BeautifulSoup, Tag
from sphinx.application import Sphinx

from book import build
from tests.support import site

PAGE = """# Start

{topic}`language_model` and {topic}`the first <language_model>`, then {topic}`steering_vectors` and {topic}`RL <rl>`.
"""


@pytest.fixture(scope="module")
def sentence(tmp_path_factory: pytest.TempPathFactory) -> Tag:
    folder = tmp_path_factory.mktemp("topics")
    (folder / "index.md").write_text(PAGE)
    (folder / "language_model.md").write_text("---\norphan: true\n---\n# Language models\n")
    (folder / "rl.md").write_text("# Written, but not in the contents yet\n")
    settings = {
        "extensions": ["myst_parser", "book._ext.course_site"],
        "exclude_patterns": ["rl.md"],
        "nitpicky": True,  # as `make book` does
    }
    app = Sphinx(folder, None, folder / "html", folder / "trees", "html", settings, status=None, warningiserror=True)
    app.build()
    assert app.statuscode == 0
    page = BeautifulSoup((folder / "html" / "index.html").read_text(encoding="utf-8"), "html.parser")
    found = page.select_one("h1 ~ p")
    assert found is not None
    return found


def test_a_chapter_that_is_there_is_linked(sentence: Tag):
    links = [(link["href"], link.get_text()) for link in sentence.find_all("a")]
    assert links == [("language_model.html", "Language models"), ("language_model.html", "the first")]


def test_a_chapter_to_come_is_named_in_italics(sentence: Tag):
    assert [name.get_text() for name in sentence.find_all("em")] == ["Steering vectors", "RL"]


def test_a_change_of_the_contents_builds_every_page_again():
    assert "book/_toc.yml" in build.LOOK


@pytest.mark.parametrize("name", site.contents())
def test_chapters_are_linked_by_the_role(name: str):
    """A link written by hand to a chapter is one that has to be edited by hand."""
    text = (site.BOOK / f"{name}.md").read_text(encoding="utf-8")
    assert [topic for topic in site.topics() if f"]({topic}.md" in text] == []
