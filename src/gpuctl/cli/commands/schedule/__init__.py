"""`gpuctl schedule`: run the reaper from cron, systemd or launchd."""
