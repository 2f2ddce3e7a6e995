"""`gpuctl list`: the table, and `--watch`."""
