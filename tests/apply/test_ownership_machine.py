"""A state machine of environments, lineages and a foreign owner that apply at the same time.

Staging trains, production promotes what staging has served, another lineage has the same project
name, and another user forges stamps. Applies run concurrently, with a delay before and after every
request, and each may be killed at any request. The laws: no serving version disappears, no version
in use is deleted, one job per version, and models of others stay unchanged.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from tests.support.apply_harness import ApplyHarness, declare
from tests.support.builders import plan_for
from tests.support.fakes.provider import FakeProvider
from tunedmodels.apply.signals import StopSignal
from tunedmodels.desired import Desired
from tunedmodels.events import Event, RequestKind, Sending, Sent
from tunedmodels.observed import ModelState, ObservedModel, serving
from tunedmodels.ownership import Ownership
from tunedmodels.plan.plan import Action, Plan
from tunedmodels.schema.tuned_model import Lifecycle
from tunedmodels.stamp import Stamp

NEVER = 10**6
LINEAGE, OTHER_LINEAGE = "3f9c1e7a2b04", "0123456789ab"
DATA = ["one", "two", "three"]
DELAYS_S = [0.0, 0.1, 0.3, 1.0]
STAGING = Ownership("demo", LINEAGE, "staging", is_shared=True)
PRODUCTION = Ownership("demo", LINEAGE, "production", home="staging")
OTHER = Ownership("demo", OTHER_LINEAGE, "staging")
OWNERSHIPS = {"staging": STAGING, "production": PRODUCTION, "other": OTHER}

T = TypeVar("T")


class CrashError(BaseException):
    """The process is killed."""


@dataclass
class SlowProvider(FakeProvider):
    """A provider whose answers take a time of their own, so that requests interleave."""

    delays_s: Iterator[float] = field(default_factory=lambda: itertools.repeat(0.1))

    async def observe(self) -> list[ObservedModel]:
        await self.clock.sleep(next(self.delays_s))
        models = await super().observe()
        await self.clock.sleep(next(self.delays_s))
        return models

    async def get(self, model_id: str) -> ObservedModel | None:
        await self.clock.sleep(next(self.delays_s))
        model = await super().get(model_id)
        await self.clock.sleep(next(self.delays_s))
        return model

    async def _request(self, call: RequestKind, model_id: str, effect: Callable[[], T]) -> T:
        await self.clock.sleep(next(self.delays_s))
        answer = await super()._request(call, model_id, effect)
        await self.clock.sleep(next(self.delays_s))
        return answer


def declared(environment: str, data: str, keep: int) -> Desired:
    ownership = OWNERSHIPS[environment]
    model = declare(
        "tone",
        data,
        lineage=ownership.lineage,
        home=ownership.training_environment,
        lifecycle=Lifecycle(keep=keep),
    )
    return replace(model)


class OwnershipMachine(RuleBasedStateMachine):
    """Three environments of two lineages on one service, and models of another user."""

    def __init__(self) -> None:
        super().__init__()
        shared = ApplyHarness([])
        self.clock = shared.clock
        self.provider = SlowProvider(self.clock)
        self.provider.on_request = self.check_request
        self.provider.on_response = lambda _call, _id: self.check_serving()
        self.harnesses = {
            name: ApplyHarness([declared(name, "one", 0)], clock=self.clock, ownership=ownership)
            for name, ownership in OWNERSHIPS.items()
        }
        for harness in self.harnesses.values():
            harness.provider = self.provider
        self.served: set[str] = set()  # environments that have a serving version
        self.deleted: set[str] = set()  # fingerprints and homes
        self.forged: dict[str, ObservedModel] = {}

    def stamps(self) -> list[tuple[str, Stamp]]:
        return [(m.model_id, m.stamp) for m in self.provider.models() if m.stamp]

    def check_request(self, call: str, model_id: str) -> None:
        """Check a request just before its effect; the etag may still refuse it."""
        if model_id in self.forged:
            raise AssertionError(f"{call} of a model of another user")

    def check_serving(self) -> None:
        """Check that an environment that was served is always served."""
        for name, harness in self.harnesses.items():
            versions = harness.ownership.versions(self.provider.models())["tone"]
            current = serving(versions)
            if current:
                self.served.add(name)
            assert current or name not in self.served, f"the serving version of {name} is gone"
        for fingerprint, count in self.provider.trained.items():
            homes = {ownership.lineage for ownership in (STAGING, OTHER)}
            assert count <= len(homes) * (1 + self.retrained.get(fingerprint, 0))

    @property
    def retrained(self) -> dict[str, int]:
        """How often a version may be trained again, because it was deleted by its home."""
        deletes = sum(call == "delete" for call, _ in self.provider.requests)
        return dict.fromkeys(self.provider.trained, deletes)

    def plan(self, name: str) -> Plan:
        harness = self.harnesses[name]
        return plan_for(
            harness.desired,
            self.provider.models(),
            now=self.clock.now(),
            ownership=harness.ownership,
        )

    def run_all(self, crashes: dict[str, int], delays: list[float]) -> None:
        """Apply several environments at the same time, each with its crash."""
        self.provider.delays_s = itertools.cycle(delays)

        async def apply(name: str, crash_at: int) -> None:
            count = iter(range(NEVER))

            def emit(event: Event) -> None:
                if isinstance(event, Sending | Sent) and next(count) == crash_at:
                    raise CrashError

            await self.harnesses[name].apply(self.plan(name), emit=emit, stop=StopSignal())

        async def together() -> list[Any]:
            return await asyncio.gather(
                *(apply(name, crash_at) for name, crash_at in crashes.items()),
                return_exceptions=True,
            )

        results = asyncio.run(together())
        self.clock.reset()
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, CrashError):
                raise result
        self.check_serving()

    @rule(data=st.sampled_from(DATA), keep=st.integers(0, 1))
    def edit(self, data: str, keep: int) -> None:
        """Merge a change: both environments of the project declare it."""
        for name in ("staging", "production"):
            self.harnesses[name].desired = [declared(name, data, keep)]

    @rule(data=st.sampled_from(DATA))
    def edit_production(self, data: str) -> None:
        """Production is planned from another commit than staging."""
        self.harnesses["production"].desired = [declared("production", data, 0)]

    @rule(data=st.sampled_from(DATA), keep=st.integers(0, 1))
    def edit_other(self, data: str, keep: int) -> None:
        """Edit the manifest of the other lineage."""
        self.harnesses["other"].desired = [declared("other", data, keep)]

    @precondition(lambda self: {"staging", "other"} <= self.served)
    @rule(data=st.sampled_from(DATA), environment=st.sampled_from(["staging", "other"]))
    def forge(self, data: str, environment: str) -> None:
        """Another user shares a model with a stamp that was promoted in the future.

        Before the owner has a model, such a stamp refuses the plan: it may be that of a colleague.
        """
        model = declared(environment, data, 0)
        stamp = model.stamp().promoted_at(self.clock.now().replace(year=2126))
        model_id = f"forged-{len(self.forged)}"
        forged = ObservedModel(
            provider="embedded",
            model_id=model_id,
            resource=f"tunedModels/{model_id}",
            state=ModelState.READY,
            source=model.inputs.source,
            stamp=stamp,
            has_trusted_owner=False,
        )
        self.forged[model_id] = forged
        self.provider.add(forged)

    @rule(
        names=st.lists(st.sampled_from(sorted(OWNERSHIPS)), min_size=1, max_size=3, unique=True),
        crashes=st.lists(st.integers(0, 12), min_size=3, max_size=3),
        is_crashing=st.booleans(),
        delays=st.lists(st.sampled_from(DELAYS_S), min_size=1, max_size=12),
    )
    def apply(
        self, *, names: list[str], crashes: list[int], is_crashing: bool, delays: list[float]
    ) -> None:
        """Apply some environments at the same time."""
        points = crashes if is_crashing else [NEVER] * 3
        self.run_all(dict(zip(names, points, strict=False)), delays)

    @rule(environment=st.sampled_from(sorted(OWNERSHIPS)))
    def apply_changes_no_other_plan(self, environment: str) -> None:
        """An apply of one environment keeps the digests of the others."""
        others = [name for name in OWNERSHIPS if name != environment]
        before = {name: self.plan(name) for name in others}
        self.run_all({environment: NEVER}, [0.1])
        for name in others:
            after = self.plan(name)
            if {name, environment} == {"staging", "production"}:
                # Staging may train or retire a version, and production may release one.
                assert self.own_part(name, after) == self.own_part(name, before[name])
            else:
                assert after.digest == before[name].digest, name

    def own_part(self, name: str, plan: Plan) -> list[tuple[str, str]]:
        """Return what the other environment of the project must not change."""
        if name == "staging":
            removals = (Action.DELETE, Action.CANCEL)
            return [(c.action, c.key[2]) for c in plan.changes if c.action not in removals]
        return [(c.action, c.after.fingerprint) for c in plan.changes if c.after]

    @rule()
    def settle(self) -> None:
        """Apply until nothing changes: every environment ends as it is declared."""
        for name in ("staging", "production", "staging", "other", "staging", "production"):
            self.run_all({name: NEVER}, [0.1])
        for name, harness in self.harnesses.items():
            plan = self.plan(name)
            is_waiting = (
                name == "production"
                and harness.desired[0].fingerprint
                != self.harnesses["staging"].desired[0].fingerprint
            )
            assert is_waiting or not plan.pending, (name, [c.action for c in plan.changes])
            if not is_waiting:
                current = serving(harness.ownership.versions(self.provider.models())["tone"])
                assert current
                assert current.fingerprint == harness.desired[0].fingerprint
        if not self.harnesses["production"].desired[0].lifecycle.keep:
            self._check_that_unused_versions_are_gone()

    def _check_that_unused_versions_are_gone(self) -> None:
        staging = self.harnesses["staging"]
        keep = staging.desired[0].lifecycle.keep
        versions = staging.ownership.versions(self.provider.models())["tone"]
        current = serving(versions)
        unused = [m for m in versions if m is not current and m.stamp and not m.stamp.uses]
        assert len(unused) <= keep


OwnershipMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=12)
TestOwnership = OwnershipMachine.TestCase


def test_an_environment_that_promotes_never_creates_or_deletes() -> None:
    machine = OwnershipMachine()
    machine.run_all({"production": NEVER}, [0.0])
    assert machine.provider.requests == []
    machine.run_all({"staging": NEVER}, [0.0])
    machine.run_all({"production": NEVER}, [0.0])
    machine.edit("two", 0)
    machine.run_all({"staging": NEVER}, [0.0])
    (change,) = machine.plan("production").changes
    assert change.action is Action.PROMOTE
    calls = {call for call, _ in machine.provider.requests}
    machine.run_all({"production": NEVER}, [0.0])
    assert {call for call, _ in machine.provider.requests} - calls <= {"update", "promote"}
