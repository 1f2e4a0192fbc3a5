"""The comment: its levels, its marker, problems in its place, and text that must not act in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tests.support.builders import desired, planned
from tests.support.paths import GOLDEN as GOLDEN_FOLDER
from tests.support.plans import EXAMPLES, PLANS
from tunedmodels.errors import Problem, Severity
from tunedmodels.plan.plan import Plan
from tunedmodels.render.layout import clean, cut
from tunedmodels.render.markup import code, fenced, link, prose, tagged
from tunedmodels.render.plan.markdown import LEVELS, Level, marker, plan_markdown, read_marker
from tunedmodels.render.problems import problems_markdown

GOLDEN = GOLDEN_FOLDER / "comment"
GFM = MarkdownIt("commonmark", {"html": True}).enable("table")
NO_WIDTH = "\N{ZERO WIDTH SPACE}"


def many(count: int) -> Plan:
    """A plan of many creates."""
    return planned([desired(f"model-{number:04}") for number in range(count)])


# --- levels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", LEVELS)
def test_every_level_shows_less(level: Level, golden: Callable[[Path, str], None]) -> None:
    text = plan_markdown(PLANS["replace"](), examples=EXAMPLES, level=level, full_url="https://x/1")
    golden(GOLDEN / f"level-{level}.md", re.sub(r"tunedmodels \d\S+", "tunedmodels VERSION", text))


@pytest.mark.parametrize(("count", "level"), [(3, "full"), (220, "no-fields"), (420, "table"),
                                              (2000, "summary")])  # fmt: skip
def test_what_does_not_fit_is_left_out_by_levels(count: int, level: str) -> None:
    text = plan_markdown(many(count))
    assert len(text.encode()) <= 60_000
    assert (read_marker(text) or {})["level"] == level
    assert text.count("<details>") == text.count("</details>")
    assert "apply --digest" in text
    assert ("not the whole plan" in text) is (level != "full")


@settings(max_examples=15)
@given(budget=st.integers(8192, 70_000), count=st.integers(0, 60))
def test_the_budget_is_in_bytes_and_is_kept(budget: int, count: int) -> None:
    wide = planned([desired(f"m-{n}", preamble="質" * 40) for n in range(count)])
    assert len(plan_markdown(wide, budget=budget).encode()) <= budget


def test_a_budget_asks_for_no_more_detail_than_the_level() -> None:
    text = plan_markdown(PLANS["replace"](), examples=EXAMPLES, level="table")
    assert "```" not in text


def test_nothing_to_do_is_a_marker_and_a_heading() -> None:
    assert len(plan_markdown(PLANS["nothing"]()).splitlines()) == 2


def test_snippets_stand_only_where_they_are_given() -> None:
    plan = PLANS["replace"]()
    assert "invoice" in plan_markdown(plan, examples=EXAMPLES)
    assert "invoice" not in plan_markdown(plan) + plan_markdown(plan, examples=EXAMPLES, most=0)


@pytest.mark.parametrize("name", PLANS)
def test_every_comment_is_well_formed(name: str) -> None:
    html = GFM.render(plan_markdown(PLANS[name](), examples=EXAMPLES, head="abc"))
    opened = re.findall(r"<(script|img|a|iframe|svg|style|b|code|details|summary)\b", html)
    assert not {"script", "img", "a", "iframe", "svg", "style"} & set(opened)
    assert html.count("<details>") == html.count("</details>")
    assert not re.search(r"@(?=\w)", re.sub(r"<code.*?</code>", "", html, flags=re.DOTALL))


# --- marker ---------------------------------------------------------------------------------------


@given(st.text(), st.text(), st.text())
def test_a_marker_is_one_comment_and_comes_back(environment: str, head: str, digest: str) -> None:
    line = marker(environment=environment, digest=digest, head=head, level="table", project="demo")
    assert line.isascii()
    assert line.isprintable()
    assert line.count("-->") == line.count("<") == line.count(">") == 1
    assert read_marker(f"{line}\n### and so on") == {
        "v": 1, "env": environment, "digest": digest, "head": head, "level": "table",
        "project": "demo",
    }  # fmt: skip


@pytest.mark.parametrize(
    "body", ["", "### hello", "<!-- tunedmodels:plan nonsense -->", "<!-- tunedmodels:plan [1] -->",
             '<!-- tunedmodels:plan {"v":2} -->', f"\n{marker(environment='prod')}"]
)  # fmt: skip
def test_what_is_no_marker_of_ours_is_none(body: str) -> None:
    assert read_marker(body) is None


# --- text that must not act -----------------------------------------------------------------------

hostile = st.text(
    st.sampled_from("`*_[]()<>|~$@#!&\\\"'{}:/.w-+ \n\r\t\x00\x1b\u202e\u200bab1") | st.characters()
)


def shown(html: str) -> str:
    """What a person reads of one paragraph."""
    inside = html.strip().removeprefix("<p>").removesuffix("</p>")
    assert "<" not in inside.replace("<code>", "").replace("</code>", ""), html
    for sign, name in (("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("&", "&amp;")):
        inside = inside.replace(name, sign)
    return inside.replace("<code>", "").replace("</code>", "").replace(NO_WIDTH, "")


@given(hostile)
def test_words_in_prose_are_only_words(text: str) -> None:
    html = GFM.render(f"x{prose(text)}x")
    assert shown(html) == f"x{cut(text, 400)}x"
    assert not re.search(r"@\w|#\d|://|\bwww\.", html)


@given(hostile)
def test_words_in_code_are_only_words(text: str) -> None:
    inside = re.search("<code>(.*)</code>", GFM.render(f"x {code(text)} x"))
    assert inside
    assert shown(inside[1]).strip() == cut(text).strip()


@given(hostile)
def test_a_cell_stays_a_cell(text: str) -> None:
    table = f"| a | b |\n|---|---|\n| {code(text, in_table=True)} | {prose(text)} |\n| c | d |\n"
    html = GFM.render(table)
    assert html.count("<tr>") == 3
    assert html.count("<td>") == 4


@given(st.lists(hostile, max_size=4))
def test_no_line_ends_its_fence(texts: Sequence[str]) -> None:
    lines = [clean(text) for text in texts]
    (block,) = GFM.parse("\n".join(fenced(lines)))
    assert block.type == "fence"
    assert block.content == "".join(f"{line}\n" for line in lines)


@given(hostile)
def test_words_in_an_element_are_only_words(text: str) -> None:
    inside = tagged(text).removeprefix("<code>").removesuffix("</code>")
    assert not re.search("[<>]", inside)


def test_an_address_cannot_leave_its_link() -> None:
    (inline,) = (
        t for t in GFM.parse(link("all", "https://x/1) <b>\n[x](y)")) if t.type == "inline"
    )
    assert [token.type for token in inline.children or ()] == ["link_open", "text", "link_close"]


# --- problems in its place ------------------------------------------------------------------------

EVIL = "<b>@team</b> said\n```\n/close | `x`"
PROBLEMS = [
    Problem("m/tone.yaml", 7, "spec.temperature", Severity.ERROR, "bad", "is too hot", "Set 0.7."),
    Problem("m/tone.yaml", 0, "", Severity.ERROR, "bad", EVIL, f"{EVIL}\ntunedmodels plan"),
    Problem("m/data/a.jsonl", 3, "", Severity.WARNING, "duplicate", "says the same as line 1"),
    Problem("m/data/a.jsonl", 0, "", Severity.ADVICE, "few", "has 24 examples"),
]
STATES: dict[str, Callable[[], str]] = {
    "problems": lambda: problems_markdown(PROBLEMS, environment="prod", head="3c9d2e1"),
    "no-problems": lambda: problems_markdown([]),
}


@pytest.mark.parametrize("name", STATES)
def test_a_state_is_the_golden_file(name: str, golden: Callable[[Path, str], None]) -> None:
    text = STATES[name]()
    golden(GOLDEN / f"{name}.md", text)
    assert read_marker(text)
    html = GFM.render(text)
    assert "<b>@" not in html
    assert not re.search(r"^/close", text, re.MULTILINE)


def test_every_golden_file_has_its_state() -> None:
    levels = {f"level-{level}.md" for level in LEVELS}
    assert {path.name for path in GOLDEN.iterdir()} == levels | {f"{name}.md" for name in STATES}


def test_problems_that_do_not_fit_are_counted() -> None:
    problems = [
        Problem("a.yaml", line, "", Severity.ERROR, "bad", "wrong " * 60) for line in range(5000)
    ]
    text = problems_markdown(problems)
    assert len(text.encode()) <= 60_000
    assert "5000 errors" in text
    written = text.count("> - `a.yaml")
    assert f"and {5000 - written} more" in text
