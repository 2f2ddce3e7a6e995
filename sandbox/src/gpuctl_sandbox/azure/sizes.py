"""The machine sizes of the sandbox, with what decides whether an image, a disk or an option fits them."""

from collections.abc import Sequence
from dataclasses import dataclass

from gpuctl_sandbox.azure.wire import Json


@dataclass(frozen=True)
class Size:
    """One size: the hypervisor `generations` it boots, what it `can`, and the model of its GPU (`-`: none).

    P takes premium disks, E encrypts at the host, A has accelerated networking, R is an Arm machine, C a confidential
    one, X has no Trusted Launch, L is not sold as spot, M takes NVMe disks only.
    """

    name: str
    family: str
    vcpus: int
    memory_gib: int
    gpus: str
    generations: str
    can: str
    gpu: str

    @property
    def has_trusted_launch(self) -> bool:
        return "2" in self.generations and not {"X", "C"} & set(self.can)

    @property
    def arch(self) -> str:
        return "Arm64" if "R" in self.can else "x64"

    @property
    def zones(self) -> tuple[str, ...]:
        """Those of every region alike; the oldest sizes know none."""
        return ("1", "2", "3") if "E" in self.can else ()

    def shown(self, region: str, restrictions: Sequence[Json]) -> Json:
        """The size as the listing of SKUs has it for one region."""
        capabilities = {
            "MaxResourceVolumeMB": "0",
            "OSVhdSizeMB": "1047552",
            "vCPUs": str(self.vcpus),
            "HyperVGenerations": ",".join(f"V{generation}" for generation in self.generations),
            "MemoryGB": str(self.memory_gib),
            "CpuArchitectureType": self.arch,
            "LowPriorityCapable": str("L" not in self.can),
            "PremiumIO": str("P" in self.can),
            "VMDeploymentTypes": "IaaS",
            "vCPUsAvailable": str(self.vcpus),
            "EncryptionAtHostSupported": str("E" in self.can),
            "AcceleratedNetworkingEnabled": str("A" in self.can),
            "MaxNetworkInterfaces": "2",
            "DiskControllerTypes": "NVMe" if "M" in self.can else "SCSI",
        }
        if "X" in self.can:
            capabilities["TrustedLaunchDisabled"] = "True"
        if "C" in self.can:
            capabilities["ConfidentialComputingType"] = "SNP"
        if self.gpus != "0":
            capabilities["GPUs"] = self.gpus
        return {
            "resourceType": "virtualMachines",
            "name": self.name,
            "tier": "Standard",
            "size": self.name.removeprefix("Standard_"),
            "family": self.family,
            "locations": [region],
            "locationInfo": [{"location": region, "zones": list(self.zones), "zoneDetails": []}],
            "capabilities": [{"name": name, "value": value} for name, value in capabilities.items()],
            "restrictions": list(restrictions),
        }


def _read(table: str) -> dict[str, Size]:
    sizes = {}
    for line in table.splitlines():
        if "|" in line:
            family, generations, can, gpu = line.split("|")
        for part in line.split() if "|" not in line else ():
            name, vcpus, memory, gpus = part.split(":")
            size = Size(f"Standard_{name}", family, int(vcpus), int(memory), gpus, generations, can, gpu)
            sizes[size.name.lower()] = size
    return sizes


