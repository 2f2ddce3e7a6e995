"""Parts of SVG pictures, and how a picture becomes a file."""

from html import escape
from pathlib import Path

from gpuctl.cli.terminal.text import clean
from gpuctl.domain.duration import as_typed
from gpuctl.errors import UsageError

WIDTH, MARGIN = 900, 40
_STYLE = """\
text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;font-size:13px;fill:#3d4451}
.title{font-size:20px;font-weight:600;fill:#151a23}.note{fill:#6b7280}.end{text-anchor:end}.mid{text-anchor:middle}
.grid{stroke:#e5e7eb}"""


def opening(title: str, height: int, style: str) -> list[str]:
    """The first lines of a picture: a white page with this title for screen readers, and the styles."""
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" aria-label="{text(title)}">',
        f"<style>{_STYLE}{style}\n</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
    ]


def label(x: float, y: float, words: str, style: str = "") -> str:
    """A line of text."""
    return f'<text x="{x:.1f}" y="{y:.1f}"{f" class={chr(34)}{style}{chr(34)}" if style else ""}>{text(words)}</text>'


def text(words: str) -> str:
    """The text without control characters, escaped."""
    return escape(clean(words))


def check_name(path: Path, example: str) -> None:
    """Refuse a file that is not named as SVG. UsageError."""
    if path.suffix.lower() != ".svg":
        raise UsageError(
            f"--chart draws SVG, not {as_typed(path.suffix or path.name)}", hint=f"add `--chart {example}`"
        )


def save(path: Path, picture: str) -> None:
    """Write the picture. UsageError if the file cannot be written."""
    try:
        path.write_text(picture, "utf-8")
    except OSError as error:
        raise UsageError(
            f"{as_typed(str(path))} cannot be written: {error.strerror}", hint="check `--chart`"
        ) from error
