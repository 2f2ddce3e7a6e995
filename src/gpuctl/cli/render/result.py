"""The result of a command, in every output format."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gpuctl.errors import Failure, GpuctlError

if TYPE_CHECKING:
    from rich.console import RenderableType

Draw = Callable[[int], "RenderableType"]


def overall_error(errors: Mapping[str, GpuctlError], requested: int, partial: GpuctlError) -> GpuctlError | None:
    """The error of a command for several instances or providers: None if none of them failed.

    If all that were requested failed with the same exit code, it is the first of their errors, otherwise `partial`.
    """
    failures = list(errors.values())
    if len(failures) == requested and len({error.exit_code for error in failures}) == 1:
        return failures[0]
    return partial if failures else None


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a command.

    `document` is its JSON without `success` and `schemaVersion`; `columns` and `rows` are for csv and tsv; `ids` for
    `--quiet`; `draw` makes the table, given the width. `footer` goes to stderr below it. `error` is set when part of
    the request failed, and decides the exit code. Where several were requested (`asked`), `errors` has the error of
    each by its id, and `scoped_errors` that of each provider, account or region (`documents.scope_shape`).
    """

    document: Mapping[str, Any]
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    ids: Sequence[str] = ()
    draw: Draw | None = None
    footer: Sequence[str] = ()
    error: Failure | None = None
    errors: Mapping[str, GpuctlError] = field(default_factory=dict)
    scoped_errors: Sequence[tuple[Mapping[str, Any], GpuctlError]] = ()
    requested: int = 1
    is_silent: bool = False

    @property
    def exit_code(self) -> int:
        """0, or that of what failed."""
        return self.error.exit_code if self.error else 0
