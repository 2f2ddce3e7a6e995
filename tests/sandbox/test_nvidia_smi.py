"""What the stand-in for `nvidia-smi` prints, beside what the real program was seen to print."""

from datetime import UTC, datetime
from typing import Any

import pytest

from gpuctl_sandbox.guests.gpus import gpus_of
from gpuctl_sandbox.guests.nvidia_smi import answer

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
# Recorded on Google Colab; the power state, memory in use and temperatures are of that moment.
RECORDED = """\
+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI 550.54.15              Driver Version: 550.54.15      CUDA Version: 12.4     |
|-----------------------------------------+------------------------+----------------------+
| GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |
| Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage | GPU-Util  Compute M. |
|                                         |                        |               MIG M. |
|=========================================+========================+======================|
|   0  Tesla T4                       On  |   00000000:00:1E.0 Off |                    0 |
| N/A   34C    P8              9W /   70W |       0MiB /  15360MiB |      0%      Default |
|                                         |                        |                  N/A |
+-----------------------------------------+------------------------+----------------------+
"""


def known(model: str = "T4", count: float = 1) -> dict[str, Any]:
    gpus = [
        {"name": gpu.name, "memory_mib": gpu.memory_mib, "power_w": gpu.power_w, "capability": gpu.capability}
        | {"uuid": f"GPU-{number}"}
        for number, gpu in enumerate(gpus_of(model, count))
    ]
    return {"driver": "550.54.15", "cuda": "12.4", "gpus": gpus}


def test_the_table_is_laid_out_as_the_real_one() -> None:
    code, text = answer(known(), [], NOW)
    first, _, rest = text.partition("\n")
    assert (code, first.strip(), rest.startswith(RECORDED)) == (0, "Tue Nov 24 12:00:00 2026", True)


def test_a_query_prints_its_fields_in_order() -> None:
    query = ["--query-gpu=name,driver_version,memory.total", "--format=csv"]
    head = "name, driver_version, memory.total [MiB]\n"
    assert answer(known(), query, NOW) == (0, f"{head}Tesla T4, 550.54.15, 15360 MiB\n")
    query[1] += ",noheader,nounits"
    assert answer(known("A10G", 4), query, NOW)[1] == "NVIDIA A10G, 550.54.15, 23028\n" * 4


def test_the_guard_can_read_gpus_and_their_use() -> None:
    query = ["--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
    assert answer(known("A10G", 2), query, NOW) == (0, "0\n0\n")


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["-L"], 0, "GPU 0: Tesla T4 (UUID: GPU-0)\n"),
        (["-q"], 0, "Product Name"),
        (["-i", "1"], 6, "No devices were found\n"),
        (["--query-gpu=cuda_version", "--format=csv"], 2, 'Field "cuda_version" is not a valid field to query.'),
        (["--query-gpu=name"], 2, "Invalid combination of input arguments."),
        (["--query-gpu=name", "--format=xml"], 2, "is not recognized"),
        (["dmon"], 2, "Invalid combination of input arguments."),
    ],
)
def test_other_arguments_are_answered_as_by_the_real_program(words: list[str], code: int, text: str) -> None:
    answered = answer(known(), words, NOW)
    assert (answered[0], text in answered[1]) == (code, True)


def test_a_gpu_that_the_driver_does_not_know_is_not_found() -> None:
    assert answer({"driver": "580.95.05", "cuda": "13.0", "gpus": []}, [], NOW) == (6, "No devices were found\n")


@pytest.mark.parametrize(
    ("model", "count", "memory_mib", "names"),
    [
        ("nvidia-tesla-t4", 2, None, ["Tesla T4", "Tesla T4"]),
        ("A100", 1, 81_920, ["NVIDIA A100-SXM4-80GB"]),
        ("A100", 1, 40_960, ["NVIDIA A100-SXM4-40GB"]),
        ("nvidia-h100-mega-80gb", 1, None, ["NVIDIA H100 80GB HBM3"]),
        ("V100", 1, 32_768, ["Tesla V100-SXM2-32GB"]),
        ("L4", 0, 5_722, ["NVIDIA L4"]),
        ("MI300X", 8, None, []),
        ("-", 0, None, []),
    ],
)
def test_the_models_of_the_clouds_have_the_names_of_the_driver(
    model: str, count: float, memory_mib: int | None, names: list[str]
) -> None:
    assert [gpu.name for gpu in gpus_of(model, count, memory_mib)] == names


def test_a_share_of_a_gpu_has_a_share_of_its_memory() -> None:
    assert [gpu.memory_mib for gpu in gpus_of("L4", 0, 5_722)] == [5_722]
    assert [gpu.memory_mib for gpu in gpus_of("vA10", 0.5)] == [11_514]
