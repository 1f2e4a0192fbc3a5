"""The library in a real browser: mouse, keyboard, phone, live progress."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support.counting_engine import BASE
from tests.support.embedded_service import PATH, body, serve_in_thread, service
from tests.support.web_client import HOSTILE, KEYS
from tunedmodels.service.embedded import EmbeddedService
from tunedmodels.service.server import LoopbackOnly
from tunedmodels.service.web.app import WebLibrary

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
CHROMIUM_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
TIMEOUT_MS = 30_000

pytestmark = pytest.mark.skipif(
    not CHROMIUM and not os.environ.get("REQUIRE_BROWSER"),
    reason="no chromium on this machine, and REQUIRE_BROWSER is not set",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; fails if REQUIRE_BROWSER is set and Chromium is not installed."""
    assert CHROMIUM, "REQUIRE_BROWSER is set, and chromium is not on the PATH: apt install chromium"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_OPTIONS)
        yield opened
        opened.close()


class Served:
    """A service that trains, with its library and a client of its API."""

    def __init__(self, opened: EmbeddedService, library: WebLibrary, url: str) -> None:
        self.opened, self.library, self.url = opened, library, url
        self.api = httpx.Client(base_url=url, timeout=30)

    def create(self, model_id: str, document: object = None) -> None:
        answer = self.api.post(f"{PATH}?tunedModelId={model_id}", json=document or body())
        assert answer.status_code == 200, answer.text


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with service(tmp_path / "store", jobs=1) as opened:
        opened.start()
        library = WebLibrary(opened.context, opened.app)
        with serve_in_thread(LoopbackOnly(library.app)) as url:
            server = Served(opened, library, url)
            yield server
            library.close()
            server.api.close()


OpenPage = Callable[..., Page]


@pytest.fixture
def page_messages() -> list[str]:
    """The console messages, errors and dialogs of all pages."""
    return []


