"""Checks everything that instances need to start and to be terminated.

A check is a function that returns findings. Those of this computer are in `LOCAL`, those of one provider in `CLOUD`;
add a check to its list. A check that raises an expected error has failed, with the error as its text.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from gpuctl.domain.diagnosis import Finding, Verdict
from gpuctl.errors import GpuctlError
from gpuctl.services.doctor import clouds, local, money
from gpuctl.services.doctor.setup import CheckedCloud, CheckedSetup

LOCAL: Sequence[Callable[[CheckedSetup], Iterable[Finding]]] = (
    local.version,
    local.platform,
    local.state,
    local.schedule,
    money.budget,
)
CLOUD: Sequence[Callable[[CheckedSetup, CheckedCloud], Iterable[Finding]]] = (
    clouds.clock,
    money.prices,
    clouds.type_,
    clouds.image,
    clouds.ingress,
    clouds.permissions,
)


def examine_local(setup: CheckedSetup) -> Iterator[Finding]:
    """What this computer shows, in order."""
    for check in LOCAL:
        yield from _findings(check.__name__.strip("_"), partial(check, setup))


def examine_cloud(setup: CheckedSetup, cloud: CheckedCloud) -> Iterator[Finding]:
    """What one cloud shows; nothing more than the login where that fails."""
    first = list(_findings("credentials", partial(clouds.login, setup, cloud)))
    yield from first
    if any(finding.verdict is Verdict.FAIL for finding in first):
        return
    for check in CLOUD:
        yield from _findings(check.__name__.strip("_"), partial(check, setup, cloud))


def _findings(name: str, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    try:
        yield from check()
    except GpuctlError as error:
        yield Finding(name, Verdict.FAIL, error.message, error.hint)
