"""Builds wheel and source distribution into dist/, checks what is in them, and runs the main job from the wheel.

The emulated clouds are a second wheel. Both are installed into an empty environment outside the clone. Nothing is
published.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import venv
from collections.abc import Iterable
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
COMPLETIONS = {
    "share/bash-completion/completions/gpuctl": "completions/gpuctl.bash",
    "share/zsh/site-functions/_gpuctl": "completions/_gpuctl",
    "share/fish/vendor_completions.d/gpuctl.fish": "completions/gpuctl.fish",
}
BUILT = {"__pycache__", ".venv", ".git", ".hypothesis"}


def main() -> None:
    """Exit 1 with the reason at the first step that fails; dist/ then holds what was built so far."""
    name = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["name"].replace("-", "_")
    shutil.rmtree(DIST, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
        wheel, source = found(f"{name}-[0-9]*.whl"), found(f"{name}-[0-9]*.tar.gz")
        clouds = found(f"{name}_sandbox-*.whl")
        refuse("wheel", missing_of_wheel(names_of_wheel(wheel)), unwanted_of_wheel(names_of_wheel(wheel)))
        refuse("source distribution", missing_of_source(names_of_source(source)), unwanted(names_of_source(source)))
        refuse("wheel of the emulated clouds", missing_of_clouds(names_of_wheel(clouds)), [])
        refuse("wheel's metadata", [], direct_references(wheel))
        print(f"ok    {wheel.name}, {source.name}, {clouds.name}: contents as they must be", flush=True)
        run_main_job(Path(folder), wheel, clouds)
    print("ok    the main job, from the wheel in an empty environment; nothing was published")


def build(folder: Path) -> None:
    """Build the source distribution, and the wheel from it, as an index would get them."""
    venv.create(folder / "build", with_pip=True)
    python = str(folder / "build" / "bin" / "python")
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "build")
    for project in (ROOT, ROOT / "sandbox"):
        run(python, "-m", "build", "--outdir", str(DIST), str(project), environ={**os.environ, "GPUCTL_RELEASE": "1"})


def missing_of_wheel(names: Iterable[str]) -> list[str]:
    """What the wheel lacks: each file of the package, the man page, the completions, the licence."""
    present = set(names)
    package = [f"gpuctl/{path.relative_to(ROOT / 'src' / 'gpuctl')}" for path in tree(ROOT / "src" / "gpuctl")]
    shared = ["share/man/man1/gpuctl.1", *COMPLETIONS]
    lacking = [name for name in package if name not in present]
    lacking += [name for name in shared if not any(item.endswith(f".data/data/{name}") for item in present)]
    return lacking + ([] if any(item.endswith("/licenses/LICENSE") for item in present) else ["LICENSE"])


def missing_of_clouds(names: Iterable[str]) -> list[str]:
    """What the wheel of the emulated clouds lacks."""
    present, source = set(names), ROOT / "sandbox" / "src"
    return [name for path in tree(source) if (name := str(path.relative_to(source))) not in present]


def unwanted_of_wheel(names: Iterable[str]) -> list[str]:
    """What does not belong into the wheel: tests, scripts, the emulated clouds, and what was built on the way."""
    foreign = ("tests", "scripts", "docs", "sandbox", "gpuctl_sandbox")
    return [name for name in names if name.split("/")[0] in foreign] + unwanted(names)


def direct_references(wheel: Path) -> list[str]:
    """The requirements that name a folder or a URL: right in a clone, wrong in an index."""
    with ZipFile(wheel) as file:
        (name,) = [name for name in file.namelist() if name.endswith(".dist-info/METADATA")]
        lines = file.read(name).decode().splitlines()
    return [line for line in lines if line.startswith("Requires-Dist:") and " @ " in line]


def missing_of_source(names: Iterable[str]) -> list[str]:
    """What the source distribution lacks of the tracked folders."""
    present = set(names)
    folders = [path for part in ("src", "tests", "docs", "completions", "scripts") for path in tree(ROOT / part)]
    files = [ROOT / item for item in ("README.md", "CHANGELOG.md", "LICENSE", "Makefile", "pyproject.toml")]
    return [name for path in (*folders, *files) if (name := str(path.relative_to(ROOT))) not in present]


def unwanted(names: Iterable[str]) -> list[str]:
    """What was built on the way and is nobody's to ship."""
    return [name for name in names if BUILT & set(Path(name).parts) or name.endswith(".pyc")]


def run_main_job(folder: Path, wheel: Path, clouds: Path) -> None:
    """The demo with the gpuctl of these wheels: the real commands, in the sandbox, from outside the clone."""
    venv.create(folder / "empty", with_pip=True)
    bin_folder = folder / "empty" / "bin"
    pip = [str(bin_folder / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(*pip, str(clouds))  # first: the extra then asks no index for its name
    run(*pip, f"{wheel}[aws,sandbox]")
    for name in COMPLETIONS:
        if not (folder / "empty" / name).exists():
            sys.exit(f"the installed wheel has no {name}")
    shutil.copy(ROOT / "scripts" / "demo.sh", folder / "demo.sh")
    path = f"{bin_folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    ignored = ("PYTHONPATH", "VIRTUAL_ENV")
    environ = {name: value for name, value in os.environ.items() if name not in ignored} | {"PATH": path}
    run("sh", str(folder / "demo.sh"), folder=folder, environ=environ)


def tree(folder: Path) -> list[Path]:
    """The files below that folder, without what was built there."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not unwanted([str(path)]))


def names_of_wheel(wheel: Path) -> list[str]:
    """The names in the wheel."""
    with ZipFile(wheel) as file:
        return file.namelist()


def names_of_source(source: Path) -> list[str]:
    """The names in the source distribution, without its own folder."""
    with tarfile.open(source) as file:
        return [member.name.partition("/")[2] for member in file.getmembers()]


def found(pattern: str) -> Path:
    """The one file of that name in dist/."""
    files = list(DIST.glob(pattern))
    if len(files) != 1:
        sys.exit(f"dist/ has {len(files)} files {pattern}, not 1")
    return files[0]


def refuse(what: str, lacking: list[str], wrong: list[str]) -> None:
    """Stop where something is missing in it or does not belong there."""
    if lacking or wrong:
        sys.exit(f"the {what} lacks {lacking or 'nothing'}, and has {wrong or 'nothing'} that does not belong there")


def run(*argv: str, folder: Path = ROOT, environ: dict[str, str] | None = None) -> None:
    """Run a program to its end, and stop this script with its output where it fails."""
    done = subprocess.run(argv, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    main()
