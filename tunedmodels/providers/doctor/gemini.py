"""The checks of the Gemini API, or of another service with this API."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from tunedmodels.errors import ProviderError
from tunedmodels.providers.auth.google import gemini_identity
from tunedmodels.providers.doctor.findings import Findings
from tunedmodels.providers.doctor.probe import (
    RETRY_BUDGET_S,
    JsonObject,
    Probe,
    check_credentials,
)
from tunedmodels.providers.http import Http
from tunedmodels.providers.identity import GEMINI_SCOPES, OAUTH_CURE, host_and_port
from tunedmodels.text import plural

_PAGE = "pageSize=1000"


async def check_gemini(
    endpoint: str, environ: Mapping[str, str], base_models: Sequence[str]
) -> Findings:
    """Check what the credential may list, and whether each base model can be tuned."""
    findings = Findings()
    identity = gemini_identity(environ, endpoint)
    if not await check_credentials(
        identity,
        environ,
        findings,
        endpoint=endpoint,
        required_scopes=GEMINI_SCOPES,
        cure=OAUTH_CURE,
    ):
        return findings
    http = Http(endpoint, identity, budget_s=RETRY_BUDGET_S)
    host = host_and_port(endpoint)
    try:
        probe = Probe(http, findings)
        models = await probe.check(
            "models",
            f"v1beta/models?{_PAGE}",
            describe=lambda document: f"{host} lists {_count(document, 'models', 'model')}",
        )
        if probe.is_reachable:
            await probe.check(
                "tuned-models",
                f"v1beta/tunedModels?{_PAGE}",
                describe=lambda document: f"lists {_count(document, 'tunedModels', 'tuned model')}",
            )
            if owner := await _find_owner(http):
                line = f"owners: [{owner}]"
                findings.ok("owner", f"models of this key belong to {owner}; for others: {line}")
        if models is not None:
            _check_base_models(models, base_models, findings)
    finally:
        await http.aclose()
    return findings


async def _find_owner(http: Http) -> str:
    """Return the address of the owner of the caller's models; empty if it cannot be found."""
    try:
        body = await http.request_body(
            "GET",
            "v1beta/tunedModels",
            params={"pageSize": "1", "filter": "owner:me"},
            is_idempotent=True,
        )
        models = json.loads(body).get("tunedModels") or ()
        if not models:
            return ""
        path = f"v1beta/{models[0]['name']}/permissions"
        permissions = json.loads(await http.request_body("GET", path, is_idempotent=True))
        owners = [each for each in permissions["permissions"] if each.get("role") == "OWNER"]
        return str(owners[0].get("emailAddress") or "") if owners else ""
    except (ProviderError, ValueError, KeyError, TypeError, AttributeError):
        return ""  # another service, or one without permissions: not a failure of this check


def _count(document: JsonObject, field: str, noun: str) -> str:
    count = len(document.get(field) or ())
    bound = "at least " if document.get("nextPageToken") else ""
    return f"{bound}{count} {plural(count, noun)}"


def _check_base_models(
    document: JsonObject, base_models: Sequence[str], findings: Findings
) -> None:
    tunable = {
        model.get("name")
        for model in document.get("models") or ()
        if "createTunedModel" in (model.get("supportedGenerationMethods") or ())
    }
    for base_model in base_models:
        if base_model in tunable:
            findings.ok("base-model", f"{base_model} can be tuned here")
        elif document.get("nextPageToken"):
            findings.unknown("base-model", f"{base_model} is not on the first page of models.")
        else:
            others = ", ".join(sorted(map(str, tunable))) or "none"
            findings.failed(
                "base-model",
                f"{base_model} cannot be tuned here. Models that can be tuned: {others}.",
                "Set `baseModel` to one of these, or use another provider, such as `embedded`."
                if tunable
                else "Set `provider: embedded`, or use a provider of type vertex.",
            )
