"""What proves that an instance is gone, and that an instance is the one of a record.

Absence from a listing is no proof by itself: a provider may not list yet what it has just created, or list nothing at
all.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from gpuctl.domain.instance import CloudState, Instance, LaunchRefusal, Observed, Reason, Status
from gpuctl.domain.tags import ID, STATE, ownership
from gpuctl.errors import Code

LAUNCH_GRACE = timedelta(minutes=5)
ATTEMPT_GRACE = timedelta(minutes=15)
SIGHTINGS_APART = timedelta(seconds=60)
GUARD_GRACE = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Proof:
    """That an instance is gone: when it ended, whether that is an estimate, why, and the status that follows."""

    ended_at: datetime
    is_estimate: bool
    reason: Reason
    status: Status = Status.TERMINATED


def is_the_same_instance(record: Instance, observed: Observed, state_id: str) -> bool:
    """Whether this instance is the one of the record.

    An instance found by our tag must carry the tag of this state. An instance whose ID our create returned stays ours
    without tags if its launch time matches or it has ended; a tag of another record or state means that it is not.
    """
    claimed_id, claimed_state = observed.tags.get(ID), observed.tags.get(STATE)
    if record.cloud_id is None:
        return claimed_id == record.id and claimed_state == state_id
    if claimed_id not in (None, record.id) or claimed_state not in (None, state_id):
        return False
    if not observed.exists:
        # A cloud drops the tags of what has ended, and closing the record changes nothing there.
        return observed.cloud_id == record.cloud_id
    tagged = claimed_id is not None and claimed_state is not None
    untouched = record.launched_at is not None and record.launched_at == observed.launched_at
    return tagged or (record.id_is_from_create and untouched)


def made_at(observed: Observed) -> datetime | None:
    """When the instance, or what was made for it, was created; None where neither the cloud nor the tags show that."""
    return observed.launched_at or ownership(observed.tags).created_at


def is_of_another_copy(record: Instance, observed: Observed, now: datetime | None) -> bool:
    """Whether another copy of this state has created the instance of a record that has ended here without one.

    A create of this copy shows within 15 min of the last attempt; the deadline in the tags has not passed yet.
    """
    created, expires_at = made_at(observed), ownership(observed.tags).expires_at
    if record.cloud_id is not None or now is None or created is None or expires_at is None:
        return False
    return created - record.last_attempt_at >= ATTEMPT_GRACE and now < expires_at


def end_of(record: Instance, observed: Observed, now: datetime | None) -> Proof:
    """The proof that lies in a cloud showing that very instance as ended."""
    if observed.ended_at is not None:
        return Proof(observed.ended_at, False, _reason(record, observed, observed.ended_at))
    return _estimated_proof(record, record.absent_since or now or record.updated_at, observed)


def launch_failure(record: Instance, observed: Observed) -> LaunchRefusal | None:
    """Why the provider could not start the record's instance after it had accepted the create; None if it still may.

    `observed` is that very instance. None as well for an instance that came up, or that somebody decided to terminate.
    """
    if record.status is not Status.CONFIGURING or record.booted_at is not None:
        return None
    if observed.state not in (CloudState.ENDED, CloudState.FAILED):
        return None
    if observed.refusal is None and observed.end_reason is Reason.INTERRUPTED:
        return LaunchRefusal(code=Code.CAPACITY, text="the provider took the spot instance back while it was starting")
    return observed.refusal


def absence_proves(record: Instance, *, listed_at: datetime, now: datetime | None) -> Proof | None:
    """The proof that lies in an instance missing from this complete listing and unknown when asked for by itself.

    None unless it was missing already from a complete listing at least 60 s before, and is 5 min past its launch, or
    15 min past its last attempt where no launch is known.
    """
    if now is None or record.absent_since is None or listed_at - record.absent_since < SIGHTINGS_APART:
        return None
    if record.launched_at is not None:
        if now - record.launched_at < LAUNCH_GRACE:
            return None
        return _estimated_proof(record, record.absent_since, None)
    if now - record.last_attempt_at < ATTEMPT_GRACE:
        return None
    if record.cloud_id is None and record.status is Status.PROVISIONING:
        return Proof(listed_at, False, Reason.ABANDONED, Status.FAILED)
    return Proof(listed_at, False, record.reason or Reason.VANISHED)


def _estimated_proof(record: Instance, first_missed: datetime, observed: Observed | None) -> Proof:
    # The timer on the instance acts 2 min past the deadline, so it did not bill later than that.
    ended_at = min(first_missed, record.expires_at + GUARD_GRACE)
    if record.launched_at is not None:
        ended_at = max(ended_at, record.launched_at)
    return Proof(ended_at, True, _reason(record, observed, ended_at))


def _reason(record: Instance, observed: Observed | None, ended_at: datetime) -> Reason:
    if record.reason is not None:
        return record.reason
    if observed is not None and observed.end_reason is not None:
        return observed.end_reason
    if observed is not None and observed.refusal is not None and record.booted_at is None and record.ready_at is None:
        return Reason.REFUSED
    return Reason.EXPIRED if ended_at >= record.expires_at else Reason.VANISHED
