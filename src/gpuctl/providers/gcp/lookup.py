"""One instance by its cloud ID: as Google shows it, or as the operations of its zone tell of its end."""

from gpuctl.domain.instance import Observed
from gpuctl.providers.gcp.client import Api
from gpuctl.providers.gcp.errors import is_absent, refusal_of
from gpuctl.providers.gcp.failures import ApiError
from gpuctl.providers.gcp.names import parts
from gpuctl.providers.gcp.observe import ended, observed
from gpuctl.providers.gcp.operations import end_reason, failed_insert, of_instance


def read_instance(api: Api, cloud_id: str, account: str) -> Observed | None:
    """The instance; None if Google says that there is none. Raises what a call raises."""
    zone, name = parts(cloud_id)
    try:
        instance = api.get(f"zones/{zone}/instances/{name}")
    except ApiError as error:
        if is_absent(error):
            return None
        raise
    return observed({"zone": zone} | instance, account, is_readiness_queried=True)


def read_end(api: Api, cloud_id: str, account: str) -> Observed | None:
    """An instance that is gone, from the operations of its zone; None where they tell nothing of its end."""
    zone, name = parts(cloud_id)
    try:
        operations = of_instance(api, zone, name)
    except ApiError:
        return None
    failed, (reason, at) = failed_insert(operations), end_reason(operations)
    if failed is not None:
        return ended(cloud_id, account, at=None, reason=None, refusal=refusal_of(failed))
    return None if at is None else ended(cloud_id, account, at=at, reason=reason)
