"""How closely an emulated cloud follows the real one: one entry per rule, with its source."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["documented", "recorded", "reported", "assumed"]

STATUSES: dict[Status, str] = {
    "documented": "the cloud's own documentation, service model or specification says so",
    "recorded": "a recorded reply of the real cloud shows it",
    "reported": "users of the real cloud quote it, for example in an issue with the cloud's own message",
    "assumed": "no source was available; the emulated cloud gives the less favourable answer",
}


@dataclass(frozen=True)
class Rule:
    """One rule that an emulated cloud applies.

    `name` is a short noun phrase, unique per cloud. `statement` is one sentence without line breaks. `source` names a
    document, a model shape, an issue or a recording; for an assumed rule, the reason for the assumption.
    """

    cloud: str
    name: str
    statement: str
    source: str
    status: Status
