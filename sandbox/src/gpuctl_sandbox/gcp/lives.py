"""The lives of the instances: power, time limits, preemption, what bills, and how an instance ended."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from gpuctl_sandbox.gcp.operations import OperationError
from gpuctl_sandbox.gcp.wire import Json, link, rfc3339
from gpuctl_sandbox.gcp.world import Disk, Instance, World

_BILLING = ("RUNNING", "STOPPING", "PENDING_STOP", "REPAIRING")


def start(instance: Instance, at: datetime) -> None:
    """Let it run from that instant on. The time limit counts from here."""
    instance.status, instance.running_since, instance.stopped_at = "RUNNING", at, None
    instance.limit_at = _limit(instance.scheduling, at)


def stop(world: World, instance: Instance, at: datetime) -> None:
    """Stop it: compute no longer bills, the disk does, and a time limit no longer counts."""
    _settle_bill(instance, at)
    instance.status, instance.stopped_at = "TERMINATED", at
    if not world.conditions.limit_counts_when_stopped:
        instance.limit_at = None


def remove(world: World, instance: Instance, at: datetime) -> None:
    """Take it out of the books with every disk that goes with it; the others stay, and are detached."""
    _settle_bill(instance, at)
    instance.ended_at = at
    world.instances.pop((instance.zone, instance.name), None)
    for disk in instance.disks:
        disk.user = None
        if disk.auto_delete:
            world.disks.pop((disk.zone, disk.name), None)
    world.ended.append(instance)


def fire_limits(world: World) -> None:
    """Do what is due by the time limits, at the time when it was due."""
    for instance in list(world.instances.values()):
        due = instance.limit_at
        if due is None or due > world.now() or instance.status not in ("RUNNING", "TERMINATED"):
            continue
        if instance.protected and _action(instance) == "DELETE":
            continue
        _end_by(world, instance, "deferred", due)


def preempt(world: World, instance: Instance) -> None:
    """Take a spot instance back as its termination action says."""
    if instance.is_spot and instance.status == "RUNNING":
        world.operations.note(f"zones/{instance.zone}", "compute.instances.preempted", instance.target, world.now())
        _apply(world, instance, world.now())


def power_off(world: World, instance: Instance) -> None:
    """Power it off from inside: it stays, stopped, and the termination action is not taken."""
    world.operations.note(f"zones/{instance.zone}", "compute.instances.guestTerminate", instance.target, world.now())
    stop(world, instance, world.now())


def host_error(world: World, instance: Instance) -> None:
    """Let its host fail: it is stopped, and started again where automaticRestart says so."""
    world.operations.note(f"zones/{instance.zone}", "compute.instances.hostError", instance.target, world.now())
    stop(world, instance, world.now())
    if instance.scheduling["automaticRestart"]:
        world.operations.note(
            f"zones/{instance.zone}", "compute.instances.automaticRestart", instance.target, world.now()
        )
        start(instance, world.now())


def cancel_creation(world: World, instance: Instance) -> None:
    """End an insert that is under way because the instance is being deleted."""
    error = OperationError(
        "RESOURCE_OPERATION_ABORTED", f"The resource '{instance.path}' was deleted while it was created", 409
    )
    world.operations.cancel(instance.operation, error, world.now())


def entry(instance: Instance, now: datetime, ssh_from: Iterable[str] = ()) -> Json:
    """The instance as the sandbox lists it beside those of other clouds."""
    running = 0.0
    if instance.ended_at is None and instance.status in _BILLING and instance.running_since is not None:
        running = (now - instance.running_since).total_seconds()
    name = instance.machine.name + (
        f"+{int(instance.gpus)}x{instance.gpu}" if not instance.machine.gpu and instance.gpu else ""
    )
    return {
        "cloud": "gcp",
        "region": instance.region,
        "zone": instance.zone,
        "id": f"{instance.zone}/{instance.name}",
        "numeric_id": instance.id,
        "state": "terminated" if instance.ended_at else _STATES.get(instance.status, "pending"),
        "instance_type": name,
        "tags": dict(instance.labels),
        "launched_at": _second(instance.made_at),
        "ended_at": _second(instance.ended_at) if instance.ended_at else None,
        "client_token": instance.request_id,
        "gpu_works": instance.image.works_with(instance.gpu),
        "bills": instance.ended_at is None and instance.status in _BILLING,
        "billed_s": round(instance.billed_s + running, 3),
        "ssh_from": list(ssh_from),
    }


def resource_status(instance: Instance) -> Json:
    """`resourceStatus`, with the end that Compute Engine has planned."""
    if instance.limit_at is None:
        return {}
    return {"scheduling": {"terminationTimestamp": rfc3339(instance.limit_at)}}


def attached(instance: Instance, disk: Disk, index: int) -> Json:
    """A disk as its instance shows it."""
    return {
        "kind": "compute#attachedDisk",
        "type": "PERSISTENT",
        "mode": "READ_WRITE",
        "source": link(disk.path),
        "deviceName": "persistent-disk-0" if index == 0 else disk.name,
        "index": index,
        "boot": index == 0,
        "autoDelete": disk.auto_delete,
        "interface": "SCSI",
        "diskSizeGb": str(disk.size_gb),
        "architecture": instance.image.arch,
    }


_STATES = {"RUNNING": "running", "TERMINATED": "stopped", "SUSPENDED": "stopped", "STOPPING": "stopping"}


def _limit(scheduling: Json, at: datetime) -> datetime | None:
    if "maxRunDuration" in scheduling:
        return at + timedelta(seconds=int(scheduling["maxRunDuration"]["seconds"]))
    if "terminationTime" in scheduling:
        return datetime.fromisoformat(scheduling["terminationTime"])
    return None


def _end_by(world: World, instance: Instance, cause: str, at: datetime) -> None:
    kind = "Delete" if _action(instance) == "DELETE" else "Stop"
    if kind == "Stop" and instance.status == "TERMINATED":
        instance.limit_at = None
        return
    world.operations.note(f"zones/{instance.zone}", f"compute.instances.{cause}{kind}", instance.target, at)
    _apply(world, instance, at)


def _apply(world: World, instance: Instance, at: datetime) -> None:
    if _action(instance) == "DELETE":
        remove(world, instance, at)
    else:
        stop(world, instance, at)


def _action(instance: Instance) -> str:
    return str(instance.scheduling.get("instanceTerminationAction", "STOP"))


def _settle_bill(instance: Instance, at: datetime) -> None:
    if instance.status in _BILLING and instance.running_since is not None:
        instance.billed_s += (at - instance.running_since).total_seconds()
    instance.running_since = None


def _second(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
