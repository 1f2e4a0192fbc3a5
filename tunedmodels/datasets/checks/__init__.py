"""Checks of a file as a whole: its size, its number of examples, and how its outputs repeat."""

from __future__ import annotations

from tunedmodels.datasets.limits import MIB, TASK_SIZES, Limits
from tunedmodels.datasets.problems import ProblemCollector
from tunedmodels.errors import Severity
from tunedmodels.text import plural

# Outputs that occur this often on average are probably labels.
_EXAMPLES_PER_LABEL = 5

# Printed by benchmarks/text_engine.py: support triage, review sentiment.
_LABELS_MEASURED = (
    "It learns labels equally well in about a tenth of the time: held-out accuracy 0.99 and 0.96 "
    "on two sets, where this base model reaches 0.97 on both; 0.1 s per job instead of 0.9 s."
)

_TASK_NAMES = {"documentSearch": "document search"}


def check_size(size: int, limits: Limits, problems: ProblemCollector) -> bool:
    """Report a file that is too large to be sent (F9), and return whether it is."""
    is_too_large = limits.max_bytes is not None and size > limits.max_bytes
    if is_too_large:
        problems.report(
            Severity.ERROR,
            "file-too-large",
            f"has {size:,} bytes ({size / MIB:.1f} MiB); at most {limits.max_bytes or 0:,} "
            "are allowed",
            "Keep the best examples: 100 to 500 are recommended.",
        )
    return is_too_large


def check_count(
    examples: int, different: int, limits: Limits, task: str | None, problems: ProblemCollector
) -> None:
    """Report too few (F7) or too many examples, and advise the recommended number (F8).

    Repeated examples count once, except towards the maximum.
    """
    have = f"has {examples:,} {plural(examples, 'example')}"
    if limits.max_examples is not None and examples > limits.max_examples:
        problems.report(
            Severity.ERROR,
            "too-many-examples",
            f"{have}; at most {limits.max_examples:,} are allowed",
            "Keep the best examples.",
        )
    if different < examples:
        have = f"{have}, of which {different:,} {plural(different, 'is', 'are')} different"
    if different < limits.min_examples:
        # The services count every example, so only too few of those are an error.
        is_accepted = examples >= limits.min_examples
        problems.report(
            Severity.WARNING if is_accepted else limits.too_few_severity,
            "too-few-examples",
            f"{have}; tuning works with {limits.min_examples} or more",
            f"Write at least {limits.min_examples - different} more.",
        )
    if limits.recommended is None:
        return
    least, most = TASK_SIZES.get(task or "", limits.recommended)
    if different < least:
        of_task = f" for {_TASK_NAMES.get(task, task)}" if task else ""
        span = f"{least} to {most}" if most else f"{least} or more"
        problems.report(
            Severity.ADVICE,
            "more-examples",
            f"{have}; {span} are recommended{of_task}",
            "More examples help most if the inputs vary widely.",
        )


def check_outputs(
    examples: int, distinct: int | None, limits: Limits, problems: ProblemCollector
) -> None:
    """Name the alternative base model if it suits these outputs better.

    Free text for a classifier is a warning, because it cannot be learned. Labels for a base model
    that writes text are learned as well, so the faster classifier is only advice. `distinct` is the
    number of different outputs, or None if it is unknown.
    """
    if distinct is None:
        return
    have = f"has {distinct:,} different outputs in {examples:,} examples"
    if limits.is_classifier and distinct > max(examples / 2, 1):
        writes = f": {limits.alternative_base}" if limits.alternative_base else ""
        problems.report(
            Severity.WARNING,
            "many-labels",
            have,
            "This base model answers only with outputs of its training set: give it labels that "
            f"repeat, or use a base model that writes text{writes}.",
        )
    elif (
        limits.alternative_base
        and not limits.is_classifier
        and 1 < distinct <= examples / _EXAMPLES_PER_LABEL
    ):
        problems.report(
            Severity.ADVICE,
            "other-base",
            have,
            f"If they are labels, use {limits.alternative_base}. {_LABELS_MEASURED}",
        )
