"""The checks of Vertex AI, its bucket, and the account that reads the data for a job.

The checks create nothing: `testIamPermissions` returns the permissions of the caller to every
caller.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, date, datetime
from typing import Final

from tunedmodels.errors import ProviderError
from tunedmodels.providers import permissions
from tunedmodels.providers.auth.adc import in_domain, universe_domain
from tunedmodels.providers.auth.google import vertex_identity
from tunedmodels.providers.doctor.accounts import BUCKET_BINDING, AccountCheck
from tunedmodels.providers.doctor.findings import Findings
from tunedmodels.providers.doctor.probe import (
    RETRY_BUDGET_S,
    JsonObject,
    Probe,
    check_credentials,
)
from tunedmodels.providers.errors import STORAGE, VERTEX, ErrorMapping
from tunedmodels.providers.http import Http
from tunedmodels.providers.identity import CLOUD_PLATFORM
from tunedmodels.providers.storage.bucket import STORAGE_ENDPOINT, is_requester_pays
from tunedmodels.providers.vertex.names import endpoint_url
from tunedmodels.providers.vertex.read import JOBS_API_VERSION
from tunedmodels.schema.base_models import BaseModelInfo, SourcedFact, is_open_model
from tunedmodels.schema.project import VertexSettings

RESOURCE_MANAGER_ENDPOINT = "https://cloudresourcemanager.googleapis.com"
IAM_ENDPOINT = "https://iam.googleapis.com"

BaseModels = Sequence[tuple[str, BaseModelInfo | None]]
"""The base models as manifests name them, each with its row of the table, if it has one."""

_WAITING: Final = "TUNING_JOB_STATE_WAITING_FOR_QUOTA"
_QUOTA_CURE: Final = (
    "The quota `Global concurrent tuning jobs` covers all regions. Request an increase:\n"
    "    https://console.cloud.google.com/iam-admin/quotas?project=PROJECT"
)
_CREATE_BUCKET: Final = (
    "Create it:\n    gcloud storage buckets create gs://BUCKET --project=PROJECT "
    "--location=LOCATION --uniform-bucket-level-access"
)
_OTHER_BASE: Final = "Set another `baseModel`; to list them: tunedmodels models"
# The permissions that the provider needs, for jobs, models and endpoints.
_PROJECT_PERMISSIONS: Final = [
    "aiplatform.endpoints.delete",
    "aiplatform.endpoints.get",
    "aiplatform.endpoints.predict",
    "aiplatform.endpoints.undeploy",
    "aiplatform.models.delete",
    "aiplatform.models.get",
    "aiplatform.models.list",
    "aiplatform.models.update",
    "aiplatform.tuningJobs.cancel",
    "aiplatform.tuningJobs.create",
    "aiplatform.tuningJobs.get",
    "aiplatform.tuningJobs.list",
]
_OBJECT_PERMISSIONS: Final = [
    f"storage.objects.{verb}" for verb in ("create", "delete", "get", "list")
]


async def check_vertex(
    settings: VertexSettings,
    environ: Mapping[str, str],
    base_models: BaseModels,
    *,
    accounts: Collection[str] = (),
    today: date | None = None,
) -> Findings:
    """Check the permissions of the credential, and whether each base model can be tuned.

    `accounts` are the service accounts that models name instead of that of the provider. `today`
    (UTC) decides which base models have retired.
    """
    findings = Findings(
        {"PROJECT": settings.project, "BUCKET": settings.bucket, "LOCATION": settings.location}
    )
    identity = vertex_identity(environ)
    try:
        domain = universe_domain(environ)
    except ProviderError as error:
        findings.error("credentials", error)
        return findings
    endpoint = settings.endpoint or endpoint_url(settings.location, domain)
    if await check_credentials(
        identity,
        environ,
        findings,
        endpoint=endpoint,
        required_scopes=(CLOUD_PLATFORM,),
        cure=permissions.scopes_cure("aiplatform.googleapis.com"),
    ):
        async with AsyncExitStack() as stack:

            def open_probe(endpoint: str, mapping: ErrorMapping) -> Probe:
                http = Http(endpoint, identity, error_mapping=mapping, budget_s=RETRY_BUDGET_S)
                stack.push_async_callback(http.aclose)
                return Probe(http, findings)

            resources = open_probe(in_domain(RESOURCE_MANAGER_ENDPOINT, domain), VERTEX)
            jobs = open_probe(endpoint, VERTEX)
            if await _check_jobs(jobs, settings):
                await _check_project_permissions(resources, settings.project)
            storage_endpoint = settings.storage_endpoint or in_domain(STORAGE_ENDPOINT, domain)
            storage = open_probe(storage_endpoint, STORAGE)
            bucket = await _check_bucket(storage, settings)
            if bucket is not None:
                _check_retention(bucket, settings.bucket, findings)
                iam = open_probe(in_domain(IAM_ENDPOINT, domain), VERTEX)
                check = AccountCheck(storage, resources, iam, settings)
                await check.run(accounts, has_open=any(is_open_model(n) for n, _ in base_models))
    day = today or datetime.now(UTC).date()
    _check_base_models(base_models, settings.location, day, findings)
    return findings


async def _check_jobs(probe: Probe, settings: VertexSettings) -> bool:
    parent = f"projects/{settings.project}/locations/{settings.location}"
    jobs = await probe.check(
        "tuning-jobs",
        f"{JOBS_API_VERSION}/{parent}/tuningJobs?pageSize=100",
        describe=lambda _: f"can list the tuning jobs of {settings.project} in {settings.location}",
    )
    waiting = [
        job for job in (jobs or {}).get("tuningJobs") or () if job.get("tuningJobState") == _WAITING
    ]
    if waiting:
        probe.findings.warning(
            "quota", f"{len(waiting)} of the latest jobs wait for quota", _QUOTA_CURE
        )
    if probe.is_reachable:
        await probe.check(
            "models",
            f"v1/{parent}/models?pageSize=1",
            describe=lambda _: "can list the tuned models",
        )
    return jobs is not None


async def _check_project_permissions(probe: Probe, project: str) -> None:
    try:
        document = await probe.get(
            f"v3/projects/{project}:testIamPermissions",
            content={"permissions": _PROJECT_PERMISSIONS},
        )
    except ProviderError as error:
        probe.findings.unknown(
            "permissions",
            f"Cannot determine whether it may create jobs: {error.message}",
            error.cure,
        )
        return
    command = permissions.binding_command(
        "projects add-iam-policy-binding PROJECT", "MEMBER", "roles/aiplatform.user"
    )
    _record_permissions(probe.findings, "permissions", _PROJECT_PERMISSIONS, document, command)


async def _check_bucket(probe: Probe, settings: VertexSettings) -> JsonObject | None:
    path = f"storage/v1/b/{settings.bucket}"
    billed = await _billed_project(probe, path, settings.project)
    bucket = await probe.check(
        "bucket",
        f"{path}{billed and '?'}{billed}",
        describe=lambda document: (
            f"gs://{settings.bucket} in {document.get('location', 'an unknown location')}"
            + (f", requester pays: billed to {settings.project}" if billed else "")
        ),
        not_found=(f"The bucket {settings.bucket} does not exist.", _CREATE_BUCKET),
    )
    if bucket is None and not _lacks_bucket_permission(probe.findings):
        return None
    query = "&".join(f"permissions={permission}" for permission in _OBJECT_PERMISSIONS)
    query += f"&{billed}" if billed else ""
    try:
        document = await probe.get(f"{path}/iam/testPermissions?{query}")
    except ProviderError as error:
        probe.findings.error("bucket-permissions", error)
        return bucket
    command = permissions.binding_command(BUCKET_BINDING, "MEMBER", "roles/storage.objectUser")
    _record_permissions(
        probe.findings, "bucket-permissions", _OBJECT_PERMISSIONS, document, command
    )
    return bucket


async def _billed_project(probe: Probe, path: str, project: str) -> str:
    """Return the query that bills a requester-pays bucket to the project, "" for other buckets."""
    try:
        await probe.get(path)
    except ProviderError as error:
        if is_requester_pays(error):
            return f"userProject={project}"
    return ""


def _check_retention(bucket: JsonObject, name: str, findings: Findings) -> None:
    """Report settings of the bucket that keep objects, since the lock is replaced and deleted."""
    check = "bucket-retention"
    period = (bucket.get("retentionPolicy") or {}).get("retentionPeriod")
    cure = (
        "Set another `bucket`, or change this one:\n    gcloud storage buckets update gs://BUCKET"
    )
    if period:
        message = (
            f"gs://{name} retains objects for {int(period):,} s, so that it cannot have a lock."
        )
        findings.failed(check, message, f"{cure} --clear-retention-period")
    elif bucket.get("defaultEventBasedHold"):
        message = f"gs://{name} holds new objects by default, so that it cannot have a lock."
        findings.failed(check, message, f"{cure} --no-default-event-based-hold")
    else:
        findings.ok(check, "objects can be replaced and deleted")


def _lacks_bucket_permission(findings: Findings) -> bool:
    """Whether the last check failed for storage.buckets.get, which objects do not require."""
    return "storage.buckets.get" in findings.results[-1].message


def _record_permissions(
    findings: Findings, check: str, required: Sequence[str], document: JsonObject, command: str
) -> None:
    missing = sorted(set(required) - set(document.get("permissions") or ()))
    if missing:
        findings.failed(check, f"missing: {', '.join(missing)}", f"Grant it a role:\n    {command}")
    else:
        verbs = ", ".join(permission.partition(".")[2] for permission in required)
        findings.ok(check, f"has all required permissions: {verbs}")


def _check_base_models(
    base_models: BaseModels, location: str, today: date, findings: Findings
) -> None:
    for name, info in base_models:
        retirement = info.retirement if info else None
        if info is None or (info.tunable is None and info.tune_in is None):
            findings.unknown(
                "base-model",
                f"It is unknown whether {name} can be tuned in {location}.",
                "Add the base model to spec.baseModels of the Project when you know.",
            )
        elif info.tunable is False:
            findings.failed("base-model", f"{name} cannot be tuned.", _OTHER_BASE)
        elif retirement and info.retires_within(0, today) and retirement.certainty != "unofficial":
            message = f"{name} retired on {retirement.date}{_as_of(retirement)}."
            findings.failed("base-model", message, _OTHER_BASE)
        elif info.tune_in is None:
            findings.unknown("base-model", f"{name} can be tuned; the locations are unknown.")
        elif location in info.tune_in:
            findings.ok("base-model", f"{name} can be tuned in {location}{_as_of(info)}")
        else:
            locations = ", ".join(info.tune_in)
            findings.failed(
                "base-model",
                f"{name} cannot be tuned in {location}, only in {locations}{_as_of(info)}.",
                f"Set `location: {info.tune_in[0]}` for this provider, or add another provider.",
            )


def _as_of(info: SourcedFact) -> str:
    return f" (as of {info.as_of})" if info.as_of else ""
