"""What a command has to tell, in every form it can be told in."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gpuctl.errors import Failure, GpuctlError

if TYPE_CHECKING:
    from rich.console import RenderableType

Draw = Callable[[int], "RenderableType"]


@dataclass(frozen=True, slots=True)
class Result:
    """A command's answer.

    `document` is its JSON without `success` and `schemaVersion`; `columns` and `rows` are for csv and tsv; `ids` for
    `--quiet`; `draw` makes what a person sees, given the width. `footer` goes to stderr below it. `error` is set when
    part of what was asked failed: it decides the exit code, and `errors` tell it by id where several were `asked` for.
    """

    document: Mapping[str, Any]
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    ids: Sequence[str] = ()
    draw: Draw | None = None
    footer: Sequence[str] = ()
    error: Failure | None = None
    errors: Mapping[str, GpuctlError] = field(default_factory=dict)
    asked: int = 1
    is_silent: bool = False

    @property
    def exit_code(self) -> int:
        """0, or that of what failed."""
        return self.error.exit_code if self.error else 0
