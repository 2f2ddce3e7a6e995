"""Labels and values on terminals of any width."""

import io

import pytest
from rich.console import Console

from gpuctl.cli.render.tables import Labeled

ID = "inst-4k2x9q7mtz0a"


def drawn(width: int) -> list[str]:
    details = Labeled()
    details.add_row("id", ID)
    details.add_row("name", "")
    details.add_row("2026-11-24 12:00:00 +0000", "ready")
    console = Console(file=io.StringIO(), width=width)
    with console.capture() as captured:
        console.print(details)
    return [line.rstrip() for line in captured.get().splitlines()]


def test_values_stand_beside_their_labels() -> None:
    assert drawn(80) == [
        f"id                         {ID}",
        "name",
        "2026-11-24 12:00:00 +0000  ready",
    ]


@pytest.mark.parametrize("width", [30, 40, 50])
def test_on_a_narrow_terminal_values_stand_below_their_labels_and_no_id_is_broken(width: int) -> None:
    assert drawn(width) == ["id", f"  {ID}", "name", "2026-11-24 12:00:00 +0000", "  ready"]
