"""`models/embedded-label-001`: a text classifier whose classes are the outputs it was trained on.

The frozen base is a feature map (`features`); what is learned on top of it is one matrix
(`linear`). It takes a tenth of a second for 250 examples, and after the default five epochs it is
right about wordings it never saw. It cannot say what it never saw: an answer is always one of the
outputs of its training set, letter for letter.
"""

from __future__ import annotations

from collections.abc import Iterator

from tunedmodels.engines.engine import Adapter, Sampling, Tuning, TuningRequest


class LabelEngine:
    """The engine of `models/embedded-label-001`."""

    base_model = "models/embedded-label-001"
    display_name = "Embedded Label 001"
    description = (
        "Classifies text. Learns in seconds on this machine and answers with one of the outputs "
        "of its training set, never with anything else."
    )

    def tune(self, request: TuningRequest, *, resume: Adapter | None = None) -> Tuning:
        """Begin or go on; ValueError for no examples or more than 2,000 different outputs."""
        from tunedmodels.engines.label.model import LinearTuning  # noqa: PLC0415  # numpy takes 0.1 s

        return LinearTuning(self.base_model, request, resume)

    def answer(self, adapter: Adapter, text: str, sampling: Sampling) -> Iterator[str]:
        """Return the likeliest output, or one drawn by its probability, word by word."""
        from tunedmodels.engines.label.features import rows_of  # noqa: PLC0415  # numpy takes 0.1 s
        from tunedmodels.engines.label.model import LinearModel  # noqa: PLC0415  # numpy takes 0.1 s
        from tunedmodels.engines.sampling import choose, pieces  # noqa: PLC0415  # numpy takes 0.1 s

        model = LinearModel.of(adapter, self.base_model)
        chosen = choose(model.logits(model.weigh(rows_of(text))), sampling)
        return pieces(model.classes[chosen], sampling)
