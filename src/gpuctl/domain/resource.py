"""What exists in a cloud for one instance, the instance itself included."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource that exists in the cloud for one instance; the instance itself is one.

    `is_shared`: it serves every instance of its state. `is_part`: the cloud created it as a part of the instance, and
    deletes it with the instance.
    """

    kind: str
    id: str
    tags: Mapping[str, str] = field(default_factory=dict)
    is_shared: bool = False
    is_part: bool = False

    @property
    def label(self) -> str:
        """`volume vol-1`."""
        return f"{self.kind} {self.id}"
