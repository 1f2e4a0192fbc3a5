"""google-genai, the current client, with the embedded service."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from tests.official.conftest import BASE


@pytest.fixture(
    scope="module", params=["", "v1", "v1beta"], ids=lambda version: version or "default"
)
def client(url: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The client with a version of the API, or with its default version."""
    version = {"api_version": request.param} if request.param else {}
    with import_module("google.genai").Client(
        api_key="fake", http_options={"base_url": url, **version}
    ) as opened:
        yield opened


def test_tuned_models_are_listed_with_filters_and_pages(client: Any, tone: str) -> None:
    def names(**config: Any) -> list[str]:
        pager = client.models.list(config={"query_base": False, "page_size": 1, **config})
        return [model.name for model in pager]

    assert tone in names()
    assert names(filter="owner:me tone") == [tone]
    assert names(filter="readers:everyone") == []
    assert BASE in [model.name for model in client.models.list()]


def test_a_model_is_read_and_changed_without_a_mask(client: Any, tone: str) -> None:
    client.models.update(model=tone, config={"description": "Old.", "display_name": "Tone"})
    client.models.update(model=tone, config={"description": "New."})
    model = client.models.get(model=tone)
    assert (model.name, model.display_name, model.description) == (tone, "Tone", "New.")
    assert model.tuned_model_info.base_model == BASE


def test_a_model_answers_at_once_and_in_parts(client: Any, tone: str) -> None:
    answer = client.models.generate_content(model=tone, contents="ja")
    parts = list(client.models.generate_content_stream(model=tone, contents="ja"))
    assert answer.text == "".join(part.text for part in parts) == "JA"
    assert answer.usage_metadata.total_token_count == 2
    assert answer.model_version == tone


def test_states_are_names_and_a_deleted_model_is_not_found(
    client: Any, tone: str, busy: str
) -> None:
    assert client.tunings.get(name=tone).state.name == "JOB_STATE_SUCCEEDED"
    assert client.tunings.get(name=busy).state.name == "JOB_STATE_RUNNING"
    client.models.delete(model=busy)
    with pytest.raises(import_module("google.genai.errors").ClientError) as missing:
        client.models.get(model=busy)
    assert (missing.value.code, missing.value.status) == (404, "NOT_FOUND")
    assert missing.value.message == "Tuned model tunedModels/busy does not exist."


@pytest.mark.filterwarnings("ignore:.*tuning implementation is experimental")
def test_a_job_without_data_is_rejected_with_a_message(client: Any) -> None:
    types = import_module("google.genai.types")
    data = types.TuningDataset(examples=[types.TuningExample(text_input="1", output="2")])
    with pytest.raises(import_module("google.genai.errors").ClientError) as caught:
        client.tunings.tune(base_model=BASE, training_dataset=data)
    assert "At least one training example is required." in caught.value.message
