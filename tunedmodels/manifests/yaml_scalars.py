"""The value of a plain YAML scalar, and the representation of a value in a message.

Scalars follow YAML 1.2: `yes`, `no`, `on` and `off` are text, a date is text, `010` is text (YAML
1.1 reads 8, YAML 1.2 reads 10; both would surprise), and `1e-3` is a number, which PyYAML's own
resolver reads as text.
"""

from __future__ import annotations

import json
import math
import re
from typing import Final, TypeAlias

from tunedmodels.text import printable

Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | None"

MAX_QUOTED_LENGTH: Final = 60  # characters of a value in a message

_KEYWORDS: Final[dict[str, bool | float | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
}
_NUMERIC: Final = frozenset("+-.0123456789")
# At most 40 digits: no field accepts more, and int() of thousands of digits is slow or fails.
_INT: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,39})", re.ASCII)
_OTHER_BASE: Final = re.compile(r"0o[0-7]{1,40}|0x[0-9a-fA-F]{1,40}")
_FLOAT: Final = re.compile(
    r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*|(?=[eE])))(?:[eE][-+]?[0-9]+)?", re.ASCII
)


def parse_scalar(text: str) -> bool | float | str | None:
    """Return the value of an unquoted scalar; `float` in the type includes `int`."""
    if text in _KEYWORDS:
        return _KEYWORDS[text]
    if text[0] not in _NUMERIC:
        return text
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return int(text, 0) if _OTHER_BASE.fullmatch(text) else text


def quote_value(value: object) -> str:
    """Return a value as YAML, on one line and truncated to 60 characters."""
    match value:
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case str():
            is_long = len(value) > MAX_QUOTED_LENGTH
            text = value[: MAX_QUOTED_LENGTH - 3] + "..." if is_long else value
            return f"'{printable(text)}'"
        case float() if not math.isfinite(value):
            return ".nan" if math.isnan(value) else f"{'-' if value < 0 else ''}.inf"
        case _:
            return json.dumps(value)
