"""The options of every renderer of a plan or an evaluation report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from tunedmodels.render.layout import Style, no_style
from tunedmodels.render.markup import MAX_COMMENT_BYTES

if TYPE_CHECKING:
    from tunedmodels.datasets.diff import Comparison

# Numbers of examples of each kind.
NONE: Final = 0
FEW: Final = 3
ALL: Final = 2**31

DetailLevel = Literal["full", "no-snippets", "no-fields", "table", "summary"]
DETAIL_LEVELS: Final[tuple[DetailLevel, ...]] = (
    "full",
    "no-snippets",
    "no-fields",
    "table",
    "summary",
)


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """The amount and the style of the output; a renderer ignores the options that do not apply."""

    #: The differences between the datasets, by model name. Pass them only where every reader of
    #: the output may read the datasets.
    dataset_diffs: Mapping[str, Comparison] = field(default_factory=dict)
    #: How many examples of each kind are written out; the others are counted.
    max_examples: int = FEW
    #: The commit that was planned.
    head: str = ""
    #: The commit that `head` is compared with, or a branch and its commit.
    base: str = ""
    #: The address of the whole plan, for a comment that does not show all of it.
    full_url: str = ""
    #: The most detail of a comment; it shows less if it would be larger than `max_bytes`.
    level: DetailLevel = "full"
    #: The most bytes of a comment, in UTF-8.
    max_bytes: int = MAX_COMMENT_BYTES
    #: Colours a text by its role; used for a terminal.
    style: Style = no_style


DEFAULT_OPTIONS: Final = RenderOptions()
