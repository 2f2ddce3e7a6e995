"""How a state is kept in items of a table, and the actions that change them."""

import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from gpuctl.domain.instance import Instance
from gpuctl.store.kind import StateKind
from gpuctl.store.shared.bodies import body_of, ended_at
from gpuctl.store.shared.engine import Document, DocumentKind, Fence, Header, Write

Item = dict[str, Any]
HEADER_KEY: Item = {"p": {"S": "state"}, "k": {"S": "header"}}
RECORDS, ARCHIVED, HISTORIES, COMMITS = "records", "archived", "histories", "commits"
_FREE = "attribute_not_exists(movedTo) AND attribute_not_exists(incomingFrom) AND attribute_exists(stateId)"
_COMMIT_SECONDS = 86_400
# An item has at most 400 KB and a transaction 4 MB: a record with a long history, or 96 of them, stay below.
_LARGEST_PLAIN = 16_000


def key(partition: str, name: str) -> Item:
    """The key of an item."""
    return {"p": {"S": partition}, "k": {"S": name}}


def header_item(header: Header) -> Item:
    """The header as an item."""
    item: Item = {
        **HEADER_KEY,
        "format": {"N": str(header.format)},
        "kind": {"S": header.kind.value},
        "serial": {"N": str(header.serial)},
        "isClaimed": {"BOOL": header.is_claimed},
        "isRestored": {"BOOL": header.is_restored},
    }
    texts = {
        "stateId": header.state_id,
        "countsFrom": header.counts_from.isoformat() if header.counts_from else None,
        "movedTo": header.moved_to,
        "incomingFrom": header.incoming_from,
    }
    return item | {name: {"S": text} for name, text in texts.items() if text is not None}


def header_of(item: Item) -> Header:
    """The header in that item."""
    counts_from = _text(item, "countsFrom")
    return Header(
        StateKind(item["kind"]["S"]),
        _text(item, "stateId"),
        int(item["serial"]["N"]),
        int(item["format"]["N"]),
        item["isClaimed"]["BOOL"],
        item["isRestored"]["BOOL"],
        datetime.fromisoformat(counts_from) if counts_from else None,
        _text(item, "movedTo"),
        _text(item, "incomingFrom"),
    )


def body_value(text: str) -> Item:
    """The value of a body: as it is, or compressed where it is long."""
    return {"S": text} if len(text) <= _LARGEST_PLAIN else {"B": zlib.compress(text.encode())}


def body_in(item: Item) -> str:
    """The body of that item."""
    value = item["body"]
    return str(value["S"]) if "S" in value else zlib.decompress(value["B"]).decode()


def record_item(record: Instance, version: int, number: str) -> Item:
    """A record as an item; `number` orders records by when they were added."""
    return {
        **key(RECORDS, record.id),
        "version": {"N": str(version)},
        "number": {"S": number},
        "body": body_value(body_of(record)),
    }


def archive_items(record: Instance) -> list[Item]:
    """An archived record: itself by month and end, where it is by its ID, and by its name."""
    month, at = f"{ended_at(record).astimezone(UTC):%Y-%m}", _sortable(ended_at(record))
    position = {"month": {"S": month}, "at": {"S": f"{at}#{record.id}"}}
    items = [
        {**key(month_of(month), f"{at}#{record.id}"), "id": {"S": record.id}, "body": body_value(body_of(record))},
        {**key(ARCHIVED, record.id), **position, **({"name": {"S": record.name}} if record.name else {})},
    ]
    if record.name:
        items.append({**key(f"name#{record.name}", record.id), **position})
    return items


def month_of(month: str) -> str:
    """The partition of a month of the archive."""
    return f"archive#{month}"


def since_key(since: datetime) -> str:
    """The first key of archived records, or of a history, from then on."""
    return _sortable(since)


