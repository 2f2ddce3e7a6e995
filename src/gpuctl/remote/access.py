"""How one state's instances are got onto: by which key, as whom, by which way, and what is remembered of them."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gpuctl.domain.instance import Instance
from gpuctl.errors import StateUnusableError
from gpuctl.files import disk_hint, make_private, private_folder
from gpuctl.remote.keys import NAME, SshKey, has_name, named_key, own_key
from gpuctl.remote.sshconfig import KNOWN_HOSTS
from gpuctl.remote.target import Target, target


@dataclass(frozen=True, slots=True)
class Access:
    """The SSH settings and the folders of SSH files. Creating one touches no file.

    `key_folder` is where gpuctl's own key is, for every state of this computer; `state_folder` returns the folder for
    what is known of the instances of one state; `key_file` is a person's key, to be used instead; `user` whom to log in
    as, where the cloud's own word does not hold; `options` are further ones of ssh, each `Key=Value`; `echo` the
    service to ask for a caller's public address instead of the default one. `route` returns the options that lead a
    public key to a public address where ssh cannot connect to the address itself, as in the sandbox; they precede
    `options`.
    """

    key_folder: Path
    state_folder: Callable[[], Path]
    key_file: Path | None = None
    user: str | None = None
    options: tuple[str, ...] = ()
    echo: str | None = None
    route: Callable[[str, str], tuple[str, ...]] | None = None

    @property
    def no_key_because(self) -> str | None:
        """Why there is no key and none can be created; None where there is one, or one can be."""
        if self.key_file or (self.key_folder / NAME).exists():
            return None
        if not shutil.which("ssh-keygen"):
            return "`ssh-keygen` is not available"
        if not has_name():
            return f"the user ID {os.getuid()} has no name, and `ssh-keygen` needs one (a line in /etc/passwd)"
        return None

    def key(self) -> SshKey:
        """The key that goes onto instances; gpuctl's own pair is made when it is first asked for.

        UsageError where it cannot be read or made, StateUnusableError where its folder takes no file.
        """
        return named_key(self.key_file) if self.key_file else own_key(self.key_folder)

    def target(self, record: Instance, login: str | None = None) -> Target:
        """How ssh reaches the instance of that record, as `login` or the user of its image and the settings.

        What is remembered of its host key is in a file of its own. Raises as `key` and `remote.target.target` do.
        """
        known = self.state_folder() / KNOWN_HOSTS
        try:
            private_folder(known)
            # ssh would make it for everybody to read.
            descriptor = os.open(known / record.id, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            make_private(descriptor)
            os.close(descriptor)
        except OSError as error:
            raise StateUnusableError(
                f"`{known}` cannot be made: {error.strerror}", hint=disk_hint(error, known.parent)
            ) from error
        key = self.key()
        route = () if self.route is None else self.route(record.public_ip or "", key.public)
        return target(record, key.identity, known / record.id, login or self.user, (*route, *self.options))

    def own_range(self) -> str:
        """The range of one that the caller's public address makes; raises as `own_address` does."""
        # HTTP and TLS are loaded by those who ask.
        from gpuctl.remote.echo import DEFAULT_ECHO, own_address

        return own_address(self.echo or DEFAULT_ECHO)
