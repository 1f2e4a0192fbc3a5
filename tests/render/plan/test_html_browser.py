"""The HTML report in a real browser: it runs and fetches nothing, and fits a phone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.plan_models import EXAMPLES, HOSTILE
from tests.support.plans import PLANS
from tunedmodels.errors import Problem, Severity
from tunedmodels.render.options import RenderOptions
from tunedmodels.render.plan.html import plan_html, problems_html

ColorScheme = Literal["light", "dark"]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]

pytestmark = pytest.mark.skipif(
    not CHROMIUM and not os.environ.get("REQUIRE_BROWSER"),
    reason="no chromium on this machine, and REQUIRE_BROWSER is not set",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start Debian's Chromium; fail if it is required but not installed."""
    assert CHROMIUM, "REQUIRE_BROWSER is set, and no chromium is on the PATH: apt install chromium"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield opened
        opened.close()


class Visitor:
    """Opens pages at one width and records everything that the pages try to do."""

    def __init__(self, browser: Browser, folder: Path, scheme: ColorScheme, width: int) -> None:
        self._file = folder / "page.html"
        size = {"width": width, "height": 800}
        self._context = browser.new_context(color_scheme=scheme, viewport=size)  # type: ignore[arg-type]  # a TypedDict of the library's inside
        self.page: Page = self._context.new_page()
        self.attempts: list[str] = []
        self.page.on("request", lambda request: self.attempts.append(request.url))
        self.page.on("console", lambda message: self.attempts.append(message.text))
        self.page.on("pageerror", lambda error: self.attempts.append(str(error)))
        self.page.on("dialog", lambda dialog: self.attempts.append(dialog.message))

    def open(self, html: str) -> Page:
        """Open a page and clear the record."""
        self._file.write_text(html, encoding="utf-8")
        self.attempts.clear()
        self.page.goto(self._file.as_uri())
        self.attempts.remove(self._file.as_uri())
        return self.page

    def close(self) -> None:
        """Close the browser context."""
        self._context.close()


Visit = Callable[[ColorScheme, int], Visitor]


@pytest.fixture
def visit(browser: Browser, tmp_path: Path) -> Iterator[Visit]:
    """Return a factory of visitors, which are closed at the end."""
    visitors: list[Visitor] = []

    def create(scheme: ColorScheme, width: int) -> Visitor:
        visitors.append(Visitor(browser, tmp_path, scheme, width))
        return visitors[-1]

    yield create
    for visitor in visitors:
        visitor.close()


OPTIONS = RenderOptions(dataset_diffs=EXAMPLES, max_examples=99)
PAGES = {name: plan_html(make(), OPTIONS) for name, make in PLANS.items()} | {
    "problems": problems_html(
        [Problem(HOSTILE, 3, HOSTILE, severity, "bad", HOSTILE, HOSTILE) for severity in Severity],
        environment=HOSTILE,
    )
}
FORBIDDEN = "script, img, iframe, object, embed, link, a, form, [style], [onerror], [onclick], base"


def test_a_page_runs_and_fetches_nothing(visit: Visit) -> None:
    visitor = visit("light", 1100)
    for name, html in PAGES.items():
        page = visitor.open(html)
        assert page.locator(FORBIDDEN).count() == 0, name
        assert page.locator("h1").is_visible()
        assert visitor.attempts == [], name


def test_untrusted_text_is_shown_literally(visit: Visit) -> None:
    page = visit("light", 1100).open(PAGES["hostile"])
    assert "<script>alert(1)</script><img src=//evil onerror=alert(1)> @team" in page.inner_text(
        "body"
    )
    assert page.locator(".former .output").first.inner_text().startswith("\\x1b[31mred")


def test_a_page_fits_a_phone_without_horizontal_scrolling(visit: Visit) -> None:
    visitor = visit("dark", 390)
    for name, html in PAGES.items():
        page = visitor.open(html)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 390, name
        cut = page.evaluate(
            "[...document.querySelectorAll('main *')].filter(element =>"
            " element.getBoundingClientRect().right > innerWidth + 1).length"
        )
        assert cut == 0, name


def test_the_policy_allows_only_the_style_sheet(visit: Visit) -> None:
    visitor = visit("light", 1100)
    page = visitor.open(
        PAGES["update"].replace(
            "</main>", "<script>document.title = 'ran'</script><img src='https://evil/x'></main>"
        )
    )
    assert page.title() != "ran"
    assert len([text for text in visitor.attempts if "Content Security Policy" in text]) == 2
    assert (
        page.locator(".card").evaluate("element => getComputedStyle(element).borderRadius") != "0px"
    )


def test_the_colours_follow_the_colour_scheme(visit: Visit) -> None:
    colours = (
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    schemes: tuple[ColorScheme, ...] = ("light", "dark")
    light, dark = (
        visit(scheme, 1100).open(PAGES["create"]).evaluate(colours) for scheme in schemes
    )
    assert light == ["rgb(246, 247, 249)", "rgb(27, 36, 48)"]
    assert dark == ["rgb(17, 21, 27)", "rgb(228, 233, 240)"]


def test_folded_details_are_printed(visit: Visit) -> None:
    page = visit("light", 1100).open(PAGES["create"].replace(" open>", ">"))
    inside = page.locator(".inside").first
    assert not inside.is_visible()
    page.emulate_media(media="print")
    assert inside.is_visible()
