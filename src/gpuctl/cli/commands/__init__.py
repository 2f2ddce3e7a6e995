"""One file per command: it reads options, calls one service, renders one result."""
