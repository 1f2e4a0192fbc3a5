"""Stored models as the rest of the package sees live ones, the versions of one name together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tunedmodels.observed import ModelState, ObservedModel, serving
from tunedmodels.providers.gemini import convert
from tunedmodels.service.api import responses
from tunedmodels.service.library.words import shown
from tunedmodels.service.records import Model, State
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
