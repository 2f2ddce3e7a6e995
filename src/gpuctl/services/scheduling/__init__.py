"""The reaper on a schedule: a line in the crontab, or a timer of systemd's for this user."""
