"""The rules of the emulated Azure and their sources, for docs/fidelity.md."""

from gpuctl_sandbox.azure.fidelity_create import RULES as OF_CREATING
from gpuctl_sandbox.azure.fidelity_timer import RULES as OF_TIMERS
from gpuctl_sandbox.azure.firewall import RULES as FIREWALL_RULES
from gpuctl_sandbox.azure.guests import RULES as GUESTS
from gpuctl_sandbox.azure.workflows import RULES as OF_WORKFLOWS
from gpuctl_sandbox.fidelity import Rule

RULES: tuple[Rule, ...] = (
    *FIREWALL_RULES,
    Rule(
        "Azure",
        "deleting a resource group deletes what is in it",
        "A DELETE of a resource group is accepted with 202 and removes every resource in the group.",
        "Azure REST API, Resource Groups - Delete",
        "documented",
    ),
    *OF_CREATING,
    *OF_TIMERS,
    *GUESTS,
    *OF_WORKFLOWS,
)
