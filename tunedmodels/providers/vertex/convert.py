"""Conversions between jobs and models of Vertex AI and values of this package.

A version is a job and, after the job has succeeded, a model. The stamp is in the job until then and
in the model afterwards, since a job cannot be changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from tunedmodels import stamp as stamps
from tunedmodels.desired import Desired
from tunedmodels.model_fields import MutableFields
from tunedmodels.observed import ModelState, ObservedModel, UsedHyperparameters
from tunedmodels.providers.provider import Edit
from tunedmodels.providers.vertex import artifacts, names
from tunedmodels.schema.base_models import reference, strip_prefix
from tunedmodels.stamp import Stamp
from tunedmodels.wire import status
from tunedmodels.wire import vertex as wire

MAX_LISTED_EXAMPLES: Final = 5  # dropped examples listed in a message

_STATES: Final = {
    "JOB_STATE_QUEUED": ModelState.QUEUED,
    "JOB_STATE_PENDING": ModelState.QUEUED,
    "JOB_STATE_SUCCEEDED": ModelState.READY,
    "JOB_STATE_PARTIALLY_SUCCEEDED": ModelState.READY,
    "JOB_STATE_FAILED": ModelState.FAILED,
    "JOB_STATE_EXPIRED": ModelState.FAILED,
    "JOB_STATE_CANCELLED": ModelState.CANCELLED,
}
CANCELLING: Final = "JOB_STATE_CANCELLING"
_PHASES: Final = {CANCELLING: "being cancelled", "JOB_STATE_PAUSED": "paused"}
_DETAILED_STATE_PREFIX: Final = "TUNING_JOB_STATE_"
_SIZES: Final = {name: size for size, name in wire.ADAPTER_SIZES.items()}


class ModelPresence(Enum):
    """Whether the results of a successful job exist."""

    AVAILABLE = "the model and its endpoint exist"
    NO_MODEL = "the job names no model"
    NO_ENDPOINT = "the model exists without an endpoint"
    DELETED = "the model was deleted"


_FAILURES: Final = {
    ModelPresence.NO_MODEL: "the job ended without a model",
    ModelPresence.NO_ENDPOINT: "the endpoint was deleted, so that the model cannot be called",
}


@dataclass(frozen=True, slots=True)
class VertexVersion:
    """A job and the model that it created."""

    model_id: str
    """From our labels of the job; the number of the job when it has none."""
    job: wire.TuningJob
    model: wire.Model | None = None
    presence: ModelPresence = ModelPresence.AVAILABLE

    @property
    def state(self) -> ModelState:
        """The state of the version; a model without an endpoint is FAILED."""
        # A state that the service may add later counts as running: a run then waits.
        state = _STATES.get(self.job.state, ModelState.TRAINING)
        if state is not ModelState.READY or (
            self.model and self.presence is ModelPresence.AVAILABLE
        ):
            return state
        if self.presence is ModelPresence.NO_MODEL and self.job.state == "JOB_STATE_SUCCEEDED":
            return ModelState.TRAINING  # the job names its model a moment later
        return ModelState.FAILED

    @property
    def is_job_record(self) -> bool:
        """Whether nothing is left except the job, which cannot be deleted."""
        return not self.state.is_running and self.model is None

    @property
    def rank(self) -> tuple[bool, bool, float]:
        """The order of jobs of one version: those with a model, then running ones, then by age."""
        created = self.job.create_time.timestamp() if self.job.create_time else 0.0
        return self.model is not None, self.state.is_running, created


def job_state(job: wire.TuningJob) -> ModelState:
    """Return the state of a job, without regard to its model."""
    return _STATES.get(job.state, ModelState.TRAINING)


def base_model(job: wire.TuningJob) -> str:
    """Return the base model of a job as a manifest has it, "" if the job does not name it."""
    name = job.base_model or (job.pre_tuned_model.base_model if job.pre_tuned_model else "")
    return reference(strip_prefix(name)) if name else ""


def observed_model(
    provider: str, version: VertexVersion, *, tolerates_drops: bool
) -> ObservedModel:
    """Return a version as an observed model.

    With `tolerates_drops`, dropped examples do not block the promotion of a version.
    """
    job, model = version.job, version.model
    carrier = model or job
    description, stamp = stamps.parse_description(carrier.description)
    if stamp is None:  # the job keeps the stamp when the description of its model is overwritten
        stamp = stamps.parse_description(job.description)[1]
    parent = job.labels.get(names.SOURCE_LABEL, "")
    dropped_message = _dropped_message(job)
    is_ready = version.state is ModelState.READY
    return ObservedModel(
        provider=provider,
        model_id=version.model_id,
        resource=_resource(version),
        state=version.state,
        source=f"tunedModels/{parent}" if parent else base_model(job) or "models/",
        fields=MutableFields(
            display_name=model.display_name if model else job.tuned_model_display_name,
            description=description,
            labels=names.user_labels(carrier.labels),
        ),
        stamp=stamp,
        used=_used(job),
        created=job.create_time,
        completed=job.end_time,
        failure=_failure(version),
        job_phase=_phase(job) if version.state.is_running else "",
        declared_total_steps=_stats(job).tuning_step_count,
        blocked_reason="" if tolerates_drops or not is_ready else dropped_message,
        warning=dropped_message,
        is_job_record=version.is_job_record,
        etag=model.etag if model else "",
        deploy_command=artifacts.deploy_command(job) if is_ready and job.output_uri else "",
    )


def _resource(version: VertexVersion) -> str:
    """Return what an application calls, or for an open model deploys; else the job."""
    job = version.job
    if version.state is not ModelState.READY:
        return job.name
    if job.output_uri:
        return artifacts.final_checkpoint(job)
    return job.tuned_model.endpoint if job.tuned_model else job.name


@dataclass(frozen=True, slots=True)
class JobFiles:
    """URIs in Cloud Storage that a job reads and writes."""

    training: str
    validation: str = ""
    output: str = ""
    """Where an open model is written."""


def create_body(
    desired: Desired,
    stamp: Stamp,
    files: JobFiles,
    *,
    parent: VertexVersion | None,
    tuning_mode: str = "",
) -> wire.TuningJob:
    """Return the body of a create; `parent` is the version to continue from.

    `tuning_mode` is that of an open model.
    """
    inputs, mutable = desired.inputs, desired.fields
    declared = inputs.hyperparameters
    spec = wire.TuningSpec(
        training_dataset_uri=files.training,
        validation_dataset_uri=files.validation,
        tuning_mode=wire.TUNING_MODES.get(tuning_mode, ""),
        hyper_parameters=wire.Hyperparameters(
            epoch_count=None if declared.epoch_count is None else str(declared.epoch_count),
            learning_rate_multiplier=declared.learning_rate_multiplier,
            batch_size=None if declared.batch_size is None else str(declared.batch_size),
            learning_rate=declared.learning_rate,
            adapter_size=wire.ADAPTER_SIZES[declared.adapter_size] if declared.adapter_size else "",
            beta=declared.beta,
        ),
        export_last_checkpoint_only=inputs.last_checkpoint_only,
    )
    is_preference = inputs.method == "preference"
    # A job that continues a model and has its display name would create a version of that model.
    model, source = (parent.model, parent.job.tuned_model) if parent else (None, None)
    has_same_name = model is not None and model.display_name == mutable.display_name
    return wire.TuningJob(
        base_model="" if parent else inputs.source.removeprefix("models/"),
        pre_tuned_model=wire.PreTunedModel(source.model) if source else None,
        supervised_tuning_spec=None if is_preference else spec,
        preference_optimization_spec=spec if is_preference else None,
        tuned_model_display_name=desired.model_id if has_same_name else mutable.display_name or "",
        description=stamps.format_description(mutable.description, stamp),
        labels={
            **names.user_labels(mutable.labels or {}),
            **names.stamp_labels(
                stamp,
                model_id=desired.model_id,
                parent_id=inputs.source.rpartition("/")[2] if parent else "",
            ),
        },
        encryption_spec=wire.EncryptionSpec(inputs.encryption_key)
        if inputs.encryption_key
        else None,
        service_account=desired.service_account,
        output_uri=files.output,
    )


def patch_body(existing: wire.Model, edit: Edit) -> tuple[wire.Model, str]:
    """Return the body of models.patch for an existing model, and its updateMask."""
    model = wire.Model(description=stamps.format_description(edit.fields.description, edit.stamp))
    mask = ["description"]
    if edit.fields.display_name:  # a model always has one, so that it cannot be cleared
        model.display_name = edit.fields.display_name
        mask.append("displayName")
    if edit.fields.labels:
        # The API replaces all labels, those of the stamp and of the service included.
        model.labels = {**existing.labels, **names.user_labels(edit.fields.labels)}
        mask.append("labels")
    return model, ",".join(mask)


def has_values(model: wire.Model, written: wire.Model) -> bool:
    """Whether a live model has the values of the body of a models.patch."""
    return (
        model.description.split() == written.description.split()  # line ends may differ
        and written.display_name in ("", model.display_name)
        and written.labels.items() <= model.labels.items()
    )


def _spec(job: wire.TuningJob) -> wire.TuningSpec:
    return job.supervised_tuning_spec or job.preference_optimization_spec or wire.TuningSpec()


def _used(job: wire.TuningJob) -> UsedHyperparameters:
    used = _spec(job).hyper_parameters or wire.Hyperparameters()
    return UsedHyperparameters(
        epoch_count=int(used.epoch_count) if used.epoch_count else None,
        learning_rate_multiplier=used.learning_rate_multiplier,
        batch_size=int(used.batch_size) if used.batch_size else None,
        learning_rate=used.learning_rate,
        adapter_size=_SIZES.get(used.adapter_size),
        beta=used.beta,
    )


def _stats(job: wire.TuningJob) -> wire.TuningStats:
    stats = job.tuning_data_stats or wire.TuningDataStats()
    return stats.supervised or stats.preference or wire.TuningStats()


def _dropped_message(job: wire.TuningJob) -> str:
    """Return a message about the examples that the service dropped; "" if there are none."""
    stats = _stats(job)
    indices = stats.truncated_example_indices or stats.dropped_example_indices
    dropped = max(stats.total_truncated_example_count or 0, len(indices))
    if not dropped:
        return ""
    count = stats.tuning_dataset_example_count
    # For preferences the service lists a sample without the total.
    bound = "" if stats.total_truncated_example_count else "at most "
    trained = f"{bound}{count - dropped:,} of {count:,}" if count else "a part of the"
    reasons = "; ".join(dict.fromkeys(stats.dropped_example_reasons[:MAX_LISTED_EXAMPLES]))
    listed = ", ".join(str(index) for index in indices[:MAX_LISTED_EXAMPLES])
    if len(indices) > MAX_LISTED_EXAMPLES:
        listed = f"{listed}, ..."
    details = status.printable_line(f"(dropped: {listed}: {reasons})") if indices else ""
    return f"trained on {trained} examples{details and ' ' + details}"


def _failure(version: VertexVersion) -> str:
    job = version.job
    if version.state.is_running:
        return ""
    if job_state(job) is ModelState.READY:
        return _FAILURES.get(version.presence, "")
    reason = status.printable_line(job.error.text) if job.error else ""
    if job.state == "JOB_STATE_EXPIRED":
        reason = reason or "the job expired before it started"
    return f"{reason} (job {job.name.rpartition('/')[2]})" if reason else ""


def _phase(job: wire.TuningJob) -> str:
    if job.tuning_job_state.startswith(_DETAILED_STATE_PREFIX):
        phase = job.tuning_job_state.removeprefix(_DETAILED_STATE_PREFIX)
        return phase.replace("_", " ").lower()
    return _PHASES.get(job.state, "")
