"""The warning of commands that create instances when the foreign distribution `gpuctl` is in the same environment."""

from gpuctl.cli.context import Context


def warn_if_foreign(context: Context) -> None:
    """Warn on stderr that a foreign distribution shares the environment of this gpuctl. Never raises."""
    from gpuctl.distribution import FOREIGN, NAME, find_foreign

    version = find_foreign()
    if version is not None:
        context.progress.warn(
            f"the distribution `{FOREIGN}` {version} in this environment is not part of {NAME}: gpuctl doctor"
        )
