"""`tunedmodels init`: create a small working project, or manifests for live models."""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from importlib.resources import files
from pathlib import Path

import click

from tunedmodels.cli.options import open_project
from tunedmodels.cli.terminal import can_prompt
from tunedmodels.errors import ProblemsFoundError, TunedModelsError
from tunedmodels.files import write_output

PROJECT = "tunedmodels.yaml"
FILES = (PROJECT, "tone.yaml", "data/tone.jsonl")
NAME = re.compile(r"[a-z]([a-z0-9-]{0,29}[a-z0-9])?")

_OTHER_DIRECTORY = "Name another directory: tunedmodels init DIR"


@click.command("init")
@click.argument("target", metavar="[DIR]", default="manifests", type=click.Path(path_type=Path))
@click.option(
    "--name",
    metavar="NAME",
    help="Name of the project, which is the owner in every stamp. Default: the directory name.",
)
@click.option(
    "--from-live",
    is_flag=True,
    help="Write manifests for live models that have none, instead of an example model.",
)
@click.option(
    "--provider",
    type=click.Choice(["embedded", "gemini"]),
    default="embedded",
    show_default=True,
    help="Provider to read with --from-live if DIR has no Project file.",
)
@click.option(
    "--data",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Start from this file of examples, which is copied, instead of the example data.",
)
@click.pass_obj
def command(
    folder: Path | None,
    target: Path,
    *,
    name: str | None,
    from_live: bool,
    provider: str,
    data: Path | None,
) -> None:
    """Create a small working project.

    DIR is the directory to write to; the default is ./manifests. Existing files are never
    overwritten.

    With --data, declares a model that is trained on the examples of a file in any format that
    `tunedmodels data` reads.

    With --from-live, writes manifests for live models of this project and for live models without a
    stamp. A live model does not report its examples; each manifest says so and names their file.
    """
    target = (folder or Path()) / target
    if from_live:
        _write_live_manifests(target, name, provider)
        return
    if data:
        _write_from_data(target, name, data)
        return
    name = _choose_name(name, Path.cwd().name)
    _write(target, _starter_files(name))
    option = _directory_option(target)
    click.echo("\nNext:")
    click.echo(f"    tunedmodels {option}plan")
    click.echo(f"    tunedmodels {option}apply")
    click.echo(f'    tunedmodels {option}generate tone "Thanks a lot, you are wonderful"')


def _write_from_data(target: Path, name: str | None, data: Path) -> None:
    """Write a project whose model is trained on a copy of `data`. Raises ProblemsFoundError."""
    from tunedmodels.cli.data import describe_files

    description = describe_files((str(data),))
    if not description.scan.is_usable:
        raise ProblemsFoundError(description.scan.problems)
    texts = _starter_files(_choose_name(name, Path.cwd().name))
    model = re.sub(r"[^a-z0-9]+", "-", data.name.partition(".")[0].lower()).strip("-0123456789")
    model = model[:31].strip("-") or "model"
    settings = [line for line in description.block if not line.startswith(("dataset:", "  path:"))]
    labels = description.scan.labels
    is_classifier = labels is not None and len(labels) * 5 <= description.scan.examples
    manifest = "\n".join(
        [
            "# yaml-language-server: $schema=tunedmodels.schema.json",
            "apiVersion: tunedmodels.dev/v1",
            "kind: TunedModel",
            "metadata:",
            f"  name: {model}",
            "spec:",
            f"  baseModel: models/embedded-{'label' if is_classifier else 'text'}-001",
            "  dataset:",
            f'    path: "data/{data.name}"',
            *(f"  {line}" for line in settings),
        ]
    )
    kept = (PROJECT, "tunedmodels.schema.json", ".gitignore")
    written: dict[str, str | bytes] = {path: texts[path] for path in kept}
    _write(
        target,
        written | {f"{model}.yaml": manifest + "\n", f"data/{data.name}": data.read_bytes()},
    )
    option = _directory_option(target)
    click.echo(f"\nNext:\n    tunedmodels {option}validate\n    tunedmodels {option}plan")


