"""Makes text from clouds and users harmless to a terminal."""

import re
import unicodedata

from gpuctl.domain.wording import without_middle

_DANGEROUS = frozenset(("Cc", "Cf", "Cs", "Co", "Zl", "Zp"))
_MOST = 1_000
# Longer than any id of a cloud; an encoded authorization message is one word of 500 characters and more.
_LONG_WORD = re.compile(r"\S{300,}")
_MOST_OF_A_WORD = 40


def clean(text: str) -> str:
    """The text on one line, with every control, format and surrogate character shown as an escape instead of obeyed."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(char) if unicodedata.category(char) in _DANGEROUS else char for char in text)


def brief(text: str) -> str:
    """The same for a person to read: a word or a text that is too long loses its middle, never its end.

    Only what is printed for people is shortened; JSON and the rows of csv and tsv are complete.
    """
    return without_middle(_LONG_WORD.sub(lambda word: without_middle(word[0], _MOST_OF_A_WORD), clean(text)), _MOST)


def cell(text: str) -> str:
    """The text as a cell of a spreadsheet: one that would be taken for a formula is marked as text."""
    cleaned = clean(text)
    return f"'{cleaned}" if cleaned[:1] in ("=", "+", "-", "@") or text[:1] in ("\t", "\r") else cleaned


def _escape(char: str) -> str:
    number = ord(char)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
