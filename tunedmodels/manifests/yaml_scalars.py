"""What a plain YAML scalar means, and how a value is shown again in a message.

The meaning is that of YAML 1.2: `yes`, `no`, `on` and `off` are words, a date is text, `010` is
text (1.1 says 8, 1.2 says 10: nobody should have to know), and `1e-3` is a number, which PyYAML's
own resolver takes for text.
"""

from __future__ import annotations

import json
import math
import re
from typing import Final, TypeAlias

Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | None"

SHOWN_AT_MOST: Final = 60  # characters of a value in a message

_WORDS: Final[dict[str, bool | float | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
}
_NUMERIC: Final = frozenset("+-.0123456789")
# At most 40 digits: nothing of ours is larger, and int() of thousands of digits is slow or refused.
_INT: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,39})", re.ASCII)
_OTHER_BASE: Final = re.compile(r"0o[0-7]{1,40}|0x[0-9a-fA-F]{1,40}")
_FLOAT: Final = re.compile(
    r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*|(?=[eE])))(?:[eE][-+]?[0-9]+)?", re.ASCII
)


def plain(text: str) -> bool | float | str | None:
    """Return what an unquoted scalar stands for; `int` is meant where the types say `float`."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMERIC:
        return text
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return int(text, 0) if _OTHER_BASE.fullmatch(text) else text


def shown(value: object) -> str:
    """Show a value as YAML would have it, on one line and cut at 60 characters."""
    match value:
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case str():
            cut = value if len(value) <= SHOWN_AT_MOST else value[: SHOWN_AT_MOST - 3] + "..."
            return f"'{visible(cut)}'"
        case float() if not math.isfinite(value):
            return ".nan" if math.isnan(value) else f"{'-' if value < 0 else ''}.inf"
        case _:
            return json.dumps(value)


def visible(text: str) -> str:
    """Write characters that a terminal would obey, or not show, as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
