"""The fields of a tuned model: the inputs of its training, and the fields that change in place.

TrainingInputs and MutableFields are the only two lists of these fields. The fingerprint, the
comparison of desired with observed values, the request that updates a live model and the hashes in
a stamp iterate over them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal

from pydantic.alias_generators import to_camel

from tunedmodels.schema.tuned_model import ExampleFile, Hyperparameters

_UNSET_HASH: Final = "-"
_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class DesiredDataset:
    """Training examples on disk: where they are, how to read them, and what was found in them."""

    file: Path
    declared_path: str  #: the path as the manifest has it
    source: ExampleFile  #: how to read the file
    digest: str  #: SHA-256 (hex) of the examples
    examples: int
    tokens: int | None = None  #: of one epoch, including preambles; None: unknown
    tokens_are_exact: bool = False  #: the service counted the tokens; else they are estimated


# Part of every fingerprint. An input without this mark was added later: it counts only if it has
# another value than its default, so that adding an input changes no existing fingerprint.
_ALWAYS: Final = {"is_always_hashed": True}
_PARENT: Final = "fingerprint:"  # before the fingerprint of a parent, in place of a source


@dataclass(frozen=True, slots=True)
class TrainingInputs:
    """Everything that cannot change after training: a change of any input needs a new version.

    A parent counts by its fingerprint: its id contains names, which can change.

    The account of the job (`serviceAccount`) is not an input: it leaves no trace in the model.
    """

    source: str = field(metadata=_ALWAYS)  #: `models/NAME`, or `tunedModels/ID` of the parent
    parent_fingerprint: str = field(
        default="", kw_only=True
    )  #: of the parent; counts as the source
    dataset: DesiredDataset = field(metadata=_ALWAYS)
    preamble: str = field(default="", metadata=_ALWAYS)
    preamble_as: Literal["input", "systemInstruction"] = "input"
    method: Literal["supervised", "preference"] = field(default="supervised", metadata=_ALWAYS)
    hyperparameters: Hyperparameters = field(default_factory=Hyperparameters, metadata=_ALWAYS)
    validation: DesiredDataset | None = None
    tuning_mode: str = ""  #: of an open model: peft or full
    encryption_key: str = ""  #: name of a Cloud KMS key; empty: Google's own
    last_checkpoint_only: bool = field(default=False, metadata={"key": "exportLastCheckpointOnly"})

    def plain(self) -> dict[str, Any]:
        """Return the inputs by name as JSON values, with digests in place of datasets."""
        return {name: _plain(getattr(self, name)) for name in _INPUT_NAMES}


def _plain(value: object) -> object:
    if value is None or isinstance(value, str):  # first, since it is the fastest check
        return value or ""
    if isinstance(value, DesiredDataset):
        return value.digest
    if isinstance(value, Hyperparameters):
        return value.model_dump(exclude_none=True, by_alias=True)
    return value


@dataclass(frozen=True, slots=True)
class MutableFields:
    """Everything that an update changes in a live model.

    None is a field without a value: in a desired model it is not managed, so that nothing is
    compared and nothing is written. A new field goes to the end, since the hashes in stamps are in
    this order.
    """

    display_name: str | None = None
    description: str = ""  #: the user's text, without the stamp
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    reader_project_numbers: tuple[int, ...] | None = None  #: in any order; (): no readers
    # Not hashed: a live model also has labels of other tools, which are not compared.
    labels: Mapping[str, str] | None = field(default=None, metadata={"is_hashed": False})
    """For users and bills; other labels of a live model are kept."""

    def values(self) -> dict[str, Any]:
        """Return the fields that have a value, by name."""
        return {
            name: value for name in MANIFEST_PATHS if (value := getattr(self, name)) is not None
        }


MANIFEST_PATHS: Final[Mapping[str, str]] = {
    field.name: to_camel(field.name) for field in fields(MutableFields)
}
"""The path of each mutable field in a manifest and in a plan, by its name."""

_INPUT_NAMES: Final = tuple(
    field.name for field in fields(TrainingInputs) if field.name != "parent_fingerprint"
)
# Name, key in the JSON that is hashed, and the value with which it is left out.
_HASHED_INPUTS: Final = tuple(
    (
        field.name,
        field.metadata.get("key", to_camel(field.name)),
        MISSING if "is_always_hashed" in field.metadata else _plain(field.default),
    )
    for field in fields(TrainingInputs)
    if field.name in _INPUT_NAMES
)
# The description is the first hash in every stamp, although it is not the first field.
_HASHED: Final = sorted(
    (field.name for field in fields(MutableFields) if field.metadata.get("is_hashed", True)),
    key=lambda name: name != "description",
)


def fingerprint(inputs: TrainingInputs) -> str:
    """Return the SHA-256 (hex) of the inputs as canonical JSON.

    Hyperparameters count as declared: if a service changes a default, no model becomes stale.
    """
    values = inputs.plain()
    if inputs.parent_fingerprint:
        values["source"] = f"{_PARENT}{inputs.parent_fingerprint}"
    return json_digest(
        {
            key: values[name]
            for name, key, default in _HASHED_INPUTS
            if default is MISSING or values[name] != default
        }
    )


def json_digest(value: object) -> str:
    """Return the SHA-256 (hex) of a value as canonical JSON."""
    return hashlib.sha256(_canonical(value).encode()).hexdigest()


def field_hashes(mutable: MutableFields) -> str:
    """Return the hashes for a stamp: 4 hex digits for each field, `-` for one without a value.

    One hash per field, so that a plan can tell drift from a manifest change. With 16 bits, one
    drift in 65,536 is reported as a manifest change.
    """
    values = mutable.values()
    return ".".join(_hash(values.get(name)) for name in _HASHED)


def hashes_by_field(text: str) -> Mapping[str, str]:
    """Return the hashes in a stamp by the path of the field, without fields that had no value.

    A stamp of another release may have fewer or more hashes, since new fields go to the end.
    """
    pairs = zip(_HASHED, text.split("."), strict=False)
    return {
        MANIFEST_PATHS[name]: digest for name, digest in pairs if digest not in ("", _UNSET_HASH)
    }


def _hash(value: object) -> str:
    if value is None:
        return _UNSET_HASH
    if isinstance(value, float):
        text = f"{value:.6g}"  # a service may store 32 bits and return 0.699999988 for 0.7
    else:
        text = str(sorted(set(value)) if isinstance(value, tuple) else value)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:4]
