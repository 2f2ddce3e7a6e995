"""Puts what was measured into a document."""

from pathlib import Path


def part(path: Path, name: str) -> str:
    """What stands in the document between `<!-- NAME -->` and `<!-- end of NAME -->`."""
    start, stop = _place(path.read_text(), name)
    return path.read_text()[start:stop]


def put(path: Path, name: str, lines: str) -> None:
    """Put these lines there instead."""
    text = path.read_text()
    start, stop = _place(text, name)
    path.write_text(f"{text[:start]}{lines}\n{text[stop:]}")


def _place(text: str, name: str) -> tuple[int, int]:
    begin = f"<!-- {name} -->\n"
    start = text.index(begin) + len(begin)
    return start, text.index(f"<!-- end of {name} -->", start)
