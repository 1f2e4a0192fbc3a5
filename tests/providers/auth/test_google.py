"""Google credentials: how they are found, refreshed and kept out of all output."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import stamina
from google.auth import _helpers, iam
from google.auth.compute_engine import _metadata
from google.oauth2 import credentials

from tests.support.fakes.google_tokens import (
    PLATFORM,
    ROBOT,
    SECRETS,
    FakeTokenServer,
    github,
    gitlab,
    impersonated,
    private_key,
    service_account,
    token_server,
    user,
    write_credentials,
)
from tests.support.fakes.script import (
    ScriptedResponse,
    ScriptedTransport,
    error_response,
    ok_response,
)
from tunedmodels.errors import (
    InvalidArgumentError,
    ProviderError,
    UnauthenticatedError,
    UnavailableError,
)
from tunedmodels.providers.auth.adc import CredentialKind, CredentialSource
from tunedmodels.providers.auth.google import GoogleIdentity, gemini_identity, vertex_identity
from tunedmodels.providers.auth.google_auth import load_credentials
from tunedmodels.providers.http import Http
from tunedmodels.providers.identity import Credentials, Identity
from tunedmodels.providers.retry import MAX_ATTEMPTS

HOST = "https://aiplatform.example"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    clock = SimpleNamespace(sleep=lambda _: None)
    monkeypatch.setattr("google.auth._exponential_backoff.time", clock)
    with stamina.set_testing(True, attempts=MAX_ATTEMPTS):
        yield


@pytest.fixture(scope="module")
def running() -> Iterator[FakeTokenServer]:
    with token_server() as fake:
        yield fake


@pytest.fixture
def fake(running: FakeTokenServer, monkeypatch: pytest.MonkeyPatch) -> FakeTokenServer:
    # google-auth has fixed endpoints for these two.
    iam_endpoint = f"{running.url}/v1/projects/-/serviceAccounts/{{}}:generateAccessToken"
    monkeypatch.setattr(iam, "_IAM_ENDPOINT", iam_endpoint)
    monkeypatch.setattr(credentials, "_GOOGLE_OAUTH2_TOKEN_ENDPOINT", f"{running.url}/token")
    running.lasts_s = 3600
    running.given = 0
    for recorded in (running.requests, running.bodies, running.refusals):
        recorded.clear()
    return running


Kinds = Callable[[FakeTokenServer, Path], dict[str, Any]]
KINDS: dict[str, Kinds] = {
    "service account key": lambda fake, _: service_account(fake),
    "user login": lambda fake, _: user(fake),
    "GitHub Actions": lambda fake, _: github(fake),
    "GitLab CI": gitlab,
    "impersonated": lambda fake, _: impersonated(fake),
}
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


async def send(
    identity: Identity, *responses: ScriptedResponse, times: int = 1
) -> ScriptedTransport:
    script = ScriptedTransport(*responses)
    http = Http(HOST, identity, transport=script)
    try:
        for _ in range(times):
            await http.request_body("POST", "v1/jobs", content=b"{}", is_idempotent=False)
    finally:
        await http.aclose()
    return script


def authorizations(script: ScriptedTransport) -> list[str]:
    return [request.headers["authorization"] for request in script.requests]


@every_kind
async def test_every_kind_of_credential_gets_a_token(
    fake: FakeTokenServer, kind: Kinds, tmp_path: Path
) -> None:
    identity = vertex_identity(write_credentials(tmp_path, kind(fake, tmp_path)))
    script = await send(identity, ok_response(), ok_response(), times=2)
    assert authorizations(script) == [f"Bearer ya29.fake-{fake.given}"] * 2


async def test_scopes_are_requested_for_kinds_that_allow_a_choice(
    fake: FakeTokenServer, tmp_path: Path
) -> None:
    await send(vertex_identity(write_credentials(tmp_path, gitlab(fake, tmp_path))), ok_response())
    assert "auth%2Fcloud-platform" in fake.bodies[-1]
    await send(
        gemini_identity(write_credentials(tmp_path, gitlab(fake, tmp_path)), HOST), ok_response()
    )
    assert "auth%2Fgenerative-language.tuning" in fake.bodies[-1]
    await send(
        gemini_identity(write_credentials(tmp_path, impersonated(fake)), HOST), ok_response()
    )
    assert PLATFORM in json.loads(fake.bodies[-1])["scope"]
    await send(vertex_identity(write_credentials(tmp_path, user(fake))), ok_response())
    assert "scope" not in fake.bodies[-1]


async def test_a_variable_sets_an_account_to_impersonate(
    fake: FakeTokenServer, tmp_path: Path
) -> None:
    environ = write_credentials(tmp_path, user(fake)) | {
        "GOOGLE_IMPERSONATE_SERVICE_ACCOUNT": ROBOT
    }
    script = await send(vertex_identity(environ), ok_response())
    assert fake.requests[-1] == f"POST /v1/projects/-/serviceAccounts/{ROBOT}:generateAccessToken"
    assert authorizations(script) == ["Bearer ya29.fake-2"]


async def test_the_quota_project_is_that_of_the_login_or_of_the_variable(
    fake: FakeTokenServer, tmp_path: Path
) -> None:
    environ = write_credentials(tmp_path, user(fake))
    script = await send(vertex_identity(environ), ok_response())
    assert script.requests[0].headers["x-goog-user-project"] == "counted-proj"
    script = await send(
        vertex_identity(environ | {"GOOGLE_CLOUD_QUOTA_PROJECT": "other"}), ok_response()
    )
    assert script.requests[0].headers["x-goog-user-project"] == "other"


async def test_the_file_of_gcloud_is_found_without_a_variable(
    fake: FakeTokenServer, tmp_path: Path
) -> None:
    folder = tmp_path / ".config/gcloud"
    folder.mkdir(parents=True)
    (folder / "application_default_credentials.json").write_text(json.dumps(user(fake)))
    script = await send(
        vertex_identity({"HOME": str(tmp_path), "NO_GCE_CHECK": "true"}), ok_response()
    )
    assert authorizations(script) == ["Bearer ya29.fake-1"]


async def test_a_metadata_server_provides_the_service_account_of_the_machine(
    fake: FakeTokenServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = fake.url.removeprefix("http://")
    monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", host)
    environ = {"HOME": str(tmp_path), "GCE_METADATA_HOST": host}
    script = await send(vertex_identity(environ), ok_response())
    assert authorizations(script) == ["Bearer ya29.fake-1"]


async def test_a_token_is_refreshed_before_it_expires(
    fake: FakeTokenServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = vertex_identity(write_credentials(tmp_path, service_account(fake)))
    now = datetime.now(UTC).replace(tzinfo=None)
    for hour in range(5):
        at = now + timedelta(minutes=58 * hour)
        monkeypatch.setattr(_helpers, "utcnow", lambda at=at: at)
        script = await send(identity, ok_response(), ok_response(), times=2)
        assert authorizations(script) == [f"Bearer ya29.fake-{hour + 1}"] * 2


async def test_a_rejected_token_is_refreshed_once_and_the_call_is_repeated(
    fake: FakeTokenServer, tmp_path: Path
) -> None:
    identity = vertex_identity(write_credentials(tmp_path, user(fake)))
    requests = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append((request.headers["authorization"], request.content))
        return ok_response() if len(requests) == 2 else error_response(401, "Invalid.")

    await send(identity, answer, answer)
    assert requests == [("Bearer ya29.fake-1", b"{}"), ("Bearer ya29.fake-2", b"{}")]
    with pytest.raises(UnauthenticatedError) as caught:
        await send(
            identity,
            error_response(401, "Invalid."),
            error_response(401, "Request needs an OAuth 2 access token."),
        )
    assert "gcloud auth application-default login" in caught.value.cure
    assert fake.given == 3


@pytest.mark.parametrize("is_refused", [False, True], ids=["without a token", "rejected"])
async def test_simultaneous_requests_refresh_once(
    fake: FakeTokenServer, tmp_path: Path, *, is_refused: bool
) -> None:
    identity = vertex_identity(write_credentials(tmp_path, user(fake)))
    if is_refused:
        await identity.refresh()
    before = fake.given

    def answer(request: httpx.Request) -> httpx.Response:
        stale = is_refused and request.headers["authorization"] == "Bearer ya29.fake-1"
        return error_response(401, "Revoked.") if stale else ok_response()

    http = Http(HOST, identity, transport=ScriptedTransport(*[answer] * 40))
    await asyncio.gather(
        *(http.request_body("GET", "v1/jobs", is_idempotent=True) for _ in range(20))
    )
    await http.aclose()
    assert fake.given == before + 1


async def test_an_unexpired_token_is_used_when_no_new_one_is_available(
    fake: FakeTokenServer, tmp_path: Path
) -> None:
    fake.lasts_s = 60  # already within the minutes before a refresh
    identity = vertex_identity(write_credentials(tmp_path, user(fake)))
    await send(identity, ok_response())
    for _ in range(3):
        fake.refuse(503, {"error": "temporarily_unavailable"})
    assert authorizations(await send(identity, ok_response())) == ["Bearer ya29.fake-1"]


async def test_an_unavailable_token_service_is_retried_and_nothing_is_sent(
    fake: FakeTokenServer, tmp_path: Path
) -> None:
    for _ in range(3 * MAX_ATTEMPTS):
        fake.refuse(503, {"error": "temporarily_unavailable"})
    with pytest.raises(UnavailableError) as caught:
        await send(vertex_identity(write_credentials(tmp_path, user(fake))))
    assert not caught.value.was_sent


async def test_an_unreachable_token_service_is_named(fake: FakeTokenServer, tmp_path: Path) -> None:
    info = service_account(fake) | {"token_uri": "http://127.0.0.1:9/token"}
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:9") as caught:
        await send(vertex_identity(write_credentials(tmp_path, info)))
    assert "HTTPS_PROXY" in caught.value.cure


BAD_GRANT = {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}
STALE = {"error": "invalid_grant", "error_subtype": "invalid_rapt"}
SKEWED = {
    "error": "invalid_grant",
    "error_description": "Invalid JWT: Token must be a short-lived token (60 minutes) and in a "
    "reasonable timeframe. Check your iat and exp values in the JWT claim.",
}
NOT_ALLOWED = {
    "error": {
        "code": 403,
        "message": "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may "
        "not exist).",
        "status": "PERMISSION_DENIED",
    }
}
# fmt: off
REJECTED = [
    ("user login",          BAD_GRANT, "expired or revoked", "gcloud auth application-default lo"),
    ("user login",          STALE,     "Reauthentication",   "gcloud auth application-default lo"),
    ("service account key", BAD_GRANT, "expired or revoked", f"--iam-account={ROBOT}"),
    ("service account key", SKEWED,    "short-lived",        "timedatectl set-ntp true"),
    ("GitHub Actions",      BAD_GRANT, "expired or revoked", "id-token: write"),
    ("GitLab CI",           BAD_GRANT, "expired or revoked", "id_tokens"),
]
# fmt: on


@pytest.mark.parametrize(("kind", "answer", "message", "cure"), REJECTED)
async def test_a_rejected_credential_has_a_reason_and_a_cure(
    fake: FakeTokenServer, tmp_path: Path, kind: str, answer: Any, *, message: str, cure: str
) -> None:
    fake.refuse(400, answer)
    environ = write_credentials(tmp_path, KINDS[kind](fake, tmp_path))
    with pytest.raises(UnauthenticatedError) as caught:
        await send(vertex_identity(environ))
    assert message in caught.value.message
    assert environ["GOOGLE_APPLICATION_CREDENTIALS"] in caught.value.message
    assert cure in caught.value.cure


async def test_the_cure_for_a_denied_impersonation_is_a_role(
    fake: FakeTokenServer, tmp_path: Path
) -> None:
    environ = write_credentials(tmp_path, impersonated(fake))
    identity = vertex_identity(environ)
    await send(identity, ok_response())
    fake.refuse(403, NOT_ALLOWED)
    with pytest.raises(UnauthenticatedError) as caught:
        await send(identity, error_response(401))
    assert "getAccessToken" in caught.value.message
    assert f"add-iam-policy-binding {ROBOT}" in caught.value.cure
    assert "roles/iam.serviceAccountTokenCreator" in caught.value.cure


PEM = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0IQ==\n-----END PRIVATE KEY-----\n"
BROKEN_KEY = json.dumps(
    {"type": "service_account", "private_key": PEM, "client_email": "x", "token_uri": "y"}
)
# fmt: off
UNUSABLE = [
    ("",                            "not a credentials file"),
    ("[]",                          "not a credentials file"),
    ('{"type": "something"}',       "not a credentials file"),
    ('{"type": "authorized_user"}', "missing fields"),
    (BROKEN_KEY,                    "credentials"),
    ('{"type": "impersonated_service_account"}', "credentials"),
]
# fmt: on


@pytest.mark.parametrize(("text", "message"), UNUSABLE)
async def test_a_file_without_a_credential_is_an_error_and_no_other_is_used(
    tmp_path: Path, text: str, message: str
) -> None:
    environ = write_credentials(tmp_path, text)
    with pytest.raises(UnauthenticatedError, match=message) as caught:
        await send(vertex_identity(environ))
    assert caught.value.cure
    assert "c2VjcmV0" not in str(caught.value)


@pytest.mark.parametrize(
    "answer", [{}, [], "no", {"access_token": "ya29.x", "expires_in": "soon"}, {"expires_in": 1}]
)
@every_kind
async def test_a_response_without_a_token_is_an_error_with_a_cure(
    fake: FakeTokenServer, kind: Kinds, answer: Any, tmp_path: Path
) -> None:
    identity = vertex_identity(write_credentials(tmp_path, kind(fake, tmp_path)))
    fake.refuse(200, answer)
    with pytest.raises(ProviderError) as caught:
        await send(identity)
    assert caught.value.cure


OTHERS = {
    "aws": (
        {
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/x",
            "subject_token_type": "urn:ietf:params:aws:token-type:aws4_request",
            "token_url": "https://sts.googleapis.com/v1/token",
            "credential_source": {
                "environment_id": "aws1",
                "regional_cred_verification_url": "https://sts.{region}.amazonaws.com",
            },
        },
        "google.auth.aws",
    ),
    "program": (
        {
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/x",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": "https://sts.googleapis.com/v1/token",
            "credential_source": {"executable": {"command": "/bin/true"}},
        },
        "google.auth.pluggable",
    ),
    "workforce": (
        {
            "type": "external_account_authorized_user",
            "audience": "//iam.googleapis.com/locations/global/workforcePools/p/providers/q",
            "refresh_token": SECRETS["refresh_token"],
            "token_url": "https://sts.googleapis.com/v1/oauthtoken",
            "client_id": "me",
            "client_secret": SECRETS["client_secret"],
        },
        "google.auth.external_account_authorized_user",
    ),
}


@pytest.mark.parametrize(("info", "module"), OTHERS.values(), ids=OTHERS)
def test_other_kinds_of_files_have_a_loader(info: dict[str, Any], module: str) -> None:
    source = CredentialSource(CredentialKind(info["type"]), "a file", info)
    loaded = load_credentials(source, (PLATFORM,), quota_project="p", scrub=str)
    assert type(loaded).__module__ == module
    assert loaded.quota_project_id == "p"
    secrets = {value for value in SECRETS.values() if value in json.dumps(info)}
    assert secrets <= source.secrets
    assert not any(secret in repr(source) for secret in secrets)


def test_google_auth_is_not_imported_before_the_first_token() -> None:
    code = (
        "import sys, tunedmodels.providers.gemini.provider\n"
        "from tunedmodels.providers.auth.google import gemini_identity, vertex_identity\n"
        "vertex_identity({}), gemini_identity({}, 'https://example.org')\n"
        "assert not {'google.auth', 'requests', 'cryptography'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


async def test_a_missing_file_is_named(tmp_path: Path) -> None:
    environ = {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "gone.json")}
    with pytest.raises(UnauthenticatedError, match=r"gone\.json: No such file"):
        await send(vertex_identity(environ))


async def test_the_cure_without_credentials_is_a_key_for_gemini_and_a_login_for_vertex(
    tmp_path: Path,
) -> None:
    environ = {"HOME": str(tmp_path), "NO_GCE_CHECK": "true"}
    with pytest.raises(UnauthenticatedError, match="requires an API key") as caught:
        await send(gemini_identity(environ, HOST))
    assert caught.value.cure.startswith("Create an API key")
    assert "gcloud auth application-default login" in caught.value.cure
    with pytest.raises(UnauthenticatedError, match="requires Google Cloud credentials") as caught:
        await send(vertex_identity(environ))
    assert caught.value.cure.startswith("On your machine, log in")


def test_explicit_credentials_precede_and_loopback_never_gets_those_of_the_machine(
    fake: FakeTokenServer, tmp_path: Path
) -> None:
    environ = write_credentials(tmp_path, user(fake))
    assert gemini_identity(environ | {"GEMINI_API_KEY": "k"}, HOST) == Credentials(api_key="k")
    assert gemini_identity(environ, "http://127.0.0.1:8901") == Credentials()
    both = {"GOOGLE_OAUTH_ACCESS_TOKEN": "t", "GEMINI_API_KEY": "k"}
    assert vertex_identity(environ | both).headers() == {"authorization": "Bearer t"}
    assert isinstance(vertex_identity(environ | {"GEMINI_API_KEY": "k"}), GoogleIdentity)


async def test_a_token_is_never_sent_unencrypted(fake: FakeTokenServer, tmp_path: Path) -> None:
    http = Http("http://far.example", vertex_identity(write_credentials(tmp_path, user(fake))))
    with pytest.raises(InvalidArgumentError, match="unencrypted"):
        await http.request_body("GET", "v1/jobs", is_idempotent=True)
    await http.aclose()
    assert fake.requests == []


SIGNED = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJyb2JvdCJ9.c2lnbmF0dXJl"  # a signed request for a token


@every_kind
async def test_no_secret_of_any_kind_is_ever_shown(
    fake: FakeTokenServer, kind: Kinds, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    identity = vertex_identity(write_credentials(tmp_path, kind(fake, tmp_path)))
    await send(identity, ok_response())
    tokens = [f"ya29.fake-{number + 1}" for number in range(fake.given)]
    file = (tmp_path / "credentials.json").read_text()
    secrets = [*tokens, SECRETS["subject"], *(value for value in SECRETS.values() if value in file)]
    secrets += [private_key(), *private_key().split("\n")[1:-2]] if "private_key" in file else []
    repeated = " ".join([*secrets, json.dumps(private_key()), SIGNED])
    output = [repr(identity), identity.scrub(repeated)]
    for responses in (
        [error_response(500, repeated)] * 9,
        [error_response(403, repeated)],
        [httpx.ReadError(repeated)],
    ):
        with pytest.raises(ProviderError) as caught:
            await send(identity, *responses)
        output += [str(caught.value), caught.value.cure]
    fake.refuse(400, {"error": "invalid_grant", "error_description": repeated})
    with pytest.raises(ProviderError) as caught:
        await send(identity, error_response(401))
    output += [str(caught.value), caught.value.cure, *capfd.readouterr()]
    for secret in secrets:
        assert secret not in "\n".join(output)
    assert not any("eyJ" in text for text in output)


def test_the_traceback_of_an_error_contains_no_secret(
    fake: FakeTokenServer, tmp_path: Path
) -> None:
    fake.refuse(400, {"error": "invalid_grant", "error_description": SECRETS["refresh_token"]})
    identity = vertex_identity(write_credentials(tmp_path, user(fake)))
    with pytest.raises(UnauthenticatedError) as caught:
        asyncio.run(identity.refresh())
    assert SECRETS["refresh_token"] not in "".join(traceback.format_exception_only(caught.value))
