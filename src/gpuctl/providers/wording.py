"""What a cloud says, fit to stand in a sentence of ours."""


def one_line(text: str) -> str:
    """The text in one printable line of at most 200 characters, without its full stop."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split()).rstrip(".")
    return f"{line[:200]}…" if len(line) > 200 else line
