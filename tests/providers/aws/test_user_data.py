"""The user data as cloud-init takes it apart: the guard, and whose key gets in."""

from dataclasses import replace
from datetime import timedelta
from email import message_from_string

import pytest
from support.instances import NOON

from gpuctl.domain.instance import Market
from gpuctl.providers.aws import guard
from gpuctl.providers.aws.userdata import user_data
from gpuctl.providers.base import Image, Order
from gpuctl.remote.keys import LONGEST_KEY

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7B5m5m5m5m5m5m5m5m5m5m5m5m5m5m5m5m5m5m5m5m"
ORDER = Order(
    token="t",
    record_id="inst-000000000001",
    state_id="a-state-id",
    owner="ana",
    name=None,
    expires_at=NOON,
    max_ttl=timedelta(hours=2),
    region="us-east-1",
    zone=None,
    subnet=None,
    instance_type="g4dn.xlarge",
    market=Market.ON_DEMAND,
    image=Image("ami-1", "/dev/sda1", 8),
    disk_gb=50,
    created_at=NOON,
    ssh_key=KEY,
)


def test_without_a_key_it_is_the_guard_and_nothing_else() -> None:
    assert user_data(replace(ORDER, ssh_key=None)) == f"#cloud-boothook\n{guard.user_data(ORDER.max_ttl)}"


def test_with_a_key_it_is_the_settings_and_the_guard_byte_for_byte() -> None:
    document = message_from_string(user_data(ORDER))
    settings, script = document.get_payload()  # type: ignore[misc]
    assert document.get_content_type() == "multipart/mixed"
    assert [setting.get_content_type() for setting in (settings, script)] == [
        "text/cloud-config",
        "text/cloud-boothook",
    ]
    assert settings.get_payload() == f"#cloud-config\nssh_authorized_keys:\n  - {KEY}\n"
    assert script.get_payload() == guard.user_data(ORDER.max_ttl)


def test_the_same_order_makes_the_same_text_and_it_fits() -> None:
    assert user_data(ORDER) == user_data(replace(ORDER))
    longest = replace(ORDER, max_ttl=timedelta(days=7), idle=timedelta(days=7))
    for bits, characters in ((4096, 716), (16384, 2764)):
        text = user_data(replace(longest, ssh_key=f"ssh-rsa {'A' * characters}"))
        assert len(text.encode()) <= guard.MOST_BYTES, bits


@pytest.mark.parametrize(
    "key",
    [
        "ssh-ed25519",
        "ssh-ed25519 AAAA\nruncmd: [evil]",
        "ssh-ed25519 AAAA # comment",
        "ssh-ed25519: AAAA",
        "'ssh-ed25519 AAAA",
        "ssh-ed25519 {AAAA}",
        "ssh-ed25519 ÄÄÄÄ",
    ],
)
def test_nothing_but_a_key_gets_into_the_settings(key: str) -> None:
    with pytest.raises(ValueError, match="public key"):
        user_data(replace(ORDER, ssh_key=key))


def test_the_longest_key_that_gpuctl_takes_fits_beside_the_guard() -> None:
    key = "ssh-rsa ".ljust(LONGEST_KEY, "A")
    longest = replace(ORDER, max_ttl=timedelta(days=7), idle=timedelta(days=7), ssh_key=key)
    assert len(user_data(longest)) <= guard.MOST_BYTES
