"""Decides, before anything is written, whose key a new machine carries and from where its port 22 can be reached."""

from collections.abc import Sequence
from dataclasses import dataclass

from gpuctl.domain.market.ssh_source import AUTO, EVERYWHERE, NONE, Source, is_wide
from gpuctl.errors import GpuctlError, UnreachableError, UsageError
from gpuctl.providers.base import Provider
from gpuctl.services.runtime import Runtime

LOOPBACK = "127.0.0.1/32"


@dataclass(frozen=True, slots=True)
class Entry:
    """A public key and a range of addresses; None for no key, and for a port 22 that is opened to nobody."""

    key: str | None = None
    cidr: str | None = None


def other_sources(provider: Provider, region: str, subnet: str | None, cidr: str | None) -> Sequence[str]:
    """From where the network itself lets ssh in; where that cannot be read, a text that says so."""
    try:
        return provider.other_ssh_sources(region, subnet, cidr)
    except GpuctlError as error:
        return (f"unknown sources, {error.message}",)


def entry(runtime: Runtime, provider: Provider, wanted: Source) -> Entry:
    """The way in that new machines get. There is no fallback to a wider one: it is what was asked for, or nobody's.

    Where it was demanded, what keeps it from being had is raised (UsageError, UnreachableError); else it is told, and
    the machine is started without.
    """
    access = runtime.access
    if access is None:
        return Entry()
    must_have_key = wanted.is_demanded and wanted.text != NONE
    reason = access.no_key_because
    if reason is not None and not (must_have_key or provider.capabilities.needs_ssh_key):
        runtime.progress.warn(f"no SSH key is installed: {reason}")
        return Entry()
    key = access.key().public
    objection = provider.capabilities.ssh_keys.objection(key)
    if objection is not None:
        raise UsageError(
            f"{provider.name} accepts {objection}",
            hint="ssh-keygen -t ed25519, or leave `ssh.public_key` out of the config",
        )
    if wanted.text == NONE:
        return Entry(key)
    if wanted.text != AUTO:
        if wanted.text in EVERYWHERE:
            runtime.progress.warn(f"port 22 is open to everyone ({wanted.text})")
        elif is_wide(wanted.text):
            runtime.progress.warn(f"port 22 is open to a large range ({wanted.text})")
        return Entry(key, wanted.text)
    if access.echo is None and provider.is_local:
        return Entry(key, LOOPBACK)
    try:
        return Entry(key, access.own_range())
    except UnreachableError as error:
        if wanted.is_demanded:
            raise
        runtime.progress.warn(f"port 22 stays closed: {error.message}; `--ssh-from` opens it")
        return Entry(key)
