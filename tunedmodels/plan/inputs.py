"""The inputs and the options of the planner."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from tunedmodels.desired import Desired
from tunedmodels.errors import Problem
from tunedmodels.observed import ObservedModel
from tunedmodels.ownership import Ownership
from tunedmodels.plan.cost import FREE
from tunedmodels.plan.plan import DatasetChange
from tunedmodels.plan.safety import Allowances
from tunedmodels.plan.unread import NO_GIT, GitFacts
from tunedmodels.schema.base_models import Price
from tunedmodels.schema.project import Policy

Messages = Mapping[str, Sequence[str]]  # by name of a declared model


class Blocker(NamedTuple):
    """Why a name cannot be trained."""

    reason: str  #: completes a sentence with "because"
    cure: str


@dataclass(frozen=True, slots=True)
class BaseModelFacts:
    """Facts about the base models, by the names of the declared models."""

    prices: Mapping[str, Price | None] = field(default_factory=dict)
    """None: the price is unknown; training a name that is missing here is free."""
    blockers: Mapping[str, Blocker] = field(default_factory=dict)
    """A training of these names becomes a failed change."""
    notices: Messages = field(default_factory=dict)
    """Warnings that affect ready models as well, for example that the base model will retire."""
    tunable: Mapping[str, Collection[str]] = field(default_factory=dict)
    """The base models that a provider can tune, by provider; a missing provider has no list."""


NO_FACTS = BaseModelFacts()


@dataclass(frozen=True, slots=True)
class PlanInputs:
    """The state that a plan is made from."""

    ownership: Ownership  #: only models that it claims are changed
    desired: Sequence[Desired]  #: one for each name, sweeps resolved
    observed: Sequence[ObservedModel]  #: all live models of every provider, of any owner
    dataset_changes: Mapping[str, DatasetChange] = field(default_factory=dict)
    """How the examples of a replacement differ, by name, if they were compared."""
    base_models: BaseModelFacts = NO_FACTS
    training_warnings: Messages = field(default_factory=dict)  #: shown with a training
    owner_warnings: Sequence[str] = ()  #: where the owners of models could not be checked
    lacks_etags: bool = False  #: the environment promotes, and its service sends no ETag
    missing_lineage: Problem | None = None
    """The project has no lineage, although other projects can use its provider as well."""
    now: datetime | None = None  #: time for `lifecycle.grace`; None: no grace period is over
    git: GitFacts = NO_GIT  #: about the commit that is checked out

    def price(self, name: str) -> Price | None:
        """Return the price of training a declared model; None if it is unknown."""
        return self.base_models.prices.get(name, FREE)


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """The limits and the mode of one plan."""

    policy: Policy
    allowances: Allowances = field(default_factory=Allowances)
    environment: str = ""
    destroying: bool = False  #: delete every model; needs no other allowance
    selection: tuple[str, ...] = ()
    """The only names to judge, with those that they continue from; empty: all names."""
