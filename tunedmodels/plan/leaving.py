"""What a plan says of versions that go later."""

from __future__ import annotations

from tunedmodels.plan.frozen import Frozen


class Leaving(Frozen):
    """A former version that `keep` does not cover and `grace` still does.

    It is deleted by the first apply after `until` (UTC), which is empty as long as it serves.
    """

    name: str
    model_id: str
    grace: str
    until: str = ""
