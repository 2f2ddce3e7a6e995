"""How one state's machines are got onto: by which key, as whom, by which way, and what is remembered of them."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from gpuctl.remote.echo import AWS_ECHO, own_address
from gpuctl.remote.keys import NAME, Key, named_key, own_key


@dataclass(frozen=True, slots=True)
class Access:
    """What the settings and the place of the state say about ssh. Making one touches nothing.

    `folder` is where this state keeps its own key and what it knows of its machines; `key_file` a person's key, to be
    used instead; `user` whom to log in as, where the cloud's own word does not hold; `options` are further ones of
    ssh, each `Key=Value`; `echo` the service to ask for a caller's public address instead of AWS's.
    """

    folder: Path
    key_file: Path | None = None
    user: str | None = None
    options: tuple[str, ...] = ()
    echo: str | None = None

    @property
    def may_have_key(self) -> bool:
        """Whether there is a key, or one can be made."""
        return bool(self.key_file or (self.folder / NAME).exists() or shutil.which("ssh-keygen"))

    def key(self) -> Key:
        """The key that goes onto machines; gpuctl's own pair is made when it is first asked for.

        UsageError where it cannot be read or made, StateUnusableError where its folder takes no file.
        """
        return named_key(self.key_file) if self.key_file else own_key(self.folder)

    def own_range(self) -> str:
        """The range of one that the caller's public address makes; raises as `own_address` does."""
        return own_address(self.echo or AWS_ECHO)
