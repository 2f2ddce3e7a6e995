"""The table of commands: module, summary, and the heading of help under which each is listed."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One command's row; its module is imported only when the command runs or its help is shown.

    `only_reads`: the command changes nothing, so without its output it has failed. `warns_if_overdue`: it says when the
    installed reaper does not run; the others report on the schedule themselves, or use no state.
    """

    module: str
    summary: str
    heading: str
    only_reads: bool = False
    warns_if_overdue: bool = True


_INSTANCES, _ACCESS, _COST, _SETUP = "Instances", "Access and lifecycle", "Prices and cost", "Setup and maintenance"

COMMANDS = {
    "provision": Entry("provision.command", "Start a GPU instance and wait until it is ready", _INSTANCES),
    "get": Entry("get", "Show one instance", _INSTANCES, only_reads=True),
    "run": Entry("run.command", "Run a command on a temporary instance", _INSTANCES),
    "list": Entry("list.command", "List instances with cost and time left", _INSTANCES, only_reads=True),
    "terminate": Entry("terminate", "Terminate instances", _INSTANCES),
    "stats": Entry("stats.command", "Show usage, cost and savings", _INSTANCES, only_reads=True),
    "reap": Entry("reap", "Terminate expired and orphaned instances (for cron)", _INSTANCES, warns_if_overdue=False),
    "extend": Entry("extend", "Extend the deadline of an instance", _ACCESS),
    "wait": Entry("wait", "Wait until instances are ready or terminated", _ACCESS),
    "events": Entry("events", "Show or follow the event log", _ACCESS, only_reads=True),
    "ssh": Entry("ssh", "Open an SSH session or run a remote command", _ACCESS),
    "ssh-config": Entry("ssh_config", "Add your instances to the SSH config", _ACCESS),
    "types": Entry("types", "List GPU instance types and prices", _COST, only_reads=True),
    "estimate": Entry("estimate", "Estimate savings over an always-on instance", _COST, only_reads=True),
    "recommend": Entry("recommend", "Recommend an instance type and TTL for a task", _COST, only_reads=True),
    "prices": Entry("prices.command", "Show or refresh price data", _COST),
    "schedule": Entry("schedule.command", "Run the reaper from cron or systemd", _SETUP, warns_if_overdue=False),
    "doctor": Entry(
        "doctor", "Check credentials, permissions, quota and setup", _SETUP, only_reads=True, warns_if_overdue=False
    ),
    "selftest": Entry("selftest", "Run one instance and check every promise on it", _SETUP),
    "config": Entry(
        "config", "Show settings and where they come from", _SETUP, only_reads=True, warns_if_overdue=False
    ),
    "archive": Entry("archive", "Move old records to a compressed file", _SETUP),
    "recover": Entry("recover", "Rebuild a lost or damaged state file", _SETUP),
    "sandbox": Entry("sandbox", "Manage the sandbox (emulated clouds)", _SETUP, warns_if_overdue=False),
    "help": Entry("help.command", "Show help for a command or topic", _SETUP, only_reads=True, warns_if_overdue=False),
    "completion": Entry(
        "completion.command", "Print a shell completion script", _SETUP, only_reads=True, warns_if_overdue=False
    ),
}

# Called by the completion scripts only, therefore not in help.
HIDDEN = {
    "complete": Entry(
        "completion.candidates", "Print completion candidates", _SETUP, only_reads=True, warns_if_overdue=False
    )
}


def entry_of(name: str) -> Entry:
    """The row of that command, one that help does not list included. KeyError for a name that is no command's."""
    return COMMANDS.get(name) or HIDDEN[name]


# Command names of other tools, and the gpuctl command that does the same.
OTHER_NAMES = {
    **dict.fromkeys(("create", "launch", "up", "start", "run-instances"), "provision"),
    **dict.fromkeys(("ls", "ps", "status"), "list"),
    **dict.fromkeys(("show", "describe", "inspect"), "get"),
    **dict.fromkeys(("rm", "delete", "kill", "down", "stop", "destroy", "end"), "terminate"),
}

EXAMPLES = """\
gpuctl types --gpu T4                               list T4 instance types, cheapest first
gpuctl provision g4dn.xlarge --region us-east-1     start an instance for one hour
gpuctl list                                         list active instances with cost and time left
gpuctl terminate train-7                            terminate an instance
gpuctl --sandbox provision g4dn.xlarge --region us-east-1    try it without an account"""
