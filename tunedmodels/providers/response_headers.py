"""The headers of responses: the link to the next page, and when to try again."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx


def next_query(response: httpx.Response) -> str:
    """Return the query of the link to the next page (RFC 8288); empty on the last page."""
    url = response.links.get("next", {}).get("url", "")
    try:
        return httpx.URL(url).query.decode()
    except (httpx.InvalidURL, UnicodeDecodeError):
        return ""


def retry_after_s(header: str) -> float | None:
    """Return the delay of a Retry-After header: seconds or a date (RFC 9110, 10.2.3)."""
    if header.isdecimal():
        return float(header)
    try:
        until = parsedate_to_datetime(header)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())
