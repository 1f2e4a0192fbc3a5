"""Asking the held-out examples: each once, several at a time, and only answers count."""

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
from tunedmodels.datasets.diff import Numbered
from tunedmodels.datasets.examples import Example
from tunedmodels.errors import TunedModelsError, UnavailableError
from tunedmodels.evaluation.answer_cache import Answers, Forgetful
from tunedmodels.evaluation.scoring import UnansweredError, few_shot_prompt, score, shots
from tunedmodels.schema.tuned_model import GenerationConfig

RULES = evaluation(concurrency=3)


def numbered(count: int) -> list[Numbered]:
    """Examples whose lines are not their numbers."""
    return [Numbered(n, Example(f"ask {n}", "yes"), n + 1) for n in range(1, count + 1)]


class Model:
    """Says yes, but for what it is told; counts the questions, and how many there were at once."""

    def __init__(self, silent: Sequence[str] = (), wrong: Sequence[str] = ()) -> None:
        self.asked: list[str] = []
        self.busy = self.busiest = 0
        self.silent, self.wrong = silent, wrong

    async def __call__(self, text: str) -> str:
        self.asked.append(text)
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        await asyncio.sleep(0)
        self.busy -= 1
        if text in self.silent:
            raise UnavailableError("The service is away.", cure="Wait.")
        return "no" if text in self.wrong else "yes"


async def test_every_example_has_its_answer_and_value() -> None:
    model = Model(wrong=["ask 2"])
    found = await score(RULES, numbered(4), model, known=Forgetful())
    assert [(one.line, one.got, one.value) for one in found.answers] == [
        (2, "yes", 1), (3, "no", 0), (4, "yes", 1), (5, "yes", 1)
    ]  # fmt: skip
    assert found.value == 0.75
    assert [one.line for one in found.worst(3)] == [3]


async def test_no_more_questions_are_asked_at_once_than_may_be() -> None:
    model = Model()
    await score(RULES, numbered(20), model, known=Forgetful())
    assert model.busiest == 3
    assert len(model.asked) == 20


async def test_an_input_that_stands_there_twice_is_asked_once() -> None:
    model = Model()
    examples = [*numbered(2), Numbered(3, Example("ask 1", "no"), 9)]
    found = await score(RULES, examples, model, known=Forgetful())
    assert sorted(model.asked) == ["ask 1", "ask 2"]
    assert [one.value for one in found.answers] == [1, 1, 0]


async def test_progress_counts_the_examples_that_are_answered() -> None:
    told: list[tuple[int, int]] = []
    await score(
        RULES, numbered(4), Model(), known=Forgetful(), on_progress=lambda *at: told.append(at)
    )
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


async def test_an_example_without_an_answer_is_no_zero_but_the_end() -> None:
    with pytest.raises(UnansweredError) as error:
        await score(RULES, numbered(4), Model(silent=["ask 3"]), known=Forgetful())
    assert error.value.message == (
        "data/tone.eval.jsonl:4: no answer: The service is away. (3 of 4 questions were answered)"
    )
    assert error.value.cure == "Wait."


async def test_a_service_that_never_answers_is_not_asked_everything() -> None:
    model = Model(silent=[f"ask {n}" for n in range(1, 101)])
    with pytest.raises(UnansweredError) as error:
        await score(RULES, numbered(100), model, known=Forgetful())
    assert len(model.asked) <= 5
    assert error.value.why == "The service is away."


async def test_what_was_answered_before_a_failure_is_not_asked_again(tmp_path: Path) -> None:
    with pytest.raises(UnansweredError):
        await score(RULES, numbered(4), Model(silent=["ask 4"]), known=Answers(tmp_path, "v", "1"))
    model = Model()
    found = await score(RULES, numbered(4), model, known=Answers(tmp_path, "v", "1"))
    assert model.asked == ["ask 4"]
    assert len(found.answers) == 4


