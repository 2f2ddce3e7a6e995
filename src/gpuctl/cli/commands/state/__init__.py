"""`gpuctl state`."""
