"""The built book: complete, light, self-contained, and quick to refuse what is wrong."""

import json
import os
import re
import tomllib
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from bs4 import BeautifulSoup, Tag

from book import build, vendor
from book._ext.course_site import launch_links
from tests.support import site

KILOBYTE = 1000
PAGE_BUDGET = 300 * KILOBYTE  # HTML and images of one page
PAGES = site.contents()


def page(name: str) -> BeautifulSoup:
    return BeautifulSoup((site.built() / f"{name}.html").read_text(encoding="utf-8"), "html.parser")


def article(name: str) -> Tag:
    found = page(name).find("article")
    assert isinstance(found, Tag), f"{name}.html has no article"
    return found


def configuration() -> dict:
    return yaml.safe_load((site.ROOT / "_config.yml").read_text(encoding="utf-8"))


# The build


def test_the_build_has_nothing_to_complain_of():
    site.built()
    log = (site.BUILD / "build.log").read_text(encoding="utf-8")
    assert "build succeeded" in log
    assert build.complaints(log) == []


def test_what_is_said_on_the_log_decides():
    assert build.complaints("reading sources\nbook/gpt.md:3: WARNING: document isn't included\n") != []
    assert build.complaints("ValueError: no such thing") != []
    assert build.complaints(f"{build.KERNEL_NOTE}. All communication ...\nbuild succeeded.") == []


# Third-party scripts and fonts


def test_the_lock_names_no_download_address():
    lock = json.loads(vendor.LOCK.read_text(encoding="utf-8"))
    addresses = {name: entry["resolved"] for name, entry in lock["packages"].items() if "resolved" in entry}
    assert addresses == {}
    unchecked = [name for name, entry in lock["packages"].items() if name and "integrity" not in entry]
    assert unchecked == [], "packages without a checksum"


def test_nothing_is_fetched_twice(monkeypatch: pytest.MonkeyPatch):
    site.built()

    def fetch(folder: Path) -> Path:
        raise AssertionError("the network was asked for what is already there")

    monkeypatch.setattr(vendor, "npm_ci", fetch)
    assert vendor.vendor() is False


def test_a_failed_fetch_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
    for name in [name for name in os.environ if name.lower() in ("http_proxy", "https_proxy", "all_proxy")]:
        monkeypatch.delenv(name)
    before = sorted(vendor.VENDOR.rglob("*"))
    with pytest.raises(vendor.VendorError, match="Check the network and run the command again"):
        vendor.npm_ci(tmp_path)
    assert sorted(vendor.VENDOR.rglob("*")) == before


# Every page


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_one_title(name: str):
    headings = article(name).find_all("h1")
    assert len(headings) == 1
    title = page(name).title
    assert title is not None
    assert headings[0].get_text().rstrip("#").strip() in title.get_text()


@pytest.mark.parametrize("name", PAGES)
def test_a_figure_has_a_description_and_a_caption(name: str):
    for image in article(name).find_all("img"):
        assert image.get("alt", "").strip(), f"{image['src']} on {name} has no alt text"
        assert not image["alt"].startswith("_images/"), f"{image['src']} on {name} has its file name for alt text"
        figure = image.find_parent("figure")
        assert figure is not None, f"{image['src']} on {name} is not in a figure: give its cell a caption"
        caption = figure.find("figcaption")
        assert caption is not None and len(caption.get_text(strip=True)) > 20, f"{image['src']} on {name}: no caption"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_light(name: str):
    text = site.built() / f"{name}.html"
    images = {site.built() / unquote(image["src"]) for image in article(name).find_all("img")}
    total = text.stat().st_size + sum(image.stat().st_size for image in images)
    assert total <= PAGE_BUDGET, f"{name}: {total / KILOBYTE:.0f} kB of HTML and images"


