"""The chat formats: OpenAI `messages`, ShareGPT `conversations` and the `contents` of Vertex AI.

Each is read into a normalized row of Vertex AI, so that the same conversation has one digest in
every format. A row that cannot be read raises FormError, which names the part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any, Final

Row = dict[str, Any]
"""A normalized row: `contents`, and perhaps `systemInstruction`, `tools` and `completions`."""

_ROLES: Final = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "model",
    "gpt": "model",
    "chatgpt": "model",
    "bard": "model",
    "bing": "model",
    "model": "model",
}
_CALLS: Final = ("tool_calls", "function_call", "audio", "refusal")
_PARTS: Final = ("text", "fileData", "inlineData", "functionCall", "functionResponse")
_SNAKE: Final = {
    "file_data": "fileData",
    "inline_data": "inlineData",
    "function_call": "functionCall",
    "function_response": "functionResponse",
}
# Fields next to a part that say more about it.
_OTHER_PART_FIELDS: Final = ("videoMetadata", "video_metadata", "mediaResolution", "thought")
_OTHER_ROW_FIELDS: Final = {
    "toolConfig": "toolConfig",
    "tool_config": "toolConfig",
    "safetySettings": "safetySettings",
    "generationConfig": "generationConfig",
    "generation_config": "generationConfig",
    "labels": "labels",
}

MESSAGES_FORM: Final = (
    'Write {"messages": [{"role": "user", "content": "..."}, '
    '{"role": "assistant", "content": "..."}]}.'
)
CONVERSATIONS_FORM: Final = (
    'Write {"conversations": [{"from": "human", "value": "..."}, {"from": "gpt", "value": "..."}]}.'
)
CONTENTS_FORM: Final = (
    'Write {"contents": [{"role": "user", "parts": [{"text": "..."}]}, '
    '{"role": "model", "parts": [{"text": "..."}]}]}.'
)
PREFERENCE_FORM: Final = (
    'Write {"contents": [{"role": "user", "parts": [{"text": "..."}]}], "completions": '
    '[{"score": 1, "completion": {"role": "model", "parts": [{"text": "..."}]}}, '
    '{"score": 0, "completion": {"role": "model", "parts": [{"text": "..."}]}}]}.'
)


class FormError(ValueError):
    """A row is not of the form; `path` is the part, `message` continues `FILE:LINE: PATH ...`."""

    def __init__(self, path: str, message: str, code: str = "not-a-conversation") -> None:
        super().__init__(message)
        self.path = path
        self.message = message
        self.code = code


def parse_messages(row: Mapping[str, Any], *, is_preference: bool) -> Row:
    """Return the row of an OpenAI chat line."""
    if is_preference:
        raise FormError("messages", "has one response; method: preference needs two")
    for key in ("tools", "functions"):
        if row.get(key):
            raise FormError(key, "are not read from OpenAI messages; only text is")
    turns = [
        (_role(turn, "role", path), _message_text(turn, path))
        for path, turn in _turns(row.get("messages"), "messages")
    ]
    return _from_texts(turns, "messages")


def parse_conversations(row: Mapping[str, Any], *, is_preference: bool) -> Row:
    """Return the row of a ShareGPT line."""
    if is_preference:
        raise FormError("conversations", "has one response; method: preference needs two")
    turns = []
    if isinstance(row.get("system"), str) and row["system"].strip():
        turns.append(("system", row["system"]))
    for path, turn in _turns(row.get("conversations"), "conversations"):
        role = _role(turn, "from" if "from" in turn else "role", path)
        text = turn.get("value", turn.get("content"))
        if not isinstance(text, str):
            raise FormError(f"{path}.value", "is not a text")
        turns.append((role, text))
    return _from_texts(turns, "conversations")


def parse_contents(row: Mapping[str, Any], *, is_preference: bool) -> Row:
    """Return the normalized row of Vertex AI."""
    contents = [
        _content(turn, path, {"user", "model", "function", "tool"})
        for path, turn in _turns(row.get("contents"), "contents")
    ]
    if len(contents) <= len(["user", "model"]) and contents and "role" not in contents[0]:
        contents[0]["role"] = "user"
    for number, turn in enumerate(contents):
        if "role" not in turn:
            raise FormError(f"contents[{number}].role", "is missing; set it to user or model")
    normal: Row = {"contents": contents}
    if system := row.get("systemInstruction") or row.get("system_instruction"):
        normal["systemInstruction"] = _system_instruction(system)
    if row.get("tools"):
        normal["tools"] = row["tools"]
    for key, name in _OTHER_ROW_FIELDS.items():
        if row.get(key):
            normal[name] = row[key]
    _check_calls(normal)
    completions = row.get("completions")
    if is_preference:
        normal["completions"] = _completions(completions, contents)
        return normal
    if completions:
        raise FormError("completions", "are to choose from; set method: preference")
    _check_roles(contents)
    return normal


FORMS: Final[Mapping[str, tuple[Callable[..., Row], str]]] = {
    "messages": (parse_messages, MESSAGES_FORM),
    "conversations": (parse_conversations, CONVERSATIONS_FORM),
    "contents": (parse_contents, CONTENTS_FORM),
}
"""By format: the parser of a row, and the cure for a row that it does not accept."""


def recognise_chat(row: Mapping[str, Any]) -> str | None:
    """Return the chat format of a row, or None."""
    for name in FORMS:
        turns = row.get(name)
        if isinstance(turns, list) and (not turns or isinstance(turns[0], dict)):
            return name
    return None


def split(row: Row, *, with_history: bool) -> Iterator[tuple[Row, str]]:
    """Yield the part of a conversation up to each response, and the system text.

    Without the history, a part is the user turn and its response.
    """
    contents = row["contents"]
    for number, turn in enumerate(contents):
        if turn["role"] == "model" and number and contents[number - 1]["role"] == "user":
            start = 0 if with_history else number - 1
            part = {key: row[key] for key in ("systemInstruction",) if key in row}
            yield {**part, "contents": contents[start : number + 1]}, ""


def is_text_only(row: Row) -> bool:
    """Return whether a row has neither files nor functions."""
    return not row.get("tools") and all(
        list(part) == ["text"] for turn in row["contents"] for part in turn["parts"]
    )


def describe(row: Row) -> str:
    """Return why a row is more than a pair of texts."""
    parts = {key for turn in row["contents"] for part in turn["parts"] for key in part}
    for key in ("functionCall", "functionResponse", "fileData", "inlineData"):
        if key in parts:
            return f"has a {key}; only text can be trained on"
    if row.get("tools"):
        return "has tools; only text can be trained on"
    return f"has {len(row['contents'])} turns; an example is one user turn and one model turn"


def _system_instruction(system: object) -> dict[str, Any]:
    if isinstance(system, str):
        system = {"parts": [{"text": system}]}
    instruction = _content(system, "systemInstruction", None)
    instruction.pop("role", None)
    return instruction


def _turns(value: object, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if not isinstance(value, list):
        raise FormError(path, "is not a list of turns")
    for number, turn in enumerate(value):
        if not isinstance(turn, dict):
            raise FormError(f"{path}[{number}]", "is not an object")
        yield f"{path}[{number}]", turn


def _role(turn: Mapping[str, Any], key: str, path: str) -> str:
    role = turn.get(key)
    known = _ROLES.get(role.lower()) if isinstance(role, str) else None
    if known is None:
        shown = f"the role {role!r}, which is not read" if role else "no role"
        raise FormError(f"{path}.{key}", f"has {shown}; only system, user and assistant are")
    return known


def _message_text(turn: Mapping[str, Any], path: str) -> str:
    for key in _CALLS:
        if turn.get(key):
            raise FormError(f"{path}.{key}", "is not read from OpenAI messages; only text is")
    if turn.get("weight") == 0:
        raise FormError(f"{path}.weight", "is 0, which no provider here can express")
    content = turn.get("content")
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise FormError(f"{path}.content", "is not a text")
    texts = []
    for number, part in enumerate(content):
        if not isinstance(part, dict) or part.get("type") != "text":
            kind = part.get("type") if isinstance(part, dict) else None
            raise FormError(
                f"{path}.content[{number}]",
                f"is of type {kind!r}; only text parts are read from OpenAI messages",
            )
        if not isinstance(part.get("text"), str):
            raise FormError(f"{path}.content[{number}].text", "is not a text")
        texts.append(part["text"])
    return "".join(texts)


def _from_texts(turns: list[tuple[str, str]], path: str) -> Row:
    system = [text for role, text in turns if role == "system"]
    rest = [(role, text) for role, text in turns if role != "system"]
    if any(role == "system" for role, _ in turns[len(system) :]):
        raise FormError(path, "has a system text after the first turn")
    contents = [{"role": role, "parts": [{"text": _plain(text)}]} for role, text in rest]
    _check_roles(contents, path)
    row: Row = {"contents": contents}
    if any(text.strip() for text in system):
        row["systemInstruction"] = {"parts": [{"text": _plain("\n".join(system))}]}
    return row


def _content(turn: object, path: str, roles: set[str] | None) -> dict[str, Any]:
    if not isinstance(turn, dict) or not isinstance(turn.get("parts"), list | dict):
        raise FormError(f"{path}.parts", "is not a list of parts")
    listed = turn["parts"] if isinstance(turn["parts"], list) else [turn["parts"]]
    role = str(turn.get("role") or "")
    if role and roles is not None and role not in roles:
        raise FormError(f"{path}.role", f"is {role!r}; it must be user or model")
    parts = [_part(part, f"{path}.parts[{number}]") for number, part in enumerate(listed)]
    if len(parts) > 1 and all(list(part) == ["text"] for part in parts):
        parts = [{"text": "".join(part["text"] for part in parts)}]
    normal: dict[str, Any] = {"role": role} if role else {}
    return normal | {"parts": parts}


def _part(part: object, path: str) -> dict[str, Any]:
    if not isinstance(part, dict):
        raise FormError(path, "is not an object")
    normal: dict[str, Any] = {}
    for key, value in part.items():
        normal[_SNAKE.get(str(key), str(key))] = value
    unknown = [key for key in normal if key not in _PARTS and key not in _OTHER_PART_FIELDS]
    if unknown or not any(key in normal for key in _PARTS):
        name = unknown[0] if unknown else "nothing"
        raise FormError(path, f"contains {name!r}, which is not a part of Vertex AI")
    if "text" in normal:
        if not isinstance(normal["text"], str):
            raise FormError(f"{path}.text", "is not a text")
        normal["text"] = _plain(normal["text"])
    return normal


def _plain(text: str) -> str:
    r"""Return a text with every line end as `\n`."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _check_calls(row: Row) -> None:
    """Report a call of a function that the row does not declare; a job with it fails."""
    if row.get("tools"):
        return
    for number, turn in enumerate(row["contents"]):
        for part in turn["parts"]:
            if "functionCall" in part:
                raise FormError(
                    f"contents[{number}]", "has a functionCall, but the row declares no tools"
                )


