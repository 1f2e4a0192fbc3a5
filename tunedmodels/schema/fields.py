"""The base class and the field types that all parts of a manifest share."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

from tunedmodels.address import Address, hide_userinfo


class ManifestModel(BaseModel):
    """A part of a manifest: camelCase in the file, no unknown fields, immutable.

    Validation is strict, so that `epochCount: "5"`, `keep: true` and `protect: yes` are errors
    instead of being converted.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        frozen=True,
        validate_by_name=True,
        strict=True,
        allow_inf_nan=False,
    )


# 31 + "-" + 8 hex digits of the fingerprint = the 40 characters that a tunedModelId may have.
# Source: CreateTunedModelRequest.tuned_model_id, Gemini API v1beta.
Name = Annotated[str, StringConstraints(pattern=r"^[a-z]([a-z0-9-]{0,29}[a-z0-9])?$")]


def _check_url(value: object) -> object:
    if not isinstance(value, str):
        return value
    rule = ""
    try:
        Address.parse(value)
    except ValueError as error:
        is_web = value.startswith(("http://", "https://"))
        rule = f"be a URL: {error}" if is_web else "begin with http:// or https://"
    if not rule and ("?" in value or "#" in value):
        rule = "be a URL without a query"
    if rule:
        got = hide_userinfo(value)
        raise ValueError(f"must {rule} (got {got!r}); use for example http://127.0.0.1:8787")
    return value


Url = Annotated[str, BeforeValidator(_check_url), StringConstraints(pattern=r"^https?://[^\s?#]+$")]
Lineage = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{12}$")]
ServiceAccount = Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+$")]


class Metadata(ManifestModel):
    """The name of the object, unique among manifests of its kind."""

    name: Name


class EncryptionSpec(ManifestModel):
    """A customer-managed key, used instead of a key of Google's own."""

    kms_key_name: Annotated[
        str,
        StringConstraints(
            pattern=r"^projects/[^/\s]+/locations/[^/\s]+/keyRings/[^/\s]+/cryptoKeys/[^/\s]+$"
        ),
    ] = Field(description="projects/P/locations/L/keyRings/R/cryptoKeys/K, in the same location.")


def _parse_date(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return datetime.strptime(value, "%Y-%m-%d").date()  # noqa: DTZ007  # a date has no time zone
    except ValueError:
        message = f"{value[:60]!r} is not a valid date; use for example 2026-12-24"
        raise ValueError(message) from None


IsoDate = Annotated[
    date, BeforeValidator(_parse_date), WithJsonSchema({"type": "string", "format": "date"})
]

# Google Cloud also accepts letters of other alphabets; most other systems accept only these.
_LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}", re.ASCII)
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}", re.ASCII)
_RESERVED_PREFIXES = ("tunedmodels-", "goog")  # labels of the stamp, and of Google Cloud


def _check_label_key(key: object) -> object:
    if isinstance(key, str) and not _LABEL_KEY.fullmatch(key):
        raise ValueError(
            "is not a valid label; use a-z first, then a-z, 0-9, _ and -, at most 63 characters"
        )
    if isinstance(key, str) and key.startswith(_RESERVED_PREFIXES):
        raise ValueError("is reserved for tunedmodels or Google; use another prefix")
    return key


def _check_label_value(value: object) -> object:
    if isinstance(value, str) and not _LABEL_VALUE.fullmatch(value):
        raise ValueError(
            f"{value[:70]!r} is not a valid label value; "
            "use a-z, 0-9, _ and -, at most 63 characters"
        )
    return value


Label = Annotated[
    str, BeforeValidator(_check_label_key), StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}$")
]
LabelValue = Annotated[
    str, BeforeValidator(_check_label_value), StringConstraints(pattern=r"^[a-z0-9_-]{0,63}$")
]

_UNIT_SECONDS = (86_400, 3_600, 60, 1)
# Six digits of hours are 100 years, and small enough for every float.
_DURATION = re.compile(r"^(?:(\d{1,5})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?$", re.ASCII)


def parse_duration(text: str) -> float:
    """Return the seconds of a duration such as `30d`, `2h`, `90m`, `1h30m` or `45s`.

    Raises ValueError when it is not a valid duration, or zero.
    """
    match = _DURATION.match(text)
    parts = match.groups("0") if match else ()
    total = sum(int(part) * unit for part, unit in zip(parts, _UNIT_SECONDS, strict=False))
    if not total:
        raise ValueError(f"{text[:60]!r} is not a valid duration; use for example 2h, 90m or 7d")
    return float(total)


def _check_duration(value: object) -> object:
    if isinstance(value, str):
        parse_duration(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        parse_duration(str(value))  # fails: a number has no unit, with or without quotes
    return value


Duration = Annotated[str, BeforeValidator(_check_duration)]
