"""The files of examples of a TunedModel: how they are read, and which of their rows are used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, NamedTuple, Self

from pydantic import (
    Discriminator,
    Field,
    PrivateAttr,
    StringConstraints,
    Tag,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from tunedmodels.schema.fields import ManifestModel

DatasetFormat = Literal[
    "jsonl",
    "json",
    "csv",
    "tsv",
    "parquet",
    "contents",
    "messages",
    "conversations",
    "promptCompletion",
    "alpaca",
    "dolly",
]
FilePath = Annotated[str, StringConstraints(min_length=1)]
Paths = Annotated[
    Annotated[FilePath, Tag("path")]
    | Annotated[tuple[FilePath, ...], Field(min_length=1, strict=False), Tag("paths")],
    Discriminator(lambda value: "paths" if isinstance(value, list | tuple) else "path"),
]
"""One path, or a list. A tag, so that an error is about the kind that was written."""
Part = Literal["training", "evaluation", "validation"]
Share = Annotated[float, Field(gt=0, lt=1)]

_REMOTE: Final = "gs://"


class HoldOutPart(NamedTuple):
    """A share of the training file that training leaves out."""

    part: str
    share: float
    by: str | None
    seed: int


class Sample(ManifestModel):
    """A random choice of examples, the same in every run."""

    size: int = Field(ge=1, description="Number of examples.")
    seed: int = Field(default=0, description="Another seed chooses other examples.")


class ExampleFile(ManifestModel):
    """Files of examples: prompts with their expected responses."""

    path: Paths = Field(
        description="Path relative to the directory of the Project file, and inside it: a file, a "
        "pattern such as data/*.jsonl, or a list of both; with a provider of type vertex also "
        "gs://BUCKET/OBJECT."
    )
    format: DatasetFormat | None = Field(
        default=None,
        description="Format of the rows or of the file; unset, it is recognised by the suffix and "
        "the first rows.",
    )
    input_field: str = Field(default="text_input", min_length=1)
    output_field: str = Field(default="output", min_length=1)
    input: str | None = Field(
        default=None,
        min_length=1,
        description='Template of the prompt over several fields, such as "{question}\\n{context}".',
    )
    output: str | None = Field(
        default=None, min_length=1, description='Template of the response, such as "{label}".'
    )
    system: str | None = Field(
        default=None, min_length=1, description='Template of the system text, such as "{system}".'
    )
    turns: Literal["keep", "split", "splitWithHistory"] = Field(
        default="keep",
        description="Whether a conversation is one example, or one pair for each response, without "
        "or with the turns before it in the input.",
    )
    delimiter: str | None = Field(
        default=None, min_length=1, max_length=1, description="Character between the columns."
    )
    encoding: str | None = Field(
        default=None, min_length=1, description="Encoding of the file, if it is not UTF-8."
    )
    header: bool = Field(default=True, description="Whether the first row names the columns.")
    columns: Annotated[tuple[FilePath, ...], Field(min_length=2, strict=False)] | None = Field(
        default=None, description="Names of the columns of a table without a header."
    )
    limit: int | None = Field(default=None, ge=1, description="Number of examples to read.")
    sample: int | Sample | None = Field(
        default=None, description="Number of examples to choose at random."
    )
    drop: Annotated[
        tuple[Literal["empty", "duplicates", "tooLong", "placeholders"], ...], Field(strict=False)
    ] = Field(default=(), description="Rows to leave out.")

    _part: Part = PrivateAttr(default="training")
    _hold_outs: tuple[HoldOutPart, ...] = PrivateAttr(default=())
    _max_sizes: tuple[int, int, int] | None = PrivateAttr(default=None)

    @field_validator("path")
    @classmethod
    def _check_remote(cls, path: str | tuple[str, ...]) -> str | tuple[str, ...]:
        paths = [path] if isinstance(path, str) else path
        is_remote = [each.startswith(_REMOTE) for each in paths]
        if any(is_remote) and (len(paths) > 1 or not _PATTERN.isdisjoint(paths[0])):
            raise PydanticCustomError(
                "remote-list", "an object of Cloud Storage is one path, not a list or a pattern"
            )
        return path

    @model_validator(mode="after")
    def _check_table(self) -> Self:
        if self.columns is not None and self.header:
            raise PydanticCustomError("exclusive", "columns need header: false")
        return self

    @property
    def is_basic(self) -> bool:
        """Whether only the path, the format and the two fields are set."""
        # Not the private attributes, which pydantic looks up slowly.
        private = self.__pydantic_private__ or {}
        return self.model_fields_set <= _BASIC and not private.get("_hold_outs") and self.is_single

    @property
    def is_single(self) -> bool:
        """Whether the path names one file."""
        return isinstance(self.path, str) and _PATTERN.isdisjoint(self.path)

    @property
    def paths(self) -> tuple[str, ...]:
        """The path, or the paths of a list."""
        return (self.path,) if isinstance(self.path, str) else self.path

    @property
    def declared_path(self) -> str:
        """The path as messages name it."""
        return ", ".join(self.paths)

    @property
    def seed(self) -> int:
        """The seed of the sample."""
        return self.sample.seed if isinstance(self.sample, Sample) else 0

    @property
    def part(self) -> Part:
        """The part of the rows that is read."""
        return self._part

    @property
    def hold_outs(self) -> tuple[HoldOutPart, ...]:
        """The parts that training leaves out."""
        return self._hold_outs

    @property
    def settings(self) -> dict[str, Any]:
        """Every setting of the reading by name, for `datasets.source.Source`."""
        names = _SETTINGS[:4] if self.is_basic else _SETTINGS
        values = {name: getattr(self, name) for name in names}
        if isinstance(self.sample, Sample):
            values["sample"] = self.sample.size
        if self._max_sizes:
            values["max_sizes"] = self._max_sizes
        return values

    def read_as(
        self, part: Part, hold_outs: Sequence[HoldOutPart], max_sizes: tuple[int, int, int]
    ) -> Self:
        """Return a copy that reads one part of the rows."""
        if not hold_outs and not self.drop:
            return self
        copy = self.model_copy()
        copy._part = part  # noqa: SLF001  # the same class
        copy._hold_outs = tuple(hold_outs)  # noqa: SLF001
        copy._max_sizes = max_sizes  # noqa: SLF001
        return copy


_PATTERN: Final = frozenset("*?[")
_BASIC: Final = {"path", "format", "input_field", "output_field", "rejected_field", "preamble"}
_READING: Final = {
    "format",
    "input_field",
    "output_field",
    "input",
    "output",
    "system",
    "turns",
    "delimiter",
    "encoding",
    "header",
    "columns",
    "drop",
}
_SETTINGS: Final = (
    "path",
    "format",
    "input_field",
    "output_field",
    "input",
    "output",
    "system",
    "turns",
    "delimiter",
    "encoding",
    "header",
    "columns",
    "limit",
    "sample",
    "seed",
    "drop",
    "part",
    "hold_outs",
)


class TrainingFile(ExampleFile):
    """A file of examples that is sent to the service."""

    rejected_field: str | None = Field(
        default=None,
        min_length=1,
        description="With method: preference, field of the rejected response; default rejected.",
    )


class HeldOutFile(ExampleFile):
    """Examples that training leaves out: in files of their own, or a share of the dataset."""

    path: Paths = Field(default="", description="Path as in the dataset; excludes holdOut.")
    hold_out: Share | None = Field(
        default=None,
        description="Share of the examples of the dataset to hold out, such as 0.1; excludes path.",
    )
    by: str | None = Field(
        default=None,
        min_length=1,
        description="Field whose equal values stay together, such as customer_id; default: equal "
        "inputs do.",
    )
    seed_of_hold_out: int = Field(
        default=0, alias="seed", description="Another seed holds out other examples."
    )

    @model_validator(mode="after")
    def _check_hold_out(self) -> Self:
        if self.path and self.hold_out is not None:
            raise PydanticCustomError("exclusive", "name either path or holdOut")
        if self.hold_out is not None and (extra := self.model_fields_set & _READING):
            raise PydanticCustomError(
                "needs-path",
                "holdOut reads the files of the dataset; set {names} there",
                {"names": ", ".join(sorted(to_camel(name) for name in extra))},
            )
        return self


class ValidationFile(HeldOutFile, TrainingFile):
    """Examples for the validation loss."""


class TrainingDataset(TrainingFile):
    """The training examples."""

    preamble: str = Field(
        default="", description="Text before every input, in training and in generate."
    )
    preamble_as: Literal["input", "systemInstruction"] = Field(
        default="input",
        description="Whether the preamble is part of the input or the system instruction.",
    )
    hold_out: Share | None = Field(
        default=None,
        description="Share of the examples to hold out for an evaluation without a path, such as "
        "0.1; the same as evaluation.holdOut.",
    )
