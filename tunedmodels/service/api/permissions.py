"""The permissions of a tuned model, the transfer of its ownership, and authorization.

A reader gets a model and sends prompts to it. A writer also changes it, cancels its job and shares
it. The owner also deletes it and transfers its ownership. Each role includes the one before it.
"""

from __future__ import annotations

from starlette.responses import Response

from tunedmodels.service.api import messages, responses
from tunedmodels.service.api.messages import parse_message, update_mask
from tunedmodels.service.api.request import (
    ApiRequest,
    ServiceContext,
    json_response,
    page_size,
    page_start,
    page_token,
)
from tunedmodels.service.api.validation import is_email
from tunedmodels.service.errors import ApiError, ApiStatus, Violation, invalid_argument
from tunedmodels.service.identity import Caller
from tunedmodels.service.records import (
    AccessRole,
    Grantee,
    StoredModel,
    StoredPermission,
    grantee_key,
)

_PAGE_SIZE = 10
_MAX_PAGE_SIZE = 1000


def authorize(context: ServiceContext, request: ApiRequest, required: AccessRole) -> StoredModel:
    """Return the model in the path of a request if the caller has the required role.

    Raises ApiError (NOT_FOUND or PERMISSION_DENIED).
    """
    return authorize_model(context, request.caller, request.model_id, required)


def authorize_model(
    context: ServiceContext, caller: Caller, model_id: str, required: AccessRole
) -> StoredModel:
    """Return a model if the caller has the required role.

    Raises ApiError (NOT_FOUND or PERMISSION_DENIED).
    """
    model = require_model(context.store.get(model_id), model_id)
    require_role(context, caller, model, required)
    return model


def require_model(model: StoredModel | None, model_id: str) -> StoredModel:
    """Return the model. Raises ApiError (NOT_FOUND) with Google's message if it is None."""
    if model is None:
        message = f"Tuned model tunedModels/{model_id} does not exist."
        raise ApiError(ApiStatus.NOT_FOUND, message)
    return model


def require_role(
    context: ServiceContext, caller: Caller, model: StoredModel, required: AccessRole
) -> None:
    """Raise ApiError (PERMISSION_DENIED) unless the caller has the required role.

    The message begins with Google's.
    """
    role = context.permissions.role(model.seq, caller)
    if role is not None and role <= required:
        return
    message = f"You do not have permission to access tuned model {model.name}"
    if role is not None:
        message += f" with this method: it requires {required.name}, your role is {role.name}"
    raise ApiError(ApiStatus.PERMISSION_DENIED, message)


def create(context: ServiceContext, request: ApiRequest) -> Response:
    """Create a permission: share a model with a user, a group or everyone."""
    model = authorize(context, request, AccessRole.WRITER)
    body = parse_message(request.body, messages.Permission, at="permission")
    if violations := [*_grantee_violations(body), *_role_violations(body)]:
        raise invalid_argument(violations)
    kind, role = body.grantee_type or Grantee.USER, body.role or AccessRole.READER
    grantee = grantee_key(kind, body.email_address or "")
    permission = context.permissions.add(model.seq, grantee, role)
    if permission is None:
        name = body.email_address or kind.name
        message = f"{model.name} is already shared with {name}; patch that permission."
        raise ApiError(ApiStatus.ALREADY_EXISTS, message)
    return json_response(responses.permission(model, permission))


def list_(context: ServiceContext, request: ApiRequest) -> Response:
    """Respond with a page of permissions, oldest first."""
    model = authorize(context, request, AccessRole.WRITER)
    size = page_size(request, default=_PAGE_SIZE, maximum=_MAX_PAGE_SIZE)
    after = page_start(request, "permissions")
    entries = context.permissions.list_page(model.seq, after=after, size=size + 1)
    page = entries[:size]
    token = page_token(page[-1].number, "permissions") if len(entries) > size else ""
    permissions = [responses.permission(model, permission) for permission in page]
    return json_response(responses.PermissionPageResponse(permissions, token))


def get(context: ServiceContext, request: ApiRequest) -> Response:
    """Respond with one permission."""
    model = authorize(context, request, AccessRole.WRITER)
    permission = _require_permission(context, request, model)
    return json_response(responses.permission(model, permission))


def patch(context: ServiceContext, request: ApiRequest) -> Response:
    """Change the role of a permission; its other fields are immutable."""
    model = authorize(context, request, AccessRole.WRITER)
    body = parse_message(request.body, messages.Permission, at="permission")
    paths = update_mask(request.query)
    violations = list(_role_violations(body))
    if not paths:
        violations.append(Violation("update_mask", "update_mask is required."))
    violations += [
        Violation("update_mask", f"Invalid update_mask: {path[:80]!r}; only role can change.")
        for path in paths
        if path not in ("role", "*")
    ]
    if violations:
        raise invalid_argument(violations)
    permission = _require_not_owner(_require_permission(context, request, model))
    updated = context.permissions.update(permission.number, body.role or AccessRole.READER)
    permission = updated or _require_permission(context, request, model)
    return json_response(responses.permission(model, permission))


def delete(context: ServiceContext, request: ApiRequest) -> Response:
    """Delete a permission."""
    model = authorize(context, request, AccessRole.WRITER)
    permission = _require_not_owner(_require_permission(context, request, model))
    context.permissions.delete(permission.number)
    return json_response({})


def transfer(context: ServiceContext, request: ApiRequest) -> Response:
    """Make another user the owner of a model. The previous owner becomes a writer."""
    model = authorize(context, request, AccessRole.OWNER)
    body = parse_message(request.body, messages.TransferOwnershipRequest)
    if not is_email(body.email_address):
        message = "email_address must be the e-mail address of the new owner."
        raise invalid_argument([Violation("email_address", message)])
    context.permissions.transfer(model.seq, body.email_address or "")
    return json_response({})


def _require_permission(
    context: ServiceContext, request: ApiRequest, model: StoredModel
) -> StoredPermission:
    permission_id = request.path["permission"]
    permission = context.permissions.get(model.seq, permission_id)
    if permission is None:
        message = f"Permission {model.name}/permissions/{permission_id} does not exist."
        raise ApiError(ApiStatus.NOT_FOUND, message)
    return permission


def _require_not_owner(permission: StoredPermission) -> StoredPermission:
    if permission.role is AccessRole.OWNER:
        message = "The owner's permission cannot be changed; use transferOwnership."
        raise ApiError(ApiStatus.FAILED_PRECONDITION, message)
    return permission


def _grantee_violations(body: messages.Permission) -> list[Violation]:
    path = "permission.email_address"
    match body.grantee_type:
        case None:
            return [Violation("permission.grantee_type", "grantee_type is required.")]
        case Grantee.EVERYONE if body.email_address:
            return [Violation(path, "email_address must not be set for EVERYONE.")]
        case Grantee.EVERYONE if body.role is AccessRole.WRITER:
            message = "EVERYONE can be given the role READER only."
            return [Violation("permission.role", message)]
        case Grantee.USER | Grantee.GROUP if not is_email(body.email_address):
            return [Violation(path, "email_address must be an e-mail address.")]
    return []


def _role_violations(body: messages.Permission) -> list[Violation]:
    path = "permission.role"
    if body.role is None:
        return [Violation(path, "role is required.")]
    if body.role is AccessRole.OWNER:
        message = "The role OWNER cannot be given; use transferOwnership."
        return [Violation(path, message)]
    return []
