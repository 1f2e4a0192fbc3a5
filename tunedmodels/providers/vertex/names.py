"""The stamp as labels, beside those that people declare: what a list can be filtered by.

The whole stamp is in the description.

Labels of a job are copied to the model and the endpoints that it makes. Keys and values have at
most 63 characters of a-z, 0-9, _ and -; the names of projects and models have no others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from tunedmodels.desired import version_id
from tunedmodels.errors import ProviderError
from tunedmodels.stamp import Stamp

PROJECT: Final = "tunedmodels-project"
NAME: Final = "tunedmodels-name"
VERSION: Final = "tunedmodels-version"
FINGERPRINT: Final = "tunedmodels-fingerprint"
ATTEMPT: Final = "tunedmodels-attempt"
SOURCE: Final = "tunedmodels-source"
_OURS: Final = "tunedmodels-"
_DIGITS: Final = 32  # of the fingerprint; all 64 of them are one too many


def labels(stamp: Stamp, *, parent: str = "") -> dict[str, str]:
    """Return the labels of a version; `parent` is the id of the version that it continues from."""
    found = {
        PROJECT: stamp.project,
        NAME: stamp.name,
        VERSION: version_id(stamp.name, stamp.fingerprint),
        FINGERPRINT: stamp.fingerprint[:_DIGITS],
        ATTEMPT: str(stamp.attempt),
    }
    return {**found, SOURCE: parent} if parent else found


def version_of(labelled: Mapping[str, str], project: str) -> str:
    """Return the id of the version that a job is, or nothing where it is none of `project`.

    Another project may well have a version of the same name and fingerprint in the same place.
    """
    return labelled.get(VERSION, "") if labelled.get(PROJECT) == project else ""


def theirs(found: Mapping[str, str]) -> dict[str, str]:
    """Return the labels that are no part of a stamp."""
    return {key: value for key, value in found.items() if not key.startswith(_OURS)}


def of_version(model_id: str) -> str:
    """Return the filter of a list that finds the jobs of a version, in whatever project."""
    return f'labels.{VERSION}="{model_id}"'


# FOLDED
# Resource names of Vertex AI, and which host serves which location.
#
# Source: the regional endpoints of the API, and the multi-regions `us` and `eu`. What trains in
# one location may be served from another one, and is asked there.
_NAME: Final = re.compile(r"projects/[^/]+/locations/(?P<location>[a-z0-9-]+)/\w+/[^/]+")
_MULTI_REGIONS: Final = ("us", "eu")


def host(location: str) -> str:
    """Return the URL of the service for a location, without a path."""
    if location == "global":
        return "https://aiplatform.googleapis.com"
    if location in _MULTI_REGIONS:
        return f"https://aiplatform.{location}.rep.googleapis.com"
    return f"https://{location}-aiplatform.googleapis.com"


def is_resource(name: str) -> bool:
    """Whether this is a name such as `projects/P/locations/L/models/M`."""
    return bool(_NAME.match(name))


def location(resource: str) -> str:
    """Return the location in a name such as `projects/P/locations/L/endpoints/E`."""
    found = _NAME.match(resource)
    if not found:
        raise ProviderError(f"{resource!r} is no name of a resource of Vertex AI.")
    return found["location"]


def short(resource: str) -> tuple[str, str]:
    """Return (location, id) of a name; its project may be an id or a number.

    The version of a model is no part of it.
    """
    return location(resource), resource.rpartition("/")[2].partition("@")[0]


def unversioned(model: str) -> str:
    """Return the name of a model without its version."""
    return model.partition("@")[0]
