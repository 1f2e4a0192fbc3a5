"""`plan --count-tokens`: the service counts, in batches, once for the same data."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import desired, live, planned
from tests.support.fakes.script import Script, no, ok
from tests.support.project_dir import Desk, desk
from tunedmodels.datasets.examples import digest
from tunedmodels.datasets.load import load
from tunedmodels.desired import Desired
from tunedmodels.errors import (
    NotFoundError,
    ProviderError,
    UnimplementedError,
)
from tunedmodels.observed import ModelState
from tunedmodels.operations.count_tokens import count
from tunedmodels.project import Project
from tunedmodels.providers.gemini.content import BATCH_CHARS, BATCH_TEXTS, batches
from tunedmodels.providers.gemini.provider import GeminiProvider
from tunedmodels.providers.identity import Credentials
from tunedmodels.providers.provider import Provider
from tunedmodels.render.plan.text import plan_text

__all__ = ["desk"]

BASE = "models/gemini-2.5-flash"


def gemini(script: Script, *, trains_here: bool = False) -> GeminiProvider:
    return GeminiProvider(
        "g",
        project="demo",
        credentials=Credentials(api_key="k"),
        transport=script,
        trains_here=trains_here,
    )


@given(st.lists(st.text(max_size=3) | st.integers(0, 4 * 10**5).map("x".__mul__), max_size=12))
def test_batches_hold_every_text_and_none_is_too_large(texts: list[str]) -> None:
    made = list(batches(texts))
    assert [text for batch in made for text in batch] == [text for text in texts if text]
    assert all(batch for batch in made)
    assert all(len(batch) == 1 or sum(map(len, batch)) <= BATCH_CHARS for batch in made)


def test_many_small_texts_go_in_few_requests() -> None:
    made = list(batches(["x"] * (2 * BATCH_TEXTS + 1)))
    assert [len(batch) for batch in made] == [BATCH_TEXTS, BATCH_TEXTS, 1]


async def test_the_service_counts_and_batches_are_added() -> None:
    script = Script(ok({"totalTokens": 7}), ok({"totalTokens": "30"}))
    async with gemini(script) as provider:
        assert await provider.count_tokens(BASE, ["one", "x" * BATCH_CHARS]) == 37
    assert script.calls == [f"POST /v1beta/{BASE}:countTokens"] * 2
    assert script.body(0) == {"contents": [{"parts": [{"text": "one"}], "role": "user"}]}


@pytest.mark.parametrize("answer", [ok(), ok([]), ok({"totalTokens": "many"})])
async def test_an_answer_without_a_number_is_no_count(answer: Any) -> None:
    async with gemini(Script(answer)) as provider:
        with pytest.raises(ProviderError, match="did not say how many tokens") as raised:
            await provider.count_tokens(BASE, ["one"])
    assert "--count-tokens" in raised.value.cure


async def test_a_service_without_the_method_says_so_itself() -> None:
    async with gemini(Script(no(404, "not found for countTokens"))) as provider:
        with pytest.raises(NotFoundError, match="not found"):
            await provider.count_tokens(BASE, ["one"])


def test_where_everything_trains_on_this_machine_there_is_nothing_to_count(desk: Desk) -> None:
    told = desk.run("plan", "--count-tokens")
    assert told.code == 1
    assert "Provider embedded trains on this machine and counts no tokens." in told.err
    assert "Leave out --count-tokens" in told.err


class Counter:
    """A service that counts words, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    async def count_tokens(self, base: str, texts: list[str]) -> int:
        assert base == BASE
        self.asked.append(texts)
        return sum(len(text.split()) for text in texts)


class Refuser:
    """A service that counts nothing."""

    async def count_tokens(self, base: str, texts: list[str]) -> int:
        raise UnimplementedError("not here")


@pytest.fixture
def project(desk: Desk) -> Project:
    return Project.open(desk.folder / "manifests")


def wanted(project: Project, name: str = "tone", **others: Any) -> Desired:
    """A declared model with the examples of the desk."""
    want = desired(name, source=BASE, **others)
    file = project.root / "data/tone.jsonl"
    found = digest(load(file, want.dataset.source))
    return replace(want, dataset=replace(want.dataset, file=file, digest=found, tokens=1))


async def counted(project: Project, *wants: Desired, there: Any = (), **others: Any) -> list[Any]:
    counter = Counter()
    providers = {"embedded": counter, **others}
    result = await count(project, wants, there, cast("dict[str, Provider]", providers))
    return [[(want.dataset.tokens, want.dataset.is_counted) for want in result], counter.asked]


async def test_what_would_be_trained_is_counted_once(project: Project) -> None:
    (result, asked) = await counted(project, wanted(project), wanted(project, "same"))
    words = sum(len(f"{e.text_input} {e.output}".split()) for e in _examples(project))
    assert result == [(words, True), (words, True)]
    assert len(asked) == 1
    assert await counted(project, wanted(project)) == [[(words, True)], []]


async def test_another_preamble_is_counted_anew(project: Project) -> None:
    await counted(project, wanted(project))
    _, (asked,) = await counted(project, wanted(project, preamble="Be kind."))
    assert asked[0].startswith("Be kind.\n")


@pytest.mark.parametrize("state", [ModelState.READY, ModelState.TRAINING, ModelState.QUEUED])
async def test_what_is_trained_or_training_is_not_counted(
    project: Project, state: ModelState
) -> None:
    want = wanted(project)
    assert await counted(project, want, there=[live(want, state=state)]) == [[(1, False)], []]
    again = await counted(project, want, there=[live(want, state=ModelState.FAILED)])
    assert len(again[1]) == 1


async def test_a_dataset_that_was_edited_meanwhile_is_not_counted(
    project: Project, desk: Desk
) -> None:
    want = wanted(project)
    desk.dataset(times=7)
    assert await counted(project, want) == [[(1, False)], []]


async def test_a_place_that_does_not_count_stops_nothing_unless_all_are_such(
    project: Project,
) -> None:
    here, elsewhere = wanted(project), wanted(project, "else", provider="gemini")
    opened = replace(project)
    opened.__dict__["providers"] = project.manifest.providers()
    result, asked = await counted(opened, here, elsewhere, gemini=Refuser())
    assert [is_counted for _, is_counted in result] == [True, False]
    assert len(asked) == 1
    with pytest.raises(UnimplementedError, match="not here"):
        await counted(opened, elsewhere, gemini=Refuser())


async def test_a_file_of_counts_that_cannot_be_read_is_written_anew(project: Project) -> None:
    project.claim_state()
    (project.state / "tokens").write_text("{]")
    await counted(project, wanted(project))
    assert json.loads((project.state / "tokens").read_bytes())


def test_what_was_counted_is_shown_although_it_is_free() -> None:
    want = desired()
    counted = replace(want, dataset=replace(want.dataset, tokens=120, is_counted=True))
    shown = plan_text(planned([counted]))
    assert "120 tokens (counted) x 5 epochs x free of charge" in shown
    assert "Cost: 1 tuning job, 600 training tokens, free." in shown


def _examples(project: Project) -> list[Any]:
    file: Path = project.root / "data/tone.jsonl"
    return load(file, desired().dataset.source)
