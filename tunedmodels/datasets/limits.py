"""What each base model takes: one table, and the advice on how much data a task wants."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tunedmodels.errors import Severity

MIB = 1024 * 1024
UNLIMITED = 2**31  # characters; what is limited there are tokens


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a base model; the defaults are those of the Gemini API.

    max_input_chars, max_output_chars: per example, the preamble counted with the input. F6: 40,000
    and 5,000 characters, Gemini tuning guide (Gemini 1.5 Flash).
    max_bytes: of the file. F9: 4 MB, Gemini tuning guide. None for files that are never sent.
    max_examples: in the file. max_tokens: per example, which are estimated. None where there is no
    such limit.
    min_examples, recommended: F7: tuning works from 20 examples, 100 to 500 are recommended.
    too_few: how bad fewer than `min_examples` are; the guide's own sample has 15.
    learns_labels: the model chooses among the outputs it was trained on, so that an output which
    stands only once can hardly be learned.
    other_base: the base model for what this one is not best at: new outputs, if it learns labels,
    and labels, if it does not. None where there is no choice.
    """

    max_input_chars: int = 40_000
    max_output_chars: int = 5_000
    max_bytes: int | None = 4 * MIB
    max_examples: int | None = None
    max_tokens: int | None = None
    min_examples: int = 20
    too_few: Severity = Severity.ERROR
    recommended: tuple[int, int | None] | None = (100, 500)
    learns_labels: bool = False
    other_base: str | None = None

    def for_held_out(self) -> Limits:
        """Return the limits of held-out examples: they are asked one by one and never sent."""
        return replace(
            self,
            max_bytes=None,
            max_examples=None,
            min_examples=1,
            recommended=None,
            learns_labels=False,
            other_base=None,
        )

    def for_validation(self, max_examples: int | None) -> Limits:
        """Return the limits of examples that the service only measures its loss on."""
        return replace(self, max_examples=max_examples, min_examples=1, recommended=None)


GEMINI_API = Limits()

_LABEL, _TEXT = "models/embedded-label-001", "models/embedded-text-001"

LIMITS: dict[str, Limits] = {
    _LABEL: Limits(too_few=Severity.WARNING, learns_labels=True, other_base=_TEXT),
    _TEXT: Limits(too_few=Severity.WARNING, other_base=_LABEL),
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
    """Return the limits of a base model of Vertex AI; None where none is known.

    From 100 examples on is what its documentation recommends; the least that it takes is unknown
    (16 in 2024, for Gemini 1.0 Pro).
    """
    return Limits(
        max_input_chars=UNLIMITED,
        max_output_chars=UNLIMITED,
        max_bytes=max_bytes,
        max_examples=max_examples,
        max_tokens=max_tokens,
        min_examples=16,
        too_few=Severity.WARNING,
        recommended=(100, None),
    )


def limits_for(source: str) -> Limits:
    """Return the limits of a base model (`models/NAME`).

    A model that the table does not know, and a tuned model (`tunedModels/ID`, whose base is not in
    its name), has the Gemini API's: pass the base at the root of a chain where it is known.
    """
    return LIMITS.get(source, GEMINI_API)
