"""Continues unfinished work after a run of the reaper, in processes of their own: no termination waits for them."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from threading import Thread

from gpuctl.cli.context import Context
from gpuctl.domain.events import EventName
from gpuctl.domain.instance import Instance
from gpuctl.domain.lifecycle import note
from gpuctl.domain.unfinished import is_driven, obstacle_of, unfinished, work_of
from gpuctl.errors import GpuctlError, NotFoundError
from gpuctl.files import private_folder
from gpuctl.wiring.work import here, is_gone


def continue_work(context: Context) -> None:
    """Start `gpuctl resume` for each piece of unfinished work that no process does and that this computer can continue.

    What keeps this computer from continuing a piece of work is reported once, and saved in the history of its record.
    Does nothing while the state is restored: it may not know of the newest instance.
    """
    wiring = context.wiring
    state, now = wiring.store.snapshot(), context.clock.now()
    if state.is_restored or state.moved_to is not None:
        return
    for record in unfinished(state.records, now):
        if is_driven(record, now, is_gone):
            continue
        obstacle = obstacle_of(record, here(wiring))
        if obstacle is not None:
            _report(context, record, f"{os.uname().nodename} cannot continue the work: {obstacle}")
            continue
        try:
            output = _started(context, record)
        except OSError as error:
            context.progress.warn(f"the work of {record.label} is not continued: {error.strerror}")
        else:
            context.progress.info(f"continuing the work of {record.label}; its output: {output}")


def _report(context: Context, record: Instance, text: str) -> None:
    if any(entry.event == EventName.DECIDED and entry.detail == text for entry in record.history):
        return
    context.progress.warn(f"{record.label}: {text}")
    noted = partial(note, event=EventName.DECIDED, at=context.clock.now(), detail=text)
    try:
        context.wiring.store.update(record.id, noted)
    except NotFoundError:
        return
    except GpuctlError as error:
        context.progress.warn(error.message)


def _started(context: Context, record: Instance) -> Path:
    """Start the process, and return the file with the stdout of the command; its stderr is beside it."""
    work = work_of(record)
    folder = context.wiring.create_state_folder() / "work"
    private_folder(folder)
    output = folder / f"{work.id if work is not None else record.id}.out"
    errors = output.with_suffix(".err")
    options = context.globals
    argv = [sys.executable, "-P", "-m", "gpuctl"]
    for name, value in (("--state", options.state), ("--config", options.config), ("--profile", options.profile)):
        argv += [name, str(value)] if value is not None else []
    argv += [*(["--sandbox"] if options.sandbox else []), "resume", record.id]
    with open(_opened(output), "wb") as out, open(_opened(errors), "wb") as err:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=dict(context.environ), start_new_session=True
        )
    # With --watch this process outlives that one, which must not look alive as a zombie.
    Thread(target=process.wait, daemon=True).start()
    return output


def _opened(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
