"""How a Google service says no: google.rpc.Status, in the error body that every Google API shares.

Sources: google/rpc/status.proto, code.proto and error_details.proto. The body is
`{"error": {"code", "message", "status", "details": [...]}}`; array endpoints wrap it in a list of
one. Whatever stands between us and the service (a proxy, a router's 404 page) answers in HTML or
not at all, so reading never fails: there are just fewer words.
"""

from __future__ import annotations

import html
import re
from typing import Annotated, Any

import msgspec

CANCELLED = 1  # google.rpc.Code
LONGEST_WORDS = 1000  # characters; a message is for people, not for a page
LARGEST_BODY = 64 * 1024  # bytes of a body that is no Status; its words are at the beginning

_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)s")


class FieldViolation(msgspec.Struct):
    """One field of the request that is wrong, from google.rpc.BadRequest."""

    field: str = ""
    description: str = ""


class Link(msgspec.Struct):
    """Where to read more, from google.rpc.Help."""

    description: str = ""
    url: str = ""


class Detail(msgspec.Struct, rename="camel"):
    """The details we can use, as one shape: ErrorInfo, BadRequest, RetryInfo and Help."""

    reason: str = ""
    metadata: dict[str, Any] = {}
    field_violations: list[FieldViolation] = []
    retry_delay: str = ""
    links: list[Link] = []


class Status(msgspec.Struct):
    """google.rpc.Status; `code` is an HTTP status in an error body, a google.rpc.Code elsewhere."""

    code: int = 0
    message: str = ""
    status: str = ""
    details: list[Detail] = []

    @property
    def reason(self) -> str:
        """The stable word of ErrorInfo, such as `API_KEY_INVALID`, or empty."""
        return next((detail.reason for detail in self.details if detail.reason), "")

    @property
    def metadata(self) -> dict[str, str]:
        """What ErrorInfo says beside its reason: `service`, `consumer`, `permission` and others."""
        facts = next((detail.metadata for detail in self.details if detail.reason), {})
        return {name: fact for name, fact in facts.items() if isinstance(fact, str)}

    @property
    def retry_delay_s(self) -> float | None:
        """How long RetryInfo asks to wait, in seconds, or None."""
        for detail in self.details:
            if found := _SECONDS.fullmatch(detail.retry_delay):
                return float(found[1])
        return None

    @property
    def words(self) -> str:
        """The message, the violated fields that it does not tell of, and the links."""
        parts = [self.message]
        for detail in self.details:
            parts += [
                f"{each.field}: {each.description}"
                for each in detail.field_violations
                if each.description not in self.message
            ]
            parts += [f"see {link.url}" for link in detail.links if link.url]
        return "; ".join(filter(None, parts))


class _Body(msgspec.Struct):
    error: Status


_ONE = msgspec.json.Decoder(_Body)
_LIST = msgspec.json.Decoder(Annotated[list[_Body], msgspec.Meta(min_length=1)])


def read(body: bytes) -> Status:
    """Read an error body; one that is no Status gives what can be told in its place."""
    for decoder in (_ONE, _LIST):
        try:
            found = decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        return found.error if isinstance(found, _Body) else found[0].error
    text = body[:LARGEST_BODY].decode(errors="replace")
    title = _TITLE.search(text)
    if title:
        return Status(message=html.unescape(title[1]))
    return Status(message="" if text.lstrip().startswith("<") else text.strip())


def plain(text: str) -> str:
    """Return foreign text fit for a terminal: one line, no control characters, bounded."""
    shown = "".join(char if char.isprintable() else " " for char in text)
    line = " ".join(shown.split())
    return line if len(line) <= LONGEST_WORDS else f"{line[: LONGEST_WORDS - 3]}..."