def _directory_option(target: Path) -> str:
    """Return the `-C` option for a directory that is not found by default, with a space."""
    return "" if os.path.normpath(target) == "manifests" else f"-C {target} "


def _write(target: Path, texts: Mapping[str, str | bytes]) -> None:
    """Write new files. Raises TunedModelsError, and writes none of them, if one of them exists."""
    existing = [str(target / path) for path in texts if (target / path).exists()]
    if existing:
        raise TunedModelsError(
            f"{', '.join(existing)} already exist; nothing was written", cure=_OTHER_DIRECTORY
        )
    new_folders = [folder for folder in (target / "data", target) if not folder.exists()]
    written: list[Path] = []
    try:
        (target / "data").mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            write_output(target / path, text if isinstance(text, bytes) else text.encode())
            written.append(target / path)
    except (OSError, TunedModelsError) as error:
        for file in written:
            file.unlink()
        for folder in new_folders:
            with suppress(OSError):
                folder.rmdir()
        if isinstance(error, FileExistsError | NotADirectoryError):
            raise TunedModelsError(
                f"{target} is not a directory and cannot be created; nothing was written",
                cure=_OTHER_DIRECTORY,
            ) from None
        raise
    for path in texts:
        click.echo(f"Wrote {target / path}")


def _write_live_manifests(target: Path, name: str | None, provider: str) -> None:
    import asyncio

    from tunedmodels.manifests.discover import has_project
    from tunedmodels.operations.import_live import draft_manifests

    if not has_project(target):
        name = _choose_name(name, Path.cwd().name)
        texts = _starter_files(name)
        project = texts[PROJECT].replace("provider: embedded", f"provider: {provider}")
        if provider != "embedded":  # models of a former release have no lineage
            formerly = f"  formerly: [{{project: {name}, lineage: none}}]"
            project = project.replace("\nspec:", f"\n{formerly}\nspec:", 1)
        kept = ("tunedmodels.schema.json", ".gitignore")
        _write(target, {PROJECT: project} | {path: texts[path] for path in kept})
    drafts = asyncio.run(draft_manifests(open_project(target, needs_environment=False)))
    _write(target, {f"{draft.name}.yaml": draft.text for draft in drafts})
    if not drafts:
        click.echo("Every live model has a manifest or belongs to another project.")
        return
    click.echo("\nLive models do not report their examples. Provide these files:")
    for draft in drafts:
        click.echo(f"    {target / draft.examples}    for {draft.model_id}")
    click.echo(f"\nTo see what is missing: tunedmodels {_directory_option(target)}validate")


def _choose_name(name: str | None, folder: str) -> str:
    """Return the name of the project: `name`, the answer to a prompt, or that of the directory."""
    if not name:
        words = re.sub(r"[^a-z0-9]+", "-", folder.lower()).strip("-0123456789")
        default = words[:31].strip("-") or "my-models"
        name = click.prompt("Name of the project", default=default) if can_prompt() else default
    if not NAME.fullmatch(name):
        raise TunedModelsError(
            f"{name!r} is not a valid name",
            cure="Use up to 31 lower-case letters, digits and hyphens; begin with a letter.",
        )
    return name


def _starter_files(name: str) -> dict[str, str]:
    """Return the files of the small project, by path."""
    from tunedmodels.schema.json_schema import manifest_schema

    starter = files("tunedmodels.cli") / "starter"
    texts = {path: (starter / path).read_text(encoding="utf-8") for path in FILES}
    texts[PROJECT] = (
        texts[PROJECT].replace("my-models", name).replace("000000000000", secrets.token_hex(6))
    )
    schema = json.dumps(manifest_schema(), indent=2, ensure_ascii=False)
    return texts | {"tunedmodels.schema.json": schema + "\n", ".gitignore": ".tunedmodels/\n"}
