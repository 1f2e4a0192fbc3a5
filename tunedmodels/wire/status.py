"""google.rpc.Status: the error body of every Google API.

Sources: google/rpc/status.proto, code.proto and error_details.proto. The body is
`{"error": {"code", "message", "status", "details": [...]}}`; array endpoints wrap it in a list of
one. A proxy or a router between us and the service may answer in HTML or without a body. So
parsing never fails; the result then contains less.
"""

from __future__ import annotations

import html
import re
from typing import Annotated, Any

import msgspec

CANCELLED = 1  # google.rpc.Code
STORE_UNUSABLE = "STORE_UNUSABLE"  # reason of the embedded service: waiting does not help
MAX_TEXT_CHARS = 1000
MAX_PLAIN_BODY_BYTES = 64 * 1024  # read of a body that is not a Status

_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)s")


class FieldViolation(msgspec.Struct):
    """An invalid field of the request, from google.rpc.BadRequest."""

    field: str = ""
    description: str = ""


class HelpLink(msgspec.Struct):
    """A link to documentation, from google.rpc.Help."""

    description: str = ""
    url: str = ""


class ErrorDetail(msgspec.Struct, rename="camel"):
    """The supported details as one message: ErrorInfo, BadRequest, RetryInfo and Help."""

    reason: str = ""
    metadata: dict[str, Any] = {}
    field_violations: list[FieldViolation] = []
    retry_delay: str = ""
    links: list[HelpLink] = []


class Status(msgspec.Struct):
    """google.rpc.Status; `code` is an HTTP status in an error body, a google.rpc.Code elsewhere."""

    code: int = 0
    message: str = ""
    status: str = ""
    details: list[ErrorDetail] = []

    @property
    def reason(self) -> str:
        """The reason of ErrorInfo, such as `API_KEY_INVALID`, or an empty string."""
        return next((detail.reason for detail in self.details if detail.reason), "")

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata of ErrorInfo: `service`, `consumer`, `permission` and others."""
        metadata = next((detail.metadata for detail in self.details if detail.reason), {})
        return {name: value for name, value in metadata.items() if isinstance(value, str)}

    @property
    def retry_delay_s(self) -> float | None:
        """The delay of RetryInfo in seconds, or None."""
        for detail in self.details:
            if match := _SECONDS.fullmatch(detail.retry_delay):
                return float(match[1])
        return None

    @property
    def text(self) -> str:
        """The message, the invalid fields that it does not mention, and the links."""
        parts = [self.message]
        for detail in self.details:
            parts += [
                f"{violation.field}: {violation.description}"
                for violation in detail.field_violations
                if violation.description not in self.message
            ]
            parts += [f"see {link.url}" for link in detail.links if link.url]
        return "; ".join(filter(None, parts))


class _Body(msgspec.Struct):
    error: Status


_ONE = msgspec.json.Decoder(_Body)
_LIST = msgspec.json.Decoder(Annotated[list[_Body], msgspec.Meta(min_length=1)])


def parse_status(body: bytes) -> Status:
    """Return the Status in an error body; of another body, its title or text as the message."""
    for decoder in (_ONE, _LIST):
        try:
            decoded = decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        return decoded.error if isinstance(decoded, _Body) else decoded[0].error
    text = body[:MAX_PLAIN_BODY_BYTES].decode(errors="replace")
    title = _TITLE.search(text)
    if title:
        return Status(message=html.unescape(title[1]))
    return Status(message="" if text.lstrip().startswith("<") else text.strip())


def printable_line(text: str) -> str:
    """Return text of a service as one line of limited length without control characters."""
    printable = "".join(char if char.isprintable() else " " for char in text)
    line = " ".join(printable.split())
    return line if len(line) <= MAX_TEXT_CHARS else f"{line[: MAX_TEXT_CHARS - 3]}..."
