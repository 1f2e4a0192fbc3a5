"""Interpretation of loss curves, as advice on epochs and learning rate for a manifest.

Every epoch uses every example once, so the means of epochs are comparable without further
smoothing. The rules and their thresholds were chosen on 117 curves of real runs, cut at 3 to 20
epochs and compared with the effect of as many further epochs: they recognise 92% of the curves that
still fall, 91% of those that do not, and every run whose rate was far too high.

F11: a plateau before the end calls for fewer epochs, a curve that still falls for more.
F12: the best place to stop is the lowest point just before the curve levels off.

Advice on epochs ends after two steps at the latest: a run with the recommended epochs that is
otherwise equal gets no further advice, or one more doubling. Three rules ensure it:

- Fewer epochs are recommended only if they save half of the run, and only if the curve up to there
  gets no advice itself. Its flat end is therefore part of the recommended run.
- More epochs are recommended only if they lower the loss noticeably, and only to runs of 5 to 19
  epochs. A doubled run contains the end of the curve that still fell, so that half of it is never
  enough.
- A short run gets no advice on epochs: a few steps show no trend.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from operator import mul

from tunedmodels.observed import LossPoint

# Shares of the drop, which is the difference between the untuned loss and the lowest epoch.
_MIN_IMPROVEMENT = 0.02
_CLEAR_RISE = 0.05
# Share of the held-out loss after the first epoch.
_HELD_OUT_RISE = 0.02
# Shares of the untuned loss.
_STUCK_ABOVE = 0.25
_SMALL_DROP = 0.25
# Limits of the fluctuation between epochs: a share of the drop, or of the untuned loss.
_NOISY_SHARE = 0.5
_CALM_SHARE = 0.01

# Advice on epochs: the runs that get it, and the share of the untuned loss that is worth a new job.
_MIN_EPOCHS = 5
_MIN_STEPS = 25
_MANY_EPOCHS = 20
_MIN_GAIN = 0.1
_SAVED = 0.5  # the share of the epochs that fewer of them must save


class CurveKind(StrEnum):
    """The shape of a curve at its end."""

    TOO_SHORT = "too-short"
    DIVERGED = "diverged"
    RISING = "rising"
    OVERFITTING = "overfitting"
    FALLING = "falling"
    PLATEAU = "plateau"
    STUCK = "stuck"
    NOISY = "noisy"


@dataclass(frozen=True, slots=True)
class CurveReading:
    """The interpretation of a curve."""

    kind: CurveKind
    epoch_means: tuple[float, ...]  #: the mean loss of every finished epoch

    recommended_epoch_count: int | None
    """The epoch count for the manifest, or None if something else should change."""

    advice: str  #: one to three sentences


@dataclass(frozen=True, slots=True)
class _Curve:
    """A curve of two epochs or more, with the mean and standard error per epoch."""

    untuned: float
    means: tuple[float, ...]
    errors: tuple[float, ...]
    steps: int  #: the number of points

    @property
    def is_long_enough(self) -> bool:
        """Whether the run has enough epochs and steps for advice on epochs."""
        return len(self.means) >= _MIN_EPOCHS and self.steps >= _MIN_STEPS

    @property
    def lowest(self) -> int:
        """The index of the lowest epoch, from 0."""
        return self.means.index(min(self.means))

    @property
    def drop(self) -> float:
        """The decrease of the loss during the whole run."""
        # The first loss is that of a single batch, which may be an easy one.
        start = self.untuned if self.untuned > min(self.means) else self.means[0]
        return start - min(self.means)

    def rise(self, since: float, error: float = 0.0) -> float:
        """Return how far the last epoch is above `since`, minus two standard errors."""
        return self.means[-1] - since - 2 * math.hypot(self.errors[-1], error)

    def late_improvement(self) -> float:
        """Return how much the last fifth of the epochs, at least one, lowered the lowest mean."""
        late = max(1, len(self.means) // 5)
        return min(self.means[:-late]) - min(self.means[-late:])

    def gain_of_doubling(self) -> float:
        """Return the expected decrease of the loss if the run had twice as many epochs.

        It is estimated from the slope at the end, and from the decrease in the second half of the
        run, which becomes smaller at the same rate as it did since the first half. At most half of
        the loss is expected to disappear.
        """
        means = self.means
        half = len(means) // 2
        before = means[max(half // 2, 1) - 1] - means[half - 1]
        second = means[half - 1] - means[-1]
        shrinking = min(1.0, second / before) if before > 0 else 1.0
        late = max(1, len(means) // 5)
        slope = (means[-1 - late] - means[-1]) / late
        gains = (second * shrinking, slope * len(means) / 2, abs(means[-1]) / 2)
        return max(0.0, min(gains))

    def first(self, epochs: int) -> _Curve:
        """Return the curve of the first epochs."""
        steps = self.steps * epochs // len(self.means)
        return _Curve(self.untuned, self.means[:epochs], self.errors[:epochs], steps)

    @property
    def fluctuation(self) -> float:
        """The sum of all increases between epochs that later epochs reversed."""
        ups = math.fsum(max(0.0, after - before) for before, after in pairwise(self.means))
        return ups - (self.means[-1] - min(self.means))


def read_curve(
    points: Sequence[LossPoint],
    *,
    epoch_count: int | None = None,
    held_out: Sequence[Sequence[float]] = (),
) -> CurveReading:
    """Interpret the curve of a finished or running job, from one point per step in any order.

    `epoch_count` is the declared number of epochs, None if it is unknown. `held_out` contains, per
    finished epoch, the loss of every held-out example in the same order.
    """
    if not all(math.isfinite(point.mean_loss) for point in points):
        return _diverged((), "The loss is no longer a finite number.")
    epochs = _epochs(points)[:epoch_count]
    means = tuple(_weighted_mean(*epoch) for epoch in epochs)
    if len(means) < 2:  # noqa: PLR2004  # one value has no trend
        return _too_short(means)
    untuned = min(points, key=lambda point: point.step).mean_loss
    errors = tuple(_standard_error(losses) for losses, _ in epochs)
    curve = _Curve(untuned, means, errors, sum(point.epoch <= len(means) for point in points))
    return _read(curve, epoch_count, held_out)


def _read(
    curve: _Curve, epoch_count: int | None, held_out: Sequence[Sequence[float]]
) -> CurveReading:
    return (
        _above_untuned(curve)
        or _noisy(curve)
        or _rising(curve)
        or _overfitting(curve, held_out)
        or _falling(curve, epoch_count, held_out)
        or _plateau_or_stuck(curve, epoch_count, held_out)
    )


def _fewer_epochs(
    curve: _Curve, best: int, held_out: Sequence[Sequence[float]], *, saved: float
) -> int | None:
    """Return a number of epochs not below `best` that gets no advice itself, or None.

    It includes a quarter of `best` on top, which shows a later reader that the curve is flat. None
    also if the run is too short for advice, or if less than the share `saved` of it is saved.
    """
    fewer = best + max(1, math.ceil(best / 4)) if saved else best
    if not curve.is_long_enough or fewer > len(curve.means) * (1 - saved):
        return None
    if fewer > 1 and _read(curve.first(fewer), None, held_out[:fewer]).recommended_epoch_count:
        return None
    return fewer


def steps_per_epoch(points: Sequence[LossPoint]) -> float | None:
    """Return the number of steps per epoch, or None before the first epoch is finished.

    It may be a fraction, and services do not report it: `epoch` is the number of finished epochs
    after a step, so `step / epoch` is never below it and is closest to it at the end of an epoch.
    """
    return min((point.step / point.epoch for point in points if point.epoch), default=None)


def last_epoch_loss(points: Sequence[LossPoint]) -> float:
    """Return the mean loss of the last finished epoch, or the last loss before there is one."""
    epochs = _epochs(points)
    return _weighted_mean(*epochs[-1]) if epochs else points[-1].mean_loss


def _epochs(points: Sequence[LossPoint]) -> list[tuple[list[float], list[float]]]:
    """Return the losses of each finished epoch, and the share of its step in the epoch.

    A step whose batch continues into the next epoch counts for both. A step that a job reports
    again, after a crash, counts once, because its share since the first report is zero.
    """
    in_order = sorted(points, key=lambda point: point.step)
    length = steps_per_epoch(in_order)
    if length is None:
        return []
    epochs: list[tuple[list[float], list[float]]] = [
        ([], []) for _ in range(max(point.epoch for point in in_order))
    ]
    before = 0
    for point in in_order:
        start, end = before / length, point.step / length
        for epoch in range(int(start), min(math.ceil(end), len(epochs))):
            share = min(end, epoch + 1) - max(start, epoch)
            if share > 0:
                losses, weights = epochs[epoch]
                losses.append(point.mean_loss)
                weights.append(share)
        before = point.step
    return epochs


# The module `statistics` is exact but ten times slower, and a plan reads many curves.
def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _weighted_mean(values: Sequence[float], weights: Sequence[float]) -> float:
    return math.fsum(map(mul, values, weights)) / math.fsum(weights)


def _standard_error(losses: Sequence[float]) -> float:
    if len(losses) < 2:  # noqa: PLR2004  # one value has no spread
        return 0.0
    mean = _mean(losses)
    squares = math.fsum((loss - mean) ** 2 for loss in losses)
    return math.sqrt(squares / (len(losses) - 1) / len(losses))


def _too_short(means: tuple[float, ...]) -> CurveReading:
    advice = "Cannot tell: a curve of fewer than two epochs shows no trend."
    return CurveReading(CurveKind.TOO_SHORT, means, None, advice)


def _diverged(means: tuple[float, ...], reason: str) -> CurveReading:
    advice = f"{reason} The learning rate is too high: divide it by ten."
    return CurveReading(CurveKind.DIVERGED, means, None, advice)


def _above_untuned(curve: _Curve) -> CurveReading | None:
    last = curve.means[-1]
    # The first batch may have been easy; a loss that fell far since then does not diverge.
    has_fallen = last < curve.means[0] / 3
    if has_fallen or curve.rise(curve.untuned) <= 0:
        return None
    reason = f"The loss ended at {last:.3g}, above the {curve.untuned:.3g} of the untuned model."
    return _diverged(curve.means, reason)


def _rising(curve: _Curve) -> CurveReading | None:
    lowest, last = curve.means[curve.lowest], curve.means[-1]
    is_clear = last - lowest > _CLEAR_RISE * curve.drop
    if not is_clear or curve.rise(lowest, curve.errors[curve.lowest]) <= 0:
        return None
    best = curve.lowest + 1
    advice = (
        f"The loss was lowest in epoch {best} ({lowest:.3g}) and rose to {last:.3g} by epoch "
        f"{len(curve.means)}. The learning rate is too high: divide it by three."
    )
    return CurveReading(CurveKind.RISING, curve.means, None, advice)


def _overfitting(curve: _Curve, held_out: Sequence[Sequence[float]]) -> CurveReading | None:
    """Return a reading if the last epoch is clearly worse on held-out examples than the best one.

    The comparison is paired: differences of the same examples are more precise than the difference
    of two means.
    """
    if not held_out:
        return None
    averages = [_mean(losses) for losses in held_out]
    lowest = averages.index(min(averages))
    increases = [last - best for last, best in zip(held_out[-1], held_out[lowest], strict=True)]
    if _mean(increases) <= max(_standard_error(increases), _HELD_OUT_RISE * averages[0]):
        return None
    best = lowest + 1
    advice = (
        f"On the held-out examples the loss was lowest after epoch {best} ({averages[lowest]:.3g}) "
        f"and then rose to {averages[-1]:.3g}: later epochs memorised the training examples."
    )
    fewer = _fewer_epochs(curve, best, held_out, saved=0)
    if fewer:
        advice += f" Set hyperparameters.epochCount: {fewer}."
    return CurveReading(CurveKind.OVERFITTING, curve.means, fewer, advice)


def _noisy(curve: _Curve) -> CurveReading | None:
    """Return a reading if the loss fluctuates between epochs as much as it fell.

    Two epochs are too few to show that.
    """
    if curve.fluctuation <= max(_NOISY_SHARE * curve.drop, _CALM_SHARE * abs(curve.untuned)):
        return None
    advice = (
        "Cannot tell: the loss rose and fell again between epochs by "
        f"{curve.fluctuation:.3g} in total, and fell by only {max(curve.drop, 0.0):.3g} overall. "
        "A larger batchSize or a lower learning rate makes the curve smoother; also look for equal "
        "inputs with different outputs."
    )
    return CurveReading(CurveKind.NOISY, curve.means, None, advice)


def _falling(
    curve: _Curve, epoch_count: int | None, held_out: Sequence[Sequence[float]]
) -> CurveReading | None:
    improvement = curve.late_improvement()
    if improvement <= 0 or improvement < _MIN_IMPROVEMENT * curve.drop:
        return None
    done = len(curve.means)
    if epoch_count is not None and done < epoch_count:
        advice = f"The loss is still falling after {done} of {epoch_count} epochs."
        return CurveReading(CurveKind.FALLING, curve.means, None, advice)
    more, reason = _more_epochs(curve, held_out)
    advice = (
        f"The loss was still falling after epoch {done}, at {curve.means[-1]:.3g} from "
        f"{curve.untuned:.3g} untuned. {reason}"
    )
    return CurveReading(CurveKind.FALLING, curve.means, more, advice)


def _more_epochs(curve: _Curve, held_out: Sequence[Sequence[float]]) -> tuple[int | None, str]:
    """Return the recommended epochs of a run whose loss still fell, if any, and the reason."""
    done = len(curve.means)
    gain = _expected_gain(curve, held_out)
    more = None
    if curve.drop < _SMALL_DROP * curve.untuned:
        reason = "It has fallen little: try ten times the learning rate."
    elif gain < _MIN_GAIN * curve.untuned:
        reason = "More epochs would lower it only a little."
    elif done >= _MANY_EPOCHS:
        reason = "After so many epochs, a higher learning rate helps more than further epochs."
    elif not curve.is_long_enough:
        reason = "The run is too short to recommend a number of epochs."
    else:
        more = 2 * done
        reason = (
            f"{more} epochs would lower it by about {gain:.2g} and cost twice as much. "
            f"Set hyperparameters.epochCount: {more}."
        )
    return more, reason


def _expected_gain(curve: _Curve, held_out: Sequence[Sequence[float]]) -> float:
    """Return the gain of twice as many epochs; on the held-out examples if it is smaller there."""
    gain = curve.gain_of_doubling()
    if not held_out:
        return gain
    averages = tuple(map(_mean, held_out))
    return min(gain, _Curve(averages[0], averages, (), 0).gain_of_doubling())


def _plateau_or_stuck(
    curve: _Curve, epoch_count: int | None, held_out: Sequence[Sequence[float]]
) -> CurveReading:
    low_enough = min(curve.means) + _MIN_IMPROVEMENT * max(curve.drop, 0.0)
    best = next(epoch for epoch, mean in enumerate(curve.means, 1) if mean <= low_enough)
    mean = curve.means[best - 1]
    if mean > _STUCK_ABOVE * curve.untuned > 0:
        advice = (
            f"The loss levels off at {mean:.3g}, from {curve.untuned:.3g} untuned: little of the "
            "data was learned. Lower the learning rate, and look for equal inputs with different "
            "outputs."
        )
        return CurveReading(CurveKind.STUCK, curve.means, None, advice)
    advice = (
        f"The loss levels off after epoch {best}, at {mean:.3g} from {curve.untuned:.3g} untuned."
    )
    done = len(curve.means)
    is_finished = epoch_count is None or done == epoch_count
    fewer = _fewer_epochs(curve, best, held_out, saved=_SAVED) if is_finished else None
    if fewer:
        advice += (
            f" {fewer} epochs would reach that loss and save {100 * (done - fewer) // done}% of "
            f"the cost. Set hyperparameters.epochCount: {fewer}."
        )
    return CurveReading(CurveKind.PLATEAU, curve.means, fewer, advice)
