"""The custom role that gpuctl ships for Google Cloud, against the calls that it really makes."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from contracts.provider import an_order
from support.clouds import LoopbackAws
from support.google import LoopbackGoogle
from support.instances import NOON

from gpuctl.catalog import Catalog
from gpuctl.errors import CredentialsError, GpuctlError
from gpuctl.providers.base import Connection, DiagnosedInstance
from gpuctl.providers.gcp import open_provider
from gpuctl.providers.gcp.diagnose import TO_CREATE, TO_END, TO_OPEN

ROLE = yaml.safe_load((Path(__file__).parents[3] / "docs" / "gcp-role.yaml").read_text())["includedPermissions"]
REGION, T4 = "us-central1", "n1-standard-4+1xnvidia-tesla-t4"


@pytest.fixture
def google(cloud: LoopbackAws) -> Iterator[LoopbackGoogle]:
    cloud.now = NOON
    yield LoopbackGoogle(cloud)
    cloud.now = timedelta(0)


def everything(google: LoopbackGoogle) -> None:
    """Each thing that gpuctl does in Google Cloud, once."""
    provider, kind = open_provider(Connection(sandbox_url=google.url)), Catalog().find(T4)
    google.set(unoffered={"us-central1-b": ["nvidia-tesla-t4"]})
    provider.identity()
    provider.regions()
    image = provider.find_image(REGION, kind, None)
    order = replace(
        an_order(image, REGION, T4), ssh_from="203.0.113.7/32", subnet="default", ssh_key="ssh-ed25519 AAAA"
    )
    provider.other_ssh_sources(REGION, None, None)
    created = provider.create(order)
    assert provider.get(REGION, created.cloud_id)
    assert "us-central1-b" not in provider.zones(REGION, kind)
    assert provider.find(REGION, order.record_id) and provider.list_instances(REGION)
    timer = provider.safeguards(REGION, created.cloud_id, NOON)[-1]
    assert timer.acts_at
    google.later(minutes=2)
    assert provider.safeguards(REGION, created.cloud_id, NOON)[-1].status == "verified"
    provider.set_deadline(REGION, created.cloud_id, NOON + timedelta(hours=2))
    known = [resource.id for resource in provider.resources(REGION, order.record_id, created.cloud_id)]
    assert known
    trial = DiagnosedInstance(REGION, kind, order, NOON, NOON, created.cloud_id)
    assert {finding.verdict.value for finding in provider.diagnose(trial)} == {"ok"}
    assert provider.terminate(REGION, [created.cloud_id]) == {}
    (ended,) = provider.list_instances(REGION)
    assert ended.ended_at
    fresh = open_provider(Connection(sandbox_url=google.url)).get(REGION, created.cloud_id)
    assert fresh is not None and fresh.ended_at
    assert list(provider.resources(REGION, order.record_id, created.cloud_id, known)) == []
    assert provider.close_ingress(REGION, order.state_id, [])


def test_the_role_is_enough_for_everything(google: LoopbackGoogle) -> None:
    google.set(permissions=ROLE)
    everything(google)


@pytest.mark.parametrize("lacking", [name for name in ROLE if not name.startswith("compute.images.")])
def test_nothing_in_the_role_is_superfluous(google: LoopbackGoogle, lacking: str) -> None:
    google.set(permissions=[name for name in ROLE if name != lacking])
    with pytest.raises((GpuctlError, AssertionError)):
        everything(google)


def test_what_doctor_checks_is_in_the_role(google: LoopbackGoogle) -> None:
    assert {*TO_CREATE, *TO_OPEN, *TO_END} <= set(ROLE)
    google.set(permissions=["compute.projects.get"])
    with pytest.raises(CredentialsError):
        everything(google)
