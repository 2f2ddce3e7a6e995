"""`gpuctl reaper package`: the zip with the reaper's function."""

import os
from pathlib import Path
from typing import Annotated

import typer

from gpuctl.cli.commands.reaper.bundle import PYTHON, Architecture, build, downloaded, requirements
from gpuctl.cli.context import Context
from gpuctl.cli.parameters import FILE, argument, choice, option, word_choice
from gpuctl.cli.render.result import Result
from gpuctl.errors import UsageError

EXAMPLES = """\
gpuctl reaper package aws
gpuctl reaper package aws --platform arm64 --to build/reaper.zip"""

_SERVICES = ("aws",)
_ARCHITECTURE = choice("PROCESSOR", Architecture)


def command(
    ctx: typer.Context,
    service: Annotated[str, argument(word_choice("PLATFORM", _SERVICES), "Service that runs the function", "aws")],
    to: Annotated[Path, option(FILE, "Zip file to write", "--to")] = Path("gpuctl-reaper.zip"),
    platform: Annotated[
        Architecture, option(_ARCHITECTURE, "Processor of the function: x86_64 or arm64", "--platform")
    ] = Architecture.X86_64,
) -> Result | None:
    """Build the zip file of the reaper function, with the packages that it needs.

    The packages are downloaded by pip, in the versions installed here, for Python 3.13 on Linux. The same versions give
    the same zip file. Prints its name to stdout and its size to stderr.
    """
    context: Context = ctx.find_root().obj
    if not to.parent.is_dir():
        raise UsageError(f"the folder `{to.parent}` does not exist", hint=f"mkdir -p {to.parent}")
    context.progress.step("downloading the packages of the function")
    bundle = build(downloaded(platform, requirements(service)))
    partial = to.with_name(f".{to.name}.{os.getpid()}")
    try:
        partial.write_bytes(bundle.content)
        os.replace(partial, to)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UsageError(f"cannot write `{to}`: {error.strerror}", hint="add `--to FILE`") from error
    context.progress.clear()
    size = f"{_megabytes(len(bundle.content))} MB, {_megabytes(bundle.unpacked_bytes)} MB unpacked"
    context.progress.info(f"{size}, for Python {PYTHON} on {platform}, sha256 {bundle.sha256[:16]}")
    if not context.is_output_chosen:
        context.streams.out.write(f"{to}\n")
        return None
    shape = {
        "file": str(to),
        "bytes": len(bundle.content),
        "unpackedBytes": bundle.unpacked_bytes,
        "sha256": bundle.sha256,
        "platform": platform.value,
        "python": PYTHON,
    }
    return Result({"package": shape}, columns=tuple(shape), rows=[[str(value) for value in shape.values()]])


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f}"
