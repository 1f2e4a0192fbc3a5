"""Count the tokens of datasets with the service that would train on them, and cache the counts.

The cache is one file in the state directory of the project. Its keys contain the digest of the
dataset, its preamble and the base model, so that each dataset is counted once per base model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tunedmodels.datasets.examples import Example, Preference, digest, prompt
from tunedmodels.datasets.load import load, load_preferences
from tunedmodels.desired import Desired
from tunedmodels.errors import UnimplementedError
from tunedmodels.files import write_atomic
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.project.project import Project
from tunedmodels.project.resolve import rejected_field
from tunedmodels.providers.provider import Provider

_ENDED = (ModelState.FAILED, ModelState.CANCELLED)


async def count_dataset_tokens(
    project: Project,
    desired: Sequence[Desired],
    observed: Sequence[ObservedModel],
    providers: Mapping[str, Provider],
) -> tuple[Desired, ...]:
    """Return the desired models; those that would be trained have the counts of their service.

    Raises UnimplementedError when none of the services that would train counts tokens, and
    ProviderError when a service that does fails.
    """
    existing = {(m.provider, m.fingerprint) for m in observed if m.state not in _ENDED}
    cache = _TokenCounts(project.state_dir / "tokens")
    counted: dict[str, int] = {}
    unimplemented: list[UnimplementedError] = []
    for model in desired:
        if (model.provider, model.fingerprint) in existing:
            continue
        base = model.base_model
        key = cache.key(project.providers[model.provider].type, base, model)
        if key not in cache.counts:
            texts = _read_texts(model)
            if texts is None:
                continue
            try:
                cache.counts[key] = await providers[model.provider].count_tokens(base, texts)
            except UnimplementedError as error:
                unimplemented.append(error)
                continue
        counted[model.name] = cache.counts[key]
    if counted:
        project.create_state_dir()
        cache.save()
    elif unimplemented:
        raise unimplemented[0]
    return tuple(
        _with_tokens(model, counted[model.name]) if model.name in counted else model
        for model in desired
    )


def _with_tokens(desired: Desired, tokens: int) -> Desired:
    dataset = replace(desired.inputs.dataset, tokens=tokens, tokens_are_exact=True)
    return replace(desired, inputs=replace(desired.inputs, dataset=dataset))


def _read_texts(desired: Desired) -> list[str] | None:
    """Return the texts to count, or None when the file changed since it was scanned."""
    examples = _load_examples(desired)
    if digest(examples) != desired.inputs.dataset.digest:
        return None
    return [text for example in examples for text in _texts(example, desired.inputs.preamble)]


def _load_examples(desired: Desired) -> Sequence[Example]:
    dataset = desired.inputs.dataset
    path = dataset.declared_path
    if desired.inputs.method == "supervised":
        return load(dataset.file, dataset.source, display_path=path)
    rejected = rejected_field(dataset.source)
    return load_preferences(dataset.file, dataset.source, rejected, display_path=path)


def _texts(example: Example, preamble: str) -> list[str]:
    """Return the texts of an example, including the rejected response of a preference."""
    texts = [prompt(preamble, example.text_input), example.output]
    return [*texts, example.rejected] if isinstance(example, Preference) else texts


class _TokenCounts:
    """The cached counts, by key."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.counts: dict[str, int] = {}
        with suppress(OSError, ValueError):  # an unreadable file is replaced
            saved = json.loads(file.read_bytes())
            self.counts = {str(key): int(value) for key, value in saved.items()}

    def key(self, provider_type: str, base: str, desired: Desired) -> str:
        """Return a digest of everything that a count depends on."""
        inputs = desired.inputs
        parts = [provider_type, base, inputs.dataset.digest, inputs.preamble]
        if inputs.method != "supervised":
            parts.append(inputs.method)
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def save(self) -> None:
        """Write all counts; after a write error the next plan requests them again."""
        with suppress(OSError):
            write_atomic(self._file, json.dumps(self.counts).encode())
