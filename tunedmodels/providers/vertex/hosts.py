"""Resource names of Vertex AI, and which host serves which location.

Source: the regional endpoints of the API, and the multi-regions `us` and `eu`. What trains in one
location may be served from another one, and is asked there.
"""

from __future__ import annotations

import re
from typing import Final

from tunedmodels.errors import ProviderError

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
