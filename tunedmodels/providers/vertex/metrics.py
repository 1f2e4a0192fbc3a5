"""The loss curve of a job, from the object that `gcsMetricsUri` of the job names.

The discovery document names the object, and the guide to tuning metrics names the loss on the
training data, `/train_total_loss`; the layout of the object is not documented. So only JSON Lines
with a `step` and this loss are read, and a job with any other object has no curve.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from tunedmodels.errors import ProviderError
from tunedmodels.observed import LossPoint
from tunedmodels.providers.storage.bucket import Bucket

MAX_BYTES: Final = 8 * 1024 * 1024  # a curve of 100,000 steps

Curve = tuple[LossPoint, ...]


class _Record(msgspec.Struct):
    step: int
    loss: float | None = msgspec.field(default=None, name="/train_total_loss")
    epoch: int | None = None


class CurveReader:
    """Reads the curves of jobs; an object that has not changed is read once.

    `open_bucket` returns a bucket by its name; the caller closes it.
    """

    def __init__(self, open_bucket: Callable[[str], Bucket]) -> None:
        self._open_bucket = open_bucket
        self._known: dict[str, tuple[str, Curve]] = {}

    async def read(self, uri: str, *, epochs: int | None, total_steps: int | None) -> Curve:
        """Return the curve at a URI; () if there is none, or it cannot be read."""
        name, _, path = uri.removeprefix("gs://").partition("/")
        if not (uri.startswith("gs://") and name and path):
            return ()
        bucket = self._open_bucket(name)
        try:
            stored = await bucket.stat(path)
            if stored is None or not 0 < stored.size <= MAX_BYTES:
                return ()
            generation, curve = self._known.get(uri, ("", ()))
            if generation != stored.generation:
                body = await bucket.read(path, generation=stored.generation)
                curve = parse_curve(body, epochs=epochs, total_steps=total_steps)
                self._known[uri] = (stored.generation, curve)
        except ProviderError:
            return ()
        return curve


def parse_curve(body: bytes, *, epochs: int | None, total_steps: int | None) -> Curve:
    """Return the curve in JSON Lines; () if any line has another form, or steps do not increase."""
    try:
        records = [msgspec.json.decode(line, type=_Record) for line in body.splitlines() if line]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ()
    points = tuple(_points(records, epochs, total_steps))
    steps = [point.step for point in points]
    is_valid = steps == sorted(set(steps)) and all(step >= 1 for step in steps)
    is_valid &= all(math.isfinite(point.mean_loss) for point in points)
    return points if is_valid else ()


def _points(
    records: list[_Record], epochs: int | None, total_steps: int | None
) -> Iterator[LossPoint]:
    for record in records:
        if record.loss is None:  # the metrics of an evaluation
            continue
        epoch = record.epoch
        if epoch is None:
            epoch = (record.step - 1) * epochs // total_steps if epochs and total_steps else 0
        yield LossPoint(record.step, epoch, record.loss)
