"""What leads onto an instance: keys, the caller's own address, and OpenSSH's programs."""
