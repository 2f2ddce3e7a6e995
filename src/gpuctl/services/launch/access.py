"""Decides, before anything is written, whose key a new instance carries and from where its port 22 can be reached."""

from collections.abc import Sequence
from dataclasses import dataclass

from gpuctl.domain.market.ssh_source import AUTO, EVERYWHERE, NONE, SshSource, is_wide
from gpuctl.errors import GpuctlError, UnreachableError, UsageError
from gpuctl.providers.base import Provider
from gpuctl.remote.access import Access
from gpuctl.services.progress import Progress

LOOPBACK = "127.0.0.1/32"


@dataclass(frozen=True, slots=True)
class SshAccess:
    """A public key and a range of addresses; None for no key, and for a port 22 that is opened to nobody."""

    key: str | None = None
    cidr: str | None = None


def other_sources(provider: Provider, region: str, subnet: str | None, cidr: str | None) -> Sequence[str]:
    """From where the network itself lets ssh in; where that cannot be read, a text that says so."""
    try:
        return provider.other_ssh_sources(region, subnet, cidr)
    except GpuctlError as error:
        return (f"unknown sources, {error.message}",)


def ssh_entry(access: Access | None, progress: Progress, provider: Provider, source: SshSource) -> SshAccess:
    """The key and range that new instances get. There is no fallback to a wider one: it is the requested one, or none.

    Where it was demanded, what prevents it is raised (UsageError, UnreachableError); else it is a warning, and the
    instance is started without.
    """
    if access is None:
        return SshAccess()
    must_have_key = source.is_demanded and source.text != NONE
    reason = access.no_key_because
    if reason is not None and not (must_have_key or provider.capabilities.needs_ssh_key):
        progress.warn(f"no SSH key is installed: {reason}")
        return SshAccess()
    key = access.key().public
    objection = provider.capabilities.ssh_keys.objection(key)
    if objection is not None:
        raise UsageError(
            f"{provider.name} accepts {objection}",
            hint="ssh-keygen -t ed25519, or leave `ssh.public_key` out of the config",
        )
    if source.text == NONE:
        return SshAccess(key)
    if source.text != AUTO:
        if source.text in EVERYWHERE:
            progress.warn(f"port 22 is open to everyone ({source.text})")
        elif is_wide(source.text):
            progress.warn(f"port 22 is open to a large range ({source.text})")
        return SshAccess(key, source.text)
    if access.echo is None and provider.is_local:
        return SshAccess(key, LOOPBACK)
    try:
        return SshAccess(key, access.own_range())
    except UnreachableError as error:
        if source.is_demanded:
            raise
        progress.warn(f"port 22 stays closed: {error.message}; `--ssh-from` opens it")
        return SshAccess(key)
