"""The results of open models: weights in the bucket, which do not serve until they are deployed.

A job of a Gemini model creates a model of the registry, which contains our stamp. A job of an open
model writes files to its `outputUri`, so that the stamp and the other mutable fields are in a
record, an object next to them. Until the record exists, they are those of the job.

Source: the page "Supervised fine-tuning for open models", tuned model artifacts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from tunedmodels.errors import OutcomeUnknownError, ProviderError, RefusedError
from tunedmodels.providers.storage.bucket import Bucket, ConflictError
from tunedmodels.wire import vertex as wire

CHECKPOINTS: Final = "postprocess/node-0/checkpoints"
_FINAL: Final = f"{CHECKPOINTS}/final"
_CONTENT_TYPE: Final = "application/json"
_DEFAULT_REGION: Final = "us-central1"  # a deployment is in a region, also after a global job


def final_checkpoint(job: wire.TuningJob) -> str:
    """Return the URI of the weights that a job has written, or will write."""
    return f"{job.output_uri.rstrip('/')}/{_FINAL}"


def deploy_command(job: wire.TuningJob) -> str:
    """Return the command that deploys the result of a job."""
    match job.name.split("/"):
        case [_, project, _, location, *_]:
            pass
        case _:
            project, location = "PROJECT", _DEFAULT_REGION
    region = _DEFAULT_REGION if location == "global" else location
    return (
        f"gcloud ai model-garden models deploy --model={final_checkpoint(job)} "
        f"--region={region} --project={project}"
    )


class Artifacts:
    """The results and records of the jobs of one owner in a location.

    `bucket` is where new results are written; `open_bucket` returns a bucket by its name.
    """

    def __init__(self, bucket: Bucket, location: str, open_bucket: Callable[[str], Bucket]) -> None:
        self._bucket = bucket
        self._location = location
        self._open_bucket = open_bucket

    def output_uri(self, model_id: str, attempt: int) -> str:
        """Return where the job of an attempt writes its result."""
        path = self._bucket.path(f"outputs/{self._location}/{model_id}/{attempt}")
        return self._bucket.uri(path)

    async def model(self, job: wire.TuningJob) -> wire.Model | None:
        """Return the mutable fields of a result, or None when its weights do not exist."""
        bucket, path = self._locate(job)
        if not await bucket.list(f"{path}/{CHECKPOINTS}/", limit=1):
            return None
        record = await self._read(job)
        return record or wire.Model(
            display_name=job.tuned_model_display_name,
            description=job.description,
            labels=job.labels,
        )

    async def update(self, job: wire.TuningJob, changes: wire.Model) -> None:
        """Change fields of the record of a job; a field without a value is kept.

        Raises RefusedError when another process changes it at the same time.
        """
        bucket, path = self._record(job)
        stored = await bucket.stat(path)
        current = await self.model(job) or wire.Model()
        record = wire.Model(
            display_name=changes.display_name or current.display_name,
            description=changes.description,
            labels=changes.labels or current.labels,
        )
        data = wire.encode(record)
        try:
            await bucket.write(
                path,
                data,
                generation=stored.generation if stored else "0",
                content_type=_CONTENT_TYPE,
                metadata={},
            )
        except (ConflictError, OutcomeUnknownError) as error:
            if await self._read(job) == record:  # our own write, whose response was lost
                return
            raise RefusedError(
                f"Another process changes {bucket.uri(path)}.",
                cure="Wait until it ends, then: tunedmodels apply",
            ) from error

    async def delete(self, job: wire.TuningJob) -> None:
        """Delete the weights and the record of a job; do nothing if they are deleted.

        Raises RefusedError when the job wrote to a place that is not ours.
        """
        bucket, path = self._locate(job)
        if not path.startswith(f"{bucket.prefix}/outputs/{self._location}/"):
            raise RefusedError(
                f"{job.output_uri} is not a folder of this project, so that it is not deleted.",
                cure="If nothing else uses it:\n"
                f"    gcloud storage rm --recursive {job.output_uri}",
            )
        for stored in await bucket.list(f"{path}/"):
            await bucket.delete(stored.name, generation=stored.generation)
        bucket, record = self._record(job)
        if stored_record := await bucket.stat(record):
            await bucket.delete(record, generation=stored_record.generation)

    async def _read(self, job: wire.TuningJob) -> wire.Model | None:
        bucket, path = self._record(job)
        stored = await bucket.stat(path)
        if stored is None:
            return None
        try:
            return wire.decode(await bucket.read(path, generation=stored.generation), wire.Model)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ProviderError(
                f"The content of {bucket.uri(path)} is damaged: {error}.",
                cure=f"Delete it, and promote the model again:\n"
                f"    gcloud storage rm {bucket.uri(path)}",
            ) from error

    def _locate(self, job: wire.TuningJob) -> tuple[Bucket, str]:
        name, _, path = job.output_uri.removeprefix("gs://").rstrip("/").partition("/")
        return self._open_bucket(name), path

    def _record(self, job: wire.TuningJob) -> tuple[Bucket, str]:
        bucket, _ = self._locate(job)
        return bucket, bucket.path(f"records/{self._location}/{job.name.rpartition('/')[2]}.json")
