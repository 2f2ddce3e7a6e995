"""The schedule that runs the reaper of a state."""

from datetime import timedelta

from pydantic import AwareDatetime

from gpuctl.domain.value import Value


class Installed(Value):
    """A schedule that was installed for a state: its scheduler, how often it runs, and since when.

    `state` is the path of the state file as it was spelled then.
    """

    kind: str
    every: timedelta
    installed_at: AwareDatetime
    state: str = ""
