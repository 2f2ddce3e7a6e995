"""Runs one command line: the one error boundary, the signals, and what is left when stdout is gone."""

import gc
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout, suppress
from functools import partial
from io import TextIOWrapper
from itertools import pairwise
from typing import TextIO

import typer
from typer.exceptions import TyperException

from gpuctl.cli.app import build
from gpuctl.cli.command_table import entry_of
from gpuctl.cli.context import Context
from gpuctl.cli.interrupts import HOOKS_WITHIN, interruptible, time_limit
from gpuctl.cli.render.renderer import render, render_failure
from gpuctl.cli.render.result import Result
from gpuctl.cli.terminal.streams import Streams
from gpuctl.clock import Clock, SystemClock
from gpuctl.errors import Failure, GpuctlError, Interrupted, UsageError
from gpuctl.platform import Platform

_OURS_OF_RUN = 200
_RUNNING = ("run", "resume")


def entry() -> None:
    """The console script."""
    # What was loaded stays until the end: from here on only the command's own garbage is worth looking for.
    gc.freeze()
    gc.enable()
    for stream in (sys.stdin, sys.stdout):
        # What the terminal's encoding lacks is shown as an escape; stderr does that by itself.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    code = main(sys.argv[1:])
    _discard_unwritable(sys.stdout, 1)
    _discard_unwritable(sys.stderr, 2)
    sys.exit(code)


def _discard_unwritable(stream: TextIO | None, number: int) -> None:
    """Flush the stream. If that fails, discard its output: else Python flushes it again at exit, and exits with 120."""
    try:
        if stream is not None:
            stream.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)


def main(
    argv: Sequence[str],
    *,
    clock: Clock | None = None,
    environ: Mapping[str, str] | None = None,
    streams: Streams | None = None,
    platform: Platform | None = None,
) -> int:
    """Run this command line and return its exit code. Whatever happens is said on stderr, or in JSON on stdout."""
    environ = os.environ if environ is None else environ
    context = Context(streams or Streams.of_process(), clock or SystemClock(), environ, platform)
    try:
        with interruptible():
            code = _run(context, list(argv))
    except Interrupted as interrupted:
        return _failed(context, interrupted, argv)
    except GpuctlError as error:
        code = _failed(context, error, argv)
    except TyperException as error:
        return _failed(context, _usage(context, error), argv)
    except BrokenPipeError:
        return 0
    except Exception:  # noqa: BLE001 - the one boundary: a bug is shown once, and answered in the form that was asked for
        import traceback

        context.progress.clear()
        with suppress(OSError, ValueError):
            context.streams.err.write(traceback.format_exc())
        bug = GpuctlError("internal error; see the traceback above", hint="please report it with the traceback")
        return _failed(context, bug, argv)
    _notify_hooks(context)
    return code


def _run(context: Context, argv: list[str]) -> int:
    # The parser prints help by itself, to wherever stdout is.
    with redirect_stdout(context.streams.out):
        reply = build().main(argv, prog_name="gpuctl", standalone_mode=False, obj=context)
    _update_ssh_file(context)
    if not isinstance(reply, Result):
        return reply if isinstance(reply, int) else 0
    context.is_interrupted = isinstance(reply.error, Interrupted)
    try:
        render(context, reply)
    except (OSError, ValueError) as error:
        # What was done is done and written down; only a command that had nothing but its output failed.
        if isinstance(error, BrokenPipeError) or not _only_reads(context):
            return reply.exit_code
        return _failed(context, GpuctlError(f"the output could not be written: {error}"), argv)
    return reply.exit_code


def _notify_hooks(context: Context) -> None:
    """Deliver events when everything is done and printed; a signal now stops the delivery and nothing else."""
    if context.owes_events or context.wiring.has_written:
        with suppress(Interrupted), interruptible():
            if not context.wiring.config.hooks:
                return
            from gpuctl.wiring.hooks import notify_hooks

            notify = partial(notify_hooks, is_reaper=context.owes_events, is_attended=context.is_terminal)
            if context.is_interrupted:
                # The next reap delivers what is left.
                with time_limit(HOOKS_WITHIN):
                    notify(context.wiring, HOOKS_WITHIN)
            else:
                notify(context.wiring)


def _failed(context: Context, failure: Failure, argv: Sequence[str]) -> int:
    # What `run` prints on stdout is its command's, and so is every exit code below 200.
    is_run = context.globals.command in _RUNNING
    with suppress(OSError, ValueError):
        render_failure(context, failure, as_json=not is_run and _wants_json(context, argv))
    return failure.exit_code + (_OURS_OF_RUN if is_run and not isinstance(failure, Interrupted) else 0)


def _usage(context: Context, error: TyperException) -> Failure:
    """What the parser refused, in one line of ours."""
    text = " ".join(error.format_message().split()).rstrip(".")
    if isinstance(error, typer.BadParameter) or error.exit_code == 2:
        text = text.replace("'", "`")
        return UsageError(f"{text[:1].lower()}{text[1:]}", hint=_help_of(context, error))
    return GpuctlError(text)


def _help_of(context: Context, error: TyperException) -> str:
    # The parser does not always say which command it was reading.
    path = getattr(getattr(error, "ctx", None), "command_path", None)
    return f"{path or f'gpuctl {context.globals.command}'.rstrip()} --help"


def _wants_json(context: Context, argv: Sequence[str]) -> bool:
    """Whether the output is JSON, also when the command line could not be parsed."""
    if context.globals.output is not None:
        return context.globals.output == "json"
    chosen = context.environ.get("GPUCTL_OUTPUT")
    words = [*argv, ""]
    for word, following in pairwise(words):
        if word == "--":
            break
        if word in ("-o", "--output"):
            chosen = following
        elif word.startswith("--output="):
            chosen = word.removeprefix("--output=")
        elif word.startswith("-o") and len(word) > 2:
            chosen = word[2:].removeprefix("=")
    return chosen == "json"


def _only_reads(context: Context) -> bool:
    command = context.globals.command
    return command is not None and entry_of(command).only_reads


def _update_ssh_file(context: Context) -> None:
    """Update the installed SSH config file, if there is one. A failure to write it fails no command."""
    if not context.wiring.has_used_store:
        return
    with suppress(OSError, GpuctlError):
        folder = context.wiring.state_folder
        # Without such a file no settings are read.
        if folder is None or not os.path.exists(folder / "ssh_config"):
            return
        from gpuctl.remote.sshconfig import forget_terminated, write
        from gpuctl.services.ssh_targets import targets

        known = targets(context.wiring.access, context.wiring.store.snapshot().records)
        write(folder, known)
        forget_terminated(folder, [target.record_id for target in known])
