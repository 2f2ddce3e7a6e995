"""Connects what services need with the implementations that this invocation uses."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from gpuctl.domain.instance import Market, Price, ProviderName
from gpuctl.errors import UsageError
from gpuctl.services.runtime import Runtime
from gpuctl.services.sessions import Sessions
from gpuctl.store.local.cooldown import LocalRefusals

if TYPE_CHECKING:
    from gpuctl.cli.context import Context
    from gpuctl.domain.money.cost import Extras
    from gpuctl.providers.base import Provider


def runtime_of(context: "Context") -> Runtime:
    """What services are built of. Opens no socket: a provider is opened by the service that first needs it."""

    def provider(name: ProviderName, profile: str | None) -> "Provider":
        from gpuctl.cli.connecting import connection_of
        from gpuctl.providers.base import Connection
        from gpuctl.providers.registry import open_provider

        if not context.sandbox:
            return open_provider(name, connection_of(context, profile))
        return open_provider(name, Connection(sandbox_url=sandbox_url(context)))

    def price_of(name: ProviderName, instance_type: str, region: str, market: Market) -> Price | None:
        try:
            return context.catalog.offer(context.catalog.find(instance_type, name), region, market).price
        except UsageError:
            return None

    def extras_of(name: ProviderName, region: str, disk_gb: int | None) -> "Extras":
        return context.extras.of(name, region, disk_gb)

    def every_region() -> Mapping[ProviderName, Collection[str]]:
        from gpuctl.providers.registry import is_supported

        return {name: context.catalog.regions(name) for name in ProviderName if is_supported(name)}

    return Runtime(
        store=context.store,
        sessions=Sessions(provider, context.clock, context.progress),
        clock=context.clock,
        progress=context.progress,
        price_of=price_of,
        max_ttl=context.config.max_ttl,
        every_region=every_region,
        budgets=context.config.budget,
        extras_of=extras_of,
        access=context.access,
        refusals=LocalRefusals(context.state_path),
    )


def sandbox_url(context: "Context") -> str:
    """The address of the sandbox's server, which is started if it does not run."""
    from gpuctl.cli.sandboxed import address

    return address(context.sandbox_folder, context.progress)
