"""What is to be said about a file as a whole: its size, and how its outputs repeat."""

from __future__ import annotations

from tunedmodels.datasets.limits import MIB, TASK_SIZES, Limits
from tunedmodels.datasets.problems import Found
from tunedmodels.errors import Severity

# Outputs that come up as often as this, on average, are labels.
_EXAMPLES_PER_LABEL = 5

# Printed by benchmarks/text_engine.py: support triage, review sentiment.
_LABELS_MEASURED = (
    "learns those as well in about a tenth of the time: held out 0.99 and 0.96 on two sets, where "
    "this base reaches 0.97 on both; 0.1 s a job instead of 0.9 s"
)

_TASK_WORDS = {"documentSearch": "document search"}


def judge_bytes(size: int, limits: Limits, found: Found) -> None:
    """Report a file that is too large to be sent (F9)."""
    if limits.max_bytes is not None and size > limits.max_bytes:
        found.say(
            Severity.ERROR,
            "file-too-large",
            f"has {size:,} bytes ({size / MIB:.1f} MiB); at most {limits.max_bytes:,} are allowed",
            "Keep the best examples: 100 to 500 are recommended.",
        )


def judge_count(examples: int, limits: Limits, task: str | None, found: Found) -> None:
    """Report too few examples (F7) or too many, or advise how many the task wants (F8)."""
    have = f"has {examples:,} example{'' if examples == 1 else 's'}"
    if limits.max_examples is not None and examples > limits.max_examples:
        found.say(
            Severity.ERROR,
            "too-many-examples",
            f"{have}; at most {limits.max_examples:,} are allowed",
            "Keep the best of them.",
        )
    if examples < limits.min_examples:
        found.say(
            limits.too_few,
            "too-few-examples",
            f"{have}; tuning works from {limits.min_examples} on",
            f"Write at least {limits.min_examples - examples} more.",
        )
    if limits.recommended is None:
        return
    least, most = TASK_SIZES.get(task or "", limits.recommended)
    if examples < least:
        of_task = f" for {_TASK_WORDS.get(task, task)}" if task else ""
        span = f"{least} to {most}" if most else f"{least} or more"
        found.say(
            Severity.ADVICE,
            "more-examples",
            f"{have}; {span} are recommended{of_task}",
            "More examples help most where inputs vary most.",
        )


def judge_outputs(examples: int, distinct: int | None, limits: Limits, found: Found) -> None:
    """Name the other base model where it suits these outputs better.

    Free text given to a model that learns labels is a warning: it cannot be learned. Labels given
    to one that writes text are learned, so the faster one is only advice.
    """
    if distinct is None:
        return
    have = f"has {distinct:,} different outputs in {examples:,} examples"
    if limits.learns_labels and distinct > max(examples / 2, 1):
        writes = f": {limits.other_base}" if limits.other_base else ""
        found.say(
            Severity.WARNING,
            "many-labels",
            have,
            "This base model chooses among outputs it has seen: give it labels that repeat, or use "
            f"a base model that writes text{writes}.",
        )
    elif (
        limits.other_base
        and not limits.learns_labels
        and 1 < distinct <= examples / _EXAMPLES_PER_LABEL
    ):
        found.say(
            Severity.ADVICE,
            "other-base",
            have,
            f"If they are labels: {limits.other_base} {_LABELS_MEASURED}.",
        )
