"""Keeps the file for ssh current, where it was installed: after every command that worked with the state."""

import os
from contextlib import suppress

from gpuctl.cli.context import Context
from gpuctl.errors import GpuctlError


def keep_current(context: Context) -> None:
    """Write the file again if instances came or went. That it cannot be written fails no command."""
    if not context.wiring.has_used_store:
        return
    with suppress(OSError, GpuctlError):
        folder = context.wiring.state_folder
        # Most have no such file, and then a list pays for no settings.
        if folder is None or not os.path.exists(folder / "ssh_config"):
            return
        from gpuctl.remote.sshconfig import forget_ended, write
        from gpuctl.services.ssh_targets import targets

        known = targets(context.wiring.access, context.wiring.store.snapshot().records)
        write(folder, known)
        forget_ended(folder, [target.record_id for target in known])
