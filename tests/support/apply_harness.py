"""A stage for the executor: declared models, a provider in memory, and all that was said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tests.support import builders
from tests.support.fakes.clock import FakeClock
from tests.support.fakes.judge import FakeJudge
from tests.support.fakes.provider import FakeProvider
from tunedmodels.apply.executor import apply
from tunedmodels.apply.signals import Stop
from tunedmodels.datasets.examples import Example, digest
from tunedmodels.desired import Desired
from tunedmodels.events import Ending, Event, Outcome, Sending
from tunedmodels.observed import ObservedModel, serving
from tunedmodels.plan.plan import Action, Plan
from tunedmodels.plan.planner import make_plan
from tunedmodels.plan.sweep import resolved
from tunedmodels.schema.project import Policy


def examples(data: str) -> list[Example]:
    """24 examples that differ from those of any other word."""
    return [Example(f"{data} {number}", "yes") for number in range(24)]


def want(name: str = "tone", data: str = "data", **others: Any) -> Desired:
    """A declared model whose dataset really has the digest that it says."""
    declared = builders.desired(name, **others)
    dataset = replace(declared.dataset, digest=digest(examples(data)), written=data)
    return replace(declared, dataset=dataset)


@dataclass
class Stage:
    """One project on one provider; `files` are the examples that lie on disk now, by their word."""

    wants: list[Desired]
    clock: FakeClock = field(default_factory=FakeClock)
    provider: FakeProvider = field(init=False)
    stop: Stop = field(default_factory=Stop)
    events: list[Event] = field(default_factory=list)
    files: dict[str, list[Example]] = field(default_factory=dict)
    judge: FakeJudge = field(init=False)

    def __post_init__(self) -> None:
        self.provider = FakeProvider(self.clock)
        self.judge = FakeJudge(self.clock)

    def plan(self) -> Plan:
        return make_plan(
            self.wants,
            self.provider.models(),
            project="demo",
            policy=Policy(max_delete_percent=100),
            now=self.clock.now(),
        )

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def load(self, declared: Desired) -> Sequence[Example]:
        return self.files.get(declared.dataset.written) or examples(declared.dataset.written)

    async def apply(self, plan: Plan | None = None, **options: Any) -> Outcome:
        values: dict[str, Any] = {
            "desired": {
                declared.name: declared
                for declared in resolved(self.wants, self.provider.models(), "demo")
            },
            "providers": {self.provider.name: self.provider},
            "load": self.load,
            "judge": self.judge,
            "emit": self.emit,
            "clock": self.clock,
            "stop": self.stop,
            **options,
        }
        return await apply(plan or self.plan(), **values)

    def sent(self) -> list[str]:
        """What was sent, as `call id`, in order."""
        return [f"{e.call} {e.model_id}" for e in self.events if isinstance(e, Sending)]

    def serving(self, name: str = "tone") -> ObservedModel | None:
        models = self.provider.models()
        return serving([m for m in models if m.stamp and m.stamp.name == name])


def said(outcome: Outcome) -> list[tuple[str, str]]:
    """The last words as (kind of event, name)."""
    return [(type(event).__name__, event.name) for event in outcome.events]


def words(ending: Ending) -> str:
    """What an ending says."""
    return str(getattr(ending, "words", ""))


def actions(plan: Plan) -> list[Action]:
    """What a plan would do."""
    return [change.action for change in plan.changes]
