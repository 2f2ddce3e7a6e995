"""The operating systems of emulated instances: SSH servers and processes on this computer, one per running instance."""
