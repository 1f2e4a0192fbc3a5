"""The limits of each base model, and the recommended numbers of examples by task."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tunedmodels.errors import Severity

MIB = 1024 * 1024
UNLIMITED = 2**31  # characters, for base models that limit tokens instead


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a base model on its examples. The defaults are those of the Gemini API."""

    max_input_chars: int = 40_000
    """Per example, including the preamble (F6: Gemini tuning guide, Gemini 1.5 Flash)."""

    max_output_chars: int = 5_000
    """Per example (F6: Gemini tuning guide, Gemini 1.5 Flash)."""

    max_bytes: int | None = 4 * MIB
    """Of the file (F9: 4 MB, Gemini tuning guide). None for files that are never sent."""

    max_examples: int | None = None
    """In the file. None: no limit."""

    max_tokens: int | None = None
    """Per example, estimated. None: no limit."""

    min_examples: int = 20
    """F7: tuning works with 20 examples or more."""

    too_few_severity: Severity = Severity.ERROR
    """The severity of fewer than `min_examples`; the guide's own sample has 15."""

    recommended: tuple[int, int | None] | None = (100, 500)
    """Recommended numbers of examples, least and most (F7). None: no recommendation."""

    is_classifier: bool = False
    """Whether the model chooses among the outputs of its training set.

    Such a model can hardly learn an output that occurs only once.
    """

    allows_conversations: bool = False
    """Whether an example may have several turns, files, functions and tools."""

    alternative_base: str | None = None
    """The base model for the other kind of outputs: new text for a classifier, labels otherwise."""

    def for_held_out(self) -> Limits:
        """Return the limits of held-out examples, which are sent one by one as prompts."""
        return replace(
            self,
            max_bytes=None,
            max_examples=None,
            min_examples=1,
            recommended=None,
            is_classifier=False,
            allows_conversations=False,
            alternative_base=None,
        )

    def for_validation(self, max_examples: int | None) -> Limits:
        """Return the limits of examples on which the service only measures the loss."""
        return replace(self, max_examples=max_examples, min_examples=1, recommended=None)


GEMINI_API = Limits()

_LABEL, _TEXT = "models/embedded-label-001", "models/embedded-text-001"

LIMITS: dict[str, Limits] = {
    _LABEL: Limits(too_few_severity=Severity.WARNING, is_classifier=True, alternative_base=_TEXT),
    _TEXT: Limits(too_few_severity=Severity.WARNING, alternative_base=_LABEL),
    "models/gemini-1.5-flash-001-tuning": GEMINI_API,
    "models/gemini-1.0-pro-001": GEMINI_API,
}

# F8: recommended sizes by task, Gemini tuning guide.
TASK_SIZES: dict[str, tuple[int, int | None]] = {
    "classification": (100, None),
    "summarization": (100, 500),
    "documentSearch": (100, None),
}


def vertex_limits(
    *, max_bytes: int | None, max_examples: int | None, max_tokens: int | None
) -> Limits:
    """Return the limits of a base model of Vertex AI; None where a limit is unknown.

    The documentation recommends 100 examples or more; the required minimum is unknown (16 in 2024,
    for Gemini 1.0 Pro).
    """
    return Limits(
        max_input_chars=UNLIMITED,
        max_output_chars=UNLIMITED,
        max_bytes=max_bytes,
        max_examples=max_examples,
        max_tokens=max_tokens,
        min_examples=16,
        too_few_severity=Severity.WARNING,
        recommended=(100, None),
        allows_conversations=True,
    )


def limits_for(source: str) -> Limits:
    """Return the limits of a base model (`models/NAME`).

    An unknown base model, and a tuned model (`tunedModels/ID`, whose name does not contain its
    base), has the limits of the Gemini API. For a tuned model, pass the base model at the root of
    its chain where it is known.
    """
    return LIMITS.get(source, GEMINI_API)
