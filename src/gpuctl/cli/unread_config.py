"""The warning of a command that only reads, and needs no setting, about a config file that other commands reject."""

import os

from gpuctl.cli.context import Context
from gpuctl.errors import UsageError


def warn_if_config_is_wrong(context: Context) -> None:
    """Say on stderr what is wrong with the config file. What is running must be readable all the same. Never raises."""
    try:
        if context.selection.config is not None or os.path.exists(context.wiring.config_path):
            _ = context.wiring.settings
    except UsageError as error:
        context.progress.warn(error.message)
