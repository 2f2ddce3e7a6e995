"""The zip of the reaper's function: gpuctl without its command line, and the packages that the function needs."""

import hashlib
import io
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import gpuctl
from gpuctl.distribution import NAME, install_package
from gpuctl.errors import UnreachableError, UsageError

PYTHON = "3.13"
# What only the command line and the store of files import.
_UNUSED = frozenset({"rich", "tinydb", "typer"})
_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)[^;]*?(;\s*extra == ['\"](?P<extra>[\w-]+)['\"])?")
# Two tags: pip takes older wheels of one kind for one tag, not for the other.
_WHEELS = ("manylinux_2_28", "manylinux2014")
# Zip has no earlier time. The same files give the same bytes whenever they are packed.
_EPOCH = (1980, 1, 1, 0, 0, 0)


class Architecture(StrEnum):
    """The processor of the function."""

    X86_64 = "x86_64"
    ARM64 = "arm64"


# Puts packages into a folder. Raises GpuctlError where that fails.
Fill = Callable[[Path], None]


@dataclass(frozen=True, slots=True)
class Bundle:
    """The content of a zip, the size of its files when they are unpacked, and the checksum of the content."""

    content: bytes
    unpacked_bytes: int

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def build(fill: Fill) -> Bundle:
    """Pack gpuctl and what `fill` puts into a folder. The same files give the same bytes. Raises what `fill` does."""
    with TemporaryDirectory() as text:
        folder = Path(text)
        fill(folder)
        # Programs of the packages; they name the Python of this computer.
        shutil.rmtree(folder / "bin", ignore_errors=True)
        _copy_gpuctl(folder)
        return _packed(folder)


def requirements(extra: str, declared: Iterable[str] | None = None) -> list[str]:
    """What the function needs of the packages that gpuctl declares: the common ones, and those of the extra."""
    from importlib.metadata import PackageNotFoundError, requires

    if declared is None:
        try:
            declared = requires(NAME) or ()
        except PackageNotFoundError:
            declared = ()
    selected = []
    for line in declared:
        match = _REQUIREMENT.fullmatch(line.strip())
        if match and match["extra"] in (None, extra) and match["name"] not in _UNUSED:
            selected.append(line.partition(";")[0].strip())
    if not selected:
        raise UsageError(f"the metadata of {NAME} is missing in this environment", hint=f"install {NAME} again")
    return selected


def downloaded(
    architecture: Architecture, wanted: Sequence[str], pip: Sequence[str] | None = None, timeout_s: float = 600
) -> Fill:
    """Downloads wheels for the function's Python and processor, in the versions that are installed here.

    `pip` is the command; None searches for it. Raises UsageError without pip, and UnreachableError where it fails.
    """

    def fill(folder: Path) -> None:
        command = pip or find_pip()
        machine = "aarch64" if architecture is Architecture.ARM64 else architecture.value
        with TemporaryDirectory() as text:
            constraints = Path(text) / "constraints.txt"
            constraints.write_text("".join(f"{line}\n" for line in _installed()))
            arguments = [
                *("install", "--target", str(folder), "--only-binary", ":all:", "--no-compile", "--quiet"),
                *("--no-input", "--disable-pip-version-check", "--constraint", str(constraints)),
                *("--python-version", PYTHON, "--implementation", "cp"),
                *(word for wheels in _WHEELS for word in ("--platform", f"{wheels}_{machine}")),
                *wanted,
            ]
            try:
                done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=timeout_s)
            except subprocess.TimeoutExpired:
                raise UnreachableError("pip did not finish in 10 minutes", hint=_RETRY) from None
            except OSError as error:
                raise UsageError(f"pip does not start: {error.strerror}", hint=install_package("pip")) from error
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")] or [done.stderr.strip()]
            reason = lines[-1].removeprefix("ERROR: ")
            raise UnreachableError(f"pip could not download the packages of the function: {reason}", hint=_RETRY)

    return fill


_RETRY = "check the network and pip's settings (pip config list), then run the same command again"


def find_pip(
    find_module: Callable[[str], object] = find_spec, find_program: Callable[[str], str | None] = shutil.which
) -> tuple[str, ...]:
    """The command that runs pip: of this Python, else the one on the path. UsageError where there is none."""
    if find_module("pip") is not None:
        return (sys.executable, "-m", "pip")
    program = find_program("pip3") or find_program("pip")
    if program is None:
        raise UsageError("pip is needed to download the packages of the function", hint=install_package("pip"))
    return (program,)


def _installed() -> list[str]:
    from importlib.metadata import distributions

    names = {each.metadata["Name"]: each.version for each in distributions() if each.metadata["Name"]}
    ours = {name for name in names if name.startswith(NAME)}
    # A local version, such as 2.1+cpu, is in no index.
    return sorted(f"{name}=={version}" for name, version in names.items() if name not in ours and "+" not in version)


def _copy_gpuctl(folder: Path) -> None:
    source = Path(gpuctl.__file__).parent
    unused = shutil.ignore_patterns("__pycache__", "*.pyc")

    def ignored(path: str, names: list[str]) -> set[str]:
        return {*unused(path, names), *({"cli", "start.py", "__main__.py"} if Path(path) == source else set())}

    shutil.copytree(source, folder / "gpuctl", ignore=ignored)


def _packed(folder: Path) -> Bundle:
    buffer, size = io.BytesIO(), 0
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as packed:
        for name in sorted(paths):
            if "/__pycache__/" in f"/{name}":
                continue
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o100644 << 16
            content = paths[name].read_bytes()
            size += len(content)
            packed.writestr(entry, content)
    return Bundle(buffer.getvalue(), size)
