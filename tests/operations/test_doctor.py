"""The checks of `tunedmodels doctor` on the machine, the Gemini API and Vertex AI."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
import stamina
from google.oauth2 import credentials

from tests.support.embedded_service import serve_in_thread, service
from tests.support.fakes.google_answers import FakeGoogleServices, google_services
from tests.support.fakes.google_tokens import (
    PERSON,
    PLATFORM,
    SECRETS,
    FakeTokenServer,
    service_account,
    token_server,
    user,
    write_credentials,
)
from tests.support.paths import GOLDEN as GOLDEN_FOLDER
from tests.support.paths import ROOT
from tests.support.project_dir import ProjectDir, project_dir
from tests.support.vertex.cloud import LoopbackCloud
from tests.support.vertex.service import loopback
from tunedmodels.operations import doctor
from tunedmodels.providers.auth import inspect
from tunedmodels.providers.doctor import gemini, vertex
from tunedmodels.providers.doctor.findings import (
    CheckResult,
    DoctorReport,
    Findings,
    Verdict,
    fill_placeholders,
)
from tunedmodels.render.doctor import doctor_json, doctor_schema, doctor_text
from tunedmodels.schema.base_models import BaseModelCatalog, BaseModelInfo
from tunedmodels.schema.project import VertexSettings

__all__ = ["project_dir"]

GOLDEN = GOLDEN_FOLDER / "doctor"
PLACE = "projects/my-proj/locations/europe-west4"
JOBS = f"GET /v1beta1/{PLACE}/tuningJobs"
MODELS = f"GET /v1/{PLACE}/models"
BUCKET = "/storage/v1/b/my-bucket"
PROJECT = "/v3/projects/my-proj"
AGENT = "serviceAccount:service-123@gcp-sa-vertex-tune.iam.gserviceaccount.com"
OBJECTS = [f"storage.objects.{verb}" for verb in ("create", "delete", "get", "list")]
ROW = BaseModelInfo(name="gemini-x", provider="vertex", tunable=True, tune_in=("us-central1",))


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=1):
        yield


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[FakeTokenServer, FakeGoogleServices]]:
    with token_server() as fake, google_services() as google:
        yield fake, google


@pytest.fixture
def fake(
    both: tuple[FakeTokenServer, FakeGoogleServices], monkeypatch: pytest.MonkeyPatch
) -> FakeTokenServer:
    tokens_, _ = both
    tokens_.scopes, tokens_.email = f"openid {PLATFORM}", PERSON
    monkeypatch.setattr(credentials, "_GOOGLE_OAUTH2_TOKEN_ENDPOINT", f"{tokens_.url}/token")
    monkeypatch.setattr(inspect, "TOKENINFO", f"{tokens_.url}/tokeninfo")
    return tokens_


@pytest.fixture
def google(
    both: tuple[FakeTokenServer, FakeGoogleServices], monkeypatch: pytest.MonkeyPatch
) -> FakeGoogleServices:
    """A project without any problem."""
    _, google = both
    google.table.clear()
    google.requests.clear()
    monkeypatch.setattr(vertex, "RESOURCE_MANAGER_ENDPOINT", google.url)
    monkeypatch.setattr(vertex, "IAM_ENDPOINT", google.url)
    google.respond(JOBS, {})
    google.respond(MODELS, {})
    google.respond(f"GET {BUCKET}", {"location": "EUROPE-WEST4", "projectNumber": "123"})
    google.respond(f"GET {BUCKET}/iam/testPermissions", {"permissions": OBJECTS})
    google.respond(f"GET {BUCKET}/iam", {"bindings": []})
    google.respond(f"GET {PROJECT}", {"name": "projects/123", "projectId": "my-proj"})
    google.respond(
        f"POST {PROJECT}:testIamPermissions", {"permissions": vertex._PROJECT_PERMISSIONS}
    )
    grant = {"role": "roles/aiplatform.tuningServiceAgent", "members": [AGENT]}
    google.respond(f"POST {PROJECT}:getIamPolicy", {"bindings": [grant]})
    return google


Bases = list[tuple[str, BaseModelInfo | None]]


def settings(google: FakeGoogleServices, **others: Any) -> VertexSettings:
    return VertexSettings(
        type="vertex",
        project="my-proj",
        location="europe-west4",
        bucket="my-bucket",
        endpoint=others.pop("endpoint", google.url),
        storage_endpoint=google.url,
        **others,
    )


def known(base: str = "gemini-3.5-flash") -> Bases:
    return [(base, BaseModelCatalog().get("vertex", base))]


def refuse(google: FakeGoogleServices, path: str, words: str, **info: Any) -> None:
    google.refuse(path, 403, words, status="PERMISSION_DENIED", **info)


def insufficient(fake: FakeTokenServer, google: FakeGoogleServices) -> None:
    fake.scopes = "openid https://www.googleapis.com/auth/userinfo.email"
    for path in (JOBS, MODELS, f"GET {BUCKET}"):
        refuse(
            google,
            path,
            "Request had insufficient authentication scopes.",
            reason="ACCESS_TOKEN_SCOPE_INSUFFICIENT",
            metadata={"service": "aiplatform.googleapis.com"},
        )


def disabled(_: FakeTokenServer, google: FakeGoogleServices) -> None:
    for path in (JOBS, MODELS):
        refuse(
            google,
            path,
            "Vertex AI API has not been used in project my-proj before or it is disabled.",
            reason="SERVICE_DISABLED",
            metadata={"service": "aiplatform.googleapis.com", "consumer": "projects/my-proj"},
        )


def no_role(_: FakeTokenServer, google: FakeGoogleServices) -> None:
    words = (
        f"Permission 'aiplatform.tuningJobs.list' denied on resource "
        f"'//aiplatform.googleapis.com/{PLACE}' (or it may not exist)."
    )
    refuse(google, JOBS, words)
    google.respond(f"GET {BUCKET}/iam/testPermissions", {"permissions": ["storage.objects.list"]})
    refuse(
        google,
        f"GET {BUCKET}",
        f"{PERSON} does not have storage.buckets.get access to the Google Cloud Storage bucket. "
        "Permission 'storage.buckets.get' denied on resource (or it may not exist).",
    )


def bucket_missing(_: FakeTokenServer, google: FakeGoogleServices) -> None:
    google.refuse(f"GET {BUCKET}", 404, "The specified bucket does not exist.")


def unreadable(_: FakeTokenServer, google: FakeGoogleServices) -> None:
    google.respond(f"POST {PROJECT}:getIamPolicy", {"bindings": []})


def no_resource_manager(_: FakeTokenServer, google: FakeGoogleServices) -> None:
    for path in (f"GET {PROJECT}", f"POST {PROJECT}:testIamPermissions"):
        refuse(
            google,
            path,
            "Cloud Resource Manager API has not been used in project my-proj before.",
            reason="SERVICE_DISABLED",
            metadata={
                "service": "cloudresourcemanager.googleapis.com",
                "consumer": "projects/my-proj",
            },
        )


def policies_are_hidden(_: FakeTokenServer, google: FakeGoogleServices) -> None:
    refuse(google, f"GET {BUCKET}/iam", "No.")
    google.respond(f"POST {PROJECT}:getIamPolicy", {"bindings": []})


STATES: dict[str, tuple[Callable[[FakeTokenServer, FakeGoogleServices], None], Bases]] = {
    "all-well": (lambda _fake, _google: None, known()),
    "insufficient-scopes": (insufficient, known()),
    "api-disabled": (disabled, known()),
    "no-role": (no_role, known()),
    "bucket-missing": (bucket_missing, known()),
    "bucket-unreadable": (unreadable, known()),
    "resource-manager-disabled": (no_resource_manager, [("gemini-unheard-of", None)]),
    "policies-are-hidden": (policies_are_hidden, known()),
    "base-elsewhere": (lambda _fake, _google: None, [("gemini-x", ROW)]),
}


VERTEX = DoctorReport("eu", "vertex: my-proj, europe-west4, gs://my-bucket", ())
GEMINI = DoctorReport("gemini", "gemini", ())


def check(
    golden: Callable[[Path, str], None],
    name: str,
    notes: Findings,
    about: DoctorReport = VERTEX,
    **changes: str,
) -> None:
    """Compare both formats with their golden files, with placeholders for ports and folders."""
    findings = notes.results
    for placeholder, text in changes.items():
        findings = [
            replace(result, message=result.message.replace(text, placeholder))
            for result in findings
        ]
    checkup = replace(about, findings=tuple(findings))
    golden(GOLDEN / f"{name}.txt", doctor_text([checkup]))
    golden(GOLDEN / f"{name}.json", doctor_json([checkup]))
    assert not any(secret in doctor_json([checkup]) for secret in (*SECRETS.values(), "ya29."))
    jsonschema.validate(json.loads(doctor_json([checkup])), doctor_schema())


@pytest.mark.parametrize("name", STATES)
async def test_every_state_is_reported_with_its_cure(
    name: str,
    fake: FakeTokenServer,
    google: FakeGoogleServices,
    tmp_path: Path,
    golden: Callable[[Path, str], None],
) -> None:
    arrange, bases = STATES[name]
    arrange(fake, google)
    notes = await vertex.check_vertex(
        settings(google), write_credentials(tmp_path, user(fake)), bases
    )
    check(golden, name, notes, HOME=str(tmp_path))


async def test_a_host_that_does_not_answer_is_reported(
    fake: FakeTokenServer,
    google: FakeGoogleServices,
    tmp_path: Path,
    golden: Callable[[Path, str], None],
) -> None:
    away = settings(google, endpoint="http://127.0.0.1:9")
    notes = await vertex.check_vertex(
        away, write_credentials(tmp_path, service_account(fake)), known()
    )
    check(golden, "unreachable", notes, HOME=str(tmp_path))
    assert sum(result.check == "models" for result in notes.results) == 0


async def test_without_a_credential_no_request_is_sent(
    google: FakeGoogleServices, tmp_path: Path, golden: Callable[[Path, str], None]
) -> None:
    environ = {"HOME": str(tmp_path), "NO_GCE_CHECK": "true"}
    hosted = VertexSettings(
        type="vertex", project="my-proj", location="europe-west4", bucket="my-bucket"
    )
    notes = await vertex.check_vertex(hosted, environ, known())
    check(golden, "no-credential", notes)
    notes = await gemini.check_gemini(
        "https://generativelanguage.googleapis.com", environ, ["models/x"]
    )
    check(golden, "no-credential-gemini", notes, GEMINI)
    assert google.requests == []


async def test_the_gemini_api_on_loopback_lists_the_tunable_models(
    tmp_path: Path, golden: Callable[[Path, str], None]
) -> None:
    with service(tmp_path) as embedded, serve_in_thread(embedded.app) as url:
        bases = ["models/counting-001", "models/gemini-1.5-flash-001-tuning"]
        notes = await gemini.check_gemini(url, {"GEMINI_API_KEY": "a-key"}, bases)
    check(golden, "gemini-on-loopback", notes, GEMINI, HERE=url.removeprefix("http://"))


async def test_a_login_without_the_tuning_scope_causes_a_warning(
    fake: FakeTokenServer, tmp_path: Path
) -> None:
    notes = await gemini.check_gemini(
        "https://127.0.0.1.invalid", write_credentials(tmp_path, user(fake)), []
    )
    scopes = next(result for result in notes.results if result.check == "scopes")
    assert scopes.verdict is Verdict.WARNING
    assert "generative-language.tuning" in scopes.cure


async def test_every_request_is_a_known_method_of_google(
    monkeypatch: pytest.MonkeyPatch, google: FakeGoogleServices, fake: FakeTokenServer
) -> None:
    cloud = LoopbackCloud()
    cloud.buckets.create_bucket("my-bucket")
    monkeypatch.setattr(vertex, "RESOURCE_MANAGER_ENDPOINT", google.url)
    monkeypatch.setattr(vertex, "IAM_ENDPOINT", google.url)
    google.table.clear()
    with loopback(cloud) as url:
        local = VertexSettings(
            type="vertex",
            project="proj-1",
            location="us-central1",
            bucket="my-bucket",
            endpoint=url,
            storage_endpoint=url,
        )
        notes = await vertex.check_vertex(
            local, {"GOOGLE_OAUTH_ACCESS_TOKEN": cloud.identity.issue()}, []
        )
    assert cloud.violations == []
    assert [result.message for result in notes.results if result.verdict is Verdict.FAILED] == []
    assert {seen.name.partition(".")[2] for seen in cloud.requests} == {
        "list", "get", "testIamPermissions"
    }  # fmt: skip


async def test_a_wrong_clock_is_reported(
    google: FakeGoogleServices,
    fake: FakeTokenServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tunedmodels.providers.doctor.probe._MAX_SKEW_S", -1.0)
    notes = await vertex.check_vertex(settings(google), write_credentials(tmp_path, user(fake)), [])
    assert [result.verdict for result in notes.results if result.check == "clock"] == [
        Verdict.WARNING
    ]


async def test_jobs_that_wait_for_quota_are_reported(
    google: FakeGoogleServices, fake: FakeTokenServer, tmp_path: Path
) -> None:
    jobs = [{"tuningJobState": vertex._WAITING}, {"state": "JOB_STATE_RUNNING"}]
    google.respond(JOBS, {"tuningJobs": jobs})
    notes = await vertex.check_vertex(settings(google), write_credentials(tmp_path, user(fake)), [])
    quota = next(result for result in notes.results if result.check == "quota")
    assert quota.verdict is Verdict.WARNING
    assert "1 of the latest jobs" in quota.message
    assert "project=my-proj" in quota.cure


async def test_the_declared_service_account_is_checked_instead_of_the_agent(
    google: FakeGoogleServices, fake: FakeTokenServer, tmp_path: Path
) -> None:
    account = "tuner@my-proj.iam.gserviceaccount.com"
    notes = await vertex.check_vertex(
        settings(google, service_account=account), write_credentials(tmp_path, user(fake)), []
    )
    agent = next(result for result in notes.results if result.check == "service-agent")
    assert agent.verdict is Verdict.FAILED
    assert f"--member=serviceAccount:{account}" in agent.cure


TUNER = "tuner@my-proj.iam.gserviceaccount.com"
ACCOUNT = f"/v1/projects/-/serviceAccounts/{TUNER}"
ACT_AS = {"permissions": ["iam.serviceAccounts.actAs"]}


def allow_account(google: FakeGoogleServices) -> None:
    """Allow everything that jobs which run as TUNER need."""
    reader = {"role": "roles/storage.objectViewer", "members": [f"serviceAccount:{TUNER}"]}
    google.respond(f"GET {BUCKET}/iam", {"bindings": [reader]})
    google.respond(f"POST {ACCOUNT}:testIamPermissions", ACT_AS)
    creator = {"role": "roles/iam.serviceAccountTokenCreator", "members": [AGENT]}
    google.respond(f"POST {ACCOUNT}:getIamPolicy", {"bindings": [creator]})


def lack_project(google: FakeGoogleServices, permission: str) -> None:
    granted = [each for each in vertex._PROJECT_PERMISSIONS if each != permission]
    google.respond(f"POST {PROJECT}:testIamPermissions", {"permissions": granted})


def lack_object(google: FakeGoogleServices, permission: str) -> None:
    granted = [each for each in OBJECTS if each != permission]
    google.respond(f"GET {BUCKET}/iam/testPermissions", {"permissions": granted})


LACKING: dict[str, tuple[Callable[[FakeGoogleServices], None], str, str, str]] = {
    **{
        permission: (
            lambda google, permission=permission: lack_project(google, permission),  # type: ignore[misc]  # mypy cannot infer the default
            "permissions",
            f"--member=user:{PERSON}",
            "--role=roles/aiplatform.user",
        )
        for permission in vertex._PROJECT_PERMISSIONS
    },
    **{
        permission: (
            lambda google, permission=permission: lack_object(google, permission),  # type: ignore[misc]  # mypy cannot infer the default
            "bucket-permissions",
            f"--member=user:{PERSON}",
            "--role=roles/storage.objectUser",
        )
        for permission in OBJECTS
    },
    "iam.serviceAccounts.actAs": (
        lambda google: google.respond(f"POST {ACCOUNT}:testIamPermissions", {}),
        "act-as",
        f"gcloud iam service-accounts add-iam-policy-binding {TUNER} --member=user:{PERSON}",
        "--role=roles/iam.serviceAccountUser",
    ),
    "token-creator": (
        lambda google: google.respond(f"POST {ACCOUNT}:getIamPolicy", {}),
        "token-creator",
        f"gcloud iam service-accounts add-iam-policy-binding {TUNER} --member={AGENT}",
        "--role=roles/iam.serviceAccountTokenCreator",
    ),
    "bucket-of-account": (
        lambda google: google.respond(f"GET {BUCKET}/iam", {}),
        "service-agent",
        f"gs://my-bucket --member=serviceAccount:{TUNER}",
        "--role=roles/storage.objectViewer",
    ),
}


@pytest.mark.parametrize("permission", LACKING)
async def test_each_missing_permission_is_reported_with_its_account_and_role(
    google: FakeGoogleServices, fake: FakeTokenServer, tmp_path: Path, permission: str
) -> None:
    allow_account(google)
    remove, check_name, member, role = LACKING[permission]
    environ = write_credentials(tmp_path, user(fake))
    account = settings(google, service_account=TUNER)
    complete = await vertex.check_vertex(account, environ, [])
    assert [e.message for e in complete.results if e.verdict is not Verdict.OK] == []
    remove(google)
    notes = await vertex.check_vertex(account, environ, [])
    (failed,) = [each for each in notes.results if each.verdict is not Verdict.OK]
    assert failed.check == check_name
    assert failed.verdict is Verdict.FAILED
    assert member in failed.cure
    assert role in failed.cure


async def test_the_tuning_agent_must_read_the_bucket_and_the_open_agent_write_it(
    google: FakeGoogleServices, fake: FakeTokenServer, tmp_path: Path
) -> None:
    google.respond(f"POST {PROJECT}:getIamPolicy", {})
    bases: Bases = [("google/gemma3@gemma-3-1b-it", None)]
    notes = await vertex.check_vertex(
        settings(google), write_credentials(tmp_path, user(fake)), bases
    )
    tune, managed = [each for each in notes.results if each.check == "service-agent"]
    assert f"--member={AGENT} --role=roles/storage.objectViewer" in tune.cure
    assert "The first tuning job of the project creates this account." in tune.cure
    agent = "serviceAccount:service-123@gcp-sa-vertex-moss-ft.iam.gserviceaccount.com"
    assert f"--member={agent} --role=roles/storage.objectUser" in managed.cure


@pytest.mark.parametrize(
    ("fields", "option"),
    [
        ({"retentionPolicy": {"retentionPeriod": "86400"}}, "--clear-retention-period"),
        ({"defaultEventBasedHold": True}, "--no-default-event-based-hold"),
    ],
)
async def test_a_bucket_that_keeps_objects_cannot_have_the_lock(
    google: FakeGoogleServices,
    fake: FakeTokenServer,
    tmp_path: Path,
    fields: dict[str, Any],
    option: str,
) -> None:
    google.respond(f"GET {BUCKET}", {"location": "EUROPE-WEST4", **fields})
    notes = await vertex.check_vertex(settings(google), write_credentials(tmp_path, user(fake)), [])
    (failed,) = [each for each in notes.results if each.verdict is not Verdict.OK]
    assert failed.check == "bucket-retention"
    assert failed.cure.endswith(f"gcloud storage buckets update gs://my-bucket {option}")


async def test_a_retired_base_model_fails(
    google: FakeGoogleServices, fake: FakeTokenServer, tmp_path: Path
) -> None:
    environ = write_credentials(tmp_path, user(fake))
    notes = await vertex.check_vertex(
        settings(google), environ, known("models/gemini-2.5-flash"), today=date(2026, 11, 28)
    )
    (failed,) = [each for each in notes.results if each.verdict is not Verdict.OK]
    assert failed.message == "models/gemini-2.5-flash retired on 2026-10-16 (as of 2026-11-28)."


@pytest.mark.parametrize(
    ("binding", "verdict"),
    [
        ({"role": "roles/storage.objectViewer", "members": [AGENT]}, Verdict.OK),
        ({"role": "roles/storage.objectViewer", "members": ["allUsers"]}, Verdict.OK),
        ({"role": "projects/my-proj/roles/own", "members": [AGENT]}, Verdict.UNKNOWN),
        (
            {"role": "roles/storage.objectViewer", "members": [AGENT], "condition": {"title": "x"}},
            Verdict.FAILED,
        ),
        ({"role": "roles/storage.objectViewer", "members": ["user:a@example.org"]}, Verdict.FAILED),
    ],
)
async def test_the_roles_of_the_agent_decide(
    google: FakeGoogleServices,
    fake: FakeTokenServer,
    tmp_path: Path,
    binding: dict[str, Any],
    verdict: Verdict,
) -> None:
    google.respond(f"GET {BUCKET}/iam", {"bindings": [binding]})
    google.respond(f"POST {PROJECT}:getIamPolicy", {})
    notes = await vertex.check_vertex(settings(google), write_credentials(tmp_path, user(fake)), [])
    assert next(e.verdict for e in notes.results if e.check == "service-agent") is verdict


def test_known_names_replace_the_placeholders_of_a_cure() -> None:
    cure = "gcloud x PROJECT --member=MEMBER --bucket=gs://BUCKET PROJECTS"
    assert fill_placeholders(cure, {"PROJECT": "p", "MEMBER": "user:a\\1", "BUCKET": ""}) == (
        "gcloud x p --member=user:a\\1 --bucket=gs://BUCKET PROJECTS"
    )


def test_commands_are_not_wrapped_and_control_sequences_are_escaped() -> None:
    command = "gcloud " + "x" * 200
    finding = CheckResult("bucket", Verdict.FAILED, "no\x1b[31m", f"Do:\n    {command}")
    text = doctor_text([DoctorReport("eu", "vertex", (finding,))])
    assert command in text
    assert "\x1b" not in text
    assert "1 of 1 checks failed." in text


def test_the_command_checks_the_providers_of_the_project(project_dir: ProjectDir) -> None:
    before = project_dir.files()
    ended = project_dir.run("doctor")
    assert ended.code == 0, ended.out
    assert "models/embedded-label-001 can be tuned here" in ended.out
    assert "gemini" not in ended.out
    document = json.loads(project_dir.run("doctor", "--format", "json").out)
    jsonschema.validate(document, doctor_schema())
    assert [report["name"] for report in document["checkups"]] == ["machine", "embedded"]
    assert project_dir.files() == before


def test_the_command_fails_if_a_check_fails(project_dir: ProjectDir) -> None:
    project_dir.model(baseModel="models/nothing-like-it")
    ended = project_dir.run("doctor")
    assert ended.code == 1
    assert "Name one of these in `baseModel`: models/embedded-label-001" in ended.out


def test_one_provider_can_be_named_and_a_wrong_name_gets_a_suggestion(
    project_dir: ProjectDir,
) -> None:
    proxy = {"HTTPS_PROXY": "http://u:pw@p:1"}
    ended = project_dir.run("doctor", "--provider", "gemini", env=proxy)
    assert ended.code == 1
    assert "export GEMINI_API_KEY=..." in ended.out
    assert "HTTPS_PROXY: requests go through p:1" in ended.out
    assert "pw" not in ended.out
    assert "Did you mean gemini?" in project_dir.run("doctor", "--provider", "gemin").err


@pytest.mark.parametrize(
    ("free", "verdict"), [(2**40, Verdict.OK), (2**29, Verdict.WARNING), (2**20, Verdict.FAILED)]
)
def test_a_nearly_full_disk_is_reported(
    free: int, verdict: Verdict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = SimpleNamespace(free=free)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    notes = Findings()
    doctor._check_disk(tmp_path / "not" / "yet", notes)
    assert [result.verdict for result in notes.results] == [Verdict.OK, verdict]


def test_the_documentation_lists_every_check_and_every_variable() -> None:
    root = ROOT
    page = (root / "docs/providers.md").read_text(encoding="utf-8")
    documents = [json.loads(file.read_text()) for file in GOLDEN.glob("*.json")]
    checks = {finding["check"] for file in documents for finding in file["checkups"][0]["findings"]}
    assert checks | {"act-as", "clock", "disk", "quota", "store", "token-creator"} == set(
        re.findall(
            r"`([a-z-]+)`", " ".join(re.findall(r"^\| (`[a-z`, -]+`) \|", page, re.MULTILINE))
        )
    )
    modules = [
        *root.glob("tunedmodels/providers/auth/*.py"),
        root / "tunedmodels/providers/identity.py",
    ]
    code = " ".join(module.read_text(encoding="utf-8") for module in modules)
    read = set(re.findall(r"\"((?:GEMINI|GOOGLE|GCE|NO_GCE|CLOUDSDK|SSL)_[A-Z_]+)\"", code))
    assert read == {*re.findall(r"`((?:[A-Z]+_)+[A-Z]+)(?:=true)?`", page)} - {"HTTPS_PROXY"}
