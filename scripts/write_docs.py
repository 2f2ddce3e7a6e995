"""Generate docs/reference.md, docs/fidelity.md and the man page; a test fails while they are not current."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gpuctl.cli.app import build
from gpuctl.cli.command import Group
from gpuctl.cli.command_table import COMMANDS, EXAMPLES
from gpuctl.cli.commands.help.topics import TOPICS
from gpuctl.cli.context import Context
from gpuctl.cli.terminal.streams import Streams
from gpuctl.clock import SystemClock
from gpuctl_sandbox.clouds import CLOUDS
from gpuctl_sandbox.fidelity import STATUSES

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference.md"
FIDELITY = ROOT / "docs" / "fidelity.md"
MAN = ROOT / "docs" / "man" / "gpuctl.1"
PROMISE = "Start GPU instances for single tasks, track their cost, and make sure they are terminated."


class Command:
    """The help of one command as data; with an empty path, that of gpuctl itself."""

    def __init__(self, root: Any, path: str) -> None:
        parsed = root
        for name in path.split():
            command = parsed.command.get_command(parsed, name)
            parsed = command.make_context(name, [], parent=parsed, resilient_parsing=True)
        command = parsed.command
        own = [parameter for parameter in command.params if getattr(parameter, "hidden", False) is False]
        self.usage = " ".join([parsed.command_path, *command.collect_usage_pieces(parsed)])
        self.about = [" ".join(part.split()) for part in (command.help or "").split("\n\n")]
        self.arguments = [(item.metavar, item.help) for item in own if item.param_type_name == "argument"]
        options = [item for item in own if item.param_type_name == "option" and item.name != "help"]
        self.options: dict[str, list[tuple[str, str]]] = {}
        for option in options:
            row = option.get_help_record(parsed)
            if row is not None:
                self.options.setdefault(option.rich_help_panel or "Options", []).append((row[0], row[1].strip()))
        self.commands = command.command_rows(parsed) if path and isinstance(command, Group) else []
        self.examples = (command.epilog if path else EXAMPLES) or ""


def paths() -> Iterator[str]:
    """Every command as typed, the sub-commands of a group after the group."""
    for name, entry in COMMANDS.items():
        yield name
        yield from (f"{name} {sub}" for sub, inner in entry.commands.items() if not inner.is_hidden)


def a_root() -> Any:
    """The root command's context."""
    nothing: Any = None
    command = build()
    context = Context(Streams(nothing, nothing, nothing), SystemClock(), {})
    return command.make_context("gpuctl", [], resilient_parsing=True, obj=context)


def reference() -> str:
    """docs/reference.md."""
    return "\n".join(_reference()) + "\n"


def _reference() -> Iterator[str]:
    root = a_root()
    yield "# Command reference\n"
    yield "Generated from the commands by `make docs`; a test keeps it current. `gpuctl COMMAND --help` and"
    yield "`man gpuctl` show the same text.\n"
    for heading in dict.fromkeys(entry.heading for entry in COMMANDS.values()):
        names = [name for name, entry in COMMANDS.items() if entry.heading == heading]
        yield f"**{heading}:** " + ", ".join(f"[{name}](#gpuctl-{name})" for name in names) + "  "
    yield "**Topics:** " + ", ".join(f"[{name}](#{name})" for name in TOPICS) + "\n"
    for path in paths():
        yield from _section(f"gpuctl {path}", Command(root, path))
    yield "## Global options\n\nThey are accepted before or after the command.\n"
    yield from _rows(Command(root, "").options["Options"], ("option", ""))
    for name, topic in TOPICS.items():
        yield f"## {name}\n\n{topic.title}.\n"
        for part in topic.parts():
            yield f"{part.words}\n"
            if part.rows:
                yield from _rows(part.rows, ("", ""))


