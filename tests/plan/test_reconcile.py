"""The decision of the planner about one name, for every combination of live versions."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.builders import BASE, desired, live, plan_for, unowned_model
from tests.support.plan_models import dataset_change
from tunedmodels.observed import ModelState, ObservedModel, UsedHyperparameters, serving
from tunedmodels.plan.plan import Action, Change
from tunedmodels.plan.planner import BaseModelFacts
from tunedmodels.schema.tuned_model import Hyperparameters, Lifecycle

QUEUED, TRAINING, READY, FAILED, CANCELLED = ModelState
REPLACE, RETRY, PROMOTE, UPDATE = Action.REPLACE, Action.RETRY, Action.PROMOTE, Action.UPDATE
CONFLICT, GIVEN_UP = Action.CONFLICT, Action.FAILED


def declared(
    state: ModelState = READY, promoted: int | None = None, **values: Any
) -> ObservedModel:
    """Return the declared version."""
    return live(desired(), state=state, promoted=promoted, **values)


def other(
    data: str = "old", state: ModelState = READY, promoted: int | None = None, **values: Any
) -> ObservedModel:
    """Return a version that was trained on other examples."""
    return live(desired(data=data), state=state, promoted=promoted, **values)


DECLARED_ID = desired().model_id
NAMES = {desired(data=data).model_id: data for data in ("old", "older", "oldest")}


def describe(change: Change) -> str:
    """Return the action, the version unless it is the declared one, and the retired versions."""
    version = change.after or change.before
    name = NAMES.get(version.model_id, "") if version else ""
    retired = " ".join(NAMES[version.model_id] for version in change.retires)
    return f"{change.action} {name}{'then ' * bool(retired)}{retired}".strip()


def with_tunable(*base_models: str) -> BaseModelFacts:
    return BaseModelFacts(tunable={"embedded": base_models})


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
    "queued": ([declared(QUEUED)], ["wait"]),
    "training": ([declared(TRAINING), other(promoted=1)], ["wait"]),
    "training, one too many":
        ([declared(TRAINING), other(promoted=2), other("older", promoted=1)], ["wait then older"]),
    "failed once": ([declared(FAILED)], ["retry"]),
    "cancelled once": ([declared(CANCELLED)], ["retry"]),
    "failed twice": ([declared(FAILED, attempt=2)], ["failed"]),
    "cancelled twice": ([declared(CANCELLED, attempt=2)], ["failed"]),
    "given up: the others stay":
        ([declared(FAILED, attempt=2), other(promoted=1), other("older")], ["failed"]),
    "ready, never promoted": ([declared()], ["promote"]),
    "ready, another serves": ([declared(promoted=1), other(promoted=2)], ["promote"]),
    "going back, one too many":
        ([declared(promoted=1), other(promoted=2), other("older", promoted=0)],
         ["promote then older"]),
    "as declared": ([declared(promoted=1)], []),
    "as declared, one kept": ([declared(promoted=2), other(promoted=1)], []),
    "another description": ([declared(promoted=2, description="x")], ["update"]),
    "serving, one too many":
        ([declared(promoted=3), other(promoted=2), other("older", promoted=1)], ["delete older"]),
    "serving, two too many: the oldest goes first":
        ([declared(promoted=4), other(promoted=3), other("older"), other("oldest", promoted=1)],
         ["delete older", "delete oldest"]),
    "serving, another is training": ([declared(promoted=3), other(state=TRAINING)], ["cancel old"]),
    "serving, another is queued": ([declared(promoted=3), other(state=QUEUED)], ["cancel old"]),
    "serving, another failed": ([declared(promoted=3), other(state=FAILED)], ["delete old"]),
    "serving, another was cancelled":
        ([declared(promoted=3), other(state=CANCELLED)], ["delete old"]),
    "the id is taken": ([unowned_model(DECLARED_ID)], ["conflict"]),
    "a conflict stops all changes":
        ([unowned_model(DECLARED_ID), other(state=TRAINING)], ["conflict"]),
    "the id is taken at another provider": ([unowned_model(DECLARED_ID, provider="x")], ["create"]),
}
REMOVED = {
    "serving": ([declared(promoted=1)], ["delete"]),
    "training": ([declared(TRAINING)], ["cancel"]),
    "failed": ([declared(FAILED)], ["delete"]),
    "the serving one last":
        ([declared(promoted=3), other(promoted=1), other("older", QUEUED), other("oldest", FAILED)],
         ["cancel older", "delete oldest", "delete old", "delete"]),
}
# fmt: on


@pytest.mark.parametrize(("observed", "expected"), CASES.values(), ids=CASES)
def test_the_live_versions_decide_the_changes(
    observed: list[ObservedModel], expected: list[str]
) -> None:
    plan = plan_for([desired()], observed)
    assert [describe(change) for change in plan.changes] == expected
    assert plan.unchanged == all(change.after is None for change in plan.changes)


@pytest.mark.parametrize("destroying", [False, True])
@pytest.mark.parametrize(("observed", "expected"), REMOVED.values(), ids=REMOVED)
def test_a_name_that_is_not_declared_is_removed(
    observed: list[ObservedModel], expected: list[str], *, destroying: bool
) -> None:
    plan = plan_for([desired()] if destroying else [], observed, destroying=destroying)
    assert [describe(change) for change in plan.changes] == expected


def test_retained_versions_are_counted_and_not_changed() -> None:
    retained = Lifecycle(on_removal="retain", protect=True)
    observed = [live(desired(lifecycle=retained), promoted=1), other()]
    for plan in (plan_for([], observed), plan_for([desired()], observed, destroying=True)):
        assert (plan.changes, plan.retained) == ((), 2)
        assert "protected" not in {refusal.code for refusal in plan.refusals}


def test_destroying_respects_a_manifest_that_retains_and_was_never_applied() -> None:
    model = desired(lifecycle=Lifecycle(on_removal="retain"))
    plan = plan_for([model], [declared(promoted=1)], destroying=True)
    assert (plan.changes, plan.retained) == ((), 1)


def test_keep_is_the_number_of_former_versions_that_stay() -> None:
    formers = [other(data, promoted=minute) for minute, data in enumerate("abcd")]
    for keep in range(6):
        model = desired(lifecycle=Lifecycle(keep=keep))
        (replace,) = plan_for([model], formers).changes
        retired = [version.model_id for version in replace.retires]
        assert retired == [former.model_id for former in formers][: max(0, 4 - keep)]
        deletes = plan_for([model], [*formers, live(model, promoted=9)]).changes
        assert [change.before.model_id for change in deletes if change.before] == retired


def test_the_stamp_counts_attempts_and_the_manifest_limits_them() -> None:
    model = desired(lifecycle=Lifecycle(retry=3))
    actions = [
        plan_for([model], [live(model, state=FAILED, attempt=attempt)]).changes[0].action
        for attempt in (1, 2, 3, 4)
    ]
    assert actions == [RETRY, RETRY, RETRY, GIVEN_UP]


def test_the_last_failure_has_the_reason_of_the_service_and_a_cure() -> None:
    failed = declared(FAILED, attempt=2, failure="out of quota for tuning")
    (change,) = plan_for([desired()], [failed]).changes
    assert change.reason == "attempt 2 failed: out of quota for tuning"
    assert "lifecycle.retry to 2" in change.cure


def test_a_cancelled_job_is_started_again_with_a_warning() -> None:
    (change,) = plan_for([desired()], [declared(CANCELLED)]).changes
    assert "epochCount" in change.warnings[0]


def test_a_conflict_tells_the_owner() -> None:
    foreign = live(desired(project="theirs"), promoted=1)
    (change,) = plan_for([desired()], [foreign]).changes
    assert change.action is CONFLICT
    assert "tone of project theirs" in change.reason
    assert change.cure


# fmt: off
FIELDS = [  # declared, live, and the fields that differ
    ({"display_name": "Tone"}, {"display_name": "x"}, {"displayName": ("x", "Tone")}),
    ({"display_name": None}, {"display_name": "chosen by the service"}, {}),
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


@pytest.mark.parametrize(("values", "observed", "fields"), FIELDS)
@pytest.mark.parametrize("promoted", [1, None])
def test_mutable_fields_with_a_declared_value_are_compared(
    values: dict[str, Any],
    observed: dict[str, Any],
    fields: dict[str, tuple[Any, Any]],
    promoted: int | None,
) -> None:
    model = desired(**values)
    changes = plan_for([model], [live(model, promoted=promoted, **observed)]).changes
    expected = UPDATE if promoted else PROMOTE
    assert [change.action for change in changes] == ([expected] if fields or not promoted else [])
    changed = {f.path: (f.before, f.after) for change in changes for f in change.fields}
    assert changed == fields
    assert not any(field.forces_replacement for change in changes for field in change.fields)


@pytest.mark.parametrize(
    ("lifecycle", "path"),
    [(Lifecycle(protect=True), "lifecycle.protect"),
     (Lifecycle(on_removal="retain"), "lifecycle.onRemoval")],
)  # fmt: skip
def test_the_lifecycle_in_the_stamp_is_mutable(lifecycle: Lifecycle, path: str) -> None:
    (change,) = plan_for([desired(lifecycle=lifecycle)], [declared(promoted=1)]).changes
    assert (change.action, [field.path for field in change.fields]) == (UPDATE, [path])


RATE = "hyperparameters.learningRate"
SAME_VALUES = (
    "its hyperparameters are declared differently, although their known values are the same"
)
NUMBERS = Hyperparameters(epoch_count=3, batch_size=8)
# fmt: off
REASONS = [  # declared, the fields that force a replacement, and the reason
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


@pytest.mark.parametrize(("values", "paths", "reason"), REASONS)
def test_a_replacement_has_the_changed_inputs_as_reason(
    values: dict[str, Any], paths: list[str], reason: str
) -> None:
    used = UsedHyperparameters(epoch_count=5, batch_size=4, learning_rate=0.0010000000474974513)
    (change,) = plan_for([desired(**values)], [declared(promoted=1, used=used)]).changes
    assert change.action is REPLACE
    assert [field.path for field in change.fields] == paths
    assert all(field.forces_replacement for field in change.fields)
    assert change.reason == reason


# fmt: off
COUNTS = [
    ({"added": 12, "removed": 3, "reworded": 2},
     "the dataset changed: +12 -3 examples (412 -> 421)"),
    ({"added": 0, "removed": 0, "reworded": 0, "order_only": True},
     "the order of the examples changed, which changes the training"),
    (None, "the dataset changed (412 -> 421 examples)"),
]
# fmt: on


@pytest.mark.parametrize(("counts", "reason"), COUNTS)
def test_a_replacement_has_the_counts_of_changed_examples_if_they_are_known(
    counts: dict[str, Any] | None, reason: str
) -> None:
    old, new = desired(data="old", examples=412), desired(data="new", examples=421)
    changes = {"tone": dataset_change(old, new, **counts)} if counts else {}
    (change,) = plan_for([new], [live(old, promoted=1)], dataset_changes=changes).changes
    assert change.reason == reason
    assert change.dataset == dataset_change(old, new, **(counts or {}))


def test_a_comparison_with_another_version_is_not_shown() -> None:
    old, new = desired(data="old"), desired(data="new")
    changes = {"tone": dataset_change(desired(data="older"), new, added=1, removed=1)}
    (change,) = plan_for([new], [live(old, promoted=1)], dataset_changes=changes).changes
    assert change.dataset == dataset_change(old, new)


def test_an_untunable_base_model_fails_with_the_tunable_ones_as_cure() -> None:
    for observed in ([], [other(promoted=1)], [declared(FAILED)]):
        (change,) = plan_for(
            [desired()], observed, base_models=with_tunable("models/b", "models/a")
        ).changes
        assert change.action is GIVEN_UP
        assert change.reason == f"provider embedded cannot tune {BASE}"
        assert "models/a, models/b" in change.cure
        assert (change.retires, change.cost) == ((), None)
    (change,) = plan_for([desired()], base_models=with_tunable()).changes
    assert "embedded" in change.cure
    assert "Vertex" in change.cure


def test_a_version_that_is_trained_already_needs_no_tunable_base_model() -> None:
    for state in (TRAINING, READY):
        (change,) = plan_for([desired()], [declared(state)], base_models=with_tunable()).changes
        assert change.action.is_pending


def test_a_child_follows_its_parent_and_is_blocked_with_it() -> None:
    parent = desired("zebra")
    child = desired("ant", parent="zebra", source=f"tunedModels/{parent.model_id}")
    names = [change.name for change in plan_for([child, desired("bee"), parent]).changes]
    assert names == ["bee", "zebra", "ant"]
    assert len(plan_for([child, parent], base_models=with_tunable(BASE)).pending) == 2
    blocked = plan_for([child, parent], [unowned_model(parent.model_id)])
    assert [change.action for change in blocked.changes] == [CONFLICT, GIVEN_UP]
    assert "zebra" in blocked.changes[1].reason


def test_training_warnings_are_shown_only_with_a_training() -> None:
    warnings = {"tone": ["fewer epochs would do"]}
    (change,) = plan_for([desired()], training_warnings=warnings).changes
    assert change.warnings == ("fewer epochs would do",)
    (change,) = plan_for([desired()], [declared()], training_warnings=warnings).changes
    assert change.warnings == ()


def test_the_id_orders_equal_promotion_times() -> None:
    formers = [other(data, promoted=1) for data in ("old", "older", "oldest")]
    answering = serving(formers)
    assert answering
    for observed in (formers, formers[::-1]):
        (replace,) = plan_for([desired()], observed).changes
        assert len(replace.retires) == 2
        assert answering.model_id not in {version.model_id for version in replace.retires}
        deleted = [change.before for change in plan_for([], observed).changes]
        assert deleted[-1]
        assert deleted[-1].model_id == answering.model_id


def test_names_with_and_without_a_manifest_are_in_one_order() -> None:
    plan = plan_for([desired("c"), desired("a")], [live(desired("b"), promoted=1)])
    assert [change.name for change in plan.changes] == ["a", "b", "c"]
