"""Numbers over time: changes of a number, and its averages in equal parts of a time."""

from collections.abc import Iterable, Sequence
from math import ceil

from gpuctl.domain.pools.demand import Job, steps

Count = tuple[float, int]


def demand_counts(jobs: Iterable[Job]) -> list[Count]:
    """The number of jobs at each change of it, if none ever waited."""
    counts, number = [], 0
    for at_s, change in steps(jobs):
        number += change
        counts.append((at_s, number))
    return counts


def average_counts(counts: Sequence[Count], since_s: float, until_s: float, parts: int) -> list[float]:
    """The average number in each of the parts; each count holds until the next."""
    length_s = (until_s - since_s) / parts
    if length_s <= 0:
        return [0.0] * parts
    sums = [0.0] * parts
    for (at_s, number), (end_s, _) in zip(counts, [*counts[1:], (until_s, 0)], strict=True):
        at_s, end_s = max(at_s, since_s), min(end_s, until_s)
        while number and at_s < end_s:
            part = min(int((at_s - since_s) / length_s), parts - 1)
            stop_s = end_s if part == parts - 1 else min(end_s, since_s + (part + 1) * length_s)
            # Rounding may leave the instant where it is.
            stop_s = stop_s if stop_s > at_s else end_s
            sums[part] += number * (stop_s - at_s)
            at_s = stop_s
    return [total / length_s for total in sums]


def highest_counts(counts: Sequence[Count], since_s: float, until_s: float, parts: int) -> list[int]:
    """The highest number in each of the parts."""
    length_s = (until_s - since_s) / parts
    highest = [0] * parts
    for (at_s, number), (end_s, _) in zip(counts, [*counts[1:], (until_s, 0)], strict=True):
        at_s, end_s = max(at_s, since_s), min(end_s, until_s)
        if at_s < end_s:
            first, last = int((at_s - since_s) / length_s), ceil((end_s - since_s) / length_s)
            for part in range(first, min(last, parts)):
                highest[part] = max(highest[part], number)
    return highest
