from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
import stamina
from google.oauth2 import credentials

from tests.support.embedded_service import listening, service
from tests.support.fakes.google_answers import Answers, answers
from tests.support.fakes.google_tokens import (
    PERSON,
    PLATFORM,
    SECRETS,
    Tokens,
    lay,
    service_account,
    tokens,
    user,
)
from tests.support.paths import GOLDEN as GOLDEN_FOLDER
from tests.support.paths import ROOT
from tests.support.project_dir import Desk, desk
from tests.support.vertex.cloud import Cloud
from tests.support.vertex.service import loopback
from tunedmodels.operations import doctor
from tunedmodels.providers.auth import inspect
from tunedmodels.providers.doctor import gemini, vertex
from tunedmodels.providers.doctor.findings import Checkup, Finding, Notes, Verdict, filled
from tunedmodels.render.doctor import DOCTOR_SCHEMA, doctor_document, doctor_text
from tunedmodels.schema.base_models import BaseModelRow, BaseModels
from tunedmodels.schema.project import VertexSettings

__all__ = ["desk"]

GOLDEN = GOLDEN_FOLDER / "doctor"
PLACE = "projects/my-proj/locations/europe-west4"
JOBS = f"GET /v1beta1/{PLACE}/tuningJobs"
MODELS = f"GET /v1/{PLACE}/models"
BUCKET = "/storage/v1/b/my-bucket"
PROJECT = "/v3/projects/my-proj"
AGENT = "serviceAccount:service-123@gcp-sa-aiplatform.iam.gserviceaccount.com"
OBJECTS = [f"storage.objects.{verb}" for verb in ("create", "delete", "get", "list")]
ROW = BaseModelRow(name="gemini-x", provider="vertex", tunable=True, tune_in=("us-central1",))


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=1):
        yield


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[Tokens, Answers]]:
    with tokens() as fake, answers() as google:
        yield fake, google


@pytest.fixture
def fake(both: tuple[Tokens, Answers], monkeypatch: pytest.MonkeyPatch) -> Tokens:
    tokens_, _ = both
    tokens_.scopes, tokens_.email = f"openid {PLATFORM}", PERSON
    monkeypatch.setattr(credentials, "_GOOGLE_OAUTH2_TOKEN_ENDPOINT", f"{tokens_.url}/token")
    monkeypatch.setattr(inspect, "TOKENINFO", f"{tokens_.url}/tokeninfo")
    return tokens_


@pytest.fixture
def google(both: tuple[Tokens, Answers], monkeypatch: pytest.MonkeyPatch) -> Answers:
    """A project in which all is well."""
    _, google = both
    google.table.clear()
    google.asked.clear()
    monkeypatch.setattr(vertex, "RESOURCES", google.url)
    google.say(JOBS, {})
    google.say(MODELS, {})
    google.say(f"GET {BUCKET}", {"location": "EUROPE-WEST4", "projectNumber": "123"})
    google.say(f"GET {BUCKET}/iam/testPermissions", {"permissions": OBJECTS})
    google.say(f"GET {BUCKET}/iam", {"bindings": []})
    google.say(f"GET {PROJECT}", {"name": "projects/123", "projectId": "my-proj"})
    google.say(f"POST {PROJECT}:testIamPermissions", {"permissions": vertex._NEEDED})
    grant = {"role": "roles/aiplatform.serviceAgent", "members": [AGENT]}
    google.say(f"POST {PROJECT}:getIamPolicy", {"bindings": [grant]})
    return google


Bases = list[tuple[str, BaseModelRow | None]]


def settings(google: Answers, **others: Any) -> VertexSettings:
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
    return [(base, BaseModels().find("vertex", base))]


def refuse(google: Answers, path: str, words: str, **info: Any) -> None:
    google.refuse(path, 403, words, status="PERMISSION_DENIED", **info)


def insufficient(fake: Tokens, google: Answers) -> None:
    fake.scopes = "openid https://www.googleapis.com/auth/userinfo.email"
    for path in (JOBS, MODELS, f"GET {BUCKET}"):
        refuse(
            google,
            path,
            "Request had insufficient authentication scopes.",
            reason="ACCESS_TOKEN_SCOPE_INSUFFICIENT",
            metadata={"service": "aiplatform.googleapis.com"},
        )


