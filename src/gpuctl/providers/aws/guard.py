"""The guard as an EC2 instance gets it: the common script with AWS's own part, short enough for user data."""

from datetime import timedelta
from importlib.resources import files

from gpuctl.providers import guard

GRACE, LONGEST = guard.GRACE, guard.LONGEST
CONSOLE_PREFIX, GPU_PREFIX = guard.CONSOLE_PREFIX, guard.GPU_PREFIX
MOST_BYTES = 16_384


def user_data(max_ttl: timedelta, idle: timedelta | None = None) -> str:
    """See `guard.installation`. EC2 compares it byte for byte on a repeated create, and takes 16 KB in all."""
    return guard.installation(_metadata(), max_ttl, idle)


def guard_script(*, watches_idle: bool = False) -> str:
    """See `guard.script`."""
    return guard.script(_metadata(), watches_idle=watches_idle)


def _metadata() -> str:
    return files(__package__).joinpath("metadata.sh").read_text("utf-8")
