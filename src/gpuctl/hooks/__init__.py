"""Hooks: how an event reaches a command on this computer, or an https URL. `base.py` is the protocol."""

import re
from collections.abc import Mapping

from gpuctl.hooks.base import Hook

_URL = re.compile(r"https?://", re.ASCII | re.IGNORECASE)


def open_hook(text: str, environ: Mapping[str, str]) -> Hook:
    """The address or the command that this names. A command will run with that environment."""
    if _URL.match(text):
        from gpuctl.hooks.webhook import Webhook

        return Webhook(text)
    from gpuctl.hooks.command import CommandHook

    return CommandHook(text, environ)
