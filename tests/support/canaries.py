"""Looks for strings that must be nowhere: what commands said, what they left on disk, what they sent to the cloud."""

import base64
from collections.abc import Iterable, Mapping
from pathlib import Path

from support.wire import Sent


def canary_hits(
    canaries: Mapping[str, str], *, body: Mapping[str, str], folder: Path | None = None, sent: Iterable[Sent] = ()
) -> list[str]:
    """`WHERE: NAME` for each canary (a name and its string) that is found anywhere; none is what is hoped for.

    `said` maps a place, such as `stderr of list`, to its text; every file below `folder` is read whole, names too; of
    each call in `sent` every field is read, user data also as the script that it stands for.
    """
    places = [(where, text.encode(errors="surrogateescape")) for where, text in body.items()]
    places += [(f"the file {path.relative_to(folder or path)}", path.read_bytes()) for path in _files(folder)]
    places += [("a file's name", str(path.relative_to(folder or path)).encode()) for path in _files(folder)]
    places += [(f"{key[:60]} of {call.action}", text) for call in sent for key, text in _fields(call)]
    return [f"{where}: {name}" for where, text in places for name, canary in canaries.items() if _holds(text, canary)]


def _holds(text: bytes, canary: str) -> bool:
    raw = canary.encode()
    return any(form in text for form in (raw, raw.hex().encode(), *_in_base64(raw)))


def _in_base64(raw: bytes) -> Iterable[bytes]:
    # The same bytes look different at each of the three places that they can have in a group.
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + raw)
        yield coded[4 if shift else 0 : -4]


def _files(folder: Path | None) -> list[Path]:
    return [] if folder is None else sorted(path for path in folder.rglob("*") if path.is_file())


def _fields(call: Sent) -> Iterable[tuple[str, bytes]]:
    for key, value in call.form.items():
        yield key, f"{key}={value}".encode()
        if key == "UserData":
            yield key, base64.b64decode(value)
