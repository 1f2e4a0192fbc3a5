"""What every part of a manifest has in common: strict, in camelCase, and dates that are dates."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema
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
