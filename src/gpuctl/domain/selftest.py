"""The checks of a self-test as values, and what an observation proves. Pure: nothing here calls a cloud."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from gpuctl.domain.instance import Price
from gpuctl.domain.market.offers import InstanceType
from gpuctl.domain.resource import Resource
from gpuctl.domain.safeguards import Safeguard, SafeguardStatus
from gpuctl.domain.tags import EXPIRES_AT, ID, OWNER, STATE, parse_deadline

Figure = str | int | float | bool | None | list[str]

# A timer acts a few minutes past the deadline; a shutdown schedule knows whole minutes and a least lead.
_TIMER_EARLY, _TIMER_LATE = timedelta(minutes=1), timedelta(minutes=15)
_SAME_PRICE = Decimal("0.0001")
_NOT_NVIDIA = ("Radeon", "MI300X", "Gaudi")
_REQUIRED = (ID, STATE, OWNER, EXPIRES_AT)
_TWELVE_DIGITS = re.compile(r"(?<![\w-])\d{8}(\d{4})(?![\w-])")
_GUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{8}([0-9a-f]{4})\b", re.IGNORECASE)
_IPV4 = re.compile(r"\b\d{1,3}(\.\d{1,3}){3}\b")
# Eight groups, or groups around one `::`; a time such as 12:00:00 has neither.
_IPV6 = re.compile(
    r"(?<![\w:.])(?:(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}"
    r"|(?:[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){0,6})?::(?:[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){0,6})?)(?![\w:])",
    re.IGNORECASE,
)
_ACCESS_KEY = re.compile(r"\b(AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,}\b")


class CheckStatus(StrEnum):
    """The result of one check. UNKNOWN: the observation failed, so that the promise is neither kept nor broken."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Check:
    """One promise compared with the cloud: `observed` are the figures it was judged by, `seconds` how long it took."""

    name: str
    status: CheckStatus
    detail: str
    observed: Mapping[str, Figure] = field(default_factory=dict)
    seconds: float | None = None


def judge_listing(seconds: float | None, limit: timedelta) -> Check:
    """Whether the listing by tag showed the instance in time; `seconds` is None where it did not."""
    if seconds is None:
        text = f"the listing by tag did not show the instance within {limit.total_seconds():.0f} s"
        return Check("listing", CheckStatus.FAILED, text)
    return Check("listing", CheckStatus.OK, f"listed by tag after {seconds:.1f} s", {"lagSeconds": round(seconds, 1)})


def judge_tags(resources: Sequence[Resource], record_id: str, state_id: str) -> Check:
    """Whether every resource carries the tags by which a sweep recognises it."""
    lacking = {resource.label: gaps for resource in resources if (gaps := _missing_tags(resource, record_id, state_id))}
    observed: dict[str, Figure] = {"resources": [resource.kind for resource in resources], "incomplete": list(lacking)}
    if not resources:
        return Check("tags", CheckStatus.FAILED, "the cloud shows no resource of the instance", observed)
    if lacking:
        text = "; ".join(f"{label} lacks {', '.join(gaps)}" for label, gaps in lacking.items())
        return Check("tags", CheckStatus.FAILED, text, observed)
    return Check("tags", CheckStatus.OK, f"complete on {len(resources)} resources", observed)


def judge_timer(safeguards: Sequence[Safeguard], deadline: datetime) -> Check:
    """Whether the shutdown timer, as read back, acts shortly after the deadline."""
    timer = _timer(safeguards)
    if timer is None or timer.is_missing:
        return Check("timer", CheckStatus.FAILED, f"missing: {timer.detail if timer else 'the cloud shows none'}")
    observed = _timer_figures(timer, deadline)
    if not _is_in_time(timer, deadline):
        acts = f"{timer.acts_at:%Y-%m-%dT%H:%M:%SZ}" if timer.acts_at else "at an unknown time"
        return Check("timer", CheckStatus.FAILED, f"acts {acts}, not shortly after the deadline", observed)
    return Check("timer", CheckStatus.OK, f"set: {timer.detail}", observed)


