"""Addresses that a user sets: parsed once, and printed without the secrets that they contain."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Final, Self
from urllib.parse import SplitResult, unquote, urlsplit

from tunedmodels.text import printable

HTTP_SCHEMES: Final = ("http", "https")

_HOST: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_-]+)*\.?")
_BEFORE_HOST: Final = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*:/*)?.*@", re.DOTALL)
_MAX_SHOWN_CHARS: Final = 80


@dataclass(frozen=True, slots=True)
class Address:
    """An address such as `https://host:8443/prefix`.

    Text of it, and its `repr`, have no user name, password and query: all of them may be secret.
    """

    url: str = field(repr=False)
    """The whole address, for the HTTP client only."""
    scheme: str
    host: str
    port: int | None
    path: str = field(repr=False)
    """Without a slash at its end."""
    query: str = field(repr=False, default="")
    userinfo: str = field(repr=False, default="")
    """`user` or `user:password`, as written."""

    @classmethod
    def parse(cls, text: str, *, schemes: tuple[str, ...] = HTTP_SCHEMES) -> Self:
        """Return the address. Raises ValueError with a reason that does not contain the text."""
        if not text.isprintable() or any(char.isspace() for char in text):
            raise ValueError("it contains white space or control characters")
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise ValueError("its host or port is not valid") from None
        if parts.scheme not in schemes:
            listed = " or ".join(f"{scheme}://" for scheme in schemes)
            raise ValueError(f"it does not begin with {listed}")
        host = parts.hostname or ""
        if not _is_host(host) or port == 0:
            raise ValueError("its host or port is not valid")
        return cls(
            text, parts.scheme, host, port, parts.path.rstrip("/"), parts.query, _userinfo(parts)
        )

    def __str__(self) -> str:
        """Return the address without user name, password and query."""
        return f"{self.scheme}://{self.host_and_port}{self.path}"

    @property
    def host_and_port(self) -> str:
        """`host:port`, or the host when the address has no port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" if self.port else host

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def is_private(self) -> bool:
        """Whether other machines cannot read what is sent to it."""
        return self.scheme == "https" or self.is_loopback

    @property
    def secrets(self) -> frozenset[str]:
        """The user name with the password, and the password alone, as written and decoded."""
        password = self.userinfo.partition(":")[2]
        raw = {part for part in (self.userinfo, password) if part}
        return frozenset(raw | {unquote(part) for part in raw})


def hide_userinfo(text: str) -> str:
    """Return text that should be an address, without a user name, password or query."""
    text = _BEFORE_HOST.sub(r"\1[secret]@", text)
    text = text.partition("?")[0].partition("#")[0]
    shown = printable(text)
    return shown if len(shown) <= _MAX_SHOWN_CHARS else f"{shown[: _MAX_SHOWN_CHARS - 3]}..."


def _userinfo(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[0]


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        return True
    try:
        ascii_host = host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        return False
    return _HOST.fullmatch(ascii_host) is not None
