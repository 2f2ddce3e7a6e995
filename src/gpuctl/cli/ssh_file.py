"""Keeps the file for ssh current, where it was installed: after every command that worked with the state."""

from contextlib import suppress

from gpuctl.cli.context import Context
from gpuctl.errors import GpuctlError


def keep_current(context: Context) -> None:
    """Write the file again if machines came or went. That it cannot be written fails no command."""
    # Most have none, and then a list pays for no settings.
    if not context.wiring.has_used_store or not (context.wiring.ssh_folder / "config").exists():
        return
    from gpuctl.remote.sshconfig import forget_ended, write
    from gpuctl.services.ssh_targets import targets

    with suppress(OSError, GpuctlError):
        known = targets(context.wiring.access, context.wiring.store.snapshot().records)
        write(context.wiring.access.folder, known)
        forget_ended(context.wiring.access.folder, [target.record_id for target in known])