def judge_timer_running(safeguards: Sequence[Safeguard], unit: str | None) -> Check:
    """Whether the timer was seen running: by the console, or by the state of its systemd unit, None if not known."""
    timer = _timer(safeguards)
    observed: dict[str, Figure] = {"console": bool(timer and timer.status is SafeguardStatus.VERIFIED), "unit": unit}
    if timer is not None and timer.status is SafeguardStatus.VERIFIED:
        return Check("timer-running", CheckStatus.OK, timer.detail, observed)
    if unit == "active":
        return Check("timer-running", CheckStatus.OK, "its systemd timer is active", observed)
    if unit is None:
        return Check("timer-running", CheckStatus.UNKNOWN, "neither the console nor SSH shows the guard", observed)
    return Check("timer-running", CheckStatus.FAILED, f"its systemd timer is `{unit}`", observed)


def judge_gpu(output: str, code: int, kind: InstanceType) -> Check:
    """Whether nvidia-smi lists the GPUs that the type has; a slice of a GPU counts as one."""
    if not shows_in_nvidia_smi(kind):
        return Check("gpu", CheckStatus.SKIPPED, f"nvidia-smi does not list a {kind.gpu_model}")
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    observed: dict[str, Figure] = {"exitCode": code, "gpus": lines[:16]}
    wanted = max(1, int(kind.gpu_count))
    if code != 0:
        return Check("gpu", CheckStatus.FAILED, f"nvidia-smi exits with {code}", observed)
    if len(lines) != wanted:
        return Check("gpu", CheckStatus.FAILED, f"nvidia-smi lists {len(lines)} GPUs, not {wanted}", observed)
    model = kind.gpu_model.split()[0].casefold()
    if not all(model in line.casefold() for line in lines):
        return Check("gpu", CheckStatus.FAILED, f"nvidia-smi lists {lines[0]}, not a {kind.gpu_model}", observed)
    return Check("gpu", CheckStatus.OK, lines[0] if wanted == 1 else f"{wanted} x {lines[0]}", observed)


def shows_in_nvidia_smi(kind: InstanceType) -> bool:
    """Whether the GPU is one of NVIDIA's."""
    return kind.gpu_model.split()[0] not in _NOT_NVIDIA


def judge_replay(first: str, second: str, existing: Collection[str]) -> Check:
    """Whether the identical create request, sent again, was answered with the same instance and created no other."""
    observed: dict[str, Figure] = {"sameInstance": first == second, "instances": len(existing)}
    if first != second:
        return Check("replay", CheckStatus.FAILED, f"the repeated request created another instance, {second}", observed)
    # The first may be missing while the listing lags behind, which is the failure of another check.
    if set(existing) - {first}:
        return Check("replay", CheckStatus.FAILED, f"{len(existing)} instances carry the record's ID tag", observed)
    return Check("replay", CheckStatus.OK, "the repeated request returned the same instance", observed)


def judge_extend(
    before: datetime, after: datetime, tags: Mapping[str, str], safeguards: Sequence[Safeguard], *, had_timer: bool
) -> Check:
    """Whether the deadline's tag and the timer have both moved to the new deadline.

    A timer that was missing before is the failure of another check.
    """
    tag, timer = parse_deadline(tags.get(EXPIRES_AT, "")), _timer(safeguards)
    timer_moved = timer is not None and _is_in_time(timer, after)
    observed: dict[str, Figure] = {
        "bySeconds": int((after - before).total_seconds()),
        "tagMoved": tag == after,
        "timerMoved": timer_moved if had_timer else None,
    }
    still = [name for name, key in (("tag", "tagMoved"), ("timer", "timerMoved")) if observed[key] is False]
    if still:
        return Check("extend", CheckStatus.FAILED, f"not moved to the new deadline: {', '.join(still)}", observed)
    moved = "the deadline's tag and the timer have both moved" if had_timer else "the deadline's tag has moved"
    return Check("extend", CheckStatus.OK, moved, observed)


