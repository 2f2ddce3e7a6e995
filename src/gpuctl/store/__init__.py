"""Where records are kept: the protocol in `base`, the file on this computer in `local`."""
