"""Pools: leases, releases, and the tick that launches, renews and terminates instances."""
