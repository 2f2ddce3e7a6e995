"""A `Progress` that shows nothing."""


class Silent:
    """Nobody listens; a traceback is still a failure of the test."""

    def info(self, text: str) -> None: ...

    def warn(self, text: str, *, is_complete: bool = False) -> None: ...

    def step(self, text: str) -> None: ...
    def clear(self) -> None: ...

    def trace(self, text: str) -> None:
        raise AssertionError(text)
