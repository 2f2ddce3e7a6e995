"""Clouds on loopback, for trying things without an account and for the tests; knows nothing else of gpuctl."""
