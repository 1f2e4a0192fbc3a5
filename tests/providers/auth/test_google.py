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
    Tokens,
    github,
    gitlab,
    impersonated,
    lay,
    private_key,
    service_account,
    tokens,
    user,
)
from tests.support.fakes.script import Answer, Script, no, ok
from tunedmodels.errors import (
    InvalidArgumentError,
    ProviderError,
    UnauthenticatedError,
    UnavailableError,
)
from tunedmodels.providers.auth.adc import Kind, Source
from tunedmodels.providers.auth.google import GoogleIdentity, gemini_identity, vertex_identity
from tunedmodels.providers.auth.google_auth import load
from tunedmodels.providers.http import Http
from tunedmodels.providers.identity import Credentials, Identity
from tunedmodels.providers.retry import ATTEMPTS

HOST = "https://aiplatform.example"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    clock = SimpleNamespace(sleep=lambda _: None)
    monkeypatch.setattr("google.auth._exponential_backoff.time", clock)
    with stamina.set_testing(True, attempts=ATTEMPTS):
        yield


@pytest.fixture(scope="module")
def running() -> Iterator[Tokens]:
    with tokens() as fake:
        yield fake


@pytest.fixture
def fake(running: Tokens, monkeypatch: pytest.MonkeyPatch) -> Tokens:
    # No file names these two: google-auth knows but one of each.
    acting = f"{running.url}/v1/projects/-/serviceAccounts/{{}}:generateAccessToken"
    monkeypatch.setattr(iam, "_IAM_ENDPOINT", acting)
    monkeypatch.setattr(credentials, "_GOOGLE_OAUTH2_TOKEN_ENDPOINT", f"{running.url}/token")
    running.lasts_s = 3600
    running.given = 0
    for each in (running.asked, running.bodies, running.refusals):
        each.clear()
    return running


Kinds = Callable[[Tokens, Path], dict[str, Any]]
KINDS: dict[str, Kinds] = {
    "service account key": lambda fake, _: service_account(fake),
    "user login": lambda fake, _: user(fake),
    "GitHub Actions": lambda fake, _: github(fake),
    "GitLab CI": gitlab,
    "impersonated": lambda fake, _: impersonated(fake),
}
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


async def ask(identity: Identity, *answers: Answer, times: int = 1) -> Script:
    script = Script(*answers)
    http = Http(HOST, identity, transport=script)
    try:
        for _ in range(times):
            await http.send("POST", "v1/jobs", content=b"{}", repeatable=False)
    finally:
        await http.aclose()
    return script


def shown(script: Script) -> list[str]:
    return [request.headers["authorization"] for request in script.asked]


@every_kind
async def test_every_kind_of_credential_becomes_a_token(
    fake: Tokens, kind: Kinds, tmp_path: Path
) -> None:
    identity = vertex_identity(lay(tmp_path, kind(fake, tmp_path)))
    script = await ask(identity, ok(), ok(), times=2)
    assert shown(script) == [f"Bearer ya29.fake-{fake.given}"] * 2


async def test_scopes_are_asked_for_where_the_kind_lets_one_choose(
    fake: Tokens, tmp_path: Path
) -> None:
    await ask(vertex_identity(lay(tmp_path, gitlab(fake, tmp_path))), ok())
    assert "auth%2Fcloud-platform" in fake.bodies[-1]
    await ask(gemini_identity(lay(tmp_path, gitlab(fake, tmp_path)), HOST), ok())
    assert "auth%2Fgenerative-language.tuning" in fake.bodies[-1]
    await ask(gemini_identity(lay(tmp_path, impersonated(fake)), HOST), ok())
    assert PLATFORM in json.loads(fake.bodies[-1])["scope"]
    await ask(vertex_identity(lay(tmp_path, user(fake))), ok())
    assert "scope" not in fake.bodies[-1]


async def test_an_account_may_be_impersonated_by_a_variable(fake: Tokens, tmp_path: Path) -> None:
    environ = lay(tmp_path, user(fake)) | {"GOOGLE_IMPERSONATE_SERVICE_ACCOUNT": ROBOT}
    script = await ask(vertex_identity(environ), ok())
    assert fake.asked[-1] == f"POST /v1/projects/-/serviceAccounts/{ROBOT}:generateAccessToken"
    assert shown(script) == ["Bearer ya29.fake-2"]


