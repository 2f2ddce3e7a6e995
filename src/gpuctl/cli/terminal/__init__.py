"""The terminal: streams, progress, the log file, interrupts."""
