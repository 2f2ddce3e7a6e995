"""Types of options and arguments of the commands about pools and leases."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

from gpuctl.cli.parameters import ID, ParameterType, argument, choice, text
from gpuctl.domain.pools.policy import POLICY_FORMS, parse_policy
from gpuctl.domain.pools.spec import PoolMarket, Reuse
from gpuctl.errors import GpuctlError

if TYPE_CHECKING:
    from gpuctl.cli.context import Context


def _text(text: str, name: str) -> str:
    return text


def _pools(context: "Context", words: Sequence[str]) -> Iterable[str]:
    with suppress(GpuctlError):
        return sorted(context.wiring.state.pools.read())
    return ()


def _leases(context: "Context", words: Sequence[str]) -> Iterable[str]:
    records = context.wiring.store.snapshot().records
    return [record.pool.lease.id for record in records if record.pool is not None and record.pool.lease is not None]


POOL = ParameterType("POOL", _text, _pools)
LEASE = ParameterType("LEASE", _text, _leases)
ID_OR_LEASE = ParameterType("ID|LEASE", _text, lambda *args: [*ID.candidates(*args), *_leases(*args)])
POLICY = ParameterType("POLICY", lambda text, name: str(parse_policy(text, option=name)), lambda *_: POLICY_FORMS)
REUSE = choice("WHO", Reuse)
MARKET = choice("MARKET", PoolMarket)
QUEUE, COMMAND, UNIT = text("QUEUE"), text("COMMAND"), text("UNIT")

PoolName = Annotated[str, argument(POOL, "Name of the pool", "NAME")]
LeaseId = Annotated[str, argument(LEASE, "ID of the lease")]