async def test_a_kill_in_the_middle_loses_what_was_under_way_and_no_more(tmp_path: Path) -> None:
    class KilledError(BaseException):
        pass

    class Dying(Model):
        async def __call__(self, text: str) -> str:
            if len(self.asked) == 5:
                raise KilledError
            return await super().__call__(text)

    with pytest.raises(BaseExceptionGroup):
        await score(
            evaluation(concurrency=1), numbered(8), Dying(), known=Answers(tmp_path, "v", "1")
        )
    model = Model()
    await score(RULES, numbered(8), model, known=Answers(tmp_path, "v", "1"))
    assert sorted(model.asked) == ["ask 6", "ask 7", "ask 8"]


async def test_nothing_is_asked_when_an_expected_text_cannot_be_judged() -> None:
    model = Model()
    with pytest.raises(TunedModelsError, match=r"tone.eval.jsonl:2: output is no JSON"):
        await score(evaluation(metric="jsonFields"), numbered(2), model, known=Forgetful())
    assert not model.asked


def test_answers_are_for_their_owner_alone(tmp_path: Path) -> None:
    Answers(tmp_path / "evaluations", "v", "1").put("ask", "yes")
    (file,) = (tmp_path / "evaluations").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "damage", [b"[", b'["a', b"\xff\xfe", b"{}\n\n", b'["a", 1]\n', b"\0" * 100]
)
def test_what_cannot_be_read_is_asked_again_and_the_rest_is_known(
    tmp_path: Path, damage: bytes
) -> None:
    answers = Answers(tmp_path, "v", "1")
    answers.put("first", "yes")
    (file,) = tmp_path.iterdir()
    with file.open("ab") as opened:
        opened.write(b"\n" + damage)
    answers.put("second", "no")
    again = Answers(tmp_path, "v", "1")
    assert (again.get("first"), again.get("second"), again.get("third")) == ("yes", "no", None)


def test_a_disk_that_takes_nothing_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    answers = Answers(tmp_path / "file", "v", "1")
    assert answers.get("ask") is None
    answers.put("ask", "yes")
    assert answers.get("ask") == "yes"


def test_answers_are_of_one_version_and_one_way_of_asking(tmp_path: Path) -> None:
    model, likeliest = live(), GenerationConfig()
    Answers.of_version(tmp_path, model, likeliest).put("ask", "yes")
    assert Answers.of_version(tmp_path, live(), likeliest).get("ask") == "yes"
    assert Answers.of_version(tmp_path, model, GenerationConfig(top_k=3)).get("ask") is None
    assert model.created
    anew = live(created=model.created + timedelta(minutes=5))
    assert Answers.of_version(tmp_path, anew, likeliest).get("ask") is None


EXAMPLES = [Example(f"ask {n}", label) for n in range(9) for label in ("a", "b", "c")]


def test_the_prompt_shows_every_label_before_one_is_shown_twice() -> None:
    chosen = shots(EXAMPLES, 6, without=())
    assert sorted(each.output for each in chosen) == ["a", "a", "b", "b", "c", "c"]
    assert sorted(each.output for each in chosen[:3]) == ["a", "b", "c"]


def test_no_example_of_the_evaluation_stands_in_the_prompt() -> None:
    chosen = shots(EXAMPLES, 100, without={f"ask {n}" for n in range(8)})
    assert {each.text_input for each in chosen} == {"ask 8"}


@given(st.permutations(EXAMPLES), st.integers(0, 30))
def test_the_same_examples_are_chosen_in_whatever_order(examples: list[Example], most: int) -> None:
    chosen = shots(examples, most, without=())
    assert chosen == shots(EXAMPLES, most, without=())
    assert len(chosen) == min(most, len(EXAMPLES))


def test_a_few_shot_prompt_ends_where_the_answer_begins() -> None:
    prompt = few_shot_prompt("Name the label.\n", [Example("x", "a"), Example("y", "b")], "z")
    assert prompt == (
        "Name the label.\n\nInput: x\nOutput: a\n\nInput: y\nOutput: b\n\nInput: z\nOutput:"
    )
