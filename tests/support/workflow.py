"""As much of the workflow definition language of Logic Apps as the janitor's filter uses.

https://learn.microsoft.com/azure/logic-apps/expression-functions-reference
"""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

_TOKEN = re.compile(r"\s*('(?:[^']|'')*'|-?\d+|[A-Za-z]\w*|\?\[|[(),\]])")
# The letters of a .NET format that the filter uses; T and Z stand for themselves.
_FORMATS = {"yyyy": "%Y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S"}


def evaluated(expression: str, item: Any, now: datetime) -> Any:
    """The value of `@function(...)` for that item of an array at that time. AssertionError for what is not known."""
    assert expression.startswith("@")
    tokens = _tokens(expression[1:])
    functions: dict[str, Callable[..., Any]] = {
        "addMinutes": lambda at, minutes: at + timedelta(minutes=minutes),
        "and": lambda *values: all(_boolean(value) for value in values),
        "coalesce": lambda *values: next((value for value in values if value is not None), None),
        "empty": lambda text: len(text) == 0,
        "endsWith": lambda text, end: text.casefold().endswith(end.casefold()),
        "equals": lambda left, right: left == right,
        "formatDateTime": _formatted,
        "indexOf": lambda text, part: text.casefold().find(part.casefold()),
        "item": lambda: item,
        "length": len,
        "less": _less,
        "not": lambda value: not _boolean(value),
        "startsWith": lambda text, start: text.casefold().startswith(start.casefold()),
        "toLower": lambda text: text.lower(),
        "utcNow": lambda: now,
    }
    value = _value(tokens, functions)
    assert tokens == []
    return value


def _tokens(text: str) -> list[str]:
    tokens, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        assert match, text[at:]
        tokens.append(match[1])
        at = match.end()
    return tokens


def _value(tokens: list[str], functions: dict[str, Callable[..., Any]]) -> Any:
    word = tokens.pop(0)
    if word.startswith("'"):
        value: Any = word[1:-1].replace("''", "'")
    elif re.fullmatch(r"-?\d+", word):
        value = int(word)
    else:
        assert tokens.pop(0) == "(", word
        arguments = []
        while tokens[0] != ")":
            arguments.append(_value(tokens, functions))
            assert tokens[0] in (",", ")")
            if tokens[0] == ",":
                tokens.pop(0)
        tokens.pop(0)
        value = functions[word](*arguments)
    while tokens and tokens[0] == "?[":
        tokens.pop(0)
        name = _value(tokens, functions)
        assert tokens.pop(0) == "]"
        value = None if value is None else value.get(name)
    return value


def _boolean(value: Any) -> bool:
    assert isinstance(value, bool)
    return value


def _less(left: Any, right: Any) -> bool:
    assert type(left) is type(right)
    return bool(left < right)


def _formatted(at: datetime, form: str) -> str:
    for letters, directive in _FORMATS.items():
        form = form.replace(letters, directive)
    return at.strftime(form)
