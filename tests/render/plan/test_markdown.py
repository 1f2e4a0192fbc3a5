"""The plan comment: its levels of detail, problems in its place, and the escaping of text."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tests.support.builders import desired, plan_for
from tests.support.paths import GOLDEN as GOLDEN_FOLDER
from tests.support.plan_models import EXAMPLES
from tests.support.plans import PLANS
from tunedmodels.errors import Problem, Severity
from tunedmodels.forges.plan_comment import Marker
from tunedmodels.plan.plan import Plan
from tunedmodels.render.layout import cut
from tunedmodels.render.markup import code, code_block, html_code, link, prose
from tunedmodels.render.options import DETAIL_LEVELS, DetailLevel, RenderOptions
from tunedmodels.render.plan.markdown import plan_markdown
from tunedmodels.render.problems import problems_markdown
from tunedmodels.text import printable

GOLDEN = GOLDEN_FOLDER / "comment"
WITH_EXAMPLES = RenderOptions(dataset_diffs=EXAMPLES)
GFM = MarkdownIt("commonmark", {"html": True}).enable("table")
NO_WIDTH = "\N{ZERO WIDTH SPACE}"


def many(count: int) -> Plan:
    """A plan of many creates."""
    return plan_for([desired(f"model-{number:04}") for number in range(count)])


@pytest.mark.parametrize("level", DETAIL_LEVELS)
def test_every_level_equals_its_golden_file(
    level: DetailLevel, golden: Callable[[Path, str], None]
) -> None:
    options = replace(WITH_EXAMPLES, level=level, full_url="https://x/1")
    text = plan_markdown(PLANS["replace"](), options)
    golden(GOLDEN / f"level-{level}.md", re.sub(r"tunedmodels \d\S+", "tunedmodels VERSION", text))


@pytest.mark.parametrize(("count", "level"), [(3, "full"), (220, "no-fields"), (420, "table"),
                                              (2000, "summary")])  # fmt: skip
def test_a_large_plan_gets_a_lower_level_of_detail(count: int, level: str) -> None:
    text = plan_markdown(many(count))
    assert len(text.encode()) <= 60_000
    marker = Marker.parse(text)
    assert marker
    assert marker.level == level
    assert text.count("<details>") == text.count("</details>")
    assert "apply --digest" in text
    assert ("not the whole plan" in text) is (level != "full")


@settings(max_examples=15)
@given(max_bytes=st.integers(8192, 70_000), count=st.integers(0, 60))
def test_the_limit_counts_bytes(max_bytes: int, count: int) -> None:
    wide = plan_for([desired(f"m-{n}", preamble="質" * 40) for n in range(count)])
    assert len(plan_markdown(wide, RenderOptions(max_bytes=max_bytes)).encode()) <= max_bytes


def test_the_comment_shows_no_more_than_the_level_in_the_options() -> None:
    text = plan_markdown(PLANS["replace"](), replace(WITH_EXAMPLES, level="table"))
    assert "```" not in text


def test_a_plan_without_changes_is_a_marker_and_a_heading() -> None:
    assert len(plan_markdown(PLANS["nothing"]()).splitlines()) == 2


def test_examples_are_shown_only_if_they_are_passed() -> None:
    plan = PLANS["replace"]()
    assert "invoice" in plan_markdown(plan, WITH_EXAMPLES)
    assert "invoice" not in plan_markdown(plan)
    assert "invoice" not in plan_markdown(plan, replace(WITH_EXAMPLES, max_examples=0))


@pytest.mark.parametrize("name", PLANS)
def test_every_comment_is_well_formed(name: str) -> None:
    html = GFM.render(plan_markdown(PLANS[name](), replace(WITH_EXAMPLES, head="abc")))
    opened = re.findall(r"<(script|img|a|iframe|svg|style|b|code|details|summary)\b", html)
    assert not {"script", "img", "a", "iframe", "svg", "style"} & set(opened)
    assert html.count("<details>") == html.count("</details>")
    assert not re.search(r"@(?=\w)", re.sub(r"<code.*?</code>", "", html, flags=re.DOTALL))


hostile = st.text(
    st.sampled_from("`*_[]()<>|~$@#!&\\\"'{}:/.w-+ \n\r\t\x00\x1b\u202e\u200bab1") | st.characters()
)


def read_paragraph(html: str) -> str:
    """Return the visible text of one paragraph."""
    inside = html.strip().removeprefix("<p>").removesuffix("</p>")
    assert "<" not in inside.replace("<code>", "").replace("</code>", ""), html
    for sign, name in (("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("&", "&amp;")):
        inside = inside.replace(name, sign)
    return inside.replace("<code>", "").replace("</code>", "").replace(NO_WIDTH, "")


@given(hostile)
def test_prose_is_plain_text(text: str) -> None:
    html = GFM.render(f"x{prose(text)}x")
    assert read_paragraph(html) == f"x{cut(text, 400)}x"
    assert not re.search(r"@\w|#\d|://|\bwww\.", html)


@given(hostile)
def test_code_is_plain_text(text: str) -> None:
    inside = re.search("<code>(.*)</code>", GFM.render(f"x {code(text)} x"))
    assert inside
    assert read_paragraph(inside[1]).strip() == cut(text).strip()


@given(hostile)
def test_no_text_ends_its_table_cell(text: str) -> None:
    table = f"| a | b |\n|---|---|\n| {code(text, in_table=True)} | {prose(text)} |\n| c | d |\n"
    html = GFM.render(table)
    assert html.count("<tr>") == 3
    assert html.count("<td>") == 4


@given(st.lists(hostile, max_size=4))
def test_no_line_ends_its_code_block(texts: Sequence[str]) -> None:
    lines = [printable(text) for text in texts]
    (block,) = GFM.parse("\n".join(code_block(lines)))
    assert block.type == "fence"
    assert block.content == "".join(f"{line}\n" for line in lines)


@given(hostile)
def test_html_code_is_plain_text(text: str) -> None:
    inside = html_code(text).removeprefix("<code>").removesuffix("</code>")
    assert not re.search("[<>]", inside)


def test_no_url_ends_its_link() -> None:
    (inline,) = (
        t for t in GFM.parse(link("all", "https://x/1) <b>\n[x](y)")) if t.type == "inline"
    )
    assert [token.type for token in inline.children or ()] == ["link_open", "text", "link_close"]


EVIL = "<b>@team</b> said\n```\n/close | `x`"
PROBLEMS = [
    Problem("m/tone.yaml", 7, "spec.temperature", Severity.ERROR, "bad", "is too hot", "Set 0.7."),
    Problem("m/tone.yaml", 0, "", Severity.ERROR, "bad", EVIL, f"{EVIL}\ntunedmodels plan"),
    Problem("m/data/a.jsonl", 3, "", Severity.WARNING, "duplicate", "is the same as line 1"),
    Problem("m/data/a.jsonl", 0, "", Severity.ADVICE, "few", "has 24 examples"),
]
STATES: dict[str, Callable[[], str]] = {
    "problems": lambda: problems_markdown(PROBLEMS, environment="prod", head="3c9d2e1"),
    "no-problems": lambda: problems_markdown([]),
}


@pytest.mark.parametrize("name", STATES)
def test_the_comment_of_problems_equals_its_golden_file(
    name: str, golden: Callable[[Path, str], None]
) -> None:
    text = STATES[name]()
    golden(GOLDEN / f"{name}.md", text)
    assert Marker.parse(text)
    html = GFM.render(text)
    assert "<b>@" not in html
    assert not re.search(r"^/close", text, re.MULTILINE)


def test_every_golden_file_has_a_state() -> None:
    levels = {f"level-{level}.md" for level in DETAIL_LEVELS}
    assert {path.name for path in GOLDEN.iterdir()} == levels | {f"{name}.md" for name in STATES}


def test_problems_that_do_not_fit_are_counted() -> None:
    problems = [
        Problem("a.yaml", line, "", Severity.ERROR, "bad", "wrong " * 60) for line in range(5000)
    ]
    text = problems_markdown(problems)
    assert len(text.encode()) <= 60_000
    assert "5,000 errors" in text
    written = text.count("> - `a.yaml")
    assert f"and {5000 - written:,} more" in text
