"""A checkup of Vertex AI, its bucket, and the account that reads the data for a job.

Nothing is created: what a credential may do is asked of `testIamPermissions`, which answers
everybody about themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack

from tunedmodels.errors import ProviderError
from tunedmodels.providers import permissions
from tunedmodels.providers.auth.google import vertex_identity
from tunedmodels.providers.doctor.findings import Notes
from tunedmodels.providers.doctor.probe import BUDGET_S, Asker, Facts, look_at_credentials
from tunedmodels.providers.errors import STORAGE, VERTEX, Manners
from tunedmodels.providers.http import Http
from tunedmodels.providers.identity import CLOUD_PLATFORM
from tunedmodels.providers.vertex.names import host
from tunedmodels.providers.vertex.read import READ
from tunedmodels.schema.base_models import BaseModelRow
from tunedmodels.schema.project import VertexSettings

RESOURCES = "https://cloudresourcemanager.googleapis.com"
_STORAGE_HOST = "https://storage.googleapis.com"
_WAITING = "TUNING_JOB_STATE_WAITING_FOR_QUOTA"
_QUOTA_CURE = (
    "The quota `Global concurrent tuning jobs` counts all regions; ask for more of it:\n"
    "    https://console.cloud.google.com/iam-admin/quotas?project=PROJECT"
)
_CREATE_BUCKET = (
    "Create it:\n    gcloud storage buckets create gs://BUCKET --project=PROJECT "
    "--location=LOCATION --uniform-bucket-level-access"
)
_NEEDED = [  # what the provider calls, job by job and model by model
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
_OBJECTS = [f"storage.objects.{verb}" for verb in ("create", "delete", "get", "list")]


async def look(
    settings: VertexSettings,
    environ: Mapping[str, str],
    bases: Sequence[tuple[str, BaseModelRow | None]],
) -> Notes:
    """Ask what the credential may do, and whether each of `bases` is tuned in this location."""
    notes = Notes({"PROJECT": settings.project, "BUCKET": settings.bucket})
    notes.names["LOCATION"] = settings.location
    identity = vertex_identity(environ)
    endpoint = settings.endpoint or host(settings.location)
    if await look_at_credentials(
        identity,
        environ,
        notes,
        endpoint=endpoint,
        needed=(CLOUD_PLATFORM,),
        cure=permissions.scopes_cure("aiplatform.googleapis.com"),
    ):
        async with AsyncExitStack() as stack:

            def asker(endpoint: str, manners: Manners) -> Asker:
                http = Http(endpoint, identity, manners=manners, budget_s=BUDGET_S)
                stack.push_async_callback(http.aclose)
                return Asker(http, notes)

            resources = asker(RESOURCES, VERTEX)
            jobs = asker(endpoint, VERTEX)
            if await _look_at_jobs(jobs, settings):
                await _look_at_permissions(resources, settings.project)
            storage = asker(settings.storage_endpoint or _STORAGE_HOST, STORAGE)
            if await _look_at_bucket(storage, settings):
                await look_at_agent(storage, resources, settings)
    _look_at_bases(bases, settings.location, notes)
    return notes


async def _look_at_jobs(asker: Asker, settings: VertexSettings) -> bool:
    parent = f"projects/{settings.project}/locations/{settings.location}"
    jobs = await asker.ask(
        "tuning-jobs",
        f"{READ}/{parent}/tuningJobs?pageSize=100",
        well=lambda _: f"may list the tuning jobs of {settings.project} in {settings.location}",
    )
    waiting = [
        job for job in (jobs or {}).get("tuningJobs") or () if job.get("tuningJobState") == _WAITING
    ]
    if waiting:
        asker.notes.warn(
            "quota", f"waiting for quota: {len(waiting)} of the latest jobs", _QUOTA_CURE
        )
    if asker.is_reachable:
        await asker.ask(
            "models", f"v1/{parent}/models?pageSize=1", well=lambda _: "may list the tuned models"
        )
    return jobs is not None


async def _look_at_permissions(asker: Asker, project: str) -> None:
    try:
        facts = await asker.look(
            f"v3/projects/{project}:testIamPermissions", content={"permissions": _NEEDED}
        )
    except ProviderError as error:
        asker.notes.unknown(
            "permissions", f"Whether it may create jobs cannot be told: {error.message}", error.cure
        )
        return
    _note_permissions(
        asker.notes,
        "permissions",
        _NEEDED,
        facts,
        permissions.binding(
            "projects add-iam-policy-binding PROJECT", "MEMBER", "roles/aiplatform.user"
        ),
    )


async def _look_at_bucket(asker: Asker, settings: VertexSettings) -> Facts | None:
    bucket = f"storage/v1/b/{settings.bucket}"
    found = await asker.ask(
        "bucket",
        bucket,
        well=lambda facts: f"gs://{settings.bucket} in {facts.get('location', 'a place unknown')}",
        missing=(
            f"There is no bucket {settings.bucket}.",
            _CREATE_BUCKET,
        ),
    )
    if found is None and not _is_denied(asker.notes):
        return None
    query = "&".join(f"permissions={each}" for each in _OBJECTS)
    try:
        facts = await asker.look(f"{bucket}/iam/testPermissions?{query}")
    except ProviderError as error:
        asker.notes.refused("bucket-permissions", error)
        return found
    role = "roles/storage.objectUser"
    command = permissions.binding(
        "storage buckets add-iam-policy-binding gs://BUCKET", "MEMBER", role
    )
    _note_permissions(asker.notes, "bucket-permissions", _OBJECTS, facts, command)
    return found


def _is_denied(notes: Notes) -> bool:
    """Whether the bucket may not be looked at, which does not say what may be done in it."""
    return "storage.buckets.get" in notes.findings[-1].words


def _note_permissions(
    notes: Notes, check: str, needed: Sequence[str], facts: Facts, command: str
) -> None:
    missing = sorted(set(needed) - set(facts.get("permissions") or ()))
    if missing:
        notes.failed(check, f"missing: {', '.join(missing)}", f"Give it a role:\n    {command}")
    else:
        verbs = ", ".join(each.partition(".")[2] for each in needed)
        notes.well(check, f"may do all that is needed: {verbs}")


def _look_at_bases(
    bases: Sequence[tuple[str, BaseModelRow | None]], location: str, notes: Notes
) -> None:
    for base, row in bases:
        if row is None or (row.tunable is None and row.tune_in is None):
            notes.unknown(
                "base-model",
                f"Whether {base} is tuned in {location} is not in the table of base models.",
                "Say so in spec.baseModels of the Project, once you know.",
            )
        elif row.tunable is False:
            notes.failed("base-model", f"{base} cannot be tuned.", "Name another `baseModel`.")
        elif row.tune_in is None:
            notes.unknown("base-model", f"{base} can be tuned; in which locations is not known.")
        elif location in row.tune_in:
            notes.well("base-model", f"{base} is tuned in {location}{_as_of(row)}")
        else:
            notes.failed(
                "base-model",
                f"{base} is not tuned in {location}, but in {', '.join(row.tune_in)}{_as_of(row)}.",
                f"Set `location: {row.tune_in[0]}` for this provider, or declare another one.",
            )


def _as_of(row: BaseModelRow) -> str:
    return f" (as of {row.as_of})" if row.as_of else ""


# FOLDED
# Whether the account that reads the examples for a job may read them.
#
# It is not the one who asks, which is why a job fails on a bucket that its owner reads well. Its
# roles stand in the policies of the bucket and of the project; who may read neither learns how to
# grant the role, and no more.
_CHECK = "service-agent"
_ROLE = "roles/storage.objectViewer"
_READERS = {  # predefined roles that hold storage.objects.get
    "roles/aiplatform.serviceAgent",
    "roles/editor",
    "roles/owner",
    "roles/storage.admin",
    "roles/storage.legacyObjectOwner",
    "roles/storage.legacyObjectReader",
    "roles/storage.objectAdmin",
    "roles/storage.objectUser",
    _ROLE,
}
_ANYBODY = {"allUsers", "allAuthenticatedUsers"}


async def look_at_agent(storage: Asker, resources: Asker, settings: VertexSettings) -> None:
    """Note whether the job's own account, or else the service agent, may read the bucket."""
    notes = storage.notes
    account = settings.service_account or await _agent(resources, settings)
    if account is None:
        return
    member = f"serviceAccount:{account}"
    command = permissions.binding(
        "storage buckets add-iam-policy-binding gs://BUCKET", member, _ROLE
    )
    grant = f"Let it read the bucket:\n    {command}"
    policies = [
        await _policy(storage, f"storage/v1/b/{settings.bucket}/iam"),
        await _policy(
            resources, f"v3/projects/{settings.project}:getIamPolicy", content={"options": {}}
        ),
    ]
    roles = sorted({role for policy in policies if policy for role in _roles(policy, member)})
    if found := next((role for role in roles if role in _READERS), ""):
        notes.well(_CHECK, f"{account} may read the bucket ({found})")
    elif any(policy is None for policy in policies) or roles:
        held = f"its roles are {', '.join(roles)}" if roles else "its roles may not be looked at"
        notes.unknown(
            _CHECK, f"Whether {account} may read the bucket cannot be told: {held}.", grant
        )
    else:
        notes.failed(_CHECK, f"{account} may not read gs://{settings.bucket}.", grant)


