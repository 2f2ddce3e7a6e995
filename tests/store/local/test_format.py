"""The state file's form by itself: what is written can be read, and nothing else can."""

import json
from typing import Any

import pytest
from store.local.test_damage import resealed

from gpuctl.store.base import StateKind
from gpuctl.store.local.format import FileHeader, UnreadableState, decode, encode

HEADER = FileHeader("a-state-id", StateKind.REAL, 7)


def with_header(**facts: Any) -> bytes:
    document = json.loads(encode(HEADER, {}))
    head = {key: value for key, value in (document["_gpuctl"]["1"] | facts).items() if value is not ...}
    return resealed(json.dumps({"_gpuctl": {"1": head}}, separators=(",", ":")))


def test_what_was_written_is_read_back() -> None:
    tables = {"instances": {"inst-000000000001": {"user": "ana"}}, "later": {"1": {"a": [1, None, "x"]}}}
    assert decode(encode(HEADER, tables)) == (HEADER, tables)


def test_a_record_that_looks_like_a_blank_checksum_is_left_as_it_is() -> None:
    tables = {"instances": {"inst-000000000001": {"user": "0" * 64}}}
    assert decode(encode(HEADER, tables)) == (HEADER, tables)


def test_the_header_is_the_files_own_and_no_table_can_replace_it() -> None:
    forged = {"_gpuctl": {"1": {"format": 1, "serial": 99}}, "instances": {}}
    assert decode(encode(HEADER, forged)) == (HEADER, {"instances": {}})


def test_a_number_that_other_readers_of_json_refuse_is_never_written() -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode(HEADER, {"instances": {"inst-000000000001": {"ttl": float("nan")}}})


def test_a_header_made_by_hand_is_read_if_it_is_whole() -> None:
    assert decode(with_header(serial=8)) == (FileHeader("a-state-id", StateKind.REAL, 8), {})


@pytest.mark.parametrize(
    "wrong",
    [{"serial": ...}, {"serial": "many"}, {"serial": None}, {"kind": "dream"}, {"stateId": ...}, {"stateId": "X"}],
    ids=str,
)
def test_a_wrong_header_is_refused_whatever_is_wrong(wrong: dict[str, Any]) -> None:
    with pytest.raises(UnreadableState, match="has a header that cannot be read"):
        decode(with_header(**wrong))
