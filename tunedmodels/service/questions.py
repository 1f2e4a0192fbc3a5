"""What a generateContent request asks, and what of it a tuned model cannot do (F16).

A tuned model has seen single inputs of plain text: anything else is refused in words, and not
quietly ignored.
"""

from __future__ import annotations

from collections.abc import Iterator

from tunedmodels.engines.engine import Sampling
from tunedmodels.service.api.limits import MOST_INPUT, MOST_STOP_SEQUENCES
from tunedmodels.service.api.messages import Content, GenerateContentRequest, GenerationConfig, Part
from tunedmodels.service.api.validation import range_violations
from tunedmodels.service.bodies import path
from tunedmodels.service.errors import Violation, invalid

_UNSUPPORTED = ("system_instruction", "tools", "tool_config", "cached_content")
_SUPPORTED_CONFIG = {
    "temperature",
    "top_p",
    "top_k",
    "candidate_count",
    "max_output_tokens",
    "stop_sequences",
    "seed",
    "response_mime_type",
}
_CONFIG = "generation_config"


def question(body: GenerateContentRequest) -> str:
    """Return the text that is asked. Raises ApiError (INVALID_ARGUMENT) with every violation."""
    config = body.generation_config or GenerationConfig()
    violations = [
        *(_unsupported(field) for field in _UNSUPPORTED if getattr(body, field)),
        *_config_violations(config),
        *_content_violations(body.contents or []),
    ]
    if violations:
        raise invalid(violations)
    parts = (body.contents or [])[0].parts or []
    text = "".join(part.text or "" for part in parts)
    if len(text) > MOST_INPUT:
        words = f"The input has {len(text)} characters; at most {MOST_INPUT} are allowed."
        raise invalid([Violation("contents", words)])
    return text


def sampling(config: GenerationConfig, *, temperature: float, top_p: float, top_k: int) -> Sampling:
    """Return how to draw the answer: as the request says, else as the model says."""
    return Sampling(
        temperature=temperature if config.temperature is None else config.temperature,
        top_p=top_p if config.top_p is None else config.top_p,
        top_k=top_k if config.top_k is None else config.top_k,
        max_output_tokens=config.max_output_tokens,
        stop_sequences=tuple(config.stop_sequences or ()),
        seed=config.seed,
    )


def _unsupported(field: str) -> Violation:
    return Violation(field, f"{field} is not supported by this model.")


def _config_violations(config: GenerationConfig) -> Iterator[Violation]:
    for field in sorted(set(GenerationConfig.model_fields) - _SUPPORTED_CONFIG):
        if getattr(config, field):
            yield _unsupported(f"{_CONFIG}.{field}")
    if (config.response_mime_type or "text/plain") != "text/plain":
        words = "response_mime_type: only text/plain is supported by tuned models (no JSON mode)."
        yield Violation(f"{_CONFIG}.response_mime_type", words)
    ranges = (
        ("candidate_count", config.candidate_count, 1, 1),
        ("max_output_tokens", config.max_output_tokens, 1, None),
        ("temperature", config.temperature, 0, 2),
        ("top_p", config.top_p, 0, 1),
        ("top_k", config.top_k, 1, None),
        ("stop_sequences", len(config.stop_sequences or ()), 0, MOST_STOP_SEQUENCES),
    )
    for field, value, least, most in ranges:
        yield from range_violations(f"{_CONFIG}.{field}", value, least, most)


def _content_violations(contents: list[Content]) -> Iterator[Violation]:
    if not contents:
        yield Violation("contents", "contents is not specified.")
    elif len(contents) > 1:
        words = f"Tuned models answer single inputs, without a history (got {len(contents)} turns)."
        yield Violation("contents", words)
    else:
        content = contents[0]
        if content.role not in (None, "", "user"):
            words = f"Please use a valid role for a question: user (got {content.role[:60]!r})."
            yield Violation("contents[0].role", words)
        parts = content.parts or []
        if not any(part.text for part in parts):
            yield Violation("contents[0].parts", "There is no text in the question.")
        for index, part in enumerate(parts):
            yield from _part_violations(part, path("contents[0].parts", (index,)))


def _part_violations(part: Part, place: str) -> Iterator[Violation]:
    for field in Part.model_fields:
        if field not in ("text", "thought") and getattr(part, field) is not None:
            yield Violation(f"{place}.{field}", "Only text is supported by tuned models.")
