"""The AWS SDK made quick for tests that open thousands of sessions: what it reads from files it reads once."""

from typing import Any

from botocore.loaders import JSONFileLoader

_read: dict[str, Any] = {}


def read_models_once() -> None:
    """Let every session share the models that the first one read. What they say stays the same."""
    real = JSONFileLoader.load_file

    def load_file(self: Any, file_path: str) -> Any:
        if file_path not in _read:
            _read[file_path] = real(self, file_path)
        return _read[file_path]

    JSONFileLoader.load_file = load_file