def disabled(_: Tokens, google: Answers) -> None:
    for path in (JOBS, MODELS):
        refuse(
            google,
            path,
            "Vertex AI API has not been used in project my-proj before or it is disabled.",
            reason="SERVICE_DISABLED",
            metadata={"service": "aiplatform.googleapis.com", "consumer": "projects/my-proj"},
        )


def no_role(_: Tokens, google: Answers) -> None:
    words = (
        f"Permission 'aiplatform.tuningJobs.list' denied on resource "
        f"'//aiplatform.googleapis.com/{PLACE}' (or it may not exist)."
    )
    refuse(google, JOBS, words)
    google.say(f"GET {BUCKET}/iam/testPermissions", {"permissions": ["storage.objects.list"]})
    refuse(
        google,
        f"GET {BUCKET}",
        f"{PERSON} does not have storage.buckets.get access to the Google Cloud Storage bucket. "
        "Permission 'storage.buckets.get' denied on resource (or it may not exist).",
    )


def bucket_missing(_: Tokens, google: Answers) -> None:
    google.refuse(f"GET {BUCKET}", 404, "The specified bucket does not exist.")


def unreadable(_: Tokens, google: Answers) -> None:
    google.say(f"POST {PROJECT}:getIamPolicy", {"bindings": []})


def nobody_tells(_: Tokens, google: Answers) -> None:
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


def policies_are_hidden(_: Tokens, google: Answers) -> None:
    refuse(google, f"GET {BUCKET}/iam", "No.")
    google.say(f"POST {PROJECT}:getIamPolicy", {"bindings": []})


STATES: dict[str, tuple[Callable[[Tokens, Answers], None], Bases]] = {
    "all-well": (lambda _fake, _google: None, known()),
    "insufficient-scopes": (insufficient, known()),
    "api-disabled": (disabled, known()),
    "no-role": (no_role, known()),
    "bucket-missing": (bucket_missing, known()),
    "bucket-unreadable": (unreadable, known()),
    "nobody-tells": (nobody_tells, [("gemini-unheard-of", None)]),
    "policies-are-hidden": (policies_are_hidden, known()),
    "base-elsewhere": (lambda _fake, _google: None, [("gemini-x", ROW)]),
}


VERTEX = Checkup("eu", "vertex: my-proj, europe-west4, gs://my-bucket", ())
GEMINI = Checkup("gemini", "gemini", ())


def check(
    golden: Callable[[Path, str], None],
    name: str,
    notes: Notes,
    about: Checkup = VERTEX,
    **changes: str,
) -> None:
    """Compare both forms with their golden files, whatever the port and the folder are."""
    findings = notes.findings
    for shown, seen in changes.items():
        findings = [replace(each, words=each.words.replace(seen, shown)) for each in findings]
    checkup = replace(about, findings=tuple(findings))
    golden(GOLDEN / f"{name}.txt", doctor_text([checkup]))
    golden(GOLDEN / f"{name}.json", doctor_document([checkup]))
    assert not any(secret in doctor_document([checkup]) for secret in (*SECRETS.values(), "ya29."))
    jsonschema.validate(json.loads(doctor_document([checkup])), DOCTOR_SCHEMA)


@pytest.mark.parametrize("name", STATES)
async def test_every_state_is_told_with_what_mends_it(
    name: str, fake: Tokens, google: Answers, tmp_path: Path, golden: Callable[[Path, str], None]
) -> None:
    arrange, bases = STATES[name]
    arrange(fake, google)
    notes = await vertex.look(settings(google), lay(tmp_path, user(fake)), bases)
    check(golden, name, notes, HOME=str(tmp_path))


async def test_a_host_that_does_not_answer_is_named(
    fake: Tokens, google: Answers, tmp_path: Path, golden: Callable[[Path, str], None]
) -> None:
    away = settings(google, endpoint="http://127.0.0.1:9")
    notes = await vertex.look(away, lay(tmp_path, service_account(fake)), known())
    check(golden, "unreachable", notes, HOME=str(tmp_path))
    assert sum(each.check == "models" for each in notes.findings) == 0


