"""Clouds: the protocol in `base`, one module or folder per cloud, and the table of them in `registry`."""
