from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.fakes.script import detail
from tunedmodels.errors import PermissionDeniedError, UnauthenticatedError
from tunedmodels.providers import errors, permissions
from tunedmodels.providers.identity import CLOUD_PLATFORM
from tunedmodels.wire import status

VERTEX = "aiplatform.googleapis.com"
SCOPES = "Request had insufficient authentication scopes."
JOB = "//aiplatform.googleapis.com/projects/my-proj/locations/europe-west4"


def said(words: str, **info: Any) -> status.Status:
    details = [detail("ErrorInfo", domain="googleapis.com", **info)] if info else []
    error = {"code": 403, "message": words, "status": "PERMISSION_DENIED", "details": details}
    return status.read(json.dumps({"error": error}).encode())


def info(reason: str, **metadata: str) -> dict[str, Any]:
    return {"reason": reason, "metadata": metadata}


# fmt: off
DENIED = [  # what Google says                                           what mends it
    (said(SCOPES, **info("ACCESS_TOKEN_SCOPE_INSUFFICIENT", service=VERTEX)),
     f"gcloud auth application-default login --scopes={CLOUD_PLATFORM}"),
    (said(SCOPES, **info("ACCESS_TOKEN_SCOPE_INSUFFICIENT", service=VERTEX)),
     "gcloud compute instances set-service-account MACHINE --scopes=cloud-platform"),
    (said(SCOPES, **info("ACCESS_TOKEN_SCOPE_INSUFFICIENT",
                         service="generativelanguage.googleapis.com")),
     "https://www.googleapis.com/auth/generative-language.tuning"),
    (said(SCOPES), "gcloud auth application-default login --client-id-file=client_secret.json"),
    (said("Off.", **info("SERVICE_DISABLED", service=VERTEX, consumer="projects/123")),
     f"gcloud services enable {VERTEX} --project=123"),
    (said("Who?", **info("CONSUMER_INVALID", consumer="projects/gone")),
     "gcloud auth application-default set-quota-project"),
    (said("Not you.", **info("USER_PROJECT_DENIED", consumer="projects/other")),
     ("projects add-iam-policy-binding other --member=MEMBER "
     "--role=roles/serviceusage.serviceUsageConsumer")),
    (said("Pay.", **info("BILLING_DISABLED", consumer="projects/123")),
     "gcloud billing projects link 123"),
    (said("Stop.", **info("CONSUMER_SUSPENDED", consumer="projects/123")), "appeals"),
    (said("No.", **info("IAM_PERMISSION_DENIED", permission="aiplatform.models.delete",
                        resource="projects/my-proj/locations/l/models/1")),
     "projects add-iam-policy-binding my-proj --member=MEMBER --role=roles/aiplatform.user"),
    (said(f"Permission 'aiplatform.tuningJobs.create' denied on resource '{JOB}' (or it may not "
          "exist)."),
     "projects add-iam-policy-binding my-proj --member=MEMBER --role=roles/aiplatform.user"),
    (said("robot@p.iam.gserviceaccount.com does not have storage.objects.create access to the "
          "Google Cloud Storage object."),
     ("gs://BUCKET --member=serviceAccount:robot@p.iam.gserviceaccount.com "
     "--role=roles/storage.objectUser")),
    (said("ada@example.org does not have storage.buckets.get access to the bucket."),
     "--member=user:ada@example.org --role=roles/storage.legacyBucketReader"),
    (said("Permission 'iam.serviceAccounts.actAs' denied on resource x"),
     "--role=roles/iam.serviceAccountUser"),
    (said("Permission 'cloudkms.cryptoKeyVersions.useToEncrypt' denied on resource 'projects/k/x'"),
     ("projects add-iam-policy-binding k --member=MEMBER "
     "--role=roles/cloudkms.cryptoKeyEncrypterDecrypter")),
    (said("Permission 'something.else.get' denied on resource x"),
     "a role that holds something.else.get"),
]
# fmt: on


@pytest.mark.parametrize(("answer", "cure"), DENIED)
def test_a_denial_names_the_command_or_the_role_that_mends_it(
    answer: status.Status, cure: str
) -> None:
    error = errors.refused(403, answer, "aiplatform.example", scrub=str)
    assert type(error) is PermissionDeniedError
    assert error.message == answer.message
    assert cure in error.cure


def test_a_denial_that_says_nothing_is_left_to_the_usual_words() -> None:
    assert permissions.cure(said("Permission denied on resource project my-proj.")) == ""


def test_facts_that_are_no_text_are_passed_over() -> None:
    odd = said("Off.", reason="SERVICE_DISABLED", metadata={"service": 1, "consumer": None})
    assert "gcloud services enable SERVICE --project=PROJECT" in permissions.cure(odd)


@pytest.mark.parametrize(
    "answer",
    [
        said("Request had invalid authentication credentials. Expected OAuth 2 access token."),
        said("Ended.", reason="ACCESS_TOKEN_EXPIRED"),
    ],
)
def test_a_token_that_is_refused_is_not_mended_by_a_key(answer: status.Status) -> None:
    error = errors.refused(401, answer, "aiplatform.example", scrub=str)
    assert type(error) is UnauthenticatedError
    assert "gcloud auth application-default login" in error.cure
    assert "GOOGLE_OAUTH_ACCESS_TOKEN" in error.cure
    assert "GEMINI_API_KEY" not in error.cure
