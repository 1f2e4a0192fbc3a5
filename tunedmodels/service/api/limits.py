"""The limits that the service enforces, in one place."""

from __future__ import annotations

from typing import Final

MOST_INPUT: Final = 40_000  # characters, per example and per question (F6, F16)
MOST_OUTPUT: Final = 5_000  # characters, per example (F6)
MOST_DATA: Final = 4 * 1024 * 1024  # bytes of examples (F9)
MOST_BODY: Final = MOST_DATA + 64 * 1024  # bytes of a request: the data and what goes around it
BODY_S: Final = 60.0  # for all of a body: 4 MB at half a megabit per second
MOST_DISPLAY_NAME: Final = 40  # characters
MOST_EPOCHS: Final = 1_000
MOST_BATCH: Final = 1_024  # examples
MOST_STEPS: Final = 1_000_000  # each is a snapshot that every look at the model sends along
MOST_STOP_SEQUENCES: Final = 5

# Engines count characters; where the API speaks of tokens, one is taken for so many of them.
CHARACTERS_PER_TOKEN: Final = 4
