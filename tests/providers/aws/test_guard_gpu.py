"""The guard writes to the console which GPUs and driver the instance has: once, and only when they can be read."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from support.guarded import MINUTE, NOON, Machine
from support.metadata import metadata_service

from gpuctl.providers.aws import guard

ASKED = 'case "$*" in "--query-gpu=name,driver_version --format=csv,noheader") ;; *) exit 2 ;; esac'


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Machine]:
    with metadata_service() as metadata:
        metadata.date = NOON
        yield Machine(tmp_path, metadata)


def has_gpus(instance: Machine, *lines: str, code: int = 0) -> None:
    text = "".join(f"printf '%s\\n' '{line}'\n" for line in lines)
    instance.stand_in("nvidia-smi", f"#!/bin/sh\n{ASKED}\n{text}exit {code}\n")


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (["Tesla T4, 595.91.07"], "1 x Tesla T4, driver 595.91.07"),
        (["NVIDIA H100 80GB HBM3, 580.126.20"] * 8, "8 x NVIDIA H100 80GB HBM3, driver 580.126.20"),
        (["NVIDIA A10, G, 550"], "1 x NVIDIA A10, G, driver 550"),
        (["N\x1b[2Jé, 595"], "1 x N?[2J??, driver 595"),
    ],
)
def test_it_names_the_gpus_and_the_driver(instance: Machine, lines: list[str], text: str) -> None:
    has_gpus(instance, *lines)
    assert instance.run("gpu").console == [f"gpuctl-gpu: {text}"]


def test_what_was_named_once_is_not_read_again(instance: Machine) -> None:
    has_gpus(instance, "Tesla T4, 595.91.07")
    instance.run("gpu")
    has_gpus(instance, "Tesla T4, 1.0")
    instance.time_passes(timedelta(hours=2))
    assert instance.run("gpu").console == ["gpuctl-gpu: 1 x Tesla T4, driver 595.91.07"]


def test_a_driver_that_is_installed_later_is_named_then(instance: Machine) -> None:
    (instance.bin / "nvidia-smi").unlink()
    instance.run("gpu").run("gpu")
    has_gpus(
        instance, "NVIDIA-SMI has failed because it could not communicate with the driver.", "run it again", code=9
    )
    instance.run("gpu")
    has_gpus(instance, "Tesla T4, 595.91.07")
    assert instance.run("gpu").console == [
        "gpuctl-gpu: there is no nvidia-smi",
        "gpuctl-gpu: nvidia-smi fails: NVIDIA-SMI has failed because it could not communicate with the driver.",
        "gpuctl-gpu: 1 x Tesla T4, driver 595.91.07",
    ]


@pytest.mark.parametrize("line", ["No devices were found", "", "T4, [N/A]", "T4, $(touch pwned)", "x" * 5000])
def test_an_answer_of_another_form_is_no_driver(instance: Machine, line: str) -> None:
    has_gpus(instance, line)
    (console,) = instance.run("gpu").console
    assert console.startswith("gpuctl-gpu: nvidia-smi reports no driver: ") and len(console) < 200
    assert not (instance.folder / "pwned").exists()


def test_the_deadline_is_kept_whatever_a_gpu_does(instance: Machine) -> None:
    instance.stand_in("nvidia-smi", "#!/bin/sh\nexec sleep 60\n")
    instance.tagged(NOON - MINUTE)
    assert instance.at(NOON + 2 * MINUTE).is_off


def test_it_has_a_timer_of_its_own() -> None:
    text = guard.user_data(timedelta(hours=2))
    assert "ExecStart=/usr/local/sbin/gpuctl-guard 7200 gpu\n" in text
    assert text.index("ctl enable --now --no-block gpuctl-guard.timer") < text.index("gpuctl-gpu.service")
