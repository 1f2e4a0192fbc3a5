"""Whether the account that reads the examples for a job may read them.

It is not the one who asks, which is why a job fails on a bucket that its owner reads well. Its
roles stand in the policies of the bucket and of the project; who may read neither learns how to
grant the role, and no more.
"""

from __future__ import annotations

from collections.abc import Iterator

from tunedmodels.errors import ProviderError
from tunedmodels.providers import permissions
from tunedmodels.providers.doctor.probe import Asker, Facts
from tunedmodels.schema.project import VertexSettings

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
