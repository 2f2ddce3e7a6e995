"""Conditions of an emulated cloud, which a test or a user sets up, and armed faults: what clouds have in common."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

Json = dict[str, Any]


@dataclass
class Fault:
    """One thing that goes wrong `times` times (below 0: always) after `skip` calls that it spares."""

    code: str
    times: int = field(default=1, kw_only=True)
    skip: int = field(default=0, kw_only=True)


@dataclass
class Conditions:
    """A cloud's own conditions are the fields of a subclass. Those named in `optional` also take None."""

    fault: ClassVar[type[Fault]]
    optional: ClassVar[tuple[str, ...]] = ()
    faults: list[Any] = field(default_factory=list, kw_only=True)

    def change(self, settings: Json) -> None:
        """Set these fields. Raises ValueError, and changes nothing, for an unknown name or a value of another type."""
        known = {field.name for field in fields(self)} - {"faults"}
        wrong = sorted(set(settings) - known)
        if wrong:
            raise ValueError(f"unknown: {', '.join(wrong)}; known: {', '.join(sorted(known))}")
        for name, value in settings.items():
            present = getattr(self, name)
            if name not in self.optional and not isinstance(value, type(present)):
                raise ValueError(f"{name} is a {type(present).__name__}")
        for name, value in settings.items():
            setattr(self, name, value)

    def add_fault(self, settings: Json) -> None:
        """Arm one fault. Raises ValueError for a field that a fault does not have."""
        try:
            self.faults.append(self.fault(**settings))
        except TypeError as error:
            raise ValueError(str(error)) from error

    def take_fault(self, is_due: Callable[[Any], bool]) -> Any:
        """The first fault that is due, counted as used; None if there is none."""
        for fault in self.faults:
            if fault.times != 0 and is_due(fault):
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                return fault
        return None
