"""The checks on a running instance, in the order they run. Each raises GpuctlError where it could not observe."""

from collections.abc import Callable, Sequence
from datetime import timedelta

from gpuctl.domain.safeguards import Safeguard, SafeguardStatus
from gpuctl.domain.selftest import (
    Check,
    CheckStatus,
    judge_extend,
    judge_gpu,
    judge_listing,
    judge_price,
    judge_replay,
    judge_tags,
    judge_timer,
    judge_timer_running,
)
from gpuctl.errors import GpuctlError
from gpuctl.services.extend import extend
from gpuctl.services.safeguards import read_back
from gpuctl.services.selftest.planning import EXTEND_BY
from gpuctl.services.selftest.subject import Subject

LISTED_WITHIN = timedelta(minutes=2)
REACHED_WITHIN = timedelta(minutes=5)
SEEN_WITHIN = timedelta(minutes=6)
MOVED_WITHIN = timedelta(minutes=3)
POLL_EVERY, QUERY_EVERY, LOOK_EVERY = timedelta(seconds=1), timedelta(seconds=15), timedelta(seconds=30)
_GPUS = "nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader\n"
_UNIT = "systemctl is-active gpuctl-guard.timer\n"


def listing(subject: Subject) -> Check:
    """How long after the create reply the listing by tag shows the instance."""
    record, cloud_id = subject.record, subject.cloud_id
    while True:
        listed = subject.provider.list_instances(record.region)
        if any(observed.cloud_id == cloud_id for observed in listed):
            return judge_listing(subject.elapsed.total_seconds(), LISTED_WITHIN)
        if subject.elapsed >= LISTED_WITHIN:
            return judge_listing(None, LISTED_WITHIN)
        subject.runtime.clock.sleep(POLL_EVERY)


def tags(subject: Subject) -> Check:
    """Whether every resource carries our tags."""
    state_id = subject.runtime.store.snapshot().state_id or ""
    return judge_tags(subject.resources(), subject.record_id, state_id)


def timer(subject: Subject) -> Check:
    """Whether the shutdown timer is set for the deadline."""
    return judge_timer(_safeguards(subject), subject.record.expires_at)


def timer_running(subject: Subject) -> Check:
    """Whether the timer on the instance runs, by its console or by its systemd unit."""
    if subject.means.no_boot is not None:
        return Check("timer-running", CheckStatus.SKIPPED, subject.means.no_boot)
    if not subject.provider.capabilities.timer_in_create:
        text = "the timer is a schedule of the provider: nothing of it runs on the instance"
        return Check("timer-running", CheckStatus.SKIPPED, text)
    started = subject.runtime.clock.elapsed()
    while True:
        safeguards, unit = _safeguards(subject), _unit(subject)
        runs = any(safeguard.is_timer and safeguard.status is SafeguardStatus.VERIFIED for safeguard in safeguards)
        if runs or unit == "active" or subject.runtime.clock.elapsed() - started >= SEEN_WITHIN:
            return judge_timer_running(safeguards, unit)
        subject.runtime.clock.sleep(LOOK_EVERY)


def ssh(subject: Subject) -> Check:
    """Whether ssh reaches the instance with the key it was given."""
    if (reason := subject.no_ssh) is not None:
        return Check("ssh", CheckStatus.SKIPPED, reason)
    started = subject.runtime.clock.elapsed()
    while True:
        waited = subject.runtime.clock.elapsed() - started
        try:
            reply = subject.means.ask(subject.record, "exit 0\n")
        except GpuctlError as error:
            if waited >= REACHED_WITHIN:
                subject.ssh_failed = True
                return Check("ssh", CheckStatus.FAILED, error.message)
            subject.runtime.clock.sleep(QUERY_EVERY)
            continue
        seconds = round(subject.elapsed.total_seconds(), 1)
        if reply.code == 0:
            return Check("ssh", CheckStatus.OK, f"reached {seconds} s after the create", {"afterCreate": seconds})
        return Check("ssh", CheckStatus.FAILED, f"the remote shell exits with {reply.code}", {"exitCode": reply.code})


def gpu(subject: Subject) -> Check:
    """Whether the instance sees the GPUs of its type."""
    if (reason := subject.no_ssh) is not None:
        return Check("gpu", CheckStatus.SKIPPED, reason)
    reply = subject.means.ask(subject.record, _GPUS)
    return judge_gpu(reply.out.decode(errors="replace"), reply.code, subject.kind)


def replay(subject: Subject) -> Check:
    """Send the create request again, as after a lost reply, and look for a second instance.

    A second instance is terminated at once.
    """
    record, cloud_id = subject.record, subject.cloud_id
    may_retry = subject.provider.create(subject.order())
    existing = [observed.cloud_id for observed in subject.provider.find(record.region, record.id) if observed.exists]
    surplus = sorted({may_retry.cloud_id, *existing} - {cloud_id})
    if surplus:
        subject.provider.terminate(record.region, surplus)
    return judge_replay(cloud_id, may_retry.cloud_id, existing)


def extension(subject: Subject) -> Check:
    """Move the deadline, then read back its tag and the timer."""
    before = subject.record
    moved = extend(subject.runtime, before, by=EXTEND_BY, ttl=None, allow_unknown_price=True)
    had_timer = any(safeguard.is_timer and not safeguard.is_missing for safeguard in before.safeguards)
    started = subject.runtime.clock.elapsed()
    while True:
        observed = subject.provider.get(moved.region, subject.cloud_id)
        observed_tags = observed.tags if observed else {}
        safeguards = _safeguards(subject)
        check = judge_extend(before.expires_at, moved.expires_at, observed_tags, safeguards, had_timer=had_timer)
        # The guard reads the tag once a minute, and its console shows the old deadline until then.
        if check.status is CheckStatus.OK or subject.runtime.clock.elapsed() - started >= MOVED_WITHIN:
            return check
        subject.runtime.clock.sleep(LOOK_EVERY)


def price(subject: Subject) -> Check:
    """Whether the provider still publishes the price that the record was given."""
    if subject.means.no_price_list is not None:
        return Check("price", CheckStatus.SKIPPED, subject.means.no_price_list)
    record = subject.record
    return judge_price(record.price, subject.means.listed_price(record), subject.runtime.clock.now().date())


ON_INSTANCE: Sequence[tuple[str, Callable[[Subject], Check]]] = (
    ("tags", tags),
    ("timer", timer),
    ("ssh", ssh),
    ("gpu", gpu),
    ("timer-running", timer_running),
    ("replay", replay),
    ("extend", extension),
    ("price", price),
)


def _safeguards(subject: Subject) -> Sequence[Safeguard]:
    """What protects the instance, read back from the provider now and kept in its record."""
    for error in read_back(subject.runtime, [subject.record]).values():
        raise error
    return subject.record.safeguards


def _unit(subject: Subject) -> str | None:
    if subject.no_ssh is not None:
        return None
    try:
        reply = subject.means.ask(subject.record, _UNIT)
    except GpuctlError:
        return None
    return reply.out.decode(errors="replace").strip() or None
