"""`gpuctl prices`: show the source and age of price data, and fetch current prices."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Annotated

import typer

from gpuctl.cli import options
from gpuctl.cli.commands.prices.render import refreshed, status
from gpuctl.cli.context import Context
from gpuctl.cli.parameters import INSTANCE_TYPE, option
from gpuctl.cli.render.result import Result, overall_error
from gpuctl.domain.instance import Market, ProviderName
from gpuctl.errors import GpuctlError, Interrupted, PartialError, StateUnusableError
from gpuctl.services.prices import OnRegion, PriceRefresh, PriceStatus
from gpuctl.services.prices import refresh as fetch

EXAMPLES = """\
gpuctl prices
gpuctl prices refresh --region us-east-1
gpuctl prices refresh --provider azure
gpuctl prices refresh --accept g4dn.xlarge"""


def show(ctx: typer.Context, provider: options.Provider = None, region: options.Region = None) -> Result:
    """Show the source and age of price data. Sends no network requests."""
    context: Context = ctx.find_root().obj
    return _status(context, context.wiring.catalog.providers(provider, region), region)


def refresh(
    ctx: typer.Context,
    provider: options.Provider = None,
    region: options.Region = None,
    accept: Annotated[
        list[str] | None,
        option(INSTANCE_TYPE, "Accept the new price of TYPE even if implausible (repeatable)"),
    ] = None,
) -> Result:
    """Fetch current prices from the providers.

    Uses credentials only for a price list that is not public. Incomplete downloads are discarded. Implausible prices
    are rejected, and the previous price is kept.
    """
    context: Context = ctx.find_root().obj
    # A region that the catalog does not know yet may be fetched from a provider that is named.
    clouds = [provider] if provider else context.wiring.catalog.providers(None, region)
    accepted = [context.wiring.catalog.find(text, provider).name for text in accept or ()]
    if context.sandbox:
        return _status(context, clouds, region, "nothing to refresh: the sandbox uses the bundled prices")
    return _refreshed(context, clouds, region, accepted)


def _status(context: Context, clouds: Sequence[ProviderName], region: str | None, note: str | None = None) -> Result:
    now = context.clock.now()
    return status([_status_of(context, provider, region, now.date()) for provider in clouds], now, note)


def _status_of(context: Context, provider: ProviderName, region: str | None, today: date) -> PriceStatus:
    offers = [
        offer
        for market in Market
        for offer in context.wiring.catalog.offers(provider, market)
        if region in (None, offer.region)
    ]
    if context.sandbox:
        return PriceStatus(provider, offers, None, None, today)
    known = context.wiring.price_books
    try:
        book = known.read(provider)
    except StateUnusableError:
        # The catalog has warned of it already.
        book = None
    return PriceStatus(provider, offers, book, str(known.path(provider)), today)


def _refreshed(context: Context, clouds: Sequence[ProviderName], region: str | None, accepted: Sequence[str]) -> Result:
    done: list[PriceRefresh] = []
    failed: dict[str, GpuctlError] = {}
    for provider in clouds:
        try:
            done.append(_read(context, provider, region, accepted))
        except GpuctlError as error:
            failed[provider] = error
        except Interrupted as interrupted:
            raise Interrupted(
                f"interrupted; the prices of `{provider}` are unchanged", signal_number=interrupted.signal_number
            ) from interrupted
    files = {refreshed.provider: str(context.wiring.price_books.path(refreshed.provider)) for refreshed in done}
    partial = PartialError(
        f"fetched the prices of {len(done)} of {len(clouds)} providers; the others are unchanged",
        hint=f"gpuctl prices refresh --provider {next(iter(failed), '')}",
    )
    return refreshed(done, files, failed, overall_error(failed, len(clouds), partial))


def _read(context: Context, name: ProviderName, region: str | None, accepted: Sequence[str]) -> PriceRefresh:
    from gpuctl.providers.registry import open_price_list
    from gpuctl.providers.retry import Retry

    wiring = context.wiring
    connection = wiring.connection(wiring.config.cloud(name).profile)
    price_list = open_price_list(name, connection, Retry(context.clock))
    with _progress(context, name) as on_region:
        return fetch(
            price_list,
            region,
            wiring.catalog,
            wiring.price_books,
            context.clock,
            believed=accepted,
            on_region=on_region,
        )


@contextmanager
def _progress(context: Context, name: ProviderName) -> Iterator[OnRegion]:
    """A bar on a terminal, a line in a pipe, nothing when quiet."""
    if context.globals.quiet:
        yield lambda region, number, total: None
    elif not context.progress.is_active:
        yield _on_region(context, name)
    else:
        with _bar(context, name) as on_region:
            yield on_region


def _on_region(context: Context, name: ProviderName) -> OnRegion:
    def on_region(region: str, number: int, total: int) -> None:
        if number == 0:
            where = f"`{region}`" if total == 1 else f"{total} regions"
            context.progress.info(f"fetching prices of `{name}` in {where}")

    return on_region


@contextmanager
def _bar(context: Context, name: ProviderName) -> Iterator[OnRegion]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(
        file=context.streams.err,
        width=context.width,
        force_terminal=True,
        no_color=not context.has_color,
        markup=False,
        highlight=False,
    )
    columns = (
        TextColumn("prices of {task.fields[cloud]}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[region]}"),
    )
    # Redrawn by hand, once a region: no thread of its own, and nothing is left of it at the end.
    with Progress(*columns, console=console, auto_refresh=False, transient=True) as progress:
        task = progress.add_task("", total=None, cloud=name.value, region="")

        def on_region(region: str, number: int, total: int) -> None:
            progress.update(task, completed=number, total=total, region=region, refresh=True)

        yield on_region
