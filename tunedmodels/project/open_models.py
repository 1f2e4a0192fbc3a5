"""Check models that are tuned from open models on Vertex AI, of which the catalog knows more.

Source: the page "Supervised fine-tuning for open models" (2026-09-25).
"""

from __future__ import annotations

from collections.abc import Iterator

from tunedmodels.errors import Problem, Severity
from tunedmodels.manifests.declaration import DeclaredModel
from tunedmodels.schema.base_models import BaseModelInfo
from tunedmodels.text import join, printable


def check_open_model(model: DeclaredModel, info: BaseModelInfo) -> Iterator[Problem]:
    """Yield the problems of a model that is tuned from an open model; none for another one."""
    if not info.is_open:
        return
    base = printable(info.reference)
    mode, modes = model.spec.tuning_mode, info.tuning_modes
    location = model.location_of("spec.tuningMode")
    if mode is None and modes and len(modes) > 1:
        message = f"is missing; {base} can be tuned with {join(modes, 'or')}"
        yield location.problem("tuning-mode", message, f"set it to {join(modes, 'or')}")
    elif mode is not None and modes and mode not in modes:
        message = f"{mode} is not available for {base}"
        yield location.problem("tuning-mode", message, f"set it to {join(modes, 'or')}")
    if model.spec.evaluation is not None:
        message = f"requires a model that serves, and one tuned from {base} must be deployed first"
        cure = "remove it, and evaluate the model where you deploy it"
        yield model.location_of("spec.evaluation").problem("not-honoured", message, cure)
    if model.spec.hyperparameters.adapter_size and tuning_mode(model, info) == "full":
        message = "is not used when all parameters are trained (tuningMode: full)"
        cure = "remove it" if modes == ("full",) else "remove it, or set tuningMode: peft"
        at = model.location_of("spec.hyperparameters.adapterSize")
        yield at.problem("not-honoured", message, cure)
    message = f"a model tuned from {base} does not serve until it is deployed"
    cure = "after the training, `tunedmodels outputs` prints the command that deploys it"
    at = model.location_of("spec.baseModel")
    yield at.problem("not-deployed", message, cure, Severity.ADVICE)


def tuning_mode(model: DeclaredModel, info: BaseModelInfo | None) -> str:
    """Return the tuning mode of an open model: the declared one, or the only one that it has."""
    if info is None or not info.is_open:
        return model.spec.tuning_mode or ""
    return model.spec.tuning_mode or (info.tuning_modes[0] if info.tuning_modes else "peft")
