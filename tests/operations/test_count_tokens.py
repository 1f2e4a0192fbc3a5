"""`plan --count-tokens`: the service counts in batches, and once per dataset."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import desired, live, plan_for, with_dataset, with_inputs
from tests.support.fakes.script import ScriptedTransport, error_response, ok_response
from tests.support.project_dir import ProjectDir, project_dir
from tunedmodels.datasets.examples import digest
from tunedmodels.datasets.load import load, load_preferences
from tunedmodels.desired import Desired
from tunedmodels.errors import (
    NotFoundError,
    ProviderError,
    UnimplementedError,
)
from tunedmodels.observed import ModelState
from tunedmodels.operations.count_tokens import count_dataset_tokens
from tunedmodels.project import Project
from tunedmodels.providers.gemini.content import BATCH_CHARS, BATCH_TEXTS, batch_texts
from tunedmodels.providers.gemini.provider import GeminiProvider
from tunedmodels.providers.identity import Credentials
from tunedmodels.providers.provider import Provider
from tunedmodels.render.plan.text import plan_text
from tunedmodels.schema.tuned_model import TrainingFile

__all__ = ["project_dir"]

BASE = "models/gemini-3.5-flash"


def gemini(script: ScriptedTransport, *, trains_here: bool = False) -> GeminiProvider:
    return GeminiProvider(
        "g",
        project="demo",
        credentials=Credentials(api_key="k"),
        transport=script,
        is_in_process=trains_here,
    )


@given(st.lists(st.text(max_size=3) | st.integers(0, 4 * 10**5).map("x".__mul__), max_size=12))
def test_batches_contain_every_text_and_none_is_too_large(texts: list[str]) -> None:
    batches = list(batch_texts(texts))
    assert [text for batch in batches for text in batch] == [text for text in texts if text]
    assert all(batch for batch in batches)
    assert all(len(batch) == 1 or sum(map(len, batch)) <= BATCH_CHARS for batch in batches)


def test_many_small_texts_need_few_requests() -> None:
    batches = list(batch_texts(["x"] * (2 * BATCH_TEXTS + 1)))
    assert [len(batch) for batch in batches] == [BATCH_TEXTS, BATCH_TEXTS, 1]


async def test_the_counts_of_the_batches_are_added() -> None:
    script = ScriptedTransport(ok_response({"totalTokens": 7}), ok_response({"totalTokens": "30"}))
    async with gemini(script) as provider:
        assert await provider.count_tokens(BASE, ["one", "x" * BATCH_CHARS]) == 37
    assert script.calls == [f"POST /v1beta/{BASE}:countTokens"] * 2
    assert script.body(0) == {"contents": [{"parts": [{"text": "one"}], "role": "user"}]}


@pytest.mark.parametrize(
    "answer", [ok_response(), ok_response([]), ok_response({"totalTokens": "many"})]
)
async def test_a_response_without_a_number_is_an_error(answer: Any) -> None:
    async with gemini(ScriptedTransport(answer)) as provider:
        with pytest.raises(ProviderError, match="returned no token count") as raised:
            await provider.count_tokens(BASE, ["one"])
    assert "--count-tokens" in raised.value.cure


async def test_the_error_of_a_service_without_the_method_is_raised() -> None:
    async with gemini(
        ScriptedTransport(error_response(404, "not found for countTokens"))
    ) as provider:
        with pytest.raises(NotFoundError, match="not found"):
            await provider.count_tokens(BASE, ["one"])


def test_a_provider_on_this_machine_counts_no_tokens(
    project_dir: ProjectDir,
) -> None:
    ended = project_dir.run("plan", "--count-tokens")
    assert ended.code == 1
    assert "Provider embedded trains on this machine and cannot count tokens." in ended.err
    assert "Leave out --count-tokens" in ended.err


class Counter:
    """A service that counts words, and records its requests."""

    def __init__(self) -> None:
        self.requests: list[list[str]] = []

    async def count_tokens(self, base: str, texts: list[str]) -> int:
        assert base == BASE
        self.requests.append(texts)
        return sum(len(text.split()) for text in texts)


class UnimplementedCounter:
    """A service that does not count tokens."""

    async def count_tokens(self, base: str, texts: list[str]) -> int:
        raise UnimplementedError("not here")


@pytest.fixture
def project(project_dir: ProjectDir) -> Project:
    return Project.open(project_dir.folder / "manifests")


def desired_model(project: Project, name: str = "tone", **others: Any) -> Desired:
    """Return a desired model with the examples of the project."""
    model = desired(name, source=BASE, **others)
    file = project.root / "data/tone.jsonl"
    digest_ = digest(load(file, model.inputs.dataset.source))
    return with_dataset(model, file=file, digest=digest_, tokens=1)


async def counted(
    project: Project, *models: Desired, observed: Any = (), **others: Any
) -> list[Any]:
    """Return the token counts of the models, and the requests that were sent."""
    counter = Counter()
    providers = {"embedded": counter, **others}
    result = await count_dataset_tokens(
        project, models, observed, cast("dict[str, Provider]", providers)
    )
    return [
        [(model.inputs.dataset.tokens, model.inputs.dataset.tokens_are_exact) for model in result],
        counter.requests,
    ]


async def test_a_dataset_is_counted_once(project: Project) -> None:
    result, requests = await counted(
        project, desired_model(project), desired_model(project, "same")
    )
    tokens = sum(len(f"{e.text_input} {e.output}".split()) for e in _examples(project))
    assert result == [(tokens, True), (tokens, True)]
    assert len(requests) == 1
    assert await counted(project, desired_model(project)) == [[(tokens, True)], []]


async def test_a_dataset_with_another_preamble_is_counted_again(project: Project) -> None:
    await counted(project, desired_model(project))
    _, (texts,) = await counted(project, desired_model(project, preamble="Be kind."))
    assert texts[0].startswith("Be kind.\n")


@pytest.mark.parametrize("state", [ModelState.READY, ModelState.TRAINING, ModelState.QUEUED])
async def test_an_existing_version_is_not_counted(project: Project, state: ModelState) -> None:
    model = desired_model(project)
    assert await counted(project, model, observed=[live(model, state=state)]) == [[(1, False)], []]
    again = await counted(project, model, observed=[live(model, state=ModelState.FAILED)])
    assert len(again[1]) == 1


async def test_a_dataset_that_changed_since_the_scan_is_not_counted(
    project: Project, project_dir: ProjectDir
) -> None:
    model = desired_model(project)
    project_dir.dataset(times=7)
    assert await counted(project, model) == [[(1, False)], []]


async def test_a_provider_that_does_not_count_is_an_error_only_if_no_other_counts(
    project: Project,
) -> None:
    here, elsewhere = desired_model(project), desired_model(project, "else", provider="gemini")
    opened = replace(project)
    opened.__dict__["providers"] = project.manifest.providers()
    result, requests = await counted(opened, here, elsewhere, gemini=UnimplementedCounter())
    assert [is_counted for _, is_counted in result] == [True, False]
    assert len(requests) == 1
    with pytest.raises(UnimplementedError, match="not here"):
        await counted(opened, elsewhere, gemini=UnimplementedCounter())


PREFERENCES: dict[str, list[dict[str, Any]]] = {
    "rejected.jsonl": [{"text_input": "a b", "output": "c", "rejected": "d e f"}],
    "completions.jsonl": [
        {
            "contents": [{"role": "user", "parts": [{"text": "a b"}]}],
            "completions": [
                {"score": 1, "completion": {"role": "model", "parts": [{"text": "c"}]}},
                {"score": 0, "completion": {"role": "model", "parts": [{"text": "d e f"}]}},
            ],
        }
    ],
}


@pytest.mark.parametrize("name", PREFERENCES)
async def test_both_responses_of_a_preference_are_counted(project: Project, name: str) -> None:
    file = project.root / name
    file.write_text("".join(json.dumps(row) + "\n" for row in PREFERENCES[name]))
    source = TrainingFile(path=name)
    rows = load_preferences(file, source, "rejected")
    model = with_inputs(desired("tone", source=BASE), method="preference")
    model = with_dataset(model, file=file, source=source, digest=digest(rows), tokens=1)
    assert await counted(project, model) == [[(6, True)], [["a b", "c", "d e f"]]]


async def test_an_unreadable_cache_is_replaced(project: Project) -> None:
    project.create_state_dir()
    (project.state_dir / "tokens").write_text("{]")
    await counted(project, desired_model(project))
    assert json.loads((project.state_dir / "tokens").read_bytes())


def test_the_count_is_shown_although_training_is_free() -> None:
    model = desired()
    counted = with_dataset(model, tokens=120, tokens_are_exact=True)
    output = plan_text(plan_for([counted]))
    assert "120 tokens (counted) x 5 epochs x free of charge" in output
    assert "Cost: 1 tuning job, 600 training tokens, free." in output


def _examples(project: Project) -> list[Any]:
    file: Path = project.root / "data/tone.jsonl"
    return load(file, desired().inputs.dataset.source)
