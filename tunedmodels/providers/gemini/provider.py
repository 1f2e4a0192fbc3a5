"""Tuned models behind the Gemini API, v1beta `tunedModels`: hosted, on loopback or in this process.

The id of a version is ours and holds its fingerprint, so every call here may be sent twice without
harm; a second create is a 409 and never a second job that somebody pays for.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Self, TypeVar
from urllib.parse import quote

import msgspec

from tunedmodels.aio import together
from tunedmodels.datasets.examples import Example
from tunedmodels.desired import Desired
from tunedmodels.errors import (
    AlreadyExistsError,
    InvalidArgumentError,
    NotFoundError,
    OutcomeUnknownError,
    ProviderError,
    UnavailableError,
    UnimplementedError,
)
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.providers import errors, http
from tunedmodels.providers.gemini import content, convert
from tunedmodels.providers.http import AsgiApp, Http, Transport
from tunedmodels.providers.identity import HOSTED, Credentials, Identity
from tunedmodels.providers.pagination import Page, read_all
from tunedmodels.providers.provider import BaseModel, Edit, Unguarded
from tunedmodels.providers.retry import OnRetry
from tunedmodels.schema.tuned_model import GenerationConfig
from tunedmodels.stamp import Stamp
from tunedmodels.wire import gemini as wire

PAGE_SIZE = "1000"  # the largest there is: pages of 50 take 13 times as long
LARGEST_BODY = 4 * 1024 * 1024  # bytes; F9: at most 4 MB of training data
LONGEST_INPUT = 40_000  # characters that a tuned model takes; F16
CREATE_READ_S = 120.0  # a create carries the whole dataset, and the service reads all of it
ENDPOINT_CURE = errors.GOOGLE.endpoint_cure
IN_PROCESS = "http://localhost"  # no port, no socket: only the name that stands in messages

T = TypeVar("T")
E = TypeVar("E")


class GeminiProvider(Unguarded):
    """A provider that speaks the Gemini API at `endpoint`.

    `name` is the provider's name in manifests, `project` the owner in the stamps of our models.
    """

    def __init__(
        self,
        name: str,
        *,
        project: str,
        endpoint: str = HOSTED,
        credentials: Identity | None = None,
        transport: Transport | None = None,
        on_retry: OnRetry | None = None,
        trains_here: bool = False,
    ) -> None:
        self.name = name
        self.trains_here = trains_here
        self._project = project
        self._http = Http(
            endpoint, credentials or Credentials(), transport=transport, on_retry=on_retry
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._http.aclose()

    async def observe(self) -> list[ObservedModel]:
        """Return every tuned model there is, in the order of the ids.

        How a failed job ended is asked for models of this project only: nothing rests on others.
        """
        found = await self._all("v1beta/tunedModels", wire.TunedModelPage, self._observed)
        models = {model.resource: model for model in found}
        unclear = [each for each in models.values() if _is_failed(each) and self._is_ours(each)]
        for told in await together(map(self._told, unclear)):
            models[told.resource] = told
        return sorted(models.values(), key=lambda model: model.model_id)

    async def get(self, model_id: str) -> ObservedModel | None:
        """Return one model with all that is known of it, or None when there is none."""
        try:
            model = await self._model(model_id)
        except NotFoundError:
            return None
        return await self._told(model) if _is_failed(model) else model

    async def create(
        self,
        desired: Desired,
        examples: Sequence[Example],
        stamp: Stamp,
        *,
        validation: Sequence[Example] = (),
    ) -> ObservedModel:
        """Start training `desired.model_id` and return at once, see Provider.create.

        Raises InvalidArgumentError, before anything is sent, when the data is over the limit.
        """
        if validation:
            raise ValueError("the Gemini API takes no validation examples")
        body = wire.encode(convert.creation(desired, examples, stamp))
        if len(body) > LARGEST_BODY:
            raise InvalidArgumentError(
                f"{desired.name}: {len(examples)} examples make a request of "
                f"{len(body) / 2**20:.1f} MiB, and the API takes at most 4 MiB.",
                cure=f"Leave out or shorten examples in {desired.dataset.written}.",
            )
        # The id is ours and holds the fingerprint: a second POST is a 409, not a second job.
        lost: UnavailableError | None = None
        try:
            await self._http.send(
                "POST",
                "v1beta/tunedModels",
                params={"tunedModelId": desired.model_id},
                content=body,
                read_s=CREATE_READ_S,
                repeatable=True,
            )
        except AlreadyExistsError:
            pass
        except UnavailableError as error:
            if not error.sent:
                raise
            lost = error
        return await self._created(desired, lost)

    async def _created(self, desired: Desired, lost: UnavailableError | None) -> ObservedModel:
        """Return the model that our create made, or an earlier one of the same fingerprint."""
        try:
            there = await self.get(desired.model_id)
        except UnavailableError as error:
            there, lost = None, lost or error
        if there is None:
            raise OutcomeUnknownError(
                f"The create of {desired.model_id} may or may not have begun"
                f"{f': {lost.message}' if lost else '; the service does not show it.'}",
                cure="Look before anything else:\n    tunedmodels status",
            ) from lost
        if not (self._is_ours(there) and there.fingerprint == desired.fingerprint):
            raise AlreadyExistsError(
                f"{there.resource} exists and does not bear this fingerprint of {self._project}.",
                cure="If it is yours, take it over:\n"
                f"    tunedmodels adopt {desired.name} {desired.model_id}",
            )
        return there

    async def update(self, model_id: str, edit: Edit) -> None:
        """Change mutable fields in one atomic request. Raises NotFoundError."""
        body, mask = convert.patch(edit)
        # The answer may hold only what was patched, so nothing is read from it.
        await self._http.send(
            "PATCH",
            _path(model_id),
            params={"updateMask": mask},
            content=wire.encode(body),
            repeatable=True,
        )

    async def cancel(self, model_id: str) -> None:
        """Stop the job of a running model; no harm if it has ended. Raises NotFoundError."""
        if not (await self._model(model_id)).state.is_running:
            return
        for operation in await self._operations(model_id):
            if operation.done:
                continue
            try:
                await self._cancel(operation)
            except (InvalidArgumentError, NotFoundError):
                if (await self._model(model_id)).state.is_running:
                    raise

    async def _cancel(self, operation: wire.Operation) -> None:
        name = quote(operation.name)
        # Google declares cancelling on v1 only; others may have it beside everything else.
        with suppress(NotFoundError, UnimplementedError):
            await self._http.send("POST", f"v1/{name}:cancel", repeatable=True)
            return
        await self._http.send("POST", f"v1beta/{name}:cancel", repeatable=True)

    async def delete(self, model_id: str) -> None:
        """Delete the model for good; no harm if it is gone already."""
        with suppress(NotFoundError):
            await self._http.send("DELETE", _path(model_id), repeatable=True)

    async def base_models(self) -> list[BaseModel]:
        """Return the models of the service that are no tuned models."""
        found = await self._all("v1beta/models", wire.ModelPage, convert.base_model)
        return [model for model in found if model.name.startswith("models/")]

    async def count_tokens(self, base: str, texts: Iterable[str]) -> int:
        """Return how many tokens a base model sees in all the texts.

        Raises UnimplementedError for the service in this process, where nothing is billed.
        """
        if self.trains_here:
            raise UnimplementedError(
                f"Provider {self.name} trains on this machine and counts no tokens.",
                cure="Leave out --count-tokens: there is nothing to pay for.",
            )
        path = f"v1beta/{quote(base)}:countTokens"
        return await content.count(
            texts, lambda body: self._http.send("POST", path, content=body, repeatable=True)
        )

    async def generate(
        self,
        resource: str,
        text: str,
        config: GenerationConfig | None = None,
        *,
        system: str = "",
    ) -> AsyncGenerator[str, None]:
        """Ask a model and yield its answer piece by piece.

        Raises InvalidArgumentError when a tuned model is asked more than it takes (F16), and
        ProviderError when there is no answer, with the service's reason.
        """
        if resource.startswith("tunedModels/") and len(text) > LONGEST_INPUT:
            raise InvalidArgumentError(
                f"The input has {len(text):,} characters; a tuned model takes {LONGEST_INPUT:,}.",
                cure="Shorten it. A preamble counts as well.",
            )
        question = convert.question(text, system, config)
        lines = self._http.lines(
            "POST",
            f"v1beta/{quote(resource)}:streamGenerateContent",
            params={"alt": "sse"},
            content=wire.encode(question),
        )
        async with aclosing(content.pieces(lines, resource, ENDPOINT_CURE)) as answer:
            async for piece in answer:
                yield piece

    def _is_ours(self, model: ObservedModel) -> bool:
        return model.stamp is not None and model.stamp.project == self._project

    def _observed(self, model: wire.TunedModel) -> ObservedModel:
        return convert.observed(self.name, model)

    async def _model(self, model_id: str) -> ObservedModel:
        body = await self._http.send("GET", _path(model_id), repeatable=True)
        return self._observed(_decode(body, wire.TunedModel))

    async def _told(self, failed: ObservedModel) -> ObservedModel:
        """Add to a failed model what only its operation knows: cancelled or not, and why."""
        operations: list[wire.Operation] = []
        with suppress(NotFoundError, UnimplementedError):
            operations = await self._operations(failed.model_id)
        state, failure = convert.ended(operations)
        return replace(failed, state=state, failure=failure)

    async def _operations(self, model_id: str) -> list[wire.Operation]:
        path = f"{_path(model_id)}/operations"
        return await self._all(path, wire.OperationPage, lambda operation: operation)

    async def _all(self, path: str, shape: type[Page[E]], read: Callable[[E], T]) -> list[T]:
        async def ask(token: str) -> Page[E]:
            params = {"pageSize": PAGE_SIZE, **({"pageToken": token} if token else {})}
            return _decode(
                await self._http.send("GET", path, params=params, repeatable=True), shape
            )

        return await read_all(ask, read)


def in_process(
    name: str, *, project: str, app: AsgiApp, on_retry: OnRetry | None = None
) -> GeminiProvider:
    """Return a provider for an ASGI application in this process: no port, no key, no network."""
    return GeminiProvider(
        name,
        project=project,
        endpoint=IN_PROCESS,
        transport=http.in_process(app),
        on_retry=on_retry,
        trains_here=True,
    )


def _path(model_id: str) -> str:
    return f"v1beta/tunedModels/{quote(model_id, safe='')}"


def _is_failed(model: ObservedModel) -> bool:
    return model.state is ModelState.FAILED


def _decode(body: bytes, shape: type[T]) -> T:
    try:
        return wire.decode(body, shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProviderError(
            f"The answer is not one of the Gemini API: {error}.",
            cure=ENDPOINT_CURE,
        ) from error
