"""Requests for answers: where a base model answers, and how models are asked.

Gemini 3 models answer in the multi-regions `us` and `eu` only, wherever they are tuned. A tuned
model is asked with thinking off or at its lowest level, as the documentation recommends, and so is
the base model with which it is compared. Sampling settings are not sent to a base model that
deprecates them.
"""

from __future__ import annotations

from tunedmodels.providers.gemini import convert
from tunedmodels.providers.vertex import names
from tunedmodels.schema.base_models import BaseModelInfo
from tunedmodels.schema.tuned_model import GenerationConfig
from tunedmodels.wire import gemini as wire


def base_model_location(location: str, info: BaseModelInfo | None) -> str:
    """Return where a base model answers that is tuned in a location."""
    return names.serving_location(location, (info and info.serve_from) or ())


def generate_request(
    text: str, system: str, config: GenerationConfig | None, info: BaseModelInfo | None
) -> wire.GenerateRequest:
    """Return the body of a generate request; `info` is about the base model, if it is known."""
    request = convert.generate_request(text, system, config)
    if info is None:
        return request
    settings = request.generation_config or wire.GenerationConfig()
    if info.accepts_sampling is False:
        settings.temperature = settings.top_p = settings.top_k = None
    settings.thinking_config = _thinking(info)
    if settings != wire.GenerationConfig():
        request.generation_config = settings
    else:
        request.generation_config = None
    return request


def _thinking(info: BaseModelInfo) -> wire.ThinkingConfig | None:
    if info.thinking_level:
        return wire.ThinkingConfig(thinking_level=info.thinking_level)
    if info.thinking_budget is not None:
        return wire.ThinkingConfig(thinking_budget=info.thinking_budget)
    return None
