"""The universe domain of credentials, and the search for a metadata server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.fakes.script import ScriptedTransport, ok_response
from tunedmodels.errors import UnauthenticatedError
from tunedmodels.providers.auth import google_auth
from tunedmodels.providers.auth.adc import in_domain, universe_domain
from tunedmodels.providers.identity import Credentials
from tunedmodels.providers.vertex.names import endpoint_url
from tunedmodels.providers.vertex.provider import VertexProvider
from tunedmodels.schema.project import VertexSettings

S3NS = "s3nsapis.fr"


def credentials_file(folder: Path, **fields: Any) -> dict[str, str]:
    file = folder / "key.json"
    file.write_text(json.dumps({"type": "service_account", **fields}))
    return {"HOME": str(folder), "GOOGLE_APPLICATION_CREDENTIALS": str(file)}


def test_the_universe_domain_is_that_of_the_variable_or_of_the_file(tmp_path: Path) -> None:
    assert universe_domain({"HOME": str(tmp_path)}) == "googleapis.com"
    assert universe_domain(credentials_file(tmp_path)) == "googleapis.com"
    environ = credentials_file(tmp_path, universe_domain=S3NS)
    assert universe_domain(environ) == S3NS
    assert universe_domain({**environ, "GOOGLE_CLOUD_UNIVERSE_DOMAIN": "example.org"}) == (
        "example.org"
    )
    assert universe_domain({**environ, "GOOGLE_OAUTH_ACCESS_TOKEN": "t"}) == "googleapis.com"


@pytest.mark.parametrize("domain", ["https://x", "evil.org/path", "x", "a b.org", 5])
def test_a_value_that_is_not_a_domain_is_an_error(tmp_path: Path, domain: Any) -> None:
    with pytest.raises(UnauthenticatedError, match="is not a domain"):
        universe_domain(credentials_file(tmp_path, universe_domain=domain))


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("us-central1", "https://us-central1-aiplatform.s3nsapis.fr"),
        ("eu", "https://aiplatform.eu.rep.s3nsapis.fr"),
        ("global", "https://aiplatform.s3nsapis.fr"),
    ],
)
def test_every_host_is_in_the_universe_domain(location: str, url: str) -> None:
    assert endpoint_url(location, S3NS) == url
    assert in_domain("https://storage.googleapis.com", S3NS) == "https://storage.s3nsapis.fr"


async def test_a_provider_calls_the_hosts_of_the_universe_domain() -> None:
    script = ScriptedTransport(
        *[ok_response({"totalTokens": 1})] * 2, ok_response({"generation": "1"})
    )
    settings = VertexSettings(type="vertex", project="p", location="europe-west4", bucket="b-1")
    async with VertexProvider(
        "eu",
        project="demo",
        settings=settings,
        identity=Credentials(access_token=S3NS),
        domain=S3NS,
        transport=script,
    ) as provider:
        await provider.count_tokens("models/gemini-3.5-flash", ["x"])
        await provider.count_tokens("models/mine", ["x"])
        await provider.lock_holder()
    assert [request.url.host for request in script.requests] == [
        "aiplatform.eu.rep.s3nsapis.fr",
        "europe-west4-aiplatform.s3nsapis.fr",
        "storage.s3nsapis.fr",
    ]


class SlowServer:
    """A metadata server that answers an attempt after some timeouts."""

    def __init__(self, timeouts: int, error: Exception | None = None) -> None:
        self.timeouts = timeouts
        self.error = error or requests.exceptions.ConnectTimeout("slow")
        self.waited: list[float] = []

    def __call__(self, _: Any, url: str, **options: Any) -> Any:
        self.waited.append(options["timeout"])
        if len(self.waited) <= self.timeouts:
            raise self.error
        return type("Answer", (), {"headers": {"metadata-flavor": "Google"}})()


def find(server: SlowServer, monkeypatch: pytest.MonkeyPatch, **environ: str) -> bool:
    monkeypatch.setattr(
        google_auth.AuthTransport,
        "__call__",
        lambda *arguments, **options: server(*arguments, **options),  # noqa: PLW0108  # binds
    )
    return google_auth.find_metadata_credentials(environ) is not None


def test_the_metadata_server_is_tried_three_times(monkeypatch: pytest.MonkeyPatch) -> None:
    server = SlowServer(2)
    assert find(server, monkeypatch)
    assert server.waited == [3.0, 3.0, 3.0]
    server = SlowServer(3)
    assert not find(server, monkeypatch, GCE_METADATA_TIMEOUT="0.5")
    assert server.waited == [0.5, 0.5, 0.5]


def test_a_refused_connection_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    server = SlowServer(3, requests.exceptions.ConnectionError("refused"))
    assert not find(server, monkeypatch)
    assert len(server.waited) == 1


@pytest.mark.parametrize("value", ["soon", "-1", "0", "nan", "inf"])
def test_a_timeout_that_is_not_a_number_is_an_error(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnauthenticatedError, match="GCE_METADATA_TIMEOUT"):
        find(SlowServer(0), monkeypatch, GCE_METADATA_TIMEOUT=value)
