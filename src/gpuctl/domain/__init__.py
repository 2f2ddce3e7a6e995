"""What gpuctl decides, as pure functions over frozen values: no file, no SDK, no clock."""
