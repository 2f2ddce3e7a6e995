"""`gpuctl complete`: what a shell offers on TAB, from the state and the catalog: no SDK, no socket, no complaint."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Annotated

import typer

from gpuctl.cli.context import Context
from gpuctl.domain.instance import ProviderName
from gpuctl.domain.market.offers import Availability
from gpuctl.errors import GpuctlError

# Half a command line stands there, options of other commands among it.
SETTINGS = {"ignore_unknown_options": True}


def command(
    ctx: typer.Context,
    what: Annotated[str, typer.Argument(metavar="ids|types|regions", help="What is asked for", show_default=False)],
    words: Annotated[list[str] | None, typer.Argument(metavar="WORD", help="What stands on the line so far")] = None,
) -> None:
    """Print what may stand there, a word a line. A shell asks this; what cannot be told is not told."""
    context: Context = ctx.find_root().obj
    # Somebody who presses TAB wants no message in the middle of the line.
    with suppress(GpuctlError):
        offered = _OFFERS.get(what, _nothing)(context, words or [])
        context.streams.out.write("".join(f"{text}\n" for text in offered))
        context.streams.out.flush()


def _ids(context: Context, words: list[str]) -> Iterable[str]:
    """Names and ids; those of ended machines only where they may still be asked about."""
    with_ended = "get" in words[:1]
    records = [record for record in context.wiring.store.snapshot().records if with_ended or record.is_live]
    return [*(record.name for record in records if record.name), *(record.id for record in records)]


def _types(context: Context, words: list[str]) -> Iterable[str]:
    return [
        kind.name
        for provider in ProviderName
        for kind in context.wiring.catalog.types(provider)
        if kind.availability is not Availability.RETIRED
    ]


def _regions(context: Context, words: list[str]) -> Iterable[str]:
    """Those of the type that stands on the line, else every cloud's."""
    for word in words:
        with suppress(GpuctlError):
            return sorted(context.wiring.catalog.regions(context.wiring.catalog.find(word).provider))
    return sorted(region for provider in ProviderName for region in context.wiring.catalog.regions(provider))


def _nothing(context: Context, words: list[str]) -> Iterable[str]:
    return ()


_OFFERS: dict[str, Callable[[Context, list[str]], Iterable[str]]] = {
    "ids": _ids,
    "types": _types,
    "regions": _regions,
}
