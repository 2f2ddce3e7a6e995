"""How an invocation reaches a cloud with the user's own credentials."""

from getpass import getpass
from typing import TYPE_CHECKING

from gpuctl.providers.base import Connection

if TYPE_CHECKING:
    from gpuctl.cli.context import Context


def connection_of(context: "Context", profile: str | None) -> Connection:
    """The connection by that profile, or by the ambient credentials. Only a person at a terminal is asked for codes."""

    def ask(question: str) -> str:
        context.progress.clear()
        return getpass(question)

    return Connection(
        profile=profile,
        environ=context.environ,
        ask=ask if context.may_ask else None,
        hide=context.redactor.add,
    )
