"""Use cases, one a file: what each needs (a store, clouds, a clock, somebody to talk to) is an argument."""
