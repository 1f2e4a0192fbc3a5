"""The tokens of datasets as the service counts them, remembered by what stands in the data.

One file of counts beside the project's other state. A dataset is counted once for a base model,
however often it is planned: what it says and the preamble before it are part of the key.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tunedmodels.datasets.examples import digest, prompt
from tunedmodels.datasets.load import load
from tunedmodels.desired import Desired
from tunedmodels.errors import UnimplementedError
from tunedmodels.observed import ModelState, ObservedModel
from tunedmodels.project.project import Project
from tunedmodels.providers.provider import Provider

_ENDED = (ModelState.FAILED, ModelState.CANCELLED)


async def count(
    project: Project,
    desired: Sequence[Desired],
    observed: Sequence[ObservedModel],
    providers: Mapping[str, Provider],
) -> tuple[Desired, ...]:
    """Return what is declared, with the tokens counted of what would be trained.

    Raises UnimplementedError when nobody who would train counts tokens, and ProviderError when a
    service that does cannot be asked.
    """
    there = {(m.provider, m.fingerprint) for m in observed if m.state not in _ENDED}
    sources = {want.name: want for want in desired}
    known = _Counts(project.state / "tokens")
    counted: dict[str, int] = {}
    refused: list[UnimplementedError] = []
    for want in desired:
        if (want.provider, want.fingerprint) in there:
            continue
        base = _base(want, sources)
        key = known.key(project.providers[want.provider].type, base, want)
        if key not in known.counts:
            texts = _texts(want)
            if texts is None:
                continue
            try:
                known.counts[key] = await providers[want.provider].count_tokens(base, texts)
            except UnimplementedError as error:
                refused.append(error)
                continue
        counted[want.name] = known.counts[key]
    if counted:
        project.claim_state()
        known.save()
    elif refused:
        raise refused[0]
    return tuple(
        replace(want, dataset=replace(want.dataset, tokens=counted[want.name], is_counted=True))
        if want.name in counted
        else want
        for want in desired
    )


def _base(want: Desired, names: Mapping[str, Desired]) -> str:
    while want.parent and want.parent in names:
        want = names[want.parent]
    return want.source


def _texts(want: Desired) -> list[str] | None:
    """Return what is counted, or None where the file was edited since it was surveyed."""
    examples = load(want.dataset.file, want.dataset.source, written=want.dataset.written)
    if digest(examples) != want.dataset.digest:
        return None
    return [
        text
        for example in examples
        for text in (prompt(want.preamble, example.text_input), example.output)
    ]


class _Counts:
    """What was counted before, by key."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.counts: dict[str, int] = {}
        with suppress(OSError, ValueError):  # a file that cannot be read is written anew
            saved = json.loads(file.read_bytes())
            self.counts = {str(key): int(value) for key, value in saved.items()}

    def key(self, kind: str, base: str, want: Desired) -> str:
        """Return what a count depends on, as one digest."""
        parts = [kind, base, want.dataset.digest, want.preamble]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def save(self) -> None:
        """Write all of them; a disk that takes nothing costs the next plan the same questions."""
        half = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        with suppress(OSError):
            try:
                half.write_text(json.dumps(self.counts), encoding="utf-8")
                half.replace(self._file)
            finally:
                half.unlink(missing_ok=True)
