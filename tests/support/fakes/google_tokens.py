"""The token endpoints of Google on loopback: OAuth, STS, IAM credentials, metadata, a CI's OIDC.

Every token is `ya29.fake-N`. A test sets its lifetime, and the errors of requests.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tests.support.embedded_service import serve_in_thread

ROBOT = "robot@my-proj.iam.gserviceaccount.com"
PERSON = "ada@example.org"
PLATFORM = "https://www.googleapis.com/auth/cloud-platform"
SECRETS = {
    "refresh_token": "1//refresh-me-secretly",
    "client_secret": "GOCSPX-client-secret",
    "job_token": "ci-job-token-secret",
    "subject": "eyJhbGciOiJub25lIn0.c3ViamVjdA.c2ln",
}


@dataclass
class FakeTokenServer:
    """The state of the fake: the requests so far and the next responses."""

    url: str = ""
    lasts_s: int = 3600
    scopes: str = PLATFORM
    email: str = PERSON
    refusals: list[Response] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)
    given: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self) -> str:
        """Return a new token."""
        with self.lock:
            self.given += 1
            return f"ya29.fake-{self.given}"

    def refuse(self, code: int, document: Any) -> None:
        """Answer the next request for a token with an error."""
        self.refusals.append(JSONResponse(document, status_code=code))

    async def answer(self, request: Request) -> Response:
        """Answer a request for a token, or for what is needed to get one."""
        body = (await request.body()).decode()
        self.requests.append(f"{request.method} {request.url.path}")
        self.bodies.append(body)
        if request.url.path == "/oidc":
            known = request.headers["authorization"] == f"Bearer {SECRETS['job_token']}"
            return JSONResponse({"value": SECRETS["subject"]}, status_code=200 if known else 401)
        if request.url.path == "/tokeninfo":
            assert parse_qs(body)["access_token"][0].startswith("ya29.")
            facts = {"scope": self.scopes, "expires_in": str(self.lasts_s), "email": self.email}
            return JSONResponse(facts)
        if self.refusals:
            return self.refusals.pop(0)
        if request.url.path.endswith(":generateAccessToken"):
            end = datetime.now(UTC) + timedelta(seconds=self.lasts_s)
            ends = end.strftime("%Y-%m-%dT%H:%M:%SZ")
            return JSONResponse({"accessToken": self.next(), "expireTime": ends})
        return JSONResponse(
            {
                "access_token": self.next(),
                "expires_in": self.lasts_s,
                "token_type": "Bearer",
                "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            }
        )

    async def metadata(self, request: Request) -> Response:
        """Answer as the metadata server of a virtual machine does."""
        self.requests.append(f"{request.method} {request.url.path}")
        flavour = {"metadata-flavor": "Google"}
        path = request.url.path.removeprefix("/computeMetadata/v1/")
        if path.endswith("/token"):
            document = {"access_token": self.next(), "expires_in": self.lasts_s}
            return JSONResponse(document, headers=flavour)
        if "service-accounts" in path:
            return JSONResponse({"email": ROBOT, "scopes": [PLATFORM]}, headers=flavour)
        if path.endswith("universe-domain"):
            return PlainTextResponse("googleapis.com", headers=flavour)
        return PlainTextResponse("computeMetadata/", headers=flavour)


@contextmanager
def token_server() -> Iterator[FakeTokenServer]:
    """Run the fake on a port of this machine."""
    fake = FakeTokenServer()
    routes = [
        Route("/", fake.metadata),
        Route("/computeMetadata/{path:path}", fake.metadata),
        Route("/{path:path}", fake.answer, methods=["GET", "POST"]),
    ]
    with serve_in_thread(Starlette(routes=routes)) as fake.url:
        yield fake


@cache
def private_key() -> str:
    """Return a private key for these tests only."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def service_account(fake: FakeTokenServer) -> dict[str, Any]:
    """Return a key file in the form of the Google Cloud console."""
    return {
        "type": "service_account",
        "project_id": "my-proj",
        "private_key_id": "0123",
        "private_key": private_key(),
        "client_email": ROBOT,
        "token_uri": f"{fake.url}/token",
    }


def user(_fake: FakeTokenServer) -> dict[str, Any]:
    """Return the file that `gcloud auth application-default login` writes."""
    return {
        "type": "authorized_user",
        "client_id": "764086051850-x.apps.googleusercontent.com",
        "client_secret": SECRETS["client_secret"],
        "refresh_token": SECRETS["refresh_token"],
        "quota_project_id": "counted-proj",
    }


def federated(
    fake: FakeTokenServer, source: dict[str, Any], *, account: str = ""
) -> dict[str, Any]:
    """Return a workload identity federation file; `source` is the location of the CI's token."""
    acting = f"{fake.url}/v1/projects/-/serviceAccounts/{account}:generateAccessToken"
    return {
        "type": "external_account",
        "audience": (
            "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q"
        ),
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{fake.url}/sts",
        "credential_source": source,
        **({"service_account_impersonation_url": acting} if account else {}),
    }


def github(fake: FakeTokenServer) -> dict[str, Any]:
    """Return the file of google-github-actions/auth: the token comes from a URL."""
    source = {
        "url": f"{fake.url}/oidc",
        "headers": {"Authorization": f"Bearer {SECRETS['job_token']}"},
        "format": {"type": "json", "subject_token_field_name": "value"},
    }
    return federated(fake, source, account=ROBOT)


def gitlab(fake: FakeTokenServer, folder: Path) -> dict[str, Any]:
    """Return the file of GitLab's template: the token is in a file of the job."""
    file = folder / "id-token"
    file.write_text(SECRETS["subject"], encoding="utf-8")
    return federated(fake, {"file": str(file)})


def impersonated(fake: FakeTokenServer) -> dict[str, Any]:
    """Return the file of `gcloud auth application-default login --impersonate-service-account`."""
    return {
        "type": "impersonated_service_account",
        "service_account_impersonation_url": (
            f"{fake.url}/v1/projects/-/serviceAccounts/{ROBOT}:generateAccessToken"
        ),
        "source_credentials": user(fake),
    }


def write_credentials(folder: Path, info: dict[str, Any] | str) -> dict[str, str]:
    """Write a credentials file and return the environment that names it."""
    file = folder / "credentials.json"
    file.write_text(info if isinstance(info, str) else json.dumps(info), encoding="utf-8")
    return {
        "GOOGLE_APPLICATION_CREDENTIALS": str(file),
        "HOME": str(folder),
        "NO_GCE_CHECK": "true",
    }
