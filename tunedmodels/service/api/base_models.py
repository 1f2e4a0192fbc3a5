"""The base models of the service: one for each engine."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from importlib import import_module
from typing import Any

from tunedmodels.engines.engine import Engine
from tunedmodels.service.api.limits import CHARACTERS_PER_TOKEN, MAX_INPUT_LENGTH, MAX_OUTPUT_LENGTH
from tunedmodels.service.errors import ApiError, ApiStatus

#: The default of a tuned model: deterministic answers.
TEMPERATURE = 0.0
TOP_P = 1.0
_MAX_TEMPERATURE = 2.0


class EngineCatalog:
    """The engines by base model. Reading a description does not import the engine's libraries."""

    def __init__(self, import_path: str) -> None:
        """Create a catalog of the table at `import_path` (`module:NAME`).

        It takes a path instead of a table because each worker process imports the table.
        """
        self.import_path = import_path

    @cached_property
    def engines(self) -> Mapping[str, Engine]:
        """All engines, by the name of their base model."""
        module, _, name = self.import_path.partition(":")
        engines: Mapping[str, Engine] = getattr(import_module(module), name)
        return engines

    def get(self, base_model: str, *, method: str) -> Engine:
        """Return the engine of a base model; `method` is the API method for the error message.

        Raises ApiError (NOT_FOUND) if there is no such base model.
        """
        try:
            return self.engines[base_model]
        except KeyError:
            raise ApiError(
                ApiStatus.NOT_FOUND,
                f"{base_model} is not found for API version v1beta, or is not supported for "
                f"{method}. Call ListModels to see the list of available models and their "
                "supported methods.",
            ) from None

    def describe_all(self) -> list[dict[str, Any]]:
        """Return a Model message for each base model, sorted by name."""
        return [self.describe(name) for name in sorted(self.engines)]

    def describe(self, name: str) -> dict[str, Any]:
        """Return the Model message of a base model. Raises ApiError (NOT_FOUND)."""
        engine = self.get(name, method="getModel")
        return {
            "name": name,
            "baseModelId": name.removeprefix("models/"),
            "version": name.rpartition("-")[2],
            "displayName": engine.display_name,
            "description": engine.description,
            "inputTokenLimit": MAX_INPUT_LENGTH // CHARACTERS_PER_TOKEN,
            "outputTokenLimit": MAX_OUTPUT_LENGTH // CHARACTERS_PER_TOKEN,
            "supportedGenerationMethods": ["generateContent", "createTunedModel"],
            "temperature": TEMPERATURE,
            "topP": TOP_P,
            "maxTemperature": _MAX_TEMPERATURE,
        }
