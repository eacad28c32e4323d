"""The built book as a reader meets it, in a browser: desktop and phone, light and dark, mouse and keyboard."""

import gzip
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Response

from tests.long.browser import DESKTOP, PHONE, chromium, new_page, serve
from tests.support import site

pytestmark = pytest.mark.long

FIRST_VIEW_BUDGET = 1_500_000  # bytes, compressed
COMPRESSED_ALREADY = (".woff2", ".woff", ".png", ".jpg", ".safetensors")
CONTROL = ".control"
# A control's fields to type in, and what a reader may type there.
TYPED = {"text": "Unbelievable tokens: 12345!", "search": "a river", "number": "0.3"}
WITH_CONTROL = [name for name in site.chapters() if "labkit.widgets" in (site.BOOK / f"{name}.md").read_text()]
VIEWPORTS = [pytest.param(DESKTOP, id="desktop"), pytest.param(PHONE, id="phone")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serve(site.built()) as where:
        yield where


class Visit:
    """A page, opened, with everything it asked for and everything that went wrong."""

    def __init__(self, page: Page, address: str, name: str):
        self.page = page
        self.address = address
        self.responses: list[Response] = []
        self.troubles: list[str] = []
        page.on("request", lambda request: self.note_outside(request.url))
        page.on("response", self.note_response)
        page.on("pageerror", lambda error: self.troubles.append(f"script error: {error}"))
        page.on(
            "console",
            lambda message: self.troubles.append(f"console: {message.text}") if message.type == "error" else None,
        )
        page.goto(f"{address}/{name}.html")
        page.wait_for_load_state("networkidle")

    def note_outside(self, url: str) -> None:
        if not url.startswith((self.address, "data:", "blob:")):
            self.troubles.append(f"asked another site: {url}")

    def note_response(self, response: Response) -> None:
        self.responses.append(response)
        if response.status >= 400:
            self.troubles.append(f"{response.status}: {response.url}")

    def paths(self) -> list[str]:
        return [urlsplit(response.url).path for response in self.responses]

    def draw_control(self) -> None:
        """Scroll to the page's control and wait until it stands there."""
        self.page.locator(CONTROL).first.scroll_into_view_if_needed()
        self.page.wait_for_selector(f"{CONTROL} :is(textarea, input)", timeout=30_000)
        self.page.wait_for_load_state("networkidle")


def shown(page: Page) -> str:
    """What the page's control says and draws, without what the reader typed."""
    return page.evaluate(
        """() => {
            const control = document.querySelector(".control");
            const drawn = [...control.querySelectorAll("canvas")].map((canvas) => canvas.toDataURL());
            return [control.innerText, ...drawn].join("\\n");
        }"""
    )


def wait_for_change(page: Page, before: str) -> None:
    page.wait_for_function(
        """(before) => {
            const control = document.querySelector(".control");
            const drawn = [...control.querySelectorAll("canvas")].map((canvas) => canvas.toDataURL());
            return [control.innerText, ...drawn].join("\\n") !== before;
        }""",
        arg=before,
        timeout=20_000,
    )


def violations(page: Page) -> list[str]:
    """What axe-core finds serious or critical on the page as it stands."""
    # Colours that are still changing to another theme's are nobody's.
    page.evaluate("Promise.all(document.getAnimations().map((a) => a instanceof CSSTransition ? a.finished : null))")
    page.evaluate((site.BOOK / "_vendor" / "test" / "axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("axe.run({resultTypes: ['violations']}).then((results) => results.violations)")
    return [
        f"{violation['id']} ({violation['impact']}): {node['target']} {node['failureSummary']}"
        for violation in found
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


def test_every_topic_has_a_control():
    assert set(site.topics()) <= set(WITH_CONTROL)


@pytest.mark.parametrize("viewport", VIEWPORTS)
@pytest.mark.parametrize("name", site.contents())
def test_a_page_stands_on_its_own(browser: Browser, address: str, name: str, viewport: dict[str, int]):
    """In a light and a dark theme; on the phone it opens dark and turns light, as at dawn."""
    themes = ["light", "dark"] if viewport is DESKTOP else ["dark", "light"]
    with new_page(browser, viewport=viewport, dark=themes[0] == "dark") as page:
        visit = Visit(page, address, name)
        for theme in themes:
            page.emulate_media(color_scheme=theme)
            page.wait_for_function(f"document.documentElement.dataset.theme === '{theme}'")
            if name in WITH_CONTROL:
                visit.draw_control()
            assert visit.troubles == []
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= viewport["width"], f"{name} scrolls sideways: {width} pixels wide"
            assert violations(page) == [], theme


@pytest.mark.parametrize("name", site.contents())
def test_the_first_view_is_light(browser: Browser, address: str, name: str):
    with new_page(browser) as page:
        visit = Visit(page, address, name)
        sizes = {}
        for response in visit.responses:
            body = response.body() if response.status == 200 else b""
            path = urlsplit(response.url).path
            sizes[path] = len(body) if path.endswith(COMPRESSED_ALREADY) else len(gzip.compress(body))
        heaviest = sorted(sizes.items(), key=lambda item: -item[1])[:5]
        assert sum(sizes.values()) <= FIRST_VIEW_BUDGET, f"{name}: {sum(sizes.values())} bytes, most in {heaviest}"


@pytest.mark.parametrize("name", WITH_CONTROL)
def test_the_widget_manager_waits_until_it_is_needed(browser: Browser, address: str, name: str):
    with new_page(browser) as page:
        visit = Visit(page, address, name)
        away = page.locator(CONTROL).first.bounding_box()
        assert away is not None
        assert away["y"] > DESKTOP["height"] + 600, f"{name} has its control in the first view"
        assert [path for path in visit.paths() if "/widgets/" in path] == []
        visit.draw_control()
        assert [path.rsplit("/", 1)[-1] for path in visit.paths() if "/widgets/" in path] == [
            "require.js",
            "embed-amd.js",
            "anywidget.js",
        ]


@pytest.mark.parametrize("viewport", VIEWPORTS)
@pytest.mark.parametrize("name", WITH_CONTROL)
def test_a_control_answers_the_keyboard(browser: Browser, address: str, name: str, viewport: dict[str, int]):
    with new_page(browser, viewport=viewport, dark=viewport is PHONE) as page:
        visit = Visit(page, address, name)
        visit.draw_control()
        before = shown(page)
        # From the top of the text, by Tab alone.
        page.evaluate("document.querySelector('article h1 a').focus({preventScroll: true})")
        for _ in range(300):
            page.keyboard.press("Tab")
            kind = page.evaluate("document.activeElement.closest('.control textarea, .control input')?.type")
            if field := TYPED.get("text" if kind == "textarea" else kind):
                break
        else:
            pytest.fail("300 presses of Tab did not reach a field of the control to type in")
        page.keyboard.press("Control+A")
        page.keyboard.type(field)
        wait_for_change(page, before)
        assert visit.troubles == []


def test_the_theme_can_be_switched_by_keyboard(browser: Browser, address: str):
    with new_page(browser) as page:
        Visit(page, address, "index")
        assert page.evaluate("document.documentElement.dataset.theme") == "light"
        page.locator("button.theme-switch-button:visible").first.focus()
        seen = {page.evaluate("document.documentElement.dataset.theme")}
        for _ in range(3):
            page.keyboard.press("Enter")
            seen.add(page.evaluate("document.documentElement.dataset.theme"))
        assert seen == {"light", "dark"}


def test_search_finds_a_term(browser: Browser, address: str):
    with new_page(browser) as page:
        visit = Visit(page, address, "search")
        page.goto(f"{address}/search.html?q=residual")
        page.wait_for_selector("#search-results li a")
        assert "glossary.html" in " ".join(
            link.get_attribute("href") or "" for link in page.locator("#search-results li a").all()
        )
        assert visit.troubles == []
