"""What every value of a plan has in common: it crosses a file, so it is frozen pydantic."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Frozen(BaseModel):
    """A value of the plan: camelCase outside, nothing unknown, never changed."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, validate_by_name=True
    )
