"""Everybody who was asked the same held-out examples, side by side: whether tuning pays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from tunedmodels.evaluation.gate import Verdict, between, bounds, signed
from tunedmodels.evaluation.scoring import Answered, Scores
from tunedmodels.evaluation.significance import Gain, enough


class Role(StrEnum):
    """As what a model is compared."""

    CANDIDATE = "candidate"
    SERVING = "serving"
    FEW_SHOT = "few-shot"
    BASE = "base"

    @property
    def is_tuned(self) -> bool:
        """Whether it is a version, and not the base model."""
        return self in (Role.CANDIDATE, Role.SERVING)


@dataclass(frozen=True, slots=True)
class Contender:
    """A model that was asked. Without `scores`, `unable` says in a clause why there are none.

    `model` is the id of a version, or the name of the base model (`models/NAME`).
    """

    role: Role
    model: str
    scores: Scores | None
    unable: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """One example that two contenders did not do equally well.

    `before` is None where there is nobody to compare with: then the answer is one that is wrong.
    """

    after: Answered
    before: Answered | None = None

    @property
    def is_gain(self) -> bool:
        """Whether the later answer is the better one."""
        return self.before is not None and self.after.value > self.before.value


@dataclass(frozen=True)
class Report:
    """What `tunedmodels evaluate` found.

    `few_shot` is how many examples the prompt of that contender really held. `verdict` is that of
    the gate on `judged`, None without a gate. `shows_text` is False where git does not track the
    file: what its examples say is then not for every reader.
    """

    name: str
    path: str
    metric: str
    examples: int
    few_shot: int
    contenders: tuple[Contender, ...]
    judged: str = ""
    verdict: Verdict | None = None
    shows_text: bool = True

    @property
    def reference(self) -> Contender | None:
        """Whom the others are compared with: the serving version, else the candidate."""
        tuned = {each.role: each for each in self.contenders if each.role.is_tuned and each.scores}
        return tuned.get(Role.SERVING) or tuned.get(Role.CANDIDATE)

    @cached_property
    def gains(self) -> dict[Role, Gain]:
        """What the others have over the reference."""
        reference = self.reference
        return {
            each.role: each.scores.gain_over(reference.scores)
            for each in self.contenders
            if each.scores and reference and reference.scores and each is not reference
        }

    @cached_property
    def tuning(self) -> Tuning:
        """Whether tuning pays: the version that is next to serve beside the best of the base."""
        return _tuning(self)

    def differences(self, of: Contender, most: int) -> tuple[list[Difference], int]:
        """Return what `of` answered worse or better than the reference, and how many more.

        Losses come first, `most` of each kind, the largest first; of the reference itself, what it
        got wrong.
        """
        reference = self.reference
        if of.scores is None or reference is None or reference.scores is None:
            return [], 0
        if of is reference:
            wrong = [Difference(one) for one in of.scores.worst(len(of.scores.answers))]
            return wrong[:most], len(wrong[most:])
        pairs = zip(of.scores.answers, reference.scores.answers, strict=True)
        every = [
            Difference(after, before) for after, before in pairs if after.value != before.value
        ]
        every.sort(key=_size, reverse=True)
        lost = [each for each in every if not each.is_gain]
        gained = [each for each in every if each.is_gain]
        return lost[:most] + gained[:most], len(lost[most:]) + len(gained[most:])


@dataclass(frozen=True, slots=True)
class Tuning:
    """Whether tuning pays: True, False, or None where nobody can tell; `words` say why."""

    pays: bool | None
    words: str
    gain: Gain | None = None


def luck(gain: Gain) -> str:
    """Say in a word or two whether a difference means anything."""
    if gain.is_better:
        return "better"
    if gain.is_worse:
        return "worse"
    return "may be luck" if gain.value else "no difference"


def _size(difference: Difference) -> float:
    before = difference.before.value if difference.before else 1.0
    return abs(difference.after.value - before)


def _tuning(report: Report) -> Tuning:
    tuned = next((one for one in report.contenders if one.role.is_tuned and one.scores), None)
    bases = [one for one in report.contenders if not one.role.is_tuned]
    asked = [one for one in bases if one.scores]
    if tuned is None or tuned.scores is None:
        return Tuning(None, "No tuned version could be asked.")
    best = max(asked, key=lambda one: one.scores.value if one.scores else 0.0, default=None)
    if best is None or best.scores is None:
        why = next((one.unable for one in bases if one.unable), "it was not asked")
        return Tuning(None, f"There is nothing to compare tuning with: {why}.")
    gain = tuned.scores.gain_over(best.scores)
    words = " ".join(_weighed(report, tuned, best, gain))
    return Tuning(True if gain.is_better else False if gain.is_worse else None, words, gain)


def _weighed(report: Report, tuned: Contender, best: Contender, gain: Gain) -> Iterator[str]:
    if best.role is Role.FEW_SHOT:
        rival = f"the base model with {report.few_shot} examples in its prompt"
    else:
        rival = "the base model without examples"
    if gain.is_better:
        yield "Tuning pays:"
    elif gain.is_worse:
        yield "Tuning does not pay:"
    else:
        yield f"Whether tuning pays cannot be told from {report.examples:,} examples:"
    if tuned.scores and best.scores:
        yield f"{tuned.model} {bounds(tuned.scores.score)}, {rival}"
        yield f"{bounds(best.scores.score)}; {signed(gain.value)} ({between(gain)})."
    if not gain.is_better and not gain.is_worse:
        count = enough(abs(gain.value), gain.spread)
        yield f"About {count:,} examples would do." if count else "More would hardly tell."
