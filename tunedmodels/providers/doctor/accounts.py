"""Checks of the accounts that a tuning job runs as, which are not the account of the caller.

A job of a Gemini model runs as the tuning service agent of the project, and one of an open model as
the agent of managed tuning. The first tuning job of a project creates the agent. With
`serviceAccount` it runs as that account: the caller must be allowed to act as it, and the agent to
create its tokens. Source: TuningJob.serviceAccount in the discovery document of Vertex AI.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final
from urllib.parse import quote

from tunedmodels.errors import ProviderError
from tunedmodels.providers import permissions
from tunedmodels.providers.doctor.probe import JsonObject, Probe
from tunedmodels.schema.project import VertexSettings

BUCKET_BINDING: Final = "storage buckets add-iam-policy-binding gs://BUCKET"

_SERVICE_AGENT: Final = "service-agent"  # the name of the check
_ACT_AS: Final = "iam.serviceAccounts.actAs"
_USER_ROLE: Final = "roles/iam.serviceAccountUser"
_TOKEN_ROLE: Final = "roles/iam.serviceAccountTokenCreator"  # noqa: S105  # the name of a role
_READER_ROLE: Final = "roles/storage.objectViewer"
_WRITER_ROLE: Final = "roles/storage.objectUser"  # a job of an open model writes its result
# Predefined roles that contain storage.objects.get and storage.objects.create.
_WRITER_ROLES: Final = frozenset(
    {
        "roles/editor",
        "roles/owner",
        "roles/storage.admin",
        "roles/storage.objectAdmin",
        _WRITER_ROLE,
    }
)
# Predefined roles that contain storage.objects.get.
_READER_ROLES: Final = _WRITER_ROLES | {
    "roles/aiplatform.serviceAgent",
    "roles/aiplatform.tuningServiceAgent",
    "roles/storage.legacyObjectOwner",
    "roles/storage.legacyObjectReader",
    _READER_ROLE,
}
_TOKEN_ROLES: Final = frozenset({"roles/owner", _TOKEN_ROLE})
_PUBLIC_MEMBERS: Final = {"allUsers", "allAuthenticatedUsers"}
_CREATED_LATER: Final = "The first tuning job of the project creates this account."


class AccountCheck:
    """Checks whether the accounts of jobs can read the bucket, and whether jobs can use them.

    The roles of an account are in policies. If the caller cannot read those, the result is unknown,
    and the cure says how to grant the role.
    """

    def __init__(
        self, storage: Probe, resources: Probe, iam: Probe, settings: VertexSettings
    ) -> None:
        self._storage = storage
        self._resources = resources
        self._iam = iam
        self._settings = settings
        self._findings = storage.findings
        self._project_policy: JsonObject | None = None
        self._bucket_policy: JsonObject | None = None

    async def run(self, accounts: Collection[str], *, has_open: bool) -> None:
        """Check the agents of the project, and the service accounts of the provider and models.

        `has_open` says whether a model is tuned from an open model.
        """
        declared = {self._settings.service_account or "", *accounts} - {""}
        number = await self._project_number()
        if not (number or declared):
            return
        self._bucket_policy = await _policy(
            self._storage, f"storage/v1/b/{self._settings.bucket}/iam"
        )
        self._project_policy = await _policy(
            self._resources,
            f"v3/projects/{self._settings.project}:getIamPolicy",
            content={"options": {}},
        )
        agent = f"service-{number}@gcp-sa-vertex-tune.iam.gserviceaccount.com"
        if number and not self._settings.service_account:
            self._check_bucket(agent, _READER_ROLES, _READER_ROLE, is_agent=True)
        if number and has_open:
            open_agent = f"service-{number}@gcp-sa-vertex-moss-ft.iam.gserviceaccount.com"
            self._check_bucket(open_agent, _WRITER_ROLES, _WRITER_ROLE, is_agent=True)
        for account in sorted(declared):
            self._check_bucket(account, _READER_ROLES, _READER_ROLE, is_agent=False)
            await self._check_act_as(account)
            if number:
                await self._check_token_creator(account, agent)

    async def _project_number(self) -> str:
        """Return the number of the project, which is in the names of its agents; "" if unknown."""
        try:
            document = await self._resources.get(f"v3/projects/{self._settings.project}")
        except ProviderError as error:
            self._findings.unknown(
                _SERVICE_AGENT,
                "Cannot determine whether the service agent can read the bucket, since the number "
                f"of {self._settings.project} is unknown: {error.message}",
                "Find the number and allow the agent to read the bucket:\n"
                "    gcloud projects describe PROJECT --format='value(projectNumber)'\n"
                "    gcloud storage buckets add-iam-policy-binding gs://BUCKET "
                "--member=serviceAccount:service-NUMBER@gcp-sa-vertex-tune.iam.gserviceaccount.com "
                f"--role={_READER_ROLE}",
            )
            return ""
        return str(document.get("name", "")).rpartition("/")[2]

    def _check_bucket(
        self, account: str, sufficient: Collection[str], role: str, *, is_agent: bool
    ) -> None:
        member = f"serviceAccount:{account}"
        command = permissions.binding_command(BUCKET_BINDING, member, role)
        can, cannot = ("read and write", "read or write") if role == _WRITER_ROLE else ("read",) * 2
        cure = f"Allow it to {can} the bucket:\n    {command}"
        cure += f"\n{_CREATED_LATER}" if is_agent else ""
        policies = (self._bucket_policy, self._project_policy)
        roles = sorted({role for policy in policies if policy for role in _roles(policy, member)})
        if granted := next((role for role in roles if role in sufficient), ""):
            self._findings.ok(_SERVICE_AGENT, f"{account} can {can} the bucket ({granted})")
        elif any(policy is None for policy in policies) or _are_unknown(roles):
            reason = f"its roles are {', '.join(roles)}" if roles else "its roles cannot be read"
            message = f"Cannot determine whether {account} can {can} the bucket: {reason}."
            self._findings.unknown(_SERVICE_AGENT, message, cure)
        else:
            message = f"{account} cannot {cannot} gs://{self._settings.bucket}."
            self._findings.failed(_SERVICE_AGENT, message, cure)

    async def _check_act_as(self, account: str) -> None:
        command = permissions.binding_command(_account_binding(account), "MEMBER", _USER_ROLE)
        cure = f"Grant it a role that contains {_ACT_AS}:\n    {command}"
        try:
            document = await self._iam.get(
                f"{_account_path(account)}:testIamPermissions", content={"permissions": [_ACT_AS]}
            )
        except ProviderError as error:
            message = f"Cannot determine whether a job may run as {account}: {error.message}"
            self._findings.unknown("act-as", message, cure)
            return
        if _ACT_AS in (document.get("permissions") or ()):
            self._findings.ok("act-as", f"may start jobs that run as {account}")
        else:
            self._findings.failed("act-as", f"missing: {_ACT_AS} on {account}", cure)

    async def _check_token_creator(self, account: str, agent: str) -> None:
        member = f"serviceAccount:{agent}"
        command = permissions.binding_command(_account_binding(account), member, _TOKEN_ROLE)
        cure = f"Allow the agent to create its tokens:\n    {command}\n{_CREATED_LATER}"
        policy = await _policy(self._iam, f"{_account_path(account)}:getIamPolicy", content={})
        policies = (policy, self._project_policy)
        roles = sorted({role for each in policies if each for role in _roles(each, member)})
        check = "token-creator"
        if any(role in _TOKEN_ROLES for role in roles):
            self._findings.ok(check, f"{agent} can create tokens of {account}")
        elif any(each is None for each in policies) or _are_unknown(roles):
            message = f"Cannot determine whether {agent} can create tokens of {account}."
            self._findings.unknown(check, message, cure)
        else:
            message = f"{agent} cannot create tokens of {account}, as which jobs run."
            self._findings.failed(check, message, cure)


def _are_unknown(roles: Collection[str]) -> bool:
    """Whether there are roles whose permissions are unknown here."""
    return bool(set(roles) - _READER_ROLES - _TOKEN_ROLES)


def _account_path(account: str) -> str:
    return f"v1/projects/-/serviceAccounts/{quote(account, safe='@')}"


def _account_binding(account: str) -> str:
    return f"iam service-accounts add-iam-policy-binding {account}"


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
