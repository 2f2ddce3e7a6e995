"""The machine types and accelerators of the emulated cloud, and which disks fit them."""

from dataclasses import dataclass
from functools import cache

from gpuctl_sandbox.gcp.wire import Json, link

_PD = ("pd-standard", "pd-balanced", "pd-ssd")


@dataclass(frozen=True)
class MachineType:
    """One type. `gpus` of model `gpu` come with it; `metric` names the GPU quota, empty where Compute has none.

    `disks` are the types of boot disk that fit; `only_spot`: not sold as a plain standard instance.
    """

    name: str
    vcpus: int
    memory_mb: int
    gpu: str = ""
    gpus: float = 0
    metric: str = ""
    disks: tuple[str, ...] = _PD
    arch: str = "X86_64"
    only_spot: bool = False

    @cache  # noqa: B019 - types are few and live as long as the process
    def shown(self, project: str, zone: str) -> Json:
        """The type as a reply has it."""
        path = f"projects/{project}/zones/{zone}/machineTypes/{self.name}"
        entry: Json = {
            "kind": "compute#machineType",
            "id": str(801_000 + sum(map(ord, self.name))),
            "creationTimestamp": "1969-12-31T16:00:00.000-08:00",
            "name": self.name,
            "description": f"{self.vcpus} vCPUs, {self.memory_mb // 1024} GB RAM",
            "guestCpus": self.vcpus,
            "memoryMb": self.memory_mb,
            "imageSpaceGb": 0,
            "maximumPersistentDisks": 128,
            "maximumPersistentDisksSizeGb": "263168",
            "zone": zone,
            "selfLink": link(path),
            "isSharedCpu": False,
            "architecture": self.arch,
        }
        if self.gpu:
            entry["accelerators"] = [
                {"guestAcceleratorType": self.gpu, "guestAcceleratorCount": max(1, int(self.gpus))}
            ]
        return entry


@dataclass(frozen=True)
class Accelerator:
    """A GPU that can be attached to an N1 machine, in one of the `counts`, each with at most `vcpus` per GPU."""

    name: str
    metric: str
    counts: tuple[int, ...]
    vcpus: int

    def shown(self, project: str, zone: str) -> Json:
        path = f"projects/{project}/zones/{zone}/acceleratorTypes/{self.name}"
        return {
            "kind": "compute#acceleratorType",
            "id": str(10_000 + sum(map(ord, self.name))),
            "creationTimestamp": "1969-12-31T16:00:00.000-08:00",
            "name": self.name,
            "description": self.name,
            "zone": link(f"projects/{project}/zones/{zone}"),
            "selfLink": link(path),
            "maximumCardsPerInstance": max(self.counts),
        }


# https://cloud.google.com/compute/docs/gpus: what may be attached to N1 machines.
ACCELERATORS = {
    accelerator.name: accelerator
    for accelerator in (
        Accelerator("nvidia-tesla-t4", "NVIDIA_T4_GPUS", (1, 2, 4), 48),
        Accelerator("nvidia-tesla-p4", "NVIDIA_P4_GPUS", (1, 2, 4), 24),
        Accelerator("nvidia-tesla-p100", "NVIDIA_P100_GPUS", (1, 2, 4), 32),
        Accelerator("nvidia-tesla-v100", "NVIDIA_V100_GPUS", (1, 2, 4, 8), 12),
    )
}

_HYPERDISK = ("hyperdisk-balanced",)
_BALANCED = ("pd-balanced", "pd-ssd")
# A line opens a family: GPU, quota metric (- for none), disks, and S where it is not sold as a standard instance or R
# where it is Arm. The types follow as name:vCPUs:GiB:GPUs.
_TABLE = """\
nvidia-tesla-a100|NVIDIA_A100_GPUS|pd|-
a2-highgpu-1g:12:85:1 a2-highgpu-2g:24:170:2 a2-highgpu-4g:48:340:4 a2-highgpu-8g:96:680:8 a2-megagpu-16g:96:1360:16
nvidia-a100-80gb|NVIDIA_A100_80GB_GPUS|balanced|-
a2-ultragpu-1g:12:170:1 a2-ultragpu-2g:24:340:2 a2-ultragpu-4g:48:680:4 a2-ultragpu-8g:96:1360:8
nvidia-h100-80gb|-|balanced|-
a3-highgpu-8g:208:1872:8 a3-edgegpu-8g:208:1872:8 a3-edgegpu-8g-nolssd:208:1872:8
nvidia-h100-80gb|-|balanced|S
a3-highgpu-1g:26:234:1 a3-highgpu-2g:52:468:2 a3-highgpu-4g:104:936:4
nvidia-h100-mega-80gb|-|balanced|-
a3-megagpu-8g:208:1872:8
nvidia-h200-141gb|-|hyperdisk|S
a3-ultragpu-8g:224:2952:8 a3-ultragpu-8g-nolssd:224:2952:8
nvidia-b200|-|hyperdisk|S
a4-highgpu-8g:224:3968:8
nvidia-gb200|-|hyperdisk|SR
a4x-highgpu-4g:140:884:4
nvidia-gb300|-|hyperdisk|SR
a4x-maxgpu-4g-metal:144:960:4
nvidia-l4|NVIDIA_L4_GPUS|balanced|-
g2-standard-4:4:16:1 g2-standard-8:8:32:1 g2-standard-12:12:48:1 g2-standard-16:16:64:1 g2-standard-24:24:96:2
g2-standard-32:32:128:1 g2-standard-48:48:192:4 g2-standard-96:96:384:8
nvidia-rtx-pro-6000|-|hyperdisk|-
g4-standard-6:6:22:0.125 g4-standard-12:12:45:0.25 g4-standard-24:24:90:0.5 g4-standard-48:48:180:1
g4-standard-96:96:360:2 g4-standard-192:192:720:4 g4-standard-384:384:1440:8
|-|pd|-
n1-standard-1:1:3.75:0 n1-standard-2:2:7.5:0 n1-standard-4:4:15:0 n1-standard-8:8:30:0 n1-standard-16:16:60:0
n1-standard-32:32:120:0 n1-standard-64:64:240:0 n1-standard-96:96:360:0 e2-medium:2:4:0 e2-standard-4:4:16:0"""


def _read(table: str) -> dict[str, MachineType]:
    types = {}
    for line in table.splitlines():
        if "|" in line:
            gpu, metric, disks, flags = line.split("|")
            fitting = {"pd": _PD, "balanced": _BALANCED, "hyperdisk": _HYPERDISK}[disks]
        for item in line.split() if "|" not in line else ():
            name, vcpus, gib, gpus = item.split(":")
            types[name] = MachineType(
                name,
                int(vcpus),
                int(float(gib) * 1024),
                gpu,
                float(gpus),
                metric.strip("-"),
                fitting,
                "ARM64" if "R" in flags else "X86_64",
                "S" in flags,
            )
    return types


TYPES = _read(_TABLE)
