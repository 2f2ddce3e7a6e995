"""The settings: flag, `GPUCTL_*`, `[profile.X]`, the rest of the config file, the cloud's own, the default.

`schema.py` is the table of keys, `file.py` reads TOML against it, `settings.py` finds the value in force and where it
comes from, and `values.py` is what the commands are given.
"""

from gpuctl.config.settings import Setting, Settings, read_settings
from gpuctl.config.values import CloudConfig, Config, SshConfig

__all__ = ["CloudConfig", "Config", "Setting", "Settings", "SshConfig", "read_settings"]
