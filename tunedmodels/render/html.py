"""The frame of every HTML page: one file that loads nothing and runs nothing."""

from __future__ import annotations

from collections.abc import Sequence

from tunedmodels import __version__
from tunedmodels.render.layout import cut


def render_page(
    template: str, *, path: Sequence[str], result: str, footer: Sequence[str], **values: object
) -> str:
    """Return a page with its style sheet inside, and a policy that allows nothing else.

    `path` leads from the project to the subject of the page. `values` are passed to the template,
    which escapes them.
    """
    import base64  # noqa: PLC0415  # start-up: only pages need it
    import hashlib  # noqa: PLC0415  # the same
    from importlib.resources import files  # noqa: PLC0415  # the same

    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415  # the same

    style = files("tunedmodels.render").joinpath("templates/page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    names = [cut(name, 40) for name in path if name]
    environment = Environment(
        loader=PackageLoader("tunedmodels.render"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return (
        environment.get_template(template).render(
            title=" · ".join(["tunedmodels", *names, result]),
            style=style,
            style_hash=f"sha256-{digest}",
            path=names,
            result=result[0].upper() + result[1:],
            footer=[part for part in (*footer, f"tunedmodels {__version__}") if part],
            **values,
        )
        + "\n"
    )
