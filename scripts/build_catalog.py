"""Builds the bundled catalog from one table per cloud, such as `aws.csv`: `build_catalog.py FOLDER_OF_TABLES`. The file
of a cloud without a table there stays as it is.

A table has a row per type and region: provider, instance_type, gpu_model, gpu_count, gpu_memory_gib_each, vcpus,
memory_gib, arch, region, on_demand_usd_per_hour, spot_usd_per_hour, price_as_of, status, source. A blank is unknown.

The answer is one JSON file a provider, a type a line: shape first, then its regions as
`[region, on-demand, spot, date, source]` with dates and sources as numbers into two lists. Prices stay text from end to
end, so that no binary fraction ever touches them. `image` is a number into the list of images, which images.toml has
with the GPUs that each of them has a driver for; left out where no image is known. `quotas` are what the type's quota
is called on demand and as spot.
"""

import csv
import json
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from gpuctl.providers.registry import all_facts

OUT = Path(__file__).parents[1] / "src" / "gpuctl" / "catalog" / "data"
RETIREMENTS = Path(__file__).with_name("retirements.toml")
IMAGES = Path(__file__).with_name("images.toml")
FORMAT = 1

Row = Mapping[str, str]


class BadTable(ValueError):
    """A figure that cannot be true."""


def main(argv: list[str]) -> None:
    if len(argv) != 2:
        sys.exit("usage: build_catalog.py FOLDER")
    retired, every_image = retirements(RETIREMENTS.read_text()), tomllib.loads(IMAGES.read_text())["image"]
    OUT.mkdir(exist_ok=True)
    tables = [(facts, Path(argv[1]) / f"{facts.name}.csv") for facts in all_facts()]
    for facts, path in tables:
        if not path.exists():
            continue
        with path.open(newline="") as table:
            images = [image for image in every_image if image["provider"] == facts.name]
            text = built(list(csv.DictReader(table)), retired, facts.quota_families, images)
        (OUT / f"{facts.name}.json").write_text(text)
        print(f"{facts.name}: {len(text) / 1024:.0f} KB")


def retirements(text: str) -> dict[str, tuple[str | None, str]]:
    """For each retired type the day it was retired on, where known, and its successor."""
    return {
        name: (str(group["on"]) if "on" in group else None, successor)
        for group in tomllib.loads(text)["retired"]
        for name, successor in group["types"].items()
    }


def built(
    rows: Iterable[Row],
    retired: Mapping[str, tuple[str | None, str]],
    quota_families: Callable[[str], tuple[str, str]],
    images: Sequence[Mapping[str, Any]] = (),
) -> str:
    """The catalog file's text. BadTable for a price that is not positive, spot above on-demand, or two images."""
    dates: list[str] = []
    sources: list[str] = []
    types: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: (row["instance_type"], row["region"])):
        kind = types.setdefault(row["instance_type"], _shape(row, retired, quota_families) | _image(row, images))
        on_demand, spot = _price(row, "on_demand_usd_per_hour"), _price(row, "spot_usd_per_hour")
        if on_demand and spot and Decimal(spot) > Decimal(on_demand):
            raise BadTable(f"{row['instance_type']} in {row['region']}: spot {spot} above on-demand {on_demand}")
        if row["region"]:
            as_of, source = _number(dates, row["price_as_of"]), _number(sources, row["source"])
            kind["regions"].append([row["region"], on_demand, spot, as_of, source])
    facts = [
        {name: image[name] for name in ("name", "driver", "arch", "generation", "secure_boot")} for image in images
    ]
    known = {"images": facts} if facts else {}
    head = json.dumps({"format": FORMAT, "dates": dates, "sources": sources} | known)[:-1]
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(kind, separators=(',', ':'))}" for name, kind in types.items())
    return f'{head}, "types": {{\n{lines}\n}}}}\n'


def _shape(
    row: Row, retired: Mapping[str, tuple[str | None, str]], quota_families: Callable[[str], tuple[str, str]]
) -> dict[str, Any]:
    retired_on, successor = retired.get(row["instance_type"], (None, None))
    if (row["status"] == "retired") != (successor is not None):
        raise BadTable(f"{row['instance_type']} is {row['status']}, and retirements.toml says otherwise")
    return {
        "gpu": row["gpu_model"],
        "gpus": row["gpu_count"],
        "gpu_gib": row["gpu_memory_gib_each"] or None,
        "vcpus": int(row["vcpus"]) if row["vcpus"] else None,
        "gib": row["memory_gib"] or None,
        "arch": row["arch"],
        "status": row["status"],
        "retired_on": retired_on,
        "successor": successor,
        "quotas": quota_families(row["instance_type"]),
        "regions": [],
    }


def _image(row: Row, images: Sequence[Mapping[str, Any]]) -> Mapping[str, int]:
    name = row["instance_type"]
    fitting = [
        number
        for number, image in enumerate(images)
        if row["gpu_model"] in image["gpus"]
        and name not in image.get("except", ())
        and (row["status"] == "retired" or not image.get("only_retired"))
    ]
    if len(fitting) > 1:
        raise BadTable(f"{name} has {len(fitting)} images")
    if fitting and images[fitting[0]]["arch"] != row["arch"]:
        raise BadTable(f"{name} is {row['arch']}, and its image is not")
    return {"image": fitting[0]} if fitting else {}


def _price(row: Row, column: str) -> str | None:
    text = row[column].strip()
    if not text:
        return None
    try:
        price = Decimal(text)
    except InvalidOperation:
        raise BadTable(f"{row['instance_type']} in {row['region']}: {column} is {text!r}") from None
    if not price.is_finite() or price <= 0:
        raise BadTable(f"{row['instance_type']} in {row['region']}: {column} is {text}")
    return f"{price:f}"


def _number(known: list[str], word: str) -> int | None:
    if not word:
        return None
    if word not in known:
        known.append(word)
    return known.index(word)


if __name__ == "__main__":
    main(sys.argv)
