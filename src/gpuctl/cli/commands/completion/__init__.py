"""`gpuctl completion`: the scripts, and the candidates they request."""
