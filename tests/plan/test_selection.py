"""A plan of selected names judges nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import desired, live, plan_for
from tunedmodels.plan import reasons
from tunedmodels.plan.plan import Action

NAMES = ("ma", "mb", "mc")
NAME = st.sampled_from(NAMES)


@given(st.sets(NAME), st.sets(NAME), st.sets(NAME), st.sets(NAME, min_size=1))
def test_nothing_that_is_not_selected_changes(
    declared: set[str], changed: set[str], alive: set[str], selection: set[str]
) -> None:
    models = [
        desired(name, data="new" if name in changed else "data")
        for name in sorted(declared & selection)
    ]
    observed = [live(desired(name), promoted=1) for name in sorted(alive)]
    plan = plan_for(models, observed, selection=tuple(sorted(selection)))
    assert {change.name for change in plan.changes} <= selection
    assert {c.name for c in plan.changes if c.action is Action.DELETE} == (
        (alive - declared) & selection
    )
    everything = plan_for(models, observed)
    chosen = [change for change in everything.changes if change.name in selection]
    # Manifests that are not selected may be unread, so that no other name can be called a former
    # name: the whole plan gives that hint, and nothing else differs.
    hints = [
        reasons.renamed(name, former)
        for name in sorted(selection)
        for former in sorted(alive - selection)
    ]
    assert list(plan.changes) == [
        change.model_copy(
            update={"warnings": tuple(each for each in change.warnings if each not in hints)}
        )
        for change in chosen
    ]


def test_the_digest_names_the_selection() -> None:
    one = plan_for([desired("ma")], selection=("ma",))
    both = plan_for([desired("ma")], selection=("ma", "mb"))
    assert len({one.digest, both.digest, plan_for([desired("ma")]).digest}) == 3


def test_the_limit_of_deletions_counts_all_models_of_the_project() -> None:
    observed = [live(desired(name), promoted=1) for name in NAMES]
    plan = plan_for([], observed, selection=("ma",))
    assert [change.name for change in plan.changes] == ["ma"]
    assert not plan.refusals
