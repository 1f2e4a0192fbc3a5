"""A provider in front of a loopback cloud, and time that passes while it waits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tests.support import builders
from tests.support.vertex.cloud import PROJECT, Cloud
from tests.support.vertex.service import Service
from tunedmodels.datasets.examples import Example
from tunedmodels.desired import Desired
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.providers import http
from tunedmodels.providers.identity import Credentials
from tunedmodels.providers.vertex.provider import VertexProvider
from tunedmodels.schema.project import VertexSettings

BASE = "models/gemini-2.5-flash"
EXAMPLES = [Example(f"text {number}", f"answer {number}") for number in range(24)]
HOUR = 3600.0


def desired(name: str = "tone", **others: Any) -> Desired:
    """A declared model of Vertex AI."""
    values: dict[str, Any] = {"provider": "eu", "source": BASE, **others}
    return builders.desired(name, **values)


@asynccontextmanager
async def opened(
    cloud: Cloud, *, project_name: str = "demo", **others: Any
) -> AsyncIterator[VertexProvider]:
    """A provider on `cloud`, in this process; its waits let the time of the cloud pass.

    `project_name` owns its stamps; `others` are settings.
    """

    async def sleep(seconds: float) -> None:
        cloud.advance(seconds)

    settings = VertexSettings(
        type="vertex",
        **{"project": PROJECT, "location": "us-central1", "bucket": "data", **others},
    )
    async with VertexProvider(
        "eu",
        project=project_name,
        settings=settings,
        identity=Credentials(access_token=cloud.identity.issue()),
        transport=http.in_process(Service(cloud)),
        sleep=sleep,
    ) as provider:
        yield provider


async def create(
    provider: VertexProvider, want: Desired, examples: Sequence[Example] = EXAMPLES, **others: Any
) -> ObservedModel:
    """Create a model under the lock."""
    async with provider.guard():
        return await provider.create(want, examples, want.stamp(commit="abc"), **others)


async def tuned(
    cloud: Cloud, provider: VertexProvider, want: Desired, **others: Any
) -> ObservedModel:
    """Create a model and let its job end."""
    await create(provider, want, **others)
    cloud.advance(HOUR)
    found = await provider.get(want.model_id)
    assert found
    assert found.state is not ModelState.TRAINING
    return found
