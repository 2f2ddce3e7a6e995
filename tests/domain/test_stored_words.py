"""Records that were written with earlier words are still read."""

from support.instances import an_instance

from gpuctl.domain.instance import Instance
from gpuctl.domain.safeguards import Mechanism, Safeguard, SafeguardStatus

NOON = "2026-11-24T12:00:00Z"


def test_safeguards_that_were_stored_as_protection_are_read() -> None:
    stored = an_instance().model_dump(mode="json")
    del stored["safeguards"]
    old = {"killer": "timer", "standing": "seen running", "acts_at": None, "read_at": NOON, "detail": "a guard"}

    (safeguard,) = Instance.model_validate({**stored, "protection": [old]}).safeguards

    assert (safeguard.mechanism, safeguard.status, safeguard.detail) == (
        Mechanism.TIMER,
        SafeguardStatus.VERIFIED,
        "a guard",
    )
    assert Safeguard.model_validate_json(safeguard.model_dump_json()) == safeguard
