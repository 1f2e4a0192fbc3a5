"""What every part of a manifest has in common: strict, in camelCase, and dates that are dates."""

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


class Written(BaseModel):
    """A part of a manifest: camelCase in the file, nothing unknown, never changed after reading.

    Strict, so that `epochCount: "5"`, `keep: true` and `protect: yes` are mistakes, not guesses.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        frozen=True,
        validate_by_name=True,
        strict=True,
        allow_inf_nan=False,
    )


def _day(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return datetime.strptime(value, "%Y-%m-%d").date()  # noqa: DTZ007  # a day, not a moment
    except ValueError:
        raise ValueError(f"{value[:60]!r} is no date; write for example 2026-12-24") from None


Day = Annotated[date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]


# 31 + "-" + 8 hex digits of the fingerprint = the 40 characters that a tunedModelId may have.
# Source: CreateTunedModelRequest.tuned_model_id, Gemini API v1beta.
Name = Annotated[str, StringConstraints(pattern=r"^[a-z]([a-z0-9-]{0,29}[a-z0-9])?$")]


Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s?#]+$")]


# Google Cloud takes letters of other alphabets too; what goes to every other system is these.
_LABEL = re.compile(r"[a-z][a-z0-9_-]{0,62}", re.ASCII)


_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}", re.ASCII)


_RESERVED = ("tunedmodels-", "goog")  # our stamp, and the service's own


def _label(key: object) -> object:
    if isinstance(key, str) and not _LABEL.fullmatch(key):
        raise ValueError("is no label; use a-z first, then a-z, 0-9, _ and -, 63 at most")
    if isinstance(key, str) and key.startswith(_RESERVED):
        raise ValueError("is a label of our own or of Google's; begin it with another word")
    return key


def _label_value(value: object) -> object:
    if isinstance(value, str) and not _LABEL_VALUE.fullmatch(value):
        raise ValueError(f"{value[:70]!r} is no such value; use a-z, 0-9, _ and -, 63 at most")
    return value


Label = Annotated[
    str, BeforeValidator(_label), StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}$")
]


LabelValue = Annotated[
    str, BeforeValidator(_label_value), StringConstraints(pattern=r"^[a-z0-9_-]{0,63}$")
]


class EncryptionSpec(Written):
    """A key of the owner's, in the place of Google's own."""

    kms_key_name: Annotated[
        str,
        StringConstraints(
            pattern=r"^projects/[^/\s]+/locations/[^/\s]+/keyRings/[^/\s]+/cryptoKeys/[^/\s]+$"
        ),
    ] = Field(description="projects/P/locations/L/keyRings/R/cryptoKeys/K, in the same location.")


ServiceAccount = Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+$")]


class Metadata(Written):
    """A name, unique among the manifests of its kind."""

    name: Name


_UNITS = (86_400, 3_600, 60, 1)


# Six digits of hours: 100 years, and no number that a float cannot hold.
_DURATION = re.compile(r"^(?:(\d{1,5})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?$", re.ASCII)


def seconds(text: str) -> float:
    """Read a duration such as `30d`, `2h`, `90m`, `1h30m` or `45s`.

    Raises ValueError when it is none, or zero.
    """
    found = _DURATION.match(text)
    parts = found.groups("0") if found else ()
    total = sum(int(part) * unit for part, unit in zip(parts, _UNITS, strict=False))
    if not total:
        raise ValueError(f"{text[:60]!r} is no duration; write for example 2h, 90m or 7d")
    return float(total)


def _checked(value: object) -> object:
    if isinstance(value, str):
        seconds(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds(str(value))  # a number lacks its unit, and quotes would not give it one
    return value


Duration = Annotated[str, BeforeValidator(_checked)]
