"""An environment as a user has it: the runtime requirements and the package, and nothing else.

A development environment has `.pth` files, which make every start of Python slower and so flatter a
ratio to `python -c pass`. The files are copied from the environment that runs the benchmark, so no
network is used.
"""

from __future__ import annotations

import compileall
import shutil
import sys
import sysconfig
import venv
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

PACKAGE = "tunedmodels"
SCRIPT = """\
#!{python}
import sys
from tunedmodels.cli.main import main
sys.exit(main())
"""


def create(directory: Path) -> Path:
    """Create the environment and return its directory of programs."""
    venv.create(directory, with_pip=False, symlinks=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    target = directory / "lib" / version / "site-packages"
    source = Path(sysconfig.get_paths()["purelib"])
    for name in sorted(_requirements(PACKAGE) - {PACKAGE}):
        for file in metadata.files(name) or ():
            if ".." not in file.parts and (source / file).is_file():
                copy = target / file
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source / file, copy)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(__file__).parent.parent / PACKAGE, target / PACKAGE, ignore=ignored)
    compileall.compile_dir(target, quiet=2, workers=0)
    programs = directory / "bin"
    script = programs / PACKAGE
    script.write_text(SCRIPT.format(python=programs / "python"))
    script.chmod(0o755)
    return programs


def _requirements(name: str) -> set[str]:
    """Return the installed distributions that a distribution needs, with itself."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        for text in metadata.requires(name) or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name.lower().replace("_", "-"))
    return found
