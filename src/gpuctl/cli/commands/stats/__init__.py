"""`gpuctl stats`: sums, groups, chart."""
