"""The library in a real browser: by mouse, by keyboard, on a phone, with live progress."""

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
from tests.support.embedded_service import PATH, body, listening, service
from tests.support.web_client import HOSTILE, KEYS
from tunedmodels.service.embedded import EmbeddedService
from tunedmodels.service.server import LoopbackOnly
from tunedmodels.service.web.app import Library

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
PATIENCE_MS = 30_000

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


class Served:
    """A service that really trains, behind its library, and a client of its API."""

    def __init__(self, opened: EmbeddedService, library: Library, url: str) -> None:
        self.opened, self.library, self.url = opened, library, url
        self.api = httpx.Client(base_url=url, timeout=30)

    def create(self, model_id: str, document: object = None) -> None:
        answer = self.api.post(f"{PATH}?tunedModelId={model_id}", json=document or body())
        assert answer.status_code == 200, answer.text


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with service(tmp_path / "store", jobs=1) as opened:
        opened.start()
        library = Library(opened.rooms, opened.app)
        with listening(LoopbackOnly(library.app)) as url:
            one = Served(opened, library, url)
            yield one
            library.close()
            one.api.close()


Visit = Callable[..., Page]


@pytest.fixture
def complaints() -> list[str]:
    """What the pages of visitors said to nobody: errors, violations of the policy, dialogs."""
    return []


@pytest.fixture
def visit(browser: Browser, complaints: list[str]) -> Iterator[Visit]:
    """Let visitors come; at the end, none of their pages may have complained of anything."""
    contexts = []

    def come(
        scheme: Literal["light", "dark"] = "light", width: int = 1280, *, scripts: bool = True
    ) -> Page:
        size = {"width": width, "height": 800}
        context = browser.new_context(
            color_scheme=scheme,
            viewport=size,  # type: ignore[arg-type]  # a TypedDict of the library's inside
            java_script_enabled=scripts,
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        return page

    yield come
    for context in contexts:
        context.close()
    assert complaints == []


def slow_rows(gate: Path, count: int = 20) -> str:
    """Examples whose job goes on, step by step, as long as it is let."""
    orders = f'{{"text_input": "pace=0.05 log={gate}", "output": "yes"}}'
    return "\n".join(
        [orders, *(f'{{"text_input": "in {n}", "output": "yes"}}' for n in range(count - 1))]
    )


def tune(page: Page, served: Served, data: str, name: str, epochs: int) -> None:
    """Fill the form, check, and start."""
    page.goto(f"{served.url}/tune")
    page.get_by_label("Paste them").fill(data)
    page.get_by_label("Display name").fill(name)
    page.get_by_label("Epochs").fill(str(epochs))
    page.get_by_role("button", name="Check the examples").click()
    expect(page.get_by_role("region", name="What was found")).to_contain_text("20 examples")
    page.get_by_role("button", name="Start tuning").click()
    page.wait_for_url("**/models/**")


def test_a_model_is_tuned_by_form_and_watched_to_its_end_without_a_reload(
    served: Served, visit: Visit, tmp_path: Path
) -> None:
    page = visit()
    tune(page, served, slow_rows(tmp_path / "log"), "Watched", epochs=6)
    page.evaluate("window.isTheSamePage = true")
    live = page.locator("#live")
    expect(live).to_contain_text(re.compile(r"Training: epoch \d of 6, step \d+ of 30, loss"))
    expect(live.locator("svg.curve")).to_be_visible()
    expect(live.locator(".chip")).to_have_text("Ready", timeout=PATIENCE_MS)
    expect(page.get_by_role("link", name="Ask it")).to_be_visible()
    expect(page.get_by_role("link", name="Cancel")).to_have_count(0)
    expect(page.locator("#versions .chip")).to_have_text("Ready")
    expect(page.locator("[data-news]")).to_contain_text("Ready")
    assert page.evaluate("window.isTheSamePage")


def test_the_list_follows_its_jobs(served: Served, visit: Visit, tmp_path: Path) -> None:
    orders = f"pace=0.05 log={tmp_path / 'log'}"
    served.create("a", body(orders, hyperparameters={"epochCount": 20}))
    served.create("b", body(orders, hyperparameters={"epochCount": 5}))
    page = visit()
    page.goto(served.url)
    row = page.locator('[data-running="a"]')
    expect(row.locator("[data-slot=epoch]")).not_to_have_text("0")
    expect(row.locator("[data-slot=loss]")).not_to_be_empty()
    expect(page.locator("#models .chip.ready")).to_have_count(2, timeout=PATIENCE_MS)


def test_a_job_is_cancelled_and_a_model_deleted_by_clicks(
    served: Served, visit: Visit, tmp_path: Path
) -> None:
    page = visit()
    tune(page, served, slow_rows(tmp_path / "log"), HOSTILE[:40], epochs=500)
    page.get_by_role("link", name="Cancel").click()
    page.get_by_role("link", name="Let it go on").click()
    page.get_by_role("link", name="Cancel").click()
    page.get_by_role("button", name="Cancel the job").click()
    expect(page.locator("#live .chip")).to_have_text("Cancelled")
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("link", name="Keep it").click()
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete for good").click()
    expect(page.get_by_text("The model was deleted.")).to_be_visible()
    expect(page.get_by_text("No models yet")).to_be_visible()


def test_a_page_whose_model_was_deleted_elsewhere_says_so(
    served: Served, visit: Visit, complaints: list[str], tmp_path: Path
) -> None:
    page = visit()
    tune(page, served, slow_rows(tmp_path / "log"), "Short-lived", epochs=500)
    listing = page.context.new_page()
    listing.goto(served.url)
    for one in (listing, page):
        one.bring_to_front()
    expect(page.locator("#live .chip")).to_have_text("Training")
    served.api.delete(page.url.replace("/models/", "/v1beta/tunedModels/")).raise_for_status()
    expect(page.get_by_role("heading", name="There is nothing here")).to_be_visible()
    listing.bring_to_front()
    expect(listing.get_by_text("No models yet")).to_be_visible()
    assert all("404" in complaint for complaint in complaints)
    complaints.clear()


def test_a_page_finds_its_server_again_after_a_restart(
    tmp_path: Path, visit: Visit, complaints: list[str]
) -> None:
    port = 0
    page = visit()
    for epochs_more in (False, True):
        with service(tmp_path / "store", jobs=1) as opened:
            opened.start()
            library = Library(opened.rooms, opened.app)
            with listening(library.app, port) as url:
                port = int(url.rpartition(":")[2])
                if not epochs_more:
                    one = Served(opened, library, url)
                    one.create("a", body(f"pace=0.05 log={tmp_path / 'log'}"))
                    one.api.close()
                    page.goto(f"{url}/models/a")
                    expect(page.locator("#live .chip")).to_have_text("Training")
                else:
                    expect(page.locator("#live .chip")).to_have_text("Ready", timeout=PATIENCE_MS)
                library.close()
    assert all("ERR_CONNECTION" in one or "ERR_INCOMPLETE" in one for one in complaints)
    complaints.clear()


def test_a_step_back_or_a_reload_sends_no_form_again(served: Served, visit: Visit) -> None:
    page = visit()
    tune(page, served, "\n".join('{"text_input": "a", "output": "b"}' for _ in range(20)), "A", 2)
    made = page.url
    page.reload()
    page.go_back()
    page.get_by_role("button", name="Start tuning").click()
    page.wait_for_url(made)
    page.get_by_role("link", name="Library").first.click()
    expect(page.locator("#models tbody tr")).to_have_count(1)


def test_a_question_is_asked_beside_the_former_version_and_the_base(
    served: Served, visit: Visit
) -> None:
    for model_id in ("one", "two"):
        served.create(model_id, body(displayName=HOSTILE[:40]))
    page = visit()
    page.goto(f"{served.url}/models/two")
    expect(page.get_by_role("link", name="Ask it")).to_be_visible()
    page.get_by_role("link", name="Ask it").click()
    page.get_by_label("Question").fill(HOSTILE)
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_role("article")).to_have_count(3)
    expect(page.get_by_role("article").first).to_contain_text("<script>alert('x')</script>")
    expect(page.get_by_role("article").last).to_contain_text("nothing was learned yet")


