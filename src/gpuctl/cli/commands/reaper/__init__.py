"""`gpuctl reaper`."""
