"""The Project manifest: the owner of the models, the providers, and the policy."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from tunedmodels.schema.base_models import BaseModelInfo
from tunedmodels.schema.fields import (
    EncryptionSpec,
    IsoDate,
    Label,
    Lineage,
    ManifestModel,
    Metadata,
    Name,
    ServiceAccount,
    Url,
)

API_VERSION = "tunedmodels.dev/v1"


class EmbeddedSettings(ManifestModel):
    """The service inside this package, which stores its models on the local disk."""

    type: Literal["embedded"] = "embedded"
    jobs: int = Field(
        default=2,
        ge=1,
        le=64,
        description="Maximum number of training jobs that run at the same time.",
    )


class GeminiSettings(ManifestModel):
    """The Gemini API, or a compatible server such as `tunedmodels serve`."""

    type: Literal["gemini"]
    endpoint: Url = Field(
        default="https://generativelanguage.googleapis.com",
        description="URL of the API. The key comes from GEMINI_API_KEY or GOOGLE_API_KEY.",
    )
    owners: tuple[ServiceAccount, ...] = Field(
        default=(),
        strict=False,
        description="Users whose models count as well as those of the caller, by e-mail address.",
    )


class VertexSettings(ManifestModel):
    """Vertex AI, which tunes Gemini models, and the bucket that its jobs read from.

    The credentials are the application default credentials of the machine.
    """

    type: Literal["vertex"]
    project: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.:-]*$")] = Field(
        description="ID of the Google Cloud project."
    )
    location: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$")] = Field(
        description="Location of the jobs: a region such as europe-west4, or global, us or eu."
    )
    bucket: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$")] = (
        Field(description="Cloud Storage bucket for datasets and the lock.")
    )
    prefix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$")] = (
        Field(default="tunedmodels", description="Prefix of all objects in the bucket.")
    )
    endpoint: Url | None = Field(
        default=None,
        description="URL instead of the public host, for Private Service Connect or a proxy.",
    )
    storage_endpoint: Url | None = Field(
        default=None,
        description="URL of Cloud Storage, used like endpoint; default storage.googleapis.com.",
    )
    service_account: ServiceAccount | None = Field(
        default=None, description="Service account of the jobs; a model can name another."
    )
    encryption_spec: EncryptionSpec | None = Field(
        default=None, description="Key of all jobs and models; a model can name another."
    )
    on_dropped_examples: Literal["error", "warn"] = Field(
        default="error",
        description="Severity when the service drops or truncates examples.",
    )


AnyProvider: TypeAlias = EmbeddedSettings | GeminiSettings | VertexSettings
ProviderSettings = Annotated[AnyProvider, Field(discriminator="type")]


class Blackout(ManifestModel):
    """Days, in UTC, on which no plan is applied; `plan` still works and reports the blackout."""

    first: IsoDate = Field(alias="from", description="First day, such as 2026-12-20.")
    last: IsoDate = Field(alias="to", description="Last day, inclusive.")
    reason: str = ""

    @model_validator(mode="after")
    def _check_order(self) -> Blackout:
        if self.last < self.first:
            raise ValueError("ends before it starts; swap from and to")
        return self


def _check_pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        message = f"{value[:60]!r} is not a valid regular expression: {error}"
        raise ValueError(message) from None
    return value


class Policy(ManifestModel):
    """Limits that manifests and plans must respect.

    Rules that depend on the live models are checked in the plan, which names the option or the edit
    that allows an exception. All other rules are checked offline by `validate`. Rules about labels
    apply to the labels in the manifest, because not every service stores labels.
    """

    max_cost_usd: float | None = Field(
        default=None, ge=0, description="Maximum cost of a plan, in US dollars."
    )
    max_delete_percent: int = Field(
        default=30,
        ge=0,
        le=100,
        description="Maximum share of the ready versions that a plan deletes, in percent.",
    )
    allowed_base_models: tuple[str, ...] | None = Field(
        # strict=False: YAML has lists, no tuples; the items stay strict.
        default=None,
        strict=False,
        description="Base models that may be tuned; all if unset.",
    )
    allowed_providers: tuple[str, ...] | None = Field(
        default=None,
        strict=False,
        description="Names of the providers that models may use; all if unset.",
    )
    name_pattern: Annotated[str, AfterValidator(_check_pattern)] | None = Field(
        default=None, description="Regular expression that must match the whole name of a model."
    )
    require_description: bool = Field(
        default=False, description="Whether every model must have a description."
    )
    required_labels: tuple[Label, ...] = Field(
        default=(), strict=False, description="Keys that every model must have in metadata.labels."
    )
    protected_names: tuple[str, ...] = Field(
        default=(),
        strict=False,
        description="Names, or patterns such as prod-*, of models that no plan deletes.",
    )
    blackouts: tuple[Blackout, ...] = Field(
        default=(), strict=False, description="Days on which no plan is applied."
    )
    min_base_model_days: int = Field(
        default=14,
        ge=0,
        le=3650,
        description="Minimum number of days until a base model retires; a plan does not train on "
        "one that retires earlier.",
    )

    def protects(self, name: str) -> bool:
        """Whether plans must not delete the models of this name."""
        return any(fnmatchcase(name, pattern) for pattern in self.protected_names)


class FormerIdentity(ManifestModel):
    """An identity that the project had before."""

    project: Name = Field(description="The former name of the project.")
    lineage: Lineage | Literal["none"] = Field(
        description="The former lineage; none for models that were made without a lineage."
    )


class ProjectMetadata(Metadata):
    """The name and the lineage of a project, which together own its models."""

    lineage: Lineage | None = Field(
        default=None,
        description="12 random hex digits that `init` writes. They distinguish this project from "
        "others with the same name at the same service.",
    )
    formerly: tuple[FormerIdentity, ...] = Field(
        default=(),
        strict=False,
        description="Former identities of the project, whose models are taken over in place.",
    )


class EnvironmentSpec(ManifestModel):
    """One environment of the project."""

    promotes_from: Name | None = Field(
        default=None,
        description="Environment whose versions this one promotes. It then trains nothing.",
    )


class ProjectSpec(ManifestModel):
    """Settings for all tuned models of the project."""

    provider: str = Field(
        default="embedded", description="Provider of the models that do not name one."
    )
    providers: dict[str, ProviderSettings] = Field(
        default_factory=dict,
        description="Additional providers by name; embedded and gemini need no entry.",
    )
    environments: dict[Name, EnvironmentSpec] = Field(
        default_factory=dict,
        description="Environments by name. Each has its own versions, unless it promotes those of "
        "another one. Without any, the project has one environment, default.",
    )
    policy: Policy = Policy()
    base_models: tuple[BaseModelInfo, ...] = Field(
        default=(),
        strict=False,
        description="Facts about base models; they add to the bundled facts or override them.",
    )
    defaults: dict[str, Any] = Field(
        default_factory=dict,
        description="Default values for the spec of every TunedModel.",
    )


class ProjectManifest(ManifestModel):
    """The manifest of a project, one per repository; its name is the owner in every stamp."""

    api_version: Literal["tunedmodels.dev/v1"]
    kind: Literal["Project"]
    metadata: ProjectMetadata
    spec: ProjectSpec = ProjectSpec()

    def providers(self) -> dict[str, AnyProvider]:
        """Return all providers by name, including `embedded` and `gemini`."""
        builtin: dict[str, AnyProvider] = {
            "embedded": EmbeddedSettings(),
            "gemini": GeminiSettings(type="gemini"),
        }
        return builtin | self.spec.providers
