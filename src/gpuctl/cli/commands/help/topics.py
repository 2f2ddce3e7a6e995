"""The help topics: exit codes, environment, output. Plain text, generated from the tables the program itself uses."""

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
    ("0", "Success."),
    ("1", "The provider rejected the request, or gpuctl failed. `-v` shows the cause."),
    ("2", "Usage error; nothing was changed. The hint shows what to type."),
    ("3", "No such instance."),
    ("4", "Missing credentials, wrong account, or permission denied. Run: gpuctl doctor"),
    ("5", "Temporary failure: no capacity, throttled, unreachable, not ready in time. Safe to retry."),
    ("6", "The quota of the account is exhausted. Run: gpuctl doctor --type TYPE"),
    ("7", "Budget exceeded. Run: gpuctl stats --since 30d"),
    ("8", "Unresolved: an instance may still be running. Check before you retry: gpuctl list --refresh"),
    (
        "9",
        "The state file is missing, damaged, too new, from the sandbox, or not writable. Run: gpuctl recover",
    ),
    ("200 + N", "Only `gpuctl run`: gpuctl itself failed with exit code N. Codes below 200 are those of the command."),
    ("129, 130, 143", "Interrupted by SIGHUP, SIGINT or SIGTERM."),
)
_CODES: Sequence[Row] = (
    ("usage", "2"),
    ("not_found", "3"),
    ("credentials", "4"),
    ("capacity, throttled, unreachable, not_ready, state_locked", "5, and `retryable` is true"),
    ("quota", "6"),
    ("budget", "7"),
    ("unresolved, partial", "8"),
    ("state_unusable", "9; `retryable` is true while a shared state is out of reach"),
    ("interrupted", "129, 130 or 143"),
    ("cloud, internal", "1"),
)
_ENVIRONMENT: Sequence[Row] = (
    ("GPUCTL_STATE_PLAINTEXT", "1 to allow `sslmode=disable` for a state on another computer"),
    ("GPUCTL_STATE_ID", "ID for a newly created state, 8 to 40 of a-z0-9-; CI jobs share it with a reaper"),
    ("GPUCTL_CONFIG", "config file, like --config"),
    ("GPUCTL_PROFILE", "config profile, like --profile"),
    ("GPUCTL_OUTPUT", "output format: table, json, csv or tsv, like --output"),
    ("GPUCTL_SANDBOX", "1 to use the emulated clouds, like --sandbox"),
)
_OTHERS: Sequence[Row] = (
    ("CI", "if set, gpuctl never prompts"),
    ("NO_COLOR, TERM=dumb", "no color"),
    ("XDG_STATE_HOME, XDG_CONFIG_HOME", "folders of the state and the config, unless set explicitly"),
)
_FORMS: Sequence[Row] = (
    ("table", "default on a terminal: local times, relative times first"),
    ("tsv", "default in a pipe: no header, complete IDs, RFC 3339 times in UTC, plain decimals, empty if unknown"),
    ("csv", "like tsv, with commas and a header"),
    ("json", "one document and nothing else, for errors and signals too; streams print one document per line"),
    ("-q", "complete IDs only, one per line, as soon as each record is on disk"),
)


def _exit_codes() -> Sequence[Part]:
    return (
        Part("Exit code and meaning:", _EXIT_CODES),
        Part("With -o json, `error.code` names the kind of failure:", _CODES),
        Part(
            "If several instances were requested and all of them failed with the same code, it is that code. If only "
            "some of them failed, or the codes differ, the exit code is 8."
        ),
    )


def _environment() -> Sequence[Part]:
    from gpuctl.config.schema import KEYS
    from gpuctl.providers.registry import all_facts

    clouds = [facts.variables for facts in all_facts()]
    rows = [*_ENVIRONMENT, *(row for cloud in clouds for row in cloud.ours.items())]
    others = [*(row for cloud in clouds for row in cloud.others.items()), *_OTHERS]

    settings = [(key.variable, f"{key.help} ({'.'.join(path)})") for path, key in KEYS.items() if key.variable]
    return (
        Part("Flags override variables, and variables override the config. Variables of gpuctl:", rows),
        Part("Variables for config settings (lists are comma-separated):", settings),
        Part("Variables read by other libraries:", others),
    )


def _output() -> Sequence[Part]:
    return (
        Part(
            "Results go to stdout; progress, warnings and hints go to stderr. -o or GPUCTL_OUTPUT selects a format:",
            _FORMS,
        ),
        Part(
            "Every JSON document has `success` (false exactly when the exit code is not 0) and `schemaVersion`. A "
            "failure has `error` with `code`, `message`, `hint`, `retryable` and `exitCode`. Money is in dollars, "
            "times are RFC 3339 in UTC, and null means unknown: an unknown price is never 0."
        ),
        Part(
            "`provision`, `terminate` and `extend` have `instances` and `count`, and `instance` if exactly one "
            "was requested. Failures have them too, as soon as a record exists."
        ),
    )


TOPICS: Mapping[str, Topic] = {
    "exit-codes": Topic("Exit codes", _exit_codes),
    "environment": Topic("Environment variables", _environment),
    "output": Topic("Output formats", _output),
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
