"""Ending instances in few calls, where one bad id makes AWS refuse all of them."""

from collections.abc import Iterator, Sequence
from typing import Any

from gpuctl.errors import CloudError, GpuctlError
from gpuctl.providers.aws.errors import NOT_FOUND, SDK_ERRORS, code_of, translate

_MOST_IDS = 1000
_MOST_FILTER_VALUES = 200
# Codes that a single instance can bring upon the whole call.
_OF_ONE = frozenset(
    {"OperationNotPermitted", "UnauthorizedOperation", "IncorrectInstanceState", "UnsupportedOperation"} | NOT_FOUND
)
_MOST_CALLS = 60


def end_instances(ec2: Any, region: str, cloud_ids: Sequence[str]) -> dict[str, GpuctlError]:
    """Request the termination of these instances and return the error by ID. Never lifts termination protection.

    An ID that AWS does not know is an error too: right after a create, AWS may not know it yet.
    """
    failures: dict[str, GpuctlError] = {}
    for batch in _in_batches(list(dict.fromkeys(cloud_ids)), _MOST_IDS):
        failures |= _TerminateBatch(ec2, region).end(batch)
    return failures


class _TerminateBatch:
    """One batch, and how many calls may still be spent on finding the ids that spoil it."""

    def __init__(self, ec2: Any, region: str) -> None:
        self._ec2 = ec2
        self._region = region
        self._calls_left = _MOST_CALLS

    def end(self, batch: Sequence[str]) -> dict[str, GpuctlError]:
        try:
            self._calls_left -= 1
            self._ec2.terminate_instances(InstanceIds=list(batch))
        except SDK_ERRORS as error:
            return self._errors_after(error, batch)
        return {}

    def _errors_after(self, error: Exception, batch: Sequence[str]) -> dict[str, GpuctlError]:
        code = code_of(error)
        if code in NOT_FOUND and len(batch) > 1:
            known = self._known_ids(batch)
            if len(known) < len(batch):
                unknown = [text for text in batch if text not in known]
                failures = {text: self._unknown(text) for text in unknown}
                return failures | (self.end(known) if known else {})
        if code not in _OF_ONE or len(batch) == 1 or self._calls_left <= 0:
            failure = translate(error, f"could not terminate instances in `{self._region}`")
            return dict.fromkeys(batch, failure)
        middle = len(batch) // 2
        return self.end(batch[:middle]) | self.end(batch[middle:])

    def _known_ids(self, batch: Sequence[str]) -> list[str]:
        known: set[str] = set()
        for part in _in_batches(batch, _MOST_FILTER_VALUES):
            pages = self._ec2.get_paginator("describe_instances").paginate(
                Filters=[{"Name": "instance-id", "Values": list(part)}]
            )
            known |= {
                instance["InstanceId"]
                for page in pages
                for reservation in page["Reservations"]
                for instance in reservation["Instances"]
            }
        return [text for text in batch if text in known]

    def _unknown(self, cloud_id: str) -> GpuctlError:
        return CloudError(
            f"AWS does not know {cloud_id} in `{self._region}` (yet)", cloud_code="InvalidInstanceID.NotFound"
        )


def _in_batches(cloud_ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(cloud_ids), size):
        yield cloud_ids[start : start + size]
