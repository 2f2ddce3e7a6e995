"""The key that gets its owner onto instances: gpuctl's own pair, made when it is first needed, or a person's."""

import os
import pwd
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from gpuctl.domain.duration import as_typed
from gpuctl.errors import StateUnusableError, UsageError
from gpuctl.files import Disk, disk_hint, make_path_private, private_folder, write_whole
from gpuctl.platform import read_platform

NAME = "id_ed25519"
# One line of printable ASCII; its content goes into the user data of every instance.
_PUBLIC = re.compile(
    r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)|sk-[a-z0-9@.-]+) [A-Za-z0-9+/]{40,}={0,3}( [!-~ ]*)?"
)
_LONGEST = 4_096
LONGEST_KEY = 3_000


@dataclass(frozen=True, slots=True)
class SshKey:
    """A public key, in one line and without its comment, and the file that `ssh -i` is to be given for it."""

    public: str
    identity: Path


def has_name() -> bool:
    """Whether the user ID has a line in /etc/passwd, without which OpenSSH refuses to work."""
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        return False
    return True


def hint_without_name() -> str:
    """What a user without a name types; in an image whose /etc/passwd can be written."""
    return f"echo 'gpuctl:x:{os.getuid()}:0::/tmp:/bin/sh' >>/etc/passwd"


def own_key(folder: Path) -> SshKey:
    """gpuctl's own pair in that folder, made now if there is none; two processes at once get the same.

    UsageError where `ssh-keygen` is missing, StateUnusableError where the folder takes no file.
    """
    private = folder / NAME
    try:
        if not private.exists():
            _make(folder)
        if private.stat().st_mode & 0o077:
            make_path_private(private)
        return SshKey(_public_of(private), private)
    except OSError as error:
        raise StateUnusableError(
            f"the ssh key `{private}` cannot be used: {error.strerror}", hint=disk_hint(error, folder)
        ) from error


def named_key(path: Path) -> SshKey:
    """The key of that file, the public one or the private one beside it. UsageError where it cannot be used."""
    public = path if path.suffix == ".pub" else path.with_name(f"{path.name}.pub")
    try:
        text = public.read_text("utf-8-sig")
    except (OSError, ValueError) as error:
        raise UsageError(
            f"the ssh key `{public}` cannot be read",
            hint=f"ssh-keygen -y -f {path} > {public}, or check `ssh.public_key`",
        ) from error
    line = _checked(text)
    if line is None:
        raise UsageError(
            f"`{public}` is not a public SSH key: {as_typed(text.strip()[:20])}", hint="check `ssh.public_key`"
        )
    if len(line) > LONGEST_KEY:
        # A cloud may take no more than 16 KB of user data, and the guard is in there as well.
        raise UsageError(
            f"`{public}` has {len(line)} characters, and at most {LONGEST_KEY} fit into the user data of an instance",
            hint="ssh-keygen -t ed25519, and name that key in `ssh.public_key`",
        )
    private = public.with_suffix("")
    # Without the private file an agent may hold it; ssh then finds it there by the public one.
    return SshKey(line, private if private.exists() else public)


def _make(folder: Path) -> None:
    program = shutil.which("ssh-keygen")
    if program is None:
        raise UsageError(
            "`ssh-keygen` is not installed, so no SSH key can be created", hint=read_platform().install_ssh()
        )
    private_folder(folder)
    with tempfile.TemporaryDirectory(prefix=".key-", dir=folder) as making:
        pair = Path(making) / NAME
        done = subprocess.run(
            [program, "-q", "-t", "ed25519", "-N", "", "-C", "gpuctl", "-f", str(pair)],
            stdin=subprocess.DEVNULL, capture_output=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            lines = [f"exit code {done.returncode}", *done.stderr.decode("utf-8", "replace").split("\n")]
            last = next(line.strip() for line in reversed(lines) if line.strip())
            hint = f"ssh-keygen -t ed25519 -f {folder / NAME}" if has_name() else hint_without_name()
            raise UsageError(f"`ssh-keygen` created no key: {as_typed(last)}", hint=hint)
        # Only one process can create the link: no key is ever replaced by another.
        try:
            Disk().link(pair, folder / NAME)
        except FileExistsError:
            return


def _public_of(private: Path) -> str:
    public = private.with_name(f"{NAME}.pub")
    line = _checked(public.read_text("ascii", "replace")) if public.exists() else None
    if line is not None:
        return line
    # The private key is the truth; the line beside it is only its copy.
    program = shutil.which("ssh-keygen")
    if program is None:
        raise UsageError(
            "`ssh-keygen` is not installed, so no SSH key can be created", hint=read_platform().install_ssh()
        )
    done = subprocess.run(
        [program, "-y", "-P", "", "-f", str(private)], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    line = _checked(done.stdout.decode("ascii", "replace")) if done.returncode == 0 else None
    if line is None:
        raise UsageError(f"`{private}` is not an SSH key", hint=f"mv {private} {private}.bad, then run it again")
    write_whole(Disk(), public, f"{line} gpuctl\n".encode())
    return line


def _checked(text: str) -> str | None:
    """The key's type and its bytes; None unless it is exactly one public key."""
    line = text.strip()
    if len(line) > _LONGEST or not _PUBLIC.fullmatch(line):
        return None
    return " ".join(line.split()[:2])
