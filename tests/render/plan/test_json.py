"""A saved plan is read as the same plan, or it is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import desired, live, plan_for
from tunedmodels.errors import RefusedError
from tunedmodels.observed import ModelState
from tunedmodels.plan.plan import Plan
from tunedmodels.render.plan.json import _checksum, plan_json, read_plan, read_plan_file


def plan() -> Plan:
    observed = [
        live(desired(data="old"), promoted=1),
        live(desired("busy"), state=ModelState.TRAINING),
        live(desired("gone"), promoted=1),
    ]
    declared = [desired(temperature=0.4, reader_project_numbers=(1, 2)), desired("busy")]
    return plan_for(declared, observed, environment="prod")


def test_a_saved_plan_is_read_as_the_same_plan() -> None:
    assert read_plan(plan_json(plan())) == plan()
    assert plan_json(read_plan(plan_json(plan()))) == plan_json(plan())


def edited(edit: Callable[[dict[str, Any]], object]) -> str:
    """Return a saved plan after an edit of its JSON."""
    document = json.loads(plan_json(plan()))
    edit(document)
    return json.dumps(document)


NO_PLANS = ["", "no JSON", "[" * 100_000, "[]", "null", '{"formatVersion": 1}', '{"changes": []}',
            '{"apiVersion": "tunedmodels.dev/v1"}']  # fmt: skip


@pytest.mark.parametrize("text", NO_PLANS, ids=range(len(NO_PLANS)))
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(RefusedError, match="not a plan") as refused:
        read_plan(text)
    assert "plan --out" in refused.value.cure


EDITS: dict[str, Callable[[dict[str, Any]], object]] = {
    "another action": lambda d: d["changes"][0].update(action="update"),
    "another model": lambda d: d["changes"][1]["before"].update(modelId="gone-00000000"),
    "another value": lambda d: d["changes"][2]["after"].update(temperature=1.0),
    "a removed change": lambda d: d["changes"].pop(),
    "the changes in another order": lambda d: d["changes"].reverse(),
    "an added refusal": lambda d: d["refusals"].append(
        {"code": "protected", "message": "x", "cure": "y"}
    ),
    "another project": lambda d: d.update(project="other"),
    "another environment": lambda d: d.update(environment=""),
    "another digest": lambda d: d.update(digest="sha256:0"),
    "no summary": lambda d: d.pop("summary"),
    "an unknown field": lambda d: d.update(extra=1),
    "an unknown action": lambda d: d["changes"][0].update(action="explode"),
    "another kind of value": lambda d: d.update(changes={}),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_an_edited_plan_is_refused(
    edit: Callable[[dict[str, Any]], object],
) -> None:
    with pytest.raises(RefusedError, match="was edited") as refused:
        read_plan(edited(edit))
    assert "plan --out" in refused.value.cure


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_an_edited_plan_with_a_new_checksum_is_refused(
    edit: Callable[[dict[str, Any]], object],
) -> None:
    with pytest.raises(RefusedError, match="was edited"):
        read_plan(edited(lambda d: (edit(d), d.update(checksum=_checksum(d)))))


def every_path(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the paths of all values that are not containers."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in items:
        if isinstance(part, dict | list):
            yield from every_path(part, (*path, key))
        else:
            yield (*path, key)


def test_no_value_that_a_reviewer_reads_can_be_edited() -> None:
    paths = list(every_path(json.loads(plan_json(plan()))))
    assert len(paths) > 100

    def edit(document: dict[str, Any], path: tuple[Any, ...]) -> None:
        part: Any = document
        for key in path[:-1]:
            part = part[key]
        part[path[-1]] = 500 if part[path[-1]] != 500 else 5

    for path in paths:
        with pytest.raises(RefusedError):
            read_plan(edited(partial(edit, path=path)))


def test_a_plan_without_a_checksum_is_refused() -> None:
    with pytest.raises(RefusedError, match=r"no checksum.*saved by tunedmodels 0\.1") as refused:
        read_plan(edited(lambda d: d.pop("checksum")))
    assert "plan --out" in refused.value.cure


HOSTILE: dict[str, Callable[[dict[str, Any]], object]] = {
    "a time that is text": lambda d: d.update(moment="da"),
    "a time without a zone": lambda d: d.update(moment="2026-01-01"),
    "half a character": lambda d: d.update(project="\ud800"),
    "half a character in a change": lambda d: d["changes"][0].update(name="\ud800"),
}


@pytest.mark.parametrize("edit", HOSTILE.values(), ids=HOSTILE)
def test_a_value_that_no_plan_has_is_refused(edit: Callable[[dict[str, Any]], object]) -> None:
    with pytest.raises(RefusedError, match="was edited") as refused:
        read_plan(edited(lambda d: (edit(d), d.update(checksum=_checksum(d)))))
    assert refused.value.message.isprintable()


FILES: dict[str, tuple[bytes, str]] = {
    "utf-16": (plan_json(plan()).encode("utf-16"), "UTF-16"),
    "utf-16-be": ("\ufeff{}".encode("utf-16-be"), "UTF-16"),
    "not text": (b'{"a": "\xff"}', "byte 7 is wrong"),
    "truncated": (plan_json(plan()).encode()[:-100], "not valid JSON"),
    "empty": (b"", "not valid JSON"),
    "binary": (bytes(range(256)), "byte 128 is wrong"),
}


@pytest.mark.parametrize(("content", "reason"), FILES.values(), ids=FILES)
def test_a_damaged_file_is_refused_with_its_name(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    file = tmp_path / "plan.json"
    file.write_bytes(content)
    with pytest.raises(RefusedError, match=reason) as refused:
        read_plan_file(file)
    assert refused.value.message.startswith(f"{file}: ")
    assert "plan --out" in refused.value.cure


def test_a_byte_order_mark_does_not_matter(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    file.write_text(plan_json(plan()), encoding="utf-8-sig")
    assert read_plan_file(file) == plan()


def test_a_plan_of_a_newer_format_is_refused() -> None:
    text = edited(lambda d: d.update(formatVersion=3, novelty=True))
    with pytest.raises(RefusedError, match="format 3") as refused:
        read_plan(text)
    assert "the release that made it" in refused.value.cure


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
    max_leaves=8,
)


@given(st.sampled_from(sorted(json.loads(plan_json(plan())))), json_values)
def test_any_value_of_a_field_gives_a_plan_or_a_refusal(key: str, value: Any) -> None:
    text = edited(lambda d: d.update({key: value}))
    with suppress(RefusedError):
        assert isinstance(read_plan(text), Plan)
