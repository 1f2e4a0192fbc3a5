"""What commands that follow jobs share: a view for a person, beside those who listen elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from tunedmodels.cli.options import Events
from tunedmodels.cli.terminal import is_live, style

if TYPE_CHECKING:
    from tunedmodels.events import Event


def complain(words: str) -> None:
    """Say what a listener could not do."""
    click.echo(style(err=True)("Warning: ", "warning") + words, err=True)


@contextmanager
def watched(events: Events, hearers: Callable[[Event], None]) -> Iterator[Callable[[Event], None]]:
    """Show events to a person while this block runs, and hand each one on."""
    from tunedmodels.render.view import progress

    err = events.take_stdout
    out = sys.stderr if err else sys.stdout
    with progress(live=is_live(err=err), style=style(err=err), out=out) as view:

        def emit(event: Event) -> None:
            view(event)
            hearers(event)

        yield emit
