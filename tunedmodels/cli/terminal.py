"""The terminal: whether it is interactive, colors, and UTF-8 output."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import click

Style = Callable[[str, str], str]

_STYLES: dict[str, dict[str, object]] = {
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
    """Return whether standard output (or standard error) is a terminal outside of CI."""
    # The stream is None if it was closed before Python started (`>&-`).
    stream = sys.stderr if err else sys.stdout
    is_terminal = stream is not None and stream.isatty()
    return is_terminal and not in_ci() and os.environ.get("TERM") != "dumb"


def in_ci() -> bool:
    """Return whether this process runs in continuous integration."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def can_prompt() -> bool:
    """Return whether the user can answer a prompt: both streams are terminals, outside of CI."""
    streams = (sys.stdin, sys.stdout)
    return all(stream is not None and stream.isatty() for stream in streams) and not in_ci()


def style(*, err: bool = False) -> Style:
    """Return a function that colors a text by its role, or leaves it plain."""
    if "NO_COLOR" in os.environ or not is_live(err=err):
        return lambda text, _role: text

    def color(text: str, role: str) -> str:
        return click.style(text, **_STYLES.get(role, {}))  # type: ignore[arg-type]  # click types each keyword

    return color


def write_text(text: str, *, err: bool = False) -> None:
    """Write text for a person, without a line break inside a word on a narrow terminal."""
    from tunedmodels.render.layout import fit

    click.echo(fit(text), nl=False, err=err)


def write_utf8(text: str) -> None:
    """Write a document to standard output in UTF-8, with unchanged line ends, in every locale."""
    click.echo(text.encode(), nl=False)
