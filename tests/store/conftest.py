import os
from collections.abc import Callable, Iterator

import pytest


@pytest.fixture
def set_umask() -> Iterator[Callable[[int], None]]:
    before = os.umask(0o022)
    yield lambda umask: os.umask(umask) and None
    os.umask(before)
