"""What past runs of a purpose took, read from the histories of their records."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from math import ceil
from typing import TypeVar

from gpuctl.domain.events import EventName
from gpuctl.domain.instance import Instance, Market, Reason, Status

_T = TypeVar("_T", timedelta, float)


def quantile(values: Iterable[_T], share: float) -> _T:
    """The smallest value that at least that share of the values does not exceed. ValueError without values."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values")
    return ordered[max(ceil(share * len(ordered)), 1) - 1]


def run_spans(record: Instance) -> list[timedelta]:
    """How long each task on the instance ran, of those that were neither interrupted nor cut off."""
    spans = []
    for number, entry in enumerate(record.history):
        if entry.event != EventName.RUNNING:
            continue
        ended = next((each for each in record.history[number + 1 :] if each.status is not Status.RUNNING), None)
        if ended is not None and ended.reason in (None, Reason.USER):
            spans.append(ended.at - entry.at)
    return spans


def past_spans(records: Iterable[Instance], purpose: str) -> Sequence[timedelta]:
    """How long the finished tasks of that purpose ran; for instances that ran none, from ready to terminated by us."""
    spans: list[timedelta] = []
    for record in records:
        if record.purpose != purpose:
            continue
        runs = run_spans(record)
        has_run = any(entry.event == EventName.RUNNING for entry in record.history)
        if not has_run and record.ready_at and record.terminated_at and record.reason is Reason.USER:
            runs = [record.terminated_at - record.ready_at]
        spans += runs
    return spans


def worked_for(record: Instance, now: datetime | None = None) -> timedelta:
    """How long the last task on the instance ran, until `now` or until the instance was lost; zero if none began."""
    begun = [entry.at for entry in record.history if entry.event == EventName.RUNNING]
    ended = now or record.terminated_at or record.updated_at
    return max(ended - begun[-1], timedelta(0)) if begun else timedelta(0)


def is_lost(record: Instance) -> bool:
    """Whether the provider has taken the instance back, or it is gone without anybody having terminated it."""
    return record.reason is Reason.INTERRUPTED or (record.reason is Reason.VANISHED and record.market is Market.SPOT)
