"""The control paths of the emulated Google Cloud, `/gpuctl-sandbox/gcp/...`: what exists, power-off, host errors,
settings and faults."""

from werkzeug.wrappers import Request

from gpuctl_sandbox.gcp.cloud import ComputeCloud
from gpuctl_sandbox.gcp.wire import Refusal, read_call


def control(cloud: ComputeCloud, method: str, action: str, request: Request) -> tuple[object, int] | None:
    """See `Row`: GET `resources` (everything that exists and whether it bills), POST `shutdown?id=` (power an instance
    off from inside) and `host-error?id=`, POST of JSON to `settings`, `faults` or `finish` (see `conditions.py`)."""
    if (method, action) == ("GET", "resources"):
        return cloud.resources(), 200
    if method != "POST":
        return None
    if action in ("shutdown", "host-error"):
        befall = cloud.power_off if action == "shutdown" else cloud.host_error
        is_done = befall(request.args.get("id", ""))
        return {"done": is_done}, 200 if is_done else 404
    try:
        done = cloud.set_up(action, read_call(request.environ).body or {})
    except Refusal as refusal:
        return {"error": refusal.message}, 400
    return None if done is None else (done, 200)
