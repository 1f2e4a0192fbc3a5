"""Scoring: each input is asked once, several at the same time, and a failure is not an answer."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import evaluation, live
from tunedmodels.datasets.diff import NumberedExample
from tunedmodels.datasets.examples import Example
from tunedmodels.errors import TunedModelsError, UnavailableError
from tunedmodels.evaluation.answer_cache import AnswerCache, NoAnswerCache
from tunedmodels.evaluation.scoring import (
    UnansweredError,
    choose_few_shot,
    few_shot_prompt,
    score_answers,
)
from tunedmodels.schema.tuned_model import GenerationConfig

RULES = evaluation(concurrency=3)


def numbered(count: int) -> list[NumberedExample]:
    """Return examples whose lines differ from their numbers."""
    return [NumberedExample(n, Example(f"ask {n}", "yes"), n + 1) for n in range(1, count + 1)]


class Model:
    """Answers yes, with exceptions; counts the questions, and how many there are at a time."""

    def __init__(self, silent: Sequence[str] = (), wrong: Sequence[str] = ()) -> None:
        self.asked: list[str] = []
        self.concurrent = self.max_concurrent = 0
        self.silent, self.wrong = silent, wrong

    async def __call__(self, text: str) -> str:
        self.asked.append(text)
        self.concurrent += 1
        self.max_concurrent = max(self.max_concurrent, self.concurrent)
        await asyncio.sleep(0)
        self.concurrent -= 1
        if text in self.silent:
            raise UnavailableError("The service is away.", cure="Wait.")
        return "no" if text in self.wrong else "yes"


async def test_every_example_has_its_answer_and_value() -> None:
    model = Model(wrong=["ask 2"])
    scores = await score_answers(RULES, numbered(4), model, answers=NoAnswerCache())
    assert [(answer.line, answer.answer, answer.value) for answer in scores.answers] == [
        (2, "yes", 1), (3, "no", 0), (4, "yes", 1), (5, "yes", 1)
    ]  # fmt: skip
    assert scores.value == 0.75
    assert [answer.line for answer in scores.worst(3)] == [3]


async def test_the_number_of_concurrent_questions_is_limited() -> None:
    model = Model()
    await score_answers(RULES, numbered(20), model, answers=NoAnswerCache())
    assert model.max_concurrent == 3
    assert len(model.asked) == 20


async def test_an_input_that_occurs_twice_is_asked_once() -> None:
    model = Model()
    examples = [*numbered(2), NumberedExample(3, Example("ask 1", "no"), 9)]
    scores = await score_answers(RULES, examples, model, answers=NoAnswerCache())
    assert sorted(model.asked) == ["ask 1", "ask 2"]
    assert [answer.value for answer in scores.answers] == [1, 1, 0]


async def test_progress_counts_the_answered_examples() -> None:
    reports: list[tuple[int, int]] = []
    await score_answers(
        RULES,
        numbered(4),
        Model(),
        answers=NoAnswerCache(),
        on_progress=lambda *counts: reports.append(counts),
    )
    assert reports == [(1, 4), (2, 4), (3, 4), (4, 4)]


async def test_an_example_without_an_answer_fails_the_evaluation() -> None:
    with pytest.raises(UnansweredError) as error:
        await score_answers(RULES, numbered(4), Model(silent=["ask 3"]), answers=NoAnswerCache())
    assert error.value.message == (
        "data/tone.eval.jsonl:4: no answer: The service is away. (3 of 4 questions were answered)"
    )
    assert error.value.cure == "Wait."


async def test_a_service_that_never_answers_is_asked_a_few_times_only() -> None:
    model = Model(silent=[f"ask {n}" for n in range(1, 101)])
    with pytest.raises(UnansweredError) as error:
        await score_answers(RULES, numbered(100), model, answers=NoAnswerCache())
    assert len(model.asked) <= 5
    assert error.value.why == "The service is away."


async def test_answers_before_a_failure_are_kept(tmp_path: Path) -> None:
    with pytest.raises(UnansweredError):
        await score_answers(
            RULES, numbered(4), Model(silent=["ask 4"]), answers=AnswerCache(tmp_path, "v", "1")
        )
    model = Model()
    scores = await score_answers(RULES, numbered(4), model, answers=AnswerCache(tmp_path, "v", "1"))
    assert model.asked == ["ask 4"]
    assert len(scores.answers) == 4


async def test_a_killed_run_loses_only_the_unfinished_questions(tmp_path: Path) -> None:
    class KilledError(BaseException):
        pass

    class KilledModel(Model):
        async def __call__(self, text: str) -> str:
            if len(self.asked) == 5:
                raise KilledError
            return await super().__call__(text)

    with pytest.raises(BaseExceptionGroup):
        await score_answers(
            evaluation(concurrency=1),
            numbered(8),
            KilledModel(),
            answers=AnswerCache(tmp_path, "v", "1"),
        )
    model = Model()
    await score_answers(RULES, numbered(8), model, answers=AnswerCache(tmp_path, "v", "1"))
    assert sorted(model.asked) == ["ask 6", "ask 7", "ask 8"]


async def test_no_question_is_asked_if_an_expected_text_cannot_be_scored() -> None:
    model = Model()
    with pytest.raises(TunedModelsError, match=r"tone.eval.jsonl:2: output is not JSON"):
        await score_answers(
            evaluation(metric="jsonFields"), numbered(2), model, answers=NoAnswerCache()
        )
    assert not model.asked


def test_the_cache_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    AnswerCache(tmp_path / "evaluations", "v", "1").put("ask", "yes")
    (file,) = (tmp_path / "evaluations").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "damage", [b"[", b'["a', b"\xff\xfe", b"{}\n\n", b'["a", 1]\n', b"\0" * 100]
)
def test_a_damaged_line_of_the_cache_is_ignored(tmp_path: Path, damage: bytes) -> None:
    answers = AnswerCache(tmp_path, "v", "1")
    answers.put("first", "yes")
    (file,) = tmp_path.iterdir()
    with file.open("ab") as opened:
        opened.write(b"\n" + damage)
    answers.put("second", "no")
    again = AnswerCache(tmp_path, "v", "1")
    assert (again.get("first"), again.get("second"), again.get("third")) == ("yes", "no", None)


def test_a_disk_error_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    answers = AnswerCache(tmp_path / "file", "v", "1")
    assert answers.get("ask") is None
    answers.put("ask", "yes")
    assert answers.get("ask") == "yes"


def test_answers_belong_to_one_version_and_one_sampling(tmp_path: Path) -> None:
    model, likeliest = live(), GenerationConfig()
    AnswerCache.for_version(tmp_path, model, likeliest).put("ask", "yes")
    assert AnswerCache.for_version(tmp_path, live(), likeliest).get("ask") == "yes"
    assert AnswerCache.for_version(tmp_path, model, GenerationConfig(top_k=3)).get("ask") is None
    assert model.created
    retrained = live(created=model.created + timedelta(minutes=5))
    assert AnswerCache.for_version(tmp_path, retrained, likeliest).get("ask") is None


EXAMPLES = [Example(f"ask {n}", label) for n in range(9) for label in ("a", "b", "c")]


def test_the_prompt_contains_every_label_before_a_second_example_of_one() -> None:
    chosen = choose_few_shot(EXAMPLES, 6, without=())
    assert sorted(example.output for example in chosen) == ["a", "a", "b", "b", "c", "c"]
    assert sorted(example.output for example in chosen[:3]) == ["a", "b", "c"]


def test_the_prompt_contains_no_example_of_the_evaluation() -> None:
    chosen = choose_few_shot(EXAMPLES, 100, without={f"ask {n}" for n in range(8)})
    assert {example.text_input for example in chosen} == {"ask 8"}


@given(st.permutations(EXAMPLES), st.integers(0, 30))
def test_the_choice_does_not_depend_on_the_order(examples: list[Example], most: int) -> None:
    chosen = choose_few_shot(examples, most, without=())
    assert chosen == choose_few_shot(EXAMPLES, most, without=())
    assert len(chosen) == min(most, len(EXAMPLES))


def test_a_few_shot_prompt_ends_before_the_answer() -> None:
    prompt = few_shot_prompt("Name the label.\n", [Example("x", "a"), Example("y", "b")], "z")
    assert prompt == (
        "Name the label.\n\nInput: x\nOutput: a\n\nInput: y\nOutput: b\n\nInput: z\nOutput:"
    )
