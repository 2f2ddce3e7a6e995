"""The price lists that clouds publish: one reader per cloud, imported when it is first opened."""

from importlib import import_module

from gpuctl.distribution import install_extra
from gpuctl.domain.instance import ProviderName
from gpuctl.errors import UsageError
from gpuctl.providers.base import Connection
from gpuctl.providers.pricelists.base import PriceList
from gpuctl.providers.pricelists.patience import Patience

_MODULES = {
    ProviderName.AWS: "gpuctl.providers.pricelists.aws",
    ProviderName.AZURE: "gpuctl.providers.pricelists.azure",
}

READABLE = tuple(_MODULES)


def open_price_list(name: ProviderName, connection: Connection, patience: Patience) -> PriceList:
    """The price list of that cloud. Makes no call.

    UsageError where there is none to read, where its extra is not installed, or where its address is no safe one.
    """
    if name not in _MODULES:
        known = ", ".join(f"`{provider}`" for provider in _MODULES)
        raise UsageError(f"prices of `{name}` cannot be fetched yet", hint=f"one of {known}")
    try:
        module = import_module(_MODULES[name])
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("gpuctl"):
            raise
        raise UsageError(
            f"reading the prices of `{name}` needs `{error.name}`, which is not installed",
            hint=install_extra(name),
        ) from error
    opened: PriceList = module.open_price_list(connection, patience)
    return opened
