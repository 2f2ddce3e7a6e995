"""The kinds of states."""

from enum import StrEnum


class StateKind(StrEnum):
    """Whether the records of a state are of real instances or of the sandbox; the two never mix."""

    REAL = "real"
    SANDBOX = "sandbox"
