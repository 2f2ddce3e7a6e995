"""Boots, halts and removes instances as the emulated clouds state them, and publishes where they are reached."""

import asyncio
import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from threading import Event, RLock, Thread
from typing import TYPE_CHECKING, Any, Protocol

from gpuctl_sandbox.guests import processes
from gpuctl_sandbox.guests.guest import Guest
from gpuctl_sandbox.guests.network import Network
from gpuctl_sandbox.guests.units import Clock

if TYPE_CHECKING:
    from gpuctl_sandbox.guests.booted import BootedInstance

_WITHIN_S = 30
_LOOK_EVERY_S = 0.25
# Steps of the loop after which a connection that is being accepted or closed is accepted or closed.
_STEPS_TO_CLOSE = 5


class Host(Protocol):
    """What a cloud tells of its instances, and how one of them is powered off from inside."""

    def guests(self) -> Iterable[Guest]:
        """Every instance that exists now, running or not."""
        ...

    def power_off(self, instance_id: str, /) -> bool:
        """Let an instance power itself off. False if none that runs has that ID."""
        ...


class Instances:
    """The instances of all clouds. `settle` brings them into line with what the clouds state.

    Their files are in `folder/instances`; `folder/network.json` has the port of this computer for each public address
    whose port 22 is open to it, and for each that does not boot, why. `url` is the address of the sandbox. The SSH
    library is imported for the first instance that runs, so that a sandbox without instances starts as fast as before.
    """

    def __init__(self, folder: Path, clouds: Mapping[str, Host], url: str, clock: Clock) -> None:
        self.network = Network()
        self._clock = clock
        self._folder = folder / "instances"
        self._published = folder / "network.json"
        self._clouds = clouds
        self._url = url
        self._lock = RLock()
        self._booted: dict[str, BootedInstance] = {}
        self._failures: dict[str, str] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._threads: list[Thread] = []
        self._closed = Event()
        self._publish()
        if self._folder.exists():
            # A server that was killed could not clean up.
            processes.kill(self._folder)
            shutil.rmtree(self._folder, ignore_errors=True)

    def settle(self) -> None:
        """Boot what runs, halt what does not, and remove what exists no more."""
        with self._lock:
            if self._closed.is_set():
                return
            guests = {guest.name: guest for cloud in self._clouds.values() for guest in cloud.guests()}
            self._failures.clear()
            for name in [name for name in self._booted if name not in guests]:
                self._do(self._booted.pop(name).remove())
            for name, guest in guests.items():
                instance = self._booted.get(name)
                if instance is None and guest.is_running and (instance := self._new(guest)) is not None:
                    self._booted[name] = instance
                if instance is not None:
                    instance.guest = guest
                    if guest.is_running and not instance.is_up:
                        self._boot(instance)
                    elif instance.is_up and not guest.is_running:
                        self._do(instance.halt())
            self._publish()

    def cut(self) -> None:
        """Break every connection to every instance."""
        with self._lock:
            for instance in self._booted.values():
                self._do(instance.cut())

    def guest(self, name: str) -> Guest | None:
        """The instance of that name as it was when last settled; None if it does not run."""
        instance = self._booted.get(name)
        return instance.guest if instance is not None and instance.is_up else None

    def close(self) -> None:
        """Remove every instance and what was published. A second call has no effect."""
        with self._lock:
            self._closed.set()
            for instance in self._booted.values():
                self._do(instance.remove())
            self._booted.clear()
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._loop.stop)
        for thread in self._threads:
            thread.join()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._published.unlink(missing_ok=True)

    def _new(self, guest: Guest) -> "BootedInstance | None":
        """The instance, not booted; None where what it needs is missing on this computer."""
        try:
            from gpuctl_sandbox.guests.booted import BootedInstance

            self._folder.mkdir(mode=0o700, exist_ok=True)
        except (ImportError, OSError) as error:
            self._failed(guest, error)
            return None
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._threads = [
                Thread(target=_run, args=(self._loop,), daemon=True),
                Thread(target=self._watch, daemon=True),
            ]
            for thread in self._threads:
                thread.start()
        return BootedInstance(guest, self._folder / guest.name, self._clock, self._url, self.network)

    def _boot(self, instance: "BootedInstance") -> None:
        try:
            self._do(instance.boot())
        except OSError as error:
            self._failed(instance.guest, error)
            self._do(instance.halt())

    def _failed(self, guest: Guest, error: Exception) -> None:
        # The cloud's own calls must go on; the next one boots it again.
        sys.stderr.write(f"{guest.id} does not boot: {error!r}\n")
        if guest.address is not None:
            self._failures[guest.address] = str(error) or type(error).__name__

    def _do(self, work: Any) -> None:
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_WITHIN_S)

    def _watch(self) -> None:
        """Look for power that programs requested, and for what the clouds do as time passes."""
        while not self._closed.wait(_LOOK_EVERY_S):
            with self._lock:
                booted = [instance for instance in self._booted.values() if instance.is_up]
            now = time.time()
            for instance in booted:
                wanted = instance.wanted_power(now)
                if wanted == "off":
                    self._clouds[instance.guest.cloud].power_off(instance.guest.id)
                elif wanted == "reboot":
                    with self._lock:
                        self._do(instance.halt())
            if booted:
                self.settle()

    def _publish(self) -> None:
        ports = {
            instance.guest.address: instance.port
            for instance in self._booted.values()
            if instance.is_up and instance.guest.is_reachable
        }
        text = json.dumps({"ports": ports, "failures": self._failures})
        if self._published.exists() and self._published.read_text("utf-8") == text:
            return
        draft = self._published.with_name("network.json.new")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        draft.replace(self._published)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    """Run the loop until it is stopped; what is still to do then is given up."""
    loop.run_forever()
    loop.run_until_complete(_give_up())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


async def _give_up() -> None:
    # A connection that was just accepted is closed by whom it is given to.
    await _steps()
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await _steps()


async def _steps() -> None:
    for _ in range(_STEPS_TO_CLOSE):
        await asyncio.sleep(0)
