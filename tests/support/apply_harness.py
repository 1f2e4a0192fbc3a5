"""A harness for the executor: declared models, a provider in memory, and the emitted events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tests.support import builders
from tests.support.fakes.clock import FakeClock
from tests.support.fakes.gate_check import FakeGateCheck
from tests.support.fakes.provider import FakeProvider
from tunedmodels.apply.executor import apply
from tunedmodels.apply.signals import StopSignal
from tunedmodels.datasets.examples import Example, digest
from tunedmodels.desired import Desired
from tunedmodels.events import Ending, Event, Outcome, Sending
from tunedmodels.observed import ObservedModel, serving
from tunedmodels.ownership import Ownership
from tunedmodels.plan.plan import Action, Plan
from tunedmodels.plan.sweep import resolve_sweeps


def examples(data: str) -> list[Example]:
    """Return 24 examples that differ from those of any other `data`."""
    return [Example(f"{data} {number}", "yes") for number in range(24)]


def declare(name: str = "tone", data: str = "data", **values: Any) -> Desired:
    """Return a declared model whose dataset has the digest of `examples(data)`."""
    model = builders.desired(name, **values)
    dataset = replace(model.inputs.dataset, digest=digest(examples(data)), declared_path=data)
    return builders.with_inputs(model, dataset=dataset)


@dataclass
class ApplyHarness:
    """One project on one provider."""

    desired: list[Desired]
    clock: FakeClock = field(default_factory=FakeClock)
    ownership: Ownership = field(default_factory=lambda: Ownership("demo"))
    provider: FakeProvider = field(init=False)
    stop: StopSignal = field(default_factory=StopSignal)
    events: list[Event] = field(default_factory=list)
    #: The examples on disk by declared path, where they differ from `examples(path)`.
    files: dict[str, list[Example]] = field(default_factory=dict)
    gate_check: FakeGateCheck = field(init=False)

    def __post_init__(self) -> None:
        self.provider = FakeProvider(self.clock)
        self.gate_check = FakeGateCheck(self.clock)

    def plan(self) -> Plan:
        """Return a plan for the present state."""
        return builders.plan_for(
            self.desired,
            self.provider.models(),
            now=self.clock.now(),
            ownership=self.ownership,
        )

    def emit(self, event: Event) -> None:
        """Record an event."""
        self.events.append(event)

    def load_examples(self, model: Desired) -> Sequence[Example]:
        """Return the examples on disk."""
        path = model.inputs.dataset.declared_path
        return self.files.get(path) or examples(path)

    async def apply(self, plan: Plan | None = None, **options: Any) -> Outcome:
        """Execute a plan, or that for the present state."""
        values: dict[str, Any] = {
            "ownership": self.ownership,
            "desired": {
                model.name: model
                for model in resolve_sweeps(self.desired, self.provider.models(), self.ownership)
            },
            "providers": {self.provider.name: self.provider},
            "load_examples": self.load_examples,
            "check_gate": self.gate_check,
            "emit": self.emit,
            "clock": self.clock,
            "stop": self.stop,
            **options,
        }
        return await apply(plan or self.plan(), **values)

    def sent(self) -> list[str]:
        """Return the requests as `call id`, in order."""
        return [f"{e.call} {e.model_id}" for e in self.events if isinstance(e, Sending)]

    def serving(self, name: str = "tone") -> ObservedModel | None:
        """Return the serving version of a name."""
        models = self.provider.models()
        return serving([m for m in models if m.stamp and m.stamp.name == name])


def outcomes(outcome: Outcome) -> list[tuple[str, str]]:
    """Return the final events as (event class, name)."""
    return [(type(event).__name__, event.name) for event in outcome.events]


def message(ending: Ending) -> str:
    """Return the text of a final event; empty for a success."""
    return str(getattr(ending, "words", ""))


def actions(plan: Plan) -> list[Action]:
    """Return the actions of a plan, in order."""
    return [change.action for change in plan.changes]
