"""Jobs and models of Vertex AI in our words, and ours in its shapes.

One version is a job and, once that succeeded, a model. Until then the job carries the stamp, after
that the model does: a job cannot be changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from tunedmodels import stamp as stamps
from tunedmodels.desired import Desired
from tunedmodels.observed import ModelState, ObservedModel, UsedHyperparameters
from tunedmodels.providers.provider import Edit
from tunedmodels.providers.vertex import names
from tunedmodels.stamp import Stamp
from tunedmodels.wire import status
from tunedmodels.wire import vertex as wire

NAMED: Final = 5  # examples that were dropped, as they are named to people

_STATES: Final = {
    "JOB_STATE_QUEUED": ModelState.QUEUED,
    "JOB_STATE_PENDING": ModelState.QUEUED,
    "JOB_STATE_SUCCEEDED": ModelState.READY,
    "JOB_STATE_PARTIALLY_SUCCEEDED": ModelState.READY,
    "JOB_STATE_FAILED": ModelState.FAILED,
    "JOB_STATE_EXPIRED": ModelState.FAILED,
    "JOB_STATE_CANCELLED": ModelState.CANCELLED,
}
_PHASES: Final = {"JOB_STATE_CANCELLING": "being cancelled", "JOB_STATE_PAUSED": "paused"}
_PHASE: Final = "TUNING_JOB_STATE_"
_SIZES: Final = {name: size for size, name in wire.ADAPTER_SIZES.items()}


class Left(Enum):
    """What is left of a job that succeeded."""

    ALL = "the model can be asked"
    NO_MODEL = "it names no model"
    NO_ENDPOINT = "the model is there, and no endpoint"
    NOTHING = "the model was deleted"


_MISSING: Final = {
    Left.NO_MODEL: "the job ended, and made no model",
    Left.NO_ENDPOINT: "its endpoint was deleted, so that nobody can ask it",
}


@dataclass(frozen=True, slots=True)
class Version:
    """A job, the model that it made, and whether that can be asked.

    `model_id` is ours, by the labels of the job; the number of the job where it has none of ours.
    """

    model_id: str
    job: wire.TuningJob
    model: wire.Model | None = None
    left: Left = Left.ALL

    @property
    def state(self) -> ModelState:
        """In our words; of a model without an endpoint it is FAILED."""
        # What the service may come to say besides: neither to be asked nor to be trained again.
        state = _STATES.get(self.job.state, ModelState.TRAINING)
        if state is not ModelState.READY or (self.model and self.left is Left.ALL):
            return state
        if self.left is Left.NO_MODEL and self.job.state == "JOB_STATE_SUCCEEDED":
            return ModelState.TRAINING  # it says in a moment what it made
        return ModelState.FAILED

    @property
    def is_record(self) -> bool:
        """Whether there is nothing behind the job that could be deleted."""
        return not self.state.is_running and self.model is None

    @property
    def rank(self) -> tuple[bool, bool, float]:
        """How much this tells of its version: a live model, then a running job, then the newest."""
        began = self.job.create_time.timestamp() if self.job.create_time else 0.0
        return self.model is not None, self.state.is_running, began


def job_state(job: wire.TuningJob) -> ModelState:
    """Return the state of a job alone, whatever became of its model."""
    return _STATES.get(job.state, ModelState.TRAINING)


def observed(provider: str, version: Version, *, tolerates_drops: bool) -> ObservedModel:
    """Return a version in our words.

    `tolerates_drops` says that it may serve although the service left examples out.
    """
    job, model = version.job, version.model
    description = model.description if model else job.description
    words, stamp = stamps.read(description)
    if stamp is None:  # a job is ours for ever, whoever wrote over the description of its model
        stamp = stamps.read(job.description)[1]
    parent = job.labels.get(names.SOURCE, "")
    dropped = _dropped(job)
    is_ready = version.state is ModelState.READY
    return ObservedModel(
        provider=provider,
        model_id=version.model_id,
        resource=job.tuned_model.endpoint if is_ready and job.tuned_model else job.name,
        state=version.state,
        source=f"tunedModels/{parent}" if parent else f"models/{job.base_model.rpartition('/')[2]}",
        display_name=model.display_name if model else job.tuned_model_display_name,
        description=words,
        stamp=stamp,
        labels=names.theirs((model or job).labels),
        used=_used(job),
        created=job.create_time,
        completed=job.end_time,
        failure=_failure(version),
        phase=_phase(job) if version.state.is_running else "",
        steps=_steps(job),
        objection="" if tolerates_drops or not is_ready else dropped,
        remark=dropped,
        is_record=version.is_record,
    )


def creation(
    desired: Desired, stamp: Stamp, *, training: str, validation: str, parent: Version | None
) -> wire.TuningJob:
    """Return the body of a create; `training` and `validation` are URIs of Cloud Storage.

    `parent` is the version that it continues from.
    """
    declared = desired.hyperparameters
    spec = wire.TuningSpec(
        training_dataset_uri=training,
        validation_dataset_uri=validation,
        hyper_parameters=wire.Hyperparameters(
            epoch_count=None if declared.epoch_count is None else str(declared.epoch_count),
            learning_rate_multiplier=declared.learning_rate_multiplier,
            adapter_size=wire.ADAPTER_SIZES[declared.adapter_size] if declared.adapter_size else "",
            beta=declared.beta,
        ),
        export_last_checkpoint_only=desired.last_checkpoint_only,
    )
    is_preference = desired.method == "preference"
    # A job that continues a model and has its display name makes a version of that very model.
    model, made = (parent.model, parent.job.tuned_model) if parent else (None, None)
    is_same = model is not None and model.display_name == desired.display_name
    return wire.TuningJob(
        base_model="" if parent else desired.source.removeprefix("models/"),
        pre_tuned_model=wire.PreTunedModel(made.model) if made else None,
        supervised_tuning_spec=None if is_preference else spec,
        preference_optimization_spec=spec if is_preference else None,
        tuned_model_display_name=desired.model_id if is_same else desired.display_name,
        description=stamps.write(desired.description, stamp),
        labels={
            **names.theirs(desired.labels),
            **names.labels(stamp, parent=desired.source.rpartition("/")[2] if parent else ""),
        },
        encryption_spec=wire.Encryption(desired.encryption_key) if desired.encryption_key else None,
        service_account=desired.service_account,
    )


def patch(there: wire.Model, edit: Edit) -> tuple[wire.Model, str]:
    """Return the body of models.patch for the model that is there, and its updateMask."""
    model = wire.Model(description=stamps.write(edit.description, edit.stamp))
    mask = ["description"]
    if edit.display_name:  # a model always has one, so that it cannot be taken away
        model.display_name = edit.display_name
        mask.append("displayName")
    if edit.labels:  # they are replaced as a whole, and hold the stamp's and the service's own
        model.labels = {**there.labels, **names.theirs(edit.labels)}
        mask.append("labels")
    return model, ",".join(mask)


def _spec(job: wire.TuningJob) -> wire.TuningSpec:
    return job.supervised_tuning_spec or job.preference_optimization_spec or wire.TuningSpec()


def _used(job: wire.TuningJob) -> UsedHyperparameters:
    used = _spec(job).hyper_parameters or wire.Hyperparameters()
    return UsedHyperparameters(
        epoch_count=int(used.epoch_count) if used.epoch_count else None,
        learning_rate_multiplier=used.learning_rate_multiplier,
        adapter_size=_SIZES.get(used.adapter_size),
        beta=used.beta,
    )


def _stats(job: wire.TuningJob) -> wire.Stats:
    found = job.tuning_data_stats or wire.DataStats()
    return found.supervised or found.preference or wire.Stats()


def _steps(job: wire.TuningJob) -> int | None:
    return _stats(job).tuning_step_count


def _dropped(job: wire.TuningJob) -> str:
    """Say that the service left examples out, and which; nothing where it took all of them."""
    stats = _stats(job)
    named = stats.truncated_example_indices or stats.dropped_example_indices
    dropped = max(stats.total_truncated_example_count or 0, len(named))
    if not dropped:
        return ""
    count = stats.tuning_dataset_example_count
    # Of preferences the service names a sample, and not how many there are.
    bound = "" if stats.total_truncated_example_count else "at most "
    learned = f"{bound}{count - dropped:,} of {count:,}" if count else "a part of the"
    reasons = "; ".join(dict.fromkeys(stats.dropped_example_reasons[:NAMED]))
    which = ", ".join(str(index) for index in named[:NAMED]) + (", ..." * (len(named) > NAMED))
    why = status.plain(f" (left out: {which}: {reasons})") if named else ""
    return f"trained on {learned} examples{why and ' ' + why}"


def _failure(version: Version) -> str:
    job = version.job
    if version.state.is_running:
        return ""
    if job_state(job) is ModelState.READY:
        return _MISSING.get(version.left, "")
    words = status.plain(job.error.words) if job.error else ""
    if job.state == "JOB_STATE_EXPIRED":
        words = words or "the job expired before it began"
    return f"{words} (job {job.name.rpartition('/')[2]})" if words else ""


def _phase(job: wire.TuningJob) -> str:
    if job.tuning_job_state.startswith(_PHASE):
        return job.tuning_job_state.removeprefix(_PHASE).replace("_", " ").lower()
    return _PHASES.get(job.state, "")
