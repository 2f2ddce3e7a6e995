"""The books of prices read from the clouds, and the catalog that uses them."""

from typing import TYPE_CHECKING

from gpuctl.catalog import Catalog
from gpuctl.domain.instance import ProviderName
from gpuctl.domain.prices import PriceBook
from gpuctl.errors import StateUnusableError, UsageError

if TYPE_CHECKING:
    from gpuctl.cli.context import Context
    from gpuctl.store.prices import LocalPrices


def books(context: "Context") -> "LocalPrices":
    """Where they are: beside the state. UsageError where nobody has a home to keep one in."""
    from gpuctl.store.prices import LocalPrices

    return LocalPrices(context.state_path.parent / "prices")


def catalog(context: "Context") -> Catalog:
    """Shapes and prices, those read since included; in the sandbox only what ships."""

    def read_since(provider: ProviderName) -> PriceBook | None:
        try:
            kept = books(context)
        except UsageError:
            # Where nobody has a home nothing can have been kept.
            return None
        try:
            return kept.read(provider)
        except StateUnusableError as error:
            context.talk.warn(f"{error.message}; the prices that ship with gpuctl are used")
            return None

    return Catalog() if context.sandbox else Catalog(read_since)