@pytest.mark.parametrize("name", PAGES)
def test_links_inside_the_book_lead_somewhere(name: str):
    html = site.built()
    identifiers: dict[Path, set[str]] = {}
    broken = []
    for tag in page(name).find_all(["a", "link", "script", "img"]):
        address = tag.get("href") or tag.get("src")
        if not address or urlsplit(address).scheme or address.startswith("//"):
            continue
        parts = urlsplit(address)
        target = html / unquote(parts.path) if parts.path else html / f"{name}.html"
        if not target.is_file():
            broken.append(address)
        elif parts.fragment and target.suffix == ".html":
            if target not in identifiers:
                soup = BeautifulSoup(target.read_text(encoding="utf-8"), "html.parser")
                identifiers[target] = {tag["id"] for tag in soup.find_all(id=True)}
            if unquote(parts.fragment) not in identifiers[target]:
                broken.append(address)
    assert broken == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_asks_no_other_site_for_anything(name: str):
    outside = [
        address
        for tag in page(name).find_all(["script", "link", "img", "iframe", "source", "video", "audio", "object"])
        for address in (tag.get("src"), tag.get("href"), tag.get("data"))
        if address and (urlsplit(address).netloc or address.startswith("//"))
        if "canonical" not in (tag.get("rel") or [])
    ]
    assert outside == []


def test_no_stylesheet_asks_another_site_for_anything():
    imported = re.compile(r"""(?:@import\s+|url\(\s*)["']?(?:https?:)?//""")
    sheets = list(site.built().rglob("*.css"))
    assert len(sheets) > 5
    assert [sheet.name for sheet in sheets if imported.search(sheet.read_text(encoding="utf-8"))] == []


def test_only_pages_with_a_control_or_mathematics_load_what_these_need():
    for name in PAGES:
        soup = page(name)
        scripts = " ".join(script.get("src", "") for script in soup.find_all("script"))
        has_control = soup.find("script", type="application/vnd.jupyter.widget-view+json") is not None
        has_mathematics = soup.find(class_="math") is not None
        assert ("controls.js" in scripts) == has_control, name
        assert (soup.select_one("noscript .control-failed") is not None) == has_control, name
        assert ("mathjax" in scripts) == has_mathematics, name
        assert "embed-amd" not in scripts and "require.js" not in scripts, name


# Addresses


def test_the_repository_has_one_address():
    project = tomllib.loads((site.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert configuration()["repository"]["url"] == project["project"]["urls"]["Repository"]


def test_a_place_that_is_not_configured_has_no_button():
    hub = {"JupyterHub": "https://hub.example/hub/user-redirect/course/open/gpt"}
    notebook = "exercises/gpt/gpt.ipynb"
    rest = {
        "Read the notebook": f"https://github.com/us/book/blob/main/{notebook}",
        "Binder": f"https://mybinder.org/v2/gh/us/book/main?labpath={notebook.replace('/', '%2F')}",
        "Colab": f"https://colab.research.google.com/github/us/book/blob/main/{notebook}",
    }
    published, ours = "https://github.com/us/book", configuration()["repository"]["url"]
    assert launch_links("gpt", published, "main", "https://hub.example/") == rest | hub
    assert launch_links("gpt", published, "main", "") == rest
    assert launch_links("gpt", ours, "main", "https://hub.example") == hub
    assert launch_links("gpt", ours, "main", "") == {}


@pytest.mark.parametrize("name", site.topics())
def test_a_chapter_leads_to_its_students_notebook(name: str):
    repository = configuration()["repository"]
    notebook = site.ROOT / "exercises" / name / f"{name}.ipynb"
    cards = article(name).find_all(class_="exercise-card")
    assert len(cards) == 1, f"{name} needs one exercise card"
    links = {link.get_text(): link["href"] for link in cards[0].find_all("a")}
    hub = os.environ.get("COURSE_HUB", configuration()["sphinx"]["config"]["course_hub"])
    assert links == launch_links(name, repository["url"], repository["branch"], hub)
    course = json.loads(notebook.read_text(encoding="utf-8"))["metadata"]["course"]
    shown = cards[0].get_text()
    assert course["title"] in shown
    assert f"{course['points']} points" in shown
    assert f"{course['minutes']} minutes" in shown
    # The buttons above the page lead to the same places, never to the page's own source.
    header = {link["href"] for link in page(name).select(".bd-header-article a[href^=http]")}
    assert set(links.values()) <= header


def test_every_assignment_has_a_chapter():
    assert set(site.topics()) <= set(PAGES)
