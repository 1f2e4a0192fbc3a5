"""Labels, resource names and hosts of Vertex AI.

The labels contain a part of the stamp, so that lists can be filtered; the complete stamp is in the
description. The labels of a job are copied to the model and the endpoints that it creates. Keys and
values have at most 63 characters of a-z, 0-9, _ and -; names of projects and models contain no
others.

Source of the hosts: the regional endpoints of the API, and the multi-regions `us` and `eu`. A model
that was trained in one location may be served from another one, and is called there.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from tunedmodels.errors import ProviderError
from tunedmodels.stamp import Stamp

PROJECT_LABEL: Final = "tunedmodels-project"
NAME_LABEL: Final = "tunedmodels-name"
VERSION_LABEL: Final = "tunedmodels-version"
FINGERPRINT_LABEL: Final = "tunedmodels-fingerprint"
ATTEMPT_LABEL: Final = "tunedmodels-attempt"
SOURCE_LABEL: Final = "tunedmodels-source"
_PREFIX: Final = "tunedmodels-"
_FINGERPRINT_DIGITS: Final = 32  # all 64 would be one more than a label can have

_RESOURCE: Final = re.compile(r"projects/[^/]+/locations/(?P<location>[a-z0-9-]+)/\w+/[^/]+")
_MULTI_REGIONS: Final = ("us", "eu")


def stamp_labels(stamp: Stamp, *, model_id: str, parent_id: str = "") -> dict[str, str]:
    """Return the labels of the version `model_id`; it continues from the version `parent_id`."""
    labels = {
        PROJECT_LABEL: stamp.project,
        NAME_LABEL: stamp.name,
        VERSION_LABEL: model_id,
        FINGERPRINT_LABEL: stamp.fingerprint[:_FINGERPRINT_DIGITS],
        ATTEMPT_LABEL: str(stamp.attempt),
    }
    return {**labels, SOURCE_LABEL: parent_id} if parent_id else labels


def version_from_labels(labels: Mapping[str, str], projects: Collection[str]) -> str:
    """Return the id of the version in the labels of a job, or "" if it is of none of `projects`.

    Another project may have a version with the same name and fingerprint in the same location.
    """
    return labels.get(VERSION_LABEL, "") if labels.get(PROJECT_LABEL) in projects else ""


def user_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels that are not part of a stamp."""
    return {key: value for key, value in labels.items() if not key.startswith(_PREFIX)}


def version_filter(model_id: str) -> str:
    """Return the list filter for the jobs of a version, in all projects of this package."""
    return f'labels.{VERSION_LABEL}="{model_id}"'


def endpoint_url(location: str, domain: str = "googleapis.com") -> str:
    """Return the URL of the service for a location in a universe domain, without a path."""
    if location == "global":
        return f"https://aiplatform.{domain}"
    if location in _MULTI_REGIONS:
        return f"https://aiplatform.{location}.rep.{domain}"
    return f"https://{location}-aiplatform.{domain}"


def serving_location(location: str, serve_from: Sequence[str]) -> str:
    """Return where a base model of a location answers; `serve_from` are the places that do.

    A region prefers its own multi-region: `us` for us-central1, `eu` for europe-west4.
    """
    if not serve_from or location in serve_from:
        return location
    prefix = "eu" if location.startswith("europe-") else location.partition("-")[0]
    return prefix if prefix in serve_from else serve_from[0]


def is_resource_name(name: str) -> bool:
    """Whether this is a name such as `projects/P/locations/L/models/M`."""
    return bool(_RESOURCE.match(name))


def location_of(resource: str) -> str:
    """Return the location in a name such as `projects/P/locations/L/endpoints/E`."""
    match = _RESOURCE.match(resource)
    if not match:
        raise ProviderError(f"{resource!r} is not a resource name of Vertex AI.")
    return match["location"]


def location_and_id(resource: str) -> tuple[str, str]:
    """Return the location and the id in a resource name, without the version of a model.

    Two names of one resource may differ in the project, which is an id or a number.
    """
    return location_of(resource), resource.rpartition("/")[2].partition("@")[0]


def without_version(model: str) -> str:
    """Return the resource name of a model without its version."""
    return model.partition("@")[0]
