"""Google Cloud: an instance of Compute Engine, found by its labels, with Google's own run limit as its last end."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpuctl.providers.base import Connection, Provider
    from gpuctl.providers.prices import PriceList
    from gpuctl.providers.retry import Retry


def open_provider(connection: "Connection") -> "Provider":
    """Google Cloud as that connection reaches it. Makes no call."""
    from gpuctl.providers.gcp.client import Api
    from gpuctl.providers.gcp.provider import GcpProvider

    return GcpProvider(Api(connection))


def open_price_list(connection: "Connection", retry: "Retry") -> "PriceList":
    """Google's price catalog at its public address, or where the environment says. UsageError if that is unsafe."""
    from gpuctl.providers.gcp.prices import open_list

    return open_list(connection, retry)
