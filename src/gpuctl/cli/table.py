"""Every command: where it lives, what it is for, and under which heading help shows it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One command's row; its module is imported only when the command runs or its help is shown."""

    module: str
    summary: str
    heading: str


_MACHINES, _MORE, _MONEY, _SETUP = "Machines", "More about machines", "What it costs", "Set up and try"

COMMANDS = {
    "provision": Entry("provision", "Start a GPU machine and wait until it is ready", _MACHINES),
    "get": Entry("get", "Show one machine", _MACHINES),
    "run": Entry("run", "Run a command on a machine of its own, and end it", _MACHINES),
    "list": Entry("list_", "List machines, what they cost and when they end", _MACHINES),
    "terminate": Entry("terminate", "End machines and wait for proof", _MACHINES),
    "stats": Entry("stats", "Sum up machines, hours, cost and savings", _MACHINES),
    "reap": Entry("reap", "End what is due and find what was lost; for cron", _MACHINES),
    "extend": Entry("extend", "Move a machine's deadline", _MORE),
    "wait": Entry("wait", "Wait until machines are ready, or proven gone", _MORE),
    "events": Entry("events", "Tell what happened to machines, and what happens now", _MORE),
    "ssh": Entry("ssh", "Get onto a machine, or run a command there", _MORE),
    "ssh-config": Entry("ssh_config", "Let ssh, scp, rsync and editors know the machines", _MORE),
    "types": Entry("types", "Compare GPU machines by price", _MONEY),
    "estimate": Entry("estimate", "Estimate what machines save that end when unused", _MONEY),
    "recommend": Entry("recommend", "Say which machine fits a task, and for how long", _MONEY),
    "prices": Entry("prices", "Show how old the prices are, or read them anew", _MONEY),
    "schedule": Entry("schedule", "Let cron or systemd run the reaper, every minute", _SETUP),
    "doctor": Entry("doctor", "Check logins, permissions, quota, state and schedule", _SETUP),
    "config": Entry("config", "Show the settings in force and where each comes from", _SETUP),
    "archive": Entry("archive", "Move records of long ago out of the state into a file", _SETUP),
    "recover": Entry("recover", "Rebuild a lost or damaged state from the clouds", _SETUP),
    "sandbox": Entry("sandbox", "Start, empty or stop the cloud on this machine", _SETUP),
    "help": Entry("help_", "Explain a command, exit codes, the environment, output", _SETUP),
    "completion": Entry("completion", "Print the completion script of a shell", _SETUP),
}

# What no person types; help does not tell of it.
HIDDEN = {"complete": Entry("complete", "What a shell offers on TAB", _SETUP)}

# What people type who come from other tools.
OTHER_NAMES = {
    **dict.fromkeys(("create", "launch", "up", "start", "run-instances"), "provision"),
    **dict.fromkeys(("ls", "ps", "status"), "list"),
    **dict.fromkeys(("show", "describe", "inspect"), "get"),
    **dict.fromkeys(("rm", "delete", "kill", "down", "stop", "destroy", "end"), "terminate"),
}

EXAMPLES = """\
gpuctl types --gpu T4                               which machines have one, cheapest first
gpuctl provision g4dn.xlarge --region us-east-1     start one for an hour
gpuctl list                                         what lives, until when, at what cost
gpuctl terminate train-7                            end it now
gpuctl --sandbox provision g4dn.xlarge --region us-east-1    try it without an account"""
