"""Decide from records and observations what must be done: pure, without files, clocks or SDKs."""
