"""The methods of `cloudresourcemanager.googleapis.com` that return permissions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.vertex.cloud import PROJECT
from tests.support.vertex.identity import PROJECT_NUMBER, PROJECT_POLICY
from tests.support.vertex.wire import Call


def _get(_: Call) -> dict[str, Any]:
    return {"name": f"projects/{PROJECT_NUMBER}", "projectId": PROJECT, "state": "ACTIVE"}


def _policy(call: Call) -> dict[str, Any]:
    return {"version": 1, "bindings": call.cloud.identity.bindings(PROJECT_POLICY)}


def _test_permissions(call: Call) -> dict[str, Any]:
    authorization = call.request.headers["authorization"]
    granted = call.cloud.identity.granted(authorization, call.body.get("permissions", []))
    return {"permissions": granted} if granted else {}


METHODS: dict[str, Callable[[Call], dict[str, Any]]] = {
    "projects.get": _get,
    "projects.getIamPolicy": _policy,
    "projects.testIamPermissions": _test_permissions,
}
