"""What `gpuctl help TOPIC` tells: exit codes, environment, output. Plain text, made of the tables the program uses."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

Row = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a topic: words, then rows of a term and what it means."""

    words: str
    rows: Sequence[Row] = ()


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic's title and its pieces, made when they are asked for."""

    title: str
    parts: Callable[[], Sequence[Part]]


_EXIT_CODES: Sequence[Row] = (
    ("0", "Done."),
    ("1", "The cloud said no for a reason of its own, or gpuctl failed. The message says which; `-v` says more."),
    ("2", "Wrong usage. Nothing was written and no cloud was called. The hint says what to type."),
    ("3", "No such instance."),
    ("4", "No login, the wrong account, or not permitted. Try: gpuctl doctor"),
    ("5", "Not now: no capacity, throttled, unreachable, not ready in time. The same command again is safe."),
    ("6", "The account's quota is used up. Try: gpuctl doctor --type TYPE"),
    ("7", "A budget refuses it. Try: gpuctl stats --since 30d"),
    ("8", "Unresolved: something may live. Look before you retry: gpuctl list --refresh"),
    ("9", "The state is missing, damaged, newer, of the other kind, or cannot be written. Try: gpuctl recover"),
    ("129, 130, 143", "Ended by SIGHUP, SIGINT or SIGTERM."),
)
_CODES: Sequence[Row] = (
    ("usage", "2"),
    ("not_found", "3"),
    ("credentials", "4"),
    ("capacity, throttled, unreachable, not_ready, state_locked", "5, and `retryable` is true"),
    ("quota", "6"),
    ("budget", "7"),
    ("unresolved, partial", "8"),
    ("state_unusable", "9"),
    ("interrupted", "129, 130 or 143"),
    ("cloud, internal", "1"),
)
_ENVIRONMENT: Sequence[Row] = (
    ("GPUCTL_STATE", "the state file, like --state"),
    ("GPUCTL_STATE_ID", "the id of a state that is born now, 8 to 40 of a-z0-9-; CI jobs share one with a reaper"),
    ("GPUCTL_CONFIG", "the config file, like --config"),
    ("GPUCTL_PROFILE", "the profile to lay over the config, like --profile"),
    ("GPUCTL_OUTPUT", "table, json, csv or tsv, like --output"),
    ("GPUCTL_SANDBOX", "1 for clouds on this machine, like --sandbox"),
    ("GPUCTL_AZURE_ENDPOINT", "another address of Azure's; plain http only on loopback, and then without a login"),
)
_OTHERS: Sequence[Row] = (
    ("AWS_PROFILE, AWS_REGION, ...", "AWS's own variables and files decide who you are there"),
    ("AZURE_SUBSCRIPTION_ID, AZURE_CLIENT_ID, ...", "Azure's own decide who you are there"),
    ("CI", "where it is set nothing is ever asked"),
    ("NO_COLOR, TERM=dumb", "no colour"),
    ("XDG_STATE_HOME, XDG_CONFIG_HOME", "where the state and the config are, unless they are named"),
)
_FORMS: Sequence[Row] = (
    ("table", "for people: local times, relative first; the form on a terminal"),
    ("tsv", "no header, whole ids, RFC 3339 times in UTC, plain decimals, empty for unknown; the form in a pipe"),
    ("csv", "the same with a header"),
    ("json", "one document and nothing else, errors and signals too; streams print one document a line"),
    ("-q", "whole ids only, one a line, as soon as each record is on disk"),
)


def _exit_codes() -> Sequence[Part]:
    return (
        Part("Every command ends with one of these:", _EXIT_CODES),
        Part("With -o json, `error.code` says more exactly what happened:", _CODES),
        Part("If several machines failed alike, their code; if they failed in different ways, 8."),
    )


def _environment() -> Sequence[Part]:
    from gpuctl.cli.config.schema import KEYS

    settings = [(key.variable, f"{key.about} ({'.'.join(path)})") for path, key in KEYS.items() if key.variable]
    return (
        Part("A flag goes before a variable, a variable before the config. What gpuctl itself reads:", _ENVIRONMENT),
        Part("The settings of the config, lists separated by commas:", settings),
        Part("What it leaves to others:", _OTHERS),
    )


def _output() -> Sequence[Part]:
    return (
        Part("stdout is data, stderr is talk: progress, warnings, hints. -o or GPUCTL_OUTPUT chooses:", _FORMS),
        Part(
            "Every JSON document has `success` (false exactly when the exit code is not 0) and `schemaVersion`. A "
            "failure has `error` with `code`, `message`, `hint`, `retryable` and `exitCode`. Money is in dollars, "
            "times are RFC 3339 in UTC, and null means unknown: a price that is not known is never 0."
        ),
        Part(
            "`provision`, `terminate` and `extend` have `instances` and `count`, and `instance` where exactly one "
            "was asked for; they have them in failures too, as soon as a record exists."
        ),
    )


TOPICS: Mapping[str, Topic] = {
    "exit-codes": Topic("How a command ends", _exit_codes),
    "environment": Topic("The variables that are read", _environment),
    "output": Topic("What is printed where, and in which form", _output),
}


def text_of(name: str, width: int) -> str:
    """The topic as plain text, in lines of at most that width."""
    import textwrap

    topic = TOPICS[name]
    lines = [topic.title, ""]
    for part in topic.parts():
        lines += textwrap.wrap(part.words, width)
        lines += ["", *_columns(part.rows, width), ""] if part.rows else [""]
    return "\n".join(lines).rstrip() + "\n"


def _columns(rows: Sequence[Row], width: int) -> Iterable[str]:
    import textwrap

    left = min(32, max(len(term) for term, _ in rows)) + 2
    for term, meaning in rows:
        wrapped = textwrap.wrap(meaning, max(24, width - left - 2))
        if len(term) + 2 > left:
            yield f"  {term}"
        else:
            yield f"  {term:<{left}}{wrapped.pop(0)}"
        yield from (f"  {'':<{left}}{line}" for line in wrapped)
