"""A Google service's 403, and the command or role that mends it (F14).

Sources: google.api.ErrorReason (the `reason` of an ErrorInfo with the domain googleapis.com) and
the permission that the services name in their words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from tunedmodels.providers.identity import CLOUD_PLATFORM, OAUTH_CURE, login
from tunedmodels.wire.status import Status

Facts = Mapping[str, str]  # what an ErrorInfo says beside its reason

_GENERATIVE = "generativelanguage.googleapis.com"
_PERMISSION = re.compile(
    r"Permission '([a-z]+\.[\w.]+)' denied"
    r"|does not have (storage\.[\w.]+) access"
    r"|Permission (iam\.[\w.]+) is required"
)
_PROJECT = re.compile(r"projects/([^/\s'\"]+)")
_AUDIENCE = re.compile(r"(?P<who>[\w.+-]+@[\w.-]+) does not have")

# By the beginning of the permission, longest first; Google's predefined roles that hold it.
_ROLES = (
    ("storage.buckets.", "roles/storage.legacyBucketReader"),
    ("storage.", "roles/storage.objectUser"),
    ("iam.serviceAccounts.actAs", "roles/iam.serviceAccountUser"),
    ("iam.serviceAccounts.", "roles/iam.serviceAccountTokenCreator"),
    ("serviceusage.", "roles/serviceusage.serviceUsageConsumer"),
    ("cloudkms.", "roles/cloudkms.cryptoKeyEncrypterDecrypter"),
    ("resourcemanager.", "roles/browser"),
    ("aiplatform.", "roles/aiplatform.user"),
)


def cure(said: Status) -> str:
    """Return how to mend a 403, or nothing where the service does not say enough."""
    facts = said.metadata
    if said.reason in _CURES:
        return _CURES[said.reason](facts)
    if "insufficient authentication scopes" in said.message:
        return scopes_cure(facts.get("service", ""))
    permission = facts.get("permission") or _permission(said.message)
    return _role_cure(permission, facts, said.message) if permission else ""


def scopes_cure(service: str = "") -> str:
    """Return how to get a token with the scopes that `service` (a host name) asks for."""
    if service in ("", _GENERATIVE):
        return OAUTH_CURE
    return (
        f"The token lacks the scope {CLOUD_PLATFORM}. A person logs in with it:\n"
        f"{login()}\n"
        "A machine of Compute Engine is stopped, given it, and started again:\n"
        "    gcloud compute instances set-service-account MACHINE --scopes=cloud-platform"
    )


def quota_project_cure(project: str = "PROJECT") -> str:
    """Return how to name a project that calls may count for, and how to be allowed to."""
    return (
        "Name a project of yours that the calls count for:\n"
        "    gcloud auth application-default set-quota-project PROJECT\n"
        "and be allowed to use it:\n"
        f"    {binding(f'projects add-iam-policy-binding {project}', 'MEMBER', _ROLES[4][1])}"
    )


def enable_cure(service: str, project: str) -> str:
    """Return how to switch an API on in a project."""
    return (
        "Enable the API, and wait a minute or two:\n"
        f"    gcloud services enable {service} --project={project}"
    )


def binding(on: str, member: str, role: str) -> str:
    """Return the command that gives `member` a role on a thing, such as `projects ... my-proj`."""
    return f"gcloud {on} --member={member} --role={role}"


def _consumer(facts: Facts) -> str:
    return _project(facts.get("consumer", "")) or "PROJECT"


_CURES: Mapping[str, Callable[[Facts], str]] = {
    "ACCESS_TOKEN_SCOPE_INSUFFICIENT": lambda facts: scopes_cure(facts.get("service", "")),
    "SERVICE_DISABLED": lambda facts: enable_cure(
        facts.get("service", "SERVICE"), _consumer(facts)
    ),
    "CONSUMER_INVALID": lambda facts: quota_project_cure(_consumer(facts)),
    "USER_PROJECT_DENIED": lambda facts: quota_project_cure(_consumer(facts)),
    "BILLING_DISABLED": lambda facts: (
        "Link the project to a billing account:\n"
        f"    gcloud billing projects link {_consumer(facts)} --billing-account=ACCOUNT"
    ),
    "CONSUMER_SUSPENDED": lambda _: (
        "Google has suspended the project; see https://console.cloud.google.com/appeals"
    ),
}


def _role_cure(permission: str, facts: Facts, words: str) -> str:
    role = next((role for start, role in _ROLES if permission.startswith(start)), "")
    if not role:
        return f"Ask the owner of the project for a role that holds {permission}."
    found = _AUDIENCE.search(words)
    member = member_of(found["who"]) if found else "MEMBER"
    if permission.startswith("storage."):
        command = binding("storage buckets add-iam-policy-binding gs://BUCKET", member, role)
    else:
        project = _project(facts.get("resource", "")) or _project(words) or "PROJECT"
        command = binding(f"projects add-iam-policy-binding {project}", member, role)
    return f"Give the one who asks a role that holds {permission}:\n    {command}"


def member_of(email: str) -> str:
    """Return an account as IAM writes a member."""
    if not email:
        return "MEMBER"
    kind = "serviceAccount" if email.endswith(".gserviceaccount.com") else "user"
    return f"{kind}:{email}"


def _permission(words: str) -> str:
    found = _PERMISSION.search(words)
    return next(filter(None, found.groups()), "") if found else ""


def _project(text: str) -> str:
    found = _PROJECT.search(text)
    return found[1] if found else ""
