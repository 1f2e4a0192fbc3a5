"""What a page changes: words, cancel, delete, share. What cannot be undone asks first.

The handlers of the API do it all, with the visitor as the caller.
"""

from __future__ import annotations

from starlette.responses import Response

from tunedmodels import stamp as stamps
from tunedmodels.service.api import permissions, tuned_models
from tunedmodels.service.api.permissions import reached
from tunedmodels.service.errors import ApiError
from tunedmodels.service.records import Grantee, Role
from tunedmodels.service.web import model_page
from tunedmodels.service.web.request import Asked, see


def ask_to_cancel(asked: Asked) -> Response:
    """Ask before a job is cancelled."""
    return _confirmation(asked, "cancel.html", Role.WRITER)


def cancel(asked: Asked) -> Response:
    """Cancel the job."""
    model = reached(asked.rooms, asked.caller, asked.path["id"], Role.WRITER)
    asked.api(tuned_models.cancel_operation, {"id": model.id, "operation": model.operation})
    return see(f"/models/{model.id}")


def ask_to_delete(asked: Asked) -> Response:
    """Ask before a model is deleted."""
    return _confirmation(asked, "delete.html", Role.OWNER)


def delete(asked: Asked) -> Response:
    """Delete the model."""
    asked.api(tuned_models.delete, asked.path)
    return see("/?notice=deleted")


def share(asked: Asked) -> Response:
    """Give somebody a role; what is wrong with the form is said on the page of the model."""
    kind = asked.form.text("grantee_type")
    wanted = {"granteeType": kind, "role": asked.form.text("role")}
    if kind != Grantee.EVERYONE.name:
        wanted["emailAddress"] = asked.form.text("email_address")
    try:
        asked.api(permissions.create, asked.path, body=wanted)
    except ApiError as error:
        return model_page.page(asked, alert=error.message, status=error.status.http)
    return see(f"/models/{asked.path['id']}#sharing")


def unshare(asked: Asked) -> Response:
    """Take a permission away."""
    asked.api(permissions.delete, asked.path)
    return see(f"/models/{asked.path['id']}#sharing")


def back(asked: Asked) -> Response:
    """Lead to the page of a model from where a form of it was answered: no form is sent again."""
    return see(f"/models/{model_page.looked_up(asked).model.id}")


def describe(asked: Asked) -> Response:
    """Change the display name and the words about a model; its stamp stays as it is."""
    this = model_page.looked_up(asked)
    words = asked.form.text("description").replace("\r\n", "\n")
    stamp = this.seen.stamp
    wanted = {
        "displayName": asked.form.text("display_name"),
        "description": stamps.write(words, stamp) if stamp else words,
    }
    try:
        mask = {"update_mask": ",".join(wanted)}
        asked.api(tuned_models.patch, asked.path, query=mask, body=wanted)
    except ApiError as error:
        return model_page.page(asked, alert=error.message, status=error.status.http)
    return see(f"/models/{this.model.id}")


def _confirmation(asked: Asked, template: str, needed: Role) -> Response:
    # Who may not do it is told so before the question, not after it.
    reached(asked.rooms, asked.caller, asked.path["id"], needed)
    this = model_page.looked_up(asked)
    is_serving = model_page.family_of(asked, this).serving_id == this.model.id
    return asked.page(template, this=this, is_serving=is_serving)
