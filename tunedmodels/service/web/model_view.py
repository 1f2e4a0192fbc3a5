"""Stored models as the rest of the package sees live ones, the versions of one name together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tunedmodels.observed import ModelState, ObservedModel, serving
from tunedmodels.providers.gemini import convert
from tunedmodels.service.api import responses
from tunedmodels.service.records import Model, State
from tunedmodels.service.web.templating import counted, moment, shown
from tunedmodels.stamp import HAND, Decision, Stamp, gate_mark
from tunedmodels.wire import gemini as wire


@dataclass(frozen=True, slots=True)
class Version:
    """A stored model, and what it says to whoever asks the API."""

    model: Model
    seen: ObservedModel

    @property
    def is_running(self) -> bool:
        """Whether its job has not ended."""
        return self.seen.state.is_running

    @property
    def family(self) -> tuple[str, ...]:
        """What its name is told apart by: the name in its stamp, else the one it shows."""
        if stamp := self.seen.stamp:
            return "stamp", stamp.project, stamp.name
        if self.model.display_name:
            return "name", self.model.display_name.casefold()
        return "id", self.model.id

    @property
    def title(self) -> str:
        """A name for people."""
        stamp = self.seen.stamp
        name = (stamp.name if stamp else "") or self.model.display_name or self.model.id
        return shown(name)

    @property
    def project(self) -> str:
        """The project whose manifests made it; empty for none."""
        return self.seen.stamp.project if self.seen.stamp else ""


@dataclass(frozen=True, slots=True)
class Family:
    """The versions of one name, newest first; `serving_id` is empty when none serves."""

    versions: Sequence[Version]

    @property
    def serving_id(self) -> str:
        """The id of the version that serves, by the rule of the reconciler."""
        answers = serving([version.seen for version in self.versions])
        return answers.model_id if answers else ""

    def before(self, version: Version) -> Version | None:
        """Return the newest finished version that is older than one of them."""
        older = (each for each in self.versions if each.model.seq < version.model.seq)
        return next((each for each in older if each.seen.state is ModelState.READY), None)


def version(model: Model, curve: str = "") -> Version:
    """Return a stored model in our words. `curve` is its snapshots, or some of them."""
    # Through the API's own shapes: the page cannot know anything else than a client does.
    document = wire.decode(responses.encode(responses.tuned_model(model, curve)), wire.TunedModel)
    seen = convert.observed("embedded", document)
    if model.state == State.FAILED:
        operation = wire.decode(responses.encode(responses.operation(model, "")), wire.Operation)
        state, failure = convert.ended([operation])
        seen = replace(seen, state=state, failure=failure)
    return Version(model, seen)


def families(versions: Sequence[Version]) -> list[Family]:
    """Gather versions by name; both the names and their versions stay in the order they came in."""
    gathered: dict[tuple[str, ...], list[Version]] = {}
    for each in versions:
        gathered.setdefault(each.family, []).append(each)
    return [Family(each) for each in gathered.values()]


# FOLDED
# What the stamp of a version says of it in words: its score, its gate, when it was made to serve.
#
# Who reads the page has not read the manifest: `refused` and `serves` are said, not coded.
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
