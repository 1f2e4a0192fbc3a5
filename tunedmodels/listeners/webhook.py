"""Post the result of a run to a webhook in the format of Slack's incoming webhooks.

Mattermost, Rocket.Chat, Zulip's Slack bridge and Google Chat accept the same body: `{"text": ...}`.
The address is a secret like a key, because it is all that is needed to post there.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from tunedmodels.address import Address
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
from tunedmodels.listeners.listener import OnWarning, RunInfo
from tunedmodels.providers.http import Http, Transport
from tunedmodels.scrubber import Scrubber

_MAX_LINES: Final = 10
_ENDINGS: Final[dict[type[Ending], str]] = {
    Succeeded: "done",
    Failed: "failed",
    Refused: "refused",
    Rejected: "not promoted because of its gate",
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
class WebhookAddress:
    """The address of a webhook, which is a secret as a whole: only its host appears in messages."""

    address: Address

    @classmethod
    def parse(cls, text: str) -> WebhookAddress:
        """Return the address. Raises InvalidArgumentError, without the text, if it is not valid."""
        try:
            return cls(Address.parse(text))
        except ValueError as error:
            raise InvalidArgumentError(
                f"TUNEDMODELS_WEBHOOK is not the address of a webhook: {error}. Its value is "
                "secret and is not shown.",
                cure="Set it to the whole https:// address, or unset it.",
            ) from None

    @property
    def origin(self) -> str:
        """The address without the path and the query; with the user name, which is sent."""
        userinfo = f"{self.address.userinfo}@" if self.address.userinfo else ""
        return f"{self.address.scheme}://{userinfo}{self.address.host_and_port}"

    @property
    def target(self) -> str:
        """The path and the query."""
        query = f"?{self.address.query}" if self.address.query else ""
        return urlsplit(self.address.url).path.lstrip("/") + query

    @property
    def secrets(self) -> frozenset[str]:
        """The path, its last parts and the query, as written and decoded."""
        path = self.address.path.strip("/")
        raw = {path, self.address.query, path.rpartition("/")[2]} - {""}
        raw |= {value for _, value in parse_qsl(self.address.query)}
        return frozenset(raw | {unquote(part) for part in raw}) | self.address.secrets

    def headers(self) -> dict[str, str]:
        """Return no headers: the address is the only credential."""
        return {}

    async def refresh(self, rejected: Mapping[str, str] | None = None) -> bool:  # noqa: ARG002  # required by the contract
        """Return False: the user sets the address, so it cannot be refreshed."""
        return False

    def scrub(self, text: str) -> str:
        """Return the text without the path and the query, in any encoding."""
        return Scrubber(self.secrets).scrub(text)

    def problem(self, endpoint: str) -> ProviderError | None:  # noqa: ARG002  # required by the contract
        """Return the reason why no request may be sent, or None."""
        if self.address.is_private:
            return None
        return InvalidArgumentError(
            f"The address of the webhook would be sent to {self.address.host_and_port} "
            "unencrypted.",
            cure="Use an https:// address.",
        )


class Webhook:
    """Posts one message at the end of a run. Raises InvalidArgumentError for an invalid `url`."""

    def __init__(
        self, url: str, run: RunInfo, *, on_warning: OnWarning, transport: Transport | None = None
    ) -> None:
        self._address = WebhookAddress.parse(url)
        self._run = run
        self._on_warning = on_warning
        self._transport = transport
        self._endings: list[Ending] = []

    def __call__(self, event: Event) -> None:
        """Record the final event of a change."""
        if isinstance(event, Ending):
            self._endings.append(event)

    async def finish(self, code: int) -> None:
        """Post the message; a failure is a warning and does not change the exit code."""
        body = json.dumps({"text": webhook_message(self._run, self._endings, code)})
        host = self._address.address.host_and_port
        try:
            async with aclosing(
                Http(self._address.origin, self._address, transport=self._transport)
            ) as http:
                # Not repeated when it may have arrived, so that it is not posted twice.
                await http.request_body(
                    "POST", self._address.target, is_idempotent=False, content=body.encode()
                )
        except ProviderError as error:
            reason = self._address.scrub(error.message)
            self._on_warning(f"The message to the webhook at {host} could not be sent: {reason}")


def webhook_message(run: RunInfo, endings: list[Ending], code: int) -> str:
    """Return the text of the message: names, actions and counts, without messages of a service."""
    subject = " · ".join(filter(None, ("tunedmodels", run.project, run.environment)))
    by_result = Counter(_ENDINGS[type(event)] for event in endings)
    counts = ", ".join(
        f"{by_result[ending]} {ending}" for ending in _ENDINGS.values() if by_result[ending]
    )
    result = _RESULTS.get(Exit(code), "failed")
    lines = [f"*{subject}*: {run.verb} {result}{f' ({counts})' if counts else ''}."]
    lines += [_line(event) for event in endings[:_MAX_LINES]]
    lines += [f"and {len(endings) - _MAX_LINES} more"] if endings[_MAX_LINES:] else []
    lines += [run.run_url] if run.run_url else []
    return _escape("\n".join(lines))


def _line(event: Ending) -> str:
    action = "" if isinstance(event, StillRunning) else f"{event.action} "
    return f"• `{event.name}` {action}{_ENDINGS[type(event)]}: `{event.model_id}`"


def _escape(text: str) -> str:
    """Escape the three special characters of Slack (api.slack.com, "Formatting text")."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
