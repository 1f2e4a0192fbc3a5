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

KNOWN = set(Stamp.__slots__)
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
    gate=st.one_of(st.just(""), WORD),
    words=st.one_of(st.just(""), WORD),
    by=st.sampled_from(["", "hand"]),
    head=st.one_of(st.just(""), WORD),
    unverified=st.booleans(),
    others=st.dictionaries(KEY, WORD, max_size=4).map(lambda found: tuple(found.items())),
)


@given(st.text(), STAMPS)
def test_words_and_stamp_come_back_as_they_were_written(words: str, stamp: Stamp) -> None:
    assert stamps.read(stamps.write(words, stamp)) == (words, stamp)


@given(st.text(), STAMPS, STAMPS)
def test_only_the_last_stamp_counts(words: str, first: Stamp, last: Stamp) -> None:
    inner = stamps.write(words, first)
    assert stamps.read(stamps.write(inner, last)) == (inner, last)


@given(st.text(), STAMPS)
def test_promoting_changes_the_mark_and_nothing_else(words: str, stamp: Stamp) -> None:
    promoted = stamp.promoted_at(builders.NOON, by=stamp.by, head=stamp.head)
    _, found = stamps.read(stamps.write(words, promoted))
    assert found
    assert found.promoted == builders.NOON
    assert replace(found, promoted=stamp.promoted) == stamp


@given(st.text())
def test_a_description_without_a_stamp_is_all_words(words: str) -> None:
    assert stamps.read(words) == (words, None)


def test_keys_of_a_newer_version_are_kept() -> None:
    line = stamps.write("", builders.stamp()).replace("]", " colour=blue]")
    words, stamp = stamps.read(line)
    assert stamp
    assert stamp.others == (("colour", "blue"),)
    assert stamps.write(words, stamp) == line


@pytest.mark.parametrize("tail", ["\n", "  ", "\r\n\n"])
def test_white_space_that_a_service_adds_behind_a_stamp_does_no_harm(tail: str) -> None:
    written = stamps.write("words", builders.stamp())
    assert stamps.read(written + tail) == ("words", builders.stamp())


GOOD = stamps.write("", builders.stamp())


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
def test_what_only_looks_like_a_stamp_stays_words(description: str) -> None:
    assert stamps.read(description) == (description, None)


MARKS = st.builds(
    stamps.GateMark,
    st.sampled_from(stamps.Decision),
    st.text("0123456789abcdef", min_size=12, max_size=12),
    st.one_of(st.just(""), st.text("0123456789abcdef", min_size=8, max_size=8)),
)


@given(MARKS)
def test_the_mark_of_a_gate_comes_back_as_it_was_written(mark: stamps.GateMark) -> None:
    assert stamps.gate_mark(str(mark)) == mark


@pytest.mark.parametrize("text", ["", "passed", "passed:", "waved-through:0badcafe", ":0badcafe"])
def test_a_mark_that_nobody_knows_counts_as_not_judged(text: str) -> None:
    assert stamps.gate_mark(text) is None
    assert not builders.stamp(gate=text).is_rejected


@pytest.mark.parametrize("decision", stamps.Decision)
def test_whoever_promotes_by_hand_overrules_a_gate(decision: stamps.Decision) -> None:
    judged = builders.stamp(gate=str(stamps.GateMark(decision, "0badcafe")))
    assert judged.is_rejected is (decision is not stamps.Decision.PASSED)
    assert not judged.promoted_at(builders.NOON, by=stamps.HAND).is_rejected
