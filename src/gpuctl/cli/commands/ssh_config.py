"""`gpuctl ssh-config`: let ssh itself, scp, rsync and editors know the instances."""

import os
import pwd
from pathlib import Path
from typing import Annotated

import typer

from gpuctl.cli.context import Context
from gpuctl.cli.parameters import flag
from gpuctl.cli.render.result import Result
from gpuctl.errors import StateUnusableError, UsageError
from gpuctl.files import disk_hint

EXAMPLES = """\
gpuctl ssh-config --install
ssh gpu-train-7
rsync -a data/ gpu-train-7:data/
gpuctl ssh-config --remove"""


def command(
    ctx: typer.Context,
    install: Annotated[bool, flag("Include the entries in ~/.ssh/config", "--install")] = False,
    remove: Annotated[bool, flag("Remove the entries from ~/.ssh/config", "--remove")] = False,
) -> Result:
    """Print a `Host` entry for each active instance: `gpu-ID` and `gpu-NAME`.

    After --install, gpuctl keeps the file up to date.
    """
    from gpuctl.remote.sshconfig import NAME, exclude, include, text_of, write
    from gpuctl.services.ssh_targets import targets

    context: Context = ctx.find_root().obj
    if install and remove:
        raise UsageError("give either --install or --remove", hint="gpuctl ssh-config --install")
    user_config = _home(context) / ".ssh" / "config"
    try:
        if remove:
            own_config = (context.wiring.state_folder or context.wiring.home.states) / NAME
            changed = exclude(user_config, own_config)
            own_config.unlink(missing_ok=True)
            message = f"{user_config} does not lead to {own_config} any more" if changed else "it was not installed"
            return _result(own_config, user_config, 0, message)
        known = targets(context.wiring.access, context.wiring.store.snapshot().records)
        if install:
            own_config = write(context.wiring.create_state_folder(), known)
            changed = include(user_config, own_config)
            names = ", ".join(target.names[-1] for target in known) or "none yet"
            message = (
                f"{user_config} leads to {own_config}" if changed else f"{user_config} led to {own_config} already"
            )
            return _result(own_config, user_config, len(known), f"{message}; instances: {names}")
    except OSError as error:
        raise StateUnusableError(
            f"`{error.filename or user_config}` could not be written: {error.strerror}",
            hint=disk_hint(error, user_config.parent),
        ) from error
    text = text_of(known)
    if context.output != "json":
        context.streams.out.write(text)
    return Result({"config": text, "count": len(known)})


def _result(own_config: Path, user_config: Path, count: int, message: str) -> Result:
    document = {"config": str(own_config), "includedBy": str(user_config), "count": count}
    return Result(document, footer=[message])


def _home(context: Context) -> Path:
    """The home folder that ssh itself would look in, unless HOME says another."""
    try:
        return Path(context.environ.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        raise UsageError("there is no home directory", hint="set HOME") from None
