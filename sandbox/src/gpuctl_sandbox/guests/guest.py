"""What an emulated cloud states of an instance whose operating system can be used over SSH."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from email import message_from_string
from hashlib import sha256
from ipaddress import ip_address, ip_network

from gpuctl_sandbox.guests.gpus import Gpu

_LOOPBACK = ip_address("127.0.0.1")
_EVERYBODY = ("*", "Internet", "Any")
_KEYS = re.compile(r"^ssh_authorized_keys:\n((?:\s+- .*\n?)+)", re.MULTILINE)


@dataclass(frozen=True)
class Guest:
    """One instance that exists, as its cloud states it now.

    `address` is its public IPv4 address, None without one, and `ssh_from` who reaches its port 22. `logins` are pairs
    of a user and a public key that its create carried. `boot_script` is what cloud-init or the guest agent executes at
    every boot. `metadata` has the replies of its metadata service by path. `gpus` are empty where no NVIDIA GPU is, or
    where the driver of the image does not work with it (`driver` is then empty too).
    """

    cloud: str
    id: str
    is_running: bool
    address: str | None = None
    ssh_from: tuple[str, ...] = ()
    logins: tuple[tuple[str, str], ...] = ()
    boot_script: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
    gpus: tuple[Gpu, ...] = ()
    driver: str = ""

    @property
    def name(self) -> str:
        """A name for files: unique, and of letters, digits and dashes only."""
        readable = re.sub(r"[^A-Za-z0-9]+", "-", self.id.rpartition("/")[2])[:40]
        return f"{self.cloud}-{readable}-{sha256(self.id.lower().encode()).hexdigest()[:8]}"

    @property
    def is_reachable(self) -> bool:
        """Whether port 22 of the public address is open to this computer, which comes from 127.0.0.1."""
        return self.address is not None and any(_lets_loopback_in(source) for source in self.ssh_from)


def parts_of_user_data(user_data: str) -> dict[str, str]:
    """The text of each part by its content type; of user data that is one script, by the type of its first line."""
    message = message_from_string(user_data)
    if message.is_multipart():
        parts = [part for part in message.walk() if not part.is_multipart()]
        return {part.get_content_type(): str(part.get_payload()).lstrip() for part in parts}
    if user_data.startswith("#cloud-boothook"):
        return {"text/cloud-boothook": user_data.partition("\n")[2]}
    if user_data.startswith("#cloud-config"):
        return {"text/cloud-config": user_data}
    return {"text/x-shellscript": user_data} if user_data.startswith("#!") else {}


def keys_of_cloud_config(text: str) -> list[str]:
    """The entries of `ssh_authorized_keys`."""
    matches = _KEYS.search(text)
    return [line.strip().removeprefix("- ").strip() for line in matches[1].splitlines()] if matches else []


def public_keys(lines: Iterable[str]) -> list[str]:
    """Type and base64 of each public key, without its comment."""
    return [" ".join(line.split()[:2]) for line in lines if len(line.split()) >= 2]


def _lets_loopback_in(source: str) -> bool:
    if source in _EVERYBODY:
        return True
    try:
        return _LOOPBACK in ip_network(source, strict=False)
    except ValueError:
        return False
