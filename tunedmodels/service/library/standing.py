"""What the stamp of a version says of it in words: its score, its gate, when it was made to serve.

Who reads the page has not read the manifest: `refused` and `serves` are said, not coded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.service.library.words import counted, moment, shown
from tunedmodels.stamp import HAND, Decision, Stamp, gate_mark


@dataclass(frozen=True, slots=True)
class Standing:
    """How a version stands among those of its name; all of it empty where nothing can be said.

    `mark` is one word for a chip: serves, refused, undecided. `score` is `macroF1 0.963`. `verdict`
    says why a finished version does not serve.
    """

    mark: str = ""
    score: str = ""
    gate: str = ""
    promoted: str = ""
    verdict: str = ""


def standing(seen: ObservedModel, *, serving_id: str) -> Standing:
    """Return how a version stands; `serving_id` is the version of its name that serves."""
    stamp = seen.stamp
    is_serving = seen.model_id == serving_id
    if stamp is None:
        return Standing(mark="serves" if is_serving else "")
    score = shown(stamp.score.replace(":", " ", 1))
    gate = _gate(stamp)
    mark, verdict = "serves" if is_serving else "", ""
    if stamp.is_rejected and seen.state is ModelState.READY:
        decision = gate_mark(stamp.gate)
        is_refused = decision is not None and decision.decision is Decision.REFUSED
        mark = "refused" if is_refused else "undecided"
        serves = f"{serving_id} serves." if serving_id else "No version serves."
        found = f" at {score}" if score else ""
        verdict = f"{_RULINGS[is_refused]}{found}, so it was not promoted. {serves}"
    return Standing(mark, score, gate, _promoted(stamp), verdict)


_RULINGS = {True: "Its gate refused it", False: "Its gate could not decide"}


def _gate(stamp: Stamp) -> str:
    """Say what its gate decided, beside which version, and whether that was overruled."""
    mark = gate_mark(stamp.gate)
    if mark is None:
        return ""
    words = {
        Decision.PASSED: "passed",
        Decision.REFUSED: "refused it",
        Decision.INCONCLUSIVE: "could not decide",
    }[mark.decision]
    beside = f", beside {stamp.name}-{shown(mark.against)}" if mark.against else ""
    is_overruled = stamp.by == HAND and mark.decision is not Decision.PASSED
    return f"{words}{beside}{'; overruled by hand' if is_overruled else ''}"


def _promoted(stamp: Stamp) -> str:
    """Say when it was last made to serve, by whom, and from which commit."""
    if stamp.promoted is None:
        return ""
    by = "by hand" if stamp.by == HAND else "by apply"
    head = f" from commit {shown(stamp.head[:12])}" if stamp.head else ""
    return f"{moment(stamp.promoted)}, {by}{head}"


def stamp_sentences(stamp: Stamp) -> Iterator[str]:
    """Say what else a stamp says: what the version was made of, and how plans treat it."""
    commit = f", trained from commit {stamp.commit[:12]}" if stamp.commit else ""
    yield f"Version of {stamp.name} in the project {stamp.project}{commit}."
    if stamp.unverified:
        yield "It was adopted: nobody can prove which examples it was trained on."
    else:
        yield (
            f"Trained on {counted(stamp.examples, 'example')} with the digest "
            f"{stamp.dataset[:12]}...; the fingerprint of all inputs is {stamp.fingerprint[:12]}..."
        )
    if stamp.attempt > 1:
        yield f"It took {stamp.attempt} attempts."
    if stamp.preamble:
        yield "A preamble stood before every input; put it before your questions too."
    if stamp.protect:
        yield "It is protected: no plan deletes it."
    if stamp.retain:
        yield "It stays when its manifest goes."
