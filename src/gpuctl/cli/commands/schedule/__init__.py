"""`gpuctl schedule`: run the reaper from cron or systemd."""
