"""The table of base models: the bundled rows, and those of a project on top of them.

The bundled file is read once it is asked for anything, and costs some milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache, cached_property
from importlib.resources import files

from tunedmodels.capabilities.rows import BaseModelRow, Bundled, Price, ProviderType

Key = tuple[ProviderType, str]


class BaseModels:
    """What is known of base models; a row of the project wins field by field."""

    def __init__(self, own: Iterable[BaseModelRow] = ()) -> None:
        self._own = tuple(own)

    @cached_property
    def _rows(self) -> Mapping[Key, BaseModelRow]:
        bundled = read_bundled().base_models
        rows: dict[Key, BaseModelRow] = {(row.provider, row.name): row for row in bundled}
        for row in self._own:
            key = row.provider, row.name
            rows[key] = _corrected(rows[key], row) if key in rows else row
        return rows

    def find(self, provider: ProviderType, base: str) -> BaseModelRow | None:
        """Return the row of a base model, or None where it is not known."""
        return self._rows.get((provider, bare(base)))

    def names(self, provider: ProviderType) -> list[str]:
        """Return every base model that is known for a type of provider."""
        return [row.name for row in self._rows.values() if row.provider == provider]

    def price(self, provider: ProviderType, base: str) -> Price | None:
        """Return what training costs: the row's own price, else that of the whole provider."""
        row = self.find(provider, base)
        if row and row.price:
            return row.price
        of_all = read_bundled().providers.get(provider)
        return of_all.price if of_all else None


def bare(base: str) -> str:
    """Return the name of a base model without what stands before it."""
    return base.rsplit("/", 1)[-1]


@cache
def read_bundled() -> Bundled:
    """Return what comes with this package."""
    import yaml  # noqa: PLC0415  # only where a base model is asked for

    text = files("tunedmodels.schema").joinpath("base_models.yaml").read_bytes()
    # The C parser takes one millisecond, the other one ten.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return Bundled.model_validate(yaml.load(text, Loader=loader))  # noqa: S506  # both are safe


def _corrected(bundled: BaseModelRow, own: BaseModelRow) -> BaseModelRow:
    said = {name: getattr(own, name) for name in own.model_fields_set}
    return bundled.model_copy(update={"source": "spec.baseModels of the Project", **said})
