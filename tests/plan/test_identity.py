"""What a plan says about identities: moves, renames, foreign models, and shared versions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.support.builders import desired, evaluation, live, plan_for, with_fields
from tunedmodels.desired import Desired
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.ownership import FormerProject, Ownership
from tunedmodels.plan.plan import Action, Plan
from tunedmodels.schema.project import Policy
from tunedmodels.schema.tuned_model import Lifecycle

LINEAGE = "3f9c1e7a2b04"
STAGING = Ownership("demo", LINEAGE, "staging", is_shared=True)
PRODUCTION = Ownership("demo", LINEAGE, "production", home="staging")
NO_KEEP = Lifecycle(keep=0)


def staged(data: str = "data", **values: Any) -> Desired:
    return desired(data=data, lineage=LINEAGE, home="staging", **values)


def used(model: ObservedModel, minutes: int = 5) -> ObservedModel:
    """Return a version of staging that production serves."""
    assert model.stamp
    promoted = live(promoted=minutes).stamp
    assert promoted
    return replace(model, stamp=model.stamp.with_use("production", promoted))


def actions(plan: Plan) -> list[tuple[str, Action]]:
    return [(change.name, change.action) for change in plan.changes]


def test_a_former_name_is_moved_without_training() -> None:
    voice = replace(desired("tone"), name="voice", formerly=("tone",))
    voice = with_fields(voice, display_name="tone")
    ownership = Ownership("demo", former_names={"tone": "voice"})
    plan = plan_for([voice], [live(desired("tone"), promoted=1)], ownership=ownership)
    assert actions(plan) == [("voice", Action.MOVE)]
    assert (plan.cost_usd, plan.unchanged) == (0, 0)
    assert "its name was tone" in plan.changes[0].reason


def test_a_rename_without_formerly_says_what_to_add() -> None:
    voice = replace(desired("tone"), name="voice")
    plan = plan_for([voice], [live(desired("tone"), promoted=1)])
    create = next(change for change in plan.changes if change.action is Action.CREATE)
    assert "voice has the fingerprint of tone" in create.warnings[0]
    assert "`formerly: [tone]`" in create.warnings[0]


def test_a_renamed_project_is_told_to_take_its_models_over() -> None:
    former = live(desired(project="shop", lineage=LINEAGE), promoted=1)
    new = desired(project="demo", lineage="0" * 12)
    ownership = Ownership("demo", "0" * 12)
    plan = plan_for([new], [former], ownership=ownership)
    assert actions(plan) == [("tone", Action.CREATE)]
    line = f"`formerly: [{{project: shop, lineage: {LINEAGE}}}]`"
    assert line in plan.changes[0].warnings[0]
    taken = replace(ownership, former_projects=(FormerProject("shop", LINEAGE),))
    assert actions(plan_for([new], [former], ownership=taken)) == [("tone", Action.MOVE)]


def test_a_running_job_is_moved_by_its_promotion() -> None:
    voice = replace(desired("tone"), name="voice", formerly=("tone",))
    ownership = Ownership("demo", former_names={"tone": "voice"})
    running = live(desired("tone"), state=ModelState.TRAINING)
    plan = plan_for([voice], [running], ownership=ownership)
    assert actions(plan) == [("voice", Action.WAIT)]


def test_another_lineage_is_named_once_and_never_changed_or_counted() -> None:
    others = [live(desired(data=data, lineage="0" * 12), promoted=1) for data in "abcd"]
    plan = plan_for([staged()], others, ownership=STAGING)
    assert actions(plan) == [("tone", Action.CREATE)]
    assert plan.live == 0
    assert [text for text in plan.warnings if "another project demo" in text]
    assert len(plan.warnings) == 1


def test_a_forged_stamp_changes_nothing_but_warnings() -> None:
    own = live(staged(), promoted=1)
    forged = replace(
        live(staged("forged"), promoted=10**6), model_id="forged", has_trusted_owner=False
    )
    before = plan_for([staged()], [own], ownership=STAGING)
    after = plan_for([staged()], [own, forged], ownership=STAGING)
    assert (after.digest, after.changes) == (before.digest, before.changes)
    assert "forged has the stamp of this project" in after.warnings[0]


def test_a_plan_is_refused_if_all_models_of_the_project_belong_to_someone_else() -> None:
    colleague = replace(live(staged(), promoted=1), has_trusted_owner=False)
    plan = plan_for([staged("new")], [colleague], ownership=STAGING)
    assert [refusal.code for refusal in plan.refusals] == ["other-owner"]


def test_an_id_that_another_owner_has_taken_is_a_conflict() -> None:
    own = live(staged("old"), promoted=1)
    taken = replace(live(staged()), has_trusted_owner=False)
    plan = plan_for([staged()], [own, taken], ownership=STAGING)
    assert actions(plan) == [("tone", Action.CONFLICT)]
    assert "transfer it to you" in plan.changes[0].cure


def test_environments_do_not_see_the_versions_of_each_other() -> None:
    production = replace(staged(), home="production")
    ownership = Ownership("demo", LINEAGE, "production")
    plan = plan_for([production], [live(staged(), promoted=1)], ownership=ownership)
    assert actions(plan) == [("tone", Action.CREATE)]
    assert "`promotesFrom: staging`" in plan.changes[0].warnings[0]
    empty = plan_for([], [live(staged(), promoted=1)], ownership=ownership)
    assert empty.changes == ()


def test_an_environment_that_promotes_has_the_same_digest_before_and_after_the_training() -> None:
    digests = {
        plan_for([staged()], observed, ownership=PRODUCTION).digest
        for observed in (
            [],
            [live(staged(), state=ModelState.TRAINING)],
            [live(staged(), promoted=1)],
        )
    }
    assert len(digests) == 1
    plan = plan_for([staged()], [], ownership=PRODUCTION)
    assert actions(plan) == [("tone", Action.PROMOTE)]
    assert "staging has not served it yet" in plan.notes[0].words


def test_a_promotion_in_staging_does_not_exempt_production_from_its_gate() -> None:
    gated = staged(evaluation=evaluation(at_least=0.9))
    plan = plan_for([gated], [live(gated, promoted=1)], ownership=PRODUCTION)
    (change,) = plan.changes
    assert change.gate
    assert change.gate.at_least == 0.9


def test_production_releases_what_it_does_not_use_any_more() -> None:
    old = used(live(staged("old"), promoted=1))
    new = live(staged("new"), promoted=2)
    model = staged("new", lifecycle=NO_KEEP)
    plan = plan_for([model], [old, new], ownership=PRODUCTION)
    assert [version.model_id for version in plan.changes[0].retires] == [old.model_id]
    plan = plan_for([model], [old, used(new, 9)], ownership=PRODUCTION)
    assert actions(plan) == [("tone", Action.RELEASE)]


def test_releasing_what_served_counts_as_a_delete() -> None:
    served = used(live(staged(), promoted=1))
    plan = plan_for(
        [],
        [served],
        ownership=PRODUCTION,
        policy=Policy(max_delete_percent=30),
    )
    assert actions(plan) == [("tone", Action.RELEASE)]
    assert "too-many-deletes" in [refusal.code for refusal in plan.refusals]


def test_a_held_version_is_a_note_and_not_a_change() -> None:
    old, new = used(live(staged("old"), promoted=1)), live(staged("new"), promoted=2)
    model = staged("new", lifecycle=NO_KEEP)
    plan = plan_for([model], [old, new], ownership=STAGING)
    assert plan.changes == ()
    assert [note.words for note in plan.notes] == [
        f"{old.model_id} is held by production and is deleted when it is no longer used"
    ]
    released = live(staged("old"), promoted=1)
    plan = plan_for([model], [released, new], ownership=STAGING)
    assert actions(plan) == [("tone", Action.DELETE)]


def test_a_removed_or_destroyed_name_keeps_its_held_versions() -> None:
    held = used(live(staged(), promoted=1))
    for options in ({}, {"destroying": True}):
        assert plan_for([], [held], ownership=STAGING, **options).changes == ()


def test_the_answers_of_a_held_version_are_not_changed() -> None:
    model = staged(temperature=0.2)
    held = used(live(model, promoted=1))
    plan = plan_for([with_fields(model, temperature=0.9)], [held], ownership=STAGING)
    assert [refusal.code for refusal in plan.refusals] == ["held"]
    plan = plan_for([with_fields(model, description="new")], [held], ownership=STAGING)
    assert plan.refusals == ()
    assert actions(plan) == [("tone", Action.UPDATE)]


def test_production_never_updates_what_staging_owns() -> None:
    model = staged(temperature=0.2)
    served = used(live(model, promoted=1, temperature=0.9))
    assert plan_for([model], [served], ownership=PRODUCTION).changes == ()
    protected = replace(model, lifecycle=Lifecycle(protect=True))
    (change,) = plan_for([protected], [served], ownership=PRODUCTION).changes
    assert [field.path for field in change.fields] == ["lifecycle.protect"]
