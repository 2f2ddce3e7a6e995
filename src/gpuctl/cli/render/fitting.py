"""Which columns of a table a terminal has room for."""

from collections.abc import Mapping, Sequence

_GAP = 2  # spaces between two columns


def fitting(cells: Mapping[str, Sequence[str]], spare: Mapping[str, int], width: int) -> list[str]:
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
    return sum(widest(heading, cells[heading]) + _GAP for heading in chosen) - _GAP


def widest(heading: str, texts: Sequence[str]) -> int:
    """The length of the longest text of a column, its heading included."""
    return max(len(text) for text in (heading, *texts))
