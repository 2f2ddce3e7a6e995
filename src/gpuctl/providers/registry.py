"""The table of clouds: what is known of each, and how each is opened.

A cloud is a package `gpuctl.providers.NAME` with `facts.FACTS`, `open_provider` and `open_price_list`. Its facts are
read when they are first needed; its SDK is loaded when it is opened.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from gpuctl.domain.instance import ProviderName
from gpuctl.errors import UsageError

if TYPE_CHECKING:
    from gpuctl.providers.base import Connection, Provider
    from gpuctl.providers.facts import CloudFacts
    from gpuctl.providers.prices import PriceList
    from gpuctl.providers.queues import JobQueue
    from gpuctl.providers.retry import Retry

# In the order in which they are listed, tried and checked.
SUPPORTED = (ProviderName.AWS, ProviderName.AZURE, ProviderName.GCP)


def is_supported(name: ProviderName) -> bool:
    """Whether gpuctl can start instances in that cloud."""
    return name in SUPPORTED


def check_supported(name: ProviderName) -> None:
    """Raise UsageError, naming those that are, for a cloud that is not supported."""
    if not is_supported(name):
        raise UsageError(f"provider `{name}` is not supported yet", hint=f"one of {quoted(SUPPORTED)}")


@cache
def facts_of(name: ProviderName) -> "CloudFacts":
    """The facts of that cloud. Loads no SDK. UsageError where it is not supported yet."""
    check_supported(name)
    facts: CloudFacts = import_module(f"{__package__}.{name}.facts").FACTS
    return facts


def all_facts() -> "tuple[CloudFacts, ...]":
    """The facts of every supported cloud, in the order of `SUPPORTED`."""
    return tuple(facts_of(name) for name in SUPPORTED)


def example() -> "CloudFacts":
    """The cloud whose type and region hints and help texts name."""
    return all_facts()[0]


def secret_variables() -> tuple[str, ...]:
    """The environment variables of every supported cloud whose whole value is a secret."""
    return tuple(name for facts in all_facts() for name in facts.variables.secrets)


def quoted(names: Iterable[ProviderName]) -> str:
    """The names for a hint, in backticks."""
    return ", ".join(f"`{name}`" for name in names)


def open_provider(name: ProviderName, connection: "Connection") -> "Provider":
    """The cloud of that name. Makes no call; loads its SDK.

    UsageError where it is not supported yet, or where its extra is not installed.
    """
    with _installed(name):
        provider: Provider = import_module(f"{__package__}.{name}").open_provider(connection)
    return provider


def open_price_list(name: ProviderName, connection: "Connection", retry: "Retry") -> "PriceList":
    """The published prices of that cloud. Makes no call.

    UsageError where it is not supported yet, where its extra is not installed, or where its address is not a safe one.
    """
    with _installed(name):
        prices: PriceList = import_module(f"{__package__}.{name}").open_price_list(connection, retry)
    return prices


def queue_forms() -> tuple[str, ...]:
    """How the queues of the providers are named, such as `sqs:URL`."""
    return tuple(facts.queue_form for facts in all_facts() if facts.queue_form is not None)


def queue_provider(scheme: str) -> ProviderName | None:
    """The provider whose queues have that scheme; None if none has."""
    return next((facts.name for facts in all_facts() if (facts.queue_form or "").split(":")[0] == scheme), None)


def open_queue(name: ProviderName, address: str, connection: "Connection") -> "JobQueue":
    """The queue of that provider at that address. Makes no call; loads its SDK.

    UsageError where the address names no queue, or where the extra of the provider is not installed.
    """
    with _installed(name):
        queue: JobQueue = import_module(f"{__package__}.{name}").open_queue(address, connection)
    return queue


@contextmanager
def _installed(name: ProviderName) -> Iterator[None]:
    check_supported(name)
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("gpuctl"):
            raise
        from gpuctl.distribution import install_extra

        facts = facts_of(name)
        text = f"support for {facts.title} is not installed: there is no module `{error.name}`"
        raise UsageError(text, hint=install_extra(facts.extra)) from error
