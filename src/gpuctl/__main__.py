"""`python -m gpuctl` is the same as `gpuctl`."""

from gpuctl.cli.main import entry

entry()
