"""Suggestions, plurals, lists, escapes and times."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunedmodels.text import join, nearest, plural, printable, suggest, utc_iso, utc_minute

NOON = datetime(2026, 11, 22, 12, 0, 30, 1500, tzinfo=UTC)


@pytest.mark.parametrize(
    ("word", "candidates", "expected"),
    [
        ("tonne", ["tone", "tune"], "tone"),
        ("base_model", ["baseModel", "tunedModel"], "baseModel"),
        ("epochs", ["batchSize", "epochCount"], "epochCount"),
        ("text", ["text_input", "output"], "text_input"),
        ("bee", ["tone", "tune"], ""),
        ("tone", [], ""),
        ("x" * 10_000, ["tone"], ""),
    ],
)
def test_nearest_ignores_case_and_separators_and_finds_parts(
    word: str, candidates: list[str], expected: str
) -> None:
    assert nearest(word, candidates) == expected
    assert suggest(word, candidates) == (f"Did you mean {expected}?" if expected else "")


def test_plural_uses_the_singular_for_one_only() -> None:
    assert [plural(count, "example") for count in (0, 1, 2)] == ["examples", "example", "examples"]
    assert plural(2, "change waits", "changes wait") == "changes wait"


def test_join_writes_a_list_as_in_a_sentence() -> None:
    assert join([]) == ""
    assert join(["a"]) == "a"
    assert join(["a", "b"]) == "a and b"
    assert join(iter("abc"), "or") == "a, b or c"


def test_printable_escapes_control_characters_and_optionally_keeps_newlines() -> None:
    assert printable("\x1b[31m\u202e\n") == "\\x1b[31m\\u202e\\n"
    assert printable("\x1b\n", keep_newlines=True) == "\\x1b\n"


@given(st.text())
def test_printable_text_is_printable(text: str) -> None:
    assert printable(text).isprintable()
    assert printable(text, keep_newlines=True).replace("\n", "").isprintable()


def test_times_are_in_utc() -> None:
    berlin = NOON.astimezone(timezone(timedelta(hours=1)))
    assert utc_iso(berlin) == "2026-11-22T12:00:30.001500Z"
    assert utc_iso(NOON.replace(microsecond=0)) == "2026-11-22T12:00:30Z"
    assert utc_iso(NOON.replace(microsecond=0), "milliseconds") == "2026-11-22T12:00:30.000Z"
    assert utc_minute(berlin) == "2026-11-22 12:00 UTC"


def test_importing_text_does_not_import_difflib() -> None:
    program = "import sys, tunedmodels.text; print('difflib' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert ended.stdout == b"False\n"
