"""Read the event log, and deliver events to hooks."""
