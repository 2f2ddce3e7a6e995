"""AWS: machines are EC2 instances, found by their tags, and ended by the guard on them if by nobody else."""

from gpuctl.providers.aws.client import Clients
from gpuctl.providers.aws.provider import AwsProvider
from gpuctl.providers.base import Connection


def open_provider(connection: Connection) -> AwsProvider:
    """AWS as that connection reaches it. Makes no call."""
    return AwsProvider(Clients(connection))
