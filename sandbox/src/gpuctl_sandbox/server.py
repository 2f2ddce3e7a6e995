"""The sandbox as a process of its own: `python -m gpuctl_sandbox.server --folder DIR --nonce N`.

It answers on 127.0.0.1 only, says where in `DIR/address.json` as soon as it can, and logs to `DIR/server.log`. It ends
on a signal, after a day in which nobody asked it anything, and when the address file no longer names it: then another
server has taken its place, or its folder is gone, and nobody could find it.
"""

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread

from gpuctl_sandbox import __version__

IDLE_LIMIT = timedelta(hours=24)
LOOK_AROUND = timedelta(seconds=2)
_EMULATORS = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    # moto's 1300 images of every region are nothing to launch here and cost 30 ms each time one is first used.
    "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
    # A web page must not be able to read what a browser on this machine fetches from the sandbox.
    "MOTO_DISABLE_GLOBAL_CORS": "true",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to end, then take back the address. Returns the exit code."""
    options = _options(arguments)
    folder: Path = options.folder
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _let_go_of_the_parent(folder / "server.log")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(0))

    # moto and its SDK read these when they are imported.
    os.environ |= _EMULATORS
    # Only now: importing moto takes a second, and what it says belongs into the log.
    from gpuctl_sandbox.app import build_app, serve
    from gpuctl_sandbox.guests.instances import Instances
    from gpuctl_sandbox.guests.units import Clock

    app = build_app(options.nonce)
    server = serve(app, options.port)
    app.instances = Instances(folder, app.clouds, f"http://127.0.0.1:{server.port}", Clock(app.now))
    Thread(target=server.serve_forever, daemon=True).start()
    address = folder / "address.json"
    try:
        _write_address(address, server.port, options.nonce, app.started_at)
        pause = Event()
        while is_wanted(address, options.nonce, app.last_asked, datetime.now(UTC)):
            pause.wait(LOOK_AROUND.total_seconds())
    finally:
        app.instances.close()
        if _names(address, options.nonce):
            address.unlink(missing_ok=True)
    return 0


def is_wanted(address: Path, nonce: str, last_asked: datetime, now: datetime) -> bool:
    """Whether somebody could still find this server and has asked it anything within a day."""
    return _names(address, nonce) and now - last_asked < IDLE_LIMIT


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gpuctl_sandbox.server", description="Serve the gpuctl sandbox on 127.0.0.1.")
    parser.add_argument("--folder", type=Path, required=True, help="where the address and the log are written")
    parser.add_argument("--nonce", required=True, help="the name by which its starter knows it again")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    return parser.parse_args(arguments)


def _let_go_of_the_parent(log: Path) -> None:
    """Point the three standard streams elsewhere: a shell that reads our starter's output must see its end."""
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for stream, target in ((0, nothing), (1, written), (2, written)):
        os.dup2(target, stream)
    os.close(written)
    os.close(nothing)


def _write_address(address: Path, port: int, nonce: str, started_at: datetime) -> None:
    body = {
        "url": f"http://127.0.0.1:{port}",
        "pid": os.getpid(),
        "nonce": nonce,
        "startedAt": started_at.isoformat(),
        "version": __version__,
    }
    draft = address.with_name(f"address.{os.getpid()}.tmp")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(body, file)
    draft.replace(address)


def _names(address: Path, nonce: str) -> bool:
    try:
        document = json.loads(address.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and document.get("nonce") == nonce


if __name__ == "__main__":
    sys.exit(main())
