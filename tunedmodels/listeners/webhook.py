"""A webhook that hears how an apply ended, in the form of Slack's incoming webhooks.

Mattermost, Rocket.Chat, Zulip's Slack bridge and Google Chat take the same body: `{"text": ...}`.
Whoever knows the address can write there, so it is a secret like a key.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from tunedmodels.errors import Exit, InvalidArgumentError, ProviderError
from tunedmodels.events import (
    Ending,
    Event,
    Failed,
    Refused,
    Rejected,
    Skipped,
    StillRunning,
    Succeeded,
)
from tunedmodels.listeners.listener import About, Complain
from tunedmodels.providers.http import Http, Transport
from tunedmodels.providers.identity import is_loopback, place

_NAMED: Final = 10
_ENDINGS: Final[dict[type[Ending], str]] = {
    Succeeded: "done",
    Failed: "failed",
    Refused: "refused",
    Rejected: "kept from serving by its gate",
    StillRunning: "still running",
    Skipped: "skipped",
}
_RESULTS: Final = {
    Exit.DONE: "finished",
    Exit.RUNNING: "ended, jobs still run",
    Exit.REFUSED: "was refused",
    Exit.GATE: "ended, a gate refused a version",
    Exit.INTERRUPTED: "was interrupted",
}


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a webhook: no part of it but the host ever shows."""

    url: str = field(repr=False)

    def headers(self) -> dict[str, str]:
        """Return nothing: the address is all that it takes."""
        return {}

    async def renew(self, refused: Mapping[str, str] | None = None) -> bool:  # noqa: ARG002  # as agreed
        """Do nothing: what a person set stays as it is."""
        return False

    def scrub(self, words: str) -> str:
        """Return the words without the path, which is the secret, in any form of it."""
        parts = urlsplit(self.url)
        secrets = {part for part in (parts.path.strip("/"), parts.query) if part}
        for secret in sorted(secrets, key=len, reverse=True):
            for form in (secret, unquote(secret), quote(secret, safe="/")):
                words = words.replace(form, "[secret]")
        return words

    def problem(self, endpoint: str) -> ProviderError | None:
        """Say why nothing may be sent there, or None when all is well."""
        if is_loopback(endpoint) or urlsplit(endpoint).scheme == "https":
            return None
        return InvalidArgumentError(
            f"The address of the webhook would travel to {place(endpoint)} in the clear.",
            cure="Use an https:// address.",
        )


class Webhook:
    """Tells an address how it ended, once, when there was something to do."""

    def __init__(
        self, url: str, about: About, *, complain: Complain, transport: Transport | None = None
    ) -> None:
        self._address = Address(url)
        self._about = about
        self._complain = complain
        self._transport = transport
        self._endings: list[Ending] = []

    def __call__(self, event: Event) -> None:
        """Remember how a change ended."""
        if isinstance(event, Ending):
            self._endings.append(event)

    async def finish(self, code: int) -> None:
        """Send the message; that it could not be sent is said, and changes no exit code."""
        body = json.dumps({"text": message(self._about, self._endings, code)})
        parts = urlsplit(self._address.url)
        path = parts.path.lstrip("/") + (f"?{parts.query}" if parts.query else "")
        http = Http(f"{parts.scheme}://{parts.netloc}", self._address, transport=self._transport)
        try:
            # Not repeated where it may have arrived: nobody wants to be told twice.
            await http.send("POST", path, repeatable=False, content=body.encode())
        except ProviderError as error:
            words = self._address.scrub(error.message)
            self._complain(f"The webhook at {place(self._address.url)} was not told: {words}")
        finally:
            await http.aclose()


def message(about: About, endings: list[Ending], code: int) -> str:
    """Return what people read: names, actions and counts; nobody's words but ours."""
    place_name = " · ".join(filter(None, ("tunedmodels", about.project, about.environment)))
    counted = Counter(_ENDINGS[type(event)] for event in endings)
    counts = ", ".join(f"{counted[word]} {word}" for word in _ENDINGS.values() if counted[word])
    result = _RESULTS.get(Exit(code), "failed")
    lines = [f"*{place_name}*: {about.verb} {result}{f' ({counts})' if counts else ''}."]
    lines += [_line(event) for event in endings[:_NAMED]]
    lines += [f"and {len(endings) - _NAMED} more"] if endings[_NAMED:] else []
    lines += [about.link] if about.link else []
    return _escaped("\n".join(lines))


def _line(event: Ending) -> str:
    action = "" if isinstance(event, StillRunning) else f"{event.action} "
    return f"• `{event.name}` {action}{_ENDINGS[type(event)]}: `{event.model_id}`"


def _escaped(text: str) -> str:
    """Escape the three signs that Slack gives a meaning (api.slack.com, "Formatting text")."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
