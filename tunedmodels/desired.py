"""Desired: the spec of a tuned model together with its datasets, and the fingerprint of both."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path

from tunedmodels.model_fields import (
    MutableFields,
    TrainingInputs,
    field_hashes,
    fingerprint,
    json_digest,
)
from tunedmodels.schema.tuned_model import (
    Evaluation,
    ExampleFile,
    GenerationConfig,
    Hyperparameters,
    Lifecycle,
)
from tunedmodels.stamp import DEFAULT_ENVIRONMENT, Stamp


@dataclass(frozen=True, slots=True)
class DesiredEvaluation:
    """Held-out examples on disk, and how the answers to them are scored.

    It is not part of the fingerprint: evaluating a version does not change it.
    """

    file: Path
    declared_path: str  #: the path as the manifest has it
    spec: Evaluation
    digest: str  #: SHA-256 (hex) of the examples
    examples: int
    preamble: str = ""  #: sent before every input (F5), or as the system instruction
    is_system_preamble: bool = False
    generation: GenerationConfig = field(default_factory=GenerationConfig)
    """How answers are sampled: the `spec`, else the values that the model itself declares."""
    read_as: ExampleFile | None = None  #: how the file is read, if not like `spec`
    scoring_digest: str = field(init=False, repr=False, compare=False)
    """12 hex digits over everything that decides answers and scores; only equal ones compare."""
    gate_digest: str = field(init=False, repr=False, compare=False)
    """12 hex digits over `scoring_digest` and the thresholds; empty if it is not a gate."""

    def __post_init__(self) -> None:
        """Compute both digests once."""
        spec = self.spec
        scoring = json_digest(
            {
                "examples": self.digest,
                "metric": spec.metric,
                "preamble": self.preamble,
                "generation": self.generation.model_dump(exclude_none=True, by_alias=True),
                **({"asSystem": True} if self.is_system_preamble else {}),
            }
        )[:12]
        thresholds = [spec.at_least, spec.not_worse_than_serving_by, spec.on_inconclusive]
        gate = json_digest([scoring, *thresholds])[:12] if spec.is_gate else ""
        object.__setattr__(self, "scoring_digest", scoring)
        object.__setattr__(self, "gate_digest", gate)

    @property
    def source(self) -> ExampleFile:
        """How to read the file."""
        return self.read_as or self.spec

    @property
    def without_thresholds(self) -> DesiredEvaluation:
        """The same examples and metric without thresholds, so that it is not a gate."""
        unset = {"at_least": None, "not_worse_than_serving_by": None}
        return replace(self, spec=self.spec.model_copy(update=unset))


@dataclass(frozen=True, slots=True)
class DesiredSweep:
    """The candidates of a sweep."""

    settings: tuple[Hyperparameters, ...]  #: one per candidate, in declared order
    max_cost_usd: float | None = None  #: limit for one plan
    location: str = ""  #: `file:line` of the sweep


@dataclass(frozen=True, slots=True)
class Desired:
    """One declared tuned model, resolved.

    With a `sweep` it represents all its `candidates` until one of them is chosen: its fingerprint
    is then over theirs and over everything that decides their scores, and no version ever has it.
    """

    project: str
    name: str
    provider: str
    inputs: TrainingInputs
    base_model: str  #: `models/NAME`: the source, or the source of the first parent
    fields: MutableFields = field(default_factory=MutableFields)
    location: str = ""  #: `file:line` of the manifest
    parent: str | None = None  #: name of the TunedModel that it continues from
    service_account: str = ""  #: account that the job runs as
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    evaluation: DesiredEvaluation | None = None
    sweep: DesiredSweep | None = None
    chosen_by_sweep: str = ""  #: digest of the sweep that chose it among its candidates
    lineage: str = ""  #: lineage of the project; empty: it has none
    home: str = DEFAULT_ENVIRONMENT  #: the environment that trains it
    formerly: tuple[str, ...] = ()  #: former names
    former_sources: tuple[str, ...] = ()
    """How former releases wrote its parent into its fingerprint: `tunedModels/ID`."""
    fingerprint: str = field(init=False, repr=False, compare=False)
    """SHA-256 (hex) over all training inputs."""

    def __post_init__(self) -> None:
        """Compute the fingerprint once, since it is read often."""
        object.__setattr__(self, "fingerprint", self._digest(self.inputs))

    def _digest(self, inputs: TrainingInputs) -> str:
        if self.sweep is None:
            return fingerprint(inputs)
        candidates = [
            fingerprint(replace(inputs, hyperparameters=setting)) for setting in self.sweep.settings
        ]
        scoring = self.evaluation.scoring_digest if self.evaluation else ""
        # With the provider, since versions of another provider do not count. Sorted, since the
        # order of candidates does not change what is trained.
        return json_digest([self.provider, scoring, *sorted(candidates)])

    @property
    def former_fingerprints(self) -> tuple[str, ...]:
        """Its fingerprint as former releases computed it, with an id of its parent."""
        return tuple(
            self._digest(replace(self.inputs, parent_fingerprint="", source=source))
            for source in self.former_sources
        )

    @property
    def former_ids(self) -> tuple[str, ...]:
        """The ids that former releases derived for it."""
        return tuple(
            version_id(name, digest)
            for name in (self.name, *self.formerly)
            for digest in (self.fingerprint, *self.former_fingerprints)
        )

    @property
    def candidates(self) -> tuple[Desired, ...]:
        """The candidates of its sweep, each as a Desired; empty without a sweep."""
        return tuple(
            replace(self, inputs=replace(self.inputs, hyperparameters=setting), sweep=None)
            for setting in (self.sweep.settings if self.sweep else ())
        )

    def candidate_with(self, fingerprint: str) -> Desired:
        """Return the candidate with this fingerprint, or this model if there is none."""
        matches = (
            model
            for model in self.candidates
            if fingerprint in (model.fingerprint, *model.former_fingerprints)
        )
        return next(matches, self)

    @property
    def sweep_digest(self) -> str:
        """The first 12 hex digits of a sweep's fingerprint, as stamps have it; else empty."""
        return self.fingerprint[:12] if self.sweep else self.chosen_by_sweep

    @property
    def model_id(self) -> str:
        """The id of a new version, which makes a create idempotent.

        A live version is never looked for by this id: after a move or an adoption it has another.
        """
        return version_id(self.name, self.fingerprint, lineage=self.lineage, home=self.home)

    @property
    def preamble_digest(self) -> str:
        """The digest of the preamble for a stamp."""
        is_system = self.inputs.preamble_as == "systemInstruction"
        return preamble_digest(self.inputs.preamble, as_system=is_system)

    def stamp(self, *, commit: str = "", attempt: int = 1) -> Stamp:
        """Return the stamp of a new version, not promoted yet."""
        return Stamp(
            project=self.project,
            name=self.name,
            fingerprint=self.fingerprint,
            dataset=self.inputs.dataset.digest,
            examples=self.inputs.dataset.examples,
            preamble=self.preamble_digest,
            commit=commit,
            attempt=attempt,
            protect=self.lifecycle.protect,
            retain=self.lifecycle.on_removal == "retain",
            field_hashes=field_hashes(self.fields),
            lineage=self.lineage,
            environment=self.home,
        )


def version_id(
    name: str, fingerprint: str, *, lineage: str = "", home: str = DEFAULT_ENVIRONMENT
) -> str:
    """Return the id of a version: at most 31 + 1 + 8 = 40 characters, the limit of the API.

    Without a lineage, a version of the default environment has the id that it had before lineages
    and environments existed.
    """
    is_plain = not lineage and home == DEFAULT_ENVIRONMENT
    digest = fingerprint if is_plain else json_digest([lineage, home, fingerprint])
    return f"{name}-{digest[:8]}"


def preamble_digest(preamble: str, *, as_system: bool) -> str:
    """Return 8 hex digits over a preamble and how it is sent, or an empty string without one.

    The same text as a system instruction is a different preamble: a version that was trained with
    the text before every input would answer differently.
    """
    text = f"\0{preamble}" if as_system else preamble
    return hashlib.sha256(text.encode()).hexdigest()[:8] if preamble else ""
