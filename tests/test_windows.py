"""On Windows gpuctl is one line and exit code 2: no traceback, and nothing loaded that Windows lacks."""

import os
import subprocess
import sys

import pytest

# Takes away what CPython on Windows does not have, as an import of the real one would find it.
_AS_ON_WINDOWS = """
import os, runpy, signal, sys, time
for name in ("fcntl", "grp", "pty", "pwd", "resource", "termios", "tty"):
    sys.modules[name] = None
taken = ((time, ["clock_gettime"]), (signal, ["SIGHUP", "SIGALRM", "setitimer"]), (os, ["getuid", "killpg"]))
for module, names in taken:
    for name in names:
        delattr(module, name)
for module, prefix in ((time, "CLOCK_"), (os, "O_")):
    for name in [name for name in vars(module) if name.startswith(prefix)]:
        if name not in ("O_RDONLY", "O_WRONLY", "O_RDWR", "O_CREAT", "O_EXCL", "O_TRUNC", "O_APPEND"):
            delattr(module, name)
sys.platform = "win32"
before = set(sys.modules)
try:
    START
finally:
    print(sorted(name for name in set(sys.modules) - before))
"""
_STARTS = {
    "the console script": "from gpuctl.start import entry; entry()",
    "python -m": "sys.argv = ['gpuctl', '--version']; runpy.run_module('gpuctl', run_name='__main__', alter_sys=True)",
}


@pytest.mark.parametrize("start", _STARTS.values(), ids=_STARTS.keys())
def test_windows_gets_one_line_that_names_wsl2(start: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _AS_ON_WINDOWS.replace("START", start)],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    error, hint = done.stderr.splitlines()
    assert error == "error: gpuctl does not run on Windows itself"
    assert "wsl --install" in hint
    loaded = {name for name in eval(done.stdout) if name.startswith("gpuctl")}
    assert loaded - {"gpuctl.__main__"} == {"gpuctl", "gpuctl.start"}
