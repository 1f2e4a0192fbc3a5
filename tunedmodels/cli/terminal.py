"""Words on the terminal: colour where a person looks, plain text everywhere else."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import click

Style = Callable[[str, str], str]

_COLOURS: dict[str, dict[str, object]] = {
    "create": {"fg": "green"},
    "replace": {"fg": "yellow"},
    "retry": {"fg": "green"},
    "update": {"fg": "yellow"},
    "promote": {"fg": "cyan"},
    "wait": {"fg": "blue"},
    "cancel": {"fg": "red"},
    "delete": {"fg": "red"},
    "conflict": {"fg": "red", "bold": True},
    "failed": {"fg": "red", "bold": True},
    "rejected": {"fg": "yellow", "bold": True},
    "error": {"fg": "red"},
    "warning": {"fg": "yellow"},
    "advice": {"fg": "cyan"},
    "good": {"fg": "green", "bold": True},
    "bold": {"bold": True},
    "dim": {"dim": True},
}


def is_live(*, err: bool = False) -> bool:
    """Whether a person watches standard output (or standard error): a terminal, not CI."""
    # Python has None for a stream that was closed before it began (`>&-`).
    stream = sys.stderr if err else sys.stdout
    is_terminal = stream is not None and stream.isatty()
    return is_terminal and not in_ci() and os.environ.get("TERM") != "dumb"


def in_ci() -> bool:
    """Whether this runs in continuous integration, where caches are not trusted."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def may_ask() -> bool:
    """Whether there is a person to answer a question."""
    return (
        all(each is not None and each.isatty() for each in (sys.stdin, sys.stdout)) and not in_ci()
    )


def style(*, err: bool = False) -> Style:
    """Return how to colour a text by its role; without colour the words say the same."""
    if "NO_COLOR" in os.environ or not is_live(err=err):
        return lambda text, _role: text

    def coloured(text: str, role: str) -> str:
        return click.style(text, **_COLOURS.get(role, {}))  # type: ignore[arg-type]  # click types each keyword

    return coloured


def write_utf8(text: str) -> None:
    """Write a document to standard output, in UTF-8 and with its own line ends in every locale."""
    click.echo(text.encode(), nl=False)