@pytest.fixture
def open_page(browser: Browser, page_messages: list[str]) -> Iterator[OpenPage]:
    """Open pages; at the end, they must not have logged messages, errors or dialogs."""
    contexts = []

    def open_in_new_context(
        scheme: Literal["light", "dark"] = "light", width: int = 1280, *, scripts: bool = True
    ) -> Page:
        size = {"width": width, "height": 800}
        context = browser.new_context(
            color_scheme=scheme,
            viewport=size,  # type: ignore[arg-type]  # a private TypedDict of playwright
            java_script_enabled=scripts,
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("console", lambda message: page_messages.append(message.text))
        page.on("pageerror", lambda error: page_messages.append(str(error)))
        page.on("dialog", lambda dialog: page_messages.append(dialog.message))
        return page

    yield open_in_new_context
    for context in contexts:
        context.close()
    assert page_messages == []


def slow_rows(gate: Path, count: int = 20) -> str:
    """Return examples whose job trains slowly."""
    control = f'{{"text_input": "pace=0.05 log={gate}", "output": "yes"}}'
    return "\n".join(
        [control, *(f'{{"text_input": "in {n}", "output": "yes"}}' for n in range(count - 1))]
    )


def tune(page: Page, served: Served, data: str, name: str, epochs: int) -> None:
    """Fill in the form, check the examples, and start the job."""
    page.goto(f"{served.url}/tune")
    page.get_by_label("Paste them").fill(data)
    page.get_by_label("Display name").fill(name)
    page.get_by_label("Epochs").fill(str(epochs))
    page.get_by_role("button", name="Check the examples").click()
    expect(page.get_by_role("region", name="Preview")).to_contain_text("20 examples")
    page.get_by_role("button", name="Start tuning").click()
    page.wait_for_url("**/models/**")


def test_a_model_is_tuned_by_form_and_followed_to_its_end_without_a_reload(
    served: Served, open_page: OpenPage, tmp_path: Path
) -> None:
    page = open_page()
    tune(page, served, slow_rows(tmp_path / "log"), "Watched", epochs=6)
    page.evaluate("window.isTheSamePage = true")
    live = page.locator("#live")
    expect(live).to_contain_text(re.compile(r"Training: epoch \d of 6, step \d+ of 30, loss"))
    expect(live.locator("svg.curve")).to_be_visible()
    expect(live.locator(".chip")).to_have_text("Ready", timeout=TIMEOUT_MS)
    expect(page.get_by_role("link", name="Ask it")).to_be_visible()
    expect(page.get_by_role("link", name="Cancel")).to_have_count(0)
    expect(page.locator("#versions .chip")).to_have_text("Ready")
    expect(page.locator("[data-news]")).to_contain_text("Ready")
    assert page.evaluate("window.isTheSamePage")


def test_the_list_follows_its_jobs(served: Served, open_page: OpenPage, tmp_path: Path) -> None:
    control = f"pace=0.05 log={tmp_path / 'log'}"
    served.create("a", body(control, hyperparameters={"epochCount": 20}))
    served.create("b", body(control, hyperparameters={"epochCount": 5}))
    page = open_page()
    page.goto(served.url)
    row = page.locator('[data-running="a"]')
    expect(row.locator("[data-slot=epoch]")).not_to_have_text("0")
    expect(row.locator("[data-slot=loss]")).not_to_be_empty()
    expect(page.locator("#models .chip.ready")).to_have_count(2, timeout=TIMEOUT_MS)


def test_a_job_is_cancelled_and_a_model_deleted_by_clicks(
    served: Served, open_page: OpenPage, tmp_path: Path
) -> None:
    page = open_page()
    tune(page, served, slow_rows(tmp_path / "log"), HOSTILE[:40], epochs=500)
    page.get_by_role("link", name="Cancel").click()
    page.get_by_role("link", name="Keep it running").click()
    page.get_by_role("link", name="Cancel").click()
    page.get_by_role("button", name="Cancel the job").click()
    expect(page.locator("#live .chip")).to_have_text("Cancelled")
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("link", name="Keep it").click()
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete permanently").click()
    expect(page.get_by_text("The model was deleted.")).to_be_visible()
    expect(page.get_by_text("No models yet")).to_be_visible()


def test_a_page_shows_that_its_model_was_deleted_elsewhere(
    served: Served, open_page: OpenPage, page_messages: list[str], tmp_path: Path
) -> None:
    page = open_page()
    tune(page, served, slow_rows(tmp_path / "log"), "Short-lived", epochs=500)
    listing = page.context.new_page()
    listing.goto(served.url)
    for tab in (listing, page):
        tab.bring_to_front()
    expect(page.locator("#live .chip")).to_have_text("Training")
    served.api.delete(page.url.replace("/models/", "/v1beta/tunedModels/")).raise_for_status()
    expect(page.get_by_role("heading", name="Not found")).to_be_visible()
    listing.bring_to_front()
    expect(listing.get_by_text("No models yet")).to_be_visible()
    assert all("404" in page_message for page_message in page_messages)
    page_messages.clear()


def test_a_page_reconnects_after_a_restart_of_the_server(
    tmp_path: Path, open_page: OpenPage, page_messages: list[str]
) -> None:
    port = 0
    page = open_page()
    for is_restarted in (False, True):
        with service(tmp_path / "store", jobs=1) as opened:
            opened.start()
            library = WebLibrary(opened.context, opened.app)
            with serve_in_thread(library.app, port) as url:
                port = int(url.rpartition(":")[2])
                if not is_restarted:
                    server = Served(opened, library, url)
                    server.create("a", body(f"pace=0.05 log={tmp_path / 'log'}"))
                    server.api.close()
                    page.goto(f"{url}/models/a")
                    expect(page.locator("#live .chip")).to_have_text("Training")
                else:
                    expect(page.locator("#live .chip")).to_have_text("Ready", timeout=TIMEOUT_MS)
                library.close()
    assert all("ERR_CONNECTION" in text or "ERR_INCOMPLETE" in text for text in page_messages)
    page_messages.clear()


def test_going_back_or_reloading_does_not_resubmit_a_form(
    served: Served, open_page: OpenPage
) -> None:
    page = open_page()
    tune(page, served, "\n".join('{"text_input": "a", "output": "b"}' for _ in range(20)), "A", 2)
    model_url = page.url
    page.reload()
    page.go_back()
    page.get_by_role("button", name="Start tuning").click()
    page.wait_for_url(model_url)
    page.get_by_role("link", name="Library").first.click()
    expect(page.locator("#models tbody tr")).to_have_count(1)


def test_a_question_is_also_sent_to_the_previous_version_and_the_base(
    served: Served, open_page: OpenPage
) -> None:
    for model_id in ("one", "two"):
        served.create(model_id, body(displayName=HOSTILE[:40]))
    page = open_page()
    page.goto(f"{served.url}/models/two")
    expect(page.get_by_role("link", name="Ask it")).to_be_visible()
    page.get_by_role("link", name="Ask it").click()
    page.get_by_label("Question").fill(HOSTILE)
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_role("article")).to_have_count(3)
    expect(page.get_by_role("article").first).to_contain_text("<script>alert('x')</script>")
    expect(page.get_by_role("article").last).to_contain_text("no training step is done yet")


