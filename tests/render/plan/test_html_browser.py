"""The HTML report in a real browser: nothing runs, nothing is fetched, a phone can read it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.plans import EXAMPLES, HOSTILE, PLANS
from tunedmodels.errors import Problem, Severity
from tunedmodels.render.plan.html import plan_page, problems_page

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
    """Debian's Chromium; where one is required and there is none, this fails."""
    assert CHROMIUM, "REQUIRE_BROWSER is set, and no chromium is on the PATH: apt install chromium"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield opened
        opened.close()


class Visitor:
    """A person who opens pages at one width, and everything that the pages tried to do."""

    def __init__(self, browser: Browser, folder: Path, scheme: ColorScheme, width: int) -> None:
        self._file = folder / "page.html"
        size = {"width": width, "height": 800}
        self._context = browser.new_context(color_scheme=scheme, viewport=size)  # type: ignore[arg-type]  # a TypedDict of the library's inside
        self.page: Page = self._context.new_page()
        self.tried: list[str] = []
        self.page.on("request", lambda request: self.tried.append(request.url))
        self.page.on("console", lambda message: self.tried.append(message.text))
        self.page.on("pageerror", lambda error: self.tried.append(str(error)))
        self.page.on("dialog", lambda dialog: self.tried.append(dialog.message))

    def open(self, html: str) -> Page:
        """Open a page; what was tried before is forgotten."""
        self._file.write_text(html, encoding="utf-8")
        self.tried.clear()
        self.page.goto(self._file.as_uri())
        self.tried.remove(self._file.as_uri())
        return self.page

    def close(self) -> None:
        """Go away."""
        self._context.close()


Visit = Callable[[ColorScheme, int], Visitor]


@pytest.fixture
def visit(browser: Browser, tmp_path: Path) -> Iterator[Visit]:
    """Let visitors come, and go at the end."""
    visitors: list[Visitor] = []

    def come(scheme: ColorScheme, width: int) -> Visitor:
        visitors.append(Visitor(browser, tmp_path, scheme, width))
        return visitors[-1]

    yield come
    for visitor in visitors:
        visitor.close()


PAGES = {name: plan_page(make(), examples=EXAMPLES, most=99) for name, make in PLANS.items()} | {
    "problems": problems_page(
        [Problem(HOSTILE, 3, HOSTILE, severity, "bad", HOSTILE, HOSTILE) for severity in Severity],
        environment=HOSTILE,
    )
}
FORBIDDEN = "script, img, iframe, object, embed, link, a, form, [style], [onerror], [onclick], base"


def test_nothing_runs_and_nothing_leaves_the_page(visit: Visit) -> None:
    visitor = visit("light", 1100)
    for name, html in PAGES.items():
        page = visitor.open(html)
        assert page.locator(FORBIDDEN).count() == 0, name
        assert page.locator("h1").is_visible()
        assert visitor.tried == [], name


def test_the_text_of_others_is_shown_as_it_is(visit: Visit) -> None:
    page = visit("light", 1100).open(PAGES["hostile"])
    assert "<script>alert(1)</script><img src=//evil onerror=alert(1)> @team" in page.inner_text(
        "body"
    )
    assert page.locator(".former .output").first.inner_text().startswith("\\x1b[31mred")


def test_a_phone_needs_no_horizontal_scrolling(visit: Visit) -> None:
    visitor = visit("dark", 390)
    for name, html in PAGES.items():
        page = visitor.open(html)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 390, name
        cut = page.evaluate(
            "[...document.querySelectorAll('main *')].filter(one =>"
            " one.getBoundingClientRect().right > innerWidth + 1).length"
        )
        assert cut == 0, name


def test_the_policy_lets_the_style_sheet_in_and_nothing_else(visit: Visit) -> None:
    visitor = visit("light", 1100)
    page = visitor.open(
        PAGES["update"].replace(
            "</main>", "<script>document.title = 'ran'</script><img src='https://evil/x'></main>"
        )
    )
    assert page.title() != "ran"
    assert len([words for words in visitor.tried if "Content Security Policy" in words]) == 2
    assert page.locator(".card").evaluate("one => getComputedStyle(one).borderRadius") != "0px"


def test_paper_and_ink_follow_the_reader(visit: Visit) -> None:
    look = (
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    schemes: tuple[ColorScheme, ...] = ("light", "dark")
    light, dark = (visit(scheme, 1100).open(PAGES["create"]).evaluate(look) for scheme in schemes)
    assert light == ["rgb(246, 247, 249)", "rgb(27, 36, 48)"]
    assert dark == ["rgb(17, 21, 27)", "rgb(228, 233, 240)"]


def test_what_is_folded_is_printed_all_the_same(visit: Visit) -> None:
    page = visit("light", 1100).open(PAGES["create"].replace(" open>", ">"))
    inside = page.locator(".inside").first
    assert not inside.is_visible()
    page.emulate_media(media="print")
    assert inside.is_visible()
