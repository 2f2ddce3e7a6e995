"""A stand-in for `nvidia-smi`: prints the GPUs of the file in its first argument as the real program prints them.

It is executed on its own, with nothing but the standard library: `python -I nvidia_smi.py FILE ARGUMENTS...`.
"""

import json
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

_NO_OBJECT = 6  # nvidia-smi(1), Return value: "A query to find an object was unsuccessful"
_BAD_ARGUMENT = 2
_USAGE = "supported by this sandbox: no arguments, -L, -q, --query-gpu=FIELDS --format=csv[,noheader][,nounits], -i N"

_Numbered = tuple[int, dict[str, Any]]


def answer(known: dict[str, Any], words: Sequence[str], now: datetime) -> tuple[int, str]:
    """The exit code and the output for these arguments. `known` has `driver`, `cuda` and the `gpus`."""
    options = _options(words)
    if options is None:
        return _BAD_ARGUMENT, f"Invalid combination of input arguments. {_USAGE}\n"
    gpus = enumerate(known["gpus"])
    chosen = [(number, gpu) for number, gpu in gpus if options.get("-i", str(number)) == str(number)]
    if not chosen:
        return _NO_OBJECT, "No devices were found\n"
    if "--query-gpu" in options:
        return _query(chosen, known, options, now)
    if "-L" in options:
        lines = [f"GPU {number}: {gpu['name']} (UUID: {gpu['uuid']})" for number, gpu in chosen]
    elif "-q" in options:
        lines = _details(chosen, known, now)
    else:
        lines = _table(chosen, known, now)
    return 0, "".join(f"{line}\n" for line in lines)


def _options(words: Sequence[str]) -> dict[str, str] | None:
    """The options with their values; None for one that is unknown, or a query without a format."""
    options: dict[str, str] = {}
    remaining = list(words)
    while remaining:
        name, equals, value = remaining.pop(0).partition("=")
        name = {"--list-gpus": "-L", "--query": "-q", "--id": "-i"}.get(name, name)
        if name in ("-L", "-q"):
            options[name] = ""
        elif name in ("-i", "--query-gpu", "--format") and (equals or remaining):
            options[name] = value if equals else remaining.pop(0)
        else:
            return None
    return None if ("--query-gpu" in options) != ("--format" in options) else options


def _query(
    chosen: Sequence[_Numbered], known: dict[str, Any], options: dict[str, str], now: datetime
) -> tuple[int, str]:
    formats = [word.strip() for word in options["--format"].split(",")]
    fields = [word.strip() for word in options["--query-gpu"].split(",")]
    if "csv" not in formats or set(formats) - {"csv", "noheader", "nounits"}:
        return _BAD_ARGUMENT, f'"--format={options["--format"]}" is not recognized. {_USAGE}\n'
    unknown = [field for field in fields if field not in _FIELDS]
    if unknown:
        return _BAD_ARGUMENT, f'Field "{unknown[0]}" is not a valid field to query.\n\n'
    has_units = "nounits" not in formats
    head = ", ".join(f"{field} [{_FIELDS[field][0]}]" if _FIELDS[field][0] else field for field in fields)
    lines = [] if "noheader" in formats else [head]
    for number, gpu in chosen:
        values = [(_FIELDS[field][0], _FIELDS[field][1](number, gpu, {**known, "now": now})) for field in fields]
        lines.append(", ".join(f"{value} {unit}" if unit and has_units else value for unit, value in values))
    return 0, "".join(f"{line}\n" for line in lines)


_Read = Callable[[int, dict[str, Any], dict[str, Any]], str]
_FIELDS: dict[str, tuple[str, _Read]] = {
    "timestamp": ("", lambda number, gpu, known: f"{known['now']:%Y/%m/%d %H:%M:%S.000}"),
    "driver_version": ("", lambda number, gpu, known: str(known["driver"])),
    "count": ("", lambda number, gpu, known: str(len(known["gpus"]))),
    "name": ("", lambda number, gpu, known: str(gpu["name"])),
    "gpu_name": ("", lambda number, gpu, known: str(gpu["name"])),
    "index": ("", lambda number, gpu, known: str(number)),
    "uuid": ("", lambda number, gpu, known: str(gpu["uuid"])),
    "gpu_uuid": ("", lambda number, gpu, known: str(gpu["uuid"])),
    "pci.bus_id": ("", lambda number, gpu, known: _bus(number)),
    "gpu_bus_id": ("", lambda number, gpu, known: _bus(number)),
    "compute_cap": ("", lambda number, gpu, known: str(gpu["capability"])),
    "pstate": ("", lambda number, gpu, known: "P8"),
    "compute_mode": ("", lambda number, gpu, known: "Default"),
    "persistence_mode": ("", lambda number, gpu, known: "Enabled"),
    "temperature.gpu": ("", lambda number, gpu, known: "34"),
    "utilization.gpu": ("%", lambda number, gpu, known: "0"),
    "utilization.memory": ("%", lambda number, gpu, known: "0"),
    "memory.total": ("MiB", lambda number, gpu, known: str(gpu["memory_mib"])),
    "memory.used": ("MiB", lambda number, gpu, known: "0"),
    "memory.free": ("MiB", lambda number, gpu, known: str(gpu["memory_mib"])),
    "power.draw": ("W", lambda number, gpu, known: f"{_idle_w(gpu)}.00"),
    "power.limit": ("W", lambda number, gpu, known: f"{gpu['power_w']}.00"),
}


