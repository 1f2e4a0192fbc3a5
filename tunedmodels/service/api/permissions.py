"""The permissions of a tuned model, and the transfer of its ownership."""

from __future__ import annotations

from starlette.responses import Response

from tunedmodels.service.api import messages, responses
from tunedmodels.service.api.messages import mask, parse
from tunedmodels.service.api.request import Call, Rooms, answer, page_size, page_start, page_token
from tunedmodels.service.api.validation import is_email
from tunedmodels.service.errors import ApiError, Status, Violation, invalid
from tunedmodels.service.identity import Caller
from tunedmodels.service.records import Grantee, Model, Permission, Role, grantee

_PAGE_SIZE = 10
_MOST_PER_PAGE = 1000


def create(rooms: Rooms, call: Call) -> Response:
    """Share a model with somebody."""
    model = called(rooms, call, Role.WRITER)
    body = parse(call.body, messages.Permission, at="permission")
    if violations := [*_grantee_violations(body), *_role_violations(body)]:
        raise invalid(violations)
    kind, role = body.grantee_type or Grantee.USER, body.role or Role.READER
    permission = rooms.sharing.add(model.seq, grantee(kind, body.email_address or ""), role)
    if permission is None:
        whom = body.email_address or kind.name
        words = f"{model.name} is shared with {whom} already; patch that permission."
        raise ApiError(Status.ALREADY_EXISTS, words)
    return answer(responses.permission(model, permission))


def list_(rooms: Rooms, call: Call) -> Response:
    """Answer with a page of permissions, the oldest first."""
    model = called(rooms, call, Role.WRITER)
    size = page_size(call, default=_PAGE_SIZE, most=_MOST_PER_PAGE)
    after = page_start(call, "permissions")
    entries = rooms.sharing.page(model.seq, after=after, size=size + 1)
    shown = entries[:size]
    token = page_token(shown[-1].number, "permissions") if len(entries) > size else ""
    page = [responses.permission(model, permission) for permission in shown]
    return answer(responses.PermissionsPage(page, token))


def get(rooms: Rooms, call: Call) -> Response:
    """Answer with one permission."""
    model = called(rooms, call, Role.WRITER)
    return answer(responses.permission(model, _permission(rooms, call, model)))


def patch(rooms: Rooms, call: Call) -> Response:
    """Give a grantee another role; nothing else of a permission can change."""
    model = called(rooms, call, Role.WRITER)
    body = parse(call.body, messages.Permission, at="permission")
    paths = mask(call.query)
    violations = list(_role_violations(body))
    if not paths:
        violations.append(Violation("update_mask", "update_mask is required."))
    violations += [
        Violation("update_mask", f"Invalid update_mask: {path[:80]!r}; only role can change.")
        for path in paths
        if path not in ("role", "*")
    ]
    if violations:
        raise invalid(violations)
    permission = _not_the_owners(_permission(rooms, call, model))
    changed = rooms.sharing.change(permission.number, body.role or Role.READER)
    return answer(responses.permission(model, changed or _permission(rooms, call, model)))


def delete(rooms: Rooms, call: Call) -> Response:
    """Take a permission away."""
    model = called(rooms, call, Role.WRITER)
    rooms.sharing.remove(_not_the_owners(_permission(rooms, call, model)).number)
    return answer({})


def transfer(rooms: Rooms, call: Call) -> Response:
    """Make somebody else the owner; who was it until now stays as a writer."""
    model = called(rooms, call, Role.OWNER)
    body = parse(call.body, messages.TransferOwnershipRequest)
    if not is_email(body.email_address):
        words = "email_address must be the e-mail address of the new owner."
        raise invalid([Violation("email_address", words)])
    rooms.sharing.transfer(model.seq, body.email_address or "")
    return answer({})


def _permission(rooms: Rooms, call: Call, model: Model) -> Permission:
    permission_id = call.path["permission"]
    permission = rooms.sharing.get(model.seq, permission_id)
    if permission is None:
        words = f"Permission {model.name}/permissions/{permission_id} does not exist."
        raise ApiError(Status.NOT_FOUND, words)
    return permission


def _not_the_owners(permission: Permission) -> Permission:
    if permission.role is Role.OWNER:
        words = "A model always has its owner; ownership changes by transferOwnership alone."
        raise ApiError(Status.FAILED_PRECONDITION, words)
    return permission


def _grantee_violations(body: messages.Permission) -> list[Violation]:
    at = "permission.email_address"
    match body.grantee_type:
        case None:
            return [Violation("permission.grantee_type", "grantee_type is required.")]
        case Grantee.EVERYONE if body.email_address:
            return [Violation(at, "email_address must not be set for EVERYONE.")]
        case Grantee.EVERYONE if body.role is Role.WRITER:
            words = "EVERYONE can be given the role READER only."
            return [Violation("permission.role", words)]
        case Grantee.USER | Grantee.GROUP if not is_email(body.email_address):
            return [Violation(at, "email_address must be an e-mail address.")]
    return []


def _role_violations(body: messages.Permission) -> list[Violation]:
    at = "permission.role"
    if body.role is None:
        return [Violation(at, "role is required.")]
    if body.role is Role.OWNER:
        words = "The role OWNER cannot be given: ownership changes by transferOwnership alone."
        return [Violation(at, words)]
    return []


# FOLDED
# What a caller may do with a model: read, then write, then own; each role holds the former.
#
# A reader sees a model and asks it. A writer also changes it, cancels its job and shares it. Its
# owner also deletes it and gives it away.
def found(model: Model | None, model_id: str) -> Model:
    """Return the model, or raise ApiError (NOT_FOUND) in Google's words."""
    if model is None:
        raise ApiError(Status.NOT_FOUND, f"Tuned model tunedModels/{model_id} does not exist.")
    return model


def check(rooms: Rooms, caller: Caller, model: Model, needed: Role) -> None:
    """Raise ApiError (PERMISSION_DENIED) in Google's words unless the caller has that role."""
    role = rooms.sharing.role(model.seq, caller)
    if role is not None and role <= needed:
        return
    words = f"You do not have permission to access tuned model {model.name}"
    if role is not None:
        words += f" like this: it takes the role {needed.name}, and yours is {role.name}"
    raise ApiError(Status.PERMISSION_DENIED, words)


def reached(rooms: Rooms, caller: Caller, model_id: str, needed: Role) -> Model:
    """Return a model, for a caller of that role at least. Raises ApiError."""
    model = found(rooms.store.get(model_id), model_id)
    check(rooms, caller, model, needed)
    return model


def called(rooms: Rooms, call: Call, needed: Role) -> Model:
    """Return the model in the path of a call, for a caller of that role at least."""
    return reached(rooms, call.caller, call.model_id, needed)
