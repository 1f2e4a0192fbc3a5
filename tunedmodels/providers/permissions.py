"""The cure for a 403 of a Google service: a command, or the role to grant (F14).

Sources: google.api.ErrorReason (the `reason` of an ErrorInfo with the domain googleapis.com) and
the permission that the services name in their messages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from tunedmodels.providers.identity import CLOUD_PLATFORM, OAUTH_CURE, login_command
from tunedmodels.wire.status import Status

ErrorMetadata = Mapping[str, str]
"""The metadata of an ErrorInfo."""

_GENERATIVE = "generativelanguage.googleapis.com"
_PERMISSION = re.compile(
    r"Permission '([a-z]+\.[\w.]+)' denied"
    r"|does not have (storage\.[\w.]+) access"
    r"|Permission (iam\.[\w.]+) is required"
)
_NAME = re.compile(r"[\w.:@/-]{1,200}", re.ASCII)
_PROJECT = re.compile(r"projects/([\w.:-]+)", re.ASCII)
_ACCOUNT = re.compile(r"(?P<account>[\w.+-]+@[\w.-]+) does not have")
_CONSUMER_ROLE = "roles/serviceusage.serviceUsageConsumer"

# Google's predefined role by prefix of the permission; the longer prefix precedes the shorter one.
_ROLES = (
    ("storage.buckets.", "roles/storage.legacyBucketReader"),
    ("storage.", "roles/storage.objectUser"),
    ("iam.serviceAccounts.actAs", "roles/iam.serviceAccountUser"),
    ("iam.serviceAccounts.", "roles/iam.serviceAccountTokenCreator"),
    ("serviceusage.", _CONSUMER_ROLE),
    ("cloudkms.", "roles/cloudkms.cryptoKeyEncrypterDecrypter"),
    ("resourcemanager.", "roles/browser"),
    ("aiplatform.", "roles/aiplatform.user"),
)


def permission_cure(status: Status) -> str:
    """Return the cure for a 403, or an empty string when the response does not say enough."""
    # A cure is a command: it contains only names, never text that a shell would interpret.
    metadata = {key: value for key, value in status.metadata.items() if _NAME.fullmatch(value)}
    if status.reason in _CURES:
        return _CURES[status.reason](metadata)
    if "insufficient authentication scopes" in status.message:
        return scopes_cure(metadata.get("service", ""))
    permission = metadata.get("permission") or _permission(status.message)
    return _role_cure(permission, metadata, status.message) if permission else ""


def scopes_cure(service: str = "") -> str:
    """Return how to get a token with the scopes that `service` (a host name) requires."""
    if service in ("", _GENERATIVE):
        return OAUTH_CURE
    return (
        f"The token lacks the scope {CLOUD_PLATFORM}. As a user, log in with it:\n"
        f"{login_command()}\n"
        "On Compute Engine, stop the machine, set the scope, and start it again:\n"
        "    gcloud compute instances set-service-account MACHINE --scopes=cloud-platform"
    )


def quota_project_cure(project: str = "PROJECT") -> str:
    """Return how to set a quota project and how to get the permission to use it."""
    target = f"projects add-iam-policy-binding {project}"
    return (
        "Set one of your projects as the quota project:\n"
        "    gcloud auth application-default set-quota-project PROJECT\n"
        "The account needs the permission to use it:\n"
        f"    {binding_command(target, 'MEMBER', _CONSUMER_ROLE)}"
    )


def enable_cure(service: str, project: str) -> str:
    """Return how to enable an API in a project."""
    return (
        "Enable the API and wait one or two minutes:\n"
        f"    gcloud services enable {service} --project={project}"
    )


def binding_command(target: str, member: str, role: str) -> str:
    """Return the command that grants a role; `target` is such as `projects ... my-proj`."""
    return f"gcloud {target} --member={member} --role={role}"


def iam_member(email: str) -> str:
    """Return an account in the form of an IAM member."""
    if not email:
        return "MEMBER"
    kind = "serviceAccount" if email.endswith(".gserviceaccount.com") else "user"
    return f"{kind}:{email}"


def _consumer(metadata: ErrorMetadata) -> str:
    return _project(metadata.get("consumer", "")) or "PROJECT"


_CURES: Mapping[str, Callable[[ErrorMetadata], str]] = {
    "ACCESS_TOKEN_SCOPE_INSUFFICIENT": lambda metadata: scopes_cure(metadata.get("service", "")),
    "SERVICE_DISABLED": lambda metadata: enable_cure(
        metadata.get("service", "SERVICE"), _consumer(metadata)
    ),
    "CONSUMER_INVALID": lambda metadata: quota_project_cure(_consumer(metadata)),
    "USER_PROJECT_DENIED": lambda metadata: quota_project_cure(_consumer(metadata)),
    "BILLING_DISABLED": lambda metadata: (
        "Link the project to a billing account:\n"
        f"    gcloud billing projects link {_consumer(metadata)} --billing-account=ACCOUNT"
    ),
    "CONSUMER_SUSPENDED": lambda _: (
        "Google has suspended the project; see https://console.cloud.google.com/appeals"
    ),
}


def _role_cure(permission: str, metadata: ErrorMetadata, message: str) -> str:
    role = next((role for prefix, role in _ROLES if permission.startswith(prefix)), "")
    if not role:
        return f"Ask the owner of the project for a role that contains {permission}."
    account = _ACCOUNT.search(message)
    member = iam_member(account["account"]) if account else "MEMBER"
    if permission.startswith("storage."):
        target = "storage buckets add-iam-policy-binding gs://BUCKET"
    else:
        project = _project(metadata.get("resource", "")) or _project(message) or "PROJECT"
        target = f"projects add-iam-policy-binding {project}"
    command = binding_command(target, member, role)
    return f"Grant the account a role that contains {permission}:\n    {command}"


def _permission(message: str) -> str:
    match = _PERMISSION.search(message)
    return next(filter(None, match.groups()), "") if match else ""


def _project(text: str) -> str:
    match = _PROJECT.search(text)
    return match[1] if match else ""
