"""Chooses a GPU for 26 measured workloads by dollars per work, beside the cheapest hour and the fastest GPU.

Throughput of K80, P100 and V100: gavel (see scripts/data). Prices: Azure's three sizes with one such GPU, the only ones
of one provider, as they were in eastus. The ranking learns from 3 runs on each GPU whose duration scatters by 10 %,
from 3 runs on one GPU and the table for the others, or from the table alone. Figures: dollars per work over the best.

The goal is that of the method: own history where there is one, else the table. The table alone cannot meet it: the
rows "table of" rank by the means of gavel's own figures, the workload itself included, for five kinds of workload and
for each model. What is left is the batch size, which only runs of one's own show.
"""

import csv
import random
import statistics
import sys
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path

from gpuctl.catalog import Catalog
from gpuctl.catalog.throughput import kind_of, relative_throughput
from gpuctl.domain.instance import Market
from gpuctl.domain.market.offers import InstanceType, Offer
from gpuctl.domain.market.work_cost import WorkRun, work_history

TYPES = {"K80": "Standard_NC6", "P100": "Standard_NC6s_v2", "V100": "Standard_NC6s_v3"}
_DATA = Path(__file__).with_name("data") / "gavel_gpu_relative_throughput.csv"
_SCATTER = 0.10
_SEEDS = 20
_KINDS = {"ResNet": "vision", "CycleGAN": "vision", "Transformer": "language", "LM": "language"}
MEAN_GOAL, WORST_GOAL = 1.03, 1.3


def main() -> None:
    workloads = measured()
    offers = offers_by_gpu()
    for offer in offers.values():
        price = offer.price.usd_per_hour if offer.price else Decimal(0)
        print(f"{offer.type.gpu_model:5} {offer.type.name:20} {offer.market.value:10} ${price:.3f}/h")
    rules: Mapping[str, Callable[[str, Mapping[str, float], int], Offer]] = {
        "cheapest hour": lambda name, speed, seed: min(offers.values(), key=_price),
        "fastest": lambda name, speed, seed: max(offers.values(), key=lambda offer: speed[offer.type.gpu_model]),
        "table": lambda name, speed, seed: chosen(offers, name, {}, seed),
        "table of 5 kinds": lambda name, speed, seed: best_by_group(offers, workloads, name, _kind),
        "table of models": lambda name, speed, seed: best_by_group(offers, workloads, name, _model),
        "3 runs on one GPU": lambda name, speed, seed: chosen(offers, name, {"V100": speed["V100"]}, seed),
        "own history": lambda name, speed, seed: chosen(offers, name, speed, seed),
    }
    print(f"\n{'':18} {'mean':>6} {'worst':>6}   $ per work over the best; {len(workloads)} workloads, {_SEEDS} seeds")
    is_met = True
    for label, rule in rules.items():
        ratios = []
        for name, speed in workloads.items():
            best = min(_cost(offer, speed) for offer in offers.values())
            ratios += [_cost(rule(name, speed, seed), speed) / best for seed in range(_SEEDS)]
        mean, worst = statistics.mean(ratios), max(ratios)
        goal = ""
        if label == "own history":
            is_met = mean <= MEAN_GOAL and worst <= WORST_GOAL
            goal = f"   goal: {MEAN_GOAL} and {WORST_GOAL}: {'met' if is_met else 'missed'}"
        print(f"{label:18} {mean:6.3f} {worst:6.2f}{goal}")
    sys.exit(0 if is_met else 1)


def measured() -> dict[str, dict[str, float]]:
    lines = [line for line in _DATA.read_text("utf-8").splitlines() if not line.startswith("#")]
    return {row["workload"]: {gpu: float(row[gpu.lower()]) for gpu in TYPES} for row in csv.DictReader(lines)}


def offers_by_gpu() -> dict[str, Offer]:
    """The offer of each GPU."""
    catalog = Catalog()
    return {gpu: catalog.offer(catalog.find(name), "eastus", Market.ON_DEMAND) for gpu, name in TYPES.items()}


def chosen(offers: Mapping[str, Offer], name: str, speeds: Mapping[str, float], seed: int) -> Offer:
    """What gpuctl ranks first after three runs on each GPU of `speeds`."""
    draw = random.Random(f"{name} {seed}")
    types: dict[str, InstanceType] = {offer.type.name: offer.type for offer in offers.values()}
    runs = [
        WorkRun(offers[gpu].type.name, Decimal(100), "steps", Decimal(str(draw.lognormvariate(0, _SCATTER) / speed)))
        for gpu, speed in speeds.items()
        for _ in range(3)
    ]
    kind = next((kind for word, kind in _KINDS.items() if name.startswith(word)), kind_of(name))
    history = work_history(runs, types.get, lambda gpu: relative_throughput(gpu, kind))
    return history.ranked(offers.values())[0].offer


def best_by_group(
    offers: Mapping[str, Offer],
    workloads: Mapping[str, Mapping[str, float]],
    name: str,
    group: Callable[[str], str],
) -> Offer:
    """What the mean throughput of the workloads of the same group ranks first, the workload itself included."""
    alike = [speed for other, speed in workloads.items() if group(other) == group(name)]
    means = {gpu: statistics.geometric_mean(speed[gpu] for speed in alike) for gpu in offers}
    return min(offers.values(), key=lambda offer: _cost(offer, means))


def _kind(name: str) -> str:
    return next((kind for word, kind in _KINDS.items() if name.startswith(word)), kind_of(name) or name)


def _model(name: str) -> str:
    return name.partition(" (")[0]


def _price(offer: Offer) -> Decimal:
    return offer.price.usd_per_hour if offer.price else Decimal("Infinity")


def _cost(offer: Offer, speed: Mapping[str, float]) -> float:
    return float(_price(offer)) / speed[offer.type.gpu_model]


if __name__ == "__main__":
    main()
