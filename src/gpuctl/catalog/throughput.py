"""Relative throughput of GPUs by kind of workload, as measured by others: what is known before there is a history."""

import csv
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

SOURCES = {
    "gavel": "gavel (stanford-futuredata, MIT License), K80, P100 and V100",
    "lambda": "Lambda's published PyTorch benchmarks, FP16, V100 to H100",
}
# Assumed: the same chip as the A10; no measurement of it is in the sources.
_SAME_AS = {"A10G": "A10", "A100": "A100 40GB", "H100 MEGA": "H100"}
_WORDS = {
    "vision": ("vision", "image", "resnet", "video", "detection", "diffusion", "gan", "ocr"),
    "language": ("language", "text", "token", "llm", "bert", "transformer", "translation", "llama", "summar", "doc"),
    "speech": ("speech", "audio", "voice", "whisper", "transcri"),
    "recommendation": ("recommend", "ranking", "ncf"),
    "reinforcement": ("reinforcement", "game", "policy"),
}


def kind_of(purpose: str) -> str | None:
    """The kind of workload that the words of a purpose name; None where they name none."""
    folded = purpose.casefold()
    return next((kind for kind, words in _WORDS.items() if any(word in folded for word in words)), None)


def relative_throughput(gpu: str, kind: str | None) -> float | None:
    """The throughput of one GPU as a share of one V100; the mean over the kinds where the kind is unknown.

    None where no source has the GPU.
    """
    by_kind = _table().get(_SAME_AS.get(gpu, gpu))
    if by_kind is None:
        return None
    if kind is not None and kind in by_kind:
        return by_kind[kind]
    product = 1.0
    for value in by_kind.values():
        product *= value
    return float(product ** (1 / len(by_kind)))


@cache
def _table() -> Mapping[str, Mapping[str, float]]:
    table: dict[str, dict[str, float]] = {}
    text = files(__package__).joinpath("data", "throughput.csv").read_text("utf-8")
    for row in csv.DictReader(text.splitlines()):
        table.setdefault(row["gpu"], {})[row["kind"]] = float(row["relative"])
    return table
