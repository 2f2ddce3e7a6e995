"""Pools: demand, policies, forecast, replay. Instants are seconds since the epoch or since the start of a trace."""
