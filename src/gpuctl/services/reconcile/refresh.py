"""Asks the clouds about some records and brings them up to date, ending nothing."""

from collections.abc import Collection, Mapping

from gpuctl.domain.reconcile.actions import ActionKind
from gpuctl.errors import GpuctlError
from gpuctl.services.reconcile.reconcile import settle
from gpuctl.services.runtime import Runtime


def refresh(runtime: Runtime, record_ids: Collection[str]) -> Mapping[str, GpuctlError]:
    """Bring these records up to date and close what is proven gone; for each that could not be asked, why.

    Ended records are left as they are. Nothing is ended, not even what is past its deadline.
    """
    return settle(runtime, record_ids, wanted=lambda action: action.kind is not ActionKind.TERMINATE).unasked
