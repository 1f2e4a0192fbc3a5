"""The provider of the Gemini API, v1beta `tunedModels`: hosted, on loopback or in this process.

The caller chooses the id of a version, and it contains the fingerprint. So every call here is
idempotent: a second create is a 409, never a second job that costs money.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Self
from urllib.parse import quote

from tunedmodels.aio import gather
from tunedmodels.datasets.examples import Example
from tunedmodels.desired import Desired
from tunedmodels.errors import (
    AlreadyExistsError,
    InvalidArgumentError,
    NotFoundError,
    OutcomeUnknownError,
    UnavailableError,
    UnimplementedError,
)
from tunedmodels.observed import LossPoint, ModelState, ObservedModel
from tunedmodels.providers import errors, http
from tunedmodels.providers.gemini import content, convert
from tunedmodels.providers.gemini.messages import (
    SHORT_CURVES,
    cancel_operation,
    decode_model,
    if_match,
    is_operation_of,
    list_all,
    list_operations,
    model_path,
)
from tunedmodels.providers.http import AsgiApp, Http, HttpResponse, Transport
from tunedmodels.providers.identity import GEMINI_ENDPOINT, Credentials, Identity
from tunedmodels.providers.provider import AvailableBaseModel, Edit, NoLock
from tunedmodels.providers.response import (
    confirm,
    is_empty_message,
)
from tunedmodels.providers.retry import OnRetry
from tunedmodels.schema.tuned_model import GenerationConfig
from tunedmodels.stamp import Stamp
from tunedmodels.wire import gemini as wire

MAX_BODY_BYTES = 4 * 1024 * 1024  # bytes; F9: at most 4 MB of training data
MAX_INPUT_CHARS = 40_000  # characters that a tuned model accepts; F16
CREATE_TIMEOUT_S = 120.0  # a create contains the whole dataset, and the service reads it first
ENDPOINT_CURE = errors.GOOGLE.endpoint_cure
IN_PROCESS_ENDPOINT = "http://localhost"  # only the host in messages: no port, no socket


class GeminiProvider(NoLock):
    """A provider that uses the Gemini API at `endpoint`.

    `owners` are the users whose models count as well as those of the caller. None counts every
    model that the caller can read: a service in this process has one user.

    `name` is the name in manifests, `project` the owner in the stamps of our models.
    """

    has_conditional_delete = True

    def __init__(
        self,
        name: str,
        *,
        project: str,
        endpoint: str = GEMINI_ENDPOINT,
        credentials: Identity | None = None,
        transport: Transport | None = None,
        on_retry: OnRetry | None = None,
        is_in_process: bool = False,
        owners: Sequence[str] | None = None,
    ) -> None:
        self.name = name
        self._owners = owners
        self._trusted: frozenset[str] | None = None  # resources, since the last list of owners
        self.owner_warning = ""
        self.is_in_process = is_in_process
        self._project = project
        self._http = Http(
            endpoint, credentials or Credentials(), transport=transport, on_retry=on_retry
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._http.aclose()

    async def observe(self) -> list[ObservedModel]:
        """Return all tuned models, sorted by id.

        The outcome of failed jobs is requested only for models of this project, since no decision
        depends on that of others.
        """
        listed = await list_all(
            self._http, "v1beta/tunedModels", wire.TunedModelPage, self._observed
        )
        models = {model.resource: model for model in listed}
        if any(self._is_ours(model) for model in listed):
            await self._list_owned()
            models = {resource: self._checked(model) for resource, model in models.items()}
        failed = [model for model in models.values() if _is_failed(model) and self._is_ours(model)]
        for model in await gather(map(self._with_outcome, failed)):
            models[model.resource] = model
        return sorted(models.values(), key=lambda model: model.model_id)

    async def get(self, model_id: str) -> ObservedModel | None:
        """Return one model with all fields, or None when it does not exist; see Provider.get."""
        try:
            model = await self._model(model_id)
        except NotFoundError:
            return None
        if self._is_ours(model):
            if self._trusted is None or model.resource not in self._trusted:
                await self._list_owned()
            model = self._checked(model)
        return await self._with_outcome(model) if _is_failed(model) else model

    async def curve(self, model: ObservedModel) -> tuple[LossPoint, ...]:
        """Return the whole loss curve of a model; see Provider.curve."""
        if not model.has_partial_curve:
            return model.curve
        try:
            path = model_path(model.model_id)
            response = await self._http.request("GET", path, is_idempotent=True)
        except NotFoundError:
            return model.curve
        return self._observed(decode_model(response, model.model_id)).curve

    async def _list_owned(self) -> None:
        """List the models of the caller and the owners, unless the service knows no such filter."""
        if self._owners is None:
            return
        resources: set[str] = set()
        for owner in ("me", *self._owners):
            try:
                listed = await list_all(
                    self._http,
                    "v1beta/tunedModels",
                    wire.TunedModelPage,
                    lambda model: model.name,
                    filter=f"owner:{owner}",
                )
            except InvalidArgumentError:
                self.owner_warning = (
                    f"{self.name}: owners not checked, because the service has no filter"
                    f" owner:{owner}"
                )
                if owner == "me":
                    return
            else:
                resources.update(listed)
        self._trusted = frozenset(resources)

    def _checked(self, model: ObservedModel) -> ObservedModel:
        """Return a model with our stamp marked if its owner is not trusted."""
        if self._trusted is None or model.resource in self._trusted or not self._is_ours(model):
            return model
        return replace(model, has_trusted_owner=False)

    async def create(
        self,
        desired: Desired,
        examples: Sequence[Example],
        stamp: Stamp,
        *,
        validation: Sequence[Example] = (),
    ) -> ObservedModel:
        """Start training `desired.model_id`; see Provider.create.

        Raises InvalidArgumentError, before anything is sent, when the data exceeds the limit.
        """
        if validation:
            raise ValueError("the Gemini API accepts no validation examples")
        body = wire.encode(convert.create_body(desired, examples, stamp))
        if len(body) > MAX_BODY_BYTES:
            raise InvalidArgumentError(
                f"{desired.name}: the request with {len(examples)} examples has "
                f"{len(body) / 2**20:.1f} MiB; the API accepts at most 4 MiB.",
                cure=f"Remove or shorten examples in {desired.inputs.dataset.declared_path}.",
            )
        # The id contains the fingerprint: a second POST is a 409, not a second job.
        lost_response: UnavailableError | None = None
        try:
            response = await self._http.request_body(
                "POST",
                "v1beta/tunedModels",
                params={"tunedModelId": desired.model_id},
                content=body,
                read_timeout_s=CREATE_TIMEOUT_S,
                is_idempotent=True,
            )
            if is_operation_of(desired.model_id, response):
                return convert.created_model(self.name, desired, stamp)
        except AlreadyExistsError:
            pass
        except UnavailableError as error:
            if not error.was_sent:
                raise
            lost_response = error
        return await self._created_model(desired, stamp, lost_response)

    async def _created_model(
        self, desired: Desired, stamp: Stamp, lost_response: UnavailableError | None
    ) -> ObservedModel:
        """Return the model of this create, or of an earlier create with the same fingerprint."""
        try:
            existing = await self.get(desired.model_id)
        except UnavailableError as error:
            existing, lost_response = None, lost_response or error
        if existing is None:
            reason = f": {lost_response.message}" if lost_response else "; it is not listed."
            raise OutcomeUnknownError(
                f"The create of {desired.model_id} may or may not have started{reason}",
                cure=errors.GOOGLE.outcome_unknown_cure,
            ) from lost_response
        if not existing.has_trusted_owner:
            raise AlreadyExistsError(
                f"{existing.resource} exists and belongs to another user.",
                cure="Ask its owner to delete it, or to transfer it to you; then run:\n"
                f"    tunedmodels adopt {desired.name} {desired.model_id}",
            )
        if existing.stamp is None or existing.stamp.identity != stamp.identity:
            raise AlreadyExistsError(
                f"{existing.resource} exists without this fingerprint of {self._project}.",
                cure="If it is yours, adopt it:\n"
                f"    tunedmodels adopt {desired.name} {desired.model_id}",
            )
        return existing

    async def update(self, model_id: str, edit: Edit, *, etag: str = "") -> None:
        """Change mutable fields in one atomic request. Raises NotFoundError and ChangedError."""
        body, mask = convert.patch_body(edit)
        # The response may contain only the patched fields: the model is read back instead.
        await self._http.request_body(
            "PATCH",
            model_path(model_id),
            params={"updateMask": mask},
            content=wire.encode(body),
            is_idempotent=True,
            headers=if_match(etag),
        )

        async def has_edit() -> bool:
            return convert.has_edit(await self._message(model_id), edit)

        await self._confirm(has_edit, f"The update of {model_id}")

    async def cancel(self, model_id: str) -> None:
        """Stop the job of a running model, if it has not ended. Raises NotFoundError."""
        if not (await self._model(model_id)).state.is_running:
            return
        for operation in await list_operations(self._http, model_id):
            if operation.done:
                continue
            try:
                response = await cancel_operation(self._http, operation)
            except (InvalidArgumentError, NotFoundError):
                if (await self._model(model_id)).state.is_running:
                    raise
                continue
            if not is_empty_message(response):

                async def has_stopped() -> bool:
                    return not (await self._model(model_id)).state.is_running

                await self._confirm(has_stopped, f"The cancellation of {model_id}")

    async def delete(self, model_id: str, *, etag: str = "") -> None:
        """Delete the model permanently; do nothing if it does not exist. Raises ChangedError."""
        try:
            await self._http.request_body(
                "DELETE", model_path(model_id), is_idempotent=True, headers=if_match(etag)
            )
        except NotFoundError:
            return

        async def is_deleted() -> bool:
            return await self.get(model_id) is None

        await self._confirm(is_deleted, f"The deletion of {model_id}")

    async def base_models(self) -> list[AvailableBaseModel]:
        """Return the models of the service that are not tuned models."""
        models = await list_all(
            self._http, "v1beta/models", wire.ModelPage, convert.available_base_model
        )
        return [model for model in models if model.name.startswith("models/")]

    async def count_tokens(self, base: str, texts: Iterable[str]) -> int:
        """Return the total number of tokens of the texts for a base model.

        Raises UnimplementedError for the service in this process, which bills nothing.
        """
        if self.is_in_process:
            raise UnimplementedError(
                f"Provider {self.name} trains on this machine and cannot count tokens.",
                cure="Leave out --count-tokens: training on this machine is free.",
            )
        path = f"v1beta/{quote(base)}:countTokens"
        return await content.count_tokens(
            texts,
            lambda body: self._http.request_body("POST", path, content=body, is_idempotent=True),
        )

    async def generate(
        self,
        resource: str,
        text: str,
        config: GenerationConfig | None = None,
        *,
        system: str = "",
    ) -> AsyncGenerator[str, None]:
        """Send a prompt to a model and yield the parts of its answer.

        Raises InvalidArgumentError when the input of a tuned model is too long (F16), and
        ProviderError, with the service's reason, when there is no answer.
        """
        if resource.startswith("tunedModels/") and len(text) > MAX_INPUT_CHARS:
            raise InvalidArgumentError(
                f"The input has {len(text):,} characters; a tuned model accepts at most "
                f"{MAX_INPUT_CHARS:,}.",
                cure="Shorten the input. A preamble counts as well.",
            )
        request = convert.generate_request(text, system, config)
        lines = self._http.stream_lines(
            "POST",
            f"v1beta/{quote(resource)}:streamGenerateContent",
            params={"alt": "sse"},
            content=wire.encode(request),
        )
        async with aclosing(content.stream_answer(lines, resource, ENDPOINT_CURE)) as answer:
            async for part in answer:
                yield part

    def _is_ours(self, model: ObservedModel) -> bool:
        return model.stamp is not None and model.stamp.project == self._project

    def _observed(self, model: wire.TunedModel) -> ObservedModel:
        return convert.observed_model(self.name, model)

    async def _model(self, model_id: str) -> ObservedModel:
        response = await self._request_model(model_id)
        model = self._observed(decode_model(response, model_id))
        etag = response.headers.get("etag", "")
        return replace(model, etag=etag) if etag else model

    async def _message(self, model_id: str) -> wire.TunedModel:
        return decode_model(await self._request_model(model_id), model_id)

    async def _request_model(self, model_id: str) -> HttpResponse:
        return await self._http.request(
            "GET", model_path(model_id), is_idempotent=True, headers=SHORT_CURVES
        )

    async def _confirm(self, has_effect: Callable[[], Awaitable[bool]], call: str) -> None:
        await confirm(has_effect, call, errors.GOOGLE, is_local=self._http.is_local)

    async def _with_outcome(self, failed: ObservedModel) -> ObservedModel:
        """Return a failed model with the outcome of its operation: cancelled or failed, and why."""
        operations: list[wire.Operation] = []
        with suppress(NotFoundError, UnimplementedError):
            operations = await list_operations(self._http, failed.model_id)
        state, failure = convert.job_outcome(operations)
        return replace(failed, state=state, failure=failure)


def embedded_provider(
    name: str, *, project: str, app: AsgiApp, on_retry: OnRetry | None = None
) -> GeminiProvider:
    """Return a provider for an ASGI application in this process, without port, key and network."""
    return GeminiProvider(
        name,
        project=project,
        endpoint=IN_PROCESS_ENDPOINT,
        transport=http.asgi_transport(app),
        on_retry=on_retry,
        is_in_process=True,
    )


def _is_failed(model: ObservedModel) -> bool:
    return model.state is ModelState.FAILED
