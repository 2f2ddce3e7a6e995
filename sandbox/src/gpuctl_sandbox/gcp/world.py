"""What every part of the cloud shares: the books, the operations, the conditions and the clock."""

import hashlib
import json
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gpuctl_sandbox.gcp.conditions import Conditions
from gpuctl_sandbox.gcp.images import Image
from gpuctl_sandbox.gcp.machinetypes import MachineType
from gpuctl_sandbox.gcp.operations import Operation, Operations, Target
from gpuctl_sandbox.gcp.places import PROJECT, ZONES
from gpuctl_sandbox.gcp.wire import Call, Json, link, rfc3339


@dataclass
class Disk:
    """One persistent disk. `user` is the path of the instance it is attached to."""

    zone: str
    name: str
    id: str
    made_at: datetime
    size_gb: int
    kind: str
    image: str
    labels: dict[str, str]
    user: str | None = None
    auto_delete: bool = False

    @property
    def path(self) -> str:
        return f"projects/{PROJECT}/zones/{self.zone}/disks/{self.name}"

    def shown(self) -> Json:
        entry: Json = {
            "kind": "compute#disk",
            "id": self.id,
            "creationTimestamp": rfc3339(self.made_at),
            "name": self.name,
            "sizeGb": str(self.size_gb),
            "zone": link(f"projects/{PROJECT}/zones/{self.zone}"),
            "status": "READY",
            "selfLink": link(self.path),
            "type": link(f"projects/{PROJECT}/zones/{self.zone}/diskTypes/{self.kind}"),
            "labelFingerprint": fingerprint(self.labels),
            "physicalBlockSizeBytes": "4096",
        }
        if self.image:
            entry["sourceImage"] = link(self.image)
        if self.labels:
            entry["labels"] = dict(self.labels)
        if self.user is not None:
            entry["users"] = [link(self.user)]
        return entry


@dataclass
class Instance:
    """One instance: what was requested, and what it is now. Times are those of the cloud's clock."""

    zone: str
    name: str
    id: str
    made_at: datetime
    request: Json
    machine: MachineType
    gpu: str
    gpus: float
    image: Image
    disks: list[Disk]
    labels: dict[str, str]
    metadata: dict[str, str]
    tags: list[str]
    network: str
    public_ip: str | None
    private_ip: str
    scheduling: Json
    request_id: str | None = None
    status: str = "PROVISIONING"
    protected: bool = False
    operation: Operation | None = None
    running_since: datetime | None = None
    stopped_at: datetime | None = None
    ended_at: datetime | None = None
    limit_at: datetime | None = None
    billed_s: float = 0.0

    @property
    def path(self) -> str:
        return f"projects/{PROJECT}/zones/{self.zone}/instances/{self.name}"

    @property
    def region(self) -> str:
        return ZONES[self.zone]

    @property
    def target(self) -> Target:
        return Target(self.id, self.path)

    @property
    def is_spot(self) -> bool:
        return bool(self.scheduling["provisioningModel"] == "SPOT")


@dataclass
class World:
    """One cloud's whole state. `ended` are the instances that are no more."""

    now: Callable[[], datetime]
    operations: Operations = field(default_factory=Operations)
    conditions: Conditions = field(default_factory=Conditions)
    instances: dict[tuple[str, str], Instance] = field(default_factory=dict)
    disks: dict[tuple[str, str], Disk] = field(default_factory=dict)
    firewalls: dict[str, Json] = field(default_factory=dict)
    ended: list[Instance] = field(default_factory=list)
    numbers: int = 4_100_000_000_000_000_000

    def number(self) -> str:
        """A new numeric id: no two resources ever had the same."""
        self.numbers += 7
        return str(self.numbers)

    def begin(self, call: Call, scope: str, kind: str, target: Target, finish: Callable[[], None]) -> Operation:
        """Start the operation that this call asks for; a fault may hold or hide it."""
        fault = self.conditions.take(call, ("StuckOperation", "LostOperation"))
        code = fault.code if fault is not None else ""
        polls = None if code == "StuckOperation" else self.conditions.polls
        operation = Operation(scope, kind, target, self.now(), finish, polls, is_lost=code == "LostOperation")
        return self.operations.begin(operation)

    def is_listed(self, made_at: datetime) -> bool:
        """Whether lists contain what was made then."""
        return (self.now() - made_at).total_seconds() >= self.conditions.listing_lag_s

    def is_found(self, made_at: datetime) -> bool:
        """Whether a GET by name finds what was made then."""
        return (self.now() - made_at).total_seconds() >= self.conditions.lookup_lag_s


def fingerprint(value: Any) -> str:
    """The fingerprint of labels, tags or metadata: it changes with them."""
    text = json.dumps(value, sort_keys=True).encode()
    return b64encode(hashlib.sha256(text).digest()[:9]).decode()
