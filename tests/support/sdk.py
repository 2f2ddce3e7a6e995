"""The AWS SDK made quick for tests that open thousands of sessions: what each session would build anew is shared."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from botocore.client import ClientCreator
from botocore.loaders import JSONFileLoader


def share_models() -> None:
    """Let every session share the service models that the first one read, and the client classes made of them.

    Making the class for EC2, with its 750 methods, took a third of the time of all tests. What the models and classes
    say stays the same. Calling this again changes nothing.
    """
    if not hasattr(JSONFileLoader.load_file, "__wrapped__"):
        JSONFileLoader.load_file = _once(JSONFileLoader.load_file)
        ClientCreator._load_service_model = _once(ClientCreator._load_service_model)
        ClientCreator._create_client_class = _once(ClientCreator._create_client_class, key_length=1)


def _once(method: Callable[..., Any], key_length: int | None = None) -> Callable[..., Any]:
    """The method, called once for each of its first arguments, whichever object it is called on."""
    known: dict[tuple[Any, ...], Any] = {}

    @wraps(method)
    def answered(self: Any, *arguments: Any, **named: Any) -> Any:
        key = (*arguments[:key_length], *sorted(named.items()))
        if key not in known:
            known[key] = method(self, *arguments, **named)
        return known[key]

    return answered
