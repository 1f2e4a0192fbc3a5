"""A VertexProvider on a loopback cloud, and models that it trains."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tests.support import builders
from tests.support.vertex.cloud import PROJECT, LoopbackCloud
from tests.support.vertex.service import LoopbackApp
from tunedmodels.datasets.examples import Example
from tunedmodels.desired import Desired
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.providers import http
from tunedmodels.providers.identity import Credentials
from tunedmodels.providers.vertex.provider import VertexProvider
from tunedmodels.schema.base_models import BaseModelCatalog
from tunedmodels.schema.project import VertexSettings

BASE = "models/regional-model"
EXAMPLES = [Example(f"text {number}", f"answer {number}") for number in range(24)]
HOUR_S = 3600.0


def desired(name: str = "tone", **fields: Any) -> Desired:
    """A declared model with a provider of type vertex."""
    values: dict[str, Any] = {"provider": "eu", "source": BASE, **fields}
    return builders.desired(name, **values)


@asynccontextmanager
async def loopback_provider(
    cloud: LoopbackCloud,
    *,
    project_name: str = "demo",
    base_models: BaseModelCatalog | None = None,
    **overrides: Any,
) -> AsyncIterator[VertexProvider]:
    """A provider on `cloud`, in this process; its sleeps advance the time of the cloud.

    `project_name` is the owner in its stamps; `overrides` are settings of the provider.
    """

    async def sleep(seconds: float) -> None:
        cloud.advance(seconds)

    settings = VertexSettings(
        type="vertex",
        **{"project": PROJECT, "location": "us-central1", "bucket": "data", **overrides},
    )
    async with VertexProvider(
        "eu",
        project=project_name,
        settings=settings,
        identity=Credentials(access_token=cloud.identity.issue()),
        base_models=base_models,
        transport=http.asgi_transport(LoopbackApp(cloud)),
        sleep=sleep,
    ) as provider:
        yield provider


async def create_model(
    provider: VertexProvider,
    desired: Desired,
    examples: Sequence[Example] = EXAMPLES,
    **options: Any,
) -> ObservedModel:
    """Create a model under the lock."""
    async with provider.lock():
        return await provider.create(desired, examples, desired.stamp(commit="abc"), **options)


async def train_model(
    cloud: LoopbackCloud, provider: VertexProvider, desired: Desired, **options: Any
) -> ObservedModel:
    """Create a model, let its job end, and return the model."""
    await create_model(provider, desired, **options)
    cloud.advance(HOUR_S)
    model = await provider.get(desired.model_id)
    assert model
    assert model.state is not ModelState.TRAINING
    return model
