"""The times of the machines: moto asks the system for them, here they follow the cloud's own clock."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.ec2.models.instances import StateReason

from gpuctl_sandbox.aws.groups import ssh_from
from gpuctl_sandbox.aws.images import gpu_works
from gpuctl_sandbox.fidelity import Rule

# AWS shows what has ended for about an hour more, then knows neither the machine nor its id. Its tags go earlier.
VANISHES_AFTER = timedelta(hours=1)
TAGS_VANISH_AFTER = timedelta(minutes=1)

RULES = (
    Rule(
        "AWS",
        "tags of terminated instances",
        "An instance shows no tags from one minute after its end; listings by tag no longer contain it.",
        "EC2 user guide, Terminate Amazon EC2 instances: tags are gradually disassociated. The minute is assumed",
        "documented",
    ),
    Rule(
        "AWS",
        "reason of a power-off",
        "An instance that powers itself off has StateReason `Client.InstanceInitiatedShutdown` and a "
        "StateTransitionReason `User initiated` without a time.",
        "captured DescribeInstances replies in public issues, cloud-custodian/cloud-custodian#6924 among them",
        "reported",
    ),
)


@dataclass(frozen=True)
class Cause:
    """Who stopped or ended a machine, as AWS tells it in StateTransitionReason and StateReason."""

    initiator: str
    code: str
    message: str
    is_dated: bool = True


USER = Cause("User initiated", "Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown")
SPOT = Cause(
    "Service initiated", "Server.SpotInstanceTermination", "Server.SpotInstanceTermination: Spot instance termination"
)
ITSELF = Cause(
    "User initiated",
    "Client.InstanceInitiatedShutdown",
    "Client.InstanceInitiatedShutdown: Instance initiated shutdown",
    is_dated=False,
)


@dataclass(frozen=True)
class _Life:
    state: str
    since: datetime
    cause: Cause = USER


class Lives:
    """When each machine was launched, changed its state and ended; and those that no longer show in any listing."""

    def __init__(self) -> None:
        self._lives: dict[str, _Life] = {}
        self._vanished: list[dict[str, Any]] = []
        self._tags: dict[str, dict[str, str]] = {}  # of those whose tags AWS no longer shows

    def settle(self, backend: Any, now: datetime, cause: Cause = USER) -> None:
        """Give what happened in one region since the last call its time, and let go of what ended an hour ago.

        To be called after everything that may change a machine, and before everything that shows one.
        """
        for reservation in list(backend.reservations.values()):
            for instance in list(reservation.instances):
                before = self._lives.get(instance.id)
                lifecycle = _lived(before, instance.state, now, cause)
                self._lives[instance.id] = lifecycle
                if lifecycle != before or lifecycle.state != "running":
                    _write_times(instance, before, lifecycle, backend)
                if lifecycle.state == "terminated" and now - lifecycle.since >= TAGS_VANISH_AFTER:
                    self._tags.setdefault(instance.id, dict(backend.tags.get(instance.id, {})))
                    backend.tags.pop(instance.id, None)
                if lifecycle.state == "terminated" and now - lifecycle.since >= VANISHES_AFTER:
                    self._vanished.append(self._entry(instance, backend))
                    reservation.instances.remove(instance)
            if not reservation.instances:
                del backend.reservations[reservation.id]

    def powered_off_at(self, instance_id: str) -> datetime | None:
        """When that instance ended by powering itself off; None where it did not."""
        lifecycle = self._lives.get(instance_id)
        return (
            lifecycle.since
            if lifecycle is not None and lifecycle.cause is ITSELF and lifecycle.state == "terminated"
            else None
        )

    def instances(self, backends: list[Any]) -> list[dict[str, Any]]:
        """Every machine there ever was in these regions, oldest first, as plain values."""
        shown = [self._entry(instance, backend) for backend in backends for instance in backend.all_instances()]
        return sorted(self._vanished + shown, key=lambda entry: (entry["launched_at"], entry["id"]))

    def _entry(self, instance: Any, backend: Any) -> dict[str, Any]:
        lifecycle = self._lives[instance.id]
        return {
            "cloud": "aws",
            "region": backend.region_name,
            "id": instance.id,
            "state": instance.state,
            "instance_type": instance.instance_type,
            "tags": self._tags.get(instance.id) or dict(backend.tags.get(instance.id, {})),
            "launched_at": f"{instance.launch_time:%Y-%m-%dT%H:%M:%SZ}",
            "ended_at": f"{lifecycle.since:%Y-%m-%dT%H:%M:%SZ}" if lifecycle.state == "terminated" else None,
            "client_token": instance.client_token,
            "gpu_works": gpu_works(backend, instance.image_id, instance.instance_type),
            "ssh_from": ssh_from(instance, backend),
        }


def _lived(before: _Life | None, state: str, now: datetime, cause: Cause) -> _Life:
    if before is None:
        return _Life(state, now)
    # The first end counts: moto moves it when a machine is terminated again.
    return before if state == before.state else replace(before, state=state, since=now, cause=cause)


def _write_times(instance: Any, before: _Life | None, lifecycle: _Life, backend: Any) -> None:
    moment = lifecycle.since.astimezone(UTC).replace(tzinfo=None, microsecond=0)
    if before is None:
        for interface in instance.network_interfaces:
            interface.attach_time = moment
        for _, device in instance.get_block_device_mapping:
            device.attach_time = moment
            backend.volumes[device.volume_id].create_time = moment
            backend.volumes[device.volume_id].attachment.attach_time = moment
    if lifecycle.state == "running" and lifecycle != before:
        instance.launch_time = moment
    if lifecycle.state in ("stopped", "terminated"):
        when = f" ({moment:%Y-%m-%d %H:%M:%S} GMT)" if lifecycle.cause.is_dated else ""
        instance._reason = f"{lifecycle.cause.initiator}{when}"
        instance.state_reason = StateReason(lifecycle.cause.message, lifecycle.cause.code)
    if lifecycle.state == "terminated" and lifecycle != before:
        _leave_nothing_behind(instance, backend)


def _leave_nothing_behind(instance: Any, backend: Any) -> None:
    for interface in instance.network_interfaces:
        # It is gone, and moto would refuse a second termination of the machine for want of it.
        interface.delete_on_termination = False
    for resource in [name for name in backend.tags if name.startswith(("eni-", "vol-"))]:
        if resource not in backend.enis and resource not in backend.volumes:
            del backend.tags[resource]
