"""What applications must call, by name: for people, shells, programs and configuration files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from tunedmodels.observed import Named, ObservedModel


def outputs_text(models: Sequence[Named]) -> str:
    """One line per name that something serves: the name and the resource to call."""
    served = _served(models)
    if not served:
        return "Nothing serves yet. To train what is declared: tunedmodels apply\n"
    width = max(map(len, served))
    return "".join(f"{name:<{width}}  {model.resource}\n" for name, model in served.items())


def outputs_document(models: Sequence[Named]) -> str:
    """Return `{NAME: {model, provider, version}}` for every name that something serves."""
    return json.dumps(_outputs(models), indent=2, ensure_ascii=False) + "\n"


def outputs_yaml(models: Sequence[Named]) -> str:
    """Return the same as YAML, for a values file."""
    import yaml  # noqa: PLC0415  # only this form needs it

    return str(yaml.safe_dump(_outputs(models), allow_unicode=True))


def outputs_env(models: Sequence[Named]) -> str:
    """Return `TUNEDMODELS_NAME=resource` lines that a shell or a container reads."""
    return "".join(
        f"TUNEDMODELS_{name.upper().replace('-', '_')}={model.resource}\n"
        for name, model in _served(models).items()
    )


def outputs_names(models: Sequence[Named]) -> str:
    """One name per line, for scripts that go through all of them."""
    return "".join(f"{name}\n" for name in _served(models))


OUTPUTS: Final[Mapping[str, Callable[[Sequence[Named]], str]]] = MappingProxyType(
    {
        "text": outputs_text,
        "json": outputs_document,
        "yaml": outputs_yaml,
        "env": outputs_env,
        "names": outputs_names,
    }
)


def _outputs(models: Sequence[Named]) -> dict[str, dict[str, str]]:
    return {
        name: {"model": model.resource, "provider": model.provider, "version": model.model_id}
        for name, model in _served(models).items()
    }


def _served(models: Sequence[Named]) -> Mapping[str, ObservedModel]:
    return {model.name: served for model in models if (served := model.serving)}


OUTPUTS_SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "What `tunedmodels outputs --format json` prints",
    "type": "object",
    "additionalProperties": {
        "type": "object",
        "required": ["model", "provider", "version"],
        "properties": {
            "model": {"type": "string"},
            "provider": {"type": "string"},
            "version": {"type": "string"},
        },
    },
}
