"""Render what applications must call, by name: for people, shells and configuration files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from tunedmodels.observed import ModelVersions, ObservedModel
from tunedmodels.render.document import Document, json_schema, to_json


class OutputDocument(Document):
    """The serving version of one name."""

    #: The resource that an application calls.
    model: str
    provider: str
    version: str
    #: The command that deploys `model`, which does not serve before.
    deploy_command: str | UnsetType = UNSET


def outputs_text(models: Sequence[ModelVersions]) -> str:
    """Return a line per name that has a serving version: the name and the resource to call."""
    serving = _serving_versions(models)
    if not serving:
        return "No model serves yet. To train the declared models: tunedmodels apply\n"
    width = max(map(len, serving))
    return "".join(
        f"{name:<{width}}  {model.resource}\n{_deployment(model, '  ')}"
        for name, model in serving.items()
    )


def outputs_json(models: Sequence[ModelVersions]) -> str:
    """Return an OutputDocument for every name that has a serving version."""
    return to_json(_documents(models))


def outputs_yaml(models: Sequence[ModelVersions]) -> str:
    """Return the same as YAML, for a values file."""
    import yaml  # noqa: PLC0415  # only this form needs it

    return str(yaml.safe_dump(msgspec.to_builtins(_documents(models)), allow_unicode=True))


def outputs_env(models: Sequence[ModelVersions]) -> str:
    """Return `TUNEDMODELS_NAME=resource` lines for a shell or a container."""
    return "".join(
        f"{_deployment(model, '# ')}TUNEDMODELS_{name.upper().replace('-', '_')}={model.resource}\n"
        for name, model in _serving_versions(models).items()
    )


def outputs_names(models: Sequence[ModelVersions]) -> str:
    """Return one name per line, for scripts that loop over them."""
    return "".join(f"{name}\n" for name in _serving_versions(models))


OUTPUT_RENDERERS: Final[Mapping[str, Callable[[Sequence[ModelVersions]], str]]] = MappingProxyType(
    {
        "text": outputs_text,
        "json": outputs_json,
        "yaml": outputs_yaml,
        "env": outputs_env,
        "names": outputs_names,
    }
)


def outputs_schema() -> dict[str, Any]:
    """Return the JSON Schema of the JSON form."""
    return json_schema(
        dict[str, OutputDocument], "The output of `tunedmodels outputs --format json`"
    )


def _documents(models: Sequence[ModelVersions]) -> dict[str, OutputDocument]:
    return {
        name: OutputDocument(
            model=model.resource,
            provider=model.provider,
            version=model.model_id,
            deploy_command=model.deploy_command or UNSET,
        )
        for name, model in _serving_versions(models).items()
    }


def _deployment(model: ObservedModel, indent: str) -> str:
    """Return lines with the command that deploys an open model; "" for a model that serves."""
    if not model.deploy_command:
        return ""
    return f"{indent}does not serve until you deploy it:\n{indent}    {model.deploy_command}\n"


def _serving_versions(models: Sequence[ModelVersions]) -> Mapping[str, ObservedModel]:
    return {model.name: serving for model in models if (serving := model.serving)}
