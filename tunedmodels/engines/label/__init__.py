"""`models/embedded-label-001`: a text classifier whose classes are the outputs of its training set.

The frozen base is a feature map (`features`); one matrix is learned on top of it (`model`).
Training on 250 examples takes a tenth of a second, and after the default five epochs the model is
right about wordings that were not in the training set. It cannot answer anything new: an answer is
always one of the outputs of its training set, unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator

from tunedmodels.engines.engine import Adapter, Sampling, TrainingRun, TuningRequest


class LabelEngine:
    """The engine of `models/embedded-label-001`."""

    base_model = "models/embedded-label-001"
    display_name = "Embedded Label 001"
    description = (
        "Classifies text. Learns in seconds on this machine and answers with one of the outputs "
        "of its training set, never with anything else."
    )

    def tune(self, request: TuningRequest, *, resume: Adapter | None = None) -> TrainingRun:
        """Start or resume; ValueError for no examples or more than 2,000 different outputs."""
        from tunedmodels.engines.label.model import LabelTrainingRun  # noqa: PLC0415  # numpy: 0.1 s

        return LabelTrainingRun(self.base_model, request, resume)

    def answer(self, adapter: Adapter, text: str, sampling: Sampling) -> Iterator[str]:
        """Return the likeliest output, or one drawn by its probability, word by word."""
        from tunedmodels.engines.label.features import feature_rows  # noqa: PLC0415  # numpy: 0.1 s
        from tunedmodels.engines.label.model import LinearModel  # noqa: PLC0415  # numpy: 0.1 s
        from tunedmodels.engines.sampling import choose, stream_tokens  # noqa: PLC0415  # numpy: 0.1 s

        model = LinearModel.from_adapter(adapter, self.base_model)
        index = choose(model.logits(model.weigh_rows(feature_rows(text))), sampling)
        return stream_tokens(model.classes[index], sampling)
