"""Runs other programs of this computer to their end, and names this one."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from gpuctl.distribution import NAME
from gpuctl.errors import UsageError
from gpuctl.services.scheduling.process import ProcessResult, Run
from gpuctl.services.scheduling.program import is_cached, stable_path

_PATIENCE_S = 30


def runner(environ: Mapping[str, str]) -> Run:
    """Runs programs found by that environment's PATH, with that environment."""

    def run(argv: Sequence[str], typed: str) -> ProcessResult:
        program = shutil.which(argv[0], path=environ.get("PATH", os.defpath))
        if program is None:
            return ProcessResult(None, "", f"`{argv[0]}` is not installed")
        try:
            done = subprocess.run(
                [program, *argv[1:]],
                input=typed,
                capture_output=True,
                encoding="utf-8",
                errors="surrogateescape",
                timeout=_PATIENCE_S,
                env=dict(environ),
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return ProcessResult(-1, "", str(error))
        return ProcessResult(done.returncode, done.stdout, done.stderr)

    return run


def started_bare(argv: Sequence[str], environ: Mapping[str, str], patience_s: float) -> ProcessResult:
    """The end of that command, started with this environment and nothing of the present one."""
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="replace",
            timeout=patience_s, env=dict(environ), cwd="/", check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return ProcessResult(-1, "", str(error))
    return ProcessResult(done.returncode, done.stdout, done.stderr)


def own_program(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The command of this gpuctl by absolute paths, of which the program survives an upgrade.

    UsageError for a gpuctl in a cache folder, as uvx and `pipx run` start it.
    """
    script = Path(sys.executable).with_name("gpuctl")
    if is_cached(script, environ):
        raise UsageError(
            f"`{script}` is in a cache folder and may be deleted, so a schedule cannot use it",
            hint=f"install it first: uv tool install {NAME}, or pipx install {NAME}",
        )
    if os.access(script, os.X_OK):
        return (str(stable_path(script, shutil.which("gpuctl", path=environ.get("PATH", os.defpath)))),)
    return (sys.executable, "-P", "-m", "gpuctl")
