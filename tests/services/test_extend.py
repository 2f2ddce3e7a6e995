"""Two extensions of one instance at the same time, on one computer or on two: none is lost that was granted."""

from dataclasses import replace
from datetime import timedelta

import pytest
from faults.copies import Computer, HeldCloud
from support.clock import FakeClock
from support.fake_cloud import Trouble
from support.instances import NOON
from support.stores import MemoryStore

from gpuctl.domain.tags import EXPIRES_AT, ownership
from gpuctl.errors import UnresolvedError
from gpuctl.services.extend import extend
from gpuctl.services.reconcile.reconcile import refresh, settle
from gpuctl.services.terminate import end_unsaved

MINUTE = timedelta(minutes=1)
MAX_TTL = timedelta(hours=2)
# How many calls `extend` makes before it sends the deadline: the identity, and the tags.
CALLS_BEFORE = 2


@pytest.fixture
def cloud() -> HeldCloud:
    return HeldCloud(FakeClock())


@pytest.fixture
def computer(cloud: HeldCloud) -> Computer:
    """A computer whose state has one instance, which is to be terminated at 13:00."""
    computer = Computer(MemoryStore(), cloud, cloud.clock, MAX_TTL)
    computer.provision()
    return computer


def tagged(cloud: HeldCloud) -> object:
    (machine,) = cloud.instances.values()
    return ownership(machine.tags).expires_at


def test_the_slower_of_two_extensions_fails_and_leaves_the_granted_deadline_in_the_tags(
    cloud: HeldCloud, computer: Computer
) -> None:
    (record,) = computer.store.snapshot().records
    cloud.on_call = CALLS_BEFORE, lambda: computer.extend(40 * MINUTE)
    with pytest.raises(UnresolvedError, match="was changed in the meantime"):
        extend(computer.runtime, record, by=10 * MINUTE, ttl=None)
    assert tagged(cloud) == computer.expires_at == NOON + 100 * MINUTE


def test_a_granted_deadline_that_another_request_replaced_is_written_again(
    cloud: HeldCloud, computer: Computer
) -> None:
    computer.extend(40 * MINUTE)
    (machine,) = cloud.instances.values()
    cloud.set_deadline(machine.region, machine.cloud_id, NOON + 70 * MINUTE)
    (record,) = computer.store.snapshot().records
    assert refresh(computer.runtime, [record.id]) == {}
    assert tagged(cloud) == NOON + 100 * MINUTE


def test_a_granted_deadline_that_cannot_be_written_again_is_an_error(cloud: HeldCloud, computer: Computer) -> None:
    computer.extend(40 * MINUTE)
    (machine,) = cloud.instances.values()
    cloud.set_deadline(machine.region, machine.cloud_id, NOON + 70 * MINUTE)
    (record,) = computer.store.snapshot().records
    # The identity, the listing and the tags are read; the tags cannot be written.
    cloud.troubles = [None, None, None, Trouble.REFUSED]  # type: ignore[list-item]
    settled = settle(computer.runtime, [record.id])
    assert [done.error for done in settled.done] == ["its deadline could not be written to its tags again: no"]


def test_a_deadline_that_another_copy_withdrew_is_not_written_again(cloud: HeldCloud, computer: Computer) -> None:
    (machine,) = cloud.instances.values()
    cloud.set_deadline(machine.region, machine.cloud_id, NOON + 90 * MINUTE)
    computer.reap(sweep=True)
    assert computer.expires_at == NOON + 90 * MINUTE
    cloud.set_deadline(machine.region, machine.cloud_id, NOON + 60 * MINUTE)
    computer.reap(sweep=True)
    assert tagged(cloud) == NOON + 60 * MINUTE


def test_an_extension_has_the_microseconds_of_its_command_in_the_tag(cloud: HeldCloud, computer: Computer) -> None:
    cloud.clock.move(timedelta(microseconds=42))
    assert computer.extend(30 * MINUTE) == NOON + 90 * MINUTE + timedelta(microseconds=42)
    (machine,) = cloud.instances.values()
    assert machine.tags[EXPIRES_AT] == "20261124t133000z-000042"


def test_a_restored_state_terminates_nothing_that_its_tags_do_not_confirm_while_a_command_waits(
    cloud: HeldCloud, computer: Computer
) -> None:
    computer.back_up()
    computer.restore()
    (record,) = computer.store.snapshot().records
    # The record's own deadline has passed for longer than unread tags are waited for, and no query succeeds.
    cloud.clock.move(80 * MINUTE)
    cloud.troubles = [None, *[Trouble.NEVER_ARRIVED] * 4]  # type: ignore[list-item]
    settled = settle(computer.runtime, [record.id])
    assert [done.action.detail for done in settled.done] == [
        "deadline not enforced: the state was restored, and the tags of the instance could not be read since"
    ]
    assert len(cloud.active) == 1
    cloud.troubles = []
    settle(computer.runtime, [record.id])
    assert cloud.active == []


def test_an_adopted_instance_whose_tags_name_another_record_is_not_terminated_without_a_saved_intention(
    cloud: HeldCloud, computer: Computer
) -> None:
    (record,) = computer.store.snapshot().records
    adopted = record.with_fields(id_is_from_create=False)
    (machine,) = cloud.instances.values()
    cloud.instances[machine.cloud_id] = replace(machine, tags={**machine.tags, "gpuctl-id": "inst-zzzzzzzzzzzz"})
    assert list(end_unsaved(computer.runtime, [adopted])) == [record.id]
    assert len(cloud.active) == 1
    cloud.instances[machine.cloud_id] = machine
    assert end_unsaved(computer.runtime, [adopted]) == {}
    assert cloud.active == []
