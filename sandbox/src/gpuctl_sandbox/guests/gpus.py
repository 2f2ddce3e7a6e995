"""NVIDIA GPUs as their driver reports them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """One GPU as `nvidia-smi` names it. `memory_mib` is the total that the driver reports, not the nominal size."""

    name: str
    memory_mib: int
    power_w: int
    capability: str


# Name, memory in MiB, power limit in W, compute capability; the key is the model as the clouds write it.
_MODELS = {
    "t4": Gpu("Tesla T4", 15_360, 70, "7.5"),
    "t4g": Gpu("NVIDIA T4G", 15_360, 70, "7.5"),
    "p4": Gpu("Tesla P4", 7_680, 75, "6.1"),
    "p40": Gpu("Tesla P40", 24_576, 250, "6.1"),
    "p100": Gpu("Tesla P100-PCIE-16GB", 16_384, 250, "6.0"),
    "v100": Gpu("Tesla V100-SXM2-16GB", 16_384, 300, "7.0"),
    "v100-32gb": Gpu("Tesla V100-SXM2-32GB", 32_768, 300, "7.0"),
    "k80": Gpu("Tesla K80", 11_441, 149, "3.7"),
    "m60": Gpu("Tesla M60", 8_192, 150, "5.2"),
    "a10": Gpu("NVIDIA A10", 23_028, 150, "8.6"),
    "a10g": Gpu("NVIDIA A10G", 23_028, 300, "8.6"),
    "a100": Gpu("NVIDIA A100-SXM4-40GB", 40_960, 400, "8.0"),
    "a100-80gb": Gpu("NVIDIA A100-SXM4-80GB", 81_920, 400, "8.0"),
    "l4": Gpu("NVIDIA L4", 23_034, 72, "8.9"),
    "l40s": Gpu("NVIDIA L40S", 46_068, 350, "8.9"),
    "h100": Gpu("NVIDIA H100 80GB HBM3", 81_559, 700, "9.0"),
    "h200": Gpu("NVIDIA H200", 143_771, 700, "9.0"),
    "b200": Gpu("NVIDIA B200", 183_359, 1000, "10.0"),
    "b300": Gpu("NVIDIA B300 SXM6 AC", 275_040, 1100, "10.3"),
    "gb200": Gpu("NVIDIA GB200", 189_471, 1200, "10.0"),
    "gb300": Gpu("NVIDIA GB300", 284_208, 1400, "10.3"),
    "rtx-pro-4500": Gpu("NVIDIA RTX PRO 4500 Blackwell Server Edition", 32_623, 165, "12.0"),
    "rtx-pro-6000": Gpu("NVIDIA RTX PRO 6000 Blackwell Server Edition", 97_887, 600, "12.0"),
}
_OTHER_NAMES = {
    "va10": "a10",
    "a100-40gb": "a100",
    "h100-80gb": "h100",
    "h100-mega-80gb": "h100",
    "h200-141gb": "h200",
    "rtx-pro-server-6000": "rtx-pro-6000",
    "rtxpro6000": "rtx-pro-6000",
}


def gpus_of(model: str, count: float, memory_mib: int | None = None) -> tuple[Gpu, ...]:
    """The GPUs of an instance with `count` of that model (a cloud's name for it); none for a GPU that is not NVIDIA's.

    A share of a GPU counts as one with that share of the memory. `memory_mib` selects between sizes of one model.
    """
    key = model.lower().replace(" ", "-").removeprefix("nvidia-").removeprefix("tesla-")
    key = _OTHER_NAMES.get(key, key)
    if memory_mib is not None and memory_mib > 1.5 * _MODELS[key].memory_mib if key in _MODELS else False:
        key = next((name for name in _MODELS if name.startswith(f"{key}-")), key)
    gpu = _MODELS.get(key)
    if gpu is None:
        return ()
    if count < 1:
        share = count or (memory_mib or gpu.memory_mib) / gpu.memory_mib
        return (Gpu(gpu.name, int(gpu.memory_mib * share), gpu.power_w, gpu.capability),)
    return (gpu,) * int(count)
