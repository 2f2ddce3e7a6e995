"""The control paths of the emulated AWS, `/gpuctl-sandbox/aws/...`: its settings, its volumes, and power-off."""

from werkzeug.wrappers import Request

from gpuctl_sandbox.aws.cloud import AwsCloud
from gpuctl_sandbox.aws.conditions import read_settings


def control(cloud: AwsCloud, method: str, action: str, request: Request) -> tuple[object, int] | None:
    """See `Row`: POST `settings` (see `conditions.py`) and `power-off?id=`, GET `volumes`."""
    match method, action:
        case "GET", "volumes":
            return cloud.volumes(), 200
        case "POST", "power-off":
            is_off = cloud.power_off(request.args.get("id", ""))
            return {"off": is_off}, 200 if is_off else 404
        case "POST", "settings":
            try:
                cloud.set_up(read_settings(request.get_data()))
            except ValueError as error:
                return {"error": str(error)}, 400
            return {"done": "settings"}, 200
    return None
