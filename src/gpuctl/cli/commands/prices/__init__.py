"""`gpuctl prices`: show and refresh price data."""
