"""Use cases, one a file: what each needs (a store, clouds, a clock, a progress) is an argument."""
