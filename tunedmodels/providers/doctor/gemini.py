"""A checkup of the Gemini API, or of anything that speaks it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tunedmodels.providers.auth.google import gemini_identity
from tunedmodels.providers.doctor.findings import Notes
from tunedmodels.providers.doctor.probe import BUDGET_S, Asker, Facts, look_at_credentials
from tunedmodels.providers.http import Http
from tunedmodels.providers.identity import OAUTH_CURE, SCOPES, place

_PAGE = "pageSize=1000"


async def look(endpoint: str, environ: Mapping[str, str], bases: Sequence[str]) -> Notes:
    """Ask what the credential may list, and whether each of `bases` can be tuned there."""
    notes = Notes()
    identity = gemini_identity(environ, endpoint)
    if not await look_at_credentials(
        identity, environ, notes, endpoint=endpoint, needed=SCOPES, cure=OAUTH_CURE
    ):
        return notes
    http = Http(endpoint, identity, budget_s=BUDGET_S)
    try:
        asker = Asker(http, notes)
        listed = await asker.ask(
            "models",
            f"v1beta/models?{_PAGE}",
            well=lambda facts: f"{place(endpoint)} lists {_counted(facts, 'models', 'model')}",
        )
        if asker.is_reachable:
            await asker.ask(
                "tuned-models",
                f"v1beta/tunedModels?{_PAGE}",
                well=lambda facts: f"lists {_counted(facts, 'tunedModels', 'tuned model')}",
            )
        if listed is not None:
            _look_at_bases(listed, bases, notes)
    finally:
        await http.aclose()
    return notes


def _counted(facts: Facts, field: str, noun: str) -> str:
    count = len(facts.get(field) or ())
    more = "at least " if facts.get("nextPageToken") else ""
    return f"{more}{count} {noun}{'' if count == 1 else 's'}"


def _look_at_bases(listed: Facts, bases: Sequence[str], notes: Notes) -> None:
    tunable = {
        model.get("name")
        for model in listed.get("models") or ()
        if "createTunedModel" in (model.get("supportedGenerationMethods") or ())
    }
    for base in bases:
        if base in tunable:
            notes.well("base-model", f"{base} can be tuned here")
        elif listed.get("nextPageToken"):
            notes.unknown("base-model", f"{base} is not on the first page of models.")
        else:
            others = ", ".join(sorted(map(str, tunable))) or "none"
            notes.failed(
                "base-model",
                f"{base} cannot be tuned here; what can: {others}.",
                "Name one of these in `baseModel`, or another provider, such as `embedded`."
                if tunable
                else "Set `provider: embedded`, or a provider of type vertex.",
            )
