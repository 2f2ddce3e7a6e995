"""The `filter` expressions of Compute Engine's lists (AIP-160 and the older `eq`), and their pages."""

import re
from collections.abc import Callable, Sequence

from gpuctl_sandbox.gcp.wire import Call, Json, Refusal, invalid

_TOKEN = re.compile(r'\s*(\(|\)|!=|>=|<=|=|:|>|<|"(?:[^"\\]|\\.)*"|\'[^\']*\'|[^\s()=:<>!"]+)')
_Test = Callable[[Json], bool]
MOST = 500


def matching(expression: str | None, items: Sequence[Json]) -> list[Json]:
    """Those items that the filter means. Refused for an expression that cannot be read."""
    if not expression:
        return list(items)
    test = _Reader(expression).read()
    return [item for item in items if test(item)]


def page(call: Call, items: Sequence[Json], page_size: int) -> tuple[list[Json], str | None]:
    """One page of those items and the token of the next, None for the last."""
    most = int(call.query.get("maxResults", MOST))
    if not 0 <= most <= MOST:
        raise Refusal(400, "invalidParameter", f"Invalid value '{most}'. Values must be within the range: [0, {MOST}]")
    size, token = min(most or MOST, page_size), call.query.get("pageToken", "")
    if token and not re.fullmatch(r"page-\d+", token):
        raise Refusal(400, "invalid", f"Invalid value for field 'pageToken': '{token}'.")
    start = int(token.removeprefix("page-") or 0)
    following = f"page-{start + size}" if start + size < len(items) else None
    return list(items[start : start + size]), following


class _Reader:
    """Reads one expression by descent: OR binds weaker than AND, which may be left out between terms."""

    def __init__(self, expression: str) -> None:
        self._expression = expression
        self._tokens: list[str] = []
        at = 0
        while expression[at:].strip():
            match = _TOKEN.match(expression, at)
            if match is None:
                raise self._unreadable()
            self._tokens.append(match[1])
            at = match.end()

    def read(self) -> _Test:
        test = self._any()
        if self._tokens:
            raise self._unreadable()
        return test

    def _any(self) -> _Test:
        tests = [self._every()]
        while self._tokens[:1] == ["OR"]:
            self._tokens.pop(0)
            tests.append(self._every())
        return tests[0] if len(tests) == 1 else lambda item: any(test(item) for test in tests)

    def _every(self) -> _Test:
        tests = [self._one()]
        while self._tokens and self._tokens[0] not in ("OR", ")"):
            if self._tokens[0] == "AND":
                self._tokens.pop(0)
            tests.append(self._one())
        return lambda item: all(test(item) for test in tests)

    def _one(self) -> _Test:
        if not self._tokens:
            raise self._unreadable()
        token = self._tokens.pop(0)
        if token == "NOT":
            inner = self._one()
            return lambda item: not inner(item)
        if token == "(":
            test = self._any()
            if self._tokens[:1] != [")"]:
                raise self._unreadable()
            self._tokens.pop(0)
            return test
        if not re.fullmatch(r"-?[A-Za-z][\w.\-]*", token) or len(self._tokens) < 2:
            raise self._unreadable()
        return self._comparison(token)

    def _comparison(self, name: str) -> _Test:
        operator, raw = self._tokens.pop(0), self._tokens.pop(0)
        value = raw[1:-1] if raw[:1] in ("'", '"') else raw
        if operator not in _COMPARE or raw in ("(", ")", "=", ":"):
            raise self._unreadable()
        if name.startswith("-"):
            return lambda item: not _COMPARE[operator](_value(item, name[1:]), value)
        return lambda item: _COMPARE[operator](_value(item, name), value)

    def _unreadable(self) -> Refusal:
        return invalid("filter", self._expression, "Invalid list filter expression.")


def _equals(held: object, value: str) -> bool:
    if held is None:
        return False
    if "*" not in value:
        return _text(held).lower() == value.lower()
    pattern = ".*".join(re.escape(part) for part in value.split("*"))
    return re.fullmatch(pattern, _text(held), re.IGNORECASE) is not None


def _has(held: object, value: str) -> bool:
    if value == "*":
        return held is not None
    if isinstance(held, dict):
        return value in held
    return held is not None and value.lower() in _text(held).lower()


_COMPARE: dict[str, Callable[[object, str], bool]] = {
    "=": _equals,
    "!=": lambda held, value: not _equals(held, value),
    ":": _has,
    ">": lambda held, value: held is not None and _text(held) > value,
    "<": lambda held, value: held is not None and _text(held) < value,
    ">=": lambda held, value: held is not None and _text(held) >= value,
    "<=": lambda held, value: held is not None and _text(held) <= value,
    "eq": lambda held, value: re.fullmatch(value, "" if held is None else _text(held)) is not None,
    "ne": lambda held, value: re.fullmatch(value, "" if held is None else _text(held)) is None,
}


def _value(item: Json, name: str) -> object:
    held: object = item
    parts = name.split(".")
    while parts and isinstance(held, dict):
        # A label's key has no dots, so every dot is a step.
        held = held.get(parts.pop(0))
    return None if parts else held


def _text(held: object) -> str:
    return str(held).lower() if isinstance(held, bool) else str(held)
