"""Stamps: written to a description and read back, and text that only looks like a stamp."""

from __future__ import annotations

import string
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import builders
from tunedmodels import stamp as stamps
from tunedmodels.stamp import Stamp

KNOWN = {*Stamp.__slots__, "gate", "words", "by", "head", "tried", "sweep"}
WORD = st.text(string.ascii_letters + string.digits + "._:+-=/\"'<>{}(),é", min_size=1)
HEX = st.text("0123456789abcdef", min_size=64, max_size=64)
KEY = st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,11}", fullmatch=True).filter(
    lambda key: key not in KNOWN
)
TIMES = st.datetimes(
    datetime(1990, 1, 1),  # noqa: DTZ001  # the strategy adds the zone
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))]),
)

STAMPS = st.builds(
    Stamp,
    project=st.from_regex(r"[a-z][a-z0-9-]{0,29}[a-z0-9]", fullmatch=True),
    name=st.from_regex(r"[a-z][a-z0-9-]{0,29}[a-z0-9]", fullmatch=True),
    fingerprint=HEX,
    dataset=HEX,
    examples=st.integers(0, 10**6),
    preamble=st.sampled_from(["", "0badcafe"]),
    commit=st.one_of(st.just(""), WORD),
    attempt=st.integers(0, 99),
    protect=st.booleans(),
    retain=st.booleans(),
    promoted=st.one_of(st.none(), TIMES),
    score=st.one_of(st.just(""), WORD),
    gate_record=st.one_of(st.just(""), WORD),
    field_hashes=st.one_of(st.just(""), WORD),
    promoted_by=st.sampled_from(["", "hand"]),
    promoted_commit=st.one_of(st.just(""), WORD),
    unverified=st.booleans(),
    scored_by_sweep=st.sampled_from(["", "0badcafe0bad"]),
    chosen_by_sweeps=st.sampled_from(["", "0badcafe0bad,0ff0ff0ff0ff"]),
    unknown_keys=st.dictionaries(KEY, WORD, max_size=4).map(lambda pairs: tuple(pairs.items())),
)


@given(st.text(), STAMPS)
def test_text_and_stamp_are_read_back_unchanged(text: str, stamp: Stamp) -> None:
    assert stamps.parse_description(stamps.format_description(text, stamp)) == (text, stamp)


@given(st.text(), STAMPS, STAMPS)
def test_only_the_last_stamp_counts(text: str, first: Stamp, last: Stamp) -> None:
    inner = stamps.format_description(text, first)
    assert stamps.parse_description(stamps.format_description(inner, last)) == (inner, last)


@given(st.text(), STAMPS)
def test_a_promotion_changes_only_the_promotion_time(text: str, stamp: Stamp) -> None:
    promoted = stamp.promoted_at(
        builders.NOON, promoted_by=stamp.promoted_by, promoted_commit=stamp.promoted_commit
    )
    _, found = stamps.parse_description(stamps.format_description(text, promoted))
    assert found
    assert found.promoted == builders.NOON
    assert replace(found, promoted=stamp.promoted) == stamp


@given(st.text())
def test_a_description_without_a_stamp_is_all_text(text: str) -> None:
    assert stamps.parse_description(text) == (text, None)


def test_the_keys_of_a_stamp_do_not_change() -> None:
    # They are in the descriptions of all live models.
    full = builders.stamp(
        preamble="0badcafe",
        commit="3c9d2e1",
        protect=True,
        retain=True,
        promoted=builders.NOON,
        score="exactMatch:0.912",
        gate_record="passed:0badcafe",
        field_hashes="e3b0.-.-.-.-.-",
        promoted_by=stamps.MANUAL,
        promoted_commit="9f00aa1",
        unverified=True,
        scored_by_sweep="0ff0ff0ff0ff",
        chosen_by_sweeps="0ff0ff0ff0ff",
        unknown_keys=(("colour", "blue"),),
    )
    assert stamps.format_description("", full) == (
        f"[tunedmodels project=demo name=tone fingerprint={full.fingerprint}"
        f" dataset={full.dataset} examples=24 preamble=0badcafe commit=3c9d2e1 attempt=1"
        " protect=true retain=true promoted=2026-11-22T12:00:00.000000Z score=exactMatch:0.912"
        " gate=passed:0badcafe words=e3b0.-.-.-.-.- by=hand head=9f00aa1 unverified=true"
        " tried=0ff0ff0ff0ff sweep=0ff0ff0ff0ff colour=blue]"
    )


def test_keys_of_a_newer_release_are_kept() -> None:
    line = stamps.format_description("", builders.stamp()).replace("]", " colour=blue]")
    text, stamp = stamps.parse_description(line)
    assert stamp
    assert stamp.unknown_keys == (("colour", "blue"),)
    assert stamps.format_description(text, stamp) == line


@pytest.mark.parametrize("tail", ["\n", "  ", "\r\n\n"])
def test_white_space_after_a_stamp_is_ignored(tail: str) -> None:
    description = stamps.format_description("text", builders.stamp())
    assert stamps.parse_description(description + tail) == ("text", builders.stamp())


GOOD = stamps.format_description("", builders.stamp())


@pytest.mark.parametrize(
    "description",
    [
        "[tunedmodels]",
        "[tunedmodels project=demo]",
        "[tunedmodels project=demo name=tone]",
        GOOD.replace("examples=24", "examples=many"),
        GOOD.replace("attempt=1", "attempt=first"),
        GOOD.replace("]", " promoted=yesterday]"),
        GOOD.replace("project=demo", "project="),
        GOOD.replace("project=", "project ="),
        GOOD.removesuffix("]"),
        GOOD.removeprefix("["),
        f"in the middle of a line {GOOD}",
        f"{GOOD} and more",
        f"{GOOD}\nand more",
        GOOD.replace("tunedmodels", "tunedModels"),
    ],
)
def test_text_that_only_looks_like_a_stamp_is_kept(description: str) -> None:
    assert stamps.parse_description(description) == (description, None)


GATE_RECORDS = st.builds(
    stamps.GateRecord,
    st.sampled_from(stamps.Decision),
    st.text("0123456789abcdef", min_size=12, max_size=12),
    st.one_of(st.just(""), st.text("0123456789abcdef", min_size=8, max_size=8)),
)


@given(GATE_RECORDS)
def test_a_gate_record_is_read_back_unchanged(record: stamps.GateRecord) -> None:
    assert stamps.parse_gate_record(str(record)) == record


@pytest.mark.parametrize("text", ["", "passed", "passed:", "waved-through:0badcafe", ":0badcafe"])
def test_an_unknown_gate_record_counts_as_no_decision(text: str) -> None:
    assert stamps.parse_gate_record(text) is None
    assert not builders.stamp(gate_record=text).is_rejected


@pytest.mark.parametrize("decision", stamps.Decision)
def test_a_manual_promotion_overrules_a_gate(decision: stamps.Decision) -> None:
    decided = builders.stamp(gate_record=str(stamps.GateRecord(decision, "0badcafe")))
    assert decided.is_rejected is (decision is not stamps.Decision.PASSED)
    assert not decided.promoted_at(builders.NOON, promoted_by=stamps.MANUAL).is_rejected
