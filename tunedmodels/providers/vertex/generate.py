"""Requests for answers: where a base model answers, and how models are asked.

Gemini 3 models answer in the multi-regions `us` and `eu` only, wherever they are tuned. A tuned
model is asked with thinking off or at its lowest level, as the documentation recommends, and so is
the base model with which it is compared. Sampling settings are not sent to a base model that
deprecates them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from urllib.parse import quote

from tunedmodels.errors import UnimplementedError
from tunedmodels.providers.errors import VERTEX
from tunedmodels.providers.gemini import content, convert
from tunedmodels.providers.http import Http
from tunedmodels.providers.vertex import names
from tunedmodels.schema.base_models import BaseModelCatalog, BaseModelInfo, is_open_model
from tunedmodels.schema.tuned_model import GenerationConfig
from tunedmodels.wire import gemini as wire


class ModelCaller:
    """Calls models of the project and location of `parent` (`projects/P/locations/L`).

    `client` returns the client for a location.
    """

    def __init__(
        self, parent: str, base_models: BaseModelCatalog, client: Callable[[str], Http]
    ) -> None:
        self._project, _, self._location = parent.rpartition("/locations/")
        self._base_models = base_models
        self._client = client
        self._bases: dict[str, str] = {}

    def remember(self, resource: str, base: str) -> None:
        """Remember the base model of a tuned model, which decides how it is asked."""
        self._bases[resource] = base

    async def count_tokens(self, base: str, texts: Iterable[str]) -> int:
        """Return the total number of tokens of the texts for a base model.

        Raises UnimplementedError for an open model, which the service does not serve.
        """
        if is_open_model(base):
            raise UnimplementedError(
                f"Vertex AI counts no tokens for {base}, which it does not serve.",
                cure="Leave out --count-tokens: the plan then contains estimates.",
            )
        location, resource = self._base_model(base)
        client = self._client(location)
        return await content.count_tokens(
            texts,
            lambda body: client.request_body(
                "POST", f"v1/{quote(resource)}:countTokens", content=body, is_idempotent=True
            ),
        )

    async def generate(
        self, resource: str, text: str, config: GenerationConfig | None, *, system: str
    ) -> AsyncGenerator[str, None]:
        """Send a prompt to an endpoint or a base model (`models/NAME`); yield the answer.

        Raises UnimplementedError for an open model, which serves only where a user deploys it.
        """
        if resource.startswith("gs://") or is_open_model(resource):
            raise UnimplementedError(
                f"{resource} does not serve until it is deployed.",
                cure="To print the command that deploys it: tunedmodels outputs",
            )
        base = self._bases.get(resource, "")
        if resource.startswith("models/"):
            base = resource
            location, resource = self._base_model(base)
        else:
            location = names.location_of(resource)
        info = self._base_models.get("vertex", base) if base else None
        lines = self._client(location).stream_lines(
            "POST",
            f"v1/{quote(resource)}:streamGenerateContent",
            params={"alt": "sse"},
            content=wire.encode(generate_request(text, system, config, info)),
        )
        async with aclosing(content.stream_answer(lines, resource, VERTEX.endpoint_cure)) as answer:
            async for part in answer:
                yield part

    def _base_model(self, base: str) -> tuple[str, str]:
        """Return the location in which a base model answers, and its resource name there."""
        info = self._base_models.get("vertex", base)
        location = names.serving_location(self._location, (info and info.serve_from) or ())
        name = base.removeprefix("models/")
        return location, f"{self._project}/locations/{location}/publishers/google/models/{name}"


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
