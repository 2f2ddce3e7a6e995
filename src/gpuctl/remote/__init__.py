"""What leads onto a machine: keys, the caller's own address, and OpenSSH's programs."""
