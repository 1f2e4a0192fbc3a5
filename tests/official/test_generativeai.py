"""google-generativeai 0.8, the former client for tuning, with the embedded service."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.official.conftest import BASE, PAIRS

SETTINGS: dict[str, Any] = {"epoch_count": 3, "batch_size": 2, "learning_rate": 0.01}
LONG: dict[str, Any] = {"epoch_count": 900, "batch_size": 1}
ROWS = [{"text_input": text, "output": output} for text, output in PAIRS]
COLUMNS = {key: [row[key] for row in ROWS] for key in ("text_input", "output")}


@pytest.fixture(scope="module")
def genai(url: str) -> Iterator[Any]:
    """The client; imported here, since the import takes seconds."""
    module = import_module("google.generativeai")
    module.configure(api_key="fake", transport="rest", client_options={"api_endpoint": url})
    yield module
    clients = import_module("google.generativeai.client")._client_manager.clients
    for kind, client in clients.items():
        # The transport of operations cannot be closed; its session can.
        (client.transport._session if kind == "operations" else client.transport).close()


@pytest.fixture(scope="module")
def fast_polling() -> Any:
    """Fast polling of operations; the client polls once per second by default."""
    default = import_module("google.api_core.future.polling").DEFAULT_POLLING
    return default.with_delay(initial=0.02, maximum=0.1).with_timeout(30)


def as_list(folder: Path) -> Any:
    return ROWS


def as_pairs(folder: Path) -> Any:
    return PAIRS


def as_columns(folder: Path) -> Any:
    return COLUMNS


def as_csv(folder: Path) -> Any:
    with (folder / "data.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["text_input", "output"])
        writer.writeheader()
        writer.writerows(ROWS)
    return folder / "data.csv"


def as_json(folder: Path) -> Any:
    (folder / "data.json").write_text(json.dumps(ROWS))
    return str(folder / "data.json")


@pytest.mark.parametrize("form", [as_list, as_pairs, as_columns, as_csv, as_json])
def test_every_form_of_a_dataset_becomes_a_model_that_answers(
    genai: Any, fast_polling: Any, tmp_path: Path, form: Callable[[Path], Any]
) -> None:
    model_id = form.__name__.replace("_", "-")
    operation = genai.create_tuned_model(
        source_model=BASE, training_data=form(tmp_path), id=model_id, **SETTINGS
    )
    assert operation.metadata.total_steps == 9
    assert operation.metadata.tuned_model == f"tunedModels/{model_id}"
    model = operation.result(polling=fast_polling)
    assert (model.name, model.state.name) == (f"tunedModels/{model_id}", "ACTIVE")
    assert [snapshot["step"] for snapshot in model.tuning_task.snapshots] == list(range(1, 10))
    assert genai.GenerativeModel(model.name).generate_content("nein").text == "NEIN"


def test_a_wait_bar_shows_the_steps_up_to_the_last(genai: Any) -> None:
    operation = genai.create_tuned_model(source_model=BASE, training_data=ROWS, id="bar")
    for metadata in operation.wait_bar(disable=True):
        assert metadata.completed_steps <= metadata.total_steps == 8
        time.sleep(0.02)
    metadata = operation.metadata
    assert metadata.completed_steps == 8
    assert metadata.completed_percent == 100
    assert len(metadata.snapshots) == 8


def test_a_cancelled_operation_raises_cancelled(genai: Any, fast_polling: Any) -> None:
    operation = genai.create_tuned_model(source_model=BASE, training_data=ROWS, id="stop", **LONG)
    assert operation.cancel()
    with pytest.raises(import_module("google.api_core.exceptions").Cancelled):
        operation.result(polling=fast_polling)
    assert genai.get_tuned_model("tunedModels/stop").state.name == "FAILED"
    assert genai.get_operation(operation.name).done()


def test_a_model_is_continued_from_a_tuned_one(genai: Any, tone: str, fast_polling: Any) -> None:
    operation = genai.create_tuned_model(
        source_model=tone, training_data=ROWS, id="child", **SETTINGS
    )
    model = operation.result(polling=fast_polling)
    assert (model.source_model, model.base_model) == (tone, BASE)


def test_an_id_is_derived_from_the_display_name(genai: Any) -> None:
    operation = genai.create_tuned_model(
        source_model=BASE, training_data=ROWS, display_name="Number Generator", **LONG
    )
    name = operation.metadata.tuned_model
    assert name.startswith("tunedModels/number-generator-")
    genai.delete_tuned_model(name)


def test_a_taken_id_is_a_conflict(genai: Any, tone: str) -> None:
    # Over REST, this client raises Conflict instead of its subclass AlreadyExists.
    with pytest.raises(import_module("google.api_core.exceptions").Conflict):
        genai.create_tuned_model(source_model=BASE, training_data=ROWS, id="tone")


def test_a_learning_rate_multiplier_and_the_data_are_not_returned(genai: Any, tone: str) -> None:
    # The client fails with either field, since its dataclasses do not have them.
    model = genai.get_tuned_model(tone)
    settings = model.tuning_task.hyperparameters
    assert (settings.epoch_count, settings.batch_size) == (3, 2)
    assert settings.learning_rate == pytest.approx(0.002)
    listed = {model.name: model for model in genai.list_tuned_models()}
    assert listed[tone].tuning_task.hyperparameters == settings


def test_lists_are_read_page_by_page_and_a_deleted_model_is_gone(
    genai: Any, tone: str, busy: str
) -> None:
    names = [model.name for model in genai.list_tuned_models(page_size=1)]
    assert {tone, busy} <= set(names)
    assert len(names) == len(set(names))
    genai.delete_tuned_model(busy)
    with pytest.raises(import_module("google.api_core.exceptions").NotFound) as missing:
        genai.get_tuned_model(busy)
    assert "Tuned model tunedModels/busy does not exist." in missing.value.message


def test_base_models_that_can_be_tuned_are_found(genai: Any) -> None:
    tunable = [
        model.name
        for model in genai.list_models()
        if "createTunedModel" in model.supported_generation_methods
    ]
    assert BASE in tunable


def test_a_dictionary_of_updates_changes_only_these_fields(genai: Any, tone: str) -> None:
    before = genai.get_tuned_model(tone)
    # It sends the complete model, states as numbers, and a mask with two fields.
    genai.update_tuned_model(tone, {"description": "Polite.", "temperature": 0.25})
    after = genai.get_tuned_model(tone)
    assert (after.description, after.temperature) == ("Polite.", 0.25)
    assert (after.display_name, after.tuning_task) == (before.display_name, before.tuning_task)


def test_a_mask_with_output_only_paths_changes_the_rest(genai: Any, tone: str) -> None:
    models = import_module("google.generativeai.client").get_default_model_client()
    sent = models.get_tuned_model(name=tone)
    sent.description, sent.state, sent.create_time, sent.update_time = "Politer.", 3, None, None
    sent.tuning_task.snapshots = []
    # The client creates this mask: description, state, createTime, tuningTask, ...
    genai.update_tuned_model(sent)
    model = genai.get_tuned_model(tone)
    assert (model.description, model.state.name) == ("Politer.", "ACTIVE")
    assert model.create_time.year > 2000


@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_model_answers_at_once_and_in_parts(genai: Any, tone: str, *, is_streamed: bool) -> None:
    answer = genai.GenerativeModel(tone).generate_content("ja", stream=is_streamed)
    assert "".join(part.text for part in (answer if is_streamed else [answer])) == "JA"
    assert answer.usage_metadata.prompt_token_count == 1


def test_a_rejected_stream_fails_as_with_the_api_of_google(genai: Any) -> None:
    # The error is the only element of an array, which this client does not parse.
    missing = genai.GenerativeModel("tunedModels/missing")
    exceptions = import_module("google.api_core.exceptions")
    with pytest.raises(exceptions.BadRequest, match="Please retry with `stream=False`"):
        missing.generate_content("ja", stream=True)
    with pytest.raises(exceptions.NotFound, match="Tuned model tunedModels/missing does not exist"):
        missing.generate_content("ja")


def test_permissions_are_granted_changed_and_revoked(genai: Any, busy: str) -> None:
    permissions = genai.get_tuned_model(busy).permissions
    (owner,) = permissions.list()
    assert (owner.role.name, owner.email_address) == ("OWNER", "owner@localhost")
    everyone = permissions.create(role="READER", grantee_type="EVERYONE")
    ana = permissions.create(role="reader", grantee_type="user", email_address="Ana@Example.com")
    assert (everyone.grantee_type.name, everyone.email_address) == ("EVERYONE", None)
    ana.update({"role": "WRITER"})
    again = import_module("google.generativeai.types.permission_types").Permission.get(ana.name)
    assert (again.role.name, again.email_address) == ("WRITER", "ana@example.com")
    assert [permission.name for permission in permissions.list(page_size=1)] == [
        permission.name for permission in (owner, everyone, ana)
    ]
    everyone.delete()
    ana.delete()
    assert [permission.name for permission in permissions] == [owner.name]


def test_ownership_is_transferred_and_the_former_owner_becomes_a_writer(
    genai: Any, busy: str
) -> None:
    permissions = genai.get_tuned_model(busy).permissions
    permissions.transfer_ownership("bo@example.com")
    roles = {permission.email_address: permission.role.name for permission in permissions.list()}
    assert roles == {"owner@localhost": "WRITER", "bo@example.com": "OWNER"}
    permissions.transfer_ownership("owner@localhost")
    roles = {permission.email_address: permission.role.name for permission in permissions.list()}
    assert roles == {"owner@localhost": "OWNER", "bo@example.com": "WRITER"}
