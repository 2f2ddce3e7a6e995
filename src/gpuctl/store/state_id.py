"""The ID of a state: what may be one, and how one is made."""

import string

from gpuctl.domain.tags import STATE_ID
from gpuctl.errors import UsageError


def is_state_id(text: str) -> bool:
    """Whether it can name a state: 8 to 40 of `a-z0-9-`."""
    return STATE_ID.fullmatch(text) is not None


def checked_id(state_id: str | None) -> str | None:
    """That ID. UsageError if it cannot name a state."""
    if state_id is not None and not is_state_id(state_id):
        raise UsageError(
            "a state id has 8 to 40 characters of `a-z0-9-`",
            hint="set `GPUCTL_STATE_ID` to a valid ID, or unset it",
        )
    return state_id


def new_state_id(random_bytes: bytes) -> str:
    """A state ID made of those bytes: twelve characters of `a-z0-9`."""
    alphabet = string.ascii_lowercase + string.digits
    number, letters = int.from_bytes(random_bytes), []
    for _ in range(12):
        number, index = divmod(number, len(alphabet))
        letters.append(alphabet[index])
    return "".join(letters)
