"""How a version was judged while a plan is carried out: by its gate, or by its sweep."""

from __future__ import annotations

from typing import Final

from tunedmodels.events import Chosen, Judged, Tried
from tunedmodels.stamp import Decision

_RULINGS: Final = {
    Decision.PASSED: "its gate passed",
    Decision.INCONCLUSIVE: "its gate could not decide",
    Decision.REFUSED: "its gate refused it",
}


def ruling(event: Judged | Tried | Chosen) -> tuple[str, str]:
    """Say in words, after the role that colours them, how a version was judged."""
    match event:
        case Judged(name=name, decision=decision, words=words):
            role = "good" if decision is Decision.PASSED else "warning"
            return role, f"{name}: {_RULINGS[decision]}: {words}"
        case Tried(name=name, model_id=model_id, score="", words=words):
            return "warning", f"{name}: {model_id} is given up: {words}"
        case Tried(name=name, model_id=model_id, words=words):
            return "dim", f"{name}: {model_id} is scored: {words}"
        case Chosen(name=name, model_id=model_id, score=score, words=words):
            return "good", f"{name}: {model_id} is chosen with {score}: {words}"
