"""getSerialPortOutput: what the guard of a startup script would have written by now, since no instance boots here."""

from datetime import UTC, datetime, timedelta

from gpuctl_sandbox.gcp.world import Instance

BOOTS_IN = timedelta(minutes=1)
_DEADLINE = "gpuctl-expires-at"


def console_text(instance: Instance, now: datetime) -> str:
    """The console of one instance at `now`; empty until it has booted."""
    until = instance.stopped_at or now
    since = instance.running_since or instance.made_at
    if instance.status not in ("RUNNING", "TERMINATED") or until - since < BOOTS_IN:
        return ""
    lines = ["[    0.000000] Linux version 6.8.0-1040-gcp"]
    if instance.image.runs_scripts and "gpuctl-guard.timer" in instance.metadata.get("startup-script", ""):
        deadline = instance.metadata.get(_DEADLINE)
        lines += [f"gpuctl-guard: armed, ends at {deadline} (metadata)"] if deadline else []
        lines.append(_gpus(instance))
        if instance.stopped_at is not None:
            at = instance.stopped_at.astimezone(UTC)
            lines.append(f"gpuctl-guard: powering off at {at:%Y%m%dt%H%M%Sz}: deadline passed")
    return "".join(f"{line}\r\n" for line in lines)


def _gpus(instance: Instance) -> str:
    if not instance.image.works_with(instance.gpu):
        return "gpuctl-gpu: nvidia-smi fails: No devices were found"
    return f"gpuctl-gpu: {max(1, int(instance.gpus))} x {instance.gpu}, driver {instance.image.driver}"