def judge_price(price: Price | None, listed: Decimal | None, today: date) -> Check:
    """Whether the price frozen in the record is the one that the provider publishes now."""
    observed: dict[str, Figure] = {
        "usdPerHour": float(price.usd_per_hour) if price else None,
        "priceAsOf": price.as_of.isoformat() if price else None,
        "ageDays": (today - price.as_of).days if price else None,
        "listedUsdPerHour": float(listed) if listed is not None else None,
    }
    if price is None or listed is None:
        missing = "the record has no price" if price is None else "the provider publishes no price for it"
        return Check("price", CheckStatus.FAILED, missing, observed)
    if abs(price.usd_per_hour - listed) > _SAME_PRICE:
        text = f"the record says ${price.usd_per_hour:f}/h, the provider's list ${listed:f}/h"
        return Check("price", CheckStatus.FAILED, text, observed)
    age = (today - price.as_of).days
    return Check("price", CheckStatus.OK, f"${price.usd_per_hour:f}/h, known for {age} days and still listed", observed)


def check_leftovers(resources: Sequence[Resource], *, is_group_needed: bool) -> Check:
    """Whether anything of the instance is left; what its state shares may stay while another instance needs it."""
    left = [resource for resource in resources if not (resource.is_shared and is_group_needed)]
    observed: dict[str, Figure] = {"left": [resource.label for resource in left]}
    if left:
        return Check(
            "nothing-left",
            CheckStatus.FAILED,
            f"left behind: {', '.join(resource.label for resource in left)}",
            observed,
        )
    return Check("nothing-left", CheckStatus.OK, "no instance, disk, network part or group is left", observed)


def short_account(account: str) -> str:
    """The last four characters of each part of an account: `…9012`, `…ab12/…cd34`."""
    return "/".join(f"…{part[-4:]}" for part in account.split("/"))


def redacted(text: str, secrets: Collection[str] = ()) -> str:
    """The text without account IDs, subscription IDs, access keys and addresses; `secrets` are further such strings."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = re.sub(re.escape(secret), lambda matching: f"…{matching[0][-4:]}", text, flags=re.IGNORECASE)
    text = _GUID.sub(r"…\1", _TWELVE_DIGITS.sub(r"…\1", text))
    # IPv4 first: an IPv6 address may end in one.
    text = _IPV4.sub("x.x.x.x", _ACCESS_KEY.sub(r"\1…", text))
    return _IPV6.sub(_without_address, text)


def _without_address(match: re.Match[str]) -> str:
    # `::` alone is no address of anybody.
    return match[0] if match[0] == "::" else "x:x::x"


def _missing_tags(resource: Resource, record_id: str, state_id: str) -> list[str]:
    if resource.is_part:
        return []
    required = (STATE,) if resource.is_shared else _REQUIRED
    exact = {ID: record_id, STATE: state_id}
    return [
        key
        for key in required
        if not resource.tags.get(key) or resource.tags[key] != exact.get(key, resource.tags[key])
    ]


def _timer(safeguards: Sequence[Safeguard]) -> Safeguard | None:
    return next((safeguard for safeguard in safeguards if safeguard.is_timer), None)


def _is_in_time(timer: Safeguard, deadline: datetime) -> bool:
    is_set = not timer.is_missing and timer.acts_at is not None
    return is_set and deadline - _TIMER_EARLY <= (timer.acts_at or deadline) <= deadline + _TIMER_LATE


def _timer_figures(timer: Safeguard, deadline: datetime) -> dict[str, Figure]:
    after = int((timer.acts_at - deadline).total_seconds()) if timer.acts_at else None
    return {"status": timer.status.value, "secondsAfterDeadline": after}
