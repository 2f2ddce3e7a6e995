"""Text from clouds and programs, made fit for a sentence of ours."""

# A record holds such texts; a cloud's longest are some 2,000 characters.
_MOST = 4_000


def one_line(text: str) -> str:
    """The text in one printable line without its full stop: complete, or without its middle past 4,000 characters."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split()).rstrip(".")
    return without_middle(line, _MOST)


def last_line(text: bytes) -> str:
    """The last line that a program printed, in one printable line; empty where it printed nothing."""
    lines = [line for line in text.decode(errors="replace").splitlines() if line.strip()]
    return one_line(lines[-1]) if lines else ""


def without_middle(text: str, most: int) -> str:
    """The text in at most that many characters: what is too long loses its middle, since the end often says why."""
    if len(text) <= most:
        return text
    tail = most // 3
    return f"{text[: most - tail - 1]}…{text[-tail:]}"
