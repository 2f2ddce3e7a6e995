"""An `Engine` on a table of DynamoDB."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from botocore.exceptions import ClientError

from gpuctl.clock import Clock
from gpuctl.domain.instance import Instance
from gpuctl.errors import StateLockedError, StateUnusableError
from gpuctl.store.dynamodb import items
from gpuctl.store.dynamodb.items import Item
from gpuctl.store.dynamodb.schema import TABLE, script
from gpuctl.store.dynamodb.table import DynamoTable, refused_as
from gpuctl.store.shared.engine import Contents, Document, DocumentKind, Fence, Header, Row, Write
from gpuctl.store.shared.header import no_longer_target, not_initialized
from gpuctl.store.shared.lost_reply import written

_READS = 5
# With the check of the header and the token: a third of what a transaction may have, because records can be large.
_FILLED_AT_ONCE = 30


class DynamoEngine:
    """A state in one table. Making one connects to nothing."""

    # A transaction has at most 100 actions, of which two are for the header and the token.
    largest_write = 96

    def __init__(self, table: DynamoTable, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    @property
    def location(self) -> str:
        return self._table.location

    @property
    def script(self) -> str:
        return script(self._table.address.name)

    def set_patience(self, span: timedelta) -> None:
        self._table.patience = span

    def create(self, header: Header) -> None:
        self._create_table()
        condition = {"ConditionExpression": "attribute_not_exists(p)"}
        # Another process may have been first.
        with suppress(ClientError):
            self._table.call("put_item", Item=items.header_item(header), **condition)

    def replace_header(self, header: Header) -> None:
        self._create_table()
        present = [{"DeleteRequest": {"Key": items.key(items.RECORDS, name)}} for name in self._rows()]
        self._table.batch(present)
        self._table.call("put_item", Item=items.header_item(header))

    def header(self) -> Header | None:
        try:
            reply = self._table.call("get_item", Key=items.HEADER_KEY, ConsistentRead=True)
        except ClientError:
            # Without a table nothing was ever initialized, as without a header.
            return None
        return items.header_of(reply["Item"]) if "Item" in reply else None

    def load(self) -> Contents | None:
        after = self.header()
        for _ in range(_READS):
            if after is None:
                return None
            header, rows = after, self._rows()
            after = self.header()
            if after is not None and after.serial == header.serial:
                break
        # Under writers that never pause each record is right, and the serial is from before all of them: a guard that
        # was computed on these records loses its race.
        return Contents(header, rows)

    def fetch(self, ids: Sequence[str]) -> Contents | None:
        header = self.header()
        if header is None:
            return None
        matches: dict[str, Item] = {}
        for name in ids:
            reply = self._table.call("get_item", Key=items.key(items.RECORDS, name), ConsistentRead=True)
            if "Item" in reply:
                matches[name] = reply["Item"]
        return Contents(header, {name: _row(item) for name, item in matches.items()})

    def commit(self, write: Write) -> bool:
        actions = items.actions_of(write, write.serial)
        if write.forget:
            # Without conditions and repeatable: first those, so that a crash leaves them counted as present.
            self._forget(write.forget)
        return self._write(actions)

    def fill(self, records: Sequence[Instance] | None, archived: Sequence[Instance]) -> None:
        if archived:
            # Ended records do not change: an older copy is the same, so that no condition is needed.
            self._check_filling()
            puts = [item for record in archived for item in items.archive_items(record)]
            self._table.batch([{"PutRequest": {"Item": item}} for item in puts])
        if records is None:
            return
        wanted = {record.id for record in records}
        unwanted = [name for name in self._rows() if name not in wanted]
        actions: list[Item] = [{"Delete": {"Key": items.key(items.RECORDS, name)}} for name in unwanted]
        for place, record in enumerate(records):
            actions.append({"Put": {"Item": items.record_item(record, 1, f"{place:020}")}})
        for first in range(0, len(actions), _FILLED_AT_ONCE):
            self._fill(actions[first : first + _FILLED_AT_ONCE])

    def archived(self, since: datetime | None = None) -> Iterable[tuple[str, str]]:
        months = sorted({item["month"]["S"] for item in self._query(items.ARCHIVED)}, reverse=True)
        first = items.since_key(since) if since is not None else ""
        for month in months:
            if month >= first[:7]:
                for item in self._query(items.month_of(month), first=first, is_newest_first=True):
                    yield item["id"]["S"], items.body_in(item)

    def find_archived(self, text: str) -> Sequence[tuple[str, str]]:
        places = {item["k"]["S"]: item for item in self._query(f"name#{text}")} if text else {}
        places |= {item["k"]["S"]: item for item in self._query(items.ARCHIVED, beginning=text)}
        matches = []
        for name in sorted(places):
            place = places[name]
            key = items.key(items.month_of(place["month"]["S"]), place["at"]["S"])
            reply = self._table.call("get_item", Key=key, ConsistentRead=True)
            if "Item" in reply:
                matches.append((name, items.body_in(reply["Item"])))
        return matches

    def count_archived(self) -> int:
        return sum(1 for _ in self._query(items.ARCHIVED))

    def document(self, kind: DocumentKind, name: str) -> Document | None:
        reply = self._existing("get_item", Key=items.key(f"document#{kind}", name), ConsistentRead=True)
        return items.document_of(reply["Item"], self._table.read_at) if "Item" in reply else None

    def documents(self, kind: DocumentKind) -> Mapping[str, Document]:
        matches = list(self._query(f"document#{kind}"))
        return {item["k"]["S"]: items.document_of(item, self._table.read_at) for item in matches}

    def put_document(
        self,
        kind: DocumentKind,
        name: str,
        document: Document | None,
        expected: int | None,
        fence: Fence | None = None,
        *,
        counted: Write | None = None,
    ) -> bool:
        header = items.actions_of(counted, None) if counted else []
        return self._write([*header, *items.document_actions(kind, name, document, expected, fence)])

    def append_history(self, name: str, entries: Sequence[tuple[datetime, str, str]]) -> None:
        self._table.batch([{"PutRequest": {"Item": item}} for item in items.history_items(name, entries)])

    def history(self, name: str, since: datetime) -> Iterable[str]:
        return [items.body_in(item) for item in self._query(f"history#{name}", first=items.since_key(since))]

    def histories(self) -> Sequence[str]:
        return [item["k"]["S"] for item in self._query(items.HISTORIES)]

    def forget_history(self, before: datetime) -> None:
        limit = items.since_key(before)
        for name in self.histories():
            keys = [item["k"]["S"] for item in self._query(f"history#{name}") if item["k"]["S"] < limit]
            self._table.batch([{"DeleteRequest": {"Key": items.key(f"history#{name}", text)}} for text in keys])

    def now(self) -> datetime:
        self.header()
        return self._table.read_at

    def _fill(self, actions: Sequence[Item]) -> None:
        # Another process that does the same move may finish it at any moment, and then the state is in use.
        check = {"Key": items.HEADER_KEY, "ConditionExpression": "attribute_exists(incomingFrom)"}
        for _ in range(_READS):
            if self._write([{"ConditionCheck": dict(check)}, *actions]):
                return
            self._check_filling()
        raise StateLockedError(f"other processes kept writing to `{self.location}`", hint="run it again")

    def _check_filling(self) -> None:
        header = self.header()
        if header is None or header.incoming_from is None:
            raise no_longer_target(self.location)

    def _create_table(self) -> None:
        """Create the table unless it exists, and wait until it is active, also if another process creates it."""
        try:
            self._table.call("describe_table")
        except ClientError:
            # Another process may have been first.
            with suppress(ClientError):
                self._table.call("create_table", **TABLE)
        self._table.wait_until_created()
        ttl = {"Enabled": True, "AttributeName": "expires"}
        # Refused where it is enabled already, and to those whose administrator made the table: nothing depends on it.
        with suppress(StateUnusableError):
            self._table.call("update_time_to_live", TimeToLiveSpecification=ttl)

    def _rows(self) -> dict[str, Row]:
        matches = sorted(self._query(items.RECORDS), key=lambda item: str(item["number"]["S"]))
        return {item["k"]["S"]: _row(item) for item in matches}

    def _query(
        self, partition: str, *, first: str = "", beginning: str = "", is_newest_first: bool = False
    ) -> Iterator[Item]:
        """The items of a partition, in the order of their keys, from a key on or with that beginning."""
        expression, values = "p = :p", {":p": {"S": partition}}
        if first or beginning:
            expression += " AND k >= :k" if first else " AND begins_with(k, :k)"
            values[":k"] = {"S": first or beginning}
        query = {"KeyConditionExpression": expression, "ExpressionAttributeValues": values, "ConsistentRead": True}
        try:
            for page in self._table.pages("query", **query, ScanIndexForward=not is_newest_first):
                yield from page["Items"]
        except ClientError as error:
            raise not_initialized(self.location) from error

    def _existing(self, operation: str, **arguments: object) -> Item:
        try:
            return self._table.call(operation, **arguments)
        except ClientError as error:
            raise not_initialized(self.location) from error

    def _forget(self, names: Sequence[str]) -> None:
        wanted = set(names)
        requests: list[Item] = []
        for item in self._query(items.ARCHIVED):
            name = item["k"]["S"]
            if name in wanted:
                keys = [items.key(items.month_of(item["month"]["S"]), item["at"]["S"]), items.key(items.ARCHIVED, name)]
                if "name" in item:
                    keys.append(items.key(f"name#{item['name']['S']}", name))
                requests += [{"DeleteRequest": {"Key": key}} for key in keys]
        self._table.batch(requests)

    def _write(self, actions: Sequence[Item]) -> bool:
        """Whether they were carried out: all of them, or none where a condition did not hold."""

        def send(token: str) -> bool:
            note = {"Item": items.commit_item(token, self._table.read_at, is_void=False)}
            condition = {"ConditionExpression": "attribute_not_exists(p)"}
            return self._table.transact([*actions, {"Put": {**note, **condition}}], token)

        return written(
            send, self._was_committed, location=self.location, patience=self._table.patience, clock=self._clock
        )

    def _was_committed(self, token: str) -> bool:
        """Whether the transaction with that token was carried out. If it was not yet, it never will be."""
        void = items.commit_item(token, self._table.read_at, is_void=True)
        try:
            self._table.call("put_item", Item=void, ConditionExpression="attribute_not_exists(p)")
        except ClientError as error:
            if refused_as(error) != "ConditionalCheckFailedException":
                raise not_initialized(self.location) from error
            reply = self._existing("get_item", Key=items.key(items.COMMITS, token), ConsistentRead=True)
            return reply.get("Item", {}).get("isVoid", {}).get("BOOL") is False
        return False


def _row(item: Item) -> Row:
    return Row(int(item["version"]["N"]), items.body_in(item))
