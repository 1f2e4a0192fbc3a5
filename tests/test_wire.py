"""Messages of the services: error bodies and the Gemini API."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fakes.script import error_detail
from tunedmodels.wire import gemini, status


def error_body(**error: Any) -> bytes:
    return json.dumps({"error": error}).encode()


def test_a_status_is_parsed_with_its_details() -> None:
    parsed = status.parse_status(
        error_body(
            code=429,
            message="Quota.",
            status="RESOURCE_EXHAUSTED",
            details=[
                error_detail(
                    "ErrorInfo", reason="RATE_LIMIT", domain="googleapis.com", metadata={}
                ),
                error_detail("RetryInfo", retryDelay="31s"),
                error_detail(
                    "BadRequest", fieldViolations=[{"field": "top_k", "description": "too big"}]
                ),
                error_detail(
                    "Help", links=[{"description": "docs", "url": "https://ai.google.dev"}]
                ),
            ],
        )
    )
    assert (parsed.code, parsed.status, parsed.reason) == (429, "RESOURCE_EXHAUSTED", "RATE_LIMIT")
    assert parsed.retry_delay_s == 31.0
    assert parsed.text == "Quota.; top_k: too big; see https://ai.google.dev"


def test_a_status_in_a_list_is_parsed() -> None:
    assert status.parse_status(b"[" + error_body(code=404, message="gone") + b"]").message == "gone"


# fmt: off
OTHER_BODIES = [
    (b"",                                                    ""),
    (b"{}",                                                  "{}"),
    (b"[]",                                                  "[]"),
    (b"Internal Server Error",                               "Internal Server Error"),
    (b"<html><body>no title</body></html>",                  ""),
    (b"<!DOCTYPE html><title>Error 404 (Not&nbsp;Found)</title>", "Error 404 (Not\xa0Found)"),
    (b'{"error": "a word"}',                                 '{"error": "a word"}'),
    (b"\xff\xfe",                                            "\N{REPLACEMENT CHARACTER}" * 2),
]
# fmt: on


@pytest.mark.parametrize(("body", "message"), OTHER_BODIES)
def test_a_body_that_is_not_a_status_becomes_a_message(body: bytes, message: str) -> None:
    assert status.parse_status(body) == status.Status(message=message)


@given(st.binary() | st.text().map(str.encode))
def test_parsing_an_error_never_fails(answer: bytes) -> None:
    status.parse_status(answer)


@pytest.mark.parametrize("delay", ["", "s", "-1s", "1.5m", "soon"])
def test_an_invalid_delay_is_ignored(delay: str) -> None:
    parsed = status.parse_status(
        error_body(code=429, details=[error_detail("RetryInfo", retryDelay=delay)])
    )
    assert parsed.retry_delay_s is None


@given(st.text())
def test_text_of_a_service_becomes_printable(text: str) -> None:
    line = status.printable_line(text)
    assert line.isprintable()
    assert len(line) <= status.MAX_TEXT_CHARS


def test_control_characters_are_removed_and_long_text_is_shortened() -> None:
    assert status.printable_line("a\x1b[31m\nb") == "a [31m b"
    assert status.printable_line("x" * 5000).endswith("x...")


def test_a_recorded_model_is_decoded_with_nine_digit_times() -> None:
    recorded = {
        "name": "tunedModels/my-display-name-81-9wpmc1m920vq",
        "baseModel": "models/text-bison-001",
        "displayName": "my display name 81",
        "state": "ACTIVE",
        "createTime": "2023-09-18T22:02:08.690991Z",
        "updateTime": "2023-09-18T22:02:28.806318Z",
        "tuningTask": {
            "startTime": "2023-09-18T22:02:09.161100369Z",
            "completeTime": "2023-09-18T22:02:28.806318Z",
            "snapshots": [
                {"step": 1, "meanLoss": 7.2774773, "computeTime": "2023-09-18T22:02:12.453056368Z"},
                {"step": 4, "epoch": 1, "meanLoss": -1.1145603e-06},
            ],
            "hyperparameters": {"epochCount": 3, "batchSize": 4, "learningRate": 0.001},
        },
        "temperature": 0.7,
        "topP": 0.95,
        "topK": 40,
        "fieldOfTomorrow": {"a": 1},
    }
    model = gemini.decode(json.dumps(recorded).encode(), gemini.TunedModel)
    assert model.tuning_task
    assert model.tuning_task.start_time
    assert model.tuning_task.start_time.microsecond == 161100
    assert [point.epoch for point in model.tuning_task.snapshots] == [0, 1]
    assert model.tuning_task.hyperparameters == gemini.Hyperparameters(3, 4, 0.001)


def test_numbers_may_be_strings_and_a_loss_may_be_nan() -> None:
    model = gemini.decode(
        b'{"topK": "40", "readerProjectNumbers": ["12", 3],'
        b' "tuningTask": {"snapshots": [{"step": "2", "meanLoss": "NaN"}]}}',
        gemini.TunedModel,
    )
    assert model.tuning_task
    assert model.tuning_task.snapshots[0].step == 2
    assert math.isnan(model.tuning_task.snapshots[0].mean_loss)
    assert (model.top_k, model.reader_project_numbers) == (40, ["12", 3])


@pytest.mark.parametrize("answer", [b"[]", b"no", b'{"readerProjectNumbers": ["many"]}', b"\xff"])
def test_a_malformed_body_is_rejected(answer: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        gemini.decode(answer, gemini.TunedModel)


def test_an_empty_message_is_two_braces_and_not_an_empty_body() -> None:
    assert gemini.decode(b"{}", gemini.TunedModelPage) == gemini.TunedModelPage()
    with pytest.raises(msgspec.DecodeError):
        gemini.decode(b"", gemini.TunedModelPage)


@pytest.mark.parametrize("state", gemini.State)
def test_a_state_is_parsed_from_its_name_or_number(state: gemini.State) -> None:
    assert gemini.State.parse(state.name) is gemini.State.parse(state.value) is state


def test_an_unknown_state_is_unspecified() -> None:
    assert gemini.State.parse("PAUSED") is gemini.State.parse(9) is gemini.State.STATE_UNSPECIFIED


def test_default_values_are_not_sent_and_explicit_zeros_are() -> None:
    assert gemini.encode(gemini.TunedModel(temperature=0.0)) == b'{"temperature":0.0}'
