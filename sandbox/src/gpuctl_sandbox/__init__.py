"""Emulated clouds on loopback, for trying gpuctl without an account and for its tests; imports nothing of gpuctl."""

__version__ = "0.1.0"
