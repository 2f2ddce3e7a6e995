"""Types the README's install lines word for word, each in a fresh environment, and checks that gpuctl runs from there.

With `--full` it also types the hint for a missing extra, and runs the main job in the sandbox with what that installed.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Exit 1 with the output of the first command that did not do what the README promises."""
    with tempfile.TemporaryDirectory() as folder:
        clone = copy_tree(Path(folder) / "gpuctl")
        tools = install_tools(Path(folder) / "tools")
        for number, line in enumerate(install_lines((ROOT / "README.md").read_text())):
            bin_folder = Path(folder) / f"bin-{number}"
            check(line, clone, environment(Path(folder) / f"home-{number}", bin_folder, tools), bin_folder)
            print(f"ok    {line}", flush=True)


def install_lines(readme: str) -> list[str]:
    """The commands in the section "Install"."""
    section = readme.split("\n## Install\n")[1].split("\n## ")[0]
    lines = [line for block in re.findall(r"```\n(.*?)```", section, re.DOTALL) for line in block.splitlines()]
    assert len(lines) >= 2, lines
    return lines


def check(line: str, clone: Path, environ: Mapping[str, str], bin_folder: Path) -> None:
    """Type that line in the clone; then ask the installed program for its version and for a missing extra."""
    typed(["sh", "-c", line], clone, environ)
    program = str(bin_folder / "gpuctl")
    assert typed([program, "--version"], clone, environ).stdout.startswith("gpuctl "), line
    assert "g4dn.xlarge" in typed([program, "types", "--gpu", "T4"], clone, environ).stdout, line
    refused = typed([program, "sandbox", "start"], clone, environ, code=2)
    hint = refused.stderr.splitlines()[-1].removeprefix("hint: ")
    installer = line.partition(" install")[0]
    assert hint == f"{installer} install --force '{clone}[aws,sandbox]'", hint
    if "--full" in sys.argv:
        typed(["sh", "-c", hint], clone, environ)
        path = f"{bin_folder}{os.pathsep}{environ['PATH']}"
        typed(["sh", "scripts/demo.sh"], clone, {**environ, "PATH": path})


def typed(argv: list[str], folder: Path, environ: Mapping[str, str], code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, and stop this script unless it exits with that code."""
    done = subprocess.run(argv, cwd=folder, env=dict(environ), capture_output=True, text=True, check=False)
    if done.returncode != code:
        sys.exit(f"{' '.join(argv)}: exit {done.returncode}, not {code}\n{done.stdout}{done.stderr}")
    return done


def copy_tree(clone: Path) -> Path:
    """A copy of what git would put into a clone now, without what was built here."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, clone / name)
    return clone


def install_tools(folder: Path) -> Path:
    """A folder with pipx and uv in it."""
    venv.create(folder, with_pip=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "pipx", "uv"], check=True)
    return folder / "bin"


def environment(home: Path, bin_folder: Path, tools: Path) -> dict[str, str]:
    """This environment, with pipx and uv told to keep everything below `home`."""
    return {
        **os.environ,
        "PATH": f"{tools}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PIPX_HOME": str(home / "pipx"),
        "PIPX_BIN_DIR": str(bin_folder),
        "PIPX_MAN_DIR": str(home / "man"),
        "PIPX_DEFAULT_PYTHON": sys.executable,
        "UV_TOOL_DIR": str(home / "uv"),
        "UV_TOOL_BIN_DIR": str(bin_folder),
        "UV_PYTHON": sys.executable,
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_CONFIG_HOME": str(home / "config"),
    }


if __name__ == "__main__":
    main()