async def test_without_any_credential_nothing_is_asked(
    google: Answers, tmp_path: Path, golden: Callable[[Path, str], None]
) -> None:
    nobody = {"HOME": str(tmp_path), "NO_GCE_CHECK": "true"}
    hosted = VertexSettings(
        type="vertex", project="my-proj", location="europe-west4", bucket="my-bucket"
    )
    notes = await vertex.look(hosted, nobody, known())
    check(golden, "no-credential", notes)
    notes = await gemini.look("https://generativelanguage.googleapis.com", nobody, ["models/x"])
    check(golden, "no-credential-gemini", notes, GEMINI)
    assert google.asked == []


async def test_the_gemini_api_on_loopback_says_what_can_be_tuned(
    tmp_path: Path, golden: Callable[[Path, str], None]
) -> None:
    with service(tmp_path) as embedded, listening(embedded.app) as url:
        bases = ["models/counting-001", "models/gemini-1.5-flash-001-tuning"]
        notes = await gemini.look(url, {"GEMINI_API_KEY": "a-key"}, bases)
    check(golden, "gemini-on-loopback", notes, GEMINI, HERE=url.removeprefix("http://"))


async def test_a_login_without_the_tuning_scope_is_warned_of(fake: Tokens, tmp_path: Path) -> None:
    notes = await gemini.look("https://127.0.0.1.invalid", lay(tmp_path, user(fake)), [])
    scopes = next(each for each in notes.findings if each.check == "scopes")
    assert scopes.verdict is Verdict.WARNING
    assert "generative-language.tuning" in scopes.cure


async def test_every_question_is_one_that_google_knows(
    monkeypatch: pytest.MonkeyPatch, google: Answers, fake: Tokens
) -> None:
    cloud = Cloud()
    cloud.buckets.make("my-bucket")
    monkeypatch.setattr(vertex, "RESOURCES", google.url)
    google.table.clear()
    with loopback(cloud) as url:
        there = VertexSettings(
            type="vertex",
            project="proj-1",
            location="us-central1",
            bucket="my-bucket",
            endpoint=url,
            storage_endpoint=url,
        )
        notes = await vertex.look(there, {"GOOGLE_OAUTH_ACCESS_TOKEN": cloud.identity.issue()}, [])
    assert cloud.violations == []
    assert [each.words for each in notes.findings if each.verdict is Verdict.FAILED] == []
    assert {seen.name.partition(".")[2] for seen in cloud.seen} == {
        "list", "get", "testIamPermissions"
    }  # fmt: skip


async def test_a_clock_that_is_off_is_told(
    google: Answers, fake: Tokens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tunedmodels.providers.doctor.probe._SKEW_S", -1.0)
    notes = await vertex.look(settings(google), lay(tmp_path, user(fake)), [])
    assert [each.verdict for each in notes.findings if each.check == "clock"] == [Verdict.WARNING]


async def test_jobs_that_wait_for_quota_are_told(
    google: Answers, fake: Tokens, tmp_path: Path
) -> None:
    jobs = [{"tuningJobState": vertex._WAITING}, {"state": "JOB_STATE_RUNNING"}]
    google.say(JOBS, {"tuningJobs": jobs})
    notes = await vertex.look(settings(google), lay(tmp_path, user(fake)), [])
    quota = next(each for each in notes.findings if each.check == "quota")
    assert quota.verdict is Verdict.WARNING
    assert "1 of the latest jobs" in quota.words
    assert "project=my-proj" in quota.cure


async def test_the_account_that_jobs_run_as_is_looked_at_in_the_place_of_the_agent(
    google: Answers, fake: Tokens, tmp_path: Path
) -> None:
    of_ours = "tuner@my-proj.iam.gserviceaccount.com"
    notes = await vertex.look(
        settings(google, service_account=of_ours), lay(tmp_path, user(fake)), []
    )
    agent = next(each for each in notes.findings if each.check == "service-agent")
    assert agent.verdict is Verdict.FAILED
    assert f"--member=serviceAccount:{of_ours}" in agent.cure


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
    google: Answers, fake: Tokens, tmp_path: Path, binding: dict[str, Any], verdict: Verdict
) -> None:
    google.say(f"GET {BUCKET}/iam", {"bindings": [binding]})
    google.say(f"POST {PROJECT}:getIamPolicy", {})
    notes = await vertex.look(settings(google), lay(tmp_path, user(fake)), [])
    assert next(e.verdict for e in notes.findings if e.check == "service-agent") is verdict


