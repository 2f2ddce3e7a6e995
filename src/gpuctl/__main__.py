"""`python -m gpuctl` is the same as `gpuctl`."""

from gpuctl.start import entry

entry()
