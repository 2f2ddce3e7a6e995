"""A queue of Azure Queue Storage: how many messages it has, those that are being processed included.

Get Queue Metadata: https://learn.microsoft.com/rest/api/storageservices/get-queue-metadata
"""

import re

from gpuctl.domain.duration import as_typed
from gpuctl.domain.pools.load import QueueReading
from gpuctl.errors import UnreachableError, UsageError
from gpuctl.providers.azure.client import AzureClients
from gpuctl.providers.azure.errors import SDK_ERRORS, translate_storage

# Tokens of Entra are accepted from 2017-11-09 on.
_VERSION = "2020-10-02"
_COUNT = "x-ms-approximate-messages-count"
_ACCOUNT, _QUEUE = re.compile(r"[a-z0-9]{3,24}"), re.compile(r"(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")


class StorageQueue:
    """The queue of that `ACCOUNT/QUEUE`. Making one makes no call. UsageError for what names no queue."""

    def __init__(self, address: str, clients: AzureClients) -> None:
        account, _, queue = address.partition("/")
        if not _ACCOUNT.fullmatch(account) or not _QUEUE.fullmatch(queue):
            raise UsageError(
                f"--queue azure: must be ACCOUNT/QUEUE, not {as_typed(address)}", hint="--queue azure:mystorage/jobs"
            )
        self._clients = clients
        # An emulator has the name of the account in the path.
        base = f"{clients.endpoint}/{account}" if clients.is_loopback else f"https://{account}.queue.core.windows.net"
        self._url = f"{base}/{queue}"

    def read(self) -> QueueReading:
        doing = f"could not read the queue `{self._url}`"
        try:
            response = self._clients.query_storage(self._url, {"comp": "metadata"}, _VERSION)
        except SDK_ERRORS as error:
            raise translate_storage(error, doing) from error
        count = response.headers.get(_COUNT, "")
        if not count.isdecimal():
            raise UnreachableError(f"{doing}: the reply has no `{_COUNT}`")
        return QueueReading(int(count), includes_running=True)