def paths(served: Served) -> list[str]:
    """Every kind of page, with hostile and long texts on it."""
    served.create("hostile", body(HOSTILE, displayName=HOSTILE[:40], description="W" * 500))
    served.create("long", body("W" * 500, displayName="W" * 40, description=HOSTILE))
    return [
        "/", "/tune", "/tune?like=hostile", "/models/hostile", "/models/long", "/models/long/ask",
        "/models/hostile/delete", "/models/hostile/cancel", "/?filter=nothing",
    ]  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_horizontal_scrolling(served: Served, visit: Visit, scheme: str) -> None:
    page = visit(scheme, 375)
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
def test_every_text_stands_out_from_its_ground(served: Served, visit: Visit, scheme: str) -> None:
    page = visit(scheme)
    for path in paths(served):
        page.goto(served.url + path)
        assert page.evaluate(CONTRAST) == [], path


def test_paper_and_ink_follow_the_reader(served: Served, visit: Visit) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        page = visit(scheme)
        page.goto(served.url)
        grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert grounds == ["rgb(246, 247, 249)", "rgb(17, 21, 27)"]


def test_the_keyboard_alone_tunes_a_model(served: Served, visit: Visit) -> None:
    page = visit()
    page.goto(served.url)
    press = page.keyboard.press

    def tab_to(name: str) -> None:
        """Go on until the focus is where a screen reader says `name`; it must be seen there."""
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
        raise AssertionError(f"the focus never came to {name}")

    tab_to("Skip to the content")
    press("Enter")
    tab_to("Tune a model")
    press("Enter")
    page.wait_for_url("**/tune")
    tab_to("Paste them")
    page.keyboard.insert_text("\n".join('{"text_input": "a", "output": "b"}' for _ in range(20)))
    tab_to("Check the examples")
    press("Enter")
    expect(page.get_by_role("region", name="What was found")).to_be_visible()
    tab_to("Start tuning")
    press("Enter")
    page.wait_for_url("**/models/**")
    expect(page.locator("#live .chip")).to_have_text("Ready", timeout=PATIENCE_MS)


def test_everything_has_a_name_for_a_screen_reader(served: Served, visit: Visit) -> None:
    page = visit()
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


def test_without_scripts_the_same_is_done(served: Served, visit: Visit) -> None:
    page = visit(scripts=False)
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
    page.get_by_role("button", name="Delete for good").click()
    expect(page.get_by_text("The model was deleted.")).to_be_visible()


def test_a_page_runs_no_script_but_its_own(
    served: Served, visit: Visit, complaints: list[str]
) -> None:
    page = visit()
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
    (complaint,) = complaints
    assert "Content Security Policy" in complaint
    complaints.clear()


def test_signing_in_and_out_by_the_form(browser: Browser, tmp_path: Path, visit: Visit) -> None:
    with service(tmp_path / "store", keys=KEYS) as opened:
        library = Library(opened.rooms, opened.app)
        with listening(library.app) as url:
            page = visit()
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
