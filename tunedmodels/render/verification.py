"""How a verification went: a line per check, or a document."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Protocol

from tunedmodels.render.problems import Style, plain, visible


class Checked(Protocol):
    """One check, as the project made it."""

    @property
    def name(self) -> str:
        """What was compared."""

    @property
    def holds(self) -> bool:
        """Whether it is so."""

    @property
    def words(self) -> str:
        """What was found."""

    @property
    def cure(self) -> str:
        """What to do where it does not hold; may be empty."""


def verification_text(version: str, checks: Sequence[Checked], style: Style = plain) -> str:
    """Return a line per check, and whether all of them hold."""
    width = max(len(check.name) for check in checks)
    lines = []
    for check in checks:
        sign = style("ok", "good") if check.holds else style("!!", "error")
        lines.append(f"  {sign}  {check.name:<{width}}  {visible(check.words)}")
        if not check.holds and check.cure:
            lines.append(f"      {'':<{width}}  {check.cure}")
    failed = sum(not check.holds for check in checks)
    last = f"{version} is what git says." if not failed else f"{version} is not proved."
    return "\n".join([*lines, "", style(last, "error" if failed else "good")]) + "\n"


def verification_json(name: str, version: str, commit: str, checks: Sequence[Checked]) -> str:
    """Return `{formatVersion, name, version, commit, verified, checks: [...]}`."""
    document = {
        "formatVersion": 1,
        "name": name,
        "version": version,
        "commit": commit,
        "verified": all(check.holds for check in checks),
        "checks": [
            {"name": one.name, "holds": one.holds, "words": one.words, "cure": one.cure}
            for one in checks
        ],
    }
    return json.dumps(document, indent=2) + "\n"
