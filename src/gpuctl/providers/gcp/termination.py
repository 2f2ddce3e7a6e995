"""Deleting instances: each by its name, and none that is not ours; protection against deletion is never lifted."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from gpuctl.domain.tags import ID
from gpuctl.errors import CloudError, GpuctlError
from gpuctl.providers.gcp.client import Api, Json
from gpuctl.providers.gcp.errors import CALL_ERRORS, is_absent, translate
from gpuctl.providers.gcp.failures import ApiError
from gpuctl.providers.gcp.names import parts, record_of

_AT_ONCE = 8


class Deletions:
    """Requests deletions and remembers them, with the instance as it was: Google shows nothing of what is deleted."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.requested: dict[str, tuple[Json, Json]] = {}

    def delete(self, cloud_ids: Sequence[str]) -> dict[str, GpuctlError]:
        """Request the deletion of these instances; what failed, for which. Absent or being deleted is success."""
        wanted = list(dict.fromkeys(cloud_ids))
        if len(wanted) < 2:
            failures = [self._failure(cloud_id) for cloud_id in wanted]
        else:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                failures = list(pool.map(self._failure, wanted))
        return {cloud_id: failure for cloud_id, failure in zip(wanted, failures, strict=True) if failure is not None}

    def _failure(self, cloud_id: str) -> GpuctlError | None:
        try:
            self._delete(cloud_id)
        except GpuctlError as error:
            return error
        except (*CALL_ERRORS, KeyError, TypeError, ValueError) as error:
            return translate(error, f"could not terminate {cloud_id}")
        return None

    def _delete(self, cloud_id: str) -> None:
        zone, name = parts(cloud_id)
        path = f"zones/{zone}/instances/{name}"
        try:
            instance = self._api.get(path)
            _check(instance, zone, name)
            operation = self._api.delete(path)
        except ApiError as error:
            # Being deleted already, or still being made so that the next call finds it.
            if is_absent(error) or (error.reason == "resourceNotReady" and cloud_id in self.requested):
                return
            if error.reason == "resourceNotReady" and self._is_stopping(path):
                return
            raise
        self.requested[cloud_id] = (operation, instance)

    def _is_stopping(self, path: str) -> bool:
        try:
            return self._api.get(path).get("status") in ("STOPPING", "DEPROVISIONING")
        except ApiError as error:
            if is_absent(error):
                return True
            raise


def _check(instance: Json, zone: str, name: str) -> None:
    claimed, record = (instance.get("labels") or {}).get(ID), record_of(name)
    # A copy of an instance of ours carries its labels: only the name tells that no create of ours made it.
    if record is None:
        raise CloudError(f"the instance `{zone}/{name}` was not created by gpuctl: not terminated")
    if claimed is not None and claimed != record:
        raise CloudError(f"the instance `{zone}/{name}` carries the label of another record: not terminated")
    if instance.get("deletionProtection"):
        raise CloudError(
            f"the instance `{zone}/{name}` is protected against deletion; gpuctl does not lift that",
            hint=f"gcloud compute instances update {name} --zone {zone} --no-deletion-protection",
        )
