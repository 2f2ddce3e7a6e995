"""Changing the conditions of an emulated cloud, and taking the faults that were armed: the same for every cloud."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any, Protocol, TypeVar


class Armed(Protocol):
    """A fault that occurs `times` times (below 0: always) after `skip` calls that it spares."""

    code: str
    times: int
    skip: int


class Changeable(Protocol):
    """The conditions of a cloud."""

    def change(self, settings: dict[str, Any]) -> None:
        """Set the named conditions."""

    def add_fault(self, settings: dict[str, Any]) -> None:
        """Arm one fault."""


Fault = TypeVar("Fault", bound=Armed)


def change(conditions: Any, settings: Mapping[str, Any], optional: Collection[str]) -> None:
    """Set these fields of the dataclass `conditions`; those in `optional` also take None.

    Raises ValueError, and changes nothing, for an unknown name or a value of another type.
    """
    known = {field.name for field in fields(conditions)} - {"faults"}
    wrong = sorted(set(settings) - known)
    if wrong:
        raise ValueError(f"unknown: {', '.join(wrong)}; known: {', '.join(sorted(known))}")
    for name, value in settings.items():
        present = getattr(conditions, name)
        if name not in optional and not isinstance(value, type(present)):
            raise ValueError(f"{name} is a {type(present).__name__}")
    for name, value in settings.items():
        setattr(conditions, name, value)


def take(faults: Sequence[Fault], is_due: Callable[[Fault], bool]) -> Fault | None:
    """The first fault that is due, counted as used; None if there is none."""
    for fault in faults:
        if fault.times != 0 and is_due(fault):
            if fault.skip > 0:
                fault.skip -= 1
                continue
            fault.times -= 1
            return fault
    return None


def set_up(
    what: str, settings: dict[str, Any], conditions: Changeable, finish_all: Callable[[], object]
) -> dict[str, Any] | None:
    """Carry out one control request: change `settings`, arm one of `faults`, or `finish` all operations.

    None if it is none of these. Raises what `conditions` raises for an unknown name or value.
    """
    match what:
        case "settings":
            conditions.change(settings)
        case "faults":
            conditions.add_fault(settings)
        case "finish":
            finish_all()
        case _:
            return None
    return {"done": what}
