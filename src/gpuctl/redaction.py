"""Takes the values of credentials out of what is printed, logged or passed on, in every form they may have there."""

import json
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, quote_plus, unquote

HIDDEN = "…"
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
_SHORTEST, _SHORTEST_PASSWORD = 8, 6
# So much of a long secret is enough to know it by, where a sentence was cut in the middle of it.
_PART = 16
_IN_ADDRESS = re.compile(r"(://[^/\s:@]*:)[^/\s@]+@")
_IN_QUERY = re.compile(r"([?&](?:ssl)?password=)[^&\s]+")
_TEXT = r"[\w/+=%.~-]"
_NO_TEXT_BEFORE = r"(?<![\w/+=%.~-])"


class Redactor:
    """Replaces secrets in text."""

    def __init__(self, environ: Mapping[str, str], variables: Iterable[str]) -> None:
        self._forms: set[str] = set()
        self._parts: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        for name in variables:
            self.add(environ.get(name))
        for name in _PROXIES:
            for address in (environ.get(name), environ.get(name.lower())):
                password = _password(address or "")
                self.add_password(password)
                self.add_password(unquote(password))

    def add(self, secret: str | None, shortest: int = _SHORTEST) -> None:
        """Take that value for a secret from now on. One that is too short to be told from a word is not."""
        forms = {form for line in (secret or "").split() for form in _forms(line) if len(form) >= shortest}
        if not forms <= self._forms:
            self._forms |= forms
            self._parts |= {part.casefold() for form in forms for part in (form[:_PART], form[-_PART:])}
            self._pattern = None

    def add_password(self, password: str | None) -> None:
        """Take that value for a secret from now on, also one that is shorter than keys are."""
        self.add(password, shortest=_SHORTEST_PASSWORD)

    def clean(self, text: str) -> str:
        """The text without any of the secrets, in any letter case."""
        if "://" in text:
            text = _IN_ADDRESS.sub(rf"\g<1>{HIDDEN}@", text)
            text = _IN_QUERY.sub(rf"\g<1>{HIDDEN}", text)
        folded = text.casefold()
        # Most texts hold none, and a long one is searched for a few words much faster than by a pattern.
        if not any(part in folded for part in self._parts):
            return text
        if self._pattern is None:
            longest_first = sorted(self._forms, key=len, reverse=True)
            self._pattern = re.compile("|".join(_mark(form) for form in longest_first), re.IGNORECASE)
        return self._pattern.sub(HIDDEN, text)


def _forms(secret: str) -> set[str]:
    """The value as it may stand in a text: as it is, in Python's and JSON's quotes, in an address."""
    return {
        secret,
        repr(secret)[1:-1],
        json.dumps(secret)[1:-1],
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret),
    }


def _mark(form: str) -> str:
    if len(form) < 2 * _PART:
        # A short one may be part of a word that means something else.
        return rf"(?<![A-Za-z0-9]){re.escape(form)}(?![A-Za-z0-9])" if len(form) < _PART else re.escape(form)
    return rf"{re.escape(form[:_PART])}{_TEXT}*|{_NO_TEXT_BEFORE}{_TEXT}*{re.escape(form[-_PART:])}"


def _password(address: str) -> str:
    """The password in a proxy's address; empty where there is none."""
    user = address.rpartition("@")[0].rpartition("://")[2]
    return user.partition(":")[2]
