"""How Vertex AI and Cloud Storage say no: their own words, with the id that their support asks for.

What a refusal means is decided in `failures`, for every Google service alike; only the cures that
speak of the Gemini API are replaced.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tunedmodels.errors import PermissionDeniedError, ProviderError, UnimplementedError
from tunedmodels.providers import errors
from tunedmodels.providers.errors import Manners, Refused

# In the order of preference; the last one is Cloud Storage's.
_IDS: Final = ("x-request-id", "x-goog-request-id", "x-guploader-uploadid")
_LONGEST_ID: Final = 64

_VERTEX_ROLES: Final = (
    "Let the account that asks use Vertex AI in this project:\n"
    "    gcloud projects add-iam-policy-binding PROJECT "
    "--member=MEMBER --role=roles/aiplatform.user"
)
_STORAGE_ROLES: Final = (
    "Let the account that asks read and write the bucket:\n"
    "    gcloud storage buckets add-iam-policy-binding gs://BUCKET "
    "--member=MEMBER --role=roles/storage.objectUser"
)
_ENDPOINT: Final = "Check `location` and `endpoint` of this provider in the Project file."
_BUCKET: Final = "Check `bucket` and `storageEndpoint` of this provider in the Project file."


def _manners(roles: str, endpoint_cure: str) -> Manners:
    def refused(refusal: Refused) -> ProviderError:
        error = errors.GOOGLE.refused(refusal)
        if isinstance(error, PermissionDeniedError) and error.cure == errors.OWNER_CURE:
            error.cure = roles
        if isinstance(error, UnimplementedError) or error.cure == errors.GOOGLE.endpoint_cure:
            error.cure = endpoint_cure
        number = next((refusal.headers[name] for name in _IDS if name in refusal.headers), "")
        if number.isascii() and number.isprintable() and number:
            error.message = f"{error.message} (request {number[:_LONGEST_ID]})"
            error.args = (error.message,)
        return error

    return replace(
        errors.GOOGLE, refused=refused, endpoint_cure=endpoint_cure, local_cure=endpoint_cure
    )


VERTEX: Final = _manners(_VERTEX_ROLES, _ENDPOINT)
STORAGE: Final = _manners(_STORAGE_ROLES, _BUCKET)
