"""What the services of pools work with in one invocation."""

from typing import TYPE_CHECKING

from gpuctl.domain.pools.load import QueueReading
from gpuctl.domain.pools.spec import Pool
from gpuctl.domain.tags import RECORD_ID_PREFIX
from gpuctl.home.forecasts import LocalForecasts
from gpuctl.services.pools.tools import Forecasts, NoForecasts, PoolTools
from gpuctl.services.record_id import new_record_id
from gpuctl.wiring.invocation import Wiring

if TYPE_CHECKING:
    from gpuctl.domain.market.request import Request
    from gpuctl.services.launch.offers import Choice


def open_pools(wiring: Wiring) -> PoolTools:
    """The pools of the selected state, with everything that their services need. Reads and writes nothing."""

    def chosen(request: "Request") -> "Choice":
        # Most ticks launch nothing.
        from gpuctl.services.launch.offers import choose
        from gpuctl.wiring.defaults import defaults_of

        return choose(request, defaults_of(wiring), wiring.runtime, wiring.catalog)

    def queue(pool: Pool) -> QueueReading:
        from gpuctl.wiring.queues import read_queue

        return read_queue(pool, wiring.connection(None))

    return PoolTools(
        runtime=wiring.runtime,
        pools=wiring.state.pools,
        choose=chosen,
        read_queue=queue,
        new_id=lambda: new_record_id().removeprefix(RECORD_ID_PREFIX),
        forecasts=_forecasts(wiring),
    )


def _forecasts(wiring: Wiring) -> Forecasts:
    folder = wiring.state_folder
    return NoForecasts() if folder is None else LocalForecasts(folder / "pools")