def paths(served: Served) -> list[str]:
    """Return a path of every kind of page, with hostile and long texts."""
    served.create("hostile", body(HOSTILE, displayName=HOSTILE[:40], description="W" * 500))
    served.create("long", body("W" * 500, displayName="W" * 40, description=HOSTILE))
    return [
        "/", "/tune", "/tune?like=hostile", "/models/hostile", "/models/long", "/models/long/ask",
        "/models/hostile/delete", "/models/hostile/cancel", "/?filter=nothing",
    ]  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_horizontal_scrolling(
    served: Served, open_page: OpenPage, scheme: str
) -> None:
    page = open_page(scheme, 375)
    for path in paths(served):
        page.goto(served.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 375, path
        cut = page.evaluate(
            "[...document.querySelectorAll('main *, header *')].filter(one =>"
            " !one.closest('.scroll') && !one.closest('.hidden, svg')"
            " && one.getBoundingClientRect().right > innerWidth + 1).length"
        )
        assert cut == 0, path


CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgb = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0);
  const behind = (one) => {
    for (let each = one; each; each = each.parentElement) {
      const colour = rgb(getComputedStyle(each).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const one of document.querySelectorAll("body *")) {
    const says = [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!says || one.closest("svg, .hidden, .skip, noscript") || !one.checkVisibility()) continue;
    const [a, b] = [light(rgb(getComputedStyle(one).color)), light(behind(one))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) faint.push(`${one.tagName} ${one.className} ${ratio.toFixed(2)}`);
  }
  return faint;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_enough_contrast(served: Served, open_page: OpenPage, scheme: str) -> None:
    page = open_page(scheme)
    for path in paths(served):
        page.goto(served.url + path)
        assert page.evaluate(CONTRAST) == [], path


def test_the_colours_follow_the_preferred_scheme(served: Served, open_page: OpenPage) -> None:
    backgrounds = []
    for scheme in ("light", "dark"):
        page = open_page(scheme)
        page.goto(served.url)
        backgrounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert backgrounds == ["rgb(246, 247, 249)", "rgb(17, 21, 27)"]


def test_a_model_is_tuned_with_the_keyboard_only(served: Served, open_page: OpenPage) -> None:
    page = open_page()
    page.goto(served.url)
    press = page.keyboard.press

    def tab_to(name: str) -> None:
        """Press Tab until an element with the label `name` has the focus, which must be visible."""
        for _ in range(40):
            press("Tab")
            focused = page.locator(":focus")
            label = focused.evaluate(
                "one => one.labels?.[0]?.innerText || one.innerText || one.ariaLabel || ''"
            )
            if name in label:
                outline = focused.evaluate("one => getComputedStyle(one).outlineStyle")
                assert outline != "none", name
                return
        raise AssertionError(f"{name} never had the focus")

    tab_to("Skip to the content")
    press("Enter")
    tab_to("Tune a model")
    press("Enter")
    page.wait_for_url("**/tune")
    tab_to("Paste them")
    page.keyboard.insert_text("\n".join('{"text_input": "a", "output": "b"}' for _ in range(20)))
    tab_to("Check the examples")
    press("Enter")
    expect(page.get_by_role("region", name="Preview")).to_be_visible()
    tab_to("Start tuning")
    press("Enter")
    page.wait_for_url("**/models/**")
    expect(page.locator("#live .chip")).to_have_text("Ready", timeout=TIMEOUT_MS)


def test_every_element_has_a_name_for_screen_readers(served: Served, open_page: OpenPage) -> None:
    page = open_page()
    for path in paths(served):
        page.goto(served.url + path)
        nameless = page.evaluate(
            "[...document.querySelectorAll('input:not([type=hidden]), select, textarea, a, button,"
            " table, svg[role=img], progress, nav, [role=region]')].filter(one =>"
            " !(one.labels?.length || one.ariaLabel || one.textContent?.trim() || one.caption"
            " || one.getAttribute('aria-labelledby'))).map(one => one.outerHTML)"
        )
        assert nameless == [], path
        for landmark in ("banner", "main", "contentinfo"):
            expect(page.get_by_role(landmark)).to_have_count(1)
        expect(page.get_by_role("heading", level=1)).to_have_count(1)
        ids = page.evaluate("[...document.querySelectorAll('[id]')].map(one => one.id)")
        assert len(ids) == len(set(ids)), path


def test_the_pages_work_without_scripts(served: Served, open_page: OpenPage) -> None:
    page = open_page(scripts=False)
    page.goto(f"{served.url}/tune")
    page.get_by_label("or choose a file").set_input_files(
        {
            "name": "a.csv",
            "mimeType": "text/csv",
            "buffer": b"text_input,output\n" + b"a,b\n" * 20,
        }
    )
    page.get_by_role("button", name="Check the examples").click()
    page.get_by_role("button", name="Start tuning").click()
    page.wait_for_url("**/models/**")
    expect(page.get_by_role("heading", name="Loss")).to_be_visible()
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete permanently").click()
    expect(page.get_by_text("The model was deleted.")).to_be_visible()


def test_a_page_runs_only_its_own_script(
    served: Served, open_page: OpenPage, page_messages: list[str]
) -> None:
    page = open_page()
    page.goto(served.url)
    outcome = page.evaluate(
        """() => new Promise((done) => {
          document.addEventListener("securitypolicyviolation", (event) =>
            done(event.effectiveDirective));
          const script = document.createElement("script");
          script.textContent = "document.title = 'ran'";
          document.body.append(script);
          setTimeout(() => done("nothing"), 1000);
        })"""
    )
    assert outcome == "script-src-elem"
    assert page.title() != "ran"
    (page_message,) = page_messages
    assert "Content Security Policy" in page_message
    page_messages.clear()


def test_sign_in_and_sign_out_by_form(
    browser: Browser, tmp_path: Path, open_page: OpenPage
) -> None:
    with service(tmp_path / "store", keys=KEYS) as opened:
        library = WebLibrary(opened.context, opened.app)
        with serve_in_thread(library.app) as url:
            page = open_page()
            page.goto(f"{url}/tune")
            page.get_by_label("API key").fill("key-of-the-owner")
            page.get_by_role("button", name="Sign in").click()
            page.wait_for_url("**/tune")
            expect(page.get_by_role("banner")).to_contain_text("ana@example.com")
            expect(page.get_by_text(BASE)).to_be_visible()
            assert page.evaluate("document.cookie") == ""
            page.get_by_role("button", name="Sign out").click()
            page.wait_for_url("**/sign-in")
            page.goto(url)
            expect(page.get_by_label("API key")).to_be_visible()
            library.close()
