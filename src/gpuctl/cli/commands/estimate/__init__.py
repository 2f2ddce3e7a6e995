"""`gpuctl estimate`: savings over an always-on instance, and replays over a trace of spot capacity."""
