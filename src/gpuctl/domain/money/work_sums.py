"""How much work instances have done together, and what one unit of it cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from gpuctl.domain.instance import Instance
from gpuctl.domain.money.cost import spent


@dataclass(frozen=True, slots=True)
class WorkSum:
    """Work in one unit: the amount, and the full cost of the instances that did it, over their whole existence.

    `cost` is None where the price of one of them is unknown.
    """

    unit: str
    amount: Decimal
    cost: Decimal | None

    @property
    def usd_per_unit(self) -> Decimal | None:
        """Dollars per unit; None where the cost is unknown."""
        return None if self.cost is None or not self.amount else self.cost / self.amount


def work_sums(records: Sequence[Instance], now: datetime) -> list[WorkSum]:
    """The work by unit, the unit of most instances first. An instance that did work in two units counts in both."""
    amounts: dict[str, list[tuple[Decimal, Decimal | None]]] = {}
    for record in records:
        for unit, amount in _amounts(record).items():
            amounts.setdefault(unit, []).append((amount, spent(record, now).counted))
    sums = []
    for unit, parts in sorted(amounts.items(), key=lambda row: -len(row[1])):
        costs = [cost for _, cost in parts if cost is not None]
        whole = sum(costs, Decimal(0)) if len(costs) == len(parts) else None
        sums.append(WorkSum(unit, sum((amount for amount, _ in parts), Decimal(0)), whole))
    return sums


def _amounts(record: Instance) -> dict[str, Decimal]:
    done = [(each.unit, each.amount) for each in record.work]
    leases = record.pool.leases if record.pool else ()
    done += [(lease.unit, lease.work) for lease in leases if lease.unit and lease.work]
    amounts: dict[str, Decimal] = {}
    for unit, amount in done:
        amounts[unit] = amounts.get(unit, Decimal(0)) + amount
    return amounts
