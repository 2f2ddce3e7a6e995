"""What every record and observation is: frozen, checked when it is read, and closed to keys it does not know."""

from pydantic import BaseModel, ConfigDict


class Value(BaseModel):
    """A frozen value that refuses keys it does not know."""

    # Built when it is first used: a command that reads three kinds of value does not pay for nine.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
