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

from tunedmodels.cli.files import write_whole
from tunedmodels.cli.terminal import may_ask
from tunedmodels.errors import TunedModelsError

FILES = ("tunedmodels.yaml", "tone.yaml", "data/tone.jsonl")
NAME = re.compile(r"[a-z]([a-z0-9-]{0,29}[a-z0-9])?")


@click.command("init")
@click.argument("target", metavar="[DIR]", default="manifests", type=click.Path(path_type=Path))
@click.option("--name", help="Name of the project: the owner in every stamp.")
@click.pass_obj
def command(folder: Path | None, target: Path, name: str | None) -> None:
    """Write a small project that works.

    Into ./manifests, or DIR. Existing files are never written over.
    """
    target = (folder or Path()) / target
    name = _name(name, Path.cwd().name)
    written = _texts(name)
    there = [str(target / path) for path in written if (target / path).exists()]
    if there:
        raise TunedModelsError(
            f"{', '.join(there)} exist already; nothing was written",
            cure="Name another folder: tunedmodels init DIR",
        )
    _write(target, written)
    for path in written:
        click.echo(f"wrote {target / path}")
    place = "" if os.path.normpath(target) == "manifests" else f"-C {target} "
    click.echo("\nNext:")
    click.echo(f"    tunedmodels {place}plan")
    click.echo(f"    tunedmodels {place}apply")
    click.echo(f'    tunedmodels {place}generate tone "Thanks a lot, you are wonderful"')


def _write(target: Path, texts: Mapping[str, str]) -> None:
    """Write all files, or none."""
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
    from tunedmodels.manifests.schema import manifest_schema

    starter = files("tunedmodels.cli") / "starter"
    texts = {path: (starter / path).read_text(encoding="utf-8") for path in FILES}
    texts["tunedmodels.yaml"] = texts["tunedmodels.yaml"].replace("my-models", name)
    schema = json.dumps(manifest_schema(), indent=2, ensure_ascii=False)
    return texts | {"tunedmodels.schema.json": schema + "\n", ".gitignore": ".tunedmodels/\n"}
