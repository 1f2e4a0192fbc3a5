"""From YAML text to documents of plain values, and everything that is wrong with it as YAML."""

from __future__ import annotations

from dataclasses import dataclass

import yaml

from tunedmodels.manifests.decode import Fault, FaultError, unprintable
from tunedmodels.manifests.document import Document
from tunedmodels.manifests.yaml_errors import syntax_fault
from tunedmodels.manifests.yaml_parser import Builder


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text holds, empty documents left out, and what is wrong with it as YAML."""

    documents: tuple[Document, ...]
    faults: tuple[Fault, ...]


def read(text: str, *, lines: bool = False) -> Reading:
    """Read all documents; after a fault of syntax, those before it. Never raises."""
    builder = Builder(keep_lines=lines)
    try:
        builder.run(text)
    except FaultError as error:
        builder.faults.append(error.fault)
    except yaml.reader.ReaderError:
        builder.faults.append(unprintable(text))
    except yaml.MarkedYAMLError as error:
        builder.faults.append(syntax_fault(error, text))
    if builder.faults and not lines:
        return read(text, lines=True)  # now with the lines that the faults speak of
    return Reading(tuple(builder.documents), tuple(builder.faults))
