"""The methods of `aiplatform.googleapis.com` that tuning needs, by their discovery names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.vertex.errors import ServiceError
from tests.support.vertex.identity import PROJECT_NUMBER
from tests.support.vertex.job_document import job_document
from tests.support.vertex.jobs import BASE_MODELS, NO_SAMPLING, Job
from tests.support.vertex.names import parse_filter
from tests.support.vertex.registry import Operation
from tests.support.vertex.tuning_data import content_text, prompt_key
from tests.support.vertex.wire import Call

_FIELDS = ("model", "display_name", "base_model_name")


def _job(call: Call, job: Job) -> dict[str, Any]:
    cloud = call.cloud
    return job_document(job, cloud.jobs.durations, cloud.now(), call.request.version)


def _get_job(call: Call) -> Job:
    return call.cloud.jobs.get(call.path["location"], call.path["tuningJob"])


def _create(call: Call) -> dict[str, Any]:
    return _job(call, call.cloud.jobs.create(call.path["location"], call.body or {}))


def _list_jobs(call: Call) -> dict[str, Any]:
    limit = call.cloud.page_limit
    jobs, token = call.cloud.jobs.page(call.path["location"], call.query, limit)
    page: dict[str, Any] = {"tuningJobs": [_job(call, job) for job in jobs]} if jobs else {}
    return page | ({"nextPageToken": token} if token else {})


def _cancel(call: Call) -> dict[str, Any]:
    call.cloud.jobs.cancel(_get_job(call))
    return {}


def _list_page(call: Call, kind: str, documents: list[dict[str, Any]]) -> dict[str, Any]:
    matches = parse_filter(call.query.get("filter", ""), _FIELDS)
    listed = [document for document in reversed(documents) if matches(document)]
    start, limit = int(call.query.get("pageToken") or 0), call.cloud.page_limit
    end = start + min(int(call.query.get("pageSize") or limit), limit)
    page: dict[str, Any] = {kind: listed[start:end]} if listed[start:end] else {}
    return page | ({"nextPageToken": str(end)} if len(listed) > end else {})


def _list_models(call: Call) -> dict[str, Any]:
    registry, location = call.cloud.registry, call.path["location"]
    models = [model for model in registry.models.values() if model.location == location]
    return _list_page(call, "models", [registry.model_document(model) for model in models])


def _get_model(call: Call) -> dict[str, Any]:
    registry = call.cloud.registry
    return registry.model_document(registry.model(call.resource), call.resource.partition("@")[2])


def _patch_model(call: Call) -> dict[str, Any]:
    registry = call.cloud.registry
    document = registry.model(call.resource).version(call.resource.partition("@")[2])
    mask = call.query.get("updateMask")
    if mask is None and "google-genai-sdk" not in call.request.headers.get("user-agent", ""):
        call.cloud.violations.append("models.patch: no updateMask, which is required")
    for key in mask.split(",") if mask else call.body:
        if key not in ("displayName", "description", "labels", "versionDescription"):
            raise ServiceError(400, f"The field {key!r} cannot be updated.")
        document[key] = call.body.get(key, {} if key == "labels" else "")
    return _get_model(call)


def _versions(call: Call) -> dict[str, Any]:
    registry = call.cloud.registry
    model = registry.model(call.resource)
    return _list_page(
        call, "models", [registry.model_document(model, version) for version in model.versions]
    )


def _merge_aliases(call: Call) -> dict[str, Any]:
    registry = call.cloud.registry
    model = registry.model(call.resource)
    selected = model.version(call.resource.partition("@")[2])
    for alias in call.body["versionAliases"]:
        name = alias.lstrip("-")
        if alias == "-default":
            raise ServiceError(400, "The alias 'default' cannot be removed.")
        targets = [selected] if alias.startswith("-") else list(model.versions.values())
        for version in targets:
            version["versionAliases"] = [
                other for other in version["versionAliases"] if other != name
            ]
        if not alias.startswith("-"):
            selected["versionAliases"].append(name)
    return registry.model_document(model, selected["versionId"])


def _operation_document(call: Call, operation: Operation) -> dict[str, Any]:
    return call.cloud.registry.operation(operation.name, call.request.version)


def _delete_model(call: Call) -> dict[str, Any]:
    registry = call.cloud.registry
    return _operation_document(call, registry.delete_model(registry.model(call.resource)))


def _delete_version(call: Call) -> dict[str, Any]:
    registry = call.cloud.registry
    version = call.resource.partition("@")[2]
    return _operation_document(
        call, registry.delete_version(registry.model(call.resource), version)
    )


def _get_endpoint(call: Call) -> dict[str, Any]:
    return call.cloud.registry.endpoint(call.resource).document


def _list_endpoints(call: Call) -> dict[str, Any]:
    endpoints = call.cloud.registry.endpoints.values()
    documents = [
        endpoint.document for endpoint in endpoints if endpoint.location == call.path["location"]
    ]
    return _list_page(call, "endpoints", documents)


def _undeploy(call: Call) -> dict[str, Any]:
    registry = call.cloud.registry
    return _operation_document(call, registry.undeploy(registry.endpoint(call.resource), call.body))


def _delete_endpoint(call: Call) -> dict[str, Any]:
    registry = call.cloud.registry
    return _operation_document(call, registry.delete_endpoint(registry.endpoint(call.resource)))


def _get_operation(call: Call) -> dict[str, Any]:
    return call.cloud.registry.operation(_with_project_number(call.resource), call.request.version)


def _with_project_number(resource: str) -> str:
    """The name of a resource with the project number, as in the names of operations."""
    _, _, rest = resource.removeprefix("projects/").partition("/")
    return f"projects/{PROJECT_NUMBER}/{rest}"


def _generate(call: Call) -> dict[str, Any]:
    contents = call.body.get("contents", [])
    if not contents:
        raise ServiceError(400, "At least one contents field is required.")
    question = prompt_key(content_text(contents[-1]), call.body.get("systemInstruction"))
    answer, version = _answer(call, question)
    prompt_tokens, answer_tokens = _tokens(contents), _tokens([{"parts": [{"text": answer}]}])
    candidate = {
        "content": {"role": "model", "parts": [{"text": answer}]},
        "finishReason": "STOP",
    }
    return {
        "candidates": [candidate],
        "modelVersion": version,
        "usageMetadata": {
            "promptTokenCount": prompt_tokens,
            "candidatesTokenCount": answer_tokens,
            "totalTokenCount": prompt_tokens + answer_tokens,
        },
    }


def _answer(call: Call, question: str) -> tuple[str, str]:
    """The answer that the model at the endpoint learned, or that of a base model."""
    if "publisher" in call.path:
        base = _served_base_model(call)
        _check_config(call, base)
        return f"{base} says nothing.", base
    registry = call.cloud.registry
    deployed = registry.endpoint(call.resource).document.get("deployedModels")
    if not deployed:
        raise ServiceError(400, "The endpoint has no deployed model.", status="FAILED_PRECONDITION")
    model = registry.model(deployed[0]["model"])
    source = model.version(deployed[0]["modelVersionId"])["baseModelSource"]["genieSource"]
    _check_config(call, source["baseModelUri"].rpartition("/")[2])
    learned = model.learned[deployed[0]["modelVersionId"]]
    return learned.get(question, "I never learned that."), deployed[0]["model"]


def _served_base_model(call: Call) -> str:
    """The base model of the path; a 404 where it is not served."""
    base = str(call.path["model"])
    rules = BASE_MODELS.get(base)
    is_multi_region = call.path["location"] in ("us", "eu")
    if rules is None or rules.is_open or rules.is_multi_region is not is_multi_region:
        raise ServiceError(404, f"Publisher Model `{call.resource}` was not found.")
    return base


def _check_config(call: Call, base: str) -> None:
    """Record what the documentation advises against in a request to a model."""
    config = call.body.get("generationConfig", {})
    rules = BASE_MODELS.get(base)
    is_ours = call.request.headers.get("user-agent", "").startswith("tunedmodels/")
    if rules is None or not rules.is_multi_region or not is_ours:
        return
    if {"temperature", "topP", "topK"} & config.keys() and base in NO_SAMPLING:
        call.cloud.violations.append(f"{call.method.name}: {base} deprecates sampling settings")
    if config.get("thinkingConfig") != {"thinkingLevel": "MINIMAL"}:
        call.cloud.violations.append(f"{call.method.name}: {base} is asked to think")


def _count_tokens(call: Call) -> dict[str, Any]:
    if "publisher" in call.path:
        _served_base_model(call)
    total = _tokens(call.body.get("contents", []))
    return {"totalTokens": total} if total else {}


def _tokens(contents: list[dict[str, Any]]) -> int:
    return sum(-(-len(content_text(content)) // 4) for content in contents)


METHODS: dict[str, Callable[[Call], dict[str, Any]]] = {
    "tuningJobs.create": _create,
    "tuningJobs.get": lambda call: _job(call, _get_job(call)),
    "tuningJobs.list": _list_jobs,
    "tuningJobs.cancel": _cancel,
    "models.list": _list_models,
    "models.get": _get_model,
    "models.patch": _patch_model,
    "models.delete": _delete_model,
    "models.deleteVersion": _delete_version,
    "models.listVersions": _versions,
    "models.mergeVersionAliases": _merge_aliases,
    "models.generateContent": _generate,
    "models.countTokens": _count_tokens,
    "endpoints.get": _get_endpoint,
    "endpoints.list": _list_endpoints,
    "endpoints.undeployModel": _undeploy,
    "endpoints.delete": _delete_endpoint,
    "endpoints.generateContent": _generate,
    "endpoints.streamGenerateContent": _generate,
    "models.streamGenerateContent": _generate,
    "endpoints.countTokens": _count_tokens,
    "operations.get": _get_operation,
}