def _section(title: str, command: Command) -> Iterator[str]:
    yield f"## {title}\n\n```\n{command.usage}\n```\n"
    for words in command.about:
        yield f"{words}\n"
    if command.commands:
        yield from _rows(command.commands, ("command", ""))
    if command.arguments:
        yield from _rows(command.arguments, ("argument", ""))
    for heading, rows in command.options.items():
        yield from _rows(rows, (heading.lower() if heading != "Options" else "option", ""))
    if command.examples:
        yield f"```\n{command.examples}\n```\n"


def _rows(rows: Any, heads: tuple[str, str]) -> Iterator[str]:
    yield f"| {heads[0]} | {heads[1]} |\n|---|---|"
    for term, meaning in rows:
        yield f"| `{_cell(term)}` | {_cell(meaning)} |"
    yield ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def fidelity() -> str:
    """docs/fidelity.md."""
    return "\n".join(_fidelity()) + "\n"


def _fidelity() -> Iterator[str]:
    yield "# What the emulated clouds hold to\n"
    yield "The sandbox and the tests run against emulated clouds on loopback. This page lists the rules that these"
    yield "clouds apply and the source of each rule. `make docs` writes it from"
    yield "`sandbox/src/gpuctl_sandbox/*/fidelity.py`; a test fails while it is not current.\n"
    yield from _rows(STATUSES.items(), ("status", "meaning"))
    for row in CLOUDS:
        yield f"## {row.rules[0].cloud}\n\n| rule | statement | source | status |\n|---|---|---|---|"
        for rule in sorted(row.rules, key=lambda rule: rule.name):
            yield f"| {_cell(rule.name)} | {_cell(rule.statement)} | {_cell(rule.source)} | {rule.status} |"
        yield ""


def man() -> str:
    """The man page, in roff."""
    return "\n".join(_man()) + "\n"


def _man() -> Iterator[str]:
    root = a_root()
    whole = Command(root, "")
    yield '.TH GPUCTL 1 "" "gpuctl" "User Commands"'
    yield f".SH NAME\ngpuctl \\- {_roff(PROMISE[0].lower() + PROMISE[1:].rstrip('.'))}"
    yield ".SH SYNOPSIS\n.B gpuctl\n.I COMMAND\n.RI [ OPTIONS ]"
    yield f".SH DESCRIPTION\n{_roff(PROMISE)}"
    yield "A started instance is terminated on time, even if the computer that started it never comes back."
    yield "Three safeguards work independently: the reaper with its state file, a sweep by tag, and a shutdown timer."
    for heading in dict.fromkeys(entry.heading for entry in COMMANDS.values()):
        yield f".SH {heading.upper()}"
        for path in (path for path in paths() if COMMANDS[path.split()[0]].heading == heading):
            command = Command(root, path)
            yield f".SS {_roff(command.usage)}"
            yield "\n.PP\n".join(_roff(words) for words in command.about)
            for rows in (command.commands, command.arguments, *command.options.values()):
                yield from _terms(rows)
            if command.examples:
                yield f".PP\n.nf\n{_roff(command.examples)}\n.fi"
    yield ".SH GLOBAL OPTIONS\nThey are accepted before or after the command."
    yield from _terms(whole.options["Options"])
    for name, topic in TOPICS.items():
        yield f".SH {name.replace('-', ' ').upper()}"
        for part in topic.parts():
            yield f".PP\n{_roff(part.words)}"
            yield from _terms(part.rows)
    yield ".SH SEE ALSO\n.BR crontab (5),\n.BR systemd.timer (5)"


def _terms(rows: Any) -> Iterator[str]:
    for term, meaning in rows:
        yield f".TP\n.B {_roff(term)}\n{_roff(meaning)}"


def _roff(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "")
    # A line that begins like a request would be one.
    return re.sub(r"^([.'])", r"\\&\1", escaped, flags=re.MULTILINE)


if __name__ == "__main__":
    MAN.parent.mkdir(exist_ok=True)
    REFERENCE.write_text(reference(), "utf-8")
    MAN.write_text(man(), "utf-8")
    FIDELITY.write_text(fidelity(), "utf-8")