async def _agent(asker: Asker, settings: VertexSettings) -> str | None:
    """Return the service agent of the project, whose number only the resource manager knows."""
    try:
        facts = await asker.look(f"v3/projects/{settings.project}")
    except ProviderError as error:
        asker.notes.unknown(
            _CHECK,
            "Whether the service agent may read the bucket cannot be told, since the number of "
            f"{settings.project} is not known: {error.message}",
            "Find the number, and let the agent read the bucket:\n"
            "    gcloud projects describe PROJECT --format='value(projectNumber)'\n"
            "    gcloud storage buckets add-iam-policy-binding gs://BUCKET "
            "--member=serviceAccount:service-NUMBER@gcp-sa-aiplatform.iam.gserviceaccount.com "
            f"--role={_ROLE}",
        )
        return None
    number = str(facts.get("name", "")).rpartition("/")[2]
    return f"service-{number}@gcp-sa-aiplatform.iam.gserviceaccount.com"


async def _policy(asker: Asker, path: str, *, content: object = None) -> Facts | None:
    try:
        return await asker.look(path, content=content)
    except ProviderError:
        return None


def _roles(policy: Facts, member: str) -> Iterator[str]:
    for binding in policy.get("bindings") or ():
        # A condition may rule the bucket out, so that such a role proves nothing.
        if {member, *_ANYBODY} & set(binding.get("members") or ()) and not binding.get("condition"):
            yield str(binding.get("role", ""))
