"""AWS: instances are EC2 instances, found by their tags; the guard on the instance is their shutdown timer."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpuctl.providers.base import Connection, Provider
    from gpuctl.providers.prices import PriceList
    from gpuctl.providers.queues import JobQueue
    from gpuctl.providers.retry import Retry


def open_provider(connection: "Connection") -> "Provider":
    """AWS as that connection reaches it. Makes no call."""
    from gpuctl.providers.aws.client import AwsClients
    from gpuctl.providers.aws.provider import AwsProvider

    return AwsProvider(AwsClients(connection))


def open_price_list(connection: "Connection", retry: "Retry") -> "PriceList":
    """AWS's prices, by the credentials that the connection names. Makes no call."""
    from gpuctl.providers.aws.client import AwsClients
    from gpuctl.providers.aws.prices import AwsPriceList

    return AwsPriceList(AwsClients(connection), retry)


def open_queue(address: str, connection: "Connection") -> "JobQueue":
    """An SQS queue by its URL. Makes no call. UsageError if that names no queue."""
    from gpuctl.providers.aws.client import AwsClients
    from gpuctl.providers.aws.queue import SqsQueue

    return SqsQueue(address, AwsClients(connection))