def _table(chosen: Sequence[_Numbered], known: dict[str, Any], now: datetime) -> list[str]:
    driver, widths = known["driver"], (39, 22, 20)
    heads = (
        (f"{'GPU  Name':<26}Persistence-M", "Bus-Id          Disp.A", "Volatile Uncorr. ECC"),
        ("Fan  Temp   Perf          Pwr:Usage/Cap", f"{'Memory-Usage':>22}", "GPU-Util  Compute M."),
        ("", "", f"{'MIG M.':>20}"),
    )
    title = f"NVIDIA-SMI {driver:<22} Driver Version: {driver:<14} CUDA Version: {known['cuda']}"
    lines = [
        f"{now:%a %b %e %H:%M:%S %Y}       ",
        f"+{'-' * 89}+",
        f"| {title:<87} |",
        f"|{'-' * 41}+{'-' * 24}+{'-' * 22}+",
        *(_row(head, widths) for head in heads),
        f"|{'=' * 41}+{'=' * 24}+{'=' * 22}|",
    ]
    for number, gpu in chosen:
        usage = f"{_idle_w(gpu)}W / {gpu['power_w']:>4}W"
        memory = f"0MiB / {gpu['memory_mib']:>6}MiB"
        lines += [
            _row((f"{number:>3}  {gpu['name'][:30]:<31}On ", f"{_bus(number):>18} Off", f"{'0':>20}"), widths),
            _row((f"N/A   34C    P8{usage:>24}", f"{memory:>22}", f"{'0%      Default':>20}"), widths),
            _row(("", "", f"{'N/A':>20}"), widths),
            f"+{'-' * 41}+{'-' * 24}+{'-' * 22}+",
        ]
    return [
        *lines,
        f"{'':89}",
        f"+{'-' * 89}+",
        f"| {'Processes:':<87} |",
        f"| {'  GPU   GI   CI        PID   Type   Process name':<71}{'GPU Memory':>16} |",
        f"| {'        ID   ID':<71}{'Usage     ':>16} |",
        f"|{'=' * 89}|",
        f"| {'  No running processes found':<87} |",
        f"+{'-' * 89}+",
    ]


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "".join(f"| {cell:<{width}} " for cell, width in zip(cells, widths, strict=True)) + "|"


def _details(chosen: Sequence[_Numbered], known: dict[str, Any], now: datetime) -> list[str]:
    lines = [
        "",
        "==============NVSMI LOG==============",
        "",
        f"{'Timestamp':<50}: {now:%a %b %e %H:%M:%S %Y}",
        f"{'Driver Version':<50}: {known['driver']}",
        f"{'CUDA Version':<50}: {known['cuda']}",
        "",
        f"{'Attached GPUs':<50}: {len(known['gpus'])}",
    ]
    for number, gpu in chosen:
        lines += [
            f"GPU {_bus(number)}",
            f"    {'Product Name':<46}: {gpu['name']}",
            f"    {'GPU UUID':<46}: {gpu['uuid']}",
            "    FB Memory Usage",
            f"        {'Total':<42}: {gpu['memory_mib']} MiB",
            f"        {'Used':<42}: 0 MiB",
            f"        {'Free':<42}: {gpu['memory_mib']} MiB",
            "    Utilization",
            f"        {'GPU':<42}: 0 %",
            f"        {'Memory':<42}: 0 %",
            "    GPU Power Readings",
            f"        {'Current Power Limit':<42}: {gpu['power_w']}.00 W",
            "",
        ]
    return lines


def _bus(number: int) -> str:
    return f"00000000:00:{0x1E + number:02X}.0"


def _idle_w(gpu: dict[str, Any]) -> int:
    return max(9, int(gpu["power_w"]) // 8)


if __name__ == "__main__":
    code, text = answer(json.loads(Path(sys.argv[1]).read_text("utf-8")), sys.argv[2:], datetime.now().astimezone())
    sys.stdout.write(text)
    sys.exit(code)
