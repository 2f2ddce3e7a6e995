"""The public JSON of failures and of what they are about."""

from typing import Any

from gpuctl.errors import Failure


def error_shape(error: Failure) -> dict[str, Any]:
    """A failure, for scripts to switch on."""
    return {
        "code": error.code.value,
        "message": error.message,
        "hint": error.hint,
        "retryable": error.retryable,
        "exitCode": error.exit_code,
    }


def scope_shape(provider: str | None, account: str | None = None, region: str | None = None) -> dict[str, Any]:
    """What an action or an error without an instance is about; null where it is not about one of them."""
    return {"provider": provider.upper() if provider else None, "account": account, "region": region}
