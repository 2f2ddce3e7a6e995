"""`gpuctl selftest`: run one instance and check every promise on it."""
