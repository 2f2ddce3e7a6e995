"""The programs of an instance that must not be those of this computer: they come first in the PATH of its commands."""

import json
import shlex
import shutil
import sys
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from gpuctl_sandbox.guests.guest import Guest

POWER_FILE = "power"
LINK_LOCAL = "http://169.254.169.254"
_NVIDIA_SMI = Path(__file__).with_name("nvidia_smi.py")
# By the major version of the driver, from NVIDIA's table "CUDA Toolkit and Corresponding Driver Versions".
_CUDA = {"550": "12.4", "570": "12.8", "580": "13.0"}

# The time as shutdown(8) takes it; without one it is a minute from now. `halt` and `poweroff` act at once.
_SHUTDOWN = """\
#!/bin/sh
# Of the gpuctl sandbox: turns off the emulated instance, never this computer.
do=off in=1
case ${0##*/} in
    reboot) do=reboot in=0 ;;
    halt | poweroff) in=0 ;;
esac
while [ $# -gt 0 ]; do
    case $1 in
        -c) rm -f @POWER@ && exit 0 ;;
        -r | --reboot) do=reboot ;;
        -*) ;;
        now) in=0 ;;
        +[0-9]*) in=${1#+} ;;
        *:*) echo "shutdown: the sandbox takes \\`now\\` and \\`+MINUTES\\`" >&2; exit 1 ;;
    esac
    shift
done
echo "$do $(($(date +%s) + in * 60))" >@POWER@.new && mv @POWER@.new @POWER@
"""
_SYSTEMCTL = """\
#!/bin/sh
# Of the gpuctl sandbox: knows the power of the instance and the timers that are installed at boot.
for word in "$@"; do
    if [ "$asks" ]; then
        [ -e "@ENABLED@/$word" ] && echo active && exit 0
        echo inactive
        exit 3
    fi
    case $word in
        poweroff | halt) exec @BIN@/poweroff ;;
        reboot) exec @BIN@/reboot ;;
        enable) enables=yes ;;
        daemon-reload) exit 0 ;;
        start) starts=yes ;;
        is-active) asks=yes ;;
        *.timer) [ "$enables" ] && : >"@ENABLED@/$word" ;;
        *.service) [ "$starts" ] && : >"@ENABLED@/$word" ;;
    esac
done
[ "$enables$starts" ] && exit 0
echo "systemctl: the sandbox knows only power, enable, start and is-active" >&2
exit 1
"""
_SUDO = """\
#!/bin/sh
# Of the gpuctl sandbox: runs the command as the same user; it gives nobody the rights of root.
while [ $# -gt 0 ]; do
    case $1 in
        -u | -g | -h | -C | -p) shift 2 ;;
        --) shift; break ;;
        -*) shift ;;
        *=*) export "$1"; shift ;;
        *) break ;;
    esac
done
[ $# -gt 0 ] && exec "$@"
exec "${SHELL:-/bin/sh}"
"""
# The link-local address of a metadata service would be that of this computer.
_FETCH = """\
#!/bin/bash
# Of the gpuctl sandbox: the metadata service is the one of this instance.
words=() from=@LINK_LOCAL@ to=@METADATA@
for word in "$@"; do words+=("${word/#"$from"/$to}"); done
exec @PROGRAM@ "${words[@]}"
"""
_WHO = "#!/bin/sh\n# Of the gpuctl sandbox: who is on this instance.\n[ ! -e @TERMINALS@ ] || exec cat @TERMINALS@\n"
_SYNC = "#!/bin/sh\n# Of the gpuctl sandbox: not all disks of this computer.\n"
_SETSID = """\
#!/bin/sh
# Of the gpuctl sandbox, where the system has no setsid.
exec @PYTHON@ -I -c 'import os, sys
if os.fork(): os._exit(0)
os.setsid()
os.execvp(sys.argv[1], sys.argv[1:])' "$@"
"""


def install(guest: Guest, folder: Path, metadata: str) -> None:
    """Write the programs of this instance to `folder/bin`; raises OSError. A second call writes them again.

    `metadata` is the address of the instance's metadata service.
    """
    binaries = folder / "bin"
    binaries.mkdir(exist_ok=True)
    (folder / "enabled").mkdir(exist_ok=True)
    words = {
        "@POWER@": shlex.quote(str(folder / POWER_FILE)),
        "@BIN@": shlex.quote(str(binaries)),
        "@ENABLED@": str(folder / "enabled"),
        "@TERMINALS@": shlex.quote(str(folder / "terminals")),
        "@PYTHON@": shlex.quote(sys.executable),
        "@LINK_LOCAL@": LINK_LOCAL,
        "@METADATA@": metadata,
    }
    scripts = dict.fromkeys(("shutdown", "poweroff", "halt", "reboot"), _SHUTDOWN)
    scripts |= {"systemctl": _SYSTEMCTL, "sudo": _SUDO, "who": _WHO, "sync": _SYNC}
    for program in ("curl", "wget"):
        present = shutil.which(program)
        if present is not None:
            scripts[program] = _FETCH.replace("@PROGRAM@", shlex.quote(present))
    if shutil.which("setsid") is None:
        scripts["setsid"] = _SETSID
    if guest.gpus or guest.driver:
        command = shlex.join([sys.executable, "-I", str(_NVIDIA_SMI), str(folder / "gpus.json")])
        scripts["nvidia-smi"] = f'#!/bin/sh\nexec {command} "$@"\n'
        (folder / "gpus.json").write_text(json.dumps(_described(guest)), "utf-8")
    for name, script in scripts.items():
        for word, value in words.items():
            script = script.replace(word, value)
        path = binaries / name
        path.write_text(script, "utf-8")
        path.chmod(0o755)


def _described(guest: Guest) -> dict[str, object]:
    gpus = [
        {
            "name": gpu.name,
            "memory_mib": gpu.memory_mib,
            "power_w": gpu.power_w,
            "capability": gpu.capability,
            "uuid": f"GPU-{uuid5(NAMESPACE_URL, f'{guest.name}/{number}')}",
        }
        for number, gpu in enumerate(guest.gpus)
    ]
    return {"driver": guest.driver, "cuda": _CUDA.get(guest.driver.partition(".")[0], "13.0"), "gpus": gpus}
