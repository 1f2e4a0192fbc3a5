"""Diagnose this machine and the providers of a project, without changing anything."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import gettempdir

from tunedmodels import __version__
from tunedmodels.address import Address
from tunedmodels.errors import ProviderError, StoreError, TunedModelsError
from tunedmodels.project import git
from tunedmodels.project.project import Project
from tunedmodels.providers.doctor.findings import DoctorReport, Findings
from tunedmodels.schema.base_models import BaseModelCatalog
from tunedmodels.schema.project import AnyProvider, EmbeddedSettings, GeminiSettings
from tunedmodels.text import suggest

_PACKAGES = ("google-auth", "httpx", "msgspec", "numpy", "pydantic", "safetensors", "starlette")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_NETWORK_VARIABLES = (*_PROXIES, *map(str.lower, _PROXIES), "SSL_CERT_FILE", "SSL_CERT_DIR")
_LOW_SPACE = 1024**3  # bytes; a store with a thousand models and their examples takes less
_MIN_SPACE = 32 * 1024**2  # bytes; SQLite needs space next to its file for every write


async def diagnose(
    project: Project, provider: str | None, environ: Mapping[str, str]
) -> list[DoctorReport]:
    """Return a report on the machine, then one per provider: all that are used, or `provider`.

    Raises TunedModelsError when the project has no provider of that name.
    """
    providers = project.providers
    if provider is not None:
        providers = {provider: _provider_settings(project, provider)}
    on_machine = _check_machine(environ)
    _check_git(project, on_machine)
    machine = tuple(on_machine.results)
    reports = [DoctorReport("machine", platform.platform(terse=True), machine)]
    for name, settings in providers.items():
        try:
            findings = await _check_provider(project, name, settings, environ)
        except ProviderError as error:  # no client can be opened
            findings = Findings()
            findings.error("connection", error)
        reports.append(DoctorReport(name, _describe(settings), tuple(findings.results)))
    return reports


def _provider_settings(project: Project, name: str) -> AnyProvider:
    providers = project.manifest.providers()
    if name in providers:
        return providers[name]
    raise TunedModelsError(
        f"Unknown provider {name!r}.",
        cure=suggest(name, providers) or f"Existing providers: {', '.join(sorted(providers))}.",
    )


def _describe(settings: AnyProvider) -> str:
    match settings:
        case EmbeddedSettings():
            return "embedded"
        case GeminiSettings():
            return f"gemini at {Address.parse(settings.endpoint)}"
        case _:
            return f"vertex: {settings.project}, {settings.location}, gs://{settings.bucket}"


async def _check_provider(
    project: Project, name: str, settings: AnyProvider, environ: Mapping[str, str]
) -> Findings:
    bases = sorted(
        {
            declared.spec.base_model
            for declared in project.declared
            if project.provider_of(declared) == name and declared.spec.base_model
        }
    )
    match settings:
        case EmbeddedSettings():
            return await _check_embedded(project, name, settings, bases)
        case GeminiSettings():
            from tunedmodels.providers.doctor import gemini

            return await gemini.check_gemini(settings.endpoint, environ, bases)
        case _:
            from tunedmodels.providers.doctor import vertex

            catalog = BaseModelCatalog(project.manifest.spec.base_models)
            rows = [(base, catalog.get("vertex", base)) for base in bases]
            accounts = {
                declared.spec.service_account
                for declared in project.declared
                if project.provider_of(declared) == name and declared.spec.service_account
            }
            return await vertex.check_vertex(settings, environ, rows, accounts=accounts)


def _check_machine(environ: Mapping[str, str]) -> Findings:
    findings = Findings()
    findings.ok("version", f"tunedmodels {__version__} on Python {platform.python_version()}")
    findings.ok("packages", ", ".join(f"{name} {_version(name)}" for name in _PACKAGES))
    _check_network(environ, findings)
    return findings


def _check_git(project: Project, findings: Findings) -> None:
    """Report whether git answers about the project; nothing outside of a repository."""
    state = project.git_state
    if state.problem:
        message = f"{state.problem.message}; no stamp gets a commit, and nothing can be verified"
        findings.warning("git", message, state.problem.cure)
    elif state.is_shallow:
        message = f"commit {state.head} in a shallow clone: earlier commits are unknown"
        findings.warning("git", message, git.UNSHALLOW)
    elif state.top:
        findings.ok("git", f"commit {state.head}" if state.head else "no commit yet")


def _check_network(environ: Mapping[str, str], findings: Findings) -> None:
    """Report the proxies and the certificates that the environment names."""
    if not any(environ.get(name) for name in _NETWORK_VARIABLES):
        return  # the HTTP client is slow to import
    from tunedmodels.providers.connection import certificates, proxy_of, require_proxies

    try:
        require_proxies(environ)
    except ProviderError as error:
        findings.error("proxy", error)
    else:
        if proxy := proxy_of(Address.parse("https://example.com"), environ):
            name, address = proxy
            findings.ok("proxy", f"{name}: requests go through {address.host_and_port}")
    try:
        certificates(environ)
    except ProviderError as error:
        findings.error("certificates", error)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "is missing"


async def _check_embedded(
    project: Project, name: str, settings: EmbeddedSettings, bases: list[str]
) -> Findings:
    from tunedmodels.providers.registry import open_provider
    from tunedmodels.service.embedded import EmbeddedService

    findings = Findings()
    store = project.embedded_store_dir(name)
    _check_disk(store, findings)
    _check_other_folders(project, store, findings)
    try:
        with EmbeddedService(store, jobs=settings.jobs) as service:
            provider = open_provider(
                name, settings, project=project.name, environ={}, embedded_app=service.app
            )
            async with provider:
                models = await provider.observe()
                tunable = {base.name for base in await provider.base_models() if base.is_tunable}
    except (ProviderError, StoreError) as error:
        findings.error("tuned-models", error)
        return findings
    findings.ok("tuned-models", f"{len(models)} in the store")
    for base in bases:
        if base in tunable:
            findings.ok("base-model", f"{base} can be tuned here")
        else:
            cure = f"Name one of these in `baseModel`: {', '.join(sorted(tunable))}."
            findings.failed("base-model", f"{base} cannot be tuned here.", cure)
    return findings


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest existing one above it."""
    while not folder.exists():
        folder = folder.parent
    return folder


