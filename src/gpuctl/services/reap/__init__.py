"""The reaper: terminate what is expired, with or without a state, and clean up after it."""
