"""The settings. Precedence: option, `GPUCTL_*` variable, `[profile.X]`, config file, the cloud's own settings, default.

`schema.py` declares every setting, `kinds.py` says what a value may be, `file.py` reads the config file, and
`settings.py` finds the values in force and their sources.
"""

from gpuctl.config.schema import CloudConfig, Config, SshConfig
from gpuctl.config.settings import Setting, Settings, read_settings

__all__ = ["CloudConfig", "Config", "Setting", "Settings", "SshConfig", "read_settings"]
