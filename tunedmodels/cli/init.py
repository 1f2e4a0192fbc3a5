"""`tunedmodels init`: a small project that works, as a start of one's own."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from importlib.resources import files
from pathlib import Path

import click

from tunedmodels.cli.options import open_project
from tunedmodels.cli.terminal import may_ask
from tunedmodels.errors import TunedModelsError
from tunedmodels.files import write_whole

PROJECT = "tunedmodels.yaml"
FILES = (PROJECT, "tone.yaml", "data/tone.jsonl")
NAME = re.compile(r"[a-z]([a-z0-9-]{0,29}[a-z0-9])?")


@click.command("init")
@click.argument("target", metavar="[DIR]", default="manifests", type=click.Path(path_type=Path))
@click.option("--name", metavar="NAME", help="Name of the project: the owner in every stamp.")
@click.option(
    "--from-live",
    is_flag=True,
    help="Write manifests for the live models that have none, in place of the small project.",
)
@click.option(
    "--provider",
    type=click.Choice(["embedded", "gemini"]),
    default="embedded",
    show_default=True,
    help="Where to look with --from-live, when there is no Project yet.",
)
@click.pass_obj
def command(
    folder: Path | None, target: Path, *, name: str | None, from_live: bool, provider: str
) -> None:
    """Write a small project that works.

    Into ./manifests, or DIR. Existing files are never written over.

    With --from-live, manifests for what exists: models of this project, and models without a stamp.
    A live model does not tell its examples; each manifest says so, and names the file for them.
    """
    target = (folder or Path()) / target
    if from_live:
        _from_live(target, name, provider)
        return
    name = _name(name, Path.cwd().name)
    _write(target, _texts(name))
    place = "" if os.path.normpath(target) == "manifests" else f"-C {target} "
    click.echo("\nNext:")
    click.echo(f"    tunedmodels {place}plan")
    click.echo(f"    tunedmodels {place}apply")
    click.echo(f'    tunedmodels {place}generate tone "Thanks a lot, you are wonderful"')


def _write(target: Path, texts: Mapping[str, str]) -> None:
    """Write new files: all of them, or none, when one of them is there already."""
    there = [str(target / path) for path in texts if (target / path).exists()]
    if there:
        raise TunedModelsError(
            f"{', '.join(there)} exist already; nothing was written",
            cure="Name another folder: tunedmodels init DIR",
        )
    folders = [folder for folder in (target / "data", target) if not folder.exists()]
    done: list[Path] = []
    try:
        (target / "data").mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            write_whole(target / path, text.encode())
            done.append(target / path)
    except (OSError, TunedModelsError) as error:
        for file in done:
            file.unlink()
        for folder in folders:
            with suppress(OSError):
                folder.rmdir()
        if isinstance(error, FileExistsError | NotADirectoryError):
            raise TunedModelsError(
                f"{target} is no folder, nor can it become one; nothing was written",
                cure="Name another folder: tunedmodels init DIR",
            ) from None
        raise
    for path in texts:
        click.echo(f"wrote {target / path}")


def _from_live(target: Path, name: str | None, provider: str) -> None:
    import asyncio

    from tunedmodels.manifests.discover import holds_project
    from tunedmodels.operations.import_live import draft_all

    if not holds_project(target):
        texts = _texts(_name(name, Path.cwd().name))
        project = texts[PROJECT].replace("provider: embedded", f"provider: {provider}")
        kept = ("tunedmodels.schema.json", ".gitignore")
        _write(target, {PROJECT: project} | {path: texts[path] for path in kept})
    drafts = asyncio.run(draft_all(open_project(target)))
    _write(target, {f"{draft.name}.yaml": draft.text for draft in drafts})
    if not drafts:
        click.echo("Every live model has a manifest, or belongs to another project.")
        return
    click.echo("\nWhat no live model tells are its examples. Bring these files:")
    for draft in drafts:
        click.echo(f"    {target / draft.examples}    for {draft.model_id}")
    place = "" if os.path.normpath(target) == "manifests" else f"-C {target} "
    click.echo(f"\nTo see what is missing: tunedmodels {place}validate")


def _name(name: str | None, folder: str) -> str:
    near = re.sub(r"[^a-z0-9]+", "-", folder.lower()).strip("-0123456789")[:31].strip("-")
    name = name or (
        click.prompt("Name of the project", default=near or "my-models")
        if may_ask()
        else near or "my-models"
    )
    if not NAME.fullmatch(name):
        raise TunedModelsError(
            f"{name!r} is no name",
            cure="Use up to 31 lower-case letters, digits and hyphens; begin with a letter.",
        )
    return name


def _texts(name: str) -> dict[str, str]:
    from tunedmodels.schema.json_schema import manifest_schema

    starter = files("tunedmodels.cli") / "starter"
    texts = {path: (starter / path).read_text(encoding="utf-8") for path in FILES}
    texts[PROJECT] = texts[PROJECT].replace("my-models", name)
    schema = json.dumps(manifest_schema(), indent=2, ensure_ascii=False)
    return texts | {"tunedmodels.schema.json": schema + "\n", ".gitignore": ".tunedmodels/\n"}
