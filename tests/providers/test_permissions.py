"""Cures for a 403 of a Google service."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.fakes.script import error_detail
from tunedmodels.errors import PermissionDeniedError, UnauthenticatedError
from tunedmodels.providers import errors, permissions
from tunedmodels.providers.identity import CLOUD_PLATFORM
from tunedmodels.wire import status

VERTEX = "aiplatform.googleapis.com"
SCOPES = "Request had insufficient authentication scopes."
JOB = "//aiplatform.googleapis.com/projects/my-proj/locations/europe-west4"


def denial(message: str, **info: Any) -> status.Status:
    details = [error_detail("ErrorInfo", domain="googleapis.com", **info)] if info else []
    error = {"code": 403, "message": message, "status": "PERMISSION_DENIED", "details": details}
    return status.parse_status(json.dumps({"error": error}).encode())


def info(reason: str, **metadata: str) -> dict[str, Any]:
    return {"reason": reason, "metadata": metadata}


# fmt: off
DENIED = [  # response                                                   cure
    (denial(SCOPES, **info("ACCESS_TOKEN_SCOPE_INSUFFICIENT", service=VERTEX)),
     f"gcloud auth application-default login --scopes={CLOUD_PLATFORM}"),
    (denial(SCOPES, **info("ACCESS_TOKEN_SCOPE_INSUFFICIENT", service=VERTEX)),
     "gcloud compute instances set-service-account MACHINE --scopes=cloud-platform"),
    (denial(SCOPES, **info("ACCESS_TOKEN_SCOPE_INSUFFICIENT",
                         service="generativelanguage.googleapis.com")),
     "https://www.googleapis.com/auth/generative-language.tuning"),
    (denial(SCOPES), "gcloud auth application-default login --client-id-file=client_secret.json"),
    (denial("Off.", **info("SERVICE_DISABLED", service=VERTEX, consumer="projects/123")),
     f"gcloud services enable {VERTEX} --project=123"),
    (denial("Who?", **info("CONSUMER_INVALID", consumer="projects/gone")),
     "gcloud auth application-default set-quota-project"),
    (denial("Not you.", **info("USER_PROJECT_DENIED", consumer="projects/other")),
     ("projects add-iam-policy-binding other --member=MEMBER "
     "--role=roles/serviceusage.serviceUsageConsumer")),
    (denial("Pay.", **info("BILLING_DISABLED", consumer="projects/123")),
     "gcloud billing projects link 123"),
    (denial("Stop.", **info("CONSUMER_SUSPENDED", consumer="projects/123")), "appeals"),
    (denial("No.", **info("IAM_PERMISSION_DENIED", permission="aiplatform.models.delete",
                        resource="projects/my-proj/locations/l/models/1")),
     "projects add-iam-policy-binding my-proj --member=MEMBER --role=roles/aiplatform.user"),
    (denial(f"Permission 'aiplatform.tuningJobs.create' denied on resource '{JOB}' (or it may not "
          "exist)."),
     "projects add-iam-policy-binding my-proj --member=MEMBER --role=roles/aiplatform.user"),
    (denial("robot@p.iam.gserviceaccount.com does not have storage.objects.create access to the "
          "Google Cloud Storage object."),
     ("gs://BUCKET --member=serviceAccount:robot@p.iam.gserviceaccount.com "
     "--role=roles/storage.objectUser")),
    (denial("ada@example.org does not have storage.buckets.get access to the bucket."),
     "--member=user:ada@example.org --role=roles/storage.legacyBucketReader"),
    (denial("Permission 'iam.serviceAccounts.actAs' denied on resource x"),
     "--role=roles/iam.serviceAccountUser"),
    (denial("Permission 'cloudkms.cryptoKeyVersions.useToEncrypt' denied on resource "
            "'projects/k/x'"),
     ("projects add-iam-policy-binding k --member=MEMBER "
     "--role=roles/cloudkms.cryptoKeyEncrypterDecrypter")),
    (denial("Permission 'something.else.get' denied on resource x"),
     "a role that contains something.else.get"),
]
# fmt: on


@pytest.mark.parametrize(("answer", "cure"), DENIED)
def test_the_cure_for_a_denial_is_a_command_or_a_role(answer: status.Status, cure: str) -> None:
    error = errors.to_error(403, answer, "aiplatform.example", scrub=str)
    assert type(error) is PermissionDeniedError
    assert error.message == answer.message
    assert cure in error.cure


def test_a_denial_without_details_has_no_specific_cure() -> None:
    assert (
        permissions.permission_cure(denial("Permission denied on resource project my-proj.")) == ""
    )


def test_metadata_that_is_not_text_is_ignored() -> None:
    response = denial("Off.", reason="SERVICE_DISABLED", metadata={"service": 1, "consumer": None})
    assert "gcloud services enable SERVICE --project=PROJECT" in permissions.permission_cure(
        response
    )


@pytest.mark.parametrize(
    "answer",
    [
        denial("Request had invalid authentication credentials. Expected OAuth 2 access token."),
        denial("Ended.", reason="ACCESS_TOKEN_EXPIRED"),
    ],
)
def test_the_cure_for_a_rejected_token_is_not_a_key(answer: status.Status) -> None:
    error = errors.to_error(401, answer, "aiplatform.example", scrub=str)
    assert type(error) is UnauthenticatedError
    assert "gcloud auth application-default login" in error.cure
    assert "GOOGLE_OAUTH_ACCESS_TOKEN" in error.cure
    assert "GEMINI_API_KEY" not in error.cure
