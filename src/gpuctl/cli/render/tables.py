"""Tables as gpuctl draws them, and which of their columns fit into a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.table import Column, Table
    from rich.text import Text

_GAP = 2  # spaces between two columns
# An ID and its label below each other can be read and copied; an ID that is broken over two lines cannot.
_LEAST_VALUE = 30


def table(*columns: "str | Column", header: bool = True) -> "Table":
    """An empty table without lines. A column given by its heading alone is not wrapped."""
    from rich.table import Column, Table

    converted = [Column(column, no_wrap=True) if isinstance(column, str) else column for column in columns]
    return Table(*converted, box=None, pad_edge=False, show_header=header, header_style="bold", padding=(0, 2, 0, 0))


def right(heading: str = "") -> "Column":
    """A column of numbers."""
    from rich.table import Column

    return Column(heading, justify="right", no_wrap=True)


def wrapped(heading: str = "", style: str = "") -> "Column":
    """A column of text that is broken over several lines where it is too long."""
    from rich.table import Column

    return Column(heading, overflow="fold", style=style)


def fixed(heading: str, width: int) -> "Column":
    """A column of that width, whatever is in it."""
    from rich.table import Column

    return Column(heading, width=width, no_wrap=True)


class Labeled:
    """Labels and their values: side by side, or below each other where the terminal is narrow."""

    def __init__(self) -> None:
        self._rows: list[tuple[str | Text, str | Text]] = []

    def add_row(self, label: "str | Text", value: "str | Text") -> None:
        """Add a line below the others."""
        self._rows.append((label, value))

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[RenderableType]":
        from rich.padding import Padding
        from rich.table import Column
        from rich.text import Text

        widest = max((len(label) for label, _ in self._rows), default=0)
        if options.max_width - widest - _GAP >= _LEAST_VALUE:
            grid = table(Column(style="bold", no_wrap=True), wrapped(), header=False)
            for row in self._rows:
                grid.add_row(*row)
            yield grid
            return
        for label, value in self._rows:
            yield Text(label, "bold") if isinstance(label, str) else label
            if value:
                yield Padding(value, (0, 0, 0, _GAP), expand=False)


def fitting_headings(cells: Mapping[str, Sequence[str]], spare: Mapping[str, int], width: int) -> list[str]:
    """The headings that fit into the width, in the order of `cells`.

    Columns with the highest `spare` are left out first; those without one always stay.
    """
    chosen = list(cells)
    while total(cells, chosen) > width:
        last = max(chosen, key=lambda heading: spare.get(heading, 0))
        if not spare.get(last):
            break
        chosen.remove(last)
    return chosen


def total(cells: Mapping[str, Sequence[str]], chosen: Sequence[str]) -> int:
    """How many characters these columns take in a line."""
    return sum(column_width(heading, cells[heading]) + _GAP for heading in chosen) - _GAP


def column_width(heading: str, texts: Sequence[str]) -> int:
    """The length of the longest text of a column, its heading included."""
    return max(len(text) for text in (heading, *texts))
