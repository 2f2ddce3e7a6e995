"""What every cloud's facts must be, and how the registry reads them."""

import subprocess
import sys
from dataclasses import fields

import pytest

from gpuctl.catalog import Catalog
from gpuctl.config import CloudConfig
from gpuctl.domain.instance import Market, ProviderName
from gpuctl.errors import UsageError
from gpuctl.providers import registry
from gpuctl.providers.base import Connection
from gpuctl.providers.facts import CloudFacts
from gpuctl.providers.registry import SUPPORTED, all_facts, facts_of, open_provider

CLOUDS = pytest.mark.parametrize("facts", all_facts(), ids=lambda facts: facts.name)


@CLOUDS
def test_the_facts_of_a_cloud_agree_with_each_other_and_with_the_catalog(facts: CloudFacts) -> None:
    catalog, settings = Catalog(), {setting.name: setting for setting in facts.settings}
    assert facts_of(facts.name) is facts
    assert {"region", "sweep_regions", "image", facts.login} <= set(settings)
    assert settings["sweep_regions"].is_list
    # Where a setting is used by name, `profile` stands for the one that names the credentials.
    assert {*settings} - {facts.login} <= {field.name for field in fields(CloudConfig)}
    assert catalog.find(facts.example_type).provider is facts.name
    assert catalog.is_listed(catalog.find(facts.example_type), facts.example_region)
    assert facts.log_in.startswith(f"{facts.tool} ")
    assert set(facts.price_sources) == set(Market)


@CLOUDS
def test_no_secret_of_a_cloud_goes_into_a_schedule(facts: CloudFacts) -> None:
    variables = facts.variables
    hidden = {*variables.secrets, *variables.refused}
    assert hidden.isdisjoint({*variables.carried, *variables.paths})
    assert {*variables.in_use} <= {*variables.carried, *hidden}
    assert {name for setting in facts.settings for name in setting.variables} <= {*variables.carried}


@CLOUDS
def test_every_type_of_the_catalog_carries_the_quotas_that_the_facts_name(facts: CloudFacts) -> None:
    kinds = Catalog().types(facts.name)
    assert {kind.name: kind.quotas for kind in kinds} == {kind.name: facts.quota_families(kind.name) for kind in kinds}


@pytest.mark.parametrize(
    ("provider", "name", "on_demand", "spot"),
    [
        (ProviderName.AWS, "g4dn.xlarge", "g", "g"),
        (ProviderName.AWS, "gr6.4xlarge", "g", "g"),
        (ProviderName.AWS, "gr6f.4xlarge", "g", "g"),
        (ProviderName.AWS, "p3dn.24xlarge", "p", "p4"),
        (ProviderName.AWS, "p4de.24xlarge", "p", "p4"),
        (ProviderName.AWS, "p5en.48xlarge", "p", "p5"),
        (ProviderName.AWS, "p6-b200.48xlarge", "p", "p6"),
        (ProviderName.AWS, "dl1.24xlarge", "dl", "dl"),
        (ProviderName.AZURE, "Standard_NC4as_T4_v3", "Standard_NCas_T4_v3", "Standard_NCas_T4_v3"),
        (ProviderName.AZURE, "Standard_NC64as_T4_v3", "Standard_NCas_T4_v3", "Standard_NCas_T4_v3"),
        (ProviderName.AZURE, "Standard_NV6ads_A10_v5", "Standard_NVads_A10_v5", "Standard_NVads_A10_v5"),
    ],
)
def test_the_facts_name_the_quotas_that_a_type_counts_against(
    provider: ProviderName, name: str, on_demand: str, spot: str
) -> None:
    assert facts_of(provider).quota_families(name) == (on_demand, spot)


@CLOUDS
def test_an_account_is_named_as_the_cloud_names_it(facts: CloudFacts) -> None:
    label = facts.account_label("tenant/11111111-1111-4111-8111-123456789012")
    assert label.startswith(f"{facts.title} {facts.account_noun} ") and label.endswith("9012")
    assert len(label) < 70


def test_facts_are_read_without_loading_any_sdk() -> None:
    script = "import sys; from gpuctl.providers.registry import all_facts; all_facts(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    ours = {name for name in done.stdout.split() if name.startswith("gpuctl.providers.")}
    allowed = {"gpuctl.providers.facts", "gpuctl.providers.registry"}
    clouds = {f"gpuctl.providers.{name}{part}" for name in SUPPORTED for part in ("", ".facts")}
    assert ours == allowed | clouds
    assert "requests" not in done.stdout.split() and "urllib3" not in done.stdout.split()


def test_a_cloud_that_is_not_supported_is_refused_with_the_names_of_those_that_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    *supported, name = SUPPORTED
    monkeypatch.setattr(registry, "SUPPORTED", tuple(supported))
    with pytest.raises(UsageError) as raised:
        open_provider(name, Connection())
    assert raised.value.message == f"provider `{name}` is not supported yet"
    assert raised.value.hint == f"one of {', '.join(f'`{other}`' for other in supported)}"
