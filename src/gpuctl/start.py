"""The entry point. It imports nothing that Windows lacks, so that Windows gets one line and no traceback."""

import sys


def entry() -> None:
    """Run the command line of this process; on Windows, exit with 2 and say what to use."""
    if sys.platform == "win32":
        sys.stderr.write(
            "error: gpuctl does not run on Windows itself\n"
            "hint: it runs in WSL2: type `wsl --install`, then install gpuctl in the Linux that it sets up\n"
        )
        sys.exit(2)
    from gpuctl.cli.main import entry as run

    run()
