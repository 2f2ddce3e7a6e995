"""The schedule that runs the reaper of a state."""

from datetime import timedelta

from pydantic import AwareDatetime

from gpuctl.domain.value import Value


class Installed(Value):
    """A schedule that was installed for a state: which kind it is, how often it runs, and since when."""

    kind: str
    every: timedelta
    installed_at: AwareDatetime
