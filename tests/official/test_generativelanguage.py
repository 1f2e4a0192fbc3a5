"""google-ai-generativelanguage, the generated client, over REST with the embedded service."""

from __future__ import annotations

import time
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from tests.official.conftest import BASE, PAIRS

KINDS = ("ModelService", "PermissionService", "GenerativeService")


@pytest.fixture(scope="module")
def glm() -> Any:
    """The messages and clients of v1beta; importing them takes a second."""
    return import_module("google.ai.generativelanguage_v1beta")


@pytest.fixture(scope="module")
def clients(glm: Any, url: str) -> Iterator[dict[str, Any]]:
    """A client of each service, by its name."""
    options = import_module("google.api_core.client_options")
    opened = {
        kind: getattr(glm, f"{kind}Client")(
            transport="rest",
            client_options=options.ClientOptions(api_endpoint=url, api_key="fake"),
        )
        for kind in KINDS
    }
    yield opened
    for client in opened.values():
        client.transport.close()


@pytest.fixture
def models(clients: dict[str, Any]) -> Any:
    return clients["ModelService"]


@pytest.fixture
def permissions(clients: dict[str, Any]) -> Any:
    return clients["PermissionService"]


def tuned_model(glm: Any, **settings: Any) -> Any:
    examples = [glm.TuningExample(text_input=text, output=output) for text, output in PAIRS]
    data = glm.Dataset(examples=glm.TuningExamples(examples=examples))
    settings = {"epoch_count": 2, "batch_size": 4, **settings}
    task = glm.TuningTask(training_data=data, hyperparameters=glm.Hyperparameters(**settings))
    return glm.TunedModel(base_model=BASE, display_name="Created manually", tuning_task=task)


def test_a_model_is_created_with_a_multiplier_and_its_operation_ends(glm: Any, models: Any) -> None:
    request = glm.CreateTunedModelRequest(
        tuned_model_id="manual", tuned_model=tuned_model(glm, learning_rate_multiplier=0.5)
    )
    operation = models.create_tuned_model(request=request)
    while not operation.done():
        time.sleep(0.02)
    created = operation.result()
    settings = created.tuning_task.hyperparameters
    assert created.name == "tunedModels/manual"
    assert created.state == glm.TunedModel.State.ACTIVE
    assert "learning_rate_multiplier" not in settings
    assert settings.learning_rate == pytest.approx(0.0005)
    assert "training_data" not in created.tuning_task
    assert operation.metadata.completed_steps == operation.metadata.total_steps == 3
    read = models.get_operation({"name": operation.operation.name})
    listed = models.list_operations({"name": created.name, "page_size": 3})
    assert [operation.name for operation in listed.operations] == [read.name]
    models.delete_tuned_model(name=created.name)


def test_a_rate_together_with_a_multiplier_is_rejected(glm: Any, models: Any, http: Any) -> None:
    # The client keeps only the last member of a oneof, so an HTTP client sends both.
    settings = {"learningRate": 0.1, "learning_rate_multiplier": 1}
    body = {"baseModel": BASE, "tuningTask": {"hyperparameters": settings}}
    answer = http.post("/v1beta/tunedModels", json=body)
    assert "'learning_rate_option' is already set" in answer.json()["error"]["message"]


def test_lists_take_filters_and_pages(glm: Any, models: Any, tone: str) -> None:
    def names(text: str) -> list[str]:
        request = glm.ListTunedModelsRequest(page_size=1, filter=text)
        return [model.name for model in models.list_tuned_models(request=request)]

    assert tone in names("owner:me")
    assert names("owner:me tone") == [tone]
    assert names("readers:everyone") == []


def test_an_update_clears_fields_that_are_in_the_mask_and_not_in_the_body(
    glm: Any, models: Any, tone: str
) -> None:
    def update(paths: list[str], **fields: Any) -> Any:
        mask = import_module("google.protobuf.field_mask_pb2").FieldMask(paths=paths)
        sent = glm.TunedModel(name=tone, **fields)
        return models.update_tuned_model(tuned_model=sent, update_mask=mask)

    paths = ["description", "reader_project_numbers", "top_k"]
    changed = update(paths, description="new", reader_project_numbers=[2**53 + 1, 7], top_k=3)
    assert (changed.description, changed.top_k) == ("new", 3)
    assert list(changed.reader_project_numbers) == [2**53 + 1, 7]
    cleared = update(paths)
    assert (cleared.description, list(cleared.reader_project_numbers)) == ("", [])
    assert "top_k" not in cleared
    assert cleared.display_name == "Tone"


def test_permissions_of_users_groups_and_everyone(glm: Any, permissions: Any, busy: str) -> None:
    kinds, roles = glm.Permission.GranteeType, glm.Permission.Role
    team = {"grantee_type": kinds.GROUP, "email_address": "team@example.com"}
    requested = [
        glm.Permission(role=roles.WRITER, **team),
        glm.Permission(role=roles.READER, grantee_type=kinds.EVERYONE),
    ]
    created = [
        permissions.create_permission(parent=busy, permission=permission)
        for permission in requested
    ]
    assert [
        (permission.grantee_type, permission.email_address, permission.role)
        for permission in created
    ] == [
        (permission.grantee_type, permission.email_address, permission.role)
        for permission in requested
    ]
    listed = list(permissions.list_permissions(parent=busy))
    assert [permission.role for permission in listed] == [roles.OWNER, roles.WRITER, roles.READER]
    mask = import_module("google.protobuf.field_mask_pb2").FieldMask(paths=["role"])
    changed = glm.Permission(name=created[0].name, role=roles.READER)
    permissions.update_permission(permission=changed, update_mask=mask)
    assert permissions.get_permission(name=created[0].name).role == roles.READER
    for permission in created:
        permissions.delete_permission(name=permission.name)
    transfer = glm.TransferOwnershipRequest(name=busy, email_address="owner@localhost")
    permissions.transfer_ownership(request=transfer)
    assert list(permissions.list_permissions(parent=busy)) == [listed[0]]


@pytest.mark.parametrize("version", ["v1", "v1beta"])
def test_both_versions_generate_and_stream(url: str, tone: str, version: str) -> None:
    module = import_module(f"google.ai.generativelanguage_{version}")
    options = import_module("google.api_core.client_options")
    client = module.GenerativeServiceClient(
        transport="rest", client_options=options.ClientOptions(api_endpoint=url, api_key="fake")
    )
    with client:
        question = {"model": tone, "contents": [{"parts": [{"text": "nein"}], "role": "user"}]}
        answer = client.generate_content(request=question)
        parts = list(client.stream_generate_content(request=question))
    for candidates in (answer.candidates, parts[-1].candidates):
        assert candidates[0].content.parts[0].text == "NEIN"
        assert candidates[0].finish_reason.name == "STOP"
