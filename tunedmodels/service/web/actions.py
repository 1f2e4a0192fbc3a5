"""The changes that pages make: describe, share, cancel and delete; the last two ask first.

The handlers of the API make each change, with the visitor as the caller.
"""

from __future__ import annotations

from starlette.responses import Response

from tunedmodels.service.api import permissions, tuned_models
from tunedmodels.service.api.permissions import authorize_model
from tunedmodels.service.errors import ApiError
from tunedmodels.service.records import AccessRole, Grantee
from tunedmodels.service.web import model_page
from tunedmodels.service.web.request import PageRequest, redirect
from tunedmodels.stamp import format_description


def confirm_cancel(request: PageRequest) -> Response:
    """Return a page that asks whether to cancel the job."""
    return _confirmation(request, "cancel.html", AccessRole.WRITER)


def cancel(request: PageRequest) -> Response:
    """Cancel the job."""
    model_id = request.path["id"]
    model = authorize_model(request.context, request.caller, model_id, AccessRole.WRITER)
    path = {"id": model.id, "operation": model.operation}
    request.call_api(tuned_models.cancel_operation, path)
    return redirect(f"/models/{model.id}")


def confirm_delete(request: PageRequest) -> Response:
    """Return a page that asks whether to delete the model."""
    return _confirmation(request, "delete.html", AccessRole.OWNER)


def delete(request: PageRequest) -> Response:
    """Delete the model."""
    request.call_api(tuned_models.delete, request.path)
    return redirect("/?notice=deleted")


def share(request: PageRequest) -> Response:
    """Create a permission; an error is shown on the page of the model."""
    grantee_type = request.form.text("grantee_type")
    body = {"granteeType": grantee_type, "role": request.form.text("role")}
    if grantee_type != Grantee.EVERYONE.name:
        body["emailAddress"] = request.form.text("email_address")
    try:
        request.call_api(permissions.create, request.path, body=body)
    except ApiError as error:
        return model_page.render(request, alert=error.message, status=error.status.http)
    return redirect(f"/models/{request.path['id']}#sharing")


def unshare(request: PageRequest) -> Response:
    """Remove a permission."""
    request.call_api(permissions.delete, request.path)
    return redirect(f"/models/{request.path['id']}#sharing")


def redirect_to_model(request: PageRequest) -> Response:
    """Redirect to the model page, so that reloading does not resubmit the form."""
    return redirect(f"/models/{model_page.load_version(request).model.id}")


def describe(request: PageRequest) -> Response:
    """Change the display name and the description of a model; its stamp is kept."""
    version = model_page.load_version(request)
    description = request.form.text("description").replace("\r\n", "\n")
    stamp = version.observed.stamp
    body = {
        "displayName": request.form.text("display_name"),
        "description": format_description(description, stamp) if stamp else description,
    }
    try:
        mask = {"update_mask": ",".join(body)}
        request.call_api(tuned_models.patch, request.path, query=mask, body=body)
    except ApiError as error:
        return model_page.render(request, alert=error.message, status=error.status.http)
    return redirect(f"/models/{version.model.id}")


def _confirmation(request: PageRequest, template: str, required: AccessRole) -> Response:
    # Checked before the question, so that a visitor without the role does not see it.
    authorize_model(request.context, request.caller, request.path["id"], required)
    version = model_page.load_version(request)
    serving_id = model_page.sibling_versions(request, version).serving_id
    return request.page(template, version=version, is_serving=serving_id == version.model.id)