def test_names_are_filled_in_as_far_as_they_are_known() -> None:
    cure = "gcloud x PROJECT --member=MEMBER --bucket=gs://BUCKET PROJECTS"
    assert filled(cure, {"PROJECT": "p", "MEMBER": "user:a\\1", "BUCKET": ""}) == (
        "gcloud x p --member=user:a\\1 --bucket=gs://BUCKET PROJECTS"
    )


def test_a_command_of_a_cure_is_never_wrapped_and_nothing_steers_the_terminal() -> None:
    command = "gcloud " + "x" * 200
    finding = Finding("bucket", Verdict.FAILED, "no\x1b[31m", f"Do:\n    {command}")
    text = doctor_text([Checkup("eu", "vertex", (finding,))])
    assert command in text
    assert "\x1b" not in text
    assert "1 of 1 checks failed." in text


def test_the_command_looks_at_what_the_project_uses(desk: Desk) -> None:
    before = desk.files()
    ended = desk.run("doctor")
    assert ended.code == 0, ended.out
    assert "models/embedded-label-001 can be tuned here" in ended.out
    assert "gemini" not in ended.out
    document = json.loads(desk.run("doctor", "--format", "json").out)
    jsonschema.validate(document, DOCTOR_SCHEMA)
    assert [each["name"] for each in document["checkups"]] == ["machine", "embedded"]
    assert desk.files() == before


def test_the_command_fails_when_something_does(desk: Desk) -> None:
    desk.model(baseModel="models/nothing-like-it")
    ended = desk.run("doctor")
    assert ended.code == 1
    assert "Name one of these in `baseModel`: models/embedded-label-001" in ended.out


def test_one_provider_may_be_asked_for_and_a_wrong_name_gets_the_nearest(desk: Desk) -> None:
    proxy = {"HTTPS_PROXY": "http://u:pw@p:1"}
    ended = desk.run("doctor", "--provider", "gemini", env=proxy)
    assert ended.code == 1
    assert "export GEMINI_API_KEY=..." in ended.out
    assert "HTTPS_PROXY: other machines are asked through p:1" in ended.out
    assert "pw" not in ended.out
    assert "Did you mean gemini?" in desk.run("doctor", "--provider", "gemin").err


@pytest.mark.parametrize(
    ("free", "verdict"), [(2**40, Verdict.OK), (2**29, Verdict.WARNING), (2**20, Verdict.FAILED)]
)
def test_a_disk_that_is_nearly_full_is_told(
    free: int, verdict: Verdict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = SimpleNamespace(free=free)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    notes = Notes()
    doctor._look_at_disk(tmp_path / "not" / "yet", notes)
    assert [each.verdict for each in notes.findings] == [Verdict.OK, verdict]


def test_the_page_names_every_check_and_every_variable() -> None:
    root = ROOT
    page = (root / "docs/providers.md").read_text(encoding="utf-8")
    documents = [json.loads(file.read_text()) for file in GOLDEN.glob("*.json")]
    checks = {each["check"] for file in documents for each in file["checkups"][0]["findings"]}
    assert checks | {"clock", "disk", "quota", "store"} == set(
        re.findall(
            r"`([a-z-]+)`", " ".join(re.findall(r"^\| (`[a-z`, -]+`) \|", page, re.MULTILINE))
        )
    )
    rooms = [
        *root.glob("tunedmodels/providers/auth/*.py"),
        root / "tunedmodels/providers/identity.py",
    ]
    code = " ".join(room.read_text(encoding="utf-8") for room in rooms)
    read = set(re.findall(r"\"((?:GEMINI|GOOGLE|GCE|NO_GCE|CLOUDSDK|SSL)_[A-Z_]+)\"", code))
    assert read == {*re.findall(r"`((?:[A-Z]+_)+[A-Z]+)(?:=true)?`", page)} - {"HTTPS_PROXY"}
