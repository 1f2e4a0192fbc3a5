"""The limits that the service enforces."""

from __future__ import annotations

from typing import Final

MAX_INPUT_LENGTH: Final = 40_000  #: characters per example and per prompt (F6, F16)
MAX_OUTPUT_LENGTH: Final = 5_000  #: characters per example (F6)
MAX_DATA_BYTES: Final = 4 * 1024 * 1024  #: bytes of training examples (F9)
MAX_BODY_BYTES: Final = MAX_DATA_BYTES + 64 * 1024  #: bytes of a request body, with other fields
BODY_TIMEOUT_S: Final = 60.0  #: for a whole body: 4 MB at half a megabit per second
MAX_DISPLAY_NAME_LENGTH: Final = 40  #: characters
MAX_EPOCHS: Final = 1_000
MAX_BATCH_SIZE: Final = 1_024  #: examples
MAX_STEPS: Final = 1_000_000  #: each step is a snapshot in every response that contains the model
MAX_STOP_SEQUENCES: Final = 5

#: The API counts tokens and the engines count characters: one token is this many characters.
CHARACTERS_PER_TOKEN: Final = 4
