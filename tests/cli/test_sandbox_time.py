"""`run` on instances of the sandbox in a time that the test moves: the last moment, and a sandbox that is stopped."""

import io
import json
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread

import pytest
from support.clock import FakeClock
from support.clouds import LoopbackAws

import gpuctl
from gpuctl.cli.main import main
from gpuctl.cli.terminal.streams import Streams

AWS = ("g4dn.xlarge", "--region", "us-east-1")


class Sandbox:
    """A sandbox in this process, as `--sandbox` finds it."""

    def __init__(self, cloud: LoopbackAws, folder: Path) -> None:
        self.cloud, self.folder, self.clock = cloud, folder, FakeClock()
        cloud.now = self.clock.now
        self.environ = {"XDG_STATE_HOME": str(folder), "HOME": str(folder), "PATH": os.environ["PATH"]}
        self.address = folder / "gpuctl" / "sandbox" / "address.json"
        document = {"url": cloud.url, "pid": os.getpid(), "nonce": "loopback", "version": gpuctl.__version__}
        self.address.write_text(json.dumps({**document, "startedAt": "2026-11-24T10:00:00+00:00"}))

    def run(self, *argv: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        streams = Streams(io.StringIO(), out, err)
        code = main(["--sandbox", *argv], clock=self.clock, environ=self.environ, streams=streams)
        assert "Traceback" not in err.getvalue(), err.getvalue()
        return code, out.getvalue(), err.getvalue()

    def when_begun(self, act: Callable[[], object]) -> Thread:
        """Does that as soon as a command has made the file `begun` in the home folder of an instance."""

        def watch() -> None:
            while not list((self.address.parent / "instances").rglob("begun")):
                Event().wait(0.05)
            act()

        thread = Thread(target=watch, daemon=True)
        thread.start()
        return thread


@pytest.fixture
def sandbox(cloud: LoopbackAws, tmp_path: Path) -> Iterator[Sandbox]:
    folder = tmp_path / "gpuctl" / "sandbox"
    folder.mkdir(parents=True, mode=0o700)
    with cloud.with_instances(folder):
        yield Sandbox(cloud, tmp_path)


def test_work_goes_to_on_demand_at_the_last_moment_and_finishes_in_time(sandbox: Sandbox) -> None:
    def interrupt_late() -> None:
        sandbox.clock.move(timedelta(minutes=38))
        (cloud_id,) = (each["id"] for each in sandbox.cloud.instances() if each["state"] == "running")
        sandbox.cloud.interrupt(cloud_id)

    watch = sandbox.when_begun(interrupt_late)
    # Only the first instance is spot, and only on-demand has no home folder from before.
    command = f"[ -e {sandbox.folder}/once ] && echo done && exit; touch {sandbox.folder}/once begun; sleep 600"
    code, out, err = sandbox.run("run", *AWS, "--finish-by", "75m", "--work", "30m", "--", command)
    watch.join(timeout=60)
    assert (code, out) == (0, "done\n"), err
    assert "was interrupted; the work continues on another instance" in err
    listed = json.loads(sandbox.run("list", "--all", "-o", "json")[1])["instances"]
    second, first = sorted(listed, key=lambda each: str(each["createdAt"]), reverse=True)
    assert [(each["market"], each["statusReason"]) for each in (first, second)] == [
        ("spot", "interrupted"),
        ("on-demand", "user"),
    ]
    (decision,) = (entry["detail"] for entry in second["history"] if entry["event"] == "decided")
    assert decision.startswith("on-demand: after a loss, a full run on-demand would no longer finish in time")
    # 38 minutes are over and a start takes 6: a full run fits into what is left, a minute later it would not.
    assert "(37m left" in decision or "(36m left" in decision


def test_run_ends_soon_when_the_sandbox_is_stopped(sandbox: Sandbox) -> None:
    def stop() -> None:
        sandbox.address.unlink()
        while not ended.is_set():
            # A connection that is made after the first cut would stay.
            sandbox.cloud.ask("POST", "/gpuctl-sandbox/network/cut")
            ended.wait(0.2)

    ended = Event()
    watch = sandbox.when_begun(stop)
    begun = sandbox.clock.now()
    code, _, err = sandbox.run("run", *AWS, "--", "touch begun; sleep 600")
    ended.set()
    watch.join(timeout=60)
    assert (code, err.splitlines()[-2:]) == (
        201,
        ["error: the sandbox was stopped, and its instances ended with it", "hint: gpuctl sandbox start"],
    )
    assert sandbox.clock.now() - begun < timedelta(minutes=1)


def test_work_with_a_deadline_that_waits_ends_when_the_sandbox_is_stopped(sandbox: Sandbox) -> None:
    # Without a region that has capacity there is nothing to run, and the next decision is a tick away.
    sandbox.cloud.set_up(full={"*": [f"us-east-1{letter}" for letter in "abcdef"]})
    sleep = sandbox.clock.sleep

    def stop_and_sleep(span: timedelta) -> None:
        sandbox.address.unlink(missing_ok=True)
        sleep(span)

    sandbox.clock.sleep = stop_and_sleep  # type: ignore[method-assign]
    code, _, err = sandbox.run("run", *AWS, "--finish-by", "6h", "--work", "30m", "--", "true")
    assert (code, "the sandbox was stopped" in err) == (201, True), err
