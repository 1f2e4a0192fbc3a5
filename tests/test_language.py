"""Plain English: words and phrases that must not return to code, messages and documents."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

# Each pattern is one that readers stumbled over; the sentence after it says what to write instead.
PATTERNS = {
    r"who(ever|ever's|msoever|soever)|whomever|whatever|whichever": "name the subject",
    r"(no|some|any)body('s)?": "name the subject: the caller, another process, the user",
    r"mend(s|ed|ing)?|heed(s|ed|ing)?|utter(s|ed|ing)?|hearken\w*|behold\w*": "fix, handle, send",
    r"beside|thereof|therein|hence|thus|lest|ere|nigh|wherein|whereof": "next to, so, in which",
    r"tells? of|told of|goes on|went on|going on|gone on": "reports, continues",
    r"(?<!there )(is|are) no(?! (longer|more|such)\b) ": "is not a, has no",
    r"of (ours|theirs|yours)|behind (its|our|their|somebody's) backs?": "name the owner",
    r"in words|in so many words|by hand|all the same|as it were|for good": "plain statement",
    r"stands (in|on|for|there|beside)|stood (in|on|there)|lies (in|on|there|beside)": "is in",
    r"hears? of|heard of|bears? (the|a|our|its|no)|bore the": "learns, has",
    r"that which|what is more|so that not": "rewrite the sentence",
}
FORBIDDEN = re.compile(
    "|".join(rf"(?P<p{n}>\b(?:{pattern})\b)" for n, pattern in enumerate(PATTERNS)), re.IGNORECASE
)
# A sentence does not begin so: the subject comes first.
OPENING = re.compile(
    r"(?:^|[.:!?]\s+|\"\"\")(What|Whoever|Whether or not|Else)\s+(?!is\b.*\?)[a-z]"
)
CODE = ("tunedmodels", "tests", "benchmarks")
PROSE = ("*.md", "docs/**/*.md", "docs/**/*.yml", "action.yml", "Makefile", "pyproject.toml",
         ".ci/run", "Dockerfile", ".github/**/*.yml", "manifests/**/*.yaml",
         "tunedmodels/**/*.html", "tunedmodels/**/*.js", "tunedmodels/**/*.css",
         "tunedmodels/**/*.yaml")  # fmt: skip
ALLOWED: dict[str, set[str]] = {
    # What users write is data, and this file names the words itself.
    "tests/test_language.py": {"*"},
    "benchmarks/engine.py": {"went on"},
    "benchmarks/text_tasks.py": {"somebody"},
    "tests/datasets/test_tokens.py": {"nobody"},
    # The message at Ctrl-C is older than this list, and scripts search for it.
    "tunedmodels/apply/wait.py": {"goes on"},
    "tests/apply/test_wait.py": {"goes on"},
    "tests/end_to_end/test_interrupts.py": {"goes on"},
}


def python_texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the comments and the strings of a module with their first lines."""
    source = path.read_text(encoding="utf-8")
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (
            tokenize.COMMENT,
            tokenize.STRING,
            getattr(tokenize, "FSTRING_MIDDLE", -1),
        ):
            yield token.start[0], token.string


def findings(path: Path) -> Iterator[str]:
    name = str(path.relative_to(ROOT))
    if "*" in ALLOWED.get(name, set()):
        return
    texts: Iterator[tuple[int, str]] = (
        python_texts(path)
        if path.suffix == ".py"
        else enumerate(path.read_text(encoding="utf-8").split("\n"), start=1)
    )
    for line, text in texts:
        for match in FORBIDDEN.finditer(text):
            if match[0].lower() in ALLOWED.get(name, set()):
                continue
            number = line + text.count("\n", 0, match.start())
            yield f"{name}:{number}: {match[0]!r}"


def files() -> list[Path]:
    code = [path for folder in CODE for path in (ROOT / folder).rglob("*.py")]
    prose = [path for pattern in PROSE for path in ROOT.glob(pattern)]
    return sorted({path for path in code + prose if ".venv" not in path.parts})


def test_no_text_uses_a_word_of_the_list() -> None:
    assert [line for path in files() for line in findings(path)] == []


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "tests").rglob("test_*.py")),
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_no_test_name_uses_a_word_of_the_list(path: Path) -> None:
    names = re.findall(
        r"^\s*(?:async )?def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert [name for name in names if FORBIDDEN.search(name.replace("_", " "))] == []
