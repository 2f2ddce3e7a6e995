"""`gpuctl pool`: instances that are ready when work arrives, and terminated when there is none."""
