"""The table of the planner, row by row: what there is decides what happens."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.builders import BASE, desired, foreign, live, planned
from tunedmodels.observed import ModelState, ObservedModel, UsedHyperparameters, serving
from tunedmodels.plan.plan import Action, Change
from tunedmodels.plan.planner import DatasetCounts
from tunedmodels.schema.tuned_model import Hyperparameters, Lifecycle

QUEUED, TRAINING, READY, FAILED, CANCELLED = ModelState
REPLACE, RETRY, PROMOTE, UPDATE = Action.REPLACE, Action.RETRY, Action.PROMOTE, Action.UPDATE
CONFLICT, GIVEN_UP = Action.CONFLICT, Action.FAILED


def want(**others: Any) -> Any:
    return desired(**others)


def exact(state: ModelState = READY, promoted: int | None = None, **others: Any) -> ObservedModel:
    return live(desired(), state=state, promoted=promoted, **others)


def other(
    data: str = "old", state: ModelState = READY, promoted: int | None = None, **others: Any
) -> ObservedModel:
    return live(desired(data=data), state=state, promoted=promoted, **others)


NEW = desired().model_id
WORDS = {desired(data=data).model_id: data for data in ("old", "older", "oldest")}


def said(change: Change) -> str:
    """What a change does; to which version, unless it is the declared one; what it retires."""
    about = change.after or change.before
    which = WORDS.get(about.model_id, "") if about else ""
    retired = " ".join(WORDS[version.model_id] for version in change.retires)
    return f"{change.action} {which}{'then ' * bool(retired)}{retired}".strip()


# fmt: off
CASES = {
    "nothing": ([], ["create"]),
    "another, serving": ([other(promoted=1)], ["replace"]),
    "another, never promoted": ([other()], ["replace"]),
    "another, training": ([other(state=TRAINING)], ["replace", "cancel old"]),
    "another, failed": ([other(state=FAILED)], ["replace", "delete old"]),
    "two others, one too many":
        ([other(promoted=2), other("older", promoted=1)], ["replace then older"]),
    "never promoted ones go first": ([other(promoted=1), other("older")], ["replace then older"]),
    "moved from another provider": ([live(desired(provider="x"), promoted=1)], ["replace"]),
    "queued": ([exact(QUEUED)], ["wait"]),
    "training": ([exact(TRAINING), other(promoted=1)], ["wait"]),
    "training, one too many":
        ([exact(TRAINING), other(promoted=2), other("older", promoted=1)], ["wait then older"]),
    "failed once": ([exact(FAILED)], ["retry"]),
    "cancelled once": ([exact(CANCELLED)], ["retry"]),
    "failed twice": ([exact(FAILED, attempt=2)], ["failed"]),
    "cancelled twice": ([exact(CANCELLED, attempt=2)], ["failed"]),
    "given up: the others stay":
        ([exact(FAILED, attempt=2), other(promoted=1), other("older")], ["failed"]),
    "ready, never promoted": ([exact()], ["promote"]),
    "ready, another serves": ([exact(promoted=1), other(promoted=2)], ["promote"]),
    "going back, one too many":
        ([exact(promoted=1), other(promoted=2), other("older", promoted=0)],
         ["promote then older"]),
    "as declared": ([exact(promoted=1)], []),
    "as declared, one kept": ([exact(promoted=2), other(promoted=1)], []),
    "other words": ([exact(promoted=2, description="x")], ["update"]),
    "serving, one too many":
        ([exact(promoted=3), other(promoted=2), other("older", promoted=1)], ["delete older"]),
    "serving, two too many: the oldest goes first":
        ([exact(promoted=4), other(promoted=3), other("older"), other("oldest", promoted=1)],
         ["delete older", "delete oldest"]),
    "serving, another trains": ([exact(promoted=3), other(state=TRAINING)], ["cancel old"]),
    "serving, another is queued": ([exact(promoted=3), other(state=QUEUED)], ["cancel old"]),
    "serving, another failed": ([exact(promoted=3), other(state=FAILED)], ["delete old"]),
    "serving, another was cancelled":
        ([exact(promoted=3), other(state=CANCELLED)], ["delete old"]),
    "the id is somebody's": ([foreign(NEW)], ["conflict"]),
    "in conflict nothing is done": ([foreign(NEW), other(state=TRAINING)], ["conflict"]),
    "the id is taken elsewhere, free here": ([foreign(NEW, provider="x")], ["create"]),
}
GONE = {
    "serving": ([exact(promoted=1)], ["delete"]),
    "training": ([exact(TRAINING)], ["cancel"]),
    "failed": ([exact(FAILED)], ["delete"]),
    "the serving one last":
        ([exact(promoted=3), other(promoted=1), other("older", QUEUED), other("oldest", FAILED)],
         ["cancel older", "delete oldest", "delete old", "delete"]),
}
# fmt: on


@pytest.mark.parametrize(("there", "happens"), CASES.values(), ids=CASES)
def test_what_there_is_decides_what_happens(there: list[ObservedModel], happens: list[str]) -> None:
    plan = planned([desired()], there)
    assert [said(change) for change in plan.changes] == happens
    assert plan.unchanged == all(change.after is None for change in plan.changes)


@pytest.mark.parametrize("destroying", [False, True])
@pytest.mark.parametrize(("there", "happens"), GONE.values(), ids=GONE)
def test_a_name_that_is_not_declared_goes(
    there: list[ObservedModel], happens: list[str], *, destroying: bool
) -> None:
    plan = planned([desired()] if destroying else [], there, destroying=destroying)
    assert [said(change) for change in plan.changes] == happens


def test_what_is_retained_stays_and_is_counted() -> None:
    retained = Lifecycle(on_removal="retain", protect=True)
    there = [live(desired(lifecycle=retained), promoted=1), other()]
    for plan in (planned([], there), planned([desired()], there, destroying=True)):
        assert (plan.changes, plan.retained) == ((), 2)
        assert "protected" not in {refusal.code for refusal in plan.refusals}


def test_a_manifest_that_retains_is_heeded_before_it_was_ever_applied() -> None:
    want = desired(lifecycle=Lifecycle(on_removal="retain"))
    plan = planned([want], [exact(promoted=1)], destroying=True)
    assert (plan.changes, plan.retained) == ((), 1)


def test_keep_says_how_many_former_versions_stay() -> None:
    formers = [other(data, promoted=minute) for minute, data in enumerate("abcd")]
    for keep in range(6):
        want = desired(lifecycle=Lifecycle(keep=keep))
        (replace,) = planned([want], formers).changes
        gone = [version.model_id for version in replace.retires]
        assert gone == [model.model_id for model in formers][: max(0, 4 - keep)]
        deletes = planned([want], [*formers, live(want, promoted=9)]).changes
        assert [change.before.model_id for change in deletes if change.before] == gone


def test_retries_are_counted_in_the_stamp_and_allowed_by_the_manifest() -> None:
    want = desired(lifecycle=Lifecycle(retry=3))
    actions = [
        planned([want], [live(want, state=FAILED, attempt=attempt)]).changes[0].action
        for attempt in (1, 2, 3, 4)
    ]
    assert actions == [RETRY, RETRY, RETRY, GIVEN_UP]


def test_a_failure_that_is_final_says_the_words_of_the_service_and_the_cure() -> None:
    failed = exact(FAILED, attempt=2, failure="out of quota for tuning")
    (change,) = planned([desired()], [failed]).changes
    assert change.reason == "attempt 2 failed: out of quota for tuning"
    assert "lifecycle.retry to 2" in change.cure


def test_a_cancelled_job_is_started_again_with_a_warning() -> None:
    (change,) = planned([desired()], [exact(CANCELLED)]).changes
    assert "epochCount" in change.warnings[0]


def test_a_conflict_names_the_owner() -> None:
    theirs = live(desired(project="theirs"), promoted=1)
    (change,) = planned([desired()], [theirs]).changes
    assert change.action is CONFLICT
    assert "tone of project theirs" in change.reason
    assert change.cure


# fmt: off
FIELDS = [  # declared, live, and the fields that differ
    ({"display_name": "Tone"}, {"display_name": "x"}, {"displayName": ("x", "Tone")}),
    ({"display_name": ""}, {"display_name": "made up by the service"}, {}),
    ({"description": "a"}, {"description": "b"}, {"description": ("b", "a")}),
    ({"temperature": 0.4}, {"temperature": 0.7}, {"temperature": (0.7, 0.4)}),
    ({"temperature": 0.7}, {"temperature": 0.699999988079071}, {}),
    ({"temperature": None}, {"temperature": 0.9}, {}),
    ({"top_p": 0.5}, {}, {"topP": (None, 0.5)}),
    ({"top_k": 5}, {"top_k": 6}, {"topK": (6, 5)}),
    ({"reader_project_numbers": (2, 1, 1)}, {"reader_project_numbers": (1, 2)}, {}),
    ({"reader_project_numbers": (1, 3)}, {"reader_project_numbers": (1, 2)},
     {"readerProjectNumbers": ([1, 2], [1, 3])}),
    ({"reader_project_numbers": ()}, {"reader_project_numbers": (1,)},
     {"readerProjectNumbers": ([1], [])}),
    ({"reader_project_numbers": None}, {"reader_project_numbers": (1,)}, {}),
]
# fmt: on


@pytest.mark.parametrize(("declared", "there", "fields"), FIELDS)
@pytest.mark.parametrize("promoted", [1, None])
def test_mutable_fields_are_compared_where_they_are_declared(
    declared: dict[str, Any],
    there: dict[str, Any],
    fields: dict[str, tuple[Any, Any]],
    promoted: int | None,
) -> None:
    want = desired(**declared)
    changes = planned([want], [live(want, promoted=promoted, **there)]).changes
    expected = UPDATE if promoted else PROMOTE
    assert [change.action for change in changes] == ([expected] if fields or not promoted else [])
    found = {f.path: (f.before, f.after) for change in changes for f in change.fields}
    assert found == fields
    assert not any(field.forces_replacement for change in changes for field in change.fields)


@pytest.mark.parametrize(
    ("lifecycle", "path"),
    [(Lifecycle(protect=True), "lifecycle.protect"),
     (Lifecycle(on_removal="retain"), "lifecycle.onRemoval")],
)  # fmt: skip
def test_the_flags_in_the_stamp_are_mutable(lifecycle: Lifecycle, path: str) -> None:
    (change,) = planned([desired(lifecycle=lifecycle)], [exact(promoted=1)]).changes
    assert (change.action, [field.path for field in change.fields]) == (UPDATE, [path])


RATE = "hyperparameters.learningRate"
SAME_VALUES = (
    "its hyperparameters are declared in another way, although what is known of their values is"
    " the same"
)
NUMBERS = Hyperparameters(epoch_count=3, batch_size=8)
# fmt: off
REASONS = [  # declared, the fields that force a replacement, and why in words
    ({"data": "new"}, ["dataset"], "the dataset changed (24 -> 24 examples)"),
    ({"data": "new", "preamble": "x"}, ["dataset", "preamble"],
     "the dataset changed (24 -> 24 examples); the preamble changed"),
    ({"source": "models/b"}, ["baseModel"], "the base model changed"),
    ({"source": "tunedModels/p-1", "parent": "p"}, ["tunedModel"],
     "the model it continues from changed"),
    ({"preamble": "Be kind."}, ["preamble"], "the preamble changed"),
    ({"provider": "other"}, ["provider"], "the provider changed"),
    ({"hyperparameters": NUMBERS}, ["hyperparameters.batchSize", "hyperparameters.epochCount"],
     "batchSize and epochCount changed"),
    ({"hyperparameters": Hyperparameters(learning_rate=0.01)}, [RATE], "learningRate changed"),
    ({"hyperparameters": Hyperparameters(learning_rate_multiplier=2)}, [RATE, f"{RATE}Multiplier"],
     "learningRate and learningRateMultiplier changed"),
    ({"hyperparameters": Hyperparameters(learning_rate=0.001)}, [], SAME_VALUES),
]
# fmt: on


@pytest.mark.parametrize(("declared", "paths", "words"), REASONS)
def test_a_replacement_says_what_forces_it(
    declared: dict[str, Any], paths: list[str], words: str
) -> None:
    used = UsedHyperparameters(epoch_count=5, batch_size=4, learning_rate=0.0010000000474974513)
    (change,) = planned([desired(**declared)], [exact(promoted=1, used=used)]).changes
    assert change.action is REPLACE
    assert [field.path for field in change.fields] == paths
    assert all(field.forces_replacement for field in change.fields)
    assert change.reason == words


# fmt: off
COUNTS = [
    (DatasetCounts(12, 3, 2), "the dataset changed: +12 -3 examples (412 -> 421)"),
    (DatasetCounts(0, 0, 0, order_only=True),
     "the order of the examples changed, and training sees them in order"),
    (None, "the dataset changed (412 -> 421 examples)"),
]
# fmt: on


@pytest.mark.parametrize(("counts", "words"), COUNTS)
def test_a_replacement_counts_examples_as_far_as_they_are_known(
    counts: DatasetCounts | None, words: str
) -> None:
    old, new = desired(data="old", examples=412), desired(data="new", examples=421)
    digests = old.dataset.digest, new.dataset.digest
    differences = {digests: counts} if counts else {}
    (change,) = planned([new], [live(old, promoted=1)], differences=differences).changes
    assert change.reason == words
    assert change.dataset is not None
    assert (change.dataset.before, change.dataset.after) == digests
    assert (change.dataset.added, change.dataset.removed, change.dataset.reworded) == (
        (counts.added, counts.removed, counts.reworded) if counts else (None, None, None)
    )


def test_a_base_that_the_provider_cannot_tune_fails_with_what_it_can() -> None:
    for there in ([], [other(promoted=1)], [exact(FAILED)]):
        (change,) = planned(
            [desired()], there, tunable={"embedded": {"models/b", "models/a"}}
        ).changes
        assert change.action is GIVEN_UP
        assert change.reason == f"provider embedded cannot tune {BASE}"
        assert "models/a, models/b" in change.cure
        assert (change.retires, change.cost) == ((), None)
    (change,) = planned([desired()], tunable={"embedded": ()}).changes
    assert "embedded" in change.cure
    assert "Vertex" in change.cure


def test_what_is_trained_already_needs_no_tunable_base() -> None:
    for state in (TRAINING, READY):
        (change,) = planned([desired()], [exact(state)], tunable={"embedded": ()}).changes
        assert change.action.is_pending


def test_a_child_stands_after_its_parent_and_shares_its_base_and_its_fate() -> None:
    parent = desired("zebra")
    kid = desired("ant", parent="zebra", source=f"tunedModels/{parent.model_id}")
    names = [change.name for change in planned([kid, desired("bee"), parent]).changes]
    assert names == ["bee", "zebra", "ant"]
    assert len(planned([kid, parent], tunable={"embedded": {BASE}}).pending) == 2
    stuck = planned([kid, parent], [foreign(parent.model_id)])
    assert [change.action for change in stuck.changes] == [CONFLICT, GIVEN_UP]
    assert "zebra" in stuck.changes[1].reason


def test_advice_stands_beside_a_training_and_nags_nobody_else() -> None:
    advice = {"tone": ["fewer epochs would do"]}
    (change,) = planned([desired()], advice=advice).changes
    assert change.warnings == ("fewer epochs would do",)
    (change,) = planned([desired()], [exact()], advice=advice).changes
    assert change.warnings == ()


def test_equal_marks_are_settled_by_the_id_whatever_the_order() -> None:
    formers = [other(data, promoted=1) for data in ("old", "older", "oldest")]
    serves = serving(formers)
    for there in (formers, formers[::-1]):
        (replace,) = planned([desired()], there).changes
        assert len(replace.retires) == 2
        assert serves
        assert serves.model_id not in {version.model_id for version in replace.retires}
        gone = [change.before for change in planned([], there).changes]
        assert gone[-1]
        assert gone[-1].model_id == serves.model_id


def test_names_with_and_without_a_manifest_stand_in_one_order() -> None:
    there = [live(desired("b"), promoted=1)]
    plan = planned([desired("c"), desired("a")], there)
    assert [change.name for change in plan.changes] == ["a", "b", "c"]
