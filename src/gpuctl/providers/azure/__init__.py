"""Azure: a machine is a resource group with all its parts in it, found by its tags and ended as one."""

from gpuctl.providers.azure.client import Clients
from gpuctl.providers.azure.provider import AzureProvider
from gpuctl.providers.base import Connection


def open_provider(connection: Connection) -> AzureProvider:
    """Azure as that connection reaches it. Makes no call."""
    return AzureProvider(Clients(connection))
