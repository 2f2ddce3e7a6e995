"""The distribution gpuctl was installed from: its name, the command that adds an extra, and a foreign namesake.

`NAME` is the only place in the code that states the name; a test compares it with pyproject.toml. The command and the
import package are `gpuctl`. A distribution of that name in the public index belongs to somebody else.
"""

import json
import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from shlex import quote

NAME = "gpuctl-cloud"
FOREIGN = "gpuctl"

_OF_EXTRA = re.compile(r"([\w.-]+).*;.*\bextra == ['\"]([\w-]+)['\"]")
_OUR_ENTRY = "gpuctl.cli.main:entry"


class Installer(StrEnum):
    """The program that manages the environment gpuctl is installed in."""

    PIPX = "pipx"
    UV_TOOL = "uv tool"
    PIP = "pip"
    UV = "uv"


@dataclass(frozen=True, slots=True)
class Installation:
    """How this gpuctl was installed.

    `source` is the folder or the URL it came from, None for a package index. `extras` are those present already.
    """

    installer: Installer
    python: str
    source: str | None = None
    is_editable: bool = False
    extras: tuple[str, ...] = ()


def install_extra(extra: str) -> str:
    """The command that adds an extra to this very installation of gpuctl. Reads the environment; changes nothing."""
    return add_extra(read_installation(), extra)


def add_extra(installation: Installation, extra: str) -> str:
    """The command that adds an extra to that installation, in one line for a shell."""
    # pipx and uv tool make the environment anew from what is typed: an extra that is not named again would be lost.
    isolated = installation.installer in (Installer.PIPX, Installer.UV_TOOL)
    extras = sorted({*installation.extras, extra}) if isolated else [extra]
    requirement = _requirement(installation.source, extras)
    editable = "-e " if installation.is_editable else ""
    match installation.installer:
        case Installer.PIPX:
            return f"pipx install --force {'--editable ' if editable else ''}{requirement}"
        case Installer.UV_TOOL:
            return f"uv tool install --force {editable}{requirement}"
        case Installer.UV:
            return f"uv pip install --python {quote(installation.python)} {editable}{requirement}"
        case Installer.PIP:
            return f"{quote(installation.python)} -m pip install {editable}{requirement}"


def install_package(requirement: str) -> str:
    """The command that adds a package of others to the environment of this gpuctl. Changes nothing."""
    return add_package(read_installation(), requirement)


def add_package(installation: Installation, requirement: str) -> str:
    """The command that adds a package of others to that installation, in one line for a shell."""
    match installation.installer:
        case Installer.PIPX:
            return f"pipx inject {NAME} {quote(requirement)}"
        case Installer.UV_TOOL:
            installed = _requirement(installation.source, sorted(installation.extras))
            editable = "-e " if installation.is_editable else ""
            return f"uv tool install --force --with {quote(requirement)} {editable}{installed}"
        case Installer.UV:
            return f"uv pip install --python {quote(installation.python)} {quote(requirement)}"
        case Installer.PIP:
            return f"{quote(installation.python)} -m pip install {quote(requirement)}"


def read_installation() -> Installation:
    """How this gpuctl was installed, from the files that installers leave in its environment."""
    from importlib.metadata import PackageNotFoundError, distribution
    from importlib.util import find_spec

    try:
        document = json.loads(distribution(NAME).read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        document = {}
    prefix = Path(sys.prefix)
    if (prefix / "pipx_metadata.json").exists():
        installer = Installer.PIPX
    elif (prefix / "uv-receipt.toml").exists():
        installer = Installer.UV_TOOL
    else:
        installer = Installer.PIP if find_spec("pip") else Installer.UV
    source, is_editable = _source(document)
    return Installation(installer, sys.executable, source, is_editable, tuple(_installed_extras()))


def find_foreign(folders: Iterable[str] | None = None) -> str | None:
    """The version of the foreign distribution `gpuctl` in one of the folders (by default those Python imports from).

    None where there is none. Reads one folder listing, or two, and opens a file only where the name is there.
    """
    for folder in sys.path if folders is None else folders:
        if not folder.endswith("-packages"):
            continue
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        for name in names:
            is_named = name.startswith(f"{FOREIGN}-") and name.endswith((".dist-info", ".egg-info"))
            if is_named and not _is_ours(Path(folder, name)):
                return name.removeprefix(f"{FOREIGN}-").rpartition(".")[0]
    return None


def remove_foreign() -> str:
    """The command that removes the foreign distribution and restores what it has overwritten of ours."""
    installation = read_installation()
    python = quote(installation.python)
    pip = (
        f"uv pip uninstall --python {python}"
        if installation.installer is Installer.UV
        else f"{python} -m pip uninstall"
    )
    return f"{pip} {FOREIGN}, then install {NAME} again"


def _is_ours(folder: Path) -> bool:
    # Clones made before the distribution had a name of its own were installed under the foreign one.
    try:
        return _OUR_ENTRY in (folder / "entry_points.txt").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def _requirement(source: str | None, extras: Iterable[str]) -> str:
    listed = ",".join(extras)
    listed = f"[{listed}]" if listed else ""
    if source is None:
        return f"'{NAME}{listed}'"
    if "://" in source:
        return f"'{NAME}{listed} @ {source}'"
    return quote(f"{source}{listed}")


def _source(origin: dict[str, object]) -> tuple[str | None, bool]:
    """Folder or URL, and whether it is editable, of what `direct_url.json` states."""
    from urllib.parse import unquote, urlsplit

    url = origin.get("url")
    if not isinstance(url, str):
        return None, False
    folder, vcs = origin.get("dir_info"), origin.get("vcs_info")
    if isinstance(folder, dict) and url.startswith("file:"):
        return unquote(urlsplit(url).path), folder.get("editable") is True
    if isinstance(vcs, dict):
        revision = vcs.get("requested_revision")
        return f"{vcs.get('vcs')}+{url}" + (f"@{revision}" if revision else ""), False
    return url, False


def _installed_extras() -> Iterable[str]:
    """The extras of which every requirement is installed, in any version."""
    from importlib.metadata import PackageNotFoundError, distribution

    missing: dict[str, bool] = {}
    try:
        requirements = distribution(NAME).requires or ()
    except PackageNotFoundError:
        return []
    for match in filter(None, map(_OF_EXTRA.match, requirements)):
        missing[match[2]] = missing.get(match[2], False) or not _is_installed(match[1])
    return sorted(extra for extra, is_missing in missing.items() if not is_missing)


def _is_installed(name: str) -> bool:
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