def _check_roles(contents: list[dict[str, Any]], path: str = "contents") -> None:
    roles = [turn["role"] for turn in contents]
    if not roles:
        raise FormError(path, "has no turns; an example needs a user turn and a model turn")
    if roles[0] != "user" or roles[-1] != "model":
        raise FormError(
            path,
            f"begins with a {roles[0]} turn and ends with a {roles[-1]} turn; "
            "it must begin with user and end with model",
        )
    for number, (role, following) in enumerate(pairwise(roles)):
        if role == following:
            raise FormError(
                f"{path}[{number + 1}]", f"is the second {role} turn in a row; join the two"
            )


def _completions(completions: object, contents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return two completions, the better one first."""
    if not contents or contents[-1]["role"] != "user":
        raise FormError("contents", "does not end with a user turn", "not-a-preference")
    message = "are not two, one with the score 1 and one with the score 0"
    scored = {}
    for completion in completions if isinstance(completions, list) else ():
        if not isinstance(completion, dict):
            raise FormError("completions", message, "not-a-preference")
        turn = _content(completion.get("completion"), "completions.completion", None)
        turn["role"] = "model"
        scored[float(completion.get("score") or 0)] = turn
    if (
        scored.keys() != {0.0, 1.0}
        or not isinstance(completions, list)
        or len(completions) != len(scored)
    ):
        raise FormError("completions", message, "not-a-preference")
    return [{"score": score, "completion": scored[float(score)]} for score in (1, 0)]
