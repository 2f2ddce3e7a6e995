"""What may be spent in a day or a month, by everybody, by one user or under one tag."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum


class BudgetAction(StrEnum):
    """What happens when a limit would be passed: a warning, no new instance, or the end of those that spend."""

    WARN = "warn"
    BLOCK = "block"
    TERMINATE = "terminate"


@dataclass(frozen=True, slots=True)
class Limits:
    """Dollars a UTC day and a UTC month; None is no limit."""

    daily_usd: Decimal | None = None
    monthly_usd: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Budgets:
    """The limits of everything together, of users by name and of tags by `key=value`, and what passing one means."""

    daily_usd: Decimal | None = None
    monthly_usd: Decimal | None = None
    action: BudgetAction = BudgetAction.BLOCK
    per_user: Mapping[str, Limits] = field(default_factory=dict)
    per_tag: Mapping[str, Limits] = field(default_factory=dict)
