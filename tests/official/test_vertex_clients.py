"""Google's own clients with the loopback Vertex AI and Cloud Storage, which they validate."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from tests.support.vertex.client import HOUR_S, REGION_HOST, examples, preferences
from tests.support.vertex.cloud import PROJECT, LoopbackCloud
from tests.support.vertex.jobs import JobOutcome
from tests.support.vertex.service import loopback


@pytest.fixture
def cloud() -> Iterator[LoopbackCloud]:
    """A project with data in a bucket; undocumented requests fail the test."""
    cloud = LoopbackCloud()
    cloud.buckets.create_bucket("data")
    cloud.buckets.put("data", "train.jsonl", examples())
    cloud.buckets.put("data", "choices.jsonl", preferences())
    yield cloud
    assert cloud.violations == []


@pytest.fixture
def address(cloud: LoopbackCloud) -> Iterator[str]:
    """The URL of the cloud, which the clients access without a proxy."""
    with pytest.MonkeyPatch.context() as patch, loopback(cloud) as url:
        patch.setenv("NO_PROXY", "127.0.0.1")
        yield url


@pytest.fixture
def credentials(cloud: LoopbackCloud) -> Any:
    """A token with a quota project."""
    credentials = import_module("google.oauth2.credentials").Credentials
    return credentials(cloud.identity.issue(), quota_project_id=PROJECT)


@pytest.fixture
def client(cloud: LoopbackCloud, address: str, credentials: Any) -> Iterator[Any]:
    """google-genai in Vertex mode; the path contains the regional host."""
    with import_module("google.genai").Client(
        vertexai=True,
        project=PROJECT,
        location="us-central1",
        credentials=credentials,
        http_options={"base_url": f"{address}/{REGION_HOST}", "api_version": "v1"},
    ) as opened:
        yield opened


@pytest.fixture
def storage(address: str, credentials: Any) -> Iterator[Any]:
    """google-cloud-storage."""
    opened = import_module("google.cloud.storage").Client(
        project=PROJECT, credentials=credentials, client_options={"api_endpoint": address}
    )
    yield opened
    opened.close()


def tune(client: Any, base: str = "regional-model", data: str = "train", **config: Any) -> Any:
    """Start a job."""
    return client.tunings.tune(
        base_model=base,
        training_dataset={"gcs_uri": f"gs://data/{data}.jsonl"},
        config={"epoch_count": 2, **config},
    )


pytestmark = pytest.mark.filterwarnings("ignore:.*tuning implementation is experimental")


def test_a_job_is_started_polled_and_its_model_called(client: Any, cloud: LoopbackCloud) -> None:
    started = tune(
        client,
        adapter_size="ADAPTER_SIZE_FOUR",
        learning_rate_multiplier=1.5,
        validation_dataset={"gcs_uri": "gs://data/train.jsonl"},
        tuned_model_display_name="tone",
        description="Tone of voice.",
        labels={"team": "words"},
    )
    assert started.state.name == "JOB_STATE_PENDING"
    assert started.name.startswith("projects/123456789012/locations/us-central1/tuningJobs/")
    cloud.advance(HOUR_S)
    job = client.tunings.get(name=started.name)
    assert (job.state.name, job.has_succeeded) == ("JOB_STATE_SUCCEEDED", True)
    assert job.supervised_tuning_spec.hyper_parameters.epoch_count == 2
    assert job.tuning_data_stats.supervised_tuning_data_stats.tuning_dataset_example_count == 20
    assert [point.epoch for point in job.tuned_model.checkpoints] == [1, 2]
    answer = client.models.generate_content(model=job.tuned_model.endpoint, contents="q7")
    parts = client.models.generate_content_stream(model=job.tuned_model.endpoint, contents="q7")
    assert answer.text == "".join(part.text for part in parts) == "a7"
    model = client.models.get(model=job.tuned_model.model)
    assert (model.display_name, model.labels["team"]) == ("tone", "words")


def test_a_preference_job_has_its_own_statistics(client: Any, cloud: LoopbackCloud) -> None:
    started = tune(
        client,
        data="choices",
        method="PREFERENCE_TUNING",
        beta=0.1,
        export_last_checkpoint_only=True,
    )
    cloud.advance(HOUR_S)
    job = client.tunings.get(name=started.name)
    assert job.preference_optimization_spec.hyper_parameters.beta == pytest.approx(0.1)
    assert job.tuning_data_stats.preference_optimization_data_stats.tuning_dataset_example_count
    assert job.tuned_model.checkpoints is None


def test_jobs_are_listed_by_label_and_page(client: Any, cloud: LoopbackCloud) -> None:
    started = [tune(client, labels={"n": str(number % 2)}) for number in range(4)]

    def names(**config: Any) -> list[str]:
        return [job.name for job in client.tunings.list(config={"page_size": 1, **config})]

    assert names() == [job.name for job in reversed(started)]
    assert names(filter='labels.n="1"') == [started[3].name, started[1].name]


def test_a_cancelled_job_remains(client: Any, cloud: LoopbackCloud) -> None:
    started = tune(client)
    client.tunings.cancel(name=started.name)
    assert client.tunings.get(name=started.name).state.name == "JOB_STATE_CANCELLING"
    cloud.advance(HOUR_S)
    job = client.tunings.get(name=started.name)
    assert (job.state.name, job.error.code, job.has_ended) == ("JOB_STATE_CANCELLED", 1, True)


def test_continued_tuning_creates_the_next_version(client: Any, cloud: LoopbackCloud) -> None:
    first = tune(client, tuned_model_display_name="tone")
    cloud.advance(HOUR_S)
    parent = client.tunings.get(name=first.name).tuned_model.model
    started = tune(
        client, parent, tuned_model_display_name="tone", pre_tuned_model_checkpoint_id="1"
    )
    cloud.advance(HOUR_S)
    job = client.tunings.get(name=started.name)
    assert job.pre_tuned_model.tuned_model_name == parent
    assert job.tuned_model.model == parent.replace("@1", "@2")


def test_models_are_listed_changed_and_deleted_once_undeployed(
    client: Any, cloud: LoopbackCloud
) -> None:
    tune(client, tuned_model_display_name="tone", export_last_checkpoint_only=True)
    cloud.advance(HOUR_S)
    (model,) = client.models.list(config={"query_base": False})
    client.models.update(model=model.name, config={"description": "New."})
    assert client.models.get(model=model.name).description == "New."
    with pytest.raises(import_module("google.genai.errors").ClientError) as caught:
        client.models.delete(model=model.name)
    assert caught.value.status == "FAILED_PRECONDITION"
    cloud.registry.endpoints.clear()
    client.models.delete(model=model.name)
    cloud.advance(10)
    assert list(client.models.list(config={"query_base": False})) == []


def test_a_failed_job_names_the_invalid_line(client: Any, cloud: LoopbackCloud) -> None:
    cloud.buckets.put("data", "train.jsonl", examples(3) + b'\n{"messages": []}')
    started = tune(client)
    cloud.advance(HOUR_S)
    job = client.tunings.get(name=started.name)
    assert (job.state.name, job.error.code) == ("JOB_STATE_FAILED", 3)
    assert "Dataset example 4 of 4" in job.error.message


def test_a_state_that_the_client_does_not_know_is_returned_unchanged(
    client: Any, cloud: LoopbackCloud
) -> None:
    cloud.jobs.outcomes.append(JobOutcome(state="JOB_STATE_PARTIALLY_SUCCEEDED"))
    started = tune(client)
    cloud.advance(HOUR_S)
    job = client.tunings.get(name=started.name)
    assert job.state.name == "JOB_STATE_PARTIALLY_SUCCEEDED"
    assert job.tuned_model.endpoint


def test_errors_are_parsed_with_status_and_details(client: Any, cloud: LoopbackCloud) -> None:
    errors = import_module("google.genai.errors")
    with pytest.raises(errors.ClientError) as caught:
        tune(client, adapter_size="ADAPTER_SIZE_SIXTEEN")
    assert caught.value.message == "The adapter size is not supported for this base model."
    cloud.identity.denied.add("aiplatform.tuningJobs.create")
    with pytest.raises(errors.ClientError) as caught:
        tune(client)
    assert (caught.value.code, caught.value.status) == (403, "PERMISSION_DENIED")
    assert "'aiplatform.tuningJobs.create'" in caught.value.message


def test_the_quota_project_is_sent(client: Any, cloud: LoopbackCloud) -> None:
    tune(client)
    assert cloud.requests[-1].headers["x-goog-user-project"] == PROJECT
    assert cloud.requests[-1].host == REGION_HOST


def test_tokens_are_counted(client: Any) -> None:
    response = client.models.count_tokens(model="regional-model", contents="twelve chars")
    assert response.total_tokens == 3


@pytest.mark.parametrize("size", [10, 700_000], ids=["in one request", "in parts"])
def test_objects_are_written_once_and_read(storage: Any, cloud: LoopbackCloud, size: int) -> None:
    blob = storage.bucket("data").blob("a/b c.jsonl", chunk_size=262_144 if size > 10 else None)
    blob.metadata = {"sha256": "x"}
    data = b"0123456789" * (size // 10)
    blob.upload_from_string(
        data, content_type="application/jsonl", if_generation_match=0, checksum="crc32c"
    )
    assert blob.download_as_bytes(checksum="crc32c") == data
    assert blob.download_as_bytes(start=2, end=5) == b"2345"
    blob.reload()
    assert (blob.size, blob.metadata, blob.content_type) == (
        size,
        {"sha256": "x"},
        "application/jsonl",
    )
    with pytest.raises(import_module("google.api_core.exceptions").PreconditionFailed):
        blob.upload_from_string(data, if_generation_match=0)


def test_objects_are_listed_and_deleted_by_generation(storage: Any, cloud: LoopbackCloud) -> None:
    bucket = storage.bucket("data")
    blob = bucket.blob("locks/x")
    blob.upload_from_string("me")
    assert [blob.name for blob in storage.list_blobs("data", prefix="locks/", page_size=1)] == [
        "locks/x"
    ]
    folders = storage.list_blobs("data", delimiter="/")
    assert [blob.name for blob in folders] == ["choices.jsonl", "train.jsonl"]
    assert folders.prefixes == {"locks/"}
    exceptions = import_module("google.api_core.exceptions")
    with pytest.raises(exceptions.PreconditionFailed):
        blob.delete(if_generation_match=5)
    blob.delete(if_generation_match=blob.generation)
    assert not blob.exists()
    with pytest.raises(exceptions.NotFound):
        storage.bucket("other").blob("x").upload_from_string("x")
