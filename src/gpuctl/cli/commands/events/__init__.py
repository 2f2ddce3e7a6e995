"""`gpuctl events`: show and follow the event log."""
