"""Carries files and folders to an instance and back, as tar streams over ssh, with nothing left to a shell to read."""

import os
import posixpath
import shlex
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from gpuctl.domain.duration import as_typed
from gpuctl.domain.wording import last_line
from gpuctl.errors import CloudError, UsageError
from gpuctl.remote.line import CONNECTION_FAILED, SshConnection, failure, stop

_ANSWERS = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Transfer:
    """One file or folder. Where `target` is a folder, or ends with a slash, it goes into it under its own name."""

    source: str
    target: str


def transfer(text: str, *, option: str) -> Transfer:
    """What `SRC:DST` says. UsageError for anything else."""
    source, colon, target = text.partition(":")
    if not colon or not source or not target or not text.isprintable():
        raise UsageError(f"{option} must be SRC:DST, not {as_typed(text)}", hint=f"such as `{option} data:data`")
    return Transfer(source, target)


def check_upload(transfer: Transfer) -> None:
    """UsageError where there is nothing of that name here."""
    if not Path(transfer.source).expanduser().exists():
        raise UsageError(f"{as_typed(transfer.source)} does not exist (from --upload)", hint="check `--upload`")


def upload(line: SshConnection, transfer: Transfer) -> None:
    """Put it onto the instance, over what is there. UnreachableError if the connection broke; again is harmless.

    CloudError if the instance refused it.
    """
    source = Path(transfer.source).expanduser()
    remote = _remote(transfer.target)
    into_folder = remote.endswith("/") or _is_folder(line, remote)
    folder, name = (remote, source.resolve().name) if into_folder else posixpath.split(remote)
    place = shlex.quote(folder or ".")
    process = line.open(f"mkdir -p -- {place} && exec tar -xf - -C {place}")
    assert process.stdin is not None
    assert process.stderr is not None
    try:
        try:
            with tarfile.open(fileobj=process.stdin, mode="w|", dereference=False) as tar:
                tar.add(source.resolve(), arcname=name, filter=_without_owner)
            process.stdin.close()
        except BrokenPipeError:
            # The message of ssh, or of tar on the instance, has the reason.
            pass
        content = process.stderr.read()
        _require_success(line, process.wait(), content, f"{transfer.source} was not uploaded")
    finally:
        stop(process)


def download(line: SshConnection, transfer: Transfer) -> None:
    """Fetch it from the instance. Raises as `upload` does.

    The instance may be anybody's by then: the local tar takes no path that leads out of the folder.
    """
    location, target = _remote(transfer.source).rstrip("/") or "/", Path(transfer.target).expanduser()
    folder, name = posixpath.split(location)
    into_folder = transfer.target.endswith("/") or target.is_dir()
    place = target if into_folder else target.parent
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".gpuctl-", dir=place) as passing:
        process = line.open(
            f"exec tar -cf - -C {shlex.quote(folder or '.')} -- {shlex.quote(name)}", stdin=subprocess.DEVNULL
        )
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            unpacked = subprocess.run(
                ["tar", "-x", "-f", "-", "--no-same-owner", "-C", str(place if into_folder else passing)],
                stdin=process.stdout, stderr=subprocess.PIPE, check=False,
            )  # fmt: skip
            content = process.stderr.read()
            _require_success(line, process.wait(), content, f"{transfer.source} was not downloaded")
        finally:
            stop(process)
        if unpacked.returncode != 0:
            raise CloudError(f"{transfer.source} was not downloaded: {last_line(unpacked.stderr)}")
        if not into_folder:
            os.replace(Path(passing) / name, target)


def _remote(path: str) -> str:
    """The path as it is named from the home folder, where ssh begins."""
    if path in ("~", "~/"):
        return "./"
    return path.removeprefix("~/")


def _is_folder(line: SshConnection, path: str) -> bool:
    return line.ask(f"test -d {shlex.quote(path)}\n".encode(), within=_ANSWERS).code == 0


def _without_owner(member: tarfile.TarInfo) -> tarfile.TarInfo:
    # Who owns it here is nobody's business there.
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def _require_success(line: SshConnection, code: int, output: bytes, what: str) -> None:
    if code == CONNECTION_FAILED:
        raise failure(line.target, output)
    if code != 0:
        raise CloudError(f"{what}: {last_line(output) or 'no reason given'}")
