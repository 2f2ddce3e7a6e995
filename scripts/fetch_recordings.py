"""Fetch Microsoft's own recordings of Azure's replies, for the tests that read them: `make recordings`.

They were taken against the real Azure in 2020 and 2021 and ship in old source distributions on the package index.
To download those pip builds their metadata, which takes an old setuptools: it gets a virtual environment of its own
that is thrown away. Nothing but the recordings is kept. Twice is the same as once; exit 1 if they cannot be had.
"""

import hashlib
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

FOLDER = Path(__file__).parents[1] / ".venv" / "recordings"
SOURCES = {
    ("azure-mgmt-compute", "20.0.0"): "7920bea2e11d78fa616992813aea470a8fb50eab2e646e032e138f93d53b70e8",
    ("azure-mgmt-network", "11.0.0"): "7fdfc631c660cb173eee88abbb7b8be7742f91b522be6017867f217409cd69bc",
    ("azure-mgmt-resource", "10.0.0"): "bd9a3938f5423741329436d2da09693845c2fad96c35fadbd7c5ae5213208345",
}


def main() -> int:
    missing = [source for source in SOURCES if not (FOLDER / source[0]).is_dir()]
    if not missing:
        return 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        try:
            pip = _old_pip(Path(place) / "venv")
            for name, version in missing:
                _unpack(_fetched(pip, name, version, Path(place)), FOLDER / name, Path(place))
        except (subprocess.CalledProcessError, ValueError) as error:
            print(f"no recordings of Azure's replies: {_reason(error)}", file=sys.stderr)
            return 1
    print(f"fetched Microsoft's recordings of Azure's replies into {FOLDER}")
    return 0


def _old_pip(place: Path) -> list[str]:
    venv.create(place, with_pip=True)
    pip = [str(place / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    _run([*pip, "install", "setuptools<60", "wheel"])
    return pip


def _fetched(pip: list[str], name: str, version: str, place: Path) -> Path:
    requested = ["download", "--no-deps", "--no-build-isolation", "--no-binary", name, "--dest", str(place)]
    _run([*pip, *requested, f"{name}=={version}"])
    archive = place / f"{name}-{version}.zip"
    if hashlib.sha256(archive.read_bytes()).hexdigest() != SOURCES[name, version]:
        raise ValueError(f"`{archive.name}` is not the one that was looked at")
    return archive


def _unpack(archive: Path, target: Path, place: Path) -> None:
    draft = place / target.name
    draft.mkdir()
    with zipfile.ZipFile(archive) as opened:
        for name in opened.namelist():
            if name.endswith(".yaml") and "/recordings/" in name:
                (draft / Path(name).name).write_bytes(opened.read(name))
    _move(draft, target)


def _move(draft: Path, target: Path) -> None:
    # Renamed as a whole in the end, so that a run cut short leaves nothing that looks complete.
    beside = target.with_name(f"{target.name}.new")
    beside.mkdir(exist_ok=True)
    for recording in draft.iterdir():
        (beside / recording.name).write_bytes(recording.read_bytes())
    beside.replace(target)


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        body = [line for line in (error.stderr or "").splitlines() if line.strip()]
        return body[-1] if body else str(error)
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
