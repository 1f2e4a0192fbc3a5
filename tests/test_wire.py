from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fakes.script import detail
from tunedmodels.wire import gemini, status


def body(**error: Any) -> bytes:
    return json.dumps({"error": error}).encode()


def test_a_status_is_read_with_its_details() -> None:
    found = status.read(
        body(
            code=429,
            message="Quota.",
            status="RESOURCE_EXHAUSTED",
            details=[
                detail("ErrorInfo", reason="RATE_LIMIT", domain="googleapis.com", metadata={}),
                detail("RetryInfo", retryDelay="31s"),
                detail(
                    "BadRequest", fieldViolations=[{"field": "top_k", "description": "too big"}]
                ),
                detail("Help", links=[{"description": "docs", "url": "https://ai.google.dev"}]),
            ],
        )
    )
    assert (found.code, found.status, found.reason) == (429, "RESOURCE_EXHAUSTED", "RATE_LIMIT")
    assert found.retry_delay_s == 31.0
    assert found.words == "Quota.; top_k: too big; see https://ai.google.dev"


def test_a_status_in_a_list_of_one_is_read_as_well() -> None:
    assert status.read(b"[" + body(code=404, message="gone") + b"]").message == "gone"


# fmt: off
NO_STATUS = [
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


@pytest.mark.parametrize(("answer", "words"), NO_STATUS)
def test_what_is_no_status_gives_what_words_it_has(answer: bytes, words: str) -> None:
    assert status.read(answer) == status.Status(message=words)


@given(st.binary() | st.text().map(str.encode))
def test_reading_an_error_never_fails(answer: bytes) -> None:
    status.read(answer)


@pytest.mark.parametrize("delay", ["", "s", "-1s", "1.5m", "soon"])
def test_a_delay_that_is_none_is_ignored(delay: str) -> None:
    found = status.read(body(code=429, details=[detail("RetryInfo", retryDelay=delay)]))
    assert found.retry_delay_s is None


@given(st.text())
def test_foreign_words_are_fit_for_a_terminal(text: str) -> None:
    shown = status.plain(text)
    assert shown.isprintable()
    assert len(shown) <= status.LONGEST_WORDS


def test_control_characters_and_endless_words_are_taken_out() -> None:
    assert status.plain("a\x1b[31m\nb") == "a [31m b"
    assert status.plain("x" * 5000).endswith("x...")


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


def test_numbers_may_be_strings_and_a_loss_may_have_gone_astray() -> None:
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
def test_what_is_no_message_is_refused(answer: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        gemini.decode(answer, gemini.TunedModel)


def test_an_empty_body_is_an_empty_message() -> None:
    assert gemini.decode(b"", gemini.TunedModelPage) == gemini.TunedModelPage()


@pytest.mark.parametrize("state", gemini.State)
def test_a_state_goes_by_name_or_number(state: gemini.State) -> None:
    assert gemini.State.of(state.name) is gemini.State.of(state.value) is state


def test_a_state_of_tomorrow_is_unspecified() -> None:
    assert gemini.State.of("PAUSED") is gemini.State.of(9) is gemini.State.STATE_UNSPECIFIED


def test_defaults_are_left_out_and_zeros_that_were_set_are_sent() -> None:
    assert gemini.encode(gemini.TunedModel(temperature=0.0)) == b'{"temperature":0.0}'
