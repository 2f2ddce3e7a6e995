"""The table of clouds: one row each, imported when it is first opened."""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from gpuctl.distribution import install_extra
from gpuctl.domain.instance import ProviderName
from gpuctl.errors import UsageError
from gpuctl.providers.base import Connection, Provider

if TYPE_CHECKING:
    from gpuctl.providers.aws import open_provider as open_aws
    from gpuctl.providers.azure import open_provider as open_azure

    # Each is imported by name below; this is where the type checker holds them to the protocol.
    _HELD: tuple[Callable[[Connection], Provider], ...] = (open_aws, open_azure)

_MODULES = {ProviderName.AWS: "gpuctl.providers.aws", ProviderName.AZURE: "gpuctl.providers.azure"}


def is_supported(name: ProviderName) -> bool:
    """Whether machines can be started in that cloud yet."""
    return name in _MODULES


def open_provider(name: ProviderName, connection: Connection) -> Provider:
    """The cloud of that name. Makes no call; loads its SDK.

    UsageError where it is not supported yet, or where its extra is not installed.
    """
    if not is_supported(name):
        known = ", ".join(f"`{provider}`" for provider in _MODULES)
        raise UsageError(f"provider `{name}` is not supported yet", hint=f"supported: {known}")
    try:
        opened: Callable[[Connection], Provider] = import_module(_MODULES[name]).open_provider
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("gpuctl"):
            raise
        raise UsageError(
            f"provider `{name}` needs `{error.name}`, which is not installed", hint=install_extra(name)
        ) from error
    return opened(connection)
