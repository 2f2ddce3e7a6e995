"""Traces of jobs for the benchmark of pools: a published one, and two made from a seed with the shape of others."""

import csv
import gzip
import math
import random
from pathlib import Path

from gpuctl.domain.pools.demand import Job

DAY_S = 86_400.0
PHILLY = Path(__file__).parent / "traces" / "philly.csv.gz"


def philly(cluster: str) -> list[Job]:
    """The jobs of one virtual cluster of Philly that ran for at most a day."""
    with gzip.open(PHILLY, "rt", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["vc"] == cluster]
    jobs = [Job(float(row["arrival_s"]), float(row["duration_s"])) for row in rows]
    return sorted(job for job in jobs if job.duration_s is not None and job.duration_s <= DAY_S)


def training(seed: int) -> list[Job]:
    """Jobs of a shared cluster, as in Alibaba's openb: a median of 8 minutes, a mean near one hour, 6 at a time."""
    chance = random.Random(seed)
    jobs: list[Job] = []
    at_s = changes_at_s = 0.0
    level = 1.0
    while at_s < 34 * DAY_S:
        if at_s >= changes_at_s:
            level, changes_at_s = chance.gammavariate(3.1, 1 / 3.1), at_s + 8_960
        hour = at_s % DAY_S / 3_600
        rate = max(0.05, level * (1 + 0.345 * math.sin((hour - 9) / 24 * math.tau))) * 178.2 / DAY_S
        at_s += chance.expovariate(rate)
        together = 1 + (int(chance.expovariate(1 / 1.44)) if chance.random() < 0.078 else 0)
        for _ in range(together):
            length_s = min(DAY_S, max(5.0, chance.lognormvariate(math.log(458), 2.1)))
            jobs.append(Job(round(at_s + chance.random() * 20 * (together > 1)), round(length_s)))
    return sorted(jobs)


def inference(seed: int) -> list[Job]:
    """Short jobs in sessions, as in Alibaba's GenTD26: a median of 23 seconds, one every few minutes while it lasts."""
    chance = random.Random(seed)
    jobs: list[Job] = []
    at_s = 0.0
    while at_s < 23 * DAY_S:
        at_s += chance.expovariate(168.6 / DAY_S)
        hour = at_s % DAY_S / 3_600
        daylight = max(0.0, math.sin((hour - 7) / 14 * math.pi)) if 7 < hour < 21 else 0.0
        if chance.random() > 0.25 + 0.75 * daylight:
            continue
        next_s = at_s
        for _ in range(1 + int(chance.expovariate(1 / 9.9))):
            together = 1 + (int(chance.expovariate(1 / 0.74)) if chance.random() < 0.06 else 0)
            for _ in range(together):
                length_s = max(1.0, chance.lognormvariate(math.log(23), 1.12))
                jobs.append(Job(round(next_s + chance.random() * 5), round(length_s)))
            next_s += chance.lognormvariate(math.log(163.5), 0.35)
    return sorted(jobs)
