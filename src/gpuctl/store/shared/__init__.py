"""A state on an engine that many computers share: what is the same for every engine."""
