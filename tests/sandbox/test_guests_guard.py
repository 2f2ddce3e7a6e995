"""The guard as a process of an instance of the emulated clouds, on its metadata service and the cloud's clock."""

import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from support.clouds import LoopbackAws
from support.google import LoopbackGoogle
from support.instances import NOON

from gpuctl.domain.tags import EXPIRES_AT, deadline_tag
from gpuctl.providers.aws.guard import user_data
from gpuctl.providers.gcp.guard import startup_script

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the guard needs the tools of Linux")
MAX_TTL = timedelta(hours=2)
DEADLINE = NOON + timedelta(minutes=30)
ARMED = f"gpuctl-guard: armed, ends at {deadline_tag(DEADLINE)} (tag)"


@pytest.fixture
def folder(cloud: LoopbackAws, tmp_path: Path) -> Iterator[Path]:
    cloud.now = NOON
    with cloud.with_instances(tmp_path, pace=300):
        yield tmp_path


def wait_for(folder: Path, text: str) -> None:
    limit = time.monotonic() + 30
    while not any(text in path.read_text() for path in (folder / "instances").glob("*/console")):
        assert time.monotonic() < limit, list((folder / "instances").glob("*/console"))
        time.sleep(0.05)  # the guard is a real process: its timers run 300 times as fast, not at once


def wait_for_end(cloud: LoopbackAws, state: str) -> None:
    limit = time.monotonic() + 30
    while cloud.instances()[0]["state"] != state:
        assert time.monotonic() < limit, cloud.instances()
        time.sleep(0.05)  # the guard is a real process: its timers run 300 times as fast, not at once


def launched(cloud: LoopbackAws, **changes: object) -> str:
    settings = {
        "InstanceType": "g4dn.xlarge",
        "UserData": f"#cloud-boothook\n{user_data(MAX_TTL)}",
        "MetadataOptions": {"HttpTokens": "required", "InstanceMetadataTags": "enabled"},
        "InstanceInitiatedShutdownBehavior": "terminate",
    }
    return cloud.launch(tags={EXPIRES_AT: deadline_tag(DEADLINE)}, **{**settings, **changes})


def test_on_aws_it_terminates_the_instance_two_minutes_past_the_deadline_in_its_tag(
    cloud: LoopbackAws, folder: Path
) -> None:
    instance_id = launched(cloud)
    wait_for(folder, ARMED)
    wait_for(folder, "gpuctl-gpu: 1 x Tesla T4, driver ")
    later = deadline_tag(DEADLINE + timedelta(minutes=10))
    cloud.client("ec2").create_tags(Resources=[instance_id], Tags=[{"Key": EXPIRES_AT, "Value": later}])
    cloud.now = DEADLINE + timedelta(minutes=3)
    wait_for(folder, f"armed, ends at {later} (tag)")
    assert cloud.instances()[0]["state"] == "running"
    cloud.now = DEADLINE + timedelta(minutes=12, seconds=1)
    wait_for_end(cloud, "terminated")


def test_on_google_cloud_it_stops_the_instance(cloud: LoopbackAws, folder: Path) -> None:
    google = LoopbackGoogle(cloud)
    google.launch(metadata={"startup-script": startup_script(MAX_TTL), EXPIRES_AT: deadline_tag(DEADLINE)})
    wait_for(folder, ARMED)
    cloud.now = DEADLINE + timedelta(minutes=2, seconds=1)
    wait_for_end(cloud, "stopped")


def test_an_unreadable_deadline_shuts_down_after_the_longest_ttl(cloud: LoopbackAws, folder: Path) -> None:
    launched(cloud, MetadataOptions={"HttpTokens": "required", "InstanceMetadataTags": "disabled"})
    wait_for(folder, "tag missing, ends at 20261124t1400")
    cloud.now = NOON + MAX_TTL + timedelta(minutes=1)
    wait_for_end(cloud, "terminated")


def test_an_instance_that_nobody_uses_is_idle(cloud: LoopbackAws, folder: Path) -> None:
    launched(cloud, UserData=f"#cloud-boothook\n{user_data(MAX_TTL, timedelta(minutes=5))}")
    # A look at the very second of the boot has no uptime to count from.
    cloud.now = NOON + timedelta(minutes=1)
    wait_for(folder, "gpuctl-idle: nothing uses it, ends after 300s of that")
