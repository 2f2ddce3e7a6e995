"""A state that cannot be trusted is refused, named, and left exactly as it is."""

import hashlib
import json
from pathlib import Path

import pytest
from contracts.records import ONE, TWO, anyone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store.local.test_store import opened
from support.instances import an_instance

from gpuctl.errors import StateUnusableError
from gpuctl.store.base import StateKind
from gpuctl.store.local.format import FileHeader, UnreadableState, decode, encode

STOCK = b'{"_default": {"1": {"id": "inst-000000000001"}}}'


def resealed(text: str) -> bytes:
    """The text with a checksum that fits, as only another gpuctl could write it."""
    start = text.index('"checksum":"') + len('"checksum":"')
    blank = text[:start] + "0" * 64 + text[start + 64 :]
    return blank.replace("0" * 64, hashlib.sha256(blank.encode()).hexdigest(), 1).encode()


def refused(folder: Path, content: bytes) -> str:
    """Put this in the state's place; what reading and writing say, both leaving it as it is."""
    state = folder / "state.json"
    state.write_bytes(content)
    texts = set()
    for use in (lambda: opened(folder).snapshot(), lambda: opened(folder).add([an_instance(TWO)], anyone)):
        with pytest.raises(StateUnusableError) as caught:
            use()
        texts.add(caught.value.message)
    assert state.read_bytes() == content
    (text,) = texts
    return text


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    store = opened(tmp_path)
    store.add([an_instance(ONE)], anyone)
    store.update(ONE, lambda record: record.with_fields(user="bob"))
    return tmp_path


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"{", "not complete JSON"),
        (b"nonsense", "not complete JSON"),
        (b"\x00" * 100, "not complete JSON"),
        (b"\xff\xfe", "not complete JSON"),
        (b"[" * 100_000, "is damaged"),
        (b"{}", "not written by gpuctl"),
        (b"[]", "not written by gpuctl"),
        (b"null", "not written by gpuctl"),
        (STOCK, "not written by gpuctl"),
        (b'{"_gpuctl": {"1": {"format": 1}}}', "checksum"),
        (b'{"_gpuctl": {"1": {"format": 2}}}', "has format 2; this gpuctl reads format 1"),
    ],
    ids=range(13),
)
def test_what_is_no_state_of_ours_is_refused_and_left_as_it_is(folder: Path, content: bytes, text: str) -> None:
    assert text in refused(folder, content)


def test_a_missing_state_is_not_taken_for_empty_where_its_lock_file_cannot_be_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "state.json").unlink()
    readable = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name.endswith(".lock"):
            raise PermissionError(13, "Permission denied")
        return readable(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(StateUnusableError, match="Permission denied"):
        opened(folder).snapshot()


def test_a_refusal_names_the_newest_backup(folder: Path) -> None:
    (folder / "state.json").write_bytes(b"")
    with pytest.raises(StateUnusableError) as caught:
        opened(folder).snapshot()
    assert "state.json.backups" in (caught.value.hint or "")


def test_every_byte_of_a_state_is_guarded(folder: Path) -> None:
    good = (folder / "state.json").read_bytes()
    for position in range(len(good)):
        altered = good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :]
        with pytest.raises(UnreadableState):
            decode(altered)


def test_every_shorter_state_is_refused(folder: Path) -> None:
    good = (folder / "state.json").read_bytes()
    for length in range(len(good)):
        with pytest.raises(UnreadableState):
            decode(good[:length])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_done_to_a_state_it_is_refused_or_it_is_the_same(folder: Path, data: st.DataObject) -> None:
    good = encode(
        FileHeader("a-state-id", StateKind.REAL, 1), {"instances": {ONE: an_instance(ONE).model_dump(mode="json")}}
    )
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, min(len(good), start + 40)))
    altered = good[:start] + data.draw(st.binary(max_size=40)) + good[end:]
    try:
        decoded = decode(altered)
    except UnreadableState:
        return
    assert decoded == decode(good)


def test_a_record_that_cannot_be_read_is_refused_even_under_a_right_checksum(folder: Path) -> None:
    text = (folder / "state.json").read_text().replace('"status":"PROVISIONING"', '"status":"DANCING"')
    assert "holds a record that cannot be read" in refused(folder, resealed(text))


def test_a_header_that_cannot_be_read_is_refused_even_under_a_right_checksum(folder: Path) -> None:
    state_id = json.loads((folder / "state.json").read_text())["_gpuctl"]["1"]["stateId"]
    text = (folder / "state.json").read_text().replace(f'"stateId":"{state_id}"', '"stateId":"X"')
    assert "has a header that cannot be read" in refused(folder, resealed(text))
