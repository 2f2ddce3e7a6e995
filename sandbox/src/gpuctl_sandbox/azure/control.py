"""The control paths of the emulated Azure, `/gpuctl-sandbox/azure/...`: what exists, power-off, settings and faults."""

from werkzeug.wrappers import Request

from gpuctl_sandbox.azure.cloud import ArmCloud
from gpuctl_sandbox.azure.wire import Refusal, read_call


def control(cloud: ArmCloud, method: str, action: str, request: Request) -> tuple[object, int] | None:
    """See `Row`: GET `resources` (everything that exists and whether it bills), POST `shutdown?id=` (power an instance
    off from inside), and POST of JSON to `settings`, `faults` or `finish` (see `conditions.py`)."""
    if (method, action) == ("GET", "resources"):
        return cloud.resources(), 200
    if (method, action) == ("POST", "shutdown"):
        is_off = cloud.power_off(request.args.get("id", ""))
        return {"shutdown": is_off}, 200 if is_off else 404
    if method != "POST":
        return None
    try:
        done = cloud.set_up(action, read_call(request.environ).body or {})
    except Refusal as refusal:
        return {"error": refusal.message}, 400
    return None if done is None else (done, 200)