# A line with bars opens a family (its name, the hypervisor generations, what it can, its GPU, `vA10` being a share of
# one, which needs a GRID driver); the sizes follow as name:vCPUs:GiB:GPUs. Every region has them all: what a region
# lacks is for a test to set.
SIZES = _read("""\
standardNCFamily|1|-|K80
NC6:6:56:1 NC12:12:112:2 NC24:24:224:4 NC24r:24:224:4
standardNCPromoFamily|1|L|K80
NC6_Promo:6:56:1 NC12_Promo:12:112:2 NC24_Promo:24:224:4 NC24r_Promo:24:224:4
standardNCSv2Family|12|P|P100
NC6s_v2:6:112:1 NC12s_v2:12:224:2 NC24s_v2:24:448:4 NC24rs_v2:24:448:4
standardNCSv3Family|12|P|V100
NC6s_v3:6:112:1 NC12s_v3:12:224:2 NC24s_v3:24:448:4 NC24rs_v3:24:448:4
Standard NCASv3_T4 Family|12|PEA|T4
NC4as_T4_v3:4:28:1 NC8as_T4_v3:8:56:1 NC16as_T4_v3:16:110:1 NC64as_T4_v3:64:440:4
StandardNCADSA10v4Family|12|PEA|A10
NC8ads_A10_v4:8:100:1 NC16ads_A10_v4:16:200:1 NC32ads_A10_v4:32:400:2
StandardNCADSA100v4Family|12|PEA|A100
NC24ads_A100_v4:24:220:1 NC48ads_A100_v4:48:440:2 NC96ads_A100_v4:96:880:4
StandardNCadsH100v5Family|2|PEA|H100
NC40ads_H100_v5:40:320:1 NC80adis_H100_v5:80:640:2
standardNCCadsH100v5Family|2|PEAC|H100
NCC40ads_H100_v5:40:320:1
StandardNCadsRTXPRO6000BSEv6Family|2|PEAM|RTXPRO6000
NC8lds_xl_RTXPRO6000BSE_v6:8:16:0.25 NC16lds_xl_RTXPRO6000BSE_v6:16:64:0.25 NC24lds_xl_RTXPRO6000BSE_v6:24:72:0.25
NC32ds_xl_RTXPRO6000BSE_v6:32:128:0.25 NC32lds_xl_RTXPRO6000BSE_v6:32:64:0.25 NC36ds_xl_RTXPRO6000BSE_v6:36:132:0.25
NC36lds_xl_RTXPRO6000BSE_v6:36:72:0.25 NC64ds_xl_RTXPRO6000BSE_v6:64:256:0.5 NC64lds_xl_RTXPRO6000BSE_v6:64:128:0.5
NC72ds_xl_RTXPRO6000BSE_v6:72:264:0.5 NC72lds_xl_RTXPRO6000BSE_v6:72:132:0.5 NC128ds_xl_RTXPRO6000BSE_v6:128:512:1
NC128lds_xl_RTXPRO6000BSE_v6:128:256:1 NC132ds_xl_RTXPRO6000BSE_v6:132:264:1 NC132lds_xl_RTXPRO6000BSE_v6:132:264:1
NC144ds_xl_RTXPRO6000BSE_v6:144:516:1 NC144lds_xl_RTXPRO6000BSE_v6:144:264:1 NC256ds_xl_RTXPRO6000BSE_v6:256:1024:2
NC256lds_xl_RTXPRO6000BSE_v6:256:512:2 NC264ds_xl_RTXPRO6000BSE_v6:264:528:2 NC264lds_xl_RTXPRO6000BSE_v6:264:528:2
NC288ds_xl_RTXPRO6000BSE_v6:288:1032:2 NC288lds_xl_RTXPRO6000BSE_v6:288:516:2 NC320ds_xl_RTXPRO6000BSE_v6:320:1280:2
NC320lds_xl_RTXPRO6000BSE_v6:320:640:2 NC324ds_xl_RTXPRO6000BSE_v6:324:648:2 NC324lds_xl_RTXPRO6000BSE_v6:324:648:2
standardNDSFamily|12|P|P40
ND6s:6:112:1 ND12s:12:224:2 ND24s:24:448:4 ND24rs:24:448:4
standardNDSv2Family|12|P|V100
ND40s_v2:40:672:8 ND40rs_v2:40:672:8
standardNDSv3Family|12|P|V100
ND40s_v3:40:672:8
standardNDASv4_A100Family|12|PEAX|A100
ND96asr_v4:96:900:8 ND96asr_A100_v4:96:900:8
standardNDAMSv4_A100Family|12|PEAX|A100
ND96ams_A100_v4:96:1800:8 ND96amsr_A100_v4:96:1800:8
standardNDSH100v5Family|2|PEA|H100
ND96is_H100_v5:96:1900:8 ND96isr_H100_v5:96:1900:8 ND96isf_H100_v5:96:1900:8 ND96isrf_H100_v5:96:1900:8
ND96is_flex_H100_v5:96:1900:8 ND96is_noIB_H100_v5:96:1900:8
standardNDISRH200v5Family|2|PEA|H200
ND96isr_H200_v5:96:1850:8
standardNDISv5MI300XFamily|2|PEA|MI300X
ND96is_MI300X_v5:96:1850:8 ND96isr_MI300X_v5:96:1850:8
standardNDISRGB200v6Family|2|PEAR|GB200
ND128isr_NDR_GB200_v6:128:900:4 ND128isrf_NDR_GB200_v6:128:900:4 ND128isr_GB300_v6:128:864:4
StandardNGADSV620v1Family|2|PEA|V620
NG8ads_V620_v1:8:16:0.25 NG16ads_V620_v1:16:32:0.5 NG32ads_V620_v1:32:64:1 NG32adms_V620_v1:32:176:1
standardNVFamily|1|-|M60
NV6:6:56:1 NV12:12:112:2 NV24:24:224:4
standardNVPromoFamily|1|L|M60
NV6_Promo:6:56:1 NV12_Promo:12:112:2 NV24_Promo:24:224:4
standardNVSv2Family|1|P|M60
NV6s_v2:6:112:1 NV12s_v2:12:224:2 NV24s_v2:24:448:4
standardNVSv3Family|12|P|M60
NV12s_v3:12:112:1 NV24s_v3:24:224:2 NV48s_v3:48:448:4
standardNVSv4Family|12|PA|MI25
NV4as_v4:4:14:0.125 NV8as_v4:8:28:0.25 NV16as_v4:16:56:0.5 NV32as_v4:32:112:1
StandardNVADSA10v5Family|12|PEA|vA10
NV6ads_A10_v5:6:55:0.166667 NV12ads_A10_v5:12:110:0.333333 NV18ads_A10_v5:18:220:0.5 NV36ads_A10_v5:36:440:1
NV36adms_A10_v5:36:880:1 NV72ads_A10_v5:72:880:2
StandardNVadsV710v5Family|2|PEA|V710
NV4ads_V710_v5:4:16:0.166667 NV8ads_V710_v5:8:32:0.333333 NV12ads_V710_v5:12:64:0.5 NV24ads_V710_v5:24:128:1
NV28adms_V710_v5:28:160:1
standardDSv5Family|12|PEA|-
D2s_v5:2:8:0 D4s_v5:4:16:0
""")
