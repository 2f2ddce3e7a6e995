"""Where records are kept: the protocol in `base`, the file on this machine in `local`."""
