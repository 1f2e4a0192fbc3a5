"""The Project manifest: who owns the models, where they live, and what is never allowed."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from tunedmodels.schema.base_models import BaseModelRow
from tunedmodels.schema.fields import (
    Day,
    EncryptionSpec,
    Label,
    Metadata,
    ServiceAccount,
    Url,
    Written,
)

API_VERSION = "tunedmodels.dev/v1"


class EmbeddedSettings(Written):
    """The service inside this package, on this machine's disk."""

    type: Literal["embedded"] = "embedded"
    jobs: int = Field(default=2, ge=1, le=64, description="Training jobs that run at once.")


class GeminiSettings(Written):
    """The Gemini API, or anything that speaks it (`tunedmodels serve`, for one)."""

    type: Literal["gemini"]
    endpoint: Url = Field(
        default="https://generativelanguage.googleapis.com",
        description="Where the API is. The key comes from GEMINI_API_KEY or GOOGLE_API_KEY.",
    )


class VertexSettings(Written):
    """Vertex AI, where Gemini models are tuned, and the bucket that its jobs read from.

    Credentials are those of the machine (application default credentials).
    """

    type: Literal["vertex"]
    project: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.:-]*$")] = Field(
        description="Id of the Google Cloud project."
    )
    location: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$")] = Field(
        description="Where jobs train: a region such as europe-west4, or global, us or eu."
    )
    bucket: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$")] = (
        Field(description="Cloud Storage bucket for datasets and for the lock.")
    )
    prefix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$")] = (
        Field(default="tunedmodels", description="Folder in the bucket that all of it goes to.")
    )
    endpoint: Url | None = Field(
        default=None, description="Instead of the public host: Private Service Connect, a proxy."
    )
    storage_endpoint: Url | None = Field(
        default=None, description="The same for Cloud Storage; default storage.googleapis.com."
    )
    service_account: ServiceAccount | None = Field(
        default=None, description="The account that jobs run as, unless a model names another."
    )
    encryption_spec: EncryptionSpec | None = Field(
        default=None, description="The key of every job and model, unless a model names another."
    )
    on_dropped_examples: Literal["error", "warn"] = Field(
        default="error",
        description="What it means that the service left examples out, or cut them short.",
    )


AnyProvider: TypeAlias = EmbeddedSettings | GeminiSettings | VertexSettings
ProviderSettings = Annotated[AnyProvider, Field(discriminator="type")]


class Blackout(Written):
    """Days, in UTC, on which nothing is applied; `plan` works as ever, and names them."""

    first: Day = Field(alias="from", description="First day, such as 2026-12-20.")
    last: Day = Field(alias="to", description="Last day; it counts.")
    reason: str = ""

    @model_validator(mode="after")
    def _in_order(self) -> Blackout:
        if self.last < self.first:
            raise ValueError("ends before it begins; swap from and to")
        return self


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"{value[:60]!r} is no regular expression: {error}") from None
    return value


class Policy(Written):
    """Limits that a plan must keep.

    What only shows beside the live models is refused in the plan, with the flag or the edit that
    allows it; the rest is a problem of the manifests, which `validate` finds offline. Rules about
    labels are about those of the manifest: not every service has a place for them.
    """

    max_cost_usd: float | None = Field(default=None, ge=0, description="US dollars per plan.")
    max_delete_percent: int = Field(
        default=30, ge=0, le=100, description="Share of the ready versions that a plan may delete."
    )
    allowed_base_models: tuple[str, ...] | None = Field(
        # strict=False: YAML has lists, no tuples; the items stay strict.
        default=None,
        strict=False,
        description="Base models that may be tuned; unset allows all.",
    )
    allowed_providers: tuple[str, ...] | None = Field(
        default=None,
        strict=False,
        description="Providers that models may live on; unset allows all.",
    )
    name_pattern: Annotated[str, AfterValidator(_pattern)] | None = Field(
        default=None, description="Regular expression that the whole name of a model must match."
    )
    require_description: bool = Field(
        default=False, description="Every model says in words what it is for."
    )
    required_labels: tuple[Label, ...] = Field(
        default=(), strict=False, description="Every model says these in metadata.labels."
    )
    protected_names: tuple[str, ...] = Field(
        default=(),
        strict=False,
        description="Names, or patterns such as prod-*, whose models no plan deletes.",
    )
    blackouts: tuple[Blackout, ...] = Field(
        default=(), strict=False, description="Days on which nothing is applied."
    )
    min_base_model_days: int = Field(
        default=14,
        ge=0,
        le=3650,
        description="Nothing is trained on a base model that retires within so many days.",
    )

    def protects(self, name: str) -> bool:
        """Whether the models of a name may not be deleted."""
        return any(fnmatchcase(name, pattern) for pattern in self.protected_names)


class ProjectSpec(Written):
    """What holds for every tuned model of the project."""

    provider: str = Field(default="embedded", description="Where models live unless they say so.")
    providers: dict[str, ProviderSettings] = Field(
        default_factory=dict,
        description="More places, by a name of your own; embedded and gemini need no entry.",
    )
    policy: Policy = Policy()
    base_models: tuple[BaseModelRow, ...] = Field(
        default=(),
        strict=False,
        description="Facts about base models that add to the bundled ones, or correct them.",
    )
    defaults: dict[str, Any] = Field(
        default_factory=dict, description="Merged below the spec of every TunedModel."
    )


class ProjectManifest(Written):
    """One per repository; its name is the owner in every stamp."""

    api_version: Literal["tunedmodels.dev/v1"]
    kind: Literal["Project"]
    metadata: Metadata
    spec: ProjectSpec = ProjectSpec()

    def providers(self) -> dict[str, AnyProvider]:
        """Return all providers by name; `embedded` and `gemini` need no declaration."""
        builtin: dict[str, AnyProvider] = {
            "embedded": EmbeddedSettings(),
            "gemini": GeminiSettings(type="gemini"),
        }
        return builtin | self.spec.providers
