"""Azure's ARM on loopback, written here: no emulator knows inline interfaces, the delete cascade, spot or quota."""

from gpuctl_sandbox.azure.cloud import ArmCloud

__all__ = ["ArmCloud"]
