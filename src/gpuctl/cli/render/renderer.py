"""Prints a result or a failure: data on stdout, messages on stderr, JSON never through anything that could wrap it."""

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gpuctl.cli.context import Context
from gpuctl.cli.render.hints import fitted
from gpuctl.cli.render.result import Result
from gpuctl.cli.terminal.text import brief, cell, clean
from gpuctl.documents import SCHEMA_VERSION
from gpuctl.documents.errors import error_shape
from gpuctl.errors import Failure

if TYPE_CHECKING:
    from rich.console import RenderableType


def render(context: Context, result: Result) -> None:
    """Print the result in the form that was asked for. Raises OSError when stdout takes nothing."""
    context.progress.clear()
    output = context.output
    if output == "json":
        write(context, document(context, result))
        return
    if context.globals.quiet:
        write(context, "".join(f"{text}\n" for text in result.ids))
    elif output == "table" and result.draw is not None:
        if result.rows or not result.columns:
            draw(context, result.draw(context.width))
    elif result.columns:
        write(context, rows_of(result.columns, result.rows, output))
    # The data is out; whether anybody hears the rest decides nothing.
    with suppress(OSError, ValueError):
        _write_messages(context, result)


def render_failure(context: Context, failure: Failure, *, as_json: bool) -> None:
    """Print a failure that left no result: one line and a hint on stderr, or a JSON document on stdout."""
    context.progress.clear()
    if as_json:
        write(context, document(context, Result({}, error=failure)))
        return
    for line in failure_lines(context, failure):
        context.streams.err.write(f"{line}\n")


def document(context: Context, result: Result) -> str:
    """The result as one line of JSON."""
    fields: dict[str, Any] = {"success": result.error is None, "schemaVersion": SCHEMA_VERSION}
    if context.sandbox:
        fields["sandbox"] = True
    if result.error is not None:
        fields["error"] = _error_shape(context, result.error)
    if result.errors and result.requested > 1:
        fields["errors"] = [{"id": key, **_error_shape(context, error)} for key, error in result.errors.items()]
    elif result.scoped_errors and result.requested > 1:
        fields["errors"] = [{"scope": scope, **_error_shape(context, error)} for scope, error in result.scoped_errors]
    # In ASCII, so that nothing a cloud or a user wrote reaches a terminal as anything but text.
    return json.dumps({**fields, **result.document}, ensure_ascii=True) + "\n"


def _error_shape(context: Context, error: Failure) -> dict[str, Any]:
    shape = error_shape(error)
    return {**shape, "hint": fitted(error.hint, in_sandbox=context.sandbox, state=context.globals.state)}


def failure_lines(context: Context, failure: Failure) -> list[str]:
    """`error: ...`, `hint: ...` where there is one, and with --verbose the causes, a line each."""
    lines = [f"error: {brief(failure.message)}"]
    cause = failure.__cause__
    while context.globals.verbose and cause is not None:
        lines.append(f"caused by: {type(cause).__name__}: {clean(str(cause))}")
        cause = cause.__cause__
    hint = fitted(failure.hint, in_sandbox=context.sandbox, state=context.globals.state)
    return [*lines, f"hint: {clean(hint)}"] if hint else lines


def rows_of(columns: Sequence[str], rows: Sequence[Sequence[str]], output: str) -> str:
    """The rows as csv, with a heading where there are columns, or as tsv, which has none."""
    if output == "csv":
        import csv
        import io

        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if columns:
            writer.writerow(columns)
        writer.writerows([cell(value) for value in row] for row in rows)
        return text.getvalue()
    return "".join("\t".join(clean(value) for value in row) + "\n" for row in rows)


def rendered(context: Context, picture: "RenderableType") -> str:
    """What Rich makes of it for this terminal, as text."""
    from rich.console import Console

    console = Console(
        file=context.streams.out,
        width=context.width,
        force_terminal=context.has_color,
        no_color=not context.has_color,
        color_system="auto" if context.has_color else None,
        markup=False,
        highlight=False,
        emoji=False,
        soft_wrap=False,
    )
    # Through a string, because on a broken pipe Rich ends the process with an exit code of its own.
    with console.capture() as captured:
        console.print(picture)
    return captured.get()


def draw(context: Context, picture: "RenderableType") -> None:
    """Draw it on stdout. Raises OSError when stdout takes nothing."""
    write(context, rendered(context, picture))


def write(context: Context, text: str) -> None:
    """Put it on stdout, now. Raises OSError when stdout takes nothing."""
    context.streams.out.write(text)
    context.streams.out.flush()


def _write_messages(context: Context, result: Result) -> None:
    if not context.globals.quiet:
        for line in result.footer:
            text = (
                fitted(line, in_sandbox=context.sandbox, state=context.globals.state)
                if line.startswith("hint: ")
                else line
            )
            if text:
                context.streams.err.write(f"{clean(text)}\n")
    if result.is_silent or result.error is None:
        return
    errors = [*result.errors.values(), *(error for _, error in result.scoped_errors)]
    lines = dict.fromkeys(line for error in errors for line in failure_lines(context, error))
    for line in lines or failure_lines(context, result.error):
        context.streams.err.write(f"{line}\n")
