"""Makes the ids of records."""

import secrets
import string

from gpuctl.domain.tags import RECORD_ID_LENGTH, RECORD_ID_PREFIX

_ALPHABET = string.digits + string.ascii_lowercase


def new_record_id() -> str:
    """A new id at random; every call returns another one, and each matches `domain.tags.RECORD_ID`."""
    return RECORD_ID_PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(RECORD_ID_LENGTH))
