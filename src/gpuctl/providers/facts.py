"""What gpuctl knows of a cloud before it calls it: one frozen value for each, declared in its own folder.

Everything outside a cloud's folder reads these values through `registry`, so that no other file names a cloud.
Importing them loads no SDK.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gpuctl.domain.instance import Market, ProviderName
from gpuctl.domain.sshkeys import KeyRule


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider can do that others cannot.

    `timer_in_create`: the create request itself sets the shutdown timer. `timer_reads_tag`: the timer follows the
    deadline in the tag, and acts at the longest TTL if it cannot read the tag. `idle_ends`: an idle instance that
    powers itself off is terminated. `needs_ssh_key`: creating requires a public key; `ssh_keys` are the accepted kinds.
    `user` is the login name on the recommended images. `picks_zone`: a create without a zone is placed where the region
    has capacity; otherwise every create names a zone.
    """

    timer_in_create: bool
    timer_reads_tag: bool = False
    idle_ends: bool = True
    needs_ssh_key: bool = False
    user: str = "ubuntu"
    ssh_keys: KeyRule = field(default_factory=KeyRule)
    picks_zone: bool = True


@dataclass(frozen=True, slots=True)
class CloudSetting:
    """One key of the cloud's section in the config file.

    `variables`: the cloud's own environment variables that decide where gpuctl's settings do not, the first one set.
    """

    name: str
    help: str
    variables: tuple[str, ...] = ()
    is_list: bool = False


@dataclass(frozen=True, slots=True)
class CloudVariables:
    """The environment variables that decide how the cloud is reached.

    `in_use`: each shows that the cloud is used. `carried` go into the environment of a scheduled reaper, `paths` too,
    as absolute paths; a value of `carried` never is a secret. `secrets` never go there, and are redacted from all
    output. `refused` do not go there either, being useless without a secret. `ours` are gpuctl's own variables for this
    cloud, `others` the most important ones that the cloud's own libraries read, both with their help texts.
    """

    in_use: tuple[str, ...]
    carried: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    ours: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CloudFacts:
    """Everything a cloud is, apart from what its API says.

    `title` and `account_noun` are for people; of an account ID only the last `account_digits` are shown, None for all.
    `login` is the setting that names the credentials, `log_in` the command that creates some, `tool` the cloud's own
    command line. `extra` is the extra of the distribution that installs its SDK.
    `example_type` and `example_region` are for hints; the region is also where the sandbox's checks run by default.
    `quota_families` gives the quotas that an instance type counts against, on demand and as spot, by its name.
    `price_sources` are the published price lists.
    `queue_form` is how its job queues are named, as `SCHEME:ADDRESS`; None where the queues cannot be counted.
    `force` says what `terminate --force` also deletes, None where the option changes nothing.
    """

    name: ProviderName
    title: str
    account_noun: str
    login: str
    log_in: str
    tool: str
    settings: tuple[CloudSetting, ...]
    variables: CloudVariables
    capabilities: Capabilities
    example_type: str
    example_region: str
    price_sources: Mapping[Market, str]
    quota_families: Callable[[str], tuple[str, str]]
    account_digits: int | None = None
    force: str | None = None
    queue_form: str | None = None

    @property
    def extra(self) -> str:
        """The extra that installs what this cloud needs."""
        return self.name.value

    def account_label(self, account: str) -> str:
        """Title, noun and ID of the account for a sentence, shortened where the ID is long."""
        digits = self.account_digits
        return f"{self.title} {self.account_noun} {account if digits is None else f'...{account[-digits:]}'}"


def place_settings(*region_variables: str) -> tuple[CloudSetting, CloudSetting]:
    """The settings of regions, which are the same for every cloud."""
    return (
        CloudSetting("region", "default region", region_variables),
        CloudSetting("sweep_regions", "more regions for the reaper to sweep", is_list=True),
    )


def image_setting() -> CloudSetting:
    """The setting of the boot image, which is the same for every cloud."""
    return CloudSetting("image", "boot image; default: latest GPU image of the provider")
