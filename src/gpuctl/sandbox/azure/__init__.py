"""Azure's ARM on loopback, written here: no emulator knows inline interfaces, the delete cascade, spot or quota."""

from gpuctl.sandbox.azure.cloud import ArmCloud

__all__ = ["ArmCloud"]
