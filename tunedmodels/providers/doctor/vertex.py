"""The checks of Vertex AI, its bucket, and the account that reads the data for a job.

The checks create nothing: `testIamPermissions` returns the permissions of the caller to every
caller.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Final

from tunedmodels.errors import ProviderError
from tunedmodels.providers import permissions
from tunedmodels.providers.auth.google import vertex_identity
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
from tunedmodels.providers.storage.bucket import STORAGE_ENDPOINT
from tunedmodels.providers.vertex.names import endpoint_url
from tunedmodels.providers.vertex.read import JOBS_API_VERSION
from tunedmodels.schema.base_models import BaseModelInfo
from tunedmodels.schema.project import VertexSettings

RESOURCE_MANAGER_ENDPOINT = "https://cloudresourcemanager.googleapis.com"

BaseModels = Sequence[tuple[str, BaseModelInfo | None]]
"""The names of base models, each with its row of the table, if it has one."""

_WAITING: Final = "TUNING_JOB_STATE_WAITING_FOR_QUOTA"
_QUOTA_CURE: Final = (
    "The quota `Global concurrent tuning jobs` covers all regions. Request an increase:\n"
    "    https://console.cloud.google.com/iam-admin/quotas?project=PROJECT"
)
_CREATE_BUCKET: Final = (
    "Create it:\n    gcloud storage buckets create gs://BUCKET --project=PROJECT "
    "--location=LOCATION --uniform-bucket-level-access"
)
_BUCKET_BINDING: Final = "storage buckets add-iam-policy-binding gs://BUCKET"
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
_SERVICE_AGENT: Final = "service-agent"  # the name of the check
_READER_ROLE: Final = "roles/storage.objectViewer"
# Predefined roles that contain storage.objects.get.
_READER_ROLES: Final = {
    "roles/aiplatform.serviceAgent",
    "roles/editor",
    "roles/owner",
    "roles/storage.admin",
    "roles/storage.legacyObjectOwner",
    "roles/storage.legacyObjectReader",
    "roles/storage.objectAdmin",
    "roles/storage.objectUser",
    _READER_ROLE,
}
_PUBLIC_MEMBERS: Final = {"allUsers", "allAuthenticatedUsers"}


async def check_vertex(
    settings: VertexSettings, environ: Mapping[str, str], base_models: BaseModels
) -> Findings:
    """Check the permissions of the credential, and whether each base model can be tuned."""
    findings = Findings(
        {"PROJECT": settings.project, "BUCKET": settings.bucket, "LOCATION": settings.location}
    )
    identity = vertex_identity(environ)
    endpoint = settings.endpoint or endpoint_url(settings.location)
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

            resources = open_probe(RESOURCE_MANAGER_ENDPOINT, VERTEX)
            jobs = open_probe(endpoint, VERTEX)
            if await _check_jobs(jobs, settings):
                await _check_project_permissions(resources, settings.project)
            storage = open_probe(settings.storage_endpoint or STORAGE_ENDPOINT, STORAGE)
            if await _check_bucket(storage, settings):
                await _check_service_agent(storage, resources, settings)
    _check_base_models(base_models, settings.location, findings)
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
    bucket = await probe.check(
        "bucket",
        path,
        describe=lambda document: (
            f"gs://{settings.bucket} in {document.get('location', 'an unknown location')}"
        ),
        not_found=(f"The bucket {settings.bucket} does not exist.", _CREATE_BUCKET),
    )
    if bucket is None and not _lacks_bucket_permission(probe.findings):
        return None
    query = "&".join(f"permissions={permission}" for permission in _OBJECT_PERMISSIONS)
    try:
        document = await probe.get(f"{path}/iam/testPermissions?{query}")
    except ProviderError as error:
        probe.findings.error("bucket-permissions", error)
        return bucket
    command = permissions.binding_command(_BUCKET_BINDING, "MEMBER", "roles/storage.objectUser")
    _record_permissions(
        probe.findings, "bucket-permissions", _OBJECT_PERMISSIONS, document, command
    )
    return bucket


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


def _check_base_models(base_models: BaseModels, location: str, findings: Findings) -> None:
    for name, info in base_models:
        if info is None or (info.tunable is None and info.tune_in is None):
            findings.unknown(
                "base-model",
                f"It is unknown whether {name} can be tuned in {location}.",
                "Add the base model to spec.baseModels of the Project when you know.",
            )
        elif info.tunable is False:
            findings.failed("base-model", f"{name} cannot be tuned.", "Set another `baseModel`.")
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


def _as_of(info: BaseModelInfo) -> str:
    return f" (as of {info.as_of})" if info.as_of else ""


async def _check_service_agent(storage: Probe, resources: Probe, settings: VertexSettings) -> None:
    """Check whether the account that reads the examples for a job can read the bucket.

    It is the service account of the provider or the service agent of the project, not the caller,
    so that a job may fail on a bucket that the caller can read. Its roles are in the policies of
    the bucket and of the project. If the caller cannot read those, the result is unknown, and the
    cure says how to grant the role.
    """
    findings = storage.findings
    account = settings.service_account or await _service_agent(resources, settings)
    if account is None:
        return
    member = f"serviceAccount:{account}"
    command = permissions.binding_command(_BUCKET_BINDING, member, _READER_ROLE)
    cure = f"Allow it to read the bucket:\n    {command}"
    policies = [
        await _policy(storage, f"storage/v1/b/{settings.bucket}/iam"),
        await _policy(
            resources, f"v3/projects/{settings.project}:getIamPolicy", content={"options": {}}
        ),
    ]
    roles = sorted({role for policy in policies if policy for role in _roles(policy, member)})
    if reader_role := next((role for role in roles if role in _READER_ROLES), ""):
        findings.ok(_SERVICE_AGENT, f"{account} can read the bucket ({reader_role})")
    elif any(policy is None for policy in policies) or roles:
        reason = f"its roles are {', '.join(roles)}" if roles else "its roles cannot be read"
        findings.unknown(
            _SERVICE_AGENT,
            f"Cannot determine whether {account} can read the bucket: {reason}.",
            cure,
        )
    else:
        findings.failed(_SERVICE_AGENT, f"{account} cannot read gs://{settings.bucket}.", cure)


async def _service_agent(probe: Probe, settings: VertexSettings) -> str | None:
    """Return the service agent of the project; its name contains the project number."""
    try:
        document = await probe.get(f"v3/projects/{settings.project}")
    except ProviderError as error:
        probe.findings.unknown(
            _SERVICE_AGENT,
            "Cannot determine whether the service agent can read the bucket, since the number of "
            f"{settings.project} is unknown: {error.message}",
            "Find the number and allow the agent to read the bucket:\n"
            "    gcloud projects describe PROJECT --format='value(projectNumber)'\n"
            "    gcloud storage buckets add-iam-policy-binding gs://BUCKET "
            "--member=serviceAccount:service-NUMBER@gcp-sa-aiplatform.iam.gserviceaccount.com "
            f"--role={_READER_ROLE}",
        )
        return None
    number = str(document.get("name", "")).rpartition("/")[2]
    return f"service-{number}@gcp-sa-aiplatform.iam.gserviceaccount.com"


async def _policy(probe: Probe, path: str, *, content: object = None) -> JsonObject | None:
    try:
        return await probe.get(path, content=content)
    except ProviderError:
        return None


def _roles(policy: JsonObject, member: str) -> Iterator[str]:
    for binding in policy.get("bindings") or ():
        # A condition may exclude the bucket, so that such a binding proves nothing.
        members = set(binding.get("members") or ())
        if {member, *_PUBLIC_MEMBERS} & members and not binding.get("condition"):
            yield str(binding.get("role", ""))
