"""Ownership: which live models are ours, and how an environment sees them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import NOON, desired, live, sha, stamp, unowned_model
from tunedmodels.desired import Desired, version_id
from tunedmodels.observed import ObservedModel, environments_served, serving
from tunedmodels.ownership import FormerProject, Ownership
from tunedmodels.stamp import Stamp, Use, format_description, parse_description

LINEAGE = "3f9c1e7a2b04"
STAGING = Ownership("demo", LINEAGE, "staging")
PRODUCTION = Ownership("demo", LINEAGE, "production", home="staging")


def version(**values: Any) -> ObservedModel:
    return live(stamp=stamp(**{"lineage": LINEAGE, "environment": "staging", **values}))


def claimed_stamp(ownership: Ownership, model: ObservedModel) -> Stamp:
    claimed = ownership.claim(model)
    assert claimed
    assert claimed.stamp
    return claimed.stamp


def test_a_version_belongs_to_one_lineage_and_one_environment() -> None:
    assert STAGING.claim(version())
    for other in (
        version(lineage=""),
        version(lineage="0" * 12),
        version(environment="default"),
        version(project="other"),
        replace(version(), has_trusted_owner=False),
        unowned_model(),
    ):
        assert STAGING.claim(other) is None


def test_a_model_whose_identity_is_current_is_returned_unchanged() -> None:
    model = version()
    assert STAGING.claim(model) is model
    assert not STAGING.is_moved(model)


def test_the_store_of_the_project_needs_no_lineage_in_its_stamps() -> None:
    former = version(lineage="")
    ownership = replace(STAGING, local_providers=frozenset({"embedded"}))
    assert claimed_stamp(ownership, former).lineage == LINEAGE
    moved = ownership.claim(former)
    assert moved
    assert ownership.is_moved(moved)


def test_former_identities_are_replaced_by_the_current_one() -> None:
    ownership = replace(
        STAGING,
        former_projects=(FormerProject("shop"),),
        former_names={"voice": "tone"},
    )
    model = version(project="shop", lineage="", name="voice")
    current = claimed_stamp(ownership, model)
    assert current.identity == ("demo", LINEAGE, "staging", "tone", sha("voice"))
    claimed = ownership.claim(model)
    assert claimed
    assert claimed.live_stamp == model.stamp
    assert ownership.claim(claimed) == claimed, "claiming again changes nothing"
    assert not ownership.is_foreign(model)


def test_another_lineage_with_the_same_name_is_foreign() -> None:
    assert STAGING.is_foreign(version(lineage="0" * 12))
    assert not STAGING.is_foreign(version(environment="production"))
    assert not STAGING.is_foreign(replace(version(lineage=""), has_trusted_owner=False))


def child(parent: Desired, **values: Any) -> Desired:
    return desired(
        "child",
        source=f"tunedModels/{parent.model_id}",
        parent=parent.name,
        parent_fingerprint=parent.fingerprint,
        former_sources=tuple(f"tunedModels/{model_id}" for model_id in parent.former_ids),
        **values,
    )


def test_the_fingerprint_of_a_child_does_not_contain_the_name_or_the_id_of_its_parent() -> None:
    parent = desired("tone")
    renamed = replace(parent, name="voice", lineage=LINEAGE, home="staging")
    assert child(parent).fingerprint == child(renamed).fingerprint
    assert child(parent).fingerprint != child(desired("tone", data="other")).fingerprint


def test_a_child_of_a_former_release_is_recognised_also_after_a_rename() -> None:
    parent = desired("tone")
    by_former_release = desired("child", source=f"tunedModels/{parent.model_id}")
    renamed = replace(parent, name="voice", formerly=("tone",))
    for current in (child(parent), child(renamed)):
        assert by_former_release.fingerprint in current.former_fingerprints
        ownership = Ownership("demo").with_desired([current])
        claimed = ownership.claim(live(by_former_release))
        assert claimed
        assert claimed.fingerprint == current.fingerprint
        assert ownership.is_moved(claimed)


def test_an_environment_that_promotes_sees_its_own_promotion() -> None:
    home = version().stamp
    assert home
    home = replace(home.promoted_at(NOON), score="exactMatch:0.9", protect=True)
    unused = PRODUCTION.claim(live(stamp=home))
    assert unused
    assert unused.promoted is None
    assert unused.stamp
    assert (unused.stamp.score, unused.stamp.protect) == ("", False)
    promoted = unused.stamp.promoted_at(NOON, promoted_commit="abc")
    stored = PRODUCTION.stored(unused, promoted)
    assert stored.without_use("production") == home, "only its own line changes"
    assert stored.use_by("production") == Use("production", NOON, "abc")
    again = PRODUCTION.claim(live(stamp=stored))
    assert again
    assert again.promoted == NOON


def test_a_home_keeps_the_lines_of_others() -> None:
    used = replace(version(), stamp=stamp().with_use("production", stamp().promoted_at(NOON)))
    assert used.stamp
    assert STAGING.stored(used, replace(used.stamp, score="x:1")).uses == used.stamp.uses


words = st.text("abc0:-", min_size=1, max_size=8)
environments = st.from_regex(r"[a-z]{1,8}", fullmatch=True)


@given(
    names=st.lists(environments, max_size=4, unique=True),
    score=words,
    text=st.sampled_from(["", "text", "two\nlines", "[tunedmodels-use"]),
)
def test_lines_of_uses_survive(names: list[str], score: str, text: str) -> None:
    current = stamp(lineage=LINEAGE, environment="home-9")
    for name in names:
        current = current.with_use(name, replace(current.promoted_at(NOON), score=score))
    written = format_description(text, current)
    assert parse_description(written) == (text, current)
    for name in names:
        current = current.without_use(name)
    assert not current.uses


@pytest.mark.parametrize(
    "line",
    [
        "[tunedmodels-use promoted=2026-11-22T12:00:00Z]",
        "[tunedmodels-use env=production promoted=yesterday]",
        "[tunedmodels-use env=production",
        "[tunedmodels-use env=production]\n[tunedmodels-use env=production]",
        "[tunedmodels-use env=default]",
    ],
)
def test_an_unreadable_line_makes_the_whole_no_stamp(line: str) -> None:
    written = f"{format_description('text', stamp())}\n{line}"
    assert parse_description(written) == (written, None)


def test_a_tool_that_does_not_know_uses_sees_no_stamp() -> None:
    written = format_description("", stamp().with_use("production", stamp()))
    last = written.splitlines()[-1]
    assert last == "[tunedmodels-use env=production]"


def test_keys_of_a_newer_release_are_kept_in_both_lines() -> None:
    written = format_description("", stamp().with_use("production", stamp()))
    newer = written.replace("]", " added=1]")
    text, parsed = parse_description(newer)
    assert (text, parsed and format_description("", parsed)) == ("", newer)


def test_ids_differ_by_lineage_and_home_and_stay_as_they_were_without_both() -> None:
    assert version_id("tone", sha("x")) == f"tone-{sha('x')[:8]}"
    ids = {
        version_id("tone", sha("x"), lineage=lineage, home=home)
        for lineage in ("", LINEAGE, "0" * 12)
        for home in ("default", "staging", "production")
    }
    assert len(ids) == 9
    assert all(len(model_id) == len("tone-") + 8 for model_id in ids)


def test_the_environments_that_a_version_serves() -> None:
    first, second = desired(data="one"), desired(data="two")
    old = live(first, promoted=1)
    assert old.stamp
    used = replace(old, stamp=old.stamp.with_use("production", old.stamp))
    new = live(second, promoted=2)
    assert serving([used, new]) is new
    assert environments_served([used, new]) == {
        (used.provider, used.model_id): ("production",),
        (new.provider, new.model_id): ("default",),
    }
