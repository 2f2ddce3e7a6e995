"""An SQS queue: how many messages wait, and how many are being processed.

GetQueueAttributes: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html
"""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from gpuctl.domain.duration import as_typed
from gpuctl.domain.pools.load import QueueReading
from gpuctl.errors import UsageError
from gpuctl.providers.aws.client import AwsClients
from gpuctl.providers.aws.errors import translate
from gpuctl.providers.http import LOOPBACK

_WAITING, _RUNNING = "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"


class SqsQueue:
    """The queue at that URL. Making one makes no call. UsageError for what is no URL of a queue."""

    def __init__(self, url: str, clients: AwsClients) -> None:
        self._url = url
        self._clients = clients
        self._region = _region_of(url)

    def read(self) -> QueueReading:
        with _translated(f"could not read the queue `{self._url}`"):
            # Both values are approximate: a queue that was just filled may report 0 for up to a minute.
            reply = self._clients.client("sqs", self._region, quick=True).get_queue_attributes(
                QueueUrl=self._url, AttributeNames=[_WAITING, _RUNNING]
            )
        values = reply.get("Attributes", {})
        return QueueReading(int(values.get(_WAITING, 0)), int(values.get(_RUNNING, 0)))


def _region_of(url: str) -> str:
    """The region in a URL such as `https://sqs.us-east-1.amazonaws.com/123456789012/jobs`."""
    parts = urlsplit(url)
    host = (parts.hostname or "").split(".")
    is_path = len([part for part in parts.path.split("/") if part]) == 2
    if parts.scheme == "https" and len(host) >= 4 and "sqs" in host[:2] and is_path:
        # `sqs.REGION.amazonaws.com`, and `REGION.queue.amazonaws.com` of old queues.
        return host[host.index("sqs") + 1]
    if parts.scheme == "https" and host[1:2] == ["queue"] and is_path:
        return host[0]
    if parts.scheme == "http" and parts.hostname in LOOPBACK and is_path:
        return "us-east-1"
    raise UsageError(
        f"--queue sqs: must be the URL of a queue, not {as_typed(url)}",
        hint="--queue sqs:https://sqs.us-east-1.amazonaws.com/123456789012/jobs",
    )


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise translate(error, doing) from error