def actions_of(write: Write, serial: int | None) -> list[Item]:
    """The actions of that write; `serial` numbers new records."""
    actions = [_header_action(write)]
    for position, (name, (version, record)) in enumerate(write.change.items()):
        if version is None:
            item = record_item(record, 1, f"{serial or 0:015}{position:05}")
            actions.append({"Put": {"Item": item, "ConditionExpression": "attribute_not_exists(p)"}})
        else:
            actions.append(
                {
                    "Update": {
                        "Key": key(RECORDS, name),
                        "UpdateExpression": "SET body = :body, version = :next",
                        "ConditionExpression": "version = :version",
                        "ExpressionAttributeValues": {
                            ":body": body_value(body_of(record)),
                            ":next": {"N": str(version + 1)},
                            ":version": {"N": str(version)},
                        },
                    }
                }
            )
    for name, (version, record) in write.archive.items():
        values = {":version": {"N": str(version)}}
        condition = {"ConditionExpression": "version = :version", "ExpressionAttributeValues": values}
        actions.append({"Delete": {"Key": key(RECORDS, name), **condition}})
        actions += [{"Put": {"Item": item}} for item in archive_items(record)]
    return actions


def document_actions(
    kind: DocumentKind, name: str, document: Document | None, expected: int | None, fence: Fence | None
) -> list[Item]:
    """The actions of `Engine.put_document`."""
    actions: list[Item] = []
    if fence is not None:
        check: Item = {
            "Key": key(f"document#{DocumentKind.LEASE}", fence.name),
            "ConditionExpression": "fence = :fence",
            "ExpressionAttributeValues": {":fence": {"N": str(fence.version)}},
        }
        actions.append({"ConditionCheck": check})
    condition: Item = {"ConditionExpression": "attribute_not_exists(p)"}
    if expected is not None:
        values = {":version": {"N": str(expected)}}
        condition = {"ConditionExpression": "version = :version", "ExpressionAttributeValues": values}
    if document is None:
        return [*actions, {"Delete": {"Key": key(f"document#{kind}", name), **condition}}]
    item = {
        **key(f"document#{kind}", name),
        "version": {"N": str(document.version)},
        "fence": {"N": str(document.fence)},
        "body": body_value(document.body),
    }
    return [*actions, {"Put": {"Item": item, **condition}}]


def document_of(item: Item, read_at: datetime) -> Document:
    """The document in that item."""
    return Document(int(item["version"]["N"]), body_in(item), int(item["fence"]["N"]), read_at)


def commit_item(token: str, at: datetime, *, is_void: bool) -> Item:
    """The note that a transaction was carried out, or never will be. DynamoDB removes it after a day."""
    expires = {"N": str(int(at.timestamp()) + _COMMIT_SECONDS)}
    return {**key(COMMITS, token), "isVoid": {"BOOL": is_void}, "expires": expires}


def history_items(name: str, entries: Sequence[tuple[datetime, str, str]]) -> list[Item]:
    """Entries of a history, and the note that it exists."""
    items = [
        {**key(f"history#{name}", f"{_sortable(at)}#{own}"), "body": body_value(body)} for at, own, body in entries
    ]
    return [*items, key(HISTORIES, name)]


def _header_action(write: Write) -> Item:
    values: Item = {}
    conditions = []
    if write.serial is not None:
        conditions.append("serial = :serial")
        values[":serial"] = {"N": str(write.serial)}
    if write.header is not None:
        item = header_item(write.header)
        item["serial"] = {"N": str(write.header.serial + 1)}
        put: Item = {"Item": item}
        if conditions:
            put |= {"ConditionExpression": " AND ".join(conditions), "ExpressionAttributeValues": values}
        return {"Put": put}
    update: Item = {
        "Key": HEADER_KEY,
        "UpdateExpression": "SET serial = serial + :one",
        "ConditionExpression": " AND ".join([_FREE, *conditions]),
        "ExpressionAttributeValues": {":one": {"N": "1"}, **values},
    }
    return {"Update": update}


def _sortable(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _text(item: Item, name: str) -> str | None:
    return item[name]["S"] if name in item else None
