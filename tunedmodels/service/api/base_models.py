"""The base models of the service: one per engine, described without importing what they need."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from importlib import import_module
from typing import Any

from tunedmodels.engines.engine import Engine
from tunedmodels.service.api.limits import CHARACTERS_PER_TOKEN, MOST_INPUT, MOST_OUTPUT
from tunedmodels.service.errors import ApiError, Status

# A tuned model answers as it was taught unless somebody asks for variety.
TEMPERATURE = 0.0
TOP_P = 1.0
_MOST_TEMPERATURE = 2.0


class Catalogue:
    """The engines of the table at `place` (`module:NAME`).

    A place and no table, because workers are processes of their own and must find the same one.
    """

    def __init__(self, place: str) -> None:
        self.place = place

    @cached_property
    def engines(self) -> Mapping[str, Engine]:
        """Every engine, by the name of its base model."""
        module, _, name = self.place.partition(":")
        engines: Mapping[str, Engine] = getattr(import_module(module), name)
        return engines

    def engine(self, base_model: str, *, method: str) -> Engine:
        """Return the engine of a base model; `method` is what it is wanted for.

        Raises ApiError (NOT_FOUND) when there is none.
        """
        try:
            return self.engines[base_model]
        except KeyError:
            raise ApiError(
                Status.NOT_FOUND,
                f"{base_model} is not found for API version v1beta, or is not supported for "
                f"{method}. Call ListModels to see the list of available models and their "
                "supported methods.",
            ) from None

    def documents(self) -> list[dict[str, Any]]:
        """Return every base model in the words of the API, in the order of the names."""
        return [self.document(name) for name in sorted(self.engines)]

    def document(self, name: str) -> dict[str, Any]:
        """Return one base model in the words of the API. Raises ApiError (NOT_FOUND)."""
        engine = self.engine(name, method="getModel")
        return {
            "name": name,
            "baseModelId": name.removeprefix("models/"),
            "version": name.rpartition("-")[2],
            "displayName": engine.display_name,
            "description": engine.description,
            "inputTokenLimit": MOST_INPUT // CHARACTERS_PER_TOKEN,
            "outputTokenLimit": MOST_OUTPUT // CHARACTERS_PER_TOKEN,
            "supportedGenerationMethods": ["generateContent", "createTunedModel"],
            "temperature": TEMPERATURE,
            "topP": TOP_P,
            "maxTemperature": _MOST_TEMPERATURE,
        }
