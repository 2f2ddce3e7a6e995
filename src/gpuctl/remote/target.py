"""One instance as OpenSSH is to reach it: the options that every way in shares, on a command line or in a file."""

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from gpuctl.domain.duration import as_typed
from gpuctl.domain.instance import Instance
from gpuctl.errors import NotReadyError, UsageError

DEFAULT_USER = "ubuntu"
_OPTION = re.compile(r"([A-Za-z]+)=(.+)")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
# What decides whether an instance is the one it was: gpuctl sets these, and nobody else.
_OURS = ("hostkeyalias", "userknownhostsfile", "globalknownhostsfile", "stricthostkeychecking", "checkhostip")


@dataclass(frozen=True, slots=True)
class Target:
    """An instance that can be named to ssh. Every value is checked when it is made: none can pass for an option."""

    record_id: str
    names: tuple[str, ...]
    host: str
    user: str
    identity: Path
    known_hosts: Path
    options: tuple[str, ...] = ()

    def settings(self) -> Iterator[tuple[str, str]]:
        """Every option with its value; ssh uses the first of a name, so fixed options come before the user's.

        The host key is accepted on first use and must stay the same; it is stored under the record's ID, because the
        next instance may get the same address.
        """
        yield "HostKeyAlias", self.record_id
        yield "UserKnownHostsFile", _quoted(self.known_hosts)
        yield "GlobalKnownHostsFile", "/dev/null"
        yield "StrictHostKeyChecking", "yes" if _has_content(self.known_hosts) else "accept-new"
        yield "HashKnownHosts", "no"
        yield "CheckHostIP", "no"
        for option in self.options:
            key, _, value = option.partition("=")
            yield key, value
        yield "HostName", self.host
        yield "Port", "22"
        yield "User", self.user
        yield "IdentityFile", _quoted(self.identity)
        yield "IdentitiesOnly", "yes"
        yield "PubkeyAuthentication", "yes"
        # A `Host *` of the user's must not reach through: a control socket named by address would lead to another
        # instance with the same address, and a forced terminal or command breaks scp and rsync.
        yield "ControlPath", "none"
        yield "RequestTTY", "auto"
        yield "RemoteCommand", "none"
        yield "LogLevel", "ERROR"

    def argv(self, *words: str, first: Sequence[str] = ()) -> list[str]:
        """The command line of ssh to it. `first` are options that precede all others, so that they hold.

        `words` follow the destination; those that begin with an option are ssh's to read, as after a host that a person
        types.
        """
        options = [f"-o{key}={value}" for key, value in self.settings()]
        closed = [] if words and words[0].startswith("-") else ["--"]
        return ["ssh", *first, *options, *closed, self.names[0], *words]

    def block(self) -> str:
        """Its lines in a file of ssh's settings."""
        lines = "".join(f"    {key} {value}\n" for key, value in self.settings())
        return f"Host {' '.join(self.names)}\n{lines}"


def target(record: Instance, identity: Path, known_hosts: Path, user: str | None, options: Sequence[str]) -> Target:
    """How ssh reaches the instance of that record. UsageError for an invalid user or option.

    NotReadyError if it has no valid address: addresses come from a provider and must not be read as options.
    """
    result = record.public_ip or record.private_ip
    try:
        host = str(ip_address(result or ""))
    except ValueError:
        hint = f"gpuctl get {record.id} --refresh"
        raise NotReadyError(f"{record.label} has no IP address", hint=hint) from None
    user_name = user or record.ssh_user or DEFAULT_USER
    if not _USER.fullmatch(user_name):
        raise UsageError(f"--login must consist of `a-z0-9_-`, not {as_typed(user_name)}", hint="add `--login ubuntu`")
    names = tuple(f"gpu-{text}" for text in (record.id, record.name) if text)
    return Target(
        record.id, names, host, user_name, identity, known_hosts, tuple(_option(option) for option in options)
    )


def words_of(command: Sequence[str]) -> str:
    """What the remote shell is to be given, so that it runs exactly this.

    One word is a line for the shell, unchanged; several are a program and its arguments, which no shell changes.
    """
    return command[0] if len(command) == 1 else shlex.join(command)


def _option(text: str) -> str:
    match = _OPTION.fullmatch(text.strip())
    if match is None or not text.isprintable():
        raise UsageError(f"`ssh.options` holds {as_typed(text)}", hint='such as options = ["ProxyJump=bastion"]')
    if match[1].casefold() in _OURS:
        raise UsageError(f"`ssh.options` may not set {match[1]}", hint="gpuctl manages the host keys of instances")
    return f"{match[1]}={match[2].strip()}"


def plain_path(path: Path, excluded: str = '"') -> str:
    """The path as text. UsageError if OpenSSH does not take it literally in quotes, or it has an excluded character."""
    text = str(path)
    # Python cannot decode every name in a locale that is not UTF-8; ssh receives its bytes as they are.
    is_printable = os.fsencode(path).decode(errors="replace").isprintable()
    if "${" in text or not is_printable or any(char in text for char in excluded):
        raise UsageError(f"ssh cannot use the path {as_typed(text)}", hint="add `--state FILE` with a plain path")
    return text


def _quoted(path: Path) -> str:
    doubled = plain_path(path).replace("%", "%%")
    return f'"{doubled}"'


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False
