"""Tables as gpuctl draws them, and which of their columns fit into a terminal."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Column, Table

_GAP = 2  # spaces between two columns


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


def labeled() -> "Table":
    """An empty table of labels and values, without headings."""
    from rich.table import Column

    return table(Column(style="bold", no_wrap=True), wrapped(), header=False)


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
