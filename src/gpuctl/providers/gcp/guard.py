"""The guard as a Compute Engine instance gets it: as a startup script, which Google runs at every boot."""

from datetime import timedelta
from importlib.resources import files

from gpuctl.providers import guard

GRACE = guard.GRACE
CONSOLE_PREFIX, GPU_PREFIX = guard.CONSOLE_PREFIX, guard.GPU_PREFIX

# The guard does nothing on an instance that was created from an image of a guarded one: it compares instance IDs, and
# not every image of Google has cloud-init, which saves them.
_OWNER = """\
INSTANCE_ID=$(curl -q -g -s --noproxy '*' --connect-timeout 2 --max-time 5 -H 'Metadata-Flavor: Google' \\
    http://169.254.169.254/computeMetadata/v1/instance/id)
"""


def startup_script(max_ttl: timedelta) -> str:
    """The script that installs the guard; the same span gives the same text."""
    first, _, rest = guard.installation(_metadata(), max_ttl).partition("\n")
    return f"{first}\n{_OWNER}{rest}"


def _metadata() -> str:
    return files(__package__).joinpath("metadata.sh").read_text("utf-8")
