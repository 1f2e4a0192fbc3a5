"""The base models that can replace another one, so that a cure works exactly as written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Final

from tunedmodels.errors import Problem, Severity
from tunedmodels.manifests.declaration import DeclaredModel
from tunedmodels.schema.base_models import (
    BaseModelCatalog,
    BaseModelInfo,
    is_open_model,
    strip_prefix,
)
from tunedmodels.schema.project import AnyProvider, Policy, VertexSettings
from tunedmodels.text import join

WARNING_DAYS: Final = 90


@dataclass(frozen=True, slots=True)
class TrainingTarget:
    """Where one declared model is trained, and from which base model."""

    model: DeclaredModel
    provider: str
    settings: AnyProvider
    base_model: str

    @property
    def location(self) -> str:
        """The location of the provider, empty if it has none."""
        return self.settings.location if isinstance(self.settings, VertexSettings) else ""

    @property
    def path(self) -> str:
        """The field of the manifest that decides the base model."""
        return "spec.tunedModel" if self.model.spec.tuned_model else "spec.baseModel"

    def problem(
        self, code: str, message: str, cure: str, severity: Severity = Severity.ERROR, at: str = ""
    ) -> Problem:
        """Return a problem at a field of the manifest, by default the base model."""
        return self.model.location_of(at or self.path).problem(code, message, cure, severity)


@dataclass(frozen=True)
class Alternatives:
    """The base models that a training can use on a day, apart from its own."""

    target: TrainingTarget
    catalog: BaseModelCatalog
    today: date
    policy: Policy

    @cached_property
    def infos(self) -> tuple[BaseModelInfo, ...]:
        """The alternatives in every location of the type of provider.

        They are of the same kind, Gemini or open, are allowed by the policy, do not retire soon,
        and support what the model declares.
        """
        provider = self.target.settings.type
        entries = (self.catalog.get(provider, name) for name in self.catalog.names(provider))
        return tuple(info for info in entries if info and self._can_replace(info))

    @property
    def here(self) -> tuple[BaseModelInfo, ...]:
        """The alternatives in the location of the provider."""
        location = self.target.location
        return tuple(
            info
            for info in self.infos
            if not (location and info.tune_in) or location in info.tune_in
        )

    @property
    def names(self) -> list[str]:
        """The names as manifests have them."""
        return [info.reference for info in self.infos]

    @property
    def locations(self) -> tuple[str, ...]:
        """Where the alternatives can be tuned, as far as known."""
        return tuple(dict.fromkeys(place for info in self.infos for place in info.tune_in or ()))

    @property
    def cure(self) -> str:
        """What to do: another base model in this location, else in another one."""
        if self.here:
            return f"set baseModel to {join((info.reference for info in self.here), 'or')}"
        if self.infos:
            return (
                f"use a provider in {join(self.locations, 'or')}, and set baseModel to "
                f"{join(self.names, 'or')}"
            )
        return f"no base model is known that {self.target.provider} can tune: use another provider"

    def _can_replace(self, info: BaseModelInfo) -> bool:
        spec, settings = self.target.model.spec, self.target.settings
        allowed = self.policy.allowed_base_models
        has_key = isinstance(settings, VertexSettings) and bool(
            spec.encryption_spec or settings.encryption_spec
        )
        size = spec.hyperparameters.adapter_size
        return (
            bool(info.tunable)
            and info.name != strip_prefix(self.target.base_model)
            and info.is_open == is_open_model(self.target.base_model)
            and not info.retires_within(
                max(WARNING_DAYS, self.policy.min_base_model_days), self.today
            )
            and (allowed is None or info.name in map(strip_prefix, allowed))
            and not (has_key and info.customer_keys is False)
            and not (size and info.adapter_sizes and size not in info.adapter_sizes)
        )