def _check_other_folders(project: Project, store: Path, findings: Findings) -> None:
    """Report the other folders that commands write to, if they cannot be written."""
    for check, path in (("state", project.state_dir), ("temporary", Path(gettempdir()))):
        folder = _existing(path)
        if folder == _existing(store):
            continue
        if not os.access(folder, os.W_OK | os.X_OK):
            cure = f"Change its owner:\n    sudo chown $USER {folder}"
            findings.failed(check, f"{folder} cannot be written.", cure)
        elif shutil.disk_usage(folder).free <= _MIN_SPACE:
            findings.failed(check, f"The disk of {folder} is full.", "Free some space.")


def _check_disk(store: Path, findings: Findings) -> None:
    """Report whether the store can be written, without writing to it."""
    folder = _existing(store)
    if os.access(folder, os.W_OK | os.X_OK):
        findings.ok("store", f"{store} can be written")
    else:
        cure = f"Change its owner:\n    sudo chown $USER {folder}"
        findings.failed("store", f"{folder} cannot be written.", cure)
    free = shutil.disk_usage(folder).free
    message = f"{free / 1024**3:,.1f} GiB free"
    if free > _LOW_SPACE:
        findings.ok("disk", message)
    elif free > _MIN_SPACE:
        findings.warning("disk", f"only {message}", "Free some space before the next apply.")
    else:
        findings.failed("disk", f"only {message}: nothing can be stored.", "Free some space.")
