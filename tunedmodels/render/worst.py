"""The worst answers of a version that its gate kept from serving, for the person at the terminal.

They are somebody's data: never in a journal, a plan or a stamp, and here only of files that git
tracks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tunedmodels.evaluation.scoring import Answered
from tunedmodels.render.layout import columns, cut, padded
from tunedmodels.render.problems import Style, plain

_INPUT, _OUTPUT = 36, 16  # columns, so that a line has at most 100 of them


def worst_text(found: Mapping[str, Sequence[Answered]], style: Style = plain) -> str:
    """Return a block of lines for each version that has some, by its id; nothing for none."""
    blocks = [
        [style(f"Worst answers of {cut(model_id)}", "bold"), *_lines(answers)]
        for model_id, answers in found.items()
        if answers
    ]
    return "".join("\n" + "".join(f"{line}\n" for line in block) for block in blocks)


def _lines(answers: Sequence[Answered]) -> Iterator[str]:
    table = [
        (
            f":{one.line}",
            f'"{cut(one.text_input, _INPUT)}"',
            f'"{cut(one.expected, _OUTPUT)}"',
            f'"{cut(one.got, _OUTPUT)}"',
        )
        for one in answers
    ]
    place, asked, expected = (max(columns(row[n]) for row in table) for n in range(3))
    for row in table:
        start = f"  {padded(row[0], place)}  {padded(row[1], asked)}"
        yield f"{start}  expected {padded(row[2], expected)}  got {row[3]}"
