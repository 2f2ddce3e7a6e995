"""`gpuctl provision`: options, confirmation, result."""
