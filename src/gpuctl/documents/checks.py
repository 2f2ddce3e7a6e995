"""The public JSON of `gpuctl doctor` and `gpuctl selftest`."""

from typing import Any

from gpuctl.domain.diagnosis import Finding
from gpuctl.domain.instance import ProviderName
from gpuctl.domain.selftest import Check


def finding_shape(finding: Finding, provider: ProviderName | None) -> dict[str, str | None]:
    """One check of doctor; `provider` is null where the check is about this computer."""
    return {
        "check": finding.check,
        "status": finding.verdict.value,
        "provider": provider.upper() if provider else None,
        "message": finding.text,
        "hint": finding.hint,
    }


def check_shape(check: Check) -> dict[str, Any]:
    """One check of a self-test."""
    return {
        "name": check.name,
        "status": check.status.value,
        "detail": check.detail,
        "seconds": check.seconds,
        "observed": dict(check.observed),
    }
