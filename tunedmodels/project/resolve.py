"""Resolve the declared models: read and check their datasets, and compute what is desired."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from graphlib import TopologicalSorter
from typing import Any, Final

from tunedmodels.cache_file import cache_key
from tunedmodels.datasets.checks.leakage import DatasetFile, find_overlap
from tunedmodels.datasets.examples import prompt
from tunedmodels.datasets.limits import Limits, limits_for, vertex_limits
from tunedmodels.datasets.scan import REJECTED_FIELD, DatasetScan
from tunedmodels.datasets.scan_cache import ScanCache, ScanRequest
from tunedmodels.datasets.source import ExampleSource, Source, response_sources
from tunedmodels.datasets.tokens import estimate_tokens
from tunedmodels.desired import Desired, DesiredEvaluation, DesiredSweep
from tunedmodels.errors import Problem, ProblemsFoundError, Severity
from tunedmodels.manifests.load import DeclaredModel
from tunedmodels.model_fields import DesiredDataset, MutableFields, TrainingInputs
from tunedmodels.project.dataset_settings import check_settings
from tunedmodels.project.project import Project
from tunedmodels.project.remote import is_remote, latest_copy
from tunedmodels.project.validation_limits import excess_validation, excess_validation_bytes
from tunedmodels.schema.base_models import BaseModelCatalog, DatasetLimits
from tunedmodels.schema.dataset import HeldOutFile, Part, TrainingDataset
from tunedmodels.schema.project import AnyProvider, VertexSettings
from tunedmodels.schema.tuned_model import (
    ExampleFile,
    GenerationConfig,
    TrainingFile,
    TunedModelSpec,
)
from tunedmodels.stamp import DEFAULT_ENVIRONMENT
from tunedmodels.text import plural


@dataclass(frozen=True, slots=True)
class Resolution:
    """The desired models of a project, and all problems."""

    desired: tuple[Desired, ...]
    """Parents before their children; without models whose dataset is unusable."""
    problems: tuple[Problem, ...]
    data_warnings: Mapping[str, tuple[Problem, ...]]  #: warnings about the data, by name
    manifests: int
    files: int  #: datasets
    examples: int
    datasets: frozenset[tuple[str, str]]  #: declared path, and digest of the examples

    @property
    def summary(self) -> str:
        """The counts of what was read, for the user."""
        models = f"{self.manifests} {plural(self.manifests, 'model')}"
        datasets = f"{self.files} {plural(self.files, 'dataset')}"
        return f"{models} and {datasets} ({self.examples:,} {plural(self.examples, 'example')})"

    def desired_or_raise(self) -> tuple[Desired, ...]:
        """Return the desired models. Raises ProblemsFoundError if one of them has an error."""
        if any(problem.severity is Severity.ERROR for problem in self.problems):
            raise ProblemsFoundError(self.problems)
        return self.desired


def resolve(project: Project, *, use_cache: bool) -> Resolution:
    """Read every dataset, check it for its base model, and resolve every model.

    With `use_cache` a file that seems unchanged is not read again.
    """
    cache = None
    if use_cache:
        cache = ScanCache(project.state_dir / "surveys", key=cache_key(os.environ))
    resolver = _Resolver(
        project,
        cache=cache,
        catalog=BaseModelCatalog(project.manifest.spec.base_models),
        display_root=os.path.relpath(project.root),
    )
    for model in _parents_first(project.declared):
        resolver.resolve_model(model)
    return resolver.finish()


def rejected_field(source: ExampleFile) -> str:
    """Return the field of the rejected response."""
    declared = source.rejected_field if isinstance(source, TrainingFile) else None
    return declared or REJECTED_FIELD


def training_source(spec: TunedModelSpec, limits: Limits) -> TrainingDataset:
    """Return how the training examples are read: without those that are held out."""
    return spec.dataset.read_as("training", spec.hold_outs, _max_sizes(spec, limits))


def _max_sizes(spec: TunedModelSpec, limits: Limits) -> tuple[int, int, int]:
    """Return the sizes beyond which `drop: [tooLong]` drops an example."""
    preamble = spec.dataset.preamble
    longest_input = limits.max_input_chars - len(prompt(preamble, ""))
    tokens = limits.max_tokens - estimate_tokens(preamble) if limits.max_tokens else 0
    return longest_input, limits.max_output_chars, tokens


def _is_in_plan(problem: Problem) -> bool:
    return problem.severity is Severity.WARNING or problem.code.startswith("dropped-")


def _parents_first(declared: Iterable[DeclaredModel]) -> list[DeclaredModel]:
    models = {model.name: model for model in declared}
    parents = {
        name: {model.spec.tuned_model} & models.keys() if model.spec.tuned_model else set()
        for name, model in sorted(models.items())
    }
    return [models[name] for name in TopologicalSorter(parents).static_order()]


@dataclass(frozen=True, slots=True)
class _ScannedFile:
    """A file of examples that a manifest names, and its content."""

    declared: ExampleFile
    file: DatasetFile
    scan: DatasetScan

    def dataset(self, *, preamble: str = "") -> DesiredDataset:
        return DesiredDataset(
            file=self.file.file,
            declared_path=self.declared.declared_path,
            source=self.declared,
            digest=self.scan.digest,
            examples=self.scan.examples,
            tokens=self.scan.tokens + self.scan.examples * estimate_tokens(preamble),
        )


@dataclass(slots=True)
class _Resolver:
    """Resolves one model after the other, parents first."""

    project: Project
    cache: ScanCache | None
    catalog: BaseModelCatalog
    display_root: str  #: the project directory, relative to the working directory
    desired: dict[str, Desired] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    data_warnings: dict[str, tuple[Problem, ...]] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)
    examples: int = 0
    datasets: set[tuple[str, str]] = field(default_factory=set)

    def resolve_model(self, model: DeclaredModel) -> None:
        """Resolve one model, unless its parent or its dataset is unusable."""
        spec = model.spec
        base_limits = self._base_model_limits(model)
        limits = limits_for(self.project.base_models[model.name])
        if base_limits:
            limits = vertex_limits(
                max_bytes=base_limits.max_bytes,
                max_examples=base_limits.max_examples,
                max_tokens=base_limits.max_tokens_per_example,
            )
        training = self._scan(model, training_source(spec, limits), limits, "dataset")
        problems = list(training.scan.problems)
        validation = evaluation = None
        if spec.validation:
            max_examples = base_limits.max_validation_examples if base_limits else None
            validation_limits = limits.for_validation(max_examples)
            source = self._held_out_source(spec, spec.validation, "validation", limits)
            validation = self._scan(model, source, validation_limits, "validation")
            problems += validation.scan.problems
            problems += excess_validation(model, base_limits, training.scan, validation.scan)
            problems += excess_validation_bytes(model, base_limits, training.scan, validation.scan)
            problems += self._overlap(training, validation)
        if spec.evaluation:
            source = self._held_out_source(spec, spec.evaluation, "evaluation", limits)
            evaluation = self._scan(model, source, limits.for_held_out(), "evaluation")
            problems += evaluation.scan.problems
            problems += self._overlap(training, evaluation)
        problems += check_settings(model, training.scan, self._settings(model))
        self.problems += problems
        warnings = (p for p in problems if _is_in_plan(p))
        self.data_warnings[model.name] = tuple(warnings)
        parent = self.desired.get(spec.tuned_model) if spec.tuned_model else None
        if training.scan.is_usable and (parent or not spec.tuned_model):
            self.desired[model.name] = self._desired(
                model, training, validation, _evaluation(spec, evaluation), parent
            )

    def finish(self) -> Resolution:
        """Save the cache and return the result."""
        if self.cache:
            self.project.create_state_dir()
            self.cache.save()
        return Resolution(
            desired=tuple(self.desired.values()),
            problems=tuple(sorted(dict.fromkeys((*self.project.warnings, *self.problems)))),
            data_warnings=self.data_warnings,
            manifests=len(self.project.declared),
            files=len(self.files),
            examples=self.examples,
            datasets=frozenset(self.datasets),
        )

    def _settings(self, model: DeclaredModel) -> AnyProvider | None:
        return self.project.providers.get(self.project.provider_of(model))

    def _base_model_limits(self, model: DeclaredModel) -> DatasetLimits | None:
        """Return the known limits of the base model on Vertex AI, None for other providers."""
        settings = self._settings(model)
        if not isinstance(settings, VertexSettings):
            return None
        info = self.catalog.get(settings.type, self.project.base_models[model.name])
        return (info and info.dataset) or DatasetLimits()

    def _scan(
        self, model: DeclaredModel, source: ExampleFile, limits: Limits, part: str
    ) -> _ScannedFile:
        file = self._dataset_file(model.spec, source)
        if is_remote(source.paths[0]) and not file.file.exists():
            return _ScannedFile(source, file, DatasetScan("", 0, 0, (_not_fetched(model, part),)))
        is_preference = isinstance(file.source, Source) and file.source.is_preference
        request = ScanRequest(
            file.file,
            source,
            display_path=file.display_path,
            limits=limits,
            preamble=model.spec.dataset.preamble,
            task=model.spec.task if part == "dataset" else None,
            rejected_field=rejected_field(source) if is_preference else None,
        )
        scan = self.cache.scan(request) if self.cache else request.scan()
        self.datasets.add((source.declared_path, scan.digest))
        shown = f"{file.display_path}/{source.declared_path}/{source.part}"
        if shown not in self.files:
            self.files.add(shown)
            self.examples += scan.examples
        if not scan.examples:
            # The file has no examples, or does not exist: report that at the manifest.
            problems = (_at_manifest(p, model, part) for p in scan.problems)
            scan = replace(scan, problems=tuple(problems))
        return _ScannedFile(source, file, scan)

    def _dataset_file(self, spec: TunedModelSpec, source: ExampleFile) -> DatasetFile:
        # Not relpath, which asks for the working directory again for each of 10,000 models.
        path = source.path if isinstance(source.path, str) else ""
        if not source.is_single:
            file, display_path = self.project.root, self.display_root
        elif is_remote(path):
            file, display_path = latest_copy(self.project, path), path
        else:
            file = self.project.root / path
            display_path = os.path.normpath(f"{self.display_root}/{path}")
        read_as: ExampleSource = source
        if spec.method == "preference" and isinstance(source, TrainingFile):
            read_as, _ = response_sources(source, rejected_field(source))
        return DatasetFile(file, read_as, display_path)

    def _held_out_source(
        self, spec: TunedModelSpec, declared: HeldOutFile, part: Part, limits: Limits
    ) -> ExampleFile:
        """Return how held-out examples are read: their own files, or a share of the dataset."""
        if declared.path:
            return declared
        return spec.dataset.read_as(part, spec.hold_outs, _max_sizes(spec, limits))

    def _overlap(self, training: _ScannedFile, held_out: _ScannedFile) -> tuple[Problem, ...]:
        scans = (training.scan, held_out.scan)
        if not all(scan.is_usable and scan.examples for scan in scans):
            return ()
        if training.file.file == held_out.file.file and held_out.declared.hold_outs:
            return ()  # equal inputs are in the same part
        find = self.cache.find_overlap if self.cache else find_overlap
        return find(training.file, held_out.file)

    def _desired(
        self,
        model: DeclaredModel,
        training: _ScannedFile,
        validation: _ScannedFile | None,
        evaluation: DesiredEvaluation | None,
        parent: Desired | None,
    ) -> Desired:
        spec, settings = model.spec, self._settings(model)
        inputs = TrainingInputs(
            source=f"tunedModels/{parent.model_id}" if parent else spec.base_model or "",
            parent_fingerprint=parent.fingerprint if parent else "",
            dataset=training.dataset(preamble=spec.dataset.preamble),
            preamble=spec.dataset.preamble,
            preamble_as=spec.dataset.preamble_as,
            method=spec.method,
            tuning_mode=spec.tuning_mode or "",
            hyperparameters=spec.hyperparameters,
            validation=validation.dataset() if validation else None,
            encryption_key=_encryption_key(spec, settings),
            last_checkpoint_only=spec.export_last_checkpoint_only,
        )
        ownership = self.project.ownership
        is_default = ownership.training_environment == DEFAULT_ENVIRONMENT
        # Former releases had no other environment, and wrote the id of a parent into fingerprints.
        former_ids = parent.former_ids if parent and is_default else ()
        return Desired(
            project=self.project.name,
            lineage=ownership.lineage,
            home=ownership.training_environment,
            formerly=model.formerly,
            former_sources=tuple(f"tunedModels/{model_id}" for model_id in former_ids),
            name=model.name,
            provider=self.project.provider_of(model),
            inputs=inputs,
            base_model=self.project.base_models[model.name],
            fields=_mutable_fields(model),
            location=f"{model.file}:{model.line}",
            parent=parent.name if parent else None,
            sweep=_sweep(model),
            service_account=_service_account(spec, settings),
            lifecycle=spec.lifecycle,
            evaluation=evaluation,
        )


# Labels are in the metadata, not in the spec.
_MUTABLE_OF_SPEC: Final = tuple(
    each.name for each in fields(MutableFields) if each.name != "labels"
)


def _mutable_fields(model: DeclaredModel) -> MutableFields:
    values: dict[str, Any] = {name: getattr(model.spec, name) for name in _MUTABLE_OF_SPEC}
    values["display_name"] = model.spec.display_name or model.name
    return MutableFields(**values, labels=model.labels or None)


def _at_manifest(problem: Problem, model: DeclaredModel, part: str) -> Problem:
    """Return a problem without a line as a problem of the manifest."""
    if problem.line:
        return problem
    path = f"spec.{part}.path"
    location = model.location_of(path)
    message = f"{problem.file} {problem.message}"
    return replace(problem, file=location.file, line=location.line, path=path, message=message)


def _not_fetched(model: DeclaredModel, part: str) -> Problem:
    message = "is in Cloud Storage and was not read, because this command is offline"
    cure = "to read it: tunedmodels plan"
    location = model.location_of(f"spec.{part}.path")
    return location.problem("not-fetched", message, cure, Severity.WARNING)


def _evaluation(spec: TunedModelSpec, held_out: _ScannedFile | None) -> DesiredEvaluation | None:
    if spec.evaluation is None or held_out is None or not held_out.scan.is_usable:
        return None
    # The model itself declares these, and they change in place; the answers change with them.
    model_values = {"top_p": spec.top_p, "top_k": spec.top_k}
    own_values = spec.evaluation.generation_config.model_dump(exclude_none=True)
    return DesiredEvaluation(
        file=held_out.file.file,
        declared_path=held_out.declared.declared_path,
        spec=spec.evaluation,
        read_as=held_out.declared,
        digest=held_out.scan.digest,
        examples=held_out.scan.examples,
        preamble=spec.dataset.preamble,
        is_system_preamble=spec.dataset.preamble_as == "systemInstruction",
        generation=GenerationConfig(**(model_values | own_values)),
    )


def _sweep(model: DeclaredModel) -> DesiredSweep | None:
    sweep = model.spec.sweep
    if sweep is None:
        return None
    location = model.location_of("spec.sweep")
    return DesiredSweep(
        settings=sweep.hyperparameters.combinations(model.spec.hyperparameters),
        max_cost_usd=sweep.max_cost_usd,
        location=f"{location.file}:{location.line}",
    )


def _service_account(spec: TunedModelSpec, settings: AnyProvider | None) -> str:
    default = settings.service_account if isinstance(settings, VertexSettings) else None
    return spec.service_account or default or ""


def _encryption_key(spec: TunedModelSpec, settings: AnyProvider | None) -> str:
    default = settings.encryption_spec if isinstance(settings, VertexSettings) else None
    encryption = spec.encryption_spec or default
    return encryption.kms_key_name if encryption else ""
