"""Makes text from clouds and users harmless to a terminal."""

import unicodedata

_DANGEROUS = frozenset(("Cc", "Cf", "Cs", "Co", "Zl", "Zp"))


def clean(text: str) -> str:
    """The text on one line, with every control, format and surrogate character shown as an escape instead of obeyed."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(char) if unicodedata.category(char) in _DANGEROUS else char for char in text)


def cell(text: str) -> str:
    """The text as a cell of a spreadsheet: one that would be taken for a formula is marked as text."""
    cleaned = clean(text)
    return f"'{cleaned}" if cleaned[:1] in ("=", "+", "-", "@") or text[:1] in ("\t", "\r") else cleaned


def _escape(char: str) -> str:
    number = ord(char)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
