"""The state in a table of DynamoDB."""

from gpuctl.clock import Clock
from gpuctl.store.base import State
from gpuctl.store.kind import StateKind
from gpuctl.store.opening import Surroundings, require_library


def open_state(
    url: str,
    *,
    kind: StateKind,
    clock: Clock,
    new_state_id: str | None = None,
    surroundings: Surroundings | None = None,
) -> State:
    """The state in the table of that URL. UsageError where the client library is not installed."""
    require_library("boto3", extra="aws", engine="DynamoDB")
    from gpuctl.store.dynamodb.engine import DynamoEngine
    from gpuctl.store.dynamodb.table import DynamoTable, read_address
    from gpuctl.store.shared.state import shared_state

    around = surroundings or Surroundings()
    table = DynamoTable(read_address(url), around.environ, clock)
    return shared_state(DynamoEngine(table, clock), around.known, kind=kind, clock=clock, new_state_id=new_state_id)
