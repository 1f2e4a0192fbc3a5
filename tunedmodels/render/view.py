"""Which view of the events a person gets: a moving table, or a line per event."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from tunedmodels.events import Event
from tunedmodels.render.problems import Style, plain
from tunedmodels.render.progress import PlainProgress


@contextmanager
def progress(
    *, live: bool, style: Style = plain, out: TextIO | None = None
) -> Iterator[Callable[[Event], None]]:
    """Show events while this block runs, as a moving table or line by line, and then how it ended.

    `out` is standard output unless it is said.
    """
    out = out or sys.stdout
    if not live:
        with PlainProgress(out, style=style) as view:
            yield view
        return
    from rich.console import Console  # noqa: PLC0415  # only for a person who watches

    from tunedmodels.render.progress_live import LiveProgress  # noqa: PLC0415  # it imports rich

    with LiveProgress(Console(file=out, highlight=False), style=style) as moving:
        yield moving
