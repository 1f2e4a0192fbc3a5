"""How far a job is, for a row, for a page and for the events that keep both up to date."""

from __future__ import annotations

from dataclasses import dataclass

from tunedmodels.observed import ModelState
from tunedmodels.service.library import words
from tunedmodels.service.web.model_view import Version


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one job is. `epoch` counts the whole passes that are done."""

    id: str
    state: str
    label: str
    is_running: bool
    step: int
    total_steps: int
    epoch: int
    epoch_count: int
    loss: str

    @property
    def percent(self) -> int:
        """Whole percents of the steps that are done."""
        return 100 * self.step // self.total_steps

    @property
    def sentence(self) -> str:
        """All of it in words."""
        if not self.is_running:
            return f"{self.label}."
        if not self.step:
            return f"{self.label}: no step is done yet."
        return (
            f"{self.label}: epoch {min(self.epoch + 1, self.epoch_count)} of {self.epoch_count}, "
            f"step {self.step:,} of {self.total_steps:,}, loss {self.loss}."
        )


def progress(version: Version) -> Progress:
    """Return how far a version is; its last snapshot must be there."""
    last = version.seen.curve[-1] if version.seen.curve else None
    is_ready = version.seen.state is ModelState.READY
    model = version.model
    return Progress(
        id=model.id,
        state=version.seen.state.value,
        label=words.STATES[version.seen.state],
        is_running=version.is_running,
        step=model.completed_steps,
        total_steps=model.total_steps,
        epoch=model.epoch_count if is_ready else (last.epoch if last else 0),
        epoch_count=model.epoch_count,
        loss=words.loss(last.mean_loss if last else None),
    )