async def test_calls_count_for_the_project_of_the_login_or_the_one_that_is_named(
    fake: Tokens, tmp_path: Path
) -> None:
    environ = lay(tmp_path, user(fake))
    script = await ask(vertex_identity(environ), ok())
    assert script.asked[0].headers["x-goog-user-project"] == "counted-proj"
    script = await ask(vertex_identity(environ | {"GOOGLE_CLOUD_QUOTA_PROJECT": "other"}), ok())
    assert script.asked[0].headers["x-goog-user-project"] == "other"


async def test_what_gcloud_wrote_is_found_without_a_variable(fake: Tokens, tmp_path: Path) -> None:
    folder = tmp_path / ".config/gcloud"
    folder.mkdir(parents=True)
    (folder / "application_default_credentials.json").write_text(json.dumps(user(fake)))
    script = await ask(vertex_identity({"HOME": str(tmp_path), "NO_GCE_CHECK": "true"}), ok())
    assert shown(script) == ["Bearer ya29.fake-1"]


async def test_a_machine_of_google_has_a_service_account_of_its_own(
    fake: Tokens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = fake.url.removeprefix("http://")
    monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", host)
    environ = {"HOME": str(tmp_path), "GCE_METADATA_HOST": host}
    script = await ask(vertex_identity(environ), ok())
    assert shown(script) == ["Bearer ya29.fake-1"]


async def test_a_token_is_renewed_before_it_ends_however_long_one_waits(
    fake: Tokens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = vertex_identity(lay(tmp_path, service_account(fake)))
    now = datetime.now(UTC).replace(tzinfo=None)
    for hour in range(5):
        at = now + timedelta(minutes=58 * hour)
        monkeypatch.setattr(_helpers, "utcnow", lambda at=at: at)
        script = await ask(identity, ok(), ok(), times=2)
        assert shown(script) == [f"Bearer ya29.fake-{hour + 1}"] * 2


async def test_a_refused_token_is_renewed_once_and_the_call_sent_again(
    fake: Tokens, tmp_path: Path
) -> None:
    identity = vertex_identity(lay(tmp_path, user(fake)))
    heard = []

    def answer(request: httpx.Request) -> httpx.Response:
        heard.append((request.headers["authorization"], request.content))
        return ok() if len(heard) == 2 else no(401, "Invalid.")

    await ask(identity, answer, answer)
    assert heard == [("Bearer ya29.fake-1", b"{}"), ("Bearer ya29.fake-2", b"{}")]
    with pytest.raises(UnauthenticatedError) as caught:
        await ask(identity, no(401, "Invalid."), no(401, "Request needs an OAuth 2 access token."))
    assert "gcloud auth application-default login" in caught.value.cure
    assert fake.given == 3


@pytest.mark.parametrize("is_refused", [False, True], ids=["none yet", "refused"])
async def test_many_requests_at_once_renew_once(
    fake: Tokens, tmp_path: Path, *, is_refused: bool
) -> None:
    identity = vertex_identity(lay(tmp_path, user(fake)))
    if is_refused:
        await identity.renew()
    before = fake.given

    def answer(request: httpx.Request) -> httpx.Response:
        stale = is_refused and request.headers["authorization"] == "Bearer ya29.fake-1"
        return no(401, "Revoked.") if stale else ok()

    http = Http(HOST, identity, transport=Script(*[answer] * 40))
    await asyncio.gather(*(http.send("GET", "v1/jobs", repeatable=True) for _ in range(20)))
    await http.aclose()
    assert fake.given == before + 1


async def test_a_token_that_still_holds_is_used_while_no_new_one_can_be_had(
    fake: Tokens, tmp_path: Path
) -> None:
    fake.lasts_s = 60  # already within the minutes in which it is renewed
    identity = vertex_identity(lay(tmp_path, user(fake)))
    await ask(identity, ok())
    for _ in range(3):
        fake.refuse(503, {"error": "temporarily_unavailable"})
    assert shown(await ask(identity, ok())) == ["Bearer ya29.fake-1"]


async def test_a_token_service_that_is_down_is_asked_again_and_nothing_was_sent(
    fake: Tokens, tmp_path: Path
) -> None:
    for _ in range(3 * ATTEMPTS):
        fake.refuse(503, {"error": "temporarily_unavailable"})
    with pytest.raises(UnavailableError) as caught:
        await ask(vertex_identity(lay(tmp_path, user(fake))))
    assert not caught.value.sent


async def test_a_token_service_that_is_unreachable_is_named(fake: Tokens, tmp_path: Path) -> None:
    info = service_account(fake) | {"token_uri": "http://127.0.0.1:9/token"}
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:9") as caught:
        await ask(vertex_identity(lay(tmp_path, info)))
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
REFUSED = [
    ("user login",          BAD_GRANT, "expired or revoked", "gcloud auth application-default lo"),
    ("user login",          STALE,     "Reauthentication",   "gcloud auth application-default lo"),
    ("service account key", BAD_GRANT, "expired or revoked", f"--iam-account={ROBOT}"),
    ("service account key", SKEWED,    "short-lived",        "timedatectl set-ntp true"),
    ("GitHub Actions",      BAD_GRANT, "expired or revoked", "id-token: write"),
    ("GitLab CI",           BAD_GRANT, "expired or revoked", "id_tokens"),
]
# fmt: on


@pytest.mark.parametrize(
    ("kind", "answer", "told"), [(kind, answer, told) for kind, answer, *told in REFUSED]
)
async def test_a_credential_that_is_refused_says_why_and_what_mends_it(
    fake: Tokens, tmp_path: Path, kind: str, answer: Any, told: list[str]
) -> None:
    words, cure = told
    fake.refuse(400, answer)
    environ = lay(tmp_path, KINDS[kind](fake, tmp_path))
    with pytest.raises(UnauthenticatedError) as caught:
        await ask(vertex_identity(environ))
    assert words in caught.value.message
    assert environ["GOOGLE_APPLICATION_CREDENTIALS"] in caught.value.message
    assert cure in caught.value.cure


async def test_who_may_not_impersonate_learns_the_role(fake: Tokens, tmp_path: Path) -> None:
    environ = lay(tmp_path, impersonated(fake))
    identity = vertex_identity(environ)
    await ask(identity, ok())
    fake.refuse(403, NOT_ALLOWED)
    with pytest.raises(UnauthenticatedError) as caught:
        await ask(identity, no(401))
    assert "getAccessToken" in caught.value.message
    assert f"add-iam-policy-binding {ROBOT}" in caught.value.cure
    assert "roles/iam.serviceAccountTokenCreator" in caught.value.cure


PEM = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0IQ==\n-----END PRIVATE KEY-----\n"
BROKEN_KEY = json.dumps(
    {"type": "service_account", "private_key": PEM, "client_email": "x", "token_uri": "y"}
)
# fmt: off
UNUSABLE = [
    ("",                            "no credentials file"),
    ("[]",                          "no credentials file"),
    ('{"type": "something"}',       "no credentials file"),
    ('{"type": "authorized_user"}', "missing fields"),
    (BROKEN_KEY,                    "credentials"),
    ('{"type": "impersonated_service_account"}', "credentials"),
]
# fmt: on


@pytest.mark.parametrize(("text", "words"), UNUSABLE)
async def test_a_file_that_is_no_credential_says_so_and_no_other_is_taken(
    tmp_path: Path, text: str, words: str
) -> None:
    environ = lay(tmp_path, text)
    with pytest.raises(UnauthenticatedError, match=words) as caught:
        await ask(vertex_identity(environ))
    assert caught.value.cure
    assert "c2VjcmV0" not in str(caught.value)


@pytest.mark.parametrize(
    "answer", [{}, [], "no", {"access_token": "ya29.x", "expires_in": "soon"}, {"expires_in": 1}]
)
@every_kind
async def test_an_answer_that_is_no_token_is_no_traceback(
    fake: Tokens, kind: Kinds, answer: Any, tmp_path: Path
) -> None:
    identity = vertex_identity(lay(tmp_path, kind(fake, tmp_path)))
    fake.refuse(200, answer)
    with pytest.raises(ProviderError) as caught:
        await ask(identity)
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
def test_other_kinds_of_files_find_their_loader(info: dict[str, Any], module: str) -> None:
    source = Source(Kind(info["type"]), "a file", info)
    loaded = load(source, (PLATFORM,), quota_project="p", scrub=str)
    assert type(loaded).__module__ == module
    assert loaded.quota_project_id == "p"
    held = {value for value in SECRETS.values() if value in json.dumps(info)}
    assert held <= source.secrets
    assert not any(secret in repr(source) for secret in held)


def test_nothing_of_google_auth_is_imported_before_the_first_token() -> None:
    code = (
        "import sys, tunedmodels.providers.gemini.provider\n"
        "from tunedmodels.providers.auth.google import gemini_identity, vertex_identity\n"
        "vertex_identity({}), gemini_identity({}, 'https://example.org')\n"
        "assert not {'google.auth', 'requests', 'cryptography'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


async def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    environ = {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "gone.json")}
    with pytest.raises(UnauthenticatedError, match=r"gone\.json: No such file"):
        await ask(vertex_identity(environ))


async def test_nothing_at_all_offers_the_key_first_for_gemini_and_a_login_for_vertex(
    tmp_path: Path,
) -> None:
    environ = {"HOME": str(tmp_path), "NO_GCE_CHECK": "true"}
    with pytest.raises(UnauthenticatedError, match="needs an API key") as caught:
        await ask(gemini_identity(environ, HOST))
    assert caught.value.cure.startswith("Create an API key")
    assert "gcloud auth application-default login" in caught.value.cure
    with pytest.raises(UnauthenticatedError, match="needs Google Cloud credentials") as caught:
        await ask(vertex_identity(environ))
    assert caught.value.cure.startswith("On your machine, log in")


def test_what_is_set_by_hand_goes_first_and_loopback_gets_nothing_of_the_machine(
    fake: Tokens, tmp_path: Path
) -> None:
    environ = lay(tmp_path, user(fake))
    assert gemini_identity(environ | {"GEMINI_API_KEY": "k"}, HOST) == Credentials(api_key="k")
    assert gemini_identity(environ, "http://127.0.0.1:8901") == Credentials()
    both = {"GOOGLE_OAUTH_ACCESS_TOKEN": "t", "GEMINI_API_KEY": "k"}
    assert vertex_identity(environ | both).headers() == {"authorization": "Bearer t"}
    assert isinstance(vertex_identity(environ | {"GEMINI_API_KEY": "k"}), GoogleIdentity)


async def test_a_token_never_travels_in_the_clear(fake: Tokens, tmp_path: Path) -> None:
    http = Http("http://far.example", vertex_identity(lay(tmp_path, user(fake))))
    with pytest.raises(InvalidArgumentError, match="in the clear"):
        await http.send("GET", "v1/jobs", repeatable=True)
    await http.aclose()
    assert fake.asked == []


SIGNED = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJyb2JvdCJ9.c2lnbmF0dXJl"  # what a key is asked with


@every_kind
async def test_no_secret_of_any_kind_is_ever_shown(
    fake: Tokens, kind: Kinds, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    identity = vertex_identity(lay(tmp_path, kind(fake, tmp_path)))
    await ask(identity, ok())
    held = [f"ya29.fake-{number + 1}" for number in range(fake.given)]
    laid = (tmp_path / "credentials.json").read_text()
    secrets = [*held, SECRETS["subject"], *(each for each in SECRETS.values() if each in laid)]
    secrets += [private_key(), *private_key().split("\n")[1:-2]] if "private_key" in laid else []
    parrot = " ".join([*secrets, json.dumps(private_key()), SIGNED])
    seen = [repr(identity), identity.scrub(parrot)]
    for answers in ([no(500, parrot)] * 9, [no(403, parrot)], [httpx.ReadError(parrot)]):
        with pytest.raises(ProviderError) as caught:
            await ask(identity, *answers)
        seen += [str(caught.value), caught.value.cure]
    fake.refuse(400, {"error": "invalid_grant", "error_description": parrot})
    with pytest.raises(ProviderError) as caught:
        await ask(identity, no(401))
    seen += [str(caught.value), caught.value.cure, *capfd.readouterr()]
    for secret in secrets:
        assert secret not in "\n".join(seen)
    assert not any("eyJ" in each for each in seen)


def test_the_printed_traceback_of_our_own_error_holds_no_secret(
    fake: Tokens, tmp_path: Path
) -> None:
    fake.refuse(400, {"error": "invalid_grant", "error_description": SECRETS["refresh_token"]})
    identity = vertex_identity(lay(tmp_path, user(fake)))
    with pytest.raises(UnauthenticatedError) as caught:
        asyncio.run(identity.renew())
    assert SECRETS["refresh_token"] not in "".join(traceback.format_exception_only(caught.value))
