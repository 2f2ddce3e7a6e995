"""Azure: an instance is a resource group with all its parts in it, found by its tags and ended as one."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpuctl.providers.base import Connection, Provider
    from gpuctl.providers.prices import PriceList
    from gpuctl.providers.queues import JobQueue
    from gpuctl.providers.retry import Retry


def open_provider(connection: "Connection") -> "Provider":
    """Azure as that connection reaches it. Makes no call."""
    from gpuctl.providers.azure.client import AzureClients
    from gpuctl.providers.azure.provider import AzureProvider

    return AzureProvider(AzureClients(connection))


def open_price_list(connection: "Connection", retry: "Retry") -> "PriceList":
    """Azure's prices at their public address, or where the environment says. UsageError if that is not a safe one."""
    from gpuctl.providers.azure.prices import ADDRESS, VARIABLE, AzurePriceList
    from gpuctl.providers.prices import checked_address

    address = checked_address(connection.environ.get(VARIABLE) or ADDRESS, setting=VARIABLE)
    return AzurePriceList(address, retry)


def open_queue(address: str, connection: "Connection") -> "JobQueue":
    """A queue of Azure Queue Storage, by `ACCOUNT/QUEUE`. Makes no call. UsageError if that names no queue."""
    from gpuctl.providers.azure.client import AzureClients
    from gpuctl.providers.azure.queue import StorageQueue

    return StorageQueue(address, AzureClients(connection))
