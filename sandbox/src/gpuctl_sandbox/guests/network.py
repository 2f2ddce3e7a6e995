"""The connections to the instances: as fast as loopback, or as slow and unreliable as they are set up to be."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

_CHUNK = 65_536


@dataclass
class Network:
    """What happens to connections. `delay_s`: seconds by which everything arrives late, in both directions.

    `cuts`: how many of the next connections break, each after `cut_after` bytes from the instance.
    """

    delay_s: float = 0.0
    cuts: int = 0
    cut_after: int = 0

    def change(self, settings: dict[str, Any]) -> None:
        """Set the named conditions. Raises ValueError, and changes nothing, for an unknown name or value."""
        for name, value in settings.items():
            kinds = (int, float) if name == "delay_s" else (int,)
            if name not in ("delay_s", "cuts", "cut_after") or type(value) not in kinds or value < 0:
                raise ValueError(f"unknown: {name}={value!r}; known: delay_s, cuts, cut_after, none below 0")
        for name, value in settings.items():
            setattr(self, name, value)


async def carry(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    inside: asyncio.StreamReader,
    outside: asyncio.StreamWriter,
    network: Network,
) -> None:
    """Carry bytes between a client (`reader`, `writer`) and the instance, until either ends or the network breaks it.

    `inside` is what the instance sends, and `outside` leads to it; both writers are closed afterwards.
    """
    tasks = {
        asyncio.create_task(_pump(reader, outside, network, cuts=False)),
        asyncio.create_task(_pump(inside, writer, network, cuts=True)),
    }
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        for end in (outside, writer):
            end.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, network: Network, *, cuts: bool) -> None:
    passed = 0
    with suppress(OSError):
        while chunk := await reader.read(_CHUNK):
            if network.delay_s:
                await asyncio.sleep(network.delay_s)
            passed += len(chunk)
            if cuts and network.cuts and passed > network.cut_after:
                network.cuts -= 1
                return
            writer.write(chunk)
            await writer.drain()
