"""What other APIs say of the project: its permissions (Resource Manager) and its billing (Cloud Billing)."""

from werkzeug.wrappers import Response

from gpuctl_sandbox.gcp.conditions import Conditions
from gpuctl_sandbox.gcp.places import NUMBER, PROJECT
from gpuctl_sandbox.gcp.wire import Call, Refusal, reply

_PROJECTS = "/v1/projects/"
_PERMISSIONS, _BILLING = ":testIamPermissions", "/billingInfo"


def owns(path: str) -> bool:
    """Whether a path is one of these APIs'."""
    return path.startswith(_PROJECTS) and path.endswith((_PERMISSIONS, _BILLING))


def performed(call: Call, conditions: Conditions) -> tuple[str, Response]:
    """The method of the call and its reply. Refused for another project."""
    project, is_billing = call.path[len(_PROJECTS) :], call.path.endswith(_BILLING)
    project = project.removesuffix(_BILLING).removesuffix(_PERMISSIONS)
    may_read = not is_billing or conditions.grants("resourcemanager.projects.get")
    if project not in (PROJECT, NUMBER) or not may_read:
        raise Refusal(403, "forbidden", "The caller does not have permission")
    if is_billing:
        account = {"billingAccountName": "billingAccounts/000000-000000-000000", "billingEnabled": True}
        info = {"name": f"projects/{PROJECT}/billingInfo", "projectId": PROJECT}
        return "projects.getBillingInfo", reply(info | (account if conditions.billing == "on" else {}))
    permissions = (call.body or {}).get("permissions", [])
    held = [name for name in permissions if conditions.grants(name)]
    return "projects.testIamPermissions", reply({"permissions": held} if held else {})
