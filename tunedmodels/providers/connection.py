"""Opening the HTTP client with the proxies and certificates that the environment names.

httpx reads these variables itself, and raises the errors of several libraries for them. The errors
of this module name the variable.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # not in typeshed

import httpx

from tunedmodels import __version__
from tunedmodels.address import Address, hide_userinfo
from tunedmodels.errors import InvalidArgumentError
from tunedmodels.providers.errors import ErrorMapping

MAX_CONNECTIONS: Final = 50  # also requests in flight
PROXY_SCHEMES: Final = ("http", "https", "socks5", "socks5h")
_PROXY_NAMES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_PROXY_CURE: Final = "Set it to http://HOST:PORT, or unset it:\n    unset {name}"
_CERTIFICATE_CURE: Final = (
    "Set it to a file of certificates in PEM format, or unset it:\n    unset "
)


def parse_endpoint(endpoint: str, mapping: ErrorMapping) -> Address:
    """Return the address of a service. Raises InvalidArgumentError."""
    try:
        return Address.parse(endpoint)
    except ValueError as error:
        raise InvalidArgumentError(
            f"{hide_userinfo(endpoint)!r} is not the address of a service: {error}.",
            cure=mapping.endpoint_cure,
        ) from None


def open_client(
    address: Address, mapping: ErrorMapping, *, transport: httpx.AsyncBaseTransport | None
) -> httpx.AsyncClient:
    """Return a client of one service.

    A proxy cannot reach the loopback of this machine, so that the environment is not used for it.
    Raises InvalidArgumentError that names a variable with an invalid value.
    """
    trust_env = not address.is_loopback and transport is None
    if trust_env:
        require_proxies(os.environ)
    # Reading all certificates takes 50 ms.
    is_encrypted = address.scheme == "https" and transport is None
    verify: ssl.SSLContext | bool = certificates(os.environ) if is_encrypted else False
    try:
        client = httpx.AsyncClient(
            headers={
                "user-agent": f"tunedmodels/{__version__}",
                # On one machine compression takes more time than it saves.
                **({"accept-encoding": "identity"} if address.is_loopback else {}),
            },
            transport=transport,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
            trust_env=trust_env,
            verify=verify,
            follow_redirects=False,
        )
        httpx.URL(address.url)
    except (ValueError, ImportError, OSError, httpx.InvalidURL) as error:
        reason = hide_userinfo(str(error)) or type(error).__name__
        names = ", ".join(name for name, _ in _proxies(os.environ)) or "none"
        raise InvalidArgumentError(
            f"No client for {address} can be opened: {reason} (variables of proxies: {names}).",
            cure=mapping.endpoint_cure,
        ) from None
    return client


def require_proxies(environ: Mapping[str, str]) -> None:
    """Raise InvalidArgumentError when a variable names no usable proxy, or no host to exclude."""
    for name, value in _proxies(environ):
        try:
            proxy = Address.parse(_with_scheme(value), schemes=PROXY_SCHEMES)
        except ValueError as error:
            raise InvalidArgumentError(
                f"{name}: {hide_userinfo(value)!r} is not the address of a proxy: {error}.",
                cure=_PROXY_CURE.format(name=name),
            ) from None
        if proxy.scheme.startswith("socks") and find_spec("socksio") is None:
            raise InvalidArgumentError(
                f"{name}: {str(proxy)!r} is a SOCKS proxy, which requires the extra `socks`.",
                cure="pip install 'tunedmodels[socks]'",
            )
    name = _set_name("NO_PROXY", environ)
    for host in environ.get(name, "").split(","):
        try:
            httpx.URL(f"all://{host.strip().removeprefix('*').removeprefix('.')}")
        except httpx.InvalidURL:
            raise InvalidArgumentError(
                f"{name}: {hide_userinfo(host)!r} is not a host.",
                cure="List hosts, separated by commas: localhost,127.0.0.1,.example.com",
            ) from None


def certificates(environ: Mapping[str, str]) -> ssl.SSLContext | bool:
    """Return the certificates of SSL_CERT_FILE or SSL_CERT_DIR, or True for those of certifi.

    Raises InvalidArgumentError that names the variable when they cannot be read.
    """
    name = next((name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if environ.get(name)), "")
    if not name:
        return True
    value = environ[name]
    try:
        if name == "SSL_CERT_DIR":
            list(Path(value).iterdir())
            return ssl.create_default_context(capath=value)
        return ssl.create_default_context(cafile=value)
    except ssl.SSLError:
        reason = "contains no certificate"
    except (OSError, ValueError) as error:
        reason = f"cannot be read ({getattr(error, 'strerror', None) or error})"
    raise InvalidArgumentError(
        f"{name}: {hide_userinfo(value)} {reason}.", cure=f"{_CERTIFICATE_CURE}{name}"
    )


def proxy_of(address: Address, environ: Mapping[str, str]) -> tuple[str, Address] | None:
    """Return the variable and the proxy through which requests to an address are sent."""
    if address.is_loopback or proxy_bypass_environment(address.host):
        return None
    proxies = dict(_proxies(environ))
    for variable in (f"{address.scheme}_PROXY".upper(), "ALL_PROXY"):
        for name in (variable.lower(), variable):
            if name in proxies:
                try:
                    proxy = Address.parse(_with_scheme(proxies[name]), schemes=PROXY_SCHEMES)
                except ValueError:
                    return None
                return name, proxy
    return None


def proxy_secrets(environ: Mapping[str, str]) -> frozenset[str]:
    """Return the passwords in the addresses of proxies."""
    secrets: set[str] = set()
    for _, value in _proxies(environ):
        try:
            secrets |= Address.parse(_with_scheme(value), schemes=PROXY_SCHEMES).secrets
        except ValueError:
            continue
    return frozenset(secrets)


def _proxies(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the variables of proxies that are set, as urllib reads them: lower case first."""
    for variable in _PROXY_NAMES:
        name = _set_name(variable, environ)
        if value := environ.get(name, "").strip():
            yield name, value


def _set_name(variable: str, environ: Mapping[str, str]) -> str:
    return variable.lower() if environ.get(variable.lower()) else variable


def _with_scheme(proxy: str) -> str:
    return proxy if "://" in proxy else f"http://{proxy}"
