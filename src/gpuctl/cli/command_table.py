"""The table of commands: module, summary, and the heading of help under which each is listed."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class CommandRow:
    """One command's row; its module is imported only when the command runs or its help is shown.

    `only_reads`: the command changes nothing, so without its output it has failed. `warns_if_overdue`: it warns if the
    installed reaper does not run; the others report on the schedule themselves, or use no state. `warns_if_foreign`: it
    warns of a foreign distribution `gpuctl` in the same environment. `commands` are the sub-commands of a group;
    `default` is the one that runs if none is named.
    """

    module: str
    summary: str
    heading: str = ""
    function: str = "command"
    only_reads: bool = False
    warns_if_overdue: bool = True
    warns_if_foreign: bool = False
    is_hidden: bool = False
    commands: "Mapping[str, CommandRow]" = field(default_factory=dict)
    default: str | None = None


_INSTANCES, _ACCESS, _POOLS = "Instances", "Access and lifecycle", "Pools"
_COST, _SETUP = "Prices and cost", "Setup and maintenance"


def _reading(module: str, summary: str, heading: str = "", function: str = "command") -> CommandRow:
    """A command that changes nothing and neither uses the state nor needs the reaper."""
    return CommandRow(module, summary, heading, function, only_reads=True, warns_if_overdue=False)


def _silent(module: str, summary: str, function: str) -> CommandRow:
    return CommandRow(module, summary, function=function, warns_if_overdue=False)


_PRICES = {
    "show": CommandRow("prices.command", "Show the source and age of price data", function="show", only_reads=True),
    "refresh": CommandRow("prices.command", "Fetch current prices from the providers", function="refresh"),
}
_SCHEDULE = {
    "install": CommandRow(
        "schedule.command",
        "Install or replace the schedule",
        function="install",
        warns_if_overdue=False,
        warns_if_foreign=True,
    ),
    "status": _reading("schedule.command", "Show the schedule and the last run of the reaper", function="status"),
    "uninstall": _silent("schedule.command", "Remove the schedule", "uninstall"),
    # Run by `install` in the environment of the schedule.
    "prove": CommandRow(
        "schedule.command",
        "Check the credentials of the scheduled reaper",
        function="prove",
        warns_if_overdue=False,
        is_hidden=True,
    ),
}
_CONFIG = {
    "show": _reading("config", "Show every setting with its value and source", function="show"),
    "path": _reading("config", "Print the path of the config file", function="path"),
}
_POOL = {
    "create": CommandRow("pool.create", "Create a pool", warns_if_foreign=True),
    "list": CommandRow("pool.listing", "List pools", function="show_all", only_reads=True),
    "show": CommandRow("pool.listing", "Show a pool, its leases and its demand", function="show", only_reads=True),
    "scale": CommandRow("pool.scale", "Scale pools to their demand (for cron)", warns_if_overdue=False),
    "pause": CommandRow("pool.changes", "Pause a pool: launch no more instances", function="pause"),
    "resume": CommandRow("pool.changes", "Resume a paused or draining pool", function="resume"),
    "drain": CommandRow("pool.changes", "Terminate instances once they are idle", function="drain"),
    "delete": CommandRow("pool.changes", "Delete a pool and terminate its instances", function="delete"),
    "forecast": CommandRow("pool.forecast", "Show the demand expected in the next hours", only_reads=True),
    "tune": CommandRow("pool.tune", "Propose the policy of lowest cost"),
    "simulate": _reading("pool.simulate", "Simulate policies on past jobs"),
}
_SANDBOX = {
    "start": _silent("sandbox", "Start the sandbox", "start"),
    "status": _reading("sandbox", "Show whether the sandbox is running", function="show_status"),
    "stop": _silent("sandbox", "Stop the sandbox", "stop_server"),
    "reset": _silent("sandbox", "Delete all sandbox instances and records", "reset"),
    "interrupt": _silent("sandbox", "Interrupt a spot instance of the sandbox", "interrupt_instance"),
}
_REAPER = {
    "package": _silent("reaper.package", "Build the zip file of the reaper function", "command"),
    "template": _reading("reaper.template", "Print a template that runs the reaper in a cloud or a container"),
}
_STATE = {
    "show": _reading("state.command", "Show the location and size of the state", function="show"),
    "init": _silent("state.command", "Create a shared state in a database", "init"),
    "move": _silent("state.command", "Move the state to another location", "move"),
    "export": _reading("state.command", "Print all records, one JSON line each", function="export"),
}

COMMANDS = {
    "provision": CommandRow(
        "provision.command", "Start a GPU instance and wait until it is ready", _INSTANCES, warns_if_foreign=True
    ),
    "get": CommandRow("get", "Show one instance", _INSTANCES, only_reads=True),
    "run": CommandRow("run.command", "Run a command on a temporary instance", _INSTANCES, warns_if_foreign=True),
    "resume": CommandRow("resume", "Continue work whose gpuctl run was killed", _ACCESS),
    "list": CommandRow("list.command", "List instances with cost and time left", _INSTANCES, only_reads=True),
    "terminate": CommandRow("terminate", "Terminate instances", _INSTANCES),
    "stats": CommandRow("stats.command", "Show usage, cost and savings", _INSTANCES, only_reads=True),
    "reap": CommandRow(
        "reap", "Terminate expired and orphaned instances (for cron)", _INSTANCES, warns_if_overdue=False
    ),
    "extend": CommandRow("extend", "Extend the deadline of an instance", _ACCESS),
    "wait": CommandRow("wait", "Wait until instances are ready or terminated", _ACCESS),
    "events": CommandRow("events.command", "Show or follow the event log", _ACCESS, only_reads=True),
    "ssh": CommandRow("ssh", "Open an SSH session or run a remote command", _ACCESS),
    "ssh-config": CommandRow("ssh_config", "Add your instances to the SSH config", _ACCESS),
    "lease": CommandRow("lease", "Lease an instance of a pool", _POOLS, warns_if_foreign=True),
    "release": CommandRow("release", "Release a leased instance", _POOLS),
    "pool": CommandRow("pool", "Manage pools of shared instances", _POOLS, commands=_POOL),
    "types": CommandRow("types", "List GPU instance types and prices", _COST, only_reads=True),
    "estimate": CommandRow("estimate.command", "Estimate savings over always-on or on-demand", _COST, only_reads=True),
    "recommend": CommandRow("recommend", "Recommend an instance type and TTL for a task", _COST, only_reads=True),
    "prices": CommandRow("prices.command", "Show or refresh price data", _COST, commands=_PRICES, default="show"),
    "schedule": CommandRow(
        "schedule.command", "Run the reaper from cron, systemd or launchd", _SETUP, commands=_SCHEDULE
    ),
    "reaper": CommandRow("reaper.template", "Run the reaper in a cloud or a container", _SETUP, commands=_REAPER),
    "doctor": _reading("doctor", "Check credentials, permissions, quota and setup", _SETUP),
    "selftest": CommandRow(
        "selftest.command", "Test gpuctl on your account with one instance", _SETUP, warns_if_foreign=True
    ),
    "config": CommandRow("config", "Show settings and where they come from", _SETUP, commands=_CONFIG, default="show"),
    "archive": CommandRow("archive", "Move old records to a compressed file", _SETUP),
    "recover": CommandRow("recover", "Rebuild a lost or damaged state file", _SETUP),
    "state": CommandRow("state.command", "Show, create, move or export the state", _SETUP, commands=_STATE),
    "sandbox": CommandRow("sandbox", "Manage the sandbox (emulated clouds)", _SETUP, commands=_SANDBOX),
    "help": _reading("help.command", "Show help for a command or topic", _SETUP),
    "completion": _reading("completion.command", "Print a shell completion script", _SETUP),
}

# Called by the completion scripts only, therefore not in help.
HIDDEN = {
    "complete": CommandRow(
        "completion.candidates",
        "Print completion candidates",
        only_reads=True,
        warns_if_overdue=False,
        is_hidden=True,
    )
}


def entry_of(path: str) -> CommandRow:
    """The row of a command as typed, such as `list` or `prices refresh`. KeyError for any other text."""
    entry, *names = path.split()
    row = COMMANDS.get(entry) or HIDDEN[entry]
    return row.commands[names[0]] if names else row


# Command names of other tools, and the gpuctl command that does the same.
OTHER_NAMES = {
    **dict.fromkeys(("create", "launch", "up", "start", "run-instances"), "provision"),
    **dict.fromkeys(("ls", "ps", "status"), "list"),
    **dict.fromkeys(("show", "describe", "inspect"), "get"),
    **dict.fromkeys(("rm", "delete", "kill", "down", "stop", "destroy", "end"), "terminate"),
}

EXAMPLES = """\
gpuctl types --gpu T4                            list T4 types, cheapest first
gpuctl provision g4dn.xlarge --region us-east-1  start an instance for one hour
gpuctl list                                      show cost and time left
gpuctl terminate train-7                         terminate an instance
gpuctl --sandbox provision g4dn.xlarge --region us-east-1  no account needed"""
